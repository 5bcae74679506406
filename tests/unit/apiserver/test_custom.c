/* A kind of two versions that is described at run time: every verb, and the end of it while it is watched. */
#include "api/custom.h"
#include "tests/unit/apiserver/world.h"

#define V1 "/apis/example.com/v1/namespaces/default/widgets"
#define V2 "/apis/example.com/v2/namespaces/default/widgets"

#define MERGE "application/merge-patch+json"
#define APPLY "application/apply-patch+yaml"

/* Version 2 is like version 1, has spec.color besides, and no spec.old. */
static const char description[] =
	"group: example.com\n"
	"scope: Namespaced\n"
	"names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList, shortNames: [wd], categories: [all]}\n"
	"versions:\n"
	"- name: v1\n"
	"  served: true\n"
	"  storage: STORED1\n"
	"  schema:\n"
	"    openAPIV3Schema: &schema\n"
	"      type: object\n"
	"      description: A thing to test with.\n"
	"      required: [spec]\n"
	"      properties:\n"
	"        spec: &spec\n"
	"          type: object\n"
	"          required: [size]\n"
	"          properties: &fields\n"
	"            size: {type: integer, minimum: 1, maximum: 10}\n"
	"            replicas: {type: integer, default: 1}\n"
	"            selector: {type: string}\n"
	"            mode: {type: string, enum: [fast, slow], default: slow}\n"
	"            name: {type: string, pattern: '^[a-z]+$', maxLength: 8}\n"
	"            port: {x-kubernetes-int-or-string: true}\n"
	"            maybe: {type: string, nullable: true}\n"
	"            old: {type: string}\n"
	"            free: {type: object, x-kubernetes-preserve-unknown-fields: true}\n"
	"            labels: {type: object, additionalProperties: {type: string}}\n"
	"            matrix: {type: array, items: {type: array, items: {type: integer}}}\n"
	"            template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}\n"
	"            parts:\n"
	"              type: array\n"
	"              x-kubernetes-list-type: map\n"
	"              x-kubernetes-list-map-keys: [id]\n"
	"              items:\n"
	"                type: object\n"
	"                required: [id]\n"
	"                properties:\n"
	"                  id: {type: string}\n"
	"                  weight: {type: integer, default: 5}\n"
	"        status: &status\n"
	"          type: object\n"
	"          properties:\n"
	"            replicas: {type: integer}\n"
	"            phase: {type: string}\n"
	"  subresources: &sub\n"
	"    status: {}\n"
	"    scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .spec.selector}\n"
	"  additionalPrinterColumns: &columns\n"
	"  - {name: Size, type: integer, jsonPath: .spec.size}\n"
	"  - {name: First, type: string, jsonPath: '.spec.parts[?(@.id==\"a\")].weight', priority: 1}\n"
	"  - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}\n"
	"  selectableFields: [{jsonPath: .spec.mode}]\n"
	"- name: v2\n"
	"  served: true\n"
	"  storage: STORED2\n"
	"  schema:\n"
	"    openAPIV3Schema:\n"
	"      <<: *schema\n"
	"      properties:\n"
	"        spec:\n"
	"          <<: *spec\n"
	"          properties:\n"
	"            size: {type: integer}\n"
	"            replicas: {type: integer, default: 1}\n"
	"            color: {type: string, default: red}\n"
	"        status: *status\n"
	"  subresources: *sub\n"
	"  additionalPrinterColumns: *columns\n";

static struct custom *describe(struct world *world, const char *stored1, const char *stored2)
{
	struct arena *arena = world->arena;
	struct str text = str_from(description), head;
	AUTO_BUF struct buf yaml = { 0 };
	const struct json *spec;
	struct custom *custom = NULL;

	while (str_cut(&text, '\n', &head)) {
		if (str_has_suffix(head, STR("STORED1")))
			buf_printf(&yaml, "  storage: %s\n", stored1);
		else if (str_has_suffix(head, STR("STORED2")))
			buf_printf(&yaml, "  storage: %s\n", stored2);
		else
			buf_printf(&yaml, "%.*s\n", STR_ARG(head));
	}
	CHECK_OK(json_read_yaml(arena, buf_str(&yaml), NULL, &spec));
	CHECK_OK(custom_new(spec, STR("hash"), &custom));
	return custom;
}

static struct custom *open_with_widgets(struct world *world, uint64_t seed)
{
	struct custom *custom;

	world_open(world, seed);
	custom = describe(world, "true", "false");
	apiserver_register(world->apiserver, custom);
	return custom;
}

