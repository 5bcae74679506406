#include "tests/unit/runtime/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "runtime/files.h"
#include "tests/unit/tap.h"

#define WAIT_MS 20000

void fixture_need_root(void)
{
	if (geteuid() != 0)
		tap_skip("needs root");
	if (access("/bin/busybox", X_OK) != 0)
		tap_skip("needs busybox-static");
}

const char *fixture_driver(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);

	CHECK(n > 0);
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/driver");
	return path;
}

int fixture_command(const char *format, ...)
{
	AUTO_BUF struct buf line = { 0 };
	va_list args;
	int status;

	va_start(args, format);
	buf_vprintf(&line, format, args);
	va_end(args);
	status = system(buf_cstr(&line));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

static void exited(void *arg, const struct node_container *c)
{
	struct fixture *f = arg;

	snprintf(f->exited_id, sizeof(f->exited_id), "%s", c->id);
	f->exited = *c;
	f->exited.id = f->exited_id;
	f->exited.message = c->message != NULL ? arena_strdup(f->arena, c->message) : NULL;
}

static void exec_exited(void *arg, const struct node_exec_exit *event)
{
	struct fixture *f = arg;

	f->exec_exited = *event;
}

static void closed(void *arg, const struct error *err)
{
	struct fixture *f = arg;

	(void)err;
	f->closed = true;
}

static const struct node_handlers handlers = { exited, exec_exited, closed };

int fixture_start_node(struct fixture *f)
{
	return fixture_command("%s node --name %s --root %s/root --socket %s --images %s/images --log %s/node.log",
			       fixture_driver(), f->name, f->dir, f->socket, f->dir, f->dir);
}

static void expect_ok(void *arg, struct node_reply *reply)
{
	(void)arg;
	if (reply->err != NULL)
		fprintf(stderr, "# %s\n", reply->err->text);
}

void fixture_connect(struct fixture *f)
{
	node_client_free(f->client);
	f->client = NULL;
	f->closed = false;
	CHECK_OK(node_client_open(f->socket, &handlers, f, &f->client));
	node_subscribe(f->client, &(struct node_nothing){ 0 }, expect_ok, NULL);
	CHECK_OK(node_client_drain(f->client, WAIT_MS));
}

/* --- what a failed test leaves: taken away by the next one, or at the end --- */

static struct fixture *unfinished;

static void abandon(void)
{
	char group[64];

	if (unfinished == NULL)
		return;
	if (unfinished->client != NULL && !unfinished->closed) {
		kill(fixture_node_pid(unfinished), SIGKILL);
		usleep(200000);
	}
	node_client_free(unfinished->client);
	snprintf(group, sizeof(group), "monokube/%s", unfinished->name);
	error_free(node_remove_group(group));
	error_free(dir_remove(AT_FDCWD, unfinished->dir));
	arena_free(unfinished->arena);
	unfinished = NULL;
}

void fixture_begin_directory(struct fixture *f)
{
	static bool registered;

	fixture_need_root();
	abandon();
	if (!registered)
		registered = atexit(abandon) == 0;
	memset(f, 0, sizeof(*f));
	f->arena = arena_new();
	snprintf(f->dir, sizeof(f->dir), "/tmp/monokube-test-XXXXXX");
	CHECK(mkdtemp(f->dir) != NULL);
	unfinished = f;
}

static void make_layer(struct fixture *f)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/images/busybox", f->dir);
	CHECK_EQ(fixture_command("mkdir -p %s/bin %s/etc %s/tmp && chmod 1777 %s/tmp && cp /bin/busybox %s/bin/ && "
				 "for a in sh cat echo true false sleep id ls mount touch grep hostname kill wc dd mkdir stat "
				 "ps env unshare chroot mknod ulimit head seq tr dmesg ip; do ln -sf busybox %s/bin/$a; done",
				 path, path, path, path, path, path),
		 0);
	CHECK_EQ(fixture_command("printf 'root:x:0:0:root:/root:/bin/sh\\nweb:x:1000:1000::/home/web:/bin/sh\\n' > %s/etc/passwd; "
				 "printf 'root:x:0:\\nweb:x:1000:\\nextra:x:50000:web\\n' > %s/etc/group",
				 path, path),
		 0);
}

