/*
 * What must be in every namespace (the default service account, the cluster's CA), and how a namespace goes: first its
 * pods, then everything else, then its finalizer.
 */
#include <stdlib.h>

#include "controllers/private.h"

struct keeper {
	const struct controllers_options *options;
	struct client *client;
	struct workqueue *queue;
	struct informer *namespaces, *things;
	char *ca;
};

static void keeper_stop(void *self)
{
	struct keeper *keeper = self;

	informer_unlisten(keeper->namespaces, keeper->queue);
	informer_unlisten(keeper->namespaces, keeper);
	if (keeper->things != NULL)
		informer_unlisten(keeper->things, keeper);
	workqueue_free(keeper->queue);
	free(keeper->ca);
	free(keeper);
}

/* A thing that changes wakes its namespace, which looks whether it is as it should be. */
static void thing_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct keeper *keeper = arg;

	workqueue_add(keeper->queue, object_namespace(now != NULL ? now : old), revision);
}

static struct keeper *keeper_start(const struct controllers_options *options, struct client *client,
				   struct error *(*reconcile)(void *arg, struct work *work), const char *name, const char *things)
{
	static const struct informer_events events = { .changed = thing_changed };
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));
	struct informer_events changes = queue_changes();

	keeper->client = client;
	keeper->ca = xmemdup(options->ca.ptr, options->ca.len);
	keeper->queue =
		workqueue_new(&(struct workqueue_options){ .client = client, .name = name, .reconcile = reconcile, .arg = keeper });
	keeper->namespaces = client_informer(client, kind_must("v1", "Namespace"));
	if (things != NULL) {
		keeper->things = client_informer(client, kind_must("v1", things));
		informer_listen(keeper->things, &events, keeper);
	}
	informer_listen(keeper->namespaces, &changes, keeper->queue);
	return keeper;
}

static bool is_active(struct object *ns)
{
	return ns != NULL && !is_deleting(object_tree(ns));
}

/* --- service accounts --- */

static struct error *sync_account(void *arg, struct work *work)
{
	struct keeper *keeper = arg;

	if (!informer_synced(keeper->things)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	if (!is_active(informer_find_key(keeper->namespaces, work->key)) ||
	    informer_find(keeper->things, work->key, STR("default")) != NULL)
		return NULL;
	work_call(work, &(struct api_call){
				.verb = VERB_CREATE,
				.kind = kind_must("v1", "ServiceAccount"),
				.ns = work->key,
				.body = JSON_OBJECT_OF(work->arena,
						       { "metadata",
							 JSON_OBJECT_OF(work->arena, { "name", json_text(work->arena, "default") },
									{ "namespace", json_string(work->arena, work->key) }) }),
			});
	return NULL;
}

static void *start_account(const struct controllers_options *options, struct client *client)
{
	return keeper_start(options, client, sync_account, "serviceaccount", "ServiceAccount");
}

const struct controller service_account_controller = { "service-account-controller", start_account, keeper_stop };

/* --- the CA --- */

#define CA_NAME "kube-root-ca.crt"
#define CA_DESCRIPTION                                                                                                             \
	"Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "            \
	"internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "          \
	"clusters."

static struct error *sync_ca(void *arg, struct work *work)
{
	struct keeper *keeper = arg;
	struct object *map;
	const struct json *data, *body;

