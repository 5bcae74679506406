/*
 * A byte stream with backpressure in both directions: TCP, unix sockets, pipes, an in-memory pair, and whatever else
 * implements struct stream_ops (http has TLS). What it carries is none of its business.
 *
 * The owner hears events from stream_start() on and ends with exactly one stream_close() or stream_finish(); no event
 * comes afterwards. Events are never delivered from inside a call of the owner, so there is no recursion.
 *
 * Writing never fails at once and is never refused. A writer looks at stream_pending(): at STREAM_HIGH or more it
 * stops, and goes on in drained(), which is called when what waits has fallen to STREAM_LOW. A reader that cannot take
 * more calls stream_pause().
 *
 *	static const struct stream_events events = { .read = on_read, .ended = on_ended, .failed = on_failed };
 *	stream_start(stream, &events, self);
 *	stream_write(stream, STR("hello\n"));
 *	stream_finish(stream);
 */
#ifndef LOOP_STREAM_H
#define LOOP_STREAM_H

#include "base/base.h"

#define STREAM_HIGH (64 * 1024)
#define STREAM_LOW  (16 * 1024)

struct stream;

struct stream_events {
	void (*read)(void *arg, struct str data);     /* borrowed for the call */
	void (*ended)(void *arg);                     /* the other side will send no more; we still may */
	void (*failed)(void *arg, struct error *err); /* broken; takes err; only close is left to do */
	void (*drained)(void *arg);                   /* may be NULL */
};

void stream_start(struct stream *stream, const struct stream_events *events, void *arg);
/* Another owner takes over (an upgrade): its events replace the old ones. Paused or not stays as it was. */
void stream_hand_over(struct stream *stream, const struct stream_events *events, void *arg);
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

void stream_write(struct stream *stream, struct str data);                           /* copies */
void stream_write_bytes(struct stream *stream, struct bytes *bytes);                 /* takes a reference of its own */
void stream_write_part(struct stream *stream, struct bytes *bytes, struct str part); /* part lies inside bytes */
size_t stream_pending(const struct stream *stream);
void stream_end(struct stream *stream);    /* half close, after what is pending */
void stream_close(struct stream *stream);  /* now; what is pending is lost; NULL is fine */
void stream_finish(struct stream *stream); /* gives it away: sends what is pending, then closes (within 10 s) */

/* "10.244.0.7:41234", "unix", "memory"; valid as long as the stream. */
const char *stream_peer(const struct stream *stream);

/* Two ends in this process. */
void stream_pair(struct stream **a, struct stream **b);
/* A connected socket, a pipe end or a terminal; takes the descriptor, also on error. */
struct error *stream_from_fd(int fd, struct stream **out) MUST_CHECK;

/* Where to: exactly one of host (a numeric address), path, fd. */
struct stream_address {
	const char *host;
	uint16_t port;
	const char *path;
	int fd; /* only looked at when has_fd; taken */
	bool has_fd;
};

struct stream_connect;
/* connected(arg, err, stream) comes later, once, unless canceled: then never. Timeout 0 is 10 s. */
struct stream_connect *stream_connect(const struct stream_address *address, int64_t timeout,
				      void (*connected)(void *arg, struct error *err, struct stream *stream), void *arg);
void stream_connect_cancel(struct stream_connect *connect);

struct stream_listener;
/* fd: a bound socket, handed over by a node process. An existing unix socket file that nobody answers is replaced. */
struct error *stream_listen(const struct stream_address *address, void (*accepted)(void *arg, struct stream *stream), void *arg,
			    struct stream_listener **out) MUST_CHECK;
uint16_t stream_listener_port(const struct stream_listener *listener); /* what the kernel chose for port 0 */
void stream_listener_close(struct stream_listener *listener);          /* NULL is fine */

/* --- for implementers ------------------------------------------------------------------------------------ */

struct stream_ops {
	void (*reading)(struct stream *stream, bool on);
	/* owner NULL: data must be copied; else a reference is taken as long as data is needed. */
	void (*write)(struct stream *stream, struct str data, struct bytes *owner);
	void (*end)(struct stream *stream);
	void (*close)(struct stream *stream, bool finish);
	size_t (*pending)(const struct stream *stream);
	const char *(*peer)(const struct stream *stream);
};

struct stream {
	const struct stream_ops *ops;
	const struct stream_events *events; /* NULL before start and after close */
	void *arg;
	bool paused;
};

/* Deliver an event, if anybody listens. */
void stream_emit_read(struct stream *stream, struct str data);
void stream_emit_ended(struct stream *stream);
void stream_emit_failed(struct stream *stream, struct error *err);
void stream_emit_drained(struct stream *stream);

#endif
