/*
 * exec and attach over WebSocket: messages whose first byte names a channel (k8s.io/kubelet/pkg/cri/streaming/remotecommand).
 *
 *	0 stdin   1 stdout   2 stderr   3 error: a Status at the end   4 resize: {"Width":80,"Height":24}
 *	255, N    v5: the client will send no more on channel N
 *
 * When the client goes away the process sees end of input, or a hang-up on a terminal; the pod is untouched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "http/websocket.h"
#include "kubelet/private.h"

enum channel { CHANNEL_IN, CHANNEL_OUT, CHANNEL_ERR, CHANNEL_STATUS, CHANNEL_RESIZE, CHANNEL_CLOSE = 255 };

static const char *const protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io",     "v4.base64.channel.k8s.io",
					 "channel.k8s.io",    "base64.channel.k8s.io", NULL };

struct session {
	struct list link; /* in kubelet->sessions */
	struct kubelet *kubelet;
	struct websocket *ws;
	bool base64, close_frames, status_json; /* what the protocol has */
	bool attach, tty;
	bool wants_in, wants_out, wants_err;
	uint64_t request; /* to the node, under way */
	uint64_t exec;
	struct stream *in, *out, *err;
	int terminal; /* for its size; -1 */
	bool exited;
	int exit_code;
	char *failure; /* why it could not start */
	struct loop_call finish;
};

static void session_free(struct session *s)
{
	list_remove(&s->link);
	loop_call_cancel(&s->finish);
	if (s->request != 0 && link_client(s->kubelet) != NULL)
		node_client_cancel(link_client(s->kubelet), s->request);
	stream_close(s->in);
	stream_close(s->out);
	stream_close(s->err);
	if (s->terminal >= 0)
		close(s->terminal);
	free(s->failure);
	free(s);
}

/* --- to the client --- */

static void say(struct session *s, enum channel channel, struct str data)
{
	char head[1] = { (char)channel };
	AUTO_BUF struct buf text = { 0 };

	if (!s->base64) {
		websocket_send(s->ws, str_of(head, 1), data);
		return;
	}
	buf_putc(&text, (char)('0' + (int)channel));
	base64_encode(&text, data);
	websocket_send_text(s->ws, buf_str(&text));
}

static const struct json *status_of(struct arena *arena, const struct session *s)
{
	const struct json *code = json_printf(arena, "%d", s->exit_code);

	if (s->failure != NULL)
		return JSON_OBJECT_OF(
			arena, { "metadata", &json_empty_object }, { "status", json_text(arena, "Failure") },
			{ "message", json_printf(arena, "Internal error occurred: %s", s->failure) },
			{ "reason", json_text(arena, "InternalError") },
			{ "details",
			  JSON_OBJECT_OF(
				  arena,
				  { "causes",
				    JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "message", json_text(arena, s->failure) })) }) },
			{ "code", json_number(arena, 500) });
	if (s->attach || s->exit_code == 0)
		return JSON_OBJECT_OF(arena, { "metadata", &json_empty_object }, { "status", json_text(arena, "Success") });
	return JSON_OBJECT_OF(
		arena, { "metadata", &json_empty_object }, { "status", json_text(arena, "Failure") },
		{ "message", json_printf(arena, "command terminated with non-zero exit code: exit status %d", s->exit_code) },
		{ "reason", json_text(arena, "NonZeroExitCode") },
		{ "details",
		  JSON_OBJECT_OF(arena,
				 { "causes", JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "reason", json_text(arena, "ExitCode") },
										 { "message", code })) }) });
}

static void finish(void *arg)
{
	struct session *s = arg;
	struct arena *arena = arena_new();

	if (s->status_json)
		say(s, CHANNEL_STATUS, json_format(arena, status_of(arena, s)));
	else if (s->failure != NULL)
		say(s, CHANNEL_STATUS, str_from(s->failure));
	websocket_close(s->ws, 1000, STR(""));
	session_free(s);
	arena_free(arena);
}

/* Over when the process has ended and all it said is told. An attached one has no end of its own to wait for. */
static void look(struct session *s)
{
	if (s->out == NULL && s->err == NULL && (s->exited || s->attach))
		loop_call_soon(&s->finish, finish, s);
}

static void out_read(void *arg, struct str data)
{
	struct session *s = arg;

	say(s, CHANNEL_OUT, data);
	if (websocket_full(s->ws))
		stream_pause(s->out);
}

static void err_read(void *arg, struct str data)
{
	struct session *s = arg;

	say(s, CHANNEL_ERR, data);
	if (websocket_full(s->ws))
		stream_pause(s->err);
}

