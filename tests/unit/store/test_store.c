/* What holds for both engines, each test run with both; and what virtual time shows of the one in memory. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/store/world.h"

#define BOTH(name)                                                                                                                 \
	static void check_##name(struct world *world);                                                                             \
	TEST(memory_##name)                                                                                                        \
	{                                                                                                                          \
		struct world world;                                                                                                \
		world_open(&world, false);                                                                                         \
		check_##name(&world);                                                                                              \
		world_close(&world);                                                                                               \
	}                                                                                                                          \
	TEST(sqlite_##name)                                                                                                        \
	{                                                                                                                          \
		struct world world;                                                                                                \
		world_open(&world, true);                                                                                          \
		check_##name(&world);                                                                                              \
		world_close(&world);                                                                                               \
	}                                                                                                                          \
	static void check_##name(struct world *world)

BOTH(put_get_delete)
{
	uint64_t first, second;
	struct store_value *value;

	CHECK_EQ(store_revision(world->store), 0);
	first = world_put(world, "/a", "one", 0);
	CHECK_EQ(first, 1);
	second = world_put(world, "/a", "two", first);
	CHECK_EQ(second, 2);
	value = store_find(world->store, STR("/a"));
	CHECK_STR(value->data, "two");
	CHECK_STR(value->key, "/a");
	CHECK_STR(value->actor, "tester");
	CHECK_EQ(value->cause, 7);
	CHECK_EQ(value->revision, 2);
	CHECK_EQ(value->created, 1);
	CHECK(value->time > 0);
	CHECK_EQ(world_delete(world, "/a", second), 3);
	CHECK(store_find(world->store, STR("/a")) == NULL);
	CHECK_EQ(store_revision(world->store), 3);
	CHECK_EQ(world_put(world, "/a", "again", 0), 4);
	CHECK_EQ(store_find(world->store, STR("/a"))->created, 4);
}

BOTH(compare_and_swap_is_judged_at_once)
{
	struct answer answer;

	world_put(world, "/a", "one", 0);
	CHECK_ERR(world_put_later(world, "/a", "x", 0, &answer), ERR_EXISTS);
	CHECK_ERR(world_put_later(world, "/a", "x", 7, &answer), ERR_CONFLICT);
	CHECK_ERR(world_put_later(world, "/b", "x", 7, &answer), ERR_CONFLICT);
	CHECK_ERR(store_commit(world->store,
			       &(struct store_commit){
				       .ops = &(struct store_op){ .kind = STORE_DELETE, .key = STR("/b"), .expect = STORE_ANY },
				       .n_ops = 1 }),
		  ERR_NOT_FOUND);
	CHECK_EQ(world_put(world, "/a", "two", STORE_ANY), 2);
	CHECK_EQ(store_stats(world->store).conflicts, 4);
}

BOTH(writes_build_on_what_is_pending)
{
	struct answer answers[100];
	uint64_t before;
	char text[16];

	world_put(world, "/n", "0", 0);
	before = store_stats(world->store).transactions;
	for (int i = 0; i < 100; i++) {
		struct store_value *latest = store_latest(world->store, STR("/n"));

		snprintf(text, sizeof(text), "%d", atoi(latest->data.ptr) + 1);
		CHECK_OK(world_put_later(world, "/n", text, latest->revision, &answers[i]));
	}
	CHECK_STR(world_get(world, "/n"), "0"); /* nothing is published yet */
	for (int i = 0; i < 100; i++) {
		world_wait(&answers[i]);
		CHECK_EQ(answers[i].revision, 2 + i);
		CHECK(i == 0 || answers[i].order == answers[i - 1].order + 1);
	}
	CHECK_STR(world_get(world, "/n"), "100");
	CHECK_EQ(store_stats(world->store).transactions, before + 1); /* one fsync for all */
	CHECK_EQ(store_stats(world->store).pending_bytes, 0);
}

