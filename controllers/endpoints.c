/*
 * EndpointSlices and Endpoints of Services with a selector: which pods stand behind a Service. One reading of a Service,
 * two ways to write it down. Sources: k8s.io/endpointslice, k8s.io/kubernetes/pkg/controller/endpoint.
 */
#include <stdio.h>
#include <stdlib.h>

#include "controllers/private.h"

#define MANAGER "endpointslice-controller.k8s.io"
#define TRIGGER "endpoints.kubernetes.io/last-change-trigger-time"

struct endpoints {
	struct client *client;
	struct workqueue *queue;
	struct informer *services, *pods, *things; /* EndpointSlices or Endpoints */
	int pods_by_namespace, things_by_service;
};

/* --- what a Service asks for: pure --- */

/* The number of a target port in a pod; 0 when the pod has no port of that name. */
static int64_t target_port(const struct json *pod, const struct json *port)
{
	const struct json *target = json_get(port, "targetPort");

	if (!json_is(target, JSON_STRING))
		return json_int(target, json_int(json_get(port, "port"), 0));
	JSON_EACH (json_path(pod, "spec.containers"), container)
		JSON_EACH (json_get(container.value, "ports"), it)
			if (json_equal(json_get(it.value, "name"), target) &&
			    json_equal(json_get(it.value, "protocol"), json_get(port, "protocol")))
				return json_int(json_get(it.value, "containerPort"), 0);
	return 0;
}

/* Endpoint ports of a pod; pods whose named ports differ go into slices of their own. */
static const struct json *ports_of(struct arena *arena, const struct json *service, const struct json *pod, bool slice)
{
	struct json_builder ports = { .arena = arena };

	JSON_EACH (json_path(service, "spec.ports"), it) {
		int64_t number = target_port(pod, it.value);
		const struct json *name = json_get(it.value, "name");

		if (number == 0)
			continue;
		if (slice && name == NULL)
			name = &json_empty_string;
		json_builder_item(&ports,
				  slice ? JSON_OBJECT_OF(arena, { "name", name }, { "protocol", json_get(it.value, "protocol") },
							 { "port", json_number(arena, number) },
							 { "appProtocol", json_get(it.value, "appProtocol") })
					: JSON_OBJECT_OF(arena, { "name", name }, { "port", json_number(arena, number) },
							 { "protocol", json_get(it.value, "protocol") },
							 { "appProtocol", json_get(it.value, "appProtocol") }));
	}
	return json_builder_array(&ports);
}

static bool belongs(const struct json *pod)
{
	return json_path_str(pod, "status.podIP").len != 0 && !pod_is_over(pod);
}

static struct str address_of(const struct json *pod, const char *family)
{
	bool v6 = strcmp(family, "IPv6") == 0;

	JSON_EACH (json_path(pod, "status.podIPs"), it) {
		struct str ip = json_get_str(it.value, "ip");

		if ((str_find(ip, ':') >= 0) == v6)
			return ip;
	}
	return STR("");
}

static const struct json *target_of(struct arena *arena, const struct json *pod)
{
	return JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Pod") }, { "namespace", json_path(pod, "metadata.namespace") },
			      { "name", json_path(pod, "metadata.name") }, { "uid", json_path(pod, "metadata.uid") });
}

/* The pod's host name is told when it is named under this Service. */
static const struct json *hostname_of(const struct json *pod, const struct json *service)
{
	if (json_path(pod, "spec.hostname") != NULL &&
	    json_equal(json_path(pod, "spec.subdomain"), json_path(service, "metadata.name")))
		return json_path(pod, "spec.hostname");
	return NULL;
}

static const struct json *endpoint_of(struct arena *arena, const struct json *service, const struct json *pod, struct str ip)
{
	bool serving = pod_is_ready(pod), going = is_deleting(pod);
	bool ready = (serving && !going) || json_bool(json_path(service, "spec.publishNotReadyAddresses"));

	return JSON_OBJECT_OF(arena, { "addresses", JSON_ARRAY_OF(arena, json_string(arena, ip)) },
			      { "conditions",
				JSON_OBJECT_OF(arena, { "ready", json_boolean(ready) }, { "serving", json_boolean(serving) },
					       { "terminating", json_boolean(going) }) },
			      { "hostname", hostname_of(pod, service) }, { "targetRef", target_of(arena, pod) },
			      { "nodeName", json_path(pod, "spec.nodeName") });
}

