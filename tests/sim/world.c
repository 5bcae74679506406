#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/tap.h"

#define START INT64_C(1790000000000000000)

static struct error *plan_commit(void *arg, int64_t *delay)
{
	struct world *world = arg;

	*delay = (int64_t)rand_below((uint64_t)world->slowest + 1);
	if (world->stall_permille != 0 && rand_below(1000) < world->stall_permille)
		*delay += (int64_t)rand_below(5 * NS_PER_S);
	if (rand_below(100) < world->fail_percent)
		return error_new(ERR_IO, "planned failure");
	return NULL;
}

/* --- the kubelet: what is bound runs, what is deleted goes --- */

static void ignore(void *arg, struct api_reply *reply)
{
	(void)arg;
	(void)reply;
}

static bool is_dead(const struct world *world, struct str node)
{
	for (size_t i = 0; i < SIM_NODES; i++)
		if (world->beats[i].dead && str_is(node, world->beats[i].name))
			return true;
	return false;
}

static struct error *play_pod(void *arg, struct work *work)
{
	struct world *world = arg;
	struct object *pod = informer_find_key(world->pods, work->key);
	const struct json *tree = pod != NULL ? object_tree(pod) : NULL, *status;

	if (pod == NULL || json_path_str(tree, "spec.nodeName").len == 0 || is_dead(world, json_path_str(tree, "spec.nodeName")))
		return NULL;
	if (is_deleting(tree)) {
		work_call(work,
			  &(struct api_call){
				  .verb = VERB_DELETE,
				  .kind = kind_must("v1", "Pod"),
				  .ns = object_namespace(pod),
				  .name = object_name(pod),
				  .body = JSON_OBJECT_OF(
					  work->arena, { "gracePeriodSeconds", json_number(work->arena, 0) },
					  { "preconditions",
					    JSON_OBJECT_OF(work->arena, { "uid", json_string(work->arena, object_uid(pod)) }) }),
				  .done = ignore });
		return NULL;
	}
	if (pod_is_ready(tree))
		return NULL;
	status = json_get(tree, "status");
	status = json_with(work->arena, status, "phase", json_text(work->arena, "Running"));
	status = json_with(work->arena, status, "podIP", json_printf(work->arena, "10.244.0.%u", world->next_ip % 250 + 1));
	status = json_with(work->arena, status, "podIPs",
			   JSON_ARRAY_OF(work->arena,
					 JSON_OBJECT_OF(work->arena, { "ip", json_printf(work->arena, "10.244.0.%u",
											 world->next_ip++ % 250 + 1) })));
	status = json_with(work->arena, status, "conditions",
			   conditions_with(work->arena, json_get(status, "conditions"),
					   &(struct condition){ "Ready", "True", NULL, NULL, false }));
	work_call(work, &(struct api_call){ .verb = VERB_UPDATE,
					    .kind = kind_must("v1", "Pod"),
					    .subresource = STR("status"),
					    .ns = object_namespace(pod),
					    .name = object_name(pod),
					    .body = json_with(work->arena, tree, "status", status) });
	return NULL;
}

static struct workqueue *kubelet;

static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct arena *arena = arena_new();

	(void)arg;
	workqueue_add(kubelet, object_path(arena, now != NULL ? now : old), revision);
	arena_free(arena);
}

/* --- nodes: a lease, and the condition when somebody thinks otherwise --- */

/* What a fault explains is tried again; anything else would make a silent node. */
static void told(void *arg, struct api_reply *reply)
{
	enum error_kind kind = reply->err != NULL ? reply->err->kind : ERR_CONFLICT;

	(void)arg;
	if (kind != ERR_IO && kind != ERR_UNAVAILABLE && kind != ERR_CONFLICT && kind != ERR_EXISTS && kind != ERR_NOT_FOUND)
		log_error("the scripted kubelet is refused", "why=%s", reply->err->text);
}