BOTH(commit_of_many_is_all_or_none)
{
	struct store_op ops[] = { { .key = STR("/a"), .data = STR("1"), .expect = 0 },
				  { .key = STR("/b"), .data = STR("2"), .expect = 0, .actor = STR("other"), .cause = 9 },
				  { .kind = STORE_DELETE, .key = STR("/old"), .expect = STORE_ANY } };
	struct store_commit commit = { .ops = ops, .n_ops = 3, .actor = STR("tester"), .done = world_answered };
	struct answer answer = { 0 };

	world_put(world, "/old", "x", 0);
	world_put(world, "/b", "taken", 0);
	commit.arg = &answer;
	CHECK_ERR(store_commit(world->store, &commit), ERR_EXISTS);
	CHECK(store_latest(world->store, STR("/a")) == NULL);
	world_delete(world, "/b", STORE_ANY);
	CHECK_OK(store_commit(world->store, &commit));
	world_wait(&answer);
	CHECK_EQ(answer.revision, 6);
	CHECK_STR(world_get(world, "/a"), "1");
	CHECK_STR(store_find(world->store, STR("/b"))->actor, "other");
	CHECK_EQ(store_find(world->store, STR("/b"))->cause, 9);
	CHECK_EQ(store_find(world->store, STR("/b"))->revision, 5);
	CHECK(store_find(world->store, STR("/old")) == NULL);
}

/* --- lists --- */

static void check_list(struct store_version *version, const char *prefix, const char *from, const char *want)
{
	AUTO_BUF struct buf got = { 0 };
	struct store_iter it;
	size_t n = 0;

	for (bool ok = store_seek(&it, version, str_from(prefix), str_from(from)); ok; ok = store_next(&it)) {
		buf_printf(&got, "%.*s=%.*s ", STR_ARG(it.value->key), STR_ARG(it.value->data));
		n++;
	}
	CHECK_STR(buf_str(&got), want);
	CHECK_EQ(store_count(version, str_from(prefix), str_from(from)), n);
}

BOTH(versions_stay_as_they_are)
{
	struct store_version *then, *now, *again, *past = NULL;

	world_put(world, "/p/a", "1", 0);
	world_put(world, "/p/b", "2", 0);
	world_put(world, "/pq", "9", 0);
	world_put(world, "/q/c", "3", 0);
	then = store_hold(world->store);
	again = store_hold(world->store);
	CHECK(then == again);
	world_put(world, "/p/a", "11", STORE_ANY);
	world_delete(world, "/p/b", STORE_ANY);
	world_put(world, "/p/d", "4", 0);
	now = store_hold(world->store);
	CHECK_EQ(store_version_revision(then), 4);
	CHECK_EQ(store_version_revision(now), 7);
	check_list(then, "/p/", "", "/p/a=1 /p/b=2 ");
	check_list(now, "/p/", "", "/p/a=11 /p/d=4 ");
	check_list(then, "/p/", "/p/a2", "/p/b=2 ");
	check_list(then, "", "", "/p/a=1 /p/b=2 /pq=9 /q/c=3 ");
	check_list(then, "/x", "", "");
	CHECK_STR(store_version_find(then, STR("/p/b"))->data, "2");
	/* The same again, worked out from the window. */
	CHECK_OK(store_hold_at(world->store, 4, &past));
	check_list(past, "", "", "/p/a=1 /p/b=2 /pq=9 /q/c=3 ");
	store_version_unref(past);
	CHECK_OK(store_hold_at(world->store, 5, &past));
	check_list(past, "/p/", "", "/p/a=11 /p/b=2 ");
	store_version_unref(past);
	CHECK_OK(store_hold_at(world->store, 0, &past));
	check_list(past, "", "", "");
	store_version_unref(past);
	CHECK_ERR(store_hold_at(world->store, 8, &past), ERR_TIMEOUT);
	store_version_unref(then);
	store_version_unref(again);
	store_version_unref(now);
}

/* --- watch --- */

struct viewer {
	struct store_watch *watch;
	struct buf seen;
	int ready;
	size_t most;
	bool expired;
};

