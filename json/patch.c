/*
 * JSON patch (RFC 6902) and merge patch (RFC 7386).
 *
 * Where evanphx/json-patch v4, which upstream's API server uses, is more lenient than the RFC, so are we: "replace" of a
 * member that is not there adds it, negative indices count from the end, "test" for null holds for what is absent.
 */
#include <string.h>

#include "base/limits.h"
#include "json/private.h"

enum change { CHANGE_ADD, CHANGE_REMOVE, CHANGE_REPLACE };

struct edit {
	struct arena *arena;
	enum change change;
	const struct json *value; /* for add and replace */
};

/* All a client learns about a patch that does not fit the object. */
static struct error *misfit(void)
{
	return error_new(ERR_INVALID, "the server rejected our request due to an error in our request");
}

/* One token of an RFC 6901 pointer, unescaped; the pointer moves on. */
static struct str next_token(struct arena *arena, struct str *pointer)
{
	struct str token = pointer_cut(pointer);

	return str_find(token, '~') < 0 ? token : pointer_unescape(token, arena_raw(arena, token.len));
}

/* An index below bound; negative ones count from the end. */
static bool index_of(struct str token, size_t len, size_t bound, size_t *out)
{
	int64_t index;

	if (!str_to_i64(token, &index))
		return false;
	if (index < 0)
		index += (int64_t)len;
	*out = (size_t)index;
	return index >= 0 && (size_t)index < bound;
}

static const struct json *insert_item(struct arena *arena, const struct json *array, size_t at, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < array->len; i++) {
		if (i == at)
			json_builder_item(&b, value);
		json_builder_item(&b, array->items[i]);
	}
	if (at == array->len)
		json_builder_item(&b, value);
	return json_builder_array(&b);
}

static struct error *edit_array(const struct edit *e, const struct json *array, struct str token, const struct json **out)
{
	size_t at = array->len;

	if (e->change == CHANGE_ADD) {
		/* A negative place for "add" counts from behind the last item. */
		if (!str_is(token, "-") && !index_of(token, array->len + 1, array->len + 1, &at))
			return misfit();
		*out = insert_item(e->arena, array, at, e->value);
		return NULL;
	}
	if (!index_of(token, array->len, array->len, &at))
		return misfit();
	*out = json_with_item(e->arena, array, at, e->change == CHANGE_REMOVE ? NULL : e->value);
	return NULL;
}

static struct error *edit_object(const struct edit *e, const struct json *object, struct str token, const struct json **out)
{
	if (e->change == CHANGE_REMOVE && json_find(object, token) == NULL)
		return misfit();
	*out = json_with_key(e->arena, object, token, e->change == CHANGE_REMOVE ? NULL : e->value);
	return NULL;
}

static struct error *edit_at(const struct edit *e, const struct json *root, struct str pointer, const struct json **out) MUST_CHECK;
static struct error *edit_at(const struct edit *e, const struct json *root, struct str pointer, const struct json **out)
{
	const struct json *child;
	struct error *err;
	size_t at = 0;

	if (json_len(root) == 0 && !json_is(root, JSON_ARRAY) && !json_is(root, JSON_OBJECT))
		return misfit();
	struct str token = next_token(e->arena, &pointer);
	if (pointer.len == 0)
		return root->type == JSON_ARRAY ? edit_array(e, root, token, out) : edit_object(e, root, token, out);
	if (root->type == JSON_OBJECT)
		child = json_find(root, token);
	else
		child = index_of(token, root->len, root->len, &at) ? root->items[at] : NULL;
	err = edit_at(e, child, pointer, &child);
	if (err != NULL)
		return err;
	*out = root->type == JSON_OBJECT ? json_with_key(e->arena, root, token, child) : json_with_item(e->arena, root, at, child);
	return NULL;
}

static struct error *change(struct arena *arena, const struct json *document, struct str path, enum change change_kind,
			    const struct json *value, const struct json **out)
{
	struct edit e = { arena, change_kind, value };

	if (path.len != 0 && path.ptr[0] != '/')
		return misfit();
	if (path.len == 0) {
		if (change_kind == CHANGE_REMOVE)
			return misfit();
		*out = value;
		return NULL;
	}
	return edit_at(&e, document, path, out);
}

/* json_pointer with negative indices. */
static const struct json *look_up(struct arena *arena, const struct json *document, struct str path)
{
	if (path.len != 0 && path.ptr[0] != '/')
		return NULL;
	while (path.len != 0 && document != NULL) {
		struct str token = next_token(arena, &path);
		size_t at = 0;
		if (json_is(document, JSON_ARRAY))
			document = index_of(token, document->len, document->len, &at) ? document->items[at] : NULL;
		else
			document = json_find(document, token);
	}
	return document;
}

