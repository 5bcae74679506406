/*
 * From a process in fresh namespaces to a small machine: its control group, its root directory with what a Linux program
 * expects, its host name and loopback. In this order, because the cgroup namespace begins where the process is, and
 * what comes from the machine (image store, extra mounts) must be bound before its root is left.
 *
 *	DIR/etc tmp var/lib/kubelet var/log/pods …     ordinary directories; kept
 *	    /dev /run /proc /sys                       mounted here
 *	    /run/monokube/images                       the image store, read-only
 *	    /run/monokube/upper                        writable layers, where the directory's file system takes no overlay
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/log.h"
#include "runtime/cgroup_private.h"
#include "runtime/files.h"
#include "runtime/mounts.h"
#include "runtime/node_private.h"

/* --- control group --- */

static struct error *join_group(struct cgroup_root *root, const char *path)
{
	struct cgroup_join join;
	struct error *err = cgroup_make_everywhere(root, path);

	if (err == NULL)
		err = cgroup_open_join(root, path, &join);
	if (err == NULL) {
		err = cgroup_join(&join);
		cgroup_close_join(&join);
	}
	return err;
}

/* Our own group becomes the root of what the node sees; on v2 we then step aside, since inner groups hold no processes. */
static struct error *enter_group(struct cgroup_root *root, const char *path)
{
	AUTO_FREE char *leaf = xasprintf("%s/init", path);
	struct error *err = cgroup_remove(root, path); /* of a node that was killed */

	error_free(err);
	err = join_group(root, path);
	if (err != NULL)
		return error_context(err, "control group of the node");
	if (unshare(CLONE_NEWCGROUP) != 0)
		return error_errno(errno, "new cgroup namespace");
	return cgroup_root_is_v2(root) ? cgroup_step_aside(root, leaf) : NULL;
}

static struct error *mount_groups(const struct cgroup_root *root, int rootfd)
{
	const struct cgroup_hierarchy *h;
	size_t n = cgroup_hierarchies(root, &h);
	AUTO_FD int dir = -1;
	char to[FD_PATH];
	struct error *err = path_in_root(rootfd, "/sys/fs/cgroup", PATH_MUST_EXIST, &dir);
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (err != NULL)
		return err;
	if (cgroup_root_is_v2(root)) {
		if (mount("cgroup2", fd_path(to, dir), "cgroup2", flags, NULL) != 0)
			return error_errno(errno, "mount control groups");
		return NULL;
	}
	if (mount("tmpfs", fd_path(to, dir), "tmpfs", flags, "mode=755") != 0)
		return error_errno(errno, "mount control groups");
	close(dir);
	err = path_in_root(rootfd, "/sys/fs/cgroup", PATH_MUST_EXIST, &dir);
	for (size_t i = 0; i < n && err == NULL; i++) {
		AUTO_FD int at = -1;
		struct str rest = str_from(h[i].name), word;

		if (mkdirat(dir, h[i].name, 0755) != 0)
			return error_errno(errno, "make directory for %s", h[i].name);
		at = openat(dir, h[i].name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (at < 0 || mount("cgroup", fd_path(to, at), "cgroup", flags, h[i].options) != 0)
			return error_errno(errno, "mount control groups %s", h[i].options);
		while (strchr(h[i].name, ',') != NULL && str_cut(&rest, ',', &word)) {
			char name[64];

			snprintf(name, sizeof(name), "%.*s", STR_ARG(word));
			if (symlinkat(h[i].name, dir, name) != 0)
				return error_errno(errno, "link %s", name);
		}
	}
	return err;
}

/* --- root directory --- */

static const struct {
	const char *path;
	mode_t mode;
} directories[] = {
	{ "dev", 0755 },
	{ "etc", 0755 },
	{ "proc", 0555 },
	{ "run", 0755 },
	{ "sys", 0555 },
	{ "tmp", 01777 },
	{ "var", 0755 },
	{ "var/lib", 0755 },
	{ "var/lib/kubelet", 0755 },
	{ "var/lib/kubelet/pods", 0750 },
	{ "var/log", 0755 },
	{ "var/log/pods", 0755 },
	{ "var/log/containers", 0755 },
	{ "var/tmp", 01777 },
	{ "var/lib/monokube", 0700 },
	{ "var/lib/monokube/sandboxes", 0700 },
	{ "var/lib/monokube/containers", 0700 },
	{ "root", 0700 },
	{ "mnt", 0755 },
	{ "opt", 0755 },
	{ "usr", 0755 },
};
#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct error *make_directories(int rootfd)
{
	for (size_t i = 0; i < N(directories); i++) {
		if (mkdirat(rootfd, directories[i].path, directories[i].mode) != 0 && errno != EEXIST)
			return error_errno(errno, "make directory %s", directories[i].path);
		if (fchmodat(rootfd, directories[i].path, directories[i].mode, 0) != 0)
			return error_errno(errno, "set mode of %s", directories[i].path);
	}
	return NULL;
}

/* Only what is not there: the person may have put something better. */
static struct error *put_once(int rootfd, const char *path, struct str text)
{
	struct stat st;