static void on_ready(void *arg)
{
	struct viewer *viewer = arg;
	struct store_event event;
	size_t n = 0;

	viewer->ready++;
	while (viewer->most == 0 || n++ < viewer->most) {
		switch (store_watch_pull(viewer->watch, &event)) {
		case STORE_WATCH_EVENT:
			buf_printf(&viewer->seen, "%llu%s%.*s:%.*s<%.*s ", (unsigned long long)event.revision,
				   event.value == NULL ? "-"
				   : event.old == NULL ? "+"
						       : "~",
				   STR_ARG(event.key), STR_ARG(event.value != NULL ? event.value->data : STR("")),
				   STR_ARG(event.old != NULL ? event.old->data : STR("")));
			break;
		case STORE_WATCH_IDLE:
			return;
		case STORE_WATCH_EXPIRED:
			viewer->expired = true;
			return;
		}
	}
}

static void view(struct world *world, struct viewer *viewer, const char *prefix, uint64_t after)
{
	CHECK_OK(store_watch(
		world->store,
		&(struct store_watch_options){ .prefix = str_from(prefix), .after = after, .ready = on_ready, .arg = viewer },
		&viewer->watch));
}

static void check_seen(struct viewer *viewer, const char *want)
{
	loop_run_for(NS_PER_MS);
	CHECK_STR(buf_str(&viewer->seen), want);
	buf_clear(&viewer->seen);
}

BOTH(watch_gives_what_was_and_what_comes)
{
	struct viewer all = { 0 }, some = { 0 }, later = { 0 };

	world_put(world, "/p/a", "1", 0);
	world_put(world, "/q/b", "2", 0);
	world_put(world, "/p/a", "3", 1);
	view(world, &all, "", 0);
	view(world, &some, "/p/", 1);
	view(world, &later, "/p/", 5);
	check_seen(&all, "1+/p/a:1< 2+/q/b:2< 3~/p/a:3<1 ");
	check_seen(&some, "3~/p/a:3<1 ");
	check_seen(&later, "");
	CHECK_EQ(store_watch_revision(some.watch), 3);
	some.ready = 0;
	world_put(world, "/q/c", "4", 0);
	check_seen(&some, "");
	CHECK_EQ(some.ready, 0);
	CHECK_EQ(store_watch_revision(some.watch), 4); /* nothing of its own, yet it is up to date */
	world_delete(world, "/p/a", 3);
	world_put(world, "/p/a", "6", 0);
	check_seen(&some, "5-/p/a:<3 6+/p/a:6< ");
	check_seen(&later, "6+/p/a:6< ");
	check_seen(&all, "4+/q/c:4< 5-/p/a:<3 6+/p/a:6< ");
	store_watch_close(all.watch);
	store_watch_close(some.watch);
	store_watch_close(later.watch);
	buf_fini(&all.seen);
	buf_fini(&some.seen);
	buf_fini(&later.seen);
}

BOTH(slow_watcher_pulls_when_it_likes)
{
	struct viewer slow = { .most = 1 };
	char key[16];

	view(world, &slow, "/", 0);
	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "/%d", i);
		world_put(world, key, "x", 0);
	}
	loop_run_for(NS_PER_MS);
	buf_clear(&slow.seen);
	slow.ready = 0;
	/* Not idle, so nobody calls; the reader comes back by itself. */
	world_put(world, "/5", "x", 0);
	loop_run_for(NS_PER_MS);
	CHECK_EQ(slow.ready, 0);
	slow.most = 0;
	on_ready(&slow);
	CHECK(str_has_suffix(buf_str(&slow.seen), STR("5+/4:x< 6+/5:x< ")));
	store_watch_close(slow.watch);
	buf_fini(&slow.seen);
}

/* --- renewals --- */

