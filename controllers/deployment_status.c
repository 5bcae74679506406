/* What a Deployment's status says: numbers of its ReplicaSets, and whether it is available and gets on. */
#include "controllers/deployment.h"

static const struct json *number(struct arena *arena, int64_t n)
{
	return n != 0 ? json_number(arena, n) : NULL;
}

static struct condition available_condition(const struct deployment_view *v)
{
	int64_t surge, unavailable = 0, wanted = deployment_replicas(v->tree);

	if (deployment_is_rolling(v->tree))
		deployment_limits(v->tree, &surge, &unavailable);
	if (deployment_total(v, "availableReplicas") >= wanted - unavailable)
		return (struct condition){ "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.",
					   true };
	return (struct condition){ "Available", "False", "MinimumReplicasUnavailable",
				   "Deployment does not have minimum availability.", true };
}

static bool made_progress(const struct deployment_view *v)
{
	const struct json *status = json_get(v->tree, "status");
	int64_t updated = v->fresh != NULL ? deployment_set_status(object_tree(v->fresh), "replicas") : 0;
	int64_t old_now = deployment_total(v, "replicas") - updated;
	int64_t old_then = json_int(json_get(status, "replicas"), 0) - json_int(json_get(status, "updatedReplicas"), 0);

	return updated > json_int(json_get(status, "updatedReplicas"), 0) || old_now < old_then ||
	       deployment_total(v, "readyReplicas") > json_int(json_get(status, "readyReplicas"), 0) ||
	       deployment_total(v, "availableReplicas") > json_int(json_get(status, "availableReplicas"), 0);
}

/* Seconds of no progress until the deadline; < 0: it has passed. */
static int64_t until_deadline(const struct deployment_view *v, const struct json *condition)
{
	int64_t deadline = json_int(json_path(v->tree, "spec.progressDeadlineSeconds"), 600);

	return deadline * NS_PER_S - age_of(json_get(condition, "lastUpdateTime"));
}

static const struct json *progress_conditions(struct deployment_view *v, const struct json *conditions)
{
	const struct json *now = condition_of(v->tree, "Progressing");
	struct str reason = json_get_str(now, "reason");
	const char *what = v->fresh != NULL ? "ReplicaSet" : "Deployment";
	struct str name = v->fresh != NULL ? object_name(v->fresh) : object_name(v->object);
	struct condition next = { "Progressing", "True", NULL, NULL, true };

	if (json_bool(json_path(v->tree, "spec.paused"))) {
		next = (struct condition){ "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", true };
		return now == NULL || !str_is(reason, "DeploymentPaused") ? conditions_with(v->arena, conditions, &next)
									  : conditions;
	}
	if (deployment_is_complete(v)) {
		if (str_is(reason, "NewReplicaSetAvailable"))
			return conditions;
		next.reason = "NewReplicaSetAvailable";
		next.message = arena_printf(v->arena, "%s \"%.*s\" has successfully progressed.", what, STR_ARG(name));
		return conditions_with(v->arena, conditions, &next);
	}
	if (now == NULL || str_is(reason, "DeploymentPaused") || str_is(reason, "NewReplicaSetAvailable")) {
		next.reason = v->fresh != NULL ? "NewReplicaSetCreated" : "ReplicaSetUpdated";
		next.message = arena_printf(
			v->arena, v->fresh != NULL ? "Created new replica set \"%.*s\"" : "Deployment \"%.*s\" is progressing.",
			STR_ARG(name));
		return conditions_with(v->arena, conditions, &next);
	}
	if (made_progress(v)) {
		next.reason = "ReplicaSetUpdated";
		next.message = arena_printf(v->arena, "%s \"%.*s\" is progressing.", what, STR_ARG(name));
		/* Progress moves lastUpdateTime even when nothing else of the condition changes. */
		return conditions_with(
			v->arena, conditions_with(v->arena, conditions, &(struct condition){ "Progressing", "True", "", "", true }),
			&next);
	}
	if (until_deadline(v, now) >= 0) {
		work_again(v->work, until_deadline(v, now) + NS_PER_S);
		return conditions;
	}
	next.status = "False";
	next.reason = "ProgressDeadlineExceeded";
	next.message = arena_printf(v->arena, "%s \"%.*s\" has timed out progressing.", what, STR_ARG(name));
	return str_is(reason, "ProgressDeadlineExceeded") ? conditions : conditions_with(v->arena, conditions, &next);
}

void deployment_write_status(struct deployment_view *v)
{
	struct arena *arena = v->arena;
	const struct json *conditions = json_path(v->tree, "status.conditions"), *status;
	struct condition available = available_condition(v);
	int64_t replicas = deployment_total(v, "replicas"), up = deployment_total(v, "availableReplicas");

	conditions = conditions_with(arena, conditions, &available);
	conditions = progress_conditions(v, conditions);
	status = JSON_OBJECT_OF(
		arena, { "observedGeneration", json_path(v->tree, "metadata.generation") }, { "replicas", number(arena, replicas) },
		{ "updatedReplicas",
		  number(arena, v->fresh != NULL ? deployment_set_status(object_tree(v->fresh), "replicas") : 0) },
		{ "readyReplicas", number(arena, deployment_total(v, "readyReplicas")) },
		{ "availableReplicas", number(arena, up) },
		{ "unavailableReplicas", number(arena, deployment_total(v, NULL) > up ? deployment_total(v, NULL) - up : 0) },
		{ "terminatingReplicas", json_number(arena, deployment_total(v, "terminatingReplicas")) },
		{ "collisionCount", json_path(v->tree, "status.collisionCount") }, { "conditions", conditions });
	if (json_equal(status, json_get(v->tree, "status")))
		return;
	work_call(v->work, &(struct api_call){ .verb = VERB_UPDATE,
					       .kind = v->self->kind,
					       .ns = object_namespace(v->object),
					       .name = object_name(v->object),
					       .subresource = STR("status"),
					       .body = json_with(arena, v->tree, "status", status) });
}
