#include "apiserver/auth/auth.h"

#include <strings.h>

static bool in_group(const struct user *user, const char *group)
{
	for (size_t i = 0; i < user->n_groups; i++)
		if (str_is(user->groups[i], group))
			return true;
	return false;
}

static void set_groups(struct arena *arena, struct user *user, const struct str *groups, size_t n, const char *last)
{
	struct str *all = ARENA_ARRAY(arena, struct str, n + 1);

	for (size_t i = 0; i < n; i++)
		all[i] = str_dup(arena, groups[i]);
	all[n] = str_from(last);
	user->groups = all;
	user->n_groups = n + 1;
}

static struct error *nobody(const struct str *groups, size_t n, struct str uid)
{
	AUTO_BUF struct buf list = { 0 };

	if (n == 0 && uid.len == 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		buf_printf(&list, "%s\"%.*s\"", i > 0 ? ", " : "", STR_ARG(groups[i]));
	return error_new(ERR_BAD_REQUEST,
			 "requested &user.DefaultInfo{Name:\"\", UID:\"%.*s\", Groups:[]string%s%s%s, "
			 "Extra:map[string][]string(nil)} without impersonating a user name",
			 STR_ARG(uid), n > 0 ? "{" : "(nil)", buf_cstr(&list), n > 0 ? "}" : "");
}

static struct error *impersonate(struct arena *arena, struct http_request *http, struct user *user)
{
	struct str name = http_header(&http->headers, "impersonate-user");
	struct str groups[32];
	size_t n = 0;

	for (size_t i = 0; i < http->headers.n && n < 32; i++)
		if (str_is(http->headers.ptr[i].name, "impersonate-group"))
			groups[n++] = http->headers.ptr[i].value;
	if (name.len == 0)
		return nobody(groups, n, http_header(&http->headers, "impersonate-uid"));
	if (!user_may_all(user))
		return error_new(ERR_FORBIDDEN,
				 "users \"%.*s\" is forbidden: User \"%.*s\" cannot impersonate resource "
				 "\"users\" in API group \"\" at the cluster scope",
				 STR_ARG(name), STR_ARG(user->name));
	*user = (struct user){ .name = str_dup(arena, name),
			       .uid = str_dup(arena, http_header(&http->headers, "impersonate-uid")) };
	if (n == 0 && str_has_prefix(name, STR("system:serviceaccount:"))) {
		struct str rest = str_skip(name, 22), ns = STR("");

		str_cut(&rest, ':', &ns);
		groups[n++] = STR("system:serviceaccounts");
		groups[n++] = str_format(arena, "system:serviceaccounts:%.*s", STR_ARG(ns));
	}
	if (str_is(name, "system:anonymous"))
		set_groups(arena, user, groups, n, "system:unauthenticated");
	else
		set_groups(arena, user, groups, n, "system:authenticated");
	return NULL;
}

struct error *authenticate_http(const struct apiserver *server, struct arena *arena, struct http_request *http, struct user *user)
{
	struct str token = http_header(&http->headers, "authorization");
	struct error *err = NULL;

	if (http->peer->verified) {
		user->name = str_dup(arena, http->peer->common_name);
		set_groups(arena, user, http->peer->orgs, http->peer->n_orgs, "system:authenticated");
	} else if (token.len > 7 && strncasecmp(token.ptr, "bearer ", 7) == 0) {
		err = token_verify(server, arena, str_trim(str_skip(token, 7)), user);
	} else {
		user->name = STR("system:anonymous");
		set_groups(arena, user, NULL, 0, "system:unauthenticated");
	}
	return err != NULL ? err : impersonate(arena, http, user);
}

struct error *authenticate(struct request *req)
{
	if (req->http == NULL) {
		req->user = (struct user){ .name = req->call.actor, .trusted = true };
		return NULL;
	}
	return authenticate_http(req->server, req->arena, req->http, &req->user);
}

bool user_may_all(const struct user *user)
{
	return user->trusted || in_group(user, "system:masters");
}

/* Until RBAC is built: masters and our own components, and what every bootstrap policy lets everybody do: ask who they
 * are and what they may (system:basic-user). */
struct error *authorize(const struct request *req)
{
	const struct route *route = &req->route;
	struct arena *arena = req->arena;
	struct str what, where, object = STR("");
	struct error *err;

	if (user_may_all(&req->user))
		return NULL;
	if (route->verb == VERB_CREATE && in_group(&req->user, "system:authenticated") &&
	    (str_is(route->resource, "selfsubjectaccessreviews") || str_is(route->resource, "selfsubjectrulesreviews") ||
	     str_is(route->resource, "selfsubjectreviews")))
		return NULL;
	what = route->subresource.len != 0 ? str_format(arena, "%.*s/%.*s", STR_ARG(route->resource), STR_ARG(route->subresource))
					   : route->resource;
	where = route->ns.len != 0 ? str_format(arena, "in the namespace \"%.*s\"", STR_ARG(route->ns))
				   : STR("at the cluster scope");
	if (route->name.len != 0)
		object = str_format(arena, " \"%.*s\"", STR_ARG(route->name));
	err = error_new(ERR_FORBIDDEN,
			"%.*s%s%.*s%.*s is forbidden: User \"%.*s\" cannot %s resource \"%.*s\" in API group \"%.*s\" %.*s",
			STR_ARG(route->resource), route->group.len != 0 ? "." : "", STR_ARG(route->group), STR_ARG(object),
			STR_ARG(req->user.name), req->query.watch ? "watch" : route_verb_name(route), STR_ARG(what),
			STR_ARG(route->group), STR_ARG(where));
	return error_about(err, route->group, route->resource, route->name);
}

/* system:public-info-viewer for everybody, system:discovery for those who are known. */
struct error *authorize_path(const struct user *user, struct str method, struct str path)
{
	static const char *const open[] = { "/healthz", "/livez", "/readyz", "/version", "/version/" };
	static const char *const known[] = { "/api", "/apis", "/openapi" };
	AUTO_BUF struct buf verb = { 0 };

	if (user_may_all(user))
		return NULL;
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		if (str_is(path, open[i]))
			return NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (in_group(user, "system:authenticated") && str_has_prefix(path, str_from(known[i])))
			return NULL;
	for (size_t i = 0; i < method.len; i++)
		buf_putc(&verb, (char)(method.ptr[i] | 0x20));
	return error_new(ERR_FORBIDDEN, "forbidden: User \"%.*s\" cannot %s path \"%.*s\"", STR_ARG(user->name), buf_cstr(&verb),
			 STR_ARG(path));
}
