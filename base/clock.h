/*
 * Two clocks and one source of randomness, all injected, so that a simulation owns time and chance.
 *
 * mono: nanoseconds that only grow; for deadlines and durations; never warped. now: wall clock plus an offset that only
 * grows; for times in API objects. In a simulation both are advanced by hand.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

int64_t clock_mono(void); /* ns */
int64_t clock_now(void);  /* ns since 1970, UTC */

/* Moves API time forward; ns must not be negative. */
void clock_advance(int64_t ns);

/* Simulation: from now on both clocks stand still at these values and move only by clock_sim_step(). */
void clock_sim(int64_t mono, int64_t now);
void clock_sim_step(int64_t ns);
void clock_sim_end(void);

/* RFC 3339 as Kubernetes writes it. Buffers: TIME_TEXT bytes. */
#define TIME_TEXT 40
struct str time_format(char text[TIME_TEXT], int64_t ns);       /* 2026-11-22T02:18:03Z */
struct str time_format_micro(char text[TIME_TEXT], int64_t ns); /* six digits: MicroTime */
struct str time_format_nano(char text[TIME_TEXT], int64_t ns);  /* nine digits: log lines */
/* Any RFC 3339 time with or without fraction and offset. */
bool time_parse(struct str text, int64_t *ns);
/* "3d4h", "5m10s": kubectl's HumanDuration, for Age columns. */
struct str time_human(char text[TIME_TEXT], int64_t ns);

void rand_seed(uint64_t seed); /* reproducible from here on; without it the kernel seeds */
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t n);
void rand_fill(void *ptr, size_t len); /* always from the kernel unless seeded; fit for keys and uids */
/* n characters of Kubernetes' safe alphabet for generated names ("bcdfghjklmnpqrstvwxz2456789"). */
void rand_name(char *out, size_t n);
/* A version 4 UUID, 36 characters and a NUL. */
void rand_uuid(char out[37]);

#endif
