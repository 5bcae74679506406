/*
 * A pod on this node: what is known of it, and the one function that decides what happens next.
 *
 *	new ─► waiting ─► starting ─► active ─► stopping ─► over ─► removing ─► gone
 *	          ▲──────────┘  ▲────────┘ (its sandbox died)            (only pods that are deleted go on)
 */
#include <stdlib.h>

#include "kubelet/private.h"

#define SANDBOX_RETRY_MOST (60 * NS_PER_S)

static const uint32_t allowed[POD_STATES] = {
	[POD_NEW] = FSM(POD_WAITING) | FSM(POD_ACTIVE) | FSM(POD_STOPPING) | FSM(POD_OVER) | FSM(POD_REMOVING),
	[POD_WAITING] = FSM(POD_STARTING) | FSM(POD_STOPPING) | FSM(POD_REMOVING) | FSM(POD_ACTIVE) | FSM(POD_OVER),
	[POD_STARTING] = FSM(POD_WAITING) | FSM(POD_ACTIVE),
	[POD_ACTIVE] = FSM(POD_WAITING) | FSM(POD_STOPPING) | FSM(POD_REMOVING),
	[POD_STOPPING] = FSM(POD_OVER) | FSM(POD_WAITING) | FSM(POD_ACTIVE),
	[POD_OVER] = FSM(POD_REMOVING),
	[POD_REMOVING] = FSM(POD_GONE) | FSM(POD_OVER) | FSM(POD_WAITING) | FSM(POD_ACTIVE),
	[POD_GONE] = 0,
};
static const char *const state_names[POD_STATES] = {
	"new", "waiting", "starting", "active", "stopping", "over", "removing", "gone"
};
static const struct fsm_table table = { "pod", state_names, allowed, POD_STATES };

/* --- asking --- */

const struct json *pod_tree(const struct pod *pod)
{
	return pod->object != NULL ? object_tree(pod->object) : NULL;
}

bool pod_is_deleted(const struct pod *pod)
{
	return pod->object_gone || pod->object == NULL || is_deleting(pod_tree(pod));
}

bool pod_host_network(const struct pod *pod)
{
	return json_bool(json_path(pod_tree(pod), "spec.hostNetwork"));
}

const struct json *container_spec(const struct container *container)
{
	const struct json *tree = pod_tree(container->pod), *init = json_path(tree, "spec.initContainers");
	size_t n = json_len(init);

	return container->index < n ? json_at(init, container->index)
				    : json_at(json_path(tree, "spec.containers"), container->index - n);
}

struct container *pod_container(const struct pod *pod, struct str name)
{
	for (size_t i = 0; i < pod->containers.len; i++)
		if (str_is(name, pod->containers.ptr[i]->name))
			return pod->containers.ptr[i];
	return NULL;
}

static enum seen_state seen(const struct container *c)
{
	if (c->busy)
		return SEEN_BUSY;
	if (c->now == NULL || c->again)
		return SEEN_NONE;
	if (c->now->exited)
		return SEEN_EXITED;
	return c->now->running ? SEEN_RUNNING : SEEN_BUSY;
}

void pod_plan_view(const struct pod *pod, struct plan_container *out)
{
	const struct json *spec = json_get(pod_tree(pod), "spec");

	for (size_t i = 0; i < pod->containers.len; i++) {
		const struct container *c = pod->containers.ptr[i];

		out[i] = (struct plan_container){ .kind = c->kind,
						  .state = seen(c),
						  .policy = restart_policy_of(spec, container_spec(c)),
						  .exit_code = c->now != NULL ? c->now->exit_code : 0,
						  .finished_at = c->now != NULL ? c->now->finished_at : 0,
						  .started = c->started,
						  .has_run = c->now != NULL || c->last != NULL,
						  .backoff = c->backoff,
						  .not_before = c->not_before };
		if (c->kind == PLAN_INIT && out[i].policy == RESTART_ALWAYS)
			out[i].policy = RESTART_ON_FAILURE;
	}
}

