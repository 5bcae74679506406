/* What turns took, and that the loop divides what is ready among them. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "loop/private.h"
#include "tests/unit/tap.h"

static int64_t thread_cpu(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void spin(int64_t ns)
{
	int64_t end = thread_cpu() + ns;

	while (thread_cpu() < end)
		;
}

static void spin_long(void *arg)
{
	(void)arg;
	spin(5 * NS_PER_MS);
}

static void rest(void *arg)
{
	(void)arg;
	usleep(5000);
}

static const struct loop_turn *only_turn(void)
{
	const struct loop_turn *turns;

	CHECK_EQ(loop_turns(&turns), 1);
	return &turns[0];
}

TEST(a_long_turn_tells_what_it_did)
{
	const struct loop_turn *turn;

	loop_init();
	loop_soon(spin_long, NULL);
	loop_run();
	turn = only_turn();
	CHECK_EQ(loop_stats().over_budget, 1);
	CHECK(turn->cpu > 4 * NS_PER_MS && turn->held > 4 * NS_PER_MS && turn->wall >= 5 * NS_PER_MS);
	CHECK(loop_stats().longest == turn->held);
	CHECK(turn->piece_took >= 5 * NS_PER_MS);
	CHECK_STR(str_from(turn->piece), "tests/unit/loop/test_turn.c:spin_long");
	CHECK_STR(str_from(turn->part), "");
	loop_fini();
}

TEST(a_turn_that_was_blocked_counts_as_long_as_it_was)
{
	const struct loop_turn *turn;

	loop_init();
	loop_soon(rest, NULL);
	loop_run();
	turn = only_turn();
	CHECK_EQ(loop_stats().over_budget, 1);
	CHECK(turn->blocked > 0 && turn->held == turn->wall && turn->wall >= 5 * NS_PER_MS);
	CHECK(turn->cpu < 5 * NS_PER_MS);
	loop_fini();
}

/* --- a task names its steps --- */

static enum task_result quick(struct task *task, void *arg)
{
	(void)task;
	(void)arg;
	return TASK_NEXT;
}

static enum task_result slow(struct task *task, void *arg)
{
	(void)task;
	spin_long(arg);
	return TASK_NEXT;
}

static void task_ended(void *arg, struct error *err)
{
	(void)arg;
	CHECK(err == NULL);
}

static void start_task(void *arg)
{
	static const struct task_step steps[] = {
		{ "begin", quick, NULL }, { "count", slow, NULL }, { "end", quick, NULL }, { NULL, NULL, NULL }
	};

	task_start(&(struct task_options){
		.name = "do", .subject = "it", .steps = steps, .arg = arg, .timeout = NS_PER_S, .done = task_ended });
}

TEST(a_long_turn_tells_the_step)
{
	const struct loop_turn *turn;

	loop_init();
	loop_soon(start_task, NULL);
	loop_run();
	turn = only_turn();
	CHECK_STR(str_from(turn->part), "do it: count");
	CHECK(turn->part_took >= 5 * NS_PER_MS && turn->part_took <= turn->piece_took);
	CHECK_STR(str_from(turn->piece), "tests/unit/loop/test_turn.c:start_task");
	loop_fini();
}

/* --- others have the CPU --- */

TEST(what_counts_of_a_turn)
{
	/* Whoever lost the CPU to others held the loop for its own share; whoever gave it away, for all of the time. */
	CHECK_EQ(turn_held(9 * NS_PER_MS, NS_PER_MS, 0), NS_PER_MS);
	CHECK_EQ(turn_held(9 * NS_PER_MS, NS_PER_MS, 1), 9 * NS_PER_MS);
	CHECK_EQ(turn_held(9 * NS_PER_MS, 9 * NS_PER_MS, 0), 9 * NS_PER_MS);
}

/* --- what is ready is divided --- */

struct many {
	struct loop_call calls[40];
	int done;
	bool in_order;
};

static void unit(void *arg)
{
	struct many *many = arg;

	many->in_order = many->in_order && !many->calls[many->done].queued;
	many->done++;
	spin(300 * 1000);
}

TEST(many_calls_are_more_turns)
{
	struct many many = { .in_order = true };

	loop_init();
	for (int i = 0; i < 40; i++)
		loop_call_soon(&many.calls[i], unit, &many);
	loop_run();
	CHECK_EQ(many.done, 40);
	CHECK(many.in_order);
	CHECK(loop_stats().turns >= 5);
	CHECK_EQ(loop_stats().over_budget, 0);
	loop_fini();
}

static void posted(void *arg)
{
	struct many *many = arg;

	spin(300 * 1000);
	if (++many->done == 40)
		loop_unref();
}

static void *post_all(void *arg)
{
	for (int i = 0; i < 40; i++)
		loop_post(posted, arg);
	return NULL;
}

TEST(many_posts_are_more_turns)
{
	struct many many = { .done = 0 };
	pthread_t thread;

	loop_init();
	loop_ref();
	pthread_create(&thread, NULL, post_all, &many);
	pthread_join(thread, NULL);
	loop_run();
	CHECK_EQ(many.done, 40);
	CHECK(loop_stats().turns >= 10);
	CHECK_EQ(loop_stats().over_budget, 0);
	loop_fini();
}

/* Each uses up its slice, so the rest of what was taken has a turn of its own: what came meanwhile has no other signal. */
static void posts_another(void *arg)
{
	struct many *many = arg;

	loop_post(posted, many);
	posted(many);
}

TEST(posts_that_come_while_others_wait_are_not_forgotten)
{
	struct many many = { .done = 40 - 3 };

	loop_init();
	loop_ref();
	loop_post(posts_another, &many);
	loop_post(posted, &many);
	loop_run_for(2 * NS_PER_S);
	CHECK_EQ(many.done, 40);
	loop_fini();
}

