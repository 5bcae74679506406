/*
 * Deployments: a ReplicaSet per pod template, and the walk from one to the next.
 * Source of rules, names and messages: k8s.io/kubernetes/pkg/controller/deployment.
 *
 * A reconcile does one kind of step and ends; the write wakes it again:
 *   find own ReplicaSets → make the new one → scale for a new size → roll → clean up → status
 */
#include <stdio.h>
#include <stdlib.h>

#include "controllers/deployment.h"

#define HASH_LABEL   "pod-template-hash"
#define REVISION     "deployment.kubernetes.io/revision"
#define HISTORY      "deployment.kubernetes.io/revision-history"
#define DESIRED      "deployment.kubernetes.io/desired-replicas"
#define MAXIMUM      "deployment.kubernetes.io/max-replicas"
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
#define COMPONENT    "deployment-controller"

int64_t deployment_replicas(const struct json *tree)
{
	return json_int(json_path(tree, "spec.replicas"), 1);
}

int64_t deployment_set_status(const struct json *set, const char *field)
{
	return json_int(json_get(json_get(set, "status"), field), 0);
}

static const struct json *annotation(const struct json *tree, const char *key)
{
	return json_get(json_path(tree, "metadata.annotations"), key);
}

static int64_t revision_of(const struct json *set)
{
	int64_t n = 0;

	str_to_i64(json_str(annotation(set, REVISION)), &n);
	return n;
}

/* --- pure: templates, limits --- */

static const struct json *template_without_hash(struct arena *arena, const struct json *tree)
{
	const struct json *template = json_path(tree, "spec.template");
	const struct json *labels = json_path(template, "metadata.labels");

	if (json_get(labels, HASH_LABEL) == NULL)
		return template;
	labels = json_with(arena, labels, HASH_LABEL, NULL);
	return json_with_path(arena, template, "metadata.labels", json_len(labels) != 0 ? labels : NULL);
}

static bool same_template(struct arena *arena, const struct json *set, const struct json *deployment)
{
	return json_equal(template_without_hash(arena, set), template_without_hash(arena, deployment));
}

/* The hash names the ReplicaSet; its alphabet is that of generated names. */
static struct str template_hash(struct arena *arena, const struct json *deployment)
{
	static const char safe[] = "bcdfghjklmnpqrstvwxz2456789";
	struct str text = json_format(arena, json_path(deployment, "spec.template"));
	int64_t collisions = json_int(json_path(deployment, "status.collisionCount"), 0);
	uint32_t sum = (uint32_t)str_hash(str_format(arena, "%.*s%lld", STR_ARG(text), (long long)collisions));
	char decimal[16];
	char *out = arena_alloc(arena, sizeof(decimal));
	int n = snprintf(decimal, sizeof(decimal), "%u", sum);

	for (int i = 0; i < n; i++)
		out[i] = safe[(unsigned char)decimal[i] % 27];
	return str_of(out, (size_t)n);
}

static int64_t scaled(const struct json *value, int64_t total, bool up)
{
	struct str text = json_str(value);
	int64_t percent;

	if (!json_is(value, JSON_STRING))
		return json_int(value, 0);
	if (!str_has_suffix(text, STR("%")) || !str_to_i64(str_head(text, text.len - 1), &percent))
		return 0;
	return up ? (percent * total + 99) / 100 : percent * total / 100;
}

/* Both resolved to zero would stand still: then one may be unavailable. */
void deployment_limits(const struct json *tree, int64_t *surge, int64_t *unavailable)
{
	int64_t replicas = deployment_replicas(tree);

	*surge = scaled(json_path(tree, "spec.strategy.rollingUpdate.maxSurge"), replicas, true);
	*unavailable = scaled(json_path(tree, "spec.strategy.rollingUpdate.maxUnavailable"), replicas, false);
	if (*surge == 0 && *unavailable == 0)
		*unavailable = 1;
	if (*unavailable > replicas)
		*unavailable = replicas;
}

bool deployment_is_rolling(const struct json *tree)
{
	return !str_is(json_path_str(tree, "spec.strategy.type"), "Recreate");
}

