/* Services, endpoints, configuration, nodes, events and the workloads around pods. Rules: pkg/apis/<group>/validation. */
#include <string.h>

#include "api/check_pod.h"
#include "api/hooks.h"
#include "api/rules.h"
#include "api/selector.h"
#include "base/auto.h"
#include "base/codec.h"
#include "base/ip.h"

#define MAX_DATA (1024 * 1024) /* of a Secret or ConfigMap */

static const char *const protocols[] = { "SCTP", "TCP", "UDP" };
static const char *const service_types[] = { "ClusterIP", "ExternalName", "LoadBalancer", "NodePort" };

static const char *join(struct api_findings *f, const char *path, const char *name)
{
	return path[0] == 0 ? name : AT(f, "%s.%s", path, name);
}

/* ---- Namespace, ConfigMap, Secret ---- */

/* As a whole the list has one path, through /finalize each item has its own. */
void check_spec_finalizers(struct api_findings *f, const struct json *tree, bool each)
{
	JSON_EACH (json_path(tree, "spec.finalizers"), it) {
		const char *path = each ? AT(f, "spec.finalizers[%zu]", it.index) : "spec.finalizers";
		struct str name = json_str(it.value);

		check_complaints(f, path, name, name_label_key(name));
		if (str_find(name, '/') < 0 && !str_is(name, "kubernetes") && !str_is(name, "orphan") &&
		    !str_is(name, "foregroundDeletion"))
			finding_invalid_text(f, path, name, "name is neither a standard finalizer name nor is it fully qualified");
	}
}

void validate_namespace(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	(void)type;
	(void)path;
	check_spec_finalizers(f, tree, false);
}

static size_t decoded_len(const struct json *value)
{
	struct str text = json_str(value);
	size_t padding = 0;

	while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
		padding++;
	return text.len / 4 * 3 - (text.len >= 4 ? padding : 0);
}

void validate_config_map(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *binary = json_get(tree, "binaryData");
	size_t size = 0;

	(void)type;
	(void)path;
	JSON_EACH (json_get(tree, "data"), it) {
		const char *at = AT(f, "data[%.*s]", STR_ARG(it.key));
		check_complaints(f, at, it.key, name_config_key(it.key));
		if (json_find(binary, it.key) != NULL)
			finding_invalid_text(f, at, it.key, "duplicate of key present in binaryData");
		size += json_str(it.value).len;
	}
	JSON_EACH (binary, it) {
		check_complaints(f, AT(f, "binaryData[%.*s]", STR_ARG(it.key)), it.key, name_config_key(it.key));
		size += decoded_len(it.value);
	}
	if (size > MAX_DATA)
		finding_too_long(f, "[]", MAX_DATA);
}

static void must_have(struct api_findings *f, const struct json *data, const char *key)
{
	if (json_get(data, key) == NULL)
		finding_required(f, AT(f, "data[%s]", key), "");
}

static void must_be_json(struct api_findings *f, const struct json *data, const char *key)
{
	AUTO_BUF struct buf text = { 0 };
	const struct json *value = json_get(data, key), *ignored;

	must_have(f, data, key);
	if (value == NULL || !base64_decode(&text, json_str(value)))
		return;
	AUTO_ERROR err = json_read(f->arena, buf_str(&text), NULL, &ignored);
	if (err != NULL)
		finding_invalid_text(f, AT(f, "data[%s]", key), STR("<secret contents redacted>"),
				     arena_strdup(f->arena, err->text));
	else if (!json_is(ignored, JSON_OBJECT) && !json_is(ignored, JSON_NULL))
		finding_invalid_text(f, AT(f, "data[%s]", key), STR("<secret contents redacted>"),
				     AT(f, "json: cannot unmarshal %s into Go value of type map[string]interface {}",
					json_type_name(ignored)));
}

static void check_secret_type(struct api_findings *f, const struct json *tree)
{
	struct str kind = json_get_str(tree, "type");
	const struct json *data = json_get(tree, "data");

	if (str_is(kind, "kubernetes.io/service-account-token")) {
		if (json_get_str(json_path(tree, "metadata.annotations"), "kubernetes.io/service-account.name").len == 0)
			finding_required(f, "metadata.annotations[kubernetes.io/service-account.name]", "");
	} else if (str_is(kind, "kubernetes.io/dockercfg")) {
		must_be_json(f, data, ".dockercfg");
	} else if (str_is(kind, "kubernetes.io/dockerconfigjson")) {
		must_be_json(f, data, ".dockerconfigjson");
	} else if (str_is(kind, "kubernetes.io/basic-auth")) {
		if (json_get(data, "username") == NULL && json_get(data, "password") == NULL) {
			must_have(f, data, "username");
			must_have(f, data, "password");
		}
	} else if (str_is(kind, "kubernetes.io/ssh-auth")) {
		if (json_get_str(data, "ssh-privatekey").len == 0)
			finding_required(f, "data[ssh-privatekey]", "");
	} else if (str_is(kind, "kubernetes.io/tls")) {
		must_have(f, data, "tls.crt");
		must_have(f, data, "tls.key");
	}
}

void validate_secret(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	size_t size = 0;

	(void)type;
	(void)path;
	JSON_EACH (json_get(tree, "data"), it) {
		check_complaints(f, AT(f, "data[%.*s]", STR_ARG(it.key)), it.key, name_config_key(it.key));
		size += decoded_len(it.value);
	}
	if (size > MAX_DATA)
		finding_too_long(f, "data", MAX_DATA);
	check_secret_type(f, tree);
}

