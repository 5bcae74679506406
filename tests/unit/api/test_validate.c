/*
 * Wrong requests as the running upstream server answered them: every POST of live/invalid.jsonl to a kind of the path is
 * decoded, defaulted and validated, and its causes are compared as a set. Left out by name is what other parts of a server
 * decide: admission, allocation, authorization, quota, patches.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static const char *const path_kinds[] = { "Namespace", "Pod",           "Node",       "ConfigMap",      "Secret",
					  "Service",   "EndpointSlice", "Endpoints",  "ServiceAccount", "Event",
					  "Lease",     "Deployment",    "ReplicaSet", "ServiceCIDR",    "IPAddress" };

/* /api/v1/namespaces/facts/pods?… or /apis/apps/v1/namespaces/facts/deployments?… */
static const struct kind *kind_of_path(struct str path)
{
	struct str piece, pieces[8];
	size_t n = 0;

	str_cut(&path, '?', &piece);
	path = str_skip(piece, 1);
	while (n < 8 && str_cut(&path, '/', &piece))
		pieces[n++] = piece;
	bool core = n > 1 && str_is(pieces[0], "api");
	size_t at = core ? 2 : 3;
	if (n < at + 1)
		return NULL;
	struct str group = core ? STR("") : pieces[1], version = core ? pieces[1] : pieces[2];
	if (n == at + 3 && str_is(pieces[at], "namespaces"))
		at += 2;
	return n == at + 1 ? kind_find(group, version, pieces[at]) : NULL;
}

static bool on_the_path(const struct kind *kind)
{
	for (size_t i = 0; i < sizeof(path_kinds) / sizeof(path_kinds[0]); i++)
		if (str_is(kind_name(kind), path_kinds[i]))
			return true;
	return false;
}

/* "<x*1048577>" stands for so many characters. */
static const struct json *expand(struct arena *arena, const struct json *value)
{
	struct json_builder b = { .arena = arena };
	struct str text = json_str(value);
	int64_t n;

	if (json_is(value, JSON_STRING) && text.len > 4 && text.ptr[0] == '<' && text.ptr[2] == '*' &&
	    str_to_i64(str_head(str_skip(text, 3), text.len - 4), &n)) {
		char *long_text = arena_raw(arena, (size_t)n);
		memset(long_text, text.ptr[1], (size_t)n);
		return json_string(arena, str_of(long_text, (size_t)n));
	}
	JSON_EACH (value, it) {
		if (value->type == JSON_OBJECT)
			json_builder_member(&b, it.key, expand(arena, it.value));
		else
			json_builder_item(&b, expand(arena, it.value));
	}
	return json_is(value, JSON_OBJECT) ? json_builder_object(&b) : json_is(value, JSON_ARRAY) ? json_builder_array(&b) : value;
}

/* What the server does between decoding and validation. */
static const struct json *prepared(struct arena *arena, const struct kind *kind, const struct json *tree)
{
	const struct type *type = kind_type(kind);

	if (kind_namespaced(kind))
		tree = api_with(arena, type, tree, "metadata.namespace", json_text(arena, "facts"));
	if (str_is(kind_name(kind), "Job")) {
		const struct json *uid = json_text(arena, "u"), *name = json_path(tree, "metadata.name");
		const struct json *label = JSON_OBJECT_OF(arena, { "batch.kubernetes.io/controller-uid", uid });
		const struct json *labels = JSON_OBJECT_OF(arena, { "batch.kubernetes.io/controller-uid", uid },
							   { "batch.kubernetes.io/job-name", name }, { "controller-uid", uid },
							   { "job-name", name });

		tree = api_with(arena, type, tree, "metadata.uid", uid);
		tree = api_with(arena, type, tree, "spec.selector.matchLabels", label);
		tree = api_with(arena, type, tree, "spec.template.metadata.labels", labels);
	}
	if (str_is(kind_name(kind), "Service") && json_path(tree, "spec.clusterIP") != NULL &&
	    json_path(tree, "spec.clusterIPs") == NULL)
		tree = api_with(arena, type, tree, "spec.clusterIPs", JSON_ARRAY_OF(arena, json_path(tree, "spec.clusterIP")));
	return tree;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct str joined(struct arena *arena, const char **lines, size_t n)
{
	AUTO_BUF struct buf out = { 0 };

	qsort(lines, n, sizeof(*lines), by_text);
	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "\n#   %s", lines[i]);
	return str_dup(arena, buf_str(&out));
}

static struct str answer_of(struct arena *arena, const struct json *response)
{
	const struct json *body = json_get(response, "body"), *causes = json_path(body, "details.causes");
	const char **lines = ARENA_ARRAY(arena, const char *, json_len(causes) + 1);
	int64_t code = json_int(json_get(response, "code"), 0);
	size_t n = 0;

