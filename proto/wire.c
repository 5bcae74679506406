#include <string.h>

#include "proto/proto.h"

void proto_varint(struct buf *out, uint64_t value)
{
	char bytes[10];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (char)(value | 0x80);
	bytes[n++] = (char)value;
	buf_append(out, bytes, n);
}

void proto_tag(struct buf *out, uint32_t number, enum proto_wire wire)
{
	proto_varint(out, (uint64_t)number << 3 | wire);
}

void proto_uint(struct buf *out, uint32_t number, uint64_t value)
{
	proto_tag(out, number, PROTO_VARINT);
	proto_varint(out, value);
}

void proto_string(struct buf *out, uint32_t number, struct str text)
{
	proto_tag(out, number, PROTO_BYTES);
	proto_varint(out, text.len);
	buf_add(out, text);
}

void proto_fixed64(struct buf *out, uint32_t number, uint64_t value)
{
	char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (char)(value >> (8 * i));
	proto_tag(out, number, PROTO_FIXED64);
	buf_append(out, bytes, sizeof(bytes));
}

size_t proto_open(struct buf *out, uint32_t number)
{
	proto_tag(out, number, PROTO_BYTES);
	buf_putc(out, 0); /* room for a length below 128, by far the most common */
	return out->len;
}

void proto_close(struct buf *out, size_t mark)
{
	size_t len = out->len - mark, more = 0;

	for (size_t rest = len >> 7; rest != 0; rest >>= 7)
		more++;
	if (more != 0) {
		buf_reserve(out, more);
		memmove(out->ptr + mark + more, out->ptr + mark, len);
		out->len += more;
	}
	for (size_t i = 0; i <= more; i++)
		out->ptr[mark - 1 + i] = (char)((len >> (7 * i) & 0x7f) | (i < more ? 0x80 : 0));
}

static bool read_varint(struct str *rest, uint64_t *value, struct error **err)
{
	*value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (rest->len == 0) {
			*err = error_new(ERR_BAD_REQUEST, "unexpected EOF");
			return false;
		}
		unsigned char byte = (unsigned char)*rest->ptr;
		*rest = str_skip(*rest, 1);
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	*err = error_new(ERR_BAD_REQUEST, "proto: integer overflow");
	return false;
}

static bool read_fixed(struct proto_reader *r, size_t n, struct error **err)
{
	if (r->rest.len < n) {
		*err = error_new(ERR_BAD_REQUEST, "unexpected EOF");
		return false;
	}
	r->value = 0;
	for (size_t i = 0; i < n; i++)
		r->value |= (uint64_t)(unsigned char)r->rest.ptr[i] << (8 * i);
	r->rest = str_skip(r->rest, n);
	return true;
}

static bool read_value(struct proto_reader *r, struct error **err)
{
	uint64_t len;

	switch (r->wire) {
	case PROTO_VARINT:
		return read_varint(&r->rest, &r->value, err);
	case PROTO_FIXED64:
		return read_fixed(r, 8, err);
	case PROTO_FIXED32:
		return read_fixed(r, 4, err);
	case PROTO_BYTES:
		break;
	}
	if (!read_varint(&r->rest, &len, err))
		return false;
	if (len > r->rest.len) {
		*err = error_new(ERR_BAD_REQUEST, "unexpected EOF");
		return false;
	}
	r->bytes = str_head(r->rest, (size_t)len);
	r->rest = str_skip(r->rest, (size_t)len);
	return true;
}

bool proto_next(struct proto_reader *r, struct error **err)
{
	uint64_t tag;

	if (r->rest.len == 0 || !read_varint(&r->rest, &tag, err))
		return false;
	unsigned wire = (unsigned)(tag & 7);
	if (wire == 4) {
		*err = error_new(ERR_BAD_REQUEST, "proto: wiretype end group for non-group");
		return false;
	}
	if (wire != PROTO_VARINT && wire != PROTO_FIXED64 && wire != PROTO_BYTES && wire != PROTO_FIXED32) {
		*err = error_new(ERR_BAD_REQUEST, "proto: illegal wireType %u", wire);
		return false;
	}
	if (tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3) {
		*err = error_new(ERR_BAD_REQUEST, "proto: illegal tag %d (wire type %u)", (int)(tag >> 3), wire);
		return false;
	}
	r->number = (uint32_t)(tag >> 3);
	r->wire = (enum proto_wire)wire;
	return read_value(r, err);
}

void grpc_frame(struct buf *out, struct str message)
{
	char head[5] = { 0, (char)(message.len >> 24), (char)(message.len >> 16), (char)(message.len >> 8), (char)message.len };

	buf_append(out, head, sizeof(head));
	buf_add(out, message);
}

bool grpc_unframe(struct str *in, size_t most, struct str *message, struct error **err)
{
	const unsigned char *head = (const unsigned char *)in->ptr;

	if (in->len < 5)
		return false;
	if (head[0] != 0) {
		*err = error_new(ERR_UNSUPPORTED, "grpc: compressed message");
		return false;
	}
	size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
	if (len > most) {
		*err = error_new(ERR_TOO_LARGE, "grpc: message of %zu bytes, at most %zu are taken", len, most);
		return false;
	}
	if (in->len - 5 < len)
		return false;
	*message = str_head(str_skip(*in, 5), len);
	*in = str_skip(*in, len + 5);
	return true;
}
