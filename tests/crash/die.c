/*
 * Linked into tests/crash/monokube beside everything that monokube is made of; the product knows nothing of it. It stands
 * at every boundary of every task (task_observe()) and ends the process there, as kill -9 would, when a test asked for it.
 *
 *	MONOKUBE_BOUNDARIES=1 monokube         prints every boundary of the tasks of a pod, from their step tables
 *	MONOKUBE_DIE=DIR monokube start …      the server looks into DIR/at whenever it comes to a boundary
 *
 * DIR/at holds "TASK|SUBJECT|STEP", where SUBJECT may be empty (any), and STEP is the name of a step, "undo " and a name,
 * or "end". A second line cancels a task at a boundary first, so that its undo column is gone through; it is used up then.
 * The file is removed before the process ends: the next server goes on. With "cut " in front, only its connections to
 * node processes and the hub end there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kubelet/private.h"

static const struct {
	const char *task;
	const struct task_step *steps;
} tables[] = {
	{ "start sandbox", start_sandbox_steps },
	{ "start container", start_container_steps },
	{ "stop container", stop_container_steps },
	{ "stop pod", stop_pod_steps },
};

static char file[4000];

static void print_boundaries(void)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct task_step *step = tables[i].steps; step->name != NULL; step++) {
			printf("%s|%s\n", tables[i].task, step->name);
			if (step->undo != NULL)
				printf("%s|undo %s\n", tables[i].task, step->name);
		}
		printf("%s|end\n", tables[i].task);
	}
}

static bool matches(const char *line, const struct task_boundary *at)
{
	char task[64] = "", subject[300] = "", step[64] = "", here[80];

	if (sscanf(line, "%63[^|]|%299[^|]|%63[^\n]", task, subject, step) != 3 &&
	    sscanf(line, "%63[^|]||%63[^\n]", task, step) != 2)
		return false;
	snprintf(here, sizeof(here), "%s%s", at->undo ? "undo " : "", at->step != NULL ? at->step : "end");
	return strcmp(task, at->task) == 0 && strcmp(step, here) == 0 &&
	       (subject[0] == '\0' || (at->subject != NULL && strcmp(subject, at->subject) == 0));
}

static bool leads_to_node(int fd)
{
	struct sockaddr_un peer = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(peer) - 1; /* a path that is cut off still ends with NUL */

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sun_family == AF_UNIX &&
	       (strstr(peer.sun_path, "/node.sock") != NULL || strstr(peer.sun_path, "/hub.sock") != NULL);
}

static void cut_connections(void)
{
	for (int fd = 3; fd < 1024; fd++)
		if (leads_to_node(fd))
			shutdown(fd, SHUT_RDWR);
}

static void on_boundary(void *arg, const struct task_boundary *at)
{
	char text[1000] = "", *second;
	bool cut;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	(void)arg;
	if (fd < 0)
		return;
	close(fd);
	cut = strncmp(text, "cut ", 4) == 0;
	second = n > 0 ? strchr(text, '\n') : NULL;
	if (second != NULL && second[1] != '\0') {
		if (!matches(second + 1, at))
			return;
		if (truncate(file, second - text) == 0)
			task_cancel(at->handle, error_new(ERR_CANCELED, "a test called it off"));
	} else if (matches(cut ? text + 4 : text, at)) {
		unlink(file);
		if (cut)
			cut_connections();
		else
			kill(getpid(), SIGKILL);
	}
}

__attribute__((constructor)) static void stand_by(void)
{
	const char *dir = getenv("MONOKUBE_DIE");

	if (getenv("MONOKUBE_BOUNDARIES") != NULL) {
		print_boundaries();
		exit(0);
	}
	if (dir == NULL)
		return;
	snprintf(file, sizeof(file), "%s/at", dir);
	task_observe(on_boundary, NULL);
}
