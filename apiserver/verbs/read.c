/* GET and LIST: answered from memory, without waiting. */
#include "apiserver/auth/auth.h"
#include "apiserver/verbs/verbs.h"

task_fn step_get, step_list;

const struct task_step get_steps[] = {
	{ "get", step_get, NULL },
	{ NULL, NULL, NULL },
};

const struct task_step list_steps[] = {
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
	return error_new(list ? ERR_BAD_REQUEST : ERR_INTERNAL,
			 "Invalid value: \"%.*s\": strconv.ParseUint: parsing "
			 "\"%.*s\": invalid syntax",
			 STR_ARG(text), STR_ARG(text));
}

static struct error *too_large(uint64_t asked, uint64_t current)
{
	struct error *err = error_new(ERR_TIMEOUT, "Too large resource version: %llu, current: %llu", (unsigned long long)asked,
				      (unsigned long long)current);

	error_add_cause(err, "ResourceVersionTooLarge", "", "Too large resource version");
	err->retry_after = 1;
	return err;
}

enum task_result step_get(struct task *task, void *arg)
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

static struct error *parse_token(struct request *req, uint64_t *revision, struct str *start)
{
	struct str prefix = list_prefix(req->arena, req->route.kind, STR(""));
	AUTO_BUF struct buf text = { 0 };
	const struct json *token = NULL;
	struct error *err = NULL;

	if (base64url_decode(&text, req->query.token))
		err = json_read(req->arena, buf_str(&text), NULL, &token);
	if (err != NULL || !str_is(json_get_str(token, "v"), "meta.k8s.io/v1") || json_get(token, "start") == NULL) {
		error_free(err);
		return error_new(ERR_BAD_REQUEST, "continue key is not valid: illegal base64 data");
	}
	*revision = (uint64_t)json_int(json_get(token, "rv"), 0);
	*start = str_format(req->arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(json_get_str(token, "start")));
	return NULL;
}

static struct error *expired_token(struct request *req, struct error *err)
{
	error_free(err);
	req->continue_token = STR("");
	return error_new(ERR_EXPIRED, "The provided continue parameter is too old to display a consistent list result. "
				      "You must start a new list without the continue parameter.");
}

static struct error *check_match(const struct request *req)
{
	struct str match = req->query.version_match, version = req->query.resource_version;

	if (match.len == 0)
		return NULL;
	if (version.len == 0)
		return error_new(ERR_INVALID, "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
					      "resourceVersionMatch is forbidden unless resourceVersion is provided");
	if (!str_is(match, "Exact") && !str_is(match, "NotOlderThan"))
		return error_new(ERR_INVALID,
				 "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported "
				 "value: \"%.*s\": supported values: \"Exact\", \"NotOlderThan\"",
				 STR_ARG(match));
	if (str_is(match, "Exact") && str_is(version, "0"))
		return error_new(ERR_INVALID, "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
					      "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
	return NULL;
}

/* Which snapshot a list shows: the token's, an exact one, or today's. */
static struct error *choose_version(struct request *req, struct str *start)
{
	struct store *store = req->server->options.store;
	uint64_t version = 0;
	struct error *err = check_match(req);

	*start = STR("");
	if (err != NULL)
		return err;
	if (req->query.token.len != 0) {
		err = parse_token(req, &version, start);
		if (err == NULL && version != 0) {
			err = store_hold_at(store, version, &req->version);
			if (err != NULL)
				err = expired_token(req, err);
			return err;
		}
		if (err == NULL)
			req->version = store_hold(store);
		return err;
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

enum task_result step_list(struct task *task, void *arg)
{
	struct request *req = arg;
	VEC(struct store_value *) found = { 0 };
	struct str prefix = list_prefix(req->arena, req->route.kind, req->route.ns), start, next = STR("");
	struct store_iter it;
	struct match *match;
	struct error *err = choose_version(req, &start);

	if (err == NULL)
		err = match_parse(req->arena, req->route.kind, req->query.labels, req->query.fields, &match);
	if (err != NULL)
		return task_fail(task, err);
	for (bool ok = store_seek(&it, req->version, prefix, start); ok; ok = store_next(&it)) {
		if (req->query.limit > 0 && (int64_t)found.len == req->query.limit) {
			next = it.value->key;
			break;
		}
		if (match_value(match, it.value))
			vec_push(&found, it.value);
	}
	if (next.len != 0) {
		req->continue_token = make_token(req, store_version_revision(req->version), next);
		/* How many remain is only told when counting needs no matching. */
		if (match_all(match))
			req->remaining = (int64_t)store_count(req->version, prefix, next);
	}
	req->items = ARENA_ARRAY(req->arena, struct store_value *, found.len + 1);
	if (found.len != 0)
		memcpy(req->items, found.ptr, found.len * sizeof(found.ptr[0]));
	req->n_items = found.len;
	vec_fini(&found);
	return TASK_DONE;
}

const struct task_step *steps_of(const struct request *req)
{
	if (req->route.subresource.len != 0 && !is_status(req) && req->route.verb != VERB_DELETE) {
		/* Status and finalize are writes of the object itself. */
		return subresource_steps;
	}
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
