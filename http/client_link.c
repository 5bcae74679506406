/* A connection of the client: what comes is parsed into its call; between calls it is kept for the next. */
#include <stdlib.h>

#include "http/client.h"

static void link_free(void *arg)
{
	struct link_conn *conn = arg;

	buf_fini(&conn->in);
	buf_fini(&conn->name);
	buf_fini(&conn->value);
	vec_fini(&conn->headers);
	free(conn);
}

/* The stream is already closed or given away. */
static void link_die(struct link_conn *conn)
{
	if (conn->dead)
		return;
	conn->dead = true;
	conn->call = NULL;
	conn->stream = NULL;
	list_remove(&conn->link);
	conn->client->n_links--;
	loop_timer_stop(&conn->idle);
	loop_call_cancel(&conn->process);
	loop_soon(link_free, conn);
}

void client_link_close(struct link_conn *conn)
{
	if (conn->dead)
		return;
	stream_close(conn->stream);
	link_die(conn);
}

/* --- the parser's callbacks --- */

static struct link_conn *link_of(http_parser *parser)
{
	return parser->data;
}

static int on_message_begin(http_parser *parser)
{
	struct link_conn *conn = link_of(parser);

	conn->header_bytes = 0;
	conn->informational = false;
	vec_clear(&conn->headers);
	return 0;
}

