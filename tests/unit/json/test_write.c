#include "json/json.h"
#include "tests/unit/tap.h"

TEST(json_indents_as_go_does)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf out = { 0 };
	const struct json *value;

	CHECK_OK(json_read(arena, STR("{\"a\":[1,{\"b\":{}}],\"c\":[],\"d\":null}"), NULL, &value));
	json_write_indented(&out, value, 2);
	CHECK_STR(buf_str(&out), "{\n  \"a\": [\n    1,\n    {\n      \"b\": {}\n    }\n  ],\n  \"c\": [],\n  \"d\": null\n}");
	arena_free(arena);
}

TEST(json_writes_floats_as_go_does)
{
	static const struct {
		double value;
		const char *want;
	} trials[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ -1.5, "-1.5" },
		{ 0.1, "0.1" },
		{ 1e20, "100000000000000000000" },
		{ 1e21, "1e+21" },
		{ 1e-6, "0.000001" },
		{ 1e-7, "1e-7" },
		{ 123456789.125, "123456789.125" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" },
		{ 5e-324, "5e-324" },
		{ 100, "100" },
		{ 0.30000000000000004, "0.30000000000000004" },
	};
	char text[JSON_REAL_TEXT];

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		CHECK_STR(json_format_real(text, trials[i].value), trials[i].want);
}
