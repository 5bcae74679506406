#include "cmd/topology.h"

#include <stdio.h>

#include "cmd/cluster.h"

void topology_host_link(char name[16], const char *tag)
{
	snprintf(name, 16, "mk-%08x", (unsigned)str_hash(str_from(tag)));
}

struct ip topology_api_ip(void)
{
	return ip_v4(10, 96, 0, 1);
}

struct ip topology_dns_ip(void)
{
	return ip_v4(10, 96, 0, 10);
}

struct cidr topology_pod_cidr(void)
{
	return (struct cidr){ ip_v4(10, 244, 0, 0), 16 };
}

/* Plans keep pointers; names made here live as long as the process. */
const char *topology_port_name(int node)
{
	static char names[LIMIT_NODES][16];

	if (node < 0)
		return "host";
	snprintf(names[node], sizeof(names[node]), "node%d", node);
	return names[node];
}

void topology_hub(struct net_plan *plan, const struct topology *topology, int unused)
{
	(void)topology;
	(void)unused;
	*net_plan_link(plan) = (struct net_link){ .kind = NET_EXISTING, .name = "lo", .peer_ns = -1 };
	*net_plan_link(plan) = (struct net_link){ .kind = NET_BRIDGE, .name = "br0", .peer_ns = -1 };
}

void topology_host(struct net_plan *plan, const struct topology *topology, int unused)
{
	static char name[16];

	(void)unused;
	topology_host_link(name, topology->tag);
	*net_plan_link(plan) =
		(struct net_link){ .kind = NET_VETH, .name = name, .peer = topology_port_name(-1), .peer_ns = topology->hub_netns };
	*net_plan_addr(plan) = (struct net_addr){ .link = name, .addr = cluster_subnet(topology->slot) };
}

void topology_port(struct net_plan *plan, const struct topology *topology, int node)
{
	(void)topology;
	*net_plan_link(plan) =
		(struct net_link){ .kind = NET_EXISTING, .name = topology_port_name(node), .master = "br0", .peer_ns = -1 };
}

void topology_node(struct net_plan *plan, const struct topology *topology, int node)
{
	static const struct cidr everywhere = { .ip = { .family = 4 }, .bits = 0 };
	struct net_link *uplink;
	char address[IP_TEXT];

	*net_plan_link(plan) = (struct net_link){ .kind = NET_EXISTING, .name = "lo", .route_localnet = true, .peer_ns = -1 };
	uplink = net_plan_link(plan);
	*uplink = (struct net_link){ .kind = NET_VETH,
				     .name = "eth0",
				     .peer = topology_port_name(node),
				     .peer_ns = topology->hub_netns,
				     .forward = true,
				     .no_rp_filter = true };
	/* The same when the node comes back, so that nobody sends to one that is gone. */
	net_mac(uplink->mac, ip_format(address, cluster_node_ip(topology->slot, node)));
	*net_plan_addr(plan) = (struct net_addr){ .link = "eth0", .addr = { cluster_node_ip(topology->slot, node), 24 } };
	*net_plan_addr(plan) = (struct net_addr){ .link = "lo", .addr = { topology_api_ip(), 32 } };
	*net_plan_addr(plan) = (struct net_addr){ .link = "lo", .addr = { topology_dns_ip(), 32 } };
	*net_plan_route(plan) = (struct net_route){ .to = everywhere, .via = cluster_host_ip(topology->slot), .link = "eth0" };
}
