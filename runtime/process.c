#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/caps.h"
#include "runtime/files.h"
#include "runtime/mounts.h"
#include "runtime/user.h"

#ifndef DEVPTS_SUPER_MAGIC
#define DEVPTS_SUPER_MAGIC 0x1cd1
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

struct process {
	const struct container_setup *setup;
	const struct runtime_spec *spec;
	int sync;
	int rootfd;
	struct user user;
	char program[PATH_MAX];
};

/* --- talking to the parent --- */

struct error *sync_send(int sync, const struct sync_message *message, int fd)
{
	size_t len = offsetof(struct sync_message, text) + strlen(message->text) + 1;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = len };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	while (sendmsg(sync, &msg, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return error_errno(errno, "handshake");
	}
	return NULL;
}

static struct error *say(struct process *p, enum sync_type type, int fd)
{
	struct sync_message message = { .type = type };

	return sync_send(p->sync, &message, fd);
}

static _Noreturn void give_up(struct process *p, enum node_step step, struct error *err)
{
	struct sync_message message = { .type = SYNC_ERROR, .step = step, .kind = err->kind, .code = err->code };

	snprintf(message.text, sizeof(message.text), "%s", err->text);
	error_free(err);
	error_free(sync_send(p->sync, &message, -1));
	_exit(127);
}

static struct error *await_go(struct process *p, int fd)
{
	struct sync_message message;
	ssize_t n;

	do {
		n = read(fd, &message, sizeof(message));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(errno, "wait for start");
	if (n == 0)
		_exit(127); /* the parent is gone or does not want it any more */
	(void)p;
	return NULL;
}

/* --- steps, in order --- */

static struct error *enter_cgroup(struct process *p)
{
	return cgroup_join(&p->setup->join);
}

static struct error *enter_running(struct process *p)
{
	/* everything at once by pidfd; the pid namespace came with clone */
	if (setns(p->setup->inside, (int)p->setup->inside_ns) != 0)
		return error_errno(errno, "enter the container");
	return NULL;
}

static struct error *enter_namespaces(struct process *p)
{
	static const enum runtime_ns order[] = { RUNTIME_NS_IPC, RUNTIME_NS_UTS, RUNTIME_NS_NET, RUNTIME_NS_CGROUP };
	const struct runtime_spec *spec = p->spec;

	if (p->setup->inside >= 0)
		return enter_running(p);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (spec->ns_fd[order[i]] >= 0 && setns(spec->ns_fd[order[i]], 0) != 0)
			return error_errno(errno, "enter namespace");
	}
	if (spec->ns_new & RUNTIME_NS_BIT(RUNTIME_NS_USER)) {
		struct error *err = say(p, SYNC_MAPS, -1);

		if (err == NULL)
			err = await_go(p, p->sync);
		if (err != NULL)
			return err;
		if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
			return error_errno(errno, "become root of the user namespace");
	}
	/* after the control group was entered: the namespace begins there */
	if (spec->ns_new & RUNTIME_NS_BIT(RUNTIME_NS_CGROUP) && unshare(CLONE_NEWCGROUP) != 0)
		return error_errno(errno, "new cgroup namespace");
	return NULL;
}

static struct error *set_oom_score(const struct runtime_spec *spec)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", spec->oom_score_adj);
	struct error *err;

	if (!spec->has_oom_score_adj)
		return NULL;
	err = file_write_at(AT_FDCWD, "/proc/self/oom_score_adj", str_of(text, (size_t)n));
	if (err != NULL && err->kind == ERR_PERMISSION) { /* lower than ours needs CAP_SYS_RESOURCE: stay as we are */
		error_free(err);
		err = NULL;
	}
	return err;
}

static struct error *set_rlimits(const struct runtime_spec *spec)
{
	for (size_t i = 0; i < spec->n_rlimits; i++) {
		const struct runtime_rlimit *r = &spec->rlimits[i];
		struct rlimit now, want = { .rlim_cur = r->soft, .rlim_max = r->hard };

		if (setrlimit((__rlimit_resource_t)r->type, &want) == 0)
			continue;
		if (errno != EPERM || getrlimit((__rlimit_resource_t)r->type, &now) != 0)
			return error_errno(errno, "set resource limit %u", r->type);
		want.rlim_max = want.rlim_max > now.rlim_max ? now.rlim_max : want.rlim_max;
		want.rlim_cur = want.rlim_cur > want.rlim_max ? want.rlim_max : want.rlim_cur;
		if (setrlimit((__rlimit_resource_t)r->type, &want) != 0)
			return error_errno(errno, "set resource limit %u", r->type);
	}
	return NULL;
}

