#include "runtime/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"

#define LINKS_MAX 40

struct error *file_write_at(int dirfd, const char *name, struct str text)
{
	AUTO_FD int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return error_errno(errno, "open %s", name);
	do {
		n = write(fd, text.ptr, text.len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(errno, "write \"%.*s\" to %s", STR_ARG(text), name);
	return NULL;
}

struct error *file_put_at(int dirfd, const char *name, struct str text, mode_t mode)
{
	AUTO_FD int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "create %s", name);
	err = fd_write_all(fd, text);
	return err != NULL ? error_context(err, "%s", name) : NULL;
}

static int open_in_root(int rootfd, const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd;

	do {
		fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return (int)fd;
}

/* What of rest the last component points to, expanded: walks `path` to a form without links and dots, below the root, as
 * far as it exists; behind that, text counts. */
static struct error *resolve(int rootfd, const char *path, char out[PATH_MAX])
{
	char rest[PATH_MAX], link[PATH_MAX];
	size_t len = 0;
	int links = 0;

	if ((size_t)snprintf(rest, sizeof(rest), "%s", path) >= sizeof(rest))
		return error_errno(ENAMETOOLONG, "resolve %s", path);
	out[0] = '\0';
	while (rest[0] != '\0') {
		char *name = rest + strspn(rest, "/");
		size_t n = strcspn(name, "/");
		AUTO_FD int fd = -1;
		struct stat st;
		ssize_t got;

		if (n == 0)
			break;
		if (n == 1 && name[0] == '.') {
			memmove(rest, name + n, strlen(name + n) + 1);
			continue;
		}
		if (n == 2 && name[0] == '.' && name[1] == '.') {
			char *slash = strrchr(out, '/');

			len = slash != NULL ? (size_t)(slash - out) : 0;
			out[len] = '\0';
			memmove(rest, name + n, strlen(name + n) + 1);
			continue;
		}
		if (len + n + 2 > PATH_MAX)
			return error_errno(ENAMETOOLONG, "resolve %s", path);
		out[len] = '/';
		memcpy(out + len + 1, name, n);
		out[len + 1 + n] = '\0';
		memmove(rest, name + n, strlen(name + n) + 1);
		fd = open_in_root(rootfd, out, O_PATH | O_NOFOLLOW);
		if (fd < 0 || fstat(fd, &st) != 0 || !S_ISLNK(st.st_mode)) {
			len += 1 + n;
			continue;
		}
		got = readlinkat(fd, "", link, sizeof(link) - 1);
		if (got < 0 || ++links > LINKS_MAX)
			return error_errno(got < 0 ? errno : ELOOP, "resolve %s", path);
		link[got] = '\0';
		if ((size_t)got + 1 + strlen(rest) + 1 > sizeof(rest))
			return error_errno(ENAMETOOLONG, "resolve %s", path);
		memmove(rest + got + 1, rest, strlen(rest) + 1);
		memcpy(rest, link, (size_t)got);
		rest[got] = '/';
		if (link[0] == '/')
			len = 0;
		out[len] = '\0';
	}
	return NULL;
}

/* Makes the directories of a resolved path, then the last component as asked. */
static struct error *make_resolved(int rootfd, char *path, enum path_make make)
{
	AUTO_FD int dir = open_in_root(rootfd, "/", O_PATH | O_DIRECTORY);

	if (dir < 0)
		return error_errno(errno, "open root");
	for (char *name = path; *name != '\0';) {
		char *end;
		int fd;
		bool last;

		name += strspn(name, "/");
		end = name + strcspn(name, "/");
		last = *end == '\0';
		*end = '\0';
		if (last && make == PATH_MAKE_FILE) {
			fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
			if (fd < 0 && errno != EEXIST)
				return error_errno(errno, "create %s", path);
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT) {
			if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
				return error_errno(errno, "make directory %s", path);
			fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		if (fd < 0)
			return error_errno(errno, "open %s", path);
		close(dir);
		dir = fd;
		if (last)
			return NULL;
		*end = '/';
		name = end + 1;
	}
	return NULL;
}

struct error *path_in_root(int rootfd, const char *path, enum path_make make, int *out)
{
	char resolved[PATH_MAX], copy[PATH_MAX];
	struct error *err;
	struct stat st;

	*out = open_in_root(rootfd, path[0] != '\0' ? path : "/", O_PATH);
	if (*out >= 0) {
		if (make != PATH_MAKE_DIRECTORY || (fstat(*out, &st) == 0 && S_ISDIR(st.st_mode)))
			return NULL;
		close(*out);
		*out = -1;
		return error_errno(ENOTDIR, "open %s", path);
	}
	if (make == PATH_MUST_EXIST || errno != ENOENT)
		return error_errno(errno, "open %s", path);
	err = resolve(rootfd, path, resolved);
	if (err != NULL)
		return err;
	memcpy(copy, resolved, sizeof(copy));
	err = make_resolved(rootfd, copy, make);
	if (err != NULL)
		return err;
	*out = open_in_root(rootfd, resolved, O_PATH);
	if (*out < 0)
		return error_errno(errno, "open %s", path);
	return NULL;
}

struct error *path_parent_in_root(int rootfd, const char *path, int *out, const char **last)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash != NULL ? (size_t)(slash - path) : 0;

	*last = slash != NULL ? slash + 1 : path;
	if (n >= sizeof(parent))
		return error_errno(ENAMETOOLONG, "open %s", path);
	if ((*last)[0] == '\0' || strcmp(*last, ".") == 0 || strcmp(*last, "..") == 0)
		return error_new(ERR_BAD_REQUEST, "path %s does not end in a name", path);
	memcpy(parent, path, n);
	parent[n] = '\0';
	return path_in_root(rootfd, parent, PATH_MAKE_DIRECTORY, out);
}

struct error *dir_make(int dirfd, const char *path, mode_t mode)
{
	char copy[PATH_MAX];

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return error_errno(ENAMETOOLONG, "make directory %s", path);
	if (mkdirat(dirfd, copy, mode) == 0 || errno == EEXIST)
		return NULL;
	for (char *at = copy + 1; *at != '\0'; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdirat(dirfd, copy, mode) != 0 && errno != EEXIST)
			return error_errno(errno, "make directory %s", copy);
		*at = '/';
	}
	if (mkdirat(dirfd, copy, mode) != 0 && errno != EEXIST)
		return error_errno(errno, "make directory %s", copy);
	return NULL;
}

const char *fd_path(char text[FD_PATH], int fd)
{
	snprintf(text, FD_PATH, "/proc/self/fd/%d", fd);
	return text;
}
