#include "runtime/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/limits.h"
#include "runtime/files.h"

#define OVERLAY_OPTIONS_MAX 4000 /* mount(2) takes a page */

/* --- small system calls glibc 2.36 and its headers do not agree on --- */

static int sys_open_tree(int fd, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, fd, path, flags);
}

static int sys_move_mount(int from, int to)
{
	return (int)syscall(SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int sys_mount_setattr(int fd, unsigned flags, const struct mount_attr *attr)
{
	return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, attr, sizeof(*attr));
}

/* --- overlay --- */

static struct error *overlay_by_fds(const struct overlay *overlay, struct buf *options)
{
	struct error *err = NULL;
	int fds[LIMIT_LAYERS];
	size_t n = 0;
	char link[FD_PATH];

	if (overlay->n_layers > LIMIT_LAYERS)
		return error_new(ERR_TOO_LARGE, "%zu layers; at most %d", overlay->n_layers, LIMIT_LAYERS);
	buf_clear(options);
	for (; n < overlay->n_layers && err == NULL; n++) {
		fds[n] = open(overlay->layers[n], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[n] < 0)
			err = error_errno(errno, "open layer %s", overlay->layers[n]);
		else
			buf_printf(options, "%s%s", n == 0 ? "lowerdir=" : ":", fd_path(link, fds[n]));
	}
	if (overlay->upper != NULL)
		buf_printf(options, ",upperdir=%s,workdir=%s,volatile", overlay->upper, overlay->work);
	if (err == NULL &&
	    mount("overlay", overlay->target, "overlay", overlay->upper == NULL ? MS_RDONLY : 0, buf_cstr(options)) != 0)
		err = error_errno(errno, "mount overlay of %zu layers", overlay->n_layers);
	while (n-- > 0) {
		if (fds[n] >= 0)
			close(fds[n]);
	}
	return err;
}

struct error *mounts_overlay(const struct overlay *overlay)
{
	AUTO_BUF struct buf options = { 0 };
	unsigned long flags = overlay->upper == NULL ? MS_RDONLY : 0;

	if (overlay->n_layers == 1 && overlay->upper == NULL) {
		AUTO_FD int source = open(overlay->layers[0], O_PATH | O_CLOEXEC);
		AUTO_FD int target = open(overlay->target, O_PATH | O_CLOEXEC);

		if (source < 0 || target < 0)
			return error_errno(errno, "open layer %s", overlay->layers[0]);
		return mounts_bind(&(struct bind){ .source = source, .target = target, .flags = MS_RDONLY });
	}
	for (size_t i = 0; i < overlay->n_layers; i++)
		buf_printf(&options, "%s%s", i == 0 ? "lowerdir=" : ":", overlay->layers[i]);
	if (overlay->upper != NULL)
		buf_printf(&options, ",upperdir=%s,workdir=%s,volatile", overlay->upper, overlay->work);
	if (options.len > OVERLAY_OPTIONS_MAX)
		return overlay_by_fds(overlay, &options);
	if (mount("overlay", overlay->target, "overlay", flags, buf_cstr(&options)) != 0)
		return error_errno(errno, "mount overlay of %zu layers", overlay->n_layers);
	return NULL;
}

/* --- binds --- */

static uint64_t mount_attrs(uint64_t flags)
{
	uint64_t attrs = 0;

	attrs |= flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0;
	attrs |= flags & MS_NOSUID ? MOUNT_ATTR_NOSUID : 0;
	attrs |= flags & MS_NODEV ? MOUNT_ATTR_NODEV : 0;
	attrs |= flags & MS_NOEXEC ? MOUNT_ATTR_NOEXEC : 0;
	attrs |= flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0;
	return attrs;
}

#define BIND_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME)

/* A detached copy of the source with its attributes; -1 and ENOSYS where the kernel is too old. */
static int bind_tree(const struct bind *bind, struct error **err)
{
	unsigned recursive = bind->flags & MS_REC ? AT_RECURSIVE : 0;
	struct mount_attr attr = { .attr_set = mount_attrs(bind->flags) };
	AUTO_FD int tree = sys_open_tree(bind->source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);

	*err = NULL;
	if (tree < 0) {
		if (errno != ENOSYS)
			*err = error_errno(errno, "bind");
		return -1;
	}
	if (attr.attr_set != 0 && sys_mount_setattr(tree, 0, &attr) != 0) {
		if (errno != ENOSYS)
			*err = error_errno(errno, "set flags of bind");
		return -1;
	}
	if (bind->recursive_ro) {
		attr = (struct mount_attr){ .attr_set = MOUNT_ATTR_RDONLY };
		if (sys_mount_setattr(tree, AT_RECURSIVE, &attr) != 0) {
			*err = errno == ENOSYS ? error_new(ERR_UNSUPPORTED, "recursive read-only mounts need Linux 5.12")
					       : error_errno(errno, "make bind read-only");
			return -1;
		}
	}
	if (!(bind->propagation & MS_SHARED)) { /* shared: it is its source's peer and stays so */
		attr = (struct mount_attr){ .propagation = bind->propagation & MS_SLAVE ? MS_SLAVE : MS_PRIVATE };
		if (sys_mount_setattr(tree, recursive, &attr) != 0) {
			if (errno != ENOSYS)
				*err = error_errno(errno, "set propagation of bind");
			return -1;
		}
	}
	return fd_take(&tree);
}

static struct error *bind_old(const struct bind *bind)
{
	char from[FD_PATH], to[FD_PATH];
	unsigned long flags = bind->flags & BIND_FLAGS;

	if (bind->recursive_ro)
		return error_new(ERR_UNSUPPORTED, "recursive read-only mounts need Linux 5.12");
	if (mount(fd_path(from, bind->source), fd_path(to, bind->target), NULL, MS_BIND | (bind->flags & MS_REC), NULL) != 0)
		return error_errno(errno, "bind");
	if (flags != 0) {
		/* the descriptor still is what is below; its path now leads to the new mount */
		char path[PATH_MAX];
		ssize_t n = readlink(fd_path(to, bind->target), path, sizeof(path) - 1);

		if (n < 0)
			return error_errno(errno, "find bind");
		path[n] = '\0';
		if (mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | flags, NULL) != 0)
			return error_errno(errno, "set flags of bind");
	}
	return NULL;
}

