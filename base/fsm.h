/*
 * A state with a checked transition table: for things that are in a state for long (a pod worker, a connection).
 *
 *	static const uint32_t allowed[] = { [IDLE] = FSM(BUSY), [BUSY] = FSM(IDLE) | FSM(DONE), [DONE] = 0 };
 *	static const char *const names[] = { "idle", "busy", "done" };
 *	static const struct fsm_table table = { "worker", names, allowed, 3 };
 *	struct fsm state = { &table, IDLE };
 *	fsm_move(&state, BUSY);     // traces; aborts when the table forbids it
 */
#ifndef BASE_FSM_H
#define BASE_FSM_H

#include <stdint.h>

struct fsm_table {
	const char *name;
	const char *const *states;
	const uint32_t *allowed; /* per state: the set of next states */
	int n;                   /* at most 32 */
};

struct fsm {
	const struct fsm_table *table;
	int state;
};

#define FSM(state) (UINT32_C(1) << (state))

void fsm_move(struct fsm *fsm, int next);
const char *fsm_name(const struct fsm *fsm);

#endif
