#include "cmd/life.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cluster.h"
#include "cmd/files.h"
#include "cmd/topology.h"
#include "cmd/ui.h"
#include "netns/netns.h"
#include "runtime/node.h"

#define SLOTS         200
#define STOP_MS       10000
#define NODE_GRACE_MS 1000

struct error *life_need_root(void)
{
	if (geteuid() == 0)
		return NULL;
	return error_advise(error_new(ERR_PERMISSION, "this needs root: namespaces, mounts and networks are made"),
			    "Run the command with sudo.");
}

const char *life_node_name(struct arena *arena, const struct profile *profile, int index)
{
	/* As minikube names them: the profile, then the profile with m02, m03, … */
	return index == HUB_INDEX ? "hub" : index == 0 ? profile->name : arena_printf(arena, "%s-m%02d", profile->name, index + 1);
}

const char *life_node_dir(struct arena *arena, const struct profile *profile, int index)
{
	return index == HUB_INDEX ? profile->dir : profile_path(arena, profile, "nodes/%s", life_node_name(arena, profile, index));
}

const char *life_node_socket(struct arena *arena, const struct profile *profile, int index)
{
	return arena_printf(arena, "%s/%s.sock", life_node_dir(arena, profile, index), index == HUB_INDEX ? "hub" : "node");
}

/* --- choosing what is free --- */

struct taken {
	bool slots[SLOTS];
	const char *home;
	const char *own;
};

static void note_prefix(void *arg, struct cidr prefix)
{
	struct taken *taken = arg;

	if (prefix.bits == 0) /* the default route is no claim */
		return;
	for (int i = 0; i < SLOTS; i++) {
		struct cidr ours = cluster_subnet(i);

		taken->slots[i] = taken->slots[i] || cidr_contains(prefix, ours.ip) || cidr_contains(ours, prefix.ip);
	}
}

static void note_profile(void *arg, const char *name)
{
	struct taken *taken = arg;
	struct arena *arena = arena_new();
	struct profile other;
	struct error *err = strcmp(name, taken->own) != 0 ? profile_open(arena, name, &other) : error_new(ERR_EXISTS, "own");

	if (err == NULL && other.slot >= 0 && other.slot < SLOTS)
		taken->slots[other.slot] = true;
	error_free(err);
	arena_free(arena);
}

static struct error *choose_slot(struct arena *arena, struct profile *profile)
{
	AUTO_FD int rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct taken *taken = ARENA_NEW(arena, struct taken);
	struct error *err;

	if (rtnl < 0)
		return error_errno(errno, "open a netlink socket");
	taken->own = profile->name;
	err = net_prefixes(rtnl, note_prefix, taken);
	if (err == NULL)
		err = profile_each(arena, note_profile, taken);
	for (int i = 0; err == NULL && i < SLOTS; i++)
		if (!taken->slots[i]) {
			profile->slot = i;
			return NULL;
		}
	return err != NULL ? err : error_new(ERR_NETWORK, "no network of 192.168.49.0/24 and after is free");
}

/* A port that nobody listens on now; it stays the profile's own from then on. */
static struct error *choose_port(struct profile *profile)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
		return error_errno(errno, "find a free port");
	profile->port = ntohs(addr.sin_port);
	return NULL;
}

struct error *life_choose(struct arena *arena, struct profile *profile)
{
	struct error *err = NULL;

	if (profile->slot < 0)
		err = choose_slot(arena, profile);
	if (err == NULL && profile->port == 0)
		err = choose_port(profile);
	return err;
}

/* --- the server --- */

static _Noreturn void exec_server(const char *program, char *const argv[], const char *log, int ready, pid_t parent)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), null = open("/dev/null", O_RDWR);

	/* Until it has its lock no other command could find it, so it must not outlive this one; lock_data() ends that. */
	if (fd < 0 || null < 0 || setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	(void)fcntl(ready, F_SETFD, 0);
	if (chdir("/") == 0)
		execv(program, argv);
	_exit(127);
}

#define SERVER_SAYS "monokube server: "

