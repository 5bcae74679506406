#include "cmd/profile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/files.h"
#include "json/json.h"

#define HOME     "/var/lib/monokube"
#define MAX_NAME 40
#define TRASH    ".deleted-" /* no name of a profile starts so */

const char *profile_home(struct arena *arena)
{
	const char *home = getenv("MONOKUBE_HOME");

	return home != NULL && home[0] != '\0' ? arena_strdup(arena, home) : HOME;
}

struct error *profile_check_name(const char *name)
{
	size_t len = strlen(name);
	bool good = len >= 2 && len <= MAX_NAME && name[0] != '-' && name[len - 1] != '-';

	for (size_t i = 0; i < len; i++)
		good = good && ((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-');
	if (good)
		return NULL;
	return error_advise(error_new(ERR_USAGE, "'%s' is no name for a profile", name),
			    "Use 2 to %d lower case letters, digits and dashes, like 'demo'.", MAX_NAME);
}

const char *profile_path(struct arena *arena, const struct profile *profile, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	return arena_printf(arena, "%s/%s", profile->dir, text);
}

bool profile_exists(const struct profile *profile)
{
	struct stat st;

	return stat(profile->dir, &st) == 0 && S_ISDIR(st.st_mode);
}

struct error *profile_open(struct arena *arena, const char *name, struct profile *out)
{
	AUTO_BUF struct buf text = { 0 };
	const struct json *config = NULL;
	struct error *err = profile_check_name(name);

	if (err != NULL)
		return err;
	*out = (struct profile){ .name = arena_strdup(arena, name), .nodes = 1, .slot = -1, .listen = "127.0.0.1" };
	out->dir = arena_printf(arena, "%s/profiles/%s", profile_home(arena), name);
	out->images = arena_printf(arena, "%s/images", profile_home(arena));
	err = files_read(profile_path(arena, out, "config.json"), &text);
	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		error_free(err); /* new, or a start that was interrupted before its first write */
		return NULL;
	}
	if (err == NULL)
		err = json_read(arena, buf_str(&text), NULL, &config);
	if (err != NULL)
		return error_context(err, "settings of profile %s", name);
	out->nodes = json_int(json_get(config, "nodes"), 1);
	out->port = json_int(json_get(config, "port"), 0);
	out->slot = json_int(json_get(config, "slot"), -1);
	if (json_get_str(config, "listen").len != 0)
		out->listen = str_cstr(arena, json_get_str(config, "listen"));
	return NULL;
}

struct error *profile_save(const struct profile *profile)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf text = { 0 };
	struct error *err = files_mkdir(profile->dir, 0700);

	json_write_indented(
		&text,
		JSON_OBJECT_OF(arena, { "nodes", json_number(arena, profile->nodes) },
			       { "port", json_number(arena, profile->port) }, { "slot", json_number(arena, profile->slot) },
			       { "listen", json_text(arena, profile->listen) }, { "version", json_text(arena, MONOKUBE_VERSION) }),
		2);
	buf_putc(&text, '\n');
	if (err == NULL)
		err = files_write(profile_path(arena, profile, "config.json"), buf_str(&text), 0600);
	arena_free(arena);
	return err;
}

struct error *profile_each(struct arena *arena, void (*fn)(void *arg, const char *name), void *arg)
{
	const char *path = arena_printf(arena, "%s/profiles", profile_home(arena));
	AUTO_DIR DIR *dir = opendir(path);
	struct dirent *entry;

	if (dir == NULL)
		return errno == ENOENT ? NULL : error_errno(errno, "list profiles in %s", path);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			fn(arg, entry->d_name);
	return NULL;
}

struct error *profile_remove_trash(struct arena *arena)
{
	const char *path = arena_printf(arena, "%s/profiles", profile_home(arena));
	AUTO_DIR DIR *dir = opendir(path);
	struct dirent *entry;
	struct error *err = NULL;

	while (err == NULL && dir != NULL && (entry = readdir(dir)) != NULL)
		if (strncmp(entry->d_name, TRASH, strlen(TRASH)) == 0)
			err = files_remove(arena_printf(arena, "%s/%s", path, entry->d_name));
	return err;
}

struct error *profile_remove(struct arena *arena, const struct profile *profile)
{
	const char *trash = arena_printf(arena, "%s/profiles/" TRASH "%s-%d", profile_home(arena), profile->name, (int)getpid());

	if (rename(profile->dir, trash) != 0 && errno != ENOENT)
		return error_errno(errno, "take profile %s away", profile->name);
	return profile_remove_trash(arena);
}

static int read_pid(const char *path)
{
	AUTO_BUF struct buf text = { 0 };
	struct error *err = files_read(path, &text);
	int64_t pid = 0;

	if (err != NULL || !str_to_i64(str_trim(buf_str(&text)), &pid))
		pid = 0;
	error_free(err);
	return (int)pid;
}

bool profile_server_ready(struct arena *arena, const struct profile *profile)
{
	int pid = profile_server_pid(arena, profile);

	return pid != 0 && read_pid(profile_path(arena, profile, "server.ready")) == pid;
}

const char *profile_tag(struct arena *arena, const struct profile *profile)
{
	if (strcmp(profile->dir, arena_printf(arena, HOME "/profiles/%s", profile->name)) == 0)
		return profile->name;
	return arena_printf(arena, "%s-%08x", profile->name, (unsigned)str_hash(str_from(profile->dir)));
}

/* The server holds a lock on its pid file as long as it lives; the file alone proves nothing. */
int profile_server_pid(struct arena *arena, const struct profile *profile)
{
	AUTO_FD int fd = open(profile_path(arena, profile, "server.pid"), O_RDONLY | O_CLOEXEC);
	char text[32] = { 0 };
	int64_t pid;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) <= 0 || !str_to_i64(str_trim(str_from(text)), &pid))
		return 0;
	return (int)pid;
}

/* One file for all locks: byte 0 is the machine's, one of the others each profile's. A lock file of its own would have to
 * go with its profile, and then protects nothing. */
static struct error *lock_byte(struct arena *arena, off_t byte, int *fd)
{
	const char *path = arena_printf(arena, "%s/lock", profile_home(arena));
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	struct error *err = files_mkdir(profile_home(arena), 0755);

	if (err != NULL)
		return err;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0 || fcntl(*fd, F_OFD_SETLKW, &lock) != 0)
		return error_errno(errno, "lock %s", path);
	return NULL;
}

struct error *profile_lock(struct arena *arena, const char *name, int *fd)
{
	return lock_byte(arena, 1 + (off_t)(str_hash(str_from(name)) & 0x7fffffff), fd);
}

struct error *profile_lock_home(struct arena *arena, int *fd)
{
	return lock_byte(arena, 0, fd);
}
