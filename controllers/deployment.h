/* What the two files of Deployments share; private to the folder. */
#ifndef CONTROLLERS_DEPLOYMENT_H
#define CONTROLLERS_DEPLOYMENT_H

#include "controllers/private.h"

struct deployments {
	struct client *client;
	const struct kind *kind, *set_kind;
	struct workqueue *queue;
	struct informer *deployments, *sets, *pods;
	int sets_by_namespace;
	int pods_by_owner;
};

/* One deployment as a reconcile sees it. */
struct deployment_view {
	struct deployments *self;
	struct work *work;
	struct arena *arena;
	struct object *object;
	const struct json *tree;
	VEC(struct object *) sets; /* owned, all */
	struct object *fresh;      /* of the current template; NULL: none yet */
	VEC(struct object *) old;  /* the others, oldest first */
};

/* --- deployment.c --- */

int64_t deployment_replicas(const struct json *tree);                         /* wanted, of a Deployment or a ReplicaSet */
int64_t deployment_set_status(const struct json *set, const char *field);     /* a number of a ReplicaSet's status */
int64_t deployment_total(const struct deployment_view *v, const char *field); /* of all sets; NULL: of what they want */
bool deployment_is_rolling(const struct json *tree);                          /* its strategy is RollingUpdate */
void deployment_limits(const struct json *tree, int64_t *surge, int64_t *unavailable);
bool deployment_is_complete(const struct deployment_view *v);

/* --- deployment_status.c --- */

void deployment_write_status(struct deployment_view *v); /* when it differs */

#endif