/* What a server that ended said last: the error it ended with, and what to do. */
static struct error *last_words(const struct profile *profile, off_t from)
{
	AUTO_BUF struct buf log = { 0 };
	AUTO_FREE char *path = xasprintf("%s/server.log", profile->dir);
	struct str rest, line, says = STR(""), advice = STR("");
	struct error *err = files_read(path, &log);

	if (err != NULL)
		error_free(err); /* then there are none */
	for (rest = str_skip(buf_str(&log), (size_t)from); str_cut(&rest, '\n', &line);)
		if (str_has_prefix(line, STR(SERVER_SAYS)))
			says = str_skip(line, strlen(SERVER_SAYS));
		else if (str_has_prefix(line, STR(UI_ADVICE)))
			advice = str_skip(line, strlen(UI_ADVICE));
	if (says.len == 0)
		return error_advise(error_new(ERR_INTERNAL, "the server ended while it started"), "The last lines of %s say why.",
				    path);
	return error_advise(error_new(ERR_INTERNAL, "the server ended while it started: %.*s", STR_ARG(says)), "%.*s",
			    STR_ARG(advice));
}

/* Reads the server's lines: "ready PORT", then "nodes". */
static struct error *wait_ready(int fd, const struct profile *profile, int64_t timeout_ns, pid_t pid, off_t log_end)
{
	int64_t until = clock_mono() + timeout_ns;
	AUTO_BUF struct buf text = { 0 };
	const char *wanted = profile->nodes != 0 ? "nodes\n" : "ready ";

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int64_t left = (until - clock_mono()) / NS_PER_MS;
		char chunk[256];
		ssize_t n;

		if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
			return error_advise(error_new(ERR_TIMEOUT, "the cluster does not answer yet"),
					    "See %s/server.log; 'monokube start' again waits once more.", profile->dir);
		n = read(fd, chunk, sizeof(chunk));
		if (n > 0) {
			buf_append(&text, chunk, (size_t)n);
			if (strstr(buf_cstr(&text), wanted) != NULL)
				return NULL;
			continue;
		}
		waitpid(pid, NULL, WNOHANG);
		return last_words(profile, log_end);
	}
}

/* Whether it is still there to answer, and not only not yet gone: even a refusal proves that. */
static bool answers(const struct profile *profile)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)profile->port) };
	struct timeval limit = { .tv_sec = 2 };
	static const char question[] = "GET /livez HTTP/1.0\r\n\r\n";
	char reply[16];

	return fd >= 0 && inet_pton(AF_INET, profile->listen, &addr.sin_addr) == 1 &&
	       setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
	       connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	       send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) > 0 && recv(fd, reply, sizeof(reply), 0) > 0;
}

struct error *life_join_server(struct arena *arena, const struct profile *profile, int64_t timeout_ns, bool *runs)
{
	int64_t until = clock_mono() + timeout_ns;

	while (profile_server_pid(arena, profile) != 0) {
		/* A signal that it was sent before we asked is dealt with when it answers: look again. */
		*runs = profile_server_ready(arena, profile) && answers(profile) && profile_server_ready(arena, profile);
		if (*runs)
			return NULL;
		if (clock_mono() > until)
			return error_advise(error_new(ERR_TIMEOUT, "the cluster does not answer yet"),
					    "See %s/server.log; 'monokube start' again waits once more.", profile->dir);
		usleep(10 * 1000);
	}
	*runs = false;
	return NULL;
}

