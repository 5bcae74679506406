#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/trace.h"
#include "runtime/files.h"
#include "runtime/process.h"

#define SEALED "MONOKUBE_SEALED"

/* Born in its control group where the kernel can do that: entering one later takes long. */
static long clone_into(struct clone_args *args, struct container_setup *setup)
{
	long pid;

	if (setup->join.dir > 0) {
		size_t n = setup->join.n;

		args->flags |= CLONE_INTO_CGROUP;
		args->cgroup = (uint64_t)setup->join.dir;
		setup->join.n = 0;
		pid = syscall(SYS_clone3, args, sizeof(*args));
		if (pid >= 0)
			return pid;
		args->flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		args->cgroup = 0;
		setup->join.n = n;
	}
	return syscall(SYS_clone3, args, sizeof(*args));
}

static uint64_t clone_flags(const struct container_setup *setup)
{
	static const uint64_t flags[RUNTIME_NS_COUNT] = {
		[RUNTIME_NS_USER] = CLONE_NEWUSER, [RUNTIME_NS_PID] = CLONE_NEWPID,
		[RUNTIME_NS_NET] = CLONE_NEWNET,   [RUNTIME_NS_IPC] = CLONE_NEWIPC,
		[RUNTIME_NS_UTS] = CLONE_NEWUTS,   [RUNTIME_NS_CGROUP] = 0, /* the child, after it entered its group */
	};
	uint64_t all = CLONE_NEWNS;

	if (setup->inside >= 0)
		return 0;
	for (int ns = 0; ns < RUNTIME_NS_COUNT; ns++) {
		if (setup->spec->ns_new & RUNTIME_NS_BIT(ns))
			all |= flags[ns];
	}
	return all;
}

struct error *container_spawn(const struct container_setup *options, struct container_child *child)
{
	struct container_setup own = *options, *setup = &own;
	int pair[2], pidfd = -1, joined = setup->pid_ns >= 0 ? setup->pid_ns : setup->inside;
	struct clone_args args = { .flags = clone_flags(setup) | CLONE_PIDFD,
				   .pidfd = (uint64_t)(uintptr_t)&pidfd,
				   .exit_signal = SIGCHLD };
	struct error *err = NULL;
	long pid = -1;

	*child = (struct container_child){ .pid = -1, .pidfd = -1, .sync = -1, .console = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return error_errno(errno, "handshake");
	/* a pid namespace is entered by the parent, for its next child only */
	if (joined >= 0 && setns(joined, CLONE_NEWPID) != 0) {
		err = error_errno(errno, "enter pid namespace");
	} else {
		pid = clone_into(&args, setup);
		if (pid == 0) {
			close(pair[0]);
			process_main(setup, pair[1]);
		}
		if (pid < 0)
			err = error_errno(errno, "clone");
		if (joined >= 0 && setns(setup->own_pid_ns, CLONE_NEWPID) != 0)
			ASSERT(!"back to our own pid namespace");
	}
	close(pair[1]);
	if (err != NULL) {
		close(pair[0]);
		return err;
	}
	child->pid = (pid_t)pid;
	child->pidfd = pidfd;
	child->sync = pair[0];
	return NULL;
}

static struct error *write_map(pid_t pid, const char *file, const struct runtime_idmap *map, size_t n)
{
	AUTO_BUF struct buf text = { 0 };
	char path[64];

	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%u %u %u\n", map[i].container, map[i].host, map[i].size);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return file_write_at(AT_FDCWD, path, buf_str(&text));
}

static struct error *write_maps(struct container_child *child, const struct runtime_spec *spec)
{
	struct error *err = NULL;

	if (geteuid() != 0) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/setgroups", child->pid);
		err = file_write_at(AT_FDCWD, path, STR("deny"));
	}
	if (err == NULL)
		err = write_map(child->pid, "uid_map", spec->uid_map, spec->n_uid_map);
	if (err == NULL)
		err = write_map(child->pid, "gid_map", spec->gid_map, spec->n_gid_map);
	return err == NULL ? container_go(child) : error_context(err, "map users");
}

static ssize_t receive(struct container_child *child, struct sync_message *message, int *fd)
{
	struct iovec iov = { .iov_base = message, .iov_len = sizeof(*message) };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control) };
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(child->sync, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

		if (cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(fd, CMSG_DATA(cmsg), sizeof(int));
	}
	return n;
}

static enum container_message failed(struct container_child *child, enum node_step step, struct error *err)
{
	child->err = err;
	child->step = step;
	child->done = true;
	return CONTAINER_FAILED;
}

