/*
 * The node process from within: one thread, one epoll loop. struct node owns everything; requests come in through struct
 * node_conn, become calls of the handlers in node_sandbox.c, node_create.c, node_container.c, node_exec.c and node_files.c, and are
 * answered at once or, for what waits for a child, later through a struct node_call.
 *
 * A container's life here:
 *
 *	create ─ spawn ─► setting up ─ READY ─► created ─ start, GO ─► starting ─ EOF ─► running ─ SIGCHLD ─► exited ─ remove
 *	                      │ ERROR: undone, error to the caller         │ ERROR: exited with 128, error to the caller
 */
#ifndef RUNTIME_NODE_PRIVATE_H
#define RUNTIME_NODE_PRIVATE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/fsm.h"
#include "base/list.h"
#include "base/map.h"
#include "runtime/cgroup.h"
#include "runtime/conn.h"
#include "runtime/container.h"
#include "runtime/log_frame.h"
#include "runtime/node.h"
#include "runtime/node_records.h"

struct node;

/* --- the loop --- */

struct watch {
	int fd; /* -1: not watched */
	uint32_t events;
	void (*ready)(struct watch *watch, uint32_t events);
};

struct error *poll_watch_start(struct node *node, struct watch *watch, int fd, uint32_t events) MUST_CHECK;
void poll_watch_events(struct node *node, struct watch *watch, uint32_t events);
void poll_watch_stop(struct node *node, struct watch *watch); /* does not close */

/* --- who asks --- */

struct node_conn {
	struct list link;
	struct node *node;
	struct conn conn;
	struct watch watch;
	uint64_t id; /* never given twice */
	bool subscribed;
};

/* A request that is answered later; the connection may be gone by then. */
struct node_call {
	uint64_t conn; /* 0: nobody waits */
	uint64_t request;
	uint16_t op;
};

void call_reply(struct node *node, struct node_call *call, const void *body, const int *fds, size_t n_fds);
void call_fail(struct node *node, struct node_call *call, enum node_step step, struct error *err); /* frees err */
void node_announce(struct node *node, enum node_event event, const struct wire_struct *type, const void *body);

/* --- what there is --- */

struct node_seccomp {
	struct list link;
	uint64_t caps;
	struct seccomp_program program;
};

struct node_layer_lock { /* a directory of the image store in use: shared flock */
	int fd;
	int users;
};

struct image_mount {
	struct arena *arena;
	struct node_mount request;
};

struct node_options {
	const char *name;
	const char *root;
	const char *socket;
	const char *images;
	const char *cgroup;
	const char *log;
	const char **mounts; /* "SRC:DST[:ro]" */
	size_t n_mounts;
	bool hub;
};

struct node {
	struct node_options options;
	char instance[37];
	int64_t started_at;
	int epoll;
	struct watch listener;
	struct watch signals;
	struct list conns;
	uint64_t last_conn;
	struct map sandboxes;  /* id → struct sandbox */
	struct map containers; /* id → struct container */
	struct list execs;
	uint64_t last_exec;
	struct cgroup_root *cgroups;
	int ns_pid, ns_net, ns_ipc, ns_uts; /* our own */
	int state_dir;                      /* /var/lib/monokube */
	struct list seccomp;                /* compiled default profiles */
	struct map layers;                  /* path → struct node_layer_lock */
	struct map image_mounts;            /* path → struct image_mount: their layers are locked too */
	struct map skeletons;               /* paths of those that were made (node_skeleton.c) */
	bool overlay;
	const char *missing[8];
	size_t n_missing;
	bool stopping;
	int64_t stop_at; /* mono; KILL then */
};

struct sandbox {
	struct node *node;
	struct arena *arena;
	struct node_sandbox_record record;
	int dir;
	int net, ipc, uts; /* namespaces; -1: the node's own */
	pid_t reaper;      /* init of a shared pid namespace; 0: none */
	int reaper_fd;     /* pidfd */
	bool ready;
};

struct attachment {
	int out;
	int err;
};

struct pump { /* one output stream of a container */
	struct watch watch;
	struct container *container;
	struct log_framer framer;
	bool is_err;
};

struct container {
	struct node *node;
	struct arena *arena;
	struct node_container_create request;
	struct node_container_record record;
	struct fsm state;
	struct runtime_spec spec; /* of the request, with what the node fills in */
	struct sandbox *sandbox;  /* NULL: was removed */
	int dir;
	struct container_child child;
	struct watch sync;
	struct node_call call; /* create or start that is under way */
	int input;             /* write end of stdin, or the terminal; -1 */
	int log;
	struct pump out, err;
	VEC(struct attachment) attachments;
	bool layers_locked;
};

enum container_state { C_SETTING_UP, C_CREATED, C_STARTING, C_RUNNING, C_EXITED, C_STATES };

struct exec {
	struct list link;
	struct node *node;
	uint64_t id;
	char *container;
	struct arena *arena;
	struct runtime_spec spec;
	struct container_child child;
	struct watch sync;
	struct node_call call;
	int ends[3]; /* for the caller */
	bool started;
};

/* --- node.c --- */

