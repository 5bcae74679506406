/*
 * All we do with libuv: the loop, timers, deferred calls, jobs, child processes, descriptors to watch, signals; and,
 * in headers of their own that this one includes, tasks (loop/task.h) and byte streams (loop/stream.h).
 *
 * There is one loop per process, so no function takes it. Everything here belongs to the thread that called
 * loop_init(), except loop_post() and the work function of a job. No libuv type or code leaves this folder.
 *
 * Structs that are embedded (timer, call) are the caller's: zero-initialised, they must be stopped before their memory
 * goes. Handles that are returned are the loop's: close them once, synchronously; no callback comes afterwards.
 *
 * Simulation: after loop_sim(seed) nothing waits. Time stands still while anything is ready and then jumps to the next
 * timer; among things that are ready the order is random but repeats with the seed. Jobs run on the loop.
 *
 *	loop_init();
 *	loop_timer_start(&tick, NS_PER_S, on_tick, self);
 *	loop_run();                          // until loop_stop(), or until nothing is left to wait for
 *	loop_fini();
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <signal.h>
#include <sys/types.h>

#include "base/base.h"

void loop_init(void);
void loop_run(void);
void loop_stop(void);
void loop_fini(void); /* everything must be closed; finished streams close unsent; waits for job threads */

/* True once condition(arg) holds; false when the time is over or nothing is left to wait for. Real or virtual time. */
bool loop_run_until(bool (*condition)(void *arg), void *arg, int64_t ns);
void loop_run_for(int64_t ns);

bool loop_on_thread(void);
#define ASSERT_ON_LOOP() ASSERT(loop_on_thread())

/* From here on simulated, with both clocks starting at 1 s (mono) and at `now`. Before anything is started. */
void loop_sim(uint64_t seed, int64_t now);
bool loop_is_sim(void);

/* Something is expected that the loop cannot see (an answer from another thread): it does not end before unref. */
void loop_ref(void);
void loop_unref(void);

/* --- timers, on the mono clock --------------------------------------------------------------------------- */

struct loop_timer {
	int64_t at;    /* mono, ns */
	int64_t every; /* 0: one shot */
	void (*fn)(void *arg);
	void *arg;
	size_t slot;  /* 1 + place in the heap; 0: not running */
	uint64_t seq; /* among equals the older fires first */
	bool weak;    /* does not keep loop_run() going */
};

void loop_timer_start(struct loop_timer *timer, int64_t after_ns, void (*fn)(void *arg), void *arg); /* restarts */
void loop_timer_every(struct loop_timer *timer, int64_t every_ns, void (*fn)(void *arg), void *arg);
void loop_timer_stop(struct loop_timer *timer); /* harmless when not running */
static inline bool loop_timer_running(const struct loop_timer *timer)
{
	return timer->slot != 0;
}

/* --- deferred calls -------------------------------------------------------------------------------------- */

/* Runs soon on a fresh stack, within the same turn of the loop when possible. No order between calls is promised. */
struct loop_call {
	struct list link;
	void (*fn)(void *arg);
	void *arg;
	bool queued;
	bool heap;
};

void loop_call_soon(struct loop_call *call, void (*fn)(void *arg), void *arg); /* once, however often asked */
void loop_call_cancel(struct loop_call *call);
void loop_soon(void (*fn)(void *arg), void *arg); /* cannot be canceled */

/* From any thread: fn(arg) runs on the loop. Posts of one thread stay in order. */
void loop_post(void (*fn)(void *arg), void *arg);

/* --- a turn has 2 ms (architecture.md §5) ---------------------------------------------------------------- */

/* True when the running callback has used its 2 ms: long pure work stores its cursor and goes on by loop_call_soon().
 * Always false in a simulation. */
bool loop_over_budget(void);

struct loop_stats {
	uint64_t turns;
	uint64_t over_budget; /* turns that took more than 2 ms */
	int64_t longest;      /* ns */
	unsigned job_threads; /* alive now */
};
struct loop_stats loop_stats(void);

/* --- jobs: what blocks or computes for long -------------------------------------------------------------- */

struct loop_job;

/* work(in) runs on a thread of the pool and sees nothing but `in`; done(in, canceled) follows on the loop. Threads
 * start on first use and end after some idle seconds. */
struct loop_job *loop_job_start(void (*work)(void *in), void (*done)(void *in, bool canceled), void *in);
/* A job that has not begun never will; done still comes, later, with canceled set. One that runs goes on to its end. */
void loop_job_cancel(struct loop_job *job);

/* --- child processes ------------------------------------------------------------------------------------- */

struct loop_process;

struct loop_spawn {
	const char *file;        /* searched in PATH when it has no slash */
	const char *const *argv; /* NULL-terminated */
	const char *const *env;  /* NULL: ours */
	const char *cwd;         /* NULL: ours */
	const int *fds;          /* the child's 0, 1, 2 …: ours, borrowed; -1 is /dev/null (0-2) or closed */
	size_t n_fds;
	bool detached;                                     /* a session of its own; it survives us */
	void (*exited)(void *arg, int status, int signal); /* afterwards the handle is gone */
	void *arg;
};

struct error *loop_spawn(const struct loop_spawn *spawn, struct loop_process **out) MUST_CHECK;
pid_t loop_process_pid(const struct loop_process *process);
struct error *loop_process_kill(struct loop_process *process, int signal) MUST_CHECK;
void loop_process_forget(struct loop_process *process); /* goes on without us; exited is not called */

/* --- descriptors and signals ----------------------------------------------------------------------------- */

#define LOOP_READ   1
#define LOOP_WRITE  2
#define LOOP_HANGUP 4

struct loop_poll;

/* The descriptor stays the caller's and must be closed after loop_poll_close(). events may be 0: not watched now. */
struct loop_poll *loop_poll(int fd, int events, void (*fn)(void *arg, int events), void *arg);
void loop_poll_change(struct loop_poll *poll, int events);
void loop_poll_close(struct loop_poll *poll); /* NULL is fine */

struct loop_signal;

/* A watched signal does not keep loop_run() going. */
struct loop_signal *loop_signal(int signal, void (*fn)(void *arg, int signal), void *arg);
void loop_signal_close(struct loop_signal *signal); /* NULL is fine */

/* --- closing many things --------------------------------------------------------------------------------- */

/* Counts what is still open; the last one out calls back (on a fresh stack; at once when nothing is open). */
struct closegroup {
	size_t open;
	void (*closed)(void *arg);
	void *arg;
	struct loop_call call;
};

void closegroup_add(struct closegroup *group);
void closegroup_leave(struct closegroup *group);
void closegroup_wait(struct closegroup *group, void (*closed)(void *arg), void *arg);

#include "loop/stream.h"
#include "loop/task.h"

#endif
