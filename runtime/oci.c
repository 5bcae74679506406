/*
 * `monokube oci`: an OCI runtime on the same container code as the node.
 *
 *	/run/monokube-oci/<id>/state.json     what is known; written by create
 *	                       gate           FIFO that holds the container back; start writes a byte and removes it
 *
 * A container is stopped when its process is gone, created while the gate is there, else running.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "base/limits.h"
#include "runtime/cgroup.h"
#include "runtime/container.h"
#include "runtime/files.h"
#include "runtime/node_private.h"
#include "runtime/oci.h"

#define ROOT_DEFAULT "/run/monokube-oci"

struct options {
	const char *root;
	const char *log;
	bool log_json;
	const char *bundle;
	const char *pid_file;
	const char *console_socket;
	bool detach;
	bool keep;
	bool force;
	bool all;
};

struct oci {
	struct options options;
	struct arena *arena;
	const char *id;
	const char *signal; /* of kill */
	int exit_code;      /* of run */
};

/* --- state on disk --- */

struct record {
	int32_t pid;
	int64_t pid_start; /* of /proc/<pid>/stat: a pid that was given again is another process */
	const char *bundle;
	const char *cgroup;
	const struct json *annotations;
	struct str created;
};

static const char *path_of(const struct oci *oci, const char *file)
{
	return arena_printf(oci->arena, "%s/%s%s%s", oci->options.root, oci->id, file[0] != '\0' ? "/" : "", file);
}

/* Start time of a live process; 0 when there is none, or only its zombie. */
static int64_t process_start(int32_t pid)
{
	AUTO_BUF struct buf text = { 0 };
	char path[64];
	struct error *err;
	const char *at;
	int field = 2;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	err = file_read_at(AT_FDCWD, path, 4096, &text);
	if (err != NULL) {
		error_free(err);
		return 0;
	}
	at = strrchr(buf_cstr(&text), ')');
	if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return 0;
	for (at++; *at != '\0' && field < 22; at++)
		field += *at == ' ';
	return strtoll(at, NULL, 10);
}

static struct error *record_save(struct oci *oci, const struct record *record)
{
	AUTO_BUF struct buf text = { 0 };
	const struct json *state = JSON_OBJECT_OF(
		oci->arena, { "id", json_text(oci->arena, oci->id) }, { "pid", json_number(oci->arena, record->pid) },
		{ "pidStart", json_number(oci->arena, record->pid_start) }, { "bundle", json_text(oci->arena, record->bundle) },
		{ "cgroup", json_text(oci->arena, record->cgroup) }, { "created", json_string(oci->arena, record->created) },
		{ "annotations", record->annotations });

	json_write(&text, state);
	return file_put_at(AT_FDCWD, path_of(oci, "state.json"), buf_str(&text), 0600);
}

static struct error *record_load(struct oci *oci, struct record *out)
{
	AUTO_BUF struct buf text = { 0 };
	const struct json *state;
	struct error *err = file_read_at(AT_FDCWD, path_of(oci, "state.json"), LIMIT_MANIFEST_BYTES, &text);

	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		error_free(err);
		return error_new(ERR_NOT_FOUND, "container \"%s\" does not exist", oci->id);
	}
	if (err == NULL)
		err = json_read(oci->arena, buf_str(&text), NULL, &state);
	if (err != NULL)
		return error_context(err, "state of container \"%s\"", oci->id);
	*out = (struct record){ .pid = (int32_t)json_int(json_get(state, "pid"), 0),
				.pid_start = json_int(json_get(state, "pidStart"), 0),
				.bundle = str_cstr(oci->arena, json_get_str(state, "bundle")),
				.cgroup = str_cstr(oci->arena, json_get_str(state, "cgroup")),
				.annotations = json_get(state, "annotations"),
				.created = json_get_str(state, "created") };
	return NULL;
}

static const char *status_of(struct oci *oci, const struct record *record)
{
	int64_t start = process_start(record->pid);

	if (start == 0 || start != record->pid_start)
		return "stopped";
	return access(path_of(oci, "gate"), F_OK) == 0 ? "created" : "running";
}

/* --- create --- */

static struct error *read_config(struct oci *oci, struct runtime_spec *spec, struct record *record)
{
	AUTO_BUF struct buf text = { 0 };
	char bundle[PATH_MAX];
	const struct json *config;
	char now[TIME_TEXT];
	struct error *err;

