/*
 * One layer from a stream into a directory, as overlayfs wants it.
 *
 *	source ─► decompress (raw reader: gzip, zstd or plain) ─► hash: diff id ─► tar reader ─► files
 *
 * The archive is somebody else's. Every path is taken apart and opened below the layer's root (openat2), so neither ".." nor
 * links lead out of it; sizes and counts are bounded; what overlayfs would misread (its own xattrs, 0:0 devices) is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/limits.h"
#include "base/vec.h"
#include "image/private.h"

#define WHITEOUT ".wh."
#define OPAQUE   ".wh..wh..opq"

struct directory_time {
	char *path;
	struct timespec time;
};

struct unpacking {
	int root;
	const struct layer_source *source;
	struct archive *plain; /* decompressed bytes */
	struct digest digest;
	struct error *err; /* of a callback: libarchive only knows that something failed */
	bool ended;
	struct unpacked *out;
	VEC(struct directory_time) times; /* set last: children change them */
	int parent;                       /* of the last entry: most follow in the same directory */
	char parent_path[PATH_MAX];
};

struct error *archive_failed(struct archive *archive, const char *what)
{
	const char *text = archive_error_string(archive);

	if (archive_errno(archive) == ENOSPC)
		return error_errno(ENOSPC, "%s", what);
	return error_new(ERR_INVALID, "%s: %s", what, text != NULL ? text : "damaged");
}

/* --- bytes --- */

static ssize_t read_source(struct archive *archive, void *arg, const void **ptr)
{
	struct unpacking *u = arg;
	size_t len = 0;

	u->err = u->source->next(u->source->arg, ptr, &len);
	if (u->err != NULL) {
		archive_set_error(archive, EIO, "source");
		return ARCHIVE_FATAL;
	}
	return (ssize_t)len;
}

static ssize_t read_plain(struct archive *archive, void *arg, const void **ptr)
{
	struct unpacking *u = arg;
	size_t len = 0;
	la_int64_t offset;
	int rc;

	do {
		rc = archive_read_data_block(u->plain, ptr, &len, &offset);
	} while (rc == ARCHIVE_OK && len == 0);
	if (rc == ARCHIVE_EOF) {
		u->ended = true;
		return 0;
	}
	if (rc < ARCHIVE_WARN) {
		if (u->err == NULL)
			u->err = archive_failed(u->plain, "decompress layer");
		archive_set_error(archive, EIO, "decompress");
		return ARCHIVE_FATAL;
	}
	digest_add(&u->digest, *ptr, len);
	return (ssize_t)len;
}

static struct error *failed(struct unpacking *u, struct archive *archive, const char *what)
{
	struct error *err = u->err;

	u->err = NULL;
	return err != NULL ? err : archive_failed(archive, what);
}

static struct error *open_plain(struct unpacking *u)
{
	struct archive_entry *entry;

	u->plain = archive_read_new();
	archive_filters(u->plain);
	archive_read_support_format_raw(u->plain);
	archive_read_support_format_empty(u->plain);
	if (archive_read_open(u->plain, u, NULL, read_source, NULL) != ARCHIVE_OK)
		return failed(u, u->plain, "open layer");
	switch (archive_read_next_header(u->plain, &entry)) {
	case ARCHIVE_OK:
	case ARCHIVE_WARN:
		return NULL;
	case ARCHIVE_EOF:
		return error_new(ERR_INVALID, "layer is empty");
	default:
		return failed(u, u->plain, "open layer");
	}
}

/* --- paths --- */

/* Without leading "/" and "./", "//" and a "/" at the end; "" is the root. ".." is refused. */
static struct error *clean_path(const char *in, char out[PATH_MAX])
{
	struct str rest = str_from(in), part;
	size_t len = 0;

	out[0] = '\0';
	while (str_cut(&rest, '/', &part)) {
		if (part.len == 0 || str_is(part, "."))
			continue;
		if (str_is(part, ".."))
			return error_new(ERR_INVALID, "path \"%s\" leaves the layer", in);
		if (part.len > NAME_MAX || len + part.len + 2 > PATH_MAX)
			return error_new(ERR_INVALID, "path \"%.100s…\" is too long", in);
		if (len != 0)
			out[len++] = '/';
		memcpy(out + len, part.ptr, part.len);
		len += part.len;
		out[len] = '\0';
	}
	return NULL;
}

