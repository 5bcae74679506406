/*
 * The built-in image: one layer that holds this program as /monokube. The program is not copied where a hard link can be
 * made: then its pages in memory are shared with ours too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "image/private.h"

#if defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#define ARCHITECTURE "amd64"
#endif

static struct error *digest_program(int exe, char text[DIGEST_TEXT])
{
	static const char salt[] = "monokube/hello 1\n"; /* another one when the layer's shape changes */
	AUTO_FREE char *block = xmalloc(1 << 18);
	struct digest digest;
	ssize_t n;

	digest_init(&digest);
	digest_add(&digest, salt, sizeof(salt));
	while ((n = read(exe, block, 1 << 18)) > 0)
		digest_add(&digest, block, (size_t)n);
	if (n < 0) {
		digest_drop(&digest);
		return error_errno(errno, "read this program");
	}
	digest_end(&digest, text);
	return NULL;
}

static struct error *copy_program(int exe, int dir, off_t size)
{
	AUTO_FD int out = openat(dir, "monokube", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	off_t at = 0;

	if (out < 0)
		return error_errno(errno, "copy this program");
	while (at < size) {
		ssize_t n = sendfile(out, exe, &at, (size_t)(size - at));

		if (n <= 0)
			return error_errno(n < 0 ? errno : EIO, "copy this program");
	}
	return fchmod(out, 0755) == 0 ? NULL : error_errno(errno, "copy this program");
}

static struct error *make_layer(struct image_store *store, int exe, const struct unpacked *layer)
{
	static const char *const directories[] = { "etc", "tmp", "proc", "sys", "dev" };
	char work[TMP_NAME], from[TMP_NAME + 8];
	AUTO_FD int work_fd = -1, dir = -1;
	struct error *err = images_tmp(store, work, &work_fd);

	if (err != NULL)
		return err;
	if (mkdirat(work_fd, "0", 0755) != 0)
		err = error_errno(errno, "make layer");
	dir = openat(work_fd, "0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]) && err == NULL; i++) {
		if (mkdirat(dir, directories[i], 0755) != 0 || (i == 1 && fchmodat(dir, directories[i], 01777, 0) != 0))
			err = error_errno(errno, "make layer");
	}
	if (err == NULL && linkat(AT_FDCWD, "/proc/self/exe", dir, "monokube", AT_SYMLINK_FOLLOW) != 0)
		err = copy_program(exe, dir, (off_t)layer->bytes);
	if (err == NULL && syncfs(store->fd) != 0)
		err = error_errno(errno, "sync image store");
	if (err == NULL) {
		snprintf(from, sizeof(from), "%s/0", work);
		err = images_put_layer(store, from, layer);
	}
	error_free(dir_remove(store->fd, work));
	return err;
}

static struct error *put_image(struct image_store *store, const char *diff_id, char id[DIGEST_TEXT])
{
	AUTO_BUF struct buf config = { 0 };
	struct error *err;

	buf_printf(&config,
		   "{\"architecture\":\"" ARCHITECTURE "\",\"os\":\"linux\",\"config\":{\"Entrypoint\":[\"/monokube\",\"hello\"],"
		   "\"Env\":[\"PATH=/\"],\"ExposedPorts\":{\"8080/tcp\":{}},\"WorkingDir\":\"/\",\"Labels\":{"
		   "\"org.opencontainers.image.version\":\"" MONOKUBE_VERSION "\"}},"
		   "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
		   diff_id);
	digest_of(buf_str(&config), id);
	err = images_put_blob(store, str_from(id), buf_str(&config));
	if (err == NULL)
		err = images_put_ref(store, &(struct ref_record){ STR(IMAGE_HELLO), str_from(id), STR("") });
	return err;
}

/* "device inode size mtime": while it is the same, so is the program. */
static void print_of(const struct stat *st, char text[128])
{
	snprintf(text, 128, "%llu %llu %lld %lld.%09ld", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
		 (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static bool is_there(struct image_store *store, const char *print)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf text = { 0 };
	const struct image *image = NULL;
	struct str rest, line;
	bool there = false;

	error_free(file_read_at(store->fd, "hello", 512, &text));
	rest = buf_str(&text);
	if (str_cut(&rest, '\n', &line) && str_is(line, print) && str_cut(&rest, '\n', &line) && digest_valid(line)) {
		error_free(image_store_find(arena, store, STR(IMAGE_HELLO), &image));
		there = image != NULL && str_eq(image->id, line);
	}
	arena_free(arena);
	return there;
}

struct error *image_store_add_hello(struct image_store *store)
{
	AUTO_FD int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	AUTO_FD int lock = -1;
	AUTO_FREE char *note = NULL;
	struct unpacked layer = { .files = 1 };
	char print[128], id[DIGEST_TEXT];
	struct stat st;
	struct error *err;

	if (exe < 0 || fstat(exe, &st) != 0)
		return error_errno(errno, "open this program");
	print_of(&st, print);
	if (is_there(store, print))
		return NULL;
	layer.bytes = (uint64_t)st.st_size;
	err = digest_program(exe, layer.diff_id);
	if (err == NULL)
		err = images_lock(store, &lock);
	if (err == NULL && !images_has_layer(store, layer.diff_id))
		err = make_layer(store, exe, &layer);
	if (err == NULL)
		err = put_image(store, layer.diff_id, id);
	if (err == NULL) {
		note = xasprintf("%s\n%s\n", print, id);
		err = disk_replace(store->fd, "hello", str_from(note));
	}
	return err != NULL ? error_context(err, "image " IMAGE_HELLO) : NULL;
}
