/* Nothing lasts: batches are done as soon as the plan says so. History is the list of records. */
#include <stdlib.h>

#include "store/private.h"

struct record {
	struct store_value *value;
	bool deleted;
};

struct memory {
	struct engine base;
	struct list queue; /* struct batch, the first one is being "written" */
	bool busy;
	struct error *outcome; /* of the first one */
	uint64_t failed_epoch;
	struct loop_timer delay;
	struct loop_call call;
	struct list answers; /* struct query */
	struct loop_call answer;
	struct list refusals; /* struct snapshot */
	struct loop_call refuse;
	VEC(struct record) history;
	size_t history_bytes, most_bytes;
	int64_t most_age;
	struct error *(*plan)(void *arg, int64_t *delay_ns);
	void *plan_arg;
};

static void begin(struct memory *memory);

static struct memory *memory_of(const struct engine *engine)
{
	return CONTAINER_OF((struct engine *)(uintptr_t)engine, struct memory, base);
}

static size_t weight(const struct store_value *value)
{
	return sizeof(*value) + value->key.len + value->data.len;
}

static void remember(struct memory *memory, const struct batch *batch)
{
	size_t drop = 0;

	LIST_EACH (&batch->commits, struct commit, link, commit) {
		for (size_t i = 0; i < commit->n && !commit->renewal; i++) {
			struct record record = { store_value_ref(commit->changes[i].record), commit->changes[i].deleted };

			vec_push(&memory->history, record);
			memory->history_bytes += weight(record.value);
		}
	}
	while (drop < memory->history.len && (memory->history_bytes > memory->most_bytes ||
					      memory->history.ptr[drop].value->time < batch->now - memory->most_age)) {
		memory->history_bytes -= weight(memory->history.ptr[drop].value);
		store_value_unref(memory->history.ptr[drop].value);
		drop++;
	}
	if (drop > 0) {
		memory->history.len -= drop;
		memmove(memory->history.ptr, memory->history.ptr + drop, memory->history.len * sizeof(struct record));
	}
}

static void on_written(void *arg)
{
	struct memory *memory = arg;
	struct batch *batch = LIST_FIRST(&memory->queue, struct batch, queued);

	list_remove(&batch->queued);
	batch->err = memory->outcome;
	memory->outcome = NULL;
	if (batch->err != NULL)
		memory->failed_epoch = batch->epoch;
	else
		remember(memory, batch);
	memory->busy = false;
	begin(memory);
	store_batch_written(batch);
}

static void begin(struct memory *memory)
{
	struct batch *batch = LIST_FIRST(&memory->queue, struct batch, queued);
	int64_t delay = 0;

	if (batch == NULL || memory->busy)
		return;
	memory->busy = true;
	if (batch->epoch == memory->failed_epoch)
		memory->outcome = error_new(ERR_IO, "an earlier write failed");
	else if (memory->plan != NULL)
		memory->outcome = memory->plan(memory->plan_arg, &delay);
	if (delay > 0)
		loop_timer_start(&memory->delay, delay, on_written, memory);
	else
		loop_call_soon(&memory->call, on_written, memory);
}

static void memory_write(struct engine *engine, struct batch *batch)
{
	struct memory *memory = memory_of(engine);

	list_push(&memory->queue, &batch->queued);
	begin(memory);
}

static bool asked_for(const struct store_query *ask, const struct store_value *value)
{
	return value->revision >= ask->from && (ask->to == 0 || value->revision <= ask->to) &&
	       (ask->key.len == 0 || str_eq(value->key, ask->key)) && str_has_prefix(value->key, ask->prefix);
}

static void answer_query(struct memory *memory, struct query *query)
{
	const struct store_query *ask = &query->ask;
	size_t n = 0, skip;

	for (size_t i = 0; i < memory->history.len; i++)
		n += asked_for(ask, memory->history.ptr[i].value);
	skip = ask->newest && n > ask->limit ? n - ask->limit : 0;
	query->records = ARENA_ARRAY(query->arena, struct store_record, n < ask->limit ? n : ask->limit);
	for (size_t i = 0; i < memory->history.len && query->n < ask->limit; i++) {
		const struct store_value *value = memory->history.ptr[i].value;

		if (!asked_for(ask, value) || (skip > 0 && skip-- > 0))
			continue;
		query->records[query->n++] = (struct store_record){
			.revision = value->revision,
			.created = value->created,
			.time = value->time,
			.key = str_dup(query->arena, value->key),
			.actor = str_dup(query->arena, value->actor),
			.cause = value->cause,
			.deleted = memory->history.ptr[i].deleted,
			.data = ask->data ? str_dup(query->arena, value->data) : STR(""),
		};
	}
}

static void on_answer(void *arg)
{
	struct memory *memory = arg;
	struct query *query = LIST_FIRST(&memory->answers, struct query, queued);

	list_remove(&query->queued);
	if (!list_empty(&memory->answers))
		loop_call_soon(&memory->answer, on_answer, memory);
	answer_query(memory, query);
	store_query_done(query);
}

static void memory_query(struct engine *engine, struct query *query)
{
	struct memory *memory = memory_of(engine);

	list_push(&memory->answers, &query->queued);
	loop_call_soon(&memory->answer, on_answer, memory);
}

static void on_refuse(void *arg)
{
	struct memory *memory = arg;
	struct snapshot *snapshot = LIST_FIRST(&memory->refusals, struct snapshot, queued);

	list_remove(&snapshot->queued);
	if (!list_empty(&memory->refusals))
		loop_call_soon(&memory->refuse, on_refuse, memory);
	snapshot->err = error_new(ERR_UNSUPPORTED, "a store in memory has no snapshots");
	store_snapshot_done(snapshot);
}

static void memory_snapshot(struct engine *engine, struct snapshot *snapshot)
{
	struct memory *memory = memory_of(engine);

	list_push(&memory->refusals, &snapshot->queued);
	loop_call_soon(&memory->refuse, on_refuse, memory);
}

static void on_close(void *arg)
{
	struct memory *memory = arg;
	struct store *store = memory->base.store;

	for (size_t i = 0; i < memory->history.len; i++)
		store_value_unref(memory->history.ptr[i].value);
	vec_fini(&memory->history);
	free(memory);
	store_engine_closed(store);
}

static void memory_close(struct engine *engine, struct store_value *const *renewals, size_t n, uint64_t last)
{
	(void)renewals;
	(void)n;
	(void)last;
	loop_soon(on_close, memory_of(engine));
}

static void memory_stats(const struct engine *engine, struct store_stats *stats)
{
	stats->history_bytes = memory_of(engine)->history_bytes;
}

static const struct engine_ops memory_ops = { memory_write, memory_query, memory_snapshot, memory_close, memory_stats };

struct engine *engine_memory_open(struct store *store, const struct store_options *options)
{
	struct memory *memory = xcalloc(1, sizeof(*memory));

	memory->base.ops = &memory_ops;
	memory->base.store = store;
	list_init(&memory->queue);
	list_init(&memory->answers);
	list_init(&memory->refusals);
	memory->plan = options->memory_plan;
	memory->plan_arg = options->memory_arg;
	memory->most_bytes = options->history_bytes != 0 ? options->history_bytes : 64 * 1024 * 1024;
	memory->most_age = options->history_age != 0 ? options->history_age : 24 * 3600 * NS_PER_S;
	return &memory->base;
}