static void close_with_widgets(struct world *world, struct custom *custom)
{
	if (custom_registered(custom))
		apiserver_unregister(world->apiserver, custom);
	custom_unref(custom);
	world_close(world);
}

static struct got *ask(struct world *world, int status, const char *method, const char *target, const char *type, const char *body)
{
	struct got *got = world_ask(world, method, target, type, body);

	if (got->status != status)
		tap_fail(__FILE__, __LINE__, "%s %s: %d, not %d: %.*s", method, target, got->status, status, STR_ARG(got->text));
	return got;
}

static struct got *make(struct world *world, const char *name, const char *spec)
{
	return ask(
		world, 201, "POST", V1, NULL,
		arena_printf(world->arena,
			     "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"%s\"},\"spec\":%s}",
			     name, spec));
}

static const char *spec_text(struct world *world, const struct got *got)
{
	return json_format(world->arena, json_get(got->json, "spec")).ptr;
}

/* --- the object --- */

TEST(custom_objects_are_pruned_and_defaulted)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 21);
	struct got *got = make(
		&world, "w",
		"{\"size\":3,\"bogus\":1,\"maybe\":null,\"name\":null,\"mode\":null,\"port\":\"http\","
		"\"free\":{\"z\":1,\"a\":{\"x\":[1.0]}},\"labels\":{\"k\":\"v\"},\"matrix\":[[1,2],[3]],"
		"\"parts\":[{\"id\":\"a\",\"junk\":2},{\"id\":\"b\",\"weight\":7}],"
		"\"template\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"t\",\"what\":1},\"spec\":{\"q\":1}}}");

	CHECK_STR(
		spec_text(&world, got),
		"{\"free\":{\"a\":{\"x\":[1]},\"z\":1},\"labels\":{\"k\":\"v\"},\"matrix\":[[1,2],[3]],\"maybe\":null,\"mode\":\"slow\","
		"\"parts\":[{\"id\":\"a\",\"weight\":5},{\"id\":\"b\",\"weight\":7}],\"port\":\"http\",\"replicas\":1,\"size\":3,"
		"\"template\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"t\"},\"spec\":{\"q\":1}}}");
	CHECK_EQ(json_int(json_path(got->json, "metadata.generation"), 0), 1);
	CHECK(json_path_str(got->json, "metadata.uid").len == 36);
	/* Strict decoding names what would be pruned. */
	got = ask(&world, 400, "POST", V1 "?fieldValidation=Strict", NULL,
		  "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"s\"},"
		  "\"spec\":{\"size\":1,\"parts\":[{\"id\":\"a\",\"junk\":2}]}}");
	CHECK(str_contains(json_get_str(got->json, "message"), STR("unknown field \"spec.parts[0].junk\"")));
	close_with_widgets(&world, custom);
}

TEST(custom_objects_are_validated)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 22);
	struct got *got =
		ask(&world, 422, "POST", V1, NULL,
		    "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"},"
		    "\"spec\":{\"size\":\"big\",\"mode\":\"odd\",\"name\":\"UP\",\"labels\":{\"k\":1},\"matrix\":[[\"x\"]],"
		    "\"parts\":[{\"id\":\"a\"},{\"id\":\"a\"},{}]}}");
	static const char *const causes[][2] = {
		{ "spec.labels.k", "Invalid value: \"integer\": spec.labels.k in body must be of type string: \"integer\"" },
		{ "spec.matrix[0][0]", "Invalid value: \"string\": spec.matrix[0][0] in body must be of type integer: \"string\"" },
		{ "spec.mode", "Unsupported value: \"odd\": supported values: \"fast\", \"slow\"" },
		{ "spec.name", "Invalid value: \"UP\": spec.name in body should match '^[a-z]+$'" },
		{ "spec.parts[2].id", "Required value" },
		{ "spec.parts[1]", "Duplicate value: {\"id\":\"a\"}" },
		{ "spec.size", "Invalid value: \"string\": spec.size in body must be of type integer: \"string\"" },
	};

	CHECK(str_has_prefix(json_get_str(got->json, "message"), STR("Widget.example.com \"w\" is invalid: ")));
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		bool found = false;
		JSON_EACH (json_path(got->json, "details.causes"), it)
			found = found || (str_is(json_get_str(it.value, "field"), causes[i][0]) &&
					  str_is(json_get_str(it.value, "message"), causes[i][1]));
		if (!found)
			tap_fail(__FILE__, __LINE__, "no %s: %s in %.*s", causes[i][0], causes[i][1], STR_ARG(got->text));
	}
	CHECK_EQ(json_len(json_path(got->json, "details.causes")), sizeof(causes) / sizeof(causes[0]));
	close_with_widgets(&world, custom);
}

