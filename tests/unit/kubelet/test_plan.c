/* What is next for a pod, as a function of what was seen. */
#include "kubelet/plan.h"
#include "tests/unit/tap.h"

#define S NS_PER_S

static struct plan_container make(enum plan_kind kind, enum seen_state state, enum restart_policy policy)
{
	return (struct plan_container){ .kind = kind, .state = state, .policy = policy };
}

static struct plan_container ended(enum plan_kind kind, enum restart_policy policy, int code, int64_t at)
{
	struct plan_container c = make(kind, SEEN_EXITED, policy);

	c.exit_code = code;
	c.finished_at = at;
	c.has_run = true;
	return c;
}

TEST(plan_makes_a_sandbox_first)
{
	struct plan_container c[] = { make(PLAN_MAIN, SEEN_NONE, RESTART_ALWAYS) };

	CHECK_EQ(pod_plan(c, 1, false, S).verb, PLAN_SANDBOX);
	CHECK_EQ(pod_plan(c, 1, true, S).verb, PLAN_CONTAINER);
	c[0].state = SEEN_RUNNING;
	CHECK_EQ(pod_plan(c, 1, true, S).verb, PLAN_NOTHING);
	CHECK_EQ(pod_plan(c, 1, false, S).verb, PLAN_SANDBOX);
}

TEST(plan_runs_init_containers_in_order)
{
	struct plan_container c[] = { make(PLAN_INIT, SEEN_NONE, RESTART_ON_FAILURE),
				      make(PLAN_INIT, SEEN_NONE, RESTART_ON_FAILURE), make(PLAN_MAIN, SEEN_NONE, RESTART_ALWAYS),
				      make(PLAN_MAIN, SEEN_NONE, RESTART_ALWAYS) };
	struct plan plan = pod_plan(c, 4, true, S);

	CHECK_EQ(plan.verb, PLAN_CONTAINER);
	CHECK_EQ(plan.container, 0);
	c[0].state = SEEN_RUNNING;
	CHECK_EQ(pod_plan(c, 4, true, S).verb, PLAN_NOTHING);
	c[0] = ended(PLAN_INIT, RESTART_ON_FAILURE, 0, S);
	CHECK_EQ(pod_plan(c, 4, true, S).container, 1);
	c[1] = ended(PLAN_INIT, RESTART_ON_FAILURE, 0, S);
	CHECK_EQ(pod_plan(c, 4, true, S).container, 2);
	c[2].state = SEEN_RUNNING;
	CHECK_EQ(pod_plan(c, 4, true, S).container, 3);
	/* once initialized, they are not looked at again, even when the node forgot them */
	c[3].state = SEEN_RUNNING;
	c[0] = make(PLAN_INIT, SEEN_NONE, RESTART_ON_FAILURE);
	CHECK_EQ(pod_plan(c, 4, true, S).verb, PLAN_NOTHING);
}

TEST(plan_init_failure)
{
	struct plan_container c[] = { ended(PLAN_INIT, RESTART_NEVER, 1, S), make(PLAN_MAIN, SEEN_NONE, RESTART_NEVER) };

	CHECK_EQ(pod_plan(c, 2, true, S).verb, PLAN_OVER);
	CHECK_STR(plan_phase(c, 2, true), "Failed");
	c[0].policy = RESTART_ON_FAILURE;
	CHECK_EQ(pod_plan(c, 2, true, S).container, 0);
	c[0].backoff = (struct backoff){ 10 * S, S };
	CHECK_EQ(pod_plan(c, 2, true, 2 * S).verb, PLAN_NOTHING);
	CHECK_EQ(pod_plan(c, 2, true, 2 * S).at, 11 * S);
	CHECK_EQ(pod_plan(c, 2, true, 11 * S).verb, PLAN_CONTAINER);
	CHECK_STR(plan_phase(c, 2, false), "Pending");
}

