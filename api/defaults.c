/*
 * Defaults: the walker's part (constants and recursion), and what depends on more than one field.
 *
 * Per struct, from the outside in: constants of its fields, then its hook, then what is below, as upstream's generated
 * functions do. A tree in which nothing changes is returned as it is. Rules: pkg/apis/<group>/<version>/defaults.go.
 */
#include <string.h>

#include "api/api.h"
#include "api/hooks.h"
#include "api/quantity.h"
#include "api/walk.h"
#include "base/codec.h"
#include "base/trace.h"

static defaults_hook *const hooks[] = { NULL,
#define X(name) name,
					CATALOG_DEFAULTS(X)
#undef X
};

/* ---- the walker ---- */

static const struct json *constant(struct arena *arena, const struct field *field)
{
	struct str text = field_sets(field).len != 0 ? field_sets(field) : field_declared(field);
	const struct json *value = NULL;

	if (text.len == 0 || text.ptr[0] == 'r') /* ref(…): a name; sets= has its value */
		return NULL;
	if (str_is(text, "{}") && field->shape == SHAPE_ONE && field_type(field)->form == FORM_STRUCT)
		return walk_zero(arena, field_type(field));
	if (text.ptr[0] == '"')
		return json_string(arena, str_head(str_skip(text, 1), text.len - 2));
	if (text.ptr[0] != '{' && text.ptr[0] != '[' && text.ptr[0] != 't' && text.ptr[0] != 'f')
		return json_number_text(arena, text);
	struct error *err = json_read(arena, text, NULL, &value);
	ASSERT(err == NULL);
	return value;
}

/* A value that means "not said": Go's zero of a field that is no pointer. */
static bool unsaid(const struct field *field, const struct json *value)
{
	if (value == NULL || value->type == JSON_NULL)
		return true;
	if ((field->flags & FIELD_POINTER) != 0 || field->shape != SHAPE_ONE)
		return false;
	return (value->type == JSON_STRING && value->text.len == 0) || (value->type == JSON_NUMBER && str_is(value->text, "0"));
}

/* Of a kind that is described at run time a default is any value, and null is said when the schema allows it. */
static const struct json *set_custom(struct arena *arena, const struct type *type, const struct json *tree)
{
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		const struct json *value = json_find(tree, field_name(field));
		if (field->declared.len == 0 ||
		    !(value == NULL || (value->type == JSON_NULL && (field->flags & FIELD_NULLABLE) == 0)))
			continue;
		struct error *err = json_read(arena, field_declared(field), NULL, &value);
		ASSERT(err == NULL);
		tree = walk_place(arena, type, tree, field, value);
	}
	return tree;
}

static const struct json *set_constants(struct arena *arena, const struct type *type, const struct json *tree)
{
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		if (field->sets.len == 0 && field->declared.len == 0)
			continue;
		if (!unsaid(field, json_find(tree, field_name(field))))
			continue;
		const struct json *value = constant(arena, field);
		if (value != NULL && walk_written(field, value))
			tree = walk_place(arena, type, tree, field, value);
	}
	return tree;
}

/* Upstream rounds every quantity of a ResourceList up to thousandths. */
static const struct json *round_quantities(struct arena *arena, const struct json *map)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (map, it) {
		struct quantity q = quantity_of(it.value), up = quantity_from_milli(quantity_milli(&q));
		up.format = q.format;
		json_builder_put(&b, &it, q.nano % 1000000 == 0 ? it.value : quantity_json(arena, &up));
	}
	return json_builder_like(&b, map);
}

static const struct json *default_elements(struct arena *arena, const struct field *field, const struct json *container)
{
	const struct type *type = field_type(field);
	struct json_builder b = { .arena = arena };

	if (field->shape == SHAPE_MAP && type->form == FORM_QUANTITY)
		return round_quantities(arena, container);
	if ((type->flags & TYPE_HAS_DEFAULTS) == 0)
		return container;
	if (field->shape == SHAPE_ONE)
		return api_default_type(arena, type, container);
	JSON_EACH (container, it)
		json_builder_put(&b, &it, api_default_type(arena, type, it.value));
	return json_builder_like(&b, container);
}