/* --- verbs --- */

TEST(custom_objects_have_every_verb)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 23);
	struct seen *seen = world_watch(&world, V1 "?watch=true");
	struct got *got = make(&world, "w", "{\"size\":3}");
	const struct json *object;

	CHECK_STR(json_get_str(seen_event(seen, 0), "type"), "ADDED");
	got = ask(&world, 200, "GET", V1 "/w", NULL, NULL);
	CHECK(str_has_prefix(got->text,
			     STR("{\"kind\":\"Widget\",\"apiVersion\":\"example.com/v1\",\"metadata\":{\"name\":\"w\"")));
	got = ask(&world, 200, "GET", V1, NULL, NULL);
	CHECK_STR(json_get_str(got->json, "kind"), "WidgetList");
	CHECK_EQ(json_len(json_get(got->json, "items")), 1);
	got = ask(&world, 200, "GET", "/apis/example.com/v1/widgets?fieldSelector=spec.mode%3Dfast", NULL, NULL);
	CHECK_EQ(json_len(json_get(got->json, "items")), 0);
	got = ask(&world, 200, "GET", "/apis/example.com/v1/widgets?fieldSelector=spec.mode%3Dslow", NULL, NULL);
	CHECK_EQ(json_len(json_get(got->json, "items")), 1);
	got = ask(&world, 200, "PATCH", V1 "/w", MERGE, "{\"spec\":{\"size\":4,\"nothing\":1}}");
	CHECK_STR(spec_text(&world, got), "{\"mode\":\"slow\",\"replicas\":1,\"size\":4}");
	CHECK_EQ(json_int(json_path(got->json, "metadata.generation"), 0), 2);
	object = json_get(seen_event(seen, 1), "object");
	CHECK_STR(json_path_str(object, "metadata.resourceVersion"), json_path_str(got->json, "metadata.resourceVersion"));
	got = ask(&world, 200, "PATCH", V1 "/w", "application/json-patch+json",
		  "[{\"op\":\"replace\",\"path\":\"/spec/size\",\"value\":5}]");
	object = json_with_path(world.arena, got->json, "spec.size", json_number(world.arena, 6));
	got = ask(&world, 200, "PUT", V1 "/w", NULL, json_format(world.arena, object).ptr);
	CHECK_EQ(json_int(json_path(got->json, "spec.size"), 0), 6);
	ask(&world, 422, "PATCH", V1 "/w", MERGE, "{\"spec\":{\"size\":60}}");
	ask(&world, 415, "PATCH", V1 "/w", "application/strategic-merge-patch+json", "{\"spec\":{\"size\":6}}");
	/* Options are no custom resource: they may come as protobuf, which this is not. */
	ask(&world, 400, "DELETE", V1 "/w", "application/vnd.kubernetes.protobuf", "k8s");
	got = ask(&world, 200, "DELETE", V1 "/w", NULL, NULL);
	CHECK_STR(json_get_str(got->json, "status"), "Success");
	CHECK_STR(json_get_str(seen_event(seen, 4), "type"), "DELETED");
	make(&world, "x", "{\"size\":1}");
	make(&world, "y", "{\"size\":2}");
	ask(&world, 200, "DELETE", V1, NULL, NULL);
	CHECK_EQ(json_len(json_get(ask(&world, 200, "GET", V1, NULL, NULL)->json, "items")), 0);
	seen_close(seen);
	close_with_widgets(&world, custom);
}

TEST(custom_objects_are_applied)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 24);
	struct got *got;

	got = ask(
		&world, 201, "PATCH", V1 "/w?fieldManager=a", APPLY,
		"{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 1, matrix: [[1]], free: {x: {y: 1}}, "
		"parts: [{id: a, weight: 1}]}}");
	CHECK_EQ(json_int(json_path(got->json, "spec.parts.0.weight"), 0), 1);
	/* Lists by key: two managers, one item each. */
	got = ask(&world, 200, "PATCH", V1 "/w?fieldManager=b", APPLY,
		  "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {parts: [{id: b}]}}");
	CHECK_EQ(json_len(json_path(got->json, "spec.parts")), 2);
	got = ask(&world, 409, "PATCH", V1 "/w?fieldManager=b", APPLY,
		  "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {parts: [{id: b}, {id: a, weight: 9}]}}");
	CHECK(str_contains(json_get_str(got->json, "message"), STR("conflict with \"a\": .spec.parts[id=\"a\"].weight")));
	/* What a says no more goes; what b said stays. */
	got = ask(&world, 200, "PATCH", V1 "/w?fieldManager=a", APPLY,
		  "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 1}}");
	CHECK_EQ(json_len(json_path(got->json, "spec.parts")), 1);
	CHECK_STR(json_path_str(got->json, "spec.parts.0.id"), "b");
	CHECK(json_path(got->json, "spec.free") == NULL && json_path(got->json, "spec.matrix") == NULL);
	close_with_widgets(&world, custom);
}

