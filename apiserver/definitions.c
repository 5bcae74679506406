/*
 * CustomResourceDefinitions come true: names are accepted, kinds are served, instances go with their definition.
 *
 * It reads the store and writes through the same requests as anybody: what a definition's status should say is decided from
 * its state and the others'; when it says something else it is written, and that write's event comes back here. A definition
 * that is Established is served by what its spec says now.
 * k8s.io/apiextensions-apiserver/pkg/controller: status, establish, apiapproval, finalizer.
 */
#include <stdlib.h>

#include "apiserver/verbs/verbs.h"

#define ACTOR     "system:kube-apiserver"
#define FINALIZER "customresourcecleanup.apiextensions.k8s.io"

struct definition {
	struct definitions *all;
	char *name;
	struct custom *custom; /* what is served; NULL: nothing */
	uint64_t spec;         /* hash of what it was made of */
	bool busy;             /* a call is under way */
	bool stale;            /* looked at again when it is over */
	struct loop_timer again;
};

struct definitions {
	struct apiserver *server;
	const struct kind *kind;
	struct store_watch *watch;
	struct loop_call pull;
	struct map by_name; /* struct definition */
};

static void look_at(struct definition *def);

static struct definition *definition_of(struct definitions *all, struct str name)
{
	struct definition *def = map_find(&all->by_name, name);

	if (def != NULL)
		return def;
	def = xcalloc(1, sizeof(*def));
	def->all = all;
	def->name = xasprintf("%.*s", STR_ARG(name));
	def->again.weak = true;
	map_set(&all->by_name, name, def);
	return def;
}

static void stop_serving(struct definition *def)
{
	if (def->custom == NULL)
		return;
	apiserver_unregister(def->all->server, def->custom);
	custom_unref(def->custom);
	def->custom = NULL;
}

static void definition_free(struct definition *def)
{
	loop_timer_stop(&def->again);
	stop_serving(def);
	free(def->name);
	free(def);
}

/* --- serving --- */

static const struct json *condition_of(const struct json *tree, const char *type)
{
	JSON_EACH (json_path(tree, "status.conditions"), it)
		if (str_is(json_get_str(it.value, "type"), type))
			return it.value;
	return NULL;
}

static bool condition_is(const struct json *tree, const char *type, const char *status)
{
	return str_is(json_get_str(condition_of(tree, type), "status"), status);
}

/* k8s.io/apiserver/pkg/endpoints/discovery: StorageVersionHash. */
static struct str storage_hash(struct arena *arena, const struct json *spec)
{
	uint8_t sum[SHA256_BYTES];
	AUTO_BUF struct buf text = { 0 };

	JSON_EACH (json_get(spec, "versions"), it)
		if (json_bool(json_get(it.value, "storage")))
			pki_sha256(str_format(arena, "%.*s/%.*s/%.*s", STR_ARG(json_get_str(spec, "group")),
					      STR_ARG(json_get_str(it.value, "name")), STR_ARG(json_path_str(spec, "names.kind"))),
				   sum);
	base64_encode(&text, str_of((const char *)sum, 8));
	return str_dup(arena, buf_str(&text));
}

/* Served is what was accepted, as far as names go, and the spec for the rest. */
static void serve(struct definition *def, const struct json *tree)
{
	struct arena *arena = arena_new();
	const struct json *spec = json_with(arena, json_get(tree, "spec"), "names", json_path(tree, "status.acceptedNames"));
	uint64_t hash = str_hash(json_format(arena, spec));
	struct custom *custom = NULL;
	struct error *err;

	if (def->custom == NULL || def->spec != hash) {
		err = custom_new(spec, storage_hash(arena, spec), &custom);
		if (err != NULL) {
			log_consume(LOG_WARN, err, "definition cannot be served");
		} else {
			stop_serving(def);
			def->custom = custom;
			def->spec = hash;
			apiserver_register(def->all->server, custom);
		}
	}
	arena_free(arena);
	if (def->custom != NULL)
		custom_close(def->custom, condition_is(tree, "Terminating", "True"));
}

