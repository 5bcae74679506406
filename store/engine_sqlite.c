/*
 * The log in SQLite. One thread owns the connection; it takes everything that is queued and makes it one transaction
 * (WAL, synchronous=FULL), so a burst costs one fsync. Superseded rows are removed within those same transactions, so
 * a store that is not written to does not touch the disk, ever.
 *
 *	loop:   batch, batch, query ──queue──▶ thread: BEGIN … COMMIT ──loop_post──▶ loop: publish, answer
 *
 * locking_mode=EXCLUSIVE keeps a second server out and the WAL's index on our heap.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/private.h"

#define APPLICATION_ID 0x6d6e6b62 /* "mnkb" */
#define COMPACT_ROWS   64         /* looked at per transaction */
#define COMPACT_EVERY  (60 * NS_PER_S)
#define SNAPSHOT_PAGES 128 /* copied between transactions */

/* The schema's version is the number of these that were run; append only. */
static const char *const migrations[] = {
	"CREATE TABLE log ("
	" revision INTEGER PRIMARY KEY AUTOINCREMENT,"
	" key BLOB NOT NULL,"
	" created INTEGER NOT NULL," /* revision at which the key came to be */
	" deleted INTEGER NOT NULL,"
	" time INTEGER NOT NULL," /* ns since 1970 */
	" actor BLOB NOT NULL,"
	" cause INTEGER NOT NULL,"
	" data BLOB NOT NULL);"
	"CREATE INDEX log_key ON log (key, revision);"
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	/* reserved: volatile revisions may have been given up to here. compacted: superseding rows up to here had
	 * theirs removed. */
	"INSERT INTO meta VALUES ('reserved', 0), ('compacted', 0);",
};
#define SCHEMA ((int)(sizeof(migrations) / sizeof(migrations[0])))

enum statement { BEGIN, COMMIT, ROLLBACK, INSERT, RESERVE, COMPACTED, SUPERSEDING, WEIGH, DROP_BEFORE, DROP_ONE, STATEMENTS };

static const char *const statement_text[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[INSERT] = "INSERT INTO log (revision, key, created, deleted, time, actor, cause, data) VALUES (?,?,?,?,?,?,?,?)",
	[RESERVE] = "UPDATE meta SET value = ? WHERE name = 'reserved'",
	[COMPACTED] = "UPDATE meta SET value = ? WHERE name = 'compacted'",
	[SUPERSEDING] = "SELECT revision, key, deleted, time FROM log WHERE revision > ? ORDER BY revision LIMIT ?",
	[WEIGH] = "SELECT total(length(data) + length(key)) FROM log WHERE key = ? AND revision < ?",
	[DROP_BEFORE] = "DELETE FROM log WHERE key = ? AND revision < ?",
	[DROP_ONE] = "DELETE FROM log WHERE revision = ?",
};

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

static struct sqlite *sqlite_of(const struct engine *engine)
{
	return CONTAINER_OF((struct engine *)(uintptr_t)engine, struct sqlite, base);
}

/* --- errors --- */

static enum error_kind kind_of(sqlite3 *db, int status)
{
	int code = db != NULL ? sqlite3_system_errno(db) : 0;

	switch (status & 0xff) {
	case SQLITE_FULL:
		return ERR_NO_SPACE;
	case SQLITE_READONLY:
		return ERR_READ_ONLY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return ERR_CORRUPT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return ERR_PERMISSION;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (code == ENOSPC || code == EDQUOT || code == EFBIG)
			return ERR_NO_SPACE;
		if (code == EROFS)
			return ERR_READ_ONLY;
		if (code == EACCES || code == EPERM)
			return ERR_PERMISSION;
		if (code == ENOENT)
			return ERR_NOT_FOUND;
		return ERR_IO;
	default:
		return ERR_INTERNAL;
	}
}

static struct error *failure(struct sqlite *engine, int status, const char *doing)
{
	sqlite3 *db = engine->db;

	if ((status & 0xff) == SQLITE_BUSY || (status & 0xff) == SQLITE_LOCKED)
		return error_make(__FILE__, __LINE__, ERR_BUSY, status, "%s: %s is in use by another server", doing, engine->path);
	return error_make(__FILE__, __LINE__, kind_of(db, status), status, "%s: %s: %s", doing, engine->path,
			  db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(status));
}

