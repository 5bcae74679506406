/*
 * The revision log: ordered keys, immutable values, one number that counts every change (architecture.md §2).
 *
 * Writes are judged at once against the published state plus what is pending, wait together for one durable
 * transaction, and are published (index, then watchers, then the writer's callback) in the order of their revisions. A
 * write that was acknowledged survives power loss. Reads answer from memory and never touch SQLite.
 *
 * Not here: kinds, JSON, what a key means. The store knows bytes. Loop thread only; the one thread that owns the SQLite
 * connection is private. Callbacks come on a fresh stack. Borrowed pointers are good until the loop turns unless
 * store_value_ref() or a held version keeps them.
 *
 *	store_open(&(struct store_options){ .path = "…/state.db" }, &store);
 *	struct store_op op = { .key = STR("/pods/default/web"), .data = json, .expect = 0 };
 *	err = store_commit(store, &(struct store_commit){ .ops = &op, .n_ops = 1, .actor = who, .done = put });
 *	struct store_value *value = store_find(store, STR("/pods/default/web"));
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/base.h"

struct store;

/* --- values ---------------------------------------------------------------------------------------------- */

/* One state of one key. Immutable but for the attachment. */
struct store_value {
	unsigned refs;
	uint64_t revision; /* of the write that made this state */
	uint64_t created;  /* revision at which the key came to be */
	int64_t time;      /* now clock, ns */
	uint64_t cause;    /* the revision that woke the writer; 0: none */
	struct str key;    /* NUL-terminated */
	struct str data;   /* of bytes */
	struct bytes *bytes;
	struct str actor; /* who wrote it */
	void *attachment; /* the owner's decoded form; NULL at first */
	void (*attachment_free)(void *attachment);
};

struct store_value *store_value_ref(struct store_value *value);
void store_value_unref(struct store_value *value); /* NULL is fine */
/* Frees what was attached before. Takes attachment. */
void store_value_attach(struct store_value *value, void *attachment, void (*release)(void *attachment));
/* arena_defer(arena, store_value_release, value): ties a reference to an arena. */
void store_value_release(void *value);

/* --- open and close -------------------------------------------------------------------------------------- */

struct store_options {
	const char *path;       /* NULL: in memory */
	const char *vfs;        /* SQLite VFS by name; NULL: the system's */
	int64_t history_age;    /* ns that superseded revisions are kept; 0: 24 h; at least the window */
	uint64_t history_bytes; /* …and how much of them; 0: 64 MiB */
	/* A state that was not written lately and that nobody but the store holds: its attachment may be made smaller. May be
	 * NULL. */
	void (*cool)(struct store_value *value);
	/* In memory only: how long a commit takes and whether it fails. For simulations; NULL: at once, never. */
	struct error *(*memory_plan)(void *arg, int64_t *delay_ns);
	void *memory_arg;
};

/* ERR_BUSY: another server has it. ERR_NEWER, ERR_CORRUPT, ERR_READ_ONLY, ERR_NO_SPACE, ERR_IO. Blocks to load. */
struct error *store_open(const struct store_options *options, struct store **out) MUST_CHECK;
/* Finishes what is pending, writes renewals down, then closed(arg). Watches and versions must be gone by then. */
void store_close(struct store *store, void (*closed)(void *arg), void *arg);

/* --- writes ---------------------------------------------------------------------------------------------- */

#define STORE_ANY UINT64_MAX

enum store_op_kind { STORE_PUT, STORE_DELETE };

struct store_op {
	enum store_op_kind kind;
	struct str key;
	struct str data;     /* STORE_PUT; copied, unless bytes are given */
	struct bytes *bytes; /* shared instead; borrowed for the call */
	uint64_t expect;     /* revision of the state this replaces; 0: there must be none; or STORE_ANY */
	struct str actor;    /* empty: the commit's */
	uint64_t cause;      /* 0: the commit's */
	void *attachment;    /* STORE_PUT: for the new value; taken when the commit was accepted */
	void (*attachment_free)(void *attachment);
};

struct store_result {
	uint64_t revision;                 /* of the last op; op i has revision - n + 1 + i; 0 on error */
	struct store_value *const *values; /* per op: the new state; for a delete the state that went */
	size_t n;
};

struct store_commit {
	const struct store_op *ops; /* all or none; no key twice; borrowed for the call */
	size_t n_ops;               /* at least 1 */
	struct str actor;
	uint64_t cause;
	bool renewal; /* puts of existing keys only; no disk write, so a crash may lose it */
	/* Later, once. Takes err; ERR_NO_SPACE and the like: nothing of it happened. May be NULL. */
	void (*done)(void *arg, struct error *err, const struct store_result *result);
	void *arg;
};

