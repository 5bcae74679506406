/* The OCI command line, as an engine calls it; and how it reads a bundle. */
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/files.h"
#include "runtime/oci.h"
#include "tests/unit/runtime/fixture.h"
#include "tests/unit/tap.h"

/* --- reading config.json --- */

#define NS                                                                                                                         \
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"network\"},{\"type\":\"cgroup\"}]"
#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"}"

static struct error *parse(struct arena *arena, const char *text, struct runtime_spec *spec)
{
	const struct json *json;

	CHECK_OK(json_read(arena, str_from(text), NULL, &json));
	return oci_spec_read(arena, json, "/bundle", "id", spec);
}

TEST(oci_config_becomes_a_spec)
{
	struct arena *arena = arena_new();
	struct runtime_spec spec;

	CHECK_OK(parse(
		arena,
		"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"h\","
		"\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":40,\"width\":100},\"user\":{\"uid\":5,\"gid\":6,"
		"\"additionalGids\":[7,8],\"umask\":18},\"args\":[\"a\",\"b\"],\"env\":[\"X=1\"],\"cwd\":\"/w\","
		"\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_CHOWN\"],\"inheritable\":[\"CAP_KILL\"],"
		"\"ambient\":[\"CAP_KILL\",\"CAP_CHOWN\"]},"
		"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":1024}],\"noNewPrivileges\":true,"
		"\"oomScoreAdj\":-5},"
		"\"mounts\":[{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"vol\",\"options\":[\"rbind\",\"ro\"]}],"
		"\"linux\":{" NS ",\"cgroupsPath\":\"/a/b\",\"resources\":{\"memory\":{\"limit\":1000},\"pids\":{\"limit\":9},"
		"\"cpu\":{\"shares\":512,\"quota\":5,\"period\":10},\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},"
		"\"sysctl\":{\"net.core.somaxconn\":\"5\"},\"maskedPaths\":[\"/proc/kcore\"],"
		"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\"],\"syscalls\":[{\"names\":"
		"[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"},{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38,"
		"\"args\":[{\"index\":0,\"value\":18446744073709551615,\"op\":\"SCMP_CMP_MASKED_EQ\",\"valueTwo\":2}]}]}}}",
		&spec));
	CHECK_STR(spec.rootfs, "/bundle/rootfs");
	CHECK(spec.readonly_root && spec.terminal && spec.no_new_privs);
	CHECK_EQ(spec.rows, 40);
	CHECK_STR(spec.user, "5");
	CHECK_EQ(spec.gid, 6);
	CHECK_EQ(spec.groups[1], 8);
	CHECK_EQ(spec.umask, 022);
	CHECK_EQ(spec.caps, 1u << 5 | 1u << 0);
	CHECK_EQ(spec.caps_ambient, 1u << 5);
	CHECK_EQ(spec.rlimits[0].hard, UINT64_MAX);
	CHECK_EQ(spec.oom_score_adj, -5);
	CHECK_STR(spec.mounts[0].source, "/bundle/vol");
	CHECK_EQ(spec.mounts[0].flags, MS_BIND | MS_REC | MS_RDONLY);
	CHECK_STR(spec.cgroup, "a/b");
	CHECK_EQ(spec.limits.memory, 1000);
	CHECK_EQ(spec.limits.cpu_quota, 5);
	CHECK_EQ(spec.limits.pids, 9);
	CHECK_EQ(spec.ns_new, 0x3e);
	CHECK_STR(spec.sysctls[0].key, "net.core.somaxconn");
	CHECK_EQ(spec.seccomp.mode, RUNTIME_SECCOMP_CUSTOM);
	CHECK_EQ(spec.seccomp.default_action, SCMP_ACT_ERRNO(1));
	CHECK_EQ(spec.seccomp.rules[1].action, SCMP_ACT_ERRNO(38));
	CHECK_EQ(spec.seccomp.rules[1].args[0].value, UINT64_MAX);
	CHECK(!spec.device_rules[0].allow);
	arena_free(arena);
}

