#include "store/store.h"

#include <stdlib.h>

#include "store/private.h"

#define BLOCK 10000 /* volatile revisions that one durable write allows */

static void on_hand_over(void *arg);

static void ref_value(void *value)
{
	store_value_ref(value);
}

static void unref_value(void *value)
{
	store_value_unref(value);
}

static const struct tree_ops value_ops = { ref_value, unref_value };

/* --- open --- */

static void store_free(struct store *store)
{
	window_fini(&store->window);
	tree_fini(&store->index);
	map_fini(&store->pending);
	map_fini(&store->renewed);
	buf_fini(&store->hand);
	free(store);
}

struct error *store_open(const struct store_options *options, struct store **out)
{
	struct store *store = xcalloc(1, sizeof(*store));
	struct error *err = NULL;

	ASSERT_ON_LOOP();
	store->index.ops = &value_ops;
	store->cool = options->cool;
	list_init(&store->gathering);
	list_init(&store->in_flight);
	list_init(&store->published);
	list_init(&store->watches);
	store->epoch = 1;
	if (options->path != NULL)
		err = engine_sqlite_open(store, options, &store->engine);
	else
		store->engine = engine_memory_open(store, options);
	if (err != NULL) {
		store_free(store);
		return err;
	}
	store->last = store->revision;
	store->reserved_durable = store->reserved;
	*out = store;
	return NULL;
}

/* --- accept --- */

struct store_value *store_find(struct store *store, struct str key)
{
	ASSERT_ON_LOOP();
	return tree_find(&store->index, key);
}

struct store_value *store_latest(struct store *store, struct str key)
{
	const struct change *change;

	ASSERT_ON_LOOP();
	change = map_find(&store->pending, key);
	if (change != NULL)
		return change->deleted ? NULL : change->record;
	return tree_find(&store->index, key);
}

static struct error *judge(struct store *store, const struct store_commit *commit, const struct store_op *op)
{
	const struct store_value *latest = store_latest(store, op->key);

	ASSERT(op->key.len > 0);
	ASSERT(!commit->renewal || op->kind == STORE_PUT);
	if (op->expect == 0 && op->kind == STORE_PUT && latest != NULL)
		return error_new(ERR_EXISTS, "%.*s exists", STR_ARG(op->key));
	if (latest == NULL && (op->kind == STORE_DELETE || commit->renewal))
		return error_new(ERR_NOT_FOUND, "%.*s is not there", STR_ARG(op->key));
	if (op->expect != STORE_ANY && op->expect != (latest != NULL ? latest->revision : 0))
		return error_new(ERR_CONFLICT, "%.*s is at revision %llu, not %llu", STR_ARG(op->key),
				 (unsigned long long)(latest != NULL ? latest->revision : 0), (unsigned long long)op->expect);
	return NULL;
}

static size_t commit_bytes(const struct store_commit *commit)
{
	size_t bytes = 0;

	for (size_t i = 0; i < commit->n_ops; i++)
		bytes += commit->ops[i].key.len + sizeof(struct store_value) +
			 (commit->ops[i].bytes != NULL ? commit->ops[i].bytes->len : commit->ops[i].data.len);
	return bytes;
}

static void accept_op(struct store *store, const struct store_commit *commit, const struct store_op *op, struct change *change)
{
	struct store_value *latest = store_latest(store, op->key), *record;

	record = value_new(op->key,
			   op->kind != STORE_PUT ? NULL
			   : op->bytes != NULL   ? bytes_ref(op->bytes)
						 : bytes_new(op->data),
			   op->actor.len > 0 ? op->actor : commit->actor);
	record->revision = ++store->last;
	record->created = latest != NULL ? latest->created : record->revision;
	record->time = clock_now();
	record->cause = op->cause != 0 ? op->cause : commit->cause;
	if (op->kind == STORE_PUT) {
		record->attachment = op->attachment;
		record->attachment_free = op->attachment_free;
	}
	change->record = record;
	change->old = latest != NULL ? store_value_ref(latest) : NULL;
	change->deleted = op->kind == STORE_DELETE;
	map_set(&store->pending, op->key, change);
}

