/*
 * Profiles and their compiler. libseccomp knows the numbers of system calls; the program is made here, because its own
 * generator takes 20 ms for this profile and ours 0.3: per architecture a binary tree over ranges of numbers with equal
 * verdicts, arguments looked at in the leaves.
 *
 *	arch? ─┬─ x86-64 (and x32): nr > newest → ENOSYS; tree
 *	       ├─ i386: tree
 *	       └─ other: kill
 *
 * The default profile is Docker's and containerd's (moby/profiles, seccomp/default.json): everything that is not listed
 * answers EPERM, clone with new namespaces too, clone3 ENOSYS so that libcs fall back. As runc does, system calls newer
 * than the newest we know answer ENOSYS, or programs would take EPERM for a refusal instead of a missing feature.
 */
#include "runtime/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/vec.h"

static const char always[] =
	"accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 "
	"clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
	"clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 "
	"epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
	"exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 "
	"fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat "
	"fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait "
	"futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid "
	"getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid "
	"getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area "
	"gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 "
	"inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set "
	"io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 "
	"lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat "
	"lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock "
	"mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 "
	"mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap "
	"name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 "
	"pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease "
	"pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg "
	"recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir "
	"rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
	"rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max "
	"sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity "
	"sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop "
	"semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid "
	"setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid "
	"setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid "
	"setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn "
	"socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range "
	"syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
	"timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 "
	"times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 "
	"utimes vfork vmsplice wait4 waitid waitpid write writev "
	"process_vm_readv process_vm_writev ptrace "
#if defined(__x86_64__)
	"arch_prctl modify_ldt "
#elif defined(__aarch64__)
	"arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls "
#endif
	;

