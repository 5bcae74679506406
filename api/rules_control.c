/* Rules of what steers the API server itself: webhooks, admission policies, flow control, aggregation. */
#include <string.h>

#include "api/hooks.h"
#include "api/rules.h"
#include "base/auto.h"

/* ---- webhooks ---- */

static void operations(struct api_findings *f, const char *path, const struct json *rule)
{
	static const char *const known[] = { "*", "CONNECT", "CREATE", "DELETE", "UPDATE" };

	JSON_EACH (json_get(rule, "operations"), it)
		check_if_one_of(f, AT(f, "%s.operations[%zu]", path, it.index), it.value, known, N_OF(known));
	JSON_EACH (json_get(rule, "apiVersions"), it)
		if (json_str(it.value).len == 0)
			finding_required(f, AT(f, "%s.apiVersions[%zu]", path, it.index), "");
}

const struct rule admission_rule_rules[] = {
	NEEDED("operations", ""),
	NEEDED("apiGroups", ""),
	NEEDED("apiVersions", ""),
	NEEDED("resources", ""),
	ONE_OF("scope", "*", "Cluster", "Namespaced"),
	CALL(operations),
	RULES_END,
};

/* k8s.io/apiserver/pkg/util/webhook, ValidateWebhookURL. */
static void client_url(struct api_findings *f, const char *at, struct str url)
{
	static const char form[] = "; desired format: https://host[/path]";
	ptrdiff_t colon = str_find(url, ':'), slash = str_find(url, '/');
	struct str scheme = colon > 0 && (slash < 0 || colon < slash) ? str_head(url, (size_t)colon) : STR("");
	struct str rest = scheme.len != 0 ? str_skip(url, scheme.len + 1) : url, host = STR("");
	struct str fragment = str_find(rest, '#') >= 0 ? str_skip(rest, (size_t)str_find(rest, '#') + 1) : STR("");
	struct str query;

	rest = fragment.ptr != NULL && fragment.len != 0 ? str_head(rest, rest.len - fragment.len - 1) : rest;
	query = str_find(rest, '?') >= 0 ? str_skip(rest, (size_t)str_find(rest, '?') + 1) : STR("");
	if (scheme.len == 0 && colon == 0) {
		finding_required(f, at,
				 AT(f, "url must be a valid URL: parse %s: missing protocol scheme%s", api_quoted(f->arena, url),
				    form));
		return;
	}
	if (scheme.len != 0 && scheme.ptr[0] >= '0' && scheme.ptr[0] <= '9') {
		finding_required(f, at,
				 AT(f, "url must be a valid URL: parse %s: first path segment in URL cannot contain colon%s",
				    api_quoted(f->arena, url), form));
		return;
	}
	if (str_has_prefix(rest, STR("//"))) {
		rest = str_skip(rest, 2);
		str_cut(&rest, '/', &host);
	}
	if (!str_is(scheme, "https"))
		finding_invalid_text(f, at, scheme, AT(f, "'https' is the only allowed URL scheme%s", form));
	if (host.len == 0)
		finding_invalid_text(f, at, host, AT(f, "host must be specified%s", form));
	if (str_find(host, '@') >= 0)
		finding_invalid_text(f, at, str_head(host, (size_t)str_find(host, '@')),
				     "user information is not permitted in the URL");
	if (fragment.len != 0)
		finding_invalid_text(f, at, fragment, "fragments are not permitted in the URL");
	if (query.len != 0)
		finding_invalid_text(f, at, query, "query parameters are not permitted in the URL");
}

/* Segments of a path, each a name. */
static void service_path(struct api_findings *f, const char *at, struct str path)
{
	struct str rest, step;
	size_t i = 0;

	if (path.len == 0 || str_is(path, "/"))
		return;
	if (str_is(path, "//")) {
		finding_invalid_text(f, at, path, "segment[0] may not be empty");
		return;
	}
	if (path.ptr[0] != '/')
		finding_invalid_text(f, at, path, "must start with a '/'");
	rest = str_skip(path, 1);
	if (rest.len != 0 && rest.ptr[rest.len - 1] == '/')
		rest.len--;
	for (bool more = true; more; i++) {
		ptrdiff_t slash = str_find(rest, '/');
		struct complaints c;

		step = slash < 0 ? rest : str_head(rest, (size_t)slash);
		c = name_dns_subdomain(step);
		if (step.len == 0)
			finding_invalid_text(f, at, path, AT(f, "segment[%zu] may not be empty", i));
		for (int k = 0; k < c.n && step.len != 0; k++)
			finding_invalid_text(f, at, path, AT(f, "segment[%zu]: %s", i, c.text[k]));
		more = slash >= 0;
		rest = more ? str_skip(rest, (size_t)slash + 1) : STR("");
	}
}

