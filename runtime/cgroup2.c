/* Control groups v2: one hierarchy; processes only in leaves; controllers are switched on level by level. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/cgroup_private.h"

static bool v2_used(const struct cgroup_hierarchy *h, const struct runtime_limits *limits)
{
	(void)h;
	(void)limits;
	return true;
}

/* Hands the controllers that are there to the level of `path` by switching them on in the level above. */
static struct error *v2_made(struct cgroup_root *root, const struct cgroup_hierarchy *h, const char *path)
{
	static const char *const controllers[] = { "cpu", "memory", "pids", "cpuset", "io", "hugetlb" };
	char parent[4096];
	char *slash;

	(void)root;
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash != NULL)
		*slash = '\0';
	else
		parent[0] = '\0';
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		/* one that is missing is noticed when a limit needs it */
		struct error *err = cgroup_write(h, parent, "cgroup.subtree_control", "+%s", controllers[i]);

		error_free(err);
	}
	return NULL;
}

/* A controller that this machine lacks limits nothing: HELLO tells which (node_root.c). */
static struct error *forgive(struct error *err)
{
	if (err == NULL || err->kind != ERR_NOT_FOUND)
		return err;
	error_free(err);
	return NULL;
}

static struct error *set(struct cgroup_root *root, const char *path, const char *file, int64_t value)
{
	if (value == 0)
		return NULL;
	if (value < 0)
		return forgive(cgroup_write(&root->hierarchies[0], path, file, "max"));
	return forgive(cgroup_write(&root->hierarchies[0], path, file, "%lld", (long long)value));
}

static struct error *limit_cpu(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	const struct cgroup_hierarchy *h = &root->hierarchies[0];
	struct error *err = set(root, path, "cpu.weight", (int64_t)cgroup_weight(limits->cpu_shares));
	unsigned long long period = limits->cpu_period != 0 ? limits->cpu_period : 100000;

	if (err != NULL || limits->cpu_quota == 0)
		return err;
	if (limits->cpu_quota < 0)
		return forgive(cgroup_write(h, path, "cpu.max", "max %llu", period));
	return forgive(cgroup_write(h, path, "cpu.max", "%lld %llu", (long long)limits->cpu_quota, period));
}

static struct error *limit_memory(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	struct error *err = set(root, path, "memory.max", limits->memory);

	if (err == NULL)
		err = set(root, path, "memory.low", limits->memory_low);
	if (err == NULL && limits->memory_swap < 0)
		err = set(root, path, "memory.swap.max", -1);
	if (err == NULL && limits->memory_swap > 0) {
		int64_t swap = limits->memory > 0 && limits->memory_swap > limits->memory ? limits->memory_swap - limits->memory
											  : 0;

		/* nor is there such a file where the kernel does not count swap */
		err = forgive(cgroup_write(&root->hierarchies[0], path, "memory.swap.max", "%lld", (long long)swap));
	}
	return err;
}

static struct error *v2_limit(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	const struct cgroup_hierarchy *h = &root->hierarchies[0];
	struct error *err = limit_cpu(root, path, limits);

	if (err == NULL)
		err = limit_memory(root, path, limits);
	if (err == NULL)
		err = set(root, path, "pids.max", limits->pids);
	if (err == NULL && limits->cpus != NULL)
		err = forgive(cgroup_write(h, path, "cpuset.cpus", "%s", limits->cpus));
	if (err == NULL && limits->mems != NULL)
		err = forgive(cgroup_write(h, path, "cpuset.mems", "%s", limits->mems));
	for (size_t i = 0; i < limits->n_unified && err == NULL; i++) {
		const char *file = limits->unified[i].key;

		if (strchr(file, '/') != NULL)
			return error_new(ERR_INVALID, "\"%s\" is not a file of a control group", file);
		err = cgroup_write(h, path, file, "%s", limits->unified[i].value);
	}
	return err;
}

static struct error *v2_devices(struct cgroup_root *root, const char *path, const struct runtime_device_rule *rules, size_t n)
{
	AUTO_FD int fd = openat(root->hierarchies[0].fd, path + strspn(path, "/"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(errno, "open");
	return cgroup_bpf_devices(fd, rules, n);
}

static struct error *v2_freeze(struct cgroup_root *root, const char *path, bool frozen)
{
	const struct cgroup_hierarchy *h = &root->hierarchies[0];
	struct error *err = cgroup_write(h, path, "cgroup.freeze", frozen ? "1" : "0");
	char text[256];

	if (err != NULL)
		return err;
	for (int tries = 0; tries < 1000; tries++) {
		if (cgroup_read(h, path, "cgroup.events", text, sizeof(text)) && (cgroup_keyed(text, "frozen") == 1) == frozen)
			return NULL;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return error_new(ERR_TIMEOUT, "control group %s does not %s", path, frozen ? "freeze" : "thaw");
}

static void v2_stats(struct cgroup_root *root, const char *path, struct cgroup_stats *out)
{
	const struct cgroup_hierarchy *h = &root->hierarchies[0];
	char text[8192];

	if (cgroup_read(h, path, "cpu.stat", text, sizeof(text))) {
		out->cpu_ns = cgroup_keyed(text, "usage_usec") * 1000;
		out->throttled_ns = cgroup_keyed(text, "throttled_usec") * 1000;
	}
	cgroup_read_number(h, path, "pids.current", &out->pids);
	cgroup_read_number(h, path, "memory.current", &out->memory);
	cgroup_read_number(h, path, "memory.max", &out->memory_limit);
	if (!cgroup_read(h, path, "memory.stat", text, sizeof(text)))
		return;
	out->memory_rss = cgroup_keyed(text, "anon");
	out->page_faults = cgroup_keyed(text, "pgfault");
	out->major_page_faults = cgroup_keyed(text, "pgmajfault");
	out->memory_working_set = cgroup_keyed(text, "inactive_file");
	out->memory_working_set = out->memory > out->memory_working_set ? out->memory - out->memory_working_set : 0;
}

static uint64_t v2_oom_kills(struct cgroup_root *root, const char *path)
{
	char text[512];

	return cgroup_read(&root->hierarchies[0], path, "memory.events", text, sizeof(text)) ? cgroup_keyed(text, "oom_kill") : 0;
}

const struct cgroup_version cgroup_v2 = {
	.limit = v2_limit,
	.devices = v2_devices,
	.made = v2_made,
	.used = v2_used,
	.freeze = v2_freeze,
	.stats = v2_stats,
	.oom_kills = v2_oom_kills,
};
