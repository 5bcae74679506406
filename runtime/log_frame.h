/*
 * Container output as the CRI's log format has it: one record per line, "time stream P|F text"; lines longer than 16 KiB in
 * pieces tagged P, the last F; what comes without a newline at the end is a P. Pure; the time comes from the caller.
 *
 *	struct log_framer framer = { .stream = "stdout" };
 *	log_frame(&out, &framer, data, clock_now());
 *	log_frame_end(&out, &framer, clock_now());
 */
#ifndef RUNTIME_LOG_FRAME_H
#define RUNTIME_LOG_FRAME_H

#include "base/buf.h"

struct log_framer {
	const char *stream;
	struct buf rest; /* of an unfinished line; at most LIMIT_LOG_LINE bytes */
};

void log_frame(struct buf *out, struct log_framer *framer, struct str data, int64_t now);
void log_frame_end(struct buf *out, struct log_framer *framer, int64_t now);

#endif
