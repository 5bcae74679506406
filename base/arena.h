/*
 * Memory that is freed as a whole: one arena per request, reconcile, task or command.
 *
 * Nothing allocated here is freed alone. What must be released at the end (a reference, a descriptor) is tied to the
 * arena with arena_defer(); these run in reverse order before the memory goes. Allocation failure aborts: the defence
 * against too much is base/limits.h. An arena belongs to one thread at a time and may be moved to another.
 *
 *	struct arena *arena = arena_new();
 *	char *copy = arena_copy(arena, text, len);
 *	arena_free(arena);
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena); /* NULL is fine */
void arena_end(struct arena *arena);  /* what was deferred runs now; only arena_free() is left to do, by any thread */

void *arena_alloc(struct arena *arena, size_t size);                /* zeroed, aligned for any type */
void *arena_raw(struct arena *arena, size_t size);                  /* not zeroed, aligned for any type */
char *arena_copy(struct arena *arena, const void *ptr, size_t len); /* NUL-terminated copy */
char *arena_strdup(struct arena *arena, const char *cstr);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args);

/* Runs fn(arg) when the arena ends. */
void arena_defer(struct arena *arena, void (*fn)(void *arg), void *arg);

/* Bytes taken from the system, for limits and tests. */
size_t arena_size(const struct arena *arena);

#define ARENA_NEW(arena, type)      ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (n)))

#endif
