/* Control groups v1, "hybrid" or "legacy": each controller has its own hierarchy. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/cgroup_private.h"

static const struct cgroup_hierarchy *with(struct cgroup_root *root, enum cgroup_controller controller)
{
	for (size_t i = 0; i < root->n; i++) {
		if (root->hierarchies[i].controllers & CGROUP_BIT(controller))
			return &root->hierarchies[i];
	}
	return NULL;
}

static bool v1_used(const struct cgroup_hierarchy *h, const struct runtime_limits *limits)
{
	const unsigned always = CGROUP_BIT(CGROUP_CPU) | CGROUP_BIT(CGROUP_CPUACCT) | CGROUP_BIT(CGROUP_MEMORY) |
				CGROUP_BIT(CGROUP_DEVICES) | CGROUP_BIT(CGROUP_FREEZER) | CGROUP_BIT(CGROUP_PIDS);

	if (h->controllers & CGROUP_BIT(CGROUP_CPUSET))
		return (h->controllers & always) != 0 || limits->cpus != NULL || limits->mems != NULL;
	return (h->controllers & always) != 0;
}

/* A new cpuset group is empty and takes no process until it has cpus and memory nodes. */
static struct error *v1_made(struct cgroup_root *root, const struct cgroup_hierarchy *h, const char *path)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char parent[4096], text[4096];
	char *slash;

	if (!(h->controllers & CGROUP_BIT(CGROUP_CPUSET)))
		return NULL;
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i < 2; i++) {
		struct error *err;

		if (!cgroup_read(h, slash != NULL ? parent : "", files[i], text, sizeof(text)))
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (text[0] == '\0' && slash != NULL) { /* somebody else made the parent and has not filled it yet */
			err = v1_made(root, h, parent);
			if (err != NULL || !cgroup_read(h, parent, files[i], text, sizeof(text)))
				return err;
			text[strcspn(text, "\n")] = '\0';
		}
		err = cgroup_write(h, path, files[i], "%s", text);
		if (err != NULL)
			return err;
	}
	return NULL;
}

static struct error *set(struct cgroup_root *root, enum cgroup_controller controller, const char *path, const char *file,
			 int64_t value)
{
	const struct cgroup_hierarchy *h = with(root, controller);

	return h != NULL && value != 0 ? cgroup_write(h, path, file, "%lld", (long long)value) : NULL;
}

/* Memory alone may not exceed memory and swap together, so the order depends on the direction. */
static struct error *limit_memory(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	struct error *err = set(root, CGROUP_MEMORY, path, "memory.limit_in_bytes", limits->memory);
	struct error *swap;

	if (err != NULL && err->code != EINVAL)
		return err;
	swap = set(root, CGROUP_MEMORY, path, "memory.memsw.limit_in_bytes", limits->memory_swap);
	if (swap != NULL && swap->kind == ERR_NOT_FOUND) { /* the kernel does not count swap */
		error_free(swap);
		swap = NULL;
	}
	if (err != NULL) {
		error_free(err);
		err = set(root, CGROUP_MEMORY, path, "memory.limit_in_bytes", limits->memory);
	}
	if (err != NULL) {
		error_free(swap);
		return err;
	}
	return swap != NULL ? swap : set(root, CGROUP_MEMORY, path, "memory.soft_limit_in_bytes", limits->memory_low);
}

static struct error *limit_cpu(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	struct error *err = set(root, CGROUP_CPU, path, "cpu.shares", (int64_t)limits->cpu_shares);

	if (err == NULL)
		err = set(root, CGROUP_CPU, path, "cpu.cfs_period_us", (int64_t)limits->cpu_period);
	if (err == NULL)
		err = set(root, CGROUP_CPU, path, "cpu.cfs_quota_us", limits->cpu_quota);
	return err;
}

static struct error *v1_limit(struct cgroup_root *root, const char *path, const struct runtime_limits *limits)
{
	const struct cgroup_hierarchy *cpuset = with(root, CGROUP_CPUSET), *pids = with(root, CGROUP_PIDS);
	struct error *err = limit_cpu(root, path, limits);

