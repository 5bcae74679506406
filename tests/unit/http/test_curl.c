/* What curl thinks of our server: an implementation that is not ours. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/http/world.h"

struct run {
	int status;
	bool ended;
	struct buf out;
};

static void on_exited(void *arg, int status, int number)
{
	struct run *run = arg;

	run->status = number != 0 ? 128 + number : status;
	run->ended = true;
}

static bool run_ended(void *arg)
{
	return ((struct run *)arg)->ended;
}

static void write_file(const char *path, struct str text)
{
	FILE *file = fopen(path, "w");

	CHECK(file != NULL && fwrite(text.ptr, 1, text.len, file) == text.len && fclose(file) == 0);
}

static char dir[64];

static void open_world(struct world *world, enum transport transport)
{
	char path[128];

	if (access("/usr/bin/curl", X_OK) != 0)
		tap_skip("curl is not installed");
	world_open(world, transport);
	snprintf(dir, sizeof(dir), "/tmp/monokube-curl-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	if (world->ca.len == 0)
		return;
	snprintf(path, sizeof(path), "%s/ca", dir);
	write_file(path, buf_str(&world->ca));
	snprintf(path, sizeof(path), "%s/cert", dir);
	write_file(path, buf_str(&world->client_cert));
	snprintf(path, sizeof(path), "%s/key", dir);
	write_file(path, buf_str(&world->client_key));
}

static void close_world(struct world *world)
{
	char command[128];

	world_close(world);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK_EQ(system(command), 0);
}

/* $D is the directory, $U the server's URL. */
static void curl(struct world *world, struct run *run, const char *arguments)
{
	char command[1024], out[128];
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct loop_process *process;
	struct stat st;
	int fd;

	memset(run, 0, sizeof(*run));
	snprintf(out, sizeof(out), "%s/out", dir);
	snprintf(command, sizeof(command), "D=%s U=%s://127.0.0.1:%u; exec 2>&1; curl --noproxy '*' -sS --max-time 20 %s %s", dir,
		 world->ca.len > 0 ? "https" : "http", world->port, world->ca.len > 0 ? "--cacert $D/ca" : "", arguments);
	fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_OK(loop_spawn(
		&(struct loop_spawn){
			.file = "/bin/sh", .argv = argv, .fds = (int[]){ -1, fd, fd }, .n_fds = 3, .exited = on_exited, .arg = run },
		&process));
	CHECK(loop_run_until(run_ended, run, 30 * NS_PER_S));
	CHECK(fstat(fd, &st) == 0);
	buf_reserve(&run->out, (size_t)st.st_size + 1);
	run->out.len = (size_t)pread(fd, run->out.ptr, (size_t)st.st_size, 0);
	close(fd);
}

static void check_curl(struct world *world, const char *arguments, int status, const char *want)
{
	struct run run;

	curl(world, &run, arguments);
	CHECK_STR(buf_str(&run.out), want);
	CHECK_EQ(run.status, status);
	buf_fini(&run.out);
}

#define WHAT "-o /dev/null -w '%{http_version} %{http_code} %{size_download}\\n' "

TEST(curl_speaks_http2_over_tls)
{
	struct world world;

	open_world(&world, TCP_TLS);
	check_curl(&world, "-w '%{http_version} %{http_code}\\n' $U/hello", 0, "hello\n2 200\n");
	check_curl(&world, WHAT "-I $U/hello", 0, "2 200 0\n");
	check_curl(&world, WHAT "--cert $D/cert --key $D/key $U/nothing", 0, "2 404 19\n");
	check_curl(&world, "--tlsv1.3 $U/hello", 0, "hello\n");
	check_curl(&world, "--tls-max 1.2 $U/hello", 0, "hello\n");
	check_curl(&world, "--http1.1 $U/hello $U/hello", 0, "hello\nhello\n");
	check_curl(&world, "-d body $U/echo -i --cert $D/cert --key $D/key | grep -i -E 'x-|body' | tr -d '\\r'", 0,
		   "x-method: POST\nx-path: /echo\nx-user: jane\nx-group: system:masters\nx-query: \nbody\n");
	close_world(&world);
}

TEST(curl_uploads_and_downloads_over_http2)
{
	struct world world;

	open_world(&world, TCP_TLS);
	check_curl(&world, WHAT "$U/produce?n=20000000", 0, "2 200 20000000\n");
	CHECK(world.most_pending < LIMIT_STREAM_BUFFER + 100000);
	check_curl(&world,
		   "$U/hello -o /dev/null; head -c 3000000 /dev/zero | "
		   "curl --noproxy '*' -sS --cacert $D/ca -T - -X POST $U/upload",
		   0, "3000000");
	/* Twenty at once on one connection. */
	check_curl(&world, "-Z --no-progress-meter " WHAT "$U/produce?n=[1000000-1000019] | sort | uniq -c | wc -l", 0, "20\n");
	CHECK(http_server_stats(world.server).connections <= 5);
	/* One that reads slowly beside one that does not. */
	check_curl(&world,
		   "--limit-rate 100k -o /dev/null $U/produce?n=300000 & "
		   "curl --noproxy '*' -sS --cacert $D/ca " WHAT "$U/produce?n=5000000; wait",
		   0, "2 200 5000000\n");
	close_world(&world);
}

TEST(curl_speaks_plain_http)
{
	struct world world;

	open_world(&world, TCP);
	check_curl(&world, "$U/hello $U/hello", 0, "hello\nhello\n");
	check_curl(&world, "--http2-prior-knowledge -w '%{http_version}' $U/hello", 0, "hello\n2");
	check_curl(&world, "-0 -w '%{http_version}' $U/hello", 0, "hello\n1.1");
	check_curl(&world, "-0 " WHAT "$U/produce?n=500000", 0, "1.1 200 500000\n");
	/* More than a megabyte: Expect: 100-continue. */
	check_curl(&world,
		   "$U/hello -o /dev/null; head -c 2000000 /dev/zero > $D/big; "
		   "curl --noproxy '*' -sS -v --data-binary @$D/big $U/upload 2>&1 | grep -o -E '^< HTTP.*|2000000$' | "
		   "tr -d '\\r'",
		   0, "< HTTP/1.1 100 Continue\n< HTTP/1.1 200 OK\n2000000\n");
	close_world(&world);
}

TEST(curl_trusts_only_our_authority)
{
	struct world world;
	struct run run;

	open_world(&world, TCP_TLS);
	curl(&world, &run, "--cacert /etc/ssl/certs/ca-certificates.crt $U/hello");
	CHECK(run.status == 60 || run.status == 77);
	buf_fini(&run.out);
	curl(&world, &run, "--tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 $U/hello");
	CHECK_EQ(run.status, 35);
	buf_fini(&run.out);
	check_curl(&world, "$U/hello", 0, "hello\n");
	close_world(&world);
}
