/* A deployment through its life, over many seeds, with commits that fail or are slow: it always converges. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"
#include "tests/unit/tap.h"

#define NODE(name)                                                                                                                 \
	"{metadata: {name: " name ", labels: {kubernetes.io/hostname: " name "}}, status: {allocatable: {cpu: '4', "               \
	"memory: 8Gi, pods: '110'}, capacity: {cpu: '4', memory: 8Gi, pods: '110'}, conditions: [{type: Ready, status: 'True'}]}}"
#define DEPLOYMENT                                                                                                                     \
	"{metadata: {name: web}, spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, " \
	"spec: {containers: [{name: c, image: v1}]}}}}"

static const struct json *deployment(struct world *world)
{
	struct object *object = informer_find(world->deployments, STR("default"), STR("web"));

	return object != NULL ? object_tree(object) : NULL;
}

static int64_t status_of(struct world *world, const char *field)
{
	return json_int(json_get(json_get(deployment(world), "status"), field), 0);
}

static int64_t wanted;

static bool settled(void *arg)
{
	struct world *world = arg;

	return status_of(world, "readyReplicas") == wanted && status_of(world, "updatedReplicas") == wanted &&
	       status_of(world, "replicas") == wanted &&
	       status_of(world, "observedGeneration") == json_int(json_path(deployment(world), "metadata.generation"), -1);
}

static bool nothing_left(void *arg)
{
	struct world *world = arg;

	return informer_len(world->pods) == 0 && informer_len(world->sets) == 0 && informer_len(world->deployments) == 0;
}

static bool has_account(void *arg)
{
	struct world *world = arg;
	struct informer *accounts = client_informer(world->client, kind_must("v1", "ServiceAccount"));

	return informer_find(accounts, STR("default"), STR("default")) != NULL;
}

static void patch(struct world *world, const char *yaml)
{
	CHECK_EQ(world_call(world,
			    &(struct api_call){ .verb = VERB_PATCH,
						.patch = API_PATCH_STRATEGIC,
						.kind = kind_must("apps/v1", "Deployment"),
						.ns = STR("default"),
						.name = STR("web"),
						.body = world_json(world, yaml) },
			    50),
		 -1);
	loop_run_for(NS_PER_S); /* until the informers have seen it */
}

/* Each pod that was ever made; when nothing fails, a controller makes none too many. */
static void count_pod(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	(void)revision;
	*(unsigned *)arg += old == NULL && now != NULL;
}

static void life_of_a_deployment(uint64_t seed, unsigned fail_percent)
{
	static const struct informer_events events = { .changed = count_pod };
	struct world world;
	unsigned n_pods = 0;

	world_open(&world, seed);
	informer_listen(world.pods, &events, &n_pods);
	world.fail_percent = fail_percent;
	CHECK_EQ(world_create(&world, "v1", "Node", "", NODE("n1")), -1);
	CHECK_EQ(world_create(&world, "v1", "Node", "", NODE("n2")), -1);
	CHECK(world_until(&world, has_account, 60 * NS_PER_S));
	CHECK_EQ(world_create(&world, "apps/v1", "Deployment", "default", DEPLOYMENT), -1);
	wanted = 3;
	if (!world_until(&world, settled, 3000 * NS_PER_S))
		tap_fail(__FILE__, __LINE__, "seed %llu: 3 replicas never settled", (unsigned long long)seed);
	patch(&world, "{spec: {replicas: 5}}");
	wanted = 5;
	if (!world_until(&world, settled, 3000 * NS_PER_S))
		tap_fail(__FILE__, __LINE__, "seed %llu: 5 replicas never settled", (unsigned long long)seed);
	patch(&world, "{spec: {template: {spec: {containers: [{name: c, image: v2}]}}}}");
	if (!world_until(&world, settled, 3000 * NS_PER_S))
		tap_fail(__FILE__, __LINE__, "seed %llu: the update never settled", (unsigned long long)seed);
	CHECK_EQ(informer_len(world.sets), 2);
	if (fail_percent == 0 && n_pods != 3 + 2 + 5)
		tap_fail(__FILE__, __LINE__, "seed %llu: %u pods were made", (unsigned long long)seed, n_pods);
	CHECK_EQ(world_call(&world,
			    &(struct api_call){ .verb = VERB_DELETE,
						.kind = kind_must("apps/v1", "Deployment"),
						.ns = STR("default"),
						.name = STR("web") },
			    50),
		 -1);
	if (!world_until(&world, nothing_left, 6000 * NS_PER_S))
		tap_fail(__FILE__, __LINE__, "seed %llu: %zu pods, %zu sets left", (unsigned long long)seed,
			 informer_len(world.pods), informer_len(world.sets));
	informer_unlisten(world.pods, &n_pods);
	world_close(&world);
}

static uint64_t seeds(void)
{
	const char *text = getenv("SIM_SEEDS");
	uint64_t n = 200;

	if (text != NULL)
		str_to_u64(str_from(text), &n);
	return n;
}

TEST(a_deployment_lives_without_faults)
{
	for (uint64_t seed = 1; seed <= 50; seed++)
		life_of_a_deployment(seed, 0);
}

TEST(a_deployment_lives_through_failing_commits)
{
	for (uint64_t seed = 1; seed <= seeds(); seed++)
		life_of_a_deployment(seed, 10);
}

static int chain_links;

static void read_chain(void *arg, struct error *err, const struct store_record *records, size_t n)
{
	struct world *world = arg;

	(void)err;
	for (size_t i = 0; i < n; i++) {
		/* Each controller's write names the revision that woke it. */
		if (str_is(records[i].actor, "jane"))
			chain_links |= 1;
		if (str_is(records[i].actor, "system:controller:deployment-controller") && records[i].cause != 0 &&
		    str_has_prefix(records[i].key, STR("replicasets.apps/")))
			chain_links |= 2;
		if (str_is(records[i].actor, "system:controller:replicaset-controller") && records[i].cause != 0 &&
		    str_has_prefix(records[i].key, STR("pods/")))
			chain_links |= 4;
		if (str_is(records[i].actor, "system:kube-scheduler") && records[i].cause != 0 &&
		    str_has_prefix(records[i].key, STR("pods/")))
			chain_links |= 8;
		if (str_is(records[i].actor, "system:node:n1") && records[i].cause != 0)
			chain_links |= 16;
	}
	world->ended = 1;
}

static bool ended(void *arg)
{
	return ((struct world *)arg)->ended != 0;
}

TEST(every_write_names_its_cause)
{
	struct world world;

	world_open(&world, 7);
	CHECK_EQ(world_create(&world, "v1", "Node", "", NODE("n1")), -1);
	CHECK(world_until(&world, has_account, 60 * NS_PER_S));
	CHECK_EQ(world_create(&world, "apps/v1", "Deployment", "default", DEPLOYMENT), -1);
	wanted = 3;
	CHECK(world_until(&world, settled, 600 * NS_PER_S));
	world.ended = chain_links = 0;
	store_history(world.store, &(struct store_query){ .limit = 10000, .done = read_chain, .arg = &world });
	CHECK(loop_run_until(ended, &world, NS_PER_S));
	CHECK_EQ(chain_links, 31);
	world_close(&world);
}
