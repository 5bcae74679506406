#include "proxy/plan.h"

#include <netinet/in.h>
#include <stdlib.h>

#define AFFINITY_S 10800 /* Service v1 core: default of sessionAffinityConfig.clientIP.timeoutSeconds */

struct candidate {
	struct nft_endpoint to;
	struct str node;
	bool ready;
	bool local;
};

struct choice {
	VEC(struct candidate) candidates;
	VEC(struct nft_endpoint) all, local;
};

struct work {
	struct plan *plan;
	const struct json *service;
	const struct json *const *slices;
	size_t n_slices;
	const struct plan_options *options;
	bool inside_local;     /* internalTrafficPolicy */
	bool outside_local;    /* externalTrafficPolicy */
	struct str first_node; /* the first by name that has a ready endpoint */
};

void plan_free(struct plan *plan)
{
	if (plan == NULL)
		return;
	vec_fini(&plan->chains);
	vec_fini(&plan->elements);
	vec_fini(&plan->announced);
	arena_free(plan->arena);
	free(plan);
}

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool plan_chain_equal(const struct plan_chain *a, const struct plan_chain *b)
{
	if (a->family != b->family || a->protocol != b->protocol || a->outside != b->outside || a->keep_source != b->keep_source ||
	    a->affinity_ms != b->affinity_ms || a->n != b->n || a->n_allowed != b->n_allowed || !text_equal(a->name, b->name) ||
	    !text_equal(a->then, b->then) || !text_equal(a->pods, b->pods))
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!ip_eq(a->endpoints[i].ip, b->endpoints[i].ip) || a->endpoints[i].port != b->endpoints[i].port)
			return false;
	for (size_t i = 0; i < a->n_allowed; i++)
		if (!ip_eq(a->allowed[i].ip, b->allowed[i].ip) || a->allowed[i].bits != b->allowed[i].bits)
			return false;
	return true;
}

const struct plan_chain *plan_find(const struct plan *plan, const char *chain)
{
	for (size_t i = 0; plan != NULL && chain != NULL && i < plan->chains.len; i++)
		if (strcmp(plan->chains.ptr[i].name, chain) == 0)
			return &plan->chains.ptr[i];
	return NULL;
}

/* --- endpoints of one port in one family --- */

static uint8_t protocol_of(const struct json *port)
{
	struct str name = json_get_str(port, "protocol");

	return str_is(name, "UDP") ? IPPROTO_UDP : str_is(name, "SCTP") ? IPPROTO_SCTP : IPPROTO_TCP;
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "udp" : protocol == IPPROTO_SCTP ? "sctp" : "tcp";
}

static uint16_t slice_port(const struct json *slice, struct str name, uint8_t protocol)
{
	JSON_EACH (json_get(slice, "ports"), it) {
		int64_t number = json_int(json_get(it.value, "port"), 0);

		if (str_eq(json_get_str(it.value, "name"), name) && protocol_of(it.value) == protocol && number > 0 &&
		    number <= UINT16_MAX)
			return (uint16_t)number;
	}
	return 0;
}

static bool condition(const struct json *endpoint, const char *name, bool otherwise)
{
	const struct json *value = json_get(json_get(endpoint, "conditions"), name);

	return json_absent(value) ? otherwise : json_bool(value);
}

static bool is_known(const struct choice *choice, const struct nft_endpoint *to)
{
	for (size_t i = 0; i < choice->candidates.len; i++)
		if (ip_eq(choice->candidates.ptr[i].to.ip, to->ip) && choice->candidates.ptr[i].to.port == to->port)
			return true;
	return false;
}

/* EndpointConditions: ready absent counts as ready; what is not ready but serves while it terminates is the last resort
 * (KEP-1669). Only the first address of an endpoint counts. */
