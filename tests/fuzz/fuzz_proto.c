/* Protobuf: what was read and is written again is read as the same, and says in JSON what it says in protobuf. Input: a
 * letter for the kind, then an envelope with its magic, or a bare message. */
#include "api/api.h"
#include "proto/proto.h"
#include "tests/fuzz/fuzz.h"

/* Fields as they come, a level deep into what may be messages. */
static void walk(struct str message, int depth)
{
	struct proto_reader r = { .rest = message };
	struct error *err = NULL;
	size_t n = 0;

	while (proto_next(&r, &err)) {
		FUZZ_CHECK(r.number != 0 && ++n <= message.len);
		if (r.wire == PROTO_BYTES && depth > 0)
			walk(r.bytes, depth - 1);
	}
	error_free(err);
}

static void check_frames(struct str in)
{
	struct error *err = NULL;
	struct str message;

	for (size_t before = in.len; grpc_unframe(&in, 1 << 20, &message, &err); before = in.len)
		FUZZ_CHECK(in.len + message.len + 5 == before);
	error_free(err);
}

static void check_tree(struct arena *arena, const struct type *type, const struct json *tree)
{
	AUTO_BUF struct buf first = { 0 }, second = { 0 }, third = { 0 };
	const struct json *again, *normal;

	api_write_proto_message(&first, type, tree);
	FUZZ_OK(api_read_proto(arena, type, buf_str(&first), &again));
	api_write_proto_message(&second, type, again);
	FUZZ_SAME(buf_str(&second), buf_str(&first));
	/* The tree is in normal form: by way of JSON the message is the same. */
	AUTO_ERROR err = api_normalize(arena, type, tree, NULL, &normal);
	if (err != NULL)
		return; /* a time or a quantity that JSON has no form for */
	if (str_contains(json_format(arena, tree), STR(":null")))
		return; /* raw JSON within, which is written as null and read as absent, by upstream too */
	FUZZ_SAME(json_format(arena, normal), json_format(arena, tree));
	api_write_proto_message(&third, type, normal);
	FUZZ_SAME(buf_str(&third), buf_str(&first));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	const struct kind *kind = fuzz_kind(&in);
	struct arena *arena = arena_new();
	struct api_envelope envelope = { .raw = in };
	const struct json *tree = NULL, *decoded = NULL;

	walk(in, 4);
	check_frames(in);
	AUTO_ERROR no_envelope = api_read_envelope(in, &envelope);
	if (no_envelope != NULL)
		envelope.raw = in;
	AUTO_ERROR err = api_read_proto(arena, kind_type(kind), envelope.raw, &tree);
	if (err == NULL)
		check_tree(arena, kind_type(kind), tree);
	AUTO_ERROR err_body =
		api_decode(arena, &(struct api_body){ .kind = kind, .media = API_PROTOBUF, .text = in }, NULL, &decoded);
	if (err_body == NULL)
		check_tree(arena, kind_type(kind), decoded);
	FUZZ_CHECK(arena_size(arena) < 8000000 + 4000 * size);
	arena_free(arena);
	return 0;
}
