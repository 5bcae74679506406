/* Containers of a node; the drawing is in node_private.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
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

static const char *id_of(const struct container *c)
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

static struct container *container_new(struct node *node)
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

/* --- layers in use: others must not remove them --- */

static void unlock_layer(struct node *node, const char *path)
{
	struct node_layer_lock *lock = map_find(&node->layers, str_from(path));

	if (lock == NULL || --lock->users != 0)
		return;
	close(lock->fd);
	map_take(&node->layers, str_from(path));
	free(lock);
}

void layers_unlock(struct node *node, const char *const *layers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		unlock_layer(node, layers[i]);
}

static struct error *lock_layer(struct node *node, const char *path)
{
	struct node_layer_lock *lock = map_find(&node->layers, str_from(path));
	AUTO_FD int fd = -1;
	struct stat st;

	if (lock != NULL) {
		lock->users++;
		return NULL;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "open layer %s", path);
	/* whoever removes one holds it exclusively; after that it has no name any more */
	if (flock(fd, LOCK_SH | LOCK_NB) != 0 || fstat(fd, &st) != 0 || st.st_nlink == 0)
		return error_new(ERR_NOT_FOUND, "layer %s is being removed", path);
	lock = xcalloc(1, sizeof(*lock));
	lock->fd = fd_take(&fd);
	lock->users = 1;
	map_set(&node->layers, str_from(path), lock);
	return NULL;
}

struct error *layers_lock(struct node *node, const char *const *layers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct error *err = lock_layer(node, layers[i]);

		if (err != NULL) {
			layers_unlock(node, layers, i);
			return err;
		}
	}
	return NULL;
}

static struct error *lock_layers(struct container *c)
{
	struct error *err = layers_lock(c->node, c->request.spec.layers, c->request.spec.n_layers);

	c->layers_locked = err == NULL;
	return err;
}

static void unlock_layers(struct container *c)
{
	if (c->layers_locked)
		layers_unlock(c->node, c->request.spec.layers, c->request.spec.n_layers);
	c->layers_locked = false;
}

/* --- the end of everything a container holds --- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

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
	close_fd(&c->dir);
	vec_fini(&c->attachments);
	arena_free(c->arena);
	free(c);
}

static void upper_path(char path[PATH_MAX], const struct container *c, const char *name)
{
	if (c->node->overlay)
		snprintf(path, PATH_MAX, "/var/lib/monokube/containers/%s/%s", id_of(c), name);
	else
		snprintf(path, PATH_MAX, "/run/monokube/upper/%s/%s", id_of(c), name);
}

static void remove_files(struct container *c)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "containers/%s", id_of(c));
	log_consume(LOG_WARN, dir_remove(c->node->state_dir, path), "remove container's files");
	if (!c->node->overlay) {
		snprintf(path, sizeof(path), "/run/monokube/upper/%s", id_of(c));
		log_consume(LOG_WARN, dir_remove(AT_FDCWD, path), "remove container's files");
	}
}

/* --- create --- */

static struct error *check(struct node *node, const struct node_container_create *request)
{
	struct sandbox *s = sandbox_find(node, request->sandbox);

	if (!node_id_valid(request->spec.id))
		return error_new(ERR_INVALID, "not a container id");
	if (node->stopping)
		return error_new(ERR_UNAVAILABLE, "the node is stopping");
	if (container_find(node, request->spec.id) != NULL)
		return error_new(ERR_EXISTS, "container %s exists", request->spec.id);
	if (s == NULL || !s->ready)
		return error_new(ERR_NOT_FOUND, "no ready sandbox %s", request->sandbox != NULL ? request->sandbox : "");
	if (request->spec.n_layers == 0 && request->spec.rootfs == NULL)
		return error_new(ERR_INVALID, "neither layers nor a root directory");
	if (request->log_path != NULL && request->log_path[0] != '/')
		return error_new(ERR_INVALID, "log path %s is not absolute", request->log_path);
	return NULL;
}

static struct error *make_directory(struct container *c)
{
	static const char *const names[] = { "upper", "work" };
	char path[PATH_MAX];
	struct error *err;

	snprintf(path, sizeof(path), "/var/lib/monokube/containers/%s", id_of(c));
	err = dir_make(AT_FDCWD, path, 0700);
	if (err != NULL)
		return err;
	c->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		return error_errno(errno, "open %s", path);
	if (!c->node->overlay) {
		*strrchr(path, '/') = '\0';
		snprintf(path, sizeof(path), "/run/monokube/upper/%s", id_of(c));
		err = dir_make(AT_FDCWD, path, 0700);
	}
	for (size_t i = 0; i < 2 && err == NULL && c->request.spec.n_layers != 0; i++) {
		upper_path(path, c, names[i]);
		err = dir_make(AT_FDCWD, path, 0755);
	}
	return err;
}

static struct error *join_pid_of(struct container *c, int *pid_ns)
{
	struct container *target = container_find(c->node, c->request.pid_of);

	if (target == NULL || target->state.state != C_RUNNING)
		return error_new(ERR_NOT_FOUND, "container %s, whose processes are to be shared, does not run", c->request.pid_of);
	*pid_ns = target->child.pidfd;
	return NULL;
}