static int64_t max_replicas(const struct json *tree)
{
	int64_t surge = 0, unavailable = 0;

	if (deployment_is_rolling(tree) && deployment_replicas(tree) != 0)
		deployment_limits(tree, &surge, &unavailable);
	return deployment_replicas(tree) + surge;
}

static int by_creation(const void *a, const void *b)
{
	const struct json *x = object_tree(*(struct object *const *)a), *y = object_tree(*(struct object *const *)b);
	int order = str_cmp(json_path_str(x, "metadata.creationTimestamp"), json_path_str(y, "metadata.creationTimestamp"));

	return order != 0 ? order : str_cmp(json_path_str(x, "metadata.name"), json_path_str(y, "metadata.name"));
}

/* --- events and small writes --- */

static void event(struct deployment_view *v, const char *reason, const char *text)
{
	client_event(
		v->self->client,
		&(struct client_event){
			.about = v->object, .type = "Normal", .reason = reason, .component = COMPONENT, .cause = v->work->cause },
		"%s", text);
}

static const struct json *with_annotation(struct arena *arena, const struct json *tree, const char *key, int64_t n)
{
	const struct json *all = json_path(tree, "metadata.annotations");

	return json_with_path(arena, tree, "metadata.annotations",
			      json_with(arena, all, key, json_printf(arena, "%lld", (long long)n)));
}

static void scale_set(struct deployment_view *v, struct object *set, int64_t to)
{
	const struct json *tree = object_tree(set);
	int64_t from = deployment_replicas(tree);

	tree = with_annotation(v->arena, tree, DESIRED, deployment_replicas(v->tree));
	tree = with_annotation(v->arena, tree, MAXIMUM, max_replicas(v->tree));
	tree = json_with_path(v->arena, tree, "spec.replicas", json_number(v->arena, to));
	if (json_equal(tree, object_tree(set)))
		return;
	work_call(v->work, &(struct api_call){ .verb = VERB_UPDATE,
					       .kind = v->self->set_kind,
					       .ns = object_namespace(set),
					       .name = object_name(set),
					       .body = tree });
	if (from != to)
		event(v, "ScalingReplicaSet",
		      arena_printf(v->arena, "Scaled %s replica set %.*s from %lld to %lld", to > from ? "up" : "down",
				   STR_ARG(object_name(set)), (long long)from, (long long)to));
}

/* --- the ReplicaSets --- */

static void claim(struct deployment_view *v)
{
	struct deployments *self = v->self;
	struct object_list near = informer_lookup(self->sets, self->sets_by_namespace, object_namespace(v->object));
	struct selector selector = { .nothing = true };
	struct error *err = selector_from_object(v->arena, json_path(v->tree, "spec.selector"), &selector);

	error_free(err);
	for (size_t i = 0; i < near.len; i++) {
		const struct json *set = object_tree(near.ptr[i]);
		bool owned = is_controlled_by(set, object_uid(v->object));

		if (!owned && controller_of(set) == NULL && !is_deleting(v->tree) && !is_deleting(set) &&
		    selector_matches(&selector, labels_of(set))) {
			const struct json *refs = json_append(v->arena, json_path(set, "metadata.ownerReferences"),
							      owner_reference(v->arena, v->object));

			work_call(v->work,
				  &(struct api_call){
					  .verb = VERB_PATCH,
					  .patch = API_PATCH_MERGE,
					  .kind = self->set_kind,
					  .ns = object_namespace(near.ptr[i]),
					  .name = object_name(near.ptr[i]),
					  .body = JSON_OBJECT_OF(
						  v->arena,
						  { "metadata",
						    JSON_OBJECT_OF(v->arena,
								   { "uid", json_string(v->arena, object_uid(near.ptr[i])) },
								   { "ownerReferences", refs }) }) });
		}
		if (owned)
			vec_push(&v->sets, near.ptr[i]);
	}
	if (v->sets.len != 0)
		qsort(v->sets.ptr, v->sets.len, sizeof(v->sets.ptr[0]), by_creation);
	for (size_t i = 0; i < v->sets.len; i++) {
		if (v->fresh == NULL && same_template(v->arena, object_tree(v->sets.ptr[i]), v->tree))
			v->fresh = v->sets.ptr[i];
		else
			vec_push(&v->old, v->sets.ptr[i]);
	}
}

