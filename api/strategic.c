/*
 * Strategic merge patch: what a field's patch strategy and merge key make of a patch.
 *
 * Objects merge member by member; null removes. A list is replaced, unless its field says "merge": then primitive items
 * are united, and objects with the same merge key are merged. Directives: $patch (replace, delete) in an object,
 * $retainKeys beside the members of a union, $deleteFromPrimitiveList/x and $setElementOrder/x beside a list x.
 * The order of a merged list: the patch's items in the patch's order (or that of $setElementOrder), those only the server
 * has among them where they stood before. Words and statuses are upstream's (pkg/util/strategicpatch).
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/auto.h"
#include "base/places.h"

static const char set_order[] = "$setElementOrder/", delete_from[] = "$deleteFromPrimitiveList/";

/* What is known of a value: a struct, a map with elements of a field's type, or nothing. */
struct shape {
	const struct type *type;
	const struct field *map;
};

static struct error *merge_object(struct arena *arena, struct shape shape, const struct json *original, const struct json *patch,
				  const struct json **out) MUST_CHECK;

static struct shape shape_of(const struct field *field)
{
	if (field == NULL)
		return (struct shape){ NULL, NULL };
	if (field->shape == SHAPE_MAP)
		return (struct shape){ NULL, field };
	return (struct shape){ field_type(field), NULL };
}

static const struct field *field_of(struct shape shape, struct str key)
{
	return shape.type == NULL ? NULL : type_find(shape.type, key);
}

static struct shape child_shape(struct shape shape, struct str key)
{
	if (shape.map != NULL)
		return (struct shape){ field_type(shape.map), NULL };
	return shape_of(field_of(shape, key));
}

static bool merges(const struct field *field)
{
	return field != NULL && (field->flags & FIELD_PATCH_MERGE) != 0;
}

/* ---- Go's %v, for messages ---- */

static int by_key(const void *a, const void *b)
{
	return str_cmp((*(const struct json_member *const *)a)->key, (*(const struct json_member *const *)b)->key);
}

static void write_go(struct buf *out, const struct json *value)
{
	if (json_absent(value)) {
		buf_add(out, STR("<nil>"));
		return;
	}
	switch (value->type) {
	case JSON_NULL:
	case JSON_BOOL:
		buf_add(out, value->len != 0 ? STR("true") : STR("false"));
		return;
	case JSON_NUMBER:
	case JSON_STRING:
		buf_add(out, value->text);
		return;
	case JSON_ARRAY:
		buf_putc(out, '[');
		for (uint32_t i = 0; i < value->len; i++) {
			if (i != 0)
				buf_putc(out, ' ');
			write_go(out, value->items[i]);
		}
		buf_putc(out, ']');
		return;
	case JSON_OBJECT:
		break;
	}
	const struct json_member **members = xmalloc(value->len * sizeof(*members) + 1);
	for (uint32_t i = 0; i < value->len; i++)
		members[i] = &value->members[i];
	qsort(members, value->len, sizeof(*members), by_key);
	buf_add(out, STR("map["));
	for (uint32_t i = 0; i < value->len; i++) {
		buf_printf(out, "%s%.*s:", i == 0 ? "" : " ", STR_ARG(members[i]->key));
		write_go(out, members[i]->value);
	}
	buf_putc(out, ']');
	free(members);
}

struct str api_go_text(struct arena *arena, const struct json *value)
{
	AUTO_BUF struct buf out = { 0 };

	write_go(&out, value);
	return str_dup(arena, buf_str(&out));
}

static struct error *no_merge_key(struct arena *arena, const struct json *item, struct str key)
{
	return error_new(ERR_PLAIN, "map: %.*s does not contain declared merge key: %.*s", STR_ARG(api_go_text(arena, item)),
			 STR_ARG(key));
}

static struct error *bad_directive(struct arena *arena, const struct json *directive, const struct json *patch)
{
	return error_new(ERR_PLAIN, "unknown patch type: %.*s in map: %.*s", STR_ARG(api_go_text(arena, directive)),
			 STR_ARG(api_go_text(arena, patch)));
}

