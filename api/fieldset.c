/* Sets of fields: their algebra and their text. sigs.k8s.io/structured-merge-diff/fieldpath. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/fieldset.h"

struct fieldset *fieldset_new(struct arena *arena)
{
	struct fieldset *set = ARENA_NEW(arena, struct fieldset);

	*set = (struct fieldset){ .arena = arena, .places = { .arena = arena } };
	return set;
}

static struct fieldset_entry *find(const struct fieldset *set, struct str name)
{
	size_t place = set != NULL ? places_find(&set->places, name) : PLACES_NONE;

	return place != PLACES_NONE ? &set->entries[place] : NULL;
}

/* An entry that is nothing is not kept. */
static void keep(struct fieldset *set, struct str name, bool member, struct fieldset *below)
{
	if (fieldset_empty(below))
		below = NULL;
	if (!member && below == NULL)
		return;
	if (set->len == set->cap) {
		size_t cap = set->cap == 0 ? 8 : set->cap * 2;
		struct fieldset_entry *grown = ARENA_ARRAY(set->arena, struct fieldset_entry, cap);
		if (set->len != 0)
			memcpy(grown, set->entries, set->len * sizeof(*grown));
		set->entries = grown;
		set->cap = cap;
	}
	places_add(&set->places, name, set->len); /* of equal names the first is found */
	set->entries[set->len++] = (struct fieldset_entry){ name, member, below };
}

bool fieldset_empty(const struct fieldset *set)
{
	return set == NULL || set->len == 0;
}

/* ---- algebra ---- */

struct fieldset *fieldset_union(struct arena *arena, const struct fieldset *a, const struct fieldset *b)
{
	struct fieldset *out = fieldset_new(arena);

	for (size_t i = 0; a != NULL && i < a->len; i++) {
		const struct fieldset_entry *x = &a->entries[i], *y = find(b, x->name);
		keep(out, x->name, x->member || (y != NULL && y->member),
		     y != NULL ? fieldset_union(arena, x->below, y->below) : x->below);
	}
	for (size_t i = 0; b != NULL && i < b->len; i++)
		if (find(a, b->entries[i].name) == NULL)
			keep(out, b->entries[i].name, b->entries[i].member, b->entries[i].below);
	return out;
}

struct fieldset *fieldset_union_all(struct arena *arena, const struct fieldset *const *sets, size_t n)
{
	if (n < 2)
		return fieldset_union(arena, n == 0 ? NULL : sets[0], NULL);
	return fieldset_union(arena, fieldset_union_all(arena, sets, n / 2), fieldset_union_all(arena, sets + n / 2, n - n / 2));
}

struct fieldset *fieldset_both(struct arena *arena, const struct fieldset *a, const struct fieldset *b)
{
	struct fieldset *out = fieldset_new(arena);

	for (size_t i = 0; a != NULL && i < a->len; i++) {
		const struct fieldset_entry *x = &a->entries[i], *y = find(b, x->name);
		if (y != NULL)
			keep(out, x->name, x->member && y->member, fieldset_both(arena, x->below, y->below));
	}
	return out;
}

struct fieldset *fieldset_without(struct arena *arena, const struct fieldset *a, const struct fieldset *b)
{
	struct fieldset *out = fieldset_new(arena);

	for (size_t i = 0; a != NULL && i < a->len; i++) {
		const struct fieldset_entry *x = &a->entries[i], *y = find(b, x->name);
		if (y == NULL)
			keep(out, x->name, x->member, x->below);
		else
			keep(out, x->name, x->member && !y->member, fieldset_without(arena, x->below, y->below));
	}
	return out;
}

static struct fieldset *without_path(struct arena *arena, const struct fieldset *set, struct str path)
{
	struct fieldset *out = fieldset_new(arena);
	struct str first;

	str_cut(&path, '.', &first);
	for (size_t i = 0; set != NULL && i < set->len; i++) {
		const struct fieldset_entry *x = &set->entries[i];
		if (!str_has_prefix(x->name, STR("f:")) || !str_eq(str_skip(x->name, 2), first))
			keep(out, x->name, x->member, x->below);
		else if (path.len != 0)
			keep(out, x->name, x->member, without_path(arena, x->below, path));
	}
	return out;
}

