/* Rules of workloads and volumes beside the path's. Sources: pkg/apis/{core,apps,batch,autoscaling}/validation. */
#include <string.h>

#include "api/check_pod.h"
#include "api/hooks.h"
#include "api/quantity.h"
#include "api/rules.h"
#include "api/selector.h"
#include "base/auto.h"

/* ---- claims and volumes ---- */

static void data_source(struct api_findings *f, const char *path, const struct json *source)
{
	struct str group = json_get_str(source, "apiGroup"), kind = json_get_str(source, "kind");

	if (source == NULL)
		return;
	if (json_get_str(source, "name").len == 0)
		finding_required(f, rules_at(f, path, "name"), "");
	if (kind.len == 0)
		finding_required(f, rules_at(f, path, "kind"), "");
	if (group.len == 0 && !str_is(kind, "PersistentVolumeClaim"))
		finding_invalid_text(f, path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
	if (group.len != 0)
		check_complaints(f, rules_at(f, path, "apiGroup"), group, name_dns_subdomain(group));
	if (json_get_str(source, "namespace").len != 0)
		check_complaints(f, rules_at(f, path, "namespace"), json_get_str(source, "namespace"),
				 name_dns_label(json_get_str(source, "namespace")));
}

static void access_modes(struct api_findings *f, const char *path, const struct json *modes)
{
	static const char *const known[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod" };
	bool single = false, other = false;

	JSON_EACH (modes, it) {
		size_t before = f->found;
		check_if_one_of(f, path, it.value, known, N_OF(known));
		single = single || str_is(json_str(it.value), known[3]);
		other = other || (f->found == before && !str_is(json_str(it.value), known[3]));
	}
	if (single && other)
		finding_forbidden(f, path, "may not use ReadWriteOncePod with other access modes");
}

void check_claim_spec(struct api_findings *f, const char *path, const struct json *spec)
{
	static const struct rule rows[] = {
		NEEDED("accessModes", "at least 1 access mode is required"),
		SELECTOR("selector"),
		NAME("storageClassName", name_dns_subdomain),
		ONE_OF("volumeMode", "Block", "Filesystem"),
		NAME("volumeAttributesClassName", name_dns_subdomain),
		RULES_END,
	};
	const struct json *storage = json_path(spec, "resources.requests.storage"), *source = json_get(spec, "dataSource");
	const struct json *ref = json_get(spec, "dataSourceRef");
	struct quantity q = quantity_of(storage);

	rules_find(f, rows, spec, path);
	access_modes(f, rules_at(f, path, "accessModes"), json_get(spec, "accessModes"));
	if (storage == NULL)
		finding_required(f, rules_at(f, path, "resources[storage]"), "");
	else if (quantity_sign(&q) <= 0)
		finding_invalid(f, rules_at(f, path, "resources[storage]"), storage, "must be greater than zero");
	data_source(f, rules_at(f, path, "dataSource"), source);
	data_source(f, rules_at(f, path, "dataSourceRef"), ref);
	if (source != NULL && json_get_str(ref, "namespace").len != 0)
		finding_invalid(f, path, &json_empty_object, "may not be specified when dataSourceRef.namespace is specified");
	else if (source != NULL && ref != NULL &&
		 !(json_equal(json_get(source, "apiGroup"), json_get(ref, "apiGroup")) &&
		   json_equal(json_get(source, "kind"), json_get(ref, "kind")) &&
		   json_equal(json_get(source, "name"), json_get(ref, "name"))))
		finding_invalid(f, path, &json_empty_object, "must match dataSourceRef"); /* a path, which shows nothing */
}

void validate_claim_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	(void)type;
	check_claim_spec(f, path, tree);
}

static void capacity(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const known[] = { "storage" };
	const struct json *amounts = json_get(spec, "capacity");
	const char *at = rules_at(f, path, "capacity");

	if (json_len(amounts) == 0)
		finding_required(f, at, "");
	if (json_get(amounts, "storage") == NULL || json_len(amounts) > 1)
		finding_unsupported_value(f, at, amounts, known, 1);
	JSON_EACH (amounts, it) {
		struct quantity q = quantity_of(it.value);
		if (quantity_sign(&q) < 0)
			finding_invalid(f, AT(f, "%s[%.*s]", at, STR_ARG(it.key)), it.value, "must be a valid resource quantity");
		if (quantity_sign(&q) <= 0)
			finding_invalid(f, AT(f, "%s[%.*s]", at, STR_ARG(it.key)), it.value, "must be greater than zero");
	}
}

static void secret_ref(struct api_findings *f, const char *path, const struct json *ref)
{
	if (ref == NULL)
		return;
	if (json_get_str(ref, "name").len == 0)
		finding_required(f, rules_at(f, path, "name"), "");
	if (json_get_str(ref, "namespace").len == 0)
		finding_required(f, rules_at(f, path, "namespace"), "");
}

static void csi_volume(struct api_findings *f, const char *path, const struct json *csi)
{
	static const char *const secrets[] = { "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef",
					       "nodeExpandSecretRef" };

	check_csi_driver_name(f, rules_at(f, path, "driver"), json_get_str(csi, "driver"));
	if (json_get_str(csi, "volumeHandle").len == 0)
		finding_required(f, rules_at(f, path, "volumeHandle"), "");
	for (size_t i = 0; i < N_OF(secrets); i++)
		secret_ref(f, rules_at(f, path, secrets[i]), json_get(csi, secrets[i]));
}

static void host_path(struct api_findings *f, const char *path, const struct json *source)
{
	static const char *const types[] = { "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
					     "File", "FileOrCreate", "Socket" };

	if (json_get_str(source, "path").len == 0) {
		finding_required(f, rules_at(f, path, "path"), "");
		return;
	}
	check_no_backsteps(f, rules_at(f, path, "path"), json_get_str(source, "path"));
	check_one_of(f, rules_at(f, path, "type"), json_get_str(source, "type"), false, types, N_OF(types));
}

/* In upstream's order, which says which of two is one too many. */
static const struct {
	const char *name, *shown;
	const char *told; /* in what is wrong with it */
	const char *required[3];
	void (*check)(struct api_findings *f, const char *path, const struct json *source);
} volume_sources[] = {
	{ .name = "hostPath", .check = host_path },
	{ .name = "gcePersistentDisk", .told = "persistentDisk", .required = { "pdName" } },
	{ .name = "awsElasticBlockStore", .required = { "volumeID" } },
	{ .name = "glusterfs", .required = { "endpoints", "path" } },
	{ .name = "flocker", .check = check_flocker },
	{ .name = "nfs", .check = check_nfs },
	{ .name = "rbd", .required = { "monitors", "image" } },
	{ .name = "quobyte", .required = { "registry", "volume" } },
	{ .name = "cephfs", .shown = "cephFS", .required = { "monitors" } },
	{ .name = "iscsi", .check = check_iscsi },
	{ .name = "cinder", .required = { "volumeID" } },
	{ .name = "fc", .check = check_fc },
	{ .name = "flexVolume", .required = { "driver" } },
	{ .name = "azureFile", .required = { "secretName", "shareName" } },
	{ .name = "vsphereVolume", .required = { "volumePath" } },
	{ .name = "photonPersistentDisk", .required = { "pdID" } },
	{ .name = "portworxVolume", .required = { "volumeID" } },
	{ .name = "azureDisk", .check = check_azure_disk, .required = { "diskName", "diskURI" } },
	{ .name = "scaleIO", .required = { "gateway", "system", "volumeName" } },
	{ .name = "local", .required = { "path" } },
	{ .name = "storageos", .required = { "volumeName" } },
	{ .name = "csi", .check = csi_volume },
};

static void volume_source(struct api_findings *f, const char *path, const struct json *spec)
{
	size_t n = 0;

	for (size_t i = 0; i < N_OF(volume_sources); i++) {
		const struct json *source = json_get(spec, volume_sources[i].name);
		const char *at = rules_at(f, path, volume_sources[i].name);
		if (source == NULL)
			continue;
		/* Upstream lets this one stand beside another. */
		if (n != 0 && strcmp(volume_sources[i].name, "flexVolume") != 0) {
			finding_forbidden(f, volume_sources[i].shown != NULL ? rules_at(f, path, volume_sources[i].shown) : at,
					  "may not specify more than 1 volume type");
			continue;
		}
		n++;
		if (volume_sources[i].told != NULL)
			at = rules_at(f, path, volume_sources[i].told);
		for (size_t k = 0; k < 3 && volume_sources[i].required[k] != NULL; k++) {
			const struct json *value = json_get(source, volume_sources[i].required[k]);
			if (json_str(value).len == 0 && json_len(value) == 0)
				finding_required(f, rules_at(f, at, volume_sources[i].required[k]), "");
		}
		if (volume_sources[i].check != NULL)
			volume_sources[i].check(f, at, source);
		if (strcmp(volume_sources[i].name, "local") == 0 && json_path(spec, "nodeAffinity.required") == NULL)
			finding_required(f, rules_at(f, path, "nodeAffinity"), "Local volume requires node affinity");
	}
	if (n == 0)
		finding_required(f, path, "must specify a volume type");
}

static void volume_class(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *class = json_get(spec, "volumeAttributesClassName"), *affinity = json_get(spec, "nodeAffinity");

	access_modes(f, rules_at(f, path, "accessModes"), json_get(spec, "accessModes"));
	capacity(f, path, spec);
	volume_source(f, path, spec);
	if (affinity != NULL && json_get(affinity, "required") == NULL)
		finding_required(f, rules_at(f, path, "nodeAffinity.required"), "must specify required node constraints");
	check_node_selector(f, rules_at(f, path, "nodeAffinity.required"), json_get(affinity, "required"));
	if (class != NULL && json_get(spec, "csi") == NULL)
		finding_required(f, rules_at(f, path, "csi"), "has to be specified when using volumeAttributesClassName");
}

void validate_volume_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const struct rule rows[] = {
		NEEDED("accessModes", ""),
		ONE_OF("persistentVolumeReclaimPolicy", "Delete", "Recycle", "Retain"),
		ONE_OF("volumeMode", "Block", "Filesystem"),
		NAME("storageClassName", name_dns_subdomain),
		FILLED_TEXT("volumeAttributesClassName", "an empty string is disallowed"),
		NAME("volumeAttributesClassName", name_dns_subdomain),
		CALL(volume_class),
		RULES_END,
	};

	(void)type;
	/* Inline in an attachment, where other rules stand. */
	if (strcmp(path, "spec") == 0)
		rules_find(f, rows, tree, path);
}

