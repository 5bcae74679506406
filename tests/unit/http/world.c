#include "tests/unit/http/world.h"

#include <stdio.h>
#include <stdlib.h>

/* --- handlers --- */

struct job {
	struct world *world;
	struct http_request *request;
	size_t left;
	struct bytes *block;
	struct loop_timer timer;
	bool closed;
};

static void job_gone(void *arg)
{
	struct job *job = arg;

	job->world->gone++;
	job->closed = true;
}

static void echo_body(void *arg, struct error *err, struct str body)
{
	struct job *job = arg;
	struct http_request *request = job->request;
	const struct http_header headers[] = {
		{ STR("content-type"), STR("application/echo") },
		{ STR("x-method"), request->method },
		{ STR("x-path"), request->path },
		{ STR("x-user"), request->peer->verified ? request->peer->common_name : STR("nobody") },
		{ STR("x-group"), request->peer->n_orgs > 0 ? request->peer->orgs[request->peer->n_orgs - 1] : STR("") },
		{ STR("x-query"), http_param(request, "q", NULL) },
	};

	if (err != NULL) {
		http_reply_text(request, error_http_status(err->kind), str_from(err->text));
		error_free(err);
	} else {
		http_reply(request, 200, (struct http_headers){ headers, 6 }, body);
	}
}

static void produce(void *arg)
{
	struct job *job = arg;

	while (job->left > 0 && !http_reply_full(job->request)) {
		size_t n = job->left < job->block->len ? job->left : job->block->len;

		http_reply_write_part(job->request, job->block, str_head(bytes_str(job->block), n));
		job->left -= n;
		job->world->produced += n;
		if (http_reply_pending(job->request) > job->world->most_pending)
			job->world->most_pending = http_reply_pending(job->request);
	}
	if (job->left == 0) {
		bytes_unref(job->block);
		http_reply_end(job->request);
	}
}

static void produce_closed(void *arg)
{
	struct job *job = arg;

	job_gone(job);
	bytes_unref(job->block);
	http_reply_abort(job->request);
}

static const struct http_request_events produce_events = { produce_closed, produce };

static void wait_closed(void *arg)
{
	struct job *job = arg;

	job_gone(job);
	job->world->waiting--;
	http_reply_text(job->request, 200, STR("too late"));
}

static const struct http_request_events wait_events = { wait_closed, NULL };

static void count_upload(void *arg, struct error *err, struct str data)
{
	struct job *job = arg;
	char text[32];

	job->world->uploaded += data.len;
	if (err != NULL) {
		job->world->gone++;
		error_free(err);
		http_reply_abort(job->request);
	} else if (data.len == 0) {
		snprintf(text, sizeof(text), "%zu", job->world->uploaded);
		http_reply_text(job->request, 200, str_from(text));
	}
}

static void echo_read(void *arg, struct str data)
{
	stream_write(arg, data);
}

static void echo_ended(void *arg)
{
	stream_finish(arg);
}

static void echo_failed(void *arg, struct error *err)
{
	error_free(err);
	stream_close(arg);
}

static const struct stream_events echo_events = { echo_read, echo_ended, echo_failed, NULL };

static void upgrade(struct job *job)
{
	const struct http_header headers[] = { { STR("connection"), STR("Upgrade") }, { STR("upgrade"), STR("echo") } };
	AUTO_BUF struct buf leftover = { 0 };
	struct stream *stream = NULL;
	struct error *err = http_upgrade(job->request, (struct http_headers){ headers, 2 }, &stream, &leftover);

	if (err != NULL) {
		http_reply_text(job->request, 400, str_from(err->text));
		error_free(err);
		return;
	}
	stream_hand_over(stream, &echo_events, stream);
	stream_write(stream, buf_str(&leftover));
	stream_resume(stream);
}

