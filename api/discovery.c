/* Discovery documents, legacy and aggregated, straight from the catalogue. */
#include "api/api.h"

static void write_text(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "\"%s\":", key);
	json_write_string(out, value);
}

/* Upstream lists the verbs of custom resources in an order of their own. */
static void write_custom_verbs(struct buf *out)
{
	buf_add(out, STR("\"verbs\":[\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\",\"create\",\"update\",\"watch\"]"));
}

static void write_verbs(struct buf *out, uint32_t verbs)
{
	bool first = true;

	buf_add(out, STR("\"verbs\":["));
	for (int i = 0; i < VERB_COUNT; i++) {
		if ((verbs & 1u << i) == 0)
			continue;
		buf_printf(out, "%s\"%s\"", first ? "" : ",", verb_name((enum verb)i));
		first = false;
	}
	buf_putc(out, ']');
}

static void write_texts(struct buf *out, const char *key, const struct catalog_ref *texts)
{
	if (texts->n == 0)
		return;
	buf_printf(out, ",\"%s\":[", key);
	for (size_t i = 0; i < texts->n; i++) {
		if (i != 0)
			buf_putc(out, ',');
		json_write_string(out, catalog_text_at(texts, i));
	}
	buf_putc(out, ']');
}

/* ---- legacy ---- */

void api_write_api_versions(struct buf *out, struct str server_address)
{
	buf_add(out,
		STR("{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[{\"clientCIDR\":\"0.0.0.0/0\","));
	write_text(out, "serverAddress", server_address);
	buf_add(out, STR("}]}"));
}

static void write_version(struct buf *out, const struct api_group *group, int i)
{
	buf_printf(out, "{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", group->name, group->versions[i], group->versions[i]);
}

static void write_group(struct buf *out, const struct api_group *group)
{
	buf_printf(out, "\"name\":\"%s\",\"versions\":[", group->name);
	for (int i = 0; i < group->n_versions; i++) {
		if (i != 0)
			buf_putc(out, ',');
		write_version(out, group, i);
	}
	buf_add(out, STR("],\"preferredVersion\":"));
	write_version(out, group, 0);
	buf_putc(out, '}');
}

