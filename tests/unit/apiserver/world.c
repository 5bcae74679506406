#include "tests/unit/apiserver/world.h"

#include <stdlib.h>
#include <string.h>

#define START  INT64_C(1790000000000000000)
#define MINUTE (60 * NS_PER_S)

static struct error *plan_commit(void *arg, int64_t *delay)
{
	(void)arg;
	*delay = (int64_t)rand_below(20 * NS_PER_MS);
	return NULL;
}

/* --- in and out --- */

/* Streams in memory have no certificates: whoever comes is jane. */
static void handle(void *arg, struct http_request *request)
{
	static const struct str groups[] = { STR_INIT("system:masters") };
	static const struct http_peer jane = {
		.address = "memory", .tls = true, .verified = true, .common_name = STR_INIT("jane"), .orgs = groups, .n_orgs = 1
	};

	request->peer = &jane;
	apiserver_handle(((struct world *)arg)->apiserver, request);
}

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

static void dial(void *arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	struct dialing *dialing = xcalloc(1, sizeof(*dialing));

	*dialing = (struct dialing){ arg, connected, to };
	loop_soon(dialed, dialing);
}

/* --- open and close --- */

static void note_ready(void *arg, struct error *err)
{
	CHECK_OK(err);
	((struct world *)arg)->ended = true;
}

static void note_ended(void *arg)
{
	((struct world *)arg)->ended = true;
}

static bool has_ended(void *arg)
{
	return ((struct world *)arg)->ended;
}

static bool is_quiet(void *arg)
{
	return apiserver_running(((struct world *)arg)->apiserver) == 0;
}

static void start_apiserver(struct world *world)
{
	struct cidr services;

	CHECK(cidr_parse(STR("10.96.0.0/12"), &services));
	world->ended = false;
	CHECK_OK(apiserver_new(&(struct apiserver_options){ .store = world->store,
							    .token_key = world->key,
							    .issuer = "https://kubernetes.default.svc.cluster.local",
							    .service_cidrs = { services },
							    .n_service_cidrs = 1,
							    .endpoint = ip_v4(192, 168, 49, 1),
							    .endpoint_port = 6443 },
			       &world->apiserver));
	apiserver_bootstrap(world->apiserver, note_ready, world);
	CHECK(loop_run_until(has_ended, world, MINUTE));
}

void world_open(struct world *world, uint64_t seed)
{
	*world = (struct world){ .arena = arena_new() };
	log_open(2, LOG_ERROR);
	loop_init();
	loop_sim(seed, START);
	CHECK_OK(store_open(&(struct store_options){ .memory_plan = plan_commit }, &world->store));
	CHECK_OK(pki_key_new(&world->key));
	start_apiserver(world);
	world->server = http_server_new(&(struct http_server_options){ .handle = handle, .arg = world });
	world->client =
		http_client_new(&(struct http_client_options){ .server_name = "localhost", .dial = dial, .dial_arg = world });
}

void world_restart(struct world *world)
{
	apiserver_end_watches(world->apiserver);
	CHECK(loop_run_until(is_quiet, world, 2 * MINUTE));
	apiserver_free(world->apiserver);
	start_apiserver(world);
}

void world_close(struct world *world)
{
	http_client_free(world->client);
	CHECK(loop_run_until(is_quiet, world, 2 * MINUTE));
	world->ended = false;
	http_server_close(world->server, NS_PER_S, note_ended, world);
	CHECK(loop_run_until(has_ended, world, MINUTE));
	apiserver_free(world->apiserver);
	world->ended = false;
	store_close(world->store, note_ended, world);
	CHECK(loop_run_until(has_ended, world, MINUTE));
	pki_key_free(world->key);
	loop_fini();
	arena_free(world->arena);
}

/* --- one question --- */

