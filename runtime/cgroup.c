#include "runtime/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <linux/magic.h>
#include <math.h>
#include <mntent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "runtime/cgroup_private.h"
#include "runtime/files.h"

#define WARM (20 * NS_PER_MS)

static const char *const controller_names[CGROUP_CONTROLLERS] = {
	[CGROUP_CPU] = "cpu",         [CGROUP_CPUACCT] = "cpuacct",      [CGROUP_CPUSET] = "cpuset", [CGROUP_MEMORY] = "memory",
	[CGROUP_DEVICES] = "devices", [CGROUP_FREEZER] = "freezer",      [CGROUP_PIDS] = "pids",     [CGROUP_BLKIO] = "blkio",
	[CGROUP_HUGETLB] = "hugetlb", [CGROUP_SYSTEMD] = "name=systemd",
};

static struct error *add_hierarchy(struct cgroup_root *root, const char *mount, const char *options)
{
	struct cgroup_hierarchy *h = &root->hierarchies[root->n];
	AUTO_BUF struct buf names = { 0 };
	struct str rest = str_from(options), word;
	const char *slash = strrchr(mount, '/');

	if (root->n == CGROUP_HIERARCHIES_MAX)
		return NULL;
	memset(h, 0, sizeof(*h));
	while (str_cut(&rest, ',', &word)) {
		for (unsigned c = 0; c < CGROUP_CONTROLLERS; c++) {
			if (!str_is(word, controller_names[c]))
				continue;
			h->controllers |= CGROUP_BIT(c);
			if (names.len != 0)
				buf_putc(&names, ',');
			buf_add(&names, word);
		}
	}
	if (options != NULL && h->controllers == 0)
		return NULL;
	h->fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->fd < 0)
		return error_errno(errno, "open control groups at %s", mount);
	h->mount = xstrdup(mount);
	h->name = xstrdup(slash != NULL ? slash + 1 : mount);
	h->options = xstrdup(buf_cstr(&names));
	root->n++;
	return NULL;
}

struct error *cgroup_root_open(struct cgroup_root **out)
{
	struct cgroup_root *root = xcalloc(1, sizeof(*root));
	struct statfs fs;
	struct error *err = NULL;
	FILE *mounts;
	struct mntent *entry, buf;
	char line[PATH_MAX];

	if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
		root->version = &cgroup_v2;
		err = add_hierarchy(root, "/sys/fs/cgroup", NULL);
	} else {
		root->version = &cgroup_v1;
		mounts = setmntent("/proc/self/mounts", "re");
		while (mounts != NULL && err == NULL && (entry = getmntent_r(mounts, &buf, line, sizeof(line))) != NULL) {
			if (strcmp(entry->mnt_type, "cgroup") == 0 &&
			    strncmp(entry->mnt_dir, "/sys/fs/cgroup/", strlen("/sys/fs/cgroup/")) == 0)
				err = add_hierarchy(root, entry->mnt_dir, entry->mnt_opts);
		}
		if (mounts != NULL)
			endmntent(mounts);
	}
	if (err == NULL && root->n == 0)
		err = error_new(ERR_UNSUPPORTED, "no control groups are mounted at /sys/fs/cgroup");
	if (err != NULL) {
		cgroup_root_free(root);
		return err;
	}
	*out = root;
	return NULL;
}

void cgroup_root_free(struct cgroup_root *root)
{
	if (root == NULL)
		return;
	for (size_t i = 0; i < root->n; i++) {
		close(root->hierarchies[i].fd);
		free(root->hierarchies[i].mount);
		free(root->hierarchies[i].name);
		free(root->hierarchies[i].options);
	}
	free(root);
}

bool cgroup_root_is_v2(const struct cgroup_root *root)
{
	return root->version == &cgroup_v2;
}

