/*
 * Streams on descriptors. Writes gather until the turn's calls run and then go out with one writev(2); what the kernel
 * does not take waits in libuv, one request at a time. Reads share one buffer: data is borrowed for the callback.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop/private.h"

#define IOV            64
#define FINISH_WITHIN  (10 * NS_PER_S) /* what is pending when the owner gave the stream away */
#define LINGER         (1 * NS_PER_S)  /* then the other side's turn to close */
#define CONNECT_WITHIN (10 * NS_PER_S)

struct chunk {
	struct bytes *bytes;
	struct str data;
};

union handle {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
};

enum ending { OPEN, END_WANTED, END_SENT };

struct net {
	struct list link; /* in given_away when finishing */
	struct stream base;
	union handle uv;
	VEC(struct chunk) queue;
	size_t sent;      /* chunks at the front that are done */
	size_t pending;   /* bytes in the queue */
	size_t in_flight; /* bytes that libuv has */
	bool writing;     /* a write request is with libuv */
	bool above;       /* drained is owed */
	bool broken;
	bool told; /* of the break */
	bool peer_ended;
	bool finishing; /* given away */
	bool closed;
	enum ending ending;
	uint64_t read_in;     /* turn */
	unsigned passed_over; /* turns in a row in which it was readable and was not read */
	struct loop_call flush;
	struct loop_timer finish;
	uv_write_t write;
	uv_shutdown_t shutdown;
	char peer[IP_TEXT + 8];
};

#define PASSED_OVER 64

static char read_buffer[64 * 1024];
static struct list given_away = { &given_away, &given_away };

static void on_flush(void *arg);
static void on_written(uv_write_t *request, int status);
static void on_shutdown(uv_shutdown_t *request, int status);

static struct net *net_of(const struct stream *stream)
{
	return CONTAINER_OF((struct stream *)(uintptr_t)stream, struct net, base);
}

/* --- ending --- */

static void on_closed(uv_handle_t *handle)
{
	struct net *net = handle->data;

	for (size_t i = net->sent; i < net->queue.len; i++)
		bytes_unref(net->queue.ptr[i].bytes);
	vec_fini(&net->queue);
	free(net);
}

static void destroy(struct net *net)
{
	if (net->closed)
		return;
	net->closed = true;
	list_remove(&net->link);
	loop_timer_stop(&net->finish);
	loop_call_cancel(&net->flush);
	uv_close(&net->uv.handle, on_closed);
}

void stream_teardown(void)
{
	LIST_EACH (&given_away, struct net, link, net)
		destroy(net);
}

static void on_finish_late(void *arg)
{
	destroy(arg);
}

static void broke(struct net *net, int status, const char *doing)
{
	if (net->broken)
		return;
	net->broken = true;
	if (net->finishing)
		destroy(net);
	else
		stream_emit_failed(&net->base, uv_failure(status, "%s %s", doing, net->peer));
}

/* --- reading --- */

/* One buffer a turn for each, and none when the turn's slice is used up, or a peer that always sends would hold up all others.
 * What is not taken is asked for again in the next turn; one that was passed over often is taken all the same. */
