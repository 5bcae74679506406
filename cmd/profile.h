/*
 * A profile: one cluster of this machine, and where its things are. Plain data and blocking files; the server and the
 * commands both use it. Private to cmd.
 *
 *	/var/lib/monokube/profiles/NAME/       ($MONOKUBE_HOME instead of /var/lib/monokube)
 *	    config.json     what it was started with: nodes, ports, its network
 *	    state.db        the store
 *	    pki/            CA and token key
 *	    admin.conf      a kubeconfig
 *	    server.log      of the server
 *	    server.pid      of a running server; locked by it, so a stale one is known as such
 *	    server.ready    process id of the server whose nodes are all Ready
 *	    hub.sock        of the hub
 *	    nodes/NODE/     root/: the node's file system; node.sock, node.log
 */
#ifndef CMD_PROFILE_H
#define CMD_PROFILE_H

#include "base/base.h"

struct profile {
	const char *name;
	const char *dir;
	const char *images; /* the store that all profiles share */
	/* config.json */
	int64_t nodes;
	int64_t port;       /* of the API server on the host's loopback; 0: not chosen yet */
	int64_t slot;       /* which /24: 192.168.(49+slot).0; -1: not chosen yet */
	const char *listen; /* address on the host: "127.0.0.1" */
};

struct error *profile_open(struct arena *arena, const char *name,
			   struct profile *out) MUST_CHECK; /* also one that does not exist */
struct error *profile_check_name(const char *name) MUST_CHECK;
bool profile_exists(const struct profile *profile);
struct error *profile_save(const struct profile *profile) MUST_CHECK;
/* Calls fn with the name of each. */
struct error *profile_each(struct arena *arena, void (*fn)(void *arg, const char *name), void *arg) MUST_CHECK;
const char *profile_home(struct arena *arena);
const char *profile_path(struct arena *arena, const struct profile *profile, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* What a profile has on the machine outside of its directory (control groups, the host's link) is named so: the profile's
 * name, and where $MONOKUBE_HOME is not the usual place, something of that: two homes may have profiles of one name. */
const char *profile_tag(struct arena *arena, const struct profile *profile);
/* Process id of the running server, 0 when none runs. */
int profile_server_pid(struct arena *arena, const struct profile *profile);
/* Whether it answers and all its nodes are Ready. */
bool profile_server_ready(struct arena *arena, const struct profile *profile);
/* Takes a profile's directory away in one step, so that no interrupted delete leaves half a profile; then removes it, and
 * what earlier ones left. */
struct error *profile_remove(struct arena *arena, const struct profile *profile) MUST_CHECK;
struct error *profile_remove_trash(struct arena *arena) MUST_CHECK;

/* One command at a time works on a profile; waits for the other. Close *fd to let go; it goes with the process, too. */
struct error *profile_lock(struct arena *arena, const char *name, int *fd) MUST_CHECK;
/* Held while free things of the machine are chosen, so that two starts at once choose differently. */
struct error *profile_lock_home(struct arena *arena, int *fd) MUST_CHECK;

#endif