enum container_message container_receive(struct container_child *child, const struct runtime_spec *spec)
{
	struct sync_message message = { 0 };
	int fd;
	ssize_t n;
	struct error *err;

	if (child->sync < 0 || child->done)
		return CONTAINER_NOTHING;
	n = receive(child, &message, &fd);
	if (n < 0 && errno == EAGAIN)
		return CONTAINER_NOTHING;
	if (n < 0)
		return failed(child, NODE_STEP_NONE, error_errno(errno, "handshake"));
	if (n == 0) { /* closed by execve; or it died, which its reaping tells */
		child->done = true;
		return CONTAINER_RUNS;
	}
	message.text[SYNC_TEXT - 1] = '\0';
	switch ((enum sync_type)message.type) {
	case SYNC_MAPS:
		err = write_maps(child, spec);
		return err != NULL ? failed(child, NODE_STEP_NAMESPACE, err) : CONTAINER_NOTHING;
	case SYNC_CONSOLE:
		if (child->console >= 0)
			close(child->console);
		child->console = fd;
		return CONTAINER_CONSOLE;
	case SYNC_READY:
		return CONTAINER_READY;
	case SYNC_ERROR:
		return failed(child, message.step,
			      error_make(__FILE__, __LINE__, message.kind < ERR_KINDS ? message.kind : ERR_INTERNAL, message.code,
					 "%s", message.text));
	case SYNC_GO:
		break;
	}
	return failed(child, NODE_STEP_NONE, error_new(ERR_INTERNAL, "unknown message %u from the child", message.type));
}

struct error *container_wait_ready(struct container_child *child, const struct runtime_spec *spec)
{
	for (;;) {
		struct pollfd p = { .fd = child->sync, .events = POLLIN };
		struct error *err = NULL;

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return error_errno(errno, "poll");
		switch (container_receive(child, spec)) {
		case CONTAINER_READY:
			return NULL;
		case CONTAINER_FAILED:
			err = child->err;
			child->err = NULL;
			break;
		case CONTAINER_RUNS:
			err = error_new(ERR_INTERNAL, "the container ended while it was made");
			break;
		case CONTAINER_NOTHING:
		case CONTAINER_CONSOLE:
			break;
		}
		if (err != NULL) {
			waitpid(child->pid, NULL, 0);
			return err;
		}
	}
}

struct error *container_go(struct container_child *child)
{
	struct sync_message message = { .type = SYNC_GO };

	return sync_send(child->sync, &message, -1);
}

void container_child_fini(struct container_child *child)
{
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->sync >= 0)
		close(child->sync);
	if (child->console >= 0)
		close(child->console);
	error_free(child->err);
	*child = (struct container_child){ .pid = -1, .pidfd = -1, .sync = -1, .console = -1 };
}

/* --- the program, read-only --- */

static int detached_mount(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV };
	AUTO_FD int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0)
		return -1;
	return fd_take(&tree);
}

static struct error *sealed_copy(int *out)
{
	AUTO_FD int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	AUTO_FD int copy = memfd_create("monokube", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;

	if (exe < 0 || copy < 0 || fstat(exe, &st) != 0)
		return error_errno(errno, "copy program");
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(copy, exe, NULL, (size_t)left);

		if (n <= 0)
			return error_errno(n < 0 ? errno : EIO, "copy program");
		left -= n;
	}
	if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		return error_errno(errno, "seal program");
	*out = fd_take(&copy);
	return NULL;
}

/* The whole command line, of which main() may have cut the front. */
static char **command_line(struct buf *text)
{
	struct error *err = file_read_at(AT_FDCWD, "/proc/self/cmdline", 16 * 1024 * 1024, text);
	char **argv;
	size_t n = 0;

	if (err != NULL) {
		error_free(err);
		return NULL;
	}
	argv = xcalloc(text->len + 1, sizeof(*argv));
	for (size_t at = 0; at < text->len; at += strlen(text->ptr + at) + 1)
		argv[n++] = text->ptr + at;
	return argv;
}

struct error *container_seal_program(void)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_FREE char **argv = NULL;
	AUTO_FD int fd = -1;
	const char *mark = getenv(SEALED);
	char pid[16];

	/* the mark names the process, so that no child inherits the belief */
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (mark != NULL && strcmp(mark, pid) == 0) {
		unsetenv(SEALED);
		return NULL;
	}
	fd = detached_mount();
	if (fd < 0) {
		struct error *err = sealed_copy(&fd);

		if (err != NULL)
			return err;
	}
	argv = command_line(&text);
	if (argv == NULL || setenv(SEALED, pid, 1) != 0)
		return error_errno(errno, "read the command line");
	syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	return error_errno(errno, "run program from a read-only mount");
}
