/*
 * OpenAPI documents, versions 2 and 3, from the catalogue.
 *
 * Every path is first a list of operations with all their parameters; what all operations of a path share moves to the
 * path, as kube-openapi does, and then both versions write the same list in their own form. The names of version 2's
 * shared parameters are upstream's (their suffix is a hash of upstream's text).
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/custom.h"
#include "api/openapi.h"
#include "api/private.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

/* ---- parameters ---- */

enum param {
	P_ALLOW_BOOKMARKS,
	P_CONTINUE,
	P_FIELD_SELECTOR,
	P_LABEL_SELECTOR,
	P_LIMIT,
	P_RESOURCE_VERSION,
	P_VERSION_MATCH,
	P_SEND_INITIAL,
	P_SHARD,
	P_TIMEOUT,
	P_WATCH,
	P_PRETTY,
	P_DRY_RUN,
	P_MANAGER,
	P_PATCH_MANAGER,
	P_VALIDATION,
	P_FORCE,
	P_GRACE,
	P_IGNORE_READ,
	P_ORPHAN,
	P_PROPAGATION,
	P_NAME,
	P_NAMESPACE,
	P_PATH,
	P_POD_PROXY_PATH,
	P_SERVICE_PROXY_PATH,
	P_NODE_PROXY_PATH,
	P_COMMAND,
	P_EXEC_CONTAINER,
	P_EXEC_STDERR,
	P_EXEC_STDIN,
	P_EXEC_STDOUT,
	P_EXEC_TTY,
	P_ATTACH_CONTAINER,
	P_ATTACH_STDERR,
	P_ATTACH_STDIN,
	P_ATTACH_STDOUT,
	P_ATTACH_TTY,
	P_PORTS,
	P_LOG_CONTAINER,
	P_FOLLOW,
	P_SKIP_TLS,
	P_LIMIT_BYTES,
	P_PREVIOUS,
	P_SINCE,
	P_STREAM,
	P_TAIL,
	P_TIMESTAMPS,
	P_COUNT
};

static const struct {
	const char *name, *type, *in;
	const char *shared; /* version 2's name for it; NULL: written out each time */
	const char *doc;
} params[P_COUNT] = {
	[P_ALLOW_BOOKMARKS] = { "allowWatchBookmarks", "boolean", "query", "allowWatchBookmarks-HC2hJt-J",
				"Send BOOKMARK events." },
	[P_CONTINUE] = { "continue", "string", "query", "continue-QfD61s0i", "Token of the page before, to get the next one." },
	[P_FIELD_SELECTOR] = { "fieldSelector", "string", "query", "fieldSelector-xIcQKXFG", "Only objects whose fields match." },
	[P_LABEL_SELECTOR] = { "labelSelector", "string", "query", "labelSelector-5Zw57w4C", "Only objects whose labels match." },
	[P_LIMIT] = { "limit", "integer", "query", "limit-1NfNmdNH", "At most so many objects at once." },
	[P_RESOURCE_VERSION] = { "resourceVersion", "string", "query", "resourceVersion-5WAnf1kx",
				 "The version to read or to start from." },
	[P_VERSION_MATCH] = { "resourceVersionMatch", "string", "query", "resourceVersionMatch-t8XhRHeC",
			      "How resourceVersion is meant: Exact or NotOlderThan." },
	[P_SEND_INITIAL] = { "sendInitialEvents", "boolean", "query", "sendInitialEvents-rLXlEK_k",
			     "Begin a watch with the objects that are there." },
	[P_SHARD] = { "shardSelector", "string", "query", "shardSelector-Kgyki_3_", "Only the objects of one shard." },
	[P_TIMEOUT] = { "timeoutSeconds", "integer", "query", "timeoutSeconds-yvYezaOC", "End the call after so long." },
	[P_WATCH] = { "watch", "boolean", "query", "watch-XNNPZGbK", "Send changes as they happen." },
	[P_PRETTY] = { "pretty", "string", "query", "pretty-tJGM1-ng", "Indent the answer." },
	[P_DRY_RUN] = { "dryRun", "string", "query", NULL, "All: do everything but store it." },
	[P_MANAGER] = { "fieldManager", "string", "query", "fieldManager-Qy4HdaTW", "Who makes the change." },
	[P_PATCH_MANAGER] = { "fieldManager", "string", "query", "fieldManager-7c6nTn1T",
			      "Who makes the change; required for apply." },
	[P_VALIDATION] = { "fieldValidation", "string", "query", NULL, "What becomes of unknown fields: Ignore, Warn or Strict." },
	[P_FORCE] = { "force", "boolean", "query", "force-tOGGb0Yi", "Apply: take fields over from other managers." },
	[P_GRACE] = { "gracePeriodSeconds", "integer", "query", "gracePeriodSeconds--K5HaBOS", "Time to end in." },
	[P_IGNORE_READ] = { "ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "query",
			    "ignoreStoreReadErrorWithClusterBreakingPotential-QbNkfIqj", "Delete what cannot be read any more." },
	[P_ORPHAN] = { "orphanDependents", "boolean", "query", "orphanDependents-uRB25kX5", "Old form of propagationPolicy." },
	[P_PROPAGATION] = { "propagationPolicy", "string", "query", "propagationPolicy-6jk3prlO",
			    "What becomes of dependents: Orphan, Background or Foreground." },
	[P_NAME] = { "name", "string", "path", NULL, "Name of the object." },
	[P_NAMESPACE] = { "namespace", "string", "path", "namespace-vgWSWtn3", "Namespace of the object." },
	[P_PATH] = { "path", "string", "path", "path-z6Ciiujn", "Path behind the proxy." },
	[P_POD_PROXY_PATH] = { "path", "string", "query", "path-oPbzgLUj", "Path within the pod." },
	[P_SERVICE_PROXY_PATH] = { "path", "string", "query", "path-QCf0eosM", "Path within the service." },
	[P_NODE_PROXY_PATH] = { "path", "string", "query", "path-rFDtV0x9", "Path within the node's kubelet." },
	[P_COMMAND] = { "command", "string", "query", "command-Py3eQybp", "What to run, one argument each." },
	[P_EXEC_CONTAINER] = { "container", "string", "query", "container-i5dOmRiM", "Container to run in." },
	[P_EXEC_STDERR] = { "stderr", "boolean", "query", "stderr-W_1TNlWc", "Send standard error." },
	[P_EXEC_STDIN] = { "stdin", "boolean", "query", "stdin-PSzNhyUC", "Take standard input." },
	[P_EXEC_STDOUT] = { "stdout", "boolean", "query", "stdout--EZLRwV1", "Send standard output." },
	[P_EXEC_TTY] = { "tty", "boolean", "query", "tty-s0flW37O", "Give it a terminal." },
	[P_ATTACH_CONTAINER] = { "container", "string", "query", "container-_Q-EJ3nR", "Container to attach to." },
	[P_ATTACH_STDERR] = { "stderr", "boolean", "query", "stderr-26jJhFUR", "Send standard error." },
	[P_ATTACH_STDIN] = { "stdin", "boolean", "query", "stdin-sEFnN3IS", "Take standard input." },
	[P_ATTACH_STDOUT] = { "stdout", "boolean", "query", "stdout-005YMKE6", "Send standard output." },
	[P_ATTACH_TTY] = { "tty", "boolean", "query", "tty-g7MlET_l", "It has a terminal." },
	[P_PORTS] = { "ports", "integer", "query", "ports-91KROJmm", "Ports to forward." },
	[P_LOG_CONTAINER] = { "container", "string", "query", "container-1GeXxFDC", "Container whose log is read." },
	[P_FOLLOW] = { "follow", "boolean", "query", "follow-9OIXh_2R", "Go on sending what is written." },
	[P_SKIP_TLS] = { "insecureSkipTLSVerifyBackend", "boolean", "query", "insecureSkipTLSVerifyBackend-gM00jVbe",
			 "Do not check the kubelet's certificate." },
	[P_LIMIT_BYTES] = { "limitBytes", "integer", "query", "limitBytes-zwd1RXuc", "At most so many bytes." },
	[P_PREVIOUS] = { "previous", "boolean", "query", "previous-1jxDPu3y", "The log of the run before." },
	[P_SINCE] = { "sinceSeconds", "integer", "query", "sinceSeconds-vE2NLdnP", "Only what is younger." },
	[P_STREAM] = { "stream", "string", "query", "stream-l-48cgXv", "All, Stdout or Stderr." },
	[P_TAIL] = { "tailLines", "integer", "query", "tailLines-9xQLWHMV", "Only so many lines from the end." },
	[P_TIMESTAMPS] = { "timestamps", "boolean", "query", "timestamps-c17fW1w_", "Put the time in front of each line." },
};

