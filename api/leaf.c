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
	{ 4, "2006", "-", "year", 0, 9999 }, { 2, "01", "-", "month", 1, 12 },  { 2, "02", "T", "day", 1, 31 },
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
		return error_new(ERR_BAD_REQUEST, "parsing time \"%.*s\": extra text: \"%.*s\"", STR_ARG(s->text),
				 STR_ARG(s->rest));
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

/* The calendar repeats every 400 years; the base's clock knows 1678 to 2261. */
#define PERIOD_YEARS       400
#define PERIOD_SECONDS     INT64_C(12622780800)
#define SECONDS_1800       INT64_C(-5364662400)
#define SECONDS_YEAR_0     INT64_C(-62167219200)
#define SECONDS_YEAR_1     INT64_C(-62135596800)
#define SECONDS_YEAR_10000 INT64_C(253402300800)

static int year_of(const char *text)
{
	return (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
}

static void year_set(char *text, int year)
{
	for (int i = 3; i >= 0; i--, year /= 10)
		text[i] = (char)('0' + year % 10);
}

bool walk_time_read(struct str text, int64_t *seconds, int64_t *nanos)
{
	AUTO_BUF struct buf shifted = { 0 };
	int64_t ns, periods = 0;
	int year;

	if (text.len < 4)
		return false;
	for (year = year_of(text.ptr); year < 1800; year += PERIOD_YEARS)
		periods--;
	for (; year >= 2200; year -= PERIOD_YEARS)
		periods++;
	buf_add(&shifted, text);
	year_set(shifted.ptr, year);
	if (!time_parse(buf_str(&shifted), &ns))
		return false;
	*nanos = ns % NS_PER_S < 0 ? ns % NS_PER_S + NS_PER_S : ns % NS_PER_S;
	*seconds = (ns - *nanos) / NS_PER_S + periods * PERIOD_SECONDS;
	return true;
}

bool walk_time_write(struct arena *arena, int64_t seconds, int64_t nanos, bool micro, struct str *out)
{
	char text[TIME_TEXT];
	int periods = 0;

	if (seconds < SECONDS_YEAR_0 || seconds >= SECONDS_YEAR_10000 || nanos < 0 || nanos >= NS_PER_S)
		return false;
	for (; seconds < SECONDS_1800; seconds += PERIOD_SECONDS)
		periods--;
	for (; seconds >= SECONDS_1800 + PERIOD_SECONDS; seconds -= PERIOD_SECONDS)
		periods++;
	*out = micro ? time_format_micro(text, seconds * NS_PER_S + nanos) : time_format(text, seconds * NS_PER_S);
	*out = str_dup(arena, *out);
	year_set((char *)out->ptr, year_of(out->ptr) + periods * PERIOD_YEARS);
	return true;
}

struct error *walk_time(struct arena *arena, const struct json *value, bool micro, const struct json **out)
{
	int64_t seconds, nanos;
	struct str canonical;
	struct error *err;

	if (value->type != JSON_STRING)
		return error_new(ERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type string", json_type_name(value));
	err = check_time(value->text, micro);
	if (err != NULL)
		return err;
	if (!walk_time_read(value->text, &seconds, &nanos) || !walk_time_write(arena, seconds, nanos, micro, &canonical))
		return error_new(ERR_BAD_REQUEST, "parsing time \"%.*s\": day out of range", STR_ARG(value->text));
	*out = value;
	if (seconds == SECONDS_YEAR_1 && (!micro || nanos < 1000))
		*out = &json_null; /* Go's zero time */
	else if (!str_eq(canonical, value->text))
		*out = json_string(arena, canonical);
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
