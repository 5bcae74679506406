/*
 * YAML to JSON and back, over libyaml's events and its emitter.
 *
 * Reading follows sigs.k8s.io/yaml (goyaml.v2): plain scalars are resolved by the YAML 1.1 rules, quoted ones are text;
 * keys become text. An alias shares the tree of its anchor, so expansion costs nothing here; but it would when written
 * out, so the number of nodes an alias stands for is counted and bounded.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/auto.h"
#include "base/trace.h"
#include "base/codec.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "json/json.h"
#include "json/utf8.h"

/* ---- scalars ---- */

struct word {
	const char *text;
	const struct json *value;
};

static const struct word words[] = {
	{ "", &json_null },     { "~", &json_null },      { "null", &json_null },   { "Null", &json_null },
	{ "NULL", &json_null }, { "y", &json_true },      { "Y", &json_true },      { "yes", &json_true },
	{ "Yes", &json_true },  { "YES", &json_true },    { "true", &json_true },   { "True", &json_true },
	{ "TRUE", &json_true }, { "on", &json_true },     { "On", &json_true },     { "ON", &json_true },
	{ "n", &json_false },   { "N", &json_false },     { "no", &json_false },    { "No", &json_false },
	{ "NO", &json_false },  { "false", &json_false }, { "False", &json_false }, { "FALSE", &json_false },
	{ "off", &json_false }, { "Off", &json_false },   { "OFF", &json_false },
};

/* Digits of the given base only, at least one. */
static bool all_digits(const char *s, int base)
{
	size_t n = 0;

	for (; *s != 0; s++, n++) {
		int d = isdigit((unsigned char)*s)   ? *s - '0'
			: isalpha((unsigned char)*s) ? tolower((unsigned char)*s) - 'a' + 10
						     : 99;
		if (d >= base)
			return false;
	}
	return n != 0;
}

/* Go's ParseInt with base 0, and ParseUint for what is too large. */
static bool resolve_integer(struct arena *arena, const char *s, const struct json **out)
{
	bool negative = *s == '-';
	const char *digits = s + (*s == '-' || *s == '+');
	int base = 10;

	if (digits[0] == '0' && digits[1] != 0) {
		char kind = (char)tolower((unsigned char)digits[1]);
		base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
		digits += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
	}
	if (!all_digits(digits, base))
		return false;
	errno = 0;
	unsigned long long value = strtoull(digits, NULL, base);
	if (errno == ERANGE || (negative && value > UINT64_C(1) << 63))
		return false;
	*out = json_number_text(arena, str_format(arena, "%s%llu", negative && value != 0 ? "-" : "", value));
	return true;
}

/* ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$ */
static bool float_shaped(const char *s)
{
	size_t before, after = 0;

	s += *s == '-' || *s == '+';
	before = strspn(s, "0123456789");
	s += before;
	if (*s == '.') {
		after = strspn(++s, "0123456789");
		s += after;
	}
	if (before + after == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		size_t exponent = strspn(s, "0123456789");
		if (exponent == 0)
			return false;
		s += exponent;
	}
	return *s == 0;
}

static bool resolve_number(struct arena *arena, const char *text, const struct json **out)
{
	size_t len = strlen(text), n = 0;
	char *s;

	if (strchr("+-.0123456789", text[0]) == NULL || len > 400)
		return false;
	s = arena_raw(arena, len + 1);
	for (size_t i = 0; i < len; i++)
		if (text[i] != '_')
			s[n++] = text[i];
	s[n] = 0;
	if (resolve_integer(arena, s, out))
		return true;
	if (!float_shaped(s))
		return false;
	double value = strtod(s, NULL);
	if (isinf(value))
		return false;
	*out = value == 0 ? json_number(arena, 0)
			  : json_real(arena, value); /* -0.0 is no integer that could be written and read again */
	return true;
}

static const struct json *resolve_plain(struct arena *arena, struct str text)
{
	const struct json *value;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_is(text, words[i].text))
			return words[i].value;
	if (memchr(text.ptr, 0, text.len) == NULL && resolve_number(arena, str_cstr(arena, text), &value))
		return value;
	return json_string(arena, text);
}

