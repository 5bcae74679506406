#include "runtime/log_frame.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"

static void record(struct buf *out, const struct log_framer *framer, char tag, struct str a, struct str b, int64_t now)
{
	char time[TIME_TEXT];

	buf_add(out, time_format_nano(time, now));
	buf_putc(out, ' ');
	buf_add(out, str_from(framer->stream));
	buf_putc(out, ' ');
	buf_putc(out, tag);
	buf_putc(out, ' ');
	buf_add(out, a);
	buf_add(out, b);
	buf_putc(out, '\n');
}

void log_frame(struct buf *out, struct log_framer *framer, struct str data, int64_t now)
{
	while (data.len != 0) {
		size_t room = LIMIT_LOG_LINE - framer->rest.len;
		/* a line of exactly the limit is whole: its newline may come one byte later */
		const char *newline = memchr(data.ptr, '\n', data.len < room + 1 ? data.len : room + 1);

		if (newline != NULL) {
			size_t n = (size_t)(newline - data.ptr);

			record(out, framer, 'F', buf_str(&framer->rest), str_head(data, n), now);
			buf_clear(&framer->rest);
			data = str_skip(data, n + 1);
		} else if (data.len > room) {
			record(out, framer, 'P', buf_str(&framer->rest), str_head(data, room), now);
			buf_clear(&framer->rest);
			data = str_skip(data, room);
		} else {
			buf_add(&framer->rest, data);
			return;
		}
	}
}

void log_frame_end(struct buf *out, struct log_framer *framer, int64_t now)
{
	if (framer->rest.len != 0)
		record(out, framer, 'P', buf_str(&framer->rest), STR(""), now);
	buf_fini(&framer->rest);
}
