#include "proxy/proxy.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "netns/netns.h"
#include "proxy/plan.h"
#include "proxy/rules.h"

#define GATHER (2 * NS_PER_MS) /* changes within this time become one transaction */
#define RETRY  NS_PER_S
#define POD    "pod:"

struct proxy {
	struct proxy_options options;
	struct plan_options plan_options;
	char *node_name, *uplink;
	struct informer *services, *slices, *pods;
	int by_service;   /* index of slices */
	int by_node;      /* index of pods */
	struct map plans; /* "ns/name" of a Service or "pod:ns/name" to its struct plan in force */
	struct map dirty; /* keys to look at again */
	bool anew;        /* nobody knows what the kernel has */
	bool known;       /* which addresses the uplink had was looked up */
	struct rules *rules;
	struct loop_timer timer;
	struct loop_poll *ear;
	struct map announced; /* address as text, on the uplink */
};

/* One Service within one transaction. */
struct change {
	char *key;
	struct plan *old, *now;
};

static void apply(void *arg);

/* --- what changed --- */

static void later(struct proxy *self, int64_t ns)
{
	if (!loop_timer_running(&self->timer))
		loop_timer_start(&self->timer, ns, apply, self);
}

static void mark(struct proxy *self, const char *kind, struct str ns, struct str name)
{
	AUTO_FREE char *key = xasprintf("%s%.*s/%.*s", kind, STR_ARG(ns), STR_ARG(name));

	map_set(&self->dirty, str_from(key), self);
	later(self, GATHER);
}

static void service_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct object *service = now != NULL ? now : old;

	(void)revision;
	mark(arg, "", object_namespace(service), object_name(service));
}

static struct str service_of(struct object *slice)
{
	return json_get_str(json_path(object_tree(slice), "metadata.labels"), "kubernetes.io/service-name");
}

static void slice_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	(void)revision;
	if (old != NULL)
		mark(arg, "", object_namespace(old), service_of(old));
	if (now != NULL)
		mark(arg, "", object_namespace(now), service_of(now));
}

/* Most pods have no hostPort: those come here for nothing, which is cheaper than to know. */
static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct object *pod = now != NULL ? now : old;
	struct proxy *self = arg;

	(void)revision;
	if (str_is(json_path_str(object_tree(pod), "spec.nodeName"), self->node_name))
		mark(self, POD, object_namespace(pod), object_name(pod));
}

static void synced(void *arg)
{
	later(arg, GATHER);
}

static void slice_keys(struct object *slice, void (*emit)(void *to, struct str key), void *to)
{
	struct str ns = object_namespace(slice), name = service_of(slice);
	AUTO_FREE char *key = xasprintf("%.*s/%.*s", STR_ARG(ns), STR_ARG(name));

	if (name.len != 0)
		emit(to, str_from(key));
}

/* --- plans --- */

static struct plan *plan_key(struct proxy *self, struct str key)
{
	struct object *service = informer_find_key(self->services, key);
	struct object_list slices = informer_lookup(self->slices, self->by_service, key);
	const struct json **trees;
	struct plan *plan;

	if (str_has_prefix(key, STR(POD))) {
		struct object *pod = informer_find_key(self->pods, str_skip(key, strlen(POD)));

		return pod != NULL ? plan_pod(object_tree(pod), &self->plan_options) : NULL;
	}
	if (service == NULL)
		return NULL;
	trees = xcalloc(slices.len + 1, sizeof(struct json *));
	for (size_t i = 0; i < slices.len; i++)
		trees[i] = object_tree(slices.ptr[i]);
	plan = plan_service(object_tree(service), trees, slices.len, &self->plan_options);
	free(trees);
	return plan;
}

static void forget_plans(struct proxy *self)
{
	MAP_EACH (&self->plans, it)
		plan_free(it->value);
	map_fini(&self->plans);
}

/* --- addresses on the uplink --- */

