/*
 * Nodes: a pod range for each, and what happens when one is no longer heard of: its condition, its taints, and in the end
 * its pods. Sources: k8s.io/kubernetes/pkg/controller/{nodelifecycle,nodeipam,tainteviction}.
 */
#include <stdio.h>
#include <stdlib.h>

#include "controllers/private.h"

#define NOT_READY   "node.kubernetes.io/not-ready"
#define UNREACHABLE "node.kubernetes.io/unreachable"
#define GRACE       (40 * NS_PER_S)
#define LOOK_EVERY  (5 * NS_PER_S)

struct nodes {
	struct client *client;
	struct workqueue *queue;
	struct informer *nodes, *leases, *pods;
	int pods_by_node;
	int64_t grace;
	struct cidr pod_cidr;
};

static void nodes_stop(void *arg)
{
	struct nodes *self = arg;

	informer_unlisten(self->nodes, self->queue);
	if (self->pods != NULL)
		informer_unlisten(self->pods, self);
	workqueue_free(self->queue);
	free(self);
}

static struct nodes *nodes_start(struct client *client, const char *name, struct error *(*reconcile)(void *arg, struct work *work))
{
	struct nodes *self = xcalloc(1, sizeof(*self));
	struct informer_events changes = queue_changes();

	self->client = client;
	self->queue = workqueue_new(
		&(struct workqueue_options){ .client = client, .name = name, .reconcile = reconcile, .arg = self, .workers = 1 });
	self->nodes = client_informer(client, kind_must("v1", "Node"));
	informer_listen(self->nodes, &changes, self->queue);
	return self;
}

/* --- pod ranges --- */

static struct cidr range_of(const struct nodes *self, uint64_t index)
{
	uint8_t bits = self->pod_cidr.ip.family == 6 ? 64 : 24;
	uint64_t step = self->pod_cidr.ip.family == 6 ? 0 : 256;
	struct cidr range = { cidr_first(self->pod_cidr), bits };

	if (self->pod_cidr.ip.family == 6)
		range.ip.bytes[7] = (uint8_t)(range.ip.bytes[7] + index);
	else
		range.ip = ip_add(range.ip, index * step);
	return range;
}

static bool range_taken(const struct nodes *self, struct str text)
{
	INFORMER_EACH (self->nodes, node)
		if (str_eq(json_path_str(object_tree(node), "spec.podCIDR"), text))
			return true;
	return false;
}

static struct error *sync_range(void *arg, struct work *work)
{
	struct nodes *self = arg;
	struct object *node = informer_find_key(self->nodes, work->key);
	char text[IP_TEXT];
	struct str range = STR("");
	const struct json *value;

