noinst_LIBRARIES += libapiserver.a
libapiserver_a_SOURCES = \
	apiserver/admit/admit.c \
	apiserver/apiserver.h \
	apiserver/auth/auth.c apiserver/auth/auth.h \
	apiserver/auth/token.c \
	apiserver/bootstrap.c \
	apiserver/definitions.c \
	apiserver/docs/debug.c apiserver/docs/docs.c apiserver/docs/docs.h \
	apiserver/match.c \
	apiserver/negotiate.c apiserver/negotiate.h \
	apiserver/objects.c \
	apiserver/options.c \
	apiserver/respond.c \
	apiserver/route.c apiserver/route.h \
	apiserver/server.c apiserver/server.h \
	apiserver/streams/streams.c apiserver/streams/streams.h \
	apiserver/streams/relay.c \
	apiserver/streams/rewrite.c apiserver/streams/rewrite.h \
	apiserver/streams/upgrade.c \
	apiserver/verbs/allocate.c \
	apiserver/verbs/commit.c \
	apiserver/verbs/delete.c \
	apiserver/verbs/heavy.c \
	apiserver/verbs/patch.c \
	apiserver/verbs/prepare.c \
	apiserver/verbs/read.c \
	apiserver/verbs/subresources.c \
	apiserver/verbs/verbs.h \
	apiserver/verbs/write.c \
	apiserver/warning.c \
	apiserver/watch/watch.c
apiserver_LIBS = libapiserver.a $(api_LIBS) $(http_LIBS) $(store_LIBS)