	if (realpath(oci->options.bundle != NULL ? oci->options.bundle : ".", bundle) == NULL)
		return error_errno(errno, "bundle %s", oci->options.bundle);
	record->bundle = arena_strdup(oci->arena, bundle);
	err = file_read_at(AT_FDCWD, arena_printf(oci->arena, "%s/config.json", bundle), LIMIT_MANIFEST_BYTES, &text);
	if (err == NULL)
		err = json_read(oci->arena, buf_str(&text), NULL, &config);
	if (err == NULL)
		err = oci_spec_read(oci->arena, config, record->bundle, oci->id, spec);
	if (err != NULL)
		return error_context(err, "config.json");
	record->annotations = json_get(config, "annotations");
	record->cgroup = spec->cgroup;
	record->created = str_dup(oci->arena, time_format_nano(now, clock_now()));
	return NULL;
}

static struct error *make_state_dir(struct oci *oci)
{
	struct error *err = dir_make(AT_FDCWD, oci->options.root, 0700);

	if (err != NULL)
		return err;
	if (mkdir(path_of(oci, ""), 0700) != 0)
		return errno == EEXIST ? error_new(ERR_EXISTS, "container \"%s\" already exists", oci->id)
				       : error_errno(errno, "make %s", path_of(oci, ""));
	return NULL;
}

/* Both ends in one descriptor, so that the container never reads an end of file. */
static struct error *make_gate(struct oci *oci, int *out)
{
	const char *path = path_of(oci, "gate");

	if (mkfifo(path, 0600) != 0)
		return error_errno(errno, "make %s", path);
	*out = open(path, O_RDWR | O_CLOEXEC);
	return *out >= 0 ? NULL : error_errno(errno, "open %s", path);
}

static struct error *send_console(const char *path, int console)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char name[] = "/dev/console";
	struct iovec iov = { name, sizeof(name) - 1 };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_new(ERR_INVALID, "the path of the console socket is too long");
	memcpy(addr.sun_path, path, strlen(path) + 1);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &console, sizeof(int));
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		return error_errno(errno, "send terminal to %s", path);
	return NULL;
}

static struct error *write_pid_file(const char *path, pid_t pid)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", pid);

	return path != NULL ? file_put_at(AT_FDCWD, path, str_of(text, (size_t)n), 0644) : NULL;
}

static struct error *spawn(struct runtime_spec *spec, struct cgroup_root *cgroups, int gate, struct container_child *child)
{
	struct seccomp_program program;
	AUTO_FD int own_pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	struct container_setup setup = { .spec = spec,
					 .cgroups = cgroups,
					 .seccomp = &program,
					 .stdio = { 0, 1, 2 },
					 .gate = gate,
					 .inside = -1,
					 .pid_ns = spec->ns_fd[RUNTIME_NS_PID],
					 .own_pid_ns = own_pid_ns };
	struct error *err = seccomp_compile(&spec->seccomp, spec->caps, &program);

	if (err == NULL && cgroups != NULL)
		err = cgroup_make(cgroups, spec->cgroup, &spec->limits);
	if (err == NULL && cgroups != NULL)
		err = cgroup_devices(cgroups, spec->cgroup, spec->device_rules, spec->n_device_rules);
	if (err == NULL && cgroups != NULL)
		err = cgroup_open_join(cgroups, spec->cgroup, &setup.join);
	if (err == NULL)
		err = container_spawn(&setup, child);
	cgroup_close_join(&setup.join);
	seccomp_program_fini(&program);
	if (err == NULL)
		err = container_wait_ready(child, spec);
	return err;
}

static void forget(struct oci *oci, struct cgroup_root *cgroups, const char *cgroup)
{
	if (cgroup != NULL && cgroup[0] != '\0')
		error_free(cgroup_remove(cgroups, cgroup));
	error_free(dir_remove(AT_FDCWD, path_of(oci, "")));
}

/* On success the container waits at its gate (gate >= 0) or for container_go(). */
static struct error *create(struct oci *oci, bool gated, struct container_child *child)
{
	struct runtime_spec *spec = ARENA_NEW(oci->arena, struct runtime_spec);
	struct record record = { 0 };
	struct cgroup_root *cgroups = NULL;
	AUTO_FD int gate = -1;
	struct error *err = read_config(oci, spec, &record);

