#include "http/websocket.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */

enum opcode { OP_CONTINUE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct websocket {
	struct stream *stream;
	struct websocket_events events;
	void *arg;
	struct buf in;      /* bytes of frames that are not whole yet, behind those that were taken */
	size_t taken;       /* of in: moved away now and then, not frame by frame */
	struct buf message; /* fragments so far */
	bool in_message;    /* its last fragment has not come */
	bool binary;        /* of the message under way */
	bool input_ended;   /* no more bytes will come */
	bool paused;
	bool ended; /* the other side is gone: closed() is on its way */
	struct loop_call tell;
	struct loop_call more;
};

bool websocket_wanted(const struct http_request *request)
{
	return request->wants_upgrade && http_header_has(&request->headers, "upgrade", "websocket");
}

const char *websocket_choose(const struct http_request *request, const char *const *ours)
{
	for (size_t i = 0; i < request->headers.n; i++) {
		struct str list = request->headers.ptr[i].value, one;

		if (!str_is(request->headers.ptr[i].name, "sec-websocket-protocol"))
			continue;
		while (str_cut(&list, ',', &one))
			for (const char *const *mine = ours; *mine != NULL; mine++)
				if (str_is(str_trim(one), *mine))
					return *mine;
	}
	return NULL;
}

static struct str accept_key(struct arena *arena, struct str key)
{
	AUTO_BUF struct buf text = { 0 }, out = { 0 };
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	buf_add(&text, key);
	buf_add(&text, STR(GUID));
	ASSERT(EVP_Digest(text.ptr, text.len, digest, &len, EVP_sha1(), NULL) == 1);
	base64_encode(&out, str_of((char *)digest, len));
	return str_dup(arena, buf_str(&out));
}

struct error *websocket_accept(struct http_request *request, const char *protocol, struct websocket **out)
{
	struct str key = http_header(&request->headers, "sec-websocket-key");
	struct http_header headers[4];
	struct buf leftover = { 0 };
	struct websocket *ws;
	struct error *err;
	size_t n = 0;

	if (!websocket_wanted(request) || key.len == 0 || !http_header_has(&request->headers, "sec-websocket-version", "13"))
		return error_new(ERR_BAD_REQUEST, "this is no WebSocket request of version 13");
	headers[n++] = (struct http_header){ STR("upgrade"), STR("websocket") };
	headers[n++] = (struct http_header){ STR("connection"), STR("Upgrade") };
	headers[n++] = (struct http_header){ STR("sec-websocket-accept"), accept_key(request->arena, key) };
	if (protocol != NULL && protocol[0] != '\0')
		headers[n++] = (struct http_header){ STR("sec-websocket-protocol"), str_from(protocol) };
	ws = xcalloc(1, sizeof(*ws));
	err = http_upgrade(request, (struct http_headers){ headers, n }, &ws->stream, &leftover);
	if (err != NULL) {
		buf_fini(&leftover);
		free(ws);
		return err;
	}
	ws->in = leftover;
	*out = ws;
	return NULL;
}

static void ws_free(struct websocket *ws)
{
	loop_call_cancel(&ws->tell);
	loop_call_cancel(&ws->more);
	stream_close(ws->stream);
	buf_fini(&ws->in);
	buf_fini(&ws->message);
	free(ws);
}

static void tell_closed(void *arg)
{
	struct websocket *ws = arg;

	if (ws->events.closed != NULL)
		ws->events.closed(ws->arg);
	ws_free(ws);
}

static void end(struct websocket *ws)
{
	if (ws->ended)
		return;
	ws->ended = true;
	stream_pause(ws->stream);
	loop_call_soon(&ws->tell, tell_closed, ws);
}

/* --- sending --- */

static void send_frame(struct websocket *ws, enum opcode opcode, struct str head, struct str data)
{
	AUTO_BUF struct buf frame = { 0 };
	uint64_t len = head.len + data.len;

	if (ws->ended)
		return;
	buf_putc(&frame, (char)(0x80 | opcode));
	if (len < 126) {
		buf_putc(&frame, (char)len);
	} else if (len < 65536) {
		buf_putc(&frame, 126);
		buf_putc(&frame, (char)(len >> 8));
		buf_putc(&frame, (char)len);
	} else {
		buf_putc(&frame, 127);
		for (int shift = 56; shift >= 0; shift -= 8)
			buf_putc(&frame, (char)(len >> shift));
	}
	buf_add(&frame, head);
	buf_add(&frame, data);
	stream_write(ws->stream, buf_str(&frame));
}

void websocket_send(struct websocket *ws, struct str head, struct str data)
{
	send_frame(ws, OP_BINARY, head, data);
}

void websocket_send_text(struct websocket *ws, struct str data)
{
	send_frame(ws, OP_TEXT, STR(""), data);
}

bool websocket_full(const struct websocket *ws)
{
	return stream_pending(ws->stream) >= STREAM_HIGH;
}

void websocket_close(struct websocket *ws, uint16_t code, struct str reason)
{
	char head[2] = { (char)(code >> 8), (char)code };

	if (ws->ended) {
		ws_free(ws); /* closed() will not come */
		return;
	}
	send_frame(ws, OP_CLOSE, str_of(head, 2), str_head(reason, 123));
	stream_finish(ws->stream);
	ws->stream = NULL;
	ws_free(ws);
}

/* --- receiving --- */

struct frame {
	bool fin;
	enum opcode opcode;
	const unsigned char *mask; /* four bytes; clients always mask */
	char *data;
	size_t len;
	size_t whole; /* with its header */
};

/* 1: a whole frame stands at the front; 0: more bytes are needed; -1: broken. */
static int parse_frame(struct str in, struct frame *frame)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	uint64_t len;
	size_t at = 2;

