#include "base/log.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

static int log_fd = STDERR_FILENO;
static enum log_level log_least = LOG_INFO;
static _Thread_local const char *current_action;

void log_open(int fd, enum log_level least)
{
	log_fd = fd;
	log_least = least;
}

const char *log_action(const char *action)
{
	const char *previous = current_action;

	current_action = action;
	return previous;
}

/* One write per line, so that lines of several processes in one file do not mix. */
void log_line(enum log_level level, const char *what, const char *format, ...)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	AUTO_BUF struct buf line = { 0 };
	char time[TIME_TEXT];
	va_list args;

	if (level < log_least)
		return;
	buf_add(&line, time_format_micro(time, clock_now()));
	buf_printf(&line, " %s %s", names[level], what);
	if (format[0] != '\0') {
		buf_putc(&line, ' ');
		va_start(args, format);
		buf_vprintf(&line, format, args);
		va_end(args);
	}
	if (current_action != NULL)
		buf_printf(&line, " action=\"%s\"", current_action);
	buf_putc(&line, '\n');
	if (write(log_fd, line.ptr, line.len) < 0)
		return;
}

void log_consume(enum log_level level, struct error *err, const char *what)
{
	if (err == NULL)
		return;
	log_line(level, what, "error=\"%s\" kind=%s at=%s:%d", err->text, error_kind_name(err->kind), err->file, err->line);
	error_free(err);
}
