/* The store on disk: image.h has the layout. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "image/private.h"

static const char *const directories[] = { "refs", "blobs", "blobs/sha256", "layers", "layers/sha256", "layers/size", "tmp" };
#define N(array) (sizeof(array) / sizeof((array)[0]))

struct error *image_store_open(const char *dir, struct image_store **out)
{
	struct image_store *store;
	AUTO_FREE char *path = xstrdup(dir);
	AUTO_FD int fd = -1;

	for (char *at = path + 1; *at != '\0'; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return error_errno(errno, "make directory %s", path);
		*at = '/';
	}
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return error_errno(errno, "make directory %s", path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "open image store %s", dir);
	for (size_t i = 0; i < N(directories); i++) {
		if (mkdirat(fd, directories[i], 0700) != 0 && errno != EEXIST)
			return error_errno(errno, "make directory %s/%s", dir, directories[i]);
	}
	store = xcalloc(1, sizeof(*store));
	store->fd = fd_take(&fd);
	store->dir = xstrdup(dir);
	*out = store;
	return NULL;
}

void image_store_close(struct image_store *store)
{
	if (store == NULL)
		return;
	close(store->fd);
	free(store->dir);
	free(store);
}

struct error *images_lock(struct image_store *store, int *out)
{
	AUTO_FD int fd = openat(store->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_errno(errno, "open lock of image store");
	while (flock(fd, LOCK_EX) != 0) {
		if (errno != EINTR)
			return error_errno(errno, "lock image store");
	}
	*out = fd_take(&fd);
	return NULL;
}

struct error *images_tmp(struct image_store *store, char name[TMP_NAME], int *fd)
{
	snprintf(name, TMP_NAME, "tmp/work-%016llx", (unsigned long long)rand_u64());
	if (mkdirat(store->fd, name, 0700) != 0)
		return error_errno(errno, "make directory %s", name);
	*fd = openat(store->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) != 0)
		return error_errno(errno, "lock %s", name);
	return NULL;
}

/* --- putting things in: what a reference needs before the reference --- */

static void ref_file(struct str ref, char path[128])
{
	char digest[DIGEST_TEXT];

	digest_of(ref, digest);
	snprintf(path, 128, "refs/%s", digest + 7);
}

static struct error *sync_directory(struct image_store *store, const char *name)
{
	AUTO_FD int fd = openat(store->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fsync(fd) == 0 ? NULL : error_errno(errno, "sync %s", name);
}

struct error *images_put_ref(struct image_store *store, const struct ref_record *record)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];
	struct error *err;

	ref_file(record->ref, path);
	buf_printf(&text, "%.*s\n%.*s\n%.*s\n", STR_ARG(record->ref), STR_ARG(record->id), STR_ARG(record->manifest));
	err = disk_replace(store->fd, path, buf_str(&text));
	return err == NULL ? sync_directory(store, "refs") : err;
}

static void blob_file(struct str digest, char path[128])
{
	snprintf(path, 128, "blobs/sha256/%.*s", STR_ARG(digest_hex(digest)));
}

struct error *images_put_blob(struct image_store *store, struct str digest, struct str content)
{
	char path[128];
	struct error *err;

	blob_file(digest, path);
	if (faccessat(store->fd, path, F_OK, 0) == 0)
		return NULL;
	err = disk_replace(store->fd, path, content);
	return err == NULL ? sync_directory(store, "blobs/sha256") : err;
}

static void layer_file(struct str diff_id, const char *kind, char path[128])
{
	snprintf(path, 128, "layers/%s/%.*s", kind, STR_ARG(digest_hex(diff_id)));
}

bool images_has_layer(struct image_store *store, const char *diff_id)
{
	char path[128];

	layer_file(str_from(diff_id), "sha256", path);
	return faccessat(store->fd, path, F_OK, 0) == 0;
}

