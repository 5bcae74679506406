/* Strategic merge patch. Input: a letter for the kind, a document, a line "%", a patch. */
#include "api/api.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	const struct kind *kind = fuzz_kind(&in);
	struct str text = fuzz_part(&in);
	struct arena *arena = arena_new();
	const struct json *document = NULL, *patch = NULL, *live = NULL, *once = NULL, *same = NULL, *normal = NULL;
	AUTO_ERROR err = json_read(arena, text, NULL, &document);
	AUTO_ERROR err_patch = json_read(arena, in, NULL, &patch);

	if (err == NULL && err_patch == NULL) {
		AUTO_ERROR not_live = api_normalize(arena, kind_type(kind), document, NULL, &live);
		struct str before = json_format(arena, not_live == NULL ? live : document);
		AUTO_ERROR failed = api_strategic_merge(arena, kind_type(kind), not_live == NULL ? live : document, patch, &once);
		FUZZ_SAME(json_format(arena, not_live == NULL ? live : document), before);
		if (failed == NULL) {
			AUTO_ERROR unfit = api_normalize(arena, kind_type(kind), once, NULL, &normal);
			/* A patch that says nothing changes nothing. */
			FUZZ_OK(api_strategic_merge(arena, kind_type(kind), once, &json_empty_object, &same));
			FUZZ_CHECK(json_equal(same, once));
		}
	}
	arena_free(arena);
	return 0;
}
