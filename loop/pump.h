/*
 * Joins two streams: what one says the other hears, both ways, each at the other's pace, until both have ended or one breaks.
 * Then both are closed and done(arg) is called, once, on a fresh stack. Loop thread only.
 *
 *	pump_start(a, b, leftover_of_a, finished, self);    // takes both streams
 */
#ifndef LOOP_PUMP_H
#define LOOP_PUMP_H

#include "loop/stream.h"

struct pump;

/* early: bytes already read from a. done may be NULL. */
struct pump *pump_start(struct stream *a, struct stream *b, struct str early, void (*done)(void *arg), void *arg);
void pump_stop(struct pump *pump); /* closes both; done does not come */

#endif