void pod_event(struct pod *pod, struct container *container, const char *type, const char *reason, const char *format, ...)
{
	struct arena *arena = arena_new();
	const char *field = NULL;
	va_list args;
	char *text;

	if (pod->object == NULL) {
		arena_free(arena);
		return;
	}
	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	if (container != NULL)
		field = arena_printf(arena, "spec.%s{%s}", container->kind == PLAN_MAIN ? "containers" : "initContainers",
				     container->name);
	client_event(pod->kubelet->client,
		     &(struct client_event){ .about = pod->object,
					     .field_path = field,
					     .type = type,
					     .reason = reason,
					     .component = "kubelet",
					     .host = pod->kubelet->options.node_name,
					     .cause = pod->cause },
		     "%s", text);
	arena_free(arena);
}

/* --- what exists --- */

static void container_free(struct container *c)
{
	ASSERT(c->exit_waiters.len == 0 && c->stopping == NULL);
	vec_fini(&c->exit_waiters);
	probes_stop(c);
	run_free(c->now);
	run_free(c->last);
	free(c->name);
	free(c->wait_reason);
	free(c->wait_message);
	free(c);
}

static void add_container(struct pod *pod, const struct json *spec, bool is_init)
{
	struct container *c = xcalloc(1, sizeof(*c));
	struct str name = json_get_str(spec, "name");

	c->pod = pod;
	c->name = xmemdup(name.ptr, name.len);
	c->kind = plan_kind_of(spec, is_init);
	c->index = pod->containers.len;
	for (int i = 0; i < PROBE_KINDS; i++)
		c->probes[i] = (struct probe){ .container = c, .kind = (enum probe_kind)i };
	vec_push(&pod->containers, c);
}

static struct pod *pod_blank(struct kubelet *kubelet, struct str uid, struct str ns, struct str name)
{
	struct pod *pod = xcalloc(1, sizeof(*pod));

	pod->kubelet = kubelet;
	pod->uid = xmemdup(uid.ptr, uid.len);
	pod->ns = xmemdup(ns.ptr, ns.len);
	pod->name = xmemdup(name.ptr, name.len);
	pod->state = (struct fsm){ &table, POD_NEW };
	pod->start_time = clock_now();
	list_init(&pod->stoppings);
	map_set(&kubelet->by_uid, str_from(pod->uid), pod);
	return pod;
}

struct pod *pod_new(struct kubelet *kubelet, struct object *object)
{
	const struct json *tree = object_tree(object);
	struct pod *pod = pod_blank(kubelet, object_uid(object), object_namespace(object), object_name(object));

	pod->object = object_ref(object);
	time_parse(json_path_str(tree, "status.startTime"), &pod->start_time);
	JSON_EACH (json_path(tree, "spec.initContainers"), it)
		add_container(pod, it.value, true);
	JSON_EACH (json_path(tree, "spec.containers"), it)
		add_container(pod, it.value, false);
	return pod;
}

struct pod *pod_new_orphan(struct kubelet *kubelet, const char *uid, const struct node_sandbox *sandbox)
{
	struct pod *pod = pod_blank(kubelet, str_from(uid), str_from(sandbox != NULL ? sandbox->ns : NULL),
				    str_from(sandbox != NULL ? sandbox->name : NULL));

	pod->no_object = true;
	return pod;
}

void pod_free(struct pod *pod)
{
	struct kubelet *kubelet = pod->kubelet;

	ASSERT(pod->task == NULL);
	loop_call_cancel(&pod->poke);
	loop_timer_stop(&pod->timer);
	pod_status_cancel(pod);
	map_take(&kubelet->by_uid, str_from(pod->uid));
	for (size_t i = 0; i < pod->containers.len; i++)
		container_free(pod->containers.ptr[i]);
	vec_fini(&pod->containers);
	for (size_t i = 0; i < pod->rubbish.len; i++)
		free(pod->rubbish.ptr[i]);
	vec_fini(&pod->rubbish);
	MAP_EACH (&pod->tokens, it) {
		free(((struct token *)it->value)->text);
		free(it->value);
	}
	map_fini(&pod->tokens);
	arena_free(pod->posted_arena);
	object_unref(pod->object);
	free(pod->sandbox);
	free(pod->rejected_message);
	free(pod->uid);
	free(pod->ns);
	free(pod->name);
	free(pod);
}

