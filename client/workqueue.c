/* Keys that want attention. One key is worked on once at a time; a key that comes again meanwhile runs again after. */
#include <stdio.h>
#include <stdlib.h>

#include "client/private.h"

#define BACKOFF_FIRST (5 * NS_PER_MS) /* client-go's default: 5 ms doubling up to 1000 s */
#define BACKOFF_LAST  (1000 * NS_PER_S)
#define SEEN_WITHIN   (2 * NS_PER_S) /* an informer that lags longer is not waited for */

struct item {
	struct map_item *place;
	struct list ready; /* in queue->ready while it waits for a worker */
	struct workqueue *queue;
	char *key;
	uint64_t cause;
	bool queued;
	bool again; /* came while it was worked on */
	bool running;
	unsigned failures;
	struct loop_timer later;
	int64_t again_after; /* asked for by the work; 0: no */
	/* while running */
	struct work work;
	unsigned holds;
	struct error *err;
	VEC(struct informer_wait *) waits;
	unsigned unseen;
	struct loop_timer seen_limit;
};

struct workqueue {
	struct workqueue_options options;
	struct map items; /* key to struct item */
	struct list ready;
	unsigned running;
	struct loop_call run;
	bool closing;
};

static void run_ready(void *arg);
static void finish(struct item *item);

struct workqueue *workqueue_new(const struct workqueue_options *options)
{
	struct workqueue *queue = xcalloc(1, sizeof(*queue));

	queue->options = *options;
	if (queue->options.workers == 0)
		queue->options.workers = 5;
	list_init(&queue->ready);
	return queue;
}

static void item_free(struct item *item)
{
	loop_timer_stop(&item->later);
	loop_timer_stop(&item->seen_limit);
	for (size_t i = 0; i < item->waits.len; i++) {
		list_remove(&item->waits.ptr[i]->link);
		free(item->waits.ptr[i]);
	}
	vec_fini(&item->waits);
	error_free(item->err);
	arena_free(item->work.arena);
	free(item->key);
	free(item);
}

/* Answers of calls that are under way find the item gone from the map; so they keep it: it is freed by the last one. */
void workqueue_free(struct workqueue *queue)
{
	if (queue == NULL)
		return;
	loop_call_cancel(&queue->run);
	queue->closing = true;
	MAP_EACH (&queue->items, it) {
		struct item *item = it->value;

		map_take(&queue->items, it->key);
		if (item->holds != 0) {
			item->queue = NULL;
			item->work.queue = NULL;
			loop_timer_stop(&item->later);
			continue;
		}
		item_free(item);
	}
	map_fini(&queue->items);
	free(queue);
}

static struct item *item_of(struct workqueue *queue, struct str key)
{
	struct item *item = map_find(&queue->items, key);

	if (item != NULL)
		return item;
	item = xcalloc(1, sizeof(*item));
	item->queue = queue;
	item->key = xmemdup(key.ptr, key.len);
	list_init(&item->ready);
	map_set(&queue->items, key, item);
	return item;
}

static void make_ready(struct item *item)
{
	struct workqueue *queue = item->queue;

	if (item->running) {
		item->again = true;
		return;
	}
	if (item->queued)
		return;
	item->queued = true;
	loop_timer_stop(&item->later);
	list_push(&queue->ready, &item->ready);
	loop_call_behind(&queue->run, run_ready, queue);
}

void workqueue_add(struct workqueue *queue, struct str key, uint64_t cause)
{
	struct item *item = item_of(queue, key);

	if (cause > item->cause)
		item->cause = cause;
	make_ready(item);
}

static void time_came(void *arg)
{
	make_ready(arg);
}

void workqueue_add_after(struct workqueue *queue, struct str key, int64_t ns)
{
	struct item *item = item_of(queue, key);

	if (item->queued || (loop_timer_running(&item->later) && item->later.at <= clock_mono() + ns))
		return;
	item->later.weak = true;
	loop_timer_start(&item->later, ns, time_came, item);
}

void workqueue_forget(struct workqueue *queue, struct str key)
{
	struct item *item = map_find(&queue->items, key);

	if (item != NULL)
		item->failures = 0;
}

size_t workqueue_len(const struct workqueue *queue)
{
	return queue->items.len;
}

/* --- running --- */

static void release(struct item *item, struct error *err)
{
	if (item->err == NULL)
		item->err = err;
	else
		error_free(err);
	if (--item->holds == 0)
		finish(item);
}

static void run_one(struct item *item)
{
	struct workqueue *queue = item->queue;
	char part[128];
	const char *previous;
	struct error *err;

	item->running = true;
	item->queued = false;
	item->again = false;
	item->again_after = 0;
	queue->running++;
	item->work = (struct work){
		.key = str_from(item->key), .cause = item->cause, .arena = arena_new(), .failures = item->failures, .queue = queue
	};
	item->cause = 0;
	item->holds = 1;
	snprintf(part, sizeof(part), "%s %s", queue->options.name, item->key);
	previous = loop_part(part);
	err = queue->options.reconcile(queue->options.arg, &item->work);
	loop_part(previous);
	release(item, err);
}

