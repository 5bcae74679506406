/* CustomResourceDefinitions: accepted, established, served, changed, deleted with their instances. */
#include "tests/unit/apiserver/world.h"

#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define GEARS       "/apis/example.com/v1/namespaces/default/gears"
#define MERGE       "application/merge-patch+json"

static const char gears[] = "apiVersion: apiextensions.k8s.io/v1\n"
			    "kind: CustomResourceDefinition\n"
			    "metadata: {name: gears.example.com}\n"
			    "spec:\n"
			    "  group: example.com\n"
			    "  scope: Namespaced\n"
			    "  names: {plural: gears, kind: Gear, shortNames: [gr], categories: [all]}\n"
			    "  versions:\n"
			    "  - name: v1\n"
			    "    served: true\n"
			    "    storage: true\n"
			    "    subresources: {status: {}}\n"
			    "    schema:\n"
			    "      openAPIV3Schema:\n"
			    "        type: object\n"
			    "        properties:\n"
			    "          spec:\n"
			    "            type: object\n"
			    "            properties:\n"
			    "              teeth: {type: integer, minimum: 3, default: 12}\n";

static struct got *ask(struct world *world, int status, const char *method, const char *target, const char *type, const char *body)
{
	struct got *got = world_ask(world, method, target, type, body);

	if (got->status != status)
		tap_fail(__FILE__, __LINE__, "%s %s: %d, not %d: %.*s", method, target, got->status, status, STR_ARG(got->text));
	return got;
}

static const struct json *condition(const struct json *definition, const char *type)
{
	JSON_EACH (json_path(definition, "status.conditions"), it)
		if (str_is(json_get_str(it.value, "type"), type))
			return it.value;
	return NULL;
}

static const struct json *define(struct world *world, const char *yaml)
{
	struct got *got = ask(world, 201, "POST", DEFINITIONS, "application/yaml", yaml);

	loop_run_for(NS_PER_S);
	got = ask(world, 200, "GET",
		  arena_printf(world->arena, DEFINITIONS "/%.*s", STR_ARG(json_path_str(got->json, "metadata.name"))), NULL, NULL);
	return got->json;
}

static struct got *make_gear(struct world *world, const char *name, const char *metadata)
{
	return ask(
		world, 201, "POST", GEARS, NULL,
		arena_printf(world->arena,
			     "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Gear\",\"metadata\":{\"name\":\"%s\"%s},\"spec\":{}}",
			     name, metadata));
}

TEST(a_definition_is_established_and_served)
{
	struct world world;
	const struct json *definition;
	struct got *got;

	world_open(&world, 31);
	CHECK_EQ(world_ask(&world, "GET", GEARS, NULL, NULL)->status, 404);
	definition = define(&world, gears);
	CHECK_STR(json_get_str(condition(definition, "NamesAccepted"), "reason"), "NoConflicts");
	CHECK_STR(json_get_str(condition(definition, "NamesAccepted"), "message"), "no conflicts found");
	CHECK_STR(json_get_str(condition(definition, "Established"), "status"), "True");
	CHECK_STR(json_get_str(condition(definition, "Established"), "reason"), "InitialNamesAccepted");
	CHECK_STR(json_path_str(definition, "status.acceptedNames.listKind"), "GearList");
	CHECK_STR(json_path_str(definition, "status.storedVersions.0"), "v1");
	got = make_gear(&world, "g", "");
	CHECK_EQ(json_int(json_path(got->json, "spec.teeth"), 0), 12);
	got = ask(&world, 200, "GET", "/apis/example.com/v1", NULL, NULL);
	CHECK_STR(json_path_str(got->json, "resources.0.shortNames.0"), "gr");
	/* Another server on the same store serves it at once. */
	world_restart(&world);
	got = ask(&world, 200, "GET", GEARS "/g", NULL, NULL);
	CHECK_EQ(json_int(json_path(got->json, "spec.teeth"), 0), 12);
	world_close(&world);
}

