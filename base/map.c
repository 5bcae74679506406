#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

static struct map_item **slot_of(const struct map *map, uint64_t hash, struct str key)
{
	struct map_item **slot = &map->buckets[hash & (map->n_buckets - 1)];

	while (*slot != NULL && ((*slot)->hash != hash || !str_eq((*slot)->key, key)))
		slot = &(*slot)->next;
	return slot;
}

static void grow(struct map *map)
{
	size_t n = map->n_buckets != 0 ? map->n_buckets * 2 : 8;

	if (map->n_buckets == 0)
		list_init(&map->order);
	free(map->buckets);
	map->buckets = xcalloc(n, sizeof(*map->buckets));
	map->n_buckets = n;
	LIST_EACH (&map->order, struct map_item, order, item) {
		struct map_item **bucket = &map->buckets[item->hash & (n - 1)];

		item->next = *bucket;
		*bucket = item;
	}
}

void map_fini(struct map *map)
{
	if (map->n_buckets != 0)
		LIST_EACH (&map->order, struct map_item, order, item)
			free(item);
	free(map->buckets);
	*map = (struct map){ 0 };
}

void *map_find(const struct map *map, struct str key)
{
	struct map_item *item = map->n_buckets != 0 ? *slot_of(map, str_hash_secret(key), key) : NULL;

	return item != NULL ? item->value : NULL;
}

void *map_set(struct map *map, struct str key, void *value)
{
	uint64_t hash = str_hash_secret(key);
	struct map_item **slot, *item;

	if (map->len >= map->n_buckets)
		grow(map);
	slot = slot_of(map, hash, key);
	if (*slot != NULL) {
		void *old = (*slot)->value;

		(*slot)->value = value;
		return old;
	}
	item = xmalloc(sizeof(*item) + key.len + 1);
	*item = (struct map_item){ .hash = hash, .key = { (char *)(item + 1), key.len }, .value = value };
	if (key.len != 0)
		memcpy(item + 1, key.ptr, key.len);
	((char *)(item + 1))[key.len] = '\0';
	list_push(&map->order, &item->order);
	*slot = item;
	map->len++;
	return NULL;
}

void *map_take(struct map *map, struct str key)
{
	struct map_item **slot = map->n_buckets != 0 ? slot_of(map, str_hash_secret(key), key) : NULL;
	struct map_item *item = slot != NULL ? *slot : NULL;
	void *value;

	if (item == NULL)
		return NULL;
	value = item->value;
	*slot = item->next;
	list_remove(&item->order);
	free(item);
	map->len--;
	return value;
}

struct map_item *map_first(const struct map *map)
{
	return map->len != 0 ? CONTAINER_OF(map->order.next, struct map_item, order) : NULL;
}

struct map_item *map_next(const struct map *map, const struct map_item *item)
{
	return item->order.next != &map->order ? CONTAINER_OF(item->order.next, struct map_item, order) : NULL;
}
