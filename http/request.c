/* One request as the handler sees it, whatever version carries it. */
#include <stdlib.h>
#include <strings.h>

#include "http/private.h"

/* --- coming to life --- */

static void split_target(struct exchange *exchange)
{
	struct http_request *request = &exchange->request;
	struct str rest = request->target;

	/* Absolute form, as sent to proxies: only the path counts. */
	if (rest.len > 0 && rest.ptr[0] != '/') {
		ptrdiff_t scheme = str_find(rest, ':');

		if (scheme > 0 && str_has_prefix(str_skip(rest, (size_t)scheme), STR("://"))) {
			ptrdiff_t slash;

			rest = str_skip(rest, (size_t)scheme + 3);
			slash = str_find(rest, '/');
			rest = slash >= 0 ? str_skip(rest, (size_t)slash) : STR("/");
		}
	}
	if (!str_cut(&rest, '?', &request->raw_path))
		request->raw_path = STR("/");
	request->query = rest;
	if (!http_unescape(request->arena, request->raw_path, false, &request->path))
		request->path = STR(""); /* never matches a route; carriers refuse it before */
	http_parse_query(request->arena, request->query, &request->params, &request->n_params);
}

struct exchange *exchange_new(const struct exchange_new *from)
{
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));

	exchange->request = (struct http_request){
		.method = from->method,
		.target = from->target,
		.host = from->host,
		.headers = { from->headers, from->n_headers },
		.content_length = from->content_length,
		.version = from->version,
		.http10 = from->http10,
		.wants_upgrade = from->wants_upgrade,
		.peer = &from->peer->said,
		.arena = from->arena,
		.started = clock_mono(),
	};
	exchange->server = from->server;
	exchange->peer = peer_ref(from->peer);
	exchange->peer->n_exchanges++;
	exchange->ops = from->ops;
	exchange->carrier = from->carrier;
	exchange->bodiless = str_is(from->method, "HEAD");
	split_target(exchange);
	list_push(&exchange->server->exchanges, &exchange->link);
	exchange->server->n_exchanges++;
	exchange->server->stats.requests++;
	return exchange;
}

void exchange_dispatch(struct exchange *exchange)
{
	exchange->server->options.handle(exchange->server->options.arg, &exchange->request);
}

static void on_bury(void *arg)
{
	struct exchange *exchange = arg;
	struct http_server *server = exchange->server;

	list_remove(&exchange->link);
	server->n_exchanges--;
	buf_fini(&exchange->body);
	error_free(exchange->body_error);
	gzip_stream_free(exchange->packer);
	arena_free(exchange->request.arena);
	peer_unref(exchange->peer);
	free(exchange);
	server_maybe_closed(server);
}

/* The handler is done with it. */
static void handler_done(struct exchange *exchange)
{
	ASSERT(!exchange->ended);
	exchange->ended = true;
	exchange->events = NULL;
	loop_call_cancel(&exchange->tell_body);
}

/* Memory goes on a fresh stack, because this may come from inside handle(). */
void exchange_over(struct exchange *exchange)
{
	exchange->ops = NULL;
	exchange->peer->n_exchanges--;
	loop_call_cancel(&exchange->tell_closed);
	loop_call_cancel(&exchange->tell_drained);
	loop_call_soon(&exchange->bury, on_bury, exchange);
}

static void end_of_exchange(struct exchange *exchange)
{
	handler_done(exchange);
	exchange_over(exchange);
}

struct str http_param(const struct http_request *request, const char *name, bool *found)
{
	for (size_t i = 0; i < request->n_params; i++)
		if (str_is(request->params[i].name, name)) {
			if (found != NULL)
				*found = true;
			return request->params[i].value;
		}
	if (found != NULL)
		*found = false;
	return STR("");
}

bool http_param_bool(const struct http_request *request, const char *name, bool *found)
{
	bool given;
	struct str value = http_param(request, name, &given);

	if (found != NULL)
		*found = given;
	return given && !str_is(value, "0") && !(value.len == 5 && strncasecmp(value.ptr, "false", 5) == 0);
}

/* --- events --- */