struct error *mounts_bind(const struct bind *bind)
{
	struct error *err;
	AUTO_FD int tree = bind_tree(bind, &err);

	if (err != NULL)
		return err;
	if (tree < 0)
		return bind_old(bind);
	if (sys_move_mount(tree, bind->target) != 0)
		return error_errno(errno, "attach bind");
	return NULL;
}

/* --- one mount of the spec --- */

struct job {
	const struct runtime_spec *spec;
	const struct cgroup_root *cgroups;
	int rootfd;
	int null;    /* the old root's /dev/null, checked */
	int *shared; /* per mount: its tree, made before everything became a slave; -1: not shared */
};

static struct error *mount_shared_tree(struct job *job, size_t i, int target)
{
	int tree = fd_take(&job->shared[i]), rc = sys_move_mount(tree, target), code = errno;

	close(tree);
	return rc == 0 ? NULL : error_errno(code, "attach shared bind");
}

/* What stands below a source was written by containers: a link in it may lead anywhere (CVE-2017-1002101). */
static struct error *open_source(const struct runtime_mount *m, int *out)
{
	AUTO_FD int source = open(m->source, O_PATH | O_CLOEXEC);
	struct error *err;

	if (source < 0)
		return error_errno(errno, "open source %s", m->source);
	if (m->below == NULL) {
		*out = fd_take(&source);
		return NULL;
	}
	err = path_in_root(source, m->below, PATH_MUST_EXIST, out);
	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		error_free(err);
		err = path_in_root(source, m->below, PATH_MAKE_DIRECTORY, out);
	}
	return err != NULL ? error_context(err, "below %s", m->source) : NULL;
}

