/*
 * What a fresh cluster has before anybody asked for anything. Rows; those that exist are left alone, so every start may
 * run this. Source: a fresh v1.36.3 server (tests/data/api-v1.36/live/bootstrap.json).
 */
#include "apiserver/server.h"

#define SERVER_ACTOR "system:apiserver"

struct bootstrap {
	struct apiserver *server;
	struct arena *arena;
	size_t open;
	struct error *err;
	void (*ready)(void *arg, struct error *err);
	void *arg;
};

static const struct json *meta(struct arena *arena, const char *ns, const char *name)
{
	return JSON_OBJECT_OF(arena, { "name", json_text(arena, name) }, { "namespace", json_text(arena, ns) });
}

static void created(void *arg, struct api_reply *reply)
{
	struct bootstrap *bootstrap = arg;

	if (reply->err != NULL && reply->err->kind != ERR_EXISTS && bootstrap->err == NULL) {
		bootstrap->err = error_context(reply->err, "make what a fresh cluster has");
		reply->err = NULL;
	}
	if (--bootstrap->open != 0)
		return;
	bootstrap->ready(bootstrap->arg, bootstrap->err);
	arena_free(bootstrap->arena);
}

static void found(void *arg)
{
	struct api_reply nothing = { .err = NULL };

	created(arg, &nothing);
}

/* Its address may be somebody else's by now: then the cluster goes without. */
static void created_or_not(void *arg, struct api_reply *reply)
{
	struct api_reply nothing = { .err = NULL };

	log_consume(LOG_WARN, reply->err, "make the Service kube-dns");
	reply->err = NULL;
	created(arg, &nothing);
}

static void create_so(struct bootstrap *bootstrap, const char *api_version, const char *kind, const char *ns,
		      const struct json *body, void (*done)(void *arg, struct api_reply *reply))
{
	const struct api_transport *transport = apiserver_transport(bootstrap->server);
	struct str key = object_key(bootstrap->arena, kind_must(api_version, kind), str_from(ns), meta_str(body, "name"));

	bootstrap->open++;
	if (store_find(bootstrap->server->options.store, key) != NULL) {
		loop_soon(found, bootstrap);
		return;
	}
	transport->call(transport->arg, &(struct api_call){
						.verb = VERB_CREATE,
						.kind = kind_must(api_version, kind),
						.ns = str_from(ns),
						.body = body,
						.actor = STR(SERVER_ACTOR),
						.done = done,
						.arg = bootstrap,
					});
}

static void create(struct bootstrap *bootstrap, const char *api_version, const char *kind, const char *ns, const struct json *body)
{
	create_so(bootstrap, api_version, kind, ns, body, created);
}

