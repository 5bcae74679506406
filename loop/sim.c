/* Virtual time: what is ready runs in random order; when nothing is, time jumps to the next timer. */
#include "loop/private.h"

static uint64_t state;

void sim_seed(uint64_t seed)
{
	state = seed;
}

/* splitmix64 (Steele, Lea, Flood 2014). A source of its own, so that the order of events does not shift when code
 * draws one random name more. */
uint64_t sim_random(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

bool sim_turn(int64_t limit)
{
	size_t calls = calls_waiting(), pick;
	int64_t at, now = clock_mono();
	bool due = timer_next(&at) && at <= now;

	if (calls == 0 && !due) {
		if (!timer_next(&at) || at > limit || (!timer_strong() && limit == INT64_MAX))
			return false;
		clock_sim_step(at - now);
		timer_fire_one();
		return true;
	}
	pick = (size_t)(sim_random() % (calls + due));
	if (pick < calls)
		calls_run_nth(pick);
	else
		timer_fire_one(); /* equals are in random order already: their seq is */
	return true;
}
