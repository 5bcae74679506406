/* Stopping: a container (hook, signal, grace, SIGKILL) and a pod (its containers, then what was made for it). */
#include <stdlib.h>
#include <string.h>

#include "kubelet/private.h"

#define STOP_TIMEOUT (120 * NS_PER_S)

/* --- one container --- */

struct stopping {
	struct list link; /* in pod->stoppings */
	struct container *container;
	struct kubelet *kubelet;
	int64_t until; /* mono: SIGKILL then */
	bool hook;     /* its preStop hook is run */
	char id[65];
	struct loop_timer timer;
	struct action *action;
	struct task *task;
	bool alone; /* not on behalf of the pod's end */
};

static bool has_ended(const struct stopping *s)
{
	const struct run *run = s->container->now;

	return run == NULL || run->exited || strcmp(run->id, s->id) != 0;
}

static void hook_over(void *arg, enum action_end end, const char *text)
{
	struct stopping *s = arg;

	s->action = NULL;
	if (end == ACTION_FAILED)
		pod_event(s->container->pod, s->container, "Warning", "FailedPreStopHook", "PreStopHook failed: %s", text);
	task_wake(s->task, NULL);
}

static void cancel_hook(void *arg)
{
	struct stopping *s = arg;

	if (s->action == NULL)
		return;
	action_cancel(s->action);
	s->action = NULL;
	task_wake(s->task, NULL);
}

static enum task_result run_hook(struct task *task, void *arg)
{
	struct stopping *s = arg;
	const struct json *hook = json_path(container_spec(s->container), "lifecycle.preStop");
	int64_t left = s->until - clock_mono();

	s->task = task;
	if (hook == NULL || !s->hook || has_ended(s) || left <= 0)
		return TASK_NEXT;
	task_hold(task);
	task_on_cancel(task, cancel_hook, s);
	s->action = action_start(s->container, hook, left, hook_over, s);
	return TASK_WAIT;
}

static enum task_result terminate(struct task *task, void *arg)
{
	struct stopping *s = arg;
	struct node_client *client = link_client(s->kubelet);

	if (has_ended(s))
		return TASK_DONE;
	if (client == NULL)
		return task_fail(task, link_absent_error(s->kubelet));
	task_hold(task);
	node_container_kill(client, &(struct node_kill){ .id = s->id, .signal = s->container->now->stop_signal }, link_woken_absent,
			    task);
	return TASK_WAIT;
}

static void killed(void *arg, struct node_reply *reply)
{
	(void)arg;
	(void)reply; /* its end is told as an event */
}

static void kill_it(void *arg)
{
	struct stopping *s = arg;
	struct node_client *client = link_client(s->kubelet);

	if (client != NULL)
		node_container_kill(client, &(struct node_kill){ .id = s->id, .signal = SIGKILL, .all = true }, killed, NULL);
}

static void stop_waiting(void *arg)
{
	struct stopping *s = arg;
	struct container *c = s->container;

	for (size_t i = 0; i < c->exit_waiters.len; i++) {
		if (c->exit_waiters.ptr[i] == s->task) {
			vec_remove(&c->exit_waiters, i);
			task_wake(s->task, NULL);
			return;
		}
	}
}

static enum task_result await_end(struct task *task, void *arg)
{
	struct stopping *s = arg;
	int64_t left = s->until - clock_mono();

	if (has_ended(s))
		return TASK_NEXT;
	task_hold(task);
	task_on_cancel(task, stop_waiting, s);
	vec_push(&s->container->exit_waiters, task);
	if (left > 0)
		loop_timer_start(&s->timer, left, kill_it, s);
	else
		kill_it(s);
	return TASK_WAIT;
}

const struct task_step stop_container_steps[] = {
	{ "pre-stop hook", run_hook, NULL },
	{ "terminate", terminate, NULL },
	{ "await end", await_end, NULL },
	{ NULL, NULL, NULL },
};

static struct stopping *stopping_new(struct container *c, int64_t grace)
{
	struct stopping *s = xcalloc(1, sizeof(*s));

	list_push(&c->pod->stoppings, &s->link);
	s->container = c;
	s->kubelet = c->pod->kubelet;
	s->until = clock_mono() + grace;
	s->hook = c->stopping == NULL;
	memcpy(s->id, c->now->id, strlen(c->now->id) < 64 ? strlen(c->now->id) : 64);
	return s;
}

static void stopping_free(struct stopping *s)
{
	loop_timer_stop(&s->timer);
	list_remove(&s->link);
	free(s);
}

