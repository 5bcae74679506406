#include "runtime/oci.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/resource.h>

/* --- small readers --- */

static const char *text(struct arena *arena, const struct json *value)
{
	return json_is(value, JSON_STRING) ? str_cstr(arena, json_str(value)) : NULL;
}

static const char **texts(struct arena *arena, const struct json *array, size_t *n)
{
	const char **out = ARENA_ARRAY(arena, const char *, json_len(array) + 1);

	*n = 0;
	JSON_EACH (array, it) {
		if (json_is(it.value, JSON_STRING))
			out[(*n)++] = str_cstr(arena, json_str(it.value));
	}
	return out;
}

static uint32_t u32(const struct json *value, uint32_t otherwise)
{
	int64_t n = json_int(value, otherwise);

	return n >= 0 && n <= UINT32_MAX ? (uint32_t)n : otherwise;
}

struct word {
	const char *name;
	int64_t value;
};

static bool word_find(const struct word *words, size_t n, struct str name, int64_t *out)
{
	for (size_t i = 0; i < n; i++) {
		if (str_is(name, words[i].name)) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* --- process --- */

static const struct word rlimit_words[] = {
	{ "RLIMIT_AS", RLIMIT_AS },           { "RLIMIT_CORE", RLIMIT_CORE },         { "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },       { "RLIMIT_FSIZE", RLIMIT_FSIZE },       { "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK }, { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE }, { "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },   { "RLIMIT_NPROC", RLIMIT_NPROC },       { "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },   { "RLIMIT_RTTIME", RLIMIT_RTTIME },     { "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

static uint64_t rlimit_value(const struct json *value)
{
	uint64_t n;

	/* a uint64: RLIM_INFINITY does not fit a signed number */
	return json_is(value, JSON_NUMBER) && str_to_u64(value->text, &n) ? n : 0;
}

static struct error *read_rlimits(struct arena *arena, const struct json *process, struct runtime_spec *out)
{
	const struct json *list = json_get(process, "rlimits");

	out->rlimits = ARENA_ARRAY(arena, struct runtime_rlimit, json_len(list) + 1);
	JSON_EACH (list, it) {
		struct str name = json_get_str(it.value, "type");
		int64_t type;

		if (!word_find(rlimit_words, N(rlimit_words), name, &type))
			return error_new(ERR_INVALID, "process.rlimits: unknown type \"%.*s\"", STR_ARG(name));
		out->rlimits[out->n_rlimits++] = (struct runtime_rlimit){ (uint32_t)type, rlimit_value(json_get(it.value, "soft")),
									  rlimit_value(json_get(it.value, "hard")) };
	}
	return NULL;
}

static struct error *cap_set(const struct json *list, uint64_t *out)
{
	*out = 0;
	JSON_EACH (list, it) {
		int cap = runtime_cap_parse(json_str(it.value));

		if (cap < 0)
			return error_new(ERR_INVALID, "process.capabilities: unknown \"%.*s\"", STR_ARG(json_str(it.value)));
		*out |= UINT64_C(1) << cap;
	}
	*out &= runtime_caps_all();
	return NULL;
}

static struct error *read_process(struct arena *arena, const struct json *process, struct runtime_spec *out)
{
	const struct json *user = json_get(process, "user"), *caps = json_get(process, "capabilities"), *list;
	struct error *err;

	if (json_len(json_get(process, "args")) == 0)
		return error_new(ERR_INVALID, "process.args is empty");
	out->args = texts(arena, json_get(process, "args"), &out->n_args);
	out->env = texts(arena, json_get(process, "env"), &out->n_env);
	out->cwd = text(arena, json_get(process, "cwd"));
	if (out->cwd == NULL || out->cwd[0] != '/')
		return error_new(ERR_INVALID, "process.cwd is not an absolute path");
	out->terminal = json_bool(json_get(process, "terminal"));
	out->rows = u32(json_path(process, "consoleSize.height"), 0);
	out->columns = u32(json_path(process, "consoleSize.width"), 0);
	out->no_new_privs = json_bool(json_get(process, "noNewPrivileges"));
	out->user = arena_printf(arena, "%u", u32(json_get(user, "uid"), 0));
	out->gid = u32(json_get(user, "gid"), 0);
	out->umask = json_int(json_get(user, "umask"), -1);
	out->groups_strict = true;
	list = json_get(user, "additionalGids");
	out->groups = ARENA_ARRAY(arena, uint32_t, json_len(list) + 1);
	JSON_EACH (list, it)
		out->groups[out->n_groups++] = u32(it.value, 0);
	list = json_get(process, "oomScoreAdj");
	out->has_oom_score_adj = !json_absent(list);
	out->oom_score_adj = (int32_t)json_int(list, 0);
	err = read_rlimits(arena, process, out);
	if (err == NULL)
		err = cap_set(json_get(caps, "bounding"), &out->caps);
	if (err == NULL)
		err = cap_set(json_get(caps, "inheritable"), &out->caps_inheritable);
	if (err == NULL)
		err = cap_set(json_get(caps, "ambient"), &out->caps_ambient);
	/* capabilities(7): what is not inheritable cannot be ambient. As with runc, nobody becomes inheritable by it. */
	out->caps_ambient &= out->caps_inheritable;
	return err;
}

/* --- mounts, devices --- */

static const struct word propagation_words[] = {
	{ "private", MS_PRIVATE },       { "rprivate", MS_PRIVATE | MS_REC },
	{ "slave", MS_SLAVE },           { "rslave", MS_SLAVE | MS_REC },
	{ "shared", MS_SHARED },         { "rshared", MS_SHARED | MS_REC },
	{ "unbindable", MS_UNBINDABLE }, { "", 0 },
};

static struct error *read_mounts(struct arena *arena, const struct json *list, const char *bundle, struct runtime_spec *out)
{
	out->mounts = ARENA_ARRAY(arena, struct runtime_mount, json_len(list) + 1);
	JSON_EACH (list, it) {
		struct runtime_mount *m = &out->mounts[out->n_mounts++];
		size_t n;
		const char **options = texts(arena, json_get(it.value, "options"), &n);

		m->destination = text(arena, json_get(it.value, "destination"));
		m->type = text(arena, json_get(it.value, "type"));
		m->source = text(arena, json_get(it.value, "source"));
		runtime_mount_options(arena, m, options, n);
		if (m->type != NULL && (strcmp(m->type, "bind") == 0 || strcmp(m->type, "none") == 0))
			m->flags |= MS_BIND;
		if (m->destination == NULL)
			return error_new(ERR_INVALID, "mounts: no destination");
		if (m->destination[0] != '/') /* deprecated, but allowed */
			m->destination = arena_printf(arena, "/%s", m->destination);
		if (m->flags & MS_BIND && m->source != NULL && m->source[0] != '/')
			m->source = arena_printf(arena, "%s/%s", bundle, m->source);
		if (!json_absent(json_get(it.value, "uidMappings")))
			return error_new(ERR_UNSUPPORTED, "mounts: id-mapped mounts");
	}
	return NULL;
}

static void read_devices(struct arena *arena, const struct json *linux_, struct runtime_spec *out)
{
	const struct json *list = json_get(linux_, "devices");

	out->devices = ARENA_ARRAY(arena, struct runtime_device, json_len(list) + 1);
	JSON_EACH (list, it) {
		struct str type = json_get_str(it.value, "type");

		out->devices[out->n_devices++] = (struct runtime_device){
			.path = text(arena, json_get(it.value, "path")),
			.type = str_is(type, "b")   ? 'b'
				: str_is(type, "p") ? 'p'
						    : 'c',
			.major = u32(json_get(it.value, "major"), 0),
			.minor = u32(json_get(it.value, "minor"), 0),
			.mode = u32(json_get(it.value, "fileMode"), 0666),
			.uid = u32(json_get(it.value, "uid"), 0),
			.gid = u32(json_get(it.value, "gid"), 0),
		};
	}
}

/* The bundle's rules, then what every container has, then its own devices: as runc. */
static void read_device_rules(struct arena *arena, const struct json *linux_, struct runtime_spec *out)
{
	const struct json *list = json_path(linux_, "resources.devices");
	struct runtime_spec defaults;
	size_t n = 0;

	runtime_spec_init(arena, &defaults, "");
	out->device_rules =
		ARENA_ARRAY(arena, struct runtime_device_rule, json_len(list) + defaults.n_device_rules + out->n_devices + 1);
	JSON_EACH (list, it) {
		struct str type = json_get_str(it.value, "type");
		const char *access = text(arena, json_get(it.value, "access"));

		out->device_rules[n++] = (struct runtime_device_rule){
			.allow = json_bool(json_get(it.value, "allow")),
			.type = str_is(type, "b")   ? 'b'
				: str_is(type, "c") ? 'c'
						    : 'a',
			.major = json_int(json_get(it.value, "major"), -1),
			.minor = json_int(json_get(it.value, "minor"), -1),
			.access = access != NULL && access[0] != '\0' ? access : "rwm",
		};
	}
	memcpy(&out->device_rules[n], defaults.device_rules, defaults.n_device_rules * sizeof(*out->device_rules));
	n += defaults.n_device_rules;
	for (size_t i = 0; i < out->n_devices; i++)
		out->device_rules[n++] = (struct runtime_device_rule){ true, out->devices[i].type, out->devices[i].major,
								       out->devices[i].minor, "rwm" };
	out->n_device_rules = n;
}

/* --- linux --- */

static struct error *read_namespaces(struct arena *arena, const struct json *list, struct runtime_spec *out)
{
	static const struct word words[] = {
		{ "user", RUNTIME_NS_USER }, { "pid", RUNTIME_NS_PID }, { "network", RUNTIME_NS_NET },
		{ "ipc", RUNTIME_NS_IPC },   { "uts", RUNTIME_NS_UTS }, { "cgroup", RUNTIME_NS_CGROUP }
	};
	bool mount_ns = false;

	JSON_EACH (list, it) {
		struct str type = json_get_str(it.value, "type");
		const char *path = text(arena, json_get(it.value, "path"));
		int64_t ns;

		if (str_is(type, "mount") && path == NULL) {
			mount_ns = true;
		} else if (!word_find(words, N(words), type, &ns)) {
			return error_new(ERR_UNSUPPORTED, "linux.namespaces: \"%.*s\"%s", STR_ARG(type),
					 path != NULL ? " by path" : "");
		} else if (path == NULL || path[0] == '\0') {
			out->ns_new |= RUNTIME_NS_BIT(ns);
		} else {
			if (ns == RUNTIME_NS_USER)
				return error_new(ERR_UNSUPPORTED, "linux.namespaces: a user namespace by path");
			out->ns_fd[ns] = open(path, O_RDONLY | O_CLOEXEC);
			if (out->ns_fd[ns] < 0)
				return error_errno(errno, "open namespace %s", path);
		}
	}
	return mount_ns ? NULL : error_new(ERR_UNSUPPORTED, "linux.namespaces: a container without a mount namespace of its own");
}

static size_t read_maps(struct arena *arena, const struct json *list, struct runtime_idmap **out)
{
	size_t n = 0;

	*out = ARENA_ARRAY(arena, struct runtime_idmap, json_len(list) + 1);
	JSON_EACH (list, it)
		(*out)[n++] = (struct runtime_idmap){ u32(json_get(it.value, "containerID"), 0),
						      u32(json_get(it.value, "hostID"), 0), u32(json_get(it.value, "size"), 0) };
	return n;
}

static void read_limits(struct arena *arena, const struct json *resources, struct runtime_limits *out)
{
	const struct json *unified = json_get(resources, "unified");

	out->cpu_shares = (uint64_t)json_int(json_path(resources, "cpu.shares"), 0);
	out->cpu_quota = json_int(json_path(resources, "cpu.quota"), 0);
	out->cpu_period = (uint64_t)json_int(json_path(resources, "cpu.period"), 0);
	out->cpus = text(arena, json_path(resources, "cpu.cpus"));
	out->mems = text(arena, json_path(resources, "cpu.mems"));
	out->memory = json_int(json_path(resources, "memory.limit"), 0);
	out->memory_low = json_int(json_path(resources, "memory.reservation"), 0);
	out->memory_swap = json_int(json_path(resources, "memory.swap"), 0);
	out->pids = json_int(json_path(resources, "pids.limit"), 0);
	out->unified = ARENA_ARRAY(arena, struct runtime_sysctl, json_len(unified) + 1);
	JSON_EACH (unified, it)
		out->unified[out->n_unified++] =
			(struct runtime_sysctl){ str_cstr(arena, it.key), str_cstr(arena, json_str(it.value)) };
	if (out->cpus != NULL && out->cpus[0] == '\0')
		out->cpus = NULL;
	if (out->mems != NULL && out->mems[0] == '\0')
		out->mems = NULL;
}

/* Where the group is: a path, or systemd's "slice:prefix:name", which becomes the path systemd would give it. */
static const char *cgroup_path(struct arena *arena, const char *given, const char *id)
{
	struct str rest = str_from(given), slice, prefix;

	if (given == NULL || given[0] == '\0')
		return arena_printf(arena, "monokube-oci/%s", id);
	if (strchr(given, ':') == NULL)
		return given + strspn(given, "/");
	str_cut(&rest, ':', &slice);
	str_cut(&rest, ':', &prefix);
	if (slice.len == 0)
		slice = STR("system.slice");
	return arena_printf(arena, "%.*s/%.*s-%.*s.scope", STR_ARG(slice), STR_ARG(prefix), STR_ARG(rest));
}

/* What belongs to a namespace of the container. Everything else is the machine's, whoever asks (runc, validateSysctls). */
static const struct {
	const char *key; /* ends in a dot: all below */
	int ns;
} namespaced_sysctls[] = {
	{ "net.", RUNTIME_NS_NET },
	{ "fs.mqueue.", RUNTIME_NS_IPC },
	{ "kernel.msgmax", RUNTIME_NS_IPC },
	{ "kernel.msgmnb", RUNTIME_NS_IPC },
	{ "kernel.msgmni", RUNTIME_NS_IPC },
	{ "kernel.sem", RUNTIME_NS_IPC },
	{ "kernel.shmall", RUNTIME_NS_IPC },
	{ "kernel.shmmax", RUNTIME_NS_IPC },
	{ "kernel.shmmni", RUNTIME_NS_IPC },
	{ "kernel.shm_rmid_forced", RUNTIME_NS_IPC },
	{ "kernel.domainname", RUNTIME_NS_UTS },
};

static bool sysctl_is_own(struct str key, const struct runtime_spec *spec)
{
	for (size_t i = 0; i < N(namespaced_sysctls); i++) {
		struct str row = str_from(namespaced_sysctls[i].key);
		int ns = namespaced_sysctls[i].ns;

		if (str_has_suffix(row, STR(".")) ? str_has_prefix(key, row) : str_eq(key, row))
			return (spec->ns_new & RUNTIME_NS_BIT(ns)) != 0 || spec->ns_fd[ns] >= 0;
	}
	return false;
}

static struct error *read_sysctls(struct arena *arena, const struct json *sysctl, struct runtime_spec *out)
{
	out->sysctls = ARENA_ARRAY(arena, struct runtime_sysctl, json_len(sysctl) + 1);
	JSON_EACH (sysctl, it) {
		if (!sysctl_is_own(it.key, out))
			return error_new(ERR_INVALID, "sysctl \"%.*s\" is not in a separate kernel namespace", STR_ARG(it.key));
		out->sysctls[out->n_sysctls++] =
			(struct runtime_sysctl){ str_cstr(arena, it.key), str_cstr(arena, json_str(it.value)) };
	}
	return NULL;
}

static struct error *read_linux(struct arena *arena, const struct json *linux_, const char *id, struct runtime_spec *out)
{
	const struct json *seccomp = json_get(linux_, "seccomp");
	int64_t propagation;
	struct error *err = read_namespaces(arena, json_get(linux_, "namespaces"), out);

	if (err != NULL)
		return err;
	out->n_uid_map = read_maps(arena, json_get(linux_, "uidMappings"), &out->uid_map);
	out->n_gid_map = read_maps(arena, json_get(linux_, "gidMappings"), &out->gid_map);
	read_devices(arena, linux_, out);
	read_device_rules(arena, linux_, out);
	read_limits(arena, json_get(linux_, "resources"), &out->limits);
	out->cgroup = cgroup_path(arena, text(arena, json_get(linux_, "cgroupsPath")), id);
	if (!word_find(propagation_words, N(propagation_words), json_get_str(linux_, "rootfsPropagation"), &propagation))
		return error_new(ERR_INVALID, "linux.rootfsPropagation: unknown");
	out->root_propagation = (uint64_t)propagation;
	err = read_sysctls(arena, json_get(linux_, "sysctl"), out);
	if (err != NULL)
		return err;
	out->masked = texts(arena, json_get(linux_, "maskedPaths"), &out->n_masked);
	out->readonly = texts(arena, json_get(linux_, "readonlyPaths"), &out->n_readonly);
	return json_absent(seccomp) ? NULL : oci_seccomp_read(arena, seccomp, &out->seccomp);
}

/* --- seccomp --- */

static const struct word action_words[] = {
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
	{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
};
static const struct word compare_words[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

static struct error *read_action(struct str name, const struct json *errno_ret, uint32_t *out)
{
	int64_t action;

	if (!word_find(action_words, N(action_words), name, &action))
		return error_new(ERR_INVALID, "seccomp: unknown action \"%.*s\"", STR_ARG(name));
	*out = (uint32_t)action;
	if (*out == SCMP_ACT_ERRNO(0) || *out == SCMP_ACT_TRACE(0))
		*out |= u32(errno_ret, EPERM) & 0xffff;
	return NULL;
}

static uint64_t arg_value(const struct json *value)
{
	uint64_t n;

	return json_is(value, JSON_NUMBER) && str_to_u64(value->text, &n) ? n : 0;
}

static struct error *read_rule(struct arena *arena, const struct json *in, struct runtime_seccomp_rule *out)
{
	const struct json *args = json_get(in, "args");
	struct error *err = read_action(json_get_str(in, "action"), json_get(in, "errnoRet"), &out->action);

	if (err != NULL)
		return err;
	out->names = texts(arena, json_get(in, "names"), &out->n_names);
	if (out->n_names == 0 && json_is(json_get(in, "name"), JSON_STRING)) { /* the old form */
		out->names[0] = text(arena, json_get(in, "name"));
		out->n_names = 1;
	}
	out->args = ARENA_ARRAY(arena, struct runtime_seccomp_arg, json_len(args) + 1);
	JSON_EACH (args, it) {
		int64_t op;

		if (!word_find(compare_words, N(compare_words), json_get_str(it.value, "op"), &op))
			return error_new(ERR_INVALID, "seccomp: unknown comparison \"%.*s\"",
					 STR_ARG(json_get_str(it.value, "op")));
		out->args[out->n_args++] = (struct runtime_seccomp_arg){ u32(json_get(it.value, "index"), 0), (uint32_t)op,
									 arg_value(json_get(it.value, "value")),
									 arg_value(json_get(it.value, "valueTwo")) };
	}
	return NULL;
}

struct error *oci_seccomp_read(struct arena *arena, const struct json *seccomp, struct runtime_seccomp *out)
{
	const struct json *rules = json_get(seccomp, "syscalls");
	struct error *err;

	memset(out, 0, sizeof(*out));
	if (!json_is(seccomp, JSON_OBJECT))
		return error_new(ERR_INVALID, "seccomp: not an object");
	out->mode = RUNTIME_SECCOMP_CUSTOM;
	err = read_action(json_get_str(seccomp, "defaultAction"), json_get(seccomp, "defaultErrnoRet"), &out->default_action);
	out->archs = texts(arena, json_get(seccomp, "architectures"), &out->n_archs);
	out->rules = ARENA_ARRAY(arena, struct runtime_seccomp_rule, json_len(rules) + 1);
	JSON_EACH (rules, it) {
		if (err == NULL)
			err = read_rule(arena, it.value, &out->rules[out->n_rules++]);
	}
	return err;
}

struct error *runtime_seccomp_parse(struct arena *arena, struct str json, struct runtime_seccomp *out)
{
	const struct json *profile;
	struct error *err = json_read(arena, json, NULL, &profile);

	return err == NULL ? oci_seccomp_read(arena, profile, out) : error_context(err, "seccomp profile");
}

/* --- the whole --- */

struct error *oci_spec_read(struct arena *arena, const struct json *config, const char *bundle, const char *id,
			    struct runtime_spec *out)
{
	const char *root = text(arena, json_path(config, "root.path"));
	struct error *err;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < RUNTIME_NS_COUNT; i++)
		out->ns_fd[i] = -1;
	out->id = id;
	if (!str_has_prefix(json_get_str(config, "ociVersion"), STR("1.")))
		return error_new(ERR_UNSUPPORTED, "ociVersion \"%.*s\"; 1.x is understood",
				 STR_ARG(json_get_str(config, "ociVersion")));
	JSON_EACH (json_get(config, "hooks"), it) {
		if (json_len(it.value) != 0)
			return error_new(ERR_UNSUPPORTED, "hooks.%.*s", STR_ARG(it.key));
	}
	if (root == NULL)
		return error_new(ERR_INVALID, "root.path is missing");
	out->rootfs = root[0] == '/' ? root : arena_printf(arena, "%s/%s", bundle, root);
	out->readonly_root = json_bool(json_path(config, "root.readonly"));
	out->hostname = text(arena, json_get(config, "hostname"));
	out->domainname = text(arena, json_get(config, "domainname"));
	err = read_process(arena, json_get(config, "process"), out);
	if (err == NULL)
		err = read_mounts(arena, json_get(config, "mounts"), bundle, out);
	return err == NULL ? read_linux(arena, json_get(config, "linux"), id, out) : err;
}

int oci_signal_parse(const char *name)
{
	int64_t n;

	if (str_to_i64(str_from(name), &n))
		return n > 0 && n < NSIG ? (int)n : 0;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int sig = 1; sig < NSIG; sig++) {
		const char *abbrev = sigabbrev_np(sig);

		if (abbrev != NULL && strcasecmp(abbrev, name) == 0)
			return sig;
	}
	return 0;
}
