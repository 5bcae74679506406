/* What needs no root: the wire format, log framing, capabilities, users, weights, seccomp programs, spec helpers. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/limits.h"
#include "runtime/cgroup.h"
#include "runtime/conn.h"
#include "runtime/files.h"
#include "runtime/log_frame.h"
#include "runtime/node_records.h"
#include "runtime/runtime.h"
#include "runtime/seccomp.h"
#include "runtime/user.h"
#include "runtime/wire.h"
#include "tests/unit/tap.h"

/* --- wire --- */

TEST(wire_carries_a_whole_spec)
{
	struct arena *arena = arena_new();
	struct node_container_create in = { 0 }, out;
	AUTO_BUF struct buf bytes = { 0 };

	runtime_spec_init(arena, &in.spec, "abc");
	in.spec.args = (const char *[]){ "sh", "-c", "" };
	in.spec.n_args = 3;
	in.spec.groups = (uint32_t[]){ 7, 4294967295u };
	in.spec.n_groups = 2;
	in.spec.limits.cpu_quota = -1;
	in.spec.limits.memory = INT64_C(1) << 40;
	in.spec.has_oom_score_adj = true;
	in.spec.oom_score_adj = -997;
	in.sandbox = "pod";
	in.stdin_open = true;
	wire_encode(&bytes, &wire_node_container_create, &in);
	CHECK_OK(wire_decode(arena, &wire_node_container_create, buf_str(&bytes), &out));
	CHECK_STR(out.spec.id, "abc");
	CHECK_EQ(out.spec.n_args, 3);
	CHECK_STR(out.spec.args[1], "-c");
	CHECK_STR(out.spec.args[2], "");
	CHECK(out.spec.args[3] == NULL);
	CHECK_EQ(out.spec.groups[1], 4294967295u);
	CHECK_EQ(out.spec.limits.cpu_quota, -1);
	CHECK_EQ(out.spec.limits.memory, INT64_C(1) << 40);
	CHECK_EQ(out.spec.oom_score_adj, -997);
	CHECK_EQ(out.spec.gid, -1);
	CHECK_EQ(out.spec.caps, RUNTIME_CAPS_DEFAULT);
	CHECK_EQ(out.spec.n_mounts, in.spec.n_mounts);
	CHECK_STR(out.spec.mounts[1].data, in.spec.mounts[1].data);
	CHECK_EQ(out.spec.n_device_rules, in.spec.n_device_rules);
	CHECK_EQ(out.spec.device_rules[0].major, -1);
	CHECK_EQ(out.spec.ns_fd[RUNTIME_NS_NET], -1);
	CHECK(out.stdin_open);
	CHECK(out.log_path == NULL);
	arena_free(arena);
}

TEST(wire_skips_what_it_does_not_know)
{
	struct arena *arena = arena_new();
	const char bytes[] = "\x63\x00\x02\x00\x00\x00xy\x01\x00\x03\x00\x00\x00pod";
	struct node_ref ref;

	CHECK_OK(wire_decode(arena, &wire_node_ref, str_of(bytes, sizeof(bytes) - 1), &ref));
	CHECK_STR(ref.id, "pod");
	arena_free(arena);
}

TEST(wire_refuses_damage)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\x01\x00\x03\x00\x00", 5 },         /* ends in a header */
		{ "\x01\x00\x04\x00\x00\x00pod", 9 },  /* longer than the message */
		{ "\x01\x00\xff\xff\xff\xffpod", 9 },  /* much longer */
		{ "\x01\x00\x03\x00\x00\x00p\0d", 9 }, /* NUL in text */
	};
	struct arena *arena = arena_new();
	struct node_ref ref;
	struct node_kill kill;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_ERR(wire_decode(arena, &wire_node_ref, str_of(bad[i].bytes, bad[i].len), &ref), ERR_BAD_REQUEST);
	/* a number of 4 bytes, and one that does not fit */
	CHECK_ERR(wire_decode(arena, &wire_node_kill, str_of("\x02\x00\x04\x00\x00\x00zzzz", 10), &kill), ERR_BAD_REQUEST);
	CHECK_ERR(wire_decode(arena, &wire_node_kill, str_of("\x02\x00\x08\x00\x00\x00zzzzzzzz", 14), &kill), ERR_BAD_REQUEST);
	arena_free(arena);
}