/* A later request gives less time than the one before. */
void pod_hurry(struct pod *pod, int64_t grace)
{
	int64_t until = clock_mono() + grace;

	LIST_EACH (&pod->stoppings, struct stopping, link, s) {
		if (s->until <= until)
			continue;
		s->until = until;
		if (loop_timer_running(&s->timer))
			loop_timer_start(&s->timer, grace, kill_it, s);
	}
}

static struct error *child_done(void *arg, struct error *err)
{
	stopping_free(arg);
	return err;
}

static void stop_child(struct task *task, struct container *c, int64_t grace)
{
	AUTO_FREE char *subject = xasprintf("%s/%s %s", c->pod->ns, c->pod->name, c->name);

	pod_event(c->pod, c, "Normal", "Killing", "Stopping container %s", c->name);
	task_start_child(task, &(struct task_child_options){ .task = { .name = "stop container",
								       .subject = subject,
								       .steps = stop_container_steps,
								       .arg = stopping_new(c, grace) },
							     .done = child_done });
}

static void alone_done(void *arg, struct error *err)
{
	struct stopping *s = arg;
	struct container *c = s->container;

	c->stopping = NULL;
	log_consume(LOG_INFO, err, "a container was not stopped");
	closegroup_leave(&s->kubelet->tasks);
	pod_poke(c->pod);
	stopping_free(s);
}

void container_kill(struct container *container, const char *message)
{
	struct pod *pod = container->pod;
	AUTO_FREE char *subject = xasprintf("%s/%s %s", pod->ns, pod->name, container->name);
	int64_t grace = json_int(json_path(pod_tree(pod), "spec.terminationGracePeriodSeconds"), 30);
	struct stopping *s;

	if (container->stopping != NULL || container->now == NULL || !container->now->running)
		return;
	pod_event(pod, container, "Normal", "Killing", "%s", message);
	grace = json_int(json_path(container_spec(container), "livenessProbe.terminationGracePeriodSeconds"), grace);
	s = stopping_new(container, grace * NS_PER_S);
	closegroup_add(&pod->kubelet->tasks);
	container->stopping = task_start(&(struct task_options){ .name = "stop container",
								 .subject = subject,
								 .steps = stop_container_steps,
								 .arg = s,
								 .timeout = grace * NS_PER_S + STOP_TIMEOUT,
								 .done = alone_done });
}

/* --- the pod --- */

struct stop {
	struct pod *pod;
	struct kubelet *kubelet;
	struct arena *arena;
	int64_t until;
	bool remove;
	size_t sidecar; /* the next one to stop is the one before */
	void (*done)(void *arg, struct error *err);
};

static bool runs(const struct container *c)
{
	return c->now != NULL && c->now->running;
}

static int64_t grace_left(const struct stop *stop, int64_t least)
{
	int64_t left = stop->until - clock_mono();

	return left > least ? left : least;
}

static enum task_result stop_containers(struct task *task, void *arg)
{
	struct stop *stop = arg;
	struct pod *pod = stop->pod;
	bool any = false;

	for (size_t i = 0; i < pod->containers.len; i++) {
		struct container *c = pod->containers.ptr[i];

		probes_stop(c);
		if (c->kind == PLAN_SIDECAR || !runs(c))
			continue;
		any = true;
		stop_child(task, c, grace_left(stop, 0));
	}
	stop->sidecar = pod->containers.len;
	return any ? TASK_WAIT : TASK_NEXT;
}

/* The last one first, each after its successors. */
static enum task_result stop_sidecars(struct task *task, void *arg)
{
	struct stop *stop = arg;

	while (stop->sidecar > 0) {
		struct container *c = stop->pod->containers.ptr[--stop->sidecar];

		if (c->kind != PLAN_SIDECAR || !runs(c))
			continue;
		stop_child(task, c, grace_left(stop, 2 * NS_PER_S));
		return TASK_AGAIN;
	}
	return TASK_NEXT;
}

static enum task_result unplug(struct task *task, void *arg)
{
	struct stop *stop = arg;

	if (link_client(stop->kubelet) == NULL)
		return task_fail(task, link_absent_error(stop->kubelet));
	return network_unplug(task, stop->kubelet, str_from(stop->pod->uid));
}

typedef uint64_t node_ref_fn(struct node_client *client, const struct node_ref *ref, node_reply_fn *fn, void *arg);

/* A request about something that the pod may have; that it is not there is as good. */
static enum task_result ask(struct task *task, struct kubelet *kubelet, node_ref_fn *request, const char *id)
{
	struct node_client *client = link_client(kubelet);

