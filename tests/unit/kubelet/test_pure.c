/* Environment, files and status: pure parts, against what a person would see. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubelet/logs.h"
#include "kubelet/private.h"
#include "tests/unit/tap.h"

static const struct json *read_json(struct arena *arena, const char *text)
{
	const struct json *value;

	CHECK_OK(json_read_yaml(arena, str_from(text), NULL, &value));
	return value;
}

static const char pod_text[] = "{metadata: {name: web, namespace: shop, uid: u-1, generation: 2, labels: {b: '2', a: x}},"
			       " spec: {nodeName: n1, serviceAccountName: default, containers: [{name: c, image: i, resources:"
			       " {requests: {cpu: 250m, memory: 64Mi}, limits: {memory: 128Mi}}}]}}";

struct world {
	struct arena *arena;
	struct facts facts;
	const struct json *config_map, *secret;
};

static const struct json *find(void *arg, const char *kind, struct str name)
{
	const struct world *world = arg;

	if (!str_is(name, "there"))
		return NULL;
	return strcmp(kind, "Secret") == 0 ? world->secret : world->config_map;
}

static void world_init(struct world *world)
{
	static const struct json *services[2];

	*world = (struct world){ .arena = arena_new() };
	world->config_map = read_json(world->arena, "{data: {A: one, sub.file: text}, binaryData: {bin: aGk=}}");
	world->secret = read_json(world->arena, "{data: {pw: Z2VoZWlt}}");
	services[0] = read_json(world->arena,
				"{metadata: {name: kubernetes, namespace: default}, spec: {clusterIP: 10.96.0.1, ports:"
				" [{name: https, port: 443, protocol: TCP}]}}");
	services[1] = read_json(world->arena, "{metadata: {name: my-db, namespace: shop}, spec: {clusterIP: 10.96.0.9, ports:"
					      " [{port: 53, protocol: UDP}]}}");
	world->facts = (struct facts){ .pod = read_json(world->arena, pod_text),
				       .pod_ip = STR("10.244.0.5"),
				       .host_ip = STR("192.168.49.10"),
				       .services = services,
				       .n_services = 2,
				       .find = find,
				       .arg = world,
				       .node_cpu_milli = 4000,
				       .node_memory = 1 << 30 };
}

static struct error *env_of(struct world *world, const char *container, const char ***env, size_t *n, size_t *own)
{
	const struct str image[] = { STR_INIT("PATH=/bin"), STR_INIT("A=image") };

	return env_build(world->arena, &world->facts, read_json(world->arena, container), image, 2, env, n, own);
}

static const char *value_of(const char *const *env, size_t n, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return env[i] + len + 1;
	return "(absent)";
}

TEST(env_values_from_everywhere)
{
	struct world world;
	const char **env;
	size_t n, own;

	world_init(&world);
	CHECK_OK(env_of(&world,
			"{name: c, envFrom: [{prefix: P_, configMapRef: {name: there}}, {secretRef: {name: away, optional: "
			"true}}],"
			" env: [{name: A, value: hello}, {name: B, value: '$(A) $(NONE) $$(A) $(PATH)'},"
			" {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}},"
			" {name: LABEL, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['b']\"}}},"
			" {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}},"
			" {name: CPU, valueFrom: {resourceFieldRef: {containerName: c, resource: requests.cpu}}},"
			" {name: CPUM, valueFrom: {resourceFieldRef: {containerName: c, resource: requests.cpu, divisor: 1m}}},"
			" {name: LIM, valueFrom: {resourceFieldRef: {containerName: c, resource: limits.cpu}}},"
			" {name: MEM, valueFrom: {resourceFieldRef: {containerName: c, resource: limits.memory, divisor: "
			"1Mi}}},"
			" {name: PW, valueFrom: {secretKeyRef: {name: there, key: pw}}},"
			" {name: NO, valueFrom: {secretKeyRef: {name: there, key: none, optional: true}}}]}",
			&env, &n, &own));
	CHECK_STR(value_of(env, n, "A"), "hello");
	CHECK_STR(value_of(env, n, "B"), "hello $(NONE) $(A) $(PATH)");
	CHECK_STR(value_of(env, n, "P_A"), "one");
	CHECK_STR(value_of(env, n, "POD"), "web");
	CHECK_STR(value_of(env, n, "LABEL"), "2");
	CHECK_STR(value_of(env, n, "IP"), "10.244.0.5");
	CHECK_STR(value_of(env, n, "CPU"), "1");
	CHECK_STR(value_of(env, n, "CPUM"), "250");
	CHECK_STR(value_of(env, n, "LIM"), "4");
	CHECK_STR(value_of(env, n, "MEM"), "128");
	CHECK_STR(value_of(env, n, "PW"), "geheim");
	CHECK_STR(value_of(env, n, "NO"), "(absent)");
	CHECK_STR(value_of(env, n, "PATH"), "/bin");
	CHECK_STR(value_of(env, n, "KUBERNETES_SERVICE_HOST"), "10.96.0.1");
	CHECK_STR(value_of(env, n, "KUBERNETES_SERVICE_PORT_HTTPS"), "443");
	CHECK_STR(value_of(env, n, "MY_DB_PORT_53_UDP"), "udp://10.96.0.9:53");
	CHECK_STR(value_of(env, n, "MY_DB_PORT"), "udp://10.96.0.9:53");
	CHECK_STR(env_expand(world.arena, STR("$(POD):$(PATH)"), env, own), "web:$(PATH)");
	arena_free(world.arena);
}

TEST(env_without_service_links)
{
	struct world world;
	const char **env;
	size_t n, own;

	world_init(&world);
	world.facts.pod = json_with_path(world.arena, world.facts.pod, "spec.enableServiceLinks", &json_false);
	CHECK_OK(env_of(&world, "{name: c}", &env, &n, &own));
	CHECK_STR(value_of(env, n, "MY_DB_PORT"), "(absent)");
	CHECK_STR(value_of(env, n, "KUBERNETES_SERVICE_HOST"), "10.96.0.1");
	arena_free(world.arena);
}

static void check_env_error(const char *container, const char *text)
{
	struct world world;
	const char **env;
	size_t n, own;
	struct error *err;

	world_init(&world);
	err = env_of(&world, container, &env, &n, &own);
	CHECK(err != NULL);
	CHECK_STR(err->text, text);
	error_free(err);
	arena_free(world.arena);
}

TEST(env_errors_in_upstreams_words)
{
	check_env_error("{env: [{name: A, valueFrom: {configMapKeyRef: {name: away, key: k}}}]}", "configmap \"away\" not found");
	check_env_error("{env: [{name: A, valueFrom: {secretKeyRef: {name: there, key: k}}}]}",
			"couldn't find key k in Secret shop/there");
	check_env_error("{envFrom: [{secretRef: {name: away}}]}", "secret \"away\" not found");
}

TEST(files_of_a_sandbox)
{
	struct arena *arena = arena_new();
	const struct json *pod =
		read_json(arena, "{metadata: {name: web, namespace: shop}, spec: {subdomain: sub, dnsPolicy: ClusterFirst,"
				 " hostAliases: [{ip: 1.2.3.4, hostnames: [a, b]}],"
				 " dnsConfig: {options: [{name: ndots, value: '2'}], searches: [x.org]}}}");
	const struct str domain = STR("cluster.local");

	CHECK_STR(hosts_file(arena, pod, STR("10.244.0.5"), domain),
		  "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
		  "ip6-loopback\nfe00::0\tip6-localnet\n"
		  "fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
		  "10.244.0.5\tweb.sub.shop.svc.cluster.local\tweb\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n");
	CHECK_STR(resolv_conf(arena, pod, STR("10.96.0.10"), domain, STR("nameserver 9.9.9.9\n")),
		  "search shop.svc.cluster.local svc.cluster.local cluster.local x.org\nnameserver 10.96.0.10\noptions "
		  "ndots:2\n");
	pod = json_with_path(arena, pod, "spec.dnsPolicy", json_text(arena, "Default"));
	CHECK_STR(resolv_conf(arena, pod, STR("10.96.0.10"), domain, STR("search h\nnameserver 9.9.9.9\n")),
		  "search h x.org\nnameserver 9.9.9.9\noptions ndots:2\n");
	pod = json_with_path(arena, pod, "spec.dnsPolicy", json_text(arena, "None"));
	CHECK_STR(resolv_conf(arena, pod, STR("10.96.0.10"), domain, STR("nameserver 9.9.9.9\n")),
		  "search x.org\noptions ndots:2\n");
	arena_free(arena);
}

/* --- payloads --- */

