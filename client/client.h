/*
 * What components are made of: calls to the API server, informers, work queues, events. They know nothing else of it,
 * and whether it is in this process or behind HTTPS is the transport's business (api/call.h).
 *
 * Rules that make a controller short: it keeps no state but its informers; a reconcile gets a key, looks at informers,
 * decides, and issues calls on its struct work; the queue waits for the answers AND until the informers have seen what was
 * written, so the next reconcile of any key sees it ("read your writes": no expectations). Errors bring the key back with
 * growing delay. The revision that woke a key travels as the cause of what its reconcile writes.
 *
 * Loop thread only. Objects are borrowed from informers until the loop turns; object_ref() keeps them.
 *
 *	pods = client_informer(client, kind_must("v1", "Pod"));
 *	queue = workqueue_new(&(struct workqueue_options){ .client = client, .name = "replicaset", .reconcile = sync });
 *	informer_listen(pods, &(struct informer_events){ .changed = pod_changed }, self);
 *
 *	static struct error *sync(void *arg, struct work *work)
 *	{
 *		struct object *rs = informer_find_key(self->sets, work->key);
 *		work_call(work, &(struct api_call){ .verb = VERB_CREATE, .kind = pod_kind, .ns = ns, .body = pod });
 *		return NULL;
 *	}
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "api/api.h"
#include "api/call.h"
#include "base/base.h"
#include "loop/loop.h"

struct client;

/* The transport is borrowed. actor names who writes: "system:kube-scheduler". Informers are shared by all clients that
 * are made from one another by client_as(). */
struct client *client_new(const struct api_transport *transport, const char *actor);
struct client *client_as(struct client *client, const char *actor);
/* Ends informers; queues must be freed before. The clients made by client_as() go with their origin. */
void client_free(struct client *client);

/* A call in this client's name. done may be NULL: then errors are logged. */
void *client_call(struct client *client, const struct api_call *call);
void client_cancel(struct client *client, void *call);

/* --- informers ---------------------------------------------------------------------------------------------------- */

struct informer;

struct informer_events {
	/* old NULL: new to us; now NULL: gone. revision: of the change, the cause of what follows from it. */
	void (*changed)(void *arg, struct object *old, struct object *now, uint64_t revision);
	void (*synced)(void *arg); /* all that existed at the start was told; may be NULL */
};

struct informer_options {
	const struct kind *kind;
	struct str ns; /* empty: all */
	struct str labels;
	struct str fields; /* "spec.nodeName=n1" */
};

/* One informer per kind (or per equal options), started on first use. */
struct informer *client_informer(struct client *client, const struct kind *kind);
struct informer *client_informer_of(struct client *client, const struct informer_options *options);
/* Existing objects are told at once, as new. */
void informer_listen(struct informer *informer, const struct informer_events *events, void *arg);
void informer_unlisten(struct informer *informer, void *arg);
bool informer_synced(const struct informer *informer);
/* What it watches. A kind that is described at run time may be described anew: then it is the new one from there on; while
 * nothing is served the informer is empty. */
const struct kind *informer_kind(const struct informer *informer);
uint64_t informer_revision(const struct informer *informer);

struct object *informer_find(struct informer *informer, struct str ns, struct str name); /* NULL: absent */
struct object *informer_find_key(struct informer *informer, struct str key);             /* "ns/name" or "name" */
size_t informer_len(const struct informer *informer);

