noinst_LIBRARIES += libnetns.a
libnetns_a_SOURCES = \
	netns/flows.c \
	netns/links.c \
	netns/message.c netns/message.h \
	netns/netns.h \
	netns/nft.c netns/nft.h \
	netns/nft_batch.c \
	netns/nft_kernel.c \
	netns/nft_rule.c
netns_LIBS = libnetns.a $(base_LIBS)

check_PROGRAMS += tests/unit/netns/test_netns
tests_unit_netns_test_netns_SOURCES = tests/unit/netns/test_netns.c $(LIBC_PARTS)
tests_unit_netns_test_netns_LDADD = libtap.a $(netns_LIBS)
