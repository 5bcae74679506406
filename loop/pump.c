#include "loop/pump.h"

#include <stdlib.h>

#include "loop/loop.h"

struct side {
	struct pump *pump;
	struct side *other;
	struct stream *stream;
	bool ended; /* it will say no more */
};

struct pump {
	struct side a, b;
	void (*done)(void *arg);
	void *arg;
	struct loop_call call;
	bool over;
};

static void finish(void *arg)
{
	struct pump *pump = arg;
	void (*done)(void *) = pump->done;
	void *done_arg = pump->arg;

	/* What was said last still gets out. */
	stream_finish(pump->a.stream);
	stream_finish(pump->b.stream);
	free(pump);
	if (done != NULL)
		done(done_arg);
}

static void end(struct pump *pump)
{
	if (pump->over)
		return;
	pump->over = true;
	stream_pause(pump->a.stream);
	stream_pause(pump->b.stream);
	loop_call_soon(&pump->call, finish, pump);
}

static void on_read(void *arg, struct str data)
{
	struct side *side = arg;

	if (side->pump->over)
		return;
	stream_write(side->other->stream, data);
	if (stream_pending(side->other->stream) >= STREAM_HIGH)
		stream_pause(side->stream);
}

static void on_ended(void *arg)
{
	struct side *side = arg;

	side->ended = true;
	if (side->other->ended)
		end(side->pump);
	else if (!side->pump->over)
		stream_end(side->other->stream);
}

static void on_failed(void *arg, struct error *err)
{
	struct side *side = arg;

	error_free(err);
	end(side->pump);
}

static void on_drained(void *arg)
{
	struct side *side = arg;

	if (!side->pump->over)
		stream_resume(side->other->stream);
}

static const struct stream_events events = { on_read, on_ended, on_failed, on_drained };

/* A stream that came from an upgrade is paused, a new one was not started yet. */
static void take(struct side *side)
{
	if (side->stream->events == NULL && !side->stream->paused) {
		stream_start(side->stream, &events, side);
		return;
	}
	stream_hand_over(side->stream, &events, side);
	stream_resume(side->stream);
}

struct pump *pump_start(struct stream *a, struct stream *b, struct str early, void (*done)(void *arg), void *arg)
{
	struct pump *pump = xcalloc(1, sizeof(*pump));

	pump->a = (struct side){ pump, &pump->b, a, false };
	pump->b = (struct side){ pump, &pump->a, b, false };
	pump->done = done;
	pump->arg = arg;
	if (early.len != 0)
		stream_write(b, early);
	take(&pump->a);
	take(&pump->b);
	return pump;
}

void pump_stop(struct pump *pump)
{
	loop_call_cancel(&pump->call);
	stream_close(pump->a.stream);
	stream_close(pump->b.stream);
	free(pump);
}
