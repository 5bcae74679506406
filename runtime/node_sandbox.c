/* Sandboxes: the namespaces that the containers of a pod share, held as descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "runtime/files.h"
#include "runtime/node_private.h"

bool node_id_valid(const char *id)
{
	size_t n = id != NULL ? strlen(id) : 0;

	if (n == 0 || n > 128 || id[0] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = id[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		      c == '.'))
			return false;
	}
	return true;
}

struct sandbox *sandbox_find(struct node *node, const char *id)
{
	return id != NULL ? map_find(&node->sandboxes, str_from(id)) : NULL;
}

void sandbox_describe(const struct sandbox *s, struct node_sandbox *out)
{
	const struct node_sandbox_create *r = &s->record.request;

	*out = (struct node_sandbox){ .id = r->id,
				      .name = r->name,
				      .ns = r->ns,
				      .uid = r->uid,
				      .attempt = r->attempt,
				      .host_network = r->host_network,
				      .ready = s->ready,
				      .created_at = s->record.created_at,
				      .labels = r->labels,
				      .n_labels = r->n_labels };
}

static struct sandbox *sandbox_new(struct node *node)
{
	struct sandbox *s = xcalloc(1, sizeof(*s));

	s->node = node;
	s->arena = arena_new();
	s->dir = s->net = s->ipc = s->uts = s->reaper_fd = -1;
	return s;
}

static void shm_path(char path[PATH_MAX], const char *id)
{
	snprintf(path, PATH_MAX, "/run/monokube/sandboxes/%s/shm", id);
}

/* Everything that is not on disk goes. */
static void release(struct sandbox *s)
{
	char path[PATH_MAX];

	s->ready = false;
	if (s->reaper_fd >= 0)
		syscall(SYS_pidfd_send_signal, s->reaper_fd, SIGKILL, NULL, 0u);
	fd_close(&s->reaper_fd);
	fd_close(&s->net);
	fd_close(&s->ipc);
	fd_close(&s->uts);
	shm_path(path, s->record.request.id);
	umount2(path, MNT_DETACH);
	*strrchr(path, '/') = '\0';
	error_free(dir_remove(AT_FDCWD, path));
	if (s->record.request.cgroup != NULL && s->node->cgroups != NULL)
		log_consume(LOG_WARN, cgroup_remove(s->node->cgroups, s->record.request.cgroup), "sandbox's control group");
}

void sandbox_free(struct sandbox *s)
{
	MAP_EACH (&s->node->containers, it) {
		if (((struct container *)it->value)->sandbox == s)
			((struct container *)it->value)->sandbox = NULL;
	}
	fd_close(&s->reaper_fd);
	fd_close(&s->net);
	fd_close(&s->ipc);
	fd_close(&s->uts);
	fd_close(&s->dir);
	arena_free(s->arena);
	free(s);
}

/* --- making the namespaces: we enter new ones for a moment --- */

static struct error *write_sysctls(const struct node_sandbox_create *r)
{
	for (size_t i = 0; i < r->n_sysctls; i++) {
		char path[PATH_MAX];
		size_t start = (size_t)snprintf(path, sizeof(path), "/proc/sys/");
		struct error *err;

		snprintf(path + start, sizeof(path) - start, "%s", r->sysctls[i].key);
		for (char *at = path + start; *at != '\0'; at++)
			*at = (char)(*at == '.' ? '/' : *at);
		if (strstr(path, "/../") != NULL || strstr(path, "//") != NULL)
			return error_new(ERR_INVALID, "sysctl \"%s\"", r->sysctls[i].key);
		err = file_write_at(AT_FDCWD, path, str_from(r->sysctls[i].value));
		if (err != NULL)
			return error_context(err, "sysctl \"%s\"", r->sysctls[i].key);
	}
	return NULL;
}

static struct error *furnish(struct sandbox *s, int flags)
{
	const struct node_sandbox_create *r = &s->record.request;
	struct error *err = NULL;
	const struct {
		int flag;
		const char *path;
		int *fd;
	} all[] = { { CLONE_NEWNET, "/proc/self/ns/net", &s->net },
		    { CLONE_NEWIPC, "/proc/self/ns/ipc", &s->ipc },
		    { CLONE_NEWUTS, "/proc/self/ns/uts", &s->uts } };