struct fieldset *fieldset_without_path(struct arena *arena, const struct fieldset *set, const char *path)
{
	return without_path(arena, set, str_from(path));
}

/* ---- order: fields, keys, values, indices ---- */

struct sorted {
	const struct fieldset_entry *entry;
	const struct json *value; /* of a key or value */
};

static int rank(struct str name)
{
	switch (name.ptr[0]) {
	case 'f':
		return 0;
	case 'k':
		return 1;
	case 'v':
		return 2;
	default:
		return 3;
	}
}

static int compare_values(const struct json *a, const struct json *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->type == JSON_NUMBER) {
		double x = json_double(a, 0), y = json_double(b, 0);
		return x < y ? -1 : x > y;
	}
	if (a->type == JSON_STRING)
		return str_cmp(a->text, b->text);
	for (size_t i = 0; a->type == JSON_OBJECT && i < a->len && i < b->len; i++) {
		int order = str_cmp(a->members[i].key, b->members[i].key);
		if (order == 0)
			order = compare_values(a->members[i].value, b->members[i].value);
		if (order != 0)
			return order;
	}
	return json_len(a) < json_len(b) ? -1 : json_len(a) > json_len(b);
}

static int by_element(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int order = rank(x->entry->name) - rank(y->entry->name);

	if (order == 0 && x->value != NULL && y->value != NULL)
		order = compare_values(x->value, y->value);
	return order != 0 ? order : str_cmp(x->entry->name, y->entry->name);
}

static struct sorted *sort(struct arena *arena, const struct fieldset *set)
{
	struct sorted *list = ARENA_ARRAY(arena, struct sorted, set->len + 1);

	for (size_t i = 0; i < set->len; i++) {
		list[i].entry = &set->entries[i];
		list[i].value = NULL;
		if (rank(set->entries[i].name) != 0) {
			AUTO_ERROR err = json_read(arena, str_skip(set->entries[i].name, 2), NULL, &list[i].value);
			if (err != NULL)
				list[i].value = NULL;
		}
	}
	qsort(list, set->len, sizeof(*list), by_element);
	return list;
}

/* ---- text ---- */

struct fieldset *fieldset_read(struct arena *arena, const struct json *fields)
{
	struct fieldset *set = fieldset_new(arena);

	if (!json_is(fields, JSON_OBJECT))
		return set;
	JSON_EACH (fields, it) {
		if (it.key.len < 2 || it.key.ptr[1] != ':')
			continue;
		bool member = json_len(it.value) == 0 || json_get(it.value, ".") != NULL;
		keep(set, it.key, member, fieldset_read(arena, it.value));
	}
	return set;
}

static const struct json *to_json(struct arena *arena, const struct fieldset *set, bool member)
{
	struct json_builder b = { .arena = arena };

	if (fieldset_empty(set))
		return &json_empty_object;
	struct sorted *list = sort(arena, set);
	if (member)
		json_builder_member(&b, STR("."), &json_empty_object);
	for (size_t i = 0; i < set->len; i++)
		json_builder_member(&b, list[i].entry->name, to_json(arena, list[i].entry->below, list[i].entry->member));
	return json_builder_object(&b);
}

const struct json *fieldset_json(struct arena *arena, const struct fieldset *set)
{
	return to_json(arena, set, false);
}

static struct str path_below(struct arena *arena, struct str path, const struct sorted *at)
{
	AUTO_BUF struct buf out = { 0 };
	struct str name = str_skip(at->entry->name, 2);

	buf_add(&out, path);
	switch (rank(at->entry->name)) {
	case 0:
		buf_printf(&out, ".%.*s", STR_ARG(name));
		break;
	case 1:
		buf_putc(&out, '[');
		JSON_EACH (at->value, it) {
			buf_printf(&out, "%s%.*s=", it.index == 0 ? "" : ",", STR_ARG(it.key));
			json_write(&out, it.value);
		}
		buf_putc(&out, ']');
		break;
	case 2:
		buf_printf(&out, "[=%.*s]", STR_ARG(name));
		break;
	default:
		buf_printf(&out, "[%.*s]", STR_ARG(name));
		break;
	}
	return str_dup(arena, buf_str(&out));
}

