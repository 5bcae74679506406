#include "dns/dns.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "dns/answer.h"
#include "dns/forward.h"
#include "dns/wire.h"

#define BATCH       64   /* datagrams of one turn */
#define QUERY_BYTES 4096 /* longer ones are no questions */
#define CONNECTIONS 128
#define QUESTIONS   64              /* outstanding ones of one connection */
#define IDLE        (10 * NS_PER_S) /* RFC 7766: a server may close what is silent for some seconds */

struct dns_listener {
	struct list link;
	struct dns *dns;
	int udp;
	struct loop_poll *poll;
	struct stream_listener *tcp;
};

struct connection {
	struct list link;
	struct dns *dns;
	struct dns_listener *listener;
	struct stream *stream;
	struct buf received;
	struct loop_timer idle;
	struct loop_call more;
	size_t outstanding;
	bool ended; /* it asks no more */
};

/* A question that others answer. */
struct question {
	struct list link;
	struct dns *dns;
	struct dns_listener *listener; /* over UDP: where it came from */
	struct connection *connection;
	struct sockaddr_storage from;
	socklen_t from_len;
	struct forward *forward;
	char *query;
	size_t len;
	struct buf begun; /* an alias that was answered here; empty: the whole answer comes from others */
};

struct dns {
	struct client *client;
	char *domain;
	struct informer *services, *slices, *namespaces;
	int services_by_ip, slices_by_ip, slices_by_service;
	struct dns_view view;
	struct forwarder *forwarder;
	struct list listeners, connections, questions;
	size_t n_connections;
};

/* --- what exists --- */

static void service_ips(struct object *service, void (*emit)(void *to, struct str key), void *to)
{
	const struct json *tree = object_tree(service), *ips = json_path(tree, "spec.clusterIPs");
	char text[IP_TEXT];
	struct ip ip;

	JSON_EACH (ips, it)
		if (ip_parse(json_str(it.value), &ip))
			emit(to, ip_format(text, ip));
	if (json_len(ips) == 0 && ip_parse(json_path_str(tree, "spec.clusterIP"), &ip))
		emit(to, ip_format(text, ip));
}

static void slice_ips(struct object *slice, void (*emit)(void *to, struct str key), void *to)
{
	char text[IP_TEXT];
	struct ip ip;

	JSON_EACH (json_get(object_tree(slice), "endpoints"), endpoint)
		JSON_EACH (json_get(endpoint.value, "addresses"), it)
			if (ip_parse(json_str(it.value), &ip))
				emit(to, ip_format(text, ip));
}

static void slice_service(struct object *slice, void (*emit)(void *to, struct str key), void *to)
{
	struct str name = json_get_str(json_path(object_tree(slice), "metadata.labels"), "kubernetes.io/service-name");
	AUTO_FREE char *key = xasprintf("%.*s/%.*s", STR_ARG(object_namespace(slice)), STR_ARG(name));

	if (name.len != 0)
		emit(to, str_from(key));
}

static bool has_namespace(void *arg, struct str ns)
{
	struct dns *dns = arg;

	return informer_find(dns->namespaces, STR(""), ns) != NULL;
}

static const struct json *find_service(void *arg, struct str ns, struct str name)
{
	struct dns *dns = arg;
	struct object *service = informer_find(dns->services, ns, name);

	return service != NULL ? object_tree(service) : NULL;
}

static void each(struct object_list list, dns_each *fn, void *to)
{
	for (size_t i = 0; i < list.len; i++)
		fn(to, object_tree(list.ptr[i]));
}

static void find_slices(void *arg, struct str ns, struct str service, dns_each *fn, void *to)
{
	struct dns *dns = arg;
	AUTO_FREE char *key = xasprintf("%.*s/%.*s", STR_ARG(ns), STR_ARG(service));

	each(informer_lookup(dns->slices, dns->slices_by_service, str_from(key)), fn, to);
}

static void find_services_of_ip(void *arg, struct ip ip, dns_each *fn, void *to)
{
	struct dns *dns = arg;
	char text[IP_TEXT];

	each(informer_lookup(dns->services, dns->services_by_ip, ip_format(text, ip)), fn, to);
}

static void find_slices_of_ip(void *arg, struct ip ip, dns_each *fn, void *to)
{
	struct dns *dns = arg;
	char text[IP_TEXT];

	each(informer_lookup(dns->slices, dns->slices_by_ip, ip_format(text, ip)), fn, to);
}

/* --- answers go back --- */

static void send_answer(const struct question *question, struct str answer)
{
	if (answer.len == 0)
		return;
	if (question->connection != NULL) {
		char len[2] = { (char)(answer.len >> 8), (char)answer.len };

		stream_write(question->connection->stream, str_of(len, 2));
		stream_write(question->connection->stream, answer);
		return;
	}
	/* A full socket drops it, as the network may; the client asks again. */
	(void)!sendto(question->listener->udp, answer.ptr, answer.len, MSG_DONTWAIT, (const struct sockaddr *)&question->from,
		      question->from_len);
}

