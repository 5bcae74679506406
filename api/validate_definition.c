/*
 * What a CustomResourceDefinition may say: names, versions, and schemas that are structural, so that every value has one
 * place that describes it. k8s.io/apiextensions-apiserver: pkg/apis/apiextensions/validation, pkg/apiserver/schema/validation.
 * Rules in CEL are not looked at.
 */
#include <string.h>

#include "api/check.h"
#include "api/custom.h"
#include "api/hooks.h"
#include "api/jsonpath.h"
#include "base/limits.h"

#define SPEC "spec"

static bool yes(const struct json *schema, const char *word)
{
	return json_bool(json_get(schema, word));
}

static void forbidden_words(struct api_findings *f, const char *path, const struct json *schema, const char *const (*rows)[2],
			    size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct json *value = json_get(schema, rows[i][0]);
		if (value != NULL && (value->type != JSON_BOOL || value->len != 0))
			finding_forbidden(f, AT(f, "%s.%s", path, rows[i][0]), rows[i][1]);
	}
}

/* ---- schemas ---- */

enum level { AT_ROOT, AT_FIELD, AT_ITEM };

static void check_structure(struct api_findings *f, const char *path, const struct json *schema, enum level level);

/* What no schema may use. */
static void check_words(struct api_findings *f, const char *path, const struct json *schema)
{
	static const char *const never[][2] = {
		{ "uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic" },
		{ "id", "id is not supported" },
		{ "additionalItems", "additionalItems is not supported" },
		{ "patternProperties", "patternProperties is not supported" },
		{ "definitions", "definitions is not supported" },
		{ "dependencies", "dependencies is not supported" },
		{ "$ref", "$ref is not supported" },
	};
	static const char *const types[] = { "array", "boolean", "integer", "number", "object", "string" };
	const struct json *preserves = json_get(schema, "x-kubernetes-preserve-unknown-fields");

	forbidden_words(f, path, schema, never, N_OF(never));
	if (json_is(json_get(schema, "additionalProperties"), JSON_OBJECT) && json_len(json_get(schema, "properties")) != 0)
		finding_forbidden(f, AT(f, "%s.additionalProperties", path),
				  "additionalProperties and properties are mutual exclusive");
	if (preserves != NULL && !json_bool(preserves))
		finding_invalid(f, AT(f, "%s.x-kubernetes-preserve-unknown-fields", path), preserves, "must be true or undefined");
	if (json_get_str(schema, "type").len != 0)
		check_one_of(f, AT(f, "%s.type", path), json_get_str(schema, "type"), false, types, N_OF(types));
	if (json_is(json_get(schema, "items"), JSON_ARRAY))
		finding_forbidden(f, AT(f, "%s.items", path), "items must be a schema object and not an array");
	if (!api_pattern_valid(json_get_str(schema, "pattern")))
		finding_invalid(f, AT(f, "%s.pattern", path), json_get(schema, "pattern"), "must be a valid regular expression");
}

static void check_map_keys(struct api_findings *f, const char *path, const struct json *schema)
{
	const struct json *keys = json_get(schema, "x-kubernetes-list-map-keys"), *items = json_get(schema, "items");
	struct places required = { .arena = f->arena };

	JSON_EACH (json_get(items, "required"), it)
		places_add(&required, json_str(it.value), it.index);
	if (json_len(keys) == 0)
		finding_required(f, AT(f, "%s.x-kubernetes-list-map-keys", path),
				 "must not be empty if x-kubernetes-list-type is map");
	if (!str_is(json_get_str(items, "type"), "object"))
		finding_invalid(f, AT(f, "%s.items.type", path), json_string(f->arena, json_get_str(items, "type")),
				"must be object if parent array's x-kubernetes-list-type is map");
	JSON_EACH (keys, it) {
		struct str key = json_str(it.value);
		const struct json *property = json_find(json_get(items, "properties"), key);
		if (property == NULL)
			finding_invalid(f, AT(f, "%s.x-kubernetes-list-map-keys", path), keys,
					"entries must all be names of item properties");
		else if (json_get(property, "default") == NULL && places_find(&required, key) == PLACES_NONE)
			finding_required(f, AT(f, "%s.items.properties[%.*s].default", path, STR_ARG(key)),
					 "this property is in x-kubernetes-list-map-keys, so it must have a default or be a "
					 "required property");
	}
}

