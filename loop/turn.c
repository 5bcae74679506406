/*
 * What each turn did and for how long. A turn begins with its first callback and ends when libuv would wait again; the wall
 * clock is read at every callback and every named part of one; the thread's CPU clock and its switches (0.7 microseconds of system
 * calls) once a turn, and again when it took too long. getrusage() alone would not do: its times are as old as the last tick.
 *
 * On a shared machine a turn can be long because others had the CPU. So what counts is how long it *held* the loop: its CPU
 * time, unless it gave the CPU away itself (a disk, a lock, a child): then its whole time.
 */
#include "loop/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define BUDGET (2 * NS_PER_MS)
/* Of a turn: for the calls before the poll, and for the poll and what follows it. The last piece of each comes on top. */
#define SLICE        (150 * INT64_C(1000))
#define WORTH_A_NAME (200 * INT64_C(1000)) /* shorter parts are nobody's fault */

static struct {
	bool begun, sliced;
	uint64_t number;
	int64_t began, slice;
	struct usage {
		int64_t cpu;
		long gave, lost; /* how often the CPU was given away, and taken */
	} usage;                 /* when it began */
	const char *piece, *part;
	int64_t piece_since, part_since;
	struct loop_turn now; /* what is known of it so far */
} turn;

static struct loop_stats stats;
static struct loop_turn longest[LOOP_TURNS_KEPT];
static size_t n_longest;

static int64_t wall(void)
{
	return (int64_t)uv_hrtime();
}

static struct usage usage_now(void)
{
	struct timespec cpu;
	struct rusage usage;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	getrusage(RUSAGE_THREAD, &usage);
	return (struct usage){ cpu.tv_sec * NS_PER_S + cpu.tv_nsec, usage.ru_nvcsw, usage.ru_nivcsw };
}

/* --- pieces and parts --- */

static void part_over(int64_t now)
{
	int64_t took = now - turn.part_since;

	turn.part_since = now;
	if (turn.part == NULL || took < WORTH_A_NAME || took < turn.now.part_took)
		return;
	turn.now.part_took = took;
	snprintf(turn.now.part, sizeof(turn.now.part), "%s", turn.part);
}

static void piece_over(int64_t now)
{
	int64_t took = now - turn.piece_since;

	part_over(now);
	turn.part = NULL;
	turn.piece_since = now;
	if (turn.piece == NULL || took < turn.now.piece_took)
		return;
	turn.now.piece_took = took;
	turn.now.piece = turn.piece;
}

void turn_piece(const char *name)
{
	int64_t now = wall();

	if (!turn.begun) {
		turn.begun = true;
		turn.began = now;
		turn.now = (struct loop_turn){ 0 };
		turn.piece = NULL;
		turn.usage = usage_now();
	}
	if (!turn.sliced) {
		turn.sliced = true;
		turn.slice = now;
	}
	piece_over(now);
	turn.piece = name;
	turn.now.pieces++;
}

const char *loop_part(const char *name)
{
	const char *previous = turn.part;

	part_over(wall());
	turn.part = name;
	return previous;
}

/* --- turns --- */

void turn_slice(void)
{
	turn.sliced = false;
}

bool loop_over_budget(void)
{
	if (loop_is_sim())
		return sim_random() % 4 == 0; /* what is cut where must not matter */
	return turn.sliced && wall() - turn.slice > SLICE;
}

/* The shortest of those that are kept gives way. */
static void keep(const struct loop_turn *one)
{
	size_t least = 0;

	if (n_longest < LOOP_TURNS_KEPT) {
		longest[n_longest++] = *one;
		return;
	}
	for (size_t i = 1; i < n_longest; i++)
		if (longest[i].held < longest[least].held)
			least = i;
	if (one->held > longest[least].held)
		longest[least] = *one;
}

int64_t turn_held(int64_t took, int64_t cpu, unsigned blocked)
{
	return blocked != 0 ? took : cpu;
}

static void long_turn(int64_t now)
{
	struct loop_turn *one = &turn.now;
	struct usage usage = usage_now();

	one->at = clock_now();
	one->wall = now - turn.began;
	one->cpu = usage.cpu - turn.usage.cpu;
	one->blocked = (unsigned)(usage.gave - turn.usage.gave);
	one->preempted = (unsigned)(usage.lost - turn.usage.lost);
	one->held = turn_held(one->wall, one->cpu, one->blocked);
	if (one->held > BUDGET)
		stats.over_budget++;
	else
		stats.preempted++;
	if (one->held > stats.longest)
		stats.longest = one->held;
	keep(one);
}

uint64_t turn_number(void)
{
	return turn.number;
}

void turn_end(void)
{
	int64_t now;

	turn_slice();
	turn.number++;
	if (!turn.begun)
		return;
	now = wall();
	piece_over(now);
	turn.begun = false;
	stats.turns++;
	if (now - turn.began > BUDGET)
		long_turn(now);
}

void turn_setup(void)
{
	memset(&turn, 0, sizeof(turn));
	memset(&stats, 0, sizeof(stats));
	n_longest = 0;
}

/* --- looking at them --- */

struct loop_stats loop_stats(void)
{
	struct loop_stats now = stats;

	now.job_threads = job_threads();
	return now;
}

static int by_length(const void *a, const void *b)
{
	const struct loop_turn *one = a, *other = b;

	return one->held < other->held ? 1 : one->held > other->held ? -1 : 0;
}

size_t loop_turns(const struct loop_turn **out)
{
	ASSERT_ON_LOOP();
	qsort(longest, n_longest, sizeof(longest[0]), by_length);
	*out = longest;
	return n_longest;
}
