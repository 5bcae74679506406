/*
 * Loading archives. One pass over the stream, nothing is kept twice: what is a layer is unpacked as it comes, what is a
 * document is kept in memory, each under its name and digest; then manifest.json (docker save) or index.json (OCI) says
 * which belong together, and only then the store gets to see them.
 *
 *	bytes ─► decompress ─► outer tar ─┬─ tar, gzip, zstd ─► layer_unpack() ─► tmp/work-…/<n>
 *	                                  └─ "{", "[" ─────────► memory
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "image/private.h"

#define BLOBS         "blobs/sha256/"
#define DOCUMENTS_MAX (64 * 1024 * 1024) /* all documents of one archive */
#define MEMBERS_MAX   10000

struct member {                   /* of the archive */
	char digest[DIGEST_TEXT]; /* of the bytes as they are there */
	struct str text;          /* a document */
	bool is_layer;
	char tmp[16]; /* directory below the work directory; "": the store has it already */
	struct unpacked layer;
	const char *link; /* another member */
};

struct load {
	struct arena *arena;
	struct image_store *store;
	int fd;
	struct archive *outer;
	char work[TMP_NAME];
	int work_fd;
	struct map members;   /* name → struct member */
	struct map by_digest; /* digest → struct member */
	size_t documents;     /* bytes */
	int layers;
	VEC(struct str) loaded;
};

/* --- one member of the archive --- */

struct reader { /* of one member; hashes as it goes */
	struct load *load;
	struct digest digest;
	const void *first; /* looked at already */
	size_t first_len;
};

static struct error *next_block(struct load *load, const void **ptr, size_t *len)
{
	la_int64_t offset;
	int rc;

	do {
		rc = archive_read_data_block(load->outer, ptr, len, &offset);
	} while (rc == ARCHIVE_OK && *len == 0);
	if (rc == ARCHIVE_EOF)
		*len = 0;
	else if (rc < ARCHIVE_WARN)
		return archive_failed(load->outer, "read archive");
	return NULL;
}

static struct error *reader_next(void *arg, const void **ptr, size_t *len)
{
	struct reader *r = arg;
	struct error *err = NULL;

	if (r->first_len != 0) {
		*ptr = r->first;
		*len = r->first_len;
		r->first_len = 0;
	} else {
		err = next_block(r->load, ptr, len);
	}
	if (err == NULL && *len != 0)
		digest_add(&r->digest, *ptr, *len);
	return err;
}

static bool looks_like_layer(const unsigned char *ptr, size_t len)
{
	static const unsigned char gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	size_t zeros = 0;

	if (len >= 2 && memcmp(ptr, gzip, 2) == 0)
		return true;
	if (len >= 4 && memcmp(ptr, zstd, 4) == 0)
		return true;
	if (len >= 262 && memcmp(ptr + 257, "ustar", 5) == 0)
		return true;
	while (zeros < len && ptr[zeros] == 0)
		zeros++;
	return len >= 512 && zeros >= 512; /* an empty tar is only its end */
}

static struct error *take_layer(struct load *load, struct reader *reader, struct member *m)
{
	const struct layer_source source = { reader_next, reader };
	AUTO_FD int root = -1;
	const void *ptr;
	size_t len = 1;
	struct error *err;

	if (load->layers >= LIMIT_LAYERS * 8)
		return error_new(ERR_INVALID, "archive holds more than %d layers", LIMIT_LAYERS * 8);
	m->is_layer = true;
	snprintf(m->tmp, sizeof(m->tmp), "%d", load->layers++);
	if (mkdirat(load->work_fd, m->tmp, 0755) != 0)
		return error_errno(errno, "make directory for a layer");
	root = openat(load->work_fd, m->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_errno(errno, "open directory for a layer");
	err = layer_unpack(root, &source, &m->layer);
	while (err == NULL && len != 0) /* bytes behind a compressed stream count too */
		err = reader_next(reader, &ptr, &len);
	return err;
}

static struct error *take_document(struct load *load, struct reader *reader, struct member *m)
{
	AUTO_BUF struct buf text = { 0 };
	const void *ptr;
	size_t len = 1;
	struct error *err = NULL;

