/* Definitions of kinds that are described at run time: their own schema, with what every object has. */
#include "api/custom.h"
#include "api/openapi.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

/* What version 2 has no word for; a value that it would describe wrongly is left open, as upstream does. */
static bool only_v3(struct str word)
{
	static const char *const words[] = { "oneOf", "anyOf", "allOf", "not", "nullable", "default", "x-kubernetes-validations" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_is(word, words[i]))
			return true;
	return false;
}

static bool closes(struct str word)
{
	return str_is(word, "type") || str_is(word, "items") || str_is(word, "properties") || str_is(word, "additionalProperties");
}

static const struct json *for_version(struct arena *arena, enum openapi version, const struct json *schema);

static const struct json *each_for_version(struct arena *arena, enum openapi version, const struct json *map)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (map, it)
		json_builder_member(&b, it.key, for_version(arena, version, it.value));
	return json_builder_object(&b);
}

static const struct json *for_version(struct arena *arena, enum openapi version, const struct json *schema)
{
	struct json_builder b = { .arena = arena };
	bool open = json_bool(json_get(schema, "nullable")) || json_bool(json_get(schema, "x-kubernetes-int-or-string")) ||
		    json_bool(json_get(schema, "x-kubernetes-preserve-unknown-fields"));

	if (!json_is(schema, JSON_OBJECT))
		return schema;
	if (version == OPENAPI_V3 && json_bool(json_get(schema, "x-kubernetes-int-or-string")) && json_get(schema, "anyOf") == NULL)
		json_builder_member(&b, STR("anyOf"),
				    JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "type", json_text(arena, "integer") }),
						  JSON_OBJECT_OF(arena, { "type", json_text(arena, "string") })));
	JSON_EACH (schema, it) {
		if (version == OPENAPI_V2 && (only_v3(it.key) || (open && closes(it.key))))
			continue;
		if (str_is(it.key, "properties"))
			json_builder_member(&b, it.key, each_for_version(arena, version, it.value));
		else if (str_is(it.key, "items") || str_is(it.key, "additionalProperties"))
			json_builder_member(&b, it.key, for_version(arena, version, it.value));
		else
			json_builder_member(&b, it.key, it.value);
	}
	return json_builder_object(&b);
}

static const struct json *described(struct arena *arena, struct str text, const struct json *schema)
{
	return json_with(arena, schema, "description", json_string(arena, text));
}

static const struct json *selectable(struct arena *arena, const struct kind *kind)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < kind->fields.n; i++)
		json_builder_item(&b,
				  JSON_OBJECT_OF(arena, { "fieldPath", json_string(arena, catalog_text_at(&kind->fields, i)) }));
	return b.len != 0 ? json_builder_array(&b) : NULL;
}

static const struct json *gvk(struct arena *arena, const struct kind *kind, struct str name)
{
	return JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "group", json_string(arena, kind_group(kind)) },
						   { "kind", json_string(arena, name) },
						   { "version", json_string(arena, kind_version(kind)) }));
}

/* kind, apiVersion and metadata of an object or a list. */
static const struct json *with_head(struct arena *arena, enum openapi version, const struct json *properties,
				    const struct type *like, const char *meta, const char *meta_doc)
{
	const struct json *text = JSON_OBJECT_OF(arena, { "type", json_text(arena, "string") });
	const struct json *ref = openapi_ref(arena, version, str_from(meta));

	properties =
		json_with(arena, properties, "apiVersion", described(arena, field_doc(type_find(like, STR("apiVersion"))), text));
	properties = json_with(arena, properties, "kind", described(arena, field_doc(type_find(like, STR("kind"))), text));
	if (version == OPENAPI_V3)
		ref = JSON_OBJECT_OF(arena, { "allOf", JSON_ARRAY_OF(arena, ref) });
	return json_with(arena, properties, "metadata", described(arena, str_from(meta_doc), ref));
}

static const struct json *sorted(struct arena *arena, const struct json *map)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (map, it)
		json_builder_member(&b, it.key, it.value);
	json_builder_sort(&b);
	return json_builder_object(&b);
}

const struct json *openapi_custom(struct arena *arena, enum openapi version, const struct kind *kind)
{
	const struct json *schema = for_version(arena, version, custom_schema(kind)), *properties;
	bool open = schema == NULL || json_bool(json_get(schema, "x-kubernetes-preserve-unknown-fields"));

	/* Whoever reads version 2 takes named properties for all there are. */
	if (version == OPENAPI_V2 && open)
		return JSON_OBJECT_OF(arena, { "type", json_text(arena, "object") },
				      { "x-kubernetes-group-version-kind", gvk(arena, kind, kind_name(kind)) },
				      { "x-kubernetes-selectable-fields", selectable(arena, kind) });
	properties = with_head(arena, version, json_get(schema, "properties"), kind_type(kind), META "ObjectMeta",
			       "Standard object's metadata: name, labels, owners.");
	if (schema == NULL)
		schema = JSON_OBJECT_OF(arena, { "x-kubernetes-preserve-unknown-fields", &json_true });
	schema = json_with(arena, schema, "type", json_text(arena, "object"));
	schema = json_with(arena, schema, "properties", sorted(arena, properties));
	schema = json_with(arena, schema, "x-kubernetes-group-version-kind", gvk(arena, kind, kind_name(kind)));
	return json_with(arena, schema, "x-kubernetes-selectable-fields", selectable(arena, kind));
}

const struct json *openapi_custom_list(struct arena *arena, enum openapi version, const struct kind *kind)
{
	const struct type *list = kind_list_type(kind);
	const struct json *items = JSON_OBJECT_OF(arena, { "type", json_text(arena, "array") },
						  { "items", openapi_ref(arena, version, openapi_name(arena, kind_type(kind))) });
	const struct json *properties = JSON_OBJECT_OF(arena, { "items", items });

	properties = with_head(arena, version, properties, list, META "ListMeta", "Standard list metadata: where the list stands.");
	return JSON_OBJECT_OF(
		arena,
		{ "description", json_printf(arena, "%.*s is a list of %.*s", STR_ARG(type_name(list)), STR_ARG(kind_name(kind))) },
		{ "type", json_text(arena, "object") }, { "required", JSON_ARRAY_OF(arena, json_text(arena, "items")) },
		{ "properties", sorted(arena, properties) },
		{ "x-kubernetes-group-version-kind", gvk(arena, kind, type_name(list)) },
		{ "x-kubernetes-selectable-fields", selectable(arena, kind) });
}
