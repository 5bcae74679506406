/* Rules of devices: claims, classes, slices. Expressions in CEL are not looked into. Source:
 * k8s.io/kubernetes/pkg/apis/resource/validation. */
#include "api/check_pod.h"
#include "api/hooks.h"
#include "api/quantity.h"
#include "api/rules.h"

/* --- names --- */

static void check_pool(struct api_findings *f, const char *path, struct str name)
{
	struct str rest = name, part;

	if (name.len == 0) {
		finding_required(f, path, "");
		return;
	}
	if (name.len > 253)
		finding_too_long(f, path, 253);
	while (str_cut(&rest, '/', &part))
		check_complaints(f, path, part, name_dns_subdomain(part));
}

static void check_identifier(struct api_findings *f, const char *path, struct str id)
{
	if (id.len > 32)
		finding_too_long(f, path, 32);
	check_complaints(f, path, id, name_c_identifier(id));
}

/* What has more than one slash is not looked at: upstream forgot it. */
static void check_qualified(struct api_findings *f, const char *path, struct str name)
{
	ptrdiff_t slash = str_find(name, '/');
	struct str domain = slash < 0 ? STR("") : str_head(name, (size_t)slash);
	struct str id = slash < 0 ? name : str_skip(name, (size_t)slash + 1);

	if (str_find(id, '/') >= 0)
		return;
	if (slash == 0)
		finding_invalid_text(f, path, STR(""), "the domain must not be empty");
	else if (slash > 0)
		check_csi_driver_name(f, path, domain);
	if (slash >= 0 && id.len == 0)
		finding_invalid_text(f, path, STR(""), "the name must not be empty");
	else
		check_identifier(f, path, id);
}

static void check_fully_qualified(struct api_findings *f, const char *path, struct str name)
{
	check_qualified(f, path, name);
	if (str_find(name, '/') < 0)
		finding_invalid_text(f, path, name, "a fully qualified name must be a domain and a name separated by a slash");
}

/* --- what a request asks for --- */

static void check_device_toleration(struct api_findings *f, const char *path, const struct json *toleration)
{
	static const char *const operators[] = { "Equal", "Exists" }, *const effects[] = { "NoExecute", "NoSchedule", "None" };
	struct str key = json_get_str(toleration, "key"), operator= json_get_str(toleration, "operator");
	struct str value = json_get_str(toleration, "value");

	if (key.len != 0)
		check_complaints(f, AT(f, "%s.key", path), key, name_label_key(key));
	if (str_is(operator, "Exists") && value.len != 0)
		finding_invalid_text(f, AT(f, "%s.value", path), value, "must be empty for operator `Exists`");
	else if (str_is(operator, "Equal"))
		check_complaints(f, AT(f, "%s.value", path), value, name_label_value(value));
	else
		check_one_of(f, AT(f, "%s.operator", path), operator, true, operators, N_OF(operators));
	check_one_of(f, AT(f, "%s.effect", path), json_get_str(toleration, "effect"), false, effects, N_OF(effects));
}

static void check_selectors(struct api_findings *f, const char *path, const struct json *selectors)
{
	JSON_EACH (selectors, it)
		if (json_get(it.value, "cel") == NULL)
			finding_required(f, AT(f, "%s[%zu].cel", path, it.index), "");
}

static void check_asked(struct api_findings *f, const char *path, const struct json *asked)
{
	static const char *const modes[] = { "All", "ExactCount" };
	struct str class = json_get_str(asked, "deviceClassName"), mode = json_get_str(asked, "allocationMode");
	const struct json *count = json_number(f->arena, json_int(json_get(asked, "count"), 0));

	if (class.len == 0)
		finding_required(f, AT(f, "%s.deviceClassName", path), "");
	else
		check_complaints(f, AT(f, "%s.deviceClassName", path), class, name_dns_subdomain(class));
	check_selectors(f, AT(f, "%s.selectors", path), json_get(asked, "selectors"));
	if (str_is(mode, "All") && json_int(count, 0) != 0)
		finding_invalid(f, AT(f, "%s.count", path), count, "must not be specified when allocationMode is 'All'");
	else if (str_is(mode, "ExactCount") && json_int(count, 0) <= 0)
		finding_invalid(f, AT(f, "%s.count", path), count, "must be greater than zero");
	else if (!str_is(mode, "All") && !str_is(mode, "ExactCount"))
		finding_unsupported(f, AT(f, "%s.allocationMode", path), mode, modes, N_OF(modes));
	JSON_EACH (json_get(asked, "tolerations"), it)
		check_device_toleration(f, AT(f, "%s.tolerations[%zu]", path, it.index), it.value);
}

