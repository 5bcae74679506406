/*
 * The client: HTTP/1.1, connections kept for the next call.
 *
 *	call ── wants a connection ──▶ idle one, or dial (address or injected; then TLS) ──▶ link ── parser ──▶ call
 *
 * A link (client_link.c) carries one call at a time. A call ends in call_ended(), wherever it was; its memory goes on a
 * fresh stack, because callbacks may cancel it from inside the parser.
 */
#include <stdio.h>
#include <stdlib.h>

#include "http/client.h"

/* A connection being made. Lives on when its call is canceled, until the dialer answers. */
struct dial {
	struct http_call *call;     /* NULL: nobody waits any more */
	struct http_client *client; /* NULL with it */
	struct stream_connect *connect;
	struct stream *stream; /* in its handshake */
};

/* --- ends --- */

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
void call_detach(struct http_call *call)
{
	call->over = true;
	list_remove(&call->link);
	loop_timer_stop(&call->timeout);
	loop_timer_stop(&call->deadline);
	dial_drop(call);
	if (call->conn != NULL)
		client_link_close(call->conn);
	call->conn = NULL;
	loop_soon(call_free, call);
}

void call_ended(struct http_call *call, struct error *err)
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
	client_link_new(client, stream, call); /* counted already */
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

void call_begin(struct http_call *call)
{
	struct http_client *client = call->client;

	if (!call->retried)
		LIST_EACH (&client->links, struct link_conn, link, conn)
			if (conn->call == NULL) {
				conn->used = true;
				client_link_send(conn, call);
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
		client_link_resume(call->conn);
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
		client_link_close(conn);
	http_tls_unref(client->options.tls);
	free(client->host);
	free(client->path);
	free(client->server_name);
	free(client->host_header);
	free(client);
}
