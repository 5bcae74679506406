/* The server over a pretended API server and real sockets on loopback, in a fresh network namespace. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "dns/answer.h"
#include "dns/dns.h"
#include "dns/wire.h"
#include "tests/unit/fake_api.h"
#include "tests/unit/tap.h"

struct world {
	struct fake_api *api;
	struct client *client;
	struct dns *dns;
	struct dns_listener *listener;
	struct sockaddr_in server;
	char conf[32];
};

static struct sockaddr_in loopback(uint8_t last, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };

	addr.sin_addr.s_addr = htonl(0x7f000000U + last);
	return addr;
}

/* Brings lo up without netns, which is no layer below this one. */
static void lo_up(void)
{
	struct {
		struct nlmsghdr header;
		struct {
			uint8_t family, pad;
			uint16_t type;
			int32_t index;
			uint32_t flags, change;
		} info;
	} message = { { sizeof(message), 16 /* RTM_NEWLINK */, 1, 1, 0 }, { 0, 0, 0, 1, 1, 1 } };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	CHECK(send(fd, &message, sizeof(message), 0) == (ssize_t)sizeof(message));
	close(fd);
}

static int bound(int type, const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	CHECK(bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0);
	return fd;
}

static struct world open_world(const char *conf)
{
	struct world w = { .server = loopback(1, 53), .conf = "/tmp/monokube-dns-XXXXXX" };
	int fd;

	if (unshare(CLONE_NEWNET) != 0)
		tap_skip("network namespaces: %s", strerror(errno));
	lo_up();
	fd = mkstemp(w.conf);
	CHECK(fd >= 0 && write(fd, conf, strlen(conf)) == (ssize_t)strlen(conf));
	close(fd);
	loop_init();
	w.api = fake_api_new();
	fake_api_put(w.api, "{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'d'}}");
	fake_api_put(w.api, "{'kind':'Service','apiVersion':'v1','metadata':{'namespace':'d','name':'web'},"
			    "'spec':{'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7'],'ports':[{'port':80}]}}");
	fake_api_put(w.api, "{'kind':'Service','apiVersion':'v1','metadata':{'namespace':'d','name':'ext'},"
			    "'spec':{'type':'ExternalName','externalName':'x.org'}}");
	w.client = client_new(fake_api_transport(w.api), "test");
	w.dns = dns_start(&(struct dns_options){
		.client = w.client, .domain = "cluster.local", .dns_ip = ip_v4(127, 0, 0, 1), .resolv_conf = w.conf });
	CHECK_OK(dns_serve(w.dns, bound(SOCK_DGRAM, &w.server), bound(SOCK_STREAM, &w.server), &w.listener));
	loop_run_for(5 * NS_PER_MS);
	return w;
}

static void close_world(struct world *w)
{
	dns_stop(w->dns);
	client_free(w->client);
	fake_api_free(w->api);
	loop_fini();
	unlink(w->conf);
}

static size_t make_query(char query[512], uint16_t id, const char *name, uint16_t type)
{
	struct dns_name wire;
	char *at = query + DNS_HEADER;

	CHECK(dns_name_parse(&wire, str_from(name)));
	memset(query, 0, 512);
	query[0] = (char)(id >> 8);
	query[1] = (char)id;
	query[2] = 1;
	query[5] = 1;
	memcpy(at, wire.bytes, wire.len);
	at += wire.len;
	at[1] = (char)type;
	at[3] = 1;
	return (size_t)(at + 4 - query);
}

static int ask(const struct world *w, uint16_t id, const char *name)
{
	char query[512];
	size_t len = make_query(query, id, name, DNS_A);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK(sendto(fd, query, len, 0, (const struct sockaddr *)&w->server, sizeof(w->server)) == (ssize_t)len);
	return fd;
}