/* ---- sets of pods ---- */

struct set_rules {
	const char *kind;  /* as in "activeDeadlineSeconds in StatefulSet is not Supported" */
	const char *empty; /* what is said of an empty selector, when it is judged here */
	bool needed;       /* the selector must be there */
};

static void template_of(struct api_findings *f, const char *path, const struct json *template, const char *kind)
{
	static const char *const always[] = { "Always" };
	struct str restart = json_path_str(template, "spec.restartPolicy");

	check_pod_template(f, path, template);
	if (!str_is(restart, "Always"))
		finding_unsupported(f, AT(f, "%s.spec.restartPolicy", path), restart, always, 1);
	if (json_path(template, "spec.activeDeadlineSeconds") != NULL)
		finding_forbidden(f, AT(f, "%s.spec.activeDeadlineSeconds", path),
				  AT(f, "activeDeadlineSeconds in %s is not Supported", kind));
}

static void selects_template(struct api_findings *f, const char *path, const struct json *spec, bool everything_too)
{
	const struct json *labels = json_path(spec, "template.metadata.labels"), *said = json_get(spec, "selector");
	struct selector selector;
	AUTO_ERROR err = selector_from_object(f->arena, said, &selector);

	if (err != NULL)
		return;
	if (!(everything_too && selector_everything(&selector)) && !selector_matches(&selector, labels))
		finding_invalid(f, rules_at(f, path, "template.metadata.labels"), labels == NULL ? &json_null : labels,
				"`selector` does not match template `labels`");
}

