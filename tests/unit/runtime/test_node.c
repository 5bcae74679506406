/* Containers for real, in a node of the test's own. Needs root. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "runtime/files.h"
#include "tests/unit/runtime/fixture.h"
#include "tests/unit/tap.h"

static struct fixture f;

static int run(const char *id, const char *script)
{
	struct runtime_spec spec = fixture_spec(&f, id, script);

	return fixture_run(&f, &spec);
}

#define CHECK_LOG(id, want) CHECK_STR(fixture_log(&f, id), want)

TEST(container_exit_codes_and_logs)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	CHECK_EQ(run("true", "true"), 0);
	CHECK_EQ(f.exited.state, NODE_EXITED);
	CHECK(f.exited.started_at != 0 && f.exited.finished_at >= f.exited.started_at);
	CHECK_EQ(run("seven", "echo out; echo err >&2; exit 7"), 7);
	CHECK_EQ(run("immune", "kill -9 $$"), 0); /* pid 1 does not kill itself */
	spec = fixture_spec(&f, "path", "echo $PATH");
	spec.n_env = 0;
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("path", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
	spec = fixture_spec(&f, "pid", "echo $$; hostname; cat /proc/1/comm; set -- /proc/[0-9]*; echo $#");
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("pid", "1\npod-host\nsh\n1\n");
	CHECK_EQ(run("long", "seq 1 20000"), 0);
	CHECK(str_has_suffix(fixture_log(&f, "long"), STR("\n19999\n20000\n")));
	fixture_remove(&f, "true");
	fixture_remove(&f, "true"); /* twice is fine */
	fixture_stop(&f);
}

TEST(container_is_confined)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	/* capabilities: runc's fourteen */
	CHECK_EQ(run("caps", "grep Cap /proc/self/status | tr -d '\\t'; grep Seccomp: /proc/self/status | tr -d '\\t'"), 0);
	CHECK_LOG("caps", "CapInh:0000000000000000\nCapPrm:00000000a80425fb\nCapEff:00000000a80425fb\nCapBnd:00000000a80425fb\n"
			  "CapAmb:0000000000000000\nSeccomp:2\n");
	/* masked and read-only paths */
	CHECK_EQ(run("masked",
		     "wc -c </proc/keys; wc -c </proc/timer_list; ls /sys/firmware | wc -l; "
		     "(echo 1 >/proc/sys/kernel/domainname) 2>/dev/null || echo ro; "
		     "(echo h >/proc/sysrq-trigger) 2>/dev/null || echo ro; mkdir /sys/fs/cgroup/x 2>/dev/null || echo ro"),
		 0);
	CHECK_LOG("masked", "0\n0\n0\nro\nro\nro\n");
	/* seccomp and rights: no mount, no namespaces, no raw devices */
	CHECK_EQ(run("denied", "mount -t tmpfs x /tmp 2>/dev/null && echo bad; unshare -n true 2>/dev/null && echo bad; "
			       "mknod /tmp/d b 254 0 && { head -c 1 /tmp/d >/dev/null 2>&1 && echo bad; }; echo done"),
		 0);
	CHECK_LOG("denied", "done\n");
	/* nothing of ours is open */
	CHECK_EQ(run("fds", "ls /proc/self/fd | tr '\\n' ' '"), 0);
	CHECK_LOG("fds", "0 1 2 3 "); /* 3 is ls's own */
	CHECK_EQ(run("devices", "ls /dev | tr '\\n' ' '; echo x >/dev/null; head -c 3 /dev/zero | wc -c; ls /dev/pts"), 0);
	CHECK_LOG("devices", "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 3\nptmx\n");
	/* read-only root with mount points that the image lacks */
	spec = fixture_spec(
		&f, "readonly",
		"(echo x >/file) 2>/dev/null || echo ro; ls -d /dev/null /proc/1 /sys/fs; echo y >/tmp/t && cat /tmp/t");
	spec.readonly_root = true;
	runtime_spec_add_mount(f.arena, &spec, "/tmp", "tmpfs", "tmpfs")->data = "size=1m";
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("readonly", "ro\n/dev/null\n/proc/1\n/sys/fs\ny\n");
	fixture_stop(&f);
}

