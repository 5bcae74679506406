/* DELETE of one object, gracefully or at once, and of a collection. */
#include "apiserver/verbs/verbs.h"

static task_fn step_options, step_mark, step_remove, step_answer, step_select, step_delete_each, step_list_deleted;

const struct task_step delete_steps[] = {
	{ "read body", step_read_body, NULL }, { "options", step_options, NULL }, { "read old", step_read_old, NULL },
	{ "mutate", step_mutate, NULL },       { "judge", step_judge, NULL },     { "mark", step_mark, NULL },
	{ "remove", step_remove, NULL },       { "answer", step_answer, NULL },   { NULL, NULL, NULL },
};

const struct task_step delete_collection_steps[] = {
	{ "read body", step_read_body, NULL },     { "options", step_options, NULL },     { "select", step_select, NULL },
	{ "delete each", step_delete_each, NULL }, { "answer", step_list_deleted, NULL }, { NULL, NULL, NULL },
};

/* Options come from the body; without one from the query. req->input holds them. */
static const struct json *options_of_query(struct request *req)
{
	struct arena *arena = req->arena;
	struct str grace = http_param(req->http, "gracePeriodSeconds", NULL);
	struct str propagation = http_param(req->http, "propagationPolicy", NULL);
	struct str orphan = http_param(req->http, "orphanDependents", NULL);
	int64_t seconds;

	return JSON_OBJECT_OF(arena, { "gracePeriodSeconds", str_to_i64(grace, &seconds) ? json_number(arena, seconds) : NULL },
			      { "propagationPolicy", propagation.len != 0 ? json_string_copy(arena, propagation) : NULL },
			      { "orphanDependents", orphan.len != 0 ? json_boolean(str_is(orphan, "true")) : NULL });
}

static enum task_result step_options(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct type *type = type_find_named(STR(""), STR("v1"), STR("DeleteOptions"));
	struct api_body body = { .type = type, .text = req->body };
	struct error *err = NULL;

	req->admitting = VERB(DELETE);
	if (req->http == NULL) {
		req->input = req->call.body;
	} else if (req->body.len == 0) {
		req->input = options_of_query(req);
		return TASK_NEXT;
	} else {
		struct str media = content_type(http_header(&req->http->headers, "content-type"));

		body.media = str_is(media, "application/vnd.kubernetes.protobuf") ? API_PROTOBUF
			     : str_is(media, "application/yaml")                  ? API_YAML
										  : API_JSON;
		err = api_decode(req->arena, &body, NULL, &req->input);
		/* With a body the query's dryRun has no say (docs/traps.md). */
		req->query.dry_run = false;
	}
	if (err != NULL)
		return task_fail(task, err);
	JSON_EACH (json_get(req->input, "dryRun"), it) {
		if (!str_is(json_str(it.value), "All"))
			return task_fail(task, error_new(ERR_INVALID,
							 "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: "
							 "Unsupported value: \"%.*s\": supported values: \"All\"",
							 STR_ARG(json_str(it.value))));
		req->query.dry_run = true;
	}
	return TASK_NEXT;
}

static struct error *check_preconditions(struct request *req)
{
	const struct json *wanted = json_get(req->input, "preconditions");
	struct str uid = json_get_str(wanted, "uid"), version = json_get_str(wanted, "resourceVersion");
	struct str resource = resource_text(req->arena, req->route.kind);
	struct str name = req->route.name, has = meta_str(req->old_tree, "uid");
	struct str is = str_format(req->arena, "%llu", (unsigned long long)req->old->revision);

	if (uid.len != 0 && !str_eq(uid, has))
		return error_new(ERR_CONFLICT,
				 "Operation cannot be fulfilled on %.*s \"%.*s\": Precondition failed: UID in "
				 "precondition: %.*s, UID in object meta: %.*s",
				 STR_ARG(resource), STR_ARG(name), STR_ARG(uid), STR_ARG(has));
	if (version.len != 0 && !str_eq(version, is))
		return error_new(ERR_CONFLICT,
				 "Operation cannot be fulfilled on %.*s \"%.*s\": Precondition failed: "
				 "ResourceVersion in precondition: %.*s, ResourceVersion in object meta: %.*s",
				 STR_ARG(resource), STR_ARG(name), STR_ARG(version), STR_ARG(is));
	return NULL;
}

