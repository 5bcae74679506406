noinst_LIBRARIES += libdns.a
libdns_a_SOURCES = \
	dns/answer.c dns/answer.h \
	dns/dns.c dns/dns.h \
	dns/forward.c dns/forward.h \
	dns/wire.c dns/wire.h
dns_LIBS = libdns.a $(client_LIBS)

check_PROGRAMS += tests/unit/dns/test_dns
tests_unit_dns_test_dns_SOURCES = \
	tests/unit/dns/test_answer.c \
	tests/unit/dns/test_server.c \
	$(LIBC_PARTS)
tests_unit_dns_test_dns_LDADD = libfake.a libtap.a $(dns_LIBS)