static void selector_of(struct api_findings *f, const char *path, const struct json *said, const struct set_rules *set)
{
	if (json_absent(said) && set->needed)
		finding_required(f, path, "");
	if (json_absent(said))
		return;
	check_label_selector(f, path, said);
	if (json_len(json_get(said, "matchLabels")) + json_len(json_get(said, "matchExpressions")) == 0)
		finding_invalid(f, path, said, set->empty);
}

/* Volumes that a StatefulSet's claims stand for. */
static const struct json *with_claims(struct arena *arena, const struct json *spec)
{
	struct json_builder volumes = { .arena = arena };
	const struct json *template = json_get(spec, "template"), *claims = json_get(spec, "volumeClaimTemplates");
	struct places names = { .arena = arena };

	template = json_with_path(arena, json_with_path(arena, template, "spec.hostname", NULL), "spec.subdomain", NULL);
	if (json_len(claims) == 0)
		return template;
	JSON_EACH (claims, it) {
		const struct json *name = json_path(it.value, "metadata.name");
		places_add(&names, json_str(name), it.index);
		json_builder_item(&volumes,
				  JSON_OBJECT_OF(arena, { "name", name },
						 { "persistentVolumeClaim", JSON_OBJECT_OF(arena, { "claimName", name }) }));
	}
	JSON_EACH (json_path(template, "spec.volumes"), it)
		if (places_find(&names, json_get_str(it.value, "name")) == PLACES_NONE)
			json_builder_item(&volumes, it.value);
	return json_with_path(arena, template, "spec.volumes", json_builder_array(&volumes));
}

