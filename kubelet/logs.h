/* Log files in CRI format: "TIME STREAM TAG text\n", TAG P for a piece that goes on, F for the end of a line. Reading
 * only, from a descriptor, as far as there is something. */
#ifndef KUBELET_LOGS_H
#define KUBELET_LOGS_H

#include "base/base.h"

struct log_options {
	int64_t tail;  /* lines; -1: all */
	int64_t limit; /* bytes; -1: all */
	int64_t since; /* ns since 1970; 0: all */
	bool timestamps;
};

struct log_cursor {
	struct log_options options;
	int64_t at;      /* in the file */
	int64_t left;    /* bytes that may be told; -1: all */
	bool within;     /* a line whose end has not come */
	struct buf rest; /* the beginning of a record */
};

enum log_result { LOG_MORE, LOG_END, LOG_LIMIT };

void log_cursor_init(struct log_cursor *cursor, int fd, const struct log_options *options);
void log_cursor_fini(struct log_cursor *cursor);
/* Adds what comes next to out. LOG_END: nothing more for now. */
enum log_result log_cursor_next(struct log_cursor *cursor, int fd, struct buf *out);

#endif