const struct rule service_reference_rules[] = { ELSEWHERE("name"), ELSEWHERE("namespace"), RULES_END };

static void client_config(struct api_findings *f, const char *path, const struct json *hook)
{
	const struct json *config = json_get(hook, "clientConfig"), *service = json_get(config, "service");
	const struct json *port = json_get(service, "port");
	struct str where = json_get_str(service, "path");
	const char *at = rules_at(f, path, "clientConfig");

	if ((json_get(config, "url") == NULL) == (service == NULL)) {
		finding_required(f, at, "exactly one of url or service is required");
		return;
	}
	if (service == NULL) {
		client_url(f, rules_at(f, at, "url"), json_get_str(config, "url"));
		return;
	}
	/* Upstream takes one for the other here. */
	if (json_get_str(service, "namespace").len == 0)
		finding_required(f, rules_at(f, at, "service.name"), "");
	if (json_get_str(service, "name").len == 0)
		finding_required(f, rules_at(f, at, "service.namespace"), "");
	if (port != NULL && name_port_number(json_int(port, 0)).n != 0)
		finding_invalid(f, rules_at(f, at, "service.port"), port,
				"port is not valid: must be between 1 and 65535, inclusive");
	service_path(f, rules_at(f, at, "service.path"), where);
}

static void review_versions(struct api_findings *f, const char *path, const struct json *hook)
{
	const struct json *versions = json_get(hook, "admissionReviewVersions");
	struct places seen = { .arena = f->arena };
	bool accepted = json_len(versions) == 0;

	path = rules_at(f, path, "admissionReviewVersions");
	JSON_EACH (versions, it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		if (places_add(&seen, json_str(it.value), it.index) != it.index) {
			finding_invalid(f, at, it.value, "duplicate version");
			continue;
		}
		check_complaints(f, at, json_str(it.value), name_dns1035_label(json_str(it.value)));
		accepted = accepted || str_is(json_str(it.value), "v1") || str_is(json_str(it.value), "v1beta1");
	}
	if (!accepted)
		finding_invalid(f, path, versions, "must include at least one of v1, v1beta1");
}

static void webhook_name(struct api_findings *f, const char *path, const struct json *hook)
{
	struct str name = json_get_str(hook, "name"), rest = name, piece;
	size_t n = 0;

	path = rules_at(f, path, "name");
	if (name.len == 0) {
		finding_required(f, path, "");
		return;
	}
	struct complaints c = name_dns_subdomain(name);
	check_complaints(f, path, name, c);
	while (str_cut(&rest, '.', &piece))
		n++;
	if (c.n == 0 && n < 3)
		finding_invalid_text(f, path, name, "should be a domain with at least three segments separated by dots");
}

const struct rule webhook_rules[] = {
	CALL(webhook_name),
	ONE_OF("failurePolicy", "Fail", "Ignore"),
	ONE_OF("matchPolicy", "Equivalent", "Exact"),
	NEEDED("sideEffects", "must specify one of None, NoneOnDryRun"),
	NAMED("sideEffects", "None", "NoneOnDryRun"),
	BETWEEN("timeoutSeconds", 1, 30, "the timeout value must be between 1 and 30 seconds"),
	SELECTOR("namespaceSelector"),
	SELECTOR("objectSelector"),
	ONE_OF("reinvocationPolicy", "IfNeeded", "Never"),
	CALL(client_config),
	NEEDED("admissionReviewVersions", "must specify one of v1, v1beta1"),
	CALL(review_versions),
	RULES_END,
};

static void unique_names(struct api_findings *f, const char *path, const struct json *tree)
{
	struct places names = { .arena = f->arena };

	(void)path;
	JSON_EACH (json_get(tree, "webhooks"), it) {
		struct str name = json_get_str(it.value, "name");
		if (name.len != 0 && places_add(&names, name, it.index) != it.index)
			finding_duplicate(f, AT(f, "webhooks[%zu].name", it.index), json_string(f->arena, name));
	}
}

const struct rule webhooks_rules[] = { CALL(unique_names), RULES_END };

/* ---- admission policies ---- */

