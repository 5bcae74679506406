/* The devices of a container: the usual ones, those of its specification, or with privilege all of the machine's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/files.h"
#include "runtime/mounts.h"

static const struct runtime_device default_devices[] = {
	{ .path = "/dev/null", .type = 'c', .major = 1, .minor = 3 },
	{ .path = "/dev/zero", .type = 'c', .major = 1, .minor = 5 },
	{ .path = "/dev/full", .type = 'c', .major = 1, .minor = 7 },
	{ .path = "/dev/random", .type = 'c', .major = 1, .minor = 8 },
	{ .path = "/dev/urandom", .type = 'c', .major = 1, .minor = 9 },
	{ .path = "/dev/tty", .type = 'c', .major = 5, .minor = 0 },
};
#define N_DEFAULT_DEVICES (sizeof(default_devices) / sizeof(default_devices[0]))

static const char *const device_links[][2] = {
	{ "/proc/self/fd", "fd" },       { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
	{ "/proc/self/fd/2", "stderr" }, { "pts/ptmx", "ptmx" },
};

static mode_t device_mode(const struct runtime_device *d)
{
	mode_t type = d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;

	return type | (d->mode != 0 ? d->mode & 07777 : 0666);
}

/* Where mknod is forbidden (user namespaces) the machine's device is bound instead. */
static struct error *device_bind(const struct runtime_device *d, int dir, const char *name)
{
	AUTO_FD int source = open(d->path, O_PATH | O_CLOEXEC);
	AUTO_FD int target = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	AUTO_FD int at = openat(dir, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (source < 0 || target < 0 || at < 0 || fstat(source, &st) != 0)
		return error_errno(errno, "device %s", d->path);
	if ((st.st_mode & S_IFMT) != (device_mode(d) & S_IFMT) || st.st_rdev != makedev(d->major, d->minor))
		return error_new(ERR_INVALID, "%s is another device here", d->path);
	return mounts_bind(&(struct bind){ .source = source, .target = at });
}

static struct error *device_make(int rootfd, const struct runtime_device *d)
{
	AUTO_FD int dir = -1;
	const char *name;
	struct error *err = path_parent_in_root(rootfd, d->path, &dir, &name);

	if (err != NULL)
		return err;
	if (mknodat(dir, name, device_mode(d), makedev(d->major, d->minor)) != 0) {
		if (errno == EEXIST)
			return NULL;
		if (errno == EPERM)
			return device_bind(d, dir, name);
		return error_errno(errno, "device %s", d->path);
	}
	if ((d->uid != 0 || d->gid != 0) && fchownat(dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) != 0)
		return error_errno(errno, "device %s", d->path);
	return NULL;
}

/* Privileged: every device node of the old root's /dev, two levels deep, without what is per container. */
static struct error *devices_all(int rootfd, const char *path, int depth)
{
	static const char *const own[] = { "pts", "shm", "mqueue", "fd", "ptmx", "console", "stdin", "stdout", "stderr" };
	AUTO_DIR DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char name[PATH_MAX];
		struct stat st;
		struct error *err = NULL;
		bool skip = entry->d_name[0] == '.';

		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			skip |= strcmp(entry->d_name, own[i]) == 0;
		if (skip || (size_t)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= sizeof(name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth > 0) {
			err = devices_all(rootfd, name, depth - 1);
		} else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
			struct runtime_device d = { .path = name,
						    .type = S_ISBLK(st.st_mode) ? 'b' : 'c',
						    .major = major(st.st_rdev),
						    .minor = minor(st.st_rdev),
						    .mode = st.st_mode & 07777,
						    .uid = st.st_uid,
						    .gid = st.st_gid };

			err = device_make(rootfd, &d);
		}
		if (err != NULL)
			return err;
	}
	return NULL;
}

struct error *devices_make(const struct runtime_spec *spec, int rootfd)
{
	AUTO_FD int dev = -1;
	struct error *err = path_in_root(rootfd, "/dev", PATH_MAKE_DIRECTORY, &dev);

	for (size_t i = 0; i < N_DEFAULT_DEVICES && err == NULL; i++)
		err = device_make(rootfd, &default_devices[i]);
	for (size_t i = 0; i < spec->n_devices && err == NULL; i++)
		err = device_make(rootfd, &spec->devices[i]);
	if (err == NULL && spec->all_devices)
		err = devices_all(rootfd, "/dev", 2);
	for (size_t i = 0; i < sizeof(device_links) / sizeof(device_links[0]) && err == NULL; i++) {
		if (symlinkat(device_links[i][0], dev, device_links[i][1]) != 0 && errno != EEXIST)
			err = error_errno(errno, "link /dev/%s", device_links[i][1]);
	}
	return err;
}