/* ---- reading ---- */

struct anchor {
	const struct json *value;
	uint64_t nodes; /* in it, aliases expanded */
};

struct yaml_reader {
	struct arena *arena;
	const struct json_options *options;
	yaml_parser_t parser;
	yaml_event_t event;
	struct map anchors; /* name → struct anchor, of this document */
	uint64_t nodes;
	int depth;
};

static struct error *next_event(struct yaml_reader *r)
{
	yaml_event_delete(&r->event);
	memset(&r->event, 0, sizeof(r->event));
	if (yaml_parser_parse(&r->parser, &r->event))
		return NULL;
	const yaml_parser_t *p = &r->parser;
	size_t line = p->problem_mark.line + (p->error == YAML_SCANNER_ERROR ? 1 : 0);
	if (p->context != NULL && p->problem_mark.line == 0)
		line = p->context_mark.line;
	if (p->problem == NULL)
		return error_new(ERR_BAD_REQUEST, "yaml: unknown problem parsing YAML content");
	return line == 0 ? error_new(ERR_BAD_REQUEST, "yaml: %s", p->problem)
			 : error_new(ERR_BAD_REQUEST, "yaml: line %zu: %s", line, p->problem);
}

static struct error *count_nodes(struct yaml_reader *r, uint64_t n)
{
	r->nodes += n;
	if (r->nodes > LIMIT_YAML_NODES)
		return error_new(ERR_BAD_REQUEST, "yaml: document contains excessive aliasing");
	return NULL;
}

static const char *anchor_of(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return (const char *)event->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)event->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return (const char *)event->data.mapping_start.anchor;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_ALIAS_EVENT:
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		break;
	}
	return NULL;
}

static struct error *read_node(struct yaml_reader *r, const struct json **out) MUST_CHECK;

static struct error *read_alias(struct yaml_reader *r, const struct json **out)
{
	const char *name = (const char *)r->event.data.alias.anchor;
	const struct anchor *anchor = map_find(&r->anchors, str_from(name));

	if (anchor == NULL)
		return error_new(ERR_BAD_REQUEST, "yaml: unknown anchor '%s' referenced", name);
	if (anchor->value == NULL)
		return error_new(ERR_BAD_REQUEST, "yaml: anchor '%s' value contains itself", name);
	*out = anchor->value;
	return count_nodes(r, anchor->nodes);
}

static struct error *read_scalar(struct yaml_reader *r, const struct json **out)
{
	const char *tag = (const char *)r->event.data.scalar.tag;
	struct str text = str_dup(r->arena, str_of((const char *)r->event.data.scalar.value, r->event.data.scalar.length));

	if (tag != NULL && strcmp(tag, "tag:yaml.org,2002:binary") == 0) {
		AUTO_BUF struct buf bytes = { 0 };
		if (!base64_decode(&bytes, text))
			return error_new(ERR_BAD_REQUEST, "yaml: !!binary value contains invalid base64 data");
		*out = json_string_copy(r->arena, utf8_sane(r->arena, buf_str(&bytes)));
		return NULL;
	}
	if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && (tag == NULL || strcmp(tag, YAML_STR_TAG) != 0))
		*out = resolve_plain(r->arena, text);
	else
		*out = json_string(r->arena, text);
	return NULL;
}

static struct error *read_sequence(struct yaml_reader *r, const struct json **out)
{
	struct json_builder b = { .arena = r->arena };

	for (;;) {
		const struct json *item;
		struct error *err = next_event(r);
		if (err != NULL)
			return err;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		err = read_node(r, &item);
		if (err != NULL)
			return err;
		json_builder_item(&b, item);
	}
	*out = json_builder_array(&b);
	return NULL;
}