#define BIT(p) (UINT64_C(1) << (p))
static const uint64_t listing = BIT(P_ALLOW_BOOKMARKS) | BIT(P_CONTINUE) | BIT(P_FIELD_SELECTOR) | BIT(P_LABEL_SELECTOR) |
				BIT(P_LIMIT) | BIT(P_RESOURCE_VERSION) | BIT(P_VERSION_MATCH) | BIT(P_SEND_INITIAL) | BIT(P_SHARD) |
				BIT(P_TIMEOUT) | BIT(P_WATCH) | BIT(P_PRETTY);
static const uint64_t writing = BIT(P_DRY_RUN) | BIT(P_MANAGER) | BIT(P_VALIDATION) | BIT(P_PRETTY);
static const uint64_t patching = BIT(P_DRY_RUN) | BIT(P_PATCH_MANAGER) | BIT(P_VALIDATION) | BIT(P_FORCE) | BIT(P_PRETTY);
static const uint64_t deleting = BIT(P_DRY_RUN) | BIT(P_GRACE) | BIT(P_IGNORE_READ) | BIT(P_ORPHAN) | BIT(P_PROPAGATION) |
				 BIT(P_PRETTY);

static const struct json *param_json(struct arena *arena, enum openapi version, enum param p, bool referred)
{
	bool path = strcmp(params[p].in, "path") == 0;
	const struct json *type = json_text(arena, params[p].type), *required = path ? &json_true : NULL;

	if (referred && version == OPENAPI_V2 && params[p].shared != NULL)
		return JSON_OBJECT_OF(arena, { "$ref", json_printf(arena, "#/parameters/%s", params[p].shared) });
	if (version == OPENAPI_V2)
		return JSON_OBJECT_OF(arena, { "uniqueItems", &json_true }, { "type", type },
				      { "description", json_text(arena, params[p].doc) },
				      { "name", json_text(arena, params[p].name) }, { "in", json_text(arena, params[p].in) },
				      { "required", required });
	return JSON_OBJECT_OF(arena, { "name", json_text(arena, params[p].name) }, { "in", json_text(arena, params[p].in) },
			      { "description", json_text(arena, params[p].doc) }, { "required", required },
			      { "schema", JSON_OBJECT_OF(arena, { "type", type }, { "uniqueItems", &json_true }) });
}