static bool has_its_turn(struct net *net)
{
	if (net->read_in == turn_number() || (loop_over_budget() && net->passed_over < PASSED_OVER))
		return false;
	net->read_in = turn_number();
	return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct net *net = handle->data;

	(void)suggested;
	if (has_its_turn(net)) {
		net->passed_over = 0;
		*buf = uv_buf_init(read_buffer, sizeof(read_buffer));
	} else {
		net->passed_over++;
		*buf = uv_buf_init(NULL, 0); /* libuv reads nothing then, and says UV_ENOBUFS */
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct net *net = stream->data;

	if (n == UV_ENOBUFS)
		return;
	turn_piece("stream read");
	if (n > 0) {
		stream_emit_read(&net->base, str_of(buf->base, (size_t)n));
	} else if (n == UV_EOF || n == UV_EIO) { /* EIO: the last holder of a terminal's other side has gone */
		uv_read_stop(stream);
		net->peer_ended = true;
		if (!net->finishing)
			stream_emit_ended(&net->base);
		else if (net->pending == 0)
			destroy(net);
	} else if (n < 0) {
		uv_read_stop(stream);
		broke(net, (int)n, "read from");
	}
}

static void net_reading(struct stream *stream, bool on)
{
	struct net *net = net_of(stream);

	if (net->closed || net->peer_ended || net->broken)
		return;
	if (on)
		uv_read_start(&net->uv.stream, on_alloc, on_read);
	else
		uv_read_stop(&net->uv.stream);
}

/* --- writing --- */

static unsigned gather(const struct net *net, uv_buf_t bufs[IOV])
{
	unsigned n = 0;

	for (size_t i = net->sent; i < net->queue.len && n < IOV; i++) {
		const struct chunk *chunk = &net->queue.ptr[i];

		bufs[n++] = uv_buf_init((char *)(uintptr_t)chunk->data.ptr, (unsigned)chunk->data.len);
	}
	return n;
}

static void consume(struct net *net, size_t len)
{
	net->pending -= len;
	while (len > 0) {
		struct chunk *chunk = &net->queue.ptr[net->sent];

		if (len < chunk->data.len) {
			chunk->data = str_skip(chunk->data, len);
			break;
		}
		len -= chunk->data.len;
		bytes_unref(chunk->bytes);
		net->sent++;
	}
	if (net->sent == net->queue.len) {
		vec_clear(&net->queue);
		net->sent = 0;
	} else if (net->sent > 64 && net->sent > net->queue.len / 2) {
		memmove(net->queue.ptr, net->queue.ptr + net->sent, sizeof(struct chunk) * (net->queue.len - net->sent));
		net->queue.len -= net->sent;
		net->sent = 0;
	}
}

static void all_sent(struct net *net)
{
	if (net->ending == END_WANTED) {
		net->ending = END_SENT;
		net->shutdown.data = net;
		if (uv_shutdown(&net->shutdown, &net->uv.stream, on_shutdown) != 0 && net->finishing)
			destroy(net); /* a pipe end that cannot be shut down, or the other side is gone */
	}
}

static void on_flush(void *arg)
{
	struct net *net = arg;
	uv_buf_t bufs[IOV];
	unsigned n;
	int status = 0;

	if (net->writing || net->broken || net->closed)
		return;
	/* As much as the kernel takes now; with more than one round only when the queue is long. */
	while ((n = gather(net, bufs)) > 0) {
		status = uv_try_write(&net->uv.stream, bufs, n);
		if (status < 0)
			break;
		consume(net, (size_t)status);
	}
	if (n > 0 && status != UV_EAGAIN) {
		broke(net, status, "write to");
		return;
	}
	if (n > 0) {
		net->in_flight = 0;
		for (unsigned i = 0; i < n; i++)
			net->in_flight += bufs[i].len;
		net->write.data = net;
		net->writing = true;
		status = uv_write(&net->write, &net->uv.stream, bufs, n, on_written);
		if (status != 0) {
			net->writing = false;
			broke(net, status, "write to");
			return;
		}
	} else {
		all_sent(net);
	}
	if (net->above && net->pending <= STREAM_LOW && !net->closed) {
		net->above = false;
		stream_emit_drained(&net->base);
	}
}

static void on_written(uv_write_t *request, int status)
{
	struct net *net = request->data;

	turn_piece("stream written");
	net->writing = false;
	if (net->closed)
		return;
	if (status != 0) {
		broke(net, status, "write to");
		return;
	}
	consume(net, net->in_flight);
	on_flush(net);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	struct net *net = request->data;

	if (net->closed || !net->finishing)
		return;
	if (status != 0 || net->peer_ended) {
		destroy(net);
		return;
	}
	/* Closing now, with data of the peer unread, would make the kernel send a reset that can overtake our last
	 * words. So read on, and throw away, until the peer closes too. */
	uv_read_start(&net->uv.stream, on_alloc, on_read);
	loop_timer_start(&net->finish, LINGER, on_finish_late, net);
}

static void net_write(struct stream *stream, struct str data, struct bytes *owner)
{
	struct net *net = net_of(stream);
	struct chunk chunk;

	ASSERT(net->ending == OPEN);
	if (net->broken || net->closed)
		return;
	chunk.bytes = owner != NULL ? bytes_ref(owner) : bytes_new(data);
	chunk.data = owner != NULL ? data : bytes_str(chunk.bytes);
	vec_push(&net->queue, chunk);
	net->pending += data.len;
	if (net->pending >= STREAM_HIGH)
		net->above = true;
	if (!net->writing)
		loop_call_soon(&net->flush, on_flush, net);
}

static void net_end(struct stream *stream)
{
	struct net *net = net_of(stream);

	if (net->ending != OPEN)
		return;
	net->ending = END_WANTED;
	if (!net->writing)
		loop_call_soon(&net->flush, on_flush, net);
}

static void net_close(struct stream *stream, bool finish)
{
	struct net *net = net_of(stream);

	if (!finish || net->broken) {
		destroy(net);
		return;
	}
	net->finishing = true;
	list_push(&given_away, &net->link);
	if (net->ending == END_SENT && net->peer_ended) {
		destroy(net);
		return;
	}
	uv_read_stop(&net->uv.stream);
	loop_timer_start(&net->finish, net->ending == END_SENT ? LINGER : FINISH_WITHIN, on_finish_late, net);
	if (net->ending == END_SENT)
		uv_read_start(&net->uv.stream, on_alloc, on_read);
	else
		net_end(stream);
}

static size_t net_pending(const struct stream *stream)
{
	return net_of(stream)->pending;
}

static const char *net_peer(const struct stream *stream)
{
	return net_of(stream)->peer;
}

static const struct stream_ops net_ops = { net_reading, net_write, net_end, net_close, net_pending, net_peer };

/* --- making --- */

static struct net *net_new(bool tcp)
{
	struct net *net = xcalloc(1, sizeof(*net));

	list_init(&net->link);
	net->base.ops = &net_ops;
	net->read_in = UINT64_MAX;
	net->uv.handle.data = net;
	snprintf(net->peer, sizeof(net->peer), "unix");
	if (tcp)
		uv_tcp_init(loop_uv(), &net->uv.tcp);
	else
		uv_pipe_init(loop_uv(), &net->uv.pipe, 0);
	net->uv.handle.data = net;
	return net;
}

static void name_peer(struct net *net)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);
	char host[64];

	uv_tcp_nodelay(&net->uv.tcp, 1);
	/* Peers that vanished without a word are found in the end. */
	uv_tcp_keepalive(&net->uv.tcp, 1, 60);
	if (uv_tcp_getpeername(&net->uv.tcp, (struct sockaddr *)&addr, &len) != 0)
		return;
	uv_ip_name((const struct sockaddr *)&addr, host, sizeof(host));
	snprintf(net->peer, sizeof(net->peer), addr.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		 ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&addr)->sin6_port
						  : ((struct sockaddr_in *)(void *)&addr)->sin_port));
}

