/* Pieces of objects that every component reads or writes. Pure. */
#include "client/client.h"

struct str object_path(struct arena *arena, struct object *object)
{
	struct str ns = object_namespace(object), name = object_name(object);

	if (ns.len == 0)
		return str_dup(arena, name);
	return str_format(arena, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
}

const struct json *owner_reference(struct arena *arena, struct object *owner)
{
	const struct json *tree = object_tree(owner);

	return JSON_OBJECT_OF(arena, { "apiVersion", json_get(tree, "apiVersion") }, { "kind", json_get(tree, "kind") },
			      { "name", json_path(tree, "metadata.name") }, { "uid", json_path(tree, "metadata.uid") },
			      { "controller", &json_true }, { "blockOwnerDeletion", &json_true });
}

const struct json *controller_of(const struct json *tree)
{
	JSON_EACH (json_path(tree, "metadata.ownerReferences"), it)
		if (json_bool(json_get(it.value, "controller")))
			return it.value;
	return NULL;
}

bool is_controlled_by(const struct json *tree, struct str uid)
{
	const struct json *owner = controller_of(tree);

	return owner != NULL && str_eq(json_get_str(owner, "uid"), uid);
}

bool is_deleting(const struct json *tree)
{
	return json_path(tree, "metadata.deletionTimestamp") != NULL;
}

const struct json *condition_of(const struct json *tree, const char *type)
{
	JSON_EACH (json_path(tree, "status.conditions"), it)
		if (str_is(json_get_str(it.value, "type"), type))
			return it.value;
	return NULL;
}

bool condition_true(const struct json *tree, const char *type)
{
	return str_is(json_get_str(condition_of(tree, type), "status"), "True");
}

const struct json *time_json(struct arena *arena, int64_t ns)
{
	char text[TIME_TEXT];

	return json_string_copy(arena, time_format(text, ns));
}

const struct json *conditions_with(struct arena *arena, const struct json *conditions, const struct condition *condition)
{
	struct json_builder list = { .arena = arena };
	const struct json *now = time_json(arena, clock_now()), *mine, *old = NULL, *moved, *updated;
	bool same, placed = false;

	JSON_EACH (conditions, it)
		if (str_is(json_get_str(it.value, "type"), condition->type))
			old = it.value;
	same = str_is(json_get_str(old, "status"), condition->status);
	moved = same ? json_get(old, "lastTransitionTime") : now;
	updated = same && str_is(json_get_str(old, "reason"), condition->reason != NULL ? condition->reason : "") &&
				  str_is(json_get_str(old, "message"), condition->message != NULL ? condition->message : "")
			  ? json_get(old, "lastUpdateTime")
			  : now;
	mine = JSON_OBJECT_OF(arena, { "type", json_text(arena, condition->type) },
			      { "status", json_text(arena, condition->status) },
			      { "lastUpdateTime", condition->update_time ? updated : NULL }, { "lastTransitionTime", moved },
			      { "reason", json_text(arena, condition->reason) },
			      { "message", json_text(arena, condition->message) });
	JSON_EACH (conditions, it) {
		bool is_mine = it.value == old;

		json_builder_item(&list, is_mine ? mine : it.value);
		placed = placed || is_mine;
	}
	if (!placed)
		json_builder_item(&list, mine);
	return json_builder_array(&list);
}

bool pod_is_ready(const struct json *pod)
{
	return condition_true(pod, "Ready");
}

bool pod_is_over(const struct json *pod)
{
	struct str phase = json_path_str(pod, "status.phase");

	return str_is(phase, "Succeeded") || str_is(phase, "Failed");
}