struct error *store_commit(struct store *store, const struct store_commit *commit)
{
	struct commit *accepted;
	struct error *err = NULL;
	size_t bytes = commit_bytes(commit);
	uint64_t before = store->last;

	ASSERT_ON_LOOP();
	ASSERT(commit->n_ops > 0 && store->closed == NULL);
	for (size_t i = 0; i < commit->n_ops && err == NULL; i++)
		err = judge(store, commit, &commit->ops[i]);
	if (err == NULL && store->pending_bytes > 0 && store->pending_bytes + bytes > LIMIT_COMMIT_BYTES)
		err = error_new(ERR_TOO_MANY, "too many writes are waiting for the disk");
	if (err != NULL) {
		store->stats.conflicts++;
		return err;
	}
	accepted = xcalloc(1, sizeof(*accepted) + commit->n_ops * sizeof(accepted->changes[0]));
	accepted->done = commit->done;
	accepted->arg = commit->arg;
	accepted->renewal = commit->renewal;
	accepted->bytes = bytes;
	accepted->n = commit->n_ops;
	for (size_t i = 0; i < commit->n_ops; i++) {
		accept_op(store, commit, &commit->ops[i], &accepted->changes[i]);
		/* A key twice in one commit would have been judged against itself. */
		ASSERT(accepted->changes[i].old == NULL || accepted->changes[i].old->revision <= before);
	}
	store->pending_bytes += bytes;
	store->stats.commits++;
	store->stats.operations += commit->n_ops;
	store->stats.renewals += commit->renewal;
	list_push(&store->gathering, &accepted->link);
	loop_call_soon(&store->hand_over, on_hand_over, store);
	return NULL;
}

/* --- publish --- */

static void maybe_close(struct store *store);

static void commit_free(struct store *store, struct commit *commit)
{
	store->pending_bytes -= commit->bytes;
	for (size_t i = 0; i < commit->n; i++) {
		store_value_unref(commit->changes[i].record);
		store_value_unref(commit->changes[i].old);
	}
	free(commit);
}

static void publish_change(struct store *store, const struct commit *commit, struct change *change, int64_t mono)
{
	struct str key = change->record->key;

	if (change->deleted)
		tree_remove(&store->index, key);
	else
		tree_set(&store->index, key, change->record);
	if (commit->renewal)
		map_set(&store->renewed, key, store);
	else if (store->renewed.len > 0)
		map_take(&store->renewed, key);
	if (map_find(&store->pending, key) == change)
		map_take(&store->pending, key);
	window_push(&store->window, change, mono);
	store->revision = change->record->revision;
}

static void answer(struct store *store, struct commit *commit, struct error *err)
{
	struct store_value *one[8], **values = one;
	struct store_result result = { 0, NULL, commit->n };

	if (commit->done != NULL && err == NULL) {
		if (commit->n > sizeof(one) / sizeof(one[0]))
			values = xcalloc(commit->n, sizeof(*values));
		for (size_t i = 0; i < commit->n; i++)
			values[i] = commit->changes[i].deleted ? commit->changes[i].old : commit->changes[i].record;
		result.revision = commit->changes[commit->n - 1].record->revision;
		result.values = values;
	}
	if (commit->done != NULL)
		commit->done(commit->arg, err, &result);
	else
		log_consume(LOG_WARN, err, "a write was lost");
	if (values != one)
		free(values);
	list_remove(&commit->link);
	commit_free(store, commit);
}

static struct error *same_error(const struct error *err)
{
	return error_make(err->file, err->line, err->kind, err->code, "%s", err->text);
}

static void batch_free(struct batch *batch)
{
	error_free(batch->err);
	free(batch);
}

#define COOL_STEP  32 /* keys looked at with each batch of writes */
#define COOL_AFTER 64 /* writes */

