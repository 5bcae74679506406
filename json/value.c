/* Building, asking and path copying. A container's children are one array behind it; sharing is by pointer. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "json/private.h"

const struct json json_null = { .type = JSON_NULL };
const struct json json_true = { .type = JSON_BOOL, .len = 1 };
const struct json json_false = { .type = JSON_BOOL };
const struct json json_empty_object = { .type = JSON_OBJECT };
const struct json json_empty_array = { .type = JSON_ARRAY };
const struct json json_empty_string = { .type = JSON_STRING };

/* ---- asking ---- */

bool json_is(const struct json *value, enum json_type type)
{
	return value != NULL && value->type == type;
}

bool json_absent(const struct json *value)
{
	return value == NULL || value->type == JSON_NULL;
}

/* The index is a table of 1 + place, twice as large as it must be, searched from the key's hash on. */
#define INDEXED 48

static size_t index_slots(size_t len)
{
	size_t slots = 128;

	while (slots < 2 * len)
		slots *= 2;
	return slots;
}

void json_set_members(struct arena *arena, struct json *object, const struct json_member *members, size_t len)
{
	size_t slots = index_slots(len);
	uint32_t *index;

	object->len = (uint32_t)len;
	object->members = members;
	object->index = NULL;
	if (len < INDEXED)
		return;
	index = ARENA_ARRAY(arena, uint32_t, slots);
	for (size_t i = 0; i < len; i++) {
		size_t slot = str_hash_secret(members[i].key) & (slots - 1);
		while (index[slot] != 0 && !str_eq(members[index[slot] - 1].key, members[i].key))
			slot = (slot + 1) & (slots - 1);
		if (index[slot] == 0) /* of equal keys the first is found */
			index[slot] = (uint32_t)i + 1;
	}
	object->index = index;
}

/* The place of a member; the object's length when there is none. */
static uint32_t place_of(const struct json *object, struct str key)
{
	uint32_t at = 0;

	if (object->index != NULL) {
		size_t slots = index_slots(object->len), slot = str_hash_secret(key) & (slots - 1);
		while (object->index[slot] != 0 && !str_eq(object->members[object->index[slot] - 1].key, key))
			slot = (slot + 1) & (slots - 1);
		return object->index[slot] != 0 ? object->index[slot] - 1 : object->len;
	}
	while (at < object->len && !str_eq(object->members[at].key, key))
		at++;
	return at;
}

const struct json *json_find(const struct json *object, struct str key)
{
	if (!json_is(object, JSON_OBJECT))
		return NULL;
	uint32_t at = place_of(object, key);
	return at < object->len ? object->members[at].value : NULL;
}

const struct json *json_get(const struct json *object, const char *key)
{
	return json_find(object, str_from(key));
}

const struct json *json_at(const struct json *array, size_t index)
{
	return json_is(array, JSON_ARRAY) && index < array->len ? array->items[index] : NULL;
}

/* One step of a path: a member's name, or an index when the value is an array. */
static const struct json *step(const struct json *value, struct str name)
{
	uint64_t index;

	if (json_is(value, JSON_ARRAY))
		return str_to_u64(name, &index) ? json_at(value, (size_t)index) : NULL;
	return json_find(value, name);
}

const struct json *json_path(const struct json *value, const char *path)
{
	struct str rest = str_from(path), name;

	while (value != NULL && str_cut(&rest, '.', &name))
		value = step(value, name);
	return value;
}

struct str pointer_cut(struct str *pointer)
{
	struct str token = str_skip(*pointer, 1);
	ptrdiff_t end = str_find(token, '/');

	if (end >= 0)
		token.len = (size_t)end;
	*pointer = str_skip(*pointer, token.len + 1);
	return token;
}

struct str pointer_unescape(struct str token, char *room)
{
	size_t n = 0;

	for (size_t i = 0; i < token.len; i++) {
		if (token.ptr[i] == '~' && i + 1 < token.len && (token.ptr[i + 1] == '0' || token.ptr[i + 1] == '1'))
			room[n++] = token.ptr[++i] == '0' ? '~' : '/';
		else
			room[n++] = token.ptr[i];
	}
	return str_of(room, n);
}

