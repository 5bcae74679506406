/* What a status may say: rows of numbers that must not be negative, and of numbers that must not exceed another one. Sources: the
 * Validate…StatusUpdate functions of k8s.io/kubernetes/pkg/apis. */
#include "api/check.h"
#include "api/quantity.h"
#include "base/ip.h"

struct order {
	const char *field, *most, *text;
};

#define REPLICAS "cannot be greater than status.replicas"
#define READY    "cannot be greater than readyReplicas"

static const struct status_rule {
	const char *group, *kind;
	const char *counts[10]; /* must not be negative, in this order */
	struct order orders[6];
	const char *grows; /* must not be decremented */
} rules[] = {
	{ .group = "apps",
	  .kind = "Deployment",
	  .counts = { "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
		      "unavailableReplicas", "terminatingReplicas", "collisionCount" },
	  .orders = { { "updatedReplicas", "replicas", REPLICAS },
		      { "readyReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "readyReplicas", READY } },
	  .grows = "collisionCount" },
	{ .group = "apps",
	  .kind = "ReplicaSet",
	  .counts = { "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration",
		      "terminatingReplicas" },
	  .orders = { { "fullyLabeledReplicas", "replicas", REPLICAS },
		      { "readyReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "readyReplicas", READY } } },
	{ .group = "",
	  .kind = "ReplicationController",
	  .counts = { "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration" },
	  .orders = { { "fullyLabeledReplicas", "replicas", REPLICAS },
		      { "readyReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "readyReplicas", READY } } },
	{ .group = "apps",
	  .kind = "StatefulSet",
	  .counts = { "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration",
		      "collisionCount" },
	  .orders = { { "readyReplicas", "replicas", REPLICAS },
		      { "currentReplicas", "replicas", REPLICAS },
		      { "updatedReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "replicas", REPLICAS },
		      { "availableReplicas", "readyReplicas", "cannot be greater than status.readyReplicas" } },
	  .grows = "collisionCount" },
	{ .group = "apps",
	  .kind = "DaemonSet",
	  .counts = { "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration",
		      "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount" },
	  .grows = "collisionCount" },
};

static const char *at(struct api_findings *f, const char *field)
{
	return AT(f, "status.%s", field);
}

static void check_rule(struct api_findings *f, const struct status_rule *rule, const struct json *status, const struct json *old)
{
	for (size_t i = 0; i < N_OF(rule->counts) && rule->counts[i] != NULL; i++)
		check_not_negative(f, at(f, rule->counts[i]), json_get(status, rule->counts[i]));
	for (size_t i = 0; i < N_OF(rule->orders) && rule->orders[i].field != NULL; i++) {
		const struct order *order = &rule->orders[i];
		int64_t is = json_int(json_get(status, order->field), 0);

		if (is > json_int(json_get(status, order->most), 0))
			finding_invalid(f, at(f, order->field), json_number(f->arena, is), order->text);
	}
	if (rule->grows != NULL && json_get(old, rule->grows) != NULL &&
	    json_int(json_get(status, rule->grows), -1) < json_int(json_get(old, rule->grows), 0))
		finding_invalid(f, at(f, rule->grows), json_number(f->arena, json_int(json_get(status, rule->grows), 0)),
				"cannot be decremented");
}

static void check_namespace(struct api_findings *f, const struct json *tree)
{
	bool going = json_path(tree, "metadata.deletionTimestamp") != NULL;
	struct str phase = json_path_str(tree, "status.phase");

	if (!str_is(phase, going ? "Terminating" : "Active"))
		finding_invalid_text(f, "status.Phase", phase,
				     going ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
					   : "may only be 'Active' if `deletionTimestamp` is empty");
}

static void check_ingress(struct api_findings *f, const struct json *ingress, const char *path)
{
	static const char *const modes[] = { "Proxy", "VIP" };
	struct str ip = json_get_str(ingress, "ip"), host = json_get_str(ingress, "hostname");
	const struct json *mode = json_get(ingress, "ipMode");
	struct ip parsed;

	if (ip.len != 0)
		check_ip(f, AT(f, "%s.ip", path), ip);
	if (mode == NULL && ip.len != 0)
		finding_required(f, AT(f, "%s.ipMode", path), "must be specified when `ip` is set");
	else if (mode != NULL && ip.len == 0)
		finding_forbidden(f, AT(f, "%s.ipMode", path), "may not be specified when `ip` is not set");
	else if (mode != NULL)
		check_one_of(f, AT(f, "%s.ipMode", path), json_str(mode), true, modes, 2);
	if (host.len == 0)
		return;
	check_complaints(f, AT(f, "%s.hostname", path), host, name_dns_subdomain(host));
	if (ip_parse(host, &parsed))
		finding_invalid_text(f, AT(f, "%s.hostname", path), host, "must be a DNS name, not an IP address");
}

static void check_load_balancer(struct api_findings *f, const struct json *tree)
{
	const struct json *ingress = json_path(tree, "status.loadBalancer.ingress");

	if (json_len(ingress) != 0 && !str_is(json_path_str(tree, "spec.type"), "LoadBalancer")) {
		finding_forbidden(f, "status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'");
		return;
	}
	JSON_EACH (ingress, it)
		check_ingress(f, it.value, AT(f, "status.loadBalancer.ingress[%zu]", it.index));
}

static void check_pod_conditions(struct api_findings *f, const struct json *conditions)
{
	JSON_EACH (conditions, it) {
		struct str type = json_get_str(it.value, "type");

		if (json_int(json_get(it.value, "observedGeneration"), 0) < 0)
			finding_invalid(f, AT(f, "status.conditions[%zu].observedGeneration", it.index),
					json_get(it.value, "observedGeneration"), "must be a non-negative integer");
		if (!str_is(type, "PodScheduled") && !str_is(type, "Ready") && !str_is(type, "Initialized"))
			check_complaints(f, AT(f, "status.conditions[%zu].Type", it.index), type, name_label_key(type));
	}
}

static bool has_named(const struct json *list, struct str name)
{
	JSON_EACH (list, it)
		if (str_eq(json_get_str(it.value, "name"), name))
			return true;
	return false;
}

static void check_claim_statuses(struct api_findings *f, const struct json *tree)
{
	struct places seen = { .arena = f->arena };

	JSON_EACH (json_path(tree, "status.resourceClaimStatuses"), it) {
		const char *path = AT(f, "status.resourceClaimStatuses[%zu]", it.index);
		struct str name = json_get_str(it.value, "name"), claim = json_get_str(it.value, "resourceClaimName");

		if (!has_named(json_path(tree, "spec.resourceClaims"), name))
			finding_invalid_text(f, AT(f, "%s.name", path), name,
					     "must match the name of an entry in `spec.resourceClaims`");
		if (places_add(&seen, name, it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.name", path), json_string(f->arena, name));
		if (json_get(it.value, "resourceClaimName") != NULL)
			check_complaints(f, AT(f, "%s.resourceClaimName", path), claim, name_dns_subdomain(claim));
	}
}

#define NO_CONTAINER "must match the name of an entry in spec.initContainers.name or spec.containers.name"
#define NO_RESOURCE                                                                                                                \
	"must match the extended resource name of an entry in spec.initContainers.resources.requests or "                          \
	"spec.containers.resources.requests"

static void check_mapping(struct api_findings *f, const struct json *tree, const char *path, const struct json *mapping)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	struct str name = json_get_str(mapping, "containerName"), resource = json_get_str(mapping, "resourceName");
	struct str request = json_get_str(mapping, "requestName");
	const struct json *container = NULL;

	for (int i = 0; i < 2; i++)
		JSON_EACH (json_path(tree, lists[i]), it)
			if (container == NULL && str_eq(json_get_str(it.value, "name"), name))
				container = it.value;
	if (container == NULL)
		finding_invalid_text(f, AT(f, "%s.containerName", path), name, NO_CONTAINER);
	else if (json_find(json_path(container, "resources.requests"), resource) == NULL)
		finding_invalid_text(f, AT(f, "%s.resourceName", path), resource, NO_RESOURCE);
	check_complaints(f, "status.extendedResourceClaimStatus.requestName", request, name_dns_label(request));
}

static void check_extended_claim(struct api_findings *f, const struct json *tree)
{
	const struct json *status = json_path(tree, "status.extendedResourceClaimStatus");
	const char *path = "status.extendedResourceClaimStatus";
	struct str name = json_get_str(status, "resourceClaimName");

	if (status == NULL)
		return;
	if (json_len(json_get(status, "requestMappings")) == 0)
		finding_required(f, AT(f, "%s.requestMappings", path), "at least one request mapping is required");
	JSON_EACH (json_get(status, "requestMappings"), it)
		check_mapping(f, tree, AT(f, "%s.requestMappings[%zu]", path, it.index), it.value);
	if (name.len == 0)
		finding_required(f, AT(f, "%s.resourceClaimName", path), "");
	else
		check_complaints(f, AT(f, "%s.resourceClaimName", path), name, name_dns_subdomain(name));
}

/* The first address of the list is the one that stands alone. */
static void check_addresses(struct api_findings *f, const struct json *tree, const char *path, const char *first)
{
	const struct json *list = json_path(tree, path);
	struct str ip = json_get_str(json_at(list, 0), "ip");
	struct json_builder shown = { .arena = f->arena };
	bool families[2] = { false, false };
	struct ip parsed;

	if (json_len(list) != 0 && !str_eq(ip, json_get_str(json_get(tree, "status"), first)))
		finding_invalid_text(f, AT(f, "%s[0].ip", path), ip, AT(f, "must be equal to `%s`", first));
	JSON_EACH (list, it) {
		struct str text = json_get_str(it.value, "ip");

		check_ip(f, AT(f, "%s[%zu]", path, it.index), text);
		json_builder_item(&shown, JSON_OBJECT_OF(f->arena, { "IP", json_string(f->arena, text) }));
		if (ip_parse(text, &parsed))
			families[parsed.family == 4] = true;
	}
	if (json_len(list) > 2 || (json_len(list) == 2 && !(families[0] && families[1])))
		finding_invalid(f, path, json_builder_array(&shown), "may specify no more than one IP for each IP family");
}

static void check_pod_status(struct api_findings *f, const struct json *tree, const struct json *old)
{
	struct str nominated = json_path_str(tree, "status.nominatedNodeName");

	check_pod_conditions(f, json_path(tree, "status.conditions"));
	check_immutable(f, "status.qosClass", json_path(tree, "status.qosClass"), json_path(old, "status.qosClass"));
	if (nominated.len != 0)
		check_complaints(f, "status.nominatedNodeName", nominated, name_dns_subdomain(nominated));
	if (json_int(json_path(tree, "status.observedGeneration"), 0) < 0)
		finding_invalid(f, "status.observedGeneration", json_path(tree, "status.observedGeneration"),
				"must be a non-negative integer");
	JSON_EACH (json_path(tree, "status.ephemeralContainerStatuses"), it)
		if (json_len(json_get(it.value, "allocatedResourcesStatus")) != 0)
			finding_forbidden(f, AT(f, "status.ephemeralContainerStatuses[%zu].allocatedResourcesStatus", it.index),
					  "must not be specified in container status");
	check_claim_statuses(f, tree);
	check_extended_claim(f, tree);
	check_addresses(f, tree, "status.podIPs", "podIP");
	check_addresses(f, tree, "status.hostIPs", "hostIP");
}

void check_status(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old)
{
	for (size_t i = 0; i < N_OF(rules); i++)
		if (str_is(kind_group(kind), rules[i].group) && str_is(kind_name(kind), rules[i].kind))
			check_rule(f, &rules[i], json_get(tree, "status"), json_get(old, "status"));
	check_other_status(f, kind, tree, old);
	if (kind_group(kind).len != 0)
		return;
	if (str_is(kind_name(kind), "Namespace"))
		check_namespace(f, tree);
	else if (str_is(kind_name(kind), "Node"))
		check_node_update(f, tree);
	else if (str_is(kind_name(kind), "Service"))
		check_load_balancer(f, tree);
	else if (str_is(kind_name(kind), "Pod"))
		check_pod_status(f, tree, old);
}

/* --- the other subresources of pods --- */

static bool has_resource(const struct json *list, const char *name)
{
	struct quantity quantity = quantity_of(json_get(list, name));

	return json_get(list, name) != NULL && quantity_sign(&quantity) > 0;
}

/* k8s.io/kubernetes/pkg/apis/core/v1/helper/qos: Guaranteed when every container has equal requests and limits of cpu and
 * memory, BestEffort when none has any, else Burstable. */
static void judge_container(const struct json *container, bool *any, bool *all)
{
	static const char *const names[] = { "cpu", "memory" };
	const struct json *requests = json_path(container, "resources.requests");
	const struct json *limits = json_path(container, "resources.limits");

	for (int i = 0; i < 2; i++) {
		*any = *any || has_resource(requests, names[i]) || has_resource(limits, names[i]);
		if (!has_resource(limits, names[i]) || !json_equal(json_get(requests, names[i]), json_get(limits, names[i])))
			*all = false;
	}
}

const char *api_qos_class(const struct json *tree)
{
	bool any = false, all = true;

	/* Resources of the pod as a whole decide alone. */
	if (json_len(json_path(tree, "spec.resources.requests")) + json_len(json_path(tree, "spec.resources.limits")) != 0) {
		judge_container(json_get(tree, "spec"), &any, &all);
		return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
	}
	JSON_EACH (json_path(tree, "spec.containers"), it)
		judge_container(it.value, &any, &all);
	JSON_EACH (json_path(tree, "spec.initContainers"), it)
		judge_container(it.value, &any, &all);
	return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

void update_ephemeral(struct api_findings *f, const struct json *tree, const struct json *old)
{
	const struct json *now = json_path(tree, "spec.ephemeralContainers");
	struct places last = { .arena = f->arena };

	for (size_t i = json_len(now); i-- > 0;)
		places_add(&last, json_get_str(json_at(now, i), "name"), i);
	JSON_EACH (json_path(old, "spec.ephemeralContainers"), it) {
		struct str name = json_get_str(it.value, "name");
		const struct json *new = json_at(now, places_find(&last, name));

		if (new == NULL)
			finding_forbidden(f, "spec.ephemeralContainers",
					  AT(f, "existing ephemeral containers \"%.*s\" may not be removed\n", STR_ARG(name)));
		else if (!json_equal(new, it.value))
			finding_forbidden(f, "spec.ephemeralContainers",
					  AT(f, "existing ephemeral containers \"%.*s\" may not be changed", STR_ARG(name)));
	}
}

/* A container without its requests and limits of cpu and memory. */
static const struct json *without_sizes(struct arena *arena, const struct json *container)
{
	static const char *const paths[] = { "resources.requests.cpu", "resources.requests.memory", "resources.limits.cpu",
					     "resources.limits.memory", "resizePolicy" };
	const struct json *out = container;

	for (size_t i = 0; i < N_OF(paths); i++)
		out = json_with_path(arena, out, paths[i], NULL);
	for (int i = 0; i < 2; i++) {
		const char *path = i == 0 ? "resources.requests" : "resources.limits";

		if (json_len(json_path(out, path)) == 0)
			out = json_with_path(arena, out, path, NULL);
	}
	return out;
}

static void check_kept(struct api_findings *f, const struct json *new, const struct json *old, const char *what, size_t i)
{
	const struct json *has = json_path(new, AT(f, "resources.%s", what));

	JSON_EACH (json_path(old, AT(f, "resources.%s", what)), it)
		if (json_find(has, it.key) == NULL) {
			finding_forbidden(f, AT(f, "spec.containers[%zu].resources.%s", i, what),
					  AT(f, "resource %s cannot be removed", what));
			return;
		}
}

void update_resources(struct api_findings *f, const struct json *tree, const struct json *old)
{
	const struct json *was = json_path(old, "spec.containers"), *is = json_path(tree, "spec.containers");
	const char *class = api_qos_class(tree);

	if (!str_is(json_path_str(old, "status.qosClass"), class))
		finding_invalid_text(f, "spec", json_path_str(tree, "status.qosClass"),
				     "Pod QOS Class may not change as a result of resizing");
	JSON_EACH (was, it) {
		const struct json *new = json_at(is, it.index);

		check_kept(f, new, it.value, "requests", it.index);
		check_kept(f, new, it.value, "limits", it.index);
		if (!json_equal(without_sizes(f->arena, new), without_sizes(f->arena, it.value)))
			finding_forbidden(f, "spec", "only cpu and memory resources are mutable");
	}
}
