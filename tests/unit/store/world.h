/* A store to test with, and writes that wait for their answer. */
#ifndef TESTS_STORE_WORLD_H
#define TESTS_STORE_WORLD_H

#include "loop/loop.h"
#include "store/store.h"
#include "tests/unit/tap.h"

struct world {
	struct store *store;
	char dir[64];
	char path[80]; /* of a store on disk */
	bool on_disk;
};

struct answer {
	bool came;
	struct error *err;
	uint64_t revision;
	int order; /* of all answers */
};

void world_open(struct world *world, bool on_disk);
void world_reopen(struct world *world, const struct store_options *options);
void world_close_store(struct world *world);
void world_close(struct world *world);

void world_answered(void *arg, struct error *err, const struct store_result *result);
bool world_came(void *answer);
void world_wait(struct answer *answer);
/* The revision. */
uint64_t world_put(struct world *world, const char *key, const char *data, uint64_t expect);
uint64_t world_delete(struct world *world, const char *key, uint64_t expect);
uint64_t world_renew(struct world *world, const char *key, const char *data);
struct error *world_put_later(struct world *world, const char *key, const char *data, uint64_t expect, struct answer *answer);
struct str world_get(struct world *world, const char *key); /* empty when absent */

#endif