static struct cidr host_prefix(struct ip ip)
{
	return (struct cidr){ ip, ip.family == 6 ? 128 : 32 };
}

static struct error *announce(struct proxy *self, struct ip ip)
{
	struct arena *arena = arena_new();
	struct net_plan *plan = net_plan_new(arena);
	struct error *err;

	*net_plan_addr(plan) = (struct net_addr){ self->uplink, host_prefix(ip) };
	err = net_apply(self->options.rtnl_fd, plan);
	arena_free(arena);
	return err;
}

/* A process before this one may have left addresses; those that nobody wants any more go like all others. */
static void note_prefix(void *arg, struct cidr prefix)
{
	struct proxy *self = arg;
	char text[IP_TEXT];

	if (prefix.bits == (prefix.ip.family == 6 ? 128 : 32) && !ip_eq(prefix.ip, self->options.node_ip))
		map_set(&self->announced, ip_format(text, prefix.ip), self);
}

static void announce_all(struct proxy *self)
{
	struct map wanted = { 0 };
	char text[IP_TEXT];

	if (!self->known)
		log_consume(LOG_WARN, net_prefixes(self->options.rtnl_fd, note_prefix, self), "list addresses of the node");
	MAP_EACH (&self->plans, it) {
		const struct plan *plan = it->value;

		for (size_t i = 0; i < plan->announced.len; i++)
			map_set(&wanted, ip_format(text, plan->announced.ptr[i]), self);
	}
	MAP_EACH (&self->announced, it) {
		struct ip ip;

		if (map_find(&wanted, it->key) != NULL || !ip_parse(it->key, &ip))
			continue;
		log_consume(LOG_WARN, net_addr_delete(self->options.rtnl_fd, self->uplink, host_prefix(ip)),
			    "take address of a Service from the uplink");
		map_take(&self->announced, it->key);
	}
	MAP_EACH (&wanted, it) {
		struct error *err = NULL;
		struct ip ip;

		if ((self->known && map_find(&self->announced, it->key) != NULL) || !ip_parse(it->key, &ip))
			continue;
		err = announce(self, ip);
		if (err == NULL)
			map_set(&self->announced, it->key, self);
		log_consume(LOG_WARN, err, "put address of a Service on the uplink");
	}
	map_fini(&wanted);
	self->known = true;
}

/* --- UDP: the kernel would go on sending a flow where it went before --- */

static bool leads_to(const struct plan *plan, const char *name, struct ip ip, uint16_t port)
{
	const struct plan_chain *chain = plan_find(plan, name);

	for (size_t i = 0; chain != NULL && i < chain->n; i++)
		if (chain->endpoints[i].port == port && ip_eq(chain->endpoints[i].ip, ip))
			return true;
	return chain != NULL && (leads_to(plan, chain->then, ip, port) || leads_to(plan, chain->pods, ip, port));
}

static const struct plan_element *target_of(const struct plan *plan, const struct net_flow *flow)
{
	for (size_t i = 0; plan != NULL && i < plan->elements.len; i++) {
		const struct plan_element *element = &plan->elements.ptr[i];

		if (element->protocol != flow->protocol || element->port != flow->to_port)
			continue;
		if (element->set == PLAN_TARGETS && ip_eq(element->ip, flow->to))
			return element;
		/* Of flows to that port those that were redirected: others may be to anybody. */
		if (element->set == PLAN_NODEPORTS && element->ip.family == flow->to.family && !ip_eq(flow->to, flow->answers))
			return element;
	}
	return NULL;
}

struct changes {
	VEC(struct change) list;
};

static bool is_stale(void *arg, const struct net_flow *flow)
{
	const struct changes *changes = arg;

	for (size_t i = 0; i < changes->list.len; i++) {
		const struct change *change = &changes->list.ptr[i];
		const struct plan_element *now = target_of(change->now, flow), *old = target_of(change->old, flow);

		if (now != NULL)
			return !leads_to(change->now, now->chain, flow->answers, flow->answers_port);
		if (old != NULL && leads_to(change->old, old->chain, flow->answers, flow->answers_port))
			return true;
	}
	return false;
}

