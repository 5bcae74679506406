/* A snapshot is written a few pages at a time between transactions; what is written meanwhile goes to both. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/sqlite.h"

#define SNAPSHOT_PAGES 128 /* copied between transactions */

static struct error *copy_failure(const struct sqlite *engine, int status)
{
	return error_make(__FILE__, __LINE__, sqlite_kind(engine->copy, status), status, "write snapshot %s: %s",
			  engine->copying->path, engine->copy != NULL ? sqlite3_errmsg(engine->copy) : sqlite3_errstr(status));
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

void sqlite_copy_begin(struct sqlite *engine, struct snapshot *snapshot)
{
	int status;

	engine->copying = snapshot;
	engine->copy_path = xasprintf("%s.partial", snapshot->path);
	unlink(engine->copy_path);
	if (access(snapshot->path, F_OK) == 0) {
		end_snapshot(engine, error_new(ERR_EXISTS, "write snapshot: %s exists", snapshot->path));
		return;
	}
	snapshot->err = sqlite_create_file(engine->copy_path);
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

void sqlite_copy_go_on(struct sqlite *engine)
{
	int status = sqlite3_backup_step(engine->backup, SNAPSHOT_PAGES);

	if (status == SQLITE_OK || status == SQLITE_BUSY || status == SQLITE_LOCKED)
		return;
	status = sqlite3_backup_finish(engine->backup);
	engine->backup = NULL;
	end_snapshot(engine, status == SQLITE_OK ? NULL : copy_failure(engine, status));
}
