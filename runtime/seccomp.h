/*
 * System call filters: a profile becomes a BPF program in the parent (libseccomp), the child only installs it.
 *
 *	err = seccomp_compile(&spec->seccomp, spec->caps, &program);   // program.len 0: nothing to install
 *	err = seccomp_install(&program);                               // child, as late as its rights allow
 */
#ifndef RUNTIME_SECCOMP_H
#define RUNTIME_SECCOMP_H

#include "runtime/runtime.h"

struct sock_filter;

struct seccomp_program {
	struct sock_filter *filter;
	unsigned short len;
};

struct error *seccomp_compile(const struct runtime_seccomp *profile, uint64_t caps, struct seccomp_program *out) MUST_CHECK;
void seccomp_program_fini(struct seccomp_program *program);
struct error *seccomp_install(const struct seccomp_program *program) MUST_CHECK;

/* Which capabilities change the default profile: equal masks compile to equal programs. */
uint64_t seccomp_caps_that_matter(void);

#endif
