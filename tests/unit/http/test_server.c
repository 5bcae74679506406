/* Both ends of ours, over every transport. */
#include <stdlib.h>

#include "tests/unit/http/keys.h"
#include "tests/unit/http/world.h"

#define EVERY(name)                                                                                                                \
	static void check_##name(struct world *world);                                                                             \
	TEST(memory_##name)                                                                                                        \
	{                                                                                                                          \
		struct world world;                                                                                                \
		world_open(&world, MEMORY);                                                                                        \
		check_##name(&world);                                                                                              \
		world_close(&world);                                                                                               \
	}                                                                                                                          \
	TEST(memory_tls_##name)                                                                                                    \
	{                                                                                                                          \
		struct world world;                                                                                                \
		world_open(&world, MEMORY_TLS);                                                                                    \
		check_##name(&world);                                                                                              \
		world_close(&world);                                                                                               \
	}                                                                                                                          \
	TEST(tcp_##name)                                                                                                           \
	{                                                                                                                          \
		struct world world;                                                                                                \
		world_open(&world, TCP);                                                                                           \
		check_##name(&world);                                                                                              \
		world_close(&world);                                                                                               \
	}                                                                                                                          \
	TEST(tcp_tls_##name)                                                                                                       \
	{                                                                                                                          \
		struct world world;                                                                                                \
		world_open(&world, TCP_TLS);                                                                                       \
		check_##name(&world);                                                                                              \
		world_close(&world);                                                                                               \
	}                                                                                                                          \
	static void check_##name(struct world *world)

EVERY(requests_share_a_connection)
{
	struct got got;

	for (int i = 0; i < 5; i++) {
		world_get(world, i == 3 ? "/nothing" : "/hello", &got);
		CHECK_OK(got.err);
		CHECK_EQ(got.status, i == 3 ? 404 : 200);
		CHECK_STR(buf_str(&got.body), i == 3 ? "404 page not found\n" : "hello\n");
		CHECK(str_contains(buf_str(&got.headers), STR("content-type: text/plain; charset=utf-8\n")));
		CHECK(str_contains(buf_str(&got.headers), STR("date: ")));
		got_fini(&got);
	}
	CHECK_EQ(http_server_stats(world->server).connections, 1);
	CHECK_EQ(world->handled, 5);
}

EVERY(bodies_and_identity_come_through)
{
	static const struct http_header headers[] = { { STR_INIT("X-Some"), STR_INIT("thing") } };
	struct got got;
	char *big = xcalloc(1, 500001);

	memset(big, 'b', 500000);
	world_fetch(world,
		    (struct http_call_options){ .method = "POST",
						.target = STR("/e%63ho?q=a%20b+c&q=2"),
						.headers = { headers, 1 },
						.body = str_from(big) },
		    &got);
	CHECK_OK(got.err);
	CHECK_EQ(got.status, 200);
	CHECK_STR(buf_str(&got.body), big);
	CHECK(str_contains(buf_str(&got.headers), STR("x-method: POST\n")));
	CHECK(str_contains(buf_str(&got.headers), STR("x-path: /echo\n")));
	CHECK(str_contains(buf_str(&got.headers), STR("x-query: a b c\n")));
	if (world->client_tls != NULL) {
		CHECK(str_contains(buf_str(&got.headers), STR("x-user: jane\n")));
		CHECK(str_contains(buf_str(&got.headers), STR("x-group: system:masters\n")));
	} else {
		CHECK(str_contains(buf_str(&got.headers), STR("x-user: nobody\n")));
	}
	got_fini(&got);
	world_fetch(world, (struct http_call_options){ .method = "PUT", .target = STR("/small"), .body = str_from(big) }, &got);
	CHECK_EQ(got.status, 413);
	got_fini(&got);
	free(big);
	world_fetch(world, (struct http_call_options){ .method = "HEAD", .target = STR("/hello") }, &got);
	CHECK_EQ(got.status, 200);
	CHECK_EQ(got.body.len, 0);
	CHECK(str_contains(buf_str(&got.headers), STR("content-length: 6\n")));
	got_fini(&got);
	world_get(world, "/hello", &got);
	CHECK_EQ(got.status, 200);
	got_fini(&got);
}

EVERY(gzip_bodies_are_unpacked)
{
	static const struct http_header headers[] = { { STR_INIT("content-encoding"), STR_INIT("gzip") } };
	AUTO_BUF struct buf packed = { 0 }, bomb = { 0 };
	char *zeros = xcalloc(1, 2000000);
	struct got got;

	gzip_pack(&packed, STR("unpacked"));
	world_fetch(world,
		    (struct http_call_options){
			    .method = "POST", .target = STR("/echo"), .headers = { headers, 1 }, .body = buf_str(&packed) },
		    &got);
	CHECK_STR(buf_str(&got.body), "unpacked");
	got_fini(&got);
	gzip_pack(&bomb, str_of(zeros, 2000000));
	CHECK(bomb.len < 100000);
	world_fetch(world,
		    (struct http_call_options){
			    .method = "POST", .target = STR("/echo"), .headers = { headers, 1 }, .body = buf_str(&bomb) },
		    &got);
	CHECK_EQ(got.status, 413);
	got_fini(&got);
	free(zeros);
}

EVERY(streamed_answer_is_whole)
{
	struct got got;

	world_get(world, "/produce?n=5000000", &got);
	CHECK_OK(got.err);
	CHECK_EQ(got.body.len, 5000000);
	CHECK(str_contains(buf_str(&got.headers), STR("transfer-encoding: chunked\n")));
	CHECK(world->most_pending < 2 * LIMIT_STREAM_BUFFER);
	got_fini(&got);
	world_get(world, "/produce?n=0", &got);
	CHECK_EQ(got.status, 200);
	CHECK_EQ(got.body.len, 0);
	got_fini(&got);
	CHECK_EQ(http_server_stats(world->server).connections, 1);
}

EVERY(broken_off_answer_is_seen_as_such)
{
	struct got got;

	world_get(world, "/abort", &got);
	CHECK(got.err != NULL);
	CHECK_EQ(got.err->kind, ERR_UNAVAILABLE);
	got_fini(&got);
	world_get(world, "/hello", &got);
	CHECK_EQ(got.status, 200);
	got_fini(&got);
}

/* --- a slow reader --- */

struct reader {
	struct http_call *call;
	size_t got;
	bool done;
	bool pause;
	int status;
	struct error *err;
};

static void reader_responded(void *arg, struct http_call *call, const struct http_response *response)
{
	struct reader *reader = arg;

	reader->status = response->status;
	if (reader->pause)
		http_call_pause(call);
}

static void reader_data(void *arg, struct str data)
{
	struct reader *reader = arg;

	reader->got += data.len;
	if (reader->pause)
		http_call_pause(reader->call);
}

static void reader_done(void *arg, struct error *err)
{
	struct reader *reader = arg;

	reader->done = true;
	reader->err = err;
}

static bool reader_is_done(void *arg)
{
	return ((struct reader *)arg)->done;
}

static void start_reader(struct world *world, struct reader *reader, const char *target)
{
	reader->call = http_call(world->client, &(struct http_call_options){ .target = str_from(target),
									     .responded = reader_responded,
									     .data = reader_data,
									     .done = reader_done,
									     .arg = reader });
}

EVERY(slow_reader_costs_a_bounded_buffer)
{
	struct reader slow = { .pause = true }, fast = { 0 };

	start_reader(world, &slow, "/produce?n=50000000");
	loop_run_for(200 * NS_PER_MS);
	CHECK_EQ(slow.status, 200);
	CHECK(slow.got < 200000);
	CHECK(world->produced < 8000000); /* our buffer and the kernel's */
	CHECK(world->most_pending < LIMIT_STREAM_BUFFER + 100000);
	/* Others are not held up. */
	world->produced = 0;
	start_reader(world, &fast, "/produce?n=3000000");
	CHECK(loop_run_until(reader_is_done, &fast, 10 * NS_PER_S));
	CHECK_EQ(fast.got, 3000000);
	slow.pause = false;
	http_call_resume(slow.call);
	CHECK(loop_run_until(reader_is_done, &slow, 30 * NS_PER_S));
	CHECK_OK(slow.err);
	CHECK_EQ(slow.got, 50000000);
}

/* --- the client goes away --- */

static bool one_waits(void *arg)
{
	return ((struct world *)arg)->waiting == 1;
}

static bool one_is_gone(void *arg)
{
	return ((struct world *)arg)->gone == 1;
}

EVERY(handler_hears_that_its_client_left)
{
	struct reader reader = { 0 };

	start_reader(world, &reader, "/wait");
	CHECK(loop_run_until(one_waits, world, NS_PER_S));
	http_call_cancel(reader.call);
	CHECK(loop_run_until(one_is_gone, world, NS_PER_S));
	CHECK(!reader.done);
	loop_run_for(NS_PER_MS);
	CHECK_EQ(http_server_stats(world->server).open_requests, 0);
}

EVERY(server_ends_with_requests_running)
{
	struct reader reader = { 0 };
	struct got got;

	world_get(world, "/hello", &got);
	got_fini(&got);
	start_reader(world, &reader, "/wait");
	CHECK(loop_run_until(one_waits, world, NS_PER_S));
	/* world_close() frees the client, closes the server with a grace of 1 s and waits for everything. */
	http_call_cancel(reader.call);
}

/* --- uploads --- */

struct uploader {
	struct http_call *call;
	size_t left;
	struct reader reader;
	struct buf body;
};

static void upload_more(void *arg)
{
	struct uploader *uploader = arg;
	char block[10000];

	memset(block, 'u', sizeof(block));
	while (uploader->left > 0 && http_call_pending(uploader->call) < STREAM_HIGH) {
		size_t n = uploader->left < sizeof(block) ? uploader->left : sizeof(block);

		http_call_write(uploader->call, str_of(block, n));
		uploader->left -= n;
		if (uploader->left == 0)
			http_call_end(uploader->call);
	}
}

static void upload_data(void *arg, struct str data)
{
	buf_add(&((struct uploader *)arg)->body, data);
}

static void upload_done(void *arg, struct error *err)
{
	reader_done(&((struct uploader *)arg)->reader, err);
}

EVERY(streamed_upload)
{
	struct uploader uploader = { .left = 3000000 };

	uploader.call = http_call(world->client, &(struct http_call_options){ .method = "POST",
									      .target = STR("/upload"),
									      .streams = true,
									      .data = upload_data,
									      .drained = upload_more,
									      .done = upload_done,
									      .arg = &uploader });
	upload_more(&uploader);
	CHECK(loop_run_until(reader_is_done, &uploader.reader, 10 * NS_PER_S));
	CHECK_OK(uploader.reader.err);
	CHECK_STR(buf_str(&uploader.body), "3000000");
	buf_fini(&uploader.body);
}

/* --- upgrade --- */

struct upgrader {
	struct stream *stream;
	struct buf in;
	bool ended;
	struct reader reader;
};

static void upgrade_read(void *arg, struct str data)
{
	buf_add(&((struct upgrader *)arg)->in, data);
}

static void upgrade_ended(void *arg)
{
	((struct upgrader *)arg)->ended = true;
}

static void upgrade_failed(void *arg, struct error *err)
{
	error_free(err);
	((struct upgrader *)arg)->ended = true;
}

static const struct stream_events upgrade_events = { upgrade_read, upgrade_ended, upgrade_failed, NULL };

static void on_upgraded(void *arg, const struct http_response *response, struct stream *stream, struct str leftover)
{
	struct upgrader *upgrader = arg;

	CHECK_EQ(response->status, 101);
	CHECK_STR(http_header(&response->headers, "upgrade"), "echo");
	upgrader->stream = stream;
	buf_add(&upgrader->in, leftover);
	stream_hand_over(stream, &upgrade_events, upgrader);
	stream_resume(stream);
	stream_write(stream, STR("raw bytes"));
	stream_end(stream);
}

static void upgrade_done(void *arg, struct error *err)
{
	reader_done(&((struct upgrader *)arg)->reader, err);
}

static bool upgrade_over(void *arg)
{
	return ((struct upgrader *)arg)->ended;
}

EVERY(upgrade_gives_the_stream_away)
{
	static const struct http_header headers[] = { { STR_INIT("connection"), STR_INIT("Upgrade") },
						      { STR_INIT("upgrade"), STR_INIT("echo") } };
	struct upgrader upgrader = { 0 };
	struct got got;

	http_call(world->client, &(struct http_call_options){ .target = STR("/upgrade"),
							      .headers = { headers, 2 },
							      .upgraded = on_upgraded,
							      .done = upgrade_done,
							      .arg = &upgrader });
	CHECK(loop_run_until(upgrade_over, &upgrader, 2 * NS_PER_S));
	CHECK_STR(buf_str(&upgrader.in), "raw bytes");
	CHECK(!upgrader.reader.done);
	stream_close(upgrader.stream);
	buf_fini(&upgrader.in);
	/* A server that does not want to answers as to any request. */
	world_fetch(world, (struct http_call_options){ .target = STR("/hello"), .headers = { headers, 2 } }, &got);
	CHECK_EQ(got.status, 200);
	got_fini(&got);
	world_get(world, "/upgrade", &got);
	CHECK_EQ(got.status, 400);
	got_fini(&got);
}

/* --- who the client says it is --- */

static struct http_tls *client_with(struct world *world, const struct pki_request *request, bool own_ca)
{
	static const char *const orgs[] = { "system:masters", NULL };
	AUTO_BUF struct buf cert_pem = { 0 }, key_pem = { 0 };
	struct pki_key *key = NULL, *ca_key = NULL;
	struct pki_cert *ca = NULL, *cert = NULL;
	struct pki_request wanted = *request;
	struct http_tls *tls = NULL;

	CHECK_OK(pki_key_new(&key));
	CHECK_OK(pki_key_new(&ca_key));
	if (own_ca) {
		/* Same name, other key. */
		CHECK_OK(pki_issue(&(struct pki_request){ .key = ca_key, .common_name = "test ca", .ca = true, .days = 9 }, &ca));
	} else {
		pki_key_free(ca_key);
		CHECK_OK(pki_key_parse(buf_str(&world->ca_key), &ca_key));
		CHECK_OK(pki_cert_parse(buf_str(&world->ca), &ca));
	}
	wanted.key = key;
	wanted.issuer = ca;
	wanted.issuer_key = ca_key;
	wanted.common_name = "mallory";
	wanted.orgs = orgs;
	CHECK_OK(pki_issue(&wanted, &cert));
	pki_cert_format(cert, &cert_pem);
	pki_key_format(key, &key_pem);
	CHECK_OK(http_tls_client(
		&(struct http_tls_options){ .cert = buf_str(&cert_pem), .key = buf_str(&key_pem), .ca = buf_str(&world->ca) },
		&tls));
	pki_cert_free(cert);
	pki_cert_free(ca);
	pki_key_free(key);
	pki_key_free(ca_key);
	return tls;
}

TEST(only_valid_client_certificates_are_believed)
{
	static const struct {
		struct pki_request request;
		bool own_ca;
		const char *user;
	} rows[] = {
		{ { .client = true, .days = 5 }, false, "x-user: mallory\n" },
		{ { .client = true, .days = 5 }, true, "x-user: nobody\n" },
		{ { .server = true, .days = 5 }, false, "x-user: nobody\n" },
		{ { .client = true, .days = 5, .now = 1000000000 * NS_PER_S }, false, "x-user: nobody\n" }, /* expired */
		{ { .client = true, .days = 5, .now = 4000000000 * NS_PER_S }, false, "x-user: nobody\n" }, /* not yet */
	};
	struct world world;

	world_open(&world, TCP_TLS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_tls *tls = client_with(&world, &rows[i].request, rows[i].own_ca);
		struct got got;

		http_client_free(world.client);
		world.client = http_client_new(
			&(struct http_client_options){ .address = { .host = "127.0.0.1", .port = world.port }, .tls = tls });
		http_tls_unref(tls);
		world_get(&world, "/echo", &got);
		CHECK_OK(got.err);
		if (!str_contains(buf_str(&got.headers), str_from(rows[i].user)))
			tap_fail(__FILE__, __LINE__, "row %zu: %s", i, buf_cstr(&got.headers));
		got_fini(&got);
	}
	world_close(&world);
}

/* A certificate of each kind of key, shown by the client to the server and by the server to the client. */
TEST(certificates_of_every_kind_of_key_are_believed)
{
	for (const struct foreign_key *key = foreign_keys; key->name != NULL; key++) {
		struct world world;
		struct got got;

		if (key->certificates_only)
			continue;
		world_open_with_key(&world, key->pem);
		world_get(&world, "/echo", &got);
		if (got.err != NULL || !str_contains(buf_str(&got.headers), STR("x-user: jane\n")))
			tap_fail(__FILE__, __LINE__, "%s: %s", key->name, got.err != NULL ? got.err->text : buf_cstr(&got.headers));
		got_fini(&got);
		world_close(&world);
	}
}

TEST(who_forgets_the_s_of_https_is_told)
{
	struct world world;
	struct raw raw;

	world_open(&world, TCP_TLS);
	raw_open(&world, &raw);
	raw_send(&raw, "GET /livez HTTP/1.0\r\n\r\n");
	CHECK(raw_has(&raw, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"));
	CHECK(raw_over(&raw));
	raw_close(&raw);
	world_close(&world);
}

TEST(only_our_server_is_believed)
{
	struct http_client *client;
	struct world world;
	struct got got = { 0 };
	struct http_tls *tls = NULL;

	world_open(&world, TCP_TLS);
	/* The right authority, the wrong name. */
	client = http_client_new(&(struct http_client_options){
		.address = { .host = "127.0.0.1", .port = world.port }, .tls = world.client_tls, .server_name = "example.com" });
	http_client_free(world.client);
	world.client = client;
	world_get(&world, "/hello", &got);
	CHECK(got.err != NULL);
	CHECK_EQ(got.err->kind, ERR_UNAUTHORIZED);
	got_fini(&got);
	/* No authority at all: nobody is trusted, unless told so. */
	for (int insecure = 0; insecure < 2; insecure++) {
		CHECK_OK(http_tls_client(&(struct http_tls_options){ .insecure = insecure != 0 }, &tls));
		http_client_free(world.client);
		world.client = http_client_new(
			&(struct http_client_options){ .address = { .host = "127.0.0.1", .port = world.port }, .tls = tls });
		http_tls_unref(tls);
		world_get(&world, "/hello", &got);
		CHECK_EQ(got.err == NULL, insecure != 0);
		got_fini(&got);
	}
	world_close(&world);
}