	if (node == NULL || json_path(object_tree(node), "spec.podCIDR") != NULL)
		return NULL;
	if (!informer_synced(self->nodes)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	for (uint64_t i = 0; i < 256 && range.len == 0; i++)
		if (!range_taken(self, cidr_format(text, range_of(self, i))))
			range = str_from(text);
	if (range.len == 0)
		return error_new(ERR_UNAVAILABLE, "no pod range is left for node %.*s", STR_ARG(work->key));
	value = json_string(work->arena, range);
	work_call(work,
		  &(struct api_call){
			  .verb = VERB_PATCH,
			  .patch = API_PATCH_MERGE,
			  .kind = kind_must("v1", "Node"),
			  .name = work->key,
			  .body = JSON_OBJECT_OF(work->arena,
						 { "spec", JSON_OBJECT_OF(work->arena, { "podCIDR", value },
									  { "podCIDRs", JSON_ARRAY_OF(work->arena, value) }) }) });
	return NULL;
}

static void *start_ranges(const struct controllers_options *options, struct client *client)
{
	struct nodes *self = nodes_start(client, "node-ipam", sync_range);

	self->pod_cidr = options->pod_cidr;
	return self;
}

const struct controller node_ipam_controller = { "node-ipam-controller", start_ranges, nodes_stop };

/* --- life --- */

/* When the node was last heard of: its lease, or its status, whichever is newer. */
static int64_t heard(struct nodes *self, struct object *node)
{
	struct object *lease = informer_find(self->leases, STR("kube-node-lease"), object_name(node));
	int64_t by_lease = 0, by_status = 0, created = 0;

	if (lease != NULL)
		time_parse(json_path_str(object_tree(lease), "spec.renewTime"), &by_lease);
	time_parse(json_get_str(condition_of(object_tree(node), "Ready"), "lastHeartbeatTime"), &by_status);
	time_parse(json_path_str(object_tree(node), "metadata.creationTimestamp"), &created);
	if (by_status > by_lease)
		by_lease = by_status;
	return by_lease > created ? by_lease : created;
}

static const struct json *lost_conditions(struct arena *arena, const struct json *tree)
{
	static const char *const types[] = { "MemoryPressure", "DiskPressure", "PIDPressure", "Ready" };
	const struct json *conditions = json_path(tree, "status.conditions");

	for (int i = 0; i < 4; i++)
		conditions = conditions_with(arena, conditions,
					     &(struct condition){ types[i], "Unknown", "NodeStatusUnknown",
								  "Kubelet stopped posting node status.", false });
	return conditions;
}

static bool has_taint(const struct json *tree, const char *key, const char *effect)
{
	JSON_EACH (json_path(tree, "spec.taints"), it)
		if (str_is(json_get_str(it.value, "key"), key) && str_is(json_get_str(it.value, "effect"), effect))
			return true;
	return false;
}

static bool is_ours(const struct json *taint)
{
	struct str key = json_get_str(taint, "key");

	return str_is(key, NOT_READY) || str_is(key, UNREACHABLE) ||
	       (str_is(key, "node.kubernetes.io/unschedulable") && str_is(json_get_str(taint, "effect"), "NoSchedule"));
}

static const struct json *taint(struct arena *arena, const char *key, const char *effect, bool timed)
{
	return JSON_OBJECT_OF(arena, { "key", json_text(arena, key) }, { "effect", json_text(arena, effect) },
			      { "timeAdded", timed ? time_json(arena, clock_now()) : NULL });
}

/* The taints a node shall have: those that are not ours, and ours by its state. */
static const struct json *wanted_taints(struct arena *arena, const struct json *tree)
{
	struct str ready = json_get_str(condition_of(tree, "Ready"), "status");
	const char *key = str_is(ready, "False") || ready.len == 0 ? NOT_READY : str_is(ready, "Unknown") ? UNREACHABLE : NULL;
	struct json_builder taints = { .arena = arena };

	JSON_EACH (json_path(tree, "spec.taints"), it) {
		bool keep = !is_ours(it.value) || (key != NULL && str_is(json_get_str(it.value, "key"), key)) ||
			    (json_bool(json_path(tree, "spec.unschedulable")) &&
			     str_is(json_get_str(it.value, "key"), "node.kubernetes.io/unschedulable"));

		if (keep)
			json_builder_item(&taints, it.value);
	}
	if (key != NULL && !has_taint(tree, key, "NoSchedule"))
		json_builder_item(&taints, taint(arena, key, "NoSchedule", true));
	if (key != NULL && !has_taint(tree, key, "NoExecute"))
		json_builder_item(&taints, taint(arena, key, "NoExecute", true));
	if (json_bool(json_path(tree, "spec.unschedulable")) && !has_taint(tree, "node.kubernetes.io/unschedulable", "NoSchedule"))
		json_builder_item(&taints, taint(arena, "node.kubernetes.io/unschedulable", "NoSchedule", true));
	return taints.len != 0 ? json_builder_array(&taints) : NULL;
}

/* How long a pod bears a NoExecute taint, ns: 0 not at all, -1 for ever. */
static int64_t bears(const struct json *pod, const struct json *taint_value)
{
	int64_t least = -2;

	JSON_EACH (json_path(pod, "spec.tolerations"), it) {
		struct str key = json_get_str(it.value, "key"), effect = json_get_str(it.value, "effect");
		bool exists = str_is(json_get_str(it.value, "operator"), "Exists");
		const struct json *seconds = json_get(it.value, "tolerationSeconds");

		if ((effect.len != 0 && !str_is(effect, "NoExecute")) ||
		    (key.len != 0 && !str_eq(key, json_get_str(taint_value, "key"))) || (key.len == 0 && !exists) ||
		    (!exists && !str_eq(json_get_str(it.value, "value"), json_get_str(taint_value, "value"))))
			continue;
		if (seconds == NULL) {
			least = least == -2 ? -1 : least;
			continue;
		}
		if (least < 0 || json_int(seconds, 0) * NS_PER_S < least)
			least = json_int(seconds, 0) * NS_PER_S;
	}
	return least == -2 ? 0 : least;
}

static void evict(struct nodes *self, struct work *work, struct object *pod)
{
	struct arena *arena = work->arena;
	const struct json *conditions =
		conditions_with(arena, json_path(object_tree(pod), "status.conditions"),
				&(struct condition){ "DisruptionTarget", "True", "DeletionByTaintManager",
						     "Taint manager: deleting due to NoExecute taint", false });

	client_event(self->client,
		     &(struct client_event){ .about = pod,
					     .type = "Normal",
					     .reason = "TaintManagerEviction",
					     .component = "taint-eviction-controller",
					     .cause = work->cause },
		     "Marking for deletion Pod %.*s/%.*s", STR_ARG(object_namespace(pod)), STR_ARG(object_name(pod)));
	work_call(work, &(struct api_call){
				.verb = VERB_PATCH,
				.patch = API_PATCH_MERGE,
				.kind = pod_kind(),
				.ns = object_namespace(pod),
				.name = object_name(pod),
				.subresource = STR("status"),
				.body = JSON_OBJECT_OF(arena, { "status", JSON_OBJECT_OF(arena, { "conditions", conditions }) }) });
	work_call(work, &(struct api_call){
				.verb = VERB_DELETE, .kind = pod_kind(), .ns = object_namespace(pod), .name = object_name(pod) });
}

static void evict_pods(struct nodes *self, struct work *work, struct object *node)
{
	struct object_list pods = informer_lookup(self->pods, self->pods_by_node, object_name(node));

	JSON_EACH (json_path(object_tree(node), "spec.taints"), it) {
		int64_t since = age_of(json_get(it.value, "timeAdded"));

		if (!str_is(json_get_str(it.value, "effect"), "NoExecute"))
			continue;
		for (size_t i = 0; i < pods.len; i++) {
			const struct json *pod = object_tree(pods.ptr[i]);
			int64_t bearing = bears(pod, it.value);

			if (bearing < 0 || is_deleting(pod) || pod_is_over(pod))
				continue;
			if (bearing == 0 || (since >= 0 && since >= bearing))
				evict(self, work, pods.ptr[i]);
			else
				work_again(work, since >= 0 ? bearing - since : bearing);
		}
	}
}

/* Whoever has said since that the pod is ready is alive: to contradict it would have both write without an end. */
static bool said_since(const struct json *pod, const struct json *node)
{
	int64_t said, turned;

	return time_parse(json_get_str(condition_of(pod, "Ready"), "lastTransitionTime"), &said) &&
	       time_parse(json_get_str(condition_of(node, "Ready"), "lastTransitionTime"), &turned) && said >= turned;
}

/* Pods of a node that is not ready are not ready either. */
static void unready_pods(struct nodes *self, struct work *work, struct object *node)
{
	struct object_list pods = informer_lookup(self->pods, self->pods_by_node, object_name(node));

	for (size_t i = 0; i < pods.len; i++) {
		const struct json *pod = object_tree(pods.ptr[i]);

		if (!pod_is_ready(pod) || said_since(pod, object_tree(node)))
			continue;
		work_call(
			work,
			&(struct api_call){
				.verb = VERB_PATCH,
				.patch = API_PATCH_STRATEGIC,
				.kind = pod_kind(),
				.ns = object_namespace(pods.ptr[i]),
				.name = object_name(pods.ptr[i]),
				.subresource = STR("status"),
				.body = JSON_OBJECT_OF(
					work->arena,
					{ "status",
					  JSON_OBJECT_OF(
						  work->arena,
						  { "conditions",
						    JSON_ARRAY_OF(work->arena,
								  JSON_OBJECT_OF(work->arena,
										 { "type", json_text(work->arena, "Ready") },
										 { "status", json_text(work->arena, "False") },
										 { "lastTransitionTime",
										   time_json(work->arena, clock_now()) })) }) }) });
	}
}

static struct error *sync_life(void *arg, struct work *work)
{
	struct nodes *self = arg;
	struct object *node = informer_find_key(self->nodes, work->key);
	const struct json *tree, *taints;
	int64_t silent;

