/*
 * Cluster addresses and node ports of Services. An address is an IPAddress object that is written in the same commit as
 * its Service, so neither is ever there without the other, and a dry run leaves nothing.
 * Source: KEP-1880; k8s.io/kubernetes/pkg/registry/core/service.
 */
#include "apiserver/verbs/verbs.h"

#define PORT_FIRST 30000
#define PORT_LAST  32767
#define TRIES      64

static const struct kind *address_kind(void)
{
	return kind_must("networking.k8s.io/v1", "IPAddress");
}

static struct error *invalid(struct request *req, const char *field, const struct json *value, const char *text)
{
	struct api_findings findings = { .arena = req->arena };

	finding_invalid(&findings, field, value, text);
	return api_invalid(&findings, STR("Service"), meta_str(req->tree, "name"));
}

/* --- addresses --- */

static bool taken(struct request *req, struct ip ip)
{
	char text[IP_TEXT];

	return store_latest(req->server->options.store, object_key(req->arena, address_kind(), STR(""), ip_format(text, ip))) !=
	       NULL;
}

/* Any address but the first and, in v4, the last. The lower part of a range is left to those who ask for one (KEP-3070). */
static bool choose_address(struct request *req, struct cidr range, struct ip *out)
{
	uint64_t size = ip_sub(cidr_last(range), cidr_first(range)), band;

	if (size < 2)
		return false;
	band = size / 16 < 16 ? 16 : size / 16 > 256 ? 256 : size / 16;
	if (band >= size - 1)
		band = 0;
	for (int i = 0; i < TRIES; i++) {
		*out = ip_add(cidr_first(range), 1 + band + rand_below(size - 1 - band));
		if (!taken(req, *out))
			return true;
	}
	for (uint64_t i = 1; i < size; i++) {
		*out = ip_add(cidr_first(range), i);
		if (!taken(req, *out))
			return true;
	}
	return false;
}

static struct error *write_address(struct request *req, struct ip ip)
{
	struct arena *arena = req->arena;
	char text[IP_TEXT];
	struct str name = str_dup(arena, ip_format(text, ip));
	const struct json *tree,
		*raw = JSON_OBJECT_OF(
			arena,
			{ "metadata",
			  JSON_OBJECT_OF(arena, { "name", json_string(arena, name) },
					 { "labels", JSON_OBJECT_OF(arena,
								    { "ipaddress.kubernetes.io/ip-family",
								      json_text(arena, ip.family == 6 ? "IPv6" : "IPv4") },
								    { "ipaddress.kubernetes.io/managed-by",
								      json_text(arena, "ipallocator.k8s.io") }) }) },
			{ "spec",
			  JSON_OBJECT_OF(arena, { "parentRef",
						  JSON_OBJECT_OF(arena, { "resource", json_text(arena, "services") },
								 { "namespace", json_string(arena, req->route.ns) },
								 { "name", json_string(arena, meta_str(req->tree, "name")) }) }) });
	struct error *err = make_object(req, address_kind(), raw, &tree);

	if (err == NULL)
		commit_also_put(req, address_kind(), STR(""), name, tree, 0);
	return err;
}

static bool in_ranges(struct request *req, struct ip ip)
{
	for (size_t i = 0; i < req->server->options.n_service_cidrs; i++)
		if (cidr_contains(req->server->options.service_cidrs[i], ip))
			return true;
	return false;
}

static struct error *refused(struct request *req, const struct json *asked, const char *why)
{
	return invalid(req, "spec.clusterIPs", JSON_ARRAY_OF(req->arena, asked),
		       arena_printf(req->arena, "failed to allocate IP %.*s: %s", STR_ARG(json_str(asked)), why));
}

static const char *range_text(struct request *req)
{
	char text[IP_TEXT];

	return str_cstr(req->arena, cidr_format(text, req->server->options.service_cidrs[0]));
}

static struct error *take_asked(struct request *req, const struct json *asked)
{
	struct ip ip;

