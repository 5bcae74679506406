/*
 * Rules of kinds beside the path's: networking, storage, access, admission, flow control. Sources: pkg/apis/<group>/validation,
 * in upstream's words.
 */
#include <string.h>

#include "api/check_pod.h"
#include "api/hooks.h"
#include "api/quantity.h"
#include "api/rules.h"
#include "base/codec.h"
#include "base/ip.h"

/* ---- networking ---- */

static void network_port(struct api_findings *f, const char *path, const struct json *port)
{
	const struct json *from = json_get(port, "port"), *to = json_get(port, "endPort");
	const char *end = rules_at(f, path, "endPort");

	if (from != NULL)
		check_port_number_or_name(f, rules_at(f, path, "port"), from);
	if (to != NULL && from == NULL)
		finding_invalid(f, end, to, "may not be specified when `port` is not specified");
	else if (to != NULL && json_is(from, JSON_STRING))
		finding_invalid(f, end, to, "may not be specified when `port` is non-numeric");
	else if (to != NULL) {
		if (json_int(to, 0) < json_int(from, 0))
			finding_invalid(f, end, from, "must be greater than or equal to `port`");
		check_number(f, end, to, name_port_number(json_int(to, 0)));
	}
}

const struct rule network_port_rules[] = { ONE_OF("protocol", "TCP", "UDP", "SCTP"), CALL(network_port), RULES_END };

static void network_peer(struct api_findings *f, const char *path, const struct json *peer)
{
	bool block = json_get(peer, "ipBlock") != NULL;
	bool other = json_get(peer, "podSelector") != NULL || json_get(peer, "namespaceSelector") != NULL;

	if (!block && !other)
		finding_required(f, path, "must specify a peer");
	else if (block && other)
		finding_forbidden(f, path, "may not specify both ipBlock and another peer");
}

const struct rule network_peer_rules[] = { SELECTOR("podSelector"), SELECTOR("namespaceSelector"), CALL(network_peer), RULES_END };

static void ip_block(struct api_findings *f, const char *path, const struct json *block)
{
	struct str whole = json_get_str(block, "cidr");
	struct cidr outer, inner;

	if (whole.len != 0)
		check_cidr(f, rules_at(f, path, "cidr"), whole);
	bool good = cidr_parse(whole, &outer);
	JSON_EACH (good ? json_get(block, "except") : NULL, it) {
		const char *at = AT(f, "%s.except[%zu]", path, it.index);
		check_cidr(f, at, json_str(it.value));
		if (cidr_parse(json_str(it.value), &inner) &&
		    (inner.ip.family != outer.ip.family || !cidr_contains(outer, inner.ip) || outer.bits >= inner.bits))
			finding_invalid(f, at, it.value, "must be a strict subset of `cidr`");
	}
}

const struct rule ip_block_rules[] = { CALL(ip_block), RULES_END };
static void policy_types(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const types[] = { "Ingress", "Egress" };
	const struct json *list = json_get(spec, "policyTypes");

	if (json_len(list) > 2)
		finding_invalid(f, rules_at(f, path, "policyTypes"), list, "may not specify more than two policyTypes");
	else
		JSON_EACH (list, it)
			check_if_one_of(f, AT(f, "%s.policyTypes[%zu]", path, it.index), it.value, types, 2);
}

const struct rule network_policy_rules[] = { SELECTOR("podSelector"), CALL_OF("policyTypes", policy_types), RULES_END };

static void ingress_backend(struct api_findings *f, const char *path, const struct json *backend)
{
	const struct json *service = json_get(backend, "service"), *resource = json_get(backend, "resource");
	struct str name = json_get_str(service, "name"), port = json_path_str(service, "port.name");
	const struct json *number = json_path(service, "port.number");

	if (service != NULL && resource != NULL) {
		finding_invalid_text(f, path, STR(""), "cannot set both resource and service backends");
	} else if (service == NULL && resource == NULL) {
		finding_invalid_text(f, path, STR(""), "resource or service backend is required");
	} else if (service != NULL) {
		const char *at = rules_at(f, path, "service");
		if (name.len == 0)
			finding_required(f, rules_at(f, at, "name"), "");
		else
			check_complaints(f, rules_at(f, at, "name"), name, name_dns_label(name));
		if (port.len != 0 && json_int(number, 0) != 0)
			finding_invalid_text(f, path, STR(""), "cannot set both port name & port number");
		else if (port.len != 0)
			check_complaints(f, rules_at(f, at, "port.name"), port, name_port(port));
		else if (json_int(number, 0) != 0)
			check_number(f, rules_at(f, at, "port.number"), number, name_port_number(json_int(number, 0)));
		else
			finding_required(f, path, "port name or number is required");
	}
}

