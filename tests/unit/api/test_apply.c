/* managedFields and server-side apply. The objects are those of upstream's documentation and of a running server. */
#include "api/api.h"
#include "api/apply.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static const struct json *read_as(struct arena *arena, const struct kind *kind, const char *text)
{
	struct api_body body = { .kind = kind, .media = API_JSON, .text = str_from(text) };
	const struct json *tree;

	CHECK_OK(api_decode(arena, &body, NULL, &tree));
	return tree;
}

static const struct json *raw(struct arena *arena, const char *text)
{
	const struct json *tree;

	CHECK_OK(json_read(arena, str_from(text), NULL, &tree));
	return tree;
}

static struct api_manager manager(const struct kind *kind, const char *name, const char *now)
{
	return (struct api_manager){ .kind = kind, .name = str_from(name), .now = str_from(now) };
}

static struct str fields(struct arena *arena, const struct json *tree, int i)
{
	return json_format(arena, json_get(json_at(json_path(tree, "metadata.managedFields"), (size_t)i), "fieldsV1"));
}

static struct str who(struct arena *arena, const struct json *tree)
{
	AUTO_BUF struct buf out = { 0 };

	JSON_EACH (json_path(tree, "metadata.managedFields"), it)
		buf_printf(&out, "%s%.*s/%.*s", it.index == 0 ? "" : " ", STR_ARG(json_get_str(it.value, "manager")),
			   STR_ARG(json_get_str(it.value, "operation")));
	return str_dup(arena, buf_str(&out));
}

#define DEPLOYMENT(image, replicas)                                                                                                         \
	"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"labels\":{\"app\":\"a\"}}," \
	"\"spec\":{" replicas                                                                                                               \
	"\"selector\":{\"matchLabels\":{\"app\":\"a\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"a\"}},"                           \
	"\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"" image "\",\"ports\":[{\"containerPort\":80}]}]}}}}"

#define TEMPLATE "\"f:template\":{\"f:metadata\":{\"f:labels\":{"
#define WEB      "\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{},"
#define PORT     "\"f:ports\":{\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{}"

TEST(track_what_a_create_sets)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR("apps"), STR("v1"), STR("deployments"));
	struct api_manager me = manager(kind, "kubectl-create", "2026-01-01T00:00:00Z");
	const struct json *tree = api_track(arena, &me, NULL, read_as(arena, kind, DEPLOYMENT("nginx", "\"replicas\":2,")));

	CHECK_STR(fields(arena, tree, 0),
		  "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},\"f:spec\":{\"f:replicas\":{},\"f:selector\":{}," TEMPLATE
		  "\".\":{},\"f:app\":{}}}," WEB "\"f:image\":{},\"f:name\":{},\"f:ports\":{\".\":{},"
		  "\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{}}},"
		  "\"f:resources\":{}}}}}}}");
	CHECK_STR(
		json_format(arena, json_with(arena, json_at(json_path(tree, "metadata.managedFields"), 0), "fieldsV1", NULL)),
		"{\"manager\":\"kubectl-create\",\"operation\":\"Update\",\"apiVersion\":\"apps/v1\",\"time\":\"2026-01-01T00:00:00Z\","
		"\"fieldsType\":\"FieldsV1\"}");
	arena_free(arena);
}

TEST(track_what_an_update_changes)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR(""), STR("v1"), STR("configmaps"));
	struct api_manager a = manager(kind, "a", "2026-01-01T00:00:00Z"), b = manager(kind, "b", "2026-01-02T00:00:00Z");
	const struct json *live = api_track(
		arena, &a, NULL, read_as(arena, kind, "{\"metadata\":{\"name\":\"x\"},\"data\":{\"k\":\"1\",\"l\":\"2\"}}"));

	const struct json *tree = api_track(
		arena, &b, live, read_as(arena, kind, "{\"metadata\":{\"name\":\"x\"},\"data\":{\"k\":\"3\",\"m\":\"4\"}}"));
	CHECK_STR(who(arena, tree), "a/Update b/Update");
	CHECK_STR(fields(arena, tree, 0), "{\"f:data\":{}}");
	CHECK_STR(fields(arena, tree, 1), "{\"f:data\":{\"f:k\":{},\"f:m\":{}}}");
	/* Nothing changed: nothing is noted, not even the time. */
	CHECK(json_equal(api_track(arena, &a, tree, tree), tree));
	arena_free(arena);
}

