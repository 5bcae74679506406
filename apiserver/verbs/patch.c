/* PATCH: the four kinds of patches, and what they make of the object there is. */
#include <stdio.h>

#include "api/apply.h"
#include "apiserver/verbs/verbs.h"

static task_fn step_patch;

const struct task_step patch_steps[] = {
	{ "read body", step_read_body, NULL },
	{ "options", step_write_options, NULL },
	{ "read old", step_read_old, NULL },
	{ "make", step_patch, NULL },
	ADMIT_STEPS,
	{ "encode", step_encode, NULL },
	{ "commit", step_commit, NULL },
	{ "keep result", step_keep_result, NULL },
	{ NULL, NULL, NULL },
};

static struct error *patch_media(struct request *req, enum api_patch *patch)
{
	struct str type = req->http != NULL ? content_type(http_header(&req->http->headers, "content-type")) : STR("");

	*patch = req->call.patch;
	if (req->http == NULL)
		return NULL;
	if (str_is(type, "application/json-patch+json"))
		*patch = API_PATCH_JSON;
	else if (str_is(type, "application/merge-patch+json"))
		*patch = API_PATCH_MERGE;
	else if (is_apply(req))
		*patch = API_PATCH_APPLY;
	else if (custom_of(req->route.kind) != NULL)
		return error_new(ERR_MEDIA_TYPE,
				 "the body of the request was in an unknown format - accepted media types include: "
				 "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
	else if (str_is(type, "application/strategic-merge-patch+json"))
		*patch = API_PATCH_STRATEGIC;
	else
		return patch_media_routed(type);
	return NULL;
}

/* Upstream's library takes members that are null out of what lists of a patch hold. */
static const struct json *without_nulls(struct arena *arena, const struct json *value, bool listed)
{
	struct json_builder b = { .arena = arena };
	bool list = json_is(value, JSON_ARRAY);

	if (!list && !json_is(value, JSON_OBJECT))
		return value;
	JSON_EACH (value, it)
		if (list || !listed || !json_is(it.value, JSON_NULL))
			json_builder_put(&b, &it, without_nulls(arena, it.value, listed || list));
	return json_builder_like(&b, value);
}

static struct error *apply_patch(struct request *req, const struct type *type, const struct json *old, const struct json *patch,
				 enum api_patch how, const struct json **out)
{
	struct error *err = NULL;

	switch (how) {
	case API_PATCH_JSON:
		if (json_is(patch, JSON_NULL)) {
			*out = old;
			return NULL;
		}
		if (!json_is(patch, JSON_ARRAY))
			return error_new(ERR_BAD_REQUEST,
					 "error decoding patch: json: cannot unmarshal %s into Go value of type "
					 "[]handlers.jsonPatchOp",
					 json_type_name(patch));
		JSON_EACH (patch, it)
			if (!json_is(it.value, JSON_OBJECT) && !json_is(it.value, JSON_NULL))
				return error_new(ERR_BAD_REQUEST,
						 "error decoding patch: json: cannot unmarshal %s into Go value of type "
						 "handlers.jsonPatchOp",
						 json_type_name(it.value));
		err = json_patch(req->arena, old, patch, out);
		/* Upstream names nothing in these. */
		if (err != NULL && err->kind == ERR_INVALID)
			err = error_about(err, STR(""), STR(""), STR(""));
		return err;
	case API_PATCH_MERGE:
		if (json_is(patch, JSON_NULL))
			return error_new(ERR_BAD_REQUEST, "Invalid JSON Patch");
		if (!json_is(patch, JSON_OBJECT))
			return error_new(ERR_BAD_REQUEST,
					 "error decoding patch: json: cannot unmarshal %s into Go value of "
					 "type map[string]interface {}",
					 json_type_name(patch));
		*out = json_merge_patch(req->arena, old, without_nulls(req->arena, patch, false));
		return NULL;
	case API_PATCH_STRATEGIC:
		if (json_is(patch, JSON_NULL))
			patch = &json_empty_object;
		if (!json_is(patch, JSON_OBJECT))
			return error_new(ERR_BAD_REQUEST,
					 "json: cannot unmarshal %s into Go value of "
					 "type map[string]interface {}",
					 json_type_name(patch));
		return api_strategic_merge(req->arena, type, old, patch, out);
	case API_PATCH_APPLY:
		break; /* apply_config() */
	}
	return NULL;
}

/* --- apply --- */

static struct error *check_config(struct str api_version, struct str kind, const struct json *config)
{
	struct str said = json_get_str(config, "apiVersion"), is = json_get_str(config, "kind");

