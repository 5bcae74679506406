/*
 * HTTP/2 for the server, on nghttp2. Its callbacks only collect and tell exchanges; frames go out from flush(), which
 * stops while the connection's stream is full, so that one connection holds at most STREAM_HIGH of framed data and each
 * request at most what its handler wrote (LIMIT_STREAM_BUFFER).
 *
 * Bodies are sent without being copied: a frame's header, then parts of the handler's refcounted bytes.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/private.h"

#define STREAM_WINDOW     (256 * 1024) /* of a request's body, until somebody reads it */
#define CONNECTION_WINDOW (1024 * 1024)
/* Requests that were started and not ended by their handlers, whether their streams still live or were reset. */
#define MOST_EXCHANGES (2 * LIMIT_STREAMS)
/* Frames that cost us more than the client: so many at once, then so many a second. */
#define CHEAP_BURST  500 /* nghttp2 itself gives up at 1000 resets, with a less telling code */
#define CHEAP_RATE   100
#define UPDATES_MOST 100000

struct chunk {
	struct bytes *bytes;
	struct str data;
};

struct h2;

struct h2_stream {
	struct list link; /* in h2.streams */
	struct h2 *h2;
	int32_t id;
	struct exchange *exchange; /* until its handler ended it */
	struct arena *arena;       /* until it moves to the exchange */
	struct str method, path, authority, scheme;
	VEC(struct http_header) headers;
	size_t header_bytes;
	bool too_large;
	bool dispatched;
	bool input_ended;
	VEC(struct chunk) out;
	size_t sent; /* chunks of out that are done */
	size_t out_len;
	bool out_ended;
};

struct h2 {
	struct conn conn;
	nghttp2_session *session;
	struct list streams;
	unsigned n_streams;
	bool dead;
	bool closing;        /* GOAWAY was sent */
	int64_t cheap_since; /* mono */
	int64_t cheap;       /* tokens */
	int64_t updates;     /* WINDOW_UPDATEs that what we sent calls for */
	struct loop_call flush;
	struct loop_call bury;
};

static void on_flush(void *arg);
static const struct carrier_ops h2_ops;

static void flush_soon(struct h2 *h2)
{
	if (!h2->dead)
		loop_call_soon(&h2->flush, on_flush, h2);
}

/* --- streams --- */

static void stream_free(struct h2_stream *stream)
{
	list_remove(&stream->link);
	stream->h2->n_streams--;
	for (size_t i = stream->sent; i < stream->out.len; i++)
		bytes_unref(stream->out.ptr[i].bytes);
	vec_fini(&stream->out);
	vec_fini(&stream->headers);
	arena_free(stream->arena);
	free(stream);
}

static void h2_free(void *arg)
{
	struct h2 *h2 = arg;

	nghttp2_session_del(h2->session);
	LIST_EACH (&h2->streams, struct h2_stream, link, stream)
		stream_free(stream);
	conn_fini(&h2->conn);
	free(h2);
}

static void die(struct h2 *h2)
{
	if (h2->dead)
		return;
	h2->dead = true;
	h2->conn.stream = NULL;
	loop_timer_stop(&h2->conn.timer);
	loop_call_cancel(&h2->flush);
	LIST_EACH (&h2->streams, struct h2_stream, link, stream) {
		struct exchange *exchange = stream->exchange;

		stream->exchange = NULL;
		if (exchange != NULL)
			exchange_closed(exchange);
	}
	loop_call_soon(&h2->bury, h2_free, h2);
}

static void h2_destroy(struct conn *conn)
{
	struct h2 *h2 = CONTAINER_OF(conn, struct h2, conn);

	if (h2->dead)
		return;
	stream_close(conn->stream);
	die(h2);
}

static void h2_shutdown(struct conn *conn)
{
	struct h2 *h2 = CONTAINER_OF(conn, struct h2, conn);

	if (h2->dead || h2->closing)
		return;
	h2->closing = true;
	nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->session),
			      NGHTTP2_NO_ERROR, NULL, 0);
	flush_soon(h2);
}

