/* A request's body of JSON or YAML, through everything that an object goes through. Input: a letter for the kind, then text. */
#include "api/api.h"
#include "api/apply.h"
#include "api/object.h"
#include "tests/fuzz/fuzz.h"

static void check_proto(struct arena *arena, const struct kind *kind, const struct json *tree)
{
	AUTO_BUF struct buf first = { 0 }, second = { 0 };
	const struct json *again;

	api_write_proto(&first, kind_type(kind), tree);
	FUZZ_OK(api_decode(arena, &(struct api_body){ .kind = kind, .media = API_PROTOBUF, .text = buf_str(&first) }, NULL,
			   &again));
	api_write_proto(&second, kind_type(kind), again);
	FUZZ_SAME(buf_str(&second), buf_str(&first));
}

static void check_defaults(struct arena *arena, const struct kind *kind, const struct json *tree)
{
	const struct json *again;

	FUZZ_OK(api_normalize(arena, kind_type(kind), tree, NULL, &again));
	FUZZ_SAME(json_format(arena, api_with_kind(arena, again, kind)), json_format(arena, tree));
	FUZZ_SAME(json_format(arena, api_default(arena, kind, tree)), json_format(arena, tree));
}

static void check_object(struct arena *arena, const struct kind *kind, const struct json *tree)
{
	struct api_manager me = { .kind = kind, .name = STR("me"), .now = STR("2026-01-01T00:00:00Z") };
	const struct json *owned;

	check_proto(arena, kind, tree);
	tree = api_with_kind(arena, api_default(arena, kind, tree), kind);
	check_defaults(arena, kind, tree);
	owned = api_track(arena, &me, NULL, tree);
	AUTO_ERROR invalid = api_validate(arena, kind, tree);
	/* No change, no owner; in what is invalid items of a list may share their keys. */
	FUZZ_CHECK(json_equal(api_track(arena, &me, owned, owned), owned) || invalid != NULL);
	AUTO_ERROR no_change = api_validate_update(arena, kind, tree, tree);
	AUTO_ERROR status = api_validate_status_update(arena, kind, tree, tree);
	api_cells(arena, kind, tree, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	const struct kind *kind = fuzz_kind(&in);
	struct arena *arena = arena_new();
	struct api_notes notes = { 0 };
	struct api_body body = { .kind = kind, .media = API_JSON, .text = in };
	const struct json *tree = NULL;
	AUTO_ERROR err = api_decode(arena, &body, &notes, &tree);

	if (err != NULL) {
		body.media = API_YAML;
		error_free(err);
		err = api_decode(arena, &body, &notes, &tree);
	}
	if (err == NULL)
		check_object(arena, kind, tree);
	AUTO_ERROR strict = err == NULL && notes.len > 0 ? api_strict_error(&body, &notes) : NULL;
	arena_free(arena);
	return 0;
}