static void check_list_and_map_types(struct api_findings *f, const char *path, const struct json *schema)
{
	static const char *const lists[] = { "atomic", "set", "map" }, *const maps[] = { "atomic", "granular" };
	struct str list = json_get_str(schema, "x-kubernetes-list-type"), type = json_get_str(schema, "type");
	bool has_keys = json_len(json_get(schema, "x-kubernetes-list-map-keys")) != 0;

	if (json_get(schema, "x-kubernetes-list-type") != NULL && !str_is(type, "array"))
		finding_invalid_text(f, AT(f, "%s.type", path), type, "must be array if x-kubernetes-list-type is specified");
	check_if_one_of(f, AT(f, "%s.x-kubernetes-list-type", path), json_get(schema, "x-kubernetes-list-type"), lists,
			N_OF(lists));
	if (json_get(schema, "x-kubernetes-map-type") != NULL && !str_is(type, "object"))
		finding_invalid_text(f, AT(f, "%s.type", path), type, "must be object if x-kubernetes-map-type is specified");
	check_if_one_of(f, AT(f, "%s.x-kubernetes-map-type", path), json_get(schema, "x-kubernetes-map-type"), maps, N_OF(maps));
	if (str_is(list, "map"))
		check_map_keys(f, path, schema);
	else if (has_keys && list.len == 0)
		finding_required(f, AT(f, "%s.x-kubernetes-list-type", path),
				 "must be map if x-kubernetes-list-map-keys is non-empty");
	else if (has_keys)
		finding_invalid_text(f, AT(f, "%s.x-kubernetes-list-type", path), list,
				     "must be map if x-kubernetes-list-map-keys is non-empty");
}

static void check_type_word(struct api_findings *f, const char *path, const struct json *schema, enum level level)
{
	static const char *const missing[] = { "must not be empty at the root", "must not be empty for specified object fields",
					       "must not be empty for specified array items" };
	struct str type = json_get_str(schema, "type");
	bool either = yes(schema, "x-kubernetes-int-or-string"), preserves = yes(schema, "x-kubernetes-preserve-unknown-fields");
	const char *at = AT(f, "%s.type", path);

	if (yes(schema, "x-kubernetes-embedded-resource") && !str_is(type, "object"))
		finding_invalid_text(f, at, type, "must be object if x-kubernetes-embedded-resource is true");
	else if (type.len == 0 && (level == AT_ROOT || (!either && !preserves)))
		finding_required(f, at, missing[level]);
	else if (level == AT_ROOT && !str_is(type, "object"))
		finding_invalid_text(f, at, type, "must be object at the root");
	if (either && preserves)
		finding_invalid(f, AT(f, "%s.x-kubernetes-preserve-unknown-fields", path), &json_true,
				"must be false if x-kubernetes-int-or-string is true");
}

static void check_metadata_schema(struct api_findings *f, const char *path, const struct json *metadata)
{
	JSON_EACH (json_get(metadata, "properties"), it)
		if (!str_is(it.key, "name") && !str_is(it.key, "generateName")) {
			finding_forbidden(f, path,
					  "must not specify anything other than name and generateName, but metadata is implicitly "
					  "specified");
			return;
		}
}