/* --- slices --- */

static const struct json *slice_labels(struct arena *arena, const struct json *service)
{
	struct json_builder labels = { .arena = arena };

	JSON_EACH (labels_of(service), it)
		if (!str_is(it.key, SLICE_SERVICE) && !str_is(it.key, SLICE_MANAGER) &&
		    !str_is(it.key, "service.kubernetes.io/headless"))
			json_builder_member(&labels, it.key, it.value);
	json_builder_member(&labels, STR(SLICE_MANAGER), json_text(arena, MANAGER));
	json_builder_member(&labels, STR(SLICE_SERVICE), json_path(service, "metadata.name"));
	if (str_is(json_path_str(service, "spec.clusterIP"), "None"))
		json_builder_member(&labels, STR("service.kubernetes.io/headless"), &json_empty_string);
	json_builder_sort(&labels);
	return json_builder_object(&labels);
}

static void sync_family(struct endpoints *self, struct work *work, struct object *service, const struct selector *selector,
			const char *family)
{
	const struct json *tree = object_tree(service);
	struct object_list pods = informer_lookup(self->pods, self->pods_by_namespace, object_namespace(service));
	struct object_list slices = informer_lookup(self->things, self->things_by_service, work->key);
	struct slices wanted = {
		.work = work,
		.owner = service,
		.manager = MANAGER,
		.labels = slice_labels(work->arena, tree),
		.annotations = JSON_OBJECT_OF(work->arena, { TRIGGER, time_json(work->arena, clock_now()) }),
		.most = 100,
	};

	for (size_t i = 0; i < pods.len; i++) {
		const struct json *pod = object_tree(pods.ptr[i]);
		struct str ip = address_of(pod, family);

		if (!selector_matches(selector, labels_of(pod)) || !belongs(pod) || ip.len == 0)
			continue;
		slices_add(&wanted, ports_of(work->arena, tree, pod, true), endpoint_of(work->arena, tree, pod, ip));
	}
	if (wanted.n == 0)
		slices_add(&wanted, &json_empty_array, NULL); /* a Service without pods has one empty slice */
	slices_write(&wanted, family, slices);
}

static bool wait_for_informers(struct endpoints *self, struct work *work)
{
	if (informer_synced(self->pods) && informer_synced(self->things))
		return false;
	work_again(work, 10 * NS_PER_MS);
	return true;
}

static const struct json *selector_map(struct object *service)
{
	return service != NULL ? json_path(object_tree(service), "spec.selector") : NULL;
}

static struct error *sync_slices(void *arg, struct work *work)
{
	struct endpoints *self = arg;
	struct object *service = informer_find_key(self->services, work->key);
	struct selector selector;
	struct error *err;

	if (wait_for_informers(self, work))
		return NULL;
	if (service == NULL) {
		slices_drop(work, MANAGER, informer_lookup(self->things, self->things_by_service, work->key));
		return NULL;
	}
	if (json_len(selector_map(service)) == 0 || str_is(json_path_str(object_tree(service), "spec.type"), "ExternalName") ||
	    is_deleting(object_tree(service)))
		return NULL;
	object_keep(work->arena, service);
	err = selector_from_object(work->arena, JSON_OBJECT_OF(work->arena, { "matchLabels", selector_map(service) }), &selector);
	if (err != NULL)
		return err;
	JSON_EACH (json_path(object_tree(service), "spec.ipFamilies"), it)
		sync_family(self, work, service, &selector, str_is(json_str(it.value), "IPv6") ? "IPv6" : "IPv4");
	return NULL;
}

/* --- Endpoints --- */

struct subset {
	const struct json *ports;
	struct json_builder ready, not_ready;
};

static const struct json *address(struct arena *arena, const struct json *service, const struct json *pod)
{
	return JSON_OBJECT_OF(arena, { "ip", json_path(pod, "status.podIP") }, { "hostname", hostname_of(pod, service) },
			      { "nodeName", json_path(pod, "spec.nodeName") }, { "targetRef", target_of(arena, pod) });
}