struct error *life_start_server(struct arena *arena, const struct profile *profile, int64_t timeout_ns)
{
	char program[PATH_MAX] = { 0 };
	const char *ready = NULL, *argv[24];
	struct stat log;
	int pipe_fds[2];
	struct error *err;
	pid_t pid, parent = getpid();
	size_t n = 0;

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return error_errno(errno, "find our own program");
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return error_errno(errno, "make a pipe");
	if (stat(profile_path(arena, profile, "server.log"), &log) != 0)
		log.st_size = 0;
	ready = arena_printf(arena, "%d", pipe_fds[1]);
	argv[n++] = "monokube";
	argv[n++] = "server";
	argv[n++] = "--profile";
	argv[n++] = profile->name;
	argv[n++] = "--data";
	argv[n++] = profile->dir;
	argv[n++] = "--listen";
	argv[n++] = arena_printf(arena, "%s:%lld", profile->listen, (long long)profile->port);
	argv[n++] = "--nodes";
	argv[n++] = arena_printf(arena, "%lld", (long long)profile->nodes);
	argv[n++] = "--slot";
	argv[n++] = arena_printf(arena, "%lld", (long long)profile->slot);
	argv[n++] = "--images";
	argv[n++] = arena_printf(arena, "%s/images", profile_home(arena));
	argv[n++] = "--ready-fd";
	argv[n++] = ready;
	argv[n] = NULL;
	pid = fork();
	if (pid == 0)
		exec_server(program, (char *const *)(const void *)argv, profile_path(arena, profile, "server.log"), pipe_fds[1],
			    parent);
	close(pipe_fds[1]);
	err = pid < 0 ? error_errno(errno, "start the server") : wait_ready(pipe_fds[0], profile, timeout_ns, pid, log.st_size);
	close(pipe_fds[0]);
	return err;
}

/* Ended, even if its parent has not asked for its status yet. */
static bool is_gone(int pid)
{
	AUTO_BUF struct buf stat = { 0 };
	char path[64];
	struct error *err;
	const char *state;

	if (kill(pid, 0) != 0 && errno == ESRCH)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	err = files_read(path, &stat);
	if (err != NULL) {
		error_free(err);
		return true;
	}
	state = strrchr(buf_cstr(&stat), ')');
	return state != NULL && state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X');
}

struct error *life_stop_server(struct arena *arena, const struct profile *profile)
{
	int pid = profile_server_pid(arena, profile);

	if (pid == 0)
		return NULL;
	if (kill(pid, SIGTERM) != 0 && errno != ESRCH)
		return error_errno(errno, "stop server %d", pid);
	for (int i = 0; i < STOP_MS / 5; i++) {
		if (profile_server_pid(arena, profile) == 0)
			return NULL;
		usleep(5000);
	}
	kill(pid, SIGKILL); /* crash-only: nothing that was acknowledged is lost */
	for (int i = 0; i < STOP_MS / 5 && !is_gone(pid); i++)
		usleep(5000);
	return NULL;
}

/* --- node processes --- */

static void nobody_listens(void *arg, const struct error *err)
{
	(void)arg;
	(void)err;
}

static void shutting_down(void *arg, struct node_reply *reply)
{
	(void)arg;
	(void)reply;
}

static const struct node_handlers handlers = { .closed = nobody_listens };

bool life_node_runs(const char *socket)
{
	struct node_client *client = NULL;
	struct error *err = node_client_open(socket, &handlers, NULL, &client);
	bool runs = err == NULL;

	error_free(err);
	node_client_free(client);
	return runs;
}

static bool serves(int pid, const char *socket)
{
	AUTO_BUF struct buf words = { 0 };
	char path[64];
	struct error *err;
	struct str rest, word, before = STR("");
	size_t n = 0;
	bool node = false, same = false;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	err = files_read(path, &words);
	if (err != NULL) {
		error_free(err); /* it ended meanwhile */
		return false;
	}
	for (rest = buf_str(&words); str_cut(&rest, '\0', &word); before = word, n++) {
		node = node || (n == 1 && str_is(word, "node"));
		same = same || (str_is(before, "--socket") && str_is(word, socket));
	}
	return node && same;
}

/* Signal 0 asks whether any is there. A process that is just being started, or that ends, does not listen: it is found by
 * its words. */
static bool signal_processes(const char *socket, int signal)
{
	AUTO_DIR DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool any = false;
	uint64_t pid;

	while (proc != NULL && (entry = readdir(proc)) != NULL)
		if (str_to_u64(str_from(entry->d_name), &pid) && pid > 1 && serves((int)pid, socket)) {
			any = true;
			kill((pid_t)pid, signal);
		}
	return any;
}

/* Asks whoever listens to end; its containers have a moment to do so themselves. */
static void ask_to_end(const char *socket)
{
	struct node_client *client = NULL;
	struct error *err = node_client_open(socket, &handlers, NULL, &client);

	if (err != NULL) {
		error_free(err); /* nobody there, not yet or no more */
		return;
	}
	node_shutdown(client, &(struct node_shutdown){ .grace_ms = NODE_GRACE_MS }, shutting_down, NULL);
	error_free(node_client_drain(client, STOP_MS / 2));
	node_client_free(client);
}