	if (code < 300)
		return STR("fine");
	JSON_EACH (code == 422 ? causes : NULL, it)
		lines[n++] = arena_printf(arena, "%.*s %.*s: %.*s", STR_ARG(json_get_str(it.value, "reason")),
					  STR_ARG(json_get_str(it.value, "field")), STR_ARG(json_get_str(it.value, "message")));
	return n == 0 ? json_get_str(body, "message") : joined(arena, lines, n);
}

static struct str our_answer(struct arena *arena, const struct kind *kind, const struct json *request)
{
	const struct json *raw = json_get(request, "body"), *tree;
	struct api_body body = { .kind = kind, .media = API_JSON };
	struct api_notes notes = { 0 };
	bool strict = str_contains(json_get_str(request, "path"), STR("fieldValidation=Strict"));

	body.text = json_is(raw, JSON_STRING) ? json_str(raw) : json_format(arena, expand(arena, raw));
	AUTO_ERROR err = api_decode(arena, &body, &notes, &tree);
	if (err == NULL && strict && notes.len != 0)
		err = api_strict_error(&body, &notes);
	if (err == NULL)
		err = api_validate(arena, kind, prepared(arena, kind, api_default(arena, kind, tree)));
	if (err == NULL)
		return STR("fine");
	const char **lines = ARENA_ARRAY(arena, const char *, err->n_causes + 1);
	for (size_t i = 0; i < err->n_causes; i++)
		lines[i] = arena_printf(arena, "%s %s: %s", err->causes[i].reason, err->causes[i].field, err->causes[i].message);
	return err->n_causes == 0 ? str_dup(arena, str_from(err->text)) : joined(arena, lines, err->n_causes);
}

/* Answers that come from elsewhere, by a word of their text or of their name. */
static bool elsewhere(const struct json *one)
{
	static const char *const words[] = {
		"is forbidden",
		"failed to allocate",
		"provided port is",
		"not configured on this cluster",
		"not configured for dual-stack",
		"already exists",
		"does not match the namespace",
		"A_<suffix>",
		"<time>07:00",
		"pod-security.kubernetes.io",
	};
	struct str about = json_get_str(one, "about"), message = json_path_str(one, "response.body.message");
	const struct json *content_type = json_get(json_path(one, "request.headers"), "Content-Type");

	if (str_has_prefix(about, STR("facts-")) || str_is(about, "create query") || str_is(about, "body: deep nesting"))
		return true;
	if (json_is(content_type, JSON_STRING) && !str_is(json_str(content_type), "application/json"))
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_contains(message, str_from(words[i])))
			return true;
	return false;
}

TEST(validate_wrong_requests_as_upstream)
{
	struct arena *arena = arena_new();
	struct str rest = vector_read(arena, "live/invalid.jsonl"), line;
	size_t compared = 0, same = 0;

	while (str_cut(&rest, '\n', &line)) {
		struct arena *one = arena_new();
		const struct json *trial;
		CHECK_OK(json_read(one, line, NULL, &trial));
		const struct json *request = json_get(trial, "request");
		struct str path = json_get_str(request, "path");
		const struct kind *kind = str_is(json_get_str(request, "method"), "POST") ? kind_of_path(path) : NULL;
		int64_t code = json_int(json_path(trial, "response.code"), 0);

		if (kind != NULL && on_the_path(kind) && (code == 422 || code == 400 || code == 201) && !elsewhere(trial)) {
			struct str got = our_answer(one, kind, request), want = answer_of(one, json_get(trial, "response"));
			compared++;
			same += str_eq(got, want);
			if (!str_eq(got, want))
				printf("# %.*s%.*s\n# not%.*s\n", STR_ARG(json_get_str(trial, "about")),
				       STR_ARG(str_head(got, 900)), STR_ARG(str_head(want, 900)));
		}
		arena_free(one);
	}
	printf("# %zu of %zu answers are upstream's\n", same, compared);
	CHECK_EQ(same, compared);
	CHECK(compared >= 200);
	arena_free(arena);
}

TEST(validate_accepts_what_upstream_accepts)
{
	struct arena *arena = arena_new();
	const struct json *all = vector_json(arena, "live/defaults.json");
	size_t n = 0, refused = 0;

	JSON_EACH (json_get(all, "create"), it) {
		struct arena *one = arena_new();
		const struct kind *kind = kind_of_path(json_get_str(it.value, "path"));
		if (kind != NULL && json_int(json_get(it.value, "code"), 0) == 201 && (kind_verbs(kind) & VERB(LIST)) != 0) {
			struct str answer = our_answer(one, kind, JSON_OBJECT_OF(one, { "body", json_get(it.value, "object") }));
			bool generated = json_path(it.value, "object.metadata.generateName") != NULL;
			n++;
			if (!str_is(answer, "fine") && !generated) {
				printf("# %.*s%.*s\n", STR_ARG(json_get_str(it.value, "name")), STR_ARG(answer));
				refused++;
			}
		}
		arena_free(one);
	}
	CHECK_EQ(refused, 0);
	CHECK(n > 120);
	arena_free(arena);
}

