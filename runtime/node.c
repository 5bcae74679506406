/* The node process: its loop, connections and requests. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "runtime/node_private.h"

/* --- the loop --- */

struct error *poll_watch_start(struct node *node, struct watch *watch, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(node->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		return error_errno(errno, "watch a descriptor");
	watch->fd = fd;
	watch->events = events;
	return NULL;
}

void poll_watch_events(struct node *node, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->fd < 0 || watch->events == events)
		return;
	ASSERT(epoll_ctl(node->epoll, EPOLL_CTL_MOD, watch->fd, &event) == 0);
	watch->events = events;
}

void poll_watch_stop(struct node *node, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	ASSERT(epoll_ctl(node->epoll, EPOLL_CTL_DEL, watch->fd, NULL) == 0);
	watch->fd = -1;
}

/* --- connections --- */

static struct node_conn *wire_conn_find(struct node *node, uint64_t id)
{
	LIST_EACH (&node->conns, struct node_conn, link, c) {
		if (c->id == id)
			return c;
	}
	return NULL;
}

static void wire_conn_end(struct node_conn *c)
{
	poll_watch_stop(c->node, &c->watch);
	list_remove(&c->link);
	containers_forsake(c->node, c->id);
	wire_conn_fini(&c->conn);
	free(c);
}

/* A connection that cannot be written to is found closed when it is read next. */
static void wire_conn_push(struct node_conn *c)
{
	error_free(wire_conn_flush(&c->conn));
	poll_watch_events(c->node, &c->watch, EPOLLIN | (wire_conn_wants_write(&c->conn) ? EPOLLOUT : 0u));
}

static const struct wire_struct *reply_type(uint16_t op)
{
	switch ((enum node_op)op) {
#define NODE_OP(number, id, name, request, reply, fds)                                                                             \
	case NODE_OP_##id:                                                                                                         \
		return &wire_##reply;
#include "runtime/node_ops.def"
#undef NODE_OP
	}
	return NULL;
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

void call_reply(struct node *node, struct node_call *call, const void *body, const int *fds, size_t n_fds)
{
	static const struct node_nothing nothing;
	struct node_conn *c = call->conn != 0 ? wire_conn_find(node, call->conn) : NULL;

	call->conn = 0;
	if (c == NULL) {
		close_all(fds, n_fds);
		return;
	}
	wire_conn_send(&c->conn, (struct wire_frame){ .op = call->op, .kind = WIRE_REPLY, .id = call->request },
		       reply_type(call->op), body != NULL ? body : &nothing, fds, n_fds);
	wire_conn_push(c);
}

void call_fail(struct node *node, struct node_call *call, enum node_step step, struct error *err)
{
	struct node_conn *c = call->conn != 0 ? wire_conn_find(node, call->conn) : NULL;
	struct node_error failure = { .kind = err->kind, .code = err->code, .step = step, .text = err->text };

	call->conn = 0;
	if (c != NULL) {
		wire_conn_send(&c->conn, (struct wire_frame){ .op = call->op, .kind = WIRE_ERROR, .id = call->request },
			       &wire_node_error, &failure, NULL, 0);
		wire_conn_push(c);
	}
	error_free(err);
}

void node_announce(struct node *node, enum node_event event, const struct wire_struct *type, const void *body)
{
	LIST_EACH (&node->conns, struct node_conn, link, c) {
		if (!c->subscribed)
			continue;
		wire_conn_send(&c->conn, (struct wire_frame){ .op = (uint16_t)event, .kind = WIRE_EVENT }, type, body, NULL, 0);
		wire_conn_push(c);
	}
}

/* --- requests that concern the node itself --- */

static void op_hello(struct node *node, struct node_call *call, const struct node_hello *request)
{
	struct node_hello_reply reply = {
		.protocol = NODE_PROTOCOL,
		.name = node->options.name,
		.version = MONOKUBE_VERSION,
		.instance = node->instance,
		.started_at = node->started_at,
		.hub = node->options.hub,
		.cgroup_v2 = node->cgroups != NULL && cgroup_root_is_v2(node->cgroups),
		.overlay = node->overlay,
		.missing = node->missing,
		.n_missing = node->n_missing,
	};

	if (request->protocol < 1) {
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_BAD_REQUEST, "no protocol version"));
		return;
	}
	call_reply(node, call, &reply, NULL, 0);
}

