/*
 * What loses its owner goes. A graph of who owns whom, fed by an informer of every kind, and a queue of suspects.
 * Source of the rules: k8s.io/kubernetes/pkg/controller/garbagecollector.
 *
 * A suspect is judged by asking the API server for each owner: absent (or another uid), waiting for its dependents, or
 * solid. It is deleted when no owner is solid. An owner that goes in the foreground waits until its blocking dependents are
 * gone; one that orphans first takes itself out of their references.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/custom.h"
#include "controllers/private.h"

struct garbage {
	struct client *client;
	struct workqueue *queue;
	VEC(struct watched *) kinds; /* more may come, none goes */
	struct map owned;            /* uid of an owner to struct dependents */
	struct loop_call look;       /* for new kinds */
};

struct watched {
	struct garbage *self;
	size_t number; /* its place in kinds, which is in the keys */
	struct informer *informer;
};

static const struct kind *kind_of(const struct watched *watched)
{
	return informer_kind(watched->informer);
}

struct dependents {
	VEC(char *) keys; /* "number|ns/name" */
};

/* --- the graph: owner uid to keys of dependents --- */

static char *key_of(const struct watched *watched, struct object *object)
{
	struct str ns = object_namespace(object), name = object_name(object);

	return xasprintf("%zu|%.*s%s%.*s", watched->number, STR_ARG(ns), ns.len != 0 ? "/" : "", STR_ARG(name));
}

static void add_dependent(struct garbage *self, struct str owner, const char *key)
{
	struct dependents *list = map_find(&self->owned, owner);

	if (list == NULL) {
		list = xcalloc(1, sizeof(*list));
		map_set(&self->owned, owner, list);
	}
	for (size_t i = 0; i < list->keys.len; i++)
		if (strcmp(list->keys.ptr[i], key) == 0)
			return;
	vec_push(&list->keys, xstrdup(key));
}

static void remove_dependent(struct garbage *self, struct str owner, const char *key)
{
	struct dependents *list = map_find(&self->owned, owner);

	for (size_t i = 0; list != NULL && i < list->keys.len; i++)
		if (strcmp(list->keys.ptr[i], key) == 0) {
			free(list->keys.ptr[i]);
			vec_remove(&list->keys, i);
			break;
		}
	if (list != NULL && list->keys.len == 0) {
		map_take(&self->owned, owner);
		vec_fini(&list->keys);
		free(list);
	}
}

static struct object *find_by_key(struct garbage *self, struct str key, const struct kind **kind)
{
	struct str id;
	uint64_t number;

	if (!str_cut(&key, '|', &id) || !str_to_u64(id, &number))
		return NULL;
	if (number >= self->kinds.len)
		return NULL;
	*kind = kind_of(self->kinds.ptr[number]);
	return informer_find_key(self->kinds.ptr[number]->informer, key);
}

static bool all_synced(const struct garbage *self)
{
	for (size_t i = 0; i < self->kinds.len; i++)
		if (!informer_synced(self->kinds.ptr[i]->informer))
			return false;
	return true;
}

static bool has_finalizer(const struct json *tree, const char *name)
{
	JSON_EACH (json_path(tree, "metadata.finalizers"), it)
		if (str_is(json_str(it.value), name))
			return true;
	return false;
}

/* A deletion that waits for its dependents, one way or the other. */
static bool waits_for_dependents(const struct json *tree)
{
	return is_deleting(tree) && (has_finalizer(tree, "foregroundDeletion") || has_finalizer(tree, "orphan"));
}

static void wake_dependents(struct garbage *self, struct str uid, uint64_t revision)
{
	struct dependents *list = map_find(&self->owned, uid);

	for (size_t i = 0; list != NULL && i < list->keys.len; i++)
		workqueue_add(self->queue, str_from(list->keys.ptr[i]), revision);
}

/* A waiting owner looks again when one of its dependents changed. */
static void wake_owners(struct garbage *self, const struct json *tree, uint64_t revision)
{
	JSON_EACH (json_path(tree, "metadata.ownerReferences"), it) {
		for (size_t i = 0; i < self->kinds.len; i++) {
			struct watched *watched = self->kinds.ptr[i];
			struct object *owner;
			char *key;

			if (!str_eq(kind_name(kind_of(watched)), json_get_str(it.value, "kind")))
				continue;
			owner = informer_find(watched->informer,
					      kind_namespaced(kind_of(watched)) ? json_path_str(tree, "metadata.namespace")
										: STR(""),
					      json_get_str(it.value, "name"));
			if (owner == NULL || !waits_for_dependents(object_tree(owner)))
				continue;
			key = key_of(watched, owner);
			workqueue_add(self->queue, str_from(key), revision);
			free(key);
		}
	}
}

