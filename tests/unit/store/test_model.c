/* Many orders of events: random writes, delays and failures of the engine in memory, against a model. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/store/world.h"

#define MODEL_KEYS   5
#define MODEL_WRITES 150

struct model {
	struct world world;
	struct store_watch *watch;
	struct map replica; /* key → revision, from the watch alone */
	uint64_t seen;      /* last revision that the watch gave */
	uint64_t events;
	uint64_t acknowledged, failed; /* writes */
	uint64_t last_answer;
	int outstanding;
	struct loop_call more;
};

static void model_ready(void *arg)
{
	struct model *model = arg;
	struct store_event event;
	int most = (int)rand_below(4) + 1;

	while (most-- > 0 && store_watch_pull(model->watch, &event) == STORE_WATCH_EVENT) {
		uintptr_t old = event.old != NULL ? (uintptr_t)event.old->revision : 0;

		CHECK(event.revision > model->seen);
		model->seen = event.revision;
		model->events++;
		/* The state before is exactly what the replica has: nothing was skipped. */
		CHECK((uintptr_t)map_find(&model->replica, event.key) == old);
		if (event.value != NULL)
			map_set(&model->replica, event.key, (void *)(uintptr_t)event.revision);
		else
			map_take(&model->replica, event.key);
	}
	if (most < 0)
		loop_call_soon(&model->more, model_ready, model);
}

static void model_answered(void *arg, struct error *err, const struct store_result *result)
{
	struct model *model = arg;

	model->outstanding--;
	if (err != NULL) {
		model->failed++;
		error_free(err);
		return;
	}
	model->acknowledged++;
	CHECK(result->revision > model->last_answer);
	model->last_answer = result->revision;
	CHECK(store_revision(model->world.store) >= result->revision);
}

static struct error *model_plan(void *arg, int64_t *delay)
{
	(void)arg;
	*delay = (int64_t)rand_below(3) * NS_PER_MS;
	return rand_below(8) == 0 ? error_new(ERR_NO_SPACE, "full") : NULL;
}

static void model_write(struct model *model)
{
	char key[8];
	struct store_value *latest;
	struct store_op op = { .kind = rand_below(4) == 0 ? STORE_DELETE : STORE_PUT, .data = STR("x") };
	bool renewal = op.kind == STORE_PUT && rand_below(4) == 0;
	struct error *err;

	snprintf(key, sizeof(key), "/%d", (int)rand_below(MODEL_KEYS));
	op.key = str_from(key);
	latest = store_latest(model->world.store, op.key);
	op.expect = latest != NULL ? latest->revision : 0;
	if (rand_below(5) == 0)
		op.expect += 1; /* wrong on purpose */
	err = store_commit(
		model->world.store,
		&(struct store_commit){ .ops = &op, .n_ops = 1, .renewal = renewal, .done = model_answered, .arg = model });
	/* Accepted exactly when it is right. */
	CHECK_EQ(err == NULL, (latest != NULL && op.expect == latest->revision) ||
				      (latest == NULL && op.expect == 0 && op.kind == STORE_PUT && !renewal));
	model->outstanding += err == NULL;
	error_free(err);
}

static bool model_settled(void *arg)
{
	struct model *model = arg;

	return model->outstanding == 0 && model->seen == store_revision(model->world.store);
}

TEST(random_writes_and_failures_agree_with_a_model)
{
	uint64_t acknowledged = 0, failed = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct model model = { .outstanding = 0 };
		struct store_version *version;
		struct store_iter it;
		size_t n = 0;

		loop_init();
		loop_sim(seed, 0);
		rand_seed(seed);
		world_reopen(&model.world, &(struct store_options){ .memory_plan = model_plan });
		CHECK_OK(store_watch(model.world.store, &(struct store_watch_options){ .ready = model_ready, .arg = &model },
				     &model.watch));
		for (int i = 0; i < MODEL_WRITES; i++) {
			model_write(&model);
			if (rand_below(3) == 0)
				loop_run_for((int64_t)rand_below(4) * NS_PER_MS);
		}
		if (!loop_run_until(model_settled, &model, 10 * NS_PER_S))
			tap_fail(__FILE__, __LINE__, "seed %d: %d writes have no answer", (int)seed, model.outstanding);
		CHECK_EQ(model.events, model.acknowledged);
		version = store_hold(model.world.store);
		for (bool ok = store_seek(&it, version, STR(""), STR("")); ok; ok = store_next(&it), n++)
			CHECK((uintptr_t)map_find(&model.replica, it.value->key) == it.value->revision);
		CHECK_EQ(n, model.replica.len);
		store_version_unref(version);
		loop_call_cancel(&model.more);
		store_watch_close(model.watch);
		map_fini(&model.replica);
		acknowledged += model.acknowledged;
		failed += model.failed;
		world_close(&model.world);
	}
	CHECK(acknowledged > 1000 && failed > 1000);
	printf("# %d acknowledged, %d failed\n", (int)acknowledged, (int)failed);
}
