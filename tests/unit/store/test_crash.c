/* kill -9 under load: what was acknowledged is there, and no revision is given twice. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/world.h"

#define ROUNDS 8
#define KEYS 20

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
	err = store_commit(writer->store, &(struct store_commit){ .ops = &op, .n_ops = 1, .renewal = writer->renewal,
								  .done = written, .arg = writer });
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
