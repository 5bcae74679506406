/*
 * An API server on virtual time, with its store in memory, and HTTP clients of it over streams in memory. Commits take up to
 * 20 ms, in an order that repeats with the seed.
 *
 *	world_open(&world, 1);
 *	struct got *got = world_ask(&world, "GET", "/api/v1/namespaces/default", NULL, NULL);
 *	CHECK_EQ(got->status, 200);
 *	CHECK_STR(json_path_str(got->json, "metadata.name"), "default");
 *	world_close(&world);
 *
 * Answers lie on the world's arena.
 */
#ifndef TESTS_UNIT_APISERVER_WORLD_H
#define TESTS_UNIT_APISERVER_WORLD_H

#include "apiserver/server.h"
#include "client/client.h"
#include "http/http.h"
#include "tests/unit/tap.h"

struct world {
	struct arena *arena;
	struct store *store;
	struct apiserver *apiserver;
	struct http_server *server;
	struct http_client *client;
	struct pki_key *key;
	bool ended;
};

void world_open(struct world *world, uint64_t seed);
void world_close(struct world *world);
/* The API server ends and another one starts on the same store. */
void world_restart(struct world *world);

struct got {
	struct world *world;
	bool came;
	int status; /* 0: no answer */
	struct str type;
	size_t n_warnings;
	struct str text;
	const struct json *json; /* NULL when it is none */
	struct http_fetch *fetch;
};

/* accept and type may be NULL: JSON. body: JSON or YAML as type says; NULL: none. */
struct question {
	const char *method, *target, *accept, *type, *body;
};
struct got *world_send(struct world *world, const struct question *question); /* does not wait */
void world_leave(struct got *got);                                            /* the client goes away */
struct got *world_wait(struct got *got);                                      /* until it came */
struct got *world_put(struct world *world, const struct question *question);  /* both */
struct got *world_ask(struct world *world, const char *method, const char *target, const char *type, const char *body);

/* Lines of a watch as they come. */
struct seen {
	struct world *world;
	struct http_call *call;
	int status;
	struct buf text;
	bool ended;
};
struct seen *world_watch(struct world *world, const char *target);
/* The nth event (from 0), waited for. Fails the test when it does not come within a minute. */
const struct json *seen_event(struct seen *seen, size_t n);
size_t seen_count(const struct seen *seen);
void seen_close(struct seen *seen);

#endif