	if (in.len < 2)
		return 0;
	if ((p[0] & 0x70) != 0 || (p[1] & 0x80) == 0)
		return -1;
	len = p[1] & 0x7f;
	/* RFC 6455, 5.5: control frames are short and whole. */
	if ((p[0] & 0x08) != 0 && ((p[0] & 0x80) == 0 || len > 125))
		return -1;
	if (len == 126)
		at = 4;
	else if (len == 127)
		at = 10;
	if (in.len < at + 4)
		return 0;
	if (at != 2) {
		len = 0;
		for (size_t i = 2; i < at; i++)
			len = len << 8 | p[i];
	}
	if (len > WEBSOCKET_MESSAGE)
		return -1;
	if (in.len < at + 4 + len)
		return 0;
	*frame = (struct frame){ .fin = (p[0] & 0x80) != 0,
				 .opcode = (enum opcode)(p[0] & 0x0f),
				 .mask = p + at,
				 .data = (char *)in.ptr + at + 4,
				 .len = (size_t)len,
				 .whole = at + 4 + (size_t)len };
	return 1;
}

static bool take_data(struct websocket *ws, const struct frame *frame)
{
	if ((frame->opcode == OP_CONTINUE) != ws->in_message)
		return false; /* nothing to continue, or another message in the middle of one */
	ws->in_message = !frame->fin;
	if (frame->opcode != OP_CONTINUE) {
		buf_clear(&ws->message);
		ws->binary = frame->opcode == OP_BINARY;
	}
	if (ws->message.len + frame->len > WEBSOCKET_MESSAGE)
		return false;
	buf_append(&ws->message, frame->data, frame->len);
	if (!frame->fin)
		return true;
	ws->events.message(ws->arg, buf_str(&ws->message), ws->binary);
	return true;
}

/* False: the connection is over. After a message callback ws may be gone: then the answer is true. */
static bool take_frame(struct websocket *ws, const struct frame *frame)
{
	switch (frame->opcode) {
	case OP_CONTINUE:
	case OP_TEXT:
	case OP_BINARY:
		return take_data(ws, frame);
	case OP_PING:
		send_frame(ws, OP_PONG, STR(""), str_of(frame->data, frame->len));
		return true;
	case OP_PONG:
		return true;
	case OP_CLOSE:
		send_frame(ws, OP_CLOSE, STR(""), str_of(frame->data, frame->len < 2 ? 0 : 2));
		return false;
	}
	return false;
}

/* One frame per turn of this: a callback may close the websocket. */
static void parse_more(void *arg)
{
	struct websocket *ws = arg;
	struct frame frame;
	int state;

	if (ws->ended || ws->paused)
		return;
	state = parse_frame(str_skip(buf_str(&ws->in), ws->taken), &frame);
	if (state == 0 && !ws->input_ended)
		return;
	if (state <= 0) {
		end(ws);
		return;
	}
	for (size_t i = 0; i < frame.len; i++)
		frame.data[i] = (char)(frame.data[i] ^ frame.mask[i % 4]);
	/* Scheduled first: if the callback closes the websocket, this call is canceled with it. */
	loop_call_soon(&ws->more, parse_more, ws);
	AUTO_BUF struct buf own = { 0 };

	buf_append(&own, frame.data, frame.len);
	frame.data = own.ptr;
	ws->taken += frame.whole;
	if (ws->taken >= ws->in.len / 2) {
		buf_consume(&ws->in, ws->taken);
		ws->taken = 0;
	}
	if (!take_frame(ws, &frame))
		end(ws);
}

static void on_read(void *arg, struct str data)
{
	struct websocket *ws = arg;

	buf_add(&ws->in, data);
	loop_call_soon(&ws->more, parse_more, ws);
	if (ws->in.len - ws->taken > 2 * WEBSOCKET_MESSAGE)
		end(ws);
}

/* What came before the end is still told. */
static void on_ended(void *arg)
{
	struct websocket *ws = arg;

	ws->input_ended = true;
	loop_call_soon(&ws->more, parse_more, ws);
}

static void on_failed(void *arg, struct error *err)
{
	error_free(err);
	end(arg);
}

static void on_drained(void *arg)
{
	struct websocket *ws = arg;

	if (ws->events.drained != NULL && !ws->ended)
		ws->events.drained(ws->arg);
}

static const struct stream_events stream_handlers = { on_read, on_ended, on_failed, on_drained };

void websocket_start(struct websocket *ws, const struct websocket_events *events, void *arg)
{
	ws->events = *events;
	ws->arg = arg;
	stream_hand_over(ws->stream, &stream_handlers, ws);
	stream_resume(ws->stream);
	if (ws->in.len != 0)
		loop_call_soon(&ws->more, parse_more, ws);
}

void websocket_pause(struct websocket *ws)
{
	ws->paused = true;
	stream_pause(ws->stream);
}

void websocket_resume(struct websocket *ws)
{
	ws->paused = false;
	stream_resume(ws->stream);
	loop_call_soon(&ws->more, parse_more, ws);
}