	if (!ip_parse(json_str(asked), &ip))
		return NULL; /* validation says so */
	if (req->query.dry_run && !in_ranges(req, ip))
		return refused(req, asked,
			       arena_printf(req->arena,
					    "the provided IP (%.*s) is not in the valid range. The range of valid IPs is %s",
					    STR_ARG(json_str(asked)), range_text(req)));
	if (req->query.dry_run)
		return NULL;
	if (!in_ranges(req, ip))
		return refused(req, asked, "the provided network does not match the current range");
	if (taken(req, ip))
		return refused(req, asked, "provided IP is already allocated");
	return write_address(req, ip);
}

static struct error *take_any(struct request *req, const struct json **out)
{
	const struct apiserver_options *options = &req->server->options;
	struct ip ip = { 0 };
	char text[IP_TEXT];

	for (size_t i = 0; i < options->n_service_cidrs; i++) {
		if (options->service_cidrs[i].ip.family != options->service_cidrs[0].ip.family)
			continue;
		/* A dry run shows the first address of the range and takes none. */
		if (req->query.dry_run)
			ip = cidr_first(options->service_cidrs[i]);
		else if (!choose_address(req, options->service_cidrs[i], &ip))
			continue;
		*out = json_string_copy(req->arena, ip_format(text, ip));
		return req->query.dry_run ? NULL : write_address(req, ip);
	}
	return error_new(ERR_INTERNAL, "failed to allocate a serviceIP: range is full");
}

static struct error *allocate_address(struct request *req)
{
	const struct json *ip = json_path(req->tree, "spec.clusterIP"), *ips = json_path(req->tree, "spec.clusterIPs");
	struct error *err = NULL;

	if (ip == NULL && ips != NULL)
		ip = json_at(ips, 0);
	if (str_is(json_str(ip), "None")) {
		req->tree = with(req, req->tree, "spec.clusterIP", ip);
		req->tree = with(req, req->tree, "spec.clusterIPs", ips != NULL ? ips : JSON_ARRAY_OF(req->arena, ip));
		return NULL;
	}
	if (json_str(ip).len != 0)
		err = take_asked(req, ip);
	else
		err = take_any(req, &ip);
	if (err != NULL)
		return err;
	req->tree = with(req, req->tree, "spec.clusterIP", ip);
	if (json_len(ips) == 0)
		req->tree = with(req, req->tree, "spec.clusterIPs", JSON_ARRAY_OF(req->arena, ip));
	return NULL;
}

/* --- node ports --- */

#define PORTS (PORT_LAST - PORT_FIRST + 1)

/* A port is one Service's, whatever its protocols; the Service itself may use it once for each protocol. */
enum port_use { PORT_OTHERS = 1, PORT_TCP = 2, PORT_UDP = 4, PORT_SCTP = 8, PORT_CHECK = 16 };

struct port_map {
	uint8_t wanted[PORTS]; /* by others, and by what the Service asks for anywhere */
	uint8_t before[PORTS]; /* by others, and by the ports that were looked at so far */
};

static uint8_t use_of(const struct json *port)
{
	struct str protocol = json_get_str(port, "protocol");

	return str_is(protocol, "UDP") ? PORT_UDP : str_is(protocol, "SCTP") ? PORT_SCTP : PORT_TCP;
}

static void mark(uint8_t used[], int64_t port, uint8_t use)
{
	if (port >= PORT_FIRST && port <= PORT_LAST)
		used[port - PORT_FIRST] |= use;
}

/* other: somebody else's Service, of which every port is taken alike. */
static void mark_service(uint8_t used[], const struct json *service, bool other)
{
	mark(used, json_int(json_path(service, "spec.healthCheckNodePort"), 0), other ? PORT_OTHERS : PORT_CHECK);
	JSON_EACH (json_path(service, "spec.ports"), it)
		mark(used, json_int(json_get(it.value, "nodePort"), 0), other ? PORT_OTHERS : use_of(it.value));
}

static struct port_map *port_map_of(struct request *req)
{
	struct port_map *map = ARENA_NEW(req->arena, struct port_map);
	struct store_version *version = store_hold(req->server->options.store);
	struct str own = object_key(req->arena, req->route.kind, req->route.ns, meta_str(req->tree, "name"));
	struct store_iter it;

