/*
 * The catalogue of kinds: what the files in api/kinds/ say, compiled at build time into constant data.
 *
 * A type is a struct of the API or a leaf (string, Quantity, …); a field belongs to a type; a kind is what has a
 * resource: a path, verbs, columns. All records lie in one block and point to each other by distance, so they need no
 * relocation and no private page; use the accessors. Records live as long as the process (those registered at run time:
 * as long as their registration). Nothing here allocates; any thread may read.
 *
 *	const struct kind *kind = kind_find(STR("apps"), STR("v1"), STR("deployments"));
 *	kind_name(kind) → "Deployment"; kind_type(kind); kind_verbs(kind) & VERB(PATCH)
 *	for (size_t i = 0; i < type_len(type); i++)
 *		use(field_name(type_at(type, i)));
 */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* ---- how records are laid out; use the accessors below ---- */

struct catalog_text {
	int32_t to; /* bytes from here; the text is also NUL-terminated */
	uint32_t len;
};

struct catalog_ref {
	int32_t to; /* bytes from here to the first record; 0: none */
	uint32_t n;
};

/* ---- types ---- */

enum type_form {
	FORM_STRUCT,
	FORM_STRING,
	FORM_BOOL,
	FORM_INT32,
	FORM_INT64,
	FORM_DOUBLE,
	FORM_BYTES,      /* base64 in JSON */
	FORM_TIME,       /* seconds, UTC */
	FORM_MICRO_TIME, /* microseconds, UTC */
	FORM_QUANTITY,
	FORM_INT_OR_STRING,
	FORM_RAW,            /* RawExtension: any object, kept as it is */
	FORM_FIELDS,         /* FieldsV1: the same, a message of its own */
	FORM_JSON,           /* any value */
	FORM_SCHEMA_OR_BOOL, /* CustomResourceDefinition's three unions */
	FORM_SCHEMA_OR_ARRAY,
	FORM_SCHEMA_OR_STRINGS,
	FORM_NESTED, /* custom: a list or map within a list or map; its one field says of what */
	FORM_COUNT
};

enum {
	TYPE_OBJECT = 1,       /* begins with kind and apiVersion */
	TYPE_UNPUBLISHED = 2,  /* not in OpenAPI: inlined elsewhere or never sent */
	TYPE_ATOMIC = 4,       /* x-kubernetes-map-type: atomic */
	TYPE_HAS_DEFAULTS = 8, /* it, or something below it; found by the compiler */
	TYPE_HAS_RULES = 16,   /* the same for validation */
	TYPE_HAS_LISTS = 32,   /* the same for lists that are written when empty */
	TYPE_CUSTOM = 64,      /* described at run time: pruned, never converted; validated by its schema */
	TYPE_PRESERVES = 128,  /* … unknown fields are kept */
	TYPE_HAS_CLOSED = 256, /* it, or something below it */
};

struct type {
	struct catalog_text name;    /* "PodSpec" */
	struct catalog_text package; /* "io.k8s.api.core.v1" */
	struct catalog_text group;   /* "" for core and meta */
	struct catalog_text version; /* "v1" */
	struct catalog_text doc;
	struct catalog_text unions; /* "type:localhostProfile", for OpenAPI */
	struct catalog_ref fields;
	uint32_t form; /* enum type_form */
	uint32_t flags;
	uint32_t defaults; /* row of the hook tables, 0: none; see api/hooks.h */
	uint32_t validate;
	uint32_t rules;
	uint32_t id; /* dense within its catalogue */
};

/* ---- fields ---- */

enum field_shape { SHAPE_ONE, SHAPE_LIST, SHAPE_MAP, SHAPE_MAP_OF_LISTS };
enum list_type { LIST_NONE, LIST_ATOMIC, LIST_SET, LIST_MAP };

