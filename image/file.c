#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "image/private.h"

struct error *disk_replace(int dirfd, const char *path, struct str text)
{
	AUTO_FREE char *tmp = xasprintf("tmp/.file-%016llx", (unsigned long long)rand_u64());
	AUTO_FD int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "create %s", tmp);
	err = fd_write_all(fd, text);
	if (err == NULL && fsync(fd) != 0)
		err = error_errno(errno, "sync %s", path);
	if (err == NULL && renameat(dirfd, tmp, dirfd, path) != 0)
		err = error_errno(errno, "rename to %s", path);
	if (err != NULL)
		unlinkat(dirfd, tmp, 0);
	return err;
}