static const struct conn_ops h2_conn_ops = { h2_shutdown, h2_destroy };

static void on_idle(void *arg)
{
	struct h2 *h2 = arg;

	h2_shutdown(&h2->conn);
}

static void watch_idle(struct h2 *h2)
{
	if (h2->n_streams == 0)
		loop_timer_start(&h2->conn.timer, h2->conn.server->options.idle, on_idle, h2);
	else
		loop_timer_stop(&h2->conn.timer);
}

/* The client is up to no good: tell it so, and go. */
static void calm(struct h2 *h2)
{
	if (h2->dead || h2->closing)
		return;
	h2->closing = true;
	h2->conn.server->stats.refused++;
	nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
	flush_soon(h2);
}

/* A token bucket over what is cheap to send and not cheap to receive (CVE-2019-9512 and its kin, CVE-2023-44487). */
static void charge(struct h2 *h2)
{
	int64_t now = clock_mono(), earned = (now - h2->cheap_since) / (NS_PER_S / CHEAP_RATE);

	if (earned > 0) {
		h2->cheap = h2->cheap + earned > CHEAP_BURST ? CHEAP_BURST : h2->cheap + earned;
		h2->cheap_since = now;
	}
	if (h2->cheap-- <= 0)
		calm(h2);
}

/* --- what comes in --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *stream;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	stream = xcalloc(1, sizeof(*stream));
	stream->h2 = h2;
	stream->id = frame->hd.stream_id;
	stream->arena = arena_new();
	list_push(&h2->streams, &stream->link);
	h2->n_streams++;
	watch_idle(h2);
	nghttp2_session_set_stream_user_data(session, stream->id, stream);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct str n = str_of((const char *)name, name_len), v = str_of((const char *)value, value_len);

	(void)flags;
	(void)arg;
	if (stream == NULL || stream->dispatched) /* trailers are dropped */
		return 0;
	stream->header_bytes += name_len + value_len + 32;
	if (stream->header_bytes > LIMIT_HEADERS || stream->headers.len >= LIMIT_HEADER_COUNT ||
	    (str_is(n, ":path") && value_len > LIMIT_URL)) {
		stream->too_large = true;
		return 0;
	}
	v = str_dup(stream->arena, v);
	if (str_is(n, ":method"))
		stream->method = v;
	else if (str_is(n, ":path"))
		stream->path = v;
	else if (str_is(n, ":authority"))
		stream->authority = v;
	else if (str_is(n, ":scheme"))
		stream->scheme = v;
	else if (str_is(n, "cookie") || name_len == 0 || n.ptr[0] != ':')
		vec_push(&stream->headers, (struct http_header){ str_dup(stream->arena, n), v });
	return 0;
}

static void reject(struct h2_stream *stream, const char *status)
{
	nghttp2_nv header = { (uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t)status, 7, 3, NGHTTP2_NV_FLAG_NONE };

	stream->h2->conn.server->stats.refused++;
	stream->dispatched = true;
	stream->out_ended = true;
	nghttp2_submit_response(stream->h2->session, stream->id, &header, 1, NULL);
	flush_soon(stream->h2);
}