static bool is_tcp(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && (addr.ss_family == AF_INET || addr.ss_family == AF_INET6);
}

struct error *stream_from_fd(int fd, struct stream **out)
{
	bool tcp = is_tcp(fd);
	struct net *net;
	int status;

	ASSERT_ON_LOOP();
	ASSERT(!loop_is_sim());
	net = net_new(tcp);
	status = tcp ? uv_tcp_open(&net->uv.tcp, fd) : uv_pipe_open(&net->uv.pipe, fd);
	if (status != 0) {
		close(fd);
		destroy(net);
		return uv_failure(status, "use descriptor %d as a stream", fd);
	}
	if (tcp)
		name_peer(net);
	*out = &net->base;
	return NULL;
}

/* --- connecting --- */

struct stream_connect {
	struct net *net; /* NULL: taken or never made */
	struct error *err;
	uv_connect_t *request; /* freed by its callback */
	struct loop_timer timeout;
	struct loop_call call;
	void (*connected)(void *arg, struct error *err, struct stream *stream);
	void *arg;
	char where[128];
};

static void tell_connected(void *arg)
{
	struct stream_connect *connect = arg;
	struct stream_connect now = *connect;

	loop_timer_stop(&connect->timeout);
	free(connect);
	if (now.err != NULL && now.net != NULL) {
		destroy(now.net);
		now.net = NULL;
	}
	now.connected(now.arg, now.err, now.net != NULL ? &now.net->base : NULL);
}

