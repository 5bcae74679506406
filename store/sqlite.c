/* One connection to the file: its schema, its statements, its errors as ours. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/sqlite.h"

#define APPLICATION_ID 0x6d6e6b62 /* "mnkb" */

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

/* --- errors --- */

enum error_kind sqlite_kind(sqlite3 *db, int status)
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

struct error *sqlite_failure(struct sqlite *engine, int status, const char *doing)
{
	sqlite3 *db = engine->db;

	if ((status & 0xff) == SQLITE_BUSY || (status & 0xff) == SQLITE_LOCKED)
		return error_make(__FILE__, __LINE__, ERR_BUSY, status, "%s: %s is in use by another server", doing, engine->path);
	return error_make(__FILE__, __LINE__, sqlite_kind(db, status), status, "%s: %s: %s", doing, engine->path,
			  db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(status));
}

/* --- statements --- */

int sqlite_run(struct sqlite *engine, enum statement which)
{
	sqlite3_stmt *statement = engine->statements[which];
	int status = sqlite3_step(statement);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return status == SQLITE_DONE || status == SQLITE_ROW ? SQLITE_OK : status;
}

void sqlite_bind_str(sqlite3_stmt *statement, int i, struct str s)
{
	sqlite3_bind_blob(statement, i, s.len > 0 ? s.ptr : "", (int)s.len, SQLITE_STATIC);
}

int sqlite_insert(struct sqlite *engine, const struct store_value *value, bool deleted)
{
	sqlite3_stmt *statement = engine->statements[INSERT];

	sqlite3_bind_int64(statement, 1, (int64_t)value->revision);
	sqlite_bind_str(statement, 2, value->key);
	sqlite3_bind_int64(statement, 3, (int64_t)value->created);
	sqlite3_bind_int(statement, 4, deleted);
	sqlite3_bind_int64(statement, 5, value->time);
	sqlite_bind_str(statement, 6, value->actor);
	sqlite3_bind_int64(statement, 7, (int64_t)value->cause);
	sqlite_bind_str(statement, 8, value->data);
	return sqlite_run(engine, INSERT);
}

int sqlite_set_meta(struct sqlite *engine, enum statement which, uint64_t value)
{
	sqlite3_bind_int64(engine->statements[which], 1, (int64_t)value);
	return sqlite_run(engine, which);
}

struct str sqlite_column_str(sqlite3_stmt *statement, int i)
{
	/* The order of these two calls is SQLite's rule. */
	const void *ptr = sqlite3_column_blob(statement, i);

	return str_of(ptr, (size_t)sqlite3_column_bytes(statement, i));
}

uint64_t sqlite_column_u64(sqlite3_stmt *statement, int i)
{
	return (uint64_t)sqlite3_column_int64(statement, i);
}

/* --- opening --- */

struct error *sqlite_prepare(struct sqlite *engine, const char *text, sqlite3_stmt **out)
{
	int status = sqlite3_prepare_v3(engine->db, text, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);

	return status == SQLITE_OK ? NULL : sqlite_failure(engine, status, "open store");
}

static struct error *execute(struct sqlite *engine, const char *text)
{
	int status = sqlite3_exec(engine->db, text, NULL, NULL, NULL);

	return status == SQLITE_OK ? NULL : sqlite_failure(engine, status, "open store");
}

struct error *sqlite_query_u64(struct sqlite *engine, const char *text, uint64_t *out)
{
	sqlite3_stmt *statement = NULL;
	struct error *err = sqlite_prepare(engine, text, &statement);
	int status;

	*out = 0;
	if (err != NULL)
		return err;
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW)
		*out = sqlite_column_u64(statement, 0);
	sqlite3_finalize(statement);
	return status == SQLITE_ROW || status == SQLITE_DONE ? NULL : sqlite_failure(engine, status, "open store");
}

/* State holds secrets: only its owner reads it. A new file's name must survive power loss too. */
struct error *sqlite_create_file(const char *path)
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
	struct error *err = sqlite_query_u64(engine, "PRAGMA user_version", &version);

	if (err == NULL)
		err = sqlite_query_u64(engine, "PRAGMA application_id", &id);
	if (err == NULL)
		err = sqlite_query_u64(engine, "SELECT count(*) FROM sqlite_schema", &tables);
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

struct error *sqlite_open(struct sqlite *engine, const char *vfs)
{
	struct error *err = sqlite_create_file(engine->path);
	int status;

	if (err != NULL)
		return err;
	sqlite_parts();
	status = sqlite3_open_v2(engine->path, &engine->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
				 vfs);
	if (status != SQLITE_OK)
		return sqlite_failure(engine, status, "open store");
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
		err = sqlite_prepare(engine, statement_text[i], &engine->statements[i]);
	return err;
}
