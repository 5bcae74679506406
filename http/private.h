/*
 * What the files of http share; private to the folder and its unit test.
 *
 *	stream ── tls.c ──▶ conn (server.c) ──▶ h1.c or h2.c ("carrier") ──▶ exchange (request.c) ──▶ handler
 *
 * A carrier speaks one version on one connection. An exchange is one request as the handler sees it; it knows its
 * carrier only through carrier_ops and outlives it when the client goes away first.
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include <openssl/ssl.h>

#include "http/http.h"

/* --- crypto.c: OpenSSL's start and errors --- */

void crypto_init(void); /* once, before anything else of OpenSSL; from any thread, as often as one likes */
BIO *crypto_bio(struct str text);
#define crypto_failure(kind, doing) crypto_failure_at(__FILE__, __LINE__, (kind), (doing))
struct error *crypto_failure_at(const char *file, int line, enum error_kind kind, const char *doing)
	__attribute__((returns_nonnull)) MUST_CHECK;

/* --- pki.c --- */

int64_t crypto_time(const ASN1_TIME *time); /* ns since 1970; 0: not a time */

/* --- gzip.c: packing what comes in pieces --- */

struct gzip_stream;
struct gzip_stream *gzip_stream_new(void);
void gzip_stream_add(struct gzip_stream *stream, struct buf *out, struct str data);
void gzip_stream_end(struct gzip_stream *stream, struct buf *out); /* what is left of it */
void gzip_stream_free(struct gzip_stream *stream);                 /* NULL is fine */

/* --- text.c --- */

bool text_same(struct str a, const char *b); /* whatever the case */
bool text_is_token(struct str s);            /* a header's name */
bool text_is_value(struct str s);            /* no line ends, no NUL */

/* --- tls.c: a stream over a stream --- */

/* ready comes later, once: err, or the handshake is done and the stream may be started. Takes inner. */
struct stream *tls_stream(struct http_tls *tls, struct stream *inner, const char *server_name,
			  void (*ready)(void *arg, struct error *err), void *arg);
bool tls_is_http2(const struct stream *stream);
/* The verified certificate of the other side; NULL: none. Owned by the caller. */
X509 *tls_peer(const struct stream *stream);

/* --- exchange: one request on the server --- */

struct exchange;

struct carrier_ops {
	/* length -1: not known, more follows. end: the headers are all there is. */
	void (*start)(struct exchange *exchange, int status, struct http_headers headers, int64_t length, bool end);
	void (*write)(struct exchange *exchange, struct str data, struct bytes *owner);
	void (*end)(struct exchange *exchange);   /* complete; the carrier forgets the exchange */
	void (*abort)(struct exchange *exchange); /* broken off; the carrier forgets the exchange */
	size_t (*pending)(const struct exchange *exchange);
	void (*wants_body)(struct exchange *exchange);           /* somebody reads it */
	void (*body_taken)(struct exchange *exchange, size_t n); /* flow control */
	struct error *(*upgrade)(struct exchange *exchange, struct http_headers headers, struct stream **stream,
				 struct buf *leftover); /* NULL: cannot */
};

enum body_mode { BODY_UNASKED, BODY_WHOLE, BODY_STREAMED };

struct exchange {
	struct http_request request; /* first, so that one is the other */
	struct list link;            /* in server.exchanges */
	struct http_server *server;
	struct peer *peer;             /* a reference */
	const struct carrier_ops *ops; /* NULL: the client is gone */
	void *carrier;
	const struct http_request_events *events;
	void *events_arg;
	bool closed;   /* the client is gone */
	bool started;  /* the answer */
	bool ended;    /* by the handler; only memory is left */
	bool full;     /* drained is owed */
	bool bodiless; /* HEAD, 204, 304: what is written is dropped */

	bool compress;              /* the handler allows it and the client takes it */
	struct gzip_stream *packer; /* of an answer in pieces */

	enum body_mode body_mode;
	struct buf body; /* came and was not taken */
	bool body_complete;
	bool body_paused;
	bool body_told; /* its end or its error */
	struct error *body_error;
	size_t body_limit;
	void (*body_whole)(void *arg, struct error *err, struct str body);
	void (*body_data)(void *arg, struct error *err, struct str data);
	void *body_arg;