	for (bool ok = store_seek(&it, version, list_prefix(req->arena, req->route.kind, STR("")), STR("")); ok;
	     ok = store_next(&it))
		if (!str_eq(it.value->key, own))
			mark_service(map->before, object_tree(value_object(req->route.kind, it.value)), true);
	store_version_unref(version);
	memcpy(map->wanted, map->before, sizeof(map->wanted));
	mark_service(map->wanted, req->tree, false);
	mark(map->before, json_int(json_path(req->tree, "spec.healthCheckNodePort"), 0), PORT_CHECK);
	return map;
}

static bool is_used(const uint8_t used[], int64_t port, uint8_t use)
{
	return port >= PORT_FIRST && port <= PORT_LAST && (used[port - PORT_FIRST] & (PORT_OTHERS | PORT_CHECK | use)) != 0;
}

static int64_t choose_port(const struct port_map *map, uint8_t use)
{
	int64_t start = (int64_t)rand_below(PORTS);

	for (int64_t i = 0; i < PORTS; i++)
		if (!is_used(map->wanted, PORT_FIRST + (start + i) % PORTS, use))
			return PORT_FIRST + (start + i) % PORTS;
	return 0;
}

static struct str port_key(struct request *req, const struct json *port)
{
	return str_format(req->arena, "%.*s/%lld", STR_ARG(json_get_str(port, "protocol")),
			  (long long)json_int(json_get(port, "port"), 0));
}

static struct places old_ports(struct request *req)
{
	struct places places = { .arena = req->arena };

	JSON_EACH (json_path(req->old_tree, "spec.ports"), it)
		places_add(&places, port_key(req, it.value), it.index);
	return places;
}

/* A Service that keeps its port keeps its node port, when an update does not name it. */
static int64_t old_port(struct request *req, const struct places *old, const struct json *port)
{
	const struct json *had = json_at(json_path(req->old_tree, "spec.ports"), places_find(old, port_key(req, port)));

	return json_int(json_get(had, "nodePort"), 0);
}

static struct error *check_asked_port(struct request *req, const struct port_map *map, size_t index, int64_t port, uint8_t use)
{
	const char *field = arena_printf(req->arena, "spec.ports[%zu].nodePort", index);

	if (!req->query.dry_run && (port < PORT_FIRST || port > PORT_LAST))
		return invalid(req, field, json_number(req->arena, port),
			       "provided port is not in the valid range. The range of valid ports is 30000-32767");
	if (is_used(map->before, port, use))
		return invalid(req, field, json_number(req->arena, port), "provided port is already allocated");
	return NULL;
}

static const struct json *with_node_port(struct request *req, const struct json *port, const struct json *number)
{
	return api_with(req->arena, field_type(type_path(kind_type(req->route.kind), "spec.ports")), port, "nodePort", number);
}

static struct error *allocate_ports(struct request *req)
{
	const struct json *ports = json_path(req->tree, "spec.ports");
	struct port_map *map = port_map_of(req);
	struct json_builder b = { .arena = req->arena };
	struct places old = old_ports(req);

	JSON_EACH (ports, it) {
		uint8_t use = use_of(it.value);
		int64_t asked = json_int(json_get(it.value, "nodePort"), 0), number = asked;
		struct error *err = asked != 0 ? check_asked_port(req, map, it.index, asked, use) : NULL;

		if (err != NULL)
			return err;
		if (number == 0)
			number = old_port(req, &old, it.value);
		if (number == 0)
			number = choose_port(map, use);
		if (number == 0)
			return error_new(ERR_INTERNAL, "failed to allocate a nodePort: range is full");
		mark(map->wanted, number, use);
		mark(map->before, number, use);
		json_builder_put(&b, &it, asked != 0 ? it.value : with_node_port(req, it.value, json_number(req->arena, number)));
	}
	req->tree = with(req, req->tree, "spec.ports", json_builder_like(&b, ports));
	return NULL;
}

static void drop_ports(struct request *req)
{
	const struct json *ports = json_path(req->tree, "spec.ports");
	struct json_builder b = { .arena = req->arena };
	struct places old = old_ports(req);

	/* Those that were ours go; those that the client now asks for are left to validation. */
	JSON_EACH (ports, it) {
		bool ours = json_int(json_get(it.value, "nodePort"), 0) == old_port(req, &old, it.value);

		json_builder_put(&b, &it, ours ? with_node_port(req, it.value, NULL) : it.value);
	}
	if (ports != NULL)
		req->tree = with(req, req->tree, "spec.ports", json_builder_like(&b, ports));
}

