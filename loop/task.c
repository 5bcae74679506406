#include "loop/private.h"

#include <stdio.h>
#include <stdlib.h>

enum state { READY, WAITING, UNDO, UNDO_WAITING };

struct cancel {
	struct list link;
	void (*fn)(void *arg);
	void *arg;
};

struct task {
	struct list link; /* in tasks */
	struct task_options options;
	char *subject;
	struct arena *arena;
	enum state state;
	enum task_result result; /* what the current step returned */
	size_t at;               /* the current step */
	size_t completed;        /* steps 0 … completed-1 are done and not undone */
	size_t undo_to;          /* undoing stops here… */
	unsigned holds;          /* …that the current step has */
	unsigned held;           /* it took altogether */
	bool on_stack;           /* the runner is below us: it will see what changed */
	bool step_failed;        /* err came from the step, not from outside */
	bool holds_canceled;
	struct error *err;   /* the task fails with this */
	struct list cancels; /* struct cancel, of the current step */
	struct loop_timer deadline;
	int64_t started;
	int64_t step_started;
	char action[160];

	struct task *parent;      /* NULL: nobody's child */
	struct cancel *in_parent; /* how the parent cancels us; NULL once that is impossible */
	struct error *(*child_done)(void *arg, struct error *err);
};

static struct list tasks = { &tasks, &tasks };
static void (*observe)(void *arg, const struct task_boundary *boundary);
static void *observe_arg;

static bool run(struct task *task);

static bool undoing(const struct task *task)
{
	return task->state == UNDO || task->state == UNDO_WAITING;
}

static void boundary(struct task *task, const char *step, bool undo, int64_t took)
{
	struct task_boundary it = { task, task->options.name, task->subject, step, undo, took };

	if (observe != NULL)
		observe(observe_arg, &it);
}

static void name_action(struct task *task, const char *verb, const char *step)
{
	snprintf(task->action, sizeof(task->action), "%s%s%s: %s%s", task->options.name, task->subject != NULL ? " " : "",
		 task->subject != NULL ? task->subject : "", verb, step);
}

static void forget_cancels(struct task *task)
{
	LIST_EACH (&task->cancels, struct cancel, link, cancel) {
		list_remove(&cancel->link);
		free(cancel);
	}
}

static void on_deadline(void *arg)
{
	struct task *task = arg;

	task_cancel(task, error_new(ERR_TIMEOUT, "%s: deadline exceeded", task->action));
}

static struct task *make(const struct task_options *options)
{
	struct task *task = xcalloc(1, sizeof(*task));

	ASSERT_ON_LOOP();
	task->options = *options;
	task->subject = options->subject != NULL ? xstrdup(options->subject) : NULL;
	task->arena = options->arena != NULL ? options->arena : arena_new();
	task->started = task->step_started = clock_mono();
	list_init(&task->cancels);
	list_push(&tasks, &task->link);
	name_action(task, "", "start");
	if (options->timeout > 0)
		loop_timer_start(&task->deadline, options->timeout, on_deadline, task);
	return task;
}

struct task *task_start(const struct task_options *options)
{
	struct task *task;

	ASSERT(options->timeout > 0);
	task = make(options);
	return run(task) ? task : NULL;
}

static void cancel_child(void *arg)
{
	struct task *child = arg;

	child->in_parent = NULL;
	task_cancel(child, error_new(ERR_CANCELED, "%s: canceled with %s", child->action, child->parent->action));
}

void task_start_child(struct task *parent, const struct task_child_options *options)
{
	struct task *child = make(&options->task);

	child->parent = parent;
	child->child_done = options->done;
	task_hold(parent);
	if (!undoing(parent) && parent->err != NULL) {
		/* Canceled while it was still starting things: this one ends before its first step. */
		child->err = error_new(ERR_CANCELED, "%s: canceled with %s", child->action, parent->action);
	} else if (!undoing(parent)) {
		task_on_cancel(parent, cancel_child, child);
		child->in_parent = CONTAINER_OF(parent->cancels.prev, struct cancel, link);
	}
	run(child);
}

/* Last words: after this the task is gone. */
static void finish(struct task *task, struct error *err)
{
	struct task *parent = task->parent;

	loop_timer_stop(&task->deadline);
	list_remove(&task->link);
	forget_cancels(task);
	boundary(task, NULL, false, clock_mono() - task->started);
	trace_event(__FILE__, __LINE__, task->options.name, err != NULL ? (int64_t)err->kind : -1,
		    (clock_mono() - task->started) / 1000);
	if (parent == NULL) {
		task->options.done(task->options.arg, err);
	} else {
		if (task->in_parent != NULL) {
			list_remove(&task->in_parent->link);
			free(task->in_parent);
		}
		if (task->child_done != NULL)
			err = task->child_done(task->options.arg, err);
	}
	arena_free(task->arena);
	free(task->subject);
	free(task);
	if (parent != NULL)
		task_wake(parent, err);
}

