/*
 * What must be in every namespace (the default service account, the cluster's CA), and that one which is deleted goes.
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

/* --- the end of a namespace (emptying.c) --- */

static struct error *sync_namespace(void *arg, struct work *work)
{
	struct keeper *keeper = arg;
	struct object *ns = informer_find_key(keeper->namespaces, work->key);

	if (ns != NULL && is_deleting(object_tree(ns)) && json_len(json_path(object_tree(ns), "spec.finalizers")) != 0)
		namespace_empty(work, object_tree(ns));
	return NULL;
}

static void *start_namespace(const struct controllers_options *options, struct client *client)
{
	return keeper_start(options, client, sync_namespace, "namespace", NULL);
}

const struct controller namespace_controller = { "namespace-controller", start_namespace, keeper_stop };