/* In order of arrival:  INFORMER_EACH (pods, object) … */
struct map_item *informer_first(const struct informer *informer);
struct map_item *informer_next(const struct informer *informer, const struct map_item *item);
#define INFORMER_EACH(informer, it)                                                                                                \
	for (struct map_item *it##_item = informer_first(informer); it##_item != NULL;                                             \
	     it##_item = informer_next((informer), it##_item))                                                                     \
		for (struct object *it = it##_item->value; it != NULL; it = NULL)

/* An index gives each object any number of keys; found by key, in order of arrival. Add before the first event. */
typedef void informer_keys(struct object *object, void (*emit)(void *to, struct str key), void *to);
int informer_add_index(struct informer *informer, informer_keys *keys);
struct object_list {
	struct object **ptr;
	size_t len;
};
struct object_list informer_lookup(const struct informer *informer, int index, struct str key);

/* Index functions that many need. */
informer_keys index_by_owner; /* uid of the controlling owner */
informer_keys index_by_namespace;
informer_keys index_by_node; /* spec.nodeName */

/* "ns/name" of an object; on the arena. */
struct str object_path(struct arena *arena, struct object *object);

/* --- work queues ---------------------------------------------------------------------------------------------------- */

struct workqueue;

struct work {
	struct str key;
	uint64_t cause;      /* newest revision that asked for this */
	struct arena *arena; /* lives until the work is over */
	unsigned failures;   /* before this time */
	struct workqueue *queue;
};

struct workqueue_options {
	struct client *client;
	const char *name;
	/* Decides and issues calls. An error (or one of a call) brings the key back later. */
	struct error *(*reconcile)(void *arg, struct work *work);
	void *arg;
	unsigned workers; /* keys at the same time; 0: 5. One key never twice */
};

struct workqueue *workqueue_new(const struct workqueue_options *options);
void workqueue_free(struct workqueue *queue);
/* Again, if it is being worked on. cause 0: a timer. */
void workqueue_add(struct workqueue *queue, struct str key, uint64_t cause);
void workqueue_add_after(struct workqueue *queue, struct str key, int64_t ns);
void workqueue_forget(struct workqueue *queue, struct str key); /* its failures */
size_t workqueue_len(const struct workqueue *queue);

/* A call on behalf of the work, which is not over before its answer. call->done may look at the reply first and may issue
 * further calls; an error it does not take away fails the work. NOT_FOUND of a deletion is none. */
void work_call(struct work *work, const struct api_call *call);
/* The same key again after that time, whatever comes of this. */
void work_again(struct work *work, int64_t ns);
/* For other asynchronous parts of a reconcile. */
void work_hold(struct work *work);
void work_release(struct work *work, struct error *err); /* takes err */

/* --- events ---------------------------------------------------------------------------------------------------------- */

struct client_event {
	struct object *about;   /* or: */
	const struct json *ref; /* an ObjectReference */
	const char *field_path; /* "spec.containers{web}", or NULL */
	const char *type;       /* "Normal", "Warning" */
	const char *reason;
	const char *component; /* "kubelet", "default-scheduler" */
	const char *host;      /* or NULL */
	uint64_t cause;
};
/* An equal one that was told lately only counts up. It is written a moment later, with the others of that moment: what it is
 * about, a status for instance, goes to the disk before it. */
void client_event(struct client *client, const struct client_event *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* --- pieces of objects ------------------------------------------------------------------------------------------------ */

/* ownerReferences with one controlling owner. */
const struct json *owner_reference(struct arena *arena, struct object *owner);
/* The controlling owner's reference, or NULL. */
const struct json *controller_of(const struct json *tree);
bool is_controlled_by(const struct json *tree, struct str uid);
bool is_deleting(const struct json *tree);
const struct json *condition_of(const struct json *tree, const char *type); /* status.conditions[type], or NULL */
bool condition_true(const struct json *tree, const char *type);
/* conditions with one set: lastTransitionTime moves when the status does; message NULL: none. */
struct condition {
	const char *type;
	const char *status;
	const char *reason;
	const char *message;
	bool update_time; /* keeps lastUpdateTime too: Deployments */
};
const struct json *conditions_with(struct arena *arena, const struct json *conditions, const struct condition *condition);
const struct json *time_json(struct arena *arena, int64_t ns);
bool pod_is_ready(const struct json *pod);
bool pod_is_over(const struct json *pod); /* Succeeded or Failed */

#endif