static void handle(void *arg, struct http_request *request)
{
	struct world *world = arg;
	struct job *job = ARENA_NEW(request->arena, struct job);
	int64_t n = 0;

	world->handled++;
	job->world = world;
	job->request = request;
	if (str_is(request->path, "/hello")) {
		http_reply_text(request, 200, STR("hello\n"));
	} else if (str_is(request->path, "/echo")) {
		http_reply_compress(request);
		http_body(request, 1000000, echo_body, job);
	} else if (str_is(request->path, "/small")) {
		http_body(request, 1000, echo_body, job);
	} else if (str_is(request->path, "/upload")) {
		http_body_stream(request, count_upload, job);
	} else if (str_is(request->path, "/wait")) {
		world->waiting++;
		http_request_listen(request, &wait_events, job);
	} else if (str_is(request->path, "/produce")) {
		CHECK(str_to_i64(http_param(request, "n", NULL), &n));
		job->left = (size_t)n;
		job->block = bytes_alloc(20000);
		memset(job->block->ptr, 'p', job->block->len);
		http_request_listen(request, &produce_events, job);
		http_reply_compress(request);
		http_reply_start(request, 200, (struct http_headers){ NULL, 0 });
		produce(job);
	} else if (str_is(request->path, "/abort")) {
		http_reply_start(request, 200, (struct http_headers){ NULL, 0 });
		http_reply_write(request, STR("half of it"));
		http_reply_abort(request);
	} else if (str_is(request->path, "/upgrade")) {
		upgrade(job);
	} else {
		http_reply_text(request, 404, STR("404 page not found\n"));
	}
}

/* --- the world --- */

/* key: PEM that another program wrote; NULL: a new key of ours. */
static void make_certificate(struct pki_request *request, const char *key, struct buf *cert_pem, struct buf *key_pem)
{
	struct pki_key *made = NULL;
	struct pki_cert *cert = NULL;

	if (key != NULL) {
		CHECK_OK(pki_key_parse(str_from(key), &made));
		buf_add(key_pem, str_from(key));
	} else {
		CHECK_OK(pki_key_new(&made));
		pki_key_format(made, key_pem);
	}
	request->key = made;
	request->days = 10;
	CHECK_OK(pki_issue(request, &cert));
	pki_cert_format(cert, cert_pem);
	pki_cert_free(cert);
	pki_key_free(made);
}

static void make_pki(struct world *world, const char *key)
{
	static const char *const names[] = { "localhost", NULL }, *const ips[] = { "127.0.0.1", NULL };
	static const char *const orgs[] = { "people", "system:masters", NULL };
	struct pki_request ca = { .common_name = "test ca", .ca = true }, server = { 0 }, client = { 0 };
	struct pki_key *ca_key = NULL;
	struct pki_cert *issuer = NULL;

	make_certificate(&ca, NULL, &world->ca, &world->ca_key);
	CHECK_OK(pki_key_parse(buf_str(&world->ca_key), &ca_key));
	CHECK_OK(pki_cert_parse(buf_str(&world->ca), &issuer));
	server = (struct pki_request){
		.issuer = issuer, .issuer_key = ca_key, .common_name = "server", .dns = names, .ips = ips, .server = true
	};
	client =
		(struct pki_request){ .issuer = issuer, .issuer_key = ca_key, .common_name = "jane", .orgs = orgs, .client = true };
	make_certificate(&server, key, &world->server_cert, &world->server_key);
	make_certificate(&client, key, &world->client_cert, &world->client_key);
	pki_cert_free(issuer);
	pki_key_free(ca_key);
}

static void dial_memory(void *arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to);

struct dialing {
	struct world *world;
	void (*connected)(void *to, struct error *err, struct stream *stream);
	void *to;
};

static void dialed(void *arg)
{
	struct dialing *dialing = arg;
	struct stream *ours, *theirs;

	stream_pair(&ours, &theirs);
	http_server_accept(dialing->world->server, theirs);
	dialing->connected(dialing->to, NULL, ours);
	free(dialing);
}

static void dial_memory(void *arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	struct dialing *dialing = xcalloc(1, sizeof(*dialing));

	*dialing = (struct dialing){ arg, connected, to };
	loop_soon(dialed, dialing);
}

static void open_world(struct world *world, enum transport transport, struct http_server_options options, const char *key)
{
	bool tls = transport == MEMORY_TLS || transport == TCP_TLS, tcp = transport == TCP || transport == TCP_TLS;
	struct http_client_options client = { .server_name = "localhost" };

	memset(world, 0, sizeof(*world));
	loop_init();
	if (transport == MEMORY_SIMULATED)
		loop_sim(1, NS_PER_S);
	if (tls) {
		make_pki(world, key);
		CHECK_OK(http_tls_server(&(struct http_tls_options){ .cert = buf_str(&world->server_cert),
								     .key = buf_str(&world->server_key),
								     .ca = buf_str(&world->ca) },
					 &world->server_tls));
		CHECK_OK(http_tls_client(&(struct http_tls_options){ .cert = buf_str(&world->client_cert),
								     .key = buf_str(&world->client_key),
								     .ca = buf_str(&world->ca) },
					 &world->client_tls));
	}
	options.tls = world->server_tls;
	options.handle = handle;
	options.arg = world;
	world->server = http_server_new(&options);
	if (tcp) {
		CHECK_OK(http_server_listen(world->server, &(struct stream_address){ .host = "127.0.0.1" }, &world->listener));
		world->port = http_listener_port(world->listener);
		client.address = (struct stream_address){ .host = "127.0.0.1", .port = world->port };
		client.server_name = NULL;
	} else {
		client.dial = dial_memory;
		client.dial_arg = world;
	}
	client.tls = world->client_tls;
	world->client = http_client_new(&client);
}

