/* JSON in and out: what is read and written again is the same; YAML's reader, a superset, sees the same. */
#include "tests/fuzz/fuzz.h"

/* Numbers that a double holds exactly in both readers; YAML's reader makes others shorter, as upstream's does. */
static bool plain_numbers(const struct json *value)
{
	if (json_is(value, JSON_NUMBER)) {
		int64_t n;
		return json_is_int(value, &n) && n > -(INT64_C(1) << 53) && n < INT64_C(1) << 53;
	}
	JSON_EACH (value, it)
		if (!plain_numbers(it.value))
			return false;
	return true;
}

static void check_yaml_agrees(struct arena *arena, struct str text, const struct json *tree)
{
	const struct json *yaml = NULL;
	AUTO_ERROR err = json_read_yaml(arena, text, NULL, &yaml);

	/* It may refuse: tabs between tokens, long keys, escaped surrogates, depth. */
	if (err == NULL && plain_numbers(tree))
		FUZZ_CHECK(json_equal(tree, yaml));
}

static void check_written(struct arena *arena, const struct json *tree)
{
	AUTO_BUF struct buf out = { 0 }, again = { 0 }, indented = { 0 }, yaml = { 0 };
	const struct json *second;

	json_write(&out, tree);
	FUZZ_OK(json_read(arena, buf_str(&out), NULL, &second));
	FUZZ_CHECK(json_equal(tree, second));
	json_write(&again, second);
	FUZZ_SAME(buf_str(&again), buf_str(&out));
	json_write_indented(&indented, tree, 2);
	FUZZ_OK(json_read(arena, buf_str(&indented), NULL, &second));
	FUZZ_CHECK(json_equal(tree, second));
	json_write_yaml(&yaml, tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_options borrow = { .borrow = true };
	struct arena *arena = arena_new();
	struct str text = fuzz_str(data, size), rest = text;
	const struct json *tree = NULL, *borrowed = NULL, *some = NULL;
	AUTO_ERROR err = json_read(arena, text, NULL, &tree);
	AUTO_ERROR err_borrowed = json_read(arena, text, &borrow, &borrowed);
	AUTO_ERROR err_some = json_read_some(arena, &rest, NULL, &some);

	FUZZ_CHECK((err == NULL) == (err_borrowed == NULL));
	if (err == NULL) {
		FUZZ_CHECK(err_some == NULL && json_equal(tree, some));
		FUZZ_CHECK(json_equal(tree, borrowed));
		FUZZ_CHECK(json_equal(tree, json_copy(arena, tree)));
		check_written(arena, tree);
		check_yaml_agrees(arena, text, tree);
	}
	FUZZ_CHECK(arena_size(arena) < 1000000 + 1000 * size);
	arena_free(arena);
	return 0;
}
