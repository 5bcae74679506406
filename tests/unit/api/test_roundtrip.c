/* Every object of roundtrip/: JSON and protobuf give each other, byte for byte. */
#include <string.h>

#include "api/api.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static const struct type *type_of(const char *file)
{
	struct str name = str_from(file), version, group;

	name.len -= strlen(".json");
	ptrdiff_t dot = str_rfind(name, '.');
	struct str kind = str_skip(name, (size_t)dot + 1);
	name = str_head(name, (size_t)dot);
	dot = str_rfind(name, '.');
	version = str_skip(name, (size_t)dot + 1);
	group = str_head(name, (size_t)dot);
	const struct type *type = type_find_named(str_is(group, "core") ? STR("") : group, version, kind);
	if (type == NULL)
		tap_fail(__FILE__, __LINE__, "no type for %s", file);
	return type;
}

TEST(roundtrip_json_and_protobuf)
{
	struct arena *arena = arena_new();
	const char **names = vector_list(arena, "roundtrip", ".json");
	size_t n = 0;

	for (; names[n] != NULL; n++) {
		struct arena *one = arena_new();
		const struct type *type = type_of(names[n]);
		const char *base = arena_printf(one, "roundtrip/%.*s", (int)(strlen(names[n]) - 5), names[n]);
		const struct json *file = vector_json(one, arena_printf(one, "%s.json", base)), *tree, *read;
		struct str wire = vector_read(one, arena_printf(one, "%s.pb", base));
		struct api_notes notes = { 0 };
		struct api_envelope envelope;
		AUTO_BUF struct buf out = { 0 };

		CHECK_OK(api_normalize(one, type, file, &notes, &tree));
		if (notes.len != 0)
			tap_fail(__FILE__, __LINE__, "%s: %.*s", names[n], STR_ARG(notes.text[0]));
		/* The files of upstream have their keys sorted: compare content, then the order by a second way round. */
		if (!json_equal(tree, file))
			tap_check_str(__FILE__, __LINE__, names[n], json_format(one, tree), json_format(one, file));
		api_write_proto(&out, type, tree);
		if (!str_eq(buf_str(&out), wire))
			tap_fail(__FILE__, __LINE__, "%s: protobuf differs (%zu bytes, not %zu)", names[n], out.len, wire.len);
		CHECK_OK(api_read_envelope(wire, &envelope));
		CHECK_OK(api_read_proto(one, type, envelope.raw, &read));
		if (envelope.kind.len != 0)
			read = api_with_type(one, read, envelope.api_version, envelope.kind);
		CHECK_STR(json_format(one, read), json_format(one, tree));
		buf_clear(&out);
		json_write_yaml(&out, tree);
		CHECK_OK(json_read_yaml(one, buf_str(&out), NULL, &read));
		CHECK_OK(api_normalize(one, type, read, NULL, &read));
		CHECK_STR(json_format(one, read), json_format(one, tree));
		arena_free(one);
	}
	CHECK_EQ(n, 91);
	arena_free(arena);
}

TEST(roundtrip_survives_broken_protobuf)
{
	struct arena *arena = arena_new();
	struct str wire = vector_read(arena, "roundtrip/core.v1.Pod.pb");
	const struct type *type = type_find_named(STR(""), STR("v1"), STR("Pod"));
	char *copy = arena_copy(arena, wire.ptr, wire.len);

	for (size_t i = 0; i < wire.len; i += 3) {
		struct arena *one = arena_new();
		struct api_envelope envelope;
		const struct json *read;
		copy[i] ^= (char)(1 << i % 8);
		struct error *err = api_read_envelope(str_of(copy, wire.len - i / 2), &envelope);
		if (err == NULL)
			err = api_read_proto(one, type, envelope.raw, &read);
		error_free(err);
		copy[i] = wire.ptr[i];
		arena_free(one);
	}
	arena_free(arena);
}
