#include "base/places.h"

#include <string.h>

#define INDEXED 24 /* as many as are compared faster than hashed */

/* The slot of a key: its item's, or the free one where it would go. */
static uint32_t *slot_of(const struct places *places, struct str key)
{
	size_t slot = str_hash_secret(key) & (places->n_slots - 1);

	while (places->slots[slot] != 0 && !str_eq(places->items[places->slots[slot] - 1].key, key))
		slot = (slot + 1) & (places->n_slots - 1);
	return &places->slots[slot];
}

size_t places_find(const struct places *places, struct str key)
{
	if (places->slots != NULL) {
		uint32_t item = *slot_of(places, key);
		return item != 0 ? places->items[item - 1].place : PLACES_NONE;
	}
	for (size_t i = 0; i < places->len; i++)
		if (str_eq(places->items[i].key, key))
			return places->items[i].place;
	return PLACES_NONE;
}

static void grow(struct places *places)
{
	size_t cap = places->cap == 0 ? 8 : places->cap * 2;
	struct places_item *items = ARENA_ARRAY(places->arena, struct places_item, cap);

	if (places->len != 0)
		memcpy(items, places->items, places->len * sizeof(*items));
	places->items = items;
	places->cap = cap;
}

static void index_last(struct places *places)
{
	if (places->len < INDEXED)
		return;
	if (2 * places->len <= places->n_slots) {
		*slot_of(places, places->items[places->len - 1].key) = (uint32_t)places->len;
		return;
	}
	places->n_slots = places->n_slots == 0 ? 128 : places->n_slots * 2;
	places->slots = ARENA_ARRAY(places->arena, uint32_t, places->n_slots);
	for (size_t i = 0; i < places->len; i++)
		*slot_of(places, places->items[i].key) = (uint32_t)i + 1;
}

size_t places_add(struct places *places, struct str key, size_t place)
{
	size_t first = places_find(places, key);

	if (first != PLACES_NONE)
		return first;
	if (places->len == places->cap)
		grow(places);
	places->items[places->len++] = (struct places_item){ key, place };
	index_last(places);
	return place;
}
