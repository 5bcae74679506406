/*
 * The service proxy of one node: Services and EndpointSlices become the nf_tables rules of its network namespace.
 *
 * A change set is planned as a whole (plan.h, pure) and applied as one transaction that replaces the table; connections
 * that stand are kept by conntrack. What somebody else removes is put back. Knows a client and netns; loop thread only.
 *
 *	proxy = proxy_start(&(struct proxy_options){ .client = client, .node_name = "demo", .nfnl_fd = fd, … });
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "client/client.h"

struct proxy_options {
	struct client *client;
	const char *node_name;
	struct ip node_ip;
	const char *uplink;   /* link towards the other nodes and the host: "eth0" */
	int nfnl_fd;          /* NETLINK_NETFILTER socket in the node's namespace; borrowed */
	int ear_fd;           /* another one, for hearing of changes; borrowed */
	int rtnl_fd;          /* NETLINK_ROUTE socket in it; borrowed */
	struct cidr pod_cidr; /* of the whole cluster: what leaves it is masqueraded */
	struct ip own[4];     /* cluster addresses that this node answers itself; no rules for them */
	size_t n_own;
	bool announce; /* this node holds the LoadBalancer addresses on its uplink */
};

struct proxy;

struct proxy *proxy_start(const struct proxy_options *options);
void proxy_uplink_anew(struct proxy *proxy); /* the uplink is another link now: its settings and addresses come back */
void proxy_stop(struct proxy *proxy);        /* rules stay: pods go on; NULL is fine */

#endif