	if (flags & CLONE_NEWUTS && r->hostname != NULL && sethostname(r->hostname, strlen(r->hostname)) != 0)
		return error_errno(errno, "set host name %s", r->hostname);
	if (flags & CLONE_NEWNET)
		err = node_loopback_up();
	if (err == NULL)
		err = write_sysctls(r);
	for (size_t i = 0; i < 3 && err == NULL; i++) {
		if (!(flags & all[i].flag))
			continue;
		*all[i].fd = open(all[i].path, O_RDONLY | O_CLOEXEC);
		if (*all[i].fd < 0)
			err = error_errno(errno, "open %s", all[i].path);
	}
	return err;
}

static struct error *make_namespaces(struct sandbox *s)
{
	const struct node_sandbox_create *r = &s->record.request;
	struct node *node = s->node;
	int flags = 0;
	struct error *err;

	flags |= r->host_network ? 0 : CLONE_NEWNET | CLONE_NEWUTS;
	flags |= r->host_ipc ? 0 : CLONE_NEWIPC;
	if (flags == 0)
		return write_sysctls(r);
	if (unshare(flags) != 0)
		return error_errno(errno, "make namespaces");
	err = furnish(s, flags);
	/* a node that cannot go home must not go on */
	ASSERT(!(flags & CLONE_NEWNET) || setns(node->ns_net, CLONE_NEWNET) == 0);
	ASSERT(!(flags & CLONE_NEWIPC) || setns(node->ns_ipc, CLONE_NEWIPC) == 0);
	ASSERT(!(flags & CLONE_NEWUTS) || setns(node->ns_uts, CLONE_NEWUTS) == 0);
	return err;
}

/* Init of a shared pid namespace: does nothing but reap. Has no descriptor and no way back. */
static _Noreturn void reaper_main(void)
{
	sigset_t set;
	int sig;

	syscall(SYS_close_range, 0u, ~0u, 0u);
	prctl(PR_SET_NAME, "pause", 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (;;) {
		sigwait(&set, &sig);
		if (sig == SIGTERM || sig == SIGINT)
			_exit(0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static struct error *start_reaper(struct sandbox *s)
{
	struct clone_args args = { .flags = CLONE_NEWPID | CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&s->reaper_fd,
				   .exit_signal = SIGCHLD };
	struct error *err = NULL;
	long pid;

	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		reaper_main();
	if (pid < 0)
		err = error_errno(errno, "start the reaper of a shared pid namespace");
	s->reaper = pid > 0 ? (pid_t)pid : 0;
	return err;
}

static struct error *make_shm(struct sandbox *s)
{
	char path[PATH_MAX];
	struct error *err;

	shm_path(path, s->record.request.id);
	err = dir_make(AT_FDCWD, path, 0755);
	if (err != NULL)
		return err;
	if (mount("shm", path, "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k") != 0)
		return error_errno(errno, "mount /dev/shm of the sandbox");
	return NULL;
}

static struct error *make(struct sandbox *s)
{
	const struct node_sandbox_create *r = &s->record.request;
	char path[PATH_MAX];
	struct error *err;

	snprintf(path, sizeof(path), "sandboxes/%s", r->id);
	err = dir_make(s->node->state_dir, path, 0700);
	if (err != NULL)
		return err;
	s->dir = openat(s->node->state_dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return error_errno(errno, "open %s", path);
	if (r->cgroup != NULL)
		err = cgroup_make(s->node->cgroups, r->cgroup, &r->limits);
	cgroup_warm(s->node->cgroups); /* groups are made before: that would have to wait for it */
	if (err == NULL)
		err = make_namespaces(s);
	if (err == NULL)
		err = make_shm(s);
	if (err == NULL && r->share_pid && !r->host_pid)
		err = start_reaper(s);
	/* not synced: after a power loss there is no sandbox, whatever a record says */
	return err == NULL ? record_note(s->dir, "state", &wire_node_sandbox_record, &s->record) : err;
}

static void remove_files(struct sandbox *s)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "sandboxes/%s", s->record.request.id);
	log_consume(LOG_WARN, dir_remove(s->node->state_dir, path), "remove sandbox's state");
}

void op_sandbox_create(struct node *node, struct node_call *call, const struct node_sandbox_create *request)
{
	struct sandbox *s;
	struct node_sandbox reply;
	struct error *err;
	int net;

	if (!node_id_valid(request->id)) {
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_INVALID, "not a sandbox id"));
		return;
	}
	if (sandbox_find(node, request->id) != NULL || node->stopping) {
		call_fail(node, call, NODE_STEP_REQUEST,
			  node->stopping ? error_new(ERR_UNAVAILABLE, "the node is stopping")
					 : error_new(ERR_EXISTS, "sandbox %s exists", request->id));
		return;
	}
	s = sandbox_new(node);
	wire_copy(s->arena, &wire_node_sandbox_create, request, &s->record.request);
	s->record.created_at = clock_now();
	s->record.instance = arena_strdup(s->arena, node->instance);
	err = make(s);
	if (err != NULL) {
		release(s);
		remove_files(s);
		sandbox_free(s);
		call_fail(node, call, NODE_STEP_NAMESPACE, err);
		return;
	}
	s->ready = true;
	map_set(&node->sandboxes, str_from(s->record.request.id), s);
	sandbox_describe(s, &reply);
	net = fcntl(s->net >= 0 ? s->net : node->ns_net, F_DUPFD_CLOEXEC, 3);
	call_reply(node, call, &reply, &net, 1);
}

static struct sandbox *get(struct node *node, struct node_call *call, const char *id)
{
	struct sandbox *s = sandbox_find(node, id);

	if (s == NULL)
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_NOT_FOUND, "no sandbox %s", id != NULL ? id : ""));
	return s;
}

