/*
 * A task is an operation that goes through steps: a table of named steps with their undo, run by one small runner.
 *
 *	static const struct task_step start_pod_steps[] = {
 *		{ "pull images",    pull_images,    NULL },
 *		{ "create sandbox", create_sandbox, remove_sandbox },
 *		{ NULL, NULL, NULL }
 *	};
 *	task_start(&(struct task_options){ .name = "start pod", .steps = start_pod_steps, .arg = pod,
 *					   .timeout = 120 * NS_PER_S, .done = pod_started });
 *
 *	static enum task_result pull_images(struct task *task, void *arg)
 *	{
 *		task_hold(task);
 *		image_pull(…, images_pulled, task);          // its completion calls task_wake(task, err)
 *		return TASK_WAIT;
 *	}
 *
 * Before starting something asynchronous a step takes a hold, whose completion wakes it; several holds run in parallel.
 * A completion may come before the starter returns. TASK_WAIT goes to the next step when the last hold is gone,
 * TASK_AGAIN runs the same step again. The runner asserts that these two hold something and the others hold nothing:
 * a lost continuation dies in the first test.
 *
 * A step fails by task_fail(), or because a wake carried an error (the first one counts; the other holds are canceled
 * and waited for). Then the undo column runs backwards over the steps that completed, asynchronously if it likes; an
 * error there is logged and undoing goes on. Cancellation and the deadline are failures from outside: the current
 * step's cancel functions run, its holds are waited for, a step that succeeded all the same counts as completed.
 *
 * done is called exactly once, with the error (owned by the callee) or NULL, possibly before task_start() returns;
 * then the task and its arena are gone. Loop thread only. A task is not for things that are *in* a state (fsm.h).
 */
#ifndef LOOP_TASK_H
#define LOOP_TASK_H

#include "base/base.h"

struct task;

enum task_result {
	TASK_NEXT,   /* this step is complete */
	TASK_WAIT,   /* it is when all holds are gone */
	TASK_AGAIN,  /* run it again when all holds are gone */
	TASK_DONE,   /* the whole task is complete */
	TASK_GOTO,   /* only as the value of task_goto() */
	TASK_FAILED, /* only as the value of task_fail() */
};

typedef enum task_result task_fn(struct task *task, void *arg);

struct task_step {
	const char *name;
	task_fn *run;
	task_fn *undo; /* NULL: nothing to undo; returns TASK_NEXT or TASK_WAIT */
};

struct task_options {
	const char *name;    /* what is being done: "start pod"; a literal */
	const char *subject; /* to what: "default/web"; copied, may be NULL */
	const struct task_step *steps;
	void *arg;           /* given to every step, undo and done */
	int64_t timeout;     /* ns from now; required: every task has a deadline (a child may have 0: its parent's) */
	struct arena *arena; /* moved to the task; NULL: it makes one */
	void (*done)(void *arg, struct error *err);
};

/* Runs until the first wait. The pointer is valid until done was called; NULL when that happened already. */
struct task *task_start(const struct task_options *options);
/* A task on behalf of a step of another: takes a hold of the parent and wakes it with the child's error in context;
 * canceled with it, and bound by its deadline. done is optional and comes before the parent wakes; it may take
 * the error away by returning NULL. */
struct task_child_options {
	struct task_options task; /* .done is not used */
	struct error *(*done)(void *arg, struct error *err);
};
void task_start_child(struct task *parent, const struct task_child_options *options);

/* For steps and their completions. */
void task_hold(struct task *task);
void task_wake(struct task *task, struct error *err); /* takes err */
enum task_result task_fail(struct task *task, struct error *err) MUST_CHECK;
/* Undoes the completed steps back to and including that one (named by its function), then runs it again. */
enum task_result task_goto(struct task *task, task_fn *step) MUST_CHECK;
/* The step is work that blocks or takes long: it runs on a thread of the pool, which sees nothing but `in`, and its error is the
 * step's. In the lane, when there is one, after the jobs before it. It is not canceled, but waited for. */
struct loop_lane;
enum task_result task_job(struct task *task, struct loop_lane *lane, struct error *(*work)(void *in), void *in) MUST_CHECK;
/* The same for a completion: one hold more. */
void task_work(struct task *task, struct loop_lane *lane, struct error *(*work)(void *in), void *in);
/* What to do when the current step is canceled while it waits; must lead to its holds being woken. May be called for
 * each thing the step started. Forgotten when the step ends. */
void task_on_cancel(struct task *task, void (*fn)(void *arg), void *arg);

/* From outside (the client went away): takes err, which done will get after the undo. The first reason counts. No
 * effect once the task is undoing. */
void task_cancel(struct task *task, struct error *err);

struct arena *task_arena(struct task *task);
void *task_arg(struct task *task);
int64_t task_deadline(const struct task *task); /* mono */
/* Moves the deadline, e.g. when a request turns out to be a watch. */
void task_set_deadline(struct task *task, int64_t mono);
const char *task_action(const struct task *task); /* "start pod default/web: pull images"; also the log's action */

/* Where each task is: for status and for debugging. */
struct task_info {
	const char *action;
	int64_t running; /* ns since task_start */
	int64_t in_step; /* ns since the step began */
	unsigned holds;
	bool undoing;
};
void task_each(void (*fn)(void *arg, const struct task_info *info), void *arg);

/* Called at every boundary: before a step runs, before it is undone, and with step NULL at the end. For crash tests and
 * timelines; took is the duration of what ended here, ns. One observer, NULL to remove. */
struct task_boundary {
	struct task *handle; /* to cancel it there; not at the end */
	const char *task;
	const char *subject;
	const char *step;
	bool undo;
	int64_t took;
};
void task_observe(void (*fn)(void *arg, const struct task_boundary *boundary), void *arg);

#endif
