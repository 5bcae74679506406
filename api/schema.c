/* Finding things in the compiled catalogue. Tables are short; a scan that compares lengths first is all it takes. */
#include <stdlib.h>
#include <string.h>

#include "api/custom.h"
#include "api/private.h"
#include "base/auto.h"
#include "base/trace.h"

static const struct catalog *catalog(void)
{
	return (const struct catalog *)(const void *)catalog_block;
}

const char *verb_name(enum verb verb)
{
	static const char *const names[] = { "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch" };

	return names[verb];
}

uint64_t catalog_hash(void)
{
	return str_hash(str_of((const char *)catalog_block, catalog()->size));
}

size_t kinds_len(void)
{
	return catalog()->kinds.n + custom_kinds_len();
}

const struct kind *kinds_at(size_t i)
{
	if (i >= catalog()->kinds.n)
		return custom_kinds_at(i - catalog()->kinds.n);
	return (const struct kind *)catalog_first(&catalog()->kinds) + i;
}

size_t types_len(void)
{
	return catalog()->types.n;
}

const struct type *types_at(size_t i)
{
	return (const struct type *)catalog_first(&catalog()->types) + i;
}

/* ---- groups: those of the catalogue, then those of registered kinds by name ---- */

static struct {
	uint64_t generation; /* of kinds, when this was made */
	struct api_group *list;
	size_t len;
} custom_groups;

/* v2 before v1 before v2beta1 before v1alpha1; what is none of these comes last, by name.
 * k8s.io/apimachinery/pkg/version/helpers.go. */
static bool version_parts(const char *name, long parts[3])
{
	char *end;

	if (name[0] != 'v' || name[1] < '1' || name[1] > '9')
		return false;
	parts[1] = strtol(name + 1, &end, 10);
	parts[0] = *end == 0 ? 2 : strncmp(end, "beta", 4) == 0 ? 1 : 0;
	parts[2] = 0;
	if (*end == 0)
		return true;
	if (strncmp(end, "beta", 4) != 0 && strncmp(end, "alpha", 5) != 0)
		return false;
	end += parts[0] == 1 ? 4 : 5;
	parts[2] = strtol(end, &end, 10);
	return *end == 0 && parts[2] > 0;
}

static int by_preference(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	long xs[3] = { 0 }, ys[3] = { 0 };
	bool xv = version_parts(x, xs), yv = version_parts(y, ys);

	if (!xv || !yv)
		return xv ? -1 : yv ? 1 : strcmp(x, y);
	for (int i = 0; i < 3; i++)
		if (xs[i] != ys[i])
			return xs[i] > ys[i] ? -1 : 1;
	return 0;
}

static int by_group(const void *a, const void *b)
{
	return strcmp(((const struct api_group *)a)->name, ((const struct api_group *)b)->name);
}

static struct api_group *group_named(struct str name)
{
	for (size_t i = 0; i < custom_groups.len; i++)
		if (str_is(name, custom_groups.list[i].name))
			return &custom_groups.list[i];
	return NULL;
}

static void add_version(struct api_group *group, const char *version)
{
	for (int i = 0; i < group->n_versions; i++)
		if (strcmp(group->versions[i], version) == 0)
			return;
	if (group->n_versions < GROUP_VERSIONS)
		group->versions[group->n_versions++] = version;
}

/* Names are those of the kinds, so they live as long as these are registered. */
static void make_groups(void)
{
	if (custom_groups.generation == kinds_generation())
		return;
	custom_groups.generation = kinds_generation();
	free(custom_groups.list);
	custom_groups.list = NULL;
	custom_groups.len = 0;
	if (custom_kinds_len() == 0)
		return;
	custom_groups.list = xcalloc(custom_kinds_len(), sizeof(*custom_groups.list));
	for (size_t i = 0; i < custom_kinds_len(); i++) {
		const struct kind *kind = custom_kinds_at(i);
		struct api_group *group = group_named(kind_group(kind));
		if (group == NULL) {
			group = &custom_groups.list[custom_groups.len++];
			group->name = kind_group(kind).ptr;
		}
		add_version(group, kind_version(kind).ptr);
	}
	for (size_t i = 0; i < custom_groups.len; i++)
		qsort(custom_groups.list[i].versions, (size_t)custom_groups.list[i].n_versions, sizeof(const char *),
		      by_preference);
	qsort(custom_groups.list, custom_groups.len, sizeof(*custom_groups.list), by_group);
}

size_t groups_len(void)
{
	make_groups();
	return catalog_groups_len + custom_groups.len;
}

