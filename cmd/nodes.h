/* The local nodes of a cluster: their processes, the profile's network, and the components that live beside them (kubelet,
 * proxy, DNS). Private to cmd. */
#ifndef CMD_NODES_H
#define CMD_NODES_H

#include "cmd/cluster.h"

struct nodes;

enum task_result nodes_start(struct task *task, struct cluster *cluster); /* a step; sets cluster->nodes */
enum task_result nodes_stop(struct task *task, struct cluster *cluster);  /* components only: node processes go on */
struct http_client *nodes_kubelet(struct nodes *nodes, struct str name);  /* NULL: no such node */
/* Connects from a node that is ready, as kubelet_dial(). False: there is none, connected does not come. */
bool nodes_dial(struct nodes *nodes, struct ip ip, uint16_t port,
		void (*connected)(void *to, struct error *err, struct stream *stream), void *to);

#endif