	if (!json_is(config, JSON_OBJECT) && !json_is(config, JSON_NULL))
		return error_new(
			ERR_BAD_REQUEST,
			"error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s into Go "
			"value of type map[string]interface {}",
			json_type_name(config));
	if (!str_eq(is, kind) || !str_eq(said, api_version))
		return error_new(ERR_BAD_REQUEST, "invalid object type: %s%.*s, Kind=%.*s", str_find(said, '/') >= 0 ? "" : "/",
				 STR_ARG(said), STR_ARG(is));
	if (json_len(json_path(config, "metadata.managedFields")) != 0)
		return error_new(ERR_BAD_REQUEST, "metadata.managedFields must be nil");
	return NULL;
}

static void duplicate_in_config(void *arg, struct str path, int line)
{
	struct request *req = arg;

	api_note(req->arena, &req->notes, str_format(req->arena, "line %d: key \"%.*s\" already set in map", line, STR_ARG(path)));
}

static struct error *read_config(struct request *req, const struct json **out)
{
	struct json_options options = { .duplicate = duplicate_in_config, .arg = req };
	AUTO_BUF struct buf all = { 0 };
	struct error *err;

	req->notes = (struct api_notes){ 0 };
	err = json_read_yaml(req->arena, req->body, &options, out);
	if (err != NULL)
		return error_context(err, "error decoding YAML: error converting YAML to JSON");
	if (!notes_refused(req))
		return NULL;
	for (size_t i = 0; i < req->notes.len; i++)
		buf_printf(&all, "\n  %.*s", STR_ARG(req->notes.text[i]));
	return error_new(ERR_BAD_REQUEST, "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:%s",
			 buf_cstr(&all));
}

struct error *config_read(struct request *req, const struct type *type, const struct json **out)
{
	struct error *err = NULL;
	struct str group = type_group(type), version = type_version(type);

	*out = req->call.body;
	if (req->http != NULL)
		err = read_config(req, out);
	if (err != NULL)
		return err;
	return check_config(group.len == 0 ? version : str_format(req->arena, "%.*s/%.*s", STR_ARG(group), STR_ARG(version)),
			    type_name(type), *out);
}

/* An apply says what its manager wants; what it wanted before and says no more goes, unless another one wants it. */
static struct error *apply_config(struct request *req)
{
	const struct json *config = req->call.body, *tree = NULL;
	struct api_manager me;
	struct error *err = NULL;

