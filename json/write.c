/* Writing as Go's encoding/json does, escapes and float forms included. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"
#include "json/utf8.h"

/* Plain characters go out in runs; everything Go escapes ends a run. */
static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static size_t write_special(struct buf *out, struct str rest)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char c = (unsigned char)rest.ptr[0];
	uint32_t point;
	size_t n;

	switch (c) {
	case '"':
	case '\\':
		buf_putc(out, '\\');
		buf_putc(out, (char)c);
		return 1;
	case '\b':
		buf_add(out, STR("\\b"));
		return 1;
	case '\f':
		buf_add(out, STR("\\f"));
		return 1;
	case '\n':
		buf_add(out, STR("\\n"));
		return 1;
	case '\r':
		buf_add(out, STR("\\r"));
		return 1;
	case '\t':
		buf_add(out, STR("\\t"));
		return 1;
	default:
		break;
	}
	if (c < 0x80) {
		buf_add(out, STR("\\u00"));
		buf_putc(out, hex[c >> 4]);
		buf_putc(out, hex[c & 15]);
		return 1;
	}
	n = utf8_decode(rest, &point);
	if (n == 0) {
		buf_add(out, STR("\\ufffd"));
		return 1;
	}
	if (point == 0x2028 || point == 0x2029)
		buf_add(out, point == 0x2028 ? STR("\\u2028") : STR("\\u2029"));
	else
		buf_append(out, rest.ptr, n);
	return n;
}

void json_write_string(struct buf *out, struct str text)
{
	size_t start = 0, i = 0;

	buf_putc(out, '"');
	while (i < text.len) {
		if (plain((unsigned char)text.ptr[i])) {
			i++;
			continue;
		}
		buf_append(out, text.ptr + start, i - start);
		i += write_special(out, str_skip(text, i));
		start = i;
	}
	buf_append(out, text.ptr + start, i - start);
	buf_putc(out, '"');
}

static void new_line(struct buf *out, int spaces)
{
	buf_putc(out, '\n');
	for (int i = 0; i < spaces; i++)
		buf_putc(out, ' ');
}

/* spaces < 0: compact. depth counts spaces. */
static void write_value(struct buf *out, const struct json *value, int spaces, int depth)
{
	int inner = depth + spaces;

	if (value == NULL) {
		buf_add(out, STR("null"));
		return;
	}
	switch (value->type) {
	case JSON_NULL:
		buf_add(out, STR("null"));
		return;
	case JSON_BOOL:
		buf_add(out, value->len != 0 ? STR("true") : STR("false"));
		return;
	case JSON_NUMBER:
		buf_add(out, value->text);
		return;
	case JSON_STRING:
		json_write_string(out, value->text);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	buf_putc(out, value->type == JSON_ARRAY ? '[' : '{');
	for (uint32_t i = 0; i < value->len; i++) {
		if (i != 0)
			buf_putc(out, ',');
		if (spaces >= 0)
			new_line(out, inner);
		if (value->type == JSON_ARRAY) {
			write_value(out, value->items[i], spaces, inner);
			continue;
		}
		json_write_string(out, value->members[i].key);
		buf_putc(out, ':');
		if (spaces >= 0)
			buf_putc(out, ' ');
		write_value(out, value->members[i].value, spaces, inner);
	}
	if (spaces >= 0 && value->len != 0)
		new_line(out, depth);
	buf_putc(out, value->type == JSON_ARRAY ? ']' : '}');
}

void json_write(struct buf *out, const struct json *value)
{
	write_value(out, value, -1, 0);
}

void json_write_indented(struct buf *out, const struct json *value, int spaces)
{
	write_value(out, value, spaces, 0);
}

struct str json_format(struct arena *arena, const struct json *value)
{
	AUTO_BUF struct buf out = { 0 };

	json_write(&out, value);
	return str_dup(arena, buf_str(&out));
}

/* ---- keys ---- */

static void write_key(struct buf *out, struct arena *arena, const struct json *value);

/* Equal numbers are the same double or the same integer, however they are written. */
static void write_number_key(struct buf *out, const struct json *value)
{
	double real = json_double(value, 0);
	int64_t integer;

	if (json_is_int(value, &integer))
		buf_printf(out, "%lld", (long long)integer);
	else if (fabs(real) < 1e15 && real == floor(real))
		buf_printf(out, "%lld", (long long)real);
	else if (isfinite(real))
		buf_printf(out, "%.17g", real);
	else
		buf_add(out, value->text);
}

static void write_object_key(struct buf *out, struct arena *arena, const struct json *value)
{
	struct json_builder sorted = { .arena = arena };

	JSON_EACH (value, it)
		json_builder_member(&sorted, it.key, it.value);
	json_builder_sort(&sorted);
	buf_putc(out, '{');
	for (uint32_t i = 0; i < sorted.len; i++) {
		json_write_string(out, sorted.members[i].key);
		buf_putc(out, ':');
		write_key(out, arena, sorted.members[i].value);
		buf_putc(out, ',');
	}
	buf_putc(out, '}');
}

static void write_key(struct buf *out, struct arena *arena, const struct json *value)
{
	if (value->type == JSON_NUMBER) {
		write_number_key(out, value);
	} else if (value->type == JSON_OBJECT) {
		write_object_key(out, arena, value);
	} else if (value->type == JSON_ARRAY) {
		buf_putc(out, '[');
		for (uint32_t i = 0; i < value->len; i++) {
			write_key(out, arena, value->items[i]);
			buf_putc(out, ',');
		}
		buf_putc(out, ']');
	} else {
		json_write(out, value);
	}
}

struct str json_key(struct arena *arena, const struct json *value)
{
	AUTO_BUF struct buf out = { 0 };

	if (value != NULL)
		write_key(&out, arena, value);
	return str_dup(arena, buf_str(&out));
}

/* ---- numbers ---- */

/* Go picks the shortest digits that read back as the same number, then the exponent form below 1e-6 and from 1e21 on,
 * with the exponent's leading zero removed. */
struct str json_format_real(char text[JSON_REAL_TEXT], double value)
{
	char digits[40];
	double size = fabs(value);
	int precision = 0, n = 0;

	if (size == 0)
		return str_of(text, (size_t)snprintf(text, JSON_REAL_TEXT, signbit(value) ? "-0" : "0"));
	do
		snprintf(digits, sizeof(digits), "%.*e", precision, value);
	while (strtod(digits, NULL) != value && ++precision < 17);
	int exponent = atoi(strchr(digits, 'e') + 1);
	if (size < 1e-6 || size >= 1e21) {
		*strchr(digits, 'e') = 0;
		n = snprintf(text, JSON_REAL_TEXT,
			     "%s"
			     "e%c%d",
			     digits, exponent < 0 ? '-' : '+', abs(exponent));
	} else {
		n = snprintf(text, JSON_REAL_TEXT, "%.*f", precision > exponent ? precision - exponent : 0, value);
	}
	return str_of(text, (size_t)n);
}
