/*
 * HTTP/1.1 for the server. One request at a time per connection; what the client pipelines waits unparsed, at most
 * READ_AHEAD bytes of it.
 *
 * The parser's callbacks only collect. It is paused when headers are complete and when the message is, so that handlers
 * run after http_parser_execute() has returned.
 */
#include <stdlib.h>

#include "http/h1.h"

#define READ_AHEAD (64 * 1024)
#define DISCARD    (256 * 1024) /* of a body that nobody wanted, before the connection is given up instead */

static void process(struct h1 *h1);
static void on_process(void *arg);

static void h1_free(void *arg)
{
	struct h1 *h1 = arg;

	arena_free(h1->arena);
	buf_fini(&h1->in);
	buf_fini(&h1->target);
	buf_fini(&h1->name);
	buf_fini(&h1->value);
	vec_fini(&h1->headers);
	conn_fini(&h1->conn);
	free(h1);
}

/* The stream is already closed, finished or given away. */
void h1_die(struct h1 *h1)
{
	struct exchange *exchange = h1->exchange;

	if (h1->dead)
		return;
	h1->dead = true;
	h1->exchange = NULL;
	h1->conn.stream = NULL;
	loop_timer_stop(&h1->conn.timer);
	loop_call_cancel(&h1->process);
	if (exchange != NULL)
		exchange_closed(exchange);
	loop_call_soon(&h1->bury, h1_free, h1);
}

static void h1_destroy(struct conn *conn)
{
	struct h1 *h1 = CONTAINER_OF(conn, struct h1, conn);

	if (h1->dead)
		return;
	stream_close(conn->stream);
	h1_die(h1);
}

void h1_say_goodbye(struct h1 *h1)
{
	stream_finish(h1->conn.stream);
	h1_die(h1);
}

static void h1_shutdown(struct conn *conn)
{
	struct h1 *h1 = CONTAINER_OF(conn, struct h1, conn);

	h1->last = true;
	if (!h1->answering && !h1->dead)
		h1_say_goodbye(h1);
}

static const struct conn_ops h1_conn_ops = { h1_shutdown, h1_destroy };

/* Protocol errors are answered in plain text and end the connection: what follows cannot be trusted to be a request. */
static void refuse(struct h1 *h1, int status)
{
	AUTO_BUF struct buf out = { 0 };

	h1->conn.server->stats.refused++;
	if (!h1->answering) {
		const char *text = http_status_text(status);

		buf_printf(&out,
			   "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
			   "Content-Length: %zu\r\n\r\n%d %s",
			   status, text, strlen(text) + 4, status, text);
		stream_write(h1->conn.stream, buf_str(&out));
		h1_say_goodbye(h1);
	} else if (h1->exchange != NULL) {
		/* The body of a running request is broken. Its handler answers; then it is over. */
		h1->last = h1->broken = true;
		stream_pause(h1->conn.stream);
		exchange_body_failed(h1->exchange, error_new(ERR_BAD_REQUEST, "malformed request body"));
	} else {
		h1_destroy(&h1->conn);
	}
}

static void on_late(void *arg)
{
	struct h1 *h1 = arg;

	if (h1->answering && h1->exchange != NULL) {
		h1->last = true;
		exchange_body_failed(h1->exchange, error_new(ERR_TIMEOUT, "the request's body did not come in time"));
	} else if (h1->answering) {
		h1_destroy(&h1->conn);
	} else if (h1->arena != NULL) {
		refuse(h1, 408);
	} else {
		h1_say_goodbye(h1);
	}
}

/* --- the parser's callbacks --- */

static struct h1 *h1_of(http_parser *parser)
{
	return parser->data;
}

static int on_message_begin(http_parser *parser)
{
	struct h1 *h1 = h1_of(parser);

	/* From the first byte on, the headers have their time. */
	loop_timer_start(&h1->conn.timer, h1->conn.server->options.headers_within, on_late, h1);
	h1->arena = arena_new();
	h1->header_bytes = 0;
	h1->refuse = 0;
	return 0;
}

/* Refusing inside the parser: the error is ours, not one of its own. */
static int give_up(struct h1 *h1, int status)
{
	if (h1->refuse == 0)
		h1->refuse = status;
	return -1;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct h1 *h1 = h1_of(parser);

	buf_append(&h1->target, at, len);
	return h1->target.len > LIMIT_URL ? give_up(h1, 414) : 0;
}

