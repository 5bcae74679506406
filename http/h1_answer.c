/* HTTP/1.1 for the server: what a handler answers, written to the connection. */
#include "http/h1.h"

static struct h1 *h1_of_exchange(const struct exchange *exchange)
{
	return exchange->carrier;
}

static void put_name(struct buf *out, struct str name)
{
	bool upper = true;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		buf_putc(out, upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
		upper = c == '-';
	}
}

static void put_headers(struct buf *out, int status, struct http_headers headers)
{
	buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
	for (size_t i = 0; i < headers.n; i++) {
		ASSERT(text_is_token(headers.ptr[i].name) && text_is_value(headers.ptr[i].value));
		put_name(out, headers.ptr[i].name);
		buf_add(out, STR(": "));
		buf_add(out, headers.ptr[i].value);
		buf_add(out, STR("\r\n"));
	}
	buf_add(out, STR("Date: "));
	buf_add(out, date_now());
	buf_add(out, STR("\r\n"));
}

static void h1_start(struct exchange *exchange, int status, struct http_headers headers, int64_t length, bool end)
{
	struct h1 *h1 = h1_of_exchange(exchange);
	AUTO_BUF struct buf out = { 0 };

	(void)end;
	put_headers(&out, status, headers);
	h1->chunked = false;
	if (length >= 0) {
		buf_printf(&out, "Content-Length: %lld\r\n", (long long)length);
	} else if (!exchange->bodiless && status >= 200 && status != 204 && status != 304) {
		if (exchange->request.http10) {
			h1->keep = false; /* the end of the connection is the end of the body */
		} else {
			h1->chunked = true;
			buf_add(&out, STR("Transfer-Encoding: chunked\r\n"));
		}
	}
	if (h1->last || !h1->keep || (h1->body_pending && h1->continue_wanted)) {
		h1->keep = false;
		buf_add(&out, STR("Connection: close\r\n"));
	} else if (exchange->request.http10) {
		buf_add(&out, STR("Connection: keep-alive\r\n"));
	}
	buf_add(&out, STR("\r\n"));
	stream_write(h1->conn.stream, buf_str(&out));
}

static void h1_write(struct exchange *exchange, struct str data, struct bytes *owner)
{
	struct h1 *h1 = h1_of_exchange(exchange);
	AUTO_BUF struct buf frame = { 0 };

	if (h1->chunked) {
		buf_printf(&frame, "%zx\r\n", data.len);
		stream_write(h1->conn.stream, buf_str(&frame));
	}
	if (owner != NULL)
		stream_write_part(h1->conn.stream, owner, data);
	else
		stream_write(h1->conn.stream, data);
	if (h1->chunked)
		stream_write(h1->conn.stream, STR("\r\n"));
}

static void h1_end(struct exchange *exchange)
{
	struct h1 *h1 = h1_of_exchange(exchange);

	if (h1->chunked)
		stream_write(h1->conn.stream, STR("0\r\n\r\n"));
	h1->chunked = false;
	h1->exchange = NULL;
	if (!h1->processing)
		h1_process_soon(h1);
}

static void h1_abort(struct exchange *exchange)
{
	struct h1 *h1 = h1_of_exchange(exchange);

	/* What was sent so far goes out; the missing end tells the client. */
	h1->exchange = NULL;
	h1_say_goodbye(h1);
}

static size_t h1_pending(const struct exchange *exchange)
{
	const struct h1 *h1 = h1_of_exchange(exchange);

	return stream_pending(h1->conn.stream);
}

static void h1_wants_body(struct exchange *exchange)
{
	struct h1 *h1 = h1_of_exchange(exchange);

	if (h1->continue_wanted && h1->body_pending)
		stream_write(h1->conn.stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	h1->continue_wanted = false;
}

static void h1_body_taken(struct exchange *exchange, size_t n)
{
	struct h1 *h1 = h1_of_exchange(exchange);

	(void)n;
	if (h1->processing || h1->in.len == 0)
		return;
	stream_resume(h1->conn.stream);
	h1_process_soon(h1);
}

static struct error *h1_upgrade(struct exchange *exchange, struct http_headers headers, struct stream **stream,
				struct buf *leftover)
{
	struct h1 *h1 = h1_of_exchange(exchange);
	AUTO_BUF struct buf out = { 0 };

	if (h1->body_pending && exchange->request.content_length != 0)
		return error_new(ERR_BAD_REQUEST, "an upgrade cannot have a body");
	put_headers(&out, 101, headers);
	buf_add(&out, STR("\r\n"));
	stream_write(h1->conn.stream, buf_str(&out));
	stream_pause(h1->conn.stream);
	buf_add(leftover, h1->processing != NULL ? *h1->processing : buf_str(&h1->in));
	*stream = h1->conn.stream;
	h1->exchange = NULL;
	h1_die(h1);
	return NULL;
}

const struct carrier_ops h1_ops = { h1_start, h1_write, h1_end, h1_abort, h1_pending, h1_wants_body, h1_body_taken, h1_upgrade };
