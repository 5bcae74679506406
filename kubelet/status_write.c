/* Telling the API server: the status of a pod when it differs, and the end of one that is deleted. */
#include "kubelet/private.h"

#define RETRY      (NS_PER_S / 2)
#define RETRY_LOST (20 * NS_PER_MS) /* somebody else wrote: the informer brings it at once */

static const struct json *make_status(struct arena *arena, struct pod *pod)
{
	size_t n = pod->containers.len;
	struct plan_container *plan = ARENA_ARRAY(arena, struct plan_container, n + 1);
	struct status_container *all = ARENA_ARRAY(arena, struct status_container, n + 1);
	struct status_input in = { .pod = pod_tree(pod),
				   .pod_ip = pod->ip,
				   .host_ip = pod->kubelet->options.node_ip,
				   .start_time = pod->start_time,
				   .sandbox_ready = pod->sandbox_ready,
				   .rejected = pod->rejected,
				   .rejected_message = pod->rejected_message,
				   .containers = all,
				   .n = n,
				   .now = clock_now() };
	bool ended = true;

	pod_plan_view(pod, plan);
	for (size_t i = 0; i < n; i++) {
		const struct container *c = pod->containers.ptr[i];

		all[i] = (struct status_container){ .plan = plan[i],
						    .now = c->now,
						    .last = c->last,
						    .again = c->again,
						    .ready = c->ready,
						    .wait_reason = c->wait_reason,
						    .wait_message = c->wait_message };
		ended = ended && (c->now == NULL || !c->now->running);
	}
	/* what is over is told when nothing of it runs: others may take its place then */
	in.over = ended && pod->over;
	return pod_status(arena, &in);
}

static void poke(void *arg)
{
	pod_poke(arg);
}

static void posted(void *arg, struct api_reply *reply)
{
	struct pod *pod = arg;
	int64_t wait;

	pod->status_call = NULL;
	if (reply->err != NULL) {
		wait = reply->err->kind == ERR_CONFLICT ? RETRY_LOST : RETRY;
		pod->posted = NULL;
		pod->status_not_before = clock_mono() + wait;
		if (reply->err->kind != ERR_CONFLICT && reply->err->kind != ERR_NOT_FOUND)
			log_warn("status of a pod was not written", "pod=%s/%s error=%s", pod->ns, pod->name, reply->err->text);
		loop_timer_start(&pod->timer, wait, poke, pod);
		return;
	}
	if (reply->object != NULL && object_revision(reply->object) > object_revision(pod->object)) {
		object_ref(reply->object);
		object_unref(pod->object);
		pod->object = reply->object;
	}
	pod->posted_result = json_copy(pod->posted_arena, json_get(pod_tree(pod), "status"));
	pod_poke(pod);
}

/* Between the end of a container whose spec changed and its next start nothing is told, as upstream's kubelet does not:
 * it looks for what changed once in a second. */
#define RELIST NS_PER_S

static bool is_between(struct pod *pod)
{
	bool between = false;

	for (size_t i = 0; i < pod->containers.len; i++) {
		struct container *c = pod->containers.ptr[i];
		bool ended;

		if (!c->replaced || c->stopping != NULL || c->now == NULL || pod->state.state != POD_ACTIVE)
			continue;
		ended = c->now->exited && clock_now() < c->now->finished_at + RELIST;
		c->replaced = ended;
		between = between || ended;
		if (ended)
			pod_poke_at(pod, c->now->finished_at + RELIST);
	}
	return between;
}