static void object_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct watched *watched = arg;
	struct garbage *self = watched->self;
	const struct json *before = old != NULL ? json_path(object_tree(old), "metadata.ownerReferences") : NULL;
	const struct json *after = now != NULL ? json_path(object_tree(now), "metadata.ownerReferences") : NULL;
	char *key = key_of(watched, now != NULL ? now : old);

	if (!json_equal(before, after)) {
		JSON_EACH (before, it)
			remove_dependent(self, json_get_str(it.value, "uid"), key);
		JSON_EACH (after, it)
			add_dependent(self, json_get_str(it.value, "uid"), key);
	}
	if (now == NULL) {
		wake_dependents(self, object_uid(old), revision);
		wake_owners(self, object_tree(old), revision);
	} else {
		/* New ones with owners are suspects: the owner may be gone already. */
		if (json_len(after) != 0 && !json_equal(before, after))
			workqueue_add(self->queue, str_from(key), revision);
		if (waits_for_dependents(object_tree(now)))
			workqueue_add(self->queue, str_from(key), revision);
		if (old != NULL && !json_equal(before, after))
			wake_owners(self, object_tree(old), revision);
	}
	free(key);
}

/* --- owners that go --- */

static void patch_meta(struct work *work, const struct kind *kind, struct object *object, const char *field,
		       const struct json *value)
{
	struct arena *arena = work->arena;
	const struct json *meta =
		JSON_OBJECT_OF(arena, { "uid", json_string(arena, object_uid(object)) },
			       { "resourceVersion", json_printf(arena, "%llu", (unsigned long long)object_revision(object)) });

	work_call(work, &(struct api_call){ .verb = VERB_PATCH,
					    .patch = API_PATCH_MERGE,
					    .kind = kind,
					    .ns = object_namespace(object),
					    .name = object_name(object),
					    .body = JSON_OBJECT_OF(arena, { "metadata", json_with(arena, meta, field, value) }) });
}

static void drop_finalizer(struct work *work, const struct kind *kind, struct object *object, const char *name)
{
	struct json_builder kept = { .arena = work->arena };

	JSON_EACH (json_path(object_tree(object), "metadata.finalizers"), it)
		if (!str_is(json_str(it.value), name))
			json_builder_item(&kept, it.value);
	patch_meta(work, kind, object, "finalizers", kept.len != 0 ? json_builder_array(&kept) : &json_null);
}

static void orphan_dependents(struct garbage *self, struct work *work, const struct kind *kind, struct object *owner)
{
	struct dependents *list = map_find(&self->owned, object_uid(owner));
	bool any = false;

	for (size_t i = 0; list != NULL && i < list->keys.len; i++) {
		struct json_builder kept = { .arena = work->arena };
		const struct kind *its = NULL;
		struct object *dependent = find_by_key(self, str_from(list->keys.ptr[i]), &its);

		if (dependent == NULL)
			continue;
		any = true;
		JSON_EACH (json_path(object_tree(dependent), "metadata.ownerReferences"), it)
			if (!str_eq(json_get_str(it.value, "uid"), object_uid(owner)))
				json_builder_item(&kept, it.value);
		patch_meta(work, its, dependent, "ownerReferences", kept.len != 0 ? json_builder_array(&kept) : &json_null);
	}
	if (!any)
		drop_finalizer(work, kind, owner, "orphan");
	else
		work_again(work, 10 * NS_PER_MS);
}

static bool blocks(const struct json *dependent, struct str owner)
{
	JSON_EACH (json_path(dependent, "metadata.ownerReferences"), it)
		if (str_eq(json_get_str(it.value, "uid"), owner))
			return json_bool(json_get(it.value, "blockOwnerDeletion"));
	return false;
}

static void delete_object(struct work *work, const struct kind *kind, struct object *object, const char *policy)
{
	struct arena *arena = work->arena;

	work_call(work,
		  &(struct api_call){
			  .verb = VERB_DELETE,
			  .kind = kind,
			  .ns = object_namespace(object),
			  .name = object_name(object),
			  .body = JSON_OBJECT_OF(arena, { "propagationPolicy", json_text(arena, policy) },
						 { "preconditions",
						   JSON_OBJECT_OF(arena, { "uid", json_string(arena, object_uid(object)) }) }) });
}

