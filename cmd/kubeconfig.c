#include "cmd/kubeconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/files.h"
#include "json/json.h"

#define LOCK_SECONDS 10

static const struct json *base64_json(struct arena *arena, const struct buf *bytes)
{
	AUTO_BUF struct buf text = { 0 };

	base64_encode(&text, buf_str(bytes));
	return json_string_copy(arena, buf_str(&text));
}

static const struct json *named(struct arena *arena, const char *name, const char *key, const struct json *value)
{
	return JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "name", json_text(arena, name) }, { key, value }));
}

void kubeconfig_format(struct arena *arena, const char *name, const char *server, const struct cluster_pki *pki, struct buf *out)
{
	const struct json *cluster = JSON_OBJECT_OF(arena, { "certificate-authority-data", base64_json(arena, &pki->ca_pem) },
						    { "disable-compression", &json_true }, /* it is on this machine */
						    { "server", json_text(arena, server) });
	const struct json *user = JSON_OBJECT_OF(arena, { "client-certificate-data", base64_json(arena, &pki->admin_pem) },
						 { "client-key-data", base64_json(arena, &pki->admin_key_pem) });
	const struct json *context =
		JSON_OBJECT_OF(arena, { "cluster", json_text(arena, name) }, { "user", json_text(arena, name) });

	json_write_yaml(out, JSON_OBJECT_OF(arena, { "apiVersion", json_text(arena, "v1") }, { "kind", json_text(arena, "Config") },
					    { "clusters", named(arena, name, "cluster", cluster) },
					    { "contexts", named(arena, name, "context", context) },
					    { "current-context", json_text(arena, name) }, { "preferences", &json_empty_object },
					    { "users", named(arena, name, "user", user) }));
}

/* Under sudo the user's file is meant, not root's. */
static const char *home_dir(struct arena *arena)
{
	const char *sudo = getenv("SUDO_USER"), *home = getenv("HOME");
	AUTO_FILE FILE *passwd = sudo != NULL && geteuid() == 0 ? fopen("/etc/passwd", "re") : NULL;
	struct passwd *entry;

	while (passwd != NULL && (entry = fgetpwent(passwd)) != NULL)
		if (strcmp(entry->pw_name, sudo) == 0)
			return arena_strdup(arena, entry->pw_dir);
	return home != NULL ? arena_strdup(arena, home) : "/root";
}

static size_t files_of(struct arena *arena, const char *files[16])
{
	const char *all = getenv("KUBECONFIG");
	struct str rest = str_from(all), one;
	size_t n = 0;

	while (n < 16 && str_cut(&rest, ':', &one))
		if (one.len != 0)
			files[n++] = str_cstr(arena, one);
	if (n == 0)
		files[n++] = arena_printf(arena, "%s/.kube/config", home_dir(arena));
	return n;
}

/* Written to: the first that exists, else the last named (kubectl's rule). */
const char *kubeconfig_file(struct arena *arena)
{
	const char *files[16];
	size_t n = files_of(arena, files);

	for (size_t i = 0; i < n; i++)
		if (access(files[i], F_OK) == 0)
			return files[i];
	return files[n - 1];
}

/* Of a client that died: kubectl holds its lock, an empty file, for milliseconds; ours names its process. */
static bool is_stale(const char *lock_file)
{
	AUTO_BUF struct buf text = { 0 };
	struct error *err = files_read(lock_file, &text);
	struct stat st;
	int64_t pid;

	error_free(err);
	if (err == NULL && str_to_i64(str_trim(buf_str(&text)), &pid) && pid > 0 && pid <= INT32_MAX)
		return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
	return stat(lock_file, &st) == 0 && time(NULL) - st.st_mtime > LOCK_SECONDS;
}

/* Makes the file with our process in it, in one step: who is killed in between leaves nothing. A file system without
 * nameless files gets it in two. */