	if (err == NULL)
		err = limit_memory(root, path, limits);
	if (err == NULL && limits->pids > 0)
		err = set(root, CGROUP_PIDS, path, "pids.max", limits->pids);
	if (err == NULL && limits->pids < 0 && pids != NULL)
		err = cgroup_write(pids, path, "pids.max", "max");
	if (err == NULL && limits->cpus != NULL && cpuset != NULL)
		err = cgroup_write(cpuset, path, "cpuset.cpus", "%s", limits->cpus);
	if (err == NULL && limits->mems != NULL && cpuset != NULL)
		err = cgroup_write(cpuset, path, "cpuset.mems", "%s", limits->mems);
	return err;
}

static struct error *v1_devices(struct cgroup_root *root, const char *path, const struct runtime_device_rule *rules, size_t n)
{
	const struct cgroup_hierarchy *h = with(root, CGROUP_DEVICES);
	struct error *err;

	if (h == NULL)
		return NULL;
	err = cgroup_write(h, path, "devices.deny", "a");
	for (size_t i = 0; i < n && err == NULL; i++) {
		const struct runtime_device_rule *r = &rules[i];
		const char *file = r->allow ? "devices.allow" : "devices.deny";
		char major[24] = "*", minor[24] = "*";

		if (r->major >= 0)
			snprintf(major, sizeof(major), "%lld", (long long)r->major);
		if (r->minor >= 0)
			snprintf(minor, sizeof(minor), "%lld", (long long)r->minor);
		if (r->type == 'a')
			err = cgroup_write(h, path, file, "a");
		else
			err = cgroup_write(h, path, file, "%c %s:%s %s", (int)r->type, major, minor, r->access);
	}
	return err;
}

static struct error *v1_freeze(struct cgroup_root *root, const char *path, bool frozen)
{
	const struct cgroup_hierarchy *h = with(root, CGROUP_FREEZER);
	const char *want = frozen ? "FROZEN" : "THAWED";
	char state[32];

	if (h == NULL)
		return error_new(ERR_UNSUPPORTED, "no freezer controller");
	for (int tries = 0; tries < 1000; tries++) {
		struct error *err = cgroup_write(h, path, "freezer.state", "%s", want);

		if (err != NULL)
			return err;
		if (cgroup_read(h, path, "freezer.state", state, sizeof(state)) && strncmp(state, want, strlen(want)) == 0)
			return NULL;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return error_new(ERR_TIMEOUT, "control group %s does not become %s", path, want);
}

static void v1_stats(struct cgroup_root *root, const char *path, struct cgroup_stats *out)
{
	const struct cgroup_hierarchy *cpuacct = with(root, CGROUP_CPUACCT), *cpu = with(root, CGROUP_CPU);
	const struct cgroup_hierarchy *memory = with(root, CGROUP_MEMORY), *pids = with(root, CGROUP_PIDS);
	char text[8192];

	if (cpuacct != NULL)
		cgroup_read_number(cpuacct, path, "cpuacct.usage", &out->cpu_ns);
	if (cpu != NULL && cgroup_read(cpu, path, "cpu.stat", text, sizeof(text)))
		out->throttled_ns = cgroup_keyed(text, "throttled_time");
	if (pids != NULL)
		cgroup_read_number(pids, path, "pids.current", &out->pids);
	if (memory == NULL || !cgroup_read(memory, path, "memory.stat", text, sizeof(text)))
		return;
	cgroup_read_number(memory, path, "memory.usage_in_bytes", &out->memory);
	cgroup_read_number(memory, path, "memory.limit_in_bytes", &out->memory_limit);
	if (out->memory_limit >= UINT64_C(1) << 62)
		out->memory_limit = 0;
	out->memory_rss = cgroup_keyed(text, "total_rss");
	out->page_faults = cgroup_keyed(text, "total_pgfault");
	out->major_page_faults = cgroup_keyed(text, "total_pgmajfault");
	out->memory_working_set = cgroup_keyed(text, "total_inactive_file");
	out->memory_working_set = out->memory > out->memory_working_set ? out->memory - out->memory_working_set : 0;
}

static uint64_t v1_oom_kills(struct cgroup_root *root, const char *path)
{
	const struct cgroup_hierarchy *h = with(root, CGROUP_MEMORY);
	char text[256];

	return h != NULL && cgroup_read(h, path, "memory.oom_control", text, sizeof(text)) ? cgroup_keyed(text, "oom_kill") : 0;
}

const struct cgroup_version cgroup_v1 = {
	.limit = v1_limit,
	.devices = v1_devices,
	.made = v1_made,
	.used = v1_used,
	.freeze = v1_freeze,
	.stats = v1_stats,
	.oom_kills = v1_oom_kills,
};