	return fstatat(rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? NULL : file_put_at(rootfd, path, text, 0644);
}

static struct error *make_files(const struct node *node, int rootfd)
{
	AUTO_BUF struct buf text = { 0 };
	struct error *err;

	buf_printf(&text, "%s\n", node->options.name);
	err = file_put_at(rootfd, "etc/hostname", buf_str(&text), 0644);
	buf_clear(&text);
	buf_printf(&text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t%s\n", node->options.name);
	if (err == NULL)
		err = put_once(rootfd, "etc/hosts", buf_str(&text));
	if (err == NULL)
		err = put_once(rootfd, "etc/passwd",
			       STR("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"));
	if (err == NULL)
		err = put_once(rootfd, "etc/group", STR("root:x:0:\nnogroup:x:65534:\n"));
	if (err == NULL)
		err = put_once(rootfd, "etc/os-release",
			       STR("NAME=monokube\nID=monokube\nPRETTY_NAME=\"monokube " MONOKUBE_VERSION
				   "\"\nVERSION_ID=" MONOKUBE_VERSION "\n"));
	buf_clear(&text);
	if (err == NULL) {
		/* the machine's; absence is fine */
		error_free(file_read_at(AT_FDCWD, "/etc/resolv.conf", 65536, &text));
		err = file_put_at(rootfd, "etc/resolv.conf", buf_str(&text), 0644);
	}
	buf_clear(&text);
	if (err == NULL) {
		err = file_read_at(AT_FDCWD, "/etc/machine-id", 256, &text);
		error_free(err);
		err = put_once(rootfd, "etc/machine-id", buf_str(&text));
	}
	return err;
}

static struct error *mount_at(int rootfd, const char *path, const char *type, unsigned long flags, const char *data)
{
	AUTO_FD int at = -1;
	char to[FD_PATH];
	struct error *err = path_in_root(rootfd, path, PATH_MAKE_DIRECTORY, &at);

	if (err != NULL)
		return err;
	if (mount(type, fd_path(to, at), type, flags, data) != 0)
		return error_errno(errno, "mount %s on %s of the node", type, path);
	return NULL;
}

/* Devices beside the default ones, if the machine has them. */
static const char *const machine_devices[] = { "/dev/fuse", "/dev/net/tun", "/dev/kmsg" };

static struct error *make_devices(int rootfd)
{
	struct runtime_device devices[N(machine_devices)];
	struct runtime_spec spec = { .devices = devices };

	for (size_t i = 0; i < N(machine_devices); i++) {
		struct stat st;

		if (stat(machine_devices[i], &st) == 0 && S_ISCHR(st.st_mode))
			devices[spec.n_devices++] = (struct runtime_device){ .path = machine_devices[i],
									     .type = 'c',
									     .major = major(st.st_rdev),
									     .minor = minor(st.st_rdev),
									     .mode = st.st_mode & 07777 };
	}
	return devices_make(&spec, rootfd);
}

static struct error *bind_from_machine(int rootfd, const char *source, const char *target, bool readonly)
{
	AUTO_FD int from = open(source, O_PATH | O_CLOEXEC), to = -1;
	struct stat st;
	struct error *err;

	if (from < 0 || fstat(from, &st) != 0)
		return error_errno(errno, "open %s", source);
	err = path_in_root(rootfd, target, S_ISDIR(st.st_mode) ? PATH_MAKE_DIRECTORY : PATH_MAKE_FILE, &to);
	if (err == NULL)
		err = mounts_bind(&(struct bind){ .source = from, .target = to, .flags = MS_REC | (readonly ? MS_RDONLY : 0) });
	return err != NULL ? error_context(err, "mount %s at %s of the node", source, target) : NULL;
}

static struct error *bind_extra(int rootfd, const char *text)
{
	struct str rest = str_from(text), source, target;
	AUTO_FREE char *from = NULL, *to = NULL;