static const struct {
	int cap;
	const char *names;
} with_cap[] = {
	{ CAP_DAC_READ_SEARCH, "open_by_handle_at" },
	{ CAP_SYS_ADMIN, "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr "
			 "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open "
			 "quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare" },
	{ CAP_SYS_BOOT, "reboot" },
	{ CAP_SYS_CHROOT, "chroot" },
	{ CAP_SYS_MODULE, "delete_module init_module finit_module" },
	{ CAP_SYS_PACCT, "acct" },
	{ CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise" },
	{ CAP_SYS_RAWIO, "iopl ioperm" },
	{ CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64" },
	{ CAP_SYS_TTY_CONFIG, "vhangup" },
	{ CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node" },
	{ CAP_SYSLOG, "syslog" },
	{ CAP_BPF, "bpf" },
	{ CAP_PERFMON, "perf_event_open" },
};
#define N_WITH_CAP (sizeof(with_cap) / sizeof(with_cap[0]))

/* Address families above AF_X25 (those below are allowed whole) without DECnet, IrDA, ALG, VSOCK and the like. */
static const unsigned char families[] = { 13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29,
					  30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45 };
static const uint64_t personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };

#define CLONE_NAMESPACES UINT64_C(0x7e020000) /* every CLONE_NEW* */

/* --- the compiler --- */

#define NUMBERS 1024 /* per architecture; far above the newest */
#define X32_BIT 0x40000000u

/* A set of numbers: of one architecture, or of x32 beside x86-64. */
struct section {
	uint32_t audit_arch;
	uint32_t scmp_arch;
	uint32_t base;
};

static const struct section sections[] = {
#if defined(__x86_64__)
	{ AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0 },
	{ AUDIT_ARCH_X86_64, SCMP_ARCH_X32, X32_BIT },
	{ AUDIT_ARCH_I386, SCMP_ARCH_X86, 0 },
#elif defined(__aarch64__)
	{ AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0 },
	{ AUDIT_ARCH_ARM, SCMP_ARCH_ARM, 0 },
#endif
};
#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

struct verdict {
	uint32_t first; /* the range begins here and goes to the next one */
	uint32_t action;
	uint16_t rules; /* 1 + index into chains; 0: the action, whatever the arguments */
};

/* The rules of one system call, in order; the first that matches counts. */
struct chain {
	const struct runtime_seccomp_rule *rules[64];
	size_t n;
};

struct program {
	struct sock_filter *ptr;
	size_t len;
	size_t cap;
};

struct builder {
	const struct runtime_seccomp *profile;
	struct program program;
	VEC(struct chain) chains;
	uint16_t number[NUMBERS]; /* of the section at work: 1 + index into chains */
	VEC(struct verdict) tree; /* of the architecture at work */
	uint32_t newest;
};

static void emit(struct program *p, int code, size_t jt, size_t jf, uint32_t k)
{
	vec_push(p, ((struct sock_filter){ (uint16_t)code, (uint8_t)jt, (uint8_t)jf, k }));
}

static struct error *note_rule(struct builder *b, const struct section *section, const struct runtime_seccomp_rule *rule,
			       const char *name)
{
	int nr = seccomp_syscall_resolve_name_arch(section->scmp_arch, name);
	uint32_t n = (uint32_t)nr - section->base;
	struct chain *chain;

	/* unknown here: another architecture's or a newer kernel's; negative: not a call of its own here */
	if (nr < 0 || n >= NUMBERS)
		return NULL;
	if (b->number[n] == 0) {
		vec_add(&b->chains);
		b->number[n] = (uint16_t)b->chains.len;
	}
	chain = &b->chains.ptr[b->number[n] - 1];
	if (chain->n == sizeof(chain->rules) / sizeof(chain->rules[0]))
		return error_new(ERR_TOO_LARGE, "seccomp: too many rules for %s", name);
	chain->rules[chain->n++] = rule;
	if (section == &sections[0] && n > b->newest)
		b->newest = n;
	return NULL;
}

static struct error *collect(struct builder *b, const struct section *section)
{
	memset(b->number, 0, sizeof(b->number));
	for (size_t i = 0; i < b->profile->n_rules; i++) {
		const struct runtime_seccomp_rule *rule = &b->profile->rules[i];

		for (size_t k = 0; k < rule->n_names; k++) {
			struct error *err = note_rule(b, section, rule, rule->names[k]);

			if (err != NULL)
				return err;
		}
	}
	for (uint32_t n = 0; n <= NUMBERS; n++) {
		uint16_t rules = n < NUMBERS ? b->number[n] : 0;
		uint32_t action = b->profile->default_action;

		/* without conditions only the action counts, so that neighbours become one range */
		if (rules != 0 && b->chains.ptr[rules - 1].rules[0]->n_args == 0) {
			action = b->chains.ptr[rules - 1].rules[0]->action;
			rules = 0;
		}
		if (n != 0 && b->tree.len != 0 && vec_last(&b->tree)->action == action && vec_last(&b->tree)->rules == 0 &&
		    rules == 0)
			continue;
		vec_push(&b->tree, ((struct verdict){ section->base + n, action, rules }));
	}
	return NULL;
}

#define ARG_LOW(i)  ((uint32_t)(offsetof(struct seccomp_data, args) + 8 * (i)))
#define ARG_HIGH(i) (ARG_LOW(i) + 4)
#define LOAD        (BPF_LD | BPF_W | BPF_ABS)
#define JUMP(op)    (BPF_JMP | (op) | BPF_K)
#define FAIL        255 /* patched to the end of the rule */

/* Falls through when the argument matches, else jumps to FAIL. 64 bits in two halves, little endian. */
static void emit_arg(struct program *p, const struct runtime_seccomp_arg *arg)
{
	const uint32_t high = (uint32_t)(arg->value >> 32), low = (uint32_t)arg->value;

	emit(p, LOAD, 0, 0, ARG_HIGH(arg->index));
	switch ((enum scmp_compare)arg->op) {
	case SCMP_CMP_EQ:
		emit(p, JUMP(BPF_JEQ), 0, FAIL, high);
		emit(p, LOAD, 0, 0, ARG_LOW(arg->index));
		emit(p, JUMP(BPF_JEQ), 0, FAIL, low);
		break;
	case SCMP_CMP_NE:
		emit(p, JUMP(BPF_JEQ), 0, 2, high);
		emit(p, LOAD, 0, 0, ARG_LOW(arg->index));
		emit(p, JUMP(BPF_JEQ), FAIL, 0, low);
		break;
	case SCMP_CMP_MASKED_EQ:
		emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, high);
		emit(p, JUMP(BPF_JEQ), 0, FAIL, (uint32_t)(arg->value2 >> 32));
		emit(p, LOAD, 0, 0, ARG_LOW(arg->index));
		emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, low);
		emit(p, JUMP(BPF_JEQ), 0, FAIL, (uint32_t)arg->value2);
		break;
	case SCMP_CMP_GT:
	case SCMP_CMP_GE:
		emit(p, JUMP(BPF_JGT), 3, 0, high);
		emit(p, JUMP(BPF_JEQ), 0, FAIL, high);
		emit(p, LOAD, 0, 0, ARG_LOW(arg->index));
		emit(p, JUMP(arg->op == SCMP_CMP_GT ? BPF_JGT : BPF_JGE), 0, FAIL, low);
		break;
	case SCMP_CMP_LT:
	case SCMP_CMP_LE:
		emit(p, JUMP(BPF_JGT), FAIL, 0, high);
		emit(p, JUMP(BPF_JEQ), 0, 2, high);
		emit(p, LOAD, 0, 0, ARG_LOW(arg->index));
		emit(p, JUMP(arg->op == SCMP_CMP_LT ? BPF_JGE : BPF_JGT), FAIL, 0, low);
		break;
	case _SCMP_CMP_MIN:
	case _SCMP_CMP_MAX:
		break;
	}
}

