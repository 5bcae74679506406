/* The compiled catalogue against the facts: fields.tsv cell by cell, kinds.tsv row by row. */
#include <stdio.h>
#include <string.h>

#include "api/schema.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static struct str full_name(struct arena *arena, const struct type *type)
{
	if (type_package(type).len == 0)
		return type->form == FORM_BYTES ? STR("") : type_name(type);
	return str_format(arena, "%.*s.%.*s", STR_ARG(type_package(type)), STR_ARG(type_name(type)));
}

static const char *go_form(const struct field *field)
{
	if ((field->flags & FIELD_POINTER) != 0)
		return "pointer";
	switch ((enum field_shape)field->shape) {
	case SHAPE_LIST:
		return "slice";
	case SHAPE_MAP:
	case SHAPE_MAP_OF_LISTS:
		return "map";
	case SHAPE_ONE:
		break;
	}
	return field_type(field)->form == FORM_BYTES ? "bytes" : "value";
}

static const char *omission(const struct field *field)
{
	return (field->flags & FIELD_OMIT_ZERO) != 0 ? "empty+zero" : (field->flags & FIELD_OMIT_EMPTY) != 0 ? "empty" : "never";
}

static struct str elem(struct arena *arena, const struct field *field)
{
	if (field->shape == SHAPE_MAP && field_type(field)->form == FORM_BYTES)
		return STR("uint8");
	return full_name(arena, field_type(field));
}

static struct str proto_type(struct arena *arena, const struct type *owner, const struct field *field)
{
	const struct type *type = field_type(field);
	struct str name = type_name(type), package = type_package(type);

	if ((field->flags & FIELD_TYPE_META) != 0)
		return str_has_suffix(type_package(owner), STR("meta.v1")) ? STR("string") : STR("");
	if ((field->flags & FIELD_WRAPPED) != 0)
		return STR("Verbs");
	if (field->shape == SHAPE_MAP_OF_LISTS)
		return STR("map<string,ExtraValue>");
	if (type->form == FORM_DOUBLE)
		name = STR("double");
	if (package.len != 0 && !str_eq(package, type_package(owner)))
		name = str_format(arena, ".%.*s.%.*s", STR_ARG(str_format(arena, "k8s.io.%.*s", STR_ARG(str_skip(package, 7)))),
				  STR_ARG(name));
	return field->shape == SHAPE_MAP ? str_format(arena, "map<string,%.*s>", STR_ARG(name)) : name;
}

static struct str json_type(struct arena *arena, const struct field *field)
{
	static const char *const names[FORM_COUNT] = {
		[FORM_STRING] = "string",       [FORM_BOOL] = "boolean",         [FORM_INT32] = "integer:int32",
		[FORM_INT64] = "integer:int64", [FORM_DOUBLE] = "number:double", [FORM_BYTES] = "string:byte"
	};
	const struct type *type = field_type(field);
	struct str name = names[type->form] != NULL ? str_from(names[type->form]) : full_name(arena, type);

	if ((field->flags & FIELD_TYPE_META) != 0)
		return STR("");
	switch ((enum field_shape)field->shape) {
	case SHAPE_ONE:
		break;
	case SHAPE_LIST:
		return str_format(arena, "[]%.*s", STR_ARG(name));
	case SHAPE_MAP:
		return str_format(arena, "map:%.*s", STR_ARG(name));
	case SHAPE_MAP_OF_LISTS:
		return str_format(arena, "map:[]%.*s", STR_ARG(name));
	}
	return name;
}

static struct str list_type(const struct field *field)
{
	static const char *const names[] = { "", "atomic", "set", "map" };

	if ((field->flags & FIELD_MAP_ATOMIC) != 0)
		return STR("atomic");
	if ((field->flags & FIELD_MAP_GRANULAR) != 0)
		return STR("granular");
	return str_from(names[field->list_type]);
}

static struct str list_keys(struct arena *arena, const struct field *field)
{
	AUTO_BUF struct buf out = { 0 };

	for (size_t i = 0; i < field->list_keys.n; i++)
		buf_printf(&out, "%s%.*s", i == 0 ? "" : ",", STR_ARG(catalog_text_at(&field->list_keys, i)));
	return str_dup(arena, buf_str(&out));
}

static const char *patch_strategy(const struct field *field)
{
	bool merge = (field->flags & FIELD_PATCH_MERGE) != 0;

	if ((field->flags & FIELD_PATCH_REPLACE) != 0)
		return "replace";
	if ((field->flags & FIELD_PATCH_RETAIN_KEYS) != 0)
		return merge ? "merge,retainKeys" : "retainKeys";
	return merge ? "merge" : "";
}

static struct str row(struct arena *arena, const struct type *type, size_t i)
{
	const struct field *f = type_at(type, i);
	struct str facts = str_format(arena, "%.*s\t%.*s\t%zu\t%s\t%s\t%.*s\t%.*s\t%.*s", STR_ARG(full_name(arena, type)),
				      STR_ARG(field_name(f)), i, go_form(f), omission(f), STR_ARG(elem(arena, f)),
				      STR_ARG(field_wire(f)), STR_ARG(proto_type(arena, type, f)));