enum {
	FIELD_POINTER = 1,     /* absent and zero differ */
	FIELD_OMIT_EMPTY = 2,  /* not written when empty (a struct by value is never empty) */
	FIELD_OMIT_ZERO = 4,   /* a struct by value is not written when zero either */
	FIELD_REQUIRED = 8,    /* by OpenAPI */
	FIELD_MAP_ATOMIC = 16, /* map type of a map or struct field */
	FIELD_MAP_GRANULAR = 32,
	FIELD_PATCH_MERGE = 64,
	FIELD_PATCH_RETAIN_KEYS = 128,
	FIELD_PATCH_REPLACE = 256,
	FIELD_UNPUBLISHED = 512, /* inlined from a struct that OpenAPI does not know */
	FIELD_TYPE_META = 1024,  /* kind and apiVersion */
	FIELD_WRAPPED = 2048,    /* on the wire the list is a message of its own */
	FIELD_NULLABLE = 4096,   /* custom: null is a value */
	FIELD_CLOSED = 8192,     /* behind a gate that is closed: read, owned, and forgotten before it is judged */
};

#define FIELD_INLINE 2

struct field {
	struct catalog_text name;
	struct catalog_text wire;      /* "2" or "VolumeSource@2.1": numbers on the way, with what is inlined */
	struct catalog_text patch_key; /* merge key of strategic patches */
	struct catalog_text declared;  /* default that OpenAPI publishes, as JSON */
	struct catalog_text sets;      /* default that only the server knows, as JSON */
	struct catalog_text doc;
	struct catalog_ref list_keys; /* struct catalog_text */
	struct catalog_ref one_of;    /* struct catalog_text, sorted */
	struct catalog_ref type;      /* struct type: of the value, the items, or the map's values */
	uint32_t shape;               /* enum field_shape */
	uint32_t list_type;           /* enum list_type */
	uint32_t flags;
	uint32_t number;                /* on the wire; 0: never there */
	uint32_t inlined[FIELD_INLINE]; /* message fields around it, outermost first; 0: none */
};

/* ---- kinds ---- */

#define VERB(name) (1u << VERB_##name)
enum verb { VERB_CREATE, VERB_DELETE, VERB_DELETECOLLECTION, VERB_GET, VERB_LIST, VERB_PATCH, VERB_UPDATE, VERB_WATCH, VERB_COUNT };
const char *verb_name(enum verb verb);

struct subresource {
	struct catalog_text name;  /* "scale" */
	struct catalog_text group; /* of the kind it speaks; both empty: the group and version of its resource */
	struct catalog_text version;
	struct catalog_text kind;
	uint32_t verbs;
};

struct column {
	struct catalog_text name;
	struct catalog_text type;   /* "string", "integer", "date" */
	struct catalog_text format; /* "name" or empty */
	struct catalog_text path;   /* how a plain cell is made, see api/print.c; empty: the cells hook knows */
	struct catalog_text doc;
	uint32_t priority;
};

enum {
	KIND_NAMESPACED = 1,
	KIND_CUSTOM = 2, /* registered at run time */
};

struct kind {
	struct catalog_text name;        /* "Deployment" */
	struct catalog_text group;       /* "apps", "" for core */
	struct catalog_text version;     /* "v1" */
	struct catalog_text api_version; /* "apps/v1" */
	struct catalog_text resource;    /* "deployments" */
	struct catalog_text singular;
	struct catalog_text hash;        /* storageVersionHash, empty for what is not stored */
	struct catalog_text store_group; /* "core" kind that stores it, when it is another: Event of events.k8s.io → "" */
	struct catalog_text store_version;
	struct catalog_text scale_spec; /* of custom kinds: where /scale finds its numbers, "spec.replicas" */
	struct catalog_text scale_status;
	struct catalog_text scale_selector;
	struct catalog_text names;       /* what its names must be: "label", "path", "ip", or empty: a subdomain */
	struct catalog_ref short_names;  /* struct catalog_text */
	struct catalog_ref categories;   /* struct catalog_text */
	struct catalog_ref fields;       /* struct catalog_text: what a field selector may name, beside metadata */
	struct catalog_ref subresources; /* struct subresource */
	struct catalog_ref columns;      /* struct column */
	struct catalog_ref type;         /* struct type */
	struct catalog_ref list_type;    /* struct type, none when it cannot be listed */
	uint32_t verbs;                  /* VERB() bits */
	uint32_t flags;
	uint32_t cells; /* row of the hook table */
	uint32_t id;    /* of compiled ones dense; no two are the same */
	uint32_t place; /* bytes from the start of its block */
};

struct catalog {
	uint32_t magic;
	uint32_t size;            /* bytes, all records and texts */
	struct catalog_ref types; /* struct type */
	struct catalog_ref kinds; /* struct kind, in the order of discovery */
};