TEST(custom_subresources)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 25);
	struct got *got = make(&world, "w", "{\"size\":3,\"selector\":\"a=b\"},\"status\":{\"phase\":\"no\"}");

	CHECK(json_get(got->json, "status") == NULL);
	got = ask(&world, 200, "PATCH", V1 "/w/status", MERGE,
		  "{\"spec\":{\"size\":9},\"status\":{\"phase\":\"good\",\"replicas\":2,\"odd\":1}}");
	CHECK_EQ(json_int(json_path(got->json, "spec.size"), 0), 3);
	CHECK_STR(json_format(world.arena, json_get(got->json, "status")), "{\"phase\":\"good\",\"replicas\":2}");
	CHECK_EQ(json_int(json_path(got->json, "metadata.generation"), 0), 1);
	got = ask(&world, 200, "PATCH", V1 "/w/status", MERGE, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	CHECK(json_path(got->json, "metadata.labels") == NULL);
	got = ask(&world, 200, "PATCH", V1 "/w", MERGE, "{\"status\":{\"phase\":\"bad\"}}");
	CHECK_STR(json_path_str(got->json, "status.phase"), "good");
	got = ask(&world, 200, "GET", V1 "/w/scale", NULL, NULL);
	CHECK_STR(json_get_str(got->json, "kind"), "Scale");
	CHECK_EQ(json_int(json_path(got->json, "status.replicas"), 0), 2);
	CHECK_STR(json_path_str(got->json, "status.selector"), "a=b");
	got = ask(&world, 200, "PATCH", V1 "/w/scale", MERGE, "{\"spec\":{\"replicas\":7}}");
	CHECK_EQ(json_int(json_path(got->json, "spec.replicas"), 0), 7);
	got = ask(&world, 200, "GET", V1 "/w", NULL, NULL);
	CHECK_EQ(json_int(json_path(got->json, "spec.replicas"), 0), 7);
	CHECK_EQ(json_int(json_path(got->json, "metadata.generation"), 0), 2);
	close_with_widgets(&world, custom);
}

TEST(custom_objects_as_tables_and_other_forms)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 26);
	struct got *got;

	make(&world, "w", "{\"size\":3,\"parts\":[{\"id\":\"b\"},{\"id\":\"a\",\"weight\":8}]}");
	got = world_put(&world, &(struct question){ "GET", V1, "application/json;as=Table;v=v1;g=meta.k8s.io", NULL, NULL });
	CHECK_EQ(got->status, 200);
	CHECK_STR(json_format(world.arena, json_path(got->json, "rows.0.cells")), "[\"w\",3,\"8\",\"0s\"]");
	CHECK_STR(json_path_str(got->json, "columnDefinitions.1.name"), "Size");
	CHECK_EQ(json_int(json_path(got->json, "columnDefinitions.2.priority"), 0), 1);
	got = world_put(&world, &(struct question){ "GET", V1 "/w", "application/yaml", NULL, NULL });
	CHECK_EQ(got->status, 200);
	CHECK(str_has_prefix(got->text, STR("apiVersion: example.com/v1\nkind: Widget\n")));
	got = world_put(&world, &(struct question){ "GET", V1 "/w", "application/vnd.kubernetes.protobuf", NULL, NULL });
	CHECK_EQ(got->status, 406);
	CHECK_STR(json_get_str(got->json, "message"),
		  "only the following media types are accepted: application/json, application/yaml, "
		  "application/vnd.kubernetes.protobuf");
	got = world_put(&world,
			&(struct question){ "GET", V1 "/w", "application/vnd.kubernetes.protobuf,application/json", NULL, NULL });
	CHECK_EQ(got->status, 200);
	ask(&world, 415, "POST", V1, "application/vnd.kubernetes.protobuf", "k8s");
	got = world_put(&world, &(struct question){ "GET", V1 "/w", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
						    NULL, NULL });
	CHECK_STR(json_path_str(got->json, "metadata.name"), "w");
	CHECK(json_get(got->json, "spec") == NULL);
	got = world_put(&world, &(struct question){ "GET", V1, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", NULL,
						    NULL });
	CHECK_EQ(got->status, 406);
	CHECK_STR(json_get_str(got->json, "message"), "you requested PartialObjectMetadata, but the requested object is a list "
						      "(*unstructured.UnstructuredList)");
	close_with_widgets(&world, custom);
}

