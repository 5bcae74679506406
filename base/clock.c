#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/trace.h"

static int64_t advanced;               /* API time runs ahead of the wall by this much */
static int64_t sim_mono, sim_now = -1; /* now >= 0: simulation */

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono(void)
{
	return sim_now >= 0 ? sim_mono : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_now(void)
{
	return (sim_now >= 0 ? sim_now : read_clock(CLOCK_REALTIME)) + advanced;
}

void clock_advance(int64_t ns)
{
	ASSERT(ns >= 0);
	advanced += ns;
}

void clock_sim(int64_t mono, int64_t now)
{
	sim_mono = mono;
	sim_now = now;
	advanced = 0;
}

void clock_sim_step(int64_t ns)
{
	ASSERT(sim_now >= 0 && ns >= 0);
	sim_mono += ns;
	sim_now += ns;
}

void clock_sim_end(void)
{
	sim_now = -1;
	advanced = 0;
}

/* Days since 1970 from a civil date and back: proleptic Gregorian, by counting from 1 March of year 0. */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

static struct str format_time(char text[TIME_TEXT], int64_t ns, int digits)
{
	int64_t s = ns / NS_PER_S, fraction = ns % NS_PER_S, days;
	int year, month, day, n;

	if (fraction < 0)
		s--, fraction += NS_PER_S;
	days = s / 86400;
	s %= 86400;
	if (s < 0)
		days--, s += 86400;
	civil_from_days(days, &year, &month, &day);
	n = snprintf(text, TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, (int)(s / 3600), (int)(s / 60 % 60),
		     (int)(s % 60));
	if (digits == 6)
		n += snprintf(text + n, TIME_TEXT - (size_t)n, ".%06d", (int)(fraction / 1000));
	else if (digits == 9)
		n += snprintf(text + n, TIME_TEXT - (size_t)n, ".%09d", (int)fraction);
	text[n++] = 'Z';
	text[n] = '\0';
	return (struct str){ text, (size_t)n };
}

struct str time_format(char text[TIME_TEXT], int64_t ns)
{
	return format_time(text, ns, 0);
}

struct str time_format_micro(char text[TIME_TEXT], int64_t ns)
{
	return format_time(text, ns, 6);
}

struct str time_format_nano(char text[TIME_TEXT], int64_t ns)
{
	return format_time(text, ns, 9);
}

/* Reads exactly n digits. */
static bool take_digits(struct str *text, size_t n, int *out)
{
	uint64_t value;

	if (text->len < n || !str_to_u64(str_head(*text, n), &value))
		return false;
	*out = (int)value;
	*text = str_skip(*text, n);
	return true;
}

static bool take_char(struct str *text, char c)
{
	if (text->len == 0 || text->ptr[0] != c)
		return false;
	*text = str_skip(*text, 1);
	return true;
}

static bool take_fraction(struct str *text, int64_t *ns)
{
	int64_t unit = NS_PER_S / 10;

	*ns = 0;
	if (!take_char(text, '.') && !take_char(text, ','))
		return true;
	if (text->len == 0 || text->ptr[0] < '0' || text->ptr[0] > '9')
		return false;
	for (; text->len != 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9'; *text = str_skip(*text, 1), unit /= 10)
		*ns += (text->ptr[0] - '0') * unit;
	return true;
}

static bool take_offset(struct str *text, int64_t *seconds)
{
	int hours, minutes;
	bool minus;

	*seconds = 0;
	if (take_char(text, 'Z'))
		return true;
	minus = take_char(text, '-');
	if (!minus && !take_char(text, '+'))
		return false;
	if (!take_digits(text, 2, &hours) || !take_char(text, ':') || !take_digits(text, 2, &minutes) || hours > 24 || minutes > 60)
		return false;
	*seconds = (minus ? -1 : 1) * (hours * INT64_C(3600) + minutes * 60);
	return true;
}

bool time_parse(struct str text, int64_t *ns)
{
	static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year, month, day, hour, minute, second;
	int64_t fraction, offset;

	if (!take_digits(&text, 4, &year) || !take_char(&text, '-') || !take_digits(&text, 2, &month) || !take_char(&text, '-') ||
	    !take_digits(&text, 2, &day) || !take_char(&text, 'T') || !take_digits(&text, 2, &hour) || !take_char(&text, ':') ||
	    !take_digits(&text, 2, &minute) || !take_char(&text, ':') || !take_digits(&text, 2, &second) ||
	    !take_fraction(&text, &fraction) || !take_offset(&text, &offset) || text.len != 0)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] || hour > 23 || minute > 59 || second > 59)
		return false;
	if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return false;
	/* int64 nanoseconds hold the years 1678 to 2262; what lies outside is clamped. */
	if (year < 1678)
		year = 1678;
	if (year > 2261)
		year = 2261;
	*ns = (days_from_civil(year, month, day) * 86400 + hour * INT64_C(3600) + minute * 60 + second - offset) * NS_PER_S +
	      fraction;
	return true;
}

/* k8s.io/apimachinery/pkg/util/duration, HumanDuration: two units while the number is small, then one. */
struct str time_human(char text[TIME_TEXT], int64_t ns)
{
	int64_t s = ns / NS_PER_S;
	int64_t m = s / 60, h = m / 60, d = h / 24;
	int n;

	if (s < -1)
		n = snprintf(text, TIME_TEXT, "<invalid>");
	else if (s < 0)
		n = snprintf(text, TIME_TEXT, "0s");
	else if (s < 120)
		n = snprintf(text, TIME_TEXT, "%llds", (long long)s);
	else if (m < 10 && s % 60 != 0)
		n = snprintf(text, TIME_TEXT, "%lldm%llds", (long long)m, (long long)(s % 60));
	else if (m < 180)
		n = snprintf(text, TIME_TEXT, "%lldm", (long long)m);
	else if (h < 8 && m % 60 != 0)
		n = snprintf(text, TIME_TEXT, "%lldh%lldm", (long long)h, (long long)(m % 60));
	else if (h < 48)
		n = snprintf(text, TIME_TEXT, "%lldh", (long long)h);
	else if (h < 24 * 8 && h % 24 != 0)
		n = snprintf(text, TIME_TEXT, "%lldd%lldh", (long long)d, (long long)(h % 24));
	else if (h < 24 * 365 * 2)
		n = snprintf(text, TIME_TEXT, "%lldd", (long long)d);
	else if (h < 24 * 365 * 8 && d % 365 != 0)
		n = snprintf(text, TIME_TEXT, "%lldy%lldd", (long long)(d / 365), (long long)(d % 365));
	else
		n = snprintf(text, TIME_TEXT, "%lldy", (long long)(d / 365));
	return (struct str){ text, (size_t)n };
}