static int open_below(int root, const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
	long fd;

	do {
		fd = syscall(SYS_openat2, root, path[0] != '\0' ? path : ".", &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return (int)fd;
}

/* Opens a directory below the root, made where it is missing. A link on the way is followed only to what is there. */
static struct error *open_directory(int root, const char *path, int *out)
{
	char prefix[PATH_MAX];
	size_t len = strlen(path), at = 0;

	*out = open_below(root, path, O_RDONLY | O_DIRECTORY);
	if (*out >= 0)
		return NULL;
	if (errno != ENOENT)
		return error_new(ERR_INVALID, "path \"%s\" leads through what is not a directory", path);
	memcpy(prefix, path, len + 1);
	for (;;) {
		AUTO_FD int parent = -1;
		char *slash = strchr(prefix + at, '/');

		if (slash != NULL)
			*slash = '\0';
		*out = open_below(root, prefix, O_RDONLY | O_DIRECTORY);
		if (*out < 0) {
			char *name = strrchr(prefix, '/');

			if (name != NULL)
				*name = '\0';
			parent = open_below(root, name != NULL ? prefix : "", O_PATH | O_DIRECTORY);
			if (parent < 0 || mkdirat(parent, name != NULL ? name + 1 : prefix, 0755) != 0)
				return error_new(ERR_INVALID, "path \"%s\" leads through a link to nowhere", path);
			if (name != NULL)
				*name = '/';
			*out = open_below(root, prefix, O_RDONLY | O_DIRECTORY);
			if (*out < 0)
				return error_errno(errno, "open %s", prefix);
		}
		if (slash == NULL)
			return NULL;
		close(*out);
		*slash = '/';
		at = (size_t)(slash - prefix) + 1;
	}
}

/* The directory an entry is in; kept open for the next one. */
static struct error *enter_parent(struct unpacking *u, const char *path, const char **name)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash != NULL ? (size_t)(slash - path) : 0;

	*name = slash != NULL ? slash + 1 : path;
	memcpy(parent, path, n);
	parent[n] = '\0';
	if (u->parent >= 0 && strcmp(parent, u->parent_path) == 0)
		return NULL;
	if (u->parent >= 0)
		close(u->parent);
	u->parent = -1;
	memcpy(u->parent_path, parent, n + 1);
	return open_directory(u->root, parent, &u->parent);
}

/* --- what an entry becomes --- */

static struct error *write_file(struct unpacking *u, struct archive *tar, int fd, la_int64_t size)
{
	const void *ptr;
	size_t len;
	la_int64_t offset;
	int rc;

	while ((rc = archive_read_data_block(tar, &ptr, &len, &offset)) == ARCHIVE_OK) {
		u->out->bytes += len;
		if (u->out->bytes > (uint64_t)LIMIT_LAYER_BYTES || offset > LIMIT_LAYER_BYTES)
			return error_new(ERR_INVALID, "layer holds more than %lld bytes", LIMIT_LAYER_BYTES);
		for (const char *at = ptr; len != 0;) {
			ssize_t n = pwrite(fd, at, len, offset);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return error_errno(errno, "write");
			at += n;
			len -= (size_t)n;
			offset += n;
		}
	}
	if (rc != ARCHIVE_EOF)
		return failed(u, tar, "read layer");
	if (size < 0 || size > LIMIT_LAYER_BYTES)
		return error_new(ERR_INVALID, "a file of %lld bytes", (long long)size);
	return ftruncate(fd, size) == 0 ? NULL : error_errno(errno, "truncate");
}

/* What overlayfs or the machine's security modules would take as addressed to them is left out. */
static bool xattr_wanted(const char *name)
{
	return strcmp(name, "security.capability") == 0 || strncmp(name, "user.", 5) == 0 ||
	       strncmp(name, "system.posix_acl_", 17) == 0;
}

static struct error *set_xattrs(int fd, struct archive_entry *entry)
{
	const char *name;
	const void *value;
	size_t size;
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd); /* works for O_PATH too */
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
		if (name != NULL && xattr_wanted(name) && setxattr(path, name, value, size, 0) != 0 && errno != EOPNOTSUPP)
			return error_errno(errno, "set %s", name);
	}
	return NULL;
}

static struct timespec time_of(struct archive_entry *entry)
{
	return (struct timespec){ .tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry) };
}

/* Owner first: a change of owner clears set-user-ID and capabilities. */
static struct error *set_attributes(struct unpacking *u, const char *name, struct archive_entry *entry, const char *path)
{
	const struct timespec times[2] = { time_of(entry), time_of(entry) };
	mode_t type = archive_entry_filetype(entry);
	AUTO_FD int fd = -1;
	struct error *err;

