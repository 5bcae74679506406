/*
 * What to do next with a pod, as pure functions of its spec and of what was seen of its containers. Private to kubelet.
 * Nothing here waits, calls or allocates; times are clock_now().
 */
#ifndef KUBELET_PLAN_H
#define KUBELET_PLAN_H

#include "base/base.h"
#include "json/json.h"

enum plan_kind { PLAN_MAIN, PLAN_INIT, PLAN_SIDECAR };

enum seen_state {
	SEEN_NONE, /* not made yet in this sandbox */
	SEEN_BUSY, /* being made */
	SEEN_RUNNING,
	SEEN_EXITED,
};

enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

/* Crash loop: 10 s, doubled with each restart up to 5 min, forgotten after 10 min of peace (kuberuntime: doBackOff). */
struct backoff {
	int64_t delay; /* 0: the next start is at once */
	int64_t since; /* when it last grew */
};

struct plan_container {
	enum plan_kind kind;
	enum seen_state state;
	enum restart_policy policy;
	int exit_code;
	int64_t finished_at;
	bool started; /* its startup probe succeeded (or it has none) */
	bool has_run; /* some time before, whatever its state is now */
	struct backoff backoff;
	int64_t not_before; /* making it failed: try again then */
};

enum plan_verb {
	PLAN_NOTHING,
	PLAN_SANDBOX,   /* make one */
	PLAN_CONTAINER, /* start plan.container */
	PLAN_OVER,      /* it will not run any more */
};

struct plan {
	enum plan_verb verb;
	size_t container;
	int64_t at; /* look again then; 0: when something happens */
};

/* Containers in the order: init containers, then the others. */
struct plan pod_plan(const struct plan_container *containers, size_t n, bool sandbox_ready, int64_t now);
/* Whether a container that exited so is to run again. */
bool plan_restarts(const struct plan_container *container);
/* When it may: 0 means at once. */
int64_t backoff_until(const struct backoff *backoff, int64_t finished_at);
void backoff_grow(struct backoff *backoff, int64_t finished_at, int64_t now);

/* "Succeeded", "Failed", "Running", "Pending": kubelet's getPhase(). is_over: no container will run any more. */
const char *plan_phase(const struct plan_container *containers, size_t n, bool is_over);

enum restart_policy restart_policy_of(const struct json *pod_spec, const struct json *container);
enum plan_kind plan_kind_of(const struct json *container, bool is_init);

/* A duration as Go prints it in whole seconds: "10s", "2m40s", "5m0s". */
const char *duration_text(struct arena *arena, int64_t ns);

#endif
