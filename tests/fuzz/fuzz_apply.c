/* Server-side apply: applied twice is applied once, and who applied owns what the configuration says. Input: a letter for the
 * kind, the live object or nothing, a line "%", a configuration. */
#include "api/api.h"
#include "api/apply.h"
#include "tests/fuzz/fuzz.h"

static void check_apply(struct arena *arena, const struct kind *kind, const struct json *live, const struct json *config)
{
	struct api_manager me = { .kind = kind, .name = STR("me"), .now = STR("2026-01-01T00:00:00Z") };
	const struct json *once = NULL, *twice = NULL, *normal = NULL;
	AUTO_ERROR err = api_apply(arena, &me, live, config, true, &once);

	if (err != NULL)
		return;
	AUTO_ERROR unfit = api_normalize(arena, kind_type(kind), once, NULL, &normal);
	if (unfit != NULL)
		return;
	normal = api_with_kind(arena, normal, kind);
	if (str_contains(json_format(arena, config), STR(":null")))
		return; /* a key that is null is another one than the zero that it becomes */
	if (json_path(normal, "metadata.managedFields") == NULL)
		return; /* what nobody owns is from before the first apply, and the next one says so, as upstream's */
	FUZZ_OK(api_apply(arena, &me, normal, config, false, &twice));
	FUZZ_OK(api_normalize(arena, kind_type(kind), twice, NULL, &twice));
	FUZZ_SAME(json_format(arena, api_with_kind(arena, twice, kind)), json_format(arena, normal));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	const struct kind *kind = fuzz_kind(&in);
	struct str text = fuzz_part(&in);
	struct arena *arena = arena_new();
	const struct json *live = NULL, *config = NULL;
	AUTO_ERROR err = api_decode(arena, &(struct api_body){ .kind = kind, .media = API_JSON, .text = text }, NULL, &live);
	AUTO_ERROR err_config = json_read_yaml(arena, in, NULL, &config);

	if (err_config == NULL && json_is(config, JSON_OBJECT))
		check_apply(arena, kind, err == NULL ? api_with_kind(arena, live, kind) : NULL, config);
	arena_free(arena);
	return 0;
}
