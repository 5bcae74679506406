/*
 * HTTP/1.1 and HTTP/2, with TLS or without, server and client, over any byte stream (loop/stream.h).
 *
 * One notion of a message: headers, then a body that flows with backpressure, in both directions. A server handler
 * sees struct http_request whatever the version was; a client sees struct http_call. Certificates, digests and
 * compression are in http/pki.h. Not here: routing, authentication, media types, resolving names.
 *
 * The server: handle() is called once per request, when its headers are complete. From then on the request belongs to
 * the handler until it ends it by exactly one of http_reply*(), http_reply_end(), http_reply_abort(),
 * http_upgrade(). When the client goes away closed() comes, once; what is written afterwards is dropped, and the
 * handler still has to end the request. Writing never fails and never waits: a handler that streams asks
 * http_reply_full(), stops, and goes on in drained(). So a slow reader costs LIMIT_STREAM_BUFFER and nobody else's
 * time.
 *
 * Everything belongs to the loop thread; no callback comes from inside a call of the same request.
 *
 *	static void handle(void *arg, struct http_request *req)
 *	{
 *		if (str_is(req->path, "/healthz"))
 *			http_reply_text(req, 200, STR("ok"));
 *		else
 *			http_reply_text(req, 404, STR("404 page not found\n"));
 *	}
 *	server = http_server_new(&(struct http_server_options){ .tls = tls, .handle = handle });
 *	err = http_server_listen(server, &(struct stream_address){ .host = "127.0.0.1", .port = 6443 }, NULL);
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/base.h"
#include "loop/loop.h"

struct http_header {
	struct str name; /* lower case when received; sent as HTTP/2 wants it, too */
	struct str value;
};

struct http_headers {
	const struct http_header *ptr;
	size_t n;
};

/* The first of that name (lower case); empty when absent. */
struct str http_header(const struct http_headers *headers, const char *name);
/* True when a comma-separated list in any header of that name holds the token, whatever its case. */
bool http_header_has(const struct http_headers *headers, const char *name, const char *token);

/* --- TLS ------------------------------------------------------------------------------------------------- */

struct http_tls; /* refcounted; settings shared by connections */

struct http_tls_options {
	struct str cert; /* PEM, own certificate and chain; required for servers */
	struct str key;  /* PEM */
	struct str ca;   /* PEM, several allowed: whom we trust. A server then asks for client certificates */
	bool insecure;   /* client: accept any server; probes do so, as the real kubelet */
	bool no_http2;   /* server: offer HTTP/1.1 only */
};

struct error *http_tls_server(const struct http_tls_options *options, struct http_tls **out) MUST_CHECK;
struct error *http_tls_client(const struct http_tls_options *options, struct http_tls **out) MUST_CHECK;
struct http_tls *http_tls_ref(struct http_tls *tls);
void http_tls_unref(struct http_tls *tls); /* NULL is fine */

/* Who is at the other end. A certificate is only told of when it was verified against the CA. */
struct http_peer {
	const char *address; /* stream_peer() */
	bool tls;
	bool verified;          /* the fields below are meaningful */
	struct str common_name; /* user */
	const struct str *orgs; /* groups */
	size_t n_orgs;
	struct str cert_der;
	int64_t not_after; /* ns since 1970 */
};

/* --- server ---------------------------------------------------------------------------------------------- */

struct http_server;
struct http_request;

struct http_server_options {
	struct http_tls *tls; /* NULL: none, for unix sockets and in-memory streams; HTTP/2 then by prior knowledge */
	void (*handle)(void *arg, struct http_request *request);
	void *arg;
	unsigned connections;   /* 0: LIMIT_CONNECTIONS */
	int64_t idle;           /* ns a connection may be idle between requests; 0: 90 s, as apiserver */
	int64_t headers_within; /* 0: LIMIT_HEADER_SECONDS; TLS handshake included */
};

struct http_listener;

struct http_server *http_server_new(const struct http_server_options *options);
/* May be called for several addresses. The server owns the listener and ends it with itself; out may be NULL. */
struct error *http_server_listen(struct http_server *server, const struct stream_address *address,
				 struct http_listener **out) MUST_CHECK;