TEST(track_no_more_than_ten)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR(""), STR("v1"), STR("configmaps"));
	const struct json *tree = NULL;

	for (int i = 0; i < 13; i++) {
		struct api_manager me =
			manager(kind, arena_printf(arena, "m%02d", i), arena_printf(arena, "2026-01-%02dT00:00:00Z", i + 1));
		const struct json *next = tree != NULL ? tree : read_as(arena, kind, "{\"metadata\":{\"name\":\"x\"}}");
		next = json_with_path(arena, next, arena_printf(arena, "data.k%d", i), json_text(arena, "1"));
		tree = api_track(arena, &me, tree, next);
	}
	CHECK_STR(who(arena, tree),
		  "ancient-changes/Update m04/Update m05/Update m06/Update m07/Update m08/Update m09/Update m10/Update "
		  "m11/Update m12/Update");
	CHECK_STR(fields(arena, tree, 0), "{\"f:data\":{\".\":{},\"f:k0\":{},\"f:k1\":{},\"f:k2\":{},\"f:k3\":{}}}");
	arena_free(arena);
}

TEST(apply_keeps_what_kubectl_left)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR(""), STR("v1"), STR("configmaps"));
	struct api_manager me = manager(kind, "kubectl", "2026-01-01T00:00:00Z");
	const struct json *live = read_as(arena, kind,
					  "{\"metadata\":{\"name\":\"x\",\"annotations\":{"
					  "\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\"}}}"),
			  *tree;

	CHECK_OK(api_apply(arena, &me, live,
			   raw(arena, "{\"metadata\":{\"name\":\"x\"},\"data\":{\"k\":\"1\"},\"apiVersion\":\"v1\"}"), false,
			   &tree));
	CHECK_STR(json_get_str(json_path(tree, "metadata.annotations"), "kubectl.kubernetes.io/last-applied-configuration"),
		  "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"1\"},\"metadata\":{\"name\":\"x\"}}\n");
	arena_free(arena);
}

TEST(apply_owns_what_it_says)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR("apps"), STR("v1"), STR("deployments"));
	struct api_manager me = manager(kind, "kubectl", "2026-01-01T00:00:00Z");
	const struct json *tree, *second;

	CHECK_OK(api_apply(arena, &me, NULL, raw(arena, DEPLOYMENT("nginx", "\"replicas\":2,")), false, &tree));
	CHECK_STR(fields(arena, tree, 0),
		  "{\"f:metadata\":{\"f:labels\":{\"f:app\":{}}},\"f:spec\":{\"f:replicas\":{},\"f:selector\":{}," TEMPLATE
		  "\"f:app\":{}}}," WEB "\"f:image\":{},\"f:name\":{}," PORT "}}}}}}}}");
	/* What it leaves out later goes; what the server has set stays. */
	tree = api_default(arena, kind, tree);
	CHECK_OK(api_apply(arena, &me, tree, raw(arena, DEPLOYMENT("nginx:2", "")), false, &second));
	CHECK(json_path(second, "spec.replicas") == NULL);
	CHECK_STR(json_str(json_path(second, "spec.template.spec.containers.0.image")), "nginx:2");
	CHECK_STR(json_str(json_path(second, "spec.template.spec.containers.0.imagePullPolicy")), "Always");
	CHECK_STR(json_str(json_path(second, "spec.strategy.type")), "RollingUpdate");
	/* Again: nothing changes. */
	me.now = STR("2026-01-05T00:00:00Z");
	second = api_default(arena, kind, second);
	CHECK_OK(api_apply(arena, &me, second, raw(arena, DEPLOYMENT("nginx:2", "")), false, &tree));
	CHECK_STR(json_format(arena, tree), json_format(arena, second));
	arena_free(arena);
}

TEST(apply_conflicts)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR("apps"), STR("v1"), STR("deployments"));
	struct api_manager a = manager(kind, "a", "2026-01-01T00:00:00Z"), b = manager(kind, "b", "2026-01-02T00:00:00Z");
	struct api_manager c = manager(kind, "c", "2026-01-03T00:00:00Z");
	const struct json *tree, *ignored;

	CHECK_OK(api_apply(arena, &a, NULL, raw(arena, DEPLOYMENT("nginx", "\"replicas\":2,")), false, &tree));
	const struct json *scaled =
		api_track(arena, &c, tree, api_with(arena, kind_type(kind), tree, "spec.replicas", json_number(arena, 3)));
	CHECK_STR(who(arena, scaled), "a/Apply c/Update");
	AUTO_ERROR err = api_apply(arena, &a, scaled, raw(arena, DEPLOYMENT("nginx", "\"replicas\":2,")), false, &ignored);
	CHECK_STR(err->text, "Apply failed with 1 conflict: conflict with \"c\" using apps/v1: .spec.replicas");
	CHECK_STR(err->causes[0].field, ".spec.replicas");
	CHECK_STR(err->causes[0].reason, "FieldManagerConflict");
	CHECK_STR(err->causes[0].message, "conflict with \"c\" using apps/v1");
	AUTO_ERROR two = api_apply(arena, &b, scaled, raw(arena, DEPLOYMENT("httpd", "\"replicas\":5,")), false, &ignored);
	CHECK_STR(two->text,
		  "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.template.spec.containers[name=\"web\"].image\n"
		  "conflicts with \"c\" using apps/v1:\n- .spec.replicas");
	CHECK_OK(api_apply(arena, &b, scaled, raw(arena, DEPLOYMENT("httpd", "\"replicas\":5,")), true, &tree));
	CHECK_STR(who(arena, tree), "a/Apply b/Apply");
	/* The same value is shared, not fought for. */
	CHECK(!str_contains(fields(arena, tree, 0), STR("f:image")));
	CHECK(str_contains(fields(arena, tree, 0), STR("f:containerPort")));
	arena_free(arena);
}

