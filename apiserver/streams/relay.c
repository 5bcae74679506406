/*
 * Requests that go on, and their answers that come back, as they flow: for pods/proxy, services/proxy and nodes/proxy to a port of
 * a pod, to one behind a Service, or to a kubelet; for logs to a kubelet, as plain text. Behaviour of the proxies: k8s.io/kubernetes pkg/registry/core/{pod,service}, ResourceLocation,
 * and k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go.
 */
#include <stdlib.h>
#include <strings.h>

#include "apiserver/streams/rewrite.h"
#include "apiserver/streams/streams.h"

struct relay {
	struct request *req;
	struct http_client *client; /* of a kubelet: borrowed; of a pod: ours */
	struct http_tls *tls;
	struct http_call *call; /* NULL: over */
	struct ip ip;           /* family 0: a kubelet */
	uint16_t port;
	bool secure;
	struct str prefix; /* of the path, up to "proxy" */
	struct str rest;   /* behind it; empty or with a slash */
	struct rewrite rewrite;
	bool plain;  /* a log: no headers pass */
	int refused; /* its status, when the kubelet has none to give: text says why */
	bool html;
	struct buf text; /* of HTML, not decided yet */
	bool sends;      /* the request has a body */
	bool sent;       /* all of it */
	struct loop_call refuse, finish;
	void (*connected)(void *to, struct error *err, struct stream *stream);
	void *to;
};

/* --- where to --- */

/* "name", "name:port" or "scheme:name:port". */
static bool split_name(struct str text, struct str *scheme, struct str *name, struct str *port)
{
	struct str parts[3], part;
	size_t n = 0;

	for (; str_cut(&text, ':', &part); n++)
		if (n < 3)
			parts[n] = part;
	*scheme = n == 3 ? parts[0] : STR("");
	*name = n == 0 ? STR("") : n == 3 ? parts[1] : parts[0];
	*port = n == 3 ? parts[2] : n == 2 ? parts[1] : STR("");
	return n >= 1 && n <= 3 && name->len != 0 && (scheme->len == 0 || str_is(*scheme, "http") || str_is(*scheme, "https"));
}

static bool number(struct str text, uint16_t *out)
{
	int64_t n;

	if (!str_to_i64(text, &n) || n < 1 || n > 65535)
		return false;
	*out = (uint16_t)n;
	return true;
}

/* Without a port it is the first that a container declares, or that of the scheme. */
static struct error *locate_pod(struct relay *relay, struct str name, struct str port)
{
	const struct json *pod = lookup(relay->req, relay->req->route.kind, relay->req->route.ns, name);

	if (pod == NULL)
		return error_not_found(relay->req->route.kind, name);
	relay->port = relay->secure ? 443 : 80;
	if (port.len == 0) {
		JSON_EACH (json_path(pod, "spec.containers"), it) {
			const struct json *first = json_at(json_get(it.value, "ports"), 0);

			if (first != NULL) {
				relay->port = (uint16_t)json_int(json_get(first, "containerPort"), 80);
				break;
			}
		}
	} else if (!number(port, &relay->port)) {
		return error_new(ERR_UNAVAILABLE, "error trying to reach service: dial tcp: lookup tcp/%.*s: unknown port",
				 STR_ARG(port));
	}
	if (!ip_parse(json_path_str(pod, "status.podIP"), &relay->ip) || relay->ip.bytes[0] == 127)
		return error_new(ERR_BAD_REQUEST, "address not allowed");
	return NULL;
}

/* One of the ready addresses behind the port of that name, at random. */
static bool choose_address(struct relay *relay, const struct json *subsets, struct str port)
{
	JSON_EACH (subsets, subset) {
		const struct json *addresses = json_get(subset.value, "addresses");

		JSON_EACH (json_get(subset.value, "ports"), it) {
			const struct json *one;

			if (!str_eq(json_get_str(it.value, "name"), port) || json_len(addresses) == 0)
				continue;
			one = json_at(addresses, rand_below(json_len(addresses)));
			relay->port = (uint16_t)json_int(json_get(it.value, "port"), 0);
			return ip_parse(json_get_str(one, "ip"), &relay->ip);
		}
	}
	return false;
}

