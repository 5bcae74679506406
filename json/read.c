/*
 * Reading: yajl finds the tokens, we build the tree.
 *
 * All open containers share one stack of members; when one closes, its children move to the arena in one piece.
 * yajl's messages are its own, so a text that fails is looked at a second time by json_explain(), which says it in Go's
 * words. yajl turns an unpaired surrogate escape into "?" (and then loses a byte); such texts are repaired beforehand,
 * as Go reads them.
 */
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/auto.h"
#include "base/limits.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "json/json.h"
#include "json/private.h"
#include "json/utf8.h"

#define MANY_MEMBERS 24 /* from here on duplicates are looked up in a map */

struct frame {
	size_t start; /* first child on the stack */
	bool object;
	bool duplicates;
	struct map *seen; /* only with many members */
};

struct reader {
	struct arena *arena;
	const struct json_options *options;
	struct str text; /* what yajl was given */
	bool borrow;
	bool too_deep;
	VEC(struct json_member) stack;
	VEC(struct frame) frames;
	const struct json *root;
	size_t told; /* bytes of the paths of duplicates */
};

static struct frame *top(struct reader *r)
{
	return r->frames.len == 0 ? NULL : vec_last(&r->frames);
}

static int put(struct reader *r, const struct json *value)
{
	struct frame *frame = top(r);

	if (frame == NULL)
		r->root = value;
	else if (frame->object)
		vec_last(&r->stack)->value = value;
	else
		vec_push(&r->stack, (struct json_member){ .value = value });
	return 1;
}

static struct str keep(struct reader *r, const unsigned char *ptr, size_t len)
{
	struct str text = { (const char *)ptr, len };

	if (r->borrow && text.ptr >= r->text.ptr && text.ptr + len <= r->text.ptr + r->text.len)
		return utf8_sane(r->arena, text);
	struct str sane = utf8_sane(r->arena, text);
	return sane.ptr == text.ptr ? str_dup(r->arena, text) : sane;
}

static int on_null(void *ctx)
{
	return put(ctx, &json_null);
}

static int on_boolean(void *ctx, int value)
{
	return put(ctx, json_boolean(value != 0));
}

static int on_number(void *ctx, const char *text, size_t len)
{
	struct reader *r = ctx;

	return put(r, json_number_text(r->arena, keep(r, (const unsigned char *)text, len)));
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	struct reader *r = ctx;

	return put(r, json_string(r->arena, keep(r, text, len)));
}

static int open_container(struct reader *r, bool object)
{
	if (r->frames.len == LIMIT_JSON_DEPTH) {
		r->too_deep = true;
		return 0;
	}
	vec_push(&r->frames, (struct frame){ .start = r->stack.len, .object = object });
	return 1;
}

static int on_start_map(void *ctx)
{
	return open_container(ctx, true);
}

static int on_start_array(void *ctx)
{
	return open_container(ctx, false);
}

static void path_of(struct reader *r, struct buf *path)
{
	for (size_t i = 0; i < r->frames.len; i++) {
		const struct frame *frame = &r->frames.ptr[i];
		size_t end = i + 1 < r->frames.len ? r->frames.ptr[i + 1].start : r->stack.len;

		if (!frame->object) {
			buf_printf(path, "[%zu]", end - frame->start);
			continue;
		}
		if (path->len != 0)
			buf_putc(path, '.');
		buf_add(path, r->stack.ptr[end - 1].key);
	}
}

static void duplicate_found(struct reader *r)
{
	AUTO_BUF struct buf path = { 0 };

	top(r)->duplicates = true;
	if (r->options == NULL || r->options->duplicate == NULL || r->told > LIMIT_CAUSE_BYTES)
		return;
	path_of(r, &path);
	r->told += path.len;
	r->options->duplicate(r->options->arg, buf_str(&path), 0);
}

static bool seen_before(struct reader *r, struct frame *frame, struct str key)
{
	size_t n = r->stack.len - frame->start;

	if (frame->seen == NULL && n >= MANY_MEMBERS) {
		frame->seen = xcalloc(1, sizeof(*frame->seen));
		for (size_t i = frame->start; i < r->stack.len; i++)
			map_set(frame->seen, r->stack.ptr[i].key, frame);
	}
	if (frame->seen != NULL)
		return map_set(frame->seen, key, frame) != NULL;
	for (size_t i = frame->start; i < r->stack.len; i++)
		if (str_eq(r->stack.ptr[i].key, key))
			return true;
	return false;
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
	struct reader *r = ctx;
	struct str key = keep(r, text, len);
	bool again = seen_before(r, top(r), key);

	vec_push(&r->stack, (struct json_member){ .key = key });
	if (again)
		duplicate_found(r);
	if (r->options != NULL && r->options->member != NULL) {
		AUTO_BUF struct buf path = { 0 };
		path_of(r, &path);
		r->options->member(r->options->arg, buf_str(&path));
	}
	return 1;
}

