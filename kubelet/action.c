/*
 * One thing done to a container from outside: a command in it, a request or a connection to it, or a rest. Probes and
 * lifecycle hooks are made of these. Connections are those of dial.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kubelet/private.h"

#define OUTPUT_MOST (10 * 1024) /* probe.maxReadLength */

struct action {
	struct list link; /* in kubelet->actions while an exec runs */
	struct kubelet *kubelet;
	struct container *container;
	char *subject; /* of error texts: "Get \"http://…\"" */
	struct loop_timer timer;
	void (*done)(void *arg, enum action_end end, const char *text);
	void *arg;
	struct node_client *client; /* that the request went to */
	uint64_t request;
	/* exec */
	uint64_t exec;
	struct stream *out, *err;
	struct buf output;
	bool exited;
	int exit_code;
	/* connections */
	struct ip ip;
	uint16_t port;
	struct dialing *dialing;
	void (*connected)(void *to, struct error *err, struct stream *stream);
	void *to;
	/* HTTP */
	struct http_tls *tls;
	struct http_client *http;
	struct http_fetch *fetch;
	struct loop_call finish;
	bool ok, lost;
	char *text;
};

static void drop(struct action *action)
{
	if (action->request != 0 && action->client == action->kubelet->link.client && action->client != NULL)
		node_client_cancel(action->client, action->request);
	loop_timer_stop(&action->timer);
	loop_call_cancel(&action->finish);
	list_remove(&action->link);
	stream_close(action->out);
	stream_close(action->err);
	if (action->fetch != NULL)
		http_fetch_cancel(action->fetch);
	if (action->http != NULL)
		http_client_free(action->http);
	if (action->dialing != NULL) {
		dial_cancel(action->dialing);
		if (action->http != NULL) /* which is still owed an answer */
			action->connected(action->to, error_new(ERR_CANCELED, "canceled"), NULL);
	}
	http_tls_unref(action->tls);
	buf_fini(&action->output);
	free(action->subject);
	free(action->text);
	free(action);
}

static void finish(void *arg)
{
	struct action *action = arg;
	void (*done)(void *, enum action_end, const char *) = action->done;
	void *done_arg = action->arg;
	enum action_end end = action->lost ? ACTION_LOST : action->ok ? ACTION_OK : ACTION_FAILED;
	char *text = action->text;

	action->text = NULL;
	drop(action);
	done(done_arg, end, text != NULL ? text : "");
	free(text);
}

/* The first verdict counts; told on a fresh stack. */
static void end(struct action *action, bool ok, const char *text)
{
	if (action->finish.queued)
		return;
	action->ok = ok;
	replace_text(&action->text, text);
	loop_call_soon(&action->finish, finish, action);
}

static void end_lost(struct action *action)
{
	action->lost = action->lost || !action->finish.queued;
	end(action, false, "the node process is away");
}

static void kill_exec(struct action *action)
{
	struct node_client *client = link_client(action->kubelet);

	if (action->exec != 0 && !action->exited && client != NULL)
		node_exec_kill(client, &(struct node_exec_kill){ .exec = action->exec, .signal = SIGKILL }, NULL, NULL);
}

void action_cancel(struct action *action)
{
	if (action == NULL)
		return;
	kill_exec(action);
	drop(action);
}

static void timed_out(void *arg)
{
	struct action *action = arg;
	AUTO_FREE char *text = NULL;

	if (action->http != NULL)
		text = xasprintf("%s: context deadline exceeded (Client.Timeout exceeded while awaiting headers)", action->subject);
	else if (action->subject != NULL)
		text = xasprintf("%s: i/o timeout", action->subject);
	kill_exec(action);
	end(action, false, text != NULL ? text : "command timed out");
}

/* --- exec --- */

static void look_exec(struct action *action)
{
	if (action->exited && action->out == NULL && action->err == NULL)
		end(action, action->exit_code == 0, str_is(buf_str(&action->output), "") ? "" : buf_cstr(&action->output));
}

static void on_output(void *arg, struct str data)
{
	struct action *action = arg;
	size_t room = OUTPUT_MOST > action->output.len ? OUTPUT_MOST - action->output.len : 0;

	buf_add(&action->output, str_head(data, data.len < room ? data.len : room));
}

static void out_ended(void *arg)
{
	struct action *action = arg;

	stream_close(action->out);
	action->out = NULL;
	look_exec(action);
}