BOTH(renewals_are_ordered_but_not_written)
{
	struct viewer viewer = { 0 };
	struct answer answers[3];
	struct store_op op = { .key = STR("/lease"), .data = STR("r2"), .expect = STORE_ANY };
	uint64_t transactions;

	world_put(world, "/lease", "created", 0);
	view(world, &viewer, "/", 1);
	world_renew(world, "/lease", "r1"); /* makes the block durable */
	transactions = store_stats(world->store).transactions;
	for (int i = 0; i < 10; i++)
		world_renew(world, "/lease", "r1");
	CHECK_EQ(store_stats(world->store).transactions, transactions);
	/* Between durable writes: the order of acceptance is kept. */
	memset(answers, 0, sizeof(answers));
	CHECK_OK(world_put_later(world, "/a", "1", 0, &answers[0]));
	CHECK_OK(store_commit(
		world->store,
		&(struct store_commit){ .ops = &op, .n_ops = 1, .renewal = true, .done = world_answered, .arg = &answers[1] }));
	CHECK_OK(world_put_later(world, "/b", "1", 0, &answers[2]));
	for (int i = 0; i < 3; i++)
		world_wait(&answers[i]);
	CHECK_EQ(answers[1].order, answers[0].order + 1);
	CHECK_EQ(answers[2].order, answers[1].order + 1);
	CHECK_EQ(answers[2].revision, answers[0].revision + 2);
	op.key = STR("/none");
	CHECK_ERR(store_commit(world->store, &(struct store_commit){ .ops = &op, .n_ops = 1, .renewal = true }), ERR_NOT_FOUND);
	loop_run_for(NS_PER_MS);
	CHECK(str_has_suffix(buf_str(&viewer.seen), STR("13+/a:1< 14~/lease:r2<r1 15+/b:1< ")));
	store_watch_close(viewer.watch);
	buf_fini(&viewer.seen);
}

/* --- attachments --- */

static int freed;

static void count_free(void *attachment)
{
	(void)attachment;
	freed++;
}

BOTH(attachments_live_as_long_as_their_value)
{
	struct store_op op = { .key = STR("/a"), .data = STR("1"), .expect = 0, .attachment = world, .attachment_free = count_free };
	struct answer answer = { 0 };
	struct store_value *value;

	freed = 0;
	CHECK_OK(store_commit(world->store,
			      &(struct store_commit){ .ops = &op, .n_ops = 1, .done = world_answered, .arg = &answer }));
	world_wait(&answer);
	/* Refused: still the caller's. */
	CHECK_ERR(store_commit(world->store, &(struct store_commit){ .ops = &op, .n_ops = 1 }), ERR_EXISTS);
	CHECK_EQ(freed, 0);
	value = store_value_ref(store_find(world->store, STR("/a")));
	CHECK(value->attachment == world);
	store_value_attach(value, &freed, count_free);
	CHECK_EQ(freed, 1);
	world_close_store(world);
	CHECK_EQ(freed, 1);
	store_value_unref(value);
	CHECK_EQ(freed, 2);
}

static void put_attached(struct world *world, const char *data)
{
	struct store_op op = {
		.key = STR("/a"), .data = str_from(data), .expect = STORE_ANY, .attachment = world, .attachment_free = count_free
	};
	struct answer answer = { 0 };

	CHECK_OK(store_commit(world->store,
			      &(struct store_commit){ .ops = &op, .n_ops = 1, .done = world_answered, .arg = &answer }));
	world_wait(&answer);
}

/* What was superseded keeps its bytes for the window; its decoded form goes with the next write, unless somebody holds
 * it, as the engine in memory does. */
TEST(attachments_of_superseded_states_go)
{
	struct store_value *held;
	struct world own, *world = &own;

	freed = 0;
	world_open(world, true);
	put_attached(world, "1");
	put_attached(world, "2");
	CHECK_EQ(freed, 0); /* watchers may look at what went */
	put_attached(world, "3");
	CHECK_EQ(freed, 1);
	held = store_value_ref(store_find(world->store, STR("/a")));
	put_attached(world, "4");
	put_attached(world, "5");
	CHECK_EQ(freed, 2); /* "2" went, "3" is held */
	CHECK(held->attachment == world);
	store_value_unref(held);
	put_attached(world, "6");
	CHECK(store_find(world->store, STR("/a"))->attachment == world);
	CHECK_EQ(freed, 3); /* "4"; nobody comes back for "3" until the window forgets it */
	world_close(world);
}

static int cooled;

