/* Grammar and words: k8s.io/apimachinery/pkg/labels/selector.go and pkg/fields/selector.go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/names.h"
#include "api/selector.h"
#include "base/vec.h"

/* ---- tokens ---- */

enum token {
	TOKEN_ERROR,
	TOKEN_END,
	TOKEN_CLOSE,
	TOKEN_COMMA,
	TOKEN_NOT,
	TOKEN_DOUBLE_EQUALS,
	TOKEN_EQUALS,
	TOKEN_GREATER,
	TOKEN_WORD,
	TOKEN_IN,
	TOKEN_LESS,
	TOKEN_NOT_EQUALS,
	TOKEN_NOT_IN,
	TOKEN_OPEN,
};

struct item {
	enum token token;
	struct str text;
};

static const struct {
	const char *text;
	enum token token;
} keywords[] = {
	{ ")", TOKEN_CLOSE },       { ",", TOKEN_COMMA },      { "!", TOKEN_NOT },  { "==", TOKEN_DOUBLE_EQUALS },
	{ "=", TOKEN_EQUALS },      { ">", TOKEN_GREATER },    { "in", TOKEN_IN },  { "<", TOKEN_LESS },
	{ "!=", TOKEN_NOT_EQUALS }, { "notin", TOKEN_NOT_IN }, { "(", TOKEN_OPEN },
};

struct parser {
	struct arena *arena;
	VEC(struct item) items;
	size_t at;
};

static bool find_keyword(struct str text, enum token *token)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (!str_is(text, keywords[i].text))
			continue;
		*token = keywords[i].token;
		return true;
	}
	return false;
}