/* ---- what is new: taken as it is, without directives and nulls ---- */

static bool is_directive(struct str key)
{
	return str_is(key, "$patch") || str_is(key, "$retainKeys") || str_has_prefix(key, str_from(set_order)) ||
	       str_has_prefix(key, str_from(delete_from));
}

/* NULL when nothing is left, as of {"$patch": "delete"}. */
static const struct json *clean(struct arena *arena, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	if (json_is(value, JSON_ARRAY)) {
		JSON_EACH (value, it)
			json_builder_item(&b, clean(arena, it.value));
		return json_builder_array(&b);
	}
	if (!json_is(value, JSON_OBJECT))
		return value;
	if (str_is(json_get_str(value, "$patch"), "delete"))
		return NULL;
	JSON_EACH (value, it)
		if (it.value->type != JSON_NULL && !is_directive(it.key))
			json_builder_member(&b, it.key, clean(arena, it.value));
	return json_builder_object(&b);
}

/* ---- lists ---- */

static bool same_item(const struct json *a, const struct json *b, struct str key)
{
	if (key.len == 0)
		return json_equal(a, b);
	const struct json *x = json_find(a, key);
	return x != NULL && json_equal(x, json_find(b, key));
}

/* Items of a list by their merge key, or, without one, by themselves. */
struct finder {
	struct str key;
	struct places places;
};

static struct str finder_key(const struct finder *finder, const struct json *item)
{
	return json_key(finder->places.arena, finder->key.len == 0 ? item : json_find(item, finder->key));
}

/* Of equal items the first is found, those without a key never. */
static bool finder_add(struct finder *finder, const struct json *item, size_t place)
{
	struct str key = finder_key(finder, item);

	return key.len != 0 && places_add(&finder->places, key, place) == place;
}

static struct finder finder_of(struct arena *arena, const struct json *list, struct str key)
{
	struct finder finder = { .key = key, .places = { .arena = arena } };

	JSON_EACH (list, it)
		finder_add(&finder, it.value, it.index);
	return finder;
}

static ptrdiff_t index_in(const struct finder *finder, const struct json *item)
{
	size_t place = places_find(&finder->places, finder_key(finder, item));

	return place == PLACES_NONE ? -1 : (ptrdiff_t)place;
}

struct ranked {
	const struct json *item;
	ptrdiff_t rank;
	size_t place;
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->place < y->place ? -1 : 1;
}

/* Items of merged that order names (or does not), sorted by their place in by. */
static size_t pick(const struct json *merged, const struct finder *order, bool named, const struct finder *by, struct ranked *out)
{
	size_t n = 0;

	JSON_EACH (merged, it)
		if ((index_in(order, it.value) >= 0) == named)
			out[n++] = (struct ranked){ it.value, index_in(by, it.value), it.index };
	qsort(out, n, sizeof(*out), by_rank);
	return n;
}

static const struct json *in_order(struct arena *arena, const struct json *merged, const struct json *order,
				   const struct json *before, struct str key)
{
	struct json_builder b = { .arena = arena };
	struct finder in = finder_of(arena, order, key), were = finder_of(arena, before, key);
	struct ranked *named = ARENA_ARRAY(arena, struct ranked, json_len(merged));
	struct ranked *others = ARENA_ARRAY(arena, struct ranked, json_len(merged));
	size_t n_named = pick(merged, &in, true, &in, named);
	size_t n_others = pick(merged, &in, false, &were, others);
	size_t i = 0, k = 0;

	while (i < n_others || k < n_named) {
		bool other = k == n_named;
		if (i < n_others && k < n_named) {
			ptrdiff_t place = index_in(&were, named[k].item);
			other = others[i].rank >= 0 && place >= 0 && others[i].rank < place;
		}
		json_builder_item(&b, other ? others[i++].item : named[k++].item);
	}
	return json_builder_array(&b);
}