static void admission_policy(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char must[] = "validations or auditAnnotations must contain at least one item";

	if (json_len(json_get(spec, "validations")) + json_len(json_get(spec, "auditAnnotations")) == 0) {
		finding_required(f, rules_at(f, path, "validations"), must);
		finding_required(f, rules_at(f, path, "auditAnnotations"), must);
	}
	if (json_get(spec, "matchConstraints") == NULL)
		finding_required(f, rules_at(f, path, "matchConstraints"), "");
	else if (json_len(json_path(spec, "matchConstraints.resourceRules")) == 0)
		finding_required(f, rules_at(f, path, "matchConstraints.resourceRules"), "");
}

const struct rule admission_policy_rules[] = { CALL(admission_policy), RULES_END };
const struct rule validation_rules[] = { FILLED_TEXT("expression", "expression is not specified"),
					 ONE_OF("reason", "Forbidden", "Invalid", "RequestEntityTooLarge"), RULES_END };
const struct rule variable_rules[] = { FILLED_TEXT("name", "name is not specified"),
				       FILLED_TEXT("expression", "expression is not specified"), RULES_END };
const struct rule condition_rules[] = { FILLED_TEXT("name", ""), NAME("name", name_label_key), FILLED_TEXT("expression", ""),
					RULES_END };

/* All complaints of one value in one finding, parted by commas. */
static void check_joined(struct api_findings *f, const char *path, struct str value, const char *before, struct complaints c)
{
	AUTO_BUF struct buf all = { 0 };

	buf_add(&all, str_from(before));
	for (int i = 0; i < c.n; i++)
		buf_printf(&all, "%s%s", i == 0 ? "" : ",", c.text[i]);
	if (c.n != 0)
		finding_invalid_text(f, path, value, str_cstr(f->arena, buf_str(&all)));
}

static void param_kind(struct api_findings *f, const char *path, const struct json *tree)
{
	struct str version = json_get_str(tree, "apiVersion"), kind = json_get_str(tree, "kind"), group = STR(""), rest = version;
	const char *at = rules_at(f, path, "apiVersion");

	if (str_find(version, '/') >= 0)
		str_cut(&rest, '/', &group);
	if (version.len == 0)
		finding_required(f, at, "");
	else if (str_find(rest, '/') >= 0)
		finding_invalid_text(f, at, version, AT(f, "unexpected GroupVersion string: %.*s", STR_ARG(version)));
	else {
		if (group.len != 0)
			check_joined(f, at, group, "", name_dns_subdomain(group));
		if (rest.len == 0)
			finding_invalid_text(f, at, version, "version must be specified");
		else
			check_joined(f, at, rest, "", name_dns1035_label(rest));
	}
	if (kind.len == 0)
		finding_required(f, rules_at(f, path, "kind"), "");
	else
		check_joined(f, rules_at(f, path, "kind"), kind,
			     "may have mixed case, but should otherwise match: ", name_dns1035_label(str_lower(f->arena, kind)));
}

const struct rule param_kind_rules[] = { CALL(param_kind), RULES_END };

static void mutating_policy(struct api_findings *f, const char *path, const struct json *spec)
{
	if (json_get(spec, "matchConstraints") == NULL)
		finding_required(f, rules_at(f, path, "matchConstraints"), "");
	else if (json_len(json_path(spec, "matchConstraints.resourceRules")) == 0)
		finding_required(f, rules_at(f, path, "matchConstraints.resourceRules"), "");
}

const struct rule mutating_policy_rules[] = { CALL(mutating_policy),
					      NEEDED("mutations", "mutations must contain at least one item"),
					      NEEDED("reinvocationPolicy", ""), NAMED("reinvocationPolicy", "IfNeeded", "Never"),
					      RULES_END };

static void mutation(struct api_findings *f, const char *path, const struct json *one)
{
	struct str type = json_get_str(one, "patchType");
	bool patch = str_is(type, "JSONPatch"), apply = str_is(type, "ApplyConfiguration");

	if (patch && json_get(one, "jsonPatch") == NULL)
		finding_required(f, rules_at(f, path, "jsonPatch"), "must be specified when patchType is JSONPatch");
	if (patch && json_get(one, "applyConfiguration") != NULL)
		finding_invalid_text(f, rules_at(f, path, "applyConfiguration"), STR("{applyConfiguration}"),
				     "must not be specified when patchType is JSONPatch");
	if (apply && json_get(one, "applyConfiguration") == NULL)
		finding_required(f, rules_at(f, path, "applyConfiguration"),
				 "must be specified when patchType is ApplyConfiguration");
	if (apply && json_get(one, "jsonPatch") != NULL)
		finding_invalid_text(f, rules_at(f, path, "jsonPatch"), STR("{jsonPatch}"),
				     "must not be specified when patchType is ApplyConfiguration");
}

