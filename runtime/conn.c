#include "runtime/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"

#define READ_CHUNK     65536
#define FDS_QUEUED_MAX 64

void wire_conn_init(struct conn *conn, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	memset(conn, 0, sizeof(*conn));
	conn->fd = fd;
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void wire_conn_fini(struct conn *conn)
{
	if (conn->fd >= 0) {
		shutdown(conn->fd, SHUT_RDWR); /* a container that is just made has a copy: the other end would hear nothing */
		close(conn->fd);
	}
	for (size_t i = 0; i < conn->in_fds.len; i++)
		close(conn->in_fds.ptr[i]);
	for (size_t i = 0; i < conn->out_fds.len; i++) {
		for (size_t k = 0; k < conn->out_fds.ptr[i].n; k++)
			close(conn->out_fds.ptr[i].fds[k]);
	}
	vec_fini(&conn->in_fds);
	vec_fini(&conn->out_fds);
	buf_fini(&conn->in);
	buf_fini(&conn->out);
	conn->fd = -1;
}

void wire_conn_send(struct conn *conn, struct wire_frame header, const struct wire_struct *type, const void *body, const int *fds,
		    size_t n_fds)
{
	char space[WIRE_HEADER] = { 0 };
	size_t start = conn->out.len;

	buf_append(&conn->out, space, sizeof(space));
	wire_encode(&conn->out, type, body);
	header.length = (uint32_t)(conn->out.len - start - WIRE_HEADER);
	header.n_fds = (uint8_t)n_fds;
	wire_header_write(conn->out.ptr + start, &header);
	if (n_fds != 0) {
		struct conn_fds *item = vec_add(&conn->out_fds);

		item->at = start;
		item->n = n_fds;
		memcpy(item->fds, fds, n_fds * sizeof(*fds));
	}
}

bool wire_conn_wants_write(const struct conn *conn)
{
	return conn->out.len != 0;
}

/* Sends up to the next frame that carries descriptors; that frame's first bytes go together with them. */
static ssize_t send_some(struct conn *conn)
{
	struct conn_fds *item = conn->out_fds.len != 0 ? &conn->out_fds.ptr[0] : NULL;
	struct iovec iov = { .iov_base = conn->out.ptr, .iov_len = conn->out.len };
	union {
		char bytes[CMSG_SPACE(WIRE_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (item != NULL && item->at != 0) {
		iov.iov_len = item->at;
		item = NULL;
	} else if (conn->out_fds.len > 1) {
		iov.iov_len = conn->out_fds.ptr[1].at;
	}
	if (item != NULL) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(item->n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(item->n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), item->fds, item->n * sizeof(int));
	}
	n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL);
	if (n <= 0)
		return n;
	if (item != NULL) {
		for (size_t i = 0; i < item->n; i++)
			close(item->fds[i]);
		vec_remove(&conn->out_fds, 0);
	}
	for (size_t i = 0; i < conn->out_fds.len; i++)
		conn->out_fds.ptr[i].at -= (size_t)n;
	buf_consume(&conn->out, (size_t)n);
	return n;
}

struct error *wire_conn_flush(struct conn *conn)
{
	while (conn->out.len != 0) {
		if (send_some(conn) >= 0 || errno == EINTR)
			continue;
		return errno == EAGAIN ? NULL : error_errno(errno, "send to the other end");
	}
	return NULL;
}

static struct error *take_fds(struct conn *conn, struct msghdr *msg)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			vec_push(&conn->in_fds, fd);
		}
	}
	if (msg->msg_flags & MSG_CTRUNC)
		return error_new(ERR_BAD_REQUEST, "more descriptors than the protocol has");
	return NULL;
}

static void drop_consumed(struct conn *conn)
{
	buf_consume(&conn->in, conn->consumed);
	conn->consumed = 0;
}

struct error *wire_conn_read(struct conn *conn, bool *open)
{
	*open = true;
	drop_consumed(conn);
	/* Whoever reads has taken every whole frame; what is left belongs to one at most. */
	if (conn->in_fds.len + WIRE_MAX_FDS > FDS_QUEUED_MAX)
		return error_new(ERR_BAD_REQUEST, "more descriptors than the protocol has");
	while (conn->in.len < LIMIT_NODE_MESSAGE + WIRE_HEADER && conn->in_fds.len + WIRE_MAX_FDS <= FDS_QUEUED_MAX) {
		union {
			char bytes[CMSG_SPACE(WIRE_MAX_FDS * sizeof(int))];
			struct cmsghdr align;
		} control;
		struct iovec iov;
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)
		};
		struct error *err;
		ssize_t n;

		buf_reserve(&conn->in, READ_CHUNK);
		iov = (struct iovec){ conn->in.ptr + conn->in.len, READ_CHUNK };
		n = recvmsg(conn->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return NULL;
		if (n < 0 && errno != ECONNRESET)
			return error_errno(errno, "read from the other end");
		if (n <= 0) {
			*open = false;
			return NULL;
		}
		conn->in.len += (size_t)n;
		err = take_fds(conn, &msg);
		if (err != NULL)
			return err;
	}
	return NULL;
}

struct error *wire_conn_next(struct conn *conn, struct conn_frame *frame, bool *got)
{
	struct error *err;

	*got = false;
	drop_consumed(conn);
	if (conn->in.len < WIRE_HEADER)
		return NULL;
	err = wire_header_read(conn->in.ptr, &frame->header);
	if (err != NULL)
		return err;
	if (conn->in.len < WIRE_HEADER + (size_t)frame->header.length)
		return NULL;
	if (frame->header.n_fds > conn->in_fds.len)
		return error_new(ERR_BAD_REQUEST, "a message promises descriptors that did not come");
	for (size_t i = 0; i < frame->header.n_fds; i++) {
		frame->fds[i] = conn->in_fds.ptr[0];
		vec_remove(&conn->in_fds, 0);
	}
	frame->body = str_of(conn->in.ptr + WIRE_HEADER, frame->header.length);
	conn->consumed = WIRE_HEADER + (size_t)frame->header.length;
	*got = true;
	return NULL;
}