static void dispatch(struct h2_stream *stream)
{
	struct h2 *h2 = stream->h2;
	struct http_headers headers = { stream->headers.ptr, stream->headers.len };
	struct str length = http_header(&headers, "content-length"), unescaped;
	struct http_header *copy = ARENA_ARRAY(stream->arena, struct http_header, stream->headers.len + 1);
	struct exchange_new from = { .server = h2->conn.server,
				     .peer = h2->conn.peer,
				     .ops = &h2_ops,
				     .carrier = stream,
				     .arena = stream->arena,
				     .method = stream->method,
				     .target = stream->path,
				     .host = stream->authority,
				     .headers = copy,
				     .n_headers = stream->headers.len,
				     .content_length = stream->input_ended ? 0 : -1,
				     .version = 2 };

	if (stream->too_large) {
		reject(stream, "431");
		return;
	}
	if (str_is(stream->method, "CONNECT") || stream->path.len == 0 ||
	    !http_unescape(stream->arena, stream->path, false, &unescaped)) {
		reject(stream, "400");
		return;
	}
	if (h2->conn.peer->n_exchanges >= MOST_EXCHANGES || h2->closing) {
		/* Resetting a stream does not end what it started: that is the point of a rapid reset. */
		nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_REFUSED_STREAM);
		charge(h2);
		flush_soon(h2);
		return;
	}
	if (headers.n > 0)
		memcpy(copy, headers.ptr, headers.n * sizeof(*copy));
	if (from.host.len == 0)
		from.host = http_header(&headers, "host");
	if (length.len > 0 && !str_to_i64(length, &from.content_length))
		from.content_length = -1;
	stream->dispatched = true;
	stream->arena = NULL;
	stream->exchange = exchange_new(&from);
	if (stream->input_ended)
		exchange_body_end(stream->exchange);
	exchange_dispatch(stream->exchange);
}

/* Frames of types that nobody knows are passed over, as they must be, and counted: there is grease, but not much of it. */
static int on_unknown_frame(nghttp2_session *session, void **payload, const nghttp2_frame_hd *head, void *arg)
{
	(void)session;
	(void)payload;
	(void)head;
	charge(arg);
	return NGHTTP2_ERR_CANCEL; /* goes no further */
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	switch (frame->hd.type) {
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
			charge(h2);
		break;
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_PRIORITY:
		charge(h2);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (h2->updates-- <= 0) {
			h2->updates = 0;
			charge(h2);
		}
		break;
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		if (frame->hd.length == 0 && !end)
			charge(h2);
		if (stream == NULL || h2->dead)
			break;
		if (end)
			stream->input_ended = true;
		if (!stream->dispatched && frame->hd.type == NGHTTP2_HEADERS)
			dispatch(stream);
		else if (end && stream->exchange != NULL)
			exchange_body_end(stream->exchange);
		break;
	default:
		break;
	}
	return 0;
}

/* DATA frames arrive here in pieces; the windows open again as somebody takes them. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, id);

	(void)flags;
	(void)arg;
	if (stream != NULL && stream->exchange != NULL)
		exchange_body(stream->exchange, str_of((const char *)data, len));
	else
		nghttp2_session_consume(session, id, len);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2 *h2 = arg;
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
	struct exchange *exchange;

	(void)code;
	if (stream == NULL)
		return 0;
	exchange = stream->exchange;
	stream->exchange = NULL;
	if (exchange != NULL) {
		/* What nobody will read must not stay in the connection's window. */
		nghttp2_session_consume_connection(session, exchange_body_waiting(exchange));
		exchange_closed(exchange);
	}
	stream_free(stream);
	watch_idle(h2);
	return 0;
}

/* --- what goes out --- */

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags, void *arg)
{
	struct h2 *h2 = arg;

	(void)session;
	(void)flags;
	if (stream_pending(h2->conn.stream) >= STREAM_HIGH)
		return NGHTTP2_ERR_WOULDBLOCK;
	stream_write(h2->conn.stream, str_of((const char *)data, len));
	return (ssize_t)len;
}

