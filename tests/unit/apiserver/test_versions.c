/* One stored thing in two groups or versions: written through one, watched through the other. */
#include "tests/unit/apiserver/world.h"

#define OLD_EVENTS  "/api/v1/namespaces/default/events"
#define NEW_EVENTS  "/apis/events.k8s.io/v1/namespaces/default/events"
#define OLD_SCALERS "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
#define NEW_SCALERS "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"

/* The nth event of a watch, checked for type, version and the revision that the writer was told. */
static const struct json *expect(struct seen *seen, size_t n, const char *type, const char *version, const struct got *written)
{
	const struct json *event = seen_event(seen, n), *object = json_get(event, "object");

	CHECK_STR(json_get_str(event, "type"), type);
	CHECK_STR(json_get_str(object, "apiVersion"), version);
	if (written != NULL) {
		CHECK_STR(json_path_str(object, "metadata.resourceVersion"),
			  json_path_str(written->json, "metadata.resourceVersion"));
		CHECK_STR(json_path_str(object, "metadata.uid"), json_path_str(written->json, "metadata.uid"));
	}
	return object;
}

TEST(event_written_as_core_watched_as_events)
{
	struct world world;
	struct seen *seen, *same;
	struct got *got;
	const struct json *object;

	world_open(&world, 11);
	seen = world_watch(&world, NEW_EVENTS "?watch=true");
	same = world_watch(&world, OLD_EVENTS "?watch=true");
	got = world_ask(
		&world, "POST", OLD_EVENTS, NULL,
		"{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":\"p\"},"
		"\"reason\":\"Started\",\"message\":\"it runs\",\"type\":\"Normal\",\"count\":3,"
		"\"source\":{\"component\":\"kubelet\",\"host\":\"n1\"},\"firstTimestamp\":\"2026-01-01T00:00:00Z\"}");
	CHECK_EQ(got->status, 201);
	object = expect(seen, 0, "ADDED", "events.k8s.io/v1", got);
	CHECK_STR(json_path_str(object, "regarding.name"), "p");
	CHECK_STR(json_get_str(object, "note"), "it runs");
	CHECK_STR(json_path_str(object, "deprecatedSource.host"), "n1");
	CHECK_STR(json_get_str(object, "deprecatedFirstTimestamp"), "2026-01-01T00:00:00Z");
	CHECK_EQ(json_int(json_get(object, "deprecatedCount"), 0), 3);
	CHECK(json_get(object, "message") == NULL && json_get(object, "involvedObject") == NULL);
	object = expect(same, 0, "ADDED", "v1", got);
	CHECK_STR(json_get_str(object, "message"), "it runs");
	/* The other one changes it, and deletes it. */
	got = world_ask(&world, "PATCH", NEW_EVENTS "/e", "application/merge-patch+json", "{\"deprecatedCount\":4}");
	CHECK_EQ(got->status, 422); /* what an event tells is fixed there */
	got = world_ask(&world, "PATCH", NEW_EVENTS "/e", "application/merge-patch+json",
			"{\"metadata\":{\"annotations\":{\"seen\":\"yes\"}}}");
	CHECK_EQ(got->status, 200);
	CHECK_STR(json_path_str(expect(same, 1, "MODIFIED", "v1", got), "metadata.annotations.seen"), "yes");
	CHECK_STR(json_path_str(expect(seen, 1, "MODIFIED", "events.k8s.io/v1", got), "metadata.annotations.seen"), "yes");
	CHECK_EQ(world_ask(&world, "DELETE", NEW_EVENTS "/e", NULL, NULL)->status, 200);
	CHECK_STR(json_get_str(expect(same, 2, "DELETED", "v1", NULL), "message"), "it runs");
	CHECK_STR(json_get_str(expect(seen, 2, "DELETED", "events.k8s.io/v1", NULL), "note"), "it runs");
	seen_close(seen);
	seen_close(same);
	world_close(&world);
}

