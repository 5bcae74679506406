/*
 * port-forward over SPDY: for each connection the client opens two streams with one requestID, "error" and then "data"; the data
 * stream is joined to the port at the pod's own 127.0.0.1. Source: k8s.io/kubelet/pkg/cri/streaming/portforward.
 *
 *	forwarding ─┬─ pair: error, data ── pump ── socket in the pod's network namespace
 *	            └─ …
 */
#include <stdlib.h>

#include "http/spdy.h"
#include "kubelet/private.h"
#include "loop/pump.h"

static const char *const protocols[] = { "portforward.k8s.io", NULL };

/* One client. */
struct forwarding {
	struct list link; /* in kubelet->forwardings */
	struct kubelet *kubelet;
	struct spdy *spdy;
	char *sandbox, *pod, *uid;
	struct list pairs;
};

/* One connection of that client. */
struct pair {
	struct list link;
	struct forwarding *forwarding;
	char *id;
	uint16_t port;
	struct stream *error, *data; /* data NULL: not there yet, or the pump's */
	struct dialing *dialing;
	struct pump *pump;
};

static void pair_free(struct pair *pair)
{
	list_remove(&pair->link);
	if (pair->dialing != NULL)
		dial_cancel(pair->dialing);
	if (pair->pump != NULL)
		pump_stop(pair->pump);
	stream_close(pair->error);
	stream_close(pair->data);
	free(pair->id);
	free(pair);
}

static void forwarding_free(struct forwarding *f)
{
	LIST_EACH (&f->pairs, struct pair, link, pair)
		pair_free(pair);
	list_remove(&f->link);
	free(f->sandbox);
	free(f->pod);
	free(f->uid);
	free(f);
}

/* --- one connection --- */

static void pumped(void *arg)
{
	struct pair *pair = arg;

	pair->pump = NULL;
	stream_finish(pair->error);
	pair->error = NULL;
	pair_free(pair);
}

static void connected(void *arg, struct error *err, struct stream *socket)
{
	struct pair *pair = arg;
	struct stream *data = pair->data;
	AUTO_BUF struct buf text = { 0 };

	pair->dialing = NULL;
	if (err == NULL) {
		pair->data = NULL;
		pair->pump = pump_start(data, socket, STR(""), pumped, pair);
		return;
	}
	buf_printf(&text, "error forwarding port %u to pod %s, uid %s: failed to connect to localhost:%u inside the pod: %s",
		   pair->port, pair->forwarding->pod, pair->forwarding->uid, pair->port, err->text);
	error_free(err);
	stream_write(pair->error, buf_str(&text));
	stream_finish(pair->error);
	pair->error = NULL;
	pair_free(pair);
}

/* --- the client's streams --- */

static struct pair *find_pair(struct forwarding *f, struct str id)
{
	LIST_EACH (&f->pairs, struct pair, link, pair)
		if (str_is(id, pair->id))
			return pair;
	return NULL;
}

/* The client says nothing on the error stream. */
static void error_read(void *arg, struct str data)
{
	(void)arg;
	(void)data;
}

static void error_ended(void *arg)
{
	(void)arg;
}

static void error_failed(void *arg, struct error *err)
{
	struct pair *pair = arg;

	error_free(err);
	if (pair->pump == NULL && pair->dialing == NULL) /* else that ends, too */
		pair_free(pair);
}

static void new_pair(struct forwarding *f, struct stream *error, struct str id, uint16_t port)
{
	static const struct stream_events events = { error_read, error_ended, error_failed, NULL };
	struct pair *pair = xcalloc(1, sizeof(*pair));

	*pair = (struct pair){ .forwarding = f, .id = xasprintf("%.*s", STR_ARG(id)), .port = port, .error = error };
	list_push(&f->pairs, &pair->link);
	stream_start(error, &events, pair);
}

static void opened(void *arg, struct stream *stream, const struct http_headers *headers)
{
	struct forwarding *f = arg;
	struct str type = http_header(headers, "streamtype"), id = http_header(headers, "requestid");
	struct pair *pair = find_pair(f, id);
	int64_t port;

	if (!str_to_i64(http_header(headers, "port"), &port) || port < 1 || port > 65535 || id.len == 0) {
		stream_close(stream);
	} else if (str_is(type, "error") && pair == NULL) {
		new_pair(f, stream, id, (uint16_t)port);
	} else if (str_is(type, "data") && pair != NULL && pair->data == NULL && pair->pump == NULL && pair->port == port) {
		pair->data = stream;
		pair->dialing = dial_start(f->kubelet, &(struct dial_target){ f->sandbox, ip_v4(127, 0, 0, 1), pair->port },
					   connected, pair);
	} else {
		stream_close(stream);
	}
}

static void closed(void *arg)
{
	forwarding_free(arg);
}

void forwardings_stop(struct kubelet *kubelet)
{
	LIST_EACH (&kubelet->forwardings, struct forwarding, link, f) {
		spdy_close(f->spdy);
		forwarding_free(f);
	}
}

void serve_forward(struct kubelet *kubelet, struct http_request *request, struct pod *pod)
{
	static const struct spdy_events events = { opened, closed };
	const char *protocol = spdy_choose(request, protocols);
	struct forwarding *f;
	struct spdy *spdy;
	struct error *err = NULL;

	if (pod->sandbox == NULL || !pod->sandbox_ready)
		err = error_new(ERR_PLAIN, "sandbox of pod \"%s\" is not ready", pod->name);
	else if (!spdy_wanted(request) || protocol == NULL)
		err = error_new(ERR_FORBIDDEN, "unable to upgrade: only SPDY/3.1 with portforward.k8s.io is spoken here");
	if (err == NULL)
		err = spdy_accept(request, protocol, &spdy);
	if (err != NULL) {
		http_reply_text(request, error_http_status(err->kind), str_from(err->text));
		error_free(err);
		return;
	}
	f = xcalloc(1, sizeof(*f));
	*f = (struct forwarding){ .kubelet = kubelet,
				  .spdy = spdy,
				  .sandbox = xstrdup(pod->sandbox),
				  .pod = xstrdup(pod->name),
				  .uid = xstrdup(pod->uid) };
	list_init(&f->pairs);
	list_push(&kubelet->forwardings, &f->link);
	spdy_start(spdy, &events, f);
}