static const struct json *subsets_of(struct endpoints *self, struct work *work, struct object *service,
				     const struct selector *selector)
{
	struct arena *arena = work->arena;
	const struct json *tree = object_tree(service);
	struct object_list pods = informer_lookup(self->pods, self->pods_by_namespace, object_namespace(service));
	struct subset *subsets = ARENA_ARRAY(arena, struct subset, pods.len + 1);
	struct json_builder out = { .arena = arena };
	size_t n = 0, at;

	for (size_t i = 0; i < pods.len; i++) {
		const struct json *pod = object_tree(pods.ptr[i]), *ports;
		bool unready = json_bool(json_path(tree, "spec.publishNotReadyAddresses"));

		if (!selector_matches(selector, labels_of(pod)) || !belongs(pod) || (is_deleting(pod) && !unready))
			continue;
		ports = ports_of(arena, tree, pod, false);
		for (at = 0; at < n && !json_equal(subsets[at].ports, ports); at++)
			;
		if (at == n)
			subsets[n++] = (struct subset){ ports, { .arena = arena }, { .arena = arena } };
		json_builder_item(pod_is_ready(pod) || unready ? &subsets[at].ready : &subsets[at].not_ready,
				  address(arena, tree, pod));
	}
	for (at = 0; at < n; at++)
		json_builder_item(
			&out,
			JSON_OBJECT_OF(arena,
				       { "addresses", subsets[at].ready.len != 0 ? json_builder_array(&subsets[at].ready) : NULL },
				       { "notReadyAddresses",
					 subsets[at].not_ready.len != 0 ? json_builder_array(&subsets[at].not_ready) : NULL },
				       { "ports", json_len(subsets[at].ports) != 0 ? subsets[at].ports : NULL }));
	return out.len != 0 ? json_builder_array(&out) : NULL;
}

static const struct json *endpoints_labels(struct arena *arena, const struct json *service)
{
	struct json_builder labels = { .arena = arena };

	JSON_EACH (labels_of(service), it)
		json_builder_member(&labels, it.key, it.value);
	json_builder_member(&labels, STR("endpoints.kubernetes.io/managed-by"), json_text(arena, "endpoint-controller"));
	if (str_is(json_path_str(service, "spec.clusterIP"), "None"))
		json_builder_member(&labels, STR("service.kubernetes.io/headless"), &json_empty_string);
	json_builder_sort(&labels);
	return json_builder_object(&labels);
}

static struct error *sync_endpoints(void *arg, struct work *work)
{
	struct endpoints *self = arg;
	struct object *service = informer_find_key(self->services, work->key), *existing;
	const struct json *subsets, *body, *labels, *trigger;
	struct arena *arena = work->arena;
	struct selector selector;
	struct error *err;

	if (wait_for_informers(self, work))
		return NULL;
	existing = informer_find_key(self->things, work->key);
	if (service == NULL) {
		if (existing != NULL)
			work_call(work, &(struct api_call){ .verb = VERB_DELETE,
							    .kind = kind_must("v1", "Endpoints"),
							    .ns = object_namespace(existing),
							    .name = object_name(existing) });
		return NULL;
	}
	if (json_len(selector_map(service)) == 0 || str_is(json_path_str(object_tree(service), "spec.type"), "ExternalName"))
		return NULL;
	err = selector_from_object(arena, JSON_OBJECT_OF(arena, { "matchLabels", selector_map(service) }), &selector);
	if (err != NULL)
		return err;
	subsets = subsets_of(self, work, service, &selector);
	labels = endpoints_labels(arena, object_tree(service));
	trigger = JSON_OBJECT_OF(arena, { TRIGGER, time_json(arena, clock_now()) });
	if (existing != NULL && json_equal(json_get(object_tree(existing), "subsets"), subsets) &&
	    json_equal(labels_of(object_tree(existing)), labels))
		return NULL;
	if (existing != NULL) {
		body = json_with(arena, object_tree(existing), "subsets", subsets);
		body = json_with_path(arena, body, "metadata.labels", labels);
		body = json_with_path(arena, body, "metadata.annotations", trigger);
	} else {
		body = JSON_OBJECT_OF(arena,
				      { "metadata", JSON_OBJECT_OF(arena, { "name", json_string(arena, object_name(service)) },
								   { "namespace", json_string(arena, object_namespace(service)) },
								   { "labels", labels }, { "annotations", trigger }) },
				      { "subsets", subsets });
	}
	work_call(work, &(struct api_call){ .verb = existing != NULL ? VERB_UPDATE : VERB_CREATE,
					    .kind = kind_must("v1", "Endpoints"),
					    .ns = object_namespace(service),
					    .name = existing != NULL ? object_name(service) : STR(""),
					    .body = body });
	return NULL;
}

