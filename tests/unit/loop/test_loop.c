#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/private.h"
#include "tests/unit/tap.h"

static struct buf seen;

static void note(void *arg)
{
	buf_printf(&seen, "%s ", (const char *)arg);
}

static char letter[26][2];

static void *word(int i)
{
	letter[i][0] = (char)('a' + i);
	return letter[i];
}

TEST(timers_fire_in_order_of_time)
{
	struct loop_timer timers[4] = { { 0 } };

	loop_init();
	loop_timer_start(&timers[0], 30 * NS_PER_MS, note, word(3));
	loop_timer_start(&timers[1], 5 * NS_PER_MS, note, word(1));
	loop_timer_start(&timers[2], 0, note, word(0));
	loop_timer_start(&timers[3], 10 * NS_PER_MS, note, word(9));
	loop_timer_stop(&timers[3]);
	loop_timer_stop(&timers[3]);
	loop_timer_start(&timers[3], 15 * NS_PER_MS, note, word(2));
	loop_run();
	CHECK_STR(buf_str(&seen), "a b c d ");
	CHECK(!loop_timer_running(&timers[0]));
	buf_fini(&seen);
	loop_fini();
}

static void start_another(void *arg)
{
	loop_timer_start(arg, 5 * NS_PER_MS, note, word(1));
}

static void stays_silent(void *arg, int events)
{
	(void)arg;
	(void)events;
}

/* A timer that is due before libuv waits, and starts another one, while something else is waited for that never comes. */
TEST(a_timer_that_a_timer_starts_is_waited_for)
{
	struct loop_timer first = { 0 }, second = { 0 };
	struct loop_poll *poll;
	int fds[2];

	loop_init();
	CHECK(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
	poll = loop_poll(fds[0], LOOP_READ, stays_silent, NULL);
	loop_timer_start(&first, 0, start_another, &second);
	alarm(10); /* without it the poll waits for ever */
	loop_run_for(50 * NS_PER_MS);
	alarm(0);
	CHECK_STR(buf_str(&seen), "b ");
	loop_poll_close(poll);
	close(fds[0]);
	close(fds[1]);
	buf_fini(&seen);
	loop_fini();
}

struct ticker {
	struct loop_timer timer;
	int n;
};

static void tick(void *arg)
{
	struct ticker *ticker = arg;

	if (++ticker->n == 3)
		loop_timer_stop(&ticker->timer);
}

TEST(repeating_timer_stops_itself)
{
	struct ticker ticker = { 0 };

	loop_init();
	loop_timer_every(&ticker.timer, 2 * NS_PER_MS, tick, &ticker);
	loop_run();
	CHECK_EQ(ticker.n, 3);
	loop_fini();
}

TEST(many_timers_keep_the_heap_in_order)
{
	struct loop_timer timers[500] = { { 0 } };
	int64_t last = 0, at;

	loop_init();
	srand(7);
	for (int i = 0; i < 500; i++)
		loop_timer_start(&timers[i], (rand() % 1000 + 1) * NS_PER_S, note, word(0));
	for (int i = 0; i < 500; i += 3)
		loop_timer_stop(&timers[i]);
	while (timer_next(&at)) {
		CHECK(at >= last);
		last = at;
		timer_fire_one();
	}
	for (int i = 0; i < 500; i++)
		CHECK(!loop_timer_running(&timers[i]));
	buf_fini(&seen);
	loop_fini();
}

struct recursion {
	struct loop_call call;
	int n;
	bool inside;
};

static void again(void *arg)
{
	struct recursion *self = arg;

	CHECK(!self->inside);
	self->inside = true;
	if (++self->n < 100000)
		loop_call_soon(&self->call, again, self);
	self->inside = false;
}

TEST(calls_do_not_recurse)
{
	struct recursion self = { 0 };

	loop_init();
	loop_call_soon(&self.call, again, &self);
	loop_call_soon(&self.call, again, &self);
	loop_run();
	CHECK_EQ(self.n, 100000);
	loop_fini();
}

TEST(canceled_call_does_not_come)
{
	struct loop_call a = { 0 }, b = { 0 };

	loop_init();
	loop_call_soon(&a, note, word(0));
	loop_call_soon(&b, note, word(1));
	loop_call_cancel(&a);
	loop_run();
	CHECK_STR(buf_str(&seen), "b ");
	buf_fini(&seen);
	loop_fini();
}

struct square {
	int in;
	int out;
	int done;
	bool canceled;
};

static void compute(void *arg)
{
	struct square *square = arg;

	square->out = square->in * square->in;
}

static void computed(void *arg, bool canceled)
{
	struct square *square = arg;

	CHECK(loop_on_thread());
	square->done++;
	square->canceled = canceled;
}

TEST(jobs_run_elsewhere_and_come_back)
{
	struct square squares[100] = { { 0 } };

	loop_init();
	for (int i = 0; i < 100; i++) {
		squares[i].in = i;
		loop_job_start(compute, computed, &squares[i]);
	}
	CHECK(loop_stats().job_threads > 0);
	loop_run();
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(squares[i].out, i * i);
		CHECK_EQ(squares[i].done, 1);
		CHECK(!squares[i].canceled);
	}
	loop_fini();
	loop_init();
	CHECK_EQ(loop_stats().job_threads, 0);
	loop_fini();
}