static void each(struct arena *arena, const struct fieldset *set, struct str path, void (*take)(void *arg, struct str path),
		 void *arg)
{
	if (fieldset_empty(set))
		return;
	struct sorted *list = sort(arena, set);
	for (size_t i = 0; i < set->len; i++)
		if (list[i].entry->member)
			take(arg, path_below(arena, path, &list[i]));
	for (size_t i = 0; i < set->len; i++)
		each(arena, list[i].entry->below, path_below(arena, path, &list[i]), take, arg);
}

void fieldset_each(struct arena *arena, const struct fieldset *set, void (*take)(void *arg, struct str path), void *arg)
{
	each(arena, set, STR(""), take, arg);
}

/* ---- trees ---- */

enum node { NODE_LEAF, NODE_STRUCT, NODE_MAP, NODE_SET, NODE_LIST };

static enum node node_of(struct place place, const struct json *value)
{
	const struct field *field = place.field;

	if (place.leaf)
		return NODE_LEAF;
	if (field != NULL && field->shape == SHAPE_LIST)
		return field->list_type == LIST_SET ? NODE_SET : field->list_type == LIST_MAP ? NODE_LIST : NODE_LEAF;
	if (field != NULL && (field->flags & FIELD_MAP_ATOMIC) != 0)
		return NODE_LEAF;
	if (field != NULL && field->shape != SHAPE_ONE)
		return NODE_MAP;
	if (place.type == NULL || place.type->form == FORM_JSON)
		return json_is(value, JSON_OBJECT) ? NODE_MAP : NODE_LEAF;
	if (place.type->form != FORM_STRUCT || (place.type->flags & TYPE_ATOMIC) != 0)
		return NODE_LEAF;
	return NODE_STRUCT;
}

/* A list or map that lies in another one is described by a field of its own. */
static struct place settled(struct place place)
{
	while (!place.leaf && place.type != NULL && place.type->form == FORM_NESTED) {
		place.field = type_at(place.type, 0);
		place.type = field_type(place.field);
	}
	return place;
}

/* *known: a field that the schema names. */
static struct place place_below(struct place place, enum node node, struct str key, bool *known)
{
	const struct field *field = node == NODE_STRUCT ? type_find(place.type, key) : NULL;

	*known = field != NULL;
	if (field != NULL)
		return (struct place){ .type = field_type(field), .field = field };
	if (place.field == NULL || node == NODE_STRUCT)
		return (struct place){ .type = NULL };
	return settled((struct place){ .type = field_type(place.field), .leaf = place.field->shape == SHAPE_MAP_OF_LISTS });
}

static struct place item_place(struct place place)
{
	return settled((struct place){ .type = field_type(place.field) });
}

/* A key that an item leaves out may have a default in the schema; what Go always writes has its zero. */
static const struct json *key_of(struct arena *arena, const struct field *list, const struct json *item, struct str key)
{
	const struct json *value = json_find(item, key);
	const struct field *field = type_find(field_type(list), key);

	if (value != NULL || field == NULL)
		return value;
	if (field_declared(field).len == 0) {
		bool zero = (field->flags & (FIELD_OMIT_EMPTY | FIELD_POINTER)) == 0 &&
			    (field_type(list)->flags & TYPE_CUSTOM) == 0;

		return !zero                                    ? NULL
		       : field_type(field)->form == FORM_STRING ? &json_empty_string
		       : field_type(field)->form == FORM_INT32  ? json_number(arena, 0)
								: NULL;
	}
	AUTO_ERROR err = json_read(arena, field_declared(field), NULL, &value);
	return err == NULL ? value : NULL;
}

static struct str element(struct arena *arena, struct place place, enum node node, const struct json *item)
{
	struct json_builder keys = { .arena = arena };