static void write_status(struct pod *pod)
{
	const struct kind *kind = object_kind(pod->object);
	const struct json *tree = pod_tree(pod), *status, *normal = NULL, *old = json_get(tree, "status");
	struct arena *arena;
	struct error *err;

	/* until the node has told what it has, nothing is known */
	if (pod->status_call != NULL || pod->no_object || !kubelet_may_work(pod->kubelet) || pod->state.state == POD_NEW)
		return;
	if (pod->status_not_before > clock_mono()) {
		pod_poke_at(pod, clock_now() + pod->status_not_before - clock_mono());
		return;
	}
	if (is_between(pod))
		return;
	arena = arena_new();
	status = make_status(arena, pod);
	err = api_normalize(arena, field_type(type_find(kind_type(kind), STR("status"))), status, NULL, &normal);
	if (err != NULL || json_equal(normal, old) ||
	    (pod->posted != NULL && json_equal(normal, pod->posted) && json_equal(pod->posted_result, old))) {
		log_consume(LOG_ERROR, err, "status of a pod");
		arena_free(arena);
		pod_told(pod, NULL);
		return;
	}
	arena_free(pod->posted_arena);
	pod->posted_arena = arena;
	pod->posted = json_copy(arena, normal); /* parts of it are the object's, which we do not keep */
	pod->posted_result = NULL;
	pod->status_call = client_call(pod->kubelet->client, &(struct api_call){ .verb = VERB_UPDATE,
										 .kind = kind,
										 .ns = str_from(pod->ns),
										 .name = str_from(pod->name),
										 .subresource = STR("status"),
										 .body = json_with(arena, tree, "status", normal),
										 .cause = pod->cause,
										 .done = posted,
										 .arg = pod });
}

void pod_write_status(struct pod *pod)
{
	if (pod->object == NULL || pod->object_gone)
		pod_told(pod, NULL); /* there is nobody to tell */
	else
		write_status(pod);
}

/* --- before what is known may be forgotten --- */

void pod_told(struct pod *pod, struct error *err)
{
	struct task *task = pod->teller;

	pod->teller = NULL;
	if (task != NULL)
		task_wake(task, err);
	else
		error_free(err);
}

static void stop_telling(void *arg)
{
	pod_told(arg, NULL);
}

enum task_result pod_tell(struct task *task, struct pod *pod)
{
	task_hold(task);
	task_on_cancel(task, stop_telling, pod);
	pod->teller = task;
	pod_write_status(pod); /* tried again by whatever looks at the pod, until it is the same */
	return TASK_WAIT;
}

static void deleted(void *arg, struct api_reply *reply)
{
	struct pod *pod = arg;

	pod->delete_call = NULL;
	if (reply->err != NULL && reply->err->kind != ERR_NOT_FOUND && reply->err->kind != ERR_CONFLICT) {
		pod->deleted_told = false;
		log_warn("a pod was not deleted", "pod=%s/%s error=%s", pod->ns, pod->name, reply->err->text);
		loop_timer_start(&pod->timer, RETRY, poke, pod);
		return;
	}
	/* the informer tells when it is gone; with finalizers that may be later */
}

/* The last status goes first. */
void pod_delete_object(struct pod *pod)
{
	struct arena *arena;

	if (pod->status_call != NULL || pod->delete_call != NULL || pod->deleted_told)
		return;
	pod->deleted_told = true;
	arena = arena_new();
	pod->delete_call = client_call(
		pod->kubelet->client,
		&(struct api_call){
			.verb = VERB_DELETE,
			.kind = object_kind(pod->object),
			.ns = str_from(pod->ns),
			.name = str_from(pod->name),
			.body = JSON_OBJECT_OF(arena, { "kind", json_text(arena, "DeleteOptions") },
					       { "apiVersion", json_text(arena, "v1") },
					       { "gracePeriodSeconds", json_number(arena, 0) },
					       { "preconditions", JSON_OBJECT_OF(arena, { "uid", json_text(arena, pod->uid) }) }),
			.cause = pod->cause,
			.done = deleted,
			.arg = pod });
	arena_free(arena);
}

void pod_status_cancel(struct pod *pod)
{
	if (pod->status_call != NULL)
		client_cancel(pod->kubelet->client, pod->status_call);
	if (pod->delete_call != NULL)
		client_cancel(pod->kubelet->client, pod->delete_call);
	pod->status_call = pod->delete_call = NULL;
}