static int by_name(const void *a, const void *b)
{
	enum param x = *(const enum param *)a, y = *(const enum param *)b;
	int order = strcmp(params[x].name, params[y].name);

	return order != 0 ? order : strcmp(params[x].in, params[y].in);
}

static void add_params(struct json_builder *to, enum openapi version, uint64_t set)
{
	enum param sorted[P_COUNT];
	size_t n = 0;

	for (int p = 0; p < P_COUNT; p++)
		if ((set & BIT(p)) != 0)
			sorted[n++] = (enum param)p;
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (size_t i = 0; i < n; i++)
		json_builder_item(to, param_json(to->arena, version, sorted[i], true));
}

/* ---- operations ---- */

enum body { BODY_NONE, BODY_TYPE, BODY_PATCH, BODY_DELETE };
enum answer { ANSWER_TYPE, ANSWER_TEXT };

struct operation {
	const char *method;
	const char *action; /* x-kubernetes-action, or NULL */
	struct str id;
	uint64_t params;
	enum body body;
	enum answer answer;
	struct str type;        /* full name of what is sent and answered */
	struct str reply;       /* when the answer is another type */
	bool created, accepted; /* 201 and 202 beside 200 */
	bool streams;           /* a list or a watch */
	bool log;
	const char *only_type; /* of fixed paths that are no API: what they send */
	struct str group, version, kind;
};

struct document {
	struct arena *arena;
	enum openapi version;
	struct str group, name; /* version 3: only kinds of this group and version */
	bool custom;            /* the kind at hand knows no protobuf and no strategic patches */
	struct json_builder paths;
	bool *used;   /* types referred to, by id */
	bool patches; /* some path takes patches */
	/* of the path that is being made */
	struct operation operations[8];
	size_t n;
	struct str tag;
};

static const struct json *media(struct document *d, const struct json *schema, const char *const *types, size_t n)
{
	struct json_builder b = { .arena = d->arena };

	for (size_t i = 0; i < n; i++)
		json_builder_member(&b, str_from(types[i]), JSON_OBJECT_OF(d->arena, { "schema", schema }));
	json_builder_sort(&b);
	return json_builder_object(&b);
}

static const char *const plain_types[] = { "application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
					   "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch" };
static const char *const log_types[] = { "text/plain", "application/json", "application/yaml",
					 "application/vnd.kubernetes.protobuf" };
static const char *const patch_types[] = { "application/json-patch+json", "application/merge-patch+json",
					   "application/strategic-merge-patch+json", "application/apply-patch+yaml" };

static const char *const custom_patch_types[] = { "application/json-patch+json", "application/merge-patch+json",
						  "application/apply-patch+yaml" };

static const struct json *list_of(struct arena *arena, const char *const *texts, size_t n)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < n; i++)
		json_builder_item(&b, json_text(arena, texts[i]));
	return json_builder_array(&b);
}

static void note_use(struct document *d, struct str full_name)
{
	ptrdiff_t dot = str_rfind(full_name, '.');
	const struct type *type = type_find_full(str_head(full_name, (size_t)dot), str_skip(full_name, (size_t)dot + 1));

	if (type != NULL)
		d->used[type->id] = true;
}

static const struct json *answer_json(struct document *d, const struct operation *o)
{
	const struct json *schema;
	size_t n = d->custom ? 2 : o->streams ? 5 : 3;

	if (o->answer == ANSWER_TEXT) {
		schema = JSON_OBJECT_OF(d->arena, { "type", json_text(d->arena, "string") });
	} else {
		struct str type = o->reply.len != 0 ? o->reply : o->type;
		note_use(d, type);
		schema = openapi_ref(d->arena, d->version, type);
	}
	if (d->version == OPENAPI_V2)
		return JSON_OBJECT_OF(d->arena, { "description", json_text(d->arena, "OK") }, { "schema", schema });
	if (o->answer == ANSWER_TEXT && !o->log)
		return JSON_OBJECT_OF(d->arena, { "description", json_text(d->arena, "OK") },
				      { "content", media(d, schema, (const char *const[]){ "*/*" }, 1) });
	return JSON_OBJECT_OF(d->arena, { "description", json_text(d->arena, "OK") },
			      { "content", o->log ? media(d, schema, log_types, 4) : media(d, schema, plain_types, n) });
}

static const struct json *responses(struct document *d, const struct operation *o)
{
	const struct json *ok = answer_json(d, o);

	return JSON_OBJECT_OF(d->arena, { "200", ok }, { "201", o->created ? ok : NULL }, { "202", o->accepted ? ok : NULL },
			      { "401", JSON_OBJECT_OF(d->arena, { "description", json_text(d->arena, "Unauthorized") }) });
}

static struct str body_type(const struct operation *o)
{
	return o->body == BODY_PATCH ? STR(META "Patch") : o->body == BODY_DELETE ? STR(META "DeleteOptions") : o->type;
}

static const struct json *body_v2(struct document *d, const struct operation *o)
{
	if (o->body == BODY_PATCH)
		return JSON_OBJECT_OF(d->arena, { "$ref", json_text(d->arena, "#/parameters/body-78PwaGsr") });
	if (o->body == BODY_DELETE)
		return JSON_OBJECT_OF(d->arena, { "$ref", json_text(d->arena, "#/parameters/body-2Y1dVQaQ") });
	return JSON_OBJECT_OF(d->arena, { "name", json_text(d->arena, "body") }, { "in", json_text(d->arena, "body") },
			      { "required", &json_true }, { "schema", openapi_ref(d->arena, d->version, body_type(o)) });
}