TEST(oci_config_that_cannot_be_met_is_refused)
{
	static const struct {
		const char *text;
		enum error_kind kind;
	} bad[] = {
		{ "{}", ERR_UNSUPPORTED },
		{ "{\"ociVersion\":\"2.0\"}", ERR_UNSUPPORTED },
		{ "{\"ociVersion\":\"1.0.0\"," PROCESS ",\"linux\":{" NS "}}", ERR_INVALID },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"linux\":{" NS "}}", ERR_INVALID },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}," PROCESS ",\"linux\":{}}", ERR_UNSUPPORTED },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}," PROCESS
		  ",\"hooks\":{\"prestart\":[{\"path\":\"/x\"}]},\"linux\":{" NS "}}",
		  ERR_UNSUPPORTED },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}," PROCESS
		  ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"time\"}]}}",
		  ERR_UNSUPPORTED },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}," PROCESS
		  ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\",\"path\":\"/absent\"}]}}",
		  ERR_NOT_FOUND },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"x\"},\"linux\":{" NS
		  "}}",
		  ERR_INVALID },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"FLY\"]}},\"linux\":{" NS
		  "}}",
		  ERR_INVALID },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}," PROCESS ",\"linux\":{" NS
		  ",\"sysctl\":{\"kernel.core_pattern\":\"|/evil\"}}}",
		  ERR_INVALID },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}," PROCESS
		  ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"sysctl\":{\"net.core.somaxconn\":\"5\"}}}",
		  ERR_INVALID },
		{ "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"}," PROCESS ",\"linux\":{" NS
		  ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_FLY\"}}}",
		  ERR_INVALID },
	};
	struct arena *arena = arena_new();
	struct runtime_spec spec;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error *err = parse(arena, bad[i].text, &spec);

		if (err == NULL || err->kind != bad[i].kind)
			tap_fail(__FILE__, __LINE__, "%s gives %s", bad[i].text, err != NULL ? err->text : "no error");
		error_free(err);
	}
	CHECK_EQ(oci_signal_parse("TERM"), 15);
	CHECK_EQ(oci_signal_parse("SIGkill"), 9);
	CHECK_EQ(oci_signal_parse("2"), 2);
	CHECK_EQ(oci_signal_parse("SIGNOTHING"), 0);
	arena_free(arena);
}

/* --- the command line --- */

static char dir[64];
#define OCI  "%s oci --root %s/state "
#define ARGS fixture_driver(), dir

static void bundle_begin(void)
{
	fixture_need_root();
	snprintf(dir, sizeof(dir), "/tmp/monokube-oci-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(fixture_command(
			 "mkdir -p %s/rootfs/bin && cp /bin/busybox %s/rootfs/bin/ && for a in sh sleep echo cat id true; do "
			 "ln -s busybox %s/rootfs/bin/$a; done",
			 dir, dir, dir),
		 0);
}

static void bundle_write(const char *script)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_FREE char *path = xasprintf("%s/config.json", dir);

	buf_printf(
		&text,
		"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"sh\",\"-c\",\"%s\"],\"cwd\":\"/\","
		"\"env\":[\"PATH=/bin\"]},\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
		"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}],\"linux\":{" NS ","
		"\"cgroupsPath\":\"/monokube-%s\"}}",
		script, strrchr(dir, '/') + 1);
	CHECK_OK(file_put_at(AT_FDCWD, path, buf_str(&text), 0644));
}

static void bundle_end(void)
{
	CHECK_EQ(fixture_command("test -z \"$(ls %s/state)\"", dir), 0);
	CHECK_EQ(fixture_command("test -z \"$(find /sys/fs/cgroup -name 'monokube-%s')\"", strrchr(dir, '/') + 1), 0);
	CHECK_OK(dir_remove(AT_FDCWD, dir));
}

TEST(oci_run_gives_the_exit_code)
{
	bundle_begin();
	bundle_write("exit 7");
	CHECK_EQ(fixture_command(OCI "run --bundle %s c1", ARGS, dir), 7);
	bundle_write("echo $$ >/out; id -u >>/out");
	CHECK_EQ(fixture_command(OCI "run -b %s c1", ARGS, dir), 0);
	CHECK_EQ(fixture_command("test \"$(cat %s/rootfs/out | tr '\\n' ' ')\" = '1 0 '", dir), 0);
	bundle_end();
}

