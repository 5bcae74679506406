/* Label and field selectors: text → selector → text → selector says the same. */
#include "api/schema.h"
#include "api/selector.h"
#include "tests/fuzz/fuzz.h"

static void check_labels(struct arena *arena, struct str text)
{
	static const char *const labels[] = { "{}", "{\"a\":\"1\"}", "{\"a\":\"b\",\"app\":\"web\",\"x\":\"\"}", "null" };
	struct selector selector, again;
	AUTO_ERROR err = selector_parse(arena, text, &selector);

	if (err != NULL) {
		FUZZ_CHECK(err->kind == ERR_BAD_REQUEST);
		return;
	}
	struct str written = selector_text(arena, &selector);
	FUZZ_OK(selector_parse(arena, written, &again));
	FUZZ_SAME(selector_text(arena, &again), written);
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		const struct json *map;
		FUZZ_OK(json_read(arena, str_from(labels[i]), NULL, &map));
		FUZZ_CHECK(selector_matches(&selector, map) == selector_matches(&again, map));
	}
}

static void check_fields(struct arena *arena, struct str text)
{
	const struct kind *kind = kind_find(STR(""), STR("v1"), STR("pods"));
	struct field_selector selector;
	AUTO_ERROR err = field_selector_parse(arena, text, kind, &selector);
	struct str value;

	if (err != NULL) {
		FUZZ_CHECK(err->kind == ERR_BAD_REQUEST);
		return;
	}
	field_selector_matches(&selector, kind, &json_empty_object);
	field_selector_exact(&selector, "metadata.name", &value);
}

static void check_object(struct arena *arena, struct str text)
{
	const struct json *object = NULL;
	struct selector selector, again;
	AUTO_ERROR err = json_read(arena, text, NULL, &object);
	AUTO_ERROR err_selector = err == NULL ? selector_from_object(arena, object, &selector) : NULL;

	if (err != NULL || err_selector != NULL || selector.nothing)
		return;
	/* Its text is one that selector_parse() takes, unless a name or a value in it is none. */
	AUTO_ERROR err_text = selector_parse(arena, selector_text(arena, &selector), &again);
	if (err_text == NULL)
		FUZZ_SAME(selector_text(arena, &again), selector_text(arena, &selector));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();

	check_labels(arena, fuzz_str(data, size));
	check_fields(arena, fuzz_str(data, size));
	check_object(arena, fuzz_str(data, size));
	arena_free(arena);
	return 0;
}