static void out_ended(void *arg)
{
	struct session *s = arg;

	stream_close(s->out);
	s->out = NULL;
	look(s);
}

static void err_ended(void *arg)
{
	struct session *s = arg;

	stream_close(s->err);
	s->err = NULL;
	look(s);
}

/* A terminal ends with an error when its last process goes. */
static void out_failed(void *arg, struct error *err)
{
	error_free(err);
	out_ended(arg);
}

static void err_failed(void *arg, struct error *err)
{
	error_free(err);
	err_ended(arg);
}

/* --- from the client --- */

static void in_failed(void *arg, struct error *err)
{
	struct session *s = arg;

	error_free(err); /* it closed its input: what comes now is dropped */
	stream_close(s->in);
	s->in = NULL;
	websocket_resume(s->ws);
}

/* A pipe that is written to says nothing. */
static void in_read(void *arg, struct str data)
{
	(void)arg;
	(void)data;
}

static void in_drained(void *arg)
{
	struct session *s = arg;

	websocket_resume(s->ws);
}

static void close_in(struct session *s)
{
	struct stream *in = s->in;

	s->in = NULL;
	if (in != NULL)
		stream_finish(in); /* what is on its way still arrives */
	websocket_resume(s->ws);
}

static void resize(struct session *s, struct str text)
{
	struct arena *arena = arena_new();
	const struct json *size = NULL;
	struct error *err = json_read(arena, text, NULL, &size);
	struct winsize window = { .ws_col = (unsigned short)json_int(json_get(size, "Width"), 0),
				  .ws_row = (unsigned short)json_int(json_get(size, "Height"), 0) };

	error_free(err);
	if (s->terminal >= 0 && window.ws_col != 0 && ioctl(s->terminal, TIOCSWINSZ, &window) != 0)
		log_debug("terminal keeps its size", "errno=%d", errno);
	arena_free(arena);
}

static void on_message(void *arg, struct str data, bool binary)
{
	struct session *s = arg;
	AUTO_BUF struct buf decoded = { 0 };
	struct stream *to;
	int channel;

	(void)binary;
	if (data.len == 0)
		return;
	channel = s->base64 ? data.ptr[0] - '0' : (unsigned char)data.ptr[0];
	data = str_skip(data, 1);
	if (s->base64) {
		if (!base64_decode(&decoded, data))
			return;
		data = buf_str(&decoded);
	}
	to = s->tty ? s->out : s->in; /* a terminal is one stream, both ways */
	if (channel == CHANNEL_IN && s->wants_in && to != NULL) {
		stream_write(to, data);
		if (stream_pending(to) >= STREAM_HIGH)
			websocket_pause(s->ws);
	} else if (channel == CHANNEL_RESIZE) {
		resize(s, data);
	} else if (channel == CHANNEL_CLOSE && s->close_frames && data.len == 1 && data.ptr[0] == CHANNEL_IN) {
		close_in(s);
	}
}

static void on_drained(void *arg)
{
	struct session *s = arg;

	if (s->out != NULL)
		stream_resume(s->out);
	if (s->err != NULL)
		stream_resume(s->err);
}

static void on_closed(void *arg)
{
	session_free(arg);
}

static const struct websocket_events ws_events = { on_message, on_closed, on_drained };

/* --- the process --- */

static void give_up(struct session *s, const char *text)
{
	s->failure = xstrdup(text);
	s->exited = true;
	loop_call_soon(&s->finish, finish, s);
}

static struct stream *take_stream(int *fd, bool wanted, const struct stream_events *events, struct session *s)
{
	struct stream *stream = NULL;

	if (*fd < 0)
		return NULL;
	if (!wanted) {
		fd_close(fd);
		return NULL;
	}
	error_free(stream_from_fd(fd_take(fd), &stream));
	if (stream != NULL)
		stream_start(stream, events, s);
	return stream;
}

static void started(void *arg, struct node_reply *reply)
{
	static const struct stream_events in = { .read = in_read, .failed = in_failed, .drained = in_drained },
					  out = { out_read, out_ended, out_failed, in_drained },
					  err = { err_read, err_ended, err_failed, NULL };
	struct session *s = arg;

	s->request = 0;
	websocket_resume(s->ws);
	if (reply->err != NULL) {
		give_up(s, reply->err->text);
		return;
	}
	if (!s->attach)
		s->exec = ((const struct node_exec_reply *)reply->body)->exec;
	if (s->tty && reply->n_fds == 1) {
		/* One terminal, both ways. */
		s->terminal = fcntl(reply->fds[0], F_DUPFD_CLOEXEC, 3);
		s->out = take_stream(&reply->fds[0], true, &out, s);
		return;
	}
	s->in = reply->n_fds > 0 ? take_stream(&reply->fds[0], s->wants_in, &in, s) : NULL;
	s->out = reply->n_fds > 1 ? take_stream(&reply->fds[1], s->wants_out, &out, s) : NULL;
	s->err = reply->n_fds > 2 ? take_stream(&reply->fds[2], s->wants_err, &err, s) : NULL;
	look(s);
}

