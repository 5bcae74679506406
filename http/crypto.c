/*
 * OpenSSL: its start, its errors, and which of its algorithms are in the program.
 *
 * The archive's own provider names every algorithm there is, so the linker would take them all, and the first use of one
 * would make them all. Here is a provider in its place, under its name, with what TLS of Go's clients and servers speaks
 * and what pki.c needs; an algorithm that is not in a table below does not exist for OpenSSL ("unsupported"). Left out:
 * DES, Camellia, ARIA, SM2 to SM4, DSA, finite-field DH, X448 and Ed448, SHA-3, ciphers with a MAC beside them, private
 * keys with a password.
 *
 * The functions behind the rows are OpenSSL's own (providers/implementations, 3.0). The linker meets the names that we
 * define here before it opens libcrypto's archive, because crypto_init() is wanted: so it never takes theirs.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_METHOD, below */
#include <openssl/bio.h>
#include <openssl/core_dispatch.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "http/private.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static void init_once(void)
{
	/* The host's openssl.cnf has no say. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

void crypto_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

struct error *crypto_failure_at(const char *file, int line, enum error_kind kind, const char *doing)
{
	unsigned long code = ERR_peek_last_error();
	char reason[256] = "unknown reason";

	if (code != 0)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return error_make(file, line, kind, (int)(code & 0x7fffffff), "%s: %s", doing, reason);
}

BIO *crypto_bio(struct str text)
{
	return BIO_new_mem_buf(text.len > 0 ? text.ptr : "", (int)text.len);
}

/* --- the provider's tables: names, then whose functions --- */

/* clang-format off */
#define ROW(names, functions)       { names, "provider=default", functions, NULL }
#define TEXT(names, how, functions) { names, "provider=default," how, functions, NULL }
#define END                         { NULL, NULL, NULL, NULL }
/* clang-format on */

#define RSA_NAMES     "RSA:rsaEncryption:1.2.840.113549.1.1.1"
#define RSA_PSS_NAMES "RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10"
#define EC_NAMES      "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define X25519_NAMES  "X25519:1.3.101.110"
#define ED25519_NAMES "ED25519:1.3.101.112"

extern const OSSL_DISPATCH ossl_sha1_functions[], ossl_sha224_functions[], ossl_sha256_functions[], ossl_sha384_functions[],
	ossl_sha512_functions[], ossl_md5_functions[], ossl_md5_sha1_functions[];

static const OSSL_ALGORITHM digests[] = {
	ROW("SHA1:SHA-1:SSL3-SHA1:1.3.14.3.2.26", ossl_sha1_functions),
	ROW("SHA2-224:SHA-224:SHA224:2.16.840.1.101.3.4.2.4", ossl_sha224_functions),
	ROW("SHA2-256:SHA-256:SHA256:2.16.840.1.101.3.4.2.1", ossl_sha256_functions),
	ROW("SHA2-384:SHA-384:SHA384:2.16.840.1.101.3.4.2.2", ossl_sha384_functions),
	ROW("SHA2-512:SHA-512:SHA512:2.16.840.1.101.3.4.2.3", ossl_sha512_functions),
	ROW("MD5:SSL3-MD5:1.2.840.113549.2.5", ossl_md5_functions), /* libssl asks for both, whatever is spoken */
	ROW("MD5-SHA1", ossl_md5_sha1_functions),
	END,
};

extern const OSSL_DISPATCH ossl_aes128gcm_functions[], ossl_aes256gcm_functions[], ossl_aes256ecb_functions[],
	ossl_aes256ctr_functions[], ossl_chacha20_ossl_poly1305_functions[];

static const OSSL_ALGORITHM ciphers[] = {
	ROW("AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", ossl_aes128gcm_functions),
	ROW("AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", ossl_aes256gcm_functions),
	ROW("ChaCha20-Poly1305", ossl_chacha20_ossl_poly1305_functions),
	ROW("AES-256-CTR", ossl_aes256ctr_functions), /* of the random generator, as the next */
	ROW("AES-256-ECB:2.16.840.1.101.3.4.1.41", ossl_aes256ecb_functions),
	END,
};

extern const OSSL_DISPATCH ossl_hmac_functions[], ossl_kdf_hkdf_functions[], ossl_kdf_tls1_3_kdf_functions[],
	ossl_kdf_tls1_prf_functions[], ossl_drbg_ctr_functions[], ossl_seed_src_functions[];

static const OSSL_ALGORITHM macs[] = { ROW("HMAC", ossl_hmac_functions), END };

static const OSSL_ALGORITHM kdfs[] = {
	ROW("HKDF", ossl_kdf_hkdf_functions),
	ROW("TLS13-KDF", ossl_kdf_tls1_3_kdf_functions),
	ROW("TLS1-PRF", ossl_kdf_tls1_prf_functions),
	END,
};

static const OSSL_ALGORITHM rands[] = {
	ROW("CTR-DRBG", ossl_drbg_ctr_functions),
	ROW("SEED-SRC", ossl_seed_src_functions),
	END,
};

extern const OSSL_DISPATCH ossl_rsa_keymgmt_functions[], ossl_rsapss_keymgmt_functions[], ossl_ec_keymgmt_functions[],
	ossl_x25519_keymgmt_functions[], ossl_ed25519_keymgmt_functions[], ossl_ecdh_keyexch_functions[],
	ossl_x25519_keyexch_functions[], ossl_rsa_signature_functions[], ossl_ed25519_signature_functions[],
	ossl_ecdsa_signature_functions[];

/* clang-format off */
static const OSSL_ALGORITHM keys[] = {
	ROW(RSA_NAMES, ossl_rsa_keymgmt_functions),
	ROW(RSA_PSS_NAMES, ossl_rsapss_keymgmt_functions),
	ROW(EC_NAMES, ossl_ec_keymgmt_functions),
	ROW(X25519_NAMES, ossl_x25519_keymgmt_functions),
	ROW(ED25519_NAMES, ossl_ed25519_keymgmt_functions),
	END,
};
/* clang-format on */

static const OSSL_ALGORITHM exchanges[] = {
	ROW("ECDH", ossl_ecdh_keyexch_functions),
	ROW(X25519_NAMES, ossl_x25519_keyexch_functions),
	END,
};

static const OSSL_ALGORITHM signatures[] = {
	ROW(RSA_NAMES, ossl_rsa_signature_functions),
	ROW(ED25519_NAMES, ossl_ed25519_signature_functions),
	ROW("ECDSA", ossl_ecdsa_signature_functions),
	END,
};

/* Public keys are written, by certificates and in PEM; private ones by pki_key_format(), without an encoder. */
#define KEY_KINDS(X)                                                                                                               \
	X(RSA_NAMES, rsa)                                                                                                          \
	X(RSA_PSS_NAMES, rsapss)                                                                                                   \
	X(EC_NAMES, ec)                                                                                                            \
	X(X25519_NAMES, x25519)                                                                                                    \
	X(ED25519_NAMES, ed25519)

#define DECLARE(names, key)                                                                                                        \
	extern const OSSL_DISPATCH ossl_##key##_to_SubjectPublicKeyInfo_der_encoder_functions[],                                   \
		ossl_##key##_to_SubjectPublicKeyInfo_pem_encoder_functions[],                                                      \
		ossl_SubjectPublicKeyInfo_der_to_##key##_decoder_functions[],                                                      \
		ossl_PrivateKeyInfo_der_to_##key##_decoder_functions[];
KEY_KINDS(DECLARE)

#define ENCODER(names, key)                                                                                                        \
	TEXT(names, "output=der,structure=SubjectPublicKeyInfo", ossl_##key##_to_SubjectPublicKeyInfo_der_encoder_functions),      \
		TEXT(names, "output=pem,structure=SubjectPublicKeyInfo",                                                           \
		     ossl_##key##_to_SubjectPublicKeyInfo_pem_encoder_functions),
static const OSSL_ALGORITHM encoders[] = { KEY_KINDS(ENCODER) END };

extern const OSSL_DISPATCH ossl_type_specific_keypair_der_to_rsa_decoder_functions[], ossl_RSA_der_to_rsa_decoder_functions[],
	ossl_type_specific_no_pub_der_to_ec_decoder_functions[], ossl_EC_der_to_ec_decoder_functions[],
	ossl_SubjectPublicKeyInfo_der_to_der_decoder_functions[], ossl_pem_to_der_decoder_functions[];

#define DECODER(names, key)                                                                                                        \
	TEXT(names, "input=der,structure=PrivateKeyInfo", ossl_PrivateKeyInfo_der_to_##key##_decoder_functions),                   \
		TEXT(names, "input=der,structure=SubjectPublicKeyInfo",                                                            \
		     ossl_SubjectPublicKeyInfo_der_to_##key##_decoder_functions),
static const OSSL_ALGORITHM decoders[] = {
	KEY_KINDS(DECODER)
		TEXT(RSA_NAMES, "input=der,structure=type-specific", ossl_type_specific_keypair_der_to_rsa_decoder_functions),
	TEXT(RSA_NAMES, "input=der,structure=rsa", ossl_RSA_der_to_rsa_decoder_functions),
	TEXT(EC_NAMES, "input=der,structure=type-specific", ossl_type_specific_no_pub_der_to_ec_decoder_functions),
	TEXT(EC_NAMES, "input=der,structure=ec", ossl_EC_der_to_ec_decoder_functions),
	TEXT("DER", "input=der,structure=SubjectPublicKeyInfo", ossl_SubjectPublicKeyInfo_der_to_der_decoder_functions),
	TEXT("DER", "input=pem", ossl_pem_to_der_decoder_functions),
	END,
};

/* By operation. */
static const OSSL_ALGORITHM *const tables[OSSL_OP__HIGHEST + 1] = {
	[OSSL_OP_DIGEST] = digests,   [OSSL_OP_CIPHER] = ciphers,   [OSSL_OP_MAC] = macs,          [OSSL_OP_KDF] = kdfs,
	[OSSL_OP_RAND] = rands,       [OSSL_OP_KEYMGMT] = keys,     [OSSL_OP_KEYEXCH] = exchanges, [OSSL_OP_SIGNATURE] = signatures,
	[OSSL_OP_ENCODER] = encoders, [OSSL_OP_DECODER] = decoders,
};

/* --- the provider --- */

/* What the algorithms expect as their provider's context: OpenSSL's own. */
struct prov_ctx_st;
struct prov_ctx_st *ossl_prov_ctx_new(void);
void ossl_prov_ctx_free(struct prov_ctx_st *context);
void ossl_prov_ctx_set0_libctx(struct prov_ctx_st *context, OSSL_LIB_CTX *library);
void ossl_prov_ctx_set0_handle(struct prov_ctx_st *context, const OSSL_CORE_HANDLE *handle);
void ossl_prov_ctx_set0_core_bio_method(struct prov_ctx_st *context, BIO_METHOD *method);
BIO_METHOD *ossl_prov_ctx_get0_core_bio_method(struct prov_ctx_st *context);
BIO_METHOD *ossl_bio_prov_init_bio_method(void);
int ossl_prov_bio_from_dispatch(const OSSL_DISPATCH *core);
int ossl_prov_seeding_from_dispatch(const OSSL_DISPATCH *core);
OSSL_FUNC_provider_get_capabilities_fn ossl_prov_get_capabilities;
OSSL_provider_init_fn ossl_default_provider_init, ossl_base_provider_init;

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
	(void)context;
	*no_cache = 0;
	return operation >= 0 && operation <= OSSL_OP__HIGHEST ? tables[operation] : NULL;
}

static void teardown(void *context)
{
	BIO_meth_free(ossl_prov_ctx_get0_core_bio_method(context));
	ossl_prov_ctx_free(context);
}

static const OSSL_DISPATCH provider[] = {
	{ OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown },
	{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
	{ OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))ossl_prov_get_capabilities },
	{ 0, NULL },
};

static OSSL_FUNC_core_get_libctx_fn *find_get_libctx(const OSSL_DISPATCH *core)
{
	for (; core->function_id != 0; core++)
		if (core->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
			return OSSL_FUNC_core_get_libctx(core);
	return NULL;
}

int ossl_default_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core, const OSSL_DISPATCH **out,
			       void **out_context)
{
	OSSL_FUNC_core_get_libctx_fn *get_libctx = find_get_libctx(core);
	struct prov_ctx_st *context;

	if (get_libctx == NULL || !ossl_prov_bio_from_dispatch(core) || !ossl_prov_seeding_from_dispatch(core))
		return 0;
	context = ossl_prov_ctx_new();
	ASSERT(context != NULL);
	ossl_prov_ctx_set0_libctx(context, (OSSL_LIB_CTX *)(void *)get_libctx(handle));
	ossl_prov_ctx_set0_handle(context, handle);
	ossl_prov_ctx_set0_core_bio_method(context, ossl_bio_prov_init_bio_method());
	*out = provider;
	*out_context = context;
	return 1;
}

/* Never asked for: what it has, the one above has. */
int ossl_base_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core, const OSSL_DISPATCH **out,
			    void **out_context)
{
	(void)handle;
	(void)core;
	(void)out;
	(void)out_context;
	return 0;
}

/* --- the older tables, by which OpenSSL turns names in certificates and suites into the above --- */

void openssl_add_all_digests_int(void)
{
	EVP_add_digest(EVP_md5());
	EVP_add_digest(EVP_md5_sha1());
	EVP_add_digest(EVP_sha1());
	EVP_add_digest(EVP_sha224());
	EVP_add_digest(EVP_sha256());
	EVP_add_digest(EVP_sha384());
	EVP_add_digest(EVP_sha512());
}

/* Ciphers are found in the provider alone. */
void openssl_add_all_ciphers_int(void)
{
}

/* --- engines: hardware that is not there --- */

void engine_load_padlock_int(void)
{
}

void engine_load_afalg_int(void)
{
}

void engine_load_dynamic_int(void)
{
}

void engine_load_openssl_int(void)
{
}

/* --- curves: P-256 is done by the assembler of nistz256, P-224 by the code for any prime --- */

void *EC_nistp256_pre_comp_dup(void *table)
{
	return table;
}

void EC_nistp256_pre_comp_free(void *table)
{
	(void)table;
}

void *EC_nistp224_pre_comp_dup(void *table)
{
	return table;
}

void EC_nistp224_pre_comp_free(void *table)
{
	(void)table;
}

const EC_METHOD *EC_GFp_nistp224_method(void)
{
	return EC_GFp_nist_method();
}