	str_cut(&rest, ':', &source);
	if (!str_cut(&rest, ':', &target) || target.len == 0 || target.ptr[0] != '/')
		return error_new(ERR_USAGE, "--mount \"%s\" is not SRC:DST or SRC:DST:ro", text);
	from = xmemdup(source.ptr, source.len);
	to = xmemdup(target.ptr, target.len);
	return bind_from_machine(rootfd, from, to, str_is(rest, "ro"));
}

static struct error *mount_all(struct node *node, int rootfd)
{
	const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	struct error *err = mount_at(rootfd, "/proc", "proc", plain, NULL);

	if (err == NULL)
		err = mount_at(rootfd, "/sys", "sysfs", plain, NULL);
	if (err == NULL)
		err = mount_groups(node->cgroups, rootfd);
	if (err == NULL)
		err = mount_at(rootfd, "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	if (err == NULL)
		err = mount_at(rootfd, "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	if (err == NULL)
		err = mount_at(rootfd, "/dev/shm", "tmpfs", plain, "mode=1777");
	if (err == NULL)
		err = mount_at(rootfd, "/dev/mqueue", "mqueue", plain, NULL);
	if (err == NULL)
		err = make_devices(rootfd);
	if (err == NULL)
		err = mount_at(rootfd, "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
	if (err == NULL)
		err = dir_make(rootfd, "run/monokube/sandboxes", 0700);
	if (err == NULL)
		err = dir_make(rootfd, NODE_ROOTFS + 1, 0755);
	if (err == NULL && node->options.images != NULL)
		err = bind_from_machine(rootfd, node->options.images, NODE_IMAGES, true);
	for (size_t i = 0; i < node->options.n_mounts && err == NULL; i++)
		err = bind_extra(rootfd, node->options.mounts[i]);
	return err;
}

/* Overlay on this file system? Data directories on overlay, NFS and the like say no; then writable layers are kept in
 * memory. */
static struct error *probe_overlay(struct node *node)
{
	static const char *const names[] = { "lower", "lower2", "upper", "work", "merged" };
	const struct overlay overlay = { .layers = (const char *const[]){ "/var/lib/monokube/probe/lower",
									  "/var/lib/monokube/probe/lower2" },
					 .n_layers = 2,
					 .upper = "/var/lib/monokube/probe/upper",
					 .work = "/var/lib/monokube/probe/work",
					 .target = "/var/lib/monokube/probe/merged" };
	struct error *err = NULL;

	for (size_t i = 0; i < N(names) && err == NULL; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/var/lib/monokube/probe/%s", names[i]);
		err = dir_make(AT_FDCWD, path, 0700);
	}
	if (err == NULL)
		err = mounts_overlay(&overlay);
	if (err == NULL && access("/var/lib/monokube/probe/merged", W_OK) != 0) /* mounted, but read-only */
		err = error_errno(errno, "write to overlay");
	node->overlay = err == NULL;
	umount2(overlay.target, MNT_DETACH);
	if (err != NULL) {
		log_consume(LOG_WARN, err, "writable layers are kept in memory: this directory takes no overlay");
		node->missing[node->n_missing++] = "overlay on the node's directory (writable layers are kept in memory)";
		err = dir_make(AT_FDCWD, "/run/monokube/upper", 0700);
		if (err == NULL && mount("tmpfs", "/run/monokube/upper", "tmpfs", MS_NOSUID, "mode=700") != 0)
			err = error_errno(errno, "mount tmpfs for writable layers");
		if (err != NULL)
			return err;
	}
	return dir_remove(AT_FDCWD, "/var/lib/monokube/probe");
}

struct error *node_loopback_up(void)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

	if (fd < 0)
		return error_errno(errno, "make a socket");
	memcpy(request.ifr_name, "lo", 3);
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		return error_errno(errno, "bring loopback up");
	return NULL;
}

static struct error *change_root(int rootfd)
{
	if (fchdir(rootfd) != 0 || syscall(SYS_pivot_root, ".", ".") != 0)
		return error_errno(errno, "enter the node's root directory");
	if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return error_errno(errno, "leave the machine's root directory");
	/* so that bidirectional mounts of containers reach the node and its other containers */
	if (mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL) != 0)
		return error_errno(errno, "share the node's mounts");
	return NULL;
}

static struct error *enter_root(struct node *node)
{
	AUTO_FD int rootfd = -1;
	struct error *err;

	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		return error_errno(errno, "make mounts slaves");
	err = dir_make(AT_FDCWD, node->options.root, 0755);
	if (err != NULL)
		return err;
	if (mount(node->options.root, node->options.root, NULL, MS_BIND, NULL) != 0)
		return error_errno(errno, "bind %s", node->options.root);
	rootfd = open(node->options.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return error_errno(errno, "open %s", node->options.root);
	err = make_directories(rootfd);
	if (err == NULL)
		err = make_files(node, rootfd);
	if (err == NULL)
		err = mount_all(node, rootfd);
	return err == NULL ? change_root(rootfd) : err;
}

static bool has_controller(const struct cgroup_root *root, unsigned controller, const char *name)
{
	char text[512];
	struct str rest, word;

	if (!cgroup_root_is_v2(root)) {
		for (size_t i = 0; i < root->n; i++) {
			if (root->hierarchies[i].controllers & CGROUP_BIT(controller))
				return true;
		}
		return false;
	}
	cgroup_read(&root->hierarchies[0], "", "cgroup.controllers", text, sizeof(text));
	rest = str_trim(str_from(text));
	while (str_cut(&rest, ' ', &word)) {
		if (str_is(word, name))
			return true;
	}
	return false;
}

static void note_missing(struct node *node)
{
	static const struct {
		unsigned controller;
		const char *name;
		const char *what;
	} wanted[] = { { CGROUP_CPU, "cpu", "cpu limits" },
		       { CGROUP_MEMORY, "memory", "memory limits" },
		       { CGROUP_PIDS, "pids", "pid limits" } };

	for (size_t i = 0; i < N(wanted); i++) {
		if (!has_controller(node->cgroups, wanted[i].controller, wanted[i].name))
			node->missing[node->n_missing++] = wanted[i].what;
	}
}

struct error *node_root_enter(struct node *node)
{
	AUTO_FREE char *group = node->options.cgroup != NULL ? xstrdup(node->options.cgroup)
							     : xasprintf("monokube/%s", node->options.name);
	struct cgroup_root *inner = NULL;
	struct error *err = cgroup_root_open(&node->cgroups);

