/* What a namespace that goes tells of itself. */
#include "controllers/private.h"
#include "tests/unit/tap.h"

static const struct json *tree_of(struct arena *arena, const char *text)
{
	const struct json *value = NULL;

	CHECK_OK(json_read_yaml(arena, str_from(text), NULL, &value));
	return value;
}

static struct str field_of(struct arena *arena, const struct json *list, const char *type, const char *field)
{
	const struct json *tree = JSON_OBJECT_OF(arena, { "status", JSON_OBJECT_OF(arena, { "conditions", list }) });

	return json_get_str(condition_of(tree, type), field);
}

TEST(nothing_left_is_told_as_such)
{
	struct arena *arena = arena_new();
	const struct json *list = namespace_conditions(arena, &json_empty_object, &(struct namespace_rest){ 0 }, NS_PER_S);

	CHECK_EQ(json_len(list), 5);
	CHECK_STR(field_of(arena, list, "NamespaceContentRemaining", "status"), "False");
	CHECK_STR(field_of(arena, list, "NamespaceContentRemaining", "reason"), "ContentRemoved");
	CHECK_STR(field_of(arena, list, "NamespaceFinalizersRemaining", "message"), "All content-preserving finalizers finished");
	arena_free(arena);
}

TEST(what_is_left_is_told_in_order_and_times_change_with_the_status_only)
{
	struct arena *arena = arena_new();
	const struct json *old = tree_of(arena,
					 "{status: {conditions: [{type: Other, status: 'True'},"
					 " {type: NamespaceContentRemaining, status: 'True', lastTransitionTime: then},"
					 " {type: NamespaceFinalizersRemaining, status: 'False', lastTransitionTime: then}]}}");
	struct namespace_rest rest = { .failure = "no", .failures = 2 };
	const struct json *list;

	vec_push(&rest.kinds, ((struct namespace_kind){ kind_must("v1", "Pod"), 1 }));
	vec_push(&rest.kinds, ((struct namespace_kind){ kind_must("apps/v1", "Deployment"), 3 }));
	map_set(&rest.finalizers, STR("x.org/b"), (void *)(uintptr_t)2);
	map_set(&rest.finalizers, STR("x.org/a"), (void *)(uintptr_t)1);
	list = namespace_conditions(arena, old, &rest, NS_PER_S);
	CHECK_EQ(json_len(list), 6);
	CHECK_STR(field_of(arena, list, "Other", "status"), "True");
	CHECK_STR(field_of(arena, list, "NamespaceContentRemaining", "message"),
		  "Some resources are remaining: deployments.apps has 3 resource instances, pods. has 1 resource instances");
	CHECK_STR(field_of(arena, list, "NamespaceContentRemaining", "lastTransitionTime"), "then");
	CHECK_STR(field_of(arena, list, "NamespaceFinalizersRemaining", "message"),
		  "Some content in the namespace has finalizers remaining: x.org/a in 1 resource instances, x.org/b in 2 resource "
		  "instances");
	CHECK_STR(field_of(arena, list, "NamespaceFinalizersRemaining", "lastTransitionTime"), "1970-01-01T00:00:01Z");
	CHECK_STR(field_of(arena, list, "NamespaceDeletionContentFailure", "message"),
		  "Failed to delete all resource types, 2 remaining: no");
	vec_fini(&rest.kinds);
	map_fini(&rest.finalizers);
	arena_free(arena);
}
