/*
 * How a catalogue is laid out: from what was read to the one block of api/schema.h. The compiler of the catalogue uses it
 * at build time, kinds that are registered at run time use it then. Private to api. Pure.
 *
 *	struct layout layout = { .arena = arena };
 *	struct source_type *type = vec_add(&layout.types);     // name, fields, …; fields name their type by index + 1
 *	layout_mark(&layout);
 *	block = layout_block(&layout, &size);                  // malloc; the caller frees it
 *	layout_fini(&layout);
 */
#ifndef API_LAYOUT_H
#define API_LAYOUT_H

#include "api/schema.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"

struct strings {
	struct str *ptr;
	size_t len;
	size_t cap;
};

struct source_field {
	struct str name, wire, type, patch_key, declared, sets, doc, package;
	struct strings list_keys, one_of;
	uint32_t shape, list_type, flags;
	uint32_t number, inlined[FIELD_INLINE];
	size_t below; /* its type: index + 1 */
	int line;
	const char *file;
};

struct source_type {
	struct str name, package, group, version, doc, unions;
	uint32_t form, flags, defaults, validate, rules;
	VEC(struct source_field) fields;
};

struct source_subresource {
	struct str name, group, version, kind;
	uint32_t verbs;
};

struct source_column {
	struct str name, type, format, path, doc;
	uint32_t priority;
};

struct source_kind {
	struct str name, group, version, api_version, resource, singular, hash, names, store_group, store_version;
	struct str scale_spec, scale_status, scale_selector;
	struct strings short_names, categories, fields;
	VEC(struct source_subresource) subresources;
	VEC(struct source_column) columns;
	uint32_t verbs, flags, cells, rank;
	size_t type, list_type; /* index + 1 */
};

#define CATALOG_MAGIC 0x4b494e44 /* "KIND" */

struct layout {
	struct arena *arena;
	VEC(struct source_type) types;
	VEC(struct source_kind) kinds;
	/* while the block is made: offsets of its arrays, and how much of them is used */
	size_t at_types, at_fields, at_kinds, at_subresources, at_columns, at_texts, at_pool;
	size_t n_fields, n_subresources, n_columns, n_texts;
	char *block;
	struct buf pool;
	struct map places; /* text → offset in the pool + 1 */
};

/* Marks the types that have defaults or rules below them, so that the walker can pass by the others. */
void layout_mark(struct layout *layout);
void *layout_block(struct layout *layout, size_t *size);
void layout_fini(struct layout *layout);

#endif
