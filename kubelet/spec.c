/* From a pod's spec to what the node process is asked for. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>

#include "kubelet/private.h"
#include "runtime/runtime.h"

/* --- names and places --- */

const char *pod_dir(struct arena *arena, const struct pod *pod)
{
	return arena_printf(arena, PODS_DIR "/%s", pod->uid);
}

const char *log_path(struct arena *arena, const struct container *container, unsigned attempt)
{
	const struct pod *pod = container->pod;

	return arena_printf(arena, LOGS_DIR "/%s_%s_%s/%s/%u.log", pod->ns, pod->name, pod->uid, container->name, attempt);
}

const char *termination_path(struct arena *arena, const struct container *container, unsigned attempt)
{
	return arena_printf(arena, PODS_DIR "/%s/containers/%s/%u", container->pod->uid, container->name, attempt);
}

int signal_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} known[] = { { "HUP", SIGHUP },   { "INT", SIGINT },   { "QUIT", SIGQUIT },   { "KILL", SIGKILL }, { "USR1", SIGUSR1 },
		      { "USR2", SIGUSR2 }, { "TERM", SIGTERM }, { "WINCH", SIGWINCH }, { "ABRT", SIGABRT }, { "STOP", SIGSTOP },
		      { "CONT", SIGCONT }, { "PWR", SIGPWR },   { "ALRM", SIGALRM } };
	const char *rest = name != NULL && strncasecmp(name, "SIG", 3) == 0 ? name + 3 : name;
	int number, offset;

	if (name == NULL || name[0] == '\0')
		return SIGTERM;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcasecmp(known[i].name, rest) == 0)
			return known[i].number;
	if (sscanf(rest, "RTMIN+%d", &offset) == 1 && offset >= 0 && SIGRTMIN + offset <= SIGRTMAX)
		return SIGRTMIN + offset;
	number = atoi(rest);
	return number > 0 && number < NSIG ? number : SIGTERM;
}

/* --- resources --- */

static const struct json *amount(const struct json *container, const char *which, const char *resource)
{
	return json_get(json_get(json_get(container, "resources"), which), resource);
}

static int64_t units(const struct json *value, const char *resource)
{
	struct quantity q = quantity_of(value);

	return strcmp(resource, "cpu") == 0 ? quantity_milli(&q) : quantity_value(&q);
}

/* resourcehelper.PodRequests: the larger of what runs at once and what each init container needs beside the sidecars.
 */
int64_t pod_request(const struct json *spec, const char *resource)
{
	int64_t sum = 0, sidecars = 0, most = 0;
	const struct json *whole = json_get(json_path(spec, "resources.requests"), resource);

	if (whole != NULL)
		return units(whole, resource);
	JSON_EACH (json_get(spec, "containers"), it)
		sum += units(amount(it.value, "requests", resource), resource);
	JSON_EACH (json_get(spec, "initContainers"), it) {
		int64_t own = units(amount(it.value, "requests", resource), resource);

		if (plan_kind_of(it.value, true) == PLAN_SIDECAR)
			sidecars += own;
		else
			most = sidecars + own > most ? sidecars + own : most;
	}
	sum += sidecars;
	sum = most > sum ? most : sum;
	return sum + units(json_get(json_get(spec, "overhead"), resource), resource);
}

struct qos {
	bool any, guaranteed;
};

static void judge(struct qos *qos, const struct json *container)
{
	static const char *const resources[] = { "cpu", "memory" };

	for (size_t i = 0; i < 2; i++) {
		struct quantity limit = quantity_of(amount(container, "limits", resources[i]));
		struct quantity request = quantity_of(amount(container, "requests", resources[i]));

		qos->any = qos->any || quantity_sign(&limit) > 0 || quantity_sign(&request) > 0;
		if (quantity_sign(&limit) <= 0 || (quantity_sign(&request) > 0 && quantity_cmp(&limit, &request) != 0))
			qos->guaranteed = false;
	}
}