/* A hand goes round over all keys, as fast as there are writes: who is idle stays so. */
static void cool_some(struct store *store)
{
	struct tree_root *root;
	struct tree_iter it;
	bool any;
	int n = 0;

	if (store->cool == NULL)
		return;
	root = tree_hold(&store->index);
	any = tree_seek(&it, root, buf_str(&store->hand));
	for (; any && n < COOL_STEP; n++, any = tree_next(&it)) {
		struct store_value *value = it.value;

		/* the index holds it, and its own event in the window */
		if (value->attachment != NULL && value->revision + COOL_AFTER < store->revision &&
		    value->refs == (value->revision > store->window.floor ? 2U : 1U))
			store->cool(value);
	}
	buf_clear(&store->hand);
	if (any)
		buf_add(&store->hand, it.key);
	tree_drop(&store->index, root);
}

static void answer_some(void *arg)
{
	struct store *store = arg;
	struct commit *commit;

	while ((commit = LIST_FIRST(&store->published, struct commit, link)) != NULL) {
		answer(store, commit, NULL);
		if (loop_over_budget() && !list_empty(&store->published)) {
			loop_call_soon(&store->answer_more, answer_some, store);
			return;
		}
	}
	maybe_close(store);
}

static void publish_batch(struct store *store, struct batch *batch)
{
	uint64_t first = window_end(&store->window);
	int64_t mono = clock_mono();

	TRACE("store publish", store->revision, first);
	window_strip(&store->window);
	cool_some(store);
	LIST_EACH (&batch->commits, struct commit, link, it)
		for (size_t i = 0; i < it->n; i++)
			publish_change(store, it, &it->changes[i], mono);
	store->current = NULL;
	window_trim(&store->window, mono);
	if (first < store->window.base)
		first = store->window.base;
	watch_published(store, first);
	while (!list_empty(&batch->commits)) {
		struct list *link = batch->commits.next;

		list_remove(link);
		list_push(&store->published, link);
	}
	answer_some(store);
}

static void fail_commits(struct store *store, struct list *commits, const struct error *err)
{
	struct commit *commit;

	while ((commit = LIST_FIRST(commits, struct commit, link)) != NULL)
		answer(store, commit, same_error(err));
}

/* What was accepted after a failed write may rest on it. New commits are judged against what is published. */
static void end_epoch(struct store *store, const struct error *err)
{
	struct list doomed;

	store->epoch++;
	store->reserved = store->reserved_durable;
	store->stats.failures++;
	map_fini(&store->pending);
	list_init(&doomed);
	while (!list_empty(&store->gathering)) {
		struct list *link = store->gathering.next;

		list_remove(link);
		list_push(&doomed, link);
	}
	fail_commits(store, &doomed, err);
}

static void settle(struct store *store)
{
	struct batch *batch;

	while ((batch = LIST_FIRST(&store->in_flight, struct batch, link)) != NULL && batch->written) {
		list_remove(&batch->link);
		if (batch->err == NULL && batch->epoch != store->epoch)
			batch->err = error_new(ERR_IO, "an earlier write failed");
		if (batch->err == NULL) {
			if (batch->reserve > store->reserved_durable)
				store->reserved_durable = batch->reserve;
			publish_batch(store, batch);
		} else {
			if (batch->epoch == store->epoch)
				end_epoch(store, batch->err);
			fail_commits(store, &batch->commits, batch->err);
		}
		batch_free(batch);
	}
	maybe_close(store);
}

void store_batch_written(void *arg)
{
	struct batch *batch = arg;

	batch->written = true;
	settle(batch->store);
}

/* --- hand over --- */

static bool prepare_batch(struct store *store, struct batch *batch)
{
	bool durable = false;

	LIST_EACH (&batch->commits, struct commit, link, commit) {
		uint64_t revision = commit->changes[commit->n - 1].record->revision;

		durable |= !commit->renewal;
		if (commit->renewal && revision > store->reserved) {
			store->reserved = batch->reserve = revision + BLOCK;
			durable = true;
		}
	}
	return durable;
}

