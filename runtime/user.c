#include "runtime/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/files.h"

#define LINE_MAX_BYTES (64 * 1024) /* groups with many members have long lines */

/* NULL when the image has no such file; only an ordinary file is read. */
static FILE *open_table(int rootfd, const char *path)
{
	AUTO_FD int at = -1;
	AUTO_FD int fd = -1;
	char link[FD_PATH];
	struct stat st;
	FILE *file;
	struct error *err = path_in_root(rootfd, path, PATH_MUST_EXIST, &at);

	if (err != NULL) {
		error_free(err);
		return NULL;
	}
	if (fstat(at, &st) != 0 || !S_ISREG(st.st_mode))
		return NULL;
	fd = open(fd_path(link, at), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	file = fdopen(fd, "r");
	if (file != NULL)
		fd_take(&fd);
	return file;
}

static bool number(struct str text, int64_t *out)
{
	return text.len != 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9' && str_to_i64(text, out) && *out < UINT32_MAX;
}

/* By name, else by number. True when found. */
static bool find_passwd(FILE *file, struct str name, int64_t uid, char name_out[256], struct user *out)
{
	struct passwd entry, *got;
	AUTO_FREE char *buf = xmalloc(LINE_MAX_BYTES);

	if (file == NULL)
		return false;
	rewind(file);
	while (fgetpwent_r(file, &entry, buf, LINE_MAX_BYTES, &got) == 0) {
		if (!(name.len != 0 && str_is(name, entry.pw_name)) && !(uid >= 0 && entry.pw_uid == (uid_t)uid))
			continue;
		out->uid = entry.pw_uid;
		out->gid = entry.pw_gid;
		snprintf(name_out, 256, "%s", entry.pw_name);
		if (entry.pw_dir != NULL && entry.pw_dir[0] == '/')
			snprintf(out->home, sizeof(out->home), "%s", entry.pw_dir);
		return true;
	}
	return false;
}

static bool find_group(FILE *file, struct str name, gid_t *gid)
{
	struct group entry, *got;
	AUTO_FREE char *buf = xmalloc(LINE_MAX_BYTES);

	if (file == NULL)
		return false;
	rewind(file);
	while (fgetgrent_r(file, &entry, buf, LINE_MAX_BYTES, &got) == 0) {
		if (str_is(name, entry.gr_name)) {
			*gid = entry.gr_gid;
			return true;
		}
	}
	return false;
}

static void add_group(struct user *user, gid_t gid)
{
	for (size_t i = 0; i < user->n_groups; i++) {
		if (user->groups[i] == gid)
			return;
	}
	if (user->n_groups < USER_GROUPS_MAX)
		user->groups[user->n_groups++] = gid;
}

static void add_memberships(FILE *file, const char *name, struct user *user)
{
	struct group entry, *got;
	AUTO_FREE char *buf = xmalloc(LINE_MAX_BYTES);

	if (file == NULL || name[0] == '\0')
		return;
	rewind(file);
	while (fgetgrent_r(file, &entry, buf, LINE_MAX_BYTES, &got) == 0) {
		for (char **member = entry.gr_mem; member != NULL && *member != NULL; member++) {
			if (strcmp(*member, name) == 0)
				add_group(user, entry.gr_gid);
		}
	}
}

struct error *user_find(int rootfd, const struct user_query *query, struct user *out)
{
	AUTO_FILE FILE *passwd = open_table(rootfd, "/etc/passwd");
	AUTO_FILE FILE *group = NULL;
	struct str rest = str_from(query->text != NULL && query->text[0] != '\0' ? query->text : "0"), who;
	char name[256] = "";
	int64_t n;

	memset(out, 0, sizeof(*out));
	snprintf(out->home, sizeof(out->home), "/");
	str_cut(&rest, ':', &who);
	if (number(who, &n)) {
		if (!find_passwd(passwd, STR(""), n, name, out))
			out->uid = (uid_t)n;
	} else if (who.len == 0) {
		find_passwd(passwd, STR(""), 0, name, out);
	} else if (!find_passwd(passwd, who, -1, name, out)) {
		return error_new(ERR_NOT_FOUND, "unable to find user %.*s: no matching entries in passwd file", STR_ARG(who));
	}
	if (rest.len != 0 || !query->strict)
		group = open_table(rootfd, "/etc/group");
	if (rest.len != 0 && number(rest, &n))
		out->gid = (gid_t)n;
	else if (rest.len != 0 && !find_group(group, rest, &out->gid))
		return error_new(ERR_NOT_FOUND, "unable to find group %.*s: no matching entries in group file", STR_ARG(rest));
	if (query->gid >= 0)
		out->gid = (gid_t)query->gid;
	/* docker and containerd: memberships count unless the group was given with the user */
	if (!query->strict && rest.len == 0)
		add_memberships(group, name, out);
	for (size_t i = 0; i < query->n_groups; i++)
		add_group(out, query->groups[i]);
	return NULL;
}
