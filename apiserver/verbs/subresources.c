/* Subresources that are no part of the object: scale, binding, eviction, token; and the reviews, which are stored nowhere.
 * One row each. */
#include "api/selector.h"
#include "apiserver/auth/auth.h"
#include "apiserver/verbs/verbs.h"

static task_fn step_aim, step_dispatch, step_evict, step_finish;

const struct task_step subresource_steps[] = {
	{ "read body", step_read_body, NULL }, { "read old", step_read_old, NULL }, { "make", step_dispatch, NULL },
	{ "mutate", step_mutate, NULL },       { "default", step_default, NULL },   { "prepare", step_prepare, NULL },
	{ "judge", step_judge, NULL },         { "encode", step_encode, NULL },     { "commit", step_commit, NULL },
	{ "evict", step_evict, NULL },         { "answer", step_finish, NULL },     { NULL, NULL, NULL },
};

const struct task_step binding_steps[] = {
	{ "read body", step_read_body, NULL }, { "aim", step_aim, NULL },       { "read old", step_read_old, NULL },
	{ "make", step_dispatch, NULL },       { "mutate", step_mutate, NULL }, { "default", step_default, NULL },
	{ "prepare", step_prepare, NULL },     { "judge", step_judge, NULL },   { "encode", step_encode, NULL },
	{ "commit", step_commit, NULL },       { "answer", step_finish, NULL }, { NULL, NULL, NULL },
};

/* The body as that type, in normal form. */
static struct error *read_as(struct request *req, const struct type *type, const struct json **out)
{
	struct api_body body = { .type = type, .text = req->body };
	struct error *err;

	if (req->http == NULL)
		return api_normalize(req->arena, type, req->call.body, NULL, out);
	err = media_of_body(req, NULL);
	body.media = req->body_media;
	if (err == NULL)
		err = options_check(req);
	if (err == NULL)
		err = api_decode(req->arena, &body, &req->notes, out);
	if (err == NULL && notes_refused(req))
		err = api_strict_error(&body, &req->notes);
	return err;
}

/* --- scale --- */

static const struct type *scale_type(void)
{
	return type_find_named(STR("autoscaling"), STR("v1"), STR("Scale"));
}

/* Where a custom kind keeps what /scale shows, as its description says; the others keep it at `usual`. */
static const char *scale_path(struct request *req, const struct catalog_text *path, const char *usual)
{
	return path->len != 0 ? str_cstr(req->arena, catalog_str(path)) : usual;
}

/* A label selector as the text that Scale.status.selector holds. */
static const struct json *scale_selector(struct request *req, const struct json *tree)
{
	const struct json *selector = json_path(tree, "spec.selector");
	struct selector parsed;
	struct str text;

	if (custom_of(req->route.kind) != NULL)
		return json_path(tree, scale_path(req, &req->route.kind->scale_selector, "-"));
	if (selector == NULL)
		return NULL;
	if (str_is(req->route.resource, "replicationcontrollers"))
		selector = JSON_OBJECT_OF(req->arena, { "matchLabels", selector });
	error_free(selector_from_object(req->arena, selector, &parsed));
	text = selector_text(req->arena, &parsed);
	return text.len != 0 ? json_string(req->arena, text) : NULL;
}

static const struct json *scale_of(struct request *req, const struct json *tree)
{
	static const char *const kept[] = { "name", "namespace", "uid", "resourceVersion", "creationTimestamp" };
	struct arena *arena = req->arena;
	struct json_builder meta = { .arena = arena };
	const struct kind *of = req->route.kind;
	int64_t replicas = json_int(json_path(tree, scale_path(req, &of->scale_spec, "spec.replicas")), 0);
	int64_t have = json_int(json_path(tree, scale_path(req, &of->scale_status, "status.replicas")), 0);

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		json_builder_member(&meta, str_from(kept[i]), json_get(json_get(tree, "metadata"), kept[i]));
	return JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Scale") }, { "apiVersion", json_text(arena, "autoscaling/v1") },
			      { "metadata", json_builder_object(&meta) },
			      { "spec", replicas != 0 ? JSON_OBJECT_OF(arena, { "replicas", json_number(arena, replicas) })
						      : &json_empty_object },
			      { "status", JSON_OBJECT_OF(arena, { "replicas", json_number(arena, have) },
							 { "selector", scale_selector(req, tree) }) });
}

