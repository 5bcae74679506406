/* Pieces of the walker that several files of api use. Private. Pure. */
#ifndef API_WALK_H
#define API_WALK_H

#include "api/schema.h"
#include "base/error.h"
#include "json/json.h"

/* What a field holds when nobody said anything; NULL: it is not written. */
const struct json *walk_zero_field(struct arena *arena, const struct field *field);
/* The zero value of a type: "", 0, {…}, null for a time. */
const struct json *walk_zero(struct arena *arena, const struct type *type);
/* False when Go would leave a field with that (normal) value out. */
bool walk_written(const struct field *field, const struct json *value);
/* object with one member put where the schema has it, or removed (value NULL). */
const struct json *walk_place(struct arena *arena, const struct type *type, const struct json *object, const struct field *field,
			      const struct json *value);
/* "[]v1.Container": how Go names what the field holds. */
struct str walk_go_type(struct arena *arena, const struct field *field);
struct str walk_go_name(struct arena *arena, const struct type *type);

/* ERR_TOO_LARGE: more than LIMIT_STRUCTS. */
struct error *api_too_many_structs(void);

/* Text forms of leaves. Errors in Go's words. */
struct error *walk_time(struct arena *arena, const struct json *value, bool micro, const struct json **out) MUST_CHECK;
/* Times of the years 0 to 9999, which nanoseconds since 1970 cannot hold. text must have passed walk_time(). */
bool walk_time_read(struct str text, int64_t *seconds, int64_t *nanos) MUST_CHECK;
/* False outside these years. */
bool walk_time_write(struct arena *arena, int64_t seconds, int64_t nanos, bool micro, struct str *out) MUST_CHECK;
struct error *walk_base64(struct arena *arena, struct str text, struct str *out) MUST_CHECK;

#endif