static void emit_chain(struct builder *b, const struct chain *chain)
{
	struct program *p = &b->program;

	for (size_t i = 0; i < chain->n; i++) {
		const struct runtime_seccomp_rule *rule = chain->rules[i];
		size_t start = p->len;

		for (size_t k = 0; k < rule->n_args; k++)
			emit_arg(p, &rule->args[k]);
		emit(p, BPF_RET | BPF_K, 0, 0, rule->action);
		for (size_t at = start; at < p->len; at++) {
			if (BPF_CLASS(p->ptr[at].code) != BPF_JMP)
				continue;
			if (p->ptr[at].jt == FAIL)
				p->ptr[at].jt = (uint8_t)(p->len - at - 1);
			if (p->ptr[at].jf == FAIL)
				p->ptr[at].jf = (uint8_t)(p->len - at - 1);
		}
		if (rule->n_args == 0)
			return;
	}
	emit(p, BPF_RET | BPF_K, 0, 0, b->profile->default_action);
}

static void emit_tree(struct builder *b, size_t from, size_t to)
{
	const struct verdict *v = &b->tree.ptr[from];
	size_t mid = from + (to - from) / 2, jump;

	if (to - from == 1) {
		if (v->rules != 0)
			emit_chain(b, &b->chains.ptr[v->rules - 1]);
		else
			emit(&b->program, BPF_RET | BPF_K, 0, 0, v->action);
		return;
	}
	emit(&b->program, JUMP(BPF_JGE), 0, 1, b->tree.ptr[mid].first);
	jump = b->program.len;
	emit(&b->program, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_tree(b, from, mid);
	b->program.ptr[jump].k = (uint32_t)(b->program.len - jump - 1);
	emit_tree(b, mid, to);
}

static bool arch_wanted(const struct runtime_seccomp *profile, const struct section *section)
{
	if (profile->n_archs == 0 || section == &sections[0])
		return true;
	for (size_t i = 0; i < profile->n_archs; i++) {
		struct str name = str_from(profile->archs[i]);
		char lower[32] = "";

		if (str_has_prefix(name, STR("SCMP_ARCH_")))
			name = str_skip(name, 10);
		for (size_t k = 0; k < name.len && k < sizeof(lower) - 1; k++)
			lower[k] = (char)(name.ptr[k] >= 'A' && name.ptr[k] <= 'Z' ? name.ptr[k] + 32 : name.ptr[k]);
		if (seccomp_arch_resolve_name(lower) == section->scmp_arch)
			return true;
	}
	return false;
}

/* One architecture: all the sections that share its number. */
static struct error *emit_arch(struct builder *b, size_t *at)
{
	const struct section *first = &sections[*at];
	struct program *p = &b->program;
	size_t jump;

	vec_clear(&b->tree);
	for (; *at < N_SECTIONS && sections[*at].audit_arch == first->audit_arch; (*at)++) {
		struct error *err = NULL;

		if (arch_wanted(b->profile, &sections[*at]))
			err = collect(b, &sections[*at]);
		if (err != NULL)
			return err;
	}
	if (b->tree.len == 0)
		return NULL;
	emit(p, LOAD, 0, 0, offsetof(struct seccomp_data, arch));
	emit(p, JUMP(BPF_JEQ), 1, 0, first->audit_arch);
	jump = p->len;
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	emit(p, LOAD, 0, 0, offsetof(struct seccomp_data, nr));
	if (first == &sections[0]) {
		const uint32_t action = b->profile->default_action & SECCOMP_RET_ACTION_FULL;

		if (action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_KILL_THREAD || action == SECCOMP_RET_KILL_PROCESS) {
			emit(p, JUMP(BPF_JGE), 2, 0, X32_BIT);
			emit(p, JUMP(BPF_JGT), 0, 1, b->newest);
			emit(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
		}
	}
	emit_tree(b, 0, b->tree.len);
	p->ptr[jump].k = (uint32_t)(p->len - jump - 1);
	return NULL;
}

static struct error *compile(const struct runtime_seccomp *profile, struct seccomp_program *out)
{
	struct builder b = { .profile = profile };
	struct error *err = NULL;

	for (size_t i = 0; i < profile->n_rules; i++) {
		for (size_t k = 0; k < profile->rules[i].n_args; k++) {
			if (profile->rules[i].args[k].index > 5)
				return error_new(ERR_INVALID, "seccomp: a system call has 6 arguments");
		}
		if (profile->rules[i].n_args > 6)
			return error_new(ERR_INVALID, "seccomp: more than 6 arguments in one rule");
	}
	for (size_t at = 0; at < N_SECTIONS && err == NULL;)
		err = emit_arch(&b, &at);
	emit(&b.program, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	if (err == NULL && b.program.len > BPF_MAXINSNS)
		err = error_new(ERR_TOO_LARGE, "seccomp: the profile needs %zu instructions; at most %d", b.program.len,
				BPF_MAXINSNS);
	vec_fini(&b.chains);
	vec_fini(&b.tree);
	if (err != NULL) {
		vec_fini(&b.program);
		return err;
	}
	out->filter = b.program.ptr;
	out->len = (unsigned short)b.program.len;
	return NULL;
}

/* --- the default profile as rules --- */

static struct runtime_seccomp_rule *rule_add(struct arena *arena, struct runtime_seccomp *profile, const char *names,
					     uint32_t action)
{
	struct runtime_seccomp_rule *rule = &profile->rules[profile->n_rules++];
	struct str rest = str_from(names), name;

	rule->action = action;
	rule->names = ARENA_ARRAY(arena, const char *, strlen(names) / 2 + 1);
	while (str_cut(&rest, ' ', &name)) {
		if (name.len != 0)
			rule->names[rule->n_names++] = str_cstr(arena, name);
	}
	return rule;
}

static void rule_add_arg(struct arena *arena, struct runtime_seccomp *profile, const char *name, enum scmp_compare op,
			 uint64_t value)
{
	struct runtime_seccomp_rule *rule = rule_add(arena, profile, name, SCMP_ACT_ALLOW);

	rule->args = ARENA_NEW(arena, struct runtime_seccomp_arg);
	rule->n_args = 1;
	rule->args[0] = (struct runtime_seccomp_arg){ .index = 0, .op = op, .value = value };
}

static void default_profile(struct arena *arena, uint64_t caps, struct runtime_seccomp *out)
{
	memset(out, 0, sizeof(*out));
	out->mode = RUNTIME_SECCOMP_CUSTOM;
	out->default_action = SCMP_ACT_ERRNO(EPERM);
	out->rules = ARENA_ARRAY(arena, struct runtime_seccomp_rule, 64 + N_WITH_CAP);
	rule_add(arena, out, always, SCMP_ACT_ALLOW);
	rule_add_arg(arena, out, "socket", SCMP_CMP_LT, 12);
	for (size_t i = 0; i < sizeof(families); i++)
		rule_add_arg(arena, out, "socket", SCMP_CMP_EQ, families[i]);
	for (size_t i = 0; i < sizeof(personalities) / sizeof(personalities[0]); i++)
		rule_add_arg(arena, out, "personality", SCMP_CMP_EQ, personalities[i]);
	for (size_t i = 0; i < N_WITH_CAP; i++) {
		if (caps & (UINT64_C(1) << with_cap[i].cap))
			rule_add(arena, out, with_cap[i].names, SCMP_ACT_ALLOW);
	}
	if (!(caps & (UINT64_C(1) << CAP_SYS_ADMIN))) {
		rule_add_arg(arena, out, "clone", SCMP_CMP_MASKED_EQ, CLONE_NAMESPACES);
		rule_add(arena, out, "clone3", SCMP_ACT_ERRNO(ENOSYS));
	}
}

struct error *seccomp_compile(const struct runtime_seccomp *profile, uint64_t caps, struct seccomp_program *out)
{
	struct runtime_seccomp rules;
	struct arena *arena;
	struct error *err;

	memset(out, 0, sizeof(*out));
	if (profile->mode == RUNTIME_SECCOMP_UNCONFINED)
		return NULL;
	if (profile->mode == RUNTIME_SECCOMP_CUSTOM)
		return compile(profile, out);
	arena = arena_new();
	default_profile(arena, caps, &rules);
	err = compile(&rules, out);
	arena_free(arena);
	return err;
}

void seccomp_program_fini(struct seccomp_program *program)
{
	free(program->filter);
	memset(program, 0, sizeof(*program));
}

struct error *seccomp_install(const struct seccomp_program *program)
{
	struct sock_fprog prog = { .len = program->len, .filter = program->filter };

	if (program->len == 0)
		return NULL;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
		return error_errno(errno, "install seccomp filter");
	return NULL;
}

uint64_t seccomp_caps_that_matter(void)
{
	uint64_t caps = 0;

	for (size_t i = 0; i < N_WITH_CAP; i++)
		caps |= UINT64_C(1) << with_cap[i].cap;
	return caps;
}