static void delete_dependents(struct garbage *self, struct work *work, const struct kind *kind, struct object *owner)
{
	struct dependents *list = map_find(&self->owned, object_uid(owner));
	bool blocked = false;

	for (size_t i = 0; list != NULL && i < list->keys.len; i++) {
		const struct kind *its = NULL;
		struct object *dependent = find_by_key(self, str_from(list->keys.ptr[i]), &its);

		if (dependent == NULL || !blocks(object_tree(dependent), object_uid(owner)))
			continue;
		blocked = true;
		if (!is_deleting(object_tree(dependent)))
			workqueue_add(self->queue, str_from(list->keys.ptr[i]), work->cause);
	}
	if (!blocked)
		drop_finalizer(work, kind, owner, "foregroundDeletion");
}

/* --- suspects --- */

enum owner_state { OWNER_ABSENT, OWNER_WAITING, OWNER_SOLID };

struct trial {
	struct garbage *self;
	struct work *work;
	const struct kind *kind;
	struct object *object;
	size_t open;
	size_t absent, waiting, solid;
	struct json_builder solid_references;
};

struct question {
	struct trial *trial;
	const struct json *reference;
};

static bool has_dependents(struct garbage *self, struct object *object)
{
	return map_find(&self->owned, object_uid(object)) != NULL;
}

/* Somebody below it waits for its own dependents, and may so wait for us: owners may form a circle. */
static bool is_in_circle(struct garbage *self, struct object *object)
{
	struct dependents *list = map_find(&self->owned, object_uid(object));

	for (size_t i = 0; list != NULL && i < list->keys.len; i++) {
		const struct kind *its = NULL;
		struct object *dependent = find_by_key(self, str_from(list->keys.ptr[i]), &its);

		if (dependent != NULL && is_deleting(object_tree(dependent)) &&
		    has_finalizer(object_tree(dependent), "foregroundDeletion"))
			return true;
	}
	return false;
}

/* Its owners no longer wait for it. False: none did. */
static bool unblock_owners(struct trial *trial)
{
	struct arena *arena = trial->work->arena;
	struct json_builder list = { .arena = arena };
	bool any = false;

	JSON_EACH (json_path(object_tree(trial->object), "metadata.ownerReferences"), it) {
		any = any || json_bool(json_get(it.value, "blockOwnerDeletion"));
		json_builder_item(&list, json_with(arena, it.value, "blockOwnerDeletion", &json_false));
	}
	if (any)
		patch_meta(trial->work, trial->kind, trial->object, "ownerReferences", json_builder_array(&list));
	return any;
}

static void judge(struct trial *trial)
{
	const struct json *tree = object_tree(trial->object);
	const char *policy = "Background";

	if (--trial->open != 0)
		return;
	if (trial->solid != 0) {
		/* Owners that are gone, or go and wait, are taken out of the list. */
		if (trial->absent + trial->waiting != 0)
			patch_meta(trial->work, trial->kind, trial->object, "ownerReferences",
				   json_builder_array(&trial->solid_references));
		return;
	}
	if (trial->waiting != 0 && is_in_circle(trial->self, trial->object) && unblock_owners(trial)) {
		work_again(trial->work, 10 * NS_PER_MS);
		return;
	}
	if (trial->waiting != 0 && has_dependents(trial->self, trial->object))
		policy = "Foreground";
	else if (has_finalizer(tree, "orphan"))
		policy = "Orphan";
	else if (has_finalizer(tree, "foregroundDeletion"))
		policy = "Foreground";
	delete_object(trial->work, trial->kind, trial->object, policy);
}

static void owner_read(void *arg, struct api_reply *reply)
{
	struct question *question = arg;
	struct trial *trial = question->trial;
	const struct json *tree = reply->object != NULL ? object_tree(reply->object) : NULL;

	if (reply->err != NULL && reply->err->kind != ERR_NOT_FOUND)
		return; /* fails the work: asked again later */
	error_free(reply->err);
	reply->err = NULL;
	if (tree == NULL || !str_eq(json_path_str(tree, "metadata.uid"), json_get_str(question->reference, "uid"))) {
		trial->absent++;
	} else if (is_deleting(tree) && has_finalizer(tree, "foregroundDeletion")) {
		trial->waiting++;
	} else {
		trial->solid++;
		json_builder_item(&trial->solid_references, question->reference);
	}
	judge(trial);
}

static const struct kind *kind_of_reference(const struct json *reference)
{
	struct str version = json_get_str(reference, "apiVersion"), group = STR("");

	if (str_find(version, '/') >= 0)
		str_cut(&version, '/', &group);
	return kind_find_named(group, version, json_get_str(reference, "kind"));
}

