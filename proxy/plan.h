/*
 * What one Service wants of the kernel, as data: chains that send connections to endpoints, and elements of the maps that
 * lead to them. Pure: a Service, its EndpointSlices and the node in, a plan out. The hostPorts of a pod are a plan, too.
 *
 * A port of a Service has up to four chains per family: NS/NAME/PORT/tcp/4 (inside), …/ext (from outside), …/all (pods to
 * an outside address with policy Local) and …/lb (only from allowed sources). Private to proxy.
 */
#ifndef PROXY_PLAN_H
#define PROXY_PLAN_H

#include "base/base.h"
#include "json/json.h"
#include "netns/netns.h"

#define CHAIN_REFUSE "refuse" /* answers that nobody is there */
#define CHAIN_DROP   "drop"

struct plan_options {
	struct str node_name;
	struct ip node_ip;
	const char *uplink;
	struct cidr pod_cidr;
	struct ip own[4];
	size_t n_own;
	bool announce;
};

enum plan_set {
	PLAN_TARGETS,   /* address . protocol . port to a chain */
	PLAN_NODEPORTS, /* protocol . port, on addresses of the node, to a chain */
	PLAN_REFUSED,   /* the same for what has no endpoint: to CHAIN_REFUSE or CHAIN_DROP */
	PLAN_REFUSED_NODEPORTS,
	PLAN_ADDRESSES, /* cluster addresses: other ports of them are refused */
	PLAN_HAIRPINS,  /* address . address of endpoints that may talk to themselves */
	PLAN_SETS,
};

struct plan_element {
	enum plan_set set;
	struct ip ip; /* its family is that of the set, also where the address does not matter */
	uint8_t protocol;
	uint16_t port;
	const char *chain; /* NULL: hairpins */
};

/* Rules in this order; what is absent makes no rule. */
struct plan_chain {
	const char *name;
	int family;
	uint8_t protocol;
	const struct cidr *allowed; /* sources that go on to `then`; all others are dropped */
	size_t n_allowed;
	const char *then;
	const char *pods;    /* where connections from pods and from the node itself go */
	bool outside;        /* reached by addresses of the outside */
	bool keep_source;    /* never masquerade */
	int64_t affinity_ms; /* a client returns to its endpoint within that time */
	const struct nft_endpoint *endpoints;
	size_t n;
};

struct plan {
	VEC(struct plan_chain) chains;
	VEC(struct plan_element) elements;
	VEC(struct ip) announced; /* addresses that this node answers for on its uplink */
	struct arena *arena;      /* of what the rows point to; the plan's own */
};

/* The EndpointSlices of the Service, of all families; trees may go afterwards. NULL: no rules (headless, ExternalName). */
struct plan *plan_service(const struct json *service, const struct json *const *slices, size_t n,
			  const struct plan_options *options);
/* The hostPorts of a pod of this node; NULL: it has none, or no address yet. */
struct plan *plan_pod(const struct json *pod, const struct plan_options *options);
void plan_free(struct plan *plan); /* NULL is fine */

bool plan_chain_equal(const struct plan_chain *a, const struct plan_chain *b);
const struct plan_chain *plan_find(const struct plan *plan, const char *chain); /* NULL is fine, and may come out */

#endif
