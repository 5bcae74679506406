/*
 * Images: references, a content store on disk, loading archives into it, unpacking layers.
 *
 * The store is a directory shared by all profiles and processes of a machine; everything in it appears whole or not at
 * all (made beside, synced, renamed), so that a kill at any moment leaves a good store and at most rubbish that the next
 * image_store_gc() removes:
 *
 *	refs/<escaped reference>       text: id of the image, digest of its manifest
 *	blobs/sha256/<hex>             configurations and manifests; layers are kept unpacked only
 *	layers/sha256/<diff id>/       one layer as overlayfs wants it: whiteouts are 0:0 devices, opaque directories an xattr
 *	layers/size/<diff id>          text: bytes in it
 *	tmp/                           what is being made, flock()ed by who makes it
 *
 * A node that uses layers holds a shared flock() on their directories; gc leaves those alone.
 *
 * What it is not: it mounts nothing (the node does) and pulls nothing yet (registries come on this store). All functions
 * block: call them in a job or a command, never on the loop. A store may be used by several threads at once; it holds a
 * directory descriptor and nothing else.
 *
 *	struct image_store *store;
 *	err = image_store_open("/var/lib/monokube/images", &store);
 *	err = image_store_load(arena, store, STDIN_FILENO, &loaded, &n_loaded);
 *	const struct image *image;
 *	err = image_store_find(arena, store, STR("busybox"), &image);   // image is NULL when there is none
 *	spec.layers = image_layer_paths(arena, image, NODE_IMAGES, &spec.n_layers);
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

#define IMAGE_STORE_DEFAULT "/var/lib/monokube/images"
#define IMAGE_HELLO         "docker.io/monokube/hello:latest" /* the program itself; always there */

/* --- references --- */

struct image_ref {
	struct str host;   /* "docker.io", "registry.k8s.io", "localhost:5000" */
	struct str path;   /* "library/busybox" */
	struct str tag;    /* "latest"; empty when only a digest was given */
	struct str digest; /* "sha256:…" or empty */
};

/* As Docker normalises: "busybox" is docker.io/library/busybox:latest. ERR_INVALID in upstream's words. */
struct error *image_ref_parse(struct arena *arena, struct str text, struct image_ref *out) MUST_CHECK;
/* "docker.io/library/busybox:1.36@sha256:…" */
struct str image_ref_format(struct arena *arena, const struct image_ref *ref);
/* What a person would type: without docker.io/library/, without :latest. */
struct str image_ref_short(struct arena *arena, const struct image_ref *ref);

/* --- the store --- */

struct image_store;

struct image_label {
	struct str key;
	struct str value;
};

struct image {
	struct str id;       /* "sha256:<digest of the configuration>" */
	struct str manifest; /* "sha256:…" */
	struct str *refs;    /* "docker.io/library/busybox:latest", … sorted */
	size_t n_refs;
	uint64_t size;   /* bytes of the unpacked layers and the configuration */
	int64_t created; /* ns since 1970, 0: not said */
	struct str os;
	struct str architecture;
	struct str *layers; /* "layers/sha256/<hex>" below the store, lowest first */
	size_t n_layers;

	/* what runs: each may be empty */
	struct str *entrypoint;
	size_t n_entrypoint;
	struct str *cmd;
	size_t n_cmd;
	struct str *env; /* "KEY=value" */
	size_t n_env;
	struct str user; /* "1000", "nginx:nginx", … */
	struct str workdir;
	struct str stop_signal; /* "SIGQUIT" */
	struct str *volumes;
	size_t n_volumes;
	struct image_label *labels;
	size_t n_labels;
};

/* Makes the directory if missing; readable by root only. */
struct error *image_store_open(const char *dir, struct image_store **out) MUST_CHECK;
void image_store_close(struct image_store *store); /* NULL is fine */

/* Reads a docker-archive (docker save) or OCI archive, plain or compressed (gzip, zstd), from a file or a pipe; layers in it
 * likewise. Gives the references of the images it held, or their ids where they have no name. Refused with
 * ERR_INVALID and nothing left behind: wrong digests, paths or links that leave the layer, more than base/limits.h
 * allows, damaged archives. */
struct error *image_store_load(struct arena *arena, struct image_store *store, int fd, struct str **loaded,
			       size_t *n_loaded) MUST_CHECK;

/* By reference, id ("sha256:…" or 12 hex digits and more) or manifest digest. *out is NULL when there is none. */
struct error *image_store_find(struct arena *arena, struct image_store *store, struct str name,
			       const struct image **out) MUST_CHECK;
/* All, sorted by first reference. */
struct error *image_store_list(struct arena *arena, struct image_store *store, const struct image ***out, size_t *n) MUST_CHECK;
/* Another name for an image that is there. */
struct error *image_store_tag(struct image_store *store, struct str name, struct str new_ref) MUST_CHECK;
/* Takes a reference away, or with an id all of that image; then what nothing refers to any more goes, unless a node uses
 * it. ERR_NOT_FOUND when there is none. */
struct error *image_store_remove(struct image_store *store, struct str name) MUST_CHECK;
/* Removes layers, blobs and rubbish that nothing refers to. freed may be NULL. */
struct error *image_store_gc(struct image_store *store, uint64_t *freed) MUST_CHECK;
/* Sees to it that IMAGE_HELLO is there and is this program (a new version replaces it). Cheap when it is. */
struct error *image_store_add_hello(struct image_store *store) MUST_CHECK;
/* Bytes on disk and free bytes of the file system it is on. */
struct error *image_store_usage(struct image_store *store, uint64_t *used, uint64_t *available, uint64_t *capacity) MUST_CHECK;

/* Layer directories topmost first below `prefix`, as struct runtime_spec wants them. */
const char **image_layer_paths(struct arena *arena, const struct image *image, const char *prefix, size_t *n);

/* The numeric user of an image: runAsNonRoot judges by it. False when it is a name or unset (then it is 0). */
bool image_user_number(const struct image *image, int64_t *uid);

#endif
