/* A server that answers some paths, and clients of it. */
#ifndef TESTS_HTTP_WORLD_H
#define TESTS_HTTP_WORLD_H

#include "http/http.h"
#include "tests/unit/tap.h"

enum transport { MEMORY, MEMORY_TLS, TCP, TCP_TLS, MEMORY_SIMULATED };

struct world {
	struct http_server *server;
	struct http_client *client;
	struct http_tls *server_tls, *client_tls;
	struct buf ca, ca_key, server_cert, server_key, client_cert, client_key;
	uint16_t port;
	struct http_listener *listener;
	bool closed;
	/* What handlers saw. */
	int handled;
	int gone;    /* closed() came */
	int waiting; /* requests to /wait that are open */
	size_t uploaded;
	size_t produced; /* bytes that /produce has written */
	size_t most_pending;
};

void world_open(struct world *world, enum transport transport);
void world_open_with(struct world *world, enum transport transport, struct http_server_options options);
void world_open_with_key(struct world *world, const char *key); /* TCP_TLS; both certificates are of this key */
void world_open_simulated(struct world *world);                 /* in memory, on virtual time */
void world_close(struct world *world);

struct got {
	bool came;
	struct error *err;
	int status;
	struct buf headers;
	struct buf body;
	size_t length;
	bool responded;
};

void world_fetch(struct world *world, struct http_call_options call, struct got *got); /* waits */
void world_get(struct world *world, const char *target, struct got *got);
void got_fini(struct got *got);
bool got_came(void *got);

/* One end of a raw connection and what it heard. */
struct raw {
	struct stream *stream;
	struct buf in;
	bool over; /* ended or failed */
};
void raw_open(struct world *world, struct raw *raw);
void raw_send(struct raw *raw, const char *text);
bool raw_has(struct raw *raw, const char *text); /* waits up to 2 s */
bool raw_over(struct raw *raw);                  /* likewise */
void raw_close(struct raw *raw);

#endif
