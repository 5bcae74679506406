/* One stored thing in several groups and versions. */
#include "api/api.h"
#include "api/convert.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static struct object *make(const struct kind *kind, const char *text)
{
	struct arena *arena = arena_new();
	struct api_body body = { .kind = kind, .media = API_JSON, .text = str_from(text) };
	const struct json *tree;

	CHECK_OK(api_decode(arena, &body, NULL, &tree));
	return object_new(kind, arena, tree, 7);
}

static const char old_text[] =
	"{\"kind\":\"HorizontalPodAutoscaler\",\"apiVersion\":\"autoscaling/v1\",\"metadata\":{\"name\":\"a\",\"annotations\":{"
	"\"autoscaling.alpha.kubernetes.io/behavior\":\"{\\\"ScaleUp\\\":{\\\"StabilizationWindowSeconds\\\":5,\\\"SelectPolicy\\\":null,"
	"\\\"Policies\\\":[{\\\"Type\\\":\\\"Pods\\\",\\\"Value\\\":4,\\\"PeriodSeconds\\\":15}],\\\"Tolerance\\\":null},\\\"ScaleDown\\\":null}\","
	"\"autoscaling.alpha.kubernetes.io/metrics\":\"[{\\\"type\\\":\\\"Pods\\\",\\\"pods\\\":{\\\"metricName\\\":\\\"hits\\\","
	"\\\"targetAverageValue\\\":\\\"10\\\"}}]\",\"mine\":\"1\"}},"
	"\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"web\"},\"maxReplicas\":3,\"targetCPUUtilizationPercentage\":50},"
	"\"status\":{\"currentReplicas\":1,\"desiredReplicas\":1}}";

TEST(convert_autoscaler_there_and_back)
{
	struct arena *arena = arena_new();
	const struct kind *old = kind_find(STR("autoscaling"), STR("v1"), STR("horizontalpodautoscalers"));
	const struct kind *new = kind_find(STR("autoscaling"), STR("v2"), STR("horizontalpodautoscalers"));
	struct object *first = make(old, old_text), *second = object_convert(first, new), *third = object_convert(second, old);
	const struct json *tree = object_tree(second);

	CHECK_STR(
		json_format(arena, json_path(tree, "spec.metrics")),
		"[{\"type\":\"Pods\",\"pods\":{\"metric\":{\"name\":\"hits\"},\"target\":{\"type\":\"AverageValue\",\"averageValue\":\"10\"}}},"
		"{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":50}}}]");
	CHECK_STR(
		json_format(arena, json_path(tree, "spec.behavior")),
		"{\"scaleUp\":{\"stabilizationWindowSeconds\":5,\"policies\":[{\"type\":\"Pods\",\"value\":4,\"periodSeconds\":15}]}}");
	CHECK_STR(json_format(arena, json_path(tree, "metadata.annotations")), "{\"mine\":\"1\"}");
	CHECK_STR(json_format(arena, object_tree(third)), json_format(arena, object_tree(first)));
	object_unref(first);
	object_unref(second);
	object_unref(third);
	arena_free(arena);
}

TEST(convert_autoscaler_of_nonsense)
{
	const struct kind *old = kind_find(STR("autoscaling"), STR("v1"), STR("horizontalpodautoscalers"));
	const struct kind *new = kind_find(STR("autoscaling"), STR("v2"), STR("horizontalpodautoscalers"));
	struct object *first = make(old,
				    "{\"metadata\":{\"annotations\":{\"autoscaling.alpha.kubernetes.io/behavior\":\"[1]\","
				    "\"autoscaling.alpha.kubernetes.io/metrics\":\"[1,{\\\"type\\\":2}]\","
				    "\"autoscaling.alpha.kubernetes.io/conditions\":\"[{\\\"type\\\":[]}]\","
				    "\"autoscaling.alpha.kubernetes.io/current-metrics\":\"{\"}},\"spec\":{\"maxReplicas\":1}}");
	struct object *second = object_convert(first, new);

	CHECK_EQ(json_len(json_path(object_tree(second), "spec.metrics")), 1);
	CHECK_STR(json_str(json_path(object_tree(second), "spec.metrics.0.resource.name")), "cpu");
	CHECK(json_path(object_tree(second), "status.conditions") == NULL);
	object_unref(first);
	object_unref(second);
}
