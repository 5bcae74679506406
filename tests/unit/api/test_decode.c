#include "api/api.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

struct trial {
	const char *kind, *body, *want; /* kind: "apps/v1 Deployment"; want: JSON, or the error */
};

static const struct kind *named(const char *text)
{
	struct str rest = str_from(text), version;

	str_cut(&rest, ' ', &version);
	struct arena *arena = arena_new();
	const struct kind *kind = kind_must(str_cstr(arena, version), rest.ptr);
	arena_free(arena);
	return kind;
}

static void run(const struct trial *trials, size_t n, enum api_media media)
{
	for (size_t i = 0; i < n; i++) {
		struct arena *arena = arena_new();
		struct api_body body = { .kind = named(trials[i].kind), .media = media, .text = str_from(trials[i].body) };
		struct api_notes notes = { 0 };
		const struct json *tree;
		struct error *err = api_decode(arena, &body, &notes, &tree);
		if (err == NULL && notes.len != 0)
			err = api_strict_error(&body, &notes);
		CHECK_STR(err != NULL ? str_dup(arena, str_from(err->text)) : json_format(arena, tree), trials[i].want);
		error_free(err);
		arena_free(arena);
	}
}

TEST(decode_gives_the_form_go_writes)
{
	static const struct trial trials[] = {
		{ "v1 ConfigMap",
		  "{\"data\":{\"b\":\"2\",\"a\":null},\"metadata\":{\"name\":\"x\",\"labels\":{},\"creationTimestamp\":null}}",
		  "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"},\"data\":{\"a\":\"\",\"b\":\"2\"}}" },
		{ "v1 ConfigMap", "null", "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{}}" },
		{ "v1 Secret", "{\"data\":{\"a\":\"YQ==\",\"n\":null}}",
		  "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{},\"data\":{\"a\":\"YQ==\",\"n\":null}}" },
		{ "v1 Pod",
		  "{\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":{\"memory\":\"1024Mi\",\"cpu\":0.5}}}],"
		  "\"terminationGracePeriodSeconds\":0,\"hostNetwork\":false}}",
		  "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{},\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":"
		  "{\"cpu\":\"500m\",\"memory\":\"1Gi\"}}}],\"terminationGracePeriodSeconds\":0},\"status\":{}}" },
		{ "v1 Pod", "{\"spec\":{}}",
		  "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{},\"spec\":{\"containers\":null},\"status\":{}}" },
		{ "v1 Service", "{\"spec\":{\"ports\":[{\"port\":80},{\"port\":1,\"targetPort\":\"x\"}]}}",
		  "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{},\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":0},"
		  "{\"port\":1,\"targetPort\":\"x\"}]},\"status\":{\"loadBalancer\":{}}}" },
		{ "coordination.k8s.io/v1 Lease", "{\"spec\":{\"renewTime\":\"2020-01-01T02:00:00.123456+02:00\"}}",
		  "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{},"
		  "\"spec\":{\"renewTime\":\"2020-01-01T00:00:00.123456Z\"}}" },
		{ "v1 Event", "{\"firstTimestamp\":\"2020-01-01T00:00:00.9Z\"}",
		  "{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"metadata\":{},\"involvedObject\":{},\"source\":{},"
		  "\"firstTimestamp\":\"2020-01-01T00:00:00Z\",\"lastTimestamp\":null,\"eventTime\":null,"
		  "\"reportingComponent\":\"\",\"reportingInstance\":\"\"}" },
	};

	run(trials, sizeof(trials) / sizeof(trials[0]), API_JSON);
}

TEST(decode_errors_are_upstreams)
{
	static const struct trial trials[] = {
		{ "v1 ConfigMap", "",
		  "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse "
		  "error: unexpected end of JSON input (<empty>)" },
		{ "v1 ConfigMap", "hello: [world",
		  "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; "
		  "json parse error: invalid character 'h' looking for beginning of value "
		  "(68656c6c6f3a205b776f726c64)" },
		{ "v1 ConfigMap", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}} x",
		  "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid "
		  "character 'x' after top-level value ({\"apiVersion\":\"v1\",\"kind\":\"Con ...)" },
		{ "v1 ConfigMap", "{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}",
		  "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion" },
		{ "v1 ConfigMap", "{\"apiVersion\":\"x/v1\",\"kind\":\"ConfigMap\"}",
		  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"x/v1\" in "
		  "scheme \"pkg/runtime/scheme.go:111\"" },
		{ "v1 ConfigMap", "{\"data\":{\"a\":1}}",
		  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal "
		  "number into Go struct field ConfigMap.data of type string" },
		{ "v1 ConfigMap", "{\"data\":[\"a\"]}",
		  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal "
		  "array into Go struct field ConfigMap.data of type map[string]string" },
		{ "v1 ConfigMap", "{\"metadata\":\"x\"}",
		  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal "
		  "string into Go struct field ConfigMap.metadata of type v1.ObjectMeta" },
		{ "v1 Pod", "{\"spec\":{\"containers\":{\"name\":\"c\"}}}",
		  "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal object into Go struct field PodSpec.spec.containers "
		  "of type []v1.Container" },
		{ "apps/v1 Deployment", "{\"spec\":{\"replicas\":1.5}}",
		  "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number 1.5 into Go struct field "
		  "DeploymentSpec.spec.replicas of type int32" },
		{ "apps/v1 Deployment", "{\"spec\":{\"replicas\":8e1}}",
		  "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number 8e1 into Go struct field "
		  "DeploymentSpec.spec.replicas of type int32" },
		{ "coordination.k8s.io/v1 Lease", "{\"spec\":{\"renewTime\":\"yesterday\"}}",
		  "Lease in version \"v1\" cannot be handled as a Lease: parsing time \"yesterday\" as "
		  "\"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"yesterday\" as \"2006\"" },
		{ "v1 Secret", "{\"data\":{\"a\":\"%%\"}}",
		  "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at "
		  "input byte 0" },
		{ "v1 Pod",
		  "{\"nonsense\":1,\"metadata\":{\"a\":{\"b\":1}},\"spec\":{\"containers\":[{\"x\":1}]},\"spec\":{\"containers\":[{\"x\":1}]}}",
		  "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"nonsense\", "
		  "unknown field \"metadata.a\", unknown field \"spec.containers[0].x\", duplicate field \"spec\"" },
	};

	run(trials, sizeof(trials) / sizeof(trials[0]), API_JSON);
}

