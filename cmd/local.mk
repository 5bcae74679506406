bin_PROGRAMS += monokube
monokube_SOURCES = \
	cmd/cluster.c cmd/cluster.h \
	cmd/cmd.h \
	cmd/files.c cmd/files.h \
	cmd/hello.c \
	cmd/image.c \
	cmd/join.c cmd/join.h \
	cmd/kubeconfig.c cmd/kubeconfig.h \
	cmd/life.c cmd/life.h \
	cmd/machine.h \
	cmd/main.c \
	cmd/misc.c \
	cmd/node_conn.c cmd/node_conn.h \
	cmd/nodes.c cmd/nodes.h \
	cmd/pki.c cmd/pki.h \
	cmd/profile.c cmd/profile.h \
	cmd/raw.c \
	cmd/rejoin.c \
	cmd/server.c \
	cmd/start.c \
	cmd/status.c \
	cmd/stop.c \
	cmd/topology.c cmd/topology.h \
	cmd/ui.c cmd/ui.h \
	cmd/version.c \
	$(LIBC_PARTS)
monokube_LDADD = $(controllers_LIBS) $(scheduler_LIBS) $(apiserver_LIBS) $(client_LIBS) $(kubelet_LIBS) $(proxy_LIBS) $(dns_LIBS) $(image_LIBS) $(runtime_LIBS) $(netns_LIBS) $(api_LIBS) $(http_LIBS) $(store_LIBS) $(loop_LIBS) $(base_LIBS)