static void slow(void *arg)
{
	(void)arg;
	usleep(20000);
}

TEST(waiting_job_can_be_canceled)
{
	struct square blocks[16] = { { 0 } }, last = { .in = 3 };
	struct loop_job *job;

	loop_init();
	for (int i = 0; i < 16; i++)
		loop_job_start(slow, computed, &blocks[i]);
	job = loop_job_start(compute, computed, &last);
	loop_job_cancel(job);
	CHECK_EQ(last.done, 0);
	loop_run();
	CHECK_EQ(last.done, 1);
	CHECK(last.canceled);
	CHECK_EQ(last.out, 0);
	CHECK_EQ(blocks[15].done, 1);
	loop_fini();
}

struct exit_status {
	int status;
	int signal;
	bool exited;
};

static void on_exited(void *arg, int status, int number)
{
	*(struct exit_status *)arg = (struct exit_status){ status, number, true };
}

TEST(process_gets_descriptors_and_tells_its_end)
{
	const char *const argv[] = { "sh", "-c", "echo out; echo third >&3; exit 7", NULL };
	struct loop_process *process = NULL;
	struct exit_status end = { 0 };
	char text[64] = "";
	int out[2], third[2];

	CHECK(pipe2(out, O_CLOEXEC) == 0 && pipe2(third, O_CLOEXEC) == 0);
	loop_init();
	CHECK_OK(loop_spawn(&(struct loop_spawn){ .file = "sh",
						  .argv = argv,
						  .fds = (int[]){ -1, out[1], -1, third[1] },
						  .n_fds = 4,
						  .exited = on_exited,
						  .arg = &end },
			    &process));
	CHECK(loop_process_pid(process) > 0);
	close(out[1]);
	close(third[1]);
	loop_run();
	CHECK(end.exited);
	CHECK_EQ(end.status, 7);
	CHECK_EQ(read(out[0], text, sizeof(text)), 4);
	CHECK_EQ(read(third[0], text + 4, sizeof(text) - 4), 6);
	CHECK_STR(text, "out\nthird\n");
	close(out[0]);
	close(third[0]);
	loop_fini();
}

TEST(process_that_is_not_there_is_an_error)
{
	const char *const argv[] = { "x", NULL };
	struct loop_process *process;

	loop_init();
	CHECK_ERR(loop_spawn(&(struct loop_spawn){ .file = "/nonexistent/x", .argv = argv }, &process), ERR_NOT_FOUND);
	loop_fini();
}

TEST(process_can_be_killed)
{
	const char *const argv[] = { "sleep", "100", NULL };
	struct loop_process *process = NULL;
	struct exit_status end = { 0 };

	loop_init();
	CHECK_OK(loop_spawn(&(struct loop_spawn){ .file = "sleep", .argv = argv, .exited = on_exited, .arg = &end }, &process));
	CHECK_OK(loop_process_kill(process, SIGKILL));
	loop_run();
	CHECK_EQ(end.signal, SIGKILL);
	loop_fini();
}

