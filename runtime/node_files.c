/* Files, sockets, mounts and figures inside a node, for the server. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/trace.h"
#include "runtime/files.h"
#include "runtime/mounts.h"
#include "runtime/node_private.h"

struct error *net_enter(struct node *node, const char *sandbox)
{
	struct sandbox *s;

	if (sandbox == NULL || sandbox[0] == '\0')
		return NULL;
	s = sandbox_find(node, sandbox);
	if (s == NULL || !s->ready)
		return error_new(ERR_NOT_FOUND, "no ready sandbox %s", sandbox);
	if (s->net >= 0 && setns(s->net, CLONE_NEWNET) != 0)
		return error_errno(errno, "enter the net namespace of %s", sandbox);
	return NULL;
}

void net_leave(struct node *node)
{
	ASSERT(setns(node->ns_net, CLONE_NEWNET) == 0);
}

/* --- OPEN --- */

/* The directory that the path of a request is below. */
static struct error *open_base(struct node *node, const struct node_open *request, int *out)
{
	char path[64];
	struct container *c;

	if (request->container == NULL) {
		*out = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return *out >= 0 ? NULL : error_errno(errno, "open root");
	}
	c = container_find(node, request->container);
	if (c == NULL || !container_alive(c))
		return error_new(ERR_NOT_FOUND, "no running container %s", request->container);
	snprintf(path, sizeof(path), "/proc/%d/root", c->child.pid);
	*out = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *out >= 0 ? NULL : error_errno(errno, "open the root of container %s", request->container);
}

static struct error *open_below(int base, const struct node_open *request, int *out)
{
	struct open_how how = { .flags = (request->flags & ~(uint32_t)O_CLOEXEC) | O_CLOEXEC,
				.mode = request->flags & (O_CREAT | O_TMPFILE) ? request->mode & 07777 : 0,
				.resolve = RESOLVE_IN_ROOT };

	if (request->parents) {
		AUTO_FD int dir = -1;
		const char *last;
		struct error *err = path_parent_in_root(base, request->path, &dir, &last);

		if (err != NULL)
			return err;
	}
	do {
		*out = (int)syscall(SYS_openat2, base, request->path, &how, sizeof(how));
	} while (*out < 0 && (errno == EINTR || errno == EAGAIN));
	return *out >= 0 ? NULL : error_errno(errno, "open %s", request->path);
}

/* A hub is on the machine's own root: it opens settings of its net namespace and nothing else. */
static struct error *check_hub(const struct node *node, const struct node_open *request)
{
	if (!node->options.hub)
		return NULL;
	if (strncmp(request->path, "/proc/sys/net/", 14) != 0 || strstr(request->path, "..") != NULL)
		return error_new(ERR_FORBIDDEN, "a hub opens only /proc/sys/net");
	return NULL;
}

void op_open(struct node *node, struct node_call *call, const struct node_open *request)
{
	AUTO_FD int base = -1;
	int fd = -1;
	struct error *err = request->path == NULL || request->path[0] != '/' ? error_new(ERR_INVALID, "path is not absolute")
									     : check_hub(node, request);

	if (err == NULL)
		err = open_base(node, request, &base);
	if (err == NULL)
		err = net_enter(node, request->sandbox);
	if (err == NULL) {
		err = open_below(base, request, &fd);
		net_leave(node);
	}
	if (err != NULL)
		call_fail(node, call, NODE_STEP_NONE, err);
	else
		call_reply(node, call, NULL, &fd, 1);
}

/* --- SOCKET, NETNS --- */

void op_socket(struct node *node, struct node_call *call, const struct node_socket *request)
{
	struct error *err = net_enter(node, request->sandbox);
	int fd = -1;

	if (err == NULL) {
		fd = socket(request->domain, request->type | SOCK_CLOEXEC, request->protocol);
		if (fd < 0)
			err = error_errno(errno, "socket(%d, %d, %d)", request->domain, request->type, request->protocol);
		net_leave(node);
	}
	if (err != NULL)
		call_fail(node, call, NODE_STEP_NONE, err);
	else
		call_reply(node, call, NULL, &fd, 1);
}

