/*
 * The one error space of the process. An error is the return value; NULL is success.
 *
 * A struct error is on the heap, has one owner, and is moved: return it, wrap it with error_context(), turn it into a
 * response, or error_free() it. It is never shared and never stored twice. Foreign codes (errno, SQLite, libuv, TLS)
 * become a struct error in the folder that owns the library. Kinds are rows in errkinds.def.
 *
 *	struct error *config_read(const char *path, struct config *out) MUST_CHECK;
 *
 *	struct error *err = config_read(path, &config);
 *	if (err != NULL)
 *		return error_context(err, "read settings of profile %s", name);
 *
 * Absence is not an error (find returns NULL); a broken invariant is not one either (ASSERT).
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

#include "base/str.h"

#define MUST_CHECK __attribute__((warn_unused_result))

enum error_kind {
#define ERROR_KIND(id, http, reason, exit, advice) ERR_##id,
#include "base/errkinds.def"
#undef ERROR_KIND
	ERR_KINDS
};

/* One field that is wrong, as in Status.details.causes. */
struct error_cause {
	char *reason; /* "FieldValueRequired", … */
	char *message;
	char *field; /* "spec.containers[0].name" */
};

struct error {
	enum error_kind kind;
	int code;                   /* errno or a library's code, 0 when there is none */
	char *text;                 /* context chain included: "open layer: read /x: No such file or directory" */
	char *advice;               /* what to do; NULL means the kind's default */
	struct error_cause *causes; /* for ERR_INVALID and ERR_CONFLICT */
	size_t n_causes;
	int retry_after;  /* seconds, 0 when not said */
	char *about[3];   /* group, kind or resource, name: Status.details; NULL: the request's own */
	const char *file; /* origin */
	int line;
};

/* error_new(ERR_NOT_FOUND, "pod %s", name) */
#define error_new(kind, ...) error_make(__FILE__, __LINE__, (kind), 0, __VA_ARGS__)
/* Adds strerror(code): error_errno(errno, "open %s", path). The kind follows from the code (ENOENT: NOT_FOUND, …). */
#define error_errno(code, ...) error_from_errno(__FILE__, __LINE__, (code), __VA_ARGS__)

struct error *error_make(const char *file, int line, enum error_kind kind, int code, const char *format, ...)
	__attribute__((format(printf, 5, 6), returns_nonnull)) MUST_CHECK;
struct error *error_from_errno(const char *file, int line, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5), returns_nonnull)) MUST_CHECK;

/* Puts "text: " in front; returns err, so that it can stand in a return. */
struct error *error_context(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull)) MUST_CHECK;
/* Sets the line that tells the person what to do. */
struct error *error_advise(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull)) MUST_CHECK;
void error_add_cause(struct error *err, const char *reason, const char *field, const char *message);

/* Says what Status.details shall name when it is not what the request was about. */
struct error *error_about(struct error *err, struct str group, struct str kind, struct str name)
	__attribute__((returns_nonnull)) MUST_CHECK;

void error_free(struct error *err); /* NULL is fine */
void error_freep(struct error **err);
#define AUTO_ERROR __attribute__((cleanup(error_freep))) struct error *

int error_http_status(enum error_kind kind);
const char *error_reason(enum error_kind kind); /* Status.reason */
int error_exit_code(enum error_kind kind);      /* of a command, minikube's decades */
const char *error_advice(const struct error *err);
const char *error_kind_name(enum error_kind kind);

#endif