static int header_ended(struct h1 *h1)
{
	struct str name = buf_str(&h1->name), value = str_trim(buf_str(&h1->value));

	if (!h1->in_value)
		return 0;
	h1->in_value = false;
	if (!text_is_token(name) || !text_is_value(value))
		return give_up(h1, 400);
	if (h1->headers.len >= LIMIT_HEADER_COUNT)
		return give_up(h1, 431);
	vec_push(&h1->headers, (struct http_header){ str_lower(h1->arena, name), str_dup(h1->arena, value) });
	buf_clear(&h1->name);
	buf_clear(&h1->value);
	return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
	struct h1 *h1 = h1_of(parser);
	int status = header_ended(h1);

	if (status != 0)
		return status;
	if (h1->headers_done || h1->body_pending) /* trailers are dropped */
		return 0;
	buf_append(&h1->name, at, len);
	h1->header_bytes += len;
	return h1->header_bytes > LIMIT_HEADERS ? give_up(h1, 431) : 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
	struct h1 *h1 = h1_of(parser);

	if (h1->body_pending)
		return 0;
	h1->in_value = true;
	buf_append(&h1->value, at, len);
	h1->header_bytes += len;
	return h1->header_bytes > LIMIT_HEADERS ? give_up(h1, 431) : 0;
}

/* What two parsers could read in two ways is refused: RFC 9112, 6.1 and 6.3. */
static int check_framing(struct h1 *h1)
{
	const http_parser *parser = &h1->parser;
	size_t lengths = 0, codings = 0, hosts = 0;

	for (size_t i = 0; i < h1->headers.len; i++) {
		const struct http_header *header = &h1->headers.ptr[i];

		if (str_is(header->name, "content-length"))
			lengths++;
		else if (str_is(header->name, "host"))
			hosts++;
		else if (str_is(header->name, "transfer-encoding")) {
			codings++;
			if (!text_same(header->value, "chunked"))
				/* A coding that we lack before the right end; or an end that nobody can find. */
				return give_up(h1, str_has_suffix(header->value, STR(", chunked")) ? 501 : 400);
		}
	}
	if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0) || hosts > 1)
		return give_up(h1, 400);
	/* The parser must have understood what we did: it trims less, and "\vchunked" is no coding to it. */
	if ((codings > 0) != ((parser->flags & F_CHUNKED) != 0) || (lengths > 0) != ((parser->flags & F_CONTENTLENGTH) != 0))
		return give_up(h1, 400);
	if (parser->http_major != 1 || parser->http_minor > 1)
		return give_up(h1, 505);
	if (parser->http_minor == 1 ? hosts == 0 : codings > 0)
		return give_up(h1, 400);
	return 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct h1 *h1 = h1_of(parser);
	int status = header_ended(h1);

	if (status == 0)
		status = check_framing(h1);
	if (status != 0)
		return status;
	h1->headers_done = true;
	h1->body_pending = true;
	http_parser_pause(parser, 1);
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct h1 *h1 = h1_of(parser);

	if (h1->exchange != NULL)
		exchange_body(h1->exchange, str_of(at, len));
	else
		h1->discarded += len;
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct h1 *h1 = h1_of(parser);

	h1->message_done = true;
	h1->in_value = false;
	http_parser_pause(parser, 1);
	return 0;
}

/* Here, too, the parser pauses, so that what one call took is either data or what frames it. */
static int on_chunk_header(http_parser *parser)
{
	struct h1 *h1 = parser->data;

	h1->framing = parser->content_length == 0; /* trailers */
	h1->line_bytes = 0;
	http_parser_pause(parser, 1);
	return 0;
}

static int on_chunk_complete(http_parser *parser)
{
	struct h1 *h1 = parser->data;

	h1->framing = true;
	if ((parser->flags & F_TRAILING) == 0) /* else it pauses before the last line feed */
		h1->last_byte = '\0';
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_chunk_header = on_chunk_header,
	.on_chunk_complete = on_chunk_complete,
	.on_message_complete = on_message_complete,
};

/* --- requests --- */

