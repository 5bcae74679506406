/* GET and LIST: answered from memory, without waiting. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "apiserver/auth/auth.h"
#include "apiserver/verbs/verbs.h"

static task_fn step_get, step_choose, step_list;

const struct task_step get_steps[] = {
	{ "get", step_get, NULL },
	{ NULL, NULL, NULL },
};

const struct task_step list_steps[] = {
	{ "choose version", step_choose, NULL },
	{ "list", step_list, NULL },
	{ NULL, NULL, NULL },
};

/* resourceVersion of a read: 0 when not said. */
static struct error *read_version(const struct request *req, bool list, uint64_t *out)
{
	struct str text = req->query.resource_version;

	*out = 0;
	if (text.len == 0 || str_to_u64(text, out))
		return NULL;
	return error_new(list ? ERR_BAD_REQUEST : ERR_PLAIN,
			 "%sresourceVersion: Invalid value: \"%.*s\": strconv.ParseUint: parsing \"%.*s\": %s",
			 list ? "invalid resource version: " : "", STR_ARG(text), STR_ARG(text), number_complaint(text));
}

static struct error *too_large(uint64_t asked, uint64_t current)
{
	struct error *err = error_new(ERR_TIMEOUT, "Timeout: Too large resource version: %llu, current: %llu",
				      (unsigned long long)asked, (unsigned long long)current);

	error_add_cause(err, "ResourceVersionTooLarge", "", "Too large resource version");
	err->retry_after = 1;
	return err;
}

static enum task_result step_get(struct task *task, void *arg)
{
	struct request *req = arg;
	struct store *store = req->server->options.store;
	struct store_value *value;
	uint64_t version;
	struct error *err = read_version(req, false, &version);

	if (err == NULL && version > store_revision(store))
		err = too_large(version, store_revision(store));
	if (err != NULL)
		return task_fail(task, err);
	value = store_find(store, object_key(req->arena, req->route.kind, req->route.ns, req->route.name));
	if (value == NULL)
		return task_fail(task, error_not_found(req->route.kind, req->route.name));
	req->object = value_served(req->arena, req->route.kind, value);
	return TASK_DONE;
}

/* A continue token names the snapshot and the first key that is still to come. */
static struct str make_token(struct request *req, uint64_t revision, struct str next_key)
{
	struct str prefix = list_prefix(req->arena, req->route.kind, STR(""));
	const struct json *token = JSON_OBJECT_OF(req->arena, { "v", json_text(req->arena, "meta.k8s.io/v1") },
						  { "rv", json_number(req->arena, (int64_t)revision) },
						  { "start", json_string(req->arena, str_skip(next_key, prefix.len)) });
	AUTO_BUF struct buf text = { 0 };

	base64url_encode(&text, json_format(req->arena, token));
	return str_dup(req->arena, buf_str(&text));
}

/* Go's base64 counts to the first character that is none, or has none to go with. */
static size_t base64_until(struct str text)
{
	size_t n = 0;

	while (n < text.len && (isalnum((unsigned char)text.ptr[n]) || text.ptr[n] == '-' || text.ptr[n] == '_'))
		n++;
	return n == text.len && n % 4 == 1 ? n - 1 : n;
}

static struct error *bad_token(const char *format, ...) __attribute__((format(printf, 1, 2)));
static struct error *bad_token(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_new(ERR_BAD_REQUEST, "invalid continue token: continue key is not valid: %s", text);
}

/* k8s.io/apiserver/pkg/storage/continue.go, DecodeContinue. */
static struct error *parse_token(struct request *req, uint64_t *revision, struct str *start)
{
	struct str prefix = list_prefix(req->arena, req->route.kind, STR("")), key;
	AUTO_BUF struct buf text = { 0 };
	const struct json *token = NULL;
	struct error *err = NULL;

	if (!base64url_decode(&text, req->query.token))
		return bad_token("illegal base64 data at input byte %zu", base64_until(req->query.token));
	err = json_read(req->arena, buf_str(&text), NULL, &token);
	if (err != NULL) {
		AUTO_ERROR cause = err;

		return bad_token("%s", cause->text);
	}
	key = json_get_str(token, "start");
	if (!str_is(json_get_str(token, "v"), "meta.k8s.io/v1"))
		return bad_token("server does not recognize this encoded version %.*s", STR_ARG(json_get_str(token, "v")));
	if (json_int(json_get(token, "rv"), 0) == 0)
		return bad_token("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
	if (key.len == 0)
		return bad_token("encoded start key empty (version meta.k8s.io/v1)");
	if (str_contains(key, STR("//")) || str_contains(key, STR("/.")) || key.ptr[key.len - 1] == '/')
		return bad_token("%.*s", STR_ARG(key));
	*revision = (uint64_t)json_int(json_get(token, "rv"), 0);
	*start = str_format(req->arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(key));
	return NULL;
}

#define INCONSISTENT UINT64_MAX /* -1 in a token: what is there now, from that key on */

/* Whoever does not mind gaps may go on with the token that the answer bears. */
static struct error *expired_token(struct request *req, struct error *err, struct str start)
{
	error_free(err);
	req->continue_token = make_token(req, INCONSISTENT, start);
	return error_new(ERR_EXPIRED,
			 "The provided continue parameter is too old to display a consistent list result. You can start a new list "
			 "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
			 "the results. Continuing with the provided token results in an inconsistent list - objects that were "
			 "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
			 "list.");
}

/* Which snapshot a list shows: the token's, an exact one, or today's. */
static struct error *choose_version(struct request *req, struct str *start)
{
	struct store *store = req->server->options.store;
	uint64_t version = 0;
	struct error *err;