static struct error *patched_scale(struct request *req, const struct json **out)
{
	const struct json *scale = scale_of(req, req->old_tree), *raw = NULL, *patch = NULL;
	enum api_patch how;
	struct error *err = req->http != NULL ? options_check(req) : NULL;

	if (err == NULL)
		err = patch_apply(req, scale_type(), scale, &how, &patch, &raw);
	if (err == NULL)
		err = patch_normalize(req, scale_type(), how, patch, raw, out);
	return err;
}

/* An apply of a Scale owns the replicas of what is scaled. */
static struct error *applied_scale(struct request *req)
{
	const struct json *config = NULL, *tree = NULL, *replicas;
	struct api_manager me = manager_of(req);
	struct error *err = req->http != NULL ? options_check(req) : NULL;

	if (err == NULL)
		err = config_read(req, scale_type(), &config);
	if (err != NULL)
		return err;
	replicas = json_path(config, "spec.replicas");
	config = JSON_OBJECT_OF(req->arena, { "apiVersion", json_string(req->arena, kind_api_version(req->route.kind)) },
				{ "kind", json_string(req->arena, kind_name(req->route.kind)) },
				{ "spec", replicas == NULL ? NULL : JSON_OBJECT_OF(req->arena, { "replicas", replicas }) });
	err = api_apply(req->arena, &me, req->old_tree, config, req->query.force, &tree);
	if (err != NULL)
		return err;
	req->applied = true;
	return make_next(req, api_default(req->arena, req->route.kind, tree));
}

static struct error *scale(struct request *req)
{
	const struct json *wanted = NULL;
	struct api_findings findings = { .arena = req->arena };
	struct error *err;
	int64_t replicas;

	req->tree = req->old_tree;
	if (req->route.verb == VERB_GET)
		return NULL;
	if (is_apply(req))
		return applied_scale(req);
	err = req->route.verb == VERB_PATCH ? patched_scale(req, &wanted) : read_as(req, scale_type(), &wanted);
	if (err == NULL && req->http != NULL)
		err = check_name(req, wanted);
	if (err == NULL)
		err = check_uid(req, meta_str(wanted, "uid"));
	if (err != NULL)
		return err;
	replicas = json_int(json_path(wanted, "spec.replicas"), 0);
	if (replicas < 0) {
		finding_invalid(&findings, "spec.replicas", json_number(req->arena, replicas),
				"must be greater than or equal to 0");
		return error_about(api_invalid(&findings, STR("Scale.autoscaling"), req->route.name), STR("autoscaling"),
				   STR("Scale"), req->route.name);
	}
	return make_next(
		req, with(req, with(req, req->old_tree, "metadata.resourceVersion", json_path(wanted, "metadata.resourceVersion")),
			  scale_path(req, &req->route.kind->scale_spec, "spec.replicas"), json_number(req->arena, replicas)));
}

static const struct json *scale_table(struct request *req, const struct json *scale)
{
	struct arena *arena = req->arena;
	static const char *const columns[][2] = {
		{ "Name", "string" }, { "Desired", "integer" }, { "Available", "integer" }, { "Age", "string" }
	};
	struct json_builder described = { .arena = arena };
	const struct json *row;

	for (size_t i = 0; i < 4; i++)
		json_builder_item(&described,
				  JSON_OBJECT_OF(arena, { "name", json_text(arena, columns[i][0]) },
						 { "type", json_text(arena, columns[i][1]) }, { "format", &json_empty_string },
						 { "description", &json_empty_string }, { "priority", json_number(arena, 0) }));
	row = JSON_OBJECT_OF(arena,
			     { "cells",
			       JSON_ARRAY_OF(arena, json_path(scale, "metadata.name"),
					     json_number(arena, json_int(json_path(scale, "spec.replicas"), 0)),
					     json_number(arena, json_int(json_path(scale, "status.replicas"), 0)),
					     json_string(arena, api_age(arena, json_path(scale, "metadata.creationTimestamp"),
									clock_now(), ""))) },
			     { "object", JSON_OBJECT_OF(arena, { "kind", json_text(arena, "PartialObjectMetadata") },
							{ "apiVersion", json_text(arena, "meta.k8s.io/v1") },
							{ "metadata", json_get(scale, "metadata") }) });
	return JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Table") }, { "apiVersion", json_text(arena, "meta.k8s.io/v1") },
			      { "metadata",
				JSON_OBJECT_OF(arena, { "resourceVersion", json_path(scale, "metadata.resourceVersion") }) },
			      { "columnDefinitions", json_builder_array(&described) }, { "rows", JSON_ARRAY_OF(arena, row) });
}

