/*
 * What kinds do when they are written, beyond what their tables say: one row per kind, found by resource. What is not
 * here has no behaviour of its own. Sources: the strategies in k8s.io/kubernetes/pkg/registry.
 */
#include "apiserver/auth/auth.h"
#include "apiserver/verbs/verbs.h"

/* Maps of the normal form are in key order. */
static const struct json *sorted(struct arena *arena, const struct json *map)
{
	struct json_builder out = { .arena = arena };

	JSON_EACH (map, it)
		json_builder_member(&out, it.key, it.value);
	json_builder_sort(&out);
	return json_builder_object(&out);
}

/* The status an object starts with: nothing, in normal form. */
static struct error *clear_status(struct request *req)
{
	const struct json *tree = json_with(req->arena, req->tree, "status", NULL);

	return api_normalize(req->arena, kind_type(req->route.kind), tree, NULL, &req->tree);
}

/* --- pods --- */

/* A pod with gates is not looked at by the scheduler, and says so from the start. */
static const struct json *gated(struct request *req)
{
	struct arena *arena = req->arena;
	char time[TIME_TEXT];

	return JSON_OBJECT_OF(arena, { "type", json_text(arena, "PodScheduled") }, { "status", json_text(arena, "False") },
			      { "lastProbeTime", &json_null },
			      { "lastTransitionTime", json_string_copy(arena, time_format(time, clock_now())) },
			      { "reason", json_text(arena, "SchedulingGated") },
			      { "message", json_text(arena, "Scheduling is blocked due to non-empty scheduling gates") });
}

/* A profile as an annotation names it; NULL when it names none. */
static const struct json *profile_of(struct arena *arena, struct str annotation)
{
	if (str_is(annotation, "unconfined"))
		return JSON_OBJECT_OF(arena, { "type", json_text(arena, "Unconfined") });
	if (str_is(annotation, "runtime/default"))
		return JSON_OBJECT_OF(arena, { "type", json_text(arena, "RuntimeDefault") });
	if (!str_has_prefix(annotation, STR("localhost/")) || annotation.len == 10)
		return NULL;
	return JSON_OBJECT_OF(arena, { "type", json_text(arena, "Localhost") },
			      { "localhostProfile", json_string(arena, str_skip(annotation, 10)) });
}

static const struct json *with_profile(struct request *req, const struct json *container)
{
	struct str name = json_get_str(container, "name");
	const char *key = arena_printf(req->arena, "container.apparmor.security.beta.kubernetes.io/%.*s", STR_ARG(name));
	const struct json *text = json_get(json_path(req->tree, "metadata.annotations"), key), *profile;

	if (text == NULL || json_path(container, "securityContext.appArmorProfile") != NULL)
		return container;
	profile = profile_of(req->arena, json_str(text));
	if (profile != NULL && json_equal(profile, json_path(req->tree, "spec.securityContext.appArmorProfile")))
		return container;
	warn(req, str_format(req->arena,
			     "metadata.annotations[%s]: deprecated since v1.30; use the \"appArmorProfile\" field instead", key));
	if (profile == NULL)
		return container;
	return json_with_path(req->arena, container, "securityContext.appArmorProfile", profile);
}

/* Old annotations about AppArmor become fields: k8s.io/kubernetes/pkg/registry/core/pod, applyAppArmorVersionSkew. */
static void fill_profiles(struct request *req)
{
	static const char *const lists[] = { "spec.initContainers", "spec.containers" };

	if (json_path(req->tree, "metadata.annotations") == NULL || str_is(json_path_str(req->tree, "spec.os.name"), "windows"))
		return;
	for (int i = 0; i < 2; i++) {
		struct json_builder b = { .arena = req->arena };
		const struct json *list = json_path(req->tree, lists[i]);

		JSON_EACH (list, it)
			json_builder_put(&b, &it, with_profile(req, it.value));
		if (json_len(list) != 0)
			req->tree = with(req, req->tree, lists[i], json_builder_like(&b, list));
	}
	error_free(api_normalize(req->arena, kind_type(req->route.kind), req->tree, NULL, &req->tree));
}

static struct error *pod_create(struct request *req)
{
	struct error *err = clear_status(req);

