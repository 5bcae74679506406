/* Peers that mean harm, byte by byte. Each ends with the connection refused, and with others still served. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/http/world.h"

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static void still_serves(struct world *world)
{
	struct got got;

	world_get(world, "/hello", &got);
	CHECK_OK(got.err);
	CHECK_EQ(got.status, 200);
	got_fini(&got);
}

/* --- HTTP/1.1 --- */

struct row {
	const char *sent;
	const char *status; /* of the first answer */
	int handled;        /* requests that reached the handler */
};

#define POST     "POST /echo HTTP/1.1\r\nHost: a\r\n"
#define SMUGGLED "GET /hello HTTP/1.1\r\nHost: smuggled\r\n\r\n"

/* What a proxy before us could read otherwise than we do. */
static const struct row smuggling[] = {
	{ POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Content-Length: 5, 5\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Content-Length: +5\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Content-Length: -1\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Content-Length: 0x5\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Content-Length: 5 \r\n\r\nhello" SMUGGLED, "200", 2 }, /* trailing white space is allowed */
	{ POST "Content-Length: 99999999999999999999\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Content-Length : 5\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST " Content-Length: 5\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: identity\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED, "501", 0 },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello" SMUGGLED, "200", 2 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" SMUGGLED, "200", 2 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n" SMUGGLED, "400", 1 },
	{ POST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" SMUGGLED, "400", 1 },
	{ POST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" SMUGGLED, "400", 1 },
	{ "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", 0 },
	{ "GET /hello HTTP/1.1\r\n\r\n", "400", 0 },
	{ "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400", 0 },
	{ "GET /hello HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400", 0 },
	{ "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", "505", 0 },
	{ "GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n", "200", 1 },
	{ "GET /he%zzo HTTP/1.1\r\nHost: a\r\n\r\n", "400", 0 },
	{ "GET /hel lo HTTP/1.1\r\nHost: a\r\n\r\n", "400", 0 },
	{ "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "400", 0 },
	{ "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "400", 0 },
	{ "GET /hello HTTP/1.1\nHost: a\n\n" SMUGGLED, "400", 0 }, /* bare line feeds */
	{ "GET /hello HTTP/1.1\r\nHost: a\nX: b\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Content-Length: 5\nX: y\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello" SMUGGLED, "400", 0 }, /* a folded line */
	{ POST "X: a\r\n\tContent-Length: 5\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding:\x0b"
	       "chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
	  "400", 0 },
	{ POST "Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Content-Length:\r\n\r\n" SMUGGLED, "400", 0 },
	{ POST "Content-Length: 1 0\r\n\r\nhello" SMUGGLED, "400", 0 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0;z\r\n\r\n" SMUGGLED, "200", 2 }, /* extensions */
	{ POST "Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n" SMUGGLED, "400", 1 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n" SMUGGLED, "400", 1 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n" SMUGGLED, "400", 1 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n" SMUGGLED, "200", 2 }, /* as Go's */
	{ POST "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" SMUGGLED, "400", 1 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n" SMUGGLED, "400", 1 },
	{ POST "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" SMUGGLED, "200", 2 }, /* a trailer is none */
	{ "\x16\x03\x01\x02\x01 not plain text", "400", 0 },
	{ "SSH-2.0-OpenSSH_9.2\r\n", "400", 0 },
};

TEST(smuggled_requests_are_refused)
{
	struct world world;
	char want[32];

	world_open(&world, MEMORY);
	for (size_t i = 0; i < sizeof(smuggling) / sizeof(smuggling[0]); i++) {
		const struct row *row = &smuggling[i];
		struct raw raw;

		world.handled = 0;
		raw_open(&world, &raw);
		raw_send(&raw, row->sent);
		stream_end(raw.stream);
		if (!raw_over(&raw))
			tap_fail(__FILE__, __LINE__, "row %zu: the connection stays open", i);
		snprintf(want, sizeof(want), "HTTP/1.1 %s ", row->status);
		if (!str_has_prefix(buf_str(&raw.in), str_from(want)) || world.handled != row->handled)
			tap_fail(__FILE__, __LINE__, "row %zu: %d handled, answer %.40s\nto %s", i, world.handled,
				 buf_cstr(&raw.in), row->sent);
		raw_close(&raw);
	}
	still_serves(&world);
	world_close(&world);
}

TEST(header_bombs_are_refused)
{
	struct world world;
	struct raw raw;
	struct buf bomb = { 0 };

	world_open(&world, MEMORY);
	/* Many, one large, a long target, and one that never ends. */
	for (int kind = 0; kind < 4; kind++) {
		buf_clear(&bomb);
		buf_printf(&bomb, "GET /");
		for (int i = 0; i < LIMIT_URL + 10 && kind == 2; i++)
			buf_putc(&bomb, 'u');
		buf_printf(&bomb, " HTTP/1.1\r\nHost: a\r\n");
		for (int i = 0; i < LIMIT_HEADER_COUNT + 5 && kind == 0; i++)
			buf_printf(&bomb, "X-%d: y\r\n", i);
		buf_printf(&bomb, "X-Large: ");
		for (int i = 0; i < LIMIT_HEADERS + 10 && kind == 1; i++)
			buf_putc(&bomb, 'v');
		raw_open(&world, &raw);
		if (kind != 3) {
			buf_printf(&bomb, "\r\n\r\n");
			stream_write(raw.stream, buf_str(&bomb));
		}
		for (int i = 0; i < 1000 && kind == 3 && !raw.over; i++) {
			raw_send(&raw, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				       "aaaaaaaaaaaaaaaaa: "
				       "b\r\n");
			if (i == 0)
				stream_write(raw.stream, STR(""));
			loop_run_for(NS_PER_MS / 20);
		}
		CHECK(raw_over(&raw));
		if (kind != 3)
			CHECK(str_has_prefix(buf_str(&raw.in), kind == 2 ? STR("HTTP/1.1 414 ") : STR("HTTP/1.1 431 ")));
		raw_close(&raw);
	}
	CHECK_EQ(world.handled, 0);
	still_serves(&world);
	buf_fini(&bomb);
	world_close(&world);
}

TEST(slow_headers_run_out_of_time)
{
	struct world world;
	struct raw silent, slow, between;

	world_open_with(&world, MEMORY, (struct http_server_options){ .headers_within = 200 * NS_PER_MS, .idle = 300 * NS_PER_MS });
	raw_open(&world, &silent);
	raw_open(&world, &slow);
	raw_open(&world, &between);
	raw_send(&between, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK(raw_has(&between, "hello\n"));
	raw_send(&slow, "GET /hello HTTP/1.1\r\n");
	for (int i = 0; i < 30 && !slow.over; i++) {
		loop_run_for(10 * NS_PER_MS);
		raw_send(&slow, "X: y\r\n"); /* always a little more */
	}
	CHECK(raw_over(&slow));
	CHECK(str_has_prefix(buf_str(&slow.in), STR("HTTP/1.1 408 ")));
	CHECK(raw_over(&silent));
	CHECK_EQ(silent.in.len, 0);
	CHECK(raw_over(&between));
	raw_close(&silent);
	raw_close(&slow);
	raw_close(&between);
	still_serves(&world);
	world_close(&world);
}

/* A body that does not come, or comes a byte at a time: a minute of virtual time for the handler's whole wait. */
TEST(slow_bodies_run_out_of_time)
{
	for (int trickle = 0; trickle < 2; trickle++) {
		struct world world;
		struct raw raw;
		int sent = 0;

		world_open_simulated(&world);
		raw_open(&world, &raw);
		raw_send(&raw, POST "Content-Length: 100000\r\n\r\n");
		for (; sent < 100 && !raw.over; sent++) {
			loop_run_for(2 * NS_PER_S);
			if (trickle && !raw.over)
				raw_send(&raw, "x");
		}
		printf("# a body %s: over after %d s\n", trickle ? "of a byte now and then" : "that does not come", 2 * sent);
		CHECK(raw.over && sent <= 45);
		CHECK_EQ(http_server_stats(world.server).open_requests, 0);
		raw_close(&raw);
		still_serves(&world);
		world_close(&world);
	}
}

TEST(connections_are_limited)
{
	struct raw raws[5];
	struct world world;

	world_open_with(&world, MEMORY, (struct http_server_options){ .connections = 3 });
	for (int i = 0; i < 5; i++)
		raw_open(&world, &raws[i]);
	CHECK(raw_over(&raws[3]) && raw_over(&raws[4]));
	CHECK(!raws[0].over && !raws[2].over);
	CHECK_EQ(http_server_stats(world.server).refused, 2);
	for (int i = 0; i < 5; i++)
		raw_close(&raws[i]);
	loop_run_for(NS_PER_MS);
	still_serves(&world);
	world_close(&world);
}

TEST(pipelined_requests_wait_their_turn)
{
	struct world world;
	struct raw raw;
	size_t n = 0;

	world_open(&world, MEMORY);
	raw_open(&world, &raw);
	for (int i = 0; i < 50; i++)
		raw_send(&raw, i == 10 ? POST "Content-Length: 5\r\n\r\nxhole" : "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
	raw_send(&raw, "GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" SMUGGLED);
	CHECK(raw_over(&raw));
	CHECK_EQ(world.handled, 51);
	for (struct str rest = buf_str(&raw.in); rest.len > 0; rest = str_skip(rest, 1))
		n += str_has_prefix(rest, STR("HTTP/1.1 "));
	CHECK_EQ(n, 51);
	CHECK(str_has_suffix(buf_str(&raw.in), STR("404 page not found\n")));
	raw_close(&raw);
	/* A flood behind a request that does not end is not read. */
	raw_open(&world, &raw);
	raw_send(&raw, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 20000; i++) {
		raw_send(&raw, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
		if (i % 100 == 0)
			loop_run_for(NS_PER_MS / 20);
	}
	CHECK_EQ(world.waiting, 1);
	CHECK(stream_pending(raw.stream) > 300000); /* still ours */
	raw_close(&raw);
	still_serves(&world);
	world_close(&world);
}

/* A request in two reads: wherever the first one ends, it is the same request. */
TEST(cut_requests_are_the_same)
{
	static const char text[] = POST "Transfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\nX: y\r\n\r\n";
	struct world world;

	world_open(&world, MEMORY);
	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		struct raw raw;

		raw_open(&world, &raw);
		stream_write(raw.stream, str_of(text, cut));
		loop_run_for(NS_PER_MS / 20);
		stream_write(raw.stream, str_of(text + cut, sizeof(text) - 1 - cut));
		CHECK(raw_has(&raw, "200 OK") && raw_has(&raw, "hello"));
		raw_close(&raw);
	}
	world_close(&world);
}

/* What the allocator has handed out; with AddressSanitizer its own count. */
static size_t heap_now(void)
{
	return __sanitizer_get_current_allocated_bytes != NULL ? __sanitizer_get_current_allocated_bytes() : mallinfo2().uordblks;
}

static bool nothing_open(void *arg)
{
	return http_server_stats(((struct world *)arg)->server).open_requests == 0;
}

/* Slow and endless peers at once: what they hold together is bounded, and goes with them. */
TEST(many_slow_peers_cost_little)
{
	static const char *const ways[] = {
		"GET /hello HTTP/1.1\r\nHost: a\r\nX: ",               /* headers that stop */
		POST "Content-Length: 1000000\r\n\r\nhalf",            /* a body that stops */
		POST "Transfer-Encoding: chunked\r\n\r\n5;",           /* a chunk that stops */
		"GET /produce?n=50000000 HTTP/1.1\r\nHost: a\r\n\r\n", /* an answer that nobody reads */
	};
	enum { PEERS = 100 };
	struct raw raws[PEERS];

	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		struct world world;
		size_t before, held;

		world_open(&world, MEMORY);
		still_serves(&world);
		before = heap_now();
		for (int i = 0; i < PEERS; i++) {
			raw_open(&world, &raws[i]);
			stream_pause(raws[i].stream);
			raw_send(&raws[i], ways[way]);
		}
		loop_run_for(30 * NS_PER_MS);
		held = heap_now() - before;
		printf("# %d peers of way %zu hold %zu kB each\n", PEERS, way, held / PEERS / 1000);
		CHECK(held / PEERS < (way == 3 ? LIMIT_STREAM_BUFFER + STREAM_HIGH + 100000 : 20000));
		still_serves(&world);
		for (int i = 0; i < PEERS; i++)
			raw_close(&raws[i]);
		CHECK(loop_run_until(nothing_open, &world, 10 * NS_PER_S));
		loop_run_for(30 * NS_PER_MS);
		still_serves(&world);
		CHECK(heap_now() < before + 200000);
		world_close(&world);
	}
}

/* --- HTTP/2, frame by frame --- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };

static void send_frame(struct raw *raw, int type, int flags, uint32_t stream, struct str payload)
{
	unsigned char head[9] = { (unsigned char)(payload.len >> 16),
				  (unsigned char)(payload.len >> 8),
				  (unsigned char)payload.len,
				  (unsigned char)type,
				  (unsigned char)flags,
				  (unsigned char)(stream >> 24),
				  (unsigned char)(stream >> 16),
				  (unsigned char)(stream >> 8),
				  (unsigned char)stream };

	stream_write(raw->stream, str_of((char *)head, 9));
	stream_write(raw->stream, payload);
}

static void h2_open(struct world *world, struct raw *raw)
{
	raw_open(world, raw);
	stream_write(raw->stream, STR(PREFACE));
	send_frame(raw, SETTINGS, 0, 0, STR(""));
	send_frame(raw, SETTINGS, 1, 0, STR(""));
}

/* GET http://a/wait in HPACK: three indexed fields, a literal path, a literal authority (RFC 7541, appendix A). */
static void h2_get(struct raw *raw, uint32_t stream, const char *path)
{
	struct buf block = { 0 };

	buf_append(&block, "\x82\x86\x04", 3);
	buf_putc(&block, (char)strlen(path));
	buf_add(&block, str_from(path));
	buf_append(&block,
		   "\x01\x01"
		   "a",
		   3);
	send_frame(raw, HEADERS, 5, stream, buf_str(&block)); /* END_HEADERS, END_STREAM */
	buf_fini(&block);
}

static bool goodbye_with(const struct raw *raw, int code)
{
	struct str in = buf_str(&raw->in);

	while (in.len >= 9) {
		const unsigned char *at = (const unsigned char *)in.ptr;
		size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];

		if (at[3] == GOAWAY && len >= 8 && at[16] == code)
			return true;
		in = str_skip(in, 9 + len);
	}
	return false;
}

#define ENHANCE_YOUR_CALM 11

TEST(http2_by_hand_works)
{
	struct world world;
	struct raw raw;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	h2_get(&raw, 1, "/hello");
	CHECK(raw_has(&raw, "hello\n"));
	CHECK(!raw.over);
	raw_close(&raw);
	world_close(&world);
}

TEST(rapid_reset_is_stopped)
{
	struct world world;
	struct raw raw;
	uint32_t id = 1;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	/* CVE-2023-44487. The handler of /wait ends when it hears of the reset, so only the rate can stop this. */
	for (; id < 20000 && !raw.over; id += 2) {
		h2_get(&raw, id, "/wait");
		send_frame(&raw, RST_STREAM, 0, id, STR("\0\0\0\x08"));
		if (id % 64 == 1)
			loop_run_for(NS_PER_MS / 20);
	}
	CHECK(raw_over(&raw));
	CHECK(goodbye_with(&raw, ENHANCE_YOUR_CALM));
	CHECK(world.handled < 1200);
	printf("# %d requests until it was stopped\n", world.handled);
	raw_close(&raw);
	CHECK(loop_run_until(nothing_open, &world, 10 * NS_PER_S));
	still_serves(&world);
	world_close(&world);
}

TEST(streams_are_limited)
{
	struct world world;
	struct raw raw;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	for (uint32_t id = 1; id < 2 * (LIMIT_STREAMS + 100); id += 2)
		h2_get(&raw, id, "/wait");
	loop_run_for(50 * NS_PER_MS);
	CHECK(world.handled <= LIMIT_STREAMS + 1);
	raw_close(&raw);
	still_serves(&world);
	world_close(&world);
}

static void flood(int type, const char *payload, size_t len, uint32_t stream, int most)
{
	struct world world;
	struct raw raw;
	int sent = 0;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	if (stream != 0)
		h2_get(&raw, 1, "/wait");
	loop_run_for(NS_PER_MS);
	for (; sent < most && !raw.over; sent++) {
		send_frame(&raw, type, 0, stream, str_of(payload, len));
		if (sent % 32 == 0)
			loop_run_for(NS_PER_MS / 20);
	}
	CHECK(raw_over(&raw));
	printf("# stopped after %d frames, %zu bytes answered\n", sent, raw.in.len);
	CHECK(sent < 3000);
	raw_close(&raw);
	still_serves(&world);
	world_close(&world);
}

TEST(empty_data_flood_is_stopped)
{
	struct world world;
	struct raw raw;
	int sent = 0;

	/* CVE-2019-9518: frames of a body that is never longer and never ends. */
	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	send_frame(&raw, HEADERS, 4, 1,
		   STR("\x83\x86\x04\x05/echo\x01\x01"
		       "a"));
	for (; sent < 100000 && !raw.over; sent++) {
		send_frame(&raw, DATA, 0, 1, STR(""));
		if (sent % 32 == 0)
			loop_run_for(NS_PER_MS / 20);
	}
	CHECK(raw_over(&raw));
	CHECK(world.handled == 1 && sent < 3000);
	printf("# stopped after %d empty frames\n", sent);
	raw_close(&raw);
	still_serves(&world);
	world_close(&world);
}

TEST(window_update_flood_is_stopped)
{
	flood(WINDOW_UPDATE, "\0\0\0\1", 4, 0, 100000);
}

TEST(window_update_flood_of_one_stream_is_stopped)
{
	flood(WINDOW_UPDATE, "\0\0\0\1", 4, 1, 100000);
}

TEST(ping_flood_is_stopped)
{
	flood(PING, "12345678", 8, 0, 100000);
}

TEST(settings_flood_is_stopped)
{
	flood(SETTINGS, "\0\4\0\0\xff\xff", 6, 0, 100000);
}

TEST(priority_flood_is_stopped)
{
	flood(PRIORITY, "\0\0\0\0\x10", 5, 3, 100000);
}

TEST(flood_of_unknown_frames_is_stopped)
{
	flood(0xbb, "grease", 6, 0, 100000);
}

TEST(some_unknown_frames_are_passed_over)
{
	struct world world;
	struct raw raw;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	for (int type = CONTINUATION + 1; type < 256; type++)
		send_frame(&raw, type, 0xff, type % 2 == 0 ? 0 : 1, STR("grease"));
	h2_get(&raw, 1, "/hello");
	CHECK(raw_has(&raw, "hello\n"));
	CHECK(!raw.over);
	raw_close(&raw);
	world_close(&world);
}

TEST(ping_flood_of_one_who_does_not_read_is_stopped)
{
	struct world world;
	struct raw raw;
	int sent = 0;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	stream_pause(raw.stream);
	for (; sent < 100000 && http_server_stats(world.server).open_connections > 0; sent++) {
		send_frame(&raw, PING, 0, 0, STR("12345678"));
		if (sent % 32 == 0)
			loop_run_for(NS_PER_MS / 20);
	}
	CHECK(sent < 20000);
	raw_close(&raw);
	still_serves(&world);
	world_close(&world);
}

TEST(continuation_flood_is_stopped)
{
	struct world world;
	struct raw raw;
	char junk[1000];
	int sent = 0;

	memset(junk, 0, sizeof(junk));
	for (size_t i = 0; i + 4 <= sizeof(junk); i += 4)
		memcpy(junk + i, "\0\1a\0", 4); /* literal "a": "" */
	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	/* CVE-2024-27316 and its kin: headers that never end. */
	send_frame(&raw, HEADERS, 1, 1, STR("\x82\x86\x84"));
	for (; sent < 10000 && !raw.over; sent++) {
		send_frame(&raw, CONTINUATION, 0, 1, str_of(junk, sizeof(junk)));
		loop_run_for(NS_PER_MS / 20);
	}
	CHECK(raw_over(&raw));
	CHECK(sent < 200);
	CHECK_EQ(world.handled, 0);
	printf("# stopped after %d kB of headers\n", sent);
	raw_close(&raw);
	still_serves(&world);
	world_close(&world);
}

TEST(http2_header_bomb_is_refused)
{
	struct buf block = { 0 };
	struct world world;
	struct raw raw;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	/* One large header put into the dynamic table, then named again and again by one byte each (CVE-2016-6581). */
	buf_append(&block, "\x82\x86\x84\x40\x01x\x7f\xa1\x1e", 9); /* value of 4000 bytes: 127 + 0xa1&0x7f + 0x1e<<7 */
	for (int i = 0; i < 4000; i++)
		buf_putc(&block, 'v');
	for (int i = 0; i < 10000; i++)
		buf_putc(&block, '\xbe'); /* index 62 */
	send_frame(&raw, HEADERS, 5, 1, buf_str(&block));
	loop_run_for(50 * NS_PER_MS);
	CHECK_EQ(world.handled, 0);
	CHECK(raw.in.len < 1000);
	raw_close(&raw);
	still_serves(&world);
	buf_fini(&block);
	world_close(&world);
}

TEST(broken_http2_is_refused)
{
	static const struct {
		int type, flags;
		uint32_t stream;
		struct str payload;
	} rows[] = {
		{ DATA, 0, 1, STR_INIT("data on an idle stream") },
		{ HEADERS, 5, 2, STR_INIT("\x82\x86\x84") }, /* even */
		{ HEADERS, 5, 1, STR_INIT("\xff\xff\xff\xff\xff\xff\xff") },
		{ SETTINGS, 0, 0, STR_INIT("\0\1") }, /* size */
		{ SETTINGS, 0, 1, STR_INIT("") },
		{ PUSH_PROMISE, 4, 1, STR_INIT("\0\0\0\2\x82") },
		{ WINDOW_UPDATE, 0, 0, STR_INIT("\0\0\0\0") },
		{ CONTINUATION, 4, 1, STR_INIT("\x82") },
		{ PING, 0, 0, STR_INIT("123") },
	};
	struct world world;

	world_open(&world, MEMORY);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct raw raw;

		h2_open(&world, &raw);
		send_frame(&raw, rows[i].type, rows[i].flags, rows[i].stream, rows[i].payload);
		if (!raw_over(&raw))
			tap_fail(__FILE__, __LINE__, "row %zu: the connection stays open", i);
		raw_close(&raw);
	}
	CHECK_EQ(world.handled, 0);
	still_serves(&world);
	world_close(&world);
}

TEST(http2_reader_that_stops_is_bounded)
{
	struct world world;
	struct raw raw;

	world_open(&world, MEMORY);
	h2_open(&world, &raw);
	for (uint32_t id = 1; id < 20; id += 2)
		h2_get(&raw, id, "/produce?n=50000000");
	stream_pause(raw.stream);
	loop_run_for(100 * NS_PER_MS);
	CHECK_EQ(world.handled, 10);
	CHECK(world.most_pending < LIMIT_STREAM_BUFFER + 100000);
	CHECK(world.produced < 10 * (LIMIT_STREAM_BUFFER + 100000) + 1000000);
	printf("# ten streams of 50 MB hold %zu kB\n", world.produced / 1000);
	still_serves(&world);
	raw_close(&raw);
	loop_run_for(NS_PER_MS);
	CHECK_EQ(world.gone, 10);
	world_close(&world);
}