TEST(container_privileged_is_not)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "priv",
			    "mount -t tmpfs x /tmp && echo mounted; mkdir /sys/fs/cgroup/*/x 2>/dev/null; "
			    "grep Seccomp: /proc/self/status | tr -d '\\t'; echo 0 >/proc/sys/net/ipv4/ip_forward && echo rw");
	runtime_spec_privileged(f.arena, &spec);
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("priv", "mounted\nSeccomp:0\nrw\n");
	fixture_stop(&f);
}

TEST(container_users)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(
		&f, "name",
		"id -u; id -g; id -G; echo $HOME; grep -c CapEff:.0000000000000000 /proc/self/status; echo x >/dev/stdout");
	spec.user = "web";
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("name", "1000\n1000\n1000 50000\n/home/web\n1\nx\n");
	spec = fixture_spec(&f, "number", "id -u; id -G; touch /tmp/mine; stat -c %u:%g /tmp/mine; pwd");
	spec.user = "1000";
	spec.gid = 3;
	spec.groups = (uint32_t[]){ 77 };
	spec.n_groups = 1;
	spec.cwd = "/made/for/me";
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("number", "1000\n3 77 50000\n1000:3\n/made/for/me\n");
	/* no_new_privs */
	spec = fixture_spec(&f, "nnp", "grep NoNewPrivs /proc/self/status | tr -d '\\t'; id -u");
	spec.user = "web";
	spec.no_new_privs = true;
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("nnp", "NoNewPrivs:1\n1000\n");
	fixture_stop(&f);
}

static void expect_failure(const struct runtime_spec *spec, enum error_kind kind, enum node_step step, const char *text)
{
	uint32_t at;
	struct error *err = fixture_create(&f, "pod", spec, &at);

	CHECK(err != NULL);
	CHECK_STR(err->text, text);
	CHECK_EQ(err->kind, kind);
	CHECK_EQ(at, step);
	error_free(err);
}

static void keep_list(void *arg, struct node_reply *reply)
{
	const struct node_list_reply *list = reply->body;

	CHECK(reply->err == NULL);
	*(size_t *)arg = list->n_containers;
}

static size_t count_containers(void)
{
	size_t n = 0;

	node_list(f.client, &(struct node_nothing){ 0 }, keep_list, &n);
	CHECK_OK(node_client_drain(f.client, 5000));
	return n;
}

TEST(container_that_cannot_be_made_leaves_nothing)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "x", "true");
	spec.args = (const char *[]){ "no-such-program" };
	spec.n_args = 1;
	expect_failure(&spec, ERR_NOT_FOUND, NODE_STEP_EXEC, "exec: \"no-such-program\": executable file not found in $PATH");
	spec.args = (const char *[]){ "/etc/passwd" };
	expect_failure(&spec, ERR_PERMISSION, NODE_STEP_EXEC, "exec: \"/etc/passwd\": permission denied");
	spec.args = (const char *[]){ "/absent" };
	expect_failure(&spec, ERR_NOT_FOUND, NODE_STEP_EXEC, "exec: \"/absent\": stat /absent: no such file or directory");
	spec = fixture_spec(&f, "x", "true");
	spec.user = "ghost";
	expect_failure(&spec, ERR_NOT_FOUND, NODE_STEP_USER, "unable to find user ghost: no matching entries in passwd file");
	spec = fixture_spec(&f, "x", "true");
	runtime_spec_add_mount(f.arena, &spec, "/data", "bind", "/no/such/source");
	expect_failure(&spec, ERR_NOT_FOUND, NODE_STEP_MOUNT,
		       "mount /no/such/source on /data: open source /no/such/source: No such file or directory");
	spec = fixture_spec(&f, "x", "true");
	spec.layers[0] = NODE_IMAGES "/absent";
	expect_failure(&spec, ERR_NOT_FOUND, NODE_STEP_ROOTFS, "open layer /run/monokube/images/absent: No such file or directory");
	spec = fixture_spec(&f, "../x", "true");
	expect_failure(&spec, ERR_INVALID, NODE_STEP_REQUEST, "not a container id");
	CHECK_EQ(count_containers(), 0);
	CHECK_EQ(fixture_command("test -z \"$(ls %s/root/var/lib/monokube/containers)\"", f.dir), 0);
	CHECK_EQ(fixture_command("test -z \"$(find /sys/fs/cgroup -path '*%s/pods/pod/x')\"", f.name), 0);
	fixture_stop(&f);
}

