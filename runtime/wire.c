#include "runtime/wire.h"

#include <endian.h>
#include <string.h>

#include "base/auto.h"
#include "base/limits.h"
#include "base/trace.h"

#define FIELD_HEADER 6
#define MAGIC        0x4b4d4e31u /* "1NMK" */

static void put(struct buf *out, uint16_t tag, const void *ptr, size_t len)
{
	uint16_t tag_le = htole16(tag);
	uint32_t len_le = htole32((uint32_t)len);

	buf_append(out, &tag_le, sizeof(tag_le));
	buf_append(out, &len_le, sizeof(len_le));
	buf_append(out, ptr, len);
}

static void put_number(struct buf *out, uint16_t tag, uint64_t value)
{
	uint64_t le = htole64(value);

	if (value != 0)
		put(out, tag, &le, sizeof(le));
}

static void put_struct(struct buf *out, const struct wire_field *field, const void *ptr, bool even_if_empty)
{
	size_t start = out->len;
	uint32_t len;

	put(out, field->tag, NULL, 0);
	wire_encode(out, field->of, ptr);
	if (out->len == start + FIELD_HEADER && !even_if_empty) {
		out->len = start;
		return;
	}
	len = htole32((uint32_t)(out->len - start - FIELD_HEADER));
	memcpy(out->ptr + start + sizeof(uint16_t), &len, sizeof(len));
}

void wire_encode(struct buf *out, const struct wire_struct *type, const void *ptr)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct wire_field *f = &type->fields[i];
		const char *at = (const char *)ptr + f->offset;
		const size_t *count = (const size_t *)(const void *)((const char *)ptr + f->count);
		const void *const *array = (const void *const *)(const void *)at;

		switch ((enum wire_type)f->type) {
		case WIRE_BOOL:
			put_number(out, f->tag, *(const bool *)at);
			break;
		case WIRE_U32:
			put_number(out, f->tag, *(const uint32_t *)(const void *)at);
			break;
		case WIRE_I32:
			put_number(out, f->tag, (uint64_t)(int64_t) * (const int32_t *)(const void *)at);
			break;
		case WIRE_U64:
		case WIRE_I64:
			put_number(out, f->tag, *(const uint64_t *)(const void *)at);
			break;
		case WIRE_TEXT:
			if (*array != NULL)
				put(out, f->tag, *array, strlen(*array));
			break;
		case WIRE_TEXTS:
			for (size_t k = 0; k < *count; k++)
				put(out, f->tag, ((const char *const *)*array)[k], strlen(((const char *const *)*array)[k]));
			break;
		case WIRE_U32S:
			for (size_t k = 0; k < *count; k++) {
				uint32_t le = htole32(((const uint32_t *)*array)[k]);

				put(out, f->tag, &le, sizeof(le));
			}
			break;
		case WIRE_STRUCT:
			put_struct(out, f, at, false);
			break;
		case WIRE_STRUCTS:
			for (size_t k = 0; k < *count; k++)
				put_struct(out, f, (const char *)*array + k * f->of->size, true);
			break;
		}
	}
}

/* Takes one field off the front of *in. */
static struct error *next_field(struct str *in, uint16_t *tag, struct str *value)
{
	uint32_t len;

	if (in->len < FIELD_HEADER)
		return error_new(ERR_BAD_REQUEST, "message ends inside a field");
	memcpy(tag, in->ptr, sizeof(*tag));
	memcpy(&len, in->ptr + sizeof(*tag), sizeof(len));
	*tag = le16toh(*tag);
	len = le32toh(len);
	*in = str_skip(*in, FIELD_HEADER);
	if (len > in->len)
		return error_new(ERR_BAD_REQUEST, "field %u is longer than its message", *tag);
	*value = str_head(*in, len);
	*in = str_skip(*in, len);
	return NULL;
}

static const struct wire_field *field_find(const struct wire_struct *type, uint16_t tag)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		if (type->fields[i].tag == tag)
			return &type->fields[i];
	}
	return NULL;
}

static struct error *take_number(const struct wire_struct *type, const struct wire_field *f, struct str value, char *at)
{
	uint64_t n;

	if (value.len != sizeof(n))
		return error_new(ERR_BAD_REQUEST, "%s: field %u is no number", type->name, f->tag);
	memcpy(&n, value.ptr, sizeof(n));
	n = le64toh(n);
	if ((f->type == WIRE_U32 && n > UINT32_MAX) || (f->type == WIRE_BOOL && n > 1) ||
	    (f->type == WIRE_I32 && (int64_t)n != (int32_t)(int64_t)n))
		return error_new(ERR_BAD_REQUEST, "%s: field %u is out of range", type->name, f->tag);
	if (f->type == WIRE_BOOL)
		*(bool *)at = n != 0;
	else if (f->type == WIRE_U32 || f->type == WIRE_I32)
		*(uint32_t *)(void *)at = (uint32_t)n;
	else
		*(uint64_t *)(void *)at = n;
	return NULL;
}

static struct error *take_text(struct arena *arena, const struct wire_struct *type, const struct wire_field *f, struct str value,
			       const char **out)
{
	if (value.len != 0 && memchr(value.ptr, '\0', value.len) != NULL)
		return error_new(ERR_BAD_REQUEST, "%s: field %u holds a NUL", type->name, f->tag);
	*out = arena_copy(arena, value.ptr, value.len);
	return NULL;
}