static void fetched(void *arg, struct error *err, const struct http_response *response, struct str body)
{
	struct got *got = arg;
	struct arena *arena = got->world->arena;

	got->came = true;
	got->fetch = NULL;
	if (err != NULL) {
		error_free(err);
		return;
	}
	got->status = response->status;
	got->type = str_dup(arena, http_header(&response->headers, "content-type"));
	for (size_t i = 0; i < response->headers.n; i++)
		got->n_warnings += str_is(response->headers.ptr[i].name, "warning");
	got->text = str_dup(arena, body);
	err = json_read(arena, got->text, NULL, &got->json);
	if (err != NULL)
		got->json = NULL;
	error_free(err);
}

struct got *world_send(struct world *world, const struct question *question)
{
	struct got *got = ARENA_NEW(world->arena, struct got);
	const char *type = question->type != NULL ? question->type : "application/json";
	const struct http_header headers[] = {
		{ STR("accept"), str_from(question->accept != NULL ? question->accept : "application/json") },
		{ STR("content-type"), str_from(type) },
	};

	got->world = world;
	got->fetch =
		http_fetch(world->client, &(struct http_fetch_options){
						  .call = { .method = question->method,
							    .target = str_from(question->target),
							    .headers = { headers, question->body != NULL ? 2 : 1 },
							    .body = question->body != NULL ? str_from(question->body) : STR(""),
							    .timeout = 10 * MINUTE },
						  .fetched = fetched,
						  .arg = got });
	return got;
}

void world_leave(struct got *got)
{
	if (got->fetch != NULL) /* else the answer was faster */
		http_fetch_cancel(got->fetch);
	got->fetch = NULL;
}

static bool came(void *arg)
{
	return ((struct got *)arg)->came;
}

struct got *world_wait(struct got *got)
{
	CHECK(loop_run_until(came, got, 5 * MINUTE));
	return got;
}

struct got *world_put(struct world *world, const struct question *question)
{
	return world_wait(world_send(world, question));
}

struct got *world_ask(struct world *world, const char *method, const char *target, const char *type, const char *body)
{
	return world_put(world, &(struct question){ method, target, NULL, type, body });
}

/* --- watches --- */

static void seen_responded(void *arg, struct http_call *call, const struct http_response *response)
{
	(void)call;
	((struct seen *)arg)->status = response->status;
}

static void seen_data(void *arg, struct str data)
{
	buf_add(&((struct seen *)arg)->text, data);
}

static void seen_done(void *arg, struct error *err)
{
	struct seen *seen = arg;

	seen->ended = true;
	seen->call = NULL;
	error_free(err);
}

static void free_text(void *arg)
{
	buf_fini(arg);
}

struct seen *world_watch(struct world *world, const char *target)
{
	struct seen *seen = ARENA_NEW(world->arena, struct seen);

	seen->world = world;
	arena_defer(world->arena, free_text, &seen->text);
	seen->call = http_call(world->client, &(struct http_call_options){ .target = str_from(target),
									   .responded = seen_responded,
									   .data = seen_data,
									   .done = seen_done,
									   .arg = seen });
	return seen;
}

size_t seen_count(const struct seen *seen)
{
	size_t n = 0;

	for (size_t i = 0; i < seen->text.len; i++)
		n += seen->text.ptr[i] == '\n';
	return n;
}

struct wanted {
	struct seen *seen;
	size_t n;
};

static bool has_event(void *arg)
{
	struct wanted *wanted = arg;

	return seen_count(wanted->seen) > wanted->n;
}

const struct json *seen_event(struct seen *seen, size_t n)
{
	struct wanted wanted = { seen, n };
	struct str rest, line = STR("");
	const struct json *event;

	CHECK(loop_run_until(has_event, &wanted, MINUTE));
	rest = str_dup(seen->world->arena, buf_str(&seen->text));
	for (size_t i = 0; i <= n; i++)
		CHECK(str_cut(&rest, '\n', &line));
	CHECK_OK(json_read(seen->world->arena, line, NULL, &event));
	return event;
}

void seen_close(struct seen *seen)
{
	if (seen->call != NULL)
		http_call_cancel(seen->call);
	seen->call = NULL;
}
