#include "base/fsm.h"

#include "base/trace.h"

void fsm_move(struct fsm *fsm, int next)
{
	ASSERT(next >= 0 && next < fsm->table->n);
	TRACE(fsm->table->name, fsm->state, next);
	if ((fsm->table->allowed[fsm->state] & FSM(next)) == 0)
		assert_failed(fsm->table->name, fsm->state, fsm->table->states[next]);
	fsm->state = next;
}

const char *fsm_name(const struct fsm *fsm)
{
	return fsm->table->states[fsm->state];
}