static const struct json *body_v3(struct document *d, const struct operation *o)
{
	const struct json *schema = openapi_ref(d->arena, d->version, body_type(o));
	const char *const *patches = d->custom ? custom_patch_types : patch_types;
	const struct json *content = o->body == BODY_PATCH ? media(d, schema, patches, d->custom ? 3 : 4)
							   : media(d, schema, (const char *const[]){ "*/*" }, 1);

	return JSON_OBJECT_OF(d->arena, { "content", content }, { "required", o->body == BODY_DELETE ? NULL : &json_true });
}

static const struct json *operation_params(struct document *d, const struct operation *o, uint64_t shared)
{
	struct json_builder b = { .arena = d->arena };

	if (o->body != BODY_NONE && d->version == OPENAPI_V2)
		json_builder_item(&b, body_v2(d, o));
	add_params(&b, d->version, o->params & ~shared);
	return b.len == 0 ? NULL : json_builder_array(&b);
}

static const struct json *operation_json(struct document *d, const struct operation *o, uint64_t shared)
{
	struct arena *a = d->arena;
	bool connect = o->action != NULL && strcmp(o->action, "connect") == 0, v2 = d->version == OPENAPI_V2;
	static const char *const anything[] = { "*/*" }, *const https[] = { "https" };
	const struct json *produces = o->only_type != NULL ? list_of(a, &o->only_type, 1)
				      : o->log             ? list_of(a, log_types, 4)
				      : connect            ? list_of(a, anything, 1)
							   : list_of(a, plain_types,
                                                          d->custom    ? 2
								     : o->streams ? 5
										  : 3);
	const struct json *consumes = o->only_type != NULL ? (o->answer == ANSWER_TEXT ? NULL : produces)
				      : o->body == BODY_PATCH
					      ? (d->custom ? list_of(a, custom_patch_types, 3) : list_of(a, patch_types, 4))
				      : o->action == NULL ? list_of(a, plain_types, 3)
							  : list_of(a, anything, 1);
	const struct json *gvk = JSON_OBJECT_OF(a, { "group", json_string(a, o->group) }, { "kind", json_string(a, o->kind) },
						{ "version", json_string(a, o->version) });

	if (o->body != BODY_NONE)
		note_use(d, body_type(o));
	d->patches |= o->body == BODY_PATCH;
	return JSON_OBJECT_OF(a, { "consumes", v2 ? consumes : NULL }, { "produces", v2 ? produces : NULL },
			      { "schemes", v2 ? list_of(a, https, 1) : NULL }, { "tags", JSON_ARRAY_OF(a, json_string(a, d->tag)) },
			      { "operationId", json_string(a, o->id) }, { "parameters", operation_params(d, o, shared) },
			      { "requestBody", !v2 && o->body != BODY_NONE ? body_v3(d, o) : NULL },
			      { "responses", responses(d, o) }, { "x-kubernetes-action", json_text(a, o->action) },
			      { "x-kubernetes-group-version-kind", o->action != NULL ? gvk : NULL });
}

static void finish_path(struct document *d, struct str path)
{
	struct json_builder item = { .arena = d->arena }, shared_list = { .arena = d->arena };
	uint64_t shared = UINT64_MAX;

	for (size_t i = 0; i < d->n; i++)
		shared &= d->operations[i].params;
	for (size_t i = 0; i < d->n; i++)
		json_builder_member(&item, str_from(d->operations[i].method), operation_json(d, &d->operations[i], shared));
	add_params(&shared_list, d->version, d->n == 0 ? 0 : shared);
	if (shared_list.len != 0)
		json_builder_member(&item, STR("parameters"), json_builder_array(&shared_list));
	if (d->n != 0)
		json_builder_member(&d->paths, path, json_builder_object(&item));
	d->n = 0;
}

static struct operation *add_operation(struct document *d, const struct operation *o)
{
	d->operations[d->n] = *o;
	return &d->operations[d->n++];
}

/* ---- kinds ---- */

/* "RbacAuthorization" or "rbacAuthorization" */
static struct str group_word(struct arena *arena, struct str group, bool capital)
{
	AUTO_BUF struct buf out = { 0 };
	struct str piece;

	if (group.len == 0)
		return capital ? STR("Core") : STR("core");
	if (str_has_suffix(group, STR(".k8s.io")))
		group.len -= 7;
	while (str_cut(&group, '.', &piece)) {
		bool up = capital || out.len != 0;
		buf_putc(&out, up && piece.ptr[0] >= 'a' ? (char)(piece.ptr[0] - 32) : piece.ptr[0]);
		buf_add(&out, str_skip(piece, 1));
	}
	return str_dup(arena, buf_str(&out));
}

struct naming {
	struct document *d;
	const struct kind *kind;
	struct str where;   /* "CoreV1" */
	struct str base;    /* "/apis/apps/v1" */
	uint64_t fixed;     /* namespace, when the path has it */
	const char *spaced; /* "Namespaced" or "" */
};

static struct str full_type(struct document *d, const struct type *type)
{
	return openapi_name(d->arena, type);
}

static struct operation basic(const struct naming *n, const char *method, const char *action)
{
	return (struct operation){ .method = method,
				   .action = action,
				   .type = full_type(n->d, kind_type(n->kind)),
				   .group = kind_group(n->kind),
				   .version = kind_version(n->kind),
				   .kind = kind_name(n->kind) };
}

#define ID(n, ...) str_format((n)->d->arena, __VA_ARGS__)

