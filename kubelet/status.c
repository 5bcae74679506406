/* What the API is told about a pod, as a function of what was seen. Pure. */
#include <string.h>

#include "kubelet/private.h"

#define ID_SCHEME "monokube://"

/* --- container states --- */

static const struct json *id_of(struct arena *arena, const struct run *run)
{
	return json_printf(arena, ID_SCHEME "%s", run->id);
}

static const struct json *terminated(struct arena *arena, const struct run *run)
{
	const char *reason = run->reason != NULL   ? run->reason
			     : run->oom_killed     ? "OOMKilled"
			     : run->lost           ? "Unknown"
			     : run->exit_code == 0 ? "Completed"
						   : "Error";
	int64_t started = run->started_at != 0 ? run->started_at : run->created_at;

	return JSON_OBJECT_OF(arena, { "exitCode", json_number(arena, run->exit_code) }, { "reason", json_text(arena, reason) },
			      { "message", json_text(arena, run->message) }, { "startedAt", time_json(arena, started) },
			      { "finishedAt", time_json(arena, run->finished_at) }, { "containerID", id_of(arena, run) });
}

static const struct json *waiting(struct arena *arena, const char *reason, const char *message)
{
	return JSON_OBJECT_OF(arena, { "waiting", JSON_OBJECT_OF(arena, { "reason", json_text(arena, reason) },
								 { "message", json_text(arena, message) }) });
}

static const struct json *spec_of(const struct json *pod, size_t index, bool *is_init)
{
	const struct json *init = json_path(pod, "spec.initContainers");

	*is_init = index < json_len(init);
	return *is_init ? json_at(init, index) : json_at(json_path(pod, "spec.containers"), index - json_len(init));
}

static bool is_in_crash_loop(const struct status_input *in, const struct status_container *c)
{
	return c->plan.state == SEEN_EXITED && !in->over && plan_restarts(&c->plan) &&
	       backoff_until(&c->plan.backoff, c->plan.finished_at) > in->now;
}

static const struct json *crash_loop(struct arena *arena, const struct status_input *in, const struct status_container *c,
				     struct str name)
{
	return waiting(arena, "CrashLoopBackOff",
		       arena_printf(arena, "back-off %s restarting failed container=%.*s pod=%.*s_%.*s(%.*s)",
				    duration_text(arena, c->plan.backoff.delay), STR_ARG(name),
				    STR_ARG(json_path_str(in->pod, "metadata.name")),
				    STR_ARG(json_path_str(in->pod, "metadata.namespace")),
				    STR_ARG(json_path_str(in->pod, "metadata.uid"))));
}

static const struct json *running(struct arena *arena, const struct run *run)
{
	return JSON_OBJECT_OF(arena, { "running", JSON_OBJECT_OF(arena, { "startedAt", time_json(arena, run->started_at) }) });
}

/* state, and which run is told as lastState. */
static const struct json *state_of(struct arena *arena, const struct status_input *in, const struct status_container *c,
				   struct str name, bool has_init, const struct run **last)
{
	*last = c->last;
	if (c->now != NULL && c->now->running)
		return running(arena, c->now);
	if (c->now != NULL && c->now->exited && !c->again && c->plan.state == SEEN_EXITED) {
		if (is_in_crash_loop(in, c)) {
			*last = c->now;
			return crash_loop(arena, in, c, name);
		}
		if (c->wait_reason != NULL && !in->over && plan_restarts(&c->plan)) {
			*last = c->now;
			return waiting(arena, c->wait_reason, c->wait_message);
		}
		return JSON_OBJECT_OF(arena, { "terminated", terminated(arena, c->now) });
	}
	if (c->now != NULL && c->now->exited)
		*last = c->now;
	if (c->wait_reason != NULL)
		return waiting(arena, c->wait_reason, c->wait_message);
	return waiting(arena,
		       has_init && in->sandbox_ready           ? "PodInitializing"
		       : has_init && c->plan.kind == PLAN_MAIN ? "PodInitializing"
							       : "ContainerCreating",
		       NULL);
}

static const struct json *mounts_of(struct arena *arena, const struct json *spec)
{
	struct json_builder list = { .arena = arena };

	JSON_EACH (json_get(spec, "volumeMounts"), it) {
		bool readonly = json_bool(json_get(it.value, "readOnly"));

		json_builder_item(&list, JSON_OBJECT_OF(arena, { "name", json_get(it.value, "name") },
							{ "mountPath", json_get(it.value, "mountPath") },
							{ "readOnly", readonly ? &json_true : NULL },
							{ "recursiveReadOnly", readonly ? json_text(arena, "Disabled") : NULL }));
	}
	return list.len != 0 ? json_builder_array(&list) : NULL;
}

