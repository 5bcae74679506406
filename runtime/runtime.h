/*
 * Containers: what one is (struct runtime_spec) and the two programs that make them: the node process
 * (`monokube node`, see node.h for its protocol and client) and the OCI command line (`monokube oci`).
 *
 * Not here: pods, images, restarts, probes (kubelet, image). A spec is plain data on an arena; text and arrays in it are
 * borrowed and live as long as that arena. All of it can be sent to a node process (node.h) except the descriptors.
 * No function here touches the loop; the spec helpers are pure.
 *
 *	struct runtime_spec spec;
 *	runtime_spec_init(arena, &spec, "c0ffee");       // what Docker and runc give by default
 *	spec.args = args, spec.n_args = 2;
 *	spec.layers = layers, spec.n_layers = 3;         // topmost first
 *	err = runtime_caps_merge(add, n_add, drop, n_drop, &spec.caps);
 */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* --- programs: argv[0] is the word behind "monokube"; the result is the exit code --- */

int node_main(int argc, char **argv); /* monokube node …: see node.h */
int oci_main(int argc, char **argv);  /* monokube oci create|start|state|kill|delete|run */

/* --- what a container is --- */

struct runtime_mount {
	const char *destination; /* in the container; made if missing, also under a read-only root */
	const char *type;        /* "bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", … */
	const char *source;      /* for bind: a path in the node (or, for oci, of the machine) */
	const char *below;       /* for bind: a path below source, whose links never lead out of it; made if missing; may be NULL */
	const char *data;        /* the file system's own options: "mode=755,size=64m" */
	uint64_t flags;          /* MS_RDONLY, MS_NOSUID, MS_BIND, MS_REC, … */
	uint64_t propagation;    /* MS_SHARED, MS_SLAVE, MS_PRIVATE with or without MS_REC; 0: private */
	bool recursive_ro;       /* every mount below is read-only too (Linux 5.12; an error where that is missing) */
	bool copy_up;            /* tmpfs that starts with what the image has there */
};

struct runtime_device {
	const char *path; /* in the container: "/dev/fuse" */
	uint32_t type;    /* 'c', 'b' or 'p' */
	uint32_t major;
	uint32_t minor;
	uint32_t mode; /* permissions; 0: 0666 */
	uint32_t uid;
	uint32_t gid;
};

struct runtime_device_rule {
	bool allow;
	uint32_t type;      /* 'c', 'b' or 'a' */
	int64_t major;      /* -1: all */
	int64_t minor;      /* -1: all */
	const char *access; /* of "rwm" */
};

struct runtime_rlimit {
	uint32_t type; /* RLIMIT_… */
	uint64_t soft;
	uint64_t hard;
};

struct runtime_sysctl {
	const char *key; /* "net.ipv4.ip_forward" */
	const char *value;
};

struct runtime_idmap {
	uint32_t container;
	uint32_t host;
	uint32_t size;
};

/* Limits of a control group. 0 means not set; -1 means explicitly unlimited. */
struct runtime_limits {
	uint64_t cpu_shares; /* 2..262144, v1's scale */
	int64_t cpu_quota;   /* µs per period */
	uint64_t cpu_period; /* µs */
	const char *cpus;    /* cpuset: "0-3" */
	const char *mems;
	int64_t memory; /* bytes */
	int64_t memory_low;
	int64_t memory_swap; /* memory and swap together, v1's meaning */
	int64_t pids;
	struct runtime_sysctl *unified; /* v2 file names and values, written as they are; skipped on v1 */
	size_t n_unified;
};

enum runtime_seccomp_mode {
	RUNTIME_SECCOMP_UNCONFINED,
	RUNTIME_SECCOMP_DEFAULT, /* RuntimeDefault: our table, see seccomp.c */
	RUNTIME_SECCOMP_CUSTOM,  /* what stands in struct runtime_seccomp */
};

struct runtime_seccomp_arg {
	uint32_t index;
	uint32_t op; /* libseccomp's enum scmp_compare */
	uint64_t value;
	uint64_t value2;
};

struct runtime_seccomp_rule {
	const char **names;
	size_t n_names;
	uint32_t action; /* SCMP_ACT_…, the errno included */
	struct runtime_seccomp_arg *args;
	size_t n_args;
};

struct runtime_seccomp {
	uint32_t mode;           /* enum runtime_seccomp_mode */
	uint32_t default_action; /* SCMP_ACT_… */
	const char **archs;      /* "SCMP_ARCH_X86_64", …; none: the machine's with its 32-bit forms */
	size_t n_archs;
	struct runtime_seccomp_rule *rules;
	size_t n_rules;
};

/* Namespaces. The mount namespace is always new; of the others each is inherited, new (bit in ns_new) or joined (ns_fd). */
enum runtime_ns {
	RUNTIME_NS_USER,
	RUNTIME_NS_PID,
	RUNTIME_NS_NET,
	RUNTIME_NS_IPC,
	RUNTIME_NS_UTS,
	RUNTIME_NS_CGROUP,
	RUNTIME_NS_COUNT
};
#define RUNTIME_NS_BIT(ns) (UINT32_C(1) << (ns))

