/* Types as OpenAPI definitions, versions 2 and 3. */
#include "api/openapi.h"

struct str openapi_name(struct arena *arena, const struct type *type)
{
	return str_format(arena, "%.*s.%.*s", STR_ARG(type_package(type)), STR_ARG(type_name(type)));
}

const struct json *openapi_ref(struct arena *arena, enum openapi version, struct str full_name)
{
	const char *where = version == OPENAPI_V2 ? "#/definitions/" : "#/components/schemas/";

	return JSON_OBJECT_OF(arena, { "$ref", json_printf(arena, "%s%.*s", where, STR_ARG(full_name)) });
}

static const struct json *doc(struct arena *arena, struct str text)
{
	return text.len == 0 ? NULL : json_string(arena, text);
}

static const struct json *texts(struct arena *arena, const struct catalog_ref *list)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < list->n; i++)
		json_builder_item(&b, json_string(arena, catalog_text_at(list, i)));
	return list->n == 0 ? NULL : json_builder_array(&b);
}

static const struct json *literal(struct arena *arena, struct str text)
{
	const struct json *value = NULL;

	if (text.len == 0)
		return NULL;
	AUTO_ERROR err = json_read(arena, text, NULL, &value);
	return err == NULL ? value : NULL;
}

/* The zero that version 3 names as default: of structs by value, and of scalars that are always written. */
static const struct json *zero(struct arena *arena, const struct type *type)
{
	switch ((enum type_form)type->form) {
	case FORM_STRING:
		return &json_empty_string;
	case FORM_BOOL:
		return &json_false;
	case FORM_INT32:
	case FORM_INT64:
	case FORM_DOUBLE:
		return json_number(arena, 0);
	case FORM_STRUCT:
		return &json_empty_object;
	case FORM_BYTES:
	case FORM_TIME:
	case FORM_MICRO_TIME:
	case FORM_QUANTITY:
	case FORM_INT_OR_STRING:
	case FORM_RAW:
	case FORM_FIELDS:
	case FORM_JSON:
	case FORM_SCHEMA_OR_BOOL:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	return NULL;
}

struct element {
	const struct type *type;
	const struct field *field; /* of the property itself; NULL for items and map values */
	const struct json *one_of;
	const struct json *preset; /* default of version 3 */
};

static const struct json *scalar(struct arena *arena, const char *type, const char *format)
{
	return JSON_OBJECT_OF(arena, { "type", json_text(arena, type) }, { "format", json_text(arena, format) });
}

/* The bare schema of one value: a scalar, or a reference. */
static const struct json *value_schema(struct arena *arena, enum openapi version, const struct type *type, bool *used)
{
	switch ((enum type_form)type->form) {
	case FORM_STRING:
		return scalar(arena, "string", NULL);
	case FORM_BOOL:
		return scalar(arena, "boolean", NULL);
	case FORM_INT32:
		return scalar(arena, "integer", "int32");
	case FORM_INT64:
		return scalar(arena, "integer", "int64");
	case FORM_DOUBLE:
		return scalar(arena, "number", "double");
	case FORM_BYTES:
		return scalar(arena, "string", "byte");
	case FORM_STRUCT:
	case FORM_TIME:
	case FORM_MICRO_TIME:
	case FORM_QUANTITY:
	case FORM_INT_OR_STRING:
	case FORM_RAW:
	case FORM_FIELDS:
	case FORM_JSON:
	case FORM_SCHEMA_OR_BOOL:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	if (used != NULL)
		used[type->id] = true;
	return openapi_ref(arena, version, openapi_name(arena, type));
}

/* A reference with something beside it must be wrapped in version 3, and loses it in version 2. */
static const struct json *element_schema(struct arena *arena, enum openapi version, const struct element *e, bool *used)
{
	const struct json *schema = value_schema(arena, version, e->type, used);
	const struct json *preset = version == OPENAPI_V3 ? e->preset : NULL;

	if (json_get(schema, "$ref") == NULL || version == OPENAPI_V2)
		return json_with(arena, json_with(arena, schema, "enum", e->one_of), "default", preset);
	if (preset == NULL && e->field == NULL)
		return schema;
	return JSON_OBJECT_OF(arena, { "default", preset }, { "allOf", JSON_ARRAY_OF(arena, schema) });
}

static const struct json *items_schema(struct arena *arena, enum openapi version, const struct field *field, bool *used)
{
	struct element e = { .type = field_type(field), .one_of = texts(arena, &field->one_of) };

	e.preset = zero(arena, e.type);
	return element_schema(arena, version, &e, used);
}

static const struct json *preset_of(struct arena *arena, const struct field *field)
{
	bool constant = str_has_prefix(field_declared(field), STR("ref("));
	const struct json *declared = literal(arena, constant ? field_sets(field) : field_declared(field));
	bool always = (field->flags & (FIELD_OMIT_EMPTY | FIELD_POINTER)) == 0;

	if (declared != NULL)
		return declared;
	if ((field->flags & FIELD_POINTER) == 0 && field_type(field)->form == FORM_STRUCT)
		return &json_empty_object;
	return always ? zero(arena, field_type(field)) : NULL;
}

static const struct json *shape_schema(struct arena *arena, enum openapi version, const struct field *field, bool *used)
{
	struct element e = { field_type(field), field, texts(arena, &field->one_of), NULL };
	const struct json *items;

	switch ((enum field_shape)field->shape) {
	case SHAPE_ONE:
		e.preset = preset_of(arena, field);
		return element_schema(arena, version, &e, used);
	case SHAPE_LIST:
		return JSON_OBJECT_OF(arena, { "type", json_text(arena, "array") },
				      { "items", items_schema(arena, version, field, used) });
	case SHAPE_MAP:
		return JSON_OBJECT_OF(arena, { "type", json_text(arena, "object") },
				      { "additionalProperties", items_schema(arena, version, field, used) });
	case SHAPE_MAP_OF_LISTS:
		break;
	}
	items = JSON_OBJECT_OF(arena, { "type", json_text(arena, "array") },
			       { "items", items_schema(arena, version, field, used) });
	return JSON_OBJECT_OF(arena, { "type", json_text(arena, "object") }, { "additionalProperties", items });
}

static const struct json *patch_strategy(struct arena *arena, const struct field *field)
{
	bool merge = (field->flags & FIELD_PATCH_MERGE) != 0, keep = (field->flags & FIELD_PATCH_RETAIN_KEYS) != 0;

	if ((field->flags & FIELD_PATCH_REPLACE) != 0)
		return json_text(arena, "replace");
	return merge || keep ? json_text(arena, merge && keep ? "merge,retainKeys" : merge ? "merge" : "retainKeys") : NULL;
}

static const struct json *property(struct arena *arena, enum openapi version, const struct field *field, bool *used)
{
	static const char *const lists[] = { NULL, "atomic", "set", "map" };
	const struct json *schema = shape_schema(arena, version, field, used);
	const char *map = (field->flags & FIELD_MAP_ATOMIC) != 0     ? "atomic"
			  : (field->flags & FIELD_MAP_GRANULAR) != 0 ? "granular"
								     : NULL;
	struct str key = field_patch_key(field);

	schema = json_with(arena, schema, "description", doc(arena, field_doc(field)));
	schema = json_with(arena, schema, "x-kubernetes-list-type", json_text(arena, lists[field->list_type]));
	schema = json_with(arena, schema, "x-kubernetes-list-map-keys", texts(arena, &field->list_keys));
	schema = json_with(arena, schema, "x-kubernetes-map-type", json_text(arena, map));
	schema = json_with(arena, schema, "x-kubernetes-patch-strategy", patch_strategy(arena, field));
	return json_with(arena, schema, "x-kubernetes-patch-merge-key", key.len == 0 ? NULL : json_string(arena, key));
}

/* "type:localhostProfile" → discriminator and the fields it chooses from, by their Go names. */
static const struct json *unions(struct arena *arena, struct str text)
{
	struct json_builder fields = { .arena = arena };
	struct str discriminator, one;

	if (text.len == 0)
		return NULL;
	str_cut(&text, ':', &discriminator);
	while (str_cut(&text, ',', &one)) {
		char *go = arena_copy(arena, one.ptr, one.len);
		go[0] = (char)(go[0] - ('a' - 'A'));
		json_builder_member(&fields, one, json_text(arena, go));
	}
	return JSON_ARRAY_OF(
		arena,
		JSON_OBJECT_OF(arena, { "discriminator", str_is(discriminator, "-") ? NULL : json_string(arena, discriminator) },
			       { "fields-to-discriminateBy", json_builder_object(&fields) }));
}

static const struct json *gvk(struct arena *arena, struct str group, struct str version, struct str kind)
{
	return JSON_OBJECT_OF(arena, { "group", json_string(arena, group) }, { "kind", json_string(arena, kind) },
			      { "version", json_string(arena, version) });
}

/* Options and watch events may be sent in the name of every group. */
static const struct json *gvks(struct arena *arena, const struct type *type)
{
	struct json_builder b = { .arena = arena };

	if (!str_is(type_name(type), "DeleteOptions") && !str_is(type_name(type), "WatchEvent")) {
		if ((type->flags & TYPE_OBJECT) == 0)
			return NULL;
		return JSON_ARRAY_OF(arena, gvk(arena, type_group(type), type_version(type), type_name(type)));
	}
	for (size_t i = 0; i < groups_len(); i++)
		for (int k = 0; k < groups_at(i)->n_versions; k++)
			json_builder_item(&b, gvk(arena, str_from(groups_at(i)->name), str_from(groups_at(i)->versions[k]),
						  type_name(type)));
	return json_builder_array(&b);
}

static const struct json *leaf(struct arena *arena, enum openapi version, const struct type *type)
{
	const struct json *text = scalar(arena, "string", NULL), *number = scalar(arena, "number", NULL);
	const struct json *integer = scalar(arena, "integer", NULL);

	switch ((enum type_form)type->form) {
	case FORM_TIME:
	case FORM_MICRO_TIME:
		return scalar(arena, "string", "date-time");
	case FORM_QUANTITY:
		return version == OPENAPI_V2 ? text : JSON_OBJECT_OF(arena, { "oneOf", JSON_ARRAY_OF(arena, text, number) });
	case FORM_INT_OR_STRING:
		if (version == OPENAPI_V2)
			return scalar(arena, "string", "int-or-string");
		return JSON_OBJECT_OF(arena, { "format", json_text(arena, "int-or-string") },
				      { "oneOf", JSON_ARRAY_OF(arena, integer, text) });
	case FORM_RAW:
	case FORM_FIELDS:
		return scalar(arena, "object", NULL);
	case FORM_JSON:
	case FORM_SCHEMA_OR_BOOL:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
	case FORM_STRUCT:
	case FORM_STRING:
	case FORM_BOOL:
	case FORM_INT32:
	case FORM_INT64:
	case FORM_DOUBLE:
	case FORM_BYTES:
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	return &json_empty_object;
}

const struct json *openapi_schema(struct arena *arena, enum openapi version, const struct type *type, bool *used)
{
	struct json_builder properties = { .arena = arena }, required = { .arena = arena };
	const struct json *schema;

	if (type->form != FORM_STRUCT) {
		schema = leaf(arena, version, type);
		return json_with(arena, schema, "description", doc(arena, type_doc(type)));
	}
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		json_builder_member(&properties, field_name(field), property(arena, version, field, used));
		if ((field->flags & FIELD_REQUIRED) != 0)
			json_builder_item(&required, json_string(arena, field_name(field)));
	}
	json_builder_sort(&properties);
	schema = JSON_OBJECT_OF(arena, { "description", doc(arena, type_doc(type)) }, { "type", json_text(arena, "object") },
				{ "required", required.len == 0 ? NULL : json_builder_array(&required) },
				{ "properties", properties.len == 0 ? NULL : json_builder_object(&properties) },
				{ "x-kubernetes-group-version-kind", gvks(arena, type) },
				{ "x-kubernetes-unions", unions(arena, catalog_str(&type->unions)) },
				{ "x-kubernetes-map-type", (type->flags & TYPE_ATOMIC) != 0 ? json_text(arena, "atomic") : NULL });
	return schema;
}