static void stateful_strategy(struct api_findings *f, const char *path, const struct json *strategy)
{
	static const struct shown_field fields[] = { { "Type", "type", "\"\"" }, { "RollingUpdate", "rollingUpdate", "null" } };
	static const struct shown_field steps[] = { { "Partition", "partition", "0" },
						    { "MaxUnavailable", "maxUnavailable", "null" } };
	struct str kind = json_get_str(strategy, "type");
	const struct json *rolling = json_get(strategy, "rollingUpdate");

	if (kind.len == 0)
		finding_required(f, path, "");
	else if (str_is(kind, "OnDelete") && rolling != NULL)
		finding_invalid(f, rules_at(f, path, "rollingUpdate"), shown_struct(f->arena, rolling, steps, N_OF(steps)),
				"only allowed for updateStrategy 'RollingUpdate'");
	else if (str_is(kind, "RollingUpdate"))
		check_not_negative(f, rules_at(f, path, "rollingUpdate.partition"), json_get(rolling, "partition"));
	else if (!str_is(kind, "OnDelete"))
		finding_invalid(f, path, shown_struct(f->arena, strategy, fields, N_OF(fields)),
				"must be 'RollingUpdate' or 'OnDelete'");
}

static void stateful_set(struct api_findings *f, const char *path, const struct json *spec)
{
	static const struct set_rules set = { "StatefulSet", "empty selector is invalid for statefulset", true };
	static const char *const policies[] = { "Retain", "Delete" }, *const when[] = { "whenDeleted", "whenScaled" };
	const struct json *retention = json_get(spec, "persistentVolumeClaimRetentionPolicy");
	struct str management = json_get_str(spec, "podManagementPolicy");
	struct selector selector;

	if (management.len == 0)
		finding_required(f, rules_at(f, path, "podManagementPolicy"), "");
	else if (!str_is(management, "OrderedReady") && !str_is(management, "Parallel"))
		finding_invalid_text(f, rules_at(f, path, "podManagementPolicy"), management,
				     "must be 'OrderedReady' or 'Parallel'");
	stateful_strategy(f, rules_at(f, path, "updateStrategy"), json_get(spec, "updateStrategy"));
	for (int i = 0; i < 2 && retention != NULL; i++) {
		struct str policy = json_get_str(retention, when[i]);
		if (!str_is(policy, policies[0]) && !str_is(policy, policies[1]))
			finding_unsupported(f, AT(f, "%s.persistentVolumeClaimRetentionPolicy.%s", path, when[i]), policy, policies,
					    2);
	}
	JSON_EACH (json_get(spec, "volumeClaimTemplates"), it)
		check_claim_spec(f, AT(f, "%s.volumeClaimTemplates[%zu].spec", path, it.index), json_get(it.value, "spec"));
	check_not_negative(f, rules_at(f, path, "ordinals.start"), json_path(spec, "ordinals.start"));
	selector_of(f, rules_at(f, path, "selector"), json_get(spec, "selector"), &set);
	AUTO_ERROR err = selector_from_object(f->arena, json_get(spec, "selector"), &selector);
	if (err != NULL) { /* which pods are meant is not known */
		finding_invalid(f, rules_at(f, path, "selector"), json_get(spec, "selector"), "");
		return;
	}
	selects_template(f, path, spec, true);
	template_of(f, rules_at(f, path, "template"), with_claims(f->arena, spec), set.kind);
}

void validate_stateful_set_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const struct rule rows[] = { NOT_NEGATIVE("replicas"), NOT_NEGATIVE("minReadySeconds"),
					    NAME("serviceName", name_dns_label), CALL(stateful_set), RULES_END };

	(void)type;
	rules_find(f, rows, tree, path);
}

static bool nothing(const struct json *value)
{
	int64_t n;

	return value == NULL || !intstr_scaled(value, 100, false, &n) || n == 0;
}

