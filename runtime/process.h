/*
 * The child's side: from clone to execve. Private to container.c.
 *
 * Everything runs with the rights of the machine's root until become_user() and caps_apply() drop them. An error ends the
 * child; its step and text go to the parent.
 */
#ifndef RUNTIME_PROCESS_H
#define RUNTIME_PROCESS_H

#include "runtime/container.h"

enum sync_type { SYNC_MAPS = 1, SYNC_CONSOLE, SYNC_READY, SYNC_ERROR, SYNC_GO };

/* One datagram of the handshake. */
#define SYNC_TEXT 2000
struct sync_message {
	uint32_t type; /* enum sync_type */
	uint32_t step; /* enum node_step */
	uint32_t kind; /* enum error_kind */
	int32_t code;
	char text[SYNC_TEXT]; /* NUL-terminated */
};

struct error *sync_send(int sync, const struct sync_message *message, int fd) MUST_CHECK;

_Noreturn void process_main(const struct container_setup *setup, int sync);

#endif
