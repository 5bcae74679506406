/*
 * The verbs: tables of steps over a struct request, and the pure parts they share. Private to apiserver.
 *
 * A write is one "attempt": read what is there, make what shall be, admit, prepare, validate, commit. A lost
 * compare-and-swap goes back to its first step with nothing kept but the decoded input.
 */
#ifndef APISERVER_VERBS_VERBS_H
#define APISERVER_VERBS_VERBS_H

#include "api/apply.h"
#include "apiserver/server.h"

extern const struct task_step get_steps[], list_steps[], create_steps[], update_steps[], patch_steps[], delete_steps[],
	delete_collection_steps[], subresource_steps[], binding_steps[], review_steps[];

/* --- requests that are large, or about something large (heavy.c) --- */

bool is_heavy(const struct request *req);
/* A step whose work is pure: here, or on a thread when it is heavy. */
enum task_result step_pure(struct task *task, struct request *req, struct error *(*work)(void *req)) MUST_CHECK;
/* Whether the store takes it: object is req->tree as it would be kept. */
struct error *check_size(const struct request *req, struct object *object) MUST_CHECK;

/* Steps that several tables share. */
task_fn step_media, step_read_body, step_write_options, step_decode, step_read_old, step_mutate, step_default, step_prepare,
	step_validate, step_judge, step_encode, step_commit, step_keep_result;

/* From a request to an object. */
#define DECODE_STEPS                                                                                                               \
	{ "media", step_media, NULL }, { "read body", step_read_body, NULL }, { "options", step_write_options, NULL },             \
	{                                                                                                                          \
		"decode", step_decode, NULL                                                                                        \
	}

/* Between what shall be and its commit. */
#define ADMIT_STEPS                                                                                                                \
	{ "mutate", step_mutate, NULL }, { "default", step_default, NULL }, { "prepare", step_prepare, NULL },                     \
		{ "validate", step_validate, NULL },                                                                               \
	{                                                                                                                          \
		"judge", step_judge, NULL                                                                                          \
	}

/* --- what a kind does when it is written (prepare.c): rows by kind --- */

struct prepare {
	const char *group, *resource;
	/* Sets what the server decides about a new object (status, allocations); on the normal form. */
	struct error *(*create)(struct request *req);
	/* tree is the new state, old_tree the old one; both in normal form. */
	struct error *(*update)(struct request *req);
	/* Grace for a deletion in seconds; 0 at once. NULL: at once. asked: -1 when the client said nothing. */
	int64_t (*grace)(struct request *req, int64_t asked);
	bool looks;            /* create and update look into the store, or at what is served: they are the loop's */
	bool generation;       /* metadata.generation is kept */
	const char *finalizer; /* set by the first deletion */
	/* What a deletion that does not remove at once changes besides. NULL: nothing. */
	const struct json *(*marked)(struct request *req, const struct json *tree);
	struct error *(*removed)(struct request *req); /* what goes with the object */
	bool create_on_update;                         /* PUT of what is absent creates it */
	bool rv_required;                              /* PUT without resourceVersion is refused */
	bool orphans;                                  /* a deletion that says nothing leaves dependents as orphans */
	bool answers_object;                           /* a deletion is answered by what went, not by a Status */
	/* What else than the spec counts as a change: a new generation. */
	const char *generation_meta;
	/* Metadata that a write of the status leaves alone; NULL: none, "*": labels, annotations, finalizers, owners. */
	const char *status_keeps;
};

const struct prepare *prepare_of(const struct kind *kind);

/* --- admission (admit/): one table, in the order in which rows have their turn --- */

/* Mutating rows run in step_mutate, on req->tree before it is prepared; validating ones in step_judge, on what would be
 * committed (of a deletion: on req->old_tree). */
struct admission {
	const char *name;
	const char *group, *resource; /* NULL: any */
	unsigned verbs;               /* VERB() bits of CREATE, UPDATE, DELETE */
	bool subresources;            /* also writes through subresources */
	bool validates;
	struct error *(*decide)(struct request *req); /* at once… */
	/* …or after waiting: a step as of any task, with the request as arg. TASK_WAIT: the next row has its turn when all holds
	 * are gone; TASK_AGAIN: this one once more. */
	task_fn *run;
};

/* Rows behind the built-in ones; borrowed. */
void admission_add(struct apiserver *server, const struct admission *rows, size_t n);

/* --- shared by create, update, patch and apply --- */

/* Turns req->input into req->tree as a new object, up to admission. */
struct error *make_new(struct request *req) MUST_CHECK;
/* Turns a wanted tree into req->tree as the successor of req->old_tree: system fields, status split. Admission is next. */
struct error *make_next(struct request *req, const struct json *wanted) MUST_CHECK;
struct api_manager manager_of(struct request *req); /* who sets fields by this request */
/* A uid that is not that of the object; empty is fine. */
struct error *check_uid(struct request *req, struct str uid) MUST_CHECK;
/* The preconditions of req->input, DeleteOptions, against what is there. */
struct error *check_preconditions(struct request *req) MUST_CHECK;
struct error *check_name(struct request *req, const struct json *input) MUST_CHECK; /* that of the path */

/* Patches of what is no stored object: the raw result, then its normal form, judged. */
struct error *patch_apply(struct request *req, const struct type *type, const struct json *old, enum api_patch *how,
			  const struct json **patch, const struct json **out) MUST_CHECK;
struct error *patch_normalize(struct request *req, const struct type *type, enum api_patch how, const struct json *patch,
			      const struct json *raw, const struct json **out) MUST_CHECK;
/* The body of an apply, which must be of that type. */
struct error *config_read(struct request *req, const struct type *type, const struct json **out) MUST_CHECK;
bool is_apply(const struct request *req);
/* Whether what strict decoding found refuses the request; else it became warnings. */
bool notes_refused(struct request *req);
/* Sets req->body_media, or ERR_MEDIA_TYPE. kind: that of the object in the body; NULL: it is none, but options or a Scale. */
struct error *media_of_body(struct request *req, const struct kind *kind) MUST_CHECK;
bool is_status(const struct request *req);
/* req->tree as the store will keep it, in req->made. Pure. */
struct error *make_lasting(void *req) MUST_CHECK;
/* Commits req->tree (or its removal) and waits; results in req->object. */
enum task_result commit_tree(struct task *task, struct request *req) MUST_CHECK;
enum task_result commit_removal(struct task *task, struct request *req) MUST_CHECK;
void commit_also_put(struct request *req, const struct kind *kind, struct str ns, struct str name, const struct json *tree,
		     uint64_t expect);
void commit_also_delete(struct request *req, const struct kind *kind, struct str ns, struct str name);
/* An object whose last finalizer went is removed by the write that took it. */
bool is_finished(const struct json *tree);

/* Service addresses and ports (allocate.c), on req->tree; release: what a deletion gives back. */
struct error *allocate_service(struct request *req) MUST_CHECK;
struct error *release_service(struct request *req) MUST_CHECK;

/* A small tree of that kind as the store keeps it: normal form, defaults, system fields. */
struct error *make_object(struct request *req, const struct kind *kind, const struct json *raw, const struct json **out) MUST_CHECK;

#endif