/* What the API was told before, of a container that left nothing on the node. */
static const struct json *told_before(const struct status_input *in, const struct status_container *c, struct str name)
{
	if (c->now != NULL || c->last != NULL || c->wait_reason != NULL)
		return NULL;
	JSON_EACH (json_path(in->pod, c->plan.kind == PLAN_MAIN ? "status.containerStatuses" : "status.initContainerStatuses"), it)
		if (str_eq(json_get_str(it.value, "name"), name) && json_path(it.value, "state.terminated") != NULL)
			return it.value;
	return NULL;
}

static const struct json *container_status(struct arena *arena, const struct status_input *in, size_t i)
{
	const struct status_container *c = &in->containers[i];
	const struct run *last, *named = c->now != NULL ? c->now : c->last;
	bool is_init, has_init = json_len(json_path(in->pod, "spec.initContainers")) != 0;
	const struct json *spec = spec_of(in->pod, i, &is_init), *requests = json_path(spec, "resources.requests");
	struct str name = json_get_str(spec, "name");
	const struct json *state = state_of(arena, in, c, name, has_init, &last);
	bool is_ready = c->plan.kind == PLAN_INIT ? c->now != NULL && c->now->exited && !c->again && c->now->exit_code == 0
						  : c->ready;
	bool is_started = c->now != NULL && c->now->running && c->plan.started;
	const struct json *resources = json_get(spec, "resources"), *before = told_before(in, c, name);

	if (before != NULL)
		return before;
	return JSON_OBJECT_OF(
		arena, { "name", json_get(spec, "name") }, { "state", state },
		{ "lastState", last != NULL && last->exited ? JSON_OBJECT_OF(arena, { "terminated", terminated(arena, last) })
							    : &json_empty_object },
		{ "ready", json_boolean(is_ready) }, { "restartCount", json_number(arena, named != NULL ? named->attempt : 0) },
		{ "image", named != NULL && named->image != NULL ? json_text(arena, named->image) : json_get(spec, "image") },
		{ "imageID", json_text(arena, named != NULL && named->image_id != NULL ? named->image_id : "") },
		{ "containerID", named != NULL ? id_of(arena, named) : NULL }, { "started", json_boolean(is_started) },
		{ "allocatedResources", json_len(requests) != 0 ? requests : NULL },
		{ "resources", resources != NULL ? JSON_OBJECT_OF(arena, { "limits", json_get(resources, "limits") },
								  { "requests", json_get(resources, "requests") })
						 : &json_empty_object },
		{ "volumeMounts", mounts_of(arena, spec) });
}

/* Ephemeral containers are not run yet: who waits for one (kubectl debug) is told so instead of waiting for ever. */
static const struct json *ephemeral_statuses(struct arena *arena, const struct json *pod)
{
	struct json_builder list = { .arena = arena };
	const struct json *why = JSON_OBJECT_OF(arena, { "exitCode", json_number(arena, 128) },
						{ "reason", json_text(arena, "ContainerCannotRun") },
						{ "message", json_text(arena, NO_EPHEMERAL) }, { "startedAt", &json_null },
						{ "finishedAt", &json_null });

	JSON_EACH (json_path(pod, "spec.ephemeralContainers"), it)
		json_builder_item(&list, JSON_OBJECT_OF(arena, { "name", json_get(it.value, "name") },
							{ "state", JSON_OBJECT_OF(arena, { "terminated", why }) },
							{ "lastState", &json_empty_object }, { "ready", &json_false },
							{ "restartCount", json_number(arena, 0) },
							{ "image", json_get(it.value, "image") }, { "imageID", &json_empty_string },
							{ "started", &json_false }));
	return list.len != 0 ? json_builder_array(&list) : NULL;
}

/* --- conditions --- */

struct verdict {
	const char *status;
	const char *reason;
	const char *message;
};

static void add_name(struct buf *list, struct str name)
{
	buf_printf(list, "%s%.*s", list->len != 0 ? " " : "", STR_ARG(name));
}

static struct verdict initialized(struct arena *arena, const struct status_input *in, const char *phase)
{
	struct buf names = { 0 };
	struct verdict v = { "True", NULL, NULL };
	bool any_main = false;

