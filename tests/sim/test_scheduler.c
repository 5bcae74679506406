/* Small nodes and more pods than fit, which go and come: no node ever has more than it has room for, and none stays empty. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/world.h"
#include "tests/unit/tap.h"

#define ROOM 4
#define NODE(name)                                                                                                                 \
	"{metadata: {name: " name "}, status: {allocatable: {cpu: '4', memory: 8Gi, pods: '4'}, capacity: {cpu: '4', "             \
	"memory: 8Gi, pods: '4'}, conditions: [{type: Ready, status: 'True'}]}}"
#define SET                                                                                                                        \
	"{metadata: {name: web}, spec: {replicas: 12, selector: {matchLabels: {app: web}}, template: {metadata: {labels: "         \
	"{app: web}}, spec: {containers: [{name: c, image: v1}]}}}}"

struct most {
	struct world *world;
	size_t pods; /* that a node ever had */
};

static size_t on_node(struct world *world, const char *node)
{
	size_t n = 0;

	INFORMER_EACH (world->pods, pod)
		n += str_is(json_path_str(object_tree(pod), "spec.nodeName"), node);
	return n;
}

static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct most *most = arg;
	size_t a = on_node(most->world, "n1"), b = on_node(most->world, "n2");

	(void)old;
	(void)now;
	(void)revision;
	most->pods = most->pods > a ? most->pods : a;
	most->pods = most->pods > b ? most->pods : b;
}

static bool has_account(void *arg)
{
	struct world *world = arg;
	struct informer *accounts = client_informer(world->client, kind_must("v1", "ServiceAccount"));

	return informer_find(accounts, STR("default"), STR("default")) != NULL;
}

static bool full(void *arg)
{
	return on_node(arg, "n1") == ROOM && on_node(arg, "n2") == ROOM;
}

static void delete_some(struct world *world)
{
	struct str names[ROOM];
	size_t n = 0;

	INFORMER_EACH (world->pods, pod)
		if (n < ROOM && rand_below(3) == 0 && json_path_str(object_tree(pod), "spec.nodeName").len != 0)
			names[n++] = str_dup(world->arena, object_name(pod));
	for (size_t i = 0; i < n; i++)
		world_call(world,
			   &(struct api_call){
				   .verb = VERB_DELETE, .kind = kind_must("v1", "Pod"), .ns = STR("default"), .name = names[i] },
			   50);
}

static void fill_small_nodes(uint64_t seed)
{
	static const struct informer_events events = { .changed = pod_changed };
	struct world world;
	struct most most = { &world, 0 };

	world_open(&world, seed);
	CHECK_EQ(world_create(&world, "v1", "Node", "", NODE("n1")), -1);
	CHECK_EQ(world_create(&world, "v1", "Node", "", NODE("n2")), -1);
	world_beat(&world);
	CHECK(world_until(&world, has_account, 60 * NS_PER_S));
	world.fail_percent = 5;
	informer_listen(world.pods, &events, &most);
	CHECK_EQ(world_create(&world, "apps/v1", "ReplicaSet", "default", SET), -1);
	for (int round = 0; round < 5; round++) {
		if (!world_until(&world, full, 600 * NS_PER_S))
			tap_fail(__FILE__, __LINE__, "SIM_SEED=%llu: %zu and %zu pods", (unsigned long long)seed,
				 on_node(&world, "n1"), on_node(&world, "n2"));
		delete_some(&world);
	}
	if (most.pods > ROOM)
		tap_fail(__FILE__, __LINE__, "SIM_SEED=%llu: a node with room for %d had %zu pods", (unsigned long long)seed, ROOM,
			 most.pods);
	informer_unlisten(world.pods, &most);
	world_close(&world);
}

TEST(no_node_gets_more_than_it_has_room_for)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		fill_small_nodes(seed);
}
