/* Containers of a pod. Rules: pkg/apis/core/validation, validateContainerCommon and what is around it. */
#include <string.h>

#include "api/check_pod.h"
#include "api/quantity.h"
#include "api/rules.h"

struct container {
	struct api_findings *f;
	const struct json *spec; /* the pod's */
	const struct json *volumes;
	const struct json *it;
	const char *path;
	const struct pod_index *index;
};

/* What containers name, so that each finds it without a walk. */
struct pod_index {
	struct places names;  /* of the containers of all lists, in this order: */
	size_t n_main, n_all; /* containers, then with initContainers */
	struct places claims; /* of spec.resourceClaims */
	const char *claim_names;
};

/* ---- ports ---- */

static void check_port(struct api_findings *f, const char *path, const struct json *port)
{
	static const char *const protocols[] = { "SCTP", "TCP", "UDP" };
	const struct json *number = json_get(port, "containerPort"), *host = json_get(port, "hostPort");

	if (json_int(number, 0) == 0)
		finding_required(f, AT(f, "%s.containerPort", path), "");
	else
		check_number(f, AT(f, "%s.containerPort", path), number, name_port_number(json_int(number, 0)));
	if (host != NULL)
		check_number(f, AT(f, "%s.hostPort", path), host, name_port_number(json_int(host, 0)));
	check_one_of(f, AT(f, "%s.protocol", path), json_get_str(port, "protocol"), true, protocols, N_OF(protocols));
}

static void check_ports(const struct container *c)
{
	struct places names = { .arena = c->f->arena };

	JSON_EACH (json_get(c->it, "ports"), it) {
		const char *path = AT(c->f, "%s.ports[%zu]", c->path, it.index);
		struct str name = json_get_str(it.value, "name");
		struct complaints wrong = name_port(name);
		if (name.len != 0 && wrong.n != 0)
			check_complaints(c->f, AT(c->f, "%s.name", path), name, wrong);
		if (name.len != 0 && wrong.n == 0 && places_add(&names, name, it.index) != it.index)
			finding_duplicate(c->f, AT(c->f, "%s.name", path), json_string(c->f->arena, name));
		check_port(c->f, path, it.value);
	}
}

/* Host ports must differ among containers that run at the same time. */
static void check_host_ports(struct api_findings *f, const char *path, const struct json *containers, size_t first, size_t n)
{
	struct places seen = { .arena = f->arena };

	for (size_t i = first, k = 0; i < first + n; i++) {
		JSON_EACH (json_get(json_at(containers, i), "ports"), it) {
			const struct json *host = json_get(it.value, "hostPort");
			if (host == NULL)
				continue;
			struct str key = str_format(f->arena, "%.*s/%.*s/%.*s", STR_ARG(json_get_str(it.value, "protocol")),
						    STR_ARG(json_get_str(it.value, "hostIP")), STR_ARG(host->text));
			if (places_add(&seen, key, k) != k)
				finding_duplicate(f, AT(f, "%s[%zu].ports[%zu].hostPort", path, i, it.index),
						  json_string(f->arena, key));
			k++;
		}
	}
}

/* ---- environment ---- */

void check_field_ref(struct api_findings *f, const char *path, const struct json *ref, bool volume)
{
	static const char *const env[] = {
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs",     "status.podIP", "status.podIPs"
	};
	static const char *const files[] = { "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
					     "metadata.uid" };
	struct str field = json_get_str(ref, "fieldPath"), subject = field;
	ptrdiff_t bracket = str_find(field, '[');
	bool known = false;

	if (field.len == 0) {
		finding_required(f, AT(f, "%s.fieldPath", path), "");
		return;
	}
	if (bracket >= 0)
		subject = str_head(field, (size_t)bracket);
	for (size_t i = 0; i < N_OF(env); i++)
		known = known || str_is(field, env[i]);
	for (size_t i = 0; i < N_OF(files); i++)
		known = known || str_is(subject, files[i]);
	if (!known) {
		finding_invalid_text(f, AT(f, "%s.fieldPath", path), field,
				     AT(f, "error converting fieldPath: field label not supported: %.*s", STR_ARG(field)));
		return;
	}
	if (bracket < 0)
		check_one_of(f, AT(f, "%s.fieldPath", path), field, true, volume ? files : env, volume ? N_OF(files) : N_OF(env));
}

