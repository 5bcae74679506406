/*
 * How a namespace goes: first its pods (KEP-5080), then everything else, then its finalizer. Its conditions say what is still
 * there and what holds it. Source: k8s.io/kubernetes/pkg/controller/namespace/deletion.
 *
 *	look at the pods ── some left ──▶ delete them, tell, look again
 *	      │ none
 *	look at all other kinds ── some left ──▶ delete them, tell, look again
 *	      │ none
 *	tell ── finalize
 */
#include <stdlib.h>

#include "controllers/private.h"

#define LOOK_AGAIN (100 * NS_PER_MS)

struct emptying {
	struct work *work;
	const struct json *tree; /* the namespace, on the work's arena */
	bool pods_only;
	size_t open; /* lists and deletions under way */
	struct namespace_rest rest;
};

struct emptying_kind {
	struct emptying *all;
	const struct kind *kind;
	bool deleted; /* what is there now was told to go */
};

/* --- what is told --- */

static const struct {
	const char *type, *reason, *message; /* when there is nothing to tell */
} conditions[] = {
	{ "NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered" },
	{ "NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed" },
	{ "NamespaceDeletionContentFailure", "ContentDeleted", "All content successfully deleted, may be waiting on finalization" },
	{ "NamespaceContentRemaining", "ContentRemoved", "All content successfully removed" },
	{ "NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished" },
};

#define N_CONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static const char *sorted_list(struct arena *arena, const char *begin, struct str *list, size_t n)
{
	AUTO_BUF struct buf text = { 0 };

	qsort(list, n, sizeof(*list), by_text);
	buf_printf(&text, "%s", begin);
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%s%.*s", i != 0 ? ", " : "", STR_ARG(list[i]));
	return arena_strdup(arena, buf_cstr(&text));
}

static const char *kinds_left(struct arena *arena, const struct namespace_rest *rest)
{
	struct str *list = ARENA_ARRAY(arena, struct str, rest->kinds.len + 1);

	for (size_t i = 0; i < rest->kinds.len; i++) {
		const struct kind *kind = rest->kinds.ptr[i].kind;

		list[i] = str_format(arena, "%.*s.%.*s has %zu resource instances", STR_ARG(kind_resource(kind)),
				     STR_ARG(kind_group(kind)), rest->kinds.ptr[i].n);
	}
	return sorted_list(arena, "Some resources are remaining: ", list, rest->kinds.len);
}

static const char *finalizers_left(struct arena *arena, const struct namespace_rest *rest)
{
	struct str *list = ARENA_ARRAY(arena, struct str, rest->finalizers.len + 1);
	size_t n = 0;

	MAP_EACH (&rest->finalizers, it)
		list[n++] = str_format(arena, "%.*s in %zu resource instances", STR_ARG(it->key), (size_t)(uintptr_t)it->value);
	return sorted_list(arena, "Some content in the namespace has finalizers remaining: ", list, n);
}

const struct json *namespace_conditions(struct arena *arena, const struct json *old, const struct namespace_rest *rest, int64_t now)
{
	struct json_builder list = { .arena = arena };

	JSON_EACH (json_path(old, "status.conditions"), it) {
		bool ours = false;

		for (size_t i = 0; i < N_CONDITIONS; i++)
			ours = ours || str_is(json_get_str(it.value, "type"), conditions[i].type);
		if (!ours)
			json_builder_item(&list, it.value);
	}
	for (size_t i = 0; i < N_CONDITIONS; i++) {
		const struct json *before = condition_of(old, conditions[i].type);
		const char *status = "False", *reason = conditions[i].reason, *message = conditions[i].message;

		if (i == 2 && rest->failure != NULL) {
			status = "True", reason = "ContentDeletionFailed";
			message = arena_printf(arena, "Failed to delete all resource types, %zu remaining: %s", rest->failures,
					       rest->failure);
		} else if (i == 3 && rest->kinds.len != 0) {
			status = "True", reason = "SomeResourcesRemain", message = kinds_left(arena, rest);
		} else if (i == 4 && rest->finalizers.len != 0) {
			status = "True", reason = "SomeFinalizersRemain", message = finalizers_left(arena, rest);
		}
		json_builder_item(&list,
				  JSON_OBJECT_OF(arena, { "type", json_text(arena, conditions[i].type) },
						 { "status", json_text(arena, status) },
						 { "lastTransitionTime", str_is(json_get_str(before, "status"), status)
										 ? json_get(before, "lastTransitionTime")
										 : time_json(arena, now) },
						 { "reason", json_text(arena, reason) }, { "message", json_text(arena, message) }));
	}
	return json_builder_array(&list);
}

/* --- what is done --- */

static void look(struct emptying *all);