const struct rule mutation_rules[] = { CALL(mutation), RULES_END };

static void param_ref(struct api_findings *f, const char *path, const struct json *ref)
{
	bool named = json_get_str(ref, "name").len != 0, selected = json_get(ref, "selector") != NULL;
	static const char both[] = "name and selector are mutually exclusive";

	if (named && selected) {
		finding_forbidden(f, rules_at(f, path, "name"), both);
		finding_forbidden(f, rules_at(f, path, "selector"), both);
	} else if (!named && !selected) {
		finding_required(f, path, "one of name or selector must be specified");
	}
}

const struct rule param_ref_rules[] = { NAME("name", name_path_segment),
					SELECTOR("selector"),
					CALL(param_ref),
					NEEDED("parameterNotFoundAction", ""),
					NAMED("parameterNotFoundAction", "Deny", "Allow"),
					RULES_END };

static void validation_actions(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const known[] = { "Audit", "Deny", "Warn" };
	const struct json *actions = json_get(spec, "validationActions");
	struct places seen = { .arena = f->arena };
	const char *at = rules_at(f, path, "validationActions");

	JSON_EACH (actions, it) {
		check_if_one_of(f, AT(f, "%s[%zu]", at, it.index), it.value, known, N_OF(known));
		if (places_add(&seen, json_str(it.value), it.index) != it.index)
			finding_duplicate(f, AT(f, "%s[%zu]", at, it.index), it.value);
	}
	if (places_find(&seen, STR("Deny")) != PLACES_NONE && places_find(&seen, STR("Warn")) != PLACES_NONE)
		finding_invalid(f, at, actions,
				"must not contain both Deny and Warn (repeating the same validation failure information in the API "
				"response and headers serves no purpose)");
}

const struct rule policy_binding_rules[] = {
	NEEDED("policyName", ""),
	NAME("policyName", name_dns_subdomain),
	NEEDED("validationActions", "at least one validation action is required"),
	CALL(validation_actions),
	RULES_END,
};
const struct rule mutating_binding_rules[] = { NEEDED("policyName", ""), NAME("policyName", name_dns_subdomain), RULES_END };

/* ---- flow control ---- */

static void precedence(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *value = json_get(spec, "matchingPrecedence");

	path = rules_at(f, path, "matchingPrecedence");
	if (json_int(value, 0) <= 0)
		finding_invalid(f, path, value, "must be a positive value");
	if (json_int(value, 0) > 10000)
		finding_invalid(f, path, value, "must not be greater than 10000");
	if (json_int(value, 0) == 1)
		finding_invalid(f, path, value, "only the schema named 'exempt' may have matchingPrecedence 1");
}

static void distinguisher(struct api_findings *f, const char *path, const struct json *method)
{
	static const char *const types[] = { "ByNamespace", "ByUser" };
	static const struct shown_field fields[] = { { "Type", "type", "\"\"" } };
	struct str type = json_get_str(method, "type");

	if (!str_is(type, types[0]) && !str_is(type, types[1]))
		finding_unsupported_value(f, rules_at(f, path, "type"), shown_struct(f->arena, method, fields, 1), types, 2);
}

const struct rule distinguisher_rules[] = { CALL_OF("type", distinguisher), RULES_END };
const struct rule flow_schema_rules[] = { CALL(precedence), RULES_END };
const struct rule level_reference_rules[] = { NEEDED("name", "must reference a priority level"), NAME("name", name_dns_subdomain),
					      RULES_END };

static void subject_rules_of(struct api_findings *f, const char *path, const struct json *rule)
{
	if (json_len(json_get(rule, "resourceRules")) + json_len(json_get(rule, "nonResourceRules")) == 0)
		finding_required(f, path, "at least one of resourceRules and nonResourceRules has to be non-empty");
}

const struct rule flow_rules[] = { NEEDED("subjects", "subjects must contain at least one value"), CALL(subject_rules_of),
				   RULES_END };