TEST(plan_sidecars)
{
	struct plan_container c[] = { make(PLAN_SIDECAR, SEEN_RUNNING, RESTART_ALWAYS), make(PLAN_MAIN, SEEN_NONE, RESTART_NEVER) };

	CHECK_EQ(pod_plan(c, 2, true, S).verb, PLAN_NOTHING); /* not started: waited for */
	c[0].started = true;
	CHECK_EQ(pod_plan(c, 2, true, S).container, 1);
	c[1].state = SEEN_RUNNING;
	c[0] = ended(PLAN_SIDECAR, RESTART_ALWAYS, 0, S);
	CHECK_EQ(pod_plan(c, 2, true, S).verb, PLAN_CONTAINER); /* again, whatever the pod's policy */
	CHECK_EQ(pod_plan(c, 2, true, S).container, 0);
	c[1] = ended(PLAN_MAIN, RESTART_NEVER, 0, S);
	CHECK_EQ(pod_plan(c, 2, true, S).verb, PLAN_OVER); /* it does not keep the pod */
	CHECK_STR(plan_phase(c, 2, true), "Succeeded");
}

TEST(plan_restart_policies)
{
	struct plan_container c = ended(PLAN_MAIN, RESTART_ALWAYS, 0, S);

	CHECK_EQ(pod_plan(&c, 1, true, S).verb, PLAN_CONTAINER);
	c.policy = RESTART_ON_FAILURE;
	CHECK_EQ(pod_plan(&c, 1, true, S).verb, PLAN_OVER);
	c.exit_code = 255; /* its node died */
	CHECK_EQ(pod_plan(&c, 1, false, S).verb, PLAN_SANDBOX);
	c.policy = RESTART_NEVER;
	CHECK_EQ(pod_plan(&c, 1, false, S).verb, PLAN_OVER);
	CHECK_STR(plan_phase(&c, 1, true), "Failed");
}

TEST(plan_one_in_back_off_does_not_hold_others)
{
	struct plan_container c[] = { ended(PLAN_MAIN, RESTART_ALWAYS, 1, 10 * S), make(PLAN_MAIN, SEEN_NONE, RESTART_ALWAYS) };

	c[0].backoff = (struct backoff){ 20 * S, 10 * S };
	CHECK_EQ(pod_plan(c, 2, true, 11 * S).container, 1);
	c[1].state = SEEN_RUNNING;
	CHECK_EQ(pod_plan(c, 2, true, 11 * S).verb, PLAN_NOTHING);
	CHECK_EQ(pod_plan(c, 2, true, 11 * S).at, 30 * S);
}

TEST(backoff_doubles_and_forgets)
{
	struct backoff b = { 0 };
	static const int delays[] = { 10, 20, 40, 80, 160, 300, 300 };
	int64_t now = 1000 * S;

	CHECK_EQ(backoff_until(&b, now), 0); /* the first restart is at once */
	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		backoff_grow(&b, now, now);
		CHECK_EQ(b.delay, delays[i] * S);
		CHECK_EQ(backoff_until(&b, now), now + delays[i] * S);
		now += b.delay;
	}
	now = b.since + 601 * S; /* ran for longer than twice the most */
	CHECK_EQ(backoff_until(&b, now), 0);
	backoff_grow(&b, now, now);
	CHECK_EQ(b.delay, 10 * S);
}

TEST(plan_phases)
{
	struct plan_container c[] = { make(PLAN_MAIN, SEEN_NONE, RESTART_ALWAYS), make(PLAN_MAIN, SEEN_RUNNING, RESTART_ALWAYS) };

	CHECK_STR(plan_phase(c, 2, false), "Pending");
	c[0] = ended(PLAN_MAIN, RESTART_ALWAYS, 1, S);
	CHECK_STR(plan_phase(c, 2, false), "Running"); /* it will run again */
	c[0].state = SEEN_BUSY;
	CHECK_STR(plan_phase(c, 2, false), "Running");
	c[0].state = SEEN_NONE; /* in a new sandbox */
	CHECK_STR(plan_phase(c, 2, false), "Running");
	c[0] = ended(PLAN_MAIN, RESTART_NEVER, 0, S);
	c[1] = ended(PLAN_MAIN, RESTART_NEVER, 0, S);
	CHECK_STR(plan_phase(c, 2, true), "Succeeded");
	c[1].exit_code = 1;
	CHECK_STR(plan_phase(c, 2, true), "Failed");
}

TEST(durations_as_go_prints_them)
{
	struct arena *arena = arena_new();

	CHECK_STR(duration_text(arena, 10 * S), "10s");
	CHECK_STR(duration_text(arena, 160 * S), "2m40s");
	CHECK_STR(duration_text(arena, 300 * S), "5m0s");
	arena_free(arena);
}
