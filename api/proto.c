/*
 * Protobuf by table, both ways.
 *
 * What gogo's generated code does: fields in the order of their numbers; scalars and structs by value are written even
 * when zero, pointers only when set; map entries in the order of their keys; repeated numbers are not packed. An inlined
 * Go struct is a message of its own, always there. Reading gives the normal form, unknown fields are dropped.
 */
#include <string.h>

#include "api/api.h"
#include "api/quantity.h"
#include "api/walk.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "proto/proto.h"

static const char magic[] = "k8s"; /* and its NUL */

/* ---- writing ---- */

static void write_struct(struct buf *out, const struct type *type, const struct json *tree);

static void write_time(struct buf *out, const struct json *value, bool micro)
{
	int64_t seconds, rest;

	if (!walk_time_read(json_str(value), &seconds, &rest))
		return;
	proto_uint(out, 1, (uint64_t)seconds);
	proto_uint(out, 2, micro ? (uint64_t)(rest / 1000 * 1000) : 0);
}

static void write_int_or_string(struct buf *out, const struct json *value)
{
	bool text = json_is(value, JSON_STRING);

	proto_uint(out, 1, text);
	proto_uint(out, 2, (uint64_t)json_int(value, 0));
	proto_string(out, 3, json_str(value));
}

static void write_raw(struct buf *out, const struct json *value)
{
	AUTO_BUF struct buf text = { 0 };

	if (json_absent(value))
		return;
	json_write(&text, value);
	proto_string(out, 1, buf_str(&text));
}

static void write_schema_union(struct buf *out, const struct type *type, const struct json *value)
{
	const struct type *schema = type_find_full(type_package(type), STR("JSONSchemaProps"));
	bool or_bool = type->form == FORM_SCHEMA_OR_BOOL;

	if (or_bool)
		proto_uint(out, 1, json_is(value, JSON_OBJECT) || json_bool(value));
	if (json_is(value, JSON_OBJECT)) {
		size_t mark = proto_open(out, or_bool ? 2 : 1);
		write_struct(out, schema, value);
		proto_close(out, mark);
	}
	JSON_EACH (json_is(value, JSON_ARRAY) ? value : NULL, it) {
		if (type->form == FORM_SCHEMA_OR_STRINGS) {
			proto_string(out, 2, json_str(it.value));
			continue;
		}
		size_t mark = proto_open(out, 2);
		write_struct(out, schema, it.value);
		proto_close(out, mark);
	}
}