/* --- versions --- */

TEST(custom_versions_are_mixed_in_the_store)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 27), *later;
	struct seen *seen = world_watch(&world, V2 "?watch=true");
	struct got *got;
	const struct json *object;

	make(&world, "one", "{\"size\":1,\"old\":\"x\"}");
	/* Seen as version 2: what it does not know is gone; its defaults are for what is written through it. */
	object = json_get(seen_event(seen, 0), "object");
	CHECK_STR(json_get_str(object, "apiVersion"), "example.com/v2");
	CHECK_STR(json_format(world.arena, json_get(object, "spec")), "{\"replicas\":1,\"size\":1}");
	seen_close(seen);
	/* From now on version 2 is stored; what is there stays as it is until it is written. */
	later = describe(&world, "false", "true");
	apiserver_unregister(world.apiserver, custom);
	custom_unref(custom);
	apiserver_register(world.apiserver, later);
	got = ask(&world, 200, "GET", V1 "/one", NULL, NULL);
	CHECK_STR(json_get_str(got->json, "apiVersion"), "example.com/v1");
	got = ask(&world, 200, "GET", V2 "/one", NULL, NULL);
	CHECK_STR(spec_text(&world, got), "{\"replicas\":1,\"size\":1}");
	got = ask(&world, 201, "POST", V2, NULL,
		  "{\"apiVersion\":\"example.com/v2\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"two\"},\"spec\":{\"size\":99}}");
	CHECK_STR(spec_text(&world, got), "{\"color\":\"red\",\"replicas\":1,\"size\":99}");
	got = ask(&world, 200, "GET", V2, NULL, NULL);
	CHECK_EQ(json_len(json_get(got->json, "items")), 2);
	JSON_EACH (json_get(got->json, "items"), it)
		CHECK_STR(json_get_str(it.value, "apiVersion"), "example.com/v2");
	got = ask(&world, 200, "PATCH", V2 "/one", MERGE, "{\"spec\":{\"color\":\"blue\"}}");
	CHECK_STR(json_path_str(got->json, "spec.color"), "blue");
	got = ask(&world, 200, "GET", V1, NULL, NULL);
	JSON_EACH (json_get(got->json, "items"), it) {
		CHECK_STR(json_get_str(it.value, "apiVersion"), "example.com/v1");
		CHECK(json_path(it.value, "spec.color") == NULL);
		/* Stored as version 2: its defaults were filled in, version 1's are for what is written through it. */
		CHECK(json_path(it.value, "spec.mode") == NULL);
	}
	close_with_widgets(&world, later);
}

/* --- documents --- */

static bool lists(const struct json *list, const char *key, const char *name)
{
	JSON_EACH (list, it)
		if (str_is(json_get_str(it.value, key), name))
			return true;
	return false;
}

