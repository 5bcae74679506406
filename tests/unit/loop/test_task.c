#include "loop/loop.h"
#include "tests/unit/tap.h"

/* A world in which steps say what they do; word by word in `log`. */
struct world {
	struct buf log;
	struct task *task;
	struct loop_timer timers[4];
	int rounds;
	int holds_left;
	bool ended;
	enum error_kind kind;
	bool failed;
};

#define SAY(world, text) buf_printf(&(world)->log, "%s ", (text))

static void ended(void *arg, struct error *err)
{
	struct world *world = arg;

	CHECK(!world->ended);
	world->ended = true;
	world->failed = err != NULL;
	if (err != NULL)
		world->kind = err->kind;
	error_free(err);
}

static void wake_ok(void *arg)
{
	task_wake(arg, NULL);
}

static void wake_error(void *arg)
{
	task_wake(arg, error_new(ERR_CONFLICT, "lost the race"));
}

static void later(struct world *world, struct task *task, int i, int ms, void (*fn)(void *arg))
{
	task_hold(task);
	loop_timer_start(&world->timers[i], ms * NS_PER_MS, fn, task);
}

#define STEP(name, ...)                                                                                                            \
	static enum task_result name(struct task *task, void *arg)                                                                 \
	{                                                                                                                          \
		struct world *world = arg;                                                                                         \
		(void)task;                                                                                                        \
		SAY(world, #name);                                                                                                 \
		__VA_ARGS__                                                                                                        \
	}

STEP(one, return TASK_NEXT;)
STEP(two, later(world, task, 0, 1, wake_ok); return TASK_WAIT;)
STEP(three, later(world, task, 0, 1, wake_ok); later(world, task, 1, 2, wake_ok); return TASK_WAIT;)
STEP(un_one, return TASK_NEXT;)
STEP(un_two, later(world, task, 0, 1, wake_ok); return TASK_WAIT;)
STEP(un_three, later(world, task, 0, 1, wake_error); return TASK_WAIT;)
STEP(fails, return task_fail(task, error_new(ERR_INVALID, "no"));)
STEP(fails_later, later(world, task, 0, 1, wake_error); later(world, task, 1, 20, wake_ok); return TASK_WAIT;)
STEP(back_twice, return ++world->rounds <= 2 ? task_goto(task, two) : TASK_NEXT;)
STEP(early, return TASK_DONE;)
STEP(never_reached, CHECK(false); return TASK_NEXT;)
STEP(slow, later(world, task, 0, 1000, wake_ok); return TASK_WAIT;)

static struct task *start(struct world *world, const struct task_step *steps, int64_t timeout)
{
	loop_init();
	loop_sim(1, 0);
	world->task = task_start(&(struct task_options){
		.name = "test", .subject = "it", .steps = steps, .arg = world, .timeout = timeout, .done = ended });
	return world->task;
}

static void finish(struct world *world, const char *log)
{
	loop_run();
	CHECK(world->ended);
	CHECK_STR(buf_str(&world->log), log);
	buf_fini(&world->log);
	loop_fini();
}

TEST(task_goes_through_its_steps)
{
	static const struct task_step steps[] = {
		{ "one", one, un_one }, { "two", two, un_two }, { "three", three, NULL }, { NULL, NULL, NULL }
	};
	struct world world = { .rounds = 0 };

	start(&world, steps, NS_PER_S);
	CHECK_STR(task_action(world.task), "test it: two");
	finish(&world, "one two three ");
	CHECK(!world.failed);
}

TEST(task_undoes_what_was_done_when_a_step_fails)
{
	static const struct task_step steps[] = { { "one", one, un_one },     { "two", two, un_two },
						  { "nothing", one, NULL },   { "three", three, un_three },
						  { "fails", fails, un_one }, { "never", never_reached, NULL },
						  { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	start(&world, steps, NS_PER_S);
	/* An error of un_three is logged and does not stop the others. */
	finish(&world, "one two one three fails un_three un_two un_one ");
	CHECK(world.failed);
	CHECK_EQ(world.kind, ERR_INVALID);
}

TEST(task_waits_for_all_holds_before_it_undoes)
{
	static const struct task_step steps[] = { { "one", one, un_one },
						  { "fails later", fails_later, un_two },
						  { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	start(&world, steps, NS_PER_S);
	loop_run_for(10 * NS_PER_MS);
	CHECK(!world.ended);
	finish(&world, "one fails_later un_one ");
	CHECK_EQ(world.kind, ERR_CONFLICT);
}

TEST(task_goes_back_and_undoes_on_the_way)
{
	static const struct task_step steps[] = { { "one", one, un_one },   { "two", two, un_two },
						  { "three", three, NULL }, { "back", back_twice, NULL },
						  { "early", early, NULL }, { "never", never_reached, NULL },
						  { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	start(&world, steps, NS_PER_S);
	finish(&world, "one two three back_twice un_two two three back_twice un_two two three back_twice early ");
	CHECK(!world.failed);
}

TEST(task_is_canceled_at_its_deadline)
{
	static const struct task_step steps[] = {
		{ "one", one, un_one }, { "slow", slow, un_two }, { "never", never_reached, NULL }, { NULL, NULL, NULL }
	};
	struct world world = { .rounds = 0 };

	start(&world, steps, 5 * NS_PER_MS);
	/* slow has no cancel function, so it is waited for; it succeeded, so it is undone. */
	finish(&world, "one slow un_two un_one ");
	CHECK_EQ(world.kind, ERR_TIMEOUT);
}

static void stop_waiting(void *arg)
{
	struct world *world = arg;

	SAY(world, "cancel");
	loop_timer_stop(&world->timers[0]);
	task_wake(world->task, error_new(ERR_CANCELED, "stopped"));
}

STEP(cancelable, later(world, task, 0, 1000, wake_ok); task_on_cancel(task, stop_waiting, world); return TASK_WAIT;)

TEST(task_cancels_what_its_step_waits_for)
{
	static const struct task_step steps[] = { { "one", one, un_one },
						  { "cancelable", cancelable, un_two },
						  { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	start(&world, steps, NS_PER_S);
	task_cancel(world.task, error_new(ERR_CANCELED, "the client went away"));
	CHECK(world.ended);
	finish(&world, "one cancelable cancel un_one ");
	CHECK_EQ(world.kind, ERR_CANCELED);
	CHECK_EQ(clock_mono() < NS_PER_S, false);
}

STEP(at_once, task_hold(task); task_wake(task, NULL); return ++world->rounds < 1000000 ? TASK_AGAIN : TASK_WAIT;)

TEST(task_keeps_its_stack_flat)
{
	static const struct task_step steps[] = { { "at once", at_once, NULL }, { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	CHECK(start(&world, steps, NS_PER_S) == NULL);
	CHECK(world.ended && !world.failed);
	CHECK_EQ(world.rounds, 1000000);
	buf_fini(&world.log);
	loop_fini();
}

/* --- children --- */

static const struct task_step child_steps[] = { { "two", two, NULL }, { NULL, NULL, NULL } };
static const struct task_step failing_steps[] = { { "two", two, un_one }, { "fails", fails, NULL }, { NULL, NULL, NULL } };
static struct world child_world;

static struct error *child_ended(void *arg, struct error *err)
{
	SAY((struct world *)arg, "child-ended");
	return err;
}

static struct error *child_forgiven(void *arg, struct error *err)
{
	(void)arg;
	error_free(err);
	return NULL;
}

static void with_child(struct task *task, const struct task_step *steps, struct error *(*done)(void *, struct error *))
{
	task_start_child(task, &(struct task_child_options){ .task = { .name = "child", .steps = steps, .arg = &child_world },
							     .done = done });
}

STEP(runs_child, with_child(task, child_steps, child_ended); return TASK_WAIT;)
STEP(runs_bad_child, with_child(task, failing_steps, child_ended); return TASK_WAIT;)
STEP(forgives_child, with_child(task, failing_steps, child_forgiven); return TASK_WAIT;)

static struct error *endless_ended(void *arg, struct error *err)
{
	((struct world *)arg)->kind = err->kind;
	return err;
}

static void stop_child(void *arg)
{
	struct world *world = arg;

	SAY(world, "child-cancel");
	loop_timer_stop(&world->timers[0]);
	task_wake(world->task, NULL);
}

static enum task_result child_waits(struct task *task, void *arg)
{
	struct world *world = arg;

	world->task = task;
	task_hold(task);
	task_on_cancel(task, stop_child, world);
	return TASK_WAIT;
}

static const struct task_step waiting_steps[] = { { "waits", child_waits, un_one }, { NULL, NULL, NULL } };

STEP(runs_endless_child, with_child(task, waiting_steps, endless_ended); return TASK_WAIT;)

TEST(child_wakes_its_parent)
{
	static const struct task_step steps[] = { { "child", runs_child, NULL }, { "one", one, NULL }, { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	memset(&child_world, 0, sizeof(child_world));
	start(&world, steps, NS_PER_S);
	finish(&world, "runs_child one ");
	CHECK_STR(buf_str(&child_world.log), "two child-ended ");
	buf_fini(&child_world.log);
}

TEST(failed_child_fails_its_parent_unless_forgiven)
{
	static const struct task_step steps[] = { { "forgives", forgives_child, NULL },
						  { "one", one, un_one },
						  { "child", runs_bad_child, NULL },
						  { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	memset(&child_world, 0, sizeof(child_world));
	start(&world, steps, NS_PER_S);
	finish(&world, "forgives_child one runs_bad_child un_one ");
	CHECK_EQ(world.kind, ERR_INVALID);
	CHECK_STR(buf_str(&child_world.log), "two fails un_one two fails un_one child-ended ");
	buf_fini(&child_world.log);
}

TEST(child_is_canceled_with_its_parent)
{
	static const struct task_step steps[] = { { "child", runs_endless_child, un_two }, { NULL, NULL, NULL } };
	struct world world = { .rounds = 0 };

	memset(&child_world, 0, sizeof(child_world));
	start(&world, steps, 7 * NS_PER_MS);
	finish(&world, "runs_endless_child ");
	CHECK_EQ(world.kind, ERR_TIMEOUT);
	CHECK_EQ(child_world.kind, ERR_CANCELED);
	CHECK_STR(buf_str(&child_world.log), "child-cancel un_one ");
	buf_fini(&child_world.log);
}

/* --- what is seen from outside --- */

static void on_boundary(void *arg, const struct task_boundary *boundary)
{
	buf_printf(arg, "%s%s ", boundary->undo ? "undo:" : "", boundary->step != NULL ? boundary->step : "end");
}

static void count_task(void *arg, const struct task_info *info)
{
	CHECK_STR(info->action, "test it: slow");
	CHECK_EQ(info->holds, 1);
	++*(int *)arg;
}

TEST(boundaries_are_observed_and_tasks_listed)
{
	static const struct task_step steps[] = {
		{ "one", one, un_one }, { "slow", slow, NULL }, { "bad", fails, NULL }, { NULL, NULL, NULL }
	};
	struct world world = { .rounds = 0 };
	struct buf boundaries = { 0 };
	int n = 0;

	task_observe(on_boundary, &boundaries);
	start(&world, steps, 5 * NS_PER_S);
	task_each(count_task, &n);
	CHECK_EQ(n, 1);
	CHECK_EQ(task_deadline(world.task), 6 * NS_PER_S);
	finish(&world, "one slow fails un_one ");
	CHECK_STR(buf_str(&boundaries), "one slow bad undo:one end ");
	task_observe(NULL, NULL);
	buf_fini(&boundaries);
}