static void check_twice(struct api_findings *f, const char *path, const struct json *list, const char *key)
{
	struct places seen = { .arena = f->arena };

	JSON_EACH (list, it) {
		const struct json *value = key == NULL ? it.value : json_get(it.value, key);

		if (places_add(&seen, json_str(value), it.index) != it.index)
			finding_duplicate(f, AT(f, "%s[%zu]", path, it.index), value == NULL ? &json_empty_string : value);
	}
}

static void check_request(struct api_findings *f, const char *path, const struct json *request)
{
	const struct json *exactly = json_get(request, "exactly"), *first = json_get(request, "firstAvailable");
	struct str name = json_get_str(request, "name");

	check_complaints(f, AT(f, "%s.name", path), name, name_dns_label(name));
	if (exactly == NULL && json_len(first) == 0)
		finding_required(f, path, "exactly one of `exactly` or `firstAvailable` is required");
	else if (exactly != NULL && json_len(first) != 0)
		finding_invalid(f, path, &json_null,
				"exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set");
	else if (exactly != NULL)
		check_asked(f, AT(f, "%s.exactly", path), exactly);
	else {
		JSON_EACH (first, it) {
			const char *at = AT(f, "%s.firstAvailable[%zu]", path, it.index);
			struct str own = json_get_str(it.value, "name");

			check_complaints(f, AT(f, "%s.name", at), own, name_dns_label(own));
			check_asked(f, at, it.value);
		}
		check_twice(f, AT(f, "%s.firstAvailable", path), first, "name");
	}
}

/* --- what refers to requests --- */

static bool has_request(const struct json *requests, struct str name)
{
	struct str rest = name, first;

	str_cut(&rest, '/', &first);
	JSON_EACH (requests, it) {
		if (!str_eq(json_get_str(it.value, "name"), first))
			continue;
		if (first.len == name.len)
			return true;
		JSON_EACH (json_get(it.value, "firstAvailable"), sub)
			if (str_eq(json_get_str(sub.value, "name"), rest))
				return true;
	}
	return false;
}

#define NO_REQUEST "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

static void check_reference(struct api_findings *f, const char *path, const struct json *requests, struct str name)
{
	struct str rest = name, part;
	size_t slashes = 0;

	for (size_t i = 0; i < name.len; i++)
		slashes += name.ptr[i] == '/';
	if (slashes > 1) {
		finding_invalid_text(f, path, name, NO_REQUEST);
		return;
	}
	for (size_t i = 0; i <= slashes; i++) {
		part = STR("");
		str_cut(&rest, '/', &part);
		check_complaints(f, path, part, name_dns_label(part));
	}
	if (!has_request(requests, name))
		finding_invalid_text(f, path, name, NO_REQUEST);
}

static void check_references(struct api_findings *f, const char *path, const struct json *requests, const struct json *names)
{
	JSON_EACH (names, it)
		check_reference(f, AT(f, "%s[%zu]", path, it.index), requests, json_str(it.value));
	check_twice(f, path, names, NULL);
}

static void check_constraint(struct api_findings *f, const char *path, const struct json *requests, const struct json *one)
{
	const struct json *same = json_get(one, "matchAttribute"), *distinct = json_get(one, "distinctAttribute");

	check_references(f, AT(f, "%s.requests", path), requests, json_get(one, "requests"));
	if (same != NULL)
		check_fully_qualified(f, AT(f, "%s.matchAttribute", path), json_str(same));
	else if (distinct != NULL)
		check_fully_qualified(f, AT(f, "%s.distinctAttribute", path), json_str(distinct));
	else
		finding_required(
			f, path,
			"exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set");
}

static void check_parameters(struct api_findings *f, const char *path, const struct json *parameters)
{
	if (json_absent(parameters))
		finding_required(f, path, "");
	else if (!json_is(parameters, JSON_OBJECT))
		finding_invalid_text(f, path, STR("<value omitted>"), "must be a valid JSON object");
}

static void check_configuration(struct api_findings *f, const char *path, const struct json *config)
{
	const struct json *opaque = json_get(config, "opaque");

	if (opaque == NULL) {
		finding_required(f, AT(f, "%s.opaque", path), "");
		return;
	}
	check_csi_driver_name(f, AT(f, "%s.opaque.driver", path), json_get_str(opaque, "driver"));
	check_parameters(f, AT(f, "%s.opaque.parameters", path), json_get(opaque, "parameters"));
}