static const struct json *unite(struct arena *arena, const struct json *original, const struct json *patch)
{
	struct json_builder b = { .arena = arena };
	struct finder finder = finder_of(arena, NULL, STR(""));

	for (int round = 0; round < 2; round++)
		JSON_EACH (round == 0 ? original : patch, it)
			if (finder_add(&finder, it.value, b.len))
				json_builder_item(&b, it.value);
	return json_builder_array(&b);
}

static const struct json *remove_items(struct arena *arena, const struct json *original, const struct json *remove, struct str key)
{
	struct json_builder b = { .arena = arena };
	struct finder gone = finder_of(arena, remove, key);

	JSON_EACH (original, it)
		if (index_in(&gone, it.value) < 0)
			json_builder_item(&b, it.value);
	return json_builder_array(&b);
}

/* Deletions and replacement first: *original and *patch are what is left to merge. */
static struct error *special_items(struct arena *arena, const struct json **original, const struct json **patch, struct str key)
{
	struct json_builder rest = { .arena = arena }, gone = { .arena = arena };
	bool replace = false;

	JSON_EACH (*patch, it) {
		const struct json *directive = json_get(it.value, "$patch");
		if (directive == NULL) {
			json_builder_item(&rest, it.value);
		} else if (str_is(json_str(directive), "delete")) {
			if (json_find(it.value, key) == NULL)
				return no_merge_key(arena, it.value, key);
			json_builder_item(&gone, it.value);
		} else if (str_is(json_str(directive), "replace")) {
			replace = true;
		} else if (str_is(json_str(directive), "merge")) {
			return error_new(ERR_PLAIN, "merging lists cannot yet be specified in the patch");
		} else {
			return bad_directive(arena, directive, it.value);
		}
	}
	*original = remove_items(arena, *original, json_builder_array(&gone), key);
	*patch = json_builder_array(&rest);
	if (replace) {
		*original = *patch;
		*patch = &json_empty_array;
	}
	return NULL;
}

static struct error *merge_items(struct arena *arena, struct shape shape, const struct json *original, const struct json *patch,
				 struct str key, const struct json **out)
{
	struct json_builder merged = { .arena = arena };
	struct finder finder = finder_of(arena, original, key);

	JSON_EACH (original, it)
		json_builder_item(&merged, it.value);
	JSON_EACH (patch, it) {
		const struct json *item = it.value;
		if (json_find(item, key) == NULL)
			return no_merge_key(arena, item, key);
		ptrdiff_t at = index_in(&finder, item);
		if (at >= 0) {
			struct error *err = merge_object(arena, shape, merged.items[at], item, &merged.items[at]);
			if (err != NULL)
				return err;
		} else {
			item = clean(arena, item);
			finder_add(&finder, item, merged.len);
			json_builder_item(&merged, item);
		}
	}
	*out = json_builder_array(&merged);
	return NULL;
}

static struct error *check_items(struct arena *arena, const struct json *original, const struct json *patch, bool *objects)
{
	enum json_type type = JSON_NULL;
	bool lists = false;

	for (int round = 0; round < 2; round++) {
		JSON_EACH (round == 0 ? original : patch, it) {
			lists = lists || it.value->type == JSON_ARRAY;
			if (type != JSON_NULL && (type == JSON_OBJECT) != (it.value->type == JSON_OBJECT))
				return error_new(ERR_PLAIN, "list element types are not identical: [%.*s %.*s]",
						 STR_ARG(api_go_text(arena, original == NULL ? &json_empty_array : original)),
						 STR_ARG(api_go_text(arena, patch == NULL ? &json_empty_array : patch)));
			type = it.value->type;
		}
	}
	if (lists)
		return error_new(ERR_INVALID, "lists of lists are not supported");
	*objects = type == JSON_OBJECT;
	return NULL;
}

