/* Small files and directories, blocking. A write is atomic: beside, synced, renamed. Private to cmd. */
#ifndef CMD_FILES_H
#define CMD_FILES_H

#include <sys/types.h>

#include "base/base.h"

struct error *files_read(const char *path, struct buf *out) MUST_CHECK; /* ERR_NOT_FOUND when absent */
struct error *files_write(const char *path, struct str content, mode_t mode) MUST_CHECK;
struct error *files_mkdir(const char *path, mode_t mode) MUST_CHECK; /* with its parents */
struct error *files_remove(const char *path) MUST_CHECK;             /* whole; absent is success; never crosses a mount */

#endif