static struct error *test_value(struct arena *arena, const struct json *document, struct str path, const struct json *value)
{
	const struct json *found = look_up(arena, document, path);

	if (json_absent(found) && json_absent(value))
		return NULL;
	return json_equal(found, value) ? NULL : misfit();
}

/* A copy costs nothing until it is written: without a bound 30 operations would make gigabytes. As upstream's
 * JSONPatchMaxCopyBytes. */
static bool may_copy(const struct json *value, size_t *copied)
{
	AUTO_BUF struct buf text = { 0 };

	json_write(&text, value);
	*copied += text.len;
	return *copied <= LIMIT_BODY;
}

static struct error *operate(struct arena *arena, const struct json *document, const struct json *operation, size_t *copied,
			     const struct json **out)
{
	struct str op = json_get_str(operation, "op"), path = json_get_str(operation, "path");
	const struct json *value = json_get(operation, "value"), *from = NULL;
	struct str source = json_get_str(operation, "from");
	struct error *err;

	*out = document;
	if (!json_is(json_get(operation, "path"), JSON_STRING))
		return misfit();
	if (str_is(op, "test"))
		return test_value(arena, document, path, value);
	if (str_is(op, "remove"))
		return change(arena, document, path, CHANGE_REMOVE, NULL, out);
	if (str_is(op, "move") || str_is(op, "copy")) {
		from = look_up(arena, document, source);
		if (from == NULL || !json_is(json_get(operation, "from"), JSON_STRING))
			return misfit();
		if (str_is(op, "copy") && !may_copy(from, copied))
			return misfit();
		if (str_is(op, "move")) {
			err = change(arena, document, source, CHANGE_REMOVE, NULL, &document);
			if (err != NULL)
				return err;
		}
		return change(arena, document, path, CHANGE_ADD, from, out);
	}
	if (value == NULL)
		value = &json_null;
	if (str_is(op, "add"))
		return change(arena, document, path, CHANGE_ADD, value, out);
	if (str_is(op, "replace"))
		return change(arena, document, path, CHANGE_REPLACE, value, out);
	return misfit();
}

struct error *json_patch(struct arena *arena, const struct json *document, const struct json *patch, const struct json **out)
{
	if (!json_is(patch, JSON_ARRAY))
		return error_new(ERR_BAD_REQUEST,
				 "error decoding patch: json: cannot unmarshal %s into Go value of type []handlers.jsonPatchOp",
				 json_type_name(patch));
	if (patch->len > LIMIT_PATCH_OPERATIONS)
		return error_new(ERR_TOO_LARGE,
				 "Request entity too large: The allowed maximum operations in a JSON patch is %d, got %u",
				 LIMIT_PATCH_OPERATIONS, patch->len);
	/* Each operation copies the containers on its path: what they take together is bounded, and goes at the end. */
	struct arena *scratch = arena_new();
	struct error *err = NULL;
	size_t copied = 0;
	JSON_EACH (patch, it) {
		err = operate(scratch, document, it.value, &copied, &document);
		if (err == NULL && arena_size(scratch) > LIMIT_PATCH_BYTES)
			err = error_new(ERR_TOO_LARGE,
					"Request entity too large: the patch changes more than can be changed at once");
		if (err != NULL)
			break;
	}
	*out = err == NULL ? json_copy(arena, document) : NULL;
	arena_free(scratch);
	return err;
}

/* One pass over each side, however many members they have. */
const struct json *json_merge_patch(struct arena *arena, const struct json *document, const struct json *patch)
{
	struct json_builder b = { .arena = arena };

	if (!json_is(patch, JSON_OBJECT))
		return patch;
	if (!json_is(document, JSON_OBJECT))
		document = &json_empty_object;
	JSON_EACH (document, it) {
		const struct json *change = json_find(patch, it.key);

		if (change == NULL)
			json_builder_member(&b, it.key, it.value);
		else if (change->type != JSON_NULL)
			json_builder_member(&b, it.key, json_merge_patch(arena, it.value, change));
	}
	JSON_EACH (patch, it)
		if (it.value->type != JSON_NULL && json_find(document, it.key) == NULL)
			json_builder_member(&b, it.key, json_merge_patch(arena, NULL, it.value));
	return json_builder_object(&b);
}
