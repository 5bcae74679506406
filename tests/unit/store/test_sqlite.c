/* What only a store on disk does: coming back, and trouble. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/store/fault_vfs.h"
#include "tests/unit/store/world.h"

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

/* Changes the file behind the store's back, while it is closed. */
static void run_sql(const struct world *world, const char *sql)
{
	sqlite3 *db = NULL;

	CHECK_EQ(sqlite3_open(world->path, &db), SQLITE_OK);
	CHECK_EQ(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

static long count_rows(const struct world *world)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;
	long n;

	CHECK_EQ(sqlite3_open(world->path, &db), SQLITE_OK);
	CHECK_EQ(sqlite3_prepare_v2(db, "SELECT count(*) FROM log", -1, &statement, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_step(statement), SQLITE_ROW);
	n = (long)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return n;
}

static struct buf seen;
static struct store_watch *watch;

static void collect(void *arg)
{
	struct store_event event;

	(void)arg;
	while (store_watch_pull(watch, &event) == STORE_WATCH_EVENT)
		buf_printf(&seen, "%llu%.*s:%.*s<%.*s ", (unsigned long long)event.revision, STR_ARG(event.key),
			   STR_ARG(event.value != NULL ? event.value->data : STR("-")),
			   STR_ARG(event.old != NULL ? event.old->data : STR("")));
}

TEST(store_comes_back_with_its_window)
{
	struct world world;
	struct store_version *version = NULL;
	struct stat st;

	world_open(&world, true);
	CHECK(stat(world.path, &st) == 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	world_put(&world, "/a", "1", 0);
	world_put(&world, "/b", "2", 0);
	world_put(&world, "/a", "3", 1);
	world_delete(&world, "/b", 2);
	world_close_store(&world);
	world_reopen(&world, NULL);
	CHECK_EQ(store_revision(world.store), 4);
	CHECK_EQ(store_oldest(world.store), 0);
	CHECK_STR(world_get(&world, "/a"), "3");
	CHECK_EQ(store_find(world.store, STR("/a"))->created, 1);
	CHECK_STR(store_find(world.store, STR("/a"))->actor, "tester");
	CHECK(store_find(world.store, STR("/b")) == NULL);
	CHECK_OK(store_hold_at(world.store, 2, &version));
	CHECK_STR(store_version_find(version, STR("/a"))->data, "1");
	CHECK_STR(store_version_find(version, STR("/b"))->data, "2");
	store_version_unref(version);
	CHECK_OK(store_watch(world.store, &(struct store_watch_options){ .after = 1, .ready = collect }, &watch));
	loop_run_for(NS_PER_MS);
	CHECK_STR(buf_str(&seen), "2/b:2< 3/a:3<1 4/b:-<2 ");
	store_watch_close(watch);
	buf_fini(&seen);
	CHECK_EQ(world_put(&world, "/c", "x", 0), 5);
	world_close(&world);
}

TEST(window_reaches_back_five_minutes_only)
{
	struct world world;
	struct store_version *version = NULL;

	world_open(&world, true);
	world_put(&world, "/a", "1", 0);
	world_put(&world, "/a", "2", 1);
	world_put(&world, "/a", "3", 2);
	world_close_store(&world);
	run_sql(&world, "UPDATE log SET time = time - 400000000000 WHERE revision < 3");
	world_reopen(&world, NULL);
	CHECK_EQ(store_oldest(world.store), 2);
	CHECK_ERR(store_hold_at(world.store, 1, &version), ERR_EXPIRED);
	CHECK_OK(store_hold_at(world.store, 2, &version));
	CHECK_STR(store_version_find(version, STR("/a"))->data, "2");
	store_version_unref(version);
	world_close(&world);
}

TEST(renewals_survive_an_orderly_end)
{
	struct world world;
	uint64_t revision;

	world_open(&world, true);
	world_put(&world, "/lease", "1", 0);
	for (int i = 0; i < 5; i++)
		world_renew(&world, "/lease", "renewed");
	revision = store_revision(world.store);
	CHECK_EQ(revision, 6);
	world_close_store(&world);
	world_reopen(&world, NULL);
	CHECK_STR(world_get(&world, "/lease"), "renewed");
	CHECK_EQ(store_find(world.store, STR("/lease"))->revision, 6);
	CHECK_EQ(store_revision(world.store), 6);
	CHECK_EQ(world_put(&world, "/lease", "2", 6), 7);
	world_close(&world);
}

TEST(second_server_is_told)
{
	struct world world;
	struct store *second = NULL;

	world_open(&world, true);
	CHECK_ERR(store_open(&(struct store_options){ .path = world.path }, &second), ERR_BUSY);
	CHECK_EQ(world_put(&world, "/a", "1", 0), 1);
	world_close(&world);
}

TEST(newer_foreign_and_broken_files_are_refused)
{
	struct world world;
	struct store *store = NULL;
	AUTO_FD int fd = -1;

	world_open(&world, true);
	world_put(&world, "/a", "1", 0);
	world_close_store(&world);
	run_sql(&world, "PRAGMA user_version = 99");
	CHECK_ERR(store_open(&(struct store_options){ .path = world.path }, &store), ERR_NEWER);
	run_sql(&world, "PRAGMA user_version = 1; PRAGMA application_id = 5");
	CHECK_ERR(store_open(&(struct store_options){ .path = world.path }, &store), ERR_CORRUPT);
	fd = open(world.path, O_RDWR);
	CHECK_EQ(pwrite(fd, "this is no database at all, but text", 36, 0), 36);
	CHECK_ERR(store_open(&(struct store_options){ .path = world.path }, &store), ERR_CORRUPT);
	CHECK_ERR(store_open(&(struct store_options){ .path = "/nonexistent/dir/state.db" }, &store), ERR_NOT_FOUND);
	world_close(&world);
}

TEST(torn_page_is_corrupt)
{
	struct world world;
	struct store *store = NULL;
	char junk[4096], key[32];
	AUTO_FD int fd = -1;
	struct stat st;

	world_open(&world, true);
	for (int i = 0; i < 200; i++) {
		struct answer answer;

		snprintf(key, sizeof(key), "/some/key/%d", i);
		CHECK_OK(world_put_later(&world, key, "some data that takes room, and some more of it", 0, &answer));
		world_wait(&answer);
	}
	world_close_store(&world);
	fd = open(world.path, O_RDWR);
	CHECK(fstat(fd, &st) == 0);
	memset(junk, 0x5a, sizeof(junk));
	for (off_t at = 4096; at < st.st_size; at += 4096)
		CHECK_EQ(pwrite(fd, junk, sizeof(junk), at), 4096);
	CHECK_ERR(store_open(&(struct store_options){ .path = world.path }, &store), ERR_CORRUPT);
	world_close(&world);
}

TEST(full_disk_fails_writes_until_there_is_room)
{
	struct store_options options = { .vfs = "fault" };
	struct answer answers[3];
	struct world world;

	world_open(&world, true);
	world_close_store(&world);
	fault_vfs_install();
	world_reopen(&world, &options);
	world_put(&world, "/a", "1", 0);
	for (int round = 0; round < 2; round++) {
		_Atomic bool *fault = round == 0 ? &fault_full : &fault_sync;

		*fault = true;
		for (int i = 0; i < 3; i++) {
			CHECK_OK(world_put_later(&world, "/a", "lost", STORE_ANY, &answers[i]));
			if (i == 1)
				loop_run_for(0);
		}
		for (int i = 0; i < 3; i++) {
			CHECK(loop_run_until(world_came, &answers[i], NS_PER_S));
			CHECK_EQ(answers[i].err->kind, round == 0 ? ERR_NO_SPACE : ERR_IO);
			CHECK_EQ(answers[i].revision, 0);
			error_free(answers[i].err);
		}
		CHECK_STR(world_get(&world, "/a"), round == 0 ? "1" : "2");
		*fault = false;
		world_put(&world, "/a", round == 0 ? "2" : "3", store_latest(world.store, STR("/a"))->revision);
	}
	world_close_store(&world);
	world_reopen(&world, NULL);
	CHECK_STR(world_get(&world, "/a"), "3");
	world_close(&world);
}

TEST(idle_store_does_not_touch_the_disk)
{
	struct store_options options = { .vfs = "fault" };
	struct world world;
	long writes;

	world_open(&world, true);
	world_close_store(&world);
	fault_vfs_install();
	world_reopen(&world, &options);
	world_put(&world, "/lease", "1", 0);
	world_renew(&world, "/lease", "2");
	writes = fault_writes;
	for (int i = 0; i < 100; i++)
		world_renew(&world, "/lease", "3");
	loop_run_for(50 * NS_PER_MS);
	CHECK_EQ(fault_writes, writes);
	world_close(&world);
}

TEST(read_only_file_is_told)
{
	struct store_options options = { .vfs = "fault" };
	struct world world;
	struct store *store = NULL;

	world_open(&world, true);
	world_close_store(&world);
	fault_vfs_install();
	fault_read_only = true; /* permissions would not stop root */
	options.path = world.path;
	CHECK_ERR(store_open(&options, &store), ERR_READ_ONLY);
	fault_read_only = false;
	world_close(&world);
}

TEST(superseded_rows_go_after_a_while)
{
	struct world world;
	char key[16];

	world_open(&world, true);
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "/%d", i);
		for (int j = 0; j < 5; j++)
			world_put(&world, key, "data", STORE_ANY);
	}
	for (int i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "/%d", i);
		world_delete(&world, key, STORE_ANY);
	}
	CHECK_EQ(store_revision(world.store), 53);
	world_close_store(&world);
	CHECK_EQ(count_rows(&world), 53);
	/* A day and a bit passes. */
	run_sql(&world, "UPDATE log SET time = time - 90000000000000");
	world_reopen(&world, NULL);
	world_put(&world, "/new", "x", 0); /* 64 rows are looked at along with it */
	CHECK_EQ(store_stats(world.store).compacted, 46);
	CHECK_EQ(store_oldest(world.store), 53);
	world_close_store(&world);
	CHECK_EQ(count_rows(&world), 8);
	world_reopen(&world, NULL);
	CHECK_EQ(store_stats(world.store).keys, 8);
	CHECK_EQ(world_put(&world, "/0", "back", 0), 55);
	world_close(&world);
}

