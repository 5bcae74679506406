#include "client/remote.h"

#include <stdlib.h>

#include "api/api.h"
#include "api/custom.h"

struct remote {
	struct http_client *http;
	struct api_transport transport;
	struct list calls;   /* struct call */
	struct list watches; /* struct remote_watch */
};

/* --- what is asked, as a request --- */

static void add_param(struct buf *target, const char *name, struct str value)
{
	if (value.len == 0)
		return;
	buf_printf(target, "%c%s=", str_find(buf_str(target), '?') < 0 ? '?' : '&', name);
	http_escape(target, value);
}

static void add_segment(struct buf *target, struct str segment)
{
	if (segment.len == 0)
		return;
	buf_putc(target, '/');
	http_escape(target, segment);
}

static void write_path(struct buf *target, const struct kind *kind, struct str ns, struct str name, struct str subresource)
{
	buf_printf(target, "%s%.*s", kind_group(kind).len == 0 ? "/api/" : "/apis/", STR_ARG(kind_api_version(kind)));
	if (ns.len != 0 && kind_namespaced(kind)) {
		buf_add(target, STR("/namespaces"));
		add_segment(target, ns);
	}
	add_segment(target, kind_resource(kind));
	add_segment(target, name);
	add_segment(target, subresource);
}

static const char *method_of(enum verb verb)
{
	switch (verb) {
	case VERB_CREATE:
		return "POST";
	case VERB_UPDATE:
		return "PUT";
	case VERB_PATCH:
		return "PATCH";
	case VERB_DELETE:
	case VERB_DELETECOLLECTION:
		return "DELETE";
	case VERB_GET:
	case VERB_LIST:
	case VERB_WATCH:
	case VERB_COUNT:
		break;
	}
	return "GET";
}

static struct str body_type(const struct api_call *call)
{
	static const char *const patches[] = { [API_PATCH_JSON] = "application/json-patch+json",
					       [API_PATCH_MERGE] = "application/merge-patch+json",
					       [API_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
					       [API_PATCH_APPLY] = "application/apply-patch+yaml" };

	return call->verb == VERB_PATCH ? str_from(patches[call->patch]) : STR("application/json");
}

/* --- answers --- */

/* The kind of error that a Status means: by its reason, else by its code. */
static enum error_kind kind_of_status(const struct json *status, int code)
{
	struct str reason = json_get_str(status, "reason");

	for (int kind = 0; kind < ERR_KINDS; kind++)
		if (str_is(reason, error_reason((enum error_kind)kind)))
			return (enum error_kind)kind;
	for (int kind = 0; kind < ERR_KINDS; kind++)
		if (error_http_status((enum error_kind)kind) == code)
			return (enum error_kind)kind;
	return ERR_INTERNAL;
}

static struct error *error_of_status(struct arena *arena, const struct json *status, int code)
{
	struct str message = json_get_str(status, "message");
	const struct json *details = json_get(status, "details");
	struct error *err = error_new(kind_of_status(status, code), "%.*s", STR_ARG(message.len != 0 ? message : STR("no Status")));

	err->retry_after = (int)json_int(json_get(details, "retryAfterSeconds"), 0);
	JSON_EACH (json_get(details, "causes"), it)
		error_add_cause(err, str_cstr(arena, json_get_str(it.value, "reason")),
				str_cstr(arena, json_get_str(it.value, "field")),
				str_cstr(arena, json_get_str(it.value, "message")));
	return error_about(err, json_get_str(details, "group"), json_get_str(details, "kind"), json_get_str(details, "name"));
}

static uint64_t revision_of(const struct json *tree)
{
	uint64_t revision = 0;

	return str_to_u64(json_path_str(tree, "metadata.resourceVersion"), &revision) ? revision : 0;
}

/* An object of its own arena, in this program's normal form. NULL when it is none of that kind. */
static struct object *object_of(const struct kind *kind, const struct json *raw)
{
	struct arena *arena = arena_new();
	const struct json *tree = NULL;
	struct error *err = api_normalize(arena, kind_type(kind), json_copy(arena, raw), NULL, &tree);

