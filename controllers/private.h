/* What the controllers share: the registry's row and small reads that several need. */
#ifndef CONTROLLERS_PRIVATE_H
#define CONTROLLERS_PRIVATE_H

#include "api/selector.h"
#include "controllers/controllers.h"

struct controller {
	const char *name; /* as in its events: "deployment-controller" */
	void *(*start)(const struct controllers_options *options, struct client *client); /* client acts in its name */
	void (*stop)(void *self);
};

extern const struct controller deployment_controller, replicaset_controller, replication_controller, namespace_controller,
	service_account_controller, root_ca_controller, endpoints_controller, endpointslice_controller,
	endpointslice_mirroring_controller, garbage_controller, node_lifecycle_controller, node_ipam_controller,
	load_balancer_controller, protection_controller;

const struct kind *pod_kind(void);

/* A queue that is fed with the names of the objects of one kind. */
struct informer_events queue_changes(void); /* arg: struct workqueue * */

/* Puts the controlling owner of an object into a queue, when it is of that kind. */
void queue_owner(struct workqueue *queue, const char *kind, struct object *object, uint64_t cause);

/* labels of a tree, or NULL. */
const struct json *labels_of(const struct json *tree);
/* Age of a time field, or -1 when it is absent. */
int64_t age_of(const struct json *time);
/* Ready for at least that many seconds; *wait gets how long until it is (ns), when it will be. */
bool pod_available(const struct json *pod, int64_t min_ready_seconds, int64_t *wait);

/* What of a namespace that goes is still there: emptying.c. */
struct namespace_kind {
	const struct kind *kind;
	size_t n;
};

struct namespace_rest {
	VEC(struct namespace_kind) kinds;
	struct map finalizers; /* name → how many objects have it, as a pointer */
	const char *failure;   /* the first of them; NULL: none */
	size_t failures;
};

/* status.conditions of the namespace as they should be. Pure. */
const struct json *namespace_conditions(struct arena *arena, const struct json *old, const struct namespace_rest *rest,
					int64_t now);
/* One step of a namespace that is deleted towards its end; asks for the next one itself. */
void namespace_empty(struct work *work, const struct json *tree);

/* --- EndpointSlices, of two controllers (slices.c) --- */

#define SLICE_SERVICE "kubernetes.io/service-name"
#define SLICE_MANAGER "endpointslice.kubernetes.io/managed-by"

bool slice_is_of(struct object *slice, const char *manager);
void slice_index_by_service(struct object *object, void (*emit)(void *to, struct str key), void *to); /* of an informer */

/* What shall be there of one object and one address family; on the work's arena. */
struct slices {
	struct work *work;
	struct object *owner; /* a Service, or Endpoints: its name begins theirs */
	const char *manager;
	const struct json *labels, *annotations; /* annotations may be NULL */
	size_t most;                             /* endpoints in one slice */
	struct slice_group *groups;
	size_t n;
};
void slices_add(struct slices *wanted, const struct json *ports, const struct json *endpoint); /* NULL: only the slice */
/* Slices of the manager that are there and have the same ports are kept, the others take what is left, too many go. */
void slices_write(struct slices *wanted, const char *family, struct object_list there);
void slices_drop(struct work *work, const char *manager, struct object_list there);

#endif