	*start = STR("");
	if (req->query.token.len != 0) {
		err = parse_token(req, &version, start);
		if (err == NULL && req->query.resource_version.len != 0 && !str_is(req->query.resource_version, "0"))
			err = error_new(ERR_BAD_REQUEST, "specifying resource version is not allowed when using continue");
		if (err == NULL && version != INCONSISTENT && version > store_revision(store))
			return too_large(version, store_revision(store));
		if (err != NULL)
			return err;
		if (version == INCONSISTENT) {
			req->version = store_hold(store);
			return NULL;
		}
		err = store_hold_at(store, version, &req->version);
		return err != NULL ? expired_token(req, err, *start) : NULL;
	}
	err = read_version(req, true, &version);
	if (err != NULL)
		return err;
	if (version > store_revision(store))
		return too_large(version, store_revision(store));
	if (str_is(req->query.version_match, "Exact") ||
	    (version != 0 && req->query.limit > 0 && req->query.version_match.len == 0)) {
		err = store_hold_at(store, version, &req->version);
		if (err != NULL) {
			error_free(err);
			err = error_new(ERR_EXPIRED, "The resourceVersion for the provided list is too old.");
		}
		return err;
	}
	req->version = store_hold(store);
	return NULL;
}

/* How far a list has got: matching may have to decode each object, so it goes in slices. */
struct listing {
	struct match *match;
	struct str prefix;
	struct store_iter it;
	bool more; /* it stands on a value that was not looked at */
	VEC(struct store_value *) found;
	struct loop_call again;
};

static void forget_found(void *arg)
{
	struct listing *listing = arg;

	vec_fini(&listing->found);
}

static enum task_result step_choose(struct task *task, void *arg)
{
	struct request *req = arg;
	struct listing *listing = ARENA_NEW(req->arena, struct listing);
	struct error *err = match_parse(req->arena, req->route.kind, req->query.labels, req->query.fields, &listing->match);
	struct str start;

	if (err == NULL)
		err = choose_version(req, &start);
	if (err != NULL)
		return task_fail(task, err);
	/* Version 0 asks for what is at hand, which is everything (k8s.io/apiserver/pkg/storage/cacher). */
	if (str_is(req->query.resource_version, "0"))
		req->query.limit = 0;
	arena_defer(req->arena, forget_found, listing);
	listing->prefix = list_prefix(req->arena, req->route.kind, req->route.ns);
	listing->more = store_seek(&listing->it, req->version, listing->prefix, start);
	req->listing = listing;
	return TASK_NEXT;
}

static void next_slice(void *arg)
{
	task_wake(arg, NULL);
}

static bool page_is_full(const struct request *req)
{
	return req->query.limit > 0 && (int64_t)req->listing->found.len == req->query.limit;
}

static enum task_result step_list(struct task *task, void *arg)
{
	struct request *req = arg;
	struct listing *listing = req->listing;

	while (listing->more && !page_is_full(req)) {
		if (match_value(listing->match, listing->it.value))
			vec_push(&listing->found, listing->it.value);
		listing->more = store_next(&listing->it);
		if (listing->more && loop_over_budget()) {
			task_hold(task);
			loop_call_behind(&listing->again, next_slice, task);
			return TASK_AGAIN;
		}
	}
	if (listing->more) {
		req->continue_token = make_token(req, store_version_revision(req->version), listing->it.value->key);
		/* How many remain is only told when counting needs no matching. */
		if (match_all(listing->match))
			req->remaining = (int64_t)store_count(req->version, listing->prefix, listing->it.value->key);
	}
	req->items = listing->found.ptr;
	req->n_items = listing->found.len;
	return TASK_DONE;
}

const struct task_step *steps_of(const struct request *req)
{
	if (req->route.subresource.len != 0 && !is_status(req) && req->route.verb != VERB_DELETE) {
		/* Status and finalize are writes of the object itself. */
		return subresource_steps;
	}
	if (req->route.verb == VERB_CREATE && str_is(req->route.resource, "bindings") && req->route.group.len == 0)
		return binding_steps;
	/* What can be created and never read is a question, not an object. */
	if (req->route.verb == VERB_CREATE && (kind_verbs(req->route.kind) & VERB(GET)) == 0)
		return review_steps;
	switch (req->route.verb) {
	case VERB_GET:
		return get_steps;
	case VERB_LIST:
		return list_steps;
	case VERB_CREATE:
		return create_steps;
	case VERB_UPDATE:
		return update_steps;
	case VERB_PATCH:
		return patch_steps;
	case VERB_DELETE:
		return delete_steps;
	case VERB_DELETECOLLECTION:
		return delete_collection_steps;
	case VERB_WATCH:
	case VERB_COUNT:
		break;
	}
	return NULL;
}
