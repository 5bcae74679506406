#include "kubelet/logs.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (64 * 1024)

/* Where the last n lines begin: whole lines, which may be several records. */
static int64_t tail_start(int fd, int64_t n)
{
	AUTO_FREE char *block = xmalloc(BLOCK + 64);
	struct stat st;
	int64_t end, lines = 0;

	if (fd < 0 || fstat(fd, &st) != 0)
		return 0;
	end = st.st_size;
	if (n == 0)
		return end;
	/* backwards: a record that ends a line has " F " behind its stream */
	for (int64_t at = end; at > 0;) {
		int64_t from = at > BLOCK ? at - BLOCK : 0;
		ssize_t got = pread(fd, block, (size_t)(at - from), from);

		if (got != at - from)
			return 0;
		for (int64_t i = at - 1; i >= from; i--) {
			char head[64];
			ssize_t len;

			if (block[i - from] != '\n' && i != 0)
				continue;
			if (i + 1 >= end)
				continue;
			/* a record begins behind this newline, or at the very start */
			len = pread(fd, head, sizeof(head) - 1, i == 0 && block[0] != '\n' && from == 0 ? 0 : i + 1);
			if (len <= 0)
				continue;
			head[len] = '\0';
			if (strstr(head, "stdout F") == NULL && strstr(head, "stderr F") == NULL)
				continue;
			if (++lines > n) { /* this one is the line before: what follows it is ours */
				char *next;
				AUTO_FREE char *record = xmalloc(BLOCK);
				int64_t start = i == 0 && from == 0 && block[0] != '\n' ? 0 : i + 1;

				len = pread(fd, record, BLOCK, start);
				next = len > 0 ? memchr(record, '\n', (size_t)len) : NULL;
				return next != NULL ? start + (next - record) + 1 : start;
			}
		}
		at = from;
	}
	return 0;
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