static struct error *mount_bind(struct job *job, size_t i)
{
	const struct runtime_mount *m = &job->spec->mounts[i];
	AUTO_FD int source = -1, target = -1;
	struct stat st;
	struct error *err = open_source(m, &source);

	if (err != NULL)
		return err;
	if (fstat(source, &st) != 0)
		return error_errno(errno, "open source %s", m->source);
	err = path_in_root(job->rootfd, m->destination, S_ISDIR(st.st_mode) ? PATH_MAKE_DIRECTORY : PATH_MAKE_FILE, &target);
	if (err != NULL)
		return err;
	if (job->shared[i] >= 0)
		return mount_shared_tree(job, i, target);
	return mounts_bind(&(struct bind){ .source = source,
					   .target = target,
					   .flags = m->flags,
					   .propagation = m->propagation,
					   .recursive_ro = m->recursive_ro });
}

static struct error *copy_file(int from, int to, const char *name, const struct stat *st)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_FD int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 07777);

	if (in < 0 || out < 0)
		return error_errno(errno, "copy %s", name);
	for (;;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, 1 << 20, 0);
		char block[65536];
		struct error *err;

		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
			n = read(in, block, sizeof(block));
			err = n > 0 ? fd_write_all(out, str_of(block, (size_t)n)) : NULL;
			if (err != NULL)
				return err;
		}
		if (n < 0)
			return error_errno(errno, "copy %s", name);
		if (n == 0)
			break;
	}
	if (fchown(out, st->st_uid, st->st_gid) != 0 || fchmod(out, st->st_mode & 07777) != 0)
		return error_errno(errno, "copy %s", name);
	return NULL;
}

static struct error *copy_tree(int from, int to);

static struct error *copy_entry(int from, int to, const char *name)
{
	struct stat st;
	char link[PATH_MAX];
	ssize_t n;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return error_errno(errno, "copy %s", name);
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, name, &st);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(from, name, link, sizeof(link) - 1);
		if (n < 0)
			return error_errno(errno, "copy %s", name);
		link[n] = '\0';
		if (symlinkat(link, to, name) != 0 || fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
			return error_errno(errno, "copy %s", name);
	} else if (S_ISDIR(st.st_mode)) {
		AUTO_FD int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		AUTO_FD int out = -1;

		if (in < 0 || mkdirat(to, name, 0700) != 0)
			return error_errno(errno, "copy %s", name);
		out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (out < 0 || fchown(out, st.st_uid, st.st_gid) != 0 || fchmod(out, st.st_mode & 07777) != 0)
			return error_errno(errno, "copy %s", name);
		return copy_tree(in, out);
	}
	return NULL;
}

static struct error *copy_tree(int from, int to)
{
	AUTO_DIR DIR *dir = fdopendir(openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;

	if (dir == NULL)
		return error_errno(errno, "list directory");
	while ((entry = readdir(dir)) != NULL) {
		struct error *err;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		err = copy_entry(from, to, entry->d_name);
		if (err != NULL)
			return err;
	}
	return NULL;
}

/* The mount that now covers `path`: opened again from above. */
static struct error *reopen(struct job *job, const char *path, int *out)
{
	return path_in_root(job->rootfd, path, PATH_MUST_EXIST, out);
}

static struct error *remount(struct job *job, const char *path, unsigned long flags)
{
	AUTO_FD int fd = -1;
	char to[FD_PATH];
	struct error *err = reopen(job, path, &fd);

	if (err != NULL)
		return err;
	if (mount(NULL, fd_path(to, fd), NULL, MS_BIND | MS_REMOUNT | flags, NULL) != 0)
		return error_errno(errno, "remount");
	return NULL;
}

#define FS_FLAGS (BIND_FLAGS | MS_NOATIME | MS_RELATIME | MS_STRICTATIME | MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK)

static struct error *mount_fs(struct job *job, const struct runtime_mount *m)
{
	AUTO_FD int target = -1, covered = -1, top = -1;
	char to[FD_PATH];
	bool tmpfs = strcmp(m->type, "tmpfs") == 0;
	unsigned long flags = m->flags & FS_FLAGS, late = 0;
	struct error *err = path_in_root(job->rootfd, m->destination, PATH_MAKE_DIRECTORY, &target);

