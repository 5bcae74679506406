/* A disk with faults: a SQLite VFS over the system's. */
#ifndef TESTS_STORE_FAULT_VFS_H
#define TESTS_STORE_FAULT_VFS_H

#include <stdbool.h>

void fault_vfs_install(void); /* as "fault" */

extern _Atomic bool fault_full;      /* writes find no room */
extern _Atomic bool fault_sync;      /* syncs fail */
extern _Atomic bool fault_read_only; /* files cannot be opened for writing */
extern _Atomic long fault_writes;    /* how many there were */

/* Power fails at this write (1 is the first; 0 never): what was not synced is kept, lost or torn by chance, and the
 * process ends with FAULT_EXIT. */
extern _Atomic long fault_power_at;
#define FAULT_EXIT 9

#endif