static void answer_scale(struct request *req)
{
	req->status = 200;
	req->answer_type = scale_type();
	req->answer = scale_of(req, object_tree(req->object));
	if (req->accept.as == AS_TABLE)
		req->answer = scale_table(req, req->answer);
}

/* --- binding --- */

static const struct json *with_condition(struct request *req, const struct json *tree, const struct json *mine)
{
	struct json_builder conditions = { .arena = req->arena };

	JSON_EACH (json_path(tree, "status.conditions"), it)
		if (!str_eq(json_get_str(it.value, "type"), json_get_str(mine, "type")))
			json_builder_item(&conditions, it.value);
	json_builder_item(&conditions, mine);
	return with(req, tree, "status.conditions", json_builder_array(&conditions));
}

static struct error *unbindable(struct request *req, const char *why)
{
	struct str name = req->route.name;
	struct error *err = error_new(ERR_CONFLICT, "Operation cannot be fulfilled on pods/binding \"%.*s\": pod %.*s %s",
				      STR_ARG(name), STR_ARG(name), why);

	return error_about(err, STR(""), STR("pods/binding"), name);
}

static struct error *check_binding(struct request *req, const struct json *binding)
{
	struct str kind = json_path_str(binding, "target.kind");

	if (!str_eq(meta_str(binding, "name"), req->route.name) && req->http != NULL)
		return error_new(ERR_BAD_REQUEST, "name in URL does not match name in Binding object");
	if (kind.len != 0 && !str_is(kind, "Node"))
		return error_new(ERR_PLAIN, "target.kind: Unsupported value: %s: supported values: \"Node\", \"<empty>\"",
				 api_quoted(req->arena, kind));
	if (json_path_str(binding, "target.name").len == 0)
		return error_new(ERR_PLAIN, "target.name: Required value");
	return req->old == NULL ? NULL : check_uid(req, meta_str(binding, "uid"));
}

/* What the binding says of the pod beside its node. */
static void take_over(struct request *req, const struct json *binding, const char *path)
{
	const struct json *map = json_path(req->tree, path);
	struct json_draft draft = json_draft_of(req->arena, map);

	JSON_EACH (json_path(binding, path), it)
		json_draft_set(&draft, it.key, it.value);
	if (json_path(binding, path) != NULL)
		map = json_draft_object(&draft);
	if (map != NULL) {
		struct json_builder sorted = { .arena = req->arena };

		JSON_EACH (map, it)
			json_builder_member(&sorted, it.key, it.value);
		json_builder_sort(&sorted);
		req->tree = with(req, req->tree, path, json_builder_object(&sorted));
	}
}

/* k8s.io/kubernetes/pkg/registry/core/pod/storage, assignPod. */
static struct error *bind_pod(struct request *req)
{
	const struct type *type = type_find_named(STR(""), STR("v1"), STR("Binding"));
	const struct json *binding, *scheduled;
	char time[TIME_TEXT];
	struct error *err = read_as(req, type, &binding);
	struct str node = json_path_str(req->old_tree, "spec.nodeName");

	if (err == NULL)
		err = check_binding(req, binding);
	if (err != NULL)
		return err;
	if (json_path(req->old_tree, "metadata.deletionTimestamp") != NULL)
		return unbindable(req, "is being deleted, cannot be assigned to a host");
	if (node.len != 0)
		return unbindable(req, arena_printf(req->arena, "is already assigned to node \"%.*s\"", STR_ARG(node)));
	if (json_len(json_path(req->old_tree, "spec.schedulingGates")) != 0)
		return unbindable(req, "has non-empty .spec.schedulingGates");
	req->tree = with(req, req->old_tree, "spec.nodeName", json_path(binding, "target.name"));
	req->tree = with(req, req->tree, "status.nominatedNodeName", NULL);
	take_over(req, binding, "metadata.annotations");
	take_over(req, binding, "metadata.labels");
	scheduled = JSON_OBJECT_OF(req->arena, { "type", json_text(req->arena, "PodScheduled") },
				   { "status", json_text(req->arena, "True") }, { "lastProbeTime", &json_null },
				   { "lastTransitionTime", json_string_copy(req->arena, time_format(time, clock_now())) });
	req->tree = with_condition(req, req->tree, scheduled);
	return NULL;
}

