/*
 * ReplicaSets and ReplicationControllers: as many pods as asked for. One mechanism, two kinds.
 * Source: k8s.io/kubernetes/pkg/controller/replicaset.
 */
#include <stdio.h>
#include <stdlib.h>

#include "controllers/private.h"

struct sets {
	struct client *client;
	const struct kind *kind;
	const char *component; /* in events */
	struct workqueue *queue;
	struct informer *sets, *pods;
	int pods_by_owner, pods_by_namespace;
};

/* --- who owns a pod --- */

static struct error *selector_of(struct sets *self, struct arena *arena, const struct json *set, struct selector *out)
{
	const struct json *selector = json_path(set, "spec.selector");

	/* A ReplicationController's selector is a plain map. */
	if (str_is(kind_name(self->kind), "ReplicationController"))
		selector = JSON_OBJECT_OF(arena, { "matchLabels", selector });
	return selector_from_object(arena, selector, out);
}

static bool selects(struct sets *self, struct arena *arena, const struct json *set, struct selector *out)
{
	struct error *err = selector_of(self, arena, set, out);
	bool ok = err == NULL;

	error_free(err);
	return ok;
}

static void wake_matching(struct sets *self, struct object *pod, uint64_t revision)
{
	const struct json *labels = labels_of(object_tree(pod));
	struct arena *arena = arena_new();

	INFORMER_EACH (self->sets, set) {
		struct selector selector;

		if (!str_eq(object_namespace(set), object_namespace(pod)))
			continue;
		if (selects(self, arena, object_tree(set), &selector) && selector_matches(&selector, labels))
			workqueue_add(self->queue, object_path(arena, set), revision);
	}
	arena_free(arena);
}

static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct sets *self = arg;
	struct str name = kind_name(self->kind);
	char kind[64];

	snprintf(kind, sizeof(kind), "%.*s", STR_ARG(name));
	queue_owner(self->queue, kind, old, revision);
	queue_owner(self->queue, kind, now, revision);
	if (now != NULL && controller_of(object_tree(now)) == NULL && informer_len(self->sets) != 0)
		wake_matching(self, now, revision);
}

/* --- pure decisions --- */

/* Which pods of too many go first: those that run nowhere, then pending ones, unready ones, and the youngest.
 * Source: k8s.io/kubernetes/pkg/controller/controller_utils.go, ActivePodsWithRanks. */
static int phase_rank(const struct json *pod)
{
	struct str phase = json_path_str(pod, "status.phase");

	return str_is(phase, "Running") ? 2 : str_is(phase, "Pending") ? 0 : 1;
}

static int64_t deletion_cost(const struct json *pod)
{
	int64_t cost = 0;

	str_to_i64(json_get_str(json_path(pod, "metadata.annotations"), "controller.kubernetes.io/pod-deletion-cost"), &cost);
	return cost;
}

static int by_dispensability(const void *a, const void *b)
{
	const struct json *x = object_tree(*(struct object *const *)a), *y = object_tree(*(struct object *const *)b);
	int64_t order[5] = {
		(json_path(x, "spec.nodeName") != NULL) - (json_path(y, "spec.nodeName") != NULL),
		phase_rank(x) - phase_rank(y),
		pod_is_ready(x) - pod_is_ready(y),
		deletion_cost(x) - deletion_cost(y),
		/* the younger one first */
		-str_cmp(json_path_str(x, "metadata.creationTimestamp"), json_path_str(y, "metadata.creationTimestamp")),
	};

	for (int i = 0; i < 5; i++)
		if (order[i] != 0)
			return order[i] < 0 ? -1 : 1;
	return str_cmp(json_path_str(x, "metadata.name"), json_path_str(y, "metadata.name"));
}

static bool is_active(const struct json *pod)
{
	return !pod_is_over(pod) && !is_deleting(pod);
}

/* --- writes --- */

static const struct json *new_pod(struct sets *self, struct arena *arena, struct object *set)
{
	const struct json *tree = object_tree(set), *template = json_path(tree, "spec.template");
	const struct json *meta = json_get(template, "metadata");
	const struct json *pod_meta =
		JSON_OBJECT_OF(arena, { "generateName", json_printf(arena, "%.*s-", STR_ARG(object_name(set))) },
			       { "namespace", json_path(tree, "metadata.namespace") }, { "labels", json_get(meta, "labels") },
			       { "annotations", json_get(meta, "annotations") }, { "finalizers", json_get(meta, "finalizers") },
			       { "ownerReferences", JSON_ARRAY_OF(arena, owner_reference(arena, set)) });

	(void)self;
	return JSON_OBJECT_OF(arena, { "metadata", pod_meta }, { "spec", json_get(template, "spec") });
}

struct one_write {
	struct sets *self;
	struct object *set;
	struct str pod;
	char *failure; /* where to put the text of a failed creation; shared by the writes of one reconcile */
};

