#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "image/private.h"

struct error *disk_write(int fd, const void *ptr, size_t len)
{
	const char *at = ptr;

	while (len != 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "write");
		at += n;
		len -= (size_t)n;
	}
	return NULL;
}

struct error *disk_read(int dirfd, const char *path, size_t max, struct buf *out)
{
	AUTO_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(errno, "open %s", path);
	for (;;) {
		ssize_t n;

		buf_reserve(out, 16384);
		n = read(fd, out->ptr + out->len, out->cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "read %s", path);
		if (n == 0)
			return NULL;
		out->len += (size_t)n;
		if (out->len > max)
			return error_new(ERR_TOO_LARGE, "%s has more than %zu bytes", path, max);
	}
}

struct error *disk_replace(int dirfd, const char *path, struct str text)
{
	AUTO_FREE char *tmp = xasprintf("tmp/.file-%016llx", (unsigned long long)rand_u64());
	AUTO_FD int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "create %s", tmp);
	err = disk_write(fd, text.ptr, text.len);
	if (err == NULL && fsync(fd) != 0)
		err = error_errno(errno, "sync %s", path);
	if (err == NULL && renameat(dirfd, tmp, dirfd, path) != 0)
		err = error_errno(errno, "rename to %s", path);
	if (err != NULL)
		unlinkat(dirfd, tmp, 0);
	return err;
}

static struct error *remove_below(int fd)
{
	AUTO_DIR DIR *dir = fdopendir(dup(fd));
	struct dirent *entry;

	if (dir == NULL)
		return error_errno(errno, "list directory");
	while ((entry = readdir(dir)) != NULL) {
		struct error *err;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		err = disk_remove(fd, entry->d_name);
		if (err != NULL)
			return err;
	}
	return NULL;
}

struct error *disk_remove(int dirfd, const char *name)
{
	AUTO_FD int fd = -1;
	struct error *err;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return NULL;
	if (errno != EISDIR && errno != EPERM)
		return error_errno(errno, "remove %s", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "open %s", name);
	err = remove_below(fd);
	if (err == NULL && unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		err = error_errno(errno, "remove %s", name);
	return err;
}