/* An image that says nothing of PATH gets the usual one, as from containerd. */
static void add_path(struct arena *arena, struct runtime_spec *spec)
{
	const char **env = ARENA_ARRAY(arena, const char *, spec->n_env + 2);

	for (size_t i = 0; i < spec->n_env; i++) {
		if (strncmp(spec->env[i], "PATH=", 5) == 0)
			return;
		env[i + 1] = spec->env[i];
	}
	env[0] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	spec->env = env;
	spec->n_env++;
}

/* What the spec says about paths and namespaces is the node's to fill in. */
static struct error *complete_spec(struct container *c, int *pid_ns)
{
	struct runtime_spec *spec = &c->spec;
	const struct sandbox *s = c->sandbox;
	const struct node_sandbox_create *pod = &s->record.request;
	char path[PATH_MAX];

	*spec = c->request.spec;
	add_path(c->arena, spec);
	if (spec->n_layers != 0) {
		spec->rootfs = NODE_ROOTFS;
		upper_path(path, c, "upper");
		spec->upper = arena_strdup(c->arena, path);
		upper_path(path, c, "work");
		spec->work = arena_strdup(c->arena, path);
	}
	spec->cgroup = c->record.cgroup;
	spec->ns_new = RUNTIME_NS_BIT(RUNTIME_NS_CGROUP);
	spec->ns_fd[RUNTIME_NS_NET] = s->net;
	spec->ns_fd[RUNTIME_NS_IPC] = s->ipc;
	spec->ns_fd[RUNTIME_NS_UTS] = s->uts;
	spec->n_sysctls = 0; /* a sandbox's matter */
	snprintf(path, sizeof(path), "/run/monokube/sandboxes/%s/shm", pod->id);
	for (size_t i = 0; i < spec->n_mounts; i++) {
		struct runtime_mount *m = &spec->mounts[i];

		if (m->type != NULL && strcmp(m->type, "tmpfs") == 0 && strcmp(m->destination, "/dev/shm") == 0 &&
		    m->source != NULL && strcmp(m->source, "shm") == 0)
			*m = (struct runtime_mount){ .destination = m->destination,
						     .type = "bind",
						     .source = arena_strdup(c->arena, path),
						     .flags = MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC };
	}
	skeleton_add(c->node, c->arena, spec);
	if (c->request.pid_of != NULL)
		return join_pid_of(c, pid_ns);
	if (s->reaper_fd >= 0)
		*pid_ns = s->reaper_fd;
	else if (!pod->host_pid)
		spec->ns_new |= RUNTIME_NS_BIT(RUNTIME_NS_PID);
	return NULL;
}

struct error *container_seccomp(struct node *node, const struct runtime_spec *spec, const struct seccomp_program **out,
				struct seccomp_program *own)
{
	uint64_t caps = spec->caps & seccomp_caps_that_matter();
	struct node_seccomp *p;
	struct error *err;

	*out = own;
	memset(own, 0, sizeof(*own));
	if (spec->seccomp.mode != RUNTIME_SECCOMP_DEFAULT)
		return seccomp_compile(&spec->seccomp, spec->caps, own);
	LIST_EACH (&node->seccomp, struct node_seccomp, link, known) {
		if (known->caps == caps) {
			*out = &known->program;
			return NULL;
		}
	}
	p = xcalloc(1, sizeof(*p));
	p->caps = caps;
	err = seccomp_compile(&spec->seccomp, caps, &p->program);
	if (err != NULL) {
		free(p);
		return err;
	}
	list_push(&node->seccomp, &p->link);
	*out = &p->program;
	return NULL;
}

static struct error *make_group(struct container *c, struct cgroup_join *join)
{
	const char *parent = c->sandbox->record.request.cgroup;
	const struct runtime_spec *spec = &c->request.spec;
	struct error *err;

	join->n = 0;
	c->record.cgroup = parent != NULL ? arena_printf(c->arena, "%s/%s", parent, id_of(c))
					  : arena_printf(c->arena, "containers/%s", id_of(c));
	err = cgroup_make(c->node->cgroups, c->record.cgroup, &spec->limits);
	if (err == NULL)
		err = cgroup_devices(c->node->cgroups, c->record.cgroup, spec->device_rules, spec->n_device_rules);
	return err == NULL ? cgroup_open_join(c->node->cgroups, c->record.cgroup, join) : err;
}

/* Pipes for the standard streams: child[] is given away at clone, ours stay here. */
static struct error *make_pipes(struct container *c, int child[3], int *out, int *err_out)
{
	int pipes[3][2];

	for (int i = 0; i < 3; i++) {
		child[i] = -1;
		if (c->spec.terminal || (i == 0 && !c->request.stdin_open))
			continue;
		if (pipe2(pipes[i], O_CLOEXEC) != 0)
			return error_errno(errno, "pipe");
		child[i] = pipes[i][i == 0 ? 0 : 1];
		if (i == 0)
			c->input = pipes[i][1];
		else
			*(i == 1 ? out : err_out) = pipes[i][0];
	}
	return NULL;
}

