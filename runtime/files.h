/*
 * Files and paths that somebody else may have prepared: resolution inside a root directory. Blocking.
 *
 * path_in_root() is the one way a path of an image or a request is turned into a descriptor: links are followed, but never
 * out of the root, and what is missing is made (a link that dangles is followed to where it points).
 */
#ifndef RUNTIME_FILES_H
#define RUNTIME_FILES_H

#include <sys/types.h>

#include "base/file.h"

/* Writes to an existing file in one write(2), as /proc and cgroups want it. */
struct error *file_write_at(int dirfd, const char *name, struct str text) MUST_CHECK;
/* Makes or replaces an ordinary file. */
struct error *file_put_at(int dirfd, const char *name, struct str text, mode_t mode) MUST_CHECK;

enum path_make { PATH_MUST_EXIST, PATH_MAKE_DIRECTORY, PATH_MAKE_FILE };

/* Opens path below rootfd as O_PATH, with what is missing made: directories 0755, files 0644. */
struct error *path_in_root(int rootfd, const char *path, enum path_make make, int *out) MUST_CHECK;
/* Opens the directory above the last component, made if missing; *last is that component, a pointer into path. */
struct error *path_parent_in_root(int rootfd, const char *path, int *out, const char **last) MUST_CHECK;

/* mkdir -p below dirfd, following nothing that is not there yet. */
struct error *dir_make(int dirfd, const char *path, mode_t mode) MUST_CHECK;

/* "/proc/self/fd/N" */
#define FD_PATH 32
const char *fd_path(char text[FD_PATH], int fd);

#endif