	if (err != NULL)
		return err;
	if (tmpfs && (m->copy_up || strcmp(m->destination, "/dev") == 0)) { /* filled first, read-only then */
		late = flags & MS_RDONLY;
		flags &= ~(unsigned long)MS_RDONLY;
		covered = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (mount(m->source != NULL ? m->source : m->type, fd_path(to, target), m->type, flags, m->data) != 0) {
		/* a user namespace that does not own the network namespace may not mount sysfs anew */
		if (errno != EPERM || strcmp(m->type, "sysfs") != 0)
			return error_errno(errno, "mount %s", m->type);
		if (mount("/sys", to, NULL, MS_BIND | MS_REC, NULL) != 0)
			return error_errno(errno, "mount %s", m->type);
	}
	if (m->copy_up && covered >= 0) {
		err = reopen(job, m->destination, &top);
		if (err == NULL) {
			AUTO_FD int dir = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

			err = dir >= 0 ? copy_tree(covered, dir) : error_errno(errno, "open tmpfs");
		}
		if (err == NULL && late != 0)
			err = remount(job, m->destination, flags | late);
	}
	return err;
}

static struct error *mount_cgroup1(struct job *job, const struct runtime_mount *m)
{
	const struct cgroup_hierarchy *h;
	size_t n = cgroup_hierarchies(job->cgroups, &h);
	AUTO_FD int target = -1, dir = -1;
	char to[FD_PATH];
	unsigned long flags = m->flags & FS_FLAGS;
	struct error *err = path_in_root(job->rootfd, m->destination, PATH_MAKE_DIRECTORY, &target);

	if (err == NULL && mount("tmpfs", fd_path(to, target), "tmpfs", flags & ~(unsigned long)MS_RDONLY, "mode=755") != 0)
		err = error_errno(errno, "mount tmpfs");
	if (err == NULL)
		err = reopen(job, m->destination, &dir);
	for (size_t i = 0; i < n && err == NULL; i++) {
		AUTO_FD int at = -1;
		struct str rest = str_from(h[i].name), word;

		if (mkdirat(dir, h[i].name, 0755) != 0)
			return error_errno(errno, "make directory for %s", h[i].name);
		at = openat(dir, h[i].name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (at < 0)
			return error_errno(errno, "open directory for %s", h[i].name);
		if (job->spec->ns_new & RUNTIME_NS_BIT(RUNTIME_NS_CGROUP)) {
			if (mount("cgroup", fd_path(to, at), "cgroup", flags, h[i].options) != 0)
				return error_errno(errno, "mount control groups %s", h[i].options);
		} else if (job->spec->cgroup != NULL) {
			char path[PATH_MAX];
			AUTO_FD int source = -1;

			snprintf(path, sizeof(path), "%s/%s", h[i].mount, job->spec->cgroup);
			source = open(path, O_PATH | O_CLOEXEC);
			if (source >= 0)
				err = mounts_bind(&(struct bind){ .source = source, .target = at, .flags = m->flags });
		}
		while (strchr(h[i].name, ',') != NULL && str_cut(&rest, ',', &word)) {
			char name[64];

			snprintf(name, sizeof(name), "%.*s", STR_ARG(word));
			if (symlinkat(h[i].name, dir, name) != 0)
				return error_errno(errno, "link %s", name);
		}
	}
	return err == NULL && flags & MS_RDONLY ? remount(job, m->destination, flags) : err;
}

static struct error *mount_cgroup(struct job *job, const struct runtime_mount *m)
{
	AUTO_FD int target = -1;
	char to[FD_PATH];
	struct error *err;