static bool special(char c)
{
	return c != 0 && strchr("=!(),><", c) != NULL;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The longest keyword of special characters. */
static struct item scan_special(struct arena *arena, struct str *rest)
{
	struct item item = { TOKEN_ERROR, { 0 } };
	size_t n = 0;
	enum token token;

	while (n < rest->len && special(rest->ptr[n])) {
		n++;
		if (find_keyword(str_head(*rest, n), &token))
			item = (struct item){ token, str_head(*rest, n) };
		else if (item.token != TOKEN_ERROR)
			break;
	}
	if (item.token == TOKEN_ERROR)
		item.text = str_format(arena, "error expected: keyword found '%.*s'", STR_ARG(str_head(*rest, n)));
	*rest = str_skip(*rest, item.token == TOKEN_ERROR ? n : item.text.len);
	return item;
}

static void scan(struct parser *p, struct str rest)
{
	for (;;) {
		size_t n = 0;
		struct item item = { TOKEN_WORD, { 0 } };
		while (rest.len != 0 && blank(rest.ptr[0]))
			rest = str_skip(rest, 1);
		if (rest.len == 0 || rest.ptr[0] == 0) {
			vec_push(&p->items, (struct item){ TOKEN_END, STR("") });
			return;
		}
		if (special(rest.ptr[0])) {
			vec_push(&p->items, scan_special(p->arena, &rest));
			continue;
		}
		while (n < rest.len && rest.ptr[n] != 0 && !special(rest.ptr[n]) && !blank(rest.ptr[n]))
			n++;
		item.text = str_head(rest, n);
		find_keyword(item.text, &item.token);
		vec_push(&p->items, item);
		rest = str_skip(rest, n);
	}
}

/* Where a value is expected, "in" and "notin" are words; only behind a key they are not. */
static struct item look(const struct parser *p, bool operators)
{
	struct item item = p->items.ptr[p->at < p->items.len ? p->at : p->items.len - 1];

	if (!operators && (item.token == TOKEN_IN || item.token == TOKEN_NOT_IN))
		item.token = TOKEN_WORD;
	return item;
}

static struct item take(struct parser *p, bool operators)
{
	struct item item = look(p, operators);

	p->at++;
	return item;
}

/* ---- requirements ---- */

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct values {
	struct str *ptr;
	size_t len;
	size_t cap;
};

/* Sorted, each once. */
static struct str *sorted_values(struct arena *arena, const struct values *values, size_t *len)
{
	struct str *copy = ARENA_ARRAY(arena, struct str, values->len);

	*len = 0;
	if (values->len != 0)
		qsort(values->ptr, values->len, sizeof(*values->ptr), by_text);
	for (size_t i = 0; i < values->len; i++)
		if (i == 0 || !str_eq(values->ptr[i], values->ptr[i - 1]))
			copy[(*len)++] = str_dup(arena, values->ptr[i]);
	return copy;
}

static struct error *bad_label(struct complaints c, const char *path, struct str value)
{
	struct arena *arena = arena_new();
	struct error *err;
	AUTO_BUF struct buf all = { 0 };

	for (int i = 0; i < c.n; i++)
		buf_printf(&all, "%s%s", i == 0 ? "" : "; ", c.text[i]);
	err = error_new(ERR_BAD_REQUEST, "%s: Invalid value: %s: %s", path, api_quoted(arena, value), buf_cstr(&all));
	arena_free(arena);
	return err;
}

static struct error *check_requirement(const struct requirement *r)
{
	struct complaints c = name_label_key(r->key);
	int64_t number;

	if (c.n != 0)
		return bad_label(c, "key", r->key);
	if ((r->op == SELECT_IN || r->op == SELECT_NOT_IN) && r->len == 0)
		return error_new(ERR_BAD_REQUEST,
				 "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty");
	if ((r->op == SELECT_EXISTS || r->op == SELECT_ABSENT) && r->len != 0)
		return error_new(ERR_BAD_REQUEST, "values: Invalid value: values set must be empty for exists and does not exist");
	for (size_t i = 0; i < r->len; i++) {
		char path[400];
		snprintf(path, sizeof(path), "values[%zu]", i);
		if ((r->op == SELECT_GREATER || r->op == SELECT_LESS) && !str_to_i64(r->values[i], &number))
			return error_new(ERR_BAD_REQUEST,
					 "%s: Invalid value: \"%.*s\": for 'Gt', 'Lt' operators, the value must be an integer",
					 path, STR_ARG(r->values[i]));
		snprintf(path, sizeof(path), "values[%zu][%.*s]", i, STR_ARG(r->key));
		c = name_label_value(r->values[i]);
		if (c.n != 0)
			return bad_label(c, path, r->values[i]);
	}
	return NULL;
}

static struct error *parse_list(struct parser *p, struct values *values)
{
	for (;;) {
		struct item item = take(p, false), next = look(p, false);
		if (item.token == TOKEN_WORD) {
			vec_push(values, item.text);
			if (next.token == TOKEN_CLOSE)
				return NULL;
			if (next.token != TOKEN_COMMA)
				return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: ',' or ')'", STR_ARG(next.text));
		} else if (item.token == TOKEN_COMMA) {
			if (values->len == 0 || next.token == TOKEN_CLOSE || next.token == TOKEN_COMMA)
				vec_push(values, STR(""));
			if (next.token == TOKEN_CLOSE)
				return NULL;
		} else {
			return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: ',', or identifier", STR_ARG(item.text));
		}
	}
}

static struct error *parse_set(struct parser *p, struct values *values)
{
	struct item item = take(p, false);
	struct error *err;

	if (item.token != TOKEN_OPEN)
		return error_new(ERR_BAD_REQUEST, "found '%.*s' expected: '('", STR_ARG(item.text));
	item = look(p, false);
	if (item.token == TOKEN_CLOSE) {
		take(p, false);
		vec_push(values, STR(""));
		return NULL;
	}
	if (item.token != TOKEN_WORD && item.token != TOKEN_COMMA)
		return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: ',', ')' or identifier", STR_ARG(item.text));
	err = parse_list(p, values);
	if (err == NULL && take(p, false).token != TOKEN_CLOSE)
		err = error_new(ERR_BAD_REQUEST, "found '%.*s', expected: ')'", STR_ARG(item.text));
	return err;
}

static struct error *parse_exact(struct parser *p, struct values *values)
{
	struct item item = look(p, false);

	if (item.token == TOKEN_END || item.token == TOKEN_COMMA) {
		vec_push(values, STR(""));
		return NULL;
	}
	item = take(p, false);
	if (item.token != TOKEN_WORD)
		return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: identifier", STR_ARG(item.text));
	vec_push(values, item.text);
	return NULL;
}

static struct error *parse_operator(struct parser *p, enum selector_op *op)
{
	static const int ops[] = { [TOKEN_IN] = SELECT_IN + 1,
				   [TOKEN_NOT_IN] = SELECT_NOT_IN + 1,
				   [TOKEN_EQUALS] = SELECT_EQUALS + 1,
				   [TOKEN_DOUBLE_EQUALS] = SELECT_DOUBLE_EQUALS + 1,
				   [TOKEN_GREATER] = SELECT_GREATER + 1,
				   [TOKEN_LESS] = SELECT_LESS + 1,
				   [TOKEN_NOT_EQUALS] = SELECT_NOT_EQUALS + 1,
				   [TOKEN_OPEN] = 0 };
	struct item item = take(p, true);

	if (ops[item.token] == 0)
		return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: in, notin, =, ==, !=, gt, lt", STR_ARG(item.text));
	*op = (enum selector_op)(ops[item.token] - 1);
	return NULL;
}

static struct error *parse_requirement(struct parser *p, struct requirement *out)
{
	struct item item = take(p, false);
	struct values values = { 0 };
	bool absent = item.token == TOKEN_NOT;
	struct error *err = NULL;

	if (absent)
		item = take(p, false);
	if (item.token != TOKEN_WORD)
		return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: identifier", STR_ARG(item.text));
	*out = (struct requirement){ .key = str_dup(p->arena, item.text), .op = absent ? SELECT_ABSENT : SELECT_EXISTS };
	struct complaints c = name_label_key(out->key);
	if (c.n != 0)
		return bad_label(c, "<nil>", out->key);
	item = look(p, false);
	if (!absent && item.token != TOKEN_END && item.token != TOKEN_COMMA) {
		err = parse_operator(p, &out->op);
		if (err == NULL)
			err = out->op == SELECT_IN || out->op == SELECT_NOT_IN ? parse_set(p, &values) : parse_exact(p, &values);
	}
	if (err == NULL) {
		out->values = sorted_values(p->arena, &values, &out->len);
		err = check_requirement(out);
	}
	vec_fini(&values);
	return err;
}

static int by_key(const void *a, const void *b)
{
	const struct requirement *x = *(const struct requirement *const *)a, *y = *(const struct requirement *const *)b;
	int order = str_cmp(x->key, y->key);

	return order != 0 ? order : x < y ? -1 : x > y; /* of equal keys the first stays first */
}

struct requirements {
	struct requirement *ptr;
	size_t len;
	size_t cap;
};

/* Stable by key, onto the arena. */
static void finish(struct arena *arena, struct requirements *list, struct selector *out)
{
	struct requirement *items = ARENA_ARRAY(arena, struct requirement, list->len);
	const struct requirement **order = ARENA_ARRAY(arena, const struct requirement *, list->len);

	for (size_t i = 0; i < list->len; i++)
		order[i] = &list->ptr[i];
	if (list->len > 1)
		qsort(order, list->len, sizeof(*order), by_key);
	for (size_t i = 0; i < list->len; i++)
		items[i] = *order[i];
	*out = (struct selector){ .items = items, .len = list->len };
}

static struct error *parse_all(struct parser *p, struct requirements *list)
{
	for (;;) {
		struct item item = look(p, false);
		struct requirement r;
		struct error *err;
		if (item.token == TOKEN_END)
			return NULL;
		if (item.token != TOKEN_WORD && item.token != TOKEN_NOT)
			return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: !, identifier, or 'end of string'",
					 STR_ARG(item.text));
		err = parse_requirement(p, &r);
		if (err != NULL)
			return error_context(err, "unable to parse requirement");
		vec_push(list, r);
		item = take(p, false);
		if (item.token == TOKEN_END)
			return NULL;
		if (item.token != TOKEN_COMMA)
			return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: ',' or 'end of string'", STR_ARG(item.text));
		item = look(p, false);
		if (item.token != TOKEN_WORD && item.token != TOKEN_NOT)
			return error_new(ERR_BAD_REQUEST, "found '%.*s', expected: identifier after ','", STR_ARG(item.text));
	}
}