	if (err != NULL)
		return err;
	fill_profiles(req);
	req->tree = with(req, req->tree, "status.phase", json_text(req->arena, "Pending"));
	req->tree = with(req, req->tree, "status.qosClass", json_text(req->arena, api_qos_class(req->tree)));
	if (json_int(json_path(req->tree, "spec.terminationGracePeriodSeconds"), 0) < 0)
		req->tree = with(req, req->tree, "spec.terminationGracePeriodSeconds", json_number(req->arena, 1));
	if (json_len(json_path(req->tree, "spec.schedulingGates")) != 0)
		req->tree = with(req, req->tree, "status.conditions", JSON_ARRAY_OF(req->arena, gated(req)));
	return NULL;
}

static struct error *pod_update(struct request *req)
{
	const struct json *qos = json_path(req->old_tree, "status.qosClass");

	if (qos != NULL && json_path(req->tree, "status.qosClass") == NULL)
		req->tree = with(req, req->tree, "status.qosClass", qos);
	return NULL;
}

/* A pod that runs nowhere, or no longer, has nothing to end gracefully. */
static int64_t pod_grace(struct request *req, int64_t asked)
{
	struct str phase = json_path_str(req->old_tree, "status.phase");

	if (json_path_str(req->old_tree, "spec.nodeName").len == 0 || str_is(phase, "Succeeded") || str_is(phase, "Failed"))
		return 0;
	return asked >= 0 ? asked : json_int(json_path(req->old_tree, "spec.terminationGracePeriodSeconds"), 30);
}

/* --- namespaces --- */

static struct error *namespace_create(struct request *req)
{
	const struct json *finalizers = json_path(req->tree, "spec.finalizers");
	const struct json *own = json_text(req->arena, "kubernetes");
	bool has = false;

	JSON_EACH (finalizers, it)
		has = has || str_is(json_str(it.value), "kubernetes");
	if (!has)
		finalizers = json_append(req->arena, finalizers, own);
	req->tree = with(req, req->tree, "spec.finalizers", finalizers);
	req->tree = with(req, req->tree, "status", JSON_OBJECT_OF(req->arena, { "phase", json_text(req->arena, "Active") }));
	return NULL;
}

/* The name is also a label, for selectors. k8s.io/kubernetes/pkg/apis/core/v1/defaults.go. */
static struct error *namespace_label(struct request *req)
{
	const struct json *labels = json_path(req->tree, "metadata.labels");

	labels = json_with(req->arena, labels, "kubernetes.io/metadata.name", json_string(req->arena, meta_str(req->tree, "name")));
	req->tree = with(req, req->tree, "metadata.labels", sorted(req->arena, labels));
	return NULL;
}

static struct error *namespace_new(struct request *req)
{
	struct error *err = namespace_create(req);

	return err != NULL ? err : namespace_label(req);
}

static struct error *namespace_update(struct request *req)
{
	if (!str_is(req->route.subresource, "finalize"))
		req->tree = with(req, req->tree, "spec.finalizers", json_path(req->old_tree, "spec.finalizers"));
	return namespace_label(req);
}

static const struct json *namespace_marked(struct request *req, const struct json *tree)
{
	/* Upstream marks it by itself, without a grace. */
	tree = with(req, tree, "metadata.deletionGracePeriodSeconds", NULL);
	return with(req, tree, "status.phase", json_text(req->arena, "Terminating"));
}

/* --- definitions of kinds --- */

static struct error *definition_new(struct request *req)
{
	struct error *err = clear_status(req);

	return err != NULL ? err : definition_stores(req);
}

/* --- secrets: stringData is for writing only --- */

static struct error *secret_fold(struct request *req)
{
	struct json_draft data = json_draft_of(req->arena, json_get(req->tree, "data"));

	JSON_EACH (json_get(req->tree, "stringData"), it) {
		AUTO_BUF struct buf text = { 0 };

		base64_encode(&text, json_str(it.value));
		json_draft_set(&data, it.key, json_string_copy(req->arena, buf_str(&text)));
	}
	req->tree = with(req, req->tree, "stringData", NULL);
	if (data.members.len != 0)
		req->tree = with(req, req->tree, "data", sorted(req->arena, json_draft_object(&data)));
	return NULL;
}

/* --- service accounts: of secrets only the name --- */