/* A Binding that is posted on its own names its pod: from here on it is that pod's. */
static enum task_result step_aim(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct json *binding;
	struct error *err = read_as(req, type_find_named(STR(""), STR("v1"), STR("Binding")), &binding);
	struct str ns = meta_str(binding, "namespace");

	if (err == NULL && ns.len != 0 && !str_eq(ns, req->route.ns))
		err = error_new(ERR_BAD_REQUEST,
				"the namespace of the provided object does not match the namespace sent on the request");
	if (err != NULL)
		return task_fail(task, err);
	req->route.name = meta_str(binding, "name");
	req->route.resource = STR("pods");
	req->route.subresource = STR("binding");
	err = check_binding(req, binding);
	if (err != NULL)
		return task_fail(task, err);
	kind_unref(req->route.kind);
	req->route.kind = kind_ref(kind_must("v1", "Pod"));
	return TASK_NEXT;
}

static void answer_success(struct request *req)
{
	struct arena *arena = req->arena;

	req->status = 201;
	req->answer = JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Status") }, { "apiVersion", json_text(arena, "v1") },
				     { "metadata", &json_empty_object }, { "status", json_text(arena, "Success") },
				     { "code", json_number(arena, 201) });
	req->object = NULL;
}

/* --- eviction: a deletion that a disruption budget may refuse; budgets come with their controller --- */

static void evicted(void *arg, struct api_reply *reply)
{
	struct error *err = reply->err;

	reply->err = NULL;
	task_wake(arg, err);
}

static struct error *evict(struct request *req)
{
	const struct type *type = type_find_named(STR("policy"), STR("v1"), STR("Eviction"));
	const struct json *eviction, *why;
	struct error *err = read_as(req, type, &eviction);
	char time[TIME_TEXT];

	req->tree = req->old_tree;
	if (err != NULL)
		return err;
	if (req->http != NULL && !str_eq(meta_str(eviction, "name"), req->route.name))
		return error_new(ERR_BAD_REQUEST, "name in URL does not match name in Eviction object");
	req->input = json_get(eviction, "deleteOptions");
	if (req->query.dry_run)
		req->input = json_with(req->arena, req->input, "dryRun", JSON_ARRAY_OF(req->arena, json_text(req->arena, "All")));
	err = check_preconditions(req);
	if (err != NULL)
		return err;
	why = JSON_OBJECT_OF(req->arena, { "type", json_text(req->arena, "DisruptionTarget") },
			     { "status", json_text(req->arena, "True") }, { "lastProbeTime", &json_null },
			     { "lastTransitionTime", json_string_copy(req->arena, time_format(time, clock_now())) },
			     { "reason", json_text(req->arena, "EvictionByEvictionAPI") },
			     { "message", json_text(req->arena, "Eviction API: evicting") });
	req->tree = with_condition(req, req->tree, why);
	return NULL;
}

/* --- token --- */

static struct error *token_invalid(struct request *req, const char *path, const struct json *value, struct str name,
				   const char *text)
{
	struct api_findings findings = { .arena = req->arena };

	finding_invalid(&findings, path, value, text);
	return error_about(api_invalid(&findings, STR("TokenRequest.authentication.k8s.io"), name), STR("authentication.k8s.io"),
			   STR("TokenRequest"), name);
}

static struct error *check_token(struct request *req, const struct json *wanted)
{
	static const char path[] = "spec.expirationSeconds";
	struct str name = meta_str(wanted, "name"), ns = meta_str(wanted, "namespace"), uid = meta_str(wanted, "uid");
	struct str has = meta_str(req->old_tree, "uid");
	int64_t seconds = json_int(json_path(wanted, path), 3600);