static void op_list(struct node *node, struct node_call *call, const struct node_nothing *request)
{
	struct arena *arena = arena_new();
	struct node_list_reply reply = { 0 };

	(void)request;
	reply.sandboxes = ARENA_ARRAY(arena, struct node_sandbox, node->sandboxes.len + 1);
	reply.containers = ARENA_ARRAY(arena, struct node_container, node->containers.len + 1);
	MAP_EACH (&node->sandboxes, s)
		sandbox_describe(s->value, &reply.sandboxes[reply.n_sandboxes++]);
	MAP_EACH (&node->containers, c)
		container_describe(c->value, &reply.containers[reply.n_containers++]);
	call_reply(node, call, &reply, NULL, 0);
	arena_free(arena);
}

static void op_subscribe(struct node *node, struct node_call *call, const struct node_nothing *request)
{
	struct node_conn *c = wire_conn_find(node, call->conn);

	(void)request;
	if (c != NULL)
		c->subscribed = true;
	call_reply(node, call, NULL, NULL, 0);
}

/* From the first moment on nobody joins: who connects now wants the next node, which waits for our lock. */
static void close_listener(struct node *node)
{
	int fd = node->listener.fd;

	poll_watch_stop(node, &node->listener);
	shutdown(fd, SHUT_RDWR); /* containers that are just made have copies */
	fd_close(&fd);
}

static void begin_stop(struct node *node, uint32_t grace_ms)
{
	close_listener(node);
	node->stopping = true;
	node->stop_at = clock_mono() + (int64_t)grace_ms * NS_PER_MS;
	MAP_EACH (&node->containers, it) {
		struct container *c = it->value;

		if (container_alive(c))
			container_signal(c, grace_ms != 0 ? SIGTERM : SIGKILL, false);
	}
}

static void op_shutdown(struct node *node, struct node_call *call, const struct node_shutdown *request)
{
	call_reply(node, call, NULL, NULL, 0);
	begin_stop(node, request->grace_ms);
}

/* --- dispatch --- */

static bool hub_has(enum node_op op)
{
	return op == NODE_OP_HELLO || op == NODE_OP_OPEN || op == NODE_OP_SOCKET || op == NODE_OP_NETNS || op == NODE_OP_SHUTDOWN ||
	       op == NODE_OP_LIST || op == NODE_OP_SUBSCRIBE;
}

static void dispatch(struct node *node, struct node_conn *c, const struct conn_frame *frame)
{
	struct node_call call = { .conn = c->id, .request = frame->header.id, .op = frame->header.op };
	struct arena *arena = arena_new();
	const struct wire_struct *type = NULL;
	struct error *err = NULL;
	union {
#define NODE_OP(number, id, name, request, reply, fds) struct request name;
#include "runtime/node_ops.def"
#undef NODE_OP
	} body;

	switch ((enum node_op)frame->header.op) {
#define NODE_OP(number, id, name, request, reply, fds)                                                                             \
	case NODE_OP_##id:                                                                                                         \
		type = &wire_##request;                                                                                            \
		break;
#include "runtime/node_ops.def"
#undef NODE_OP
	}
	if (type == NULL)
		err = error_new(ERR_UNSUPPORTED, "this node does not know request %u", frame->header.op);
	else if (node->options.hub && !hub_has(frame->header.op))
		err = error_new(ERR_UNSUPPORTED, "a hub has no containers");
	else
		err = wire_decode(arena, type, frame->body, &body);
	if (err != NULL) {
		call_fail(node, &call, NODE_STEP_REQUEST, err);
		arena_free(arena);
		return;
	}
	switch ((enum node_op)frame->header.op) {
#define NODE_OP(number, id, name, request, reply, fds)                                                                             \
	case NODE_OP_##id:                                                                                                         \
		op_##name(node, &call, &body.name);                                                                                \
		break;
#include "runtime/node_ops.def"
#undef NODE_OP
	}
	arena_free(arena);
}

