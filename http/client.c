/*
 * The client: HTTP/1.1, connections kept for the next call.
 *
 *	call ── wants a connection ──▶ idle one, or dial (address or injected; then TLS) ──▶ link ── parser ──▶ call
 *
 * A link carries one call at a time. A call ends in call_ended(), wherever it was; its memory goes on a fresh stack,
 * because callbacks may cancel it from inside the parser.
 */
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/private.h"

struct dial;

struct link_conn {
	struct list link;           /* in client.links */
	struct http_client *client; /* NULL: the client is gone, and so is this, soon */
	struct stream *stream;
	struct http_call *call; /* NULL: idle */
	http_parser parser;
	struct buf in; /* came, not parsed: the call is paused */
	struct buf name, value;
	bool in_value;
	size_t header_bytes;
	VEC(struct http_header) headers;
	bool message_done;
	bool informational; /* the headers that come in are of a 1xx */
	bool used;          /* it has carried a call before */
	bool fresh_bytes;   /* of the current call's answer */
	bool keep;
	bool dead;
	struct loop_timer idle;
	struct loop_call process;
};

struct http_call {
	struct list link; /* in client.calls */
	struct http_client *client;
	struct http_call_options options;
	struct buf head;  /* request line, headers, and a body that is known */
	struct buf early; /* of a streamed body, before there is a connection */
	bool input_done;  /* the request is complete */
	bool chunked;     /* the request's body */
	bool head_request;
	bool idempotent;
	bool retried;
	bool responded;
	bool paused;
	bool waiting; /* for a connection to be free */
	bool over;
	struct dial *dial;
	struct link_conn *conn;
	struct arena *arena; /* of the response */
	struct http_response response;
	struct loop_timer timeout, deadline;
};

struct http_client {
	struct http_client_options options;
	char *host, *path, *server_name;
	char *host_header;
	struct list calls;
	struct list links;
	unsigned n_links; /* dials included */
};

/* A connection being made. Lives on when its call is canceled, until the dialer answers. */
struct dial {
	struct http_call *call;     /* NULL: nobody waits any more */
	struct http_client *client; /* NULL with it */
	struct stream_connect *connect;
	struct stream *stream; /* in its handshake */
};

static void call_begin(struct http_call *call);
static void on_process(void *arg);
static void link_send(struct link_conn *conn, struct http_call *call);

/* --- ends --- */

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

static void link_close(struct link_conn *conn)
{
	if (conn->dead)
		return;
	stream_close(conn->stream);
	link_die(conn);
}

static void dial_drop(struct http_call *call)
{
	struct dial *dial = call->dial;

	if (dial == NULL)
		return;
	call->dial = NULL;
	dial->call = NULL;
	dial->client->n_links--;
	dial->client = NULL;
	if (dial->connect != NULL) {
		stream_connect_cancel(dial->connect);
		free(dial);
	} else if (dial->stream != NULL) {
		stream_close(dial->stream);
		free(dial);
	}
}

static void call_free(void *arg)
{
	struct http_call *call = arg;

	buf_fini(&call->head);
	buf_fini(&call->early);
	arena_free(call->arena);
	free(call);
}

static void next_waiting(struct http_client *client)
{
	LIST_EACH (&client->calls, struct http_call, link, call)
		if (call->waiting) {
			call->waiting = false;
			call_begin(call);
			return;
		}
}

/* Off all lists and timers; nothing is told. */
static void call_detach(struct http_call *call)
{
	call->over = true;
	list_remove(&call->link);
	loop_timer_stop(&call->timeout);
	loop_timer_stop(&call->deadline);
	dial_drop(call);
	if (call->conn != NULL)
		link_close(call->conn);
	call->conn = NULL;
	loop_soon(call_free, call);
}

static void call_ended(struct http_call *call, struct error *err)
{
	struct http_client *client = call->client;

	if (call->over) {
		error_free(err);
		return;
	}
	call_detach(call);
	next_waiting(client);
	call->options.done(call->options.arg, err);
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
	link_close(arg);
}

static void answered(struct link_conn *conn)
{
	struct http_call *call = conn->call;
	struct http_client *client = conn->client;

	conn->message_done = false;
	conn->call = NULL;
	call->conn = NULL;
	if (!conn->keep || !call->input_done || client->options.no_reuse)
		link_close(conn);
	else
		loop_timer_start(&conn->idle, client->options.idle, on_idle, conn);
	call_ended(call, NULL);
}