static void run_ready(void *arg)
{
	struct workqueue *queue = arg;

	while (queue->running < queue->options.workers && !list_empty(&queue->ready)) {
		struct item *item = LIST_FIRST(&queue->ready, struct item, ready);

		list_remove(&item->ready);
		run_one(item);
		if (loop_over_budget() && !list_empty(&queue->ready)) {
			loop_call_behind(&queue->run, run_ready, queue);
			return;
		}
	}
}

static int64_t backoff(unsigned failures)
{
	int64_t delay = BACKOFF_FIRST;

	for (unsigned i = 1; i < failures && delay < BACKOFF_LAST; i++)
		delay *= 2;
	return delay < BACKOFF_LAST ? delay : BACKOFF_LAST;
}

static void over(struct item *item)
{
	struct workqueue *queue = item->queue;
	struct error *err = item->err;

	loop_timer_stop(&item->seen_limit);
	for (size_t i = 0; i < item->waits.len; i++) {
		list_remove(&item->waits.ptr[i]->link);
		free(item->waits.ptr[i]);
	}
	vec_clear(&item->waits);
	item->unseen = 0;
	arena_free(item->work.arena);
	item->work.arena = NULL;
	item->err = NULL;
	item->running = false;
	queue->running--;
	if (err != NULL) {
		item->failures++;
		/* A lost compare-and-swap is everyday life; the newer state is on its way. */
		log_line(err->kind == ERR_CONFLICT ? LOG_DEBUG : LOG_WARN, queue->options.name, "key=%s error=\"%s\"", item->key,
			 err->text);
		error_free(err);
		workqueue_add_after(queue, str_from(item->key), backoff(item->failures));
	} else {
		item->failures = 0;
	}
	if (item->again_after != 0)
		workqueue_add_after(queue, str_from(item->key), item->again_after);
	if (item->again) {
		make_ready(item);
	} else if (!item->queued && !loop_timer_running(&item->later)) {
		map_take(&queue->items, str_from(item->key));
		item_free(item);
	}
	if (!list_empty(&queue->ready))
		loop_call_behind(&queue->run, run_ready, queue);
}

static void seen(void *arg)
{
	struct item *item = arg;

	if (--item->unseen == 0)
		over(item);
}

static void not_seen(void *arg)
{
	struct item *item = arg;

	item->unseen = 0;
	over(item);
}

/* All answers are there. Now the informers must catch up with what was written. */
static void finish(struct item *item)
{
	if (item->queue == NULL) {
		item_free(item);
		return;
	}
	if (item->unseen == 0) {
		over(item);
		return;
	}
	loop_timer_start(&item->seen_limit, SEEN_WITHIN, not_seen, item);
}

/* --- calls of a work --- */

struct work_wait {
	struct item *item;
	const struct kind *kind;
	enum verb verb;
	void (*done)(void *arg, struct api_reply *reply);
	void *arg;
};

static struct item *item_of_work(struct work *work)
{
	return CONTAINER_OF(work, struct item, work);
}

/* The wait itself is freed with the item's other ones. */
static void seen_soon(void *arg)
{
	struct item *item = arg;

	if (item->holds == 0)
		seen(item);
	else
		item->unseen--;
}

static void answered(void *arg, struct api_reply *reply)
{
	struct work_wait *wait = arg;
	struct item *item = wait->item;
	struct error *err;

	if (wait->done != NULL && item->queue != NULL)
		wait->done(wait->arg, reply);
	err = reply->err;
	reply->err = NULL;
	if (err != NULL && wait->verb == VERB_DELETE && err->kind == ERR_NOT_FOUND) {
		error_free(err);
		err = NULL;
	}
	/* A deletion that is final is seen by its event soon enough: it shows no revision of its own. */
	if (item->queue != NULL && err == NULL && reply->object != NULL && wait->verb != VERB_DELETE && wait->verb != VERB_GET) {
		struct informer_wait *seen_wait = xcalloc(1, sizeof(*seen_wait));

		seen_wait->fn = seen_soon;
		seen_wait->arg = item;
		list_init(&seen_wait->link);
		if (informer_wait_for(item->queue->options.client, wait->kind, object_revision(reply->object), seen_wait)) {
			item->unseen++;
			vec_push(&item->waits, seen_wait);
		} else {
			free(seen_wait);
		}
	}
	free(wait);
	release(item, err);
}

void work_call(struct work *work, const struct api_call *call)
{
	struct item *item = item_of_work(work);
	struct work_wait *wait = xcalloc(1, sizeof(*wait));
	struct api_call mine = *call;

	*wait = (struct work_wait){ item, call->kind, call->verb, call->done, call->arg };
	mine.done = answered;
	mine.arg = wait;
	if (mine.cause == 0)
		mine.cause = work->cause;
	item->holds++;
	client_call(item->queue->options.client, &mine);
}

void work_again(struct work *work, int64_t ns)
{
	struct item *item = item_of_work(work);

	if (item->again_after == 0 || ns < item->again_after)
		item->again_after = ns > 0 ? ns : 1;
}

void work_hold(struct work *work)
{
	item_of_work(work)->holds++;
}

void work_release(struct work *work, struct error *err)
{
	release(item_of_work(work), err);
}
