/* Containers of a node; the drawing is in node_private.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/files.h"
#include "runtime/node_private.h"

#define EXIT_LOST        255 /* as containerd says of containers whose shim vanished */
#define EXIT_NOT_STARTED 128 /* StartError */

static const uint32_t allowed[C_STATES] = {
	[C_SETTING_UP] = FSM(C_CREATED),
	[C_CREATED] = FSM(C_STARTING) | FSM(C_EXITED),
	[C_STARTING] = FSM(C_RUNNING) | FSM(C_EXITED),
	[C_RUNNING] = FSM(C_EXITED),
	[C_EXITED] = 0,
};
static const char *const state_names[C_STATES] = { "setting up", "created", "starting", "running", "exited" };
static const struct fsm_table table = { "container", state_names, allowed, C_STATES };

struct container *container_find(struct node *node, const char *id)
{
	return id != NULL ? map_find(&node->containers, str_from(id)) : NULL;
}

bool container_alive(const struct container *c)
{
	return c->state.state != C_EXITED;
}

void container_describe(const struct container *c, struct node_container *out)
{
	*out = c->record.status;
	switch ((enum container_state)c->state.state) {
	case C_SETTING_UP:
	case C_CREATED:
		out->state = NODE_CREATED;
		break;
	case C_STARTING: /* nobody can call that off any more: who thinks it never ran makes a second one beside it */
	case C_RUNNING:
		out->state = NODE_RUNNING;
		break;
	case C_EXITED:
	case C_STATES:
		out->state = NODE_EXITED;
		break;
	}
	out->pid = container_alive(c) ? (int32_t)c->child.pid : 0;
}

const char *container_id(const struct container *c)
{
	return c->record.status.id;
}

static struct error *save(struct container *c)
{
	struct node_container status;

	container_describe(c, &status);
	c->record.status = status;
	return record_write(c->dir, "state", &wire_node_container_record, &c->record);
}

struct container *container_new(struct node *node)
{
	struct container *c = xcalloc(1, sizeof(*c));

	c->node = node;
	c->arena = arena_new();
	c->state = (struct fsm){ &table, C_SETTING_UP };
	c->child = (struct container_child){ .pid = -1, .pidfd = -1, .sync = -1, .console = -1 };
	c->dir = c->input = c->log = c->sync.fd = c->out.watch.fd = c->err.watch.fd = -1;
	c->out.framer.stream = "stdout";
	c->err.framer.stream = "stderr";
	c->err.is_err = true;
	c->out.container = c->err.container = c;
	return c;
}

static void unlock_layers(struct container *c)
{
	if (c->layers_locked)
		layers_unlock(c->node, c->request.spec.layers, c->request.spec.n_layers);
	c->layers_locked = false;
}

/* --- the end of everything a container holds --- */

/* What a process needed: when it has ended, or never came to be. */
static void release(struct container *c)
{
	poll_watch_stop(c->node, &c->sync);
	stdio_finish(c);
	container_child_fini(&c->child);
	unlock_layers(c);
	if (c->record.cgroup != NULL && c->node->cgroups != NULL)
		log_consume(LOG_WARN, cgroup_remove(c->node->cgroups, c->record.cgroup), "container's control group");
}

void container_free(struct container *c)
{
	stdio_finish(c);
	container_child_fini(&c->child);
	unlock_layers(c);
	fd_close(&c->dir);
	vec_fini(&c->attachments);
	arena_free(c->arena);
	free(c);
}

static void remove_files(struct container *c)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "containers/%s", container_id(c));
	log_consume(LOG_WARN, dir_remove(c->node->state_dir, path), "remove container's files");
	if (!c->node->overlay) {
		snprintf(path, sizeof(path), "/run/monokube/upper/%s", container_id(c));
		log_consume(LOG_WARN, dir_remove(AT_FDCWD, path), "remove container's files");
	}
}