void api_write_group_list(struct buf *out)
{
	buf_add(out, STR("{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":["));
	for (size_t i = 1; i < groups_len(); i++) {
		buf_add(out, i == 1 ? STR("{") : STR(",{"));
		write_group(out, groups_at(i));
	}
	buf_add(out, STR("]}"));
}

bool api_write_group(struct buf *out, struct str name)
{
	for (size_t i = 1; i < groups_len(); i++) {
		if (!str_is(name, groups_at(i)->name))
			continue;
		buf_add(out, STR("{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\","));
		write_group(out, groups_at(i));
		return true;
	}
	return false;
}

static void write_resource(struct buf *out, const struct kind *kind)
{
	buf_putc(out, '{');
	write_text(out, "name", kind_resource(kind));
	buf_putc(out, ',');
	write_text(out, "singularName", kind_singular(kind));
	buf_printf(out, ",\"namespaced\":%s,", kind_namespaced(kind) ? "true" : "false");
	write_text(out, "kind", kind_name(kind));
	buf_putc(out, ',');
	if ((kind->flags & KIND_CUSTOM) != 0)
		write_custom_verbs(out);
	else
		write_verbs(out, kind_verbs(kind));
	write_texts(out, "shortNames", &kind->short_names);
	write_texts(out, "categories", &kind->categories);
	if (kind_hash(kind).len != 0) {
		buf_putc(out, ',');
		write_text(out, "storageVersionHash", kind_hash(kind));
	}
	buf_putc(out, '}');
}

static void write_subresource(struct buf *out, const struct kind *kind, const struct subresource *sub)
{
	buf_printf(out, ",{\"name\":\"%.*s/%.*s\",\"singularName\":\"\",\"namespaced\":%s,", STR_ARG(kind_resource(kind)),
		   STR_ARG(subresource_name(sub)), kind_namespaced(kind) ? "true" : "false");
	if (subresource_version(sub).len != 0) {
		write_text(out, "group", subresource_group(sub));
		buf_putc(out, ',');
		write_text(out, "version", subresource_version(sub));
		buf_putc(out, ',');
	}
	write_text(out, "kind", subresource_kind(sub));
	buf_putc(out, ',');
	write_verbs(out, sub->verbs);
	buf_putc(out, '}');
}

static bool served(struct str group, struct str version)
{
	for (size_t i = 0; i < groups_len(); i++)
		for (int k = 0; k < groups_at(i)->n_versions; k++)
			if (str_is(group, groups_at(i)->name) && str_is(version, groups_at(i)->versions[k]))
				return true;
	return false;
}

bool api_write_resource_list(struct buf *out, struct str group, struct str version)
{
	bool first = true;

	if (!served(group, version))
		return false;
	buf_add(out, STR("{\"kind\":\"APIResourceList\","));
	if (group.len != 0) /* the core group's document never had it */
		buf_add(out, STR("\"apiVersion\":\"v1\","));
	buf_printf(out, "\"groupVersion\":\"%.*s%s%.*s\",\"resources\":[", STR_ARG(group), group.len != 0 ? "/" : "",
		   STR_ARG(version));
	for (size_t i = 0; i < kinds_len(); i++) {
		const struct kind *kind = kinds_at(i);
		if (!str_eq(kind_group(kind), group) || !str_eq(kind_version(kind), version))
			continue;
		if (!first)
			buf_putc(out, ',');
		first = false;
		write_resource(out, kind);
		for (size_t k = 0; k < kind->subresources.n; k++)
			write_subresource(out, kind, kind_subresource_at(kind, k));
	}
	buf_add(out, STR("]}"));
	return true;
}

/* ---- aggregated ---- */

static void write_response_kind(struct buf *out, struct str group, struct str version, struct str kind)
{
	buf_add(out, STR("\"responseKind\":{"));
	write_text(out, "group", group);
	buf_putc(out, ',');
	write_text(out, "version", version);
	buf_putc(out, ',');
	write_text(out, "kind", kind);
	buf_add(out, STR("},"));
}

static void write_resource_discovery(struct buf *out, const struct kind *kind)
{
	buf_putc(out, '{');
	write_text(out, "resource", kind_resource(kind));
	buf_putc(out, ',');
	/* Group and version are left empty where they are those of the list, but for custom resources. */
	if ((kind->flags & KIND_CUSTOM) != 0)
		write_response_kind(out, kind_group(kind), kind_version(kind), kind_name(kind));
	else
		write_response_kind(out, STR(""), STR(""), kind_name(kind));
	write_text(out, "scope", kind_namespaced(kind) ? STR("Namespaced") : STR("Cluster"));
	buf_putc(out, ',');
	write_text(out, "singularResource", kind_singular(kind));
	buf_putc(out, ',');
	if ((kind->flags & KIND_CUSTOM) != 0)
		write_custom_verbs(out);
	else
		write_verbs(out, kind_verbs(kind));
	write_texts(out, "shortNames", &kind->short_names);
	write_texts(out, "categories", &kind->categories);
	for (size_t i = 0; i < kind->subresources.n; i++) {
		const struct subresource *sub = kind_subresource_at(kind, i);
		buf_add(out, i == 0 ? STR(",\"subresources\":[{") : STR(",{"));
		write_text(out, "subresource", subresource_name(sub));
		buf_putc(out, ',');
		if ((kind->flags & KIND_CUSTOM) != 0 && subresource_version(sub).len == 0)
			write_response_kind(out, kind_group(kind), kind_version(kind), subresource_kind(sub));
		else
			write_response_kind(out, subresource_group(sub), subresource_version(sub), subresource_kind(sub));
		write_verbs(out, sub->verbs);
		buf_putc(out, '}');
	}
	if (kind->subresources.n != 0)
		buf_putc(out, ']');
	buf_putc(out, '}');
}

static void write_group_discovery(struct buf *out, const struct api_group *group)
{
	buf_add(out, STR("{\"metadata\":{"));
	if (group->name[0] != 0)
		write_text(out, "name", str_from(group->name));
	buf_add(out, STR("},\"versions\":["));
	for (int k = 0; k < group->n_versions; k++) {
		bool first = true;
		buf_printf(out, "%s{\"version\":\"%s\",\"resources\":[", k == 0 ? "" : ",", group->versions[k]);
		for (size_t i = 0; i < kinds_len(); i++) {
			const struct kind *kind = kinds_at(i);
			if (!str_is(kind_group(kind), group->name) || !str_is(kind_version(kind), group->versions[k]))
				continue;
			if (!first)
				buf_putc(out, ',');
			first = false;
			write_resource_discovery(out, kind);
		}
		buf_add(out, STR("],\"freshness\":\"Current\"}"));
	}
	buf_add(out, STR("]}"));
}

void api_write_aggregated(struct buf *out, bool core)
{
	buf_add(out,
		STR("{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"metadata\":{},\"items\":["));
	for (size_t i = core ? 0 : 1; i < (core ? 1 : groups_len()); i++) {
		if (i > 1)
			buf_putc(out, ',');
		write_group_discovery(out, groups_at(i));
	}
	buf_add(out, STR("]}"));
}
