/* The kubelet's HTTP server, for the API server: logs of containers, and what it knows. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/websocket.h"
#include "kubelet/logs.h"
#include "kubelet/private.h"

#define LOOK_EVERY (500 * NS_PER_MS)

/* A reader of one log file, which may still grow. */
struct follower {
	struct list link;
	struct kubelet *kubelet;
	struct http_request *request; /* NULL once it has become a websocket */
	struct websocket *ws;         /* NULL: an ordinary answer, or the client is gone */
	bool base64;
	struct log_cursor cursor;
	char *uid, *container, *run;
	int fd;
	int inotify;
	struct loop_poll *poll;
	struct loop_timer timer;
	struct loop_call call;
	bool follow;
};

static void follower_free(struct follower *f)
{
	list_remove(&f->link);
	loop_poll_close(f->poll);
	loop_timer_stop(&f->timer);
	loop_call_cancel(&f->call);
	log_cursor_fini(&f->cursor);
	if (f->fd >= 0)
		close(f->fd);
	if (f->inotify >= 0)
		close(f->inotify);
	free(f->uid);
	free(f->container);
	free(f->run);
	free(f);
}

/* --- where it goes: the body of an answer, or messages --- */

static bool sink_closed(const struct follower *f)
{
	return f->request != NULL ? http_request_closed(f->request) : f->ws == NULL;
}

static bool sink_full(const struct follower *f)
{
	return f->request != NULL ? http_reply_full(f->request) : websocket_full(f->ws);
}

static void sink_write(struct follower *f, struct str data)
{
	AUTO_BUF struct buf text = { 0 };

	if (f->request != NULL) {
		http_reply_write(f->request, data);
	} else if (data.len != 0 && f->base64) {
		base64_encode(&text, data);
		websocket_send_text(f->ws, buf_str(&text));
	} else if (data.len != 0) {
		websocket_send(f->ws, data, STR(""));
	}
}

static void finish(struct follower *f)
{
	if (f->request != NULL)
		http_reply_end(f->request);
	else if (f->ws != NULL)
		websocket_close(f->ws, 1000, STR(""));
	follower_free(f);
}

static bool still_runs(const struct follower *f)
{
	const struct pod *pod = map_find(&f->kubelet->by_uid, str_from(f->uid));
	const struct container *c = pod != NULL ? pod_container(pod, str_from(f->container)) : NULL;

	return c != NULL && c->now != NULL && strcmp(c->now->id, f->run) == 0 && !c->now->exited && !f->kubelet->link.away;
}

static void pump(void *arg)
{
	struct follower *f = arg;
	bool runs = f->follow && still_runs(f); /* before reading: what it wrote last is there */

	if (sink_closed(f)) {
		finish(f);
		return;
	}
	while (!sink_full(f)) {
		AUTO_BUF struct buf out = { 0 };
		enum log_result result = log_cursor_next(&f->cursor, f->fd, &out);

		sink_write(f, buf_str(&out));
		if (result == LOG_MORE)
			continue;
		if (result == LOG_LIMIT || !runs)
			finish(f);
		return;
	}
}

static void on_change(void *arg, int events)
{
	struct follower *f = arg;
	char drop[4096];

	(void)events;
	while (read(f->inotify, drop, sizeof(drop)) > 0)
		;
	pump(f);
}

static void on_drained(void *arg)
{
	struct follower *f = arg;

	loop_call_soon(&f->call, pump, f);
}

static void ws_closed(void *arg)
{
	struct follower *f = arg;

	f->ws = NULL; /* it is freed after this */
	loop_call_soon(&f->call, pump, f);
}

static void ws_message(void *arg, struct str data, bool binary)
{
	(void)arg; /* there is nothing to say to a log */
	(void)data;
	(void)binary;
}

/* Logs as messages, as k8s.io/apimachinery/pkg/util/httpstream/wsstream sends a reader. */
static void become_websocket(struct follower *f, struct http_request *request)
{
	static const char *const protocols[] = { "binary.k8s.io", "base64.binary.k8s.io", NULL };
	static const struct websocket_events ws_events = { ws_message, ws_closed, on_drained };
	const char *protocol = websocket_choose(request, protocols);
	struct error *err = websocket_accept(request, protocol, &f->ws);

	if (err != NULL) {
		http_reply_text(request, 400, str_from(err->text));
		error_free(err);
		f->request = NULL;
		return;
	}
	f->request = NULL;
	f->base64 = protocol != NULL && strncmp(protocol, "base64", 6) == 0;
	websocket_start(f->ws, &ws_events, f);
}

static void on_closed(void *arg)
{
	struct follower *f = arg;

	loop_call_soon(&f->call, pump, f);
}

void serve_run_ended(struct kubelet *kubelet)
{
	LIST_EACH (&kubelet->followers, struct follower, link, f)
		loop_call_soon(&f->call, pump, f);
}

