/* The way in: a request is made of an HTTP request or a call, routed, and given to the steps of its verb. */
#include "apiserver/server.h"

#include <stdlib.h>

#include "api/names.h"
#include "apiserver/auth/auth.h"
#include "apiserver/docs/docs.h"
#include "apiserver/streams/streams.h"
#include "apiserver/verbs/verbs.h"

static void request_run(struct request *req);

/* --- in process --- */

static void *transport_call(void *transport, const struct api_call *call);
static void transport_cancel(void *transport, void *call);
void *transport_watch(void *transport, const struct api_watch *watch); /* watch/ */
void transport_watch_close(void *transport, void *watch);

struct error *apiserver_new(const struct apiserver_options *options, struct apiserver **out)
{
	struct apiserver *server = xcalloc(1, sizeof(*server));

	server->options = *options;
	server->started = clock_now();
	list_init(&server->requests);
	list_init(&server->watches);
	server->transport = (struct api_transport){
		.call = transport_call,
		.cancel = transport_cancel,
		.watch = transport_watch,
		.watch_close = transport_watch_close,
		.arg = server,
	};
	*out = server;
	return NULL;
}

void apiserver_free(struct apiserver *server)
{
	if (server == NULL)
		return;
	definitions_free(server);
	ASSERT(list_empty(&server->requests) && list_empty(&server->watches));
	for (size_t i = 0; i < sizeof(server->documents) / sizeof(server->documents[0]); i++)
		bytes_unref(server->documents[i]);
	free(server);
}

const struct api_transport *apiserver_transport(struct apiserver *server)
{
	return &server->transport;
}

size_t apiserver_running(const struct apiserver *server)
{
	return server->n_running;
}

void apiserver_register(struct apiserver *server, struct custom *custom)
{
	(void)server;
	custom_register(custom);
}

void apiserver_unregister(struct apiserver *server, struct custom *custom)
{
	custom_unregister(custom);
	watch_end_of(server, custom);
}

/* --- a request's life --- */

static struct request *request_new(struct apiserver *server, struct arena *arena)
{
	struct request *req = ARENA_NEW(arena, struct request);

	req->server = server;
	req->arena = req->lasting = arena;
	req->remaining = -1;
	req->status = 200;
	list_push(&server->requests, &req->link);
	server->n_running++;
	return req;
}

void request_end(struct request *req)
{
	list_remove(&req->link);
	req->server->n_running--;
	store_version_unref(req->version);
	kind_unref(req->route.kind);
	vec_fini(&req->warnings);
	vec_fini(&req->also);
	if (req->arena != req->lasting)
		loop_arena_free(req->arena);
	loop_arena_free(req->lasting);
}

/* --- HTTP --- */

static void reply_no_such_path(struct http_request *http)
{
	http_reply_text(http, 404, STR("404 page not found\n"));
}

static struct error *no_resource(struct request *req)
{
	struct error *err = error_new(ERR_NOT_FOUND, "the server could not find the requested resource");

	(void)req;
	return error_about(err, STR(""), STR(""), STR(""));
}

static struct error *bad_method(struct request *req)
{
	const struct route *route = &req->route;

	(void)route;
	return error_about(error_new(ERR_METHOD, "the server does not allow this method on the requested resource"), STR(""),
			   STR(""), STR(""));
}