/* Judged now: ERR_EXISTS (expect 0), ERR_NOT_FOUND (delete or renewal of what is absent), ERR_CONFLICT, ERR_TOO_MANY
 * (too much is queued). On error nothing was taken and done does not come. */
struct error *store_commit(struct store *store, const struct store_commit *commit) MUST_CHECK;

/* The state of a key including what is pending: what a read-modify-write must start from. NULL: absent. */
struct store_value *store_latest(struct store *store, struct str key);

/* --- reads ----------------------------------------------------------------------------------------------- */

uint64_t store_revision(const struct store *store); /* of the published state */
uint64_t store_oldest(const struct store *store);   /* the oldest revision that can still be asked for */
struct store_value *store_find(struct store *store, struct str key);

/* A version is the whole state at one revision; it costs nothing to hold and stays as it is. */
struct store_version;

struct store_version *store_hold(struct store *store);
/* The state at an older revision: ERR_EXPIRED outside the window; ERR_TIMEOUT for one that is not there yet. */
struct error *store_hold_at(struct store *store, uint64_t revision, struct store_version **out) MUST_CHECK;
struct store_version *store_version_ref(struct store_version *version);
void store_version_unref(struct store_version *version); /* NULL is fine */
uint64_t store_version_revision(const struct store_version *version);
struct store_value *store_version_find(const struct store_version *version, struct str key);

/* Keys that begin with prefix and are >= from (empty: all), in order. The version must outlive the iterator.
 *	for (bool ok = store_seek(&it, version, prefix, from); ok; ok = store_next(&it)) use(it.value);
 */
struct store_iter {
	struct store_value *value;
	struct str prefix;
	struct tree_iter tree;
};
bool store_seek(struct store_iter *it, const struct store_version *version, struct str prefix, struct str from);
bool store_next(struct store_iter *it);
size_t store_count(const struct store_version *version, struct str prefix, struct str from);

/* --- watch ----------------------------------------------------------------------------------------------- */

struct store_event {
	uint64_t revision;
	int64_t time; /* now clock, ns */
	struct str key;
	struct store_value *value; /* the new state; NULL: deleted */
	struct store_value *old;   /* the state before; NULL: created */
	struct str actor;          /* also of a delete */
	uint64_t cause;
};

/* A watcher has no queue: it holds a place in the shared window and pulls. So a slow one costs nothing, and may find
 * that the window went on without it. */
struct store_watch;

struct store_watch_options {
	struct str prefix;        /* of keys; copied */
	uint64_t after;           /* first event is the first one with a larger revision; may lie in the future */
	void (*ready)(void *arg); /* pull now: comes once at first, and once after each STORE_WATCH_IDLE */
	void *arg;
};

enum store_watch_state { STORE_WATCH_EVENT, STORE_WATCH_IDLE, STORE_WATCH_EXPIRED };

struct error *store_watch(struct store *store, const struct store_watch_options *options,
			  struct store_watch **out) MUST_CHECK; /* ERR_EXPIRED: after is older than the window */
/* The event is borrowed until the loop turns. EXPIRED: too slow; only close is left. */
enum store_watch_state store_watch_pull(struct store_watch *watch, struct store_event *event);
/* Everything up to here was delivered or did not concern this watcher: for bookmarks. */
uint64_t store_watch_revision(const struct store_watch *watch);
void store_watch_close(struct store_watch *watch); /* NULL is fine */

/* --- history, snapshot ----------------------------------------------------------------------------------- */

struct store_record {
	uint64_t revision;
	uint64_t created;
	int64_t time;
	struct str key;
	struct str actor;
	uint64_t cause;
	bool deleted;
	struct str data; /* when asked for */
};

/* What was written, oldest first, as far back as history goes. Renewals are not in it. */
struct store_query {
	struct str key;    /* exactly this one… */
	struct str prefix; /* …or these; both empty: all */
	uint64_t from;     /* revisions, inclusive */
	uint64_t to;       /* 0: no end */
	size_t limit;      /* 0: 1000 */
	bool newest;       /* when there are more than limit, the newest ones */
	bool data;
	/* Takes err; the records are borrowed. */
	void (*done)(void *arg, struct error *err, const struct store_record *records, size_t n);
	void *arg;
};
void store_history(struct store *store, const struct store_query *query);

/* Writes a consistent copy to a new file while writes go on; it is complete or not there. ERR_EXISTS when it is. */
void store_snapshot(struct store *store, const char *path, void (*done)(void *arg, struct error *err), void *arg);

/* For /metrics and tests. */
struct store_stats {
	uint64_t keys, commits, operations, transactions, renewals, conflicts, failures, compacted;
	uint64_t window_events, window_bytes, history_bytes, pending_bytes;
	unsigned watches;
};
struct store_stats store_stats(const struct store *store);

#endif