/* What is inside a message field. */
static void write_content(struct buf *out, const struct type *type, const struct json *value)
{
	switch ((enum type_form)type->form) {
	case FORM_STRUCT:
		write_struct(out, type, value);
		return;
	case FORM_TIME:
	case FORM_MICRO_TIME:
		write_time(out, value, type->form == FORM_MICRO_TIME);
		return;
	case FORM_QUANTITY:
		proto_string(out, 1, json_is(value, JSON_STRING) ? value->text : STR("0"));
		return;
	case FORM_INT_OR_STRING:
		write_int_or_string(out, value);
		return;
	case FORM_RAW:
	case FORM_FIELDS:
	case FORM_JSON:
		write_raw(out, value);
		return;
	case FORM_SCHEMA_OR_BOOL:
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
		write_schema_union(out, type, value);
		return;
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
}

static void write_double(struct buf *out, uint32_t number, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	proto_fixed64(out, number, bits);
}

/* One value as a field; zero values included. */
static void write_value(struct buf *out, uint32_t number, const struct type *type, const struct json *value)
{
	AUTO_BUF struct buf bytes = { 0 };
	size_t mark;

	switch ((enum type_form)type->form) {
	case FORM_STRING:
		proto_string(out, number, json_str(value));
		return;
	case FORM_BOOL:
		proto_uint(out, number, json_bool(value));
		return;
	case FORM_INT32:
	case FORM_INT64:
		proto_uint(out, number, (uint64_t)json_int(value, 0));
		return;
	case FORM_DOUBLE:
		write_double(out, number, json_double(value, 0));
		return;
	case FORM_BYTES:
		base64_decode(&bytes, json_str(value));
		proto_string(out, number, buf_str(&bytes));
		return;
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
	mark = proto_open(out, number);
	write_content(out, type, value);
	proto_close(out, mark);
}

static void write_list(struct buf *out, uint32_t number, const struct field *field, const struct json *value)
{
	JSON_EACH (value, it)
		write_value(out, number, field_type(field), it.value);
}

static void write_map(struct buf *out, const struct field *field, const struct json *value)
{
	JSON_EACH (value, it) {
		size_t mark = proto_open(out, field->number), inner;
		proto_string(out, 1, it.key);
		if (field->shape == SHAPE_MAP_OF_LISTS) {
			inner = proto_open(out, 2);
			write_list(out, 1, field, it.value);
			proto_close(out, inner);
		} else if (field_type(field)->form != FORM_BYTES || it.value->type != JSON_NULL) {
			write_value(out, 2, field_type(field), it.value);
		}
		proto_close(out, mark);
	}
}

static void write_field(struct buf *out, const struct field *field, const struct json *value)
{
	size_t mark;

	if (field->shape == SHAPE_LIST && (field->flags & FIELD_WRAPPED) != 0) {
		if (json_absent(value))
			return;
		mark = proto_open(out, field->number);
		write_list(out, 1, field, value);
		proto_close(out, mark);
		return;
	}
	switch ((enum field_shape)field->shape) {
	case SHAPE_LIST:
		write_list(out, field->number, field, value);
		return;
	case SHAPE_MAP:
	case SHAPE_MAP_OF_LISTS:
		write_map(out, field, value);
		return;
	case SHAPE_ONE:
		break;
	}
	if (json_absent(value) && ((field->flags & FIELD_POINTER) != 0 || field_type(field)->form == FORM_BYTES))
		return;
	write_value(out, field->number, field_type(field), value);
}

/* Fields of one message level, in the order of their numbers; inlined structs are opened where their number comes. */
static void write_level(struct buf *out, const struct type *type, const struct json *tree, int level, uint32_t within)
{
	uint32_t last = 0;

	for (;;) {
		const struct field *next = NULL;
		uint32_t least = UINT32_MAX;
		for (size_t i = 0; i < type_len(type); i++) {
			const struct field *field = type_at(type, i);
			uint32_t number;
			if (level > 0 && field->inlined[level - 1] != within)
				continue;
			number = level < FIELD_INLINE && field->inlined[level] != 0 ? field->inlined[level] : field->number;
			if (number > last && number < least) {
				least = number;
				next = field;
			}
		}
		if (next == NULL)
			return;
		last = least;
		if (level < FIELD_INLINE && next->inlined[level] != 0) {
			size_t mark = proto_open(out, least);
			write_level(out, type, tree, level + 1, least);
			proto_close(out, mark);
		} else {
			write_field(out, next, json_find(tree, field_name(next)));
		}
	}
}

static void write_struct(struct buf *out, const struct type *type, const struct json *tree)
{
	write_level(out, type, tree, 0, 0);
}

void api_write_proto_message(struct buf *out, const struct type *type, const struct json *tree)
{
	write_struct(out, type, tree);
}

static void open_envelope(struct buf *out, struct str api_version, struct str kind)
{
	buf_append(out, magic, sizeof(magic));
	size_t mark = proto_open(out, 1);
	proto_string(out, 1, api_version);
	proto_string(out, 2, kind);
	proto_close(out, mark);
}

static void close_envelope(struct buf *out)
{
	proto_string(out, 3, STR("")); /* encoding */
	proto_string(out, 4, STR("")); /* content type */
}

void api_write_envelope(struct buf *out, struct str api_version, struct str kind, struct str raw)
{
	open_envelope(out, api_version, kind);
	proto_string(out, 2, raw);
	close_envelope(out);
}

void api_write_proto(struct buf *out, const struct type *type, const struct json *tree)
{
	open_envelope(out, json_get_str(tree, "apiVersion"), json_get_str(tree, "kind"));
	size_t mark = proto_open(out, 2);
	write_struct(out, type, tree);
	proto_close(out, mark);
	close_envelope(out);
}

/* ---- reading ---- */

struct reading {
	struct arena *arena;
	size_t structs;
};

static struct error *read_struct(struct reading *in, const struct type *type, struct str message,
				 const struct json **out) MUST_CHECK;

static struct error *wrong_wire(const struct proto_reader *r, struct str name)
{
	return error_new(ERR_BAD_REQUEST, "proto: wrong wireType = %d for field %.*s", r->wire, STR_ARG(name));
}

static const struct json *read_time(struct arena *arena, int64_t seconds, int64_t nanos, bool micro)
{
	struct str text;

	if (!walk_time_write(arena, seconds, nanos, micro, &text) || str_is(text, "0001-01-01T00:00:00Z"))
		return &json_null;
	return json_string(arena, text);
}

/* The leaves that are messages: at most three numbered members each. */
static struct error *read_leaf_message(struct reading *in, const struct type *type, struct str message, const struct json **out)
{
	struct proto_reader r = { .rest = message };
	struct json_builder list = { .arena = in->arena };
	const struct json *schema = NULL;
	uint64_t numbers[4] = { 0 };
	struct str texts[4] = { { 0 } };
	bool any = false;
	struct error *err = NULL;
	const struct type *props = type_find_full(type_package(type), STR("JSONSchemaProps"));

	while (proto_next(&r, &err)) {
		if (r.number > 3)
			continue;
		any = true;
		numbers[r.number] = r.value;
		texts[r.number] = r.bytes;
		if (r.wire != PROTO_BYTES || props == NULL)
			continue;
		const struct json *item = NULL;
		if (type->form == FORM_SCHEMA_OR_STRINGS && r.number == 2)
			item = json_string_copy(in->arena, r.bytes);
		else if (type->form == FORM_SCHEMA_OR_BOOL || type->form == FORM_SCHEMA_OR_ARRAY ||
			 type->form == FORM_SCHEMA_OR_STRINGS)
			err = read_struct(in, props, r.bytes, &item);
		if (err != NULL)
			return err;
		if (type->form == FORM_SCHEMA_OR_BOOL || r.number == 1)
			schema = item;
		else
			json_builder_item(&list, item);
	}
	if (err != NULL)
		return err;
	switch ((enum type_form)type->form) {
	case FORM_TIME:
	case FORM_MICRO_TIME:
		*out = any ? read_time(in->arena, (int64_t)numbers[1], (int64_t)numbers[2], type->form == FORM_MICRO_TIME)
			   : &json_null;
		return NULL;
	case FORM_QUANTITY:
		return api_normalize(in->arena, type, json_string_copy(in->arena, texts[1].len != 0 ? texts[1] : STR("0")), NULL,
				     out);
	case FORM_INT_OR_STRING:
		*out = numbers[1] == 0 ? json_number(in->arena, (int32_t)numbers[2]) : json_string_copy(in->arena, texts[3]);
		return NULL;
	case FORM_RAW:
	case FORM_FIELDS:
	case FORM_JSON:
		*out = &json_null;
		return texts[1].len == 0 ? NULL : json_read(in->arena, texts[1], NULL, out);
	case FORM_SCHEMA_OR_BOOL:
		*out = schema != NULL ? schema : json_boolean(numbers[1] != 0);
		return NULL;
	case FORM_SCHEMA_OR_ARRAY:
	case FORM_SCHEMA_OR_STRINGS:
		*out = schema != NULL ? schema : json_builder_array(&list);
		return NULL;
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
	return NULL;
}

static struct error *read_value(struct reading *in, const struct field *field, const struct proto_reader *r,
				const struct json **out)
{
	const struct type *type = field_type(field);
	AUTO_BUF struct buf text = { 0 };
	double real;

	switch ((enum type_form)type->form) {
	case FORM_STRING:
		if (r->wire != PROTO_BYTES)
			break;
		*out = json_string_copy(in->arena, r->bytes);
		return NULL;
	case FORM_BYTES:
		if (r->wire != PROTO_BYTES)
			break;
		base64_encode(&text, r->bytes);
		*out = json_string_copy(in->arena, buf_str(&text));
		return NULL;
	case FORM_BOOL:
		if (r->wire != PROTO_VARINT)
			break;
		*out = json_boolean(r->value != 0);
		return NULL;
	case FORM_INT32:
		if (r->wire != PROTO_VARINT)
			break;
		*out = json_number(in->arena, (int32_t)r->value);
		return NULL;
	case FORM_INT64:
		if (r->wire != PROTO_VARINT)
			break;
		*out = json_number(in->arena, (int64_t)r->value);
		return NULL;
	case FORM_DOUBLE:
		if (r->wire != PROTO_FIXED64)
			break;
		memcpy(&real, &r->value, sizeof(real));
		*out = json_real(in->arena, real);
		return NULL;
	case FORM_STRUCT:
		if (r->wire != PROTO_BYTES)
			break;
		in->structs += field->shape != SHAPE_ONE; /* others are written even when nobody said anything */
		if (in->structs > LIMIT_STRUCTS)
			return api_too_many_structs();
		return read_struct(in, type, r->bytes, out);
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
		if (r->wire != PROTO_BYTES)
			break;
		return read_leaf_message(in, type, r->bytes, out);
	case FORM_NESTED:
	case FORM_COUNT:
		break;
	}
	return wrong_wire(r, field_name(field));
}

/* A slot while its message is read: one value, or the items and members so far. */
struct slot {
	const struct json *value;
	struct json_builder many;
	bool set;
};

static struct error *read_wrapped_list(struct reading *in, const struct field *field, struct str message, const struct json **out)
{
	struct proto_reader r = { .rest = message };
	struct json_builder items = { .arena = in->arena };
	struct error *err = NULL;

	while (err == NULL && proto_next(&r, &err)) {
		const struct json *item = NULL;
		if (r.number == 1)
			err = read_value(in, field, &r, &item);
		json_builder_item(&items, item);
	}
	*out = json_builder_array(&items);
	return err;
}

static struct error *read_entry(struct reading *in, const struct field *field, struct slot *slot, struct str message)
{
	struct proto_reader r = { .rest = message };
	struct str key = { 0 };
	const struct json *value = field_type(field)->form == FORM_BYTES ? &json_null : walk_zero(in->arena, field_type(field));
	struct error *err = NULL;

	if (field->shape == SHAPE_MAP_OF_LISTS)
		value = &json_null;
	while (err == NULL && proto_next(&r, &err)) {
		if (r.number == 1 && r.wire == PROTO_BYTES)
			key = str_dup(in->arena, r.bytes);
		else if (r.number == 2 && field->shape == SHAPE_MAP_OF_LISTS)
			err = read_wrapped_list(in, field, r.bytes, &value);
		else if (r.number == 2)
			err = read_value(in, field, &r, &value);
	}
	if (err == NULL)
		json_builder_member(&slot->many, key, value);
	return err;
}

static struct error *read_field(struct reading *in, const struct field *field, struct slot *slot, const struct proto_reader *r)
{
	const struct json *item = NULL;
	struct error *err;

	slot->set = true;
	slot->many.arena = in->arena;
	if (field->shape == SHAPE_ONE)
		return read_value(in, field, r, &slot->value);
	if (field->shape == SHAPE_LIST && (field->flags & FIELD_WRAPPED) == 0) {
		err = read_value(in, field, r, &item);
		json_builder_item(&slot->many, item);
		return err;
	}
	if (r->wire != PROTO_BYTES)
		return wrong_wire(r, field_name(field));
	if (field->shape == SHAPE_LIST)
		return read_wrapped_list(in, field, r->bytes, &slot->value);
	return read_entry(in, field, slot, r->bytes);
}

static struct error *read_level(struct reading *in, const struct type *type, struct slot *slots, struct str message,
				const uint32_t *within, int level)
{
	struct proto_reader r = { .rest = message };
	struct error *err = NULL;
	uint32_t deeper[FIELD_INLINE] = { 0 };

	memcpy(deeper, within, sizeof(deeper));
	while (err == NULL && proto_next(&r, &err)) {
		for (size_t i = 0; i < type_len(type) && err == NULL; i++) {
			const struct field *field = type_at(type, i);
			if (memcmp(field->inlined, within, (size_t)level * sizeof(*within)) != 0)
				continue;
			if (level < FIELD_INLINE && field->inlined[level] != 0) {
				if (field->inlined[level] != r.number || r.wire != PROTO_BYTES)
					continue;
				deeper[level] = r.number;
				err = read_level(in, type, slots, r.bytes, deeper, level + 1);
				break;
			}
			if (field->number != r.number)
				continue;
			err = read_field(in, field, &slots[i], &r);
			break;
		}
	}
	return err;
}

static const struct json *slot_value(const struct field *field, struct slot *slot)
{
	if (slot->value != NULL || !slot->set)
		return slot->value;
	if (field->shape == SHAPE_LIST)
		return json_builder_array(&slot->many);
	json_builder_sort(&slot->many);
	return json_builder_object(&slot->many);
}

static struct error *read_struct(struct reading *in, const struct type *type, struct str message, const struct json **out)
{
	static const uint32_t top[FIELD_INLINE];
	AUTO_FREE struct slot *slots = xcalloc(type_len(type) + 1, sizeof(*slots));
	struct json_builder b = { .arena = in->arena };
	struct error *err = read_level(in, type, slots, message, top, 0);

	if (err != NULL)
		return err;
	for (size_t i = 0; i < type_len(type); i++) {
		const struct field *field = type_at(type, i);
		const struct json *value = slot_value(field, &slots[i]);
		if (value == NULL)
			value = walk_zero_field(in->arena, field);
		else if (!walk_written(field, value))
			value = NULL;
		json_builder_member(&b, field_name(field), value);
	}
	*out = json_builder_object(&b);
	return NULL;
}

struct error *api_read_proto(struct arena *arena, const struct type *type, struct str message, const struct json **out)
{
	struct reading in = { .arena = arena };

	return read_struct(&in, type, message, out);
}

struct error *api_read_envelope(struct str text, struct api_envelope *out)
{
	struct proto_reader r = { .rest = str_skip(text, sizeof(magic)) };
	struct error *err = NULL;

	*out = (struct api_envelope){ 0 };
	if (!str_has_prefix(text, str_of(magic, sizeof(magic))))
		return error_new(ERR_BAD_REQUEST, "provided data does not appear to be a protobuf message, expected prefix "
						  "[107 56 115 0]");
	while (proto_next(&r, &err)) {
		if (r.wire != PROTO_BYTES)
			continue;
		if (r.number == 2)
			out->raw = r.bytes;
		else if (r.number == 4)
			out->content_type = r.bytes;
		if (r.number != 1)
			continue;
		struct proto_reader meta = { .rest = r.bytes };
		while (proto_next(&meta, &err)) {
			if (meta.number == 1 && meta.wire == PROTO_BYTES)
				out->api_version = meta.bytes;
			else if (meta.number == 2 && meta.wire == PROTO_BYTES)
				out->kind = meta.bytes;
		}
		if (err != NULL)
			return err;
	}
	return err;
}