static const struct rule typed_reference[] = { NAME_IF("apiGroup", name_dns_subdomain), NEEDED("kind", ""),
					       NAME("kind", name_path_segment),         NEEDED("name", ""),
					       NAME("name", name_path_segment),         RULES_END };

/* What the path above them judges. */
const struct rule ingress_path_rules[] = { ELSEWHERE("pathType"), RULES_END };
const struct rule service_backend_rules[] = { ELSEWHERE("name"), RULES_END };
const struct rule reference_rules[] = { ELSEWHERE("kind"), ELSEWHERE("name"), RULES_END };

static void ingress_resource(struct api_findings *f, const char *path, const struct json *backend)
{
	const struct json *resource = json_get(backend, "resource");

	if (resource != NULL && json_get(backend, "service") == NULL)
		rules_find(f, typed_reference, resource, rules_at(f, path, "resource"));
}

static void ingress_path(struct api_findings *f, const char *path, const struct json *one)
{
	static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix" };
	static const char *const parts[] = { "//", "/./", "/../", "%2f", "%2F" };
	static const char *const ends[] = { "/..", "/." };
	struct str where = json_get_str(one, "path"), type = json_get_str(one, "pathType");
	bool absolute = where.len != 0 && where.ptr[0] == '/';
	const char *at = rules_at(f, path, "path");

	if (json_absent(json_get(one, "pathType"))) {
		finding_required(f, rules_at(f, path, "pathType"), "pathType must be specified");
		return;
	}
	check_if_one_of(f, rules_at(f, path, "pathType"), json_get(one, "pathType"), types, N_OF(types));
	if ((str_is(type, "Exact") || str_is(type, "Prefix")) && !absolute)
		finding_invalid_text(f, at, where, "must be an absolute path");
	if (str_is(type, "ImplementationSpecific") && where.len != 0 && !absolute)
		finding_invalid_text(f, at, where, "must be an absolute path");
	for (size_t i = 0; i < N_OF(parts) && (str_is(type, "Exact") || str_is(type, "Prefix")); i++)
		if (str_contains(where, str_from(parts[i])))
			finding_invalid_text(f, at, where, AT(f, "must not contain '%s'", parts[i]));
	for (size_t i = 0; i < N_OF(ends) && (str_is(type, "Exact") || str_is(type, "Prefix")); i++)
		if (str_has_suffix(where, str_from(ends[i])))
			finding_invalid_text(f, at, where, AT(f, "cannot end with '%s'", ends[i]));
	ingress_backend(f, rules_at(f, path, "backend"), json_get(one, "backend"));
	ingress_resource(f, rules_at(f, path, "backend"), json_get(one, "backend"));
}

static void ingress_host(struct api_findings *f, const char *path, struct str host)
{
	check_complaints(f, path, host, str_find(host, '*') >= 0 ? name_wildcard_subdomain(host) : name_dns_subdomain(host));
}

