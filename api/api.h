/*
 * What an object is: decode, prune, default, validate, patch, print; by table, for every kind.
 *
 * An object's tree is a const struct json * in the form Go would write it: fields in the order of the schema, only those
 * present that Go would write, quantities canonical, times in UTC, unknown fields gone. api_decode() makes that form,
 * and every function that returns a tree keeps it. kind and apiVersion are the first two members of a whole object.
 *
 * What it is not: it stores nothing, knows no other object, no clock (now is passed in) and no user. Pure; any thread
 * that owns the arena. Text that users see is upstream's.
 *
 *	struct api_notes notes = { 0 };
 *	err = api_decode(arena, &(struct api_body){ .kind = kind, .media = API_JSON, .text = body }, &notes, &tree);
 *	tree = api_default(arena, kind, tree);
 *	err = api_validate(arena, kind, tree);            // ERR_INVALID with causes
 *	json_write(&out, tree);
 */
#ifndef API_API_H
#define API_API_H

#include "api/schema.h"
#include "base/error.h"
#include "json/json.h"

/* ---- decoding -------------------------------------------------------------------------------------------------- */

enum api_media { API_JSON, API_YAML, API_PROTOBUF };

/* What strict decoding complains of, in order: `unknown field "spec.x"`, `duplicate field "spec.y"`. */
struct api_notes {
	struct str *text; /* on the arena of the decode */
	size_t len;
	size_t cap;
	size_t bytes;
};

/* One more; text is borrowed. */
void api_note(struct arena *arena, struct api_notes *notes, struct str text);

struct api_body {
	const struct kind *kind; /* what the path asks for; its group and version stand for absent ones */
	const struct type *type; /* instead of kind: for options, bindings, scales, … */
	enum api_media media;
	struct str text;
	bool bare; /* errors are told as they are, without what was to be read */
};

/* A request body to a tree. Errors are ERR_BAD_REQUEST in upstream's words (wrong kind, wrong type, no JSON, …). notes may
 * be NULL; what becomes of them is up to fieldValidation: see api_strict_error(). */
struct error *api_decode(struct arena *arena, const struct api_body *body, struct api_notes *notes,
			 const struct json **out) MUST_CHECK;
/* ERR_BAD_REQUEST `… strict decoding error: unknown field "a", unknown field "b"`. */
struct error *api_strict_error(const struct api_body *body, const struct api_notes *notes) MUST_CHECK;

/* Whether a tree says that it is of that type (or nothing); in upstream's words. */
struct error *api_check_type(struct arena *arena, const struct type *type, const struct json *raw) MUST_CHECK;
/* Any JSON value of that type to the normal form; errors in the words of Go's json package. notes may be NULL. */
struct error *api_normalize(struct arena *arena, const struct type *type, const struct json *value, struct api_notes *notes,
			    const struct json **out) MUST_CHECK;

/* Protobuf cannot tell an empty list from none: what upstream has stored has null where a list is always written. */
const struct json *api_as_kept(struct arena *arena, const struct type *type, const struct json *tree);

/* kind and apiVersion put in front (or changed), or taken away as in the items of a typed list. */
const struct json *api_with_kind(struct arena *arena, const struct json *tree, const struct kind *kind);
const struct json *api_with_type(struct arena *arena, const struct json *tree, struct str api_version, struct str kind);
const struct json *api_without_kind(struct arena *arena, const struct json *tree);

/* Path copying that keeps the normal form: a new field comes to its place in the schema. path as in json_path(); value
 * NULL removes. The value must be in normal form itself. */
const struct json *api_with(struct arena *arena, const struct type *type, const struct json *tree, const char *path,
			    const struct json *value);

/* ---- protobuf -------------------------------------------------------------------------------------------------- */

/* With magic prefix and Unknown envelope, as in a body. */
void api_write_proto(struct buf *out, const struct type *type, const struct json *tree);
/* The bare message, as in a list's items. tree without kind and apiVersion is fine. */
void api_write_proto_message(struct buf *out, const struct type *type, const struct json *tree);
/* An envelope's content: raw is the message. */
struct api_envelope {
	struct str api_version, kind, raw, content_type;
};
struct error *api_read_envelope(struct str text, struct api_envelope *out) MUST_CHECK;
struct error *api_read_proto(struct arena *arena, const struct type *type, struct str message, const struct json **out) MUST_CHECK;
void api_write_envelope(struct buf *out, struct str api_version, struct str kind, struct str raw);

/* ---- defaults -------------------------------------------------------------------------------------------------- */

const struct json *api_default(struct arena *arena, const struct kind *kind, const struct json *tree);
const struct json *api_default_type(struct arena *arena, const struct type *type, const struct json *tree);

/* ---- validation ------------------------------------------------------------------------------------------------ */

/* Everything that is wrong with an object as it is; ERR_INVALID with causes, text `Pod "x" is invalid: …`. */
struct error *api_validate(struct arena *arena, const struct kind *kind, const struct json *tree) MUST_CHECK;
/* … and with the change from old to tree (which is not looked at alone again unless the kind asks for it). */
struct error *api_validate_update(struct arena *arena, const struct kind *kind, const struct json *tree,
				  const struct json *old) MUST_CHECK;
/* … when the change came through /status. */
struct error *api_validate_status_update(struct arena *arena, const struct kind *kind, const struct json *tree,
					 const struct json *old) MUST_CHECK;
/* The right one of them, by the subresource that was written; empty: none. */
struct error *api_validate_subresource(struct arena *arena, const struct kind *kind, struct str subresource,
				       const struct json *tree, const struct json *old) MUST_CHECK;
