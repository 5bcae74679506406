/*
 * Admission: rows in the order upstream runs them. Mutating ones change req->tree, validating ones refuse it. Webhooks,
 * policies and quota will be rows here too, which wait: for an answer, for their turn.
 */
#include "apiserver/verbs/verbs.h"

static struct error *namespace_lifecycle(struct request *req);
static struct error *namespace_kept(struct request *req);
static struct error *taint_node(struct request *req);
static struct error *service_account(struct request *req);
static struct error *priority(struct request *req);
static struct error *runtime_class(struct request *req);
static struct error *default_tolerations(struct request *req);
static struct error *security_labels(struct request *req);

#define WRITES (VERB(CREATE) | VERB(UPDATE))

static const struct admission rows[] = {
	{ .name = "NamespaceLifecycle", .verbs = VERB(CREATE), .decide = namespace_lifecycle },
	{ .name = "NamespaceLifecycle", .group = "", .resource = "namespaces", .verbs = VERB(DELETE), .decide = namespace_kept },
	{ .name = "DefinitionTerminating", .verbs = VERB(CREATE), .decide = definition_open },
	{ .name = "TaintNodesByCondition", .group = "", .resource = "nodes", .verbs = VERB(CREATE), .decide = taint_node },
	{ .name = "ServiceAccount", .group = "", .resource = "pods", .verbs = VERB(CREATE), .decide = service_account },
	{ .name = "Priority", .group = "", .resource = "pods", .verbs = VERB(CREATE), .decide = priority },
	{ .name = "DefaultTolerationSeconds", .group = "", .resource = "pods", .verbs = WRITES, .decide = default_tolerations },
	{ .name = "RuntimeClass", .group = "", .resource = "pods", .verbs = VERB(CREATE), .decide = runtime_class },
	{ .name = "PodSecurity",
	  .group = "",
	  .resource = "namespaces",
	  .verbs = WRITES,
	  .validates = true,
	  .decide = security_labels },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

void admission_add(struct apiserver *server, const struct admission *more, size_t n)
{
	server->more_admission = more;
	server->n_more_admission = n;
}

static const struct admission *row_at(const struct apiserver *server, size_t i)
{
	if (i < N_ROWS)
		return &rows[i];
	return i - N_ROWS < server->n_more_admission ? &server->more_admission[i - N_ROWS] : NULL;
}

static bool applies(const struct admission *row, const struct request *req)
{
	if ((row->verbs & req->admitting) == 0 || (req->route.subresource.len != 0 && !row->subresources))
		return false;
	return (row->group == NULL || str_is(kind_group(req->route.kind), row->group)) &&
	       (row->resource == NULL || str_is(req->route.resource, row->resource));
}

static enum task_result take_turn(const struct admission *row, struct task *task, struct request *req)
{
	struct error *err;

	if (row->decide == NULL)
		return row->run(task, req);
	err = row->decide(req);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

static enum task_result run_rows(struct task *task, struct request *req, bool validates)
{
	const struct admission *row;

	while ((row = row_at(req->server, req->admitted)) != NULL) {
		enum task_result result = TASK_NEXT;

		if (row->validates == validates && applies(row, req))
			result = take_turn(row, task, req);
		if (result == TASK_FAILED)
			return result;
		if (result != TASK_AGAIN)
			req->admitted++;
		if (result != TASK_NEXT)
			return TASK_AGAIN; /* back here when what it waits for has come */
	}
	req->admitted = 0;
	return TASK_NEXT;
}

enum task_result step_mutate(struct task *task, void *arg)
{
	struct request *req = arg;

	/* The next row sees what the one before it made, with defaults. */
	if (req->admitted != 0 && req->tree != NULL)
		req->tree = api_default(req->arena, req->route.kind, req->tree);
	return run_rows(task, req, false);
}

enum task_result step_judge(struct task *task, void *arg)
{
	return run_rows(task, arg, true);
}

/* Nothing is made in a namespace that does not exist or is going. */
static struct error *namespace_lifecycle(struct request *req)
{
	const struct kind *kind = kind_must("v1", "Namespace");
	const struct json *ns;
	struct str resource;
	struct error *err;

	if (!kind_namespaced(req->route.kind))
		return NULL;
	ns = lookup(req, kind, STR(""), req->route.ns);
	if (ns == NULL)
		return error_not_found(kind, req->route.ns);
	if (json_path(ns, "metadata.deletionTimestamp") == NULL)
		return NULL;
	resource = resource_text(req->arena, req->route.kind);
	err = error_new(ERR_FORBIDDEN,
			"%.*s \"%.*s\" is forbidden: unable to create new content in namespace %.*s because it "
			"is being terminated",
			STR_ARG(resource), STR_ARG(meta_str(req->tree, "name")), STR_ARG(req->route.ns));
	error_add_cause(err, "NamespaceTerminating", "metadata.namespace",
			arena_printf(req->arena, "namespace %.*s is being terminated", STR_ARG(req->route.ns)));
	return err;
}

/* What a cluster cannot be without. */
static struct error *namespace_kept(struct request *req)
{
	static const char *const names[] = { "default", "kube-system", "kube-public" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_is(req->route.name, names[i]))
			return error_new(ERR_FORBIDDEN, "namespaces \"%s\" is forbidden: this namespace may not be deleted",
					 names[i]);
	return NULL;
}

/* A new node takes no pods before it is known to be ready. */
static struct error *taint_node(struct request *req)
{
	const struct json *mine = JSON_OBJECT_OF(req->arena, { "key", json_text(req->arena, "node.kubernetes.io/not-ready") },
						 { "effect", json_text(req->arena, "NoSchedule") });
	const struct json *taints = json_path(req->tree, "spec.taints");

	JSON_EACH (taints, it)
		if (str_is(json_get_str(it.value, "key"), "node.kubernetes.io/not-ready") &&
		    str_is(json_get_str(it.value, "effect"), "NoSchedule"))
			return NULL;
	req->tree = with(req, req->tree, "spec.taints", json_append(req->arena, taints, mine));
	return NULL;
}

/* --- service accounts --- */

#define TOKEN_DIR    "/var/run/secrets/kubernetes.io/serviceaccount"
#define TOKEN_VOLUME "kube-api-access-"

static bool wants_token(const struct json *pod, const struct json *account)
{
	const struct json *own = json_path(pod, "spec.automountServiceAccountToken");

	own = own != NULL ? own : json_get(account, "automountServiceAccountToken");
	return own == NULL || json_bool(own);
}

/* Token, CA and namespace in one directory. k8s.io/kubernetes/plugin/pkg/admission/serviceaccount, TokenVolumeSource. */
static const struct json *token_volume(struct arena *arena, const struct json *name)
{
	const struct json *token =
		JSON_OBJECT_OF(arena, { "expirationSeconds", json_number(arena, 3607) }, { "path", json_text(arena, "token") });
	const struct json *ca =
		JSON_OBJECT_OF(arena, { "name", json_text(arena, "kube-root-ca.crt") },
			       { "items", JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "key", json_text(arena, "ca.crt") },
									      { "path", json_text(arena, "ca.crt") })) });
	const struct json *field = JSON_OBJECT_OF(arena, { "apiVersion", json_text(arena, "v1") },
						  { "fieldPath", json_text(arena, "metadata.namespace") });
	const struct json *ns = JSON_OBJECT_OF(
		arena, { "items", JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "path", json_text(arena, "namespace") },
								      { "fieldRef", field })) });
	const struct json *sources = JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "serviceAccountToken", token }),
						   JSON_OBJECT_OF(arena, { "configMap", ca }),
						   JSON_OBJECT_OF(arena, { "downwardAPI", ns }));

	return JSON_OBJECT_OF(arena, { "name", name },
			      { "projected",
				JSON_OBJECT_OF(arena, { "sources", sources }, { "defaultMode", json_number(arena, 0644) }) });
}

