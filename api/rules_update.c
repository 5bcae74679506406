/* What may not change once an object is there, of kinds that have no more to say about it. Sources: pkg/apis/<group>/validation. */
#include <ctype.h>
#include <string.h>

#include "api/check.h"
#include "api/quantity.h"

/* Without say it is immutable; but: dotted paths below it that may change; shown: by the names of Go's fields. */
struct fixed {
	const char *group, *kind, *path, *say;
	const char *field; /* as it is told, when that is not the path */
	const char *but[9];
	const struct shown_field *shown;
	bool go;      /* shown as upstream's own type: a struct */
	bool is_text; /* absent is shown as an empty text */
	bool diff;    /* of a spec, by Go's names, behind what is said */
};

static const struct shown_field role[] = {
	{ "APIGroup", "apiGroup", "\"\"" }, { "Kind", "kind", "\"\"" }, { "Name", "name", "\"\"" }, { NULL, NULL, NULL }
};

#define SET_TEXT                                                                                                                   \
	"updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "                 \
	"'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
#define CLAIM_TEXT  "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
#define SOURCE_TEXT "spec.persistentvolumesource is immutable after creation"

static const struct fixed rows[] = {
	{ .group = "apps", .kind = "ControllerRevision", .path = "data" },
	{ .group = "apps",
	  .kind = "StatefulSet",
	  .path = "spec",
	  .say = SET_TEXT,
	  .but = { "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
		   "persistentVolumeClaimRetentionPolicy", "minReadySeconds" } },
	{ .group = "batch", .kind = "Job", .path = "spec.selector" },
	{ .group = "batch", .kind = "Job", .path = "spec.completionMode" },
	{ .group = "batch", .kind = "Job", .path = "spec.podFailurePolicy", .go = true },
	{ .group = "batch", .kind = "Job", .path = "spec.backoffLimitPerIndex" },
	{ .group = "batch", .kind = "Job", .path = "spec.managedBy" },
	{ .group = "batch", .kind = "Job", .path = "spec.successPolicy", .go = true },
	{ .group = "networking.k8s.io", .kind = "IngressClass", .path = "spec.controller", .is_text = true },
	{ .group = "node.k8s.io", .kind = "RuntimeClass", .path = "handler" },
	{ .group = "rbac.authorization.k8s.io",
	  .kind = "RoleBinding",
	  .path = "roleRef",
	  .say = "cannot change roleRef",
	  .shown = role },
	{ .group = "rbac.authorization.k8s.io",
	  .kind = "ClusterRoleBinding",
	  .path = "roleRef",
	  .say = "cannot change roleRef",
	  .shown = role },
	{ .group = "resource.k8s.io", .kind = "ResourceClaim", .path = "spec", .go = true },
	{ .group = "resource.k8s.io", .kind = "ResourceClaimTemplate", .path = "spec", .go = true },
	{ .group = "resource.k8s.io", .kind = "ResourceSlice", .path = "spec.pool.name" },
	{ .group = "resource.k8s.io", .kind = "ResourceSlice", .path = "spec.driver" },
	{ .group = "resource.k8s.io", .kind = "ResourceSlice", .path = "spec.nodeName" },
	{ .group = "storage.k8s.io", .kind = "CSIDriver", .path = "spec.attachRequired", .field = "spec.attachedRequired" },
	{ .group = "storage.k8s.io", .kind = "CSIDriver", .path = "spec.volumeLifecycleModes" },
	{ .group = "storage.k8s.io", .kind = "CSIStorageCapacity", .path = "nodeTopology" },
	{ .group = "storage.k8s.io", .kind = "CSIStorageCapacity", .path = "storageClassName" },
	{ .group = "storage.k8s.io", .kind = "VolumeAttachment", .path = "spec", .go = true },
	{ .group = "storage.k8s.io",
	  .kind = "VolumeAttributesClass",
	  .path = "driverName",
	  .say = "updates to driverName are forbidden." },
	{ .group = "storage.k8s.io",
	  .kind = "VolumeAttributesClass",
	  .path = "parameters",
	  .say = "updates to parameters are forbidden." },
	{ .group = "", .kind = "PersistentVolumeClaim", .path = "spec.volumeMode", .field = "volumeMode" },
	{ .group = "", .kind = "PersistentVolume", .path = "spec.volumeMode", .field = "volumeMode" },
	{ .group = "",
	  .kind = "PersistentVolume",
	  .path = "spec",
	  .say = SOURCE_TEXT,
	  .diff = true,
	  .field = "spec.persistentvolumesource",
	  .but = { "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
		   "volumeMode", "nodeAffinity", "volumeAttributesClassName" } },
};