void world_open_with(struct world *world, enum transport transport, struct http_server_options options)
{
	open_world(world, transport, options, NULL);
}

void world_open_with_key(struct world *world, const char *key)
{
	open_world(world, TCP_TLS, (struct http_server_options){ .idle = 0 }, key);
}

void world_open_simulated(struct world *world)
{
	world_open_with(world, MEMORY_SIMULATED, (struct http_server_options){ .idle = 0 });
}

void world_open(struct world *world, enum transport transport)
{
	world_open_with(world, transport, (struct http_server_options){ .idle = 0 });
}

static void on_closed(void *arg)
{
	((struct world *)arg)->closed = true;
}

static bool is_closed(void *arg)
{
	return ((struct world *)arg)->closed;
}

void world_close(struct world *world)
{
	http_client_free(world->client);
	http_server_close(world->server, NS_PER_S, on_closed, world);
	CHECK(loop_run_until(is_closed, world, 5 * NS_PER_S));
	http_tls_unref(world->server_tls);
	http_tls_unref(world->client_tls);
	buf_fini(&world->ca);
	buf_fini(&world->ca_key);
	buf_fini(&world->server_cert);
	buf_fini(&world->server_key);
	buf_fini(&world->client_cert);
	buf_fini(&world->client_key);
	loop_fini();
}

/* --- calls --- */

static void on_fetched(void *arg, struct error *err, const struct http_response *response, struct str body)
{
	struct got *got = arg;

	got->came = true;
	got->err = err;
	if (err != NULL)
		return;
	got->status = response->status;
	for (size_t i = 0; i < response->headers.n; i++)
		buf_printf(&got->headers, "%.*s: %.*s\n", STR_ARG(response->headers.ptr[i].name),
			   STR_ARG(response->headers.ptr[i].value));
	buf_add(&got->body, body);
}

bool got_came(void *got)
{
	return ((struct got *)got)->came;
}

void world_fetch(struct world *world, struct http_call_options call, struct got *got)
{
	memset(got, 0, sizeof(*got));
	http_fetch(world->client,
		   &(struct http_fetch_options){ .call = call, .limit = 64 * 1024 * 1024, .fetched = on_fetched, .arg = got });
	CHECK(loop_run_until(got_came, got, 10 * NS_PER_S));
}

void world_get(struct world *world, const char *target, struct got *got)
{
	world_fetch(world, (struct http_call_options){ .target = str_from(target) }, got);
}

void got_fini(struct got *got)
{
	buf_fini(&got->headers);
	buf_fini(&got->body);
	error_free(got->err);
}

/* --- raw --- */

static void raw_read(void *arg, struct str data)
{
	buf_add(&((struct raw *)arg)->in, data);
}

static void raw_ended(void *arg)
{
	((struct raw *)arg)->over = true;
}

static void raw_failed(void *arg, struct error *err)
{
	error_free(err);
	((struct raw *)arg)->over = true;
}

static const struct stream_events raw_events = { raw_read, raw_ended, raw_failed, NULL };

void raw_open(struct world *world, struct raw *raw)
{
	struct stream *theirs;

	memset(raw, 0, sizeof(*raw));
	stream_pair(&raw->stream, &theirs);
	http_server_accept(world->server, theirs);
	stream_start(raw->stream, &raw_events, raw);
}

void raw_send(struct raw *raw, const char *text)
{
	stream_write(raw->stream, str_from(text));
}

struct wanted {
	struct raw *raw;
	struct str text;
};

static bool has(void *arg)
{
	struct wanted *wanted = arg;

	return str_contains(buf_str(&wanted->raw->in), wanted->text);
}

bool raw_has(struct raw *raw, const char *text)
{
	struct wanted wanted = { raw, str_from(text) };

	return loop_run_until(has, &wanted, 2 * NS_PER_S);
}

static bool is_over(void *arg)
{
	return ((struct raw *)arg)->over;
}

bool raw_over(struct raw *raw)
{
	return loop_run_until(is_over, raw, 2 * NS_PER_S);
}

void raw_close(struct raw *raw)
{
	stream_close(raw->stream);
	buf_fini(&raw->in);
}
