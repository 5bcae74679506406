/*
 * The compiler of the catalogue: reads the files of api/kinds, checks them, writes constant C data.
 *
 *	kindsc catalog.c catalog_hooks.h groups.kinds core.kinds …
 *
 * A file is a sequence of entries. An entry starts at the margin, its parts are indented; "#" starts a comment, " | " the
 * doc text at a line's end.
 *
 *	group autoscaling v2 v1                                 discovery's order of groups, versions by preference
 *	set signals SIGABRT SIGALRM …                           a list of words, used as one-of=@signals
 *	package io.k8s.api.core.v1 core "" v1                   full name, alias, group, version of what follows
 *	kind Service
 *	  resource services service namespaced short=svc verbs=all
 *	  subresource status Service get,patch,update
 *	  column "Name" string name 0 .metadata.name | doc
 *	type ServicePort defaults=service_port_defaults | doc
 *	  port 3 int32 value never required | doc               name, number, type, Go's form, omission, rules
 *
 * All records go into one block; see api/schema.h. Hooks are numbered by first use; the second output lists their names,
 * so that the linker finds what is missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/layout.h"
#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/trace.h"
#include "base/vec.h"

/* ---- what was read ---- */

struct source_package {
	struct str full, alias, group, version;
};

struct group {
	struct str name;
	struct strings versions;
};

enum hook { HOOK_DEFAULTS, HOOK_VALIDATE, HOOK_RULES, HOOK_CELLS, HOOKS };
static const char *const hook_names[] = { "DEFAULTS", "VALIDATE", "RULES", "CELLS" };

static struct arena *arena;
static struct layout layout;
static VEC(struct source_package) packages;
static VEC(struct group) groups;
static struct map sets; /* name → struct strings * */
static struct strings hooks[HOOKS];
static const char *file_name;
static int line_number;

_Noreturn static void fail_at(const char *file, int line, const char *what, struct str word)
{
	fprintf(stderr, "%s:%d: %s: %.*s\n", file, line, what, STR_ARG(word));
	exit(1);
}

_Noreturn static void fail(const char *what, struct str word)
{
	fail_at(file_name, line_number, what, word);
}

/* ---- words ---- */

struct line {
	struct str rest;
	struct str doc;
	bool indented;
};

static struct str skip_blanks(struct str s)
{
	while (s.len != 0 && (*s.ptr == ' ' || *s.ptr == '\t'))
		s = str_skip(s, 1);
	return s;
}

/* The next word; a quote at its start keeps blanks inside and is removed. Empty at the end of the line. */
static struct str next_word(struct line *line)
{
	struct str s = skip_blanks(line->rest), word;
	size_t n = 0;

	if (s.len != 0 && *s.ptr == '"') {
		ptrdiff_t end = str_find(str_skip(s, 1), '"');
		if (end < 0)
			fail("open quote", s);
		word = str_head(str_skip(s, 1), (size_t)end);
		line->rest = str_skip(s, (size_t)end + 2);
		return word;
	}
	while (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != '\t')
		n++;
	line->rest = str_skip(s, n);
	return str_head(s, n);
}

static struct str need_word(struct line *line, const char *what)
{
	struct str word = next_word(line);

	if (word.len == 0 && !(line->rest.ptr != NULL && line->rest.ptr[-1] == '"'))
		fail("missing", str_from(what));
	return word;
}

/* "key=value": true and the value when word has that key. */
static bool option(struct str word, const char *key, struct str *value)
{
	size_t n = strlen(key);

	if (!str_has_prefix(word, str_from(key)) || word.len <= n || word.ptr[n] != '=')
		return false;
	*value = str_skip(word, n + 1);
	return true;
}

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void split(struct str list, struct strings *out)
{
	struct str piece;

	if (str_has_prefix(list, STR("@"))) {
		const struct strings *set = map_find(&sets, str_skip(list, 1));
		if (set == NULL)
			fail("no such set", list);
		for (size_t i = 0; i < set->len; i++)
			vec_push(out, set->ptr[i]);
		return;
	}
	while (str_cut(&list, ',', &piece))
		vec_push(out, str_is(piece, "\"\"") ? STR("") : piece);
}

