/*
 * A growing byte buffer on the heap, and refcounted immutable bytes.
 *
 * struct buf is embedded or on the stack, has one owner, and is zero-initialised ({0} is an empty buffer). struct bytes
 * is shared and never changes; counts are plain integers of the loop thread.
 *
 *	AUTO_BUF struct buf out = { 0 };
 *	buf_add(&out, STR("HTTP/1.1 "));
 *	buf_printf(&out, "%d\r\n", status);
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
	char *ptr;
	size_t len;
	size_t cap;
};

void buf_fini(struct buf *buf); /* afterwards it is empty and may be used again */
#define AUTO_BUF __attribute__((cleanup(buf_fini)))

void buf_reserve(struct buf *buf, size_t more); /* room for that many bytes more */
void buf_append(struct buf *buf, const void *ptr, size_t len);
void buf_add(struct buf *buf, struct str s);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args);
void buf_consume(struct buf *buf, size_t n); /* drops the first n bytes */
void buf_clear(struct buf *buf);             /* keeps the memory */
struct str buf_str(const struct buf *buf);   /* borrowed until the buffer changes */
const char *buf_cstr(struct buf *buf);       /* the same, NUL-terminated */

struct bytes {
	unsigned refs;
	size_t len;
	char ptr[]; /* and a NUL behind it */
};

struct bytes *bytes_new(struct str content); /* one reference, the caller's */
struct bytes *bytes_alloc(size_t len);       /* to be filled before it is shared */
struct bytes *bytes_ref(struct bytes *bytes);
void bytes_unref(struct bytes *bytes); /* NULL is fine */
struct str bytes_str(const struct bytes *bytes);

#endif
