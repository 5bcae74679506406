/*
 * Keys, certificates, tokens, digests and gzip: what the cluster needs of OpenSSL and zlib besides TLS. Pure functions;
 * those without a handle may also run in jobs. Who has a handle made frees it; what is written is appended to a buf.
 * What is no key or certificate is ERR_BAD_REQUEST, what no token of ours ERR_UNAUTHORIZED.
 *
 *	pki_key_new(&key);
 *	pki_issue(&(struct pki_request){ .key = key, .common_name = "kubernetes-ca", .ca = true, .days = 3650 }, &ca);
 *	pki_cert_format(ca, &pem);
 */
#ifndef HTTP_PKI_H
#define HTTP_PKI_H

#include "base/base.h"

struct pki_key; /* ECDSA P-256; also reads RSA, Ed25519 and the other curves of NIST (crypto.c) */
struct pki_cert;

struct error *pki_key_new(struct pki_key **out) MUST_CHECK;
struct error *pki_key_parse(struct str pem, struct pki_key **out) MUST_CHECK; /* private, or public */
/* SEC1, "EC PRIVATE KEY": what every client library reads. */
void pki_key_format(const struct pki_key *key, struct buf *pem);
void pki_key_format_public(const struct pki_key *key, struct buf *pem);
void pki_key_free(struct pki_key *key); /* NULL is fine */
/* Kubernetes' key id: base64url of the SHA-256 of the public key's DER. */
void pki_key_id(const struct pki_key *key, struct buf *out);
/* Affine coordinates, for a JWKS document. False when it is no P-256 key. */
bool pki_key_point(const struct pki_key *key, uint8_t x[32], uint8_t y[32]);

struct pki_request {
	const struct pki_key *key;     /* of the subject; required */
	const struct pki_cert *issuer; /* NULL: self-signed */
	const struct pki_key *issuer_key;
	const char *common_name;
	const char *const *orgs; /* NULL-terminated, or NULL */
	const char *const *dns;  /* names, likewise */
	const char *const *ips;  /* addresses, likewise */
	bool ca;
	bool server; /* extended key usages */
	bool client;
	int days;    /* from five minutes ago on */
	int64_t now; /* ns since 1970; 0: the machine's wall clock */
};

struct error *pki_issue(const struct pki_request *request, struct pki_cert **out) MUST_CHECK;
struct error *pki_cert_parse(struct str pem, struct pki_cert **out) MUST_CHECK;
void pki_cert_format(const struct pki_cert *cert, struct buf *pem);
void pki_cert_free(struct pki_cert *cert);               /* NULL is fine */
int64_t pki_cert_not_after(const struct pki_cert *cert); /* ns since 1970 */
bool pki_cert_is_of(const struct pki_cert *cert, const struct pki_key *key);
bool pki_cert_names(const struct pki_cert *cert, const char *dns_or_ip); /* would verify for that name */

/* JSON web tokens, ES256 only: header {"alg":"ES256","kid":…}. claims is JSON text; what it says is for the caller. */
void pki_jwt_sign(const struct pki_key *key, struct str claims, struct buf *token);
/* ERR_UNAUTHORIZED for anything that this key did not sign. */
struct error *pki_jwt_verify(const struct pki_key *key, struct str token, struct buf *claims) MUST_CHECK;

#define SHA256_BYTES 32
struct pki_sha256;
struct pki_sha256 *pki_sha256_new(void);
void pki_sha256_add(struct pki_sha256 *sum, struct str data);
void pki_sha256_end(struct pki_sha256 *sum, uint8_t out[SHA256_BYTES]); /* frees it */
void pki_sha256(struct str data, uint8_t out[SHA256_BYTES]);
void pki_sha256_hex(struct str data, char out[2 * SHA256_BYTES + 1]);
void pki_sha512(struct str data, uint8_t out[64]);
bool pki_same(struct str a, struct str b); /* in constant time: secrets */

/* Level 1, as apiserver. */
void gzip_pack(struct buf *out, struct str data);
/* ERR_TOO_LARGE beyond limit; ERR_BAD_REQUEST when it is not gzip. */
struct error *gzip_unpack(struct buf *out, struct str data, size_t limit) MUST_CHECK;

#endif