/* A key as text: what sigs.k8s.io/yaml makes of scalars that are no strings. */
static struct error *key_text(struct yaml_reader *r, const struct json *key, struct str *out)
{
	switch (key->type) {
	case JSON_STRING:
	case JSON_NUMBER:
		*out = key->text;
		return NULL;
	case JSON_BOOL:
		*out = key->len != 0 ? STR("true") : STR("false");
		return NULL;
	case JSON_NULL:
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	AUTO_BUF struct buf text = { 0 };
	json_write(&text, key);
	return error_new(ERR_BAD_REQUEST, "yaml: line %zu: unsupported map key %s", r->event.start_mark.line + 1, buf_cstr(&text));
}

/* "<<": what the mapping itself does not say comes from there. Later: own keys win wherever they stand. */
static struct error *merge_into(struct json_builder *merged, const struct json *from)
{
	if (json_is(from, JSON_ARRAY)) {
		for (size_t i = 0; i < from->len; i++) {
			struct error *err = merge_into(merged, from->items[i]);
			if (err != NULL)
				return err;
		}
		return NULL;
	}
	if (!json_is(from, JSON_OBJECT))
		return error_new(ERR_BAD_REQUEST, "yaml: map merge requires map or sequence of maps as the value");
	JSON_EACH (from, it)
		json_builder_member(merged, it.key, it.value);
	return NULL;
}

struct mapping {
	struct json_builder own, merged;
	struct map places; /* key → index in own + 1 */
};

static struct error *read_pair(struct yaml_reader *r, struct mapping *m)
{
	const struct json *key, *value;
	struct str name;
	int line = (int)r->event.start_mark.line + 1;
	bool merge = r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		     strcmp((const char *)r->event.data.scalar.value, "<<") == 0;
	struct error *err = read_node(r, &key);

	if (err == NULL)
		err = key_text(r, key, &name);
	if (err == NULL)
		err = next_event(r);
	if (err == NULL)
		err = read_node(r, &value);
	if (err != NULL)
		return err;
	if (merge)
		return merge_into(&m->merged, value);
	uintptr_t place = (uintptr_t)map_find(&m->places, name);
	if (place == 0) {
		json_builder_member(&m->own, name, value);
		map_set(&m->places, name, (void *)(uintptr_t)m->own.len);
		return NULL;
	}
	m->own.members[place - 1].value = value;
	if (r->options != NULL && r->options->duplicate != NULL)
		r->options->duplicate(r->options->arg, name, line);
	return NULL;
}

static struct error *read_mapping(struct yaml_reader *r, const struct json **out)
{
	struct mapping m = { .own = { .arena = r->arena }, .merged = { .arena = r->arena } };
	struct error *err;

	for (err = next_event(r); err == NULL && r->event.type != YAML_MAPPING_END_EVENT; err = next_event(r)) {
		err = read_pair(r, &m);
		if (err != NULL)
			break;
	}
	for (uint32_t i = 0; i < m.merged.len; i++) {
		const struct json_member *member = &m.merged.members[i];
		if (map_set(&m.places, member->key, &m) == NULL)
			json_builder_member(&m.own, member->key, member->value);
	}
	map_fini(&m.places);
	*out = json_builder_object(&m.own);
	return err;
}

static struct error *read_node(struct yaml_reader *r, const struct json **out)
{
	struct anchor *anchor = NULL;
	const char *name = anchor_of(&r->event);
	uint64_t before = r->nodes;
	struct error *err = count_nodes(r, 1);

	if (err != NULL)
		return err;
	if (name != NULL) {
		anchor = ARENA_NEW(r->arena, struct anchor);
		map_set(&r->anchors, str_from(name), anchor);
	}
	if (++r->depth > LIMIT_YAML_DEPTH)
		return error_new(ERR_BAD_REQUEST, "yaml: exceeded max depth of %d", LIMIT_YAML_DEPTH);
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		err = read_scalar(r, out);
		break;
	case YAML_ALIAS_EVENT:
		err = read_alias(r, out);
		break;
	case YAML_SEQUENCE_START_EVENT:
		err = read_sequence(r, out);
		break;
	case YAML_MAPPING_START_EVENT:
		err = read_mapping(r, out);
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return error_new(ERR_BAD_REQUEST, "yaml: unexpected end of node");
	}
	r->depth--;
	if (anchor != NULL && err == NULL)
		*anchor = (struct anchor){ *out, r->nodes - before };
	return err;
}

