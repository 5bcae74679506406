/* Header blocks of SPDY/3.1: name and value pairs, each behind its length, deflated in one go for all blocks of a connection
 * and each direction, with a dictionary (draft-mbelshe-httpbis-spdy-00, 2.6.10). */
#include <ctype.h>
#include <stdlib.h>
#include <zlib.h>

#include "http/private.h"

/* The dictionary is these words, each behind its length in four bytes, and then the text. */
static const char *const words[] = {
	"options",
	"head",
	"post",
	"put",
	"delete",
	"trace",
	"accept",
	"accept-charset",
	"accept-encoding",
	"accept-language",
	"accept-ranges",
	"age",
	"allow",
	"authorization",
	"cache-control",
	"connection",
	"content-base",
	"content-encoding",
	"content-language",
	"content-length",
	"content-location",
	"content-md5",
	"content-range",
	"content-type",
	"date",
	"etag",
	"expect",
	"expires",
	"from",
	"host",
	"if-match",
	"if-modified-since",
	"if-none-match",
	"if-range",
	"if-unmodified-since",
	"last-modified",
	"location",
	"max-forwards",
	"pragma",
	"proxy-authenticate",
	"proxy-authorization",
	"range",
	"referer",
	"retry-after",
	"server",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	"user-agent",
	"vary",
	"via",
	"warning",
	"www-authenticate",
	"method",
	"get",
	"status",
	"200 OK",
	"version",
	"HTTP/1.1",
	"url",
	"public",
	"set-cookie",
	"keep-alive",
	"origin",
};
static const char text[] =
	"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
	"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
	"404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
	"Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
	"chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
	"publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/* What is sent is small: an empty block for each stream. */
#define SEND_WINDOW 11
#define SEND_MEMORY 1
#define STEP        4096

struct spdy_headers {
	z_stream in, out;
	struct buf dictionary;
};

void spdy_put32(struct buf *out, uint32_t n)
{
	const unsigned char bytes[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
					 (unsigned char)n };

	buf_append(out, bytes, sizeof(bytes));
}

uint32_t spdy_get32(const char *at)
{
	const unsigned char *b = (const unsigned char *)at;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

struct spdy_headers *spdy_headers_new(void)
{
	struct spdy_headers *h = xcalloc(1, sizeof(*h));

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		spdy_put32(&h->dictionary, (uint32_t)strlen(words[i]));
		buf_add(&h->dictionary, str_from(words[i]));
	}
	buf_add(&h->dictionary, str_from(text));
	ASSERT(inflateInit(&h->in) == Z_OK);
	ASSERT(deflateInit2(&h->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, SEND_WINDOW, SEND_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK);
	ASSERT(deflateSetDictionary(&h->out, (Bytef *)h->dictionary.ptr, (uInt)h->dictionary.len) == Z_OK);
	return h;
}

void spdy_headers_free(struct spdy_headers *h)
{
	inflateEnd(&h->in);
	deflateEnd(&h->out);
	buf_fini(&h->dictionary);
	free(h);
}

static struct error *unpack(struct spdy_headers *h, struct str block, struct buf *out)
{
	z_stream *z = &h->in;
	int status;

	z->next_in = (Bytef *)(uintptr_t)block.ptr;
	z->avail_in = (uInt)block.len;
	do {
		buf_reserve(out, STEP);
		z->next_out = (Bytef *)out->ptr + out->len;
		z->avail_out = STEP;
		status = inflate(z, Z_SYNC_FLUSH);
		if (status == Z_NEED_DICT && inflateSetDictionary(z, (Bytef *)h->dictionary.ptr, (uInt)h->dictionary.len) == Z_OK)
			status = inflate(z, Z_SYNC_FLUSH);
		out->len += STEP - z->avail_out;
		if (status != Z_OK && status != Z_BUF_ERROR)
			return error_new(ERR_BAD_REQUEST, "SPDY: a header block that cannot be unpacked");
		if (out->len > LIMIT_HEADERS)
			return error_new(ERR_TOO_LARGE, "SPDY: a header block of more than %d bytes", LIMIT_HEADERS);
	} while (z->avail_out == 0);
	return z->avail_in == 0 ? NULL : error_new(ERR_BAD_REQUEST, "SPDY: bytes behind a header block");
}

static bool take32(struct str *from, uint32_t *out)
{
	if (from->len < 4)
		return false;
	*out = spdy_get32(from->ptr);
	*from = str_skip(*from, 4);
	return true;
}

static bool take_text(struct str *from, struct str *out)
{
	uint32_t len;

	if (!take32(from, &len) || from->len < len)
		return false;
	*out = str_head(*from, len);
	*from = str_skip(*from, len);
	return true;
}

struct error *spdy_headers_read(struct spdy_headers *h, struct arena *arena, struct str block, struct http_headers *out)
{
	AUTO_BUF struct buf plain = { 0 };
	struct error *err = unpack(h, block, &plain);
	struct str rest = buf_str(&plain), name, value;
	struct http_header *list;
	uint32_t n;

	if (err != NULL)
		return err;
	if (!take32(&rest, &n) || n > LIMIT_HEADER_COUNT)
		return error_new(ERR_BAD_REQUEST, "SPDY: a broken header block");
	list = ARENA_ARRAY(arena, struct http_header, n + 1);
	for (uint32_t i = 0; i < n; i++) {
		if (!take_text(&rest, &name) || !take_text(&rest, &value))
			return error_new(ERR_BAD_REQUEST, "SPDY: a broken header block");
		list[i] = (struct http_header){ str_lower(arena, name), str_dup(arena, value) };
	}
	*out = (struct http_headers){ list, n };
	return NULL;
}

/* No headers at all, as every answer of ours has them. */
void spdy_headers_none(struct spdy_headers *h, struct buf *out)
{
	static const unsigned char none[4] = { 0 };
	z_stream *z = &h->out;

	z->next_in = (Bytef *)(uintptr_t)none;
	z->avail_in = sizeof(none);
	do {
		buf_reserve(out, STEP);
		z->next_out = (Bytef *)out->ptr + out->len;
		z->avail_out = STEP;
		ASSERT(deflate(z, Z_SYNC_FLUSH) == Z_OK);
		out->len += STEP - z->avail_out;
	} while (z->avail_out == 0);
}
