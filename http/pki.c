#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "http/private.h"

/* struct pki_key is an EVP_PKEY, struct pki_cert an X509; the names only keep OpenSSL out of the header. */

static EVP_PKEY *key_of(const struct pki_key *key)
{
	return (EVP_PKEY *)(uintptr_t)key;
}

static X509 *cert_of(const struct pki_cert *cert)
{
	return (X509 *)(uintptr_t)cert;
}

static void take_bio(BIO *bio, struct buf *out)
{
	char *ptr = NULL;
	long len = BIO_get_mem_data(bio, &ptr);

	buf_append(out, ptr, (size_t)len);
	BIO_free(bio);
}

/* --- keys --- */

struct error *pki_key_new(struct pki_key **out)
{
	EVP_PKEY *key;

	crypto_init();
	key = EVP_EC_gen("P-256");
	if (key == NULL)
		return crypto_failure(ERR_INTERNAL, "make a key");
	*out = (struct pki_key *)(void *)key;
	return NULL;
}

struct error *pki_key_parse(struct str pem, struct pki_key **out)
{
	BIO *bio;
	EVP_PKEY *key;

	crypto_init();
	bio = crypto_bio(pem);
	key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "");
	if (key == NULL) {
		BIO_reset(bio);
		key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	}
	BIO_free(bio);
	if (key == NULL)
		return crypto_failure(ERR_BAD_REQUEST, "read a key in PEM");
	ERR_clear_error();
	*out = (struct pki_key *)(void *)key;
	return NULL;
}

void pki_key_format(const struct pki_key *key, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int ok = PEM_write_bio_PrivateKey_traditional(bio, key_of(key), NULL, NULL, 0, NULL, NULL);

	ASSERT(ok == 1);
	take_bio(bio, pem);
}

void pki_key_format_public(const struct pki_key *key, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int ok = PEM_write_bio_PUBKEY(bio, key_of(key));

	ASSERT(ok == 1);
	take_bio(bio, pem);
}

void pki_key_free(struct pki_key *key)
{
	EVP_PKEY_free(key_of(key));
}

void pki_key_id(const struct pki_key *key, struct buf *out)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key_of(key), &der);
	uint8_t digest[SHA256_BYTES];

	ASSERT(len > 0);
	pki_sha256(str_of((char *)der, (size_t)len), digest);
	OPENSSL_free(der);
	base64url_encode(out, str_of((char *)digest, sizeof(digest)));
}

bool pki_key_point(const struct pki_key *key, uint8_t x[32], uint8_t y[32])
{
	BIGNUM *bn_x = NULL, *bn_y = NULL;
	char group[32] = "";
	size_t len;
	bool ok = EVP_PKEY_get_utf8_string_param(key_of(key), OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), &len) == 1 &&
		  strcmp(group, "prime256v1") == 0 && EVP_PKEY_get_bn_param(key_of(key), OSSL_PKEY_PARAM_EC_PUB_X, &bn_x) == 1 &&
		  EVP_PKEY_get_bn_param(key_of(key), OSSL_PKEY_PARAM_EC_PUB_Y, &bn_y) == 1 && BN_bn2binpad(bn_x, x, 32) == 32 &&
		  BN_bn2binpad(bn_y, y, 32) == 32;

	BN_free(bn_x);
	BN_free(bn_y);
	ERR_clear_error();
	return ok;
}

/* --- certificates --- */

static bool add_name(X509_NAME *name, const char *field, const char *value)
{
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) == 1;
}

static bool add_extension(X509 *cert, X509V3_CTX *context, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
	bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return ok;
}

static bool add_alt_name(GENERAL_NAMES *names, int type, const void *data, int len)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *text = type == GEN_IPADD ? (ASN1_STRING *)ASN1_OCTET_STRING_new() : (ASN1_STRING *)ASN1_IA5STRING_new();

	if (ASN1_STRING_set(text, data, len) != 1)
		return false;
	GENERAL_NAME_set0_value(name, type, text);
	return sk_GENERAL_NAME_push(names, name) > 0;
}

static bool add_alt_names(X509 *cert, const struct pki_request *request)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	bool ok = true;

	for (const char *const *dns = request->dns; dns != NULL && *dns != NULL && ok; dns++)
		ok = add_alt_name(names, GEN_DNS, *dns, (int)strlen(*dns));
	for (const char *const *text = request->ips; text != NULL && *text != NULL && ok; text++) {
		struct ip ip;

		ok = ip_parse(str_from(*text), &ip) && add_alt_name(names, GEN_IPADD, ip.bytes, ip.family == 4 ? 4 : 16);
	}
	if (ok && sk_GENERAL_NAME_num(names) > 0)
		ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return ok;
}

