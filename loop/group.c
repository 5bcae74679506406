#include "loop/private.h"

static void all_closed(void *arg)
{
	struct closegroup *group = arg;

	group->closed(group->arg);
}

static void maybe_closed(struct closegroup *group)
{
	if (group->open == 0 && group->closed != NULL)
		loop_call_soon(&group->call, all_closed, group);
}

void closegroup_add(struct closegroup *group)
{
	group->open++;
}

void closegroup_leave(struct closegroup *group)
{
	ASSERT(group->open > 0);
	group->open--;
	maybe_closed(group);
}

void closegroup_wait(struct closegroup *group, void (*closed)(void *arg), void *arg)
{
	ASSERT_ON_LOOP();
	ASSERT(group->closed == NULL);
	group->closed = closed;
	group->arg = arg;
	maybe_closed(group);
}
