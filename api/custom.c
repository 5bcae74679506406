#include "api/custom.h"

#include <stdlib.h>
#include <string.h>

#include "api/layout.h"
#include "base/auto.h"
#include "base/limits.h"
#include "base/trace.h"

struct custom {
	unsigned refs;
	bool registered, closed;
	size_t stored; /* which version is */
	uint32_t first_id;
	uint64_t hash;
	struct arena *arena; /* the spec, which the schemas are in */
	const struct json *spec;
	const struct json **schemas; /* by version */
	char *block;
};

/* In front of each block: whose it is. */
struct block_head {
	struct custom *owner;
	uint64_t room; /* keeps what follows aligned */
};

struct kinds_listener {
	void (*fn)(void *arg);
	void *arg;
};

static VEC(const struct kind *) registered;
static VEC(struct kinds_listener) listeners;
static uint64_t generation = 1;
static uint32_t next_id = 1 << 16; /* far above the compiled ones */

/* ---- types ---- */

struct builder {
	struct layout layout;
	struct str group, version, package;
	struct map imported; /* full name → index + 1 */
	size_t leaves[FORM_COUNT];
};

static struct source_type *type_of(struct builder *b, size_t index)
{
	return &b->layout.types.ptr[index - 1];
}

static size_t add_type(struct builder *b, enum type_form form, struct str name)
{
	struct source_type *type = vec_add(&b->layout.types);

	*type = (struct source_type){ .name = name,
				      .package = b->package,
				      .group = b->group,
				      .version = b->version,
				      .form = form,
				      .flags = TYPE_CUSTOM | TYPE_UNPUBLISHED };
	return b->layout.types.len;
}

static size_t import_type(struct builder *b, const struct type *type);

/* A compiled field as it stands. */
static void import_field(struct builder *b, size_t owner, const struct field *field)
{
	struct source_field copy = { .name = field_name(field),
				     .wire = field_wire(field),
				     .patch_key = field_patch_key(field),
				     .declared = field_declared(field),
				     .sets = field_sets(field),
				     .doc = field_doc(field),
				     .shape = field->shape,
				     .list_type = field->list_type,
				     .flags = field->flags,
				     .number = field->number,
				     .below = import_type(b, field_type(field)) };

	memcpy(copy.inlined, field->inlined, sizeof(copy.inlined));
	for (size_t i = 0; i < field->list_keys.n; i++)
		vec_push(&copy.list_keys, catalog_text_at(&field->list_keys, i));
	for (size_t i = 0; i < field->one_of.n; i++)
		vec_push(&copy.one_of, catalog_text_at(&field->one_of, i));
	vec_push(&type_of(b, owner)->fields, copy);
}

/* A compiled type and all below it: a block refers to nothing outside itself. */
static size_t import_type(struct builder *b, const struct type *type)
{
	struct str name = str_format(b->layout.arena, "%.*s.%.*s", STR_ARG(type_package(type)), STR_ARG(type_name(type)));
	size_t index = (size_t)(uintptr_t)map_find(&b->imported, name);

	if (index != 0)
		return index;
	struct source_type *copy = vec_add(&b->layout.types);
	*copy = (struct source_type){ .name = type_name(type),
				      .package = type_package(type),
				      .group = type_group(type),
				      .version = type_version(type),
				      .doc = type_doc(type),
				      .unions = catalog_str(&type->unions),
				      .form = type->form,
				      .flags = type->flags,
				      .defaults = type->defaults,
				      .validate = type->validate,
				      .rules = type->rules };
	index = b->layout.types.len;
	map_set(&b->imported, name, (void *)(uintptr_t)index);
	for (size_t i = 0; i < type_len(type); i++)
		import_field(b, index, type_at(type, i));
	return index;
}

static size_t leaf(struct builder *b, enum type_form form, const char *name)
{
	if (b->leaves[form] == 0)
		b->leaves[form] = add_type(b, form, str_from(name));
	return b->leaves[form];
}

static bool says(const struct json *schema, const char *word)
{
	return json_bool(json_get(schema, word));
}

static size_t build_type(struct builder *b, const struct json *schema);