static ssize_t on_body_wanted(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
			      nghttp2_data_source *source, void *arg)
{
	struct h2_stream *stream = source->ptr;
	size_t n = stream->out_len < len ? stream->out_len : len;

	(void)session;
	(void)id;
	(void)buf;
	(void)arg;
	if (n == 0 && !stream->out_ended)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n == stream->out_len && stream->out_ended)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
			nghttp2_data_source *source, void *arg)
{
	struct h2_stream *stream = source->ptr;
	struct h2 *h2 = arg;

	(void)session;
	(void)frame; /* no padding is ever asked for */
	if (stream_pending(h2->conn.stream) >= STREAM_HIGH)
		return NGHTTP2_ERR_WOULDBLOCK;
	stream_write(h2->conn.stream, str_of((const char *)head, 9));
	/* More than any client sends: Go's sends two for 4 kB, some send two for each frame. */
	if (h2->updates < UPDATES_MOST)
		h2->updates += 4 + (int64_t)(len / 1024);
	stream->out_len -= len;
	while (len > 0) {
		struct chunk *chunk = &stream->out.ptr[stream->sent];
		struct str part = str_head(chunk->data, len);

		stream_write_part(h2->conn.stream, chunk->bytes, part);
		chunk->data = str_skip(chunk->data, part.len);
		len -= part.len;
		if (chunk->data.len == 0) {
			bytes_unref(chunk->bytes);
			stream->sent++;
		}
	}
	if (stream->sent == stream->out.len) {
		vec_clear(&stream->out);
		stream->sent = 0;
	} else if (stream->sent > 64 && stream->sent > stream->out.len / 2) {
		stream->out.len -= stream->sent;
		memmove(stream->out.ptr, stream->out.ptr + stream->sent, sizeof(struct chunk) * stream->out.len);
		stream->sent = 0;
	}
	if (stream->exchange != NULL)
		exchange_drained(stream->exchange);
	return 0;
}

static void on_flush(void *arg)
{
	struct h2 *h2 = arg;

	if (h2->dead)
		return;
	if (nghttp2_session_send(h2->session) != 0) {
		h2_destroy(&h2->conn);
		return;
	}
	if ((!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session)) ||
	    (h2->closing && h2->n_streams == 0)) {
		stream_finish(h2->conn.stream);
		die(h2);
	}
}

/* --- the stream's events --- */

static void on_read(void *arg, struct str data)
{
	struct h2 *h2 = arg;
	ssize_t n = nghttp2_session_mem_recv(h2->session, (const uint8_t *)data.ptr, data.len);

	if (h2->dead)
		return;
	if (n < 0) {
		h2->conn.server->stats.refused++;
		/* Flooded, or no HTTP/2 at all. What nghttp2 has to say about it goes out first. */
		nghttp2_session_send(h2->session);
		stream_finish(h2->conn.stream);
		die(h2);
		return;
	}
	flush_soon(h2);
}

static void on_ended(void *arg)
{
	struct h2 *h2 = arg;

	stream_finish(h2->conn.stream);
	die(h2);
}

static void on_failed(void *arg, struct error *err)
{
	struct h2 *h2 = arg;

	error_free(err);
	h2_destroy(&h2->conn);
}

static void on_drained(void *arg)
{
	flush_soon(arg);
}

static const struct stream_events h2_events = { on_read, on_ended, on_failed, on_drained };

/* --- answers --- */

static struct h2_stream *stream_of(const struct exchange *exchange)
{
	return exchange->carrier;
}

static nghttp2_nv nv(struct str name, struct str value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.ptr, (uint8_t *)(uintptr_t)(value.len > 0 ? value.ptr : ""), name.len,
			     value.len, NGHTTP2_NV_FLAG_NONE };
}

static void h2_start(struct exchange *exchange, int status, struct http_headers headers, int64_t length, bool end)
{
	struct h2_stream *stream = stream_of(exchange);
	struct arena *arena = arena_new();
	nghttp2_nv *list = ARENA_ARRAY(arena, nghttp2_nv, headers.n + 3);
	nghttp2_data_provider body = { .source.ptr = stream, .read_callback = on_body_wanted };
	size_t n = 0;

	list[n++] = nv(STR(":status"), str_format(arena, "%d", status));
	for (size_t i = 0; i < headers.n; i++) {
		ASSERT(text_is_token(headers.ptr[i].name) && text_is_value(headers.ptr[i].value));
		list[n++] = nv(str_lower(arena, headers.ptr[i].name), headers.ptr[i].value);
	}
	list[n++] = nv(STR("date"), date_now());
	if (length >= 0)
		list[n++] = nv(STR("content-length"), str_format(arena, "%lld", (long long)length));
	if (end)
		stream->out_ended = true;
	nghttp2_submit_response(stream->h2->session, stream->id, list, n, end ? NULL : &body);
	arena_free(arena);
	flush_soon(stream->h2);
}

