/*
 * The node process seen from the server: its protocol as plain structs, and a client without a loop.
 *
 * A node is `monokube node --name N --root DIR --socket PATH [--images DIR] [--cgroup NAME] [--log FILE]
 * [--mount SRC:DST[:ro]]…`. It daemonizes; the command ends when the node listens (0) or could not start (a line on
 * stderr). It is init of its own pid, mount, net, uts, ipc and cgroup namespaces; DIR is its root directory. When it dies
 * its containers die. With --hub it is only a net namespace: HELLO, OPEN (below /proc/sys/net), SOCKET, NETNS, SHUTDOWN.
 *
 * Paths in requests are paths inside the node: "/var/lib/kubelet/…" is DIR/var/lib/kubelet/… on the machine, so the server
 * may write there directly; what is mounted inside the node (MOUNT, tmpfs) it reaches by OPEN. The image store (--images) is
 * bound read-only at NODE_IMAGES: layer directories are named "NODE_IMAGES/…". Upper and work directories are the node's
 * own business, as is where the overlay is mounted: leave rootfs, upper, work and cgroup of a spec empty.
 *
 * What is where on disk: /var/lib/monokube/{sandboxes,containers}/<id>/ in the node hold spec, state (fsynced before
 * anybody is told) and the writable layer. A node that starts finds them: containers that ran when the old node died are
 * exited with code 255 and `lost`.
 *
 * The client owns its connection. It calls nothing but the callbacks given to it, from node_client_readable() or
 * node_client_free() only. The caller's loop waits for node_client_events() on node_client_fd(). One thread.
 *
 *	struct node_client *client;
 *	err = node_client_open(socket_path, &handlers, me, &client);     // connects, sends HELLO
 *	node_container_start(client, &(struct node_ref){ .id = id }, started, me);
 *	… POLLIN: node_client_readable(client); POLLOUT: node_client_writable(client);
 *
 *	static void started(void *arg, struct node_reply *reply)
 *	{
 *		const struct node_container *container = reply->body;   // valid during the call
 *		if (reply->err != NULL) …                               // freed after the call, unless set to NULL
 *	}
 */
#ifndef RUNTIME_NODE_H
#define RUNTIME_NODE_H

#include "runtime/runtime.h"

#define NODE_PROTOCOL 1
#define NODE_IMAGES   "/run/monokube/images"

/* --- the messages; text is NULL when absent --- */

struct node_nothing {
	uint32_t unused;
};

struct node_ref {
	const char *id; /* container or sandbox; for NETNS "" or NULL is the node; for UNMOUNT a path; for STATS NULL is all */
};

struct node_hello {
	uint32_t protocol;
	const char *client; /* who asks, for the node's log */
};

struct node_hello_reply {
	uint32_t protocol;
	const char *name;
	const char *version;  /* of the program the node runs */
	const char *instance; /* another one after each start of the node: its containers are gone then */
	int64_t started_at;   /* ns since 1970 */
	bool hub;
	bool cgroup_v2;
	bool overlay;         /* false: writable layers are kept in memory (its directory takes no overlay) */
	const char **missing; /* features this machine lacks, in words */
	size_t n_missing;
};

enum node_state { NODE_CREATED, NODE_RUNNING, NODE_EXITED };

struct node_sandbox {
	const char *id;
	const char *name; /* all these as given at creation */
	const char *ns;
	const char *uid;
	uint32_t attempt;
	bool host_network;
	bool ready; /* false: stopped, or the node died since */
	int64_t created_at;
	const char **labels;
	size_t n_labels;
};

struct node_container {
	const char *id;
	const char *sandbox;
	const char *name;
	uint32_t attempt;
	uint32_t state;    /* enum node_state */
	int32_t pid;       /* in the node's pid namespace; 0 when not running */
	int32_t exit_code; /* 128 + signal when killed */
	int32_t signal;
	bool oom_killed;
	bool lost;          /* the node died under it: exit code 255 */
	int64_t created_at; /* ns since 1970, 0: not yet */
	int64_t started_at;
	int64_t finished_at;
	const char *image; /* as given at creation */
	const char *log_path;
	const char *message; /* why it could not start */
	const char **labels;
	size_t n_labels;
};