	if (node == NODE_SET)
		return str_format(arena, "v:%.*s", STR_ARG(json_format(arena, item)));
	for (size_t i = 0; i < place.field->list_keys.n; i++) {
		struct str key = catalog_text_at(&place.field->list_keys, i);
		const struct json *value = key_of(arena, place.field, item, key);
		if (value != NULL)
			json_builder_member(&keys, key, value);
	}
	json_builder_sort(&keys);
	return str_format(arena, "k:%.*s", STR_ARG(json_format(arena, json_builder_object(&keys))));
}

/* Where the items of a list are, by their keys. */
static struct places items_of(struct arena *arena, struct place place, enum node node, const struct json *list)
{
	struct places items = { .arena = arena };

	JSON_EACH (list, it)
		places_add(&items, element(arena, place, node, it.value), it.index);
	return items;
}

/* The names that several items have. What is below them belongs to nobody: such an item is owned as a whole. */
static struct places twice_of(struct arena *arena, struct place place, enum node node, const struct json *list)
{
	struct places seen = { .arena = arena }, twice = { .arena = arena };

	JSON_EACH (list, it) {
		struct str name = element(arena, place, node, it.value);

		if (places_add(&seen, name, it.index) != it.index)
			places_add(&twice, name, it.index);
	}
	return twice;
}

static const struct json *item_find(const struct json *list, const struct places *items, struct str name)
{
	return json_at(list, places_find(items, name)); /* NULL when nowhere */
}

static bool is_map(enum node node)
{
	return node == NODE_STRUCT || node == NODE_MAP;
}

/* Of what a node may hold; a leaf holds nothing. */
static size_t size(const struct json *value, enum node node)
{
	if (node == NODE_LEAF)
		return 0;
	return json_is(value, is_map(node) ? JSON_OBJECT : JSON_ARRAY) ? json_len(value) : 0;
}

static struct fieldset *set_of(struct arena *arena, struct place place, const struct json *value, bool *member)
{
	enum node node = node_of(place, value);
	bool known;

	*member = node == NODE_LEAF;
	if (size(value, node) == 0)
		return NULL;
	struct fieldset *set = fieldset_new(arena);
	struct places twice = is_map(node) ? (struct places){ .arena = arena } : twice_of(arena, place, node, value);
	JSON_EACH (value, it) {
		bool self;
		if (!is_map(node)) {
			struct str name = element(arena, place, node, it.value);
			bool whole = places_find(&twice, name) != PLACES_NONE;
			keep(set, name, true, whole ? NULL : set_of(arena, item_place(place), it.value, &self));
			continue;
		}
		struct place child = place_below(place, node, it.key, &known);
		struct fieldset *below = set_of(arena, child, it.value, &self);
		bool hollow = it.value->type == JSON_NULL || (it.value->type == JSON_OBJECT && it.value->len == 0);
		keep(set, str_format(arena, "f:%.*s", STR_ARG(it.key)), self || hollow || !known, below);
	}
	return set;
}

struct fieldset *fieldset_of(struct arena *arena, const struct type *type, const struct json *tree)
{
	bool member;
	struct fieldset *set = set_of(arena, (struct place){ .type = type }, tree, &member);

	return set != NULL ? set : fieldset_new(arena);
}

/* ---- comparing ---- */

struct marks {
	bool added, removed, modified;
};

static void compare(struct arena *arena, struct place place, const struct json *from, const struct json *to, struct comparison *out,
		    struct marks *self);

static void compare_child(struct arena *arena, struct place place, struct str name, const struct json *from, const struct json *to,
			  struct comparison *out)
{
	struct comparison below;
	struct marks marks;

	compare(arena, place, from, to, &below, &marks);
	keep(out->added, name, marks.added, below.added);
	keep(out->removed, name, marks.removed, below.removed);
	keep(out->modified, name, marks.modified, below.modified);
}

/* All items of that name. */
static const struct json *items_named(struct arena *arena, struct place place, enum node node, const struct json *list,
				      struct str name)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (list, it)
		if (str_eq(element(arena, place, node, it.value), name))
			json_builder_item(&b, it.value);
	return b.len == 0 ? NULL : json_builder_array(&b);
}