static bool can(const struct naming *n, enum verb verb)
{
	return (kind_verbs(n->kind) & 1u << verb) != 0;
}

static void add_list(const struct naming *n, const char *spaced, const char *suffix)
{
	struct operation o = basic(n, "get", "list");

	o.id = ID(n, "list%.*s%s%.*s%s", STR_ARG(n->where), spaced, STR_ARG(kind_name(n->kind)), suffix);
	o.params = listing | (spaced[0] != 0 ? n->fixed : 0);
	o.reply = full_type(n->d, kind_list_type(n->kind));
	o.streams = true;
	add_operation(n->d, &o);
}

static void collection_path(const struct naming *n)
{
	struct operation o;

	if (can(n, VERB_LIST))
		add_list(n, n->spaced, "");
	if (can(n, VERB_CREATE)) {
		o = basic(n, "post", "post");
		o.id = ID(n, "create%.*s%s%.*s", STR_ARG(n->where), n->spaced, STR_ARG(kind_name(n->kind)));
		o.params = writing | n->fixed;
		o.body = BODY_TYPE;
		o.created = o.accepted = true;
		add_operation(n->d, &o);
	}
	if (can(n, VERB_DELETECOLLECTION)) {
		o = basic(n, "delete", "deletecollection");
		o.id = ID(n, "delete%.*sCollection%s%.*s", STR_ARG(n->where), n->spaced, STR_ARG(kind_name(n->kind)));
		o.params = (listing | deleting | n->fixed) & ~(BIT(P_ALLOW_BOOKMARKS) | BIT(P_WATCH));
		o.body = BODY_DELETE;
		o.reply = STR(META "Status");
		add_operation(n->d, &o);
	}
	finish_path(n->d, ID(n, "%.*s%s/%.*s", STR_ARG(n->base), n->fixed != 0 ? "/namespaces/{namespace}" : "",
			     STR_ARG(kind_resource(n->kind))));
}

/* Kinds whose deletion answers with the object, because it may go on living for a while. */
static bool answers_with_itself(const struct kind *kind)
{
	static const char *const names[] = { "PersistentVolume",
					     "PersistentVolumeClaim",
					     "Pod",
					     "PodTemplate",
					     "ResourceQuota",
					     "Service",
					     "ServiceAccount",
					     "CSIDriver",
					     "CSINode",
					     "StorageClass",
					     "VolumeAttachment",
					     "VolumeAttributesClass",
					     "ResourceClaim",
					     "ResourceClaimTemplate",
					     "ResourceSlice",
					     "DeviceClass" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_is(kind_name(kind), names[i]))
			return true;
	return false;
}

static void add_get_put_patch(const struct naming *n, const struct operation *like, struct str what, uint32_t verbs)
{
	static const struct {
		enum verb verb;
		const char *method, *word;
	} ways[] = { { VERB_GET, "get", "read" }, { VERB_UPDATE, "put", "replace" }, { VERB_PATCH, "patch", "patch" } };

	for (size_t i = 0; i < 3; i++) {
		struct operation o = *like;
		if ((verbs & 1u << ways[i].verb) == 0)
			continue;
		o.method = o.action = ways[i].method;
		o.id = ID(n, "%s%.*s%s%.*s", ways[i].word, STR_ARG(n->where), n->spaced, STR_ARG(what));
		o.params = n->fixed | BIT(P_NAME) | (i == 0 ? BIT(P_PRETTY) : i == 1 ? writing : patching);
		o.body = i == 0 ? BODY_NONE : i == 1 ? BODY_TYPE : BODY_PATCH;
		o.created = i != 0;
		add_operation(n->d, &o);
	}
}

static struct str item_path(const struct naming *n, const char *suffix)
{
	return ID(n, "%.*s%s/%.*s/{name}%s", STR_ARG(n->base), n->fixed != 0 ? "/namespaces/{namespace}" : "",
		  STR_ARG(kind_resource(n->kind)), suffix);
}

static void named_path(const struct naming *n)
{
	struct operation like = basic(n, NULL, NULL);

	add_get_put_patch(n, &like, kind_name(n->kind), kind_verbs(n->kind));
	if (can(n, VERB_DELETE)) {
		struct operation o = basic(n, "delete", "delete");
		o.id = ID(n, "delete%.*s%s%.*s", STR_ARG(n->where), n->spaced, STR_ARG(kind_name(n->kind)));
		o.params = deleting | n->fixed | BIT(P_NAME);
		o.body = BODY_DELETE;
		o.accepted = true;
		o.reply = answers_with_itself(n->kind) ? (struct str){ 0 } : STR(META "Status");
		add_operation(n->d, &o);
	}
	finish_path(n->d, item_path(n, ""));
}

/* ---- subresources ---- */

static uint64_t connect_params(struct str sub, struct str kind)
{
	if (str_is(sub, "exec"))
		return BIT(P_COMMAND) | BIT(P_EXEC_CONTAINER) | BIT(P_EXEC_STDERR) | BIT(P_EXEC_STDIN) | BIT(P_EXEC_STDOUT) |
		       BIT(P_EXEC_TTY);
	if (str_is(sub, "attach"))
		return BIT(P_ATTACH_CONTAINER) | BIT(P_ATTACH_STDERR) | BIT(P_ATTACH_STDIN) | BIT(P_ATTACH_STDOUT) |
		       BIT(P_ATTACH_TTY);
	if (str_is(sub, "portforward"))
		return BIT(P_PORTS);
	return BIT(str_is(kind, "Pod") ? P_POD_PROXY_PATH : str_is(kind, "Node") ? P_NODE_PROXY_PATH : P_SERVICE_PROXY_PATH);
}

