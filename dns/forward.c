#include "dns/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dns/answer.h"
#include "dns/wire.h"

#define ROUNDS     2 /* each resolver is asked so often */
#define LOOK_AGAIN (5 * NS_PER_S)
#define CONF_BYTES (64 * 1024)

struct forwarder {
	struct forwarder_options options;
	char *path;
	struct ip resolvers[FORWARD_RESOLVERS];
	size_t n;
	struct timespec read; /* change time of what was read */
	int64_t looked;       /* mono; 0: never */
	struct list outstanding;
	size_t n_outstanding;
};

struct forward {
	struct list link;
	struct forwarder *forwarder;
	char *query; /* under an id of ours */
	size_t len;
	uint16_t id; /* the client's */
	bool tcp;
	size_t attempt;
	int fd;
	struct loop_poll *poll;
	struct stream_connect *connect;
	struct stream *stream;
	struct buf received;
	struct loop_timer timer;
	void (*done)(void *arg, struct str answer);
	void *arg;
};

static void ask_next(struct forward *f);

/* --- resolvers --- */

size_t resolv_conf_read(struct str text, struct ip own, struct ip out[FORWARD_RESOLVERS])
{
	struct str line;
	size_t n = 0;

	while (n < FORWARD_RESOLVERS && str_cut(&text, '\n', &line)) {
		size_t end = 0;

		line = str_trim(line);
		if (!str_has_prefix(line, STR("nameserver")))
			continue;
		line = str_skip(line, 10);
		if (line.len == 0 || (line.ptr[0] != ' ' && line.ptr[0] != '\t'))
			continue;
		line = str_trim(line);
		while (end < line.len && strchr(" \t%#;", line.ptr[end]) == NULL)
			end++;
		if (ip_parse(str_head(line, end), &out[n]) && !ip_eq(out[n], own))
			n++;
	}
	return n;
}