	if (ns.len != 0 && !str_eq(ns, req->route.ns))
		return error_new(ERR_BAD_REQUEST,
				 "the namespace of the provided object does not match the namespace sent on the request");
	if (name.len != 0 && !str_eq(name, req->route.name))
		return token_invalid(req, "metadata.name", json_string(req->arena, name), req->route.name,
				     "must match the service account name if specified");
	if (uid.len != 0 && !str_eq(uid, has))
		return error_about(
			error_new(ERR_CONFLICT,
				  "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"%.*s\": the UID in the "
				  "token request (%.*s) does not match the UID of the service account (%.*s)",
				  STR_ARG(req->route.name), STR_ARG(uid), STR_ARG(has)),
			STR("authentication.k8s.io"), STR("TokenRequest"), req->route.name);
	if (seconds < 600)
		return token_invalid(req, path, json_number(req->arena, seconds), STR(""),
				     "may not specify a duration less than 10 minutes");
	if (seconds > INT64_C(1) << 32)
		return token_invalid(req, path, json_number(req->arena, seconds), STR(""),
				     "may not specify a duration larger than 2^32 seconds");
	return NULL;
}

/* What a token may be bound to must be there. */
static struct error *check_bound(struct request *req, const struct json *ref)
{
	static const char *const kinds[] = { "Pod", "Secret", "Node" };
	struct str said = json_get_str(ref, "kind"), version = json_get_str(ref, "apiVersion"), name = json_get_str(ref, "name");
	struct str uid = json_get_str(ref, "uid"), group = STR("");
	const struct kind *kind = NULL;
	const struct json *tree;

	if (ref == NULL || ref->type == JSON_NULL)
		return NULL;
	if (str_find(version, '/') >= 0)
		str_cut(&version, '/', &group);
	for (size_t i = 0; i < 3; i++)
		if (group.len == 0 && str_is(said, kinds[i]))
			kind = kind_must("v1", kinds[i]);
	if (kind == NULL)
		return error_new(ERR_BAD_REQUEST, "cannot bind token to object of type %.*s/%.*s, Kind=%.*s", STR_ARG(group),
				 STR_ARG(version), STR_ARG(said));
	if (name.len == 0)
		return error_new(ERR_BAD_REQUEST, "Name parameter required.");
	tree = lookup(req, kind, kind_namespaced(kind) ? req->route.ns : STR(""), name);
	if (tree == NULL)
		return error_not_found(kind, name);
	if (str_is(said, "Pod") && !str_eq(json_path_str(tree, "spec.serviceAccountName"), req->route.name))
		return error_new(ERR_BAD_REQUEST,
				 "cannot bind token for serviceaccount %s to pod running with different serviceaccount name.",
				 api_quoted(req->arena, req->route.name));
	if (uid.len != 0 && !str_eq(uid, meta_str(tree, "uid")))
		return error_about(
			error_new(ERR_CONFLICT,
				  "Operation cannot be fulfilled on %.*s \"%.*s\": the UID in the bound object reference (%.*s) "
				  "does not match the UID in record. The object might have been deleted and then recreated",
				  STR_ARG(said), STR_ARG(name), STR_ARG(uid)),
			STR(""), said, name);
	return NULL;
}

/* The request with what is known of its account. */
static const struct json *completed(struct request *req, const struct type *type, const struct json *wanted)
{
	struct api_manager me = manager_of(req);
	char time[TIME_TEXT];

	me.type = type;
	if (req->http != NULL)
		wanted = api_track(req->arena, &me, NULL, wanted);
	wanted = api_with(req->arena, type, wanted, "metadata.name", json_string(req->arena, req->route.name));
	wanted = api_with(req->arena, type, wanted, "metadata.namespace", json_string(req->arena, req->route.ns));
	wanted = api_with(req->arena, type, wanted, "metadata.uid", json_path(req->old_tree, "metadata.uid"));
	return api_with(req->arena, type, wanted, "metadata.creationTimestamp",
			json_string_copy(req->arena, time_format(time, clock_now())));
}

static struct error *request_token(struct request *req)
{
	const struct type *type = type_find_named(STR("authentication.k8s.io"), STR("v1"), STR("TokenRequest"));
	const struct json *wanted;
	struct token_request token;
	struct error *err = read_as(req, type, &wanted);
	AUTO_BUF struct buf text = { 0 };
	char time[TIME_TEXT];
	int64_t expires;