static void dispatch(struct h1 *h1)
{
	http_parser *parser = &h1->parser;
	struct http_headers headers = { NULL, h1->headers.len };
	struct http_header *copy = ARENA_ARRAY(h1->arena, struct http_header, h1->headers.len + 1);
	bool chunked = (parser->flags & F_CHUNKED) != 0, sized = (parser->flags & F_CONTENTLENGTH) != 0;
	struct exchange_new from = { .server = h1->conn.server,
				     .peer = h1->conn.peer,
				     .ops = &h1_ops,
				     .carrier = h1,
				     .arena = h1->arena,
				     .version = 1,
				     .n_headers = h1->headers.len };
	struct str unescaped;

	if (h1->headers.len > 0)
		memcpy(copy, h1->headers.ptr, h1->headers.len * sizeof(*copy));
	headers.ptr = from.headers = copy;
	from.method = str_dup(h1->arena, str_from(http_method_str((enum http_method)parser->method)));
	from.target = str_dup(h1->arena, buf_str(&h1->target));
	from.host = http_header(&headers, "host");
	from.content_length = chunked ? -1 : sized ? (int64_t)parser->content_length : 0;
	from.http10 = parser->http_minor == 0;
	from.wants_upgrade = (parser->flags & F_UPGRADE) != 0 && (parser->flags & F_CONNECTION_UPGRADE) != 0;
	h1->continue_wanted = text_same(http_header(&headers, "expect"), "100-continue") && !from.http10;
	h1->keep = http_should_keep_alive(parser) != 0;
	vec_clear(&h1->headers);
	buf_clear(&h1->target);
	h1->discarded = 0;
	loop_timer_stop(&h1->conn.timer);
	if (!http_unescape(h1->arena, from.target, false, &unescaped) || str_is(from.method, "CONNECT")) {
		refuse(h1, 400);
		return;
	}
	h1->arena = NULL;
	h1->answering = true;
	if (chunked || parser->content_length > 0)
		loop_timer_start(&h1->conn.timer, LIMIT_REQUEST_SECONDS * NS_PER_S, on_late, h1);
	h1->exchange = exchange_new(&from);
	exchange_dispatch(h1->exchange);
}

static void message_ended(struct h1 *h1)
{
	h1->message_done = false;
	h1->body_pending = false;
	loop_timer_stop(&h1->conn.timer);
	if (h1->exchange != NULL)
		exchange_body_end(h1->exchange);
}

/* The answer is out and the request is in: the connection is free for the next one. */
static void maybe_next(struct h1 *h1)
{
	if (h1->dead || h1->exchange != NULL || !h1->answering)
		return;
	if (h1->last || !h1->keep || (h1->input_ended && h1->in.len == 0) || h1->discarded > DISCARD ||
	    (h1->body_pending && h1->continue_wanted)) {
		h1_say_goodbye(h1);
		return;
	}
	stream_resume(h1->conn.stream);
	if (h1->body_pending) /* nobody wants the rest; the next read goes on throwing it away */
		return;
	h1->answering = false;
	loop_timer_start(&h1->conn.timer, h1->conn.server->options.idle, on_late, h1);
	h1_process_soon(h1);
}

/* True when nothing may be parsed now: the handler is busy with this request, or does not read its body. */
static bool blocked(const struct h1 *h1)
{
	if (h1->dead || h1->broken)
		return true;
	if (!h1->answering)
		return false;
	if (!h1->body_pending)
		return true;
	return h1->exchange != NULL && exchange_body_waiting(h1->exchange) >= READ_AHEAD;
}

/* What the parser would take silently and another reader might not: a line that begins with white space and so goes on with the
 * one before; a line that ends without a carriage return. */
static bool is_ambiguous(struct h1 *h1, struct str headers)
{
	for (size_t i = 0; i < headers.len; i++) {
		char c = headers.ptr[i];

		if ((h1->last_byte == '\n' && (c == ' ' || c == '\t')) || (c == '\n' && h1->last_byte != '\r'))
			return true;
		h1->last_byte = c;
	}
	return false;
}

