#include "tests/unit/store/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int answers;

void world_reopen(struct world *world, const struct store_options *options)
{
	struct store_options mine = options != NULL ? *options : (struct store_options){ 0 };

	mine.path = world->on_disk ? world->path : NULL;
	CHECK_OK(store_open(&mine, &world->store));
}

void world_open(struct world *world, bool on_disk)
{
	memset(world, 0, sizeof(*world));
	world->on_disk = on_disk;
	if (on_disk) {
		snprintf(world->dir, sizeof(world->dir), "/tmp/monokube-store-XXXXXX");
		CHECK(mkdtemp(world->dir) != NULL);
		snprintf(world->path, sizeof(world->path), "%s/state.db", world->dir);
	}
	loop_init();
	world_reopen(world, NULL);
}

static void on_closed(void *arg)
{
	*(bool *)arg = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

void world_close_store(struct world *world)
{
	bool closed = false;

	store_close(world->store, on_closed, &closed);
	CHECK(loop_run_until(is_true, &closed, 10 * NS_PER_S));
	world->store = NULL;
}

void world_close(struct world *world)
{
	char command[128];

	if (world->store != NULL)
		world_close_store(world);
	loop_fini();
	if (world->on_disk) {
		snprintf(command, sizeof(command), "rm -rf %s", world->dir);
		CHECK_EQ(system(command), 0);
	}
}

void world_answered(void *arg, struct error *err, const struct store_result *result)
{
	struct answer *answer = arg;

	CHECK(!answer->came);
	answer->came = true;
	answer->err = err;
	answer->revision = result->revision;
	answer->order = ++answers;
}

bool world_came(void *answer)
{
	return ((struct answer *)answer)->came;
}

void world_wait(struct answer *answer)
{
	CHECK(loop_run_until(world_came, answer, 10 * NS_PER_S));
	CHECK_OK(answer->err);
}

static uint64_t commit_one(struct world *world, struct store_op op, bool renewal)
{
	struct answer answer = { 0 };

	CHECK_OK(store_commit(world->store, &(struct store_commit){ .ops = &op,
								    .n_ops = 1,
								    .actor = STR("tester"),
								    .cause = 7,
								    .renewal = renewal,
								    .done = world_answered,
								    .arg = &answer }));
	world_wait(&answer);
	return answer.revision;
}

uint64_t world_put(struct world *world, const char *key, const char *data, uint64_t expect)
{
	return commit_one(world, (struct store_op){ .key = str_from(key), .data = str_from(data), .expect = expect }, false);
}

uint64_t world_renew(struct world *world, const char *key, const char *data)
{
	return commit_one(world, (struct store_op){ .key = str_from(key), .data = str_from(data), .expect = STORE_ANY }, true);
}

uint64_t world_delete(struct world *world, const char *key, uint64_t expect)
{
	return commit_one(world, (struct store_op){ .kind = STORE_DELETE, .key = str_from(key), .expect = expect }, false);
}

struct error *world_put_later(struct world *world, const char *key, const char *data, uint64_t expect, struct answer *answer)
{
	struct store_op op = { .key = str_from(key), .data = str_from(data), .expect = expect };

	if (answer != NULL)
		*answer = (struct answer){ 0 };
	return store_commit(world->store, &(struct store_commit){ .ops = &op,
								  .n_ops = 1,
								  .actor = STR("tester"),
								  .done = answer != NULL ? world_answered : NULL,
								  .arg = answer });
}

struct str world_get(struct world *world, const char *key)
{
	struct store_value *value = store_find(world->store, str_from(key));

	return value != NULL ? value->data : STR("");
}