TEST(apply_merges_lists)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR(""), STR("v1"), STR("pods"));
	struct api_manager a = manager(kind, "a", "2026-01-01T00:00:00Z"), b = manager(kind, "b", "2026-01-02T00:00:00Z");
	static const struct {
		const char *live, *config, *want;
	} lists[] = {
		{ "abc", "b", "abc" }, { "abc", "ca", "bca" }, { "ab", "xay", "xaby" }, { "", "ab", "ab" }, { "ab", "", "ab" },
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct json_builder live = { .arena = arena }, config = { .arena = arena };
		AUTO_BUF struct buf got = { 0 };
		const struct json *tree = read_as(arena, kind, "{\"metadata\":{\"name\":\"p\"}}"), *out;
		for (const char *p = lists[i].live; *p != 0; p++)
			json_builder_item(&live, JSON_OBJECT_OF(arena, { "name", json_printf(arena, "%c", *p) }));
		for (const char *p = lists[i].config; *p != 0; p++)
			json_builder_item(&config, JSON_OBJECT_OF(arena, { "name", json_printf(arena, "%c", *p) }));
		const struct json *pod = json_with_path(arena, tree, "spec.imagePullSecrets", json_builder_array(&live));
		CHECK_OK(api_normalize(arena, kind_type(kind), pod, NULL, &pod));
		pod = api_track(arena, &a, NULL, api_with_kind(arena, pod, kind));
		CHECK_OK(api_apply(arena, &b, pod,
				   JSON_OBJECT_OF(arena, { "spec", JSON_OBJECT_OF(arena, { "imagePullSecrets",
											   json_builder_array(&config) }) }),
				   false, &out));
		JSON_EACH (json_path(out, "spec.imagePullSecrets"), it)
			buf_add(&got, json_get_str(it.value, "name"));
		CHECK_STR(buf_str(&got), lists[i].want);
	}
	arena_free(arena);
}

TEST(apply_wrong_configurations)
{
	struct arena *arena = arena_new();
	const struct kind *kind = kind_find(STR(""), STR("v1"), STR("pods"));
	struct api_manager a = manager(kind, "a", "2026-01-01T00:00:00Z");
	struct api_manager b = manager(kind_find(STR(""), STR("v1"), STR("serviceaccounts")), "b", "2026-01-01T00:00:00Z");
	const struct json *out;

	AUTO_ERROR managed = api_apply(arena, &a, NULL, raw(arena, "{\"metadata\":{\"managedFields\":[]}}"), false, &out);
	CHECK_STR(managed->text, "metadata.managedFields must be nil");
	AUTO_ERROR keyless = api_apply(arena, &b, NULL, raw(arena, "{\"secrets\":[{\"kind\":\"x\"}]}"), false, &out);
	CHECK(str_contains(str_from(keyless->text),
			   STR(".secrets: element 0: associative list with keys has an element that omits all "
			       "key fields [\"name\"] (and doesn't have default values for any key fields)")));
	AUTO_ERROR wrong = api_apply(arena, &a, NULL, raw(arena, "{\"metadata\":{\"labels\":\"x\"},\"spec\":{\"hostIPC\":\"y\"}}"),
				     false, &out);
	CHECK(str_contains(str_from(wrong->text),
			   STR("errors:\n  .metadata.labels: expected map, got &{x}\n  .spec.hostIPC: expected "
			       "boolean, got &{y}")));
	AUTO_ERROR twice = api_apply(arena, &a, NULL, raw(arena, "{\"spec\":{\"containers\":[{\"name\":\"x\"},{\"name\":\"x\"}]}}"),
				     false, &out);
	CHECK(str_contains(str_from(twice->text), STR(".spec.containers: duplicate entries for key [name=\"x\"]")));
	arena_free(arena);
}