static void check_resource_ref(struct api_findings *f, const char *path, const struct json *ref)
{
	static const char *const known[] = { "limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
					     "requests.cpu", "requests.ephemeral-storage", "requests.memory" };
	struct str resource = json_get_str(ref, "resource");

	if (str_has_prefix(resource, STR("requests.hugepages-")) || str_has_prefix(resource, STR("limits.hugepages-")))
		return;
	check_one_of(f, AT(f, "%s.resource", path), resource, true, known, N_OF(known));
}

static void check_key_ref(struct api_findings *f, const char *path, const struct json *ref)
{
	struct str key = json_get_str(ref, "key");

	check_complaints(f, AT(f, "%s.name", path), json_get_str(ref, "name"), name_dns_subdomain(json_get_str(ref, "name")));
	if (key.len == 0)
		finding_required(f, AT(f, "%s.key", path), "");
	else
		check_complaints(f, AT(f, "%s.key", path), key, name_config_key(key));
}

static void check_file_ref(struct api_findings *f, const char *path, const struct json *ref)
{
	static const struct rule rows[] = {
		NEEDED("key", ""),        NAME("key", name_env_var),
		NEEDED("volumeName", ""), NAME("volumeName", name_dns_label),
		NEEDED("path", ""),       RULES_END,
	};

	rules_find(f, rows, ref, path);
	check_no_backsteps(f, AT(f, "%s.path", path), json_get_str(ref, "path"));
}

static void check_value_from(struct api_findings *f, const char *path, const struct json *variable)
{
	const struct json *from = json_get(variable, "valueFrom");

	if (from == NULL)
		return;
	if (json_get(from, "fieldRef") != NULL)
		check_field_ref(f, AT(f, "%s.fieldRef", path), json_get(from, "fieldRef"), false);
	if (json_get(from, "resourceFieldRef") != NULL)
		check_resource_ref(f, AT(f, "%s.resourceFieldRef", path), json_get(from, "resourceFieldRef"));
	if (json_get(from, "configMapKeyRef") != NULL)
		check_key_ref(f, AT(f, "%s.configMapKeyRef", path), json_get(from, "configMapKeyRef"));
	if (json_get(from, "secretKeyRef") != NULL)
		check_key_ref(f, AT(f, "%s.secretKeyRef", path), json_get(from, "secretKeyRef"));
	if (json_get(from, "fileKeyRef") != NULL)
		check_file_ref(f, AT(f, "%s.fileKeyRef", path), json_get(from, "fileKeyRef"));
	if (json_len(from) == 0)
		finding_invalid_text(f, path, STR(""),
				     "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
				     "`secretKeyRef` or `fileKeyRef`");
	else if (json_get_str(variable, "value").len != 0)
		finding_invalid_text(f, path, STR(""), "may not be specified when `value` is not empty");
	else if (json_len(from) > 1)
		finding_invalid_text(f, path, STR(""), "may not have more than one field specified at a time");
}

static const struct rule object_name[] = { NEEDED("name", ""), NAME("name", name_dns_subdomain), RULES_END };

