/* A container is made: its directory, layers, control group, complete specification, pipes and process. It then waits for
 * READY in node_container.c. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "runtime/files.h"
#include "runtime/node_private.h"

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

static void upper_path(char path[PATH_MAX], const struct container *c, const char *name)
{
	if (c->node->overlay)
		snprintf(path, PATH_MAX, "/var/lib/monokube/containers/%s/%s", container_id(c), name);
	else
		snprintf(path, PATH_MAX, "/run/monokube/upper/%s/%s", container_id(c), name);
}

static struct error *make_directory(struct container *c)
{
	static const char *const names[] = { "upper", "work" };
	char path[PATH_MAX];
	struct error *err;

	snprintf(path, sizeof(path), "/var/lib/monokube/containers/%s", container_id(c));
	err = dir_make(AT_FDCWD, path, 0700);
	if (err != NULL)
		return err;
	c->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir < 0)
		return error_errno(errno, "open %s", path);
	if (!c->node->overlay) {
		*strrchr(path, '/') = '\0';
		snprintf(path, sizeof(path), "/run/monokube/upper/%s", container_id(c));
		err = dir_make(AT_FDCWD, path, 0700);
	}
	for (size_t i = 0; i < 2 && err == NULL && c->request.spec.n_layers != 0; i++) {
		upper_path(path, c, names[i]);
		err = dir_make(AT_FDCWD, path, 0755);
	}
	return err;
}

static struct error *lock_layers(struct container *c)
{
	struct error *err = layers_lock(c->node, c->request.spec.layers, c->request.spec.n_layers);

	c->layers_locked = err == NULL;
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
	c->record.cgroup = parent != NULL ? arena_printf(c->arena, "%s/%s", parent, container_id(c))
					  : arena_printf(c->arena, "containers/%s", container_id(c));
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
		fd_close(&child[i]);
	if (err == NULL && !c->spec.terminal)
		err = stdio_start(c, fd_take(&out), fd_take(&err_out));
	if (err == NULL) {
		c->sync.ready = container_heard;
		err = poll_watch_start(c->node, &c->sync, c->child.sync, EPOLLIN);
	}
	return err;
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
	map_set(&node->containers, str_from(container_id(c)), c);
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
		container_undo(c, step, err);
}
