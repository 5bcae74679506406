/* Service account tokens. Claims as upstream's pkg/serviceaccount writes them. */
#include "apiserver/auth/auth.h"

void token_issue(const struct apiserver *server, struct arena *arena, const struct token_request *request, struct buf *out,
		 int64_t *expires)
{
	int64_t now = clock_now() / NS_PER_S;
	const struct json *audiences = request->audiences, *private, *claims;
	const char *issuer = server->options.issuer;
	char uuid[37];

	rand_uuid(uuid);
	if (json_len(audiences) == 0)
		audiences = JSON_ARRAY_OF(arena, json_text(arena, issuer));
	*expires = (now + request->seconds) * NS_PER_S;
	private = JSON_OBJECT_OF(arena, { "namespace", json_string(arena, request->ns) },
				 { "pod",
				   json_get(request->bound, "kind") != NULL && str_is(json_get_str(request->bound, "kind"), "Pod")
					   ? JSON_OBJECT_OF(arena, { "name", json_get(request->bound, "name") },
							    { "uid", json_get(request->bound, "uid") })
					   : NULL },
				 { "serviceaccount", JSON_OBJECT_OF(arena, { "name", json_string(arena, request->name) },
								    { "uid", json_string(arena, request->uid) }) });
	claims = JSON_OBJECT_OF(
		arena, { "aud", audiences }, { "exp", json_number(arena, now + request->seconds) },
		{ "iat", json_number(arena, now) }, { "iss", json_text(arena, issuer) }, { "jti", json_text(arena, uuid) },
		{ "kubernetes.io", private }, { "nbf", json_number(arena, now) },
		{ "sub", json_printf(arena, "system:serviceaccount:%.*s:%.*s", STR_ARG(request->ns), STR_ARG(request->name)) });
	pki_jwt_sign(server->options.token_key, json_format(arena, claims), out);
}

static bool account_is(const struct apiserver *server, struct arena *arena, struct str ns, struct str name, struct str uid)
{
	const struct kind *kind = kind_must("v1", "ServiceAccount");
	struct store_value *value = store_find(server->options.store, object_key(arena, kind, ns, name));

	return value != NULL && str_eq(object_uid(value_object(kind, value)), uid);
}

static bool bound_pod_is(const struct apiserver *server, struct arena *arena, struct str ns, const struct json *pod)
{
	const struct kind *kind = kind_must("v1", "Pod");
	struct store_value *value;

	if (pod == NULL)
		return true;
	value = store_find(server->options.store, object_key(arena, kind, ns, json_get_str(pod, "name")));
	return value != NULL && str_eq(object_uid(value_object(kind, value)), json_get_str(pod, "uid"));
}

static bool audience_is(const struct json *audiences, const char *issuer)
{
	JSON_EACH (audiences, it)
		if (str_is(json_str(it.value), issuer))
			return true;
	return json_is(audiences, JSON_STRING) && str_is(json_str(audiences), issuer);
}

struct error *token_verify(const struct apiserver *server, struct arena *arena, struct str token, struct user *user)
{
	const struct json *claims, *kubernetes;
	struct buf text = { 0 };
	struct error *err = pki_jwt_verify(server->options.token_key, token, &text);
	int64_t now = clock_now() / NS_PER_S;
	struct str ns, name, *groups;

	if (err == NULL)
		err = json_read(arena, buf_str(&text), NULL, &claims);
	buf_fini(&text);
	if (err != NULL) {
		error_free(err);
		return error_new(ERR_UNAUTHORIZED, "Unauthorized");
	}
	kubernetes = json_get(claims, "kubernetes.io");
	ns = json_get_str(kubernetes, "namespace");
	name = json_path_str(kubernetes, "serviceaccount.name");
	if (!str_is(json_get_str(claims, "iss"), server->options.issuer) || json_int(json_get(claims, "exp"), 0) < now ||
	    json_int(json_get(claims, "nbf"), 0) > now + 60 || !audience_is(json_get(claims, "aud"), server->options.issuer) ||
	    !account_is(server, arena, ns, name, json_path_str(kubernetes, "serviceaccount.uid")) ||
	    !bound_pod_is(server, arena, ns, json_get(kubernetes, "pod")))
		return error_new(ERR_UNAUTHORIZED, "Unauthorized");
	groups = ARENA_ARRAY(arena, struct str, 3);
	groups[0] = STR("system:serviceaccounts");
	groups[1] = str_format(arena, "system:serviceaccounts:%.*s", STR_ARG(ns));
	groups[2] = STR("system:authenticated");
	*user = (struct user){ .name = json_get_str(claims, "sub"),
			       .uid = json_path_str(kubernetes, "serviceaccount.uid"),
			       .groups = groups,
			       .n_groups = 3 };
	return NULL;
}
