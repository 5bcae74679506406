#include "tests/unit/store/fault_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

#include "tests/unit/tap.h"

_Atomic bool fault_full, fault_sync, fault_read_only;
_Atomic long fault_writes, fault_power_at;

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

/* A write that power loss may take back. */
struct unsynced {
	sqlite3_file *real;
	sqlite3_int64 at;
	int len;
	sqlite3_int64 size_before; /* of the file */
	char *before;
};

static VEC(struct unsynced) unsynced;

static sqlite3_vfs fault_vfs;
static sqlite3_io_methods fault_methods;

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fault_file *)(void *)file)->real;
}

static void forget(const sqlite3_file *real);

static int fault_close(sqlite3_file *file)
{
	forget(real_of(file));
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int fault_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	return real_of(file)->pMethods->xRead(real_of(file), to, n, at);
}

static void remember(sqlite3_file *real, int n, sqlite3_int64 at)
{
	struct unsynced write = { real, at, n, 0, xcalloc(1, (size_t)n) };

	real->pMethods->xFileSize(real, &write.size_before);
	real->pMethods->xRead(real, write.before, n, at); /* short reads are filled with zeros */
	vec_push(&unsynced, write);
}

static void forget(const sqlite3_file *real)
{
	size_t kept = 0;

	for (size_t i = 0; i < unsynced.len; i++) {
		if (unsynced.ptr[i].real == real)
			free(unsynced.ptr[i].before);
		else
			unsynced.ptr[kept++] = unsynced.ptr[i];
	}
	unsynced.len = kept;
}

/* Newest first. A disk writes sectors: a torn write keeps some of its beginning. */
_Noreturn static void lose_power(void)
{
	for (size_t i = unsynced.len; i-- > 0;) {
		struct unsynced *write = &unsynced.ptr[i];
		int keep = rand() % 3 == 0 ? write->len : rand() % 2 == 0 ? 0 : rand() % (write->len / 512 + 1) * 512;

		if (keep >= write->len)
			continue;
		write->real->pMethods->xWrite(write->real, write->before + keep, write->len - keep, write->at + keep);
		if (keep == 0 && write->size_before <= write->at)
			write->real->pMethods->xTruncate(write->real, write->size_before);
	}
	_exit(FAULT_EXIT);
}

static int fault_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	fault_writes++;
	if (fault_power_at != 0) {
		remember(real_of(file), n, at);
		if (fault_writes == fault_power_at) {
			real_of(file)->pMethods->xWrite(real_of(file), from, n, at);
			lose_power();
		}
	}
	return fault_full ? SQLITE_FULL : real_of(file)->pMethods->xWrite(real_of(file), from, n, at);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int fault_sync_file(sqlite3_file *file, int flags)
{
	if (fault_sync)
		return SQLITE_IOERR_FSYNC;
	forget(real_of(file));
	return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int fault_lock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int fault_check(sqlite3_file *file, int *out)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int fault_control(sqlite3_file *file, int op, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int fault_sector(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int fault_traits(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int fault_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
	sqlite3_vfs *real = vfs->pAppData;
	struct fault_file *self = (struct fault_file *)(void *)file;
	int status;

	memset(self, 0, sizeof(*self));
	self->real = (sqlite3_file *)(void *)(self + 1);
	if (fault_read_only)
		flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
	status = real->xOpen(real, name, self->real, flags, out);
	/* Without version 2 there is no shared memory: exclusive WAL must do without. */
	self->base.pMethods = status == SQLITE_OK ? &fault_methods : NULL;
	return status;
}

void fault_vfs_install(void)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	fault_full = fault_sync = fault_read_only = false;
	fault_writes = fault_power_at = 0;
	if (sqlite3_vfs_find("fault") != NULL)
		return;
	fault_methods = (sqlite3_io_methods){ .iVersion = 1,
					      .xClose = fault_close,
					      .xRead = fault_read,
					      .xWrite = fault_write,
					      .xTruncate = fault_truncate,
					      .xSync = fault_sync_file,
					      .xFileSize = fault_size,
					      .xLock = fault_lock,
					      .xUnlock = fault_unlock,
					      .xCheckReservedLock = fault_check,
					      .xFileControl = fault_control,
					      .xSectorSize = fault_sector,
					      .xDeviceCharacteristics = fault_traits };
	fault_vfs = *real;
	fault_vfs.pNext = NULL;
	fault_vfs.zName = "fault";
	fault_vfs.pAppData = real;
	fault_vfs.szOsFile = (int)sizeof(struct fault_file) + real->szOsFile;
	fault_vfs.xOpen = fault_open;
	CHECK_EQ(sqlite3_vfs_register(&fault_vfs, 0), SQLITE_OK);
}