static bool mounts_at(const struct json *container, const char *path)
{
	JSON_EACH (json_get(container, "volumeMounts"), it)
		if (str_is(json_get_str(it.value, "mountPath"), path))
			return true;
	return false;
}

static void mount_token(struct request *req)
{
	static const char *const lists[] = { "initContainers", "containers" };
	struct arena *arena = req->arena;
	const struct json *spec = json_get(req->tree, "spec"), *volume = NULL, *mount;
	char random[6] = { 0 };
	bool used = false, found = false;

	JSON_EACH (json_get(spec, "volumes"), it)
		if (volume == NULL && str_has_prefix(json_get_str(it.value, "name"), STR(TOKEN_VOLUME)))
			volume = json_get(it.value, "name");
	found = volume != NULL;
	rand_name(random, 5);
	if (!found)
		volume = json_printf(arena, TOKEN_VOLUME "%s", random);
	mount = JSON_OBJECT_OF(arena, { "name", volume }, { "readOnly", &json_true }, { "mountPath", json_text(arena, TOKEN_DIR) });
	for (int i = 0; i < 2; i++) {
		struct json_builder containers = { .arena = arena };

		JSON_EACH (json_get(spec, lists[i]), it) {
			bool has = mounts_at(it.value, TOKEN_DIR);

			json_builder_item(&containers,
					  has ? it.value
					      : json_with(arena, it.value, "volumeMounts",
							  json_append(arena, json_get(it.value, "volumeMounts"), mount)));
			used = used || !has;
		}
		if (containers.len != 0)
			spec = json_with(arena, spec, lists[i], json_builder_array(&containers));
	}
	if (used && !found)
		spec = json_with(arena, spec, "volumes",
				 json_append(arena, json_get(spec, "volumes"), token_volume(arena, volume)));
	error_free(api_normalize(arena, kind_type(req->route.kind), json_with(arena, req->tree, "spec", spec), NULL, &req->tree));
}

