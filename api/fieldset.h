/* Sets of fields, as managedFields hold them, and what structured merges do with them. Private. Pure; all on arenas. */
#ifndef API_FIELDSET_H
#define API_FIELDSET_H

#include "api/schema.h"
#include "base/error.h"
#include "base/places.h"
#include "json/json.h"

/* A set of paths as a tree. An entry may be a member itself, have members below it, or both. */
struct fieldset {
	struct arena *arena;
	struct fieldset_entry {
		struct str name; /* "f:spec", "k:{"name":"web"}", "v:80", "i:0": as in fieldsV1 */
		bool member;
		struct fieldset *below; /* NULL: nothing */
	} * entries;
	size_t len, cap;
	struct places places; /* of the entries, by name */
};

/* A value's place in the schema: the value of a field, or one item of it. */
struct place {
	const struct type *type;   /* NULL: not known; then objects are maps and lists are one value */
	const struct field *field; /* NULL: one value of the type */
	bool leaf;                 /* whatever the type says */
};

struct comparison {
	struct fieldset *added, *removed, *modified; /* never NULL */
};

struct fieldset *fieldset_new(struct arena *arena);
bool fieldset_empty(const struct fieldset *set); /* NULL is empty */
/* a and b may be NULL; the result never is. */
struct fieldset *fieldset_union(struct arena *arena, const struct fieldset *a, const struct fieldset *b);
/* Of many: halves first, so that they are not put into a large one each by each. */
struct fieldset *fieldset_union_all(struct arena *arena, const struct fieldset *const *sets, size_t n);
struct fieldset *fieldset_both(struct arena *arena, const struct fieldset *a, const struct fieldset *b);
struct fieldset *fieldset_without(struct arena *arena, const struct fieldset *a, const struct fieldset *b);
/* "spec", "metadata.name": the path and everything below it go. */
struct fieldset *fieldset_without_path(struct arena *arena, const struct fieldset *set, const char *path);
/* fieldsV1 */
struct fieldset *fieldset_read(struct arena *arena, const struct json *fields);
const struct json *fieldset_json(struct arena *arena, const struct fieldset *set);
/* Every member as ".spec.containers[name="web"].image", in upstream's order. */
void fieldset_each(struct arena *arena, const struct fieldset *set, void (*take)(void *arg, struct str path), void *arg);

/* What a tree says. Its lists must be sound: see merge_check(). */
struct fieldset *fieldset_of(struct arena *arena, const struct type *type, const struct json *tree);
struct comparison fieldset_compare(struct arena *arena, const struct type *type, const struct json *from, const struct json *to);
/* Fields of structs that have members below them become members themselves. */
struct fieldset *fieldset_named(struct arena *arena, const struct type *type, const struct fieldset *set);

/* What a tree says that its schema does not: fields, kinds of values, items of lists that lack their keys or share them. */
struct error *merge_check(struct arena *arena, const struct type *type, const struct json *tree) MUST_CHECK;
/* live with everything that config says. */
const struct json *merge_trees(struct arena *arena, const struct type *type, const struct json *live, const struct json *config);
const struct json *merge_remove(struct arena *arena, const struct type *type, const struct json *tree, const struct fieldset *set);

#endif