void fixture_start(struct fixture *f)
{
	fixture_begin_directory(f);
	snprintf(f->name, sizeof(f->name), "test-%s", f->dir + strlen(f->dir) - 6);
	snprintf(f->socket, sizeof(f->socket), "%s/node.sock", f->dir);
	make_layer(f);
	if (fixture_start_node(f) != 0)
		tap_fail(__FILE__, __LINE__, "the node does not start");
	fixture_connect(f);
}

int fixture_node_pid(struct fixture *f)
{
	struct {
		int pid;
		unsigned uid, gid;
	} peer = { 0 };
	socklen_t len = sizeof(peer);

	CHECK(getsockopt(node_client_fd(f->client), SOL_SOCKET, 17 /* SO_PEERCRED */, &peer, &len) == 0);
	return peer.pid;
}

void fixture_pump(struct fixture *f, int ms)
{
	struct pollfd p = { .fd = node_client_fd(f->client), .events = node_client_events(f->client) };

	if (poll(&p, 1, ms) == 1)
		node_client_readable(f->client);
}

void fixture_stop(struct fixture *f)
{
	char group[64];

	if (f->client != NULL && !f->closed) {
		node_shutdown(f->client, &(struct node_shutdown){ 0 }, NULL, NULL);
		for (int i = 0; i < 200 && !f->closed; i++)
			fixture_pump(f, 50);
		CHECK(f->closed);
	}
	node_client_free(f->client);
	f->client = NULL;
	snprintf(group, sizeof(group), "monokube/%s", f->name);
	CHECK_OK(node_remove_group(group));
	/* what the sanitizers have to say goes to the log; LeakSanitizer cannot look at init of a pid namespace everywhere */
	CHECK_EQ(fixture_command("! grep -A20 -e 'ERROR: A' -e 'runtime error' -e 'detected memory leaks' %s/node.log", f->dir), 0);
	CHECK_OK(dir_remove(AT_FDCWD, f->dir));
	arena_free(f->arena);
	unfinished = NULL;
}

struct runtime_spec fixture_spec(struct fixture *f, const char *id, const char *script)
{
	struct runtime_spec spec;

	runtime_spec_init(f->arena, &spec, id);
	spec.layers = ARENA_ARRAY(f->arena, const char *, 2);
	spec.layers[0] = NODE_IMAGES "/busybox";
	spec.n_layers = 1;
	spec.args = ARENA_ARRAY(f->arena, const char *, 4);
	spec.args[0] = "sh";
	spec.args[1] = "-c";
	spec.args[2] = script;
	spec.n_args = 3;
	return spec;
}

/* --- calls --- */

struct result {
	struct error *err;
	uint32_t step;
	struct arena *arena;
	struct node_container container;
	struct node_exec_reply exec;
	int fds[4];
};

static void keep_error(struct result *r, struct node_reply *reply)
{
	r->err = reply->err;
	r->step = reply->step;
	reply->err = NULL;
}

static void keep_container(void *arg, struct node_reply *reply)
{
	struct result *r = arg;

	keep_error(r, reply);
	if (r->err == NULL)
		r->container = *(const struct node_container *)reply->body;
	/* borrowed text is not looked at by tests, except id and message */
	if (r->err == NULL && r->container.message != NULL)
		r->container.message = arena_strdup(r->arena, r->container.message);
}

static void keep_exec(void *arg, struct node_reply *reply)
{
	struct result *r = arg;

	keep_error(r, reply);
	if (r->err == NULL)
		r->exec = *(const struct node_exec_reply *)reply->body;
	for (size_t i = 0; i < reply->n_fds; i++)
		r->fds[i] = fd_take(&reply->fds[i]);
}

static void keep_nothing(void *arg, struct node_reply *reply)
{
	keep_error(arg, reply);
}

void fixture_sandbox(struct fixture *f, const char *id)
{
	struct result r = { .arena = f->arena };

	node_sandbox_create(
		f->client,
		&(struct node_sandbox_create){ .id = id, .hostname = "pod-host", .cgroup = arena_printf(f->arena, "pods/%s", id) },
		keep_nothing, &r);
	CHECK_OK(node_client_drain(f->client, WAIT_MS));
	CHECK_OK(r.err);
}

struct error *fixture_create(struct fixture *f, const char *sandbox, const struct runtime_spec *spec, uint32_t *step)
{
	struct result r = { .arena = f->arena };
	struct node_container_create request = { .spec = *spec, .sandbox = sandbox };

