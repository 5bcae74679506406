#include "base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/arena.h"

struct str str_from(const char *cstr)
{
	return (struct str){ cstr, cstr != NULL ? strlen(cstr) : 0 };
}

struct str str_of(const char *ptr, size_t len)
{
	return (struct str){ ptr, len };
}

bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_is(struct str a, const char *cstr)
{
	return str_eq(a, str_from(cstr));
}

int str_cmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n != 0 ? memcmp(a.ptr, b.ptr, n) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_has_prefix(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_head(s, prefix.len), prefix);
}

bool str_has_suffix(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_eq(str_skip(s, s.len - suffix.len), suffix);
}

bool str_contains(struct str s, struct str needle)
{
	return needle.len == 0 || (s.len != 0 && memmem(s.ptr, s.len, needle.ptr, needle.len) != NULL);
}

struct str str_skip(struct str s, size_t n)
{
	if (n >= s.len)
		return (struct str){ s.len != 0 ? s.ptr + s.len : s.ptr, 0 };
	return (struct str){ s.ptr + n, s.len - n };
}

struct str str_head(struct str s, size_t n)
{
	return (struct str){ s.ptr, n < s.len ? n : s.len };
}

struct str str_trim(struct str s)
{
	while (s.len != 0 && isspace((unsigned char)s.ptr[0]))
		s = str_skip(s, 1);
	while (s.len != 0 && isspace((unsigned char)s.ptr[s.len - 1]))
		s.len--;
	return s;
}

ptrdiff_t str_find(struct str s, char c)
{
	const char *at = s.len != 0 ? memchr(s.ptr, c, s.len) : NULL;

	return at != NULL ? at - s.ptr : -1;
}

ptrdiff_t str_rfind(struct str s, char c)
{
	const char *at = s.len != 0 ? memrchr(s.ptr, c, s.len) : NULL;

	return at != NULL ? at - s.ptr : -1;
}

bool str_cut(struct str *s, char sep, struct str *head)
{
	ptrdiff_t at;

	if (s->len == 0) {
		*head = STR("");
		return false;
	}
	at = str_find(*s, sep);
	if (at < 0) {
		*head = *s;
		*s = str_skip(*s, s->len);
	} else {
		*head = str_head(*s, (size_t)at);
		*s = str_skip(*s, (size_t)at + 1);
	}
	return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
	uint64_t n = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9' || __builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s.ptr[i] - '0'), &n))
			return false;
	}
	*out = n;
	return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
	bool minus = s.len != 0 && s.ptr[0] == '-';
	uint64_t n;

	if (!str_to_u64(minus ? str_skip(s, 1) : s, &n) || n > (uint64_t)INT64_MAX + minus)
		return false;
	*out = minus ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

uint64_t str_hash(struct str s)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t secret[2];

__attribute__((constructor)) static void make_secret(void)
{
	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		abort();
	secret[1] |= 1;
}

static uint64_t folded(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes a step, each folded by a multiplication with what is secret. */
uint64_t str_hash_secret(struct str s)
{
	uint64_t hash = secret[0] ^ s.len, word;

	for (; s.len >= sizeof(word); s = str_skip(s, sizeof(word))) {
		memcpy(&word, s.ptr, sizeof(word));
		hash = folded(hash ^ word, secret[1]) + secret[0];
	}
	word = 0;
	if (s.len != 0)
		memcpy(&word, s.ptr, s.len);
	return folded(hash ^ word, secret[1]);
}

struct str str_dup(struct arena *arena, struct str s)
{
	return (struct str){ arena_copy(arena, s.ptr, s.len), s.len };
}

const char *str_cstr(struct arena *arena, struct str s)
{
	return arena_copy(arena, s.ptr, s.len);
}

struct str str_format(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	return str_from(text);
}

struct str str_lower(struct arena *arena, struct str s)
{
	char *copy = arena_copy(arena, s.ptr, s.len);

	for (size_t i = 0; i < s.len; i++)
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] - 'A' + 'a');
	return (struct str){ copy, s.len };
}
