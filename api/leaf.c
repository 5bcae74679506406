/* Times and bytes: text forms that Go's decoder changes on the way, and what it says when they are wrong. */
#include <string.h>

#include "api/walk.h"
#include "base/clock.h"
#include "base/codec.h"

/* ---- times: time.Parse ---- */

struct scan {
	struct str text;
	struct str rest;
	const char *layout;
};

static struct error *no_match(const struct scan *s, const char *element)
{
	return error_new(ERR_BAD_REQUEST, "parsing time \"%.*s\" as \"%s\": cannot parse \"%.*s\" as \"%s\"", STR_ARG(s->text),
			 s->layout, STR_ARG(s->rest), element);
}

static struct error *out_of_range(const struct scan *s, const char *what)
{
	return error_new(ERR_BAD_REQUEST, "parsing time \"%.*s\": %s out of range", STR_ARG(s->text), what);
}

static struct error *number(struct scan *s, size_t digits, const char *element, int *out)
{
	*out = 0;
	for (size_t i = 0; i < digits; i++) {
		if (i >= s->rest.len || s->rest.ptr[i] < '0' || s->rest.ptr[i] > '9')
			return no_match(s, element);
		*out = *out * 10 + (s->rest.ptr[i] - '0');
	}
	s->rest = str_skip(s->rest, digits);
	return NULL;
}

static struct error *literal(struct scan *s, const char *text)
{
	if (!str_has_prefix(s->rest, str_from(text)))
		return no_match(s, text);
	s->rest = str_skip(s->rest, strlen(text));
	return NULL;
}

struct part {
	size_t digits;
	const char *element;
	const char *after; /* literal behind it */
	const char *name;
	int least, most;
};

static const struct part parts[] = {
	{ 4, "2006", "-", "year", 0, 9999 }, { 2, "01", "-", "month", 1, 12 }, { 2, "02", "T", "day", 1, 31 },
	{ 2, "15", ":", "hour", 0, 23 },     { 2, "04", ":", "minute", 0, 59 }, { 2, "05", "", "second", 0, 59 },
};

static struct error *zone(struct scan *s)
{
	int hours, minutes;
	struct error *err;

	if (s->rest.len != 0 && s->rest.ptr[0] == 'Z') {
		s->rest = str_skip(s->rest, 1);
	} else {
		if (s->rest.len < 6 || (s->rest.ptr[0] != '+' && s->rest.ptr[0] != '-') || s->rest.ptr[3] != ':')
			return no_match(s, "Z07:00");
		struct scan inner = *s;
		inner.rest = str_head(str_skip(s->rest, 1), 2);
		err = number(&inner, 2, "Z07:00", &hours);
		if (err != NULL)
			return err;
		inner.rest = str_head(str_skip(s->rest, 4), 2);
		err = number(&inner, 2, "Z07:00", &minutes);
		if (err != NULL)
			return err;
		if (hours > 24 || minutes > 60)
			return out_of_range(s, "time zone offset");
		s->rest = str_skip(s->rest, 6);
	}
	if (s->rest.len != 0)
		return error_new(ERR_BAD_REQUEST, "parsing time \"%.*s\": extra text: \"%.*s\"", STR_ARG(s->text), STR_ARG(s->rest));
	return NULL;
}

static struct error *check_time(struct str text, bool micro)
{
	struct scan s = { text, text, micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int value;
		struct error *err = number(&s, parts[i].digits, parts[i].element, &value);
		if (err == NULL && (value < parts[i].least || value > parts[i].most))
			err = out_of_range(&s, parts[i].name);
		if (err == NULL)
			err = literal(&s, parts[i].after);
		if (err != NULL)
			return err;
	}
	size_t fraction = 0;
	if (s.rest.len > 1 && s.rest.ptr[0] == '.')
		while (fraction + 1 < s.rest.len && s.rest.ptr[fraction + 1] >= '0' && s.rest.ptr[fraction + 1] <= '9')
			fraction++;
	if (micro && fraction < 6)
		return no_match(&s, ".000000");
	if (fraction != 0)
		s.rest = str_skip(s.rest, micro ? 7 : fraction + 1);
	return zone(&s);
}

struct error *walk_time(struct arena *arena, const struct json *value, bool micro, const struct json **out)
{
	char text[TIME_TEXT];
	int64_t ns;
	struct error *err;

	if (value->type != JSON_STRING)
		return error_new(ERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type string", json_type_name(value));
	err = check_time(value->text, micro);
	if (err != NULL)
		return err;
	*out = value;
	if (str_has_prefix(value->text, STR("0001-01-01T00:00:00"))) {
		*out = &json_null;
		return NULL;
	}
	if (!time_parse(value->text, &ns))
		return error_new(ERR_BAD_REQUEST, "parsing time \"%.*s\": day out of range", STR_ARG(value->text));
	struct str canonical = micro ? time_format_micro(text, ns) : time_format(text, ns);
	if (!str_eq(canonical, value->text))
		*out = json_string_copy(arena, canonical);
	return NULL;
}

/* ---- bytes ---- */

static bool in_alphabet(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* Where Go's decoder stops: the first character that cannot stand there. */
static size_t corrupt_at(struct str text)
{
	size_t n = 0, i = 0;

	for (; i < text.len; i++) {
		if (text.ptr[i] == '\r' || text.ptr[i] == '\n')
			continue;
		if (!in_alphabet(text.ptr[i]))
			break;
		n++;
	}
	if (i == text.len)
		return text.len - (n % 4 == 0 ? 0 : n % 4);
	return i;
}

struct error *walk_base64(struct arena *arena, struct str text, struct str *out)
{
	AUTO_BUF struct buf bytes = { 0 }, again = { 0 };

	if (!base64_decode(&bytes, text))
		return error_new(ERR_BAD_REQUEST, "illegal base64 data at input byte %zu", corrupt_at(text));
	base64_encode(&again, buf_str(&bytes));
	*out = str_eq(buf_str(&again), text) ? text : str_dup(arena, buf_str(&again));
	return NULL;
}