	while (err == NULL && len != 0) {
		err = reader_next(reader, &ptr, &len);
		if (err == NULL)
			buf_append(&text, ptr, len);
		if (text.len > LIMIT_MANIFEST_BYTES || load->documents + text.len > DOCUMENTS_MAX)
			return error_new(ERR_INVALID, "a document of more than %d bytes", LIMIT_MANIFEST_BYTES);
	}
	load->documents += text.len;
	m->text = str_dup(load->arena, buf_str(&text));
	return err;
}

/* A layer that the store has needs no unpacking, when its name says what it is: plain tars are named by their diff id. */
static bool known_layer(struct load *load, const char *name)
{
	char digest[DIGEST_TEXT];

	if (strncmp(name, BLOBS, strlen(BLOBS)) != 0 || strlen(name) != strlen(BLOBS) + 64)
		return false;
	snprintf(digest, sizeof(digest), "sha256:%s", name + strlen(BLOBS));
	return digest_valid(str_from(digest)) && images_has_layer(load->store, digest);
}

/* Only hashes: the digest decides whether it really is the layer the store has. */
static struct error *take_known_layer(struct reader *reader, struct member *m)
{
	const void *ptr;
	size_t len = 1;
	struct error *err = NULL;

	while (err == NULL && len != 0)
		err = reader_next(reader, &ptr, &len);
	m->is_layer = true;
	return err;
}

static struct error *check_digest(const char *name, const struct member *m)
{
	if (strncmp(name, BLOBS, strlen(BLOBS)) == 0 && strcmp(name + strlen(BLOBS), m->digest + 7) != 0)
		return error_new(ERR_INVALID, "%s has the digest %s", name, m->digest);
	return NULL;
}

static struct error *take_member(struct load *load, const char *name)
{
	struct member *m = ARENA_NEW(load->arena, struct member);
	struct reader reader = { .load = load };
	unsigned char head[512];
	const void *ptr;
	size_t len = 0;
	bool known = false;
	struct error *err = next_block(load, &ptr, &len);

	if (err != NULL)
		return err;
	memcpy(head, ptr != NULL ? ptr : "", len < sizeof(head) ? len : sizeof(head));
	reader.first = ptr;
	reader.first_len = len;
	digest_init(&reader.digest);
	if (len != 0 && looks_like_layer(head, len < sizeof(head) ? len : sizeof(head))) {
		known = known_layer(load, name) && head[0] != 0x1f && head[0] != 0x28;
		err = known ? take_known_layer(&reader, m) : take_layer(load, &reader, m);
	} else {
		err = take_document(load, &reader, m);
	}
	if (err == NULL)
		digest_end(&reader.digest, m->digest);
	digest_drop(&reader.digest);
	if (err == NULL)
		err = check_digest(name, m);
	if (err != NULL)
		return error_context(err, "%s", name);
	if (known)
		memcpy(m->layer.diff_id, m->digest, sizeof(m->digest));
	map_set(&load->members, str_from(name), m);
	map_set(&load->by_digest, str_from(m->digest), m);
	return NULL;
}

static const char *plain_name(struct arena *arena, const char *name)
{
	while (strncmp(name, "./", 2) == 0)
		name += 2;
	return arena_strdup(arena, name);
}

static struct error *take_entry(struct load *load, struct archive_entry *entry)
{
	const char *given = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry);
	const char *name = given != NULL ? plain_name(load->arena, given) : "";

