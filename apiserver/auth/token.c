/* Service account tokens. Claims as upstream's pkg/serviceaccount writes them. */
#include "apiserver/auth/auth.h"

#define LEEWAY 60 /* seconds that a token outlives its time, and the deletion of what it is bound to */

/* What a token may be bound to, and what the user's extra says of it. */
static const struct binding {
	const char *kind, *claim;
	const char *name_key, *uid_key; /* NULL: nothing */
} bindings[] = {
	{ "Pod", "pod", "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid" },
	{ "Secret", "secret", NULL, NULL },
	{ "Node", "node", "authentication.kubernetes.io/node-name", "authentication.kubernetes.io/node-uid" },
};
#define N_BINDINGS (sizeof(bindings) / sizeof(bindings[0]))

static const struct json *stored(const struct apiserver *server, struct arena *arena, const char *kind_name, struct str ns,
				 struct str name)
{
	const struct kind *kind = kind_must("v1", kind_name);
	struct store_value *value =
		store_find(server->options.store, object_key(arena, kind, kind_namespaced(kind) ? ns : STR(""), name));

	return value != NULL ? object_tree(value_object(kind, value)) : NULL;
}

static const struct json *reference(struct arena *arena, const struct json *tree)
{
	return tree == NULL ? NULL
			    : JSON_OBJECT_OF(arena, { "name", json_path(tree, "metadata.name") },
					     { "uid", json_path(tree, "metadata.uid") });
}

/* The namespace, the account, what it is bound to; of a pod that has one, its node. */
static const struct json *private_claims(const struct apiserver *server, struct arena *arena, const struct token_request *request)
{
	const struct json *bound[N_BINDINGS] = { NULL };
	struct str node;

	for (size_t i = 0; i < N_BINDINGS; i++)
		if (request->bound != NULL && str_is(json_get_str(request->bound, "kind"), bindings[i].kind))
			bound[i] = stored(server, arena, bindings[i].kind, request->ns, json_get_str(request->bound, "name"));
	node = json_path_str(bound[0], "spec.nodeName");
	if (node.len != 0)
		bound[2] = stored(server, arena, "Node", STR(""), node);
	return JSON_OBJECT_OF(arena, { "namespace", json_string(arena, request->ns) }, { "node", reference(arena, bound[2]) },
			      { "pod", reference(arena, bound[0]) }, { "secret", reference(arena, bound[1]) },
			      { "serviceaccount", JSON_OBJECT_OF(arena, { "name", json_string(arena, request->name) },
								 { "uid", json_string(arena, request->uid) }) });
}

void token_issue(const struct apiserver *server, struct arena *arena, const struct token_request *request, struct buf *out,
		 int64_t *expires)
{
	int64_t now = clock_now() / NS_PER_S;
	const struct json *audiences = request->audiences, *claims;
	const char *issuer = server->options.issuer;
	char uuid[37];

	rand_uuid(uuid);
	if (json_len(audiences) == 0)
		audiences = JSON_ARRAY_OF(arena, json_text(arena, issuer));
	*expires = (now + request->seconds) * NS_PER_S;
	claims = JSON_OBJECT_OF(
		arena, { "aud", audiences }, { "exp", json_number(arena, now + request->seconds) },
		{ "iat", json_number(arena, now) }, { "iss", json_text(arena, issuer) }, { "jti", json_text(arena, uuid) },
		{ "kubernetes.io", private_claims(server, arena, request) }, { "nbf", json_number(arena, now) },
		{ "sub", json_printf(arena, "system:serviceaccount:%.*s:%.*s", STR_ARG(request->ns), STR_ARG(request->name)) });
	pki_jwt_sign(server->options.token_key, json_format(arena, claims), out);
}

static bool deleted_long_ago(const struct json *tree)
{
	int64_t deleted;

	return time_parse(json_path_str(tree, "metadata.deletionTimestamp"), &deleted) &&
	       clock_now() >= deleted + LEEWAY * NS_PER_S;
}

/* What a token is bound to is the same one still. `what` names it in the words of the error. */
static struct error *check_reference(const struct json *tree, const struct json *ref, const char *what)
{
	struct str has = json_path_str(tree, "metadata.uid"), said = json_get_str(ref, "uid");

	if (tree == NULL)
		return error_new(ERR_UNAUTHORIZED, "service account token has been invalidated");
	if (!str_eq(has, said))
		return error_new(ERR_UNAUTHORIZED, "%s UID (%.*s) does not match service account %s ref claim (%.*s)", what,
				 STR_ARG(has), what, STR_ARG(said));
	if (deleted_long_ago(tree))
		return error_new(ERR_UNAUTHORIZED, "service account token has been invalidated");
	return NULL;
}

static struct error *check_bound(const struct apiserver *server, struct arena *arena, struct str ns, const struct json *claims)
{
	struct error *err = NULL;

	for (size_t i = 0; i < N_BINDINGS && err == NULL; i++) {
		const struct json *ref = json_get(claims, bindings[i].claim);

		/* A pod's node is told, no more. */
		if (ref == NULL || (str_is(str_from(bindings[i].claim), "node") && json_get(claims, "pod") != NULL))
			continue;
		err = check_reference(stored(server, arena, bindings[i].kind, ns, json_get_str(ref, "name")), ref,
				      bindings[i].claim);
	}
	return err;
}

static struct error *check_account(const struct apiserver *server, struct arena *arena, struct str ns, const struct json *ref)
{
	struct str name = json_get_str(ref, "name"), said = json_get_str(ref, "uid");
	const struct json *tree = stored(server, arena, "ServiceAccount", ns, name);

