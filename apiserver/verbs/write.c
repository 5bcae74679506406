/* CREATE, UPDATE and PATCH. */
#include "api/apply.h"
#include "apiserver/verbs/verbs.h"

static task_fn step_create, step_update, step_patch, step_validate, step_keep_result;

#define DECODE_STEPS                                                                                                               \
	{ "read body", step_read_body, NULL },                                                                                     \
	{                                                                                                                          \
		"decode", step_decode, NULL                                                                                        \
	}

#define ADMIT_STEPS                                                                                                                \
	{ "mutate", step_mutate, NULL }, { "prepare", step_prepare, NULL }, { "validate", step_validate, NULL },                   \
	{                                                                                                                          \
		"judge", step_judge, NULL                                                                                          \
	}

const struct task_step create_steps[] = {
	DECODE_STEPS,
	{ "make", step_create, NULL },
	ADMIT_STEPS,
	{ "commit", step_commit, NULL },
	{ "keep result", step_keep_result, NULL },
	{ NULL, NULL, NULL },
};

const struct task_step update_steps[] = {
	DECODE_STEPS,         { "read old", step_read_old, NULL }, { "make", step_update, NULL },
	ADMIT_STEPS,          { "commit", step_commit, NULL },     { "keep result", step_keep_result, NULL },
	{ NULL, NULL, NULL },
};

const struct task_step patch_steps[] = {
	{ "read body", step_read_body, NULL }, { "read old", step_read_old, NULL },       { "make", step_patch, NULL }, ADMIT_STEPS,
	{ "commit", step_commit, NULL },       { "keep result", step_keep_result, NULL }, { NULL, NULL, NULL },
};

/* --- the body --- */

struct body_wait {
	struct request *req;
	struct task *task;
};

static void body_arrived(void *arg, struct error *err, struct str body)
{
	struct body_wait *wait = arg;

	wait->req->body = str_dup(wait->req->arena, body);
	task_wake(wait->task, err);
}

enum task_result step_read_body(struct task *task, void *arg)
{
	struct request *req = arg;
	struct body_wait *wait;

	if (req->http == NULL)
		return TASK_NEXT;
	wait = ARENA_NEW(req->arena, struct body_wait);
	wait->req = req;
	wait->task = task;
	task_hold(task);
	http_body(req->http, LIMIT_BODY, body_arrived, wait);
	return TASK_WAIT;
}

static struct error *media_of_body(struct request *req)
{
	struct str type = content_type(http_header(&req->http->headers, "content-type"));
	bool custom = custom_of(req->route.kind) != NULL;

	if (type.len == 0 || str_is(type, "application/json"))
		req->body_media = API_JSON;
	else if (str_is(type, "application/yaml"))
		req->body_media = API_YAML;
	else if (str_is(type, "application/vnd.kubernetes.protobuf") && !custom)
		req->body_media = API_PROTOBUF;
	else
		return error_new(ERR_MEDIA_TYPE,
				 "the body of the request was in an unknown format - accepted media types "
				 "include: application/json, application/yaml%s",
				 custom ? "" : ", application/vnd.kubernetes.protobuf");
	return NULL;
}

/* What strict decoding found becomes an error, warnings, or nothing. */
static struct error *judge_notes(struct request *req, const struct api_body *body)
{
	if (req->notes.len == 0 || req->query.validation == VALIDATE_IGNORE)
		return NULL;
	if (req->query.validation == VALIDATE_STRICT)
		return api_strict_error(body, &req->notes);
	for (size_t i = 0; i < req->notes.len; i++)
		vec_push(&req->warnings, str_cstr(req->arena, req->notes.text[i]));
	return NULL;
}

enum task_result step_decode(struct task *task, void *arg)
{
	struct request *req = arg;
	struct api_body body = { .kind = req->route.kind };
	struct error *err;

	if (req->http == NULL) {
		err = api_normalize(req->arena, kind_type(req->route.kind), req->call.body, NULL, &req->input);
		if (err != NULL)
			return task_fail(task, err);
		req->input = api_with_kind(req->arena, req->input, req->route.kind);
	} else {
		err = media_of_body(req);
		body.media = req->body_media;
		body.text = req->body;
		if (err == NULL)
			err = api_decode(req->arena, &body, &req->notes, &req->input);
		if (err == NULL)
			err = judge_notes(req, &body);
		if (err != NULL)
			return task_fail(task, err);
	}
	req->input = api_default(req->arena, req->route.kind, req->input);
	return TASK_NEXT;
}

