#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "tests/unit/tap.h"

/* One end under test: what it heard. */
struct ear {
	struct stream *stream;
	struct buf got;
	size_t total;
	int drained;
	bool ended;
	bool failed;
	bool echo;
	bool pause_after_first;
};

static void on_read(void *arg, struct str data)
{
	struct ear *ear = arg;

	ear->total += data.len;
	if (ear->got.len < 4096)
		buf_add(&ear->got, data);
	if (ear->echo)
		stream_write(ear->stream, data);
	if (ear->pause_after_first)
		stream_pause(ear->stream);
}

static void on_ended(void *arg)
{
	struct ear *ear = arg;

	CHECK(!ear->ended);
	ear->ended = true;
	if (ear->echo)
		stream_end(ear->stream);
}

static void on_failed(void *arg, struct error *err)
{
	struct ear *ear = arg;

	error_free(err);
	ear->failed = true;
}

static void on_drained(void *arg)
{
	((struct ear *)arg)->drained++;
}

static const struct stream_events events = { on_read, on_ended, on_failed, on_drained };

static void listen_to(struct ear *ear)
{
	stream_start(ear->stream, &events, ear);
}

static bool ear_ended(void *arg)
{
	return ((struct ear *)arg)->ended;
}

static bool ear_failed(void *arg)
{
	return ((struct ear *)arg)->failed;
}

static bool ear_has_stream(void *arg)
{
	return ((struct ear *)arg)->stream != NULL;
}

static void ear_fini(struct ear *ear)
{
	stream_close(ear->stream);
	buf_fini(&ear->got);
}

TEST(pair_carries_bytes_both_ways_and_half_closes)
{
	struct ear a = { 0 }, b = { .echo = true };

	loop_init();
	stream_pair(&a.stream, &b.stream);
	CHECK_STR(stream_peer(a.stream), "memory");
	listen_to(&a);
	listen_to(&b);
	stream_write(a.stream, STR("hello "));
	stream_write(a.stream, STR("world"));
	stream_end(a.stream);
	CHECK_EQ(b.total, 0); /* never from inside a call */
	CHECK(loop_run_until(ear_ended, &a, NS_PER_S));
	CHECK(b.ended);
	CHECK_STR(buf_str(&a.got), "hello world");
	ear_fini(&a);
	ear_fini(&b);
	loop_fini();
}

/* Fills until full, with the reader paused; then lets go. For any kind of stream. */
static void check_backpressure(struct ear *from, struct ear *to)
{
	struct bytes *block = bytes_alloc(32 * 1024);
	size_t sent = 0;

	memset(block->ptr, 'x', block->len);
	to->pause_after_first = true;
	while (sent < 64 * 1024 * 1024) {
		stream_write_bytes(from->stream, block);
		sent += block->len;
		loop_run_for(2 * NS_PER_MS); /* else a write may wait for its turn while the machine is busy */
		if (stream_pending(from->stream) >= 4 * STREAM_HIGH)
			break;
	}
	CHECK(stream_pending(from->stream) >= STREAM_HIGH);
	CHECK_EQ(from->drained, 0);
	to->pause_after_first = false;
	stream_resume(to->stream);
	stream_end(from->stream);
	CHECK(loop_run_until(ear_ended, to, 5 * NS_PER_S));
	CHECK_EQ(to->total, sent);
	CHECK_EQ(from->drained, 1);
	CHECK_EQ(stream_pending(from->stream), 0);
	CHECK_EQ(block->refs, 1);
	bytes_unref(block);
}

TEST(pair_pushes_back)
{
	struct ear a = { 0 }, b = { 0 };

	loop_init();
	stream_pair(&a.stream, &b.stream);
	listen_to(&a);
	listen_to(&b);
	check_backpressure(&a, &b);
	ear_fini(&a);
	ear_fini(&b);
	loop_fini();
}

TEST(pair_tells_of_a_close)
{
	struct ear a = { 0 }, b = { 0 };

	loop_init();
	stream_pair(&a.stream, &b.stream);
	listen_to(&a);
	listen_to(&b);
	stream_write(b.stream, STR("last words"));
	stream_finish(b.stream);
	CHECK(loop_run_until(ear_ended, &a, NS_PER_S));
	CHECK_STR(buf_str(&a.got), "last words");
	CHECK(!a.failed);
	stream_write(a.stream, STR("anybody?"));
	CHECK(loop_run_until(ear_failed, &a, NS_PER_S) || a.ended);
	ear_fini(&a);
	buf_fini(&b.got);
	a = b = (struct ear){ 0 };
	stream_pair(&a.stream, &b.stream);
	listen_to(&a);
	stream_write(b.stream, STR("lost"));
	stream_close(b.stream);
	CHECK(loop_run_until(ear_failed, &a, NS_PER_S));
	CHECK_EQ(a.total, 0);
	ear_fini(&a);
	loop_fini();
}

static void on_accepted(void *arg, struct stream *stream)
{
	struct ear *ear = arg;

	ear->stream = stream;
	listen_to(ear);
}

static void on_connected(void *arg, struct error *err, struct stream *stream)
{
	struct ear *ear = arg;

	if (err != NULL) {
		ear->failed = true;
		error_free(err);
		return;
	}
	ear->stream = stream;
	listen_to(ear);
}

static void connect_both(const struct stream_address *address, struct ear *a, struct ear *b, struct stream_listener **listener)
{
	struct stream_address to = *address;

	CHECK_OK(stream_listen(address, on_accepted, b, listener));
	if (to.host != NULL)
		to.port = stream_listener_port(*listener);
	stream_connect(&to, 0, on_connected, a);
	CHECK(loop_run_until(ear_has_stream, a, NS_PER_S));
	CHECK(loop_run_until(ear_has_stream, b, NS_PER_S));
}

