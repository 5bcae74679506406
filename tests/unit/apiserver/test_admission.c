/* An admission row that waits on the loop and then changes the object: where webhooks and quota will stand. */
#include <stdio.h>

#include "apiserver/verbs/verbs.h"
#include "tests/unit/apiserver/world.h"

/* --- the row: after a while, metadata.annotations.turns counts up --- */

struct turn {
	struct request *req;
	struct task *task;
	struct loop_timer timer;
};

static unsigned turns_begun, turns_over, turns_canceled;
static int64_t turn_takes;

static void turn_over(void *arg)
{
	struct turn *turn = arg;
	struct request *req = turn->req;
	int64_t n = 0;

	turns_over++;
	/* Admission of a deletion has nothing to change. */
	if (req->tree != NULL) {
		const struct json *annotations = json_path(req->tree, "metadata.annotations");

		if (!str_to_i64(json_get_str(annotations, "turns"), &n))
			n = 0;
		annotations = json_with(req->arena, annotations, "turns", json_printf(req->arena, "%lld", (long long)n + 1));
		req->tree = with(req, req->tree, "metadata.annotations", annotations);
	}
	task_wake(turn->task, NULL);
}

static void turn_canceled(void *arg)
{
	struct turn *turn = arg;

	turns_canceled++;
	loop_timer_stop(&turn->timer);
	task_wake(turn->task, error_new(ERR_CANCELED, "the turn was canceled"));
}

static enum task_result take_turn(struct task *task, void *arg)
{
	struct request *req = arg;
	struct turn *turn = ARENA_NEW(req->arena, struct turn);

	*turn = (struct turn){ .req = req, .task = task };
	turns_begun++;
	task_hold(task);
	task_on_cancel(task, turn_canceled, turn);
	loop_timer_start(&turn->timer, turn_takes / 2 + (int64_t)rand_below((uint64_t)turn_takes), turn_over, turn);
	return TASK_WAIT;
}

/* A second row sees what the first one made; it validates. */
static struct error *refuse_named(struct request *req)
{
	const struct json *tree = req->tree != NULL ? req->tree : req->old_tree;

	if (str_is(json_path_str(tree, "metadata.annotations.refuse"), "yes"))
		return error_new(ERR_FORBIDDEN, "refused after %.*s turns",
				 STR_ARG(json_path_str(tree, "metadata.annotations.turns")));
	return NULL;
}

static const struct admission rows[] = {
	{ .name = "Turn", .verbs = VERB(CREATE) | VERB(UPDATE) | VERB(DELETE), .run = take_turn },
	{ .name = "Refuse", .verbs = VERB(CREATE) | VERB(UPDATE) | VERB(DELETE), .validates = true, .decide = refuse_named },
};

static void open_with_rows(struct world *world, uint64_t seed)
{
	world_open(world, seed);
	admission_add(world->apiserver, rows, 2);
	turns_begun = turns_over = turns_canceled = 0;
	turn_takes = 10 * NS_PER_MS;
}

#define MAPS "/api/v1/namespaces/default/configmaps"

static void make_map(struct world *world)
{
	struct got *got = world_ask(world, "POST", MAPS, NULL, "{\"metadata\":{\"name\":\"m\"},\"data\":{\"first\":\"v\"}}");

	CHECK_EQ(got->status, 201);
	CHECK_STR(json_path_str(got->json, "metadata.annotations.turns"), "1");
}

/* --- what it shows --- */

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define OWNER(uid)  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"p\",\"uid\":\"" uid "\"}"

TEST(admission_waits_in_every_write)
{
	struct world world;
	struct got *got;

	open_with_rows(&world, 1);
	make_map(&world);
	got = world_ask(&world, "PUT", MAPS "/m", NULL,
			"{\"metadata\":{\"name\":\"m\",\"annotations\":{\"turns\":\"7\"}},\"data\":{\"a\":\"b\"}}");
	CHECK_EQ(got->status, 200);
	CHECK_STR(json_path_str(got->json, "metadata.annotations.turns"), "8");
	got = world_ask(&world, "PATCH", MAPS "/m?fieldManager=t", "application/apply-patch+yaml",
			"{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {c: d}}");
	CHECK_EQ(got->status, 200);
	CHECK_STR(json_path_str(got->json, "metadata.annotations.turns"), "9");
	CHECK_STR(json_path_str(got->json, "data.c"), "d");
	got = world_ask(&world, "PATCH", MAPS "/m", "application/merge-patch+json",
			"{\"metadata\":{\"annotations\":{\"refuse\":\"yes\"}}}");
	CHECK_EQ(got->status, 403);
	CHECK_STR(json_get_str(got->json, "message"), "refused after 10 turns");
	got = world_ask(&world, "DELETE", MAPS "/m", NULL, NULL);
	CHECK_EQ(got->status, 200);
	CHECK_EQ(turns_begun, 5);
	CHECK_EQ(turns_over, 5);
	world_close(&world);
}