TEST(a_definition_changes)
{
	struct world world;
	struct seen *seen;
	struct got *got;

	world_open(&world, 32);
	define(&world, gears);
	make_gear(&world, "g", "");
	seen = world_watch(&world, GEARS "?watch=true");
	seen_event(seen, 0);
	/* A second version becomes the stored one, with a field more. */
	ask(&world, 200, "PATCH", DEFINITIONS "/gears.example.com", MERGE,
	    "{\"spec\":{\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":false,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\","
	    "\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"teeth\":{\"type\":\"integer\"}}}}}}},"
	    "{\"name\":\"v2\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\","
	    "\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"teeth\":{\"type\":\"integer\"},"
	    "\"metal\":{\"type\":\"string\",\"default\":\"steel\"}}}}}}}]}}");
	loop_run_for(NS_PER_S);
	CHECK(seen->ended); /* what it watched is described anew: it comes back */
	got = ask(&world, 200, "GET", DEFINITIONS "/gears.example.com", NULL, NULL);
	CHECK_STR(json_path_str(got->json, "status.storedVersions.1"), "v2");
	got = ask(&world, 200, "PATCH", "/apis/example.com/v2/namespaces/default/gears/g", MERGE, "{\"spec\":{\"teeth\":20}}");
	CHECK_STR(json_path_str(got->json, "spec.metal"), "steel");
	got = ask(&world, 200, "GET", GEARS "/g", NULL, NULL);
	CHECK_EQ(json_int(json_path(got->json, "spec.teeth"), 0), 20);
	/* A version that is no more stored cannot be taken away while it may be in the store. */
	got = ask(&world, 422, "PATCH", DEFINITIONS "/gears.example.com", "application/json-patch+json",
		  "[{\"op\":\"remove\",\"path\":\"/spec/versions/0\"}]");
	CHECK(str_contains(json_get_str(got->json, "message"),
			   STR("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions")));
	ask(&world, 422, "PATCH", DEFINITIONS "/gears.example.com", MERGE, "{\"spec\":{\"scope\":\"Cluster\"}}");
	world_close(&world);
}

TEST(names_are_given_once)
{
	static const char cogs[] = "apiVersion: apiextensions.k8s.io/v1\n"
				   "kind: CustomResourceDefinition\n"
				   "metadata: {name: cogs.example.com}\n"
				   "spec:\n"
				   "  group: example.com\n"
				   "  scope: Cluster\n"
				   "  names: {plural: cogs, kind: Gear, listKind: CogList}\n"
				   "  versions:\n"
				   "  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}\n";
	struct world world;
	const struct json *definition;
	struct got *got;

	world_open(&world, 33);
	define(&world, gears);
	definition = define(&world, cogs);
	CHECK_STR(json_get_str(condition(definition, "NamesAccepted"), "reason"), "KindConflict");
	CHECK_STR(json_get_str(condition(definition, "NamesAccepted"), "message"), "\"Gear\" is already in use");
	CHECK_STR(json_get_str(condition(definition, "Established"), "status"), "False");
	CHECK_STR(json_get_str(condition(definition, "Established"), "reason"), "NotAccepted");
	CHECK_EQ(world_ask(&world, "GET", "/apis/example.com/v1/cogs", NULL, NULL)->status, 404);
	ask(&world, 200, "DELETE", DEFINITIONS "/gears.example.com", NULL, NULL);
	loop_run_for(5 * NS_PER_S);
	got = ask(&world, 200, "GET", DEFINITIONS "/cogs.example.com", NULL, NULL);
	CHECK_STR(json_get_str(condition(got->json, "Established"), "status"), "True");
	ask(&world, 200, "GET", "/apis/example.com/v1/cogs", NULL, NULL);
	world_close(&world);
}

