/*
 * The decision: a pod and what is known of the nodes in, a node and the reasons against the others out. Pure: no clock, no
 * client, no chance but the given tie-breaker. Private to scheduler and its tests.
 *
 * Filters and scores are rows of two tables in plan.c. Texts are upstream's.
 */
#ifndef SCHEDULER_PLAN_H
#define SCHEDULER_PLAN_H

#include "api/quantity.h"
#include "base/base.h"
#include "json/json.h"

enum { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_STORAGE, RESOURCE_FIXED };

/* Amounts: cpu in thousandths, the rest in units; further resources by name. */
struct amounts {
	int64_t fixed[RESOURCE_FIXED];
	struct map others; /* name to (int64_t *) value, heap */
};

void amounts_fini(struct amounts *amounts);
void amounts_add(struct amounts *to, const struct amounts *more, int sign);
/* What a pod asks for: the larger of its containers together and any init container, plus sidecars and overhead. */
void amounts_of_pod(struct amounts *out, const struct json *pod);
void amounts_of_list(struct amounts *out, const struct json *list); /* a ResourceList */

struct plan_pod {
	const struct json *tree;
	struct str ns;
};

/* A node with the pods that are (or will be) on it. */
struct plan_node {
	struct str name;
	const struct json *tree;
	struct amounts allocatable, used;
	int64_t max_pods;
	VEC(struct plan_pod) pods;
};

struct plan {
	const struct json *pod;
	struct plan_node *const *nodes;
	size_t n_nodes;
	uint64_t tie;        /* which of equal ones */
	struct arena *arena; /* for texts */
	/* answers */
	const struct plan_node *chosen; /* NULL: none fits */
	const char **reasons;           /* per node, NULL: it fits; several joined by ", " where upstream counts each */
	int64_t *scores;                /* per node */
};

void plan_choose(struct plan *plan);
/* "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. …" */
const char *plan_message(const struct plan *plan);

#endif
