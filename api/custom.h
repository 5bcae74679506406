/*
 * Kinds that are described at run time: the spec of a CustomResourceDefinition becomes the same records as compiled kinds
 * are, laid out by the same code, and goes through the same walker.
 *
 * What is different about them is said by flags: values are pruned and never converted (what is wrong is for validation to
 * say), absent is absent, and the validation keywords of their schema are judged as they stand (api_check_schema()).
 *
 * A description has references: the registry's, one for each object of its kinds, and those taken by kind_ref(). So whoever
 * holds a kind may go on using it after custom_unregister(), which only makes it unknown to lookups, discovery and OpenAPI.
 * Loop thread only.
 *
 *	err = custom_new(spec, &custom);     // ERR_INVALID: this cannot be served
 *	custom_register(custom);             // kind_find(STR("example.com"), STR("v1"), STR("widgets"))
 *	…
 *	custom_unregister(custom);
 *	custom_unref(custom);
 */
#ifndef API_CUSTOM_H
#define API_CUSTOM_H

#include "api/api.h"
#include "api/object.h"
#include "api/schema.h"

struct custom;

/* spec: of a CustomResourceDefinition of apiextensions.k8s.io/v1, in normal form with defaults; copied. hash: of the storage
 * version, for discovery; may be empty. */
struct error *custom_new(const struct json *spec, struct str hash, struct custom **out) MUST_CHECK;
void custom_unref(struct custom *custom); /* NULL is fine */
void custom_register(struct custom *custom);
void custom_unregister(struct custom *custom);

/* Its kinds, one a version, in the order of the spec; not all need be served. */
size_t custom_len(const struct custom *custom);
const struct kind *custom_at(const struct custom *custom, size_t i);
/* The description a kind belongs to; NULL for compiled ones. */
struct custom *custom_of(const struct kind *kind);
bool custom_registered(const struct custom *custom);
/* Its definition is going: nothing new may be made of its kinds. */
void custom_close(struct custom *custom, bool closed);
bool custom_closed(const struct custom *custom);

/* For whoever keeps a kind beyond a call; nothing happens to compiled ones. */
const struct kind *kind_ref(const struct kind *kind);
void kind_unref(const struct kind *kind);
/* Nobody may ask for it any more. */
bool kind_is_gone(const struct kind *kind);

/* Changes whenever a kind comes or goes: documents that were kept are old then. */
uint64_t kinds_generation(void);
/* fn(arg) comes, from inside custom_register() and custom_unregister(), after each change. */
void kinds_listen(void (*fn)(void *arg), void *arg);
void kinds_unlisten(void *arg);
/* What is served now in place of a kind that is gone: of the same resource, the stored version before others. NULL: nothing. */
const struct kind *kind_successor(const struct kind *kind);

/* ---- what api's own files use ---- */

/* The registered ones that are served. */
size_t custom_kinds_len(void);
const struct kind *custom_kinds_at(size_t i);
/* The kind that stores it. */
const struct kind *custom_stored_as(const struct kind *kind);
/* Stored bytes, of whatever version they were written in: its defaults are filled in, then it becomes `kind`. */
struct object *custom_load(const struct kind *kind, struct bytes *stored, uint64_t revision);
/* Differs when the description does. */
uint64_t custom_hash(const struct kind *kind);
/* openAPIV3Schema of its version. */
const struct json *custom_schema(const struct kind *kind);

/* Pruned, nulls without meaning gone, numbers as Go writes them. */
struct custom_notes {
	void (*unknown)(void *arg, struct str path); /* "spec.items[0].x"; NULL: nobody asks */
	void *arg;
};
const struct json *custom_prune(struct arena *arena, const struct type *type, const struct json *value,
				const struct custom_notes *notes, struct str path);

/* Adds what the validation keywords of a schema find. old: what was there before, whose faults are forgiven where it did not
 * change; may be NULL. */
void api_check_schema(struct api_findings *f, const struct json *schema, const struct json *value, const struct json *old);
/* Everything that walks a schema recurses: it has a bound. */
bool api_schema_too_deep(const struct json *schema);
/* False when a pattern is none, or too large. */
bool api_pattern_valid(struct str pattern);
bool api_pattern_matches(struct arena *arena, struct str pattern, struct str text);

#endif