static void daemon_strategy(struct api_findings *f, const char *path, const struct json *strategy)
{
	static const char *const kinds[] = { "RollingUpdate", "OnDelete" }, *const parts[] = { "maxUnavailable", "maxSurge" };
	static const struct shown_field fields[] = { { "Type", "type", "\"\"" }, { "RollingUpdate", "rollingUpdate", "null" } };
	const struct json *rolling = json_get(strategy, "rollingUpdate");
	const char *at = rules_at(f, path, "rollingUpdate");
	int64_t share;

	if (str_is(json_get_str(strategy, "type"), "OnDelete"))
		return;
	if (!str_is(json_get_str(strategy, "type"), "RollingUpdate")) {
		finding_unsupported_value(f, path, shown_struct(f->arena, strategy, fields, N_OF(fields)), kinds, 2);
		return;
	}
	if (rolling == NULL) {
		finding_required(f, at, "");
		return;
	}
	for (int i = 0; i < 2; i++) {
		const struct json *value = json_get(rolling, parts[i]);
		check_int_or_percent(f, rules_at(f, at, parts[i]), value);
		if (json_is(value, JSON_STRING) && intstr_scaled(value, 100, false, &share) && share > 100)
			finding_invalid(f, rules_at(f, at, parts[i]), value, "must not be greater than 100%");
	}
	if (!nothing(json_get(rolling, parts[0])) && !nothing(json_get(rolling, parts[1])))
		finding_invalid(f, rules_at(f, at, parts[1]), json_get(rolling, parts[1]),
				"may not be set when maxUnavailable is non-zero");
	else if (nothing(json_get(rolling, parts[0])) && nothing(json_get(rolling, parts[1])))
		finding_required(f, rules_at(f, at, parts[0]), "cannot be 0 when maxSurge is 0");
}

static void daemon_set(struct api_findings *f, const char *path, const struct json *spec)
{
	static const struct set_rules set = { "DaemonSet", "empty selector is invalid for daemonset", false };

	selector_of(f, rules_at(f, path, "selector"), json_get(spec, "selector"), &set);
	selects_template(f, path, spec, false);
	template_of(f, rules_at(f, path, "template"), json_get(spec, "template"), set.kind);
	daemon_strategy(f, rules_at(f, path, "updateStrategy"), json_get(spec, "updateStrategy"));
}

void validate_daemon_set_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const struct rule rows[] = { NOT_NEGATIVE("minReadySeconds"), NOT_NEGATIVE("revisionHistoryLimit"), CALL(daemon_set),
					    RULES_END };

	(void)type;
	rules_find(f, rows, tree, path);
}

static void replication(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *selector = json_get(spec, "selector"), *template = json_get(spec, "template");
	const struct json *labels = json_path(template, "metadata.labels");
	const char *at = rules_at(f, path, "template");
	bool fits = true;

	if (template == NULL) {
		finding_required(f, at, "");
		return;
	}
	JSON_EACH (selector, it)
		fits = fits && json_equal(json_find(labels, it.key), it.value);
	if (!fits)
		finding_invalid(f, rules_at(f, at, "metadata.labels"), labels == NULL ? &json_null : labels,
				"`selector` does not match template `labels`");
	template_of(f, at, template, "ReplicationController");
}

void validate_replication_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const struct rule rows[] = { NOT_NEGATIVE("minReadySeconds"), NEEDED("selector", ""), NOT_NEGATIVE("replicas"),
					    CALL(replication), RULES_END };

	(void)type;
	rules_find(f, rows, tree, path);
}

void validate_revision(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *data = json_get(tree, "data");

	(void)type;
	(void)path;
	check_not_negative(f, "revision", json_get(tree, "revision"));
	if (json_absent(data))
		finding_required(f, "data", "data is mandatory");
	else if (!json_is(data, JSON_OBJECT))
		finding_required(f, "data", "data must be a valid JSON object");
}

/* ---- limit ranges ---- */

/* Where one amount is more than another: what is told, of which, and in which words. */
static const struct limit_pair {
	const char *less, *more, *told;
	bool value_of_more;
	const char *less_name, *more_name;
} limit_pairs[] = {
	{ "min", "max", "min", false, "min value", "max value" },
	{ "min", "defaultRequest", "defaultRequest", true, "min value", "default request value" },
	{ "defaultRequest", "max", "defaultRequest", false, "default request value", "max value" },
	{ "defaultRequest", "default", "defaultRequest", false, "default request value", "default limit value" },
	{ "min", "default", "default", false, "min value", "default value" },
	{ "default", "max", "default", true, "default value", "max value" },
};