/* Below allOf, anyOf, oneOf and not a schema may only narrow what is described elsewhere. */
static void check_narrowing(struct api_findings *f, const char *path, const struct json *schema, bool either)
{
	static const char *const never[][2] = {
		{ "additionalProperties", "must be undefined to be structural" },
		{ "default", "must be undefined to be structural" },
		{ "title", "must be empty to be structural" },
		{ "description", "must be empty to be structural" },
		{ "nullable", "must be false to be structural" },
		{ "x-kubernetes-preserve-unknown-fields", "must be false to be structural" },
		{ "x-kubernetes-embedded-resource", "must be false to be structural" },
		{ "x-kubernetes-int-or-string", "must be false to be structural" },
		{ "x-kubernetes-list-map-keys", "must be empty to be structural" },
		{ "x-kubernetes-list-type", "must be undefined to be structural" },
		{ "x-kubernetes-map-type", "must be undefined to be structural" },
	};
	static const char *const lists[] = { "anyOf", "allOf", "oneOf" };
	struct str type = json_get_str(schema, "type");

	if (type.len != 0 && !(either && (str_is(type, "integer") || str_is(type, "string"))))
		finding_forbidden(f, AT(f, "%s.type", path), "must be empty to be structural");
	forbidden_words(f, path, schema, never, N_OF(never));
	JSON_EACH (json_get(schema, "properties"), it)
		check_narrowing(f, AT(f, "%s.properties[%.*s]", path, STR_ARG(it.key)), it.value, false);
	if (json_is(json_get(schema, "items"), JSON_OBJECT))
		check_narrowing(f, AT(f, "%s.items", path), json_get(schema, "items"), false);
	for (size_t i = 0; i < N_OF(lists); i++)
		JSON_EACH (json_get(schema, lists[i]), it)
			check_narrowing(f, AT(f, "%s.%s[%zu]", path, lists[i], it.index), it.value, either);
	if (json_get(schema, "not") != NULL)
		check_narrowing(f, AT(f, "%s.not", path), json_get(schema, "not"), false);
}

static void check_alternatives(struct api_findings *f, const char *path, const struct json *schema)
{
	static const char *const lists[] = { "anyOf", "allOf", "oneOf" };
	bool either = yes(schema, "x-kubernetes-int-or-string");

	for (size_t i = 0; i < N_OF(lists); i++)
		JSON_EACH (json_get(schema, lists[i]), it)
			check_narrowing(f, AT(f, "%s.%s[%zu]", path, lists[i], it.index), it.value, either && i < 2);
	if (json_get(schema, "not") != NULL)
		check_narrowing(f, AT(f, "%s.not", path), json_get(schema, "not"), false);
}

static void check_own_default(struct api_findings *f, const char *path, const struct json *schema)
{
	const struct json *preset = json_get(schema, "default");
	struct api_findings own = { .arena = f->arena };

	if (preset == NULL)
		return;
	api_check_schema(&own, schema, preset, NULL);
	for (size_t i = 0; i < own.len; i++)
		finding_invalid(f, AT(f, "%s.default%s%s", path, own.items[i].field[0] != 0 ? "." : "", own.items[i].field), preset,
				own.items[i].message);
}

static void check_structure(struct api_findings *f, const char *path, const struct json *schema, enum level level)
{
	const struct json *additional = json_get(schema, "additionalProperties"), *items = json_get(schema, "items");

	check_words(f, path, schema);
	check_type_word(f, path, schema, level);
	check_list_and_map_types(f, path, schema);
	check_alternatives(f, path, schema);
	if (str_is(json_get_str(schema, "type"), "array") && items == NULL)
		finding_required(f, AT(f, "%s.items", path), "must be specified");
	if (json_is(items, JSON_OBJECT))
		check_structure(f, AT(f, "%s.items", path), items, AT_ITEM);
	if (additional != NULL && level == AT_ROOT)
		finding_forbidden(f, AT(f, "%s.additionalProperties", path), "must not be used at the root");
	if (json_is(additional, JSON_OBJECT))
		check_structure(f, AT(f, "%s.additionalProperties", path), additional, AT_FIELD);
	if (level == AT_ROOT && yes(schema, "nullable"))
		finding_forbidden(f, AT(f, "%s.nullable", path), "nullable cannot be true at the root");
	JSON_EACH (json_get(schema, "properties"), it) {
		const char *below = AT(f, "%s.properties[%.*s]", path, STR_ARG(it.key));
		if (str_is(it.key, "metadata") && (level == AT_ROOT || yes(schema, "x-kubernetes-embedded-resource")))
			check_metadata_schema(f, below, it.value);
		check_structure(f, below, it.value, AT_FIELD);
	}
}

