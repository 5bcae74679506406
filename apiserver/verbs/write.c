/* CREATE and UPDATE, and what all writes share. */
#include "api/apply.h"
#include "apiserver/verbs/verbs.h"

static task_fn step_create, step_update;

const struct task_step create_steps[] = {
	DECODE_STEPS,
	{ "make", step_create, NULL },
	ADMIT_STEPS,
	{ "encode", step_encode, NULL },
	{ "commit", step_commit, NULL },
	{ "keep result", step_keep_result, NULL },
	{ NULL, NULL, NULL },
};

const struct task_step update_steps[] = {
	DECODE_STEPS,
	{ "read old", step_read_old, NULL },
	{ "make", step_update, NULL },
	ADMIT_STEPS,
	{ "encode", step_encode, NULL },
	{ "commit", step_commit, NULL },
	{ "keep result", step_keep_result, NULL },
	{ NULL, NULL, NULL },
};

/* --- the body --- */

struct body_wait {
	struct request *req;
	struct task *task;
};

static void body_arrived(void *arg, struct error *err, struct str body)
{
	struct body_wait *wait = arg;

	if (err != NULL && err->kind == ERR_TOO_LARGE)
		err = error_context(err, "Request entity too large");
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

struct error *media_of_body(struct request *req, const struct kind *kind)
{
	struct str type = content_type(http_header(&req->http->headers, "content-type"));
	bool custom = custom_of(kind) != NULL;

	if (type.len == 0 || media_is(type, "application/json"))
		req->body_media = API_JSON;
	else if (media_is(type, "application/yaml"))
		req->body_media = API_YAML;
	else if (media_is(type, "application/vnd.kubernetes.protobuf") && !custom)
		req->body_media = API_PROTOBUF;
	else
		return error_new(ERR_MEDIA_TYPE,
				 "the body of the request was in an unknown format - accepted media types "
				 "include: application/json, application/yaml%s",
				 custom ? "" : ", application/vnd.kubernetes.protobuf");
	return NULL;
}

/* YAML's complaint is of several lines, whose first says nothing. */
static void warn_lines(struct request *req, struct str text)
{
	struct str line;

	if (!str_has_prefix(text, STR("yaml: ")))
		warn(req, text);
	else
		for (str_cut(&text, '\n', &line); str_cut(&text, '\n', &line);)
			warn(req, str_trim(line));
}

enum task_result step_media(struct task *task, void *arg)
{
	struct request *req = arg;
	struct error *err = req->http != NULL ? media_of_body(req, req->route.kind) : NULL;

	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

enum task_result step_write_options(struct task *task, void *arg)
{
	struct request *req = arg;
	struct error *err = req->http != NULL ? options_check(req) : NULL;

	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

/* What strict decoding found becomes an error, warnings, or nothing. */
bool notes_refused(struct request *req)
{
	if (req->http == NULL || req->notes.len == 0 || req->query.validation == VALIDATE_IGNORE)
		return false;
	if (req->query.validation == VALIDATE_STRICT)
		return true;
	for (size_t i = 0; i < req->notes.len; i++)
		warn_lines(req, req->notes.text[i]);
	return false;
}

static struct error *decode(void *arg)
{
	struct request *req = arg;
	struct api_body body = { .kind = req->route.kind, .media = req->body_media, .text = req->body };
	struct error *err;

	if (req->http == NULL) {
		err = api_normalize(req->arena, kind_type(req->route.kind), req->call.body, NULL, &req->input);
		if (err != NULL)
			return err;
		req->input = api_with_kind(req->arena, req->input, req->route.kind);
	} else {
		err = api_decode(req->arena, &body, &req->notes, &req->input);
		if (err == NULL && notes_refused(req))
			err = api_strict_error(&body, &req->notes);
		if (err != NULL)
			return err;
	}
	req->input = api_default(req->arena, req->route.kind, req->input);
	return NULL;
}

enum task_result step_decode(struct task *task, void *arg)
{
	return step_pure(task, arg, decode);
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

struct api_manager manager_of(struct request *req)
{
	char time[TIME_TEXT];

	return (struct api_manager){ .kind = req->route.kind,
				     .name = manager_name(req),
				     .subresource = req->route.subresource,
				     /* What goes through a Scale loses its time upstream. */
				     .now = str_is(req->route.subresource, "scale")
						    ? STR("")
						    : str_dup(req->arena, time_format(time, clock_now())) };
}

/* Writes down what this write owns. A renewal owns what the one before it owned. */
static void track(struct request *req)
{
	struct api_manager me;

	/* Renewals of components in process are many, and nobody asks who made them. */
	if (req->applied || (req->http == NULL && str_is(req->route.resource, "leases")))
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

/* k8s.io/apiserver/pkg/endpoints/handlers/rest.go, dedupOwnerReferencesAndAddWarning. */
static const struct json *dedup_owners(struct request *req, const struct json *tree)
{
	const struct json *owners = json_path(tree, "metadata.ownerReferences");
	struct json_builder kept = { .arena = req->arena };
	struct places seen = { .arena = req->arena }, told = { .arena = req->arena };
	AUTO_BUF struct buf uids = { 0 };

	JSON_EACH (owners, it) {
		struct str uid = json_get_str(it.value, "uid");

		if (places_add(&seen, json_key(req->arena, it.value), it.index) == it.index)
			json_builder_item(&kept, it.value);
		else if (places_add(&told, uid, it.index) == it.index)
			buf_printf(&uids, "%s%.*s", uids.len == 0 ? "" : ",", STR_ARG(uid));
	}
	if (kept.len == json_len(owners))
		return tree;
	warn(req,
	     str_format(req->arena,
			".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and "
			"may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %s",
			buf_cstr(&uids)));
	return with(req, tree, "metadata.ownerReferences", json_builder_array(&kept));
}

struct error *make_new(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);
	const struct json *tree = req->input;
	char uid[37], time[TIME_TEXT];

	uint64_t revision;

	if (!req->query.dry_run && str_to_u64(meta_str(tree, "resourceVersion"), &revision) && revision != 0)
		return error_new(ERR_PLAIN, "resourceVersion should not be set on objects to be created");
	/* A trial gives it back as it came. */
	tree = dedup_owners(req, tree);
	if (!req->query.dry_run)
		tree = with(req, tree, "metadata.resourceVersion", NULL);
	if (meta_str(tree, "name").len == 0 && meta_str(tree, "generateName").len != 0)
		tree = with(req, tree, "metadata.name", generated_name(req, meta_str(tree, "generateName")));
	rand_uuid(uid);
	tree = with(req, tree, "metadata.uid", json_string_copy(req->arena, str_from(uid)));
	tree = with(req, tree, "metadata.creationTimestamp", json_string_copy(req->arena, time_format(time, clock_now())));
	tree = with(req, tree, "metadata.deletionTimestamp", NULL);
	tree = with(req, tree, "metadata.deletionGracePeriodSeconds", NULL);
	tree = with(req, tree, "metadata.selfLink", NULL);
	if (prepare->generation)
		tree = with(req, tree, "metadata.generation", json_number(req->arena, 1));
	req->tree = tree;
	track(req); /* before admission: upstream does so, and what admission adds has no owner */
	req->admitting = VERB(CREATE);
	return NULL;
}

static struct error *prepare_new(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);

	req->tree = api_without_closed(req->arena, kind_type(req->route.kind), req->tree);
	return prepare->create != NULL ? prepare->create(req) : NULL;
}

static struct error *create(void *arg)
{
	struct request *req = arg;
	struct error *err = check_namespace(req);

	return err != NULL ? err : make_new(req);
}

static enum task_result step_create(struct task *task, void *arg)
{
	struct request *req = arg;

	req->status = 201;
	req->old = NULL;
	req->old_tree = NULL;
	vec_clear(&req->also);
	return step_pure(task, req, create);
}

/* --- the old state --- */

bool is_apply(const struct request *req)
{
	if (req->route.verb != VERB_PATCH)
		return false;
	if (req->http == NULL)
		return req->call.patch == API_PATCH_APPLY;
	return str_is(content_type(http_header(&req->http->headers, "content-type")), "application/apply-patch+yaml");
}

/* What the attempt before made and said goes: a write that loses many races must not grow. */
static void begin_attempt(struct request *req)
{
	req->admitted = 0;
	if (req->attempts == 0) {
		req->n_lasting_warnings = req->warnings.len;
		return;
	}
	if (req->arena != req->lasting)
		loop_arena_free(req->arena);
	req->arena = arena_new();
	req->tree = NULL;
	req->made = NULL;
	req->notes = (struct api_notes){ 0 };
	req->warnings.len = req->n_lasting_warnings;
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

static struct error *version_missing(struct request *req)
{
	struct api_findings findings = { .arena = req->arena };
	struct error *err;

	finding_invalid(&findings, "metadata.resourceVersion", json_number(req->arena, 0), "must be specified for an update");
	err = api_invalid(&findings, resource_text(req->arena, req->route.kind), req->route.name);
	return error_about(err, kind_group(req->route.kind), kind_resource(req->route.kind), req->route.name);
}

static struct error *check_version(struct request *req, const struct json *wanted)
{
	struct str text = meta_str(wanted, "resourceVersion");
	uint64_t version;

	if ((text.len == 0 || str_is(text, "0")) && req->route.verb == VERB_UPDATE && prepare_of(req->route.kind)->rv_required)
		return version_missing(req);
	if (text.len == 0 || str_is(text, "0"))
		return NULL;
	if (!str_to_u64(text, &version))
		return error_new(ERR_PLAIN, "strconv.ParseUint: parsing %s: %s", api_quoted(req->arena, text),
				 number_complaint(text));
	return version == req->old->revision ? NULL : conflict(req, MODIFIED);
}

/* Where upstream keeps an object, as its errors tell it: a trial does not say which registry. */
static const char *upstream_key(struct request *req)
{
	static const char *const other[][2] = { { "nodes", "minions" },
						{ "services", "services/specs" },
						{ "endpoints", "services/endpoints" },
						{ "replicationcontrollers", "controllers" },
						{ "ingresses", "ingress" } };
	const char *resource = str_cstr(req->arena, req->route.resource), *registry = req->query.dry_run ? "" : "/registry";
	bool group = custom_of(req->route.kind) != NULL || str_is(req->route.group, "apiextensions.k8s.io") ||
		     str_is(req->route.group, "apiregistration.k8s.io"); /* these are kept under their group */

	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		if (strcmp(resource, other[i][0]) == 0)
			resource = other[i][1];
	return arena_printf(req->arena, "%s/%.*s%s%s/%.*s%s%.*s", registry, STR_ARG(group ? req->route.group : STR("")),
			    group ? "/" : "", resource, STR_ARG(req->route.ns), req->route.ns.len != 0 ? "/" : "",
			    STR_ARG(req->route.name));
}

struct error *check_uid(struct request *req, struct str uid)
{
	struct str has = meta_str(req->old_tree, "uid"), resource = resource_text(req->arena, req->route.kind);

	if (uid.len == 0 || str_eq(uid, has))
		return NULL;
	return error_new(ERR_CONFLICT,
			 "Operation cannot be fulfilled on %.*s \"%.*s\": StorageError: invalid object, Code: 4, "
			 "Key: %s, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
			 "UID in precondition: %.*s, UID in object meta: %.*s",
			 STR_ARG(resource), STR_ARG(req->route.name), upstream_key(req), STR_ARG(uid), STR_ARG(has));
}

static const struct json *keep_field(struct request *req, const struct json *tree, const char *path)
{
	return with(req, tree, path, json_path(req->old_tree, path));
}

/* What a client cannot change by writing the object. */
static const struct json *keep_system_fields(struct request *req, const struct json *tree)
{
	static const char *const kept[] = { "metadata.name", "metadata.namespace", "metadata.creationTimestamp",
					    "metadata.generation" };
	/* What a client may leave out, but not change: validation says so. */
	static const char *const filled[] = { "metadata.uid", "metadata.generateName", "metadata.deletionGracePeriodSeconds" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		tree = keep_field(req, tree, kept[i]);
	for (size_t i = 0; i < sizeof(filled) / sizeof(filled[0]); i++)
		if (json_path(tree, filled[i]) == NULL)
			tree = keep_field(req, tree, filled[i]);
	if (json_path(req->old_tree, "metadata.deletionTimestamp") != NULL)
		tree = keep_field(req, tree, "metadata.deletionTimestamp");
	return req->query.dry_run ? tree : with(req, tree, "metadata.selfLink", NULL); /* it is not stored */
}

static bool has_status_subresource(const struct kind *kind)
{
	return kind_subresource(kind, STR("status")) != NULL;
}

/* Of a pod's debugging and resizing only the one thing is taken that they are for. */
static const struct json *with_ephemeral(struct request *req, const struct json *tree)
{
	return with(req, req->old_tree, "spec.ephemeralContainers", json_path(tree, "spec.ephemeralContainers"));
}

static const struct json *with_resources(struct request *req, const struct json *tree)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	const struct json *out = req->old_tree;

	for (int i = 0; i < 2; i++) {
		const struct json *old = json_path(req->old_tree, lists[i]), *new = json_path(tree, lists[i]);
		struct json_builder merged = { .arena = req->arena };

		if (json_len(old) != json_len(new))
			continue;
		JSON_EACH (old, it) {
			const struct json *from = json_at(new, it.index);
			const struct json *one = json_with(req->arena, it.value, "resources", json_get(from, "resources"));

			one = json_with(req->arena, one, "resizePolicy", json_get(from, "resizePolicy"));
			json_builder_item(&merged, one);
		}
		if (json_len(old) != 0)
			out = with(req, out, lists[i], json_builder_array(&merged));
	}
	error_free(api_normalize(req->arena, kind_type(req->route.kind), out, NULL, &out));
	return out;
}

/* Which metadata a write of the status leaves alone is each strategy's own. */
static const struct json *keep_status_meta(struct request *req, const struct json *tree)
{
	const char *keeps = prepare_of(req->route.kind)->status_keeps;

	if (keeps == NULL)
		return tree;
	if (strcmp(keeps, "*") != 0)
		return keep_field(req, tree, keeps);
	/* metav1.ResetObjectMetaForStatus */
	static const char *const all[] = { "metadata.labels", "metadata.annotations", "metadata.finalizers",
					   "metadata.ownerReferences" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		tree = keep_field(req, tree, all[i]);
	return tree;
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
		return keep_status_meta(req, tree);
	}
	if (str_is(req->route.subresource, "ephemeralcontainers") || str_is(req->route.subresource, "resize")) {
		const struct json *managed = json_path(tree, "metadata.managedFields");

		tree = str_is(req->route.subresource, "resize") ? with_resources(req, tree) : with_ephemeral(req, tree);
		return with(req, tree, "metadata.managedFields", managed);
	}
	if (has_status_subresource(kind) && (req->route.subresource.len == 0 || str_is(req->route.subresource, "finalize")))
		return keep_field(req, tree, "status");
	return tree;
}

/* Everything but metadata and status counts: a change of it is a new generation. Status counts when a custom kind has it as
 * a field like any other. */
static bool spec_changed(const struct request *req)
{
	const struct json *tree = req->tree, *old = req->old_tree;
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

/* Annotations of a Deployment go to its ReplicaSets; consumers of slices look at their labels. */
static bool meta_counts(const struct request *req, const char *field)
{
	return field != NULL &&
	       !json_equal(json_get(json_get(req->tree, "metadata"), field), json_get(json_get(req->old_tree, "metadata"), field));
}

struct error *make_next(struct request *req, const struct json *wanted)
{
	const struct type *type = kind_type(req->route.kind);
	struct error *err = req->route.verb == VERB_UPDATE ? check_uid(req, meta_str(wanted, "uid")) : NULL;
	/* Upstream tracks before it drops what may not be changed there. */
	bool whole = str_is(req->route.subresource, "ephemeralcontainers") || str_is(req->route.subresource, "resize");

	if (err == NULL)
		err = check_version(req, wanted);
	if (err != NULL)
		return err;
	if (!kind_namespaced(req->route.kind))
		wanted = with(req, wanted, "metadata.namespace", NULL);
	req->tree = keep_system_fields(req, dedup_owners(req, wanted));
	if (whole)
		track(req);
	req->tree = split_status(req, req->tree);
	req->tree = api_as_kept(req->arena, kind_type(req->route.kind), req->tree);
	req->tree = keep_field(req, req->tree, "metadata.resourceVersion");
	if (!whole)
		track(req);
	/* What a closed gate hides stays where it was. */
	if (api_without_closed(req->arena, type, req->old_tree) == req->old_tree)
		req->tree = api_without_closed(req->arena, type, req->tree);
	req->admitting = VERB(UPDATE);
	return NULL;
}

static struct error *prepare_next(struct request *req)
{
	const struct prepare *prepare = prepare_of(req->route.kind);
	int64_t generation = json_int(json_path(req->old_tree, "metadata.generation"), 0);
	struct error *err = prepare->update != NULL ? prepare->update(req) : NULL;

	if (err == NULL && prepare->generation && !str_is(req->route.subresource, "status") &&
	    (spec_changed(req) || meta_counts(req, prepare->generation_meta)))
		req->tree = with(req, req->tree, "metadata.generation", json_number(req->arena, generation + 1));
	return err;
}

static struct error *default_again(void *arg)
{
	struct request *req = arg;

	req->tree = api_default(req->arena, req->route.kind, req->tree);
	return NULL;
}

/* After admission, which may have changed anything. */
enum task_result step_default(struct task *task, void *arg)
{
	struct request *req = arg;

	return req->admitting != 0 ? step_pure(task, req, default_again) : TASK_NEXT;
}

static struct error *prepare(void *arg)
{
	struct request *req = arg;

	return req->admitting == VERB(CREATE) ? prepare_new(req) : prepare_next(req);
}

/* What the kind does when it is written. */
enum task_result step_prepare(struct task *task, void *arg)
{
	struct request *req = arg;
	struct error *err;

	if (req->admitting == 0)
		return TASK_NEXT;
	if (!prepare_of(req->route.kind)->looks)
		return step_pure(task, req, prepare);
	err = prepare(req);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

struct error *check_name(struct request *req, const struct json *input)
{
	struct str name = meta_str(input, "name"), ns = meta_str(input, "namespace");

	if (ns.len != 0 && kind_namespaced(req->route.kind) && !str_eq(ns, req->route.ns))
		return error_new(ERR_BAD_REQUEST, "the namespace of the provided object does not match the namespace sent on the "
						  "request");
	if (name.len == 0)
		return error_new(ERR_BAD_REQUEST,
				 "the name of the object (%.*s based on URL) was undeterminable: name "
				 "must be provided",
				 STR_ARG(req->route.name));
	if (!str_eq(name, req->route.name))
		return error_new(ERR_BAD_REQUEST, "the name of the object (%.*s) does not match the name on the URL (%.*s)",
				 STR_ARG(name), STR_ARG(req->route.name));
	return NULL;
}

static struct error *update(void *arg)
{
	struct request *req = arg;
	struct error *err = check_name(req, req->input);

	if (err != NULL)
		return err;
	if (req->old != NULL)
		return make_next(req, req->input);
	req->status = 201;
	err = check_namespace(req);
	return err != NULL ? err : make_new(req);
}

static enum task_result step_update(struct task *task, void *arg)
{
	return step_pure(task, arg, update);
}

/* --- validate and commit --- */

static void tell_warning(void *arg, struct str text)
{
	warn(arg, text);
}

static struct error *validate(void *arg)
{
	struct request *req = arg;
	const struct kind *kind = req->route.kind;
	struct error *err;

	if (req->old == NULL)
		err = api_validate(req->arena, kind, req->tree);
	else
		err = api_validate_subresource(req->arena, kind, req->route.subresource, req->tree, req->old_tree);
	if (err == NULL && req->http != NULL && req->route.subresource.len == 0)
		api_warnings(req->arena, kind, req->tree, req->old_tree, tell_warning, req);
	return err;
}

enum task_result step_validate(struct task *task, void *arg)
{
	return step_pure(task, arg, validate);
}

bool is_finished(const struct json *tree)
{
	const struct json *meta = json_get(tree, "metadata");

	return json_get(meta, "deletionTimestamp") != NULL && json_len(json_get(meta, "finalizers")) == 0 &&
	       json_int(json_get(meta, "deletionGracePeriodSeconds"), 0) == 0 && json_len(json_path(tree, "spec.finalizers")) == 0;
}

/* What the write comes to. A pod with an own grace period is removed by its kubelet, which deletes with grace 0. */
static struct error *encode(void *arg)
{
	struct request *req = arg;

	req->fate = req->old != NULL && json_equal(req->tree, req->old_tree) ? STAYS
		    : req->old != NULL && is_finished(req->tree)             ? ENDS
									     : CHANGES;
	return req->fate == CHANGES ? make_lasting(req) : NULL;
}

enum task_result step_encode(struct task *task, void *arg)
{
	return step_pure(task, arg, encode);
}

enum task_result step_commit(struct task *task, void *arg)
{
	struct request *req = arg;

	switch (req->fate) {
	case STAYS:
		req->object = value_served(req->arena, req->route.kind, req->old);
		return TASK_NEXT;
	case ENDS:
		return commit_removal(task, req);
	case CHANGES:
		break;
	}
	return commit_tree(task, req);
}

enum task_result step_keep_result(struct task *task, void *arg)
{
	(void)task;
	(void)arg;
	return TASK_DONE;
}
