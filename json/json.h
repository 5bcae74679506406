/*
 * JSON values: an immutable tree on an arena, its reader, writer, patches, and YAML in and out.
 *
 * A value is a const struct json *; NULL stands for "absent" and is fine to pass to every lookup, which then answers
 * with the empty thing, so that chains need no checks. Values are never changed after they are built: the json_with_*
 * functions give a new root that shares everything untouched with the old one, so a tree must live as long as the trees
 * made from it (json_copy cuts that tie). Objects keep the order of their members. Numbers keep their text.
 *
 * What it is not: it knows nothing of Kubernetes types (api does) and nothing of streams; text comes in whole.
 * Everything is pure and may be used on any thread that owns the arena.
 *
 *	const struct json *pod;
 *	err = json_read(arena, text, NULL, &pod);
 *	struct str node = json_str(json_path(pod, "spec.nodeName"));
 *	JSON_EACH (json_path(pod, "spec.containers"), it)
 *		use(json_str(json_get(it.value, "name")));
 *	pod = json_with_path(arena, pod, "status.phase", json_text(arena, "Running"));
 *	json_write(&out, pod);
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/places.h"
#include "base/str.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json;

struct json_member {
	struct str key;
	const struct json *value; /* never NULL */
};

struct json {
	enum json_type type;
	uint32_t len; /* items or members; for JSON_BOOL its value */
	union {
		struct str text;                 /* JSON_STRING; JSON_NUMBER: as written */
		const struct json *const *items; /* JSON_ARRAY */
		struct {                         /* JSON_OBJECT */
			const struct json_member *members;
			const uint32_t *index; /* of many members: where a key is; see json_find() */
		};
	};
};

/* ---- asking ---------------------------------------------------------------------------------------------------- */

const struct json *json_get(const struct json *object, const char *key); /* NULL when absent or not an object */
const struct json *json_find(const struct json *object, struct str key); /* the same for a counted key */
const struct json *json_at(const struct json *array, size_t index);      /* NULL when out of range */
/* Names and array indices separated by dots: "spec.containers.0.name". Keys that hold dots need json_get. */
const struct json *json_path(const struct json *value, const char *path);
/* RFC 6901: "/metadata/labels/a~1b". NULL when absent or malformed. */
const struct json *json_pointer(const struct json *value, struct str pointer);

bool json_is(const struct json *value, enum json_type type); /* false for NULL */
bool json_absent(const struct json *value);                  /* NULL or JSON null */
size_t json_len(const struct json *value);                   /* of an array or object, else 0 */
struct str json_str(const struct json *value);               /* of a string, else empty */
bool json_bool(const struct json *value);                    /* false unless true */
int64_t json_int(const struct json *value, int64_t otherwise);
double json_double(const struct json *value, double otherwise);
bool json_is_int(const struct json *value, int64_t *out);             /* an integer literal that fits; out may be NULL */
struct str json_get_str(const struct json *object, const char *key);  /* json_str(json_get()) */
struct str json_path_str(const struct json *value, const char *path); /* json_str(json_path()) */
/* Same content; members in any order, numbers by value. NULL equals NULL only. */
bool json_equal(const struct json *a, const struct json *b);
/* A text that equal values share and others do not, for indexes (base/places.h); NULL has the empty one. */
struct str json_key(struct arena *arena, const struct json *value);
const char *json_type_name(const struct json *value); /* as Go names it in errors: "object", "array", "string", … */

/* Items of an array or members of an object, in order; for anything else the body never runs. */
struct json_iter {
	const struct json *in;
	size_t index;
	struct str key; /* of a member, else empty */
	const struct json *value;
};
bool json_iter_next(struct json_iter *it);
#define JSON_EACH(container, it) for (struct json_iter it = { .in = (container), .index = SIZE_MAX }; json_iter_next(&it);)

/* ---- making ---------------------------------------------------------------------------------------------------- */

extern const struct json json_null, json_true, json_false, json_empty_object, json_empty_array, json_empty_string;

const struct json *json_boolean(bool value);
const struct json *json_number(struct arena *arena, int64_t value);
const struct json *json_real(struct arena *arena, double value);
const struct json *json_number_text(struct arena *arena, struct str text); /* borrowed; must be a JSON number */
const struct json *json_string(struct arena *arena, struct str text);      /* borrows the text */
const struct json *json_string_copy(struct arena *arena, struct str text);
const struct json *json_text(struct arena *arena, const char *cstr); /* borrows; NULL gives NULL */
const struct json *json_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* JSON_OBJECT(arena, { "name", name }, { "node", node }): members whose value is NULL are left out. Keys are borrowed. */
struct json_pair {
	const char *key;
	const struct json *value;
};
const struct json *json_object_of(struct arena *arena, const struct json_pair *pairs, size_t n);
const struct json *json_array_of(struct arena *arena, const struct json *const *items, size_t n); /* NULLs left out */
#define JSON_OBJECT_OF(arena, ...)                                                                                                 \
	json_object_of((arena), (const struct json_pair[]){ __VA_ARGS__ },                                                         \
		       sizeof((const struct json_pair[]){ __VA_ARGS__ }) / sizeof(struct json_pair))
#define JSON_ARRAY_OF(arena, ...)                                                                                                  \
	json_array_of((arena), (const struct json *const[]){ __VA_ARGS__ },                                                        \
		      sizeof((const struct json *const[]){ __VA_ARGS__ }) / sizeof(const struct json *))

