#include <zlib.h>

#include "http/http.h"

#define GZIP (15 + 16) /* windowBits: 32 KiB, with gzip's header */
#define STEP (64 * 1024)

void gzip_pack(struct buf *out, struct str data)
{
	z_stream z = { 0 };
	int status = deflateInit2(&z, 1, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY);

	ASSERT(status == Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data.ptr;
	z.avail_in = (uInt)data.len;
	buf_reserve(out, deflateBound(&z, data.len));
	z.next_out = (Bytef *)out->ptr + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	status = deflate(&z, Z_FINISH);
	ASSERT(status == Z_STREAM_END); /* deflateBound() is enough */
	out->len += z.total_out;
	deflateEnd(&z);
}

struct error *gzip_unpack(struct buf *out, struct str data, size_t limit)
{
	z_stream z = { 0 };
	size_t before = out->len;
	struct error *err = NULL;
	int status = inflateInit2(&z, GZIP);

	ASSERT(status == Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data.ptr;
	z.avail_in = (uInt)data.len;
	do {
		buf_reserve(out, STEP);
		z.next_out = (Bytef *)out->ptr + out->len;
		z.avail_out = STEP;
		status = inflate(&z, Z_NO_FLUSH);
		out->len += STEP - z.avail_out;
		if (out->len - before > limit)
			err = error_new(ERR_TOO_LARGE, "gzip: more than %zu bytes when unpacked", limit);
		else if (status != Z_OK && status != Z_STREAM_END)
			err = error_new(ERR_BAD_REQUEST, "gzip: %s", z.msg != NULL ? z.msg : "invalid header");
	} while (err == NULL && status != Z_STREAM_END && (z.avail_in > 0 || z.avail_out == 0));
	if (err == NULL && (status != Z_STREAM_END || z.avail_in > 0))
		err = error_new(ERR_BAD_REQUEST, "gzip: unexpected end or trailing bytes");
	inflateEnd(&z);
	return err;
}