static uint32_t hook(enum hook which, struct str name)
{
	struct strings *names = &hooks[which];

	for (size_t i = 0; i < names->len; i++)
		if (str_eq(names->ptr[i], name))
			return (uint32_t)i + 1;
	vec_push(names, name);
	return (uint32_t)names->len;
}

static uint32_t parse_verbs(struct str list)
{
	static const char *const names[] = { "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch" };
	uint32_t verbs = 0;
	struct str piece;

	if (str_is(list, "all"))
		return (1u << VERB_COUNT) - 1;
	while (str_cut(&list, ',', &piece)) {
		int i = 0;
		while (i < VERB_COUNT && !str_is(piece, names[i]))
			i++;
		if (i == VERB_COUNT)
			fail("no such verb", piece);
		verbs |= 1u << i;
	}
	return verbs;
}

/* ---- entries ---- */

static const struct source_package *package(void)
{
	if (packages.len == 0)
		fail("no package before", STR("this entry"));
	return vec_last(&packages);
}

static void read_type(struct line *line)
{
	struct source_type *type = vec_add(&layout.types);
	struct str word, value;

	type->name = need_word(line, "name");
	type->package = package()->full;
	type->group = package()->group;
	type->version = package()->version;
	type->doc = line->doc;
	while ((word = next_word(line)).len != 0) {
		if (str_is(word, "object"))
			type->flags |= TYPE_OBJECT;
		else if (str_is(word, "unpublished"))
			type->flags |= TYPE_UNPUBLISHED;
		else if (str_is(word, "map=atomic"))
			type->flags |= TYPE_ATOMIC;
		else if (option(word, "union", &value))
			type->unions = value;
		else if (option(word, "defaults", &value))
			type->defaults = hook(HOOK_DEFAULTS, value);
		else if (option(word, "validate", &value))
			type->validate = hook(HOOK_VALIDATE, value);
		else if (option(word, "rules", &value))
			type->rules = hook(HOOK_RULES, value);
		else
			fail("unknown word", word);
	}
	if ((type->flags & TYPE_OBJECT) != 0) {
		static const char *const names[] = { "kind", "apiVersion" };
		for (int i = 0; i < 2; i++) {
			struct source_field *field = vec_add(&type->fields);
			field->name = str_from(names[i]);
			field->wire = i == 0 ? STR("TypeMeta@-.1") : STR("TypeMeta@-.2");
			field->type = STR("string");
			field->flags = FIELD_OMIT_EMPTY | FIELD_TYPE_META;
			field->file = file_name;
			field->line = line_number;
			field->doc =
				i == 0 ? STR("Kind is what this object is; the server knows it from the path when it is left out.")
				       : STR("APIVersion defines the group and version that the object is written in.");
		}
	}
}

static void read_patch(struct source_field *field, struct str value)
{
	struct str strategies, one;

	str_cut(&value, ':', &strategies);
	field->patch_key = value;
	while (str_cut(&strategies, ',', &one)) {
		if (str_is(one, "merge"))
			field->flags |= FIELD_PATCH_MERGE;
		else if (str_is(one, "retainKeys"))
			field->flags |= FIELD_PATCH_RETAIN_KEYS;
		else if (str_is(one, "replace"))
			field->flags |= FIELD_PATCH_REPLACE;
		else
			fail("unknown patch strategy", one);
	}
}

static void read_list(struct source_field *field, struct str value)
{
	struct str kind;

	str_cut(&value, ':', &kind);
	field->list_type = str_is(kind, "atomic") ? LIST_ATOMIC : str_is(kind, "set") ? LIST_SET : LIST_MAP;
	if (field->list_type == LIST_MAP && !str_is(kind, "map"))
		fail("unknown list type", kind);
	split(value, &field->list_keys);
}