/* A growing ERR_INVALID; the API server adds its own findings with it. */
struct api_findings {
	struct arena *arena;
	struct api_finding {
		const char *reason; /* "FieldValueRequired", … */
		const char *field;
		const char *message; /* "Required value: …" */
	} * items;
	size_t len, cap;
	size_t found; /* with those that are not kept: see LIMIT_CAUSES */
	size_t bytes; /* of all messages */
};
void finding_required(struct api_findings *f, const char *field, const char *detail); /* detail may be "" */
void finding_invalid(struct api_findings *f, const char *field, const struct json *value, const char *detail);
void finding_invalid_text(struct api_findings *f, const char *field, struct str value, const char *detail);
void finding_unsupported(struct api_findings *f, const char *field, struct str value, const char *const *supported,
			 size_t n); /* in this order */
/* A value that is not told. */
void finding_wrong(struct api_findings *f, const char *field, const char *detail);
/* Takes back what was found in fields that begin so. */
void findings_drop(struct api_findings *f, const char *prefix);
/* A value that is no text. */
void finding_unsupported_value(struct api_findings *f, const char *field, const struct json *value, const char *const *supported,
			       size_t n);
void finding_forbidden(struct api_findings *f, const char *field, const char *detail);
void finding_duplicate(struct api_findings *f, const char *field, const struct json *value);
void finding_not_found(struct api_findings *f, const char *field, const struct json *value);
void finding_too_long(struct api_findings *f, const char *field, int64_t max);
void finding_too_many(struct api_findings *f, const char *field, size_t is, size_t max);
/* … of a pod that is being made: what only later requests may set. Part of api_validate(). */
void api_find_invalid_pod_create(struct api_findings *f, const struct json *tree);
/* Without what stands behind a feature gate that is closed. */
const struct json *api_without_closed(struct arena *arena, const struct type *type, const struct json *tree);
/* Of a Service: addresses and families fit each other. What allocation looks at before everything else. */
struct error *api_validate_addresses(struct arena *arena, const struct kind *kind, const struct json *tree) MUST_CHECK;
/* The same findings without the error around them, for callers that add their own. */
void api_find_invalid(struct api_findings *f, const struct kind *kind, const struct json *tree);
void api_find_invalid_update(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old);
/* NULL when there are none. kind_text: "Deployment.apps"; name may be empty. */
struct error *api_invalid(const struct api_findings *f, struct str kind_text, struct str name) MUST_CHECK;
/* What is valid and yet not wise, a sentence at a time. old: NULL when it is new. */
void api_warnings(struct arena *arena, const struct kind *kind, const struct json *tree, const struct json *old,
		  void (*tell)(void *arg, struct str text), void *arg);
/* Of a Pod, by its containers: "Guaranteed", "Burstable" or "BestEffort". */
const char *api_qos_class(const struct json *tree);
/* Go's %q of text. */
const char *api_quoted(struct arena *arena, struct str text);
/* "Deployment.apps" or "Pod": as in messages. */
struct str kind_text(struct arena *arena, const struct kind *kind);
/* "deployments.apps" or "pods". */
struct str resource_text(struct arena *arena, const struct kind *kind);

/* ---- patches --------------------------------------------------------------------------------------------------- */

/* Strategic merge: raw trees in, raw tree out (normalise afterwards). Errors as upstream: unknown $patch and a missing
 * merge key ERR_PLAIN, a bad $retainKeys ERR_BAD_REQUEST. */
struct error *api_strategic_merge(struct arena *arena, const struct type *type, const struct json *tree, const struct json *patch,
				  const struct json **out) MUST_CHECK;

/* How long ago a time was, as the cells of tables tell it. */
struct str api_age(struct arena *arena, const struct json *time, int64_t now, const char *absent);
/* A value as Go prints it with %v, for messages: map[spec:map[replicas:x]]. */
/* Whether Go calls a type of texts so: "v1.Protocol". */
bool api_go_names_text(struct str name);
struct str api_go_text(struct arena *arena, const struct json *value);

/* ---- tables ---------------------------------------------------------------------------------------------------- */

/* The cells of one row, in the order of the kind's columns, as JSON values. now: ns since 1970. */
const struct json *api_cells(struct arena *arena, const struct kind *kind, const struct json *tree, int64_t now);
/* columnDefinitions of a Table. */
const struct json *api_columns(struct arena *arena, const struct kind *kind);

/* ---- documents ------------------------------------------------------------------------------------------------- */

/* What is served; hidden kinds are none of it. All are whole JSON texts without a newline at the end. */
void api_write_api_versions(struct buf *out, struct str server_address);             /* /api */
void api_write_group_list(struct buf *out);                                          /* /apis */
bool api_write_group(struct buf *out, struct str group);                             /* /apis/G; false: no such group */
bool api_write_resource_list(struct buf *out, struct str group, struct str version); /* /api/v1, /apis/G/V */
void api_write_aggregated(struct buf *out, bool core);                               /* apidiscovery.k8s.io/v2 of /api or /apis */
void api_write_openapi_v2(struct buf *out);                                          /* JSON */
void api_write_openapi_v2_proto(struct buf *out); /* com.github.proto-openapi.spec.v2.v1.0+protobuf */
void api_write_openapi_v3_index(struct buf *out);
bool api_write_openapi_v3(struct buf *out, struct str group, struct str version);
/* Changes whenever that document does; the index names it (in 16 hexadecimal digits). Of compiled kinds it only tells one
 * build's documents from another's. */
uint64_t api_openapi_v3_hash(struct str group, struct str version);

#endif
