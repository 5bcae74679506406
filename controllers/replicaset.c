/*
 * ReplicaSets and ReplicationControllers: as many pods as asked for. One mechanism, two kinds.
 * Source: k8s.io/kubernetes/pkg/controller/replicaset.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controllers/private.h"

struct sets {
	struct client *client;
	const struct kind *kind;
	const char *component; /* in events */
	struct workqueue *queue;
	struct informer *sets, *pods;
	int pods_by_owner, pods_by_namespace;
	struct map facts; /* address of a pod's object → struct fact */
};

/* What is asked of each pod at each change of any pod of its set; found once, since a state never changes. */
struct fact {
	uint64_t revision; /* of that state */
	bool active, terminating, ready;
	char owner[40];     /* uid of its controller; empty: nobody's */
	char judged[40];    /* uid of the set by which fits and labeled were judged… */
	int64_t generation; /* …in this generation */
	bool fits, labeled;
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

static struct str address(struct object *const *pod)
{
	return str_of((const char *)pod, sizeof(*pod));
}

static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct sets *self = arg;
	struct str name = kind_name(self->kind);
	char kind[64];

	if (old != NULL)
		free(map_take(&self->facts, address(&old)));

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

/* Creations and deletions of one reconcile. Upstream has 500; the next ones wait for no more than the answers to these. */
#define BURST 50

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

struct judge {
	char uid[40]; /* of the set */
	int64_t generation, min_ready;
	struct selector selector;
	const struct json *labels; /* of its template */
};

struct counts {
	int64_t replicas, labeled, ready, available, terminating;
	int64_t wait; /* ns until another pod becomes available; 0: none will by time alone */
};

struct found {
	VEC(struct object *) pods; /* the set's */
	struct counts counts;
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

static struct fact *fact_of(struct sets *self, struct object *pod)
{
	struct fact *fact = map_find(&self->facts, address(&pod));
	const struct json *tree, *owner;

	if (fact != NULL && fact->revision == object_revision(pod))
		return fact;
	if (fact == NULL) {
		fact = xmalloc(sizeof(*fact));
		map_set(&self->facts, address(&pod), fact);
	}
	tree = object_tree(pod);
	owner = controller_of(tree);
	*fact = (struct fact){ .revision = object_revision(pod),
			       .active = is_active(tree),
			       .terminating = is_deleting(tree) && !pod_is_over(tree),
			       .ready = pod_is_ready(tree) };
	if (owner != NULL)
		snprintf(fact->owner, sizeof(fact->owner), "%.*s", STR_ARG(json_get_str(owner, "uid")));
	return fact;
}

/* Whether the set selects it, and its template's labels are there. */
static void judge(struct fact *fact, struct object *pod, const struct judge *by)
{
	const struct json *labels;

	if (fact->generation == by->generation && strcmp(fact->judged, by->uid) == 0)
		return;
	labels = labels_of(object_tree(pod));
	fact->generation = by->generation;
	memcpy(fact->judged, by->uid, sizeof(by->uid));
	fact->fits = selector_matches(&by->selector, labels);
	fact->labeled = true;
	JSON_EACH (by->labels, it)
		fact->labeled = fact->labeled && json_equal(json_find(labels, it.key), it.value);
}

static void count_pod(struct counts *counts, const struct fact *fact, struct object *pod, int64_t min_ready)
{
	counts->replicas++;
	counts->labeled += fact->labeled;
	counts->ready += fact->ready;
	counts->available += min_ready == 0 ? fact->ready : pod_available(object_tree(pod), min_ready, &counts->wait);
}

/* Counts the set's pods, takes in those of nobody that fit and lets go those that do not. */
static void look_at_pods(struct sets *self, struct work *work, struct object *set, const struct judge *by, struct found *found)
{
	struct object_list near = informer_lookup(self->pods, self->pods_by_namespace, object_namespace(set));
	bool deleting = is_deleting(object_tree(set));

	for (size_t i = 0; i < near.len; i++) {
		struct fact *fact = fact_of(self, near.ptr[i]);
		bool owned = strcmp(fact->owner, by->uid) == 0;

		if (!owned && fact->owner[0] != '\0')
			continue;
		judge(fact, near.ptr[i], by);
		if (owned && !fact->fits && !deleting)
			let_go(work, set, near.ptr[i]);
		found->counts.terminating += owned && fact->terminating;
		if (!fact->active || !fact->fits || (!owned && deleting))
			continue;
		if (!owned)
			adopt(work, set, near.ptr[i]);
		vec_push(&found->pods, near.ptr[i]);
		count_pod(&found->counts, fact, near.ptr[i], by->min_ready);
	}
}

static struct error *sync_set(void *arg, struct work *work)
{
	struct sets *self = arg;
	struct object *set = informer_find_key(self->sets, work->key);
	struct found found = { 0 };
	struct judge by = { 0 };
	const struct json *tree;
	int64_t wanted, have;
	struct error *err;

	if (set == NULL)
		return NULL;
	if (!informer_synced(self->pods)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	object_keep(work->arena, set);
	tree = object_tree(set);
	err = selector_of(self, work->arena, tree, &by.selector);
	if (err != NULL)
		return err;
	snprintf(by.uid, sizeof(by.uid), "%.*s", STR_ARG(object_uid(set)));
	by.generation = json_int(json_path(tree, "metadata.generation"), 0);
	by.min_ready = json_int(json_path(tree, "spec.minReadySeconds"), 0);
	by.labels = json_path(tree, "spec.template.metadata.labels");
	look_at_pods(self, work, set, &by, &found);
	wanted = json_int(json_path(tree, "spec.replicas"), 1);
	have = (int64_t)found.pods.len;
	if (!is_deleting(tree) && have < wanted)
		create_pods(self, work, set, (size_t)(wanted - have));
	else if (!is_deleting(tree) && have > wanted)
		delete_pods(self, work, set, found.pods.ptr, found.pods.len, (size_t)(have - wanted));
	write_status(self, work, set, &found.counts);
	if (found.counts.wait != 0)
		work_again(work, found.counts.wait + 100 * NS_PER_MS);
	vec_fini(&found.pods);
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
	MAP_EACH (&self->facts, it)
		free(it->value);
	map_fini(&self->facts);
	free(self);
}

const struct controller replicaset_controller = { "replicaset-controller", start_replicasets, stop_sets };
const struct controller replication_controller = { "replication-controller", start_controllers, stop_sets };