static void go_on(void *arg);

static void question_free(struct question *question)
{
	struct connection *connection = question->connection;

	forward_cancel(question->forward);
	list_remove(&question->link);
	buf_fini(&question->begun);
	free(question->query);
	free(question);
	if (connection == NULL)
		return;
	connection->outstanding--;
	loop_call_soon(&connection->more, go_on, connection);
}

static void answered(void *arg, struct str answer)
{
	struct question *question = arg;
	struct str query = str_of(question->query, question->len);
	AUTO_BUF struct buf out = { 0 };

	question->forward = NULL;
	if (question->begun.len != 0) {
		if (answer.len != 0)
			(void)dns_add_chased(&question->begun, query, question->connection != NULL, answer);
		send_answer(question, buf_str(&question->begun));
	} else if (answer.len != 0) {
		send_answer(question, answer);
	} else {
		dns_refuse(query, DNS_SERVFAIL, &out);
		send_answer(question, buf_str(&out));
	}
	question_free(question);
}

/* Keeps a copy of the question until others have answered. */
static void forward(struct dns *dns, const struct question *from, struct str query, struct str chase, struct str begun)
{
	struct question *question = xmalloc(sizeof(*question));
	struct connection *connection = from->connection;
	AUTO_BUF struct buf out = { 0 };

	*question = *from;
	question->query = xmemdup(query.ptr, query.len);
	question->len = query.len;
	question->begun = (struct buf){ 0 };
	buf_add(&question->begun, begun);
	list_init(&question->link);
	list_push(&dns->questions, &question->link);
	if (connection != NULL)
		connection->outstanding++;
	question->forward = forward_ask(dns->forwarder, chase.len != 0 ? chase : query, connection != NULL, answered, question);
	if (question->forward != NULL)
		return;
	if (begun.len != 0)
		send_answer(question, begun);
	else
		dns_refuse(query, DNS_SERVFAIL, &out);
	send_answer(question, buf_str(&out));
	question_free(question);
}

static void serve(struct dns *dns, const struct question *from, struct str query)
{
	AUTO_BUF struct buf out = { 0 }, chase = { 0 };

	if (!informer_synced(dns->services) || !informer_synced(dns->slices) || !informer_synced(dns->namespaces)) {
		dns_refuse(query, DNS_SERVFAIL, &out);
		send_answer(from, buf_str(&out));
		return;
	}
	dns->view.serial = (uint32_t)(clock_now() / NS_PER_S);
	switch (dns_answer(&dns->view, query, from->connection != NULL, &out, &chase)) {
	case DNS_ANSWERED:
		send_answer(from, buf_str(&out));
		break;
	case DNS_FORWARD:
		forward(dns, from, query, STR(""), STR(""));
		break;
	case DNS_CHASE:
		forward(dns, from, query, buf_str(&chase), buf_str(&out));
		break;
	case DNS_IGNORE:
		break;
	}
}

/* --- UDP --- */

static void datagrams(void *arg, int events)
{
	struct dns_listener *listener = arg;
	char query[QUERY_BYTES];

	if ((events & LOOP_HANGUP) != 0)
		loop_poll_change(listener->poll, LOOP_READ); /* an error that is read with the next datagram */
	for (int i = 0; i < BATCH; i++) {
		struct question question = { .dns = listener->dns, .listener = listener, .from_len = sizeof(question.from) };
		ssize_t n = recvfrom(listener->udp, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&question.from,
				     &question.from_len);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		/* Other errors tell of a client that went away; the next datagram is worth reading. */
		if (n > 0)
			serve(listener->dns, &question, str_of(query, (size_t)n));
	}
}

/* --- TCP --- */

static void close_connection(struct connection *connection)
{
	struct dns *dns = connection->dns;

	LIST_EACH (&dns->questions, struct question, link, question)
		if (question->connection == connection)
			question_free(question);
	list_remove(&connection->link);
	dns->n_connections--;
	loop_timer_stop(&connection->idle);
	loop_call_cancel(&connection->more);
	if (connection->stream != NULL)
		stream_finish(connection->stream);
	buf_fini(&connection->received);
	free(connection);
}

static void idle(void *arg)
{
	struct connection *connection = arg;

	if (connection->outstanding != 0)
		loop_timer_start(&connection->idle, IDLE, idle, connection);
	else
		close_connection(connection);
}

static void serve_frames(struct connection *connection)
{
	struct question question = { .dns = connection->dns, .connection = connection };

	for (;;) {
		struct str frame = buf_str(&connection->received);
		size_t len;

		if (stream_pending(connection->stream) >= STREAM_HIGH || connection->outstanding >= QUESTIONS) {
			stream_pause(connection->stream);
			break;
		}
		if (frame.len < 2 || frame.len < 2U + dns_u16(frame, 0))
			break;
		len = dns_u16(frame, 0);
		serve(connection->dns, &question, str_head(str_skip(frame, 2), len));
		buf_consume(&connection->received, 2 + len);
	}
}

