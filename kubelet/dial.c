/* Connections that start in the network namespace of the node or of a pod, on sockets that the node process opens: probes, what
 * the API server carries on to pods, and port-forwards. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kubelet/private.h"

struct dialing {
	struct list link; /* in kubelet->dialings */
	struct node_client *client;
	uint64_t request; /* for the socket; 0: it is there */
	char *sandbox;    /* where it starts; NULL: the node */
	struct ip ip;
	uint16_t port;
	int fd;
	struct loop_poll *poll;
	struct loop_call fail;
	struct error *err;
	void (*connected)(void *to, struct error *err, struct stream *stream);
	void *to;
};

static void dialing_free(struct dialing *dialing)
{
	list_remove(&dialing->link);
	loop_call_cancel(&dialing->fail);
	loop_poll_close(dialing->poll);
	if (dialing->fd >= 0)
		close(dialing->fd);
	error_free(dialing->err);
	free(dialing->sandbox);
	free(dialing);
}

static const char *reason(const struct error *err)
{
	return err->code == ECONNREFUSED   ? "connect: connection refused"
	       : err->code == EHOSTUNREACH ? "connect: no route to host"
					   : err->text;
}

/* Said as Go says it, with the errno kept. */
static struct error *said(const struct dialing *dialing, struct error *err)
{
	char ip[IP_TEXT];
	struct error *out = error_new(err->kind, "dial tcp %s:%u: %s", ip_format(ip, dialing->ip).ptr, dialing->port, reason(err));

	out->code = err->code;
	error_free(err);
	return out;
}

static void give(struct dialing *dialing, struct error *err)
{
	void (*connected)(void *, struct error *, struct stream *) = dialing->connected;
	struct stream *stream = NULL;
	void *to = dialing->to;

	if (err != NULL) {
		err = said(dialing, err);
	} else {
		loop_poll_close(dialing->poll);
		dialing->poll = NULL;
		err = stream_from_fd(fd_take(&dialing->fd), &stream);
	}
	dialing_free(dialing);
	connected(to, err, stream);
}

static void writable(void *arg, int events)
{
	struct dialing *dialing = arg;
	int code = 0;
	socklen_t len = sizeof(code);

	(void)events;
	if (getsockopt(dialing->fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0)
		code = errno;
	give(dialing, code != 0 ? error_errno(code, "connect") : NULL);
}

static void got_socket(void *arg, struct node_reply *reply)
{
	struct dialing *dialing = arg;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(dialing->port) };
	struct error *err = reply->err;

	dialing->request = 0;
	reply->err = NULL;
	if (err == NULL)
		dialing->fd = fd_take(&reply->fds[0]);
	memcpy(&to.sin_addr, dialing->ip.bytes, 4);
	if (err == NULL && fcntl(dialing->fd, F_SETFL, O_NONBLOCK) != 0)
		err = error_errno(errno, "socket");
	if (err == NULL && connect(dialing->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
		err = error_errno(errno, "connect");
	if (err != NULL)
		give(dialing, err);
	else
		dialing->poll = loop_poll(dialing->fd, LOOP_WRITE, writable, dialing);
}

static void fail(void *arg)
{
	struct dialing *dialing = arg;
	struct error *err = dialing->err;

	dialing->err = NULL;
	give(dialing, err);
}

struct dialing *dial_start(struct kubelet *kubelet, const struct dial_target *target,
			   void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	struct dialing *dialing = xcalloc(1, sizeof(*dialing));

	*dialing = (struct dialing){ .client = link_client(kubelet),
				     .sandbox = target->sandbox != NULL ? xstrdup(target->sandbox) : NULL,
				     .ip = target->ip,
				     .port = target->port,
				     .fd = -1,
				     .connected = connected,
				     .to = to };
	list_push(&kubelet->dialings, &dialing->link);
	if (dialing->client != NULL) {
		dialing->request =
			node_socket(dialing->client,
				    &(struct node_socket){ .sandbox = dialing->sandbox, .domain = AF_INET, .type = SOCK_STREAM },
				    got_socket, dialing);
	} else {
		dialing->err = error_new(ERR_UNAVAILABLE, "the node process is away");
		loop_call_soon(&dialing->fail, fail, dialing);
	}
	return dialing;
}

void dial_cancel(struct dialing *dialing)
{
	if (dialing->request != 0)
		node_client_cancel(dialing->client, dialing->request);
	dialing_free(dialing);
}

void dials_stop(struct kubelet *kubelet)
{
	LIST_EACH (&kubelet->dialings, struct dialing, link, dialing) {
		if (dialing->request != 0)
			node_client_cancel(dialing->client, dialing->request);
		dialing->request = 0;
		give(dialing, error_new(ERR_CANCELED, "the kubelet stops"));
	}
}

void kubelet_dial(struct kubelet *kubelet, struct ip ip, uint16_t port,
		  void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	dial_start(kubelet, &(struct dial_target){ NULL, ip, port }, connected, to);
}