TEST(event_written_as_events_watched_as_core)
{
	struct world world;
	struct seen *seen;
	struct got *got;
	const struct json *object;

	world_open(&world, 12);
	seen = world_watch(&world, OLD_EVENTS "?watch=true&fieldSelector=involvedObject.name%3Dp");
	got = world_ask(&world, "POST", NEW_EVENTS, NULL,
			"{\"metadata\":{\"name\":\"e\"},\"eventTime\":\"2026-01-01T00:00:00.000000Z\",\"action\":\"Binding\","
			"\"reportingController\":\"example.com/scheduler\",\"reportingInstance\":\"s-1\",\"reason\":\"Scheduled\","
			"\"note\":\"bound\",\"type\":\"Normal\","
			"\"regarding\":{\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":\"p\"}}");
	CHECK_EQ(got->status, 201);
	object = expect(seen, 0, "ADDED", "v1", got);
	CHECK_STR(json_path_str(object, "involvedObject.name"), "p");
	CHECK_STR(json_get_str(object, "reportingComponent"), "example.com/scheduler");
	CHECK_STR(json_get_str(object, "eventTime"), "2026-01-01T00:00:00.000000Z");
	CHECK_STR(json_get_str(object, "message"), "bound");
	seen_close(seen);
	world_close(&world);
}

TEST(autoscaler_written_as_v1_watched_as_v2)
{
	struct world world;
	struct seen *seen;
	struct got *got;
	const struct json *object;

	world_open(&world, 13);
	seen = world_watch(&world, NEW_SCALERS "?watch=true");
	got = world_ask(&world, "POST", OLD_SCALERS, NULL,
			"{\"metadata\":{\"name\":\"h\"},\"spec\":{\"maxReplicas\":5,\"targetCPUUtilizationPercentage\":70,"
			"\"scaleTargetRef\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"web\"}}}");
	CHECK_EQ(got->status, 201);
	object = expect(seen, 0, "ADDED", "autoscaling/v2", got);
	CHECK_EQ(json_int(json_path(object, "spec.maxReplicas"), 0), 5);
	CHECK_STR(json_path_str(object, "spec.metrics.0.resource.name"), "cpu");
	CHECK_EQ(json_int(json_path(object, "spec.metrics.0.resource.target.averageUtilization"), 0), 70);
	CHECK(json_path(object, "spec.targetCPUUtilizationPercentage") == NULL);
	got = world_ask(&world, "PATCH", OLD_SCALERS "/h", "application/merge-patch+json",
			"{\"spec\":{\"targetCPUUtilizationPercentage\":50}}");
	CHECK_EQ(got->status, 200);
	object = expect(seen, 1, "MODIFIED", "autoscaling/v2", got);
	CHECK_EQ(json_int(json_path(object, "spec.metrics.0.resource.target.averageUtilization"), 0), 50);
	seen_close(seen);
	world_close(&world);
}

TEST(autoscaler_written_as_v2_watched_as_v1)
{
	struct world world;
	struct seen *seen;
	struct got *got;
	const struct json *object;

	world_open(&world, 14);
	seen = world_watch(&world, OLD_SCALERS "?watch=true");
	got = world_ask(&world, "POST", NEW_SCALERS, NULL,
			"{\"metadata\":{\"name\":\"h\"},\"spec\":{\"maxReplicas\":5,"
			"\"scaleTargetRef\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"web\"},"
			"\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\","
			"\"averageUtilization\":60}}},{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"target\":{"
			"\"type\":\"AverageValue\",\"averageValue\":\"1Gi\"}}}]}}");
	CHECK_EQ(got->status, 201);
	object = expect(seen, 0, "ADDED", "autoscaling/v1", got);
	CHECK_EQ(json_int(json_path(object, "spec.targetCPUUtilizationPercentage"), 0), 60);
	CHECK(str_contains(json_get_str(json_path(object, "metadata.annotations"), "autoscaling.alpha.kubernetes.io/metrics"),
			   STR("\"1Gi\"")));
	/* Written back as version 1, nothing of version 2 is lost. */
	got = world_ask(&world, "PATCH", OLD_SCALERS "/h", "application/merge-patch+json", "{\"spec\":{\"maxReplicas\":9}}");
	CHECK_EQ(got->status, 200);
	expect(seen, 1, "MODIFIED", "autoscaling/v1", got);
	got = world_ask(&world, "GET", NEW_SCALERS "/h", NULL, NULL);
	CHECK_EQ(json_int(json_path(got->json, "spec.maxReplicas"), 0), 9);
	CHECK_EQ(json_len(json_path(got->json, "spec.metrics")), 2);
	CHECK(json_path(got->json, "metadata.annotations") == NULL);
	seen_close(seen);
	world_close(&world);
}
