#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/trace.h"
#include "image/private.h"

void digest_init(struct digest *digest)
{
	digest->ctx = EVP_MD_CTX_new();
	ASSERT(digest->ctx != NULL && EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL) == 1);
}

void digest_add(struct digest *digest, const void *ptr, size_t len)
{
	ASSERT(EVP_DigestUpdate(digest->ctx, ptr, len) == 1);
}

void digest_end(struct digest *digest, char text[DIGEST_TEXT])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	size_t at = 7;

	ASSERT(EVP_DigestFinal_ex(digest->ctx, sum, &n) == 1 && n == 32);
	memcpy(text, "sha256:", 7);
	for (unsigned i = 0; i < n; i++, at += 2)
		snprintf(text + at, 3, "%02x", sum[i]);
	digest_drop(digest);
}

void digest_drop(struct digest *digest)
{
	EVP_MD_CTX_free(digest->ctx);
	digest->ctx = NULL;
}

void digest_of(struct str bytes, char text[DIGEST_TEXT])
{
	struct digest digest;

	digest_init(&digest);
	digest_add(&digest, bytes.ptr, bytes.len);
	digest_end(&digest, text);
}

bool digest_valid(struct str text)
{
	if (text.len != 71 || !str_has_prefix(text, STR("sha256:")))
		return false;
	for (size_t i = 7; i < text.len; i++) {
		char c = text.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

struct str digest_hex(struct str text)
{
	return str_skip(text, 7);
}