static void compare_limits(struct api_findings *f, const char *path, const struct json *limit, const struct limit_pair *pair)
{
	JSON_EACH (json_get(limit, pair->less), it) {
		const struct json *other = json_find(json_get(limit, pair->more), it.key);
		struct quantity less = quantity_of(it.value), more = quantity_of(other);

		if (other != NULL && quantity_cmp(&less, &more) > 0)
			finding_invalid(f, AT(f, "%s.%s[%.*s]", path, pair->told, STR_ARG(it.key)),
					pair->value_of_more ? other : it.value,
					AT(f, "%s %.*s is greater than %s %.*s", pair->less_name, STR_ARG(json_str(it.value)),
					   pair->more_name, STR_ARG(json_str(other))));
	}
}

static void limit_ratios(struct api_findings *f, const char *path, const struct json *limit)
{
	JSON_EACH (json_get(limit, "maxLimitRequestRatio"), it) {
		const struct json *min = json_find(json_get(limit, "min"), it.key),
				  *max = json_find(json_get(limit, "max"), it.key);
		struct quantity ratio = quantity_of(it.value), low = quantity_of(min), high = quantity_of(max);
		const char *at = AT(f, "%s.maxLimitRequestRatio[%.*s]", path, STR_ARG(it.key));
		double most = (double)quantity_milli(&high) / (double)quantity_milli(&low);

		if (quantity_milli(&ratio) < 1000)
			finding_invalid(f, at, it.value, AT(f, "ratio %.*s is less than 1", STR_ARG(json_str(it.value))));
		if (min != NULL && max != NULL && quantity_sign(&low) > 0 && (double)quantity_milli(&ratio) / 1000 > most)
			finding_invalid(f, at, it.value,
					AT(f, "ratio %.*s is greater than max/min = %f", STR_ARG(json_str(it.value)), most));
	}
}

static void limit_item(struct api_findings *f, const char *path, const struct json *limit)
{
	static const char *const maps[] = { "max", "min", "maxLimitRequestRatio", "default", "defaultRequest" };
	static const char *const types[] = { "Pod", "Container", "PersistentVolumeClaim" };
	struct str type = json_get_str(limit, "type");
	struct complaints c = name_label_key(type);
	bool pod = str_is(type, "Pod"), standard = str_find(type, '/') >= 0;

	for (size_t i = 0; i < N_OF(types); i++)
		standard = standard || str_is(type, types[i]);
	check_complaints(f, rules_at(f, path, "type"), type, c);
	if (c.n == 0 && !standard)
		finding_invalid_text(f, rules_at(f, path, "type"), type, "must be a standard limit type or fully qualified");
	for (size_t i = 0; i < N_OF(maps); i++) {
		const struct json *map = json_get(limit, maps[i]);

		if (pod && i > 2 && json_len(map) != 0)
			finding_forbidden(f, rules_at(f, path, maps[i]), "may not be specified when `type` is 'Pod'");
		JSON_EACH (pod &&i > 2 ? NULL : map, it)
			check_resource_name(f, AT(f, "%s.%s[%.*s]", path, maps[i], STR_ARG(it.key)), it.key,
					    pod || str_is(type, "Container"));
	}
	if (str_is(type, "PersistentVolumeClaim") && json_path(limit, "min.storage") == NULL &&
	    json_path(limit, "max.storage") == NULL)
		finding_required(f, rules_at(f, path, "limits"),
				 "either minimum or maximum storage value is required, but neither was provided");
	for (size_t i = 0; i < N_OF(limit_pairs); i++)
		if (!pod || i == 0)
			compare_limits(f, path, limit, &limit_pairs[i]);
	limit_ratios(f, path, limit);
}

static void limit_types(struct api_findings *f, const char *path, const struct json *spec)
{
	struct places seen = { .arena = f->arena };

	JSON_EACH (json_get(spec, "limits"), it) {
		const struct json *type = json_get(it.value, "type");

		if (places_add(&seen, json_str(type), it.index) != it.index)
			finding_duplicate(f, AT(f, "%s[%zu].type", rules_at(f, path, "limits"), it.index), type);
	}
}

const struct rule limit_item_rules[] = { CALL_OF("type", limit_item), RULES_END };
const struct rule limit_range_rules[] = { CALL(limit_types), RULES_END };