static void connect_path(const struct naming *n, const struct subresource *sub, struct str what, bool with_path)
{
	static const char *const methods[][2] = { { "get", "Get" },       { "post", "Post" },       { "put", "Put" },
						  { "delete", "Delete" }, { "options", "Options" }, { "head", "Head" },
						  { "patch", "Patch" } };
	bool proxy = str_is(subresource_name(sub), "proxy");

	for (size_t i = 0; i < (proxy ? 7 : 2); i++) {
		struct operation o = basic(n, methods[i][0], "connect");
		o.id = ID(n, "connect%.*s%s%s%.*s%s", STR_ARG(n->where), methods[i][1], n->spaced, STR_ARG(what),
			  with_path ? "WithPath" : "");
		o.params = n->fixed | BIT(P_NAME) | connect_params(subresource_name(sub), kind_name(n->kind)) |
			   (with_path ? BIT(P_PATH) : 0);
		o.answer = ANSWER_TEXT;
		o.kind = subresource_kind(sub);
		add_operation(n->d, &o);
	}
	finish_path(n->d,
		    item_path(n, arena_printf(n->d->arena, "/%.*s%s", STR_ARG(subresource_name(sub)), with_path ? "/{path}" : "")));
}

static void subresource_path(const struct naming *n, const struct subresource *sub)
{
	struct str name = subresource_name(sub);
	char first = (char)(name.ptr[0] - 32);
	struct str what = ID(n, "%.*s%c%.*s", STR_ARG(kind_name(n->kind)), first, STR_ARG(str_skip(name, 1)));
	bool other = subresource_version(sub).len != 0;
	struct operation like = basic(n, NULL, NULL);

	if (str_has_suffix(subresource_kind(sub), STR("Options"))) {
		connect_path(n, sub, what, false);
		if (str_is(name, "proxy"))
			connect_path(n, sub, what, true);
		return;
	}
	like.kind = subresource_kind(sub);
	like.group = other ? subresource_group(sub) : like.group;
	like.version = other ? subresource_version(sub) : like.version;
	const struct type *type = type_find_named(like.group, like.version, like.kind);
	like.type = full_type(n->d, type);
	if (str_is(name, "log")) {
		like.answer = ANSWER_TEXT;
		like.log = true;
	}
	add_get_put_patch(n, &like, what, sub->verbs);
	if (like.log)
		n->d->operations[0].params |= BIT(P_LOG_CONTAINER) | BIT(P_FOLLOW) | BIT(P_SKIP_TLS) | BIT(P_LIMIT_BYTES) |
					      BIT(P_PREVIOUS) | BIT(P_SINCE) | BIT(P_STREAM) | BIT(P_TAIL) | BIT(P_TIMESTAMPS);
	if ((sub->verbs & VERB(CREATE)) != 0) {
		struct operation o = like;
		o.method = o.action = "post";
		o.id = ID(n, "create%.*s%s%.*s", STR_ARG(n->where), n->spaced, STR_ARG(what));
		o.params = writing | n->fixed | BIT(P_NAME);
		o.body = BODY_TYPE;
		o.created = o.accepted = true;
		add_operation(n->d, &o);
	}
	finish_path(n->d, item_path(n, arena_printf(n->d->arena, "/%.*s", STR_ARG(name))));
}

/* ---- watches by path, as they once were ---- */

static void watch_path(const struct naming *n, const char *spaced, const char *list, bool named)
{
	struct operation o = basic(n, "get", named ? "watch" : "watchlist");
	uint64_t fixed = spaced[0] != 0 ? n->fixed : 0;

	o.id = ID(n, "watch%.*s%s%.*s%s", STR_ARG(n->where), spaced, STR_ARG(kind_name(n->kind)), list);
	o.params = listing | fixed | (named ? BIT(P_NAME) : 0);
	o.reply = STR(META "WatchEvent");
	o.streams = true;
	add_operation(n->d, &o);
	finish_path(n->d, ID(n, "%.*s/watch%s/%.*s%s", STR_ARG(n->base), fixed != 0 ? "/namespaces/{namespace}" : "",
			     STR_ARG(kind_resource(n->kind)), named ? "/{name}" : ""));
}

static void kind_paths(struct document *d, const struct kind *kind)
{
	struct arena *a = d->arena;
	struct naming n = { .d = d,
			    .kind = kind,
			    .spaced = kind_namespaced(kind) ? "Namespaced" : "",
			    .fixed = kind_namespaced(kind) ? BIT(P_NAMESPACE) : 0 };
	struct str version = kind_version(kind);

	d->custom = (kind->flags & KIND_CUSTOM) != 0;
	n.where = str_format(a, "%.*sV%.*s", STR_ARG(group_word(a, kind_group(kind), true)), STR_ARG(str_skip(version, 1)));
	n.base = str_format(a, "%s%.*s", kind_group(kind).len == 0 ? "/api/" : "/apis/", STR_ARG(kind_api_version(kind)));
	d->tag = str_format(a, "%.*s_%.*s", STR_ARG(group_word(a, kind_group(kind), false)), STR_ARG(version));
	if (kind_namespaced(kind) && can(&n, VERB_LIST)) {
		add_list(&n, "", "ForAllNamespaces");
		finish_path(d, str_format(a, "%.*s/%.*s", STR_ARG(n.base), STR_ARG(kind_resource(kind))));
	}
	collection_path(&n);
	named_path(&n);
	for (size_t i = 0; i < kind->subresources.n; i++)
		subresource_path(&n, kind_subresource_at(kind, i));
	if (!can(&n, VERB_WATCH))
		return;
	if (!d->custom) {
		watch_path(&n, "", kind_namespaced(kind) ? "ListForAllNamespaces" : "List", false);
		if (kind_namespaced(kind))
			watch_path(&n, "Namespaced", "List", false);
		watch_path(&n, n.spaced, "", true);
	}
	d->custom = false;
}

