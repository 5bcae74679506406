/*
 * HorizontalPodAutoscaler, autoscaling/v1 and v2. Version 1 only knows a share of the processor; what else there is
 * travels in annotations, in the words of that time. k8s.io/kubernetes/pkg/apis/autoscaling/v1/conversion.go.
 */
#include <string.h>

#include "api/api.h"
#include "api/private.h"

#define PREFIX "autoscaling.alpha.kubernetes.io/"
static const char metrics_key[] = PREFIX "metrics", statuses_key[] = PREFIX "current-metrics",
		  conditions_key[] = PREFIX "conditions", behavior_key[] = PREFIX "behavior";

/* Where a value is in version 1, and below the source in version 2. */
static const struct move {
	const char *source, *old, *new;
	bool always; /* a quantity that version 1 writes even when there is none */
} spec_moves[] = {
	{ "object", "target", "describedObject", false },
	{ "object", "metricName", "metric.name", false },
	{ "object", "targetValue", "target.value", true },
	{ "object", "selector", "metric.selector", false },
	{ "object", "averageValue", "target.averageValue", false },
	{ "pods", "metricName", "metric.name", false },
	{ "pods", "targetAverageValue", "target.averageValue", true },
	{ "pods", "selector", "metric.selector", false },
	{ "resource", "name", "name", false },
	{ "resource", "targetAverageUtilization", "target.averageUtilization", false },
	{ "resource", "targetAverageValue", "target.averageValue", false },
	{ "containerResource", "name", "name", false },
	{ "containerResource", "targetAverageUtilization", "target.averageUtilization", false },
	{ "containerResource", "targetAverageValue", "target.averageValue", false },
	{ "containerResource", "container", "container", false },
	{ "external", "metricName", "metric.name", false },
	{ "external", "metricSelector", "metric.selector", false },
	{ "external", "targetValue", "target.value", false },
	{ "external", "targetAverageValue", "target.averageValue", false },
	{ NULL, NULL, NULL, false },
}, status_moves[] = {
	{ "object", "target", "describedObject", false },
	{ "object", "metricName", "metric.name", false },
	{ "object", "currentValue", "current.value", true },
	{ "object", "selector", "metric.selector", false },
	{ "object", "averageValue", "current.averageValue", false },
	{ "pods", "metricName", "metric.name", false },
	{ "pods", "currentAverageValue", "current.averageValue", true },
	{ "pods", "selector", "metric.selector", false },
	{ "resource", "name", "name", false },
	{ "resource", "currentAverageUtilization", "current.averageUtilization", false },
	{ "resource", "currentAverageValue", "current.averageValue", true },
	{ "containerResource", "name", "name", false },
	{ "containerResource", "currentAverageUtilization", "current.averageUtilization", false },
	{ "containerResource", "currentAverageValue", "current.averageValue", true },
	{ "containerResource", "container", "container", false },
	{ "external", "metricName", "metric.name", false },
	{ "external", "metricSelector", "metric.selector", false },
	{ "external", "currentValue", "current.value", true },
	{ "external", "currentAverageValue", "current.averageValue", false },
	{ NULL, NULL, NULL, false },
};

static const struct json *target_kind(struct arena *arena, const struct json *target)
{
	return json_text(arena, json_get(target, "averageUtilization") != NULL ? "Utilization"
				: json_get(target, "averageValue") != NULL     ? "AverageValue"
									       : "Value");
}

/* One metric from one version to the other. */
static const struct json *metric(struct arena *arena, const struct move *moves, const struct json *from, bool to_new)
{
	const struct json *out = JSON_OBJECT_OF(arena, { "type", json_get(from, "type") });

	for (const struct move *m = moves; m->source != NULL; m++) {
		const struct json *source = json_get(from, m->source), *value;
		if (!json_is(source, JSON_OBJECT))
			continue;
		value = to_new ? json_get(source, m->old) : json_path(source, m->new);
		if (value == NULL && m->always && !to_new)
			value = json_text(arena, "0");
		if (value != NULL)
			out = json_with_path(arena, out, arena_printf(arena, "%s.%s", m->source, to_new ? m->new : m->old), value);
	}
	JSON_EACH (out, it) {
		const struct json *target = json_get(it.value, "target");
		if (to_new && moves == spec_moves && json_is(target, JSON_OBJECT))
			return json_with_path(arena, out, arena_printf(arena, "%.*s.target.type", STR_ARG(it.key)),
					      target_kind(arena, target));
	}
	return out;
}

