/* Listening, the first moments of a connection (handshake, which version), and the end of it all. */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "http/private.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct http_listener {
	struct list link;
	struct stream_listener *stream;
	struct http_server *server;
};

/* A connection before its version is known. */
struct arrival {
	struct conn conn;
	struct buf early; /* without TLS: the first bytes */
	bool tls;
};

/* --- who is there --- */

static void read_subject(struct peer *peer, const X509 *cert)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int n = X509_NAME_entry_count(name), orgs = 0;
	struct str *list = ARENA_ARRAY(peer->arena, struct str, (size_t)n + 1);

	for (int i = 0; i < n; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
		unsigned char *text = NULL;
		int len;

		if (kind != NID_commonName && kind != NID_organizationName)
			continue;
		len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
		if (len >= 0 && kind == NID_commonName)
			peer->said.common_name = str_dup(peer->arena, str_of((char *)text, (size_t)len));
		else if (len >= 0)
			list[orgs++] = str_dup(peer->arena, str_of((char *)text, (size_t)len));
		OPENSSL_free(text);
	}
	peer->said.orgs = list;
	peer->said.n_orgs = (size_t)orgs;
}

struct peer *peer_new(const struct stream *stream, bool tls)
{
	struct peer *peer = xcalloc(1, sizeof(*peer));
	X509 *cert = tls ? tls_peer(stream) : NULL;
	unsigned char *der = NULL;
	int len;

	peer->refs = 1;
	peer->arena = arena_new();
	peer->said.address = arena_strdup(peer->arena, stream_peer(stream));
	peer->said.tls = tls;
	if (cert == NULL)
		return peer;
	peer->said.verified = true;
	peer->said.not_after = crypto_time(X509_get0_notAfter(cert));
	read_subject(peer, cert);
	len = i2d_X509(cert, &der);
	if (len > 0)
		peer->said.cert_der = str_dup(peer->arena, str_of((char *)der, (size_t)len));
	OPENSSL_free(der);
	X509_free(cert);
	return peer;
}

struct peer *peer_ref(struct peer *peer)
{
	peer->refs++;
	return peer;
}

void peer_unref(struct peer *peer)
{
	if (peer == NULL || --peer->refs > 0)
		return;
	arena_free(peer->arena);
	free(peer);
}

struct str date_now(void)
{
	static char text[40];
	static time_t last;
	time_t now = (time_t)(clock_now() / NS_PER_S);
	struct tm tm;

	if (now != last || text[0] == '\0') {
		last = now;
		gmtime_r(&now, &tm);
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	return str_from(text);
}

/* --- connections --- */

void conn_init(struct conn *conn, struct http_server *server, struct stream *stream, struct peer *peer, const struct conn_ops *ops)
{
	conn->server = server;
	conn->stream = stream;
	conn->peer = peer;
	conn->ops = ops;
	list_push(&server->conns, &conn->link);
	server->n_conns++;
}

void conn_fini(struct conn *conn)
{
	struct http_server *server = conn->server;

	list_remove(&conn->link);
	loop_timer_stop(&conn->timer);
	peer_unref(conn->peer);
	server->n_conns--;
	server_maybe_closed(server);
}

static void arrival_destroy(struct conn *conn)
{
	struct arrival *arrival = CONTAINER_OF(conn, struct arrival, conn);

	stream_close(conn->stream);
	conn_fini(conn);
	buf_fini(&arrival->early);
	free(arrival);
}

static const struct conn_ops arrival_ops = { arrival_destroy, arrival_destroy };

static void refuse(struct arrival *arrival)
{
	arrival->conn.server->stats.refused++;
	arrival_destroy(&arrival->conn);
}

static void on_late(void *arg)
{
	refuse(arg);
}

/* The arrival becomes a connection of a version. */
static void serve(struct arrival *arrival, bool http2)
{
	struct arrival was = *arrival;
	struct peer *peer = peer_new(was.conn.stream, was.tls);

	/* The new one is counted before the old one goes, so that a server that closes waits for it. */
	if (http2)
		h2_serve(was.conn.server, was.conn.stream, peer, buf_str(&was.early));
	else
		h1_serve(was.conn.server, was.conn.stream, peer, buf_str(&was.early));
	conn_fini(&arrival->conn);
	buf_fini(&was.early);
	free(arrival);
}

static void shaken(void *arg, struct error *err)
{
	struct arrival *arrival = arg;

	if (err != NULL) {
		log_debug("handshake failed", "peer=%s error=\"%s\"", stream_peer(arrival->conn.stream), err->text);
		error_free(err);
		refuse(arrival);
		return;
	}
	serve(arrival, tls_is_http2(arrival->conn.stream));
}

static void first_bytes(void *arg, struct str data)
{
	struct arrival *arrival = arg;
	size_t n;

	buf_add(&arrival->early, data);
	n = arrival->early.len < sizeof(PREFACE) - 1 ? arrival->early.len : sizeof(PREFACE) - 1;
	if (memcmp(arrival->early.ptr, PREFACE, n) != 0)
		serve(arrival, false);
	else if (n == sizeof(PREFACE) - 1)
		serve(arrival, true);
}

static void first_ended(void *arg)
{
	arrival_destroy(&((struct arrival *)arg)->conn);
}

static void first_failed(void *arg, struct error *err)
{
	error_free(err);
	first_ended(arg);
}

static const struct stream_events first_events = { first_bytes, first_ended, first_failed, NULL };

void http_server_accept(struct http_server *server, struct stream *stream)
{
	unsigned most = server->options.connections != 0 ? server->options.connections : LIMIT_CONNECTIONS;
	struct arrival *arrival;

	ASSERT_ON_LOOP();
	if (server->n_conns >= most || server->closing) {
		server->stats.refused++;
		stream_close(stream);
		return;
	}
	arrival = xcalloc(1, sizeof(*arrival));
	server->stats.connections++;
	arrival->tls = server->options.tls != NULL;
	if (arrival->tls)
		stream = tls_stream(server->options.tls, stream, NULL, shaken, arrival);
	conn_init(&arrival->conn, server, stream, NULL, &arrival_ops);
	loop_timer_start(&arrival->conn.timer, server->options.headers_within, on_late, arrival);
	if (!arrival->tls)
		stream_start(stream, &first_events, arrival);
}

/* --- the server --- */

struct http_server *http_server_new(const struct http_server_options *options)
{
	struct http_server *server = xcalloc(1, sizeof(*server));