static void flow_subject(struct api_findings *f, const char *path, const struct json *one)
{
	static const struct {
		const char *kind, *field;
	} kinds[] = { { "ServiceAccount", "serviceAccount" }, { "User", "user" }, { "Group", "group" } };
	struct str kind = json_get_str(one, "kind");
	bool known = false;

	for (size_t i = 0; i < N_OF(kinds); i++)
		known = known || str_is(kind, kinds[i].kind);
	for (size_t i = 0; i < N_OF(kinds) && known; i++) {
		const struct json *value = json_get(one, kinds[i].field);
		const char *at = rules_at(f, path, kinds[i].field);
		bool is = str_is(kind, kinds[i].kind);
		if (is && value == NULL)
			finding_required(f, at, AT(f, "%s is required when subject kind is '%s'", kinds[i].field, kinds[i].kind));
		if (!is && value != NULL)
			finding_forbidden(f, at,
					  AT(f, "%s is forbidden when subject kind is not '%s'", kinds[i].field, kinds[i].kind));
	}
}

const struct rule flow_subject_rules[] = { ONE_OF("kind", "Group", "ServiceAccount", "User"), CALL(flow_subject), RULES_END };

static bool wildcard(const struct json *list)
{
	JSON_EACH (list, it)
		if (str_is(json_str(it.value), "*"))
			return true;
	return false;
}

/* A list that must not be empty, and in which "*" stands alone. */
static void listed_once(struct api_findings *f, const char *path, const struct json *rule, const char *field, const char *empty,
			const char *things)
{
	const struct json *list = json_get(rule, field);

	if (json_len(list) == 0 && empty != NULL)
		finding_required(f, rules_at(f, path, field), empty);
	if (json_len(list) > 1 && wildcard(list))
		finding_invalid(f, rules_at(f, path, field), list, AT(f, "if '*' is present, must not specify other %s", things));
}

static void flow_verbs(struct api_findings *f, const char *path, const struct json *rule)
{
	static const char *const known[] = { "connect", "create", "delete", "deletecollection", "get",
					     "list",    "patch",  "proxy",  "update",           "watch" };
	const struct json *verbs = json_get(rule, "verbs");

	listed_once(f, path, rule, "verbs", "verbs must contain at least one value", "verbs");
	JSON_EACH (wildcard(verbs) ? NULL : verbs, it) {
		size_t i = 0;
		while (i < N_OF(known) && !str_is(json_str(it.value), known[i]))
			i++;
		if (i < N_OF(known))
			continue;
		finding_unsupported_value(f, rules_at(f, path, "verbs"), verbs, known, N_OF(known));
		return;
	}
}

static void flow_resources(struct api_findings *f, const char *path, const struct json *rule)
{
	bool cluster = json_bool(json_get(rule, "clusterScope"));

	flow_verbs(f, path, rule);
	listed_once(f, path, rule, "apiGroups", "resource rules must supply at least one api group", "api groups");
	listed_once(f, path, rule, "resources", "resource rules must supply at least one resource", "resources");
	listed_once(f, path, rule, "namespaces",
		    cluster ? NULL : "resource rules that are not cluster scoped must supply at least one namespace", "namespaces");
}

static void flow_urls(struct api_findings *f, const char *path, const struct json *rule)
{
	flow_verbs(f, path, rule);
	listed_once(f, path, rule, "nonResourceURLs", "nonResourceURLs must contain at least one value", "non-resource URLs");
}

const struct rule flow_resource_rules[] = { CALL(flow_resources), RULES_END };
const struct rule flow_url_rules[] = { CALL(flow_urls), RULES_END };

static void priority_level(struct api_findings *f, const char *path, const struct json *spec)
{
	struct str type = json_get_str(spec, "type");
	bool limited = json_get(spec, "limited") != NULL, exempt = json_get(spec, "exempt") != NULL;

	if (str_is(type, "Exempt")) {
		finding_invalid_text(f, rules_at(f, path, "type"), type, "must be 'Exempt' if and only if `name` is 'exempt'");
		if (limited)
			finding_forbidden(f, rules_at(f, path, "limited"), "must be nil if the type is not Limited");
	} else if (str_is(type, "Limited")) {
		if (exempt)
			finding_forbidden(f, rules_at(f, path, "exempt"), "must be nil if the type is Limited");
		if (!limited)
			finding_required(f, rules_at(f, path, "limited"), "must not be empty when type is Limited");
	}
}

const struct rule priority_level_rules[] = { NEEDED("type", ""), NAMED("type", "Exempt", "Limited"), CALL(priority_level),
					     RULES_END };
