/* What a container is by default, and changes to that. Pure. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/cgroup.h"
#include "runtime/runtime.h"

/* Paths that containerd and CRI-O hide or write-protect. */
static const char *const masked[] = {
	"/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
	"/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
	"/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap",
};
static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };

static const struct runtime_mount default_mounts[] = {
	{ .destination = "/proc", .type = "proc", .source = "proc", .flags = MS_NOSUID | MS_NOEXEC | MS_NODEV },
	{ .destination = "/dev",
	  .type = "tmpfs",
	  .source = "tmpfs",
	  .data = "mode=755,size=65536k",
	  .flags = MS_NOSUID | MS_STRICTATIME },
	{ .destination = "/dev/pts",
	  .type = "devpts",
	  .source = "devpts",
	  .data = "newinstance,ptmxmode=0666,mode=0620,gid=5",
	  .flags = MS_NOSUID | MS_NOEXEC },
	{ .destination = "/dev/mqueue", .type = "mqueue", .source = "mqueue", .flags = MS_NOSUID | MS_NOEXEC | MS_NODEV },
	{ .destination = "/dev/shm",
	  .type = "tmpfs",
	  .source = "shm",
	  .data = "mode=1777,size=65536k",
	  .flags = MS_NOSUID | MS_NOEXEC | MS_NODEV },
	{ .destination = "/sys", .type = "sysfs", .source = "sysfs", .flags = MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY },
	{ .destination = "/sys/fs/cgroup",
	  .type = "cgroup",
	  .source = "cgroup",
	  .flags = MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY | MS_RELATIME },
};
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* As runc: make any node, use these. */
static const struct runtime_device_rule default_rules[] = {
	{ true, 'c', -1, -1, "m" }, { true, 'b', -1, -1, "m" },    { true, 'c', 1, 3, "rwm" }, { true, 'c', 1, 5, "rwm" },
	{ true, 'c', 1, 7, "rwm" }, { true, 'c', 1, 8, "rwm" },    { true, 'c', 1, 9, "rwm" }, { true, 'c', 5, 0, "rwm" },
	{ true, 'c', 5, 2, "rwm" }, { true, 'c', 136, -1, "rwm" },
};

static const char **texts(struct arena *arena, const char *const *from, size_t n)
{
	const char **to = ARENA_ARRAY(arena, const char *, n + 1);

	memcpy(to, from, n * sizeof(*to));
	return to;
}

