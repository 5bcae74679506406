/* What containers and execs say and hear, through the node: attach, terminals, readers that sleep. Needs root. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "tests/unit/runtime/fixture.h"
#include "tests/unit/tap.h"

static struct fixture f;

static void keep_three(void *arg, struct node_reply *reply)
{
	int *fds = arg;

	if (reply->err != NULL)
		fprintf(stderr, "# %s\n", reply->err->text);
	for (size_t i = 0; i < reply->n_fds; i++)
		fds[i] = fd_take(&reply->fds[i]);
}

/* Reads until `want` is seen or the other end closes. */
static struct str read_until(int fd, const char *want)
{
	static char text[8192];
	size_t len = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, 0);
	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
		len += (size_t)n;
		text[len] = '\0';
		if (want != NULL && strstr(text, want) != NULL)
			break;
	}
	return str_of(text, len);
}

TEST(container_with_stdin_is_attached_to)
{
	struct node_container_create request = { .sandbox = "pod", .stdin_open = true, .stdin_once = true };
	struct error *err = NULL;
	int fds[3] = { -1, -1, -1 };

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	request.spec = fixture_spec(&f, "cat", "while read line; do echo got $line; echo err $line >&2; done; echo end");
	request.log_path = "/var/log/pods/cat/0.log";
	node_container_create(f.client, &request, fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	CHECK_OK(fixture_begin(&f, "cat", NULL));
	node_attach(f.client,
		    &(struct node_attach){ .id = "cat", .stdin_wanted = true, .stdout_wanted = true, .stderr_wanted = true },
		    keep_three, fds);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK(write(fds[0], "hello\n", 6) == 6);
	CHECK_STR(read_until(fds[1], "\n"), "got hello\n");
	CHECK_STR(read_until(fds[2], "\n"), "err hello\n");
	close(fds[0]); /* stdin_once: its end is the container's */
	CHECK_STR(read_until(fds[1], NULL), "end\n");
	close(fds[1]);
	close(fds[2]);
	fixture_await_exit(&f, "cat");
	CHECK_EQ(f.exited.exit_code, 0);
	CHECK(str_contains(fixture_log(&f, "cat"), STR("got hello\n")));
	fixture_stop(&f);
}

TEST(container_with_a_terminal)
{
	struct node_container_create request = { .sandbox = "pod" };
	struct error *err = NULL;
	int fds[3] = { -1, -1, -1 };

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	request.spec = fixture_spec(
		&f, "tty", "test -t 0 && test -t 1 && echo terminal; stat -c %t:%T /dev/console; read x; stty size; echo bye $x");
	request.spec.terminal = true;
	request.spec.rows = 33;
	request.spec.columns = 77;
	request.log_path = "/var/log/pods/tty/0.log";
	CHECK_EQ(fixture_command("ln -sf busybox %s/images/busybox/bin/stty; ln -sf busybox %s/images/busybox/bin/test", f.dir,
				 f.dir),
		 0);
	node_container_create(f.client, &request, fixture_no_reply, &err);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	CHECK_OK(fixture_begin(&f, "tty", NULL));
	node_resize(f.client, &(struct node_resize){ .id = "tty", .rows = 40, .columns = 90 }, fixture_no_reply, &err);
	node_attach(f.client, &(struct node_attach){ .id = "tty", .stdin_wanted = true, .stdout_wanted = true }, keep_three, fds);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_OK(err);
	CHECK(write(fds[0], "you\n", 4) == 4);
	CHECK(str_contains(read_until(fds[1], "bye you"), STR("40 90\r\n")));
	fixture_await_exit(&f, "tty");
	CHECK_EQ(f.exited.exit_code, 0);
	/* The terminal's echo of what we typed may stand between the two. */
	CHECK(str_contains(fixture_log(&f, "tty"), STR("terminal\r\n")));
	CHECK(str_contains(fixture_log(&f, "tty"), STR("88:0\r\n")));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	fixture_stop(&f);
}

static void keep_exec_fd(void *arg, struct node_reply *reply)
{
	if (reply->err != NULL)
		fprintf(stderr, "# %s\n", reply->err->text);
	*(int *)arg = node_reply_fd(reply);
}

TEST(exec_with_a_terminal_ends_with_its_server)
{
	struct runtime_spec spec;
	struct node_exec request = {
		.id = "c",
		.args = (const char *[]){ "sh", "-c", "trap 'touch /tmp/hup; exit' HUP; tty; while true; do sleep 0.05; done" },
		.n_args = 3,
		.terminal = true,
		.rows = 10,
		.columns = 20
	};
	int fd = -1, code;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	CHECK_EQ(fixture_command("ln -sf busybox %s/images/busybox/bin/tty", f.dir), 0);
	spec = fixture_spec(&f, "c", "exec sleep 100");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "c", NULL));
	node_exec(f.client, &request, keep_exec_fd, &fd);
	CHECK_OK(node_client_drain(f.client, 5000));
	CHECK_STR(read_until(fd, "\n"), "/dev/pts/0\r\n");
	close(fd); /* the server dies */
	CHECK_STR(fixture_exec(&f, "c",
			       "for i in $(seq 100); do cat /tmp/hup 2>/dev/null && echo hung up && break; sleep 0.05; done",
			       &code),
		  "hung up\n");
	CHECK_EQ(fixture_get(&f, "c").state, NODE_RUNNING);
	/* a program that is not there */
	{
		struct error *err = NULL;

		request.args = (const char *[]){ "absent" };
		request.n_args = 1;
		request.terminal = false;
		node_exec(f.client, &request, fixture_no_reply, &err);
		CHECK_OK(node_client_drain(f.client, 5000));
		CHECK_ERR(err, ERR_NOT_FOUND);
	}
	fixture_stop(&f);
}

TEST(attached_reader_that_sleeps_costs_nobody)
{
	struct runtime_spec spec;
	int fds[3] = { -1, -1, -1 };
	int64_t start;

	fixture_start(&f);
	fixture_sandbox(&f, "pod");
	spec = fixture_spec(&f, "loud", "sleep 0.3; seq 1 100000");
	CHECK_OK(fixture_create(&f, "pod", &spec, NULL));
	CHECK_OK(fixture_begin(&f, "loud", NULL));
	node_attach(f.client, &(struct node_attach){ .id = "loud", .stdout_wanted = true }, keep_three, fds);
	CHECK_OK(node_client_drain(f.client, 5000));
	start = clock_mono();
	fixture_await_exit(&f, "loud"); /* without our reading */
	CHECK(clock_mono() - start < 5 * NS_PER_S);
	CHECK(str_has_suffix(fixture_log(&f, "loud"), STR("\n100000\n")));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	fixture_stop(&f);
}
