/* Shared checks. Rules and words: pkg/apis/core/validation, apimachinery/pkg/api/validation, pkg/apis/meta/v1/validation. */
#include <string.h>

#include "api/check.h"
#include "base/ip.h"
#include "base/limits.h"

void check_complaints(struct api_findings *f, const char *path, struct str value, struct complaints c)
{
	for (int i = 0; i < c.n; i++)
		finding_invalid_text(f, path, value, c.text[i]);
}

void check_number(struct api_findings *f, const char *path, const struct json *value, struct complaints c)
{
	for (int i = 0; i < c.n; i++)
		finding_invalid(f, path, value, c.text[i]);
}

void check_not_negative(struct api_findings *f, const char *path, const struct json *value)
{
	if (json_int(value, 0) < 0)
		finding_invalid(f, path, value, "must be greater than or equal to 0");
}

void check_one_of(struct api_findings *f, const char *path, struct str value, bool required, const char *const *list, size_t n)
{
	if (value.len == 0) {
		if (required)
			finding_required(f, path, "");
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (str_is(value, list[i]))
			return;
	finding_unsupported(f, path, value, list, n);
}

void check_if_one_of(struct api_findings *f, const char *path, const struct json *value, const char *const *list, size_t n)
{
	if (value == NULL)
		return;
	if (json_str(value).len == 0)
		finding_unsupported(f, path, STR(""), list, n);
	else
		check_one_of(f, path, json_str(value), false, list, n);
}

void check_labels(struct api_findings *f, const char *path, const struct json *labels)
{
	JSON_EACH (labels, it) {
		check_complaints(f, path, it.key, name_label_key(it.key));
		check_complaints(f, path, json_str(it.value), name_label_value(json_str(it.value)));
	}
}

void check_annotations(struct api_findings *f, const char *path, const struct json *annotations)
{
	size_t size = 0;

	JSON_EACH (annotations, it) {
		check_complaints(f, path, it.key, name_annotation_key(it.key));
		size += it.key.len + json_str(it.value).len;
	}
	if (size > LIMIT_ANNOTATIONS)
		finding_too_long(f, path, LIMIT_ANNOTATIONS);
}

void check_label_selector(struct api_findings *f, const char *path, const struct json *selector)
{
	check_labels(f, AT(f, "%s.matchLabels", path), json_get(selector, "matchLabels"));
	JSON_EACH (json_get(selector, "matchExpressions"), it) {
		const char *at = AT(f, "%s.matchExpressions[%zu]", path, it.index);
		struct str op = json_get_str(it.value, "operator"), key = json_get_str(it.value, "key");
		const struct json *values = json_get(it.value, "values");
		if (str_is(op, "In") || str_is(op, "NotIn")) {
			if (json_len(values) == 0)
				finding_required(f, AT(f, "%s.values", at), "must be specified when `operator` is 'In' or 'NotIn'");
		} else if (str_is(op, "Exists") || str_is(op, "DoesNotExist")) {
			if (json_len(values) != 0)
				finding_forbidden(f, AT(f, "%s.values", at),
						  "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
		} else {
			finding_invalid_text(f, AT(f, "%s.operator", at), op, "not a valid selector operator");
		}
		check_complaints(f, AT(f, "%s.key", at), key, name_label_key(key));
		JSON_EACH (values, v)
			check_complaints(f, AT(f, "%s.values[%zu]", at, v.index), json_str(v.value),
					 name_label_value(json_str(v.value)));
	}
}

void check_ip(struct api_findings *f, const char *path, struct str text)
{
	struct ip ip;

	if (!ip_parse(text, &ip))
		finding_invalid_text(f, path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

void check_cidr(struct api_findings *f, const char *path, struct str text)
{
	struct cidr cidr;

	if (!cidr_parse(text, &cidr))
		finding_invalid_text(f, path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

void check_canonical_cidr(struct api_findings *f, const char *path, struct str text)
{
	char canonical[IP_TEXT];
	struct cidr cidr;

	check_cidr(f, path, text);
	if (!cidr_parse(text, &cidr))
		return;
	if (ip_sub(cidr.ip, cidr_first(cidr)) != 0)
		finding_invalid_text(f, path, text, "must not have bits set beyond the prefix length");
	else if (!str_eq(cidr_format(canonical, cidr), text))
		finding_invalid_text(f, path, text, AT(f, "must be in canonical form (\"%s\")", canonical));
}

static bool within(struct ip ip, const char *range)
{
	struct cidr cidr;

	return cidr_parse(str_from(range), &cidr) && cidr.ip.family == ip.family && cidr_contains(cidr, ip);
}

void check_reachable_ip(struct api_findings *f, const char *path, struct str text)
{
	struct ip ip;

	if (!ip_parse(text, &ip))
		return;
	if (within(ip, "0.0.0.0/32") || within(ip, "::/128"))
		finding_invalid_text(f, path, text, AT(f, "may not be unspecified (%.*s)", STR_ARG(text)));
	if (within(ip, "127.0.0.0/8") || within(ip, "::1/128"))
		finding_invalid_text(f, path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
	if (within(ip, "169.254.0.0/16") || within(ip, "fe80::/10"))
		finding_invalid_text(f, path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
	if (within(ip, "224.0.0.0/24") || within(ip, "ff02::/16"))
		finding_invalid_text(f, path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

void check_port_number_or_name(struct api_findings *f, const char *path, const struct json *port)
{
	if (json_is(port, JSON_STRING))
		check_complaints(f, path, json_str(port), name_port(json_str(port)));
	else
		check_number(f, path, port, name_port_number(json_int(port, 0)));
}

void check_int_or_percent(struct api_findings *f, const char *path, const struct json *value)
{
	if (json_is(value, JSON_STRING))
		check_complaints(f, path, json_str(value), name_percent(json_str(value)));
	else
		check_not_negative(f, path, value);
}

void check_immutable(struct api_findings *f, const char *path, const struct json *new, const struct json *old)
{
	if (!json_equal(new, old))
		finding_invalid(f, path, new == NULL ? &json_null : new, "field is immutable");
}

/* ---- metadata ---- */

static struct complaints (*name_rule(const struct kind *kind))(struct str)
{
	struct str rule = kind_names(kind);

	if (str_is(rule, "label"))
		return name_dns_label;
	if (str_is(rule, "path"))
		return name_path_segment;
	if (str_is(rule, "ip"))
		return name_ip;
	return name_dns_subdomain;
}

static void check_name(struct api_findings *f, const struct kind *kind, const struct json *metadata)
{
	struct str name = json_get_str(metadata, "name"), generate = json_get_str(metadata, "generateName");
	struct str ns = json_get_str(metadata, "namespace");

	if (generate.len != 0)
		check_complaints(f, "metadata.generateName", generate, name_prefix(name_rule(kind), generate));
	if (name.len == 0)
		finding_required(f, "metadata.name", "name or generateName is required");
	else
		check_complaints(f, "metadata.name", name, name_rule(kind)(name));
	if (!kind_namespaced(kind)) {
		if (ns.len != 0)
			finding_forbidden(f, "metadata.namespace", "not allowed on this type");
	} else if (ns.len == 0) {
		finding_required(f, "metadata.namespace", "");
	} else {
		check_complaints(f, "metadata.namespace", ns, name_dns_label(ns));
	}
}

static void check_owner(struct api_findings *f, const struct json *owner)
{
	static const char path[] = "metadata.ownerReferences";
	struct str version = json_get_str(owner, "apiVersion"), group = STR("");

	if (str_find(version, '/') >= 0)
		str_cut(&version, '/', &group);
	if (version.len == 0 || str_find(version, '/') >= 0)
		finding_invalid_text(f, AT(f, "%s.apiVersion", path), json_get_str(owner, "apiVersion"),
				     "version must not be empty");
	if (json_get_str(owner, "kind").len == 0)
		finding_invalid_text(f, AT(f, "%s.kind", path), STR(""), "must not be empty");
	if (json_get_str(owner, "name").len == 0)
		finding_invalid_text(f, AT(f, "%s.name", path), STR(""), "must not be empty");
	if (json_get_str(owner, "uid").len == 0)
		finding_invalid_text(f, AT(f, "%s.uid", path), STR(""), "must not be empty");
	if (str_is(json_get_str(owner, "kind"), "Event") && (group.len == 0 || str_is(group, "events.k8s.io")))
		finding_invalid(f, path, owner,
				AT(f, "%.*s/%.*s, Kind=Event is disallowed from being an owner", STR_ARG(group), STR_ARG(version)));
}

static void check_owners(struct api_findings *f, const struct json *owners)
{
	const struct json *first = NULL;

	JSON_EACH (owners, it) {
		check_owner(f, it.value);
		if (!json_bool(json_get(it.value, "controller")))
			continue;
		if (first == NULL) {
			first = it.value;
			continue;
		}
		finding_invalid(
			f, "metadata.ownerReferences", owners,
			AT(f,
			   "Only one reference can have Controller set to true. Found \"true\" in references for %.*s/%.*s and %.*s/%.*s",
			   STR_ARG(json_get_str(first, "kind")), STR_ARG(json_get_str(first, "name")),
			   STR_ARG(json_get_str(it.value, "kind")), STR_ARG(json_get_str(it.value, "name"))));
	}
}

/* Groups whose kinds take the metadata as machinery does, without the core's rule for finalizers. */
static bool own_finalizers(const struct kind *kind)
{
	static const char *const groups[] = { "admissionregistration.k8s.io", "coordination.k8s.io",    "node.k8s.io",
					      "apiextensions.k8s.io",         "apiregistration.k8s.io", "policy" };

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (str_is(kind_group(kind), groups[i]))
			return true;
	return (kind->flags & KIND_CUSTOM) != 0 || (kind_group(kind).len == 0 && str_is(kind_name(kind), "Event"));
}

static void check_finalizers(struct api_findings *f, const struct kind *kind, const struct json *finalizers)
{
	bool orphan = false, foreground = false;

	JSON_EACH (finalizers, it) {
		struct str name = json_str(it.value);
		struct complaints c = name_label_key(name);
		check_complaints(f, "metadata.finalizers", name, c);
		bool standard = str_is(name, "orphan") || str_is(name, "foregroundDeletion") || str_is(name, "kubernetes");
		orphan = orphan || str_is(name, "orphan");
		foreground = foreground || str_is(name, "foregroundDeletion");
		if (str_find(name, '/') < 0 && !standard && !own_finalizers(kind))
			finding_invalid_text(f, AT(f, "metadata.finalizers[%zu]", it.index), name,
					     "name is neither a standard finalizer name nor is it fully qualified");
	}
	if (orphan && foreground)
		finding_invalid(f, "metadata.finalizers", finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
}

void check_metadata_maps(struct api_findings *f, const struct json *metadata)
{
	check_labels(f, "metadata.labels", json_get(metadata, "labels"));
	check_annotations(f, "metadata.annotations", json_get(metadata, "annotations"));
	check_owners(f, json_get(metadata, "ownerReferences"));
}

void check_metadata(struct api_findings *f, const struct kind *kind, const struct json *metadata)
{
	check_name(f, kind, metadata);
	check_not_negative(f, "metadata.generation", json_get(metadata, "generation"));
	check_metadata_maps(f, metadata);
	check_finalizers(f, kind, json_get(metadata, "finalizers"));
}

/* What is being deleted gets no more to wait for. */
static void check_no_new_finalizers(struct api_findings *f, const struct json *new, const struct json *old)
{
	struct places known = { .arena = f->arena };
	AUTO_BUF struct buf list = { 0 };

	if (json_get(old, "deletionTimestamp") == NULL)
		return;
	JSON_EACH (json_get(old, "finalizers"), it)
		places_add(&known, json_str(it.value), it.index);
	JSON_EACH (json_get(new, "finalizers"), it)
		if (places_find(&known, json_str(it.value)) == PLACES_NONE)
			buf_printf(&list, "%s%s", list.len == 0 ? "" : ", ", api_quoted(f->arena, json_str(it.value)));
	if (list.len != 0)
		finding_forbidden(
			f, "metadata.finalizers",
			AT(f, "no new finalizers can be added if the object is being deleted, found new finalizers []string{%s}",
			   buf_cstr(&list)));
}

void check_metadata_update(struct api_findings *f, const struct json *new, const struct json *old)
{
	static const char *const fixed[] = {
		"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"
	};

	for (size_t i = 0; i < N_OF(fixed); i++)
		check_immutable(f, AT(f, "metadata.%s", fixed[i]), json_get(new, fixed[i]), json_get(old, fixed[i]));
	check_no_new_finalizers(f, new, old);
	if (json_int(json_get(new, "generation"), 0) < json_int(json_get(old, "generation"), 0))
		finding_invalid(f, "metadata.generation", json_get(new, "generation"), "must not be decremented");
}

const struct json *shown_struct(struct arena *arena, const struct json *tree, const struct shown_field *fields, size_t n)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < n; i++) {
		const struct json *value = json_get(tree, fields[i].json);
		if (value == NULL)
			value = json_number_text(arena, str_from(fields[i].absent)); /* any text, written as it stands */
		json_builder_member(&b, str_from(fields[i].go), value);
	}
	return json_builder_object(&b);
}