static void check_frozen(struct api_findings *f, const struct json *tree, const struct json *old, const char *field)
{
	if (!json_equal(json_get(tree, field), json_get(old, field)))
		finding_forbidden(f, field, "field is immutable when `immutable` is set");
}

void update_config_map(struct api_findings *f, const struct json *tree, const struct json *old)
{
	if (!json_bool(json_get(old, "immutable")))
		return;
	if (!json_bool(json_get(tree, "immutable")))
		finding_forbidden(f, "immutable", "field is immutable when `immutable` is set");
	check_frozen(f, tree, old, "data");
	check_frozen(f, tree, old, "binaryData");
}

void update_secret(struct api_findings *f, const struct json *tree, const struct json *old)
{
	check_immutable(f, "type", json_get(tree, "type"), json_get(old, "type"));
	update_config_map(f, tree, old);
}

/* ---- Service ---- */

static bool headless(const struct json *spec)
{
	return str_is(json_str(json_at(json_get(spec, "clusterIPs"), 0)), "None");
}

static bool reachable_from_outside(const struct json *spec)
{
	struct str kind = json_get_str(spec, "type");

	return str_is(kind, "LoadBalancer") || str_is(kind, "NodePort") ||
	       (str_is(kind, "ClusterIP") && json_len(json_get(spec, "externalIPs")) != 0);
}

static void check_service_port(struct api_findings *f, const char *path, const struct json *port, bool named)
{
	struct str name = json_get_str(port, "name");
	const struct json *protocol = json_get(port, "appProtocol");

	if (name.len != 0)
		check_complaints(f, AT(f, "%s.name", path), name, name_dns_label(name));
	else if (named)
		finding_required(f, AT(f, "%s.name", path), "");
	check_number(f, AT(f, "%s.port", path), json_get(port, "port"), name_port_number(json_int(json_get(port, "port"), 0)));
	check_one_of(f, AT(f, "%s.protocol", path), json_get_str(port, "protocol"), true, protocols, N_OF(protocols));
	check_port_number_or_name(f, AT(f, "%s.targetPort", path), json_get(port, "targetPort"));
	if (protocol != NULL)
		check_complaints(f, AT(f, "%s.appProtocol", path), json_str(protocol), name_label_key(json_str(protocol)));
}

struct ports_seen {
	struct places names, node_ports, ports;
};

static bool port_taken(struct api_findings *f, struct places *seen, struct str protocol, const struct json *port, size_t i)
{
	return places_add(seen, str_format(f->arena, "%.*s/%lld", STR_ARG(protocol), (long long)json_int(port, 0)), i) != i;
}

/* Names, (protocol, port) and (protocol, node port) must each be unique. */
static void check_service_port_new(struct api_findings *f, const char *path, const struct json *port, size_t i,
				   struct ports_seen *seen)
{
	const struct json *node_port = json_get(port, "nodePort");
	struct str name = json_get_str(port, "name"), protocol = json_get_str(port, "protocol");

	if (name.len != 0 && places_add(&seen->names, name, i) != i)
		finding_duplicate(f, AT(f, "%s.name", path), json_get(port, "name"));
	if (node_port != NULL && port_taken(f, &seen->node_ports, protocol, node_port, i))
		finding_duplicate(f, AT(f, "%s.nodePort", path), node_port);
	if (port_taken(f, &seen->ports, protocol, json_get(port, "port"), i))
		finding_duplicate(f, path,
				  JSON_OBJECT_OF(f->arena, { "Name", &json_empty_string },
						 { "Protocol", json_string(f->arena, protocol) }, { "AppProtocol", &json_null },
						 { "Port", json_get(port, "port") }, { "TargetPort", json_number(f->arena, 0) },
						 { "NodePort", json_number(f->arena, 0) }));
}

static void check_service_ports(struct api_findings *f, const struct json *spec)
{
	const struct json *ports = json_get(spec, "ports");
	bool plain = str_is(json_get_str(spec, "type"), "ClusterIP");
	struct places none = { .arena = f->arena };
	struct ports_seen seen = { none, none, none };

	if (json_len(ports) == 0 && !headless(spec) && !str_is(json_get_str(spec, "type"), "ExternalName"))
		finding_required(f, "spec.ports", "");
	JSON_EACH (ports, it) {
		const char *path = AT(f, "spec.ports[%zu]", it.index);
		check_service_port(f, path, it.value, json_len(ports) > 1);
		if (plain && json_get(it.value, "nodePort") != NULL)
			finding_forbidden(f, AT(f, "%s.nodePort", path), "may not be used when `type` is 'ClusterIP'");
		check_service_port_new(f, path, it.value, it.index, &seen);
	}
}

static void check_service_affinity(struct api_findings *f, const struct json *spec)
{
	static const char *const affinities[] = { "ClientIP", "None" };
	const struct json *timeout = json_path(spec, "sessionAffinityConfig.clientIP.timeoutSeconds");
	int64_t seconds = json_int(timeout, 1);

	check_one_of(f, "spec.sessionAffinity", json_get_str(spec, "sessionAffinity"), true, affinities, 2);
	if (str_is(json_get_str(spec, "sessionAffinity"), "ClientIP") && (seconds <= 0 || seconds > 86400))
		finding_invalid(f, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", timeout,
				"must be greater than 0 and less than 86400");
	if (str_is(json_get_str(spec, "sessionAffinity"), "None") && json_get(spec, "sessionAffinityConfig") != NULL)
		finding_forbidden(f, "spec.sessionAffinityConfig", "must not be set when session affinity is None");
}