/* ---- paths that are no resources ---- */

static void fixed_path(struct document *d, const char *path, const char *tag, const char *id, const char *type,
		       const char *only_type)
{
	struct operation o = {
		.method = "get", .id = str_dup(d->arena, str_from(id)), .type = str_from(type), .only_type = only_type
	};

	d->tag = str_dup(d->arena, str_from(tag));
	if (type[0] == 0)
		o.answer = ANSWER_TEXT;
	add_operation(d, &o);
	finish_path(d, str_dup(d->arena, str_from(path)));
}

static void version_path(struct document *d, struct str group, struct str version)
{
	struct arena *a = d->arena;
	struct str word = group_word(a, group, false), id = group_word(a, group, true);

	fixed_path(d, arena_printf(a, "/api%s%.*s%s%.*s/", group.len == 0 ? "" : "s/", STR_ARG(group), "/", STR_ARG(version)),
		   arena_printf(a, "%.*s_%.*s", STR_ARG(word), STR_ARG(version)),
		   arena_printf(a, "get%.*sV%.*sAPIResources", STR_ARG(id), STR_ARG(str_skip(version, 1))), META "APIResourceList",
		   NULL);
}

static void static_paths(struct document *d)
{
	struct arena *a = d->arena;

	fixed_path(d, "/api/", "core", "getCoreAPIVersions", META "APIVersions", NULL);
	fixed_path(d, "/apis/", "apis", "getAPIVersions", META "APIGroupList", NULL);
	fixed_path(d, "/version/", "version", "getCodeVersion", "io.k8s.apimachinery.pkg.version.Info", "application/json");
	fixed_path(d, "/.well-known/openid-configuration/", "WellKnown", "getServiceAccountIssuerOpenIDConfiguration", "",
		   "application/json");
	fixed_path(d, "/openid/v1/jwks/", "openid", "getServiceAccountIssuerOpenIDKeyset", "", "application/jwk-set+json");
	for (size_t i = 0; i < groups_len(); i++) {
		const struct api_group *group = groups_at(i);
		struct str name = str_from(group->name);
		if (name.len != 0)
			fixed_path(d, arena_printf(a, "/apis/%s/", group->name), str_cstr(a, group_word(a, name, false)),
				   arena_printf(a, "get%.*sAPIGroup", STR_ARG(group_word(a, name, true))), META "APIGroup", NULL);
		for (int k = 0; k < group->n_versions; k++)
			version_path(d, name, str_from(group->versions[k]));
	}
}

/* ---- whole documents ---- */

static const struct json *version_info(struct arena *arena)
{
	static const char *const required[] = { "major",     "minor",     "gitVersion", "gitCommit", "gitTreeState",
						"buildDate", "goVersion", "compiler",   "platform" };
	static const char *const optional[] = { "emulationMajor", "emulationMinor", "minCompatibilityMajor",
						"minCompatibilityMinor" };
	struct json_builder properties = { .arena = arena };
	const struct json *text = JSON_OBJECT_OF(arena, { "type", json_text(arena, "string") });

	for (size_t i = 0; i < 9; i++)
		json_builder_member(&properties, str_from(required[i]), text);
	for (size_t i = 0; i < 4; i++)
		json_builder_member(&properties, str_from(optional[i]), text);
	json_builder_sort(&properties);
	return JSON_OBJECT_OF(arena, { "type", json_text(arena, "object") }, { "required", list_of(arena, required, 9) },
			      { "properties", json_builder_object(&properties) });
}

static bool defined(const struct type *type)
{
	return type_package(type).len != 0 && (type->flags & TYPE_UNPUBLISHED) == 0;
}

static void custom_definitions(struct document *d, struct json_builder *to)
{
	for (size_t i = 0; i < custom_kinds_len(); i++) {
		const struct kind *kind = custom_kinds_at(i);
		if (d->version == OPENAPI_V3 && (!str_eq(kind_group(kind), d->group) || !str_eq(kind_version(kind), d->name)))
			continue;
		json_builder_member(to, full_type(d, kind_type(kind)), openapi_custom(d->arena, d->version, kind));
		json_builder_member(to, full_type(d, kind_list_type(kind)), openapi_custom_list(d->arena, d->version, kind));
		note_use(d, STR(META "ObjectMeta"));
		note_use(d, STR(META "ListMeta"));
	}
}

static const struct json *definitions(struct document *d)
{
	struct json_builder b = { .arena = d->arena };
	bool again = true;
	bool *done = ARENA_ARRAY(d->arena, bool, types_len());

	custom_definitions(d, &b);
	while (again) {
		again = false;
		for (size_t i = 0; i < types_len(); i++) {
			if (!d->used[i] || done[i])
				continue;
			json_builder_member(&b, openapi_name(d->arena, types_at(i)),
					    openapi_schema(d->arena, d->version, types_at(i), d->used));
			done[i] = again = true;
		}
	}
	if (d->patches)
		json_builder_member(&b, STR(META "Patch"), JSON_OBJECT_OF(d->arena, { "type", json_text(d->arena, "object") }));
	if (d->version == OPENAPI_V2)
		json_builder_member(&b, STR("io.k8s.apimachinery.pkg.version.Info"), version_info(d->arena));
	json_builder_sort(&b);
	return json_builder_object(&b);
}