/* Everything that was to be looked at has been. */
static void looked(struct emptying *all)
{
	struct work *work = all->work;
	/* While pods are awaited, nothing else was looked at that could be told of. */
	struct namespace_rest nothing = { .failure = all->rest.failure, .failures = all->rest.failures };
	bool left = all->rest.kinds.len != 0 || all->rest.failure != NULL;
	const struct json *told, *spec;

	if (all->pods_only && !left) {
		all->pods_only = false;
		look(all);
		return;
	}
	told = namespace_conditions(work->arena, all->tree, all->pods_only ? &nothing : &all->rest, clock_now());
	if (!json_equal(told, json_path(all->tree, "status.conditions"))) {
		work_call(work, &(struct api_call){ .verb = VERB_UPDATE,
						    .kind = kind_must("v1", "Namespace"),
						    .name = work->key,
						    .subresource = STR("status"),
						    .body = json_with_path(work->arena, all->tree, "status.conditions", told) });
		return; /* the change brings us back */
	}
	if (left) {
		work_again(work, LOOK_AGAIN);
		return;
	}
	spec = json_with(work->arena, json_get(all->tree, "spec"), "finalizers", NULL);
	work_call(work, &(struct api_call){ .verb = VERB_UPDATE,
					    .kind = kind_must("v1", "Namespace"),
					    .name = work->key,
					    .subresource = STR("finalize"),
					    .body = json_with(work->arena, all->tree, "spec", spec) });
}

static void one_done(struct emptying *all)
{
	if (--all->open == 0)
		looked(all);
}

static void note_failure(struct emptying *all, const struct error *err)
{
	all->rest.failures++;
	if (all->rest.failure == NULL)
		all->rest.failure = arena_strdup(all->work->arena, err->text);
}

static void listed(void *arg, struct api_reply *reply);

static void list_kind(struct emptying_kind *one)
{
	one->all->open++;
	work_call(
		one->all->work,
		&(struct api_call){ .verb = VERB_LIST, .kind = one->kind, .ns = one->all->work->key, .done = listed, .arg = one });
}

static void collection_deleted(void *arg, struct api_reply *reply)
{
	struct emptying_kind *one = arg;

	one->deleted = true;
	if (reply->err != NULL)
		note_failure(one->all, reply->err);
	else
		list_kind(one);
	one_done(one->all);
}

static void note_left(struct emptying *all, const struct kind *kind, const struct api_reply *reply)
{
	vec_push(&all->rest.kinds, ((struct namespace_kind){ kind, reply->n_items }));
	for (size_t i = 0; i < reply->n_items; i++)
		JSON_EACH (json_path(object_tree(reply->items[i]), "metadata.finalizers"), it) {
			size_t n = (size_t)(uintptr_t)map_find(&all->rest.finalizers, json_str(it.value));

			map_set(&all->rest.finalizers, json_str(it.value), (void *)(uintptr_t)(n + 1));
		}
}

static void listed(void *arg, struct api_reply *reply)
{
	struct emptying_kind *one = arg;
	struct emptying *all = one->all;

	if (reply->err != NULL) {
		note_failure(all, reply->err);
	} else if (reply->n_items != 0 && one->deleted) {
		note_left(all, one->kind, reply);
	} else if (reply->n_items != 0) {
		all->open++;
		work_call(all->work, &(struct api_call){ .verb = VERB_DELETECOLLECTION,
							 .kind = one->kind,
							 .ns = all->work->key,
							 .done = collection_deleted,
							 .arg = one });
	}
	one_done(all);
}

static bool is_content(const struct kind *kind)
{
	uint32_t needed = VERB(LIST) | VERB(DELETECOLLECTION);

	return kind_namespaced(kind) && (kind_verbs(kind) & needed) == needed && kind_stored_as(kind) == kind;
}

static void look_at(struct emptying *all, const struct kind *kind)
{
	struct emptying_kind *one;

	if (!is_content(kind) || (kind == kind_must("v1", "Pod")) != all->pods_only)
		return;
	one = ARENA_NEW(all->work->arena, struct emptying_kind);
	*one = (struct emptying_kind){ .all = all, .kind = kind };
	list_kind(one);
}

static void look(struct emptying *all)
{
	all->open = 1;
	for (size_t i = 0; i < kinds_len(); i++)
		look_at(all, kinds_at(i));
	one_done(all);
}

static void forget(void *arg)
{
	struct emptying *all = arg;

	vec_fini(&all->rest.kinds);
	map_fini(&all->rest.finalizers);
}

void namespace_empty(struct work *work, const struct json *tree)
{
	struct emptying *all = ARENA_NEW(work->arena, struct emptying);

	*all = (struct emptying){ .work = work, .tree = json_copy(work->arena, tree), .pods_only = true };
	arena_defer(work->arena, forget, all);
	look(all);
}