TEST(tcp_echo_with_backpressure)
{
	struct ear a = { 0 }, b = { .echo = true };
	struct stream_listener *listener = NULL;

	loop_init();
	connect_both(&(struct stream_address){ .host = "127.0.0.1" }, &a, &b, &listener);
	CHECK(str_has_prefix(str_from(stream_peer(b.stream)), STR("127.0.0.1:")));
	stream_write(a.stream, STR("ping"));
	stream_end(a.stream);
	CHECK(loop_run_until(ear_ended, &a, NS_PER_S));
	CHECK_STR(buf_str(&a.got), "ping");
	ear_fini(&a);
	ear_fini(&b);
	a = b = (struct ear){ 0 };
	stream_listener_close(listener);
	connect_both(&(struct stream_address){ .host = "::1" }, &a, &b, &listener);
	CHECK(str_has_prefix(str_from(stream_peer(b.stream)), STR("[::1]:")));
	check_backpressure(&a, &b);
	ear_fini(&a);
	ear_fini(&b);
	stream_listener_close(listener);
	loop_fini();
}

TEST(unix_sockets_replace_a_stale_file)
{
	struct ear a = { 0 }, b = { 0 };
	struct stream_listener *listener = NULL, *second = NULL;
	char dir[] = "/tmp/monokube-test-XXXXXX", path[64];
	int pipe_ends[2];
	pid_t child;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/socket", dir);
	CHECK(pipe(pipe_ends) == 0);
	child = fork();
	if (child == 0) {
		/* Dies with the socket file in place. */
		loop_init();
		if (stream_listen(&(struct stream_address){ .path = path }, on_accepted, NULL, &listener) == NULL)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	close(pipe_ends[1]);
	CHECK_EQ(read(pipe_ends[0], path, 1), 0);
	close(pipe_ends[0]);
	loop_init();
	CHECK(access(path, F_OK) == 0);
	connect_both(&(struct stream_address){ .path = path }, &a, &b, &listener);
	check_backpressure(&a, &b);
	ear_fini(&a);
	ear_fini(&b);
	CHECK_ERR(stream_listen(&(struct stream_address){ .path = path }, on_accepted, NULL, &second), ERR_NETWORK);
	stream_listener_close(listener);
	loop_fini();
	CHECK(access(path, F_OK) != 0);
	rmdir(dir);
}

TEST(finished_stream_still_delivers)
{
	struct ear a = { 0 }, b = { 0 };
	struct stream_listener *listener = NULL;
	struct bytes *block = bytes_alloc(8 * 1024 * 1024);

	memset(block->ptr, 'y', block->len);
	loop_init();
	connect_both(&(struct stream_address){ .host = "127.0.0.1" }, &a, &b, &listener);
	/* Unread data of the peer must not turn the close into a reset. */
	stream_pause(b.stream);
	stream_write(a.stream, STR("you will not read this"));
	loop_run_for(10 * NS_PER_MS);
	stream_write_bytes(b.stream, block);
	stream_finish(b.stream);
	b.stream = NULL;
	CHECK(loop_run_until(ear_ended, &a, 5 * NS_PER_S));
	CHECK_EQ(a.total, block->len);
	CHECK(!a.failed);
	ear_fini(&a);
	ear_fini(&b);
	stream_listener_close(listener);
	loop_fini();
	CHECK_EQ(block->refs, 1);
	bytes_unref(block);
}

TEST(connecting_can_fail_or_be_canceled)
{
	struct ear a = { 0 };
	struct stream_listener *listener = NULL, *same = NULL;
	struct stream_connect *connect;
	uint16_t port;

	loop_init();
	CHECK_OK(stream_listen(&(struct stream_address){ .host = "127.0.0.1" }, on_accepted, &a, &listener));
	port = stream_listener_port(listener);
	CHECK_ERR(stream_listen(&(struct stream_address){ .host = "127.0.0.1", .port = port }, on_accepted, &a, &same),
		  ERR_NETWORK);
	stream_listener_close(listener);
	loop_run_for(NS_PER_MS);
	stream_connect(&(struct stream_address){ .host = "127.0.0.1", .port = port }, 0, on_connected, &a);
	CHECK(loop_run_until(ear_failed, &a, NS_PER_S));
	a.failed = false;
	stream_connect(&(struct stream_address){ .host = "example.com", .port = port }, 0, on_connected, &a);
	CHECK(loop_run_until(ear_failed, &a, NS_PER_S));
	a.failed = false;
	connect = stream_connect(&(struct stream_address){ .host = "127.0.0.1", .port = port }, 0, on_connected, &a);
	stream_connect_cancel(connect);
	loop_run_for(10 * NS_PER_MS);
	CHECK(!a.failed && a.stream == NULL);
	loop_fini();
}

TEST(stream_from_a_pipe_and_a_socket)
{
	struct ear a = { 0 }, b = { 0 };
	int fds[2];

	loop_init();
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	CHECK_OK(stream_from_fd(fds[0], &a.stream));
	CHECK_OK(stream_from_fd(fds[1], &b.stream));
	listen_to(&a);
	stream_write(b.stream, STR("through a pipe"));
	stream_finish(b.stream);
	b.stream = NULL;
	CHECK(loop_run_until(ear_ended, &a, NS_PER_S));
	CHECK_STR(buf_str(&a.got), "through a pipe");
	ear_fini(&a);
	a = b = (struct ear){ 0 };
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	CHECK_OK(stream_from_fd(fds[0], &a.stream));
	CHECK_OK(stream_from_fd(fds[1], &b.stream));
	listen_to(&a);
	listen_to(&b);
	check_backpressure(&a, &b);
	ear_fini(&a);
	ear_fini(&b);
	loop_fini();
}