	if (job->cgroups == NULL)
		return NULL;
	if (!cgroup_root_is_v2(job->cgroups))
		return mount_cgroup1(job, m);
	err = path_in_root(job->rootfd, m->destination, PATH_MAKE_DIRECTORY, &target);
	if (err != NULL)
		return err;
	if (mount("cgroup2", fd_path(to, target), "cgroup2", m->flags & FS_FLAGS, NULL) != 0)
		return error_errno(errno, "mount control groups");
	return NULL;
}

static struct error *mount_one(struct job *job, size_t i)
{
	const struct runtime_mount *m = &job->spec->mounts[i];
	struct error *err;

	if (m->destination == NULL || m->destination[0] != '/')
		return error_new(ERR_INVALID, "mount destination \"%s\" is not absolute",
				 m->destination != NULL ? m->destination : "");
	if (m->flags & MS_BIND || (m->type != NULL && strcmp(m->type, "bind") == 0)) {
		if (m->source == NULL)
			return error_new(ERR_INVALID, "bind on %s has no source", m->destination);
		err = mount_bind(job, i);
	} else if (m->type == NULL) {
		return error_new(ERR_INVALID, "mount on %s has no type", m->destination);
	} else if (strcmp(m->type, "cgroup") == 0) {
		err = mount_cgroup(job, m);
	} else {
		err = mount_fs(job, m);
	}
	if (err == NULL)
		return NULL;
	if (m->source != NULL && m->source[0] == '/')
		return error_context(err, "mount %s on %s", m->source, m->destination);
	return error_context(err, "mount on %s", m->destination);
}

/* --- hiding --- */

static struct error *mask(struct job *job, const char *path)
{
	AUTO_FD int target = -1;
	char to[FD_PATH];
	struct stat st;
	struct error *err = path_in_root(job->rootfd, path, PATH_MUST_EXIST, &target);

	if (err != NULL) { /* what is not there needs no hiding */
		bool absent = err->kind == ERR_NOT_FOUND || err->code == ENOTDIR || err->code == EACCES;

		if (!absent)
			return error_context(err, "mask %s", path);
		error_free(err);
		return NULL;
	}
	if (fstat(target, &st) != 0)
		return error_errno(errno, "mask %s", path);
	if (S_ISDIR(st.st_mode)) {
		if (mount("tmpfs", fd_path(to, target), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "size=0k,nr_inodes=2") != 0)
			return error_errno(errno, "mask %s", path);
		return NULL;
	}
	err = mounts_bind(&(struct bind){ .source = job->null, .target = target });
	return err != NULL ? error_context(err, "mask %s", path) : NULL;
}

static struct error *make_readonly(struct job *job, const char *path)
{
	AUTO_FD int fd = -1;
	struct error *err = path_in_root(job->rootfd, path, PATH_MUST_EXIST, &fd);

	if (err != NULL) {
		if (err->kind != ERR_NOT_FOUND)
			return error_context(err, "make %s read-only", path);
		error_free(err);
		return NULL;
	}
	err = mounts_bind(
		&(struct bind){ .source = fd, .target = fd, .flags = MS_REC | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC });
	return err != NULL ? error_context(err, "make %s read-only", path) : NULL;
}

/* --- the whole --- */

static struct error *open_null(int *out)
{
	struct stat st;

