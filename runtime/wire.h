/*
 * How structs travel: between server and node, and to disk. A table describes a struct; one encoder and one decoder walk
 * it. Pure.
 *
 * A struct is a sequence of fields: tag (u16), length (u32), that many bytes; little endian. Zero and NULL fields are not
 * written. Arrays repeat their tag. Unknown tags are skipped, so either side may be newer. The decoder takes anything
 * from outside: lengths are checked, text must not hold NUL, numbers must fit.
 *
 *	AUTO_BUF struct buf out = { 0 };
 *	wire_encode(&out, &wire_node_ref, &ref);
 *	err = wire_decode(arena, &wire_node_ref, buf_str(&out), &ref);
 */
#ifndef RUNTIME_WIRE_H
#define RUNTIME_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum wire_type {
	WIRE_BOOL,
	WIRE_U32,
	WIRE_I32,
	WIRE_U64,
	WIRE_I64,
	WIRE_TEXT,    /* const char * */
	WIRE_TEXTS,   /* const char **, NULL behind the last; and a size_t */
	WIRE_U32S,    /* uint32_t * and a size_t */
	WIRE_STRUCT,  /* embedded */
	WIRE_STRUCTS, /* struct * and a size_t */
};

struct wire_field {
	uint16_t tag;
	uint8_t type;
	uint16_t offset;
	uint16_t count; /* offset of the size_t of an array */
	const struct wire_struct *of;
};

struct wire_struct {
	const char *name;
	size_t size;
	const struct wire_field *fields;
	size_t n_fields;
	void (*init)(void *ptr); /* what is not zero by default; may be NULL */
};

void wire_encode(struct buf *out, const struct wire_struct *type, const void *ptr);
struct error *wire_decode(struct arena *arena, const struct wire_struct *type, struct str in, void *ptr) MUST_CHECK;

/* Deep copy onto an arena. */
void wire_copy(struct arena *arena, const struct wire_struct *type, const void *from, void *to);

#define WIRE_FIELD(tag, type, strct, member)                                                                                       \
	{                                                                                                                          \
		(tag), (type), (uint16_t)offsetof(strct, member), 0, NULL                                                          \
	}
#define WIRE_ARRAY(tag, type, strct, member, sub)                                                                                  \
	{                                                                                                                          \
		(tag), (type), (uint16_t)offsetof(strct, member), (uint16_t)offsetof(strct, n_##member), (sub)                     \
	}
#define WIRE_EMBED(tag, strct, member, sub)                                                                                        \
	{                                                                                                                          \
		(tag), WIRE_STRUCT, (uint16_t)offsetof(strct, member), 0, (sub)                                                    \
	}
#define WIRE_TABLE(id, strct, fields_, init_)                                                                                      \
	const struct wire_struct id = { #strct, sizeof(strct), fields_, sizeof(fields_) / sizeof((fields_)[0]), init_ }

/* The tables; each name is wire_ and the struct's. */
extern const struct wire_struct wire_runtime_spec, wire_runtime_limits;
#define NODE_OP(number, id, name, request, reply, fds) extern const struct wire_struct wire_##request, wire_##reply;
#include "runtime/node_ops.def"
#undef NODE_OP
extern const struct wire_struct wire_node_exec_exit, wire_node_error, wire_node_container_record, wire_node_sandbox_record;

/* --- frames: a header and a body; descriptors come with the first byte --- */

#define WIRE_HEADER  24
#define WIRE_MAX_FDS 4

enum wire_kind { WIRE_REQUEST = 1, WIRE_REPLY = 2, WIRE_ERROR = 3, WIRE_EVENT = 4 };

struct wire_frame {
	uint32_t length; /* of the body */
	uint16_t op;     /* enum node_op or node_event */
	uint8_t kind;    /* enum wire_kind */
	uint8_t n_fds;
	uint64_t id; /* of the request; 0 for events */
};

void wire_header_write(char out[WIRE_HEADER], const struct wire_frame *frame);
struct error *wire_header_read(const char in[WIRE_HEADER], struct wire_frame *frame) MUST_CHECK;

/* Body of a WIRE_ERROR. */
struct node_error {
	uint32_t kind; /* enum error_kind */
	int32_t code;
	uint32_t step; /* enum node_step */
	const char *text;
};

#endif
