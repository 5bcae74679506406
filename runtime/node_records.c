#include "runtime/node_records.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/limits.h"
#include "runtime/files.h"

/* File: 8 bytes "mknode1\n", u64 hash of the body, body. */
static const char magic[8] = { 'm', 'k', 'n', 'o', 'd', 'e', '1', '\n' };
#define RECORD_HEADER (sizeof(magic) + sizeof(uint64_t))

enum sync { SYNC_NOT, SYNC_ONCE, SYNC_TWICE };

/* On these the sync of a file that was renamed takes the new name with it, in one commit of the journal instead of two. What
 * a power loss before that leaves is the old record, the new one, or (where there was none) a damaged one. */
static enum sync sync_of(int dirfd)
{
	struct statfs fs;

	if (fstatfs(dirfd, &fs) != 0)
		return SYNC_TWICE;
	return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC ? SYNC_ONCE
													       : SYNC_TWICE;
}

static struct error *put(int dirfd, const char *name, const struct wire_struct *type, const void *ptr, enum sync sync)
{
	AUTO_BUF struct buf body = { 0 };
	char tmp[64];
	uint64_t hash = 0;
	AUTO_FD int fd = -1;
	struct error *err;

	buf_append(&body, magic, sizeof(magic));
	buf_append(&body, &hash, sizeof(hash));
	wire_encode(&body, type, ptr);
	hash = htole64(str_hash(str_skip(buf_str(&body), RECORD_HEADER)));
	memcpy(body.ptr + sizeof(magic), &hash, sizeof(hash));
	snprintf(tmp, sizeof(tmp), ".%s.new", name);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(errno, "write %s", tmp);
	err = fd_write_all(fd, buf_str(&body));
	if (err != NULL)
		return error_context(err, "write %s", tmp);
	if (sync == SYNC_TWICE && fdatasync(fd) != 0)
		return error_errno(errno, "sync %s", tmp);
	if (renameat(dirfd, tmp, dirfd, name) != 0)
		return error_errno(errno, "rename %s to %s", tmp, name);
	if (sync != SYNC_NOT && fsync(sync == SYNC_ONCE ? fd : dirfd) != 0)
		return error_errno(errno, "sync %s", name);
	return NULL;
}

struct error *record_note(int dirfd, const char *name, const struct wire_struct *type, const void *ptr)
{
	return put(dirfd, name, type, ptr, SYNC_NOT);
}

struct error *record_write(int dirfd, const char *name, const struct wire_struct *type, const void *ptr)
{
	return put(dirfd, name, type, ptr, sync_of(dirfd));
}

struct error *record_read(struct arena *arena, int dirfd, const char *name, const struct wire_struct *type, void *ptr)
{
	AUTO_BUF struct buf body = { 0 };
	uint64_t hash;
	struct error *err = file_read_at(dirfd, name, LIMIT_NODE_MESSAGE * 2, &body);

	if (err != NULL)
		return err;
	if (body.len < RECORD_HEADER || memcmp(body.ptr, magic, sizeof(magic)) != 0)
		return error_new(ERR_CORRUPT, "%s is not a record of a node", name);
	memcpy(&hash, body.ptr + sizeof(magic), sizeof(hash));
	if (le64toh(hash) != str_hash(str_skip(buf_str(&body), RECORD_HEADER)))
		return error_new(ERR_CORRUPT, "%s is damaged", name);
	err = wire_decode(arena, type, str_skip(buf_str(&body), RECORD_HEADER), ptr);
	if (err != NULL)
		err->kind = ERR_CORRUPT;
	return err;
}