	if (err == NULL && spec->terminal && oci->options.console_socket == NULL && (gated || oci->options.detach))
		err = error_new(ERR_USAGE, "a container with a terminal needs --console-socket");
	if (err == NULL)
		err = cgroup_root_open(&cgroups);
	if (err == NULL)
		err = make_state_dir(oci);
	if (err != NULL) {
		cgroup_root_free(cgroups);
		return err;
	}
	if (gated)
		err = make_gate(oci, &gate);
	if (err == NULL)
		err = spawn(spec, cgroups, gate, child);
	if (err == NULL && child->console >= 0 && oci->options.console_socket != NULL)
		err = send_console(oci->options.console_socket, child->console);
	if (err == NULL) {
		record.pid = child->pid;
		record.pid_start = process_start(child->pid);
		err = record_save(oci, &record);
	}
	if (err == NULL)
		err = write_pid_file(oci->options.pid_file, child->pid);
	if (err != NULL) {
		if (child->pidfd >= 0)
			syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0u);
		forget(oci, cgroups, spec->cgroup);
	}
	cgroup_root_free(cgroups);
	return err;
}

static struct error *command_create(struct oci *oci)
{
	struct container_child child = { .pid = -1, .pidfd = -1, .sync = -1, .console = -1 };
	struct error *err = create(oci, true, &child);

	container_child_fini(&child);
	return err;
}

/* --- start, state, kill, delete --- */

static struct error *command_start(struct oci *oci)
{
	struct record record;
	const char *gate = path_of(oci, "gate");
	AUTO_FD int fd = -1;
	struct error *err = record_load(oci, &record);

	if (err != NULL)
		return err;
	if (strcmp(status_of(oci, &record), "created") != 0)
		return error_new(ERR_CONFLICT, "container \"%s\" is %s, not created", oci->id, status_of(oci, &record));
	fd = open(gate, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "open %s", gate);
	if (write(fd, "1", 1) != 1)
		return error_errno(errno, "start container \"%s\"", oci->id);
	unlink(gate);
	return NULL;
}

static struct error *command_state(struct oci *oci)
{
	AUTO_BUF struct buf text = { 0 };
	struct record record;
	const char *status;
	struct error *err = record_load(oci, &record);

	if (err != NULL)
		return err;
	status = status_of(oci, &record);
	json_write_indented(&text,
			    JSON_OBJECT_OF(oci->arena, { "ociVersion", json_text(oci->arena, "1.0.2") },
					   { "id", json_text(oci->arena, oci->id) }, { "status", json_text(oci->arena, status) },
					   { "pid", json_number(oci->arena, strcmp(status, "stopped") == 0 ? 0 : record.pid) },
					   { "bundle", json_text(oci->arena, record.bundle) },
					   { "created", json_string(oci->arena, record.created) },
					   { "annotations", record.annotations }),
			    2);
	buf_putc(&text, '\n');
	return fd_write_all(STDOUT_FILENO, buf_str(&text));
}

static struct error *send_signal(struct oci *oci, const struct record *record, int signal)
{
	AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, record->pid, 0u);

	/* the descriptor names a process; only now is it certain which */
	if (pidfd < 0 || process_start(record->pid) != record->pid_start)
		return error_new(ERR_CONFLICT, "container \"%s\" is not running", oci->id);
	if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0u) != 0)
		return error_errno(errno, "signal container \"%s\"", oci->id);
	return NULL;
}

static struct error *command_kill(struct oci *oci)
{
	struct record record;
	int signal = oci_signal_parse(oci->signal != NULL ? oci->signal : "TERM");
	struct cgroup_root *cgroups;
	struct error *err = record_load(oci, &record);

	if (err == NULL && signal == 0)
		err = error_new(ERR_USAGE, "unknown signal \"%s\"", oci->signal);
	if (err == NULL && oci->options.all) {
		err = cgroup_root_open(&cgroups);
		if (err == NULL) {
			err = cgroup_kill(cgroups, record.cgroup, signal);
			cgroup_root_free(cgroups);
		}
		return err;
	}
	return err == NULL ? send_signal(oci, &record, signal) : err;
}