struct error *images_put_layer(struct image_store *store, const char *from, const struct unpacked *layer)
{
	char path[128], size[32];
	struct error *err;
	int n = snprintf(size, sizeof(size), "%llu\n", (unsigned long long)layer->bytes);

	layer_file(str_from(layer->diff_id), "size", path);
	err = disk_replace(store->fd, path, str_of(size, (size_t)n));
	if (err != NULL)
		return err;
	layer_file(str_from(layer->diff_id), "sha256", path);
	if (renameat(store->fd, from, store->fd, path) != 0 && errno != ENOTEMPTY && errno != EEXIST)
		return error_errno(errno, "put layer %s in place", layer->diff_id);
	return sync_directory(store, "layers/sha256");
}

static uint64_t layer_size(struct image_store *store, struct str layer_path)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];
	uint64_t size = 0;

	snprintf(path, sizeof(path), "layers/size/%.*s", STR_ARG(str_skip(layer_path, strlen("layers/sha256/"))));
	error_free(file_read_at(store->fd, path, 64, &text));
	str_to_u64(str_trim(buf_str(&text)), &size);
	return size;
}

/* --- reading references --- */

typedef struct error *ref_fn(void *arg, const struct ref_record *record);

/* Calls fn for every good reference; a damaged one is as if it were not there, so that the image can be loaded again. */
static struct error *each_ref(struct image_store *store, ref_fn *fn, void *arg)
{
	int fd = openat(store->fd, "refs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct error *err = NULL;

	if (dir == NULL)
		return error_errno(errno, "list references");
	while (err == NULL && (entry = readdir(dir)) != NULL) {
		AUTO_BUF struct buf text = { 0 };
		struct ref_record record = { 0 };
		struct str rest;

		if (entry->d_name[0] == '.')
			continue;
		err = file_read_at(fd, entry->d_name, 4096, &text);
		if (err != NULL) {
			bool gone = err->kind == ERR_NOT_FOUND || err->kind == ERR_TOO_LARGE;

			if (gone) {
				error_free(err);
				err = NULL;
			}
			continue;
		}
		rest = buf_str(&text);
		str_cut(&rest, '\n', &record.ref);
		str_cut(&rest, '\n', &record.id);
		str_cut(&rest, '\n', &record.manifest);
		if (record.ref.len != 0 && digest_valid(record.id))
			err = fn(arg, &record);
	}
	return err;
}

struct listing {
	struct arena *arena;
	struct image_store *store;
	struct map by_id; /* id → struct image */
};

static struct error *load_image(struct listing *l, const struct ref_record *record, struct image **out)
{
	AUTO_BUF struct buf text = { 0 };
	struct image *image = ARENA_NEW(l->arena, struct image);
	char path[128], id[DIGEST_TEXT];
	struct error *err;

	*out = NULL;
	blob_file(record->id, path);
	err = file_read_at(l->store->fd, path, LIMIT_MANIFEST_BYTES, &text);
	if (err == NULL) {
		digest_of(buf_str(&text), id);
		if (!str_is(record->id, id))
			err = error_new(ERR_CORRUPT, "configuration of image %.*s is damaged", STR_ARG(record->id));
	}
	if (err == NULL)
		err = image_from_config(l->arena, str_dup(l->arena, buf_str(&text)), image);
	if (err != NULL && (err->kind == ERR_NOT_FOUND || err->kind == ERR_CORRUPT || err->kind == ERR_INVALID)) {
		error_free(err); /* not usable: as if it were not there */
		return NULL;
	}
	if (err != NULL)
		return err;
	image->size = text.len;
	for (size_t i = 0; i < image->n_layers; i++) {
		if (faccessat(l->store->fd, str_cstr(l->arena, image->layers[i]), F_OK, 0) != 0)
			return NULL;
		image->size += layer_size(l->store, image->layers[i]);
	}
	image->manifest = str_dup(l->arena, record->manifest);
	*out = image;
	return NULL;
}

static struct error *note_ref(void *arg, const struct ref_record *record)
{
	struct listing *l = arg;
	struct image *image = map_find(&l->by_id, record->id);
	struct str *refs;
	struct error *err;