TEST(history_is_bounded_by_size_too)
{
	struct store_options options = { .history_bytes = 5000 };
	struct world world;
	char big[1001];

	memset(big, 'x', 1000);
	big[1000] = '\0';
	world_open(&world, true);
	for (int i = 0; i < 20; i++)
		world_put(&world, "/a", big, STORE_ANY);
	world_close_store(&world);
	run_sql(&world, "UPDATE log SET time = time - 700000000000"); /* out of the window */
	world_reopen(&world, &options);
	CHECK(store_stats(world.store).history_bytes > 15000);
	world_put(&world, "/a", big, STORE_ANY);
	CHECK(store_stats(world.store).history_bytes <= 6100);
	CHECK(store_stats(world.store).compacted > 10);
	world_close(&world);
}

/* --- snapshot --- */

struct shot {
	struct error *err;
	bool came;
};

static void on_shot(void *arg, struct error *err)
{
	struct shot *shot = arg;

	shot->err = err;
	shot->came = true;
}

static bool shot_came(void *arg)
{
	return ((struct shot *)arg)->came;
}

static void on_copy_closed(void *arg)
{
	*(bool *)arg = true;
}

TEST(snapshot_while_writes_go_on)
{
	struct shot shot = { 0 }, second = { 0 };
	struct answer answers[50];
	struct world world;
	struct store *copy = NULL;
	char path[100], key[32], big[4001];
	bool closed = false;

	memset(big, 'y', 4000);
	big[4000] = '\0';
	world_open(&world, true);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "/%d", i);
		CHECK_OK(world_put_later(&world, key, big, 0, i % 100 == 99 ? &answers[0] : NULL));
		if (i % 100 == 99)
			world_wait(&answers[0]);
	}
	snprintf(path, sizeof(path), "%s/copy.db", world.dir);
	store_snapshot(world.store, path, on_shot, &shot);
	for (int i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "/%d", i);
		CHECK_OK(world_put_later(&world, key, "changed", STORE_ANY, &answers[i]));
		loop_run_for(NS_PER_MS / 10);
	}
	for (int i = 0; i < 50; i++)
		world_wait(&answers[i]);
	CHECK(loop_run_until(shot_came, &shot, 10 * NS_PER_S));
	CHECK_OK(shot.err);
	CHECK_OK(store_open(&(struct store_options){ .path = path }, &copy));
	CHECK_EQ(store_stats(copy).keys, 1000);
	CHECK(store_revision(copy) >= 1000 && store_revision(copy) <= 1050);
	/* A prefix of the writes: nothing later without everything before. */
	for (uint64_t i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "/%d", (int)i);
		CHECK_EQ(store_find(copy, str_from(key))->revision, 1001 + i <= store_revision(copy) ? 1001 + i : 1 + i);
	}
	store_close(copy, on_copy_closed, &closed);
	CHECK(loop_run_until(is_true, &closed, NS_PER_S));
	store_snapshot(world.store, path, on_shot, &second);
	CHECK(loop_run_until(shot_came, &second, NS_PER_S));
	CHECK_ERR(second.err, ERR_EXISTS);
	world_close(&world);
}

/* sqlite_parts.c: what is not in the program is unknown to SQL, and no more than that. */
TEST(sqlite_has_only_what_the_log_needs)
{
	static const char *const refused[] = {
		"CREATE VIRTUAL TABLE t USING fts5 (a)",
		"CREATE VIRTUAL TABLE t USING rtree (a, b, c)",
		"SELECT * FROM sqlite_stmt",
		"SELECT json('{}')",
		"SELECT datetime('now')",
		"SELECT load_extension('x')",
	};
	struct world world;
	sqlite3 *db = NULL;

	world_open(&world, true);
	CHECK_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		CHECK_EQ(sqlite3_exec(db, refused[i], NULL, NULL, NULL), SQLITE_ERROR);
	CHECK_EQ(sqlite3_exec(db, "SELECT total(length('a')), max(1, pow(2, 3)), log(2), upper('a') LIKE 'A'", NULL, NULL, NULL),
		 SQLITE_OK);
	CHECK_EQ(sqlite3_close(db), SQLITE_OK);
	world_close(&world);
}
