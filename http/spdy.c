/*
 * Frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, 2.2):
 *
 *	|1| version 3 (15) | type (16) | flags (8) | length (24) | …       control
 *	|0| stream (31)                | flags (8) | length (24) | data
 *
 *	client  ── SYN_STREAM ──► opened() ── SYN_REPLY ──► client         each side ends its half with FIN, or both with RST
 */
#include "http/spdy.h"

#include <stdlib.h>

#include "http/private.h"

#define CONTROL       0x80000000U
#define VERSION       3U
#define FRAME_HEAD    8
#define FRAME_MOST    (16 * 1024) /* of data, as we cut it */
#define FIN           1
#define BUFFERED_MOST LIMIT_STREAM_BUFFER /* for streams that do not read; then the whole connection waits */

enum frame_type { SYN_STREAM = 1, SYN_REPLY = 2, RST_STREAM = 3, PING = 6, HEADERS = 8 };
enum rst_reason { RST_PROTOCOL_ERROR = 1, RST_REFUSED = 3, RST_CANCEL = 5 };

struct spdy {
	struct stream *transport; /* NULL: gone */
	const struct spdy_events *events;
	void *arg; /* events NULL: nobody's any more */
	struct spdy_headers *headers;
	struct list streams; /* that their takers have not closed */
	size_t n_streams;
	uint32_t last; /* id of a stream that was opened */
	struct buf in; /* bytes of a frame that is not whole */
	uint32_t data_id, data_left;
	bool data_fin;
	size_t buffered; /* in all streams */
	bool held;       /* too much: the transport is paused */
	bool busy;       /* on the stack: it is freed later */
	struct loop_call early;
};

struct spdy_stream {
	struct stream stream;
	struct list link;
	struct spdy *spdy;
	uint32_t id;
	struct buf in;
	bool fin_in, fin_out, told_end;
	bool reset; /* by the client: both halves are over */
	bool wants_drained;
	struct loop_call deliver;
};

static void free_if_over(struct spdy *spdy)
{
	if (spdy->busy || spdy->transport != NULL || spdy->events != NULL || !list_empty(&spdy->streams))
		return;
	loop_call_cancel(&spdy->early);
	spdy_headers_free(spdy->headers);
	buf_fini(&spdy->in);
	free(spdy);
}

/* --- sending --- */

static void put_head(struct buf *out, uint32_t word, unsigned flags, size_t len)
{
	spdy_put32(out, word);
	spdy_put32(out, (uint32_t)flags << 24 | (uint32_t)len);
}

static void send_control(struct spdy *spdy, enum frame_type type, uint32_t id, struct str more)
{
	AUTO_BUF struct buf frame = { 0 };

	put_head(&frame, CONTROL | VERSION << 16 | (uint32_t)type, 0, 4 + more.len);
	spdy_put32(&frame, id);
	buf_add(&frame, more);
	if (spdy->transport != NULL)
		stream_write(spdy->transport, buf_str(&frame));
}

static void send_reset(struct spdy *spdy, uint32_t id, enum rst_reason reason)
{
	AUTO_BUF struct buf more = { 0 };

	spdy_put32(&more, (uint32_t)reason);
	send_control(spdy, RST_STREAM, id, buf_str(&more));
}

static void send_data(struct spdy_stream *s, struct str data, bool fin)
{
	do {
		struct str part = str_head(data, data.len < FRAME_MOST ? data.len : FRAME_MOST);
		AUTO_BUF struct buf frame = { 0 };

		data = str_skip(data, part.len);
		put_head(&frame, s->id, fin && data.len == 0 ? FIN : 0, part.len);
		buf_add(&frame, part);
		if (s->spdy->transport != NULL)
			stream_write(s->spdy->transport, buf_str(&frame));
	} while (data.len != 0);
}

/* --- a stream, for its taker --- */

static struct spdy_stream *self(const struct stream *stream)
{
	return (struct spdy_stream *)(uintptr_t)stream;
}

static void hold(struct spdy *spdy)
{
	bool held = spdy->buffered >= (spdy->held ? BUFFERED_MOST / 2 : BUFFERED_MOST);

	if (held == spdy->held || spdy->transport == NULL)
		return;
	spdy->held = held;
	if (held)
		stream_pause(spdy->transport);
	else
		stream_resume(spdy->transport);
}