/* --- statements --- */

static int run(struct sqlite *engine, enum statement which)
{
	sqlite3_stmt *statement = engine->statements[which];
	int status = sqlite3_step(statement);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return status == SQLITE_DONE || status == SQLITE_ROW ? SQLITE_OK : status;
}

static void bind_str(sqlite3_stmt *statement, int i, struct str s)
{
	sqlite3_bind_blob(statement, i, s.len > 0 ? s.ptr : "", (int)s.len, SQLITE_STATIC);
}

static int insert(struct sqlite *engine, const struct store_value *value, bool deleted)
{
	sqlite3_stmt *statement = engine->statements[INSERT];

	sqlite3_bind_int64(statement, 1, (int64_t)value->revision);
	bind_str(statement, 2, value->key);
	sqlite3_bind_int64(statement, 3, (int64_t)value->created);
	sqlite3_bind_int(statement, 4, deleted);
	sqlite3_bind_int64(statement, 5, value->time);
	bind_str(statement, 6, value->actor);
	sqlite3_bind_int64(statement, 7, (int64_t)value->cause);
	bind_str(statement, 8, value->data);
	return run(engine, INSERT);
}

static int set_meta(struct sqlite *engine, enum statement which, uint64_t value)
{
	sqlite3_bind_int64(engine->statements[which], 1, (int64_t)value);
	return run(engine, which);
}

static struct str column_str(sqlite3_stmt *statement, int i)
{
	/* The order of these two calls is SQLite's rule. */
	const void *ptr = sqlite3_column_blob(statement, i);

	return str_of(ptr, (size_t)sqlite3_column_bytes(statement, i));
}

static uint64_t column_u64(sqlite3_stmt *statement, int i)
{
	return (uint64_t)sqlite3_column_int64(statement, i);
}

/* --- opening --- */

static struct error *prepare(struct sqlite *engine, const char *text, sqlite3_stmt **out)
{
	int status = sqlite3_prepare_v3(engine->db, text, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);

	return status == SQLITE_OK ? NULL : failure(engine, status, "open store");
}

static struct error *execute(struct sqlite *engine, const char *text)
{
	int status = sqlite3_exec(engine->db, text, NULL, NULL, NULL);

	return status == SQLITE_OK ? NULL : failure(engine, status, "open store");
}

static struct error *query_u64(struct sqlite *engine, const char *text, uint64_t *out)
{
	sqlite3_stmt *statement = NULL;
	struct error *err = prepare(engine, text, &statement);
	int status;

	*out = 0;
	if (err != NULL)
		return err;
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW)
		*out = column_u64(statement, 0);
	sqlite3_finalize(statement);
	return status == SQLITE_ROW || status == SQLITE_DONE ? NULL : failure(engine, status, "open store");
}

/* State holds secrets: only its owner reads it. A new file's name must survive power loss too. */
static struct error *create_file(const char *path)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	AUTO_FREE char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	AUTO_FD int dir_fd = -1;

	if (fd < 0)
		return errno == EEXIST ? NULL : error_errno(errno, "create store %s", path);
	if (slash == dir)
		slash++;
	if (slash != NULL)
		*slash = '\0';
	dir_fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd >= 0)
		fsync(dir_fd);
	return NULL;
}

static struct error *migrate(struct sqlite *engine)
{
	uint64_t version, id, tables;
	struct error *err = query_u64(engine, "PRAGMA user_version", &version);

	if (err == NULL)
		err = query_u64(engine, "PRAGMA application_id", &id);
	if (err == NULL)
		err = query_u64(engine, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err != NULL)
		return err;
	if (tables > 0 && id != APPLICATION_ID)
		return error_new(ERR_CORRUPT, "open store: %s is a database of something else", engine->path);
	if (version > SCHEMA)
		return error_new(ERR_NEWER, "open store: %s has schema version %llu, this monokube knows %d", engine->path,
				 (unsigned long long)version, SCHEMA);
	for (int i = (int)version; i < SCHEMA && err == NULL; i++) {
		char tail[128];

		snprintf(tail, sizeof(tail), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID, i + 1);
		err = execute(engine, "BEGIN IMMEDIATE");
		if (err == NULL)
			err = execute(engine, migrations[i]);
		if (err == NULL)
			err = execute(engine, tail);
	}
	return err;
}