static void on_tell_closed(void *arg)
{
	struct exchange *exchange = arg;

	if (exchange->events != NULL && exchange->events->closed != NULL)
		exchange->events->closed(exchange->events_arg);
}

static void on_tell_drained(void *arg)
{
	struct exchange *exchange = arg;

	if (exchange->events != NULL && exchange->events->drained != NULL)
		exchange->events->drained(exchange->events_arg);
}

void http_request_listen(struct http_request *request, const struct http_request_events *events, void *arg)
{
	struct exchange *exchange = exchange_of(request);

	exchange->events = events;
	exchange->events_arg = arg;
	if (exchange->closed)
		loop_call_soon(&exchange->tell_closed, on_tell_closed, exchange);
}

bool http_request_closed(const struct http_request *request)
{
	return exchange_of(request)->closed;
}

void exchange_closed(struct exchange *exchange)
{
	exchange->ops = NULL;
	exchange->carrier = NULL;
	if (!exchange->closed) {
		exchange->closed = true;
		loop_call_soon(&exchange->tell_closed, on_tell_closed, exchange);
	}
	if (!exchange->body_complete)
		exchange_body_failed(exchange, error_new(ERR_CANCELED, "the client went away"));
}

void exchange_hung_up(struct exchange *exchange)
{
	exchange->closed = true;
	loop_call_soon(&exchange->tell_closed, on_tell_closed, exchange);
}

void exchange_drained(struct exchange *exchange)
{
	if (!exchange->full || exchange->ops == NULL || exchange->ops->pending(exchange) > LIMIT_STREAM_BUFFER / 2)
		return;
	exchange->full = false;
	loop_call_soon(&exchange->tell_drained, on_tell_drained, exchange);
}

/* --- the request's body --- */

static void on_tell_body(void *arg);

static void body_soon(struct exchange *exchange)
{
	if (exchange->body_mode != BODY_UNASKED && !exchange->ended && !exchange->body_told)
		loop_call_soon(&exchange->tell_body, on_tell_body, exchange);
}

static void take_body(struct exchange *exchange, size_t n)
{
	if (n > 0 && exchange->ops != NULL)
		exchange->ops->body_taken(exchange, n);
}

void exchange_body(struct exchange *exchange, struct str data)
{
	if (exchange->ended || exchange->body_told) {
		take_body(exchange, data.len);
		return;
	}
	buf_add(&exchange->body, data);
	/* A whole body is bounded by its own limit, so the sender may go on. */
	if (exchange->body_mode == BODY_WHOLE)
		take_body(exchange, data.len);
	if (exchange->body_mode == BODY_STREAMED || exchange->body.len > exchange->body_limit)
		body_soon(exchange);
}

void exchange_body_end(struct exchange *exchange)
{
	exchange->body_complete = true;
	body_soon(exchange);
}

void exchange_body_failed(struct exchange *exchange, struct error *err)
{
	if (exchange->body_error != NULL || exchange->body_complete) {
		error_free(err);
		return;
	}
	exchange->body_error = err;
	body_soon(exchange);
}

size_t exchange_body_waiting(const struct exchange *exchange)
{
	return exchange->body_mode == BODY_WHOLE ? 0 : exchange->body.len;
}

static void tell_whole(struct exchange *exchange, struct error *err)
{
	struct str body = buf_str(&exchange->body);
	struct str encoding = http_header(&exchange->request.headers, "content-encoding");
	struct buf unpacked = { 0 };

	exchange->body_told = true;
	if (err == NULL && text_same(encoding, "gzip")) {
		err = gzip_unpack(&unpacked, body, exchange->body_limit);
		arena_defer(exchange->request.arena, free, unpacked.ptr);
		body = buf_str(&unpacked);
	} else if (exchange->body.ptr != NULL) {
		/* Moved, not copied; NUL-terminated as a courtesy. */
		buf_cstr(&exchange->body);
		body = buf_str(&exchange->body);
		arena_defer(exchange->request.arena, free, exchange->body.ptr);
		exchange->body = (struct buf){ 0 };
	}
	exchange->body_whole(exchange->body_arg, err, err == NULL ? body : STR(""));
}