static struct error *locate_service(struct relay *relay, struct str name, struct str port)
{
	struct request *req = relay->req;
	const struct json *service = lookup(req, req->route.kind, req->route.ns, name), *endpoints;
	const struct json *named = NULL;
	uint16_t wanted;

	if (service == NULL)
		return error_not_found(req->route.kind, name);
	if (number(port, &wanted)) {
		JSON_EACH (json_path(service, "spec.ports"), it)
			if (named == NULL && json_int(json_get(it.value, "port"), 0) == wanted)
				named = it.value;
		if (named == NULL)
			return error_new(ERR_UNAVAILABLE, "no service port %u found for service %s", wanted,
					 api_quoted(req->arena, name));
		port = json_get_str(named, "name");
	}
	endpoints = lookup(req, kind_find(STR(""), STR("v1"), STR("endpoints")), req->route.ns, name);
	if (endpoints == NULL)
		return error_not_found(kind_find(STR(""), STR("v1"), STR("endpoints")), name);
	if (!choose_address(relay, json_get(endpoints, "subsets"), port))
		return error_new(ERR_UNAVAILABLE, "no endpoints available for service %s",
				 api_quoted(req->arena, json_len(json_get(endpoints, "subsets")) == 0 ? name : req->route.name));
	return NULL;
}

static struct error *locate_node(struct relay *relay, struct str name, struct str port)
{
	struct apiserver *server = relay->req->server;

	(void)port;
	if (lookup(relay->req, relay->req->route.kind, STR(""), name) == NULL)
		return error_not_found(relay->req->route.kind, name);
	if (server->options.kubelet != NULL)
		relay->client = server->options.kubelet(server->options.kubelet_arg, name);
	return relay->client != NULL ? NULL : error_new(ERR_INTERNAL, "node %.*s is not reachable", STR_ARG(name));
}

static const struct row {
	const char *resource, *singular;
	struct error *(*locate)(struct relay *relay, struct str name, struct str port);
} rows[] = {
	{ "pods", "pod", locate_pod },
	{ "services", "service", locate_service },
	{ "nodes", "node", locate_node },
};

static struct error *locate(struct relay *relay)
{
	const struct request *req = relay->req;
	const struct row *row = rows;
	struct str scheme, name, port;

	while (!str_is(req->route.resource, row->resource))
		row++;
	if (!split_name(req->route.name, &scheme, &name, &port))
		return error_new(ERR_BAD_REQUEST, "invalid %s request %s", row->singular, api_quoted(req->arena, req->route.name));
	relay->secure = str_is(scheme, "https");
	return row->locate(relay, name, port);
}

/* --- headers --- */

/* What concerns one connection only, and what was meant for this server. RFC 9110, 7.6.1. */
static bool stays_here(const struct http_headers *all, struct str name)
{
	static const char *const names[] = { "connection",
					     "keep-alive",
					     "proxy-connection",
					     "te",
					     "trailer",
					     "transfer-encoding",
					     "upgrade",
					     "proxy-authenticate",
					     "proxy-authorization",
					     "authorization",
					     "host",
					     "accept-encoding",
					     "x-forwarded-uri",
					     "x-forwarded-host",
					     "x-forwarded-proto",
					     "x-forwarded-for" };
	char text[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_is(name, names[i]))
			return true;
	if (name.len >= sizeof(text))
		return false;
	memcpy(text, name.ptr, name.len);
	text[name.len] = 0;
	return http_header_has(all, "connection", text);
}

static struct http_headers headers_on(struct relay *relay, bool upgrade)
{
	struct request *req = relay->req;
	struct arena *arena = req->arena;
	const struct http_headers *from = &req->http->headers;
	struct http_headers more = upgrade ? upgrade_headers(arena, from) : (struct http_headers){ NULL, 0 };
	struct http_header *to = ARENA_ARRAY(arena, struct http_header, from->n + more.n + 5);
	struct str peer = str_from(req->http->peer->address), before = http_header(from, "x-forwarded-for"), ip = peer;
	size_t n = 0;

