/*
 * Whole files and directories, blocking: what read(2), write(2) and readdir(3) leave to their callers, short counts,
 * EINTR and bounds. Names are relative to an open directory; AT_FDCWD is the process's. For jobs, commands, and processes
 * without a loop; not for names that somebody else may have prepared (runtime/files.h).
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/error.h"

struct error *fd_write_all(int fd, struct str data) MUST_CHECK;
/* Appends all there is until the end; at most max bytes in out, else ERR_TOO_LARGE. */
struct error *fd_read_all(int fd, size_t max, struct buf *out) MUST_CHECK;
struct error *file_read_at(int dirfd, const char *name, size_t max, struct buf *out) MUST_CHECK;

/* rm -rf; follows no links, enters no other mount (ERR_BUSY). Absence is fine. */
struct error *dir_remove(int dirfd, const char *name) MUST_CHECK;

#endif
