#include "loop/private.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct post {
	const char *name;
	void (*fn)(void *arg);
	void *arg;
};

static struct {
	uv_loop_t uv;
	bool open;
	bool sim;
	bool stopping;
	pthread_t thread;
	struct list calls;  /* struct loop_call, in order */
	struct list behind; /* those of loop_call_behind() */
	size_t n_calls;
	uv_idle_t idle;       /* active while calls wait: the poll must not block */
	uv_prepare_t prepare; /* before the poll */
	uv_check_t check;     /* runs calls that callbacks of the poll asked for, in the same turn */
	uv_async_t async;     /* another thread posted */
	unsigned refs;
	VEC(struct post) posted; /* taken from posts, of which some have had their turn */
	size_t n_had;
} loop;

/* Written by other threads. */
static pthread_mutex_t posts_lock = PTHREAD_MUTEX_INITIALIZER;
static VEC(struct post) posts;

uv_loop_t *loop_uv(void)
{
	ASSERT(loop.open);
	return &loop.uv;
}

bool loop_on_thread(void)
{
	return loop.open && pthread_equal(loop.thread, pthread_self());
}

bool loop_is_sim(void)
{
	return loop.sim;
}

struct error *uv_failure_at(const char *file, int line, int status, const char *format, ...)
{
	char what[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	/* On Linux libuv's codes are negated errno, except a few of its own beyond 3000. */
	if (status < -1000)
		return error_make(file, line, ERR_NETWORK, 0, "%s: %s", what, uv_strerror(status));
	return error_from_errno(file, line, -status, "%s", what);
}

/* --- deferred calls --- */

static void call_run(struct loop_call *call)
{
	struct loop_call now = *call;

	loop_call_cancel(call);
	if (now.heap)
		free(call);
	turn_piece(now.name);
	now.fn(now.arg);
}

/* Those that wait, in order, at least so many, until the slice is used up; the others keep their place. */
static void calls_run(struct list *calls, unsigned least)
{
	struct list batch;
	struct loop_call *call;

	turn_slice();
	if (list_empty(calls))
		return;
	/* What is asked for from now on runs in the next round, so that a call that asks for itself starves nobody. */
	batch = *calls;
	batch.next->prev = &batch;
	batch.prev->next = &batch;
	list_init(calls);
	for (unsigned n = 0; (call = LIST_FIRST(&batch, struct loop_call, link)) != NULL; n++) {
		if (n >= least && loop_over_budget())
			break;
		call_run(call);
	}
	list_splice(calls, &batch);
}

static void on_idle(uv_idle_t *handle)
{
	calls_run(&loop.calls, 1);
	calls_run(&loop.behind, 1);
	if (loop.n_calls == 0)
		uv_idle_stop(handle);
}

static void on_prepare(uv_prepare_t *handle)
{
	(void)handle;
	turn_slice();
}

static void on_check(uv_check_t *handle)
{
	(void)handle;
	/* What they ask for here has its turn in the next one, where everything else has, too. */
	calls_run(&loop.calls, 0);
}

static void enqueue(const char *name, struct list *calls, struct loop_call *call, void (*fn)(void *arg), void *arg)
{
	ASSERT_ON_LOOP();
	call->name = name;
	call->fn = fn;
	call->arg = arg;
	if (call->queued)
		return;
	call->queued = true;
	list_push(calls, &call->link);
	loop.n_calls++;
	if (!loop.sim)
		uv_idle_start(&loop.idle, on_idle);
}

void loop_call_soon_as(const char *name, struct loop_call *call, void (*fn)(void *arg), void *arg)
{
	enqueue(name, &loop.calls, call, fn, arg);
}

void loop_call_behind_as(const char *name, struct loop_call *call, void (*fn)(void *arg), void *arg)
{
	enqueue(name, &loop.behind, call, fn, arg);
}

void loop_call_cancel(struct loop_call *call)
{
	ASSERT_ON_LOOP();
	if (!call->queued)
		return;
	call->queued = false;
	list_remove(&call->link);
	loop.n_calls--;
}

void loop_soon_as(const char *name, void (*fn)(void *arg), void *arg)
{
	struct loop_call *call = xcalloc(1, sizeof(*call));

	call->heap = true;
	enqueue(name, &loop.calls, call, fn, arg);
}

size_t calls_waiting(void)
{
	return loop.n_calls;
}

void calls_run_nth(size_t n)
{
	struct list *link = loop.calls.next;
	struct loop_call *call, now;

	while (link != &loop.calls && n > 0) {
		link = link->next;
		n--;
	}
	if (link == &loop.calls)
		for (link = loop.behind.next; n > 0; n--)
			link = link->next;
	call = CONTAINER_OF(link, struct loop_call, link);
	now = *call;
	loop_call_cancel(call);
	if (now.heap)
		free(call);
	now.fn(now.arg);
}

/* --- posts from other threads --- */

/* The next one; what came since the last look is taken when nothing is left of what was taken before. */
static bool next_post(struct post *out)
{
	if (loop.n_had == loop.posted.len) {
		vec_clear(&loop.posted);
		loop.n_had = 0;
		pthread_mutex_lock(&posts_lock);
		for (size_t i = 0; i < posts.len; i++)
			vec_push(&loop.posted, posts.ptr[i]);
		vec_clear(&posts);
		pthread_mutex_unlock(&posts_lock);
	}
	if (loop.n_had == loop.posted.len)
		return false;
	*out = loop.posted.ptr[loop.n_had++];
	return true;
}

/* One signal may stand for many posts: this ends with none left, or signals itself. */
static void on_async(uv_async_t *handle)
{
	struct post post;

	(void)handle;
	turn_slice();
	while (next_post(&post)) {
		turn_piece(post.name);
		post.fn(post.arg);
		if (loop_over_budget()) {
			uv_async_send(&loop.async);
			break;
		}
	}
	turn_slice();
}

void loop_post_as(const char *name, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&posts_lock);
	vec_push(&posts, (struct post){ name, fn, arg });
	/* Under the lock, so that loop_fini() cannot close the handle between. */
	uv_async_send(&loop.async);
	pthread_mutex_unlock(&posts_lock);
}