	if (fchownat(u->parent, name, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) != 0)
		return error_errno(errno, "set owner of %s", path);
	if (type != AE_IFLNK && fchmodat(u->parent, name, archive_entry_perm(entry) & 07777, 0) != 0)
		return error_errno(errno, "set mode of %s", path);
	if (type != AE_IFLNK && archive_entry_xattr_count(entry) != 0) {
		fd = openat(u->parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		err = fd >= 0 ? set_xattrs(fd, entry) : error_errno(errno, "open %s", path);
		if (err != NULL)
			return err;
	}
	if (type == AE_IFDIR) {
		vec_push(&u->times, ((struct directory_time){ xstrdup(path), times[1] }));
		return NULL;
	}
	if (utimensat(u->parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
		return error_errno(errno, "set time of %s", path);
	return NULL;
}

/* Something of that name may have come before; directories stay when a directory comes again. */
static struct error *make_way(struct unpacking *u, const char *name, bool directory, bool *there)
{
	struct stat st;

	*there = false;
	if (fstatat(u->parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? NULL : error_errno(errno, "look at %s", name);
	if (directory && S_ISDIR(st.st_mode)) {
		*there = true;
		return NULL;
	}
	return dir_remove(u->parent, name);
}

static struct error *make_node(struct unpacking *u, const char *name, struct archive_entry *entry, mode_t type)
{
	dev_t device =
		type == S_IFIFO ? 0 : makedev((unsigned)archive_entry_rdevmajor(entry), (unsigned)archive_entry_rdevminor(entry));

	if (type == S_IFCHR && device == 0)
		return error_new(ERR_INVALID, "device 0:0 would hide what is below");
	return mknodat(u->parent, name, type | 0600, device) == 0 ? NULL : error_errno(errno, "make device %s", name);
}

static struct error *make_entry(struct unpacking *u, struct archive *tar, struct archive_entry *entry, const char *name,
				const char *path)
{
	mode_t type = archive_entry_filetype(entry);
	AUTO_FD int fd = -1;
	bool there;
	struct error *err = make_way(u, name, type == AE_IFDIR, &there);
	const char *target;

	if (err != NULL)
		return err;
	switch (type) {
	case AE_IFREG:
		fd = openat(u->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		err = fd >= 0 ? write_file(u, tar, fd, archive_entry_size(entry)) : error_errno(errno, "create");
		break;
	case AE_IFDIR:
		if (!there && mkdirat(u->parent, name, 0755) != 0)
			err = error_errno(errno, "make directory");
		break;
	case AE_IFLNK:
		target = archive_entry_symlink(entry);
		if (target == NULL || target[0] == '\0')
			err = error_new(ERR_INVALID, "a link without a target");
		else if (symlinkat(target, u->parent, name) != 0)
			err = error_errno(errno, "make link");
		break;
	case AE_IFCHR:
		err = make_node(u, name, entry, S_IFCHR);
		break;
	case AE_IFBLK:
		err = make_node(u, name, entry, S_IFBLK);
		break;
	case AE_IFIFO:
		err = make_node(u, name, entry, S_IFIFO);
		break;
	default:
		err = error_new(ERR_INVALID, "an entry of unknown type");
		break;
	}
	return err == NULL ? set_attributes(u, name, entry, path) : err;
}

static struct error *make_hard_link(struct unpacking *u, const char *target, const char *name)
{
	char path[PATH_MAX], *slash;
	AUTO_FD int from = -1;
	bool there;
	struct error *err = clean_path(target, path);

	if (err != NULL)
		return error_context(err, "hard link");
	slash = strrchr(path, '/');
	if (slash != NULL)
		*slash = '\0';
	from = open_below(u->root, slash != NULL ? path : "", O_PATH | O_DIRECTORY);
	if (from < 0)
		return error_new(ERR_INVALID, "hard link to \"%s\", which is not in this layer", target);
	err = make_way(u, name, false, &there);
	if (err != NULL)
		return err;
	if (linkat(from, slash != NULL ? slash + 1 : path, u->parent, name, 0) != 0)
		return errno == ENOENT || errno == EPERM
			       ? error_new(ERR_INVALID, "hard link to \"%s\", which is not in this layer", target)
			       : error_errno(errno, "make hard link");
	return NULL;
}

/* ".wh.name" hides name of the layers below, ".wh..wh..opq" all of the directory. */
static struct error *make_whiteout(struct unpacking *u, const char *name)
{
	struct stat st;

	if (strcmp(name, OPAQUE) == 0)
		return fsetxattr(u->parent, "trusted.overlay.opaque", "y", 1, 0) == 0 ? NULL : error_errno(errno, "make opaque");
	if (strncmp(name, WHITEOUT WHITEOUT, strlen(WHITEOUT WHITEOUT)) == 0)
		return NULL; /* aufs' own bookkeeping */
	name += strlen(WHITEOUT);
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return error_new(ERR_INVALID, "a whiteout without a name");
	if (fstatat(u->parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return NULL; /* this layer has it: only what is below is hidden, and that it is */
	return mknodat(u->parent, name, S_IFCHR, makedev(0, 0)) == 0 ? NULL : error_errno(errno, "make whiteout");
}

static struct error *set_root(struct unpacking *u, struct archive_entry *entry)
{
	if (archive_entry_filetype(entry) != AE_IFDIR)
		return error_new(ERR_INVALID, "the root of a layer must be a directory");
	if (fchown(u->root, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry)) != 0 ||
	    fchmod(u->root, archive_entry_perm(entry) & 07777) != 0)
		return error_errno(errno, "set mode of the root");
	return NULL;
}

static struct error *take_entry(struct unpacking *u, struct archive *tar, struct archive_entry *entry)
{
	char path[PATH_MAX];
	const char *name, *given = archive_entry_pathname(entry), *link;
	struct error *err;

	if (given == NULL)
		return error_new(ERR_INVALID, "an entry without a name");
	if (++u->out->files > LIMIT_LAYER_FILES)
		return error_new(ERR_INVALID, "layer holds more than %d files", LIMIT_LAYER_FILES);
	err = clean_path(given, path);
	if (err != NULL)
		return err;
	if (path[0] == '\0')
		return set_root(u, entry);
	err = enter_parent(u, path, &name);
	if (err != NULL)
		return err;
	link = archive_entry_hardlink(entry);
	if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
		err = make_whiteout(u, name);
	else if (link != NULL)
		err = make_hard_link(u, link, name);
	else
		err = make_entry(u, tar, entry, name, path);
	return err != NULL ? error_context(err, "%s", path) : NULL;
}

static struct error *set_times(struct unpacking *u)
{
	for (size_t i = u->times.len; i-- > 0;) {
		const struct timespec times[2] = { u->times.ptr[i].time, u->times.ptr[i].time };
		AUTO_FD int fd = open_below(u->root, u->times.ptr[i].path, O_RDONLY | O_DIRECTORY);

		/* one that a later entry replaced is not there any more */
		if (fd >= 0 && futimens(fd, times) != 0)
			return error_errno(errno, "set time of %s", u->times.ptr[i].path);
	}
	return NULL;
}

static struct error *take_all(struct unpacking *u, struct archive *tar)
{
	struct archive_entry *entry;
	struct error *err = NULL;
	int rc;

	if (archive_read_open(tar, u, NULL, read_plain, NULL) != ARCHIVE_OK)
		return failed(u, tar, "open layer");
	while ((rc = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		err = take_entry(u, tar, entry);
		if (err != NULL)
			return err;
	}
	if (rc != ARCHIVE_EOF)
		return failed(u, tar, "read layer");
	/* what follows the end mark belongs to the digest */
	while (!u->ended && err == NULL) {
		const void *ptr;

		if (read_plain(tar, u, &ptr) < 0)
			err = failed(u, tar, "read layer");
	}
	return err == NULL ? set_times(u) : err;
}

struct error *layer_unpack(int root, const struct layer_source *source, struct unpacked *out)
{
	struct unpacking u = { .root = root, .source = source, .out = out, .parent = -1 };
	struct archive *tar = archive_read_new();
	struct error *err;

	memset(out, 0, sizeof(*out));
	digest_init(&u.digest);
	archive_read_support_format_tar(tar);
	archive_read_support_format_empty(tar);
	err = open_plain(&u);
	if (err == NULL)
		err = take_all(&u, tar);
	if (err == NULL)
		digest_end(&u.digest, out->diff_id);
	digest_drop(&u.digest);
	archive_read_free(tar);
	archive_read_free(u.plain);
	error_free(u.err);
	for (size_t i = 0; i < u.times.len; i++)
		free(u.times.ptr[i].path);
	vec_fini(&u.times);
	if (u.parent >= 0)
		close(u.parent);
	return err;
}