static struct error *account_secrets(struct request *req)
{
	struct json_builder b = { .arena = req->arena };
	const struct json *secrets = json_get(req->tree, "secrets");

	JSON_EACH (secrets, it)
		json_builder_item(&b, JSON_OBJECT_OF(req->arena, { "name", json_get(it.value, "name") }));
	if (json_len(secrets) != 0)
		req->tree = with(req, req->tree, "secrets", json_builder_array(&b));
	return NULL;
}

/* --- persistent volumes and claims --- */

/* k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection. */
static void protect(struct request *req, const char *finalizer)
{
	const struct json *finalizers = json_path(req->tree, "metadata.finalizers");

	JSON_EACH (finalizers, it)
		if (str_is(json_str(it.value), finalizer))
			return;
	req->tree =
		with(req, req->tree, "metadata.finalizers", json_append(req->arena, finalizers, json_text(req->arena, finalizer)));
}

static struct error *volume_create(struct request *req)
{
	struct error *err = clear_status(req);
	char time[TIME_TEXT];

	if (err != NULL)
		return err;
	req->tree = with(req, req->tree, "status.phase", json_text(req->arena, "Pending"));
	req->tree = with(req, req->tree, "status.lastPhaseTransitionTime",
			 json_string_copy(req->arena, time_format(time, clock_now())));
	protect(req, "kubernetes.io/pv-protection");
	return NULL;
}

/* When the phase last changed is kept, or told anew with the phase. */
static struct error *volume_update(struct request *req)
{
	const struct json *was = json_get(req->old_tree, "status"), *is = json_get(req->tree, "status");
	const struct json *time = json_get(is, "lastPhaseTransitionTime"), *then = json_get(was, "lastPhaseTransitionTime");
	bool same = json_equal(json_get(is, "phase"), json_get(was, "phase"));
	char now[TIME_TEXT];

	if (!str_is(req->route.subresource, "status") || (same && !json_absent(time)))
		return NULL;
	if (same)
		req->tree = with(req, req->tree, "status.lastPhaseTransitionTime", then);
	else if (json_absent(time) || json_equal(time, then))
		req->tree = with(req, req->tree, "status.lastPhaseTransitionTime",
				 json_string_copy(req->arena, time_format(now, clock_now())));
	return NULL;
}

/* dataSource and dataSourceRef say the same, for clients of either. */
static void same_sources(struct request *req)
{
	const struct json *source = json_path(req->tree, "spec.dataSource"), *ref = json_path(req->tree, "spec.dataSourceRef");

	if (source != NULL && ref == NULL)
		req->tree = with(req, req->tree, "spec.dataSourceRef", source);
	else if (ref != NULL && source == NULL && json_get_str(ref, "namespace").len == 0)
		req->tree = with(req, req->tree, "spec.dataSource", json_with(req->arena, ref, "namespace", NULL));
}

/* A source of another kind is forgotten, as ever, unless it is also said the new way. */
static void drop_other_source(struct request *req)
{
	const struct json *source = json_path(req->tree, "spec.dataSource");
	struct str group = json_get_str(source, "apiGroup"), kind = json_get_str(source, "kind");

	if (source == NULL || json_path(req->tree, "spec.dataSourceRef") != NULL ||
	    (req->old_tree != NULL &&
	     (json_path(req->old_tree, "spec.dataSource") != NULL || json_path(req->old_tree, "spec.dataSourceRef") != NULL)))
		return;
	if (!(str_is(kind, "PersistentVolumeClaim") && group.len == 0) &&
	    !(str_is(kind, "VolumeSnapshot") && str_is(group, "snapshot.storage.k8s.io")))
		req->tree = with(req, req->tree, "spec.dataSource", NULL);
}

static struct error *claim_create(struct request *req)
{
	struct error *err = clear_status(req);

	if (err != NULL)
		return err;
	drop_other_source(req);
	req->tree = with(req, req->tree, "status.phase", json_text(req->arena, "Pending"));
	same_sources(req);
	protect(req, "kubernetes.io/pvc-protection");
	return NULL;
}

static struct error *claim_update(struct request *req)
{
	drop_other_source(req);
	same_sources(req);
	return NULL;
}

static struct error *attributes_create(struct request *req)
{
	protect(req, "kubernetes.io/vac-protection");
	return NULL;
}

