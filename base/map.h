/*
 * A hash map from text to pointers. Keys are copied, values are the caller's. {0} is an empty map.
 *
 *	struct map pods = { 0 };
 *	map_set(&pods, STR("default/web"), pod);
 *	struct pod *pod = map_find(&pods, key);
 *	MAP_EACH (&pods, it) use(it->key, it->value);
 *	map_fini(&pods);
 *
 * Iteration is in order of insertion, so runs repeat exactly; removing the current item while iterating is fine.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/list.h"
#include "base/str.h"

struct map_item {
	struct list order;     /* in map.order */
	struct map_item *next; /* in the same bucket */
	uint64_t hash;
	struct str key;
	void *value;
};

struct map {
	struct map_item **buckets;
	size_t n_buckets;
	size_t len;
	struct list order;
};

void map_fini(struct map *map);                              /* frees keys, not values; afterwards it is empty */
void *map_find(const struct map *map, struct str key);       /* NULL when absent */
void *map_set(struct map *map, struct str key, void *value); /* returns the old value, or NULL */
void *map_take(struct map *map, struct str key);             /* removes; returns the value, or NULL */
struct map_item *map_first(const struct map *map);
struct map_item *map_next(const struct map *map, const struct map_item *item);

#define MAP_EACH(map, it)                                                                                                          \
	for (struct map_item *it = map_first(map), *it##_next = it != NULL ? map_next(map, it) : NULL; it != NULL;                 \
	     it = it##_next, it##_next = it != NULL ? map_next(map, it) : NULL)

#endif