static bool listens(const struct spdy_stream *s)
{
	return s->stream.events != NULL && !s->stream.paused;
}

/* What came while nobody listened, then the end. The taker may close the stream meanwhile, so it is the last use. */
static void deliver(void *arg)
{
	struct spdy_stream *s = arg;
	struct spdy *spdy = s->spdy;

	if (!listens(s))
		return;
	if (s->in.len != 0) {
		struct buf data = s->in;

		s->in = (struct buf){ 0 };
		spdy->buffered -= data.len;
		hold(spdy);
		loop_call_soon(&s->deliver, deliver, s); /* the rest; a taker that closes takes it back */
		stream_emit_read(&s->stream, buf_str(&data));
		buf_fini(&data);
		return;
	}
	if (s->told_end || (!s->fin_in && spdy->transport != NULL))
		return;
	s->told_end = true;
	if (s->fin_in && !s->reset)
		stream_emit_ended(&s->stream);
	else
		stream_emit_failed(&s->stream, error_new(ERR_CANCELED, "the client %s", s->reset ? "reset it" : "went away"));
}

static void op_reading(struct stream *stream, bool on)
{
	if (on)
		loop_call_soon(&self(stream)->deliver, deliver, stream);
}

static void op_write(struct stream *stream, struct str data, struct bytes *owner)
{
	(void)owner;
	if (!self(stream)->fin_out)
		send_data(self(stream), data, false);
}

static void op_end(struct stream *stream)
{
	struct spdy_stream *s = self(stream);

	if (!s->fin_out)
		send_data(s, STR(""), true);
	s->fin_out = true;
}

static void op_close(struct stream *stream, bool finish)
{
	struct spdy_stream *s = self(stream);
	struct spdy *spdy = s->spdy;

	if (finish)
		op_end(stream);
	else if (!s->fin_out || !s->fin_in)
		send_reset(spdy, s->id, RST_CANCEL);
	loop_call_cancel(&s->deliver);
	spdy->buffered -= s->in.len;
	hold(spdy);
	list_remove(&s->link);
	spdy->n_streams--;
	buf_fini(&s->in);
	free(s);
	free_if_over(spdy);
}

static size_t op_pending(const struct stream *stream)
{
	struct spdy *spdy = self(stream)->spdy;

	return spdy->transport != NULL ? stream_pending(spdy->transport) : 0;
}

static const char *op_peer(const struct stream *stream)
{
	(void)stream;
	return "spdy";
}

static const struct stream_ops ops = { op_reading, op_write, op_end, op_close, op_pending, op_peer };

static struct spdy_stream *find(struct spdy *spdy, uint32_t id)
{
	LIST_EACH (&spdy->streams, struct spdy_stream, link, s)
		if (s->id == id)
			return s;
	return NULL;
}

/* --- the connection's end --- */

static void lost(struct spdy *spdy, struct error *err)
{
	const struct spdy_events *events = spdy->events;

	if (err != NULL)
		log_debug("SPDY connection lost", "error=\"%s\"", err->text);
	error_free(err);
	if (spdy->transport == NULL)
		return;
	stream_close(spdy->transport);
	spdy->transport = NULL;
	LIST_EACH (&spdy->streams, struct spdy_stream, link, s)
		loop_call_soon(&s->deliver, deliver, s);
	spdy->events = NULL;
	if (events != NULL)
		events->closed(spdy->arg);
}

void spdy_close(struct spdy *spdy)
{
	spdy->events = NULL;
	if (spdy->transport != NULL)
		stream_finish(spdy->transport);
	spdy->transport = NULL;
	LIST_EACH (&spdy->streams, struct spdy_stream, link, s)
		loop_call_soon(&s->deliver, deliver, s);
	free_if_over(spdy);
}

/* --- what comes --- */

static void data_came(struct spdy *spdy, struct str data, bool fin)
{
	struct spdy_stream *s = find(spdy, spdy->data_id);

	if (s == NULL || s->fin_in) /* closed by us: the client will hear of it */
		return;
	s->fin_in = fin;
	buf_add(&s->in, data);
	spdy->buffered += data.len;
	hold(spdy);
	if (listens(s))
		loop_call_soon(&s->deliver, deliver, s);
}

