/* What a client is told of an object that is valid and yet not wise, a row a kind. Sources: warnings.go and util.go of
 * k8s.io/kubernetes/pkg/api, and the strategies in pkg/registry. */
#include <ctype.h>
#include <string.h>

#include "api/names.h"
#include "api/quantity.h"
#include "api/telling.h"
#include "base/codec.h"
#include "base/ip.h"

/* --- what several kinds say --- */

const char *telling_old_label(struct str key)
{
	static const char *const old[][2] = {
		{ "beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead" },
		{ "beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead" },
		{ "failure-domain.beta.kubernetes.io/region",
		  "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead" },
		{ "failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead" },
		{ "beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead" },
		{ "app.kubernetes.io/created-by", "deprecated since v1.9" },
		{ "scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead" },
		{ "node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead" },
	};

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (str_is(key, old[i][0]))
			return old[i][1];
	return NULL;
}

void telling_of_term(struct telling *t, const char *path, const struct json *term, bool values)
{
	JSON_EACH (json_get(term, "matchExpressions"), it) {
		struct str key = json_get_str(it.value, "key");

		if (telling_old_label(key) != NULL)
			TELL(t, "%s.matchExpressions[%zu].key: %.*s is %s", path, it.index, STR_ARG(key), telling_old_label(key));
		if (!values)
			continue;
		JSON_EACH (json_get(it.value, "values"), value) {
			struct complaints c = name_label_value(json_str(value.value));

			for (int i = 0; i < c.n; i++)
				TELL(t, "%s.matchExpressions[%zu].values[%zu]: %.*s is invalid, %s", path, it.index, value.index,
				     STR_ARG(json_str(value.value)), c.text[i]);
		}
	}
}

void telling_of_fraction(struct telling *t, const char *path, const struct json *list, const char *key)
{
	struct str text = json_get_str(list, key);

	if (text.len != 0 && text.ptr[text.len - 1] == 'm')
		TELL(t, "%s[%s]: fractional byte value \"%.*s\" is invalid, must be an integer", path, key, STR_ARG(text));
}

void telling_of_claim(struct telling *t, const char *path, const struct json *spec)
{
	telling_of_fraction(t, arena_printf(t->arena, "%s.resources.requests", path), json_path(spec, "resources.requests"),
			    "storage");
	telling_of_fraction(t, arena_printf(t->arena, "%s.resources.limits", path), json_path(spec, "resources.limits"), "storage");
}

