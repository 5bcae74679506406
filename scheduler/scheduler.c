#include "scheduler/scheduler.h"

#include <stdlib.h>

#include "scheduler/plan.h"

#define NAME          "default-scheduler"
#define BACKOFF_FIRST (1 * NS_PER_S) /* as upstream: 1 s doubling up to 10 s */
#define BACKOFF_LAST  (10 * NS_PER_S)
#define LOOK_AGAIN    (300 * NS_PER_S) /* unschedulable for so long: once more without a reason */

enum pod_state { POD_ACTIVE, POD_BACKOFF, POD_UNSCHEDULABLE, POD_BINDING };

static const char *const state_names[] = { "active", "backoff", "unschedulable", "binding" };
static const uint32_t allowed[] = {
	[POD_ACTIVE] = FSM(POD_BACKOFF) | FSM(POD_UNSCHEDULABLE) | FSM(POD_BINDING),
	[POD_BACKOFF] = FSM(POD_ACTIVE),
	[POD_UNSCHEDULABLE] = FSM(POD_ACTIVE) | FSM(POD_BACKOFF),
	[POD_BINDING] = FSM(POD_ACTIVE) | FSM(POD_BACKOFF),
};
static const struct fsm_table states = { "scheduled pod", state_names, allowed, 4 };

/* A pod that waits for a node. */
struct waiting {
	struct list link; /* in scheduler.active while active */
	struct scheduler *scheduler;
	struct object *object; /* newest */
	char *key;
	struct fsm state;
	int64_t priority;
	uint64_t order; /* of arrival */
	unsigned attempts;
	uint64_t cause;
	struct loop_timer timer;
	char *node; /* while binding, and until the informer has heard of it: it counts there already */
	bool gone;  /* deleted, or somebody's news of it came, while the call is under way */
	void *call; /* the binding under way */
	struct bind *bind;
};

struct bind;

struct node_state {
	struct plan_node plan;
	struct object *object;
};

struct scheduler {
	struct client *client;
	struct informer *pods, *nodes;
	struct map waiting; /* key to struct waiting */
	struct map states;  /* node name to struct node_state */
	struct list active; /* by priority, then arrival */
	uint64_t arrivals;
	struct loop_call run;
	struct loop_timer flush;
};

static void schedule_some(void *arg);
static bool is_ours(const struct json *pod);
static void take_pod(struct scheduler *self, struct object *object, uint64_t revision);

/* --- what is on the nodes --- */

static void add_pod(struct node_state *state, const struct json *pod)
{
	struct amounts amounts = { 0 };

	amounts_of_pod(&amounts, pod);
	amounts_add(&state->plan.used, &amounts, 1);
	amounts_fini(&amounts);
	vec_push(&state->plan.pods, (struct plan_pod){ pod, json_path_str(pod, "metadata.namespace") });
}

/* What counts on a node: the pods bound to it and those on their way. Made anew when something changes there. */
static void count_node(struct scheduler *self, struct node_state *state)
{
	const struct json *tree = object_tree(state->object), *allocatable = json_path(tree, "status.allocatable");
	struct quantity pods = quantity_of(json_get(allocatable, "pods"));
	int index = informer_add_index(self->pods, index_by_node);
	struct object_list bound = informer_lookup(self->pods, index, state->plan.name);

	amounts_fini(&state->plan.allocatable);
	amounts_fini(&state->plan.used);
	vec_clear(&state->plan.pods);
	state->plan.tree = tree;
	amounts_of_list(&state->plan.allocatable, allocatable);
	state->plan.max_pods = quantity_value(&pods);
	for (size_t i = 0; i < bound.len; i++)
		if (!pod_is_over(object_tree(bound.ptr[i])))
			add_pod(state, object_tree(bound.ptr[i]));
	MAP_EACH (&self->waiting, it) {
		struct waiting *waiting = it->value;

		if (waiting->node != NULL && !waiting->gone && str_is(state->plan.name, waiting->node))
			add_pod(state, object_tree(waiting->object));
	}
}

static void count_named(struct scheduler *self, struct str name)
{
	struct node_state *state = map_find(&self->states, name);

	if (state != NULL)
		count_node(self, state);
}

static void state_free(struct node_state *state)
{
	amounts_fini(&state->plan.allocatable);
	amounts_fini(&state->plan.used);
	vec_fini(&state->plan.pods);
	object_unref(state->object);
	free(state);
}

/* --- queues --- */

static void enqueue(struct waiting *waiting)
{
	struct scheduler *self = waiting->scheduler;
	struct list *at = &self->active;

	loop_timer_stop(&waiting->timer);
	LIST_EACH (&self->active, struct waiting, link, other)
		if (other->priority < waiting->priority ||
		    (other->priority == waiting->priority && other->order > waiting->order)) {
			at = &other->link;
			break;
		}
	list_push(at, &waiting->link); /* before it */
	loop_call_behind(&self->run, schedule_some, self);
}