/* Defaults must be what the schema allows. */
static void check_defaults(struct api_findings *f, const char *path, const struct json *schema)
{
	check_own_default(f, path, schema);
	JSON_EACH (json_get(schema, "properties"), it)
		check_defaults(f, AT(f, "%s.properties[%.*s]", path, STR_ARG(it.key)), it.value);
	if (json_is(json_get(schema, "items"), JSON_OBJECT))
		check_defaults(f, AT(f, "%s.items", path), json_get(schema, "items"));
	if (json_is(json_get(schema, "additionalProperties"), JSON_OBJECT))
		check_defaults(f, AT(f, "%s.additionalProperties", path), json_get(schema, "additionalProperties"));
}

/* What is not structural says nothing about its defaults. */
static void check_schema(struct api_findings *f, const char *path, const struct json *schema)
{
	size_t before = f->found;

	if (api_schema_too_deep(schema)) {
		finding_forbidden(f, path, AT(f, "must not have more than %d levels", LIMIT_SCHEMA_DEPTH));
		return;
	}
	check_structure(f, path, schema, AT_ROOT);
	if (f->found == before)
		check_defaults(f, path, schema);
}

/* ---- versions ---- */

static void check_scale_path(struct api_findings *f, const char *path, struct str value, const char *const *roots,
			     const char *detail)
{
	for (size_t i = 0; roots[i] != NULL; i++)
		if (str_has_prefix(value, str_from(roots[i])))
			return;
	finding_invalid_text(f, path, value, detail);
}

static void check_scale(struct api_findings *f, const char *path, const struct json *scale)
{
	static const char *const spec[] = { ".spec.", NULL }, *const status[] = { ".status.", NULL },
				 *const both[] = { ".spec.", ".status.", NULL };
	struct str selector = json_get_str(scale, "labelSelectorPath");

	if (scale == NULL)
		return;
	check_scale_path(f, AT(f, "%s.scale.specReplicasPath", path), json_get_str(scale, "specReplicasPath"), spec,
			 "should be a json path under .spec");
	check_scale_path(f, AT(f, "%s.scale.statusReplicasPath", path), json_get_str(scale, "statusReplicasPath"), status,
			 "should be a json path under .status");
	if (selector.len != 0)
		check_scale_path(f, AT(f, "%s.scale.labelSelectorPath", path), selector, both,
				 "should be a json path under either .spec or .status");
}

static void check_column(struct api_findings *f, const char *path, const struct json *column)
{
	static const char *const types[] = { "boolean", "date", "integer", "number", "string" };
	struct str type = json_get_str(column, "type"), at = json_get_str(column, "jsonPath");
	bool known = false;

	if (json_get_str(column, "name").len == 0)
		finding_required(f, AT(f, "%s.name", path), "");
	for (size_t i = 0; i < N_OF(types); i++)
		known = known || str_is(type, types[i]);
	if (type.len == 0)
		finding_required(f, AT(f, "%s.type", path), "must be one of boolean,date,integer,number,string");
	else if (!known)
		finding_invalid_text(f, AT(f, "%s.type", path), type, "must be one of boolean,date,integer,number,string");
	if (at.len == 0)
		finding_required(f, AT(f, "%s.JSONPath", path), "");
	else if (at.ptr[0] != '.' || !jsonpath_valid(f->arena, at))
		finding_invalid_text(f, AT(f, "%s.JSONPath", path), at, "must be a simple json path starting with .");
}

/* What all versions have in common upstream's internal form keeps once, and names so. */
static bool is_common(const struct json *versions, const char *path)
{
	JSON_EACH (versions, it)
		if (!json_equal(json_path(it.value, path), json_path(json_at(versions, 0), path)))
			return false;
	return true;
}

struct common {
	bool schema, subresources, columns;
};