static void on_hand_over(void *arg)
{
	struct store *store = arg;
	struct batch *batch;

	if (list_empty(&store->gathering))
		return;
	batch = xcalloc(1, sizeof(*batch));
	batch->store = store;
	batch->epoch = store->epoch;
	batch->now = clock_now();
	list_init(&batch->queued);
	list_init(&batch->commits);
	while (!list_empty(&store->gathering)) {
		struct list *link = store->gathering.next;

		list_remove(link);
		list_push(&batch->commits, link);
	}
	list_push(&store->in_flight, &batch->link);
	if (prepare_batch(store, batch)) {
		store->stats.transactions++;
		store->engine->ops->write(store->engine, batch);
		return;
	}
	/* Renewals only: nothing to write, but nothing overtakes what was accepted before. */
	batch->written = true;
	settle(store);
}

/* --- close --- */

static void maybe_close(struct store *store)
{
	VEC(struct store_value *) renewals = { 0 };

	if (store->closed == NULL || store->engine == NULL || !list_empty(&store->gathering) || !list_empty(&store->in_flight) ||
	    !list_empty(&store->published) || store->n_busy > 0)
		return;
	MAP_EACH (&store->renewed, it) {
		struct store_value *value = tree_find(&store->index, it->key);

		if (value != NULL)
			vec_push(&renewals, value);
	}
	store->engine->ops->close(store->engine, renewals.ptr, renewals.len, store->last);
	store->engine = NULL;
	vec_fini(&renewals);
}

void store_engine_closed(struct store *store)
{
	void (*closed)(void *arg) = store->closed;
	void *arg = store->closed_arg;

	store_free(store);
	closed(arg);
}

static void close_now(void *arg)
{
	maybe_close(arg);
}

void store_close(struct store *store, void (*closed)(void *arg), void *arg)
{
	ASSERT_ON_LOOP();
	ASSERT(store->closed == NULL && closed != NULL);
	ASSERT(list_empty(&store->watches));
	store->closed = closed;
	store->closed_arg = arg;
	loop_soon(close_now, store);
}

/* --- the rest --- */

uint64_t store_revision(const struct store *store)
{
	return store->revision;
}

uint64_t store_oldest(const struct store *store)
{
	return store->window.floor;
}

void store_history(struct store *store, const struct store_query *ask)
{
	struct query *query = xcalloc(1, sizeof(*query));

	ASSERT_ON_LOOP();
	list_init(&query->queued);
	query->store = store;
	query->arena = arena_new();
	query->ask = *ask;
	query->ask.key = str_dup(query->arena, ask->key);
	query->ask.prefix = str_dup(query->arena, ask->prefix);
	if (query->ask.limit == 0)
		query->ask.limit = 1000;
	store->n_busy++;
	store->engine->ops->query(store->engine, query);
}

void store_query_done(void *arg)
{
	struct query *query = arg;
	struct store *store = query->store;

	query->ask.done(query->ask.arg, query->err, query->records, query->n);
	arena_free(query->arena);
	free(query);
	store->n_busy--;
	maybe_close(store);
}

void store_snapshot(struct store *store, const char *path, void (*done)(void *arg, struct error *err), void *arg)
{
	struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));

	ASSERT_ON_LOOP();
	list_init(&snapshot->queued);
	snapshot->store = store;
	snapshot->path = xstrdup(path);
	snapshot->done = done;
	snapshot->arg = arg;
	store->n_busy++;
	store->engine->ops->snapshot(store->engine, snapshot);
}

void store_snapshot_done(void *arg)
{
	struct snapshot *snapshot = arg;
	struct store *store = snapshot->store;

	snapshot->done(snapshot->arg, snapshot->err);
	free(snapshot->path);
	free(snapshot);
	store->n_busy--;
	maybe_close(store);
}

struct store_stats store_stats(const struct store *store)
{
	struct store_stats stats = store->stats;

	stats.keys = tree_len(&store->index);
	stats.window_events = store->window.events.len - store->window.head;
	stats.window_bytes = store->window.bytes;
	stats.pending_bytes = store->pending_bytes;
	store->engine->ops->stats(store->engine, &stats);
	return stats;
}
