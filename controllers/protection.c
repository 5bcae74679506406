/*
 * Storage objects that somebody uses do not go: the API server gave them a finalizer when they were made, which is taken away
 * here when they are deleted and nobody uses them any more. One row each. Source: k8s.io/kubernetes/pkg/controller/volume/
 * {pvcprotection,pvprotection,vacprotection}.
 */
#include <stdlib.h>

#include "controllers/private.h"

#define LOOK_AGAIN NS_PER_S /* while it is in use and shall go */

enum { CLAIMS, VOLUMES, CLASSES, N_ROWS };

struct protection;

struct guard {
	struct protection *all;
	const struct row *row;
	struct workqueue *queue;
	struct informer *objects;
};

struct protection {
	struct guard guards[N_ROWS];
	struct informer *pods;
	int pods_by_namespace;
};

static bool claim_is_used(struct protection *self, struct object *claim)
{
	struct object_list pods = informer_lookup(self->pods, self->pods_by_namespace, object_namespace(claim));

	for (size_t i = 0; i < pods.len; i++) {
		const struct json *pod = object_tree(pods.ptr[i]);

		JSON_EACH (json_path(pod, "spec.volumes"), it)
			if (!pod_is_over(pod) &&
			    str_eq(json_path_str(it.value, "persistentVolumeClaim.claimName"), object_name(claim)))
				return true;
	}
	return false;
}

static bool volume_is_used(struct protection *self, struct object *volume)
{
	(void)self;
	return str_is(json_path_str(object_tree(volume), "status.phase"), "Bound");
}

static bool class_is_used(struct protection *self, struct object *class)
{
	for (int i = CLAIMS; i <= VOLUMES; i++)
		INFORMER_EACH (self->guards[i].objects, object)
			if (str_eq(json_path_str(object_tree(object), "spec.volumeAttributesClassName"), object_name(class)) ||
			    str_eq(json_path_str(object_tree(object), "status.currentVolumeAttributesClassName"),
				   object_name(class)))
				return true;
	return false;
}

static const struct row {
	const char *version, *kind, *finalizer;
	bool (*is_used)(struct protection *self, struct object *object);
} rows[N_ROWS] = {
	[CLAIMS] = { "v1", "PersistentVolumeClaim", "kubernetes.io/pvc-protection", claim_is_used },
	[VOLUMES] = { "v1", "PersistentVolume", "kubernetes.io/pv-protection", volume_is_used },
	[CLASSES] = { "storage.k8s.io/v1", "VolumeAttributesClass", "kubernetes.io/vac-protection", class_is_used },
};

static bool all_synced(const struct protection *self)
{
	for (int i = 0; i < N_ROWS; i++)
		if (!informer_synced(self->guards[i].objects))
			return false;
	return informer_synced(self->pods);
}

static struct error *sync_guard(void *arg, struct work *work)
{
	struct guard *guard = arg;
	struct object *object = informer_find_key(guard->objects, work->key);
	struct json_builder left = { .arena = work->arena };
	const struct json *tree = object != NULL ? object_tree(object) : NULL;
	bool guarded = false;

	if (tree == NULL || !is_deleting(tree))
		return NULL;
	JSON_EACH (json_path(tree, "metadata.finalizers"), it) {
		bool ours = str_is(json_str(it.value), guard->row->finalizer);

		guarded = guarded || ours;
		if (!ours)
			json_builder_item(&left, it.value);
	}
	if (!guarded)
		return NULL;
	if (!all_synced(guard->all) || guard->row->is_used(guard->all, object)) {
		work_again(work, LOOK_AGAIN);
		return NULL;
	}
	object_keep(work->arena, object);
	work_call(work, &(struct api_call){ .verb = VERB_UPDATE,
					    .kind = object_kind(object),
					    .ns = object_namespace(object),
					    .name = object_name(object),
					    .body = json_with_path(work->arena, tree, "metadata.finalizers",
								   left.len != 0 ? json_builder_array(&left) : NULL) });
	return NULL;
}

static void *start(const struct controllers_options *options, struct client *client)
{
	struct protection *self = xcalloc(1, sizeof(*self));
	struct informer_events changes = queue_changes();

	(void)options;
	self->pods = client_informer(client, pod_kind());
	self->pods_by_namespace = informer_add_index(self->pods, index_by_namespace);
	for (int i = 0; i < N_ROWS; i++) {
		struct guard *guard = &self->guards[i];

		guard->all = self;
		guard->row = &rows[i];
		guard->queue = workqueue_new(&(struct workqueue_options){
			.client = client, .name = "protection-controller", .reconcile = sync_guard, .arg = guard });
		guard->objects = client_informer(client, kind_must(rows[i].version, rows[i].kind));
		informer_listen(guard->objects, &changes, guard->queue);
	}
	return self;
}

static void stop(void *arg)
{
	struct protection *self = arg;

	for (int i = 0; i < N_ROWS; i++) {
		informer_unlisten(self->guards[i].objects, self->guards[i].queue);
		workqueue_free(self->guards[i].queue);
	}
	free(self);
}

const struct controller protection_controller = { "protection-controller", start, stop };
