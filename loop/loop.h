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

/* --- names ------------------------------------------------------------------------------------------------- */

/* Whatever the loop will call bears the name of its function, so that a turn that took too long can say what it did. */
#define LOOP_NAME(fn) __FILE__ ":" #fn

/* --- timers, on the mono clock --------------------------------------------------------------------------- */

struct loop_timer {
	int64_t at;    /* mono, ns */
	int64_t every; /* 0: one shot */
	const char *name;
	void (*fn)(void *arg);
	void *arg;
	size_t slot;  /* 1 + place in the heap; 0: not running */
	uint64_t seq; /* among equals the older fires first */
	bool weak;    /* does not keep loop_run() going */
};

/* loop_timer_start(timer, after_ns, fn, arg): once; restarts one that runs. loop_timer_every(): again and again. */
#define loop_timer_start(timer, ns, fn, arg) loop_timer_start_as(LOOP_NAME(fn), (timer), (ns), (fn), (arg))
#define loop_timer_every(timer, ns, fn, arg) loop_timer_every_as(LOOP_NAME(fn), (timer), (ns), (fn), (arg))
void loop_timer_start_as(const char *name, struct loop_timer *timer, int64_t after_ns, void (*fn)(void *arg), void *arg);
void loop_timer_every_as(const char *name, struct loop_timer *timer, int64_t every_ns, void (*fn)(void *arg), void *arg);
void loop_timer_stop(struct loop_timer *timer); /* harmless when not running */
static inline bool loop_timer_running(const struct loop_timer *timer)
{
	return timer->slot != 0;
}

/* --- deferred calls -------------------------------------------------------------------------------------- */

/* Runs soon on a fresh stack, within the same turn of the loop when possible. No order between calls is promised. */
struct loop_call {
	struct list link;
	const char *name;
	void (*fn)(void *arg);
	void *arg;
	bool queued;
	bool heap;
};

#define loop_call_soon(call, fn, arg) loop_call_soon_as(LOOP_NAME(fn), (call), (fn), (arg)) /* once, however often asked */
#define loop_soon(fn, arg)            loop_soon_as(LOOP_NAME(fn), (fn), (arg))              /* cannot be canceled */
/* The same, behind all others: for what may be long and many, as the components' own work is, so that it does not keep those
 * waiting who are at a connection's other end. */
#define loop_call_behind(call, fn, arg) loop_call_behind_as(LOOP_NAME(fn), (call), (fn), (arg))
void loop_call_soon_as(const char *name, struct loop_call *call, void (*fn)(void *arg), void *arg);
void loop_call_behind_as(const char *name, struct loop_call *call, void (*fn)(void *arg), void *arg);
void loop_call_cancel(struct loop_call *call);
void loop_soon_as(const char *name, void (*fn)(void *arg), void *arg);

/* From any thread: fn(arg) runs on the loop. Posts of one thread stay in order. */
#define loop_post(fn, arg) loop_post_as(LOOP_NAME(fn), (fn), (arg))
void loop_post_as(const char *name, void (*fn)(void *arg), void *arg);

/* --- a turn has 2 ms (architecture.md §5) ---------------------------------------------------------------- */

/* True when this turn has worked for its share: long pure work stores its cursor and goes on by loop_call_soon(). The loop
 * asks, too: calls, posts, timers and readable streams that are left wait for the next turn. So each of them has to do one
 * unit before it asks. In a simulation it is true at random. */
bool loop_over_budget(void);

/* Names a part of what the running callback does, in place of the previous part, which is returned to be set again at the
 * end. Borrowed until then. Tasks name their steps. */
const char *loop_part(const char *name);

/* A turn that took more than 2 ms; ns. */
struct loop_turn {
	int64_t at; /* now, at its end */
	int64_t wall;
	int64_t cpu;        /* of the loop thread */
	int64_t held;       /* what counts: cpu, or wall when it was blocked */
	unsigned blocked;   /* how often it gave the CPU away: a disk, a lock */
	unsigned preempted; /* how often others took it */
	unsigned pieces;    /* callbacks */
	const char *piece;  /* the longest of them: "FILE:FUNCTION" */
	int64_t piece_took;
	char part[160]; /* the longest named part of any: "create pods default/web: decode"; may be empty */
	int64_t part_took;
};

#define LOOP_TURNS_KEPT 32

/* Those that held the loop longest, the longest first; valid until the next turn ends. */
size_t loop_turns(const struct loop_turn **out);

struct loop_stats {
	uint64_t turns;
	uint64_t over_budget; /* turns that held the loop for more than 2 ms */
	uint64_t preempted;   /* that took more than 2 ms only because others had the CPU */
	int64_t longest;      /* held, ns */
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

/* As arena_free(), and soon: giving much memory back takes longer than a turn may, so a thread does it. */
void loop_arena_free(struct arena *arena);

/* Jobs that must not run at the same time, because they use the same thing: each begins when the one before it has ended. All
 * zero at first; its owner keeps it until the last one is done. */
struct loop_lane {
	struct list waiting; /* struct laned */
	bool busy;
};

void loop_lane_job(struct loop_lane *lane, void (*work)(void *in), void (*done)(void *in), void *in);

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
#define loop_poll(fd, events, fn, arg) loop_poll_as(LOOP_NAME(fn), (fd), (events), (fn), (arg))
struct loop_poll *loop_poll_as(const char *name, int fd, int events, void (*fn)(void *arg, int events), void *arg);
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
