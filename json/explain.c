/*
 * Go's words for a text that is not JSON. Runs only after yajl has refused the text; keeps one bit per open container.
 *
 * The states are those of the grammar: before a value, in a literal, after a value inside an object or an array. The
 * words are those of encoding/json's scanner (scanner.go), which names the character and where it stood.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/limits.h"
#include "json/private.h"

struct scan {
	struct str text;
	size_t at;
	size_t depth;
	unsigned char *objects; /* one byte per open container: 1 for an object */
};

static struct error *unexpected(const struct scan *s, const char *where)
{
	unsigned char c;

	if (s->at >= s->text.len)
		return error_new(ERR_BAD_REQUEST, "unexpected end of JSON input");
	c = (unsigned char)s->text.ptr[s->at];
	switch (c) {
	case '\'':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\'' %s", where);
	case '\\':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\\\' %s", where);
	case '\n':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\n' %s", where);
	case '\t':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\t' %s", where);
	case '\r':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\r' %s", where);
	case '\a':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\a' %s", where);
	case '\b':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\b' %s", where);
	case '\f':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\f' %s", where);
	case '\v':
		return error_new(ERR_BAD_REQUEST, "invalid character '\\v' %s", where);
	default:
		break;
	}
	if (c < 0x20 || c == 0x7f)
		return error_new(ERR_BAD_REQUEST, "invalid character '\\x%02x' %s", c, where);
	if (c < 0x80)
		return error_new(ERR_BAD_REQUEST, "invalid character '%c' %s", c, where);
	/* Go takes the byte for a code point of Latin-1. */
	if (c < 0xa1 || c == 0xad)
		return error_new(ERR_BAD_REQUEST, "invalid character '\\u%04x' %s", c, where);
	return error_new(ERR_BAD_REQUEST, "invalid character '%c%c' %s", 0xc0 | c >> 6, 0x80 | (c & 0x3f), where);
}

static int peek(const struct scan *s)
{
	return s->at < s->text.len ? (unsigned char)s->text.ptr[s->at] : -1;
}

static void skip_space(struct scan *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
		s->at++;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(int c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static struct error *scan_string(struct scan *s)
{
	for (s->at++;; s->at++) {
		int c = peek(s);
		if (c == '"')
			break;
		if (c < 0x20)
			return unexpected(s, "in string literal");
		if (c != '\\')
			continue;
		s->at++;
		c = peek(s);
		if (c < 0 || strchr("bfnrt\\/\"u", c) == NULL || c == 0)
			return unexpected(s, "in string escape code");
		for (int i = 0; c == 'u' && i < 4; i++) {
			s->at++;
			if (!is_hex(peek(s)))
				return unexpected(s, "in \\u hexadecimal character escape");
		}
	}
	s->at++;
	return NULL;
}

static struct error *scan_number(struct scan *s)
{
	if (peek(s) == '-')
		s->at++;
	if (!is_digit(peek(s)))
		return unexpected(s, "in numeric literal");
	if (peek(s) == '0')
		s->at++;
	else
		while (is_digit(peek(s)))
			s->at++;
	if (peek(s) == '.') {
		s->at++;
		if (!is_digit(peek(s)))
			return unexpected(s, "after decimal point in numeric literal");
		while (is_digit(peek(s)))
			s->at++;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		if (!is_digit(peek(s)))
			return unexpected(s, "in exponent of numeric literal");
		while (is_digit(peek(s)))
			s->at++;
	}
	return NULL;
}

static struct error *scan_word(struct scan *s, const char *word)
{
	char where[64];

	for (size_t i = 0; word[i] != 0; i++, s->at++) {
		if (peek(s) == word[i])
			continue;
		snprintf(where, sizeof(where), "in literal %s (expecting '%c')", word, word[i]);
		return unexpected(s, where);
	}
	return NULL;
}

static struct error *scan_key(struct scan *s)
{
	struct error *err;

	if (peek(s) != '"')
		return unexpected(s, "looking for beginning of object key string");
	err = scan_string(s);
	if (err != NULL)
		return err;
	skip_space(s);
	if (peek(s) != ':')
		return unexpected(s, "after object key");
	s->at++;
	return NULL;
}

/* A scalar, or the opening of a container; *opened says which. */
static struct error *scan_value(struct scan *s, bool *opened)
{
	int c = peek(s);

	*opened = false;
	if (c == '{' || c == '[') {
		if (s->depth == LIMIT_JSON_DEPTH)
			return unexpected(s, "exceeded max depth");
		s->objects[s->depth++] = c == '{';
		s->at++;
		*opened = true;
		return NULL;
	}
	if (c == '"')
		return scan_string(s);
	if (c == '-' || is_digit(c))
		return scan_number(s);
	if (c == 't')
		return scan_word(s, "true");
	if (c == 'f')
		return scan_word(s, "false");
	if (c == 'n')
		return scan_word(s, "null");
	return unexpected(s, "looking for beginning of value");
}

/* From behind a value to the next one. *more is false at the end of the text. */
static struct error *scan_after(struct scan *s, bool *more)
{
	*more = true;
	for (;;) {
		skip_space(s);
		int c = peek(s);
		if (s->depth == 0) {
			*more = false;
			return c < 0 ? NULL : unexpected(s, "after top-level value");
		}
		bool object = s->objects[s->depth - 1] != 0;
		if (c == ',') {
			s->at++;
			skip_space(s);
			return object ? scan_key(s) : NULL;
		}
		if (c != (object ? '}' : ']'))
			return unexpected(s, object ? "after object key:value pair" : "after array element");
		s->depth--;
		s->at++;
	}
}

static struct error *scan_text(struct scan *s)
{
	bool more = true;

	while (more) {
		bool opened;
		skip_space(s);
		struct error *err = scan_value(s, &opened);
		if (err != NULL)
			return err;
		if (opened) {
			bool object = s->objects[s->depth - 1] != 0;
			skip_space(s);
			if (peek(s) != (object ? '}' : ']')) {
				err = object ? scan_key(s) : NULL;
				if (err != NULL)
					return err;
				continue;
			}
		}
		err = scan_after(s, &more);
		if (err != NULL)
			return err;
	}
	return NULL;
}

struct error *json_explain(struct str text)
{
	struct scan s = { .text = text, .objects = xmalloc(LIMIT_JSON_DEPTH) };
	struct error *err = scan_text(&s);

	free(s.objects);
	return err;
}
