/* What a client is told of an object that is valid and yet not wise. Sources: k8s.io/kubernetes/pkg/api/{pod,service}/warnings.go. */
#include <string.h>

#include "api/api.h"
#include "api/names.h"
#include "base/codec.h"
#include "base/places.h"
#include "json/json.h"

#define LIMIT_PORTS_TOLD 256 /* more are not compared */

struct telling {
	struct arena *arena;
	void (*tell)(void *arg, struct str text);
	void *arg;
};

#define TELL(t, ...) (t)->tell((t)->arg, str_format((t)->arena, __VA_ARGS__))

static const struct {
	const char *field, *shown, *text;
} gone_volumes[] = {
	{ "photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+" },
	{ "gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+" },
	{ "scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+" },
	{ "flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+" },
	{ "storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+" },
	{ "quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+" },
	{ "glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+" },
	{ "cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+" },
	{ "rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+" },
};

static void of_volumes(struct telling *t, const char *path, const struct json *volumes)
{
	JSON_EACH (volumes, it)
		for (size_t i = 0; i < sizeof(gone_volumes) / sizeof(gone_volumes[0]); i++)
			if (json_get(it.value, gone_volumes[i].field) != NULL)
				TELL(t, "%s.volumes[%zu].%s: %s", path, it.index, gone_volumes[i].shown, gone_volumes[i].text);
}

static void of_projections(struct telling *t, const struct json *volumes)
{
	JSON_EACH (volumes, it)
		JSON_EACH (json_path(it.value, "projected.sources"), source)
			if (json_len(source.value) == 0)
				TELL(t, "volume %s (Projected) has no sources provided",
				     api_quoted(t->arena, json_get_str(it.value, "name")));
}

/* Ports of all containers, in the order that they run in. */
struct ports_told {
	struct telling *t;
	struct places names; /* → index of at */
	const struct json *port[LIMIT_PORTS_TOLD];
	const char *at[LIMIT_PORTS_TOLD];
	size_t n;
};

static void of_same_port(struct ports_told *p, const char *at, const struct json *port, size_t other)
{
	struct str ip = json_get_str(port, "hostIP"), other_ip = json_get_str(p->port[other], "hostIP");
	int64_t host = json_int(json_get(port, "hostPort"), 0), other_host = json_int(json_get(p->port[other], "hostPort"), 0);

	if (str_eq(ip, other_ip) && host == other_host)
		TELL(p->t, "%s: duplicate port definition with %s", at, p->at[other]);
	else if (host == 0 || other_host == 0)
		TELL(p->t, "%s: overlapping port definition with %s", at, p->at[other]);
	else if (host == other_host && (ip.len == 0) != (other_ip.len == 0))
		TELL(p->t, "%s: dangerously ambiguous port definition with %s", at, p->at[other]);
}

static void of_port(struct ports_told *p, const char *at, const struct json *port)
{
	struct str ip = json_get_str(port, "hostIP"), protocol = json_get_str(port, "protocol");
	long long number = (long long)json_int(json_get(port, "containerPort"), 0);

	if (ip.len != 0 && json_int(json_get(port, "hostPort"), 0) == 0)
		TELL(p->t, "%s: hostIP set without hostPort: {Name:%.*s HostPort:0 ContainerPort:%lld Protocol:%.*s HostIP:%.*s}",
		     at, STR_ARG(json_get_str(port, "name")), number, STR_ARG(protocol), STR_ARG(ip));
	for (size_t i = 0; i < p->n; i++)
		if (json_int(json_get(p->port[i], "containerPort"), 0) == number &&
		    str_eq(json_get_str(p->port[i], "protocol"), protocol))
			of_same_port(p, at, port, i);
	if (p->n == LIMIT_PORTS_TOLD)
		return;
	p->port[p->n] = port;
	p->at[p->n++] = at;
}

static void of_ports(struct telling *t, const char *path, const struct json *spec)
{
	static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
	struct ports_told p = { .t = t, .names = { .arena = t->arena } };

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 3; i++)
			JSON_EACH (json_get(spec, lists[i]), c)
				JSON_EACH (json_get(c.value, "ports"), it) {
					const char *at =
						arena_printf(t->arena, "%s.%s[%zu].ports[%zu]", path, lists[i], c.index, it.index);
					struct str name = json_get_str(it.value, "name");
					if (round == 0) {
						of_port(&p, at, it.value);
						continue;
					}
					size_t first = name.len == 0 ? PLACES_NONE : places_find(&p.names, name);
					if (first != PLACES_NONE)
						TELL(t,
						     "%s: duplicate port name %s with %s, services and probes that select ports by "
						     "name will use %s",
						     at, api_quoted(t->arena, name), p.at[first], p.at[first]);
					else if (name.len != 0 && p.n < LIMIT_PORTS_TOLD) {
						places_add(&p.names, name, p.n);
						p.at[p.n++] = at;
					}
				}
}

