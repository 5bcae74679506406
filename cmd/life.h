/* The life of a profile's processes, seen from outside: starting a server, ending everything, cleaning up. Blocking; used by
 * the commands. Every function puts right what an interrupted one left. Private to cmd. */
#ifndef CMD_LIFE_H
#define CMD_LIFE_H

#include "cmd/profile.h"

#define HUB_INDEX -1 /* where the index of a node is asked for: the hub */
/* The command line of a node process, for whoever starts it. Of the profile only name, dir and images are used. */
void life_node_argv(struct arena *arena, const struct profile *profile, int index, const char *program, const char *argv[24]);
struct error *life_need_root(void) MUST_CHECK;
/* Chooses network and port where the profile has none yet. */
struct error *life_choose(struct arena *arena, struct profile *profile) MUST_CHECK;
/* Starts the server, detached; waits until it answers and, with nodes, until they are Ready. */
struct error *life_start_server(struct arena *arena, const struct profile *profile, int64_t timeout_ns) MUST_CHECK;
/* Waits until a server that runs is ready, as the command that started it would have; *runs is false when it ended instead. */
struct error *life_join_server(struct arena *arena, const struct profile *profile, int64_t timeout_ns, bool *runs) MUST_CHECK;
/* Ends the server, gracefully, then hard. Absent is success. */
struct error *life_stop_server(struct arena *arena, const struct profile *profile) MUST_CHECK;
/* Ends node processes and the hub, with all pods; takes the host's link away. */
struct error *life_stop_nodes(struct arena *arena, const struct profile *profile) MUST_CHECK;
/* One node process by its socket; one that is just starting or ending, too. Absent is success. */
struct error *life_stop_node(const char *socket) MUST_CHECK;
/* Starts one node process; one that runs is left alone. */
struct error *life_start_node(struct arena *arena, const struct profile *profile, int index) MUST_CHECK;
bool life_node_runs(const char *socket);
/* What is left on the machine of a profile that does not run: control groups, its directory. */
struct error *life_remove(struct arena *arena, const struct profile *profile) MUST_CHECK;
const char *life_node_name(struct arena *arena, const struct profile *profile, int index); /* "demo", "demo-m02", …; "hub" */
const char *life_node_dir(struct arena *arena, const struct profile *profile, int index);
const char *life_node_socket(struct arena *arena, const struct profile *profile, int index);

#endif