static void count_cool(struct store_value *value)
{
	CHECK(value->attachment != NULL);
	store_value_attach(value, NULL, NULL);
	cooled++;
}

/* In memory nothing is ever only the store's (its engine holds history): on disk. */
TEST(what_was_not_written_lately_and_nobody_holds_is_cooled)
{
	struct store_value *held, *free_one;
	struct world own, *world = &own;

	world_open(world, true);
	world_close_store(world);
	world_reopen(world, &(struct store_options){ .cool = count_cool });
	cooled = 0;
	world_put(world, "/free", "x", 0);
	world_put(world, "/held", "x", 0);
	held = store_value_ref(store_find(world->store, STR("/held")));
	free_one = store_find(world->store, STR("/free"));
	store_value_attach(held, world, NULL);
	store_value_attach(free_one, world, NULL);
	for (int i = 0; i < 60; i++)
		world_put(world, "/busy", "x", STORE_ANY);
	CHECK_EQ(cooled, 0); /* both were written lately */
	for (int i = 0; i < 10; i++)
		world_put(world, "/busy", "x", STORE_ANY);
	CHECK_EQ(cooled, 1);
	CHECK(free_one->attachment == NULL && held->attachment == world);
	store_value_unref(held);
	world_put(world, "/busy", "x", STORE_ANY);
	CHECK_EQ(cooled, 2);
	world_close(world);
}

BOTH(too_much_at_once_is_refused)
{
	char *big = xcalloc(1, 1024 * 1024 + 1), key[16];
	struct answer answers[20];
	int n = 0;

	memset(big, 'x', 1024 * 1024);
	for (; n < 20; n++) {
		struct error *err;

		snprintf(key, sizeof(key), "/%d", n);
		err = world_put_later(world, key, big, 0, &answers[n]);
		if (err != NULL) {
			CHECK_EQ(err->kind, ERR_TOO_MANY);
			error_free(err);
			break;
		}
	}
	CHECK_EQ(n, 15);
	for (int i = 0; i < n; i++)
		world_wait(&answers[i]);
	world_put(world, "/more", big, 0);
	free(big);
}

/* --- history --- */

struct records {
	struct buf text;
	bool came;
};

static void on_records(void *arg, struct error *err, const struct store_record *records, size_t n)
{
	struct records *self = arg;

	CHECK_OK(err);
	for (size_t i = 0; i < n; i++)
		buf_printf(&self->text, "%llu%s%.*s:%.*s ", (unsigned long long)records[i].revision, records[i].deleted ? "-" : "=",
			   STR_ARG(records[i].key), STR_ARG(records[i].data));
	if (n > 0) {
		CHECK_STR(records[0].actor, "tester");
		CHECK_EQ(records[0].cause, 7);
	}
	self->came = true;
}

static bool records_came(void *arg)
{
	return ((struct records *)arg)->came;
}

static void check_history(struct world *world, struct store_query query, const char *want)
{
	struct records records = { .came = false };

	query.data = true;
	query.done = on_records;
	query.arg = &records;
	store_history(world->store, &query);
	CHECK(loop_run_until(records_came, &records, NS_PER_S));
	CHECK_STR(buf_str(&records.text), want);
	buf_fini(&records.text);
}

BOTH(history_knows_every_write)
{
	world_put(world, "/p/a", "1", 0);
	world_put(world, "/p/b", "2", 0);
	world_put(world, "/p/a", "3", 1);
	world_delete(world, "/p/a", 3);
	world_put(world, "/q", "5", 0);
	check_history(world, (struct store_query){ .key = STR("/p/a") }, "1=/p/a:1 3=/p/a:3 4-/p/a: ");
	check_history(world, (struct store_query){ .prefix = STR("/p/") }, "1=/p/a:1 2=/p/b:2 3=/p/a:3 4-/p/a: ");
	check_history(world, (struct store_query){ .from = 2, .to = 3 }, "2=/p/b:2 3=/p/a:3 ");
	check_history(world, (struct store_query){ .limit = 2 }, "1=/p/a:1 2=/p/b:2 ");
	check_history(world, (struct store_query){ .limit = 2, .newest = true }, "4-/p/a: 5=/q:5 ");
	check_history(world, (struct store_query){ .key = STR("/none") }, "");
}

