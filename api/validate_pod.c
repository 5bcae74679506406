/* Pods and their templates: everything but containers and volumes. Rules: pkg/apis/core/validation, ValidatePodSpec. */
#include <string.h>

#include "api/check_pod.h"
#include "api/hooks.h"
#include "api/rules.h"

void check_id(struct api_findings *f, const char *path, const struct json *id)
{
	if (id != NULL && (json_int(id, -1) < 0 || json_int(id, -1) > INT32_MAX))
		finding_invalid(f, path, id, "must be between 0 and 2147483647, inclusive");
}

void check_seccomp(struct api_findings *f, const char *path, const struct json *profile)
{
	static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined" };
	struct str type = json_get_str(profile, "type");
	const struct json *local = json_get(profile, "localhostProfile");

	if (profile == NULL)
		return;
	if (type.len == 0)
		finding_required(f, AT(f, "%s.type", path), "type is required when seccompProfile is set");
	else
		check_one_of(f, AT(f, "%s.type", path), type, true, types, N_OF(types));
	if (str_is(type, "Localhost") && local == NULL)
		finding_required(f, AT(f, "%s.localhostProfile", path), "must be set when seccomp type is Localhost");
	else if (str_is(type, "Localhost"))
		check_descending_path(f, AT(f, "%s.localhostProfile", path), json_str(local));
	else if (local != NULL)
		finding_invalid(f, AT(f, "%s.localhostProfile", path),
				JSON_OBJECT_OF(f->arena, { "Type", json_string(f->arena, type) }, { "LocalhostProfile", local }),
				"can only be set when seccomp type is Localhost");
}

/* ---- security ---- */

static void check_app_armor(struct api_findings *f, const char *path, const struct json *profile)
{
	static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined" };
	static const char must[] = "must be set when AppArmor type is Localhost";
	struct str type = json_get_str(profile, "type");
	const struct json *local = json_get(profile, "localhostProfile");
	const char *at = AT(f, "%s.localhostProfile", path);

	if (profile == NULL)
		return;
	if (type.len == 0)
		finding_required(f, AT(f, "%s.type", path), "type is required when appArmorProfile is set");
	check_one_of(f, AT(f, "%s.type", path), type, false, types, N_OF(types));
	if (str_is(type, "Localhost")) {
		if (str_trim(json_str(local)).len != json_str(local).len)
			finding_invalid(f, at, local, "must not be padded with whitespace");
		else if (json_str(local).len == 0)
			finding_required(f, at, must);
		if (json_str(local).len > 4095)
			finding_too_long(f, at, 4095);
	} else if (local != NULL && (str_is(type, types[1]) || str_is(type, types[2]))) {
		finding_invalid(f, at, local, "can only be set when AppArmor type is Localhost");
	}
}

static const struct rule windows_rules[] = {
	NAME_IF("gmsaCredentialSpecName", name_dns_subdomain),
	FILLED("gmsaCredentialSpec", "gmsaCredentialSpec cannot be an empty string"),
	FILLED("runAsUserName", "runAsUserName cannot be an empty string"),
	RULES_END,
};
static const struct rule pod_security_rules[] = {
	ONE_OF("fsGroupChangePolicy", "Always", "OnRootMismatch"),
	ONE_OF("supplementalGroupsPolicy", "Merge", "Strict"),
	ONE_OF("seLinuxChangePolicy", "Recursive"),
	RULES_END,
};

void check_security_rules(struct api_findings *f, const char *path, const struct json *context, bool container)
{
	const struct json *windows = json_get(context, "windowsOptions");

	check_seccomp(f, AT(f, "%s.seccompProfile", path), json_get(context, "seccompProfile"));
	check_app_armor(f, AT(f, "%s.appArmorProfile", path), json_get(context, "appArmorProfile"));
	if (windows != NULL)
		rules_find(f, windows_rules, windows, AT(f, "%s.windowsOptions", path));
	if (!container)
		rules_find(f, pod_security_rules, context, path);
}

/* ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$ */
static bool is_sysctl(struct str name)
{
	bool edge = true;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'), separator = c == '.' || c == '/';
		bool last = i + 1 == name.len || name.ptr[i + 1] == '.' || name.ptr[i + 1] == '/';
		if (separator ? edge : !letter && (edge || last || (c != '-' && c != '_')))
			return false;
		edge = separator;
	}
	return !edge && name.len <= 253;
}

