#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

struct error *fd_write_all(int fd, struct str data)
{
	while (data.len != 0) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "write");
		data = str_skip(data, (size_t)n);
	}
	return NULL;
}

struct error *fd_read_all(int fd, size_t max, struct buf *out)
{
	for (;;) {
		ssize_t n;

		buf_reserve(out, 4096);
		n = read(fd, out->ptr + out->len, out->cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "read");
		if (n == 0)
			return NULL;
		out->len += (size_t)n;
		if (out->len > max)
			return error_new(ERR_TOO_LARGE, "more than %zu bytes", max);
	}
}

struct error *file_read_at(int dirfd, const char *name, size_t max, struct buf *out)
{
	/* O_NONBLOCK: a pipe without a writer is empty, not to be waited for */
	AUTO_FD int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "open %s", name);
	err = fd_read_all(fd, max, out);
	return err != NULL ? error_context(err, "%s", name) : NULL;
}

static struct error *remove_entries(int fd, dev_t device);

static struct error *remove_entry(int dirfd, const char *name, dev_t device)
{
	AUTO_FD int fd = -1;
	struct stat st;
	struct error *err;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return NULL;
	if (errno != EISDIR && errno != EPERM)
		return error_errno(errno, "remove %s", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return NULL;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return error_errno(errno, "remove %s", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return error_errno(errno, "open %s", name);
	if (device != 0 && st.st_dev != device)
		return error_new(ERR_BUSY, "%s is a mount point", name);
	err = remove_entries(fd, st.st_dev);
	if (err != NULL)
		return error_context(err, "%s", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		return error_errno(errno, "remove %s", name);
	return NULL;
}

static struct error *remove_entries(int fd, dev_t device)
{
	AUTO_DIR DIR *dir = fdopendir(dup(fd));

	if (dir == NULL)
		return error_errno(errno, "list directory");
	for (;;) {
		struct dirent *entry;
		struct error *err;

		errno = 0;
		entry = readdir(dir);
		if (entry == NULL)
			return errno != 0 ? error_errno(errno, "list directory") : NULL;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		err = remove_entry(fd, entry->d_name, device);
		if (err != NULL)
			return err;
	}
}

struct error *dir_remove(int dirfd, const char *name)
{
	return remove_entry(dirfd, name, 0);
}