struct error *life_stop_node(const char *socket)
{
	int64_t kill_at = clock_mono() + 2 * NODE_GRACE_MS * NS_PER_MS, until = clock_mono() + STOP_MS * NS_PER_MS;

	do {
		ask_to_end(socket);
		if (!signal_processes(socket, clock_mono() > kill_at ? SIGKILL : 0)) {
			unlink(socket);
			return NULL;
		}
		usleep(5000);
	} while (clock_mono() < until);
	return error_advise(error_new(ERR_TIMEOUT, "the node process at %s does not end", socket),
			    "Try again; if it stays, look at what it waits for in /proc/PID/stack.");
}

void life_node_argv(struct arena *arena, const struct profile *profile, int index, const char *program, const char *argv[24])
{
	const char *name = life_node_name(arena, profile, index), *dir = life_node_dir(arena, profile, index);
	size_t n = 0;

	argv[n++] = program;
	argv[n++] = "node";
	argv[n++] = "--name";
	argv[n++] = name;
	argv[n++] = "--socket";
	argv[n++] = life_node_socket(arena, profile, index);
	argv[n++] = "--log";
	argv[n++] = arena_printf(arena, "%s/%s.log", dir, index == HUB_INDEX ? "hub" : "node");
	if (index == HUB_INDEX) {
		argv[n++] = "--hub";
	} else {
		argv[n++] = "--root";
		argv[n++] = arena_printf(arena, "%s/root", dir);
		argv[n++] = "--images";
		argv[n++] = profile->images;
		argv[n++] = "--cgroup";
		argv[n++] = arena_printf(arena, "monokube/%s/%s", profile_tag(arena, profile), name);
	}
	argv[n] = NULL;
}

struct error *life_start_node(struct arena *arena, const struct profile *profile, int index)
{
	const char *argv[24];
	char program[PATH_MAX] = { 0 };
	int status = 0;
	pid_t pid;

	if (life_node_runs(life_node_socket(arena, profile, index)))
		return NULL;
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return error_errno(errno, "find our own program");
	life_node_argv(arena, profile, index, program, argv);
	pid = fork();
	if (pid == 0) {
		execv(program, (char *const *)(const void *)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return error_errno(errno, "start node process");
	if (status != 0)
		return error_advise(error_new(ERR_INTERNAL, "node %s did not start", life_node_name(arena, profile, index)),
				    "The lines above and its node.log say why.");
	return NULL;
}

struct error *life_stop_nodes(struct arena *arena, const struct profile *profile)
{
	AUTO_FD int rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char link[16];
	struct error *err = NULL;

	for (int i = 0; err == NULL && i < profile->nodes; i++)
		err = life_stop_node(life_node_socket(arena, profile, i));
	if (err == NULL)
		err = life_stop_node(life_node_socket(arena, profile, HUB_INDEX));
	if (err == NULL && rtnl >= 0 && profile->slot >= 0) {
		topology_host_link(link, profile_tag(arena, profile));
		err = net_link_delete(rtnl, link);
	}
	return err;
}

/* --- the rest --- */

/* Where nobody else has a profile, the parent of all goes, too. */
static void remove_empty_parents(void)
{
	AUTO_DIR DIR *dir = opendir("/sys/fs/cgroup");
	struct dirent *entry;
	char path[PATH_MAX];

	rmdir("/sys/fs/cgroup/monokube");
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/monokube", entry->d_name);
		rmdir(path);
	}
}

struct error *life_remove(struct arena *arena, const struct profile *profile)
{
	struct error *err = NULL;

	for (int i = 0; err == NULL && i < profile->nodes; i++)
		err = node_remove_group(
			arena_printf(arena, "monokube/%s/%s", profile_tag(arena, profile), life_node_name(arena, profile, i)));
	if (err == NULL)
		err = node_remove_group(arena_printf(arena, "monokube/%s", profile_tag(arena, profile)));
	remove_empty_parents();
	return err != NULL ? err : profile_remove(arena, profile);
}