/* --- the whole --- */

static bool wants_ports(const struct json *tree)
{
	struct str type = json_path_str(tree, "spec.type");
	const struct json *allocate = json_path(tree, "spec.allocateLoadBalancerNodePorts");

	return str_is(type, "NodePort") || (str_is(type, "LoadBalancer") && (allocate == NULL || json_bool(allocate)));
}

static bool wants_address(const struct json *tree)
{
	return !str_is(json_path_str(tree, "spec.type"), "ExternalName");
}

static struct error *families(struct request *req)
{
	const struct cidr *first = &req->server->options.service_cidrs[0];
	const char *family = first->ip.family == 6 ? "IPv6" : "IPv4";

	if (!wants_address(req->tree))
		return NULL;
	if (str_is(json_path_str(req->tree, "spec.ipFamilyPolicy"), "RequireDualStack") &&
	    !str_is(json_path_str(req->tree, "spec.clusterIP"), "None"))
		return invalid(req, "spec.ipFamilyPolicy", json_path(req->tree, "spec.ipFamilyPolicy"),
			       "this cluster is not configured for dual-stack services");
	JSON_EACH (str_is(json_path_str(req->tree, "spec.clusterIP"), "None") ? NULL : json_path(req->tree, "spec.ipFamilies"), it)
		if (!str_is(json_str(it.value), family) &&
		    (str_is(json_str(it.value), "IPv4") || str_is(json_str(it.value), "IPv6")))
			return invalid(req, arena_printf(req->arena, "spec.ipFamilies[%zu]", it.index), it.value,
				       "not configured on this cluster");
	/* Without addresses and without pods of its own a Service has all families. */
	if (str_is(json_path_str(req->tree, "spec.clusterIP"), "None") && json_len(json_path(req->tree, "spec.selector")) == 0 &&
	    json_path(req->tree, "spec.ipFamilyPolicy") == NULL && json_path(req->tree, "spec.ipFamilies") == NULL) {
		req->tree = with(req, req->tree, "spec.ipFamilyPolicy", json_text(req->arena, "RequireDualStack"));
		req->tree = with(req, req->tree, "spec.ipFamilies",
				 JSON_ARRAY_OF(req->arena, json_text(req->arena, family),
					       json_text(req->arena, first->ip.family == 6 ? "IPv4" : "IPv6")));
	}
	if (json_path(req->tree, "spec.ipFamilyPolicy") == NULL)
		req->tree = with(req, req->tree, "spec.ipFamilyPolicy", json_text(req->arena, "SingleStack"));
	if (json_path(req->tree, "spec.ipFamilies") == NULL)
		req->tree = with(req, req->tree, "spec.ipFamilies", JSON_ARRAY_OF(req->arena, json_text(req->arena, family)));
	return NULL;
}

/* With externalTrafficPolicy Local a load balancer asks each node for its health on a port of its own. */
static struct error *health_port(struct request *req)
{
	bool wanted = str_is(json_path_str(req->tree, "spec.type"), "LoadBalancer") &&
		      str_is(json_path_str(req->tree, "spec.externalTrafficPolicy"), "Local");
	int64_t port = json_int(json_path(req->tree, "spec.healthCheckNodePort"), 0);
	int64_t old = json_int(json_path(req->old_tree, "spec.healthCheckNodePort"), 0);

	if (wanted && port == 0)
		req->tree = with(req, req->tree, "spec.healthCheckNodePort",
				 json_number(req->arena, old != 0 ? old : choose_port(port_map_of(req), PORT_TCP)));
	else if (!wanted && port != 0 && port == old)
		req->tree = with(req, req->tree, "spec.healthCheckNodePort", NULL);
	return NULL;
}

static bool kept(struct request *req, const char *path)
{
	return json_equal(json_path(req->tree, path), json_path(req->old_tree, path));
}

/* An update that does not name what the server chose keeps it. */
static void keep_allocations(struct request *req)
{
	static const char *const fields[] = { "spec.clusterIP", "spec.clusterIPs", "spec.ipFamilies", "spec.ipFamilyPolicy" };

	if (req->old_tree == NULL || !wants_address(req->tree) || !wants_address(req->old_tree))
		return;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (json_path(req->tree, fields[i]) == NULL)
			req->tree = with(req, req->tree, fields[i], json_path(req->old_tree, fields[i]));
}