/* --- the runner --- */

static void call(struct task *task, task_fn *fn, bool undo)
{
	const struct task_step *step = &task->options.steps[task->at];
	const char *previous, *part;

	name_action(task, undo ? "undo " : "", step->name);
	boundary(task, step->name, undo, clock_mono() - task->step_started);
	task->step_started = clock_mono();
	task->held = 0;
	task->holds_canceled = false;
	task->step_failed = false;
	previous = log_action(task->action);
	part = loop_part(task->action);
	task->result = fn(task, task->options.arg);
	loop_part(part);
	log_action(previous);
}

static void check_holds(const struct task *task)
{
	switch (task->result) {
	case TASK_WAIT:
	case TASK_AGAIN:
		ASSERT(task->held > 0); /* else nothing would ever wake it */
		break;
	case TASK_NEXT:
	case TASK_DONE:
	case TASK_GOTO:
		ASSERT(task->holds == 0); /* else something would wake a later step */
		break;
	case TASK_FAILED:
		ASSERT(task->err != NULL);
		break;
	}
}

static void cancel_holds(struct task *task)
{
	struct list batch;
	struct cancel *cancel;

	task->holds_canceled = true;
	list_init(&batch);
	while ((cancel = LIST_FIRST(&task->cancels, struct cancel, link)) != NULL && task->holds > 0) {
		struct cancel now = *cancel;

		list_remove(&cancel->link);
		free(cancel);
		now.fn(now.arg);
	}
}

static void step_ended(struct task *task)
{
	trace_event(__FILE__, __LINE__, task->options.steps[task->at].name, (int64_t)task->at,
		    (clock_mono() - task->step_started) / 1000);
	forget_cancels(task);
}

static void after_step(struct task *task)
{
	step_ended(task);
	if (task->err != NULL) {
		/* Canceled, but this step got through: it is undone like the others. */
		if (!task->step_failed && task->result != TASK_AGAIN && task->result != TASK_GOTO)
			task->completed = task->at + 1;
		task->undo_to = 0;
		task->state = UNDO;
		return;
	}
	task->state = READY;
	if (task->result == TASK_GOTO)
		task->state = UNDO;
	else if (task->result != TASK_AGAIN)
		task->completed = ++task->at;
}

/* What one round of the runner came to. */
enum round { ON, WAITS, GONE };

static enum round begin_step(struct task *task)
{
	const struct task_step *step = &task->options.steps[task->at];

	if (task->err != NULL) {
		task->undo_to = 0;
		task->state = UNDO;
		return ON;
	}
	if (step->name == NULL) {
		finish(task, NULL);
		return GONE;
	}
	call(task, step->run, false);
	check_holds(task);
	task->state = WAITING;
	return ON;
}

static enum round await_step(struct task *task)
{
	if (task->err != NULL && task->holds > 0 && !task->holds_canceled)
		cancel_holds(task);
	if (task->holds > 0)
		return WAITS;
	if (task->result == TASK_DONE && task->err == NULL) {
		step_ended(task);
		finish(task, NULL);
		return GONE;
	}
	after_step(task);
	return ON;
}

static enum round undo_step(struct task *task)
{
	const struct task_step *step;

	if (task->err != NULL)
		task->undo_to = 0;
	if (task->completed == task->undo_to) {
		if (task->err != NULL) {
			finish(task, task->err);
			return GONE;
		}
		task->at = task->undo_to;
		task->state = READY;
		return ON;
	}
	task->at = --task->completed;
	step = &task->options.steps[task->at];
	if (step->undo == NULL)
		return ON;
	call(task, step->undo, true);
	ASSERT(task->result == TASK_NEXT || task->result == TASK_WAIT);
	check_holds(task);
	task->state = UNDO_WAITING;
	return ON;
}

static enum round await_undo(struct task *task)
{
	if (task->holds > 0)
		return WAITS;
	step_ended(task);
	task->state = UNDO;
	return ON;
}

