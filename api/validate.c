/*
 * Validation: the walker, and which rules an update has beside them.
 *
 * A type with a hook is judged by it, with all that is below; the others by what the catalogue says of their fields: a
 * required text must not be empty, a value must be one of its list; and by their rows of rules.
 */
#include <string.h>

#include "api/check.h"
#include "api/custom.h"
#include "api/hooks.h"
#include "api/private.h"

static validate_hook *const hooks[] = { NULL,
#define X(name) name,
					CATALOG_VALIDATE(X)
#undef X
};

static const struct rule *const rules[] = { NULL,
#define X(name) name,
					    CATALOG_RULES(X)
#undef X
};

/* The path of what is looked at grows and shrinks with the walk, so that depth costs nothing; findings copy it. */
struct walk {
	struct api_findings *f;
	struct buf path;
	const struct rule *rows; /* of the struct that is looked at; may be NULL */
};

static void walk_type(struct walk *w, const struct type *type, const struct json *tree);

static void check_listed(struct walk *w, const struct field *field, struct str value)
{
	const char **list = ARENA_ARRAY(w->f->arena, const char *, field->one_of.n);
	bool empty_is_one = false;
	size_t n = 0;

	for (size_t i = 0; i < field->one_of.n; i++) {
		struct str one = catalog_text_at(&field->one_of, i);
		empty_is_one = empty_is_one || one.len == 0;
		if (one.len != 0)
			list[n++] = one.ptr;
	}
	if ((field->flags & FIELD_POINTER) != 0 && !empty_is_one && value.len == 0)
		finding_unsupported(w->f, buf_cstr(&w->path), value, list, n);
	else
		check_one_of(w->f, buf_cstr(&w->path), value, false, list, n);
}

static void walk_value(struct walk *w, const struct field *field, const struct json *value, bool own)
{
	const struct type *type = field_type(field);

	if (str_is(type_name(type), "LabelSelector") && str_has_suffix(type_package(type), STR("apis.meta.v1"))) {
		if (!own)
			check_label_selector(w->f, buf_cstr(&w->path), value);
		return;
	}
	if (!own && field->one_of.n != 0 && type->form == FORM_STRING)
		check_listed(w, field, json_str(value));
	if (type->form == FORM_STRUCT && (type->flags & TYPE_HAS_RULES) != 0)
		walk_type(w, type, value);
}

static void walk_field(struct walk *w, const struct field *field, const struct json *value)
{
	bool own = rules_name(w->rows, field_name(field));
	bool required = !own && (field->flags & FIELD_REQUIRED) != 0 && (field->flags & FIELD_POINTER) == 0;
	size_t here = w->path.len;

	if (required && field->shape == SHAPE_ONE && field_type(field)->form == FORM_STRING && json_str(value).len == 0)
		finding_required(w->f, buf_cstr(&w->path), "");
	if (json_absent(value))
		return;
	if (field->shape == SHAPE_ONE)
		walk_value(w, field, value, own);
	JSON_EACH (field->shape == SHAPE_LIST || field->shape == SHAPE_MAP ? value : NULL, it) {
		if (it.key.ptr != NULL)
			buf_printf(&w->path, "[%.*s]", STR_ARG(it.key));
		else
			buf_printf(&w->path, "[%zu]", it.index);
		walk_value(w, field, it.value, own);
		w->path.len = here;
	}
}

static void walk_type(struct walk *w, const struct type *type, const struct json *tree)
{
	const struct rule *outer = w->rows;
	size_t here = w->path.len;

	if (type->validate != 0) {
		hooks[type->validate](w->f, type, tree, buf_cstr(&w->path));
		return;
	}
	if (type->rules != 0)
		rules_find(w->f, rules[type->rules], tree, buf_cstr(&w->path));
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		/* The status of an object is judged when it comes through /status. */
		if (here == 0 && str_is(field_name(field), "status"))
			continue;
		if ((field->flags & FIELD_TYPE_META) != 0 || str_is(type_name(field_type(field)), "ObjectMeta"))
			continue;
		buf_printf(&w->path, "%s%.*s", here == 0 ? "" : ".", STR_ARG(field_name(field)));
		w->rows = rules[type->rules];
		walk_field(w, field, json_find(tree, field_name(field)));
		w->path.len = here;
	}
	w->rows = outer;
}

