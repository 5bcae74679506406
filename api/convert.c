#include "api/convert.h"

#include "api/api.h"
#include "api/private.h"
#include "base/trace.h"

/* Event of core (left) and of events.k8s.io (right): the same fields under other names.
 * k8s.io/kubernetes/pkg/apis/events/v1/conversion. */
static const struct {
	const char *core, *events;
} event_fields[] = {
	{ "involvedObject", "regarding" },
	{ "message", "note" },
	{ "source", "deprecatedSource" },
	{ "firstTimestamp", "deprecatedFirstTimestamp" },
	{ "lastTimestamp", "deprecatedLastTimestamp" },
	{ "count", "deprecatedCount" },
	{ "reportingComponent", "reportingController" },
};

static const struct json *convert_event(struct arena *arena, const struct json *tree, bool to_core)
{
	struct json_builder out = { .arena = arena };

	JSON_EACH (tree, it) {
		struct str key = it.key;

		for (size_t i = 0; i < sizeof(event_fields) / sizeof(event_fields[0]); i++) {
			const char *from = to_core ? event_fields[i].events : event_fields[i].core;
			const char *to = to_core ? event_fields[i].core : event_fields[i].events;

			if (str_is(it.key, from)) {
				key = str_from(to);
				break;
			}
		}
		json_builder_member(&out, key, it.value);
	}
	return json_builder_object(&out);
}

static const struct json *convert(struct arena *arena, const struct json *tree, const struct kind *to)
{
	if ((to->flags & KIND_CUSTOM) != 0)
		return tree; /* strategy None: only the version's name and what its schema knows are different */
	if (str_is(kind_name(to), "Event"))
		return convert_event(arena, tree, kind_group(to).len == 0);
	if (str_is(kind_name(to), "HorizontalPodAutoscaler"))
		return convert_autoscaler(arena, tree, str_is(kind_version(to), "v2"));
	return tree;
}

struct object *object_convert(struct object *object, const struct kind *to)
{
	struct arena *arena;
	const struct json *tree;
	struct error *err;

	if (object_kind(object) == to)
		return object_ref(object);
	arena = arena_new();
	tree = convert(arena, json_copy(arena, object_tree(object)), to);
	err = api_normalize(arena, kind_type(to), tree, NULL, &tree);
	ASSERT(err == NULL); /* both forms have the same content */
	return object_new(to, arena, api_with_kind(arena, tree, to), object_revision(object));
}
