/* A connection to a node process on the loop, and the few requests that the wiring makes. Private to cmd. */
#ifndef CMD_NODE_CONN_H
#define CMD_NODE_CONN_H

#include "loop/loop.h"
#include "runtime/node.h"

struct node_conn;

/* gone(arg): the process ended; only close is left. May be NULL. */
struct error *node_conn_open(const char *socket, void (*gone)(void *arg), void *arg, struct node_conn **out) MUST_CHECK;
void node_conn_close(struct node_conn *conn); /* NULL is fine */
struct node_client *node_conn_client(struct node_conn *conn);

/* Which run of the process it is: the same for every connection to it. */
#define NODE_INSTANCE 40
void node_conn_instance(struct node_conn *conn, struct task *task, char out[NODE_INSTANCE]);
/* A socket inside the node's namespace, or the namespace itself, into *fd; the task's hold is released then. */
void node_conn_socket(struct node_conn *conn, struct task *task, int domain, int type, int protocol, int *fd);
void node_conn_netns(struct node_conn *conn, struct task *task, int *fd);

#endif