/* --- finalizers that stand for a propagation policy --- */

static const struct json *without_item(struct arena *arena, const struct json *list, const char *text)
{
	struct json_builder kept = { .arena = arena };

	JSON_EACH (list, it)
		if (!str_is(json_str(it.value), text))
			json_builder_item(&kept, it.value);
	return kept.len != 0 ? json_builder_array(&kept) : NULL;
}

static const struct json *finalizers_for(struct request *req)
{
	const struct json *old = json_path(req->old_tree, "metadata.finalizers"), *list = old;
	struct str policy = json_get_str(req->input, "propagationPolicy");
	const struct json *orphan = json_get(req->input, "orphanDependents");
	const char *own = prepare_of(req->route.kind)->finalizer;

	if (own != NULL && json_path(req->old_tree, "metadata.deletionTimestamp") == NULL)
		list = json_append(req->arena, without_item(req->arena, list, own), json_text(req->arena, own));
	if (policy.len == 0 && orphan == NULL)
		return list; /* what the object itself asks for stays */
	list = without_item(req->arena, list, "orphan");
	list = without_item(req->arena, list, "foregroundDeletion");
	if (str_is(policy, "Orphan") || json_bool(orphan))
		list = json_append(req->arena, list, json_text(req->arena, "orphan"));
	else if (str_is(policy, "Foreground"))
		list = json_append(req->arena, list, json_text(req->arena, "foregroundDeletion"));
	return list;
}

static struct error *check_policy(const struct request *req)
{
	struct str policy = json_get_str(req->input, "propagationPolicy");

	if (policy.len == 0 || str_is(policy, "Orphan") || str_is(policy, "Foreground") || str_is(policy, "Background"))
		return NULL;
	return error_new(ERR_INVALID,
			 "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
			 "\"%.*s\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
			 STR_ARG(policy));
}

static int64_t grace_of(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);
	int64_t asked = json_int(json_get(req->input, "gracePeriodSeconds"), -1);

	return prepare->grace != NULL ? prepare->grace(req, asked) : 0;
}

static const struct json *marked(struct request *req, int64_t grace, const struct json *finalizers)
{
	const struct json *tree = req->old_tree, *deletion = json_path(tree, "metadata.deletionTimestamp");
	const struct prepare *prepare = prepare_of(req->route.kind);
	int64_t generation = json_int(json_path(tree, "metadata.generation"), 0);
	char time[TIME_TEXT];

	tree = with(req, tree, "metadata.finalizers", finalizers);
	tree = with(req, tree, "metadata.deletionTimestamp",
		    json_string_copy(req->arena, time_format(time, clock_now() + grace * NS_PER_S)));
	tree = with(req, tree, "metadata.deletionGracePeriodSeconds", json_number(req->arena, grace));
	if (generation > 0 && deletion == NULL)
		tree = with(req, tree, "metadata.generation", json_number(req->arena, generation + 1));
	return prepare->marked != NULL ? prepare->marked(req, tree) : tree;
}

static enum task_result step_mark(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct json *finalizers;
	int64_t grace, running = json_int(json_path(req->old_tree, "metadata.deletionGracePeriodSeconds"), -1);
	bool deleting = json_path(req->old_tree, "metadata.deletionTimestamp") != NULL;
	struct error *err = check_preconditions(req);

	req->tree = NULL;
	if (err == NULL)
		err = check_policy(req);
	if (err != NULL)
		return task_fail(task, err);
	finalizers = finalizers_for(req);
	grace = grace_of(req);
	if (json_len(finalizers) == 0 && json_len(json_path(req->old_tree, "spec.finalizers")) == 0 && grace == 0)
		return TASK_NEXT; /* to be removed at once */
	req->tree = req->old_tree;
	/* A running deletion can be made shorter, not longer. */
	if (!deleting || (grace < running))
		req->tree = marked(req, grace, finalizers);
	else if (!json_equal(finalizers, json_path(req->old_tree, "metadata.finalizers")))
		req->tree = with(req, req->tree, "metadata.finalizers", finalizers);
	return TASK_NEXT;
}