TEST(container_limits)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "oom", "dd if=/dev/zero of=/dev/null bs=64M count=1");
	spec.limits.memory = 16 << 20;
	spec.limits.memory_swap = 16 << 20;
	spec.seccomp.mode = RUNTIME_SECCOMP_UNCONFINED;
	CHECK_EQ(fixture_run(&f, &spec), 137);
	CHECK(f.exited.oom_killed);
	CHECK_EQ(f.exited.signal, SIGKILL);
	spec = fixture_spec(&f, "pids", "for i in $(seq 1 20); do sleep 1 & done 2>/dev/null; echo never");
	spec.limits.pids = 5;
	CHECK_EQ(fixture_run(&f, &spec), 2);
	CHECK(!f.exited.oom_killed);
	spec = fixture_spec(&f, "rlimit", "ulimit -n; ulimit -c");
	spec.rlimits = (struct runtime_rlimit[]){ { 7 /* NOFILE */, 77, 99 }, { 4 /* CORE */, 0, 0 } };
	spec.n_rlimits = 2;
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("rlimit", "77\n0\n");
	spec = fixture_spec(&f, "oomadj", "cat /proc/self/oom_score_adj");
	spec.has_oom_score_adj = true;
	spec.oom_score_adj = 944;
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("oomadj", "944\n");
	fixture_stop(&f);
}

/* They come from a directory that containers with the same mounts share, and others do not see. */
TEST(mount_points_are_not_made_in_the_writable_layer)
{
	static const char upper[] = "test ! -e %s/root/var/lib/monokube/containers/%s/upper/deep";

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	CHECK_EQ(fixture_command("mkdir -p %s/root/var/lib/kubelet/v && echo hello >%s/root/var/lib/kubelet/v/file", f.dir, f.dir),
		 0);
	for (int i = 0; i < 2; i++) {
		const char *id = i == 0 ? "first" : "second";
		struct runtime_spec spec =
			fixture_spec(&f, id, "cat /deep/down/here/file /deep/file; echo x >/deep/mine; ls /deep");

		runtime_spec_add_mount(f.arena, &spec, "/deep/down/here", "bind", "/var/lib/kubelet/v");
		runtime_spec_add_mount(f.arena, &spec, "/deep/file", "bind", "/var/lib/kubelet/v/file");
		CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
		CHECK_EQ(fixture_command(upper, f.dir, id), 0); /* until it writes there itself */
		CHECK_OK(fixture_begin(&f, id, NULL));
		fixture_await_exit(&f, id);
		CHECK_STR(fixture_log(&f, id), "hello\nhello\ndown\nfile\nmine\n");
	}
	CHECK_EQ(run("other", "ls -d /deep /deep/mine 2>&1 | wc -l; test -e /deep || echo none"), 0);
	CHECK_LOG("other", "2\nnone\n");
	fixture_stop(&f);
}

