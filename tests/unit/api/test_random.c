/*
 * Recorded objects with random changes: nothing crashes, and what is accepted keeps its laws. Reproducible: the seed is
 * fixed; with MONOKUBE_TEST_SEED=N it is another.
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/apply.h"
#include "base/clock.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

#define ROUNDS 1500

static const struct json *anything(struct arena *arena)
{
	static const char *const values[] = { "null",
					      "1",
					      "-1",
					      "\"\"",
					      "\"x\"",
					      "{}",
					      "[null]",
					      "{\"a\":1}",
					      "true",
					      "\"25%\"",
					      "[1,2]",
					      "[{}]",
					      "99999999999999999999",
					      "[\"a\",\"a\"]",
					      "{\"name\":\"a\"}",
					      "\"0001-01-01T00:00:00Z\"",
					      "\"-1Gi\"",
					      "\"../..\"",
					      "\"kubernetes.io/tls\"" };

	return from(arena, values[rand_below(sizeof(values) / sizeof(values[0]))]);
}

/* One value somewhere in the tree is another; an item may stand there twice. */
static const struct json *changed(struct arena *arena, const struct json *value, uint64_t depth)
{
	struct json_builder b = { .arena = arena };

	if (json_len(value) == 0 || rand_below(depth + 3) == 0)
		return anything(arena);
	size_t pick = (size_t)rand_below(json_len(value));
	JSON_EACH (value, it) {
		const struct json *child = it.index == pick ? changed(arena, it.value, depth == 0 ? 0 : depth - 1) : it.value;
		if (value->type == JSON_OBJECT) {
			json_builder_member(&b, it.key, child);
			continue;
		}
		json_builder_item(&b, child);
		if (it.index == pick && rand_below(8) == 0)
			json_builder_item(&b, child);
	}
	return value->type == JSON_OBJECT ? json_builder_object(&b) : json_builder_array(&b);
}

static const struct kind *kind_of(const struct json *tree)
{
	struct str version = json_get_str(tree, "apiVersion"), group = STR("");

	if (str_find(version, '/') >= 0)
		str_cut(&version, '/', &group);
	return kind_find_named(group, version, json_get_str(tree, "kind"));
}

static void check_laws(struct arena *arena, const struct kind *kind, const struct json *live, const struct json *tree)
{
	struct api_manager me = { .kind = kind, .name = STR("me"), .now = STR("2026-01-01T00:00:00Z") };
	const struct json *again, *applied;
	AUTO_BUF struct buf first = { 0 }, second = { 0 };

	/* Protobuf gives back what it was given. (It cannot tell an empty list from none: so the bytes are compared.) */
	api_write_proto(&first, kind_type(kind), tree);
	CHECK_OK(api_decode(arena, &(struct api_body){ .kind = kind, .media = API_PROTOBUF, .text = buf_str(&first) }, NULL,
			    &again));
	api_write_proto(&second, kind_type(kind), again);
	CHECK(str_eq(buf_str(&first), buf_str(&second)));
	/* Defaults are in normal form, and there is nothing to add to them. */
	tree = api_default(arena, kind, tree);
	CHECK_OK(api_normalize(arena, kind_type(kind), tree, NULL, &again));
	CHECK_STR(json_format(arena, api_with_kind(arena, again, kind)), json_format(arena, tree));
	/* No change, no owner. */
	again = api_track(arena, &me, live, tree);
	CHECK(json_equal(api_track(arena, &me, again, again), again));
	/* The rest must only come to an end. */
	AUTO_ERROR invalid = api_validate(arena, kind, tree);
	AUTO_ERROR forbidden = api_validate_update(arena, kind, tree, live);
	AUTO_ERROR conflict = api_apply(arena, &me, live, json_with_path(arena, tree, "metadata.managedFields", NULL),
					rand_below(2) == 0, &applied);
	AUTO_ERROR patch = api_strategic_merge(arena, kind_type(kind), live, tree, &applied);
	api_cells(arena, kind, tree, 0);
	(void)invalid;
	(void)forbidden;
	(void)conflict;
	(void)patch;
}

TEST(random_changes_keep_the_laws)
{
	struct arena *all = arena_new();
	const char **names = vector_list(all, "roundtrip", ".json");
	const char *seed = getenv("MONOKUBE_TEST_SEED");
	size_t n = 0, accepted = 0;

	while (names[n] != NULL)
		n++;
	rand_seed(seed != NULL ? strtoull(seed, NULL, 10) : 1);
	for (size_t i = 0; i < ROUNDS; i++) {
		struct arena *arena = arena_new();
		const struct json *recorded = vector_json(arena, arena_printf(arena, "roundtrip/%s", names[rand_below(n)]));
		const struct kind *kind = kind_of(recorded);
		const struct json *tree, *live;
		struct api_notes notes = { 0 };
		if (kind != NULL) {
			struct str text = json_format(arena, changed(arena, recorded, 8));
			struct api_body body = { .kind = kind, .media = rand_below(4) == 0 ? API_YAML : API_JSON, .text = text };
			AUTO_ERROR err = api_decode(arena, &body, &notes, &tree);
			CHECK_OK(api_normalize(arena, kind_type(kind), recorded, NULL, &live));
			if (err == NULL)
				check_laws(arena, kind, api_with_kind(arena, live, kind), tree);
			accepted += err == NULL;
		}
		arena_free(arena);
	}
	CHECK(accepted > ROUNDS / 10);
	arena_free(all);
}
