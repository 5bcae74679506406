noinst_LIBRARIES += libproxy.a
libproxy_a_SOURCES = \
	proxy/plan.c proxy/plan.h \
	proxy/proxy.c proxy/proxy.h \
	proxy/rules.c proxy/rules.h
proxy_LIBS = libproxy.a $(netns_LIBS) $(client_LIBS)

check_PROGRAMS += tests/unit/proxy/test_proxy
tests_unit_proxy_test_proxy_SOURCES = \
	tests/unit/proxy/test_plan.c \
	tests/unit/proxy/test_proxy.c \
	$(LIBC_PARTS)
tests_unit_proxy_test_proxy_LDADD = libfake.a libtap.a $(proxy_LIBS)