static const struct json *shared_params(struct arena *arena)
{
	struct json_builder b = { .arena = arena };
	const struct json *body = json_text(arena, "body");

	for (int p = 0; p < P_COUNT; p++)
		if (params[p].shared != NULL)
			json_builder_member(&b, str_from(params[p].shared), param_json(arena, OPENAPI_V2, (enum param)p, false));
	json_builder_member(&b, STR("body-2Y1dVQaQ"),
			    JSON_OBJECT_OF(arena, { "name", body }, { "in", body },
					   { "schema", openapi_ref(arena, OPENAPI_V2, STR(META "DeleteOptions")) }));
	json_builder_member(&b, STR("body-78PwaGsr"),
			    JSON_OBJECT_OF(arena, { "name", body }, { "in", body }, { "required", &json_true },
					   { "schema", openapi_ref(arena, OPENAPI_V2, STR(META "Patch")) }));
	json_builder_sort(&b);
	return json_builder_object(&b);
}

static const struct json *token_scheme(struct arena *arena)
{
	return JSON_OBJECT_OF(arena,
			      { "BearerToken", JSON_OBJECT_OF(arena, { "type", json_text(arena, "apiKey") },
							      { "description", json_text(arena, "Bearer Token authentication") },
							      { "name", json_text(arena, "authorization") },
							      { "in", json_text(arena, "header") }) });
}

static const struct json *info(struct arena *arena)
{
	return JSON_OBJECT_OF(arena, { "title", json_text(arena, "Kubernetes") }, { "version", json_text(arena, "1.36") });
}

const struct json *openapi_v2(struct arena *arena)
{
	struct document d = { .arena = arena, .version = OPENAPI_V2, .paths = { .arena = arena } };

	d.used = ARENA_ARRAY(arena, bool, types_len());
	static_paths(&d);
	for (size_t i = 0; i < kinds_len(); i++)
		kind_paths(&d, kinds_at(i));
	for (size_t i = 0; i < types_len(); i++)
		d.used[i] = defined(types_at(i));
	json_builder_sort(&d.paths);
	const struct json *paths = json_builder_object(&d.paths);
	return JSON_OBJECT_OF(arena, { "swagger", json_text(arena, "2.0") }, { "info", info(arena) }, { "paths", paths },
			      { "definitions", definitions(&d) }, { "parameters", shared_params(arena) },
			      { "securityDefinitions", token_scheme(arena) },
			      { "security", JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "BearerToken", &json_empty_array })) });
}

void api_write_openapi_v2(struct buf *out)
{
	struct arena *arena = arena_new();

	json_write(out, openapi_v2(arena));
	arena_free(arena);
}

bool api_write_openapi_v3(struct buf *out, struct str group, struct str version)
{
	struct arena *arena = arena_new();
	struct document d = { .arena = arena, .version = OPENAPI_V3, .group = group, .name = version, .paths = { .arena = arena } };
	bool any = false, custom = false;

	d.used = ARENA_ARRAY(arena, bool, types_len());
	for (size_t i = 0; i < kinds_len(); i++) {
		const struct kind *kind = kinds_at(i);
		if (!str_eq(kind_group(kind), group) || !str_eq(kind_version(kind), version))
			continue;
		kind_paths(&d, kind);
		any = true;
		custom = custom || (kind->flags & KIND_CUSTOM) != 0;
	}
	if (any) {
		if (!custom)
			version_path(&d, group, version);
		json_builder_sort(&d.paths);
		const struct json *components =
			JSON_OBJECT_OF(arena, { "schemas", definitions(&d) }, { "securitySchemes", token_scheme(arena) });
		json_write(out, JSON_OBJECT_OF(arena, { "openapi", json_text(arena, "3.0.0") }, { "info", info(arena) },
					       { "paths", json_builder_object(&d.paths) }, { "components", components }));
	}
	arena_free(arena);
	return any;
}

uint64_t api_openapi_v3_hash(struct str group, struct str version)
{
	uint64_t hash = catalog_hash();

	for (size_t i = 0; i < custom_kinds_len(); i++)
		if (str_eq(kind_group(custom_kinds_at(i)), group) && str_eq(kind_version(custom_kinds_at(i)), version))
			hash = hash * 31 + custom_hash(custom_kinds_at(i));
	return hash;
}

void api_write_openapi_v3_index(struct buf *out)
{
	struct arena *arena = arena_new();
	struct json_builder paths = { .arena = arena };

	for (size_t i = 0; i < groups_len(); i++) {
		for (int k = 0; k < groups_at(i)->n_versions; k++) {
			const char *name = groups_at(i)->name;
			uint64_t hash = api_openapi_v3_hash(str_from(name), str_from(groups_at(i)->versions[k]));
			struct str path =
				str_format(arena, "api%s%s/%s", name[0] == 0 ? "" : "s/", name, groups_at(i)->versions[k]);
			json_builder_member(&paths, path,
					    JSON_OBJECT_OF(arena, { "serverRelativeURL",
								    json_printf(arena, "/openapi/v3/%.*s?hash=%016llX",
										STR_ARG(path), (unsigned long long)hash) }));
		}
	}
	json_builder_sort(&paths);
	json_write(out, JSON_OBJECT_OF(arena, { "paths", json_builder_object(&paths) }));
	arena_free(arena);
}
