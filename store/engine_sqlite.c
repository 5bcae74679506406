/*
 * The log in SQLite. One thread owns the connection; it takes everything that is queued and makes it one transaction
 * (WAL, synchronous=FULL), so a burst costs one fsync. Superseded rows are removed within those same transactions, so
 * a store that is not written to does not touch the disk, ever.
 *
 *	loop:   batch, batch, query ──queue──▶ thread: BEGIN … COMMIT ──loop_post──▶ loop: publish, answer
 *
 * locking_mode=EXCLUSIVE keeps a second server out and the WAL's index on our heap.
 */
#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/sqlite.h"

#define COMPACT_ROWS  64 /* looked at per transaction */
#define COMPACT_EVERY (60 * NS_PER_S)

static struct sqlite *sqlite_of(const struct engine *engine)
{
	return CONTAINER_OF((struct engine *)(uintptr_t)engine, struct sqlite, base);
}

/* --- compaction: inside a transaction that is under way anyway --- */

/* Removes what this row superseded, and the row itself when it is a tombstone. */
static int compact_row(struct sqlite *engine, struct str key, uint64_t revision, bool deleted)
{
	sqlite3_stmt *weigh = engine->statements[WEIGH], *drop = engine->statements[DROP_BEFORE];
	uint64_t freed;
	int status, rows;

	sqlite_bind_str(weigh, 1, key);
	sqlite3_bind_int64(weigh, 2, (int64_t)revision);
	status = sqlite3_step(weigh);
	freed = status == SQLITE_ROW ? sqlite_column_u64(weigh, 0) : 0;
	sqlite3_reset(weigh);
	if (status != SQLITE_ROW)
		return status;
	sqlite_bind_str(drop, 1, key);
	sqlite3_bind_int64(drop, 2, (int64_t)revision);
	status = sqlite_run(engine, DROP_BEFORE);
	rows = sqlite3_changes(engine->db);
	if (status == SQLITE_OK && deleted) {
		sqlite3_bind_int64(engine->statements[DROP_ONE], 1, (int64_t)revision);
		status = sqlite_run(engine, DROP_ONE);
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
		status = compact_row(engine, sqlite_column_str(rows, 1), sqlite_column_u64(rows, 0), sqlite3_column_int(rows, 2));
		if (status != SQLITE_OK)
			break;
		*compacted = sqlite_column_u64(rows, 0);
	}
	sqlite3_reset(rows);
	if (status != SQLITE_ROW && status != SQLITE_DONE && status != SQLITE_OK)
		return status;
	/* A full round means that there is more to do; else it can rest a while. */
	engine->next_compaction = looked == COMPACT_ROWS ? 0 : clock_mono() + COMPACT_EVERY;
	return *compacted != engine->compacted ? sqlite_set_meta(engine, COMPACTED, *compacted) : SQLITE_OK;
}

/* --- writing --- */

static int insert_batch(struct sqlite *engine, const struct batch *batch)
{
	int status = SQLITE_OK;

	LIST_EACH (&batch->commits, const struct commit, link, commit) {
		for (size_t i = 0; i < commit->n && !commit->renewal; i++) {
			const struct change *change = &commit->changes[i];

			status = sqlite_insert(engine, change->record, change->deleted);
			if (status != SQLITE_OK)
				return status;
			if (change->old != NULL)
				engine->superseded_bytes += change->old->data.len + change->old->key.len;
		}
	}
	if (batch->reserve != 0)
		status = sqlite_set_meta(engine, RESERVE, batch->reserve);
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
	status = sqlite_run(engine, BEGIN);
	LIST_EACH (group, const struct batch, queued, one) {
		if (status == SQLITE_OK && !refused(engine, one))
			status = insert_batch(engine, one);
		now = one->now;
	}
	if (status == SQLITE_OK && clock_mono() >= engine->next_compaction)
		status = compact(engine, now, &compacted);
	if (status == SQLITE_OK)
		status = sqlite_run(engine, COMMIT);
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
		err = sqlite_failure(engine, status, "write to store");
		/* Some errors roll back by themselves. */
		if (!sqlite3_get_autocommit(engine->db))
			sqlite_run(engine, ROLLBACK);
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
					 .revision = sqlite_column_u64(rows, 0),
					 .key = str_dup(query->arena, sqlite_column_str(rows, 1)),
					 .created = sqlite_column_u64(rows, 2),
					 .time = sqlite3_column_int64(rows, 3),
					 .actor = str_dup(query->arena, sqlite_column_str(rows, 4)),
					 .cause = sqlite_column_u64(rows, 5),
					 .data = query->ask.data ? str_dup(query->arena, sqlite_column_str(rows, 6)) : STR(""),
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
	query->err = sqlite_prepare(engine, buf_cstr(&text), &rows);
	if (query->err != NULL)
		return;
	sqlite3_bind_int64(rows, 1, (int64_t)ask->from);
	sqlite3_bind_int64(rows, 2, ask->to != 0 ? (int64_t)ask->to : INT64_MAX);
	if (ask->key.len > 0)
		sqlite_bind_str(rows, 3, ask->key);
	if (ask->prefix.len > 0)
		sqlite_bind_str(rows, 4, ask->prefix);
	if (end.len > 0)
		sqlite_bind_str(rows, 5, end);
	sqlite3_bind_int64(rows, 6, (int64_t)ask->limit);
	read_rows(query, rows);
	/* A broken row shows in the result of the last step. */
	if (sqlite3_finalize(rows) != SQLITE_OK)
		query->err = sqlite_failure(engine, sqlite3_errcode(engine->db), "read store");
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
	status = sqlite_run(engine, BEGIN);
	for (size_t i = 0; i < engine->renewals.len && status == SQLITE_OK; i++)
		status = sqlite_insert(engine, engine->renewals.ptr[i], false);
	/* Nothing beyond was given, so the rest of the block is free again. */
	if (status == SQLITE_OK)
		status = sqlite_set_meta(engine, RESERVE, engine->last);
	if (status == SQLITE_OK)
		status = sqlite_run(engine, COMMIT);
	if (status == SQLITE_OK)
		return;
	log_consume(LOG_WARN, sqlite_failure(engine, status, "write renewals"), "store: some leases are as of their last change");
	if (!sqlite3_get_autocommit(engine->db))
		sqlite_run(engine, ROLLBACK);
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
			sqlite_copy_begin(engine, snapshot);
		}
		if (engine->copying != NULL)
			sqlite_copy_go_on(engine);
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
	err = sqlite_open(engine, options->vfs);
	if (err == NULL)
		err = sqlite_load(engine, store);
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
