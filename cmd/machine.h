/*
 * What cmd/nodes.c and cmd/rejoin.c share: a machine is a node process, or the hub, and everything in the server that hangs
 * on it. nodes.c brings them up together and takes them down; rejoin.c brings one back that was lost. Private to those two.
 */
#ifndef CMD_MACHINE_H
#define CMD_MACHINE_H

#include "cmd/life.h"
#include "cmd/node_conn.h"
#include "cmd/nodes.h"

/* One node process, or the hub. */
struct machine {
	struct nodes *nodes;
	int index;        /* HUB_INDEX, or the number of the node */
	const char *name; /* "demo", "demo-m02" */
	const char *dir, *socket;
	struct node_conn *conn;
	int exit_status;              /* of the command that started the process */
	bool starting;                /* that command runs */
	char instance[NODE_INSTANCE]; /* the run of the process that our handles belong to; empty: none */
	char answers[NODE_INSTANCE];  /* the one that answers now */
	char hub[NODE_INSTANCE];      /* the one of the hub that it is joined to */
	int netns, rtnl, nfnl, nfnl_ear;
	int proxy_rtnl; /* that of the proxy, which asks on the loop while ours is with a job */
	int dns_udp, dns_tcp, api;
	struct http_listener *api_listener;
	struct dns_listener *dns_listener;
	struct kubelet *kubelet;
	struct proxy *proxy;
	struct http_client *client; /* to the kubelet's server */
	struct loop_timer retry;    /* while the process is gone */
	struct task *rejoining;
	bool found;   /* it ran when this server started */
	bool started; /* it did not, and we have started it */
};

struct nodes {
	struct cluster *cluster;
	struct arena *arena;
	struct profile profile; /* for the names of things; only name, dir and images are set */
	const char *tag;        /* of the profile on this machine */
	struct machine hub;
	struct machine *machines;
	size_t n;
	int host_rtnl;
	struct informer *informer; /* Nodes: for routes to each other's pods */
	struct dns *dns;
	/* With MONOKUBE_KUBELETS=https the kubelets come in as an agent on another machine would; else NULL. */
	struct http_tls *agent_tls;
	struct http_client *agent_http;
	struct remote *agent;
	struct client *agent_client;
	struct loop_call start; /* the next process */
	struct loop_lane lane;  /* of what uses our netlink sockets */
	size_t routing;         /* jobs of it that no task waits for */
	size_t open;            /* what still stops */
	struct task *stopping;
};

#define EACH_MACHINE(nodes, m)                                                                                                     \
	for (struct machine *m = &(nodes)->hub; m != NULL; m = m->index == HUB_INDEX                                               \
								       ? ((nodes)->n != 0 ? (nodes)->machines : NULL)              \
								       : ((size_t)m->index + 1 < (nodes)->n ? m + 1 : NULL))

/* nodes.c */
struct error *machine_start_process(struct machine *m, struct task *task) MUST_CHECK; /* task: held until it has started */
struct error *machine_take_handles(struct machine *m, struct task *task) MUST_CHECK;  /* task: held until they are there */
void machine_drop_handles(struct machine *m);
/* A step: the hub with the host, and these nodes with the hub. */
enum task_result machine_join(struct task *task, struct nodes *nodes, bool with_host, struct machine *machines, size_t n);
struct error *machine_listen(struct machine *m) MUST_CHECK;
struct error *machine_start_components(struct machine *m) MUST_CHECK; /* kubelet, proxy, DNS; routes to other nodes' pods */
void machine_stop_components(struct machine *m);                      /* all but the kubelet */
void nodes_route(struct nodes *nodes);                                /* routes to each other's pods */
void nodes_let_go(void *nodes);                                       /* one less that their end waits for */

/* rejoin.c */
void machine_gone(void *machine); /* the connection to its process ended */
void machine_await(struct machine *m);
void machine_forsake(struct machine *m); /* nodes stop: what is under way ends, and then lets them go */

#endif
