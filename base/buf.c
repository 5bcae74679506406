#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

void buf_fini(struct buf *buf)
{
	free(buf->ptr);
	*buf = (struct buf){ 0 };
}

void buf_reserve(struct buf *buf, size_t more)
{
	size_t cap = buf->cap != 0 ? buf->cap : 64;

	if (buf->cap - buf->len >= more)
		return;
	while (cap - buf->len < more)
		cap *= 2;
	buf->ptr = xrealloc(buf->ptr, cap);
	buf->cap = cap;
}

void buf_append(struct buf *buf, const void *ptr, size_t len)
{
	if (len == 0)
		return;
	buf_reserve(buf, len);
	memcpy(buf->ptr + buf->len, ptr, len);
	buf->len += len;
}

void buf_add(struct buf *buf, struct str s)
{
	buf_append(buf, s.ptr, s.len);
}

void buf_putc(struct buf *buf, char c)
{
	buf_reserve(buf, 1);
	buf->ptr[buf->len++] = c;
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	int n;

	va_copy(again, args);
	buf_reserve(buf, 128);
	n = vsnprintf(buf->ptr + buf->len, buf->cap - buf->len, format, args);
	if (n > 0 && (size_t)n >= buf->cap - buf->len) {
		buf_reserve(buf, (size_t)n + 1);
		vsnprintf(buf->ptr + buf->len, buf->cap - buf->len, format, again);
	}
	va_end(again);
	if (n > 0)
		buf->len += (size_t)n;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}

void buf_consume(struct buf *buf, size_t n)
{
	if (n >= buf->len) {
		buf->len = 0;
		return;
	}
	memmove(buf->ptr, buf->ptr + n, buf->len - n);
	buf->len -= n;
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
}

struct str buf_str(const struct buf *buf)
{
	return (struct str){ buf->ptr, buf->len };
}

const char *buf_cstr(struct buf *buf)
{
	buf_reserve(buf, 1);
	buf->ptr[buf->len] = '\0';
	return buf->ptr;
}

struct bytes *bytes_alloc(size_t len)
{
	struct bytes *bytes = xmalloc(sizeof(*bytes) + len + 1);

	bytes->refs = 1;
	bytes->len = len;
	bytes->ptr[len] = '\0';
	return bytes;
}

struct bytes *bytes_new(struct str content)
{
	struct bytes *bytes = bytes_alloc(content.len);

	if (content.len != 0)
		memcpy(bytes->ptr, content.ptr, content.len);
	return bytes;
}

struct bytes *bytes_ref(struct bytes *bytes)
{
	bytes->refs++;
	return bytes;
}

void bytes_unref(struct bytes *bytes)
{
	if (bytes != NULL && --bytes->refs == 0)
		free(bytes);
}

struct str bytes_str(const struct bytes *bytes)
{
	return (struct str){ bytes->ptr, bytes->len };
}
