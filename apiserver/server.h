/* What the files of apiserver share: the server, the request, and how a request is answered. Private. */
#ifndef APISERVER_SERVER_H
#define APISERVER_SERVER_H

#include "api/api.h"
#include "api/convert.h"
#include "apiserver/apiserver.h"
#include "apiserver/negotiate.h"
#include "apiserver/route.h"
#include "loop/loop.h"

struct user {
	struct str name;
	struct str uid;
	const struct str *groups;
	size_t n_groups;
	const struct json *extra; /* of a token, or as impersonated; NULL: nothing */
	struct str cert;          /* DER, of who came with one; user_extra() names it */
	bool trusted;             /* a component of this program */
};

struct apiserver {
	struct apiserver_options options;
	struct api_transport transport;
	struct list requests; /* struct request */
	struct list watches;  /* struct watcher, see watch/ */
	size_t n_running;
	uint64_t n_requests[600]; /* by HTTP status, for /metrics */
	int64_t started;
	bool ending;                            /* watches were told to go */
	struct bytes *documents[8];             /* discovery and OpenAPI, made on first use; see docs/ */
	uint64_t documents_of;                  /* kinds_generation() they were made in */
	struct definitions *definitions;        /* see definitions.c */
	const struct admission *more_admission; /* rows behind the built-in ones; see verbs/verbs.h */
	size_t n_more_admission;
};

/* Options of the query that writes and reads share. */
struct query {
	const struct json *dry_runs; /* as said */
	bool dry_run;
	struct str field_validation;
	enum { VALIDATE_WARN, VALIDATE_IGNORE, VALIDATE_STRICT } validation;
	struct str field_manager;
	struct str labels;
	struct str fields;
	struct str resource_version;
	struct str version_match;
	struct str token; /* continue */
	int64_t limit;
	int64_t timeout_seconds; /* of a watch; 0: not said */
	bool watch;
	bool bookmarks;
	bool send_initial;
	bool send_initial_given;
	bool force; /* of an apply */
	bool force_given;
};

/* One request, from wherever it came. Lives on its own arena, which the task frees after the reply. */
struct request {
	struct list link;
	struct apiserver *server;
	struct task *task;
	struct arena *arena;       /* what lasts until the reply; from the second attempt on, what that attempt makes */
	struct arena *lasting;     /* the first attempt's, which has the request itself */
	struct http_request *http; /* NULL: in process, then call is set */
	struct api_call call;
	struct loop_call run;
	bool canceled; /* in process: nobody waits any more */
	bool applied;  /* server-side apply has decided who owns what */
	struct user user;
	struct route route;
	struct accept accept;
	struct query query;
	uint64_t cause;
	struct str body; /* as sent */
	enum api_media body_media;
	struct api_notes notes; /* unknown and duplicate fields */
	VEC(const char *) warnings;

	/* the attempt; starts anew after a lost compare-and-swap */
	const struct json *input; /* decoded, defaulted */
	struct store_value *old;  /* what is there */
	const struct json *old_tree;
	const struct json *tree;            /* what shall be */
	struct object *made;                /* that, as the store will keep it; kept by the arena. NULL: not made yet */
	enum { CHANGES, STAYS, ENDS } fate; /* of the object by this write: see step_encode() */
	VEC(struct store_op) also;          /* further operations of the same commit: the addresses of a Service */
	unsigned admitting;                 /* VERB() bit of what admission is asked; 0: nothing */
	size_t admitted;                    /* rows of admission that have had their turn */
	unsigned attempts;
	bool orphans;              /* a deletion leaves dependents behind though nobody said so */
	size_t n_lasting_warnings; /* that came before the first attempt; the others are each attempt's own */

	/* the answer */
	int status;
	int retry_after;           /* seconds, 0 when not said */
	struct object *object;     /* kept by the arena */
	const struct json *answer; /* no stored object: Status, Scale, TokenRequest … */
	const struct type *answer_type;
	struct listing *listing;    /* LIST, while it is looked up; see verbs/read.c */
	struct store_value **items; /* of it; kept by version */
	size_t n_items;
	struct store_version *version;
	struct str continue_token;
	int64_t remaining; /* -1: not said */
};

/* --- answering (respond.c) --- */

