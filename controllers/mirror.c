/*
 * Endpoints that somebody wrote by hand for a Service without a selector, mirrored into EndpointSlices, which is what proxy and
 * DNS read. Source: k8s.io/kubernetes/pkg/controller/endpointslicemirroring.
 */
#include <stdlib.h>

#include "controllers/private.h"

#define MANAGER      "endpointslicemirroring-controller.k8s.io"
#define SKIP         "endpointslice.kubernetes.io/skip-mirror"
#define LEADER       "control-plane.alpha.kubernetes.io/leader"
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

struct mirror {
	struct workqueue *queue;
	struct informer *services, *endpoints, *slices;
	int slices_by_service;
};

static bool is_mirrored(struct object *service, struct object *endpoints)
{
	const struct json *tree = endpoints != NULL ? object_tree(endpoints) : NULL;

	return service != NULL && tree != NULL && json_path(object_tree(service), "spec.selector") == NULL &&
	       !str_is(json_get_str(labels_of(tree), SKIP), "true") &&
	       json_get(json_path(tree, "metadata.annotations"), LEADER) == NULL;
}

static const struct json *mirrored_labels(struct arena *arena, struct object *endpoints)
{
	struct json_builder labels = { .arena = arena };

	JSON_EACH (labels_of(object_tree(endpoints)), it)
		if (!str_is(it.key, SLICE_SERVICE) && !str_is(it.key, SLICE_MANAGER))
			json_builder_member(&labels, it.key, it.value);
	json_builder_member(&labels, STR(SLICE_MANAGER), json_text(arena, MANAGER));
	json_builder_member(&labels, STR(SLICE_SERVICE), json_string(arena, object_name(endpoints)));
	json_builder_sort(&labels);
	return json_builder_object(&labels);
}

static const struct json *mirrored_annotations(struct arena *arena, struct object *endpoints)
{
	struct json_builder out = { .arena = arena };

	JSON_EACH (json_path(object_tree(endpoints), "metadata.annotations"), it)
		if (!str_is(it.key, LAST_APPLIED))
			json_builder_member(&out, it.key, it.value);
	return out.len != 0 ? json_builder_object(&out) : NULL;
}

static const struct json *mirrored_ports(struct arena *arena, const struct json *subset)
{
	struct json_builder ports = { .arena = arena };

	JSON_EACH (json_get(subset, "ports"), it) {
		const struct json *name = json_get(it.value, "name");

		json_builder_item(&ports, JSON_OBJECT_OF(arena, { "name", name != NULL ? name : &json_empty_string },
							 { "protocol", json_get(it.value, "protocol") },
							 { "port", json_get(it.value, "port") },
							 { "appProtocol", json_get(it.value, "appProtocol") }));
	}
	return json_builder_array(&ports);
}

static const struct json *mirrored_endpoint(struct arena *arena, const struct json *address, bool ready)
{
	return JSON_OBJECT_OF(arena, { "addresses", JSON_ARRAY_OF(arena, json_get(address, "ip")) },
			      { "conditions", JSON_OBJECT_OF(arena, { "ready", json_boolean(ready) }) },
			      { "hostname", json_get(address, "hostname") }, { "targetRef", json_get(address, "targetRef") },
			      { "nodeName", json_get(address, "nodeName") });
}

static void add_addresses(struct slices *wanted, const struct json *subset, const char *field, const char *family)
{
	struct arena *arena = wanted->work->arena;
	bool v6 = strcmp(family, "IPv6") == 0;

	JSON_EACH (json_get(subset, field), it)
		if ((str_find(json_get_str(it.value, "ip"), ':') >= 0) == v6)
			slices_add(wanted, mirrored_ports(arena, subset),
				   mirrored_endpoint(arena, it.value, strcmp(field, "addresses") == 0));
}

static struct error *sync_mirror(void *arg, struct work *work)
{
	static const char *const families[] = { "IPv4", "IPv6" };
	struct mirror *self = arg;
	struct object *endpoints = informer_find_key(self->endpoints, work->key);
	struct object_list there = informer_lookup(self->slices, self->slices_by_service, work->key);

	if (!informer_synced(self->services) || !informer_synced(self->endpoints) || !informer_synced(self->slices)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	if (!is_mirrored(informer_find_key(self->services, work->key), endpoints)) {
		slices_drop(work, MANAGER, there);
		return NULL;
	}
	object_keep(work->arena, endpoints);
	for (int i = 0; i < 2; i++) {
		struct slices wanted = {
			.work = work,
			.owner = endpoints,
			.manager = MANAGER,
			.labels = mirrored_labels(work->arena, endpoints),
			.annotations = mirrored_annotations(work->arena, endpoints),
			.most = 1000,
		};

		JSON_EACH (json_get(object_tree(endpoints), "subsets"), it) {
			add_addresses(&wanted, it.value, "addresses", families[i]);
			add_addresses(&wanted, it.value, "notReadyAddresses", families[i]);
		}
		slices_write(&wanted, families[i], there);
	}
	return NULL;
}

static void wake(void *to, struct str key)
{
	workqueue_add(to, key, 0);
}

/* Somebody else changed or deleted a slice of ours. */
static void slice_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct mirror *self = arg;
	struct object *slice = now != NULL ? now : old;

	(void)revision;
	if (slice_is_of(slice, MANAGER))
		slice_index_by_service(slice, wake, self->queue);
}

static void *start(const struct controllers_options *options, struct client *client)
{
	static const struct informer_events slice_events = { .changed = slice_changed };
	struct mirror *self = xcalloc(1, sizeof(*self));
	struct informer_events changes = queue_changes();

	(void)options;
	self->queue = workqueue_new(&(struct workqueue_options){
		.client = client, .name = "endpointslice-mirroring-controller", .reconcile = sync_mirror, .arg = self });
	self->services = client_informer(client, kind_must("v1", "Service"));
	self->endpoints = client_informer(client, kind_must("v1", "Endpoints"));
	self->slices = client_informer(client, kind_must("discovery.k8s.io/v1", "EndpointSlice"));
	self->slices_by_service = informer_add_index(self->slices, slice_index_by_service);
	informer_listen(self->services, &changes, self->queue);
	informer_listen(self->endpoints, &changes, self->queue);
	informer_listen(self->slices, &slice_events, self);
	return self;
}

static void stop(void *arg)
{
	struct mirror *self = arg;

	informer_unlisten(self->services, self->queue);
	informer_unlisten(self->endpoints, self->queue);
	informer_unlisten(self->slices, self);
	workqueue_free(self->queue);
	free(self);
}

const struct controller endpointslice_mirroring_controller = { "endpointslice-mirroring-controller", start, stop };