static struct error *merge_list(struct arena *arena, const struct field *field, const struct json *original,
				const struct json *patch, const struct json **out)
{
	struct str key = field == NULL ? STR("") : field_patch_key(field);
	const struct json *merged = NULL;
	bool objects;
	struct error *err;

	if (!merges(field)) {
		*out = patch;
		return NULL;
	}
	err = check_items(arena, original, patch, &objects);
	if (err != NULL)
		return err;
	if (!objects) {
		merged = unite(arena, original, patch);
		*out = in_order(arena, merged, patch, original, STR(""));
		return NULL;
	}
	if (key.len == 0)
		return error_new(ERR_PLAIN, "cannot merge lists without merge key for %.*s", STR_ARG(type_name(field_type(field))));
	err = special_items(arena, &original, &patch, key);
	if (err == NULL)
		err = merge_items(arena, shape_of(field), original, patch, key, &merged);
	if (err == NULL)
		*out = in_order(arena, merged, patch, original, key);
	return err;
}

/* ---- directives beside members ---- */

static struct error *retain_keys(struct arena *arena, const struct json **original, const struct json *patch)
{
	const struct json *keys = json_get(patch, "$retainKeys");
	struct finder finder = finder_of(arena, keys, STR(""));
	struct json_builder b = { .arena = arena };

	if (keys == NULL)
		return NULL;
	if (keys->type != JSON_ARRAY)
		return error_new(ERR_BAD_REQUEST, "invalid patch format of retainKeys");
	JSON_EACH (patch, it) {
		if (it.value->type == JSON_NULL || is_directive(it.key))
			continue;
		if (index_in(&finder, json_string(arena, it.key)) < 0)
			return error_new(ERR_BAD_REQUEST, "invalid patch format of retainKeys");
	}
	JSON_EACH (*original, it)
		if (index_in(&finder, json_string(arena, it.key)) >= 0)
			json_builder_member(&b, it.key, it.value);
	*original = json_builder_object(&b);
	return NULL;
}

/* The patch's own items must be among those whose order is set, and in that order. */
static struct error *check_order(struct arena *arena, const struct json *patch, const struct json *order, struct str key)
{
	size_t at = 0;

	JSON_EACH (order, it)
		if (key.len != 0 && json_find(it.value, key) == NULL)
			return it.value->type == JSON_OBJECT
				       ? no_merge_key(arena, it.value, key)
				       : error_new(ERR_BAD_REQUEST, "invalid patch format of setElementOrder list");
	if (key.len == 0)
		JSON_EACH (order, it)
			if (it.value->type == JSON_OBJECT || it.value->type == JSON_ARRAY)
				return error_new(ERR_BAD_REQUEST, "invalid patch format of setElementOrder list");
	JSON_EACH (patch, it) {
		if (json_get(it.value, "$patch") != NULL)
			continue;
		while (at < json_len(order) && !same_item(json_at(order, at), it.value, key))
			at++;
		if (at == json_len(order))
			return error_new(ERR_PLAIN, "The order in patch list:\n%.*s\n doesn't match $setElementOrder list:\n%.*s\n",
					 STR_ARG(api_go_text(arena, patch)), STR_ARG(api_go_text(arena, order)));
	}
	return NULL;
}

/* Merges the list of every $setElementOrder; done: which, so that they are not merged again. */
static struct error *order_lists(struct arena *arena, struct shape shape, struct json_draft *original, const struct json *patch,
				 struct places *done)
{
	JSON_EACH (patch, it) {
		if (!str_has_prefix(it.key, str_from(set_order)))
			continue;
		struct str name = str_skip(it.key, sizeof(set_order) - 1);
		const struct field *field = field_of(shape, name);
		const struct json *before = json_draft_get(original, name), *change = json_find(patch, name), *merged;
		struct str key = field == NULL ? STR("") : field_patch_key(field);
		struct error *err = NULL;
		if (it.value->type != JSON_ARRAY || (before != NULL && before->type != JSON_ARRAY) ||
		    (change != NULL && change->type != JSON_ARRAY && change->type != JSON_NULL))
			return error_new(ERR_BAD_REQUEST, "invalid patch format of setElementOrder list");
		if (change != NULL && change->type == JSON_NULL)
			continue;
		err = check_order(arena, change, it.value, key);
		if (err != NULL)
			return err;
		if (before == NULL && change == NULL)
			continue;
		merged = before != NULL ? before : clean(arena, change);
		if (before != NULL && change != NULL)
			err = merge_list(arena, field, before, change, &merged);
		if (err != NULL)
			return err;
		merged = in_order(arena, merged, it.value, before, key);
		json_draft_set(original, name, merged);
		places_add(done, name, 0);
	}
	return NULL;
}

