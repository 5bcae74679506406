/* EndpointSlices as two controllers write them: endpoints are gathered by their ports, and what is there is used again. */
#include <stdio.h>

#include "controllers/private.h"

static const struct kind *slice_kind(void)
{
	return kind_must("discovery.k8s.io/v1", "EndpointSlice");
}

bool slice_is_of(struct object *slice, const char *manager)
{
	return str_is(json_get_str(labels_of(object_tree(slice)), SLICE_MANAGER), manager);
}

void slice_index_by_service(struct object *object, void (*emit)(void *to, struct str key), void *to)
{
	struct str service = json_get_str(labels_of(object_tree(object)), SLICE_SERVICE);
	char text[600];

	if (service.len == 0)
		return;
	snprintf(text, sizeof(text), "%.*s/%.*s", STR_ARG(object_namespace(object)), STR_ARG(service));
	emit(to, str_from(text));
}

struct slice_group {
	const struct json *ports;
	struct json_builder endpoints;
	bool written;
};

static struct slice_group *group_for(struct slices *wanted, const struct json *ports)
{
	struct slice_group *grown;

	for (size_t i = 0; i < wanted->n; i++)
		if (wanted->groups[i].endpoints.len < wanted->most && json_equal(wanted->groups[i].ports, ports))
			return &wanted->groups[i];
	grown = ARENA_ARRAY(wanted->work->arena, struct slice_group, wanted->n + 1);
	if (wanted->n != 0)
		memcpy(grown, wanted->groups, wanted->n * sizeof(*grown));
	wanted->groups = grown;
	grown[wanted->n] = (struct slice_group){ .ports = ports, .endpoints = { .arena = wanted->work->arena } };
	return &grown[wanted->n++];
}

void slices_add(struct slices *wanted, const struct json *ports, const struct json *endpoint)
{
	struct slice_group *group = group_for(wanted, ports);

	if (endpoint != NULL)
		json_builder_item(&group->endpoints, endpoint);
}

static const struct json *changed_slice(struct slices *wanted, const struct json *old, const struct json *ports,
					const struct json *endpoints)
{
	struct arena *arena = wanted->work->arena;
	const struct json *body;

	if (json_equal(json_get(old, "endpoints"), endpoints) && json_equal(json_get(old, "ports"), ports) &&
	    json_equal(labels_of(old), wanted->labels))
		return NULL;
	body = json_with(arena, old, "endpoints", endpoints);
	body = json_with(arena, body, "ports", ports);
	body = json_with_path(arena, body, "metadata.labels", wanted->labels);
	return json_with_path(arena, body, "metadata.annotations", wanted->annotations);
}

static void write_slice(struct slices *wanted, const char *family, struct slice_group *group, struct object *existing)
{
	struct arena *arena = wanted->work->arena;
	const struct json *endpoints = json_builder_array(&group->endpoints), *body;
	struct str ns = object_namespace(wanted->owner);

	group->written = true;
	if (existing != NULL)
		body = changed_slice(wanted, object_tree(existing), group->ports, endpoints);
	else
		body = JSON_OBJECT_OF(
			arena,
			{ "metadata",
			  JSON_OBJECT_OF(arena,
					 { "generateName", json_printf(arena, "%.*s-", STR_ARG(object_name(wanted->owner))) },
					 { "namespace", json_string(arena, ns) }, { "labels", wanted->labels },
					 { "annotations", wanted->annotations },
					 { "ownerReferences", JSON_ARRAY_OF(arena, owner_reference(arena, wanted->owner)) }) },
			{ "addressType", json_text(arena, family) }, { "endpoints", endpoints }, { "ports", group->ports });
	if (body != NULL)
		work_call(wanted->work, &(struct api_call){ .verb = existing != NULL ? VERB_UPDATE : VERB_CREATE,
							    .kind = slice_kind(),
							    .ns = ns,
							    .name = existing != NULL ? object_name(existing) : STR(""),
							    .body = body });
}

static void delete_slice(struct work *work, struct object *slice)
{
	work_call(work,
		  &(struct api_call){
			  .verb = VERB_DELETE, .kind = slice_kind(), .ns = object_namespace(slice), .name = object_name(slice) });
}

/* Which of those that are to be written suits a slice that is there: one with its ports, else any. */
static struct slice_group *group_of(struct slices *wanted, const struct json *slice)
{
	for (size_t i = 0; i < wanted->n; i++)
		if (!wanted->groups[i].written && json_equal(wanted->groups[i].ports, json_get(slice, "ports")))
			return &wanted->groups[i];
	for (size_t i = 0; i < wanted->n; i++)
		if (!wanted->groups[i].written)
			return &wanted->groups[i];
	return NULL;
}

void slices_write(struct slices *wanted, const char *family, struct object_list there)
{
	for (size_t i = 0; i < there.len; i++) {
		const struct json *slice = object_tree(there.ptr[i]);
		struct slice_group *group;

		if (!slice_is_of(there.ptr[i], wanted->manager) || !str_is(json_get_str(slice, "addressType"), family) ||
		    is_deleting(slice))
			continue;
		group = group_of(wanted, slice);
		if (group != NULL)
			write_slice(wanted, family, group, there.ptr[i]);
		else
			delete_slice(wanted->work, there.ptr[i]);
	}
	for (size_t i = 0; i < wanted->n; i++)
		if (!wanted->groups[i].written)
			write_slice(wanted, family, &wanted->groups[i], NULL);
}

void slices_drop(struct work *work, const char *manager, struct object_list there)
{
	for (size_t i = 0; i < there.len; i++)
		if (slice_is_of(there.ptr[i], manager))
			delete_slice(work, there.ptr[i]);
}
