/* `monokube node`: the command line, the namespaces and the socket of a node process; what it does then is in node.c. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/files.h"
#include "runtime/node_private.h"

#define LOCK_WAIT (15 * NS_PER_S) /* longer than a node that ends gives its containers */

static struct error *address_of(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(out->sun_path))
		return error_new(ERR_INVALID, "the socket path %s is longer than %zu characters", path, sizeof(out->sun_path) - 1);
	memcpy(out->sun_path, path, strlen(path) + 1);
	return NULL;
}

static struct error *bind_at(const char *path, int *out)
{
	struct sockaddr_un addr;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct error *err = address_of(path, &addr);
	mode_t old;
	int rc;

	if (err != NULL)
		return err;
	if (fd < 0)
		return error_errno(errno, "make a socket");
	unlink(path);
	old = umask(0177);
	rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(old);
	if (rc != 0)
		return error_errno(errno, "listen at %s", path);
	*out = fd_take(&fd);
	return NULL;
}

static bool listens(const struct sockaddr_un *addr)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;
}

/* One node process per socket; the lock goes with the process. One that holds it and does not listen starts or ends. */
static struct error *lock_socket(const char *path)
{
	AUTO_FREE char *name = xasprintf("%s.lock", path);
	AUTO_FD int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int64_t until = clock_mono() + LOCK_WAIT;
	struct sockaddr_un addr;
	struct error *err = address_of(path, &addr);

	if (err != NULL)
		return err;
	if (fd < 0)
		return error_errno(errno, "open %s", name);
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (listens(&addr) || clock_mono() > until)
			return error_advise(error_new(ERR_BUSY, "a node already listens at %s", path), "Stop that one first.");
		usleep(5000);
	}
	(void)fd_take(&fd); /* held until the process ends */
	return NULL;
}

static struct error *watch_signals(struct node *node)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "signalfd");
	return poll_watch_start(node, &node->signals, fd, EPOLLIN);
}

static struct error *open_own_namespaces(struct node *node)
{
	const struct {
		const char *path;
		int *fd;
	} all[] = { { "/proc/self/ns/pid", &node->ns_pid },
		    { "/proc/self/ns/net", &node->ns_net },
		    { "/proc/self/ns/ipc", &node->ns_ipc },
		    { "/proc/self/ns/uts", &node->ns_uts } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*all[i].fd = open(all[i].path, O_RDONLY | O_CLOEXEC);
		if (*all[i].fd < 0)
			return error_errno(errno, "open %s", all[i].path);
	}
	return NULL;
}

static struct error *become(struct node *node, int listener)
{
	struct error *err = NULL;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	rand_uuid(node->instance);
	node->started_at = clock_now();
	node->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (node->epoll < 0)
		return error_errno(errno, "epoll");
	err = node->options.hub ? node_loopback_up() : node_root_enter(node);
	if (err == NULL)
		err = open_own_namespaces(node);
	if (err == NULL)
		err = watch_signals(node);
	if (err == NULL && !node->options.hub)
		err = sandboxes_load(node);
	if (err == NULL && !node->options.hub)
		err = containers_load(node);
	/* here and not by the command: SO_PEERCRED tells a client who listens, which is how it learns our pid */
	if (err == NULL && listen(listener, 64) != 0)
		err = error_errno(errno, "listen at %s", node->options.socket);
	if (err == NULL)
		err = poll_watch_start(node, &node->listener, listener, EPOLLIN);
	return err;
}

static void detach_stdio(const char *log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), out = -1;

	if (log != NULL)
		out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(null, 0);
	dup2(null, 1);
	dup2(out >= 0 ? out : null, 2);
	close(null);
	if (out >= 0)
		close(out);
}

/* The new process: tells `report` "" or what went wrong, then serves. */
static int serve(struct node *node, int listener, int report)
{
	struct error *err;

	setsid();
	detach_stdio(node->options.log);
	err = become(node, listener);
	if (err != NULL) {
		error_free(fd_write_all(report, str_from(err->text)));
		log_consume(LOG_ERROR, err, "node cannot start");
		return 1;
	}
	error_free(fd_write_all(report, STR("\n")));
	close(report);
	log_info("node started", "name=%s instance=%s", node->options.name, node->instance);
	node_run(node);
	log_info("node ends", "name=%s", node->options.name);
	node_fini(node);
	return 0;
}

static struct error *await_report(int report, pid_t pid)
{
	AUTO_BUF struct buf text = { 0 };
	int status;

	error_free(fd_read_all(report, 65536, &text)); /* what did not come is missed below */
	if (text.len != 0 && text.ptr[text.len - 1] == '\n')
		return NULL;
	waitpid(pid, &status, 0);
	if (text.len == 0)
		return error_new(ERR_INTERNAL, "the node process ended with status %#x before it listened", status);
	return error_new(ERR_UNAVAILABLE, "%.*s", STR_ARG(buf_str(&text)));
}

static struct error *start(struct node *node)
{
	int report[2], listener = -1;
	struct clone_args args = { .exit_signal = SIGCHLD };
	struct error *err = lock_socket(node->options.socket);
	long pid;

	if (err == NULL)
		err = bind_at(node->options.socket, &listener);
	if (err != NULL)
		return err;
	if (pipe2(report, O_CLOEXEC) != 0)
		return error_errno(errno, "pipe");
	args.flags = node->options.hub ? CLONE_NEWNET : CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		close(report[0]);
		exit(serve(node, listener, report[1]));
	}
	if (pid < 0)
		return error_errno(errno, "make the node's namespaces");
	close(report[1]);
	close(listener);
	err = await_report(report[0], (pid_t)pid);
	close(report[0]);
	return err;
}

/* --- command line --- */

static const struct option long_options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "root", required_argument, NULL, 'r' },
	{ "socket", required_argument, NULL, 's' },
	{ "images", required_argument, NULL, 'i' },
	{ "cgroup", required_argument, NULL, 'c' },
	{ "log", required_argument, NULL, 'l' },
	{ "mount", required_argument, NULL, 'm' },
	{ "hub", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static struct error *parse(int argc, char **argv, struct node_options *out)
{
	int c;

	optind = 1;
	out->mounts = xcalloc((size_t)argc + 1, sizeof(*out->mounts));
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'n':
			out->name = optarg;
			break;
		case 'r':
			out->root = optarg;
			break;
		case 's':
			out->socket = optarg;
			break;
		case 'i':
			out->images = optarg;
			break;
		case 'c':
			out->cgroup = optarg;
			break;
		case 'l':
			out->log = optarg;
			break;
		case 'm':
			out->mounts[out->n_mounts++] = optarg;
			break;
		case 'h':
			out->hub = true;
			break;
		default:
			return error_new(ERR_USAGE, "unknown option of node");
		}
	}
	if (out->name == NULL || out->socket == NULL || (out->root == NULL && !out->hub))
		return error_new(ERR_USAGE, "node needs --name, --socket and --root (or --hub)");
	if (!node_id_valid(out->name))
		return error_new(ERR_USAGE, "\"%s\" is not a name for a node", out->name);
	return NULL;
}

int node_main(int argc, char **argv)
{
	struct node node;
	struct error *err = container_seal_program();
	int code = 0;

	node_init(&node);
	if (err == NULL)
		err = parse(argc, argv, &node.options);
	if (err == NULL)
		err = start(&node);
	if (err != NULL) {
		fprintf(stderr, "node: %s\n%s\n", err->text, error_advice(err));
		code = error_exit_code(err->kind);
		error_free(err);
	}
	free(node.options.mounts);
	return code;
}