/* --- what wakes a Service --- */

static void wake_services(struct endpoints *self, struct object *pod, uint64_t revision)
{
	const struct json *labels = labels_of(object_tree(pod));
	struct arena *arena;

	if (pod == NULL || json_len(labels) == 0)
		return;
	arena = arena_new();
	INFORMER_EACH (self->services, service) {
		const struct json *selector = selector_map(service);
		bool all = json_len(selector) != 0 && str_eq(object_namespace(service), object_namespace(pod));

		JSON_EACH (selector, it)
			all = all && json_equal(json_find(labels, it.key), it.value);
		if (all)
			workqueue_add(self->queue, object_path(arena, service), revision);
	}
	arena_free(arena);
}

/* Only what endpoints show is worth a look. */
static bool shows_same(const struct json *a, const struct json *b)
{
	return json_equal(labels_of(a), labels_of(b)) && pod_is_ready(a) == pod_is_ready(b) && is_deleting(a) == is_deleting(b) &&
	       json_equal(json_path(a, "status.podIPs"), json_path(b, "status.podIPs")) && pod_is_over(a) == pod_is_over(b);
}

static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	if (old != NULL && now != NULL && shows_same(object_tree(old), object_tree(now)))
		return;
	if (old != NULL)
		wake_services(arg, old, revision);
	if (now != NULL)
		wake_services(arg, now, revision);
}

static void wake_by_slice(void *to, struct str key)
{
	workqueue_add(to, key, 0);
}

/* Someone else changed or deleted a slice of ours. */
static void slice_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct endpoints *self = arg;
	struct object *slice = now != NULL ? now : old;

	(void)revision;
	if (slice_is_of(slice, MANAGER))
		slice_index_by_service(slice, wake_by_slice, self->queue);
}

static struct endpoints *start(struct client *client, const char *version, const char *kind, const char *name,
			       struct error *(*reconcile)(void *arg, struct work *work))
{
	static const struct informer_events pod_events = { .changed = pod_changed };
	struct endpoints *self = xcalloc(1, sizeof(*self));
	struct informer_events changes = queue_changes();

	self->client = client;
	self->queue =
		workqueue_new(&(struct workqueue_options){ .client = client, .name = name, .reconcile = reconcile, .arg = self });
	self->services = client_informer(client, kind_must("v1", "Service"));
	self->pods = client_informer(client, pod_kind());
	self->things = client_informer(client, kind_must(version, kind));
	self->pods_by_namespace = informer_add_index(self->pods, index_by_namespace);
	informer_listen(self->services, &changes, self->queue);
	informer_listen(self->pods, &pod_events, self);
	return self;
}

static void *start_slices(const struct controllers_options *options, struct client *client)
{
	static const struct informer_events slice_events = { .changed = slice_changed };
	struct endpoints *self = start(client, "discovery.k8s.io/v1", "EndpointSlice", "endpointslice-controller", sync_slices);

	(void)options;
	self->things_by_service = informer_add_index(self->things, slice_index_by_service);
	informer_listen(self->things, &slice_events, self);
	return self;
}

static void *start_endpoints(const struct controllers_options *options, struct client *client)
{
	(void)options;
	return start(client, "v1", "Endpoints", "endpoint-controller", sync_endpoints);
}

static void stop(void *arg)
{
	struct endpoints *self = arg;

	informer_unlisten(self->services, self->queue);
	informer_unlisten(self->pods, self);
	informer_unlisten(self->things, self);
	workqueue_free(self->queue);
	free(self);
}

const struct controller endpointslice_controller = { "endpointslice-controller", start_slices, stop };
const struct controller endpoints_controller = { "endpoint-controller", start_endpoints, stop };