TEST(wire_survives_random_bytes)
{
	struct arena *arena = arena_new();
	struct node_container_create out, in = { 0 };
	AUTO_BUF struct buf good = { 0 };

	runtime_spec_init(arena, &in.spec, "abc");
	wire_encode(&good, &wire_node_container_create, &in);
	rand_seed(7);
	for (int i = 0; i < 3000; i++) {
		struct arena *scratch = arena_new();
		char *copy = arena_copy(scratch, good.ptr, good.len);

		for (int k = 0; k < 4; k++)
			copy[rand_below(good.len)] = (char)rand_u64();
		error_free(wire_decode(scratch, &wire_node_container_create, str_of(copy, rand_below(good.len + 1)), &out));
		arena_free(scratch);
	}
	arena_free(arena);
}

/* A reader that comes late finds many descriptors at once: it takes them frame by frame. */
TEST(connection_carries_a_burst_of_descriptors)
{
	struct conn a, b;
	struct conn_frame frame;
	size_t got_all = 0;
	bool open = true, got;
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	wire_conn_init(&a, pair[0]);
	wire_conn_init(&b, pair[1]);
	for (uint64_t i = 0; i < 100; i++) {
		int fd = dup(STDERR_FILENO);

		wire_conn_send(&a, (struct wire_frame){ .op = 1, .kind = WIRE_REPLY, .id = i }, &wire_node_ref,
			       &(struct node_ref){ .id = "x" }, &fd, 1);
	}
	CHECK_OK(wire_conn_flush(&a));
	for (int round = 0; round < 20 && got_all < 100; round++) {
		CHECK_OK(wire_conn_read(&b, &open));
		for (got = true; got;) {
			CHECK_OK(wire_conn_next(&b, &frame, &got));
			if (!got)
				break;
			CHECK_EQ(frame.header.id, got_all++);
			CHECK_EQ(frame.header.n_fds, 1);
			close(frame.fds[0]);
		}
	}
	CHECK_EQ(got_all, 100);
	wire_conn_fini(&a);
	wire_conn_fini(&b);
}

TEST(conn_carries_descriptors_with_their_frames)
{
	struct arena *arena = arena_new();
	struct conn a, b;
	int pair[2], pipes[2];
	bool open, got;
	struct conn_frame frame;
	AUTO_BUF struct buf large = { 0 };
	struct node_ref ref;
	char byte = 0;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	wire_conn_init(&a, pair[0]);
	wire_conn_init(&b, pair[1]);
	for (int i = 0; i < 400000; i++)
		buf_putc(&large, 'x');
	wire_conn_send(&a, (struct wire_frame){ .op = 1, .kind = WIRE_REPLY, .id = 1 }, &wire_node_ref,
		       &(struct node_ref){ .id = buf_cstr(&large) }, NULL, 0);
	for (uint64_t i = 2; i < 5; i++) {
		CHECK(pipe2(pipes, O_CLOEXEC) == 0);
		byte = (char)i;
		CHECK(write(pipes[1], &byte, 1) == 1);
		close(pipes[1]);
		wire_conn_send(&a, (struct wire_frame){ .op = 1, .kind = WIRE_REPLY, .id = i }, &wire_node_ref,
			       &(struct node_ref){ .id = "small" }, &pipes[0], 1);
	}
	for (uint64_t want = 1; want < 5;) {
		CHECK_OK(wire_conn_flush(&a));
		CHECK_OK(wire_conn_read(&b, &open));
		CHECK(open);
		for (got = true; got;) {
			CHECK_OK(wire_conn_next(&b, &frame, &got));
			if (!got)
				break;
			CHECK_EQ(frame.header.id, want++);
			CHECK_EQ(frame.header.n_fds, frame.header.id == 1 ? 0 : 1);
			CHECK_OK(wire_decode(arena, &wire_node_ref, frame.body, &ref));
			CHECK_EQ(strlen(ref.id), frame.header.id == 1 ? 400000 : 5);
			if (frame.header.n_fds == 1) {
				CHECK(read(frame.fds[0], &byte, 1) == 1);
				CHECK_EQ(byte, frame.header.id);
				close(frame.fds[0]);
			}
		}
	}
	wire_conn_fini(&a);
	CHECK_OK(wire_conn_read(&b, &open));
	CHECK(!open);
	wire_conn_fini(&b);
	arena_free(arena);
}