static bool set_times(X509 *cert, const struct pki_request *request)
{
	time_t from = (time_t)((request->now != 0 ? request->now / NS_PER_S : (int64_t)time(NULL)) - 300);

	return ASN1_TIME_set(X509_getm_notBefore(cert), from) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), from + 300 + (time_t)request->days * 86400) != NULL;
}

static bool set_serial(X509 *cert)
{
	unsigned char bytes[16];
	BIGNUM *serial;
	bool ok;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 1); /* positive, and never zero */
	serial = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL;
	BN_free(serial);
	return ok;
}

static bool fill(X509 *cert, const struct pki_request *request)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	X509 *issuer = request->issuer != NULL ? cert_of(request->issuer) : cert;
	const char *usage = request->server && request->client ? "serverAuth,clientAuth"
			    : request->server                  ? "serverAuth"
			    : request->client                  ? "clientAuth"
							       : NULL;
	X509V3_CTX context;

	if (X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) || !set_times(cert, request) ||
	    X509_set_pubkey(cert, key_of(request->key)) != 1)
		return false;
	for (const char *const *org = request->orgs; org != NULL && *org != NULL; org++)
		if (!add_name(subject, "O", *org))
			return false;
	if (!add_name(subject, "CN", request->common_name) || X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1)
		return false;
	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	return add_extension(cert, &context, NID_key_usage,
			     request->ca ? "critical,digitalSignature,keyCertSign,cRLSign"
					 : "critical,digitalSignature,keyEncipherment") &&
	       (usage == NULL || add_extension(cert, &context, NID_ext_key_usage, usage)) &&
	       add_extension(cert, &context, NID_basic_constraints, request->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	       (!request->ca || add_extension(cert, &context, NID_subject_key_identifier, "hash")) &&
	       (request->issuer == NULL || add_extension(cert, &context, NID_authority_key_identifier, "keyid")) &&
	       add_alt_names(cert, request);
}

struct error *pki_issue(const struct pki_request *request, struct pki_cert **out)
{
	const struct pki_key *signer = request->issuer != NULL ? request->issuer_key : request->key;
	X509 *cert;

	crypto_init();
	ASSERT(signer != NULL && request->key != NULL && request->common_name != NULL && request->days > 0);
	cert = X509_new();
	if (!fill(cert, request) || X509_sign(cert, key_of(signer), EVP_sha256()) == 0) {
		X509_free(cert);
		return crypto_failure(ERR_INTERNAL, "make a certificate");
	}
	*out = (struct pki_cert *)(void *)cert;
	return NULL;
}

struct error *pki_cert_parse(struct str pem, struct pki_cert **out)
{
	BIO *bio;
	X509 *cert;

	crypto_init();
	bio = crypto_bio(pem);
	cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (cert == NULL)
		return crypto_failure(ERR_BAD_REQUEST, "read a certificate in PEM");
	*out = (struct pki_cert *)(void *)cert;
	return NULL;
}

void pki_cert_format(const struct pki_cert *cert, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int ok = PEM_write_bio_X509(bio, cert_of(cert));

	ASSERT(ok == 1);
	take_bio(bio, pem);
}

void pki_cert_free(struct pki_cert *cert)
{
	X509_free(cert_of(cert));
}

int64_t crypto_time(const ASN1_TIME *time)
{
	struct tm tm = { 0 };

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) * NS_PER_S : 0;
}

int64_t pki_cert_not_after(const struct pki_cert *cert)
{
	return crypto_time(X509_get0_notAfter(cert_of(cert)));
}

bool pki_cert_is_of(const struct pki_cert *cert, const struct pki_key *key)
{
	bool same = X509_check_private_key(cert_of(cert), key_of(key)) == 1;

	ERR_clear_error();
	return same;
}

bool pki_cert_names(const struct pki_cert *cert, const char *dns_or_ip)
{
	struct ip ip;

	if (ip_parse(str_from(dns_or_ip), &ip))
		return X509_check_ip_asc(cert_of(cert), dns_or_ip, 0) == 1;
	return X509_check_host(cert_of(cert), dns_or_ip, 0, 0, NULL) == 1;
}

/* --- tokens --- */

static bool sign_raw(EVP_PKEY *key, struct str text, uint8_t out[64])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char der[128];
	const unsigned char *at = der;
	size_t len = sizeof(der);
	ECDSA_SIG *signature = NULL;
	bool ok = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(context, der, &len, (const unsigned char *)text.ptr, text.len) == 1;

	EVP_MD_CTX_free(context);
	if (ok)
		signature = d2i_ECDSA_SIG(NULL, &at, (long)len);
	ok = signature != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32) == 32 &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32) == 32;
	ECDSA_SIG_free(signature);
	return ok;
}

