#include <stdio.h>

#include "json/json.h"
#include "tests/unit/tap.h"

static const struct json *from(struct arena *arena, const char *text)
{
	const struct json *value = NULL;

	CHECK_OK(json_read(arena, str_from(text), NULL, &value));
	return value;
}

TEST(json_lookups_forgive_absence)
{
	struct arena *arena = arena_new();
	const struct json *pod = from(arena, "{\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\"},{\"name\":\"d\"}],"
					     "\"n\":5,\"f\":2.5,\"t\":true},\"a/b\":{\"~\":1}}");

	CHECK_STR(json_path_str(pod, "spec.nodeName"), "n1");
	CHECK_STR(json_path_str(pod, "spec.containers.1.name"), "d");
	CHECK(json_path(pod, "spec.containers.2.name") == NULL);
	CHECK(json_path(NULL, "spec") == NULL);
	CHECK_EQ(json_int(json_path(pod, "spec.n"), -1), 5);
	CHECK_EQ(json_int(json_path(pod, "spec.f"), -1), -1);
	CHECK(json_double(json_path(pod, "spec.f"), 0) > 2.4);
	CHECK(json_bool(json_path(pod, "spec.t")));
	CHECK(!json_bool(json_path(pod, "spec.n")));
	CHECK_EQ(json_int(json_pointer(pod, STR("/a~1b/~0")), 0), 1);
	CHECK(json_pointer(pod, STR("spec")) == NULL);
	CHECK(json_pointer(pod, STR("")) == pod);
	size_t n = 0;
	JSON_EACH (json_path(pod, "spec.containers"), it)
		n += json_get_str(it.value, "name").len;
	JSON_EACH (json_path(pod, "spec.nodeName"), it)
		n += 100;
	JSON_EACH (NULL, it)
		n += 100;
	CHECK_EQ(n, 2);
	arena_free(arena);
}

TEST(json_paths_are_copied)
{
	struct arena *arena = arena_new();
	const struct json *a = from(arena, "{\"x\":{\"y\":1,\"z\":[1,2]},\"w\":3}");
	const struct json *b = json_with_path(arena, a, "x.y", json_text(arena, "new"));

	CHECK_STR(json_format(arena, a), "{\"x\":{\"y\":1,\"z\":[1,2]},\"w\":3}");
	CHECK_STR(json_format(arena, b), "{\"x\":{\"y\":\"new\",\"z\":[1,2]},\"w\":3}");
	CHECK(json_get(a, "w") == json_get(b, "w"));
	b = json_with_path(arena, b, "x.z.0", json_number(arena, -7));
	b = json_with_path(arena, b, "status.phase", json_text(arena, "Running"));
	b = json_with_path(arena, b, "x.y", NULL);
	b = json_with_path(arena, b, "no.such.thing", NULL);
	CHECK_STR(json_format(arena, b), "{\"x\":{\"z\":[-7,2]},\"w\":3,\"status\":{\"phase\":\"Running\"}}");
	b = json_append(arena, json_path(b, "x.z"), json_printf(arena, "%d", 5));
	CHECK_STR(json_format(arena, b), "[-7,2,\"5\"]");
	CHECK_STR(json_format(arena, json_with_item(arena, b, 0, NULL)), "[2,\"5\"]");
	CHECK_STR(json_format(arena, json_append(arena, NULL, &json_true)), "[true]");
	CHECK_STR(json_format(arena, json_with(arena, NULL, "a", &json_true)), "{\"a\":true}");
	CHECK(json_with(arena, a, "none", NULL) == a);
	arena_free(arena);
}

TEST(json_builders_leave_out_what_is_absent)
{
	struct arena *arena = arena_new(), *other = arena_new();
	const struct json *o =
		JSON_OBJECT_OF(arena, { "name", json_text(arena, "n") }, { "node", NULL },
			       { "ports", JSON_ARRAY_OF(arena, json_number(arena, 1), NULL, json_real(arena, 0.5)) });
	struct json_builder b = { .arena = arena };

	CHECK_STR(json_format(arena, o), "{\"name\":\"n\",\"ports\":[1,0.5]}");
	for (int i = 9; i >= 0; i--)
		json_builder_member(&b, str_format(arena, "k%d", i), json_number(arena, i));
	json_builder_sort(&b);
	const struct json *copy = json_copy(other, json_builder_object(&b));
	arena_free(arena);
	CHECK_STR(json_format(other, copy),
		  "{\"k0\":0,\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":6,\"k7\":7,\"k8\":8,\"k9\":9}");
	arena_free(other);
}

