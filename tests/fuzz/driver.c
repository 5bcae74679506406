/*
 * Replays a corpus through a fuzz target, for builds without libFuzzer: each file in a block of its own size, so that
 * AddressSanitizer sees one byte too many. What dies says which file did it.
 * Usage: fuzz_NAME [FILE or DIRECTORY]…      without arguments: its corpus in the tree
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define SECONDS_EACH 10
#define MOST_KB      (2 * 1024 * 1024) /* AddressSanitizer takes as much again as what it looks after */

static const char *now_at = "";
static int n_files;

/* There when a sanitizer is: what it calls before it ends the program. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void say_which(void)
{
	if (*now_at == '\0')
		return;
	printf("not ok 1 - %s\n", now_at);
	fflush(stdout);
	now_at = "";
}

static void died(int signal)
{
	(void)signal;
	say_which();
	_exit(1);
}

static bool replay_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	data = xmalloc((size_t)st.st_size + (st.st_size == 0));
	if (read(fd, data, (size_t)st.st_size) != st.st_size)
		return false;
	close(fd);
	now_at = path;
	alarm(SECONDS_EACH);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	alarm(0);
	now_at = "";
	free(data);
	n_files++;
	return true;
}

static bool replay(const char *path)
{
	DIR *dir = opendir(path);
	bool fine = true;

	if (dir == NULL)
		return replay_file(path);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char below[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		fine = replay_file(below) && fine;
	}
	closedir(dir);
	return fine;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
	struct rusage usage;
	char corpus[4096];
	bool fine = true;

	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(say_which);
	signal(SIGABRT, died);
	signal(SIGALRM, died);
	snprintf(corpus, sizeof(corpus), "%s/%s", FUZZ_CORPUS, name + strlen("fuzz_"));
	for (int i = 1; i < argc; i++)
		fine = replay(argv[i]) && fine;
	if (argc == 1)
		fine = replay(corpus);
	getrusage(RUSAGE_SELF, &usage);
	if (!fine || n_files == 0 || usage.ru_maxrss > MOST_KB) {
		printf("not ok 1 - %s: %d files, %ld MB\n", name, n_files, usage.ru_maxrss / 1024);
		return 1;
	}
	printf("ok 1 - %s: %d files, %ld MB\n1..1\n", name, n_files, usage.ru_maxrss / 1024);
	return 0;
}
