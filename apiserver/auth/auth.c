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

/* "Impersonate-Extra-example.com%2Fscope: a", once for each value. */
static const struct json *impersonated_extra(struct arena *arena, const struct http_headers *headers)
{
	const struct str prefix = STR("impersonate-extra-");
	const struct json *extra = NULL;

	for (size_t i = 0; i < headers->n; i++) {
		const struct http_header *header = &headers->ptr[i];
		struct str key;

		if (str_has_prefix(header->name, prefix) && http_unescape(arena, str_skip(header->name, prefix.len), false, &key))
			extra = user_extra_add(arena, extra, key, str_dup(arena, header->value));
	}
	return extra;
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
			       .uid = str_dup(arena, http_header(&http->headers, "impersonate-uid")),
			       .extra = impersonated_extra(arena, &http->headers) };
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
	struct error *err;

	if (http->peer->verified) {
		user->name = str_dup(arena, http->peer->common_name);
		user->cert = http->peer->cert_der;
		set_groups(arena, user, http->peer->orgs, http->peer->n_orgs, "system:authenticated");
	} else if (token.len > 7 && strncasecmp(token.ptr, "bearer ", 7) == 0) {
		err = token_verify(server, arena, str_trim(str_skip(token, 7)), NULL, user);
		if (err != NULL) {
			error_free(err);
			return error_new(ERR_UNAUTHORIZED, "Unauthorized");
		}
	} else {
		user->name = STR("system:anonymous");
		set_groups(arena, user, NULL, 0, "system:unauthenticated");
	}
	return impersonate(arena, http, user);
}

struct error *authenticate(struct request *req)
{
	if (req->http == NULL) {
		req->user = (struct user){ .name = req->call.actor, .trusted = true };
		return NULL;
	}
	return authenticate_http(req->server, req->arena, req->http, &req->user);
}

const struct json *user_extra_add(struct arena *arena, const struct json *extra, struct str key, struct str value)
{
	const char *name = str_cstr(arena, key);
	struct json_builder values = { .arena = arena };

	JSON_EACH (extra != NULL ? json_get(extra, name) : NULL, it)
		json_builder_item(&values, it.value);
	json_builder_item(&values, json_string(arena, value));
	return json_with(arena, extra != NULL ? extra : &json_empty_object, name, json_builder_array(&values));
}

const struct json *user_extra(struct arena *arena, const struct user *user)
{
	char digest[2 * SHA256_BYTES + 1];
	struct json_builder sorted = { .arena = arena };

	if (user->cert.len == 0 && user->extra == NULL)
		return NULL;
	if (user->cert.len == 0) {
		JSON_EACH (user->extra, it)
			json_builder_member(&sorted, it.key, it.value);
		json_builder_sort(&sorted);
		return json_builder_object(&sorted);
	}
	pki_sha256_hex(user->cert, digest);
	return user_extra_add(arena, NULL, STR(CREDENTIAL_ID), str_format(arena, "X509SHA256=%s", digest));
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

/* What the bootstrap policy lets a group read: system:public-info-viewer, system:discovery,
 * system:service-account-issuer-discovery. */
static const struct {
	const char *group; /* NULL: everybody */
	const char *path;
	bool below; /* and what begins with it */
} readable[] = {
	{ NULL, "/healthz", false },
	{ NULL, "/livez", false },
	{ NULL, "/readyz", false },
	{ NULL, "/version", false },
	{ NULL, "/version/", false },
	{ "system:authenticated", "/api", true },
	{ "system:authenticated", "/apis", true },
	{ "system:authenticated", "/openapi", true },
	{ "system:serviceaccounts", "/.well-known/openid-configuration", false },
	{ "system:serviceaccounts", "/openid/v1/jwks", false },
};

struct error *authorize_path(const struct user *user, struct str method, struct str path)
{
	AUTO_BUF struct buf verb = { 0 };

	if (user_may_all(user))
		return NULL;
	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
		if ((readable[i].below ? str_has_prefix(path, str_from(readable[i].path)) : str_is(path, readable[i].path)) &&
		    (readable[i].group == NULL || in_group(user, readable[i].group)))
			return NULL;
	for (size_t i = 0; i < method.len; i++)
		buf_putc(&verb, (char)(method.ptr[i] | 0x20));
	return error_new(ERR_FORBIDDEN, "forbidden: User \"%.*s\" cannot %s path \"%.*s\"", STR_ARG(user->name), buf_cstr(&verb),
			 STR_ARG(path));
}
