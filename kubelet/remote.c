#include "kubelet/remote.h"

#include <stdlib.h>

#include "http/spdy.h"
#include "http/websocket.h"
#include "loop/loop.h"

#define CHANNEL_CLOSE    255             /* a WebSocket message of v5 */
#define STREAMS_COME_IN  (30 * NS_PER_S) /* upstream's StreamCreationTimeout */
#define RESIZE_TEXT_MOST 4096

static const char *const ws_protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io",     "v4.base64.channel.k8s.io",
					    "channel.k8s.io",    "base64.channel.k8s.io", NULL };
static const char *const spdy_protocols[] = { "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io",
					      NULL };
static const char *const stream_types[N_CHANNELS] = { "stdin", "stdout", "stderr", "error", "resize" };

/* One channel over SPDY. */
struct wire {
	struct remote *remote;
	enum channel channel;
	struct stream *stream; /* NULL: not there, or over */
	struct buf line;       /* of resize: one JSON text a line */
};

struct remote {
	struct remote_options options;
	struct websocket *ws;
	bool base64, close_frames, status_json;
	struct spdy *spdy;
	struct wire wires[N_CHANNELS];
	struct loop_timer late; /* until all streams were opened */
	struct loop_call ready;
};

static void remote_free(struct remote *remote)
{
	loop_timer_stop(&remote->late);
	loop_call_cancel(&remote->ready);
	for (int i = 0; i < N_CHANNELS; i++) {
		stream_close(remote->wires[i].stream);
		buf_fini(&remote->wires[i].line);
	}
	free(remote);
}

static void tell_ready(void *arg)
{
	struct remote *remote = arg;

	remote->options.events->ready(remote->options.arg);
}

static void tell_closed(void *arg)
{
	struct remote *remote = arg;

	remote->options.events->closed(remote->options.arg);
	remote_free(remote);
}

/* --- WebSocket --- */

static void ws_message(void *arg, struct str data, bool binary)
{
	struct remote *remote = arg;
	const struct remote_events *events = remote->options.events;
	AUTO_BUF struct buf decoded = { 0 };
	int channel;

	(void)binary;
	if (data.len == 0)
		return;
	channel = remote->base64 ? data.ptr[0] - '0' : (unsigned char)data.ptr[0];
	data = str_skip(data, 1);
	if (remote->base64) {
		if (!base64_decode(&decoded, data))
			return;
		data = buf_str(&decoded);
	}
	if (channel == CHANNEL_IN || channel == CHANNEL_RESIZE)
		events->data(remote->options.arg, (enum channel)channel, data);
	else if (channel == CHANNEL_CLOSE && remote->close_frames && data.len == 1 && data.ptr[0] == CHANNEL_IN)
		events->ended(remote->options.arg, CHANNEL_IN);
}

static void ws_drained(void *arg)
{
	struct remote *remote = arg;

	remote->options.events->drained(remote->options.arg);
}

static const struct websocket_events ws_events = { ws_message, tell_closed, ws_drained };

static void ws_send(struct remote *remote, enum channel channel, struct str data)
{
	char head[1] = { (char)channel };
	AUTO_BUF struct buf text = { 0 };

	if (!remote->base64) {
		websocket_send(remote->ws, str_of(head, 1), data);
		return;
	}
	buf_putc(&text, (char)('0' + (int)channel));
	base64_encode(&text, data);
	websocket_send_text(remote->ws, buf_str(&text));
}

static struct error *accept_websocket(struct remote *remote, struct http_request *request)
{
	const char *protocol = websocket_choose(request, ws_protocols);
	struct error *err;

	if (protocol == NULL && http_header(&request->headers, "sec-websocket-protocol").len != 0)
		return error_new(ERR_FORBIDDEN, "unable to upgrade: none of the subprotocols asked for is spoken here");
	err = websocket_accept(request, protocol, &remote->ws);
	if (err != NULL)
		return err;
	protocol = protocol != NULL ? protocol : "channel.k8s.io";
	remote->base64 = strstr(protocol, "base64") != NULL;
	remote->close_frames = strcmp(protocol, "v5.channel.k8s.io") == 0;
	remote->status_json = protocol[0] == 'v';
	websocket_start(remote->ws, &ws_events, remote);
	loop_call_soon(&remote->ready, tell_ready, remote);
	return NULL;
}

/* --- SPDY --- */

static void wire_over(struct wire *wire)
{
	struct stream *stream = wire->stream;

	wire->stream = NULL;
	stream_close(stream);
	wire->remote->options.events->ended(wire->remote->options.arg, wire->channel);
}

static void wire_read(void *arg, struct str data)
{
	struct wire *wire = arg;
	const struct remote_options *options = &wire->remote->options;
	struct str rest, line;

	if (wire->channel == CHANNEL_IN)
		options->events->data(options->arg, CHANNEL_IN, data);
	if (wire->channel != CHANNEL_RESIZE)
		return;
	buf_add(&wire->line, data);
	for (rest = buf_str(&wire->line); str_contains(rest, STR("\n")) && str_cut(&rest, '\n', &line);)
		options->events->data(options->arg, CHANNEL_RESIZE, line);
	buf_consume(&wire->line, rest.len <= RESIZE_TEXT_MOST ? wire->line.len - rest.len : wire->line.len);
}