static void activate(struct waiting *waiting)
{
	fsm_move(&waiting->state, POD_ACTIVE);
	enqueue(waiting);
}

static void backoff_over(void *arg)
{
	activate(arg);
}

static void back_off(struct waiting *waiting)
{
	int64_t delay = BACKOFF_FIRST;

	for (unsigned i = 1; i < waiting->attempts && delay < BACKOFF_LAST; i++)
		delay *= 2;
	fsm_move(&waiting->state, POD_BACKOFF);
	waiting->timer.weak = true;
	loop_timer_start(&waiting->timer, delay < BACKOFF_LAST ? delay : BACKOFF_LAST, backoff_over, waiting);
}

static bool is_gated(struct object *pod)
{
	return json_len(json_path(object_tree(pod), "spec.schedulingGates")) != 0;
}

/* Something changed that may help those that fit nowhere. */
static void retry_unschedulable(struct scheduler *self, uint64_t cause)
{
	MAP_EACH (&self->waiting, it) {
		struct waiting *waiting = it->value;

		if (waiting->state.state != POD_UNSCHEDULABLE || is_gated(waiting->object))
			continue;
		waiting->cause = cause;
		activate(waiting);
	}
}

static void waiting_free(struct waiting *waiting)
{
	list_remove(&waiting->link);
	loop_timer_stop(&waiting->timer);
	object_unref(waiting->object);
	free(waiting->node);
	free(waiting->key);
	free(waiting);
}

static void forget(struct scheduler *self, struct str key)
{
	struct waiting *waiting = map_find(&self->waiting, key);

	if (waiting == NULL)
		return;
	if (waiting->call != NULL) {
		waiting->gone = true; /* its answer frees it */
		return;
	}
	map_take(&self->waiting, key);
	waiting_free(waiting);
}

/* --- outcomes --- */

struct bind {
	struct scheduler *self;
	struct waiting *waiting;
};

/* What it took for itself on the node is free again, or counted with the informer's pods. */
static void unbound(struct waiting *waiting, const struct error *err)
{
	struct scheduler *self = waiting->scheduler;
	AUTO_FREE char *node = waiting->node;

	waiting->node = NULL;
	if (waiting->gone || err->kind == ERR_NOT_FOUND) {
		struct object *now = informer_find_key(self->pods, str_from(waiting->key));
		bool other = now != NULL && !str_eq(object_uid(now), object_uid(waiting->object)) && is_ours(object_tree(now));

		map_take(&self->waiting, str_from(waiting->key));
		waiting_free(waiting);
		if (other) /* of that name, whose news came meanwhile */
			take_pod(self, now, object_revision(now));
	} else {
		log_info("binding failed", "pod=%s error=\"%s\"", waiting->key, err->text);
		back_off(waiting);
	}
	count_named(self, str_from(node));
	if (err != NULL)
		retry_unschedulable(self, 0);
}

static void bound(void *arg, struct api_reply *reply)
{
	struct bind *bind = arg;
	struct waiting *waiting = bind->waiting;
	struct scheduler *self = bind->self;

	waiting->call = NULL;
	waiting->bind = NULL;
	free(bind);
	if (reply->err == NULL)
		client_event(self->client,
			     &(struct client_event){ .about = waiting->object,
						     .type = "Normal",
						     .reason = "Scheduled",
						     .component = NAME,
						     .cause = waiting->cause },
			     "Successfully assigned %s to %s", waiting->key, waiting->node);
	if (reply->err == NULL && !waiting->gone)
		return; /* it counts as it is until the informer has heard of it, too */
	unbound(waiting, reply->err);
}

static void bind_pod(struct waiting *waiting, const struct plan *plan)
{
	struct scheduler *self = waiting->scheduler;
	struct arena *arena = plan->arena;
	struct str node = plan->chosen->name, ns = object_namespace(waiting->object), name = object_name(waiting->object);
	struct bind *bind = xcalloc(1, sizeof(*bind));

	*bind = (struct bind){ self, waiting };
	fsm_move(&waiting->state, POD_BINDING);
	waiting->node = xmemdup(node.ptr, node.len);
	count_named(self, node);
	waiting->bind = bind;
	waiting->call = client_call(
		self->client,
		&(struct api_call){
			.verb = VERB_CREATE,
			.kind = kind_must("v1", "Pod"),
			.ns = ns,
			.name = name,
			.subresource = STR("binding"),
			.body = JSON_OBJECT_OF(
				arena, { "kind", json_text(arena, "Binding") }, { "apiVersion", json_text(arena, "v1") },
				{ "metadata", JSON_OBJECT_OF(arena, { "name", json_string(arena, name) },
							     { "namespace", json_string(arena, ns) },
							     { "uid", json_string(arena, object_uid(waiting->object)) }) },
				{ "target", JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Node") },
							   { "name", json_string(arena, node) }) }),
			.cause = waiting->cause,
			.done = bound,
			.arg = bind });
}