struct watch {
	struct loop_poll *poll;
	int fd;
	int n;
};

static void readable(void *arg, int events)
{
	struct watch *watch = arg;
	char byte;

	CHECK((events & LOOP_READ) != 0);
	if (read(watch->fd, &byte, 1) == 1)
		watch->n++;
	if (watch->n == 3)
		loop_poll_close(watch->poll);
}

TEST(poll_tells_when_a_descriptor_is_ready)
{
	struct watch watch = { 0 };
	int fds[2];

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	loop_init();
	watch.fd = fds[0];
	watch.poll = loop_poll(fds[0], LOOP_READ, readable, &watch);
	CHECK_EQ(write(fds[1], "abc", 3), 3);
	loop_run();
	CHECK_EQ(watch.n, 3);
	close(fds[0]);
	close(fds[1]);
	loop_fini();
}

static void on_signal_stop(void *arg, int number)
{
	*(int *)arg = number;
	loop_stop();
}

TEST(signals_are_heard)
{
	struct loop_signal *watched;
	struct loop_timer guard = { 0 };
	int got = 0;

	loop_init();
	watched = loop_signal(SIGUSR1, on_signal_stop, &got);
	loop_timer_start(&guard, 5 * NS_PER_S, note, word(0));
	raise(SIGUSR1);
	loop_run();
	CHECK_EQ(got, SIGUSR1);
	loop_timer_stop(&guard);
	loop_signal_close(watched);
	loop_fini();
}

TEST(closegroup_calls_after_the_last)
{
	struct closegroup group = { 0 }, empty = { 0 };

	loop_init();
	closegroup_add(&group);
	closegroup_add(&group);
	closegroup_wait(&group, note, word(0));
	closegroup_leave(&group);
	loop_run();
	CHECK_EQ(seen.len, 0);
	closegroup_leave(&group);
	CHECK_EQ(seen.len, 0);
	loop_run();
	CHECK_STR(buf_str(&seen), "a ");
	closegroup_wait(&empty, note, word(1));
	loop_run();
	CHECK_STR(buf_str(&seen), "a b ");
	buf_fini(&seen);
	loop_fini();
}

/* --- simulation --- */

static void run_sim(uint64_t seed, char *out, size_t size)
{
	struct loop_call calls[8] = { { .queued = false } };
	struct loop_timer timers[8] = { { 0 } };
	struct square square = { .in = 5 };

	loop_init();
	loop_sim(seed, 1000 * NS_PER_S);
	for (int i = 0; i < 8; i++) {
		loop_call_soon(&calls[i], note, word(i));
		loop_timer_start(&timers[i], NS_PER_S * 3600, note, word(10 + i));
	}
	loop_job_start(compute, computed, &square);
	loop_run();
	CHECK_EQ(square.out, 25);
	CHECK_EQ(clock_mono(), 3601 * NS_PER_S);
	CHECK_EQ(clock_now(), 4600 * NS_PER_S);
	snprintf(out, size, "%s", buf_cstr(&seen));
	buf_fini(&seen);
	loop_fini();
}

TEST(simulation_jumps_in_time_and_repeats_with_its_seed)
{
	char first[256], second[256], other[256];

	run_sim(1, first, sizeof(first));
	run_sim(1, second, sizeof(second));
	run_sim(2, other, sizeof(other));
	CHECK_STR(second, first);
	CHECK(strcmp(first, other) != 0);
	CHECK_EQ(strlen(first), 32);
}

static bool three_ticks(void *arg)
{
	return ((struct ticker *)arg)->n >= 2;
}

TEST(simulation_runs_until_and_for)
{
	struct ticker ticker = { 0 };

	loop_init();
	loop_sim(3, 0);
	loop_timer_every(&ticker.timer, NS_PER_S, tick, &ticker);
	CHECK(loop_run_until(three_ticks, &ticker, 100 * NS_PER_S));
	CHECK_EQ(clock_mono(), 3 * NS_PER_S);
	loop_run_for(500 * NS_PER_MS);
	CHECK_EQ(clock_mono(), 3500 * NS_PER_MS);
	CHECK_EQ(ticker.n, 2);
	loop_timer_stop(&ticker.timer);
	loop_fini();
}