void node_init(struct node *node);
void node_run(struct node *node); /* until it was told to stop and its containers are gone */
void node_fini(struct node *node);

/* --- node_root.c: becoming a node --- */

struct error *node_root_enter(struct node *node) MUST_CHECK; /* in the new namespaces; "/" is the node's afterwards */
struct error *node_loopback_up(void) MUST_CHECK;

/* --- node_sandbox.c --- */

struct error *sandboxes_load(struct node *node) MUST_CHECK;
struct sandbox *sandbox_find(struct node *node, const char *id); /* NULL when absent */
void sandbox_describe(const struct sandbox *sandbox, struct node_sandbox *out);
void op_sandbox_create(struct node *node, struct node_call *call, const struct node_sandbox_create *request);
void op_sandbox_stop(struct node *node, struct node_call *call, const struct node_ref *request);
void op_sandbox_remove(struct node *node, struct node_call *call, const struct node_ref *request);
void op_sandbox_update(struct node *node, struct node_call *call, const struct node_update *request);
bool sandbox_reaped(struct node *node, pid_t pid);
void sandbox_free(struct sandbox *sandbox);

/* --- node_layers.c --- */

struct error *layers_lock(struct node *node, const char *const *layers, size_t n) MUST_CHECK;
void layers_unlock(struct node *node, const char *const *layers, size_t n);

/* --- node_create.c --- */

void op_container_create(struct node *node, struct node_call *call, const struct node_container_create *request);
/* The program for a spec: a default profile from the cache, else *own, which the caller ends. */
struct error *container_seccomp(struct node *node, const struct runtime_spec *spec, const struct seccomp_program **out,
				struct seccomp_program *own) MUST_CHECK;

/* --- node_container.c --- */

struct error *containers_load(struct node *node) MUST_CHECK;
struct container *container_find(struct node *node, const char *id);
void container_describe(const struct container *container, struct node_container *out);
void container_signal(struct container *container, int signal, bool all);
bool container_alive(const struct container *container);
/* The caller's side of its process ended. True when pid was one. */
bool container_reaped(struct node *node, pid_t pid, int status);
void container_free(struct container *container);
struct container *container_new(struct node *node); /* setting up; in no map yet */
const char *container_id(const struct container *container);
void container_heard(struct watch *watch, uint32_t events); /* its process says how far it is */
/* Takes back one that nobody was told of: no process, no files; fails its call with err. It is gone afterwards. */
void container_undo(struct container *container, enum node_step step, struct error *err);
void containers_forsake(struct node *node, uint64_t conn); /* what that connection was having made is not made */
void op_container_start(struct node *node, struct node_call *call, const struct node_ref *request);
void op_container_kill(struct node *node, struct node_call *call, const struct node_kill *request);
void op_container_remove(struct node *node, struct node_call *call, const struct node_ref *request);
void op_container_update(struct node *node, struct node_call *call, const struct node_update *request);
void op_container_get(struct node *node, struct node_call *call, const struct node_ref *request);
void op_pause(struct node *node, struct node_call *call, const struct node_pause *request);

/* --- node_stream.c: logs, terminals, attach --- */

struct error *stdio_open_log(struct container *container) MUST_CHECK;
/* Starts pumping: pipes, or the terminal as out. Takes the descriptors. */
struct error *stdio_start(struct container *container, int out, int err) MUST_CHECK;
void stdio_finish(struct container *container); /* takes what is still in the pipes, then closes */
void op_reopen_log(struct node *node, struct node_call *call, const struct node_ref *request);
void op_resize(struct node *node, struct node_call *call, const struct node_resize *request);
void op_attach(struct node *node, struct node_call *call, const struct node_attach *request);

/* --- node_exec.c --- */

void op_exec(struct node *node, struct node_call *call, const struct node_exec *request);
void op_exec_kill(struct node *node, struct node_call *call, const struct node_exec_kill *request);
bool exec_reaped(struct node *node, pid_t pid, int status);
void exec_free(struct exec *exec);

/* --- node_files.c --- */

void op_open(struct node *node, struct node_call *call, const struct node_open *request);
void op_socket(struct node *node, struct node_call *call, const struct node_socket *request);
void op_netns(struct node *node, struct node_call *call, const struct node_ref *request);
void op_mount(struct node *node, struct node_call *call, const struct node_mount *request);
void op_unmount(struct node *node, struct node_call *call, const struct node_ref *request);
void image_mount_free(struct node *node, struct image_mount *mount);

/* --- mount points, as one more layer (node_skeleton.c) --- */

void skeleton_add(struct node *node, struct arena *arena, struct runtime_spec *spec);
struct error *skeletons_load(void) MUST_CHECK;

#define NODE_ROOTFS "/run/monokube/rootfs" /* where each container mounts its root, in a mount namespace of its own */
void op_stats(struct node *node, struct node_call *call, const struct node_ref *request);

/* Runs with the net namespace of a sandbox as current (NULL or "": the node's); leave must follow. */
struct error *net_enter(struct node *node, const char *sandbox) MUST_CHECK;
void net_leave(struct node *node);

/* Letters, digits, '-', '_', '.'; not "." or ".."; at most 128. */
bool node_id_valid(const char *id);

#endif
