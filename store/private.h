/*
 * What the files of store share; private to the folder and its unit test.
 *
 * A commit that was accepted waits in `gathering` until the turn's calls run; then everything gathered becomes a batch.
 * The engine makes batches durable in order and hands them back; the store publishes them in order. Revisions are given
 * at submit, so a batch is only numbers and immutable values to the engine's thread.
 *
 * When a batch fails, everything that was accepted after it may rest on it and fails too: the epoch ends. The engine
 * refuses later batches of the same epoch by itself.
 */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "loop/loop.h"
#include "store/store.h"

/* One operation that was accepted. */
struct change {
	struct store_value *record; /* the new state; for a delete a tombstone without data */
	struct store_value *old;    /* the state it replaces; NULL: none */
	bool deleted;
};

struct commit {
	struct list link;
	void (*done)(void *arg, struct error *err, const struct store_result *result);
	void *arg;
	bool renewal;
	size_t bytes;
	size_t n;
	struct change changes[];
};

struct batch {
	struct list link;   /* in store.in_flight */
	struct list queued; /* the engine's */
	struct store *store;
	struct list commits;
	uint64_t epoch;
	uint64_t reserve; /* not 0: new end of the block of volatile revisions */
	int64_t now;      /* now clock when it was handed over */
	bool written;
	struct error *err;
};

struct snapshot {
	struct list queued;
	struct store *store;
	char *path;
	void (*done)(void *arg, struct error *err);
	void *arg;
	struct error *err;
};

struct query {
	struct list queued;
	struct store *store;
	struct store_query ask; /* key and prefix lie in arena */
	struct arena *arena;
	struct store_record *records;
	size_t n;
	struct error *err;
};

/* --- engines: what makes batches last --- */

struct engine;

struct engine_ops {
	void (*write)(struct engine *engine, struct batch *batch);    /* then store_batch_written(), in order */
	void (*query)(struct engine *engine, struct query *query);    /* then store_query_done() */
	void (*snapshot)(struct engine *engine, struct snapshot *it); /* then store_snapshot_done() */
	/* Last: writes these renewals down, then store_engine_closed(); the engine is gone. */
	void (*close)(struct engine *engine, struct store_value *const *renewals, size_t n, uint64_t last);
	void (*stats)(const struct engine *engine, struct store_stats *stats);
};

struct engine {
	const struct engine_ops *ops;
	struct store *store;
};

/* Fills the store (index, window, revision, reserved) through the loaded_ functions. */
struct error *engine_sqlite_open(struct store *store, const struct store_options *options, struct engine **out) MUST_CHECK;
struct engine *engine_memory_open(struct store *store, const struct store_options *options);

void store_batch_written(void *batch);
void store_query_done(void *query);
void store_snapshot_done(void *snapshot);
void store_engine_closed(struct store *store);

/* --- window.c: the last minutes, in order of revision --- */

struct window_event {
	struct change change; /* holds references */
	int64_t mono;
	size_t bytes;
};

struct window {
	VEC(struct window_event) events;
	size_t head;    /* events before it are gone */
	uint64_t base;  /* running number of events[head] */
	uint64_t floor; /* every change with a larger revision is here */
	uint64_t bare;  /* running number: what superseded states before it had attached is gone */
	size_t bytes;
};

void window_push(struct window *window, const struct change *change, int64_t mono);
void window_trim(struct window *window, int64_t mono); /* what is older than LIMIT_HISTORY_SECONDS or too much */
/* Watchers have had the time to see everything so far: what only the window keeps needs its bytes, no decoded form. */
void window_strip(struct window *window);
void window_fini(struct window *window);
uint64_t window_end(const struct window *window); /* running number after the last */
const struct window_event *window_at(const struct window *window, uint64_t number);
uint64_t window_after(const struct window *window, uint64_t revision); /* number of the first event beyond revision */

/* --- watch.c --- */

void watch_published(struct store *store, uint64_t from); /* events from this running number on are new */

/* --- the store --- */

struct store {
	struct engine *engine;
	struct tree index;
	struct window window;
	void (*cool)(struct store_value *value);
	struct buf hand;   /* the key at which it goes on */
	uint64_t revision; /* published */
	uint64_t last;     /* given */
	uint64_t reserved; /* volatile revisions may be given up to here */
	uint64_t reserved_durable;
	uint64_t epoch;
	struct map pending; /* key → the latest struct change that is not published */
	struct map renewed; /* keys whose published state is volatile */
	size_t pending_bytes;
	struct list gathering; /* struct commit */
	struct list in_flight; /* struct batch */
	struct list published; /* struct commit, to be answered */
	struct loop_call hand_over, answer_more;
	struct store_version *current; /* weak: a version of the published state, if somebody holds one */
	struct list watches;
	size_t n_busy; /* queries and snapshots under way */
	void (*closed)(void *arg);
	void *closed_arg;
	struct store_stats stats;
};

struct store_value *value_new(struct str key, struct bytes *bytes, struct str actor); /* takes bytes; NULL: a deletion */
struct str prefix_end(struct arena *arena, struct str prefix); /* first key beyond all with that prefix; empty: none */

#endif