const char *qos_class(const struct json *spec)
{
	struct qos qos = { false, true };

	JSON_EACH (json_get(spec, "containers"), it)
		judge(&qos, it.value);
	JSON_EACH (json_get(spec, "initContainers"), it)
		judge(&qos, it.value);
	return !qos.any ? "BestEffort" : qos.guaranteed ? "Guaranteed" : "Burstable";
}

static uint64_t shares_of(int64_t milli)
{
	int64_t shares = milli * 1024 / 1000; /* cm.MilliCPUToShares */

	return (uint64_t)(shares < 2 ? 2 : shares > 262144 ? 262144 : shares);
}

static int64_t quota_of(int64_t milli)
{
	int64_t quota = milli * 100000 / 1000;

	return quota < 1000 ? 1000 : quota;
}

static void container_limits(const struct json *container, struct runtime_limits *limits)
{
	int64_t cpu = units(amount(container, "limits", "cpu"), "cpu"),
		memory = units(amount(container, "limits", "memory"), "memory");
	const struct json *request = amount(container, "requests", "cpu");

	*limits = (struct runtime_limits){ .cpu_shares = shares_of(request != NULL ? units(request, "cpu") : cpu) };
	if (cpu > 0) {
		limits->cpu_quota = quota_of(cpu);
		limits->cpu_period = 100000;
	}
	if (memory > 0)
		limits->memory = limits->memory_swap = memory;
}

static void pod_limits(const struct json *spec, struct runtime_limits *limits)
{
	int64_t cpu = 0, memory = 0;
	bool all_cpu = true, all_memory = true;

	JSON_EACH (json_get(spec, "containers"), it) {
		int64_t own_cpu = units(amount(it.value, "limits", "cpu"), "cpu");
		int64_t own_memory = units(amount(it.value, "limits", "memory"), "memory");

		all_cpu = all_cpu && own_cpu > 0;
		all_memory = all_memory && own_memory > 0;
		cpu += own_cpu;
		memory += own_memory;
	}
	*limits = (struct runtime_limits){ .cpu_shares = shares_of(pod_request(spec, "cpu")) };
	if (json_len(json_get(spec, "initContainers")) != 0)
		return; /* they may need more for a while */
	if (all_cpu && cpu > 0) {
		limits->cpu_quota = quota_of(cpu);
		limits->cpu_period = 100000;
	}
	if (all_memory && memory > 0)
		limits->memory = memory;
}

/* kubelet/qos: GetContainerOOMScoreAdjust */
static int32_t oom_score(const struct json *spec, const struct json *container, int64_t capacity)
{
	const char *class = qos_class(spec);
	int64_t request = units(amount(container, "requests", "memory"), "memory"), score;

	if (strcmp(class, "Guaranteed") == 0)
		return -997;
	if (strcmp(class, "BestEffort") == 0 || capacity <= 0)
		return 1000;
	score = 1000 - 1000 * request / capacity;
	return (int32_t)(score < 3 ? 3 : score > 999 ? 999 : score);
}

/* --- sandbox --- */

static const char *cgroup_of(struct arena *arena, const struct pod *pod)
{
	const char *class = qos_class(json_get(pod_tree(pod), "spec"));

	if (strcmp(class, "Guaranteed") == 0)
		return arena_printf(arena, "kubepods/pod%s", pod->uid);
	return arena_printf(arena, "kubepods/%s/pod%s", strcmp(class, "Burstable") == 0 ? "burstable" : "besteffort", pod->uid);
}

static void add_label(struct arena *arena, const char **labels, size_t *n, const char *key, const char *value)
{
	labels[(*n)++] = arena_printf(arena, "%s=%s", key, value);
}