/* --- jobs: pods that only this one owns --- */

static struct error *job_create(struct request *req)
{
	static const char *const uids[] = { "batch.kubernetes.io/controller-uid", "controller-uid" };
	static const char *const names[] = { "batch.kubernetes.io/job-name", "job-name" };
	const struct json *labels = json_path(req->tree, "spec.template.metadata.labels");
	bool same = json_equal(labels, json_path(req->tree, "metadata.labels"));
	const struct json *uid = json_path(req->tree, "metadata.uid"), *name = json_path(req->tree, "metadata.name");
	struct error *err = clear_status(req);

	if (err != NULL || json_bool(json_path(req->tree, "spec.manualSelector")))
		return err;
	for (int i = 0; i < 2; i++) {
		if (json_find(labels, str_from(uids[i])) == NULL)
			labels = json_with(req->arena, labels, uids[i], uid);
		if (json_find(labels, str_from(names[i])) == NULL)
			labels = json_with(req->arena, labels, names[i], name);
	}
	labels = sorted(req->arena, labels);
	req->tree = with(req, req->tree, "spec.template.metadata.labels", labels);
	if (same)
		req->tree = with(req, req->tree, "metadata.labels", labels);
	const struct json *matched = json_path(req->tree, "spec.selector.matchLabels");
	if (json_find(matched, str_from(uids[0])) == NULL)
		matched = sorted(req->arena, json_with(req->arena, matched, uids[0], uid));
	req->tree = with(req, req->tree, "spec.selector.matchLabels", matched);
	return NULL;
}

/* --- daemon sets: the generation of the template is kept in an annotation --- */

#define TEMPLATE_GENERATION "deprecated.daemonset.template.generation"

static void set_template_generation(struct request *req, int64_t n)
{
	const struct json *annotations = json_path(req->tree, "metadata.annotations");

	annotations = json_with(req->arena, annotations, TEMPLATE_GENERATION, json_printf(req->arena, "%lld", (long long)n));
	req->tree = with(req, req->tree, "metadata.annotations", sorted(req->arena, annotations));
}

static struct error *daemon_create(struct request *req)
{
	struct error *err = clear_status(req);

	if (err == NULL)
		set_template_generation(req, 1);
	return err;
}

static struct error *daemon_update(struct request *req)
{
	struct str was = json_get_str(json_path(req->old_tree, "metadata.annotations"), TEMPLATE_GENERATION);
	bool changed = !json_equal(json_path(req->tree, "spec.template"), json_path(req->old_tree, "spec.template"));
	int64_t n;

	set_template_generation(req, (str_to_i64(was, &n) ? n : 1) + (changed ? 1 : 0));
	return NULL;
}

/* --- requests for certificates: who asks --- */

static struct error *signing_create(struct request *req)
{
	struct json_builder groups = { .arena = req->arena };
	struct error *err = clear_status(req);

	if (err != NULL)
		return err;
	for (size_t i = 0; i < req->user.n_groups; i++)
		json_builder_item(&groups, json_string(req->arena, req->user.groups[i]));
	req->tree = with(req, req->tree, "spec.username", json_string(req->arena, req->user.name));
	req->tree = with(req, req->tree, "spec.groups", groups.len == 0 ? NULL : json_builder_array(&groups));
	req->tree = with(req, req->tree, "spec.uid", req->user.uid.len == 0 ? NULL : json_string(req->arena, req->user.uid));
	req->tree = with(req, req->tree, "spec.extra", user_extra(req->arena, &req->user));
	return NULL;
}

/* What was asked for stays as it is. */
static struct error *signing_update(struct request *req)
{
	req->tree = with(req, req->tree, "spec", json_get(req->old_tree, "spec"));
	return NULL;
}

/* --- generations that are counted in a way of their own --- */

static struct error *first_generation(struct request *req)
{
	req->tree = with(req, req->tree, "metadata.generation", json_number(req->arena, 1));
	return NULL;
}

static struct error *next_generation(struct request *req)
{
	int64_t was = json_int(json_path(req->old_tree, "metadata.generation"), 0);

	if (!json_equal(json_get(req->tree, "spec"), json_get(req->old_tree, "spec")))
		req->tree = with(req, req->tree, "metadata.generation", json_number(req->arena, was + 1));
	return NULL;
}

