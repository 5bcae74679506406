/*
 * For the developer: an always-on ring of the last events, printed on a failed ASSERT, a crash or SIGQUIT.
 * Costs a few stores per event; text must be a literal. Loop thread only.
 *
 *	TRACE("store commit", revision, n_ops);
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdint.h>

void trace_event(const char *file, int line, const char *text, int64_t a, int64_t b);
#define TRACE(text, a, b) trace_event(__FILE__, __LINE__, text, (int64_t)(a), (int64_t)(b))

void trace_dump(int fd);           /* async-signal-safe */
void trace_install_handlers(void); /* SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT dump and die; SIGQUIT dumps and goes on */

/* A broken invariant: dump and abort. Always compiled in. */
#define ASSERT(condition) ((condition) ? (void)0 : assert_failed(__FILE__, __LINE__, #condition))
_Noreturn void assert_failed(const char *file, int line, const char *condition);

#endif