	ASSERT_ON_LOOP();
	server->options = *options;
	if (options->tls != NULL)
		http_tls_ref(options->tls);
	if (server->options.idle == 0)
		server->options.idle = 90 * NS_PER_S;
	if (server->options.headers_within == 0)
		server->options.headers_within = LIMIT_HEADER_SECONDS * NS_PER_S;
	list_init(&server->listeners);
	list_init(&server->conns);
	list_init(&server->exchanges);
	return server;
}

void http_server_set_tls(struct http_server *server, struct http_tls *tls)
{
	http_tls_unref(server->options.tls);
	server->options.tls = tls != NULL ? http_tls_ref(tls) : NULL;
}

static void on_accepted(void *arg, struct stream *stream)
{
	http_server_accept(((struct http_listener *)arg)->server, stream);
}

struct error *http_server_listen(struct http_server *server, const struct stream_address *address, struct http_listener **out)
{
	struct http_listener *listener = xcalloc(1, sizeof(*listener));
	struct error *err;

	listener->server = server;
	err = stream_listen(address, on_accepted, listener, &listener->stream);
	if (err != NULL) {
		free(listener);
		return err;
	}
	list_push(&server->listeners, &listener->link);
	if (out != NULL)
		*out = listener;
	return NULL;
}

uint16_t http_listener_port(const struct http_listener *listener)
{
	return stream_listener_port(listener->stream);
}

void http_listener_close(struct http_listener *listener)
{
	if (listener == NULL)
		return;
	list_remove(&listener->link);
	stream_listener_close(listener->stream);
	free(listener);
}

static void on_bury(void *arg)
{
	struct http_server *server = arg;
	void (*closed)(void *arg) = server->closed;
	void *closed_arg = server->closed_arg;

	loop_timer_stop(&server->grace);
	http_tls_unref(server->options.tls);
	free(server);
	closed(closed_arg);
}

void server_maybe_closed(struct http_server *server)
{
	if (server->closing && server->n_conns == 0 && server->n_exchanges == 0)
		loop_call_soon(&server->bury, on_bury, server);
}

static void on_grace_over(void *arg)
{
	struct http_server *server = arg;

	LIST_EACH (&server->conns, struct conn, link, conn)
		conn->ops->destroy(conn);
}

void http_server_close(struct http_server *server, int64_t grace, void (*closed)(void *arg), void *arg)
{
	ASSERT_ON_LOOP();
	ASSERT(!server->closing && closed != NULL);
	server->closing = true;
	server->closed = closed;
	server->closed_arg = arg;
	LIST_EACH (&server->listeners, struct http_listener, link, listener)
		http_listener_close(listener);
	LIST_EACH (&server->conns, struct conn, link, conn)
		conn->ops->shutdown(conn);
	loop_timer_start(&server->grace, grace, on_grace_over, server);
	server_maybe_closed(server);
}

struct http_stats http_server_stats(const struct http_server *server)
{
	struct http_stats stats = server->stats;

	stats.open_connections = server->n_conns;
	stats.open_requests = server->n_exchanges;
	return stats;
}
