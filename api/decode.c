/*
 * From any JSON value to the form Go would write: the first half of the walker.
 *
 * Each struct is decoded into slots, one per field, and then written out in the order of the schema with Go's rules of
 * presence. Errors are those of encoding/json (as changed by sigs.k8s.io/json): the first one in the text counts, and it
 * names the innermost struct and the fields on the way, without indices. Notes of strict decoding name the path with
 * indices.
 */
#include <string.h>

#include "api/api.h"
#include "api/custom.h"
#include "api/quantity.h"
#include "api/walk.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/vec.h"

#define MANY_NOTES    100         /* more are not kept, as upstream */
#define ORDERED_NOTES (64 * 1024) /* in longer texts unknown members are not put among duplicate ones: it costs too much */

struct decoder {
	struct arena *arena;
	struct api_notes *notes; /* NULL: nobody asks */
	struct buf path;         /* "spec.containers[0]", kept only with notes */
	VEC(struct str) fields;  /* Go's field stack */
	const struct type *owner;
	struct error *mismatch; /* the first value of a wrong type: Go reads on, and what a type's own decoder says comes first */
	size_t structs;         /* so far */
	VEC(const struct json *) slots;
};

static struct error *decode_type(struct decoder *d, const struct type *type, const struct json *value,
				 const struct json **out) MUST_CHECK;

/* ---- errors and notes ---- */

static struct error *mismatch_error(struct decoder *d, const char *what, struct str number, struct str go_type)
{
	AUTO_BUF struct buf text = { 0 };

	buf_printf(&text, "json: cannot unmarshal %s", what);
	if (number.len != 0)
		buf_printf(&text, " %.*s", STR_ARG(number));
	if (d->owner == NULL || d->fields.len == 0) {
		buf_printf(&text, " into Go value of type %.*s", STR_ARG(go_type));
		return error_new(ERR_BAD_REQUEST, "%s", buf_cstr(&text));
	}
	buf_printf(&text, " into Go struct field %.*s", STR_ARG(type_name(d->owner)));
	for (size_t i = 0; i < d->fields.len; i++)
		buf_printf(&text, ".%.*s", STR_ARG(d->fields.ptr[i]));
	buf_printf(&text, " of type %.*s", STR_ARG(go_type));
	return error_new(ERR_BAD_REQUEST, "%s", buf_cstr(&text));
}

static struct error *mismatch(struct decoder *d, const char *what, struct str number, struct str go_type)
{
	if (d->mismatch == NULL)
		d->mismatch = mismatch_error(d, what, number, go_type);
	return NULL;
}

/* What Go calls the type of the field that is being read, when that is a string with a name of its own. */
static const struct {
	const char *owner, *field, *name;
} go_names[] = {
#define ROW(owner, field, name) { #owner, #field, name },
#include "api/gonames.def"
#undef ROW
};

static struct str go_name_of_text(const struct decoder *d)
{
	if (d->owner == NULL || d->fields.len == 0)
		return STR("string");
	for (size_t i = 0; i < sizeof(go_names) / sizeof(go_names[0]); i++)
		if (str_is(type_name(d->owner), go_names[i].owner) && str_is(d->fields.ptr[d->fields.len - 1], go_names[i].field))
			return str_from(go_names[i].name);
	return STR("string");
}

bool api_go_names_text(struct str name)
{
	for (size_t i = 0; i < sizeof(go_names) / sizeof(go_names[0]); i++)
		if (str_is(name, go_names[i].name))
			return true;
	return false;
}

static struct error *wrong_type(struct decoder *d, const struct json *value, struct str go_type)
{
	if (str_is(go_type, "string"))
		go_type = go_name_of_text(d);
	else if (str_is(go_type, "[]string"))
		go_type = str_format(d->arena, "[]%.*s", STR_ARG(go_name_of_text(d)));
	return mismatch(d, json_type_name(value), (struct str){ 0 }, go_type);
}

static bool notes_wanted(const struct api_notes *notes)
{
	return notes->len < MANY_NOTES && notes->bytes < LIMIT_CAUSE_BYTES;
}

void api_note(struct arena *arena, struct api_notes *notes, struct str text)
{
	if (!notes_wanted(notes))
		return;
	for (size_t i = 0; i < notes->len; i++)
		if (str_eq(notes->text[i], text))
			return;
	if (notes->len == notes->cap) {
		size_t cap = notes->cap == 0 ? 4 : notes->cap * 2;
		struct str *grown = ARENA_ARRAY(arena, struct str, cap);
		if (notes->len != 0)
			memcpy(grown, notes->text, notes->len * sizeof(*grown));
		notes->text = grown;
		notes->cap = cap;
	}
	notes->text[notes->len++] = text;
	notes->bytes += text.len;
}

static void note_unknown(struct decoder *d, struct str key)
{
	AUTO_BUF struct buf text = { 0 };

	if (!notes_wanted(d->notes))
		return;
	buf_add(&text, STR("unknown field "));
	AUTO_BUF struct buf path = { 0 };
	buf_add(&path, buf_str(&d->path));
	if (path.len != 0)
		buf_putc(&path, '.');
	buf_add(&path, key);
	json_write_string(&text, buf_str(&path));
	api_note(d->arena, d->notes, str_dup(d->arena, buf_str(&text)));
}

/* The path grows on the way down; the length to go back to is returned. */
static size_t path_key(struct decoder *d, struct str key)
{
	size_t before = d->path.len;

	if (d->notes == NULL)
		return before;
	if (before != 0)
		buf_putc(&d->path, '.');
	buf_add(&d->path, key);
	return before;
}