/* Items of a list, those of one name together when there are several. */
static void compare_items(struct arena *arena, struct place place, enum node node, const struct json *from, const struct json *to,
			  struct comparison *out)
{
	struct places old = items_of(arena, place, node, from), new = items_of(arena, place, node, to);
	struct places twice_old = twice_of(arena, place, node, from), twice_new = twice_of(arena, place, node, to);
	struct place whole = { .type = place.type, .leaf = true };

	for (int round = 0; round < 2; round++)
		JSON_EACH (round == 0 ? from : to, it) {
			struct str name = element(arena, place, node, it.value);
			bool twice = places_find(&twice_old, name) != PLACES_NONE || places_find(&twice_new, name) != PLACES_NONE;

			if (round == 1 && places_find(&old, name) != PLACES_NONE)
				continue;
			if (places_find(round == 0 ? &old : &new, name) != it.index)
				continue;
			if (twice)
				compare_child(arena, whole, name, items_named(arena, place, node, from, name),
					      items_named(arena, place, node, to, name), out);
			else
				compare_child(arena, item_place(place), name, round == 0 ? it.value : NULL,
					      item_find(to, &new, name), out);
		}
}

static void compare(struct arena *arena, struct place place, const struct json *from, const struct json *to, struct comparison *out,
		    struct marks *self)
{
	enum node node = node_of(place, to != NULL ? to : from);
	bool known;

	*out = (struct comparison){ NULL, NULL, NULL };
	*self = (struct marks){ .added = from == NULL && to != NULL, .removed = to == NULL && from != NULL };
	if (size(from, node) == 0 && size(to, node) == 0) {
		self->modified = from != NULL && to != NULL && !json_equal(from, to);
		return;
	}
	*out = (struct comparison){ fieldset_new(arena), fieldset_new(arena), fieldset_new(arena) };
	if (is_map(node)) {
		JSON_EACH (from, it)
			compare_child(arena, place_below(place, node, it.key, &known), str_format(arena, "f:%.*s", STR_ARG(it.key)),
				      it.value, json_find(to, it.key), out);
		JSON_EACH (to, it)
			if (json_find(from, it.key) == NULL)
				compare_child(arena, place_below(place, node, it.key, &known),
					      str_format(arena, "f:%.*s", STR_ARG(it.key)), NULL, it.value, out);
		return;
	}
	compare_items(arena, place, node, from, to, out);
}

struct comparison fieldset_compare(struct arena *arena, const struct type *type, const struct json *from, const struct json *to)
{
	struct comparison out;
	struct marks self;

	compare(arena, (struct place){ .type = type }, from, to, &out, &self);
	return out.added != NULL ? out : (struct comparison){ fieldset_new(arena), fieldset_new(arena), fieldset_new(arena) };
}

static struct fieldset *named(struct arena *arena, struct place place, const struct fieldset *set)
{
	struct fieldset *out = fieldset_new(arena);
	enum node node = node_of(place, &json_empty_object);
	bool known = false;

	for (size_t i = 0; set != NULL && i < set->len; i++) {
		const struct fieldset_entry *x = &set->entries[i];
		struct place child = { .type = NULL };
		known = false;
		if (rank(x->name) == 0 && is_map(node))
			child = place_below(place, node, str_skip(x->name, 2), &known);
		else if (rank(x->name) != 0 && place.field != NULL)
			child = item_place(place);
		keep(out, x->name, x->member || known, x->below == NULL ? NULL : named(arena, child, x->below));
	}
	return out;
}

struct fieldset *fieldset_named(struct arena *arena, const struct type *type, const struct fieldset *set)
{
	return named(arena, (struct place){ .type = type }, set);
}

/* ---- merging ---- */

/* What a tree says against its schema, all of it, in the words of structured-merge-diff's typed/validate.go. */
struct judge {
	struct arena *arena;
	struct buf all;
	size_t n;
};

static void judge(struct judge *j, struct place place, struct str path, const struct json *value);