	if (id == NULL)
		return TASK_NEXT;
	if (client == NULL)
		return task_fail(task, link_absent_error(kubelet));
	task_hold(task);
	request(client, &(struct node_ref){ .id = id }, link_woken_absent, task);
	return TASK_WAIT;
}

static enum task_result stop_sandbox(struct task *task, void *arg)
{
	struct stop *stop = arg;

	return ask(task, stop->kubelet, node_sandbox_stop, stop->pod->sandbox);
}

static enum task_result note_stopped(struct task *task, void *arg)
{
	struct stop *stop = arg;
	struct pod *pod = stop->pod;

	(void)task;
	pod->sandbox_ready = false;
	pod->address = (struct ip){ 0 };
	for (size_t i = 0; i < pod->containers.len; i++)
		pod->containers.ptr[i]->ready = pod->containers.ptr[i]->started = false;
	return stop->remove ? TASK_NEXT : TASK_DONE;
}

/* Their exit codes are known to nobody else once they are removed. */
static enum task_result tell_end(struct task *task, void *arg)
{
	return pod_tell(task, ((struct stop *)arg)->pod);
}

static enum task_result remove_containers(struct task *task, void *arg)
{
	struct stop *stop = arg;
	struct pod *pod = stop->pod;
	enum task_result result = TASK_NEXT;

	for (size_t i = 0; i < pod->containers.len && result != TASK_FAILED; i++) {
		const struct run *all[] = { pod->containers.ptr[i]->now, pod->containers.ptr[i]->last };

		for (size_t k = 0; k < 2 && result != TASK_FAILED; k++)
			if (all[k] != NULL)
				result = ask(task, stop->kubelet, node_container_remove, all[k]->id);
	}
	for (size_t i = 0; i < pod->rubbish.len && result != TASK_FAILED; i++)
		result = ask(task, stop->kubelet, node_container_remove, pod->rubbish.ptr[i]);
	return result;
}

static enum task_result remove_sandbox(struct task *task, void *arg)
{
	struct stop *stop = arg;

	return ask(task, stop->kubelet, node_sandbox_remove, stop->pod->sandbox);
}

static enum task_result unmount_volumes(struct task *task, void *arg)
{
	return volumes_unmount(task, ((struct stop *)arg)->pod);
}

static void files_gone(void *arg, struct error *err)
{
	task_wake(arg, err);
}

static enum task_result remove_files(struct task *task, void *arg)
{
	struct stop *stop = arg;
	struct pod *pod = stop->pod;

	task_hold(task);
	root_remove(stop->kubelet, pod_dir(stop->arena, pod), files_gone, task);
	task_hold(task);
	root_remove(stop->kubelet, arena_printf(stop->arena, LOGS_DIR "/%s_%s_%s", pod->ns, pod->name, pod->uid), files_gone, task);
	return TASK_WAIT;
}

const struct task_step stop_pod_steps[] = {
	{ "stop containers", stop_containers, NULL },
	{ "stop sidecars", stop_sidecars, NULL },
	{ "unplug network", unplug, NULL },
	{ "stop sandbox", stop_sandbox, NULL },
	{ "stopped", note_stopped, NULL },
	{ "tell the end", tell_end, NULL },
	{ "remove containers", remove_containers, NULL },
	{ "remove sandbox", remove_sandbox, NULL },
	{ "unmount volumes", unmount_volumes, NULL },
	{ "remove files", remove_files, NULL },
	{ NULL, NULL, NULL },
};

static void pod_done(void *arg, struct error *err)
{
	struct stop *stop = arg;
	struct pod *pod = stop->pod;
	void (*done)(void *, struct error *) = stop->done;

	if (err == NULL && stop->remove)
		replace_text(&pod->sandbox, NULL);
	arena_free(stop->arena);
	free(stop);
	done(pod, err);
}

struct task *pod_stop(struct pod *pod, int64_t grace, bool remove, void (*done)(void *arg, struct error *err))
{
	struct stop *stop = xcalloc(1, sizeof(*stop));
	AUTO_FREE char *subject = xasprintf("%s/%s", pod->ns, pod->name);

	stop->pod = pod;
	stop->kubelet = pod->kubelet;
	stop->arena = arena_new();
	stop->until = clock_mono() + grace;
	stop->remove = remove;
	stop->done = done;
	return task_start(&(struct task_options){ .name = "stop pod",
						  .subject = subject,
						  .steps = stop_pod_steps,
						  .arg = stop,
						  .timeout = grace + STOP_TIMEOUT,
						  .done = pod_done });
}