static void check_env(const struct container *c)
{
	struct api_findings *f = c->f;

	JSON_EACH (json_get(c->it, "env"), it) {
		const char *path = AT(f, "%s.env[%zu]", c->path, it.index);
		struct str name = json_get_str(it.value, "name");
		if (name.len == 0)
			finding_required(f, AT(f, "%s.name", path), "");
		else
			check_complaints(f, AT(f, "%s.name", path), name, name_env_var(name));
		check_value_from(f, AT(f, "%s.valueFrom", path), it.value);
	}
	JSON_EACH (json_get(c->it, "envFrom"), it) {
		const struct json *map = json_get(it.value, "configMapRef"), *secret = json_get(it.value, "secretRef");
		const char *path = AT(f, "%s.envFrom", c->path);
		struct str prefix = json_get_str(it.value, "prefix");
		if (prefix.len != 0)
			check_complaints(f, AT(f, "%s[%zu].prefix", path, it.index), prefix, name_env_var(prefix));
		if (map != NULL)
			rules_find(f, object_name, map, AT(f, "%s[%zu].configMapRef", path, it.index));
		if (secret != NULL)
			rules_find(f, object_name, secret, AT(f, "%s[%zu].secretRef", path, it.index));
		if (map == NULL && secret == NULL)
			finding_invalid_text(f, path, STR(""), "must specify one of: `configMapRef` or `secretRef`");
		else if (map != NULL && secret != NULL)
			finding_invalid_text(f, path, STR(""), "may not have more than one field specified at a time");
	}
}

/* ---- resources ---- */

static bool huge_page(struct str name)
{
	return str_has_prefix(name, STR("hugepages-"));
}

static bool native(struct str name)
{
	return str_find(name, '/') < 0 || str_contains(name, STR("kubernetes.io/"));
}

bool is_extended_resource(struct str name)
{
	AUTO_BUF struct buf quota = { 0 };

	buf_printf(&quota, "requests.%.*s", STR_ARG(name));
	return !native(name) && !str_has_prefix(name, STR("requests.")) && name_label_key(buf_str(&quota)).n == 0;
}

void check_resource_name(struct api_findings *f, const char *path, struct str name, bool of_container)
{
	static const char *const standard[] = { "cpu", "memory", "ephemeral-storage" };
	static const char *const elsewhere[] = { "storage",
						 "pods",
						 "services",
						 "replicationcontrollers",
						 "resourcequotas",
						 "secrets",
						 "configmaps",
						 "persistentvolumeclaims",
						 "services.nodeports",
						 "services.loadbalancers",
						 "requests.cpu",
						 "requests.memory",
						 "limits.cpu",
						 "limits.memory",
						 "requests.storage",
						 "requests.ephemeral-storage",
						 "limits.ephemeral-storage" };
	struct complaints c = name_label_key(name);
	bool container = huge_page(name), any = huge_page(name);

	check_complaints(f, path, name, c);
	if (str_find(name, '/') >= 0) {
		if (of_container && !native(name) && !is_extended_resource(name))
			finding_invalid_text(f, path, name, "doesn't follow extended resource name standard");
		return;
	}
	for (size_t i = 0; i < N_OF(standard); i++)
		container = container || str_is(name, standard[i]);
	for (size_t i = 0; i < N_OF(elsewhere); i++)
		any = any || str_is(name, elsewhere[i]);
	if (c.n == 0 && !container && !any)
		finding_invalid_text(f, path, name, "must be a standard resource type or fully qualified");
	if (of_container && !container)
		finding_invalid_text(f, path, name, "must be a standard resource for containers");
}

static void check_amount(struct api_findings *f, const char *path, struct str name, const struct json *value)
{
	struct quantity q = quantity_of(value);

	check_resource_name(f, path, name, true);
	if (quantity_sign(&q) < 0)
		finding_invalid(f, path, value, "must be greater than or equal to 0");
	if (!native(name) && !quantity_whole(&q))
		finding_invalid(f, path, value, "must be an integer");
}

void check_overhead(struct api_findings *f, const char *path, const struct json *overhead)
{
	JSON_EACH (overhead, it)
		check_amount(f, AT(f, "%s.limits[%.*s]", path, STR_ARG(it.key)), it.key, it.value);
}