static void on_connect(uv_connect_t *request, int status)
{
	struct stream_connect *connect = request->data;

	turn_piece("stream connected");
	free(request);
	if (connect == NULL)
		return;
	connect->request = NULL;
	if (status != 0)
		connect->err = uv_failure(status, "connect to %s", connect->where);
	else if (connect->net->uv.handle.type == UV_TCP)
		name_peer(connect->net);
	tell_connected(connect);
}

static void on_connect_late(void *arg)
{
	struct stream_connect *connect = arg;

	if (connect->request != NULL)
		connect->request->data = NULL;
	loop_call_cancel(&connect->call);
	error_free(connect->err);
	connect->err = error_new(ERR_TIMEOUT, "connect to %s: no answer in time", connect->where);
	tell_connected(connect);
}

static struct error *address_of(const struct stream_address *address, struct sockaddr_storage *out)
{
	if (uv_ip4_addr(address->host, address->port, (struct sockaddr_in *)(void *)out) == 0 ||
	    uv_ip6_addr(address->host, address->port, (struct sockaddr_in6 *)(void *)out) == 0)
		return NULL;
	return error_new(ERR_BAD_REQUEST, "%s is not an IP address", address->host);
}

static struct error *check_path(const char *path)
{
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return error_new(ERR_BAD_REQUEST, "socket path is too long (over 107 bytes): %s", path);
	return NULL;
}

static struct error *begin_connect(struct stream_connect *connect, const struct stream_address *address)
{
	struct sockaddr_storage addr;
	struct error *err;
	int status;

	if (address->has_fd) {
		struct stream *stream = NULL;

		err = stream_from_fd(address->fd, &stream);
		if (err == NULL) {
			connect->net = net_of(stream);
			loop_call_soon(&connect->call, tell_connected, connect);
		}
		return err;
	}
	err = address->path != NULL ? check_path(address->path) : address_of(address, &addr);
	if (err != NULL)
		return err;
	connect->net = net_new(address->path == NULL);
	connect->request = xcalloc(1, sizeof(*connect->request));
	connect->request->data = connect;
	if (address->path != NULL) {
		uv_pipe_connect(connect->request, &connect->net->uv.pipe, address->path, on_connect);
		return NULL;
	}
	status = uv_tcp_connect(connect->request, &connect->net->uv.tcp, (struct sockaddr *)&addr, on_connect);
	if (status == 0)
		return NULL;
	free(connect->request);
	connect->request = NULL;
	return uv_failure(status, "connect to %s", connect->where);
}

struct stream_connect *stream_connect(const struct stream_address *address, int64_t timeout,
				      void (*connected)(void *arg, struct error *err, struct stream *stream), void *arg)
{
	struct stream_connect *connect = xcalloc(1, sizeof(*connect));

	ASSERT_ON_LOOP();
	ASSERT(!loop_is_sim());
	connect->connected = connected;
	connect->arg = arg;
	if (address->path != NULL)
		snprintf(connect->where, sizeof(connect->where), "%s", address->path);
	else
		snprintf(connect->where, sizeof(connect->where), "%s port %u", address->has_fd ? "descriptor" : address->host,
			 address->port);
	loop_timer_start(&connect->timeout, timeout > 0 ? timeout : CONNECT_WITHIN, on_connect_late, connect);
	connect->err = begin_connect(connect, address);
	if (connect->err != NULL)
		loop_call_soon(&connect->call, tell_connected, connect);
	return connect;
}

