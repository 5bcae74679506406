/*
 * All timers in one binary heap over one timer of libuv: embedded, stopped synchronously, in nanoseconds of the mono
 * clock. Only the turn's beginning tells libuv about the next one, so restarting a timer costs no system call.
 */
#include "loop/private.h"

static VEC(struct loop_timer *) heap;
static size_t n_strong;
static uint64_t next_seq;
static uv_timer_t uv_timer;
static int64_t armed; /* what libuv waits for; 0: nothing */

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void place(struct loop_timer *timer, size_t i)
{
	heap.ptr[i] = timer;
	timer->slot = i + 1;
}

static void sift_up(size_t i)
{
	struct loop_timer *timer = heap.ptr[i];

	while (i > 0 && before(timer, heap.ptr[(i - 1) / 2])) {
		place(heap.ptr[(i - 1) / 2], i);
		i = (i - 1) / 2;
	}
	place(timer, i);
}

static void sift_down(size_t i)
{
	struct loop_timer *timer = heap.ptr[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= heap.len)
			break;
		if (child + 1 < heap.len && before(heap.ptr[child + 1], heap.ptr[child]))
			child++;
		if (!before(heap.ptr[child], timer))
			break;
		place(heap.ptr[child], i);
		i = child;
	}
	place(timer, i);
}

static void insert(struct loop_timer *timer)
{
	timer->seq = loop_is_sim() ? sim_random() : next_seq++;
	vec_push(&heap, timer);
	sift_up(heap.len - 1);
	n_strong += !timer->weak;
}

void loop_timer_start_as(const char *name, struct loop_timer *timer, int64_t after_ns, void (*fn)(void *arg), void *arg)
{
	ASSERT_ON_LOOP();
	ASSERT(after_ns >= 0);
	loop_timer_stop(timer);
	timer->at = clock_mono() + after_ns;
	timer->every = 0;
	timer->name = name;
	timer->fn = fn;
	timer->arg = arg;
	insert(timer);
}

void loop_timer_every_as(const char *name, struct loop_timer *timer, int64_t every_ns, void (*fn)(void *arg), void *arg)
{
	ASSERT(every_ns > 0);
	loop_timer_start_as(name, timer, every_ns, fn, arg);
	timer->every = every_ns;
}

void loop_timer_stop(struct loop_timer *timer)
{
	size_t i;
	struct loop_timer *last;

	ASSERT_ON_LOOP();
	if (timer->slot == 0)
		return;
	i = timer->slot - 1;
	timer->slot = 0;
	n_strong -= !timer->weak;
	last = vec_pop(&heap);
	if (last == timer)
		return;
	place(last, i);
	sift_up(i);
	sift_down(last->slot - 1);
}

bool timer_strong(void)
{
	return n_strong > 0;
}

bool timer_next(int64_t *at)
{
	if (heap.len == 0)
		return false;
	*at = heap.ptr[0]->at;
	return true;
}

void timer_fire_one(void)
{
	struct loop_timer *timer = heap.ptr[0];
	int64_t every = timer->every;

	loop_timer_stop(timer);
	if (every > 0) {
		/* From when it was due, so that it does not drift; what was missed is not made up for. */
		int64_t now = clock_mono();

		timer->at += every;
		if (timer->at <= now)
			timer->at = now + every;
		insert(timer);
	}
	turn_piece(timer->name);
	timer->fn(timer->arg);
}

static void on_timer(uv_timer_t *handle)
{
	int64_t now = clock_mono(), at;
	size_t most = heap.len;

	(void)handle;
	armed = 0;
	/* libuv calls us before it waits, too: it must not wait for what was right before we ran. */
	uv_stop(loop_uv());
	/* At most as many as there were: timers that restart themselves with 0 must not starve the poll. */
	for (bool first = true; most-- > 0 && timer_next(&at) && at <= now && (first || !loop_over_budget()); first = false)
		timer_fire_one();
}

void timer_arm(void)
{
	int64_t at, wait;

	if (n_strong > 0)
		uv_ref((uv_handle_t *)&uv_timer);
	else
		uv_unref((uv_handle_t *)&uv_timer);
	if (!timer_next(&at)) {
		if (armed != 0)
			uv_timer_stop(&uv_timer);
		armed = 0;
		return;
	}
	if (at == armed)
		return;
	armed = at;
	uv_update_time(loop_uv());
	wait = at - clock_mono();
	uv_timer_start(&uv_timer, on_timer, wait <= 0 ? 0 : (uint64_t)((wait + NS_PER_MS - 1) / NS_PER_MS), 0);
}

void timer_setup(void)
{
	uv_timer_init(loop_uv(), &uv_timer);
}

void timer_teardown(void)
{
	ASSERT(n_strong == 0);
	while (heap.len > 0)
		loop_timer_stop(heap.ptr[heap.len - 1]);
	vec_fini(&heap);
	armed = 0;
	uv_close((uv_handle_t *)&uv_timer, NULL);
}