static void read_rules(struct source_field *field, struct line *line)
{
	struct str word, value;

	while ((word = next_word(line)).len != 0) {
		if (str_is(word, "required"))
			field->flags |= FIELD_REQUIRED;
		else if (str_is(word, "closed"))
			field->flags |= FIELD_CLOSED;
		else if (str_is(word, "wrapped"))
			field->flags |= FIELD_WRAPPED;
		else if (option(word, "list", &value))
			read_list(field, value);
		else if (str_is(word, "map=atomic"))
			field->flags |= FIELD_MAP_ATOMIC;
		else if (str_is(word, "map=granular"))
			field->flags |= FIELD_MAP_GRANULAR;
		else if (option(word, "patch", &value))
			read_patch(field, value);
		else if (option(word, "default", &value))
			field->declared = value;
		else if (option(word, "sets", &value))
			field->sets = value;
		else if (option(word, "one-of", &value))
			split(value, &field->one_of);
		else
			fail("unknown word", word);
	}
	if (field->one_of.len > 1)
		qsort(field->one_of.ptr, field->one_of.len, sizeof(struct str), by_text);
}

static void read_field(struct source_type *type, struct line *line)
{
	struct source_field *field = vec_add(&type->fields);
	struct str go, omit;

	field->file = file_name;
	field->line = line_number;
	field->doc = line->doc;
	field->package = type->package;
	field->name = need_word(line, "field");
	field->wire = need_word(line, "number");
	field->type = need_word(line, "type");
	go = need_word(line, "Go's form");
	omit = need_word(line, "omission");
	if (str_has_prefix(field->type, STR("[]"))) {
		field->shape = SHAPE_LIST;
		field->type = str_skip(field->type, 2);
	} else if (str_has_prefix(field->type, STR("map[[]"))) {
		field->shape = SHAPE_MAP_OF_LISTS;
		field->type = str_head(str_skip(field->type, 6), field->type.len - 7);
	} else if (str_has_prefix(field->type, STR("map["))) {
		field->shape = SHAPE_MAP;
		field->type = str_head(str_skip(field->type, 4), field->type.len - 5);
	}
	if (str_is(go, "pointer"))
		field->flags |= FIELD_POINTER;
	else if (!str_is(go, field->shape == SHAPE_LIST     ? "slice"
			     : field->shape != SHAPE_ONE    ? "map"
			     : str_is(field->type, "bytes") ? "bytes"
							    : "value"))
		fail("Go's form does not fit the type", go);
	if (str_is(omit, "empty"))
		field->flags |= FIELD_OMIT_EMPTY;
	else if (str_is(omit, "zero"))
		field->flags |= FIELD_OMIT_EMPTY | FIELD_OMIT_ZERO;
	else if (!str_is(omit, "never"))
		fail("unknown omission", omit);
	read_rules(field, line);
}

static void read_resource(struct source_kind *kind, struct line *line)
{
	struct str word, value;

	kind->resource = need_word(line, "resource");
	kind->singular = need_word(line, "singular");
	while ((word = next_word(line)).len != 0) {
		if (str_is(word, "namespaced"))
			kind->flags |= KIND_NAMESPACED;
		else if (str_is(word, "cluster"))
			kind->flags &= ~(uint32_t)KIND_NAMESPACED;
		else if (option(word, "short", &value))
			split(value, &kind->short_names);
		else if (option(word, "categories", &value))
			split(value, &kind->categories);
		else if (option(word, "fields", &value))
			split(value, &kind->fields);
		else if (option(word, "verbs", &value))
			kind->verbs = parse_verbs(value);
		else if (option(word, "hash", &value))
			kind->hash = value;
		else if (option(word, "names", &value))
			kind->names = value;
		else if (option(word, "cells", &value))
			kind->cells = hook(HOOK_CELLS, value);
		else if (option(word, "stored-as", &value)) {
			struct str group = STR("");
			if (str_find(value, '/') >= 0)
				str_cut(&value, '/', &group);
			kind->store_group = group;
			kind->store_version = value;
		} else
			fail("unknown word", word);
	}
}

static void read_subresource(struct source_kind *kind, struct line *line)
{
	struct source_subresource *sub = vec_add(&kind->subresources);
	struct str word;

	sub->name = need_word(line, "name");
	word = need_word(line, "kind");
	if (str_find(word, '/') >= 0) {
		sub->version = word;
		str_cut(&sub->version, '/', &sub->group);
		word = need_word(line, "kind");
	}
	sub->kind = word;
	sub->verbs = parse_verbs(need_word(line, "verbs"));
}