/* --- create --- */

/* --- who set which field --- */

/* The request's fieldManager, else the beginning of its user agent; in process the last word of the actor. */
static struct str manager_name(const struct request *req)
{
	struct str name = req->query.field_manager, head;
	ptrdiff_t colon;

	if (name.len != 0)
		return name;
	if (req->http == NULL) {
		colon = str_rfind(req->user.name, ':');
		return str_skip(req->user.name, (size_t)(colon + 1));
	}
	name = http_header(&req->http->headers, "user-agent");
	return str_cut(&name, '/', &head) && head.len != 0 ? head : STR("unknown");
}

static struct api_manager manager_of(struct request *req)
{
	char time[TIME_TEXT];

	return (struct api_manager){ .kind = req->route.kind,
				     .name = manager_name(req),
				     .subresource = req->route.subresource,
				     .now = str_dup(req->arena, time_format(time, clock_now())) };
}

/* Writes down what this write owns. A renewal owns what the one before it owned. */
static void track(struct request *req)
{
	struct api_manager me;

	if (req->applied || str_is(req->route.resource, "leases") ||
	    (req->old_tree != NULL && json_equal(req->tree, req->old_tree)))
		return;
	me = manager_of(req);
	req->tree = api_track(req->arena, &me, req->old_tree, req->tree);
}

static struct error *check_namespace(struct request *req)
{
	struct str ns = meta_str(req->input, "namespace");

	if (!kind_namespaced(req->route.kind)) {
		req->input = with(req, req->input, "metadata.namespace", NULL);
		return NULL;
	}
	if (ns.len != 0 && !str_eq(ns, req->route.ns))
		return error_new(ERR_BAD_REQUEST, "the namespace of the provided object does not match the namespace sent "
						  "on the request");
	req->input = with(req, req->input, "metadata.namespace", json_string(req->arena, req->route.ns));
	return NULL;
}

/* Names made from generateName: at most 63 characters in all, of which five are random. */
static const struct json *generated_name(struct request *req, struct str base)
{
	char random[6] = { 0 };

	rand_name(random, 5);
	return json_printf(req->arena, "%.*s%s", STR_ARG(str_head(base, 58)), random);
}

struct error *make_new(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);
	const struct json *tree = req->input;
	char uid[37], time[TIME_TEXT];

	if (meta_str(tree, "resourceVersion").len != 0)
		return error_new(ERR_INTERNAL, "resourceVersion should not be set on objects to be created");
	if (meta_str(tree, "name").len == 0 && meta_str(tree, "generateName").len != 0)
		tree = with(req, tree, "metadata.name", generated_name(req, meta_str(tree, "generateName")));
	rand_uuid(uid);
	tree = with(req, tree, "metadata.uid", json_string_copy(req->arena, str_from(uid)));
	tree = with(req, tree, "metadata.creationTimestamp", json_string_copy(req->arena, time_format(time, clock_now())));
	tree = with(req, tree, "metadata.deletionTimestamp", NULL);
	tree = with(req, tree, "metadata.deletionGracePeriodSeconds", NULL);
	tree = with(req, tree, "metadata.selfLink", NULL);
	tree = with(req, tree, "metadata.generation", NULL);
	if (prepare->generation)
		tree = with(req, tree, "metadata.generation", json_number(req->arena, 1));
	req->tree = tree;
	req->admitting = VERB(CREATE);
	return NULL;
}

static struct error *prepare_new(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);

	return prepare->create != NULL ? prepare->create(req) : NULL;
}

static enum task_result step_create(struct task *task, void *arg)
{
	struct request *req = arg;
	struct error *err = NULL;

