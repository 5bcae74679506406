/* What the files of loop share. Private to this folder and its unit test. */
#ifndef LOOP_PRIVATE_H
#define LOOP_PRIVATE_H

#include <uv.h>

#include "loop/loop.h"

uv_loop_t *loop_uv(void);

/* turn.c: every callback begins with turn_piece(), whose name stays. */
void turn_setup(void);
void turn_piece(const char *name);
void turn_slice(void); /* a new slice of the turn begins with the next piece */
void turn_end(void);
uint64_t turn_number(void);
int64_t turn_held(int64_t took, int64_t cpu, unsigned blocked); /* what counts of a turn; pure */

/* A libuv status as an error: "<what>: <reason>". */
#define uv_failure(status, ...) uv_failure_at(__FILE__, __LINE__, (status), __VA_ARGS__)
struct error *uv_failure_at(const char *file, int line, int status, const char *format, ...)
	__attribute__((format(printf, 4, 5), returns_nonnull)) MUST_CHECK;

/* timer.c */
void timer_setup(void);
void timer_teardown(void);
bool timer_strong(void);      /* a timer that keeps the loop going is running */
void timer_arm(void);         /* tells libuv when the next one is due; before each turn */
bool timer_next(int64_t *at); /* when the next one is due */
void timer_fire_one(void);    /* the next one, due or not: simulation */

/* loop.c */
size_t calls_waiting(void);
void calls_run_nth(size_t n); /* simulation */

/* sim.c */
uint64_t sim_random(void);
void sim_seed(uint64_t seed);
bool sim_turn(int64_t limit); /* false: nothing is left, or the next thing comes after limit */

/* job.c */
void job_setup(void);
void job_teardown(void);
unsigned job_threads(void);

/* stream_net.c */
void stream_teardown(void); /* streams that were given away close now */

/* A handle that libuv lets go of later: close callback that frees handle->data. */
void close_and_free(uv_handle_t *handle);

#endif
