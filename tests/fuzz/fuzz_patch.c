/* RFC 6902 and RFC 7386. Input: a document, a line "%", a patch. */
#include "tests/fuzz/fuzz.h"

static void check_merge(struct arena *arena, const struct json *document, const struct json *patch)
{
	const struct json *once = json_merge_patch(arena, document, patch);

	/* What is asked for twice is there as if asked for once. */
	FUZZ_CHECK(json_equal(json_merge_patch(arena, once, patch), once));
}

static void check_patch(struct arena *arena, const struct json *document, const struct json *patch)
{
	struct str before = json_format(arena, document);
	AUTO_BUF struct buf out = { 0 };
	const struct json *changed = NULL, *again;
	AUTO_ERROR err = json_patch(arena, document, patch, &changed);

	FUZZ_SAME(json_format(arena, document), before); /* trees never change */
	if (err != NULL) {
		FUZZ_CHECK(err->kind == ERR_BAD_REQUEST || err->kind == ERR_INVALID || err->kind == ERR_TOO_LARGE);
		return;
	}
	json_write(&out, changed);
	FUZZ_OK(json_read(arena, buf_str(&out), NULL, &again));
	FUZZ_CHECK(json_equal(changed, again));
}

/* A list of tests only changes nothing; a replacement of the whole is the whole. */
static void check_small_patches(struct arena *arena, const struct json *document)
{
	const struct json *test = JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "op", json_text(arena, "test") },
								      { "path", json_text(arena, "") }, { "value", document }));
	const struct json *changed = NULL;

	FUZZ_OK(json_patch(arena, document, test, &changed));
	FUZZ_CHECK(json_equal(changed, document));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size), text = fuzz_part(&in);
	struct arena *arena = arena_new();
	const struct json *document = NULL, *patch = NULL;
	AUTO_ERROR err = json_read(arena, text, NULL, &document);
	AUTO_ERROR err_patch = json_read(arena, in, NULL, &patch);

	if (err == NULL)
		check_small_patches(arena, document);
	if (err == NULL && err_patch == NULL) {
		check_merge(arena, document, patch);
		check_patch(arena, document, patch);
	}
	arena_free(arena);
	return 0;
}
