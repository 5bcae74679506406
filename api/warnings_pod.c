/* What is told of a pod, in upstream's order. Source: k8s.io/kubernetes/pkg/api/pod/warnings.go. */
#include <string.h>

#include "api/telling.h"
#include "base/places.h"

#define LIMIT_PORTS_TOLD 256 /* more are not compared */
#define LIMIT_PATHS_TOLD 64

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
	JSON_EACH (volumes, it) {
		const char *claim = arena_printf(t->arena, "%s.volumes[%zu].ephemeral.volumeClaimTemplate.spec", path, it.index);

		for (size_t i = 0; i < sizeof(gone_volumes) / sizeof(gone_volumes[0]); i++)
			if (json_get(it.value, gone_volumes[i].field) != NULL)
				TELL(t, "%s.volumes[%zu].%s: %s", path, it.index, gone_volumes[i].shown, gone_volumes[i].text);
		telling_of_claim(t, claim, json_path(it.value, "ephemeral.volumeClaimTemplate.spec"));
	}
}

/* --- paths of a volume that lie within each other --- */

struct paths_told {
	struct telling *t;
	struct str volume;
	const char *what; /* the volume, as it is told */
	struct told_path {
		struct str path;
		const char *source; /* "" when the volume is all there is */
	} seen[LIMIT_PATHS_TOLD];
	size_t n;
};

static bool is_within(struct str inner, struct str outer)
{
	return inner.len >= outer.len && str_eq(str_head(inner, outer.len), outer) &&
	       (inner.len == outer.len || inner.ptr[outer.len] == '/');
}

static const char *path_text(struct arena *arena, struct told_path one)
{
	const char *path = api_quoted(arena, one.path);

	return one.source[0] == 0 ? path : arena_printf(arena, "%s (%s)", path, one.source);
}

static void of_path(struct paths_told *p, struct str path, const char *source)
{
	struct told_path one = { path, source };

	while (one.path.len != 0 && one.path.ptr[one.path.len - 1] == '/')
		one.path.len--;
	for (size_t i = 0; i < p->n && one.path.len != 0; i++)
		if (p->seen[i].path.len != 0 && (is_within(p->seen[i].path, one.path) || is_within(one.path, p->seen[i].path)))
			TELL(p->t, "volume %s (%s): overlapping paths: %s with %s", api_quoted(p->t->arena, p->volume), p->what,
			     path_text(p->t->arena, one), path_text(p->t->arena, p->seen[i]));
	if (p->n < LIMIT_PATHS_TOLD)
		p->seen[p->n++] = one;
}

/* Where the items of a volume go, and what the volume is called. */
static const struct source_told {
	const char *field, *name, *what;
} sources[] = {
	{ "configMap", "name", "ConfigMap" },
	{ "secret", "secretName", "Secret" },
	{ "downwardAPI", NULL, "DownwardAPI" },
};

static const char *source_text(struct arena *arena, const struct source_told *source, const struct json *value, const char *name)
{
	return source->name == NULL ? source->what
				    : arena_printf(arena, "%s %s", source->what, api_quoted(arena, json_get_str(value, name)));
}

static void of_items(struct telling *t, const struct json *volume)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct json *value = json_get(volume, sources[i].field);
		struct paths_told p = { .t = t, .volume = json_get_str(volume, "name") };

		p.what = source_text(t->arena, &sources[i], value, sources[i].name);
		JSON_EACH (json_get(value, "items"), it)
			of_path(&p, json_get_str(it.value, "path"), "");
	}
}

/* Only one thing of a source is looked at: upstream's switch. */
static void of_source(struct paths_told *p, const struct json *source)
{
	static const char *const certificate[][2] = { { "certificateChainPath", "PodCertificate chain" },
						      { "keyPath", "PodCertificate key" },
						      { "credentialBundlePath", "PodCertificate credential bundle" } };
	const struct json *bundle = json_get(source, "clusterTrustBundle"), *token = json_get(source, "serviceAccountToken");
	struct arena *arena = p->t->arena;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct json *value = json_get(source, sources[i].field);

		JSON_EACH (json_get(value, "items"), it)
			of_path(p, json_get_str(it.value, "path"), source_text(arena, &sources[i], value, "name"));
		if (json_get(value, "items") != NULL)
			return;
	}
	if (token != NULL) {
		of_path(p, json_get_str(token, "path"), "ServiceAccountToken");
		return;
	}
	if (bundle != NULL) {
		struct str name = json_get_str(bundle, json_get(bundle, "name") != NULL ? "name" : "signerName");

		of_path(p, json_get_str(bundle, "path"), arena_printf(arena, "ClusterTrustBundle %s", api_quoted(arena, name)));
		return;
	}
	for (size_t i = 0; i < 3; i++) {
		struct str path = json_path_str(source, arena_printf(arena, "podCertificate.%s", certificate[i][0]));

		if (path.len != 0)
			of_path(p, path, certificate[i][1]);
	}
}

