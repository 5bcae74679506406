#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

static const struct {
	const char *name;
	const char *reason;
	const char *advice;
	int http;
	int exit;
} kinds[] = {
#define ERROR_KIND(id, http, reason, exit, advice) [ERR_##id] = { #id, reason, advice, http, exit },
#include "base/errkinds.def"
#undef ERROR_KIND
};

static enum error_kind kind_of_errno(int code)
{
	switch (code) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
		return ERR_PERMISSION;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EROFS:
		return ERR_READ_ONLY;
	case EBUSY:
	case ETXTBSY:
		return ERR_BUSY;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case ECANCELED:
		return ERR_CANCELED;
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return ERR_UNAVAILABLE;
	case EADDRINUSE:
	case EADDRNOTAVAIL:
		return ERR_NETWORK;
	case ENOSYS:
	case EOPNOTSUPP:
		return ERR_UNSUPPORTED;
	default:
		return ERR_IO;
	}
}

static char *format_text(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		text = xstrdup(format);
	return text;
}

struct error *error_make(const char *file, int line, enum error_kind kind, int code, const char *format, ...)
{
	struct error *err = xcalloc(1, sizeof(*err));
	va_list args;

	err->kind = kind;
	err->code = code;
	err->file = file;
	err->line = line;
	va_start(args, format);
	err->text = format_text(format, args);
	va_end(args);
	return err;
}

struct error *error_from_errno(const char *file, int line, int code, const char *format, ...)
{
	char *text;
	va_list args;
	struct error *err;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	err = error_make(file, line, kind_of_errno(code), code, "%s: %s", text, strerror(code));
	free(text);
	return err;
}

struct error *error_context(struct error *err, const char *format, ...)
{
	char *text, *old = err->text;
	va_list args;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	err->text = xasprintf("%s: %s", text, old);
	free(text);
	free(old);
	return err;
}

struct error *error_advise(struct error *err, const char *format, ...)
{
	va_list args;

	free(err->advice);
	va_start(args, format);
	err->advice = format_text(format, args);
	va_end(args);
	return err;
}

void error_add_cause(struct error *err, const char *reason, const char *field, const char *message)
{
	err->causes = xrealloc(err->causes, (err->n_causes + 1) * sizeof(*err->causes));
	err->causes[err->n_causes++] = (struct error_cause){
		.reason = xstrdup(reason),
		.message = xstrdup(message),
		.field = xstrdup(field),
	};
}

struct error *error_about(struct error *err, struct str group, struct str kind, struct str name)
{
	struct str parts[] = { group, kind, name };

	for (int i = 0; i < 3; i++) {
		free(err->about[i]);
		err->about[i] = xmemdup(parts[i].ptr, parts[i].len);
	}
	return err;
}

void error_free(struct error *err)
{
	if (err == NULL)
		return;
	for (int i = 0; i < 3; i++)
		free(err->about[i]);
	for (size_t i = 0; i < err->n_causes; i++) {
		free(err->causes[i].reason);
		free(err->causes[i].message);
		free(err->causes[i].field);
	}
	free(err->causes);
	free(err->advice);
	free(err->text);
	free(err);
}

void error_freep(struct error **err)
{
	error_free(*err);
	*err = NULL;
}

int error_http_status(enum error_kind kind)
{
	return kinds[kind].http;
}

const char *error_reason(enum error_kind kind)
{
	return kinds[kind].reason;
}

int error_exit_code(enum error_kind kind)
{
	return kinds[kind].exit;
}

const char *error_advice(const struct error *err)
{
	return err->advice != NULL ? err->advice : kinds[err->kind].advice;
}

const char *error_kind_name(enum error_kind kind)
{
	return kinds[kind].name;
}