static bool udp_differs(const struct plan *a, const struct plan *b)
{
	for (size_t i = 0; a != NULL && i < a->chains.len; i++) {
		const struct plan_chain *chain = &a->chains.ptr[i], *other = plan_find(b, chain->name);

		if (chain->protocol == IPPROTO_UDP && (other == NULL || !plan_chain_equal(chain, other)))
			return true;
	}
	return false;
}

static void forget_flows(struct proxy *self, struct changes *changes)
{
	for (size_t i = 0; i < changes->list.len; i++) {
		const struct change *change = &changes->list.ptr[i];

		if (!udp_differs(change->old, change->now) && !udp_differs(change->now, change->old))
			continue;
		log_consume(LOG_WARN, net_flows_forget(self->options.nfnl_fd, IPPROTO_UDP, is_stale, changes),
			    "forget UDP flows of changed Services");
		return;
	}
}

/* --- transactions --- */

static void add_change(struct proxy *self, struct changes *changes, struct str key)
{
	struct change change = { .old = map_find(&self->plans, key), .now = plan_key(self, key) };

	if (change.old == NULL && change.now == NULL)
		return;
	change.key = xmemdup(key.ptr, key.len);
	vec_push(&changes->list, change);
	rules_change(self->rules, change.old, change.now);
}

static void mark_all(struct proxy *self)
{
	struct object_list pods = informer_lookup(self->pods, self->by_node, str_from(self->node_name));

	INFORMER_EACH (self->services, service)
		mark(self, "", object_namespace(service), object_name(service));
	for (size_t i = 0; i < pods.len; i++)
		mark(self, POD, object_namespace(pods.ptr[i]), object_name(pods.ptr[i]));
	MAP_EACH (&self->plans, it) /* of what is gone, too */
		map_set(&self->dirty, it->key, self);
}

static void gather(struct proxy *self, struct changes *changes)
{
	rules_begin(self->rules, self->anew);
	if (self->anew)
		mark_all(self);
	loop_timer_stop(&self->timer);
	MAP_EACH (&self->dirty, it)
		add_change(self, changes, it->key);
	map_fini(&self->dirty);
}

static void keep_plans(struct proxy *self, struct changes *changes)
{
	for (size_t i = 0; i < changes->list.len; i++) {
		struct change *change = &changes->list.ptr[i];

		if (change->now != NULL)
			map_set(&self->plans, str_from(change->key), change->now);
		else
			map_take(&self->plans, str_from(change->key));
		plan_free(change->old);
		free(change->key);
	}
	vec_fini(&changes->list);
}

static void apply(void *arg)
{
	struct proxy *self = arg;
	struct changes changes = { 0 };
	struct error *err = NULL;
	struct nft_batch *batch;
	bool anew = self->anew;

	if (!informer_synced(self->services) || !informer_synced(self->slices) || !informer_synced(self->pods))
		return;
	gather(self, &changes);
	batch = rules_end(self->rules);
	if (batch != NULL)
		err = nft_apply(self->options.nfnl_fd, batch);
	nft_batch_free(batch);
	if (err == NULL)
		forget_flows(self, &changes);
	if (changes.list.len != 0 || !self->known) {
		keep_plans(self, &changes);
		announce_all(self);
	}
	/* What the kernel has cannot be told any more: all of it is written again. A second refusal is waited out. */
	self->anew = err != NULL;
	if (err != NULL) {
		log_consume(anew ? LOG_ERROR : LOG_WARN, err, "rules of Services");
		later(self, anew ? RETRY : 0);
	}
}

