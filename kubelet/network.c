/*
 * A pod's network: one veth, the pod's end called eth0 with a /32 address, the node's end named by the pod's uid. Every
 * packet is routed; neither side ever asks for a hardware address.
 *
 *	pod: eth0 10.244.0.5/32, default via 169.254.1.1 onlink ── veth… :node: 10.244.0.5/32 dev veth…
 */
#include <fcntl.h>
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

/* What a job does in the node's network, and the pod's: it has descriptors of its own. */
struct network_job {
	struct kubelet *kubelet;            /* of a sweep, which no task waits for */
	struct arena *arena;                /* of a sweep */
	int node_rtnl, pod_rtnl, pod_netns; /* -1: not needed */
	struct net_plan *node, *pod;
	const char *link;
	struct map known;              /* of a sweep: links that stay */
	VEC(struct net_plan *) routes; /* of a sweep: each for itself */
	VEC(struct error *) errs;      /* of a sweep */
};

static void close_job(void *arg)
{
	struct network_job *job = arg;

	fd_close(&job->node_rtnl);
	fd_close(&job->pod_rtnl);
	fd_close(&job->pod_netns);
	map_fini(&job->known);
	vec_fini(&job->routes);
	vec_fini(&job->errs);
}

static struct network_job *new_job(struct arena *arena, const struct kubelet *kubelet)
{
	struct network_job *job = ARENA_NEW(arena, struct network_job);

	job->node_rtnl = fcntl(kubelet->link.rtnl, F_DUPFD_CLOEXEC, 0);
	job->pod_rtnl = job->pod_netns = -1;
	job->node = net_plan_new(arena);
	job->pod = net_plan_new(arena);
	arena_defer(arena, close_job, job);
	return job;
}

/* The address that replies come from makes the route go when the node's uplink is made anew. */
static void plan_route(struct net_plan *node, const struct kubelet *kubelet, const char *name, struct ip ip)
{
	*net_plan_route(node) =
		(struct net_route){ .to = { ip, ip.family == 6 ? 128 : 32 }, .link = name, .source = kubelet->options.node_ip };
}

/* mac: of the node's end, of the pod's end. */
static void plan_node_end(struct network_job *job, const struct kubelet *kubelet, struct ip ip, uint8_t mac[2][6])
{
	struct net_link *link = net_plan_link(job->node);
	struct net_neigh *neigh = net_plan_neigh(job->node);

	link->kind = NET_VETH;
	link->name = job->link;
	link->peer = "eth0";
	link->peer_ns = job->pod_netns;
	link->forward = true;
	link->route_localnet = true; /* node ports and host ports of 127.0.0.1 lead here */
	memcpy(link->mac, mac[0], 6);
	memcpy(link->peer_mac, mac[1], 6);
	plan_route(job->node, kubelet, job->link, ip);
	neigh->link = job->link;
	neigh->ip = ip;
	memcpy(neigh->mac, mac[1], 6);
}

static void plan_pod_end(struct network_job *job, struct ip ip, uint8_t mac[2][6])
{
	const struct ip gateway = ip_v4(169, 254, 1, 1);
	struct net_link *link = net_plan_link(job->pod);
	struct net_neigh *neigh = net_plan_neigh(job->pod);

	link->kind = NET_EXISTING;
	link->name = "eth0";
	*net_plan_addr(job->pod) = (struct net_addr){ .link = "eth0", .addr = { ip, ip.family == 6 ? 128 : 32 } };
	neigh->link = "eth0";
	neigh->ip = gateway;
	memcpy(neigh->mac, mac[0], 6);
	*net_plan_route(job->pod) =
		(struct net_route){ .to = { ip_v4(0, 0, 0, 0), 0 }, .via = gateway, .link = "eth0", .onlink = true };
}

static struct error *plug(void *in)
{
	const struct network_job *job = in;
	struct error *err = net_link_delete(job->node_rtnl, job->link); /* of a sandbox before, whose namespace may linger */

	if (err == NULL)
		err = net_apply(job->node_rtnl, job->node);
	if (err == NULL)
		err = net_apply(job->pod_rtnl, job->pod);
	return err != NULL ? error_context(err, "set up the pod's network") : NULL;
}