/* Grows on the arena, then becomes an array or an object (not both). {.arena = arena} is an empty one. */
struct json_builder {
	struct arena *arena;
	uint32_t len, cap;
	const struct json **items;
	struct json_member *members;
};
void json_builder_item(struct json_builder *b, const struct json *value);                   /* NULL: left out */
void json_builder_member(struct json_builder *b, struct str key, const struct json *value); /* NULL: left out; borrows key */
const struct json *json_builder_array(const struct json_builder *b);
const struct json *json_builder_object(const struct json_builder *b);
void json_builder_sort(struct json_builder *b); /* members by key, bytewise, as Go writes maps */

/* A container with other values: one after the other in its order (NULL: left out), then the whole, which is the container
 * itself when nothing is different.
 *	JSON_EACH (list, it)
 *		json_builder_put(&b, &it, changed(it.value));
 *	list = json_builder_like(&b, list); */
void json_builder_put(struct json_builder *b, const struct json_iter *it, const struct json *value);
const struct json *json_builder_like(const struct json_builder *b, const struct json *container);

/* An object while many members of it change: each by its key, in no more time when there are many. Keys are borrowed. */
struct json_draft {
	struct json_builder members; /* NULL values: gone */
	struct places places;
};
struct json_draft json_draft_of(struct arena *arena, const struct json *object); /* NULL: nothing yet */
const struct json *json_draft_get(const struct json_draft *draft, struct str key);
/* One that is there keeps its place, a new one comes last; NULL takes it away. */
void json_draft_set(struct json_draft *draft, struct str key, const struct json *value);
const struct json *json_draft_object(const struct json_draft *draft);

/* Path copying. The container may be NULL or null: then it starts empty. value NULL removes the member. A member that
 * exists keeps its place, a new one comes last. Keys and paths are copied. */
const struct json *json_with(struct arena *arena, const struct json *object, const char *key, const struct json *value);
const struct json *json_with_key(struct arena *arena, const struct json *object, struct str key, const struct json *value);
const struct json *json_with_item(struct arena *arena, const struct json *array, size_t index, const struct json *value);
const struct json *json_append(struct arena *arena, const struct json *array, const struct json *value);
/* Objects missing on the way are made (unless value is NULL); array indices on the way must exist. */
const struct json *json_with_path(struct arena *arena, const struct json *root, const char *path, const struct json *value);
const struct json *json_copy(struct arena *arena, const struct json *value); /* deep; shares nothing */

/* ---- reading --------------------------------------------------------------------------------------------------- */

struct json_options {
	bool borrow; /* strings may point into the text, which then must outlive the tree */
	/* Called for every member whose key was there before: the path of the member, as in `duplicate field "spec.a"`, and,
	 * for YAML, its line (else 0); not after 1 MB of paths. The last one wins. */
	void (*duplicate)(void *arg, struct str path, int line);
	/* JSON only: called for every member, in the order of the text. Costs much; for finding out where things are. */
	void (*member)(void *arg, struct str path);
	void *arg;
};

/* Errors are ERR_BAD_REQUEST, in the words of Go's encoding/json. options may be NULL. */
struct error *json_read(struct arena *arena, struct str text, const struct json_options *options,
			const struct json **out) MUST_CHECK;
/* The first value of a text that may go on: *rest is what follows it. */
struct error *json_read_some(struct arena *arena, struct str *rest, const struct json_options *options,
			     const struct json **out) MUST_CHECK;

/* YAML as sigs.k8s.io/yaml reads it into JSON: scalars by the 1.1 rules (yes, 0o17, ~), keys become text, anchors and
 * merges are expanded up to a bound. An empty document gives json_null. */
struct error *json_read_yaml(struct arena *arena, struct str text, const struct json_options *options,
			     const struct json **out) MUST_CHECK;
/* A stream of documents separated by "---", YAML or JSON; empty ones are left out. *out is an array. */
struct error *json_read_documents(struct arena *arena, struct str text, const struct json_options *options,
				  const struct json **out) MUST_CHECK;

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* As Go's encoder: <, >, & and U+2028/9 escaped, no newline at the end. NULL writes null. */
void json_write(struct buf *out, const struct json *value);
void json_write_indented(struct buf *out, const struct json *value, int spaces); /* as json.Indent */
void json_write_string(struct buf *out, struct str text);                        /* quoted and escaped */
struct str json_format(struct arena *arena, const struct json *value);           /* json_write onto an arena */
/* As Go's encoder writes a float64. Buffer: JSON_REAL_TEXT bytes. */
#define JSON_REAL_TEXT 32
struct str json_format_real(char text[JSON_REAL_TEXT], double value);
/* As sigs.k8s.io/yaml writes it: keys sorted, two spaces, ends in a newline. */
void json_write_yaml(struct buf *out, const struct json *value);

/* ---- changing -------------------------------------------------------------------------------------------------- */

/* RFC 6902. A patch that is no list of operations, or too long, is ERR_BAD_REQUEST; one that cannot be applied is
 * ERR_INVALID. */
struct error *json_patch(struct arena *arena, const struct json *document, const struct json *patch,
			 const struct json **out) MUST_CHECK;
/* RFC 7386. */
const struct json *json_merge_patch(struct arena *arena, const struct json *document, const struct json *patch);

#endif