/* Adds each document of the stream; stops after the first when only_one. */
static struct error *read_stream(struct yaml_reader *r, struct json_builder *documents, bool only_one)
{
	for (;;) {
		const struct json *document;
		struct error *err = next_event(r);
		if (err != NULL)
			return err;
		if (r->event.type == YAML_STREAM_END_EVENT)
			return NULL;
		if (r->event.type != YAML_DOCUMENT_START_EVENT)
			continue;
		map_fini(&r->anchors);
		r->depth = 0;
		err = next_event(r);
		if (err == NULL)
			err = read_node(r, &document);
		if (err != NULL)
			return err;
		json_builder_item(documents, document);
		if (only_one)
			return NULL;
	}
}

static struct error *read_yaml(struct arena *arena, struct str text, const struct json_options *options, bool only_one,
			       struct json_builder *documents)
{
	struct yaml_reader r = { .arena = arena, .options = options };
	struct error *err;

	documents->arena = arena;
	if (!yaml_parser_initialize(&r.parser))
		return error_new(ERR_INTERNAL, "yaml: no memory");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.len != 0 ? text.ptr : ""), text.len);
	err = read_stream(&r, documents, only_one);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	map_fini(&r.anchors);
	return err;
}

struct error *json_read_yaml(struct arena *arena, struct str text, const struct json_options *options, const struct json **out)
{
	struct json_builder documents = { 0 };
	struct error *err = read_yaml(arena, text, options, true, &documents);

	if (err != NULL)
		return err;
	*out = documents.len == 0 ? &json_null : documents.items[0];
	return NULL;
}

/* kubectl's rule: a text that starts with "{" is a stream of JSON values. */
static struct error *read_json_stream(struct arena *arena, struct str text, const struct json_options *options,
				      struct json_builder *documents)
{
	documents->arena = arena;
	for (text = str_trim(text); text.len != 0; text = str_trim(text)) {
		const struct json *value;
		struct error *err = json_read_some(arena, &text, options, &value);
		if (err != NULL)
			return err;
		json_builder_item(documents, value);
		text = str_trim(text);
		if (str_has_prefix(text, STR("---")))
			text = str_skip(text, 3);
	}
	return NULL;
}

struct error *json_read_documents(struct arena *arena, struct str text, const struct json_options *options, const struct json **out)
{
	struct json_builder all = { 0 }, full = { .arena = arena };
	struct error *err;

	if (str_has_prefix(str_trim(text), STR("{")))
		err = read_json_stream(arena, text, options, &all);
	else
		err = read_yaml(arena, text, options, false, &all);
	if (err != NULL)
		return err;
	for (uint32_t i = 0; i < all.len; i++)
		if (all.items[i]->type != JSON_NULL)
			json_builder_item(&full, all.items[i]);
	*out = json_builder_array(&full);
	return NULL;
}

/* ---- writing ---- */

static int append_to_buf(void *out, unsigned char *text, size_t len)
{
	buf_append(out, text, len);
	return 1;
}

/* 1:30 and the like were numbers once; goyaml quotes them still: ^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$ */
static bool base60(const char *s)
{
	size_t n;

	s += *s == '-' || *s == '+';
	if (!isdigit((unsigned char)*s))
		return false;
	s += strspn(s, "0123456789_");
	if (*s != ':')
		return false;
	while (*s == ':') {
		n = strspn(++s, "0123456789");
		if (n == 0 || n > 2 || (n == 2 && *s > '5'))
			return false;
		s += n;
	}
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789_");
	return *s == 0;
}

/* goyaml reads a plain date as a timestamp, so text that looks like one is quoted. */
static bool timestamp_shaped(struct str s)
{
	static const char shape[] = "dddd-d";

	for (size_t i = 0; i < sizeof(shape) - 1; i++)
		if (i >= s.len || (shape[i] == 'd' ? !isdigit((unsigned char)s.ptr[i]) : s.ptr[i] != '-'))
			return false;
	for (size_t i = 0; i < s.len; i++)
		if (strchr("0123456789-:.TtZz+ ", s.ptr[i]) == NULL)
			return false;
	return true;
}