uint16_t http_listener_port(const struct http_listener *listener);          /* what the kernel chose for port 0 */
void http_listener_close(struct http_listener *listener);                   /* its connections go on; NULL is fine */
void http_server_accept(struct http_server *server, struct stream *stream); /* takes any stream: in-memory pairs */
/* New connections, e.g. with a renewed certificate, use these settings. */
void http_server_set_tls(struct http_server *server, struct http_tls *tls);
/* Stops listening, tells clients to go (GOAWAY, Connection: close), waits up to grace for running requests (then their
 * closed() comes), then calls closed: every request was ended, the server is freed. */
void http_server_close(struct http_server *server, int64_t grace, void (*closed)(void *arg), void *arg);

struct http_param {
	struct str name;
	struct str value;
};

struct http_request {
	struct str method;
	struct str target;               /* as sent: "/api/v1/pods?limit=5" */
	struct str raw_path;             /* before decoding */
	struct str path;                 /* percent-decoded */
	struct str query;                /* as sent, without the question mark */
	const struct http_param *params; /* decoded; names may repeat */
	size_t n_params;
	struct str host;
	struct http_headers headers;
	int64_t content_length; /* -1: not said */
	int version;            /* 1 or 2 */
	bool http10;
	bool wants_upgrade; /* HTTP/1.1 with Connection: upgrade */
	const struct http_peer *peer;
	struct arena *arena; /* lives until the request was ended */
	int64_t started;     /* mono */
	void *user;          /* the handler's */
};

/* First value, or empty; `found` tells a missing one from an empty one (may be NULL). */
struct str http_param(const struct http_request *request, const char *name, bool *found);
/* As Kubernetes means a query: only absence, "0" and "false" are false (docs/traps.md). */
bool http_param_bool(const struct http_request *request, const char *name, bool *found);

struct http_request_events {
	void (*closed)(void *arg);  /* the client is gone */
	void (*drained)(void *arg); /* no longer full */
};
void http_request_listen(struct http_request *request, const struct http_request_events *events, void *arg);
bool http_request_closed(const struct http_request *request);

/* The body, as a whole: ERR_TOO_LARGE beyond limit, ERR_BAD_REQUEST when broken, ERR_CANCELED when the client left.
 * The bytes lie in the request's arena. gzip is undone. Not called after the request was ended. */
void http_body(struct http_request *request, size_t limit, void (*whole)(void *arg, struct error *err, struct str body), void *arg);
/* …or as it comes. err NULL and data empty: the end. Takes err. */
void http_body_stream(struct http_request *request, void (*data)(void *arg, struct error *err, struct str data), void *arg);
void http_body_pause(struct http_request *request);
void http_body_resume(struct http_request *request);

/* The answer at once. Content-Length and Date are ours; the rest is in headers (borrowed for the call). HEAD and 304 do
 * the right thing with a body. */
void http_reply(struct http_request *request, int status, struct http_headers headers, struct str body);
void http_reply_bytes(struct http_request *request, int status, struct http_headers headers, struct bytes *body);
void http_reply_text(struct http_request *request, int status, struct str body); /* text/plain; charset=utf-8 */
/* To be said before the answer starts: it may go as gzip, when the client takes that and it has more than LIMIT_PLAIN_REPLY
 * bytes. A whole one is packed by a job, one that comes in pieces as they come (its handler has seen that it is long). */
void http_reply_compress(struct http_request *request);
/* …or in pieces. */
void http_reply_start(struct http_request *request, int status, struct http_headers headers);
void http_reply_write(struct http_request *request, struct str data);
void http_reply_write_bytes(struct http_request *request, struct bytes *bytes); /* takes a reference of its own */
void http_reply_write_part(struct http_request *request, struct bytes *bytes, struct str part);
bool http_reply_started(const struct http_request *request);
size_t http_reply_pending(const struct http_request *request); /* bytes not yet taken by the connection */
bool http_reply_full(const struct http_request *request);      /* at LIMIT_STREAM_BUFFER; drained() will come */
void http_reply_end(struct http_request *request);
/* The answer breaks off, and the client sees that it did: RST_STREAM, or the connection closes. */
void http_reply_abort(struct http_request *request);

