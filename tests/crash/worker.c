/*
 * What the pods of tests/crash run: it tells on whoever runs beside it, says when it starts and ends, and numbers its lines.
 *
 *	worker NAME CODE     "main" ends when /shared/go is there, "init" at once, all on SIGTERM; with CODE
 *	worker hook NAME     leaves a line
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>

static volatile sig_atomic_t over;
static uint64_t run;
static int lines;

static void on_term(int signal)
{
	(void)signal;
	over = 1;
}

__attribute__((format(printf, 2, 3))) static void append(const char *path, const char *format, ...)
{
	char text[200];
	va_list args;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		exit(99);
	close(fd);
}

static void hold_lock(const char *name)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "/shared/%s.lock", name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644); /* held until our end */
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
		append("/shared/twice", "%s\n", name);
}

/* Its readiness probe connects: only when the pod's network is whole. */
static int answer(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, 16) != 0)
		exit(98);
	return fd;
}

static void say(void)
{
	printf("%016" PRIx64 " %d\n", run, ++lines);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	int listener = -1, peer;

	if (strcmp(name, "hook") == 0) {
		append("/shared/hooks", "%s\n", argc > 2 ? argv[2] : "");
		return 0;
	}
	if (argc < 3 || getrandom(&run, sizeof(run), 0) != sizeof(run))
		return 97;
	setlinebuf(stdout);
	signal(SIGTERM, on_term);
	hold_lock(name);
	append("/shared/runs", "%s start %016" PRIx64 "\n", name, run);
	if (strcmp(name, "main") == 0)
		listener = answer();
	while (!over && strcmp(name, "init") != 0 && (listener < 0 || access("/shared/go", F_OK) != 0)) {
		say();
		usleep(20000);
		while (listener >= 0 && (peer = accept(listener, NULL, NULL)) >= 0)
			close(peer);
	}
	for (int i = 0; i < 100; i++)
		say();
	append("/shared/runs", "%s end %016" PRIx64 " %d\n", name, run, lines);
	return atoi(argv[2]);
}
