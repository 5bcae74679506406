/* The tables of everything that travels or is kept: tag, type, member. Tags never change meaning; new members get new
 * tags, old ones are never given again. */
#include "runtime/node.h"
#include "runtime/node_records.h"
#include "runtime/wire.h"

#define T(tag, type, member) WIRE_FIELD(tag, type, struct THIS, member)
#define A(tag, type, member) WIRE_ARRAY(tag, type, struct THIS, member, NULL)
#define M(tag, member, sub)  WIRE_ARRAY(tag, WIRE_STRUCTS, struct THIS, member, &(sub))
#define E(tag, member, sub)  WIRE_EMBED(tag, struct THIS, member, &(sub))

#define THIS runtime_mount
static const struct wire_field mount_fields[] = {
	T(1, WIRE_TEXT, destination),  T(2, WIRE_TEXT, type),    T(3, WIRE_TEXT, source),
	T(4, WIRE_TEXT, data),         T(5, WIRE_U64, flags),    T(6, WIRE_U64, propagation),
	T(7, WIRE_BOOL, recursive_ro), T(8, WIRE_BOOL, copy_up), T(9, WIRE_TEXT, below),
};
static WIRE_TABLE(wire_mount, struct runtime_mount, mount_fields, NULL);
#undef THIS

#define THIS runtime_device
static const struct wire_field device_fields[] = {
	T(1, WIRE_TEXT, path), T(2, WIRE_U32, type), T(3, WIRE_U32, major), T(4, WIRE_U32, minor),
	T(5, WIRE_U32, mode),  T(6, WIRE_U32, uid),  T(7, WIRE_U32, gid),
};
static WIRE_TABLE(wire_device, struct runtime_device, device_fields, NULL);
#undef THIS

#define THIS runtime_device_rule
static const struct wire_field device_rule_fields[] = {
	T(1, WIRE_BOOL, allow), T(2, WIRE_U32, type), T(3, WIRE_I64, major), T(4, WIRE_I64, minor), T(5, WIRE_TEXT, access),
};
static WIRE_TABLE(wire_device_rule, struct runtime_device_rule, device_rule_fields, NULL);
#undef THIS

#define THIS runtime_rlimit
static const struct wire_field rlimit_fields[] = { T(1, WIRE_U32, type), T(2, WIRE_U64, soft), T(3, WIRE_U64, hard) };
static WIRE_TABLE(wire_rlimit, struct runtime_rlimit, rlimit_fields, NULL);
#undef THIS

#define THIS runtime_sysctl
static const struct wire_field sysctl_fields[] = { T(1, WIRE_TEXT, key), T(2, WIRE_TEXT, value) };
static WIRE_TABLE(wire_sysctl, struct runtime_sysctl, sysctl_fields, NULL);
#undef THIS

#define THIS runtime_limits
static const struct wire_field limits_fields[] = {
	T(1, WIRE_U64, cpu_shares), T(2, WIRE_I64, cpu_quota),   T(3, WIRE_U64, cpu_period), T(4, WIRE_TEXT, cpus),
	T(5, WIRE_TEXT, mems),      T(6, WIRE_I64, memory),      T(7, WIRE_I64, memory_low), T(8, WIRE_I64, memory_swap),
	T(9, WIRE_I64, pids),       M(10, unified, wire_sysctl),
};
WIRE_TABLE(wire_runtime_limits, struct runtime_limits, limits_fields, NULL);
#undef THIS

#define THIS runtime_seccomp_arg
static const struct wire_field seccomp_arg_fields[] = {
	T(1, WIRE_U32, index),
	T(2, WIRE_U32, op),
	T(3, WIRE_U64, value),
	T(4, WIRE_U64, value2),
};
static WIRE_TABLE(wire_seccomp_arg, struct runtime_seccomp_arg, seccomp_arg_fields, NULL);
#undef THIS

#define THIS runtime_seccomp_rule
static const struct wire_field seccomp_rule_fields[] = {
	A(1, WIRE_TEXTS, names),
	T(2, WIRE_U32, action),
	M(3, args, wire_seccomp_arg),
};
static WIRE_TABLE(wire_seccomp_rule, struct runtime_seccomp_rule, seccomp_rule_fields, NULL);
#undef THIS

#define THIS runtime_seccomp
static const struct wire_field seccomp_fields[] = {
	T(1, WIRE_U32, mode),
	T(2, WIRE_U32, default_action),
	A(3, WIRE_TEXTS, archs),
	M(4, rules, wire_seccomp_rule),
};
static WIRE_TABLE(wire_seccomp, struct runtime_seccomp, seccomp_fields, NULL);
#undef THIS

