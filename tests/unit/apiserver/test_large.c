/* Large writes, whose pure steps are jobs, and how large an object may be. */
#include <stdlib.h>
#include <string.h>

#include "apiserver/verbs/verbs.h"
#include "tests/unit/apiserver/world.h"

#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
#define MERGE       "application/merge-patch+json"

static char *letters(size_t n)
{
	char *text = xmalloc(n + 1);

	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

/* A Deployment whose container has an argument of so many letters, and so many labels. */
static char *deployment(const char *name, size_t n, size_t labels)
{
	AUTO_FREE char *text = letters(n);
	AUTO_BUF struct buf out = { 0 };

	buf_printf(&out,
		   "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"a\":\"b\"",
		   name);
	for (size_t i = 0; i < labels; i++)
		buf_printf(&out, ",\"l%zu\":\"v\"", i);
	buf_printf(
		&out,
		"}},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},");
	buf_printf(&out, "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"args\":[\"%s\"]}]}}}}", text);
	return xstrdup(buf_cstr(&out));
}

static struct str argument(const struct json *tree)
{
	return json_path_str(tree, "spec.template.spec.containers.0.args.0");
}

static struct got *make(struct world *world, const char *name, size_t n, size_t labels)
{
	AUTO_FREE char *body = deployment(name, n, labels);

	return world_ask(world, "POST", DEPLOYMENTS, NULL, body);
}

TEST(a_large_object_is_written_patched_and_read)
{
	struct world world;
	struct got *got;

	world_open(&world, 1);
	got = make(&world, "large", 1200000, 0);
	CHECK_EQ(got->status, 201);
	CHECK_EQ(argument(got->json).len, 1200000);
	CHECK(json_path(got->json, "metadata.managedFields") != NULL);
	got = world_ask(&world, "PATCH", DEPLOYMENTS "/large", MERGE, "{\"metadata\":{\"labels\":{\"c\":\"d\"}}}");
	CHECK_EQ(got->status, 200);
	got = world_ask(&world, "GET", DEPLOYMENTS "/large", NULL, NULL);
	CHECK_EQ(argument(got->json).len, 1200000);
	CHECK_STR(json_path_str(got->json, "metadata.labels.c"), "d");
	got = world_ask(&world, "PATCH", DEPLOYMENTS "/large", MERGE, "{\"spec\":{\"replicas\":-1}}");
	CHECK_EQ(got->status, 422);
	got = make(&world, "large", 100, 0);
	CHECK_EQ(got->status, 409);
	world_close(&world);
}

TEST(an_object_that_the_store_would_not_take_is_refused)
{
	struct world world;
	AUTO_FREE char *more = letters(900000), *patch = NULL;
	struct got *got;

	world_open(&world, 1);
	got = make(&world, "large", 1600000, 0);
	CHECK_EQ(got->status, 500);
	CHECK_STR(json_get_str(got->json, "message"), "etcdserver: request is too large");
	CHECK(json_get(got->json, "reason") == NULL && json_get(got->json, "details") == NULL);
	got = make(&world, "large", 2500000, 0);
	CHECK_EQ(got->status, 500);
	CHECK(str_has_prefix(json_get_str(got->json, "message"),
			     STR("rpc error: code = ResourceExhausted desc = trying to send message larger than max (2500")));
	/* It cannot outgrow the limit by patches. */
	got = make(&world, "grows", 900000, 0);
	CHECK_EQ(got->status, 201);
	patch = xasprintf("[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/args/-\",\"value\":\"%s\"}]", more);
	got = world_ask(&world, "PATCH", DEPLOYMENTS "/grows", "application/json-patch+json", patch);
	CHECK_EQ(got->status, 500);
	got = world_ask(&world, "GET", DEPLOYMENTS "/grows", NULL, NULL);
	CHECK_EQ(json_len(json_path(got->json, "spec.template.spec.containers.0.args")), 1);
	got = world_ask(&world, "GET", DEPLOYMENTS "/large", NULL, NULL);
	CHECK_EQ(got->status, 404);
	/* A dry run writes nothing. */
	free(patch);
	patch = deployment("large", 1600000, 0);
	got = world_ask(&world, "POST", DEPLOYMENTS "?dryRun=All", NULL, patch);
	CHECK_EQ(got->status, 201);
	world_close(&world);
}

TEST(managed_fields_go_before_the_object_is_refused)
{
	struct world world;
	struct got *got;

	world_open(&world, 1);
	got = make(&world, "labels", 100, 75000);
	CHECK_EQ(got->status, 201);
	CHECK(json_path(got->json, "metadata.managedFields") == NULL);
	CHECK_EQ(json_len(json_path(got->json, "metadata.labels")), 75001);
	world_close(&world);
}

#define PATCHES 20

TEST(patches_of_a_large_object_at_the_same_time_all_land)
{
	struct world world;
	struct got *got[PATCHES];

	world_open(&world, 7);
	CHECK_EQ(make(&world, "large", 100000, 0)->status, 201);
	for (int i = 0; i < PATCHES; i++) {
		AUTO_FREE char *patch = xasprintf("{\"metadata\":{\"labels\":{\"p%d\":\"x\"}}}", i);

		got[i] = world_send(&world, &(struct question){ "PATCH", DEPLOYMENTS "/large", NULL, MERGE, patch });
	}
	for (int i = 0; i < PATCHES; i++)
		CHECK_EQ(world_wait(got[i])->status, 200);
	got[0] = world_ask(&world, "GET", DEPLOYMENTS "/large", NULL, NULL);
	CHECK_EQ(json_len(json_path(got[0]->json, "metadata.labels")), PATCHES + 1);
	world_close(&world);
}

TEST(a_client_that_leaves_during_a_job_harms_nobody)
{
	struct world world;
	AUTO_FREE char *body = deployment("large", 300000, 0);

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct got *got;

		world_open(&world, seed);
		got = world_send(&world, &(struct question){ "POST", DEPLOYMENTS, NULL, NULL, body });
		loop_run_for((int64_t)rand_below(3) * NS_PER_MS);
		world_leave(got);
		got = world_ask(&world, "GET", DEPLOYMENTS "/large", NULL, NULL);
		CHECK(got->status == 404 || got->status == 200);
		world_close(&world);
	}
}