TEST(json_equality_is_of_content)
{
	struct arena *arena = arena_new();

	CHECK(json_equal(from(arena, "{\"a\":1,\"b\":[1.0,\"x\"]}"), from(arena, "{\"b\":[1,\"x\"],\"a\":1}")));
	CHECK(!json_equal(from(arena, "{\"a\":1}"), from(arena, "{\"b\":1}")));
	CHECK(!json_equal(from(arena, "{\"a\":1}"), from(arena, "{\"a\":1,\"b\":1}")));
	CHECK(!json_equal(from(arena, "[1,2]"), from(arena, "[2,1]")));
	CHECK(!json_equal(from(arena, "1"), from(arena, "\"1\"")));
	CHECK(!json_equal(from(arena, "true"), from(arena, "false")));
	CHECK(!json_equal(NULL, &json_null));
	CHECK(json_equal(NULL, NULL));
	arena_free(arena);
}

TEST(json_keys_are_shared_by_equal_values)
{
	static const char *const values[] = { "1",
					      "1.0",
					      "10e-1",
					      "\"1\"",
					      "1.5",
					      "15e-1",
					      "null",
					      "true",
					      "[1]",
					      "[1.0]",
					      "[]",
					      "{}",
					      "\"\"",
					      "\"true\"",
					      "1e99",
					      "-0",
					      "0",
					      "false",
					      "[[],\"a\"]",
					      "{\"a\":[1]}",
					      "\"[1]\"",
					      "2e20",
					      "20e19",
					      "\"\\u0000\"",
					      "[\"1\"]",
					      "{\"a\":1,\"b\":2}",
					      "{\"b\":2.0,\"a\":1}" };
	size_t n = sizeof(values) / sizeof(values[0]);
	struct arena *arena = arena_new();

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			const struct json *a = from(arena, values[i]), *b = from(arena, values[k]);

			if (json_equal(a, b) != str_eq(json_key(arena, a), json_key(arena, b)))
				printf("# %s and %s\n", values[i], values[k]);
			CHECK(json_equal(a, b) == str_eq(json_key(arena, a), json_key(arena, b)));
		}
	CHECK_EQ(json_key(arena, NULL).len, 0);
	arena_free(arena);
}

TEST(json_drafts_become_objects)
{
	struct arena *arena = arena_new();
	const struct json *object = from(arena, "{\"a\":1,\"b\":2,\"c\":3}");
	struct json_draft draft = json_draft_of(arena, object), empty = json_draft_of(arena, NULL);

	json_draft_set(&draft, STR("b"), NULL);
	json_draft_set(&draft, STR("d"), json_number(arena, 4));
	json_draft_set(&draft, STR("a"), json_number(arena, 5));
	json_draft_set(&draft, STR("x"), NULL);
	CHECK(json_draft_get(&draft, STR("b")) == NULL && json_draft_get(&draft, STR("x")) == NULL);
	CHECK_STR(json_format(arena, json_draft_object(&draft)), "{\"a\":5,\"c\":3,\"d\":4}");
	json_draft_set(&draft, STR("b"), json_number(arena, 6));
	CHECK_STR(json_format(arena, json_draft_object(&draft)), "{\"a\":5,\"b\":6,\"c\":3,\"d\":4}");
	CHECK_STR(json_format(arena, json_draft_object(&empty)), "{}");
	CHECK_STR(json_format(arena, object), "{\"a\":1,\"b\":2,\"c\":3}");
	arena_free(arena);
}

TEST(json_containers_stay_when_nothing_changes)
{
	struct arena *arena = arena_new();
	const struct json *list = from(arena, "[1,2,3]"), *object = from(arena, "{\"a\":1,\"b\":2}");

	for (int changes = 0; changes < 2; changes++) {
		struct json_builder items = { .arena = arena }, members = { .arena = arena };

		JSON_EACH (list, it)
			json_builder_put(&items, &it, changes != 0 && it.index == 1 ? NULL : it.value);
		JSON_EACH (object, it)
			json_builder_put(&members, &it, changes != 0 && it.index == 1 ? list : it.value);
		const struct json *new_list = json_builder_like(&items, list), *new = json_builder_like(&members, object);
		CHECK((new_list == list) == (changes == 0) && (new == object) == (changes == 0));
		CHECK_STR(json_format(arena, new_list), changes == 0 ? "[1,2,3]" : "[1,3]");
		CHECK_STR(json_format(arena, new), changes == 0 ? "{\"a\":1,\"b\":2}" : "{\"a\":1,\"b\":[1,2,3]}");
	}
	arena_free(arena);
}
