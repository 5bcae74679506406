/* kubeconfig files: writing one, merging a cluster into the user's, taking it out again. Blocking. Private to cmd.
 * Rules: docs/cmd.md; client-go's lock file is respected. */
#ifndef CMD_KUBECONFIG_H
#define CMD_KUBECONFIG_H

#include "base/base.h"
#include "cmd/pki.h"
#include "cmd/profile.h"

/* The text of a kubeconfig with one cluster, user and context of that name. server: "https://127.0.0.1:6443". */
void kubeconfig_format(struct arena *arena, const char *name, const char *server, const struct cluster_pki *pki, struct buf *out);

/* Puts the entries of one file into the user's ($KUBECONFIG, else ~/.kube/config) and makes its context current. */
struct error *kubeconfig_merge(struct arena *arena, const char *from, const char *name) MUST_CHECK;
/* Takes them out of every file of $KUBECONFIG; current-context goes when it was this one. */
struct error *kubeconfig_remove(struct arena *arena, const char *name) MUST_CHECK;
/* Whether the user's file has that context. */
bool kubeconfig_has(struct arena *arena, const char *name);
/* The file that is written to. */
const char *kubeconfig_file(struct arena *arena);

#endif