const struct api_group *groups_at(size_t i)
{
	make_groups();
	return i < catalog_groups_len ? &catalog_groups[i] : &custom_groups.list[i - catalog_groups_len];
}

const struct subresource *kind_subresource_at(const struct kind *kind, size_t i)
{
	return (const struct subresource *)catalog_first(&kind->subresources) + i;
}

const struct column *kind_column_at(const struct kind *kind, size_t i)
{
	return (const struct column *)catalog_first(&kind->columns) + i;
}

struct str catalog_text_at(const struct catalog_ref *texts, size_t i)
{
	return catalog_str((const struct catalog_text *)catalog_first(texts) + i);
}

const struct field *type_find(const struct type *type, struct str name)
{
	for (size_t i = 0; i < type_len(type); i++)
		if (str_eq(field_name(type_at(type, i)), name))
			return type_at(type, i);
	return NULL;
}

const struct field *type_path(const struct type *type, const char *path)
{
	const struct field *field = NULL;
	struct str rest = str_from(path), name;

	while (str_cut(&rest, '.', &name)) {
		field = type_find(type, name);
		if (field == NULL)
			return NULL;
		type = field_type(field);
	}
	return field;
}

const struct subresource *kind_subresource(const struct kind *kind, struct str name)
{
	for (size_t i = 0; i < kind->subresources.n; i++)
		if (str_eq(subresource_name(kind_subresource_at(kind, i)), name))
			return kind_subresource_at(kind, i);
	return NULL;
}

const struct kind *kind_find(struct str group, struct str version, struct str resource)
{
	for (size_t i = 0; i < kinds_len(); i++) {
		const struct kind *kind = kinds_at(i);
		if (str_eq(kind_resource(kind), resource) && str_eq(kind_group(kind), group) && str_eq(kind_version(kind), version))
			return kind;
	}
	return NULL;
}

const struct kind *kind_find_named(struct str group, struct str version, struct str name)
{
	for (size_t i = 0; i < kinds_len(); i++) {
		const struct kind *kind = kinds_at(i);
		if (str_eq(kind_name(kind), name) && str_eq(kind_group(kind), group) && str_eq(kind_version(kind), version))
			return kind;
	}
	return NULL;
}

const struct kind *kind_must(const char *api_version, const char *name)
{
	for (size_t i = 0; i < kinds_len(); i++)
		if (str_is(kind_name(kinds_at(i)), name) && str_is(kind_api_version(kinds_at(i)), api_version))
			return kinds_at(i);
	ASSERT(!"a kind that the catalogue does not have");
	return NULL;
}

const struct kind *kind_stored_as(const struct kind *kind)
{
	struct str group = catalog_str(&kind->store_group), version = catalog_str(&kind->store_version);

	if ((kind->flags & KIND_CUSTOM) != 0)
		return custom_stored_as(kind);
	if (str_eq(group, kind_group(kind)) && str_eq(version, kind_version(kind)))
		return kind;
	const struct kind *other = kind_find_named(group, version, kind_name(kind));
	return other != NULL ? other : kind;
}

/* Options and Status may be sent in any group's name. */
static bool everywhere(const struct type *type)
{
	return str_is(type_package(type), "io.k8s.apimachinery.pkg.apis.meta.v1") &&
	       (str_has_suffix(type_name(type), STR("Options")) || str_is(type_name(type), "WatchEvent"));
}

const struct type *type_find_named(struct str group, struct str version, struct str name)
{
	for (size_t i = 0; i < types_len(); i++) {
		const struct type *type = types_at(i);
		if (!str_eq(type_name(type), name))
			continue;
		if ((type->flags & TYPE_OBJECT) != 0 && str_eq(type_group(type), group) && str_eq(type_version(type), version))
			return type;
		if (everywhere(type))
			return type;
	}
	for (size_t i = 0; i < custom_kinds_len(); i++) {
		const struct kind *kind = custom_kinds_at(i);
		if (!str_eq(kind_group(kind), group) || !str_eq(kind_version(kind), version))
			continue;
		if (str_eq(kind_name(kind), name))
			return kind_type(kind);
		if (str_eq(type_name(kind_list_type(kind)), name))
			return kind_list_type(kind);
	}
	return NULL;
}

const struct type *type_find_full(struct str package, struct str name)
{
	for (size_t i = 0; i < types_len(); i++)
		if (str_eq(type_name(types_at(i)), name) && str_eq(type_package(types_at(i)), package))
			return types_at(i);
	return NULL;
}