const struct json *api_default_type(struct arena *arena, const struct type *type, const struct json *tree)
{
	if ((type->flags & TYPE_HAS_DEFAULTS) == 0)
		return tree;
	if (type->form == FORM_NESTED)
		return default_elements(arena, type_at(type, 0), tree);
	if (!json_is(tree, JSON_OBJECT))
		return tree;
	tree = (type->flags & TYPE_CUSTOM) != 0 ? set_custom(arena, type, tree) : set_constants(arena, type, tree);
	if (type->defaults != 0)
		tree = hooks[type->defaults](arena, type, tree);
	const struct json *result = tree;
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		const struct json *value = json_find(tree, field_name(field));
		if (json_absent(value))
			continue;
		const struct json *new = default_elements(arena, field, value);
		if (new != value)
			result = json_with_key(arena, result, field_name(field), new);
	}
	return result;
}

const struct json *api_default(struct arena *arena, const struct kind *kind, const struct json *tree)
{
	return api_default_type(arena, kind_type(kind), tree);
}

/* ---- fields behind closed gates ---- */

static const struct json *open_elements(struct arena *arena, const struct field *field, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	if (field->shape == SHAPE_ONE) {
		const struct json *rest = api_without_closed(arena, field_type(field), value);
		/* What had nothing else is not there. */
		return rest != value && (field->flags & FIELD_POINTER) != 0 && json_len(rest) == 0 ? NULL : rest;
	}
	JSON_EACH (value, it)
		json_builder_put(&b, &it, api_without_closed(arena, field_type(field), it.value));
	return json_builder_like(&b, value);
}

const struct json *api_without_closed(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *result = tree;

	if ((type->flags & TYPE_HAS_CLOSED) == 0 || !json_is(tree, JSON_OBJECT))
		return tree;
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		const struct json *value = json_find(tree, field_name(field));
		bool closed = (field->flags & FIELD_CLOSED) != 0;
		const struct json *new = value == NULL || closed ? NULL : open_elements(arena, field, value);
		if (new != value)
			result = json_with_key(arena, result, field_name(field), new);
	}
	return result;
}

/* ---- small helpers for the hooks ---- */

static const struct json *with(struct arena *arena, const struct type *type, const struct json *tree, const char *path,
			       const struct json *value)
{
	return api_with(arena, type, tree, path, value);
}

static const struct json *with_absent(struct arena *arena, const struct type *type, const struct json *tree, const char *path,
				      const struct json *value)
{
	return json_path(tree, path) != NULL ? tree : api_with(arena, type, tree, path, value);
}

/* Members of more that base lacks are added; the result is sorted. */
static const struct json *merged(struct arena *arena, const struct json *base, const struct json *more)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (base, it)
		json_builder_member(&b, it.key, it.value);
	JSON_EACH (more, it)
		if (json_find(base, it.key) == NULL)
			json_builder_member(&b, it.key, it.value);
	if (b.len == json_len(base))
		return base;
	json_builder_sort(&b);
	return json_builder_object(&b);
}

/* ---- core ---- */

/* 64 hexadecimal digits alone are an id, never a name. */
static bool is_digest(struct str name)
{
	if (name.len != 64)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!((name.ptr[i] >= '0' && name.ptr[i] <= '9') || (name.ptr[i] >= 'a' && name.ptr[i] <= 'f')))
			return false;
	return true;
}

/* True for "name", "name:latest" and "name:latest@digest", as parsers.ParseImageName sees it. */
static bool wants_latest(struct str image)
{
	ptrdiff_t at = str_find(image, '@');
	struct str name = at < 0 ? image : str_head(image, (size_t)at);
	ptrdiff_t slash = str_rfind(name, '/'), colon;
	struct str last = str_skip(name, (size_t)(slash + 1));

	if (is_digest(name) || str_find(image, ' ') >= 0)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		bool in_tag = str_rfind(name, ':') > slash && (ptrdiff_t)i > str_rfind(name, ':');
		bool in_host = slash >= 0 && (ptrdiff_t)i < str_find(name, '/');
		if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' && !in_tag && !in_host)
			return false; /* no valid reference, so no tag */
	}
	colon = str_find(last, ':');
	/* A name begins with a letter or a digit. */
	if (last.len == 0 || colon == 0 || last.ptr[0] == '-' || last.ptr[0] == '.' || last.ptr[0] == '_')
		return false;
	if (colon < 0)
		return at < 0;
	return str_is(str_skip(last, (size_t)colon + 1), "latest");
}

