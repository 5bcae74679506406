/* What the files of image/ share. */
#ifndef IMAGE_PRIVATE_H
#define IMAGE_PRIVATE_H

#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>

#include "base/file.h"
#include "image/image.h"
#include "json/json.h"

/* --- digest.c --- */

#define DIGEST_TEXT 72 /* "sha256:", 64 digits, NUL */

struct digest {
	EVP_MD_CTX *ctx;
};

void digest_init(struct digest *digest);
void digest_add(struct digest *digest, const void *ptr, size_t len);
void digest_end(struct digest *digest, char text[DIGEST_TEXT]); /* also frees; digest_drop is then not needed */
void digest_drop(struct digest *digest);                        /* after digest_end, or instead of it */
void digest_of(struct str bytes, char text[DIGEST_TEXT]);
bool digest_valid(struct str text); /* sha256 only */
struct str digest_hex(struct str text);

/* --- file.c: small blocking helpers --- */

/* Beside, synced, renamed. */
struct error *disk_replace(int dirfd, const char *path, struct str text) MUST_CHECK;

/* --- filters.c --- */

void archive_filters(struct archive *archive); /* a reader takes what is packed with gzip or zstd */

/* --- unpack.c --- */

struct unpacked {
	char diff_id[DIGEST_TEXT]; /* of the plain tar */
	uint64_t bytes;
	uint64_t files;
};

/* Where a layer's bytes come from: *ptr and *len are the next piece; len 0 is the end. */
struct layer_source {
	struct error *(*next)(void *arg, const void **ptr, size_t *len);
	void *arg;
};

/* Unpacks a plain, gzip or zstd tar into the open directory `root`. */
struct error *layer_unpack(int root, const struct layer_source *source, struct unpacked *out) MUST_CHECK;
struct error *archive_failed(struct archive *archive, const char *what) MUST_CHECK;

/* --- store.c --- */

struct image_store {
	int fd;
	char *dir;
};

/* Exclusive among processes and threads; *out is closed to give it back. */
struct error *images_lock(struct image_store *store, int *out) MUST_CHECK;
/* A fresh directory below tmp/, locked by `*fd` while it is used; its name in name. */
#define TMP_NAME 64
struct error *images_tmp(struct image_store *store, char name[TMP_NAME], int *fd) MUST_CHECK;

struct ref_record {
	struct str ref; /* normal form; or the id itself for an image without a name */
	struct str id;
	struct str manifest; /* may be empty */
};
struct error *images_put_ref(struct image_store *store, const struct ref_record *record) MUST_CHECK;
struct error *images_put_blob(struct image_store *store, struct str digest, struct str content) MUST_CHECK;
bool images_has_layer(struct image_store *store, const char *diff_id);
/* Moves tmp/<from> to its place; another's that is already there is as good. */
struct error *images_put_layer(struct image_store *store, const char *from, const struct unpacked *layer) MUST_CHECK;

/* --- config.c --- */

struct error *image_from_config(struct arena *arena, struct str config, struct image *out) MUST_CHECK;

#endif