static void check_version(struct api_findings *f, const struct json *version, size_t i, const struct common *common)
{
	const struct json *schema = json_path(version, "schema.openAPIV3Schema");
	const char *path = AT(f, SPEC ".versions[%zu]", i), *at = AT(f, "%s.schema", path), *sub = AT(f, "%s.subresources", path);
	const char *columns = AT(f, "%s.additionalPrinterColumns", path);
	struct str name = json_get_str(version, "name");

	check_complaints(f, AT(f, "%s.name", path), name, name_dns1035_label(name));
	if (json_get(version, "deprecationWarning") != NULL && !json_bool(json_get(version, "deprecated")))
		finding_invalid(f, AT(f, "%s.deprecationWarning", path), json_get(version, "deprecationWarning"),
				"can only be set for deprecated versions");
	if (i == 0)
		check_complaints(f, SPEC ".version", name, name_dns1035_label(name));
	if (common->schema)
		at = SPEC ".validation";
	if (common->subresources)
		sub = SPEC ".subresources";
	if (common->columns)
		columns = SPEC ".additionalPrinterColumns";
	if (schema == NULL)
		finding_required(f, AT(f, "%s.schema.openAPIV3Schema", path), "");
	else
		check_schema(f, AT(f, "%s.openAPIV3Schema", at), schema);
	check_scale(f, sub, json_path(version, "subresources.scale"));
	JSON_EACH (json_get(version, "additionalPrinterColumns"), it)
		check_column(f, AT(f, "%s[%zu]", columns, it.index), it.value);
}

static void check_versions(struct api_findings *f, const struct json *versions)
{
	struct common common = { is_common(versions, "schema"), is_common(versions, "subresources"),
				 is_common(versions, "additionalPrinterColumns") };
	struct places names = { .arena = f->arena };
	size_t stored = 0;
	bool unique = true;

	JSON_EACH (versions, it) {
		stored += yes(it.value, "storage");
		unique = unique && places_add(&names, json_get_str(it.value, "name"), it.index) == it.index;
		check_version(f, it.value, it.index, &common);
	}
	if (!unique)
		finding_invalid(f, SPEC ".versions", versions, "must contain unique version names");
	if (stored != 1)
		finding_invalid(f, SPEC ".versions", versions == NULL ? &json_null : versions,
				"must have exactly one version marked as storage version");
	if (stored == 0)
		finding_invalid(f, "status.storedVersions", &json_null, "must have at least one stored version");
}

/* ---- names ---- */

static void check_name(struct api_findings *f, const char *path, struct str name, bool mixed)
{
	struct complaints c;

	if (name.len == 0) {
		finding_required(f, path, "");
		return;
	}
	c = name_dns1035_label(mixed ? str_lower(f->arena, name) : name);
	for (int i = 0; i < c.n; i++)
		finding_invalid_text(f, path, name,
				     mixed ? AT(f, "may have mixed case, but should otherwise match: %s", c.text[i]) : c.text[i]);
}

static void check_names(struct api_findings *f, const struct json *names)
{
	check_name(f, SPEC ".names.plural", json_get_str(names, "plural"), false);
	check_name(f, SPEC ".names.singular", json_get_str(names, "singular"), false);
	check_name(f, SPEC ".names.kind", json_get_str(names, "kind"), true);
	check_name(f, SPEC ".names.listKind", json_get_str(names, "listKind"), true);
	JSON_EACH (json_get(names, "shortNames"), it)
		check_name(f, AT(f, SPEC ".names.shortNames[%zu]", it.index), json_str(it.value), false);
	JSON_EACH (json_get(names, "categories"), it)
		check_name(f, AT(f, SPEC ".names.categories[%zu]", it.index), json_str(it.value), false);
	if (json_get_str(names, "kind").len != 0 && str_eq(json_get_str(names, "kind"), json_get_str(names, "listKind")))
		finding_invalid(f, SPEC ".names.listKind", json_get(names, "listKind"), "kind and listKind may not be the same");
}

static void check_group(struct api_findings *f, struct str group)
{
	if (group.len == 0)
		finding_required(f, SPEC ".group", "");
	else
		check_complaints(f, SPEC ".group", group, name_dns_subdomain(group));
	if (group.len != 0 && str_find(group, '.') < 0)
		finding_invalid_text(f, SPEC ".group", group, "should be a domain with at least one dot");
}