static void ingress_spec(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *rules = json_get(spec, "rules"), *backend = json_get(spec, "defaultBackend");
	struct ip ip;

	if (json_len(rules) == 0 && backend == NULL)
		finding_invalid(f, path, rules == NULL ? &json_null : rules,
				"either `defaultBackend` or `rules` must be specified");
	if (backend != NULL)
		ingress_backend(f, rules_at(f, path, "defaultBackend"), backend);
	ingress_resource(f, rules_at(f, path, "defaultBackend"), backend);
	JSON_EACH (rules, it) {
		const char *at = AT(f, "%s.rules[%zu]", path, it.index);
		struct str host = json_get_str(it.value, "host");
		const struct json *http = json_get(it.value, "http");
		if (ip_parse(host, &ip))
			finding_invalid_text(f, rules_at(f, at, "host"), host, "must be a DNS name, not an IP address");
		if (host.len != 0)
			ingress_host(f, rules_at(f, at, "host"), host);
		if (http != NULL && json_len(json_get(http, "paths")) == 0)
			finding_required(f, rules_at(f, at, "http.paths"), "");
		JSON_EACH (json_get(http, "paths"), p)
			ingress_path(f, AT(f, "%s.http.paths[%zu]", at, p.index), p.value);
	}
	JSON_EACH (json_get(spec, "tls"), it) {
		struct str secret = json_get_str(it.value, "secretName");
		JSON_EACH (json_get(it.value, "hosts"), h)
			ingress_host(f, AT(f, "%s.tls[%zu].hosts[%zu]", path, it.index, h.index), json_str(h.value));
		if (secret.len != 0)
			check_complaints(f, AT(f, "%s.tls[%zu].secretName", path, it.index), secret, name_dns_subdomain(secret));
	}
}

const struct rule ingress_rules[] = { NAME_IF("ingressClassName", name_dns_subdomain), CALL(ingress_spec), RULES_END };

