#include <string.h>

#include "base/limits.h"
#include "json/json.h"
#include "tests/unit/tap.h"

struct trial {
	const char *text;
	const char *want; /* compact output, or the error */
};

static struct str outcome(struct arena *arena, struct str text, const struct json_options *options)
{
	const struct json *value;
	struct error *err = json_read(arena, text, options, &value);

	if (err == NULL)
		return json_format(arena, value);
	struct str said = str_dup(arena, str_from(err->text));
	error_free(err);
	return said;
}

static void run_trials(const struct trial *trials, size_t n)
{
	struct arena *arena = arena_new();

	for (size_t i = 0; i < n; i++) {
		struct json_options borrow = { .borrow = true };
		CHECK_STR(outcome(arena, str_from(trials[i].text), NULL), trials[i].want);
		CHECK_STR(outcome(arena, str_from(trials[i].text), &borrow), trials[i].want);
	}
	arena_free(arena);
}

TEST(json_reads_and_writes)
{
	static const struct trial trials[] = {
		{ "{}", "{}" },
		{ " [ 1 , -2.50 , 1e3 ] ", "[1,-2.50,1e3]" },
		{ "\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\/\"", "\"Aé€😀/\"" },
		{ "\"a\\u0000b\"", "\"a\\u0000b\"" },
		{ "\"\\ud800\"", "\"\xef\xbf\xbd\"" },
		{ "\"\\ud800x\\udc00\"", "\"\xef\xbf\xbdx\xef\xbf\xbd\"" },
		{ "\"\\\\ud800\"", "\"\\\\ud800\"" },
		{ "\"\xff\"", "\"\xef\xbf\xbd\"" },
		{ "\"<>&\\u2028\\u2029\\b\\f\\n\\r\\t\\u001f\x7f\"",
		  "\"\\u003c\\u003e\\u0026\\u2028\\u2029\\b\\f\\n\\r\\t\\u001f\x7f\"" },
		{ "{\"a\":{\"b\":[true,false,null]},\"c\":\"\"}", "{\"a\":{\"b\":[true,false,null]},\"c\":\"\"}" },
		{ "99999999999999999999", "99999999999999999999" },
	};

	run_trials(trials, sizeof(trials) / sizeof(trials[0]));
}

TEST(json_speaks_of_errors_as_go_does)
{
	static const struct trial trials[] = {
		{ "", "unexpected end of JSON input" },
		{ "  ", "unexpected end of JSON input" },
		{ "{", "unexpected end of JSON input" },
		{ "{\"a\"", "unexpected end of JSON input" },
		{ "hello", "invalid character 'h' looking for beginning of value" },
		{ "{a:1}", "invalid character 'a' looking for beginning of object key string" },
		{ "{\"a\" 1}", "invalid character '1' after object key" },
		{ "{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair" },
		{ "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
		{ "[1 2]", "invalid character '2' after array element" },
		{ "[1,]", "invalid character ']' looking for beginning of value" },
		{ "{} x", "invalid character 'x' after top-level value" },
		{ "{} \"x", "invalid character '\"' after top-level value" }, /* a token that does not end is none to yajl */
		{ "01", "invalid character '1' after top-level value" },
		{ "tru", "unexpected end of JSON input" },
		{ "trux", "invalid character 'x' in literal true (expecting 'e')" },
		{ "-x", "invalid character 'x' in numeric literal" },
		{ "1.x", "invalid character 'x' after decimal point in numeric literal" },
		{ "1e", "unexpected end of JSON input" },
		{ "1e+x", "invalid character 'x' in exponent of numeric literal" },
		{ "\"a\nb\"", "invalid character '\\n' in string literal" },
		{ "\"\\x\"", "invalid character 'x' in string escape code" },
		{ "\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape" },
		{ "'a'", "invalid character '\\'' looking for beginning of value" },
		{ "/* c */ 1", "invalid character '/' looking for beginning of value" },
		{ "\xc3\xa9", "invalid character 'Ã' looking for beginning of value" },
	};

	run_trials(trials, sizeof(trials) / sizeof(trials[0]));
}

static void deep(struct buf *text, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_putc(text, '[');
	for (int i = 0; i < depth; i++)
		buf_putc(text, ']');
}

TEST(json_depth_is_capped)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf text = { 0 };

	deep(&text, LIMIT_JSON_DEPTH);
	CHECK(str_eq(outcome(arena, buf_str(&text), NULL), buf_str(&text)));
	buf_clear(&text);
	deep(&text, LIMIT_JSON_DEPTH + 1);
	CHECK_STR(outcome(arena, buf_str(&text), NULL), "invalid character '[' exceeded max depth");
	arena_free(arena);
}

static void note(void *arg, struct str path, int line)
{
	buf_printf(arg, "%.*s:%d ", STR_ARG(path), line);
}

TEST(json_duplicates_are_reported_and_the_last_wins)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf found = { 0 }, many = { 0 };
	struct json_options options = { .duplicate = note, .arg = &found };

	CHECK_STR(outcome(arena, STR("{\"spec\":{\"c\":[1,{\"x\":1,\"y\":2,\"x\":3}]},\"spec\":{\"a\":1,\"a\":2}}"), &options),
		  "{\"spec\":{\"a\":2}}");
	CHECK_STR(buf_str(&found), "spec.c[1].x:0 spec:0 spec.a:0 ");
	buf_putc(&many, '{');
	for (int i = 0; i < 100; i++)
		buf_printf(&many, "\"k%d\":%d,", i % 60, i);
	buf_add(&many, STR("\"end\":0}"));
	buf_clear(&found);
	const struct json *value;
	CHECK_OK(json_read(arena, buf_str(&many), &options, &value));
	CHECK_EQ(json_len(value), 61);
	CHECK_EQ(json_int(json_get(value, "k3"), 0), 63);
	CHECK_EQ(json_int(json_get(value, "k41"), 0), 41);
	arena_free(arena);
}

TEST(json_reads_one_value_of_many)
{
	struct arena *arena = arena_new();
	struct str text = STR("{\"a\":1} [2] \"x\"");
	const struct json *value;

	CHECK_OK(json_read_some(arena, &text, NULL, &value));
	CHECK_EQ(json_int(json_get(value, "a"), 0), 1);
	CHECK_OK(json_read_some(arena, &text, NULL, &value));
	CHECK_EQ(json_int(json_at(value, 0), 0), 2);
	CHECK_OK(json_read_some(arena, &text, NULL, &value));
	CHECK_STR(json_str(value), "x");
	arena_free(arena);
}

TEST(json_never_crashes_on_broken_text)
{
	static const char text[] = "{\"metadata\":{\"name\":\"a\\ud83d\\ude00\",\"n\":[1,2.5e3,true,null]},\"x\":\"\xe2\x82\xac\"}";
	char copy[sizeof(text)];

	for (size_t len = 0; len < sizeof(text); len++) {
		struct arena *arena = arena_new();
		const struct json *value;
		error_free(json_read(arena, str_of(text, len), NULL, &value));
		for (int c = 0; c < 256; c += 7) {
			memcpy(copy, text, sizeof(text));
			copy[len] = (char)c;
			error_free(json_read(arena, str_of(copy, sizeof(copy) - 1), NULL, &value));
		}
		arena_free(arena);
	}
}