static void renew(struct beat *beat, struct arena *arena)
{
	struct client *client = beat->world->client;
	struct informer *leases = client_informer(client, kind_must("coordination.k8s.io/v1", "Lease"));
	struct object *known = informer_find(leases, STR("kube-node-lease"), str_from(beat->name));
	const struct json *lease =
		known != NULL
			? object_tree(known)
			: JSON_OBJECT_OF(arena, { "metadata", JSON_OBJECT_OF(arena, { "name", json_text(arena, beat->name) }) },
					 { "spec", JSON_OBJECT_OF(arena, { "holderIdentity", json_text(arena, beat->name) },
								  { "leaseDurationSeconds", json_number(arena, 40) }) });
	char now[TIME_TEXT];

	lease = json_with_path(arena, lease, "spec.renewTime", json_string_copy(arena, time_format_micro(now, clock_now())));
	client_call(client, &(struct api_call){ .verb = known != NULL ? VERB_UPDATE : VERB_CREATE,
						.kind = kind_must("coordination.k8s.io/v1", "Lease"),
						.ns = STR("kube-node-lease"),
						.name = known != NULL ? str_from(beat->name) : STR(""),
						.body = lease,
						.done = told });
}

static void beat(void *arg)
{
	struct beat *beat = arg;
	struct informer *nodes = client_informer(beat->world->client, kind_must("v1", "Node"));
	struct object *node = informer_find(nodes, STR(""), str_from(beat->name));
	struct arena *arena = arena_new();
	const struct json *conditions;

	renew(beat, arena);
	if (node != NULL && !condition_true(object_tree(node), "Ready")) {
		conditions = conditions_with(arena, json_path(object_tree(node), "status.conditions"),
					     &(struct condition){ "Ready", "True", "KubeletReady", NULL, false });
		client_call(beat->world->client,
			    &(struct api_call){ .verb = VERB_UPDATE,
						.kind = kind_must("v1", "Node"),
						.name = str_from(beat->name),
						.subresource = STR("status"),
						.body = json_with_path(arena, object_tree(node), "status.conditions", conditions),
						.done = told });
	}
	arena_free(arena);
}

void world_beat(struct world *world)
{
	for (size_t i = 0; i < SIM_NODES; i++) {
		struct beat *it = &world->beats[i];

		it->world = world;
		snprintf(it->name, sizeof(it->name), "n%zu", i + 1);
		it->timer.weak = true;
		loop_timer_every(&it->timer, 10 * NS_PER_S, beat, it);
		beat(it);
	}
}

void world_kill_node(struct world *world, size_t i)
{
	world->beats[i].dead = true;
	loop_timer_stop(&world->beats[i].timer);
}

void world_revive_node(struct world *world, size_t i)
{
	world->beats[i].dead = false;
	loop_timer_every(&world->beats[i].timer, 10 * NS_PER_S, beat, &world->beats[i]);
	INFORMER_EACH (world->pods, pod)
		pod_changed(world, NULL, pod, object_revision(pod));
}

/* --- the world --- */

static void note_ready(void *arg, struct error *err)
{
	struct world *world = arg;

	error_free(err); /* a planned failure: the next try makes what is missing */
	world->ended = err == NULL ? 1 : 2;
}

static bool has_ended(void *arg)
{
	return ((struct world *)arg)->ended != 0;
}

