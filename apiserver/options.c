/*
 * What the query of a request asks for, and whether it may. Reading never fails; options_check() says what is wrong in
 * upstream's words. Sources: k8s.io/apimachinery/pkg/apis/meta/{v1,internalversion}/validation.
 */
#include "api/selector.h"
#include "apiserver/server.h"

#define MANAGER_AT_MOST 128

/* --- reading --- */

static const struct json *all_of(struct arena *arena, const struct http_request *http, const char *name)
{
	struct json_builder all = { .arena = arena };

	for (size_t i = 0; i < http->n_params; i++)
		if (str_is(http->params[i].name, name))
			json_builder_item(&all, json_string_copy(arena, http->params[i].value));
	return json_builder_array(&all);
}

void options_read(struct request *req)
{
	const struct http_request *http = req->http;
	struct query *query = &req->query;

	query->labels = http_param(http, "labelSelector", NULL);
	query->fields = http_param(http, "fieldSelector", NULL);
	query->resource_version = http_param(http, "resourceVersion", NULL);
	query->version_match = http_param(http, "resourceVersionMatch", NULL);
	query->token = http_param(http, "continue", NULL);
	query->field_manager = http_param(http, "fieldManager", NULL);
	query->field_validation = http_param(http, "fieldValidation", NULL);
	query->dry_runs = all_of(req->arena, http, "dryRun");
	query->dry_run = json_len(query->dry_runs) != 0;
	query->watch = http_param_bool(http, "watch", NULL) || req->route.old_watch;
	query->bookmarks = http_param_bool(http, "allowWatchBookmarks", NULL);
	query->send_initial = http_param_bool(http, "sendInitialEvents", &query->send_initial_given);
	query->force = http_param_bool(http, "force", &query->force_given);
	req->accept.pretty = http_param_bool(http, "pretty", NULL);
	query->validation = str_is(query->field_validation, "Ignore")   ? VALIDATE_IGNORE
			    : str_is(query->field_validation, "Strict") ? VALIDATE_STRICT
									: VALIDATE_WARN;
}

/* --- numbers --- */

static bool is_number(struct str text)
{
	size_t at = text.len != 0 && (text.ptr[0] == '-' || text.ptr[0] == '+') ? 1 : 0;

	for (size_t i = at; i < text.len; i++)
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
	return text.len > at;
}

const char *number_complaint(struct str text)
{
	return is_number(text) && text.ptr[0] != '-' ? "value out of range" : "invalid syntax";
}

struct error *query_int(const struct request *req, const char *name, int64_t *out)
{
	bool found;
	struct str value = http_param(req->http, name, &found);
	struct str digits = value.len > 1 && value.ptr[0] == '+' ? str_skip(value, 1) : value;

	if (!found || (is_number(value) && str_to_i64(digits, out)))
		return NULL;
	return error_new(ERR_BAD_REQUEST, "strconv.ParseInt: parsing \"%.*s\": %s", STR_ARG(value), number_complaint(value));
}

