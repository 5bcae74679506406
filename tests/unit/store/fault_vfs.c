#include "tests/unit/store/fault_vfs.h"

#include <sqlite3.h>
#include <string.h>

#include "tests/unit/tap.h"

_Atomic bool fault_full, fault_sync, fault_read_only;
_Atomic long fault_writes;

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs fault_vfs;
static sqlite3_io_methods fault_methods;

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fault_file *)(void *)file)->real;
}

static int fault_close(sqlite3_file *file)
{
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int fault_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	return real_of(file)->pMethods->xRead(real_of(file), to, n, at);
}

static int fault_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	fault_writes++;
	return fault_full ? SQLITE_FULL : real_of(file)->pMethods->xWrite(real_of(file), from, n, at);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int fault_sync_file(sqlite3_file *file, int flags)
{
	return fault_sync ? SQLITE_IOERR_FSYNC : real_of(file)->pMethods->xSync(real_of(file), flags);
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
	fault_writes = 0;
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
