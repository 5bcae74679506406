#include "scheduler/plan.h"

#include <stdlib.h>

#include "api/selector.h"

/* --- amounts --- */

void amounts_fini(struct amounts *amounts)
{
	MAP_EACH (&amounts->others, it)
		free(it->value);
	map_fini(&amounts->others);
	*amounts = (struct amounts){ 0 };
}

static int64_t *other(struct amounts *amounts, struct str name)
{
	int64_t *value = map_find(&amounts->others, name);

	if (value == NULL) {
		value = xcalloc(1, sizeof(*value));
		map_set(&amounts->others, name, value);
	}
	return value;
}

void amounts_add(struct amounts *to, const struct amounts *more, int sign)
{
	for (int i = 0; i < RESOURCE_FIXED; i++)
		to->fixed[i] += sign * more->fixed[i];
	MAP_EACH (&more->others, it)
		*other(to, it->key) += sign * *(int64_t *)it->value;
}

void amounts_of_list(struct amounts *out, const struct json *list)
{
	JSON_EACH (list, it) {
		struct quantity q = quantity_of(it.value);

		if (str_is(it.key, "cpu"))
			out->fixed[RESOURCE_CPU] += quantity_milli(&q);
		else if (str_is(it.key, "memory"))
			out->fixed[RESOURCE_MEMORY] += quantity_value(&q);
		else if (str_is(it.key, "ephemeral-storage"))
			out->fixed[RESOURCE_STORAGE] += quantity_value(&q);
		else if (!str_is(it.key, "pods"))
			*other(out, it.key) += quantity_value(&q);
	}
}

static void larger(struct amounts *to, const struct amounts *than)
{
	for (int i = 0; i < RESOURCE_FIXED; i++)
		if (than->fixed[i] > to->fixed[i])
			to->fixed[i] = than->fixed[i];
	MAP_EACH (&than->others, it) {
		int64_t *value = other(to, it->key);

		if (*(int64_t *)it->value > *value)
			*value = *(int64_t *)it->value;
	}
}

static bool is_sidecar(const struct json *container)
{
	return str_is(json_get_str(container, "restartPolicy"), "Always");
}

void amounts_of_pod(struct amounts *out, const struct json *pod)
{
	struct amounts sidecars = { 0 };

	JSON_EACH (json_path(pod, "spec.containers"), it)
		amounts_of_list(out, json_path(it.value, "resources.requests"));
	JSON_EACH (json_path(pod, "spec.initContainers"), it)
		if (is_sidecar(it.value))
			amounts_of_list(out, json_path(it.value, "resources.requests"));
	JSON_EACH (json_path(pod, "spec.initContainers"), it) {
		const struct json *requests = json_path(it.value, "resources.requests");
		struct amounts now = { 0 };

		/* One that starts later finds the sidecars before it running. */
		if (is_sidecar(it.value)) {
			amounts_of_list(&sidecars, requests);
			continue;
		}
		amounts_of_list(&now, requests);
		amounts_add(&now, &sidecars, 1);
		larger(out, &now);
		amounts_fini(&now);
	}
	amounts_of_list(out, json_path(pod, "spec.overhead"));
	amounts_fini(&sidecars);
}

/* --- filters: NULL when the node passes, else why not --- */

struct look {
	const struct plan *plan;
	const struct plan_node *node;
	struct amounts wants;
};

static bool tolerates(const struct json *pod, const struct json *taint)
{
	JSON_EACH (json_path(pod, "spec.tolerations"), it) {
		struct str key = json_get_str(it.value, "key"), effect = json_get_str(it.value, "effect");
		bool exists = str_is(json_get_str(it.value, "operator"), "Exists");

		if ((effect.len == 0 || str_eq(effect, json_get_str(taint, "effect"))) &&
		    ((key.len == 0 && exists) || str_eq(key, json_get_str(taint, "key"))) &&
		    (exists || str_eq(json_get_str(it.value, "value"), json_get_str(taint, "value"))))
			return true;
	}
	return false;
}

static const char *unschedulable(const struct look *look)
{
	const struct json *taint;

	if (!json_bool(json_path(look->node->tree, "spec.unschedulable")))
		return NULL;
	taint = JSON_OBJECT_OF(look->plan->arena, { "key", json_text(look->plan->arena, "node.kubernetes.io/unschedulable") },
			       { "effect", json_text(look->plan->arena, "NoSchedule") });
	return tolerates(look->plan->pod, taint) ? NULL : "node(s) were unschedulable";
}

static const char *node_name(const struct look *look)
{
	struct str name = json_path_str(look->plan->pod, "spec.nodeName");

	return name.len == 0 || str_eq(name, look->node->name) ? NULL : "node(s) didn't match the requested node name";
}

