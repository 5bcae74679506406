/*
 * Layers and whole archives from outside. Input: a letter (l: the bytes of one layer; i: an archive of images) and the bytes; or
 * j: a configuration, a line "%", a layer, of which an archive with the right digests is made.
 *
 * Whatever is in them, nothing appears or changes beside the store, a load that fails leaves nothing behind, and an image that
 * was loaded can be found. Unpacks below /dev/shm; needs root.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/private.h"
#include "tests/fuzz/fuzz.h"

#define BESIDE "nobody touches this"

static char dir[80];

static struct str path_of(char path[128], const char *name)
{
	return str_of(path, (size_t)snprintf(path, 128, "%s/%s", dir, name));
}

static void clean_up(void)
{
	AUTO_ERROR err = dir_remove(AT_FDCWD, dir);

	(void)err;
}

static void set_up(void)
{
	char path[128];

	if (dir[0] != '\0')
		return;
	FUZZ_CHECK(geteuid() == 0);
	/* Never removed before the end: `make fuzz` takes TMPDIR away when libFuzzer has left. */
	snprintf(dir, sizeof(dir), "%s/fuzz-archive-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/dev/shm");
	FUZZ_CHECK(mkdtemp(dir) != NULL);
	atexit(clean_up);
	AUTO_FD int fd = open(path_of(path, "beside").ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FUZZ_OK(fd_write_all(fd, str_of(BESIDE, strlen(BESIDE))));
}

static void check_beside(void)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];
	struct stat st;

	path_of(path, "beside");
	FUZZ_CHECK(lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1);
	FUZZ_OK(file_read_at(AT_FDCWD, path, 1000, &text));
	FUZZ_SAME(buf_str(&text), STR(BESIDE));
	FUZZ_CHECK(stat(dir, &st) == 0 && (st.st_nlink == 2 || st.st_nlink == 3));
}

struct source {
	struct str rest;
};

static struct error *next(void *arg, const void **ptr, size_t *len)
{
	struct source *source = arg;

	*ptr = source->rest.ptr;
	*len = source->rest.len < 300 ? source->rest.len : 300;
	source->rest = str_skip(source->rest, *len);
	return NULL;
}

static void check_layer(struct str in)
{
	struct unpacked out = { 0 };
	struct source source = { in };
	char path[128];

	path_of(path, "layer");
	FUZZ_CHECK(mkdir(path, 0755) == 0);
	AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_ERROR err = layer_unpack(root, &(struct layer_source){ next, &source }, &out);
	check_beside();
	FUZZ_OK(dir_remove(AT_FDCWD, path));
}

static void check_store(struct arena *arena, struct image_store *store, struct error *err, const struct str *loaded, size_t n)
{
	const struct image **images;
	size_t n_images;

	check_beside();
	FUZZ_OK(image_store_list(arena, store, &images, &n_images));
	FUZZ_CHECK(err == NULL || n_images == 0);
	for (size_t i = 0; err == NULL && i < n; i++) {
		const struct image *image = NULL;
		FUZZ_OK(image_store_find(arena, store, loaded[i], &image));
		FUZZ_CHECK(image != NULL);
	}
}

static void check_load(struct arena *arena, struct str in)
{
	AUTO_FD int fd = memfd_create("archive", MFD_CLOEXEC);
	struct image_store *store;
	struct str *loaded = NULL;
	char path[128];
	size_t n = 0;

	path_of(path, "store");
	FUZZ_CHECK(write(fd, in.ptr, in.len) == (ssize_t)in.len && lseek(fd, 0, SEEK_SET) == 0);
	FUZZ_OK(image_store_open(path, &store));
	AUTO_ERROR err = image_store_load(arena, store, fd, &loaded, &n);
	check_store(arena, store, err, loaded, n);
	image_store_close(store);
	FUZZ_OK(dir_remove(AT_FDCWD, path));
}

/* --- archives with the right digests --- */

static void tar_member(struct buf *out, const char *name, struct str content)
{
	char head[512] = { 0 };
	unsigned sum = 0;

	snprintf(head, 100, "%s", name);
	snprintf(head + 100, 8, "0000644");
	snprintf(head + 124, 12, "%011zo", content.len);
	snprintf(head + 136, 12, "%011o", 0);
	head[156] = '0';
	memcpy(head + 257, "ustar\00000", 8);
	memset(head + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(head); i++)
		sum += (unsigned char)head[i];
	snprintf(head + 148, 8, "%06o", sum);
	buf_append(out, head, sizeof(head));
	buf_add(out, content);
	while (out->len % 512 != 0)
		buf_putc(out, 0);
}

/* "%D" in the configuration becomes the layer's digest. */
static void build_archive(struct buf *out, struct str config, struct str layer)
{
	AUTO_BUF struct buf text = { 0 };
	char digest[DIGEST_TEXT];

	digest_of(layer, digest);
	for (size_t i = 0; i < config.len; i++) {
		if (str_has_prefix(str_skip(config, i), STR("%D")))
			buf_add(&text, str_from(digest)), i++;
		else
			buf_putc(&text, config.ptr[i]);
	}
	tar_member(out, "layer.tar", layer);
	tar_member(out, "config.json", buf_str(&text));
	tar_member(out, "manifest.json", STR("[{\"Config\":\"config.json\",\"RepoTags\":[\"a:b\"],\"Layers\":[\"layer.tar\"]}]"));
	for (int i = 0; i < 1024; i++)
		buf_putc(out, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	struct arena *arena = arena_new();
	AUTO_BUF struct buf archive = { 0 };
	unsigned letter = fuzz_choice(&in, 256);

	set_up();
	if (letter == 'j') {
		struct str config = fuzz_part(&in);
		build_archive(&archive, config, in);
		check_load(arena, buf_str(&archive));
	} else if (letter == 'i') {
		check_load(arena, in);
	} else {
		check_layer(in);
	}
	arena_free(arena);
	return 0;
}
