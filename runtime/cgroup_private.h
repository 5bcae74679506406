/* What cgroup.c and the two versions behind it share. */
#ifndef RUNTIME_CGROUP_PRIVATE_H
#define RUNTIME_CGROUP_PRIVATE_H

#include "runtime/cgroup.h"

enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_CPUSET,
	CGROUP_MEMORY,
	CGROUP_DEVICES,
	CGROUP_FREEZER,
	CGROUP_PIDS,
	CGROUP_BLKIO,
	CGROUP_HUGETLB,
	CGROUP_SYSTEMD,
	CGROUP_CONTROLLERS
};
#define CGROUP_BIT(c) (1u << (c))

#define CGROUP_HIERARCHIES_MAX 16

struct cgroup_version;

struct cgroup_root {
	const struct cgroup_version *version;
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES_MAX]; /* v2: one */
	size_t n;
};

/* What differs between v1 and v2. */
struct cgroup_version {
	struct error *(*limit)(struct cgroup_root *root, const char *path, const struct runtime_limits *limits);
	struct error *(*devices)(struct cgroup_root *root, const char *path, const struct runtime_device_rule *rules, size_t n);
	/* After mkdir of one level. */
	struct error *(*made)(struct cgroup_root *root, const struct cgroup_hierarchy *h, const char *path);
	/* Is this hierarchy one that containers are put in? */
	bool (*used)(const struct cgroup_hierarchy *h, const struct runtime_limits *limits);
	struct error *(*freeze)(struct cgroup_root *root, const char *path, bool frozen);
	void (*stats)(struct cgroup_root *root, const char *path, struct cgroup_stats *out);
	uint64_t (*oom_kills)(struct cgroup_root *root, const char *path);
};

extern const struct cgroup_version cgroup_v1, cgroup_v2;

/* <hierarchy>/<path>/<file>; ERR_NOT_FOUND when the file is not there. */
struct error *cgroup_write(const struct cgroup_hierarchy *h, const char *path, const char *file, const char *format, ...)
	__attribute__((format(printf, 4, 5))) MUST_CHECK;
/* NUL-terminated; false when it cannot be read. */
bool cgroup_read(const struct cgroup_hierarchy *h, const char *path, const char *file, char *text, size_t size);
bool cgroup_read_number(const struct cgroup_hierarchy *h, const char *path, const char *file, uint64_t *out);
/* "key value" lines: the value of key, else 0. */
uint64_t cgroup_keyed(const char *text, const char *key);

/* BPF_PROG_TYPE_CGROUP_DEVICE on an open directory of v2. */
struct error *cgroup_bpf_devices(int dirfd, const struct runtime_device_rule *rules, size_t n) MUST_CHECK;

#endif