	for (size_t i = 0; i < in->n; i++) {
		const struct status_container *c = &in->containers[i];
		bool is_init;
		const struct json *spec = spec_of(in->pod, i, &is_init);

		if (c->plan.kind == PLAN_MAIN)
			any_main = any_main || c->now != NULL;
		else if (c->plan.kind == PLAN_SIDECAR ? !(c->now != NULL && c->now->running && c->plan.started)
						      : !(c->now != NULL && c->now->exited && !c->again && c->now->exit_code == 0))
			add_name(&names, json_get_str(spec, "name"));
	}
	if (strcmp(phase, "Succeeded") == 0)
		v.reason = "PodCompleted";
	else if (names.len != 0 && !any_main)
		v = (struct verdict){ "False", "ContainersNotInitialized",
				      arena_printf(arena, "containers with incomplete status: [%s]", buf_cstr(&names)) };
	buf_fini(&names);
	return v;
}

static struct verdict containers_ready(struct arena *arena, const struct status_input *in, const char *phase)
{
	struct buf names = { 0 };
	struct verdict v = { "True", NULL, NULL };

	for (size_t i = 0; i < in->n; i++) {
		bool is_init;
		const struct json *spec = spec_of(in->pod, i, &is_init);

		if (in->containers[i].plan.kind != PLAN_INIT && !in->containers[i].ready)
			add_name(&names, json_get_str(spec, "name"));
	}
	if (strcmp(phase, "Succeeded") == 0)
		v = (struct verdict){ "False", "PodCompleted", NULL };
	else if (strcmp(phase, "Failed") == 0)
		v = (struct verdict){ "False", "PodFailed", NULL };
	else if (names.len != 0)
		v = (struct verdict){ "False", "ContainersNotReady",
				      arena_printf(arena, "containers with unready status: [%s]", buf_cstr(&names)) };
	buf_fini(&names);
	return v;
}

static struct verdict ready(struct arena *arena, const struct status_input *in, struct verdict containers)
{
	struct buf text = { 0 };

	if (strcmp(containers.status, "True") != 0)
		return containers;
	JSON_EACH (json_path(in->pod, "spec.readinessGates"), it) {
		const char *type = str_cstr(arena, json_get_str(it.value, "conditionType"));
		const struct json *condition = condition_of(in->pod, type);

		if (condition != NULL && str_is(json_get_str(condition, "status"), "True"))
			continue;
		if (text.len != 0)
			buf_add(&text, STR(", "));
		if (condition == NULL)
			buf_printf(&text, "corresponding condition of pod readiness gate \"%s\" does not exist.", type);
		else
			buf_printf(&text, "the status of pod readiness gate \"%s\" is not \"True\", but %.*s", type,
				   STR_ARG(json_get_str(condition, "status")));
	}
	if (text.len != 0)
		containers = (struct verdict){ "False", "ReadinessGatesNotReady", arena_strdup(arena, buf_cstr(&text)) };
	buf_fini(&text);
	return containers;
}

static const struct json *condition(struct arena *arena, const struct status_input *in, const char *type, struct verdict v)
{
	const struct json *old = condition_of(in->pod, type);
	bool same = str_is(json_get_str(old, "status"), v.status) && json_get(old, "lastTransitionTime") != NULL;

	return JSON_OBJECT_OF(arena, { "type", json_text(arena, type) },
			      { "observedGeneration", json_path(in->pod, "metadata.generation") },
			      { "status", json_text(arena, v.status) }, { "lastProbeTime", &json_null },
			      { "lastTransitionTime", same ? json_get(old, "lastTransitionTime") : time_json(arena, in->now) },
			      { "reason", json_text(arena, v.reason) }, { "message", json_text(arena, v.message) });
}

static const char *const own_conditions[] = { "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady",
					      "PodScheduled" };

static const struct json *conditions(struct arena *arena, const struct status_input *in, const char *phase)
{
	struct json_builder list = { .arena = arena };
	struct verdict all = containers_ready(arena, in, phase);
	const struct verdict verdicts[] = { { in->sandbox_ready ? "True" : "False", NULL, NULL },
					    initialized(arena, in, phase),
					    ready(arena, in, all),
					    all,
					    { "True", NULL, NULL } };

	for (size_t i = 0; i < 5; i++)
		json_builder_item(&list, condition(arena, in, own_conditions[i], verdicts[i]));
	JSON_EACH (json_path(in->pod, "status.conditions"), it) {
		bool is_own = false;

		for (size_t i = 0; i < 5; i++)
			is_own = is_own || str_is(json_get_str(it.value, "type"), own_conditions[i]);
		if (!is_own)
			json_builder_item(&list, it.value);
	}
	return json_builder_array(&list);
}