static struct str no_token(void *arg, struct str volume, struct str path)
{
	(void)arg;
	(void)volume;
	(void)path;
	return STR("token!");
}

static void read_to(int dir, const char *path, char *text, size_t size)
{
	int fd = openat(dir, path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

static void write_volume(struct world *world, int dir, const char *volume)
{
	struct payload payload;

	CHECK_OK(payload_build(world->arena, &world->facts, read_json(world->arena, volume), no_token, NULL, &payload));
	CHECK_OK(payload_write(dir, &payload, -1));
	vec_fini(&payload.files);
}

TEST(payload_changes_at_once)
{
	char path[] = "/tmp/monokube-payload-XXXXXX", text[64], command[128];
	struct world world;
	struct stat st;
	int dir;

	CHECK(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	world_init(&world);
	write_volume(&world, dir,
		     "{name: v, projected: {defaultMode: 420, sources: [{configMap: {name: there}}, {secret: {name: "
		     "there, items:"
		     " [{key: pw, path: deep/er/pw, mode: 256}]}}, {serviceAccountToken: {path: token}},"
		     " {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]}}");
	read_to(dir, "A", text, sizeof(text));
	CHECK_STR(text, "one");
	read_to(dir, "bin", text, sizeof(text));
	CHECK_STR(text, "hi");
	read_to(dir, "deep/er/pw", text, sizeof(text));
	CHECK_STR(text, "geheim");
	CHECK_EQ(fstatat(dir, "deep/er/pw", &st, 0), 0);
	CHECK_EQ(st.st_mode & 0777, 0400);
	read_to(dir, "token", text, sizeof(text));
	CHECK_STR(text, "token!");
	read_to(dir, "labels", text, sizeof(text));
	CHECK_STR(text, "a=\"x\"\nb=\"2\"");
	/* what is not shown any more goes */
	write_volume(&world, dir, "{name: v, configMap: {name: there, items: [{key: A, path: B}]}}");
	read_to(dir, "B", text, sizeof(text));
	CHECK_STR(text, "one");
	CHECK(fstatat(dir, "A", &st, AT_SYMLINK_NOFOLLOW) != 0);
	CHECK(fstatat(dir, "deep", &st, AT_SYMLINK_NOFOLLOW) != 0);
	close(dir);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	CHECK_EQ(system(command), 0);
	arena_free(world.arena);
}

TEST(payload_errors)
{
	struct world world;
	struct payload payload;
	struct error *err;

	world_init(&world);
	err = payload_build(world.arena, &world.facts, read_json(world.arena, "{configMap: {name: away}}"), no_token, NULL,
			    &payload);
	CHECK(err != NULL);
	CHECK_STR(err->text, "configmap \"away\" not found");
	error_free(err);
	CHECK_OK(payload_build(world.arena, &world.facts, read_json(world.arena, "{secret: {secretName: away, optional: true}}"),
			       no_token, NULL, &payload));
	CHECK_EQ(payload.files.len, 0);
	err = payload_build(world.arena, &world.facts,
			    read_json(world.arena, "{configMap: {name: there, items: [{key: Z, path: z}]}}"), no_token, NULL,
			    &payload);
	CHECK(err != NULL);
	CHECK_STR(err->text, "references non-existent config key: Z");
	error_free(err);
	vec_fini(&payload.files);
	arena_free(world.arena);
}

/* --- status --- */

static const struct json *status_condition(const struct json *status, const char *type)
{
	JSON_EACH (json_get(status, "conditions"), it)
		if (str_is(json_get_str(it.value, "type"), type))
			return it.value;
	return NULL;
}

TEST(status_from_nothing_to_ready)
{
	struct arena *arena = arena_new();
	struct run run = { .id = (char *)(uintptr_t) "abc", .running = true, .started_at = NS_PER_S };
	struct status_container c = { .plan = { .kind = PLAN_MAIN } };
	struct status_input in = { .pod = read_json(arena, pod_text),
				   .host_ip = ip_v4(1, 2, 3, 4),
				   .containers = &c,
				   .n = 1,
				   .now = 5 * NS_PER_S,
				   .start_time = NS_PER_S };
	const struct json *status = pod_status(arena, &in), *before;

	CHECK_STR(json_get_str(status, "phase"), "Pending");
	CHECK_STR(json_path_str(status, "containerStatuses.0.state.waiting.reason"), "ContainerCreating");
	CHECK_STR(json_get_str(status_condition(status, "PodReadyToStartContainers"), "status"), "False");
	CHECK_STR(json_get_str(status_condition(status, "Ready"), "reason"), "ContainersNotReady");
	CHECK_STR(json_get_str(status_condition(status, "Ready"), "message"), "containers with unready status: [c]");
	CHECK_EQ(json_int(json_get(status, "observedGeneration"), 0), 2);
	CHECK_STR(json_get_str(status, "qosClass"), "Burstable");

	c.now = &run;
	c.ready = true;
	c.plan.state = SEEN_RUNNING;
	c.plan.started = true;
	in.sandbox_ready = true;
	in.pod_ip = ip_v4(10, 244, 0, 5);
	status = pod_status(arena, &in);
	CHECK_STR(json_get_str(status, "phase"), "Running");
	CHECK_STR(json_path_str(status, "podIPs.0.ip"), "10.244.0.5");
	CHECK_STR(json_path_str(status, "containerStatuses.0.containerID"), "monokube://abc");
	CHECK_STR(json_get_str(status_condition(status, "Ready"), "status"), "True");
	CHECK(json_bool(json_path(status, "containerStatuses.0.ready")));
	CHECK(json_bool(json_path(status, "containerStatuses.0.started")));

	/* the same again: transition times stay */
	before = status;
	in.pod = json_with(arena, in.pod, "status", status);
	in.now += NS_PER_S;
	CHECK(json_equal(before, pod_status(arena, &in)));
	arena_free(arena);
}

TEST(status_of_a_crash_loop)
{
	struct arena *arena = arena_new();
	struct run run = {
		.id = (char *)(uintptr_t) "abc", .exited = true, .exit_code = 3, .attempt = 2, .finished_at = 2 * NS_PER_S
	};
	struct status_container c = { .plan = { .kind = PLAN_MAIN,
						.state = SEEN_EXITED,
						.exit_code = 3,
						.finished_at = 2 * NS_PER_S,
						.has_run = true,
						.backoff = { 20 * NS_PER_S, NS_PER_S } },
				      .now = &run };
	struct status_input in = {
		.pod = read_json(arena, pod_text), .containers = &c, .n = 1, .now = 5 * NS_PER_S, .sandbox_ready = true
	};
	const struct json *status = pod_status(arena, &in);

	CHECK_STR(json_get_str(status, "phase"), "Running");
	CHECK_STR(json_path_str(status, "containerStatuses.0.state.waiting.reason"), "CrashLoopBackOff");
	CHECK_STR(json_path_str(status, "containerStatuses.0.state.waiting.message"),
		  "back-off 20s restarting failed container=c pod=web_shop(u-1)");
	CHECK_STR(json_path_str(status, "containerStatuses.0.lastState.terminated.reason"), "Error");
	CHECK_EQ(json_int(json_path(status, "containerStatuses.0.restartCount"), 0), 2);
	in.over = true; /* it is being deleted: as it ended */
	status = pod_status(arena, &in);
	CHECK_EQ(json_int(json_path(status, "containerStatuses.0.state.terminated.exitCode"), 0), 3);
	CHECK_STR(json_get_str(status, "phase"), "Failed");
	run.oom_killed = true;
	CHECK_STR(json_path_str(pod_status(arena, &in), "containerStatuses.0.state.terminated.reason"), "OOMKilled");
	arena_free(arena);
}

TEST(status_of_a_refused_pod)
{
	struct arena *arena = arena_new();
	struct status_input in = {
		.pod = read_json(arena, pod_text), .now = NS_PER_S, .rejected = "OutOfcpu", .rejected_message = "why"
	};
	const struct json *status = pod_status(arena, &in);

	CHECK_STR(json_get_str(status, "phase"), "Failed");
	CHECK_STR(json_get_str(status, "reason"), "OutOfcpu");
	CHECK(json_get(status, "containerStatuses") == NULL);

	/* another kubelet, which knows nothing of it, leaves it so */
	struct status_container c = { .plan = { .kind = PLAN_MAIN } };
	struct status_input later = { .pod = json_with(arena, in.pod, "status", status), .now = NS_PER_S, .containers = &c, .n = 1 };

	CHECK(json_equal(pod_status(arena, &later), status));
	arena_free(arena);
}

TEST(classes_and_requests)
{
	struct arena *arena = arena_new();

	CHECK_STR(qos_class(read_json(arena, "{containers: [{name: a}]}")), "BestEffort");
	CHECK_STR(qos_class(read_json(arena, "{containers: [{resources: {limits: {cpu: 1, memory: 1Gi}}}]}")), "Guaranteed");
	CHECK_STR(qos_class(read_json(arena, "{containers: [{resources: {limits: {cpu: 1, memory: 1Gi}}}, {name: b}]}")),
		  "Burstable");
	/* sidecar 100 + main 200 = 300, but the init container beside the sidecar wants 500 + 100 */
	CHECK_EQ(pod_request(read_json(arena, "{initContainers: [{restartPolicy: Always, resources: {requests: {cpu: 100m}}},"
					      " {resources: {requests: {cpu: 500m}}}], containers: [{resources: {requests: "
					      "{cpu: 200m}}}]}"),
			     "cpu"),
		 600);
	arena_free(arena);
}

TEST(signals_by_name)
{
	CHECK_EQ(signal_number(NULL), SIGTERM);
	CHECK_EQ(signal_number("SIGQUIT"), SIGQUIT);
	CHECK_EQ(signal_number("usr1"), SIGUSR1);
	CHECK_EQ(signal_number("3"), SIGQUIT);
	CHECK_EQ(signal_number("RTMIN+3"), SIGRTMIN + 3);
	CHECK_EQ(signal_number("NONSENSE"), SIGTERM);
}

/* --- logs --- */

static void check_log(const char *file, struct log_options options, const char *want)
{
	char path[] = "/tmp/monokube-log-XXXXXX";
	int fd = mkstemp(path);
	struct log_cursor cursor;
	AUTO_BUF struct buf out = { 0 };

	CHECK(fd >= 0);
	unlink(path);
	CHECK_EQ(write(fd, file, strlen(file)), strlen(file));
	log_cursor_init(&cursor, fd, &options);
	while (log_cursor_next(&cursor, fd, &out) == LOG_MORE)
		;
	log_cursor_fini(&cursor);
	close(fd);
	CHECK_STR(buf_str(&out), want);
}

TEST(logs_lines_and_pieces)
{
	static const char file[] = "2026-01-01T00:00:01.000000000Z stdout F one\n"
				   "2026-01-01T00:00:02.000000000Z stderr P tw\n"
				   "2026-01-01T00:00:02.500000000Z stderr F o\n"
				   "2026-01-01T00:00:03.000000000Z stdout F three\n";
	const struct log_options all = { .tail = -1, .limit = -1 };
	struct log_options o = all;
	int64_t since;

	check_log(file, o, "one\ntwo\nthree\n");
	o.tail = 1;
	check_log(file, o, "three\n");
	o.tail = 2;
	check_log(file, o, "two\nthree\n");
	o.tail = 3;
	check_log(file, o, "one\ntwo\nthree\n");
	o.tail = 9;
	check_log(file, o, "one\ntwo\nthree\n");
	o.tail = 0;
	check_log(file, o, "");
	o = all;
	o.limit = 5;
	check_log(file, o, "one\nt");
	o = all;
	o.timestamps = true;
	o.tail = 2;
	check_log(file, o, "2026-01-01T00:00:02.000000000Z two\n2026-01-01T00:00:03.000000000Z three\n");
	o = all;
	CHECK(time_parse(STR("2026-01-01T00:00:02.2Z"), &since));
	o.since = since;
	check_log(file, o, "o\nthree\n");
	check_log("rubbish\n", all, "");
	check_log("", all, "");
}

TEST(logs_tail_across_blocks)
{
	AUTO_BUF struct buf file = { 0 }, want = { 0 };
	struct log_options o = { .tail = 2000, .limit = -1 };

	for (int i = 0; i < 5000; i++) {
		buf_printf(&file, "2026-01-01T00:00:01.000000000Z stdout F line %d stdout F\n", i);
		if (i >= 3000)
			buf_printf(&want, "line %d stdout F\n", i);
	}
	check_log(buf_cstr(&file), o, buf_cstr(&want));
}

TEST(labels_are_the_memory)
{
	const char *const labels[] = { "uid=u-1", "ip=10.0.0.1", "uidx=no" };

	CHECK_STR(label_of(labels, 3, "uid"), "u-1");
	CHECK_STR(label_of(labels, 3, "ip"), "10.0.0.1");
	CHECK(label_of(labels, 3, "stop") == NULL);
}
