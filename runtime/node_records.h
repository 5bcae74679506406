/*
 * What a node keeps on disk about sandboxes and containers, and how: one small file each, written beside, renamed and synced,
 * so that it is the old or the new one after a power loss. Blocking; the node's one thread.
 *
 *	err = record_write(dirfd, "state", &wire_node_container_record, &record);
 *	err = record_read(arena, dirfd, "state", &wire_node_container_record, &record);
 */
#ifndef RUNTIME_NODE_RECORDS_H
#define RUNTIME_NODE_RECORDS_H

#include "runtime/node.h"
#include "runtime/wire.h"

struct node_sandbox_record {
	struct node_sandbox_create request;
	int64_t created_at;
	const char *instance; /* of the node process that made it */
	bool stopped;
};

struct node_container_record {
	struct node_container status;
	const char *instance;
	const char *cgroup;
};

struct error *record_write(int dirfd, const char *name, const struct wire_struct *type, const void *ptr) MUST_CHECK;
/* The same without syncing: for what nobody would miss after a power loss. It may then be damaged, never another's. */
struct error *record_note(int dirfd, const char *name, const struct wire_struct *type, const void *ptr) MUST_CHECK;
/* ERR_CORRUPT when it is damaged. */
struct error *record_read(struct arena *arena, int dirfd, const char *name, const struct wire_struct *type, void *ptr) MUST_CHECK;

#endif
