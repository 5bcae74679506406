/* The profile's network as plans, one per namespace. Pure: addresses and names follow from profile, slot and index. */
#ifndef CMD_TOPOLOGY_H
#define CMD_TOPOLOGY_H

#include "netns/netns.h"

struct topology {
	const char *tag; /* profile_tag() */
	int slot;
	int hub_netns; /* descriptor */
};

/* The host's link of a profile: "mk-" and eight hexadecimal digits. */
void topology_host_link(char name[16], const char *tag);
void topology_host(struct net_plan *plan, const struct topology *topology, int unused);
void topology_hub(struct net_plan *plan, const struct topology *topology, int unused);
void topology_node(struct net_plan *plan, const struct topology *topology, int node);
/* In the hub: a link that the host (-1) or a node plugged in becomes a port of the bridge. */
const char *topology_port_name(int node); /* of that link */
void topology_port(struct net_plan *plan, const struct topology *topology, int node);

struct ip topology_api_ip(void); /* 10.96.0.1: every node answers for the API server itself */
struct ip topology_dns_ip(void); /* 10.96.0.10 */
struct cidr topology_pod_cidr(void);

#endif