static void spec_blank(void *ptr)
{
	struct runtime_spec *spec = ptr;

	for (size_t i = 0; i < RUNTIME_NS_COUNT; i++)
		spec->ns_fd[i] = -1;
}

#define THIS runtime_spec
static const struct wire_field spec_fields[] = {
	T(1, WIRE_TEXT, id),
	T(2, WIRE_TEXT, rootfs),
	A(3, WIRE_TEXTS, layers),
	T(4, WIRE_TEXT, upper),
	T(5, WIRE_TEXT, work),
	T(6, WIRE_BOOL, readonly_root),
	T(7, WIRE_U64, root_propagation),
	A(10, WIRE_TEXTS, args),
	A(11, WIRE_TEXTS, env),
	T(12, WIRE_TEXT, cwd),
	T(13, WIRE_BOOL, terminal),
	T(14, WIRE_U32, rows),
	T(15, WIRE_U32, columns),
	T(16, WIRE_BOOL, no_new_privs),
	T(20, WIRE_TEXT, user),
	T(21, WIRE_I64, gid),
	A(22, WIRE_U32S, groups),
	T(23, WIRE_BOOL, groups_strict),
	T(24, WIRE_I64, umask),
	T(30, WIRE_U64, caps),
	T(31, WIRE_U64, caps_inheritable),
	T(32, WIRE_U64, caps_ambient),
	E(33, seccomp, wire_seccomp),
	A(34, WIRE_TEXTS, masked),
	A(35, WIRE_TEXTS, readonly),
	M(36, rlimits, wire_rlimit),
	T(37, WIRE_BOOL, has_oom_score_adj),
	T(38, WIRE_I32, oom_score_adj),
	M(40, mounts, wire_mount),
	M(41, devices, wire_device),
	T(42, WIRE_BOOL, all_devices),
	M(43, device_rules, wire_device_rule),
	T(44, WIRE_TEXT, hostname),
	T(45, WIRE_TEXT, domainname),
	M(46, sysctls, wire_sysctl),
	T(50, WIRE_TEXT, cgroup),
	E(51, limits, wire_runtime_limits),
	T(52, WIRE_U32, ns_new),
};
WIRE_TABLE(wire_runtime_spec, struct runtime_spec, spec_fields, spec_blank);
#undef THIS

#define THIS node_nothing
static const struct wire_field nothing_fields[] = { T(1, WIRE_U32, unused) };
WIRE_TABLE(wire_node_nothing, struct node_nothing, nothing_fields, NULL);
#undef THIS

#define THIS node_ref
static const struct wire_field ref_fields[] = { T(1, WIRE_TEXT, id) };
WIRE_TABLE(wire_node_ref, struct node_ref, ref_fields, NULL);
#undef THIS

#define THIS node_error
static const struct wire_field error_fields[] = {
	T(1, WIRE_U32, kind),
	T(2, WIRE_I32, code),
	T(3, WIRE_U32, step),
	T(4, WIRE_TEXT, text),
};
WIRE_TABLE(wire_node_error, struct node_error, error_fields, NULL);
#undef THIS

#define THIS node_hello
static const struct wire_field hello_fields[] = { T(1, WIRE_U32, protocol), T(2, WIRE_TEXT, client) };
WIRE_TABLE(wire_node_hello, struct node_hello, hello_fields, NULL);
#undef THIS

#define THIS node_hello_reply
static const struct wire_field hello_reply_fields[] = {
	T(1, WIRE_U32, protocol),   T(2, WIRE_TEXT, name),      T(3, WIRE_TEXT, version),
	T(4, WIRE_TEXT, instance),  T(5, WIRE_I64, started_at), T(6, WIRE_BOOL, hub),
	T(7, WIRE_BOOL, cgroup_v2), T(8, WIRE_BOOL, overlay),   A(9, WIRE_TEXTS, missing),
};
WIRE_TABLE(wire_node_hello_reply, struct node_hello_reply, hello_reply_fields, NULL);
#undef THIS

#define THIS node_sandbox
static const struct wire_field sandbox_fields[] = {
	T(1, WIRE_TEXT, id),    T(2, WIRE_TEXT, name),      T(3, WIRE_TEXT, ns),
	T(4, WIRE_TEXT, uid),   T(5, WIRE_U32, attempt),    T(6, WIRE_BOOL, host_network),
	T(7, WIRE_BOOL, ready), T(8, WIRE_I64, created_at), A(9, WIRE_TEXTS, labels),
};
WIRE_TABLE(wire_node_sandbox, struct node_sandbox, sandbox_fields, NULL);
#undef THIS