/* A pod runs as some service account, which must exist, and finds a token of it. */
static struct error *service_account(struct request *req)
{
	struct str name = json_path_str(req->tree, "spec.serviceAccountName");
	const struct json *account;

	if (name.len == 0) {
		name = STR("default");
		req->tree = with(req, req->tree, "spec.serviceAccountName", json_text(req->arena, "default"));
		req->tree = with(req, req->tree, "spec.serviceAccount", json_text(req->arena, "default"));
	}
	account = lookup(req, kind_must("v1", "ServiceAccount"), req->route.ns, name);
	if (account == NULL)
		return error_new(ERR_FORBIDDEN,
				 "pods \"%.*s\" is forbidden: error looking up service account %.*s/%.*s: "
				 "serviceaccount \"%.*s\" not found",
				 STR_ARG(meta_str(req->tree, "name")), STR_ARG(req->route.ns), STR_ARG(name), STR_ARG(name));
	if (json_len(json_path(req->tree, "spec.imagePullSecrets")) == 0 && json_len(json_get(account, "imagePullSecrets")) != 0)
		req->tree = with(req, req->tree, "spec.imagePullSecrets", json_get(account, "imagePullSecrets"));
	if (wants_token(req->tree, account))
		mount_token(req);
	return NULL;
}

static struct error *pod_rejected(const struct request *req, const char *why)
{
	return error_new(ERR_FORBIDDEN, "pods \"%.*s\" is forbidden: %s", STR_ARG(meta_str(req->tree, "name")), why);
}

static struct error *class_overhead(struct request *req, const struct json *class)
{
	const struct json *fixed = json_path(class, "overhead.podFixed"), *said = json_path(req->tree, "spec.overhead");