static bool step(struct h1 *h1, struct str *rest)
{
	bool in_headers = !h1->answering, framed = h1->framing;
	size_t n = http_parser_execute(&h1->parser, &settings, rest->ptr, rest->len);
	enum http_errno status = HTTP_PARSER_ERRNO(&h1->parser);

	/* The parser pauses between headers and body, so what one call took is all of one kind. */
	if (in_headers && status != HPE_OK && status != HPE_PAUSED)
		n = 0;
	h1->line_bytes += framed ? n : 0;
	if (((in_headers || framed) && is_ambiguous(h1, str_head(*rest, n))) || h1->line_bytes > LIMIT_CHUNK_LINE) {
		refuse(h1, 400);
		return false;
	}
	*rest = str_skip(*rest, n);
	if (status == HPE_PAUSED)
		http_parser_pause(&h1->parser, 0);
	else if (status != HPE_OK) {
		refuse(h1, h1->refuse != 0 ? h1->refuse : status == HPE_HEADER_OVERFLOW ? 431 : 400);
		return false;
	}
	if (h1->headers_done) {
		/* The parser pauses before the last line feed. With it, it knows whether a body follows. */
		h1->headers_done = false;
		if (h1->last_byte != '\r') {
			refuse(h1, 400);
			return false;
		}
		h1->last_byte = '\0';
		h1->line_bytes = 0;
		h1->framing = (h1->parser.flags & F_CHUNKED) != 0;
		*rest = str_skip(*rest, http_parser_execute(&h1->parser, &settings, rest->ptr, 1));
		if (HTTP_PARSER_ERRNO(&h1->parser) == HPE_PAUSED)
			http_parser_pause(&h1->parser, 0);
		h1->body_pending = !h1->message_done;
		dispatch(h1);
	}
	if (h1->message_done && !h1->dead)
		message_ended(h1);
	return !h1->dead;
}

static void process(struct h1 *h1)
{
	struct buf in = h1->in;
	struct str rest = buf_str(&in);

	if (h1->processing || h1->dead)
		return;
	h1->processing = &rest;
	h1->in = (struct buf){ 0 };
	while (!blocked(h1) && rest.len > 0)
		if (!step(h1, &rest))
			break;
	h1->processing = NULL;
	if (!h1->dead && !h1->broken && rest.len > 0) {
		buf_consume(&in, in.len - rest.len);
		h1->in = in;
		in = (struct buf){ 0 };
	}
	buf_fini(&in);
	if (h1->dead)
		return;
	if (h1->in.len >= READ_AHEAD)
		stream_pause(h1->conn.stream);
	if (h1->input_ended && h1->body_pending && h1->in.len == 0 && h1->exchange != NULL)
		exchange_body_failed(h1->exchange, error_new(ERR_BAD_REQUEST, "unexpected EOF"));
	if (h1->answering)
		maybe_next(h1);
	else if (h1->input_ended && h1->in.len == 0)
		h1_say_goodbye(h1);
}

static void on_process(void *arg)
{
	process(arg);
}

void h1_process_soon(struct h1 *h1)
{
	loop_call_soon(&h1->process, on_process, h1);
}

/* --- the stream's events --- */

static void on_read(void *arg, struct str data)
{
	struct h1 *h1 = arg;

	buf_add(&h1->in, data);
	process(h1);
}

static void on_ended(void *arg)
{
	struct h1 *h1 = arg;

	h1->input_ended = true;
	process(h1);
	/* As Go does: a client that says it will send no more is taken to have gone, but it gets its answer. */
	if (!h1->dead && h1->exchange != NULL && !h1->body_pending && h1->in.len == 0)
		exchange_hung_up(h1->exchange);
}

static void on_failed(void *arg, struct error *err)
{
	struct h1 *h1 = arg;

	error_free(err);
	h1_destroy(&h1->conn);
}

static void on_drained(void *arg)
{
	struct h1 *h1 = arg;

	if (h1->exchange != NULL)
		exchange_drained(h1->exchange);
}

static const struct stream_events h1_events = { on_read, on_ended, on_failed, on_drained };

/* --- a connection --- */

void h1_serve(struct http_server *server, struct stream *stream, struct peer *peer, struct str early)
{
	struct h1 *h1 = xcalloc(1, sizeof(*h1));

	conn_init(&h1->conn, server, stream, peer, &h1_conn_ops);
	http_parser_init(&h1->parser, HTTP_REQUEST);
	http_parser_set_max_header_size(LIMIT_HEADERS + LIMIT_URL);
	h1->parser.data = h1;
	buf_add(&h1->in, early);
	loop_timer_start(&h1->conn.timer, server->options.headers_within, on_late, h1);
	if (stream->events == NULL)
		stream_start(stream, &h1_events, h1);
	else
		stream_hand_over(stream, &h1_events, h1);
	h1_process_soon(h1);
}