static struct error *open_database(struct sqlite *engine, const char *vfs)
{
	struct error *err = create_file(engine->path);
	int status;

	if (err != NULL)
		return err;
	sqlite_parts();
	status = sqlite3_open_v2(engine->path, &engine->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
				 vfs);
	if (status != SQLITE_OK)
		return failure(engine, status, "open store");
	if (sqlite3_db_readonly(engine->db, "main") == 1)
		return error_new(ERR_READ_ONLY, "open store: %s cannot be written", engine->path);
	/* Exclusive before WAL: then its index is on the heap, not in a shared file. */
	err = execute(engine, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			      "PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 8388608");
	/* Takes the lock, also when there is nothing to do. */
	if (err == NULL)
		err = execute(engine, "BEGIN IMMEDIATE; COMMIT");
	if (err == NULL)
		err = migrate(engine);
	for (int i = 0; i < STATEMENTS && err == NULL; i++)
		err = prepare(engine, statement_text[i], &engine->statements[i]);
	return err;
}

/* --- loading --- */

#define COLUMNS "revision, key, created, time, actor, cause, data, deleted"

static struct store_value *row_value(sqlite3_stmt *row)
{
	struct store_value *value = value_new(column_str(row, 1), bytes_new(column_str(row, 6)), column_str(row, 4));

	value->revision = column_u64(row, 0);
	value->created = column_u64(row, 2);
	value->time = sqlite3_column_int64(row, 3);
	value->cause = column_u64(row, 5);
	return value;
}

static struct error *load_index(struct sqlite *engine, struct store *store, uint64_t *live_bytes)
{
	sqlite3_stmt *rows = NULL;
	struct error *err = prepare(engine,
				    "SELECT " COLUMNS " FROM log WHERE revision IN "
				    "(SELECT max(revision) FROM log GROUP BY key) AND NOT deleted ORDER BY key",
				    &rows);
	int status = SQLITE_DONE;

	if (err != NULL)
		return err;
	while ((status = sqlite3_step(rows)) == SQLITE_ROW) {
		struct store_value *value = row_value(rows);

		*live_bytes += value->key.len + value->data.len;
		tree_set(&store->index, value->key, value);
		store_value_unref(value);
	}
	sqlite3_finalize(rows);
	return status == SQLITE_DONE ? NULL : failure(engine, status, "read store");
}

/* The state before an event: the latest one in the window, else the latest row that is older. */
static struct error *load_old(struct sqlite *engine, sqlite3_stmt *before, const struct change *change, struct map *latest,
			      struct store_value **out)
{
	const struct change *in_window = map_find(latest, change->record->key);
	int status;

	*out = NULL;
	if (in_window != NULL) {
		if (!in_window->deleted)
			*out = store_value_ref(in_window->record);
		return NULL;
	}
	bind_str(before, 1, change->record->key);
	sqlite3_bind_int64(before, 2, (int64_t)change->record->revision);
	status = sqlite3_step(before);
	if (status == SQLITE_ROW && !sqlite3_column_int(before, 7))
		*out = row_value(before);
	sqlite3_reset(before);
	return status == SQLITE_ROW || status == SQLITE_DONE ? NULL : failure(engine, status, "read store");
}

/* Newest first, until the window is full; then pushed in their order. */
static struct error *load_window_rows(struct sqlite *engine, struct store *store, sqlite3_stmt *rows, sqlite3_stmt *before)
{
	int64_t now = clock_now(), mono = clock_mono();
	VEC(struct change) changes = { 0 };
	struct map latest = { 0 };
	struct error *err = NULL;
	size_t bytes = 0;
	int status;