static void received(void *arg, struct str data)
{
	struct connection *connection = arg;

	buf_add(&connection->received, data);
	loop_timer_start(&connection->idle, IDLE, idle, connection);
	serve_frames(connection);
}

/* Room again for questions that wait; and the end, when the last answer is out. */
static void go_on(void *arg)
{
	struct connection *connection = arg;

	stream_resume(connection->stream);
	serve_frames(connection);
	if (connection->ended && connection->outstanding == 0)
		close_connection(connection);
}

static void ended(void *arg)
{
	struct connection *connection = arg;

	connection->ended = true;
	loop_call_soon(&connection->more, go_on, connection);
}

static void failed(void *arg, struct error *err)
{
	struct connection *connection = arg;

	error_free(err);
	stream_close(connection->stream);
	connection->stream = NULL;
	close_connection(connection);
}

static void accepted(void *arg, struct stream *stream)
{
	static const struct stream_events events = { .read = received, .ended = ended, .failed = failed, .drained = go_on };
	struct dns_listener *listener = arg;
	struct dns *dns = listener->dns;
	struct connection *connection;

	if (dns->n_connections >= CONNECTIONS) {
		stream_close(stream);
		return;
	}
	connection = xcalloc(1, sizeof(*connection));
	connection->dns = dns;
	connection->listener = listener;
	connection->stream = stream;
	connection->idle.weak = true;
	dns->n_connections++;
	list_push(&dns->connections, &connection->link);
	loop_timer_start(&connection->idle, IDLE, idle, connection);
	stream_start(stream, &events, connection);
}

/* --- life --- */

struct dns *dns_start(const struct dns_options *options)
{
	struct dns *dns = xcalloc(1, sizeof(*dns));

	dns->client = options->client;
	dns->domain = xstrdup(options->domain);
	for (char *c = dns->domain; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
	list_init(&dns->listeners);
	list_init(&dns->connections);
	list_init(&dns->questions);
	dns->services = client_informer(dns->client, kind_must("v1", "Service"));
	dns->slices = client_informer(dns->client, kind_must("discovery.k8s.io/v1", "EndpointSlice"));
	dns->namespaces = client_informer(dns->client, kind_must("v1", "Namespace"));
	dns->services_by_ip = informer_add_index(dns->services, service_ips);
	dns->slices_by_ip = informer_add_index(dns->slices, slice_ips);
	dns->slices_by_service = informer_add_index(dns->slices, slice_service);
	dns->view = (struct dns_view){ .domain = str_from(dns->domain),
				       .dns_ip = options->dns_ip,
				       .arg = dns,
				       .has_namespace = has_namespace,
				       .service = find_service,
				       .slices = find_slices,
				       .services_of_ip = find_services_of_ip,
				       .slices_of_ip = find_slices_of_ip };
	dns->forwarder = forwarder_new(
		&(struct forwarder_options){ .resolv_conf = options->resolv_conf, .own = options->dns_ip, .port = 53 });
	return dns;
}

struct error *dns_serve(struct dns *dns, int udp_fd, int tcp_fd, struct dns_listener **out)
{
	struct dns_listener *listener = xcalloc(1, sizeof(*listener));
	struct error *err;

	listener->dns = dns;
	listener->udp = udp_fd;
	list_init(&listener->link);
	err = stream_listen(&(struct stream_address){ .fd = tcp_fd, .has_fd = true }, accepted, listener, &listener->tcp);
	if (err != NULL) {
		fd_close(&listener->udp);
		free(listener);
		return error_context(err, "DNS over TCP");
	}
	listener->poll = loop_poll(udp_fd, LOOP_READ, datagrams, listener);
	list_push(&dns->listeners, &listener->link);
	if (out != NULL)
		*out = listener;
	return NULL;
}

void dns_listener_close(struct dns_listener *listener)
{
	if (listener == NULL)
		return;
	LIST_EACH (&listener->dns->connections, struct connection, link, connection)
		if (connection->listener == listener)
			close_connection(connection);
	LIST_EACH (&listener->dns->questions, struct question, link, question)
		if (question->listener == listener)
			question_free(question);
	loop_poll_close(listener->poll);
	fd_close(&listener->udp);
	stream_listener_close(listener->tcp);
	list_remove(&listener->link);
	free(listener);
}

void dns_stop(struct dns *dns)
{
	if (dns == NULL)
		return;
	LIST_EACH (&dns->listeners, struct dns_listener, link, listener)
		dns_listener_close(listener);
	forwarder_free(dns->forwarder);
	free(dns->domain);
	free(dns);
}