/* What downward API volumes show of a pod that runs. */
static bool shows_otherwise(struct object *old, struct object *now)
{
	const struct json *before = json_get(object_tree(old), "metadata"), *after = json_get(object_tree(now), "metadata");

	return !json_equal(json_get(before, "labels"), json_get(after, "labels")) ||
	       !json_equal(json_get(before, "annotations"), json_get(after, "annotations"));
}

void pod_set_object(struct pod *pod, struct object *object, uint64_t revision)
{
	if (object != NULL) {
		pod->volumes_stale = pod->volumes_stale || shows_otherwise(pod->object, object);
		object_ref(object);
		object_unref(pod->object);
		pod->object = object;
	} else {
		pod->object_gone = true;
	}
	pod->cause = revision;
	pod_poke(pod);
}

/* --- deciding --- */

static void look(void *arg);

void pod_poke(struct pod *pod)
{
	loop_call_soon(&pod->poke, look, pod);
}

void pod_poke_at(struct pod *pod, int64_t now_ns)
{
	int64_t wait = now_ns - clock_now();

	if (wait < NS_PER_MS)
		wait = NS_PER_MS;
	if (loop_timer_running(&pod->timer) && pod->timer.at <= clock_mono() + wait)
		return;
	loop_timer_start(&pod->timer, wait, look, pod);
}

/* What was called off is no news. */
static void log_end(struct error *err, enum log_level level, const char *what)
{
	log_consume(err != NULL && err->kind == ERR_CANCELED ? LOG_DEBUG : level, err, what);
}

static void sandbox_made(void *arg, struct error *err)
{
	struct pod *pod = arg;
	int64_t wait = NS_PER_S << (pod->sandbox_failures < 6 ? pod->sandbox_failures : 6);

	pod->task = NULL;
	closegroup_leave(&pod->kubelet->tasks);
	fsm_move(&pod->state, err == NULL ? POD_ACTIVE : POD_WAITING);
	if (err == NULL) {
		pod->sandbox_failures = 0;
	} else if (err->kind == ERR_CANCELED || err->kind == ERR_UNAVAILABLE) {
		pod->sandbox_not_before = clock_now() + 100 * NS_PER_MS;
	} else {
		pod->sandbox_failures++;
		pod->sandbox_not_before = clock_now() + (wait < SANDBOX_RETRY_MOST ? wait : SANDBOX_RETRY_MOST);
	}
	log_end(err, LOG_INFO, "start of a pod failed");
	pod_poke(pod);
}

static void container_made(void *arg, struct error *err)
{
	struct pod *pod = arg;

	pod->task = NULL;
	closegroup_leave(&pod->kubelet->tasks);
	log_end(err, LOG_INFO, "start of a container failed");
	pod_poke(pod);
}

static void pod_stopped(void *arg, struct error *err)
{
	struct pod *pod = arg;

	pod->task = NULL;
	closegroup_leave(&pod->kubelet->tasks);
	if (err == NULL) {
		fsm_move(&pod->state, pod->state.state == POD_STOPPING ? POD_OVER : POD_GONE);
	} else { /* again: the node is away, or something would not go */
		fsm_move(&pod->state, pod->sandbox_ready ? POD_ACTIVE : POD_WAITING);
		pod->stop_not_before = clock_now() + (err->kind == ERR_UNAVAILABLE ? NS_PER_S / 10 : NS_PER_S);
	}
	log_end(err, LOG_WARN, "stop of a pod failed");
	pod_poke(pod);
}

static int64_t grace_of(const struct pod *pod)
{
	const struct json *tree = pod_tree(pod);
	int64_t grace = json_int(json_path(tree, "metadata.deletionGracePeriodSeconds"), -1);

	if (pod->no_object || pod->object_gone)
		return NS_PER_S;
	if (grace < 0)
		grace = json_int(json_path(tree, "spec.terminationGracePeriodSeconds"), 30);
	return (grace > 0 ? grace : 1) * NS_PER_S;
}