/* The place of the first, the value of the last. */
static size_t join_duplicates(struct json_member *members, size_t n)
{
	struct map first = { 0 };
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_member *before = map_find(&first, members[i].key);
		if (before != NULL) {
			before->value = members[i].value;
			continue;
		}
		members[len] = members[i];
		map_set(&first, members[len].key, &members[len]);
		len++;
	}
	map_fini(&first);
	return len;
}

static void frame_fini(struct frame *frame)
{
	if (frame->seen != NULL)
		map_fini(frame->seen);
	free(frame->seen);
}

static int on_end(void *ctx)
{
	struct reader *r = ctx;
	struct frame frame = vec_pop(&r->frames);
	struct json_member *children = r->stack.ptr + frame.start;
	size_t n = r->stack.len - frame.start;
	struct json *value = ARENA_NEW(r->arena, struct json);

	if (frame.duplicates)
		n = join_duplicates(children, n);
	value->type = frame.object ? JSON_OBJECT : JSON_ARRAY;
	value->len = (uint32_t)n;
	if (frame.object && n != 0) {
		struct json_member *members = arena_raw(r->arena, sizeof(*members) * n);
		memcpy(members, children, sizeof(*members) * n);
		json_set_members(r->arena, value, members, n);
	} else if (n != 0) {
		const struct json **items = arena_raw(r->arena, sizeof(*items) * n);
		for (size_t i = 0; i < n; i++)
			items[i] = children[i].value;
		value->items = items;
	}
	frame_fini(&frame);
	r->stack.len = frame.start;
	return put(r, value);
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end,
};

static int hex4(const char *s)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i];
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* Replaces unpaired surrogate escapes by \ufffd, in a copy if there are any. */
static struct str repair_surrogates(struct arena *arena, struct str text)
{
	char *copy = NULL;

	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.ptr[i] != '\\')
			continue;
		i++;
		if (text.ptr[i] != 'u' || i + 4 >= text.len)
			continue;
		int code = hex4(text.ptr + i + 1);
		if (code < 0xd800 || code > 0xdfff) {
			i += code < 0 ? 0 : 4;
			continue;
		}
		if (code < 0xdc00 && i + 10 < text.len && text.ptr[i + 5] == '\\' && text.ptr[i + 6] == 'u') {
			int low = hex4(text.ptr + i + 7);
			if (low >= 0xdc00 && low <= 0xdfff) {
				i += 10;
				continue;
			}
		}
		if (copy == NULL)
			copy = arena_copy(arena, text.ptr, text.len);
		memcpy(copy + i + 1, "fffd", 4);
		i += 4;
	}
	return copy == NULL ? text : str_of(copy, text.len);
}

static struct error *failure(struct reader *r, yajl_handle parser)
{
	struct error *err;

	err = json_explain(r->text);
	if (err != NULL)
		return err;
	if (r->too_deep)
		return error_new(ERR_BAD_REQUEST, "exceeded max depth");
	unsigned char *text = yajl_get_error(parser, 0, (const unsigned char *)r->text.ptr, r->text.len);
	err = error_new(ERR_BAD_REQUEST, "%s",
			str_trim(str_from((const char *)text)).len == 0 ? "invalid JSON" : (const char *)text);
	yajl_free_error(parser, text);
	return err;
}

static bool only_space(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] == '\0' || strchr(" \t\r\n", text.ptr[i]) == NULL)
			return false;
	return true;
}

static struct error *parse(struct arena *arena, struct str text, const struct json_options *options, size_t *used,
			   const struct json **out)
{
	struct reader r = { .arena = arena, .options = options, .borrow = options != NULL && options->borrow };
	yajl_handle parser = yajl_alloc(&callbacks, NULL, &r);
	struct error *err = NULL;

	if (memmem(text.len != 0 ? text.ptr : "", text.len, "\\u", 2) != NULL)
		text = repair_surrogates(arena, text);
	r.text = text;
	yajl_config(parser, yajl_dont_validate_strings, 1);
	/* yajl takes `{} "x` for an end: what follows the value is looked at here. */
	yajl_config(parser, yajl_allow_trailing_garbage, 1);
	yajl_status status = yajl_parse(parser, (const unsigned char *)text.ptr, text.len);
	size_t consumed = yajl_get_bytes_consumed(parser);
	bool goes_on = used == NULL && !only_space(str_skip(text, consumed));
	if (used != NULL)
		*used = consumed;
	if (status == yajl_status_ok)
		status = yajl_complete_parse(parser);
	if (status != yajl_status_ok || goes_on || r.root == NULL || r.frames.len != 0)
		err = failure(&r, parser);
	else
		*out = r.root;
	for (size_t i = 0; i < r.frames.len; i++)
		frame_fini(&r.frames.ptr[i]);
	vec_fini(&r.frames);
	vec_fini(&r.stack);
	yajl_free(parser);
	return err;
}

struct error *json_read(struct arena *arena, struct str text, const struct json_options *options, const struct json **out)
{
	return parse(arena, text, options, NULL, out);
}

struct error *json_read_some(struct arena *arena, struct str *rest, const struct json_options *options, const struct json **out)
{
	size_t used = 0;
	struct error *err = parse(arena, *rest, options, &used, out);

	if (err == NULL)
		*rest = str_skip(*rest, used);
	return err;
}
