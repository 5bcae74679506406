noinst_LIBRARIES += libnetns.a
libnetns_a_SOURCES = \
	netns/flows.c \
	netns/links.c netns/netns.h \
	netns/message.c netns/message.h \
	netns/nft.c
netns_LIBS = libnetns.a $(base_LIBS)

check_PROGRAMS += tests/unit/netns/test_netns
tests_unit_netns_test_netns_SOURCES = tests/unit/netns/test_netns.c $(STATIC_NSS)
tests_unit_netns_test_netns_LDADD = libtap.a $(netns_LIBS)