static void check_request(struct api_findings *f, const char *path, struct str name, const struct json *value,
			  const struct json *limits)
{
	const struct json *limit = json_find(limits, name);
	struct quantity is = quantity_of(value), most = quantity_of(limit);
	bool overcommit = native(name) && !huge_page(name);
	int order = quantity_cmp(&is, &most);

	if (limit == NULL) {
		if (!overcommit)
			finding_required(f, AT(f, "%s.limits", path), "Limit must be set for non overcommitable resources");
		return;
	}
	if (order != 0 && !overcommit)
		finding_invalid(f, AT(f, "%s.requests", path), value,
				AT(f, "must be equal to %.*s limit of %.*s", STR_ARG(name), STR_ARG(json_str(limit))));
	else if (order > 0)
		finding_invalid(f, AT(f, "%s.requests", path), value,
				AT(f, "must be less than or equal to %.*s limit of %.*s", STR_ARG(name), STR_ARG(json_str(limit))));
}

/* The same claim as one before: as a whole or by the same request, or a whole of which a part was there. */
static bool claimed_before(const struct json *claims, size_t at)
{
	const struct json *claim = json_at(claims, at);
	struct str name = json_get_str(claim, "name"), request = json_get_str(claim, "request");

	JSON_EACH (claims, it) {
		struct str other = json_get_str(it.value, "request");

		if (it.index == at)
			return false;
		if (str_eq(json_get_str(it.value, "name"), name) && (other.len == 0 || request.len == 0 || str_eq(other, request)))
			return true;
	}
	return false;
}

static void check_claimed(const struct container *c, const char *path, const struct json *claims)
{
	JSON_EACH (claims, it) {
		const char *at = AT(c->f, "%s[%zu]", path, it.index);
		struct str name = json_get_str(it.value, "name"), request = json_get_str(it.value, "request");

		if (name.len == 0) {
			finding_required(c->f, at, "");
			continue;
		}
		if (request.len != 0)
			check_complaints(c->f, AT(c->f, "%s.request", at), request, name_dns_label(request));
		if (claimed_before(claims, it.index))
			finding_duplicate(c->f, at, json_string(c->f->arena, name));
		if (places_find(&c->index->claims, name) == PLACES_NONE)
			finding_not_found_among(c->f, at, json_get(it.value, "name"), c->index->claim_names);
	}
}

static void check_resources(const struct container *c)
{
	const struct json *resources = json_get(c->it, "resources"), *limits = json_get(resources, "limits");
	const struct json *requests = json_get(resources, "requests");
	const char *path = AT(c->f, "%s.resources", c->path);
	bool huge = false, plain = false;

	JSON_EACH (limits, it) {
		check_amount(c->f, AT(c->f, "%s.limits[%.*s]", path, STR_ARG(it.key)), it.key, it.value);
		huge = huge || huge_page(it.key);
		plain = plain || str_is(it.key, "cpu") || str_is(it.key, "memory");
	}
	JSON_EACH (requests, it) {
		check_amount(c->f, AT(c->f, "%s.requests[%.*s]", path, STR_ARG(it.key)), it.key, it.value);
		check_request(c->f, path, it.key, it.value, limits);
		huge = huge || huge_page(it.key);
		plain = plain || str_is(it.key, "cpu") || str_is(it.key, "memory");
	}
	if (huge && !plain)
		finding_forbidden(c->f, path, "HugePages require cpu or memory");
	check_claimed(c, AT(c->f, "%s.claims", path), json_get(resources, "claims"));
}

/* ---- probes and hooks ---- */

static void check_http(struct api_findings *f, const char *path, const struct json *action)
{
	static const char *const schemes[] = { "HTTP", "HTTPS" };

	if (json_get_str(action, "path").len == 0)
		finding_required(f, AT(f, "%s.path", path), "");
	check_port_number_or_name(f, AT(f, "%s.port", path), json_get(action, "port"));
	check_one_of(f, AT(f, "%s.scheme", path), json_get_str(action, "scheme"), false, schemes, N_OF(schemes));
	JSON_EACH (json_get(action, "httpHeaders"), it) {
		struct str name = json_get_str(it.value, "name");
		check_complaints(f, AT(f, "%s.httpHeaders", path), name, name_http_header(name));
	}
}

static void check_exec(struct api_findings *f, const char *path, const struct json *action)
{
	if (json_len(json_get(action, "command")) == 0)
		finding_required(f, AT(f, "%s.command", path), "");
}