TEST(custom_kinds_come_and_go_in_documents)
{
	static const char aggregated[] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
	struct world world;
	struct custom *custom = open_with_widgets(&world, 28);
	struct question groups = { "GET", "/apis", aggregated, NULL, NULL };
	struct got *got = ask(&world, 200, "GET", "/apis", NULL, NULL);
	const struct json *paths, *schema;

	CHECK(lists(json_get(got->json, "groups"), "name", "example.com"));
	got = ask(&world, 200, "GET", "/apis/example.com", NULL, NULL);
	CHECK_STR(json_path_str(got->json, "preferredVersion.version"), "v2");
	got = ask(&world, 200, "GET", "/apis/example.com/v1", NULL, NULL);
	CHECK(lists(json_get(got->json, "resources"), "name", "widgets") &&
	      lists(json_get(got->json, "resources"), "name", "widgets/scale"));
	CHECK(str_contains(world_put(&world, &groups)->text,
			   STR("\"responseKind\":{\"group\":\"example.com\",\"version\":\"v1\",\"kind\":\"Widget\"}")));
	got = ask(&world, 200, "GET", "/openapi/v3", NULL, NULL);
	CHECK(json_get(json_get(got->json, "paths"), "apis/example.com/v1") != NULL);
	got = ask(&world, 200, "GET", "/openapi/v3/apis/example.com/v1", NULL, NULL);
	paths = json_get(got->json, "paths");
	CHECK(json_get(paths, "/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/status") != NULL);
	schema = json_find(json_path(got->json, "components.schemas"), STR("com.example.v1.Widget"));
	CHECK_STR(json_path_str(schema, "properties.spec.properties.mode.default"), "slow");
	CHECK_STR(json_path_str(schema, "x-kubernetes-group-version-kind.0.kind"), "Widget");
	CHECK(json_find(json_path(got->json, "components.schemas"), STR("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")) !=
	      NULL);
	got = ask(&world, 200, "GET", "/openapi/v2", NULL, NULL);
	CHECK(json_get(json_get(got->json, "definitions"), "com.example.v2.WidgetList") != NULL);
	got = world_put(&world, &(struct question){ "GET", "/openapi/v2",
						    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", NULL, NULL });
	CHECK_EQ(got->status, 200);
	CHECK(str_contains(got->text, STR("com.example.v2.WidgetList")));
	apiserver_unregister(world.apiserver, custom);
	got = ask(&world, 200, "GET", "/apis", NULL, NULL);
	CHECK(!lists(json_get(got->json, "groups"), "name", "example.com"));
	CHECK(!str_contains(world_put(&world, &groups)->text, STR("Widget")));
	CHECK(!str_contains(ask(&world, 200, "GET", "/openapi/v2", NULL, NULL)->text, STR("com.example")));
	CHECK_EQ(world_ask(&world, "GET", "/apis/example.com/v1", NULL, NULL)->status, 404);
	CHECK_EQ(world_ask(&world, "GET", "/openapi/v3/apis/example.com/v1", NULL, NULL)->status, 404);
	close_with_widgets(&world, custom);
}

/* --- the end --- */

static void note_local(void *arg, const struct api_event *event)
{
	*(size_t *)arg += event->type == API_ADDED;
}

static bool local_ended;

static void end_local(void *arg, struct error *err)
{
	(void)arg;
	local_ended = true;
	CHECK(err != NULL && err->kind == ERR_EXPIRED);
	error_free(err);
}

TEST(a_watched_kind_is_unregistered)
{
	struct world world;
	struct custom *custom = open_with_widgets(&world, 29);
	const struct api_transport *transport = apiserver_transport(world.apiserver);
	struct seen *list = world_watch(&world, V1 "?watch=true"), *one, *other;
	struct got *writes[8];
	size_t added = 0;
	void *local;

	make(&world, "w", "{\"size\":1}");
	one = world_watch(&world, V2 "?watch=true&fieldSelector=metadata.name%3Dw");
	other = world_watch(&world, "/api/v1/namespaces?watch=true");
	local_ended = false;
	local = transport->watch(transport->arg, &(struct api_watch){ .kind = kind_must("example.com/v1", "Widget"),
								      .event = note_local,
								      .ended = end_local,
								      .arg = &added });
	seen_event(list, 0);
	seen_event(one, 0);
	seen_event(other, 0);
	/* Writes are under way when it goes: each either happened or finds nothing. */
	for (int i = 0; i < 8; i++)
		writes[i] = world_send(&world, &(struct question){ "PATCH", V1 "/w", NULL, MERGE,
								   arena_printf(world.arena, "{\"spec\":{\"size\":%d}}", i + 2) });
	loop_run_for(5 * NS_PER_MS);
	apiserver_unregister(world.apiserver, custom);
	custom_unref(custom);
	for (int i = 0; i < 8; i++) {
		int status = world_wait(writes[i])->status;
		CHECK(status == 200 || status == 404);
	}
	loop_run_for(NS_PER_S);
	CHECK(list->ended && one->ended && !other->ended);
	CHECK_EQ(list->status, 200);
	CHECK_EQ(added, 1);
	CHECK(local_ended);
	transport->watch_close(transport->arg, local);
	CHECK_EQ(world_ask(&world, "GET", V1 "/w", NULL, NULL)->status, 404);
	CHECK_EQ(world_ask(&world, "GET", "/apis/example.com/v1/widgets?watch=true", NULL, NULL)->status, 404);
	/* It comes back: with what was stored. */
	custom = describe(&world, "false", "true");
	apiserver_register(world.apiserver, custom);
	ask(&world, 200, "GET", V1 "/w", NULL, NULL);
	seen_close(other);
	close_with_widgets(&world, custom);
}