static bool holds_text(const struct json *list, struct str text)
{
	JSON_EACH (list, it)
		if (str_eq(json_str(it.value), text))
			return true;
	return false;
}

static uint32_t map_flags(const struct json *schema)
{
	return str_is(json_get_str(schema, "x-kubernetes-map-type"), "atomic")     ? FIELD_MAP_ATOMIC
	       : str_is(json_get_str(schema, "x-kubernetes-map-type"), "granular") ? FIELD_MAP_GRANULAR
										   : 0;
}

static enum list_type list_type_of(const struct json *schema)
{
	struct str word = json_get_str(schema, "x-kubernetes-list-type");

	return str_is(word, "map") ? LIST_MAP : str_is(word, "set") ? LIST_SET : str_is(word, "atomic") ? LIST_ATOMIC : LIST_NONE;
}

/* What the schema says of one value, as the field that holds it. */
static void build_field(struct builder *b, size_t owner, struct str name, const struct json *schema, bool required)
{
	const struct json *additional = json_get(schema, "additionalProperties"), *preset = json_get(schema, "default");
	bool list = str_is(json_get_str(schema, "type"), "array"), map = !list && json_is(additional, JSON_OBJECT);
	struct source_field field = { .name = name,
				      .doc = json_get_str(schema, "description"),
				      .declared = preset != NULL ? json_format(b->layout.arena, preset) : STR(""),
				      .shape = list  ? SHAPE_LIST
					       : map ? SHAPE_MAP
						     : SHAPE_ONE,
				      .list_type = list ? list_type_of(schema) : LIST_NONE,
				      .flags = FIELD_POINTER | FIELD_OMIT_ZERO | map_flags(schema) };

	field.flags |= (says(schema, "nullable") ? FIELD_NULLABLE : 0) | (required ? FIELD_REQUIRED : 0);
	JSON_EACH (json_get(schema, "x-kubernetes-list-map-keys"), it)
		vec_push(&field.list_keys, json_str(it.value));
	field.below = build_type(b, list ? json_get(schema, "items") : map ? additional : schema);
	vec_push(&type_of(b, owner)->fields, field);
}

static void add_properties(struct builder *b, size_t owner, const struct json *schema, bool object)
{
	const struct json *required = json_get(schema, "required");
	struct json_builder sorted = { .arena = b->layout.arena };

	JSON_EACH (json_get(schema, "properties"), it)
		json_builder_member(&sorted, it.key, it.value);
	json_builder_sort(&sorted);
	for (size_t i = 0; i < sorted.len; i++) {
		struct str name = sorted.members[i].key;
		if (!object || (!str_is(name, "kind") && !str_is(name, "apiVersion") && !str_is(name, "metadata")))
			build_field(b, owner, name, sorted.members[i].value, holds_text(required, name));
	}
}

/* kind, apiVersion and metadata, as any object has them. */
static void add_object_fields(struct builder *b, size_t owner)
{
	const struct type *like = kind_type(kind_must("v1", "ConfigMap"));

	for (size_t i = 0; i < 3; i++)
		import_field(b, owner, type_at(like, i));
}

static size_t build_struct(struct builder *b, const struct json *schema)
{
	size_t index = add_type(b, FORM_STRUCT, STR("object"));
	bool embedded = says(schema, "x-kubernetes-embedded-resource");

	if (says(schema, "x-kubernetes-preserve-unknown-fields"))
		type_of(b, index)->flags |= TYPE_PRESERVES;
	if (str_is(json_get_str(schema, "x-kubernetes-map-type"), "atomic"))
		type_of(b, index)->flags |= TYPE_ATOMIC;
	if (embedded)
		add_object_fields(b, index);
	add_properties(b, index, schema, embedded);
	return index;
}