	req->status = 201;
	req->old = NULL;
	req->old_tree = NULL;
	vec_clear(&req->also);
	err = check_namespace(req);
	if (err == NULL)
		err = make_new(req);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

/* --- the old state --- */

static bool is_apply(const struct request *req)
{
	if (req->route.verb != VERB_PATCH)
		return false;
	if (req->http == NULL)
		return req->call.patch == API_PATCH_APPLY;
	return str_is(content_type(http_header(&req->http->headers, "content-type")), "application/apply-patch+yaml");
}

/* What the attempt before made goes: a write that loses many races must not grow. */
static void begin_attempt(struct request *req)
{
	req->admitted = 0;
	if (req->attempts == 0)
		return;
	if (req->arena != req->lasting)
		arena_free(req->arena);
	req->arena = arena_new();
	req->tree = NULL;
	req->notes = (struct api_notes){ 0 };
	if (req->route.verb == VERB_PATCH)
		vec_clear(&req->warnings); /* its body is read anew */
}

enum task_result step_read_old(struct task *task, void *arg)
{
	struct request *req = arg;

	begin_attempt(req);
	req->old =
		store_latest(req->server->options.store, object_key(req->arena, req->route.kind, req->route.ns, req->route.name));
	req->old_tree = NULL;
	vec_clear(&req->also);
	if (req->old == NULL) {
		if (req->route.verb == VERB_UPDATE && !is_status(req) && prepare_of(req->route.kind)->create_on_update)
			return TASK_NEXT;
		if (is_apply(req) && req->route.subresource.len == 0)
			return TASK_NEXT; /* an apply creates what is not there */
		return task_fail(task, error_not_found(req->route.kind, req->route.name));
	}
	arena_defer(req->arena, store_value_release, store_value_ref(req->old));
	req->old_tree = object_tree(value_served(req->arena, req->route.kind, req->old));
	return TASK_NEXT;
}

/* --- update --- */

bool is_status(const struct request *req)
{
	return str_is(req->route.subresource, "status") || str_is(req->route.subresource, "finalize") ||
	       str_is(req->route.subresource, "approval") || str_is(req->route.subresource, "ephemeralcontainers") ||
	       str_is(req->route.subresource, "resize");
}

static struct error *conflict(struct request *req, const char *text)
{
	struct str resource = resource_text(req->arena, req->route.kind);

	return error_new(ERR_CONFLICT, "Operation cannot be fulfilled on %.*s \"%.*s\": %s", STR_ARG(resource),
			 STR_ARG(req->route.name), text);
}

#define MODIFIED "the object has been modified; please apply your changes to the latest version and try again"

static struct error *check_version(struct request *req, const struct json *wanted)
{
	struct str text = meta_str(wanted, "resourceVersion");
	struct api_findings findings = { .arena = req->arena };
	uint64_t version;

	if (text.len == 0 && req->route.verb == VERB_UPDATE && prepare_of(req->route.kind)->rv_needed) {
		finding_invalid(&findings, "metadata.resourceVersion", json_number(req->arena, 0),
				"must be specified for an update");
		return error_about(api_invalid(&findings, resource_text(req->arena, req->route.kind), req->route.name),
				   kind_group(req->route.kind), kind_resource(req->route.kind), req->route.name);
	}
	if (text.len == 0 || str_is(text, "0"))
		return NULL;
	if (!str_to_u64(text, &version))
		return error_new(ERR_BAD_REQUEST, "invalid resource version \"%.*s\"", STR_ARG(text));
	return version == req->old->revision ? NULL : conflict(req, MODIFIED);
}

static struct error *check_identity(struct request *req, const struct json *wanted)
{
	struct str uid = meta_str(wanted, "uid"), old = meta_str(req->old_tree, "uid");
	char *text;
	struct error *err;