static void heard(void *arg, int events)
{
	struct proxy *self = arg;
	bool gone = false, exists = true;

	log_consume(LOG_WARN, nft_read_changes(self->options.ear_fd, PROXY_TABLE, &gone), "hear of changed rules");
	/* So many changes at once that some were lost; the loop takes that for a broken descriptor. */
	if ((events & LOOP_HANGUP) != 0)
		loop_poll_change(self->ear, LOOP_READ);
	if (!gone)
		return;
	log_consume(LOG_WARN, nft_table_exists(self->options.nfnl_fd, PROXY_TABLE, &exists), "look for the table");
	if (exists || self->anew)
		return;
	log_info("somebody removed the rules of Services; they come back", "node=%s", self->node_name);
	self->anew = true;
	later(self, 0);
}

/* --- life --- */

/* Connections to NodePorts of 127.0.0.1 leave by the uplink when their endpoint is on another node. */
static void prepare_uplink(struct proxy *self)
{
	struct arena *arena = arena_new();
	struct net_plan *plan = net_plan_new(arena);

	*net_plan_link(plan) =
		(struct net_link){ .kind = NET_EXISTING, .name = self->uplink, .peer_ns = -1, .route_localnet = true };
	log_consume(LOG_WARN, net_apply(self->options.rtnl_fd, plan), "prepare the uplink for NodePorts");
	arena_free(arena);
}

void proxy_uplink_anew(struct proxy *self)
{
	bool had = self->known;

	prepare_uplink(self);
	map_fini(&self->announced);
	self->known = false;
	if (had) /* else the first transaction does that */
		announce_all(self);
}

struct proxy *proxy_start(const struct proxy_options *options)
{
	static const struct informer_events service_events = { .changed = service_changed, .synced = synced };
	static const struct informer_events slice_events = { .changed = slice_changed, .synced = synced };
	static const struct informer_events pod_events = { .changed = pod_changed, .synced = synced };
	struct proxy *self = xcalloc(1, sizeof(*self));

	self->options = *options;
	self->node_name = xstrdup(options->node_name);
	self->uplink = options->uplink != NULL ? xstrdup(options->uplink) : xstrdup("eth0");
	self->options.node_name = self->node_name;
	self->options.uplink = self->uplink;
	self->plan_options = (struct plan_options){ .node_name = str_from(self->node_name),
						    .node_ip = options->node_ip,
						    .uplink = self->uplink,
						    .pod_cidr = options->pod_cidr,
						    .n_own = options->n_own,
						    .announce = options->announce };
	memcpy(self->plan_options.own, options->own, sizeof(options->own));
	self->rules = rules_new(&self->plan_options);
	self->anew = true;
	self->timer.weak = true;
	prepare_uplink(self);
	log_consume(LOG_WARN, nft_subscribe(options->ear_fd), "listen for changes of rules");
	self->ear = loop_poll(options->ear_fd, LOOP_READ, heard, self);
	self->services = client_informer(options->client, kind_must("v1", "Service"));
	self->slices = client_informer(options->client, kind_must("discovery.k8s.io/v1", "EndpointSlice"));
	self->pods = client_informer(options->client, kind_must("v1", "Pod"));
	self->by_node = informer_add_index(self->pods, index_by_node);
	self->by_service = informer_add_index(self->slices, slice_keys);
	informer_listen(self->services, &service_events, self);
	informer_listen(self->slices, &slice_events, self);
	informer_listen(self->pods, &pod_events, self);
	later(self, GATHER);
	return self;
}

void proxy_stop(struct proxy *self)
{
	if (self == NULL)
		return;
	informer_unlisten(self->services, self);
	informer_unlisten(self->slices, self);
	informer_unlisten(self->pods, self);
	loop_timer_stop(&self->timer);
	loop_poll_close(self->ear);
	forget_plans(self);
	map_fini(&self->dirty);
	map_fini(&self->announced);
	rules_free(self->rules);
	free(self->node_name);
	free(self->uplink);
	free(self);
}