static void check_tcp(struct api_findings *f, const char *path, const struct json *action)
{
	check_port_number_or_name(f, AT(f, "%s.port", path), json_get(action, "port"));
}

static void check_grpc(struct api_findings *f, const char *path, const struct json *action)
{
	const struct json *port = json_get(action, "port");

	check_number(f, AT(f, "%s.port", path), port, name_port_number(json_int(port, 0)));
}

static void check_sleep(struct api_findings *f, const char *path, const struct json *action, const struct json *grace)
{
	int64_t seconds = json_int(json_get(action, "seconds"), 0);

	if (grace != NULL && (seconds < 0 || seconds > json_int(grace, 0)))
		finding_invalid(f, path, json_get(action, "seconds"),
				AT(f, "must be non-negative and less than terminationGracePeriodSeconds (%lld)",
				   (long long)json_int(grace, 0)));
}

static void check_handler(const struct container *c, const char *path, const struct json *handler)
{
	static const struct {
		const char *name;
		void (*check)(struct api_findings *f, const char *path, const struct json *action);
	} actions[] = { { "exec", check_exec },
			{ "httpGet", check_http },
			{ "tcpSocket", check_tcp },
			{ "grpc", check_grpc },
			{ "sleep", NULL } };
	struct api_findings *f = c->f;
	size_t n = 0;

	for (size_t i = 0; i < N_OF(actions); i++) {
		const struct json *action = json_get(handler, actions[i].name);
		const char *at = AT(f, "%s.%s", path, actions[i].name);
		if (action == NULL)
			continue;
		if (n++ != 0)
			finding_forbidden(f, at, "may not specify more than 1 handler type");
		else if (actions[i].check != NULL)
			actions[i].check(f, at, action);
		else
			check_sleep(f, at, action, json_get(c->spec, "terminationGracePeriodSeconds"));
	}
	if (n == 0)
		finding_required(f, path, "must specify a handler type");
}

static void check_probe(const struct container *c, const char *which)
{
	static const char *const numbers[] = { "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
					       "failureThreshold" };
	const struct json *probe = json_get(c->it, which), *grace = json_get(probe, "terminationGracePeriodSeconds");
	const char *path = AT(c->f, "%s.%s", c->path, which);
	bool readiness = strcmp(which, "readinessProbe") == 0;

	if (probe == NULL)
		return;
	check_handler(c, path, probe);
	for (size_t i = 0; i < N_OF(numbers); i++)
		check_not_negative(c->f, AT(c->f, "%s.%s", path, numbers[i]), json_get(probe, numbers[i]));
	if (readiness && grace != NULL)
		finding_invalid(c->f, AT(c->f, "%s.terminationGracePeriodSeconds", path), grace,
				"must not be set for readinessProbes");
	else if (json_int(grace, 1) <= 0)
		finding_invalid(c->f, AT(c->f, "%s.terminationGracePeriodSeconds", path), grace, "must be greater than 0");
	if (!readiness && json_int(json_get(probe, "successThreshold"), 1) != 1)
		finding_invalid(c->f, AT(c->f, "%s.successThreshold", path), json_get(probe, "successThreshold"), "must be 1");
}

static void check_probes_and_hooks(const struct container *c)
{
	static const char *const hooks[] = { "postStart", "preStop" };

	for (int i = 0; i < 2; i++) {
		const struct json *hook = json_get(json_get(c->it, "lifecycle"), hooks[i]);
		if (hook != NULL)
			check_handler(c, AT(c->f, "%s.lifecycle.%s", c->path, hooks[i]), hook);
	}
	check_probe(c, "livenessProbe");
	check_probe(c, "readinessProbe");
	check_probe(c, "startupProbe");
}

/* ---- security ---- */