static void read_column(struct source_kind *kind, struct line *line)
{
	struct source_column *column = vec_add(&kind->columns);
	struct str priority;
	uint64_t number;

	column->name = need_word(line, "name");
	column->type = need_word(line, "type");
	column->format = need_word(line, "format");
	if (str_is(column->format, "-"))
		column->format = STR("");
	priority = need_word(line, "priority");
	if (!str_to_u64(priority, &number))
		fail("no number", priority);
	column->priority = (uint32_t)number;
	column->path = next_word(line);
	column->doc = line->doc;
}

static void read_kind(struct line *line)
{
	struct source_kind *kind = vec_add(&layout.kinds);

	kind->name = need_word(line, "name");
	kind->group = package()->group;
	kind->version = package()->version;
	kind->api_version = kind->group.len == 0 ? kind->version
						 : str_format(arena, "%.*s/%.*s", STR_ARG(kind->group), STR_ARG(kind->version));
}

static void read_kind_part(struct source_kind *kind, struct line *line)
{
	struct str word = next_word(line);

	if (str_is(word, "resource"))
		read_resource(kind, line);
	else if (str_is(word, "subresource"))
		read_subresource(kind, line);
	else if (str_is(word, "column"))
		read_column(kind, line);
	else
		fail("unknown part of a kind", word);
}

static void read_words(struct strings *out, struct line *line)
{
	struct str word;

	while ((word = next_word(line)).len != 0)
		vec_push(out, word);
}

enum entry { ENTRY_NONE, ENTRY_TYPE, ENTRY_KIND, ENTRY_SET };

static enum entry read_entry(struct line *line, struct strings **set)
{
	struct str word = next_word(line);

	if (str_is(word, "type")) {
		read_type(line);
		return ENTRY_TYPE;
	}
	if (str_is(word, "kind")) {
		read_kind(line);
		return ENTRY_KIND;
	}
	if (str_is(word, "set")) {
		*set = arena_alloc(arena, sizeof(**set));
		map_set(&sets, need_word(line, "name"), *set);
		read_words(*set, line);
		return ENTRY_SET;
	}
	if (str_is(word, "package")) {
		struct source_package *p = vec_add(&packages);
		p->full = need_word(line, "package");
		p->alias = need_word(line, "alias");
		p->group = need_word(line, "group");
		p->version = need_word(line, "version");
	} else if (str_is(word, "group")) {
		struct group *group = vec_add(&groups);
		group->name = need_word(line, "group");
		read_words(&group->versions, line);
	} else {
		fail("unknown entry", word);
	}
	return ENTRY_NONE;
}

static void read_file(const char *name)
{
	AUTO_FILE FILE *in = fopen(name, "r");
	enum entry entry = ENTRY_NONE;
	struct strings *set = NULL;
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;

	if (in == NULL) {
		perror(name);
		exit(1);
	}
	file_name = name;
	line_number = 0;
	while ((len = getline(&text, &cap, in)) >= 0) {
		struct line line = { .rest = str_dup(arena, str_of(text, (size_t)len)) };
		line_number++;
		line.rest.len -= line.rest.len != 0 && line.rest.ptr[line.rest.len - 1] == '\n';
		if (str_trim(line.rest).len == 0 || line.rest.ptr[0] == '#')
			continue;
		line.indented = line.rest.ptr[0] == ' ';
		const char *bar = strstr(line.rest.ptr, " | ");
		if (bar != NULL) {
			line.doc = str_trim(str_skip(line.rest, (size_t)(bar - line.rest.ptr) + 3));
			line.rest.len = (size_t)(bar - line.rest.ptr);
		}
		if (!line.indented)
			entry = read_entry(&line, &set);
		else if (entry == ENTRY_TYPE)
			read_field(vec_last(&layout.types), &line);
		else if (entry == ENTRY_KIND)
			read_kind_part(vec_last(&layout.kinds), &line);
		else if (entry == ENTRY_SET)
			read_words(set, &line);
		else
			fail("nothing to belong to", line.rest);
	}
	free(text);
}

/* ---- joining ---- */