static struct error *delete_primitives(struct arena *arena, struct str key, const struct json *items, struct json_draft *original)
{
	struct str name = str_skip(key, sizeof(delete_from) - 1);
	const struct json *before = json_draft_get(original, name);

	if (items->type != JSON_ARRAY)
		return error_new(ERR_BAD_REQUEST, "invalid patch format of primitive list");
	JSON_EACH (items, it)
		if (it.value->type == JSON_OBJECT || it.value->type == JSON_ARRAY)
			return error_new(ERR_BAD_REQUEST, "invalid patch format of primitive list");
	if (json_is(before, JSON_ARRAY))
		json_draft_set(original, name, remove_items(arena, before, items, STR("")));
	return NULL;
}

/* ---- objects ---- */

static struct error *merge_member(struct arena *arena, struct shape shape, struct str key, const struct json *patch,
				  struct json_draft *original)
{
	const struct json *before = json_draft_get(original, key), *value;
	const struct field *field = field_of(shape, key);
	struct error *err = NULL;

	if (patch->type == JSON_NULL)
		value = NULL;
	else if (before == NULL || before->type != patch->type)
		value = clean(arena, patch);
	else if (patch->type == JSON_OBJECT && (field == NULL || (field->flags & FIELD_PATCH_REPLACE) == 0))
		err = merge_object(arena, child_shape(shape, key), before, patch, &value);
	else if (patch->type == JSON_ARRAY)
		err = merge_list(arena, field, before, patch, &value);
	else
		value = patch;
	if (err == NULL)
		json_draft_set(original, key, value);
	return err;
}

static struct error *merge_object(struct arena *arena, struct shape shape, const struct json *original, const struct json *patch,
				  const struct json **out)
{
	const struct json *directive = json_get(patch, "$patch");
	struct error *err;

	*out = &json_empty_object;
	if (directive != NULL) {
		if (str_is(json_str(directive), "replace")) {
			*out = json_with(arena, patch, "$patch", NULL);
			return NULL;
		}
		return str_is(json_str(directive), "delete") ? NULL : bad_directive(arena, directive, patch);
	}
	if (!json_is(original, JSON_OBJECT))
		original = &json_empty_object;
	err = retain_keys(arena, &original, patch);
	if (err != NULL)
		return err;
	struct json_draft draft = json_draft_of(arena, original);
	struct places ordered = { .arena = arena };
	err = order_lists(arena, shape, &draft, patch, &ordered);
	JSON_EACH (patch, it) {
		if (err != NULL)
			return err;
		if (str_has_prefix(it.key, str_from(delete_from)))
			err = delete_primitives(arena, it.key, it.value, &draft);
		else if (!is_directive(it.key) && places_find(&ordered, it.key) == PLACES_NONE)
			err = merge_member(arena, shape, it.key, it.value, &draft);
	}
	*out = json_draft_object(&draft);
	return err;
}

struct error *api_strategic_merge(struct arena *arena, const struct type *type, const struct json *tree, const struct json *patch,
				  const struct json **out)
{
	if (!json_is(patch, JSON_OBJECT))
		return error_new(ERR_BAD_REQUEST,
				 "error decoding patch: json: cannot unmarshal %s into Go value of type "
				 "map[string]interface {}",
				 json_type_name(patch));
	return merge_object(arena, (struct shape){ type, NULL }, tree, patch, out);
}
