/*
 * For the operator: one line per happening, key=value, on stderr or a file. Not for the person at the terminal
 * (cmd has ui_*) and not for the developer (trace.h).
 *
 *	log_info("pod started", "pod=%s node=%s", pod, node);
 *
 * Levels: error = someone must act; warn = we coped; info = a person would tell this story; debug = state changes.
 * log_action() names what is being done; every line below it carries the name.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_open(int fd, enum log_level least); /* without it: stderr, LOG_INFO */
void log_line(enum log_level level, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define log_debug(what, ...) log_line(LOG_DEBUG, what, __VA_ARGS__)
#define log_info(what, ...)  log_line(LOG_INFO, what, __VA_ARGS__)
#define log_warn(what, ...)  log_line(LOG_WARN, what, __VA_ARGS__)
#define log_error(what, ...) log_line(LOG_ERROR, what, __VA_ARGS__)

/* Logs an error where it is finally consumed, and frees it. NULL is fine and logs nothing. */
void log_consume(enum log_level level, struct error *err, const char *what);

/* Returns the previous action, to be set again at the end. Borrowed; may be NULL. */
const char *log_action(const char *action);

#endif
