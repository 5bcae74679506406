/* Files below the node's root, reached from the machine. What a pod put there may be a link to anywhere, so every path
 * is resolved with the node's root as root. What is mounted inside the node is not seen here. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kubelet/private.h"

static int open_in_root(int root, const char *path, uint64_t flags, uint64_t mode)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_IN_ROOT };
	int fd;

	do {
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd;
}

struct error *root_open(struct kubelet *kubelet, const char *path, int flags, int *fd)
{
	*fd = open_in_root(kubelet->root, path, (uint64_t)flags, 0);
	return *fd >= 0 ? NULL : error_errno(errno, "open %s", path);
}

/* The directory that holds the last name of path. */
static struct error *open_parent(struct kubelet *kubelet, const char *path, int *fd, const char **name)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *parent = xmemdup(path, slash != NULL ? (size_t)(slash - path) : 0);

	*name = slash != NULL ? slash + 1 : path;
	*fd = open_in_root(kubelet->root, parent[0] != '\0' ? parent : "/", O_PATH | O_DIRECTORY, 0);
	return *fd >= 0 ? NULL : error_errno(errno, "open %s", parent);
}

struct error *root_mkdir(struct kubelet *kubelet, const char *path, unsigned mode)
{
	AUTO_FREE char *copy = xstrdup(path);
	AUTO_FD int whole = open_in_root(kubelet->root, path, O_PATH | O_DIRECTORY, 0);
	struct error *err = NULL;

	if (whole >= 0)
		return NULL;
	for (char *at = strchr(copy + 1, '/'); err == NULL; at = at != NULL ? strchr(at + 1, '/') : NULL) {
		AUTO_FD int dir = -1;
		const char *name;

		if (at != NULL)
			*at = '\0';
		err = open_parent(kubelet, copy, &dir, &name);
		if (err == NULL && name[0] != '\0' && mkdirat(dir, name, at != NULL ? 0755 : (mode_t)mode) != 0) {
			if (errno != EEXIST)
				err = error_errno(errno, "make directory %s", copy);
		} else if (err == NULL && name[0] != '\0' && at == NULL && fchmodat(dir, name, (mode_t)mode, 0) != 0) {
			err = error_errno(errno, "make directory %s", copy); /* whatever the umask is */
		}
		if (at == NULL)
			break;
		*at = '/';
	}
	return err;
}

struct error *root_write(struct kubelet *kubelet, const char *path, struct str content, unsigned mode)
{
	AUTO_FD int fd = open_in_root(kubelet->root, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	struct error *err;

	if (fd < 0 || fchmod(fd, (mode_t)mode) != 0)
		return error_errno(errno, "write %s", path);
	err = fd_write_all(fd, content);
	return err != NULL ? error_context(err, "%s", path) : NULL;
}

struct str root_read(struct arena *arena, struct kubelet *kubelet, const char *path, size_t most, bool tail)
{
	AUTO_FD int fd = open_in_root(kubelet->root, path, O_RDONLY | O_NOFOLLOW, 0);
	char *text = arena_raw(arena, most + 1);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return (struct str){ NULL, 0 };
	n = pread(fd, text, most, tail && st.st_size > (off_t)most ? st.st_size - (off_t)most : 0);
	return n > 0 ? str_of(text, (size_t)n) : (struct str){ NULL, 0 };
}

void root_list(struct kubelet *kubelet, const char *path, void (*fn)(struct kubelet *kubelet, const char *name))
{
	AUTO_DIR DIR *dir = NULL;
	int fd = open_in_root(kubelet->root, path, O_RDONLY | O_DIRECTORY, 0);
	struct dirent *entry;

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (dir == NULL)
		close(fd);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			fn(kubelet, entry->d_name);
}

/* --- removal --- */

struct removal {
	int parent; /* -1: nothing to do */
	char *name;
	struct error *err;
	void (*done)(void *arg, struct error *err);
	void *arg;
};

static void removal_work(void *in)
{
	struct removal *removal = in;

	if (removal->parent >= 0)
		removal->err = dir_remove(removal->parent, removal->name);
}

static void removal_done(void *in, bool canceled)
{
	struct removal *removal = in;
	struct error *err = canceled ? error_new(ERR_CANCELED, "removal was canceled") : removal->err;

	removal->done(removal->arg, err);
	if (removal->parent >= 0)
		close(removal->parent);
	free(removal->name);
	free(removal);
}

void root_remove(struct kubelet *kubelet, const char *path, void (*done)(void *arg, struct error *err), void *arg)
{
	struct removal *removal = xcalloc(1, sizeof(*removal));
	const char *name;

	removal->parent = -1;
	error_free(open_parent(kubelet, path, &removal->parent, &name)); /* no parent: nothing to remove */
	removal->name = xstrdup(name);
	removal->done = done;
	removal->arg = arg;
	loop_job_start(removal_work, removal_done, removal);
}
