#include <stdlib.h>

#include "http/http.h"
#include "tests/unit/tap.h"

static void check_query(const char *query, const char *want)
{
	struct arena *arena = arena_new();
	const struct http_param *params;
	AUTO_BUF struct buf got = { 0 };
	size_t n;

	http_parse_query(arena, str_from(query), &params, &n);
	for (size_t i = 0; i < n; i++)
		buf_printf(&got, "[%.*s=%.*s]", STR_ARG(params[i].name), STR_ARG(params[i].value));
	CHECK_STR(buf_str(&got), want);
	arena_free(arena);
}

TEST(query_is_parsed_as_go_does)
{
	check_query("", "");
	check_query("a=1&b=2&a=3", "[a=1][b=2][a=3]");
	check_query("watch&limit=", "[watch=][limit=]");
	check_query("a=x%3Dy%26z&b=+%2B", "[a=x=y&z][b= +]");
	check_query("a=%zz&b=1&c=%4", "[b=1]");
	check_query("a=1;b=2&c=3", "[c=3]");
	check_query("&&a=1&", "[a=1]");
	check_query("=x", "[=x]");
}

TEST(escapes_are_undone)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf escaped = { 0 };
	struct str out;

	CHECK(http_unescape(arena, STR("/a%2Fb+c"), false, &out));
	CHECK_STR(out, "/a/b+c");
	CHECK(http_unescape(arena, STR("%41"), false, &out));
	CHECK_STR(out, "A");
	CHECK(!http_unescape(arena, STR("%4"), false, &out));
	CHECK(!http_unescape(arena, STR("%"), false, &out));
	CHECK(!http_unescape(arena, STR("%g0"), false, &out));
	http_escape(&escaped, STR("a/b c~ä"));
	CHECK_STR(buf_str(&escaped), "a%2Fb%20c~%C3%A4");
	arena_free(arena);
}

TEST(headers_are_found)
{
	static const struct http_header list[] = { { STR_INIT("accept"), STR_INIT("a/b, c/d") },
						   { STR_INIT("connection"), STR_INIT("keep-alive, Upgrade") },
						   { STR_INIT("accept"), STR_INIT("e/f") } };
	struct http_headers headers = { list, 3 };

	CHECK_STR(http_header(&headers, "accept"), "a/b, c/d");
	CHECK_STR(http_header(&headers, "host"), "");
	CHECK(http_header_has(&headers, "connection", "upgrade"));
	CHECK(http_header_has(&headers, "accept", "e/f"));
	CHECK(!http_header_has(&headers, "accept", "a/"));
}

TEST(gzip_both_ways)
{
	AUTO_BUF struct buf packed = { 0 }, out = { 0 }, large = { 0 };
	struct buf text = { 0 };

	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "line %d\n", i);
	gzip_pack(&packed, buf_str(&text));
	CHECK(packed.len < text.len / 2);
	CHECK_OK(gzip_unpack(&out, buf_str(&packed), text.len));
	CHECK_STR(buf_str(&out), buf_str(&text));
	CHECK_ERR(gzip_unpack(&large, buf_str(&packed), 1000), ERR_TOO_LARGE);
	CHECK_ERR(gzip_unpack(&large, str_head(buf_str(&packed), packed.len - 3), text.len), ERR_BAD_REQUEST);
	CHECK_ERR(gzip_unpack(&large, STR("no gzip"), 1000), ERR_BAD_REQUEST);
	buf_clear(&out);
	buf_clear(&packed);
	gzip_pack(&packed, STR(""));
	CHECK_OK(gzip_unpack(&out, buf_str(&packed), 10));
	CHECK_EQ(out.len, 0);
	buf_fini(&text);
}