static void kill_members(struct sandbox *s)
{
	MAP_EACH (&s->node->containers, it) {
		struct container *c = it->value;

		if (c->sandbox == s && container_alive(c))
			container_signal(c, SIGKILL, true);
	}
}

void op_sandbox_stop(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct sandbox *s = get(node, call, request->id);
	struct error *err;

	if (s == NULL)
		return;
	kill_members(s);
	if (s->ready) {
		release(s);
		s->record.stopped = true;
		err = record_note(s->dir, "state", &wire_node_sandbox_record, &s->record);
		if (err != NULL) {
			call_fail(node, call, NODE_STEP_NONE, err);
			return;
		}
	}
	call_reply(node, call, NULL, NULL, 0);
}

void op_sandbox_remove(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct sandbox *s = get(node, call, request->id);

	if (s == NULL)
		return;
	kill_members(s);
	if (s->ready)
		release(s);
	remove_files(s);
	map_take(&node->sandboxes, str_from(s->record.request.id));
	sandbox_free(s);
	call_reply(node, call, NULL, NULL, 0);
}

void op_sandbox_update(struct node *node, struct node_call *call, const struct node_update *request)
{
	struct sandbox *s = get(node, call, request->id);
	struct error *err = NULL;

	if (s == NULL)
		return;
	if (s->record.request.cgroup != NULL)
		err = cgroup_limit(node->cgroups, s->record.request.cgroup, &request->limits);
	if (err != NULL)
		call_fail(node, call, NODE_STEP_CGROUP, err);
	else
		call_reply(node, call, NULL, NULL, 0);
}

bool sandbox_reaped(struct node *node, pid_t pid)
{
	MAP_EACH (&node->sandboxes, it) {
		struct sandbox *s = it->value;

		if (s->reaper != pid)
			continue;
		s->reaper = 0;
		fd_close(&s->reaper_fd);
		return true;
	}
	return false;
}

/* --- after a start of the node: what the one before left --- */

static void load_one(struct node *node, int dir, const char *id)
{
	struct sandbox *s = sandbox_new(node);
	struct error *err = NULL;

	s->dir = openat(dir, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		err = error_errno(errno, "open");
	if (err == NULL)
		err = record_read(s->arena, s->dir, "state", &wire_node_sandbox_record, &s->record);
	if (err == NULL && (s->record.request.id == NULL || strcmp(s->record.request.id, id) != 0))
		err = error_new(ERR_CORRUPT, "sandbox %s is described as another", id);
	if (err == NULL) {
		map_set(&node->sandboxes, str_from(s->record.request.id), s);
		return;
	}
	/* half made when the node died: nobody was told of it */
	log_consume(LOG_WARN, err, "forget a sandbox");
	sandbox_free(s);
	error_free(dir_remove(dir, id));
}

struct error *sandboxes_load(struct node *node)
{
	AUTO_DIR DIR *dir = fdopendir(openat(node->state_dir, "sandboxes", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;

	if (dir == NULL)
		return error_errno(errno, "list sandboxes");
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			load_one(node, dirfd(dir), entry->d_name);
	}
	return NULL;
}
