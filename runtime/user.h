/*
 * Who a container runs as: "name", "1000", "name:group", "1000:50" looked up in /etc/passwd and /etc/group of a root
 * directory, with the groups its /etc/group lists for that user, also for a numeric one.
 *
 *	err = user_find(rootfd, &(struct user_query){ .text = "nginx", .gid = -1 }, &user);
 */
#ifndef RUNTIME_USER_H
#define RUNTIME_USER_H

#include <sys/types.h>

#include "base/error.h"

#define USER_GROUPS_MAX 1024

struct user_query {
	const char *text;       /* NULL: "0" */
	int64_t gid;            /* -1: what text and passwd say */
	const uint32_t *groups; /* more supplementary ones */
	size_t n_groups;
	bool strict; /* only these: /etc/group is not read for memberships */
};

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX];
	size_t n_groups;
	char home[4096]; /* of passwd, else "/" */
};

/* ERR_NOT_FOUND when a name is in no file: in runc's words. */
struct error *user_find(int rootfd, const struct user_query *query, struct user *out) MUST_CHECK;

#endif