static const char *taints(const struct look *look)
{
	JSON_EACH (json_path(look->node->tree, "spec.taints"), it) {
		struct str effect = json_get_str(it.value, "effect");

		if ((str_is(effect, "NoSchedule") || str_is(effect, "NoExecute")) && !tolerates(look->plan->pod, it.value))
			return arena_printf(look->plan->arena, "node(s) had untolerated taint {%.*s: %.*s}",
					    STR_ARG(json_get_str(it.value, "key")), STR_ARG(json_get_str(it.value, "value")));
	}
	return NULL;
}

/* One requirement of a NodeSelectorTerm: the operators of label selectors, and Gt and Lt. */
static bool expression_holds(const struct json *labels, const struct json *expression)
{
	const struct json *value = json_find(labels, json_get_str(expression, "key"));
	struct str op = json_get_str(expression, "operator"), text = json_str(value);
	const struct json *values = json_get(expression, "values");
	int64_t a, b;
	bool in = false;

	JSON_EACH (values, it)
		in = in || (value != NULL && str_eq(json_str(it.value), text));
	if (str_is(op, "In"))
		return in;
	if (str_is(op, "NotIn"))
		return !in;
	if (str_is(op, "Exists"))
		return value != NULL;
	if (str_is(op, "DoesNotExist"))
		return value == NULL;
	if (!str_to_i64(text, &a) || !str_to_i64(json_str(json_at(values, 0)), &b))
		return false;
	return str_is(op, "Gt") ? a > b : a < b;
}

static bool term_holds(const struct plan_node *node, const struct json *term)
{
	struct arena *arena = arena_new();
	const struct json *name = JSON_OBJECT_OF(arena, { "metadata.name", json_string(arena, node->name) });
	bool holds = json_len(json_get(term, "matchExpressions")) + json_len(json_get(term, "matchFields")) != 0;

	JSON_EACH (json_get(term, "matchExpressions"), it)
		holds = holds && expression_holds(json_path(node->tree, "metadata.labels"), it.value);
	JSON_EACH (json_get(term, "matchFields"), it)
		holds = holds && expression_holds(name, it.value);
	arena_free(arena);
	return holds;
}