	*out = open("/dev/null", O_PATH | O_CLOEXEC);
	if (*out < 0 || fstat(*out, &st) != 0)
		return error_errno(errno, "open /dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return error_new(ERR_CORRUPT, "/dev/null of this machine is something else");
	return NULL;
}

/* Trees of the shared binds are cut out while they still are their sources' peers. */
static struct error *cut_shared(struct job *job)
{
	for (size_t i = 0; i < job->spec->n_mounts; i++) {
		const struct runtime_mount *m = &job->spec->mounts[i];
		struct bind bind = { .flags = m->flags, .propagation = m->propagation, .recursive_ro = m->recursive_ro };
		AUTO_FD int source = -1;
		struct error *err;

		job->shared[i] = -1;
		if (!(m->propagation & MS_SHARED) || m->source == NULL)
			continue;
		err = open_source(m, &source);
		if (err != NULL)
			return err;
		bind.source = source;
		job->shared[i] = bind_tree(&bind, &err);
		if (err != NULL)
			return error_context(err, "share %s", m->source);
		if (job->shared[i] < 0)
			return error_new(ERR_UNSUPPORTED, "bidirectional mounts need Linux 5.12");
	}
	return NULL;
}

static struct error *mount_root(struct job *job)
{
	const struct runtime_spec *spec = job->spec;
	struct error *err = NULL;

	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		return error_errno(errno, "make mounts slaves");
	if (spec->n_layers != 0) {
		err = mounts_overlay(&(struct overlay){ .layers = spec->layers,
							.n_layers = spec->n_layers,
							.upper = spec->upper,
							.work = spec->work,
							.target = spec->rootfs });
	} else if (mount(spec->rootfs, spec->rootfs, NULL, MS_BIND | MS_REC, NULL) != 0) {
		err = error_errno(errno, "bind root file system %s", spec->rootfs);
	}
	if (err != NULL)
		return err;
	job->rootfd = open(spec->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (job->rootfd < 0)
		return error_errno(errno, "open root file system %s", spec->rootfs);
	return NULL;
}

static bool has_own_dev(const struct runtime_spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		if (strcmp(spec->mounts[i].destination, "/dev") == 0)
			return !(spec->mounts[i].flags & MS_BIND);
	}
	return false;
}

static struct error *fill_root(struct job *job)
{
	const struct runtime_spec *spec = job->spec;
	struct error *err = open_null(&job->null);

	for (size_t i = 0; i < spec->n_mounts && err == NULL; i++)
		err = mount_one(job, i);
	if (err == NULL && has_own_dev(spec))
		err = devices_make(spec, job->rootfd);
	for (size_t i = 0; i < spec->n_mounts && err == NULL; i++) {
		const struct runtime_mount *m = &spec->mounts[i];

		if (strcmp(m->destination, "/dev") == 0 && !(m->flags & MS_BIND) && m->flags & MS_RDONLY)
			err = remount(job, "/dev", m->flags & FS_FLAGS);
	}
	for (size_t i = 0; i < spec->n_readonly && err == NULL; i++)
		err = make_readonly(job, spec->readonly[i]);
	for (size_t i = 0; i < spec->n_masked && err == NULL; i++)
		err = mask(job, spec->masked[i]);
	return err;
}

struct error *mounts_root(const struct runtime_spec *spec, const struct cgroup_root *cgroups, int *rootfd)
{
	struct job job = { .spec = spec, .cgroups = cgroups, .rootfd = -1, .null = -1 };
	mode_t old = umask(0);
	struct error *err;

	job.shared = xcalloc(spec->n_mounts + 1, sizeof(*job.shared));
	err = cut_shared(&job);
	if (err == NULL)
		err = mount_root(&job);
	if (err == NULL)
		err = fill_root(&job);
	free(job.shared);
	if (job.null >= 0)
		close(job.null);
	umask(old);
	*rootfd = job.rootfd;
	return err;
}

struct error *mounts_enter(const struct runtime_spec *spec, int rootfd)
{
	if (fchdir(rootfd) != 0)
		return error_errno(errno, "enter root file system");
	if (syscall(SYS_pivot_root, ".", ".") != 0)
		return error_errno(errno, "pivot_root");
	/* the old root now lies over the new one at "."; it goes with everything in it */
	if (umount2(".", MNT_DETACH) != 0)
		return error_errno(errno, "leave the old root");
	if (chdir("/") != 0)
		return error_errno(errno, "enter root");
	if (spec->root_propagation != 0 && mount(NULL, "/", NULL, spec->root_propagation, NULL) != 0)
		return error_errno(errno, "set propagation of the root");
	if (spec->readonly_root && mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
		return error_errno(errno, "make the root read-only");
	return NULL;
}