#define BLAME(j, path, ...)                                                                                                        \
	do {                                                                                                                       \
		buf_printf(&(j)->all, "%s%.*s: ", (j)->n++ == 0 ? "" : "\n  ", STR_ARG(path));                                     \
		buf_printf(&(j)->all, __VA_ARGS__);                                                                                \
	} while (0)

/* A value as Go's %#v writes it. */
static struct str go_syntax(struct arena *arena, const struct json *value)
{
	bool map = value->type == JSON_OBJECT;
	AUTO_BUF struct buf out = { 0 };

	if (value->type != JSON_OBJECT && value->type != JSON_ARRAY)
		return value->type == JSON_STRING ? str_from(api_quoted(arena, json_str(value))) : json_format(arena, value);
	buf_printf(&out, "%s{", map ? "map[string]interface {}" : "[]interface {}");
	JSON_EACH (value, it)
		buf_printf(&out, "%s%s%s%.*s", it.index == 0 ? "" : ", ", map ? api_quoted(arena, it.key) : "", map ? ":" : "",
			   STR_ARG(go_syntax(arena, it.value)));
	buf_putc(&out, '}');
	return str_dup(arena, buf_str(&out));
}

static const char *go_type(const struct json *value)
{
	static const char *const names[] = { [JSON_BOOL] = "bool",
					     [JSON_NUMBER] = "float64",
					     [JSON_STRING] = "string",
					     [JSON_ARRAY] = "[]interface {}",
					     [JSON_OBJECT] = "map[string]interface {}" };

	return names[value->type];
}

/* Why an item can be none of the list, or NULL. */
static const char *no_item(struct judge *j, struct place place, enum node node, const struct json *item)
{
	AUTO_BUF struct buf keys = { 0 };

	if (node == NODE_SET)
		return json_is(item, JSON_OBJECT)  ? "associative list without keys has an element that's a map type"
		       : json_is(item, JSON_ARRAY) ? "not supported: associative list with lists as elements"
		       : json_is(item, JSON_NULL)  ? "associative list without keys has an element that's an explicit null"
						   : NULL;
	if (!json_is(item, JSON_OBJECT))
		return json_is(item, JSON_NULL) ? "associative list with keys may not have a null element"
						: "associative list with keys may not have non-map elements";
	for (size_t i = 0; i < place.field->list_keys.n; i++) {
		struct str key = catalog_text_at(&place.field->list_keys, i);
		if (key_of(j->arena, place.field, item, key) != NULL)
			return NULL;
		buf_printf(&keys, "%s\"%.*s\"", i == 0 ? "" : " ", STR_ARG(key));
	}
	return arena_printf(j->arena,
			    "associative list with keys has an element that omits all key fields [%s] (and doesn't have default "
			    "values for any key fields)",
			    buf_cstr(&keys));
}

static void judge_items(struct judge *j, struct place place, struct str path, const struct json *list)
{
	enum node node = place.leaf ? NODE_LEAF : node_of(place, list);
	struct places seen = { .arena = j->arena };
	struct place below = place.leaf ? (struct place){ .type = place.type } : item_place(place);

	JSON_EACH (list, it) {
		const char *why = node == NODE_LEAF ? NULL : no_item(j, place, node, it.value);
		struct str text = str_format(j->arena, "[%zu]", it.index);

		if (why != NULL) {
			BLAME(j, path, "element %zu: %s", it.index, why);
			return;
		}
		if (node != NODE_LEAF) {
			struct fieldset_entry entry = { .name = element(j->arena, place, node, it.value), .member = true };
			text = path_below(j->arena, STR(""), sort(j->arena, &(struct fieldset){ .entries = &entry, .len = 1 }));
			if (places_add(&seen, entry.name, it.index) != it.index)
				BLAME(j, path, "duplicate entries for key %.*s", STR_ARG(text));
		}
		judge(j, below, str_format(j->arena, "%.*s%.*s", STR_ARG(path), STR_ARG(text)), it.value);
	}
}

