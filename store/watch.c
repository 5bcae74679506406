#include <stdlib.h>

#include "store/private.h"

struct store_watch {
	struct list link; /* in store.watches */
	struct store *store;
	char *prefix_text;
	struct str prefix;
	uint64_t after;    /* revisions up to here are not wanted */
	uint64_t number;   /* running number of the next event to look at */
	uint64_t revision; /* of the last event that was looked at */
	bool idle;         /* everything was looked at; tell when there is more */
	void (*ready)(void *arg);
	void *arg;
	struct loop_call call;
};

static bool wanted(const struct store_watch *watch, const struct window_event *event)
{
	return event->change.record->revision > watch->after && str_has_prefix(event->change.record->key, watch->prefix);
}

static void tell(void *arg)
{
	struct store_watch *watch = arg;

	watch->ready(watch->arg);
}

struct error *store_watch(struct store *store, const struct store_watch_options *options, struct store_watch **out)
{
	struct store_watch *watch;

	ASSERT_ON_LOOP();
	if (options->after < store->window.floor)
		return error_new(ERR_EXPIRED, "too old resource version: %llu (%llu)", (unsigned long long)options->after,
				 (unsigned long long)store->window.floor);
	watch = xcalloc(1, sizeof(*watch));
	watch->store = store;
	watch->prefix_text = xmemdup(options->prefix.ptr, options->prefix.len);
	watch->prefix = str_of(watch->prefix_text, options->prefix.len);
	watch->after = watch->revision = options->after;
	watch->number = window_after(&store->window, options->after);
	watch->ready = options->ready;
	watch->arg = options->arg;
	list_push(&store->watches, &watch->link);
	store->stats.watches++;
	loop_call_soon(&watch->call, tell, watch);
	*out = watch;
	return NULL;
}

enum store_watch_state store_watch_pull(struct store_watch *watch, struct store_event *event)
{
	const struct window *window = &watch->store->window;

	ASSERT_ON_LOOP();
	if (watch->number < window->base)
		return STORE_WATCH_EXPIRED;
	while (watch->number < window_end(window)) {
		const struct window_event *next = window_at(window, watch->number++);
		const struct store_value *record = next->change.record;

		watch->revision = record->revision;
		if (!wanted(watch, next))
			continue;
		*event = (struct store_event){ .revision = record->revision,
					       .time = record->time,
					       .key = record->key,
					       .value = next->change.deleted ? NULL : next->change.record,
					       .old = next->change.old,
					       .actor = record->actor,
					       .cause = record->cause };
		return STORE_WATCH_EVENT;
	}
	watch->idle = true;
	return STORE_WATCH_IDLE;
}

/* Watchers that wait are moved past what does not concern them, so that they never fall out of the window. */
void watch_published(struct store *store, uint64_t from)
{
	uint64_t end = window_end(&store->window);

	LIST_EACH (&store->watches, struct store_watch, link, watch) {
		uint64_t number = from;

		if (!watch->idle)
			continue;
		while (number < end && !wanted(watch, window_at(&store->window, number)))
			number++;
		watch->number = number;
		if (number < end) {
			watch->idle = false;
			loop_call_soon(&watch->call, tell, watch);
		}
	}
}

uint64_t store_watch_revision(const struct store_watch *watch)
{
	uint64_t seen = watch->idle ? watch->store->revision : watch->revision;

	return seen > watch->after ? seen : watch->after;
}

void store_watch_close(struct store_watch *watch)
{
	ASSERT_ON_LOOP();
	if (watch == NULL)
		return;
	watch->store->stats.watches--;
	list_remove(&watch->link);
	loop_call_cancel(&watch->call);
	free(watch->prefix_text);
	free(watch);
}