static void pod_created(void *arg, struct api_reply *reply)
{
	struct one_write *write = arg;
	struct client_event event = { .about = write->set, .component = write->self->component };

	if (reply->err != NULL) {
		event.type = "Warning";
		event.reason = "FailedCreate";
		client_event(write->self->client, &event, "Error creating: %s", reply->err->text);
		return;
	}
	event.type = "Normal";
	event.reason = "SuccessfulCreate";
	event.cause = object_revision(reply->object);
	client_event(write->self->client, &event, "Created pod: %.*s", STR_ARG(object_name(reply->object)));
}

static void pod_deleted(void *arg, struct api_reply *reply)
{
	struct one_write *write = arg;
	struct client_event event = {
		.about = write->set, .component = write->self->component, .type = "Normal", .reason = "SuccessfulDelete"
	};

	if (reply->err != NULL)
		return;
	client_event(write->self->client, &event, "Deleted pod: %.*s", STR_ARG(write->pod));
}

static struct one_write *one_write(struct sets *self, struct work *work, struct object *set, struct object *pod)
{
	struct one_write *write = ARENA_NEW(work->arena, struct one_write);

	*write = (struct one_write){ .self = self, .set = set };
	if (pod != NULL)
		write->pod = str_dup(work->arena, object_name(pod));
	return write;
}

#define BURST 500 /* creations and deletions of one reconcile, as upstream */

static void create_pods(struct sets *self, struct work *work, struct object *set, size_t n)
{
	const struct json *pod = new_pod(self, work->arena, set);

	for (size_t i = 0; i < n && i < BURST; i++)
		work_call(work, &(struct api_call){ .verb = VERB_CREATE,
						    .kind = pod_kind(),
						    .ns = object_namespace(set),
						    .body = pod,
						    .done = pod_created,
						    .arg = one_write(self, work, set, NULL) });
}

static void delete_pods(struct sets *self, struct work *work, struct object *set, struct object **pods, size_t n, size_t excess)
{
	qsort(pods, n, sizeof(pods[0]), by_dispensability);
	for (size_t i = 0; i < excess && i < BURST; i++)
		work_call(work,
			  &(struct api_call){ .verb = VERB_DELETE,
					      .kind = pod_kind(),
					      .ns = object_namespace(pods[i]),
					      .name = object_name(pods[i]),
					      .body = JSON_OBJECT_OF(
						      work->arena,
						      { "preconditions",
							JSON_OBJECT_OF(work->arena,
								       { "uid", json_string(work->arena, object_uid(pods[i])) }) }),
					      .done = pod_deleted,
					      .arg = one_write(self, work, set, pods[i]) });
}

/* A pod without an owner that matches becomes ours; one of ours that no longer matches is let go. */
static void set_owner(struct work *work, struct object *pod, const struct json *references)
{
	struct arena *arena = work->arena;
	const struct json *patch =
		JSON_OBJECT_OF(arena, { "metadata", JSON_OBJECT_OF(arena, { "uid", json_string(arena, object_uid(pod)) },
								   { "ownerReferences", references }) });

	work_call(work, &(struct api_call){ .verb = VERB_PATCH,
					    .patch = API_PATCH_MERGE,
					    .kind = pod_kind(),
					    .ns = object_namespace(pod),
					    .name = object_name(pod),
					    .body = patch });
}

static void adopt(struct work *work, struct object *set, struct object *pod)
{
	const struct json *old = json_path(object_tree(pod), "metadata.ownerReferences");

	set_owner(work, pod, json_append(work->arena, old, owner_reference(work->arena, set)));
}

static void let_go(struct work *work, struct object *set, struct object *pod)
{
	struct json_builder kept = { .arena = work->arena };

	JSON_EACH (json_path(object_tree(pod), "metadata.ownerReferences"), it)
		if (!str_eq(json_get_str(it.value, "uid"), object_uid(set)))
			json_builder_item(&kept, it.value);
	set_owner(work, pod, kept.len != 0 ? json_builder_array(&kept) : &json_null);
}

/* --- status --- */

struct counts {
	int64_t replicas, labeled, ready, available, terminating;
	int64_t wait; /* ns until another pod becomes available; 0: none will by time alone */
};

static const struct json *number(struct arena *arena, int64_t n, bool always)
{
	return n != 0 || always ? json_number(arena, n) : NULL;
}