	request.log_path = arena_printf(f->arena, "/var/log/pods/%s/0.log", spec->id);
	node_container_create(f->client, &request, keep_container, &r);
	CHECK_OK(node_client_drain(f->client, WAIT_MS));
	if (step != NULL)
		*step = r.step;
	return r.err;
}

struct error *fixture_begin(struct fixture *f, const char *id, uint32_t *step)
{
	struct result r = { .arena = f->arena };

	f->exited_id[0] = '\0';
	node_container_start(f->client, &(struct node_ref){ .id = id }, keep_container, &r);
	CHECK_OK(node_client_drain(f->client, WAIT_MS));
	if (step != NULL)
		*step = r.step;
	return r.err;
}

void fixture_await_exit(struct fixture *f, const char *id)
{
	int64_t end = clock_mono() + WAIT_MS * NS_PER_MS;

	while (strcmp(f->exited_id, id) != 0) {
		if (clock_mono() > end || f->closed)
			tap_fail(__FILE__, __LINE__, "container %s does not end", id);
		fixture_pump(f, 100);
	}
}

int fixture_run(struct fixture *f, const struct runtime_spec *spec)
{
	CHECK_OK(fixture_create(f, "pod", spec, NULL));
	CHECK_OK(fixture_begin(f, spec->id, NULL));
	fixture_await_exit(f, spec->id);
	return f->exited.exit_code;
}

void fixture_remove(struct fixture *f, const char *id)
{
	struct result r = { .arena = f->arena };

	node_container_remove(f->client, &(struct node_ref){ .id = id }, keep_nothing, &r);
	CHECK_OK(node_client_drain(f->client, WAIT_MS));
	CHECK_OK(r.err);
}

struct node_container fixture_get(struct fixture *f, const char *id)
{
	struct result r = { .arena = f->arena };

	node_container_get(f->client, &(struct node_ref){ .id = id }, keep_container, &r);
	CHECK_OK(node_client_drain(f->client, WAIT_MS));
	CHECK_OK(r.err);
	return r.container;
}

struct str fixture_log(struct fixture *f, const char *id)
{
	AUTO_BUF struct buf raw = { 0 };
	struct buf text = { 0 };
	struct str rest, line, word, result;
	char path[192];

	snprintf(path, sizeof(path), "%s/root/var/log/pods/%s/0.log", f->dir, id);
	CHECK_OK(file_read_at(AT_FDCWD, path, 64 << 20, &raw));
	rest = buf_str(&raw);
	while (str_cut(&rest, '\n', &line)) {
		bool full;

		str_cut(&line, ' ', &word);
		str_cut(&line, ' ', &word);
		str_cut(&line, ' ', &word);
		full = str_is(word, "F");
		buf_add(&text, line);
		if (full)
			buf_putc(&text, '\n');
	}
	result = str_dup(f->arena, buf_str(&text));
	buf_fini(&text);
	return result;
}

struct str fixture_exec(struct fixture *f, const char *id, const char *script, int *code)
{
	struct result r = { .arena = f->arena, .fds = { -1, -1, -1, -1 } };
	struct node_exec request = { .id = id, .args = (const char *[]){ "sh", "-c", script }, .n_args = 3 };
	AUTO_BUF struct buf out = { 0 };
	char block[4096];
	ssize_t n;
	int64_t end = clock_mono() + WAIT_MS * NS_PER_MS;

	f->exec_exited.exec = 0;
	node_exec(f->client, &request, keep_exec, &r);
	CHECK_OK(node_client_drain(f->client, WAIT_MS));
	CHECK_OK(r.err);
	close(r.fds[0]);
	while ((n = read(r.fds[1], block, sizeof(block))) > 0)
		buf_append(&out, block, (size_t)n);
	while ((n = read(r.fds[2], block, sizeof(block))) > 0)
		buf_append(&out, block, (size_t)n);
	close(r.fds[1]);
	close(r.fds[2]);
	while (f->exec_exited.exec != r.exec.exec && clock_mono() < end)
		fixture_pump(f, 100);
	CHECK_EQ(f->exec_exited.exec, r.exec.exec);
	*code = f->exec_exited.exit_code;
	return str_dup(f->arena, buf_str(&out));
}

void fixture_no_reply(void *arg, struct node_reply *reply)
{
	*(struct error **)arg = reply->err;
	reply->err = NULL;
}