/* --- one that is not made after all --- */

static void kill_child(struct container *c)
{
	if (c->child.pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->child.pidfd, SIGKILL, NULL, 0u);
	if (c->child.pid > 0)
		waitpid(c->child.pid, NULL, 0);
}

/* Undoes a container that nobody was told of. */
void container_undo(struct container *c, enum node_step step, struct error *err)
{
	struct node *node = c->node;
	struct node_call call = c->call;

	kill_child(c);
	release(c);
	remove_files(c);
	map_take(&node->containers, str_from(container_id(c)));
	container_free(c);
	call_fail(node, &call, step, err);
}

/* Who asked has gone, and who comes next must not find what is neither there nor absent. */
void containers_forsake(struct node *node, uint64_t conn)
{
	struct container *c;

	do {
		c = NULL;
		MAP_EACH (&node->containers, it) {
			struct container *other = it->value;

			if (other->state.state == C_SETTING_UP && other->call.conn == conn)
				c = other;
		}
		if (c != NULL)
			container_undo(c, NODE_STEP_NONE, error_new(ERR_CANCELED, "who wanted it is gone"));
	} while (c != NULL);
}

/* --- the handshake goes on --- */

static void take_console(struct container *c)
{
	struct error *err;
	int master = c->child.console, out = fcntl(master, F_DUPFD_CLOEXEC, 3);

	c->input = c->child.console;
	c->child.console = -1;
	err = out >= 0 ? stdio_start(c, out, -1) : error_errno(errno, "terminal");
	log_consume(LOG_WARN, err, "container's terminal");
}

static void created(struct container *c)
{
	struct node_container reply;

	/* it never ran, and a node that starts forgets such a one: nothing is kept of it */
	fsm_move(&c->state, C_CREATED);
	container_describe(c, &reply);
	call_reply(c->node, &c->call, &reply, NULL, 0);
}

static void announce_exit(struct container *c)
{
	struct node_container status;

	container_describe(c, &status);
	node_announce(c->node, NODE_EVENT_CONTAINER_EXIT, &wire_node_container, &status);
}

static void started(struct container *c)
{
	struct node_container reply;
	struct error *err;

	fsm_move(&c->state, C_RUNNING);
	c->record.status.started_at = clock_now();
	err = save(c);
	if (err != NULL) { /* what we cannot remember must not run */
		container_signal(c, SIGKILL, true);
		call_fail(c->node, &c->call, NODE_STEP_NONE, err);
		return;
	}
	container_describe(c, &reply);
	call_reply(c->node, &c->call, &reply, NULL, 0);
}

/* The program could not be executed: the container ends as if it had, with 128. */
static void not_started(struct container *c, enum node_step step, struct error *err)
{
	struct node_call call = c->call;

	kill_child(c);
	c->record.status.exit_code = EXIT_NOT_STARTED;
	c->record.status.started_at = 0;
	c->record.status.finished_at = clock_now();
	c->record.status.message = arena_strdup(c->arena, err->text);
	release(c);
	fsm_move(&c->state, C_EXITED);
	log_consume(LOG_ERROR, save(c), "keep a container's state");
	announce_exit(c);
	call_fail(c->node, &call, step, err);
}

/* True while there may be more to hear. */
static bool hear(struct container *c)
{
	enum container_message message = container_receive(&c->child, &c->spec);
	struct error *err;

	if (c->child.done)
		poll_watch_stop(c->node, &c->sync);
	switch (message) {
	case CONTAINER_NOTHING:
		return false;
	case CONTAINER_CONSOLE:
		take_console(c);
		return true;
	case CONTAINER_READY:
		created(c);
		return true;
	case CONTAINER_RUNS:
		if (c->state.state == C_STARTING) {
			started(c);
		} else if (c->state.state == C_SETTING_UP) {
			container_undo(c, NODE_STEP_NONE, error_new(ERR_UNAVAILABLE, "the container ended while it was made"));
		}
		return false;
	case CONTAINER_FAILED:
		err = c->child.err;
		c->child.err = NULL;
		if (c->state.state == C_SETTING_UP)
			container_undo(c, c->child.step, err);
		else
			not_started(c, c->child.step, err);
		return false;
	}
	return false;
}

