#include "base/codec.h"
#include "proto/proto.h"
#include "tests/unit/tap.h"

static struct str hex(struct buf *room, struct str bytes)
{
	buf_clear(room);
	hex_encode(room, bytes);
	return buf_str(room);
}

/* The example of protobuf's own documentation: field 1 is 150; then a message in field 3 holding it. */
TEST(proto_writes)
{
	AUTO_BUF struct buf out = { 0 }, room = { 0 };

	proto_uint(&out, 1, 150);
	CHECK_STR(hex(&room, buf_str(&out)), "089601");
	buf_clear(&out);
	size_t mark = proto_open(&out, 3);
	proto_uint(&out, 1, 150);
	proto_close(&out, mark);
	proto_string(&out, 2, STR("testing"));
	CHECK_STR(hex(&room, buf_str(&out)), "1a03089601120774657374696e67");
}

TEST(proto_lengths_of_any_size)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 16383, 16384, 100000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		AUTO_BUF struct buf out = { 0 };
		struct error *err = NULL;
		size_t outer = proto_open(&out, 5), inner = proto_open(&out, 1);
		for (size_t k = 0; k < sizes[i]; k++)
			buf_putc(&out, (char)k);
		proto_close(&out, inner);
		proto_fixed64(&out, 2, 0x0102030405060708);
		proto_close(&out, outer);
		struct proto_reader r = { .rest = buf_str(&out) };
		CHECK(proto_next(&r, &err));
		CHECK_EQ(r.rest.len, 0);
		r.rest = r.bytes;
		CHECK(proto_next(&r, &err));
		CHECK_EQ(r.number, 1);
		CHECK_EQ(r.bytes.len, sizes[i]);
		CHECK(proto_next(&r, &err));
		CHECK_EQ(r.wire, PROTO_FIXED64);
		CHECK(r.value == 0x0102030405060708);
		CHECK(!proto_next(&r, &err));
		CHECK(err == NULL);
	}
}

TEST(proto_refuses_broken_input)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *want;
	} trials[] = {
		{ "\x08", 1, "unexpected EOF" },
		{ "\x08\x80", 2, "unexpected EOF" },
		{ "\x12\x05"
		  "ab",
		  4, "unexpected EOF" },
		{ "\x09\x01", 2, "unexpected EOF" },
		{ "g", 1, "proto: illegal wireType 7" },
		{ "\x0b", 1, "proto: illegal wireType 3" },
		{ "\x0c", 1, "proto: wiretype end group for non-group" },
		{ "\x00\x00", 2, "proto: illegal tag 0 (wire type 0)" },
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, "proto: integer overflow" },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct proto_reader r = { .rest = str_of(trials[i].bytes, trials[i].len) };
		AUTO_ERROR err = NULL;
		while (proto_next(&r, &err))
			;
		CHECK(err != NULL);
		CHECK_STR(err->text, trials[i].want);
	}
}

TEST(grpc_frames)
{
	AUTO_BUF struct buf out = { 0 };
	struct str in, message;
	struct error *err = NULL;

	grpc_frame(&out, STR("one"));
	grpc_frame(&out, STR(""));
	in = buf_str(&out);
	CHECK(!grpc_unframe(&(struct str){ in.ptr, 7 }, 10, &message, &err));
	CHECK(grpc_unframe(&in, 10, &message, &err));
	CHECK_STR(message, "one");
	CHECK(grpc_unframe(&in, 10, &message, &err));
	CHECK_EQ(message.len, 0);
	CHECK(!grpc_unframe(&in, 10, &message, &err));
	CHECK(err == NULL);
	in = buf_str(&out);
	CHECK(!grpc_unframe(&in, 2, &message, &err));
	CHECK_ERR(err, ERR_TOO_LARGE);
}