static struct error *open_stream(struct spdy *spdy, struct str frame, unsigned flags)
{
	struct arena *arena = arena_new();
	struct http_headers headers = { NULL, 0 };
	uint32_t id = frame.len >= 10 ? spdy_get32(frame.ptr) & ~CONTROL : 0;
	struct error *err = spdy_headers_read(spdy->headers, arena, str_skip(frame, frame.len < 10 ? frame.len : 10), &headers);
	AUTO_BUF struct buf none = { 0 };
	struct spdy_stream *s;

	if (err == NULL && (id % 2 == 0 || id <= spdy->last))
		err = error_new(ERR_BAD_REQUEST, "SPDY: stream %u after stream %u", id, spdy->last);
	if (err != NULL) {
		arena_free(arena);
		return err;
	}
	spdy->last = id;
	if (spdy->n_streams >= LIMIT_STREAMS || spdy->events == NULL) {
		send_reset(spdy, id, RST_REFUSED);
		arena_free(arena);
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	s->stream.ops = &ops;
	s->spdy = spdy;
	s->id = id;
	s->fin_in = (flags & FIN) != 0;
	list_push(&spdy->streams, &s->link);
	spdy->n_streams++;
	spdy_headers_none(spdy->headers, &none);
	send_control(spdy, SYN_REPLY, id, buf_str(&none));
	spdy->events->opened(spdy->arg, &s->stream, &headers);
	arena_free(arena);
	return NULL;
}

static void reset_came(struct spdy *spdy, uint32_t id)
{
	struct spdy_stream *s = find(spdy, id);

	if (s == NULL)
		return;
	s->fin_in = s->fin_out = s->reset = true;
	s->told_end = false;
	loop_call_soon(&s->deliver, deliver, s);
}

static struct error *control_came(struct spdy *spdy, uint32_t word, unsigned flags, struct str frame)
{
	uint32_t id = frame.len >= 4 ? spdy_get32(frame.ptr) : 0;
	struct arena *arena;
	struct http_headers headers;
	struct error *err;

