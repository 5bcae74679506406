/* The form and its limits: k8s.io/apimachinery/pkg/api/resource, Quantity. */
#include <stdio.h>
#include <string.h>

#include "api/quantity.h"

#define NANO    1000000000
#define LARGEST (((__int128)INT64_MAX) * NANO)
#define ROOM    (LARGEST * NANO) /* nothing that is read is larger; far from the end of the type */

static const char format_wrong[] = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
static const char numeric_wrong[] = "unable to parse numeric part of quantity";
static const char suffix_wrong[] = "unable to parse quantity's suffix";

struct suffix {
	const char *text;
	int base; /* 10 or 2 */
	int exponent;
};

static const struct suffix suffixes[] = {
	{ "n", 10, -9 }, { "u", 10, -6 }, { "m", 10, -3 }, { "", 10, 0 },   { "k", 10, 3 },  { "M", 10, 6 },
	{ "G", 10, 9 },  { "T", 10, 12 }, { "P", 10, 15 }, { "E", 10, 18 }, { "Ki", 2, 10 }, { "Mi", 2, 20 },
	{ "Gi", 2, 30 }, { "Ti", 2, 40 }, { "Pi", 2, 50 }, { "Ei", 2, 60 },
};
#define N_SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))

struct parts {
	bool negative;
	struct str whole, fraction, suffix;
};

static struct str take(struct str *rest, const char *set)
{
	size_t n = 0;

	while (n < rest->len && rest->ptr[n] != 0 && strchr(set, rest->ptr[n]) != NULL)
		n++;
	struct str head = str_head(*rest, n);
	*rest = str_skip(*rest, n);
	return head;
}

static bool cut(struct str text, struct parts *p)
{
	static const char digits[] = "0123456789";
	struct str start;

	*p = (struct parts){ 0 };
	if (text.len == 0)
		return false;
	if (text.ptr[0] == '-' || text.ptr[0] == '+') {
		p->negative = text.ptr[0] == '-';
		text = str_skip(text, 1);
	}
	p->whole = take(&text, digits);
	if (text.len != 0 && text.ptr[0] == '.') {
		text = str_skip(text, 1);
		p->fraction = take(&text, digits);
	}
	start = text;
	take(&text, "eEinumkKMGTP");
	if (text.len != 0 && text.ptr != start.ptr && (text.ptr[0] == '-' || text.ptr[0] == '+'))
		text = str_skip(text, 1);
	take(&text, digits);
	p->suffix = start;
	return text.len == 0;
}

static bool read_suffix(struct str text, int *base, int *exponent, enum quantity_format *format)
{
	int64_t number;

	for (size_t i = 0; i < N_SUFFIXES; i++) {
		if (!str_is(text, suffixes[i].text))
			continue;
		*base = suffixes[i].base;
		*exponent = suffixes[i].exponent;
		*format = *base == 2 ? QUANTITY_BINARY : QUANTITY_DECIMAL;
		return true;
	}
	if (text.len < 2 || (text.ptr[0] != 'e' && text.ptr[0] != 'E'))
		return false;
	text = str_skip(text, text.ptr[1] == '+' ? 2 : 1);
	if (!str_to_i64(text, &number) || number < -1000 || number > 1000)
		return false;
	*base = 10;
	*exponent = (int)number;
	*format = QUANTITY_EXPONENT;
	return true;
}

/* value × base^exponent in nano; rounds away from zero, `rest` says that more digits follow; stops at the largest: of binary
 * ones upstream's, of the others ours. */
static __int128 scale(__int128 value, int scale10, int base, int exponent, bool rest)
{
	scale10 += 9 + (base == 10 ? exponent : 0);
	for (int i = 0; base == 2 && i < exponent; i++) {
		if (value > LARGEST / 2 && scale10 >= 0)
			return LARGEST;
		/* What follows the 36th digit cannot be seen in the result, but that it is there. */
		for (; value > ROOM / 2 && scale10 < 0; scale10++) {
			rest = rest || value % 10 != 0;
			value /= 10;
		}
		value *= 2;
	}
	for (; scale10 > 0; scale10--) {
		if (value > ROOM / 10)
			return base == 2 ? LARGEST : ROOM;
		value *= 10;
	}
	for (; scale10 < 0; scale10++) {
		rest = rest || value % 10 != 0;
		value /= 10;
	}
	value += rest ? 1 : 0;
	return base == 2 && value > LARGEST ? LARGEST : value > ROOM ? ROOM : value;
}