static enum task_result step_remove(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct prepare *prepare = prepare_of(req->route.kind);
	struct error *err;

	if (req->tree != NULL && json_equal(req->tree, req->old_tree)) {
		req->object = value_served(req->arena, req->route.kind, req->old);
		return TASK_NEXT;
	}
	if (req->tree != NULL)
		return commit_tree(task, req);
	err = prepare->removed != NULL ? prepare->removed(req) : NULL;
	return err != NULL ? task_fail(task, err) : commit_removal(task, req);
}

/* Kinds whose deletion is answered with the object that went; the others get a Status.
 * k8s.io/kubernetes/pkg/registry: ReturnDeletedObject. */
static bool answers_object(const struct kind *kind)
{
	static const char *const kinds[] = {
		"pods",           "podtemplates", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims",
		"resourcequotas", "clusterroles"
	};

	for (size_t i = 0; i < 7; i++)
		if (kind_group(kind).len == 0 && str_is(kind_resource(kind), kinds[i]))
			return true;
	return false;
}

static enum task_result step_answer(struct task *task, void *arg)
{
	struct request *req = arg;
	struct arena *arena = req->arena;

	(void)task;
	if (req->tree != NULL || answers_object(req->route.kind))
		return TASK_DONE;
	req->answer =
		JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Status") }, { "apiVersion", json_text(arena, "v1") },
			       { "metadata", &json_empty_object }, { "status", json_text(arena, "Success") },
			       { "details", JSON_OBJECT_OF(arena, { "name", json_string(arena, meta_str(req->old_tree, "name")) },
							   { "group", kind_group(req->route.kind).len != 0
									      ? json_string(arena, kind_group(req->route.kind))
									      : NULL },
							   { "kind", json_string(arena, kind_resource(req->route.kind)) },
							   { "uid", json_string(arena, meta_str(req->old_tree, "uid")) }) });
	return TASK_DONE;
}

/* --- collections: one deletion each, by the same steps --- */

static enum task_result step_select(struct task *task, void *arg)
{
	struct request *req = arg;
	VEC(struct store_value *) found = { 0 };
	struct store_iter it;
	struct match *match;
	struct error *err = match_parse(req->arena, req->route.kind, req->query.labels, req->query.fields, &match);

	if (err != NULL)
		return task_fail(task, err);
	req->version = store_hold(req->server->options.store);
	for (bool ok = store_seek(&it, req->version, list_prefix(req->arena, req->route.kind, req->route.ns), STR("")); ok;
	     ok = store_next(&it))
		if (match_value(match, it.value))
			vec_push(&found, it.value);
	req->items = ARENA_ARRAY(req->arena, struct store_value *, found.len + 1);
	if (found.len != 0)
		memcpy(req->items, found.ptr, found.len * sizeof(found.ptr[0]));
	req->n_items = found.len;
	vec_fini(&found);
	return TASK_NEXT;
}

static void one_deleted(void *arg, struct api_reply *reply)
{
	struct error *err = reply->err;

	reply->err = NULL;
	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		error_free(err); /* someone was faster */
		err = NULL;
	}
	task_wake(arg, err);
}

static enum task_result step_delete_each(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct api_transport *transport = &req->server->transport;

	if (req->n_items == 0)
		return TASK_NEXT;
	for (size_t i = 0; i < req->n_items; i++) {
		struct object *object = value_object(req->route.kind, req->items[i]);

		task_hold(task);
		transport->call(transport->arg, &(struct api_call){
							.verb = VERB_DELETE,
							.kind = req->route.kind,
							.ns = object_namespace(object),
							.name = object_name(object),
							.body = req->input,
							.actor = req->user.name,
							.cause = req->cause,
							.done = one_deleted,
							.arg = task,
						});
	}
	return TASK_WAIT;
}

static enum task_result step_list_deleted(struct task *task, void *arg)
{
	(void)task;
	(void)arg;
	return TASK_DONE;
}