/* Through the old root's /proc, which nobody prepared; what is namespaced follows the caller. */
static struct error *set_sysctls(const struct runtime_spec *spec)
{
	for (size_t i = 0; i < spec->n_sysctls; i++) {
		char path[PATH_MAX];
		struct error *err;
		size_t start;

		start = (size_t)snprintf(path, sizeof(path), "/proc/sys/");
		snprintf(path + start, sizeof(path) - start, "%s", spec->sysctls[i].key);
		for (char *at = path + start; *at != '\0'; at++)
			*at = (char)(*at == '.' ? '/' : *at == '/' ? '.' : *at);
		if (strstr(path, "/../") != NULL)
			return error_new(ERR_INVALID, "sysctl %s", spec->sysctls[i].key);
		err = file_write_at(AT_FDCWD, path, str_from(spec->sysctls[i].value));
		if (err != NULL)
			return error_context(err, "sysctl %s", spec->sysctls[i].key);
	}
	return NULL;
}

static struct error *set_names(const struct runtime_spec *spec)
{
	if (!(spec->ns_new & RUNTIME_NS_BIT(RUNTIME_NS_UTS)))
		return NULL;
	if (spec->hostname != NULL && sethostname(spec->hostname, strlen(spec->hostname)) != 0)
		return error_errno(errno, "set host name");
	if (spec->domainname != NULL && setdomainname(spec->domainname, strlen(spec->domainname)) != 0)
		return error_errno(errno, "set domain name");
	return NULL;
}

static struct error *prepare(struct process *p)
{
	struct error *err = NULL;

	if (setsid() < 0 && errno != EPERM)
		return error_errno(errno, "setsid");
	if (p->setup->inside >= 0)
		return NULL; /* the root and its /proc are the container's now: see prepare_exec */
	err = set_oom_score(p->spec);
	if (err == NULL)
		err = set_rlimits(p->spec);
	if (err == NULL)
		err = set_names(p->spec);
	return err == NULL ? set_sysctls(p->spec) : err;
}

/* Before the container's namespaces are entered, so that /proc is the old root's. */
static struct error *prepare_exec(struct process *p)
{
	struct error *err = NULL;

	if (p->setup->inside < 0)
		return NULL;
	err = set_oom_score(p->spec);
	return err == NULL ? set_rlimits(p->spec) : err;
}

static struct error *make_root(struct process *p)
{
	struct error *err;

	if (p->setup->inside >= 0)
		return NULL;
	err = mounts_root(p->spec, p->setup->cgroups, &p->rootfd);
	if (err == NULL)
		err = mounts_enter(p->spec, p->rootfd);
	return err;
}

static struct error *find_user(struct process *p)
{
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return error_errno(errno, "open root");
	return user_find(root,
			 &(struct user_query){ .text = p->spec->user,
					       .gid = p->spec->gid,
					       .groups = p->spec->groups,
					       .n_groups = p->spec->n_groups,
					       .strict = p->spec->groups_strict },
			 &p->user);
}

/* --- standard streams --- */

/* The terminal's master is the container's own devpts, found by what it is, not by its name. */
static struct error *open_master(int *out)
{
	AUTO_FD int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	struct statfs fs;

	if (fd < 0)
		return error_errno(errno, "open /dev/ptmx");
	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
		return error_errno(errno, "look at /dev/ptmx");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || fs.f_type != DEVPTS_SUPER_MAGIC)
		return error_new(ERR_INVALID, "/dev/ptmx of the container is not a terminal multiplexer");
	*out = fd_take(&fd);
	return NULL;
}

static struct error *bind_console(int slave)
{
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), target = -1;
	struct stat st;
	struct error *err = path_in_root(root, "/dev/console", PATH_MAKE_FILE, &target);

	if (err != NULL)
		return err;
	if (fstat(target, &st) != 0 || S_ISDIR(st.st_mode))
		return error_new(ERR_INVALID, "/dev/console of the container is a directory");
	return mounts_bind(&(struct bind){ .source = slave, .target = target });
}

static struct error *open_terminal(struct process *p)
{
	AUTO_FD int master = -1, slave = -1;
	int unlock = 0;
	struct winsize size = { .ws_row = (unsigned short)p->spec->rows, .ws_col = (unsigned short)p->spec->columns };
	struct error *err = open_master(&master);

	if (err != NULL)
		return err;
	if (ioctl(master, TIOCSPTLCK, &unlock) != 0)
		return error_errno(errno, "unlock terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_errno(errno, "open terminal");
	if (size.ws_row != 0 && ioctl(master, TIOCSWINSZ, &size) != 0)
		return error_errno(errno, "size terminal");
	if (fchown(slave, p->user.uid, (gid_t)-1) != 0 && errno != EPERM && errno != EROFS)
		return error_errno(errno, "own terminal");
	if (p->setup->inside < 0)
		err = bind_console(slave);
	if (err == NULL)
		err = say(p, SYNC_CONSOLE, master);
	if (err != NULL)
		return err;
	if (ioctl(slave, TIOCSCTTY, 0) != 0)
		return error_errno(errno, "take terminal");
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(slave, fd) < 0)
			return error_errno(errno, "connect terminal");
	}
	return NULL;
}