/* Whoever asks for these in any way is told of their successors. */
static void warn_deprecated(struct request *req)
{
	static const struct {
		const char *resource, *text;
	} rows[] = {
		{ "componentstatuses", "v1 ComponentStatus is deprecated in v1.19+" },
		{ "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (req->route.what == ROUTE_RESOURCE && req->route.group.len == 0 && str_is(req->route.resource, rows[i].resource))
			warn(req, str_from(rows[i].text));
}

static struct error *check_segment(const struct request *req)
{
	struct complaints c = name_path_segment(req->route.name);
	AUTO_BUF struct buf all = { 0 };

	for (int i = 0; i < c.n; i++)
		buf_printf(&all, "%s%s", i == 0 ? "" : ";", c.text[i]);
	return c.n == 0 ? NULL
			: error_new(ERR_BAD_REQUEST, "Name parameter invalid: %s: %s", api_quoted(req->arena, req->route.name),
				    buf_cstr(&all));
}

/* Upstream asks twice: its router looks at the bare media type, and for a patch at the body's; then each handler chooses. */
static struct error *negotiate(struct request *req, bool table)
{
	struct str header = http_header(&req->http->headers, "accept");
	bool pretty = req->accept.pretty;
	struct error *err = NULL;

	if (streams_wants(req))
		return NULL; /* a log or a stream has no media type to agree on */
	if (req->route.verb == VERB_PATCH)
		err = patch_media_routed(http_header(&req->http->headers, "content-type"));
	if (err == NULL)
		err = accept_routed(header, req->route.verb == VERB_LIST);
	if (err == NULL)
		warn_deprecated(req);
	if (err == NULL)
		err = accept_parse(header, table, custom_of(req->route.kind) == NULL, &req->accept);
	if (err != NULL)
		req->accept = (struct accept){ .media = API_JSON };
	req->accept.pretty = pretty;
	return err;
}

/* What can be said of a request before its body is there, in the order in which upstream says it. */
static struct error *judge_head(struct request *req)
{
	const struct route *route = &req->route;
	bool stream = streams_wants(req), table = route->kind != NULL && (kind_verbs(route->kind) & (VERB(GET) | VERB(LIST))) != 0;
	struct error *err = stream ? NULL : options_timeout(req);

	if (err == NULL)
		err = authenticate(req);
	if (err == NULL)
		err = authorize(req);
	if (err == NULL && route->what == ROUTE_NO_RESOURCE)
		err = no_resource(req);
	if (err == NULL && route->bad_method)
		err = bad_method(req);
	if (err == NULL)
		err = check_segment(req);
	if (err != NULL) /* JSON where it cannot be what was asked for */
		error_free(accept_parse(http_header(&req->http->headers, "accept"), false, true, &req->accept));
	else
		err = negotiate(req, table);
	if (err == NULL && !stream && (route->verb == VERB_GET || route->verb == VERB_LIST || route->verb == VERB_DELETECOLLECTION))
		err = options_check(req); /* writes read their body first */
	return err;
}

void apiserver_handle(void *arg, struct http_request *http)
{
	struct apiserver *server = arg;
	struct arena *arena = arena_new();
	struct request *req;
	struct route route;
	struct error *err;

	route_parse(arena, http->method, http->path, &route);
	if (route.what == ROUTE_DOCUMENT || route.what == ROUTE_NONE) {
		arena_free(arena);
		if (route.what == ROUTE_NONE)
			reply_no_such_path(http);
		else
			docs_handle(server, http);
		return;
	}
	req = request_new(server, arena);
	req->http = http;
	req->route = route;
	kind_ref(route.kind);
	/* The path lies in the HTTP request, whose end comes before ours. */
	req->route.group = str_dup(arena, route.group);
	req->route.version = str_dup(arena, route.version);
	req->route.resource = str_dup(arena, route.resource);
	req->route.ns = str_dup(arena, route.ns);
	req->route.name = str_dup(arena, route.name);
	req->route.subresource = str_dup(arena, route.subresource);
	req->route.rest = str_dup(arena, route.rest);
	str_to_u64(http_header(&http->headers, "x-monokube-cause"), &req->cause);
	options_read(req);
	err = judge_head(req);
	if (err != NULL) {
		respond_error(req, err);
		return;
	}
	if (streams_wants(req)) {
		streams_start(req);
		return;
	}
	request_run(req);
}

static void client_gone(void *arg)
{
	struct request *req = arg;

	if (req->task != NULL)
		task_cancel(req->task, error_new(ERR_CANCELED, "the client went away"));
}

static const struct http_request_events http_events = { .closed = client_gone };

static void request_done(void *arg, struct error *err)
{
	struct request *req = arg;

	req->task = NULL;
	if (err != NULL)
		respond_error(req, err);
	else
		respond(req);
}

static void request_run(struct request *req)
{
	struct task *task;
	bool in_process = req->http == NULL;

	/* Of one object only the old paths are a watch. */
	if (req->query.watch && (req->route.verb == VERB_LIST || (req->route.verb == VERB_GET && req->route.old_watch))) {
		watch_start(req);
		return;
	}
	if (!in_process)
		http_request_listen(req->http, &http_events, req);
	task = task_start(&(struct task_options){
		.name = "request",
		.subject = arena_printf(req->arena, "%s %.*s/%.*s", route_verb_name(&req->route), STR_ARG(req->route.resource),
					STR_ARG(req->route.name)),
		.steps = steps_of(req),
		.arg = req,
		.timeout = LIMIT_REQUEST_SECONDS * NS_PER_S,
		.done = request_done,
	});
	/* NULL: it is over, and req is gone. */
	if (task != NULL)
		req->task = task;
}

/* --- calls --- */

static void run_call(void *arg)
{
	request_run(arg);
}

static void *transport_call(void *transport, const struct api_call *call)
{
	struct arena *arena = arena_new();
	struct request *req = request_new(transport, arena);

	req->call = *call;
	req->call.actor = str_dup(arena, call->actor);
	req->call.body = call->body != NULL ? json_copy(arena, call->body) : NULL;
	req->cause = call->cause;
	req->user = (struct user){ .name = req->call.actor, .trusted = true };
	req->route = (struct route){
		.what = ROUTE_RESOURCE,
		.kind = kind_ref(call->kind),
		.group = kind_group(call->kind),
		.version = kind_version(call->kind),
		.resource = kind_resource(call->kind),
		.ns = str_dup(arena, call->ns),
		.name = str_dup(arena, call->name),
		.subresource = str_dup(arena, call->subresource),
		.verb = call->verb,
	};
	req->query.labels = str_dup(arena, call->labels);
	req->query.fields = str_dup(arena, call->fields);
	req->query.validation = VALIDATE_IGNORE;
	loop_call_behind(&req->run, run_call, req); /* done never comes from inside call() */
	return req;
}

static void transport_cancel(void *transport, void *call)
{
	struct request *req = call;

	(void)transport;
	req->canceled = true;
}
