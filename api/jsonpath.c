#include "api/jsonpath.h"

#include <string.h>

#include "base/vec.h"

struct found {
	VEC(const struct json *) values;
};

/* A name up to what ends it; a backslash takes the next character as it is. */
static struct str take_name(struct arena *arena, struct str *rest)
{
	AUTO_BUF struct buf name = { 0 };
	size_t i = 0;

	for (; i < rest->len && rest->ptr[i] != '.' && rest->ptr[i] != '['; i++) {
		if (rest->ptr[i] == '\\' && i + 1 < rest->len)
			i++;
		buf_putc(&name, rest->ptr[i]);
	}
	*rest = str_skip(*rest, i);
	return str_dup(arena, buf_str(&name));
}

static void take_all(struct found *out, const struct json *value)
{
	JSON_EACH (value, it)
		vec_push(&out->values, it.value);
}

static void take_index(struct found *out, const struct json *value, int64_t index)
{
	int64_t n = (int64_t)json_len(value);

	if (!json_is(value, JSON_ARRAY))
		return;
	index = index < 0 ? index + n : index;
	if (index >= 0 && index < n)
		vec_push(&out->values, json_at(value, (size_t)index));
}

static struct str unquoted(struct str text)
{
	text = str_trim(text);
	if (text.len >= 2 && (text.ptr[0] == '"' || text.ptr[0] == '\''))
		return str_head(str_skip(text, 1), text.len - 2);
	return text;
}

/* @.type=="Ready" */
struct condition {
	struct str path, value;
	bool differs, exists;
};

static bool parse_condition(struct str text, struct condition *out)
{
	text = str_trim(text);
	if (!str_has_prefix(text, STR("@")))
		return false;
	text = str_skip(text, 1);
	*out = (struct condition){ .path = str_trim(text), .exists = true };
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.ptr[i + 1] != '=' || (text.ptr[i] != '=' && text.ptr[i] != '!'))
			continue;
		*out = (struct condition){ .path = str_trim(str_head(text, i)),
					   .value = unquoted(str_skip(text, i + 2)),
					   .differs = text.ptr[i] == '!' };
		return true;
	}
	return true;
}

static void take_where(struct arena *arena, struct found *out, const struct json *list, const struct condition *where)
{
	JSON_EACH (list, it) {
		const struct json *value = jsonpath_first(arena, where->path, it.value);
		struct str text = value == NULL                                              ? STR("")
				  : value->type == JSON_STRING || value->type == JSON_NUMBER ? value->text
											     : json_format(arena, value);

		if (value != NULL && (where->exists || str_eq(text, where->value) != where->differs))
			vec_push(&out->values, it.value);
	}
}

/* Behind a '[': up to its end, which may stand in quotes. */
static bool take_brackets(struct str *rest, struct str *inner)
{
	char quote = 0;

	for (size_t i = 1; i < rest->len; i++) {
		char c = rest->ptr[i];
		if (quote != 0)
			quote = c == quote ? 0 : quote;
		else if (c == '"' || c == '\'')
			quote = c;
		else if (c == ']') {
			*inner = str_trim(str_head(str_skip(*rest, 1), i - 1));
			*rest = str_skip(*rest, i + 1);
			return true;
		}
	}
	return false;
}

struct step {
	enum { BY_NAME, BY_INDEX, BY_ALL, BY_CONDITION } by;
	struct str name;
	int64_t index;
	struct condition where;
};

static bool next_step(struct arena *arena, struct str *rest, struct step *out)
{
	struct str inner;

	*out = (struct step){ .by = BY_NAME };
	if (rest->ptr[0] == '.') {
		*rest = str_skip(*rest, 1);
		if (rest->len == 0 || rest->ptr[0] == '.')
			return false;
		if (rest->ptr[0] == '[')
			return next_step(arena, rest, out);
		out->name = take_name(arena, rest);
		if (str_is(out->name, "*"))
			out->by = BY_ALL;
		return true;
	}
	if (rest->ptr[0] != '[' || !take_brackets(rest, &inner) || inner.len == 0)
		return false;
	if (str_is(inner, "*")) {
		out->by = BY_ALL;
	} else if (inner.ptr[0] == '"' || inner.ptr[0] == '\'') {
		out->name = unquoted(inner);
	} else if (str_has_prefix(inner, STR("?(")) && str_has_suffix(inner, STR(")"))) {
		out->by = BY_CONDITION;
		return parse_condition(str_head(str_skip(inner, 2), inner.len - 3), &out->where);
	} else {
		out->by = BY_INDEX;
		return str_to_i64(inner, &out->index);
	}
	return true;
}

static void take_step(struct arena *arena, const struct step *step, const struct json *value, struct found *out)
{
	const struct json *member;

	switch (step->by) {
	case BY_NAME:
		member = json_find(value, step->name);
		if (member != NULL)
			vec_push(&out->values, member);
		return;
	case BY_INDEX:
		take_index(out, value, step->index);
		return;
	case BY_ALL:
		take_all(out, value);
		return;
	case BY_CONDITION:
		take_where(arena, out, value, &step->where);
		return;
	}
}

static struct str without_frame(struct str path)
{
	path = str_trim(path);
	if (str_has_prefix(path, STR("{")) && str_has_suffix(path, STR("}")))
		path = str_head(str_skip(path, 1), path.len - 2);
	return str_has_prefix(path, STR("$")) ? str_skip(path, 1) : path;
}

const struct json *jsonpath_first(struct arena *arena, struct str path, const struct json *tree)
{
	struct found now = { 0 };
	const struct json *first;

	vec_push(&now.values, tree);
	for (path = without_frame(path); path.len != 0 && now.values.len != 0;) {
		struct found next = { 0 };
		struct step step;
		bool good = next_step(arena, &path, &step);

		for (size_t i = 0; good && i < now.values.len; i++)
			take_step(arena, &step, now.values.ptr[i], &next);
		vec_fini(&now.values);
		now = next;
	}
	first = now.values.len != 0 ? now.values.ptr[0] : NULL;
	vec_fini(&now.values);
	return first;
}

bool jsonpath_valid(struct arena *arena, struct str path)
{
	struct step step;

	for (path = without_frame(path); path.len != 0;)
		if (!next_step(arena, &path, &step))
			return false;
	return true;
}