static void out_failed(void *arg, struct error *err)
{
	error_free(err);
	out_ended(arg);
}

static void err_ended(void *arg)
{
	struct action *action = arg;

	stream_close(action->err);
	action->err = NULL;
	look_exec(action);
}

static void err_failed(void *arg, struct error *err)
{
	error_free(err);
	err_ended(arg);
}

static void exec_started(void *arg, struct node_reply *reply)
{
	static const struct stream_events out = { on_output, out_ended, out_failed, NULL },
					  err = { on_output, err_ended, err_failed, NULL };
	struct action *action = arg;
	const struct node_exec_reply *body = reply->body;

	action->request = 0;
	if (reply->err != NULL && reply->err->kind == ERR_UNAVAILABLE) {
		end_lost(action);
		return;
	}
	if (reply->err != NULL || reply->n_fds != 3) {
		end(action, false, reply->err != NULL ? reply->err->text : "no descriptors came");
		return;
	}
	action->exec = body->exec;
	list_push(&action->kubelet->actions, &action->link);
	error_free(stream_from_fd(fd_take(&reply->fds[1]), &action->out));
	error_free(stream_from_fd(fd_take(&reply->fds[2]), &action->err));
	if (action->out != NULL)
		stream_start(action->out, &out, action);
	if (action->err != NULL)
		stream_start(action->err, &err, action);
}

void actions_exec_exited(struct kubelet *kubelet, const struct node_exec_exit *exit)
{
	LIST_EACH (&kubelet->actions, struct action, link, action) {
		if (action->exec != exit->exec)
			continue;
		action->exited = true;
		action->exit_code = exit->exit_code;
		/* what it left running may hold the pipes: its own end is what counts */
		loop_call_soon(&action->finish, finish, action);
		action->ok = exit->exit_code == 0;
		replace_text(&action->text, action->output.len != 0 ? buf_cstr(&action->output) : "");
		return;
	}
}

void actions_node_lost(struct kubelet *kubelet)
{
	LIST_EACH (&kubelet->actions, struct action, link, action)
		end_lost(action);
}

static void start_exec(struct action *action, struct node_client *client, const struct json *exec)
{
	struct arena *arena = arena_new();
	const struct json *command = json_get(exec, "command");
	struct node_exec request = { .id = action->container->now->id };

	request.args = ARENA_ARRAY(arena, const char *, json_len(command) + 1);
	JSON_EACH (command, it)
		request.args[request.n_args++] = str_cstr(arena, json_str(it.value));
	action->request = node_exec(client, &request, exec_started, action);
	arena_free(arena);
}

/* --- connections --- */

static void dialed(void *arg, struct error *err, struct stream *stream)
{
	struct action *action = arg;

	action->dialing = NULL;
	action->lost = err != NULL && err->kind == ERR_UNAVAILABLE && err->code == 0; /* not by whom it dialed */
	action->connected(action->to, err, stream);
}

static void dial(void *arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	struct action *action = arg;

	action->connected = connected;
	action->to = to;
	action->dialing = dial_start(action->kubelet, &(struct dial_target){ NULL, action->ip, action->port }, dialed, action);
}

static void tcp_connected(void *arg, struct error *err, struct stream *stream)
{
	stream_close(stream);
	end(arg, err == NULL, err != NULL ? err->text : "");
	error_free(err);
}

static bool port_of(const struct container *container, const struct json *port, uint16_t *out)
{
	int64_t number;

	if (json_is_int(port, &number)) {
		*out = (uint16_t)number;
		return number > 0 && number < 65536;
	}
	JSON_EACH (json_get(container_spec(container), "ports"), it) {
		if (str_eq(json_get_str(it.value, "name"), json_str(port))) {
			*out = (uint16_t)json_int(json_get(it.value, "containerPort"), 0);
			return true;
		}
	}
	return false;
}

/* --- HTTP --- */

static void fetched(void *arg, struct error *err, const struct http_response *response, struct str body)
{
	struct action *action = arg;
	AUTO_FREE char *text = NULL;

	(void)body;
	action->fetch = NULL;
	if (err != NULL) {
		text = xasprintf("%s: %s", action->subject, err->text);
		end(action, false, text);
		error_free(err);
		return;
	}
	text = xasprintf("HTTP probe failed with statuscode: %d", response->status);
	end(action, response->status >= 200 && response->status < 400, text);
}

