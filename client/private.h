/* What the files of client share. */
#ifndef CLIENT_PRIVATE_H
#define CLIENT_PRIVATE_H

#include "client/client.h"

struct shared {
	const struct api_transport *transport;
	struct list informers;
	struct list clients;
	struct map events; /* told lately: key to struct told */
	struct list held;  /* struct held: events that are about to be told */
	struct loop_timer tell;
};

struct client {
	struct list link; /* in shared.clients */
	struct shared *shared;
	char *actor;
	bool origin;
};

void informers_free(struct shared *shared);
void events_free(struct shared *shared);

/* Calls fn once the informer of that kind, if there is one, has seen the revision. */
struct informer_wait {
	struct list link;
	uint64_t revision;
	void (*fn)(void *arg);
	void *arg;
};
/* False: nothing to wait for. */
bool informer_wait_for(struct client *client, const struct kind *kind, uint64_t revision, struct informer_wait *wait);

#endif