	for (size_t i = 0; i < from->n; i++)
		if (!stays_here(from, from->ptr[i].name) && !(upgrade && str_has_prefix(from->ptr[i].name, STR("sec-websocket-"))))
			to[n++] = from->ptr[i];
	for (size_t i = 0; i < more.n; i++)
		to[n++] = more.ptr[i];
	while (ip.len != 0 && ip.ptr[ip.len - 1] != ':')
		ip.len--;
	ip.len -= ip.len != 0;
	to[n++] = (struct http_header){ STR("x-forwarded-for"), str_format(arena, "%.*s%s%.*s", STR_ARG(before),
									   before.len != 0 ? ", " : "", STR_ARG(ip)) };
	to[n++] = (struct http_header){ STR("x-forwarded-uri"),
					str_format(arena, "%.*s%.*s", STR_ARG(relay->prefix), STR_ARG(relay->rest)) };
	to[n++] = (struct http_header){ STR("x-forwarded-host"), req->http->host };
	to[n++] = (struct http_header){ STR("x-forwarded-proto"), STR("https") };
	return (struct http_headers){ to, n };
}

static struct http_headers headers_back(struct relay *relay, const struct http_response *response)
{
	struct arena *arena = relay->req->arena;
	struct http_header *to = ARENA_ARRAY(arena, struct http_header, response->headers.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < response->headers.n; i++) {
		struct http_header header = response->headers.ptr[i];

		if (stays_here(&response->headers, header.name) || str_has_prefix(header.name, STR("access-control-allow-")))
			continue;
		if (str_is(header.name, "content-length") || str_is(header.name, "date"))
			continue; /* ours */
		if (str_is(header.name, "location"))
			header.value = rewrite_url(arena, &relay->rewrite, header.value);
		to[n++] = header;
	}
	return (struct http_headers){ to, n };
}

/* --- the end --- */

static void finish(void *arg)
{
	struct relay *relay = arg;

	loop_call_cancel(&relay->refuse);
	if (relay->ip.family != 0)
		http_client_free(relay->client);
	if (relay->connected != NULL)
		relay->connected(relay->to, error_new(ERR_CANCELED, "canceled"), NULL);
	http_tls_unref(relay->tls);
	buf_fini(&relay->text);
	request_end(relay->req);
}

static void over(struct relay *relay)
{
	relay->call = NULL;
	loop_call_soon(&relay->finish, finish, relay);
}

/* --- the answer --- */

static void client_closed(void *arg)
{
	struct relay *relay = arg;

	http_call_cancel(relay->call);
	if (http_reply_started(relay->req->http))
		http_reply_abort(relay->req->http);
	else
		http_reply_text(relay->req->http, 499, STR(""));
	over(relay);
}

static void client_drained(void *arg)
{
	struct relay *relay = arg;

	http_call_resume(relay->call);
}

static const struct http_request_events events = { client_closed, client_drained };

static bool is_html(const struct http_headers *headers)
{
	struct str type = http_header(headers, "content-type"), media = STR("");

	str_cut(&type, ';', &media);
	media = str_trim(media);
	return media.len == 9 && strncasecmp(media.ptr, "text/html", 9) == 0 && http_header(headers, "content-encoding").len == 0;
}

static void responded(void *arg, struct http_call *call, const struct http_response *response)
{
	struct relay *relay = arg;
	static const struct http_header text[] = { { STR_INIT("content-type"), STR_INIT("text/plain") } };

	(void)call;
	if (relay->plain && (response->status < 200 || response->status > 206)) {
		relay->refused = response->status;
		return;
	}
	if (relay->plain) {
		http_reply_start(relay->req->http, response->status, (struct http_headers){ text, 1 });
		return;
	}
	relay->html = is_html(&response->headers) && http_header(&response->headers, "location").len == 0;
	http_reply_start(relay->req->http, response->status, headers_back(relay, response));
}

static void write_html(struct relay *relay, bool end)
{
	AUTO_BUF struct buf out = { 0 };

	rewrite_html(&relay->rewrite, &relay->text, end, &out);
	http_reply_write(relay->req->http, buf_str(&out));
}

static void data(void *arg, struct str bytes)
{
	struct relay *relay = arg;

	if (relay->refused != 0) {
		if (relay->text.len + bytes.len <= LIMIT_REFUSAL)
			buf_add(&relay->text, bytes);
		return;
	}
	if (relay->html) {
		buf_add(&relay->text, bytes);
		write_html(relay, false);
	} else {
		http_reply_write(relay->req->http, bytes);
	}
	if (http_reply_full(relay->req->http))
		http_call_pause(relay->call);
}

