#include "cmd/node_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

struct node_conn {
	struct node_client *client;
	struct loop_poll *poll;
	bool lost;
	void (*gone)(void *arg);
	void *arg;
	struct loop_call tell;
};

static void on_closed(void *arg, const struct error *err)
{
	struct node_conn *conn = arg;

	(void)err;
	conn->lost = true;
	loop_poll_close(conn->poll);
	conn->poll = NULL;
	if (conn->gone != NULL)
		loop_call_soon(&conn->tell, conn->gone, conn->arg);
}

static const struct node_handlers handlers = { .closed = on_closed };

static void on_ready(void *arg, int events)
{
	struct node_conn *conn = arg;

	if ((events & LOOP_WRITE) != 0)
		node_client_writable(conn->client);
	if ((events & (LOOP_READ | LOOP_HANGUP)) != 0 && !conn->lost)
		node_client_readable(conn->client);
}

static int loop_events(short events)
{
	return ((events & POLLIN) != 0 ? LOOP_READ : 0) | ((events & POLLOUT) != 0 ? LOOP_WRITE : 0);
}

static void events_changed(void *arg, short events)
{
	struct node_conn *conn = arg;

	if (conn->poll != NULL)
		loop_poll_change(conn->poll, loop_events(events));
}

struct error *node_conn_open(const char *socket, void (*gone)(void *arg), void *arg, struct node_conn **out)
{
	struct node_conn *conn = xcalloc(1, sizeof(*conn));
	struct error *err = node_client_open(socket, &handlers, conn, &conn->client);

	if (err != NULL) {
		free(conn);
		return err;
	}
	conn->gone = gone;
	conn->arg = arg;
	conn->poll = loop_poll(node_client_fd(conn->client), loop_events(node_client_events(conn->client)), on_ready, conn);
	node_client_on_events(conn->client, events_changed, conn);
	*out = conn;
	return NULL;
}

void node_conn_close(struct node_conn *conn)
{
	if (conn == NULL)
		return;
	conn->gone = NULL;
	loop_call_cancel(&conn->tell);
	loop_poll_close(conn->poll);
	conn->poll = NULL;
	node_client_free(conn->client);
	free(conn);
}

struct node_client *node_conn_client(struct node_conn *conn)
{
	return conn->client;
}

struct want_instance {
	struct task *task;
	char *out;
};

static void got_hello(void *arg, struct node_reply *reply)
{
	struct want_instance *want = arg;
	const struct node_hello_reply *body = reply->body;
	struct error *err = reply->err;

	reply->err = NULL;
	if (err == NULL)
		snprintf(want->out, NODE_INSTANCE, "%s", body->instance != NULL ? body->instance : "");
	task_wake(want->task, err);
	free(want);
}

void node_conn_instance(struct node_conn *conn, struct task *task, char out[NODE_INSTANCE])
{
	struct want_instance *want = xcalloc(1, sizeof(*want));

	*want = (struct want_instance){ task, out };
	task_hold(task);
	node_hello(conn->client, &(struct node_hello){ .protocol = NODE_PROTOCOL, .client = "monokube " MONOKUBE_VERSION },
		   got_hello, want);
}

struct want_fd {
	struct task *task;
	int *fd;
};

static void got_fd(void *arg, struct node_reply *reply)
{
	struct want_fd *want = arg;
	struct error *err = reply->err;
	int fd = node_reply_fd(reply);

	if (fd >= 0)
		*want->fd = fd;
	reply->err = NULL;
	task_wake(want->task, err);
	free(want);
}

static struct want_fd *want_fd(struct task *task, int *fd)
{
	struct want_fd *want = xcalloc(1, sizeof(*want));

	*want = (struct want_fd){ task, fd };
	task_hold(task);
	return want;
}

void node_conn_socket(struct node_conn *conn, struct task *task, int domain, int type, int protocol, int *fd)
{
	node_socket(conn->client, &(struct node_socket){ .domain = domain, .type = type, .protocol = protocol }, got_fd,
		    want_fd(task, fd));
}

void node_conn_netns(struct node_conn *conn, struct task *task, int *fd)
{
	node_netns(conn->client, &(struct node_ref){ .id = NULL }, got_fd, want_fd(task, fd));
}