static void wire_conn_ready(struct watch *watch, uint32_t events)
{
	struct node_conn *c = CONTAINER_OF(watch, struct node_conn, watch);
	struct node *node = c->node;
	bool open = true, got = true;
	struct error *err = NULL;

	if (events & EPOLLOUT)
		wire_conn_push(c);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	err = wire_conn_read(&c->conn, &open);
	while (err == NULL && got) {
		struct conn_frame frame;

		err = wire_conn_next(&c->conn, &frame, &got);
		if (err != NULL || !got)
			continue;
		close_all(frame.fds, frame.header.n_fds); /* no request carries any */
		if (frame.header.kind == WIRE_REQUEST)
			dispatch(node, c, &frame);
	}
	if (err != NULL)
		log_consume(LOG_WARN, err, "connection closed");
	if (err != NULL || !open)
		wire_conn_end(c);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct node *node = CONTAINER_OF(watch, struct node, listener);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	struct node_conn *c;
	struct error *err;

	(void)events;
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.uid != geteuid()) {
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->node = node;
	c->id = ++node->last_conn;
	c->watch = (struct watch){ .fd = -1, .ready = wire_conn_ready };
	wire_conn_init(&c->conn, fd);
	list_push(&node->conns, &c->link);
	err = poll_watch_start(node, &c->watch, fd, EPOLLIN);
	if (err != NULL) {
		log_consume(LOG_WARN, err, "new connection");
		wire_conn_end(c);
	}
}

static void reap(struct node *node)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		/* anyone else was an orphan of a container in our pid namespace */
		if (!container_reaped(node, pid, status) && !exec_reaped(node, pid, status))
			sandbox_reaped(node, pid);
	}
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct node *node = CONTAINER_OF(watch, struct node, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(node);
		else
			begin_stop(node, 10000);
	}
}

void node_init(struct node *node)
{
	*node = (struct node){ .listener = { .fd = -1, .ready = listener_ready },
			       .signals = { .fd = -1, .ready = signals_ready },
			       .ns_pid = -1,
			       .ns_net = -1,
			       .ns_ipc = -1,
			       .ns_uts = -1,
			       .state_dir = -1 };
	list_init(&node->conns);
	list_init(&node->execs);
	list_init(&node->seccomp);
}

static bool all_gone(struct node *node)
{
	MAP_EACH (&node->containers, it) {
		if (container_alive(it->value))
			return false;
	}
	return true;
}

void node_run(struct node *node)
{
	while (!node->stopping || !all_gone(node)) {
		struct epoll_event event;
		struct watch *watch;
		int timeout = -1, n;

		if (node->stopping) {
			int64_t left = (node->stop_at - clock_mono()) / NS_PER_MS;

			timeout = left > 0 ? (int)left + 1 : 1000;
		}
		/* one at a time: a handler may end whatever else is ready */
		n = epoll_wait(node->epoll, &event, 1, timeout);
		if (n == 0 && node->stopping && clock_mono() >= node->stop_at) {
			MAP_EACH (&node->containers, it)
				container_signal(it->value, SIGKILL, true);
		}
		if (n != 1)
			continue;
		watch = event.data.ptr;
		watch->ready(watch, event.events);
	}
}

void node_fini(struct node *node)
{
	while (!list_empty(&node->execs))
		exec_free(LIST_FIRST(&node->execs, struct exec, link));
	MAP_EACH (&node->containers, it)
		container_free(map_take(&node->containers, it->key));
	MAP_EACH (&node->sandboxes, it)
		sandbox_free(map_take(&node->sandboxes, it->key));
	while (!list_empty(&node->conns))
		wire_conn_end(LIST_FIRST(&node->conns, struct node_conn, link));
	LIST_EACH (&node->seccomp, struct node_seccomp, link, p) {
		seccomp_program_fini(&p->program);
		free(p);
	}
	MAP_EACH (&node->image_mounts, it)
		image_mount_free(node, map_take(&node->image_mounts, it->key));
	map_fini(&node->image_mounts);
	map_fini(&node->skeletons);
	map_fini(&node->layers);
	map_fini(&node->containers);
	map_fini(&node->sandboxes);
	cgroup_root_free(node->cgroups);
	free(node->options.mounts);
}