static void reply_error(struct request *req, struct error *err)
{
	AUTO_BUF struct buf body = { 0 };
	struct error *told = err->kind == ERR_UNAVAILABLE && str_has_prefix(str_from(err->text), STR("error trying to reach"))
				     ? NULL
				     : error_new(ERR_UNAVAILABLE, "error trying to reach service: %s", err->text);

	json_write(&body, status_of_error(req->arena, req, told != NULL ? told : err));
	buf_putc(&body, '\n');
	http_reply(req->http, 503, answer_headers(req, STR("application/json")), buf_str(&body));
	error_free(told);
}

/* k8s.io/apiserver/pkg/registry/generic/rest/response_checker.go */
static struct error *refusal(const struct relay *relay)
{
	struct str text = str_trim(buf_str(&relay->text));

	if (relay->refused == 400)
		return error_new(ERR_BAD_REQUEST, "%.*s", STR_ARG(text));
	if (relay->refused == 404)
		return error_new(ERR_NOT_FOUND, "the server could not find the requested resource");
	return error_new(ERR_INTERNAL, "%.*s", STR_ARG(text));
}

static void done(void *arg, struct error *err)
{
	struct relay *relay = arg;
	struct request *req = relay->req;

	if (err == NULL && relay->refused != 0)
		err = refusal(relay);
	if (err == NULL && relay->html)
		write_html(relay, true);
	if (!http_reply_started(req->http) && err == NULL)
		err = relay->plain ? error_new(ERR_UNAVAILABLE, "the kubelet gave no answer")
				   : error_new(ERR_UNAVAILABLE, "error trying to reach service: EOF");
	if (relay->plain && !http_reply_started(req->http)) {
		buf_fini(&relay->text);
		respond_error(req, err); /* ends the request; the client is borrowed */
		return;
	}
	if (err == NULL)
		http_reply_end(req->http);
	else if (http_reply_started(req->http))
		http_reply_abort(req->http);
	else
		reply_error(req, err);
	error_free(err);
	over(relay);
}

/* --- the request's body --- */

static void body_data(void *arg, struct error *err, struct str bytes)
{
	struct relay *relay = arg;

	if (relay->call == NULL || err != NULL) { /* closed() comes, or came */
		error_free(err);
		return;
	}
	if (bytes.len == 0) {
		relay->sent = true;
		http_call_end(relay->call);
		return;
	}
	http_call_write(relay->call, bytes);
	if (http_call_pending(relay->call) > LIMIT_STREAM_BUFFER)
		http_body_pause(relay->req->http);
}

static void call_drained(void *arg)
{
	struct relay *relay = arg;

	if (relay->sends && !relay->sent)
		http_body_resume(relay->req->http);
}

/* --- on the way --- */

static void refuse(void *arg)
{
	struct relay *relay = arg;
	void (*connected)(void *, struct error *, struct stream *) = relay->connected;

	relay->connected = NULL;
	connected(relay->to, error_new(ERR_UNAVAILABLE, "error trying to reach service: no node is ready"), NULL);
}

static void dial(void *arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	struct relay *relay = arg;
	const struct apiserver_options *options = &relay->req->server->options;

	if (options->dial != NULL && options->dial(options->dial_arg, relay->ip, relay->port, connected, to))
		return;
	relay->connected = connected;
	relay->to = to;
	loop_call_soon(&relay->refuse, refuse, relay);
}

/* As Go writes a path. */
static void escape_path(struct buf *out, struct str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (strchr("$&+,/:;=@", path.ptr[i]) != NULL && path.ptr[i] != 0)
			buf_putc(out, path.ptr[i]);
		else
			http_escape(out, str_of(path.ptr + i, 1));
}

static struct str target_of(struct relay *relay)
{
	struct request *req = relay->req;
	struct buf out = { 0 };

	escape_path(&out, relay->rest);
	if (req->http->query.len != 0)
		buf_printf(&out, "?%.*s", STR_ARG(req->http->query));
	arena_defer(req->arena, free, out.ptr);
	return buf_str(&out);
}

