/* YAML in and out: what is written is read as the same. Aliases may multiply, up to a bound. */
#include "base/limits.h"
#include "tests/fuzz/fuzz.h"

static void check_written(struct arena *arena, const struct json *tree)
{
	AUTO_BUF struct buf out = { 0 }, again = { 0 };
	const struct json *second;

	json_write_yaml(&out, tree);
	FUZZ_OK(json_read_yaml(arena, buf_str(&out), NULL, &second));
	FUZZ_CHECK(json_equal(tree, second));
	json_write_yaml(&again, second);
	FUZZ_SAME(buf_str(&again), buf_str(&out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	const struct json *tree = NULL, *documents = NULL;
	AUTO_ERROR err = json_read_yaml(arena, fuzz_str(data, size), NULL, &tree);
	AUTO_ERROR err_documents = json_read_documents(arena, fuzz_str(data, size), NULL, &documents);

	FUZZ_CHECK(arena_size(arena) < 1000000 + 3 * 64 * LIMIT_YAML_NODES);
	if (err == NULL && arena_size(arena) < 4000000)
		check_written(arena, tree);
	if (err_documents == NULL)
		FUZZ_CHECK(json_is(documents, JSON_ARRAY));
	arena_free(arena);
	return 0;
}