static void await_end(struct oci *oci, const struct record *record)
{
	for (int i = 0; i < 10000 && strcmp(status_of(oci, record), "stopped") != 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static struct error *command_delete(struct oci *oci)
{
	struct record record;
	struct cgroup_root *cgroups;
	const char *status;
	struct error *err = record_load(oci, &record);

	if (err != NULL && oci->options.force && node_id_valid(oci->id)) { /* half made: take what is there */
		error_free(err);
		return dir_remove(AT_FDCWD, path_of(oci, ""));
	}
	if (err != NULL)
		return err;
	status = status_of(oci, &record);
	if (strcmp(status, "running") == 0 && !oci->options.force)
		return error_new(ERR_CONFLICT, "container \"%s\" is running; stop it first, or use --force", oci->id);
	if (strcmp(status, "stopped") != 0) {
		error_free(send_signal(oci, &record, SIGKILL));
		await_end(oci, &record);
	}
	err = cgroup_root_open(&cgroups);
	if (err == NULL) {
		err = cgroup_remove(cgroups, record.cgroup);
		cgroup_root_free(cgroups);
	}
	return err == NULL ? dir_remove(AT_FDCWD, path_of(oci, "")) : err;
}

/* --- run: create, start, wait, delete --- */

static volatile sig_atomic_t forward_pid;

static void forward(int signal)
{
	kill(forward_pid, signal);
}

static void copy_some(int from, int to, bool *open)
{
	char block[4096];
	ssize_t n = read(from, block, sizeof(block));

	*open = n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n > 0)
		error_free(fd_write_all(to, str_of(block, (size_t)n)));
}

/* Our terminal and the container's are one until it ends. */
static void join_terminals(int console)
{
	struct termios old, raw;
	struct winsize size;
	bool has_tty = tcgetattr(STDIN_FILENO, &old) == 0, in_open = true, out_open = true;

	if (has_tty) {
		raw = old;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
		if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
			ioctl(console, TIOCSWINSZ, &size);
	}
	while (out_open) {
		struct pollfd p[2] = { { .fd = console, .events = POLLIN },
				       { .fd = in_open ? STDIN_FILENO : -1, .events = POLLIN } };

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents != 0)
			copy_some(console, STDOUT_FILENO, &out_open);
		if (p[1].revents != 0)
			copy_some(STDIN_FILENO, console, &in_open);
	}
	if (has_tty)
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
}

static struct error *await_exec(struct container_child *child)
{
	struct pollfd p = { .fd = child->sync, .events = POLLIN };
	struct error *err;

	for (;;) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return error_errno(errno, "poll");
		switch (container_receive(child, NULL)) {
		case CONTAINER_RUNS:
			return NULL;
		case CONTAINER_FAILED:
			err = child->err;
			child->err = NULL;
			return err;
		case CONTAINER_NOTHING:
		case CONTAINER_CONSOLE:
		case CONTAINER_READY:
			break;
		}
	}
}

static int exit_code_of(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static struct error *command_run(struct oci *oci)
{
	static const int forwarded[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	struct container_child child = { .pid = -1, .pidfd = -1, .sync = -1, .console = -1 };
	struct error *err = create(oci, false, &child), *late;

	if (err == NULL)
		err = container_go(&child);
	if (err == NULL)
		err = await_exec(&child);
	if (err == NULL && oci->options.detach) {
		container_child_fini(&child);
		return NULL;
	}
	if (err == NULL) {
		forward_pid = child.pid;
		for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
			signal(forwarded[i], forward);
		if (child.console >= 0 && oci->options.console_socket == NULL)
			join_terminals(child.console);
		oci->exit_code = exit_code_of(child.pid);
	} else if (child.pid > 0) {
		waitpid(child.pid, NULL, 0);
	}
	if (child.pid > 0 && !oci->options.keep && access(path_of(oci, "state.json"), F_OK) == 0) {
		late = command_delete(oci);
		if (err == NULL)
			err = late;
		else
			error_free(late);
	}
	container_child_fini(&child);
	return err;
}

/* --- command line --- */

static const struct {
	const char *name;
	struct error *(*run)(struct oci *oci);
	bool makes; /* runs code in the container: from a sealed program */
} commands[] = {
	{ "create", command_create, true }, { "start", command_start, false },   { "state", command_state, false },
	{ "kill", command_kill, false },    { "delete", command_delete, false }, { "run", command_run, true },
};

enum { OPT_ROOT = 256, OPT_LOG, OPT_FORMAT, OPT_PID_FILE, OPT_CONSOLE, OPT_KEEP, OPT_IGNORED, OPT_IGNORED_VALUE };

static const struct option long_options[] = {
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "log-format", required_argument, NULL, OPT_FORMAT },
	{ "bundle", required_argument, NULL, 'b' },
	{ "pid-file", required_argument, NULL, OPT_PID_FILE },
	{ "console-socket", required_argument, NULL, OPT_CONSOLE },
	{ "detach", no_argument, NULL, 'd' },
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "force", no_argument, NULL, 'f' },
	{ "all", no_argument, NULL, 'a' },
	{ "debug", no_argument, NULL, OPT_IGNORED },
	{ "systemd-cgroup", no_argument, NULL, OPT_IGNORED },
	{ "no-pivot", no_argument, NULL, OPT_IGNORED },
	{ "no-new-keyring", no_argument, NULL, OPT_IGNORED },
	{ "rootless", required_argument, NULL, OPT_IGNORED_VALUE },
	{ "cgroup-manager", required_argument, NULL, OPT_IGNORED_VALUE },
	{ NULL, 0, NULL, 0 },
};

