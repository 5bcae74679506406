/* Custom resources among the controllers: owned and owning, while their definition changes and goes. */
#include "api/custom.h"
#include "tests/sim/world.h"
#include "tests/unit/tap.h"

static const char definition[] = "metadata: {name: gears.example.com}\n"
				 "spec:\n"
				 "  group: example.com\n"
				 "  scope: Namespaced\n"
				 "  names: {plural: gears, kind: Gear}\n"
				 "  versions:\n"
				 "  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, "
				 "x-kubernetes-preserve-unknown-fields: true}}}\n";

static const struct kind *map_kind(void)
{
	return kind_must("v1", "ConfigMap");
}

static bool has(struct world *world, const struct kind *kind, const char *name)
{
	return world_call(world, &(struct api_call){ .verb = VERB_GET, .kind = kind, .ns = STR("default"), .name = str_from(name) },
			  50) == -1;
}

static bool is_served(void *arg)
{
	(void)arg;
	return kind_find_named(STR("example.com"), STR("v1"), STR("Gear")) != NULL;
}

static bool is_gone(void *arg)
{
	return !is_served(arg);
}

static struct str uid;

static void note_uid(void *arg, struct api_reply *reply)
{
	struct world *world = arg;

	if (reply->err == NULL && reply->object != NULL)
		uid = str_dup(world->arena, object_uid(reply->object));
	world->ended = 1;
}

static bool has_ended(void *arg)
{
	return ((struct world *)arg)->ended != 0;
}

static void find_uid(struct world *world, const struct kind *kind, const char *name)
{
	world->ended = 0;
	client_call(world->user, &(struct api_call){ .verb = VERB_GET,
						     .kind = kind,
						     .ns = STR("default"),
						     .name = str_from(name),
						     .done = note_uid,
						     .arg = world });
	CHECK(loop_run_until(has_ended, world, 60 * NS_PER_S));
}

/* An object that belongs to another one. */
static void make_owned(struct world *world, const char *version, const char *kind, const char *name, const char *owner_version,
		       const char *owner_kind, const char *owner)
{
	find_uid(world, kind_must(owner_version, owner_kind), owner);
	CHECK_EQ(world_create(
			 world, version, kind, "default",
			 arena_printf(world->arena,
				      "metadata: {name: %s, ownerReferences: [{apiVersion: %s, kind: %s, name: %s, uid: %.*s}]}",
				      name, owner_version, owner_kind, owner, STR_ARG(uid))),
		 -1);
}

static void remove_one(struct world *world, const struct kind *kind, const char *ns, const char *name)
{
	CHECK_EQ(world_call(world,
			    &(struct api_call){ .verb = VERB_DELETE, .kind = kind, .ns = str_from(ns), .name = str_from(name) },
			    50),
		 -1);
}

/* gear ← map ← gear: the first goes, and all follow. */
static void chain(struct world *world)
{
	CHECK_EQ(world_create(world, "example.com/v1", "Gear", "default", "metadata: {name: first}"), -1);
	make_owned(world, "v1", "ConfigMap", "second", "example.com/v1", "Gear", "first");
	make_owned(world, "example.com/v1", "Gear", "third", "v1", "ConfigMap", "second");
	loop_run_for(20 * NS_PER_S);
	CHECK(has(world, map_kind(), "second") && has(world, kind_must("example.com/v1", "Gear"), "third"));
	remove_one(world, kind_must("example.com/v1", "Gear"), "default", "first");
	loop_run_for(60 * NS_PER_S);
	CHECK(!has(world, map_kind(), "second"));
	CHECK(!has(world, kind_must("example.com/v1", "Gear"), "third"));
}

static void define(struct world *world)
{
	CHECK_EQ(world_create(world, "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", definition), -1);
	CHECK(world_until(world, is_served, 60 * NS_PER_S));
}

TEST(custom_resources_own_and_are_owned)
{
	const struct kind *definitions = kind_must("apiextensions.k8s.io/v1", "CustomResourceDefinition");
	struct world world;

	world_open(&world, 51);
	define(&world);
	chain(&world);
	/* Described anew: everybody goes on with the new description. */
	CHECK_EQ(world_call(&world,
			    &(struct api_call){ .verb = VERB_PATCH,
						.kind = definitions,
						.name = STR("gears.example.com"),
						.patch = API_PATCH_MERGE,
						.body = world_json(&world, "{spec: {names: {shortNames: [gr]}}}") },
			    50),
		 -1);
	loop_run_for(20 * NS_PER_S);
	CHECK_EQ(kind_must("example.com/v1", "Gear")->short_names.n, 1);
	chain(&world);
	/* Gone, and come again. */
	CHECK_EQ(world_create(&world, "example.com/v1", "Gear", "default", "metadata: {name: left}"), -1);
	remove_one(&world, definitions, "", "gears.example.com");
	CHECK(world_until(&world, is_gone, 60 * NS_PER_S));
	loop_run_for(30 * NS_PER_S);
	define(&world);
	CHECK(!has(&world, kind_must("example.com/v1", "Gear"), "left"));
	loop_run_for(30 * NS_PER_S);
	chain(&world);
	world_close(&world);
}