static void create_namespaces(struct bootstrap *bootstrap)
{
	static const char *const names[] = { "default", "kube-system", "kube-public", "kube-node-lease" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		create(bootstrap, "v1", "Namespace", NULL,
		       JSON_OBJECT_OF(bootstrap->arena, { "metadata", meta(bootstrap->arena, NULL, names[i]) }));
}

static void create_priority_classes(struct bootstrap *bootstrap)
{
	static const struct {
		const char *name, *description;
		int64_t value;
	} rows[] = {
		{ "system-cluster-critical",
		  "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
		  2000000000 },
		{ "system-node-critical", "Used for system critical pods that must not be moved from their current node.",
		  2000001000 },
	};
	struct arena *arena = bootstrap->arena;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		create(bootstrap, "scheduling.k8s.io/v1", "PriorityClass", NULL,
		       JSON_OBJECT_OF(arena, { "metadata", meta(arena, NULL, rows[i].name) },
				      { "value", json_number(arena, rows[i].value) },
				      { "description", json_text(arena, rows[i].description) }));
}

static const struct json *cidrs(struct bootstrap *bootstrap)
{
	const struct apiserver_options *options = &bootstrap->server->options;
	struct json_builder list = { .arena = bootstrap->arena };
	char text[IP_TEXT];

	for (size_t i = 0; i < options->n_service_cidrs; i++)
		json_builder_item(&list, json_string_copy(bootstrap->arena, cidr_format(text, options->service_cidrs[i])));
	return json_builder_array(&list);
}

/* The Service "kubernetes" has the first address of the range and leads to this server. */
static void create_service(struct bootstrap *bootstrap)
{
	const struct apiserver_options *options = &bootstrap->server->options;
	struct arena *arena = bootstrap->arena;
	char text[IP_TEXT];
	const struct json *ip = json_string_copy(arena, ip_format(text, ip_add(cidr_first(options->service_cidrs[0]), 1)));
	const struct json *labels = JSON_OBJECT_OF(arena, { "component", json_text(arena, "apiserver") },
						   { "provider", json_text(arena, "kubernetes") });
	const struct json *port = JSON_OBJECT_OF(arena, { "name", json_text(arena, "https") },
						 { "protocol", json_text(arena, "TCP") }, { "port", json_number(arena, 443) },
						 { "targetPort", json_number(arena, options->endpoint_port) });

	create(bootstrap, "v1", "Service", "default",
	       JSON_OBJECT_OF(arena, { "metadata", json_with(arena, meta(arena, "default", "kubernetes"), "labels", labels) },
			      { "spec", JSON_OBJECT_OF(arena, { "clusterIP", ip }, { "ports", JSON_ARRAY_OF(arena, port) }) }));
}

static const struct json *dns_port(struct arena *arena, const char *name, const char *protocol)
{
	return JSON_OBJECT_OF(arena, { "name", json_text(arena, name) }, { "protocol", json_text(arena, protocol) },
			      { "port", json_number(arena, 53) }, { "targetPort", json_number(arena, 53) });
}

/* Charts and people look for DNS by this name. Each node answers for the address itself, so it needs no endpoints. */
static void create_dns(struct bootstrap *bootstrap)
{
	struct arena *arena = bootstrap->arena;
	char text[IP_TEXT];
	const struct json *labels = JSON_OBJECT_OF(arena, { "k8s-app", json_text(arena, "kube-dns") },
						   { "kubernetes.io/cluster-service", json_text(arena, "true") },
						   { "kubernetes.io/name", json_text(arena, "CoreDNS") });

	create_so(bootstrap, "v1", "Service", "kube-system",
		  JSON_OBJECT_OF(arena, { "metadata", json_with(arena, meta(arena, "kube-system", "kube-dns"), "labels", labels) },
				 { "spec",
				   JSON_OBJECT_OF(arena,
						  { "clusterIP",
						    json_string_copy(arena, ip_format(text, bootstrap->server->options.dns)) },
						  { "ports", JSON_ARRAY_OF(arena, dns_port(arena, "dns", "UDP"),
									   dns_port(arena, "dns-tcp", "TCP")) }) }),
		  created_or_not);
}

static void create_endpoints(struct bootstrap *bootstrap)
{
	const struct apiserver_options *options = &bootstrap->server->options;
	struct arena *arena = bootstrap->arena;
	char text[IP_TEXT];
	const struct json *ip = json_string_copy(arena, ip_format(text, options->endpoint));
	const struct json *port = JSON_OBJECT_OF(arena, { "name", json_text(arena, "https") },
						 { "port", json_number(arena, options->endpoint_port) },
						 { "protocol", json_text(arena, "TCP") });
	const struct json *skip = JSON_OBJECT_OF(arena, { "endpointslice.kubernetes.io/skip-mirror", json_text(arena, "true") });
	const struct json *service = JSON_OBJECT_OF(arena, { "kubernetes.io/service-name", json_text(arena, "kubernetes") });

	create(bootstrap, "v1", "Endpoints", "default",
	       JSON_OBJECT_OF(arena, { "metadata", json_with(arena, meta(arena, "default", "kubernetes"), "labels", skip) },
			      { "subsets",
				JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena,
								    { "addresses",
								      JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "ip", ip })) },
								    { "ports", JSON_ARRAY_OF(arena, port) })) }));
	create(bootstrap, "discovery.k8s.io/v1", "EndpointSlice", "default",
	       JSON_OBJECT_OF(
		       arena, { "metadata", json_with(arena, meta(arena, "default", "kubernetes"), "labels", service) },
		       { "addressType", json_text(arena, options->endpoint.family == 6 ? "IPv6" : "IPv4") },
		       { "endpoints",
			 JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "addresses", JSON_ARRAY_OF(arena, ip) },
							     { "conditions", JSON_OBJECT_OF(arena, { "ready", &json_true }) })) },
		       { "ports", JSON_ARRAY_OF(arena, port) }));
}

static void namespaces_done(void *arg, struct error *err)
{
	struct bootstrap *bootstrap = arg;
	struct arena *arena = bootstrap->arena;

	if (err != NULL) {
		bootstrap->ready(bootstrap->arg, err);
		arena_free(arena);
		return;
	}
	create_priority_classes(bootstrap);
	create(bootstrap, "networking.k8s.io/v1", "ServiceCIDR", NULL,
	       JSON_OBJECT_OF(arena, { "metadata", meta(arena, NULL, "kubernetes") },
			      { "spec", JSON_OBJECT_OF(arena, { "cidrs", cidrs(bootstrap) }) }));
	create_service(bootstrap);
	create_endpoints(bootstrap);
	if (bootstrap->server->options.dns.family != 0)
		create_dns(bootstrap);
}

void apiserver_bootstrap(struct apiserver *server, void (*ready)(void *arg, struct error *err), void *arg)
{
	struct arena *arena = arena_new();
	struct bootstrap *rest = ARENA_NEW(arena, struct bootstrap), *first;

	definitions_start(server);
	*rest = (struct bootstrap){ .server = server, .arena = arena, .ready = ready, .arg = arg };
	/* Namespaces come first; what lies in them follows. */
	arena = arena_new();
	first = ARENA_NEW(arena, struct bootstrap);
	*first = (struct bootstrap){ .server = server, .arena = arena, .ready = namespaces_done, .arg = rest };
	create_namespaces(first);
}