static bool is_readable(void *arg)
{
	char byte;

	return recv(*(int *)arg, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* The answer to what was asked there; its rcode, or -1 when there is none in time. */
static int answer_of(int fd, char answer[4096], int64_t ns)
{
	ssize_t n;

	if (!loop_run_until(is_readable, &fd, ns))
		return -1;
	n = recv(fd, answer, 4096, 0);
	CHECK(n >= DNS_HEADER);
	return answer[3] & 15;
}

TEST(dns_over_udp)
{
	struct world w = open_world("");
	char answer[4096];
	int fd = ask(&w, 7, "web.d.svc.cluster.local");

	CHECK_EQ(answer_of(fd, answer, NS_PER_S), 0);
	CHECK_EQ(answer[1], 7);
	CHECK_EQ(answer[7], 1);
	close(fd);
	fd = ask(&w, 8, "nobody.d.svc.cluster.local");
	CHECK_EQ(answer_of(fd, answer, NS_PER_S), DNS_NXDOMAIN);
	close(fd);
	fake_api_delete(w.api, "Service", "d", "web");
	fd = ask(&w, 9, "web.d.svc.cluster.local");
	CHECK_EQ(answer_of(fd, answer, NS_PER_S), DNS_NXDOMAIN);
	close(fd);
	/* Without resolvers, others' names fail at once. */
	fd = ask(&w, 10, "x.org");
	CHECK_EQ(answer_of(fd, answer, NS_PER_S), DNS_SERVFAIL);
	close(fd);
	close_world(&w);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

TEST(dns_over_tcp_many_questions_in_pieces)
{
	struct world w = open_world("");
	char query[512], out[4096], in[8192];
	size_t len = make_query(query, 0, "web.d.svc.cluster.local", DNS_A), at = 0, got = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), answers = 0;

	for (uint8_t i = 0; i < 20; i++) {
		out[at++] = 0;
		out[at++] = (char)len;
		query[1] = (char)i;
		memcpy(out + at, query, len);
		at += len;
	}
	CHECK(connect(fd, (struct sockaddr *)&w.server, sizeof(w.server)) == 0);
	for (size_t sent = 0; sent < at; sent += 7) {
		size_t piece = at - sent < 7 ? at - sent : 7;

		CHECK(send(fd, out + sent, piece, 0) == (ssize_t)piece);
		loop_run_for(NS_PER_MS / 10);
	}
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(!loop_run_until(never, NULL, 50 * NS_PER_MS));
	for (ssize_t n; (n = recv(fd, in + got, sizeof(in) - got, MSG_DONTWAIT)) > 0;)
		got += (size_t)n;
	for (size_t i = 0; i + 2 <= got; answers++) {
		CHECK_EQ(in[i + 3], answers);
		i += 2U + (size_t)((uint8_t)in[i] << 8 | (uint8_t)in[i + 1]);
	}
	CHECK_EQ(answers, 20);
	CHECK_EQ(recv(fd, in, 1, MSG_DONTWAIT), 0); /* closed from there */
	close(fd);
	close_world(&w);
}

/* A resolver: answers with 9.9.9.9, or as told. */
struct resolver {
	int fd;
	struct loop_poll *poll;
	int rcode, asked;
	bool silent;
};

static void resolve(void *arg, int events)
{
	struct resolver *resolver = arg;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	char message[512];
	ssize_t n = recvfrom(resolver->fd, message, sizeof(message) - 32, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

	(void)events;
	if (n < 0)
		return;
	resolver->asked++;
	if (resolver->silent)
		return;
	message[0] ^= 1; /* first a forged one: it must be passed over */
	message[2] = (char)0x81;
	CHECK(sendto(resolver->fd, message, (size_t)n, 0, (struct sockaddr *)&from, from_len) == n);
	message[0] ^= 1;
	message[3] = (char)(0x80 | resolver->rcode);
	if (resolver->rcode == 0) {
		message[7] = 1;
		memcpy(message + n, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x09\x09\x09\x09", 16);
		n += 16;
	}
	CHECK(sendto(resolver->fd, message, (size_t)n, 0, (struct sockaddr *)&from, from_len) == n);
}

static void resolver_open(struct resolver *resolver, uint8_t last)
{
	struct sockaddr_in addr = loopback(last, 53);

	resolver->fd = bound(SOCK_DGRAM, &addr);
	resolver->poll = loop_poll(resolver->fd, LOOP_READ, resolve, resolver);
}

static void resolver_close(struct resolver *resolver)
{
	loop_poll_close(resolver->poll);
	close(resolver->fd);
}

TEST(dns_forwards)
{
	struct world w = open_world("nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n");
	struct resolver one = { .rcode = DNS_REFUSED }, two = { .rcode = 0 };
	char answer[4096];
	int fd;

	resolver_open(&one, 2);
	resolver_open(&two, 3);
	fd = ask(&w, 0x1234, "x.org");
	CHECK_EQ(answer_of(fd, answer, NS_PER_S), 0);
	CHECK(answer[0] == 0x12 && answer[1] == 0x34 && answer[7] == 1);
	CHECK_EQ(one.asked, 1); /* the one that would be ourselves was left out */
	CHECK_EQ(two.asked, 1);
	close(fd);
	/* An alias comes with what it leads to. */
	fd = ask(&w, 5, "ext.d.svc.cluster.local");
	CHECK_EQ(answer_of(fd, answer, NS_PER_S), 0);
	CHECK(answer[1] == 5 && answer[7] == 2);
	close(fd);
	two.rcode = DNS_NXDOMAIN;
	fd = ask(&w, 6, "x.org");
	CHECK_EQ(answer_of(fd, answer, NS_PER_S), DNS_NXDOMAIN);
	close(fd);
	/* Nobody answers: the questions end with the server. */
	one.silent = two.silent = true;
	fd = ask(&w, 6, "x.org");
	CHECK_EQ(answer_of(fd, answer, NS_PER_S / 10), -1);
	close(fd);
	resolver_close(&one);
	resolver_close(&two);
	close_world(&w);
}

/* Nobody listens there: the kernel says so, and the client need not wait. */
TEST(dns_forwards_to_nobody)
{
	struct world w = open_world("nameserver 127.0.0.9\n");
	char answer[4096], query[512], frame[2];
	size_t len = make_query(query, 3, "x.org", DNS_A);
	int fd = ask(&w, 6, "x.org");

	CHECK_EQ(answer_of(fd, answer, NS_PER_S), DNS_SERVFAIL);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(fd, (struct sockaddr *)&w.server, sizeof(w.server)) == 0);
	frame[0] = 0;
	frame[1] = (char)len;
	CHECK(send(fd, frame, 2, 0) == 2 && send(fd, query, len, 0) == (ssize_t)len);
	CHECK_EQ(shutdown(fd, SHUT_WR), 0); /* an answer is owed all the same */
	CHECK(loop_run_until(is_readable, &fd, NS_PER_S));
	CHECK(recv(fd, answer, sizeof(answer), 0) > 4);
	CHECK_EQ(answer[5] & 15, DNS_SERVFAIL);
	close(fd);
	close_world(&w);
}

TEST(dns_lets_go_of_a_listener)
{
	struct world w = open_world("nameserver 127.0.0.2\n");
	struct sockaddr_in again = w.server, silent = loopback(2, 53);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), resolver = bound(SOCK_DGRAM, &silent), asked;
	char answer[4096];

	CHECK(connect(fd, (struct sockaddr *)&w.server, sizeof(w.server)) == 0);
	asked = ask(&w, 3, "x.org"); /* the resolver says nothing: the question stays open */
	loop_run_for(20 * NS_PER_MS);
	dns_listener_close(w.listener);
	CHECK_EQ(answer_of(asked, answer, NS_PER_S / 20), -1);
	CHECK_EQ(recv(fd, answer, 1, 0), 0);
	CHECK_OK(dns_serve(w.dns, bound(SOCK_DGRAM, &again), bound(SOCK_STREAM, &again), NULL)); /* its address is free again */
	close(fd);
	close(asked);
	close(resolver);
	close_world(&w);
}

TEST(dns_stops_with_connections_open)
{
	struct world w = open_world("nameserver 127.0.0.9\n");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(connect(fd, (struct sockaddr *)&w.server, sizeof(w.server)) == 0);
	CHECK(send(fd, "\0\x50half", 6, 0) == 6);
	loop_run_for(5 * NS_PER_MS);
	close_world(&w);
	close(fd);
}
