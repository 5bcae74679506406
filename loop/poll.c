#include "loop/private.h"

#include <stdlib.h>

struct loop_poll {
	uv_poll_t uv;
	int events;
	const char *name;
	void (*fn)(void *arg, int events);
	void *arg;
};

struct loop_signal {
	uv_signal_t uv;
	void (*fn)(void *arg, int signal);
	void *arg;
};

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct loop_poll *poll = handle->data;
	int ready = 0;

	turn_piece(poll->name);
	if (status < 0) {
		/* The descriptor is broken: whoever reads or writes it will be told why. libuv has stopped watching. */
		poll->fn(poll->arg, poll->events | LOOP_HANGUP);
		return;
	}
	ready |= (events & UV_READABLE) != 0 ? LOOP_READ : 0;
	ready |= (events & UV_WRITABLE) != 0 ? LOOP_WRITE : 0;
	ready |= (events & UV_DISCONNECT) != 0 ? LOOP_HANGUP : 0;
	if (ready != 0)
		poll->fn(poll->arg, ready);
}

struct loop_poll *loop_poll_as(const char *name, int fd, int events, void (*fn)(void *arg, int events), void *arg)
{
	struct loop_poll *poll = xcalloc(1, sizeof(*poll));
	int status;

	ASSERT_ON_LOOP();
	ASSERT(!loop_is_sim());
	poll->name = name;
	poll->fn = fn;
	poll->arg = arg;
	poll->uv.data = poll;
	status = uv_poll_init(loop_uv(), &poll->uv, fd);
	ASSERT(status == 0); /* not a descriptor that can be waited for: a defect of the caller */
	loop_poll_change(poll, events);
	return poll;
}

void loop_poll_change(struct loop_poll *poll, int events)
{
	int wanted = 0;

	ASSERT_ON_LOOP();
	poll->events = events;
	wanted |= (events & LOOP_READ) != 0 ? UV_READABLE : 0;
	wanted |= (events & LOOP_WRITE) != 0 ? UV_WRITABLE : 0;
	wanted |= (events & LOOP_HANGUP) != 0 ? UV_DISCONNECT : 0;
	if (wanted != 0)
		uv_poll_start(&poll->uv, wanted, on_poll);
	else
		uv_poll_stop(&poll->uv);
}

void loop_poll_close(struct loop_poll *poll)
{
	ASSERT_ON_LOOP();
	if (poll != NULL)
		close_and_free((uv_handle_t *)&poll->uv);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct loop_signal *self = handle->data;

	turn_piece("signal");
	self->fn(self->arg, number);
}

struct loop_signal *loop_signal(int number, void (*fn)(void *arg, int signal), void *arg)
{
	struct loop_signal *self = xcalloc(1, sizeof(*self));
	int status;

	ASSERT_ON_LOOP();
	self->fn = fn;
	self->arg = arg;
	self->uv.data = self;
	status = uv_signal_init(loop_uv(), &self->uv);
	ASSERT(status == 0);
	status = uv_signal_start(&self->uv, on_signal, number);
	ASSERT(status == 0);
	uv_unref((uv_handle_t *)&self->uv);
	return self;
}

void loop_signal_close(struct loop_signal *self)
{
	ASSERT_ON_LOOP();
	if (self != NULL)
		close_and_free((uv_handle_t *)&self->uv);
}