	if (err != NULL || json_path_str(tree, "metadata.name").len == 0) {
		error_free(err);
		arena_free(arena);
		return NULL;
	}
	return object_new(kind, arena, tree, revision_of(tree));
}

/* --- calls --- */

struct call {
	struct list link;
	struct remote *remote;
	struct api_call asked; /* kind, verb, done and arg are used */
	struct http_fetch *fetch;
};

static void call_free(struct call *call)
{
	list_remove(&call->link);
	kind_unref(call->asked.kind);
	free(call);
}

static void take_list(struct arena *arena, const struct kind *kind, const struct json *list, struct api_reply *reply)
{
	const struct json *items = json_get(list, "items");
	struct object **objects = ARENA_ARRAY(arena, struct object *, json_len(items) + 1);

	JSON_EACH (items, it) {
		struct object *object = object_of(kind, it.value);

		if (object == NULL)
			continue;
		arena_defer(arena, object_release, object);
		objects[reply->n_items++] = object;
	}
	reply->items = objects;
	reply->revision = revision_of(list);
}

static bool is_of_kind(const struct kind *kind, const struct json *tree)
{
	return str_eq(json_get_str(tree, "kind"), kind_name(kind)) &&
	       str_eq(json_get_str(tree, "apiVersion"), kind_api_version(kind));
}

static void take_answer(struct call *call, struct arena *arena, int status, struct str body, struct api_reply *reply)
{
	const struct json *tree = NULL;

	reply->err = json_read(arena, body, NULL, &tree);
	if (reply->err != NULL)
		return;
	if (status >= 400) {
		reply->err = error_of_status(arena, tree, status);
	} else if (call->asked.verb == VERB_LIST) {
		take_list(arena, call->asked.kind, tree, reply);
	} else if (is_of_kind(call->asked.kind, tree)) {
		reply->object = object_of(call->asked.kind, tree);
		if (reply->object != NULL)
			arena_defer(arena, object_release, reply->object);
	} else {
		reply->tree = tree;
	}
}

static void fetched(void *arg, struct error *err, const struct http_response *response, struct str body)
{
	struct call *call = arg;
	struct arena *arena = arena_new();
	struct api_reply reply = { .err = err };
	void (*done)(void *, struct api_reply *) = call->asked.done;
	void *to = call->asked.arg;

	if (err == NULL)
		take_answer(call, arena, response->status, body, &reply);
	call_free(call);
	done(to, &reply);
	error_free(reply.err);
	arena_free(arena);
}

static void *remote_call(void *transport, const struct api_call *asked)
{
	struct remote *remote = transport;
	struct call *call = xcalloc(1, sizeof(*call));
	AUTO_BUF struct buf target = { 0 }, body = { 0 }, cause = { 0 };
	int64_t timeout = asked->timeout != 0 ? asked->timeout : LIMIT_REQUEST_SECONDS * NS_PER_S;
	struct http_header headers[4];

	*call = (struct call){ .remote = remote, .asked = *asked };
	kind_ref(asked->kind);
	list_push(&remote->calls, &call->link);
	write_path(&target, asked->kind, asked->ns, asked->name, asked->subresource);
	add_param(&target, "labelSelector", asked->labels);
	add_param(&target, "fieldSelector", asked->fields);
	if (asked->body != NULL)
		json_write(&body, asked->body);
	buf_printf(&cause, "%llu", (unsigned long long)asked->cause);
	headers[0] = (struct http_header){ STR("accept"), STR("application/json") };
	headers[1] = (struct http_header){ STR("user-agent"), asked->actor.len != 0 ? asked->actor : STR("monokube") };
	headers[2] = (struct http_header){ STR("x-monokube-cause"), buf_str(&cause) };
	headers[3] = (struct http_header){ STR("content-type"), body_type(asked) };
	call->fetch = http_fetch(remote->http,
				 &(struct http_fetch_options){ .call = { .method = method_of(asked->verb),
									 .target = buf_str(&target),
									 .headers = { headers, asked->body != NULL ? 4 : 3 },
									 .body = buf_str(&body),
									 .timeout = timeout,
									 .deadline = timeout },
							       .limit = SIZE_MAX,
							       .fetched = fetched,
							       .arg = call });
	return call;
}

static void remote_cancel(void *transport, void *handle)
{
	struct call *call = handle;

	(void)transport;
	http_fetch_cancel(call->fetch);
	call_free(call);
}

/* --- watches --- */

struct remote_watch {
	struct list link;
	struct remote *remote;
	struct api_watch asked;
	struct http_call *call; /* NULL: over */
	struct buf pending;     /* a line that is not whole yet */
	int status;
	bool closed, told; /* told: that it ended */
	struct loop_call again;
};

static void watch_free(void *arg)
{
	struct remote_watch *w = arg;

	if (w->call != NULL)
		http_call_cancel(w->call);
	loop_call_cancel(&w->again);
	list_remove(&w->link);
	kind_unref(w->asked.kind);
	buf_fini(&w->pending);
	free(w);
}

static void tell_ended(struct remote_watch *w, struct error *err)
{
	if (w->closed || w->told) {
		error_free(err);
		return;
	}
	w->told = true;
	w->asked.ended(w->asked.arg, err);
}

static void tell_object(struct remote_watch *w, enum api_event_type type, const struct json *tree)
{
	struct object *object = object_of(w->asked.kind, tree);

	if (object == NULL)
		return;
	w->asked.event(w->asked.arg, &(struct api_event){ type, object, object_revision(object) });
	object_unref(object);
}

static void tell_bookmark(struct remote_watch *w, const struct json *tree)
{
	bool end = str_is(json_get_str(json_path(tree, "metadata.annotations"), "k8s.io/initial-events-end"), "true");

	w->asked.event(w->asked.arg, &(struct api_event){ end ? API_SYNCED : API_BOOKMARK, NULL, revision_of(tree) });
}

static void take_line(struct remote_watch *w, struct str line)
{
	struct arena *arena = arena_new();
	const struct json *event = NULL, *object;
	struct error *err = json_read(arena, line, NULL, &event);
	struct str type = json_get_str(event, "type");

	object = json_get(event, "object");
	if (err != NULL)
		tell_ended(w, err);
	else if (w->status >= 400)
		tell_ended(w, error_of_status(arena, event, w->status));
	else if (str_is(type, "ADDED"))
		tell_object(w, API_ADDED, object);
	else if (str_is(type, "MODIFIED"))
		tell_object(w, API_MODIFIED, object);
	else if (str_is(type, "DELETED"))
		tell_object(w, API_DELETED, object);
	else if (str_is(type, "BOOKMARK"))
		tell_bookmark(w, object);
	else
		tell_ended(w, error_of_status(arena, object, (int)json_int(json_get(object, "code"), 0)));
	arena_free(arena);
}

static void watch_responded(void *arg, struct http_call *call, const struct http_response *response)
{
	(void)call;
	((struct remote_watch *)arg)->status = response->status;
}

static void watch_data(void *arg, struct str data)
{
	struct remote_watch *w = arg;
	ptrdiff_t end;

	buf_add(&w->pending, data);
	while (!w->closed && !w->told && (end = str_find(buf_str(&w->pending), '\n')) >= 0) {
		take_line(w, str_head(buf_str(&w->pending), (size_t)end));
		buf_consume(&w->pending, (size_t)end + 1);
	}
}

static void watch_done(void *arg, struct error *err)
{
	struct remote_watch *w = arg;

	w->call = NULL;
	tell_ended(w, err != NULL ? err : error_new(ERR_EXPIRED, "the watch ended"));
}

static void *remote_watch(void *transport, const struct api_watch *asked)
{
	struct remote *remote = transport;
	struct remote_watch *w = xcalloc(1, sizeof(*w));
	AUTO_BUF struct buf target = { 0 }, after = { 0 };
	const struct http_header headers[] = {
		{ STR("accept"), STR("application/json") },
		{ STR("user-agent"), asked->actor.len != 0 ? asked->actor : STR("monokube") },
	};

	*w = (struct remote_watch){ .remote = remote, .asked = *asked };
	kind_ref(asked->kind);
	list_push(&remote->watches, &w->link);
	write_path(&target, asked->kind, asked->ns, STR(""), STR(""));
	add_param(&target, "watch", STR("true"));
	add_param(&target, "allowWatchBookmarks", STR("true"));
	add_param(&target, "labelSelector", asked->labels);
	add_param(&target, "fieldSelector", asked->fields);
	if (asked->after == 0) {
		add_param(&target, "sendInitialEvents", STR("true"));
		add_param(&target, "resourceVersionMatch", STR("NotOlderThan"));
	} else {
		buf_printf(&after, "%llu", (unsigned long long)asked->after);
		add_param(&target, "resourceVersion", buf_str(&after));
	}
	w->call = http_call(remote->http, &(struct http_call_options){ .target = buf_str(&target),
								       .headers = { headers, 2 },
								       .timeout = LIMIT_REQUEST_SECONDS * NS_PER_S,
								       .responded = watch_responded,
								       .data = watch_data,
								       .done = watch_done,
								       .arg = w });
	return w;
}

/* May come from inside its own event. */
static void remote_watch_close(void *transport, void *handle)
{
	struct remote_watch *w = handle;

	(void)transport;
	w->closed = true;
	loop_call_soon(&w->again, watch_free, w);
}

/* --- the remote --- */

struct remote *remote_new(struct http_client *http)
{
	struct remote *remote = xcalloc(1, sizeof(*remote));

	remote->http = http;
	list_init(&remote->calls);
	list_init(&remote->watches);
	remote->transport = (struct api_transport){ .call = remote_call,
						    .cancel = remote_cancel,
						    .watch = remote_watch,
						    .watch_close = remote_watch_close,
						    .arg = remote };
	return remote;
}

void remote_free(struct remote *remote)
{
	if (remote == NULL)
		return;
	LIST_EACH (&remote->calls, struct call, link, call)
		remote_cancel(remote, call);
	LIST_EACH (&remote->watches, struct remote_watch, link, w)
		watch_free(w);
	free(remote);
}

const struct api_transport *remote_transport(struct remote *remote)
{
	return &remote->transport;
}