static void add_candidate(struct work *work, struct choice *choice, const struct json *endpoint, uint16_t port, int family)
{
	bool ready = condition(endpoint, "ready", true);
	struct candidate candidate = { .to.port = port, .ready = ready, .node = json_get_str(endpoint, "nodeName") };

	if (!ready && !(condition(endpoint, "serving", ready) && condition(endpoint, "terminating", false)))
		return;
	if (!ip_parse(json_str(json_at(json_get(endpoint, "addresses"), 0)), &candidate.to.ip) ||
	    candidate.to.ip.family != family || is_known(choice, &candidate.to))
		return;
	candidate.local = str_eq(candidate.node, work->options->node_name);
	vec_push(&choice->candidates, candidate);
}

static void select_endpoints(struct choice *choice, bool local)
{
	bool any = false;

	for (size_t i = 0; i < choice->candidates.len; i++)
		any |= choice->candidates.ptr[i].ready && (!local || choice->candidates.ptr[i].local);
	for (size_t i = 0; i < choice->candidates.len; i++) {
		const struct candidate *candidate = &choice->candidates.ptr[i];

		if (candidate->ready != any || (local && !candidate->local))
			continue;
		if (local)
			vec_push(&choice->local, candidate->to);
		else
			vec_push(&choice->all, candidate->to);
	}
}

static int cmp_endpoint(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int cmp = ip_cmp(x->to.ip, y->to.ip);

	return cmp != 0 ? cmp : x->to.port - y->to.port;
}

static void choose(struct work *work, struct choice *choice, const struct json *port, int family)
{
	uint8_t protocol = protocol_of(port);

	for (size_t i = 0; i < work->n_slices; i++) {
		struct str type = json_get_str(work->slices[i], "addressType");
		uint16_t number = slice_port(work->slices[i], json_get_str(port, "name"), protocol);

		if (number == 0 || !str_is(type, family == 6 ? "IPv6" : "IPv4"))
			continue;
		JSON_EACH (json_get(work->slices[i], "endpoints"), it)
			add_candidate(work, choice, it.value, number, family);
	}
	/* In a fixed order, so that equal endpoints make equal chains. */
	if (choice->candidates.len != 0)
		qsort(choice->candidates.ptr, choice->candidates.len, sizeof(struct candidate), cmp_endpoint);
	select_endpoints(choice, false);
	select_endpoints(choice, true);
	for (size_t i = 0; i < choice->candidates.len; i++) {
		struct str node = choice->candidates.ptr[i].node;

		if (choice->candidates.ptr[i].ready && node.len != 0 &&
		    (work->first_node.len == 0 || str_cmp(node, work->first_node) < 0))
			work->first_node = node;
	}
}

static void choice_fini(struct choice *choice)
{
	vec_fini(&choice->candidates);
	vec_fini(&choice->all);
	vec_fini(&choice->local);
}

/* --- rows --- */

static bool is_own(const struct plan_options *options, struct ip ip)
{
	for (size_t i = 0; i < options->n_own; i++)
		if (ip_eq(options->own[i], ip))
			return true;
	return false;
}

static struct plan_chain *add_chain(struct work *work, const char *name, int family, uint8_t protocol,
				    const struct nft_endpoint *endpoints, size_t n)
{
	struct plan_chain *chain = vec_add(&work->plan->chains);

	chain->name = name;
	chain->family = family;
	chain->protocol = protocol;
	chain->n = n;
	if (n != 0) {
		struct nft_endpoint *copy = ARENA_ARRAY(work->plan->arena, struct nft_endpoint, n);

		memcpy(copy, endpoints, n * sizeof(*copy));
		chain->endpoints = copy;
	}
	if (str_is(json_path_str(work->service, "spec.sessionAffinity"), "ClientIP"))
		chain->affinity_ms =
			1000 * json_int(json_path(work->service, "spec.sessionAffinityConfig.clientIP.timeoutSeconds"), AFFINITY_S);
	return chain;
}

static void add_element(struct work *work, enum plan_set set, struct ip ip, uint8_t protocol, uint16_t port, const char *chain)
{
	vec_push(&work->plan->elements, (struct plan_element){ set, ip, protocol, port, chain });
}