/* HTTP/1.1 only: answers 101 with these headers and gives the raw stream away (paused; start it with
 * stream_hand_over() and stream_resume()). leftover gets what the client sent too early. Ends the request. */
struct error *http_upgrade(struct http_request *request, struct http_headers headers, struct stream **stream,
			   struct buf *leftover) MUST_CHECK;

struct http_stats {
	uint64_t connections, requests, refused; /* refused: by a limit or for bad protocol */
	unsigned open_connections, open_requests;
};
struct http_stats http_server_stats(const struct http_server *server);

/* --- client ---------------------------------------------------------------------------------------------- */

/* Calls to one place, by HTTP/1.1: as many connections as there are concurrent calls; idle ones are kept a while. */
struct http_client;

struct http_client_options {
	struct stream_address address; /* ignored with dial */
	/* Injected dialer: must call connected(to, err, stream) once, later. address is not needed then. */
	void (*dial)(void *dial_arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to);
	void *dial_arg;
	struct http_tls *tls;    /* NULL: none */
	const char *server_name; /* Host header; name or address to verify. NULL: address.host */
	unsigned connections;    /* 0: no limit; more calls wait */
	int64_t idle;            /* 0: 60 s */
	bool no_reuse;           /* a connection per call */
};

struct http_client *http_client_new(const struct http_client_options *options);
/* Cancels what runs: done comes with ERR_CANCELED, before this returns. */
void http_client_free(struct http_client *client);

struct http_call;

struct http_response {
	int status;
	struct http_headers headers; /* borrowed until done */
	int version;
};

struct http_call_options {
	const char *method;          /* NULL: GET */
	struct str target;           /* "/api/v1/pods?limit=5" */
	struct http_headers headers; /* copied */
	struct str body;             /* copied; with Content-Length */
	bool streams;                /* the body comes by http_call_write() and http_call_end() */
	int64_t timeout;             /* ns until the response headers are there; 0: 30 s */
	int64_t deadline;            /* ns until all is done; 0: none */
	void (*responded)(void *arg, struct http_call *call, const struct http_response *response);
	void (*data)(void *arg, struct str data);
	void (*drained)(void *arg); /* of what was written; may be NULL */
	/* After 101, instead of done: the stream is the callee's (paused, hand it over). NULL: 101 is an error. */
	void (*upgraded)(void *arg, const struct http_response *response, struct stream *stream, struct str leftover);
	void (*done)(void *arg, struct error *err); /* once, last; takes err */
	void *arg;
};

/* Pointer is valid until done or upgraded, which come later. */
struct http_call *http_call(struct http_client *client, const struct http_call_options *options);
void http_call_cancel(struct http_call *call); /* no callback comes any more, not even done */
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);
void http_call_write(struct http_call *call, struct str data);
size_t http_call_pending(const struct http_call *call);
void http_call_end(struct http_call *call);

/* A whole answer of at most limit bytes. err NULL: response and body are valid during the call. */
struct http_fetch_options {
	struct http_call_options call; /* its callbacks are not used */
	size_t limit;                  /* 0: LIMIT_BODY */
	void (*fetched)(void *arg, struct error *err, const struct http_response *response, struct str body);
	void *arg;
};
struct http_fetch;
struct http_fetch *http_fetch(struct http_client *client, const struct http_fetch_options *options);
void http_fetch_cancel(struct http_fetch *fetch); /* fetched does not come */

/* --- text ------------------------------------------------------------------------------------------------ */

const char *http_status_text(int status);
/* Percent-decoding; plus as space in queries. False on a broken escape. */
bool http_unescape(struct arena *arena, struct str text, bool plus, struct str *out);
void http_escape(struct buf *out, struct str text); /* for one path segment or query value */
/* "a=1&b&a=2"; broken pairs are left out, as Go's ParseQuery does. */
void http_parse_query(struct arena *arena, struct str query, const struct http_param **params, size_t *n);

#include "http/pki.h"

#endif
