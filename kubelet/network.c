/*
 * A pod's network: one veth, the pod's end called eth0 with a /32 address, the node's end named by the pod's uid. Every
 * packet is routed; neither side ever asks for a hardware address.
 *
 *	pod: eth0 10.244.0.5/32, default via 169.254.1.1 onlink ── veth… :node: 10.244.0.5/32 dev veth…
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubelet/private.h"
#include "netns/netns.h"

#define LINK_NAME 16

static void link_name(char name[LINK_NAME], struct str uid)
{
	snprintf(name, LINK_NAME, "veth%08llx", (unsigned long long)(str_hash(uid) & 0xffffffff));
}

/* --- addresses --- */

/* The first two and the last are nobody's: network, what other plugins use as gateway, broadcast. */
static bool is_usable(const struct kubelet *kubelet, struct ip ip)
{
	if (!cidr_contains(kubelet->pod_cidr, ip) || ip_cmp(ip, ip_add(cidr_first(kubelet->pod_cidr), 1)) <= 0 ||
	    ip_cmp(ip, cidr_last(kubelet->pod_cidr)) >= 0)
		return false;
	MAP_EACH (&kubelet->by_uid, it)
		if (ip_eq(((const struct pod *)it->value)->address, ip))
			return false;
	return true;
}

struct error *pool_take(struct pod *pod)
{
	struct kubelet *kubelet = pod->kubelet;
	struct ip first = cidr_first(kubelet->pod_cidr);
	uint64_t n = ip_sub(cidr_last(kubelet->pod_cidr), first);

	for (uint64_t i = 0; i < n; i++) {
		/* an address that was given back is used again as late as possible */
		struct ip ip = ip_add(first, 2 + (kubelet->next_address + i) % n);

		if (!is_usable(kubelet, ip))
			continue;
		kubelet->next_address = (uint32_t)((kubelet->next_address + i + 1) % n);
		pod->address = ip;
		return NULL;
	}
	return error_new(ERR_NO_SPACE, "no address is free in the pod range of the node");
}

/* --- links --- */

/* The address that replies come from makes the route go when the node's uplink is made anew. */
static void plan_route(struct net_plan *node, const struct kubelet *kubelet, const char *name, struct ip ip)
{
	*net_plan_route(node) =
		(struct net_route){ .to = { ip, ip.family == 6 ? 128 : 32 }, .link = name, .source = kubelet->options.node_ip };
}

static void restore_route(struct pod *pod, const char *name)
{
	struct arena *arena = arena_new();
	struct net_plan *plan = net_plan_new(arena);

	plan_route(plan, pod->kubelet, name, pod->ip);
	log_consume(LOG_WARN, net_apply(pod->kubelet->link.rtnl, plan), "route to a pod");
	arena_free(arena);
}

struct error *network_plug(struct kubelet *kubelet, struct str uid, struct ip ip, int pod_netns, int pod_rtnl)
{
	struct arena *arena = arena_new();
	struct net_plan *node = net_plan_new(arena), *pod = net_plan_new(arena);
	const struct ip gateway = ip_v4(169, 254, 1, 1);
	const struct cidr address = { ip, ip.family == 6 ? 128 : 32 };
	uint8_t mac[6], pod_mac[6];
	char name[LINK_NAME];
	struct net_link *link;
	struct net_neigh *neigh;
	struct error *err;

	link_name(name, uid);
	net_mac(mac, str_format(arena, "%.*s node", STR_ARG(uid)));
	net_mac(pod_mac, str_format(arena, "%.*s pod", STR_ARG(uid)));
	link = net_plan_link(node);
	link->kind = NET_VETH;
	link->name = name;
	link->peer = "eth0";
	link->peer_ns = pod_netns;
	link->forward = true;
	link->route_localnet = true; /* node ports and host ports of 127.0.0.1 lead here */
	memcpy(link->mac, mac, 6);
	memcpy(link->peer_mac, pod_mac, 6);
	plan_route(node, kubelet, name, ip);
	neigh = net_plan_neigh(node);
	neigh->link = name;
	neigh->ip = ip;
	memcpy(neigh->mac, pod_mac, 6);

	link = net_plan_link(pod);
	link->kind = NET_EXISTING;
	link->name = "eth0";
	*net_plan_addr(pod) = (struct net_addr){ .link = "eth0", .addr = address };
	neigh = net_plan_neigh(pod);
	neigh->link = "eth0";
	neigh->ip = gateway;
	memcpy(neigh->mac, mac, 6);
	*net_plan_route(pod) = (struct net_route){ .to = { ip_v4(0, 0, 0, 0), 0 }, .via = gateway, .link = "eth0", .onlink = true };
	err = net_link_delete(kubelet->link.rtnl, name); /* of a sandbox before, whose namespace may linger */
	if (err == NULL)
		err = net_apply(kubelet->link.rtnl, node);
	if (err == NULL)
		err = net_apply(pod_rtnl, pod);
	arena_free(arena);
	return err;
}

struct error *network_unplug(struct kubelet *kubelet, struct str uid)
{
	char name[LINK_NAME];

	link_name(name, uid);
	return kubelet->link.rtnl >= 0 ? net_link_delete(kubelet->link.rtnl, name) : NULL;
}

struct sweep {
	struct map known;
	VEC(char *) orphans;
};

static void look_at_link(void *arg, const char *name)
{
	struct sweep *sweep = arg;

	if (strncmp(name, "veth", 4) == 0 && strlen(name) == 12 && map_find(&sweep->known, str_from(name)) == NULL)
		vec_push(&sweep->orphans, xstrdup(name));
}

void network_sweep(struct kubelet *kubelet)
{
	struct sweep sweep = { 0 };

	if (kubelet->link.rtnl < 0)
		return;
	MAP_EACH (&kubelet->by_uid, it) {
		struct pod *pod = it->value;
		char name[LINK_NAME];

		link_name(name, it->key);
		map_set(&sweep.known, str_from(name), kubelet);
		if (pod->sandbox_ready && pod->ip.family != 0 && !pod_host_network(pod))
			restore_route(pod, name);
	}
	log_consume(LOG_WARN, net_links(kubelet->link.rtnl, look_at_link, &sweep), "list links");
	for (size_t i = 0; i < sweep.orphans.len; i++) {
		log_consume(LOG_WARN, net_link_delete(kubelet->link.rtnl, sweep.orphans.ptr[i]), "remove a link nobody knows");
		free(sweep.orphans.ptr[i]);
	}
	vec_fini(&sweep.orphans);
	map_fini(&sweep.known);
}
