#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/list.h"
#include "runtime/conn.h"
#include "runtime/node.h"

struct pending {
	struct list link; /* in client.pending, oldest first */
	uint64_t id;
	enum node_op op;
	node_reply_fn *fn;
	void *arg;
};

struct node_client {
	struct conn conn;
	const struct node_handlers *handlers;
	void *arg;
	struct list pending;
	uint64_t last_id;
	void (*changed)(void *arg, short events);
	void *changed_arg;
	short events; /* as last told */
	bool closed;
	bool busy;  /* a callback is on the stack */
	bool freed; /* node_client_free() came from a callback */
};

static const struct {
	enum node_op op;
	const struct wire_struct *request;
	const struct wire_struct *reply;
} ops[] = {
#define NODE_OP(number, id, name, request, reply, fds) { NODE_OP_##id, &wire_##request, &wire_##reply },
#include "runtime/node_ops.def"
#undef NODE_OP
};

static const struct wire_struct *reply_type(enum node_op op)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].op == op)
			return ops[i].reply;
	}
	return NULL;
}

struct node_client *node_client_new(int fd, const struct node_handlers *handlers, void *arg)
{
	struct node_client *client = xcalloc(1, sizeof(*client));

	wire_conn_init(&client->conn, fd);
	client->handlers = handlers;
	client->arg = arg;
	client->events = POLLIN;
	list_init(&client->pending);
	return client;
}

int node_reply_fd(struct node_reply *reply)
{
	return reply->err == NULL && reply->n_fds == 1 ? fd_take(&reply->fds[0]) : -1;
}

static void ignore_reply(void *arg, struct node_reply *reply)
{
	(void)arg;
	(void)reply;
}

struct error *node_client_open(const char *socket_path, const struct node_handlers *handlers, void *arg, struct node_client **out)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_errno(errno, "make a socket");
	if (strlen(socket_path) >= sizeof(addr.sun_path))
		return error_new(ERR_INVALID, "the socket path %s is longer than %zu characters", socket_path,
				 sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, socket_path, strlen(socket_path) + 1);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return error_errno(errno, "connect to node at %s", socket_path);
	*out = node_client_new(fd_take(&fd), handlers, arg);
	node_hello(*out, &(struct node_hello){ .protocol = NODE_PROTOCOL, .client = "monokube " MONOKUBE_VERSION }, ignore_reply,
		   NULL);
	return NULL;
}

static void finish(struct pending *p, struct node_reply *reply)
{
	list_remove(&p->link);
	if (p->fn != NULL)
		p->fn(p->arg, reply);
	for (size_t i = 0; i < reply->n_fds; i++) {
		if (reply->fds[i] >= 0)
			close(reply->fds[i]);
	}
	error_free(reply->err);
	free(p);
}

static void fail_pending(struct node_client *client, enum error_kind kind, const char *why)
{
	while (!list_empty(&client->pending)) {
		struct node_reply reply = { .err = error_new(kind, "%s", why) };

		finish(LIST_FIRST(&client->pending, struct pending, link), &reply);
	}
}

static void release(struct node_client *client)
{
	wire_conn_fini(&client->conn);
	free(client);
}

void node_client_free(struct node_client *client)
{
	bool busy;

	if (client == NULL || client->freed)
		return;
	busy = client->busy;
	client->busy = true;
	client->closed = client->freed = true;
	fail_pending(client, ERR_CANCELED, "the connection to the node was given up");
	if (!busy)
		release(client);
}

int node_client_fd(const struct node_client *client)
{
	return client->conn.fd;
}

short node_client_events(const struct node_client *client)
{
	return (short)(POLLIN | (wire_conn_wants_write(&client->conn) ? POLLOUT : 0));
}

void node_client_on_events(struct node_client *client, void (*changed)(void *arg, short events), void *arg)
{
	client->changed = changed;
	client->changed_arg = arg;
}

static void tell_events(struct node_client *client)
{
	short events = node_client_events(client);

	if (client->closed || events == client->events)
		return;
	client->events = events;
	if (client->changed != NULL)
		client->changed(client->changed_arg, events);
}

static void closed(struct node_client *client, struct error *err)
{
	if (!client->closed) {
		client->closed = true;
		fail_pending(client, ERR_UNAVAILABLE, err != NULL ? err->text : "the node closed the connection");
		if (!client->freed && client->handlers->closed != NULL)
			client->handlers->closed(client->arg, err);
	}
	error_free(err);
}

static struct error *deliver_event(struct node_client *client, struct arena *arena, const struct conn_frame *frame)
{
	struct node_container container;
	struct node_exec_exit exec;
	struct error *err;