static size_t build_type(struct builder *b, const struct json *schema)
{
	struct str type = json_get_str(schema, "type");
	const struct json *additional = json_get(schema, "additionalProperties");
	bool preserves = says(schema, "x-kubernetes-preserve-unknown-fields");
	size_t index;

	if (says(schema, "x-kubernetes-int-or-string"))
		return leaf(b, FORM_INT_OR_STRING, "intOrString");
	if (str_is(type, "string"))
		return leaf(b, FORM_STRING, "string");
	if (str_is(type, "boolean"))
		return leaf(b, FORM_BOOL, "boolean");
	if (str_is(type, "integer"))
		return leaf(b, FORM_INT64, "integer");
	if (str_is(type, "number"))
		return leaf(b, FORM_DOUBLE, "number");
	if (str_is(type, "array") || (json_is(additional, JSON_OBJECT) && json_len(json_get(schema, "properties")) == 0)) {
		index = add_type(b, FORM_NESTED, STR("nested"));
		build_field(b, index, STR(""), schema, false);
		return index;
	}
	if (json_len(json_get(schema, "properties")) != 0 || says(schema, "x-kubernetes-embedded-resource"))
		return build_struct(b, schema);
	if (preserves || json_bool(additional) || type.len == 0)
		return leaf(b, FORM_JSON, "any");
	return build_struct(b, schema);
}

/* ---- kinds ---- */

static struct str reversed(struct arena *arena, struct str group)
{
	AUTO_BUF struct buf out = { 0 };

	while (group.len != 0) {
		ptrdiff_t dot = str_rfind(group, '.');
		buf_printf(&out, "%s%.*s", out.len == 0 ? "" : ".", STR_ARG(str_skip(group, (size_t)(dot + 1))));
		group = str_head(group, dot < 0 ? 0 : (size_t)dot);
	}
	return str_dup(arena, buf_str(&out));
}

static size_t build_root(struct builder *b, struct str name, const struct json *schema)
{
	size_t index = add_type(b, FORM_STRUCT, name);

	type_of(b, index)->flags = TYPE_CUSTOM | TYPE_OBJECT;
	type_of(b, index)->doc = json_get_str(schema, "description");
	if (says(schema, "x-kubernetes-preserve-unknown-fields"))
		type_of(b, index)->flags |= TYPE_PRESERVES;
	add_object_fields(b, index);
	add_properties(b, index, schema, true);
	return index;
}

static size_t build_list(struct builder *b, struct str name, size_t item)
{
	const struct type *like = kind_list_type(kind_must("v1", "ConfigMap"));
	size_t index = add_type(b, FORM_STRUCT, name);
	struct source_field items = { .name = STR("items"), .shape = SHAPE_LIST, .flags = FIELD_REQUIRED, .below = item };

	type_of(b, index)->flags = TYPE_OBJECT;
	for (size_t i = 0; i < 3; i++)
		import_field(b, index, type_at(like, i));
	vec_push(&type_of(b, index)->fields, items);
	return index;
}

/* ".spec.replicas" → "spec.replicas" */
static struct str plain_path(const struct json *path)
{
	return str_has_prefix(json_str(path), STR(".")) ? str_skip(json_str(path), 1) : json_str(path);
}

static void add_subresources(struct source_kind *kind, const struct json *version)
{
	const struct json *all = json_get(version, "subresources"), *scale = json_get(all, "scale");
	const uint32_t verbs = VERB(GET) | VERB(PATCH) | VERB(UPDATE);

	if (json_get(all, "status") != NULL)
		vec_push(&kind->subresources, (struct source_subresource){ STR("status"), STR(""), STR(""), kind->name, verbs });
	if (scale == NULL)
		return;
	vec_push(&kind->subresources,
		 (struct source_subresource){ STR("scale"), STR("autoscaling"), STR("v1"), STR("Scale"), verbs });
	kind->scale_spec = plain_path(json_get(scale, "specReplicasPath"));
	kind->scale_status = plain_path(json_get(scale, "statusReplicasPath"));
	kind->scale_selector = plain_path(json_get(scale, "labelSelectorPath"));
}

static struct source_column printed(struct arena *arena, const struct json *column)
{
	struct str path = json_get_str(column, "jsonPath"), doc = json_get_str(column, "description");