static void try_suspect(struct garbage *self, struct work *work, const struct kind *kind, struct object *object)
{
	struct trial *trial = ARENA_NEW(work->arena, struct trial);

	*trial = (struct trial){
		.self = self, .work = work, .kind = kind, .object = object, .open = 1, .solid_references = { .arena = work->arena }
	};
	JSON_EACH (json_path(object_tree(object), "metadata.ownerReferences"), it) {
		const struct kind *owner = kind_of_reference(it.value);
		struct question *question = ARENA_NEW(work->arena, struct question);

		trial->open++;
		*question = (struct question){ trial, it.value };
		if (owner == NULL) {
			/* A kind we do not know cannot be judged: the owner counts as there. */
			trial->solid++;
			json_builder_item(&trial->solid_references, it.value);
			trial->open--;
			continue;
		}
		work_call(work, &(struct api_call){ .verb = VERB_GET,
						    .kind = owner,
						    .ns = kind_namespaced(owner) ? object_namespace(object) : STR(""),
						    .name = json_get_str(it.value, "name"),
						    .done = owner_read,
						    .arg = question });
	}
	judge(trial);
}

static struct error *sync_garbage(void *arg, struct work *work)
{
	struct garbage *self = arg;
	const struct kind *kind = NULL;
	struct object *object = find_by_key(self, work->key, &kind);
	const struct json *tree;

	if (!all_synced(self)) {
		work_again(work, 50 * NS_PER_MS);
		return NULL;
	}
	if (object == NULL)
		return NULL;
	object_keep(work->arena, object);
	tree = object_tree(object);
	if (is_deleting(tree) && has_finalizer(tree, "orphan"))
		orphan_dependents(self, work, kind, object);
	else if (is_deleting(tree) && has_finalizer(tree, "foregroundDeletion"))
		delete_dependents(self, work, kind, object);
	else if (!is_deleting(tree) && json_len(json_path(tree, "metadata.ownerReferences")) != 0)
		try_suspect(self, work, kind, object);
	return NULL;
}

/* --- start --- */

static bool is_collected(const struct kind *kind)
{
	uint32_t needed = VERB(LIST) | VERB(WATCH) | VERB(DELETE);

	return (kind_verbs(kind) & needed) == needed && kind_stored_as(kind) == kind && !str_is(kind_resource(kind), "events");
}

static bool is_watched(const struct garbage *self, const struct kind *kind)
{
	for (size_t i = 0; i < self->kinds.len; i++) {
		const struct kind *known = kind_of(self->kinds.ptr[i]);

		if (str_eq(kind_resource(known), kind_resource(kind)) && str_eq(kind_group(known), kind_group(kind)))
			return true;
	}
	return false;
}

/* At the start, and when kinds that are described at run time have come. */
static void look_for_kinds(void *arg)
{
	static const struct informer_events events = { .changed = object_changed };
	struct garbage *self = arg;
	size_t before = self->kinds.len;

	for (size_t i = 0; i < kinds_len(); i++) {
		struct watched *watched;

		if (!is_collected(kinds_at(i)) || is_watched(self, kinds_at(i)))
			continue;
		watched = xcalloc(1, sizeof(*watched));
		*watched = (struct watched){ self, self->kinds.len, client_informer(self->client, kinds_at(i)) };
		vec_push(&self->kinds, watched);
	}
	for (size_t i = before; i < self->kinds.len; i++)
		informer_listen(self->kinds.ptr[i]->informer, &events, self->kinds.ptr[i]);
}

static void kinds_changed(void *arg)
{
	struct garbage *self = arg;

	loop_call_soon(&self->look, look_for_kinds, self);
}

static void *start(const struct controllers_options *options, struct client *client)
{
	struct garbage *self = xcalloc(1, sizeof(*self));

	(void)options;
	self->client = client;
	self->queue = workqueue_new(&(struct workqueue_options){
		.client = client, .name = "garbage-collector", .reconcile = sync_garbage, .arg = self, .workers = 20 });
	look_for_kinds(self);
	kinds_listen(kinds_changed, self);
	return self;
}

static void stop(void *arg)
{
	struct garbage *self = arg;

	kinds_unlisten(self);
	loop_call_cancel(&self->look);
	for (size_t i = 0; i < self->kinds.len; i++) {
		informer_unlisten(self->kinds.ptr[i]->informer, self->kinds.ptr[i]);
		free(self->kinds.ptr[i]);
	}
	vec_fini(&self->kinds);
	MAP_EACH (&self->owned, it) {
		struct dependents *list = it->value;

		for (size_t i = 0; i < list->keys.len; i++)
			free(list->keys.ptr[i]);
		vec_fini(&list->keys);
		free(list);
	}
	map_fini(&self->owned);
	workqueue_free(self->queue);
	free(self);
}

const struct controller garbage_controller = { "generic-garbage-collector", start, stop };