	store->window.floor = engine->compacted;
	while ((status = sqlite3_step(rows)) == SQLITE_ROW) {
		struct change *change;
		struct store_value *live;

		if (sqlite3_column_int64(rows, 3) < now - LIMIT_HISTORY_SECONDS * NS_PER_S || bytes > LIMIT_WINDOW_BYTES) {
			store->window.floor = column_u64(rows, 0);
			break;
		}
		change = vec_add(&changes);
		live = tree_find(&store->index, column_str(rows, 1));
		if (live != NULL && live->revision == column_u64(rows, 0))
			change->record = store_value_ref(live);
		else
			change->record = row_value(rows);
		change->deleted = sqlite3_column_int(rows, 7);
		bytes += change->record->data.len + change->record->key.len;
	}
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		err = failure(engine, status, "read store");
	for (size_t i = changes.len; i-- > 0;) {
		struct change *change = &changes.ptr[i];
		int64_t age = now - change->record->time;

		if (err == NULL)
			err = load_old(engine, before, change, &latest, &change->old);
		if (err == NULL)
			window_push(&store->window, change, mono - (age > 0 ? age : 0));
		map_set(&latest, change->record->key, change);
	}
	for (size_t i = 0; i < changes.len; i++) {
		store_value_unref(changes.ptr[i].record);
		store_value_unref(changes.ptr[i].old);
	}
	map_fini(&latest);
	vec_fini(&changes);
	return err;
}

static struct error *load_window(struct sqlite *engine, struct store *store)
{
	sqlite3_stmt *rows = NULL, *before = NULL;
	struct error *err = prepare(engine, "SELECT " COLUMNS " FROM log ORDER BY revision DESC", &rows);

	if (err == NULL)
		err = prepare(engine, "SELECT " COLUMNS " FROM log WHERE key = ? AND revision < ? ORDER BY revision DESC LIMIT 1",
			      &before);
	if (err == NULL)
		err = load_window_rows(engine, store, rows, before);
	sqlite3_finalize(rows);
	sqlite3_finalize(before);
	return err;
}

static struct error *load(struct sqlite *engine, struct store *store)
{
	uint64_t sequence = 0, all_bytes = 0, live_bytes = 0;
	struct error *err;

	/* Not max(revision): the last row may have been a tombstone that is gone. */
	err = query_u64(engine, "SELECT seq FROM sqlite_sequence WHERE name = 'log'", &sequence);
	if (err == NULL)
		err = query_u64(engine, "SELECT value FROM meta WHERE name = 'reserved'", &store->reserved);
	if (err == NULL)
		err = query_u64(engine, "SELECT value FROM meta WHERE name = 'compacted'", &engine->compacted);
	if (err == NULL)
		err = query_u64(engine, "SELECT total(length(data) + length(key)) FROM log", &all_bytes);
	if (err == NULL)
		err = load_index(engine, store, &live_bytes);
	if (err == NULL)
		err = load_window(engine, store);
	store->revision = sequence > store->reserved ? sequence : store->reserved;
	engine->superseded_bytes = engine->history_bytes = all_bytes > live_bytes ? all_bytes - live_bytes : 0;
	return err;
}

/* --- compaction: inside a transaction that is under way anyway --- */

/* Removes what this row superseded, and the row itself when it is a tombstone. */
static int compact_row(struct sqlite *engine, struct str key, uint64_t revision, bool deleted)
{
	sqlite3_stmt *weigh = engine->statements[WEIGH], *drop = engine->statements[DROP_BEFORE];
	uint64_t freed;
	int status, rows;

	bind_str(weigh, 1, key);
	sqlite3_bind_int64(weigh, 2, (int64_t)revision);
	status = sqlite3_step(weigh);
	freed = status == SQLITE_ROW ? column_u64(weigh, 0) : 0;
	sqlite3_reset(weigh);
	if (status != SQLITE_ROW)
		return status;
	bind_str(drop, 1, key);
	sqlite3_bind_int64(drop, 2, (int64_t)revision);
	status = run(engine, DROP_BEFORE);
	rows = sqlite3_changes(engine->db);
	if (status == SQLITE_OK && deleted) {
		sqlite3_bind_int64(engine->statements[DROP_ONE], 1, (int64_t)revision);
		status = run(engine, DROP_ONE);
		rows++;
	}
	pthread_mutex_lock(&engine->lock);
	engine->n_compacted += (uint64_t)rows;
	pthread_mutex_unlock(&engine->lock);
	engine->superseded_bytes -= freed < engine->superseded_bytes ? freed : engine->superseded_bytes;
	return status;
}