/* ---- accessors ---- */

static inline struct str catalog_str(const struct catalog_text *text)
{
	return (struct str){ (const char *)text + text->to, text->len };
}

static inline const void *catalog_first(const struct catalog_ref *ref)
{
	return ref->n == 0 ? NULL : (const char *)ref + ref->to;
}

#define CATALOG_NAME(record, member)                                                                                               \
	static inline struct str record##_##member(const struct record *record)                                                    \
	{                                                                                                                          \
		return catalog_str(&record->member);                                                                               \
	}

CATALOG_NAME(type, name)
CATALOG_NAME(type, package)
CATALOG_NAME(type, group)
CATALOG_NAME(type, version)
CATALOG_NAME(type, doc)
CATALOG_NAME(field, name)
CATALOG_NAME(field, wire)
CATALOG_NAME(field, patch_key)
CATALOG_NAME(field, declared)
CATALOG_NAME(field, sets)
CATALOG_NAME(field, doc)
CATALOG_NAME(kind, name)
CATALOG_NAME(kind, group)
CATALOG_NAME(kind, version)
CATALOG_NAME(kind, api_version)
CATALOG_NAME(kind, resource)
CATALOG_NAME(kind, singular)
CATALOG_NAME(kind, hash)
CATALOG_NAME(kind, names)
CATALOG_NAME(subresource, name)
CATALOG_NAME(subresource, kind)
CATALOG_NAME(subresource, group)
CATALOG_NAME(subresource, version)
CATALOG_NAME(column, name)
CATALOG_NAME(column, type)
CATALOG_NAME(column, format)
CATALOG_NAME(column, path)
CATALOG_NAME(column, doc)

static inline size_t type_len(const struct type *type)
{
	return type->fields.n;
}

static inline const struct field *type_at(const struct type *type, size_t i)
{
	return (const struct field *)catalog_first(&type->fields) + i;
}

static inline const struct type *field_type(const struct field *field)
{
	return catalog_first(&field->type);
}

static inline const struct type *kind_type(const struct kind *kind)
{
	return catalog_first(&kind->type);
}

static inline const struct type *kind_list_type(const struct kind *kind)
{
	return catalog_first(&kind->list_type); /* NULL when it cannot be listed */
}

static inline uint32_t kind_verbs(const struct kind *kind)
{
	return kind->verbs;
}

static inline bool kind_namespaced(const struct kind *kind)
{
	return (kind->flags & KIND_NAMESPACED) != 0;
}

/* By index; the counts are kind->subresources.n and kind->columns.n, short_names.n, … */
const struct subresource *kind_subresource_at(const struct kind *kind, size_t i);
const struct column *kind_column_at(const struct kind *kind, size_t i);
struct str catalog_text_at(const struct catalog_ref *texts, size_t i);

/* ---- finding; all give NULL when there is none ---- */

const struct field *type_find(const struct type *type, struct str field);
/* "spec.template.spec": through lists and maps, map keys and indices left out. */
const struct field *type_path(const struct type *type, const char *path);
const struct subresource *kind_subresource(const struct kind *kind, struct str name);

const struct kind *kind_find(struct str group, struct str version, struct str resource);
const struct kind *kind_find_named(struct str group, struct str version, struct str name); /* by kind: "Deployment" */
const struct kind *kind_must(const char *api_version, const char *name);                   /* aborts when there is none */
/* The kind whose table row stores this one: itself, but for the kinds served by two groups or versions. */
const struct kind *kind_stored_as(const struct kind *kind);
/* Anything that can be sent with kind and apiVersion: kinds, lists, Status, DeleteOptions, … */
const struct type *type_find_named(struct str group, struct str version, struct str name);
const struct type *type_find_full(struct str package, struct str name); /* "io.k8s.api.core.v1", "PodSpec" */

/* All kinds in the order of discovery, registered ones last. */
size_t kinds_len(void);
const struct kind *kinds_at(size_t i);
size_t types_len(void);
const struct type *types_at(size_t i);

/* Groups in the order of discovery, each with its versions, preferred first. */
#define GROUP_VERSIONS 16
struct api_group {
	const char *name; /* "" for core */
	const char *versions[GROUP_VERSIONS];
	int n_versions;
};
size_t groups_len(void);
const struct api_group *groups_at(size_t i);

#endif