struct error *selector_parse(struct arena *arena, struct str text, struct selector *out)
{
	struct parser p = { .arena = arena };
	struct requirements list = { 0 };
	struct error *err;

	scan(&p, text);
	err = parse_all(&p, &list);
	if (err == NULL)
		finish(arena, &list, out);
	vec_fini(&list);
	vec_fini(&p.items);
	return err;
}

/* ---- selectors from objects ---- */

void selector_from_map(struct arena *arena, const struct json *map, struct selector *out)
{
	struct requirements list = { 0 };

	JSON_EACH (map, it) {
		struct str *value = ARENA_NEW(arena, struct str);
		*value = json_str(it.value);
		vec_push(&list, (struct requirement){ .key = it.key, .op = SELECT_EQUALS, .values = value, .len = 1 });
	}
	finish(arena, &list, out);
	vec_fini(&list);
}

static struct error *from_expression(struct arena *arena, const struct json *expression, struct requirement *out)
{
	static const struct {
		const char *name;
		enum selector_op op;
	} ops[] = {
		{ "In", SELECT_IN }, { "NotIn", SELECT_NOT_IN }, { "Exists", SELECT_EXISTS }, { "DoesNotExist", SELECT_ABSENT }
	};
	struct str op = json_get_str(expression, "operator");
	const struct json *values = json_get(expression, "values");
	struct str *copy = ARENA_ARRAY(arena, struct str, json_len(values));
	size_t i = 0;