void world_open(struct world *world, uint64_t seed)
{
	static const struct informer_events events = { .changed = pod_changed };
	struct cidr services, pods;

	*world = (struct world){ .arena = arena_new(), .slowest = 20 * NS_PER_MS };
	log_open(2, LOG_ERROR);
	loop_init();
	loop_sim(seed, START);
	rand_seed(seed);
	CHECK_OK(store_open(&(struct store_options){ .memory_plan = plan_commit, .memory_arg = world }, &world->store));
	CHECK_OK(pki_key_new(&world->key));
	CHECK(cidr_parse(STR("10.96.0.0/12"), &services) && cidr_parse(STR("10.244.0.0/16"), &pods));
	CHECK_OK(apiserver_new(&(struct apiserver_options){ .store = world->store,
							    .token_key = world->key,
							    .issuer = "https://kubernetes.default.svc.cluster.local",
							    .service_cidrs = { services },
							    .n_service_cidrs = 1,
							    .endpoint = ip_v4(192, 168, 49, 1),
							    .endpoint_port = 6443 },
			       &world->apiserver));
	do {
		world->ended = 0;
		apiserver_bootstrap(world->apiserver, note_ready, world);
		CHECK(loop_run_until(has_ended, world, 60 * NS_PER_S));
	} while (world->ended != 1);
	world->began = store_revision(world->store);
	faults_init(&world->faults, apiserver_transport(world->apiserver));
	world->client = client_new(&world->faults.face, "system:sim");
	world->user = client_as(world->client, "jane");
	world->pods = client_informer(world->client, kind_must("v1", "Pod"));
	world->deployments = client_informer(world->client, kind_must("apps/v1", "Deployment"));
	world->sets = client_informer(world->client, kind_must("apps/v1", "ReplicaSet"));
	world->controllers =
		controllers_start(&(struct controllers_options){ .client = world->client, .ca = STR("CA"), .pod_cidr = pods });
	world->scheduler = scheduler_start(&(struct scheduler_options){ .client = world->client });
	kubelet = workqueue_new(&(struct workqueue_options){
		.client = client_as(world->client, "system:node:n1"), .name = "kubelet", .reconcile = play_pod, .arg = world });
	informer_listen(world->pods, &events, world);
}

static void note_closed(void *arg)
{
	((struct world *)arg)->ended = 1;
}

static bool is_quiet(void *arg)
{
	return apiserver_running(((struct world *)arg)->apiserver) == 0;
}

void world_close(struct world *world)
{
	world->fail_percent = world->stall_permille = 0;
	faults_off(&world->faults);
	for (size_t i = 0; i < SIM_NODES; i++)
		loop_timer_stop(&world->beats[i].timer);
	informer_unlisten(world->pods, world);
	scheduler_stop(world->scheduler);
	controllers_stop(world->controllers);
	workqueue_free(kubelet);
	CHECK(loop_run_until(is_quiet, world, 60 * NS_PER_S));
	client_free(world->client);
	loop_run_for(NS_PER_S);
	apiserver_free(world->apiserver);
	world->ended = 0;
	store_close(world->store, note_closed, world);
	CHECK(loop_run_until(has_ended, world, 60 * NS_PER_S));
	pki_key_free(world->key);
	loop_fini();
	arena_free(world->arena);
}

bool world_until(struct world *world, bool (*condition)(void *world), int64_t ns)
{
	return loop_run_until(condition, world, ns);
}

struct answer {
	struct world *world;
	int kind;
};

static void answered(void *arg, struct api_reply *reply)
{
	struct answer *answer = arg;

	answer->kind = reply->err != NULL ? (int)reply->err->kind : -1;
	answer->world->ended = 1;
}

int world_call(struct world *world, const struct api_call *call, int tries)
{
	struct answer answer = { world, -1 };
	bool lost = false;

	do {
		struct api_call mine = *call;

		mine.done = answered;
		mine.arg = &answer;
		world->ended = 0;
		client_call(world->user, &mine);
		CHECK(loop_run_until(has_ended, world, 120 * NS_PER_S));
		if (lost && ((call->verb == VERB_CREATE && answer.kind == (int)ERR_EXISTS) ||
			     (call->verb == VERB_DELETE && answer.kind == (int)ERR_NOT_FOUND)))
			return -1;
		lost = lost || answer.kind == (int)ERR_UNAVAILABLE;
	} while ((answer.kind == (int)ERR_IO || answer.kind == (int)ERR_UNAVAILABLE) && --tries > 0);
	return answer.kind;
}

const struct json *world_json(struct world *world, const char *yaml)
{
	const struct json *tree;

	CHECK_OK(json_read_yaml(world->arena, str_from(yaml), NULL, &tree));
	return tree;
}

int world_create(struct world *world, const char *api_version, const char *kind, const char *ns, const char *yaml)
{
	return world_call(world,
			  &(struct api_call){ .verb = VERB_CREATE,
					      .kind = kind_must(api_version, kind),
					      .ns = str_from(ns),
					      .body = world_json(world, yaml) },
			  50);
}