/* --- what the status should say --- */

struct names {
	struct arena *arena;
	const struct json *wanted, *accepted; /* of the definition */
	struct json_builder resources, kinds; /* what others of its group and itself have */
	const char *reason;
	struct str message;
};

static bool holds_text(const struct json_builder *list, struct str text)
{
	for (size_t i = 0; i < list->len; i++)
		if (str_eq(json_str(list->items[i]), text))
			return true;
	return false;
}

static bool is_free(struct names *n, struct str wanted, struct str accepted, const struct json_builder *taken, const char *reason)
{
	if (str_eq(wanted, accepted) || !holds_text(taken, wanted))
		return true;
	n->reason = reason;
	n->message = str_format(n->arena, "\"%.*s\" is already in use", STR_ARG(wanted));
	return false;
}

static void take_names(struct names *n, const struct json *accepted)
{
	json_builder_item(&n->resources, json_get(accepted, "plural"));
	json_builder_item(&n->resources, json_get(accepted, "singular"));
	JSON_EACH (json_get(accepted, "shortNames"), it)
		json_builder_item(&n->resources, it.value);
	json_builder_item(&n->kinds, json_get(accepted, "kind"));
	json_builder_item(&n->kinds, json_get(accepted, "listKind"));
}

static void find_taken(struct definitions *all, struct names *n, struct str group)
{
	struct store_version *version = store_hold(all->server->options.store);
	struct store_iter it;

	for (bool ok = store_seek(&it, version, list_prefix(n->arena, all->kind, STR("")), STR("")); ok; ok = store_next(&it)) {
		const struct json *tree = object_tree(value_object(all->kind, it.value));

		if (str_eq(json_path_str(tree, "spec.group"), group))
			take_names(n, json_copy(n->arena, json_path(tree, "status.acceptedNames")));
	}
	store_version_unref(version);
}

static bool is_own(const struct json *list, struct str text)
{
	JSON_EACH (list, it)
		if (str_eq(json_str(it.value), text))
			return true;
	return false;
}

static const struct json *accept_short_names(struct names *n)
{
	const struct json *own = json_get(n->accepted, "shortNames"), *wanted = json_get(n->wanted, "shortNames");
	bool all_free = true;

	JSON_EACH (wanted, it)
		if (!is_own(own, json_str(it.value)) &&
		    !is_free(n, json_str(it.value), STR(""), &n->resources, "ShortNamesConflict"))
			all_free = false;
	return all_free ? wanted : own;
}

/* What is free is accepted; what is not keeps the name it had. */
static const struct json *accept_names(struct names *n)
{
	static const struct {
		const char *name, *reason;
		bool kind;
	} rows[] = { { "plural", "PluralConflict", false },
		     { "singular", "SingularConflict", false },
		     { "shortNames", NULL, false },
		     { "kind", "KindConflict", true },
		     { "listKind", "ListKindConflict", true } };
	struct json_builder names = { .arena = n->arena };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = rows[i].name;
		const struct json *value = json_get(n->accepted, name);

		if (rows[i].reason == NULL)
			value = accept_short_names(n);
		else if (is_free(n, json_get_str(n->wanted, name), json_str(value), rows[i].kind ? &n->kinds : &n->resources,
				 rows[i].reason))
			value = json_get(n->wanted, name);
		json_builder_member(&names, str_from(name), value);
	}
	json_builder_member(&names, STR("categories"), json_get(n->wanted, "categories"));
	return json_builder_object(&names);
}