const struct json *json_pointer(const struct json *value, struct str pointer)
{
	if (pointer.len != 0 && pointer.ptr[0] != '/')
		return NULL;
	while (value != NULL && pointer.len != 0) {
		struct str token = pointer_cut(&pointer);
		char small[256];
		AUTO_FREE char *large = token.len > sizeof(small) ? xmalloc(token.len) : NULL;

		value = step(value, pointer_unescape(token, large != NULL ? large : small));
	}
	return value;
}

size_t json_len(const struct json *value)
{
	return json_is(value, JSON_ARRAY) || json_is(value, JSON_OBJECT) ? value->len : 0;
}

struct str json_str(const struct json *value)
{
	return json_is(value, JSON_STRING) ? value->text : (struct str){ 0 };
}

bool json_bool(const struct json *value)
{
	return json_is(value, JSON_BOOL) && value->len != 0;
}

bool json_is_int(const struct json *value, int64_t *out)
{
	int64_t number;

	if (!json_is(value, JSON_NUMBER) || !str_to_i64(value->text, &number))
		return false;
	if (out != NULL)
		*out = number;
	return true;
}

int64_t json_int(const struct json *value, int64_t otherwise)
{
	int64_t number;

	return json_is_int(value, &number) ? number : otherwise;
}

double json_double(const struct json *value, double otherwise)
{
	char text[64], *copy = text;
	double number;

	if (!json_is(value, JSON_NUMBER))
		return otherwise;
	if (value->text.len >= sizeof(text))
		copy = xmalloc(value->text.len + 1);
	memcpy(copy, value->text.ptr, value->text.len);
	copy[value->text.len] = 0;
	number = strtod(copy, NULL);
	if (copy != text)
		free(copy);
	return number;
}

struct str json_get_str(const struct json *object, const char *key)
{
	return json_str(json_get(object, key));
}

struct str json_path_str(const struct json *value, const char *path)
{
	return json_str(json_path(value, path));
}

static bool numbers_equal(const struct json *a, const struct json *b)
{
	int64_t x, y;

	if (str_eq(a->text, b->text))
		return true;
	if (json_is_int(a, &x) && json_is_int(b, &y))
		return x == y;
	double d = json_double(a, 0) - json_double(b, 0);
	return !(d < 0) && !(d > 0) && !isnan(d);
}

static bool objects_equal(const struct json *a, const struct json *b)
{
	for (uint32_t i = 0; i < a->len; i++) {
		const struct json_member *m = &a->members[i];
		const struct json *other = str_eq(b->members[i].key, m->key) ? b->members[i].value : json_find(b, m->key);
		if (!json_equal(m->value, other))
			return false;
	}
	return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
	if (a == b)
		return true;
	if (a == NULL || b == NULL || a->type != b->type)
		return false;
	switch (a->type) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return a->len == b->len;
	case JSON_NUMBER:
		return numbers_equal(a, b);
	case JSON_STRING:
		return str_eq(a->text, b->text);
	case JSON_OBJECT:
		return a->len == b->len && objects_equal(a, b);
	case JSON_ARRAY:
		if (a->len != b->len)
			return false;
		for (uint32_t i = 0; i < a->len; i++)
			if (!json_equal(a->items[i], b->items[i]))
				return false;
		return true;
	}
	return false;
}

const char *json_type_name(const struct json *value)
{
	static const char *const names[] = { "null", "bool", "number", "string", "array", "object" };

	return value == NULL ? "null" : names[value->type];
}

bool json_iter_next(struct json_iter *it)
{
	it->index++;
	if (it->index >= json_len(it->in))
		return false;
	if (it->in->type == JSON_ARRAY) {
		it->value = it->in->items[it->index];
	} else {
		it->key = it->in->members[it->index].key;
		it->value = it->in->members[it->index].value;
	}
	return true;
}

