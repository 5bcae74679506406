/*
 * One end of a connection of the node protocol: frames with descriptors over a non-blocking unix stream socket. Used by the
 * node and by the client. Calls nobody back. After an error the connection is good for nothing but wire_conn_fini().
 *
 *	wire_conn_send(conn, &frame, &wire_node_ref, &ref, NULL, 0);
 *	err = wire_conn_flush(conn);                        // on POLLOUT, and once after sending
 *	err = wire_conn_read(conn, &open);                  // on POLLIN
 *	while ((err = wire_conn_next(conn, &in, &got)) == NULL && got) …
 */
#ifndef RUNTIME_CONN_H
#define RUNTIME_CONN_H

#include "base/vec.h"
#include "runtime/wire.h"

struct conn_fds {
	size_t at; /* offset of the frame in what is to be sent */
	int fds[WIRE_MAX_FDS];
	size_t n;
};

struct conn {
	int fd;
	struct buf in;
	struct buf out;
	VEC(int) in_fds;
	VEC(struct conn_fds) out_fds;
	size_t consumed; /* of in: the frame given by wire_conn_next */
};

struct conn_frame {
	struct wire_frame header;
	struct str body;       /* valid until the next wire_conn_next or wire_conn_read */
	int fds[WIRE_MAX_FDS]; /* the caller's */
};

void wire_conn_init(struct conn *conn, int fd); /* takes fd and makes it non-blocking */
void wire_conn_fini(struct conn *conn);
/* Queues a frame; header.length and n_fds are filled in here. Takes the descriptors. */
void wire_conn_send(struct conn *conn, struct wire_frame header, const struct wire_struct *type, const void *body, const int *fds,
		    size_t n_fds);
bool wire_conn_wants_write(const struct conn *conn);
struct error *wire_conn_flush(struct conn *conn) MUST_CHECK;
/* Reads what is there; *open false: the other end closed. */
struct error *wire_conn_read(struct conn *conn, bool *open) MUST_CHECK;
struct error *wire_conn_next(struct conn *conn, struct conn_frame *frame, bool *got) MUST_CHECK;

#endif