/* In its place, or behind the others; the time is that of the last change of status. */
static const struct json *with_condition(struct arena *arena, const struct json *conditions, const char *type, bool status,
					 const char *reason, struct str message)
{
	struct json_builder list = { .arena = arena };
	char time[TIME_TEXT];
	const struct json *when = json_string_copy(arena, time_format(time, clock_now())), *mine;
	bool placed = false;

	mine = JSON_OBJECT_OF(arena, { "type", json_text(arena, type) }, { "status", json_text(arena, status ? "True" : "False") },
			      { "lastTransitionTime", when }, { "reason", json_text(arena, reason) },
			      { "message", json_string(arena, message) });
	JSON_EACH (conditions, it) {
		bool same = str_is(json_get_str(it.value, "type"), type);

		if (same && str_is(json_get_str(it.value, "status"), status ? "True" : "False"))
			mine = json_with(arena, mine, "lastTransitionTime", json_get(it.value, "lastTransitionTime"));
		json_builder_item(&list, same ? mine : it.value);
		placed = placed || same;
	}
	if (!placed)
		json_builder_item(&list, mine);
	return json_builder_array(&list);
}

static const struct json *with_approval(struct arena *arena, const struct json *conditions, const struct json *tree)
{
	struct str group = json_path_str(tree, "spec.group");
	struct str word = json_get_str(json_path(tree, "metadata.annotations"), "api-approved.kubernetes.io");

	if (!str_has_suffix(group, STR(".k8s.io")) && !str_has_suffix(group, STR(".kubernetes.io")))
		return conditions;
	if (str_has_prefix(word, STR("unapproved")))
		return with_condition(arena, conditions, "KubernetesAPIApprovalPolicyConformant", false, "UnapprovedAnnotation",
				      str_format(arena, "not approved: \"%.*s\"", STR_ARG(word)));
	return with_condition(arena, conditions, "KubernetesAPIApprovalPolicyConformant", true, "ApprovedAnnotation",
			      str_format(arena, "approved in %.*s", STR_ARG(word)));
}

static const struct json *wanted_status(struct arena *arena, struct definitions *all, const struct json *tree)
{
	struct names n = { .arena = arena,
			   .wanted = json_path(tree, "spec.names"),
			   .accepted = json_path(tree, "status.acceptedNames"),
			   .resources = { .arena = arena },
			   .kinds = { .arena = arena } };
	const struct json *conditions = json_path(tree, "status.conditions"), *accepted;
	bool established = condition_is(tree, "Established", "True");

	find_taken(all, &n, json_path_str(tree, "spec.group"));
	accepted = accept_names(&n);
	conditions = with_condition(arena, conditions, "NamesAccepted", n.reason == NULL,
				    n.reason == NULL ? "NoConflicts" : n.reason,
				    n.reason == NULL ? STR("no conflicts found") : n.message);
	/* Once established it stays so. */
	if (established || n.reason == NULL)
		conditions = with_condition(arena, conditions, "Established", true, "InitialNamesAccepted",
					    STR("the initial names have been accepted"));
	else
		conditions =
			with_condition(arena, conditions, "Established", false, "NotAccepted", STR("not all names are accepted"));
	return json_with(arena, json_with(arena, json_get(tree, "status"), "conditions", with_approval(arena, conditions, tree)),
			 "acceptedNames", accepted);
}

/* --- calls, one at a time for each definition --- */

static void look_again(void *arg)
{
	look_at(arg);
}

static void over(struct definition *def, bool again)
{
	def->busy = false;
	if (def->stale)
		look_at(def);
	else if (again)
		loop_timer_start(&def->again, NS_PER_S, look_again, def);
}

static void call(struct definition *def, struct api_call options, void (*done)(void *arg, struct api_reply *reply))
{
	const struct api_transport *transport = apiserver_transport(def->all->server);

	options.actor = STR(ACTOR);
	options.done = done;
	options.arg = def;
	def->busy = true;
	def->stale = false;
	transport->call(transport->arg, &options);
}

static void written(void *arg, struct api_reply *reply)
{
	over(arg, reply->err != NULL);
}

static void write_definition(struct definition *def, const char *subresource, const struct json *tree)
{
	call(def,
	     (struct api_call){ .verb = VERB_UPDATE,
				.kind = def->all->kind,
				.name = str_from(def->name),
				.subresource = str_from(subresource),
				.body = tree },
	     written);
}

