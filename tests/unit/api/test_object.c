#include "api/api.h"
#include "api/object.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static struct object *make(const char *text, uint64_t revision)
{
	struct arena *arena = arena_new();

	return object_new(kind_must("v1", "ConfigMap"), arena, from(arena, text), revision);
}

static void check_sent(struct object *object, const char *want)
{
	AUTO_BUF struct buf out = { 0 };

	object_write_json(&out, object);
	CHECK_STR(buf_str(&out), want);
}

TEST(object_splices_the_version)
{
	static const struct {
		const char *tree, *sent;
	} trials[] = {
		{ "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"labels\":{\"x\":\"<\"}}}",
		  "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"7\","
		  "\"labels\":{\"x\":\"\\u003c\"}}}" },
		{ "{\"metadata\":{\"name\":\"a\"},\"data\":{}}",
		  "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"7\"},\"data\":{}}" },
		{ "{\"metadata\":{}}", "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"7\"}}" },
		{ "{\"metadata\":{\"generation\":1}}",
		  "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"7\",\"generation\":1}}" },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct object *object = make(trials[i].tree, 7);
		check_sent(object, trials[i].sent);
		struct str parts[3];
		object_json_item_parts(object, parts);
		CHECK(str_has_prefix(parts[0], STR("\"metadata\":{")));
		/* Once more from what was stored. */
		struct object *again = object_from_bytes(object_kind(object), object_stored(object), 7);
		check_sent(again, trials[i].sent);
		CHECK_STR(json_path_str(object_tree(again), "metadata.resourceVersion"), "7");
		object_unref(object);
		object_unref(again);
	}
}

TEST(object_gets_its_revision_after_the_commit)
{
	struct object *object =
		make("{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"3\"}}", 0);
	struct object *later = object_with_revision(object, 12);
	struct arena *arena = arena_new();

	check_sent(
		object,
		"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\"}}");
	check_sent(later,
		   "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\","
		   "\"resourceVersion\":\"12\"}}");
	CHECK(object_stored(object) == object_stored(later));
	object_unref(object);
	CHECK(object_keep(arena, later) == later);
	object_drop_tree(later);
	CHECK_STR(object_name(later), "a");
	CHECK_STR(object_namespace(later), "n");
	CHECK_STR(object_uid(later), "u");
	CHECK_EQ(object_revision(later), 12);
	CHECK(object_proto(later)->len > 20);
	CHECK(object_size(later) > 0);
	object_unref(later);
	arena_free(arena);
}