	if (node == NULL)
		return NULL;
	if (!informer_synced(self->leases) || !informer_synced(self->pods)) {
		work_again(work, 50 * NS_PER_MS);
		return NULL;
	}
	object_keep(work->arena, node);
	tree = object_tree(node);
	silent = clock_now() - heard(self, node);
	if (silent > self->grace && !str_is(json_get_str(condition_of(tree, "Ready"), "status"), "Unknown")) {
		work_call(work, &(struct api_call){ .verb = VERB_UPDATE,
						    .kind = kind_must("v1", "Node"),
						    .name = work->key,
						    .subresource = STR("status"),
						    .body = json_with_path(work->arena, tree, "status.conditions",
									   lost_conditions(work->arena, tree)) });
		return NULL; /* its own change wakes us again */
	}
	if (condition_of(tree, "Ready") != NULL && !condition_true(tree, "Ready"))
		unready_pods(self, work, node);
	/* Look again when the grace could be over. */
	work_again(work, silent < self->grace ? self->grace - silent + NS_PER_S : LOOK_EVERY);
	taints = wanted_taints(work->arena, tree);
	if (!json_equal(taints, json_path(tree, "spec.taints")))
		work_call(work, &(struct api_call){
					.verb = VERB_PATCH,
					.patch = API_PATCH_MERGE,
					.kind = kind_must("v1", "Node"),
					.name = work->key,
					.body = JSON_OBJECT_OF(
						work->arena,
						{ "spec", JSON_OBJECT_OF(work->arena,
									 { "taints", taints != NULL ? taints : &json_null }) }) });
	else
		evict_pods(self, work, node);
	return NULL;
}

/* A pod that comes to a tainted node is looked at, too. */
static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct nodes *self = arg;
	struct str node = now != NULL ? json_path_str(object_tree(now), "spec.nodeName") : STR("");
	struct object *object = node.len != 0 ? informer_find_key(self->nodes, node) : NULL;

	(void)old;
	if (object != NULL && json_path(object_tree(object), "spec.taints") != NULL)
		workqueue_add(self->queue, node, revision);
}

static void *start_life(const struct controllers_options *options, struct client *client)
{
	static const struct informer_events pod_events = { .changed = pod_changed };
	struct nodes *self = nodes_start(client, "node-lifecycle", sync_life);

	self->grace = options->node_grace != 0 ? options->node_grace : GRACE;
	self->leases = client_informer(client, kind_must("coordination.k8s.io/v1", "Lease"));
	self->pods = client_informer(client, pod_kind());
	self->pods_by_node = informer_add_index(self->pods, index_by_node);
	informer_listen(self->pods, &pod_events, self);
	return self;
}

const struct controller node_lifecycle_controller = { "node-controller", start_life, nodes_stop };