struct port_work {
	struct choice choice;
	const char *base;
	int family;
	uint8_t protocol;
	uint16_t port;
	const char *inside; /* chains, once made */
	const char *outside;
	const char *refused; /* where packets from outside go that no chain sent on, or NULL */
};

static void plan_inside(struct work *work, struct port_work *p, struct ip address)
{
	const struct choice *choice = &p->choice;

	if (work->inside_local && choice->local.len != 0)
		p->inside = p->base, add_chain(work, p->base, p->family, p->protocol, choice->local.ptr, choice->local.len);
	else if (!work->inside_local && choice->all.len != 0)
		p->inside = p->base, add_chain(work, p->base, p->family, p->protocol, choice->all.ptr, choice->all.len);
	if (is_own(work->options, address))
		return;
	add_element(work, PLAN_ADDRESSES, address, 0, 0, CHAIN_REFUSE);
	if (p->inside != NULL)
		add_element(work, PLAN_TARGETS, address, p->protocol, p->port, p->inside);
	else
		add_element(work, PLAN_REFUSED, address, p->protocol, p->port, choice->all.len != 0 ? CHAIN_DROP : CHAIN_REFUSE);
}

/* The chain for addresses of the outside. With policy Local only endpoints of this node answer, and clients keep their
 * address; pods and the node itself may go everywhere (Service v1 core, externalTrafficPolicy). */
static void need_outside(struct work *work, struct port_work *p)
{
	const struct choice *choice = &p->choice;
	struct arena *arena = work->plan->arena;
	const char *name = arena_printf(arena, "%s/ext", p->base), *all = p->inside;
	struct plan_chain *chain;

	if (p->outside != NULL || p->refused != NULL)
		return;
	if (choice->all.len == 0) {
		p->refused = CHAIN_REFUSE;
		return;
	}
	if (!work->outside_local) {
		add_chain(work, name, p->family, p->protocol, choice->all.ptr, choice->all.len)->outside = true;
		p->outside = name;
		return;
	}
	if (all == NULL || work->inside_local) {
		all = arena_printf(arena, "%s/all", p->base);
		add_chain(work, all, p->family, p->protocol, choice->all.ptr, choice->all.len);
	}
	chain = add_chain(work, name, p->family, p->protocol, choice->local.ptr, choice->local.len);
	chain->outside = true;
	chain->keep_source = true;
	chain->pods = all;
	p->outside = name;
	p->refused = choice->local.len == 0 ? CHAIN_DROP : NULL;
}

static void outside_address(struct work *work, struct port_work *p, struct ip address, const char *chain)
{
	if (address.family != p->family || is_own(work->options, address))
		return;
	if (chain != NULL)
		add_element(work, PLAN_TARGETS, address, p->protocol, p->port, chain);
	if (p->refused != NULL)
		add_element(work, PLAN_REFUSED, address, p->protocol, p->port, p->refused);
}

/* spec.loadBalancerSourceRanges: a chain in front that lets only these through. */
static const char *guard(struct work *work, struct port_work *p)
{
	const struct json *ranges = json_path(work->service, "spec.loadBalancerSourceRanges");
	struct arena *arena = work->plan->arena;
	struct plan_chain *chain;
	struct cidr *allowed;
	size_t n = 0;

	if (json_len(ranges) == 0 || p->outside == NULL)
		return p->outside;
	allowed = ARENA_ARRAY(arena, struct cidr, json_len(ranges));
	JSON_EACH (ranges, it)
		if (cidr_parse(str_trim(json_str(it.value)), &allowed[n]) && allowed[n].ip.family == p->family)
			n++;
	if (n == 0)
		return p->outside; /* none of this family: upstream then allows all */
	chain = vec_add(&work->plan->chains);
	*chain = (struct plan_chain){ .name = arena_printf(arena, "%s/lb", p->base),
				      .family = p->family,
				      .protocol = p->protocol,
				      .allowed = allowed,
				      .n_allowed = n,
				      .then = p->outside,
				      .outside = true };
	return chain->name;
}