static bool matches_affinity(const struct plan_node *node, const struct json *pod)
{
	const struct json *required = json_path(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");

	JSON_EACH (json_path(pod, "spec.nodeSelector"), it)
		if (!json_equal(json_find(json_path(node->tree, "metadata.labels"), it.key), it.value))
			return false;
	if (required == NULL)
		return true;
	JSON_EACH (json_get(required, "nodeSelectorTerms"), it)
		if (term_holds(node, it.value))
			return true;
	return false;
}

static const char *affinity(const struct look *look)
{
	return matches_affinity(look->node, look->plan->pod) ? NULL : "node(s) didn't match Pod's node affinity/selector";
}

static bool same_address(struct str a, struct str b)
{
	bool any_a = a.len == 0 || str_is(a, "0.0.0.0"), any_b = b.len == 0 || str_is(b, "0.0.0.0");

	return any_a || any_b || str_eq(a, b);
}

static bool port_taken(const struct plan_node *node, const struct json *port)
{
	for (size_t i = 0; i < node->pods.len; i++)
		JSON_EACH (json_path(node->pods.ptr[i].tree, "spec.containers"), container)
			JSON_EACH (json_get(container.value, "ports"), it)
				if (json_int(json_get(it.value, "hostPort"), 0) == json_int(json_get(port, "hostPort"), 0) &&
				    str_eq(json_get_str(it.value, "protocol"), json_get_str(port, "protocol")) &&
				    same_address(json_get_str(it.value, "hostIP"), json_get_str(port, "hostIP")))
					return true;
	return false;
}

static const char *ports(const struct look *look)
{
	JSON_EACH (json_path(look->plan->pod, "spec.containers"), container)
		JSON_EACH (json_get(container.value, "ports"), it)
			if (json_int(json_get(it.value, "hostPort"), 0) != 0 && port_taken(look->node, it.value))
				return "node(s) didn't have free ports for the requested pod ports";
	return NULL;
}

static void join(struct buf *reasons, const char *text, struct str what)
{
	if (reasons->len != 0)
		buf_putc(reasons, '\n');
	buf_printf(reasons, "%s%.*s", text, STR_ARG(what));
}

static const char *resources(const struct look *look)
{
	static const char *const names[] = { "cpu", "memory", "ephemeral-storage" };
	const struct plan_node *node = look->node;
	AUTO_BUF struct buf reasons = { 0 };

	if ((int64_t)node->pods.len + 1 > node->max_pods)
		join(&reasons, "Too many pods", STR(""));
	for (int i = 0; i < RESOURCE_FIXED; i++)
		if (look->wants.fixed[i] > 0 && look->wants.fixed[i] > node->allocatable.fixed[i] - node->used.fixed[i])
			join(&reasons, "Insufficient ", str_from(names[i]));
	MAP_EACH (&look->wants.others, it) {
		const int64_t *has = map_find(&node->allocatable.others, it->key);
		const int64_t *used = map_find(&node->used.others, it->key);

		if (*(int64_t *)it->value > (has != NULL ? *has : 0) - (used != NULL ? *used : 0))
			join(&reasons, "Insufficient ", it->key);
	}
	return reasons.len != 0 ? arena_strdup(look->plan->arena, buf_cstr(&reasons)) : NULL;
}

/* --- topology spread --- */

static struct str domain_of(const struct plan_node *node, struct str key)
{
	return json_str(json_find(json_path(node->tree, "metadata.labels"), key));
}

static int64_t matching_pods(const struct plan_node *node, const struct selector *selector, struct str ns)
{
	int64_t n = 0;

	for (size_t i = 0; i < node->pods.len; i++)
		n += str_eq(node->pods.ptr[i].ns, ns) && json_path(node->pods.ptr[i].tree, "metadata.deletionTimestamp") == NULL &&
		     selector_matches(selector, json_path(node->pods.ptr[i].tree, "metadata.labels"));
	return n;
}

/* Pods per domain: in this one, and in the emptiest eligible one. */
static void count_domains(const struct look *look, const struct json *constraint, const struct selector *selector, int64_t *here,
			  int64_t *least)
{
	const struct plan *plan = look->plan;
	struct str key = json_get_str(constraint, "topologyKey"), ns = json_path_str(plan->pod, "metadata.namespace");
	struct map domains = { 0 };

	for (size_t i = 0; i < plan->n_nodes; i++) {
		struct str domain = domain_of(plan->nodes[i], key);

		if (domain.len == 0 || !matches_affinity(plan->nodes[i], plan->pod))
			continue;
		map_set(&domains, domain,
			(void *)((intptr_t)map_find(&domains, domain) + (intptr_t)matching_pods(plan->nodes[i], selector, ns)));
	}
	*here = (int64_t)(intptr_t)map_find(&domains, domain_of(look->node, key));
	*least = INT64_MAX;
	MAP_EACH (&domains, it)
		if ((int64_t)(intptr_t)it->value < *least)
			*least = (int64_t)(intptr_t)it->value;
	if (json_int(json_get(constraint, "minDomains"), 1) > (int64_t)domains.len)
		*least = 0;
	map_fini(&domains);
}

static bool constraint_selector(const struct look *look, const struct json *constraint, struct selector *selector)
{
	struct error *err = selector_from_object(look->plan->arena, json_get(constraint, "labelSelector"), selector);
	bool ok = err == NULL;

	error_free(err);
	return ok;
}

static const char *spread(const struct look *look)
{
	JSON_EACH (json_path(look->plan->pod, "spec.topologySpreadConstraints"), it) {
		struct selector selector;
		int64_t here, least, self;

		if (!str_is(json_get_str(it.value, "whenUnsatisfiable"), "DoNotSchedule"))
			continue;
		if (domain_of(look->node, json_get_str(it.value, "topologyKey")).len == 0)
			return "node(s) didn't match pod topology spread constraints (missing required label)";
		if (!constraint_selector(look, it.value, &selector))
			continue;
		self = selector_matches(&selector, json_path(look->plan->pod, "metadata.labels"));
		count_domains(look, it.value, &selector, &here, &least);
		if (here + self - least > json_int(json_get(it.value, "maxSkew"), 1))
			return "node(s) didn't match pod topology spread constraints";
	}
	return NULL;
}

static const struct {
	const char *name;
	const char *(*filter)(const struct look *look);
} filters[] = {
	{ "NodeUnschedulable", unschedulable }, { "NodeName", node_name }, { "TaintToleration", taints },
	{ "NodeAffinity", affinity },           { "NodePorts", ports },    { "NodeResourcesFit", resources },
	{ "PodTopologySpread", spread },
};

/* --- scores: 0 to 100, larger is better --- */

static int64_t least_allocated(const struct look *look)
{
	int64_t sum = 0;

	for (int i = RESOURCE_CPU; i <= RESOURCE_MEMORY; i++) {
		int64_t all = look->node->allocatable.fixed[i], used = look->node->used.fixed[i] + look->wants.fixed[i];

		sum += all > 0 && used < all ? (all - used) * 100 / all : 0;
	}
	return sum / 2;
}

static int64_t prefers(const struct look *look)
{
	const struct json *preferred =
		json_path(look->plan->pod, "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution");
	int64_t got = 0, all = 0;

	JSON_EACH (preferred, it) {
		int64_t weight = json_int(json_get(it.value, "weight"), 0);

		all += weight;
		got += term_holds(look->node, json_get(it.value, "preference")) ? weight : 0;
	}
	return all != 0 ? got * 100 / all : 0;
}

static int64_t untainted(const struct look *look)
{
	int64_t n = 0;

	JSON_EACH (json_path(look->node->tree, "spec.taints"), it)
		n += str_is(json_get_str(it.value, "effect"), "PreferNoSchedule") && !tolerates(look->plan->pod, it.value);
	return n == 0 ? 100 : 100 / (n + 1);
}

/* Pods with the same owner go apart, as upstream's default constraints have it; explicit soft constraints likewise. */
static int64_t apart(const struct look *look)
{
	const struct json *labels = json_path(look->plan->pod, "metadata.labels");
	struct str ns = json_path_str(look->plan->pod, "metadata.namespace");
	struct selector selector;
	int64_t n;

	if (json_len(labels) == 0)
		return 0;
	selector_from_map(look->plan->arena, labels, &selector);
	n = matching_pods(look->node, &selector, ns);
	return 100 / (n + 1);
}

static const struct {
	const char *name;
	int64_t weight;
	int64_t (*score)(const struct look *look);
} scores[] = {
	{ "NodeResourcesFit", 1, least_allocated },
	{ "NodeAffinity", 2, prefers },
	{ "TaintToleration", 3, untainted },
	{ "PodTopologySpread", 2, apart },
};

/* --- the choice --- */

static const char *first_reason(const struct look *look)
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		const char *reason = filters[i].filter(look);

		if (reason != NULL)
			return reason;
	}
	return NULL;
}