void op_netns(struct node *node, struct node_call *call, const struct node_ref *request)
{
	const struct sandbox *s = sandbox_find(node, request->id);
	bool own = request->id == NULL || request->id[0] == '\0';
	int fd;

	if (!own && (s == NULL || !s->ready)) {
		call_fail(node, call, NODE_STEP_REQUEST, error_new(ERR_NOT_FOUND, "no ready sandbox %s", request->id));
		return;
	}
	fd = fcntl(!own && s->net >= 0 ? s->net : node->ns_net, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		call_fail(node, call, NODE_STEP_NONE, error_errno(errno, "net namespace"));
	else
		call_reply(node, call, NULL, &fd, 1);
}

/* --- MOUNT --- */

static struct error *mount_bind(const struct node_mount *request, int root, int target)
{
	AUTO_FD int source = -1;
	struct error *err = request->source == NULL ? error_new(ERR_INVALID, "bind without a source")
						    : path_in_root(root, request->source, PATH_MUST_EXIST, &source);

	return err == NULL ? mounts_bind(&(struct bind){
				     .source = source, .target = target, .flags = MS_REC | (request->readonly ? MS_RDONLY : 0) })
			   : err;
}

/* An emptyDir outlives sandboxes and connections: a second mount would hide what is in it. */
static bool has_tmpfs(int target)
{
	struct statx st;
	struct statfs fs;

	return statx(target, "", AT_EMPTY_PATH, STATX_TYPE, &st) == 0 && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 &&
	       fstatfs(target, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static struct error *mount_volume(const struct node_mount *request)
{
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), target = -1;
	char to[FD_PATH];
	unsigned long flags = request->readonly ? MS_RDONLY : 0;
	struct error *err = path_in_root(root, request->path, PATH_MAKE_DIRECTORY, &target);

	if (err != NULL)
		return err;
	if (strcmp(request->kind, "bind") == 0)
		return mount_bind(request, root, target);
	if (strcmp(request->kind, "image") == 0)
		return mounts_overlay(&(struct overlay){
			.layers = request->layers, .n_layers = request->n_layers, .target = fd_path(to, target) });
	if (strcmp(request->kind, "tmpfs") != 0)
		return error_new(ERR_INVALID, "no kind of mount is called %s", request->kind);
	if (!has_tmpfs(target) && mount("tmpfs", fd_path(to, target), "tmpfs", flags, request->data) != 0)
		return error_errno(errno, "mount tmpfs");
	return NULL;
}

void image_mount_free(struct node *node, struct image_mount *m)
{
	if (m == NULL)
		return;
	layers_unlock(node, m->request.layers, m->request.n_layers);
	arena_free(m->arena);
	free(m);
}

/* The layers of an image volume are in use as those of a container are. */
static struct error *mount_image(struct node *node, const struct node_mount *request)
{
	struct image_mount *m;
	struct error *err = layers_lock(node, request->layers, request->n_layers);

	if (err != NULL)
		return err;
	err = mount_volume(request);
	if (err != NULL) {
		layers_unlock(node, request->layers, request->n_layers);
		return err;
	}
	m = xcalloc(1, sizeof(*m));
	m->arena = arena_new();
	wire_copy(m->arena, &wire_node_mount, request, &m->request);
	image_mount_free(node, map_set(&node->image_mounts, str_from(request->path), m));
	return NULL;
}

void op_mount(struct node *node, struct node_call *call, const struct node_mount *request)
{
	struct error *err = NULL;

	if (request->path == NULL || request->path[0] != '/' || request->kind == NULL)
		err = error_new(ERR_INVALID, "a mount needs a kind and an absolute path");
	if (err == NULL)
		err = strcmp(request->kind, "image") == 0 ? mount_image(node, request) : mount_volume(request);
	if (err != NULL)
		call_fail(node, call, NODE_STEP_MOUNT,
			  error_context(err, "mount at %s", request->path != NULL ? request->path : ""));
	else
		call_reply(node, call, NULL, NULL, 0);
}

void op_unmount(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct error *err = NULL;

	if (request->id == NULL || request->id[0] != '/')
		err = error_new(ERR_INVALID, "path is not absolute");
	/* what is no mount point, or not there, needs no unmounting */
	else if (umount2(request->id, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT)
		err = error_errno(errno, "unmount %s", request->id);
	else
		image_mount_free(node, map_take(&node->image_mounts, str_from(request->id)));
	if (err != NULL)
		call_fail(node, call, NODE_STEP_MOUNT, err);
	else
		call_reply(node, call, NULL, NULL, 0);
}

/* --- STATS --- */

static void add_stats(struct node *node, struct node_stats_reply *reply, const char *id, const char *cgroup, bool is_sandbox)
{
	struct cgroup_stats s;

	cgroup_read_stats(node->cgroups, cgroup, &s);
	reply->stats[reply->n_stats++] = (struct node_stats){
		.id = id,
		.is_sandbox = is_sandbox,
		.time = clock_now(),
		.cpu_ns = s.cpu_ns,
		.memory = s.memory,
		.memory_working_set = s.memory_working_set,
		.memory_rss = s.memory_rss,
		.memory_limit = s.memory_limit,
		.page_faults = s.page_faults,
		.major_page_faults = s.major_page_faults,
		.pids = s.pids,
		.throttled_ns = s.throttled_ns,
		.oom_kills = s.oom_kills,
	};
}

void op_stats(struct node *node, struct node_call *call, const struct node_ref *request)
{
	struct arena *arena = arena_new();
	struct node_stats_reply reply = { 0 };
	const char *only = request->id;

	reply.stats = ARENA_ARRAY(arena, struct node_stats, node->containers.len + node->sandboxes.len + 2);
	if (only == NULL)
		add_stats(node, &reply, "", "/", false);
	MAP_EACH (&node->sandboxes, it) {
		const struct sandbox *s = it->value;

		if (s->ready && s->record.request.cgroup != NULL && (only == NULL || str_is(it->key, only)))
			add_stats(node, &reply, s->record.request.id, s->record.request.cgroup, true);
	}
	MAP_EACH (&node->containers, it) {
		const struct container *c = it->value;

		if (container_alive(c) && (only == NULL || str_is(it->key, only)))
			add_stats(node, &reply, c->record.status.id, c->record.cgroup, false);
	}
	call_reply(node, call, &reply, NULL, 0);
	arena_free(arena);
}