static int64_t newest_old_revision(const struct deployment_view *v)
{
	int64_t newest = 0;

	for (size_t i = 0; i < v->old.len; i++)
		if (revision_of(object_tree(v->old.ptr[i])) > newest)
			newest = revision_of(object_tree(v->old.ptr[i]));
	return newest;
}

int64_t deployment_total(const struct deployment_view *v, const char *field)
{
	int64_t n = 0;

	for (size_t i = 0; i < v->sets.len; i++)
		n += field != NULL ? deployment_set_status(object_tree(v->sets.ptr[i]), field)
				   : deployment_replicas(object_tree(v->sets.ptr[i]));
	return n;
}

static int64_t old_replicas(const struct deployment_view *v)
{
	int64_t n = 0;

	for (size_t i = 0; i < v->old.len; i++)
		n += deployment_replicas(object_tree(v->old.ptr[i]));
	return n;
}

/* How large the new ReplicaSet may be now. */
static int64_t new_size(const struct deployment_view *v)
{
	int64_t wanted = deployment_replicas(v->tree), surge, unavailable, now, room;
	int64_t have = v->fresh != NULL ? deployment_replicas(object_tree(v->fresh)) : 0;

	if (!deployment_is_rolling(v->tree))
		return wanted;
	deployment_limits(v->tree, &surge, &unavailable);
	now = deployment_total(v, NULL);
	if (now >= wanted + surge)
		return have;
	room = wanted + surge - now;
	if (room > wanted - have)
		room = wanted - have;
	return have + room;
}

static void set_created(void *arg, struct api_reply *reply)
{
	struct deployment_view *v = arg;

	if (reply->err != NULL && reply->err->kind == ERR_EXISTS) {
		/* Another template with the same hash, or our own write of before the informer saw it. */
		const struct json *status = json_get(v->tree, "status");
		int64_t n = json_int(json_get(status, "collisionCount"), 0);
		struct object *set = informer_find(v->self->sets, object_namespace(v->object),
						   str_format(v->arena, "%.*s-%.*s", STR_ARG(object_name(v->object)),
							      STR_ARG(template_hash(v->arena, v->tree))));

		if (set != NULL && !same_template(v->arena, object_tree(set), v->tree))
			work_call(v->work, &(struct api_call){ .verb = VERB_UPDATE,
							       .kind = v->self->kind,
							       .ns = object_namespace(v->object),
							       .name = object_name(v->object),
							       .subresource = STR("status"),
							       .body = json_with(v->arena, v->tree, "status",
										 json_with(v->arena, status, "collisionCount",
											   json_number(v->arena, n + 1))) });
		return;
	}
	if (reply->err == NULL)
		event(v, "ScalingReplicaSet",
		      arena_printf(v->arena, "Scaled up replica set %.*s from 0 to %lld", STR_ARG(object_name(reply->object)),
				   (long long)deployment_replicas(object_tree(reply->object))));
}

static const struct json *set_annotations(struct deployment_view *v, int64_t revision)
{
	struct json_builder all = { .arena = v->arena };

	JSON_EACH (json_path(v->tree, "metadata.annotations"), it)
		if (!str_is(it.key, LAST_APPLIED) && !str_has_prefix(it.key, STR("deployment.kubernetes.io/")))
			json_builder_member(&all, it.key, it.value);
	json_builder_member(&all, STR(DESIRED), json_printf(v->arena, "%lld", (long long)deployment_replicas(v->tree)));
	json_builder_member(&all, STR(MAXIMUM), json_printf(v->arena, "%lld", (long long)max_replicas(v->tree)));
	json_builder_member(&all, STR(REVISION), json_printf(v->arena, "%lld", (long long)revision));
	return json_builder_object(&all);
}