struct runtime_spec {
	const char *id;

	/* root file system: layers (then upper and work; without them read-only) or one directory */
	const char *rootfs;  /* the directory; with layers: where the overlay is mounted */
	const char **layers; /* overlay lower directories, topmost first */
	size_t n_layers;
	const char *upper;
	const char *work;
	bool readonly_root;
	uint64_t root_propagation; /* MS_…; 0: slave */

	/* process */
	const char **args;
	size_t n_args;
	const char **env; /* "KEY=value" */
	size_t n_env;
	const char *cwd; /* made if missing; NULL: "/" */
	bool terminal;
	uint32_t rows;
	uint32_t columns;
	bool no_new_privs;

	/* who: name or number, optionally ":group"; looked up in the container's /etc/passwd and /etc/group */
	const char *user; /* NULL: "0" */
	int64_t gid;      /* overrides the primary group; -1: what the user says */
	uint32_t *groups; /* supplementary ones beside those of /etc/group */
	size_t n_groups;
	bool groups_strict; /* only these: do not read /etc/group */
	int64_t umask;      /* -1: 022 */

	/* rights */
	uint64_t caps; /* permitted, effective (of root) and bounding: bits by capability number */
	uint64_t caps_inheritable;
	uint64_t caps_ambient; /* subset of caps; for users other than root */
	struct runtime_seccomp seccomp;
	const char **masked;
	size_t n_masked;
	const char **readonly;
	size_t n_readonly;
	struct runtime_rlimit *rlimits;
	size_t n_rlimits;
	bool has_oom_score_adj;
	int32_t oom_score_adj; /* clamped to what the machine permits */

	/* around it */
	struct runtime_mount *mounts;
	size_t n_mounts;
	struct runtime_device *devices; /* beside the default ones */
	size_t n_devices;
	bool all_devices; /* privileged: every device of the node, all allowed */
	struct runtime_device_rule *device_rules;
	size_t n_device_rules;
	const char *hostname; /* set when the UTS namespace is new */
	const char *domainname;
	struct runtime_sysctl *sysctls;
	size_t n_sysctls;

	/* control group */
	const char *cgroup; /* below the root of the hierarchies: "kubepods/pod1/c0ffee"; NULL: none */
	struct runtime_limits limits;

	/* namespaces; filled in by the node or the OCI command, never sent */
	uint32_t ns_new;
	int ns_fd[RUNTIME_NS_COUNT]; /* -1: none; borrowed */
	struct runtime_idmap *uid_map;
	size_t n_uid_map;
	struct runtime_idmap *gid_map;
	size_t n_gid_map;
};

/* The default container: /proc, /dev and so on, /sys and cgroups read-only, masked paths, Docker's capabilities,
 * RuntimeDefault seccomp, new pid and cgroup namespaces, PATH. Nothing to run yet. */
void runtime_spec_init(struct arena *arena, struct runtime_spec *spec, const char *id);

/* Takes the confinement away: all capabilities and devices, no masked or read-only paths, /sys and cgroups writable,
 * seccomp off. */
void runtime_spec_privileged(struct arena *arena, struct runtime_spec *spec);

/* Adds one mount at the end (a later one covers an earlier one). The text is borrowed. */
struct runtime_mount *runtime_spec_add_mount(struct arena *arena, struct runtime_spec *spec, const char *destination,
					     const char *type, const char *source);
void runtime_spec_drop_mount(struct runtime_spec *spec, const char *destination);

/* Options as in mount(8) and the OCI specification: "ro", "rbind", "rslave", "rro", "nosuid", "size=64m", … Unknown words
 * become data of the file system. */
void runtime_mount_options(struct arena *arena, struct runtime_mount *mount, const char *const *options, size_t n);

/* --- capabilities --- */

#define RUNTIME_CAPS_DEFAULT UINT64_C(0x00000000a80425fb) /* Docker's and runc's fourteen */

uint64_t runtime_caps_all(void); /* of this kernel */
/* "NET_ADMIN" or "CAP_NET_ADMIN", any case; -1 when there is no such capability. */
int runtime_cap_parse(struct str name);
/* The default set with Kubernetes' add and drop applied ("ALL" in either). Unknown names are an error. */
struct error *runtime_caps_merge(const struct str *add, size_t n_add, const struct str *drop, size_t n_drop,
				 uint64_t *caps) MUST_CHECK;

/* --- seccomp --- */

/* A profile file as Kubernetes' Localhost and the OCI specification have them (JSON). */
struct error *runtime_seccomp_parse(struct arena *arena, struct str json, struct runtime_seccomp *out) MUST_CHECK;

/* What this machine can do, for `doctor`: NULL, or why containers cannot run. Probes, changes nothing. */
struct error *runtime_probe(void) MUST_CHECK;
bool runtime_cgroup_is_v2(void); /* all controllers are in the unified hierarchy */

#endif