/* Groups of the Kubernetes project need its word. */
static void check_approval(struct api_findings *f, const struct json *tree)
{
	struct str group = json_path_str(tree, "spec.group");
	struct str word = json_get_str(json_path(tree, "metadata.annotations"), "api-approved.kubernetes.io");
	const char *path = "metadata.annotations[api-approved.kubernetes.io]";

	if (!str_has_suffix(group, STR(".k8s.io")) && !str_has_suffix(group, STR(".kubernetes.io")))
		return;
	if (word.len == 0)
		finding_required(f, path,
				 "protected groups must have approval annotation \"api-approved.kubernetes.io\", see "
				 "https://github.com/kubernetes/enhancements/pull/1111");
	else if (!str_has_prefix(word, STR("unapproved")) && str_find(word, ':') < 0)
		finding_invalid_text(
			f, path, word,
			"protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL "
			"or a reason starting with \"unapproved\", see "
			"https://github.com/kubernetes/enhancements/pull/1111");
}

void validate_definition(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const char *const scopes[] = { "Cluster", "Namespaced" }, *const strategies[] = { "None", "Webhook" };
	const struct json *spec = json_get(tree, "spec");
	struct str plural = json_path_str(spec, "names.plural"), group = json_get_str(spec, "group");
	struct str wanted = str_format(f->arena, "%.*s.%.*s", STR_ARG(plural), STR_ARG(group));

	(void)type;
	(void)path;
	if (!str_eq(json_path_str(tree, "metadata.name"), wanted))
		finding_invalid_text(f, "metadata.name", json_path_str(tree, "metadata.name"),
				     "must be spec.names.plural+\".\"+spec.group");
	check_group(f, group);
	check_one_of(f, SPEC ".scope", json_get_str(spec, "scope"), true, scopes, N_OF(scopes));
	check_versions(f, json_get(spec, "versions"));
	check_names(f, json_get(spec, "names"));
	check_one_of(f, SPEC ".conversion.strategy", json_path_str(spec, "conversion.strategy"), false, strategies,
		     N_OF(strategies));
	if (yes(spec, "preserveUnknownFields"))
		finding_invalid(
			f, SPEC ".preserveUnknownFields", &json_true,
			"cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
	check_approval(f, tree);
}

static bool is_established(const struct json *tree)
{
	JSON_EACH (json_path(tree, "status.conditions"), it)
		if (str_is(json_get_str(it.value, "type"), "Established"))
			return str_is(json_get_str(it.value, "status"), "True");
	return false;
}

void update_definition(struct api_findings *f, const struct json *tree, const struct json *old)
{
	struct places versions = { .arena = f->arena };

	JSON_EACH (json_path(tree, "spec.versions"), it)
		places_add(&versions, json_get_str(it.value, "name"), it.index);
	JSON_EACH (json_path(tree, "status.storedVersions"), stored) {
		if (places_find(&versions, json_str(stored.value)) == PLACES_NONE)
			finding_invalid(f, AT(f, "status.storedVersions[%zu]", stored.index), stored.value,
					AT(f,
					   "missing from spec.versions; %.*s was previously a storage version, and must remain in "
					   "spec.versions until a storage migration ensures no data remains persisted in %.*s and "
					   "removes %.*s from status.storedVersions",
					   STR_ARG(json_str(stored.value)), STR_ARG(json_str(stored.value)),
					   STR_ARG(json_str(stored.value))));
	}
	if (!is_established(old))
		return;
	check_immutable(f, SPEC ".group", json_path(tree, "spec.group"), json_path(old, "spec.group"));
	check_immutable(f, SPEC ".scope", json_path(tree, "spec.scope"), json_path(old, "spec.scope"));
	check_immutable(f, SPEC ".names.plural", json_path(tree, "spec.names.plural"), json_path(old, "spec.names.plural"));
	check_immutable(f, SPEC ".names.kind", json_path(tree, "spec.names.kind"), json_path(old, "spec.names.kind"));
}