static const struct {
	const char *name;
	enum type_form form;
	const char *package;
} leaves[] = {
	{ "string", FORM_STRING, "" },
	{ "bool", FORM_BOOL, "" },
	{ "int32", FORM_INT32, "" },
	{ "int64", FORM_INT64, "" },
	{ "float64", FORM_DOUBLE, "" },
	{ "bytes", FORM_BYTES, "" },
	{ "Time", FORM_TIME, "io.k8s.apimachinery.pkg.apis.meta.v1" },
	{ "MicroTime", FORM_MICRO_TIME, "io.k8s.apimachinery.pkg.apis.meta.v1" },
	{ "Quantity", FORM_QUANTITY, "io.k8s.apimachinery.pkg.api.resource" },
	{ "IntOrString", FORM_INT_OR_STRING, "io.k8s.apimachinery.pkg.util.intstr" },
	{ "RawExtension", FORM_RAW, "io.k8s.apimachinery.pkg.runtime" },
	{ "FieldsV1", FORM_FIELDS, "io.k8s.apimachinery.pkg.apis.meta.v1" },
	{ "JSON", FORM_JSON, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1" },
	{ "JSONSchemaPropsOrBool", FORM_SCHEMA_OR_BOOL, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1" },
	{ "JSONSchemaPropsOrArray", FORM_SCHEMA_OR_ARRAY, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1" },
	{ "JSONSchemaPropsOrStringArray", FORM_SCHEMA_OR_STRINGS, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1" },
};

static void add_leaves(void)
{
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		struct source_type *type = vec_add(&layout.types);
		type->name = str_from(leaves[i].name);
		type->package = str_from(leaves[i].package);
		type->form = leaves[i].form;
	}
}

static size_t find_in_package(struct str package_name, struct str name)
{
	for (size_t i = 0; i < layout.types.len; i++)
		if (str_eq(layout.types.ptr[i].name, name) && str_eq(layout.types.ptr[i].package, package_name))
			return i + 1;
	return 0;
}

/* Index + 1: a leaf, a type of the same package, or "alias.Type". */
static size_t resolve(struct str here, struct str name)
{
	struct str alias = { 0 };

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		if (str_is(name, leaves[i].name))
			return i + 1;
	if (str_find(name, '.') < 0)
		return find_in_package(here, name);
	str_cut(&name, '.', &alias);
	for (size_t i = 0; i < packages.len; i++)
		if (str_eq(packages.ptr[i].alias, alias))
			return find_in_package(packages.ptr[i].full, name);
	return 0;
}

/* "VolumeSource@2.1": 2 around 1; "TypeMeta@-.1": not on the wire. */
static void parse_wire(struct source_field *field)
{
	struct str rest = field->wire, piece;
	int n = 0;

	while (str_cut(&rest, '.', &piece)) {
		ptrdiff_t at = str_find(piece, '@');
		uint64_t number;
		struct str digits = at < 0 ? piece : str_skip(piece, (size_t)at + 1);
		if (str_is(digits, "-"))
			return;
		if (!str_to_u64(digits, &number) || number == 0 || (at >= 0 && n == FIELD_INLINE))
			fail_at(field->file, field->line, "bad number", field->wire);
		if (at >= 0)
			field->inlined[n++] = (uint32_t)number;
		else
			field->number = (uint32_t)number;
	}
}

static bool unpublished(const struct source_field *field, const struct source_type *owner)
{
	struct str rest = field->wire, piece, name;
	bool hidden = (owner->flags & TYPE_UNPUBLISHED) != 0;

	while (str_cut(&rest, '.', &piece)) {
		if (str_find(piece, '@') < 0)
			continue;
		str_cut(&piece, '@', &name);
		size_t type = find_in_package(owner->package, name);
		hidden = type != 0 && (layout.types.ptr[type - 1].flags & TYPE_UNPUBLISHED) != 0;
	}
	return hidden;
}

static void join_types(void)
{
	for (size_t i = 0; i < layout.types.len; i++) {
		struct source_type *type = &layout.types.ptr[i];
		for (size_t f = 0; f < type->fields.len; f++) {
			struct source_field *field = &type->fields.ptr[f];
			field->below = resolve(type->package, field->type);
			if (field->below == 0)
				fail_at(field->file, field->line, "no such type", field->type);
			if (unpublished(field, type))
				field->flags |= FIELD_UNPUBLISHED;
			parse_wire(field);
		}
	}
}

static uint32_t group_rank(struct str group, struct str version)
{
	for (size_t i = 0; i < groups.len; i++) {
		if (!str_eq(groups.ptr[i].name, group))
			continue;
		for (size_t k = 0; k < groups.ptr[i].versions.len; k++)
			if (str_eq(groups.ptr[i].versions.ptr[k], version))
				return (uint32_t)(i * 16 + k);
	}
	fprintf(stderr, "group %.*s version %.*s is not listed in groups.kinds\n", STR_ARG(group), STR_ARG(version));
	exit(1);
}

static int by_rank(const void *a, const void *b)
{
	const struct source_kind *x = a, *y = b;

	return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : str_cmp(x->resource, y->resource);
}

static void join_kinds(void)
{
	for (size_t i = 0; i < layout.kinds.len; i++) {
		struct source_kind *kind = &layout.kinds.ptr[i];
		kind->rank = group_rank(kind->group, kind->version);
		for (size_t k = 0; k < packages.len; k++) {
			const struct source_package *p = &packages.ptr[k];
			if (!str_eq(p->group, kind->group) || !str_eq(p->version, kind->version) || str_is(p->alias, "meta"))
				continue;
			kind->type = find_in_package(p->full, kind->name);
			if ((kind->verbs & VERB(LIST)) != 0)
				kind->list_type = find_in_package(p->full, str_format(arena, "%.*sList", STR_ARG(kind->name)));
		}
		if (kind->type == 0 || kind->resource.len == 0 || ((kind->verbs & VERB(LIST)) != 0 && kind->list_type == 0)) {
			fprintf(stderr, "kind %.*s: no type, list type or resource\n", STR_ARG(kind->name));
			exit(1);
		}
	}
	qsort(layout.kinds.ptr, layout.kinds.len, sizeof(*layout.kinds.ptr), by_rank);
}

/* ---- output ---- */

static FILE *create(const char *name)
{
	FILE *file = fopen(name, "w");

	if (file == NULL) {
		perror(name);
		exit(1);
	}
	return file;
}

static void write_block(const char *name, const uint32_t *words, size_t size)
{
	AUTO_FILE FILE *file = create(name);

	fprintf(file,
		"/* Made by api/kindsc from api/kinds. */\n#include \"api/private.h\"\n\n"
		"const uint32_t catalog_block[%zu] = {",
		size / 4);
	for (size_t i = 0; i < size / 4; i++)
		fprintf(file, "%s0x%x,", i % 16 == 0 ? "\n" : "", words[i]);
	fprintf(file, "\n};\n\nconst struct api_group catalog_groups[] = {\n");
	for (size_t i = 0; i < groups.len; i++) {
		fprintf(file, "\t{ \"%.*s\", { ", STR_ARG(groups.ptr[i].name));
		for (size_t k = 0; k < groups.ptr[i].versions.len; k++)
			fprintf(file, "\"%.*s\", ", STR_ARG(groups.ptr[i].versions.ptr[k]));
		fprintf(file, "}, %zu },\n", groups.ptr[i].versions.len);
	}
	fprintf(file, "};\nconst size_t catalog_groups_len = %zu;\n", groups.len);
}

static void write_hooks(const char *name)
{
	AUTO_FILE FILE *file = create(name);

	fprintf(file, "/* Made by api/kindsc from api/kinds: names of hooks, in the order of their numbers. */\n");
	for (int which = 0; which < HOOKS; which++) {
		fprintf(file, "#define CATALOG_%s(X)", hook_names[which]);
		for (size_t i = 0; i < hooks[which].len; i++)
			fprintf(file, " \\\n\tX(%.*s)", STR_ARG(hooks[which].ptr[i]));
		fprintf(file, "\n");
	}
}

int main(int argc, char **argv)
{
	const uint32_t *words;
	size_t size;

	if (argc < 4) {
		fprintf(stderr, "usage: kindsc CATALOG.c HOOKS.h FILE.kinds…\n");
		return 1;
	}
	arena = arena_new();
	add_leaves();
	for (int i = 3; i < argc; i++)
		read_file(argv[i]);
	join_kinds();
	join_types();
	layout_mark(&layout);
	words = layout_block(&layout, &size);
	write_block(argv[1], words, size);
	write_hooks(argv[2]);
	/* The process ends here; the tables go with it. */
	return 0;
}