/* A container that was made and not started has copies of all that the node had open. */
TEST(node_that_closes_a_connection_is_heard)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval second = { .tv_sec = 1 };
	struct runtime_spec spec;
	char byte;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	memcpy(addr.sun_path, f.socket, strlen(f.socket) + 1);
	CHECK(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) == 0);
	spec = fixture_spec(&f, "waiting", "true");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK(write(fd, "this is no frame of the protocol", 32) == 32);
	CHECK_EQ(read(fd, &byte, 1), 0);
	fixture_stop(&f);
}

TEST(container_volumes)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	CHECK_EQ(fixture_command("mkdir -p %s/root/var/lib/kubelet/v/sub && echo hello >%s/root/var/lib/kubelet/v/file", f.dir,
				 f.dir),
		 0);
	spec = fixture_spec(
		&f, "vol",
		"cat /data/file; (echo x >/data/new) 2>/dev/null || echo ro; echo y >/rw/new; cat /etc/one; echo z >/dev/shm/z");
	runtime_spec_add_mount(f.arena, &spec, "/data", "bind", "/var/lib/kubelet/v")->flags |= MS_RDONLY | MS_REC;
	runtime_spec_add_mount(f.arena, &spec, "/rw", "bind", "/var/lib/kubelet/v/sub");
	runtime_spec_add_mount(f.arena, &spec, "/etc/one", "bind", "/var/lib/kubelet/v/file");
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("vol", "hello\nro\nhello\n");
	CHECK_EQ(fixture_command("grep -q y %s/root/var/lib/kubelet/v/sub/new", f.dir), 0);
	/* /dev/shm belongs to the pod */
	CHECK_EQ(run("shm", "cat /dev/shm/z"), 0);
	CHECK_LOG("shm", "z\n");
	fixture_stop(&f);
}

static void kill_container(const char *id, int signal)
{
	struct error *err = NULL;

	node_container_kill(f.client, &(struct node_kill){ .id = id, .signal = signal }, fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
}

TEST(container_kill_and_exec)
{
	struct runtime_spec spec;
	int code;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "c", "trap 'echo bye; exit 3' TERM; echo up; while true; do sleep 0.05; done");
	spec.env = (const char *[]){ "PATH=/bin", "A=1" };
	spec.n_env = 2;
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "c", NULL));
	CHECK_EQ(fixture_get(&f, "c").state, NODE_RUNNING);
	CHECK_STR(fixture_exec(&f, "c", "echo $A; hostname; grep Seccomp: /proc/self/status; ps | grep -c '[t]rap .echo'; exit 9",
			       &code),
		  "1\npod-host\nSeccomp:\t2\n1\n");
	CHECK_EQ(code, 9);
	CHECK_STR(fixture_exec(&f, "c", "grep -c memory:/$ /proc/self/cgroup; kill -9 $$", &code), "1\n");
	CHECK_EQ(code, 137);
	kill_container("c", SIGTERM);
	fixture_await_exit(&f, "c");
	CHECK_EQ(f.exited.exit_code, 3);
	CHECK_LOG("c", "up\nbye\n");
	/* one that does not listen */
	spec = fixture_spec(&f, "deaf", "trap '' TERM; while true; do sleep 0.05; done");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "deaf", NULL));
	kill_container("deaf", SIGTERM);
	fixture_pump(&f, 200);
	CHECK_EQ(fixture_get(&f, "deaf").state, NODE_RUNNING);
	kill_container("deaf", SIGKILL);
	fixture_await_exit(&f, "deaf");
	CHECK_EQ(f.exited.exit_code, 137);
	CHECK_EQ(f.exited.signal, SIGKILL);
	CHECK(!f.exited.oom_killed);
	fixture_stop(&f);
}

TEST(node_outlives_its_server)
{
	struct runtime_spec spec;
	struct node_container c;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "short", "sleep 0.3; exit 5");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "short", NULL));
	node_client_free(f.client);
	f.client = NULL;
	usleep(600000);
	fixture_connect(&f);
	c = fixture_get(&f, "short");
	CHECK_EQ(c.state, NODE_EXITED);
	CHECK_EQ(c.exit_code, 5);
	fixture_stop(&f);
}

