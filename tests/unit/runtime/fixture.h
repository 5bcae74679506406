/*
 * A node of its own for a test: a directory below /tmp, one layer with busybox, a node process, a client. The functions
 * block and end the test when the node says no.
 */
#ifndef TESTS_UNIT_RUNTIME_FIXTURE_H
#define TESTS_UNIT_RUNTIME_FIXTURE_H

#include "base/arena.h"
#include "runtime/node.h"

struct fixture {
	struct arena *arena;
	char dir[64];  /* /tmp/monokube-test-XXXXXX */
	char name[32]; /* of the node and its control group */
	char socket[96];
	struct node_client *client;
	bool closed;
	/* the last exit events */
	char exited_id[64];
	struct node_container exited;
	struct node_exec_exit exec_exited;
};

void fixture_need_root(void);                    /* or skips */
void fixture_begin_directory(struct fixture *f); /* arena and directory only */
void fixture_start(struct fixture *f);
void fixture_connect(struct fixture *f);   /* subscribes */
void fixture_stop(struct fixture *f);      /* leaves nothing */
int fixture_start_node(struct fixture *f); /* exit code of the command */
int fixture_node_pid(struct fixture *f);

/* A spec of `sh -c script` in busybox. */
struct runtime_spec fixture_spec(struct fixture *f, const char *id, const char *script);

void fixture_sandbox(struct fixture *f, const char *id);
/* NULL, or the error (step in *step). */
struct error *fixture_create(struct fixture *f, const char *sandbox, const struct runtime_spec *spec, uint32_t *step);
struct error *fixture_begin(struct fixture *f, const char *id, uint32_t *step);
/* create, start, wait: the exit code. */
int fixture_run(struct fixture *f, const struct runtime_spec *spec);
void fixture_await_exit(struct fixture *f, const char *id);
void fixture_remove(struct fixture *f, const char *id);
struct node_container fixture_get(struct fixture *f, const char *id);
/* The log without times and tags: text of stdout and stderr. */
struct str fixture_log(struct fixture *f, const char *id);
/* Runs a script in a container, gives its output; *code its exit code. */
struct str fixture_exec(struct fixture *f, const char *id, const char *script, int *code);
/* Lets the client's callbacks run for at most that long. */
void fixture_pump(struct fixture *f, int ms);
/* Of a call whose answer is only an error: into *(struct error **)arg. */
void fixture_no_reply(void *arg, struct node_reply *reply);

/* Path of the driver program. */
const char *fixture_driver(void);
/* Runs a command line; its exit code. */
int fixture_command(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