/* --- the window ends: virtual time, so in memory only --- */

TEST(window_ends_after_five_minutes)
{
	struct store *store = NULL;
	struct world world = { .on_disk = false };
	struct viewer slow = { .most = 1 }, idle = { 0 };
	struct store_version *version = NULL;
	struct store_watch *watch = NULL;

	loop_init();
	loop_sim(1, 1000 * NS_PER_S);
	CHECK_OK(store_open(&(struct store_options){ .path = NULL }, &store));
	world.store = store;
	world_put(&world, "/a", "1", 0);
	world_put(&world, "/a", "2", 1);
	view(&world, &slow, "/", 0);
	view(&world, &idle, "/b", 0);
	loop_run_for(NS_PER_S);
	loop_run_for(LIMIT_HISTORY_SECONDS * NS_PER_S);
	world_put(&world, "/a", "3", 2);
	loop_run_for(NS_PER_S);
	CHECK_EQ(store_oldest(store), 2);
	CHECK_ERR(store_watch(store, &(struct store_watch_options){ .after = 1, .ready = on_ready }, &watch), ERR_EXPIRED);
	CHECK_ERR(store_hold_at(store, 1, &version), ERR_EXPIRED);
	CHECK_OK(store_hold_at(store, 2, &version));
	CHECK_STR(store_version_find(version, STR("/a"))->data, "2");
	store_version_unref(version);
	/* The one that did not pull has lost its place, the one that had nothing to pull has not. */
	slow.most = 0;
	on_ready(&slow);
	CHECK(slow.expired);
	on_ready(&idle);
	CHECK(!idle.expired);
	CHECK_EQ(store_watch_revision(idle.watch), 3);
	store_watch_close(slow.watch);
	store_watch_close(idle.watch);
	buf_fini(&slow.seen);
	world_close(&world);
}

/* --- a commit that fails takes down what rests on it, and only that --- */

struct plan {
	int fail_at;
	int n;
};

static struct error *fail_one(void *arg, int64_t *delay)
{
	struct plan *plan = arg;

	*delay = 5 * NS_PER_MS;
	return ++plan->n == plan->fail_at ? error_new(ERR_NO_SPACE, "full") : NULL;
}

TEST(failed_commit_fails_its_followers)
{
	struct plan plan = { .fail_at = 2 };
	struct world world = { .on_disk = false };
	struct answer answers[4];
	struct viewer viewer = { 0 };

	loop_init();
	loop_sim(5, 0);
	world_reopen(&world, &(struct store_options){ .memory_plan = fail_one, .memory_arg = &plan });
	CHECK_EQ(world_put(&world, "/a", "1", 0), 1);
	view(&world, &viewer, "", 1);
	CHECK_OK(world_put_later(&world, "/a", "2", 1, &answers[0])); /* will fail */
	loop_run_for(NS_PER_MS);
	CHECK_OK(world_put_later(&world, "/a", "3", 2, &answers[1])); /* rests on it: next batch */
	loop_run_for(NS_PER_MS);
	CHECK_OK(world_put_later(&world, "/b", "4", 0, &answers[2])); /* accepted after it, a third batch */
	loop_run_for(20 * NS_PER_MS);
	for (int i = 0; i < 3; i++) {
		CHECK(answers[i].came);
		CHECK_EQ(answers[i].err->kind, i == 0 ? ERR_NO_SPACE : ERR_IO);
		error_free(answers[i].err);
	}
	CHECK_STR(world_get(&world, "/a"), "1");
	CHECK(store_find(world.store, STR("/b")) == NULL);
	CHECK_EQ(store_latest(world.store, STR("/a"))->revision, 1);
	/* There is room again; no revision is given twice. */
	CHECK_EQ(world_put(&world, "/a", "5", 1), 5);
	check_seen(&viewer, "5~/a:5<1 ");
	store_watch_close(viewer.watch);
	buf_fini(&viewer.seen);
	world_close(&world);
}
