/*
 * Behaviour that the catalogue attaches by name: defaults=, validate=, rules=, cells=. Private to api.
 *
 * The names come from the catalogue's compiler, so a name without a function does not link.
 */
#ifndef API_HOOKS_H
#define API_HOOKS_H

#include "api/api.h"
#include "api/catalog_hooks.h"
#include "api/rules.h"
#include "api/schema.h"

/* Fills in what depends on other fields of the same struct; everything below and the constant defaults are done before. */
typedef const struct json *defaults_hook(struct arena *arena, const struct type *type, const struct json *tree);
/* Cross-field rules of one struct, wherever it stands; path names it. */
typedef void validate_hook(struct api_findings *f, const struct type *type, const struct json *tree, const char *path);
/* Adds the cells of those columns that name no path, in order (and what upstream sends behind the last column). */
typedef void cells_hook(struct json_builder *row, const struct json *tree, int64_t now);

#define X(name) defaults_hook name;
CATALOG_DEFAULTS(X)
#undef X
#define X(name) validate_hook name;
CATALOG_VALIDATE(X)
#undef X
#define X(name) extern const struct rule name[];
CATALOG_RULES(X)
#undef X
#define X(name) cells_hook name;
CATALOG_CELLS(X)
#undef X

#endif
