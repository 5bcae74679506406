noinst_LIBRARIES += libproxy.a
libproxy_a_SOURCES = \
	proxy/plan.c proxy/plan.h \
	proxy/proxy.c proxy/proxy.h \
	proxy/rules.c proxy/rules.h
proxy_LIBS = libproxy.a $(netns_LIBS) $(client_LIBS)
