/* Answers as gzip: who takes it, and whole answers, which a job packs. */
#include <stdlib.h>

#include "http/private.h"

/* As apiserver reads it: the bare token; "gzip;q=1" and "*" do not count. */
static bool client_takes(const struct http_headers *headers)
{
	struct str list = http_header(headers, "accept-encoding"), token;

	while (str_cut(&list, ',', &token))
		if (str_is(str_trim(token), "gzip"))
			return true;
	return false;
}

void http_reply_compress(struct http_request *request)
{
	struct exchange *exchange = exchange_of(request);

	ASSERT(!exchange->started);
	exchange->compress = client_takes(&request->headers);
}

struct http_headers compress_headers(struct exchange *exchange, struct http_headers headers)
{
	struct arena *arena = exchange->request.arena;
	struct http_header *with = ARENA_ARRAY(arena, struct http_header, headers.n + 2);
	bool varies = false;
	size_t n = 0;

	for (; n < headers.n; n++) {
		varies = varies || text_same(headers.ptr[n].name, "vary");
		with[n] = (struct http_header){ str_dup(arena, headers.ptr[n].name), str_dup(arena, headers.ptr[n].value) };
	}
	with[n++] = (struct http_header){ STR("content-encoding"), STR("gzip") };
	if (!varies)
		with[n++] = (struct http_header){ STR("vary"), STR("Accept-Encoding") };
	return (struct http_headers){ with, n };
}

struct packing {
	struct exchange *exchange;
	int status;
	struct http_headers headers;
	struct bytes *plain; /* a reference */
	struct buf packed;
};

static void work(void *in)
{
	struct packing *packing = in;

	gzip_pack(&packing->packed, bytes_str(packing->plain));
}

/* A loop that ends cancels what has not begun: the client then sees that the answer breaks off. */
static void packed(void *in, bool canceled)
{
	struct packing *packing = in;
	struct exchange *exchange = packing->exchange;
	const struct carrier_ops *ops = exchange->ops;

	if (ops != NULL && canceled) {
		ops->abort(exchange);
	} else if (ops != NULL) {
		ops->start(exchange, packing->status, packing->headers, (int64_t)packing->packed.len, false);
		ops->write(exchange, buf_str(&packing->packed), NULL);
		ops->end(exchange);
	}
	bytes_unref(packing->plain);
	buf_fini(&packing->packed);
	free(packing);
	exchange_over(exchange);
}

void compress_whole(struct exchange *exchange, int status, struct http_headers headers, struct str body, struct bytes *owner)
{
	struct packing *packing = xcalloc(1, sizeof(*packing));

	packing->exchange = exchange;
	packing->status = status;
	packing->headers = compress_headers(exchange, headers);
	packing->plain = owner != NULL ? bytes_ref(owner) : bytes_new(body);
	loop_job_start(work, packed, packing);
}