TEST(validate_updates)
{
	static const struct {
		const char *kind, *old, *new, *want; /* want NULL: fine */
	} trials[] = {
		{ "ConfigMap",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"1\"},\"immutable\":true,\"data\":{\"k\":\"v\"}}",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"1\"},\"immutable\":true,\"data\":{\"k\":\"w\"}}",
		  "ConfigMap \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set" },
		{ "ConfigMap", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"1\"}}",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"2\"}}",
		  "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"2\": field is immutable" },
		{ "Secret", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"type\":\"x\"}",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"type\":\"other\"}",
		  "Secret \"a\" is invalid: type: Invalid value: \"other\": field is immutable" },
		{ "Service",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"clusterIP\":\"10.96.9.9\",\"clusterIPs\":[\"10.96.9.9\"],\"ports\":[{\"port\":80}]}}",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"clusterIP\":\"10.96.9.8\",\"clusterIPs\":[\"10.96.9.8\"],\"ports\":[{\"port\":80}]}}",
		  "Service \"a\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.9.8\"]: may not change once set" },
		{ "Pod",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"j:1\",\"imagePullPolicy\":\"Always\"}],"
		  "\"tolerations\":[{\"key\":\"k\",\"operator\":\"Exists\"}],\"activeDeadlineSeconds\":5}}",
		  NULL },
		{ "Pod",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}],\"restartPolicy\":\"Never\"}}",
		  "Pod \"a\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
		  "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
		  "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
		  "@@ -35,7 +35,7 @@\n"
		  "   }\n"
		  "  ],\n"
		  "  \"EphemeralContainers\": null,\n"
		  "- \"RestartPolicy\": \"Always\",\n"
		  "+ \"RestartPolicy\": \"Never\",\n"
		  "  \"TerminationGracePeriodSeconds\": 30,\n"
		  "  \"ActiveDeadlineSeconds\": null,\n"
		  "  \"DNSPolicy\": \"ClusterFirst\",\n" },
		{ "PersistentVolumeClaim",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],"
		  "\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}",
		  "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],"
		  "\"resources\":{\"requests\":{\"storage\":\"1Gi\"}},\"selector\":{\"matchLabels\":{\"a\":\"b\"}},"
		  "\"dataSourceRef\":{\"kind\":\"PersistentVolumeClaim\",\"name\":\"c\"}}}",
		  "PersistentVolumeClaim \"a\" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
		  "@@ -2,7 +2,11 @@\n"
		  "  \"AccessModes\": [\n"
		  "   \"ReadWriteOnce\"\n"
		  "  ],\n"
		  "- \"Selector\": null,\n"
		  "+ \"Selector\": {\n"
		  "+  \"matchLabels\": {\n"
		  "+   \"a\": \"b\"\n"
		  "+  }\n"
		  "+ },\n"
		  "  \"Resources\": {\n"
		  "   \"Limits\": null,\n"
		  "   \"Requests\": {\n"
		  "@@ -13,6 +17,11 @@\n"
		  "  \"StorageClassName\": null,\n"
		  "  \"VolumeMode\": \"Filesystem\",\n"
		  "  \"DataSource\": null,\n"
		  "- \"DataSourceRef\": null,\n"
		  "+ \"DataSourceRef\": {\n"
		  "+  \"APIGroup\": null,\n"
		  "+  \"Kind\": \"PersistentVolumeClaim\",\n"
		  "+  \"Name\": \"c\",\n"
		  "+  \"Namespace\": null\n"
		  "+ },\n"
		  "  \"VolumeAttributesClassName\": null\n"
		  " }\n" },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct arena *arena = arena_new();
		const struct kind *kind = kind_must("v1", trials[i].kind);
		const struct json *old, *new;
		CHECK_OK(api_normalize(arena, kind_type(kind), from(arena, trials[i].old), NULL, &old));
		CHECK_OK(api_normalize(arena, kind_type(kind), from(arena, trials[i].new), NULL, &new));
		AUTO_ERROR err = api_validate_update(arena, kind, api_default(arena, kind, new), api_default(arena, kind, old));
		CHECK_STR(err == NULL ? "fine" : (const char *)err->text, trials[i].want == NULL ? "fine" : trials[i].want);
		arena_free(arena);
	}
}