	if (image == NULL) {
		err = load_image(l, record, &image);
		if (err != NULL || image == NULL)
			return err;
		map_set(&l->by_id, record->id, image);
	}
	if (image->manifest.len == 0)
		image->manifest = str_dup(l->arena, record->manifest);
	if (digest_valid(record->ref))
		return NULL;
	refs = ARENA_ARRAY(l->arena, struct str, image->n_refs + 1);
	if (image->n_refs != 0)
		memcpy(refs, image->refs, image->n_refs * sizeof(*refs));
	refs[image->n_refs++] = str_dup(l->arena, record->ref);
	image->refs = refs;
	return NULL;
}

static int compare_refs(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int compare_images(const void *a, const void *b)
{
	const struct image *x = *(const struct image *const *)a, *y = *(const struct image *const *)b;

	return str_cmp(x->n_refs != 0 ? x->refs[0] : x->id, y->n_refs != 0 ? y->refs[0] : y->id);
}

struct error *image_store_list(struct arena *arena, struct image_store *store, const struct image ***out, size_t *n)
{
	struct listing l = { .arena = arena, .store = store };
	struct error *err = each_ref(store, note_ref, &l);

	*n = 0;
	*out = ARENA_ARRAY(arena, const struct image *, l.by_id.len + 1);
	MAP_EACH (&l.by_id, it) {
		struct image *image = it->value;

		if (image->n_refs > 1)
			qsort(image->refs, image->n_refs, sizeof(*image->refs), compare_refs);
		(*out)[(*n)++] = image;
	}
	map_fini(&l.by_id);
	if (*n > 1)
		qsort(*out, *n, sizeof(**out), compare_images);
	return err;
}

/* --- finding --- */

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
			return false;
	}
	return s.len != 0;
}

static bool has_ref(const struct image *image, struct str ref)
{
	for (size_t i = 0; i < image->n_refs; i++) {
		if (str_eq(image->refs[i], ref))
			return true;
	}
	return false;
}

/* "sha256:…", or the digits of one, 12 or more. */
static bool looks_like_id(struct str name)
{
	return digest_valid(name) || (name.len >= 12 && name.len <= 64 && is_hex(name));
}

static bool matches(struct arena *arena, const struct image *image, struct str name, const struct image_ref *ref)
{
	struct image_ref plain;

	if (ref == NULL)
		return digest_valid(name) ? str_eq(image->id, name) || str_eq(image->manifest, name)
					  : str_has_prefix(digest_hex(image->id), name);
	if (ref->digest.len != 0)
		return str_eq(image->manifest, ref->digest) || str_eq(image->id, ref->digest);
	plain = *ref;
	return has_ref(image, image_ref_format(arena, &plain));
}

struct error *image_store_find(struct arena *arena, struct image_store *store, struct str name, const struct image **out)
{
	struct image_ref ref;
	bool by_id = looks_like_id(name);
	const struct image **images;
	size_t n;
	struct error *err = by_id && digest_valid(name) ? NULL : image_ref_parse(arena, name, &ref);

	*out = NULL;
	if (err != NULL && by_id) { /* 64 digits are no name */
		error_free(err);
		err = NULL;
	}
	if (err == NULL)
		err = image_store_list(arena, store, &images, &n);
	if (err != NULL)
		return err;
	/* a name goes before an id that happens to look alike */
	for (size_t i = 0; i < n && !digest_valid(name) && !(by_id && name.len == 64); i++) {
		if (matches(arena, images[i], name, &ref))
			*out = images[i];
	}
	for (size_t i = 0; i < n && *out == NULL && by_id; i++) {
		if (matches(arena, images[i], name, NULL))
			*out = images[i];
	}
	return NULL;
}