static const struct json *pull_policy(struct arena *arena, struct str image)
{
	return json_text(arena, wants_latest(image) ? "Always" : "IfNotPresent");
}

const struct json *container_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	return with_absent(arena, type, tree, "imagePullPolicy", pull_policy(arena, json_get_str(tree, "image")));
}

const struct json *image_volume_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	return with_absent(arena, type, tree, "pullPolicy", pull_policy(arena, json_get_str(tree, "reference")));
}

const struct json *volume_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	JSON_EACH (tree, it)
		if (!str_is(it.key, "name"))
			return tree;
	return with(arena, type, tree, "emptyDir", &json_empty_object);
}

/* What a pod needs of each resource: the sum of its containers and sidecars, or one init container, if that needs more.
 * which: "requests" or "limits". */
static const struct json *aggregate(struct arena *arena, const struct json *spec, const char *which)
{
	struct json_draft sidecars = json_draft_of(arena, NULL), peak = sidecars;
	const struct json *path = json_get(spec, "initContainers");

	for (int round = 0; round < 2; round++) {
		JSON_EACH (round == 0 ? path : json_get(spec, "containers"), it) {
			bool sidecar = round == 0 && str_is(json_get_str(it.value, "restartPolicy"), "Always");
			JSON_EACH (json_get(json_get(it.value, "resources"), which), r) {
				struct json_draft *to = round == 1 || sidecar ? &sidecars : &peak;
				struct quantity q = quantity_of(r.value), have = quantity_of(json_draft_get(to, r.key)), side;
				if (round == 1 || sidecar) {
					quantity_add(&have, &q);
				} else {
					side = quantity_of(json_draft_get(&sidecars, r.key));
					quantity_add(&q, &side);
					have = quantity_cmp(&q, &have) > 0 ? q : have;
				}
				json_draft_set(to, r.key, quantity_json(arena, &have));
			}
		}
	}
	JSON_EACH (json_draft_object(&peak), it) {
		struct quantity q = quantity_of(it.value), have = quantity_of(json_draft_get(&sidecars, it.key));
		if (quantity_cmp(&q, &have) > 0)
			json_draft_set(&sidecars, it.key, it.value);
	}
	return sidecars.members.len == 0 ? NULL : json_draft_object(&sidecars);
}

static bool pod_level(struct str resource)
{
	return str_is(resource, "cpu") || str_is(resource, "memory") || str_has_prefix(resource, STR("hugepages-"));
}

static const struct json *pod_level_limits(struct arena *arena, const struct json *spec, const struct json *resources)
{
	const struct json *limits = json_get(resources, "limits");
	struct json_builder more = { .arena = arena };

	JSON_EACH (aggregate(arena, spec, "limits"), it)
		if (str_has_prefix(it.key, STR("hugepages-")) && json_find(json_get(resources, "requests"), it.key) == NULL)
			json_builder_member(&more, it.key, it.value);
	return merged(arena, limits, json_builder_object(&more));
}

static const struct json *pod_level_requests(struct arena *arena, const struct json *spec, const struct json *resources,
					     const struct json *limits)
{
	const struct json *requests = json_get(resources, "requests");
	struct json_builder more = { .arena = arena }, rest = { .arena = arena };

	JSON_EACH (aggregate(arena, spec, "requests"), it)
		if (str_is(it.key, "cpu") || str_is(it.key, "memory"))
			json_builder_member(&more, it.key, it.value);
	requests = merged(arena, requests, json_builder_object(&more));
	JSON_EACH (limits, it)
		if (pod_level(it.key))
			json_builder_member(&rest, it.key, it.value);
	return merged(arena, requests, json_builder_object(&rest));
}

static const struct json *requests_from_limits(struct arena *arena, const struct type *pod, const struct json *tree,
					       const char *list)
{
	JSON_EACH (json_path(tree, list), it) {
		const struct json *resources = json_get(it.value, "resources");
		const struct json *requests = json_get(resources, "requests");
		const struct json *full = merged(arena, requests, json_get(resources, "limits"));
		if (full != requests && json_len(full) != 0)
			tree = with(arena, pod, tree, arena_printf(arena, "%s.%zu.resources.requests", list, it.index), full);
	}
	return tree;
}

