/*
 * The root of a container: everything between clone and pivot_root. Runs in the child, in its own mount namespace, as the
 * machine's (or the user namespace's) root; the old root is still there and is what source paths mean.
 *
 * Nothing here trusts the image: targets are resolved inside the new root to descriptors and mounted on by descriptor;
 * sources of /dev/null and terminals are checked devices of the old root; binds are made whole (read-only and all) before
 * they are attached, where the kernel can do that (5.12).
 *
 *	err = mounts_root(spec, cgroups, &rootfd);      // root mounted, everything in it
 *	err = mounts_enter(spec, rootfd);               // pivot_root; afterwards "/" is the container's
 */
#ifndef RUNTIME_MOUNTS_H
#define RUNTIME_MOUNTS_H

#include "runtime/cgroup.h"
#include "runtime/runtime.h"

struct error *mounts_root(const struct runtime_spec *spec, const struct cgroup_root *cgroups, int *rootfd) MUST_CHECK;
struct error *mounts_enter(const struct runtime_spec *spec, int rootfd) MUST_CHECK;

/* Also for volumes: layers topmost first; upper and work may be NULL: read-only. Mounts on `target`. */
struct overlay {
	const char *const *layers;
	size_t n_layers;
	const char *upper;
	const char *work;
	const char *target;
};
struct error *mounts_overlay(const struct overlay *overlay) MUST_CHECK;

/* A bind of the open `source` onto the open `target` with these MS_ flags. */
struct bind {
	int source;
	int target;
	uint64_t flags;
	uint64_t propagation;
	bool recursive_ro;
};
struct error *mounts_bind(const struct bind *bind) MUST_CHECK;

/* devices.c: default devices, their links and what the spec adds, in the /dev below an open root. */
struct error *devices_make(const struct runtime_spec *spec, int rootfd) MUST_CHECK;

#endif
