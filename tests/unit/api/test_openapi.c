/* OpenAPI documents against the recorded ones, descriptions aside: every path and every definition. */
#include <stdio.h>

#include "api/api.h"
#include "proto/proto.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

/*
 * The recorder took descriptions away; a property may well be called "description", but that is an object. References
 * are wrapped so that a description may stand beside them: which fields have one is not compared.
 */
static const struct json *stripped(struct arena *arena, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (value, it) {
		if (value->type == JSON_ARRAY)
			json_builder_item(&b, stripped(arena, it.value));
		else if (!str_is(it.key, "description") || !json_is(it.value, JSON_STRING))
			json_builder_member(&b, it.key, stripped(arena, it.value));
	}
	if (value->type == JSON_ARRAY)
		return json_builder_array(&b);
	if (value->type != JSON_OBJECT)
		return value;
	const struct json *object = json_builder_object(&b), *wrapped = json_get(object, "allOf");
	return json_len(object) == 1 && json_is(wrapped, JSON_ARRAY) ? json_at(wrapped, 0) : object;
}

/* Which kinds an option may be sent as: upstream also names versions that are not served. */
static bool other_versions(struct str name)
{
	return str_has_suffix(name, STR(".DeleteOptions")) || str_has_suffix(name, STR(".WatchEvent"));
}

static size_t compare(struct arena *arena, const char *what, const struct json *got, const struct json *want)
{
	size_t differ = 0;

	JSON_EACH (want, it) {
		const struct json *ours = json_find(got, it.key), *theirs = it.value;
		if (other_versions(it.key)) {
			ours = json_with(arena, ours, "x-kubernetes-group-version-kind", NULL);
			theirs = json_with(arena, theirs, "x-kubernetes-group-version-kind", NULL);
		}
		if (json_equal(ours, theirs))
			continue;
		if (differ++ < 6)
			printf("# %s %.*s\n#   %.*s\n#   %.*s\n", what, STR_ARG(it.key),
			       STR_ARG(str_head(json_format(arena, ours), 3000)),
			       STR_ARG(str_head(json_format(arena, theirs), 3000)));
	}
	JSON_EACH (got, it)
		if (json_find(want, it.key) == NULL && differ++ < 6)
			printf("# %s %.*s is ours only\n", what, STR_ARG(it.key));
	return differ;
}

TEST(openapi_v2_is_upstreams)
{
	struct arena *arena = arena_new();
	const struct json *want = vector_json(arena, "live/openapi/v2.json"), *got;
	AUTO_BUF struct buf out = { 0 };

	api_write_openapi_v2(&out);
	CHECK_OK(json_read(arena, buf_str(&out), NULL, &got));
	got = stripped(arena, got);
	want = stripped(arena, want);
	CHECK_EQ(compare(arena, "path", json_get(got, "paths"), json_get(want, "paths")), 0);
	CHECK_EQ(compare(arena, "definition", json_get(got, "definitions"), json_get(want, "definitions")), 0);
	CHECK_EQ(compare(arena, "parameter", json_get(got, "parameters"), json_get(want, "parameters")), 0);
	CHECK(json_equal(json_get(got, "securityDefinitions"), json_get(want, "securityDefinitions")));
	CHECK(json_equal(json_get(got, "security"), json_get(want, "security")));
	arena_free(arena);
}

TEST(openapi_v3_is_upstreams)
{
	struct arena *arena = arena_new();

	for (size_t i = 0; i < groups_len(); i++) {
		for (int k = 0; k < groups_at(i)->n_versions; k++) {
			struct arena *one = arena_new();
			const char *group = groups_at(i)->name, *version = groups_at(i)->versions[k];
			const struct json *want = vector_json(
				one, group[0] == 0 ? arena_printf(one, "live/openapi/v3/api_%s.json", version)
						   : arena_printf(one, "live/openapi/v3/apis_%s_%s.json", group, version));
			const struct json *got;
			AUTO_BUF struct buf out = { 0 };
			CHECK(api_write_openapi_v3(&out, str_from(group), str_from(version)));
			CHECK_OK(json_read(one, buf_str(&out), NULL, &got));
			got = stripped(one, got);
			want = stripped(one, want);
			CHECK_EQ(compare(one, "path", json_get(got, "paths"), json_get(want, "paths")), 0);
			CHECK_EQ(compare(one, "schema", json_path(got, "components.schemas"),
					 json_path(want, "components.schemas")),
				 0);
			arena_free(one);
		}
	}
	AUTO_BUF struct buf out = { 0 };
	CHECK(!api_write_openapi_v3(&out, STR("nonsense"), STR("v1")));
	arena_free(arena);
}

TEST(openapi_v3_index_names_every_version)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf out = { 0 };
	const struct json *index;

	api_write_openapi_v3_index(&out);
	CHECK_OK(json_read(arena, buf_str(&out), NULL, &index));
	CHECK_EQ(json_len(json_get(index, "paths")), 22);
	CHECK(str_has_prefix(json_get_str(json_get(json_get(index, "paths"), "apis/apps/v1"), "serverRelativeURL"),
			     STR("/openapi/v3/apis/apps/v1?hash=")));
	arena_free(arena);
}

/* Field numbers of gnostic's openapi.v2.Document. */
TEST(openapi_v2_in_protobuf)
{
	AUTO_BUF struct buf out = { 0 };
	struct error *err = NULL;
	size_t paths = 0, definitions = 0;

	api_write_openapi_v2_proto(&out);
	struct proto_reader r = { .rest = buf_str(&out) };
	while (proto_next(&r, &err)) {
		struct proto_reader in = { .rest = r.bytes };
		if (r.number == 1)
			CHECK_STR(r.bytes, "2.0");
		while ((r.number == 8 || r.number == 9) && proto_next(&in, &err)) {
			paths += r.number == 8;
			definitions += r.number == 9;
			CHECK_EQ(in.number, r.number == 8 ? 2 : 1);
		}
	}
	CHECK(err == NULL);
	CHECK_EQ(paths, 408);
	CHECK_EQ(definitions, 584);
}