static void watch(struct follower *f)
{
	AUTO_FREE char *path = xasprintf("/proc/self/fd/%d", f->fd);

	f->timer.weak = true;
	loop_timer_every(&f->timer, LOOK_EVERY, pump, f);
	f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->inotify >= 0 && inotify_add_watch(f->inotify, path, IN_MODIFY) >= 0)
		f->poll = loop_poll(f->inotify, LOOP_READ, on_change, f);
}

/* --- GET /containerLogs/NS/POD/CONTAINER --- */

static struct pod *find_pod(struct kubelet *kubelet, struct str ns, struct str name)
{
	MAP_EACH (&kubelet->by_uid, it) {
		struct pod *pod = it->value;

		if (str_is(ns, pod->ns) && str_is(name, pod->name) && !pod->object_gone && pod->object != NULL)
			return pod;
	}
	return NULL;
}

static bool read_options(struct http_request *request, struct log_options *options)
{
	bool has_tail, has_limit, has_since;
	struct str tail = http_param(request, "tailLines", &has_tail), limit = http_param(request, "limitBytes", &has_limit);
	struct str since = http_param(request, "sinceSeconds", &has_since), time = http_param(request, "sinceTime", NULL);
	int64_t seconds = 0;

	*options = (struct log_options){ .tail = -1, .limit = -1, .timestamps = http_param_bool(request, "timestamps", NULL) };
	if ((has_tail && !str_to_i64(tail, &options->tail)) || (has_limit && !str_to_i64(limit, &options->limit)) ||
	    (has_since && !str_to_i64(since, &seconds)) || (time.len != 0 && !time_parse(time, &options->since)))
		return false;
	if (has_since)
		options->since = clock_now() - seconds * NS_PER_S;
	return true;
}

static void refuse(struct http_request *request, int status, const char *text)
{
	http_reply_text(request, status, str_from(text));
}

/* "NS/POD/CONTAINER". NULL: no such container; *pod is NULL when it is the pod that is not there. */
static struct container *find_container(struct kubelet *kubelet, struct str rest, struct pod **pod, struct str *name,
					struct str *container)
{
	struct str ns;

	str_cut(&rest, '/', &ns);
	str_cut(&rest, '/', name);
	str_cut(&rest, '/', container);
	*pod = find_pod(kubelet, ns, *name);
	return *pod != NULL ? pod_container(*pod, *container) : NULL;
}

static struct follower *follower_new(struct http_request *request, const struct container *c, const struct run *run,
				     const struct log_options *options)
{
	struct follower *f = xcalloc(1, sizeof(*f));
	struct kubelet *kubelet = c->pod->kubelet;
	struct error *err = root_open(kubelet, log_path(request->arena, c, run->attempt), O_RDONLY | O_NOFOLLOW, &f->fd);

	if (err != NULL)
		f->fd = -1;
	error_free(err);
	f->inotify = -1;
	f->kubelet = kubelet;
	f->request = request;
	f->uid = xstrdup(c->pod->uid);
	f->container = xstrdup(c->name);
	f->run = xstrdup(run->id);
	f->follow = http_param_bool(request, "follow", NULL) && f->fd >= 0;
	log_cursor_init(&f->cursor, f->fd, options);
	list_push(&kubelet->followers, &f->link);
	return f;
}

/* What a container that has not run waits for, as upstream names it. */
static const char *no_run_yet(struct arena *arena, const struct container *c)
{
	const struct json *statuses = json_path(pod_tree(c->pod), "status.containerStatuses");

	if (c->wait_reason != NULL && strcmp(c->wait_reason, "ErrImagePull") == 0)
		return "image can't be pulled";
	if (c->wait_reason != NULL && strcmp(c->wait_reason, "ImagePullBackOff") == 0)
		return "trying and failing to pull image";
	if (c->wait_reason != NULL)
		return c->wait_reason;
	JSON_EACH (statuses, it)
		if (str_is(json_get_str(it.value, "name"), c->name) && json_path(it.value, "state.waiting") != NULL)
			return str_cstr(arena, json_path_str(it.value, "state.waiting.reason"));
	return "ContainerCreating";
}

/* Why there is no log of such a run. */
static const char *no_run(struct http_request *request, const struct container *c)
{
	if (http_param_bool(request, "previous", NULL))
		return arena_printf(request->arena, "previous terminated container \"%s\" in pod \"%s\" not found", c->name,
				    c->pod->name);
	return arena_printf(request->arena, "container \"%s\" in pod \"%s\" is waiting to start: %s", c->name, c->pod->name,
			    no_run_yet(request->arena, c));
}

static bool is_ephemeral(const struct pod *pod, struct str name)
{
	JSON_EACH (json_path(pod_tree(pod), "spec.ephemeralContainers"), it)
		if (str_eq(json_get_str(it.value, "name"), name))
			return true;
	return false;
}