/* Each patch sets its own key and asks for no version: every one must be there at the end, and every commit was admitted
 * exactly once, on what was there then. */
static void patch_at_once(uint64_t seed, size_t n)
{
	struct world world;
	struct got *got[100];
	struct got *end;
	char expect[16];

	open_with_rows(&world, seed);
	make_map(&world);
	for (size_t i = 0; i < n; i++) {
		const char *body =
			i % 2 == 0 ? arena_printf(world.arena, "{\"data\":{\"k%zu\":\"v\"}}", i)
				   : arena_printf(world.arena, "[{\"op\":\"add\",\"path\":\"/data/k%zu\",\"value\":\"v\"}]", i);

		got[i] = world_send(&world, &(struct question){ "PATCH", MAPS "/m", NULL,
								i % 2 == 0 ? "application/strategic-merge-patch+json"
									   : "application/json-patch+json",
								body });
	}
	for (size_t i = 0; i < n; i++)
		CHECK_EQ(world_wait(got[i])->status, 200);
	end = world_ask(&world, "GET", MAPS "/m", NULL, NULL);
	CHECK_EQ(json_len(json_get(end->json, "data")), n + 1);
	snprintf(expect, sizeof(expect), "%zu", n + 1);
	CHECK_STR(json_path_str(end->json, "metadata.annotations.turns"), expect);
	CHECK_EQ(turns_begun, turns_over);
	world_close(&world);
}

TEST(a_hundred_patches_of_one_object_land)
{
	for (uint64_t seed = 1; seed <= 3; seed++)
		patch_at_once(seed, 100);
}

/* What decoding said of the body stays however many races are lost. */
TEST(warnings_of_a_body_are_told_once)
{
	struct world world;
	struct got *got[24];

	open_with_rows(&world, 6);
	make_map(&world);
	for (size_t i = 0; i < N_OF(got); i++)
		got[i] = world_send(
			&world, &(struct question){
					i % 2 == 0 ? "PUT" : "PATCH", MAPS "/m", NULL,
					i % 2 == 0 ? "application/json" : "application/merge-patch+json",
					arena_printf(world.arena,
						     "{\"metadata\":{\"name\":\"m\"},\"odd\":1,\"data\":{\"k\":\"%zu\"}}", i) });
	for (size_t i = 0; i < N_OF(got); i++) {
		CHECK_EQ(world_wait(got[i])->status, 200);
		CHECK_EQ(got[i]->n_warnings, 1);
	}
	CHECK(turns_begun > N_OF(got) + 1); /* races were lost */
	world_close(&world);
}

/* Twelve add the same owner: the first has nothing to be warned of, the others only once they have lost to it. */
TEST(warnings_of_a_lost_attempt_go_with_it)
{
	struct world world;
	struct got *got[12];
	size_t warned = 0;

	open_with_rows(&world, 7);
	make_map(&world);
	CHECK_EQ(world_ask(&world, "PATCH", MAPS "/m", "application/merge-patch+json",
			   "{\"metadata\":{\"ownerReferences\":[" OWNER("first") "]}}")
			 ->status,
		 200);
	for (size_t i = 0; i < N_OF(got); i++)
		got[i] = world_send(
			&world,
			&(struct question){ "PATCH", MAPS "/m", NULL, "application/json-patch+json",
					    arena_printf(world.arena,
							 "[{\"op\":\"add\",\"path\":\"/metadata/ownerReferences/-\","
							 "\"value\":" OWNER("same") "},{\"op\":\"add\","
										    "\"path\":\"/data/k%zu\",\"value\":\"v\"}]",
							 i) });
	for (size_t i = 0; i < N_OF(got); i++) {
		CHECK_EQ(world_wait(got[i])->status, 200);
		warned += got[i]->n_warnings;
	}
	CHECK_EQ(warned, N_OF(got) - 1);
	world_close(&world);
}

