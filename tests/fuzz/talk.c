#include "tests/fuzz/talk.h"

#include "http/websocket.h"

#define BODY_MOST    4096
#define ANSWER_MOST  (64 * 1024 * 1024)
#define TALK_SECONDS 300 /* of virtual time: beyond every timeout of a server */

/* --- handlers --- */

struct handler {
	struct talk *talk;
	struct http_request *request;
	struct websocket *ws;
};

static void body_came(void *arg, struct error *err, struct str body)
{
	struct handler *h = arg;

	if (err != NULL) {
		buf_printf(&h->talk->seen, "broken body\n");
		http_reply_text(h->request, error_http_status(err->kind), str_from(err->text));
		error_free(err);
		return;
	}
	buf_printf(&h->talk->seen, "body of %zu: %.*s\n", body.len, STR_ARG(body));
	http_reply(h->request, 200, (struct http_headers){ NULL, 0 }, body);
}

static void ws_message(void *arg, struct str data, bool binary)
{
	struct handler *h = arg;

	buf_printf(&h->talk->seen, "%s message of %zu: %.*s\n", binary ? "binary" : "text", data.len, STR_ARG(data));
	websocket_send(h->ws, STR("echo "), data);
	if (!str_is(data, "close"))
		return;
	websocket_close(h->ws, 1000, STR("done"));
	free(h); /* closed() does not come */
}

static void ws_closed(void *arg)
{
	struct handler *h = arg;

	buf_printf(&h->talk->seen, "closed\n");
	free(h);
}

static const struct websocket_events ws_events = { ws_message, ws_closed, NULL };

static bool upgraded(struct talk *talk, struct http_request *request)
{
	struct handler *h;
	struct error *err;

	if (!talk->websockets || !websocket_wanted(request))
		return false;
	h = xcalloc(1, sizeof(*h));
	h->talk = talk;
	err = websocket_accept(request, "", &h->ws);
	if (err == NULL) {
		websocket_start(h->ws, &ws_events, h);
		return true;
	}
	error_free(err);
	free(h);
	return false;
}

static void handle(void *arg, struct http_request *request)
{
	struct talk *talk = arg;
	struct handler *h;

	buf_printf(&talk->seen, "%.*s %.*s at %.*s, %lld bytes\n", STR_ARG(request->method), STR_ARG(request->target),
		   STR_ARG(request->host), (long long)request->content_length);
	FUZZ_CHECK(request->headers.n <= LIMIT_HEADER_COUNT && request->target.len <= LIMIT_URL);
	for (size_t i = 0; i < request->headers.n; i++)
		buf_printf(&talk->seen, "%.*s: %.*s\n", STR_ARG(request->headers.ptr[i].name),
			   STR_ARG(request->headers.ptr[i].value));
	for (size_t i = 0; i < request->n_params; i++)
		buf_printf(&talk->seen, "%.*s=%.*s\n", STR_ARG(request->params[i].name), STR_ARG(request->params[i].value));
	if (upgraded(talk, request))
		return;
	h = ARENA_NEW(request->arena, struct handler);
	*h = (struct handler){ talk, request, NULL };
	http_body(request, BODY_MOST, body_came, h);
}

/* --- the peer --- */

static void heard(void *arg, struct str data)
{
	struct speaker *speaker = arg;

	if (speaker->heard != NULL && speaker->heard->len < ANSWER_MOST)
		buf_add(speaker->heard, data);
}

static void say(void *arg)
{
	struct speaker *speaker = arg;
	size_t n = speaker->piece == 0 || speaker->piece > speaker->rest.len ? speaker->rest.len : speaker->piece;

	if (speaker->over)
		return;
	if (speaker->rest.len == 0) {
		stream_end(speaker->stream);
		return;
	}
	stream_write(speaker->stream, str_head(speaker->rest, n));
	speaker->rest = str_skip(speaker->rest, n);
	loop_call_soon(&speaker->say, say, speaker);
}

static void gone(struct speaker *speaker)
{
	loop_call_cancel(&speaker->say);
	speaker->over = true;
}

static void ended(void *arg)
{
	gone(arg);
}

static void failed(void *arg, struct error *err)
{
	error_free(err);
	gone(arg);
}

static const struct stream_events speaker_events = { heard, ended, failed, NULL };

void speaker_start(struct speaker *speaker, struct stream *stream)
{
	speaker->stream = stream;
	stream_start(stream, &speaker_events, speaker);
	loop_call_soon(&speaker->say, say, speaker);
}

/* --- the whole --- */

static bool is_over(void *arg)
{
	return *(bool *)arg;
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

void talk_run(struct talk *talk)
{
	struct speaker speaker = { .rest = talk->input, .piece = talk->piece, .heard = &talk->answer };
	struct http_server *server;
	struct stream *ours, *theirs;
	bool closed = false;

	loop_init();
	loop_sim(1, INT64_C(1767225600) * NS_PER_S);
	server = http_server_new(&(struct http_server_options){ .handle = handle, .arg = talk });
	stream_pair(&ours, &theirs);
	http_server_accept(server, theirs);
	speaker_start(&speaker, ours);
	loop_run_until(is_over, &speaker.over, TALK_SECONDS * NS_PER_S);
	/* Nobody may hold a connection for ever that says no more. */
	FUZZ_CHECK(speaker.over || talk->websockets);
	loop_call_cancel(&speaker.say);
	stream_close(ours);
	http_server_close(server, NS_PER_S, on_closed, &closed);
	loop_run_until(is_over, &closed, 60 * NS_PER_S);
	FUZZ_CHECK(closed);
	loop_fini();
}

void talk_fini(struct talk *talk)
{
	buf_fini(&talk->seen);
	buf_fini(&talk->answer);
}
