/*
 * exec and attach: a process in a container, joined to the channels of a client (remote.h).
 *
 * When the client goes away the process sees end of input, or a hang-up on a terminal; the pod is untouched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kubelet/private.h"
#include "kubelet/remote.h"

struct session {
	struct list link; /* in kubelet->sessions */
	struct kubelet *kubelet;
	struct remote *remote;
	char *id;             /* of the container */
	const char **command; /* of exec; NULL-terminated, in arena */
	struct arena *arena;
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
	arena_free(s->arena);
	free(s);
}

/* --- to the client --- */

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

	if (remote_wants_status(s->remote))
		remote_send(s->remote, CHANNEL_STATUS, json_format(arena, status_of(arena, s)));
	else if (s->failure != NULL)
		remote_send(s->remote, CHANNEL_STATUS, str_from(s->failure));
	remote_close(s->remote);
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

	remote_send(s->remote, CHANNEL_OUT, data);
	if (remote_full(s->remote))
		stream_pause(s->out);
}

static void err_read(void *arg, struct str data)
{
	struct session *s = arg;

	remote_send(s->remote, CHANNEL_ERR, data);
	if (remote_full(s->remote))
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
	remote_resume(s->remote);
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

	remote_resume(s->remote);
}

static void close_in(struct session *s)
{
	struct stream *in = s->in;

	s->in = NULL;
	if (in != NULL)
		stream_finish(in); /* what is on its way still arrives */
	remote_resume(s->remote);
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

static void on_data(void *arg, enum channel channel, struct str data)
{
	struct session *s = arg;
	struct stream *to = s->tty && !s->attach ? s->out : s->in; /* the terminal of an exec is one stream, both ways */

	if (channel == CHANNEL_RESIZE)
		resize(s, data);
	if (channel != CHANNEL_IN || !s->wants_in || to == NULL)
		return;
	stream_write(to, data);
	if (stream_pending(to) >= STREAM_HIGH)
		remote_pause(s->remote);
}

static void on_ended(void *arg, enum channel channel)
{
	if (channel == CHANNEL_IN)
		close_in(arg);
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
	remote_resume(s->remote);
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
	if (s->tty && s->wants_in && reply->n_fds > 0)
		s->terminal = fcntl(reply->fds[0], F_DUPFD_CLOEXEC, 3);
	s->in = reply->n_fds > 0 ? take_stream(&reply->fds[0], s->wants_in, &in, s) : NULL;
	if (s->tty && s->in != NULL)
		stream_pause(s->in); /* what the terminal says is the node's to read: it goes into the log, too */
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
		remote_close(s->remote);
		session_free(s);
	}
}

/* --- the request --- */

static void ask_node(void *arg)
{
	struct session *s = arg;
	struct node_client *client = link_client(s->kubelet);

	if (client == NULL) {
		give_up(s, "the node process has ended");
		return;
	}
	if (s->attach) {
		s->request = node_attach(client,
					 &(struct node_attach){ .id = s->id,
								.stdin_wanted = s->wants_in,
								.stdout_wanted = s->wants_out,
								.stderr_wanted = s->wants_err },
					 started, s);
	} else {
		struct node_exec exec = { .id = s->id, .terminal = s->tty, .args = s->command };

		while (s->command[exec.n_args] != NULL)
			exec.n_args++;
		s->request = node_exec(client, &exec, started, s);
	}
}

static const struct remote_events events = { ask_node, on_data, on_ended, on_drained, on_closed };

static void read_request(struct session *s, const struct http_request *request, const struct container *container)
{
	size_t n = 0;

	s->tty = s->attach ? json_bool(json_get(container_spec(container), "tty")) : http_param_bool(request, "tty", NULL);
	s->wants_in = http_param_bool(request, "stdin", NULL);
	s->wants_out = http_param_bool(request, "stdout", NULL);
	s->wants_err = http_param_bool(request, "stderr", NULL) && !s->tty;
	s->id = arena_strdup(s->arena, container->now->id);
	s->command = ARENA_ARRAY(s->arena, const char *, request->n_params + 1);
	for (size_t i = 0; i < request->n_params; i++)
		if (str_is(request->params[i].name, "command"))
			s->command[n++] = str_cstr(s->arena, request->params[i].value);
}

void serve_exec(struct kubelet *kubelet, struct http_request *request, struct container *container, bool attach)
{
	bool tty = http_param_bool(request, "tty", NULL); /* as the client thinks of it: it opens channels by that */
	struct remote_options options = { .events = &events };
	struct session *s;

	if (container->now == NULL || !container->now->running || container->now->exited || link_client(kubelet) == NULL) {
		http_reply_text(request, 500, str_format(request->arena, "container not found (\"%s\")", container->name));
		return;
	}
	s = xcalloc(1, sizeof(*s));
	list_init(&s->link);
	s->arena = arena_new();
	s->kubelet = kubelet;
	s->terminal = -1;
	s->attach = attach;
	read_request(s, request, container);
	options.arg = s;
	options.wants[CHANNEL_IN] = s->wants_in;
	options.wants[CHANNEL_OUT] = s->wants_out;
	options.wants[CHANNEL_ERR] = http_param_bool(request, "stderr", NULL) && !tty;
	options.wants[CHANNEL_RESIZE] = tty;
	remote_accept(request, &options, &s->remote);
	if (s->remote == NULL) {
		session_free(s);
		return;
	}
	remote_pause(s->remote); /* until there is somebody to say it to */
	list_push(&kubelet->sessions, &s->link);
}