void runtime_spec_init(struct arena *arena, struct runtime_spec *spec, const char *id)
{
	memset(spec, 0, sizeof(*spec));
	spec->id = id;
	spec->gid = -1;
	spec->umask = -1;
	spec->env = texts(arena, (const char *const[]){ "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }, 1);
	spec->n_env = 1;
	spec->caps = RUNTIME_CAPS_DEFAULT;
	spec->seccomp.mode = RUNTIME_SECCOMP_DEFAULT;
	spec->masked = texts(arena, masked, N(masked));
	spec->n_masked = N(masked);
	spec->readonly = texts(arena, readonly, N(readonly));
	spec->n_readonly = N(readonly);
	spec->mounts = ARENA_ARRAY(arena, struct runtime_mount, N(default_mounts));
	memcpy(spec->mounts, default_mounts, sizeof(default_mounts));
	spec->n_mounts = N(default_mounts);
	spec->device_rules = ARENA_ARRAY(arena, struct runtime_device_rule, N(default_rules));
	memcpy(spec->device_rules, default_rules, sizeof(default_rules));
	spec->n_device_rules = N(default_rules);
	spec->ns_new = RUNTIME_NS_BIT(RUNTIME_NS_PID) | RUNTIME_NS_BIT(RUNTIME_NS_CGROUP);
	for (int i = 0; i < RUNTIME_NS_COUNT; i++)
		spec->ns_fd[i] = -1;
}

void runtime_spec_privileged(struct arena *arena, struct runtime_spec *spec)
{
	spec->caps = runtime_caps_all();
	spec->seccomp.mode = RUNTIME_SECCOMP_UNCONFINED;
	spec->n_masked = 0;
	spec->n_readonly = 0;
	spec->all_devices = true;
	spec->device_rules = ARENA_NEW(arena, struct runtime_device_rule);
	spec->device_rules[0] = (struct runtime_device_rule){ true, 'a', -1, -1, "rwm" };
	spec->n_device_rules = 1;
	for (size_t i = 0; i < spec->n_mounts; i++) {
		struct runtime_mount *m = &spec->mounts[i];

		if (m->type != NULL && (strcmp(m->type, "sysfs") == 0 || strcmp(m->type, "cgroup") == 0))
			m->flags &= ~(uint64_t)MS_RDONLY;
	}
}

struct runtime_mount *runtime_spec_add_mount(struct arena *arena, struct runtime_spec *spec, const char *destination,
					     const char *type, const char *source)
{
	struct runtime_mount *mounts = ARENA_ARRAY(arena, struct runtime_mount, spec->n_mounts + 1), *m;

	if (spec->n_mounts != 0)
		memcpy(mounts, spec->mounts, spec->n_mounts * sizeof(*mounts));
	spec->mounts = mounts;
	m = &mounts[spec->n_mounts++];
	*m = (struct runtime_mount){ .destination = destination, .type = type, .source = source };
	if (strcmp(type, "bind") == 0)
		m->flags = MS_BIND;
	return m;
}

void runtime_spec_drop_mount(struct runtime_spec *spec, const char *destination)
{
	size_t n = 0;

	for (size_t i = 0; i < spec->n_mounts; i++) {
		if (strcmp(spec->mounts[i].destination, destination) != 0)
			spec->mounts[n++] = spec->mounts[i];
	}
	spec->n_mounts = n;
}

static const struct {
	const char *name;
	uint64_t set;
	uint64_t clear;
	uint64_t propagation;
} options_known[] = {
	{ "defaults", 0, 0, 0 },
	{ "ro", MS_RDONLY, 0, 0 },
	{ "rw", 0, MS_RDONLY, 0 },
	{ "nosuid", MS_NOSUID, 0, 0 },
	{ "suid", 0, MS_NOSUID, 0 },
	{ "nodev", MS_NODEV, 0, 0 },
	{ "dev", 0, MS_NODEV, 0 },
	{ "noexec", MS_NOEXEC, 0, 0 },
	{ "exec", 0, MS_NOEXEC, 0 },
	{ "sync", MS_SYNCHRONOUS, 0, 0 },
	{ "async", 0, MS_SYNCHRONOUS, 0 },
	{ "dirsync", MS_DIRSYNC, 0, 0 },
	{ "mand", MS_MANDLOCK, 0, 0 },
	{ "nomand", 0, MS_MANDLOCK, 0 },
	{ "noatime", MS_NOATIME, 0, 0 },
	{ "atime", 0, MS_NOATIME, 0 },
	{ "nodiratime", MS_NODIRATIME, 0, 0 },
	{ "diratime", 0, MS_NODIRATIME, 0 },
	{ "relatime", MS_RELATIME, 0, 0 },
	{ "norelatime", 0, MS_RELATIME, 0 },
	{ "strictatime", MS_STRICTATIME, 0, 0 },
	{ "nostrictatime", 0, MS_STRICTATIME, 0 },
	{ "bind", MS_BIND, 0, 0 },
	{ "rbind", MS_BIND | MS_REC, 0, 0 },
	{ "private", 0, 0, MS_PRIVATE },
	{ "rprivate", 0, 0, MS_PRIVATE | MS_REC },
	{ "slave", 0, 0, MS_SLAVE },
	{ "rslave", 0, 0, MS_SLAVE | MS_REC },
	{ "shared", 0, 0, MS_SHARED },
	{ "rshared", 0, 0, MS_SHARED | MS_REC },
	{ "unbindable", 0, 0, MS_UNBINDABLE },
	{ "runbindable", 0, 0, MS_UNBINDABLE | MS_REC },
};

static bool option_known(struct runtime_mount *mount, const char *option)
{
	for (size_t i = 0; i < N(options_known); i++) {
		if (strcmp(options_known[i].name, option) != 0)
			continue;
		mount->flags = (mount->flags & ~options_known[i].clear) | options_known[i].set;
		if (options_known[i].propagation != 0)
			mount->propagation = options_known[i].propagation;
		return true;
	}
	if (strcmp(option, "rro") == 0) {
		mount->flags |= MS_RDONLY;
		mount->recursive_ro = true;
		return true;
	}
	if (strcmp(option, "tmpcopyup") == 0) {
		mount->copy_up = true;
		return true;
	}
	return strcmp(option, "notmpcopyup") == 0 || strcmp(option, "copy-symlink") == 0;
}

void runtime_mount_options(struct arena *arena, struct runtime_mount *mount, const char *const *options, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (option_known(mount, options[i]))
			continue;
		mount->data = mount->data != NULL && mount->data[0] != '\0' ? arena_printf(arena, "%s,%s", mount->data, options[i])
									    : options[i];
	}
}

/* --- what this machine can do --- */

static struct error *probe_namespaces(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return error_errno(errno, "fork");
	if (pid == 0)
		_exit(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID) == 0 ? 0 : errno);
	if (waitpid(pid, &status, 0) < 0)
		return error_errno(errno, "wait");
	return WEXITSTATUS(status) == 0 ? NULL : error_errno(WEXITSTATUS(status), "make namespaces");
}

struct error *runtime_probe(void)
{
	struct cgroup_root *root;
	AUTO_FD int fd = -1;
	struct error *err = probe_namespaces();

	if (err == NULL && (fd = (int)syscall(SYS_pidfd_open, getpid(), 0u)) < 0)
		err = error_new(ERR_UNSUPPORTED, "this kernel has no pidfd_open; Linux 5.10 or newer is needed");
	if (err == NULL && syscall(SYS_openat2, -1, "", NULL, 0) < 0 && errno == ENOSYS)
		err = error_new(ERR_UNSUPPORTED, "this kernel has no openat2; Linux 5.10 or newer is needed");
	if (err == NULL) {
		err = cgroup_root_open(&root);
		if (err == NULL)
			cgroup_root_free(root);
	}
	return err;
}
