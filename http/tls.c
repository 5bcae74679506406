/*
 * TLS as a stream over a stream. OpenSSL reads what came and writes what it makes through two small BIOs of our own, so
 * there is no socket below it and no buffer of ours between. Small writes gather until the turn's calls run, so that
 * headers and body share a record.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "http/private.h"

#define RECORD (16 * 1024)

struct http_tls {
	unsigned refs;
	SSL_CTX *context;
	bool server;
	bool insecure;
	bool no_http2;
};

struct tls {
	struct stream base;
	struct stream *inner;
	struct http_tls *settings;
	SSL *ssl;
	struct str input; /* what came, before OpenSSL took it */
	struct buf kept;  /* input of an earlier call that was not taken */
	struct buf plain; /* small writes that wait for each other */
	bool shaken;      /* the handshake is done */
	bool inner_ended;
	bool told_ended;
	bool failed;
	bool ended; /* we half closed */
	bool end_wanted;
	bool closed;
	bool above;
	struct loop_call pump;
	struct loop_call flush;
	void (*ready)(void *arg, struct error *err);
	void *ready_arg;
};

static unsigned char decrypted[RECORD];

/* --- settings --- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in, unsigned inlen,
			   void *arg)
{
	const struct http_tls *tls = arg;
	static const char *const wanted[] = { "h2", "http/1.1" };

	(void)ssl;
	for (size_t i = tls->no_http2 ? 1 : 0; i < 2; i++) {
		size_t len = strlen(wanted[i]);

		for (const unsigned char *at = in; at < in + inlen; at += 1 + *at)
			if (*at == len && at + 1 + len <= in + inlen && memcmp(at + 1, wanted[i], len) == 0) {
				*out = at + 1;
				*outlen = *at;
				return SSL_TLSEXT_ERR_OK;
			}
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* A server takes any client certificate through the handshake: whether it is valid decides authentication, which can
 * answer with a Status (as the real API server does). */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static struct error *use_cas(SSL_CTX *context, struct str pem, bool server)
{
	BIO *bio = crypto_bio(pem);
	X509 *cert;
	int n = 0;

	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(context), cert);
		if (server)
			SSL_CTX_add_client_CA(context, cert);
		X509_free(cert);
		n++;
	}
	BIO_free(bio);
	ERR_clear_error();
	return n > 0 ? NULL : error_new(ERR_BAD_REQUEST, "no certificate of an authority in PEM");
}

static struct error *use_cert(SSL_CTX *context, const struct http_tls_options *options)
{
	BIO *bio = crypto_bio(options->cert);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	struct pki_key *key = NULL;
	struct error *err = NULL;
	X509 *next;

	if (cert == NULL || SSL_CTX_use_certificate(context, cert) != 1)
		err = crypto_failure(ERR_BAD_REQUEST, "read own certificate");
	X509_free(cert);
	while (err == NULL && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(context, next) != 1)
			X509_free(next);
	BIO_free(bio);
	ERR_clear_error();
	if (err == NULL)
		err = pki_key_parse(options->key, &key);
	if (err == NULL && SSL_CTX_use_PrivateKey(context, (EVP_PKEY *)(void *)key) != 1)
		err = crypto_failure(ERR_BAD_REQUEST, "own key does not belong to own certificate");
	pki_key_free(key);
	return err;
}

static struct error *tls_new(const struct http_tls_options *options, bool server, struct http_tls **out)
{
	struct http_tls *tls = xcalloc(1, sizeof(*tls));
	struct error *err = NULL;
	SSL_CTX *context;

	crypto_init();
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	ASSERT(context != NULL);
	*tls = (struct http_tls){ 1, context, server, options->insecure, options->no_http2 };
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
	/* No resumption: a ticket would carry an authentication past the life of a certificate. */
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	if (server) {
		SSL_CTX_set_alpn_select_cb(context, choose_protocol, tls);
		SSL_CTX_set_verify(context, options->ca.len > 0 ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, accept_any);
	} else {
		SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x08http/1.1", 9);
		SSL_CTX_set_verify(context, options->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	}
	if (options->ca.len > 0)
		err = use_cas(context, options->ca, server);
	if (err == NULL && (server || options->cert.len > 0))
		err = use_cert(context, options);
	if (err != NULL) {
		http_tls_unref(tls);
		return error_context(err, "set up TLS");
	}
	*out = tls;
	return NULL;
}

struct error *http_tls_server(const struct http_tls_options *options, struct http_tls **out)
{
	return tls_new(options, true, out);
}

struct error *http_tls_client(const struct http_tls_options *options, struct http_tls **out)
{
	return tls_new(options, false, out);
}

struct http_tls *http_tls_ref(struct http_tls *tls)
{
	tls->refs++;
	return tls;
}

void http_tls_unref(struct http_tls *tls)
{
	if (tls == NULL || --tls->refs > 0)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

/* --- the BIO between OpenSSL and the inner stream --- */

static int bio_write(BIO *bio, const char *data, int len)
{
	struct tls *tls = BIO_get_data(bio);

	stream_write(tls->inner, str_of(data, (size_t)len));
	return len;
}

static int bio_read(BIO *bio, char *out, int len)
{
	struct tls *tls = BIO_get_data(bio);
	size_t n = tls->input.len < (size_t)len ? tls->input.len : (size_t)len;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		if (tls->inner_ended)
			return 0;
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(out, tls->input.ptr, n);
	tls->input = str_skip(tls->input, n);
	return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	const struct tls *tls = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return tls->inner_ended && tls->input.len == 0;
	default:
		return 0;
	}
}

static BIO *bio_new(struct tls *tls)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (method == NULL) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_ctrl(method, bio_control);
	}
	bio = BIO_new(method);
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

