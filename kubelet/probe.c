/* Probes: each runs on its own timer and keeps its verdict; together they say whether a container is started and ready.
 */
#include <stdlib.h>
#include <string.h>

#include "kubelet/private.h"

static const char *const fields[PROBE_KINDS] = { "startupProbe", "livenessProbe", "readinessProbe" };
static const char *const titles[PROBE_KINDS] = { "Startup", "Liveness", "Readiness" };

#define EARLY       NS_PER_S
#define EARLY_AGAIN (20 * NS_PER_MS) /* at least; then as long as it has run */

static const struct json *spec_of(const struct probe *probe)
{
	return json_get(container_spec(probe->container), fields[probe->kind]);
}

static int64_t seconds(const struct json *spec, const char *field, int64_t otherwise)
{
	return json_int(json_get(spec, field), otherwise) * NS_PER_S;
}

static void run_probe(void *arg);

static void start_timer(struct probe *probe, int64_t after)
{
	loop_timer_start(&probe->timer, after > NS_PER_MS ? after : NS_PER_MS, run_probe, probe);
}

/* A container that was just started waits; one that was found again may be due. */
static void begin(struct probe *probe)
{
	const struct json *spec = spec_of(probe);
	int64_t ran = clock_now() - probe->container->now->started_at;

	probe->set = true;
	start_timer(probe, seconds(spec, "initialDelaySeconds", 0) - ran);
}

static void recount(struct container *c)
{
	const struct probe *startup = &c->probes[PROBE_STARTUP], *readiness = &c->probes[PROBE_READINESS];
	bool started = !startup->set || startup->passed, ready = started && (!readiness->set || readiness->passed);

	if (started && !c->started) {
		for (int i = PROBE_LIVENESS; i < PROBE_KINDS; i++)
			if (json_get(container_spec(c), fields[i]) != NULL && !c->probes[i].timer_on)
				begin(&c->probes[i]), c->probes[i].timer_on = true;
	}
	if (started == c->started && ready == c->ready)
		return;
	c->started = started;
	c->ready = ready;
	pod_poke(c->pod);
}

static void judge(struct probe *probe, bool ok, const char *text)
{
	struct container *c = probe->container;
	const struct json *spec = spec_of(probe);
	int64_t need = json_int(json_get(spec, ok ? "successThreshold" : "failureThreshold"), ok ? 1 : 3);

	probe->successes = ok ? probe->successes + 1 : 0;
	probe->failures = ok ? 0 : probe->failures + 1;
	if (!ok)
		pod_event(c->pod, c, "Warning", "Unhealthy", "%s probe failed: %s", titles[probe->kind], text);
	if ((ok ? probe->successes : probe->failures) < need)
		return;
	probe->passed = ok;
	if (!ok && probe->kind != PROBE_READINESS) {
		AUTO_FREE char *why = xasprintf("Container %s failed %s probe, will be restarted", c->name,
						probe->kind == PROBE_LIVENESS ? "liveness" : "startup");

		probe->failures = 0;
		container_kill(c, why);
	}
	recount(c);
}

/* Upstream's kubelet learns of a container up to a second after its start and asks only then; we ask at once, when hardly any
 * program listens yet. So what fails in that second says nothing and is asked again soon, or a pod would wait for a whole
 * period to get ready. */
static bool is_early(const struct probe *probe, int64_t *again)
{
	int64_t due = probe->container->now->started_at + seconds(spec_of(probe), "initialDelaySeconds", 0);
	int64_t late = clock_now() - due;

	*again = late > EARLY_AGAIN ? late : EARLY_AGAIN;
	return probe->successes == 0 && probe->failures == 0 && late >= 0 && late < EARLY;
}

static void done(void *arg, enum action_end end, const char *text)
{
	struct probe *probe = arg;
	bool startup_over;
	int64_t again;

	probe->action = NULL;
	if (end != ACTION_OK && end != ACTION_LOST && probe->container->now != NULL && is_early(probe, &again)) {
		start_timer(probe, again);
		return;
	}
	if (end != ACTION_LOST)
		judge(probe, end == ACTION_OK, text);
	startup_over = probe->kind == PROBE_STARTUP && probe->passed;
	if (probe->set && !startup_over && !loop_timer_running(&probe->timer))
		start_timer(probe, seconds(spec_of(probe), "periodSeconds", 10));
}

static void run_probe(void *arg)
{
	struct probe *probe = arg;
	const struct json *spec = spec_of(probe);

	if (probe->container->stopping != NULL) {
		start_timer(probe, seconds(spec, "periodSeconds", 10));
		return;
	}
	probe->action = action_start(probe->container, spec, seconds(spec, "timeoutSeconds", 1), done, probe);
}

/* After a restart of ours, or a break of the connection, what was told before holds until a probe says otherwise. */
static bool was_told(const struct container *c, const char *field)
{
	const struct json *tree = pod_tree(c->pod);
	static const char *const lists[] = { "status.containerStatuses", "status.initContainerStatuses" };

	for (size_t i = 0; i < 2; i++)
		JSON_EACH (json_path(tree, lists[i]), it)
			if (str_is(json_get_str(it.value, "name"), c->name) &&
			    str_has_suffix(json_get_str(it.value, "containerID"), str_from(c->now->id)))
				return json_bool(json_get(it.value, field));
	return false;
}

void probes_start(struct container *c)
{
	probes_stop(c);
	for (int i = 0; i < PROBE_KINDS; i++) {
		struct probe *probe = &c->probes[i];

		probe->set = json_get(container_spec(c), fields[i]) != NULL;
		probe->successes = probe->failures = 0;
		probe->passed = i == PROBE_LIVENESS || (i == PROBE_STARTUP ? c->started : c->ready) ||
				(probe->set && was_told(c, i == PROBE_STARTUP ? "started" : "ready"));
	}
	c->started = false;
	c->ready = false;
	if (c->probes[PROBE_STARTUP].set && !c->probes[PROBE_STARTUP].passed)
		begin(&c->probes[PROBE_STARTUP]);
	recount(c);
}

void probes_stop(struct container *c)
{
	for (int i = 0; i < PROBE_KINDS; i++) {
		struct probe *probe = &c->probes[i];

		loop_timer_stop(&probe->timer);
		action_cancel(probe->action);
		probe->action = NULL;
		probe->set = probe->timer_on = false;
	}
}