	if (err == NULL)
		err = check_token(req, wanted);
	if (err == NULL)
		err = check_bound(req, json_path(wanted, "spec.boundObjectRef"));
	if (err != NULL)
		return err;
	req->tree = req->old_tree;
	token = (struct token_request){
		.ns = req->route.ns,
		.name = req->route.name,
		.uid = meta_str(req->old_tree, "uid"),
		.audiences = json_path(wanted, "spec.audiences"),
		.seconds = json_int(json_path(wanted, "spec.expirationSeconds"), 3600),
		.bound = json_path(wanted, "spec.boundObjectRef"),
	};
	wanted = api_with(req->arena, type, wanted, "spec.expirationSeconds", json_number(req->arena, token.seconds));
	wanted = completed(req, type, wanted);
	if (json_len(token.audiences) == 0)
		token.audiences = JSON_ARRAY_OF(req->arena, json_text(req->arena, req->server->options.issuer));
	token_issue(req->server, req->arena, &token, &text, &expires);
	wanted = api_with(req->arena, type, wanted, "spec.audiences", token.audiences);
	wanted = api_with(req->arena, type, wanted, "status",
			  JSON_OBJECT_OF(req->arena, { "token", json_string_copy(req->arena, buf_str(&text)) },
					 { "expirationTimestamp", json_string_copy(req->arena, time_format(time, expires)) }));
	req->answer = api_with_type(req->arena, wanted, STR("authentication.k8s.io/v1"), STR("TokenRequest"));
	req->answer_type = type;
	return NULL;
}

static void answer_token(struct request *req)
{
	req->status = 201;
}

/* --- the table --- */

static const struct row {
	const char *name;
	struct error *(*make)(struct request *req); /* sets req->tree from req->old_tree */
	void (*answer)(struct request *req);
} rows[] = {
	{ "scale", scale, answer_scale },
	{ "binding", bind_pod, answer_success },
	{ "eviction", evict, answer_success },
	{ "token", request_token, answer_token },
};

static const struct row *row_of(const struct request *req)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (str_is(req->route.subresource, rows[i].name))
			return &rows[i];
	return NULL;
}