static void never(void *arg, struct node_reply *reply)
{
	(void)arg;
	(void)reply;
}

/* A server that dies between a request and its answer: the next one finds a container, or none, but nothing between. */
TEST(server_dies_while_a_container_is_made)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "half", "echo never");
	node_container_create(f.client, &(struct node_container_create){ .sandbox = "pod", .name = "half", .spec = spec }, never,
			      NULL);
	node_client_writable(f.client);
	fixture_connect(&f); /* ends the connection before */
	CHECK_EQ(count_containers(), 0);
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL)); /* the name is free */
	node_container_start(f.client, &(struct node_ref){ .id = "half" }, never, NULL);
	node_client_writable(f.client);
	fixture_connect(&f);
	CHECK(fixture_get(&f, "half").state != NODE_CREATED);
	CHECK(fixture_get(&f, "half").started_at != 0);
	fixture_stop(&f);
}

TEST(node_killed_takes_its_containers_and_comes_back)
{
	struct runtime_spec spec;
	struct node_container c;
	int pid;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	CHECK_EQ(run("done", "exit 4"), 4);
	spec = fixture_spec(&f, "runs", "exec sleep 77777");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "runs", NULL));
	CHECK_EQ(fixture_command("grep -qsz '7777[7]' /proc/[0-9]*/cmdline"), 0);
	pid = fixture_node_pid(&f);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	for (int i = 0; i < 100 && !f.closed; i++)
		fixture_pump(&f, 50);
	CHECK(f.closed);
	for (int i = 0; i < 100 && kill(pid, 0) == 0; i++)
		usleep(20000);
	CHECK_EQ(fixture_command("grep -qsz '7777[7]' /proc/[0-9]*/cmdline && exit 0; exit 1"), 1);
	CHECK_EQ(fixture_start_node(&f), 0);
	fixture_connect(&f);
	c = fixture_get(&f, "done");
	CHECK_EQ(c.exit_code, 4);
	CHECK(!c.lost);
	c = fixture_get(&f, "runs");
	CHECK_EQ(c.state, NODE_EXITED);
	CHECK_EQ(c.exit_code, 255);
	CHECK(c.lost);
	fixture_remove(&f, "runs");
	fixture_sandbox(&f, "pod2");
	fixture_stop(&f);
}

static void keep_fd(void *arg, struct node_reply *reply)
{
	if (reply->err != NULL)
		fprintf(stderr, "# %s\n", reply->err->text);
	*(int *)arg = node_reply_fd(reply);
}