static yaml_scalar_style_t style_of(struct arena *arena, struct str text)
{
	if (str_find(text, '\n') >= 0)
		return YAML_LITERAL_SCALAR_STYLE;
	if (str_is(text, "<<") || str_is(text, "=") || timestamp_shaped(text) || base60(str_cstr(arena, text)))
		return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	if (str_is(text, ".nan") || str_is(text, ".NaN") || str_is(text, ".NAN") || str_is(text, ".inf") || str_is(text, ".Inf") ||
	    str_is(text, ".INF"))
		return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	if (resolve_plain(arena, text)->type != JSON_STRING || text.len == 0)
		return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	return YAML_PLAIN_SCALAR_STYLE;
}

struct yaml_writer {
	yaml_emitter_t emitter;
	struct arena *arena;
};

static void emit(struct yaml_writer *w, yaml_event_t *event)
{
	/* The buffer takes everything and the events nest by construction, so only memory could fail. */
	ASSERT(yaml_emitter_emit(&w->emitter, event));
}

static void emit_scalar(struct yaml_writer *w, struct str text, yaml_scalar_style_t style)
{
	yaml_event_t event;
	struct str sane = utf8_sane(w->arena, text);

	ASSERT(yaml_scalar_event_initialize(&event, NULL, NULL, (const unsigned char *)(sane.len != 0 ? sane.ptr : ""),
					    (int)sane.len, 1, 1, style));
	emit(w, &event);
}

static int by_key(const void *a, const void *b)
{
	return str_cmp((*(const struct json_member *const *)a)->key, (*(const struct json_member *const *)b)->key);
}

static void emit_value(struct yaml_writer *w, const struct json *value);

static void emit_object(struct yaml_writer *w, const struct json *value)
{
	const struct json_member **members = ARENA_ARRAY(w->arena, const struct json_member *, value->len);
	yaml_event_t event;

	for (uint32_t i = 0; i < value->len; i++)
		members[i] = &value->members[i];
	qsort(members, value->len, sizeof(*members), by_key);
	ASSERT(yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
	emit(w, &event);
	for (uint32_t i = 0; i < value->len; i++) {
		emit_scalar(w, members[i]->key, style_of(w->arena, members[i]->key));
		emit_value(w, members[i]->value);
	}
	ASSERT(yaml_mapping_end_event_initialize(&event));
	emit(w, &event);
}

static void emit_value(struct yaml_writer *w, const struct json *value)
{
	yaml_event_t event;

	switch (value->type) {
	case JSON_NULL:
		emit_scalar(w, STR("null"), YAML_PLAIN_SCALAR_STYLE);
		return;
	case JSON_BOOL:
		emit_scalar(w, value->len != 0 ? STR("true") : STR("false"), YAML_PLAIN_SCALAR_STYLE);
		return;
	case JSON_NUMBER:
		emit_scalar(w, value->text, YAML_PLAIN_SCALAR_STYLE);
		return;
	case JSON_STRING:
		emit_scalar(w, value->text, style_of(w->arena, value->text));
		return;
	case JSON_OBJECT:
		emit_object(w, value);
		return;
	case JSON_ARRAY:
		break;
	}
	ASSERT(yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
	emit(w, &event);
	for (uint32_t i = 0; i < value->len; i++)
		emit_value(w, value->items[i]);
	ASSERT(yaml_sequence_end_event_initialize(&event));
	emit(w, &event);
}

void json_write_yaml(struct buf *out, const struct json *value)
{
	struct yaml_writer w = { .arena = arena_new() };
	yaml_event_t event;

	ASSERT(yaml_emitter_initialize(&w.emitter));
	yaml_emitter_set_output(&w.emitter, append_to_buf, out);
	yaml_emitter_set_width(&w.emitter, 80);
	yaml_emitter_set_unicode(&w.emitter, 1);
	ASSERT(yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	emit(&w, &event);
	ASSERT(yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
	emit(&w, &event);
	emit_value(&w, value == NULL ? &json_null : value);
	ASSERT(yaml_document_end_event_initialize(&event, 1));
	emit(&w, &event);
	ASSERT(yaml_stream_end_event_initialize(&event));
	emit(&w, &event);
	yaml_emitter_delete(&w.emitter);
	arena_free(w.arena);
}
