/* Answers that a client of ours may hear (a probe hears them from a container): done comes once, whatever is said, and the
 * same however it is cut. */
#include "tests/fuzz/talk.h"

#define BODY_MOST 10000

struct visit {
	struct str input;
	size_t piece;
	struct speaker speaker;
	struct buf result;
	bool done;
	unsigned dials;
	void (*connected)(void *to, struct error *err, struct stream *stream);
	void *to;
	struct loop_call call;
};

static void connect_now(void *arg)
{
	struct visit *visit = arg;
	struct stream *ours, *theirs;

	if (visit->dials++ > 0) {
		visit->connected(visit->to, error_new(ERR_UNAVAILABLE, "once"), NULL);
		return;
	}
	stream_pair(&ours, &theirs);
	visit->speaker = (struct speaker){ .rest = visit->input, .piece = visit->piece };
	speaker_start(&visit->speaker, theirs);
	visit->connected(visit->to, NULL, ours);
}

static void dial(void *arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	struct visit *visit = arg;

	visit->connected = connected;
	visit->to = to;
	loop_call_soon(&visit->call, connect_now, visit);
}

static void fetched(void *arg, struct error *err, const struct http_response *response, struct str body)
{
	struct visit *visit = arg;

	FUZZ_CHECK(!visit->done);
	visit->done = true;
	if (err != NULL) {
		buf_printf(&visit->result, "failed\n");
		error_free(err);
		return;
	}
	FUZZ_CHECK(body.len <= BODY_MOST);
	buf_printf(&visit->result, "%d\n%.*s", response->status, STR_ARG(body));
	for (size_t i = 0; i < response->headers.n; i++)
		buf_printf(&visit->result, "%.*s: %.*s\n", STR_ARG(response->headers.ptr[i].name),
			   STR_ARG(response->headers.ptr[i].value));
}

static bool is_done(void *arg)
{
	return ((struct visit *)arg)->done;
}

static void run(struct visit *visit)
{
	struct http_client *client;

	loop_init();
	loop_sim(1, INT64_C(1767225600) * NS_PER_S);
	client = http_client_new(&(struct http_client_options){ .dial = dial, .dial_arg = visit, .server_name = "a" });
	http_fetch(client, &(struct http_fetch_options){ .call = { .target = STR("/healthz"), .deadline = 120 * NS_PER_S },
							 .limit = BODY_MOST,
							 .fetched = fetched,
							 .arg = visit });
	loop_run_until(is_done, visit, 300 * NS_PER_S);
	FUZZ_CHECK(visit->done);
	loop_run_for(NS_PER_S);
	http_client_free(client);
	loop_call_cancel(&visit->speaker.say);
	if (visit->speaker.stream != NULL)
		stream_close(visit->speaker.stream);
	loop_fini();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct visit whole = { .input = fuzz_str(data, size) }, pieces = { .input = fuzz_str(data, size) };

	pieces.piece = 1 + size / 64;
	run(&whole);
	run(&pieces);
	FUZZ_SAME(buf_str(&pieces.result), buf_str(&whole.result));
	buf_fini(&whole.result);
	buf_fini(&pieces.result);
	return 0;
}