static const struct json *host_ports(struct arena *arena, const struct type *pod, const struct json *tree, const char *list)
{
	JSON_EACH (json_path(tree, list), it)
		JSON_EACH (json_get(it.value, "ports"), port)
			if (json_get(port.value, "hostPort") == NULL)
				tree = with(arena, pod, tree,
					    arena_printf(arena, "%s.%zu.ports.%zu.hostPort", list, it.index, port.index),
					    json_get(port.value, "containerPort"));
	return tree;
}

/* serviceAccount is the old name of serviceAccountName; both are always written. */
const struct json *pod_spec_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	tree = with_absent(arena, type, tree, "serviceAccountName", json_get(tree, "serviceAccount"));
	if (str_eq(json_get_str(tree, "serviceAccountName"), json_get_str(tree, "serviceAccount")))
		return tree;
	return with(arena, type, tree, "serviceAccount", json_get(tree, "serviceAccountName"));
}

/* podIP is the first of podIPs; where they differ, podIP is right. */
const struct json *pod_status_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *ip = json_get(tree, "podIP"), *first = json_path(tree, "podIPs.0.ip");

	if (ip == NULL && first != NULL)
		return with(arena, type, tree, "podIP", first);
	if (ip != NULL && !json_equal(ip, first))
		return with(arena, type, tree, "podIPs", JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "ip", ip })));
	return tree;
}

const struct json *pod_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	tree = requests_from_limits(arena, type, tree, "spec.containers");
	tree = requests_from_limits(arena, type, tree, "spec.initContainers");
	const struct json *resources = json_path(tree, "spec.resources");
	if (json_len(json_get(resources, "limits")) + json_len(json_get(resources, "requests")) != 0) {
		const struct json *limits = pod_level_limits(arena, json_get(tree, "spec"), resources);
		if (json_len(limits) != 0) {
			const struct json *requests = pod_level_requests(arena, json_get(tree, "spec"), resources, limits);
			tree = with(arena, type, tree, "spec.resources.limits", limits);
			if (json_len(requests) != 0)
				tree = with(arena, type, tree, "spec.resources.requests", requests);
		}
	}
	tree = with_absent(arena, type, tree, "spec.enableServiceLinks", &json_true);
	if (json_bool(json_path(tree, "spec.hostNetwork"))) {
		tree = host_ports(arena, type, tree, "spec.containers");
		tree = host_ports(arena, type, tree, "spec.initContainers");
	}
	return tree;
}

const struct json *service_port_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *target = json_get(tree, "targetPort");

	if (json_int(target, 1) == 0 || (json_is(target, JSON_STRING) && target->text.len == 0))
		tree = with(arena, type, tree, "targetPort", json_get(tree, "port"));
	return tree;
}

const struct json *service_spec_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	struct str kind = json_get_str(tree, "type"), affinity = json_get_str(tree, "sessionAffinity");
	bool balancer = str_is(kind, "LoadBalancer"), node_port = str_is(kind, "NodePort"), cluster = str_is(kind, "ClusterIP");

	if (str_is(affinity, "None"))
		tree = with(arena, type, tree, "sessionAffinityConfig", NULL);
	if (str_is(affinity, "ClientIP") && json_path(tree, "sessionAffinityConfig.clientIP.timeoutSeconds") == NULL)
		tree = with(arena, type, tree, "sessionAffinityConfig.clientIP.timeoutSeconds", json_number(arena, 10800));
	if (balancer || node_port || (cluster && json_len(json_get(tree, "externalIPs")) != 0))
		tree = with_absent(arena, type, tree, "externalTrafficPolicy", json_text(arena, "Cluster"));
	if (balancer || node_port || cluster)
		tree = with_absent(arena, type, tree, "internalTrafficPolicy", json_text(arena, "Cluster"));
	if (balancer)
		tree = with_absent(arena, type, tree, "allocateLoadBalancerNodePorts", &json_true);
	return tree;
}

const struct json *service_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	if (!str_is(json_path_str(tree, "spec.type"), "LoadBalancer"))
		return tree;
	JSON_EACH (json_path(tree, "status.loadBalancer.ingress"), it)
		if (json_get_str(it.value, "ip").len != 0 && json_get(it.value, "ipMode") == NULL)
			tree = with(arena, type, tree, arena_printf(arena, "status.loadBalancer.ingress.%zu.ipMode", it.index),
				    json_text(arena, "VIP"));
	return tree;
}