static void plan_outside(struct work *work, struct port_work *p, const struct json *port)
{
	const struct json *ingress = json_path(work->service, "status.loadBalancer.ingress");
	bool balanced = str_is(json_path_str(work->service, "spec.type"), "LoadBalancer") && json_len(ingress) != 0;
	int64_t node_port = json_int(json_get(port, "nodePort"), 0);
	struct ip ip, any = { .family = (uint8_t)p->family };

	if (node_port > 0 && node_port <= UINT16_MAX) {
		need_outside(work, p);
		if (p->outside != NULL)
			add_element(work, PLAN_NODEPORTS, any, p->protocol, (uint16_t)node_port, p->outside);
		if (p->refused != NULL)
			add_element(work, PLAN_REFUSED_NODEPORTS, any, p->protocol, (uint16_t)node_port, p->refused);
	}
	if (json_len(json_path(work->service, "spec.externalIPs")) != 0)
		need_outside(work, p);
	JSON_EACH (json_path(work->service, "spec.externalIPs"), it)
		if (ip_parse(json_str(it.value), &ip))
			outside_address(work, p, ip, p->outside);
	if (balanced) {
		const char *chain;

		need_outside(work, p);
		chain = guard(work, p);
		JSON_EACH (ingress, it)
			if (ip_parse(json_get_str(it.value, "ip"), &ip) && !str_is(json_get_str(it.value, "ipMode"), "Proxy"))
				outside_address(work, p, ip, chain);
	}
}

/* A pod of this node that meets itself must see another sender, or it would answer past the kernel's redirection. */
static void plan_hairpins(struct work *work, const struct choice *choice)
{
	for (size_t i = 0; i < choice->candidates.len; i++)
		if (choice->candidates.ptr[i].local || choice->candidates.ptr[i].node.len == 0)
			add_element(work, PLAN_HAIRPINS, choice->candidates.ptr[i].to.ip, 0, 0, NULL);
}

static void plan_port(struct work *work, const struct json *port, struct ip address)
{
	struct port_work p = { .family = address.family, .protocol = protocol_of(port) };
	const struct json *tree = work->service;
	int64_t number = json_int(json_get(port, "port"), 0);

	if (number <= 0 || number > UINT16_MAX)
		return;
	p.port = (uint16_t)number;
	p.base = arena_printf(work->plan->arena, "%.*s/%.*s/%d/%s/%d", STR_ARG(json_path_str(tree, "metadata.namespace")),
			      STR_ARG(json_path_str(tree, "metadata.name")), p.port, protocol_name(p.protocol), p.family);
	choose(work, &p.choice, port, p.family);
	plan_inside(work, &p, address);
	plan_outside(work, &p, port);
	plan_hairpins(work, &p.choice);
	choice_fini(&p.choice);
}

/* With policy Local only a node with endpoints may hold the address: the first of them by name. */
static void plan_announced(struct work *work)
{
	const struct plan_options *options = work->options;
	bool here = work->outside_local && work->first_node.len != 0 ? str_eq(work->first_node, options->node_name)
								     : options->announce;
	struct ip ip;

	if (!here || !str_is(json_path_str(work->service, "spec.type"), "LoadBalancer"))
		return;
	JSON_EACH (json_path(work->service, "status.loadBalancer.ingress"), it)
		if (ip_parse(json_get_str(it.value, "ip"), &ip))
			vec_push(&work->plan->announced, ip);
}

