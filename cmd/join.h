/*
 * Joining the namespaces of a profile by links: the host with the hub, nodes with the hub. Private to cmd. The work blocks, so
 * it is that of a job; it sees nothing but a struct joining.
 */
#ifndef CMD_JOIN_H
#define CMD_JOIN_H

#include "cmd/topology.h"

/* What a job joins: it has descriptors of its own, since a process may die and take ours meanwhile. */
struct joining {
	struct topology topology;
	int hub, host; /* rtnetlink */
	bool with_host, cut_host;
	size_t n;
	struct join_node {
		int index, rtnl;
		bool cut;
	} nodes[];
};

struct error *join(void *joining) MUST_CHECK;
void joining_close(void *joining); /* its descriptors */
int join_dup(int fd);

#endif