/* Sizes of the items of array fields, for the first pass. */
static size_t item_size(const struct wire_field *f)
{
	switch ((enum wire_type)f->type) {
	case WIRE_TEXTS:
		return sizeof(char *);
	case WIRE_U32S:
		return sizeof(uint32_t);
	case WIRE_STRUCTS:
		return f->of->size;
	case WIRE_BOOL:
	case WIRE_U32:
	case WIRE_I32:
	case WIRE_U64:
	case WIRE_I64:
	case WIRE_TEXT:
	case WIRE_STRUCT:
		return 0;
	}
	return 0;
}

/* First pass: how many items each array has; makes room for them. */
static struct error *make_room(struct arena *arena, const struct wire_struct *type, struct str in, char *ptr)
{
	while (in.len != 0) {
		struct str value;
		uint16_t tag;
		const struct wire_field *f;
		struct error *err = next_field(&in, &tag, &value);

		if (err != NULL)
			return err;
		f = field_find(type, tag);
		if (f != NULL && item_size(f) != 0)
			(*(size_t *)(void *)(ptr + f->count))++;
	}
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct wire_field *f = &type->fields[i];
		size_t size = item_size(f), *count = (size_t *)(void *)(ptr + f->count);

		if (size == 0 || *count == 0)
			continue;
		*(void **)(void *)(ptr + f->offset) = arena_alloc(arena, size * (*count + 1));
		*count = 0;
	}
	return NULL;
}

static struct error *take_item(struct arena *arena, const struct wire_struct *type, const struct wire_field *f, struct str value,
			       char *ptr)
{
	size_t *count = (size_t *)(void *)(ptr + f->count), k = (*count)++;
	char *items = *(char **)(void *)(ptr + f->offset);

	if (f->type == WIRE_TEXTS)
		return take_text(arena, type, f, value, &((const char **)(void *)items)[k]);
	if (f->type == WIRE_STRUCTS)
		return wire_decode(arena, f->of, value, items + k * f->of->size);
	if (value.len != sizeof(uint32_t))
		return error_new(ERR_BAD_REQUEST, "%s: field %u is no number", type->name, f->tag);
	memcpy(items + k * sizeof(uint32_t), value.ptr, sizeof(uint32_t));
	((uint32_t *)(void *)items)[k] = le32toh(((uint32_t *)(void *)items)[k]);
	return NULL;
}

struct error *wire_decode(struct arena *arena, const struct wire_struct *type, struct str in, void *ptr)
{
	struct error *err;

	memset(ptr, 0, type->size);
	if (type->init != NULL)
		type->init(ptr);
	err = make_room(arena, type, in, ptr);
	while (err == NULL && in.len != 0) {
		struct str value;
		uint16_t tag;
		const struct wire_field *f;
		char *at;

		err = next_field(&in, &tag, &value);
		f = err == NULL ? field_find(type, tag) : NULL;
		if (f == NULL)
			continue;
		at = (char *)ptr + f->offset;
		switch ((enum wire_type)f->type) {
		case WIRE_BOOL:
		case WIRE_U32:
		case WIRE_I32:
		case WIRE_U64:
		case WIRE_I64:
			err = take_number(type, f, value, at);
			break;
		case WIRE_TEXT:
			err = take_text(arena, type, f, value, (const char **)(void *)at);
			break;
		case WIRE_STRUCT:
			err = wire_decode(arena, f->of, value, at);
			break;
		case WIRE_TEXTS:
		case WIRE_U32S:
		case WIRE_STRUCTS:
			err = take_item(arena, type, f, value, ptr);
			break;
		}
	}
	return err;
}

void wire_copy(struct arena *arena, const struct wire_struct *type, const void *from, void *to)
{
	AUTO_BUF struct buf out = { 0 };
	struct error *err;

	wire_encode(&out, type, from);
	err = wire_decode(arena, type, buf_str(&out), to);
	ASSERT(err == NULL);
}

void wire_header_write(char out[WIRE_HEADER], const struct wire_frame *frame)
{
	uint32_t magic = htole32(MAGIC), length = htole32(frame->length);
	uint16_t op = htole16(frame->op);
	uint64_t id = htole64(frame->id);

	memset(out, 0, WIRE_HEADER);
	memcpy(out, &magic, 4);
	memcpy(out + 4, &length, 4);
	memcpy(out + 8, &op, 2);
	out[10] = (char)frame->kind;
	out[11] = (char)frame->n_fds;
	memcpy(out + 16, &id, 8);
}

struct error *wire_header_read(const char in[WIRE_HEADER], struct wire_frame *frame)
{
	uint32_t magic;

	memcpy(&magic, in, 4);
	memcpy(&frame->length, in + 4, 4);
	memcpy(&frame->op, in + 8, 2);
	memcpy(&frame->id, in + 16, 8);
	frame->length = le32toh(frame->length);
	frame->op = le16toh(frame->op);
	frame->id = le64toh(frame->id);
	frame->kind = (uint8_t)in[10];
	frame->n_fds = (uint8_t)in[11];
	if (le32toh(magic) != MAGIC)
		return error_new(ERR_BAD_REQUEST, "not the node protocol");
	if (frame->length > LIMIT_NODE_MESSAGE)
		return error_new(ERR_TOO_LARGE, "message of %u bytes; at most %d", frame->length, LIMIT_NODE_MESSAGE);
	if (frame->n_fds > WIRE_MAX_FDS || frame->kind < WIRE_REQUEST || frame->kind > WIRE_EVENT)
		return error_new(ERR_BAD_REQUEST, "damaged message");
	return NULL;
}