static void judge_members(struct judge *j, struct place place, enum node node, struct str path, const struct json *map)
{
	JSON_EACH (map, it) {
		bool known, self = path.len == 0 && (str_is(it.key, "kind") || str_is(it.key, "apiVersion"));
		struct place below = place_below(place, node, it.key, &known);
		struct str at = str_format(j->arena, "%.*s.%.*s", STR_ARG(path), STR_ARG(it.key));

		if (node == NODE_STRUCT && !known && !self && (place.type->flags & TYPE_PRESERVES) == 0) {
			BLAME(j, at, "field not declared in schema");
			return;
		}
		if (node != NODE_STRUCT || known)
			judge(j, below, at, it.value);
	}
}

static void judge_scalar(struct judge *j, int form, struct str path, const struct json *value)
{
	static const struct {
		enum json_type is;
		const char *name;
	} forms[FORM_COUNT] = {
		[FORM_STRING] = { JSON_STRING, "string" },
		[FORM_BYTES] = { JSON_STRING, "string" },
		[FORM_BOOL] = { JSON_BOOL, "boolean" },
		[FORM_INT32] = { JSON_NUMBER, "numeric (int or float)" },
		[FORM_INT64] = { JSON_NUMBER, "numeric (int or float)" },
		[FORM_DOUBLE] = { JSON_NUMBER, "numeric (int or float)" },
	};
	bool any = form == FORM_QUANTITY || form == FORM_INT_OR_STRING || form == FORM_TIME || form == FORM_MICRO_TIME,
	     holds = json_is(value, JSON_OBJECT) || json_is(value, JSON_ARRAY);

	if (any ? !holds : forms[form].name == NULL || value->type == forms[form].is)
		return;
	if (any || form == FORM_BOOL)
		BLAME(j, path, "expected %s, got &{%.*s}", any ? "any scalar" : "boolean", STR_ARG(api_go_text(j->arena, value)));
	else if (forms[form].is == JSON_NUMBER)
		BLAME(j, path, "expected %s, got %s", forms[form].name, go_type(value));
	else
		BLAME(j, path, "expected string, got &value.valueUnstructured{Value:%.*s}", STR_ARG(go_syntax(j->arena, value)));
}

static void judge(struct judge *j, struct place place, struct str path, const struct json *value)
{
	const struct field *field = place.field;
	bool list = place.leaf || (field != NULL && field->shape == SHAPE_LIST);
	bool map = !list &&
		   ((field != NULL && field->shape != SHAPE_ONE) || (place.type != NULL && place.type->form == FORM_STRUCT));
	enum node node = field != NULL && field->shape != SHAPE_ONE ? NODE_MAP : NODE_STRUCT;

	if (value->type == JSON_NULL || place.type == NULL || j->n > 100)
		return;
	if ((list && value->type != JSON_ARRAY) || (map && value->type != JSON_OBJECT))
		BLAME(j, path, "expected %s, got &{%.*s}", list ? "list" : "map", STR_ARG(api_go_text(j->arena, value)));
	else if (list)
		judge_items(j, place, path, value);
	else if (map)
		judge_members(j, place, node, path, value);
	else
		judge_scalar(j, place.type->form, path, value);
}

struct error *merge_check(struct arena *arena, const struct type *type, const struct json *tree)
{
	struct judge j = { .arena = arena };
	struct error *err = NULL;

	judge(&j, (struct place){ .type = type }, STR(""), tree);
	if (j.n != 0)
		err = error_new(ERR_PLAIN, "%s%s", j.n > 1 ? "errors:\n  " : "", buf_cstr(&j.all));
	buf_fini(&j.all);
	return err;
}

static const struct json *merge(struct arena *arena, struct place place, const struct json *live, const struct json *config);