TEST(a_client_that_leaves_cancels_its_admission)
{
	struct world world;
	struct got *left, *stays;

	open_with_rows(&world, 2);
	make_map(&world);
	turn_takes = 20 * NS_PER_S;
	left = world_send(&world, &(struct question){ "PATCH", MAPS "/m", NULL, "application/merge-patch+json",
						      "{\"data\":{\"left\":\"1\"}}" });
	stays = world_send(&world, &(struct question){ "PATCH", MAPS "/m", NULL, "application/merge-patch+json",
						       "{\"data\":{\"stays\":\"1\"}}" });
	loop_run_for(NS_PER_S);
	CHECK_EQ(turns_begun, 3);
	world_leave(left);
	loop_run_for(NS_PER_S);
	CHECK_EQ(turns_canceled, 1);
	CHECK_EQ(apiserver_running(world.apiserver), 1);
	CHECK_EQ(world_wait(stays)->status, 200);
	CHECK(json_path(stays->json, "data.left") == NULL);
	CHECK_STR(json_path_str(stays->json, "data.stays"), "1");
	CHECK_EQ(apiserver_running(world.apiserver), 0);
	world_close(&world);
}

TEST(a_deadline_cancels_admission)
{
	struct world world;
	struct got *got;

	open_with_rows(&world, 3);
	make_map(&world);
	turn_takes = 1000 * NS_PER_S;
	got = world_ask(&world, "PATCH", MAPS "/m", "application/merge-patch+json", "{\"data\":{\"late\":\"1\"}}");
	CHECK_EQ(got->status, 504);
	CHECK_STR(json_get_str(got->json, "reason"), "Timeout");
	CHECK_EQ(turns_canceled, 1);
	got = world_ask(&world, "GET", MAPS "/m", NULL, NULL);
	CHECK(json_path(got->json, "data.late") == NULL);
	CHECK_EQ(apiserver_running(world.apiserver), 0);
	world_close(&world);
}

static size_t count(struct world *world, const char *target)
{
	struct got *got = world_ask(world, "GET", target, NULL, NULL);

	CHECK_EQ(got->status, 200);
	return json_len(json_get(got->json, "items"));
}

#define SERVICES  "/api/v1/namespaces/default/services"
#define ADDRESSES "/apis/networking.k8s.io/v1/ipaddresses"

TEST(dry_run_takes_no_address_and_no_port)
{
	static const char asked[] = "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"10.96.3.3\","
				    "\"ports\":[{\"port\":80,\"nodePort\":30333}]}}";
	struct world world;
	struct got *got;
	size_t before;
	uint64_t revision;

	open_with_rows(&world, 4);
	before = count(&world, ADDRESSES);
	revision = store_revision(world.store);
	for (int i = 0; i < 3; i++) {
		got = world_ask(&world, "POST", SERVICES "?dryRun=All", NULL, asked);
		CHECK_EQ(got->status, 201);
		CHECK_STR(json_path_str(got->json, "metadata.annotations.turns"), "1");
		CHECK_EQ(json_int(json_path(got->json, "spec.ports.0.nodePort"), 0), 30333);
	}
	CHECK_EQ(count(&world, ADDRESSES), before);
	CHECK_EQ(store_revision(world.store), revision);
	got = world_ask(&world, "POST", SERVICES, NULL, asked);
	CHECK_EQ(got->status, 201);
	CHECK_STR(json_path_str(got->json, "spec.clusterIP"), "10.96.3.3");
	CHECK_EQ(count(&world, ADDRESSES), before + 1);
	/* Now they are taken; a dry deletion gives nothing back, a real one both. */
	CHECK_EQ(world_ask(&world, "DELETE", SERVICES "/s?dryRun=All", NULL, NULL)->status, 200);
	CHECK_EQ(count(&world, ADDRESSES), before + 1);
	CHECK_EQ(world_ask(&world, "DELETE", SERVICES "/s", NULL, NULL)->status, 200);
	CHECK_EQ(count(&world, ADDRESSES), before);
	CHECK_EQ(world_ask(&world, "POST", SERVICES, NULL, asked)->status, 201);
	world_close(&world);
}

/* What an admission row refuses, or whose client leaves, has taken nothing either. */
TEST(a_refused_service_takes_no_address)
{
	struct world world;
	struct got *got;
	size_t before;

	open_with_rows(&world, 5);
	before = count(&world, ADDRESSES);
	got = world_ask(
		&world, "POST", SERVICES, NULL,
		"{\"metadata\":{\"name\":\"s\",\"annotations\":{\"refuse\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}");
	CHECK_EQ(got->status, 403);
	CHECK_EQ(count(&world, ADDRESSES), before);
	world_close(&world);
}