	if (uid.len == 0 || str_eq(uid, old))
		return NULL;
	text = arena_printf(req->arena, "Precondition failed: UID in precondition: %.*s, UID in object meta: %.*s", STR_ARG(uid),
			    STR_ARG(old));
	err = conflict(req, text);
	return err;
}

static const struct json *keep_field(struct request *req, const struct json *tree, const char *path)
{
	return with(req, tree, path, json_path(req->old_tree, path));
}

/* What a client cannot change by writing the object. */
static const struct json *keep_system_fields(struct request *req, const struct json *tree)
{
	static const char *const kept[] = { "metadata.name",
					    "metadata.namespace",
					    "metadata.uid",
					    "metadata.creationTimestamp",
					    "metadata.deletionTimestamp",
					    "metadata.deletionGracePeriodSeconds",
					    "metadata.generation" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		tree = keep_field(req, tree, kept[i]);
	if (json_path(tree, "metadata.generateName") == NULL)
		tree = keep_field(req, tree, "metadata.generateName");
	return with(req, tree, "metadata.selfLink", NULL);
}

static bool has_status_subresource(const struct kind *kind)
{
	return kind_subresource(kind, STR("status")) != NULL;
}

/* A status write takes nothing but the status (and what metadata a status writer may change); any other write leaves
 * the status alone. */
static const struct json *split_status(struct request *req, const struct json *tree)
{
	const struct kind *kind = req->route.kind;

	if (str_is(req->route.subresource, "status")) {
		JSON_EACH (req->old_tree, it)
			if (!str_is(it.key, "status") && !str_is(it.key, "metadata"))
				tree = with(req, tree, str_cstr(req->arena, it.key), it.value);
		JSON_EACH (tree, it)
			if (json_find(req->old_tree, it.key) == NULL && !str_is(it.key, "status"))
				tree = with(req, tree, str_cstr(req->arena, it.key), NULL);
		return keep_field(req, tree, "metadata.ownerReferences");
	}
	if (has_status_subresource(kind) && req->route.subresource.len == 0)
		return keep_field(req, tree, "status");
	return tree;
}

/* Everything but metadata and status counts: a change of it is a new generation. Status counts when a custom kind has it as
 * a field like any other. */
static bool spec_changed(const struct request *req, const struct json *tree, const struct json *old)
{
	bool status = custom_of(req->route.kind) != NULL && !has_status_subresource(req->route.kind);

	JSON_EACH (tree, it)
		if (!str_is(it.key, "metadata") && (status || !str_is(it.key, "status")) &&
		    !json_equal(it.value, json_find(old, it.key)))
			return true;
	JSON_EACH (old, it)
		if (!str_is(it.key, "metadata") && (status || !str_is(it.key, "status")) && json_find(tree, it.key) == NULL)
			return true;
	return false;
}

struct error *make_next(struct request *req, const struct json *wanted)
{
	struct error *err = check_identity(req, wanted);

	if (err == NULL)
		err = check_version(req, wanted);
	if (err != NULL)
		return err;
	req->tree = split_status(req, keep_system_fields(req, wanted));
	req->tree = keep_field(req, req->tree, "metadata.resourceVersion");
	req->admitting = VERB(UPDATE);
	return NULL;
}

static struct error *prepare_next(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);
	int64_t generation = json_int(json_path(req->old_tree, "metadata.generation"), 0);
	struct error *err = prepare->update != NULL ? prepare->update(req) : NULL;

	if (err == NULL && prepare->generation && !str_is(req->route.subresource, "status") &&
	    spec_changed(req, req->tree, req->old_tree))
		req->tree = with(req, req->tree, "metadata.generation", json_number(req->arena, generation + 1));
	return err;
}

/* What the kind does when it is written, and who wrote what; after admission, which may have changed anything. */
enum task_result step_prepare(struct task *task, void *arg)
{
	struct request *req = arg;
	struct error *err;

	if (req->admitting == 0)
		return TASK_NEXT;
	req->tree = api_default(req->arena, req->route.kind, req->tree);
	err = req->admitting == VERB(CREATE) ? prepare_new(req) : prepare_next(req);
	if (err != NULL)
		return task_fail(task, err);
	track(req);
	return TASK_NEXT;
}

static struct error *check_name(struct request *req)
{
	struct str name = meta_str(req->input, "name"), ns = meta_str(req->input, "namespace");

	if (name.len == 0)
		return error_new(ERR_BAD_REQUEST,
				 "the name of the object (%.*s based on URL) was undeterminable: name "
				 "must be provided",
				 STR_ARG(req->route.name));
	if (!str_eq(name, req->route.name))
		return error_new(ERR_BAD_REQUEST, "the name of the object (%.*s) does not match the name on the URL (%.*s)",
				 STR_ARG(name), STR_ARG(req->route.name));
	if (ns.len != 0 && !str_eq(ns, req->route.ns))
		return error_new(ERR_BAD_REQUEST,
				 "the namespace of the object (%.*s) does not match the namespace on the "
				 "URL (%.*s)",
				 STR_ARG(ns), STR_ARG(req->route.ns));
	return NULL;
}

static enum task_result step_update(struct task *task, void *arg)
{
	struct request *req = arg;
	struct error *err = check_name(req);

