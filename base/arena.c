#include "base/arena.h"

#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

#define CHUNK_FIRST 2048
#define CHUNK_MAX   (64 * 1024)
#define ALIGN       _Alignof(max_align_t)

/* With AddressSanitizer what was not handed out is poisoned, and between two allocations a gap stays so: an arena hides no
 * overflow from it. Otherwise the macros of its header do nothing. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define GAP ALIGN
#else
#define GAP 0
#endif

struct chunk {
	struct chunk *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(max_align_t) char data[];
};

struct defer {
	struct defer *next;
	void (*fn)(void *arg);
	void *arg;
};

struct arena {
	struct chunk *chunks; /* newest first */
	struct defer *defers; /* newest first */
	size_t total;
};

static struct chunk *chunk_add(struct arena *arena, size_t need)
{
	size_t size = arena->chunks != NULL ? arena->chunks->size * 2 : CHUNK_FIRST;
	struct chunk *chunk;

	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < need)
		size = need;
	chunk = xmalloc(sizeof(*chunk) + size);
	chunk->size = size;
	chunk->used = 0;
	ASAN_POISON_MEMORY_REGION(chunk->data, size);
	/* A large block of its own goes behind the current chunk, which stays in use. */
	if (need > CHUNK_MAX / 4 && arena->chunks != NULL) {
		chunk->next = arena->chunks->next;
		arena->chunks->next = chunk;
	} else {
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	arena->total += size;
	return chunk;
}

struct arena *arena_new(void)
{
	return xcalloc(1, sizeof(struct arena));
}

void arena_end(struct arena *arena)
{
	while (arena->defers != NULL) {
		struct defer *defer = arena->defers;

		arena->defers = defer->next;
		defer->fn(defer->arg);
	}
}

void arena_free(struct arena *arena)
{
	if (arena == NULL)
		return;
	arena_end(arena);
	while (arena->chunks != NULL) {
		struct chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size);
		free(chunk);
	}
	free(arena);
}

void *arena_raw(struct arena *arena, size_t size)
{
	struct chunk *chunk = arena->chunks;
	size_t asked = size != 0 ? size : 1;
	void *ptr;

	size = ((asked + ALIGN - 1) & ~(ALIGN - 1)) + GAP;
	if (chunk == NULL || chunk->size - chunk->used < size)
		chunk = chunk_add(arena, size);
	ptr = chunk->data + chunk->used;
	chunk->used += size;
	ASAN_UNPOISON_MEMORY_REGION(ptr, asked);
	return ptr;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(arena_raw(arena, size), 0, size);
}

char *arena_copy(struct arena *arena, const void *ptr, size_t len)
{
	char *copy = arena_raw(arena, len + 1);

	if (len != 0)
		memcpy(copy, ptr, len);
	copy[len] = '\0';
	return copy;
}

char *arena_strdup(struct arena *arena, const char *cstr)
{
	return arena_copy(arena, cstr, strlen(cstr));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
	va_list again;
	char small[256];
	char *text;
	int n;

	va_copy(again, args);
	n = vsnprintf(small, sizeof(small), format, args);
	if (n < 0)
		n = 0, small[0] = '\0';
	if ((size_t)n < sizeof(small)) {
		text = arena_copy(arena, small, (size_t)n);
	} else {
		text = arena_raw(arena, (size_t)n + 1);
		vsnprintf(text, (size_t)n + 1, format, again);
	}
	va_end(again);
	return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	return text;
}

void arena_defer(struct arena *arena, void (*fn)(void *arg), void *arg)
{
	struct defer *defer = arena_raw(arena, sizeof(*defer));

	*defer = (struct defer){ arena->defers, fn, arg };
	arena->defers = defer;
}

size_t arena_size(const struct arena *arena)
{
	return arena->total;
}