void validate_device_claim(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *requests = json_get(tree, "requests");

	(void)type;
	JSON_EACH (requests, it)
		check_request(f, AT(f, "%s.requests[%zu]", path, it.index), it.value);
	check_twice(f, AT(f, "%s.requests", path), requests, "name");
	JSON_EACH (json_get(tree, "constraints"), it)
		check_constraint(f, AT(f, "%s.constraints[%zu]", path, it.index), requests, it.value);
	JSON_EACH (json_get(tree, "config"), it) {
		const char *at = AT(f, "%s.config[%zu]", path, it.index);

		check_references(f, AT(f, "%s.requests", at), requests, json_get(it.value, "requests"));
		check_configuration(f, at, it.value);
	}
}

void validate_device_class_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *name = json_get(tree, "extendedResourceName");

	(void)type;
	check_selectors(f, AT(f, "%s.selectors", path), json_get(tree, "selectors"));
	JSON_EACH (json_get(tree, "config"), it)
		check_configuration(f, AT(f, "%s.config[%zu]", path, it.index), it.value);
	if (name != NULL && !is_extended_resource(json_str(name)))
		finding_invalid(f, AT(f, "%s.extendedResourceName", path), name, "must be a valid extended resource name");
}

/* --- slices --- */

static void check_text(struct api_findings *f, const char *path, const struct json *value)
{
	if (value != NULL && json_str(value).len > 64)
		finding_too_long(f, path, 64);
}

static void check_attribute(struct api_findings *f, const char *path, const struct json *attribute)
{
	if (json_len(attribute) == 0)
		finding_invalid_text(f, path, STR(""), "exactly one value must be specified");
	check_text(f, AT(f, "%s.string", path), json_get(attribute, "string"));
	if (json_get(attribute, "version") != NULL && json_get_str(attribute, "version").len == 0)
		finding_invalid_text(f, AT(f, "%s.version", path), STR(""),
				     "must be a string compatible with semver.org spec 2.0.0");
}

/* Upstream's diff of two lists that only make sense together. */
static void check_bindings(struct api_findings *f, const char *path, const struct json *device)
{
	static const char *const lists[] = { "bindingConditions", "bindingFailureConditions" };
	const struct json *both[2] = { json_get(device, lists[0]), json_get(device, lists[1]) };

	for (int i = 0; i < 2; i++) {
		const char *at = AT(f, "%s.%s", path, lists[i]);

		JSON_EACH (both[i], it)
			check_complaints(f, AT(f, "%s[%zu]", at, it.index), json_str(it.value), name_label_key(json_str(it.value)));
		check_twice(f, at, both[i], NULL);
	}
	JSON_EACH (both[1], it)
		JSON_EACH (both[0], other)
			if (json_equal(it.value, other.value))
				finding_invalid(f, AT(f, "%s.%s[%zu]", path, lists[1], it.index), it.value,
						"bindingFailureConditions must not overlap with bindingConditions");
	for (int i = 0; i < 2; i++)
		if (json_len(both[i]) == 0 && json_len(both[1 - i]) != 0)
			finding_invalid(f, AT(f, "%s.%s", path, lists[i]), &json_null,
					AT(f, "%s are required to use %s", lists[i], lists[1 - i]));
}

static void check_counters(struct api_findings *f, const char *path, const struct json *one, const char *name)
{
	struct str set = json_get_str(one, name);

	if (set.len == 0)
		finding_required(f, AT(f, "%s.%s", path, name), "");
	else
		check_complaints(f, AT(f, "%s.%s", path, name), set, name_dns_label(set));
	if (json_len(json_get(one, "counters")) == 0)
		finding_required(f, AT(f, "%s.counters", path), "");
	JSON_EACH (json_get(one, "counters"), it)
		check_complaints(f, AT(f, "%s.counters", path), it.key, name_dns_label(it.key));
}

static const char *const ways[] = { "nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection" };

#define ONE_WAY "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
#define ONE_OWN                                                                                                                    \
	"exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in "    \
	"the ResourceSlice spec"
#define NO_OWN                                                                                                                     \
	"`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the "             \
	"ResourceSlice spec"

/* How many of the first n ways are gone, and which. */
static size_t check_ways(struct api_findings *f, const char *path, const struct json *tree, size_t n, const char *empty,
			 struct buf *named)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		const struct json *value = json_get(tree, ways[i]);
		bool is = json_is(value, JSON_BOOL) ? json_bool(value) : !json_is(value, JSON_STRING) || json_str(value).len != 0;

		if (value == NULL)
			continue;
		if (is)
			buf_printf(named, "%s`%s`", found++ == 0 ? "" : ", ", ways[i]);
		else if (json_is(value, JSON_BOOL))
			finding_invalid(f, AT(f, "%s.%s", path, ways[i]), value, "must be either unset or set to true");
		else
			finding_invalid(f, AT(f, "%s.%s", path, ways[i]), value, empty);
		if (is && json_is(value, JSON_STRING))
			check_complaints(f, AT(f, "%s.%s", path, ways[i]), json_str(value), name_dns_subdomain(json_str(value)));
	}
	return found;
}