enum task_result network_plug(struct task *task, struct kubelet *kubelet, const struct network_plug *what)
{
	struct arena *arena = task_arena(task);
	struct network_job *job;
	char *name = arena_raw(arena, LINK_NAME);
	uint8_t mac[2][6];

	if (kubelet->link.rtnl < 0)
		return task_fail(task, link_absent_error(kubelet));
	job = new_job(arena, kubelet);
	link_name(name, what->uid);
	job->link = name;
	job->pod_rtnl = fcntl(what->rtnl, F_DUPFD_CLOEXEC, 0);
	job->pod_netns = fcntl(what->netns, F_DUPFD_CLOEXEC, 0);
	net_mac(mac[0], str_format(arena, "%.*s node", STR_ARG(what->uid)));
	net_mac(mac[1], str_format(arena, "%.*s pod", STR_ARG(what->uid)));
	plan_node_end(job, kubelet, what->ip, mac);
	plan_pod_end(job, what->ip, mac);
	return task_job(task, &kubelet->network_lane, plug, job);
}

static struct error *unplug(void *in)
{
	const struct network_job *job = in;
	struct error *err = net_link_delete(job->node_rtnl, job->link);

	return err != NULL ? error_context(err, "remove a pod's link") : NULL;
}

enum task_result network_unplug(struct task *task, struct kubelet *kubelet, struct str uid)
{
	struct network_job *job;
	char *name;

	if (kubelet->link.rtnl < 0)
		return TASK_NEXT;
	job = new_job(task_arena(task), kubelet);
	name = arena_raw(task_arena(task), LINK_NAME);
	link_name(name, uid);
	job->link = name;
	return task_job(task, &kubelet->network_lane, unplug, job);
}

/* --- after the node process was found --- */

struct orphans {
	const struct map *known;
	VEC(char *) links;
};

static void look_at_link(void *arg, const char *name)
{
	struct orphans *orphans = arg;

	if (strncmp(name, "veth", 4) == 0 && strlen(name) == 12 && map_find(orphans->known, str_from(name)) == NULL)
		vec_push(&orphans->links, xstrdup(name));
}

static void note(struct network_job *job, struct error *err)
{
	if (err != NULL)
		vec_push(&job->errs, err);
}

static void sweep(void *in)
{
	struct network_job *job = in;
	struct orphans orphans = { .known = &job->known };

	for (size_t i = 0; i < job->routes.len; i++)
		note(job, net_apply(job->node_rtnl, job->routes.ptr[i]));
	note(job, net_links(job->node_rtnl, look_at_link, &orphans));
	for (size_t i = 0; i < orphans.links.len; i++) {
		note(job, net_link_delete(job->node_rtnl, orphans.links.ptr[i]));
		free(orphans.links.ptr[i]);
	}
	vec_fini(&orphans.links);
}

static void swept(void *in)
{
	struct network_job *job = in;
	struct kubelet *kubelet = job->kubelet;

	for (size_t i = 0; i < job->errs.len; i++)
		log_consume(LOG_WARN, job->errs.ptr[i], "put the network of pods right");
	arena_free(job->arena);
	closegroup_leave(&kubelet->tasks);
}

static void plan_pod_route(struct network_job *job, const struct kubelet *kubelet, const char *name, struct ip ip)
{
	struct net_plan *plan = net_plan_new(job->arena);

	plan_route(plan, kubelet, name, ip);
	vec_push(&job->routes, plan);
}

void network_sweep(struct kubelet *kubelet)
{
	struct arena *arena;
	struct network_job *job;

	if (kubelet->link.rtnl < 0)
		return;
	arena = arena_new();
	job = new_job(arena, kubelet);
	job->kubelet = kubelet;
	job->arena = arena;
	MAP_EACH (&kubelet->by_uid, it) {
		struct pod *pod = it->value;
		char *name = arena_raw(arena, LINK_NAME);

		link_name(name, it->key);
		map_set(&job->known, str_from(name), kubelet);
		if (pod->sandbox_ready && pod->ip.family != 0 && !pod_host_network(pod))
			plan_pod_route(job, kubelet, name, pod->ip);
	}
	closegroup_add(&kubelet->tasks);
	loop_lane_job(&kubelet->network_lane, sweep, swept, job);
}