static void h2_write(struct exchange *exchange, struct str data, struct bytes *owner)
{
	struct h2_stream *stream = stream_of(exchange);
	struct chunk chunk = { owner != NULL ? bytes_ref(owner) : bytes_new(data), data };

	if (owner == NULL)
		chunk.data = bytes_str(chunk.bytes);
	vec_push(&stream->out, chunk);
	stream->out_len += data.len;
	nghttp2_session_resume_data(stream->h2->session, stream->id);
	flush_soon(stream->h2);
}

/* The client may still be sending a body that nobody will read. */
static void stop_input(struct h2_stream *stream)
{
	size_t waiting = exchange_body_waiting(stream->exchange);

	if (waiting > 0)
		nghttp2_session_consume(stream->h2->session, stream->id, waiting);
}

static void h2_end(struct exchange *exchange)
{
	struct h2_stream *stream = stream_of(exchange);

	stop_input(stream);
	stream->exchange = NULL;
	if (!stream->out_ended) {
		stream->out_ended = true;
		nghttp2_session_resume_data(stream->h2->session, stream->id);
	}
	flush_soon(stream->h2);
}

static void h2_abort(struct exchange *exchange)
{
	struct h2_stream *stream = stream_of(exchange);

	stop_input(stream);
	stream->exchange = NULL;
	nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
	flush_soon(stream->h2);
}

static size_t h2_pending(const struct exchange *exchange)
{
	return stream_of(exchange)->out_len;
}

static void h2_wants_body(struct exchange *exchange)
{
	struct h2_stream *stream = stream_of(exchange);
	nghttp2_nv status = nv(STR(":status"), STR("100"));

	if (!stream->input_ended && text_same(http_header(&exchange->request.headers, "expect"), "100-continue")) {
		nghttp2_submit_headers(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1, NULL);
		flush_soon(stream->h2);
	}
}

static void h2_body_taken(struct exchange *exchange, size_t n)
{
	struct h2_stream *stream = stream_of(exchange);

	nghttp2_session_consume(stream->h2->session, stream->id, n);
	flush_soon(stream->h2);
}

static const struct carrier_ops h2_ops = { h2_start, h2_write, h2_end, h2_abort, h2_pending, h2_wants_body, h2_body_taken, NULL };

/* After an answer that came before the whole body, the stream is half closed on our side: the client learns to stop. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)arg;
	if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && stream != NULL && !stream->input_ended)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static nghttp2_session *session_new(struct h2 *h2)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	nghttp2_session *session;

	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_outbound_ack(option, 200);
	nghttp2_option_set_max_settings(option, 32);
	nghttp2_option_set_no_closed_streams(option, 1);
	for (int type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
	nghttp2_session_server_new2(&session, callbacks, h2, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

void h2_serve(struct http_server *server, struct stream *stream, struct peer *peer, struct str early)
{
	static const nghttp2_settings_entry ours[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_STREAMS },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEADERS },
	};
	struct h2 *h2 = xcalloc(1, sizeof(*h2));

	conn_init(&h2->conn, server, stream, peer, &h2_conn_ops);
	list_init(&h2->streams);
	h2->cheap = CHEAP_BURST;
	h2->cheap_since = clock_mono();
	h2->session = session_new(h2);
	nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, ours, sizeof(ours) / sizeof(ours[0]));
	nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
	watch_idle(h2);
	if (stream->events == NULL)
		stream_start(stream, &h2_events, h2);
	else
		stream_hand_over(stream, &h2_events, h2);
	if (early.len > 0)
		on_read(h2, early);
	flush_soon(h2);
}
