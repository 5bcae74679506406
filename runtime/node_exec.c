/* Processes that are started in running containers. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/node_private.h"

void exec_free(struct exec *e)
{
	poll_watch_stop(e->node, &e->sync);
	list_remove(&e->link);
	container_child_fini(&e->child);
	for (int i = 0; i < 3; i++)
		fd_close(&e->ends[i]);
	arena_free(e->arena);
	free(e->container);
	free(e);
}

/* The container's spec with what the request changes. */
static void make_spec(struct exec *e, const struct container *c, const struct node_exec *request)
{
	struct runtime_spec *spec = &e->spec;
	struct node_exec copy;
	const char **env;

	wire_copy(e->arena, &wire_node_exec, request, &copy);
	wire_copy(e->arena, &wire_runtime_spec, &c->spec, spec);
	env = ARENA_ARRAY(e->arena, const char *, spec->n_env + copy.n_env + 1);
	if (spec->n_env != 0)
		memcpy(env, spec->env, spec->n_env * sizeof(*env));
	if (copy.n_env != 0)
		memcpy(env + spec->n_env, copy.env, copy.n_env * sizeof(*env));
	spec->env = env;
	spec->n_env += copy.n_env;
	spec->args = copy.args;
	spec->n_args = copy.n_args;
	spec->cwd = copy.cwd != NULL ? copy.cwd : spec->cwd;
	spec->terminal = copy.terminal;
	spec->rows = copy.rows;
	spec->columns = copy.columns;
	if (copy.user != NULL) {
		spec->user = copy.user;
		spec->gid = -1;
	}
}

static struct error *make_pipes(struct exec *e, int child[3])
{
	for (int i = 0; i < 3; i++) {
		int pipes[2];

		child[i] = -1;
		if (e->spec.terminal)
			continue;
		if (pipe2(pipes, O_CLOEXEC) != 0)
			return error_errno(errno, "pipe");
		child[i] = pipes[i == 0 ? 0 : 1];
		e->ends[i] = pipes[i == 0 ? 1 : 0];
	}
	return NULL;
}

static void exec_ready(struct watch *watch, uint32_t events);

static struct error *spawn(struct exec *e, struct container *c)
{
	struct seccomp_program own;
	const struct seccomp_program *program;
	int child[3] = { -1, -1, -1 };
	struct container_setup setup = {
		.spec = &e->spec,
		.gate = -1,
		.inside = c->child.pidfd,
		.inside_ns = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
		.pid_ns = -1,
		.own_pid_ns = e->node->ns_pid,
	};
	struct error *err = cgroup_open_join(e->node->cgroups, c->record.cgroup, &setup.join);

	if (err == NULL)
		err = container_seccomp(e->node, &e->spec, &program, &own);
	if (err == NULL) {
		err = make_pipes(e, child);
		if (err == NULL) {
			memcpy(setup.stdio, child, sizeof(child));
			setup.seccomp = program;
			err = container_spawn(&setup, &e->child);
		}
		seccomp_program_fini(&own);
	}
	cgroup_close_join(&setup.join);
	for (int i = 0; i < 3; i++)
		fd_close(&child[i]);
	if (err == NULL) {
		e->sync.ready = exec_ready;
		err = poll_watch_start(e->node, &e->sync, e->child.sync, EPOLLIN);
	}
	return err;
}

static void kill_child(struct exec *e)
{
	if (e->child.pidfd >= 0)
		syscall(SYS_pidfd_send_signal, e->child.pidfd, SIGKILL, NULL, 0u);
	if (e->child.pid > 0)
		waitpid(e->child.pid, NULL, 0);
}

static void give_up(struct exec *e, enum node_step step, struct error *err)
{
	kill_child(e);
	call_fail(e->node, &e->call, step, err);
	exec_free(e);
}

void op_exec(struct node *node, struct node_call *call, const struct node_exec *request)
{
	struct container *c = container_find(node, request->id);
	struct exec *e;
	struct error *err;

	if (c == NULL || c->state.state != C_RUNNING) {
		call_fail(node, call, NODE_STEP_REQUEST,
			  c == NULL ? error_new(ERR_NOT_FOUND, "no container %s", request->id != NULL ? request->id : "")
				    : error_new(ERR_CONFLICT, "container %s is not running", request->id));
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->node = node;
	e->id = ++node->last_exec;
	e->container = xstrdup(request->id);
	e->arena = arena_new();
	e->child = (struct container_child){ .pid = -1, .pidfd = -1, .sync = -1, .console = -1 };
	e->sync.fd = -1;
	e->ends[0] = e->ends[1] = e->ends[2] = -1;
	e->call = *call;
	list_push(&node->execs, &e->link);
	make_spec(e, c, request);
	err = spawn(e, c);
	if (err != NULL)
		give_up(e, NODE_STEP_NAMESPACE, err);
}

static void running(struct exec *e)
{
	struct node_exec_reply reply = { .exec = e->id, .pid = e->child.pid };
	size_t n = e->spec.terminal ? 1 : 3;
	int fds[3];

	e->started = true;
	if (e->spec.terminal) {
		e->ends[0] = e->child.console;
		e->child.console = -1;
	}
	memcpy(fds, e->ends, sizeof(fds));
	e->ends[0] = e->ends[1] = e->ends[2] = -1;
	call_reply(e->node, &e->call, &reply, fds, n);
}

/* True while there may be more to hear; false also when e is gone. */
static bool hear(struct exec *e)
{
	enum container_message message = container_receive(&e->child, &e->spec);
	struct error *err;

	if (e->child.done)
		poll_watch_stop(e->node, &e->sync);
	switch (message) {
	case CONTAINER_NOTHING:
		return false;
	case CONTAINER_CONSOLE:
		return true;
	case CONTAINER_READY:
		err = container_go(&e->child);
		if (err == NULL)
			return true;
		give_up(e, NODE_STEP_NONE, err);
		return false;
	case CONTAINER_RUNS:
		running(e);
		return false;
	case CONTAINER_FAILED:
		err = e->child.err;
		e->child.err = NULL;
		give_up(e, e->child.step, err);
		return false;
	}
	return false;
}

static void exec_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	hear(CONTAINER_OF(watch, struct exec, sync));
}

bool exec_reaped(struct node *node, pid_t pid, int status)
{
	struct exec *e = NULL;
	struct node_exec_exit event;

	LIST_EACH (&node->execs, struct exec, link, it) {
		if (it->child.pid == pid)
			e = it;
	}
	if (e == NULL)
		return false;
	e->child.pid = -1;
	if (!e->started) { /* a short one may end before we hear that it ran */
		uint64_t id = e->id;

		while (hear(e))
			;
		e = NULL;
		LIST_EACH (&node->execs, struct exec, link, it) {
			if (it->id == id)
				e = it;
		}
		if (e == NULL)
			return true;
	}
	event = (struct node_exec_exit){ .exec = e->id,
					 .id = e->container,
					 .exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
					 .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0 };
	node_announce(node, NODE_EVENT_EXEC_EXIT, &wire_node_exec_exit, &event);
	exec_free(e);
	return true;
}

void op_exec_kill(struct node *node, struct node_call *call, const struct node_exec_kill *request)
{
	LIST_EACH (&node->execs, struct exec, link, e) {
		if (e->id == request->exec && e->child.pidfd >= 0)
			syscall(SYS_pidfd_send_signal, e->child.pidfd, request->signal, NULL, 0u);
	}
	call_reply(node, call, NULL, NULL, 0); /* one that has ended needs no signal */
}