static int64_t score_of(const struct look *look)
{
	int64_t sum = 0;

	for (size_t i = 0; i < sizeof(scores) / sizeof(scores[0]); i++)
		sum += scores[i].weight * scores[i].score(look);
	return sum;
}

void plan_choose(struct plan *plan)
{
	struct look look = { .plan = plan };
	int64_t best = -1;
	uint64_t equals = 0;

	plan->chosen = NULL;
	plan->reasons = ARENA_ARRAY(plan->arena, const char *, plan->n_nodes + 1);
	plan->scores = ARENA_ARRAY(plan->arena, int64_t, plan->n_nodes + 1);
	amounts_of_pod(&look.wants, plan->pod);
	for (size_t i = 0; i < plan->n_nodes; i++) {
		look.node = plan->nodes[i];
		plan->reasons[i] = first_reason(&look);
		if (plan->reasons[i] != NULL)
			continue;
		plan->scores[i] = score_of(&look);
		if (plan->scores[i] > best) {
			best = plan->scores[i];
			equals = 1;
			plan->chosen = look.node;
		} else if (plan->scores[i] == best && plan->tie % ++equals == 0) {
			plan->chosen = look.node;
		}
	}
	amounts_fini(&look.wants);
}

/* --- the message --- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "2 Insufficient cpu, 1 node(s) were unschedulable": each reason with how many nodes gave it, in order. */
static void write_counts(const struct plan *plan, struct buf *out)
{
	struct map counts = { 0 };
	const char **lines;
	size_t n = 0;

	for (size_t i = 0; i < plan->n_nodes; i++) {
		struct str rest = str_from(plan->reasons[i]), one;

		while (str_cut(&rest, '\n', &one))
			map_set(&counts, one, (void *)((intptr_t)map_find(&counts, one) + 1));
	}
	lines = ARENA_ARRAY(plan->arena, const char *, counts.len + 1);
	MAP_EACH (&counts, it)
		lines[n++] = arena_printf(plan->arena, "%d %.*s", (int)(intptr_t)it->value, STR_ARG(it->key));
	qsort(lines, n, sizeof(lines[0]), by_text);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%s", i != 0 ? ", " : "", lines[i]);
	map_fini(&counts);
}

const char *plan_message(const struct plan *plan)
{
	AUTO_BUF struct buf out = { 0 };

	if (plan->n_nodes == 0)
		return "no nodes available to schedule pods";
	buf_printf(&out, "0/%zu nodes are available: ", plan->n_nodes);
	write_counts(plan, &out);
	buf_printf(&out,
		   ". no new claims to deallocate, preemption: 0/%zu nodes are available: %zu Preemption is not helpful "
		   "for scheduling.",
		   plan->n_nodes, plan->n_nodes);
	return arena_strdup(plan->arena, buf_cstr(&out));
}