static const struct json *part(struct arena *arena, const struct fixed *row, const struct json *tree)
{
	const struct json *value = json_path(tree, row->path);

	for (size_t i = 0; value != NULL && i < N_OF(row->but) && row->but[i] != NULL; i++)
		value = json_with(arena, value, row->but[i], NULL);
	return value;
}

/* The type at a dotted path of a kind. */
static const struct type *type_at_path(const struct kind *kind, const char *path)
{
	const struct type *type = kind_type(kind);
	struct str rest = str_from(path), name;

	while (type != NULL && str_cut(&rest, '.', &name))
		type = type_find(type, name) == NULL ? NULL : field_type(type_find(type, name));
	return type;
}

/* Of a spec but for some fields, by Go's names. */
static const struct json *shown_but(struct arena *arena, const struct type *type, const struct fixed *row, const struct json *spec)
{
	const struct json *shown = shown_go(arena, type, spec);

	for (size_t i = 0; row != NULL && i < N_OF(row->but) && row->but[i] != NULL; i++)
		shown = json_with(arena, shown,
				  str_cstr(arena, str_format(arena, "%c%s", toupper(row->but[i][0]), row->but[i] + 1)), NULL);
	return shown;
}

static const char *spec_diff(struct api_findings *f, const struct kind *kind, const struct fixed *row, const struct json *old,
			     const struct json *new)
{
	const struct type *type = type_at_path(kind, "spec");

	return check_diff(f, shown_but(f->arena, type, row, old), shown_but(f->arena, type, row, new));
}

static void compare(struct api_findings *f, const struct kind *kind, const struct fixed *row, const struct json *tree,
		    const struct json *old)
{
	const struct json *new = part(f->arena, row, tree), *was = part(f->arena, row, old);
	const char *field = row->field != NULL ? row->field : row->path;

	if (json_equal(new, was))
		return;
	if (row->diff)
		finding_forbidden(f, field, AT(f, "%s\n%s", row->say, spec_diff(f, kind, row, was, new)));
	else if (row->shown != NULL)
		finding_invalid(f, field, shown_struct(f->arena, new, row->shown, 3), row->say);
	else if (row->say != NULL)
		finding_forbidden(f, field, row->say);
	else if (row->go && (new != NULL || strcmp(row->path, "spec") == 0))
		finding_invalid(f, field, shown_go(f->arena, type_at_path(kind, row->path), new), "field is immutable");
	else
		finding_invalid(f, field, new != NULL ? new : row->is_text ? &json_empty_string : &json_null, "field is immutable");
}

/* While a job that never ran is suspended, its pods may still be placed otherwise. */
static const struct json *placed_as(struct arena *arena, const struct json *was, const struct json *now)
{
	static const char *const paths[][2] = { { "spec", "affinity" },        { "spec", "nodeSelector" },
						{ "spec", "tolerations" },     { "spec", "schedulingGates" },
						{ "metadata", "annotations" }, { "metadata", "labels" } };

	for (size_t i = 0; i < N_OF(paths); i++) {
		const struct json *outer = json_get(was, paths[i][0]);
		const struct json *value = json_get(json_get(now, paths[i][0]), paths[i][1]);

		was = json_with(arena, was, paths[i][0],
				json_with(arena, outer == NULL ? &json_empty_object : outer, paths[i][1], value));
	}
	return was;
}

static void update_job(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old)
{
	const struct json *template = json_path(tree, "spec.template"), *was = json_path(old, "spec.template");
	const struct json *completions = json_path(tree, "spec.completions"), *before = json_path(old, "spec.completions");

	if (json_bool(json_path(old, "spec.suspend")) && json_path(old, "status.startTime") == NULL) {
		was = placed_as(f->arena, was, template);
		template = placed_as(f->arena, template, template);
	}
	if (!json_equal(template, was))
		finding_invalid(f, "spec.template", shown_go(f->arena, type_at_path(kind, "spec.template"), template),
				"field is immutable");
	if (json_equal(completions, before))
		return;
	if (!str_is(json_path_str(tree, "spec.completionMode"), "Indexed"))
		finding_invalid(f, "spec.completions", completions == NULL ? &json_null : completions, "field is immutable");
	else if (!json_equal(completions, json_path(tree, "spec.parallelism")))
		finding_invalid(f, "spec.completions", completions == NULL ? &json_null : completions,
				"can only be modified in tandem with spec.parallelism");
}

