/*
 * An object: immutable once published, refcounted, one copy for every watcher and informer.
 *
 * It is made either from a tree (a write, before or after its commit) or from stored bytes (start, a page of history);
 * what is missing is made on first use. Stored bytes are the object's JSON with kind and apiVersion in front and without
 * resourceVersion: that is spliced in when it is sent, since it is known only after the commit. The tree can be dropped
 * and comes back from the bytes. The loop thread owns the counts; other threads may read a tree that the loop pins.
 *
 *	struct object *object = object_new(kind, arena, tree, revision);      // takes the arena
 *	struct str parts[3];
 *	object_json_parts(object, parts);                                     // head, `"resourceVersion":"7",`, tail
 *	object_unref(object);
 */
#ifndef API_OBJECT_H
#define API_OBJECT_H

#include "api/schema.h"
#include "base/arena.h"
#include "base/buf.h"
#include "json/json.h"

struct object;

/* Takes the arena that the tree lives on. revision 0: not committed yet (object_with_revision() then). The tree's own
 * resourceVersion is ignored. */
struct object *object_new(const struct kind *kind, struct arena *arena, const struct json *tree, uint64_t revision);
/* Shares the bytes. */
struct object *object_from_bytes(const struct kind *kind, struct bytes *stored, uint64_t revision);
struct object *object_ref(struct object *object);
void object_unref(struct object *object); /* NULL is fine */
/* For arena_defer(), and for a store's attachment slot. */
void object_release(void *object);
/* Ties a reference to the arena's end; returns the object. */
struct object *object_keep(struct arena *arena, struct object *object);

const struct kind *object_kind(const struct object *object);
uint64_t object_revision(const struct object *object);
struct str object_namespace(struct object *object);
struct str object_name(struct object *object);
struct str object_uid(struct object *object);

/* The tree with kind, apiVersion and metadata.resourceVersion; borrowed, valid while the object is referenced and its tree
 * not dropped. */
const struct json *object_tree(struct object *object);
void object_drop_tree(struct object *object); /* only when nobody holds values of it */
/* Nobody but the caller holds it: keeps only the bytes it was stored as. Otherwise nothing happens. */
void object_cool(struct object *object);
size_t object_size(const struct object *object); /* bytes it keeps, for limits */

/* What goes into the store. Borrowed. */
struct bytes *object_stored(struct object *object);
/* The same object seen at its revision, sharing everything: for what was made before its commit. */
struct object *object_with_revision(struct object *object, uint64_t revision);

/* JSON as it is sent, in three pieces: before, the resourceVersion member, behind it. Borrowed from the object. */
void object_json_parts(struct object *object, struct str parts[3]);
/* The same for an item of a typed list: without kind and apiVersion, and without the brace that opens it. */
void object_json_item_parts(struct object *object, struct str parts[3]);
void object_write_json(struct buf *out, struct object *object);
/* Protobuf as it is sent, with envelope; made once and kept. NULL for custom resources. */
struct bytes *object_proto(struct object *object);

#endif