static void walk(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	struct walk w = { .f = f };

	buf_add(&w.path, str_from(path));
	walk_type(&w, type, tree);
	buf_fini(&w.path);
}

/* What is stored in another version is judged there. Events are not: they have two sets of rules. */
static void walk_stored(struct api_findings *f, const struct kind *kind, const struct json *tree)
{
	const struct kind *stored = kind_stored_as(kind);

	if (str_is(kind_group(kind), "autoscaling") && stored != kind)
		tree = convert_autoscaler(f->arena, tree, true);
	else
		stored = kind;
	walk(f, kind_type(stored), tree, "");
}

void api_find_invalid(struct api_findings *f, const struct kind *kind, const struct json *tree)
{
	check_metadata(f, kind, json_get(tree, "metadata"));
	if ((kind->flags & KIND_CUSTOM) != 0)
		api_check_schema(f, custom_schema(kind), tree, NULL);
	else
		walk_stored(f, kind, tree);
}

static const struct {
	const char *group, *kind;
	void (*check)(struct api_findings *f, const struct json *tree, const struct json *old);
	enum { FIRST, LAST, ALONE } when; /* by what else is looked at, or in its place */
} updates[] = {
	{ "", "Pod", update_pod, LAST },
	{ "", "Service", update_service, FIRST },
	{ "", "ConfigMap", update_config_map, FIRST },
	{ "", "Secret", update_secret, FIRST },
	{ "", "Node", update_node, FIRST },
	{ "events.k8s.io", "Event", update_event, FIRST },
	{ "networking.k8s.io", "IPAddress", update_ip_address, LAST },
	{ "networking.k8s.io", "ServiceCIDR", update_service_cidr, ALONE },
	{ "apps", "Deployment", update_selector, LAST },
	{ "apps", "ReplicaSet", update_selector, LAST },
	{ "apps", "DaemonSet", update_selector, LAST },
	{ "apps", "StatefulSet", update_stateful_set, LAST },
	{ "discovery.k8s.io", "EndpointSlice", update_endpoint_slice, LAST },
	{ "storage.k8s.io", "StorageClass", update_storage_class, LAST },
	{ "scheduling.k8s.io", "PriorityClass", update_priority_class, ALONE },
	{ "resource.k8s.io", "ResourceClaim", update_claimed, ALONE },
	{ "storage.k8s.io", "CSINode", update_csi_node, LAST },
	{ "apps", "ControllerRevision", update_revision, ALONE },
	{ "", "ResourceQuota", update_quota, LAST },
	{ "apiextensions.k8s.io", "CustomResourceDefinition", update_definition, FIRST },
};

/* Kinds that judge a changed object as if it were new, beside the change; and those that do not look at metadata of their own. */
static const struct {
	const char *group, *kind;
	bool again, none;
	bool twice; /* … twice: by the registry and by what judges the change */
} updated[] = {
	{ .group = "", .kind = "PersistentVolume", .again = true, .twice = true },
	{ .group = "", .kind = "PersistentVolumeClaim", .again = true },
	{ .group = "batch", .kind = "Job", .again = true, .twice = true },
	{ .group = "", .kind = "ConfigMap", .again = true },
	{ .group = "", .kind = "Secret", .again = true },
	{ .group = "", .kind = "Service", .again = true },
	{ .group = "", .kind = "Endpoints", .again = true },
	{ .group = "", .kind = "ServiceAccount", .again = true },
	{ .group = "", .kind = "Node", .again = true },
	{ .group = "", .kind = "Pod", .again = true },
	{ .group = "", .kind = "Namespace", .again = true },
	{ .group = "", .kind = "Event", .none = true },
	{ .group = "discovery.k8s.io", .kind = "EndpointSlice", .again = true, .none = true },
};