static void read_resolvers(struct forwarder *self)
{
	AUTO_FD int fd = open(self->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	AUTO_FREE char *text = xmalloc(CONF_BYTES);
	struct stat status;
	ssize_t n;

	self->n = 0;
	if (fd < 0 || fstat(fd, &status) != 0)
		return;
	n = read(fd, text, CONF_BYTES);
	self->read = status.st_mtim;
	if (n > 0)
		self->n = resolv_conf_read(str_of(text, (size_t)n), self->options.own, self->resolvers);
}

static void look_at_resolvers(struct forwarder *self)
{
	int64_t now = clock_mono();
	struct stat status;

	if (self->path == NULL || (self->looked != 0 && now - self->looked < LOOK_AGAIN))
		return;
	if (self->looked == 0 || stat(self->path, &status) != 0 || status.st_mtim.tv_sec != self->read.tv_sec ||
	    status.st_mtim.tv_nsec != self->read.tv_nsec)
		read_resolvers(self);
	self->looked = now;
}

struct forwarder *forwarder_new(const struct forwarder_options *options)
{
	struct forwarder *self = xcalloc(1, sizeof(*self));

	self->options = *options;
	self->path = options->resolv_conf != NULL ? xstrdup(options->resolv_conf) : NULL;
	list_init(&self->outstanding);
	return self;
}

void forwarder_free(struct forwarder *self)
{
	if (self == NULL)
		return;
	while (!list_empty(&self->outstanding))
		forward_cancel(LIST_FIRST(&self->outstanding, struct forward, link));
	free(self->path);
	free(self);
}

/* --- one question --- */

static void hang_up(struct forward *f)
{
	loop_timer_stop(&f->timer);
	loop_poll_close(f->poll);
	f->poll = NULL;
	fd_close(&f->fd);
	f->fd = -1;
	if (f->connect != NULL)
		stream_connect_cancel(f->connect);
	f->connect = NULL;
	stream_close(f->stream);
	f->stream = NULL;
	buf_clear(&f->received);
}

void forward_cancel(struct forward *f)
{
	if (f == NULL)
		return;
	hang_up(f);
	list_remove(&f->link);
	f->forwarder->n_outstanding--;
	buf_fini(&f->received);
	free(f->query);
	free(f);
}

static void set_id(char *message, uint16_t id)
{
	message[0] = (char)(id >> 8);
	message[1] = (char)id;
}

static void finish(struct forward *f, struct str answer)
{
	void (*done)(void *arg, struct str answer) = f->done;
	AUTO_FREE char *copy = xmemdup(answer.ptr != NULL ? answer.ptr : "", answer.len);
	void *arg = f->arg;

	if (answer.len >= 2)
		set_id(copy, f->id);
	forward_cancel(f);
	done(arg, str_of(copy, answer.len));
}

/* A resolver that cannot or will not is passed over while there are others to ask. */
static bool is_useful(const struct forward *f, struct str answer)
{
	int rcode = dns_u16(answer, 2) & 15;

	return (rcode != DNS_SERVFAIL && rcode != DNS_REFUSED && rcode != DNS_NOTIMP) || f->attempt >= f->forwarder->n * ROUNDS;
}

static void take_answer(struct forward *f, struct str answer)
{
	if (answer.len < DNS_HEADER || dns_u16(answer, 0) != dns_u16(str_of(f->query, f->len), 0) ||
	    !dns_belongs(str_of(f->query, f->len), answer))
		return; /* not what we asked: the right one may still come */
	if (is_useful(f, answer))
		finish(f, answer);
	else
		ask_next(f);
}

static void receive_datagram(void *arg, int events)
{
	struct forward *f = arg;
	char answer[65536];
	ssize_t n = recv(f->fd, answer, sizeof(answer), MSG_DONTWAIT);

	(void)events;
	if (n >= 0)
		take_answer(f, str_of(answer, (size_t)n));
	else if (errno != EAGAIN && errno != EINTR)
		ask_next(f); /* nobody is there */
}

static void received(void *arg, struct str data)
{
	struct forward *f = arg;
	struct str frame;

	buf_add(&f->received, data);
	frame = buf_str(&f->received);
	if (frame.len < 2 || frame.len < 2U + dns_u16(frame, 0))
		return;
	take_answer(f, str_head(str_skip(frame, 2), dns_u16(frame, 0)));
}

static void ended(void *arg)
{
	ask_next(arg);
}

static void failed(void *arg, struct error *err)
{
	error_free(err);
	ask_next(arg);
}

static void connected(void *arg, struct error *err, struct stream *stream)
{
	static const struct stream_events events = { .read = received, .ended = ended, .failed = failed };
	struct forward *f = arg;
	char len[2] = { (char)(f->len >> 8), (char)f->len };

	f->connect = NULL;
	if (err != NULL) {
		error_free(err);
		ask_next(f);
		return;
	}
	f->stream = stream;
	stream_start(stream, &events, f);
	stream_write(stream, str_of(len, 2));
	stream_write(stream, str_of(f->query, f->len));
}

static bool send_datagram(struct forward *f, struct ip to)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(f->forwarder->options.port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(f->forwarder->options.port) };
	struct sockaddr *addr = to.family == 6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;

	memcpy(&v6.sin6_addr, to.bytes, 16);
	memcpy(&v4.sin_addr, to.bytes, 4);
	f->fd = socket(addr->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->fd < 0 || connect(f->fd, addr, to.family == 6 ? sizeof(v6) : sizeof(v4)) != 0 ||
	    send(f->fd, f->query, f->len, 0) != (ssize_t)f->len)
		return false;
	f->poll = loop_poll(f->fd, LOOP_READ, receive_datagram, f);
	return true;
}

static void timed_out(void *arg)
{
	ask_next(arg);
}

static void ask_next(struct forward *f)
{
	struct forwarder *self = f->forwarder;
	struct ip to;
	char text[IP_TEXT];

	hang_up(f);
	if (f->attempt >= self->n * ROUNDS) {
		finish(f, STR(""));
		return;
	}
	to = self->resolvers[f->attempt++ % self->n];
	rand_fill(f->query, 2);
	loop_timer_start(&f->timer, FORWARD_WAIT, timed_out, f);
	if (f->tcp)
		f->connect = stream_connect(&(struct stream_address){ .host = ip_format(text, to).ptr, .port = self->options.port },
					    FORWARD_WAIT, connected, f);
	else if (!send_datagram(f, to))
		loop_timer_start(&f->timer, 0, timed_out, f);
}

static void first(void *arg)
{
	ask_next(arg);
}

struct forward *forward_ask(struct forwarder *self, struct str query, bool tcp, void (*done)(void *arg, struct str answer),
			    void *arg)
{
	struct forward *f;

	look_at_resolvers(self);
	if (self->n == 0 || self->n_outstanding >= FORWARD_MAX || query.len < DNS_HEADER || query.len > UINT16_MAX)
		return NULL;
	f = xcalloc(1, sizeof(*f));
	f->forwarder = self;
	f->query = xmemdup(query.ptr, query.len);
	f->len = query.len;
	f->id = dns_u16(query, 0);
	f->tcp = tcp;
	f->fd = -1;
	f->done = done;
	f->arg = arg;
	list_push(&self->outstanding, &f->link);
	self->n_outstanding++;
	loop_timer_start(&f->timer, 0, first, f);
	return f;
}