bool runtime_cgroup_is_v2(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

size_t cgroup_hierarchies(const struct cgroup_root *root, const struct cgroup_hierarchy **out)
{
	*out = root->hierarchies;
	return root->n;
}

/* --- files of one group --- */

static const char *relative(const char *path)
{
	while (*path == '/')
		path++;
	return *path != '\0' ? path : ".";
}

static bool file_name(char name[PATH_MAX], const char *path, const char *file)
{
	return (size_t)snprintf(name, PATH_MAX, "%s/%s", relative(path), file) < PATH_MAX;
}

struct error *cgroup_write(const struct cgroup_hierarchy *h, const char *path, const char *file, const char *format, ...)
{
	char name[PATH_MAX];
	AUTO_BUF struct buf text = { 0 };
	va_list args;

	if (!file_name(name, path, file))
		return error_errno(ENAMETOOLONG, "control group %s", path);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	return file_write_at(h->fd, name, buf_str(&text));
}

bool cgroup_read(const struct cgroup_hierarchy *h, const char *path, const char *file, char *text, size_t size)
{
	char name[PATH_MAX];
	AUTO_FD int fd = -1;
	ssize_t n;
	size_t len = 0;

	text[0] = '\0';
	if (!file_name(name, path, file))
		return false;
	fd = openat(h->fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return true;
}

bool cgroup_read_number(const struct cgroup_hierarchy *h, const char *path, const char *file, uint64_t *out)
{
	char text[64];

	*out = 0;
	return cgroup_read(h, path, file, text, sizeof(text)) && str_to_u64(str_trim(str_from(text)), out);
}

uint64_t cgroup_keyed(const char *text, const char *key)
{
	struct str rest = str_from(text), line;

	while (str_cut(&rest, '\n', &line)) {
		struct str word;
		uint64_t value;

		if (str_cut(&line, ' ', &word) && str_is(word, key) && str_to_u64(str_trim(line), &value))
			return value;
	}
	return 0;
}

/* --- making and entering --- */

static struct error *make_once(struct cgroup_root *root, const struct cgroup_hierarchy *h, const char *path)
{
	char copy[PATH_MAX];
	bool more = true;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", relative(path)) >= sizeof(copy))
		return error_errno(ENAMETOOLONG, "control group %s", path);
	for (char *at = copy; more; at++) {
		struct error *err = NULL;

		at += strcspn(at, "/");
		more = *at != '\0';
		*at = '\0';
		if (mkdirat(h->fd, copy, 0755) == 0) {
			if (root->version->made != NULL)
				err = root->version->made(root, h, copy);
		} else if (errno != EEXIST) {
			err = error_errno(errno, "make control group %s/%s", h->mount, copy);
		}
		if (err != NULL)
			return err;
		if (more)
			*at = '/';
	}
	return NULL;
}

/* Groups above ours are shared: another cluster of this machine may remove an empty one at this moment. */
static struct error *make_in(struct cgroup_root *root, const struct cgroup_hierarchy *h, const char *path)
{
	for (int tries = 0;; tries++) {
		struct error *err = make_once(root, h, path);

		if (err == NULL || (err->code != ENOENT && err->code != ENODEV) || tries == 10)
			return err;
		error_free(err);
	}
}

/* Below the root, and not the root itself. */
static bool is_safe(const char *path)
{
	struct str rest = str_from(path), name;

	while (str_cut(&rest, '/', &name)) {
		if (str_is(name, "..") || str_is(name, "."))
			return false;
	}
	return *relative(path) != '.';
}

struct error *cgroup_make(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	struct error *err = NULL;

	if (!is_safe(path))
		return error_new(ERR_INVALID, "control group \"%s\" is not a path below the root", path);
	for (size_t i = 0; i < root->n && err == NULL; i++) {
		if (root->version->used(&root->hierarchies[i], limits))
			err = make_in(root, &root->hierarchies[i], path);
	}
	return err != NULL ? err : cgroup_limit(root, path, limits);
}

struct error *cgroup_make_everywhere(struct cgroup_root *root, const char *path)
{
	struct error *err = NULL;

	if (!is_safe(path))
		return error_new(ERR_INVALID, "control group \"%s\" is not a path below the root", path);
	for (size_t i = 0; i < root->n && err == NULL; i++)
		err = make_in(root, &root->hierarchies[i], path);
	return err;
}

struct error *cgroup_limit(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	struct error *err = root->version->limit(root, path, limits);

	return err != NULL ? error_context(err, "limit control group %s", path) : NULL;
}

struct error *cgroup_devices(struct cgroup_root *root, const char *path, const struct runtime_device_rule *rules, size_t n)
{
	struct error *err = root->version->devices(root, path, rules, n);

	return err != NULL ? error_context(err, "devices of control group %s", path) : NULL;
}

struct error *cgroup_open_join(struct cgroup_root *root, const char *path, struct cgroup_join *join)
{
	char name[PATH_MAX];

	join->n = 0;
	join->dir = 0;
	if (!file_name(name, path, "cgroup.procs"))
		return error_errno(ENAMETOOLONG, "control group %s", path);
	for (size_t i = 0; i < root->n && join->n < CGROUP_JOIN_MAX; i++) {
		int fd = openat(root->hierarchies[i].fd, name, O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			join->fds[join->n++] = fd;
		} else if (errno != ENOENT) {
			struct error *err = error_errno(errno, "open control group %s/%s", root->hierarchies[i].mount, path);

			cgroup_close_join(join);
			return err;
		}
	}
	if (join->n == 0)
		return error_new(ERR_NOT_FOUND, "control group %s does not exist", path);
	if (cgroup_root_is_v2(root))
		join->dir = openat(root->hierarchies[0].fd, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (join->dir < 0) /* entered from inside then */
		join->dir = 0;
	return NULL;
}

struct error *cgroup_join(const struct cgroup_join *join)
{
	for (size_t i = 0; i < join->n; i++) {
		if (write(join->fds[i], "0", 1) < 0)
			return error_errno(errno, "enter control group");
	}
	return NULL;
}

void cgroup_close_join(struct cgroup_join *join)
{
	for (size_t i = 0; i < join->n; i++)
		close(join->fds[i]);
	if (join->dir > 0)
		close(join->dir);
	join->n = 0;
	join->dir = 0;
}

void cgroup_warm(const struct cgroup_root *root)
{
	static int64_t warm_until;
	struct clone_args args = { .exit_signal = SIGCHLD };
	int64_t now = clock_mono();

	if (root == NULL || cgroup_root_is_v2(root) || root->n == 0 || now < warm_until)
		return;
	warm_until = now + WARM;
	if (syscall(SYS_clone3, &args, sizeof(args)) != 0)
		return;
	for (int i = 0; i < 2; i++) { /* it stays so for a grace period after the last one */
		int fd = openat(root->hierarchies[0].fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(1);
		close(fd);
		usleep((useconds_t)(WARM / 2 / 1000));
	}
	_exit(0);
}

struct error *cgroup_step_aside(struct cgroup_root *root, const char *path)
{
	struct cgroup_join join;
	struct error *err;

	if (mkdirat(root->hierarchies[0].fd, relative(path), 0755) != 0 && errno != EEXIST)
		return error_errno(errno, "make control group %s", path);
	err = cgroup_open_join(root, path, &join);
	if (err != NULL)
		return err;
	err = cgroup_join(&join);
	cgroup_close_join(&join);
	return err != NULL ? err : root->version->made(root, &root->hierarchies[0], relative(path));
}

struct error *cgroup_freeze(struct cgroup_root *root, const char *path, bool frozen)
{
	return root->version->freeze(root, path, frozen);
}

/* --- ending --- */

typedef struct error *group_fn(int parent, const char *name, void *arg);

/* Calls fn for every group below fd/name, innermost first, then for itself. */
static struct error *walk(int parent, const char *name, group_fn *fn, void *arg)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_DIR DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (fd < 0)
		return errno == ENOENT ? NULL : error_errno(errno, "open control group %s", name);
	if (dir == NULL)
		return error_errno(errno, "list control group %s", name);
	while ((entry = readdir(dir)) != NULL) {
		struct error *err;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		err = walk(fd, entry->d_name, fn, arg);
		if (err != NULL)
			return err;
	}
	return fn(parent, name, arg);
}

static struct error *kill_group(int parent, const char *name, void *arg)
{
	char file[PATH_MAX];
	AUTO_BUF struct buf text = { 0 };
	struct str rest, line;
	struct error *err;

	if ((size_t)snprintf(file, sizeof(file), "%s/cgroup.procs", name) >= sizeof(file))
		return NULL;
	err = file_read_at(parent, file, 16 * 1024 * 1024, &text);
	if (err != NULL) {
		bool gone = err->kind == ERR_NOT_FOUND || err->code == ENODEV || err->code == EOPNOTSUPP;

		if (!gone)
			return err;
		error_free(err);
		return NULL;
	}
	rest = buf_str(&text);
	while (str_cut(&rest, '\n', &line)) {
		int64_t pid;

		/* 0 is a process of another pid namespace */
		if (str_to_i64(line, &pid) && pid > 1 && pid != getpid())
			kill((pid_t)pid, *(const int *)arg);
	}
	return NULL;
}

struct error *cgroup_kill(struct cgroup_root *root, const char *path, int signal)
{
	const struct cgroup_hierarchy *h = NULL;

	if (!is_safe(path))
		return NULL;
	if (root->version == &cgroup_v2 && signal == SIGKILL) {
		struct error *err = cgroup_write(&root->hierarchies[0], path, "cgroup.kill", "1");

		if (err == NULL)
			return NULL;
		error_free(err); /* before Linux 5.14 */
	}
	for (size_t i = 0; i < root->n; i++) {
		struct stat st;

		if (fstatat(root->hierarchies[i].fd, relative(path), &st, 0) == 0)
			h = &root->hierarchies[i];
	}
	return h != NULL ? walk(h->fd, relative(path), kill_group, &signal) : NULL;
}

static struct error *remove_group(int parent, const char *name, void *arg)
{
	(void)arg;
	if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		return error_errno(errno, "remove control group %s", name);
	return NULL;
}

struct error *cgroup_remove(struct cgroup_root *root, const char *path)
{
	if (!is_safe(path))
		return NULL;
	for (size_t i = 0; i < root->n; i++) {
		/* a group stays busy for a moment after its last process was reaped */
		for (int tries = 0;; tries++) {
			struct error *err = walk(root->hierarchies[i].fd, relative(path), remove_group, NULL);

			if (err == NULL)
				break;
			if (err->code != EBUSY || tries == 200)
				return err;
			error_free(err);
			if (tries % 20 == 5) {
				err = cgroup_kill(root, path, SIGKILL);
				if (err != NULL)
					return err;
			}
			nanosleep(&(struct timespec){ .tv_nsec = tries < 10 ? 100000 : 5000000 }, NULL);
		}
	}
	return NULL;
}

void cgroup_read_stats(struct cgroup_root *root, const char *path, struct cgroup_stats *out)
{
	memset(out, 0, sizeof(*out));
	root->version->stats(root, path, out);
	out->oom_kills = cgroup_oom_kills(root, path);
}

uint64_t cgroup_oom_kills(struct cgroup_root *root, const char *path)
{
	return root->version->oom_kills(root, path);
}

uint64_t cgroup_weight(uint64_t shares)
{
	double l;

	if (shares == 0)
		return 0;
	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}