	if (req->http != NULL)
		err = read_config(req, &config);
	if (err != NULL)
		return err;
	err = check_config(kind_api_version(req->route.kind), kind_name(req->route.kind), config);
	if (err != NULL)
		return err;
	me = manager_of(req);
	err = api_apply(req->arena, &me, req->old_tree, config, req->query.force, &tree);
	if (err != NULL)
		return err;
	req->applied = true;
	err = req->http != NULL ? check_name(req, tree) : NULL;
	if (err != NULL)
		return err;
	tree = with(req, tree, "metadata.name", json_string(req->arena, req->route.name));
	if (kind_namespaced(req->route.kind))
		tree = with(req, tree, "metadata.namespace", json_string(req->arena, req->route.ns));
	tree = api_default(req->arena, req->route.kind, api_with_kind(req->arena, tree, req->route.kind));
	if (req->old != NULL)
		return make_next(req, tree);
	req->status = 201;
	req->input = with(req, tree, "metadata.resourceVersion", NULL);
	return make_new(req);
}

/* --- what strict decoding says about patches --- */

static void duplicate_in_patch(void *arg, struct str path, int line)
{
	struct request *req = arg;

	(void)line;
	api_note(req->arena, &req->notes, str_format(req->arena, "duplicate field \"%.*s\"", STR_ARG(path)));
}

static void duplicate_in_operation(void *arg, struct str path, int line)
{
	struct request *req = arg;

	(void)line;
	api_note(req->arena, &req->notes, str_format(req->arena, "json patch duplicate field \"%.*s\"", STR_ARG(path)));
}

/* The patched document as upstream's library writes it: in key order where the patch went, and in lists that it brought; else
 * as it was. A patch that merges says so by itself; of a JSON patch touched() makes one, with indices as keys. */
static const struct json *as_patched(struct arena *arena, const struct json *tree, const struct json *patch)
{
	struct json_builder b = { .arena = arena };
	bool list = json_is(tree, JSON_ARRAY), whole = json_is(patch, JSON_ARRAY);
	char index[24];

	if ((!list && !json_is(tree, JSON_OBJECT)) || (!whole && !json_is(patch, JSON_OBJECT)))
		return tree;
	JSON_EACH (tree, it) {
		struct str key = list ? str_of(index, (size_t)snprintf(index, sizeof(index), "%zu", it.index)) : it.key;
		const struct json *part = as_patched(arena, it.value, whole ? patch : json_find(patch, key));

		if (list)
			json_builder_item(&b, part);
		else
			json_builder_member(&b, it.key, part);
	}
	if (list)
		return json_builder_array(&b);
	json_builder_sort(&b);
	return json_builder_object(&b);
}

/* Where the operations of a JSON patch went, as a patch that merges. */
static const struct json *touched(struct arena *arena, const struct json *operations)
{
	const struct json *all = &json_empty_object;

	JSON_EACH (operations, it)
		for (int i = 0; i < 2; i++) {
			struct str path = json_get_str(it.value, i == 0 ? "from" : "path"), parts[32], part;
			const struct json *one = &json_true;
			size_t n = 0;

			str_cut(&path, '/', &part);
			while (n < 32 && str_cut(&path, '/', &part))
				parts[n++] = part;
			while (n > 0) {
				struct json_builder b = { .arena = arena };

				json_builder_member(&b, parts[--n], one);
				one = json_builder_object(&b);
			}
			if (json_is(one, JSON_OBJECT))
				all = json_merge_patch(arena, all, one);
		}
	return all;
}

static struct error *patch_error(struct request *req, enum api_patch how, const struct json *patch, const struct json *raw,
				 const char *text)
{
	struct api_findings findings = { .arena = req->arena };
	struct str shown;

	if (how == API_PATCH_STRATEGIC)
		shown = api_go_text(req->arena, without_nulls(req->arena, patch, false));
	else
		shown = json_format(req->arena, raw);
	finding_invalid_text(&findings, "patch", shown, text);
	return error_about(api_invalid(&findings, STR(""), STR("")), STR(""), STR(""), STR(""));
}

static struct error *strict_patch_error(struct request *req, enum api_patch how, const struct json *patch, const struct json *raw)
{
	AUTO_BUF struct buf text = { 0 };

	buf_add(&text, STR("strict decoding error: "));
	for (size_t i = 0; i < req->notes.len; i++)
		buf_printf(&text, "%s%.*s", i == 0 ? "" : ", ", STR_ARG(req->notes.text[i]));
	return patch_error(req, how, patch, raw, arena_strdup(req->arena, buf_cstr(&text)));
}

static struct error *read_patch(struct request *req, enum api_patch how, const struct json **out)
{
	struct json_options options = { .duplicate = how == API_PATCH_JSON ? duplicate_in_operation : duplicate_in_patch,
					.arg = req };
	struct error *err;

