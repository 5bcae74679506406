/*
 * A transport between the components and the API server that fails as a network does: watches drop, at any event; answers
 * get lost although the server gave them. What the server really said is kept, so that the end can be compared with it.
 *
 * Planted defects, for tests of the test: an event that a watch swallows (a lost wake-up), a creation that is sent twice
 * (a double commit). The world's, not the product's.
 */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include "api/call.h"
#include "base/base.h"
#include "loop/loop.h"

struct faults {
	struct api_transport face;
	const struct api_transport *inner;
	struct list calls, watches;
	unsigned drop_permille;      /* of a watch, at each event */
	unsigned lose_permille;      /* of answers */
	unsigned plant_lost_wakeup;  /* permille of events */
	unsigned plant_double_write; /* permille of creations */
	unsigned drops, losses;
	size_t created; /* objects that the server said it made */
	size_t unknown; /* creations that were called off: nobody knows */
};

void faults_init(struct faults *faults, const struct api_transport *inner);
void faults_off(struct faults *faults);

#endif