/* The same key twice in a list. */
static void of_twice(struct telling *t, const char *path, const struct json *list, const char *key)
{
	struct places seen = { .arena = t->arena };

	JSON_EACH (list, it)
		if (places_add(&seen, json_get_str(it.value, key), it.index) != it.index)
			TELL(t, "%s[%zu].%s: duplicate %s %s", path, it.index, key, key,
			     api_quoted(t->arena, json_get_str(it.value, key)));
}

static void of_fractions(struct telling *t, const char *path, const struct json *list)
{
	static const char *const names[] = { "memory", "ephemeral-storage" };

	for (int i = 0; i < 2; i++) {
		struct str text = json_get_str(list, names[i]);

		if (text.len != 0 && text.ptr[text.len - 1] == 'm')
			TELL(t, "%s[%s]: fractional byte value \"%.*s\" is invalid, must be an integer", path, names[i],
			     STR_ARG(text));
	}
}

static void of_variables(struct telling *t, const char *path, const struct json *list)
{
	struct places seen = { .arena = t->arena };

	JSON_EACH (list, it) {
		struct str name = json_get_str(it.value, "name"), value = json_get_str(it.value, "value");
		struct str ref = str_format(t->arena, "$(%.*s)", STR_ARG(name));

		if (places_add(&seen, name, it.index) != it.index &&
		    (json_get(it.value, "valueFrom") != NULL || str_eq(value, ref) || !str_contains(value, ref)))
			TELL(t, "%s.env[%zu]: hides previous definition of \"%.*s\", which may be dropped when using apply", path,
			     it.index, STR_ARG(name));
	}
}

static void of_containers(struct telling *t, const char *path, const struct json *spec)
{
	static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };

	for (int i = 0; i < 3; i++)
		JSON_EACH (json_get(spec, lists[i]), it) {
			const char *at = arena_printf(t->arena, "%s.%s[%zu]", path, lists[i], it.index);

			of_fractions(t, arena_printf(t->arena, "%s.resources.limits", at), json_path(it.value, "resources.limits"));
			of_fractions(t, arena_printf(t->arena, "%s.resources.requests", at),
				     json_path(it.value, "resources.requests"));
			of_variables(t, at, json_get(it.value, "env"));
		}
}

static void of_pod(struct telling *t, const char *path, const struct json *spec)
{
	static const char *const terms[] = { "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
					     "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
					     "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution",
					     "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution" };

	JSON_EACH (json_get(spec, "topologySpreadConstraints"), it)
		if (json_get(it.value, "labelSelector") == NULL)
			TELL(t, "%s.topologySpreadConstraints[%zu].labelSelector: a null labelSelector results in matching no pod",
			     path, it.index);
	for (size_t i = 0; i < 4; i++) {
		const char *at = i < 2 ? ".labelSelector" : ".podAffinityTerm.labelSelector";

		JSON_EACH (json_path(spec, terms[i]), it)
			if (json_path(it.value, at + 1) == NULL)
				TELL(t, "%s.%s[%zu]%s: a null labelSelector results in matching no pod", path, terms[i], it.index,
				     at);
	}
	of_volumes(t, path, json_get(spec, "volumes"));
	of_projections(t, json_get(spec, "volumes"));
	of_twice(t, arena_printf(t->arena, "%s.hostAliases", path), json_get(spec, "hostAliases"), "ip");
	of_twice(t, arena_printf(t->arena, "%s.imagePullSecrets", path), json_get(spec, "imagePullSecrets"), "name");
	JSON_EACH (json_get(spec, "imagePullSecrets"), it)
		if (json_get_str(it.value, "name").len == 0)
			TELL(t, "%s.imagePullSecrets[%zu].name: invalid empty name \"\"", path, it.index);
	of_fractions(t, arena_printf(t->arena, "%s.overhead", path), json_get(spec, "overhead"));
	of_containers(t, path, spec);
	of_ports(t, path, spec);
	if (json_int(json_get(spec, "terminationGracePeriodSeconds"), 0) < 0)
		TELL(t, "%s.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
		     path);
}