static void create_set(struct deployment_view *v)
{
	struct arena *arena = v->arena;
	struct str hash = template_hash(arena, v->tree);
	const struct json *label = json_string(arena, hash), *template = json_path(v->tree, "spec.template");
	const struct json *labels = json_with(arena, json_path(template, "metadata.labels"), HASH_LABEL, label);
	const struct json *selector = json_path(v->tree, "spec.selector");
	const struct json *body;

	selector =
		json_with(arena, selector, "matchLabels", json_with(arena, json_get(selector, "matchLabels"), HASH_LABEL, label));
	body = JSON_OBJECT_OF(
		arena,
		{ "metadata",
		  JSON_OBJECT_OF(arena, { "name", json_printf(arena, "%.*s-%.*s", STR_ARG(object_name(v->object)), STR_ARG(hash)) },
				 { "namespace", json_path(v->tree, "metadata.namespace") }, { "labels", labels },
				 { "annotations", set_annotations(v, newest_old_revision(v) + 1) },
				 { "ownerReferences", JSON_ARRAY_OF(arena, owner_reference(arena, v->object)) }) },
		{ "spec",
		  JSON_OBJECT_OF(arena, { "replicas", json_number(arena, new_size(v)) },
				 { "minReadySeconds", json_path(v->tree, "spec.minReadySeconds") }, { "selector", selector },
				 { "template", json_with_path(arena, template, "metadata.labels", labels) }) });
	work_call(v->work, &(struct api_call){ .verb = VERB_CREATE,
					       .kind = v->self->set_kind,
					       .ns = object_namespace(v->object),
					       .body = body,
					       .done = set_created,
					       .arg = v });
}

/* A ReplicaSet that became the current one again (rollback) gets the next revision; the deployment shows it. */
static bool mark_revision(struct deployment_view *v)
{
	int64_t wanted = newest_old_revision(v) + 1;
	const struct json *set = object_tree(v->fresh), *next = set;
	int64_t has = revision_of(set), shown = 0;

	if (has < wanted) {
		struct str history = json_str(annotation(set, HISTORY));

		next = with_annotation(v->arena, next, REVISION, wanted);
		if (has > 0)
			next = json_with_path(
				v->arena, next, "metadata.annotations",
				json_with(v->arena, json_path(next, "metadata.annotations"), HISTORY,
					  history.len != 0 ? json_printf(v->arena, "%.*s,%lld", STR_ARG(history), (long long)has)
							   : json_printf(v->arena, "%lld", (long long)has)));
		work_call(v->work, &(struct api_call){ .verb = VERB_UPDATE,
						       .kind = v->self->set_kind,
						       .ns = object_namespace(v->fresh),
						       .name = object_name(v->fresh),
						       .body = next });
		return true;
	}
	str_to_i64(json_str(annotation(v->tree, REVISION)), &shown);
	if (shown == has)
		return false;
	work_call(v->work, &(struct api_call){ .verb = VERB_UPDATE,
					       .kind = v->self->kind,
					       .ns = object_namespace(v->object),
					       .name = object_name(v->object),
					       .body = with_annotation(v->arena, v->tree, REVISION, has) });
	return true;
}

/* --- scaling when the size of the deployment itself changed --- */

static bool size_changed(const struct deployment_view *v)
{
	for (size_t i = 0; i < v->sets.len; i++) {
		const struct json *set = object_tree(v->sets.ptr[i]);
		int64_t desired;

		if (deployment_replicas(set) > 0 && str_to_i64(json_str(annotation(set, DESIRED)), &desired) &&
		    desired != deployment_replicas(v->tree))
			return true;
	}
	return false;
}

/* One ReplicaSet takes the whole change; while rolling, each its part by size. */
static void scale_for_size(struct deployment_view *v)
{
	VEC(struct object *) active = { 0 };
	int64_t now = 0, allowed = max_replicas(v->tree), left;

	for (size_t i = 0; i < v->sets.len; i++)
		if (deployment_replicas(object_tree(v->sets.ptr[i])) > 0) {
			vec_push(&active, v->sets.ptr[i]);
			now += deployment_replicas(object_tree(v->sets.ptr[i]));
		}
	if (active.len <= 1) {
		struct object *set = active.len == 1 ? active.ptr[0] : v->fresh;

		if (set != NULL)
			scale_set(v, set, deployment_replicas(v->tree));
		vec_fini(&active);
		return;
	}
	left = allowed - now;
	for (size_t i = 0; i < active.len; i++) {
		int64_t has = deployment_replicas(object_tree(active.ptr[i]));
		int64_t part = i + 1 == active.len ? left : (allowed - now) * has / now;

		if (has + part < 0)
			part = -has;
		left -= part;
		scale_set(v, active.ptr[i], has + part);
	}
	vec_fini(&active);
}

