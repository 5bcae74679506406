/* A server on virtual time that hears given bytes, in pieces of a given size, and writes down what its handlers saw. */
#ifndef TESTS_FUZZ_TALK_H
#define TESTS_FUZZ_TALK_H

#include "http/http.h"
#include "tests/fuzz/fuzz.h"

struct talk {
	struct str input;
	size_t piece; /* bytes written at once; 0: all */
	bool websockets;
	/* Results. */
	struct buf seen;   /* what handlers saw, a line each */
	struct buf answer; /* what the peer heard */
};

void talk_run(struct talk *talk);
void talk_fini(struct talk *talk);

/* A connection that says the input to whoever is on the other end, in pieces, and then no more. */
struct speaker {
	struct stream *stream;
	struct str rest;
	size_t piece;
	struct buf *heard; /* may be NULL */
	bool over;
	struct loop_call say;
};
void speaker_start(struct speaker *speaker, struct stream *stream);

#endif