	if (doc.len == 0)
		doc = str_format(arena, "Custom resource definition column (in JSONPath format): %.*s", STR_ARG(path));
	return (struct source_column){ .name = json_get_str(column, "name"),
				       .type = json_get_str(column, "type"),
				       .format = json_get_str(column, "format"),
				       .path = str_format(arena, "$%.*s", STR_ARG(path)),
				       .doc = doc,
				       .priority = (uint32_t)json_int(json_get(column, "priority"), 0) };
}

static void add_columns(struct arena *arena, struct source_kind *kind, const struct json *version)
{
	const struct kind *like = kind_must("v1", "ConfigMap");
	const struct column *name = kind_column_at(like, 0), *age = kind_column_at(like, like->columns.n - 1);
	const struct json *more = json_get(version, "additionalPrinterColumns");

	vec_push(&kind->columns, (struct source_column){ column_name(name), column_type(name), column_format(name),
							 column_path(name), column_doc(name), 0 });
	if (json_len(more) == 0)
		vec_push(&kind->columns, (struct source_column){ column_name(age), STR("date"), STR(""),
								 STR("$.metadata.creationTimestamp"), column_doc(age), 0 });
	JSON_EACH (more, it)
		vec_push(&kind->columns, printed(arena, it.value));
}

static void build_kind(struct builder *b, const struct json *spec, const struct json *version, struct str stored, struct str hash)
{
	const struct json *names = json_get(spec, "names");
	struct arena *arena = b->layout.arena;
	struct source_kind *kind = vec_add(&b->layout.kinds);
	size_t root;

	b->version = json_get_str(version, "name");
	b->package = str_format(arena, "%.*s.%.*s", STR_ARG(reversed(arena, b->group)), STR_ARG(b->version));
	*kind = (struct source_kind){ .name = json_get_str(names, "kind"),
				      .group = b->group,
				      .version = b->version,
				      .api_version = str_format(arena, "%.*s/%.*s", STR_ARG(b->group), STR_ARG(b->version)),
				      .resource = json_get_str(names, "plural"),
				      .singular = json_get_str(names, "singular"),
				      .hash = hash,
				      .store_group = b->group,
				      .store_version = stored,
				      .flags = KIND_CUSTOM };
	if (str_is(json_get_str(spec, "scope"), "Namespaced"))
		kind->flags |= KIND_NAMESPACED;
	kind->verbs = (1u << VERB_COUNT) - 1;
	JSON_EACH (json_get(names, "shortNames"), it)
		vec_push(&kind->short_names, json_str(it.value));
	JSON_EACH (json_get(names, "categories"), it)
		vec_push(&kind->categories, json_str(it.value));
	JSON_EACH (json_get(version, "selectableFields"), it)
		vec_push(&kind->fields, plain_path(json_get(it.value, "jsonPath")));
	add_subresources(kind, version);
	add_columns(arena, kind, version);
	root = build_root(b, kind->name, json_path(version, "schema.openAPIV3Schema"));
	kind->list_type = build_list(b, json_get_str(names, "listKind"), root);
	kind->type = root;
}

/* ---- a description ---- */

static struct error *check_spec(const struct json *spec)
{
	size_t stored = 0;

	JSON_EACH (json_get(spec, "versions"), it) {
		stored += says(it.value, "storage");
		if (api_schema_too_deep(json_get(it.value, "schema")))
			return error_new(ERR_INVALID, "spec.versions[%zu].schema: more than %d levels", it.index,
					 LIMIT_SCHEMA_DEPTH);
	}
	if (stored != 1)
		return error_new(ERR_INVALID, "spec.versions: exactly one version must be marked as storage version");
	if (json_get_str(spec, "group").len == 0 || json_path_str(spec, "names.kind").len == 0 ||
	    json_path_str(spec, "names.plural").len == 0)
		return error_new(ERR_INVALID, "spec: group, names.kind and names.plural are required");
	return NULL;
}

/* listKind and singular may be left out of what is not stored: the names' defaults. */
static const struct json *with_names(struct arena *arena, const struct json *spec)
{
	struct str kind = json_path_str(spec, "names.kind");

	if (json_path_str(spec, "names.listKind").len == 0)
		spec = json_with_path(arena, spec, "names.listKind", json_printf(arena, "%.*sList", STR_ARG(kind)));
	if (json_path_str(spec, "names.singular").len == 0)
		spec = json_with_path(arena, spec, "names.singular", json_string(arena, str_lower(arena, kind)));
	return spec;
}