/* ---- making ---- */

const struct json *json_boolean(bool value)
{
	return value ? &json_true : &json_false;
}

static const struct json *scalar(struct arena *arena, enum json_type type, struct str text)
{
	struct json *value = ARENA_NEW(arena, struct json);

	value->type = type;
	value->text = text;
	return value;
}

const struct json *json_number(struct arena *arena, int64_t value)
{
	return scalar(arena, JSON_NUMBER, str_format(arena, "%lld", (long long)value));
}

const struct json *json_real(struct arena *arena, double value)
{
	char text[JSON_REAL_TEXT];

	return scalar(arena, JSON_NUMBER, str_dup(arena, json_format_real(text, value)));
}

const struct json *json_number_text(struct arena *arena, struct str text)
{
	return scalar(arena, JSON_NUMBER, text);
}

const struct json *json_string(struct arena *arena, struct str text)
{
	return text.len == 0 ? &json_empty_string : scalar(arena, JSON_STRING, text);
}

const struct json *json_string_copy(struct arena *arena, struct str text)
{
	return json_string(arena, str_dup(arena, text));
}

const struct json *json_text(struct arena *arena, const char *cstr)
{
	return cstr == NULL ? NULL : json_string(arena, str_from(cstr));
}

const struct json *json_printf(struct arena *arena, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = arena_vprintf(arena, format, args);
	va_end(args);
	return json_string(arena, str_from(text));
}

static struct json *container(struct arena *arena, enum json_type type, size_t len, const void *children)
{
	struct json *value = ARENA_NEW(arena, struct json);

	value->type = type;
	value->len = (uint32_t)len;
	if (type == JSON_ARRAY)
		value->items = children;
	else
		json_set_members(arena, value, children, len);
	return value;
}

const struct json *json_object_of(struct arena *arena, const struct json_pair *pairs, size_t n)
{
	struct json_member *members = ARENA_ARRAY(arena, struct json_member, n);
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		if (pairs[i].value != NULL)
			members[len++] = (struct json_member){ str_from(pairs[i].key), pairs[i].value };
	return container(arena, JSON_OBJECT, len, members);
}

const struct json *json_array_of(struct arena *arena, const struct json *const *items, size_t n)
{
	const struct json **copy = ARENA_ARRAY(arena, const struct json *, n);
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		if (items[i] != NULL)
			copy[len++] = items[i];
	return container(arena, JSON_ARRAY, len, copy);
}

/* Room for one more; builders double, and what they leave behind goes with the arena. */
static void *grown(struct json_builder *b, const void *old, size_t size)
{
	uint32_t cap = b->cap == 0 ? 4 : b->cap * 2;
	void *room = arena_raw(b->arena, size * cap);

	if (b->len != 0)
		memcpy(room, old, size * b->len);
	b->cap = cap;
	return room;
}

void json_builder_item(struct json_builder *b, const struct json *value)
{
	if (value == NULL)
		return;
	if (b->len == b->cap)
		b->items = grown(b, b->items, sizeof(*b->items));
	b->items[b->len++] = value;
}

void json_builder_member(struct json_builder *b, struct str key, const struct json *value)
{
	if (value == NULL)
		return;
	if (b->len == b->cap)
		b->members = grown(b, b->members, sizeof(*b->members));
	b->members[b->len++] = (struct json_member){ key, value };
}

const struct json *json_builder_array(const struct json_builder *b)
{
	return b->len == 0 ? &json_empty_array : container(b->arena, JSON_ARRAY, b->len, b->items);
}

const struct json *json_builder_object(const struct json_builder *b)
{
	return b->len == 0 ? &json_empty_object : container(b->arena, JSON_OBJECT, b->len, b->members);
}

