/* What containers say: pipes and terminals into log files and to whoever is attached. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/files.h"
#include "runtime/node_private.h"

#define CHUNK 65536

struct error *stdio_open_log(struct container *c)
{
	const char *path = c->record.status.log_path, *name;
	AUTO_FD int dir = -1;
	AUTO_FD int root = -1;
	struct error *err;

	if (path == NULL)
		return NULL;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	err = path_parent_in_root(root, path, &dir, &name);
	if (err != NULL)
		return error_context(err, "log %s", path);
	if (c->log >= 0)
		close(c->log);
	c->log = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (c->log < 0)
		return error_errno(errno, "open log %s", path);
	return NULL;
}

/* --- attached ones: a reader that does not keep up loses its stream, never the log --- */

static void drop_attachment(struct container *c, size_t i)
{
	if (c->attachments.ptr[i].out >= 0)
		close(c->attachments.ptr[i].out);
	if (c->attachments.ptr[i].err >= 0)
		close(c->attachments.ptr[i].err);
	vec_remove(&c->attachments, i);
}

static void copy_to_attached(struct container *c, bool is_err, struct str data)
{
	for (size_t i = c->attachments.len; i-- > 0;) {
		struct attachment *a = &c->attachments.ptr[i];
		int fd = is_err ? a->err : a->out;
		struct str rest = data;

		while (fd >= 0 && rest.len != 0) {
			ssize_t n = write(fd, rest.ptr, rest.len);
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			if (n > 0) {
				rest = str_skip(rest, (size_t)n);
			} else if (n < 0 && errno == EAGAIN && poll(&p, 1, 50) == 1) {
				continue; /* a moment for a slow one */
			} else {
				drop_attachment(c, i);
				break;
			}
		}
	}
}

/* --- pumping --- */

static void write_log(struct container *c, struct buf *records)
{
	struct error *err = c->log >= 0 ? fd_write_all(c->log, buf_str(records)) : NULL;

	/* a full disk loses log lines, not the container */
	if (err != NULL) {
		log_consume(LOG_ERROR, err, "container's log is lost");
		close(c->log);
		c->log = -1;
	}
	buf_fini(records);
}

/* One read. False when there is nothing (now, or ever again). */
static bool pump_once(struct pump *pump, bool *ended)
{
	static char chunk[CHUNK];
	struct container *c = pump->container;
	AUTO_BUF struct buf records = { 0 };
	ssize_t n = read(pump->watch.fd, chunk, sizeof(chunk));

	*ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	if (n <= 0)
		return false;
	copy_to_attached(c, pump->is_err, str_of(chunk, (size_t)n));
	log_frame(&records, &pump->framer, str_of(chunk, (size_t)n), clock_now());
	write_log(c, &records);
	return true;
}

static void pump_end(struct pump *pump)
{
	AUTO_BUF struct buf records = { 0 };
	int fd = pump->watch.fd;

	if (fd < 0)
		return;
	poll_watch_stop(pump->container->node, &pump->watch);
	close(fd);
	log_frame_end(&records, &pump->framer, clock_now());
	write_log(pump->container, &records);
}

static void pump_ready(struct watch *watch, uint32_t events)
{
	struct pump *pump = CONTAINER_OF(watch, struct pump, watch);
	bool ended;

	(void)events;
	pump_once(pump, &ended);
	if (ended)
		pump_end(pump);
}

static struct error *pump_start(struct pump *pump, int fd)
{
	struct error *err;

	if (fd < 0)
		return NULL;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	pump->watch = (struct watch){ .fd = -1, .ready = pump_ready };
	err = poll_watch_start(pump->container->node, &pump->watch, fd, EPOLLIN);
	if (err != NULL)
		close(fd);
	return err;
}

struct error *stdio_start(struct container *c, int out, int err_out)
{
	struct error *err = pump_start(&c->out, out);

	if (err != NULL) {
		if (err_out >= 0)
			close(err_out);
		return err;
	}
	return pump_start(&c->err, err_out);
}

void stdio_finish(struct container *c)
{
	struct pump *const pumps[] = { &c->out, &c->err };
	bool ended;

	for (size_t i = 0; i < 2; i++) {
		while (pumps[i]->watch.fd >= 0 && pump_once(pumps[i], &ended))
			;
		pump_end(pumps[i]);
		buf_fini(&pumps[i]->framer.rest);
	}
	while (c->attachments.len != 0)
		drop_attachment(c, 0);
	if (c->input >= 0)
		close(c->input);
	if (c->log >= 0)
		close(c->log);
	c->input = c->log = -1;
}

/* --- requests --- */

static struct container *get_running(struct node *node, struct node_call *call, const char *id)
{
	struct container *c = container_find(node, id);

	if (c != NULL && c->state.state != C_EXITED)
		return c;
	call_fail(node, call, NODE_STEP_REQUEST,
		  c == NULL ? error_new(ERR_NOT_FOUND, "no container %s", id != NULL ? id : "")
			    : error_new(ERR_CONFLICT, "container %s is not running", id));
	return NULL;
}

void op_reopen_log(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct container *c = get_running(node, call, request->id);
	struct error *err;

	if (c == NULL)
		return;
	err = stdio_open_log(c);
	if (err != NULL)
		call_fail(node, call, NODE_STEP_NONE, err);
	else
		call_reply(node, call, NULL, NULL, 0);
}

void op_resize(struct node *node, struct node_call *call, const struct node_resize *request)
{
	struct container *c = get_running(node, call, request->id);
	struct winsize size = { .ws_row = (unsigned short)request->rows, .ws_col = (unsigned short)request->columns };

	if (c == NULL)
		return;
	if (!c->spec.terminal || c->input < 0)
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_INVALID, "container %s has no terminal", request->id));
	else if (ioctl(c->input, TIOCSWINSZ, &size) != 0)
		call_fail(node, call, NODE_STEP_TERMINAL, error_errno(errno, "resize"));
	else
		call_reply(node, call, NULL, NULL, 0);
}

/* A descriptor that is not wanted, or cannot be had, is /dev/null. */
static int null_or(int fd)
{
	return fd >= 0 ? fd : open("/dev/null", O_RDWR | O_CLOEXEC);
}

void op_attach(struct node *node, struct node_call *call, const struct node_attach *request)
{
	struct container *c = get_running(node, call, request->id);
	struct attachment a = { -1, -1 };
	int ends[3] = { -1, -1, -1 }, pipes[2];

	if (c == NULL)
		return;
	if (request->stdin_wanted && c->input >= 0) {
		/* once: the container's stdin ends when this attach ends */
		ends[0] = fcntl(c->input, F_DUPFD_CLOEXEC, 3);
		if (c->request.stdin_once && !c->spec.terminal) {
			close(c->input);
			c->input = -1;
		}
	}
	if (request->stdout_wanted && pipe2(pipes, O_CLOEXEC) == 0) {
		ends[1] = pipes[0];
		a.out = pipes[1];
	}
	if (request->stderr_wanted && !c->spec.terminal && pipe2(pipes, O_CLOEXEC) == 0) {
		ends[2] = pipes[0];
		a.err = pipes[1];
	}
	if (a.out >= 0)
		fcntl(a.out, F_SETFL, O_NONBLOCK);
	if (a.err >= 0)
		fcntl(a.err, F_SETFL, O_NONBLOCK);
	if (a.out >= 0 || a.err >= 0)
		vec_push(&c->attachments, a);
	for (int i = 0; i < 3; i++)
		ends[i] = null_or(ends[i]);
	call_reply(node, call, NULL, ends, 3);
}
