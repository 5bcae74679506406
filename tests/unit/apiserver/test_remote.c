/* The client of components over HTTP instead of in process: the same code, the same answers. */
#include "client/remote.h"
#include "tests/unit/apiserver/world.h"

struct reply {
	bool came;
	int kind; /* of the error; -1: none */
	struct object *object;
	size_t n_items;
	uint64_t revision;
	const char *text;
};

static struct arena *arena;

static void replied(void *arg, struct api_reply *from)
{
	struct reply *reply = arg;

	reply->came = true;
	reply->kind = from->err != NULL ? (int)from->err->kind : -1;
	reply->text = from->err != NULL ? arena_strdup(arena, from->err->text) : "";
	reply->object = from->object != NULL ? object_keep(arena, from->object) : NULL;
	reply->n_items = from->n_items;
	reply->revision = from->revision;
}

static bool came(void *arg)
{
	return ((struct reply *)arg)->came;
}

static struct reply ask(struct client *client, struct api_call call)
{
	struct reply reply = { 0 };

	call.kind = call.kind != NULL ? call.kind : kind_must("v1", "ConfigMap");
	call.ns = STR("default");
	call.done = replied;
	call.arg = &reply;
	client_call(client, &call);
	CHECK(loop_run_until(came, &reply, 60 * NS_PER_S));
	return reply;
}

static const struct json *map_named(const char *name, const char *value)
{
	return JSON_OBJECT_OF(arena, { "metadata", JSON_OBJECT_OF(arena, { "name", json_text(arena, name) }) },
			      { "data", JSON_OBJECT_OF(arena, { "k", json_text(arena, value) }) });
}

/* Every verb, by the client that is given: what comes out must not depend on it. */
static void walk(struct client *client)
{
	struct reply reply = ask(client, (struct api_call){ .verb = VERB_CREATE, .body = map_named("a", "1") });

	CHECK_EQ(reply.kind, -1);
	CHECK_STR(object_name(reply.object), "a");
	CHECK(object_revision(reply.object) != 0);
	reply = ask(client, (struct api_call){ .verb = VERB_CREATE, .body = map_named("a", "1") });
	CHECK_EQ(reply.kind, ERR_EXISTS);
	CHECK_STR(reply.text, "configmaps \"a\" already exists");
	reply = ask(client, (struct api_call){ .verb = VERB_GET, .name = STR("b") });
	CHECK_EQ(reply.kind, ERR_NOT_FOUND);
	reply = ask(client, (struct api_call){ .verb = VERB_PATCH,
					       .name = STR("a"),
					       .patch = API_PATCH_STRATEGIC,
					       .body = JSON_OBJECT_OF(
						       arena, { "data", JSON_OBJECT_OF(arena, { "l", json_text(arena, "2") }) }) });
	CHECK_EQ(reply.kind, -1);
	CHECK_EQ(json_len(json_get(object_tree(reply.object), "data")), 2);
	reply = ask(client, (struct api_call){ .verb = VERB_UPDATE,
					       .name = STR("a"),
					       .body = json_with_path(arena, map_named("a", "3"), "metadata.resourceVersion",
								      json_text(arena, "1")) });
	CHECK_EQ(reply.kind, ERR_CONFLICT);
	reply = ask(client, (struct api_call){ .verb = VERB_UPDATE, .name = STR("a"), .body = map_named("a", "3") });
	CHECK_STR(json_path_str(object_tree(reply.object), "data.k"), "3");
	reply = ask(client, (struct api_call){ .verb = VERB_LIST, .fields = STR("metadata.name=a") });
	CHECK_EQ(reply.n_items, 1);
	CHECK(reply.revision != 0);
	reply = ask(client, (struct api_call){ .verb = VERB_DELETE, .name = STR("a") });
	CHECK_EQ(reply.kind, -1);
	reply = ask(client, (struct api_call){ .verb = VERB_GET, .name = STR("a") });
	CHECK_EQ(reply.kind, ERR_NOT_FOUND);
}

TEST(remote_calls_are_local_calls)
{
	struct world world;
	struct remote *remote;
	struct client *near, *far;

	world_open(&world, 41);
	arena = world.arena;
	remote = remote_new(world.client);
	near = client_new(apiserver_transport(world.apiserver), "system:near");
	far = client_new(remote_transport(remote), "system:far");
	walk(near);
	walk(far);
	client_free(near);
	client_free(far);
	remote_free(remote);
	world_close(&world);
}

static bool has_one(void *arg)
{
	return informer_synced(arg) && informer_find_key(arg, STR("default/a")) != NULL;
}

static bool has_none(void *arg)
{
	return informer_find_key(arg, STR("default/a")) == NULL;
}

static bool has_both(void *arg)
{
	return informer_find_key(arg, STR("default/a")) != NULL && informer_find_key(arg, STR("default/c")) != NULL;
}

TEST(remote_informers_follow)
{
	struct world world;
	struct remote *remote;
	struct client *near, *far;
	struct informer *maps;

	world_open(&world, 42);
	arena = world.arena;
	remote = remote_new(world.client);
	near = client_new(apiserver_transport(world.apiserver), "system:near");
	far = client_new(remote_transport(remote), "system:far");
	ask(near, (struct api_call){ .verb = VERB_CREATE, .body = map_named("a", "1") });
	maps = client_informer(far, kind_must("v1", "ConfigMap"));
	CHECK(loop_run_until(has_one, maps, 10 * NS_PER_S));
	ask(far, (struct api_call){ .verb = VERB_DELETE, .name = STR("a") });
	CHECK(loop_run_until(has_none, maps, 10 * NS_PER_S));
	ask(near, (struct api_call){ .verb = VERB_CREATE, .body = map_named("a", "2") });
	CHECK(loop_run_until(has_one, maps, 10 * NS_PER_S));
	/* The server goes and comes: what happened meanwhile is found. */
	world_restart(&world);
	ask(far, (struct api_call){ .verb = VERB_CREATE, .body = map_named("c", "3") });
	CHECK(loop_run_until(has_both, maps, 60 * NS_PER_S));
	client_free(far);
	remote_free(remote);
	loop_run_for(NS_PER_S);
	client_free(near);
	world_close(&world);
}