	if ((word & ~CONTROL) >> 16 != VERSION)
		return error_new(ERR_BAD_REQUEST, "SPDY: version %u", (word & ~CONTROL) >> 16);
	switch (word & 0xffff) {
	case SYN_STREAM:
		return open_stream(spdy, frame, flags);
	case SYN_REPLY:
	case HEADERS: /* of no use, but the unpacker has to see them */
		arena = arena_new();
		err = spdy_headers_read(spdy->headers, arena, str_skip(frame, frame.len < 4 ? frame.len : 4), &headers);
		arena_free(arena);
		return err;
	case RST_STREAM:
		reset_came(spdy, id & ~CONTROL);
		return NULL;
	case PING:
		if (id % 2 == 1)
			send_control(spdy, PING, id, STR(""));
		return NULL;
	default: /* SETTINGS, GOAWAY, WINDOW_UPDATE */
		return NULL;
	}
}

/* One frame, or what is there of its data. False: more has to come. */
static bool take_frame(struct spdy *spdy, struct str rest, size_t *taken, struct error **err)
{
	uint32_t word, len;
	unsigned flags;

	if (spdy->data_left != 0) {
		*taken = rest.len < spdy->data_left ? rest.len : spdy->data_left;
		spdy->data_left -= (uint32_t)*taken;
		data_came(spdy, str_head(rest, *taken), spdy->data_fin && spdy->data_left == 0);
		return *taken != 0;
	}
	if (rest.len < FRAME_HEAD)
		return false;
	word = spdy_get32(rest.ptr);
	flags = (unsigned char)rest.ptr[4];
	len = spdy_get32(rest.ptr + 4) & 0xffffff;
	*taken = FRAME_HEAD;
	if ((word & CONTROL) == 0) {
		spdy->data_id = word;
		spdy->data_left = len;
		spdy->data_fin = (flags & FIN) != 0;
		if (len == 0)
			data_came(spdy, STR(""), spdy->data_fin);
		return true;
	}
	if (len > LIMIT_HEADERS)
		*err = error_new(ERR_TOO_LARGE, "SPDY: a control frame of %u bytes", len);
	else if (rest.len < FRAME_HEAD + len)
		return false;
	else
		*err = control_came(spdy, word, flags, str_head(str_skip(rest, FRAME_HEAD), len));
	*taken += len;
	return true;
}

static void on_read(void *arg, struct str data)
{
	struct spdy *spdy = arg;
	struct error *err = NULL;
	size_t at = 0, taken = 0;

	buf_add(&spdy->in, data);
	spdy->busy = true;
	while (err == NULL && spdy->transport != NULL && take_frame(spdy, str_skip(buf_str(&spdy->in), at), &taken, &err))
		at += taken;
	buf_consume(&spdy->in, at < spdy->in.len ? at : spdy->in.len);
	if (err != NULL)
		lost(spdy, err);
	spdy->busy = false;
	free_if_over(spdy);
}

static void on_failed(void *arg, struct error *err)
{
	struct spdy *spdy = arg;

	spdy->busy = true;
	lost(spdy, err);
	spdy->busy = false;
	free_if_over(spdy);
}

static void on_ended(void *arg)
{
	on_failed(arg, NULL);
}

static void on_drained(void *arg)
{
	struct spdy *spdy = arg;
	bool again = true;

	/* Whoever hears it may close any of the others. */
	LIST_EACH (&spdy->streams, struct spdy_stream, link, s)
		s->wants_drained = true;
	spdy->busy = true;
	while (again) {
		again = false;
		LIST_EACH (&spdy->streams, struct spdy_stream, link, s) {
			if (!s->wants_drained)
				continue;
			s->wants_drained = false;
			again = true;
			stream_emit_drained(&s->stream);
			break;
		}
	}
	spdy->busy = false;
	free_if_over(spdy);
}

/* Bytes that came with the request. */
static void on_early(void *arg)
{
	on_read(arg, STR(""));
}

static const struct stream_events transport_events = { on_read, on_ended, on_failed, on_drained };

/* --- the beginning --- */

bool spdy_wanted(const struct http_request *request)
{
	return request->wants_upgrade && http_header_has(&request->headers, "upgrade", "spdy/3.1");
}

const char *spdy_choose(const struct http_request *request, const char *const *ours)
{
	for (size_t i = 0; i < request->headers.n; i++) {
		struct str list = request->headers.ptr[i].value, one;

		if (!str_is(request->headers.ptr[i].name, "x-stream-protocol-version"))
			continue;
		while (str_cut(&list, ',', &one))
			for (const char *const *mine = ours; *mine != NULL; mine++)
				if (str_is(str_trim(one), *mine))
					return *mine;
	}
	return NULL;
}

struct spdy *spdy_over(struct stream *stream)
{
	struct spdy *spdy = xcalloc(1, sizeof(*spdy));

	spdy->transport = stream;
	spdy->headers = spdy_headers_new();
	list_init(&spdy->streams);
	return spdy;
}

struct error *spdy_accept(struct http_request *request, const char *protocol, struct spdy **out)
{
	struct http_header headers[] = { { STR("connection"), STR("Upgrade") },
					 { STR("upgrade"), STR("SPDY/3.1") },
					 { STR("x-stream-protocol-version"), str_from(protocol) } };
	struct stream *stream;
	struct buf leftover = { 0 };
	struct error *err;

	if (!spdy_wanted(request))
		return error_new(ERR_BAD_REQUEST, "this is no request for SPDY/3.1");
	err = http_upgrade(request, (struct http_headers){ headers, sizeof(headers) / sizeof(headers[0]) }, &stream, &leftover);
	if (err != NULL) {
		buf_fini(&leftover);
		return err;
	}
	*out = spdy_over(stream);
	(*out)->in = leftover;
	return NULL;
}

void spdy_start(struct spdy *spdy, const struct spdy_events *events, void *arg)
{
	spdy->events = events;
	spdy->arg = arg;
	if (spdy->transport->events == NULL)
		stream_start(spdy->transport, &transport_events, spdy);
	else
		stream_hand_over(spdy->transport, &transport_events, spdy);
	stream_resume(spdy->transport);
	if (spdy->in.len != 0)
		loop_call_soon(&spdy->early, on_early, spdy);
}
