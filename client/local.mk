noinst_LIBRARIES += libclient.a
libclient_a_SOURCES = \
	client/client.c client/client.h client/private.h \
	client/events.c \
	client/informer.c \
	client/pieces.c \
	client/remote.c client/remote.h \
	client/workqueue.c
client_LIBS = libclient.a $(api_LIBS) $(http_LIBS) $(loop_LIBS)