	struct loop_call tell_closed;
	struct loop_call tell_drained;
	struct loop_call tell_body;
	struct loop_call bury;
};

static inline struct exchange *exchange_of(const struct http_request *request)
{
	return (struct exchange *)(uintptr_t)request;
}

/* The carrier's calls. Headers and texts lie in the arena, which goes over to the exchange. */
struct exchange_new {
	struct http_server *server;
	struct peer *peer;
	const struct carrier_ops *ops;
	void *carrier;
	struct arena *arena;
	struct str method;
	struct str target;
	struct str host;
	const struct http_header *headers;
	size_t n_headers;
	int64_t content_length;
	int version;
	bool http10;
	bool wants_upgrade;
};
struct exchange *exchange_new(const struct exchange_new *from);
void exchange_dispatch(struct exchange *exchange);
void exchange_body(struct exchange *exchange, struct str data);
void exchange_body_end(struct exchange *exchange);
void exchange_body_failed(struct exchange *exchange, struct error *err);
size_t exchange_body_waiting(const struct exchange *exchange); /* came and was not taken */
void exchange_closed(struct exchange *exchange);               /* the carrier forgets it */
void exchange_hung_up(struct exchange *exchange);              /* the client sends no more, but may still read */
void exchange_drained(struct exchange *exchange);              /* its output shrank */
void exchange_over(struct exchange *exchange);                 /* the answer, too: only memory is left */

/* --- compress.c: answers as gzip --- */

struct http_headers compress_headers(struct exchange *exchange, struct http_headers headers); /* for the packed form */
/* The handler has ended the exchange with this answer: it is sent when it is packed. */
void compress_whole(struct exchange *exchange, int status, struct http_headers headers, struct str body, struct bytes *owner);

/* --- connections of a server --- */

struct peer {
	unsigned refs;
	struct http_peer said;
	struct arena *arena;
	unsigned n_exchanges; /* of this connection, not ended by their handlers */
};
struct peer *peer_new(const struct stream *stream, bool tls);
struct peer *peer_ref(struct peer *peer);
void peer_unref(struct peer *peer);

struct conn;

struct conn_ops {
	void (*shutdown)(struct conn *conn); /* no new requests; close when the running ones are done */
	void (*destroy)(struct conn *conn);  /* now: tells its exchanges, closes its stream */
};

struct conn {
	struct list link; /* in server.conns */
	struct http_server *server;
	struct stream *stream;
	struct peer *peer;
	const struct conn_ops *ops;
	struct loop_timer timer; /* handshake, headers, idle */
};

struct http_server {
	struct http_server_options options;
	struct list listeners;
	struct list conns;
	struct list exchanges;
	unsigned n_conns;
	unsigned n_exchanges;
	bool closing;
	struct loop_timer grace;
	struct loop_call bury;
	void (*closed)(void *arg);
	void *closed_arg;
	struct http_stats stats;
};

void conn_init(struct conn *conn, struct http_server *server, struct stream *stream, struct peer *peer, const struct conn_ops *ops);
void conn_fini(struct conn *conn); /* not the stream */
void server_maybe_closed(struct http_server *server);

/* Both take stream and peer; early is what was read already. */
void h1_serve(struct http_server *server, struct stream *stream, struct peer *peer, struct str early);
void h2_serve(struct http_server *server, struct stream *stream, struct peer *peer, struct str early);

/* Header blocks of one SPDY connection (spdy_headers.c). */
struct spdy_headers;
struct spdy_headers *spdy_headers_new(void);
void spdy_headers_free(struct spdy_headers *headers);
struct error *spdy_headers_read(struct spdy_headers *headers, struct arena *arena, struct str block,
				struct http_headers *out) MUST_CHECK;
void spdy_headers_none(struct spdy_headers *headers, struct buf *out); /* an empty block */
void spdy_put32(struct buf *out, uint32_t n);
uint32_t spdy_get32(const char *at);

/* "Date" as HTTP wants it; changes once a second. */
struct str date_now(void);

#endif