	while (i < sizeof(ops) / sizeof(ops[0]) && !str_is(op, ops[i].name))
		i++;
	if (i == sizeof(ops) / sizeof(ops[0]))
		return error_new(ERR_BAD_REQUEST, "\"%.*s\" is not a valid label selector operator", STR_ARG(op));
	JSON_EACH (values, it)
		copy[it.index] = json_str(it.value);
	qsort(copy, json_len(values), sizeof(*copy), by_text);
	*out = (struct requirement){ json_get_str(expression, "key"), ops[i].op, copy, json_len(values) };
	return check_requirement(out);
}

struct error *selector_from_object(struct arena *arena, const struct json *object, struct selector *out)
{
	struct requirements list = { 0 };
	struct error *err = NULL;

	*out = (struct selector){ .nothing = true };
	if (json_absent(object))
		return NULL;
	selector_from_map(arena, json_get(object, "matchLabels"), out);
	for (size_t i = 0; i < out->len && err == NULL; i++) {
		err = check_requirement(&out->items[i]);
		vec_push(&list, out->items[i]);
	}
	JSON_EACH (json_get(object, "matchExpressions"), it) {
		struct requirement r;
		if (err == NULL)
			err = from_expression(arena, it.value, &r);
		if (err == NULL)
			vec_push(&list, r);
	}
	if (err == NULL)
		finish(arena, &list, out);
	vec_fini(&list);
	return err;
}

/* ---- matching ---- */

static bool has_value(const struct requirement *r, struct str value)
{
	for (size_t i = 0; i < r->len; i++)
		if (str_eq(r->values[i], value))
			return true;
	return false;
}

bool requirement_matches(const struct requirement *r, const struct json *labels)
{
	const struct json *label = json_find(labels, r->key);
	int64_t is, than;

	switch (r->op) {
	case SELECT_EQUALS:
	case SELECT_DOUBLE_EQUALS:
	case SELECT_IN:
		return label != NULL && has_value(r, json_str(label));
	case SELECT_NOT_EQUALS:
	case SELECT_NOT_IN:
		return label == NULL || !has_value(r, json_str(label));
	case SELECT_EXISTS:
		return label != NULL;
	case SELECT_ABSENT:
		return label == NULL;
	case SELECT_GREATER:
	case SELECT_LESS:
		break;
	}
	if (label == NULL || r->len != 1 || !str_to_i64(json_str(label), &is) || !str_to_i64(r->values[0], &than))
		return false;
	return r->op == SELECT_GREATER ? is > than : is < than;
}

