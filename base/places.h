/*
 * Where a text was: an index beside a list that somebody else holds, so that finding an item by its key, or seeing that a
 * key was there before, takes no longer in a long list than in a short one. On an arena; keys are borrowed.
 *
 *	struct places seen = { .arena = arena };
 *	if (places_add(&seen, name, i) != i)
 *		... an item before this one has the name
 *	size_t at = places_find(&seen, name); PLACES_NONE when nothing has it
 */
#ifndef BASE_PLACES_H
#define BASE_PLACES_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define PLACES_NONE SIZE_MAX

struct places_item {
	struct str key;
	size_t place;
};

struct places {
	struct arena *arena;
	struct places_item *items;
	size_t len, cap;
	uint32_t *slots; /* of many items: 1 + the item, from its key's hash (with the secret of the process) on */
	size_t n_slots;
};

size_t places_find(const struct places *places, struct str key);
/* The place of the first that has the key: place itself when it is new. */
size_t places_add(struct places *places, struct str key, size_t place);

#endif