static void free_lists(struct layout *layout)
{
	for (size_t i = 0; i < layout->types.len; i++)
		for (size_t k = 0; k < layout->types.ptr[i].fields.len; k++) {
			vec_fini(&layout->types.ptr[i].fields.ptr[k].list_keys);
			vec_fini(&layout->types.ptr[i].fields.ptr[k].one_of);
		}
	for (size_t i = 0; i < layout->kinds.len; i++) {
		vec_fini(&layout->kinds.ptr[i].short_names);
		vec_fini(&layout->kinds.ptr[i].categories);
		vec_fini(&layout->kinds.ptr[i].fields);
	}
}

static void build(struct custom *custom, struct str hash)
{
	const struct json *spec = custom->spec, *versions = json_get(spec, "versions");
	struct builder b = { .layout = { .arena = arena_new() }, .group = json_get_str(spec, "group") };
	struct str stored = STR("");
	size_t size;

	JSON_EACH (versions, it)
		if (says(it.value, "storage")) {
			stored = json_get_str(it.value, "name");
			custom->stored = it.index;
		}
	JSON_EACH (versions, it) {
		memset(b.leaves, 0, sizeof(b.leaves));
		build_kind(&b, spec, it.value, stored, hash);
		custom->schemas[it.index] = json_path(it.value, "schema.openAPIV3Schema");
	}
	layout_mark(&b.layout);
	void *block = layout_block(&b.layout, &size);
	custom->block = xcalloc(1, sizeof(struct block_head) + size);
	((struct block_head *)(void *)custom->block)->owner = custom;
	memcpy(custom->block + sizeof(struct block_head), block, size);
	free(block);
	free_lists(&b.layout);
	layout_fini(&b.layout);
	map_fini(&b.imported);
	arena_free(b.layout.arena);
}

static struct catalog *catalog_in(const struct custom *custom)
{
	return (struct catalog *)(void *)(custom->block + sizeof(struct block_head));
}

struct error *custom_new(const struct json *spec, struct str hash, struct custom **out)
{
	struct error *err = check_spec(spec);
	struct custom *custom;

	if (err != NULL)
		return err;
	custom = xcalloc(1, sizeof(*custom));
	custom->refs = 1;
	custom->arena = arena_new();
	custom->spec = with_names(custom->arena, json_copy(custom->arena, spec));
	custom->schemas = ARENA_ARRAY(custom->arena, const struct json *, json_len(json_get(spec, "versions")));
	custom->hash = str_hash(json_format(custom->arena, custom->spec));
	build(custom, hash);
	custom->first_id = next_id;
	next_id += (uint32_t)custom_len(custom);
	for (size_t i = 0; i < custom_len(custom); i++)
		((struct kind *)(uintptr_t)custom_at(custom, i))->id = custom->first_id + (uint32_t)i;
	*out = custom;
	return NULL;
}

void custom_unref(struct custom *custom)
{
	if (custom == NULL || --custom->refs != 0)
		return;
	ASSERT(!custom->registered);
	arena_free(custom->arena);
	free(custom->block);
	free(custom);
}

size_t custom_len(const struct custom *custom)
{
	return catalog_in(custom)->kinds.n;
}

const struct kind *custom_at(const struct custom *custom, size_t i)
{
	return (const struct kind *)catalog_first(&catalog_in(custom)->kinds) + i;
}

struct custom *custom_of(const struct kind *kind)
{
	if (kind == NULL || (kind->flags & KIND_CUSTOM) == 0)
		return NULL;
	return ((const struct block_head *)(const void *)((const char *)kind - kind->place - sizeof(struct block_head)))->owner;
}

bool custom_registered(const struct custom *custom)
{
	return custom->registered;
}

void custom_close(struct custom *custom, bool closed)
{
	custom->closed = closed;
}

bool custom_closed(const struct custom *custom)
{
	return custom->closed;
}