	if (err == NULL && req->old == NULL) {
		req->status = 201;
		err = check_namespace(req);
		if (err == NULL)
			err = make_new(req);
	} else if (err == NULL) {
		err = make_next(req, req->input);
	}
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

/* --- patch --- */

static struct error *patch_media(struct request *req, enum api_patch *patch)
{
	struct str type = req->http != NULL ? content_type(http_header(&req->http->headers, "content-type")) : STR("");

	*patch = req->call.patch;
	if (req->http == NULL)
		return NULL;
	if (str_is(type, "application/json-patch+json"))
		*patch = API_PATCH_JSON;
	else if (str_is(type, "application/merge-patch+json"))
		*patch = API_PATCH_MERGE;
	else if (is_apply(req))
		*patch = API_PATCH_APPLY;
	else if (custom_of(req->route.kind) != NULL)
		return error_new(ERR_MEDIA_TYPE,
				 "the body of the request was in an unknown format - accepted media types include: "
				 "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
	else if (str_is(type, "application/strategic-merge-patch+json"))
		*patch = API_PATCH_STRATEGIC;
	else
		return error_new(ERR_MEDIA_TYPE, "415: Unsupported Media Type");
	return NULL;
}

static struct error *apply_patch(struct request *req, const struct json *patch, enum api_patch how, const struct json **out)
{
	struct error *err = NULL;

	switch (how) {
	case API_PATCH_JSON:
		err = json_patch(req->arena, req->old_tree, patch, out);
		/* Upstream names nothing in these. */
		if (err != NULL && err->kind == ERR_INVALID)
			err = error_about(err, STR(""), STR(""), STR(""));
		return err;
	case API_PATCH_MERGE:
		if (!json_is(patch, JSON_OBJECT))
			return error_new(ERR_BAD_REQUEST,
					 "error decoding patch: json: cannot unmarshal %s into Go value of "
					 "type map[string]interface {}",
					 json_type_name(patch));
		*out = json_merge_patch(req->arena, req->old_tree, patch);
		return NULL;
	case API_PATCH_STRATEGIC:
		if (!json_is(patch, JSON_OBJECT))
			return error_new(ERR_BAD_REQUEST,
					 "error decoding patch: json: cannot unmarshal %s into Go value of "
					 "type map[string]interface {}",
					 json_type_name(patch));
		return api_strategic_merge(req->arena, kind_type(req->route.kind), req->old_tree, patch, out);
	case API_PATCH_APPLY:
		break; /* apply_config() */
	}
	return NULL;
}

/* --- apply --- */

static struct error *options_error(struct request *req, bool required, const char *field, const char *text)
{
	struct api_findings findings = { .arena = req->arena };

	if (required)
		finding_required(&findings, field, text);
	else
		finding_forbidden(&findings, field, text);
	return api_invalid(&findings, STR("PatchOptions.meta.k8s.io"), STR(""));
}

static struct error *check_config(struct request *req, const struct json *config)
{
	struct str name = meta_str(config, "name");

	if (!json_is(config, JSON_OBJECT))
		return error_new(ERR_BAD_REQUEST, "error decoding YAML: the body is no object");
	if (!str_eq(json_get_str(config, "kind"), kind_name(req->route.kind)) ||
	    !str_eq(json_get_str(config, "apiVersion"), kind_api_version(req->route.kind)))
		return error_new(ERR_BAD_REQUEST,
				 "the kind of the provided object (%.*s, %.*s) does not match the expected one "
				 "(%.*s, %.*s)",
				 STR_ARG(json_get_str(config, "apiVersion")), STR_ARG(json_get_str(config, "kind")),
				 STR_ARG(kind_api_version(req->route.kind)), STR_ARG(kind_name(req->route.kind)));
	if (json_len(json_path(config, "metadata.managedFields")) != 0)
		return error_new(ERR_BAD_REQUEST, "metadata.managedFields must be nil");
	if (name.len != 0 && !str_eq(name, req->route.name))
		return error_new(ERR_BAD_REQUEST, "the name of the object (%.*s) does not match the name on the URL (%.*s)",
				 STR_ARG(name), STR_ARG(req->route.name));
	return NULL;
}

/* An apply says what its manager wants; what it wanted before and says no more goes, unless another one wants it. */
static struct error *apply_config(struct request *req)
{
	const struct json *config = req->call.body, *tree = NULL;
	struct api_manager me;
	struct error *err = NULL;

