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
	bool given, orphan = http_param_bool(req->http, "orphanDependents", &given);
	int64_t seconds;

	return JSON_OBJECT_OF(arena, { "gracePeriodSeconds", str_to_i64(grace, &seconds) ? json_number(arena, seconds) : NULL },
			      { "propagationPolicy", propagation.len != 0 ? json_string_copy(arena, propagation) : NULL },
			      { "orphanDependents", given ? json_boolean(orphan) : NULL }, { "dryRun", req->query.dry_runs });
}

static struct error *check_delete_options(struct request *req)
{
	static const char *const policies[] = { "Foreground", "Background", "Orphan", "nil" };
	struct api_findings findings = { .arena = req->arena };
	const struct json *policy = json_get(req->input, "propagationPolicy");
	bool known = false;

	for (int i = 0; i < 3; i++)
		known = known || str_is(json_str(policy), policies[i]);
	if (policy != NULL && json_get(req->input, "orphanDependents") != NULL)
		finding_invalid(&findings, "propagationPolicy", policy,
				"orphanDependents and deletionPropagation cannot be both set");
	if (policy != NULL && !known)
		finding_unsupported(&findings, "propagationPolicy", json_str(policy), policies, 4);
	options_check_dry_run(&findings, json_get(req->input, "dryRun"));
	return options_error(&findings, "DeleteOptions");
}

/* What becomes of dependents when a client says nothing; components always mean that they go. */
static void leave_orphans(struct request *req)
{
	if (req->http == NULL || !prepare_of(req->route.kind)->orphans || json_get(req->input, "propagationPolicy") != NULL ||
	    json_get(req->input, "orphanDependents") != NULL)
		return;
	if (str_is(req->route.resource, "jobs"))
		warn(req,
		     STR("child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
			 "them or set propagationPolicy=Orphan to suppress this warning"));
	req->orphans = true;
}

static enum task_result step_options(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct type *type = type_find_named(STR(""), STR("v1"), STR("DeleteOptions"));
	struct api_body body = { .type = type, .text = req->body, .bare = true };
	struct error *err = NULL;
	int64_t seconds = 0;

	req->admitting = VERB(DELETE);
	if (req->http == NULL) {
		req->input = req->call.body;
	} else if (req->body.len == 0) {
		req->input = options_of_query(req);
	} else {
		err = media_of_body(req, NULL);
		body.media = req->body_media;
		if (err == NULL)
			err = api_decode(req->arena, &body, NULL, &req->input);
	}
	if (err == NULL && req->http != NULL && req->body.len == 0)
		err = query_int(req, "gracePeriodSeconds", &seconds);
	if (err != NULL)
		return task_fail(task, err);
	req->query.dry_run = json_len(json_get(req->input, "dryRun")) != 0;
	err = check_delete_options(req);
	if (err != NULL)
		return task_fail(task, err);
	leave_orphans(req);
	return TASK_NEXT;
}

static struct error *precondition(struct request *req, const char *what, struct str wanted, struct str has, const char *why)
{
	const struct kind *stored = kind_stored_as(req->route.kind);
	struct str kind = kind_text(req->arena, stored);
	struct error *err;

	/* Namespaces have a store of their own upstream, with words of its own. */
	if (str_is(req->route.resource, "namespaces"))
		return error_new(ERR_CONFLICT,
				 "Operation cannot be fulfilled on namespaces \"%.*s\": Precondition failed: %s in precondition: "
				 "%.*s, %s in object meta: %.*s",
				 STR_ARG(req->route.name), what, STR_ARG(wanted), what, STR_ARG(has));
	err = error_new(ERR_CONFLICT,
			"Operation cannot be fulfilled on %.*s \"%.*s\": the %s in the precondition (%.*s) does not "
			"match the %s in record (%.*s). The object might have been %s",
			STR_ARG(kind), STR_ARG(req->route.name), what, STR_ARG(wanted), what, STR_ARG(has), why);

	return error_about(err, kind_group(stored), kind_name(stored), req->route.name);
}

struct error *check_preconditions(struct request *req)
{
	const struct json *wanted = json_get(req->input, "preconditions"), *uid = json_get(wanted, "uid");
	const struct json *version = json_get(wanted, "resourceVersion");
	struct str has = meta_str(req->old_tree, "uid");
	struct str is = str_format(req->arena, "%llu", (unsigned long long)req->old->revision);

	if (uid != NULL && !str_eq(json_str(uid), has))
		return precondition(req, "UID", json_str(uid), has, "deleted and then recreated");
	if (version != NULL && !str_eq(json_str(version), is))
		return precondition(req, "ResourceVersion", json_str(version), is, "modified");
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

static bool asks_itself(const struct json *finalizers)
{
	JSON_EACH (finalizers, it)
		if (str_is(json_str(it.value), "orphan") || str_is(json_str(it.value), "foregroundDeletion"))
			return true;
	return false;
}

static const struct json *finalizers_for(struct request *req)
{
	const struct json *old = json_path(req->old_tree, "metadata.finalizers"), *list = old;
	struct str policy = json_get_str(req->input, "propagationPolicy");
	const struct json *orphan = json_get(req->input, "orphanDependents");
	const char *own = prepare_of(req->route.kind)->finalizer;

	if (own != NULL && json_path(req->old_tree, "metadata.deletionTimestamp") == NULL)
		list = json_append(req->arena, without_item(req->arena, list, own), json_text(req->arena, own));
	if (str_is(req->route.resource, "events"))
		return list; /* nothing depends on them */
	if (policy.len == 0 && orphan == NULL && !(req->orphans && !asks_itself(list)))
		return list; /* what the object itself asks for stays */
	list = without_item(req->arena, list, "orphan");
	list = without_item(req->arena, list, "foregroundDeletion");
	if (str_is(policy, "Orphan") || json_bool(orphan) || req->orphans)
		list = json_append(req->arena, list, json_text(req->arena, "orphan"));
	else if (str_is(policy, "Foreground"))
		list = json_append(req->arena, list, json_text(req->arena, "foregroundDeletion"));
	return list;
}

static int64_t grace_of(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);
	int64_t asked = json_int(json_get(req->input, "gracePeriodSeconds"), -1);

	if (json_get(req->input, "gracePeriodSeconds") != NULL && asked < 0)
		asked = 1; /* upstream's answer to a negative grace */
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

static struct object *moved(struct request *req, const struct json *tree)
{
	struct arena *arena = arena_new();

	return object_owned(req->arena, object_new(req->route.kind, arena, json_copy(arena, tree), object_revision(req->object)));
}

static enum task_result step_answer(struct task *task, void *arg)
{
	struct request *req = arg;
	struct arena *arena = req->arena;

	(void)task;
	/* What can end gracefully is shown as it ended, also when it went at once. */
	if (req->tree == NULL && prepare_of(req->route.kind)->grace != NULL)
		req->object = moved(req, marked(req, 0, json_path(req->old_tree, "metadata.finalizers")));
	if (req->tree != NULL || prepare_of(req->route.kind)->answers_object)
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
		const struct json *body = req->input;

		if (req->orphans && !asks_itself(json_path(object_tree(object), "metadata.finalizers")))
			body = json_with(req->arena, body, "propagationPolicy", json_text(req->arena, "Orphan"));

		task_hold(task);
		transport->call(transport->arg, &(struct api_call){
							.verb = VERB_DELETE,
							.kind = req->route.kind,
							.ns = object_namespace(object),
							.name = object_name(object),
							.body = body,
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
