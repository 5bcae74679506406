/*
 * What a component asks of an API server, whatever carries it: one request and its answer, one watch and its events.
 *
 * The API server implements struct api_transport in process; client/ implements it over HTTPS for agents on other
 * machines. Components see only client/, which sits on a transport. Nothing here is behaviour: plain data, loop thread.
 *
 * A call's text and tree are copied by the transport before it returns. done comes once, never from inside call().
 *
 *	transport->call(transport->arg, &(struct api_call){ .verb = VERB_GET, .kind = kind, .ns = ns, .name = name,
 *		.done = got, .arg = self });
 *	static void got(void *arg, struct api_reply *reply)
 *	{
 *		if (reply->err != NULL) …                   // owned by the caller of got: take it by setting NULL
 *		else use(object_tree(reply->object));       // object_ref() to keep it
 *	}
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/object.h"
#include "api/schema.h"
#include "base/error.h"
#include "json/json.h"

enum api_patch { API_PATCH_JSON, API_PATCH_MERGE, API_PATCH_STRATEGIC, API_PATCH_APPLY };

struct api_reply {
	struct error *err;           /* NULL: success; freed after done unless set to NULL */
	struct object *object;       /* what was read or written; NULL for lists and some deletions */
	const struct json *tree;     /* an answer that is no stored object (Scale, Status, TokenRequest); else NULL */
	struct object *const *items; /* LIST */
	size_t n_items;
	uint64_t revision; /* LIST: of the snapshot */
};

struct api_call {
	enum verb verb; /* all but VERB_WATCH */
	const struct kind *kind;
	struct str ns; /* empty: cluster-scoped, or all namespaces for LIST */
	struct str name;
	struct str subresource;  /* "status", "scale", "binding", … or empty */
	const struct json *body; /* CREATE, UPDATE: the object; PATCH: the patch; DELETE: DeleteOptions or NULL */
	enum api_patch patch;
	struct str labels; /* selectors, for LIST and DELETECOLLECTION */
	struct str fields;
	struct str actor; /* who asks: "system:kube-scheduler"; empty: the transport's own identity */
	uint64_t cause;   /* revision that woke the asker; 0: none */
	int64_t timeout;  /* ns; 0: LIMIT_REQUEST_SECONDS */
	void (*done)(void *arg, struct api_reply *reply);
	void *arg;
};

enum api_event_type { API_ADDED, API_MODIFIED, API_DELETED, API_BOOKMARK, API_SYNCED };

struct api_event {
	enum api_event_type type; /* SYNCED: the initial objects are complete */
	struct object *object;    /* borrowed; of DELETED the last state; NULL for BOOKMARK and SYNCED */
	uint64_t revision;
};

/* A list and then a watch in one: initial objects come as ADDED, then SYNCED, then what changes. */
struct api_watch {
	const struct kind *kind;
	struct str ns;
	struct str labels;
	struct str fields;
	struct str actor;
	uint64_t after; /* 0: begin with the initial objects; else only what is newer */
	void (*event)(void *arg, const struct api_event *event);
	/* The watch is over (410, connection lost, server stopping); only close is left. Takes err. */
	void (*ended)(void *arg, struct error *err);
	void *arg;
};

struct api_transport {
	/* Returns a handle for cancel(), valid until done. */
	void *(*call)(void *transport, const struct api_call *call);
	void (*cancel)(void *transport, void *call); /* done does not come any more; the write may still happen */
	void *(*watch)(void *transport, const struct api_watch *watch);
	void (*watch_close)(void *transport, void *watch);
	void *arg;
};

#endif