void sandbox_request(struct arena *arena, struct pod *pod, const char *id, struct ip ip, struct node_sandbox_create *out)
{
	const struct json *spec = json_get(pod_tree(pod), "spec"), *sysctls = json_path(spec, "securityContext.sysctls");
	char text[IP_TEXT];

	*out = (struct node_sandbox_create){ .id = id,
					     .name = pod->name,
					     .ns = pod->ns,
					     .uid = pod->uid,
					     .attempt = pod->sandbox_attempt + 1,
					     .hostname = str_cstr(arena, pod_hostname(arena, pod_tree(pod))),
					     .host_network = pod_host_network(pod),
					     .host_ipc = json_bool(json_get(spec, "hostIPC")),
					     .host_pid = json_bool(json_get(spec, "hostPID")),
					     .share_pid = json_bool(json_get(spec, "shareProcessNamespace")),
					     .cgroup = cgroup_of(arena, pod) };
	pod_limits(spec, &out->limits);
	if (json_bool(json_get(spec, "setHostnameAsFQDN")) && json_get(spec, "subdomain") != NULL)
		out->hostname = arena_printf(arena, "%s.%.*s.%s.svc.%s", out->hostname, STR_ARG(json_get_str(spec, "subdomain")),
					     pod->ns, pod->kubelet->options.cluster_domain);
	out->sysctls = ARENA_ARRAY(arena, struct runtime_sysctl, json_len(sysctls) + 1);
	JSON_EACH (sysctls, it)
		out->sysctls[out->n_sysctls++] = (struct runtime_sysctl){ str_cstr(arena, json_get_str(it.value, "name")),
									  str_cstr(arena, json_get_str(it.value, "value")) };
	out->labels = ARENA_ARRAY(arena, const char *, 2);
	add_label(arena, out->labels, &out->n_labels, "uid", pod->uid);
	add_label(arena, out->labels, &out->n_labels, "ip", ip_format(text, ip).ptr);
}

/* --- what runs --- */

static const char **words(struct arena *arena, const struct json *list, const char *const *env, size_t n_env, const char **to,
			  size_t *n)
{
	JSON_EACH (list, it)
		to[(*n)++] = str_cstr(arena, env_expand(arena, json_str(it.value), env, n_env));
	return to;
}

static struct error *set_command(struct arena *arena, const struct json *container, const struct image *image, size_t own,
				 struct runtime_spec *spec)
{
	const struct json *command = json_get(container, "command"), *args = json_get(container, "args");

	spec->args = ARENA_ARRAY(arena, const char *, json_len(command) + json_len(args) + image->n_entrypoint + image->n_cmd + 1);
	spec->n_args = 0;
	if (json_len(command) != 0)
		words(arena, command, spec->env, own, spec->args, &spec->n_args);
	else
		for (size_t i = 0; i < image->n_entrypoint; i++)
			spec->args[spec->n_args++] = str_cstr(arena, image->entrypoint[i]);
	if (json_len(args) != 0)
		words(arena, args, spec->env, own, spec->args, &spec->n_args);
	else if (json_len(command) == 0)
		for (size_t i = 0; i < image->n_cmd; i++)
			spec->args[spec->n_args++] = str_cstr(arena, image->cmd[i]);
	if (spec->n_args == 0)
		return error_new(ERR_INVALID, "no command specified");
	return NULL;
}

static bool names_path(const char *const *env, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(env[i], "PATH=", 5) == 0)
			return true;
	return false;
}

static struct error *set_env(struct arena *arena, struct container *c, const struct image *image, struct runtime_spec *spec,
			     size_t *own)
{
	struct facts facts;
	const char **env;
	size_t n;
	struct error *err;

	facts_of(arena, c->pod, &facts);
	err = env_build(arena, &facts, container_spec(c), image->env, image->n_env, &env, &n, own);
	if (err != NULL)
		return err;
	if (!names_path(env, n)) /* env_build() leaves room */
		env[n++] = spec->env[0];
	env[n++] = arena_printf(arena, "HOSTNAME=%.*s", STR_ARG(pod_hostname(arena, pod_tree(c->pod))));
	spec->env = env;
	spec->n_env = n;
	return NULL;
}

/* --- rights --- */