static size_t path_index(struct decoder *d, size_t index)
{
	size_t before = d->path.len;

	if (d->notes != NULL)
		buf_printf(&d->path, "[%zu]", index);
	return before;
}

/* ---- zero values and presence ---- */

const struct json *walk_zero(struct arena *arena, const struct type *type)
{
	struct json_builder b = { .arena = arena };

	switch ((enum type_form)type->form) {
	case FORM_STRING:
	case FORM_BYTES:
		return &json_empty_string;
	case FORM_BOOL:
		return &json_false;
	case FORM_INT32:
	case FORM_INT64:
	case FORM_DOUBLE:
	case FORM_INT_OR_STRING:
		return json_number_text(arena, STR("0"));
	case FORM_QUANTITY:
		return json_string(arena, STR("0"));
	case FORM_TIME:
	case FORM_MICRO_TIME:
	case FORM_RAW:
	case FORM_FIELDS:
	case FORM_JSON:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
		return &json_null;
	case FORM_SCHEMA_OR_BOOL:
		return &json_false;
	case FORM_STRUCT:
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	for (size_t i = 0; i < type_len(type); i++)
		json_builder_member(&b, field_name(type_at(type, i)), walk_zero_field(arena, type_at(type, i)));
	return json_builder_object(&b);
}

static bool by_value_struct(const struct field *field)
{
	switch ((enum type_form)field_type(field)->form) {
	case FORM_STRUCT:
	case FORM_TIME:
	case FORM_MICRO_TIME:
	case FORM_QUANTITY:
	case FORM_INT_OR_STRING:
	case FORM_RAW:
		return field->shape == SHAPE_ONE;
	case FORM_STRING:
	case FORM_BOOL:
	case FORM_INT32:
	case FORM_INT64:
	case FORM_DOUBLE:
	case FORM_BYTES:
	case FORM_FIELDS:
	case FORM_JSON:
	case FORM_SCHEMA_OR_BOOL:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	return false;
}

const struct json *walk_zero_field(struct arena *arena, const struct field *field)
{
	bool omit = (field->flags & FIELD_OMIT_EMPTY) != 0;

	if ((field->flags & FIELD_OMIT_ZERO) != 0)
		return NULL;
	if ((field->flags & FIELD_POINTER) != 0 || field->shape != SHAPE_ONE || field_type(field)->form == FORM_BYTES)
		return omit ? NULL : &json_null;
	if (omit && !by_value_struct(field))
		return NULL;
	return walk_zero(arena, field_type(field));
}

bool walk_written(const struct field *field, const struct json *value)
{
	if (value == NULL)
		return false;
	if ((field->flags & FIELD_OMIT_ZERO) != 0 && value->type == JSON_NULL)
		return false;
	if ((field->flags & FIELD_OMIT_EMPTY) == 0)
		return true;
	if (field->shape != SHAPE_ONE)
		return json_len(value) != 0;
	if ((field->flags & FIELD_POINTER) != 0 || by_value_struct(field))
		return true;
	switch (value->type) {
	case JSON_NULL:
		return false;
	case JSON_BOOL:
		return value->len != 0;
	case JSON_STRING:
		return value->text.len != 0;
	case JSON_NUMBER:
		return json_double(value, 0) < 0 || json_double(value, 0) > 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	return true;
}

struct str walk_go_name(struct arena *arena, const struct type *type)
{
	struct str package = type_package(type);

	switch ((enum type_form)type->form) {
	case FORM_BYTES:
		return STR("[]uint8");
	case FORM_QUANTITY:
		return STR("resource.Quantity");
	case FORM_INT_OR_STRING:
		return STR("intstr.IntOrString");
	case FORM_STRING:
	case FORM_BOOL:
	case FORM_INT32:
	case FORM_INT64:
	case FORM_DOUBLE:
		return type_name(type);
	case FORM_STRUCT:
	case FORM_TIME:
	case FORM_MICRO_TIME:
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
	return str_format(arena, "%.*s.%.*s", STR_ARG(str_skip(package, (size_t)(str_rfind(package, '.') + 1))),
			  STR_ARG(type_name(type)));
}

struct str walk_go_type(struct arena *arena, const struct field *field)
{
	struct str name = walk_go_name(arena, field_type(field));

	switch ((enum field_shape)field->shape) {
	case SHAPE_ONE:
		break;
	case SHAPE_LIST:
		return str_format(arena, "[]%.*s", STR_ARG(name));
	case SHAPE_MAP:
		if (field_type(field)->form == FORM_QUANTITY)
			return STR("v1.ResourceList");
		return str_format(arena, "map[string]%.*s", STR_ARG(name));
	case SHAPE_MAP_OF_LISTS:
		return str_format(arena, "map[string][]%.*s", STR_ARG(name));
	}
	return name;
}

/* ---- leaves ---- */

static struct error *decode_integer(struct decoder *d, const struct type *type, const struct json *value, const struct json **out)
{
	int64_t number;

	if (value->type != JSON_NUMBER)
		return wrong_type(d, value, walk_go_name(d->arena, type));
	if (!str_to_i64(value->text, &number) || (type->form == FORM_INT32 && (number < INT32_MIN || number > INT32_MAX)))
		return mismatch(d, "number", value->text, walk_go_name(d->arena, type));
	/* Only "-0" is written differently. */
	*out = number == 0 ? json_number_text(d->arena, STR("0")) : value;
	return NULL;
}

static struct error *decode_int_or_string(struct decoder *d, const struct json *value, const struct json **out)
{
	int64_t number;

	*out = value;
	if (value->type == JSON_STRING)
		return NULL;
	if (value->type != JSON_NUMBER)
		return mismatch_error(d, json_type_name(value), (struct str){ 0 }, STR("int32"));
	if (!str_to_i64(value->text, &number) || number < INT32_MIN || number > INT32_MAX)
		return mismatch_error(d, "number", value->text, STR("int32"));
	*out = json_number(d->arena, number);
	return NULL;
}

static struct error *decode_quantity(struct decoder *d, const struct json *value, const struct json **out)
{
	struct quantity q;
	const char *why;

	/* Upstream hands everything that is no string to the parser as it stands. */
	struct str text = value->type == JSON_STRING || value->type == JSON_NUMBER ? value->text : json_format(d->arena, value);
	if (!quantity_parse(str_trim(text), &q, &why))
		return error_new(ERR_BAD_REQUEST, "%s", why);
	struct str canonical = quantity_text(d->arena, &q);
	*out = value->type == JSON_STRING && str_eq(canonical, value->text) ? value : json_string(d->arena, canonical);
	return NULL;
}

/* Go also takes a list of numbers for bytes. */
static struct error *bytes_of_numbers(struct decoder *d, const struct json *value, const struct json **out)
{
	AUTO_BUF struct buf bytes = { 0 }, text = { 0 };

	JSON_EACH (value, it) {
		int64_t n = json_int(it.value, -1);

		if (n < 0 || n > 255)
			return wrong_type(d, it.value, STR("uint8"));
		buf_putc(&bytes, (char)n);
	}
	base64_encode(&text, buf_str(&bytes));
	*out = json_string_copy(d->arena, buf_str(&text));
	return NULL;
}

static struct error *decode_bytes(struct decoder *d, const struct type *type, const struct json *value, const struct json **out)
{
	struct str text;
	struct error *err;

	if (value->type == JSON_ARRAY)
		return bytes_of_numbers(d, value, out);
	if (value->type != JSON_STRING)
		return wrong_type(d, value, walk_go_name(d->arena, type));
	err = walk_base64(d->arena, value->text, &text);
	if (err == NULL)
		*out = json_string(d->arena, text);
	else if (d->mismatch == NULL)
		d->mismatch = err;
	else
		error_free(err);
	return NULL;
}

static struct error *decode_schema_union(struct decoder *d, const struct type *type, const struct json *value,
					 const struct json **out)
{
	const struct type *schema = type_find_full(type_package(type), STR("JSONSchemaProps"));
	struct json_builder b = { .arena = d->arena };

	*out = value;
	if (value->type == JSON_OBJECT)
		return decode_type(d, schema, value, out);
	if (type->form == FORM_SCHEMA_OR_BOOL && value->type == JSON_BOOL)
		return NULL;
	if (value->type != JSON_ARRAY || type->form == FORM_SCHEMA_OR_BOOL)
		return error_new(ERR_BAD_REQUEST, type->form == FORM_SCHEMA_OR_BOOL ? "boolean or JSON schema expected"
										    : "array or JSON schema expected");
	for (size_t i = 0; i < value->len; i++) {
		const struct json *item = value->items[i];
		struct error *err = NULL;
		if (type->form == FORM_SCHEMA_OR_ARRAY)
			err = decode_type(d, schema, item, &item);
		else if (item->type != JSON_STRING)
			err = error_new(ERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type string",
					json_type_name(item));
		if (err != NULL)
			return err;
		json_builder_item(&b, item);
	}
	*out = json_builder_array(&b);
	return NULL;
}

/* ---- structs ---- */

static const struct field *find_field(const struct type *type, struct str key, size_t *hint)
{
	size_t n = type_len(type);

	/* Members mostly come in the order of the schema. */
	for (size_t k = 0; k < n; k++) {
		size_t i = *hint + k < n ? *hint + k : *hint + k - n;
		const struct field *field = type_at(type, i);
		if (!str_eq(field_name(field), key))
			continue;
		*hint = i + 1 < n ? i + 1 : 0;
		return field;
	}
	return NULL;
}

/* Items count; what is in a field of its own Go writes even when nobody said anything. */
static bool too_many(struct decoder *d, const struct field *field, const struct json *container)
{
	d->structs += field_type(field)->form == FORM_STRUCT ? json_len(container) : 0;
	return d->structs > LIMIT_STRUCTS;
}

static struct error *decode_list(struct decoder *d, const struct field *field, const struct json *value, const struct json **out)
{
	struct json_builder b = { .arena = d->arena };

	*out = &json_null;
	if (value->type != JSON_ARRAY)
		return wrong_type(d, value, walk_go_type(d->arena, field));
	if (too_many(d, field, value))
		return api_too_many_structs();
	for (size_t i = 0; i < value->len; i++) {
		size_t before = path_index(d, i);
		const struct json *item;
		struct error *err = decode_type(d, field_type(field), value->items[i], &item);
		if (err != NULL)
			return err;
		d->path.len = before;
		json_builder_item(&b, item);
	}
	*out = json_builder_array(&b);
	return NULL;
}

static struct error *decode_map(struct decoder *d, const struct field *field, const struct json *value, const struct json **out)
{
	struct json_builder b = { .arena = d->arena };

	*out = &json_null;
	if (value->type != JSON_OBJECT)
		return wrong_type(d, value, walk_go_type(d->arena, field));
	if (too_many(d, field, value))
		return api_too_many_structs();
	for (size_t i = 0; i < value->len; i++) {
		const struct json_member *member = &value->members[i];
		size_t before = path_key(d, member->key);
		const struct json *item = &json_null;
		struct error *err = NULL;
		if (field->shape == SHAPE_MAP_OF_LISTS)
			err = member->value->type == JSON_NULL ? NULL : decode_list(d, field, member->value, &item);
		else if (member->value->type != JSON_NULL || field_type(field)->form != FORM_BYTES)
			err = decode_type(d, field_type(field), member->value, &item);
		if (err != NULL)
			return err;
		d->path.len = before;
		json_builder_member(&b, member->key, item);
	}
	json_builder_sort(&b);
	*out = json_builder_object(&b);
	return NULL;
}

static struct error *decode_field(struct decoder *d, const struct field *field, const struct json *value, const struct json **out)
{
	switch ((enum field_shape)field->shape) {
	case SHAPE_ONE:
		break;
	case SHAPE_LIST:
		return decode_list(d, field, value, out);
	case SHAPE_MAP:
	case SHAPE_MAP_OF_LISTS:
		return decode_map(d, field, value, out);
	}
	return decode_type(d, field_type(field), value, out);
}

/* Go's field stack also names the structs that are inlined on the way. */
static void push_field(struct decoder *d, const struct field *field)
{
	struct str rest = field_wire(field), piece, name;

	while (str_cut(&rest, '.', &piece))
		if (str_find(piece, '@') >= 0 && str_cut(&piece, '@', &name))
			vec_push(&d->fields, name);
	vec_push(&d->fields, field_name(field));
}

static struct error *decode_member(struct decoder *d, const struct type *type, const struct json_member *member, size_t *hint,
				   size_t slots)
{
	const struct field *field = find_field(type, member->key, hint);
	size_t stack = d->fields.len, path;
	struct error *err;

	if (field == NULL) {
		if (d->notes != NULL)
			note_unknown(d, member->key);
		return NULL;
	}
	if (member->value->type == JSON_NULL)
		return NULL;
	d->owner = type;
	push_field(d, field);
	path = path_key(d, member->key);
	const struct json *value;
	err = decode_field(d, field, member->value, &value);
	if (err != NULL)
		return err;
	/* A pointer to Go's zero time is as good as none. */
	if (value->type == JSON_NULL && (field->flags & FIELD_POINTER) != 0)
		value = NULL;
	d->slots.ptr[slots + (size_t)(field - type_at(type, 0))] = value;
	d->fields.len = stack;
	d->path.len = path;
	return NULL;
}

struct error *api_too_many_structs(void)
{
	return error_new(ERR_TOO_LARGE, "Request entity too large: limit is %d structures in one object", LIMIT_STRUCTS);
}

static struct error *decode_struct(struct decoder *d, const struct type *type, const struct json *value, const struct json **out)
{
	const struct type *owner = d->owner;
	size_t n = type_len(type), slots = d->slots.len, hint = 0;
	struct json_builder b = { .arena = d->arena };

	if (value->type == JSON_NULL) {
		*out = walk_zero(d->arena, type);
		return NULL;
	}
	if (value->type != JSON_OBJECT)
		return wrong_type(d, value, walk_go_name(d->arena, type));
	vec_reserve(&d->slots, n);
	if (n != 0)
		memset(d->slots.ptr + slots, 0, n * sizeof(*d->slots.ptr));
	d->slots.len += n;
	for (size_t i = 0; i < value->len; i++) {
		struct error *err = decode_member(d, type, &value->members[i], &hint, slots);
		if (err != NULL)
			return err;
	}
	d->owner = owner;
	for (size_t i = 0; i < n; i++) {
		const struct field *field = type_at(type, i);
		const struct json *slot = d->slots.ptr[slots + i];
		if (slot == NULL)
			slot = walk_zero_field(d->arena, field);
		else if (!walk_written(field, slot))
			slot = NULL;
		json_builder_member(&b, field_name(field), slot);
	}
	d->slots.len = slots;
	*out = json_builder_object(&b);
	return NULL;
}

static void custom_unknown(void *arg, struct str path)
{
	struct decoder *d = arg;
	AUTO_BUF struct buf text = { 0 };

	buf_add(&text, STR("unknown field "));
	json_write_string(&text, path);
	api_note(d->arena, d->notes, str_dup(d->arena, buf_str(&text)));
}

/* Of a kind that is described at run time only the metadata has a form that must be met. */
static struct error *decode_custom(struct decoder *d, const struct type *type, const struct json *value, const struct json **out)
{
	struct custom_notes notes = { custom_unknown, d };
	const struct json *metadata = json_get(value, "metadata");
	size_t before;
	struct error *err;

	if ((type->flags & TYPE_OBJECT) != 0 && value->type != JSON_OBJECT)
		return wrong_type(d, value, STR("map[string]interface {}"));
	if ((type->flags & TYPE_OBJECT) != 0 && !json_absent(metadata)) {
		before = path_key(d, STR("metadata"));
		err = decode_type(d, field_type(type_find(type, STR("metadata"))), metadata, &metadata);
		if (err != NULL)
			return err;
		d->path.len = before;
		value = json_with(d->arena, value, "metadata", metadata);
	}
	*out = custom_prune(d->arena, type, value, d->notes != NULL ? &notes : NULL, buf_str(&d->path));
	return NULL;
}

static struct error *decode_type(struct decoder *d, const struct type *type, const struct json *value, const struct json **out)
{
	*out = value;
	if ((type->flags & TYPE_CUSTOM) != 0)
		return decode_custom(d, type, value, out);
	if (value->type == JSON_NULL && type->form != FORM_STRUCT) {
		*out = walk_zero(d->arena, type);
		return NULL;
	}
	switch ((enum type_form)type->form) {
	case FORM_STRUCT:
		return decode_struct(d, type, value, out);
	case FORM_STRING:
		return value->type == JSON_STRING ? NULL : wrong_type(d, value, STR("string"));
	case FORM_BOOL:
		return value->type == JSON_BOOL ? NULL : wrong_type(d, value, STR("bool"));
	case FORM_INT32:
	case FORM_INT64:
		return decode_integer(d, type, value, out);
	case FORM_DOUBLE:
		if (value->type != JSON_NUMBER)
			return wrong_type(d, value, STR("float64"));
		*out = json_real(d->arena, json_double(value, 0));
		return NULL;
	case FORM_BYTES:
		return decode_bytes(d, type, value, out);
	case FORM_TIME:
	case FORM_MICRO_TIME:
		if (value->type != JSON_STRING)
			return mismatch_error(d, json_type_name(value), (struct str){ 0 }, STR("string"));
		return walk_time(d->arena, value, type->form == FORM_MICRO_TIME, out);
	case FORM_QUANTITY:
		return decode_quantity(d, value, out);
	case FORM_INT_OR_STRING:
		return decode_int_or_string(d, value, out);
	case FORM_RAW:
	case FORM_FIELDS:
	case FORM_JSON:
		return NULL;
	case FORM_SCHEMA_OR_BOOL:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
		return decode_schema_union(d, type, value, out);
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	return NULL;
}

struct error *api_normalize(struct arena *arena, const struct type *type, const struct json *value, struct api_notes *notes,
			    const struct json **out)
{
	struct decoder d = { .arena = arena, .notes = notes };
	struct error *err = decode_type(&d, type, value, out);

	if (err == NULL)
		err = d.mismatch;
	else
		error_free(d.mismatch);
	buf_fini(&d.path);
	vec_fini(&d.fields);
	vec_fini(&d.slots);
	return err;
}

/* ---- whole bodies ---- */

struct duplicates {
	struct arena *arena;
	struct api_notes *notes;
	struct api_notes yaml; /* lines, to be joined into one note */
};

static void duplicate_found(void *arg, struct str path, int line)
{
	struct duplicates *d = arg;

	if (line != 0)
		api_note(d->arena, &d->yaml,
			 str_format(d->arena, "  line %d: key \"%.*s\" already set in map", line, STR_ARG(path)));
	else
		api_note(d->arena, d->notes, str_format(d->arena, "duplicate field \"%.*s\"", STR_ARG(path)));
}

static struct str body_kind(const struct api_body *body)
{
	return body->kind != NULL ? kind_name(body->kind) : type_name(body->type);
}

/* The start of a body, as upstream quotes it: text when it is JSON-like, else hex. */
static struct error *unrecognized(const struct api_body *body, struct error *cause, const char *prefix)
{
	AUTO_BUF struct buf start = { 0 };
	struct str text = body->text;

	if (body->bare) {
		struct error *err = error_new(ERR_BAD_REQUEST, "%s%s", prefix, cause->text);

		error_free(cause);
		return err;
	}
	if (text.len == 0) {
		buf_add(&start, STR("<empty>"));
	} else if (text.ptr[0] == '{') {
		buf_add(&start, str_head(text, 30));
		if (text.len > 30)
			buf_add(&start, STR(" ..."));
	} else {
		hex_encode(&start, str_head(text, 30));
		if (text.len > 30)
			buf_add(&start, STR(" ..."));
	}
	struct error *err = error_new(ERR_BAD_REQUEST, "the object provided is unrecognized (must be of type %.*s): %s%s (%s)",
				      STR_ARG(body_kind(body)), prefix, cause->text, buf_cstr(&start));
	error_free(cause);
	return err;
}

static struct error *read_text(struct arena *arena, const struct api_body *body, struct api_notes *notes, const struct json **out)
{
	static const char head[] = "couldn't get version/kind; json parse error: ";
	struct duplicates d = { .arena = arena, .notes = notes };
	struct json_options options = { .duplicate = notes != NULL ? duplicate_found : NULL, .arg = &d };
	struct error *err = body->media == API_YAML ? json_read_yaml(arena, body->text, &options, out)
						    : json_read(arena, body->text, &options, out);

	if (err != NULL)
		return unrecognized(body, err, body->media == API_YAML ? "" : head);
	if ((*out)->type != JSON_OBJECT && (*out)->type != JSON_NULL) {
		err = error_new(ERR_BAD_REQUEST,
				"json: cannot unmarshal %s into Go value of type struct { APIVersion string "
				"\"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
				"\"json:\\\"kind,omitempty\\\"\" }",
				json_type_name(*out));
		return unrecognized(body, err, head);
	}
	if (d.yaml.len != 0) {
		AUTO_BUF struct buf joined = { 0 };
		buf_add(&joined, STR("yaml: unmarshal errors:"));
		for (size_t i = 0; i < d.yaml.len; i++)
			buf_printf(&joined, "\n%.*s", STR_ARG(d.yaml.text[i]));
		api_note(arena, notes, str_dup(arena, buf_str(&joined)));
	}
	return NULL;
}

static struct error *not_handled(const struct api_body *body, struct str version, struct str kind, struct error *cause)
{
	if (cause->kind == ERR_TOO_LARGE || body->bare)
		return cause;
	struct error *err = error_new(ERR_BAD_REQUEST, "%.*s in version \"%.*s\" cannot be handled as a %.*s: %s", STR_ARG(kind),
				      STR_ARG(version), STR_ARG(body_kind(body)), cause->text);

	error_free(cause);
	return err;
}

static struct str wanted_version(const struct api_body *body)
{
	return body->kind != NULL ? kind_version(body->kind) : type_version(body->type);
}

/* Go's package alias in "converting (v1.Secret) to (core.ConfigMap)". */
static struct str internal_package(const struct api_body *body)
{
	struct str group = body->kind != NULL ? kind_group(body->kind) : type_group(body->type), head;

	if (group.len == 0)
		return STR("core");
	str_cut(&group, '.', &head);
	return head;
}

/* Of a kind that is described at run time nothing is supplied. */
static struct error *check_custom_kind(const struct api_body *body, struct str api_version, struct str kind, struct str name)
{
	struct api_findings findings = { .arena = arena_new() };
	AUTO_BUF struct buf quoted = { 0 };
	struct error *err = NULL;

	if (kind.len == 0) {
		buf_printf(&quoted, " '%.*s'", STR_ARG(body->text));
		err = unrecognized(body, error_new(ERR_BAD_REQUEST, "Object 'Kind' is missing in%s", buf_cstr(&quoted)), "");
	} else if (!str_eq(kind, kind_name(body->kind))) {
		finding_invalid_text(&findings, "kind", kind,
				     arena_printf(findings.arena, "must be %.*s", STR_ARG(kind_name(body->kind))));
		err = api_invalid(&findings,
				  str_format(findings.arena, "%.*s.%.*s", STR_ARG(kind), STR_ARG(kind_group(body->kind))), name);
		err = error_about(err, kind_group(body->kind), kind, name);
	} else if (!str_eq(api_version, kind_api_version(body->kind))) {
		err = error_new(ERR_BAD_REQUEST,
				"the API version in the data (%.*s) does not match the expected API version (%.*s)",
				STR_ARG(api_version), STR_ARG(kind_api_version(body->kind)));
	}
	arena_free(findings.arena);
	return err;
}

/* What the body says it is must be what the path asks for; what it leaves out the path supplies. */
static struct error *check_kind(struct arena *arena, const struct api_body *body, struct str api_version, struct str kind,
				const struct json *raw)
{
	const struct type *type = body->type != NULL ? body->type : kind_type(body->kind);
	struct str rest = api_version, group = { 0 };
	struct error *cause;

	if (body->kind != NULL && (body->kind->flags & KIND_CUSTOM) != 0)
		return check_custom_kind(body, api_version, kind, json_path_str(raw, "metadata.name"));
	if (api_version.len != 0 && str_find(api_version, '/') >= 0)
		str_cut(&rest, '/', &group);
	if (kind.len == 0)
		kind = body_kind(body);
	if (api_version.len == 0) {
		rest = type_version(type);
		group = type_group(type);
	}
	const struct type *said = type_find_named(group, rest, kind);
	if (said == type)
		return NULL;
	if (body->bare)
		return error_new(ERR_BAD_REQUEST,
				 "no kind \"%.*s\" is registered for version \"%s\" in scheme \"pkg/runtime/scheme.go:111\"",
				 STR_ARG(kind), api_version.len == 0 ? "meta.k8s.io/v1" : str_cstr(arena, api_version));
	if (str_find(rest, '/') >= 0)
		return unrecognized(body, error_new(ERR_BAD_REQUEST, "unexpected GroupVersion string: %.*s", STR_ARG(api_version)),
				    "");
	if (said == NULL)
		cause = error_new(ERR_BAD_REQUEST,
				  "no kind \"%.*s\" is registered for version \"%.*s\" in scheme "
				  "\"pkg/runtime/scheme.go:111\"",
				  STR_ARG(kind), STR_ARG(api_version));
	else if ((cause = raw == NULL ? NULL : api_normalize(arena, said, raw, NULL, &raw)) == NULL) /* it is decoded first */
		cause = error_new(ERR_BAD_REQUEST, "converting (%.*s.%.*s) to (%.*s.%.*s): unknown conversion", STR_ARG(rest),
				  STR_ARG(kind), STR_ARG(internal_package(body)), STR_ARG(body_kind(body)));
	return not_handled(body, rest, kind, cause);
}

static struct error *decode_proto(struct arena *arena, const struct api_body *body, const struct json **out)
{
	const struct type *type = body->type != NULL ? body->type : kind_type(body->kind);
	struct api_envelope envelope;
	struct error *err = api_read_envelope(body->text, &envelope);

	if (err != NULL)
		return unrecognized(body, err, "");
	err = check_kind(arena, body, envelope.api_version, envelope.kind, NULL);
	if (err != NULL)
		return err;
	err = api_read_proto(arena, type, envelope.raw, out);
	if (err != NULL)
		return not_handled(body, wanted_version(body), body_kind(body), err);
	if (envelope.kind.len != 0)
		*out = api_with_type(arena, *out, str_dup(arena, envelope.api_version), str_dup(arena, envelope.kind));
	return NULL;
}

/* ---- notes in the order of the text ---- */

struct note_places {
	const struct api_notes *notes;
	size_t members;           /* seen so far */
	size_t found[MANY_NOTES]; /* at which of them the note was due; 0: not yet */
	uint8_t times[MANY_NOTES];
};

static const char unknown_word[] = "unknown field ", duplicate_word[] = "duplicate field ";

static void member_passed(void *arg, struct str path)
{
	struct note_places *p = arg;
	AUTO_BUF struct buf quoted = { 0 };

	json_write_string(&quoted, path);
	p->members++;
	for (size_t i = 0; i < p->notes->len; i++) {
		struct str text = p->notes->text[i];
		bool duplicate = str_has_prefix(text, str_from(duplicate_word));
		struct str name = str_skip(text, duplicate ? sizeof(duplicate_word) - 1 : sizeof(unknown_word) - 1);
		if (p->found[i] == 0 && str_eq(name, buf_str(&quoted)) && ++p->times[i] == (duplicate ? 2 : 1))
			p->found[i] = p->members;
	}
}

/* The reader finds duplicate members, the walker unknown ones. Upstream does both in one pass. */
static void order_notes(struct arena *arena, struct str text, struct api_notes *notes)
{
	struct note_places p = { .notes = notes };
	struct json_options options = { .member = member_passed, .arg = &p };
	const struct json *ignored;
	bool unknown = false, duplicate = false;

	for (size_t i = 0; i < notes->len; i++) {
		unknown |= str_has_prefix(notes->text[i], str_from(unknown_word));
		duplicate |= str_has_prefix(notes->text[i], str_from(duplicate_word));
	}
	if (!unknown || !duplicate || text.len > ORDERED_NOTES)
		return;
	AUTO_ERROR err = json_read(arena, text, &options, &ignored);
	for (size_t i = 1; i < notes->len && err == NULL; i++) {
		for (size_t k = i; k > 0 && p.found[k] < p.found[k - 1]; k--) {
			struct str note = notes->text[k];
			size_t place = p.found[k];
			notes->text[k] = notes->text[k - 1];
			notes->text[k - 1] = note;
			p.found[k] = p.found[k - 1];
			p.found[k - 1] = place;
		}
	}
}

/* ---- as it comes back from upstream's storage ---- */

static const struct json *kept_value(struct arena *arena, const struct field *field, const struct json *value)
{
	const struct type *type = field_type(field);
	struct json_builder b = { .arena = arena };

	if (json_is(value, JSON_ARRAY) && value->len == 0)
		return &json_null;
	if (type->form != FORM_STRUCT || (type->flags & TYPE_HAS_LISTS) == 0 || field->shape == SHAPE_MAP_OF_LISTS)
		return value;
	if (field->shape == SHAPE_ONE)
		return api_as_kept(arena, type, value);
	JSON_EACH (value, it)
		json_builder_put(&b, &it, api_as_kept(arena, type, it.value));
	return json_builder_like(&b, value);
}

const struct json *api_as_kept(struct arena *arena, const struct type *type, const struct json *tree)
{
	const struct json *out = tree;

	/* Custom resources are kept as they came. */
	if ((type->flags & (TYPE_HAS_LISTS | TYPE_CUSTOM)) != TYPE_HAS_LISTS)
		return tree;
	JSON_EACH (tree, it) {
		const struct field *field = type_find(type, it.key);
		const struct json *kept = field == NULL ? it.value : kept_value(arena, field, it.value);

		if (kept != it.value)
			out = json_with_key(arena, out, it.key, kept);
	}
	return out;
}

struct error *api_decode(struct arena *arena, const struct api_body *body, struct api_notes *notes, const struct json **out)
{
	const struct type *type = body->type != NULL ? body->type : kind_type(body->kind);
	const struct json *raw;
	struct error *err;

	if (body->media == API_PROTOBUF) {
		err = decode_proto(arena, body, out);
	} else {
		err = read_text(arena, body, notes, &raw);
		if (err != NULL)
			return err;
		struct str kind = json_get_str(raw, "kind");
		err = check_kind(arena, body, json_get_str(raw, "apiVersion"), kind, raw);
		if (err != NULL)
			return err;
		err = api_normalize(arena, type, raw, notes, out);
		if (err != NULL)
			return not_handled(body, wanted_version(body), kind.len != 0 ? kind : body_kind(body), err);
		if (notes != NULL && body->media == API_JSON)
			order_notes(arena, body->text, notes);
	}
	if (err == NULL && body->kind != NULL)
		*out = api_with_kind(arena, *out, body->kind);
	return err;
}

struct error *api_strict_error(const struct api_body *body, const struct api_notes *notes)
{
	AUTO_BUF struct buf text = { 0 };

	buf_add(&text, STR("strict decoding error: "));
	for (size_t i = 0; i < notes->len; i++)
		buf_printf(&text, "%s%.*s", i == 0 ? "" : ", ", STR_ARG(notes->text[i]));
	return not_handled(body, wanted_version(body), body_kind(body), error_new(ERR_BAD_REQUEST, "%s", buf_cstr(&text)));
}

const struct json *api_without_kind(struct arena *arena, const struct json *tree)
{
	return json_with(arena, json_with(arena, tree, "kind", NULL), "apiVersion", NULL);
}

const struct json *api_with_type(struct arena *arena, const struct json *tree, struct str api_version, struct str kind)
{
	struct json_builder b = { .arena = arena };

	if (json_len(tree) >= 2 && str_is(tree->members[0].key, "kind") && str_eq(json_str(tree->members[0].value), kind) &&
	    str_is(tree->members[1].key, "apiVersion") && str_eq(json_str(tree->members[1].value), api_version))
		return tree;
	json_builder_member(&b, STR("kind"), json_string(arena, kind));
	json_builder_member(&b, STR("apiVersion"), json_string(arena, api_version));
	JSON_EACH (tree, it)
		if (!str_is(it.key, "kind") && !str_is(it.key, "apiVersion"))
			json_builder_member(&b, it.key, it.value);
	return json_builder_object(&b);
}

const struct json *api_with_kind(struct arena *arena, const struct json *tree, const struct kind *kind)
{
	return api_with_type(arena, tree, kind_api_version(kind), kind_name(kind));
}

/* ---- path copying in normal form ---- */

const struct json *walk_place(struct arena *arena, const struct type *type, const struct json *object, const struct field *field,
			      const struct json *value)
{
	struct json_builder b = { .arena = arena };
	const struct field *first = type_at(type, 0);
	bool placed = false;

	if (json_find(object, field_name(field)) != NULL || value == NULL)
		return json_with_key(arena, object, field_name(field), value);
	JSON_EACH (object, it) {
		const struct field *here = type_find(type, it.key);
		if (!placed && here != NULL && here - first > field - first) {
			json_builder_member(&b, field_name(field), value);
			placed = true;
		}
		json_builder_member(&b, it.key, it.value);
	}
	if (!placed)
		json_builder_member(&b, field_name(field), value);
	return json_builder_object(&b);
}

static const struct json *with_steps(struct arena *arena, const struct type *type, const struct json *tree, struct str rest,
				     const struct json *value);

/* Below a field that is a map or a list: the next step is a key or an index. */
static const struct json *with_element(struct arena *arena, const struct field *field, const struct json *container,
				       struct str rest, const struct json *value)
{
	struct str step;
	uint64_t index;

	if (!str_cut(&rest, '.', &step))
		return value;
	if (field->shape == SHAPE_LIST) {
		if (!str_to_u64(step, &index))
			return container;
		const struct json *old = json_at(container, (size_t)index);
		return json_with_item(arena, container, (size_t)index,
				      rest.len == 0 ? value : with_steps(arena, field_type(field), old, rest, value));
	}
	const struct json *item = rest.len == 0 ? value
						: with_steps(arena, field_type(field), json_find(container, step), rest, value);
	const struct json *map = json_with_key(arena, container, step, item);
	struct json_builder b = { .arena = arena };
	JSON_EACH (map, it)
		json_builder_member(&b, it.key, it.value);
	json_builder_sort(&b);
	return json_builder_object(&b);
}

static const struct json *with_steps(struct arena *arena, const struct type *type, const struct json *tree, struct str rest,
				     const struct json *value)
{
	struct str name;

	struct str path = rest;

	if (!str_cut(&rest, '.', &name))
		return value;
	const struct field *field = type_find(type, name);
	if (field == NULL && (type->flags & TYPE_PRESERVES) != 0)
		return json_with_path(arena, tree, str_cstr(arena, path), value);
	if (field == NULL)
		return tree;
	if (json_absent(tree))
		tree = walk_zero(arena, type);
	const struct json *old = json_find(tree, name), *new = value;
	if (rest.len != 0 && old == NULL && value == NULL)
		return tree;
	if (rest.len != 0)
		new = field->shape == SHAPE_ONE ? with_steps(arena, field_type(field), old, rest, value)
						: with_element(arena, field, old, rest, value);
	if (new == NULL)
		new = walk_zero_field(arena, field);
	else if (!walk_written(field, new))
		new = NULL;
	return walk_place(arena, type, tree, field, new);
}

const struct json *api_with(struct arena *arena, const struct type *type, const struct json *tree, const char *path,
			    const struct json *value)
{
	return with_steps(arena, type, tree, str_from(path), value);
}

struct error *api_check_type(struct arena *arena, const struct type *type, const struct json *raw)
{
	struct str version = json_get_str(raw, "apiVersion"), kind = json_get_str(raw, "kind"), rest = version, group = STR("");
	const struct type *said;
	struct str package = type_group(type), head = STR("core");
	static const char *const names[] = { "apiVersion", "kind" };

	for (int i = 0; i < 2; i++) {
		const struct json *value = json_find(raw, str_from(names[i]));

		if (value != NULL && value->type != JSON_STRING && value->type != JSON_NULL)
			return error_new(ERR_BAD_REQUEST,
					 "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go struct "
					 "field .%s of type string",
					 json_type_name(value), names[i]);
	}
	if (str_find(version, '/') >= 0)
		str_cut(&rest, '/', &group);
	said = type_find_named(group, rest, kind);
	if (said == type || version.len == 0 || kind.len == 0)
		return NULL;
	if (said == NULL)
		return error_new(ERR_BAD_REQUEST,
				 "no kind \"%.*s\" is registered for version \"%.*s\" in scheme \"pkg/runtime/scheme.go:111\"",
				 STR_ARG(kind), STR_ARG(version));
	struct error *err = api_normalize(arena, said, raw, NULL, &raw);
	if (err != NULL)
		return err;
	if (package.len != 0)
		str_cut(&package, '.', &head);
	return error_new(ERR_BAD_REQUEST, "converting (%.*s.%.*s) to (%.*s.%.*s): unknown conversion", STR_ARG(rest), STR_ARG(kind),
			 STR_ARG(head), STR_ARG(type_name(type)));
}
