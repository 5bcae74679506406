/*
 * Capabilities of the calling process. The order that works: caps_bound() while CAP_SETPCAP is held, then the user
 * changes with PR_SET_KEEPCAPS, then caps_apply(). Single-threaded child only.
 */
#ifndef RUNTIME_CAPS_H
#define RUNTIME_CAPS_H

#include "runtime/runtime.h"

struct caps_sets {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
	uint64_t ambient;
};

uint64_t caps_held(void);                           /* permitted to this process: more cannot be given */
struct error *caps_bound(uint64_t caps) MUST_CHECK; /* the bounding set becomes this */
struct error *caps_apply(const struct caps_sets *sets) MUST_CHECK;

#endif
