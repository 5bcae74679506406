/* Whole files: bounds, absence, and what must not be followed or entered. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/tap.h"

static int begin(char dir[64])
{
	strcpy(dir, "/tmp/monokube-file-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

TEST(files_are_read_whole_and_no_further_than_allowed)
{
	char dir[64];
	AUTO_FD int at = begin(dir);
	AUTO_FD int fd = openat(at, "some", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	AUTO_BUF struct buf big = { 0 }, back = { 0 };

	for (int i = 0; i < 100000; i++)
		buf_putc(&big, (char)i);
	CHECK_OK(fd_write_all(fd, buf_str(&big)));
	CHECK_OK(file_read_at(at, "some", big.len, &back));
	CHECK(str_eq(buf_str(&back), buf_str(&big)));
	buf_clear(&back);
	CHECK_ERR(file_read_at(at, "some", big.len - 1, &back), ERR_TOO_LARGE);
	CHECK_ERR(file_read_at(at, "other", 1, &back), ERR_NOT_FOUND);
	CHECK_ERR(fd_write_all(-1, STR("x")), ERR_IO);
	CHECK_OK(dir_remove(AT_FDCWD, dir));
}

TEST(removal_follows_no_links_and_enters_no_mounts)
{
	char dir[64], below[96];
	AUTO_FD int at = begin(dir);
	AUTO_FD int inside = -1, mounted = -1;

	CHECK(mkdirat(at, "kept", 0700) == 0 && mkdirat(at, "gone", 0700) == 0 && mkdirat(at, "gone/deep", 0700) == 0);
	close(openat(at, "kept/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	inside = openat(at, "gone/deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(openat(inside, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	CHECK(symlinkat("../../kept", inside, "link") == 0 && symlinkat("nowhere", inside, "broken") == 0);
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0) {
		CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdirat(inside, "mount", 0700) == 0);
		snprintf(below, sizeof(below), "%s/gone/deep/mount", dir);
		CHECK(mount("tmpfs", below, "tmpfs", 0, "size=4k") == 0);
		mounted = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(openat(mounted, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		CHECK_ERR(dir_remove(at, "gone"), ERR_BUSY);
		CHECK(faccessat(mounted, "file", F_OK, 0) == 0);
		CHECK(umount2(below, MNT_DETACH) == 0);
	}
	CHECK_OK(dir_remove(at, "gone"));
	CHECK_OK(dir_remove(at, "gone"));
	CHECK(faccessat(at, "kept/file", F_OK, 0) == 0);
	CHECK_OK(dir_remove(AT_FDCWD, dir));
}