static void check_places(struct api_findings *f, const char *path, const struct json *tree, bool own)
{
	AUTO_BUF struct buf named = { 0 };
	size_t n = check_ways(f, path, tree, own ? 3 : 4,
			      own ? "must not be empty" : "must be either unset or set to a non-empty string", &named);
	struct str shown = str_format(f->arena, "{%s}", buf_cstr(&named));

	if (n == 0)
		finding_required(f, path, own ? ONE_OWN : ONE_WAY);
	else if (n > 1)
		finding_invalid_text(f, path, shown, own ? ONE_OWN : ONE_WAY ", but multiple fields are set");
}

static void check_device(struct api_findings *f, const char *path, const struct json *device, bool each)
{
	struct str name = json_get_str(device, "name");

	check_complaints(f, AT(f, "%s.name", path), name, name_dns_label(name));
	JSON_EACH (json_get(device, "attributes"), it) {
		check_qualified(f, AT(f, "%s.attributes", path), it.key);
		check_attribute(f, AT(f, "%s.attributes[%.*s]", path, STR_ARG(it.key)), it.value);
	}
	JSON_EACH (json_get(device, "capacity"), it)
		check_qualified(f, AT(f, "%s.capacity", path), it.key);
	JSON_EACH (json_get(device, "taints"), it) {
		static const char *const effects[] = { "NoExecute", "NoSchedule", "None" };
		const char *at = AT(f, "%s.taints[%zu]", path, it.index);
		struct str key = json_get_str(it.value, "key"), value = json_get_str(it.value, "value");

		check_complaints(f, AT(f, "%s.key", at), key, name_label_key(key));
		check_complaints(f, AT(f, "%s.value", at), value, name_label_value(value));
		check_one_of(f, AT(f, "%s.effect", at), json_get_str(it.value, "effect"), true, effects, N_OF(effects));
	}
	JSON_EACH (json_get(device, "consumesCounters"), it)
		check_counters(f, AT(f, "%s.consumesCounters[%zu]", path, it.index), it.value, "counterSet");
	if (each)
		check_places(f, path, device, true);
	else if (json_get(device, ways[0]) != NULL || json_get(device, ways[1]) != NULL || json_get(device, ways[2]) != NULL)
		finding_invalid(f, path, &json_null, NO_OWN);
	check_bindings(f, path, device);
}

void validate_slice_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *pool = json_get(tree, "pool"), *terms = json_path(tree, "nodeSelector.nodeSelectorTerms");
	int64_t slices = json_int(json_get(pool, "resourceSliceCount"), 0), generation = json_int(json_get(pool, "generation"), 0);

	(void)type;
	check_csi_driver_name(f, AT(f, "%s.driver", path), json_get_str(tree, "driver"));
	check_pool(f, AT(f, "%s.pool.name", path), json_get_str(pool, "name"));
	if (slices <= 0)
		finding_invalid(f, AT(f, "%s.pool.resourceSliceCount", path), json_number(f->arena, slices),
				"must be greater than zero");
	if (generation < 0)
		finding_invalid(f, AT(f, "%s.pool.generation", path), json_number(f->arena, generation),
				"must be greater than or equal to zero");
	check_places(f, path, tree, false);
	check_node_selector(f, AT(f, "%s.nodeSelector", path), json_get(tree, "nodeSelector"));
	if (json_get(tree, "nodeSelector") != NULL && json_len(terms) != 1)
		finding_invalid(f, AT(f, "%s.nodeSelector.nodeSelectorTerms", path), terms == NULL ? &json_null : terms,
				"must have exactly one node selector term");
	if (json_get(tree, "sharedCounters") != NULL && json_get(tree, "devices") != NULL)
		finding_invalid_text(f, path, STR(""), "only one of `sharedCounters` or `devices` is allowed");
	JSON_EACH (json_get(tree, "devices"), it)
		check_device(f, AT(f, "%s.devices[%zu]", path, it.index), it.value,
			     json_bool(json_get(tree, "perDeviceNodeSelection")));
	check_twice(f, AT(f, "%s.devices", path), json_get(tree, "devices"), "name");
	JSON_EACH (json_get(tree, "sharedCounters"), it)
		check_counters(f, AT(f, "%s.sharedCounters[%zu]", path, it.index), it.value, "name");
	check_twice(f, AT(f, "%s.sharedCounters", path), json_get(tree, "sharedCounters"), "name");
}

