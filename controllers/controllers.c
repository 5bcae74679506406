#include "controllers/private.h"

#include <stdlib.h>

static const struct controller *const registry[] = {
	&service_account_controller, /* first: pods need the account */
	&root_ca_controller,         &node_ipam_controller,     &deployment_controller, &replicaset_controller,
	&replication_controller,     &endpointslice_controller, &endpoints_controller,  &endpointslice_mirroring_controller,
	&load_balancer_controller,   &namespace_controller,     &garbage_controller,    &node_lifecycle_controller,
	&protection_controller,
};
#define N_CONTROLLERS (sizeof(registry) / sizeof(registry[0]))

struct controllers {
	void *running[N_CONTROLLERS];
};

struct controllers *controllers_start(const struct controllers_options *options)
{
	struct controllers *controllers = xcalloc(1, sizeof(*controllers));

	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		char *actor = xasprintf("system:controller:%s", registry[i]->name);

		controllers->running[i] = registry[i]->start(options, client_as(options->client, actor));
		free(actor);
	}
	return controllers;
}

void controllers_stop(struct controllers *controllers)
{
	if (controllers == NULL)
		return;
	for (size_t i = N_CONTROLLERS; i-- > 0;)
		registry[i]->stop(controllers->running[i]);
	free(controllers);
}

const struct kind *pod_kind(void)
{
	return kind_must("v1", "Pod");
}

static void queue_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct arena *arena = arena_new();

	workqueue_add(arg, object_path(arena, now != NULL ? now : old), revision);
	arena_free(arena);
}

struct informer_events queue_changes(void)
{
	return (struct informer_events){ .changed = queue_changed };
}

void queue_owner(struct workqueue *queue, const char *kind, struct object *object, uint64_t cause)
{
	const struct json *owner = object != NULL ? controller_of(object_tree(object)) : NULL;
	struct arena *arena;

	if (owner == NULL || !str_is(json_get_str(owner, "kind"), kind))
		return;
	arena = arena_new();
	workqueue_add(queue,
		      str_format(arena, "%.*s/%.*s", STR_ARG(object_namespace(object)), STR_ARG(json_get_str(owner, "name"))),
		      cause);
	arena_free(arena);
}

const struct json *labels_of(const struct json *tree)
{
	return json_path(tree, "metadata.labels");
}

int64_t age_of(const struct json *time)
{
	int64_t then;

	return time_parse(json_str(time), &then) ? clock_now() - then : -1;
}

bool pod_available(const struct json *pod, int64_t min_ready_seconds, int64_t *wait)
{
	int64_t age;

	if (!pod_is_ready(pod))
		return false;
	age = age_of(json_get(condition_of(pod, "Ready"), "lastTransitionTime"));
	if (age >= min_ready_seconds * NS_PER_S)
		return true;
	if (wait != NULL && (*wait == 0 || min_ready_seconds * NS_PER_S - age < *wait))
		*wait = min_ready_seconds * NS_PER_S - age;
	return false;
}