static void sync_ready(struct watch *watch, uint32_t events);

static struct error *spawn(struct container *c, int pid_ns, struct cgroup_join *join)
{
	struct seccomp_program own;
	const struct seccomp_program *program;
	int child[3] = { -1, -1, -1 };
	AUTO_FD int out = -1, err_out = -1;
	struct error *err = container_seccomp(c->node, &c->spec, &program, &own);

	if (err == NULL)
		err = make_pipes(c, child, &out, &err_out);
	if (err == NULL) {
		const struct container_setup setup = { .spec = &c->spec,
						       .cgroups = c->node->cgroups,
						       .join = *join,
						       .seccomp = program,
						       .stdio = { child[0], child[1], child[2] },
						       .gate = -1,
						       .inside = -1,
						       .pid_ns = pid_ns,
						       .own_pid_ns = c->node->ns_pid };

		err = container_spawn(&setup, &c->child);
	}
	seccomp_program_fini(&own);
	for (int i = 0; i < 3; i++)
		close_fd(&child[i]);
	if (err == NULL && !c->spec.terminal)
		err = stdio_start(c, fd_take(&out), fd_take(&err_out));
	if (err == NULL) {
		c->sync.ready = sync_ready;
		err = poll_watch_start(c->node, &c->sync, c->child.sync, EPOLLIN);
	}
	return err;
}

static void kill_child(struct container *c)
{
	if (c->child.pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->child.pidfd, SIGKILL, NULL, 0u);
	if (c->child.pid > 0)
		waitpid(c->child.pid, NULL, 0);
}

/* Undoes a container that nobody was told of. */
static void undo(struct container *c, enum node_step step, struct error *err)
{
	struct node *node = c->node;
	struct node_call call = c->call;

	kill_child(c);
	release(c);
	remove_files(c);
	map_take(&node->containers, str_from(id_of(c)));
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
			undo(c, NODE_STEP_NONE, error_new(ERR_CANCELED, "who wanted it is gone"));
	} while (c != NULL);
}

static void describe_request(struct container *c)
{
	const struct node_container_create *r = &c->request;

	c->record.instance = arena_strdup(c->arena, c->node->instance);
	c->record.status = (struct node_container){ .id = r->spec.id,
						    .sandbox = r->sandbox,
						    .name = r->name,
						    .attempt = r->attempt,
						    .created_at = clock_now(),
						    .image = r->image,
						    .log_path = r->log_path,
						    .labels = r->labels,
						    .n_labels = r->n_labels };
}

void op_container_create(struct node *node, struct node_call *call, const struct node_container_create *request)
{
	struct error *err = check(node, request);
	struct cgroup_join join = { .n = 0 };
	struct container *c;
	enum node_step step = NODE_STEP_ROOTFS;
	int pid_ns = -1;

	if (err != NULL) {
		call_fail(node, call, NODE_STEP_REQUEST, err);
		return;
	}
	c = container_new(node);
	wire_copy(c->arena, &wire_node_container_create, request, &c->request);
	c->sandbox = sandbox_find(node, request->sandbox);
	c->call = *call;
	describe_request(c);
	map_set(&node->containers, str_from(id_of(c)), c);
	err = make_directory(c);
	if (err == NULL)
		err = lock_layers(c);
	if (err == NULL) {
		step = NODE_STEP_CGROUP;
		err = make_group(c, &join);
	}
	if (err == NULL) {
		step = NODE_STEP_NAMESPACE;
		err = complete_spec(c, &pid_ns);
	}
	if (err == NULL)
		err = stdio_open_log(c);
	if (err == NULL)
		err = spawn(c, pid_ns, &join);
	cgroup_close_join(&join);
	if (err != NULL)
		undo(c, step, err);
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
			undo(c, NODE_STEP_NONE, error_new(ERR_UNAVAILABLE, "the container ended while it was made"));
		}
		return false;
	case CONTAINER_FAILED:
		err = c->child.err;
		c->child.err = NULL;
		if (c->state.state == C_SETTING_UP)
			undo(c, c->child.step, err);
		else
			not_started(c, c->child.step, err);
		return false;
	}
	return false;
}

static void sync_ready(struct watch *watch, uint32_t events)
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
			  error_new(ERR_CONFLICT, "container %s is %s", id_of(c), fsm_name(&c->state)));
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
		const char *id = id_of(c);
		char copy[130];

		snprintf(copy, sizeof(copy), "%s", id);
		c->child.pid = -1;
		while (hear(c))
			;
		c = container_find(node, copy);
		if (c == NULL || c->state.state == C_EXITED)
			return true;
		if (c->state.state == C_SETTING_UP) {
			undo(c, NODE_STEP_NONE, error_new(ERR_UNAVAILABLE, "the container ended while it was made"));
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
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_CONFLICT, "container %s is running", id_of(c)));
		return;
	}
	remove_files(c);
	map_take(&node->containers, str_from(id_of(c)));
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
		err = error_new(ERR_CONFLICT, "container %s is not running", id_of(c));
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
					  : error_new(ERR_CONFLICT, "container %s is not running", id_of(c));
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