bool quantity_parse(struct str text, struct quantity *out, const char **why)
{
	const char *ignored;
	struct parts p;
	int base, exponent, scale10 = 0;
	bool huge = false, rest = false;
	__int128 value = 0;

	if (why == NULL)
		why = &ignored;
	if (!cut(text, &p)) {
		*why = format_wrong;
		return false;
	}
	if (p.whole.len + p.fraction.len == 0) {
		*why = numeric_wrong;
		return false;
	}
	if (!read_suffix(p.suffix, &base, &exponent, &out->format)) {
		*why = suffix_wrong;
		return false;
	}
	for (size_t i = 0; i < p.whole.len; i++) {
		huge = huge || value > ROOM / 10;
		value = huge ? value : value * 10 + (p.whole.ptr[i] - '0');
	}
	/* Past the place that counts a digit only says that something is there. */
	for (size_t i = 0; i < p.fraction.len; i++) {
		if (-scale10 < (base == 10 ? 9 + exponent : 28) && value <= ROOM / 10) {
			value = value * 10 + (p.fraction.ptr[i] - '0');
			scale10--;
		} else {
			rest = rest || p.fraction.ptr[i] != '0';
		}
	}
	value = huge ? (base == 2 ? LARGEST : ROOM) : scale(value, scale10, base, exponent, rest);
	out->nano = p.negative ? -value : value;
	return true;
}

struct quantity quantity_of(const struct json *value)
{
	struct quantity q = { 0 };

	if (value == NULL || (value->type != JSON_STRING && value->type != JSON_NUMBER) || !quantity_parse(value->text, &q, NULL))
		return (struct quantity){ 0 };
	return q;
}

struct quantity quantity_from(int64_t value, enum quantity_format format)
{
	return (struct quantity){ (__int128)value * NANO, format };
}

struct quantity quantity_from_milli(int64_t milli)
{
	return (struct quantity){ (__int128)milli * (NANO / 1000), QUANTITY_DECIMAL };
}

static struct str format_number(struct arena *arena, bool negative, __int128 value, const char *suffix)
{
	char digits[48];
	size_t at = sizeof(digits);

	digits[--at] = 0;
	do {
		digits[--at] = (char)('0' + (int)(value % 10));
		value /= 10;
	} while (value != 0);
	return str_format(arena, "%s%s%s", negative ? "-" : "", digits + at, suffix);
}

static const char *suffix_of(int base, int exponent)
{
	for (size_t i = 0; i < N_SUFFIXES; i++)
		if (suffixes[i].base == base && suffixes[i].exponent == exponent)
			return suffixes[i].text;
	return "";
}

struct str quantity_text(struct arena *arena, const struct quantity *q)
{
	bool negative = q->nano < 0, binary = q->format == QUANTITY_BINARY;
	__int128 value = negative ? -q->nano : q->nano;
	int exponent = -9;

	if (value == 0)
		return STR("0");
	/* Small and broken numbers have no binary form. */
	if (binary && (value < (__int128)1024 * NANO || value % NANO != 0))
		binary = false;
	if (binary) {
		value /= NANO;
		for (exponent = 0; value % 1024 == 0 && exponent < 60; exponent += 10)
			value /= 1024;
		return format_number(arena, negative, value, exponent == 0 ? "" : suffix_of(2, exponent));
	}
	for (; value % 1000 == 0 && (exponent < 18 || q->format == QUANTITY_EXPONENT); exponent += 3)
		value /= 1000;
	if (q->format == QUANTITY_EXPONENT && exponent != 0)
		return format_number(arena, negative, value, arena_printf(arena, "e%d", exponent));
	return format_number(arena, negative, value, suffix_of(10, exponent));
}

const struct json *quantity_json(struct arena *arena, const struct quantity *q)
{
	return json_string(arena, quantity_text(arena, q));
}

int quantity_cmp(const struct quantity *a, const struct quantity *b)
{
	return a->nano < b->nano ? -1 : a->nano > b->nano;
}

int quantity_sign(const struct quantity *q)
{
	return q->nano < 0 ? -1 : q->nano > 0;
}

/* Sums stop somewhere beyond the largest, too. */
static __int128 bounded(__int128 nano)
{
	return nano > 8 * ROOM ? 8 * ROOM : nano < -8 * ROOM ? -8 * ROOM : nano;
}

void quantity_add(struct quantity *to, const struct quantity *more)
{
	if (to->nano == 0)
		to->format = more->format;
	to->nano = bounded(to->nano + more->nano);
}

void quantity_sub(struct quantity *from, const struct quantity *less)
{
	if (from->nano == 0)
		from->format = less->format;
	from->nano = bounded(from->nano - less->nano);
}

static int64_t rounded(__int128 nano, int64_t unit)
{
	__int128 value = nano / unit;

	if (nano % unit != 0)
		value += nano < 0 ? -1 : 1;
	return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

int64_t quantity_value(const struct quantity *q)
{
	return rounded(q->nano, NANO);
}

int64_t quantity_milli(const struct quantity *q)
{
	return rounded(q->nano, NANO / 1000);
}

bool quantity_whole(const struct quantity *q)
{
	return q->nano % NANO == 0;
}