static void of_projections(struct telling *t, const struct json *volumes)
{
	JSON_EACH (volumes, it) {
		struct paths_told p = { .t = t, .volume = json_get_str(it.value, "name"), .what = "Projected" };

		of_items(t, it.value);
		JSON_EACH (json_path(it.value, "projected.sources"), source)
			if (json_len(source.value) == 0)
				TELL(t, "volume %s (Projected) has no sources provided", api_quoted(t->arena, p.volume));
			else
				of_source(&p, source.value);
	}
}

/* --- ports --- */

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

static void of_resources(struct telling *t, const char *at, const struct json *container)
{
	static const char *const names[] = { "memory", "ephemeral-storage" }, *const lists[] = { "limits", "requests" };

	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			telling_of_fraction(t, arena_printf(t->arena, "%s.resources.%s", at, lists[j]),
					    json_get(json_get(container, "resources"), lists[j]), names[i]);
}

/* An annotation that a field has taken the place of. */
static void of_annotation(struct telling *t, const char *meta, const struct json *annotations, const char *key, const char *why)
{
	if (json_get(annotations, key) != NULL)
		TELL(t, "%s.annotations[%s]: %s", meta, key, why);
}

/* A profile that an annotation names, as its field would say it. */
static bool same_profile(struct str annotation, const struct json *profile)
{
	struct str type = json_get_str(profile, "type"), local = json_get_str(profile, "localhostProfile");

	if (str_is(annotation, "unconfined"))
		return str_is(type, "Unconfined");
	if (str_is(annotation, "runtime/default"))
		return str_is(type, "RuntimeDefault");
	return str_has_prefix(annotation, STR("localhost/")) && str_is(type, "Localhost") &&
	       str_eq(str_skip(annotation, 10), local);
}

#define SECCOMP_GONE "non-functional in v1.27+; use the \"seccompProfile\" field instead"

/* template: a pod's own annotation about AppArmor becomes its field when it is made, which says so. */
static void of_profiles(struct telling *t, const char *meta, const struct json *pod, const struct json *container, bool template)
{
	const struct json *annotations = json_path(pod, "metadata.annotations");
	struct str name = json_get_str(container, "name");
	const char *seccomp = arena_printf(t->arena, "container.seccomp.security.alpha.kubernetes.io/%.*s", STR_ARG(name));
	const char *apparmor = arena_printf(t->arena, "container.apparmor.security.beta.kubernetes.io/%.*s", STR_ARG(name));
	const struct json *profile = json_path(pod, "spec.securityContext.appArmorProfile");

	if (json_path(container, "securityContext.seccompProfile") == NULL)
		of_annotation(t, meta, annotations, seccomp, SECCOMP_GONE);
	if (template && json_path(container, "securityContext.appArmorProfile") == NULL &&
	    !(profile != NULL && same_profile(json_get_str(annotations, apparmor), profile)))
		of_annotation(t, meta, annotations, apparmor, "deprecated since v1.30; use the \"appArmorProfile\" field instead");
}

static void of_containers(struct telling *t, const char *path, const char *meta, const struct json *pod, bool template)
{
	static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };

	for (int i = 0; i < 3; i++)
		JSON_EACH (json_get(json_get(pod, "spec"), lists[i]), it) {
			const char *at = arena_printf(t->arena, "%s.%s[%zu]", path, lists[i], it.index);

			of_profiles(t, meta, pod, it.value, template);
			of_resources(t, at, it.value);
			of_variables(t, at, json_get(it.value, "env"));
		}
}

static void of_nodes(struct telling *t, const char *path, const struct json *spec)
{
	const char *affinity = arena_printf(t->arena, "%s.affinity.nodeAffinity", path);
	const char *required = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
	const char *preferred = "preferredDuringSchedulingIgnoredDuringExecution";
	const struct json *node = json_path(spec, "affinity.nodeAffinity");

	JSON_EACH (json_get(spec, "nodeSelector"), it)
		if (telling_old_label(it.key) != NULL)
			TELL(t, "%s.nodeSelector[%.*s]: %s", path, STR_ARG(it.key), telling_old_label(it.key));
	JSON_EACH (json_path(node, required), it)
		telling_of_term(t, arena_printf(t->arena, "%s.%s[%zu]", affinity, required, it.index), it.value, false);
	JSON_EACH (json_get(node, preferred), it)
		telling_of_term(t, arena_printf(t->arena, "%s.%s[%zu].preference", affinity, preferred, it.index),
				json_get(it.value, "preference"), true);
}