static const struct json *context(const struct json *pod_spec, const struct json *container, const char *field)
{
	const struct json *own = json_get(json_get(container, "securityContext"), field);

	return own != NULL ? own : json_get(json_get(pod_spec, "securityContext"), field);
}

static struct error *set_user(struct arena *arena, const struct json *pod_spec, const struct json *container,
			      const struct image *image, struct runtime_spec *spec)
{
	const struct json *user = context(pod_spec, container, "runAsUser"), *pod_context = json_get(pod_spec, "securityContext");
	const struct json *groups = json_get(pod_context, "supplementalGroups"), *fs_group = json_get(pod_context, "fsGroup");
	int64_t number = 0;

	if (user != NULL)
		spec->user = arena_printf(arena, "%lld", (long long)json_int(user, 0));
	else if (image->user.len != 0)
		spec->user = str_cstr(arena, image->user);
	spec->gid = json_int(context(pod_spec, container, "runAsGroup"), -1);
	if (json_bool(context(pod_spec, container, "runAsNonRoot"))) {
		if (user != NULL)
			number = json_int(user, 0);
		else if (!image_user_number(image, &number) && image->user.len != 0)
			return error_new(ERR_INVALID,
					 "container has runAsNonRoot and image has non-numeric user (%.*s), cannot "
					 "verify user is "
					 "non-root",
					 STR_ARG(image->user));
		if (number == 0)
			return user != NULL ? error_new(ERR_INVALID, "container's runAsUser breaks non-root policy")
					    : error_new(ERR_INVALID, "container has runAsNonRoot and image will run as root");
	}
	spec->groups = ARENA_ARRAY(arena, uint32_t, json_len(groups) + 1);
	JSON_EACH (groups, it)
		spec->groups[spec->n_groups++] = (uint32_t)json_int(it.value, 0);
	if (fs_group != NULL)
		spec->groups[spec->n_groups++] = (uint32_t)json_int(fs_group, 0);
	spec->groups_strict = str_is(json_get_str(pod_context, "supplementalGroupsPolicy"), "Strict");
	return NULL;
}

static struct error *set_caps(struct arena *arena, const struct json *container, struct runtime_spec *spec)
{
	static const char *const lists[] = { "add", "drop" };
	const struct json *caps = json_path(container, "securityContext.capabilities");
	struct str *names[2];
	size_t n[2] = { 0, 0 };

	if (caps == NULL)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		const struct json *list = json_get(caps, lists[i]);

		names[i] = ARENA_ARRAY(arena, struct str, json_len(list) + 1);
		JSON_EACH (list, it)
			names[i][n[i]++] = json_str(it.value);
	}
	return runtime_caps_merge(names[0], n[0], names[1], n[1], &spec->caps);
}

static struct error *set_seccomp(struct arena *arena, struct kubelet *kubelet, const struct json *pod_spec,
				 const struct json *container, struct runtime_spec *spec)
{
	const struct json *profile = context(pod_spec, container, "seccompProfile");
	struct str type = json_get_str(profile, "type"), name = json_get_str(profile, "localhostProfile"), text;
	struct error *err;

	spec->seccomp.mode = str_is(type, "RuntimeDefault") ? RUNTIME_SECCOMP_DEFAULT : RUNTIME_SECCOMP_UNCONFINED;
	if (!str_is(type, "Localhost"))
		return NULL;
	text = root_read(arena, kubelet, arena_printf(arena, "/var/lib/kubelet/seccomp/%.*s", STR_ARG(name)), 1 << 20, false);
	if (text.len == 0)
		return error_new(ERR_NOT_FOUND, "cannot load seccomp profile \"/var/lib/kubelet/seccomp/%.*s\"", STR_ARG(name));
	err = runtime_seccomp_parse(arena, text, &spec->seccomp);
	return err;
}