#define THIS node_container
static const struct wire_field container_fields[] = {
	T(1, WIRE_TEXT, id),          T(2, WIRE_TEXT, sandbox), T(3, WIRE_TEXT, name),       T(4, WIRE_U32, attempt),
	T(5, WIRE_U32, state),        T(6, WIRE_I32, pid),      T(7, WIRE_I32, exit_code),   T(8, WIRE_I32, signal),
	T(9, WIRE_BOOL, oom_killed),  T(10, WIRE_BOOL, lost),   T(11, WIRE_I64, created_at), T(12, WIRE_I64, started_at),
	T(13, WIRE_I64, finished_at), T(14, WIRE_TEXT, image),  T(15, WIRE_TEXT, log_path),  T(16, WIRE_TEXT, message),
	A(17, WIRE_TEXTS, labels),
};
WIRE_TABLE(wire_node_container, struct node_container, container_fields, NULL);
#undef THIS

#define THIS node_list_reply
static const struct wire_field list_reply_fields[] = {
	M(1, sandboxes, wire_node_sandbox),
	M(2, containers, wire_node_container),
};
WIRE_TABLE(wire_node_list_reply, struct node_list_reply, list_reply_fields, NULL);
#undef THIS

#define THIS node_sandbox_create
static const struct wire_field sandbox_create_fields[] = {
	T(1, WIRE_TEXT, id),
	T(2, WIRE_TEXT, name),
	T(3, WIRE_TEXT, ns),
	T(4, WIRE_TEXT, uid),
	T(5, WIRE_U32, attempt),
	T(6, WIRE_TEXT, hostname),
	T(7, WIRE_BOOL, host_network),
	T(8, WIRE_BOOL, host_ipc),
	T(9, WIRE_BOOL, host_pid),
	T(10, WIRE_BOOL, share_pid),
	M(11, sysctls, wire_sysctl),
	T(12, WIRE_TEXT, cgroup),
	E(13, limits, wire_runtime_limits),
	A(14, WIRE_TEXTS, labels),
};
WIRE_TABLE(wire_node_sandbox_create, struct node_sandbox_create, sandbox_create_fields, NULL);
#undef THIS

#define THIS node_container_create
static const struct wire_field container_create_fields[] = {
	E(1, spec, wire_runtime_spec), T(2, WIRE_TEXT, sandbox),  T(3, WIRE_TEXT, name),   T(4, WIRE_U32, attempt),
	T(5, WIRE_TEXT, image),        T(6, WIRE_TEXT, log_path), T(7, WIRE_TEXT, pid_of), T(8, WIRE_BOOL, stdin_open),
	T(9, WIRE_BOOL, stdin_once),   A(10, WIRE_TEXTS, labels),
};
static void container_create_blank(void *ptr)
{
	spec_blank(&((struct node_container_create *)ptr)->spec);
}
WIRE_TABLE(wire_node_container_create, struct node_container_create, container_create_fields, container_create_blank);
#undef THIS

#define THIS node_kill
static const struct wire_field kill_fields[] = { T(1, WIRE_TEXT, id), T(2, WIRE_I32, signal), T(3, WIRE_BOOL, all) };
WIRE_TABLE(wire_node_kill, struct node_kill, kill_fields, NULL);
#undef THIS

#define THIS node_update
static const struct wire_field update_fields[] = { T(1, WIRE_TEXT, id), E(2, limits, wire_runtime_limits) };
WIRE_TABLE(wire_node_update, struct node_update, update_fields, NULL);
#undef THIS

#define THIS node_resize
static const struct wire_field resize_fields[] = { T(1, WIRE_TEXT, id), T(2, WIRE_U32, rows), T(3, WIRE_U32, columns) };
WIRE_TABLE(wire_node_resize, struct node_resize, resize_fields, NULL);
#undef THIS

#define THIS node_attach
static const struct wire_field attach_fields[] = {
	T(1, WIRE_TEXT, id),
	T(2, WIRE_BOOL, stdin_wanted),
	T(3, WIRE_BOOL, stdout_wanted),
	T(4, WIRE_BOOL, stderr_wanted),
};
WIRE_TABLE(wire_node_attach, struct node_attach, attach_fields, NULL);
#undef THIS

#define THIS node_exec
static const struct wire_field exec_fields[] = {
	T(1, WIRE_TEXT, id),   A(2, WIRE_TEXTS, args),    A(3, WIRE_TEXTS, env), T(4, WIRE_TEXT, cwd),
	T(5, WIRE_TEXT, user), T(6, WIRE_BOOL, terminal), T(7, WIRE_U32, rows),  T(8, WIRE_U32, columns),
};
WIRE_TABLE(wire_node_exec, struct node_exec, exec_fields, NULL);
#undef THIS