void sessions_exec_exited(struct kubelet *kubelet, const struct node_exec_exit *exit)
{
	LIST_EACH (&kubelet->sessions, struct session, link, s) {
		if (s->attach || s->exec == 0 || s->exec != exit->exec)
			continue;
		s->exited = true;
		s->exit_code = exit->exit_code;
		look(s);
		return;
	}
}

void sessions_node_lost(struct kubelet *kubelet)
{
	LIST_EACH (&kubelet->sessions, struct session, link, s) {
		s->request = 0;
		if (!s->exited)
			give_up(s, "the node process has ended");
	}
}

void sessions_stop(struct kubelet *kubelet)
{
	LIST_EACH (&kubelet->sessions, struct session, link, s) {
		websocket_close(s->ws, 1001, STR("the kubelet stops"));
		session_free(s);
	}
}

/* --- the request --- */

static bool is_on(const struct http_request *request, const char *name)
{
	struct str value = http_param(request, name, NULL);

	return str_is(value, "true") || str_is(value, "1");
}

static void read_protocol(struct session *s, const char *protocol)
{
	s->base64 = strstr(protocol, "base64") != NULL;
	s->close_frames = strcmp(protocol, "v5.channel.k8s.io") == 0;
	s->status_json = protocol[0] == 'v';
}

static void ask_node(struct session *s, const struct http_request *request, const char *id)
{
	struct node_client *client = link_client(s->kubelet);
	struct arena *arena = arena_new();

	if (s->attach) {
		s->request = node_attach(client,
					 &(struct node_attach){ .id = id,
								.stdin_wanted = s->wants_in,
								.stdout_wanted = s->wants_out,
								.stderr_wanted = s->wants_err },
					 started, s);
	} else {
		struct node_exec exec = { .id = id, .terminal = s->tty };

		exec.args = ARENA_ARRAY(arena, const char *, request->n_params + 1);
		for (size_t i = 0; i < request->n_params; i++)
			if (str_is(request->params[i].name, "command"))
				exec.args[exec.n_args++] = str_cstr(arena, request->params[i].value);
		s->request = node_exec(client, &exec, started, s);
	}
	arena_free(arena);
}

static void refuse(struct http_request *request, int status, const char *text)
{
	http_reply_text(request, status, str_from(text));
}

void serve_exec(struct kubelet *kubelet, struct http_request *request, struct container *container, bool attach)
{
	const char *protocol = websocket_choose(request, protocols);
	bool offered = http_header(&request->headers, "sec-websocket-protocol").len != 0;
	const struct json *spec = container_spec(container);
	struct arena *arena = arena_new();
	struct session *s;
	struct error *err;
	char *id;

	if (container->now == NULL || !container->now->running || container->now->exited || link_client(kubelet) == NULL) {
		refuse(request, 400, arena_printf(arena, "container not found (\"%s\")", container->name));
		arena_free(arena);
		return;
	}
	arena_free(arena);
	/* Refused before the 101, so that clients fall back to what else they know. */
	if (!websocket_wanted(request) || (offered && protocol == NULL)) {
		refuse(request, 403,
		       "unable to upgrade: only WebSocket with v5.channel.k8s.io or v4.channel.k8s.io is spoken here");
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->kubelet = kubelet;
	s->terminal = -1;
	s->attach = attach;
	s->tty = attach ? json_bool(json_get(spec, "tty")) : is_on(request, "tty");
	s->wants_in = is_on(request, "stdin");
	s->wants_out = is_on(request, "stdout");
	s->wants_err = is_on(request, "stderr") && !s->tty;
	read_protocol(s, protocol != NULL ? protocol : "channel.k8s.io");
	id = xstrdup(container->now->id);
	list_push(&kubelet->sessions, &s->link);
	ask_node(s, request, id);
	free(id);
	err = websocket_accept(request, protocol, &s->ws);
	if (err != NULL) {
		refuse(request, 400, err->text);
		error_free(err);
		session_free(s);
		return;
	}
	websocket_start(s->ws, &ws_events, s);
	websocket_pause(s->ws); /* until there is somebody to say it to */
}
