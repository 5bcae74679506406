#include "kubelet/plan.h"

#define BACKOFF_FIRST (10 * NS_PER_S)
#define BACKOFF_MOST  (300 * NS_PER_S)

/* --- back-off --- */

static bool backoff_forgotten(const struct backoff *backoff, int64_t finished_at)
{
	return backoff->delay == 0 || finished_at - backoff->since > 2 * BACKOFF_MOST;
}

int64_t backoff_until(const struct backoff *backoff, int64_t finished_at)
{
	return backoff_forgotten(backoff, finished_at) ? 0 : finished_at + backoff->delay;
}

void backoff_grow(struct backoff *backoff, int64_t finished_at, int64_t now)
{
	if (backoff_forgotten(backoff, finished_at))
		backoff->delay = BACKOFF_FIRST;
	else
		backoff->delay = backoff->delay * 2 < BACKOFF_MOST ? backoff->delay * 2 : BACKOFF_MOST;
	backoff->since = now;
}

/* --- one container --- */

bool plan_restarts(const struct plan_container *container)
{
	switch (container->policy) {
	case RESTART_ALWAYS:
		return true;
	case RESTART_ON_FAILURE:
		return container->exit_code != 0;
	case RESTART_NEVER:
		return false;
	}
	return false;
}

enum restart_policy restart_policy_of(const struct json *pod_spec, const struct json *container)
{
	struct str text = json_get_str(container, "restartPolicy");

	if (text.len == 0)
		text = json_get_str(pod_spec, "restartPolicy");
	return str_is(text, "Never") ? RESTART_NEVER : str_is(text, "OnFailure") ? RESTART_ON_FAILURE : RESTART_ALWAYS;
}

enum plan_kind plan_kind_of(const struct json *container, bool is_init)
{
	if (!is_init)
		return PLAN_MAIN;
	return str_is(json_get_str(container, "restartPolicy"), "Always") ? PLAN_SIDECAR : PLAN_INIT;
}

static int64_t due(const struct plan_container *c)
{
	int64_t at = c->state == SEEN_EXITED ? backoff_until(&c->backoff, c->finished_at) : 0;

	return at > c->not_before ? at : c->not_before;
}

static bool is_done(const struct plan_container *c)
{
	return c->state == SEEN_EXITED && !plan_restarts(c);
}

/* --- the pod --- */

static void look_again(struct plan *plan, int64_t at)
{
	if (plan->at == 0 || at < plan->at)
		plan->at = at;
}

/* True: plan is to start it. */
static bool start_if_due(struct plan *plan, const struct plan_container *c, size_t i, int64_t now)
{
	int64_t at = due(c);

	if (at > now) {
		look_again(plan, at);
		return false;
	}
	plan->verb = PLAN_CONTAINER;
	plan->container = i;
	return true;
}

enum init_result { INIT_GO_ON, INIT_WAIT, INIT_START, INIT_FAILED };

static enum init_result plan_init(struct plan *plan, const struct plan_container *c, size_t i, bool initialized, int64_t now)
{
	if (c->kind == PLAN_SIDECAR) {
		if (c->state == SEEN_BUSY)
			return initialized ? INIT_GO_ON : INIT_WAIT;
		if (c->state == SEEN_RUNNING)
			return c->started || initialized ? INIT_GO_ON : INIT_WAIT;
		if (start_if_due(plan, c, i, now))
			return INIT_START;
		return initialized ? INIT_GO_ON : INIT_WAIT;
	}
	if (initialized)
		return INIT_GO_ON;
	switch (c->state) {
	case SEEN_BUSY:
	case SEEN_RUNNING:
		return INIT_WAIT;
	case SEEN_NONE:
		return start_if_due(plan, c, i, now) ? INIT_START : INIT_WAIT;
	case SEEN_EXITED:
		break;
	}
	if (c->exit_code == 0)
		return INIT_GO_ON;
	if (c->policy == RESTART_NEVER)
		return INIT_FAILED;
	return start_if_due(plan, c, i, now) ? INIT_START : INIT_WAIT;
}

struct plan pod_plan(const struct plan_container *containers, size_t n, bool sandbox_ready, int64_t now)
{
	struct plan plan = { PLAN_NOTHING, 0, 0 };
	bool initialized = false, all_done = true;

	for (size_t i = 0; i < n; i++) {
		const struct plan_container *c = &containers[i];

		if (c->kind == PLAN_INIT && c->state == SEEN_EXITED && c->exit_code != 0 && c->policy == RESTART_NEVER)
			return (struct plan){ PLAN_OVER, i, 0 };
		if (c->kind != PLAN_MAIN)
			continue;
		initialized = initialized || c->state != SEEN_NONE;
		all_done = all_done && is_done(c);
	}
	if (all_done)
		return (struct plan){ PLAN_OVER, 0, 0 };
	if (!sandbox_ready)
		return (struct plan){ PLAN_SANDBOX, 0, 0 };
	for (size_t i = 0; i < n; i++) {
		const struct plan_container *c = &containers[i];

		if (c->kind != PLAN_MAIN) {
			switch (plan_init(&plan, c, i, initialized, now)) {
			case INIT_GO_ON:
				continue;
			case INIT_START:
			case INIT_WAIT:
				return plan;
			case INIT_FAILED:
				return (struct plan){ PLAN_OVER, i, 0 };
			}
		}
		if (c->state != SEEN_NONE && (c->state != SEEN_EXITED || !plan_restarts(c)))
			continue;
		if (start_if_due(&plan, c, i, now))
			return plan;
	}
	return plan;
}

const char *plan_phase(const struct plan_container *containers, size_t n, bool is_over)
{
	size_t pending_init = 0, failed_init = 0, running = 0, waiting = 0, failed = 0, mains = 0;

	for (size_t i = 0; i < n; i++) {
		const struct plan_container *c = &containers[i];

		if (c->kind == PLAN_SIDECAR) {
			pending_init += (c->state == SEEN_NONE || (c->state == SEEN_RUNNING && !c->started)) ? 1 : 0;
			continue;
		}
		if (c->kind == PLAN_INIT) {
			if (c->state != SEEN_EXITED)
				pending_init++;
			else if (c->exit_code != 0)
				c->policy == RESTART_NEVER ? failed_init++ : pending_init++;
			continue;
		}
		mains++;
		if (c->state == SEEN_RUNNING || (c->state != SEEN_EXITED && c->has_run))
			running++;
		else if (c->state != SEEN_EXITED)
			waiting++;
		else if (plan_restarts(c) && !is_over)
			running++; /* about to start again, and it has run */
		else if (c->exit_code != 0)
			failed++;
	}
	if (failed_init != 0)
		return "Failed";
	if (is_over && running == 0)
		return failed == 0 && waiting == 0 ? "Succeeded" : "Failed";
	if (mains == waiting && pending_init != 0)
		return "Pending";
	if (waiting != 0)
		return "Pending";
	if (running != 0)
		return "Running";
	return failed != 0 ? "Failed" : "Succeeded";
}

const char *duration_text(struct arena *arena, int64_t ns)
{
	long long s = ns / NS_PER_S, m = s / 60, h = m / 60;

	if (h != 0)
		return arena_printf(arena, "%lldh%lldm%llds", h, m % 60, s % 60);
	if (m != 0)
		return arena_printf(arena, "%lldm%llds", m, s % 60);
	return arena_printf(arena, "%llds", s);
}
