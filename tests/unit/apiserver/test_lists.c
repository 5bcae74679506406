/* Lists in pages: one moment, until it is forgotten; then from the same key on, whoever does not mind. */
#include "tests/unit/apiserver/world.h"

#define MAPS "/api/v1/namespaces/default/configmaps"

static struct got *page(struct world *world, struct str token)
{
	return world_ask(world, "GET",
			 arena_printf(world->arena, MAPS "?limit=2%s%.*s", token.len != 0 ? "&continue=" : "", STR_ARG(token)),
			 NULL, NULL);
}

static void check_page(const struct got *got, const char *first, const char *second, int64_t remaining)
{
	const struct json *items = json_get(got->json, "items");

	CHECK_EQ(got->status, 200);
	CHECK_EQ(json_len(items), 2);
	CHECK_STR(json_path_str(json_at(items, 0), "metadata.name"), first);
	CHECK_STR(json_path_str(json_at(items, 1), "metadata.name"), second);
	CHECK_EQ(json_int(json_path(got->json, "metadata.remainingItemCount"), -1), remaining);
}

TEST(pages_go_on_after_their_moment_is_forgotten)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
	struct world world;
	struct got *first, *got;

	world_open(&world, 1);
	for (size_t i = 0; i < 8; i++)
		CHECK_EQ(world_ask(&world, "POST", MAPS, "application/json",
				   arena_printf(world.arena, "{\"metadata\":{\"name\":\"%s\"}}", names[i]))
				 ->status,
			 201);
	first = page(&world, STR(""));
	check_page(first, "a", "b", 6);
	CHECK_EQ(world_ask(&world, "DELETE", MAPS "/d", NULL, NULL)->status, 200);
	/* the same moment still */
	check_page(page(&world, json_path_str(first->json, "metadata.continue")), "c", "d", 4);
	loop_run_for((LIMIT_HISTORY_SECONDS + 60) * NS_PER_S);
	CHECK_EQ(world_ask(&world, "POST", MAPS, "application/json", "{\"metadata\":{\"name\":\"z\"}}")->status, 201);
	loop_run_for(60 * NS_PER_S);

	got = page(&world, json_path_str(first->json, "metadata.continue"));
	CHECK_EQ(got->status, 410);
	CHECK_STR(json_get_str(got->json, "reason"), "Expired");
	CHECK(str_contains(json_get_str(got->json, "message"), STR("or use the continue token in this response")));
	/* what is there now, from the same key on; further pages are of one moment again */
	got = page(&world, json_path_str(got->json, "metadata.continue"));
	check_page(got, "c", "e", 4);
	CHECK(!str_eq(json_path_str(got->json, "metadata.resourceVersion"),
		      json_path_str(first->json, "metadata.resourceVersion")));
	CHECK_EQ(world_ask(&world, "DELETE", MAPS "/g", NULL, NULL)->status, 200);
	got = page(&world, json_path_str(got->json, "metadata.continue"));
	check_page(got, "f", "g", 2);
	check_page(page(&world, json_path_str(got->json, "metadata.continue")), "h", "z", -1);
	world_close(&world);
}
