noinst_LIBRARIES += libdns.a
libdns_a_SOURCES = \
	dns/answer.c dns/answer.h \
	dns/dns.c dns/dns.h \
	dns/forward.c dns/forward.h \
	dns/wire.c dns/wire.h
dns_LIBS = libdns.a $(client_LIBS)