/* Of the metadata of a template only labels and annotations become something. */
static void template_meta(struct api_findings *f, const char *path, const struct json *tree)
{
	const struct json *meta = json_get(tree, "metadata");
	const char *at = rules_at(f, path, "metadata");

	check_annotations(f, AT(f, "%s.annotations", at), json_get(meta, "annotations"));
	check_labels(f, AT(f, "%s.labels", at), json_get(meta, "labels"));
	JSON_EACH (meta, it)
		if (!str_is(it.key, "labels") && !str_is(it.key, "annotations") && !json_absent(it.value))
			finding_forbidden(f, AT(f, "%s.%.*s", at, STR_ARG(str_is(it.key, "uid") ? STR("uID") : it.key)),
					  "cannot be set");
}

const struct rule claim_template_rules[] = { CALL(template_meta), RULES_END };

/* A claim stays as it is; nothing else is looked at again. */
void update_claimed(struct api_findings *f, const struct json *tree, const struct json *old)
{
	(void)f;
	(void)tree;
	(void)old;
}

/* --- what a claim got --- */

static bool was_allocated(const struct json *tree, const struct json *device)
{
	static const char *const keys[] = { "driver", "pool", "device", "shareID" };

	JSON_EACH (json_path(tree, "status.allocation.devices.results"), it) {
		bool same = true;

		for (int i = 0; i < 4; i++)
			same = same && json_equal(json_get(it.value, keys[i]), json_get(device, keys[i]));
		if (same)
			return true;
	}
	return false;
}

static void check_device_name(struct api_findings *f, const char *path, const struct json *one, const char *device)
{
	struct str name = json_get_str(one, device);

	check_csi_driver_name(f, AT(f, "%s.driver", path), json_get_str(one, "driver"));
	check_pool(f, AT(f, "%s.pool", path), json_get_str(one, "pool"));
	check_complaints(f, AT(f, "%s.%s", path, device), name, name_dns_label(name));
}

static void check_given(struct api_findings *f, const char *path, const struct json *tree, const struct json *device)
{
	const struct json *share = json_get(device, "shareID");

	check_device_name(f, path, device, "device");
	if (!was_allocated(tree, device))
		finding_invalid(f, path,
				JSON_OBJECT_OF(f->arena, { "Driver", json_string(f->arena, json_get_str(device, "driver")) },
					       { "Pool", json_string(f->arena, json_get_str(device, "pool")) },
					       { "Device", json_string(f->arena, json_get_str(device, "device")) },
					       { "ShareID", json_string(f->arena, json_str(share)) }),
				"must be an allocated device in the claim");
	JSON_EACH (json_get(device, "conditions"), it)
		check_condition(f, AT(f, "%s.conditions[%zu]", path, it.index), it.value);
}

void check_claim_status(struct api_findings *f, const struct json *tree, const struct json *old)
{
	const struct json *status = json_get(tree, "status"), *requests = json_path(tree, "spec.devices.requests");
	const struct json *allocation = json_get(status, "allocation"), *was = json_path(old, "status.allocation");
	static const char *const named[] = { "resource", "name", "uid" };

	JSON_EACH (json_get(status, "reservedFor"), it)
		for (int i = 0; i < 3; i++)
			if (json_get_str(it.value, named[i]).len == 0)
				finding_required(f, AT(f, "status.reservedFor[%zu].%s", it.index, named[i]), "");
	check_twice(f, "status.reservedFor", json_get(status, "reservedFor"), "uid");
	JSON_EACH (json_get(status, "devices"), it)
		check_given(f, AT(f, "status.devices[%zu]", it.index), tree, it.value);
	if (json_len(json_get(status, "reservedFor")) != 0 && allocation == NULL)
		finding_forbidden(f, "status.reservedFor", "may not be specified when `allocated` is not set");
	if (allocation == NULL || was != NULL)
		return;
	JSON_EACH (json_path(allocation, "devices.results"), it) {
		const char *at = AT(f, "status.allocation.devices.results[%zu]", it.index);

		check_reference(f, AT(f, "%s.request", at), requests, json_get_str(it.value, "request"));
		check_device_name(f, at, it.value, "device");
		check_bindings(f, at, it.value);
	}
	check_node_selector(f, "status.allocation.nodeSelector", json_get(allocation, "nodeSelector"));
}