static struct error *set_rights(struct arena *arena, struct container *c, struct runtime_spec *spec)
{
	const struct json *pod_spec = json_get(pod_tree(c->pod), "spec"), *container = container_spec(c);
	const struct json *own = json_get(container, "securityContext"), *escalate = json_get(own, "allowPrivilegeEscalation");
	struct error *err;

	spec->readonly_root = json_bool(json_get(own, "readOnlyRootFilesystem"));
	if (json_bool(json_get(own, "privileged"))) {
		runtime_spec_privileged(arena, spec);
		return NULL;
	}
	spec->no_new_privs = escalate != NULL && !json_bool(escalate);
	if (str_is(json_get_str(own, "procMount"), "Unmasked"))
		spec->n_masked = spec->n_readonly = 0;
	err = set_caps(arena, container, spec);
	return err == NULL ? set_seccomp(arena, c->pod->kubelet, pod_spec, container, spec) : err;
}

/* --- mounts --- */

static struct runtime_mount *bind(struct arena *arena, struct runtime_spec *spec, const char *to, const char *from, bool readonly)
{
	struct runtime_mount *m = runtime_spec_add_mount(arena, spec, to, "bind", from);

	m->flags = MS_BIND | MS_REC | (readonly ? MS_RDONLY : 0);
	return m;
}

static const struct json *volume_named(const struct json *pod_spec, struct str name)
{
	JSON_EACH (json_get(pod_spec, "volumes"), it)
		if (str_eq(json_get_str(it.value, "name"), name))
			return it.value;
	return NULL;
}

/* *below: what the runtime looks for in the volume, and makes if it is missing; NULL: the whole volume. */
static struct error *sub_path(struct arena *arena, struct container *c, const struct json *mount, const char *const *env,
			      size_t n_env, const char **below)
{
	struct str sub = json_get_str(mount, "subPath"), expr = json_get_str(mount, "subPathExpr"), rest, part;

	*below = NULL;
	if (expr.len != 0)
		sub = env_expand(arena, expr, env, n_env);
	if (sub.len == 0)
		return NULL;
	if (sub.ptr[0] == '/')
		return error_new(ERR_INVALID, "failed to prepare subPath for volumeMount \"%.*s\" of container \"%s\"",
				 STR_ARG(json_get_str(mount, "name")), c->name);
	rest = sub;
	while (str_cut(&rest, '/', &part))
		if (str_is(part, ".."))
			return error_new(ERR_INVALID, "subPath must not contain \"..\"");
	*below = str_cstr(arena, sub);
	return NULL;
}

static struct error *mount_volume(struct arena *arena, struct container *c, const struct json *mount, struct runtime_spec *spec,
				  size_t own)
{
	struct str name = json_get_str(mount, "name"), how = json_get_str(mount, "mountPropagation");
	const struct json *volume = volume_named(json_get(pod_tree(c->pod), "spec"), name);
	const char *path, *below, *to = str_cstr(arena, json_get_str(mount, "mountPath"));
	struct runtime_mount *m;
	struct error *err;

	if (volume == NULL)
		return error_new(ERR_NOT_FOUND, "volume \"%.*s\" does not exist", STR_ARG(name));
	path = volume_path(arena, c->pod, volume);
	err = sub_path(arena, c, mount, spec->env, own, &below);
	if (err != NULL)
		return err;
	if (to[0] != '/')
		to = arena_printf(arena, "/%s", to);
	/* What we write into, a container must not (CVE-2017-1002102). */
	m = bind(arena, spec, to, path, json_bool(json_get(mount, "readOnly")) || volume_is_payload(volume));
	m->below = below;
	m->recursive_ro = str_is(json_get_str(mount, "recursiveReadOnly"), "Enabled");
	if (str_is(how, "HostToContainer"))
		m->propagation = MS_SLAVE | MS_REC;
	else if (str_is(how, "Bidirectional"))
		m->propagation = MS_SHARED | MS_REC;
	return NULL;
}

static bool mounts_over(const struct json *container, const char *path)
{
	JSON_EACH (json_get(container, "volumeMounts"), it)
		if (str_is(json_get_str(it.value, "mountPath"), path))
			return true;
	return false;
}

