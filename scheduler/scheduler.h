/*
 * The scheduler: for each pod without a node, the best node that fits. Knows a client and nothing else.
 *
 * Three queues as upstream: active (by priority, then arrival), backoff (failed, not yet again), unschedulable (nothing
 * fits; waits for a change that may help). Filters and scores are rows of tables over a snapshot; the decision is a pure
 * function (plan.h) that also says, per node, why not. Nothing is kept that an API object does not hold; loop thread only.
 * Source: k8s.io/kubernetes/pkg/scheduler.
 *
 *	scheduler = scheduler_start(&(struct scheduler_options){ .client = client });
 */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include "client/client.h"

struct scheduler_options {
	struct client *client;
};

struct scheduler;

struct scheduler *scheduler_start(const struct scheduler_options *options);
void scheduler_stop(struct scheduler *scheduler);

#endif