/* Pipes belong to the user, so that /dev/stdout can be opened by name. */
static struct error *connect_stdio(struct process *p)
{
	AUTO_FD int null = -1;
	int from[3];

	for (int fd = 0; fd < 3; fd++) {
		struct stat st;

		from[fd] = p->setup->stdio[fd];
		if (from[fd] < 0) {
			if (null < 0)
				null = open("/dev/null", O_RDWR | O_CLOEXEC);
			if (null < 0)
				return error_errno(errno, "open /dev/null");
			from[fd] = null;
		} else if (p->user.uid != 0 && fstat(from[fd], &st) == 0 && S_ISFIFO(st.st_mode) &&
			   fchown(from[fd], p->user.uid, (gid_t)-1) != 0) {
			return error_errno(errno, "own standard stream %d", fd);
		}
		if (from[fd] < 3 && from[fd] != fd) { /* would be overwritten before its turn */
			from[fd] = fcntl(from[fd], F_DUPFD_CLOEXEC, 10);
			if (from[fd] < 0)
				return error_errno(errno, "connect standard stream %d", fd);
		}
	}
	for (int fd = 0; fd < 3; fd++) {
		if (from[fd] == fd ? fcntl(fd, F_SETFD, 0) < 0 : dup2(from[fd], fd) < 0)
			return error_errno(errno, "connect standard stream %d", fd);
	}
	return NULL;
}

static struct error *set_streams(struct process *p)
{
	return p->spec->terminal ? open_terminal(p) : connect_stdio(p);
}

/* --- directory and program --- */

static struct error *enter_directory(struct process *p)
{
	const char *cwd = p->spec->cwd != NULL && p->spec->cwd[0] != '\0' ? p->spec->cwd : "/";
	char now[PATH_MAX];

	if (cwd[0] != '/')
		return error_new(ERR_INVALID, "working directory %s is not absolute", cwd);
	if (chdir(cwd) != 0) {
		AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), dir = -1;
		struct error *err;

		if (errno != ENOENT)
			return error_errno(errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
		err = path_in_root(root, cwd, PATH_MAKE_DIRECTORY, &dir);
		if (err != NULL)
			return error_context(err, "mkdir %s", cwd);
		if (fchdir(dir) != 0)
			return error_errno(errno, "chdir to cwd (\"%s\") set in config.json failed", cwd);
	}
	/* a directory that leads out of the root (an inherited descriptor) has no name inside */
	if (getcwd(now, sizeof(now)) == NULL || now[0] != '/')
		return error_new(ERR_PERMISSION, "current working directory is outside of container mount namespace root");
	return NULL;
}

static const char *env_find(const struct runtime_spec *spec, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = spec->n_env; i-- > 0;) {
		if (strncmp(spec->env[i], name, n) == 0 && spec->env[i][n] == '=')
			return spec->env[i] + n + 1;
	}
	return NULL;
}

static bool executable(const char *path, int *code)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		*code = errno;
		return false;
	}
	if (S_ISDIR(st.st_mode) || access(path, X_OK) != 0) {
		*code = EACCES;
		return false;
	}
	return true;
}

/* As exec.LookPath does it, in its words. */
static struct error *find_program(struct process *p)
{
	const char *name = p->spec->n_args != 0 ? p->spec->args[0] : "";
	const char *path = env_find(p->spec, "PATH");
	struct str rest = str_from(path != NULL ? path : ""), dir;
	int code = ENOENT;

	if (name[0] == '\0')
		return error_new(ERR_INVALID, "no command specified");
	if (strchr(name, '/') != NULL) {
		snprintf(p->program, sizeof(p->program), "%s", name);
		if (executable(name, &code))
			return NULL;
		if (code == EACCES)
			return error_make(__FILE__, __LINE__, ERR_PERMISSION, code, "exec: \"%s\": permission denied", name);
		return error_make(__FILE__, __LINE__, ERR_NOT_FOUND, code, "exec: \"%s\": stat %s: %s", name, name,
				  code == ENOENT ? "no such file or directory" : strerror(code));
	}
	while (str_cut(&rest, ':', &dir)) {
		int found = ENOENT;

		snprintf(p->program, sizeof(p->program), "%.*s/%s", STR_ARG(dir.len != 0 ? dir : STR(".")), name);
		if (executable(p->program, &found))
			return NULL;
		code = found == EACCES ? EACCES : code;
	}
	if (code == EACCES)
		return error_make(__FILE__, __LINE__, ERR_PERMISSION, code, "exec: \"%s\": permission denied", name);
	return error_make(__FILE__, __LINE__, ERR_NOT_FOUND, code, "exec: \"%s\": executable file not found in $PATH", name);
}

