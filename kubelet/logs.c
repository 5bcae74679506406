#include "kubelet/logs.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (64 * 1024)

/* Whether the record there is the end of a line: "TIME STREAM F …". */
static bool ends_line(int fd, int64_t at)
{
	char head[64];
	ssize_t n = pread(fd, head, sizeof(head), at);
	struct str rest = str_of(head, n > 0 ? (size_t)n : 0), word;

	return str_cut(&rest, ' ', &word) && str_cut(&rest, ' ', &word) && str_has_prefix(rest, STR("F "));
}

/* Where the last n lines begin, which may be several records each: behind the end of the line before them. */
static int64_t tail_start(int fd, int64_t n)
{
	AUTO_FREE char *block = xmalloc(BLOCK);
	struct stat st;
	int64_t lines = 0, next; /* where the record behind the one looked at begins */

	if (fd < 0 || fstat(fd, &st) != 0)
		return 0;
	next = st.st_size;
	for (int64_t to = st.st_size; to > 0;) {
		int64_t from = to > BLOCK ? to - BLOCK : 0;

		if (pread(fd, block, (size_t)(to - from), from) != to - from)
			return 0;
		for (int64_t at = to; at > from; at--) {
			/* a record begins behind a newline, and at the start */
			if (block[at - 1 - from] != '\n' || at == st.st_size)
				continue;
			if (ends_line(fd, at) && ++lines > n)
				return next;
			next = at;
		}
		to = from;
	}
	return ends_line(fd, 0) && lines >= n ? next : 0;
}

void log_cursor_init(struct log_cursor *cursor, int fd, const struct log_options *options)
{
	*cursor = (struct log_cursor){ .options = *options, .left = options->limit };
	if (options->tail >= 0)
		cursor->at = tail_start(fd, options->tail);
}

void log_cursor_fini(struct log_cursor *cursor)
{
	buf_fini(&cursor->rest);
}

/* False: the limit is reached. */
static bool put(struct log_cursor *cursor, struct buf *out, struct str text)
{
	if (cursor->left >= 0 && (int64_t)text.len > cursor->left)
		text = str_head(text, (size_t)cursor->left);
	buf_add(out, text);
	if (cursor->left >= 0)
		cursor->left -= (int64_t)text.len;
	return cursor->left != 0;
}

static bool tell(struct log_cursor *cursor, struct buf *out, struct str record)
{
	struct str rest = record, time, stream, tag;
	int64_t at = 0;
	bool more = true;

	if (!str_cut(&rest, ' ', &time) || !str_cut(&rest, ' ', &stream) || !str_cut(&rest, ' ', &tag))
		return true; /* damaged: as upstream, left out */
	if (cursor->options.since != 0 && time_parse(time, &at) && at < cursor->options.since)
		return true;
	if (cursor->options.timestamps && !cursor->within)
		more = put(cursor, out, time) && put(cursor, out, STR(" "));
	more = more && put(cursor, out, rest);
	cursor->within = str_is(tag, "P");
	if (!cursor->within)
		more = more && put(cursor, out, STR("\n"));
	return more;
}

enum log_result log_cursor_next(struct log_cursor *cursor, int fd, struct buf *out)
{
	AUTO_FREE char *block = xmalloc(BLOCK);
	ssize_t n = fd >= 0 ? pread(fd, block, BLOCK, cursor->at) : 0;
	struct str data;
	ptrdiff_t end;
	bool more = true;

	if (cursor->left == 0)
		return LOG_LIMIT;
	if (n <= 0)
		return LOG_END;
	cursor->at += n;
	buf_append(&cursor->rest, block, (size_t)n);
	data = buf_str(&cursor->rest);
	while (more && (end = str_find(data, '\n')) >= 0) {
		more = tell(cursor, out, str_head(data, (size_t)end));
		data = str_skip(data, (size_t)end + 1);
	}
	buf_consume(&cursor->rest, cursor->rest.len - data.len);
	return more ? LOG_MORE : LOG_LIMIT;
}