/* Goes on until the task waits or is gone; false when it is gone. */
static bool run(struct task *task)
{
	static enum round (*const rounds[])(struct task * task) = {
		[READY] = begin_step, [WAITING] = await_step, [UNDO] = undo_step, [UNDO_WAITING] = await_undo
	};
	enum round came;

	if (task->on_stack)
		return true;
	task->on_stack = true;
	do
		came = rounds[task->state](task);
	while (came == ON);
	if (came == GONE)
		return false;
	task->on_stack = false;
	return true;
}

/* --- what steps say --- */

void task_hold(struct task *task)
{
	ASSERT_ON_LOOP();
	task->holds++;
	task->held++;
}

/* Keeps the first error of a step; while undoing it is told to the log. */
static void take_error(struct task *task, struct error *err)
{
	if (undoing(task)) {
		const char *previous = log_action(task->action);

		log_consume(LOG_WARN, err, "undo failed");
		log_action(previous);
		return;
	}
	task->step_failed = true;
	if (task->err == NULL)
		task->err = err;
	else
		error_free(err);
}

void task_wake(struct task *task, struct error *err)
{
	ASSERT_ON_LOOP();
	ASSERT(task->holds > 0);
	task->holds--;
	if (err != NULL)
		take_error(task, err);
	run(task);
}

enum task_result task_fail(struct task *task, struct error *err)
{
	ASSERT(err != NULL);
	if (undoing(task)) {
		take_error(task, err);
		return TASK_NEXT;
	}
	take_error(task, err);
	return TASK_FAILED;
}

struct job {
	struct task *task;
	struct error *(*work)(void *in);
	void *in;
	struct error *err;
};

static void job_work(void *arg)
{
	struct job *job = arg;

	job->err = job->work(job->in);
}

static void job_done(void *arg)
{
	struct job now = *(struct job *)arg;

	free(arg);
	task_wake(now.task, now.err);
}

static void job_over(void *arg, bool canceled)
{
	ASSERT(!canceled);
	job_done(arg);
}

void task_work(struct task *task, struct loop_lane *lane, struct error *(*work)(void *in), void *in)
{
	struct job *job = xmalloc(sizeof(*job));

	*job = (struct job){ task, work, in, NULL };
	task_hold(task);
	if (lane != NULL)
		loop_lane_job(lane, job_work, job_done, job);
	else
		loop_job_start(job_work, job_over, job);
}

enum task_result task_job(struct task *task, struct loop_lane *lane, struct error *(*work)(void *in), void *in)
{
	task_work(task, lane, work, in);
	return TASK_WAIT;
}

enum task_result task_goto(struct task *task, task_fn *step)
{
	const struct task_step *steps = task->options.steps;

	for (size_t i = 0; i <= task->at; i++)
		if (steps[i].run == step) {
			task->undo_to = i;
			return TASK_GOTO;
		}
	ASSERT(!"task_goto: an earlier step");
	abort();
}

void task_on_cancel(struct task *task, void (*fn)(void *arg), void *arg)
{
	struct cancel *cancel = xcalloc(1, sizeof(*cancel));

	cancel->fn = fn;
	cancel->arg = arg;
	list_push(&task->cancels, &cancel->link);
	/* Too late for the round that was: this step was canceled while it was still starting things. */
	if (task->err != NULL && task->holds_canceled) {
		list_remove(&cancel->link);
		free(cancel);
		fn(arg);
	}
}

void task_cancel(struct task *task, struct error *err)
{
	ASSERT_ON_LOOP();
	ASSERT(err != NULL);
	if (task->err != NULL) {
		error_free(err);
		return;
	}
	task->err = err;
	run(task);
}

/* --- looking at tasks --- */

struct arena *task_arena(struct task *task)
{
	return task->arena;
}

void *task_arg(struct task *task)
{
	return task->options.arg;
}

int64_t task_deadline(const struct task *task)
{
	while (!loop_timer_running(&task->deadline) && task->parent != NULL)
		task = task->parent;
	return loop_timer_running(&task->deadline) ? task->deadline.at : INT64_MAX;
}

void task_set_deadline(struct task *task, int64_t mono)
{
	int64_t after = mono - clock_mono();

	loop_timer_start(&task->deadline, after > 0 ? after : 0, on_deadline, task);
}

const char *task_action(const struct task *task)
{
	return task->action;
}

void task_each(void (*fn)(void *arg, const struct task_info *info), void *arg)
{
	int64_t now = clock_mono();

	LIST_EACH (&tasks, struct task, link, task) {
		struct task_info info = { task->action, now - task->started, now - task->step_started, task->holds, undoing(task) };

		fn(arg, &info);
	}
}

void task_observe(void (*fn)(void *arg, const struct task_boundary *boundary), void *arg)
{
	observe = fn;
	observe_arg = arg;
}