/* True when one of them is no address: nothing more can be said of them. */
static bool check_each_ip(struct api_findings *f, const struct json *ips)
{
	size_t before = f->found;

	JSON_EACH (ips, it) {
		if (it.index != 0 || !str_is(json_str(it.value), "None"))
			check_ip(f, AT(f, "spec.clusterIPs[%zu]", it.index), json_str(it.value));
		else if (json_len(ips) > 1)
			finding_invalid(f, "spec.clusterIPs", ips, "'None' must be the first and only value");
	}
	return f->found != before;
}

static int address_family(const struct json *text)
{
	struct ip ip;

	return ip_parse(json_str(text), &ip) ? ip.family : 0;
}

static void check_families(struct api_findings *f, const struct json *ips, const struct json *said)
{
	if (json_len(ips) > 1 && (json_len(ips) > 2 || address_family(json_at(ips, 0)) == address_family(json_at(ips, 1))))
		finding_invalid(f, "spec.clusterIPs", ips, "may specify no more than one IP for each IP family");
	JSON_EACH (ips, it) {
		struct str family = json_str(json_at(said, it.index));
		int other = str_is(family, "IPv4") ? 6 : str_is(family, "IPv6") ? 4 : 0;

		if (other != 0 && address_family(it.value) == other)
			finding_invalid(f, AT(f, "spec.clusterIPs[%zu]", it.index), it.value,
					AT(f, "expected an %.*s value as indicated by `ipFamilies[%zu]`", STR_ARG(family),
					   it.index));
	}
}

void check_cluster_ips(struct api_findings *f, const struct json *spec)
{
	static const char *const families[] = { "IPv4", "IPv6" };
	static const char *const policies[] = { "PreferDualStack", "RequireDualStack", "SingleStack" };
	const struct json *ips = json_get(spec, "clusterIPs"), *said = json_get(spec, "ipFamilies");
	struct places seen = { .arena = f->arena };
	struct str first = json_get_str(spec, "clusterIP");

	if (str_is(json_get_str(spec, "type"), "ExternalName"))
		return;
	if (first.len != 0 && json_len(ips) == 0)
		finding_required(f, "spec.clusterIPs", "");
	else if (first.len != 0 && !str_eq(json_str(json_at(ips, 0)), first))
		finding_invalid(f, "spec.clusterIPs", ips, "first value must match `clusterIP`");
	else if (first.len == 0 && json_len(ips) != 0)
		finding_invalid(f, "spec.clusterIPs", ips, "must be empty when `clusterIP` is not specified");
	JSON_EACH (said, it) {
		const char *path = AT(f, "spec.ipFamilies[%zu]", it.index);
		check_if_one_of(f, path, it.value, families, 2);
		if (places_add(&seen, json_str(it.value), it.index) != it.index)
			finding_duplicate(f, path, it.value);
	}
	check_if_one_of(f, "spec.ipFamilyPolicy", json_get(spec, "ipFamilyPolicy"), policies, 3);
	bool wrong = check_each_ip(f, ips);
	if (json_len(ips) > 2)
		finding_invalid(f, "spec.clusterIPs", ips, "may only hold up to 2 values");
	if (!wrong && !headless(spec))
		check_families(f, ips, said);
}

static bool known_type(struct str kind)
{
	for (size_t i = 0; i < N_OF(service_types); i++)
		if (str_is(kind, service_types[i]))
			return true;
	return false;
}