	if (json_get(class, "overhead") == NULL)
		return said == NULL
			       ? NULL
			       : pod_rejected(req,
					      "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
	if (said != NULL && !json_equal(said, fixed))
		return pod_rejected(req, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
	req->tree = with(req, req->tree, "spec.overhead", fixed);
	return NULL;
}

/* Where the class is at home: both selectors, and all tolerations. */
static struct error *class_scheduling(struct request *req, const struct json *class)
{
	const struct json *selector = json_path(req->tree, "spec.nodeSelector"), *had = json_path(req->tree, "spec.tolerations");
	struct json_builder all = { .arena = req->arena };

	JSON_EACH (json_path(class, "scheduling.nodeSelector"), it) {
		const char *key = str_cstr(req->arena, it.key);
		const struct json *own = selector != NULL ? json_get(selector, key) : NULL;

		if (own != NULL && !json_equal(own, it.value))
			return pod_rejected(req, arena_printf(req->arena,
							      "conflict: runtimeClass.scheduling.nodeSelector[%s] = %.*s; "
							      "pod.spec.nodeSelector[%s] = %.*s",
							      key, STR_ARG(json_str(it.value)), key, STR_ARG(json_str(own))));
		selector = json_with(req->arena, selector != NULL ? selector : &json_empty_object, key, it.value);
	}
	if (selector != NULL)
		req->tree = with(req, req->tree, "spec.nodeSelector", selector);
	JSON_EACH (had, it)
		json_builder_item(&all, it.value);
	JSON_EACH (json_path(class, "scheduling.tolerations"), more) {
		bool there = false;

		JSON_EACH (had, it)
			there = there || json_equal(it.value, more.value);
		if (!there)
			json_builder_item(&all, more.value);
	}
	if (json_len(json_path(class, "scheduling.tolerations")) != 0)
		req->tree = with(req, req->tree, "spec.tolerations", json_builder_array(&all));
	return NULL;
}

/* k8s.io/kubernetes/plugin/pkg/admission/runtimeclass. */
static struct error *runtime_class(struct request *req)
{
	struct str name = json_path_str(req->tree, "spec.runtimeClassName");
	const struct json *class;
	struct error *err;

	if (name.len == 0 && json_path(req->tree, "spec.runtimeClassName") != NULL)
		return error_new(ERR_PLAIN, "resource name may not be empty");
	if (name.len == 0)
		return class_overhead(req, &json_empty_object);
	class = lookup(req, kind_must("node.k8s.io/v1", "RuntimeClass"), STR(""), name);
	if (class == NULL)
		return pod_rejected(req, arena_printf(req->arena, "pod rejected: RuntimeClass \"%.*s\" not found", STR_ARG(name)));
	err = class_overhead(req, class);
	return err != NULL ? err : class_scheduling(req, class);
}

static const struct json *toleration(struct arena *arena, const char *key)
{
	return JSON_OBJECT_OF(arena, { "key", json_text(arena, key) }, { "operator", json_text(arena, "Exists") },
			      { "effect", json_text(arena, "NoExecute") }, { "tolerationSeconds", json_number(arena, 300) });
}

static bool tolerates(const struct json *tolerations, const char *key)
{
	JSON_EACH (tolerations, it) {
		struct str its = json_get_str(it.value, "key"), effect = json_get_str(it.value, "effect");

		if ((str_is(its, key) || its.len == 0) && (str_is(effect, "NoExecute") || effect.len == 0))
			return true;
	}
	return false;
}

/* Pods stay 5 minutes on a node that is not ready or not reachable, unless they say otherwise. */
static struct error *default_tolerations(struct request *req)
{
	static const char *const keys[] = { "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable" };
	const struct json *tolerations = json_path(req->tree, "spec.tolerations"), *all = tolerations;

	for (int i = 0; i < 2; i++)
		if (!tolerates(tolerations, keys[i]))
			all = json_append(req->arena, all, toleration(req->arena, keys[i]));
	if (all != tolerations)
		req->tree = with(req, req->tree, "spec.tolerations", all);
	return NULL;
}

static struct error *find_priority(struct request *req, struct str name, int64_t *value, struct str *policy)
{
	const struct json *class = lookup(req, kind_must("scheduling.k8s.io/v1", "PriorityClass"), STR(""), name);

	if (class == NULL)
		return error_new(ERR_FORBIDDEN, "pods \"%.*s\" is forbidden: no PriorityClass with name %.*s was found",
				 STR_ARG(meta_str(req->tree, "name")), STR_ARG(name));
	*value = json_int(json_get(class, "value"), 0);
	*policy = json_get_str(class, "preemptionPolicy");
	return NULL;
}

static const struct json *default_class(struct request *req)
{
	const struct kind *kind = kind_must("scheduling.k8s.io/v1", "PriorityClass");
	struct store_version *version = store_hold(req->server->options.store);
	const struct json *found = NULL;
	struct store_iter it;

	for (bool ok = store_seek(&it, version, list_prefix(req->arena, kind, STR("")), STR("")); ok; ok = store_next(&it)) {
		const struct json *tree = object_tree(value_object(kind, it.value));

		if (json_bool(json_get(tree, "globalDefault")))
			found = json_copy(req->arena, tree);
	}
	store_version_unref(version);
	return found;
}

/* What the class decides cannot be said by hand, unless it is the same. */
static struct error *check_said(struct request *req, int64_t value, struct str policy)
{
	const struct json *said = json_path(req->tree, "spec.priority");
	struct str own = json_path_str(req->tree, "spec.preemptionPolicy"), name = meta_str(req->tree, "name");

	if (said != NULL && json_int(said, 0) != value)
		return error_new(
			ERR_FORBIDDEN,
			"pods \"%.*s\" is forbidden: the integer value of priority (%lld) must not be provided in pod spec; "
			"priority admission controller computed %lld from the given PriorityClass name",
			STR_ARG(name), (long long)json_int(said, 0), (long long)value);
	if (json_path(req->tree, "spec.preemptionPolicy") != NULL && !str_eq(own, policy))
		return error_new(
			ERR_FORBIDDEN,
			"pods \"%.*s\" is forbidden: the string value of PreemptionPolicy (%.*s) must not be provided in pod "
			"spec; priority admission controller computed %.*s from the given PriorityClass name",
			STR_ARG(name), STR_ARG(own), STR_ARG(policy));
	return NULL;
}

static struct error *priority(struct request *req)
{
	struct str name = json_path_str(req->tree, "spec.priorityClassName"), policy = STR("PreemptLowerPriority");
	const struct json *usual;
	int64_t value = 0;
	struct error *err;

	if (name.len == 0 && (usual = default_class(req)) != NULL) {
		name = meta_str(usual, "name");
		req->tree = with(req, req->tree, "spec.priorityClassName", json_string(req->arena, name));
	}
	if (name.len != 0) {
		err = find_priority(req, name, &value, &policy);
		if (err != NULL)
			return err;
	}
	err = check_said(req, value, policy.len != 0 ? policy : STR("PreemptLowerPriority"));
	if (err != NULL)
		return err;
	req->tree = with(req, req->tree, "spec.priority", json_number(req->arena, value));
	if (json_path(req->tree, "spec.preemptionPolicy") == NULL)
		req->tree = with(req, req->tree, "spec.preemptionPolicy",
				 json_string(req->arena, policy.len != 0 ? policy : STR("PreemptLowerPriority")));
	return NULL;
}

/* --- Pod Security: what a namespace asks for has to be sayable; k8s.io/pod-security-admission/api/helpers.go --- */

static bool is_level(struct str level)
{
	return str_is(level, "privileged") || str_is(level, "baseline") || str_is(level, "restricted");
}

static bool is_version(struct str version)
{
	struct str number = str_has_prefix(version, STR("v1.")) ? str_skip(version, 3) : STR("");
	uint64_t n;

	if (str_is(version, "latest"))
		return true;
	return str_to_u64(number, &n) && (number.len == 1 || number.ptr[0] != '0');
}

static void find_bad_labels(struct api_findings *f, const struct json *tree)
{
	static const char *const modes[] = { "enforce", "audit", "warn" };
	const struct json *labels = json_path(tree, "metadata.labels");

	for (int i = 0; i < 3; i++)
		for (int versions = 0; versions < 2; versions++) {
			const char *key =
				arena_printf(f->arena, "pod-security.kubernetes.io/%s%s", modes[i], versions ? "-version" : "");
			const char *path = arena_printf(f->arena, "metadata.labels[%s]", key);
			const struct json *value = json_get(labels, key);

			if (value != NULL && !versions && !is_level(json_str(value)))
				finding_invalid(f, path, value, "must be one of privileged, baseline, restricted");
			if (value != NULL && versions && !is_version(json_str(value)))
				finding_invalid(f, path, value, "must be \"latest\" or \"v1.x\"");
		}
}

/* What was wrong before may stay as it is. */
static bool same_findings(const struct api_findings *a, const struct api_findings *b)
{
	for (size_t i = 0; i < a->len && a->len == b->len; i++)
		if (strcmp(a->items[i].field, b->items[i].field) != 0 || strcmp(a->items[i].message, b->items[i].message) != 0)
			return false;
	return a->len == b->len;
}

static struct error *security_labels(struct request *req)
{
	struct api_findings now = { .arena = req->arena }, before = { .arena = req->arena };

	find_bad_labels(&now, req->tree);
	if (req->old_tree != NULL)
		find_bad_labels(&before, req->old_tree);
	return same_findings(&now, &before) ? NULL : api_invalid(&now, STR("Namespace"), meta_str(req->tree, "name"));
}