static void header_ended(struct link_conn *conn)
{
	struct arena *arena = conn->call->arena;

	if (!conn->in_value)
		return;
	conn->in_value = false;
	vec_push(&conn->headers,
		 (struct http_header){ str_lower(arena, buf_str(&conn->name)), str_dup(arena, str_trim(buf_str(&conn->value))) });
	buf_clear(&conn->name);
	buf_clear(&conn->value);
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
	struct link_conn *conn = link_of(parser);

	if (conn->call == NULL || conn->call->responded)
		return 0; /* a trailer */
	header_ended(conn);
	buf_append(&conn->name, at, len);
	conn->header_bytes += len;
	return conn->header_bytes > LIMIT_HEADERS || conn->headers.len > LIMIT_HEADER_COUNT ? -1 : 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
	struct link_conn *conn = link_of(parser);

	if (conn->call == NULL || conn->call->responded)
		return 0;
	conn->in_value = true;
	buf_append(&conn->value, at, len);
	conn->header_bytes += len;
	return conn->header_bytes > LIMIT_HEADERS ? -1 : 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct link_conn *conn = link_of(parser);
	struct http_call *call = conn->call;
	struct http_header *copy;

	if (call == NULL)
		return -1;
	header_ended(conn);
	if (parser->status_code < 200 && parser->status_code != 101) {
		conn->informational = true;
		return 0;
	}
	copy = ARENA_ARRAY(call->arena, struct http_header, conn->headers.len + 1);
	if (conn->headers.len > 0)
		memcpy(copy, conn->headers.ptr, conn->headers.len * sizeof(*copy));
	call->response = (struct http_response){ parser->status_code, { copy, conn->headers.len }, 1 };
	call->responded = true;
	conn->keep = http_should_keep_alive(parser) != 0;
	loop_timer_stop(&call->timeout);
	if (parser->status_code != 101 && call->options.responded != NULL)
		call->options.responded(call->options.arg, call, &call->response);
	if (conn->dead)
		return -1;
	if (call->paused && !call->head_request)
		http_parser_pause(parser, 1);
	return call->head_request ? 1 : 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct link_conn *conn = link_of(parser);
	struct http_call *call = conn->call;

	if (call == NULL)
		return -1;
	if (call->options.data != NULL)
		call->options.data(call->options.arg, str_of(at, len));
	if (conn->dead)
		return -1;
	if (call->paused)
		http_parser_pause(parser, 1);
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct link_conn *conn = link_of(parser);

	if (conn->informational)
		return 0;
	conn->message_done = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_message_begin,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* --- links --- */

static void upgraded(struct link_conn *conn, struct str leftover)
{
	struct http_call *call = conn->call;
	struct stream *stream = conn->stream;

	if (call->options.upgraded == NULL) {
		call_ended(call, error_new(ERR_UNAVAILABLE, "the server switched protocols unasked"));
		return;
	}
	stream_pause(stream);
	link_die(conn);
	call->conn = NULL;
	call_detach(call);
	call->options.upgraded(call->options.arg, &call->response, stream, leftover);
}

static void on_idle(void *arg)
{
	client_link_close(arg);
}

static void answered(struct link_conn *conn)
{
	struct http_call *call = conn->call;
	struct http_client *client = conn->client;

	conn->message_done = false;
	conn->call = NULL;
	call->conn = NULL;
	if (!conn->keep || !call->input_done || client->options.no_reuse)
		client_link_close(conn);
	else
		loop_timer_start(&conn->idle, client->options.idle, on_idle, conn);
	call_ended(call, NULL);
}

static void broken(struct link_conn *conn, struct error *err)
{
	struct http_call *call = conn->call;

	if (call == NULL) {
		error_free(err);
		client_link_close(conn);
		return;
	}
	/* A kept connection that the server closed just as we used it: once more, on a new one. */
	if (conn->used && !conn->fresh_bytes && call->idempotent && !call->options.streams && !call->retried) {
		error_free(err);
		call->retried = true;
		call->conn = NULL;
		conn->call = NULL;
		client_link_close(conn);
		call_begin(call);
		return;
	}
	call_ended(call, err);
}

static void process(struct link_conn *conn, struct str fresh)
{
	struct buf in = conn->in;
	struct str rest = fresh;

	if (in.len > 0) {
		conn->in = (struct buf){ 0 };
		buf_add(&in, fresh);
		rest = buf_str(&in);
	}
	while (!conn->dead && rest.len > 0 && (conn->call == NULL || !conn->call->paused)) {
		size_t n;
		enum http_errno status;

		if (conn->call == NULL) {
			client_link_close(conn); /* it speaks unasked */
			break;
		}
		conn->fresh_bytes = true;
		n = http_parser_execute(&conn->parser, &settings, rest.ptr, rest.len);
		status = HTTP_PARSER_ERRNO(&conn->parser);
		if (conn->dead)
			break;
		rest = str_skip(rest, n);
		if (status == HPE_PAUSED) {
			http_parser_pause(&conn->parser, 0);
		} else if (status != HPE_OK) {
			broken(conn, error_new(ERR_UNAVAILABLE, "malformed response: %s", http_errno_description(status)));
			break;
		}
		if (conn->message_done && conn->call->response.status == 101)
			upgraded(conn, rest);
		else if (conn->message_done)
			answered(conn);
	}
	if (!conn->dead && rest.len > 0)
		buf_add(&conn->in, rest);
	else if (!conn->dead && (conn->call == NULL || !conn->call->paused))
		stream_resume(conn->stream);
	buf_fini(&in);
}

static void on_process(void *arg)
{
	process(arg, STR(""));
}

void client_link_resume(struct link_conn *conn)
{
	loop_call_soon(&conn->process, on_process, conn);
}

static void on_read(void *arg, struct str data)
{
	process(arg, data);
}

static void on_ended(void *arg)
{
	struct link_conn *conn = arg;

	if (conn->call != NULL && conn->call->responded) {
		/* A body without a length ends with the connection. */
		conn->keep = false;
		http_parser_execute(&conn->parser, &settings, NULL, 0);
		if (conn->dead)
			return;
		if (conn->message_done) {
			answered(conn);
			return;
		}
	}
	broken(conn, error_new(ERR_UNAVAILABLE, "unexpected EOF"));
}

static void on_failed(void *arg, struct error *err)
{
	broken(arg, err);
}

static void on_drained(void *arg)
{
	struct link_conn *conn = arg;

	if (conn->call != NULL && conn->call->options.drained != NULL)
		conn->call->options.drained(conn->call->options.arg);
}

static const struct stream_events link_events = { on_read, on_ended, on_failed, on_drained };

void client_link_send(struct link_conn *conn, struct http_call *call)
{
	loop_timer_stop(&conn->idle);
	conn->call = call;
	call->conn = conn;
	conn->fresh_bytes = false;
	conn->message_done = false;
	conn->in_value = false;
	buf_clear(&conn->name);
	buf_clear(&conn->value);
	http_parser_init(&conn->parser, HTTP_RESPONSE);
	conn->parser.data = conn;
	stream_write(conn->stream, buf_str(&call->head));
	if (call->early.len > 0)
		stream_write(conn->stream, buf_str(&call->early));
	buf_fini(&call->early);
}

void client_link_new(struct http_client *client, struct stream *stream, struct http_call *call)
{
	struct link_conn *conn = xcalloc(1, sizeof(*conn));

	conn->client = client;
	conn->stream = stream;
	list_push(&client->links, &conn->link);
	stream_start(stream, &link_events, conn);
	client_link_send(conn, call);
}