/* --- the table --- */

static const struct prepare rows[] = {
	{ .group = "",
	  .resource = "pods",
	  .create = pod_create,
	  .update = pod_update,
	  .grace = pod_grace,
	  .generation = true,
	  .answers_object = true,
	  .status_keeps = "metadata.ownerReferences" },
	{ .group = "",
	  .resource = "namespaces",
	  .create = namespace_new,
	  .update = namespace_update,
	  .marked = namespace_marked,
	  .answers_object = true },
	{ .group = "",
	  .resource = "services",
	  .looks = true,
	  .create = allocate_service,
	  .update = allocate_service,
	  .removed = release_service,
	  .create_on_update = true,
	  .answers_object = true },
	{ .group = "", .resource = "secrets", .create = secret_fold, .update = secret_fold },
	{ .group = "",
	  .resource = "persistentvolumeclaims",
	  .create = claim_create,
	  .update = claim_update,
	  .answers_object = true },
	{ .group = "", .resource = "persistentvolumes", .create = volume_create, .update = volume_update, .answers_object = true },
	{ .group = "", .resource = "replicationcontrollers", .create = clear_status, .generation = true, .orphans = true },
	{ .group = "", .resource = "podtemplates", .generation = true, .answers_object = true },
	{ .group = "", .resource = "resourcequotas", .create = clear_status, .answers_object = true },
	{ .group = "", .resource = "events", .create_on_update = true },
	{ .group = "", .resource = "endpoints", .create_on_update = true },
	{ .group = "", .resource = "limitranges", .create_on_update = true },
	{ .group = "apps",
	  .resource = "deployments",
	  .create = clear_status,
	  .generation = true,
	  .generation_meta = "annotations",
	  .status_keeps = "metadata.labels" },
	{ .group = "apps", .resource = "replicasets", .create = clear_status, .generation = true },
	{ .group = "apps", .resource = "statefulsets", .create = clear_status, .generation = true },
	{ .group = "apps", .resource = "daemonsets", .create = daemon_create, .update = daemon_update, .generation = true },
	{ .group = "batch", .resource = "jobs", .create = job_create, .generation = true, .orphans = true },
	{ .group = "batch", .resource = "cronjobs", .create = clear_status, .generation = true },
	{ .group = "autoscaling", .resource = "horizontalpodautoscalers", .create = clear_status },
	{ .group = "networking.k8s.io", .resource = "ingresses", .create = clear_status, .generation = true },
	{ .group = "networking.k8s.io", .resource = "ingressclasses", .generation = true },
	{ .group = "networking.k8s.io", .resource = "networkpolicies", .generation = true },
	{ .group = "networking.k8s.io", .resource = "servicecidrs", .create = clear_status, .status_keeps = "*" },
	{ .group = "policy", .resource = "poddisruptionbudgets", .create = clear_status, .generation = true, .rv_required = true },
	{ .group = "scheduling.k8s.io", .resource = "priorityclasses", .create = first_generation },
	{ .group = "discovery.k8s.io", .resource = "endpointslices", .generation = true, .generation_meta = "labels" },
	{ .group = "coordination.k8s.io", .resource = "leases", .create_on_update = true, .rv_required = true },
	{ .group = "events.k8s.io", .resource = "events", .create_on_update = true },
	{ .group = "certificates.k8s.io",
	  .resource = "certificatesigningrequests",
	  .create = signing_create,
	  .update = signing_update },
	{ .group = "storage.k8s.io",
	  .resource = "volumeattachments",
	  .create = clear_status,
	  .answers_object = true,
	  .rv_required = true },
	{ .group = "resource.k8s.io", .resource = "resourceclaims", .create = clear_status, .answers_object = true },
	{ .group = "resource.k8s.io", .resource = "deviceclasses", .generation = true, .answers_object = true },
	{ .group = "resource.k8s.io", .resource = "resourceslices", .generation = true, .answers_object = true },
	{ .group = "admissionregistration.k8s.io",
	  .resource = "validatingwebhookconfigurations",
	  .generation = true,
	  .rv_required = true },
	{ .group = "admissionregistration.k8s.io",
	  .resource = "mutatingwebhookconfigurations",
	  .generation = true,
	  .rv_required = true },
	{ .group = "admissionregistration.k8s.io",
	  .resource = "validatingadmissionpolicies",
	  .create = clear_status,
	  .generation = true,
	  .rv_required = true },
	{ .group = "admissionregistration.k8s.io",
	  .resource = "validatingadmissionpolicybindings",
	  .generation = true,
	  .rv_required = true },
	{ .group = "admissionregistration.k8s.io",
	  .resource = "mutatingadmissionpolicies",
	  .generation = true,
	  .rv_required = true },
	{ .group = "admissionregistration.k8s.io",
	  .resource = "mutatingadmissionpolicybindings",
	  .generation = true,
	  .rv_required = true },
	{ .group = "apiextensions.k8s.io",
	  .resource = "customresourcedefinitions",
	  .looks = true,
	  .create = definition_new,
	  .update = definition_stores,
	  .finalizer = "customresourcecleanup.apiextensions.k8s.io",
	  .marked = definition_marked,
	  .generation = true,
	  .rv_required = true,
	  .status_keeps = "*" },
	{ .group = "apiregistration.k8s.io", .resource = "apiservices", .create = clear_status },
	{ .group = "flowcontrol.apiserver.k8s.io", .resource = "flowschemas", .create = clear_status, .generation = true },
	{ .group = "flowcontrol.apiserver.k8s.io",
	  .resource = "prioritylevelconfigurations",
	  .create = clear_status,
	  .generation = true },
	{ .group = "", .resource = "serviceaccounts", .create = account_secrets, .update = account_secrets, .answers_object = true },
	{ .group = "resource.k8s.io", .resource = "resourceclaimtemplates", .answers_object = true },
	{ .group = "resource.k8s.io", .resource = "devicetaintrules", .answers_object = true },
	{ .group = "storage.k8s.io",
	  .resource = "csidrivers",
	  .update = next_generation,
	  .answers_object = true,
	  .rv_required = true },
	{ .group = "storage.k8s.io", .resource = "storageclasses", .answers_object = true },
	{ .group = "storage.k8s.io", .resource = "csinodes", .answers_object = true, .rv_required = true },
	{ .group = "storage.k8s.io", .resource = "volumeattributesclasses", .create = attributes_create, .answers_object = true },
	{ .group = "storage.k8s.io", .resource = "csistoragecapacities", .rv_required = true },
	{ .group = "node.k8s.io", .resource = "runtimeclasses", .create_on_update = true, .rv_required = true },
	{ .group = "rbac.authorization.k8s.io", .resource = "rolebindings", .create_on_update = true },
	{ .group = "rbac.authorization.k8s.io", .resource = "clusterrolebindings", .create_on_update = true },
	{ .group = "rbac.authorization.k8s.io", .resource = "roles", .create_on_update = true },
	{ .group = "rbac.authorization.k8s.io", .resource = "clusterroles", .create_on_update = true },
};