#define THIS node_exec_reply
static const struct wire_field exec_reply_fields[] = { T(1, WIRE_U64, exec), T(2, WIRE_I32, pid) };
WIRE_TABLE(wire_node_exec_reply, struct node_exec_reply, exec_reply_fields, NULL);
#undef THIS

#define THIS node_exec_kill
static const struct wire_field exec_kill_fields[] = { T(1, WIRE_U64, exec), T(2, WIRE_I32, signal) };
WIRE_TABLE(wire_node_exec_kill, struct node_exec_kill, exec_kill_fields, NULL);
#undef THIS

#define THIS node_exec_exit
static const struct wire_field exec_exit_fields[] = {
	T(1, WIRE_U64, exec),
	T(2, WIRE_TEXT, id),
	T(3, WIRE_I32, exit_code),
	T(4, WIRE_I32, signal),
};
WIRE_TABLE(wire_node_exec_exit, struct node_exec_exit, exec_exit_fields, NULL);
#undef THIS

#define THIS node_pause
static const struct wire_field pause_fields[] = { T(1, WIRE_TEXT, id), T(2, WIRE_BOOL, paused) };
WIRE_TABLE(wire_node_pause, struct node_pause, pause_fields, NULL);
#undef THIS

#define THIS node_open
static const struct wire_field open_fields[] = {
	T(1, WIRE_TEXT, path), T(2, WIRE_TEXT, sandbox), T(3, WIRE_TEXT, container),
	T(4, WIRE_U32, flags), T(5, WIRE_U32, mode),     T(6, WIRE_BOOL, parents),
};
WIRE_TABLE(wire_node_open, struct node_open, open_fields, NULL);
#undef THIS

#define THIS node_socket
static const struct wire_field socket_fields[] = {
	T(1, WIRE_TEXT, sandbox),
	T(2, WIRE_I32, domain),
	T(3, WIRE_I32, type),
	T(4, WIRE_I32, protocol),
};
WIRE_TABLE(wire_node_socket, struct node_socket, socket_fields, NULL);
#undef THIS

#define THIS node_mount
static const struct wire_field node_mount_fields[] = {
	T(1, WIRE_TEXT, kind), T(2, WIRE_TEXT, path),    T(3, WIRE_TEXT, source),
	T(4, WIRE_TEXT, data), A(5, WIRE_TEXTS, layers), T(6, WIRE_BOOL, readonly),
};
WIRE_TABLE(wire_node_mount, struct node_mount, node_mount_fields, NULL);
#undef THIS

#define THIS node_shutdown
static const struct wire_field shutdown_fields[] = { T(1, WIRE_U32, grace_ms) };
WIRE_TABLE(wire_node_shutdown, struct node_shutdown, shutdown_fields, NULL);
#undef THIS

#define THIS node_stats
static const struct wire_field stats_fields[] = {
	T(1, WIRE_TEXT, id),         T(2, WIRE_BOOL, is_sandbox),        T(3, WIRE_I64, time),       T(4, WIRE_U64, cpu_ns),
	T(5, WIRE_U64, memory),      T(6, WIRE_U64, memory_working_set), T(7, WIRE_U64, memory_rss), T(8, WIRE_U64, memory_limit),
	T(9, WIRE_U64, page_faults), T(10, WIRE_U64, major_page_faults), T(11, WIRE_U64, pids),      T(12, WIRE_U64, throttled_ns),
	T(13, WIRE_U64, oom_kills),
};
static WIRE_TABLE(wire_stats, struct node_stats, stats_fields, NULL);
#undef THIS

#define THIS node_stats_reply
static const struct wire_field stats_reply_fields[] = { M(1, stats, wire_stats) };
WIRE_TABLE(wire_node_stats_reply, struct node_stats_reply, stats_reply_fields, NULL);
#undef THIS

/* --- on disk --- */

#define THIS node_sandbox_record
static const struct wire_field sandbox_record_fields[] = {
	E(1, request, wire_node_sandbox_create),
	T(2, WIRE_I64, created_at),
	T(3, WIRE_TEXT, instance),
	T(4, WIRE_BOOL, stopped),
};
WIRE_TABLE(wire_node_sandbox_record, struct node_sandbox_record, sandbox_record_fields, NULL);
#undef THIS

#define THIS node_container_record
static const struct wire_field container_record_fields[] = {
	E(1, status, wire_node_container),
	T(2, WIRE_TEXT, instance),
	T(3, WIRE_TEXT, cgroup),
};
WIRE_TABLE(wire_node_container_record, struct node_container_record, container_record_fields, NULL);
#undef THIS