const struct json *namespace_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	static const char label[] = "kubernetes.io/metadata.name";
	const struct json *name = json_path(tree, "metadata.name"), *labels = json_path(tree, "metadata.labels");
	struct json_builder b = { .arena = arena };

	if (json_str(name).len == 0 || str_eq(json_get_str(labels, label), json_str(name)))
		return tree;
	labels = json_with(arena, labels, label, name);
	JSON_EACH (labels, it)
		json_builder_member(&b, it.key, it.value);
	json_builder_sort(&b);
	return with(arena, type, tree, "metadata.labels", json_builder_object(&b));
}

/* stringData is written into data; it never comes back. */
const struct json *secret_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *data = json_get(tree, "data");
	struct json_builder b = { .arena = arena };

	if (json_get(tree, "stringData") == NULL)
		return tree;
	JSON_EACH (json_get(tree, "stringData"), it) {
		AUTO_BUF struct buf text = { 0 };
		base64_encode(&text, json_str(it.value));
		json_builder_member(&b, it.key, json_string_copy(arena, buf_str(&text)));
	}
	data = merged(arena, json_builder_object(&b), data);
	struct json_builder sorted = { .arena = arena };
	JSON_EACH (data, it)
		json_builder_member(&sorted, it.key, it.value);
	json_builder_sort(&sorted);
	return with(arena, type, with(arena, type, tree, "stringData", NULL), "data", json_builder_object(&sorted));
}

const struct json *node_spec_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *one = json_get(tree, "podCIDR"), *all = json_get(tree, "podCIDRs");

	if (one == NULL && json_len(all) != 0)
		return with(arena, type, tree, "podCIDR", json_at(all, 0));
	if (one != NULL && !json_equal(one, json_at(all, 0)))
		return with(arena, type, tree, "podCIDRs", JSON_ARRAY_OF(arena, one));
	return tree;
}

const struct json *node_status_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	return with_absent(arena, type, tree, "allocatable", json_get(tree, "capacity"));
}

const struct json *limit_range_item_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *limits, *requests;

	if (!str_is(json_get_str(tree, "type"), "Container"))
		return tree;
	limits = merged(arena, json_get(tree, "default"), json_get(tree, "max"));
	requests = merged(arena, json_get(tree, "defaultRequest"), limits);
	requests = merged(arena, requests, json_get(tree, "min"));
	tree = with(arena, type, tree, "default", limits);
	return with(arena, type, tree, "defaultRequest", requests);
}

const struct json *replication_controller_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *labels = json_path(tree, "spec.template.metadata.labels");

	tree = with_absent(arena, type, tree, "spec.selector", labels);
	return with_absent(arena, type, tree, "metadata.labels", labels);
}

/* ---- the other groups ---- */

const struct json *rolling_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	if (!str_is(json_get_str(tree, "type"), "RollingUpdate"))
		return tree;
	return with_absent(arena, type, tree, "rollingUpdate", &json_empty_object);
}

const struct json *stateful_set_strategy_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	if (json_get_str(tree, "type").len != 0)
		return tree;
	tree = with(arena, type, tree, "type", json_text(arena, "RollingUpdate"));
	return with_absent(arena, type, tree, "rollingUpdate", &json_empty_object);
}

const struct json *stateful_set_spec_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *claims = json_get(tree, "volumeClaimTemplates"), *named;
	struct json_builder b = { .arena = arena };

	JSON_EACH (claims, it)
		json_builder_put(&b, &it, api_with_type(arena, it.value, STR("v1"), STR("PersistentVolumeClaim")));
	named = json_builder_like(&b, claims);
	return named == claims ? tree : with(arena, type, tree, "volumeClaimTemplates", named);
}

/* The generation of the template has its place there. */
const struct json *daemon_set_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	static const char name[] = "deprecated.daemonset.template.generation";
	const struct json *annotations = json_path(tree, "metadata.annotations");
	struct json_builder b = { .arena = arena };

	if (json_get(annotations, name) != NULL)
		return tree;
	JSON_EACH (json_with(arena, annotations, name, json_text(arena, "0")), it)
		json_builder_member(&b, it.key, it.value);
	json_builder_sort(&b);
	return with(arena, type, tree, "metadata.annotations", json_builder_object(&b));
}