static enum task_result step_dispatch(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct row *row = row_of(req);
	struct error *err;

	if (row == NULL)
		return task_fail(task, error_new(ERR_UNSUPPORTED, "%.*s is not served yet", STR_ARG(req->route.subresource)));
	err = row->make(req);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

/* The deletion itself, once the pod says why. */
static enum task_result step_evict(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct api_transport *transport = &req->server->transport;

	if (row_of(req)->make != evict)
		return TASK_NEXT;
	task_hold(task);
	transport->call(transport->arg, &(struct api_call){
						.verb = VERB_DELETE,
						.kind = req->route.kind,
						.ns = req->route.ns,
						.name = req->route.name,
						.body = req->input,
						.actor = req->user.name,
						.cause = req->cause,
						.done = evicted,
						.arg = task,
					});
	return TASK_WAIT;
}

static enum task_result step_finish(struct task *task, void *arg)
{
	struct request *req = arg;

	(void)task;
	row_of(req)->answer(req);
	return TASK_DONE;
}

/* --- reviews: created and answered, never stored --- */

static task_fn step_review;

const struct task_step review_steps[] = {
	DECODE_STEPS,
	{ "review", step_review, NULL },
	{ NULL, NULL, NULL },
};

static const struct json *user_info(struct arena *arena, const struct user *user)
{
	struct json_builder groups = { .arena = arena };

	for (size_t i = 0; i < user->n_groups; i++)
		json_builder_item(&groups, json_string(arena, user->groups[i]));
	return JSON_OBJECT_OF(arena, { "username", json_string(arena, user->name) },
			      { "uid", user->uid.len != 0 ? json_string(arena, user->uid) : NULL },
			      { "groups", groups.len != 0 ? json_builder_array(&groups) : NULL },
			      { "extra", user_extra(arena, user) });
}

static const struct json *allowed(struct arena *arena, bool yes)
{
	return JSON_OBJECT_OF(arena, { "allowed", json_boolean(yes) });
}

static const struct json *rules(struct arena *arena, const struct user *user)
{
	const struct json *all = JSON_ARRAY_OF(arena, json_text(arena, "*"));
	const struct json *create = JSON_ARRAY_OF(arena, json_text(arena, "create"));
	const struct json *group = JSON_ARRAY_OF(arena, json_text(arena, "authorization.k8s.io"));
	const struct json *own =
		JSON_ARRAY_OF(arena, json_text(arena, "selfsubjectaccessreviews"), json_text(arena, "selfsubjectrulesreviews"));
	const struct json *who = JSON_ARRAY_OF(arena, json_text(arena, "authentication.k8s.io"));
	const struct json *self = JSON_ARRAY_OF(arena, json_text(arena, "selfsubjectreviews"));
	struct json_builder resources = { .arena = arena }, paths = { .arena = arena };

	if (user_may_all(user)) {
		json_builder_item(&resources, JSON_OBJECT_OF(arena, { "verbs", all }, { "apiGroups", all }, { "resources", all }));
		json_builder_item(&paths, JSON_OBJECT_OF(arena, { "verbs", all }, { "nonResourceURLs", all }));
	}
	json_builder_item(&resources, JSON_OBJECT_OF(arena, { "verbs", create }, { "apiGroups", group }, { "resources", own }));
	json_builder_item(&resources, JSON_OBJECT_OF(arena, { "verbs", create }, { "apiGroups", who }, { "resources", self }));
	return JSON_OBJECT_OF(arena, { "resourceRules", json_builder_array(&resources) },
			      { "nonResourceRules", json_builder_array(&paths) }, { "incomplete", &json_false });
}

static const struct json *token_status(struct request *req)
{
	struct user user = { 0 };
	const struct json *audiences = json_path(req->input, "spec.audiences");
	struct str token = json_path_str(req->input, "spec.token");
	struct error *err = token_verify(req->server, req->arena, token, audiences, &user);

	if (err != NULL) {
		const char *text = err->text[0] != '\0' ? arena_printf(req->arena, "[invalid bearer token, %s]", err->text)
							: "invalid bearer token";

		error_free(err);
		return JSON_OBJECT_OF(req->arena, { "user", &json_empty_object }, { "error", json_text(req->arena, text) });
	}
	return JSON_OBJECT_OF(req->arena, { "authenticated", &json_true }, { "user", user_info(req->arena, &user) },
			      { "audiences", token_audiences(req->server, req->arena, token, audiences) });
}

static bool reviewed_may(struct request *req)
{
	JSON_EACH (json_path(req->input, "spec.groups"), it)
		if (str_is(json_str(it.value), "system:masters"))
			return true;
	return false;
}

static const struct json *self_status(struct request *req)
{
	return JSON_OBJECT_OF(req->arena, { "userInfo", user_info(req->arena, &req->user) });
}

static const struct json *self_access_status(struct request *req)
{
	return allowed(req->arena, user_may_all(&req->user));
}

static const struct json *self_rules_status(struct request *req)
{
	return rules(req->arena, &req->user);
}

static const struct json *access_status(struct request *req)
{
	return allowed(req->arena, reviewed_may(req));
}

/* What comes back besides the status: of some what was sent, with who sent it; of the others nothing. */
static const struct review {
	const char *kind;
	const struct json *(*status)(struct request *req);
	enum { COMES_BACK, MADE_NOW, EMPTY } what;
} reviews[] = {
	{ "SelfSubjectReview", self_status, MADE_NOW },         { "SelfSubjectAccessReview", self_access_status, COMES_BACK },
	{ "SelfSubjectRulesReview", self_rules_status, EMPTY }, { "TokenReview", token_status, COMES_BACK },
	{ "SubjectAccessReview", access_status, COMES_BACK },   { "LocalSubjectAccessReview", access_status, COMES_BACK },
};

static const struct json *what_comes_back(struct request *req, const struct review *review)
{
	struct arena *arena = req->arena;
	struct api_manager me = manager_of(req);
	char time[TIME_TEXT];
	const struct json *meta = &json_empty_object, *tree = req->input;

	switch (review->what) {
	case COMES_BACK:
		return req->http != NULL ? api_track(arena, &me, NULL, tree) : tree;
	case MADE_NOW:
		meta = JSON_OBJECT_OF(arena, { "creationTimestamp", json_string_copy(arena, time_format(time, clock_now())) });
		break;
	case EMPTY:
		break;
	}
	return JSON_OBJECT_OF(arena, { "kind", json_get(tree, "kind") }, { "apiVersion", json_get(tree, "apiVersion") },
			      { "metadata", meta }, { "spec", review->what == EMPTY ? &json_empty_object : NULL });
}

/* A selector of attributes says something, one way or the other. */
static void check_selectors(struct api_findings *f, const struct json *attributes)
{
	static const char *const selectors[] = { "fieldSelector", "labelSelector" };

	for (int i = 0; i < 2; i++) {
		const struct json *one = json_get(attributes, selectors[i]);
		const char *at = arena_printf(f->arena, "spec.resourceAttributes.%s", selectors[i]);

		if (one != NULL && json_len(json_get(one, "requirements")) == 0 && json_get_str(one, "rawSelector").len == 0)
			finding_required(f, arena_printf(f->arena, "%s.requirements", at),
					 arena_printf(f->arena, "when %s is specified, requirements or rawSelector is required",
						      at));
	}
}

/* k8s.io/kubernetes/pkg/apis/authorization/validation. */
static struct error *check_access(struct request *req, struct str kind)
{
	struct api_findings f = { .arena = req->arena };
	const struct json *spec = json_get(req->input, "spec"), *resource = json_get(spec, "resourceAttributes");
	const struct json *path = json_get(spec, "nonResourceAttributes"), *meta = json_get(req->input, "metadata");
	bool other = !str_has_prefix(kind, STR("Self"));

	if (resource != NULL && path != NULL)
		finding_invalid(&f, "spec.nonResourceAttributes",
				JSON_OBJECT_OF(req->arena, { "Path", json_string(req->arena, json_get_str(path, "path")) },
					       { "Verb", json_string(req->arena, json_get_str(path, "verb")) }),
				"cannot be specified in combination with resourceAttributes");
	else if (resource == NULL && path == NULL)
		finding_invalid(&f, "spec.resourceAttributes", &json_null,
				"exactly one of nonResourceAttributes or resourceAttributes must be specified");
	if (other && json_get_str(spec, "user").len == 0 && json_len(json_get(spec, "groups")) == 0)
		finding_invalid_text(&f, "spec.user", STR(""), "at least one of user or group must be specified");
	check_selectors(&f, resource);
	if (str_is(kind, "LocalSubjectAccessReview") && json_get_str(meta, "name").len != 0)
		finding_invalid(&f, "metadata", meta, "must be empty except for namespace");
	struct error *err = api_invalid(&f, str_format(req->arena, ".%.*s", STR_ARG(kind_group(req->route.kind))), STR(""));
	return err == NULL ? NULL : error_about(err, kind_group(req->route.kind), STR(""), STR(""));
}

static struct error *check_review(struct request *req)
{
	static const char *const system[] = { "metadata.uid", "metadata.creationTimestamp", "metadata.deletionTimestamp",
					      "metadata.deletionGracePeriodSeconds", "metadata.selfLink" };
	struct str kind = kind_name(req->route.kind), ns = meta_str(req->input, "namespace");

	if (kind_namespaced(req->route.kind) && ns.len != 0 && !str_eq(ns, req->route.ns))
		return error_new(ERR_BAD_REQUEST,
				 "the namespace of the provided object does not match the namespace sent on the request");
	if (kind_namespaced(req->route.kind))
		req->input = with(req, req->input, "metadata.namespace", json_string(req->arena, req->route.ns));
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		req->input = with(req, req->input, system[i], NULL);
	if (str_is(kind, "SelfSubjectRulesReview") && json_path_str(req->input, "spec.namespace").len == 0)
		return error_new(ERR_BAD_REQUEST, "no namespace on request");
	return str_has_suffix(kind, STR("AccessReview")) ? check_access(req, kind) : NULL;
}

static enum task_result step_review(struct task *task, void *arg)
{
	struct request *req = arg;
	struct str kind = kind_name(req->route.kind);
	struct error *err = check_review(req);

	if (err != NULL)
		return task_fail(task, err);
	for (size_t i = 0; i < sizeof(reviews) / sizeof(reviews[0]); i++)
		if (str_is(kind, reviews[i].kind)) {
			req->status = 201;
			req->answer = api_with(req->arena, kind_type(req->route.kind), what_comes_back(req, &reviews[i]), "status",
					       reviews[i].status(req));
			req->answer_type = kind_type(req->route.kind);
			return TASK_DONE;
		}
	return task_fail(task, error_new(ERR_UNSUPPORTED, "%.*s is not served yet", STR_ARG(kind)));
}
