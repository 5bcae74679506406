/* Finding things in the compiled catalogue. Tables are short; a scan that compares lengths first is all it takes. */
#include "api/private.h"
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
	return catalog()->kinds.n;
}

const struct kind *kinds_at(size_t i)
{
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

size_t groups_len(void)
{
	return catalog_groups_len;
}

const struct api_group *groups_at(size_t i)
{
	return &catalog_groups[i];
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
	return NULL;
}

const struct type *type_find_full(struct str package, struct str name)
{
	for (size_t i = 0; i < types_len(); i++)
		if (str_eq(type_name(types_at(i)), name) && str_eq(type_package(types_at(i)), package))
			return types_at(i);
	return NULL;
}
