/* Label and field selectors of a list, a watch or a deletion. */
#include "api/selector.h"
#include "apiserver/server.h"

struct match {
	const struct kind *kind;
	struct selector labels;
	struct field_selector fields;
	bool all;
	struct str name;
};

struct error *match_parse(struct arena *arena, const struct kind *kind, struct str labels, struct str fields, struct match **out)
{
	struct match *match = ARENA_NEW(arena, struct match);
	struct error *err = selector_parse(arena, labels, &match->labels);

	match->kind = kind;
	if (err == NULL)
		err = field_selector_parse(arena, fields, kind, &match->fields);
	if (err == NULL && !field_selector_exact(&match->fields, "metadata.name", &match->name))
		match->name = STR("");
	match->all = str_trim(labels).len == 0 && str_trim(fields).len == 0;
	*out = match;
	return err;
}

bool match_tree(const struct match *match, const struct json *tree)
{
	return match->all || (selector_matches(&match->labels, json_path(tree, "metadata.labels")) &&
			      field_selector_matches(&match->fields, match->kind, tree));
}

bool match_value(const struct match *match, struct store_value *value)
{
	struct object *object;
	bool matches;

	if (match->all)
		return true;
	if (kind_stored_as(match->kind) == match->kind)
		return match_tree(match, object_tree(value_object(match->kind, value)));
	object = object_convert(value_object(match->kind, value), match->kind);
	matches = match_tree(match, object_tree(object));
	object_unref(object);
	return matches;
}

bool match_all(const struct match *match)
{
	return match->all;
}

struct str match_name(const struct match *match)
{
	return match->name;
}