/* "example.com/some/path" */
static void domain_path(struct api_findings *f, const char *path, struct str value)
{
	struct str rest = value, domain;

	if (value.len == 0) {
		finding_required(f, path, "");
		return;
	}
	ptrdiff_t slash = str_find(value, '/');
	if (slash <= 0 || (size_t)slash + 1 == value.len) {
		finding_invalid_text(f, path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
		return;
	}
	str_cut(&rest, '/', &domain);
	check_complaints(f, path, domain, name_dns_subdomain(domain));
	for (size_t i = 0; i < rest.len; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~!$&'()*+,;=:", rest.ptr[i]) ==
		    NULL) {
			finding_invalid_text(f, path, rest,
					     "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
			return;
		}
}

void check_domain_path(struct api_findings *f, const char *path, struct str value)
{
	domain_path(f, path, value);
}

static void ingress_class(struct api_findings *f, const char *path, const struct json *spec)
{
	struct str controller = json_get_str(spec, "controller");

	if (controller.len > 250)
		finding_too_long(f, rules_at(f, path, "controller"), 250);
	domain_path(f, rules_at(f, path, "controller"), controller);
}

const struct rule ingress_class_rules[] = { CALL(ingress_class), RULES_END };

static void ingress_parameters(struct api_findings *f, const char *path, const struct json *one)
{
	struct str scope = json_get_str(one, "scope"), ns = json_get_str(one, "namespace");
	const char *at = rules_at(f, path, "namespace");

	if (json_get(one, "scope") == NULL)
		finding_required(f, rules_at(f, path, "scope"), "");
	if (str_is(scope, "Namespace") && ns.len == 0)
		finding_required(f, at, "`parameters.scope` is set to 'Namespace'");
	else if (str_is(scope, "Namespace"))
		check_complaints(f, at, ns, name_dns_label(ns));
	if (str_is(scope, "Cluster") && json_get(one, "namespace") != NULL)
		finding_forbidden(f, at, "`parameters.scope` is set to 'Cluster'");
}

const struct rule ingress_parameters_rules[] = { ONE_OF("scope", "Cluster", "Namespace"),
						 NEEDED("kind", ""),
						 NEEDED("name", ""),
						 NAME_IF("apiGroup", name_dns_subdomain),
						 NAME("kind", name_path_segment),
						 NAME("name", name_path_segment),
						 CALL(ingress_parameters),
						 RULES_END };

/* ---- storage ---- */

static void parameters(struct api_findings *f, const char *path, const struct json *map)
{
	size_t size = 0;

	JSON_EACH (map, it) {
		if (it.key.len == 0)
			finding_invalid_text(f, path, it.key, "field can not be empty.");
		size += it.key.len + json_str(it.value).len;
	}
	if (json_len(map) > 512)
		finding_too_long(f, path, 512);
	if (size > 256 * 1024)
		finding_too_long(f, path, 256 * 1024);
}

static void topology(struct api_findings *f, const char *path, const struct json *term)
{
	struct places keys = { .arena = f->arena };

	JSON_EACH (json_get(term, "matchLabelExpressions"), it) {
		const char *at = AT(f, "%s.matchLabelExpressions[%zu]", path, it.index);
		struct str key = json_get_str(it.value, "key");
		struct places values = { .arena = f->arena };

		if (json_len(json_get(it.value, "values")) == 0)
			finding_required(f, AT(f, "%s.values", at), "");
		JSON_EACH (json_get(it.value, "values"), value)
			if (places_add(&values, json_str(value.value), value.index) != value.index)
				finding_duplicate(f, AT(f, "%s.values[%zu]", at, value.index), value.value);
		check_complaints(f, AT(f, "%s.key", at), key, name_label_key(key));
		if (places_add(&keys, key, it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.key", at), json_string(f->arena, key));
	}
}

const struct rule topology_rules[] = { ELSEWHERE("key"), ELSEWHERE("values"), RULES_END };

static void storage_class(struct api_findings *f, const char *path, const struct json *tree)
{
	struct str provisioner = str_lower(f->arena, json_get_str(tree, "provisioner"));
	struct places terms = { .arena = f->arena };
	size_t n = json_len(json_get(tree, "allowedTopologies")), n_empty = 0;

	(void)path;
	if (provisioner.len != 0)
		check_complaints(f, "provisioner", provisioner, name_label_key(provisioner));
	parameters(f, "parameters", json_get(tree, "parameters"));
	JSON_EACH (json_get(tree, "allowedTopologies"), it)
		topology(f, AT(f, "allowedTopologies[%zu]", it.index), it.value);
	/* Upstream compares each with as many empty ones as there are terms, and with those before it; that of many is cut. */
	JSON_EACH (json_get(tree, "allowedTopologies"), it) {
		bool empty = json_len(json_get(it.value, "matchLabelExpressions")) == 0;
		size_t same = !empty ? 0 : n > 64 ? 1 : n + n_empty++;

		if (!empty && places_add(&terms, json_key(f->arena, it.value), it.index) != it.index)
			same = 1;
		while (same-- != 0)
			finding_duplicate(f, AT(f, "allowedTopologies[%zu].matchLabelExpressions", it.index), &json_empty_string);
	}
}

const struct rule storage_class_rules[] = { NAMED("reclaimPolicy", "Delete", "Retain"),
					    ONE_OF("volumeBindingMode", "Immediate", "WaitForFirstConsumer"), CALL(storage_class),
					    RULES_END };

static void attributes_class(struct api_findings *f, const char *path, const struct json *tree)
{
	struct str driver = str_lower(f->arena, json_get_str(tree, "driverName"));

	(void)path;
	if (driver.len != 0)
		check_complaints(f, "driverName", driver, name_label_key(driver));
	parameters(f, "parameters", json_get(tree, "parameters"));
}

const struct rule attributes_class_rules[] = { NEEDED("parameters", "must contain at least one key/value pair"),
					       CALL(attributes_class), RULES_END };

static void attachment(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *source = json_get(spec, "source"), *name = json_get(source, "persistentVolumeName");
	const char *at = rules_at(f, path, "source");
	bool inline_spec = json_get(source, "inlineVolumeSpec") != NULL;
	struct str node = json_get_str(spec, "nodeName");

	if (json_get_str(spec, "attacher").len != 0)
		check_csi_driver_name(f, rules_at(f, path, "attacher"), json_get_str(spec, "attacher"));
	check_complaints(f, rules_at(f, path, "nodeName"), node, name_dns_subdomain(node));
	if (name == NULL && !inline_spec)
		finding_required(f, at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
	else if (name != NULL && inline_spec)
		finding_forbidden(f, at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
	else if (name != NULL && json_str(name).len == 0)
		finding_required(f, rules_at(f, at, "persistentVolumeName"), "must specify non empty persistentVolumeName");
	if (name != NULL)
		check_complaints(f, rules_at(f, at, "persistentVolumeName"), json_str(name), name_dns_subdomain(json_str(name)));
}

const struct rule attachment_rules[] = { CALL_OF("nodeName", attachment), RULES_END };

static void driver_modes(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const modes[] = { "Persistent", "Ephemeral" };
	struct places audiences = { .arena = f->arena };
	const struct json *secrets = json_get(spec, "serviceAccountTokenInSecrets");

	JSON_EACH (json_get(spec, "volumeLifecycleModes"), it)
		check_if_one_of(f, rules_at(f, path, "volumeLifecycleModes"), it.value, modes, 2);
	JSON_EACH (json_get(spec, "tokenRequests"), it)
		if (places_add(&audiences, json_get_str(it.value, "audience"), it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.tokenRequests[%zu].audience", path, it.index),
					  json_string(f->arena, json_get_str(it.value, "audience")));
	if (secrets != NULL && json_len(json_get(spec, "tokenRequests")) == 0)
		finding_invalid(f, rules_at(f, path, "serviceAccountTokenInSecrets"), secrets,
				"serviceAccountTokenInSecrets is set but no tokenRequests are specified");
}

const struct rule csi_driver_rules[] = {
	ONE_OF("fsGroupPolicy", "File", "None", "ReadWriteOnceWithFSType"),
	BETWEEN("nodeAllocatableUpdatePeriodSeconds", 10, INT64_MAX, "must be greater than or equal to 10 seconds"),
	CALL(driver_modes),
	RULES_END,
};
const struct rule token_request_rules[] = {
	BETWEEN("expirationSeconds", 600, INT64_MAX, "may not specify a duration less than 10 minutes"),
	BETWEEN("expirationSeconds", INT64_MIN, INT64_C(1) << 32, "may not specify a duration larger than 2^32 seconds"),
	RULES_END,
};

static void csi_drivers(struct api_findings *f, const char *path, const struct json *spec)
{
	struct places names = { .arena = f->arena };

	JSON_EACH (json_get(spec, "drivers"), it) {
		const char *at = AT(f, "%s.drivers[%zu]", path, it.index);
		struct str name = json_get_str(it.value, "name"), node = json_get_str(it.value, "nodeID");
		struct places keys = { .arena = f->arena };

		if (name.len != 0)
			check_csi_driver_name(f, rules_at(f, at, "name"), name);
		if (node.len > 256)
			finding_invalid_text(f, rules_at(f, at, "nodeID"), node, "must be 256 characters or less");
		check_not_negative(f, rules_at(f, at, "allocatable.count"), json_path(it.value, "allocatable.count"));
		if (places_add(&names, name, it.index) != it.index)
			finding_duplicate(f, rules_at(f, at, "name"), json_string(f->arena, name));
		JSON_EACH (json_get(it.value, "topologyKeys"), k) {
			if (json_str(k.value).len == 0)
				finding_required(f, at, "");
			if (places_add(&keys, json_str(k.value), k.index) != k.index)
				finding_duplicate(f, at, k.value);
			check_complaints(f, at, json_str(k.value), name_label_key(json_str(k.value)));
		}
	}
}

const struct rule csi_node_rules[] = { CALL(csi_drivers), RULES_END };

static void storage_capacity(struct api_findings *f, const char *path, const struct json *tree)
{
	struct quantity q = quantity_of(json_get(tree, "capacity"));
	struct str class = json_get_str(tree, "storageClassName");

	(void)path;
	check_complaints(f, "storageClassName", class, name_dns_subdomain(class));
	if (json_get(tree, "capacity") != NULL && quantity_sign(&q) < 0)
		finding_invalid(f, "capacity", json_get(tree, "capacity"), "must be greater than or equal to 0");
}

const struct rule storage_capacity_rules[] = { SELECTOR("nodeTopology"), CALL_OF("storageClassName", storage_capacity), RULES_END };

/* ---- access ---- */

static void policy_rule(struct api_findings *f, const char *path, const struct json *rule, bool namespaced)
{
	const struct json *urls = json_get(rule, "nonResourceURLs");
	const char *at = rules_at(f, path, "nonResourceURLs");
	size_t groups = json_len(json_get(rule, "apiGroups")), resources = json_len(json_get(rule, "resources"));

	if (json_len(json_get(rule, "verbs")) == 0)
		finding_required(f, rules_at(f, path, "verbs"), "verbs must contain at least one value");
	if (json_len(urls) != 0) {
		if (namespaced)
			finding_invalid(f, at, urls, "namespaced rules cannot apply to non-resource URLs");
		if (groups + resources + json_len(json_get(rule, "resourceNames")) != 0)
			finding_invalid(f, at, urls, "rules cannot apply to both regular resources and non-resource URLs");
		return;
	}
	if (groups == 0)
		finding_required(f, rules_at(f, path, "apiGroups"), "resource rules must supply at least one api group");
	if (resources == 0)
		finding_required(f, rules_at(f, path, "resources"), "resource rules must supply at least one resource");
}

static void role(struct api_findings *f, const char *path, const struct json *tree)
{
	(void)path;
	JSON_EACH (json_get(tree, "rules"), it)
		policy_rule(f, AT(f, "rules[%zu]", it.index), it.value, true);
}

static void cluster_role(struct api_findings *f, const char *path, const struct json *tree)
{
	const struct json *selectors = json_path(tree, "aggregationRule.clusterRoleSelectors");

	(void)path;
	JSON_EACH (json_get(tree, "rules"), it)
		policy_rule(f, AT(f, "rules[%zu]", it.index), it.value, false);
	if (json_get(tree, "aggregationRule") != NULL && json_len(selectors) == 0)
		finding_required(f, "aggregationRule.clusterRoleSelectors",
				 "at least one clusterRoleSelector required if aggregationRule is non-nil");
	JSON_EACH (selectors, it)
		check_label_selector(f, AT(f, "aggregationRule.clusterRoleSelectors[%zu]", it.index), it.value);
}

static void subject(struct api_findings *f, const char *path, const struct json *one, bool namespaced)
{
	static const char *const kinds[] = { "ServiceAccount", "User", "Group" };
	static const char *const groups[] = { "rbac.authorization.k8s.io" }, *const none[] = { "" };
	struct str kind = json_get_str(one, "kind"), name = json_get_str(one, "name"), group = json_get_str(one, "apiGroup");

	if (name.len == 0)
		finding_required(f, rules_at(f, path, "name"), "");
	if (str_is(kind, "ServiceAccount")) {
		if (name.len != 0)
			check_complaints(f, rules_at(f, path, "name"), name, name_dns_subdomain(name));
		if (group.len != 0)
			finding_unsupported(f, rules_at(f, path, "apiGroup"), group, none, 1);
		if (!namespaced && json_get_str(one, "namespace").len == 0)
			finding_required(f, rules_at(f, path, "namespace"), "");
	} else if (str_is(kind, "User") || str_is(kind, "Group")) {
		if (!str_is(group, groups[0]))
			finding_unsupported(f, rules_at(f, path, "apiGroup"), group, groups, 1);
	} else {
		finding_unsupported(f, rules_at(f, path, "kind"), kind, kinds, N_OF(kinds));
	}
}

static void binding(struct api_findings *f, const struct json *tree, bool namespaced)
{
	static const char *const kinds[] = { "Role", "ClusterRole" }, *const groups[] = { "rbac.authorization.k8s.io" };
	const struct json *ref = json_get(tree, "roleRef");
	struct str name = json_get_str(ref, "name"), kind = json_get_str(ref, "kind");

	if (!str_is(json_get_str(ref, "apiGroup"), groups[0]))
		finding_unsupported(f, "roleRef.apiGroup", json_get_str(ref, "apiGroup"), groups, 1);
	if (!str_is(kind, "ClusterRole") && !(namespaced && str_is(kind, "Role")))
		finding_unsupported(f, "roleRef.kind", kind, namespaced ? kinds : kinds + 1, namespaced ? 2 : 1);
	if (name.len == 0)
		finding_required(f, "roleRef.name", "");
	else
		check_complaints(f, "roleRef.name", name, name_path_segment(name));
	JSON_EACH (json_get(tree, "subjects"), it)
		subject(f, AT(f, "subjects[%zu]", it.index), it.value, namespaced);
}

void validate_role(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	(str_is(type_name(type), "Role") ? role : cluster_role)(f, path, tree);
}

void validate_role_binding(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	(void)path;
	binding(f, tree, str_is(type_name(type), "RoleBinding"));
}

static void disruption_budget(struct api_findings *f, const char *path, const struct json *spec)
{
	static const struct shown_field fields[] = { { "MinAvailable", "minAvailable", "null" },
						     { "Selector", "selector", "null" },
						     { "MaxUnavailable", "maxUnavailable", "null" },
						     { "UnhealthyPodEvictionPolicy", "unhealthyPodEvictionPolicy", "null" } };
	static const char *const shares[] = { "minAvailable", "maxUnavailable" };
	int64_t share;

	if (json_get(spec, shares[0]) != NULL && json_get(spec, shares[1]) != NULL)
		finding_invalid(f, path, shown_struct(f->arena, spec, fields, N_OF(fields)),
				"minAvailable and maxUnavailable cannot be both set");
	for (int i = 0; i < 2; i++) {
		const struct json *value = json_get(spec, shares[i]);
		if (value == NULL)
			continue;
		check_int_or_percent(f, rules_at(f, path, shares[i]), value);
		if (json_is(value, JSON_STRING) && intstr_scaled(value, 100, false, &share) && share > 100)
			finding_invalid(f, rules_at(f, path, shares[i]), value, "must not be greater than 100%");
	}
}

const struct rule disruption_budget_rules[] = { SELECTOR("selector"),
						ONE_OF("unhealthyPodEvictionPolicy", "AlwaysAllow", "IfHealthyBudget"),
						CALL(disruption_budget), RULES_END };

/* ---- priority, runtime ---- */

static void priority_class(struct api_findings *f, const char *path, const struct json *tree)
{
	struct str name = json_path_str(tree, "metadata.name");

	(void)path;
	if (str_has_prefix(name, STR("system-")) && !str_is(name, "system-node-critical") &&
	    !str_is(name, "system-cluster-critical"))
		finding_forbidden(
			f, "metadata.name",
			AT(f,
			   "priority class names with 'system-' prefix are reserved for system use only. error: %.*s is not "
			   "a known system priority class",
			   STR_ARG(name)));
	else if (!str_has_prefix(name, STR("system-")) && json_int(json_get(tree, "value"), 0) > 1000000000)
		finding_forbidden(f, "value", "maximum allowed value of a user defined priority is 1000000000");
}

const struct rule priority_class_rules[] = { FILLED_TEXT("preemptionPolicy", ""),
					     NAMED("preemptionPolicy", "PreemptLowerPriority", "Never"), CALL(priority_class),
					     RULES_END };
static void class_overhead(struct api_findings *f, const char *path, const struct json *tree)
{
	(void)path;
	check_overhead(f, "overhead", json_path(tree, "overhead.podFixed"));
	check_labels(f, "scheduling.nodeSelector", json_path(tree, "scheduling.nodeSelector"));
	JSON_EACH (json_path(tree, "scheduling.tolerations"), it)
		check_toleration(f, AT(f, "scheduling.tolerations[%zu]", it.index), it.value);
}

const struct rule runtime_class_rules[] = { NAME("handler", name_dns_label), CALL(class_overhead), RULES_END };

/* ---- certificates ---- */

static void signing_request(struct api_findings *f, const char *path, const struct json *spec)
{
	AUTO_BUF struct buf text = { 0 };
	struct str signer = json_get_str(spec, "signerName");
	struct places usages = { .arena = f->arena };
	ptrdiff_t slash = str_find(signer, '/');

	if (!base64_decode(&text, json_get_str(spec, "request")) ||
	    !str_contains(buf_str(&text), STR("-----BEGIN CERTIFICATE REQUEST-----")))
		finding_invalid(f, rules_at(f, path, "request"), json_get(spec, "request"),
				"PEM block type must be CERTIFICATE REQUEST");
	JSON_EACH (json_get(spec, "usages"), it)
		if (places_add(&usages, json_str(it.value), it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.usages[%zu]", path, it.index), it.value);
	if (signer.len != 0 && (slash < 0 || str_find(str_head(signer, (size_t)slash), '.') < 0))
		finding_invalid_text(f, rules_at(f, path, "signerName"), signer,
				     "must be a fully qualified domain and path of the form 'example.com/signer-name'");
}

const struct rule signing_request_rules[] = {
	NEEDED("usages", ""),
	BETWEEN("expirationSeconds", 600, INT64_MAX, "may not specify a duration less than 600 seconds (10 minutes)"),
	CALL(signing_request),
	RULES_END,
};
