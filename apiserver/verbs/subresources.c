/* Subresources that are no part of the object: scale, binding, eviction, token; and the reviews, which are stored nowhere.
 * One row each. */
#include "api/selector.h"
#include "apiserver/auth/auth.h"
#include "apiserver/verbs/verbs.h"

static task_fn step_dispatch, step_finish;

const struct task_step subresource_steps[] = {
	{ "read body", step_read_body, NULL }, { "read old", step_read_old, NULL }, { "make", step_dispatch, NULL },
	{ "mutate", step_mutate, NULL },       { "prepare", step_prepare, NULL },   { "judge", step_judge, NULL },
	{ "commit", step_commit, NULL },       { "answer", step_finish, NULL },     { NULL, NULL, NULL },
};

/* The body as that type, in normal form. */
static struct error *read_as(struct request *req, const struct type *type, const struct json **out)
{
	struct api_body body = { .type = type, .text = req->body };
	struct str media;

	if (req->http == NULL)
		return api_normalize(req->arena, type, req->call.body, NULL, out);
	media = content_type(http_header(&req->http->headers, "content-type"));
	body.media = str_is(media, "application/vnd.kubernetes.protobuf") ? API_PROTOBUF
		     : str_is(media, "application/yaml")                  ? API_YAML
									  : API_JSON;
	return api_decode(req->arena, &body, NULL, out);
}

/* --- scale --- */

static const struct type *scale_type(void)
{
	return type_find_named(STR("autoscaling"), STR("v1"), STR("Scale"));
}

/* A label selector as the text that Scale.status.selector holds. */
/* Where a custom kind keeps what /scale shows, as its description says; the others keep it at `usual`. */
static const char *scale_path(struct request *req, const struct catalog_text *path, const char *usual)
{
	return path->len != 0 ? str_cstr(req->arena, catalog_str(path)) : usual;
}

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
	const struct json *patch = req->call.body, *scale = scale_of(req, req->old_tree), *raw = NULL;
	struct error *err = NULL;
	struct str media = req->http != NULL ? content_type(http_header(&req->http->headers, "content-type")) : STR("");

	if (req->http != NULL)
		err = json_read_yaml(req->arena, req->body, NULL, &patch);
	if (err != NULL)
		return err;
	if (str_is(media, "application/json-patch+json"))
		err = json_patch(req->arena, scale, patch, &raw);
	else
		raw = json_merge_patch(req->arena, scale, patch);
	return err != NULL ? err : api_normalize(req->arena, scale_type(), raw, NULL, out);
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
	err = req->route.verb == VERB_PATCH ? patched_scale(req, &wanted) : read_as(req, scale_type(), &wanted);
	if (err != NULL)
		return err;
	replicas = json_int(json_path(wanted, "spec.replicas"), 0);
	if (replicas < 0) {
		finding_invalid(&findings, "spec.replicas", json_number(req->arena, replicas),
				"must be greater than or equal to 0");
		return api_invalid(&findings, STR("Scale.autoscaling"), req->route.name);
	}
	return make_next(
		req, with(req, with(req, req->old_tree, "metadata.resourceVersion", json_path(wanted, "metadata.resourceVersion")),
			  scale_path(req, &req->route.kind->scale_spec, "spec.replicas"), json_number(req->arena, replicas)));
}

static void answer_scale(struct request *req)
{
	req->status = 200;
	req->answer_type = scale_type();
	req->answer = scale_of(req, object_tree(req->object));
}

/* --- binding --- */

static const struct json *with_condition(struct request *req, const struct json *tree, const char *type)
{
	struct arena *arena = req->arena;
	struct json_builder conditions = { .arena = arena };
	char time[TIME_TEXT];
	const struct json *mine = JSON_OBJECT_OF(arena, { "type", json_text(arena, type) },
						 { "observedGeneration", json_path(tree, "metadata.generation") },
						 { "status", json_text(arena, "True") }, { "lastProbeTime", &json_null },
						 { "lastTransitionTime", json_string_copy(arena, time_format(time, clock_now())) });

	JSON_EACH (json_path(tree, "status.conditions"), it)
		if (!str_is(json_get_str(it.value, "type"), type))
			json_builder_item(&conditions, it.value);
	json_builder_item(&conditions, mine);
	return with(req, tree, "status.conditions", json_builder_array(&conditions));
}

/* k8s.io/kubernetes/pkg/registry/core/pod/storage, assignPod. */
static struct error *bind_pod(struct request *req)
{
	const struct type *type = type_find_named(STR(""), STR("v1"), STR("Binding"));
	const struct json *binding;
	struct error *err = read_as(req, type, &binding);
	struct str node, uid;

	if (err != NULL)
		return err;
	node = json_path_str(binding, "target.name");
	uid = meta_str(binding, "uid");
	if (node.len == 0)
		return error_new(ERR_BAD_REQUEST, "Binding \"%.*s\" is invalid: target.name: Required value",
				 STR_ARG(req->route.name));
	if (uid.len != 0 && !str_eq(uid, meta_str(req->old_tree, "uid")))
		return error_new(ERR_CONFLICT,
				 "Operation cannot be fulfilled on pods/binding \"%.*s\": Precondition failed: "
				 "UID in precondition: %.*s, UID in object meta: %.*s",
				 STR_ARG(req->route.name), STR_ARG(uid), STR_ARG(meta_str(req->old_tree, "uid")));
	if (json_path(req->old_tree, "metadata.deletionTimestamp") != NULL)
		return error_new(ERR_CONFLICT,
				 "Operation cannot be fulfilled on pods/binding \"%.*s\": pod %.*s is being "
				 "deleted, cannot be assigned to a host",
				 STR_ARG(req->route.name), STR_ARG(req->route.name));
	if (json_path_str(req->old_tree, "spec.nodeName").len != 0)
		return error_new(ERR_CONFLICT,
				 "Operation cannot be fulfilled on pods/binding \"%.*s\": pod %.*s is already "
				 "assigned to node \"%.*s\"",
				 STR_ARG(req->route.name), STR_ARG(req->route.name),
				 STR_ARG(json_path_str(req->old_tree, "spec.nodeName")));
	req->tree = with(req, req->old_tree, "spec.nodeName", json_string(req->arena, node));
	req->tree = with_condition(req, req->tree, "PodScheduled");
	return NULL;
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
	const struct json *eviction;
	struct error *err = read_as(req, type, &eviction);

