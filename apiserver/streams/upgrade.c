/*
 * exec, attach, port-forward, and logs over WebSocket: the client's upgrade request goes to the kubelet as it is; after the
 * kubelet's 101 the two connections are joined. So only the kubelet speaks the protocols inside.
 */
#include "apiserver/streams/streams.h"

#include "loop/pump.h"

struct upgrade {
	struct request *req;
	struct http_call *call;
	bool refused; /* the kubelet answered something else than 101: that answer is passed on */
	void (*over)(struct request *req, void *arg, struct error *err);
	void *arg;
};

static const char *const passed[] = { "upgrade",
				      "connection",
				      "sec-websocket-key",
				      "sec-websocket-version",
				      "sec-websocket-protocol",
				      "sec-websocket-extensions",
				      "x-stream-protocol-version",
				      "sec-websocket-accept" };

struct http_headers upgrade_headers(struct arena *arena, const struct http_headers *from)
{
	struct http_header *to = ARENA_ARRAY(arena, struct http_header, from->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < from->n; i++)
		for (size_t j = 0; j < sizeof(passed) / sizeof(passed[0]); j++)
			if (str_is(from->ptr[i].name, passed[j]))
				to[n++] = (struct http_header){ str_dup(arena, from->ptr[i].name),
								str_dup(arena, from->ptr[i].value) };
	return (struct http_headers){ to, n };
}

static void client_closed(void *arg)
{
	struct upgrade *upgrade = arg;

	http_call_cancel(upgrade->call);
	if (upgrade->refused)
		http_reply_end(upgrade->req->http);
	else
		http_reply_text(upgrade->req->http, 499, STR(""));
	upgrade->over(upgrade->req, upgrade->arg, NULL);
}

static const struct http_request_events events = { .closed = client_closed };

static void upgraded(void *arg, const struct http_response *response, struct stream *kubelet, struct str leftover)
{
	struct upgrade *upgrade = arg;
	struct request *req = upgrade->req;
	AUTO_BUF struct buf early = { 0 };
	struct stream *client;
	struct error *err = http_upgrade(req->http, upgrade_headers(req->arena, &response->headers), &client, &early);

	if (err != NULL) {
		stream_close(kubelet);
		upgrade->over(req, upgrade->arg, err);
		return;
	}
	if (leftover.len != 0)
		stream_write(client, leftover);
	pump_start(client, kubelet, buf_str(&early), NULL, NULL);
	upgrade->over(req, upgrade->arg, NULL);
}

static void responded(void *arg, struct http_call *call, const struct http_response *response)
{
	struct upgrade *upgrade = arg;
	struct http_header type = { STR("content-type"), http_header(&response->headers, "content-type") };

	(void)call;
	upgrade->refused = true;
	http_reply_start(upgrade->req->http, response->status, (struct http_headers){ &type, 1 });
}

static void data(void *arg, struct str bytes)
{
	struct upgrade *upgrade = arg;

	http_reply_write(upgrade->req->http, bytes);
}

static void done(void *arg, struct error *err)
{
	struct upgrade *upgrade = arg;
	struct request *req = upgrade->req;

	if (!upgrade->refused) {
		upgrade->over(req, upgrade->arg, err != NULL ? err : error_new(ERR_UNAVAILABLE, "the kubelet gave no answer"));
		return;
	}
	error_free(err);
	http_reply_end(req->http);
	upgrade->over(req, upgrade->arg, NULL);
}

void upgrade_start(struct request *req, struct http_client *client, const struct http_call_options *what,
		   void (*over)(struct request *req, void *arg, struct error *err), void *arg)
{
	struct upgrade *upgrade = ARENA_NEW(req->arena, struct upgrade);
	struct http_call_options options = *what;

	upgrade->req = req;
	upgrade->over = over;
	upgrade->arg = arg;
	http_request_listen(req->http, &events, upgrade);
	options.responded = responded;
	options.data = data;
	options.upgraded = upgraded;
	options.done = done;
	options.arg = upgrade;
	upgrade->call = http_call(client, &options);
}