static bool is_processor(const struct json *item, const char *place)
{
	const struct json *resource = json_get(item, "resource");

	return str_is(json_get_str(item, "type"), "Resource") && str_is(json_get_str(resource, "name"), "cpu") &&
	       json_get(json_get(resource, place), "averageUtilization") != NULL;
}

/* Version 1 wrote Go's own names of the behaviour's fields. */
static const struct json *rules_old(struct arena *arena, const struct json *rules)
{
	struct json_builder policies = { .arena = arena };

	if (!json_is(rules, JSON_OBJECT))
		return &json_null;
	JSON_EACH (json_get(rules, "policies"), it)
		json_builder_item(&policies, JSON_OBJECT_OF(arena, { "Type", json_get(it.value, "type") },
							    { "Value", json_get(it.value, "value") },
							    { "PeriodSeconds", json_get(it.value, "periodSeconds") }));
	const struct json *window = json_get(rules, "stabilizationWindowSeconds"), *select = json_get(rules, "selectPolicy");
	const struct json *tolerance = json_get(rules, "tolerance");
	return JSON_OBJECT_OF(arena, { "StabilizationWindowSeconds", window != NULL ? window : &json_null },
			      { "SelectPolicy", select != NULL ? select : &json_null },
			      { "Policies", policies.len == 0 ? &json_null : json_builder_array(&policies) },
			      { "Tolerance", tolerance != NULL ? tolerance : &json_null });
}

static const struct json *lower_keys(struct arena *arena, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (value, it) {
		const struct json *child = lower_keys(arena, it.value);
		char *key = arena_copy(arena, it.key.ptr, it.key.len);
		if (value->type == JSON_ARRAY) {
			json_builder_item(&b, child);
			continue;
		}
		if (it.key.len != 0 && key[0] >= 'A' && key[0] <= 'Z')
			key[0] = (char)(key[0] + ('a' - 'A'));
		json_builder_member(&b, (struct str){ key, it.key.len }, child);
	}
	return value->type == JSON_ARRAY ? json_builder_array(&b) : value->type == JSON_OBJECT ? json_builder_object(&b) : value;
}

static const struct json *annotate(struct arena *arena, const struct json *annotations, const char *key, const struct json *value)
{
	return value == NULL ? annotations : json_with(arena, annotations, key, json_string(arena, json_format(arena, value)));
}

static const struct json *annotated(struct arena *arena, const struct json *annotations, const char *key)
{
	struct str text = json_get_str(annotations, key);
	const struct json *value = NULL;

	if (text.len == 0)
		return NULL;
	AUTO_ERROR err = json_read(arena, text, NULL, &value);
	return err == NULL ? value : NULL;
}

/* Anybody may write these annotations: what does not fit the type is as if it were not there. */
static const struct json *sound(struct arena *arena, const char *type, const struct json *value)
{
	if (!json_is(value, JSON_OBJECT) || json_len(value) == 0)
		return NULL;
	AUTO_ERROR err =
		api_normalize(arena, type_find_full(STR("io.k8s.api.autoscaling.v2"), str_from(type)), value, NULL, &value);
	return err == NULL ? value : NULL;
}

static const struct json *with_annotations(struct arena *arena, const struct json *tree, const struct json *annotations)
{
	return json_with_path(arena, tree, "metadata.annotations", json_len(annotations) == 0 ? NULL : annotations);
}

static const struct json *without_ours(struct arena *arena, const struct json *annotations)
{
	const char *const keys[] = { metrics_key, statuses_key, conditions_key, behavior_key };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		annotations = json_with(arena, annotations, keys[i], NULL);
	return annotations;
}

static const struct json *list_or_null(struct json_builder *b)
{
	return b->len == 0 ? NULL : json_builder_array(b);
}