/* now: of the batch, so that the clock of the API is not read from two threads. */
static int compact(struct sqlite *engine, int64_t now, uint64_t *compacted)
{
	sqlite3_stmt *rows = engine->statements[SUPERSEDING];
	int64_t window = now - 2 * LIMIT_HISTORY_SECONDS * NS_PER_S;
	int status, looked = 0;

	sqlite3_bind_int64(rows, 1, (int64_t)engine->compacted);
	sqlite3_bind_int(rows, 2, COMPACT_ROWS);
	*compacted = engine->compacted;
	while ((status = sqlite3_step(rows)) == SQLITE_ROW) {
		int64_t time = sqlite3_column_int64(rows, 3);
		bool crowded = engine->superseded_bytes > engine->most_bytes && time < window;

		if (time >= now - engine->most_age && !crowded)
			break;
		looked++;
		status = compact_row(engine, column_str(rows, 1), column_u64(rows, 0), sqlite3_column_int(rows, 2));
		if (status != SQLITE_OK)
			break;
		*compacted = column_u64(rows, 0);
	}
	sqlite3_reset(rows);
	if (status != SQLITE_ROW && status != SQLITE_DONE && status != SQLITE_OK)
		return status;
	/* A full round means that there is more to do; else it can rest a while. */
	engine->next_compaction = looked == COMPACT_ROWS ? 0 : clock_mono() + COMPACT_EVERY;
	return *compacted != engine->compacted ? set_meta(engine, COMPACTED, *compacted) : SQLITE_OK;
}

/* --- writing --- */

static int insert_batch(struct sqlite *engine, const struct batch *batch)
{
	int status = SQLITE_OK;

	LIST_EACH (&batch->commits, const struct commit, link, commit) {
		for (size_t i = 0; i < commit->n && !commit->renewal; i++) {
			const struct change *change = &commit->changes[i];

			status = insert(engine, change->record, change->deleted);
			if (status != SQLITE_OK)
				return status;
			if (change->old != NULL)
				engine->superseded_bytes += change->old->data.len + change->old->key.len;
		}
	}
	if (batch->reserve != 0)
		status = set_meta(engine, RESERVE, batch->reserve);
	return status;
}

static bool refused(const struct sqlite *engine, const struct batch *batch)
{
	return engine->failure != NULL && batch->epoch <= engine->failed_epoch;
}

static int write_group(struct sqlite *engine, struct list *group)
{
	uint64_t compacted = engine->compacted;
	int64_t now = 0;
	bool any = false;
	int status;

	LIST_EACH (group, const struct batch, queued, batch)
		any |= !refused(engine, batch);
	if (!any)
		return SQLITE_OK;
	status = run(engine, BEGIN);
	LIST_EACH (group, const struct batch, queued, one) {
		if (status == SQLITE_OK && !refused(engine, one))
			status = insert_batch(engine, one);
		now = one->now;
	}
	if (status == SQLITE_OK && clock_mono() >= engine->next_compaction)
		status = compact(engine, now, &compacted);
	if (status == SQLITE_OK)
		status = run(engine, COMMIT);
	if (status == SQLITE_OK)
		engine->compacted = compacted;
	return status;
}

static struct error *same_error(const struct error *err)
{
	return error_make(err->file, err->line, err->kind, err->code, "%s", err->text);
}

static void write_batches(struct sqlite *engine, struct list *group)
{
	struct error *err = NULL;
	struct batch *batch;
	int status = write_group(engine, group);

	if (status != SQLITE_OK) {
		err = failure(engine, status, "write to store");
		/* Some errors roll back by themselves. */
		if (!sqlite3_get_autocommit(engine->db))
			run(engine, ROLLBACK);
		engine->next_compaction = clock_mono() + COMPACT_EVERY; /* one culprit less next time */
	}
	while ((batch = LIST_FIRST(group, struct batch, queued)) != NULL) {
		list_remove(&batch->queued);
		if (refused(engine, batch)) {
			batch->err = same_error(engine->failure);
		} else if (err != NULL) {
			batch->err = same_error(err);
			engine->failed_epoch = batch->epoch;
			error_free(engine->failure);
			engine->failure = same_error(err);
		}
		loop_post(store_batch_written, batch);
	}
	error_free(err);
	pthread_mutex_lock(&engine->lock);
	engine->history_bytes = engine->superseded_bytes;
	pthread_mutex_unlock(&engine->lock);
}

