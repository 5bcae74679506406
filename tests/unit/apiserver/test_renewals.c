/* What is told again and again is not written to the disk: leases, and nodes that only say that they live. */
#include "tests/unit/apiserver/world.h"

#define NODES "/api/v1/nodes"

static const char *node(struct world *world, const char *beat, const char *ready)
{
	return arena_printf(
		world->arena,
		"{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"},\"status\":{\"conditions\":[{\"type\":"
		"\"Ready\",\"status\":\"%s\",\"lastHeartbeatTime\":\"2026-01-01T00:00:%sZ\",\"lastTransitionTime\":"
		"\"2026-01-01T00:00:00Z\"}]}}",
		ready, beat);
}

/* Whether writing this was a renewal. */
static bool renews(struct world *world, const char *target, const char *body)
{
	uint64_t before = store_stats(world->store).renewals;

	CHECK_EQ(world_ask(world, "PUT", target, NULL, body)->status, 200);
	return store_stats(world->store).renewals != before;
}

TEST(node_that_only_lives_is_a_renewal)
{
	struct world world;
	const struct json *got;

	world_open(&world, 1);
	CHECK_EQ(world_ask(&world, "POST", NODES, NULL, node(&world, "00", "True"))->status, 201);
	CHECK(renews(&world, NODES "/n/status", node(&world, "10", "True")));
	got = world_ask(&world, "GET", NODES "/n", NULL, NULL)->json;
	CHECK_STR(json_get_str(json_at(json_path(got, "status.conditions"), 0), "lastHeartbeatTime"), "2026-01-01T00:00:10Z");
	CHECK(!renews(&world, NODES "/n/status", node(&world, "20", "False")));
	CHECK(renews(&world, NODES "/n/status", node(&world, "30", "False")));
	CHECK(!renews(&world, NODES "/n",
		      arena_printf(world.arena,
				   "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":"
				   "\"b\"}}}")));
	world_close(&world);
}