/* A claim that is bound may ask for more; what it gets later, a volume and a class, it gets once. */
static void update_claim(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old)
{
	static const char *const once[] = { "volumeName", "storageClassName" };
	const struct json *spec = json_get(tree, "spec"), *was = json_get(old, "spec");
	const struct json *asked = json_path(spec, "resources.requests.storage"),
			  *before = json_path(was, "resources.requests.storage");
	struct quantity size = quantity_of(asked), less = quantity_of(before),
			has = quantity_of(json_path(old, "status.capacity.storage"));

	for (size_t i = 0; i < N_OF(once); i++)
		if (json_get(was, once[i]) == NULL)
			was = json_with(f->arena, was, once[i], json_get(spec, once[i]));
	if (str_is(json_path_str(tree, "status.phase"), "Bound")) {
		if (asked != NULL && before != NULL)
			was = json_with_path(f->arena, was, "resources.requests.storage", asked);
		was = json_with(f->arena, was, "volumeAttributesClassName", json_get(spec, "volumeAttributesClassName"));
	}
	if (!json_equal(spec, was))
		finding_forbidden(f, "spec", AT(f, "%s\n%s", CLAIM_TEXT, spec_diff(f, kind, NULL, was, spec)));
	if (quantity_cmp(&size, &less) < 0 && quantity_cmp(&size, &has) <= 0)
		finding_forbidden(f, "spec.resources.requests.storage", "field can not be less than status.capacity");
}

void check_fixed(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old)
{
	if (str_is(kind_name(kind), "PersistentVolumeClaim") && kind_group(kind).len == 0)
		update_claim(f, kind, tree, old);
	for (size_t i = 0; i < N_OF(rows); i++)
		if (str_is(kind_group(kind), rows[i].group) && str_is(kind_name(kind), rows[i].kind))
			compare(f, kind, &rows[i], tree, old);
	if (str_is(kind_name(kind), "Job") && str_is(kind_group(kind), "batch"))
		update_job(f, kind, tree, old);
}

/* ---- kinds whose updates only are special ---- */

void update_storage_class(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const fixed[] = { "parameters", "provisioner", "reclaimPolicy", "volumeBindingMode" };

	for (size_t i = 0; i < N_OF(fixed); i++)
		check_immutable(f, fixed[i], json_get(tree, fixed[i]), json_get(old, fixed[i]));
}

void update_priority_class(struct api_findings *f, const struct json *tree, const struct json *old)
{
	if (!json_equal(json_get(tree, "value"), json_get(old, "value")))
		finding_forbidden(f, "value", "may not be changed in an update.");
	check_immutable(f, "preemptionPolicy", json_get(tree, "preemptionPolicy"), json_get(old, "preemptionPolicy"));
}

/* What cannot change is not judged again. */
void update_stateful_set(struct api_findings *f, const struct json *tree, const struct json *old)
{
	(void)tree;
	(void)old;
	findings_drop(f, "spec.volumeClaimTemplates");
	findings_drop(f, "spec.serviceName");
}

/* What a driver said of a node stays, but for how many volumes it can have. */
void update_csi_node(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const struct shown_field fields[] = { { "Name", "name", "\"\"" },
						     { "NodeID", "nodeID", "\"\"" },
						     { "TopologyKeys", "topologyKeys", "null" },
						     { "Allocatable", "allocatable", "null" } };

	JSON_EACH (json_path(old, "spec.drivers"), was)
		JSON_EACH (json_path(tree, "spec.drivers"), is) {
			const struct json *now = json_with(f->arena, is.value, "allocatable", NULL);

			if (str_eq(json_get_str(was.value, "name"), json_get_str(is.value, "name")) &&
			    !json_equal(now, json_with(f->arena, was.value, "allocatable", NULL)))
				finding_invalid(f, "spec.drivers", shown_struct(f->arena, now, fields, N_OF(fields)),
						"field is immutable");
		}
}

void update_revision(struct api_findings *f, const struct json *tree, const struct json *old)
{
	(void)old;
	check_not_negative(f, "revision", json_get(tree, "revision"));
}

static bool has_all(const struct json *list, const struct json *other)
{
	JSON_EACH (other, it) {
		bool found = false;

		JSON_EACH (list, mine)
			found = found || json_equal(mine.value, it.value);
		if (!found)
			return false;
	}
	return true;
}

void update_quota(struct api_findings *f, const struct json *tree, const struct json *old)
{
	const struct json *now = json_path(tree, "spec.scopes"), *was = json_path(old, "spec.scopes");

	if (!has_all(now, was) || !has_all(was, now))
		finding_invalid(f, "spec.scopes", now == NULL ? &json_null : now, "field is immutable");
}