bool selector_matches(const struct selector *selector, const struct json *labels)
{
	for (size_t i = 0; i < selector->len; i++)
		if (!requirement_matches(&selector->items[i], labels))
			return false;
	return !selector->nothing;
}

bool selector_everything(const struct selector *selector)
{
	return selector->len == 0 && !selector->nothing;
}

static void write_values(struct buf *out, const struct requirement *r)
{
	bool set = r->op == SELECT_IN || r->op == SELECT_NOT_IN;

	if (set)
		buf_putc(out, '(');
	for (size_t i = 0; i < r->len; i++)
		buf_printf(out, "%s%.*s", i == 0 ? "" : ",", STR_ARG(r->values[i]));
	if (set)
		buf_putc(out, ')');
}

struct str selector_text(struct arena *arena, const struct selector *selector)
{
	static const char *const signs[] = { [SELECT_EQUALS] = "=", [SELECT_DOUBLE_EQUALS] = "==", [SELECT_NOT_EQUALS] = "!=",
					     [SELECT_IN] = " in ",  [SELECT_NOT_IN] = " notin ",   [SELECT_EXISTS] = "",
					     [SELECT_ABSENT] = "",  [SELECT_GREATER] = ">",        [SELECT_LESS] = "<" };
	AUTO_BUF struct buf out = { 0 };

	for (size_t i = 0; i < selector->len; i++) {
		const struct requirement *r = &selector->items[i];
		buf_printf(&out, "%s%s%.*s%s", i == 0 ? "" : ",", r->op == SELECT_ABSENT ? "!" : "", STR_ARG(r->key), signs[r->op]);
		write_values(&out, r);
	}
	return str_dup(arena, buf_str(&out));
}

/* ---- field selectors ---- */

static struct error *unescape(struct arena *arena, struct str text, struct str *out)
{
	char *copy = arena_raw(arena, text.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == ',' || c == '=')
			return error_new(ERR_BAD_REQUEST, "invalid field selector: unescaped character in value: %d", c);
		if (c == '\\') {
			i++;
			if (i == text.len)
				return error_new(ERR_BAD_REQUEST, "invalid field selector: invalid escape sequence: \\");
			c = text.ptr[i];
			if (c != '\\' && c != ',' && c != '=')
				return error_new(ERR_BAD_REQUEST, "invalid field selector: invalid escape sequence: \\%c", c);
		}
		copy[n++] = c;
	}
	copy[n] = 0;
	*out = str_of(copy, n);
	return NULL;
}

/* Up to the next comma that is not escaped. */
static struct str next_term(struct str *rest)
{
	size_t n = 0;

	while (n < rest->len && rest->ptr[n] != ',')
		n += rest->ptr[n] == '\\' && n + 1 < rest->len ? 2 : 1;
	struct str term = str_head(*rest, n);
	*rest = str_skip(*rest, n + 1);
	return term;
}

static bool offered(const struct kind *kind, struct str field)
{
	if (str_is(field, "metadata.name") ||
	    (str_is(field, "metadata.namespace") && (kind_namespaced(kind) || kind->fields.n == 0)))
		return true;
	for (size_t i = 0; i < kind->fields.n; i++)
		if (str_eq(catalog_text_at(&kind->fields, i), field))
			return true;
	return false;
}

static struct error *not_offered(const struct kind *kind, struct str field)
{
	if (kind->fields.n == 0)
		return error_new(ERR_BAD_REQUEST,
				 "\"%.*s\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
				 STR_ARG(field));
	if (str_is(kind_name(kind), "Job"))
		return error_new(ERR_BAD_REQUEST, "field label \"%.*s\" not supported for Job", STR_ARG(field));
	if (str_is(kind_name(kind), "ResourceSlice"))
		return error_new(ERR_BAD_REQUEST, "field label not supported for %.*s/%.*s, Kind=ResourceSlice: %.*s",
				 STR_ARG(kind_group(kind)), STR_ARG(kind_version(kind)), STR_ARG(field));
	return error_new(ERR_BAD_REQUEST, "field label not supported: %.*s", STR_ARG(field));
}