static void broken(struct link_conn *conn, struct error *err)
{
	struct http_call *call = conn->call;

	if (call == NULL) {
		error_free(err);
		link_close(conn);
		return;
	}
	/* A kept connection that the server closed just as we used it: once more, on a new one. */
	if (conn->used && !conn->fresh_bytes && call->idempotent && !call->options.streams && !call->retried) {
		error_free(err);
		call->retried = true;
		call->conn = NULL;
		conn->call = NULL;
		link_close(conn);
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
			link_close(conn); /* it speaks unasked */
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

static void link_send(struct link_conn *conn, struct http_call *call)
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

static void link_new(struct http_client *client, struct stream *stream, struct http_call *call)
{
	struct link_conn *conn = xcalloc(1, sizeof(*conn));

	conn->client = client;
	conn->stream = stream;
	list_push(&client->links, &conn->link);
	stream_start(stream, &link_events, conn);
	link_send(conn, call);
}

/* --- dialing --- */

static void dial_failed(struct dial *dial, struct error *err)
{
	struct http_call *call = dial->call;

	call->dial = NULL;
	dial->client->n_links--;
	free(dial);
	call_ended(call, err);
}

static void dial_done(struct dial *dial, struct stream *stream)
{
	struct http_call *call = dial->call;
	struct http_client *client = dial->client;

	call->dial = NULL;
	free(dial);
	link_new(client, stream, call); /* counted already */
}

static void shaken(void *arg, struct error *err)
{
	struct dial *dial = arg;
	struct stream *stream = dial->stream;

	dial->stream = NULL;
	if (err == NULL) {
		dial_done(dial, stream);
		return;
	}
	stream_close(stream);
	dial_failed(dial, err);
}

static void connected(void *arg, struct error *err, struct stream *stream)
{
	struct dial *dial = arg;

	dial->connect = NULL;
	if (dial->call == NULL) {
		error_free(err);
		stream_close(stream);
		free(dial);
		return;
	}
	if (err != NULL)
		dial_failed(dial, err);
	else if (dial->client->options.tls != NULL)
		dial->stream = tls_stream(dial->client->options.tls, stream, dial->client->server_name, shaken, dial);
	else
		dial_done(dial, stream);
}

static void dial_begin(struct http_call *call)
{
	struct http_client *client = call->client;
	struct dial *dial = xcalloc(1, sizeof(*dial));

	dial->call = call;
	dial->client = client;
	call->dial = dial;
	client->n_links++;
	if (client->options.dial != NULL)
		client->options.dial(client->options.dial_arg, connected, dial);
	else
		dial->connect = stream_connect(&client->options.address, call->options.timeout, connected, dial);
}

static void call_begin(struct http_call *call)
{
	struct http_client *client = call->client;

	if (!call->retried)
		LIST_EACH (&client->links, struct link_conn, link, conn)
			if (conn->call == NULL) {
				conn->used = true;
				link_send(conn, call);
				return;
			}
	if (client->options.connections != 0 && client->n_links >= client->options.connections) {
		call->waiting = true;
		return;
	}
	dial_begin(call);
}

/* --- calls --- */

static void on_late(void *arg)
{
	struct http_call *call = arg;

	call_ended(call, error_new(ERR_TIMEOUT, "%s %s: no answer in time", call->options.method, call->client->host_header));
}

static void write_head(struct http_call *call)
{
	const struct http_call_options *options = &call->options;
	struct buf *out = &call->head;
	bool sized = false;

	buf_printf(out, "%s %.*s HTTP/1.1\r\n", options->method, STR_ARG(options->target));
	if (http_header(&options->headers, "host").len == 0)
		buf_printf(out, "Host: %s\r\n", call->client->host_header);
	for (size_t i = 0; i < options->headers.n; i++) {
		const struct http_header *header = &options->headers.ptr[i];

		ASSERT(text_is_token(header->name) && text_is_value(header->value));
		sized |= text_same(header->name, "content-length");
		buf_add(out, header->name);
		buf_add(out, STR(": "));
		buf_add(out, header->value);
		buf_add(out, STR("\r\n"));
	}
	call->chunked = options->streams && !sized;
	if (call->chunked)
		buf_add(out, STR("Transfer-Encoding: chunked\r\n"));
	else if (!options->streams && (options->body.len > 0 || !call->idempotent || strcmp(options->method, "PUT") == 0))
		buf_printf(out, "Content-Length: %zu\r\n", options->body.len);
	buf_add(out, STR("\r\n"));
	if (!options->streams)
		buf_add(out, options->body);
	/* What is known by now is all that is needed later. */
	call->options.headers = (struct http_headers){ NULL, 0 };
	call->options.body = call->options.target = STR("");
}

static const char *known_method(const char *method)
{
	/* Only for messages and for what may be repeated; a literal, so that it need not be copied. */
	static const char *const methods[] = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH" };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(method, methods[i]) == 0)
			return methods[i];
	return "request to";
}

struct http_call *http_call(struct http_client *client, const struct http_call_options *options)
{
	struct http_call *call = xcalloc(1, sizeof(*call));

	ASSERT_ON_LOOP();
	ASSERT(options->done != NULL);
	call->client = client;
	call->options = *options;
	if (options->method == NULL)
		call->options.method = "GET";
	call->arena = arena_new();
	call->head_request = strcmp(call->options.method, "HEAD") == 0;
	call->idempotent = call->head_request || strcmp(call->options.method, "GET") == 0 ||
			   strcmp(call->options.method, "PUT") == 0 || strcmp(call->options.method, "DELETE") == 0 ||
			   strcmp(call->options.method, "OPTIONS") == 0;
	call->input_done = !options->streams;
	write_head(call);
	call->options.method = known_method(call->options.method);
	list_push(&client->calls, &call->link);
	loop_timer_start(&call->timeout, options->timeout > 0 ? options->timeout : 30 * NS_PER_S, on_late, call);
	if (options->deadline > 0)
		loop_timer_start(&call->deadline, options->deadline, on_late, call);
	call_begin(call);
	return call;
}

void http_call_cancel(struct http_call *call)
{
	struct http_client *client = call->client;

	ASSERT_ON_LOOP();
	if (call->over)
		return;
	call_detach(call);
	next_waiting(client);
}

void http_call_pause(struct http_call *call)
{
	call->paused = true;
	if (call->conn != NULL)
		stream_pause(call->conn->stream);
}

void http_call_resume(struct http_call *call)
{
	call->paused = false;
	/* What came before the pause is parsed first; then the stream goes on. */
	if (call->conn != NULL)
		loop_call_soon(&call->conn->process, on_process, call->conn);
}

static void send_more(struct http_call *call, struct str data)
{
	if (call->conn != NULL)
		stream_write(call->conn->stream, data);
	else
		buf_add(&call->early, data);
}

void http_call_write(struct http_call *call, struct str data)
{
	AUTO_BUF struct buf size = { 0 };

	ASSERT(call->options.streams && !call->input_done);
	if (data.len == 0 || call->over)
		return;
	if (call->chunked) {
		buf_printf(&size, "%zx\r\n", data.len);
		send_more(call, buf_str(&size));
	}
	send_more(call, data);
	if (call->chunked)
		send_more(call, STR("\r\n"));
}

size_t http_call_pending(const struct http_call *call)
{
	return call->conn != NULL ? stream_pending(call->conn->stream) : call->early.len;
}

void http_call_end(struct http_call *call)
{
	ASSERT(call->options.streams && !call->input_done);
	call->input_done = true;
	if (!call->over && call->chunked)
		send_more(call, STR("0\r\n\r\n"));
}

/* --- the client --- */

struct http_client *http_client_new(const struct http_client_options *options)
{
	struct http_client *client = xcalloc(1, sizeof(*client));
	const struct stream_address *address = &options->address;

	ASSERT_ON_LOOP();
	client->options = *options;
	client->host = address->host != NULL ? xstrdup(address->host) : NULL;
	client->path = address->path != NULL ? xstrdup(address->path) : NULL;
	client->options.address.host = client->host;
	client->options.address.path = client->path;
	if (options->server_name != NULL)
		client->server_name = xstrdup(options->server_name);
	else if (client->host != NULL)
		client->server_name = xstrdup(client->host);
	if (options->tls != NULL)
		http_tls_ref(options->tls);
	if (client->server_name == NULL)
		client->host_header = xstrdup("localhost");
	else
		client->host_header = xasprintf(strchr(client->server_name, ':') != NULL ? "[%s]:%u" : "%s:%u", client->server_name,
						address->port);
	if (address->port == 0 && client->server_name != NULL) {
		free(client->host_header);
		client->host_header = xstrdup(client->server_name);
	}
	if (client->options.idle == 0)
		client->options.idle = 60 * NS_PER_S;
	list_init(&client->calls);
	list_init(&client->links);
	return client;
}

void http_client_free(struct http_client *client)
{
	struct http_call *call;

	ASSERT_ON_LOOP();
	while ((call = LIST_FIRST(&client->calls, struct http_call, link)) != NULL) {
		call->waiting = false;
		call_detach(call);
		call->options.done(call->options.arg, error_new(ERR_CANCELED, "the client was closed"));
	}
	LIST_EACH (&client->links, struct link_conn, link, conn)
		link_close(conn);
	http_tls_unref(client->options.tls);
	free(client->host);
	free(client->path);
	free(client->server_name);
	free(client->host_header);
	free(client);
}
