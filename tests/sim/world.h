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
#include "tests/sim/faults.h"

#define SIM_NODES 2

struct world {
	struct arena *arena;
	struct store *store;
	struct apiserver *apiserver;
	struct faults faults; /* between the components and it */
	uint64_t began;       /* revision before which nobody asked anything */
	struct client *client, *user;
	struct controllers *controllers;
	struct scheduler *scheduler;
	struct informer *pods, *deployments, *sets;
	struct pki_key *key;
	unsigned fail_percent;   /* of commits */
	int64_t slowest;         /* ns a commit may take… */
	unsigned stall_permille; /* …but for these, which may take seconds */
	int ended;
	unsigned next_ip;
	/* Nodes n1, n2, … are heard of every 10 s while they are not dead. */
	struct beat {
		struct world *world;
		char name[8];
		struct loop_timer timer;
		bool dead;
	} beats[SIM_NODES];
};

void world_open(struct world *world, uint64_t seed);
void world_close(struct world *world);
/* From now on the kubelets tell that they are alive. */
void world_beat(struct world *world);
void world_kill_node(struct world *world, size_t i);
void world_revive_node(struct world *world, size_t i);

bool world_until(struct world *world, bool (*condition)(void *world), int64_t ns);

/* One call, to its end; errors are retried like a person would, `tries` times, and what was done although the answer got
 * lost is well. The error kind, or -1 for success. */
int world_call(struct world *world, const struct api_call *call, int tries);
const struct json *world_json(struct world *world, const char *yaml);
int world_create(struct world *world, const char *api_version, const char *kind, const char *ns, const char *yaml);

#endif