/* --- streams: one that always sends does not keep the others waiting, and readers that take long are divided, too --- */

struct reader {
	struct stream *stream;
	size_t got;
	unsigned times;
	int64_t cost;
	bool *over;
};

static void on_read(void *arg, struct str data)
{
	struct reader *reader = arg;

	reader->got += data.len;
	reader->times++;
	spin(reader->cost);
}

static void on_ended(void *arg)
{
	struct reader *reader = arg;

	stream_close(reader->stream);
}

static void on_failed(void *arg, struct error *err)
{
	(void)arg;
	CHECK(err == NULL);
	error_free(err);
}

static const struct stream_events reading = { .read = on_read, .ended = on_ended, .failed = on_failed };

#define READERS 30

TEST(many_readable_streams_are_more_turns)
{
	struct reader readers[READERS];

	loop_init();
	for (int i = 0; i < READERS; i++) {
		int fds[2];

		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		readers[i] = (struct reader){ .cost = 300 * 1000 };
		CHECK_OK(stream_from_fd(fds[0], &readers[i].stream));
		stream_start(readers[i].stream, &reading, &readers[i]);
		CHECK_EQ(write(fds[1], "hello", 5), 5);
		close(fds[1]);
	}
	loop_run();
	for (int i = 0; i < READERS; i++)
		CHECK_EQ(readers[i].got, 5);
	CHECK(loop_stats().turns >= READERS / 4);
	CHECK_EQ(loop_stats().over_budget, 0);
	loop_fini();
}

TEST(a_stream_reads_one_buffer_a_turn)
{
	struct reader reader = { .cost = 0 };
	size_t sent = 0;
	int fds[2], size = 1 << 20;
	ssize_t n;
	char *block = xcalloc(1, 1 << 18);

	loop_init();
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while ((n = write(fds[1], block, 1 << 18)) > 0)
		sent += (size_t)n;
	CHECK(sent > 2 * 64 * 1024);
	close(fds[1]);
	CHECK_OK(stream_from_fd(fds[0], &reader.stream));
	stream_start(reader.stream, &reading, &reader);
	loop_run();
	CHECK_EQ(reader.got, sent);
	CHECK(loop_stats().turns >= reader.times);
	free(block);
	loop_fini();
}

/* --- jobs that use the same thing, and jobs that are steps --- */

struct shared {
	struct loop_lane lane;
	atomic_int users; /* at this moment */
	bool met;
	int order[10], n;
};

struct use {
	struct shared *shared;
	int number;
};

static void use_it(void *in)
{
	struct use *use = in;

	if (atomic_fetch_add(&use->shared->users, 1) != 0)
		use->shared->met = true;
	usleep(1000);
	use->shared->order[use->shared->n++] = use->number;
	atomic_fetch_sub(&use->shared->users, 1);
}

static void used(void *in)
{
	(void)in;
}

TEST(jobs_of_a_lane_run_one_after_the_other)
{
	struct shared shared = { .n = 0 };
	struct use uses[10];

	loop_init();
	for (int i = 0; i < 10; i++) {
		uses[i] = (struct use){ &shared, i };
		loop_lane_job(&shared.lane, use_it, used, &uses[i]);
	}
	loop_run();
	CHECK_EQ(shared.n, 10);
	CHECK(!shared.met);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(shared.order[i], i);
	loop_fini();
}

struct counted {
	int works, undone;
	enum error_kind kind;
	bool failed;
};

static struct error *work_well(void *in)
{
	((struct counted *)in)->works++;
	return NULL;
}

static struct error *work_badly(void *in)
{
	((struct counted *)in)->works++;
	return error_new(ERR_NO_SPACE, "no room");
}

static enum task_result well(struct task *task, void *arg)
{
	return task_job(task, NULL, work_well, arg);
}

static enum task_result badly(struct task *task, void *arg)
{
	return task_job(task, NULL, work_badly, arg);
}

static enum task_result undo_well(struct task *task, void *arg)
{
	((struct counted *)arg)->undone++;
	return task_job(task, NULL, work_well, arg);
}

static void counted_done(void *arg, struct error *err)
{
	struct counted *counted = arg;

	counted->failed = err != NULL;
	if (err != NULL)
		counted->kind = err->kind;
	error_free(err);
}

TEST(a_step_that_is_a_job_can_fail_and_be_undone)
{
	static const struct task_step steps[] = { { "well", well, undo_well }, { "badly", badly, NULL }, { NULL, NULL, NULL } };
	struct counted counted = { .works = 0 };

	loop_init();
	task_start(&(struct task_options){
		.name = "count", .steps = steps, .arg = &counted, .timeout = 10 * NS_PER_S, .done = counted_done });
	loop_run();
	CHECK(counted.failed);
	CHECK_EQ(counted.kind, ERR_NO_SPACE);
	CHECK_EQ(counted.works, 3);
	CHECK_EQ(counted.undone, 1);
	loop_fini();
}

static void count_end(void *arg)
{
	++*(int *)arg;
}

TEST(what_an_arena_deferred_runs_at_once_however_large_it_is)
{
	struct arena *small = arena_new(), *large = arena_new();
	int ends = 0;

	loop_init();
	arena_defer(small, count_end, &ends);
	arena_defer(large, count_end, &ends);
	memset(arena_raw(large, 4 << 20), 1, 4 << 20);
	loop_arena_free(small);
	loop_arena_free(large);
	loop_arena_free(NULL);
	CHECK_EQ(ends, 2);
	loop_run();
	CHECK_EQ(ends, 2);
	loop_fini();
}