void pki_jwt_sign(const struct pki_key *key, struct str claims, struct buf *token)
{
	AUTO_BUF struct buf header = { 0 };
	size_t start = token->len;
	uint8_t signature[64];
	bool ok;

	buf_add(&header, STR("{\"alg\":\"ES256\",\"kid\":\""));
	pki_key_id(key, &header);
	buf_add(&header, STR("\"}"));
	base64url_encode(token, buf_str(&header));
	buf_putc(token, '.');
	base64url_encode(token, claims);
	ok = sign_raw(key_of(key), str_of(token->ptr + start, token->len - start), signature);
	ASSERT(ok); /* the key is our own P-256 key */
	buf_putc(token, '.');
	base64url_encode(token, str_of((char *)signature, sizeof(signature)));
}

static bool verify_raw(EVP_PKEY *key, struct str text, struct str raw)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	ECDSA_SIG *signature = ECDSA_SIG_new();
	unsigned char *der = NULL;
	int len = 0;
	bool ok = raw.len == 64 && ECDSA_SIG_set0(signature, BN_bin2bn((const unsigned char *)raw.ptr, 32, NULL),
						  BN_bin2bn((const unsigned char *)raw.ptr + 32, 32, NULL)) == 1;

	if (ok)
		len = i2d_ECDSA_SIG(signature, &der);
	ok = len > 0 && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestVerify(context, der, (size_t)len, (const unsigned char *)text.ptr, text.len) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(signature);
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return ok;
}

/* The header's algorithm is not asked what to do, only whether it is the one we do: no "none", no HMAC with a public
 * key. */
struct error *pki_jwt_verify(const struct pki_key *key, struct str token, struct buf *claims)
{
	AUTO_BUF struct buf header = { 0 }, signature = { 0 };
	ptrdiff_t first = str_find(token, '.'), last = str_rfind(token, '.');
	struct str signed_part;

	if (first < 0 || last == first ||
	    str_find(str_head(str_skip(token, (size_t)first + 1), (size_t)(last - first) - 1), '.') >= 0)
		return error_new(ERR_UNAUTHORIZED, "token is no signed JWT");
	signed_part = str_head(token, (size_t)last);
	if (!base64url_decode(&header, str_head(token, (size_t)first)) ||
	    !base64url_decode(&signature, str_skip(token, (size_t)last + 1)) ||
	    !base64url_decode(claims, str_skip(signed_part, (size_t)first + 1)))
		return error_new(ERR_UNAUTHORIZED, "token is not base64url");
	if (!str_contains(buf_str(&header), STR("\"alg\":\"ES256\"")))
		return error_new(ERR_UNAUTHORIZED, "token is not signed with ES256");
	if (!verify_raw(key_of(key), signed_part, buf_str(&signature)))
		return error_new(ERR_UNAUTHORIZED, "token has a wrong signature");
	return NULL;
}

/* --- digests --- */

struct pki_sha256 *pki_sha256_new(void)
{
	EVP_MD_CTX *context;
	int ok;

	crypto_init();
	context = EVP_MD_CTX_new();
	ok = EVP_DigestInit_ex(context, EVP_sha256(), NULL);
	ASSERT(ok == 1);
	return (struct pki_sha256 *)(void *)context;
}

void pki_sha256_add(struct pki_sha256 *sum, struct str data)
{
	EVP_DigestUpdate((EVP_MD_CTX *)(void *)sum, data.ptr, data.len);
}

void pki_sha256_end(struct pki_sha256 *sum, uint8_t out[SHA256_BYTES])
{
	EVP_DigestFinal_ex((EVP_MD_CTX *)(void *)sum, out, NULL);
	EVP_MD_CTX_free((EVP_MD_CTX *)(void *)sum);
}

static void digest(const EVP_MD *type, struct str data, uint8_t *out)
{
	int ok = EVP_Digest(data.len > 0 ? data.ptr : "", data.len, out, NULL, type, NULL);

	ASSERT(ok == 1);
}

void pki_sha256(struct str data, uint8_t out[SHA256_BYTES])
{
	crypto_init();
	digest(EVP_sha256(), data, out);
}

void pki_sha256_hex(struct str data, char out[2 * SHA256_BYTES + 1])
{
	AUTO_BUF struct buf text = { 0 };
	uint8_t sum[SHA256_BYTES];

	pki_sha256(data, sum);
	hex_encode(&text, str_of((char *)sum, sizeof(sum)));
	memcpy(out, text.ptr, sizeof(sum) * 2);
	out[sizeof(sum) * 2] = '\0';
}

void pki_sha512(struct str data, uint8_t out[64])
{
	crypto_init();
	digest(EVP_sha512(), data, out);
}

bool pki_same(struct str a, struct str b)
{
	return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}
