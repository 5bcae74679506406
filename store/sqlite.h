/*
 * What the files of the engine on SQLite share; private to the folder.
 *
 *	engine_sqlite.c   the thread: groups of batches, compaction, history ──┬─▶ sqlite.c        the connection
 *	                                                                     ├─▶ sqlite_load.c   at start
 *	                                                                     └─▶ sqlite_copy.c   snapshots
 *
 * All but the shared fields belong to the thread once it runs, and to the loop before.
 */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>

#include "store/private.h"

enum statement { BEGIN, COMMIT, ROLLBACK, INSERT, RESERVE, COMPACTED, SUPERSEDING, WEIGH, DROP_BEFORE, DROP_ONE, STATEMENTS };

#define COLUMNS "revision, key, created, time, actor, cause, data, deleted"

struct sqlite {
	struct engine base;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	pthread_t thread;
	int64_t most_age;
	uint64_t most_bytes;

	/* The thread's own. */
	uint64_t failed_epoch;
	struct error *failure;     /* why that epoch ended */
	uint64_t compacted;        /* durable */
	uint64_t superseded_bytes; /* about how much the log holds beyond the current state */
	int64_t next_compaction;   /* mono */
	struct snapshot *copying;  /* a snapshot under way */
	sqlite3 *copy;
	sqlite3_backup *backup;
	char *copy_path;

	/* Shared, under the lock. */
	pthread_mutex_t lock;
	sem_t changed; /* no condition variable: see loop/job.c */
	struct list batches;
	struct list queries;
	struct list snapshots;
	bool ending;
	uint64_t n_compacted, history_bytes; /* for stats */

	/* For the end: renewals to be written down. The loop owns the references. */
	VEC(struct store_value *) renewals;
	uint64_t last;
};

/* --- sqlite.c: int is a status of SQLite --- */

struct error *sqlite_open(struct sqlite *engine, const char *vfs) MUST_CHECK; /* and migrates */
struct error *sqlite_create_file(const char *path) MUST_CHECK;
enum error_kind sqlite_kind(sqlite3 *db, int status);
struct error *sqlite_failure(struct sqlite *engine, int status, const char *doing) MUST_CHECK;
struct error *sqlite_prepare(struct sqlite *engine, const char *text, sqlite3_stmt **out) MUST_CHECK;
struct error *sqlite_query_u64(struct sqlite *engine, const char *text, uint64_t *out) MUST_CHECK; /* 0: no row */
int sqlite_run(struct sqlite *engine, enum statement which);
int sqlite_insert(struct sqlite *engine, const struct store_value *value, bool deleted);
int sqlite_set_meta(struct sqlite *engine, enum statement which, uint64_t value);
void sqlite_bind_str(sqlite3_stmt *statement, int i, struct str s); /* s must last until the statement is reset */
struct str sqlite_column_str(sqlite3_stmt *statement, int i);       /* until the next step */
uint64_t sqlite_column_u64(sqlite3_stmt *statement, int i);

/* --- sqlite_load.c --- */

struct error *sqlite_load(struct sqlite *engine, struct store *store) MUST_CHECK;

/* --- sqlite_copy.c --- */

void sqlite_copy_begin(struct sqlite *engine, struct snapshot *snapshot); /* engine->copying until it is done or failed */
void sqlite_copy_go_on(struct sqlite *engine);

/* --- sqlite_parts.c --- */

void sqlite_parts(void); /* before SQLite's first connection */

#endif