static void start_http(struct action *action, const struct json *get, int64_t timeout)
{
	struct arena *arena = arena_new();
	struct str path = json_get_str(get, "path"), scheme = json_get_str(get, "scheme"), host = json_get_str(get, "host");
	const struct json *headers = json_get(get, "httpHeaders");
	struct http_header *list = ARENA_ARRAY(arena, struct http_header, json_len(headers) + 3);
	bool tls = str_is(scheme, "HTTPS"), has_agent = false, has_accept = false;
	char ip[IP_TEXT];
	size_t n = 0;
	const char *name;

	if (path.len == 0)
		path = STR("/");
	ip_format(ip, action->ip);
	name = arena_printf(arena, "%.*s:%u", host.len != 0 ? (int)host.len : (int)strlen(ip), host.len != 0 ? host.ptr : ip,
			    action->port);
	action->subject =
		xasprintf("Get \"%s://%s%s%.*s\"", tls ? "https" : "http", name, path.ptr[0] == '/' ? "" : "/", STR_ARG(path));
	JSON_EACH (headers, it) {
		list[n] = (struct http_header){ json_get_str(it.value, "name"), json_get_str(it.value, "value") };
		if (str_is(str_lower(arena, list[n].name), "host"))
			name = str_cstr(arena, list[n].value);
		else
			n++;
		has_agent = has_agent || str_is(str_lower(arena, json_get_str(it.value, "name")), "user-agent");
		has_accept = has_accept || str_is(str_lower(arena, json_get_str(it.value, "name")), "accept");
	}
	if (!has_agent)
		list[n++] = (struct http_header){ STR("User-Agent"), STR("kube-probe/1.36") };
	if (!has_accept)
		list[n++] = (struct http_header){ STR("Accept"), STR("*/*") };
	if (tls)
		error_free(http_tls_client(&(struct http_tls_options){ .insecure = true }, &action->tls));
	action->http = http_client_new(&(struct http_client_options){
		.dial = dial, .dial_arg = action, .tls = action->tls, .server_name = name, .no_reuse = true });
	action->fetch = http_fetch(
		action->http, &(struct http_fetch_options){
				      .call = { .target = path.ptr[0] == '/' ? path : str_format(arena, "/%.*s", STR_ARG(path)),
						.headers = { list, n },
						.timeout = timeout + NS_PER_S },
				      .limit = OUTPUT_MOST,
				      .fetched = fetched,
				      .arg = action });
	arena_free(arena);
}

/* --- which one --- */

static void rested(void *arg)
{
	end(arg, true, "");
}

struct action *action_start(struct container *container, const struct json *handler, int64_t timeout,
			    void (*done)(void *arg, enum action_end end, const char *text), void *arg)
{
	struct action *action = xcalloc(1, sizeof(*action));
	const struct json *get = json_get(handler, "httpGet"), *tcp = json_get(handler, "tcpSocket"),
			  *exec = json_get(handler, "exec");
	const struct json *target = get != NULL ? get : tcp, *sleep = json_get(handler, "sleep");
	struct str host = json_get_str(target, "host");

	action->kubelet = container->pod->kubelet;
	action->container = container;
	action->done = done;
	action->arg = arg;
	list_init(&action->link);
	action->client = link_client(action->kubelet);
	action->ip = container->pod->ip;
	loop_timer_start(&action->timer, timeout, timed_out, action);
	if (action->client == NULL) {
		end_lost(action);
		return action;
	}
	if (container->now == NULL || !container->now->running) {
		end(action, false, "the container is not running");
		return action;
	}
	if (sleep != NULL) {
		int64_t rest = json_int(json_get(sleep, "seconds"), 0) * NS_PER_S;

		loop_timer_start(&action->timer, rest < timeout ? rest : timeout, rested, action);
	} else if (exec != NULL) {
		start_exec(action, action->client, exec);
	} else if (target == NULL) {
		end(action, false, "this kind of handler is not supported");
	} else if (!port_of(container, json_get(target, "port"), &action->port)) {
		end(action, false, "couldn't find the port");
	} else if (host.len != 0 && !ip_parse(host, &action->ip)) {
		end(action, false, "host is not an address");
	} else if (get != NULL) {
		start_http(action, get, timeout);
	} else {
		dial(action, tcp_connected, action);
	}
	return action;
}
