/*
 * Device rules on control groups v2: a small BPF program, made here and attached to the group. For each access the kernel
 * calls it with {access << 16 | type, major, minor}; it answers 1 to allow.
 *
 * The program is the rules from last to first (a later rule wins); the first that matches answers:
 *
 *	r2 = type, r3 = access, r4 = major, r5 = minor
 *	rule: if type, major, minor or the access bits do not match, go to the next rule; r0 = allow; exit
 *	end:  r0 = 0; exit
 */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/vec.h"
#include "runtime/cgroup_private.h"

struct program {
	struct bpf_insn *ptr;
	size_t len;
	size_t cap;
};

static void emit(struct program *p, int code, int dst, int src, int off, int32_t imm)
{
	vec_push(p, ((struct bpf_insn){ .code = (uint8_t)code,
					.dst_reg = (uint8_t)(dst & 15),
					.src_reg = (uint8_t)(src & 15),
					.off = (int16_t)off,
					.imm = imm }));
}

static int32_t access_bits(const char *access)
{
	int32_t bits = 0;

	bits |= strchr(access, 'm') != NULL ? BPF_DEVCG_ACC_MKNOD : 0;
	bits |= strchr(access, 'r') != NULL ? BPF_DEVCG_ACC_READ : 0;
	bits |= strchr(access, 'w') != NULL ? BPF_DEVCG_ACC_WRITE : 0;
	return bits;
}

static void emit_rule(struct program *p, const struct runtime_device_rule *rule)
{
	size_t jumps[4], n = 0;
	int32_t bits = access_bits(rule->access != NULL ? rule->access : "rwm");

	if (rule->type != 'a') {
		jumps[n++] = p->len;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	}
	if (rule->type != 'a' && bits != 7) {
		/* an allow must cover all that is asked; a deny is met by any of it */
		emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
		emit(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0, bits);
		jumps[n++] = p->len;
		if (rule->allow)
			emit(p, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
		else
			emit(p, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
	}
	if (rule->type != 'a' && rule->major >= 0) {
		jumps[n++] = p->len;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int32_t)rule->major);
	}
	if (rule->type != 'a' && rule->minor >= 0) {
		jumps[n++] = p->len;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int32_t)rule->minor);
	}
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, rule->allow);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (size_t i = 0; i < n; i++)
		p->ptr[jumps[i]].off = (int16_t)(p->len - jumps[i] - 1);
}

static void emit_program(struct program *p, const struct runtime_device_rule *rules, size_t n)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 0, 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	emit(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
	emit(p, BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_4, BPF_REG_1, 4, 0);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_5, BPF_REG_1, 8, 0);
	for (size_t i = n; i-- > 0;) {
		emit_rule(p, &rules[i]);
		if (rules[i].type == 'a')
			return; /* nothing before it can matter */
	}
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

struct error *cgroup_bpf_devices(int dirfd, const struct runtime_device_rule *rules, size_t n)
{
	struct program p = { 0 };
	union bpf_attr attr;
	AUTO_FD int fd = -1;

	emit_program(&p, rules, n);
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)p.ptr;
	attr.insn_cnt = (uint32_t)p.len;
	attr.license = (uint64_t)(uintptr_t) "";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	vec_fini(&p);
	if (fd < 0)
		return error_errno(errno, "load device rules");
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)dirfd;
	attr.attach_bpf_fd = (uint32_t)fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) != 0)
		return error_errno(errno, "attach device rules");
	return NULL;
}