static void check_pod_security(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *sc = json_get(spec, "securityContext"), *share = json_get(spec, "shareProcessNamespace");

	path = AT(f, "%s.securityContext", path);
	check_id(f, AT(f, "%s.fsGroup", path), json_get(sc, "fsGroup"));
	check_id(f, AT(f, "%s.runAsUser", path), json_get(sc, "runAsUser"));
	check_id(f, AT(f, "%s.runAsGroup", path), json_get(sc, "runAsGroup"));
	JSON_EACH (json_get(sc, "supplementalGroups"), it)
		check_id(f, AT(f, "%s.supplementalGroups[%zu]", path, it.index), it.value);
	if (json_bool(share) && json_bool(json_get(spec, "hostPID")))
		finding_invalid(f, AT(f, "%s.shareProcessNamespace", path), share,
				"ShareProcessNamespace and HostPID cannot both be enabled");
	JSON_EACH (json_get(sc, "sysctls"), it) {
		struct str name = json_get_str(it.value, "name");
		const char *at = AT(f, "%s.sysctls[%zu].name", path, it.index);
		if (name.len == 0)
			finding_required(f, at, "");
		else if (!is_sysctl(name))
			finding_invalid_text(f, at, name,
					     "must have at most 253 characters and match regex "
					     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
	}
	check_security_rules(f, path, sc, false);
}

static void check_host_users(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const flags[][2] = { { "hostNetwork", "hostNetwork" },
						{ "hostPID", "HostPID" },
						{ "hostIPC", "HostIPC" } };
	const struct json *users = json_get(spec, "hostUsers");

	if (users == NULL || json_bool(users))
		return;
	for (size_t i = 0; i < N_OF(flags); i++)
		if (json_bool(json_get(spec, flags[i][0])))
			finding_forbidden(f, AT(f, "%s.%s", path, flags[i][1]), "when `hostUsers` is false");
}

/* Fields of Linux that a Windows pod must not have; those of the pod itself are marked. */
static void check_windows(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char never[] = "cannot be set for a windows pod";
	static const char *const own[] = { "hostUsers", "hostPID", "hostIPC", "shareProcessNamespace" };
	static const char *const context[] = { "appArmorProfile",     "seLinuxOptions",
					       "seccompProfile",      "fsGroup",
					       "fsGroupChangePolicy", "sysctls",
					       "runAsUser",           "runAsGroup",
					       "supplementalGroups",  "supplementalGroupsPolicy",
					       "seLinuxChangePolicy" };
	static const char *const container[] = {
		"appArmorProfile", "seLinuxOptions",           "seccompProfile", "capabilities", "readOnlyRootFilesystem",
		"privileged",      "allowPrivilegeEscalation", "procMount",      "runAsUser",    "runAsGroup"
	};

	for (size_t i = 0; i < N_OF(own); i++)
		if (json_get(spec, own[i]) != NULL)
			finding_forbidden(f, AT(f, "%s.%s", path, own[i]), never);
	for (size_t i = 0; i < N_OF(context); i++)
		if (json_get(json_get(spec, "securityContext"), context[i]) != NULL)
			finding_forbidden(f, AT(f, "%s.securityContext.%s", path, context[i]), never);
	JSON_EACH (json_get(spec, "containers"), it)
		for (size_t i = 0; i < N_OF(container); i++)
			if (json_get(json_get(it.value, "securityContext"), container[i]) != NULL)
				finding_forbidden(f, AT(f, "%s.containers[%zu].securityContext.%s", path, it.index, container[i]),
						  never);
}

static void check_os(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const systems[] = { "linux", "windows" };
	const struct json *os = json_get(spec, "os");
	struct str name = json_get_str(os, "name");

	if (os == NULL)
		return;
	if (name.len == 0)
		finding_required(f, AT(f, "%s.os.name", path), "");
	else
		check_one_of(f, AT(f, "%s.os", path), name, true, systems, N_OF(systems));
	if (str_is(name, "windows"))
		check_windows(f, path, spec);
}

/* ---- scheduling ---- */

static void check_requirement(struct api_findings *f, const char *path, const struct json *r, bool values_too)
{
	struct str op = json_get_str(r, "operator"), key = json_get_str(r, "key");
	const struct json *values = json_get(r, "values");

	if (str_is(op, "In") || str_is(op, "NotIn")) {
		if (json_len(values) == 0)
			finding_required(f, AT(f, "%s.values", path), "must be specified when `operator` is 'In' or 'NotIn'");
	} else if (str_is(op, "Exists") || str_is(op, "DoesNotExist")) {
		if (json_len(values) != 0)
			finding_forbidden(f, AT(f, "%s.values", path),
					  "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	} else if (str_is(op, "Gt") || str_is(op, "Lt")) {
		if (json_len(values) != 1)
			finding_required(f, AT(f, "%s.values", path),
					 "must be specified single value when `operator` is 'Lt' or 'Gt'");
	} else {
		finding_invalid_text(f, AT(f, "%s.operator", path), op, "not a valid selector operator");
	}
	check_complaints(f, AT(f, "%s.key", path), key, name_label_key(key));
	JSON_EACH (values_too ? values : NULL, it)
		check_complaints(f, AT(f, "%s.values[%zu]", path, it.index), json_str(it.value),
				 name_label_value(json_str(it.value)));
}

static void check_node_term(struct api_findings *f, const char *path, const struct json *term, bool values_too)
{
	JSON_EACH (json_get(term, "matchExpressions"), it)
		check_requirement(f, AT(f, "%s.matchExpressions[%zu]", path, it.index), it.value, values_too);
	JSON_EACH (json_get(term, "matchFields"), it) {
		const char *at = AT(f, "%s.matchFields[%zu]", path, it.index);
		struct str key = json_get_str(it.value, "key");
		if (json_len(json_get(it.value, "values")) != 1)
			finding_required(f, AT(f, "%s.values", at),
					 "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
		if (!str_is(key, "metadata.name"))
			finding_invalid_text(f, AT(f, "%s.key", at), key, "not a valid field selector key");
	}
}

static void check_weight(struct api_findings *f, const char *path, const struct json *term)
{
	const struct json *weight = json_get(term, "weight");

	if (json_int(weight, 0) < 1 || json_int(weight, 0) > 100)
		finding_invalid(f, AT(f, "%s.weight", path), weight, "must be in the range 1-100");
}

/* Keys whose values the selector takes from the pod: term has a labelSelector beside them. */
static void check_label_keys(struct api_findings *f, const char *path, const struct json *term, const char *field)
{
	const struct json *keys = json_get(term, field);

	path = AT(f, "%s.%s", path, field);
	if (json_len(keys) != 0 && json_get(term, "labelSelector") == NULL) {
		finding_forbidden(f, path, "must not be specified when labelSelector is not set");
		return;
	}
	JSON_EACH (keys, it)
		check_complaints(f, AT(f, "%s[%zu]", path, it.index), json_str(it.value), name_label_key(json_str(it.value)));
}

static void check_pod_term(struct api_findings *f, const char *path, const struct json *term)
{
	struct str key = json_get_str(term, "topologyKey");

	check_label_selector(f, AT(f, "%s.labelSelector", path), json_get(term, "labelSelector"));
	check_label_selector(f, AT(f, "%s.namespaceSelector", path), json_get(term, "namespaceSelector"));
	JSON_EACH (json_get(term, "namespaces"), it)
		check_complaints(f, AT(f, "%s.namespace", path), json_str(it.value), name_dns_label(json_str(it.value)));
	check_label_keys(f, path, term, "matchLabelKeys");
	check_label_keys(f, path, term, "mismatchLabelKeys");
	if (key.len == 0)
		finding_required(f, AT(f, "%s.topologyKey", path), "can not be empty");
	check_complaints(f, AT(f, "%s.topologyKey", path), key, name_label_key(key));
}

void check_node_selector(struct api_findings *f, const char *path, const struct json *selector)
{
	const struct json *terms = json_get(selector, "nodeSelectorTerms");

	if (selector != NULL && json_len(terms) == 0)
		finding_required(f, AT(f, "%s.nodeSelectorTerms", path), "must have at least one node selector term");
	JSON_EACH (terms, it)
		check_node_term(f, AT(f, "%s.nodeSelectorTerms[%zu]", path, it.index), it.value, true);
}

static void check_affinity(struct api_findings *f, const char *path, const struct json *affinity)
{
	static const char must[] = "requiredDuringSchedulingIgnoredDuringExecution";
	static const char may[] = "preferredDuringSchedulingIgnoredDuringExecution";
	static const char *const pods[] = { "podAffinity", "podAntiAffinity" };
	const struct json *node = json_get(affinity, "nodeAffinity");

	check_node_selector(f, AT(f, "%s.nodeAffinity.%s", path, must), json_get(node, must));
	JSON_EACH (json_get(node, may), it) {
		const char *at = AT(f, "%s.nodeAffinity.%s[%zu]", path, may, it.index);
		check_weight(f, at, it.value);
		check_node_term(f, AT(f, "%s.preference", at), json_get(it.value, "preference"), false);
	}
	for (int i = 0; i < 2; i++) {
		const struct json *one = json_get(affinity, pods[i]);
		JSON_EACH (json_get(one, must), it)
			check_pod_term(f, AT(f, "%s.%s.%s[%zu]", path, pods[i], must, it.index), it.value);
		JSON_EACH (json_get(one, may), it) {
			const char *at = AT(f, "%s.%s.%s[%zu]", path, pods[i], may, it.index);
			check_weight(f, at, it.value);
			check_pod_term(f, AT(f, "%s.podAffinityTerm", at), json_get(it.value, "podAffinityTerm"));
		}
	}
}

void check_toleration(struct api_findings *f, const char *path, const struct json *t)
{
	static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute" };
	static const char *const operators[] = { "Equal", "Exists" };
	static const char *const all_operators[] = { "Equal", "Exists", "Lt", "Gt" };
	struct str key = json_get_str(t, "key"), op = json_get_str(t, "operator"), value = json_get_str(t, "value");
	struct str effect = json_get_str(t, "effect");

	if (key.len != 0)
		check_complaints(f, AT(f, "%s.key", path), key, name_label_key(key));
	else if (!str_is(op, "Exists"))
		finding_invalid_text(f, AT(f, "%s.operator", path), op,
				     "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
	if (json_get(t, "tolerationSeconds") != NULL && !str_is(effect, "NoExecute"))
		finding_invalid_text(f, AT(f, "%s.effect", path), effect,
				     "effect must be 'NoExecute' when `tolerationSeconds` is set");
	if (op.len == 0 || str_is(op, "Equal"))
		check_complaints(f, AT(f, "%s.operator", path), value, name_label_value(value));
	else if (str_is(op, "Exists") && value.len != 0)
		finding_invalid_text(f, AT(f, "%s.operator", path), value, "value must be empty when `operator` is 'Exists'");
	else if (str_is(op, "Lt") || str_is(op, "Gt"))
		finding_unsupported(f, AT(f, "%s.operator", path), op, all_operators, N_OF(all_operators));
	else
		check_one_of(f, AT(f, "%s.operator", path), op, false, operators, N_OF(operators));
	check_one_of(f, AT(f, "%s.effect", path), effect, false, effects, N_OF(effects));
}

static struct str spread_key(struct api_findings *f, const struct json *constraint)
{
	return str_format(f->arena, "{%.*s, %.*s}", STR_ARG(json_get_str(constraint, "topologyKey")),
			  STR_ARG(json_get_str(constraint, "whenUnsatisfiable")));
}

static const struct rule spread_rules[] = {
	BETWEEN("minDomains", 1, INT32_MAX, "must be greater than zero"),
	ONE_OF("nodeAffinityPolicy", "Honor", "Ignore"),
	ONE_OF("nodeTaintsPolicy", "Honor", "Ignore"),
	RULES_END,
};

static void check_spread(struct api_findings *f, const char *path, const struct json *constraints)
{
	static const char *const actions[] = { "DoNotSchedule", "ScheduleAnyway" };
	struct places last = { .arena = f->arena };

	for (size_t i = json_len(constraints); i-- > 0;)
		places_add(&last, spread_key(f, json_at(constraints, i)), i);
	JSON_EACH (constraints, it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		const struct json *skew = json_get(it.value, "maxSkew");
		struct str key = json_get_str(it.value, "topologyKey"), action = json_get_str(it.value, "whenUnsatisfiable");
		if (json_int(skew, 0) <= 0)
			finding_invalid(f, AT(f, "%s.maxSkew", at), skew, "must be greater than zero");
		if (key.len == 0)
			finding_required(f, AT(f, "%s.topologyKey", at), "can not be empty");
		if (action.len == 0)
			finding_unsupported(f, AT(f, "%s.whenUnsatisfiable", at), action, actions, N_OF(actions));
		check_one_of(f, AT(f, "%s.whenUnsatisfiable", at), action, false, actions, N_OF(actions));
		if (places_find(&last, spread_key(f, it.value)) != it.index)
			finding_duplicate(f, AT(f, "%s.{topologyKey, whenUnsatisfiable}", at),
					  json_string(f->arena, spread_key(f, it.value)));
		check_label_selector(f, AT(f, "%s.labelSelector", at), json_get(it.value, "labelSelector"));
		rules_find(f, spread_rules, it.value, at);
		if (json_get(it.value, "minDomains") != NULL && !str_is(action, "DoNotSchedule"))
			finding_invalid(f, AT(f, "%s.minDomains", at), json_get(it.value, "minDomains"),
					AT(f, "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %.*s",
					   STR_ARG(action)));
		check_label_keys(f, at, it.value, "matchLabelKeys");
	}
}

static void check_gates(struct api_findings *f, const char *path, const struct json *gates)
{
	struct places seen = { .arena = f->arena };

	JSON_EACH (gates, it) {
		struct str name = json_get_str(it.value, "name");
		const char *at = AT(f, "%s[%zu]", path, it.index);
		check_complaints(f, at, name, name_label_key(name));
		if (places_add(&seen, name, it.index) != it.index)
			finding_duplicate(f, at, json_string(f->arena, name));
	}
}

static void check_claims(struct api_findings *f, const char *path, const struct json *claims)
{
	static const struct shown_field fields[] = { { "Name", "name", "\"\"" },
						     { "ResourceClaimName", "resourceClaimName", "null" },
						     { "ResourceClaimTemplateName", "resourceClaimTemplateName", "null" } };

	static const struct rule rows[] = {
		NAME_IF("resourceClaimName", name_dns_subdomain),
		NAME_IF("resourceClaimTemplateName", name_dns_subdomain),
		RULES_END,
	};
	struct places names = { .arena = f->arena };

	JSON_EACH (claims, it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		struct str name = json_get_str(it.value, "name");
		bool named = json_get(it.value, "resourceClaimName") != NULL,
		     made = json_get(it.value, "resourceClaimTemplateName") != NULL;
		if (name.len == 0)
			finding_required(f, AT(f, "%s.name", at), "");
		else if (places_add(&names, name, it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.name", at), json_string(f->arena, name));
		else
			check_complaints(f, AT(f, "%s.name", at), name, name_dns_label(name));
		rules_find(f, rows, it.value, at);
		if (named == made)
			finding_invalid(f, at, shown_struct(f->arena, it.value, fields, N_OF(fields)),
					named ? "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
					      : "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
	}
}

/* ---- names and addresses ---- */

static void check_searches(struct api_findings *f, const char *path, const struct json *searches)
{
	size_t characters = 0;

	JSON_EACH (searches, it)
		characters += json_str(it.value).len + (it.index != 0);
	if (json_len(searches) > 32)
		finding_invalid(f, path, searches, "must not have more than 32 search paths");
	if (characters > 2048)
		finding_invalid(f, path, searches, "must not have more than 2048 characters (including spaces) in the search list");
	JSON_EACH (searches, it) {
		struct str domain = json_str(it.value);
		if (str_is(domain, "."))
			continue;
		if (str_has_suffix(domain, STR(".")))
			domain.len--;
		check_complaints(f, AT(f, "%s[%zu]", path, it.index), domain, name_search_domain(domain));
	}
}

static void check_dns(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const policies[] = { "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None" };
	const struct json *config = json_get(spec, "dnsConfig"), *servers = json_get(config, "nameservers");
	struct str policy = json_get_str(spec, "dnsPolicy");

	check_one_of(f, AT(f, "%s.dnsPolicy", path), policy, true, policies, N_OF(policies));
	if (str_is(policy, "None") && config == NULL)
		finding_required(f, AT(f, "%s.dnsConfig", path), "must provide `dnsConfig` when `dnsPolicy` is None");
	else if (str_is(policy, "None") && json_len(servers) == 0)
		finding_required(f, AT(f, "%s.dnsConfig.nameservers", path),
				 "must provide at least one DNS nameserver when `dnsPolicy` is None");
	if (json_len(servers) > 3)
		finding_invalid(f, AT(f, "%s.dnsConfig.nameservers", path), servers, "must not have more than 3 nameservers");
	JSON_EACH (servers, it)
		check_ip(f, AT(f, "%s.dnsConfig.nameservers[%zu]", path, it.index), json_str(it.value));
	check_searches(f, AT(f, "%s.dnsConfig.searches", path), json_get(config, "searches"));
	JSON_EACH (json_get(config, "options"), it)
		if (json_get_str(it.value, "name").len == 0)
			finding_required(f, AT(f, "%s.dnsConfig.options[%zu]", path, it.index), "must not be empty");
}

static void check_text(struct api_findings *f, const char *path, const struct json *spec, const char *field,
		       struct complaints (*rule)(struct str))
{
	struct str value = json_get_str(spec, field);

	if (value.len != 0)
		check_complaints(f, AT(f, "%s.%s", path, field), value, rule(value));
}

static void check_host_name(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *name = json_get(spec, "hostnameOverride");
	struct str text = json_str(name);

	path = AT(f, "%s.hostnameOverride", path);
	if (name == NULL)
		return;
	if (text.len > 64)
		finding_too_long(f, path, 64);
	check_complaints(f, path, text, name_dns_subdomain(text));
	if (json_bool(json_get(spec, "setHostnameAsFQDN")))
		finding_forbidden(f, path, "may not be specified when setHostnameAsFQDN is true");
	if (json_bool(json_get(spec, "hostNetwork")))
		finding_forbidden(f, path, "may not be specified when hostNetwork is true");
}

static void check_names(struct api_findings *f, const char *path, const struct json *spec)
{
	static const struct rule names[] = {
		NAME_IF("runtimeClassName", name_dns_subdomain),
		RULES_END,
	};

	check_host_name(f, path, spec);
	check_text(f, path, spec, "serviceAccountName", name_dns_subdomain);
	check_text(f, path, spec, "nodeName", name_dns_subdomain);
	check_text(f, path, spec, "hostname", name_dns_label);
	check_text(f, path, spec, "subdomain", name_dns_label);
	check_text(f, path, spec, "priorityClassName", name_dns_subdomain);
	rules_find(f, names, spec, path);
	JSON_EACH (json_get(spec, "hostAliases"), it) {
		check_ip(f, AT(f, "%s.hostAliases[%zu].ip", path, it.index), json_get_str(it.value, "ip"));
		JSON_EACH (json_get(it.value, "hostnames"), h)
			check_complaints(f, AT(f, "%s.hostAliases[%zu].hostnames[%zu]", path, it.index, h.index), json_str(h.value),
					 name_dns_subdomain(json_str(h.value)));
	}
	JSON_EACH (json_get(spec, "readinessGates"), it) {
		struct str type = json_get_str(it.value, "conditionType");
		check_complaints(f, AT(f, "%s.readinessGates[%zu].conditionType", path, it.index), type, name_label_key(type));
	}
}

static void check_host_network(struct api_findings *f, const char *path, const struct json *spec, bool template)
{
	if (!json_bool(json_get(spec, "hostNetwork")))
		return;
	JSON_EACH (json_get(spec, "containers"), c) {
		JSON_EACH (json_get(c.value, "ports"), it) {
			const struct json *host = json_get(it.value, "hostPort");
			if ((!template || host != NULL) && json_int(host, 0) != json_int(json_get(it.value, "containerPort"), 0))
				finding_invalid(f, AT(f, "%s.containers[%zu].ports[%zu].hostPort", path, c.index, it.index),
						host != NULL ? host : json_number(f->arena, 0),
						"must match `containerPort` when `hostNetwork` is true");
		}
	}
}

/* Variables from a file: the file lies in an emptyDir. */
static void check_file_refs(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };

	for (size_t i = 0; i < N_OF(lists); i++)
		JSON_EACH (json_get(spec, lists[i]), c)
			JSON_EACH (json_get(c.value, "env"), it) {
				const struct json *ref = json_path(it.value, "valueFrom.fileKeyRef"), *found = NULL;
				const char *at = AT(f, "%s.%s[%zu].env[%zu].valueFrom.fileKeyRef.volumeName", path, lists[i],
						    c.index, it.index);
				if (ref == NULL)
					continue;
				JSON_EACH (json_get(spec, "volumes"), v)
					if (json_equal(json_get(v.value, "name"), json_get(ref, "volumeName")))
						found = v.value;
				if (found == NULL)
					finding_not_found(f, at, json_get(ref, "volumeName"));
				else if (json_get(found, "emptyDir") == NULL)
					finding_invalid(f, at, json_get(ref, "volumeName"),
							"referenced volume must be of type emptyDir");
			}
}

/* ---- the whole ---- */

void check_pod_spec(struct api_findings *f, const char *path, const struct json *spec, const struct pod_rules *rules)
{
	static const char *const restarts[] = { "Always", "OnFailure", "Never" };
	static const char *const preemptions[] = { "PreemptLowerPriority", "Never" };
	const struct json *deadline = json_get(spec, "activeDeadlineSeconds");
	const struct json *volumes = check_volumes(f, AT(f, "%s.volumes", path), json_get(spec, "volumes"));

	check_claims(f, AT(f, "%s.resourceClaims", path), json_get(spec, "resourceClaims"));
	check_containers(f, path, spec, volumes, rules->template);
	check_host_network(f, path, spec, rules->template);
	check_one_of(f, AT(f, "%s.restartPolicy", path), json_get_str(spec, "restartPolicy"), true, restarts, N_OF(restarts));
	check_labels(f, AT(f, "%s.nodeSelector", path), json_get(spec, "nodeSelector"));
	check_pod_security(f, path, spec);
	check_affinity(f, AT(f, "%s.affinity", path), json_get(spec, "affinity"));
	check_dns(f, path, spec);
	check_gates(f, AT(f, "%s.schedulingGates", path), json_get(spec, "schedulingGates"));
	check_spread(f, AT(f, "%s.topologySpreadConstraints", path), json_get(spec, "topologySpreadConstraints"));
	check_host_users(f, path, spec);
	check_names(f, path, spec);
	if (deadline != NULL && (json_int(deadline, 0) < 1 || json_int(deadline, 0) > INT32_MAX))
		finding_invalid(f, AT(f, "%s.activeDeadlineSeconds", path), deadline,
				"must be between 1 and 2147483647, inclusive");
	JSON_EACH (json_get(spec, "tolerations"), it)
		check_toleration(f, AT(f, "%s.tolerations[%zu]", path, it.index), it.value);
	check_overhead(f, AT(f, "%s.overhead", path), json_get(spec, "overhead"));
	if (json_get(spec, "preemptionPolicy") != NULL)
		check_one_of(f, AT(f, "%s.preemptionPolicy", path), json_get_str(spec, "preemptionPolicy"), true, preemptions,
			     N_OF(preemptions));
	check_os(f, path, spec);
	check_file_refs(f, path, spec);
}

void check_pod_template(struct api_findings *f, const char *path, const struct json *template)
{
	struct pod_rules rules = { .template = true };

	check_labels(f, AT(f, "%s.labels", path), json_path(template, "metadata.labels"));
	check_annotations(f, AT(f, "%s.annotations", path), json_path(template, "metadata.annotations"));
	check_pod_spec(f, AT(f, "%s.spec", path), json_get(template, "spec"), &rules);
	if (json_len(json_path(template, "spec.ephemeralContainers")) != 0)
		finding_forbidden(f, AT(f, "%s.spec.ephemeralContainers", path),
				  "ephemeral containers not allowed in pod template");
}

void validate_pod_template(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	(void)type;
	check_pod_template(f, path, tree);
}

void validate_pod(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	struct pod_rules rules = { .meta = json_get(tree, "metadata") };

	(void)type;
	(void)path;
	check_pod_spec(f, "spec", json_get(tree, "spec"), &rules);
}

void api_find_invalid_pod_create(struct api_findings *f, const struct json *tree)
{
	const struct json *spec = json_get(tree, "spec");

	if (json_len(json_get(spec, "ephemeralContainers")) != 0)
		finding_forbidden(f, "spec.ephemeralContainers", "cannot be set on create");
	if (json_get(spec, "nodeName") != NULL && json_len(json_get(spec, "schedulingGates")) != 0)
		finding_forbidden(f, "spec.nodeName", "cannot be set until all schedulingGates have been cleared");
}

/* ---- updates ---- */

/* The new spec with what may change as it was. */
static const struct json *thawed(struct arena *arena, const struct json *spec, const struct json *was)
{
	static const char *const lists[] = { "containers", "initContainers" };
	static const char *const fields[] = { "activeDeadlineSeconds", "tolerations", "schedulingGates" };

	for (int i = 0; i < 2; i++) {
		struct json_builder b = { .arena = arena };
		const struct json *list = json_get(spec, lists[i]), *old = json_get(was, lists[i]);

		JSON_EACH (list, it)
			json_builder_put(&b, &it, json_with(arena, it.value, "image", json_get(json_at(old, it.index), "image")));
		if (list != NULL)
			spec = json_with(arena, spec, lists[i], json_builder_like(&b, list));
	}
	for (int i = 0; i < 3; i++)
		spec = json_with(arena, spec, fields[i], json_get(was, fields[i]));
	return spec;
}

/* A toleration but for the part that may change. */
static struct str toleration_key(struct api_findings *f, const struct json *toleration)
{
	return json_key(f->arena, json_with(f->arena, toleration, "tolerationSeconds", NULL));
}

static void check_tolerations_kept(struct api_findings *f, const struct json *new, const struct json *old)
{
	struct places kept = { .arena = f->arena };

	JSON_EACH (new, it)
		places_add(&kept, toleration_key(f, it.value), it.index);
	JSON_EACH (old, it) {
		if (places_find(&kept, toleration_key(f, it.value)) != PLACES_NONE)
			continue;
		finding_forbidden(f, "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
		return;
	}
}

static void check_deadline_shrinks(struct api_findings *f, const struct json *new, const struct json *old)
{
	if (old == NULL)
		return;
	if (new == NULL)
		finding_invalid(f, "spec.activeDeadlineSeconds", &json_null,
				"must not update from a positive integer to nil value");
	else if (json_int(new, 0) > json_int(old, 0))
		finding_invalid(f, "spec.activeDeadlineSeconds", new, "must be less than or equal to previous value");
}

void update_pod(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const lists[] = { "containers", "initContainers" };
	const struct json *spec = json_get(tree, "spec"), *was = json_get(old, "spec");
	const struct type *type = field_type(type_find(kind_type(kind_must("v1", "Pod")), STR("spec")));
	int64_t grace = json_int(json_get(was, "terminationGracePeriodSeconds"), 0);
	struct places gates = { .arena = f->arena };

	for (int i = 0; i < 2; i++)
		if (json_len(json_get(spec, lists[i])) != json_len(json_get(was, lists[i]))) {
			finding_forbidden(f, AT(f, "spec.%s", lists[i]), "pod updates may not add or remove containers");
			return;
		} else {
			JSON_EACH (json_get(spec, lists[i]), it)
				if (json_get_str(it.value, "image").len == 0)
					finding_required(f, AT(f, "spec.%s[%zu].image", lists[i], it.index), "");
		}
	check_deadline_shrinks(f, json_get(spec, "activeDeadlineSeconds"), json_get(was, "activeDeadlineSeconds"));
	check_tolerations_kept(f, json_get(spec, "tolerations"), json_get(was, "tolerations"));
	JSON_EACH (json_get(was, "schedulingGates"), it)
		places_add(&gates, json_key(f->arena, it.value), it.index);
	JSON_EACH (json_get(spec, "schedulingGates"), it)
		if (places_find(&gates, json_key(f->arena, it.value)) == PLACES_NONE)
			finding_forbidden(f, AT(f, "spec.schedulingGates[%zu].name", it.index),
					  AT(f, "only deletion is allowed, but found new scheduling gate '%.*s'",
					     STR_ARG(json_get_str(it.value, "name"))));
	if (grace < 0 && json_int(json_get(spec, "terminationGracePeriodSeconds"), 0) == 1)
		was = json_with(f->arena, was, "terminationGracePeriodSeconds", json_get(spec, "terminationGracePeriodSeconds"));
	spec = thawed(f->arena, spec, was);
	if (!json_equal(spec, was))
		finding_forbidden(
			f, "spec",
			AT(f, "%s\n%s",
			   "pod updates may not change fields other than `spec.containers[*].image`,"
			   "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions "
			   "to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
			   "previously negative)",
			   check_diff(f, shown_go(f->arena, type, was), shown_go(f->arena, type, spec))));
}