static void split_path(struct relay *relay)
{
	struct str path = relay->req->http->path, rest = path;

	/* /api/v1/namespaces/NS/pods/NAME/proxy, /api/v1/nodes/NAME/proxy */
	for (int i = 0; i < (relay->req->route.ns.len != 0 ? 7 : 5); i++) {
		size_t n = rest.len != 0;

		while (n < rest.len && rest.ptr[n] != '/')
			n++;
		rest = str_skip(rest, n);
	}
	relay->rest = str_dup(relay->req->arena, rest);
	relay->prefix = str_dup(relay->req->arena, str_head(path, path.len - rest.len));
}

/* Pages with relative links need the slash. */
static bool redirected(struct relay *relay)
{
	struct request *req = relay->req;
	struct http_header location = { STR("location"),
					str_format(req->arena, "%.*s/%s%.*s", STR_ARG(relay->prefix),
						   req->http->query.len != 0 ? "?" : "", STR_ARG(req->http->query)) };

	if (relay->rest.len != 0 || (!str_is(req->http->method, "GET") && !str_is(req->http->method, "HEAD")))
		return false;
	http_reply(req->http, 301, (struct http_headers){ &location, 1 }, STR(""));
	request_end(req);
	return true;
}

static void upgrade_over(struct request *req, void *arg, struct error *err)
{
	if (err != NULL)
		reply_error(req, err);
	error_free(err);
	over(arg);
}

static void make_client(struct relay *relay)
{
	struct request *req = relay->req;

	if (relay->ip.family == 0)
		return;
	if (relay->secure)
		error_free(http_tls_client(&(struct http_tls_options){ .insecure = true }, &relay->tls));
	relay->client = http_client_new(&(struct http_client_options){ .dial = dial,
								       .dial_arg = relay,
								       .tls = relay->tls,
								       .server_name = str_cstr(req->arena, req->http->host),
								       .no_reuse = true });
}

void relay_log(struct request *req, struct http_client *client, struct str target)
{
	struct relay *relay = ARENA_NEW(req->arena, struct relay);

	relay->req = req;
	relay->client = client;
	relay->plain = true;
	http_request_listen(req->http, &events, relay);
	relay->call =
		http_call(client, &(struct http_call_options){
					  .target = target, .responded = responded, .data = data, .done = done, .arg = relay });
}

/* HTTP/2 says so only by what follows. */
static bool has_body(const struct http_request *http)
{
	return http->content_length > 0 || http_header(&http->headers, "transfer-encoding").len != 0 ||
	       (http->version == 2 && http->content_length < 0 &&
		(str_is(http->method, "POST") || str_is(http->method, "PUT") || str_is(http->method, "PATCH")));
}

void relay_start(struct request *req)
{
	struct relay *relay = ARENA_NEW(req->arena, struct relay);
	struct http_call_options options = { .timeout = 3600 * NS_PER_S };
	char ip[IP_TEXT];
	struct error *err;

	relay->req = req;
	split_path(relay);
	err = locate(relay);
	if (err != NULL) {
		respond_error(req, err);
		return;
	}
	if (redirected(relay))
		return;
	if (relay->rest.len == 0)
		relay->rest = STR("/");
	relay->rewrite = (struct rewrite){
		.prefix = relay->prefix,
		.hosts = { str_format(req->arena, "%.*s:%u", STR_ARG(ip_format(ip, relay->ip)), relay->port), req->http->host }
	};
	make_client(relay);
	options.method = str_cstr(req->arena, req->http->method);
	options.target = target_of(relay);
	options.headers = headers_on(relay, req->http->wants_upgrade);
	if (req->http->wants_upgrade) {
		upgrade_start(req, relay->client, &options, upgrade_over, relay);
		return;
	}
	relay->sends = has_body(req->http);
	options.streams = relay->sends;
	options.responded = responded;
	options.data = data;
	options.drained = call_drained;
	options.done = done;
	options.arg = relay;
	http_request_listen(req->http, &events, relay);
	relay->call = http_call(relay->client, &options);
	if (relay->sends)
		http_body_stream(req->http, body_data, relay);
}
