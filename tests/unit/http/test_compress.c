/* Answers as gzip: to whom, from which length on, whole and in pieces. */
#include <stdlib.h>

#include "tests/unit/http/world.h"

struct asked {
	const char *accept; /* NULL: no header */
	size_t length;
	bool packed;
};

static const struct asked table[] = {
	{ "gzip", LIMIT_PLAIN_REPLY + 1, true },
	{ "deflate, gzip", LIMIT_PLAIN_REPLY + 1, true },
	{ "gzip", LIMIT_PLAIN_REPLY, false },
	{ "gzip;q=1", LIMIT_PLAIN_REPLY + 1, false },
	{ "identity, br", LIMIT_PLAIN_REPLY + 1, false },
	{ NULL, LIMIT_PLAIN_REPLY + 1, false },
	{ "gzip", 900000, true },
};

static char *some_text(size_t length)
{
	char *text = xcalloc(1, length + 1);

	for (size_t i = 0; i < length; i++)
		text[i] = (char)('a' + i * i % 23 + (i >> 12) % 3);
	return text;
}

static void fetch(struct world *world, const struct asked *asked, const char *target, const char *text, struct got *got)
{
	struct http_header accept = { STR("Accept-Encoding"), str_from(asked->accept != NULL ? asked->accept : "") };

	world_fetch(world,
		    (struct http_call_options){ .method = text != NULL ? "POST" : "GET",
						.target = str_from(target),
						.headers = { &accept, asked->accept != NULL ? 1 : 0 },
						.body = str_from(text != NULL ? text : "") },
		    got);
	CHECK_OK(got->err);
	CHECK_EQ(got->status, 200);
}

static void check_whole(enum transport transport)
{
	struct world world;

	world_open(&world, transport);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *text = some_text(table[i].length);
		AUTO_BUF struct buf plain = { 0 };
		struct got got;

		fetch(&world, &table[i], "/echo", text, &got);
		CHECK_EQ(str_contains(buf_str(&got.headers), STR("content-encoding: gzip\n")), table[i].packed);
		CHECK_EQ(str_contains(buf_str(&got.headers), STR("vary: Accept-Encoding\n")), table[i].packed);
		CHECK(str_contains(buf_str(&got.headers), STR("content-type: application/echo\n")));
		if (table[i].packed) {
			CHECK(got.body.len < table[i].length);
			CHECK_OK(gzip_unpack(&plain, buf_str(&got.body), LIMIT_BODY));
		} else {
			buf_add(&plain, buf_str(&got.body));
		}
		CHECK_STR(buf_str(&plain), text);
		got_fini(&got);
		free(text);
	}
	world_close(&world);
}

TEST(whole_answers_over_memory)
{
	check_whole(MEMORY);
}

TEST(whole_answers_over_tls)
{
	check_whole(TCP_TLS);
}

TEST(answers_in_pieces)
{
	static const struct asked asked = { "gzip", 0, true }, plain = { NULL, 0, false };
	AUTO_BUF struct buf unpacked = { 0 };
	struct world world;
	struct got got;

	world_open(&world, TCP_TLS);
	fetch(&world, &asked, "/produce?n=2500000", NULL, &got);
	CHECK(str_contains(buf_str(&got.headers), STR("content-encoding: gzip\n")));
	CHECK(got.body.len < 20000);
	CHECK_OK(gzip_unpack(&unpacked, buf_str(&got.body), LIMIT_BODY));
	CHECK_EQ(unpacked.len, 2500000);
	CHECK_EQ(unpacked.ptr[2499999], 'p');
	got_fini(&got);
	fetch(&world, &plain, "/produce?n=2500000", NULL, &got);
	CHECK_EQ(got.body.len, 2500000);
	got_fini(&got);
	world_close(&world);
}

/* The client goes while a job packs its answer; the handler, which has ended the request, hears nothing of it. */
TEST(the_client_goes_meanwhile)
{
	struct world world;
	char *text = some_text(900000);

	world_open(&world, MEMORY);
	for (int i = 0; i < 5; i++) {
		struct raw raw;
		struct got got;

		raw_open(&world, &raw);
		raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nContent-Length: 900000\r\n\r\n");
		raw_send(&raw, text);
		while (world.handled < 2 * i + 1)
			loop_run_for(NS_PER_MS / 20);
		loop_run_for(i * NS_PER_MS);
		raw_close(&raw);
		world_get(&world, "/hello", &got);
		CHECK_EQ(got.status, 200);
		got_fini(&got);
	}
	CHECK_EQ(world.gone, 0);
	world_close(&world);
	free(text);
}
