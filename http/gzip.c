#include <stdlib.h>
#include <zlib.h>

#include "http/private.h"

#define GZIP (15 + 16) /* windowBits: 32 KiB, with gzip's header */
#define STEP (64 * 1024)

struct gzip_stream {
	z_stream z;
};

struct gzip_stream *gzip_stream_new(void)
{
	struct gzip_stream *stream = xcalloc(1, sizeof(*stream));
	int status = deflateInit2(&stream->z, 1, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY);

	ASSERT(status == Z_OK);
	return stream;
}

void gzip_stream_free(struct gzip_stream *stream)
{
	if (stream == NULL)
		return;
	deflateEnd(&stream->z);
	free(stream);
}

static void pack(z_stream *z, struct buf *out, struct str data, int flush)
{
	int status;

	z->next_in = (Bytef *)(uintptr_t)data.ptr;
	z->avail_in = (uInt)data.len;
	do {
		buf_reserve(out, STEP);
		z->next_out = (Bytef *)out->ptr + out->len;
		z->avail_out = STEP;
		status = deflate(z, flush);
		ASSERT(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
		out->len += STEP - z->avail_out;
	} while (z->avail_out == 0);
	ASSERT(z->avail_in == 0);
}

void gzip_stream_add(struct gzip_stream *stream, struct buf *out, struct str data)
{
	pack(&stream->z, out, data, Z_NO_FLUSH);
}

void gzip_stream_end(struct gzip_stream *stream, struct buf *out)
{
	pack(&stream->z, out, STR(""), Z_FINISH);
}

void gzip_pack(struct buf *out, struct str data)
{
	struct gzip_stream *stream = gzip_stream_new();

	pack(&stream->z, out, data, Z_FINISH);
	gzip_stream_free(stream);
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
