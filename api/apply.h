/*
 * Who has set which field: managedFields of all writes, and server-side apply. Pure.
 *
 *	struct api_manager me = { .kind = kind, .name = STR("kubectl"), .now = now };
 *	tree = api_track(arena, &me, live, tree);                            // create (live NULL), update, patch
 *	err = api_apply(arena, &me, live, config, force, &tree);             // apply; then default, validate, store
 *
 * Rules: sigs.k8s.io/structured-merge-diff and apimachinery's managedfields. Trees are in normal form but for config, which
 * is the body as it was read: what it does not say it does not own.
 */
#ifndef API_APPLY_H
#define API_APPLY_H

#include "api/schema.h"
#include "base/error.h"
#include "json/json.h"

struct api_manager {
	const struct kind *kind;
	const struct type *type; /* instead of kind, of what is never stored */
	struct str name;         /* fieldManager of the request, or the beginning of its user agent */
	struct str subresource;  /* "status", or empty */
	struct str now;          /* RFC 3339 */
};

/* tree with the managedFields it has after this write. live NULL: it is new. */
const struct json *api_track(struct arena *arena, const struct api_manager *me, const struct json *live, const struct json *tree);

/* live (or nothing) with all that config says and without what config said before and nobody says now. ERR_CONFLICT with
 * causes when others own what it changes, unless it is forced. */
struct error *api_apply(struct arena *arena, const struct api_manager *me, const struct json *live, const struct json *config,
			bool force, const struct json **out) MUST_CHECK;

#endif