static bool is_final(const struct pod *pod)
{
	return pod->over || pod->rejected != NULL || (pod->object != NULL && pod_is_over(pod_tree(pod)));
}

/* activeDeadlineSeconds: from its first look on, whatever it does. */
static bool outlived(struct pod *pod)
{
	int64_t seconds = json_int(json_path(pod_tree(pod), "spec.activeDeadlineSeconds"), 0);

	if (seconds <= 0 || is_final(pod))
		return false;
	if (clock_now() < pod->start_time + seconds * NS_PER_S) {
		pod_poke_at(pod, pod->start_time + seconds * NS_PER_S);
		return false;
	}
	pod->rejected = "DeadlineExceeded";
	replace_text(&pod->rejected_message, "Pod was active on the node longer than the specified deadline");
	pod_event(pod, NULL, "Normal", "DeadlineExceeded", "%s", pod->rejected_message);
	return true;
}

/* A container whose image was changed is made again. */
static void look_changed(struct pod *pod)
{
	for (size_t i = 0; i < pod->containers.len; i++) {
		struct container *c = pod->containers.ptr[i];
		struct arena *arena;
		struct image_ref ref;
		struct error *err;
		struct str wants = json_get_str(container_spec(c), "image");

		if (c->now == NULL || !c->now->running || c->now->image == NULL || c->stopping != NULL || c->kind == PLAN_INIT)
			continue;
		arena = arena_new();
		err = image_ref_parse(arena, wants, &ref);
		if (err == NULL && !str_is(wants, c->now->image) && !str_is(image_ref_format(arena, &ref), c->now->image)) {
			c->replaced = true;
			c->backoff = (struct backoff){ 0 }; /* it is another one's */
			container_kill(c, arena_printf(arena, "Container %s definition changed, will be restarted", c->name));
		}
		error_free(err);
		arena_free(arena);
	}
}

static void stop(struct pod *pod, bool remove)
{
	if (pod->stop_not_before > clock_now()) {
		pod_poke_at(pod, pod->stop_not_before);
		return;
	}
	pod->over = true;
	fsm_move(&pod->state, remove ? POD_REMOVING : POD_STOPPING);
	closegroup_add(&pod->kubelet->tasks);
	pod->task = pod_stop(pod, grace_of(pod), remove, pod_stopped);
}

static void start_sandbox(struct pod *pod)
{
	if (pod->sandbox_not_before > clock_now()) {
		pod_poke_at(pod, pod->sandbox_not_before);
		return;
	}
	if (!pod_host_network(pod) && !pod->kubelet->has_cidr)
		return; /* the node's informer brings it */
	if (pod->state.state != POD_WAITING)
		fsm_move(&pod->state, POD_WAITING);
	fsm_move(&pod->state, POD_STARTING);
	closegroup_add(&pod->kubelet->tasks);
	pod->task = pod_start_sandbox(pod, sandbox_made);
}

static void tell_back_off(struct pod *pod, const struct plan_container *view)
{
	for (size_t i = 0; i < pod->containers.len; i++) {
		struct container *c = pod->containers.ptr[i];

		if (view[i].state != SEEN_EXITED || !plan_restarts(&view[i]) || c->told_back_off == c->now->attempt + 1 ||
		    backoff_until(&c->backoff, view[i].finished_at) <= clock_now())
			continue;
		c->told_back_off = c->now->attempt + 1;
		pod_event(pod, c, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", c->name,
			  pod->name, pod->ns, pod->uid);
	}
}

static void refreshed(void *arg, struct error *err)
{
	struct pod *pod = arg;

	pod->task = NULL;
	closegroup_leave(&pod->kubelet->tasks);
	if (err != NULL && err->kind != ERR_CANCELED && err->kind != ERR_UNAVAILABLE)
		pod_event(pod, NULL, "Warning", "FailedMount", "%s", err->text);
	log_end(err, LOG_INFO, "volumes were not refreshed");
	pod_poke(pod);
}

