/* Rules of quotas. Source: k8s.io/kubernetes/pkg/apis/core/validation, ValidateResourceQuotaSpec. */
#include "api/check_pod.h"
#include "api/hooks.h"
#include "api/quantity.h"
#include "api/rules.h"

static bool is_in(struct str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(name, list[i]))
			return true;
	return false;
}

static const char *const things[] = { "pods",
				      "resourcequotas",
				      "services",
				      "replicationcontrollers",
				      "secrets",
				      "configmaps",
				      "services.nodeports",
				      "persistentvolumeclaims",
				      "services.loadbalancers" };
static const char *const sizes[] = { "cpu",
				     "memory",
				     "limits.cpu",
				     "limits.memory",
				     "requests.cpu",
				     "requests.memory",
				     "ephemeral-storage",
				     "requests.storage",
				     "requests.ephemeral-storage",
				     "limits.ephemeral-storage" };

static bool is_counted(struct str name)
{
	return is_in(name, things, N_OF(things)) || is_in(name, sizes, N_OF(sizes)) || str_has_prefix(name, STR("hugepages-")) ||
	       str_has_prefix(name, STR("requests.hugepages-"));
}

void check_quantity(struct api_findings *f, const char *path, struct str name, const struct json *value)
{
	struct quantity q = quantity_of(value);

	if (quantity_sign(&q) < 0)
		finding_invalid(f, path, value, "must be greater than or equal to 0");
	if (!quantity_whole(&q) && (is_in(name, things, N_OF(things)) || is_extended_resource(name)))
		finding_invalid(f, path, value, "must be an integer");
}

void check_quota_list(struct api_findings *f, const char *path, const struct json *list)
{
	JSON_EACH (list, it) {
		const char *at = AT(f, "%s[%.*s]", path, STR_ARG(it.key));

		check_resource_name(f, at, it.key, false);
		if (str_find(it.key, '/') < 0 && !is_counted(it.key))
			finding_invalid_text(f, at, it.key, "must be a standard resource for quota");
		check_quantity(f, at, it.key, it.value);
	}
}

static const char *const pod_scopes[] = { "Terminating", "NotTerminating", "NotBestEffort", "PriorityClass",
					  "CrossNamespacePodAffinity" };

static bool is_scope(struct str scope)
{
	return is_in(scope, pod_scopes, N_OF(pod_scopes)) || str_is(scope, "BestEffort") || str_is(scope, "VolumeAttributesClass");
}

static bool scope_fits(struct str scope, struct str name)
{
	if (is_in(scope, pod_scopes, N_OF(pod_scopes)))
		return str_is(name, "pods") || is_in(name, sizes, 6);
	if (str_is(scope, "BestEffort"))
		return str_is(name, "pods");
	if (str_is(scope, "VolumeAttributesClass"))
		return str_is(name, "persistentvolumeclaims") || str_is(name, "requests.storage");
	return true;
}

static void check_fit(struct api_findings *f, const char *path, struct str scope, const struct json *hard, const struct json *shown)
{
	JSON_EACH (hard, it)
		if (is_counted(it.key) && !scope_fits(scope, it.key))
			finding_invalid(f, path, shown, "unsupported scope applied to resource");
}

static void check_pairs(struct api_findings *f, const char *path, const struct json *list, const char *key,
			const struct json *shown)
{
	static const char *const pairs[][2] = { { "BestEffort", "NotBestEffort" }, { "Terminating", "NotTerminating" } };

	for (int i = 0; i < 2; i++) {
		bool has[2] = { false, false };

		JSON_EACH (list, it)
			for (int k = 0; k < 2; k++)
				has[k] = has[k] ||
					 str_is(key == NULL ? json_str(it.value) : json_get_str(it.value, key), pairs[i][k]);
		if (has[0] && has[1])
			finding_invalid(f, path, shown == NULL ? &json_null : shown, "conflicting scopes");
	}
}

static void check_scopes(struct api_findings *f, const char *path, const struct json *scopes, const struct json *hard)
{
	JSON_EACH (scopes, it) {
		if (!is_scope(json_str(it.value)))
			finding_invalid(f, path, scopes, "unsupported scope");
		check_fit(f, path, json_str(it.value), hard, scopes);
	}
	check_pairs(f, path, scopes, NULL, scopes);
}

#define EXISTS                                                                                                                     \
	"must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "                  \
	"ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"

static void check_operator(struct api_findings *f, const char *path, const struct json *one)
{
	struct str scope = json_get_str(one, "scopeName"), operator= json_get_str(one, "operator");
	const struct json *values = json_get(one, "values");

	if (is_scope(scope) && !str_is(scope, "PriorityClass") && !str_is(scope, "VolumeAttributesClass") &&
	    !str_is(operator, "Exists"))
		finding_invalid_text(f, AT(f, "%s.operator", path), operator, EXISTS);
	if (str_is(operator, "In") || str_is(operator, "NotIn")) {
		if (json_len(values) == 0)
			finding_required(f, AT(f, "%s.values", path),
					 "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
	} else if (str_is(operator, "Exists") || str_is(operator, "DoesNotExist")) {
		if (json_len(values) != 0)
			finding_invalid(f, AT(f, "%s.values", path), values,
					"must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
	} else
		finding_invalid_text(f, AT(f, "%s.operator", path), operator, "not a valid selector operator");
}

void validate_quota_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *hard = json_get(tree, "hard"), *selector = json_get(tree, "scopeSelector");
	const struct json *list = json_get(selector, "matchExpressions");
	const struct field *field = type_find(type, STR("scopeSelector"));
	const char *at = AT(f, "%s.scopeSelector.matchExpressions", path);

	check_quota_list(f, AT(f, "%s.hard", path), hard);
	check_scopes(f, AT(f, "%s.scopes", path), json_get(tree, "scopes"), hard);
	JSON_EACH (list, it) {
		struct str scope = json_get_str(it.value, "scopeName");

		if (!is_scope(scope))
			finding_invalid_text(f, AT(f, "%s.scopeName", at), scope, "unsupported scope");
		check_fit(f, at, scope, hard, shown_go(f->arena, field_type(field), selector));
		check_operator(f, at, it.value);
	}
	check_pairs(f, at, list, "scopeName", json_get(tree, "scopes"));
}