/* Metadata is judged by the registry and by the kind, and all causes are sent. */
void api_find_invalid_update(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old)
{
	bool again = false, none = false, twice = false;
	size_t at;

	for (size_t i = 0; i < N_OF(updated); i++)
		if (str_is(kind_group(kind), updated[i].group) && str_is(kind_name(kind), updated[i].kind)) {
			again = updated[i].again;
			none = updated[i].none;
			twice = updated[i].twice;
		}
	check_metadata(f, kind, json_get(tree, "metadata"));
	for (int i = none ? 1 : 0; i < 2; i++) {
		check_metadata_maps(f, json_get(tree, "metadata"));
		check_metadata_update(f, json_get(tree, "metadata"), json_get(old, "metadata"));
	}
	if ((kind->flags & KIND_CUSTOM) != 0) {
		api_check_schema(f, custom_schema(kind), tree, old);
		return;
	}
	for (at = 0; at < N_OF(updates); at++)
		if (str_is(kind_group(kind), updates[at].group) && str_is(kind_name(kind), updates[at].kind))
			break;
	if (at < N_OF(updates) && updates[at].when != LAST)
		updates[at].check(f, tree, old);
	if (again)
		check_metadata(f, kind, json_get(tree, "metadata"));
	if (at == N_OF(updates) || updates[at].when != ALONE)
		walk_stored(f, kind, tree);
	if (twice)
		walk_stored(f, kind, tree);
	if (twice && kind_group(kind).len == 0)
		check_metadata(f, kind, json_get(tree, "metadata"));
	if (at < N_OF(updates) && updates[at].when == LAST)
		updates[at].check(f, tree, old);
	check_fixed(f, kind, tree, old);
}

static struct error *verdict(struct arena *arena, const struct api_findings *f, const struct kind *kind, const struct json *tree)
{
	struct error *err;

	/* What is stored in another group is judged there. */
	kind = kind_stored_as(kind);
	err = api_invalid(f, kind_text(arena, kind), json_path_str(tree, "metadata.name"));
	return err == NULL ? NULL : error_about(err, kind_group(kind), kind_name(kind), json_path_str(tree, "metadata.name"));
}

struct error *api_validate(struct arena *arena, const struct kind *kind, const struct json *tree)
{
	struct api_findings f = { .arena = arena };

	/* Events of the core are looked at by themselves first. */
	if (str_is(kind_name(kind), "Event") && kind_group(kind).len == 0)
		walk(&f, kind_type(kind), tree, "");
	if (f.len == 0)
		api_find_invalid(&f, kind, tree);
	if (str_is(kind_name(kind), "Pod") && kind_group(kind).len == 0)
		api_find_invalid_pod_create(&f, tree);
	if (str_is(kind_name(kind), "Event"))
		create_event(&f, tree);
	return verdict(arena, &f, kind, tree);
}

struct error *api_validate_addresses(struct arena *arena, const struct kind *kind, const struct json *tree)
{
	struct api_findings f = { .arena = arena };

	check_cluster_ips(&f, json_get(tree, "spec"));
	return verdict(arena, &f, kind, tree);
}

struct error *api_validate_update(struct arena *arena, const struct kind *kind, const struct json *tree, const struct json *old)
{
	struct api_findings f = { .arena = arena };

	api_find_invalid_update(&f, kind, tree, old);
	return verdict(arena, &f, kind, tree);
}

struct error *api_validate_status_update(struct arena *arena, const struct kind *kind, const struct json *tree,
					 const struct json *old)
{
	struct api_findings f = { .arena = arena };

	check_metadata(&f, kind, json_get(tree, "metadata"));
	check_metadata_update(&f, json_get(tree, "metadata"), json_get(old, "metadata"));
	if ((kind->flags & KIND_CUSTOM) != 0) {
		api_check_schema(&f, custom_schema(kind), tree, old);
		return verdict(arena, &f, kind, tree);
	}
	check_status(&f, kind, tree, old);
	return verdict(arena, &f, kind, tree);
}

struct error *api_validate_subresource(struct arena *arena, const struct kind *kind, struct str subresource,
				       const struct json *tree, const struct json *old)
{
	struct api_findings f = { .arena = arena };

	if (str_is(subresource, "status"))
		return api_validate_status_update(arena, kind, tree, old);
	if (str_is(subresource, "finalize")) {
		check_metadata(&f, kind, json_get(tree, "metadata"));
		check_metadata_update(&f, json_get(tree, "metadata"), json_get(old, "metadata"));
		check_spec_finalizers(&f, tree, true);
		return verdict(arena, &f, kind, tree);
	}
	if (!str_is(subresource, "ephemeralcontainers") && !str_is(subresource, "resize"))
		return api_validate_update(arena, kind, tree, old);
	check_metadata_update(&f, json_get(tree, "metadata"), json_get(old, "metadata"));
	api_find_invalid(&f, kind, tree);
	if (str_is(subresource, "resize"))
		update_resources(&f, tree, old);
	else
		update_ephemeral(&f, tree, old);
	return verdict(arena, &f, kind, tree);
}