static void of_spread(struct telling *t, const char *path, const struct json *spec)
{
	JSON_EACH (json_get(spec, "topologySpreadConstraints"), it) {
		struct str key = json_get_str(it.value, "topologyKey");

		if (telling_old_label(key) != NULL)
			TELL(t, "%s.topologySpreadConstraints[%zu].topologyKey: %.*s is %s", path, it.index, STR_ARG(key),
			     telling_old_label(key));
		if (json_get(it.value, "labelSelector") == NULL)
			TELL(t, "%s.topologySpreadConstraints[%zu].labelSelector: a null labelSelector results in matching no pod",
			     path, it.index);
	}
}

static void of_affinity(struct telling *t, const char *path, const struct json *spec)
{
	static const char *const terms[] = { "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution",
					     "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution",
					     "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
					     "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution" };

	for (size_t i = 0; i < 4; i++) {
		const char *at = i % 2 == 0 ? ".labelSelector" : ".podAffinityTerm.labelSelector";

		JSON_EACH (json_path(spec, terms[i]), it)
			if (json_path(it.value, at + 1) == NULL)
				TELL(t, "%s.%s[%zu]%s: a null labelSelector results in matching no pod", path, terms[i], it.index,
				     at);
	}
}

static void of_annotations(struct telling *t, const char *meta, const struct json *annotations)
{
	static const char *const gone[][2] = {
		{ "scheduler.alpha.kubernetes.io/critical-pod",
		  "non-functional in v1.16+; use the \"priorityClassName\" field instead" },
		{ "security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead" },
		{ "security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead" },
	};

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		of_annotation(t, meta, annotations, gone[i][0], gone[i][1]);
}

static void of_addresses(struct telling *t, const char *path, const struct json *spec)
{
	JSON_EACH (json_path(spec, "dnsConfig.nameservers"), it)
		telling_of_ip(t, arena_printf(t->arena, "%s.dnsConfig.nameservers[%zu]", path, it.index), json_str(it.value));
	JSON_EACH (json_get(spec, "hostAliases"), it)
		telling_of_ip(t, arena_printf(t->arena, "%s.hostAliases[%zu].ip", path, it.index), json_get_str(it.value, "ip"));
}

void telling_of_pod(struct telling *t, const char *at, const struct json *pod)
{
	const struct json *spec = json_get(pod, "spec"), *annotations = json_path(pod, "metadata.annotations");
	const char *path = at[0] == 0 ? "spec" : arena_printf(t->arena, "%s.spec", at);
	const char *meta = at[0] == 0 ? "metadata" : arena_printf(t->arena, "%s.metadata", at);

	of_nodes(t, path, spec);
	of_spread(t, path, spec);
	of_annotations(t, meta, annotations);
	of_volumes(t, path, json_get(spec, "volumes"));
	of_projections(t, json_get(spec, "volumes"));
	of_twice(t, arena_printf(t->arena, "%s.hostAliases", path), json_get(spec, "hostAliases"), "ip");
	of_twice(t, arena_printf(t->arena, "%s.imagePullSecrets", path), json_get(spec, "imagePullSecrets"), "name");
	JSON_EACH (json_get(spec, "imagePullSecrets"), it)
		if (json_get_str(it.value, "name").len == 0)
			TELL(t, "%s.imagePullSecrets[%zu].name: invalid empty name \"\"", path, it.index);
	telling_of_fraction(t, arena_printf(t->arena, "%s.overhead", path), json_get(spec, "overhead"), "memory");
	telling_of_fraction(t, arena_printf(t->arena, "%s.overhead", path), json_get(spec, "overhead"), "ephemeral-storage");
	if (json_path(spec, "securityContext.seccompProfile") == NULL)
		of_annotation(t, meta, annotations, "seccomp.security.alpha.kubernetes.io/pod", SECCOMP_GONE);
	of_containers(t, path, meta, pod, at[0] != 0);
	of_ports(t, path, spec);
	if (json_int(json_get(spec, "terminationGracePeriodSeconds"), 0) < 0)
		TELL(t, "%s.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
		     path);
	of_affinity(t, path, spec);
	of_addresses(t, path, spec);
}