static void tell_condition(struct waiting *waiting, struct arena *arena, const char *reason, const char *message)
{
	const struct json *tree = object_tree(waiting->object), *now = condition_of(tree, "PodScheduled");
	const struct json *condition;

	if (str_is(json_get_str(now, "reason"), reason) && str_is(json_get_str(now, "message"), message))
		return;
	condition = JSON_OBJECT_OF(arena, { "type", json_text(arena, "PodScheduled") }, { "status", json_text(arena, "False") },
				   { "observedGeneration", json_path(tree, "metadata.generation") },
				   { "lastProbeTime", &json_null },
				   { "lastTransitionTime", now != NULL && str_is(json_get_str(now, "status"), "False")
								   ? json_get(now, "lastTransitionTime")
								   : time_json(arena, clock_now()) },
				   { "reason", json_text(arena, reason) }, { "message", json_text(arena, message) });
	client_call(waiting->scheduler->client,
		    &(struct api_call){
			    .verb = VERB_PATCH,
			    .patch = API_PATCH_STRATEGIC,
			    .kind = kind_must("v1", "Pod"),
			    .ns = object_namespace(waiting->object),
			    .name = object_name(waiting->object),
			    .subresource = STR("status"),
			    .body = JSON_OBJECT_OF(
				    arena, { "status", JSON_OBJECT_OF(arena, { "conditions", JSON_ARRAY_OF(arena, condition) }) }),
			    .cause = waiting->cause });
}

static void no_node(struct waiting *waiting, const struct plan *plan)
{
	const char *message = plan_message(plan);

	client_event(waiting->scheduler->client,
		     &(struct client_event){ .about = waiting->object,
					     .type = "Warning",
					     .reason = "FailedScheduling",
					     .component = NAME,
					     .cause = waiting->cause },
		     "%s", message);
	tell_condition(waiting, plan->arena, "Unschedulable", message);
	fsm_move(&waiting->state, POD_UNSCHEDULABLE);
}

static void schedule_one(struct waiting *waiting)
{
	struct scheduler *self = waiting->scheduler;
	struct arena *arena = arena_new();
	struct plan plan = { .pod = object_tree(waiting->object), .tie = rand_u64(), .arena = arena };
	struct plan_node **nodes = ARENA_ARRAY(arena, struct plan_node *, self->states.len + 1);

	list_remove(&waiting->link);
	waiting->attempts++;
	MAP_EACH (&self->states, it)
		nodes[plan.n_nodes++] = &((struct node_state *)it->value)->plan;
	plan.nodes = nodes;
	plan_choose(&plan);
	if (plan.chosen != NULL)
		bind_pod(waiting, &plan);
	else
		no_node(waiting, &plan);
	arena_free(arena);
}

static void schedule_some(void *arg)
{
	struct scheduler *self = arg;

	if (!informer_synced(self->nodes) || !informer_synced(self->pods))
		return; /* synced() comes back here */
	while (!list_empty(&self->active)) {
		schedule_one(LIST_FIRST(&self->active, struct waiting, link));
		if (loop_over_budget()) {
			loop_call_behind(&self->run, schedule_some, self);
			return;
		}
	}
}

/* --- news --- */

static bool is_ours(const struct json *pod)
{
	struct str scheduler = json_path_str(pod, "spec.schedulerName");

	return json_path_str(pod, "spec.nodeName").len == 0 && (scheduler.len == 0 || str_is(scheduler, NAME)) &&
	       !pod_is_over(pod) && !is_deleting(pod);
}

static void take_pod(struct scheduler *self, struct object *object, uint64_t revision)
{
	struct arena *arena = arena_new();
	struct str key = object_path(arena, object);
	struct waiting *waiting = map_find(&self->waiting, key);
	bool gated = is_gated(object);

	if (waiting != NULL && !str_eq(object_uid(waiting->object), object_uid(object))) {
		forget(self, key);
		waiting = map_find(&self->waiting, key);
	}
	if (waiting != NULL && waiting->gone) {
		arena_free(arena);
		return;
	}
	if (waiting == NULL) {
		waiting = xcalloc(1, sizeof(*waiting));
		waiting->scheduler = self;
		waiting->key = xmemdup(key.ptr, key.len);
		waiting->state = (struct fsm){ &states, POD_ACTIVE };
		waiting->order = self->arrivals++;
		list_init(&waiting->link);
		map_set(&self->waiting, key, waiting);
	} else {
		object_unref(waiting->object);
	}
	waiting->object = object_ref(object);
	waiting->priority = json_int(json_path(object_tree(object), "spec.priority"), 0);
	waiting->cause = revision;
	if (waiting->state.state == POD_ACTIVE && list_empty(&waiting->link)) {
		if (gated) {
			tell_condition(waiting, arena, "SchedulingGated",
				       "Scheduling is blocked due to non-empty scheduling gates");
			fsm_move(&waiting->state, POD_UNSCHEDULABLE);
		} else {
			enqueue(waiting);
		}
	}
	arena_free(arena);
}