TEST(node_hands_out_sockets_and_files)
{
	struct stat node_ns, pod_ns, own_ns;
	int fd = -1, other = -1;
	char text[8] = "";
	AUTO_BUF struct buf name = { 0 };

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	node_netns(f.client, &(struct node_ref){ 0 }, keep_fd, &fd);
	node_netns(f.client, &(struct node_ref){ .id = "pod" }, keep_fd, &other);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(fstat(fd, &node_ns) == 0 && fstat(other, &pod_ns) == 0 && stat("/proc/self/ns/net", &own_ns) == 0);
	CHECK(node_ns.st_ino != pod_ns.st_ino && node_ns.st_ino != own_ns.st_ino);
	close(fd);
	close(other);
	/* a port taken here is free there */
	node_socket(f.client, &(struct node_socket){ .sandbox = "pod", .domain = AF_INET, .type = SOCK_STREAM }, keep_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(fd >= 0);
	close(fd);
	node_open(f.client, &(struct node_open){ .path = "/proc/sys/net/ipv4/ip_forward", .sandbox = "pod", .flags = O_RDWR },
		  keep_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(write(fd, "1", 1) == 1);
	close(fd);
	node_open(f.client, &(struct node_open){ .path = "/proc/sys/net/ipv4/ip_forward", .flags = O_RDONLY }, keep_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(read(fd, text, 1) == 1);
	close(fd);
	CHECK_STR(text, "0");
	node_open(f.client, &(struct node_open){ .path = "/../../etc/hostname", .flags = O_RDONLY }, keep_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(fd >= 0);
	memset(text, 0, sizeof(text));
	CHECK(read(fd, text, 5) == 5);
	CHECK_STR(text, "test-");
	close(fd);
	fixture_stop(&f);
}

static void keep_stats(void *arg, struct node_reply *reply)
{
	const struct node_stats_reply *stats = reply->body;

	CHECK(reply->err == NULL);
	CHECK_EQ(stats->n_stats, 3);
	CHECK_STR(stats->stats[0].id, "");
	CHECK(stats->stats[1].is_sandbox);
	*(struct node_stats *)arg = stats->stats[2];
}

TEST(node_counts)
{
	struct runtime_spec spec;
	struct node_stats stats;
	struct error *err = NULL;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "busy", "head -c 20000000 /dev/zero | wc -c; exec sleep 100");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "busy", NULL));
	for (int i = 0; i < 500 && !str_contains(fixture_log(&f, "busy"), STR("20000000\n")); i++)
		usleep(10000);
	usleep(20000); /* the shell is about to become sleep */
	node_stats(f.client, &(struct node_ref){ 0 }, keep_stats, &stats);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(stats.cpu_ns > 1000000);
	CHECK(stats.memory > 0 && stats.memory_working_set > 0);
	CHECK_EQ(stats.pids, 1);
	CHECK_EQ(stats.memory_limit, 0);
	node_container_update(f.client, &(struct node_update){ .id = "busy", .limits = { .memory = 64 << 20 } }, fixture_no_reply,
			      &err);
	node_stats(f.client, &(struct node_ref){ 0 }, keep_stats, &stats);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	CHECK_EQ(stats.memory_limit, 64 << 20);
	fixture_stop(&f);
}

TEST(sandbox_shares_processes)
{
	struct error *err = NULL;
	struct runtime_spec spec;

	fixture_start(&f);
	node_sandbox_create(f.client, &(struct node_sandbox_create){ .id = "pod", .share_pid = true, .cgroup = "pods/pod" },
			    fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	spec = fixture_spec(&f, "a", "exec sleep 55");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "a", NULL));
	CHECK_EQ(run("b", "ps | grep -c '[s]leep 55'; cat /proc/1/comm"), 0);
	CHECK_LOG("b", "1\npause\n");
	node_sandbox_stop(f.client, &(struct node_ref){ .id = "pod" }, fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	fixture_await_exit(&f, "a");
	CHECK_EQ(f.exited.exit_code, 137);
	fixture_stop(&f);
}

TEST(node_binary_cannot_be_written_from_a_container)
{
	struct runtime_spec spec;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	/* a privileged container that sees the node's processes tries to open the node's program for writing */
	spec = fixture_spec(&f, "evil", "(: >>/proc/1/exe) 2>/dev/null && echo written; echo tried");
	runtime_spec_privileged(f.arena, &spec);
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("evil", "tried\n");
	fixture_stop(&f);
}

TEST(node_refuses_a_second_one)
{
	fixture_start(&f);
	CHECK_EQ(fixture_command("%s node --name x --root %s/root2 --socket %s 2>/dev/null", fixture_driver(), f.dir, f.socket),
		 31);
	CHECK_EQ(fixture_command("%s node --name x 2>/dev/null", fixture_driver()), 14);
	fixture_stop(&f);
}

TEST(hub_is_only_a_network)
{
	struct error *err = NULL;
	int fd = -1;

	fixture_begin_directory(&f);
	snprintf(f.name, sizeof(f.name), "hub");
	snprintf(f.socket, sizeof(f.socket), "%s/hub.sock", f.dir);
	CHECK_EQ(fixture_command("%s node --hub --name hub --socket %s --log %s/node.log", fixture_driver(), f.socket, f.dir), 0);
	fixture_connect(&f);
	node_socket(f.client, &(struct node_socket){ .domain = AF_NETLINK, .type = SOCK_RAW }, keep_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(fd >= 0);
	close(fd);
	node_open(f.client, &(struct node_open){ .path = "/etc/passwd" }, fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_ERR(err, ERR_FORBIDDEN);
	node_sandbox_create(f.client, &(struct node_sandbox_create){ .id = "pod" }, fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_ERR(err, ERR_UNSUPPORTED);
	fixture_stop(&f);
}

TEST(volumes_of_the_node)
{
	struct error *err = NULL, *bad = NULL;
	struct runtime_spec spec;
	int fd = -1;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	node_mount(f.client,
		   &(struct node_mount){ .kind = "tmpfs", .path = "/var/lib/kubelet/secret", .data = "size=64k,mode=755" },
		   fixture_no_reply, &err);
	node_mount(f.client,
		   &(struct node_mount){ .kind = "image",
					 .path = "/var/lib/kubelet/image",
					 .layers = (const char *[]){ NODE_IMAGES "/busybox" },
					 .n_layers = 1 },
		   fixture_no_reply, &bad);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	CHECK_OK(bad);
	/* written by the server through a descriptor: it does not see the node's mounts */
	node_open(f.client,
		  &(struct node_open){
			  .path = "/var/lib/kubelet/secret/a/token", .flags = O_WRONLY | O_CREAT, .mode = 0640, .parents = true },
		  keep_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(write(fd, "s3cret\n", 7) == 7);
	close(fd);
	CHECK_EQ(fixture_command("test ! -e %s/root/var/lib/kubelet/secret/a", f.dir), 0);
	spec = fixture_spec(&f, "vol", "cat /s/a/token; ls /i/bin/busybox; (echo x >/i/x) 2>/dev/null || echo ro");
	runtime_spec_add_mount(f.arena, &spec, "/s", "bind", "/var/lib/kubelet/secret");
	runtime_spec_add_mount(f.arena, &spec, "/i", "bind", "/var/lib/kubelet/image");
	CHECK_EQ(fixture_run(&f, &spec), 0);
	CHECK_LOG("vol", "s3cret\n/i/bin/busybox\nro\n");
	/* mounts of the node are seen by a container that asked for it, and its own by the node */
	spec = fixture_spec(&f, "both", "mount -t tmpfs x /m/sub && echo made >/m/sub/file");
	CHECK_EQ(fixture_command("mkdir -p %s/root/mnt/m/sub", f.dir), 0);
	runtime_spec_privileged(f.arena, &spec);
	runtime_spec_add_mount(f.arena, &spec, "/m", "bind", "/mnt/m")->propagation = MS_SHARED | MS_REC;
	spec.mounts[spec.n_mounts - 1].flags |= MS_REC;
	CHECK_EQ(fixture_run(&f, &spec), 0);
	node_open(f.client, &(struct node_open){ .path = "/mnt/m/sub/file", .flags = O_RDONLY }, keep_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(fd >= 0);
	close(fd);
	/* a layer in use is locked against removal */
	CHECK_EQ(fixture_command("flock -xn %s/images/busybox true", f.dir), 1);
	node_unmount(f.client, &(struct node_ref){ .id = "/var/lib/kubelet/image" }, fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	CHECK_EQ(fixture_command("flock -xn %s/images/busybox true", f.dir), 0);
	node_unmount(f.client, &(struct node_ref){ .id = "/var/lib/kubelet/secret" }, fixture_no_reply, &err);
	node_unmount(f.client, &(struct node_ref){ .id = "/var/lib/kubelet/secret" }, fixture_no_reply, &bad);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	CHECK_OK(bad);
	fixture_stop(&f);
}
