/* What the file holds becomes the store at start: the index, and the window of the last minutes. */
#include <sqlite3.h>

#include "store/sqlite.h"

static struct store_value *row_value(sqlite3_stmt *row)
{
	struct store_value *value =
		value_new(sqlite_column_str(row, 1), bytes_new(sqlite_column_str(row, 6)), sqlite_column_str(row, 4));

	value->revision = sqlite_column_u64(row, 0);
	value->created = sqlite_column_u64(row, 2);
	value->time = sqlite3_column_int64(row, 3);
	value->cause = sqlite_column_u64(row, 5);
	return value;
}

static struct error *load_index(struct sqlite *engine, struct store *store, uint64_t *live_bytes)
{
	sqlite3_stmt *rows = NULL;
	struct error *err = sqlite_prepare(engine,
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
	return status == SQLITE_DONE ? NULL : sqlite_failure(engine, status, "read store");
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
	sqlite_bind_str(before, 1, change->record->key);
	sqlite3_bind_int64(before, 2, (int64_t)change->record->revision);
	status = sqlite3_step(before);
	if (status == SQLITE_ROW && !sqlite3_column_int(before, 7))
		*out = row_value(before);
	sqlite3_reset(before);
	return status == SQLITE_ROW || status == SQLITE_DONE ? NULL : sqlite_failure(engine, status, "read store");
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
			store->window.floor = sqlite_column_u64(rows, 0);
			break;
		}
		change = vec_add(&changes);
		live = tree_find(&store->index, sqlite_column_str(rows, 1));
		if (live != NULL && live->revision == sqlite_column_u64(rows, 0))
			change->record = store_value_ref(live);
		else
			change->record = row_value(rows);
		change->deleted = sqlite3_column_int(rows, 7);
		bytes += change->record->data.len + change->record->key.len;
	}
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		err = sqlite_failure(engine, status, "read store");
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
	struct error *err = sqlite_prepare(engine, "SELECT " COLUMNS " FROM log ORDER BY revision DESC", &rows);

	if (err == NULL)
		err = sqlite_prepare(engine,
				     "SELECT " COLUMNS " FROM log WHERE key = ? AND revision < ? ORDER BY revision DESC LIMIT 1",
				     &before);
	if (err == NULL)
		err = load_window_rows(engine, store, rows, before);
	sqlite3_finalize(rows);
	sqlite3_finalize(before);
	return err;
}

struct error *sqlite_load(struct sqlite *engine, struct store *store)
{
	uint64_t sequence = 0, all_bytes = 0, live_bytes = 0;
	struct error *err;

	/* Not max(revision): the last row may have been a tombstone that is gone. */
	err = sqlite_query_u64(engine, "SELECT seq FROM sqlite_sequence WHERE name = 'log'", &sequence);
	if (err == NULL)
		err = sqlite_query_u64(engine, "SELECT value FROM meta WHERE name = 'reserved'", &store->reserved);
	if (err == NULL)
		err = sqlite_query_u64(engine, "SELECT value FROM meta WHERE name = 'compacted'", &engine->compacted);
	if (err == NULL)
		err = sqlite_query_u64(engine, "SELECT total(length(data) + length(key)) FROM log", &all_bytes);
	if (err == NULL)
		err = load_index(engine, store, &live_bytes);
	if (err == NULL)
		err = load_window(engine, store);
	store->revision = sequence > store->reserved ? sequence : store->reserved;
	engine->superseded_bytes = engine->history_bytes = all_bytes > live_bytes ? all_bytes - live_bytes : 0;
	return err;
}