	if (!informer_synced(keeper->things)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	map = informer_find(keeper->things, work->key, STR(CA_NAME));
	data = JSON_OBJECT_OF(work->arena, { "ca.crt", json_text(work->arena, keeper->ca) });
	if (!is_active(informer_find_key(keeper->namespaces, work->key)) ||
	    (map != NULL && json_equal(json_get(object_tree(map), "data"), data)))
		return NULL;
	if (map != NULL)
		body = json_with(work->arena, object_tree(map), "data", data);
	else
		body = JSON_OBJECT_OF(
			work->arena,
			{ "metadata", JSON_OBJECT_OF(work->arena, { "name", json_text(work->arena, CA_NAME) },
						     { "namespace", json_string(work->arena, work->key) },
						     { "annotations",
						       JSON_OBJECT_OF(work->arena, { "kubernetes.io/description",
										     json_text(work->arena, CA_DESCRIPTION) }) }) },
			{ "data", data });
	work_call(work, &(struct api_call){
				.verb = map != NULL ? VERB_UPDATE : VERB_CREATE,
				.kind = kind_must("v1", "ConfigMap"),
				.ns = work->key,
				.name = map != NULL ? STR(CA_NAME) : STR(""),
				.body = body,
			});
	return NULL;
}

static void *start_ca(const struct controllers_options *options, struct client *client)
{
	return keeper_start(options, client, sync_ca, "root-ca", "ConfigMap");
}

const struct controller root_ca_controller = { "root-ca-cert-publisher", start_ca, keeper_stop };

/* --- the end of a namespace --- */

#define LOOK_AGAIN (100 * NS_PER_MS)

struct emptying {
	struct work *work;
	const struct json *tree; /* the namespace, on the work's arena */
	size_t open;             /* lists and deletions under way */
	size_t remaining;        /* objects that were still there */
};

struct emptying_kind {
	struct emptying *all;
	const struct kind *kind;
};

static bool is_content(const struct kind *kind)
{
	uint32_t needed = VERB(LIST) | VERB(DELETECOLLECTION);

	return kind_namespaced(kind) && (kind_verbs(kind) & needed) == needed && kind_stored_as(kind) == kind;
}

static void emptied(struct emptying *all)
{
	const struct json *spec;

	if (--all->open != 0)
		return;
	if (all->remaining != 0) {
		work_again(all->work, LOOK_AGAIN);
		return;
	}
	spec = json_with(all->work->arena, json_get(all->tree, "spec"), "finalizers", NULL);
	work_call(all->work, &(struct api_call){
				     .verb = VERB_UPDATE,
				     .kind = kind_must("v1", "Namespace"),
				     .name = all->work->key,
				     .subresource = STR("finalize"),
				     .body = json_with(all->work->arena, all->tree, "spec", spec),
			     });
}

static void collection_deleted(void *arg, struct api_reply *reply)
{
	struct emptying_kind *one = arg;

	(void)reply;
	emptied(one->all);
}

static void listed(void *arg, struct api_reply *reply)
{
	struct emptying_kind *one = arg;
	struct emptying *all = one->all;

	if (reply->err == NULL && reply->n_items != 0) {
		all->remaining += reply->n_items;
		all->open++;
		work_call(all->work, &(struct api_call){ .verb = VERB_DELETECOLLECTION,
							 .kind = one->kind,
							 .ns = all->work->key,
							 .done = collection_deleted,
							 .arg = one });
	}
	emptied(all);
}

static struct error *sync_namespace(void *arg, struct work *work)
{
	struct keeper *keeper = arg;
	struct object *ns = informer_find_key(keeper->namespaces, work->key);
	struct emptying *all;

	if (ns == NULL || !is_deleting(object_tree(ns)) || json_len(json_path(object_tree(ns), "spec.finalizers")) == 0)
		return NULL;
	all = ARENA_NEW(work->arena, struct emptying);
	all->work = work;
	all->tree = json_copy(work->arena, object_tree(ns));
	all->open = 1;
	for (size_t i = 0; i < kinds_len(); i++) {
		struct emptying_kind *one;

		if (!is_content(kinds_at(i)))
			continue;
		one = ARENA_NEW(work->arena, struct emptying_kind);
		*one = (struct emptying_kind){ all, kinds_at(i) };
		all->open++;
		work_call(work,
			  &(struct api_call){ .verb = VERB_LIST, .kind = one->kind, .ns = work->key, .done = listed, .arg = one });
	}
	emptied(all);
	return NULL;
}

static void *start_namespace(const struct controllers_options *options, struct client *client)
{
	return keeper_start(options, client, sync_namespace, "namespace", NULL);
}

const struct controller namespace_controller = { "namespace-controller", start_namespace, keeper_stop };