	/* The facts' last cells come from OpenAPI, which does not know these. */
	if ((f->flags & FIELD_UNPUBLISHED) != 0)
		return str_format(arena, "%.*s\t\t\t\t\t\t\t", STR_ARG(facts));
	return str_format(arena, "%.*s\t%.*s\t%s\t%.*s\t%.*s\t%s\t%.*s\t%.*s", STR_ARG(facts), STR_ARG(json_type(arena, f)),
			  (f->flags & FIELD_REQUIRED) != 0 ? "required" : "", STR_ARG(list_type(f)), STR_ARG(list_keys(arena, f)),
			  patch_strategy(f), STR_ARG(field_patch_key(f)), STR_ARG(field_declared(f)));
}

TEST(catalog_equals_fields_tsv)
{
	struct arena *arena = arena_new();
	struct str rest = vector_read(arena, "fields.tsv"), line;
	size_t n = 0;

	while (str_cut(&rest, '\n', &line)) {
		struct str cells = line, name, field;
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		str_cut(&cells, '\t', &name);
		str_cut(&cells, '\t', &field);
		ptrdiff_t dot = str_rfind(name, '.');
		const struct type *type = type_find_full(str_head(name, (size_t)dot), str_skip(name, (size_t)dot + 1));
		if (type == NULL)
			tap_fail(__FILE__, __LINE__, "no type %.*s", STR_ARG(name));
		const struct field *f = type_find(type, field);
		if (f == NULL)
			tap_fail(__FILE__, __LINE__, "no field %.*s %.*s", STR_ARG(name), STR_ARG(field));
		/* fields.tsv ends every row with its tabs, whatever is in them. */
		CHECK_STR(row(arena, type, (size_t)(f - type_at(type, 0))), line);
		n++;
	}
	CHECK_EQ(n, 2631);
	arena_free(arena);
}

TEST(catalog_has_every_kind_and_list)
{
	struct arena *arena = arena_new();
	struct str rest = vector_read(arena, "kinds.tsv"), line, group, version, name;

	while (str_cut(&rest, '\n', &line)) {
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		str_cut(&line, '\t', &group);
		str_cut(&line, '\t', &version);
		str_cut(&line, '\t', &name);
		const struct type *type = type_find_named(str_is(group, "-") ? STR("") : group, version, name);
		if (type == NULL)
			tap_fail(__FILE__, __LINE__, "no kind %.*s %.*s", STR_ARG(group), STR_ARG(name));
		CHECK_STR(full_name(arena, type), line);
	}
	arena_free(arena);
}

TEST(catalog_lookups)
{
	const struct kind *kind = kind_find(STR("apps"), STR("v1"), STR("deployments"));

	CHECK(kind != NULL);
	CHECK_STR(kind_name(kind), "Deployment");
	CHECK_STR(kind_api_version(kind), "apps/v1");
	CHECK_STR(catalog_text_at(&kind->short_names, 0), "deploy");
	CHECK(kind_namespaced(kind));
	CHECK(kind_verbs(kind) & VERB(PATCH));
	CHECK_STR(type_name(kind_list_type(kind)), "DeploymentList");
	CHECK(kind == kind_must("apps/v1", "Deployment"));
	CHECK(kind_stored_as(kind) == kind);
	const struct subresource *scale = kind_subresource(kind, STR("scale"));
	CHECK_STR(subresource_kind(scale), "Scale");
	CHECK_STR(subresource_group(scale), "autoscaling");
	CHECK(kind_subresource(kind, STR("log")) == NULL);
	CHECK(kind_find(STR(""), STR("v1"), STR("deployments")) == NULL);
	CHECK(kind_list_type(kind_must("v1", "Binding")) == NULL);
	CHECK_STR(field_name(type_path(kind_type(kind), "spec.template.spec.containers.ports.protocol")), "protocol");
	CHECK(type_path(kind_type(kind), "spec.nonsense") == NULL);
	CHECK_EQ(type_path(kind_type(kind), "spec.template.spec.containers.ports.protocol")->one_of.n, 3);
	CHECK_STR(type_name(type_find_named(STR("apps"), STR("v1"), STR("DeleteOptions"))), "DeleteOptions");
	CHECK_STR(kind_name(kind_stored_as(kind_must("events.k8s.io/v1", "Event"))), "Event");
	CHECK_STR(kind_group(kind_stored_as(kind_must("events.k8s.io/v1", "Event"))), "");
	CHECK_STR(kind_version(kind_stored_as(kind_must("autoscaling/v1", "HorizontalPodAutoscaler"))), "v2");
	for (size_t i = 0; i < kinds_len(); i++)
		CHECK_EQ(kinds_at(i)->id, i);
}