static void reply_logs(struct kubelet *kubelet, struct http_request *request, struct str rest)
{
	static const struct http_request_events events = { on_closed, on_drained };
	static const struct http_header type = { STR_INIT("content-type"), STR_INIT("text/plain") };
	struct str name, container;
	struct log_options options;
	const struct run *run;
	struct follower *f;
	struct pod *pod;
	struct container *c = find_container(kubelet, rest, &pod, &name, &container);

	if (c == NULL && pod != NULL && is_ephemeral(pod, container)) {
		refuse(request, 400,
		       arena_printf(request->arena, "container \"%.*s\" in pod \"%.*s\" is not running: %s", STR_ARG(container),
				    STR_ARG(name), NO_EPHEMERAL));
		return;
	}
	if (c == NULL) {
		refuse(request, 404,
		       arena_printf(request->arena,
				    pod == NULL ? "pod \"%.*s\" not found\n" : "container \"%.*s\" not found in pod\n",
				    STR_ARG(pod == NULL ? name : container)));
		return;
	}
	if (!read_options(request, &options)) {
		refuse(request, 400, "invalid log options\n");
		return;
	}
	run = http_param_bool(request, "previous", NULL) ? c->last : c->now;
	if (run == NULL) {
		refuse(request, 400, no_run(request, c));
		return;
	}
	f = follower_new(request, c, run, &options);
	if (websocket_wanted(request)) {
		become_websocket(f, request);
	} else {
		http_reply_start(request, 200, (struct http_headers){ &type, 1 });
		http_request_listen(request, &events, f);
	}
	if (f->follow)
		watch(f);
	loop_call_soon(&f->call, pump, f);
}

static void reply_pods(struct kubelet *kubelet, struct http_request *request)
{
	struct json_builder list = { .arena = request->arena };
	static const struct http_header type = { STR_INIT("content-type"), STR_INIT("application/json") };

	MAP_EACH (&kubelet->by_uid, it)
		json_builder_item(&list, pod_tree(it->value));
	http_reply(request, 200, (struct http_headers){ &type, 1 },
		   json_format(request->arena,
			       JSON_OBJECT_OF(request->arena, { "kind", json_text(request->arena, "PodList") },
					      { "apiVersion", json_text(request->arena, "v1") }, { "metadata", &json_empty_object },
					      { "items", json_builder_array(&list) })));
}

static void reply_exec(struct kubelet *kubelet, struct http_request *request, struct str rest, bool attach)
{
	struct str name, container;
	struct pod *pod;
	struct container *c = find_container(kubelet, rest, &pod, &name, &container);

	if (c == NULL)
		refuse(request, 404, "pod does not exist");
	else
		serve_exec(kubelet, request, c, attach);
}

static void reply_forward(struct kubelet *kubelet, struct http_request *request, struct str rest)
{
	struct str name, container;
	struct pod *pod;

	find_container(kubelet, rest, &pod, &name, &container);
	if (pod == NULL)
		refuse(request, 404, "pod does not exist");
	else
		serve_forward(kubelet, request, pod);
}

static void handle(void *arg, struct http_request *request)
{
	struct kubelet *kubelet = arg;
	bool post = str_is(request->method, "POST") && request->wants_upgrade; /* by SPDY, as it used to be */

	if (!post && !str_is(request->method, "GET"))
		refuse(request, 405, "Method Not Allowed\n");
	else if (str_is(request->path, "/healthz"))
		refuse(request, 200, "ok");
	else if (str_is(request->path, "/pods"))
		reply_pods(kubelet, request);
	else if (str_has_prefix(request->path, STR("/containerLogs/")))
		reply_logs(kubelet, request, str_skip(request->path, strlen("/containerLogs/")));
	else if (str_has_prefix(request->path, STR("/exec/")))
		reply_exec(kubelet, request, str_skip(request->path, strlen("/exec/")), false);
	else if (str_has_prefix(request->path, STR("/attach/")))
		reply_exec(kubelet, request, str_skip(request->path, strlen("/attach/")), true);
	else if (str_has_prefix(request->path, STR("/portForward/")))
		reply_forward(kubelet, request, str_skip(request->path, strlen("/portForward/")));
	else
		refuse(request, 404, "404 page not found\n");
}

struct http_server *serve_new(struct kubelet *kubelet)
{
	return http_server_new(&(struct http_server_options){ .handle = handle, .arg = kubelet });
}

void serve_stop(struct kubelet *kubelet)
{
	LIST_EACH (&kubelet->followers, struct follower, link, f)
		finish(f);
	sessions_stop(kubelet);
	forwardings_stop(kubelet);
}

struct str log_last_lines(struct arena *arena, struct kubelet *kubelet, const char *path)
{
	struct log_options options = { .tail = MESSAGE_LOG_LINES, .limit = -1 };
	struct log_cursor cursor;
	AUTO_BUF struct buf out = { 0 };
	AUTO_FD int fd = -1;
	struct error *err = root_open(kubelet, path, O_RDONLY | O_NOFOLLOW, &fd);

	if (err != NULL) {
		error_free(err);
		return (struct str){ NULL, 0 };
	}
	log_cursor_init(&cursor, fd, &options);
	while (log_cursor_next(&cursor, fd, &out) == LOG_MORE)
		;
	log_cursor_fini(&cursor);
	return str_dup(arena, out.len > MESSAGE_LOG_MOST ? str_skip(buf_str(&out), out.len - MESSAGE_LOG_MOST) : buf_str(&out));
}
