/* Who asks, and whether they may. Private to apiserver. */
#ifndef APISERVER_AUTH_AUTH_H
#define APISERVER_AUTH_AUTH_H

#include "apiserver/server.h"

/* By client certificate or service account token; nobody is system:anonymous; a bad token is ERR_UNAUTHORIZED. Then
 * impersonation, for those who may. */
struct error *authenticate(struct request *req) MUST_CHECK;
/* ERR_FORBIDDEN in upstream's words. */
struct error *authorize(const struct request *req) MUST_CHECK;
struct error *authorize_path(const struct user *user, struct str method, struct str path) MUST_CHECK;
#define CREDENTIAL_ID "authentication.kubernetes.io/credential-id"
/* What is known of a user beyond name and groups, as "extra" of reviews: an object of lists of strings, or NULL. */
const struct json *user_extra(struct arena *arena, const struct user *user);
const struct json *user_extra_add(struct arena *arena, const struct json *extra, struct str key, struct str value);
/* What SubjectAccessReviews ask. */
bool user_may_all(const struct user *user);
struct error *authenticate_http(const struct apiserver *server, struct arena *arena, struct http_request *http,
				struct user *user) MUST_CHECK;

/* Service account tokens: signed ES256, bound to a pod when one is named. */
struct token_request {
	struct str ns, name, uid;
	const struct json *audiences; /* empty: the issuer */
	int64_t seconds;
	const struct json *bound; /* boundObjectRef, or NULL */
};
void token_issue(const struct apiserver *server, struct arena *arena, const struct token_request *request, struct buf *out,
		 int64_t *expires);
/* The user of a token, or ERR_UNAUTHORIZED, whose text says why when it is one of ours. It must be meant for one of these
 * audiences; none, or NULL: for this server. */
struct error *token_verify(const struct apiserver *server, struct arena *arena, struct str token, const struct json *audiences,
			   struct user *user) MUST_CHECK;
/* Those of these audiences that the token is meant for; the token is valid. */
const struct json *token_audiences(const struct apiserver *server, struct arena *arena, struct str token,
				   const struct json *audiences);

#endif