/* Items of both lists: shared ones in config's order, live's own where they were. */
static const struct json *merge_items(struct arena *arena, struct place place, enum node node, const struct json *live,
				      const struct json *config)
{
	struct json_builder b = { .arena = arena };
	size_t n = json_len(live), m = json_len(config), l = 0, shared = 0;
	struct str *names = ARENA_ARRAY(arena, struct str, n + 1), *wanted = ARENA_ARRAY(arena, struct str, m + 1);
	struct places in_live = { .arena = arena }, in_config = { .arena = arena };
	bool *taken = ARENA_ARRAY(arena, bool, m + 1);

	for (size_t i = 0; i < n; i++)
		places_add(&in_live, names[i] = element(arena, place, node, live->items[i]), i);
	for (size_t i = 0; i < m; i++)
		places_add(&in_config, wanted[i] = element(arena, place, node, config->items[i]), i);
	for (size_t r = 0; l < n || r < m;) {
		size_t at = l < n ? places_find(&in_config, names[l]) : PLACES_NONE; /* where config has live's next */
		if (at == PLACES_NONE)
			at = m;
		/* The next shared item that config still wants. */
		for (; shared < m && (shared < r || item_find(live, &in_live, wanted[shared]) == NULL); shared++)
			;
		if (l < n && r < m && at == r) {
			json_builder_item(&b, merge(arena, item_place(place), live->items[l++], config->items[r]));
			taken[r++] = true;
			continue;
		}
		if (l < n && r < m && at != m && shared != m && !str_eq(wanted[shared], names[l])) {
			l++;
			continue;
		}
		if (l < n && at == m) {
			json_builder_item(&b, live->items[l++]);
			continue;
		}
		if (l < n && taken[at])
			l++;
		if (r < m) {
			const struct json *old = item_find(live, &in_live, wanted[r]);
			json_builder_item(&b, merge(arena, item_place(place), old, config->items[r]));
			taken[r++] = true;
		}
	}
	return json_builder_array(&b);
}

static const struct json *merge(struct arena *arena, struct place place, const struct json *live, const struct json *config)
{
	struct json_builder b = { .arena = arena };
	enum node node = node_of(place, config != NULL ? config : live);
	bool known;

	if (config == NULL || live == NULL)
		return config != NULL ? config : live;
	if (node == NODE_LEAF || size(live, node) == 0)
		return config;
	if (size(config, node) == 0)
		return live;
	if (!is_map(node))
		return merge_items(arena, place, node, live, config);
	JSON_EACH (live, it)
		json_builder_member(&b, it.key,
				    merge(arena, place_below(place, node, it.key, &known), it.value, json_find(config, it.key)));
	JSON_EACH (config, it)
		if (json_find(live, it.key) == NULL)
			json_builder_member(&b, it.key, it.value);
	return json_builder_object(&b);
}

const struct json *merge_trees(struct arena *arena, const struct type *type, const struct json *live, const struct json *config)
{
	return merge(arena, (struct place){ .type = type }, live, config);
}

static const struct json *without(struct arena *arena, struct place place, const struct json *value, const struct fieldset *set)
{
	struct json_builder b = { .arena = arena };
	enum node node = node_of(place, value);
	bool known;

	if (node == NODE_LEAF)
		return json_is(value, JSON_ARRAY) && json_len(value) != 0 ? &json_null : value;
	if (size(value, node) == 0)
		return &json_null;
	JSON_EACH (value, it) {
		struct str name = is_map(node) ? str_format(arena, "f:%.*s", STR_ARG(it.key))
					       : element(arena, place, node, it.value);
		const struct fieldset_entry *entry = find(set, name);
		const struct json *child = it.value;
		if (entry != NULL && entry->member)
			continue;
		if (entry != NULL && entry->below != NULL)
			child = without(arena, is_map(node) ? place_below(place, node, it.key, &known) : item_place(place), child,
					entry->below);
		if (is_map(node))
			json_builder_member(&b, it.key, child);
		else
			json_builder_item(&b, child);
	}
	return b.len == 0 ? &json_null : is_map(node) ? json_builder_object(&b) : json_builder_array(&b);
}

const struct json *merge_remove(struct arena *arena, const struct type *type, const struct json *tree, const struct fieldset *set)
{
	const struct json *out = without(arena, (struct place){ .type = type }, tree, set);

	return json_is(out, JSON_OBJECT) ? out : &json_empty_object;
}