static struct error *parse_term(struct arena *arena, struct str text, struct str term, struct field_term *out)
{
	for (size_t i = 0; i < term.len; i++) {
		struct str rest = str_skip(term, i);
		bool differs = str_has_prefix(rest, STR("!="));
		if (!differs && rest.ptr[0] != '=')
			continue;
		out->field = str_dup(arena, str_head(term, i));
		out->differs = differs;
		return unescape(arena, str_skip(rest, differs || str_has_prefix(rest, STR("==")) ? 2 : 1), &out->value);
	}
	return error_new(ERR_BAD_REQUEST, "invalid selector: '%.*s'; can't understand '%.*s'", STR_ARG(text), STR_ARG(term));
}

struct error *field_selector_parse(struct arena *arena, struct str text, const struct kind *kind, struct field_selector *out)
{
	VEC(struct field_term) terms = { 0 };
	struct str rest = text;
	struct error *err = NULL;

	while (rest.len != 0 && err == NULL) {
		struct str term = next_term(&rest);
		struct field_term parsed = { 0 };
		if (term.len == 0)
			continue;
		err = parse_term(arena, text, term, &parsed);
		if (err != NULL)
			break;
		if (kind != NULL && str_is(kind_name(kind), "Pod") && str_is(parsed.field, "spec.host"))
			parsed.field = STR("spec.nodeName");
		if (kind != NULL && !offered(kind, parsed.field))
			err = not_offered(kind, parsed.field);
		vec_push(&terms, parsed);
	}
	struct field_term *items = ARENA_ARRAY(arena, struct field_term, terms.len);
	if (terms.len != 0)
		memcpy(items, terms.ptr, terms.len * sizeof(*items));
	*out = (struct field_selector){ items, terms.len };
	vec_fini(&terms);
	return err;
}

/* What the field holds, as text; the few that are no plain paths stand first. */
static struct str field_value(const struct kind *kind, const struct json *tree, struct str field)
{
	bool event = str_is(kind_name(kind), "Event");
	struct str rest = field, name;

	if (event && str_is(field, "source")) {
		struct str source = json_path_str(tree, "source.component");
		return source.len != 0 ? source : json_get_str(tree, "reportingComponent");
	}
	if (str_is(field, "status.podIPs"))
		return json_path_str(tree, "status.podIPs.0.ip");
	if (str_is(field, "status.successful"))
		field = rest = STR("status.succeeded");
	const struct json *value = tree;
	while (str_cut(&rest, '.', &name))
		value = json_find(value, name);
	if (value == NULL) {
		bool number = str_is(field, "status.succeeded") || str_is(field, "status.replicas");
		bool flag = str_is(field, "spec.unschedulable") || str_is(field, "spec.hostNetwork");
		return number ? STR("0") : flag ? STR("false") : STR("");
	}
	if (value->type == JSON_BOOL)
		return value->len != 0 ? STR("true") : STR("false");
	return value->type == JSON_STRING || value->type == JSON_NUMBER ? value->text : STR("");
}

bool field_selector_matches(const struct field_selector *selector, const struct kind *kind, const struct json *tree)
{
	for (size_t i = 0; i < selector->len; i++) {
		const struct field_term *term = &selector->items[i];
		if (str_eq(field_value(kind, tree, term->field), term->value) == term->differs)
			return false;
	}
	return true;
}

bool field_selector_exact(const struct field_selector *selector, const char *field, struct str *value)
{
	for (size_t i = 0; i < selector->len; i++) {
		if (selector->items[i].differs || !str_is(selector->items[i].field, field))
			continue;
		*value = selector->items[i].value;
		return true;
	}
	return false;
}