/* Of the streams that we write to the client ends its half at once. */
static void wire_ended(void *arg)
{
	struct wire *wire = arg;

	if (wire->channel == CHANNEL_IN)
		wire_over(wire);
}

static void wire_failed(void *arg, struct error *err)
{
	error_free(err);
	wire_over(arg);
}

static void wire_drained(void *arg)
{
	struct wire *wire = arg;

	if (wire->channel == CHANNEL_OUT || wire->channel == CHANNEL_ERR)
		wire->remote->options.events->drained(wire->remote->options.arg);
}

static const struct stream_events wire_events = { wire_read, wire_ended, wire_failed, wire_drained };

static void stream_opened(void *arg, struct stream *stream, const struct http_headers *headers)
{
	struct remote *remote = arg;
	bool all = true;

	for (int i = 0; i < N_CHANNELS; i++) {
		struct wire *wire = &remote->wires[i];

		if (stream != NULL && remote->options.wants[i] && wire->stream == NULL &&
		    str_is(http_header(headers, "streamtype"), stream_types[i])) {
			wire->stream = stream;
			stream_start(stream, &wire_events, wire);
			if (i == CHANNEL_IN || i == CHANNEL_RESIZE)
				stream_pause(stream); /* until remote_resume() */
			stream = NULL;
		}
		all = all && (!remote->options.wants[i] || wire->stream != NULL);
	}
	stream_close(stream); /* of a type that nobody asked for; NULL: taken */
	if (all && loop_timer_running(&remote->late)) {
		loop_timer_stop(&remote->late);
		loop_call_soon(&remote->ready, tell_ready, remote);
	}
}

static void too_late(void *arg)
{
	struct remote *remote = arg;

	spdy_close(remote->spdy);
	tell_closed(remote);
}

static struct error *accept_spdy(struct remote *remote, struct http_request *request)
{
	static const struct spdy_events events = { stream_opened, tell_closed };
	const char *protocol = spdy_choose(request, spdy_protocols);
	struct error *err;

	if (protocol == NULL)
		return error_new(ERR_FORBIDDEN, "unable to upgrade: none of the protocols asked for is spoken here");
	err = spdy_accept(request, protocol, &remote->spdy);
	if (err != NULL)
		return err;
	remote->status_json = protocol[0] == 'v' && protocol[1] == '4';
	if (protocol[0] != 'v' || protocol[1] < '3')
		remote->options.wants[CHANNEL_RESIZE] = false;
	for (int i = 0; i < N_CHANNELS; i++)
		remote->wires[i] = (struct wire){ .remote = remote, .channel = (enum channel)i };
	loop_timer_start(&remote->late, STREAMS_COME_IN, too_late, remote);
	spdy_start(remote->spdy, &events, remote);
	return NULL;
}

/* --- both --- */

void remote_accept(struct http_request *request, const struct remote_options *options, struct remote **out)
{
	struct remote *remote = xcalloc(1, sizeof(*remote));
	struct error *err;

	remote->options = *options;
	remote->options.wants[CHANNEL_STATUS] = true;
	err = spdy_wanted(request)        ? accept_spdy(remote, request)
	      : websocket_wanted(request) ? accept_websocket(remote, request)
					  : error_new(ERR_BAD_REQUEST, "Upgrade request required");
	*out = remote;
	if (err == NULL)
		return;
	/* Before any 101, so that clients fall back to what else they know. */
	http_reply_text(request, error_http_status(err->kind), str_from(err->text));
	error_free(err);
	free(remote);
	*out = NULL;
}

void remote_send(struct remote *remote, enum channel channel, struct str data)
{
	if (remote->ws != NULL)
		ws_send(remote, channel, data);
	else if (remote->wires[channel].stream != NULL)
		stream_write(remote->wires[channel].stream, data);
}

bool remote_full(const struct remote *remote)
{
	if (remote->ws != NULL)
		return websocket_full(remote->ws);
	for (int i = 0; i < N_CHANNELS; i++) /* they share the connection */
		if (remote->wires[i].stream != NULL)
			return stream_pending(remote->wires[i].stream) >= STREAM_HIGH;
	return false;
}

void remote_pause(struct remote *remote)
{
	if (remote->ws != NULL)
		websocket_pause(remote->ws);
	if (remote->wires[CHANNEL_IN].stream != NULL)
		stream_pause(remote->wires[CHANNEL_IN].stream);
}

void remote_resume(struct remote *remote)
{
	if (remote->ws != NULL)
		websocket_resume(remote->ws);
	if (remote->wires[CHANNEL_IN].stream != NULL)
		stream_resume(remote->wires[CHANNEL_IN].stream);
	if (remote->wires[CHANNEL_RESIZE].stream != NULL)
		stream_resume(remote->wires[CHANNEL_RESIZE].stream);
}

bool remote_wants_status(const struct remote *remote)
{
	return remote->status_json;
}

void remote_close(struct remote *remote)
{
	for (int i = 0; i < N_CHANNELS; i++) {
		if (remote->wires[i].stream != NULL)
			stream_finish(remote->wires[i].stream);
		remote->wires[i].stream = NULL;
	}
	if (remote->ws != NULL)
		websocket_close(remote->ws, 1000, STR(""));
	else
		spdy_close(remote->spdy);
	remote_free(remote);
}
