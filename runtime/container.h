/*
 * Making a container, or a process in one: clone3, then blocking setup in the child, with a typed handshake.
 *
 *	parent                               child
 *	spawn ── clone3 ──────────────────►  cgroup, namespaces
 *	                  (new user ns: MAPS ►, ◄ GO)
 *	                                     mounts, pivot_root, user, terminal, working directory
 *	◄─ CONSOLE + descriptor (terminal)
 *	◄─ READY, or ERROR with step and text
 *	GO (or a byte into the gate) ─────►  rights, seccomp, execve
 *	◄─ end of file: it runs; or ERROR
 *
 * struct container_child is the parent's end. It never blocks unless asked to (container_wait_ready): the node's poll
 * loop reads its descriptor. Single-threaded callers only: the child goes on running this program's code.
 */
#ifndef RUNTIME_CONTAINER_H
#define RUNTIME_CONTAINER_H

#include <sys/types.h>

#include "runtime/cgroup.h"
#include "runtime/node.h"
#include "runtime/runtime.h"
#include "runtime/seccomp.h"

struct container_setup {
	const struct runtime_spec *spec;
	const struct cgroup_root *cgroups; /* to mount into the container; may be NULL */
	struct cgroup_join join;           /* entered first; n may be 0 */
	const struct seccomp_program *seccomp;
	int stdio[3];       /* the child's ends; -1: /dev/null. Not for terminals */
	int gate;           /* -1: GO on the handshake; else one byte from here */
	int inside;         /* pidfd of a running container whose namespaces are entered: exec; -1: a new container */
	uint32_t inside_ns; /* exec: CLONE_NEW… flags of the namespaces to enter */
	int pid_ns;         /* a pid namespace for the child to be in; -1: per spec */
	int own_pid_ns;     /* the caller's, to go back to */
};

enum container_message { CONTAINER_NOTHING, CONTAINER_CONSOLE, CONTAINER_READY, CONTAINER_FAILED, CONTAINER_RUNS };

struct container_child {
	pid_t pid;
	int pidfd;         /* -1 where it was not asked for */
	int sync;          /* handshake */
	bool done;         /* nothing more comes: stop watching sync */
	int console;       /* terminal; -1: none yet */
	struct error *err; /* of CONTAINER_FAILED */
	enum node_step step;
};

/* Clones. On success *child is to be ended by container_child_fini(); the process is the caller's to reap. */
struct error *container_spawn(const struct container_setup *setup, struct container_child *child) MUST_CHECK;
/* What the child has to say now; CONTAINER_NOTHING when it has nothing. MAPS it answers itself. */
enum container_message container_receive(struct container_child *child, const struct runtime_spec *spec);
/* Blocks until READY, or gives the error and reaps the child. */
struct error *container_wait_ready(struct container_child *child, const struct runtime_spec *spec) MUST_CHECK;
struct error *container_go(struct container_child *child) MUST_CHECK;
void container_child_fini(struct container_child *child); /* closes; kills nothing */

/* What runs in and next to containers comes from a read-only mount of this program (a sealed copy in memory where the
 * kernel lacks that), so that no container can write to it: runs the same command line again from there. Returns only when
 * already there, or with an error. */
struct error *container_seal_program(void) MUST_CHECK;

#endif