/* --- rolling --- */

static bool grow_new(struct deployment_view *v)
{
	int64_t size = new_size(v), has = deployment_replicas(object_tree(v->fresh));

	if (has > deployment_replicas(v->tree))
		size = deployment_replicas(v->tree);
	if (size == has)
		return false;
	scale_set(v, v->fresh, size);
	return true;
}

/* Unhealthy old pods go first, then as many as availability permits. */
static bool shrink_old(struct deployment_view *v)
{
	int64_t surge, unavailable, least, can, now = deployment_total(v, NULL);
	int64_t fresh = v->fresh != NULL ? deployment_replicas(object_tree(v->fresh)) : 0;
	int64_t fresh_missing = fresh - (v->fresh != NULL ? deployment_set_status(object_tree(v->fresh), "availableReplicas") : 0);
	bool changed = false;
	int64_t *sizes = ARENA_ARRAY(v->arena, int64_t, v->old.len + 1);

	deployment_limits(v->tree, &surge, &unavailable);
	least = deployment_replicas(v->tree) - unavailable;
	can = now - least - fresh_missing;
	for (size_t i = 0; i < v->old.len; i++)
		sizes[i] = deployment_replicas(object_tree(v->old.ptr[i]));
	for (size_t i = 0; i < v->old.len && can > 0; i++) {
		const struct json *set = object_tree(v->old.ptr[i]);
		int64_t sick = sizes[i] - deployment_set_status(set, "availableReplicas");

		sick = sick > can ? can : sick;
		if (sick > 0)
			sizes[i] -= sick, can -= sick;
	}
	can = deployment_total(v, "availableReplicas") - least;
	for (size_t i = 0; i < v->old.len && can > 0; i++) {
		int64_t n = sizes[i] > can ? can : sizes[i];

		/* Those already taken as sick were not available. */
		sizes[i] -= n;
		can -= n;
	}
	for (size_t i = 0; i < v->old.len; i++)
		if (sizes[i] != deployment_replicas(object_tree(v->old.ptr[i]))) {
			scale_set(v, v->old.ptr[i], sizes[i]);
			changed = true;
		}
	return changed;
}

static bool has_running_pods(struct deployment_view *v)
{
	for (size_t i = 0; i < v->old.len; i++) {
		struct object_list pods = informer_lookup(v->self->pods, v->self->pods_by_owner, object_uid(v->old.ptr[i]));

		for (size_t j = 0; j < pods.len; j++)
			if (!pod_is_over(object_tree(pods.ptr[j])))
				return true;
	}
	return false;
}

static void recreate(struct deployment_view *v)
{
	bool shrunk = false;

	for (size_t i = 0; i < v->old.len; i++)
		if (deployment_replicas(object_tree(v->old.ptr[i])) != 0) {
			scale_set(v, v->old.ptr[i], 0);
			shrunk = true;
		}
	if (shrunk || has_running_pods(v))
		return;
	if (v->fresh == NULL)
		create_set(v);
	else if (!mark_revision(v) && deployment_replicas(object_tree(v->fresh)) != deployment_replicas(v->tree))
		scale_set(v, v->fresh, deployment_replicas(v->tree));
}

bool deployment_is_complete(const struct deployment_view *v)
{
	int64_t wanted = deployment_replicas(v->tree);

	return v->fresh != NULL && deployment_set_status(object_tree(v->fresh), "replicas") == wanted &&
	       deployment_total(v, "replicas") == wanted &&
	       deployment_set_status(object_tree(v->fresh), "availableReplicas") == wanted;
}