static int compare_members(const void *a, const void *b)
{
	return str_cmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

void json_builder_sort(struct json_builder *b)
{
	bool sorted = true;

	for (uint32_t i = 1; i < b->len && sorted; i++)
		sorted = compare_members(&b->members[i - 1], &b->members[i]) <= 0;
	if (!sorted)
		qsort(b->members, b->len, sizeof(*b->members), compare_members);
}

/* ---- path copying ---- */

const struct json *json_with_key(struct arena *arena, const struct json *object, struct str key, const struct json *value)
{
	size_t n = json_is(object, JSON_OBJECT) ? object->len : 0, at = n != 0 ? place_of(object, key) : 0;
	struct json_member *members;

	if (value == NULL && at == n)
		return object;
	if (at < n && object->members[at].value == value)
		return object;
	members = ARENA_ARRAY(arena, struct json_member, n + 1);
	if (n != 0)
		memcpy(members, object->members, sizeof(*members) * n);
	if (value == NULL) {
		memmove(&members[at], &members[at + 1], sizeof(*members) * (n - at - 1));
		return container(arena, JSON_OBJECT, n - 1, members);
	}
	members[at] = (struct json_member){ at < n ? members[at].key : str_dup(arena, key), value };
	return container(arena, JSON_OBJECT, at < n ? n : n + 1, members);
}

const struct json *json_with(struct arena *arena, const struct json *object, const char *key, const struct json *value)
{
	return json_with_key(arena, object, str_from(key), value);
}

const struct json *json_with_item(struct arena *arena, const struct json *array, size_t index, const struct json *value)
{
	size_t n = json_is(array, JSON_ARRAY) ? array->len : 0;
	const struct json **items;

	if (index > n || (index == n && value == NULL))
		return array;
	items = ARENA_ARRAY(arena, const struct json *, n + 1);
	if (n != 0)
		memcpy(items, array->items, sizeof(*items) * n);
	if (value == NULL) {
		memmove(&items[index], &items[index + 1], sizeof(*items) * (n - index - 1));
		return container(arena, JSON_ARRAY, n - 1, items);
	}
	items[index] = value;
	return container(arena, JSON_ARRAY, index < n ? n : n + 1, items);
}

const struct json *json_append(struct arena *arena, const struct json *array, const struct json *value)
{
	return json_with_item(arena, array, json_is(array, JSON_ARRAY) ? array->len : 0, value);
}

static const struct json *with_steps(struct arena *arena, const struct json *root, struct str rest, const struct json *value)
{
	struct str name;
	uint64_t index;

	if (!str_cut(&rest, '.', &name))
		return value;
	const struct json *old = step(root, name);
	if (rest.len != 0 && old == NULL && value == NULL)
		return root;
	const struct json *new = rest.len == 0 ? value : with_steps(arena, old, rest, value);
	if (!json_is(root, JSON_ARRAY))
		return json_with_key(arena, root, name, new);
	return str_to_u64(name, &index) ? json_with_item(arena, root, (size_t)index, new) : root;
}

const struct json *json_with_path(struct arena *arena, const struct json *root, const char *path, const struct json *value)
{
	return with_steps(arena, root, str_from(path), value);
}

const struct json *json_copy(struct arena *arena, const struct json *value)
{
	if (value == NULL)
		return NULL;
	switch (value->type) {
	case JSON_NULL:
		return &json_null;
	case JSON_BOOL:
		return json_boolean(value->len != 0);
	case JSON_NUMBER:
	case JSON_STRING:
		return scalar(arena, value->type, str_dup(arena, value->text));
	case JSON_ARRAY: {
		const struct json **items = ARENA_ARRAY(arena, const struct json *, value->len);
		for (uint32_t i = 0; i < value->len; i++)
			items[i] = json_copy(arena, value->items[i]);
		return container(arena, JSON_ARRAY, value->len, items);
	}
	case JSON_OBJECT: {
		struct json_member *members = ARENA_ARRAY(arena, struct json_member, value->len);
		for (uint32_t i = 0; i < value->len; i++)
			members[i] = (struct json_member){ str_dup(arena, value->members[i].key),
							   json_copy(arena, value->members[i].value) };
		return container(arena, JSON_OBJECT, value->len, members);
	}
	}
	return NULL;
}
