/*
 * Control groups, v1 (each controller its own hierarchy) and v2 behind one set of functions.
 *
 * A struct cgroup_root is what the process sees at /sys/fs/cgroup: its mounts, opened once. A group is only a path below
 * it, the same in every hierarchy; it exists where its directories do, nothing about it is kept in memory. On v1 the
 * unified hierarchy is left alone. Blocking; any thread.
 *
 *	err = cgroup_make(root, "kubepods/pod1/c0ffee", &limits);
 *	err = cgroup_open_join(root, "kubepods/pod1/c0ffee", &join);    // parent
 *	err = cgroup_join(&join);                                       // child, first thing
 *	err = cgroup_remove(root, "kubepods/pod1/c0ffee");
 */
#ifndef RUNTIME_CGROUP_H
#define RUNTIME_CGROUP_H

#include "runtime/runtime.h"

struct cgroup_root;

struct error *cgroup_root_open(struct cgroup_root **out) MUST_CHECK;
void cgroup_root_free(struct cgroup_root *root); /* NULL is fine */
bool cgroup_root_is_v2(const struct cgroup_root *root);

/* The hierarchies of v1 for mounting into a container: name below /sys/fs/cgroup and mount options. */
struct cgroup_hierarchy {
	char *name;    /* "cpu,cpuacct", "memory", … */
	char *mount;   /* "/sys/fs/cgroup/memory" */
	char *options; /* "cpu,cpuacct", "name=systemd" */
	unsigned controllers;
	int fd;
};
size_t cgroup_hierarchies(const struct cgroup_root *root, const struct cgroup_hierarchy **out);

/* Makes the group and what is above it, then limits it. */
struct error *cgroup_make(struct cgroup_root *root, const char *path, const struct runtime_limits *limits) MUST_CHECK;
/* In every hierarchy there is, also those that containers do not use. */
struct error *cgroup_make_everywhere(struct cgroup_root *root, const char *path) MUST_CHECK;
struct error *cgroup_limit(struct cgroup_root *root, const char *path, const struct runtime_limits *limits) MUST_CHECK;
/* Denies every device that no rule allows; later rules win. */
struct error *cgroup_devices(struct cgroup_root *root, const char *path, const struct runtime_device_rule *rules,
			     size_t n) MUST_CHECK;

#define CGROUP_JOIN_MAX 16
struct cgroup_join {
	int fds[CGROUP_JOIN_MAX];
	size_t n;
	int dir; /* v2: the group itself, to be born in (CLONE_INTO_CGROUP); 0: none */
};
struct error *cgroup_open_join(struct cgroup_root *root, const char *path, struct cgroup_join *join) MUST_CHECK;
struct error *cgroup_join(const struct cgroup_join *join) MUST_CHECK; /* the caller enters */
void cgroup_close_join(struct cgroup_join *join);
/* Who changes its group waits for an RCU grace period, 10 ms and more, unless somebody did a moment ago. On v1 there is no
 * other way into a group: a child does it for nothing, while what comes before a container is made. The caller reaps it. */
void cgroup_warm(const struct cgroup_root *root);
/* On v2 the caller, who is in the group above, moves to this new one and then hands the controllers down: the other way
 * round the group above would become a threaded one, which nothing can enter. */
struct error *cgroup_step_aside(struct cgroup_root *root, const char *path) MUST_CHECK;

struct error *cgroup_freeze(struct cgroup_root *root, const char *path, bool frozen) MUST_CHECK;
/* Every process in it and below, as far as this pid namespace sees them; none is fine. */
struct error *cgroup_kill(struct cgroup_root *root, const char *path, int signal) MUST_CHECK;
/* Kills what is left in it and removes it with everything below. Absence is fine. */
struct error *cgroup_remove(struct cgroup_root *root, const char *path) MUST_CHECK;

struct cgroup_stats {
	uint64_t cpu_ns;
	uint64_t throttled_ns;
	uint64_t memory;
	uint64_t memory_working_set;
	uint64_t memory_rss;
	uint64_t memory_limit; /* 0: none */
	uint64_t page_faults;
	uint64_t major_page_faults;
	uint64_t pids;
	uint64_t oom_kills;
};
/* What cannot be read is 0. */
void cgroup_read_stats(struct cgroup_root *root, const char *path, struct cgroup_stats *out);
uint64_t cgroup_oom_kills(struct cgroup_root *root, const char *path);

/* v2's cpu.weight for v1's shares, as runc and crun convert since 2025 (a quadratic in log2). */
uint64_t cgroup_weight(uint64_t shares);

#endif