/* --- the stream --- */

#define NO_TLS "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

static void on_flush(void *arg);
static void on_pump(void *arg);

static struct tls *tls_of(const struct stream *stream)
{
	return CONTAINER_OF((struct stream *)(uintptr_t)stream, struct tls, base);
}

static struct error *tls_failure(struct tls *tls, const char *doing)
{
	long verify = SSL_get_verify_result(tls->ssl);

	if (!tls->settings->server && !tls->settings->insecure && verify != X509_V_OK) {
		ERR_clear_error();
		return error_new(ERR_UNAUTHORIZED, "%s %s: certificate: %s", doing, stream_peer(tls->inner),
				 X509_verify_cert_error_string(verify));
	}
	return error_context(crypto_failure(ERR_UNAVAILABLE, doing), "TLS with %s", stream_peer(tls->inner));
}

static void fail(struct tls *tls, struct error *err)
{
	void (*ready)(void *arg, struct error *err) = tls->ready;

	if (tls->failed || tls->closed) {
		error_free(err);
		return;
	}
	tls->failed = true;
	tls->ready = NULL;
	if (ready != NULL)
		ready(tls->ready_arg, err);
	else
		stream_emit_failed(&tls->base, err);
}

static void shake(struct tls *tls)
{
	void (*ready)(void *arg, struct error *err) = tls->ready;
	int status = SSL_do_handshake(tls->ssl);

	if (status != 1) {
		if (SSL_get_error(tls->ssl, status) == SSL_ERROR_WANT_READ)
			return;
		if (tls->settings->server && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
			stream_write(tls->inner, STR(NO_TLS)); /* as Go's server answers who forgot the s of https */
		fail(tls, tls_failure(tls, "handshake"));
		return;
	}
	tls->shaken = true;
	tls->ready = NULL;
	if (tls->plain.len > 0)
		loop_call_soon(&tls->flush, on_flush, tls);
	ready(tls->ready_arg, NULL);
}

static void decrypt(struct tls *tls)
{
	while (!tls->closed && !tls->failed && !tls->told_ended && tls->base.events != NULL && !tls->base.paused) {
		int n = SSL_read(tls->ssl, decrypted, sizeof(decrypted)), why;

		if (n > 0) {
			stream_emit_read(&tls->base, str_of((char *)decrypted, (size_t)n));
			continue;
		}
		why = SSL_get_error(tls->ssl, n);
		if (why == SSL_ERROR_WANT_READ && !tls->inner_ended)
			return;
		if (why == SSL_ERROR_ZERO_RETURN || tls->inner_ended) {
			ERR_clear_error();
			tls->told_ended = true;
			stream_emit_ended(&tls->base);
			return;
		}
		fail(tls, tls_failure(tls, "read"));
		return;
	}
}

/* Moves what came as far as it goes. Never called from inside the owner's call. */
static void pump(struct tls *tls, struct str fresh)
{
	if (tls->kept.len > 0) {
		buf_add(&tls->kept, fresh);
		tls->input = buf_str(&tls->kept);
	} else {
		tls->input = fresh;
	}
	ERR_clear_error();
	if (!tls->shaken && !tls->failed)
		shake(tls);
	if (tls->shaken)
		decrypt(tls);
	if (tls->kept.len > 0)
		buf_consume(&tls->kept, tls->kept.len - tls->input.len);
	else
		buf_add(&tls->kept, tls->input);
	tls->input = STR("");
	if (tls->kept.len == 0)
		buf_fini(&tls->kept);
}

static void on_pump(void *arg)
{
	pump(arg, STR(""));
}

static void inner_read(void *arg, struct str data)
{
	pump(arg, data);
}

static void inner_ended(void *arg)
{
	struct tls *tls = arg;

	tls->inner_ended = true;
	if (!tls->shaken)
		fail(tls,
		     error_new(ERR_UNAVAILABLE, "TLS with %s: the other side hung up in the handshake", stream_peer(tls->inner)));
	else
		pump(tls, STR(""));
}

static void inner_failed(void *arg, struct error *err)
{
	fail(arg, err);
}

static void inner_drained(void *arg)
{
	struct tls *tls = arg;

	if (!tls->above || tls->closed)
		return;
	tls->above = false;
	stream_emit_drained(&tls->base);
}

static const struct stream_events inner_events = { inner_read, inner_ended, inner_failed, inner_drained };

static void encrypt(struct tls *tls, struct str data)
{
	int n;

	if (data.len == 0 || tls->failed)
		return;
	ERR_clear_error();
	n = SSL_write(tls->ssl, data.ptr, (int)data.len);
	/* The BIO takes everything, so only a broken session refuses; its reading side will say so. */
	if (n <= 0)
		ERR_clear_error();
}

static void encrypt_plain(struct tls *tls)
{
	struct buf plain = tls->plain;

	if (!tls->shaken)
		return;
	tls->plain = (struct buf){ 0 };
	encrypt(tls, buf_str(&plain));
	buf_fini(&plain);
}

static void send_end(struct tls *tls)
{
	if (!tls->failed && tls->shaken)
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
	tls->ended = true;
	stream_end(tls->inner);
}

static void on_flush(void *arg)
{
	struct tls *tls = arg;

	encrypt_plain(tls);
	if (tls->end_wanted && !tls->ended && tls->shaken)
		send_end(tls);
}

static void tls_write(struct stream *stream, struct str data, struct bytes *owner)
{
	struct tls *tls = tls_of(stream);

	(void)owner; /* it is copied by being encrypted */
	ASSERT(!tls->end_wanted);
	if (tls->failed)
		return;
	if (!tls->shaken || tls->plain.len + data.len < RECORD) {
		buf_add(&tls->plain, data);
		loop_call_soon(&tls->flush, on_flush, tls);
	} else {
		encrypt_plain(tls);
		encrypt(tls, data);
	}
	if (stream_pending(stream) >= STREAM_HIGH && tls->shaken) {
		/* All of it down to the inner stream, so that its drained() is ours. */
		encrypt_plain(tls);
		tls->above = true;
	}
}

static void tls_reading(struct stream *stream, bool on)
{
	struct tls *tls = tls_of(stream);

	if (on) {
		stream_resume(tls->inner);
		loop_call_soon(&tls->pump, on_pump, tls);
	} else {
		stream_pause(tls->inner);
	}
}

static void tls_end(struct stream *stream)
{
	struct tls *tls = tls_of(stream);

	tls->end_wanted = true;
	loop_call_soon(&tls->flush, on_flush, tls);
}

static void tls_free(void *arg)
{
	struct tls *tls = arg;

	SSL_free(tls->ssl);
	buf_fini(&tls->kept);
	buf_fini(&tls->plain);
	http_tls_unref(tls->settings);
	free(tls);
}

static void tls_close(struct stream *stream, bool finish)
{
	struct tls *tls = tls_of(stream);

	tls->closed = true;
	if (finish)
		encrypt_plain(tls);
	if (tls->shaken && !tls->ended && !tls->failed)
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
	/* After a failed handshake an alert is on its way that says why. */
	if (finish || !tls->shaken)
		stream_finish(tls->inner);
	else
		stream_close(tls->inner);
	loop_call_cancel(&tls->pump);
	loop_call_cancel(&tls->flush);
	/* The owner may have closed from inside one of our calls. */
	loop_soon(tls_free, tls);
}

static size_t tls_pending(const struct stream *stream)
{
	const struct tls *tls = tls_of(stream);

	return tls->plain.len + stream_pending(tls->inner);
}

static const char *tls_peer_name(const struct stream *stream)
{
	return stream_peer(tls_of(stream)->inner);
}

static const struct stream_ops tls_ops = { tls_reading, tls_write, tls_end, tls_close, tls_pending, tls_peer_name };

struct stream *tls_stream(struct http_tls *settings, struct stream *inner, const char *server_name,
			  void (*ready)(void *arg, struct error *err), void *arg)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	BIO *bio = bio_new(tls);
	struct ip ip;

	tls->base.ops = &tls_ops;
	tls->inner = inner;
	tls->settings = http_tls_ref(settings);
	tls->ready = ready;
	tls->ready_arg = arg;
	tls->ssl = SSL_new(settings->context);
	ASSERT(tls->ssl != NULL);
	SSL_set_bio(tls->ssl, bio, bio);
	if (settings->server) {
		SSL_set_accept_state(tls->ssl);
	} else {
		SSL_set_connect_state(tls->ssl);
		if (server_name != NULL && ip_parse(str_from(server_name), &ip)) {
			X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), server_name);
		} else if (server_name != NULL) {
			SSL_set_tlsext_host_name(tls->ssl, server_name);
			SSL_set1_host(tls->ssl, server_name);
		}
	}
	stream_start(inner, &inner_events, tls);
	loop_call_soon(&tls->pump, on_pump, tls);
	return &tls->base;
}

bool tls_is_http2(const struct stream *stream)
{
	const unsigned char *name = NULL;
	unsigned len = 0;

	SSL_get0_alpn_selected(tls_of(stream)->ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

X509 *tls_peer(const struct stream *stream)
{
	SSL *ssl = tls_of(stream)->ssl;

	return SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get1_peer_certificate(ssl) : NULL;
}