/* A duration as time.ParseDuration() reads it: "1h30m", "-1.5s", "0". */
static bool is_duration(struct str text)
{
	static const char *const units[] = { "ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "m", "h" };
	size_t digits = 0, n = 0;

	if (text.len != 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
		text = str_skip(text, 1);
	if (str_is(text, "0"))
		return true;
	for (; text.len != 0; n++) {
		size_t unit = 0, at = sizeof(units) / sizeof(units[0]);

		for (digits = 0; text.len != 0 && ((text.ptr[0] >= '0' && text.ptr[0] <= '9') || text.ptr[0] == '.');
		     text = str_skip(text, 1))
			digits += text.ptr[0] != '.';
		while (unit < text.len && text.ptr[unit] != '.' && (text.ptr[unit] < '0' || text.ptr[unit] > '9'))
			unit++;
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (str_is(str_of(text.ptr, unit), units[i]))
				at = i;
		if (digits == 0 || at == sizeof(units) / sizeof(units[0]))
			return false;
		text = str_skip(text, unit);
	}
	return n != 0;
}

struct error *options_timeout(const struct request *req)
{
	struct str value = http_param(req->http, "timeout", NULL);

	if (value.len == 0 || req->query.watch || is_duration(value))
		return NULL;
	return error_new(ERR_BAD_REQUEST, "invalid timeout specified in the request URL - time: invalid duration %s",
			 api_quoted(req->arena, value));
}

/* --- lists and watches --- */

#define MATCH "resourceVersionMatch"

static void check_watch(struct api_findings *f, const struct query *query)
{
	static const char *const matches[] = { "NotOlderThan" };
	bool not_older = str_is(query->version_match, "NotOlderThan");

	if (query->send_initial_given && !not_older)
		finding_forbidden(f, MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	if (query->token.len != 0)
		finding_forbidden(f, MATCH, "resourceVersionMatch is forbidden when continue is provided");
	if (query->version_match.len == 0)
		return;
	if (!query->send_initial_given)
		finding_forbidden(f, MATCH, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
	if (!not_older)
		finding_unsupported(f, MATCH, query->version_match, matches, 1);
}

static void check_list(struct api_findings *f, const struct query *query)
{
	static const char *const matches[] = { "Exact", "NotOlderThan", "" };
	bool exact = str_is(query->version_match, "Exact");

	if (query->version_match.len != 0) {
		if (query->resource_version.len == 0)
			finding_forbidden(f, MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided");
		if (query->token.len != 0)
			finding_forbidden(f, MATCH, "resourceVersionMatch is forbidden when continue is provided");
		if (!exact && !str_is(query->version_match, "NotOlderThan"))
			finding_unsupported(f, MATCH, query->version_match, matches, 3);
		if (exact && str_is(query->resource_version, "0"))
			finding_forbidden(f, MATCH, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
	}
	if (query->send_initial_given)
		finding_forbidden(f, "sendInitialEvents", "sendInitialEvents is forbidden for list");
}

/* --- writes --- */

/* strconv.IsPrint is true for all but controls among what people write here. */
static void check_manager(struct api_findings *f, struct str name)
{
	if (name.len > MANAGER_AT_MOST)
		finding_too_long(f, "fieldManager", MANAGER_AT_MOST);
	for (size_t i = 0; i < name.len; i++) {
		unsigned c = (unsigned char)name.ptr[i];

		if (c < 0x20 || c == 0x7f)
			finding_invalid_text(f, "fieldManager", name,
					     arena_printf(f->arena, "invalid character U+%04X (at position %zu)", c, i));
	}
}

void options_check_dry_run(struct api_findings *f, const struct json *values)
{
	static const char *const all[] = { "All" };
	bool bad = false;

	JSON_EACH (values, it)
		bad = bad || !str_is(json_str(it.value), "All");
	if (bad)
		finding_unsupported_value(f, "dryRun", values, all, 1);
}

static void check_validation(struct api_findings *f, struct str value)
{
	static const char *const known[] = { "", "Ignore", "Strict", "Warn" };
	bool good = false;

	for (int i = 0; i < 4; i++)
		good = good || str_is(value, known[i]);
	if (!good)
		finding_unsupported(f, "fieldValidation", value, known, 4);
}

static void check_patch(struct api_findings *f, const struct request *req)
{
	const struct query *query = &req->query;
	bool apply = str_is(content_type(http_header(&req->http->headers, "content-type")), "application/apply-patch+yaml");

	if (apply && query->field_manager.len == 0)
		finding_required(f, "fieldManager", "is required for apply patch");
	if (!apply && query->force_given)
		finding_forbidden(f, "force", "may not be specified for non-apply patch");
}

struct error *options_error(struct api_findings *findings, const char *type)
{
	struct error *err = api_invalid(findings, str_format(findings->arena, "%s.meta.k8s.io", type), STR(""));

	return err == NULL ? NULL : error_about(err, STR("meta.k8s.io"), str_from(type), STR(""));
}

struct error *options_check(struct request *req)
{
	struct api_findings findings = { .arena = req->arena };
	struct query *query = &req->query;
	const char *type = req->route.verb == VERB_CREATE   ? "CreateOptions"
			   : req->route.verb == VERB_UPDATE ? "UpdateOptions"
							    : "PatchOptions";
	struct error *err;

	if (req->route.verb == VERB_LIST || req->route.verb == VERB_DELETECOLLECTION || query->watch) {
		struct field_selector fields;
		struct selector labels;
		struct match *match;

		err = query_int(req, "timeoutSeconds", &query->timeout_seconds);
		if (err == NULL)
			err = query_int(req, "limit", &query->limit);
		if (err == NULL)
			err = selector_parse(req->arena, query->labels, &labels);
		if (err == NULL)
			err = field_selector_parse(req->arena, query->fields, NULL, &fields);
		if (err != NULL)
			return err;
		if (query->watch)
			check_watch(&findings, query);
		else
			check_list(&findings, query);
		err = options_error(&findings, "ListOptions");
		return err != NULL ? err : match_parse(req->arena, req->route.kind, query->labels, query->fields, &match);
	}
	if (req->route.verb == VERB_GET)
		return NULL;
	if (req->route.verb == VERB_PATCH)
		check_patch(&findings, req);
	check_manager(&findings, query->field_manager);
	options_check_dry_run(&findings, query->dry_runs);
	check_validation(&findings, query->field_validation);
	return options_error(&findings, type);
}

/* k8s.io/kubernetes/pkg/apis/core/validation, ValidatePodLogOptions. */
struct error *options_check_logs(struct request *req)
{
	static const struct {
		const char *name, *say;
		int64_t least;
	} numbers[] = {
		{ "tailLines", "must be greater than or equal to 0", 0 },
		{ "limitBytes", "must be greater than 0", 1 },
		{ "sinceSeconds", "must be greater than 0", 1 },
	};
	struct api_findings findings = { .arena = req->arena };
	bool stream, since, time;

	http_param(req->http, "stream", &stream);
	http_param(req->http, "sinceSeconds", &since);
	http_param(req->http, "sinceTime", &time);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int64_t number = INT64_MAX;
		struct error *err = query_int(req, numbers[i].name, &number);

		if (err != NULL)
			return err;
		if (number < numbers[i].least && !(time && str_is(str_from(numbers[i].name), "sinceSeconds")))
			finding_invalid(&findings, numbers[i].name, json_number(req->arena, number), numbers[i].say);
	}
	if (since && time)
		finding_forbidden(&findings, "[]", "at most one of `sinceTime` or `sinceSeconds` may be specified");
	if (stream)
		finding_forbidden(&findings, "stream", "may not be specified");
	struct error *err = api_invalid(&findings, STR("PodLogOptions"), req->route.name);
	return err == NULL ? NULL : error_about(err, STR(""), STR("PodLogOptions"), req->route.name);
}

struct error *options_include(struct request *req)
{
	struct str include = http_param(req->http, "includeObject", NULL);

	if (req->accept.as != AS_TABLE)
		return NULL;
	if (include.len == 0 || str_is(include, "Metadata"))
		req->accept.include = INCLUDE_METADATA;
	else if (str_is(include, "None"))
		req->accept.include = INCLUDE_NONE;
	else if (str_is(include, "Object"))
		req->accept.include = INCLUDE_OBJECT;
	else
		return error_new(ERR_BAD_REQUEST,
				 "Unable to convert to Table as requested: includeObject: Invalid value: %s: must be 'Metadata', "
				 "'Object', 'None', or empty",
				 api_quoted(req->arena, include));
	return NULL;
}