static struct error *get(struct arena *arena, struct image_store *store, struct str name, const struct image **out)
{
	struct error *err = image_store_find(arena, store, name, out);

	if (err == NULL && *out == NULL)
		err = error_new(ERR_NOT_FOUND, "image \"%.*s\" is not in the store", STR_ARG(name));
	return err;
}

/* --- changing --- */

static struct error *tag(struct arena *arena, struct image_store *store, struct str name, struct str new_ref)
{
	const struct image *image;
	struct image_ref ref;
	AUTO_FD int lock = -1;
	struct error *err = image_ref_parse(arena, new_ref, &ref);

	if (err == NULL && ref.digest.len != 0)
		err = error_new(ERR_INVALID, "a name with a digest cannot be given");
	if (err == NULL)
		err = images_lock(store, &lock);
	if (err == NULL)
		err = get(arena, store, name, &image);
	if (err != NULL)
		return err;
	return images_put_ref(store, &(struct ref_record){ image_ref_format(arena, &ref), image->id, image->manifest });
}

struct error *image_store_tag(struct image_store *store, struct str name, struct str new_ref)
{
	struct arena *arena = arena_new();
	struct error *err = tag(arena, store, name, new_ref);

	arena_free(arena);
	return err;
}

static struct error *drop_ref(struct image_store *store, struct str ref)
{
	char path[128];

	ref_file(ref, path);
	if (unlinkat(store->fd, path, 0) != 0 && errno != ENOENT)
		return error_errno(errno, "remove reference %.*s", STR_ARG(ref));
	return NULL;
}

static struct error *remove_named(struct arena *arena, struct image_store *store, struct str name)
{
	const struct image *image;
	struct image_ref ref;
	AUTO_FD int lock = -1;
	struct error *err = images_lock(store, &lock);

	if (err == NULL)
		err = get(arena, store, name, &image);
	if (err != NULL)
		return err;
	if (!digest_valid(name)) {
		err = image_ref_parse(arena, name, &ref);
		if (err == NULL && ref.digest.len == 0 && has_ref(image, image_ref_format(arena, &ref)))
			return drop_ref(store, image_ref_format(arena, &ref));
		error_free(err);
	}
	err = drop_ref(store, image->id);
	for (size_t i = 0; i < image->n_refs && err == NULL; i++)
		err = drop_ref(store, image->refs[i]);
	return err;
}

struct error *image_store_remove(struct image_store *store, struct str name)
{
	struct arena *arena = arena_new();
	struct error *err = remove_named(arena, store, name);

	arena_free(arena);
	return err == NULL ? image_store_gc(store, NULL) : err;
}

/* --- what nothing refers to --- */

struct alive {
	struct arena *arena;
	struct image_store *store;
	struct map blobs; /* hex digits */
	struct map layers;
};

static struct error *note_alive(void *arg, const struct ref_record *record)
{
	struct alive *a = arg;
	AUTO_BUF struct buf text = { 0 };
	struct image image;
	char path[128];
	struct error *err;

	map_set(&a->blobs, digest_hex(record->id), a);
	if (digest_valid(record->manifest))
		map_set(&a->blobs, digest_hex(record->manifest), a);
	blob_file(record->id, path);
	err = file_read_at(a->store->fd, path, LIMIT_MANIFEST_BYTES, &text);
	if (err == NULL)
		err = image_from_config(a->arena, str_dup(a->arena, buf_str(&text)), &image);
	if (err != NULL) { /* a reference to nothing keeps nothing */
		error_free(err);
		return NULL;
	}
	for (size_t i = 0; i < image.n_layers; i++)
		map_set(&a->layers, str_skip(image.layers[i], strlen("layers/sha256/")), a);
	return NULL;
}

typedef struct error *entry_fn(struct image_store *store, int dir, const char *name, void *arg);