	req->tree = req->old_tree;
	if (err == NULL)
		req->input = json_get(eviction, "deleteOptions");
	return err;
}

/* --- token --- */

static struct error *request_token(struct request *req)
{
	const struct type *type = type_find_named(STR("authentication.k8s.io"), STR("v1"), STR("TokenRequest"));
	const struct json *wanted;
	struct token_request token;
	struct error *err = read_as(req, type, &wanted);
	AUTO_BUF struct buf text = { 0 };
	char time[TIME_TEXT];
	int64_t expires;

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
	if (token.seconds < 600) {
		struct api_findings findings = { .arena = req->arena };

		finding_invalid(&findings, "spec.expirationSeconds", json_number(req->arena, token.seconds),
				"may not specify a duration less than 10 minutes");
		return api_invalid(&findings, STR("TokenRequest.authentication.k8s.io"), STR(""));
	}
	if (json_len(token.audiences) == 0)
		token.audiences = JSON_ARRAY_OF(req->arena, json_text(req->arena, req->server->options.issuer));
	token_issue(req->server, req->arena, &token, &text, &expires);
	wanted = api_with(req->arena, type, wanted, "spec.audiences", token.audiences);
	wanted = api_with(req->arena, type, wanted, "spec.expirationSeconds", json_number(req->arena, token.seconds));
	wanted = api_with(req->arena, type, wanted, "status",
			  JSON_OBJECT_OF(req->arena, { "token", json_string_copy(req->arena, buf_str(&text)) },
					 { "expirationTimestamp", json_string_copy(req->arena, time_format(time, expires)) }));
	wanted = api_with(req->arena, type, wanted, "metadata.name", json_string(req->arena, req->route.name));
	wanted = api_with(req->arena, type, wanted, "metadata.namespace", json_string(req->arena, req->route.ns));
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
	const struct api_transport *transport = &req->server->transport;
	struct error *err;

	if (row == NULL)
		return task_fail(task, error_new(ERR_UNSUPPORTED, "%.*s is not served yet", STR_ARG(req->route.subresource)));
	err = row->make(req);
	if (err != NULL)
		return task_fail(task, err);
	if (row->make != evict)
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
	{ "read body", step_read_body, NULL },
	{ "decode", step_decode, NULL },
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
			      { "groups", groups.len != 0 ? json_builder_array(&groups) : NULL });
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
	struct json_builder resources = { .arena = arena }, paths = { .arena = arena };

	if (user_may_all(user)) {
		json_builder_item(&resources, JSON_OBJECT_OF(arena, { "verbs", all }, { "apiGroups", all }, { "resources", all }));
		json_builder_item(&paths, JSON_OBJECT_OF(arena, { "verbs", all }, { "nonResourceURLs", all }));
	}
	json_builder_item(&resources, JSON_OBJECT_OF(arena, { "verbs", create }, { "apiGroups", group }, { "resources", own }));
	return JSON_OBJECT_OF(arena, { "resourceRules", json_builder_array(&resources) },
			      { "nonResourceRules", json_builder_array(&paths) }, { "incomplete", &json_false });
}

static const struct json *token_status(struct request *req)
{
	struct user user = { 0 };
	struct error *err = token_verify(req->server, req->arena, json_path_str(req->input, "spec.token"), &user);

	if (err != NULL) {
		error_free(err);
		return JSON_OBJECT_OF(req->arena, { "user", &json_empty_object },
				      { "error", json_text(req->arena, "invalid bearer token") });
	}
	return JSON_OBJECT_OF(req->arena, { "authenticated", &json_true }, { "user", user_info(req->arena, &user) },
			      { "audiences", JSON_ARRAY_OF(req->arena, json_text(req->arena, req->server->options.issuer)) });
}

static bool reviewed_may(struct request *req)
{
	JSON_EACH (json_path(req->input, "spec.groups"), it)
		if (str_is(json_str(it.value), "system:masters"))
			return true;
	return false;
}

static enum task_result step_review(struct task *task, void *arg)
{
	struct request *req = arg;
	struct str kind = kind_name(req->route.kind);
	const struct json *status = NULL;

	if (str_is(kind, "SelfSubjectReview"))
		status = JSON_OBJECT_OF(req->arena, { "userInfo", user_info(req->arena, &req->user) });
	else if (str_is(kind, "SelfSubjectAccessReview"))
		status = allowed(req->arena, user_may_all(&req->user));
	else if (str_is(kind, "SelfSubjectRulesReview"))
		status = rules(req->arena, &req->user);
	else if (str_is(kind, "TokenReview"))
		status = token_status(req);
	else if (str_is(kind, "SubjectAccessReview") || str_is(kind, "LocalSubjectAccessReview"))
		status = allowed(req->arena, reviewed_may(req));
	if (status == NULL)
		return task_fail(task, error_new(ERR_UNSUPPORTED, "%.*s is not served yet", STR_ARG(kind)));
	req->status = 201;
	req->answer = with(req, req->input, "status", status);
	req->answer_type = kind_type(req->route.kind);
	return TASK_DONE;
}
