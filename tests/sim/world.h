/*
 * A whole control plane on virtual time: in-memory store with slow and failing commits, API server, controllers, scheduler
 * and a scripted kubelet. Nothing waits; the order of what is ready is random but repeats with the seed.
 *
 *	world_open(&world, seed);
 *	world_create(&world, "v1", "Namespace", "", tree);
 *	CHECK(world_until(&world, all_ready, 60 * NS_PER_S));
 *	world_close(&world);
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "apiserver/apiserver.h"
#include "client/client.h"
#include "controllers/controllers.h"
#include "loop/loop.h"
#include "scheduler/scheduler.h"
#include "store/store.h"

struct world {
	struct arena *arena;
	struct store *store;
	struct apiserver *apiserver;
	struct client *client, *user;
	struct controllers *controllers;
	struct scheduler *scheduler;
	struct informer *pods, *deployments, *sets;
	struct pki_key *key;
	unsigned fail_percent; /* of commits */
	int64_t slowest;       /* ns a commit may take */
	int ended;
};

void world_open(struct world *world, uint64_t seed);
void world_close(struct world *world);
bool world_until(struct world *world, bool (*condition)(void *world), int64_t ns);

/* One call, to its end; errors are retried like a person would, `tries` times. The error kind, or -1 for success. */
int world_call(struct world *world, const struct api_call *call, int tries);
const struct json *world_json(struct world *world, const char *yaml);
int world_create(struct world *world, const char *api_version, const char *kind, const char *ns, const char *yaml);

#endif