static bool make_lock(const char *lock_file)
{
	AUTO_FREE char *dir = xstrdup(lock_file);
	char *slash = strrchr(dir, '/'), self[32];
	AUTO_FD int fd = -1;

	if (slash != NULL)
		slash[slash == dir ? 1 : 0] = '\0';
	fd = open(slash != NULL ? dir : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		fd = open(lock_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		return fd >= 0 && dprintf(fd, "%d\n", (int)getpid()) > 0;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return dprintf(fd, "%d\n", (int)getpid()) > 0 && linkat(AT_FDCWD, self, AT_FDCWD, lock_file, AT_SYMLINK_FOLLOW) == 0;
}

/* client-go's lock: a file beside, made exclusively. That of a dead client is taken over. */
static struct error *lock(struct arena *arena, const char *file, const char **lock_file)
{
	*lock_file = arena_printf(arena, "%s.lock", file);
	for (int i = 0; i < 100; i++) {
		if (make_lock(*lock_file))
			return NULL;
		if (errno != EEXIST)
			return error_errno(errno, "lock %s", file);
		if (is_stale(*lock_file))
			unlink(*lock_file);
		else
			usleep(100 * 1000);
	}
	return error_advise(error_new(ERR_BUSY, "%s is locked by another program", file), "If no kubectl is running, remove %s.",
			    *lock_file);
}

static struct error *read_config(struct arena *arena, const char *file, const struct json **out)
{
	AUTO_BUF struct buf text = { 0 };
	struct error *err = files_read(file, &text);

	*out = &json_empty_object;
	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		error_free(err);
		return NULL;
	}
	if (err == NULL && str_trim(buf_str(&text)).len != 0)
		err = json_read_yaml(arena, str_dup(arena, buf_str(&text)), NULL, out);
	if (err == NULL && json_is(*out, JSON_NULL))
		*out = &json_empty_object;
	else if (err == NULL && !json_is(*out, JSON_OBJECT))
		err = error_advise(error_new(ERR_INVALID, "this is no kubeconfig"),
				   "Move the file away, or name another one in $KUBECONFIG; nothing was written.");
	return err != NULL ? error_context(err, "read %s", file) : NULL;
}

/* Keeps owner and mode of a file that exists; a new one belongs to the person behind sudo. */
static struct error *write_config(const char *named_file, const struct json *config)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_FREE char *target = realpath(named_file, NULL); /* a link stays a link */
	const char *file = target != NULL ? target : named_file, *uid = getenv("SUDO_UID"), *gid = getenv("SUDO_GID");
	struct stat st;
	bool existed = stat(file, &st) == 0;
	struct error *err;

	json_write_yaml(&text, config);
	err = files_write(file, buf_str(&text), existed ? st.st_mode & 0777 : 0600);
	if (err == NULL && existed && chown(file, st.st_uid, st.st_gid) != 0)
		err = error_errno(errno, "give %s back to its owner", file);
	else if (err == NULL && !existed && uid != NULL && gid != NULL && geteuid() == 0 &&
		 chown(file, (uid_t)atoi(uid), (gid_t)atoi(gid)) != 0)
		err = error_errno(errno, "give %s to its owner", file);
	return err;
}

static const struct json *without(struct arena *arena, const struct json *list, const char *name)
{
	struct json_builder kept = { .arena = arena };

	JSON_EACH (list, it)
		if (!str_is(json_get_str(it.value, "name"), name))
			json_builder_item(&kept, it.value);
	return json_builder_array(&kept);
}

static const char *const lists[] = { "clusters", "contexts", "users" };

/* The namespace that the person had chosen for this context stays. */
static const struct json *keep_namespace(struct arena *arena, const struct json *old, const struct json *context, const char *name)
{
	JSON_EACH (json_get(old, "contexts"), it)
		if (str_is(json_get_str(it.value, "name"), name) && json_path(it.value, "context.namespace") != NULL)
			return json_with_path(arena, context, "context.namespace", json_path(it.value, "context.namespace"));
	return context;
}

struct error *kubeconfig_merge(struct arena *arena, const char *from, const char *name)
{
	const char *file = kubeconfig_file(arena), *lock_file, *slash = strrchr(file, '/');
	const struct json *mine, *all;
	struct error *err = read_config(arena, from, &mine);

	if (err == NULL && slash != NULL && slash != file)
		err = files_mkdir(arena_copy(arena, file, (size_t)(slash - file)), 0750);
	if (err == NULL)
		err = lock(arena, file, &lock_file);
	if (err != NULL)
		return err;
	err = read_config(arena, file, &all);
	if (err == NULL) {
		if (json_get(all, "apiVersion") == NULL)
			all = mine;
		for (int i = 0; i < 3; i++) {
			const struct json *entry = json_at(json_get(mine, lists[i]), 0);

			if (i == 1)
				entry = keep_namespace(arena, all, entry, name);
			all = json_with(arena, all, lists[i],
					json_append(arena, without(arena, json_get(all, lists[i]), name), entry));
		}
		all = json_with(arena, all, "current-context", json_text(arena, name));
		err = write_config(file, all);
	}
	unlink(lock_file);
	return err != NULL ? error_context(err, "add context %s to %s", name, file) : NULL;
}

static struct error *remove_from(struct arena *arena, const char *file, const char *name)
{
	const struct json *all;
	const char *lock_file;
	struct error *err;

	if (access(file, F_OK) != 0)
		return NULL;
	err = lock(arena, file, &lock_file);
	if (err != NULL)
		return err;
	err = read_config(arena, file, &all);
	if (err == NULL) {
		const struct json *less = all;

		for (int i = 0; i < 3; i++)
			if (json_get(all, lists[i]) != NULL)
				less = json_with(arena, less, lists[i], without(arena, json_get(all, lists[i]), name));
		if (str_is(json_get_str(all, "current-context"), name))
			less = json_with(arena, less, "current-context", json_text(arena, ""));
		if (!json_equal(less, all))
			err = write_config(file, less);
	}
	unlink(lock_file);
	return err;
}

struct error *kubeconfig_remove(struct arena *arena, const char *name)
{
	const char *files[16];
	size_t n = files_of(arena, files);

	for (size_t i = 0; i < n; i++) {
		struct error *err = remove_from(arena, files[i], name);

		if (err != NULL)
			return error_context(err, "take context %s out of %s", name, files[i]);
	}
	return NULL;
}

bool kubeconfig_has(struct arena *arena, const char *name)
{
	const struct json *all;
	struct error *err = read_config(arena, kubeconfig_file(arena), &all);

	error_free(err);
	if (err == NULL)
		JSON_EACH (json_get(all, "contexts"), it)
			if (str_is(json_get_str(it.value, "name"), name))
				return true;
	return false;
}
