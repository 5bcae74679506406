/*
 * The thread pool. Threads start when work waits or has just left none free, and end after some idle seconds, so that a quiet
 * process is one thread. Shared state is under one lock; results go back by loop_post().
 */
#include "loop/private.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define IDLE_SECONDS  5
#define MOST_THREADS  8
#define LEAST_THREADS 4

struct loop_job {
	struct list link;
	void (*work)(void *in);
	void (*done)(void *in, bool canceled);
	void *in;
	enum { WAITING, RUNNING, CANCELED } state;
	struct loop_call call; /* when it is done without a thread */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_waits, thread_ended;
static struct list queue;
static unsigned n_threads, n_idle, n_queued;
static unsigned most_threads;
static bool ending;

static void finish(void *arg)
{
	struct loop_job *job = arg;
	bool canceled = job->state == CANCELED;
	void (*done)(void *in, bool canceled) = job->done;
	void *in = job->in;

	free(job);
	loop_unref();
	done(in, canceled);
}

/* Waits for a job under the lock; NULL: the thread has been idle for long. */
static struct loop_job *next_job(void)
{
	struct timespec until;
	struct loop_job *job;
	int status = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	n_idle++;
	while (list_empty(&queue) && !ending && status == 0)
		status = pthread_cond_timedwait(&work_waits, &lock, &until);
	n_idle--;
	job = LIST_FIRST(&queue, struct loop_job, link);
	if (job != NULL) {
		list_remove(&job->link);
		n_queued--;
		job->state = RUNNING;
	}
	return job;
}

/* Under the lock: whether there shall be one more thread, which is counted already. Whoever takes a job sees to it that one is
 * left that waits, so the loop makes only the first. */
static bool one_more(void)
{
	if (n_queued < n_idle || n_threads >= most_threads)
		return false;
	n_threads++;
	return true;
}

static void start_thread(void);

static void *thread_main(void *arg)
{
	struct loop_job *job;
	bool more;

	(void)arg;
	pthread_mutex_lock(&lock);
	while ((job = next_job()) != NULL) {
		more = one_more();
		pthread_mutex_unlock(&lock);
		if (more)
			start_thread();
		job->work(job->in);
		loop_post(finish, job);
		pthread_mutex_lock(&lock);
	}
	n_threads--;
	pthread_cond_signal(&thread_ended);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Making one may have to wait for the others' memory, so it is not done under the lock, and on the loop only for the first. */
static void start_thread(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	bool made;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	made = pthread_create(&thread, &attr, thread_main, NULL) == 0;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (made)
		return;
	pthread_mutex_lock(&lock);
	n_threads--;
	ASSERT(n_threads > 0); /* with one, work is slow; with none it would hang */
	pthread_cond_signal(&thread_ended);
	pthread_mutex_unlock(&lock);
}

static void run_here(void *arg)
{
	struct loop_job *job = arg;

	if (job->state != CANCELED) {
		job->state = RUNNING;
		job->work(job->in);
	}
	finish(job);
}

struct loop_job *loop_job_start(void (*work)(void *in), void (*done)(void *in, bool canceled), void *in)
{
	struct loop_job *job = xcalloc(1, sizeof(*job));
	bool first;

	ASSERT_ON_LOOP();
	*job = (struct loop_job){ .work = work, .done = done, .in = in, .state = WAITING };
	loop_ref();
	list_init(&job->link);
	if (loop_is_sim()) {
		loop_call_soon(&job->call, run_here, job);
		return job;
	}
	pthread_mutex_lock(&lock);
	list_push(&queue, &job->link);
	n_queued++;
	first = n_threads == 0 && one_more();
	pthread_cond_signal(&work_waits);
	pthread_mutex_unlock(&lock);
	if (first)
		start_thread();
	return job;
}

void loop_job_cancel(struct loop_job *job)
{
	bool ours = false;

	ASSERT_ON_LOOP();
	pthread_mutex_lock(&lock);
	if (job->state == WAITING) {
		job->state = CANCELED;
		if (!loop_is_sim())
			n_queued--;
		list_remove(&job->link);
		ours = true;
	}
	pthread_mutex_unlock(&lock);
	if (ours && !loop_is_sim())
		loop_call_soon(&job->call, finish, job);
}

/* --- memory --- */

#define MUCH (1024 * 1024)

static void free_work(void *in)
{
	arena_free(in);
}

static void freed(void *in, bool canceled)
{
	if (canceled)
		arena_free(in);
}

void loop_arena_free(struct arena *arena)
{
	if (arena == NULL || arena_size(arena) < MUCH) {
		arena_free(arena);
		return;
	}
	arena_end(arena);
	loop_job_start(free_work, freed, arena);
}

/* --- lanes --- */

struct laned {
	struct list link;
	struct loop_lane *lane;
	void (*work)(void *in);
	void (*done)(void *in);
	void *in;
};

static void laned_work(void *in)
{
	struct laned *laned = in;

	laned->work(laned->in);
}

static void laned_done(void *in, bool canceled)
{
	struct laned now = *(struct laned *)in, *next = LIST_FIRST(&now.lane->waiting, struct laned, link);

	ASSERT(!canceled);
	free(in);
	now.lane->busy = next != NULL;
	if (next != NULL) {
		list_remove(&next->link);
		loop_job_start(laned_work, laned_done, next);
	}
	now.done(now.in);
}

void loop_lane_job(struct loop_lane *lane, void (*work)(void *in), void (*done)(void *in), void *in)
{
	struct laned *laned = xmalloc(sizeof(*laned));

	*laned = (struct laned){ .lane = lane, .work = work, .done = done, .in = in };
	if (lane->waiting.next == NULL)
		list_init(&lane->waiting);
	list_init(&laned->link);
	if (lane->busy) {
		list_push(&lane->waiting, &laned->link);
		return;
	}
	lane->busy = true;
	loop_job_start(laned_work, laned_done, laned);
}

unsigned job_threads(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = n_threads;
	pthread_mutex_unlock(&lock);
	return n;
}

void job_setup(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_condattr_t attr;

	/* Most of them wait for a disk or the kernel, so there may be more than CPUs. */
	most_threads = cpus < LEAST_THREADS ? LEAST_THREADS : cpus > MOST_THREADS ? MOST_THREADS : (unsigned)cpus;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&work_waits, &attr);
	pthread_cond_init(&thread_ended, &attr);
	pthread_condattr_destroy(&attr);
	list_init(&queue);
	ending = false;
}

void job_teardown(void)
{
	pthread_mutex_lock(&lock);
	ending = true;
	pthread_cond_broadcast(&work_waits);
	while (n_threads > 0)
		pthread_cond_wait(&thread_ended, &lock);
	ASSERT(list_empty(&queue));
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&work_waits);
	pthread_cond_destroy(&thread_ended);
}