/* What a running pod's volumes show has changed, or a token of it ages. True: that is what happens now. */
static bool refresh(struct pod *pod)
{
	int64_t due = 0;

	MAP_EACH (&pod->tokens, it) {
		int64_t at = ((const struct token *)it->value)->refresh_at;

		due = due == 0 || at < due ? at : due;
	}
	if (due != 0 && due > clock_now())
		pod_poke_at(pod, due);
	if (pod->state.state != POD_ACTIVE || (!pod->volumes_stale && (due == 0 || due > clock_now())))
		return false;
	pod->volumes_stale = false;
	closegroup_add(&pod->kubelet->tasks);
	pod->task = volumes_refresh(pod, refreshed);
	return true;
}

static void follow_plan(struct pod *pod)
{
	struct arena *arena = arena_new();
	struct plan_container *view = ARENA_ARRAY(arena, struct plan_container, pod->containers.len + 1);
	struct plan plan;

	pod_plan_view(pod, view);
	plan = pod_plan(view, pod->containers.len, pod->sandbox_ready, clock_now());
	tell_back_off(pod, view);
	arena_free(arena);
	switch (plan.verb) {
	case PLAN_NOTHING:
		if (pod->state.state == POD_NEW || (pod->state.state == POD_WAITING && pod->sandbox_ready))
			fsm_move(&pod->state, pod->sandbox_ready ? POD_ACTIVE : POD_WAITING);
		if (plan.at != 0)
			pod_poke_at(pod, plan.at);
		break;
	case PLAN_SANDBOX:
		start_sandbox(pod);
		break;
	case PLAN_CONTAINER:
		if (pod->state.state != POD_ACTIVE)
			fsm_move(&pod->state, POD_ACTIVE);
		closegroup_add(&pod->kubelet->tasks);
		pod->task = pod_start_container(pod->containers.ptr[plan.container], container_made);
		break;
	case PLAN_OVER:
		stop(pod, false);
		break;
	}
}

static void rubbish_gone(void *arg, struct node_reply *reply)
{
	(void)arg;
	(void)reply; /* what stays is found at the next look at the node */
}

/* Ends that nobody asks for any more: two of each container are kept. */
static void sweep(struct pod *pod)
{
	struct node_client *client = link_client(pod->kubelet);

	for (size_t i = 0; i < pod->rubbish.len && client != NULL; i++) {
		node_container_remove(client, &(struct node_ref){ .id = pod->rubbish.ptr[i] }, rubbish_gone, NULL);
		free(pod->rubbish.ptr[i]);
	}
	if (client != NULL)
		vec_clear(&pod->rubbish);
}

/* Everything it left is gone: the API object may go too. */
static void finish(struct pod *pod)
{
	if (pod->object == NULL || pod->object_gone) {
		pod_free(pod);
		return;
	}
	pod_delete_object(pod);
}

static void look(void *arg)
{
	struct pod *pod = arg;
	struct kubelet *kubelet = pod->kubelet;
	const char *before = log_action(pod->name);

	if (kubelet->stopping) {
		log_action(before);
		return;
	}
	pod_write_status(pod);
	if (pod->state.state == POD_GONE) {
		finish(pod);
	} else if (pod->task != NULL) {
		if (pod->state.state == POD_REMOVING || pod->state.state == POD_STOPPING) {
			if (pod_is_deleted(pod))
				pod_hurry(pod, grace_of(pod));
		} else if (pod_is_deleted(pod) || outlived(pod)) {
			task_cancel(pod->task, error_new(ERR_CANCELED, "the pod is being ended"));
		}
	} else if (kubelet_may_work(kubelet)) {
		if (!pod_is_deleted(pod)) {
			sweep(pod);
			look_changed(pod);
		}
		if (pod_is_deleted(pod))
			stop(pod, true);
		else if (pod->state.state == POD_OVER)
			; /* until it is deleted */
		else if (is_final(pod) || outlived(pod))
			stop(pod, false);
		else if (!refresh(pod) && pod_admit(pod))
			follow_plan(pod);
	}
	log_action(before);
}