/* Only a change of the spec or labels may help a pod that fits nowhere; its status is our own doing. */
static bool wants_changed(struct object *old, struct object *now)
{
	return old == NULL || !json_equal(json_get(object_tree(old), "spec"), json_get(object_tree(now), "spec")) ||
	       !json_equal(json_path(object_tree(old), "metadata.labels"), json_path(object_tree(now), "metadata.labels"));
}

static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct scheduler *self = arg;
	struct object *any = now != NULL ? now : old;
	struct str node = json_path_str(object_tree(any), "spec.nodeName");
	struct arena *arena = arena_new();
	struct str key = object_path(arena, any);

	if (now != NULL && is_ours(object_tree(now))) {
		struct waiting *waiting = map_find(&self->waiting, key);

		if (waiting != NULL && waiting->state.state == POD_UNSCHEDULABLE && wants_changed(old, now))
			waiting->state.state = POD_ACTIVE;
		take_pod(self, now, revision);
	} else {
		forget(self, key);
	}
	if (node.len != 0) {
		bool freed = now == NULL || pod_is_over(object_tree(now));

		/* A change of status alone moves nothing. */
		if (old == NULL || freed || json_path_str(object_tree(old), "spec.nodeName").len == 0 || wants_changed(old, now) ||
		    is_deleting(object_tree(now)) != is_deleting(object_tree(old)) || object_tree(old) != object_tree(now))
			count_named(self, node);
		if (freed)
			retry_unschedulable(self, revision);
	}
	arena_free(arena);
}

static void node_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct scheduler *self = arg;
	struct str name = object_name(now != NULL ? now : old);
	struct node_state *state = map_find(&self->states, name);
	bool helps;

	if (now == NULL) {
		map_take(&self->states, name);
		if (state != NULL)
			state_free(state);
		return;
	}
	helps = old == NULL || !json_equal(json_get(object_tree(old), "spec"), json_get(object_tree(now), "spec")) ||
		!json_equal(json_path(object_tree(old), "metadata.labels"), json_path(object_tree(now), "metadata.labels")) ||
		!json_equal(json_path(object_tree(old), "status.allocatable"), json_path(object_tree(now), "status.allocatable"));
	if (state == NULL) {
		state = xcalloc(1, sizeof(*state));
		map_set(&self->states, name, state);
	} else {
		object_unref(state->object);
	}
	state->object = object_ref(now);
	state->plan.name = object_name(state->object);
	count_node(self, state);
	if (helps)
		retry_unschedulable(self, revision);
}

static void synced(void *arg)
{
	struct scheduler *self = arg;

	MAP_EACH (&self->states, it)
		count_node(self, it->value);
	loop_call_behind(&self->run, schedule_some, self);
}

static void flush(void *arg)
{
	retry_unschedulable(arg, 0);
}

struct scheduler *scheduler_start(const struct scheduler_options *options)
{
	static const struct informer_events pod_events = { pod_changed, synced }, node_events = { node_changed, synced };
	struct scheduler *self = xcalloc(1, sizeof(*self));

	self->client = client_as(options->client, "system:kube-scheduler");
	list_init(&self->active);
	self->pods = client_informer(self->client, kind_must("v1", "Pod"));
	self->nodes = client_informer(self->client, kind_must("v1", "Node"));
	informer_add_index(self->pods, index_by_node);
	informer_listen(self->nodes, &node_events, self);
	informer_listen(self->pods, &pod_events, self);
	self->flush.weak = true;
	loop_timer_every(&self->flush, LOOK_AGAIN, flush, self);
	return self;
}

void scheduler_stop(struct scheduler *self)
{
	if (self == NULL)
		return;
	informer_unlisten(self->pods, self);
	informer_unlisten(self->nodes, self);
	loop_timer_stop(&self->flush);
	loop_call_cancel(&self->run);
	MAP_EACH (&self->waiting, it) {
		struct waiting *waiting = it->value;

		if (waiting->call != NULL) {
			client_cancel(self->client, waiting->call);
			free(waiting->bind);
		}
		waiting_free(waiting);
	}
	map_fini(&self->waiting);
	MAP_EACH (&self->states, it)
		state_free(it->value);
	map_fini(&self->states);
	free(self);
}