/* --- the last part: rights go, the program comes --- */

static struct error *become_user(struct process *p)
{
	const struct runtime_spec *spec = p->spec;

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return error_errno(errno, "keep capabilities");
	if (setgroups(p->user.n_groups, p->user.groups) != 0 && !(errno == EPERM && p->user.n_groups == 0))
		return error_errno(errno, "set groups");
	if (setresgid(p->user.gid, p->user.gid, p->user.gid) != 0)
		return error_errno(errno, "set group");
	if (setresuid(p->user.uid, p->user.uid, p->user.uid) != 0)
		return error_errno(errno, "set user");
	umask(spec->umask >= 0 ? (mode_t)spec->umask : 022);
	return NULL;
}

static struct error *confine(struct process *p)
{
	const struct runtime_spec *spec = p->spec;
	const uint64_t caps = spec->caps & caps_held(); /* a root without some rights gives the rest */
	const struct caps_sets sets = { .effective = caps,
					.permitted = caps,
					.inheritable = (spec->caps_inheritable | spec->caps_ambient) & caps,
					.ambient = spec->caps_ambient & caps };
	struct error *err = NULL;

	if (spec->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return error_errno(errno, "set no_new_privs");
	if (!spec->no_new_privs) /* needs CAP_SYS_ADMIN, which is about to go */
		err = seccomp_install(p->setup->seccomp);
	if (err == NULL)
		err = caps_bound(caps);
	if (err == NULL)
		err = become_user(p);
	if (err == NULL)
		err = caps_apply(&sets);
	if (err == NULL && spec->no_new_privs)
		err = seccomp_install(p->setup->seccomp);
	return err;
}

static char **environment(struct process *p)
{
	const struct runtime_spec *spec = p->spec;
	char **env = xcalloc(spec->n_env + 2, sizeof(*env));
	size_t n = 0;

	for (size_t i = 0; i < spec->n_env; i++)
		env[n++] = (char *)(uintptr_t)spec->env[i];
	if (env_find(spec, "HOME") == NULL)
		env[n++] = xasprintf("HOME=%s", p->user.home);
	return env;
}

static struct error *exec_program(struct process *p)
{
	char **argv = xcalloc(p->spec->n_args + 1, sizeof(*argv)), **env = environment(p);
	int code;

	for (size_t i = 0; i < p->spec->n_args; i++)
		argv[i] = (char *)(uintptr_t)p->spec->args[i];
	execve(p->program, argv, env);
	code = errno;
	if (code == ENOENT)
		return error_make(__FILE__, __LINE__, ERR_NOT_FOUND, code, "exec %s: no such file or directory", p->program);
	if (code == ENOEXEC)
		return error_make(__FILE__, __LINE__, ERR_INVALID, code, "exec %s: exec format error", p->program);
	if (code == EACCES)
		return error_make(__FILE__, __LINE__, ERR_PERMISSION, code, "exec %s: permission denied", p->program);
	return error_errno(code, "exec %s", p->program);
}

static struct error *ready(struct process *p)
{
	struct error *err = say(p, SYNC_READY, -1);

	return err == NULL ? await_go(p, p->setup->gate >= 0 ? p->setup->gate : p->sync) : err;
}

/* Nothing of ours stays open in the program, and no signal setting. */
static struct error *clean(struct process *p)
{
	sigset_t none;

	(void)p;
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		return error_errno(errno, "unblock signals");
	if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) != 0 && errno != EINVAL && errno != ENOSYS)
		return error_errno(errno, "close descriptors");
	return NULL;
}

static const struct {
	enum node_step step;
	struct error *(*run)(struct process *p);
} steps[] = {
	{ NODE_STEP_CGROUP, enter_cgroup },  { NODE_STEP_CONFINE, prepare_exec }, { NODE_STEP_NAMESPACE, enter_namespaces },
	{ NODE_STEP_CONFINE, prepare },      { NODE_STEP_MOUNT, make_root },      { NODE_STEP_USER, find_user },
	{ NODE_STEP_TERMINAL, set_streams }, { NODE_STEP_CWD, enter_directory },  { NODE_STEP_EXEC, find_program },
	{ NODE_STEP_NONE, ready },           { NODE_STEP_CONFINE, clean },        { NODE_STEP_CONFINE, confine },
	{ NODE_STEP_EXEC, exec_program },
};

void process_main(const struct container_setup *setup, int sync)
{
	static struct process p;

	p = (struct process){ .setup = setup, .spec = setup->spec, .sync = sync, .rootfd = -1 };
	/* nobody in the container may look into this process while it still is ours */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct error *err = steps[i].run(&p);

		if (err != NULL)
			give_up(&p, steps[i].step, err);
	}
	_exit(127);
}
