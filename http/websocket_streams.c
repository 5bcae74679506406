#include "http/websocket_streams.h"

#include <stdlib.h>

struct mux {
	struct websocket *ws; /* NULL: the client is gone */
	size_t n;             /* channels; 0: a tunnel */
	size_t open;          /* streams that are not closed */
	size_t buffered;
	bool held;
	struct channel {
		struct stream stream;
		struct mux *mux;
		struct buf in;
		bool closed, ended, told;
		struct loop_call deliver;
	} channels[];
};

static void hold(struct mux *mux)
{
	bool held = mux->buffered >= (mux->held ? LIMIT_STREAM_BUFFER / 2 : LIMIT_STREAM_BUFFER);

	if (held == mux->held || mux->ws == NULL)
		return;
	mux->held = held;
	if (held)
		websocket_pause(mux->ws);
	else
		websocket_resume(mux->ws);
}

static struct channel *self(const struct stream *stream)
{
	return (struct channel *)(uintptr_t)stream;
}

/* What came while nobody listened, then the end. The owner may close it meanwhile, so it is the last use. */
static void deliver(void *arg)
{
	struct channel *c = arg;
	struct mux *mux = c->mux;
	struct buf data = c->in;

	if (c->stream.events == NULL || c->stream.paused)
		return;
	if (data.len != 0) {
		c->in = (struct buf){ 0 };
		mux->buffered -= data.len;
		hold(mux);
		loop_call_soon(&c->deliver, deliver, c);
		stream_emit_read(&c->stream, buf_str(&data));
		buf_fini(&data);
		return;
	}
	if (c->told || (!c->ended && mux->ws != NULL))
		return;
	c->told = true;
	if (c->ended)
		stream_emit_ended(&c->stream);
	else
		stream_emit_failed(&c->stream, error_new(ERR_CANCELED, "the client went away"));
}

static void op_reading(struct stream *stream, bool on)
{
	if (on)
		loop_call_soon(&self(stream)->deliver, deliver, stream);
}

static void op_write(struct stream *stream, struct str data, struct bytes *owner)
{
	struct channel *c = self(stream);
	char head[1] = { (char)(c - c->mux->channels) };

	(void)owner;
	if (c->mux->ws != NULL && !c->ended)
		websocket_send(c->mux->ws, str_of(head, c->mux->n != 0 ? 1 : 0), data);
}

static void op_end(struct stream *stream)
{
	struct channel *c = self(stream);

	c->ended = true;
	loop_call_soon(&c->deliver, deliver, c);
}

static void op_close(struct stream *stream, bool finish)
{
	struct channel *c = self(stream);
	struct mux *mux = c->mux;

	(void)finish; /* what was sent is on its way */
	loop_call_cancel(&c->deliver);
	mux->buffered -= c->in.len;
	buf_fini(&c->in);
	c->closed = true;
	hold(mux);
	if (--mux->open != 0)
		return;
	if (mux->ws != NULL)
		websocket_close(mux->ws, 1000, STR(""));
	free(mux);
}

static size_t op_pending(const struct stream *stream)
{
	const struct mux *mux = self(stream)->mux;

	return mux->ws != NULL && websocket_full(mux->ws) ? STREAM_HIGH : 0;
}

static const char *op_peer(const struct stream *stream)
{
	(void)stream;
	return "websocket";
}

static const struct stream_ops ops = { op_reading, op_write, op_end, op_close, op_pending, op_peer };

static size_t n_channels(const struct mux *mux)
{
	return mux->n != 0 ? mux->n : 1;
}

static void on_message(void *arg, struct str data, bool binary)
{
	struct mux *mux = arg;
	size_t at = mux->n != 0 && data.len != 0 ? (unsigned char)data.ptr[0] : 0;
	struct channel *c = &mux->channels[at];

	(void)binary;
	if (mux->n != 0)
		data = str_skip(data, data.len != 0);
	if (at >= n_channels(mux) || c->closed)
		return;
	buf_add(&c->in, data);
	mux->buffered += data.len;
	hold(mux);
	loop_call_soon(&c->deliver, deliver, c);
}

static void on_closed(void *arg)
{
	struct mux *mux = arg;

	mux->ws = NULL;
	for (size_t i = 0; i < n_channels(mux); i++)
		if (!mux->channels[i].closed)
			loop_call_soon(&mux->channels[i].deliver, deliver, &mux->channels[i]);
}

/* Whoever hears it may close this one and others. */
static void on_drained(void *arg)
{
	struct mux *mux = arg;

	mux->open++; /* it stays until all were told */
	for (size_t i = 0; i < n_channels(mux); i++)
		if (!mux->channels[i].closed)
			stream_emit_drained(&mux->channels[i].stream);
	if (--mux->open != 0)
		return;
	if (mux->ws != NULL)
		websocket_close(mux->ws, 1000, STR(""));
	free(mux);
}

void websocket_streams(struct websocket *ws, size_t n, struct stream **out)
{
	static const struct websocket_events events = { on_message, on_closed, on_drained };
	size_t all = n != 0 ? n : 1;
	struct mux *mux = xcalloc(1, sizeof(*mux) + all * sizeof(mux->channels[0]));

	mux->ws = ws;
	mux->n = n;
	mux->open = all;
	for (size_t i = 0; i < all; i++) {
		mux->channels[i].stream.ops = &ops;
		mux->channels[i].mux = mux;
		out[i] = &mux->channels[i].stream;
	}
	websocket_start(ws, &events, mux);
}