/* A name that is no DNS label makes odd host names. */
static void of_name(struct telling *t, const struct json *tree, const char *used)
{
	struct complaints c = name_dns_label(json_path_str(tree, "metadata.name"));
	AUTO_BUF struct buf all = { 0 };

	for (int i = 0; i < c.n; i++)
		buf_printf(&all, "%s%s", i == 0 ? "" : " ", c.text[i]);
	if (c.n != 0)
		TELL(t,
		     "metadata.name: this is used in %s, which can result in surprising behavior; a DNS label is recommended: [%s]",
		     used, buf_cstr(&all));
}

/* k8s.io/kubernetes/pkg/api/service/warnings.go; addresses that are written oddly are told elsewhere. */
static void of_service(struct telling *t, const struct json *tree)
{
	const struct json *spec = json_get(tree, "spec");
	bool headless = str_is(json_str(json_at(json_get(spec, "clusterIPs"), 0)), "None");
	bool external = str_is(json_get_str(spec, "type"), "ExternalName"), ips = json_len(json_get(spec, "externalIPs")) != 0;

	if (json_find(json_path(tree, "metadata.annotations"), STR("service.kubernetes.io/topology-aware-hints")) != NULL)
		TELL(t, "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
			"service.kubernetes.io/topology-mode instead");
	if (headless && json_get_str(spec, "loadBalancerIP").len != 0)
		TELL(t, "spec.loadBalancerIP is ignored for headless services");
	if (headless && ips)
		TELL(t, "spec.externalIPs is ignored for headless services");
	if (headless && !str_is(json_get_str(spec, "sessionAffinity"), "None"))
		TELL(t, "spec.SessionAffinity is ignored for headless services");
	if (ips && !headless && !external)
		TELL(t, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
	if (ips && external)
		TELL(t, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
	if (!external && json_get_str(spec, "externalName").len != 0)
		TELL(t, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
	if (str_is(json_get_str(spec, "trafficDistribution"), "PreferClose"))
		TELL(t, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}

/* A certificate that is none. */
static void of_secret(struct telling *t, const struct json *tree)
{
	AUTO_BUF struct buf text = { 0 };

	if (!str_is(json_get_str(tree, "type"), "kubernetes.io/tls"))
		return;
	if (!base64_decode(&text, json_get_str(json_get(tree, "data"), "tls.crt")) ||
	    !str_contains(buf_str(&text), STR("-----BEGIN ")))
		TELL(t, "tls: failed to find any PEM data in certificate input");
}

void api_warnings(struct arena *arena, const struct kind *kind, const struct json *tree, const struct json *old,
		  void (*tell)(void *arg, struct str text), void *arg)
{
	struct telling t = { arena, tell, arg };
	bool changed = old == NULL || !json_equal(json_get(old, "spec"), json_get(tree, "spec"));

	if (str_is(kind_name(kind), "Pod") && kind_group(kind).len == 0) {
		if (old == NULL) { /* people do not change pods */
			of_name(&t, tree, "the Pod's hostname");
			of_pod(&t, "spec", json_get(tree, "spec"));
		}
	} else if (str_is(kind_name(kind), "Secret") && kind_group(kind).len == 0) {
		of_secret(&t, tree);
	} else if (str_is(kind_name(kind), "Service") && kind_group(kind).len == 0) {
		of_service(&t, tree);
	} else if (str_is(kind_name(kind), "Node") && kind_group(kind).len == 0) {
		if (json_path(tree, "spec.configSource") != NULL)
			TELL(&t, "spec.configSource: the feature is removed");
		if (json_path_str(tree, "spec.externalID").len != 0)
			TELL(&t, "spec.externalID: this field is deprecated, and is unused by Kubernetes");
	} else if (changed && str_is(kind_group(kind), "apps") && old == NULL &&
		   (str_is(kind_name(kind), "Deployment") || str_is(kind_name(kind), "ReplicaSet"))) {
		of_name(&t, tree, "Pod names and hostnames");
		of_pod(&t, "spec.template.spec", json_path(tree, "spec.template.spec"));
	} else if (changed && json_path(tree, "spec.template.spec") != NULL) {
		of_pod(&t, "spec.template.spec", json_path(tree, "spec.template.spec"));
	}
}