/* --- history --- */

static void read_rows(struct query *query, sqlite3_stmt *rows)
{
	VEC(struct store_record) found = { 0 };

	while (sqlite3_step(rows) == SQLITE_ROW)
		vec_push(&found, (struct store_record){
					 .revision = column_u64(rows, 0),
					 .key = str_dup(query->arena, column_str(rows, 1)),
					 .created = column_u64(rows, 2),
					 .time = sqlite3_column_int64(rows, 3),
					 .actor = str_dup(query->arena, column_str(rows, 4)),
					 .cause = column_u64(rows, 5),
					 .data = query->ask.data ? str_dup(query->arena, column_str(rows, 6)) : STR(""),
					 .deleted = sqlite3_column_int(rows, 7),
				 });
	query->n = found.len;
	query->records = ARENA_ARRAY(query->arena, struct store_record, found.len);
	for (size_t i = 0; i < found.len; i++)
		query->records[query->ask.newest ? found.len - 1 - i : i] = found.ptr[i];
	vec_fini(&found);
}

static void answer_query(struct sqlite *engine, struct query *query)
{
	const struct store_query *ask = &query->ask;
	struct str end = prefix_end(query->arena, ask->prefix);
	sqlite3_stmt *rows = NULL;
	AUTO_BUF struct buf text = { 0 };

	buf_add(&text, STR("SELECT " COLUMNS " FROM log WHERE revision BETWEEN ?1 AND ?2"));
	if (ask->key.len > 0)
		buf_add(&text, STR(" AND key = ?3"));
	if (ask->prefix.len > 0)
		buf_add(&text, STR(" AND key >= ?4"));
	if (end.len > 0)
		buf_add(&text, STR(" AND key < ?5"));
	buf_printf(&text, " ORDER BY revision %s LIMIT ?6", ask->newest ? "DESC" : "ASC");
	query->err = prepare(engine, buf_cstr(&text), &rows);
	if (query->err != NULL)
		return;
	sqlite3_bind_int64(rows, 1, (int64_t)ask->from);
	sqlite3_bind_int64(rows, 2, ask->to != 0 ? (int64_t)ask->to : INT64_MAX);
	if (ask->key.len > 0)
		bind_str(rows, 3, ask->key);
	if (ask->prefix.len > 0)
		bind_str(rows, 4, ask->prefix);
	if (end.len > 0)
		bind_str(rows, 5, end);
	sqlite3_bind_int64(rows, 6, (int64_t)ask->limit);
	read_rows(query, rows);
	/* A broken row shows in the result of the last step. */
	if (sqlite3_finalize(rows) != SQLITE_OK)
		query->err = failure(engine, sqlite3_errcode(engine->db), "read store");
}

/* --- snapshot: a few pages between transactions; what is written meanwhile goes to both --- */

static struct error *copy_failure(const struct sqlite *engine, int status)
{
	return error_make(__FILE__, __LINE__, kind_of(engine->copy, status), status, "write snapshot %s: %s", engine->copying->path,
			  engine->copy != NULL ? sqlite3_errmsg(engine->copy) : sqlite3_errstr(status));
}

static void end_snapshot(struct sqlite *engine, struct error *err)
{
	struct snapshot *snapshot = engine->copying;

	sqlite3_close(engine->copy);
	engine->copy = NULL;
	/* The name appears when everything is on disk. */
	if (err == NULL && renameat2(AT_FDCWD, engine->copy_path, AT_FDCWD, snapshot->path, RENAME_NOREPLACE) != 0)
		err = error_errno(errno, "write snapshot %s", snapshot->path);
	if (err != NULL)
		unlink(engine->copy_path);
	free(engine->copy_path);
	engine->copy_path = NULL;
	engine->copying = NULL;
	snapshot->err = err;
	loop_post(store_snapshot_done, snapshot);
}