/* Clients that know only clusterIP change it alone: clusterIPs follows. k8s.io/kubernetes/pkg/registry/core/service/
 * storage/storage.go, normalizeClusterIPs. */
static void follow_address(struct request *req)
{
	const struct json *ip = json_path(req->tree, "spec.clusterIP"), *ips = json_path(req->tree, "spec.clusterIPs");
	bool same = req->old_tree == NULL ? ips == NULL : kept(req, "spec.clusterIPs") && !kept(req, "spec.clusterIP");

	if (same)
		req->tree = with(req, req->tree, "spec.clusterIPs", ip == NULL ? NULL : JSON_ARRAY_OF(req->arena, ip));
}

static bool needs_external_policy(const struct json *tree)
{
	struct str type = json_path_str(tree, "spec.type");

	return str_is(type, "NodePort") || str_is(type, "LoadBalancer") ||
	       (str_is(type, "ClusterIP") && json_len(json_path(tree, "spec.externalIPs")) != 0);
}

/* What only some types have goes with the type, unless the request says otherwise.
 * k8s.io/kubernetes/pkg/registry/core/service/strategy.go, dropTypeDependentFields. */
static void drop_dependent(struct request *req)
{
	bool was = str_is(json_path_str(req->old_tree, "spec.type"), "LoadBalancer");
	bool is = str_is(json_path_str(req->tree, "spec.type"), "LoadBalancer");
	static const char *const balancer[] = { "spec.allocateLoadBalancerNodePorts", "spec.loadBalancerClass" };

	for (size_t i = 0; i < 2; i++)
		if (was && !is && kept(req, balancer[i]))
			req->tree = with(req, req->tree, balancer[i], NULL);
	if (needs_external_policy(req->old_tree) && !needs_external_policy(req->tree) && kept(req, "spec.externalTrafficPolicy"))
		req->tree = with(req, req->tree, "spec.externalTrafficPolicy", NULL);
	if (wants_address(req->old_tree) && !wants_address(req->tree) && kept(req, "spec.internalTrafficPolicy"))
		req->tree = with(req, req->tree, "spec.internalTrafficPolicy", NULL);
	if (was && !is)
		req->tree = with(req, req->tree, "status.loadBalancer", &json_empty_object);
}

static struct error *begin_service(struct request *req)
{
	if (req->old_tree == NULL)
		req->tree = with(req, req->tree, "status", JSON_OBJECT_OF(req->arena, { "loadBalancer", &json_empty_object }));
	else
		drop_dependent(req);
	keep_allocations(req);
	follow_address(req);
	return api_validate_addresses(req->arena, req->route.kind, req->tree);
}

struct error *allocate_service(struct request *req)
{
	struct error *err = NULL;

	if (is_status(req))
		return NULL;
	err = begin_service(req);
	if (err == NULL)
		err = families(req);
	if (err == NULL && wants_address(req->tree) && (req->old_tree == NULL || !wants_address(req->old_tree)))
		err = allocate_address(req);
	if (err == NULL && !wants_address(req->tree) && req->old_tree != NULL && wants_address(req->old_tree)) {
		err = release_service(req);
		req->tree = with(req, req->tree, "spec.clusterIP", NULL);
		req->tree = with(req, req->tree, "spec.clusterIPs", NULL);
		req->tree = with(req, req->tree, "spec.ipFamilies", NULL);
		req->tree = with(req, req->tree, "spec.ipFamilyPolicy", NULL);
	}
	if (err == NULL && wants_ports(req->tree))
		err = allocate_ports(req);
	else if (err == NULL && req->old_tree != NULL && wants_ports(req->old_tree))
		drop_ports(req);
	return err != NULL ? err : health_port(req);
}

struct error *release_service(struct request *req)
{
	JSON_EACH (json_path(req->old_tree, "spec.clusterIPs"), it)
		if (!str_is(json_str(it.value), "None"))
			commit_also_delete(req, address_kind(), STR(""), json_str(it.value));
	return NULL;
}