static const struct json *to_old(struct arena *arena, const struct json *tree)
{
	struct json_builder others = { .arena = arena }, statuses = { .arena = arena };
	const struct json *annotations = without_ours(arena, json_path(tree, "metadata.annotations"));
	const struct json *behavior = json_path(tree, "spec.behavior"), *conditions = json_path(tree, "status.conditions");
	const struct json *target = NULL, *current = NULL;

	JSON_EACH (json_path(tree, "spec.metrics"), it) {
		if (!is_processor(it.value, "target"))
			json_builder_item(&others, metric(arena, spec_moves, it.value, false));
		else if (target == NULL)
			target = json_path(it.value, "resource.target.averageUtilization");
	}
	JSON_EACH (json_path(tree, "status.currentMetrics"), it) {
		json_builder_item(&statuses, metric(arena, status_moves, it.value, false));
		if (current == NULL && is_processor(it.value, "current"))
			current = json_path(it.value, "resource.current.averageUtilization");
	}
	annotations = annotate(arena, annotations, metrics_key, list_or_null(&others));
	annotations = annotate(arena, annotations, statuses_key, list_or_null(&statuses));
	if (json_is(behavior, JSON_OBJECT))
		annotations = annotate(arena, annotations, behavior_key,
				       JSON_OBJECT_OF(arena, { "ScaleUp", rules_old(arena, json_get(behavior, "scaleUp")) },
						      { "ScaleDown", rules_old(arena, json_get(behavior, "scaleDown")) }));
	annotations = annotate(arena, annotations, conditions_key, json_len(conditions) == 0 ? NULL : conditions);
	tree = with_annotations(arena, tree, annotations);
	if (target != NULL)
		tree = json_with_path(arena, tree, "spec.targetCPUUtilizationPercentage", target);
	return current != NULL ? json_with_path(arena, tree, "status.currentCPUUtilizationPercentage", current) : tree;
}

static const struct json *processor(struct arena *arena, const char *place, const struct json *share)
{
	const struct json *value = JSON_OBJECT_OF(arena,
						  { "type", strcmp(place, "target") == 0 ? json_text(arena, "Utilization") : NULL },
						  { "averageUtilization", share });

	return JSON_OBJECT_OF(arena, { "type", json_text(arena, "Resource") },
			      { "resource", JSON_OBJECT_OF(arena, { "name", json_text(arena, "cpu") }, { place, value }) });
}

static const struct json *to_new(struct arena *arena, const struct json *tree)
{
	struct json_builder metrics = { .arena = arena }, statuses = { .arena = arena };
	struct json_builder conditions = { .arena = arena };
	const struct json *annotations = json_path(tree, "metadata.annotations"), *item;
	const struct json *behavior = annotated(arena, annotations, behavior_key);
	const struct json *target = json_path(tree, "spec.targetCPUUtilizationPercentage");
	const struct json *current = json_path(tree, "status.currentCPUUtilizationPercentage");

	JSON_EACH (annotated(arena, annotations, metrics_key), it)
		if ((item = sound(arena, "MetricSpec", metric(arena, spec_moves, it.value, true))) != NULL)
			json_builder_item(&metrics, item);
	if (json_is(target, JSON_NUMBER))
		json_builder_item(&metrics, processor(arena, "target", target));
	if (metrics.len == 0)
		json_builder_item(&metrics, processor(arena, "target", json_number(arena, 80)));
	/* The annotation knows more than the share. */
	JSON_EACH (annotated(arena, annotations, statuses_key), it)
		if ((item = sound(arena, "MetricStatus", metric(arena, status_moves, it.value, true))) != NULL)
			json_builder_item(&statuses, item);
	JSON_EACH (annotated(arena, annotations, conditions_key), it)
		if ((item = sound(arena, "HorizontalPodAutoscalerCondition", it.value)) != NULL)
			json_builder_item(&conditions, item);
	if (statuses.len == 0 && json_is(current, JSON_NUMBER))
		json_builder_item(&statuses, processor(arena, "current", current));
	tree = json_with_path(arena, tree, "spec.metrics", json_builder_array(&metrics));
	if (statuses.len != 0)
		tree = json_with_path(arena, tree, "status.currentMetrics", json_builder_array(&statuses));
	behavior = behavior == NULL ? NULL : sound(arena, "HorizontalPodAutoscalerBehavior", lower_keys(arena, behavior));
	if (behavior != NULL)
		tree = json_with_path(arena, tree, "spec.behavior", behavior);
	if (conditions.len != 0)
		tree = json_with_path(arena, tree, "status.conditions", json_builder_array(&conditions));
	return with_annotations(arena, tree, without_ours(arena, annotations));
}

const struct json *convert_autoscaler(struct arena *arena, const struct json *tree, bool to_v2)
{
	return to_v2 ? to_new(arena, tree) : to_old(arena, tree);
}
