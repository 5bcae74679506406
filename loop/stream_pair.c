/*
 * Two ends in memory. What one end writes waits in the other end's inbox until that one reads; so pending() of a writer
 * is the size of the reader's inbox. Everything is delivered by deferred calls.
 */
#include <stdlib.h>

#include "loop/private.h"

struct chunk {
	struct bytes *bytes;
	struct str data;
};

struct end {
	struct stream base;
	struct end *other; /* NULL: it was closed */
	VEC(struct chunk) inbox;
	size_t taken;   /* chunks of the inbox that were delivered */
	size_t waiting; /* bytes in the inbox */
	bool reading;
	bool other_ended; /* nothing follows what is in the inbox */
	bool told_ended;
	bool broken; /* the other closed and lost data of ours or for us */
	bool above;  /* drained is owed */
	bool ended;  /* we half closed */
	bool closed;
	struct loop_call deliver; /* inbox to owner */
	struct loop_call drained;
};

static void on_deliver(void *arg);

static struct end *end_of(const struct stream *stream)
{
	return CONTAINER_OF((struct stream *)(uintptr_t)stream, struct end, base);
}

static void deliver_soon(struct end *end)
{
	if (!end->closed && (end->reading || end->broken))
		loop_call_soon(&end->deliver, on_deliver, end);
}

static void on_drained(void *arg)
{
	struct end *end = arg;

	stream_emit_drained(&end->base);
}

static void account(struct end *end, size_t len)
{
	struct end *writer = end->other;

	end->waiting -= len;
	if (writer != NULL && writer->above && end->waiting <= STREAM_LOW) {
		writer->above = false;
		loop_call_soon(&writer->drained, on_drained, writer);
	}
}

static void drop_inbox(struct end *end)
{
	for (size_t i = end->taken; i < end->inbox.len; i++)
		bytes_unref(end->inbox.ptr[i].bytes);
	vec_clear(&end->inbox);
	end->taken = 0;
	end->waiting = 0;
}

static void free_end(void *arg)
{
	struct end *end = arg;

	drop_inbox(end);
	vec_fini(&end->inbox);
	free(end);
}

static void on_deliver(void *arg)
{
	struct end *end = arg;

	/* A closed end is freed by a later call, so it may be looked at here whatever the owner does. */
	for (int budget = 16; budget > 0 && end->reading && !end->closed && end->taken < end->inbox.len; budget--) {
		struct chunk chunk = end->inbox.ptr[end->taken++];

		account(end, chunk.data.len);
		if (end->taken == end->inbox.len) {
			vec_clear(&end->inbox);
			end->taken = 0;
		}
		stream_emit_read(&end->base, chunk.data);
		bytes_unref(chunk.bytes);
	}
	if (end->closed)
		return;
	if (end->taken < end->inbox.len) {
		deliver_soon(end);
	} else if (end->broken && !end->told_ended) {
		end->told_ended = true;
		stream_emit_failed(&end->base, error_new(ERR_UNAVAILABLE, "the other end of the stream was closed"));
	} else if (end->other_ended && end->reading && !end->told_ended) {
		end->told_ended = true;
		stream_emit_ended(&end->base);
	}
}

static void pair_reading(struct stream *stream, bool on)
{
	struct end *end = end_of(stream);

	end->reading = on;
	deliver_soon(end);
}

static void pair_write(struct stream *stream, struct str data, struct bytes *owner)
{
	struct end *end = end_of(stream), *other = end->other;
	struct chunk chunk;

	ASSERT(!end->ended);
	if (other == NULL) {
		end->broken = true;
		deliver_soon(end);
		return;
	}
	chunk.bytes = owner != NULL ? bytes_ref(owner) : bytes_new(data);
	chunk.data = owner != NULL ? data : bytes_str(chunk.bytes);
	/* Room at the front is taken back when most of it is free. */
	if (other->taken > 64 && other->taken > other->inbox.len / 2) {
		memmove(other->inbox.ptr, other->inbox.ptr + other->taken,
			sizeof(struct chunk) * (other->inbox.len - other->taken));
		other->inbox.len -= other->taken;
		other->taken = 0;
	}
	vec_push(&other->inbox, chunk);
	other->waiting += data.len;
	if (other->waiting >= STREAM_HIGH)
		end->above = true;
	deliver_soon(other);
}

static void pair_end(struct stream *stream)
{
	struct end *end = end_of(stream);

	if (end->ended)
		return;
	end->ended = true;
	if (end->other != NULL) {
		end->other->other_ended = true;
		deliver_soon(end->other);
	}
}

static void pair_close(struct stream *stream, bool finish)
{
	struct end *end = end_of(stream), *other = end->other;

	end->closed = true;
	loop_call_cancel(&end->deliver);
	loop_call_cancel(&end->drained);
	if (other != NULL) {
		/* Like TCP: closing with unread data, or giving up unsent data, is a reset. */
		if (end->waiting > 0 || (!finish && other->waiting > 0))
			other->broken = true;
		if (!finish)
			drop_inbox(other);
		other->other_ended = true;
		other->other = NULL;
		deliver_soon(other);
	}
	loop_soon(free_end, end);
}

static size_t pair_pending(const struct stream *stream)
{
	const struct end *end = end_of(stream);

	return end->other != NULL ? end->other->waiting : 0;
}

static const char *pair_peer(const struct stream *stream)
{
	(void)stream;
	return "memory";
}

static const struct stream_ops pair_ops = { pair_reading, pair_write, pair_end, pair_close, pair_pending, pair_peer };

void stream_pair(struct stream **a, struct stream **b)
{
	struct end *left = xcalloc(1, sizeof(*left)), *right = xcalloc(1, sizeof(*right));

	ASSERT_ON_LOOP();
	left->base.ops = right->base.ops = &pair_ops;
	left->other = right;
	right->other = left;
	*a = &left->base;
	*b = &right->base;
}