static void clean_up(struct deployment_view *v)
{
	int64_t limit = json_int(json_path(v->tree, "spec.revisionHistoryLimit"), 10), idle = 0;

	for (size_t i = 0; i < v->old.len; i++)
		idle += deployment_replicas(object_tree(v->old.ptr[i])) == 0;
	for (size_t i = 0; i < v->old.len && idle > limit; i++) {
		const struct json *set = object_tree(v->old.ptr[i]);

		if (deployment_replicas(set) != 0 || deployment_set_status(set, "replicas") != 0 || is_deleting(set))
			continue;
		idle--;
		work_call(v->work, &(struct api_call){ .verb = VERB_DELETE,
						       .kind = v->self->set_kind,
						       .ns = object_namespace(v->old.ptr[i]),
						       .name = object_name(v->old.ptr[i]) });
	}
}

/* --- a reconcile --- */

static void roll(struct deployment_view *v)
{
	if (json_bool(json_path(v->tree, "spec.paused")) || size_changed(v)) {
		scale_for_size(v);
		return;
	}
	if (!deployment_is_rolling(v->tree)) {
		recreate(v);
		return;
	}
	if (v->fresh == NULL) {
		create_set(v);
		return;
	}
	if (mark_revision(v) || grow_new(v))
		return;
	if (old_replicas(v) != 0)
		shrink_old(v);
}

static struct error *sync_deployment(void *arg, struct work *work)
{
	struct deployments *self = arg;
	struct object *object = informer_find_key(self->deployments, work->key);
	struct deployment_view *v;

	if (object == NULL)
		return NULL;
	if (!informer_synced(self->sets) || !informer_synced(self->pods)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	v = ARENA_NEW(work->arena, struct deployment_view);
	v->self = self;
	v->work = work;
	v->arena = work->arena;
	v->object = object_keep(work->arena, object);
	v->tree = object_tree(object);
	claim(v);
	if (!is_deleting(v->tree)) {
		roll(v);
		if (deployment_is_complete(v))
			clean_up(v);
	}
	deployment_write_status(v);
	vec_fini(&v->sets);
	vec_fini(&v->old);
	return NULL;
}

/* --- start --- */

static void set_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct deployments *self = arg;

	queue_owner(self->queue, "Deployment", old, revision);
	queue_owner(self->queue, "Deployment", now, revision);
}

/* Recreate waits until old pods are gone. */
static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct deployments *self = arg;
	const struct json *owner = old != NULL && now == NULL ? controller_of(object_tree(old)) : NULL;
	struct object *set;

	if (owner == NULL || !str_is(json_get_str(owner, "kind"), "ReplicaSet"))
		return;
	set = informer_find(self->sets, object_namespace(old), json_get_str(owner, "name"));
	if (set != NULL)
		queue_owner(self->queue, "Deployment", set, revision);
}

static void *start(const struct controllers_options *options, struct client *client)
{
	static const struct informer_events set_events = { .changed = set_changed }, pod_events = { .changed = pod_changed };
	struct deployments *self = xcalloc(1, sizeof(*self));
	struct informer_events changes = queue_changes();

	(void)options;
	self->client = client;
	self->kind = kind_must("apps/v1", "Deployment");
	self->set_kind = kind_must("apps/v1", "ReplicaSet");
	self->queue = workqueue_new(
		&(struct workqueue_options){ .client = client, .name = COMPONENT, .reconcile = sync_deployment, .arg = self });
	self->deployments = client_informer(client, self->kind);
	self->sets = client_informer(client, self->set_kind);
	self->pods = client_informer(client, pod_kind());
	self->sets_by_namespace = informer_add_index(self->sets, index_by_namespace);
	self->pods_by_owner = informer_add_index(self->pods, index_by_owner);
	informer_listen(self->deployments, &changes, self->queue);
	informer_listen(self->sets, &set_events, self);
	informer_listen(self->pods, &pod_events, self);
	return self;
}

static void stop(void *arg)
{
	struct deployments *self = arg;

	informer_unlisten(self->deployments, self->queue);
	informer_unlisten(self->sets, self);
	informer_unlisten(self->pods, self);
	workqueue_free(self->queue);
	free(self);
}

const struct controller deployment_controller = { COMPONENT, start, stop };
