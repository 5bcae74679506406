#include <stdlib.h>

#include "store/private.h"

static void drop_first(struct window *window)
{
	struct window_event *event = &window->events.ptr[window->head++];

	window->base++;
	window->floor = event->change.record->revision;
	window->bytes -= event->bytes;
	store_value_unref(event->change.record);
	store_value_unref(event->change.old);
}

void window_push(struct window *window, const struct change *change, int64_t mono)
{
	struct window_event event = { *change, mono, sizeof(event) + change->record->key.len };

	/* Each write retires one state, which only the window still keeps. */
	if (change->old != NULL)
		event.bytes += sizeof(*change->old) + change->old->data.len;
	store_value_ref(event.change.record);
	if (event.change.old != NULL)
		store_value_ref(event.change.old);
	if (window->head > 1024 && window->head > window->events.len / 2) {
		window->events.len -= window->head;
		memmove(window->events.ptr, window->events.ptr + window->head, sizeof(struct window_event) * window->events.len);
		window->head = 0;
	}
	vec_push(&window->events, event);
	window->bytes += event.bytes;
}

void window_trim(struct window *window, int64_t mono)
{
	int64_t oldest = mono - LIMIT_HISTORY_SECONDS * NS_PER_S;

	while (window->head < window->events.len &&
	       (window->events.ptr[window->head].mono < oldest || window->bytes > LIMIT_WINDOW_BYTES))
		drop_first(window);
	if (window->head == window->events.len) {
		/* Quiet for long: give the memory back. */
		vec_fini(&window->events);
		window->head = 0;
	}
}

static void strip(const struct window *window, struct store_value *old)
{
	/* Its own event may be in the window, too. Who else holds it may still look at what is attached. */
	unsigned ours = old->revision > window->floor ? 2 : 1;

	if (old->refs == ours)
		store_value_attach(old, NULL, NULL);
}

void window_strip(struct window *window)
{
	if (window->bare < window->base)
		window->bare = window->base;
	for (; window->bare < window_end(window); window->bare++) {
		struct store_value *old = window_at(window, window->bare)->change.old;

		if (old != NULL)
			strip(window, old);
	}
}

void window_fini(struct window *window)
{
	while (window->head < window->events.len)
		drop_first(window);
	vec_fini(&window->events);
}

uint64_t window_end(const struct window *window)
{
	return window->base + (window->events.len - window->head);
}

const struct window_event *window_at(const struct window *window, uint64_t number)
{
	ASSERT(number >= window->base && number < window_end(window));
	return &window->events.ptr[window->head + (size_t)(number - window->base)];
}

uint64_t window_after(const struct window *window, uint64_t revision)
{
	uint64_t low = window->base, high = window_end(window);

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (window_at(window, middle)->change.record->revision > revision)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}