void container_heard(struct watch *watch, uint32_t events)
{
	struct container *c = CONTAINER_OF(watch, struct container, sync);

	(void)events;
	hear(c);
}

static struct container *get(struct node *node, struct node_call *call, const char *id)
{
	struct container *c = container_find(node, id);

	if (c == NULL)
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_NOT_FOUND, "no container %s", id != NULL ? id : ""));
	return c;
}

void op_container_start(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct container *c = get(node, call, request->id);
	struct error *err;

	if (c == NULL)
		return;
	if (c->state.state != C_CREATED) {
		call_fail(node, call, NODE_STEP_REQUEST,
			  error_new(ERR_CONFLICT, "container %s is %s", container_id(c), fsm_name(&c->state)));
		return;
	}
	err = container_go(&c->child);
	if (err != NULL) {
		call_fail(node, call, NODE_STEP_NONE, err);
		return;
	}
	c->call = *call;
	c->record.status.started_at = clock_now();
	fsm_move(&c->state, C_STARTING);
}

/* --- the end --- */

static void note_exit(struct container *c, int status)
{
	struct node_container *s = &c->record.status;

	s->finished_at = clock_now();
	if (WIFSIGNALED(status)) {
		s->signal = WTERMSIG(status);
		s->exit_code = 128 + s->signal;
	} else {
		s->exit_code = WEXITSTATUS(status);
	}
	s->oom_killed = cgroup_oom_kills(c->node->cgroups, c->record.cgroup) != 0;
}

static void exited(struct container *c, int status)
{
	bool shared_pid = !(c->spec.ns_new & RUNTIME_NS_BIT(RUNTIME_NS_PID));

	c->child.pid = -1;
	note_exit(c, status);
	if (shared_pid) /* no init took the others with it */
		error_free(cgroup_kill(c->node->cgroups, c->record.cgroup, SIGKILL));
	release(c);
	fsm_move(&c->state, C_EXITED);
	/* before anybody is told */
	log_consume(LOG_ERROR, save(c), "keep a container's exit code");
	if (c->call.conn != 0)
		call_fail(c->node, &c->call, NODE_STEP_NONE, error_new(ERR_UNAVAILABLE, "the container was killed before it ran"));
	announce_exit(c);
}

bool container_reaped(struct node *node, pid_t pid, int status)
{
	struct container *c = NULL;

	MAP_EACH (&node->containers, it) {
		if (((struct container *)it->value)->child.pid == pid)
			c = it->value;
	}
	if (c == NULL)
		return false;
	/* its last words may say why it could not run */
	if (c->state.state == C_SETTING_UP || c->state.state == C_STARTING) {
		const char *id = container_id(c);
		char copy[130];

		snprintf(copy, sizeof(copy), "%s", id);
		c->child.pid = -1;
		while (hear(c))
			;
		c = container_find(node, copy);
		if (c == NULL || c->state.state == C_EXITED)
			return true;
		if (c->state.state == C_SETTING_UP) {
			container_undo(c, NODE_STEP_NONE, error_new(ERR_UNAVAILABLE, "the container ended while it was made"));
			return true;
		}
	}
	exited(c, status);
	return true;
}

void container_signal(struct container *c, int signal, bool all)
{
	if (all && c->record.cgroup != NULL)
		error_free(cgroup_kill(c->node->cgroups, c->record.cgroup, signal));
	if (c->child.pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->child.pidfd, signal, NULL, 0u);
}

