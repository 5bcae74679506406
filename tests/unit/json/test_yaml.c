#include "json/json.h"
#include "tests/unit/tap.h"

static struct str outcome(struct arena *arena, const char *text)
{
	const struct json *value;
	struct error *err = json_read_yaml(arena, str_from(text), NULL, &value);

	if (err == NULL)
		return json_format(arena, value);
	struct str said = str_dup(arena, str_from(err->text));
	error_free(err);
	return said;
}

TEST(yaml_scalars_follow_version_1_1)
{
	static const struct {
		const char *text, *want;
	} trials[] = {
		{ "a: yes", "{\"a\":true}" },
		{ "a: Off", "{\"a\":false}" },
		{ "a: \"yes\"", "{\"a\":\"yes\"}" },
		{ "a: ~", "{\"a\":null}" },
		{ "a:", "{\"a\":null}" },
		{ "a: 0x1F", "{\"a\":31}" },
		{ "a: 0o17", "{\"a\":15}" },
		{ "a: 017", "{\"a\":15}" },
		{ "a: 0b101", "{\"a\":5}" },
		{ "a: 1_000", "{\"a\":1000}" },
		{ "a: +5", "{\"a\":5}" },
		{ "a: -5", "{\"a\":-5}" },
		{ "a: 08", "{\"a\":8}" },
		{ "a: 1.50", "{\"a\":1.5}" },
		{ "a: 1e3", "{\"a\":1000}" },
		{ "a: 1.2.3", "{\"a\":\"1.2.3\"}" },
		{ "a: 2001-01-01", "{\"a\":\"2001-01-01\"}" },
		{ "a: 18446744073709551615", "{\"a\":18446744073709551615}" },
		{ "1: x\ntrue: z", "{\"1\":\"x\",\"true\":\"z\"}" },
		{ "a: !!str 5", "{\"a\":\"5\"}" },
		{ "- a\n- [b, {c: d}]", "[\"a\",[\"b\",{\"c\":\"d\"}]]" },
		{ "a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}" },
		{ "a: &x {b: 1}\nc: *x", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}" },
		{ "x: &x {b: 1, c: 2}\nz: {<<: *x, b: 3}", "{\"x\":{\"b\":1,\"c\":2},\"z\":{\"b\":3,\"c\":2}}" },
		{ "", "null" },
		{ "# nothing", "null" },
		{ "{\"json\": [1, true]}", "{\"json\":[1,true]}" },
		{ "a: *none", "yaml: unknown anchor 'none' referenced" },
		{ "a: &x [*x]", "yaml: anchor 'x' value contains itself" },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		CHECK_STR(outcome(arena, trials[i].text), trials[i].want);
	arena_free(arena);
}

TEST(yaml_errors_name_the_line)
{
	struct arena *arena = arena_new();
	const struct json *value;

	CHECK_STR(outcome(arena, "a: b\nc: d: e"), "yaml: line 2: mapping values are not allowed in this context");
	CHECK_ERR(json_read_yaml(arena, STR("a: [b"), NULL, &value), ERR_BAD_REQUEST);
	CHECK_ERR(json_read_yaml(arena, STR("{a: b}}"), NULL, &value)
			  ?: json_read_documents(arena, STR("a: b}: - c: ["), NULL, &value),
		  ERR_BAD_REQUEST);
	arena_free(arena);
}

TEST(yaml_bombs_are_refused)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf text = { 0 };
	const struct json *value;

	buf_add(&text, STR("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"));
	for (int i = 1; i < 10; i++) {
		buf_printf(&text, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_printf(&text, "%s*a%d", k == 0 ? "" : ", ", i - 1);
		buf_add(&text, STR("]\n"));
	}
	CHECK_ERR(json_read_yaml(arena, buf_str(&text), NULL, &value), ERR_BAD_REQUEST);
	buf_clear(&text);
	for (int i = 0; i < 5000; i++)
		buf_putc(&text, '[');
	CHECK_ERR(json_read_yaml(arena, buf_str(&text), NULL, &value), ERR_BAD_REQUEST);
	arena_free(arena);
}

static void note(void *arg, struct str key, int line)
{
	buf_printf(arg, "%.*s:%d ", STR_ARG(key), line);
}

TEST(yaml_duplicates_name_the_line)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf found = { 0 };
	struct json_options options = { .duplicate = note, .arg = &found };
	const struct json *value;

	CHECK_OK(json_read_yaml(arena, STR("a: 1\nb: {c: 1, c: 2}\na: 3\n"), &options, &value));
	CHECK_STR(buf_str(&found), "c:2 a:3 ");
	CHECK_STR(json_format(arena, value), "{\"a\":3,\"b\":{\"c\":2}}");
	arena_free(arena);
}

TEST(yaml_documents)
{
	struct arena *arena = arena_new();
	const struct json *value;

	CHECK_OK(json_read_documents(arena, STR("a: 1\n---\n# none\n---\nb: 2\n---\n"), NULL, &value));
	CHECK_STR(json_format(arena, value), "[{\"a\":1},{\"b\":2}]");
	CHECK_OK(json_read_documents(arena, STR("{\"a\":1}\n{\"b\":2}\n---\n{\"c\":3}"), NULL, &value));
	CHECK_STR(json_format(arena, value), "[{\"a\":1},{\"b\":2},{\"c\":3}]");
	CHECK_OK(json_read_documents(arena, STR(""), NULL, &value));
	CHECK_EQ(json_len(value), 0);
	arena_free(arena);
}

TEST(yaml_is_written_as_sigs_yaml_does)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf out = { 0 };
	const struct json *value, *again;

	CHECK_OK(json_read(
		arena,
		STR("{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"l\":[1,\"a\",{\"z\":\"x y\",\"b\":[]}],\"e\":{},\"t\":\"true\",\"n\":\"5\","
		    "\"c\":\"a: b\",\"m\":\"x\\ny\\n\",\"s\":\"\",\"d\":\"2001-01-01T00:00:00Z\",\"f\":1.5,\"u\":\"é\",\"q\":\"@x\",\"nul\":null}"),
		NULL, &value));
	json_write_yaml(&out, value);
	CHECK_STR(buf_str(&out),
		  "apiVersion: v1\nc: 'a: b'\nd: \"2001-01-01T00:00:00Z\"\ne: {}\nf: 1.5\nkind: Pod\nl:\n- 1\n- a\n"
		  "- b: []\n  z: x y\nm: |\n  x\n  y\n\"n\": \"5\"\nnul: null\nq: '@x'\ns: \"\"\nt: \"true\"\nu: é\n");
	CHECK_OK(json_read_yaml(arena, buf_str(&out), NULL, &again));
	CHECK(json_equal(value, again));
	arena_free(arena);
}