/* --- the whole --- */

static const struct json *ips(struct arena *arena, struct ip ip)
{
	char text[IP_TEXT];

	if (ip.family == 0)
		return NULL;
	return JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "ip", json_string_copy(arena, ip_format(text, ip)) }));
}

static const struct json *ip_json(struct arena *arena, struct ip ip)
{
	char text[IP_TEXT];

	return ip.family == 0 ? NULL : json_string_copy(arena, ip_format(text, ip));
}

/* Upstream's mergePodStatus(): while something of it runs no end is told, nor why. */
static bool end_is_held(const struct status_input *in, const char *phase)
{
	if ((strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0) || pod_is_over(in->pod))
		return false;
	for (size_t i = 0; i < in->n; i++)
		if (in->containers[i].now != NULL && in->containers[i].now->running)
			return true;
	return false;
}

static const char *phase_of(struct arena *arena, const struct status_input *in)
{
	struct plan_container *plan = ARENA_ARRAY(arena, struct plan_container, in->n + 1);
	struct str before = json_path_str(in->pod, "status.phase");

	if (str_is(before, "Succeeded") || str_is(before, "Failed")) /* never leaves that */
		return str_cstr(arena, before);
	if (in->rejected != NULL)
		return "Failed";
	for (size_t i = 0; i < in->n; i++)
		plan[i] = in->containers[i].plan;
	return plan_phase(plan, in->n, in->over);
}

static bool any_known(const struct status_input *in)
{
	for (size_t i = 0; i < in->n; i++)
		if (in->containers[i].now != NULL || in->containers[i].last != NULL)
			return true;
	return false;
}

const struct json *pod_status(struct arena *arena, const struct status_input *in)
{
	struct json_builder init = { .arena = arena }, mains = { .arena = arena };
	const struct json *old = json_get(in->pod, "status"), *start = json_get(old, "startTime");
	const char *phase = phase_of(arena, in);
	bool told = in->rejected == NULL, is_final = old != NULL && pod_is_over(in->pod), held = end_is_held(in, phase);
	bool rejected = in->rejected != NULL && !held;

	for (size_t i = 0; i < in->n; i++) /* it was ended, not refused */
		told = told || in->containers[i].now != NULL;
	if (is_final && in->rejected == NULL && !any_known(in)) /* by a kubelet before us: there is nothing to add */
		return old;
	for (size_t i = 0; i < in->n && told; i++)
		json_builder_item(in->containers[i].plan.kind == PLAN_MAIN ? &mains : &init, container_status(arena, in, i));
	return JSON_OBJECT_OF(arena, { "observedGeneration", json_path(in->pod, "metadata.generation") },
			      { "phase", held ? json_get(old, "phase") : json_text(arena, phase) },
			      { "conditions", told ? conditions(arena, in, phase) : json_get(old, "conditions") },
			      { "message", rejected ? json_text(arena, in->rejected_message) : json_get(old, "message") },
			      { "reason", rejected ? json_text(arena, in->rejected) : json_get(old, "reason") },
			      { "nominatedNodeName", json_get(old, "nominatedNodeName") },
			      { "hostIP", ip_json(arena, in->host_ip) }, { "hostIPs", ips(arena, in->host_ip) },
			      { "podIP", in->pod_ip.family != 0 ? ip_json(arena, in->pod_ip) : json_get(old, "podIP") },
			      { "podIPs", in->pod_ip.family != 0 ? ips(arena, in->pod_ip) : json_get(old, "podIPs") },
			      { "startTime", start != NULL ? start : time_json(arena, in->start_time) },
			      { "initContainerStatuses", init.len != 0 ? json_builder_array(&init) : NULL },
			      { "containerStatuses", mains.len != 0 ? json_builder_array(&mains) : NULL },
			      { "qosClass", json_text(arena, qos_class(json_get(in->pod, "spec"))) },
			      { "ephemeralContainerStatuses", ephemeral_statuses(arena, in->pod) },
			      { "resize", json_get(old, "resize") },
			      { "resourceClaimStatuses", json_get(old, "resourceClaimStatuses") });
}
