/* kill -9 under load: what was acknowledged is there, and no revision is given twice. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/fault_vfs.h"
#include "tests/unit/store/world.h"

#define ROUNDS 8
#define KEYS   20

/* What the victim tells of each acknowledged write. */
struct note {
	uint64_t revision;
	uint32_t key;
	uint32_t value;
};

struct writer {
	struct store *store;
	int fd;
	uint32_t key;
	uint32_t value;
	bool renewal;
};

static void write_next(struct writer *writer);

static void written(void *arg, struct error *err, const struct store_result *result)
{
	struct writer *writer = arg;
	struct note note = { result->revision, writer->key, writer->renewal ? 0 : writer->value };

	if (err != NULL || write(writer->fd, &note, sizeof(note)) != sizeof(note))
		_exit(3);
	write_next(writer);
}

static void write_next(struct writer *writer)
{
	char key[16], data[16];
	struct store_op op = { .expect = STORE_ANY };
	struct error *err;

	snprintf(key, sizeof(key), "/%u", writer->key);
	op.key = str_from(key);
	writer->renewal = writer->value % 5 == 3 && store_latest(writer->store, op.key) != NULL;
	writer->value++;
	snprintf(data, sizeof(data), "%u", writer->value);
	op.data = str_from(data);
	err = store_commit(
		writer->store,
		&(struct store_commit){ .ops = &op, .n_ops = 1, .renewal = writer->renewal, .done = written, .arg = writer });
	if (err != NULL)
		_exit(4);
}

static void victim(const char *path, int fd, uint32_t value)
{
	struct writer writers[KEYS];
	struct store *store = NULL;
	struct error *err;

	loop_init();
	err = store_open(&(struct store_options){ .path = path }, &store);
	if (err != NULL) {
		fprintf(stderr, "# %s\n", err->text);
		_exit(5);
	}
	for (uint32_t i = 0; i < KEYS; i++) {
		writers[i] = (struct writer){ .store = store, .fd = fd, .key = i, .value = value };
		write_next(&writers[i]);
	}
	loop_run();
	_exit(6);
}

TEST(kill_loses_nothing_that_was_acknowledged)
{
	uint32_t acknowledged[KEYS] = { 0 };
	uint64_t last = 0, total = 0;
	struct world world;

	world_open(&world, true);
	world_close_store(&world);
	loop_fini();
	srand(11);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		int fds[2], status;
		struct note note;
		uint64_t first = 0, highest = last;
		pid_t child;

		CHECK(pipe(fds) == 0);
		child = fork();
		if (child == 0) {
			close(fds[0]);
			victim(world.path, fds[1], (round + 1) * 1000000);
		}
		close(fds[1]);
		CHECK_EQ(read(fds[0], &note, sizeof(note)), sizeof(note)); /* it works */
		first = note.revision;
		usleep((useconds_t)(rand() % 50000));
		kill(child, SIGKILL);
		do {
			if (note.value != 0)
				acknowledged[note.key] = note.value;
			CHECK(note.revision > last); /* never one from before the last kill */
			if (note.revision > highest)
				highest = note.revision;
			total++;
		} while (read(fds[0], &note, sizeof(note)) == sizeof(note));
		close(fds[0]);
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFSIGNALED(status));
		CHECK(first > last);
		last = highest;

		loop_init();
		world_reopen(&world, NULL);
		CHECK(store_revision(world.store) >= last);
		for (int i = 0; i < KEYS; i++) {
			char key[16];

			snprintf(key, sizeof(key), "/%d", i);
			/* Later ones may have been written without the answer getting out. */
			CHECK(atoi(world_get(&world, key).ptr) >= (int)acknowledged[i]);
		}
		world_close_store(&world);
		loop_fini();
	}
	printf("# %llu writes acknowledged\n", (unsigned long long)total);
	loop_init();
	world_close(&world);
}

/* --- power loss, at every write of a workload --- */

#define STEPS 30

/* One commit after the other: puts, deletes, two keys at once, renewals. What was acknowledged is told to the parent. */
static void workload(const char *path, int fd, long power_at)
{
	struct world world = { .on_disk = true };
	uint64_t revision;

	fault_vfs_install();
	srand((unsigned)power_at);
	fault_power_at = power_at;
	snprintf(world.path, sizeof(world.path), "%s", path);
	loop_init();
	world_reopen(&world, &(struct store_options){ .vfs = "fault" });
	for (uint32_t i = 0; i < STEPS; i++) {
		char key[16], data[3000];
		struct note note = { 0, i % 7, i + 1 };

		snprintf(key, sizeof(key), "/%u", i % 7);
		memset(data, 'x', sizeof(data));
		data[snprintf(data, sizeof(data), "%u ", i + 1)] = 'x';
		data[sizeof(data) - 1] = '\0';
		if (i % 11 == 10) {
			note.revision = world_renew(&world, key, data);
			continue;
		}
		revision = world_put(&world, key, data, STORE_ANY);
		note.revision = revision;
		if (write(fd, &note, sizeof(note)) != sizeof(note))
			_exit(3);
	}
	world_close_store(&world);
	_exit(0);
}

static void check_integrity(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *statement = NULL;

	CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
	CHECK_EQ(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_step(statement), SQLITE_ROW);
	CHECK_STR((const char *)sqlite3_column_text(statement, 0), "ok");
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

/* False when the workload came to its end. */
static bool lose_power_at(const char *dir, long power_at)
{
	uint32_t acknowledged[7] = { 0 };
	struct world world = { .on_disk = true };
	struct note note;
	uint64_t last = 0;
	int fds[2], status;
	pid_t child;

	snprintf(world.path, sizeof(world.path), "%s/%ld.db", dir, power_at);
	CHECK(pipe(fds) == 0);
	child = fork();
	if (child == 0) {
		close(fds[0]);
		workload(world.path, fds[1], power_at);
	}
	close(fds[1]);
	while (read(fds[0], &note, sizeof(note)) == sizeof(note)) {
		CHECK(note.revision > last);
		last = note.revision;
		acknowledged[note.key] = note.value;
	}
	close(fds[0]);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAULT_EXIT));
	loop_init();
	world_reopen(&world, NULL);
	CHECK(store_revision(world.store) >= last);
	for (int i = 0; i < 7; i++) {
		char key[16];

		snprintf(key, sizeof(key), "/%d", i);
		if (acknowledged[i] > 0 && atoi(world_get(&world, key).ptr) < (int)acknowledged[i])
			tap_fail(__FILE__, __LINE__, "power lost at write %ld: key %d is at %.10s, not %u", power_at, i,
				 world_get(&world, key).ptr, acknowledged[i]);
	}
	CHECK(world_put(&world, "/after", "x", 0) > last);
	world_close_store(&world);
	loop_fini();
	check_integrity(world.path);
	return WEXITSTATUS(status) == FAULT_EXIT;
}

TEST(power_loss_loses_nothing_that_was_acknowledged)
{
	char dir[] = "/tmp/monokube-power-XXXXXX", command[64];
	long at = 1;

	CHECK(mkdtemp(dir) != NULL);
	while (lose_power_at(dir, at))
		at++;
	CHECK(at > 2 * STEPS); /* it did lose power, and often */
	printf("# power was lost at each of %ld writes\n", at - 1);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK_EQ(system(command), 0);
}