void telling_of_ip(struct telling *t, const char *path, struct str text)
{
	char right[IP_TEXT];
	struct ip ip;

	if (str_contains(text, STR(":")) && ip_parse(text, &ip) && !str_eq(ip_format(right, ip), text))
		TELL(t, "%s: IPv6 address %s should be in RFC 5952 canonical format (\"%s\")", path, api_quoted(t->arena, text),
		     right);
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

/* --- kinds --- */

/* k8s.io/kubernetes/pkg/api/service/warnings.go. */
static void of_service(struct telling *t, const struct json *tree, const struct json *old)
{
	(void)old;
	const struct json *spec = json_get(tree, "spec");
	bool headless = str_is(json_str(json_at(json_get(spec, "clusterIPs"), 0)), "None");
	bool external = str_is(json_get_str(spec, "type"), "ExternalName"), ips = json_len(json_get(spec, "externalIPs")) != 0;

	if (json_find(json_path(tree, "metadata.annotations"), STR("service.kubernetes.io/topology-aware-hints")) != NULL)
		TELL(t, "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
			"service.kubernetes.io/topology-mode instead");
	if (!headless)
		JSON_EACH (json_get(spec, "clusterIPs"), it)
			telling_of_ip(t, arena_printf(t->arena, "spec.clusterIPs[%zu]", it.index), json_str(it.value));
	if (headless && json_get_str(spec, "loadBalancerIP").len != 0)
		TELL(t, "spec.loadBalancerIP is ignored for headless services");
	if (headless && ips)
		TELL(t, "spec.externalIPs is ignored for headless services");
	if (headless && !str_is(json_get_str(spec, "sessionAffinity"), "None"))
		TELL(t, "spec.SessionAffinity is ignored for headless services");
	JSON_EACH (json_get(spec, "externalIPs"), it)
		telling_of_ip(t, arena_printf(t->arena, "spec.externalIPs[%zu]", it.index), json_str(it.value));
	if (ips && !headless && !external)
		TELL(t, "spec.externalIPs is deprecated and may no longer be implemented in some clusters");
	telling_of_ip(t, "spec.loadBalancerIP", json_get_str(spec, "loadBalancerIP"));
	if (ips && external)
		TELL(t, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
	if (!external && json_get_str(spec, "externalName").len != 0)
		TELL(t, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
	if (str_is(json_get_str(spec, "trafficDistribution"), "PreferClose"))
		TELL(t, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}

/* A certificate that is none. */
static void of_secret(struct telling *t, const struct json *tree, const struct json *old)
{
	AUTO_BUF struct buf text = { 0 };

	(void)old;
	if (!str_is(json_get_str(tree, "type"), "kubernetes.io/tls"))
		return;
	if (!base64_decode(&text, json_get_str(json_get(tree, "data"), "tls.crt")) ||
	    !str_contains(buf_str(&text), STR("-----BEGIN ")))
		TELL(t, "tls: failed to find any PEM data in certificate input");
}

static void of_node(struct telling *t, const struct json *tree, const struct json *old)
{
	(void)old;
	if (json_path(tree, "spec.configSource") != NULL)
		TELL(t, "spec.configSource: the feature is removed");
	if (json_path_str(tree, "spec.externalID").len != 0)
		TELL(t, "spec.externalID: this field is deprecated, and is unused by Kubernetes");
}

static void of_account(struct telling *t, const struct json *tree, const struct json *old)
{
	static const char key[] = "kubernetes.io/enforce-mountable-secrets";

	if (json_get(json_path(tree, "metadata.annotations"), key) != NULL &&
	    json_get(json_path(old, "metadata.annotations"), key) == NULL)
		TELL(t,
		     "metadata.annotations[%s]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
		     key);
}

static void of_endpoints(struct telling *t, const struct json *tree, const struct json *old)
{
	static const char *const lists[] = { "addresses", "notReadyAddresses" };

	(void)old;
	JSON_EACH (json_get(tree, "subsets"), it)
		for (int i = 0; i < 2; i++)
			JSON_EACH (json_get(it.value, lists[i]), one)
				telling_of_ip(t, arena_printf(t->arena, "subsets[%zu].%s[%zu].ip", it.index, lists[i], one.index),
					      json_get_str(one.value, "ip"));
}

static void of_slice(struct telling *t, const struct json *tree, const struct json *old)
{
	if (old == NULL && str_is(json_get_str(tree, "addressType"), "FQDN"))
		TELL(t, "spec.addressType: FQDN endpoints are deprecated");
	JSON_EACH (json_get(tree, "endpoints"), it)
		JSON_EACH (json_get(it.value, "addresses"), one)
			telling_of_ip(t, arena_printf(t->arena, "endpoints[%zu].addresses[%zu]", it.index, one.index),
				      json_str(one.value));
}

static void of_volume(struct telling *t, const struct json *tree, const struct json *old)
{
	static const char *const gone[][2] = {
		{ "cephfs", "deprecated in v1.28, non-functional in v1.31+" },
		{ "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+" },
		{ "scaleIO", "deprecated in v1.16, non-functional in v1.22+" },
		{ "storageos", "deprecated in v1.22, non-functional in v1.25+" },
		{ "glusterfs", "deprecated in v1.25, non-functional in v1.26+" },
		{ "rbd", "deprecated in v1.28, non-functional in v1.31+" },
	};
	const struct json *spec = json_get(tree, "spec"), *annotations = json_path(tree, "metadata.annotations");

	(void)old;
	if (json_get(annotations, "volume.beta.kubernetes.io/storage-class") != NULL)
		TELL(t, "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "
			"\"storageClassName\" attribute instead");
	if (json_get(annotations, "volume.beta.kubernetes.io/mount-options") != NULL)
		TELL(t, "metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use "
			"\"mountOptions\" attribute instead");
	if (str_is(json_get_str(spec, "persistentVolumeReclaimPolicy"), "Recycle"))
		TELL(t, "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
			"approach is to use dynamic provisioning.");
	JSON_EACH (json_path(spec, "nodeAffinity.required.nodeSelectorTerms"), it)
		telling_of_term(t, arena_printf(t->arena, "spec.nodeAffinity.required.nodeSelectorTerms[%zu]", it.index), it.value,
				false);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		if (json_get(spec, gone[i][0]) != NULL)
			TELL(t, "spec.%s: %s", i == 3 ? "storageOS" : gone[i][0], gone[i][1]);
}

static void of_claim(struct telling *t, const struct json *tree, const struct json *old)
{
	(void)old;
	if (json_get(json_path(tree, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class") != NULL)
		TELL(t, "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "
			"\"storageClassName\" attribute instead");
	telling_of_claim(t, "spec", json_get(tree, "spec"));
}

static void of_quota(struct telling *t, const struct json *tree, const struct json *old)
{
	static const char *const names[] = { "cpu", "memory", "storage", "ephemeral-storage" };
	const struct json *hard = json_path(tree, "spec.hard");

	for (size_t i = 0; i < 4 && old == NULL; i++) {
		const char *request = arena_printf(t->arena, "requests.%s", names[i]);
		const char *limit = arena_printf(t->arena, "limits.%s", names[i]);

		if (json_get(hard, request) == NULL && i < 2)
			request = names[i];
		struct quantity asked = quantity_of(json_get(hard, request)), most = quantity_of(json_get(hard, limit));
		if (json_get(hard, request) != NULL && json_get(hard, limit) != NULL && quantity_cmp(&asked, &most) > 0)
			TELL(t, "ResourceQuota %s (%.*s) should be less than %s (%.*s)", request,
			     STR_ARG(json_get_str(hard, request)), limit, STR_ARG(json_get_str(hard, limit)));
	}
}

static void of_set(struct telling *t, const struct json *tree, const struct json *old)
{
	JSON_EACH (json_path(tree, "spec.volumeClaimTemplates"), it)
		telling_of_claim(t,
				 arena_printf(t->arena, "spec.volumeClaimTemplates[%zu]%s", it.index, old == NULL ? "" : ".Spec"),
				 json_get(it.value, "spec"));
	if (json_int(json_path(tree, "spec.revisionHistoryLimit"), 0) < 0)
		TELL(t,
		     "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended");
}

static void of_job(struct telling *t, const char *path, const struct json *spec)
{
	if (str_is(json_get_str(spec, "completionMode"), "Indexed") && json_int(json_get(spec, "completions"), 0) > 100000 &&
	    json_int(json_get(spec, "parallelism"), 0) > 10000)
		TELL(t,
		     "%s: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes "
		     "might not be able to track completedIndexes when a big number of indexes fail",
		     path);
}

static void of_schedule(struct telling *t, const struct json *tree, const struct json *old)
{
	if (old != NULL && str_contains(json_path_str(tree, "spec.schedule"), STR("TZ")))
		TELL(t, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
			"https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details");
}

static void of_ingress(struct telling *t, const struct json *tree, const struct json *old)
{
	if (old == NULL && json_get(json_path(tree, "metadata.annotations"), "kubernetes.io/ingress.class") != NULL &&
	    json_path(tree, "spec.ingressClassName") == NULL)
		TELL(t, "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead");
}

static void of_runtime(struct telling *t, const struct json *tree, const struct json *old)
{
	(void)old;
	JSON_EACH (json_path(tree, "scheduling.nodeSelector"), it)
		if (telling_old_label(it.key) != NULL)
			TELL(t, "scheduling.nodeSelector: %s", telling_old_label(it.key));
}

static void of_class(struct telling *t, const struct json *tree, const struct json *old)
{
	(void)old;
	JSON_EACH (json_get(tree, "allowedTopologies"), it)
		JSON_EACH (json_get(it.value, "matchLabelExpressions"), one) {
			const char *why = telling_old_label(json_get_str(one.value, "key"));

			if (why != NULL)
				TELL(t, "allowedTopologies[%zu].matchLabelExpressions[%zu].key: %s", it.index, one.index, why);
		}
}

static void of_capacity(struct telling *t, const struct json *tree, const struct json *old)
{
	(void)old;
	telling_of_term(t, "nodeTopology", json_get(tree, "nodeTopology"), false);
	JSON_EACH (json_path(tree, "nodeTopology.matchLabels"), it)
		if (telling_old_label(it.key) != NULL)
			TELL(t, "nodeTopology.matchLabels.%.*s: %s", STR_ARG(it.key), telling_old_label(it.key));
}

static void of_driver(struct telling *t, const struct json *tree, const struct json *old)
{
	const struct json *asks = json_path(tree, "spec.tokenRequests");

	if (json_len(asks) != 0 && json_path(tree, "spec.serviceAccountTokenInSecrets") == NULL &&
	    !(old != NULL && json_equal(asks, json_path(old, "spec.tokenRequests"))))
		TELL(t,
		     "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible "
		     "logging of tokens in volume attributes");
}

static void of_devices(struct telling *t, const struct json *tree, const struct json *old)
{
	struct str driver = json_path_str(tree, "spec.driver");
	bool upper = false;

	(void)old;
	for (size_t i = 0; i < driver.len; i++)
		upper = upper || isupper((unsigned char)driver.ptr[i]);
	if (upper)
		TELL(t, "spec.driver: driver names should be lowercase; %s contains uppercase characters",
		     api_quoted(t->arena, driver));
}

/* --- the table --- */

static const struct {
	const char *group, *kind;
	void (*tell)(struct telling *t, const struct json *tree, const struct json *old);
	const char *names;    /* what a new object's name is used in */
	const char *template; /* where a template of pods is; told of a new one, and of one whose generation is new */
} rows[] = {
	{ "", "Service", of_service, NULL, NULL },
	{ "", "Secret", of_secret, NULL, NULL },
	{ "", "Node", of_node, NULL, NULL },
	{ "", "ServiceAccount", of_account, NULL, NULL },
	{ "", "Endpoints", of_endpoints, NULL, NULL },
	{ "", "PersistentVolume", of_volume, NULL, NULL },
	{ "", "PersistentVolumeClaim", of_claim, NULL, NULL },
	{ "", "ResourceQuota", of_quota, NULL, NULL },
	{ "", "PodTemplate", NULL, NULL, "template" },
	{ "", "ReplicationController", NULL, "Pod names and hostnames", "spec.template" },
	{ "apps", "Deployment", NULL, "Pod names and hostnames", "spec.template" },
	{ "apps", "ReplicaSet", NULL, "Pod names and hostnames", "spec.template" },
	{ "apps", "DaemonSet", NULL, NULL, "spec.template" },
	{ "apps", "StatefulSet", of_set, NULL, "spec.template" },
	{ "batch", "Job", NULL, "Pod names and hostnames", "spec.template" },
	{ "batch", "CronJob", of_schedule, "Pod names and hostnames", "spec.jobTemplate.spec.template" },
	{ "discovery.k8s.io", "EndpointSlice", of_slice, NULL, NULL },
	{ "networking.k8s.io", "Ingress", of_ingress, NULL, NULL },
	{ "node.k8s.io", "RuntimeClass", of_runtime, NULL, NULL },
	{ "resource.k8s.io", "ResourceSlice", of_devices, NULL, NULL },
	{ "storage.k8s.io", "StorageClass", of_class, NULL, NULL },
	{ "storage.k8s.io", "CSIStorageCapacity", of_capacity, NULL, NULL },
	{ "storage.k8s.io", "CSIDriver", of_driver, NULL, NULL },
};

#define TEMPLATE_GENERATION "deprecated.daemonset.template.generation"

static bool is_new_generation(const struct json *tree, const struct json *old)
{
	return old == NULL || !json_equal(json_path(tree, "metadata.generation"), json_path(old, "metadata.generation"));
}

/* Of a daemon set only another template counts, which an annotation counts. */
static bool has_new_template(const struct json *tree, const struct json *old, bool daemon)
{
	if (!daemon || old == NULL)
		return is_new_generation(tree, old);
	return !json_equal(json_get(json_path(tree, "metadata.annotations"), TEMPLATE_GENERATION),
			   json_get(json_path(old, "metadata.annotations"), TEMPLATE_GENERATION));
}

static void of_template(struct telling *t, const char *path, const struct json *tree)
{
	const char *spec = str_cstr(t->arena, str_head(str_from(path), strlen(path) - strlen(".template")));

	if (strcmp(path, "template") != 0)
		of_job(t, spec, json_path(tree, spec));
	telling_of_pod(t, path, json_path(tree, path));
}

void api_warnings(struct arena *arena, const struct kind *kind, const struct json *tree, const struct json *old,
		  void (*tell)(void *arg, struct str text), void *arg)
{
	struct telling t = { arena, tell, arg };

	if (str_is(kind_name(kind), "Pod") && old == NULL) { /* people do not change pods */
		of_name(&t, tree, "the Pod's hostname");
		telling_of_pod(&t, "", tree);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!str_is(kind_group(kind), rows[i].group) || !str_is(kind_name(kind), rows[i].kind))
			continue;
		if (rows[i].names != NULL && old == NULL)
			of_name(&t, tree, rows[i].names);
		if (rows[i].template != NULL && has_new_template(tree, old, str_is(kind_name(kind), "DaemonSet")))
			of_template(&t, rows[i].template, tree);
		if (rows[i].tell != NULL)
			rows[i].tell(&t, tree, old);
	}
}
