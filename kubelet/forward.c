/*
 * port-forward: for each connection there are two streams, "error" and "data"; the data stream is joined to the port at the pod's
 * own 127.0.0.1. They come in three ways (k8s.io/kubelet/pkg/cri/streaming/portforward, k8s.io/apimachinery/pkg/util/httpstream):
 *
 *	SPDY                                      kubectl before 1.31: the client opens both, with one requestID
 *	WebSocket, SPDY/3.1+portforward.k8s.io    kubectl since: the same, its bytes in messages
 *	WebSocket, v4.channel.k8s.io              Python, JavaScript: for the n-th of ?ports= the channels 2n and 2n + 1
 *
 *	forwarding ─┬─ pair: error, data ── pump ── socket in the pod's network namespace
 *	            └─ …
 */
#include <stdlib.h>

#include "http/spdy.h"
#include "http/websocket_streams.h"
#include "kubelet/private.h"
#include "loop/pump.h"

#define TUNNEL   "SPDY/3.1+portforward.k8s.io"
#define CHANNELS "v4.channel.k8s.io"
#define PORTS    64 /* at once over channels */

static const char *const spdy_protocols[] = { "portforward.k8s.io", NULL };
static const char *const ws_protocols[] = { TUNNEL, CHANNELS, NULL };

/* One client. */
struct forwarding {
	struct list link; /* in kubelet->forwardings */
	struct kubelet *kubelet;
	struct spdy *spdy; /* NULL: channels; it ends with its last pair */
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

static void forwarding_free(struct forwarding *f);

static void pair_drop(struct pair *pair)
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

static void pair_free(struct pair *pair)
{
	struct forwarding *f = pair->forwarding;

	pair_drop(pair);
	if (f->spdy == NULL && list_empty(&f->pairs))
		forwarding_free(f);
}

static void forwarding_free(struct forwarding *f)
{
	LIST_EACH (&f->pairs, struct pair, link, pair)
		pair_drop(pair);
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

static struct pair *new_pair(struct forwarding *f, struct stream *error, struct str id, uint16_t port)
{
	static const struct stream_events events = { error_read, error_ended, error_failed, NULL };
	struct pair *pair = xcalloc(1, sizeof(*pair));

	*pair = (struct pair){ .forwarding = f, .id = xasprintf("%.*s", STR_ARG(id)), .port = port, .error = error };
	list_push(&f->pairs, &pair->link);
	stream_start(error, &events, pair);
	return pair;
}

static void dial(struct pair *pair, struct stream *data)
{
	const struct dial_target target = { pair->forwarding->sandbox, ip_v4(127, 0, 0, 1), pair->port };

	pair->data = data;
	pair->dialing = dial_start(pair->forwarding->kubelet, &target, connected, pair);
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
		dial(pair, stream);
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
		if (f->spdy != NULL)
			spdy_close(f->spdy);
		forwarding_free(f);
	}
}

/* --- the request --- */

static struct forwarding *new_forwarding(struct kubelet *kubelet, const struct pod *pod)
{
	struct forwarding *f = xcalloc(1, sizeof(*f));

	*f = (struct forwarding){
		.kubelet = kubelet, .sandbox = xstrdup(pod->sandbox), .pod = xstrdup(pod->name), .uid = xstrdup(pod->uid)
	};
	list_init(&f->pairs);
	list_push(&kubelet->forwardings, &f->link);
	return f;
}

static void start_spdy(struct forwarding *f, struct spdy *spdy)
{
	static const struct spdy_events events = { opened, closed };

	f->spdy = spdy;
	spdy_start(spdy, &events, f);
}

static struct error *read_ports(const struct http_request *request, uint16_t ports[PORTS], size_t *n)
{
	struct str list, one;
	int64_t port;

	*n = 0;
	for (size_t i = 0; i < request->n_params; i++) {
		list = request->params[i].value;
		while (str_is(request->params[i].name, "ports") && str_cut(&list, ',', &one)) {
			if (*n == PORTS || !str_to_i64(one, &port) || port < 1 || port > 65535)
				return error_new(ERR_BAD_REQUEST, "\"%.*s\" is not a valid port", STR_ARG(one));
			ports[(*n)++] = (uint16_t)port;
		}
	}
	return *n != 0 ? NULL : error_new(ERR_BAD_REQUEST, "query parameter \"ports\" is required");
}

/* Each channel begins with the number of its port. */
static void start_channels(struct forwarding *f, struct websocket *ws, const uint16_t *ports, size_t n)
{
	struct stream *streams[2 * PORTS];

	websocket_streams(ws, 2 * n, streams);
	for (size_t i = 0; i < n; i++) {
		const char port[2] = { (char)(ports[i] & 0xff), (char)(ports[i] >> 8) };

		stream_write(streams[2 * i], str_of(port, 2));
		stream_write(streams[2 * i + 1], str_of(port, 2));
		dial(new_pair(f, streams[2 * i + 1], STR(""), ports[i]), streams[2 * i]);
	}
}

static struct error *by_spdy(struct kubelet *kubelet, struct http_request *request, const struct pod *pod)
{
	const char *protocol = spdy_choose(request, spdy_protocols);
	struct spdy *spdy;
	struct error *err = protocol == NULL
				    ? error_new(ERR_FORBIDDEN, "unable to upgrade: only %s is spoken here", spdy_protocols[0])
				    : spdy_accept(request, protocol, &spdy);

	if (err == NULL)
		start_spdy(new_forwarding(kubelet, pod), spdy);
	return err;
}

static struct error *by_websocket(struct kubelet *kubelet, struct http_request *request, const struct pod *pod)
{
	const char *protocol = websocket_choose(request, ws_protocols);
	bool tunnel = protocol != NULL && strcmp(protocol, TUNNEL) == 0;
	uint16_t ports[PORTS];
	size_t n;
	struct websocket *ws;
	struct stream *stream;
	struct error *err = NULL;

	if (protocol == NULL)
		err = error_new(ERR_FORBIDDEN, "unable to upgrade: only %s and %s are spoken here", TUNNEL, CHANNELS);
	if (err == NULL && !tunnel)
		err = read_ports(request, ports, &n);
	if (err == NULL)
		err = websocket_accept(request, protocol, &ws);
	if (err != NULL)
		return err;
	if (!tunnel) {
		start_channels(new_forwarding(kubelet, pod), ws, ports, n);
		return NULL;
	}
	websocket_streams(ws, 0, &stream);
	start_spdy(new_forwarding(kubelet, pod), spdy_over(stream));
	return NULL;
}

void serve_forward(struct kubelet *kubelet, struct http_request *request, struct pod *pod)
{
	struct error *err;

	if (pod->sandbox == NULL || !pod->sandbox_ready)
		err = error_new(ERR_PLAIN, "sandbox of pod \"%s\" is not ready", pod->name);
	else if (spdy_wanted(request))
		err = by_spdy(kubelet, request, pod);
	else if (websocket_wanted(request))
		err = by_websocket(kubelet, request, pod);
	else
		err = error_new(ERR_BAD_REQUEST, "Upgrade request required");
	if (err == NULL)
		return;
	http_reply_text(request, error_http_status(err->kind), str_from(err->text));
	error_free(err);
}