	*out = req->call.body;
	if (req->http == NULL)
		return NULL;
	req->notes = (struct api_notes){ 0 };
	err = json_read(req->arena, req->body, &options, out);
	if (err != NULL && how != API_PATCH_STRATEGIC)
		err = error_context(err, "error decoding patch");
	return err;
}

struct error *patch_apply(struct request *req, const struct type *type, const struct json *old, enum api_patch *how,
			  const struct json **patch, const struct json **out)
{
	struct error *err = patch_media(req, how);

	if (err == NULL)
		err = read_patch(req, *how, patch);
	return err != NULL ? err : apply_patch(req, type, old, *patch, *how, out);
}

/* A number somewhere that is no integer: which one did not fit is not told by the one who found it. */
static bool has_fraction(const struct json *value)
{
	if (json_is(value, JSON_NUMBER))
		return !json_is_int(value, NULL);
	JSON_EACH (value, it)
		if (has_fraction(it.value))
			return true;
	return false;
}

/* Strategic patches are decoded by another library, which has other words for what does not fit. */
static const char *restored_text(struct arena *arena, const char *text, bool fraction)
{
	static const char head[] = "json: cannot unmarshal ", into[] = " into Go ", of[] = " of type ";
	const char *end = strstr(text, into), *type = strstr(text, of);
	struct str from, kind;
	bool named;

	if (strncmp(text, "illegal base64", 14) == 0)
		return arena_printf(arena, "error decoding from json: %s", text);
	if (strncmp(text, head, sizeof(head) - 1) != 0 || end == NULL || type == NULL)
		return text;
	from = str_of(text + sizeof(head) - 1, (size_t)(end - text) - (sizeof(head) - 1));
	kind = str_from(type + sizeof(of) - 1);
	named = api_go_names_text(kind);
	if (str_has_prefix(from, STR("number")))
		from = fraction || str_find(from, '.') >= 0 ? STR("float64") : STR("int64");
	else if (str_is(from, "object"))
		from = STR("map");
	else if (str_is(from, "array"))
		from = STR("slice");
	if (str_has_prefix(kind, STR("[]")))
		return arena_printf(arena, "cannot restore slice from %.*s", STR_ARG(from));
	if (str_has_prefix(kind, STR("map[")))
		return arena_printf(arena, "cannot restore map from %.*s", STR_ARG(from));
	if (str_is(kind, "v1.ResourceList"))
		return arena_printf(arena, "cannot restore map from %.*s", STR_ARG(from));
	if (str_find(kind, '.') >= 0 && !named)
		return arena_printf(arena, "cannot restore struct from: %.*s", STR_ARG(from));
	if (str_is(from, "int64") ? named || str_is(kind, "string") : str_is(from, "float64") && str_has_prefix(kind, STR("int")))
		return arena_printf(arena, "cannot convert %.*s to %.*s", STR_ARG(from), STR_ARG(kind));
	return arena_printf(arena, "unrecognized type: %.*s", STR_ARG(named ? STR("string") : kind));
}

/* Upstream reads a kind of no version as something that has no fields. */
static void forget_all(struct request *req, const struct json *raw, const struct json **out)
{
	struct json_builder sorted = { .arena = req->arena };

	JSON_EACH (raw, it)
		if (!str_is(it.key, "kind") && !str_is(it.key, "apiVersion"))
			json_builder_member(&sorted, it.key, it.value);
	json_builder_sort(&sorted);
	JSON_EACH (json_builder_object(&sorted), it)
		api_note(req->arena, &req->notes, str_format(req->arena, "unknown field \"%.*s\"", STR_ARG(it.key)));
	*out = &json_empty_object;
}

struct error *patch_normalize(struct request *req, const struct type *type, enum api_patch how, const struct json *patch,
			      const struct json *raw, const struct json **out)
{
	struct error *err = how == API_PATCH_STRATEGIC || req->http == NULL ? NULL : api_check_type(req->arena, type, raw);
	bool nameless = how != API_PATCH_STRATEGIC && req->http != NULL && json_get_str(raw, "apiVersion").len == 0 &&
			json_get_str(raw, "kind").len != 0;

	/* What is unknown is told in the order in which upstream has the result. */
	raw = as_patched(req->arena, raw, how == API_PATCH_JSON ? touched(req->arena, patch) : patch);
	if (err == NULL && nameless)
		forget_all(req, raw, out);
	else if (err == NULL)
		err = api_normalize(req->arena, type, raw, &req->notes, out);

	if (err != NULL) {
		AUTO_ERROR cause = err;

		return patch_error(req, how, patch, raw,
				   how == API_PATCH_STRATEGIC ? restored_text(req->arena, cause->text, has_fraction(patch))
							      : cause->text);
	}
	return notes_refused(req) ? strict_patch_error(req, how, patch, raw) : NULL;
}

static struct error *make_patched(void *arg)
{
	struct request *req = arg;
	const struct kind *kind = req->route.kind;
	const struct json *patch = NULL, *raw = NULL, *next = NULL;
	enum api_patch how;
	struct error *err;

	if (is_apply(req))
		return apply_config(req);
	err = patch_apply(req, kind_type(kind), req->old_tree, &how, &patch, &raw);
	if (err == NULL)
		err = patch_normalize(req, kind_type(kind), how, patch, raw, &next);
	if (err == NULL && req->http != NULL)
		err = check_name(req, next);
	if (err == NULL)
		err = make_next(req, api_default(req->arena, kind, api_with_kind(req->arena, next, kind)));
	return err;
}

static enum task_result step_patch(struct task *task, void *arg)
{
	return step_pure(task, arg, make_patched);
}