void loop_ref(void)
{
	ASSERT_ON_LOOP();
	if (loop.refs++ == 0)
		uv_ref((uv_handle_t *)&loop.async);
}

void loop_unref(void)
{
	ASSERT_ON_LOOP();
	ASSERT(loop.refs > 0);
	if (--loop.refs == 0)
		uv_unref((uv_handle_t *)&loop.async);
}

/* --- running --- */

void loop_init(void)
{
	int status;

	ASSERT(!loop.open);
	memset(&loop, 0, sizeof(loop));
	status = uv_loop_init(&loop.uv);
	ASSERT(status == 0);
	loop.open = true;
	loop.thread = pthread_self();
	list_init(&loop.calls);
	list_init(&loop.behind);
	uv_idle_init(&loop.uv, &loop.idle);
	uv_prepare_init(&loop.uv, &loop.prepare);
	uv_prepare_start(&loop.prepare, on_prepare);
	uv_unref((uv_handle_t *)&loop.prepare);
	uv_check_init(&loop.uv, &loop.check);
	uv_check_start(&loop.check, on_check);
	uv_unref((uv_handle_t *)&loop.check);
	uv_async_init(&loop.uv, &loop.async, on_async);
	uv_unref((uv_handle_t *)&loop.async);
	turn_setup();
	timer_setup();
	job_setup();
	/* A peer that is gone is an error of one write, not of the process. */
	signal(SIGPIPE, SIG_IGN);
}

void loop_sim(uint64_t seed, int64_t now)
{
	ASSERT_ON_LOOP();
	ASSERT(loop.n_calls == 0 && !timer_strong());
	loop.sim = true;
	sim_seed(seed);
	clock_sim(NS_PER_S, now);
}

/* One round of libuv; false when nothing is left to wait for. */
static bool turn(void)
{
	timer_arm();
	if (loop.n_calls == 0 && !timer_strong() && !uv_loop_alive(&loop.uv))
		return false;
	uv_run(&loop.uv, UV_RUN_ONCE);
	turn_end();
	return true;
}

void loop_run(void)
{
	ASSERT_ON_LOOP();
	loop.stopping = false;
	while (!loop.stopping && (loop.sim ? sim_turn(INT64_MAX) : turn()))
		;
}

static void nothing(void *arg)
{
	(void)arg;
}

bool loop_run_until(bool (*condition)(void *arg), void *arg, int64_t ns)
{
	struct loop_timer limit = { .weak = true };
	int64_t end = clock_mono() + ns;
	bool met;

	ASSERT_ON_LOOP();
	loop.stopping = false;
	loop_timer_start(&limit, ns, nothing, NULL);
	while (!(met = condition(arg)) && clock_mono() < end && !loop.stopping)
		if (!(loop.sim ? sim_turn(end) : turn()))
			break;
	loop_timer_stop(&limit);
	return met;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

void loop_run_for(int64_t ns)
{
	int64_t end = clock_mono() + ns;

	loop_run_until(never, NULL, ns);
	if (loop.sim && clock_mono() < end)
		clock_sim_step(end - clock_mono());
}

void loop_stop(void)
{
	ASSERT_ON_LOOP();
	loop.stopping = true;
	/* The turn that runs may be about to wait. */
	uv_async_send(&loop.async);
}

static void on_leaked(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		log_error("loop: left open", "type=%s", uv_handle_type_name(uv_handle_get_type(handle)));
}

void loop_fini(void)
{
	int status = 0;

	ASSERT_ON_LOOP();
	job_teardown();
	/* Frees of closed streams and posts of threads that have ended still wait as calls. */
	do
		on_async(&loop.async);
	while (loop.n_had < loop.posted.len);
	for (int i = 0; i < 100 && loop.n_calls > 0; i++) {
		calls_run(&loop.calls, UINT_MAX);
		calls_run(&loop.behind, UINT_MAX);
	}
	stream_teardown();
	timer_teardown();
	pthread_mutex_lock(&posts_lock);
	vec_fini(&posts);
	vec_fini(&loop.posted);
	uv_close((uv_handle_t *)&loop.idle, NULL);
	uv_close((uv_handle_t *)&loop.prepare, NULL);
	uv_close((uv_handle_t *)&loop.check, NULL);
	uv_close((uv_handle_t *)&loop.async, NULL);
	pthread_mutex_unlock(&posts_lock);
	/* What was closed needs a round or two; what was left open would never end. */
	for (int i = 0; i < 100 && (status = uv_loop_close(&loop.uv)) != 0; i++)
		uv_run(&loop.uv, UV_RUN_NOWAIT);
	if (status != 0)
		uv_walk(&loop.uv, on_leaked, NULL);
	ASSERT(status == 0);
	if (loop.sim)
		clock_sim_end();
	loop.open = false;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void close_and_free(uv_handle_t *handle)
{
	uv_close(handle, on_closed);
}