static void tell_streamed(struct exchange *exchange)
{
	struct buf body = exchange->body;

	if (body.len > 0) {
		exchange->body = (struct buf){ 0 };
		take_body(exchange, body.len);
		if (exchange->body_complete || exchange->body_error != NULL)
			body_soon(exchange); /* the end, after this */
		exchange->body_data(exchange->body_arg, NULL, buf_str(&body));
		buf_fini(&body);
		return;
	}
	if (exchange->body_complete || exchange->body_error != NULL) {
		struct error *err = exchange->body_error;

		exchange->body_error = NULL;
		exchange->body_told = true;
		exchange->body_data(exchange->body_arg, err, STR(""));
	}
}

static void on_tell_body(void *arg)
{
	struct exchange *exchange = arg;
	struct error *err = exchange->body_error;

	if (exchange->body_mode == BODY_STREAMED) {
		if (!exchange->body_paused)
			tell_streamed(exchange);
		return;
	}
	exchange->body_error = NULL;
	if (err == NULL &&
	    (exchange->body.len > exchange->body_limit || exchange->request.content_length > (int64_t)exchange->body_limit))
		err = error_new(ERR_TOO_LARGE, "limit is %zu", exchange->body_limit);
	if (err != NULL || exchange->body_complete)
		tell_whole(exchange, err);
}

static void ask_body(struct exchange *exchange, enum body_mode mode, void *arg)
{
	ASSERT_ON_LOOP();
	ASSERT(exchange->body_mode == BODY_UNASKED && !exchange->ended);
	exchange->body_mode = mode;
	exchange->body_arg = arg;
	if (exchange->ops != NULL)
		exchange->ops->wants_body(exchange);
	if (mode == BODY_WHOLE)
		take_body(exchange, exchange->body.len);
	body_soon(exchange);
}

void http_body(struct http_request *request, size_t limit, void (*whole)(void *arg, struct error *err, struct str body), void *arg)
{
	struct exchange *exchange = exchange_of(request);

	exchange->body_limit = limit;
	exchange->body_whole = whole;
	ask_body(exchange, BODY_WHOLE, arg);
}

void http_body_stream(struct http_request *request, void (*data)(void *arg, struct error *err, struct str data), void *arg)
{
	struct exchange *exchange = exchange_of(request);

	exchange->body_data = data;
	ask_body(exchange, BODY_STREAMED, arg);
}

void http_body_pause(struct http_request *request)
{
	exchange_of(request)->body_paused = true;
}

void http_body_resume(struct http_request *request)
{
	struct exchange *exchange = exchange_of(request);

	exchange->body_paused = false;
	body_soon(exchange);
}

/* --- the answer --- */

static bool has_no_body(const struct exchange *exchange, int status)
{
	return exchange->bodiless || status == 204 || status == 304 || status < 200;
}

static void reply_with(struct exchange *exchange, int status, struct http_headers headers, struct str body, struct bytes *owner)
{
	bool silent = has_no_body(exchange, status);
	const struct carrier_ops *ops = exchange->ops;

	ASSERT_ON_LOOP();
	ASSERT(!exchange->started);
	exchange->started = true;
	if (ops != NULL && exchange->compress && !silent && body.len > LIMIT_PLAIN_REPLY) {
		handler_done(exchange);
		compress_whole(exchange, status, headers, body, owner);
		return;
	}
	if (ops != NULL) {
		int64_t length = status == 204 || status < 200 || (status == 304 && body.len == 0) ? -1 : (int64_t)body.len;

		ops->start(exchange, status, headers, length, silent || body.len == 0);
		if (!silent && body.len > 0)
			ops->write(exchange, body, owner);
		ops->end(exchange);
	}
	end_of_exchange(exchange);
}

void http_reply(struct http_request *request, int status, struct http_headers headers, struct str body)
{
	reply_with(exchange_of(request), status, headers, body, NULL);
}

void http_reply_bytes(struct http_request *request, int status, struct http_headers headers, struct bytes *body)
{
	reply_with(exchange_of(request), status, headers, bytes_str(body), body);
}