static struct error *set_mounts(struct arena *arena, struct container *c, unsigned attempt, struct runtime_spec *spec, size_t own)
{
	static const char *const files[][2] = { { "/etc/hosts", "etc-hosts" },
						{ "/etc/resolv.conf", "resolv.conf" },
						{ "/etc/hostname", "hostname" } };
	const struct json *container = container_spec(c);
	const char *dir = pod_dir(arena, c->pod), *message = termination_path(arena, c, attempt);
	struct str message_path = json_get_str(container, "terminationMessagePath");
	struct error *err = NULL;

	for (size_t i = 0; i < 3; i++)
		if (!mounts_over(container, files[i][0]))
			bind(arena, spec, files[i][0], arena_printf(arena, "%s/%s", dir, files[i][1]),
			     i != 0 && spec->readonly_root);
	JSON_EACH (json_get(container, "volumeMounts"), it)
		if (err == NULL)
			err = mount_volume(arena, c, it.value, spec, own);
	if (err == NULL && message_path.len != 0)
		bind(arena, spec, str_cstr(arena, message_path), message, false);
	return err;
}

/* --- the whole --- */

struct error *container_request(struct arena *arena, struct container *c, const struct image *image, const char *ref,
				const char *id, unsigned attempt, struct node_container_create *out)
{
	struct pod *pod = c->pod;
	const struct json *container = container_spec(c), *pod_spec = json_get(pod_tree(pod), "spec");
	struct str workdir = json_get_str(container, "workingDir");
	struct runtime_spec *spec = &out->spec;
	struct error *err;
	size_t own = 0;

	memset(out, 0, sizeof(*out));
	runtime_spec_init(arena, spec, id);
	spec->layers = image_layer_paths(arena, image, NODE_IMAGES, &spec->n_layers);
	err = set_env(arena, c, image, spec, &own);
	if (err == NULL)
		err = set_command(arena, container, image, own, spec);
	if (err == NULL)
		err = set_user(arena, pod_spec, container, image, spec);
	if (err == NULL)
		err = set_rights(arena, c, spec);
	if (err == NULL)
		err = set_mounts(arena, c, attempt, spec, own);
	if (err != NULL)
		return err;
	if (workdir.len != 0)
		spec->cwd = str_cstr(arena, env_expand(arena, workdir, spec->env, own));
	else if (image->workdir.len != 0)
		spec->cwd = str_cstr(arena, image->workdir);
	spec->terminal = json_bool(json_get(container, "tty"));
	spec->has_oom_score_adj = true;
	spec->oom_score_adj = oom_score(pod_spec, container, pod->kubelet->post.memory);
	container_limits(container, &spec->limits);
	out->sandbox = str_cstr(arena, str_from(pod->sandbox)); /* a new connection finds it anew while this waits */
	out->name = c->name;
	out->attempt = attempt;
	out->image = ref;
	out->log_path = log_path(arena, c, attempt);
	out->stdin_open = json_bool(json_get(container, "stdin"));
	out->stdin_once = json_bool(json_get(container, "stdinOnce"));
	out->labels = ARENA_ARRAY(arena, const char *, 3);
	add_label(arena, out->labels, &out->n_labels, "uid", pod->uid);
	add_label(arena, out->labels, &out->n_labels, "image", str_cstr(arena, image->id));
	add_label(arena, out->labels, &out->n_labels, "stop", str_cstr(arena, image->stop_signal));
	return NULL;
}

void random_id(char out[65])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[32];

	rand_fill(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++) {
		out[2 * i] = hex[raw[i] >> 4];
		out[2 * i + 1] = hex[raw[i] & 15];
	}
	out[64] = '\0';
}

const char *label_of(const char *const *labels, size_t n, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < n; i++)
		if (strncmp(labels[i], key, len) == 0 && labels[i][len] == '=')
			return labels[i] + len + 1;
	return NULL;
}
