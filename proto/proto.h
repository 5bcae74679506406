/*
 * Protobuf's wire format, and gRPC's framing of it. Knows bytes and numbers only: which field means what is in the
 * tables of api. Pure; what a reader gives is borrowed from the message.
 *
 *	size_t mark = proto_open(&out, 2);                       // a message as field 2
 *	proto_string(&out, 1, STR("web"));
 *	proto_close(&out, mark);
 *
 *	struct proto_reader r = { .rest = message };
 *	while (proto_next(&r, &err))                             // err stays NULL at a proper end
 *		if (r.number == 1 && r.wire == PROTO_BYTES)
 *			use(r.bytes);
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include "base/buf.h"
#include "base/error.h"

enum proto_wire { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_BYTES = 2, PROTO_FIXED32 = 5 };

/* ---- writing ---- */

void proto_varint(struct buf *out, uint64_t value);
void proto_tag(struct buf *out, uint32_t number, enum proto_wire wire);
void proto_uint(struct buf *out, uint32_t number, uint64_t value); /* also for bool, and int64 by its two's complement */
void proto_string(struct buf *out, uint32_t number, struct str text);
void proto_fixed64(struct buf *out, uint32_t number, uint64_t value);
/* What is written between open and close becomes a message; they nest. */
size_t proto_open(struct buf *out, uint32_t number);
void proto_close(struct buf *out, size_t mark);

/* ---- reading ---- */

struct proto_reader {
	struct str rest;
	uint32_t number;
	enum proto_wire wire;
	uint64_t value;   /* of a varint or fixed field */
	struct str bytes; /* of PROTO_BYTES; borrowed from the message */
};

/* The next field. False at the end, or with *err (ERR_BAD_REQUEST, in the words of gogo's decoder) on broken input. *err
 * must be NULL before. Groups are refused. */
bool proto_next(struct proto_reader *r, struct error **err);

/* ---- gRPC ---- */

/* A message with its 5 bytes of prefix, never compressed. */
void grpc_frame(struct buf *out, struct str message);
/* The first whole message of in, which moves on. False when more bytes are needed; *err when it cannot be read. */
bool grpc_unframe(struct str *in, size_t most, struct str *message, struct error **err);

#endif
