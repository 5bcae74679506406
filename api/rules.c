/* Runs rules of fields: see api/rules.h. */
#include "api/rules.h"

#include <string.h>

const char *rules_at(struct api_findings *f, const char *path, const char *field)
{
	if (field[0] == 0)
		return path;
	return path[0] == 0 ? field : AT(f, "%s.%s", path, field);
}

static bool empty(const struct json *value)
{
	return json_absent(value) || (json_is(value, JSON_STRING) && value->text.len == 0) ||
	       ((json_is(value, JSON_ARRAY) || json_is(value, JSON_OBJECT)) && json_len(value) == 0);
}

static size_t listed(const struct rule *rule)
{
	size_t n = 0;

	while (n < N_OF(rule->list) && rule->list[n] != NULL)
		n++;
	return n;
}

/* A value that is there. */
static void judge(struct api_findings *f, const struct rule *rule, const char *path, const struct json *value)
{
	struct str text = json_str(value);

	switch (rule->what) {
	case RULE_FILLED:
		if (text.len == 0)
			finding_invalid(f, path, value, rule->say);
		return;
	case RULE_FILLED_TEXT:
		if (text.len == 0)
			finding_required(f, path, rule->say);
		return;
	case RULE_NAME:
		if (text.len != 0 || rule->pointer)
			check_complaints(f, path, text, rule->name(text));
		return;
	case RULE_NAMES:
		JSON_EACH (value, it)
			check_complaints(f, AT(f, "%s[%zu]", path, it.index), json_str(it.value), rule->name(json_str(it.value)));
		return;
	case RULE_BETWEEN:
		if (json_int(value, rule->least) < rule->least || json_int(value, rule->most) > rule->most)
			finding_invalid(f, path, value, rule->say);
		return;
	case RULE_ONE_OF:
		check_if_one_of(f, path, value, rule->list, listed(rule));
		return;
	case RULE_NAMED:
		check_one_of(f, path, text, false, rule->list, listed(rule));
		return;
	case RULE_SELECTOR:
		check_label_selector(f, path, value);
		return;
	case RULE_NEEDED:
	case RULE_CALL:
	case RULE_ELSEWHERE:
		break;
	}
}

bool rules_name(const struct rule *rows, struct str field)
{
	for (const struct rule *rule = rows; rule != NULL && rule->field != NULL; rule++)
		if (str_is(field, rule->field) && rule->what != RULE_NAME)
			return true;
	return false;
}

void rules_find(struct api_findings *f, const struct rule *rows, const struct json *tree, const char *path)
{
	for (const struct rule *rule = rows; rule->field != NULL; rule++) {
		const struct json *value = json_find(tree, str_from(rule->field));
		const char *at = rules_at(f, path, rule->field);

		if (rule->what == RULE_CALL)
			rule->call(f, path, tree);
		else if (rule->what == RULE_NEEDED && empty(value))
			finding_required(f, at, rule->say == NULL ? "" : rule->say);
		else if (!json_absent(value))
			judge(f, rule, at, value);
	}
}