static void write_status(struct sets *self, struct work *work, struct object *set, const struct counts *counts)
{
	struct arena *arena = work->arena;
	const struct json *tree = object_tree(set), *status;

	status = JSON_OBJECT_OF(arena, { "replicas", number(arena, counts->replicas, true) },
				{ "fullyLabeledReplicas", number(arena, counts->labeled, false) },
				{ "readyReplicas", number(arena, counts->ready, false) },
				{ "availableReplicas", number(arena, counts->available, false) },
				{ "terminatingReplicas",
				  str_is(kind_name(self->kind), "ReplicaSet") ? number(arena, counts->terminating, true) : NULL },
				{ "observedGeneration", json_path(tree, "metadata.generation") },
				{ "conditions", json_path(tree, "status.conditions") });
	if (json_equal(status, json_get(tree, "status")))
		return;
	work_call(work, &(struct api_call){ .verb = VERB_UPDATE,
					    .kind = self->kind,
					    .ns = object_namespace(set),
					    .name = object_name(set),
					    .subresource = STR("status"),
					    .body = json_with(arena, tree, "status", status) });
}

static void count_pod(struct counts *counts, const struct json *pod, const struct json *template, int64_t min_ready)
{
	bool labeled = true;

	counts->replicas++;
	JSON_EACH (json_path(template, "metadata.labels"), it)
		labeled = labeled && json_equal(json_find(labels_of(pod), it.key), it.value);
	counts->labeled += labeled;
	counts->ready += pod_is_ready(pod);
	counts->available += pod_available(pod, min_ready, &counts->wait);
}

static struct error *sync_set(void *arg, struct work *work)
{
	struct sets *self = arg;
	struct object *set = informer_find_key(self->sets, work->key);
	VEC(struct object *) mine = { 0 };
	struct counts counts = { 0 };
	struct selector selector;
	const struct json *tree;
	int64_t wanted, have;
	struct object_list near;
	struct error *err;

	if (set == NULL)
		return NULL;
	if (!informer_synced(self->pods)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	object_keep(work->arena, set);
	tree = object_tree(set);
	err = selector_of(self, work->arena, tree, &selector);
	if (err != NULL)
		return err;
	near = informer_lookup(self->pods, self->pods_by_namespace, object_namespace(set));
	for (size_t i = 0; i < near.len; i++) {
		const struct json *pod = object_tree(near.ptr[i]);
		bool fits = selector_matches(&selector, labels_of(pod));
		bool owned = is_controlled_by(pod, object_uid(set));

		if (owned && !fits && !is_deleting(tree))
			let_go(work, set, near.ptr[i]);
		if (owned && is_deleting(pod) && !pod_is_over(pod))
			counts.terminating++;
		if (!is_active(pod) || !fits)
			continue;
		if (controller_of(pod) == NULL && !is_deleting(tree)) {
			adopt(work, set, near.ptr[i]);
			owned = true;
		}
		if (!owned)
			continue;
		vec_push(&mine, near.ptr[i]);
		count_pod(&counts, pod, json_path(tree, "spec.template"), json_int(json_path(tree, "spec.minReadySeconds"), 0));
	}
	wanted = json_int(json_path(tree, "spec.replicas"), 1);
	have = (int64_t)mine.len;
	if (!is_deleting(tree) && have < wanted)
		create_pods(self, work, set, (size_t)(wanted - have));
	else if (!is_deleting(tree) && have > wanted)
		delete_pods(self, work, set, mine.ptr, mine.len, (size_t)(have - wanted));
	write_status(self, work, set, &counts);
	if (counts.wait != 0)
		work_again(work, counts.wait + 100 * NS_PER_MS);
	vec_fini(&mine);
	return NULL;
}

/* --- start --- */

static struct sets *start_sets(struct client *client, const char *version, const char *kind, const char *component)
{
	static const struct informer_events pod_events = { .changed = pod_changed };
	struct sets *self = xcalloc(1, sizeof(*self));
	struct informer_events changes = queue_changes();

	self->client = client;
	self->kind = kind_must(version, kind);
	self->component = component;
	self->queue = workqueue_new(
		&(struct workqueue_options){ .client = client, .name = component, .reconcile = sync_set, .arg = self });
	self->sets = client_informer(client, self->kind);
	self->pods = client_informer(client, pod_kind());
	self->pods_by_namespace = informer_add_index(self->pods, index_by_namespace);
	informer_listen(self->sets, &changes, self->queue);
	informer_listen(self->pods, &pod_events, self);
	return self;
}

static void *start_replicasets(const struct controllers_options *options, struct client *client)
{
	(void)options;
	return start_sets(client, "apps/v1", "ReplicaSet", "replicaset-controller");
}

static void *start_controllers(const struct controllers_options *options, struct client *client)
{
	(void)options;
	return start_sets(client, "v1", "ReplicationController", "replication-controller");
}

static void stop_sets(void *arg)
{
	struct sets *self = arg;

	informer_unlisten(self->sets, self->queue);
	informer_unlisten(self->pods, self);
	workqueue_free(self->queue);
	free(self);
}

const struct controller replicaset_controller = { "replicaset-controller", start_replicasets, stop_sets };
const struct controller replication_controller = { "replication-controller", start_controllers, stop_sets };