static void begin_snapshot(struct sqlite *engine, struct snapshot *snapshot)
{
	int status;

	engine->copying = snapshot;
	engine->copy_path = xasprintf("%s.partial", snapshot->path);
	unlink(engine->copy_path);
	if (access(snapshot->path, F_OK) == 0) {
		end_snapshot(engine, error_new(ERR_EXISTS, "write snapshot: %s exists", snapshot->path));
		return;
	}
	snapshot->err = create_file(engine->copy_path);
	if (snapshot->err != NULL) {
		end_snapshot(engine, error_context(snapshot->err, "write snapshot"));
		return;
	}
	status = sqlite3_open_v2(engine->copy_path, &engine->copy,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (status == SQLITE_OK) {
		engine->backup = sqlite3_backup_init(engine->copy, "main", engine->db, "main");
		if (engine->backup == NULL)
			status = sqlite3_errcode(engine->copy);
	}
	if (status != SQLITE_OK)
		end_snapshot(engine, copy_failure(engine, status));
}

static void go_on_with_snapshot(struct sqlite *engine)
{
	int status = sqlite3_backup_step(engine->backup, SNAPSHOT_PAGES);

	if (status == SQLITE_OK || status == SQLITE_BUSY || status == SQLITE_LOCKED)
		return;
	status = sqlite3_backup_finish(engine->backup);
	engine->backup = NULL;
	end_snapshot(engine, status == SQLITE_OK ? NULL : copy_failure(engine, status));
}

/* --- the thread --- */

static void take_all(struct list *from, struct list *to)
{
	struct list *link;

	list_init(to);
	while (!list_empty(from)) {
		link = from->next;
		list_remove(link);
		list_push(to, link);
	}
}

static void write_renewals(struct sqlite *engine)
{
	int status;

	if (engine->renewals.len == 0)
		return;
	status = run(engine, BEGIN);
	for (size_t i = 0; i < engine->renewals.len && status == SQLITE_OK; i++)
		status = insert(engine, engine->renewals.ptr[i], false);
	/* Nothing beyond was given, so the rest of the block is free again. */
	if (status == SQLITE_OK)
		status = set_meta(engine, RESERVE, engine->last);
	if (status == SQLITE_OK)
		status = run(engine, COMMIT);
	if (status == SQLITE_OK)
		return;
	log_consume(LOG_WARN, failure(engine, status, "write renewals"), "store: some leases are as of their last change");
	if (!sqlite3_get_autocommit(engine->db))
		run(engine, ROLLBACK);
}

static void on_thread_ended(void *arg);

static void *thread_main(void *arg)
{
	struct sqlite *engine = arg;
	struct list batches, queries, snapshots;
	bool ending = false;

	while (!ending) {
		pthread_mutex_lock(&engine->lock);
		while (list_empty(&engine->batches) && list_empty(&engine->queries) && engine->copying == NULL &&
		       list_empty(&engine->snapshots) && !engine->ending) {
			pthread_mutex_unlock(&engine->lock);
			sem_wait(&engine->changed);
			pthread_mutex_lock(&engine->lock);
		}
		take_all(&engine->batches, &batches);
		take_all(&engine->queries, &queries);
		list_init(&snapshots);
		if (engine->copying == NULL && !list_empty(&engine->snapshots)) {
			struct list *first = engine->snapshots.next;

			list_remove(first);
			list_push(&snapshots, first);
		}
		ending = engine->ending; /* the store is idle then: nothing is queued */
		pthread_mutex_unlock(&engine->lock);

		if (!list_empty(&batches))
			write_batches(engine, &batches);
		LIST_EACH (&queries, struct query, queued, query) {
			list_remove(&query->queued);
			answer_query(engine, query);
			loop_post(store_query_done, query);
		}
		LIST_EACH (&snapshots, struct snapshot, queued, snapshot) {
			list_remove(&snapshot->queued);
			begin_snapshot(engine, snapshot);
		}
		if (engine->copying != NULL)
			go_on_with_snapshot(engine);
	}
	write_renewals(engine);
	loop_post(on_thread_ended, engine);
	return NULL;
}

static void sqlite_free(struct sqlite *engine)
{
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(engine->statements[i]);
	if (sqlite3_close(engine->db) != SQLITE_OK)
		log_error("store: cannot close", "path=%s", engine->path);
	pthread_mutex_destroy(&engine->lock);
	sem_destroy(&engine->changed);
	vec_fini(&engine->renewals);
	error_free(engine->failure);
	free(engine->path);
	free(engine);
}

static void on_thread_ended(void *arg)
{
	struct sqlite *engine = arg;
	struct store *store = engine->base.store;

	pthread_join(engine->thread, NULL);
	loop_unref();
	for (size_t i = 0; i < engine->renewals.len; i++)
		store_value_unref(engine->renewals.ptr[i]);
	sqlite_free(engine);
	store_engine_closed(store);
}

/* --- the loop's side --- */

static void enqueue(struct sqlite *engine, struct list *queue, struct list *link)
{
	pthread_mutex_lock(&engine->lock);
	list_push(queue, link);
	pthread_mutex_unlock(&engine->lock);
	sem_post(&engine->changed);
}

static void sqlite_write(struct engine *base, struct batch *batch)
{
	struct sqlite *engine = sqlite_of(base);

	enqueue(engine, &engine->batches, &batch->queued);
}

static void sqlite_query(struct engine *base, struct query *query)
{
	struct sqlite *engine = sqlite_of(base);

	enqueue(engine, &engine->queries, &query->queued);
}

static void sqlite_snapshot(struct engine *base, struct snapshot *snapshot)
{
	struct sqlite *engine = sqlite_of(base);

	enqueue(engine, &engine->snapshots, &snapshot->queued);
}

static void sqlite_close_engine(struct engine *base, struct store_value *const *renewals, size_t n, uint64_t last)
{
	struct sqlite *engine = sqlite_of(base);

	for (size_t i = 0; i < n; i++)
		vec_push(&engine->renewals, store_value_ref(renewals[i]));
	engine->last = last;
	pthread_mutex_lock(&engine->lock);
	engine->ending = true;
	pthread_mutex_unlock(&engine->lock);
	sem_post(&engine->changed);
}

static void sqlite_stats(const struct engine *base, struct store_stats *stats)
{
	struct sqlite *engine = sqlite_of(base);

	pthread_mutex_lock(&engine->lock);
	stats->compacted = engine->n_compacted;
	stats->history_bytes = engine->history_bytes;
	pthread_mutex_unlock(&engine->lock);
}

static const struct engine_ops sqlite_ops = { sqlite_write, sqlite_query, sqlite_snapshot, sqlite_close_engine, sqlite_stats };

static struct error *start_thread(struct sqlite *engine)
{
	sigset_t all, old;
	int status;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	status = pthread_create(&engine->thread, NULL, thread_main, engine);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return status == 0 ? NULL : error_errno(status, "start the store's thread");
}

struct error *engine_sqlite_open(struct store *store, const struct store_options *options, struct engine **out)
{
	struct sqlite *engine = xcalloc(1, sizeof(*engine));
	struct error *err;

	engine->base.ops = &sqlite_ops;
	engine->base.store = store;
	engine->path = xstrdup(options->path);
	engine->most_age = options->history_age != 0 ? options->history_age : 24 * 3600 * NS_PER_S;
	if (engine->most_age < 2 * LIMIT_HISTORY_SECONDS * NS_PER_S)
		engine->most_age = 2 * LIMIT_HISTORY_SECONDS * NS_PER_S;
	engine->most_bytes = options->history_bytes != 0 ? options->history_bytes : 64 * 1024 * 1024;
	list_init(&engine->batches);
	list_init(&engine->queries);
	list_init(&engine->snapshots);
	pthread_mutex_init(&engine->lock, NULL);
	sem_init(&engine->changed, 0, 0);
	err = open_database(engine, options->vfs);
	if (err == NULL)
		err = load(engine, store);
	if (err == NULL)
		err = start_thread(engine);
	if (err != NULL) {
		sqlite_free(engine);
		return err;
	}
	/* The thread's answers come from outside the loop. */
	loop_ref();
	*out = &engine->base;
	return NULL;
}