TEST(conn_refuses_what_is_not_the_protocol)
{
	struct conn b;
	int pair[2];
	bool open, got;
	struct conn_frame frame;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	wire_conn_init(&b, pair[1]);
	CHECK(write(pair[0], "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 28) == 28);
	CHECK_OK(wire_conn_read(&b, &open));
	CHECK_ERR(wire_conn_next(&b, &frame, &got), ERR_BAD_REQUEST);
	close(pair[0]);
	wire_conn_fini(&b);
}

TEST(records_notice_damage)
{
	struct arena *arena = arena_new();
	char dir[] = "/tmp/monokube-record-XXXXXX";
	struct node_container_record out, in = { .status = { .id = "abc", .exit_code = 3 }, .instance = "i" };
	int fd, file;

	CHECK(mkdtemp(dir) != NULL);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_OK(record_write(fd, "state", &wire_node_container_record, &in));
	CHECK_OK(record_read(arena, fd, "state", &wire_node_container_record, &out));
	CHECK_STR(out.status.id, "abc");
	CHECK_EQ(out.status.exit_code, 3);
	file = openat(fd, "state", O_WRONLY | O_CLOEXEC);
	CHECK(pwrite(file, "Z", 1, 24) == 1);
	close(file);
	CHECK_ERR(record_read(arena, fd, "state", &wire_node_container_record, &out), ERR_CORRUPT);
	CHECK_ERR(record_read(arena, fd, "absent", &wire_node_container_record, &out), ERR_NOT_FOUND);
	close(fd);
	CHECK_OK(dir_remove(AT_FDCWD, dir));
	arena_free(arena);
}

/* --- logs --- */

#define AT INT64_C(1795313883000000007)

TEST(log_lines_are_framed)
{
	struct log_framer framer = { .stream = "stdout" };
	AUTO_BUF struct buf out = { 0 };

	log_frame(&out, &framer, STR("one\ntw"), AT);
	log_frame(&out, &framer, STR("o\n\nrest"), AT);
	log_frame_end(&out, &framer, AT);
	CHECK_STR(buf_str(&out), "2026-11-22T02:18:03.000000007Z stdout F one\n"
				 "2026-11-22T02:18:03.000000007Z stdout F two\n"
				 "2026-11-22T02:18:03.000000007Z stdout F \n"
				 "2026-11-22T02:18:03.000000007Z stdout P rest\n");
}

static void check_long(size_t len, bool newline, size_t chunk, const char *want)
{
	struct log_framer framer = { .stream = "stderr" };
	AUTO_BUF struct buf out = { 0 }, in = { 0 }, tags = { 0 };
	struct str rest, line;

	for (size_t i = 0; i < len; i++)
		buf_putc(&in, 'x');
	if (newline)
		buf_putc(&in, '\n');
	for (size_t at = 0; at < in.len; at += chunk)
		log_frame(&out, &framer, str_head(str_skip(buf_str(&in), at), chunk), AT);
	log_frame_end(&out, &framer, AT);
	rest = buf_str(&out);
	while (str_cut(&rest, '\n', &line))
		buf_printf(&tags, "%c%zu ", line.ptr[38], line.len - 40);
	CHECK_STR(buf_str(&tags), want);
}

TEST(long_lines_are_split_at_16_kib)
{
	static const size_t chunks[] = { 1, 100, 16384, 16385, 70000 };

	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		check_long(16384, true, chunks[i], "F16384 ");
		check_long(16385, true, chunks[i], "P16384 F1 ");
		check_long(32768, true, chunks[i], "P16384 F16384 ");
		check_long(16384, false, chunks[i], "P16384 ");
		check_long(40000, false, chunks[i], "P16384 P16384 P7232 ");
	}
}

/* --- rights --- */

TEST(capabilities_merge_as_kubernetes_says)
{
	const struct str all[] = { STR_INIT("ALL") }, net[] = { STR_INIT("NET_ADMIN") }, raw[] = { STR_INIT("CAP_NET_RAW") },
			 bad[] = { STR_INIT("FLY") }, bind[] = { STR_INIT("net_bind_service") };
	uint64_t caps;

	CHECK_OK(runtime_caps_merge(NULL, 0, NULL, 0, &caps));
	CHECK_EQ(caps, RUNTIME_CAPS_DEFAULT);
	CHECK_OK(runtime_caps_merge(net, 1, raw, 1, &caps));
	CHECK_EQ(caps, (RUNTIME_CAPS_DEFAULT | 1u << 12) & ~(UINT64_C(1) << 13));
	CHECK_OK(runtime_caps_merge(bind, 1, all, 1, &caps));
	CHECK_EQ(caps, 1u << 10);
	CHECK_OK(runtime_caps_merge(all, 1, raw, 1, &caps));
	CHECK_EQ(caps, runtime_caps_all() & ~(UINT64_C(1) << 13));
	CHECK_ERR(runtime_caps_merge(bad, 1, NULL, 0, &caps), ERR_INVALID);
	CHECK_EQ(runtime_cap_parse(STR("SYS_ADMIN")), 21);
}

TEST(cpu_weight_fits_at_the_known_points)
{
	CHECK_EQ(cgroup_weight(0), 0);
	CHECK_EQ(cgroup_weight(2), 1);
	CHECK_EQ(cgroup_weight(1024), 100);
	CHECK_EQ(cgroup_weight(262144), 10000);
}

TEST(seccomp_default_compiles_for_any_rights)
{
	const struct runtime_seccomp profile = { .mode = RUNTIME_SECCOMP_DEFAULT }, off = { 0 };
	struct seccomp_program less, more, none;

	CHECK_OK(seccomp_compile(&profile, RUNTIME_CAPS_DEFAULT, &less));
	CHECK_OK(seccomp_compile(&profile, UINT64_MAX, &more));
	CHECK_OK(seccomp_compile(&off, 0, &none));
	CHECK(less.len > 100 && less.len < 4096);
	CHECK(more.len > 100 && more.len < 4096);
	CHECK_EQ(none.len, 0);
	seccomp_program_fini(&less);
	seccomp_program_fini(&more);
}

/* --- users --- */

static int make_users(char dir[])
{
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_OK(dir_make(fd, "etc", 0755));
	CHECK_OK(file_put_at(fd, "etc/passwd", STR("root:x:0:0:root:/root:/bin/sh\nnginx:x:101:102:x:/srv:/bin/false\n"), 0644));
	CHECK_OK(file_put_at(fd, "etc/group", STR("root:x:0:\nweb:x:33:\nlogs:x:50000:nginx,other\nmore:x:7:nginx\n"), 0644));
	return fd;
}

TEST(users_come_from_the_image)
{
	char dir[] = "/tmp/monokube-users-XXXXXX";
	int fd = make_users(dir);
	struct user *user = xmalloc(sizeof(*user));

	CHECK_OK(user_find(fd, &(struct user_query){ .text = NULL, .gid = -1 }, user));
	CHECK_EQ(user->uid, 0);
	CHECK_STR(user->home, "/root");
	CHECK_OK(user_find(fd, &(struct user_query){ .text = "nginx", .gid = -1 }, user));
	CHECK_EQ(user->uid, 101);
	CHECK_EQ(user->gid, 102);
	CHECK_EQ(user->n_groups, 2);
	CHECK_EQ(user->groups[0], 50000);
	/* a number has the groups of its name too */
	CHECK_OK(user_find(fd, &(struct user_query){ .text = "101", .gid = 5, .groups = (uint32_t[]){ 99, 7 }, .n_groups = 2 },
			   user));
	CHECK_EQ(user->gid, 5);
	CHECK_EQ(user->n_groups, 3);
	CHECK_EQ(user->groups[2], 99);
	CHECK_OK(user_find(fd, &(struct user_query){ .text = "101", .gid = -1, .strict = true }, user));
	CHECK_EQ(user->n_groups, 0);
	CHECK_OK(user_find(fd, &(struct user_query){ .text = "4242:web", .gid = -1 }, user));
	CHECK_EQ(user->uid, 4242);
	CHECK_EQ(user->gid, 33);
	CHECK_STR(user->home, "/");
	CHECK_ERR(user_find(fd, &(struct user_query){ .text = "nobody-here", .gid = -1 }, user), ERR_NOT_FOUND);
	CHECK_ERR(user_find(fd, &(struct user_query){ .text = "nginx:nogroup", .gid = -1 }, user), ERR_NOT_FOUND);
	free(user);
	close(fd);
	CHECK_OK(dir_remove(AT_FDCWD, dir));
}

/* --- paths --- */

TEST(paths_stay_in_their_root)
{
	char dir[] = "/tmp/monokube-paths-XXXXXX", link[FD_PATH], real[4096];
	int root, fd;
	ssize_t n;
	struct error *err;

	CHECK(mkdtemp(dir) != NULL);
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(symlinkat("/etc", root, "abs") == 0);
	CHECK(symlinkat("../../../../etc", root, "up") == 0);
	CHECK(symlinkat("run/resolve/stub.conf", root, "dangling") == 0);
	CHECK(symlinkat("loop", root, "loop") == 0);
	CHECK_OK(path_in_root(root, "/abs/passwd", PATH_MAKE_FILE, &fd));
	n = readlink(fd_path(link, fd), real, sizeof(real) - 1);
	real[n] = '\0';
	CHECK_STR(str_skip(str_from(real), strlen(dir)), "/etc/passwd");
	close(fd);
	CHECK_OK(path_in_root(root, "up/new/deep", PATH_MAKE_DIRECTORY, &fd));
	n = readlink(fd_path(link, fd), real, sizeof(real) - 1);
	real[n] = '\0';
	CHECK_STR(str_skip(str_from(real), strlen(dir)), "/etc/new/deep");
	close(fd);
	CHECK_OK(path_in_root(root, "/dangling", PATH_MAKE_FILE, &fd));
	n = readlink(fd_path(link, fd), real, sizeof(real) - 1);
	real[n] = '\0';
	CHECK_STR(str_skip(str_from(real), strlen(dir)), "/run/resolve/stub.conf");
	close(fd);
	CHECK_ERR(path_in_root(root, "/absent", PATH_MUST_EXIST, &fd), ERR_NOT_FOUND);
	err = path_in_root(root, "/loop/x", PATH_MAKE_FILE, &fd);
	CHECK(err != NULL);
	error_free(err);
	close(root);
	CHECK_OK(dir_remove(AT_FDCWD, dir));
}

TEST(mount_options_are_mount8s)
{
	struct arena *arena = arena_new();
	struct runtime_mount m = { .destination = "/x" };

	runtime_mount_options(arena, &m, (const char *const[]){ "rbind", "ro", "rslave", "nosuid", "size=64m", "mode=755" }, 6);
	CHECK_EQ(m.flags, MS_BIND | MS_REC | MS_RDONLY | MS_NOSUID);
	CHECK_EQ(m.propagation, MS_SLAVE | MS_REC);
	CHECK_STR(m.data, "size=64m,mode=755");
	arena_free(arena);
}

TEST(spec_mounts_are_added_and_dropped)
{
	struct arena *arena = arena_new();
	struct runtime_spec spec;
	size_t n;

	runtime_spec_init(arena, &spec, "x");
	n = spec.n_mounts;
	runtime_spec_add_mount(arena, &spec, "/data", "bind", "/var/lib/x");
	CHECK_EQ(spec.n_mounts, n + 1);
	CHECK_EQ(spec.mounts[n].flags, MS_BIND);
	runtime_spec_drop_mount(&spec, "/sys/fs/cgroup");
	CHECK_EQ(spec.n_mounts, n);
	runtime_spec_privileged(arena, &spec);
	CHECK_EQ(spec.caps, runtime_caps_all());
	CHECK_EQ(spec.n_masked, 0);
	arena_free(arena);
}