struct node_list_reply {
	struct node_sandbox *sandboxes;
	size_t n_sandboxes;
	struct node_container *containers;
	size_t n_containers;
};

/* Net, ipc and uts namespaces and a /dev/shm, shared by the containers of a pod. No process. */
struct node_sandbox_create {
	const char *id;
	const char *name; /* kept for LIST; the node does not interpret these four */
	const char *ns;
	const char *uid;
	uint32_t attempt;
	const char *hostname;
	bool host_network; /* the node's */
	bool host_ipc;
	bool host_pid;
	bool share_pid; /* one pid namespace for all its containers, with a reaper of the node's */
	struct runtime_sysctl *sysctls;
	size_t n_sysctls;
	const char *cgroup; /* "kubepods/burstable/pod<uid>"; containers are below it */
	struct runtime_limits limits;
	const char **labels; /* opaque; the kubelet's memory across restarts */
	size_t n_labels;
};

struct node_container_create {
	struct runtime_spec spec; /* see above for what to leave empty */
	const char *sandbox;
	const char *name;
	uint32_t attempt;
	const char *image;
	const char *log_path; /* in the node; CRI format; directories are made */
	const char *pid_of;   /* join the pid namespace of this container */
	bool stdin_open;      /* keep a pipe for attach; otherwise /dev/null */
	bool stdin_once;      /* closed when the first attach ends */
	const char **labels;
	size_t n_labels;
};

struct node_kill {
	const char *id;
	int32_t signal;
	bool all; /* every process of its control group */
};

struct node_update {
	const char *id;
	struct runtime_limits limits; /* only what is set changes */
};

struct node_resize {
	const char *id;
	uint32_t rows;
	uint32_t columns;
};

struct node_attach {
	const char *id;
	bool stdin_wanted;
	bool stdout_wanted;
	bool stderr_wanted;
};

/* Runs in the container as its spec says, with these differences. Descriptors: in, out, err, or one terminal; the ends are
 * the server's: when it dies the process sees end of input, or SIGHUP. Its end is a node_exec_exit event. */
struct node_exec {
	const char *id;
	const char **args;
	size_t n_args;
	const char **env; /* added to the container's */
	size_t n_env;
	const char *cwd;  /* NULL: the container's */
	const char *user; /* NULL: the container's */
	bool terminal;
	uint32_t rows;
	uint32_t columns;
};

struct node_exec_reply {
	uint64_t exec; /* names it in the event and in EXEC_KILL */
	int32_t pid;
};

struct node_exec_kill {
	uint64_t exec;
	int32_t signal;
};

struct node_pause {
	const char *id;
	bool paused;
};

struct node_open {
	const char *path;
	const char *sandbox;   /* opened with this sandbox's net namespace as current, for /proc/sys/net */
	const char *container; /* below this container's root instead of the node's */
	uint32_t flags;        /* O_…; O_CLOEXEC is implied */
	uint32_t mode;
	bool parents; /* make missing directories above it */
};

struct node_socket {
	const char *sandbox; /* NULL: the node's own net namespace */
	int32_t domain;
	int32_t type;
	int32_t protocol;
};

/* A mount in the node, for volumes. Kinds: "tmpfs" (data: options; one that is there stays), "bind" (source: a path in the node), "image"
 * (layers: read-only). */
struct node_mount {
	const char *kind;
	const char *path; /* made if missing */
	const char *source;
	const char *data;
	const char **layers;
	size_t n_layers;
	bool readonly;
};

struct node_shutdown {
	uint32_t grace_ms; /* TERM (or the stop signal is the server's business before) → KILL */
};

struct node_stats {
	const char *id; /* of a container or a sandbox */
	bool is_sandbox;
	int64_t time; /* ns since 1970 */
	uint64_t cpu_ns;
	uint64_t memory; /* bytes, with cache */
	uint64_t memory_working_set;
	uint64_t memory_rss;
	uint64_t memory_limit; /* 0: none */
	uint64_t page_faults;
	uint64_t major_page_faults;
	uint64_t pids;
	uint64_t throttled_ns;
	uint64_t oom_kills;
};

