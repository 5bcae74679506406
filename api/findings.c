/* Field errors and the Invalid error they add up to: k8s.io/apimachinery/pkg/util/validation/field and api/errors. */
#include <string.h>

#include "api/check.h"
#include "base/limits.h"
#include "base/map.h"

/* One more is found. False when it is not to be told, which its text need not be made for. */
static bool wanted(struct api_findings *f)
{
	f->found++;
	return f->len < LIMIT_CAUSES && f->bytes < LIMIT_CAUSE_BYTES;
}

static void add(struct api_findings *f, const char *reason, const char *field, const char *message)
{
	f->bytes += strlen(field) + strlen(message);
	if (f->len == f->cap) {
		size_t cap = f->cap == 0 ? 8 : f->cap * 2;
		struct api_finding *grown = ARENA_ARRAY(f->arena, struct api_finding, cap);
		if (f->len != 0)
			memcpy(grown, f->items, f->len * sizeof(*grown));
		f->items = grown;
		f->cap = cap;
	}
	f->items[f->len++] = (struct api_finding){ reason, arena_strdup(f->arena, field), message };
}

const char *api_quoted(struct arena *arena, struct str text)
{
	AUTO_BUF struct buf out = { 0 };

	buf_putc(&out, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c == '"' || c == '\\')
			buf_printf(&out, "\\%c", c);
		else if (c >= '\a' && c <= '\r')
			buf_printf(&out, "\\%c", "abtnvfr"[c - '\a']);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(&out, "\\x%02x", c);
		else
			buf_putc(&out, (char)c);
	}
	buf_putc(&out, '"');
	return str_cstr(arena, buf_str(&out));
}

/* A string is quoted, anything else is JSON. */
static const char *shown(struct arena *arena, const struct json *value)
{
	if (value == NULL)
		return "null";
	if (value->type == JSON_STRING)
		return api_quoted(arena, value->text);
	return json_format(arena, value).ptr;
}

static const char *with_detail(struct arena *arena, const char *head, const char *detail)
{
	return detail == NULL || detail[0] == 0 ? head : arena_printf(arena, "%s: %s", head, detail);
}

void finding_required(struct api_findings *f, const char *field, const char *detail)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueRequired", field, with_detail(f->arena, "Required value", detail));
}

void finding_invalid(struct api_findings *f, const char *field, const struct json *value, const char *detail)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueInvalid", field,
	    with_detail(f->arena, arena_printf(f->arena, "Invalid value: %s", shown(f->arena, value)), detail));
}

void finding_wrong(struct api_findings *f, const char *field, const char *detail)
{
	if (wanted(f))
		add(f, "FieldValueInvalid", field, arena_printf(f->arena, "Invalid value: %s", detail));
}

void findings_drop(struct api_findings *f, const char *prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < f->len; i++)
		if (strncmp(f->items[i].field, prefix, strlen(prefix)) != 0)
			f->items[n++] = f->items[i];
	f->found -= f->len - n;
	f->len = n;
}

void finding_invalid_text(struct api_findings *f, const char *field, struct str value, const char *detail)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueInvalid", field,
	    with_detail(f->arena, arena_printf(f->arena, "Invalid value: %s", api_quoted(f->arena, value)), detail));
}

void finding_unsupported_value(struct api_findings *f, const char *field, const struct json *value, const char *const *supported,
			       size_t n)
{
	AUTO_BUF struct buf list = { 0 };

	if (!wanted(f))
		return;
	for (size_t i = 0; i < n; i++)
		buf_printf(&list, "%s\"%s\"", i == 0 ? "supported values: " : ", ", supported[i]);
	add(f, "FieldValueNotSupported", field,
	    with_detail(f->arena, arena_printf(f->arena, "Unsupported value: %s", shown(f->arena, value)),
			arena_strdup(f->arena, buf_cstr(&list))));
}

void finding_unsupported(struct api_findings *f, const char *field, struct str value, const char *const *supported, size_t n)
{
	finding_unsupported_value(f, field, json_string(f->arena, value), supported, n);
}

void finding_type_invalid(struct api_findings *f, const char *field, const struct json *value, const char *detail)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueTypeInvalid", field,
	    with_detail(f->arena, arena_printf(f->arena, "Invalid value: %s", shown(f->arena, value)), detail));
}

void finding_copy(struct api_findings *f, const struct api_finding *from)
{
	if (!wanted(f))
		return;
	add(f, from->reason, from->field, from->message);
}

void finding_forbidden(struct api_findings *f, const char *field, const char *detail)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueForbidden", field, with_detail(f->arena, "Forbidden", detail));
}

void finding_duplicate(struct api_findings *f, const char *field, const struct json *value)
{
	finding_duplicate_of(f, field, value, NULL);
}

void finding_duplicate_of(struct api_findings *f, const char *field, const struct json *value, const char *detail)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueDuplicate", field,
	    with_detail(f->arena, arena_printf(f->arena, "Duplicate value: %s", shown(f->arena, value)), detail));
}

void finding_not_found(struct api_findings *f, const char *field, const struct json *value)
{
	finding_not_found_among(f, field, value, NULL);
}

void finding_not_found_among(struct api_findings *f, const char *field, const struct json *value, const char *detail)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueNotFound", field,
	    with_detail(f->arena, arena_printf(f->arena, "Not found: %s", shown(f->arena, value)), detail));
}

void finding_too_long(struct api_findings *f, const char *field, int64_t max)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueTooLong", field, arena_printf(f->arena, "Too long: may not be more than %lld bytes", (long long)max));
}

void finding_too_many(struct api_findings *f, const char *field, size_t is, size_t max)
{
	if (!wanted(f))
		return;
	add(f, "FieldValueTooMany", field,
	    arena_printf(f->arena, "Too many: %zu: must have at most %zu item%s", is, max, max == 1 ? "" : "s"));
}

struct error *api_invalid(const struct api_findings *f, struct str kind, struct str name)
{
	AUTO_BUF struct buf text = { 0 };
	struct map said = { 0 };
	struct error *err;
	size_t n = 0;

	if (f->len == 0)
		return NULL;
	for (size_t i = 0; i < f->len; i++) {
		struct str both = str_format(f->arena, "%s: %s", f->items[i].field, f->items[i].message);
		if (map_set(&said, both, (void *)f) != NULL)
			continue;
		buf_printf(&text, "%s%s: %s", n++ == 0 ? "" : ", ", f->items[i].field, f->items[i].message);
	}
	map_fini(&said);
	err = error_new(ERR_INVALID, "%.*s %s is invalid: %s%s%s", STR_ARG(kind), api_quoted(f->arena, name), n > 1 ? "[" : "",
			buf_cstr(&text), n > 1 ? "]" : "");
	for (size_t i = 0; i < f->len; i++)
		error_add_cause(err, f->items[i].reason, f->items[i].field, f->items[i].message);
	return err;
}

struct str kind_text(struct arena *arena, const struct kind *kind)
{
	if (kind_group(kind).len == 0)
		return kind_name(kind);
	return str_format(arena, "%.*s.%.*s", STR_ARG(kind_name(kind)), STR_ARG(kind_group(kind)));
}

struct str resource_text(struct arena *arena, const struct kind *kind)
{
	if (kind_group(kind).len == 0)
		return kind_resource(kind);
	return str_format(arena, "%.*s.%.*s", STR_ARG(kind_resource(kind)), STR_ARG(kind_group(kind)));
}
