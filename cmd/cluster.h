/*
 * The server: a whole cluster's control plane in this process, and the components of its local nodes. A table of
 * components, started in order, stopped in reverse (cluster.c). Private to cmd.
 */
#ifndef CMD_CLUSTER_H
#define CMD_CLUSTER_H

#include "apiserver/apiserver.h"
#include "base/base.h"
#include "client/client.h"
#include "cmd/pki.h"
#include "controllers/controllers.h"
#include "http/http.h"
#include "loop/loop.h"
#include "store/store.h"

struct cluster_options {
	const char *name;             /* of the profile: context name, names of links */
	const char *dir;              /* data */
	const char *listen;           /* address on the host */
	uint16_t port;                /* 0: the kernel chooses */
	int nodes;                    /* local ones; 0: API server and controllers only */
	bool api_only;                /* no controllers and no scheduler either */
	int slot;                     /* network of the profile: 192.168.(49+slot).0/24 */
	const char *write_kubeconfig; /* or NULL */
	int ready_fd;                 /* gets a line when the cluster answers; -1: none */
	const char *image_dir;        /* content store, shared by all profiles */
	const char *program;          /* path of this program, to start node processes */
};

struct cluster {
	struct cluster_options options;
	struct arena *arena;
	struct cluster_pki pki;
	struct store *store;
	struct apiserver *apiserver;
	struct http_tls *tls;
	struct http_server *http;
	uint16_t port;
	struct client *client;
	struct controllers *controllers;
	struct scheduler *scheduler;
	struct nodes *nodes; /* cmd/nodes.h; NULL without local nodes */
	int pid_fd;          /* locked */
	struct task *starting;
	struct error *failure;
	bool stopping;
	struct loop_timer tidying;
	uint64_t turns; /* of the loop, when we last looked */
	bool was_busy;
};

/* Runs until SIGTERM or SIGINT, or a component fails to start. */
struct error *cluster_run(const struct cluster_options *options) MUST_CHECK;

/* All local nodes are Ready: tells whoever waits. */
void cluster_nodes_ready(struct cluster *cluster);

/* Addresses of a profile's network, by slot. */
struct ip cluster_host_ip(int slot);           /* .1 */
struct ip cluster_node_ip(int slot, int node); /* .10 + node */
struct cidr cluster_subnet(int slot);          /* the /24, with the host's address */
struct cidr cluster_load_balancers(int slot);  /* .128/25 */

#endif