static struct error *parse(struct oci *oci, int argc, char **argv, const char **command)
{
	struct options *o = &oci->options;
	int c;

	o->root = ROOT_DEFAULT;
	optind = 1;
	/* global options before the command, its own behind it: getopt sees them all */
	while ((c = getopt_long(argc, argv, "b:dfa", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_ROOT:
			o->root = optarg;
			break;
		case OPT_LOG:
			o->log = optarg;
			break;
		case OPT_FORMAT:
			o->log_json = strcmp(optarg, "json") == 0;
			break;
		case OPT_PID_FILE:
			o->pid_file = optarg;
			break;
		case OPT_CONSOLE:
			o->console_socket = optarg;
			break;
		case OPT_KEEP:
			o->keep = true;
			break;
		case 'b':
			o->bundle = optarg;
			break;
		case 'd':
			o->detach = true;
			break;
		case 'f':
			o->force = true;
			break;
		case 'a':
			o->all = true;
			break;
		case OPT_IGNORED:
		case OPT_IGNORED_VALUE:
			break;
		default:
			return error_new(ERR_USAGE, "unknown option of oci");
		}
	}
	*command = optind < argc ? argv[optind] : NULL;
	oci->id = optind + 1 < argc ? argv[optind + 1] : NULL;
	oci->signal = optind + 2 < argc ? argv[optind + 2] : NULL;
	if (*command == NULL || oci->id == NULL)
		return error_new(ERR_USAGE, "oci needs a command (create, start, state, kill, delete, run) and a container id");
	if (!node_id_valid(oci->id))
		return error_new(ERR_USAGE, "\"%s\" is not a container id", oci->id);
	return NULL;
}

static struct error *run_command(struct oci *oci, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct error *err;

		if (strcmp(commands[i].name, name) != 0)
			continue;
		err = commands[i].makes ? container_seal_program() : NULL;
		return err == NULL ? commands[i].run(oci) : err;
	}
	return error_new(ERR_USAGE, "oci has no command \"%s\"", name);
}

/* Engines read the reason of a failure from --log. */
static void report(struct oci *oci, const struct error *err)
{
	AUTO_BUF struct buf line = { 0 };
	AUTO_FD int fd = -1;
	char now[TIME_TEXT];

	fprintf(stderr, "oci: %s\n", err->text);
	if (oci->options.log == NULL)
		return;
	if (oci->options.log_json)
		json_write(&line, JSON_OBJECT_OF(oci->arena, { "msg", json_text(oci->arena, err->text) },
						 { "level", json_text(oci->arena, "error") },
						 { "time", json_string(oci->arena, time_format(now, clock_now())) }));
	else
		buf_add(&line, str_from(err->text));
	buf_putc(&line, '\n');
	fd = open(oci->options.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		error_free(fd_write_all(fd, buf_str(&line)));
}

int oci_main(int argc, char **argv)
{
	struct oci oci = { .arena = arena_new() };
	const char *command;
	struct error *err = parse(&oci, argc, argv, &command);
	int code;

	if (err == NULL)
		err = run_command(&oci, command);
	code = oci.exit_code;
	if (err != NULL) {
		report(&oci, err);
		code = error_exit_code(err->kind);
		error_free(err);
	}
	arena_free(oci.arena);
	return code;
}
