# Public headers: http.h, and pki.h which it includes.
noinst_LIBRARIES += libhttp.a
libhttp_a_SOURCES = \
	http/client.c http/client.h \
	http/client_link.c \
	http/compress.c \
	http/crypto.c \
	http/fetch.c \
	http/gzip.c \
	http/h1.c http/h1.h \
	http/h1_answer.c \
	http/h2.c \
	http/http.h \
	http/pki.c http/pki.h \
	http/private.h \
	http/request.c \
	http/server.c \
	http/spdy.c http/spdy.h \
	http/spdy_headers.c \
	http/text.c \
	http/tls.c \
	http/websocket.c http/websocket.h \
	http/websocket_streams.c http/websocket_streams.h
http_LIBS = libhttp.a $(loop_LIBS)

check_PROGRAMS += tests/unit/http/test_http
tests_unit_http_test_http_SOURCES = \
	tests/unit/http/keys.c tests/unit/http/keys.h \
	tests/unit/http/test_attack.c \
	tests/unit/http/test_compress.c \
	tests/unit/http/test_curl.c \
	tests/unit/http/test_pki.c \
	tests/unit/http/test_server.c \
	tests/unit/http/test_spdy.c \
	tests/unit/http/test_text.c \
	tests/unit/http/world.c tests/unit/http/world.h \
	$(LIBC_PARTS)
tests_unit_http_test_http_LDADD = libtap.a $(http_LIBS)