/* Of a Job only: a CronJob's template keeps what it says. */
const struct json *job_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *spec = json_get(tree, "spec"), *one = json_number(arena, 1);
	bool indexed = json_get(spec, "backoffLimitPerIndex") != NULL, policy = json_get(spec, "podFailurePolicy") != NULL;

	if (json_get(spec, "completions") == NULL && json_get(spec, "parallelism") == NULL)
		tree = with(arena, type, tree, "spec.completions", one);
	tree = with_absent(arena, type, tree, "spec.parallelism", one);
	tree = with_absent(arena, type, tree, "spec.backoffLimit", json_number(arena, indexed ? INT32_MAX : 6));
	tree = with_absent(arena, type, tree, "metadata.labels", json_path(tree, "spec.template.metadata.labels"));
	tree = with_absent(arena, type, tree, "spec.completionMode", json_text(arena, "NonIndexed"));
	tree = with_absent(arena, type, tree, "spec.suspend", &json_false);
	tree = with_absent(arena, type, tree, "spec.podReplacementPolicy",
			   json_text(arena, policy ? "Failed" : "TerminatingOrFailed"));
	return with_absent(arena, type, tree, "spec.manualSelector", &json_false);
}

/* One direction of the behaviour: what the person said on top of what is usual. */
static const struct json *scaling_rules(struct arena *arena, const struct type *type, const struct json *tree, bool up)
{
	const char *said = up ? "behavior.scaleUp" : "behavior.scaleDown";
	const char *text = up ? "[{\"type\":\"Pods\",\"value\":4,\"periodSeconds\":15},"
				"{\"type\":\"Percent\",\"value\":100,\"periodSeconds\":15}]"
			      : "[{\"type\":\"Percent\",\"value\":100,\"periodSeconds\":15}]";
	const struct json *policies = NULL;
	struct error *err = json_read(arena, str_from(text), NULL, &policies);

	ASSERT(err == NULL);
	tree = with_absent(arena, type, tree, arena_printf(arena, "%s.policies", said), policies);
	tree = with_absent(arena, type, tree, arena_printf(arena, "%s.selectPolicy", said), json_text(arena, "Max"));
	if (up)
		tree = with_absent(arena, type, tree, "behavior.scaleUp.stabilizationWindowSeconds", json_number(arena, 0));
	return tree;
}

const struct json *autoscaler_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	static const char cpu[] = "[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":"
				  "{\"type\":\"Utilization\",\"averageUtilization\":80}}}]";
	const struct json *metrics = NULL;

	if (json_len(json_get(tree, "metrics")) == 0) {
		struct error *err = json_read(arena, str_from(cpu), NULL, &metrics);
		ASSERT(err == NULL);
		tree = with(arena, type, tree, "metrics", metrics);
	}
	if (json_get(tree, "behavior") == NULL)
		return tree;
	return scaling_rules(arena, type, scaling_rules(arena, type, tree, true), false);
}

const struct json *network_policy_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *egress = json_len(json_get(tree, "egress")) != 0 ? json_text(arena, "Egress") : NULL;

	return with_absent(arena, type, tree, "policyTypes", JSON_ARRAY_OF(arena, json_text(arena, "Ingress"), egress));
}

const struct json *subject_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	struct str kind = json_get_str(tree, "kind");

	if (str_is(kind, "User") || str_is(kind, "Group"))
		tree = with_absent(arena, type, tree, "apiGroup", json_text(arena, "rbac.authorization.k8s.io"));
	return tree;
}

const struct json *device_request_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	if (str_is(json_get_str(tree, "allocationMode"), "ExactCount"))
		tree = with_absent(arena, type, tree, "count", json_number(arena, 1));
	return tree;
}

const struct json *crd_names_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	struct str kind = json_get_str(tree, "kind");

	if (kind.len == 0)
		return tree;
	if (json_get_str(tree, "singular").len == 0)
		tree = with(arena, type, tree, "singular", json_string(arena, str_lower(arena, kind)));
	if (json_get_str(tree, "listKind").len == 0)
		tree = with(arena, type, tree, "listKind", json_printf(arena, "%.*sList", STR_ARG(kind)));
	return tree;
}

const struct json *crd_defaults(struct arena *arena, const struct type *type, const struct json *tree)
{
	if (json_len(json_path(tree, "status.storedVersions")) != 0)
		return tree;
	JSON_EACH (json_path(tree, "spec.versions"), it)
		if (json_bool(json_get(it.value, "storage")))
			return with(arena, type, tree, "status.storedVersions", JSON_ARRAY_OF(arena, json_get(it.value, "name")));
	return tree;
}