/* --- the end: instances first, then the finalizer --- */

static const struct json *without_finalizer(struct arena *arena, const struct json *tree)
{
	struct json_builder kept = { .arena = arena };

	JSON_EACH (json_path(tree, "metadata.finalizers"), it)
		if (!str_is(json_str(it.value), FINALIZER))
			json_builder_item(&kept, it.value);
	return json_with_path(arena, tree, "metadata.finalizers", kept.len != 0 ? json_builder_array(&kept) : NULL);
}

static const struct kind *stored_kind(const struct definition *def)
{
	return kind_stored_as(custom_at(def->custom, 0));
}

static bool has_instances(struct definition *def, struct arena *arena)
{
	struct store_version *version = store_hold(def->all->server->options.store);
	struct store_iter it;
	bool any = store_seek(&it, version, list_prefix(arena, stored_kind(def), STR("")), STR(""));

	store_version_unref(version);
	return any;
}

static void finish(struct definition *def, struct arena *arena, const struct json *tree)
{
	const struct json *conditions = json_path(tree, "status.conditions"), *terminating = condition_of(tree, "Terminating");
	bool going = str_is(json_get_str(terminating, "reason"), "InstanceDeletionInProgress");

	if (def->custom == NULL || (going && !has_instances(def, arena))) {
		write_definition(def, "", without_finalizer(arena, tree));
	} else if (!going) {
		conditions = with_condition(arena, conditions, "Terminating", true, "InstanceDeletionInProgress",
					    STR("CustomResource deletion is in progress"));
		write_definition(def, "status", json_with_path(arena, tree, "status.conditions", conditions));
	} else {
		/* Those with finalizers of their own take their time: it is asked again until none is left. */
		call(def, (struct api_call){ .verb = VERB_DELETECOLLECTION, .kind = stored_kind(def) }, written);
		loop_timer_start(&def->again, NS_PER_S, look_again, def);
	}
}

/* --- looking --- */

static bool has_finalizer(const struct json *tree)
{
	JSON_EACH (json_path(tree, "metadata.finalizers"), it)
		if (str_is(json_str(it.value), FINALIZER))
			return true;
	return false;
}

static void act(struct definition *def, struct arena *arena, const struct json *tree)
{
	const struct json *status;

	if (condition_is(tree, "Established", "True"))
		serve(def, tree);
	if (def->busy) {
		def->stale = true;
		return;
	}
	if (json_path(tree, "metadata.deletionTimestamp") != NULL) {
		if (has_finalizer(tree))
			finish(def, arena, tree);
		return;
	}
	status = wanted_status(arena, def->all, tree);
	if (!json_equal(status, json_get(tree, "status")))
		write_definition(def, "status", json_with(arena, tree, "status", status));
}

static void look_at(struct definition *def)
{
	struct definitions *all = def->all;
	struct arena *arena = arena_new();
	struct store_value *value =
		store_find(all->server->options.store, object_key(arena, all->kind, STR(""), str_from(def->name)));

	loop_timer_stop(&def->again);
	if (value != NULL)
		act(def, arena, json_copy(arena, object_tree(value_object(all->kind, value))));
	else
		stop_serving(def);
	def->stale = def->stale || (def->busy && value == NULL);
	if (value == NULL && !def->busy) {
		map_take(&all->by_name, str_from(def->name));
		definition_free(def);
	}
	arena_free(arena);
}

/* When names become free, those who wait for them are looked at again. */
static void look_at_all(struct definitions *all)
{
	struct arena *arena = arena_new();
	struct store_version *version = store_hold(all->server->options.store);
	struct str prefix = list_prefix(arena, all->kind, STR(""));
	struct store_iter it;

	for (bool ok = store_seek(&it, version, prefix, STR("")); ok; ok = store_next(&it))
		look_at(definition_of(all, str_skip(it.value->key, prefix.len)));
	store_version_unref(version);
	arena_free(arena);
}