void op_container_kill(struct node *node, struct node_call *call, const struct node_kill *request)
{
	struct container *c = get(node, call, request->id);

	if (c == NULL)
		return;
	if (request->signal <= 0 || request->signal >= NSIG) {
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_INVALID, "signal %d", request->signal));
		return;
	}
	if (container_alive(c)) {
		container_signal(c, request->signal, request->all);
		/* frozen processes hear nothing */
		if (request->signal == SIGKILL)
			error_free(cgroup_freeze(node->cgroups, c->record.cgroup, false));
	}
	call_reply(node, call, NULL, NULL, 0);
}

void op_container_remove(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct container *c = container_find(node, request->id);

	if (c == NULL) { /* asked twice */
		call_reply(node, call, NULL, NULL, 0);
		return;
	}
	if (c->state.state == C_CREATED) { /* was never started: nobody waits for its end */
		kill_child(c);
		release(c);
		fsm_move(&c->state, C_EXITED);
	}
	if (container_alive(c)) {
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_CONFLICT, "container %s is running", container_id(c)));
		return;
	}
	remove_files(c);
	map_take(&node->containers, str_from(container_id(c)));
	container_free(c);
	call_reply(node, call, NULL, NULL, 0);
}

void op_container_update(struct node *node, struct node_call *call, const struct node_update *request)
{
	struct container *c = get(node, call, request->id);
	struct error *err = NULL;

	if (c == NULL)
		return;
	if (container_alive(c))
		err = cgroup_limit(node->cgroups, c->record.cgroup, &request->limits);
	else
		err = error_new(ERR_CONFLICT, "container %s is not running", container_id(c));
	if (err != NULL)
		call_fail(node, call, NODE_STEP_CGROUP, err);
	else
		call_reply(node, call, NULL, NULL, 0);
}

void op_container_get(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct container *c = get(node, call, request->id);
	struct node_container reply;

	if (c == NULL)
		return;
	container_describe(c, &reply);
	call_reply(node, call, &reply, NULL, 0);
}

void op_pause(struct node *node, struct node_call *call, const struct node_pause *request)
{
	struct container *c = get(node, call, request->id);
	struct error *err;

	if (c == NULL)
		return;
	err = c->state.state == C_RUNNING ? cgroup_freeze(node->cgroups, c->record.cgroup, request->paused)
					  : error_new(ERR_CONFLICT, "container %s is not running", container_id(c));
	if (err != NULL)
		call_fail(node, call, NODE_STEP_CGROUP, err);
	else
		call_reply(node, call, NULL, NULL, 0);
}

/* --- after a start of the node --- */

static void load_one(struct node *node, int dir, const char *id)
{
	struct container *c = container_new(node);
	struct node_container *s = &c->record.status;
	struct error *err = NULL;

	c->dir = openat(dir, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		err = error_errno(errno, "open");
	if (err == NULL) /* none: it was never started */
		err = record_read(c->arena, c->dir, "state", &wire_node_container_record, &c->record);
	if (err == NULL && (s->id == NULL || strcmp(s->id, id) != 0))
		err = error_new(ERR_CORRUPT, "container %s is described as another", id);
	if (err != NULL) {
		log_consume(LOG_WARN, err, "forget a container");
		container_free(c);
		error_free(dir_remove(dir, id));
		return;
	}
	c->state.state = C_EXITED;
	c->sandbox = sandbox_find(node, s->sandbox);
	map_set(&node->containers, str_from(s->id), c);
	if (s->state == NODE_RUNNING) {
		s->lost = true;
		s->exit_code = EXIT_LOST;
		s->finished_at = clock_now();
		log_consume(LOG_ERROR, save(c), "keep a container's state");
	}
}

struct error *containers_load(struct node *node)
{
	AUTO_DIR DIR *dir = fdopendir(openat(node->state_dir, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;

	if (dir == NULL)
		return error_errno(errno, "list containers");
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			load_one(node, dirfd(dir), entry->d_name);
	}
	return NULL;
}
