/* What the node process has of a pod: its sandbox, and the runs of its containers. Two runs of each are remembered, the one
 * that counts and the one before it; older ones are rubbish. */
#include <stdlib.h>
#include <string.h>

#include "kubelet/private.h"

struct run *run_new(const char *id, unsigned attempt)
{
	struct run *run = xcalloc(1, sizeof(*run));

	run->id = xstrdup(id);
	run->attempt = attempt;
	return run;
}

void run_free(struct run *run)
{
	if (run == NULL)
		return;
	free(run->id);
	free(run->reason);
	free(run->message);
	free(run->image);
	free(run->image_id);
	free(run);
}

static void forget_run(struct pod *pod, struct run *run)
{
	if (run == NULL)
		return;
	vec_push(&pod->rubbish, xstrdup(run->id));
	run_free(run);
}

static void update_run(struct kubelet *kubelet, struct container *c, struct run *run, const struct node_container *found)
{
	struct arena *arena;
	struct str text;
	const struct json *spec = container_spec(c);
	bool was_over = run->exited;

	run->running = found->state == NODE_RUNNING;
	run->exited = found->state == NODE_EXITED;
	run->exit_code = found->exit_code;
	run->signal = found->signal;
	run->oom_killed = found->oom_killed;
	run->lost = found->lost;
	run->created_at = found->created_at;
	run->started_at = found->started_at;
	run->finished_at = found->finished_at != 0 ? found->finished_at : clock_now();
	if (run->image == NULL)
		replace_text(&run->image, found->image);
	if (run->image_id == NULL)
		replace_text(&run->image_id, label_of(found->labels, found->n_labels, "image"));
	if (run->stop_signal == 0)
		run->stop_signal = signal_number(label_of(found->labels, found->n_labels, "stop"));
	if (run->exited && run == c->now)
		c->ready = c->started = false;
	if (!run->exited || was_over)
		return;
	if (found->message != NULL && found->message[0] != '\0')
		replace_text(&run->message, found->message);
	if (found->started_at == 0)
		replace_text(&run->reason, "StartError");
	arena = arena_new();
	text = root_read(arena, kubelet, termination_path(arena, c, run->attempt), MESSAGE_MOST, false);
	if (text.len == 0 && run->exit_code != 0 && str_is(json_get_str(spec, "terminationMessagePolicy"), "FallbackToLogsOnError"))
		text = log_last_lines(arena, kubelet, log_path(arena, c, run->attempt));
	if (text.len != 0)
		replace_text(&run->message, str_cstr(arena, text));
	arena_free(arena);
}

void pod_found_sandbox(struct pod *pod, const struct node_sandbox *sandbox)
{
	const char *ip = label_of(sandbox->labels, sandbox->n_labels, "ip");
	struct ip parsed;

	if (pod->sandbox != NULL && sandbox->attempt < pod->sandbox_attempt)
		return;
	replace_text(&pod->sandbox, sandbox->id);
	pod->sandbox_attempt = sandbox->attempt;
	pod->sandbox_ready = sandbox->ready;
	pod->address = (struct ip){ 0 };
	if (ip == NULL || !ip_parse(str_from(ip), &parsed))
		return;
	pod->ip = parsed;
	if (sandbox->ready && !sandbox->host_network)
		pod->address = parsed;
}

void pod_found_container(struct pod *pod, const struct node_container *found)
{
	struct container *c = pod_container(pod, str_from(found->name));
	struct run *run;

	if (c == NULL) {
		vec_push(&pod->rubbish, xstrdup(found->id));
		return;
	}
	if (c->now != NULL && strcmp(c->now->id, found->id) == 0) {
		update_run(pod->kubelet, c, c->now, found);
		return;
	}
	if (c->last != NULL && strcmp(c->last->id, found->id) == 0)
		return;
	run = run_new(found->id, found->attempt);
	update_run(pod->kubelet, c, run, found);
	if (c->now == NULL) {
		c->now = run;
	} else if (run->attempt > c->now->attempt) {
		forget_run(pod, c->last);
		c->last = c->now;
		c->now = run;
	} else if (c->last == NULL || run->attempt > c->last->attempt) {
		forget_run(pod, c->last);
		c->last = run;
	} else {
		forget_run(pod, run);
	}
	c->again = pod->sandbox == NULL || strcmp(found->sandbox, pod->sandbox) != 0;
}

/* Containers are made after the whole sandbox: without any it may be one that nobody came to finish. */
static bool is_half_made(const struct pod *pod)
{
	for (size_t i = 0; i < pod->containers.len; i++)
		if (pod->containers.ptr[i]->now != NULL && !pod->containers.ptr[i]->again)
			return false;
	return true;
}

void pod_found_all(struct pod *pod)
{
	if (pod->task == NULL && is_half_made(pod))
		pod->sandbox_ready = false;
	for (size_t i = 0; i < pod->containers.len; i++) {
		struct container *c = pod->containers.ptr[i];

		if (c->now != NULL && !c->now->running && !c->now->exited) { /* made, never started: made again */
			forget_run(pod, c->now);
			c->now = c->last;
			c->last = NULL;
		}
		if (c->busy) /* its task does that */
			continue;
		if (c->now != NULL && c->now->running && !pod->over)
			probes_start(c);
		else
			probes_stop(c);
	}
	pod_poke(pod);
}

static void wake_waiters(struct container *c, bool lost)
{
	typeof(c->exit_waiters) waiters = c->exit_waiters;

	memset(&c->exit_waiters, 0, sizeof(c->exit_waiters));
	for (size_t i = 0; i < waiters.len; i++)
		task_wake(waiters.ptr[i], lost ? link_absent_error(c->pod->kubelet) : NULL);
	vec_fini(&waiters);
}

void pod_container_exited(struct pod *pod, const struct node_container *found)
{
	struct container *c = pod_container(pod, str_from(found->name));

	if (c == NULL || c->now == NULL || strcmp(c->now->id, found->id) != 0)
		return;
	update_run(pod->kubelet, c, c->now, found);
	probes_stop(c);
	wake_waiters(c, false);
	serve_run_ended(pod->kubelet);
	pod_poke(pod);
}

void pod_node_lost(struct pod *pod)
{
	pod_told(pod, link_absent_error(pod->kubelet));
	for (size_t i = 0; i < pod->containers.len; i++) {
		probes_stop(pod->containers.ptr[i]);
		wake_waiters(pod->containers.ptr[i], true);
	}
}