TEST(instances_go_with_their_definition)
{
	struct world world;
	struct seen *seen;
	struct got *got;

	world_open(&world, 34);
	define(&world, gears);
	make_gear(&world, "a", "");
	make_gear(&world, "b", ",\"finalizers\":[\"example.com/wait\"]");
	seen = world_watch(&world, GEARS "?watch=true");
	seen_event(seen, 1);
	got = ask(&world, 200, "DELETE", DEFINITIONS "/gears.example.com", NULL, NULL);
	CHECK_STR(json_path_str(got->json, "metadata.finalizers.0"), "customresourcecleanup.apiextensions.k8s.io");
	CHECK_STR(json_get_str(condition(got->json, "Terminating"), "reason"), "InstanceDeletionPending");
	loop_run_for(5 * NS_PER_S);
	/* One is gone, one waits, nothing new comes. */
	got = ask(&world, 200, "GET", DEFINITIONS "/gears.example.com", NULL, NULL);
	CHECK_STR(json_get_str(condition(got->json, "Terminating"), "reason"), "InstanceDeletionInProgress");
	CHECK_EQ(json_len(json_get(ask(&world, 200, "GET", GEARS, NULL, NULL)->json, "items")), 1);
	got = ask(&world, 403, "POST", GEARS, NULL,
		  "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Gear\",\"metadata\":{\"name\":\"c\"},\"spec\":{}}");
	CHECK_STR(json_get_str(got->json, "message"),
		  "gears.example.com \"c\" is forbidden: create not allowed while custom resource definition is terminating");
	CHECK(!seen->ended);
	ask(&world, 200, "PATCH", GEARS "/b", MERGE, "{\"metadata\":{\"finalizers\":null}}");
	loop_run_for(5 * NS_PER_S);
	CHECK_EQ(world_ask(&world, "GET", DEFINITIONS "/gears.example.com", NULL, NULL)->status, 404);
	CHECK_EQ(world_ask(&world, "GET", GEARS, NULL, NULL)->status, 404);
	CHECK(seen->ended);
	/* The same name again: nothing of the old ones is left. */
	define(&world, gears);
	CHECK_EQ(json_len(json_get(ask(&world, 200, "GET", GEARS, NULL, NULL)->json, "items")), 0);
	world_close(&world);
}

TEST(definitions_are_validated)
{
	static const struct {
		const char *schema, *message;
	} rows[] = {
		{ "{}", "spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root" },
		{ "{type: string}", "spec.validation.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root" },
		{ "{type: object, properties: {a: {}}}",
		  "properties[a].type: Required value: must not be empty for specified object fields" },
		{ "{type: object, properties: {a: {type: array}}}", "properties[a].items: Required value: must be specified" },
		{ "{type: object, properties: {a: {type: array, items: {}}}}",
		  "items.type: Required value: must not be empty for specified array items" },
		{ "{type: object, properties: {a: {type: object, properties: {b: {type: string}}, additionalProperties: {type: string}}}}",
		  "additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive" },
		{ "{type: object, properties: {a: {type: array, uniqueItems: true, items: {type: string}}}}",
		  "uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic" },
		{ "{type: object, properties: {a: {$ref: '#/x'}}}", "$ref: Forbidden: $ref is not supported" },
		{ "{type: object, anyOf: [{type: object}]}", "anyOf[0].type: Forbidden: must be empty to be structural" },
		{ "{type: object, properties: {a: {type: string, pattern: 'a('}}}", "pattern: Invalid value: \"a(\"" },
		{ "{type: object, properties: {a: {type: string, default: 3}}}", "default: Invalid value: 3" },
		{ "{type: object, properties: {a: {type: array, items: {type: object, properties: {k: {type: string}}}, "
		  "x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k]}}}",
		  "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property" },
		{ "{type: object, properties: {a: {type: string, x-kubernetes-list-type: set}}}",
		  "must be array if x-kubernetes-list-type is specified" },
		{ "{type: object, nullable: true}", "nullable: Forbidden: nullable cannot be true at the root" },
		{ "{type: object, properties: {metadata: {type: object, properties: {labels: {type: object}}}}}",
		  "must not specify anything other than name and generateName, but metadata is implicitly specified" },
		{ "{type: object, properties: {a: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}}}",
		  NULL },
		{ "{type: object, x-kubernetes-preserve-unknown-fields: true}", NULL },
	};
	struct world world;

	world_open(&world, 35);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *yaml = arena_printf(
			world.arena,
			"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
			"metadata: {name: ts.example.com}\nspec:\n  group: example.com\n  scope: Cluster\n"
			"  names: {plural: ts, kind: T}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n"
			"    schema: {openAPIV3Schema: %s}\n",
			rows[i].schema);
		struct got *got = world_ask(&world, "POST", DEFINITIONS "?dryRun=All", "application/yaml", yaml);

		if (rows[i].message == NULL
			    ? got->status != 201
			    : got->status != 422 || !str_contains(json_get_str(got->json, "message"), str_from(rows[i].message)))
			tap_fail(__FILE__, __LINE__, "%s: %d %.*s", rows[i].schema, got->status, STR_ARG(got->text));
	}
	world_close(&world);
}