const struct kind *kind_ref(const struct kind *kind)
{
	struct custom *custom = custom_of(kind);

	if (custom != NULL)
		custom->refs++;
	return kind;
}

void kind_unref(const struct kind *kind)
{
	custom_unref(custom_of(kind));
}

/* ---- the registry ---- */

static const struct json *version_at(const struct custom *custom, size_t i)
{
	return json_at(json_get(custom->spec, "versions"), i);
}

bool kind_is_gone(const struct kind *kind)
{
	const struct custom *custom = custom_of(kind);

	return custom != NULL && (!custom->registered || !says(version_at(custom, kind->id - custom->first_id), "served"));
}

uint64_t kinds_generation(void)
{
	return generation;
}

void kinds_listen(void (*fn)(void *arg), void *arg)
{
	vec_push(&listeners, (struct kinds_listener){ fn, arg });
}

void kinds_unlisten(void *arg)
{
	for (size_t i = listeners.len; i-- > 0;)
		if (listeners.ptr[i].arg == arg)
			vec_remove(&listeners, i);
	if (listeners.len == 0)
		vec_fini(&listeners);
}

static void changed(void)
{
	generation++;
	for (size_t i = 0; i < listeners.len; i++)
		listeners.ptr[i].fn(listeners.ptr[i].arg);
}

const struct kind *kind_successor(const struct kind *kind)
{
	const struct kind *found = NULL;

	for (size_t i = 0; i < registered.len; i++) {
		const struct kind *it = registered.ptr[i];
		if (!str_eq(kind_group(it), kind_group(kind)) || !str_eq(kind_resource(it), kind_resource(kind)))
			continue;
		if (found == NULL || kind_stored_as(it) == it)
			found = it;
	}
	return found;
}

void custom_register(struct custom *custom)
{
	ASSERT(!custom->registered);
	custom->registered = true;
	custom->refs++;
	for (size_t i = 0; i < custom_len(custom); i++)
		if (says(version_at(custom, i), "served"))
			vec_push(&registered, custom_at(custom, i));
	changed();
}

void custom_unregister(struct custom *custom)
{
	ASSERT(custom->registered);
	custom->registered = false;
	for (size_t i = registered.len; i-- > 0;)
		if (custom_of(registered.ptr[i]) == custom)
			vec_remove(&registered, i);
	if (registered.len == 0)
		vec_fini(&registered);
	changed();
	custom_unref(custom);
}

size_t custom_kinds_len(void)
{
	return registered.len;
}

const struct kind *custom_kinds_at(size_t i)
{
	return registered.ptr[i];
}

const struct kind *custom_stored_as(const struct kind *kind)
{
	const struct custom *custom = custom_of(kind);

	return custom_at(custom, custom->stored);
}

const struct json *custom_schema(const struct kind *kind)
{
	const struct custom *custom = custom_of(kind);

	return custom->schemas[kind->id - custom->first_id];
}

uint64_t custom_hash(const struct kind *kind)
{
	return custom_of(kind)->hash;
}

/* ---- stored objects ---- */

static const struct kind *version_named(const struct kind *kind, struct str api_version)
{
	const struct custom *custom = custom_of(kind);

	for (size_t i = 0; i < custom_len(custom); i++)
		if (str_eq(kind_api_version(custom_at(custom, i)), api_version))
			return custom_at(custom, i);
	return kind; /* a version that is no more */
}

struct object *custom_load(const struct kind *kind, struct bytes *stored, uint64_t revision)
{
	struct arena *arena = arena_new();
	const struct kind *written;
	const struct json *tree = NULL;
	struct error *err = json_read(arena, bytes_str(stored), NULL, &tree);

	ASSERT(err == NULL); /* we wrote it */
	written = version_named(kind, json_get_str(tree, "apiVersion"));
	err = api_normalize(arena, kind_type(written), tree, NULL, &tree);
	ASSERT(err == NULL);
	tree = api_default(arena, written, tree);
	if (written != kind) {
		err = api_normalize(arena, kind_type(kind), tree, NULL, &tree);
		ASSERT(err == NULL);
	}
	return object_new(kind, arena, tree, revision);
}
