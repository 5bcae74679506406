#include "base/limits.h"
#include "json/json.h"
#include "tests/unit/tap.h"

static const struct json *from(struct arena *arena, const char *text)
{
	const struct json *value = NULL;

	CHECK_OK(json_read(arena, str_from(text), NULL, &value));
	return value;
}

TEST(json_patch_operations)
{
	static const struct {
		const char *document, *patch, *want; /* want NULL: must be refused */
	} trials[] = {
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}" },
		{ "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":9}]", "{\"a\":[1,9,2]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":9}]", "{\"a\":[1,2,9]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/2\",\"value\":9}]", "{\"a\":[1,2,9]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/a/3\",\"value\":9}]", NULL },
		{ "{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/0\"}]", "{\"a\":[2]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"remove\",\"path\":\"/a/-1\"}]", "{\"a\":[1]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"replace\",\"path\":\"/a/2\",\"value\":1}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a/b\"}]", NULL },
		{ "{\"a\":{\"x/y\":1}}", "[{\"op\":\"move\",\"from\":\"/a/x~1y\",\"path\":\"/b\"}]", "{\"a\":{},\"b\":1}" },
		{ "{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"a\":1,\"b\":1}" },
		{ "{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/c\",\"path\":\"/b\"}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]", "{\"a\":1}" },
		{ "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/b\",\"value\":null}]", "{\"a\":1}" },
		{ "{\"a\":1}", "[{\"op\":\"put\",\"path\":\"/a\",\"value\":2}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"add\",\"value\":2}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":2}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/x/y\",\"value\":2}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":{\"z\":1}}]", "{\"z\":1}" },
		{ "{\"a\":1}", "[]", "{\"a\":1}" },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct arena *arena = arena_new();
		const struct json *out;
		struct error *err = json_patch(arena, from(arena, trials[i].document), from(arena, trials[i].patch), &out);
		if (trials[i].want == NULL) {
			CHECK_ERR(err, ERR_INVALID);
		} else {
			CHECK_OK(err);
			CHECK_STR(json_format(arena, out), trials[i].want);
		}
		arena_free(arena);
	}
}

TEST(json_patch_must_be_a_list_of_bounded_length)
{
	struct arena *arena = arena_new();
	struct json_builder b = { .arena = arena };
	const struct json *out;

	CHECK_ERR(json_patch(arena, &json_empty_object, &json_empty_object, &out), ERR_BAD_REQUEST);
	for (int i = 0; i <= LIMIT_PATCH_OPERATIONS; i++)
		json_builder_item(&b, &json_empty_object);
	CHECK_ERR(json_patch(arena, &json_empty_object, json_builder_array(&b), &out), ERR_TOO_LARGE);
	arena_free(arena);
}

/* The examples of RFC 7386, appendix A. */
TEST(json_merge_patch_rfc_examples)
{
	static const struct {
		const char *document, *patch, *want;
	} trials[] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"foo\"}", "null", "null" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct arena *arena = arena_new();
		const struct json *out = json_merge_patch(arena, from(arena, trials[i].document), from(arena, trials[i].patch));
		CHECK_STR(json_format(arena, out), trials[i].want);
		arena_free(arena);
	}
}
