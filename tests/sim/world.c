#include "tests/sim/world.h"

#include <string.h>

#include "tests/unit/tap.h"

#define START INT64_C(1790000000000000000)

static struct error *plan_commit(void *arg, int64_t *delay)
{
	struct world *world = arg;

	*delay = (int64_t)rand_below((uint64_t)world->slowest + 1);
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

static struct error *play_pod(void *arg, struct work *work)
{
	struct world *world = arg;
	struct object *pod = informer_find_key(world->pods, work->key);
	const struct json *tree = pod != NULL ? object_tree(pod) : NULL, *status;
	static unsigned next_ip = 1;

	if (pod == NULL || json_path_str(tree, "spec.nodeName").len == 0)
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
	status = json_with(work->arena, status, "podIP", json_printf(work->arena, "10.244.0.%u", next_ip % 250 + 1));
	status = json_with(work->arena, status, "podIPs",
			   JSON_ARRAY_OF(work->arena, JSON_OBJECT_OF(work->arena, { "ip", json_printf(work->arena, "10.244.0.%u",
												      next_ip++ % 250 + 1) })));
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
	world->client = client_new(apiserver_transport(world->apiserver), "system:sim");
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
	world->fail_percent = 0;
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

	do {
		struct api_call mine = *call;

		mine.done = answered;
		mine.arg = &answer;
		world->ended = 0;
		client_call(world->user, &mine);
		CHECK(loop_run_until(has_ended, world, 120 * NS_PER_S));
	} while (answer.kind == (int)ERR_IO && --tries > 0);
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