struct node_stats_reply {
	struct node_stats *stats; /* the node itself first, with id "" */
	size_t n_stats;
};

/* Events, to whoever subscribed. */
enum node_event { NODE_EVENT_CONTAINER_EXIT = 100, NODE_EVENT_EXEC_EXIT = 101 };

struct node_exec_exit {
	uint64_t exec;
	const char *id; /* the container */
	int32_t exit_code;
	int32_t signal;
};

/* Where in the making of a container an error happened. */
enum node_step {
	NODE_STEP_NONE,
	NODE_STEP_REQUEST, /* the request itself is wrong */
	NODE_STEP_CGROUP,
	NODE_STEP_NAMESPACE,
	NODE_STEP_ROOTFS,
	NODE_STEP_MOUNT,
	NODE_STEP_CONFINE, /* capabilities, seccomp, rlimits, … */
	NODE_STEP_USER,    /* no such user or group in the image */
	NODE_STEP_CWD,
	NODE_STEP_TERMINAL,
	NODE_STEP_EXEC, /* the program is not there or not executable */
};

/* Removes what a node that has ended (or was killed) leaves outside its directory: its control group, killing what may be
 * left in it. `group` as given to --cgroup, or "monokube/<name>". For whoever stops nodes; blocking; absence is fine. */
struct error *node_remove_group(const char *group) MUST_CHECK;

/* --- the client --- */

enum node_op {
#define NODE_OP(number, id, name, request, reply, fds) NODE_OP_##id = (number),
#include "runtime/node_ops.def"
#undef NODE_OP
};

struct node_reply {
	struct error *err; /* NULL: success. Freed after the callback; set to NULL to keep it */
	uint32_t step;     /* enum node_step, with err */
	const void *body;  /* struct of the request's row in node_ops.def; valid during the callback */
	int fds[4];        /* closed after the callback, unless taken with fd_take(&reply->fds[i]) */
	size_t n_fds;
};
typedef void node_reply_fn(void *arg, struct node_reply *reply);

/* The one descriptor of a reply, now the caller's; -1: it has none, as after an error. */
int node_reply_fd(struct node_reply *reply);

struct node_handlers {
	void (*container_exited)(void *arg, const struct node_container *container);
	void (*exec_exited)(void *arg, const struct node_exec_exit *exit);
	/* The connection ended; pending callbacks have been called with ERR_UNAVAILABLE. Free the client afterwards,
	 * also from here. err is borrowed; NULL: the node closed it. */
	void (*closed)(void *arg, const struct error *err);
};

struct node_client;

/* Connects and sends HELLO; `handlers` is borrowed for the client's life. */
struct error *node_client_open(const char *socket_path, const struct node_handlers *handlers, void *arg,
			       struct node_client **out) MUST_CHECK;
/* The same on a connected descriptor, which it takes. Sends nothing by itself. */
struct node_client *node_client_new(int fd, const struct node_handlers *handlers, void *arg);
/* Pending callbacks are called with ERR_CANCELED. NULL is fine. */
void node_client_free(struct node_client *client);
int node_client_fd(const struct node_client *client);
short node_client_events(const struct node_client *client); /* POLLIN, and POLLOUT while something waits to be sent */
void node_client_readable(struct node_client *client);
void node_client_writable(struct node_client *client);
/* Called after each node_…() when POLLOUT becomes wanted or no longer is; so that the loop need not ask. May be NULL. */
void node_client_on_events(struct node_client *client, void (*changed)(void *arg, short events), void *arg);
/* Blocks until every request so far is answered: for commands and tests. */
struct error *node_client_drain(struct node_client *client, int timeout_ms) MUST_CHECK;

/* One function per row: node_hello(), node_list(), node_container_create(), … The request is copied out at once. The
 * result names the request for node_client_cancel(), which makes sure that fn is not called any more. */
#define NODE_OP(number, id, name, request, reply, fds)                                                                             \
	uint64_t node_##name(struct node_client *client, const struct request *body, node_reply_fn *fn, void *arg);
#include "runtime/node_ops.def"
#undef NODE_OP
void node_client_cancel(struct node_client *client, uint64_t request);

#endif