	switch ((enum node_event)frame->header.op) {
	case NODE_EVENT_CONTAINER_EXIT:
		err = wire_decode(arena, &wire_node_container, frame->body, &container);
		if (err == NULL && client->handlers->container_exited != NULL)
			client->handlers->container_exited(client->arg, &container);
		return err;
	case NODE_EVENT_EXEC_EXIT:
		err = wire_decode(arena, &wire_node_exec_exit, frame->body, &exec);
		if (err == NULL && client->handlers->exec_exited != NULL)
			client->handlers->exec_exited(client->arg, &exec);
		return err;
	}
	return NULL; /* a newer node's */
}

static struct error *decode_reply(struct arena *arena, const struct pending *p, const struct conn_frame *frame,
				  struct node_reply *reply)
{
	struct node_error failure;
	const struct wire_struct *type = reply_type(p->op);
	void *body;
	struct error *err;

	if (frame->header.kind == WIRE_ERROR) {
		err = wire_decode(arena, &wire_node_error, frame->body, &failure);
		if (err != NULL)
			return err;
		reply->step = failure.step;
		reply->err = error_make(__FILE__, __LINE__, failure.kind < ERR_KINDS ? failure.kind : ERR_INTERNAL, failure.code,
					"%s", failure.text != NULL ? failure.text : "");
		return NULL;
	}
	body = arena_alloc(arena, type->size);
	err = wire_decode(arena, type, frame->body, body);
	reply->body = body;
	return err;
}

static struct error *deliver(struct node_client *client, struct conn_frame *frame)
{
	struct arena *arena = arena_new();
	struct node_reply reply = { .n_fds = frame->header.n_fds };
	struct pending *found = NULL;
	struct error *err = NULL;

	memcpy(reply.fds, frame->fds, sizeof(reply.fds));
	if (frame->header.kind == WIRE_EVENT) {
		err = deliver_event(client, arena, frame);
	} else {
		LIST_EACH (&client->pending, struct pending, link, p) {
			if (p->id == frame->header.id)
				found = p;
		}
		if (found != NULL)
			err = decode_reply(arena, found, frame, &reply);
	}
	if (found != NULL && err == NULL) {
		finish(found, &reply);
	} else {
		for (size_t i = 0; i < reply.n_fds; i++)
			close(reply.fds[i]);
	}
	arena_free(arena);
	return err;
}

void node_client_readable(struct node_client *client)
{
	bool open = false, got = true, outer = client->busy;
	struct error *err;

	if (client->closed)
		return;
	client->busy = true;
	err = wire_conn_read(&client->conn, &open);
	while (err == NULL && got && !client->freed) {
		struct conn_frame frame;

		err = wire_conn_next(&client->conn, &frame, &got);
		if (err == NULL && got)
			err = deliver(client, &frame);
	}
	if (client->freed)
		error_free(err);
	else if (err != NULL || !open)
		closed(client, err);
	client->busy = outer;
	if (client->freed && !outer)
		release(client);
}

static void flush(struct node_client *client)
{
	struct error *err = client->closed ? NULL : wire_conn_flush(&client->conn);

	/* a broken connection is told by readable(), never from within a request */
	error_free(err);
	tell_events(client);
}

void node_client_writable(struct node_client *client)
{
	flush(client);
}

static uint64_t request(struct node_client *client, enum node_op op, const struct wire_struct *type, const void *body,
			node_reply_fn *fn, void *arg)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	p->id = ++client->last_id;
	p->op = op;
	p->fn = fn;
	p->arg = arg;
	list_push(&client->pending, &p->link);
	wire_conn_send(&client->conn, (struct wire_frame){ .op = (uint16_t)op, .kind = WIRE_REQUEST, .id = p->id }, type, body,
		       NULL, 0);
	flush(client);
	return p->id;
}

#define NODE_OP(number, id, name, request_, reply, fds)                                                                            \
	uint64_t node_##name(struct node_client *client, const struct request_ *body, node_reply_fn *fn, void *arg)                \
	{                                                                                                                          \
		return request(client, NODE_OP_##id, &wire_##request_, body, fn, arg);                                             \
	}
#include "runtime/node_ops.def"
#undef NODE_OP

void node_client_cancel(struct node_client *client, uint64_t id)
{
	LIST_EACH (&client->pending, struct pending, link, p) {
		if (p->id == id)
			p->fn = NULL;
	}
}

struct error *node_client_drain(struct node_client *client, int timeout_ms)
{
	int64_t end = clock_mono() + (int64_t)timeout_ms * NS_PER_MS;

	while (!list_empty(&client->pending)) {
		struct pollfd p = { .fd = client->conn.fd, .events = node_client_events(client) };
		int64_t left = (end - clock_mono()) / NS_PER_MS;

		if (left <= 0)
			return error_new(ERR_TIMEOUT, "the node does not answer");
		if (client->closed)
			return error_new(ERR_UNAVAILABLE, "the connection to the node is closed");
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return error_errno(errno, "poll");
		if (p.revents & POLLOUT)
			node_client_writable(client);
		if (p.revents & (POLLIN | POLLHUP | POLLERR))
			node_client_readable(client);
	}
	return NULL;
}
