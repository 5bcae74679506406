/*
 * What the two files of the client share; private to the folder. client.c has calls, and the way to a connection;
 * client_link.c what a connection says.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <http_parser.h>

#include "http/private.h"

struct link_conn {
	struct list link;           /* in client.links */
	struct http_client *client; /* NULL: the client is gone, and so is this, soon */
	struct stream *stream;
	struct http_call *call; /* NULL: idle */
	http_parser parser;
	struct buf in; /* came, not parsed: the call is paused */
	struct buf name, value;
	bool in_value;
	size_t header_bytes;
	VEC(struct http_header) headers;
	bool message_done;
	bool informational; /* the headers that come in are of a 1xx */
	bool used;          /* it has carried a call before */
	bool fresh_bytes;   /* of the current call's answer */
	bool keep;
	bool dead;
	struct loop_timer idle;
	struct loop_call process;
};

struct http_call {
	struct list link; /* in client.calls */
	struct http_client *client;
	struct http_call_options options;
	struct buf head;  /* request line, headers, and a body that is known */
	struct buf early; /* of a streamed body, before there is a connection */
	bool input_done;  /* the request is complete */
	bool chunked;     /* the request's body */
	bool head_request;
	bool idempotent;
	bool retried;
	bool responded;
	bool paused;
	bool waiting; /* for a connection to be free */
	bool over;
	struct dial *dial;
	struct link_conn *conn;
	struct arena *arena; /* of the response */
	struct http_response response;
	struct loop_timer timeout, deadline;
};

struct http_client {
	struct http_client_options options;
	char *host, *path, *server_name;
	char *host_header;
	struct list calls;
	struct list links;
	unsigned n_links; /* dials included */
};

/* --- client.c --- */

void call_begin(struct http_call *call);                    /* on a link that is idle, else on a new one, else it waits */
void call_ended(struct http_call *call, struct error *err); /* tells its owner; takes err; harmless when it is over */
void call_detach(struct http_call *call);                   /* off all lists and timers; nothing is told */

/* --- client_link.c --- */

void client_link_new(struct http_client *client, struct stream *stream, struct http_call *call); /* takes the stream */
void client_link_send(struct link_conn *conn, struct http_call *call);
void client_link_resume(struct link_conn *conn); /* its call is not paused any more */
void client_link_close(struct link_conn *conn);

#endif
