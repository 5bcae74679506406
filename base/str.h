/*
 * Borrowed text: a pointer and a length. Not an owner, and not necessarily NUL-terminated.
 *
 * A struct str is passed by value. It is valid as long as what it points into: an arena, a literal, a
 * refcounted buffer. Nothing here allocates except the functions that take an arena.
 *
 *	struct str name = STR("web");
 *	if (str_has_prefix(name, STR("we")))
 *		printf("%.*s\n", STR_ARG(name));
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct str {
	const char *ptr; /* may be NULL when len is 0 */
	size_t len;      /* bytes */
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
/* For static initialisers, where a compound literal is no constant. */
#define STR_INIT(literal)                                                                                                          \
	{                                                                                                                          \
		"" literal, sizeof(literal) - 1                                                                                    \
	}
/* For "%.*s". */
#define STR_ARG(s) (int)(s).len, (s).len != 0 ? (s).ptr : ""

struct str str_from(const char *cstr); /* NULL gives the empty string */
struct str str_of(const char *ptr, size_t len);
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *cstr);
int str_cmp(struct str a, struct str b); /* bytewise, as Go compares strings */
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);
bool str_contains(struct str s, struct str needle);
struct str str_skip(struct str s, size_t n); /* without the first n bytes */
struct str str_head(struct str s, size_t n); /* only the first n bytes */
struct str str_trim(struct str s);           /* without ASCII white space at both ends */
ptrdiff_t str_find(struct str s, char c);    /* -1 when absent */
ptrdiff_t str_rfind(struct str s, char c);

/* Cuts s at the first sep: *head is what stands before it, s becomes what stands after. False when s was empty
 * and nothing is left (*head is empty then); a last piece without sep is returned too. */
bool str_cut(struct str *s, char sep, struct str *head);

/* Decimal with an optional minus; false on anything else, or out of range. */
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);
uint64_t str_hash(struct str s); /* the same everywhere and always: names may be made of it */
/* Another in each process, so that nobody outside can make keys collide: for tables in memory. */
uint64_t str_hash_secret(struct str s);

struct str str_dup(struct arena *arena, struct str s);   /* the copy is also NUL-terminated */
const char *str_cstr(struct arena *arena, struct str s); /* NUL-terminated copy */
struct str str_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct str str_lower(struct arena *arena, struct str s); /* ASCII only */

#endif