void http_reply_text(struct http_request *request, int status, struct str body)
{
	static const struct http_header text[] = {
		{ STR_INIT("content-type"), STR_INIT("text/plain; charset=utf-8") },
		{ STR_INIT("x-content-type-options"), STR_INIT("nosniff") },
	};

	http_reply(request, status, (struct http_headers){ text, 2 }, body);
}

void http_reply_start(struct http_request *request, int status, struct http_headers headers)
{
	struct exchange *exchange = exchange_of(request);

	ASSERT_ON_LOOP();
	ASSERT(!exchange->started && !exchange->ended);
	exchange->started = true;
	exchange->bodiless = has_no_body(exchange, status);
	if (exchange->compress && !exchange->bodiless) {
		exchange->packer = gzip_stream_new();
		headers = compress_headers(exchange, headers);
	}
	if (exchange->ops != NULL)
		exchange->ops->start(exchange, status, headers, -1, false);
}

static void write_with(struct exchange *exchange, struct str data, struct bytes *owner)
{
	ASSERT_ON_LOOP();
	ASSERT(exchange->started && !exchange->ended);
	if (exchange->ops == NULL || exchange->bodiless || data.len == 0)
		return;
	if (exchange->packer != NULL) {
		AUTO_BUF struct buf packed = { 0 };

		gzip_stream_add(exchange->packer, &packed, data);
		if (packed.len > 0)
			exchange->ops->write(exchange, buf_str(&packed), NULL);
	} else {
		exchange->ops->write(exchange, data, owner);
	}
	if (exchange->ops != NULL && exchange->ops->pending(exchange) >= LIMIT_STREAM_BUFFER)
		exchange->full = true;
}

void http_reply_write(struct http_request *request, struct str data)
{
	write_with(exchange_of(request), data, NULL);
}

void http_reply_write_bytes(struct http_request *request, struct bytes *bytes)
{
	write_with(exchange_of(request), bytes_str(bytes), bytes);
}

void http_reply_write_part(struct http_request *request, struct bytes *bytes, struct str part)
{
	write_with(exchange_of(request), part, bytes);
}

bool http_reply_started(const struct http_request *request)
{
	return exchange_of(request)->started;
}

size_t http_reply_pending(const struct http_request *request)
{
	const struct exchange *exchange = exchange_of(request);

	return exchange->ops != NULL && exchange->started ? exchange->ops->pending(exchange) : 0;
}

bool http_reply_full(const struct http_request *request)
{
	return exchange_of(request)->full;
}

void http_reply_end(struct http_request *request)
{
	struct exchange *exchange = exchange_of(request);

	ASSERT_ON_LOOP();
	ASSERT(exchange->started);
	if (exchange->ops != NULL && exchange->packer != NULL) {
		AUTO_BUF struct buf packed = { 0 };

		gzip_stream_end(exchange->packer, &packed);
		exchange->ops->write(exchange, buf_str(&packed), NULL);
	}
	if (exchange->ops != NULL)
		exchange->ops->end(exchange);
	end_of_exchange(exchange);
}

void http_reply_abort(struct http_request *request)
{
	struct exchange *exchange = exchange_of(request);

	ASSERT_ON_LOOP();
	if (exchange->ops != NULL)
		exchange->ops->abort(exchange);
	end_of_exchange(exchange);
}

struct error *http_upgrade(struct http_request *request, struct http_headers headers, struct stream **stream, struct buf *leftover)
{
	struct exchange *exchange = exchange_of(request);
	struct error *err;

	ASSERT_ON_LOOP();
	ASSERT(!exchange->started);
	if (exchange->ops == NULL)
		return error_new(ERR_CANCELED, "the client went away");
	if (exchange->ops->upgrade == NULL || !request->wants_upgrade)
		return error_new(ERR_BAD_REQUEST, "an upgrade needs HTTP/1.1 with Connection: Upgrade");
	err = exchange->ops->upgrade(exchange, headers, stream, leftover);
	if (err == NULL)
		end_of_exchange(exchange);
	return err;
}