/* Years that nanoseconds since 1970 cannot hold, in JSON and in protobuf. */
TEST(decode_times_of_all_years)
{
	static const struct {
		const char *text, *want; /* want NULL: Go's zero time, which is not written */
	} times[] = {
		{ "0001-01-01T00:00:00.000000Z", NULL },
		{ "0001-01-01T00:00:02.000000Z", "0001-01-01T00:00:02.000000Z" },
		{ "0001-01-01T01:00:00.000001+01:00", "0001-01-01T00:00:00.000001Z" },
		{ "1600-02-29T23:59:59.999999Z", "1600-02-29T23:59:59.999999Z" },
		{ "1969-12-31T23:59:59.500000Z", "1969-12-31T23:59:59.500000Z" },
		{ "2300-03-01T00:00:00.123456-02:30", "2300-03-01T02:30:00.123456Z" },
		{ "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z" },
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct arena *arena = arena_new();
		const struct kind *kind = kind_find(STR("coordination.k8s.io"), STR("v1"), STR("leases"));
		struct api_body body = { .kind = kind,
					 .media = API_JSON,
					 .text = str_format(arena, "{\"spec\":{\"renewTime\":\"%s\"}}", times[i].text) };
		AUTO_BUF struct buf wire = { 0 };
		const struct json *tree;
		CHECK_OK(api_decode(arena, &body, NULL, &tree));
		CHECK_STR(json_str(json_path(tree, "spec.renewTime")), times[i].want != NULL ? times[i].want : "");
		api_write_proto(&wire, kind_type(kind), tree);
		body.media = API_PROTOBUF;
		body.text = buf_str(&wire);
		CHECK_OK(api_decode(arena, &body, NULL, &tree));
		CHECK_STR(json_str(json_path(tree, "spec.renewTime")), times[i].want != NULL ? times[i].want : "");
		arena_free(arena);
	}
}

TEST(decode_yaml)
{
	static const struct trial trials[] = {
		{ "v1 ConfigMap", "metadata: {name: a}\ndata: {k: b}\n",
		  "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"b\"}}" },
		{ "v1 ConfigMap", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: a}\ndata: {k: b}\n",
		  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n"
		  "  line 5: key \"data\" already set in map" },
	};

	run(trials, sizeof(trials) / sizeof(trials[0]), API_YAML);
}

TEST(decode_reports_the_first_bad_field_in_the_text)
{
	static const struct trial trials[] = {
		{ "v1 Pod", "{\"spec\":{\"hostNetwork\":1},\"metadata\":{\"name\":2}}",
		  "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field "
		  "PodSpec.spec.hostNetwork of type bool" },
	};

	run(trials, 1, API_JSON);
}

TEST(with_keeps_the_order_of_the_schema)
{
	struct arena *arena = arena_new();
	const struct type *pod = kind_type(kind_must("v1", "Pod"));
	const struct json *tree =
		from(arena, "{\"metadata\":{\"name\":\"x\",\"uid\":\"u\",\"creationTimestamp\":\"t\"},\"status\":{}}");

	tree = api_with(arena, pod, tree, "metadata.resourceVersion", json_text(arena, "7"));
	tree = api_with(arena, pod, tree, "metadata.labels.b", json_text(arena, "2"));
	tree = api_with(arena, pod, tree, "metadata.labels.a", json_text(arena, "1"));
	tree = api_with(arena, pod, tree, "spec.nodeName", json_text(arena, "n"));
	tree = api_with(arena, pod, tree, "status.phase", json_text(arena, "Running"));
	CHECK_STR(
		json_format(arena, tree),
		"{\"metadata\":{\"name\":\"x\",\"uid\":\"u\",\"resourceVersion\":\"7\",\"creationTimestamp\":\"t\",\"labels\":{\"a\":\"1\","
		"\"b\":\"2\"}},\"spec\":{\"containers\":null,\"nodeName\":\"n\"},\"status\":{\"phase\":\"Running\"}}");
	tree = api_with(arena, pod, tree, "status.phase", NULL);
	tree = api_with(arena, pod, tree, "metadata.name", &json_empty_string);
	CHECK(json_path(tree, "status.phase") == NULL);
	CHECK(json_path(tree, "metadata.name") == NULL);
	arena_free(arena);
}
