/* What the two files of HTTP/1.1 share; private to the folder. h1.c hears requests, h1_answer.c writes answers. */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include <http_parser.h>

#include "http/private.h"

struct h1 {
	struct conn conn;
	http_parser parser;
	struct buf in;             /* came, not parsed */
	struct exchange *exchange; /* the current one, until it ended */

	struct arena *arena; /* of the headers that come in; moves to the exchange */
	struct buf target;
	struct buf name;
	struct buf value;
	bool in_value;
	VEC(struct http_header) headers;
	size_t header_bytes;
	int refuse;        /* status to refuse the message with */
	char last_byte;    /* of the headers, or of what frames a chunk, so far */
	bool framing;      /* a chunk's length or trailers come, not data */
	size_t line_bytes; /* of it */

	bool headers_done;      /* a callback paused the parser here… */
	bool message_done;      /* …or here */
	bool body_pending;      /* the request's body is not complete */
	bool answering;         /* between dispatch and the end of the answer */
	bool continue_wanted;   /* Expect: 100-continue, not yet answered */
	bool chunked;           /* our answer */
	bool keep;              /* the connection, after this answer */
	bool last;              /* close when this answer is done */
	struct str *processing; /* on the stack: what it has not parsed yet */
	bool broken;            /* what comes in makes no sense any more */
	bool dead;
	bool input_ended;
	size_t discarded;
	struct loop_call process;
	struct loop_call bury;
};

/* --- h1.c --- */

void h1_process_soon(struct h1 *h1); /* what came and is not parsed yet */
void h1_say_goodbye(struct h1 *h1);  /* what was written goes out, then the connection is gone */
void h1_die(struct h1 *h1);          /* the stream is closed or given away */

/* --- h1_answer.c --- */

extern const struct carrier_ops h1_ops;

#endif