void stream_connect_cancel(struct stream_connect *connect)
{
	ASSERT_ON_LOOP();
	if (connect->request != NULL)
		connect->request->data = NULL;
	if (connect->net != NULL)
		destroy(connect->net);
	loop_timer_stop(&connect->timeout);
	loop_call_cancel(&connect->call);
	error_free(connect->err);
	free(connect);
}

/* --- listening --- */

struct stream_listener {
	union handle uv;
	bool tcp;
	void (*accepted)(void *arg, struct stream *stream);
	void *arg;
};

static void on_connection(uv_stream_t *server, int status)
{
	struct stream_listener *listener = server->data;
	struct net *net;

	turn_piece("stream accepted");
	if (status != 0) {
		log_consume(LOG_WARN, uv_failure(status, "accept"), "cannot take a connection");
		return;
	}
	net = net_new(listener->tcp);
	status = uv_accept(server, &net->uv.stream);
	if (status != 0) {
		destroy(net);
		return;
	}
	if (listener->tcp)
		name_peer(net);
	listener->accepted(listener->arg, &net->base);
}

/* A socket file of a process that was killed would be in the way for ever. */
static void remove_stale(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0 || lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 && errno == ECONNREFUSED)
		unlink(path);
}

static struct error *bind_listener(struct stream_listener *listener, const struct stream_address *address)
{
	struct sockaddr_storage addr;
	struct error *err;
	int status;

	if (address->has_fd) {
		status = listener->tcp ? uv_tcp_open(&listener->uv.tcp, address->fd)
				       : uv_pipe_open(&listener->uv.pipe, address->fd);
		if (status != 0)
			close(address->fd);
		return status == 0 ? NULL : uv_failure(status, "listen on descriptor %d", address->fd);
	}
	if (!listener->tcp) {
		err = check_path(address->path);
		if (err != NULL)
			return err;
		remove_stale(address->path);
		status = uv_pipe_bind(&listener->uv.pipe, address->path);
		return status == 0 ? NULL : uv_failure(status, "listen on %s", address->path);
	}
	err = address_of(address, &addr);
	if (err != NULL)
		return err;
	status = uv_tcp_bind(&listener->uv.tcp, (struct sockaddr *)&addr, 0);
	return status == 0 ? NULL : uv_failure(status, "listen on %s port %u", address->host, address->port);
}

struct error *stream_listen(const struct stream_address *address, void (*accepted)(void *arg, struct stream *stream), void *arg,
			    struct stream_listener **out)
{
	struct stream_listener *listener = xcalloc(1, sizeof(*listener));
	struct error *err;
	int status;

	ASSERT_ON_LOOP();
	ASSERT(!loop_is_sim());
	listener->tcp = address->has_fd ? is_tcp(address->fd) : address->path == NULL;
	listener->accepted = accepted;
	listener->arg = arg;
	if (listener->tcp)
		uv_tcp_init(loop_uv(), &listener->uv.tcp);
	else
		uv_pipe_init(loop_uv(), &listener->uv.pipe, 0);
	listener->uv.handle.data = listener;
	err = bind_listener(listener, address);
	if (err == NULL) {
		status = uv_listen(&listener->uv.stream, 1024, on_connection);
		/* With TCP an address in use is only told of here. */
		if (status != 0)
			err = uv_failure(status, "listen on %s port %u",
					 address->has_fd || address->path != NULL ? "socket" : address->host, address->port);
	}
	if (err != NULL) {
		stream_listener_close(listener);
		return err;
	}
	*out = listener;
	return NULL;
}

uint16_t stream_listener_port(const struct stream_listener *listener)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);

	if (!listener->tcp || uv_tcp_getsockname(&listener->uv.tcp, (struct sockaddr *)&addr, &len) != 0)
		return 0;
	return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&addr)->sin6_port
						: ((struct sockaddr_in *)(void *)&addr)->sin_port);
}

void stream_listener_close(struct stream_listener *listener)
{
	ASSERT_ON_LOOP();
	if (listener != NULL)
		close_and_free(&listener->uv.handle);
}