/* Content-Type, Cache-Control and warnings. */
struct http_headers answer_headers(struct request *req, struct str media);
void respond(struct request *req);                          /* what the answer says */
void respond_error(struct request *req, struct error *err); /* takes err */
/* The Status object of an error, in normal form. */
const struct json *status_of_error(struct arena *arena, const struct request *req, const struct error *err);
/* Without a request task: documents, health. */
void respond_document(struct http_request *http, int status, const char *media, struct bytes *body);

/* An object's tree as what the client asked for: a Table, its metadata only, or itself. kind tells how. */
const struct json *present(struct arena *arena, const struct accept *accept, const struct kind *kind, struct object *const *objects,
			   size_t n, const struct type **type);

/* --- the query (options.c) --- */

void options_read(struct request *req);
/* What is wrong with it for this verb: of writes to be asked once the body is there. Reads the numbers. */
struct error *options_check(struct request *req) MUST_CHECK;
struct error *options_include(struct request *req) MUST_CHECK;       /* includeObject of Tables */
struct error *options_timeout(const struct request *req) MUST_CHECK; /* timeout=, of all but watches */
struct error *options_check_logs(struct request *req) MUST_CHECK;    /* the query of a pod's log */
void options_check_dry_run(struct api_findings *f, const struct json *values);
/* The error that findings about options are; type is "DeleteOptions". */
struct error *options_error(struct api_findings *findings, const char *type) MUST_CHECK;
/* A number of the query; *out stays when it is not there. */
struct error *query_int(const struct request *req, const char *name, int64_t *out) MUST_CHECK;
const char *number_complaint(struct str text); /* "invalid syntax" or "value out of range" */

/* --- warnings (warning.c) --- */

void warn(struct request *req, struct str text); /* once each; what cannot stand in a header is left out */
/* At most as many as there are warnings. */
size_t warning_headers(struct request *req, struct http_header *out);

/* --- the store, seen as objects (objects.c) --- */

struct str object_key(struct arena *arena, const struct kind *kind, struct str ns, struct str name);
struct str list_prefix(struct arena *arena, const struct kind *kind, struct str ns);
/* The decoded form that is kept with a value; borrowed from the value. */
struct object *value_object(const struct kind *kind, struct store_value *value);
/* Moves a reference to the arena. */
struct object *object_owned(struct arena *arena, struct object *object);
/* The same as one of the versions it is served in; kept by the arena. */
struct object *value_served(struct arena *arena, const struct kind *kind, struct store_value *value);
/* A small reader for plugins: the published tree of another object, or NULL. */
const struct json *lookup(struct request *req, const struct kind *kind, struct str ns, struct str name);

struct error *error_not_found(const struct kind *kind, struct str name) MUST_CHECK;

/* --- selection (match.c) --- */

struct match;
struct error *match_parse(struct arena *arena, const struct kind *kind, struct str labels, struct str fields,
			  struct match **out) MUST_CHECK;
bool match_tree(const struct match *match, const struct json *tree);
/* The same for a stored value, seen as the kind that was asked for. */
bool match_value(const struct match *match, struct store_value *value);
bool match_all(const struct match *match); /* nothing was asked for */
/* The one name that metadata.name selects, or empty. */
struct str match_name(const struct match *match);

/* --- tasks by verb (verbs/) --- */

const struct task_step *steps_of(const struct request *req);
void watch_start(struct request *req);                                    /* watch/; takes the request */
void watch_end_of(struct apiserver *server, const struct custom *custom); /* those of its kinds, as when time is over */

/* --- CustomResourceDefinitions (definitions.c) --- */

void definitions_start(struct apiserver *server); /* those that are established are served when it returns */
void definitions_stop(struct apiserver *server);  /* starts nothing any more */
void definitions_free(struct apiserver *server);
struct error *definition_stores(struct request *req) MUST_CHECK;
const struct json *definition_marked(struct request *req, const struct json *tree);
struct error *definition_open(struct request *req) MUST_CHECK;

/* --- helpers on trees in normal form --- */

struct str meta_str(const struct json *tree, const char *field);
const struct json *with(struct request *req, const struct json *tree, const char *path, const struct json *value);

void request_end(struct request *req); /* forgets it; its arena goes */

#endif