static void pull(void *arg)
{
	struct definitions *all = arg;
	struct arena *arena = arena_new();
	size_t prefix = list_prefix(arena, all->kind, STR("")).len;
	struct store_event event;
	enum store_watch_state state;

	while ((state = store_watch_pull(all->watch, &event)) == STORE_WATCH_EVENT) {
		look_at(definition_of(all, str_skip(event.key, prefix)));
		if (event.value == NULL)
			look_at_all(all);
	}
	/* This pulls at once whatever comes, so it cannot fall behind. */
	ASSERT(state == STORE_WATCH_IDLE);
	arena_free(arena);
}

static void ready(void *arg)
{
	struct definitions *all = arg;

	loop_call_soon(&all->pull, pull, all);
}

/* --- start and stop --- */

void definitions_start(struct apiserver *server)
{
	struct definitions *all = server->definitions;
	struct store *store = server->options.store;
	struct arena *arena = arena_new();
	struct error *err;

	if (all == NULL) {
		all = server->definitions = xcalloc(1, sizeof(*all));
		*all = (struct definitions){ .server = server,
					     .kind = kind_must("apiextensions.k8s.io/v1", "CustomResourceDefinition") };
		err = store_watch(store,
				  &(struct store_watch_options){ .prefix = list_prefix(arena, all->kind, STR("")),
								 .after = store_revision(store),
								 .ready = ready,
								 .arg = all },
				  &all->watch);
		ASSERT(err == NULL); /* today's revision is in the window */
		/* What was established before is served before anybody can ask. */
		look_at_all(all);
	}
	arena_free(arena);
}

void definitions_stop(struct apiserver *server)
{
	struct definitions *all = server->definitions;

	if (all == NULL)
		return;
	store_watch_close(all->watch);
	all->watch = NULL;
	loop_call_cancel(&all->pull);
	MAP_EACH (&all->by_name, it)
		loop_timer_stop(&((struct definition *)it->value)->again);
}

void definitions_free(struct apiserver *server)
{
	struct definitions *all = server->definitions;

	definitions_stop(server);
	if (all == NULL)
		return;
	MAP_EACH (&all->by_name, it)
		definition_free(it->value);
	map_fini(&all->by_name);
	free(all);
}

/* --- what the kind does when it is written (rows of prepare.c and admit.c) --- */

/* Every version that was ever stored is written down, until somebody says that nothing of it is left. */
struct error *definition_stores(struct request *req)
{
	const struct json *stored = json_path(req->tree, "status.storedVersions");

	if (str_is(req->route.subresource, "status"))
		return NULL;
	JSON_EACH (json_path(req->tree, "spec.versions"), it) {
		const struct json *name = json_get(it.value, "name");

		if (json_bool(json_get(it.value, "storage")) && !is_own(stored, json_str(name)))
			req->tree = with(req, req->tree, "status.storedVersions", json_append(req->arena, stored, name));
	}
	return NULL;
}

const struct json *definition_marked(struct request *req, const struct json *tree)
{
	/* Upstream marks it by itself: without a grace, and not as a change of its spec. */
	tree = with(req, tree, "metadata.deletionGracePeriodSeconds", NULL);
	tree = with(req, tree, "metadata.generation", json_path(req->old_tree, "metadata.generation"));
	return with(req, tree, "status.conditions",
		    with_condition(req->arena, json_path(tree, "status.conditions"), "Terminating", true, "InstanceDeletionPending",
				   STR("CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon")));
}

struct error *definition_open(struct request *req)
{
	struct custom *custom = custom_of(req->route.kind);
	struct str resource = resource_text(req->arena, req->route.kind);

	if (custom == NULL || !custom_closed(custom))
		return NULL;
	return error_new(ERR_FORBIDDEN,
			 "%.*s \"%.*s\" is forbidden: create not allowed while custom resource definition is terminating",
			 STR_ARG(resource), STR_ARG(meta_str(req->tree, "name")));
}
