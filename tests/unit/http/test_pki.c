#include <openssl/err.h>

#include "http/http.h"
#include "tests/unit/http/keys.h"
#include "tests/unit/tap.h"

TEST(digests)
{
	char hex[65];
	uint8_t whole[32], parts[32];
	struct pki_sha256 *sum = pki_sha256_new();

	pki_sha256_hex(STR("abc"), hex); /* FIPS 180-2, B.1 */
	CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	pki_sha256_add(sum, STR("a"));
	pki_sha256_add(sum, STR("bc"));
	pki_sha256_end(sum, parts);
	pki_sha256(STR("abc"), whole);
	CHECK(memcmp(whole, parts, 32) == 0);
	CHECK(pki_same(STR("x"), STR("x")));
	CHECK(!pki_same(STR("x"), STR("y")));
	CHECK(!pki_same(STR("x"), STR("xy")));
}

TEST(keys_are_written_and_read)
{
	AUTO_BUF struct buf pem = { 0 }, public = { 0 }, id = { 0 }, id2 = { 0 };
	struct pki_key *key = NULL, *again = NULL, *half = NULL;
	uint8_t x[32], y[32], x2[32], y2[32];

	CHECK_OK(pki_key_new(&key));
	pki_key_format(key, &pem);
	CHECK(str_has_prefix(buf_str(&pem), STR("-----BEGIN EC PRIVATE KEY-----\n")));
	CHECK_OK(pki_key_parse(buf_str(&pem), &again));
	pki_key_format_public(key, &public);
	CHECK_OK(pki_key_parse(buf_str(&public), &half));
	pki_key_id(key, &id);
	pki_key_id(half, &id2);
	CHECK_STR(buf_str(&id), buf_str(&id2));
	CHECK_EQ(id.len, 43);
	CHECK(pki_key_point(again, x, y) && pki_key_point(half, x2, y2));
	CHECK(memcmp(x, x2, 32) == 0 && memcmp(y, y2, 32) == 0);
	pki_key_free(key);
	pki_key_free(again);
	pki_key_free(half);
	CHECK_ERR(pki_key_parse(STR("no key"), &key), ERR_BAD_REQUEST);
}

TEST(keys_of_other_programs_are_read)
{
	for (const struct foreign_key *foreign = foreign_keys; foreign->name != NULL; foreign++) {
		struct pki_key *key = NULL;
		AUTO_BUF struct buf public = { 0 };

		CHECK_OK(pki_key_parse(str_from(foreign->pem), &key));
		pki_key_format_public(key, &public);
		CHECK(str_has_prefix(buf_str(&public), STR("-----BEGIN PUBLIC KEY-----\n")));
		pki_key_free(key);
		CHECK_OK(pki_key_parse(buf_str(&public), &key));
		pki_key_free(key);
	}
}

/* What crypto.c leaves out is refused as what nobody knows, and leaves no error behind for the next connection. */
TEST(keys_of_unknown_kinds_are_refused)
{
	struct pki_key *key = NULL;

	CHECK_ERR(pki_key_parse(str_from(foreign_key_of_ed448), &key), ERR_BAD_REQUEST);
	CHECK_EQ(ERR_peek_error(), 0);
}

TEST(certificates_name_their_owners)
{
	static const char *const dns[] = { "kubernetes", "kubernetes.default.svc", NULL };
	static const char *const ips[] = { "10.96.0.1", "fd00::1", NULL }, *const bad[] = { "10.96.0", NULL };
	struct pki_key *ca_key = NULL, *key = NULL;
	struct pki_cert *ca = NULL, *cert = NULL, *parsed = NULL;
	AUTO_BUF struct buf pem = { 0 };
	struct pki_request request = { .common_name = "kube-apiserver",
				       .dns = dns,
				       .ips = ips,
				       .server = true,
				       .days = 365,
				       .now = INT64_C(1800000000) * NS_PER_S };

	CHECK_OK(pki_key_new(&ca_key));
	CHECK_OK(pki_key_new(&key));
	CHECK_OK(pki_issue(&(struct pki_request){ .key = ca_key, .common_name = "ca", .ca = true, .days = 3650 }, &ca));
	request.key = key;
	request.issuer = ca;
	request.issuer_key = ca_key;
	CHECK_OK(pki_issue(&request, &cert));
	pki_cert_format(cert, &pem);
	CHECK_OK(pki_cert_parse(buf_str(&pem), &parsed));
	CHECK(pki_cert_names(parsed, "kubernetes.default.svc"));
	CHECK(pki_cert_names(parsed, "10.96.0.1"));
	CHECK(pki_cert_names(parsed, "fd00::1"));
	CHECK(!pki_cert_names(parsed, "10.96.0.2"));
	CHECK(!pki_cert_names(parsed, "example.com"));
	CHECK(pki_cert_is_of(parsed, key));
	CHECK(!pki_cert_is_of(parsed, ca_key));
	CHECK_EQ(pki_cert_not_after(parsed), (INT64_C(1800000000) + 365 * 86400) * NS_PER_S);
	pki_cert_free(cert);
	request.ips = bad;
	CHECK_ERR(pki_issue(&request, &cert), ERR_INTERNAL);
	pki_cert_free(parsed);
	pki_cert_free(ca);
	pki_key_free(key);
	pki_key_free(ca_key);
}

TEST(tokens_are_verified_strictly)
{
	struct pki_key *key = NULL, *other = NULL;
	AUTO_BUF struct buf token = { 0 }, claims = { 0 }, forged = { 0 };

	CHECK_OK(pki_key_new(&key));
	CHECK_OK(pki_key_new(&other));
	pki_jwt_sign(key, STR("{\"sub\":\"system:serviceaccount:default:default\"}"), &token);
	CHECK_OK(pki_jwt_verify(key, buf_str(&token), &claims));
	CHECK_STR(buf_str(&claims), "{\"sub\":\"system:serviceaccount:default:default\"}");
	CHECK_ERR(pki_jwt_verify(other, buf_str(&token), &claims), ERR_UNAUTHORIZED);
	token.ptr[token.len - 5] = token.ptr[token.len - 5] == 'A' ? 'B' : 'A';
	CHECK_ERR(pki_jwt_verify(key, buf_str(&token), &claims), ERR_UNAUTHORIZED);
	CHECK_ERR(pki_jwt_verify(key, STR(""), &claims), ERR_UNAUTHORIZED);
	CHECK_ERR(pki_jwt_verify(key, STR("a.b"), &claims), ERR_UNAUTHORIZED);
	CHECK_ERR(pki_jwt_verify(key, STR("a.b.c.d"), &claims), ERR_UNAUTHORIZED);
	/* RFC 8725, 2.1: a token that names another algorithm, or none. */
	base64url_encode(&forged, STR("{\"alg\":\"none\"}"));
	buf_add(&forged, STR(".e30."));
	CHECK_ERR(pki_jwt_verify(key, buf_str(&forged), &claims), ERR_UNAUTHORIZED);
	pki_key_free(key);
	pki_key_free(other);
}