	if (err == NULL)
		err = enter_group(node->cgroups, group);
	if (err == NULL && sethostname(node->options.name, strlen(node->options.name)) != 0)
		err = error_errno(errno, "set host name");
	umask(0);
	if (err == NULL)
		err = enter_root(node);
	umask(022);
	if (err == NULL)
		err = cgroup_root_open(&inner); /* the same hierarchies, seen from the node */
	if (err == NULL) {
		cgroup_root_free(node->cgroups);
		node->cgroups = inner;
		note_missing(node);
		err = node_loopback_up();
	}
	if (err == NULL)
		err = probe_overlay(node);
	if (err == NULL)
		err = skeletons_load();
	if (err == NULL) {
		node->state_dir = open("/var/lib/monokube", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (node->state_dir < 0)
			err = error_errno(errno, "open /var/lib/monokube");
	}
	return err;
}

/* Several nodes of one prefix come and go at once: whoever is last takes the levels above. */
static void remove_empty_parents(struct cgroup_root *root, char *path)
{
	char *slash;

	while ((slash = strrchr(path, '/')) != NULL && slash != path) {
		*slash = '\0';
		for (size_t i = 0; i < root->n; i++)
			unlinkat(root->hierarchies[i].fd, path, AT_REMOVEDIR);
	}
}

struct error *node_remove_group(const char *group)
{
	AUTO_FREE char *path = xstrdup(group + strspn(group, "/"));
	struct cgroup_root *root;
	struct error *err = cgroup_root_open(&root);

	if (err != NULL)
		return err;
	err = cgroup_kill(root, path, SIGKILL);
	if (err == NULL)
		err = cgroup_remove(root, path);
	if (err == NULL)
		remove_empty_parents(root, path);
	cgroup_root_free(root);
	return err;
}