const struct rule limited_level_rules[] = {
	BETWEEN("nominalConcurrencyShares", 0, INT64_MAX, "must be a non-negative integer"),
	BETWEEN("lendablePercent", 0, 100, "must be between 0 and 100, inclusive"),
	BETWEEN("borrowingLimitPercent", 0, INT64_MAX, "if specified, must be a non-negative integer"),
	RULES_END,
};

static void limit_response(struct api_findings *f, const char *path, const struct json *response)
{
	struct str type = json_get_str(response, "type");
	const struct json *queuing = json_get(response, "queuing"), *queues = json_get(queuing, "queues");
	const struct json *hand = json_get(queuing, "handSize"), *length = json_get(queuing, "queueLengthLimit");
	const char *at = rules_at(f, path, "queuing");

	if (str_is(type, "Reject") && queuing != NULL)
		finding_forbidden(f, at, "must be nil if limited.limitResponse.type is not Limited");
	if (str_is(type, "Queue") && queuing == NULL)
		finding_required(f, at, "must not be empty if limited.limitResponse.type is Limited");
	if (!str_is(type, "Queue") || queuing == NULL)
		return;
	if (json_int(length, 0) <= 0)
		finding_invalid(f, rules_at(f, at, "queueLengthLimit"), length, "must be positive");
	if (json_int(queues, 0) <= 0)
		finding_invalid(f, rules_at(f, at, "queues"), queues, "must be positive");
	else if (json_int(queues, 0) > 10000000)
		finding_invalid(f, rules_at(f, at, "queues"), queues, "must not be greater than 10000000");
	if (json_int(hand, 0) <= 0)
		finding_invalid(f, rules_at(f, at, "handSize"), hand, "must be positive");
	else if (json_int(hand, 0) > json_int(queues, 0))
		finding_invalid(f, rules_at(f, at, "handSize"), hand,
				AT(f, "should not be greater than queues (%lld)", (long long)json_int(queues, 0)));
}

const struct rule limit_response_rules[] = { NEEDED("type", ""), NAMED("type", "Queue", "Reject"), CALL(limit_response),
					     RULES_END };

/* ---- aggregation ---- */

void validate_api_service(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const struct rule numbers[] = { BETWEEN("groupPriorityMinimum", 1, 20000, "must be positive and less than 20000"),
					       BETWEEN("versionPriority", 1, 1000, "must be positive and less than 1000"),
					       RULES_END };
	const struct json *spec = json_get(tree, "spec"), *service = json_get(spec, "service");
	struct str version = json_get_str(spec, "version"), group = json_get_str(spec, "group"), name;
	bool bundle = json_get_str(spec, "caBundle").len != 0, insecure = json_bool(json_get(spec, "insecureSkipTLSVerify"));

	(void)type;
	(void)path;
	name = str_format(f->arena, "%.*s.%.*s", STR_ARG(version), STR_ARG(group));
	if (!str_eq(name, json_path_str(tree, "metadata.name")) && json_path_str(tree, "metadata.name").len != 0)
		finding_invalid_text(f, "metadata.name", json_path_str(tree, "metadata.name"),
				     AT(f, "must be `spec.version+\".\"+spec.group`: %s", api_quoted(f->arena, name)));
	if (group.len == 0 && !str_is(version, "v1"))
		finding_required(f, "spec.group", "only v1 may have an empty group and it better be legacy kube");
	if (group.len != 0)
		check_complaints(f, "spec.group", group, name_dns_subdomain(group));
	check_complaints(f, "spec.version", version, name_dns1035_label(version));
	rules_find(f, numbers, spec, "spec");
	if (service == NULL) {
		if (insecure)
			finding_invalid(f, "spec.insecureSkipTLSVerify", &json_true,
					"local APIServices may not have insecureSkipTLSVerify");
		return;
	}
	if (json_get_str(service, "namespace").len == 0)
		finding_required(f, "spec.service.namespace", "");
	if (json_get_str(service, "name").len == 0)
		finding_required(f, "spec.service.name", "");
	if (name_port_number(json_int(json_get(service, "port"), 0)).n != 0)
		finding_invalid(f, "spec.service.port", json_get(service, "port"),
				"port is not valid: must be between 1 and 65535, inclusive");
	if (insecure && bundle)
		finding_invalid(f, "spec.insecureSkipTLSVerify", &json_true, "may not be true if caBundle is present");
}