	if (load->members.len > MEMBERS_MAX)
		return error_new(ERR_INVALID, "archive holds more than %d files", MEMBERS_MAX);
	if (hard != NULL || archive_entry_filetype(entry) == AE_IFLNK) {
		/* docker save wrote equal layers as links between directories: the last two parts name the target */
		struct member *m = ARENA_NEW(load->arena, struct member);
		const char *target = hard != NULL ? hard : archive_entry_symlink(entry);

		while (target != NULL && strncmp(target, "../", 3) == 0)
			target += 3;
		m->link = plain_name(load->arena, target != NULL ? target : "");
		map_set(&load->members, str_from(name), m);
		return NULL;
	}
	return archive_entry_filetype(entry) == AE_IFREG ? take_member(load, name) : NULL;
}

static struct error *take_all(struct load *load)
{
	struct archive_entry *entry;
	int rc;

	archive_filters(load->outer);
	archive_read_support_format_tar(load->outer);
	if (archive_read_open_fd(load->outer, load->fd, 1 << 16) != ARCHIVE_OK)
		return archive_failed(load->outer, "open archive");
	while ((rc = archive_read_next_header(load->outer, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		struct error *err = take_entry(load, entry);

		if (err != NULL)
			return err;
	}
	return rc == ARCHIVE_EOF ? NULL : archive_failed(load->outer, "read archive");
}

static const struct member *member_find(const struct load *load, struct str name)
{
	const struct member *m = map_find(&load->members, name);

	for (int links = 0; m != NULL && m->link != NULL; links++)
		m = links < 8 ? map_find(&load->members, str_from(m->link)) : NULL;
	return m;
}

/* --- one image --- */

struct source { /* what an archive says of an image */
	const struct member *config;
	const struct member *manifest; /* NULL: none */
	const struct member *layers[LIMIT_LAYERS];
	size_t n_layers;
};

static struct error *check_layers(const struct source *s, const struct image *image)
{
	if (s->n_layers != image->n_layers)
		return error_new(ERR_INVALID, "the archive has %zu layers, the configuration names %zu", s->n_layers,
				 image->n_layers);
	for (size_t i = 0; i < s->n_layers; i++) {
		struct str want = str_skip(image->layers[i], strlen("layers/sha256/"));

		if (!str_is(want, s->layers[i]->layer.diff_id + 7))
			return error_new(ERR_INVALID, "layer %zu has the digest %s, not sha256:%.*s", i + 1,
					 s->layers[i]->layer.diff_id, STR_ARG(want));
	}
	return NULL;
}

static struct error *put_layers(struct load *load, const struct source *s)
{
	for (size_t i = 0; i < s->n_layers; i++) {
		const struct member *m = s->layers[i];
		char from[TMP_NAME + 32];
		struct error *err;

		if (images_has_layer(load->store, m->layer.diff_id))
			continue;
		if (m->tmp[0] == '\0')
			return error_new(ERR_CONFLICT, "layer %s was removed meanwhile", m->layer.diff_id);
		snprintf(from, sizeof(from), "%s/%s", load->work, m->tmp);
		err = images_put_layer(load->store, from, &m->layer);
		if (err != NULL)
			return err;
	}
	return NULL;
}

static struct error *put_image(struct load *load, const struct source *s, const struct str *refs, size_t n_refs)
{
	struct image image;
	struct str manifest = s->manifest != NULL ? str_from(s->manifest->digest) : STR("");
	struct error *err = image_from_config(load->arena, s->config->text, &image);

	if (err == NULL)
		err = check_layers(s, &image);
	if (err == NULL)
		err = put_layers(load, s);
	if (err == NULL)
		err = images_put_blob(load->store, image.id, s->config->text);
	if (err == NULL && s->manifest != NULL)
		err = images_put_blob(load->store, manifest, s->manifest->text);
	for (size_t i = 0; i < n_refs && err == NULL; i++) {
		err = images_put_ref(load->store, &(struct ref_record){ refs[i], image.id, manifest });
		vec_push(&load->loaded, refs[i]);
	}
	if (err == NULL && n_refs == 0) {
		err = images_put_ref(load->store, &(struct ref_record){ image.id, image.id, manifest });
		vec_push(&load->loaded, image.id);
	}
	return err;
}

static struct error *add_ref(struct load *load, struct str text, struct str *refs, size_t *n)
{
	struct image_ref ref;
	struct error *err = image_ref_parse(load->arena, text, &ref);

	if (err == NULL)
		refs[(*n)++] = image_ref_format(load->arena, &ref);
	return err;
}

static struct error *add_layer(struct source *s, const struct member *m, struct str name)
{
	if (m == NULL || !m->is_layer)
		return error_new(ERR_INVALID, "layer %.*s is not in the archive", STR_ARG(name));
	if (s->n_layers == LIMIT_LAYERS)
		return error_new(ERR_INVALID, "an image of more than %d layers", LIMIT_LAYERS);
	s->layers[s->n_layers++] = m;
	return NULL;
}

/* --- docker save: manifest.json --- */

/* The manifest of an OCI layout beside it that has this configuration: gives the digest by which others know the image. */
static const struct member *find_manifest(const struct load *load, const char *config_digest)
{
	MAP_EACH (&load->by_digest, it) {
		const struct member *m = it->value;
		const struct json *json;
		bool found = false;

		if (m->is_layer || m->text.len == 0 || !str_contains(m->text, str_from(config_digest)))
			continue;
		struct error *err = json_read(load->arena, m->text, NULL, &json);

		found = err == NULL && str_is(json_path_str(json, "config.digest"), config_digest);
		error_free(err);
		if (found)
			return m;
	}
	return NULL;
}

static struct error *take_docker_image(struct load *load, const struct json *in)
{
	struct source s = { .config = member_find(load, json_get_str(in, "Config")) };
	const struct json *tags = json_get(in, "RepoTags");
	struct str *refs = ARENA_ARRAY(load->arena, struct str, json_len(tags) + 1);
	size_t n_refs = 0;
	struct error *err = NULL;

	if (s.config == NULL || s.config->is_layer)
		return error_new(ERR_INVALID, "configuration %.*s is not in the archive", STR_ARG(json_get_str(in, "Config")));
	s.manifest = find_manifest(load, s.config->digest);
	JSON_EACH (json_get(in, "Layers"), it) {
		if (err == NULL)
			err = add_layer(&s, member_find(load, json_str(it.value)), json_str(it.value));
	}
	JSON_EACH (tags, it) {
		if (err == NULL)
			err = add_ref(load, json_str(it.value), refs, &n_refs);
	}
	return err == NULL ? put_image(load, &s, refs, n_refs) : err;
}

/* --- OCI layout: index.json --- */

static bool platform_fits(const struct json *descriptor)
{
	const struct json *platform = json_get(descriptor, "platform");
#if defined(__aarch64__)
	const char *architecture = "arm64";
#else
	const char *architecture = "amd64";
#endif

	return json_absent(platform) ||
	       (str_is(json_get_str(platform, "os"), "linux") && str_is(json_get_str(platform, "architecture"), architecture));
}

static const struct member *blob_find(const struct load *load, struct str digest)
{
	return digest_valid(digest) ? map_find(&load->by_digest, digest) : NULL;
}

static struct error *take_manifest(struct load *load, const struct member *m, const struct json *json, struct str name)
{
	struct source s = { .config = blob_find(load, json_path_str(json, "config.digest")), .manifest = m };
	struct str refs[1];
	size_t n_refs = 0;
	struct error *err = NULL;

	if (s.config == NULL || s.config->is_layer)
		return error_new(ERR_INVALID, "configuration %.*s is not in the archive",
				 STR_ARG(json_path_str(json, "config.digest")));
	JSON_EACH (json_get(json, "layers"), it) {
		struct str digest = json_get_str(it.value, "digest");

		if (err == NULL)
			err = add_layer(&s, blob_find(load, digest), digest);
	}
	if (err == NULL && name.len != 0)
		err = add_ref(load, name, refs, &n_refs);
	return err == NULL ? put_image(load, &s, refs, n_refs) : err;
}

static struct str name_of(const struct json *descriptor)
{
	const struct json *annotations = json_get(descriptor, "annotations");
	struct str name = json_get_str(annotations, "io.containerd.image.name");

	return name.len != 0 ? name : json_get_str(annotations, "org.opencontainers.image.ref.name");
}

static struct error *take_index(struct load *load, struct str text, struct str name, int depth)
{
	const struct json *index;
	struct error *err = json_read(load->arena, text, NULL, &index);

	if (err != NULL)
		return error_context(err, "index");
	if (depth > 4)
		return error_new(ERR_INVALID, "indexes within indexes");
	JSON_EACH (json_get(index, "manifests"), it) {
		struct str digest = json_get_str(it.value, "digest"), own = name_of(it.value);
		const struct member *m = blob_find(load, digest);
		const struct json *json;

		if (err != NULL || !platform_fits(it.value))
			continue;
		if (m == NULL || m->is_layer)
			return error_new(ERR_INVALID, "manifest %.*s is not in the archive", STR_ARG(digest));
		err = json_read(load->arena, m->text, NULL, &json);
		if (err != NULL)
			return error_context(err, "manifest");
		if (!json_absent(json_get(json, "manifests")))
			err = take_index(load, m->text, own.len != 0 ? own : name, depth + 1);
		else
			err = take_manifest(load, m, json, own.len != 0 ? own : name);
	}
	return err;
}

/* --- the whole --- */

static struct error *take_images(struct load *load)
{
	const struct member *docker = member_find(load, STR("manifest.json")), *oci = member_find(load, STR("index.json"));
	const struct json *list;
	struct error *err = NULL;

	if (docker == NULL && oci == NULL)
		return error_new(ERR_INVALID, "neither manifest.json (docker save) nor index.json (OCI) is in the archive");
	if (docker == NULL)
		return take_index(load, oci->text, STR(""), 0);
	err = json_read(load->arena, docker->text, NULL, &list);
	if (err != NULL)
		return error_context(err, "manifest.json");
	if (json_len(list) == 0)
		return error_new(ERR_INVALID, "manifest.json names no image");
	JSON_EACH (list, it) {
		if (err == NULL)
			err = take_docker_image(load, it.value);
	}
	return err;
}

static struct error *load_all(struct load *load)
{
	AUTO_FD int lock = -1;
	struct error *err = images_tmp(load->store, load->work, &load->work_fd);

	if (err == NULL)
		err = take_all(load);
	/* everything unpacked is on disk before anything gets its name */
	if (err == NULL && syncfs(load->store->fd) != 0)
		err = error_errno(errno, "sync image store");
	if (err == NULL)
		err = images_lock(load->store, &lock);
	return err == NULL ? take_images(load) : err;
}

struct error *image_store_load(struct arena *arena, struct image_store *store, int fd, struct str **loaded, size_t *n_loaded)
{
	struct load load = { .arena = arena, .store = store, .fd = fd, .outer = archive_read_new(), .work_fd = -1 };
	struct error *err = load_all(&load);

	archive_read_free(load.outer);
	if (load.work[0] != '\0') {
		struct error *late = dir_remove(store->fd, load.work);

		if (err == NULL)
			err = late;
		else
			error_free(late);
	}
	if (load.work_fd >= 0)
		close(load.work_fd);
	*n_loaded = load.loaded.len;
	*loaded = ARENA_ARRAY(arena, struct str, load.loaded.len + 1);
	if (load.loaded.len != 0)
		memcpy(*loaded, load.loaded.ptr, load.loaded.len * sizeof(**loaded));
	vec_fini(&load.loaded);
	map_fini(&load.members);
	map_fini(&load.by_digest);
	if (err != NULL && (err->kind == ERR_BAD_REQUEST))
		err->kind = ERR_INVALID; /* broken JSON in an archive */
	return err != NULL ? error_context(err, "load image") : NULL;
}