	if (tree == NULL)
		return error_new(ERR_UNAUTHORIZED, "serviceaccounts \"%.*s\" not found", STR_ARG(name));
	if (!str_eq(json_path_str(tree, "metadata.uid"), said))
		return error_new(ERR_UNAUTHORIZED, "service account UID (%.*s) does not match claim (%.*s)",
				 STR_ARG(json_path_str(tree, "metadata.uid")), STR_ARG(said));
	if (deleted_long_ago(tree))
		return error_new(ERR_UNAUTHORIZED, "service account %.*s/%.*s has been deleted", STR_ARG(ns), STR_ARG(name));
	return NULL;
}

static bool holds(const struct json *list, struct str text)
{
	JSON_EACH (list, it)
		if (str_eq(json_str(it.value), text))
			return true;
	return json_is(list, JSON_STRING) && str_eq(json_str(list), text);
}

static const struct json *wanted_audiences(const struct apiserver *server, struct arena *arena, const struct json *audiences)
{
	return json_len(audiences) != 0 ? audiences : JSON_ARRAY_OF(arena, json_text(arena, server->options.issuer));
}

static const struct json *meant_for(const struct apiserver *server, struct arena *arena, const struct json *claims,
				    const struct json *audiences)
{
	struct json_builder both = { .arena = arena };

	JSON_EACH (wanted_audiences(server, arena, audiences), it)
		if (holds(json_get(claims, "aud"), json_str(it.value)))
			json_builder_item(&both, it.value);
	return json_builder_array(&both);
}

/* As Go's %q writes them. */
static const char *quoted(struct arena *arena, const struct json *list)
{
	AUTO_BUF struct buf out = { 0 };

	JSON_EACH (list, it)
		buf_printf(&out, "%s%s", out.len != 0 ? " " : "", api_quoted(arena, json_str(it.value)));
	return arena_printf(arena, "[%s]", buf_cstr(&out));
}

static struct error *check_claims(const struct apiserver *server, struct arena *arena, const struct json *claims,
				  const struct json *audiences)
{
	const struct json *private = json_get(claims, "kubernetes.io");
	struct str ns = json_get_str(private, "namespace");
	int64_t now = clock_now() / NS_PER_S;
	struct error *err;

	if (!str_is(json_get_str(claims, "iss"), server->options.issuer))
		return error_new(ERR_UNAUTHORIZED, "token issuer %s is invalid", api_quoted(arena, json_get_str(claims, "iss")));
	if (json_len(meant_for(server, arena, claims, audiences)) == 0)
		return error_new(ERR_UNAUTHORIZED, "token audiences %s is invalid for the target audiences %s",
				 quoted(arena, json_get(claims, "aud")), quoted(arena, wanted_audiences(server, arena, audiences)));
	if (json_int(json_get(claims, "exp"), 0) < now - LEEWAY)
		return error_new(ERR_UNAUTHORIZED, "service account token has expired");
	if (json_int(json_get(claims, "nbf"), 0) > now + LEEWAY)
		return error_new(ERR_UNAUTHORIZED, "service account token is not valid yet");
	err = check_account(server, arena, ns, json_get(private, "serviceaccount"));
	return err != NULL ? err : check_bound(server, arena, ns, private);
}

static const struct json *extra_of(struct arena *arena, const struct json *claims)
{
	const struct json *extra = NULL, *private = json_get(claims, "kubernetes.io");

	for (size_t i = 0; i < N_BINDINGS; i++) {
		const struct json *ref = json_get(private, bindings[i].claim);

		if (ref == NULL || bindings[i].name_key == NULL)
			continue;
		extra = user_extra_add(arena, extra, str_from(bindings[i].name_key), json_get_str(ref, "name"));
		extra = user_extra_add(arena, extra, str_from(bindings[i].uid_key), json_get_str(ref, "uid"));
	}
	return user_extra_add(arena, extra, STR(CREDENTIAL_ID),
			      str_format(arena, "JTI=%.*s", STR_ARG(json_get_str(claims, "jti"))));
}

static struct error *read_claims(const struct apiserver *server, struct arena *arena, struct str token, const struct json **claims)
{
	AUTO_BUF struct buf text = { 0 };
	struct error *err = pki_jwt_verify(server->options.token_key, token, &text);

	return err != NULL ? err : json_read(arena, str_dup(arena, buf_str(&text)), NULL, claims);
}

struct error *token_verify(const struct apiserver *server, struct arena *arena, struct str token, const struct json *audiences,
			   struct user *user)
{
	const struct json *claims;
	struct error *err = read_claims(server, arena, token, &claims);
	struct str ns, *groups;

	if (err != NULL) {
		error_free(err);
		return error_new(ERR_UNAUTHORIZED, "%s", "");
	}
	err = check_claims(server, arena, claims, audiences);
	if (err != NULL)
		return err;
	ns = json_get_str(json_get(claims, "kubernetes.io"), "namespace");
	groups = ARENA_ARRAY(arena, struct str, 3);
	groups[0] = STR("system:serviceaccounts");
	groups[1] = str_format(arena, "system:serviceaccounts:%.*s", STR_ARG(ns));
	groups[2] = STR("system:authenticated");
	*user = (struct user){ .name = json_get_str(claims, "sub"),
			       .uid = json_get_str(json_get(json_get(claims, "kubernetes.io"), "serviceaccount"), "uid"),
			       .groups = groups,
			       .n_groups = 3,
			       .extra = extra_of(arena, claims) };
	return NULL;
}

const struct json *token_audiences(const struct apiserver *server, struct arena *arena, struct str token,
				   const struct json *audiences)
{
	const struct json *claims = NULL;
	struct error *err = read_claims(server, arena, token, &claims);

	ASSERT(err == NULL);
	return meant_for(server, arena, claims, audiences);
}
