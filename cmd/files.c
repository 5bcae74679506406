#include "cmd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE (64 * 1024 * 1024)

struct error *file_read(const char *path, struct buf *out)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return error_errno(errno, "open %s", path);
	do {
		buf_reserve(out, 64 * 1024);
		n = read(fd, out->ptr + out->len, out->cap - out->len);
		if (n > 0)
			out->len += (size_t)n;
	} while ((n > 0 && out->len < MAX_FILE) || (n < 0 && errno == EINTR));
	return n < 0 ? error_errno(errno, "read %s", path) : NULL;
}

static struct error *write_all(int fd, struct str content, const char *path)
{
	while (content.len != 0) {
		ssize_t n = write(fd, content.ptr, content.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "write %s", path);
		content = str_skip(content, (size_t)n);
	}
	return fsync(fd) != 0 ? error_errno(errno, "sync %s", path) : NULL;
}

struct error *file_write(const char *path, struct str content, mode_t mode)
{
	AUTO_FREE char *beside = xasprintf("%s.new.%d", path, (int)getpid());
	AUTO_FD int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "create %s", beside);
	(void)fchmod(fd, mode);
	err = write_all(fd, content, beside);
	if (err == NULL && rename(beside, path) != 0)
		err = error_errno(errno, "rename %s", beside);
	if (err != NULL)
		unlink(beside);
	return err;
}

struct error *dir_make(const char *path, mode_t mode)
{
	AUTO_FREE char *copy = xstrdup(path);

	for (char *at = copy + 1; *at != '\0'; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			return error_errno(errno, "make directory %s", copy);
		*at = '/';
	}
	if (mkdir(copy, mode) != 0 && errno != EEXIST)
		return error_errno(errno, "make directory %s", path);
	return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

struct error *dir_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? NULL : error_errno(errno, "look at %s", path);
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		return error_errno(errno, "remove %s", path);
	return NULL;
}