	if (req->http != NULL && req->query.field_manager.len == 0)
		return options_error(req, true, "fieldManager", "is required for apply patch");
	if (req->http != NULL)
		err = json_read_yaml(req->arena, req->body, NULL, &config);
	if (err != NULL)
		return error_context(err, "error decoding YAML");
	err = check_config(req, config);
	if (err != NULL)
		return err;
	config = json_with_path(req->arena, config, "metadata.name", json_string(req->arena, req->route.name));
	if (kind_namespaced(req->route.kind))
		config = json_with_path(req->arena, config, "metadata.namespace", json_string(req->arena, req->route.ns));
	me = manager_of(req);
	err = api_apply(req->arena, &me, req->old_tree, config, req->query.force, &tree);
	if (err != NULL && err->kind == ERR_CONFLICT)
		return error_about(err, STR(""), STR(""), STR("")); /* its causes are all it tells */
	if (err != NULL)
		return err;
	req->applied = true;
	tree = api_default(req->arena, req->route.kind, api_with_kind(req->arena, tree, req->route.kind));
	if (req->old != NULL)
		return make_next(req, tree);
	req->status = 201;
	req->input = with(req, tree, "metadata.resourceVersion", NULL);
	return make_new(req);
}

static enum task_result step_patch(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct json *patch = req->call.body, *raw = NULL, *next = NULL;
	struct api_body body = { .kind = req->route.kind };
	enum api_patch how;
	struct error *err = patch_media(req, &how);

	if (err == NULL && how == API_PATCH_APPLY) {
		err = apply_config(req);
		return err != NULL ? task_fail(task, err) : TASK_NEXT;
	}
	if (err == NULL && req->query.force_given)
		err = options_error(req, false, "force", "may not be specified for non-apply patch");
	if (err == NULL && req->http != NULL) {
		err = json_read_yaml(req->arena, req->body, NULL, &patch);
		if (err != NULL)
			err = error_context(err, "error decoding patch");
	}
	if (err == NULL)
		err = apply_patch(req, patch, how, &raw);
	if (err != NULL)
		return task_fail(task, err);
	req->notes = (struct api_notes){ 0 };
	err = api_normalize(req->arena, kind_type(req->route.kind), raw, &req->notes, &next);
	if (err != NULL) {
		err->kind = ERR_INVALID;
		err = error_context(err, "%s", "");
		return task_fail(task, err);
	}
	if (req->http != NULL)
		err = judge_notes(req, &body);
	if (err == NULL)
		err = make_next(req, api_default(req->arena, req->route.kind, api_with_kind(req->arena, next, req->route.kind)));
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

/* --- validate and commit --- */

static enum task_result step_validate(struct task *task, void *arg)
{
	struct request *req = arg;
	const struct kind *kind = req->route.kind;
	struct error *err;

	if (req->old == NULL)
		err = api_validate(req->arena, kind, req->tree);
	else if (str_is(req->route.subresource, "status"))
		err = api_validate_status_update(req->arena, kind, req->tree, req->old_tree);
	else
		err = api_validate_update(req->arena, kind, req->tree, req->old_tree);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

bool is_finished(const struct json *tree)
{
	const struct json *meta = json_get(tree, "metadata");

	return json_get(meta, "deletionTimestamp") != NULL && json_len(json_get(meta, "finalizers")) == 0 &&
	       json_int(json_get(meta, "deletionGracePeriodSeconds"), 0) == 0 && json_len(json_path(tree, "spec.finalizers")) == 0;
}

static bool unchanged(const struct request *req)
{
	return req->old != NULL && json_equal(req->tree, req->old_tree);
}

enum task_result step_commit(struct task *task, void *arg)
{
	struct request *req = arg;

	if (unchanged(req)) {
		req->object = value_served(req->arena, req->route.kind, req->old);
		return TASK_NEXT;
	}
	/* A pod with an own grace period is removed by its kubelet, which deletes with grace 0. */
	if (req->old != NULL && is_finished(req->tree))
		return commit_removal(task, req);
	return commit_tree(task, req);
}

static enum task_result step_keep_result(struct task *task, void *arg)
{
	(void)task;
	(void)arg;
	return TASK_DONE;
}