TEST(oci_create_start_kill_delete)
{
	bundle_begin();
	bundle_write("echo started >/mark; exec sleep 1000");
	CHECK_EQ(fixture_command(OCI "create --bundle %s --pid-file %s/pid c1 >/dev/null 2>&1", ARGS, dir, dir), 0);
	CHECK_EQ(fixture_command("kill -0 $(cat %s/pid)", dir), 0);
	CHECK_EQ(fixture_command("test ! -e %s/rootfs/mark", dir), 0);
	CHECK_EQ(fixture_command(OCI "state c1 | grep -q '\"status\": \"created\"'", ARGS), 0);
	CHECK_EQ(fixture_command(OCI "create --bundle %s c1 2>/dev/null", ARGS, dir), 81);
	CHECK_EQ(fixture_command(OCI "start c1", ARGS), 0);
	CHECK_EQ(fixture_command("for i in $(seq 100); do test -e %s/rootfs/mark && exit 0; sleep 0.02; done; exit 1", dir), 0);
	CHECK_EQ(fixture_command(OCI "state c1 | grep -q '\"status\": \"running\"'", ARGS), 0);
	CHECK_EQ(fixture_command(OCI "start c1 2>/dev/null", ARGS), 81);
	CHECK_EQ(fixture_command(OCI "delete c1 2>/dev/null", ARGS), 81);
	CHECK_EQ(fixture_command(OCI "kill c1 KILL", ARGS), 0);
	CHECK_EQ(fixture_command("for i in $(seq 100); do " OCI "state c1 | grep -q stopped && exit 0; sleep 0.02; done; exit 1",
				 ARGS),
		 0);
	CHECK_EQ(fixture_command(OCI "kill c1 KILL 2>/dev/null", ARGS), 81);
	CHECK_EQ(fixture_command(OCI "delete c1", ARGS), 0);
	CHECK_EQ(fixture_command(OCI "state c1 2>/dev/null", ARGS), 85);
	CHECK_EQ(fixture_command(OCI "delete --force c1", ARGS), 0);
	bundle_end();
}

TEST(oci_force_deletes_what_runs_and_what_waits)
{
	bundle_begin();
	bundle_write("sleep 1000");
	CHECK_EQ(fixture_command(OCI "run --detach -b %s c1 >/dev/null 2>&1", ARGS, dir), 0);
	CHECK_EQ(fixture_command(OCI "delete -f c1", ARGS), 0);
	CHECK_EQ(fixture_command(OCI "create -b %s c2 >/dev/null 2>&1", ARGS, dir), 0);
	CHECK_EQ(fixture_command(OCI "delete c2", ARGS), 0);
	bundle_end();
}

TEST(oci_failures_leave_nothing_and_say_why)
{
	bundle_begin();
	CHECK_EQ(fixture_command(OCI "run -b %s c1 2>/dev/null", ARGS, dir), 85); /* no config.json */
	bundle_write("true");
	CHECK_EQ(fixture_command("sed -i 's/\"sh\"/\"absent\"/' %s/config.json", dir), 0);
	CHECK_EQ(fixture_command("%s oci --root %s/state --log %s/log --log-format json create -b %s c1 2>/dev/null", ARGS, dir,
				 dir),
		 85);
	CHECK_EQ(fixture_command("grep -q '\"msg\":\"exec: ..absent..: executable file not found in $PATH\"' %s/log && rm %s/log",
				 dir, dir),
		 0);
	CHECK_EQ(fixture_command(OCI "create -b %s ../x 2>/dev/null", ARGS, dir), 14);
	CHECK_EQ(fixture_command(OCI "fly c1 2>/dev/null", ARGS), 14);
	CHECK_EQ(fixture_command(OCI "kill c1 NOSIG 2>/dev/null", ARGS), 85);
	bundle_end();
}