struct plan *plan_service(const struct json *service, const struct json *const *slices, size_t n,
			  const struct plan_options *options)
{
	const struct json *addresses = json_path(service, "spec.clusterIPs");
	struct work work = { .service = service, .slices = slices, .n_slices = n, .options = options };
	struct str first = json_path_str(service, "spec.clusterIP");
	struct ip ip;

	if (str_is(json_path_str(service, "spec.type"), "ExternalName") || !ip_parse(first, &ip))
		return NULL;
	work.plan = xcalloc(1, sizeof(*work.plan));
	work.plan->arena = arena_new();
	work.inside_local = str_is(json_path_str(service, "spec.internalTrafficPolicy"), "Local");
	work.outside_local = str_is(json_path_str(service, "spec.externalTrafficPolicy"), "Local");
	if (json_len(addresses) == 0)
		addresses = JSON_ARRAY_OF(work.plan->arena, json_path(service, "spec.clusterIP"));
	JSON_EACH (addresses, it)
		if (ip_parse(json_str(it.value), &ip))
			JSON_EACH (json_path(service, "spec.ports"), port)
				plan_port(&work, port.value, ip);
	plan_announced(&work);
	return work.plan;
}

/* --- hostPorts --- */

static void plan_host_port(struct plan *plan, const struct json *pod, const struct json *port, struct ip to)
{
	int64_t outside = json_int(json_get(port, "hostPort"), 0), inside = json_int(json_get(port, "containerPort"), 0);
	struct ip any = { .family = to.family }, at;
	struct nft_endpoint *endpoint;
	struct plan_chain *chain;
	char text[IP_TEXT];

	if (outside <= 0 || outside > UINT16_MAX || inside <= 0 || inside > UINT16_MAX)
		return;
	if (!ip_parse(json_get_str(port, "hostIP"), &at))
		at = any;
	if (at.family != to.family)
		return;
	endpoint = ARENA_NEW(plan->arena, struct nft_endpoint);
	*endpoint = (struct nft_endpoint){ to, (uint16_t)inside };
	chain = vec_add(&plan->chains);
	chain->protocol = protocol_of(port);
	chain->family = to.family;
	chain->outside = true;
	chain->keep_source = true; /* the pod is here, so its answers come back this way */
	chain->endpoints = endpoint;
	chain->n = 1;
	chain->name = arena_printf(plan->arena, "hostport:%.*s/%.*s/%s/%d/%s/%d", STR_ARG(json_path_str(pod, "metadata.namespace")),
				   STR_ARG(json_path_str(pod, "metadata.name")), ip_format(text, at).ptr, (int)outside,
				   protocol_name(chain->protocol), to.family);
	vec_push(&plan->elements, (struct plan_element){ ip_eq(at, any) ? PLAN_NODEPORTS : PLAN_TARGETS, at, chain->protocol,
							 (uint16_t)outside, chain->name });
	vec_push(&plan->elements, (struct plan_element){ PLAN_HAIRPINS, to, 0, 0, NULL });
}

static void plan_host_ports(struct plan *plan, const struct json *pod, const struct json *containers)
{
	const struct json *ips = json_path(pod, "status.podIPs");
	struct ip ip;

	JSON_EACH (containers, container)
		JSON_EACH (json_get(container.value, "ports"), port) {
			JSON_EACH (ips, it)
				if (ip_parse(json_get_str(it.value, "ip"), &ip))
					plan_host_port(plan, pod, port.value, ip);
			if (json_len(ips) == 0 && ip_parse(json_path_str(pod, "status.podIP"), &ip))
				plan_host_port(plan, pod, port.value, ip);
		}
}

struct plan *plan_pod(const struct json *pod, const struct plan_options *options)
{
	struct str phase = json_path_str(pod, "status.phase");
	struct plan *plan;

	if (!str_eq(json_path_str(pod, "spec.nodeName"), options->node_name) || json_bool(json_path(pod, "spec.hostNetwork")) ||
	    str_is(phase, "Succeeded") || str_is(phase, "Failed"))
		return NULL;
	plan = xcalloc(1, sizeof(*plan));
	plan->arena = arena_new();
	plan_host_ports(plan, pod, json_path(pod, "spec.containers"));
	plan_host_ports(plan, pod, json_path(pod, "spec.initContainers"));
	if (plan->chains.len != 0)
		return plan;
	plan_free(plan);
	return NULL;
}