static void check_security(const struct container *c)
{
	static const char *const mounts[] = { "Default", "Unmasked" };
	static const struct shown_field fields[] = {
		{ "Capabilities", "capabilities", "null" },
		{ "Privileged", "privileged", "null" },
		{ "SELinuxOptions", "seLinuxOptions", "null" },
		{ "WindowsOptions", "windowsOptions", "null" },
		{ "RunAsUser", "runAsUser", "null" },
		{ "RunAsGroup", "runAsGroup", "null" },
		{ "RunAsNonRoot", "runAsNonRoot", "null" },
		{ "ReadOnlyRootFilesystem", "readOnlyRootFilesystem", "null" },
		{ "AllowPrivilegeEscalation", "allowPrivilegeEscalation", "null" },
		{ "ProcMount", "procMount", "null" },
		{ "SeccompProfile", "seccompProfile", "null" },
		{ "AppArmorProfile", "appArmorProfile", "null" },
	};
	const struct json *sc = json_get(c->it, "securityContext"), *escalation = json_get(sc, "allowPrivilegeEscalation");
	const struct json *shown = shown_struct(c->f->arena, sc, fields, N_OF(fields));
	const char *path = AT(c->f, "%s.securityContext", c->path);
	bool own_users = json_is(json_get(c->spec, "hostUsers"), JSON_BOOL) && !json_bool(json_get(c->spec, "hostUsers"));

	if (sc == NULL)
		return;
	check_id(c->f, AT(c->f, "%s.runAsUser", path), json_get(sc, "runAsUser"));
	check_id(c->f, AT(c->f, "%s.runAsGroup", path), json_get(sc, "runAsGroup"));
	check_if_one_of(c->f, AT(c->f, "%s.procMount", path), json_get(sc, "procMount"), mounts, N_OF(mounts));
	if (str_is(json_get_str(sc, "procMount"), "Unmasked") && !own_users)
		finding_invalid(c->f, AT(c->f, "%s.procMount", path), json_get(sc, "procMount"),
				"`hostUsers` must be false to use `Unmasked`");
	check_security_rules(c->f, path, sc, true);
	if (escalation == NULL || json_bool(escalation))
		return;
	if (json_bool(json_get(sc, "privileged")))
		finding_invalid(c->f, path, shown, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
	JSON_EACH (json_path(sc, "capabilities.add"), it)
		if (str_is(json_str(it.value), "CAP_SYS_ADMIN"))
			finding_invalid(c->f, path, shown,
					"cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

/* ---- containers ---- */

static void check_resize(const struct container *c)
{
	static const char *const resources[] = { "cpu", "memory" };
	static const char *const policies[] = { "NotRequired", "RestartContainer" };
	const char *path = AT(c->f, "%s.resizePolicy", c->path);
	struct places seen = { .arena = c->f->arena };

	JSON_EACH (json_get(c->it, "resizePolicy"), it) {
		const struct json *policy = json_get(it.value, "restartPolicy");
		struct str name = json_get_str(it.value, "resourceName");
		if (places_add(&seen, name, it.index) != it.index)
			finding_duplicate(c->f, AT(c->f, "%s[%zu]", path, it.index), json_string(c->f->arena, name));
		check_one_of(c->f, path, name, true, resources, N_OF(resources));
		check_one_of(c->f, path, json_str(policy), true, policies, N_OF(policies));
		if (str_is(json_get_str(c->spec, "restartPolicy"), "Never") && !str_is(json_str(policy), "NotRequired"))
			finding_invalid(c->f, path, policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
	}
}

static void check_restart_rule(struct api_findings *f, const char *path, const struct json *rule)
{
	static const char *const actions[] = { "Restart", "RestartAllContainers" };
	static const char *const operators[] = { "In", "NotIn" };
	const struct json *codes = json_get(rule, "exitCodes");

	if (!str_is(json_get_str(rule, "action"), actions[0]) && !str_is(json_get_str(rule, "action"), actions[1]))
		finding_unsupported(f, AT(f, "%s.action", path), json_get_str(rule, "action"), actions, N_OF(actions));
	if (codes == NULL) {
		finding_required(f, AT(f, "%s.exitCodes", path), "must be specified");
		return;
	}
	if (!str_is(json_get_str(codes, "operator"), "In") && !str_is(json_get_str(codes, "operator"), "NotIn"))
		finding_unsupported(f, AT(f, "%s.exitCodes.operator", path), json_get_str(codes, "operator"), operators, 2);
	if (json_len(json_get(codes, "values")) > 255)
		finding_too_many(f, AT(f, "%s.exitCodes.values", path), json_len(json_get(codes, "values")), 255);
}

/* rules: also of an init container that restarts always? Upstream lets it have none. */
static void check_restarts(const struct container *c, bool init)
{
	static const char *const policies[] = { "Always", "Never", "OnFailure" };
	const struct json *policy = json_get(c->it, "restartPolicy"), *rules = json_get(c->it, "restartPolicyRules");

	if (init && str_is(json_str(policy), "Always")) {
		if (json_len(rules) != 0)
			finding_forbidden(c->f, AT(c->f, "%s.restartPolicyRules", c->path),
					  "restartPolicyRules are not allowed for init containers with restart policy Always");
		return;
	}
	if (policy == NULL && json_len(rules) != 0)
		finding_required(c->f, AT(c->f, "%s.restartPolicy", c->path),
				 "must specify restartPolicy when restart rules are used");
	if (policy == NULL && (init || json_len(rules) == 0))
		return;
	check_if_one_of(c->f, AT(c->f, "%s.restartPolicy", c->path), policy, policies, N_OF(policies));
	if (json_len(rules) > 20)
		finding_too_many(c->f, AT(c->f, "%s.restartPolicyRules", c->path), json_len(rules), 20);
	JSON_EACH (rules, it)
		check_restart_rule(c->f, AT(c->f, "%s.restartPolicyRules[%zu]", c->path, it.index), it.value);
}

static void check_common(const struct container *c, bool template)
{
	static const char *const messages[] = { "File", "FallbackToLogsOnError" };
	static const char *const pulls[] = { "Always", "IfNotPresent", "Never" };
	struct str name = json_get_str(c->it, "name"), image = json_get_str(c->it, "image");

	if (name.len == 0)
		finding_required(c->f, AT(c->f, "%s.name", c->path), "");
	else
		check_complaints(c->f, AT(c->f, "%s.name", c->path), name, name_dns_label(name));
	if (image.len == 0)
		finding_required(c->f, AT(c->f, "%s.image", c->path), "");
	else if (!template && str_trim(image).len != image.len)
		finding_invalid_text(c->f, AT(c->f, "%s.image", c->path), image, "must not have leading or trailing whitespace");
	check_one_of(c->f, AT(c->f, "%s.terminationMessagePolicy", c->path), json_get_str(c->it, "terminationMessagePolicy"), true,
		     messages, N_OF(messages));
	check_ports(c);
	check_env(c);
	check_mounts(c->f, AT(c->f, "%s.volumeMounts", c->path), c->it, c->volumes);
	check_one_of(c->f, AT(c->f, "%s.imagePullPolicy", c->path), json_get_str(c->it, "imagePullPolicy"), true, pulls,
		     N_OF(pulls));
	check_devices(c->f, AT(c->f, "%s.volumeDevices", c->path), c->it, c->volumes);
	check_resources(c);
	check_resize(c);
	check_security(c);
}

static void check_init(const struct container *c)
{
	static const char *const never[] = { "lifecycle", "livenessProbe", "readinessProbe", "startupProbe" };

	check_restarts(c, true);
	if (str_is(json_get_str(c->it, "restartPolicy"), "Always")) {
		check_probes_and_hooks(c);
		return;
	}
	for (size_t i = 0; i < N_OF(never); i++)
		if (json_get(c->it, never[i]) != NULL)
			finding_forbidden(c->f, AT(c->f, "%s.%s", c->path, never[i]),
					  "may not be set for init containers without restartPolicy=Always");
}

static void check_ephemeral(const struct container *c)
{
	static const char *const allowed[] = { "name",
					       "image",
					       "command",
					       "args",
					       "workingDir",
					       "env",
					       "envFrom",
					       "volumeMounts",
					       "volumeDevices",
					       "terminationMessagePath",
					       "terminationMessagePolicy",
					       "imagePullPolicy",
					       "securityContext",
					       "stdin",
					       "stdinOnce",
					       "tty",
					       "targetContainerName" };
	static const char *const paths[] = { "subPath", "subPathExpr" };
	static const char never[] = "cannot be set for an Ephemeral Container";
	const struct json *target = json_get(c->it, "targetContainerName");

	if (target != NULL && places_find(&c->index->names, json_str(target)) >= c->index->n_all)
		finding_not_found(c->f, AT(c->f, "%s.targetContainerName", c->path), target);
	JSON_EACH (c->it, it) {
		bool fine = json_len(it.value) == 0 && (json_is(it.value, JSON_OBJECT) || json_is(it.value, JSON_ARRAY));
		for (size_t i = 0; i < N_OF(allowed); i++)
			fine = fine || str_is(it.key, allowed[i]);
		if (!fine)
			finding_forbidden(c->f, AT(c->f, "%s.%.*s", c->path, STR_ARG(it.key)), never);
	}
	JSON_EACH (json_get(c->it, "volumeMounts"), it)
		for (int i = 0; i < 2; i++)
			if (json_get_str(it.value, paths[i]).len != 0)
				finding_forbidden(c->f, AT(c->f, "%s.volumeMounts[%zu].%s", c->path, it.index, paths[i]), never);
}

static void check_list(struct api_findings *f, const char *path, const struct json *spec, const char *list,
		       const struct json *volumes, bool template, const struct pod_index *index)
{
	const struct json *containers = json_get(spec, list);
	bool main = strcmp(list, "containers") == 0, init = strcmp(list, "initContainers") == 0;
	size_t first = main ? 0 : init ? index->n_main : index->n_all;

	path = AT(f, "%s.%s", path, list);
	JSON_EACH (containers, it) {
		struct container c = { f, spec, volumes, it.value, AT(f, "%s[%zu]", path, it.index), index };
		struct str name = json_get_str(it.value, "name");
		check_common(&c, template);
		if (places_find(&index->names, name) < first + it.index)
			finding_duplicate(f, AT(f, "%s.name", c.path), json_string(f->arena, name));
		if (main) {
			check_probes_and_hooks(&c);
			check_restarts(&c, false);
		} else if (init) {
			check_init(&c);
		} else {
			check_ephemeral(&c);
		}
		if (init)
			check_host_ports(f, path, containers, it.index, 1);
	}
	if (main)
		check_host_ports(f, path, containers, 0, json_len(containers));
}

static struct pod_index index_of(struct arena *arena, const struct json *spec)
{
	static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };
	const struct json *claims = json_get(spec, "resourceClaims");
	struct pod_index index = { .names = { .arena = arena }, .claims = { .arena = arena } };
	AUTO_BUF struct buf names = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < N_OF(lists); i++)
		JSON_EACH (json_get(spec, lists[i]), it)
			places_add(&index.names, json_get_str(it.value, "name"), n++);
	index.n_main = json_len(json_get(spec, lists[0]));
	index.n_all = index.n_main + json_len(json_get(spec, lists[1]));
	buf_printf(&names, "must be one of the names in pod.spec.resourceClaims%s", json_len(claims) == 0 ? " which is empty" : "");
	JSON_EACH (claims, it) {
		struct str name = json_get_str(it.value, "name");
		places_add(&index.claims, name, it.index);
		buf_printf(&names, "%s%.*s", it.index == 0 ? ": " : ", ", STR_ARG(name));
	}
	index.claim_names = str_cstr(arena, buf_str(&names));
	return index;
}

void check_containers(struct api_findings *f, const char *path, const struct json *spec, const struct json *volumes, bool template)
{
	struct pod_index index = index_of(f->arena, spec);

	if (json_len(json_get(spec, "containers")) == 0)
		finding_required(f, AT(f, "%s.containers", path), "");
	check_list(f, path, spec, "containers", volumes, template, &index);
	check_list(f, path, spec, "initContainers", volumes, template, &index);
	check_list(f, path, spec, "ephemeralContainers", volumes, template, &index);
}