static struct error *each_entry(struct image_store *store, const char *path, entry_fn *fn, void *arg)
{
	int fd = openat(store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	struct error *err = NULL;

	if (dir == NULL)
		return error_errno(errno, "list %s", path);
	while (err == NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			err = fn(store, fd, entry->d_name, arg);
	}
	return err;
}

static struct error *sweep_blob(struct image_store *store, int dir, const char *name, void *arg)
{
	const struct alive *a = arg;

	(void)store;
	if (map_find(&a->blobs, str_from(name)) == NULL && unlinkat(dir, name, 0) != 0 && errno != ENOENT)
		return error_errno(errno, "remove blob %s", name);
	return NULL;
}

/* A layer that a node uses is locked; it stays until a later sweep. Else it leaves its place at once, then its files go. */
static struct error *sweep_layer(struct image_store *store, int dir, const char *name, void *arg)
{
	const struct alive *a = arg;
	AUTO_FD int fd = -1;
	char size[128], trash[TMP_NAME];

	if (map_find(&a->layers, str_from(name)) != NULL)
		return NULL;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
		return NULL;
	snprintf(trash, sizeof(trash), "tmp/gone-%016llx", (unsigned long long)rand_u64());
	if (renameat(dir, name, store->fd, trash) != 0)
		return error_errno(errno, "remove layer %s", name);
	snprintf(size, sizeof(size), "layers/size/%s", name);
	unlinkat(store->fd, size, 0);
	return dir_remove(store->fd, trash);
}

static struct error *sweep_tmp(struct image_store *store, int dir, const char *name, void *arg)
{
	AUTO_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	(void)arg;
	(void)store;
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
		return NULL; /* somebody works there */
	/* a file or directory may be so new that its maker has not locked it yet */
	if (fstat(fd, &st) != 0 || st.st_mtime > time(NULL) - 60)
		return NULL;
	return dir_remove(dir, name);
}

static struct error *sweep(struct alive *a)
{
	AUTO_FD int lock = -1;
	struct error *err = images_lock(a->store, &lock);

	if (err == NULL)
		err = each_ref(a->store, note_alive, a);
	if (err == NULL)
		err = each_entry(a->store, "blobs/sha256", sweep_blob, a);
	if (err == NULL)
		err = each_entry(a->store, "layers/sha256", sweep_layer, a);
	return err == NULL ? each_entry(a->store, "tmp", sweep_tmp, a) : err;
}

struct error *image_store_gc(struct image_store *store, uint64_t *freed)
{
	struct alive a = { .arena = arena_new(), .store = store };
	uint64_t before = 0, after = 0, unused;
	struct error *err = freed != NULL ? image_store_usage(store, &before, &unused, &unused) : NULL;

	if (err == NULL)
		err = sweep(&a);
	if (err == NULL && freed != NULL) {
		err = image_store_usage(store, &after, &unused, &unused);
		*freed = before > after ? before - after : 0;
	}
	map_fini(&a.blobs);
	map_fini(&a.layers);
	arena_free(a.arena);
	return err;
}

/* --- how much --- */

static struct error *add_size(struct image_store *store, int dir, const char *name, void *arg)
{
	AUTO_BUF struct buf text = { 0 };
	uint64_t size = 0;

	(void)store;
	error_free(file_read_at(dir, name, 64, &text));
	str_to_u64(str_trim(buf_str(&text)), &size);
	*(uint64_t *)arg += size;
	return NULL;
}

struct error *image_store_usage(struct image_store *store, uint64_t *used, uint64_t *available, uint64_t *capacity)
{
	struct statvfs fs;

	*used = 0;
	if (fstatvfs(store->fd, &fs) != 0)
		return error_errno(errno, "look at the file system of %s", store->dir);
	*available = (uint64_t)fs.f_bavail * fs.f_frsize;
	*capacity = (uint64_t)fs.f_blocks * fs.f_frsize;
	return each_entry(store, "layers/size", add_size, used);
}