/* Without /status the status is written like anything else. */
static struct error *custom_create(struct request *req)
{
	return kind_subresource(req->route.kind, STR("status")) != NULL ? clear_status(req) : NULL;
}

const struct prepare *prepare_of(const struct kind *kind)
{
	static const struct prepare nothing,
		custom = { .create = custom_create, .generation = true, .rv_required = true, .status_keeps = "*" };

	if ((kind->flags & KIND_CUSTOM) != 0)
		return &custom;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (str_is(kind_resource(kind), rows[i].resource) && str_is(kind_group(kind), rows[i].group))
			return &rows[i];
	return &nothing;
}

struct error *make_object(struct request *req, const struct kind *kind, const struct json *raw, const struct json **out)
{
	const struct type *type = kind_type(kind);
	char uid[37], time[TIME_TEXT];
	struct error *err = api_normalize(req->arena, type, raw, NULL, out);

	if (err != NULL)
		return err;
	rand_uuid(uid);
	*out = api_default(req->arena, kind, api_with_kind(req->arena, *out, kind));
	*out = api_with(req->arena, type, *out, "metadata.uid", json_string_copy(req->arena, str_from(uid)));
	*out = api_with(req->arena, type, *out, "metadata.creationTimestamp",
			json_string_copy(req->arena, time_format(time, clock_now())));
	return NULL;
}
