#include "cmd/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE (64 * 1024 * 1024)

struct error *files_read(const char *path, struct buf *out)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC); /* waits for who writes a pipe: <(…) */
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "open %s", path);
	err = fd_read_all(fd, MAX_FILE, out);
	return err != NULL ? error_context(err, "%s", path) : NULL;
}

struct error *files_write(const char *path, struct str content, mode_t mode)
{
	AUTO_FREE char *beside = xasprintf("%s.new.%d", path, (int)getpid());
	AUTO_FD int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "create %s", beside);
	(void)fchmod(fd, mode);
	err = fd_write_all(fd, content);
	if (err == NULL && fsync(fd) != 0)
		err = error_errno(errno, "sync");
	if (err != NULL)
		err = error_context(err, "%s", beside);
	if (err == NULL && rename(beside, path) != 0)
		err = error_errno(errno, "rename %s", beside);
	if (err != NULL)
		unlink(beside);
	return err;
}

struct error *files_mkdir(const char *path, mode_t mode)
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

struct error *files_remove(const char *path)
{
	return dir_remove(AT_FDCWD, path);
}