static void check_traffic(struct api_findings *f, const struct json *spec)
{
	static const char *const policies[] = { "Cluster", "Local" };
	static const char *const distributions[] = { "PreferClose", "PreferSameZone", "PreferSameNode" };
	struct str outside = json_get_str(spec, "externalTrafficPolicy"), kind = json_get_str(spec, "type");
	const struct json *health = json_get(spec, "healthCheckNodePort");
	bool checked = str_is(kind, "LoadBalancer") && str_is(outside, "Local");

	if (reachable_from_outside(spec))
		check_one_of(f, "spec.externalTrafficPolicy", outside, true, policies, 2);
	else if (outside.len != 0)
		finding_invalid_text(f, "spec.externalTrafficPolicy", outside,
				     "may only be set for externally-accessible services");
	if (str_is(kind, "LoadBalancer") && json_get(spec, "allocateLoadBalancerNodePorts") == NULL)
		finding_required(f, "allocateLoadBalancerNodePorts", "");
	if (!checked && health != NULL)
		finding_invalid(f, "spec.healthCheckNodePort", health,
				"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
	else if (health != NULL)
		check_number(f, "spec.healthCheckNodePort", health, name_port_number(json_int(health, 0)));
	if (json_get(spec, "internalTrafficPolicy") == NULL && !str_is(kind, "ExternalName") && known_type(kind))
		finding_required(f, "spec.internalTrafficPolicy", "");
	check_if_one_of(f, "spec.internalTrafficPolicy", json_get(spec, "internalTrafficPolicy"), policies, 2);
	check_if_one_of(f, "spec.trafficDistribution", json_get(spec, "trafficDistribution"), distributions, 3);
}

static void check_balancer_class(struct api_findings *f, const struct json *spec)
{
	const struct json *class = json_get(spec, "loadBalancerClass");

	if (class != NULL && !str_is(json_get_str(spec, "type"), "LoadBalancer"))
		finding_forbidden(f, "spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'");
	else if (class != NULL)
		check_complaints(f, "spec.loadBalancerClass", json_str(class), name_label_key(json_str(class)));
}

static void check_balancer(struct api_findings *f, const struct json *spec)
{
	static const char only[] = "may only be used when `type` is 'LoadBalancer'";
	const struct json *ranges = json_get(spec, "loadBalancerSourceRanges");
	bool balancer = str_is(json_get_str(spec, "type"), "LoadBalancer");

	if (json_len(ranges) != 0 && !balancer)
		finding_forbidden(f, "spec.LoadBalancerSourceRanges", only);
	JSON_EACH (ranges, it)
		check_cidr(f, AT(f, "spec.LoadBalancerSourceRanges[%zu]", it.index), str_trim(json_str(it.value)));
	if (!balancer && json_get(spec, "allocateLoadBalancerNodePorts") != NULL)
		finding_forbidden(f, "spec.allocateLoadBalancerNodePorts", only);
	check_balancer_class(f, spec);
}

static void check_external_name(struct api_findings *f, const struct json *spec)
{
	static const char never[] = "may not be set for ExternalName services";
	static const char *const fields[] = { "clusterIPs", "ipFamilies", "ipFamilyPolicy" };
	struct str name = json_get_str(spec, "externalName");

	for (size_t i = 0; i < N_OF(fields); i++)
		if (json_get(spec, fields[i]) != NULL)
			finding_forbidden(f, AT(f, "spec.%s", fields[i]), never);
	if (str_has_suffix(name, STR(".")))
		name.len--;
	if (name.len == 0)
		finding_required(f, "spec.externalName", "");
	else
		check_complaints(f, "spec.externalName", name, name_dns_subdomain(name));
}

void validate_service(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *spec = json_get(tree, "spec");
	struct str kind = json_get_str(spec, "type");

	(void)type;
	(void)path;
	check_service_ports(f, spec);
	check_one_of(f, "spec.type", kind, true, service_types, N_OF(service_types));
	if ((str_is(kind, "NodePort") || str_is(kind, "LoadBalancer")) && headless(spec))
		finding_invalid_text(f, "spec.clusterIPs[0]", STR("None"),
				     AT(f, "may not be set to 'None' for %.*s services", STR_ARG(kind)));
	if (str_is(kind, "ExternalName"))
		check_external_name(f, spec);
	check_cluster_ips(f, spec);
	check_labels(f, "spec.selector", json_get(spec, "selector"));
	check_service_affinity(f, spec);
	JSON_EACH (json_get(spec, "externalIPs"), it) {
		check_ip(f, AT(f, "spec.externalIPs[%zu]", it.index), json_str(it.value));
		check_reachable_ip(f, AT(f, "spec.externalIPs[%zu]", it.index), json_str(it.value));
	}
	check_balancer(f, spec);
	check_traffic(f, spec);
}

void update_service(struct api_findings *f, const struct json *tree, const struct json *old)
{
	const struct json *spec = json_get(tree, "spec"), *was = json_get(old, "spec");
	const struct json *ips = json_get(spec, "clusterIPs"), *before = json_get(was, "clusterIPs");
	const struct json *class = json_get(spec, "loadBalancerClass");

	if (str_is(json_get_str(spec, "type"), "LoadBalancer") && str_is(json_get_str(was, "type"), "LoadBalancer") &&
	    !json_equal(class, json_get(was, "loadBalancerClass")))
		finding_invalid(f, "spec.loadBalancerClass", class == NULL ? &json_null : class, "may not change once set");
	check_balancer_class(f, spec); /* the change by itself, and the whole later */
	if (str_is(json_get_str(spec, "type"), "ExternalName") || str_is(json_get_str(was, "type"), "ExternalName"))
		return;
	if (headless(spec) && headless(was))
		return;
	if (json_len(before) != 0 && json_len(ips) == 0)
		finding_invalid(f, "spec.clusterIPs[0]", ips == NULL ? &json_null : ips, "primary clusterIP can not be unset");
	JSON_EACH (before, it)
		if (it.index < json_len(ips) && (it.index == 0 || json_len(ips) == json_len(before)) &&
		    !json_equal(it.value, json_at(ips, it.index)))
			finding_invalid(f, AT(f, "spec.clusterIPs[%zu]", it.index), ips, "may not change once set");
}

/* ---- Endpoints, EndpointSlice ---- */

static const struct rule node_name[] = { NAME_IF("nodeName", name_dns_subdomain), RULES_END };
static const struct rule app_protocol[] = { NAME_IF("appProtocol", name_label_key), RULES_END };

static void check_endpoint_address(struct api_findings *f, const char *path, const struct json *address)
{
	struct str ip = json_get_str(address, "ip"), name = json_get_str(address, "hostname");
	struct ip parsed;

	check_ip(f, AT(f, "%s.ip", path), ip);
	if (name.len != 0)
		check_complaints(f, AT(f, "%s.hostname", path), name, name_dns_label(name));
	rules_find(f, node_name, address, path);
	if (!ip_parse(ip, &parsed))
		finding_invalid_text(f, AT(f, "%s.ip", path), ip, "must be a valid IP address");
	check_reachable_ip(f, AT(f, "%s.ip", path), ip);
}

static void check_endpoint_port(struct api_findings *f, const char *path, const struct json *port, bool named)
{
	struct str name = json_get_str(port, "name");

	if (name.len != 0)
		check_complaints(f, AT(f, "%s.name", path), name, name_dns_label(name));
	else if (named)
		finding_required(f, AT(f, "%s.name", path), "");
	check_number(f, AT(f, "%s.port", path), json_get(port, "port"), name_port_number(json_int(json_get(port, "port"), 0)));
	check_one_of(f, AT(f, "%s.protocol", path), json_get_str(port, "protocol"), true, protocols, N_OF(protocols));
	rules_find(f, app_protocol, port, path);
}

void validate_endpoints(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const char *const lists[] = { "addresses", "notReadyAddresses" };

	(void)type;
	(void)path;
	JSON_EACH (json_get(tree, "subsets"), it) {
		const char *at = AT(f, "subsets[%zu]", it.index);
		const struct json *ports = json_get(it.value, "ports");
		if (json_len(json_get(it.value, lists[0])) + json_len(json_get(it.value, lists[1])) == 0)
			finding_required(f, at, "must specify `addresses` or `notReadyAddresses`");
		for (int i = 0; i < 2; i++)
			JSON_EACH (json_get(it.value, lists[i]), a)
				check_endpoint_address(f, AT(f, "%s.%s[%zu]", at, lists[i], a.index), a.value);
		JSON_EACH (ports, p)
			check_endpoint_port(f, AT(f, "%s.ports[%zu]", at, p.index), p.value, json_len(ports) > 1);
	}
}

static void check_slice_address(struct api_findings *f, const char *path, size_t i, const struct json *address, struct str kind)
{
	const char *at = AT(f, "%s[%zu]", path, i);
	struct ip ip;

	if (!str_is(kind, "IPv4") && !str_is(kind, "IPv6")) {
		if (str_is(kind, "FQDN"))
			check_complaints(f, at, json_str(address), name_dns_subdomain(json_str(address)));
		return;
	}
	check_ip(f, at, json_str(address));
	if (!ip_parse(json_str(address), &ip))
		return;
	if ((ip.family == 4) != str_is(kind, "IPv4"))
		finding_invalid(f, path, address, AT(f, "must be an %.*s address", STR_ARG(kind)));
	check_reachable_ip(f, at, json_str(address));
}

static void check_hints(struct api_findings *f, const char *path, const struct json *list, struct complaints (*sort)(struct str))
{
	struct places names = { .arena = f->arena };

	if (json_len(list) > 8) {
		finding_too_many(f, path, json_len(list), 8);
		return;
	}
	JSON_EACH (list, it) {
		struct str name = json_get_str(it.value, "name");
		const char *at = AT(f, "%s[%zu].name", path, it.index);

		if (places_add(&names, name, it.index) != it.index)
			finding_duplicate(f, at, json_string(f->arena, name));
		check_complaints(f, at, name, sort(name));
	}
}

void validate_endpoint_slice(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const char *const kinds[] = { "FQDN", "IPv4", "IPv6" };
	struct str kind = json_get_str(tree, "addressType");
	const struct json *ports = json_get(tree, "ports"), *endpoints = json_get(tree, "endpoints");
	struct places names = { .arena = f->arena };

	(void)type;
	(void)path;
	check_one_of(f, "addressType", kind, true, kinds, N_OF(kinds));
	if (json_len(ports) > 20000)
		finding_too_many(f, "ports", json_len(ports), 20000);
	JSON_EACH (ports, it) {
		const char *at = AT(f, "ports[%zu]", it.index);
		struct str name = json_get_str(it.value, "name");
		if (name.len != 0)
			check_complaints(f, AT(f, "%s.name", at), name, name_dns_label(name));
		if (places_add(&names, name, it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.name", at), json_string(f->arena, name));
		if (json_get(it.value, "protocol") == NULL)
			finding_required(f, AT(f, "%s.protocol", at), "");
		check_if_one_of(f, AT(f, "%s.protocol", at), json_get(it.value, "protocol"), protocols, N_OF(protocols));
		rules_find(f, app_protocol, it.value, at);
	}
	if (json_len(endpoints) > 1000)
		finding_too_many(f, "endpoints", json_len(endpoints), 1000);
	JSON_EACH (endpoints, it) {
		const struct json *addresses = json_get(it.value, "addresses"), *name = json_get(it.value, "hostname");
		const char *at = AT(f, "endpoints[%zu].addresses", it.index);
		if (json_len(addresses) == 0)
			finding_required(f, at, "must contain at least 1 address");
		else if (json_len(addresses) > 100)
			finding_too_many(f, at, json_len(addresses), 100);
		JSON_EACH (addresses, a)
			check_slice_address(f, at, a.index, a.value, kind);
		rules_find(f, node_name, it.value, AT(f, "endpoints[%zu]", it.index));
		if (name != NULL)
			check_complaints(f, AT(f, "endpoints[%zu].hostname", it.index), json_str(name),
					 name_dns_label(json_str(name)));
		check_labels(f, AT(f, "endpoints[%zu].deprecatedTopology", it.index), json_get(it.value, "deprecatedTopology"));
		check_hints(f, AT(f, "endpoints[%zu].hints.forZones", it.index), json_path(it.value, "hints.forZones"),
			    name_label_value);
		check_hints(f, AT(f, "endpoints[%zu].hints.forNodes", it.index), json_path(it.value, "hints.forNodes"),
			    name_dns_subdomain);
	}
}

void update_endpoint_slice(struct api_findings *f, const struct json *tree, const struct json *old)
{
	/* Endpoints that were there before may stay as they are. */
	if (json_equal(json_get(tree, "endpoints"), json_get(old, "endpoints")))
		findings_drop(f, "endpoints");
	check_immutable(f, "addressType", json_get(tree, "addressType"), json_get(old, "addressType"));
}

/* ---- Node, Lease, addresses ---- */

void update_node(struct api_findings *f, const struct json *tree, const struct json *old)
{
	const struct json *ranges = json_path(old, "spec.podCIDRs"), *new = json_path(tree, "spec.podCIDRs");
	struct str provider = json_path_str(old, "spec.providerID");
	static const char text[] = "node updates may not change podCIDR except from \"\" to valid";

	if (json_len(ranges) != 0 && json_len(ranges) != json_len(new))
		finding_forbidden(f, "spec.podCIDRs", text);
	else
		JSON_EACH (ranges, it)
			if (!json_equal(it.value, json_at(new, it.index)))
				finding_forbidden(f, "spec.podCIDRs", text);
	if (provider.len != 0 && !str_eq(provider, json_path_str(tree, "spec.providerID")))
		finding_forbidden(f, "spec.providerID", "node updates may not change providerID except from \"\" to valid");
	if (!str_eq(json_path_str(tree, "spec.externalID"), json_path_str(old, "spec.externalID")))
		finding_forbidden(f, "spec.externalID", "may not be updated");
	check_node_update(f, tree);
}

static void check_part(struct api_findings *f, const char *path, struct str value, bool required)
{
	if (value.len != 0)
		check_complaints(f, path, value, name_path_segment(value));
	else if (required)
		finding_required(f, path, "");
}

void validate_ip_address(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *parent = json_path(tree, "spec.parentRef");
	struct str group = json_get_str(parent, "group"), name = json_path_str(tree, "metadata.name");
	char canonical[IP_TEXT];
	struct ip ip;

	(void)type;
	(void)path;
	if (ip_parse(name, &ip) && !str_eq(ip_format(canonical, ip), name))
		finding_invalid_text(f, "metadata.name", name, AT(f, "must be in canonical form (\"%s\")", canonical));
	if (parent == NULL) {
		finding_required(f, "spec.parentRef", "");
		return;
	}
	if (group.len != 0)
		check_complaints(f, "spec.parentRef.group", group, name_dns_subdomain(group));
	check_part(f, "spec.parentRef.resource", json_get_str(parent, "resource"), true);
	check_part(f, "spec.parentRef.name", json_get_str(parent, "name"), true);
	check_part(f, "spec.parentRef.namespace", json_get_str(parent, "namespace"), false);
}

static int family_of(const struct json *text)
{
	struct cidr cidr;

	return cidr_parse(json_str(text), &cidr) ? cidr.ip.family : 0;
}

void validate_service_cidr(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *ranges = json_path(tree, "spec.cidrs");

	(void)type;
	(void)path;
	if (json_len(ranges) == 0) {
		finding_required(f, "spec.cidrs", "at least one CIDR required");
		return;
	}
	if (json_len(ranges) > 2) {
		finding_invalid(f, "spec.cidrs", JSON_OBJECT_OF(f->arena, { "CIDRs", ranges }), "may only hold up to 2 values");
		return;
	}
	JSON_EACH (ranges, it)
		check_canonical_cidr(f, AT(f, "spec.cidrs[%zu]", it.index), json_str(it.value));
	if (json_len(ranges) == 2 && family_of(json_at(ranges, 0)) != 0 &&
	    family_of(json_at(ranges, 0)) == family_of(json_at(ranges, 1)))
		finding_invalid(f, "spec.cidrs", ranges,
				"may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
}

void update_ip_address(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const struct shown_field parent[] = { { "Group", "group", "\"\"" },
						     { "Resource", "resource", "\"\"" },
						     { "Namespace", "namespace", "\"\"" },
						     { "Name", "name", "\"\"" } };
	const struct json *new = json_path(tree, "spec.parentRef");

	if (!json_equal(new, json_path(old, "spec.parentRef")))
		finding_invalid(f, "spec.parentRef", new == NULL ? &json_null : shown_struct(f->arena, new, parent, N_OF(parent)),
				"field is immutable");
}

void update_service_cidr(struct api_findings *f, const struct json *tree, const struct json *old)
{
	const struct json *ranges = json_path(old, "spec.cidrs"), *new = json_path(tree, "spec.cidrs");

	if (json_len(ranges) != json_len(new) && !(json_len(ranges) == 1 && json_len(new) == 2)) {
		finding_invalid(f, "spec.cidrs", new == NULL ? &json_null : new, "field is immutable");
		return;
	}
	JSON_EACH (ranges, it) {
		const struct json *one = json_at(new, it.index);

		if (json_equal(it.value, one))
			continue;
		finding_invalid(f, AT(f, "spec.cidrs[%zu]", it.index), one, "field is immutable");
	}
	if (json_len(ranges) != json_len(new))
		validate_service_cidr(f, NULL, tree, "");
}

static void check_taints(struct api_findings *f, const struct json *taints)
{
	static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute" };
	static const struct shown_field taint[] = { { "Key", "key", "\"\"" },
						    { "Value", "value", "\"\"" },
						    { "Effect", "effect", "\"\"" },
						    { "TimeAdded", "timeAdded", "null" } };
	struct places seen = { .arena = f->arena };

	JSON_EACH (taints, it) {
		const char *at = AT(f, "metadata.taints[%zu]", it.index);
		struct str key = json_get_str(it.value, "key"), value = json_get_str(it.value, "value");
		check_complaints(f, AT(f, "%s.key", at), key, name_label_key(key));
		check_complaints(f, AT(f, "%s.value", at), value, name_label_value(value));
		struct str effect = json_get_str(it.value, "effect");
		check_one_of(f, AT(f, "%s.effect", at), effect, true, effects, N_OF(effects));
		struct str both = str_format(f->arena, "%.*s:%.*s", STR_ARG(effect), STR_ARG(key));
		if (places_add(&seen, both, it.index) != it.index)
			finding_duplicate_of(f, at, shown_struct(f->arena, it.value, taint, N_OF(taint)),
					     "taints must be unique by key and effect pair");
	}
}

static void check_node_sizes(struct api_findings *f, const struct json *tree)
{
	static const char *const lists[] = { "capacity", "allocatable" };

	for (int i = 0; i < 2; i++)
		JSON_EACH (json_path(tree, AT(f, "status.%s", lists[i])), it)
			check_quantity(f, AT(f, "status.%s.%.*s", lists[i], STR_ARG(it.key)), it.key, it.value);
}

/* Words in camel case, parted by slashes; only the first need begin with a capital letter. */
static bool is_feature(struct str text)
{
	bool begins = true;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		bool upper = c >= 'A' && c <= 'Z', letter = upper || (c >= 'a' && c <= 'z');

		if (i == 0 ? !upper : begins ? !letter : !letter && c != '/' && !(c >= '0' && c <= '9'))
			return false;
		begins = c == '/';
	}
	return text.len != 0 && !begins;
}

static void check_declared_features(struct api_findings *f, const struct json *list)
{
	JSON_EACH (list, it) {
		const char *path = AT(f, "status.declaredFeatures[%zu]", it.index);
		struct str text = json_str(it.value), before = json_str(json_at(list, it.index - 1));
		int order = it.index == 0 ? -1 : str_cmp(before, text);

		if (order == 0)
			finding_duplicate(f, path, it.value);
		else if (order > 0)
			finding_invalid(f, path, it.value, "list must be sorted alphabetically");
		if (!is_feature(text))
			finding_invalid(
				f, path, it.value,
				AT(f,
				   "invalid feature name %s: must start with an UpperCamelCase segment, with subsequent segments "
				   "separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric "
				   "characters and slashes",
				   api_quoted(f->arena, text)));
	}
}

void validate_node(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *ranges = json_path(tree, "spec.podCIDRs");

	(void)type;
	(void)path;
	check_taints(f, json_path(tree, "spec.taints"));
	check_node_sizes(f, tree);
	check_declared_features(f, json_path(tree, "status.declaredFeatures"));
	JSON_EACH (ranges, it)
		check_cidr(f, AT(f, "spec.podCIDRs[%zu]", it.index), json_str(it.value));
	if (json_len(ranges) > 2 || (json_len(ranges) == 2 && family_of(json_at(ranges, 0)) == family_of(json_at(ranges, 1))))
		finding_invalid(f, "spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family");
}

/* What any write of a node that is there looks at. */
void check_node_update(struct api_findings *f, const struct json *tree)
{
	static const struct shown_field address[] = { { "Type", "type", "\"\"" }, { "Address", "address", "\"\"" } };
	struct places seen = { .arena = f->arena };

	check_node_sizes(f, tree);
	JSON_EACH (json_path(tree, "status.addresses"), it)
		if (places_add(&seen, json_key(f->arena, it.value), it.index) != it.index)
			finding_duplicate(f, AT(f, "status.addresses[%zu]", it.index),
					  shown_struct(f->arena, it.value, address, N_OF(address)));
	check_declared_features(f, json_path(tree, "status.declaredFeatures"));
	check_taints(f, json_path(tree, "spec.taints"));
}

void validate_lease_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *seconds = json_get(tree, "leaseDurationSeconds");

	(void)type;
	if (json_int(seconds, 1) <= 0)
		finding_invalid(f, AT(f, "%s.leaseDurationSeconds", path), seconds, "must be greater than 0");
	check_not_negative(f, AT(f, "%s.leaseTransitions", path), json_get(tree, "leaseTransitions"));
}

/* ---- Deployment, ReplicaSet and what else has a template and a selector ---- */

static void check_template_of_set(struct api_findings *f, const char *path, const struct json *template,
				  const struct selector *selector)
{
	static const char *const always[] = { "Always" };
	const struct json *labels = json_path(template, "metadata.labels");
	struct str restart = json_path_str(template, "spec.restartPolicy");

	if (!selector_everything(selector) && !selector_matches(selector, labels))
		finding_invalid(f, AT(f, "%s.metadata.labels", path), labels == NULL ? &json_null : labels,
				"`selector` does not match template `labels`");
	check_pod_template(f, path, template);
	if (!str_is(restart, "Always"))
		finding_unsupported(f, AT(f, "%s.spec.restartPolicy", path), restart, always, 1);
	if (json_path(template, "spec.activeDeadlineSeconds") != NULL)
		finding_forbidden(f, AT(f, "%s.spec.activeDeadlineSeconds", path),
				  "activeDeadlineSeconds in ReplicaSet is not Supported");
}

static void check_selector_and_template(struct api_findings *f, const struct json *spec, const char *path, const char *empty)
{
	const struct json *said = json_get(spec, "selector");
	struct selector selector;

	if (json_absent(said)) {
		finding_required(f, AT(f, "%s.selector", path), "");
	} else {
		check_label_selector(f, AT(f, "%s.selector", path), said);
		if (json_len(json_get(said, "matchLabels")) + json_len(json_get(said, "matchExpressions")) == 0)
			finding_invalid(f, AT(f, "%s.selector", path), said, empty);
	}
	AUTO_ERROR err = selector_from_object(f->arena, said, &selector);
	if (err != NULL)
		finding_invalid(f, AT(f, "%s.selector", path), said, "invalid label selector");
	else
		check_template_of_set(f, AT(f, "%s.template", path), json_get(spec, "template"), &selector);
}

static bool is_zero(const struct json *value)
{
	int64_t n;

	return intstr_scaled(value, 100, false, &n) && n == 0;
}

static void check_strategy(struct api_findings *f, const struct json *strategy, const char *path)
{
	static const char *const kinds[] = { "Recreate", "RollingUpdate" };
	static const struct shown_field fields[] = { { "Type", "type", "\"\"" }, { "RollingUpdate", "rollingUpdate", "null" } };
	static const struct shown_field parts[] = { { "MaxUnavailable", "maxUnavailable", "0" }, { "MaxSurge", "maxSurge", "0" } };
	struct str kind = json_get_str(strategy, "type");
	const struct json *rolling = json_get(strategy, "rollingUpdate"), *down = json_get(rolling, "maxUnavailable");
	int64_t percent;

	if (str_is(kind, "Recreate")) {
		if (rolling != NULL)
			finding_forbidden(f, AT(f, "%s.rollingUpdate", path),
					  "may not be specified when strategy `type` is 'Recreate'");
	} else if (str_is(kind, "RollingUpdate")) {
		check_int_or_percent(f, AT(f, "%s.rollingUpdate.maxUnavailable", path), down);
		check_int_or_percent(f, AT(f, "%s.rollingUpdate.maxSurge", path), json_get(rolling, "maxSurge"));
		if (is_zero(down) && is_zero(json_get(rolling, "maxSurge")))
			finding_invalid(f, AT(f, "%s.rollingUpdate.maxUnavailable", path), down,
					"may not be 0 when `maxSurge` is 0");
		if (json_is(down, JSON_STRING) && intstr_scaled(down, 100, false, &percent) && percent > 100)
			finding_invalid(f, AT(f, "%s.rollingUpdate.maxUnavailable", path), down, "must not be greater than 100%");
	} else {
		if (rolling != NULL)
			strategy =
				json_with(f->arena, strategy, "rollingUpdate", shown_struct(f->arena, rolling, parts, N_OF(parts)));
		finding_unsupported_value(f, path, shown_struct(f->arena, strategy, fields, N_OF(fields)), kinds, N_OF(kinds));
	}
}

void validate_deployment_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *deadline = json_get(tree, "progressDeadlineSeconds");

	(void)type;
	check_not_negative(f, AT(f, "%s.replicas", path), json_get(tree, "replicas"));
	check_selector_and_template(f, tree, path, "empty selector is invalid for deployment");
	check_strategy(f, json_get(tree, "strategy"), AT(f, "%s.strategy", path));
	check_not_negative(f, AT(f, "%s.minReadySeconds", path), json_get(tree, "minReadySeconds"));
	check_not_negative(f, AT(f, "%s.revisionHistoryLimit", path), json_get(tree, "revisionHistoryLimit"));
	check_not_negative(f, AT(f, "%s.progressDeadlineSeconds", path), deadline);
	if (deadline != NULL && json_int(deadline, 0) <= json_int(json_get(tree, "minReadySeconds"), 0))
		finding_invalid(f, AT(f, "%s.progressDeadlineSeconds", path), deadline, "must be greater than minReadySeconds");
}

void validate_replica_set_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	(void)type;
	check_not_negative(f, AT(f, "%s.replicas", path), json_get(tree, "replicas"));
	check_not_negative(f, AT(f, "%s.minReadySeconds", path), json_get(tree, "minReadySeconds"));
	check_selector_and_template(f, tree, path, "empty selector is invalid for deployment");
}

void update_selector(struct api_findings *f, const struct json *tree, const struct json *old)
{
	check_immutable(f, "spec.selector", json_path(tree, "spec.selector"), json_path(old, "spec.selector"));
}

void validate_scale(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	(void)type;
	check_not_negative(f, join(f, path, "spec.replicas"), json_path(tree, "spec.replicas"));
}
