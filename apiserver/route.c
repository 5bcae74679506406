#include "apiserver/route.h"

/* Cuts the next segment off a path; false at its end. */
static bool next_segment(struct str *path, struct str *segment)
{
	while (path->len != 0 && path->ptr[0] == '/')
		*path = str_skip(*path, 1);
	return str_cut(path, '/', segment);
}

static bool group_version_exists(struct str group, struct str version)
{
	for (size_t i = 0; i < groups_len(); i++) {
		const struct api_group *known = groups_at(i);

		if (!str_is(group, known->name))
			continue;
		for (int v = 0; v < known->n_versions; v++)
			if (str_is(version, known->versions[v]))
				return true;
	}
	return false;
}

static bool group_exists(struct str group)
{
	for (size_t i = 0; i < groups_len(); i++)
		if (str_is(group, groups_at(i)->name))
			return true;
	return false;
}

/* What stands behind /api/v1 or /apis/G/V: [namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE[/REST]]]. */
static void parse_resource(struct str path, struct route *route)
{
	struct str first, second, third;

	if (!next_segment(&path, &first))
		return;
	if (str_is(first, "watch")) {
		route->old_watch = true;
		if (!next_segment(&path, &first))
			return;
	}
	if (str_is(first, "namespaces") && next_segment(&path, &second)) {
		struct str rest = path;
		bool own = !next_segment(&rest, &third);

		/* /namespaces/NS and its own subresources; everything else lies in the namespace. */
		own = own || (route->group.len == 0 && (str_is(third, "status") || str_is(third, "finalize")));
		if (own) {
			route->resource = first;
			route->name = second;
		} else {
			route->ns = second;
			route->resource = third;
			path = rest;
			if (!next_segment(&path, &route->name))
				route->name = STR("");
		}
	} else {
		route->resource = first;
		if (!next_segment(&path, &route->name))
			route->name = STR("");
	}
	if (next_segment(&path, &route->subresource))
		route->rest = path;
	route->what = ROUTE_NO_RESOURCE;
}

static void find_kind(struct route *route)
{
	route->kind = kind_find(route->group, route->version, route->resource);
	if (route->kind == NULL)
		return;
	if (route->ns.len != 0 && !kind_namespaced(route->kind))
		return;
	/* Of what lies in namespaces only lists go across them. */
	if (route->ns.len == 0 && kind_namespaced(route->kind) && route->name.len != 0)
		return;
	if (route->subresource.len != 0 && kind_subresource(route->kind, route->subresource) == NULL)
		return;
	route->what = ROUTE_RESOURCE;
}

static void find_verb(struct str method, struct route *route)
{
	static const struct {
		const char *method;
		enum verb named;
		enum verb collection;
		bool has_named, has_collection;
	} rows[] = {
		{ "GET", VERB_GET, VERB_LIST, true, true },
		{ "POST", VERB_CREATE, VERB_CREATE, false, true },
		{ "PUT", VERB_UPDATE, VERB_UPDATE, true, false },
		{ "PATCH", VERB_PATCH, VERB_PATCH, true, false },
		{ "DELETE", VERB_DELETE, VERB_DELETECOLLECTION, true, true },
		/* of proxies only */
		{ "HEAD", VERB_GET, VERB_GET, false, false },
		{ "OPTIONS", VERB_GET, VERB_GET, false, false },
	};
	bool named = route->name.len != 0;
	/* Below an object POST creates too: bindings, evictions, tokens. */
	bool sub = route->subresource.len != 0;

	route->bad_method = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!str_is(method, rows[i].method))
			continue;
		route->verb = named ? rows[i].named : rows[i].collection;
		if (named && (str_is(route->subresource, "proxy") || (sub && rows[i].named == VERB_CREATE)))
			route->bad_method = false;
		else
			route->bad_method = named ? !rows[i].has_named : !rows[i].has_collection;
	}
	if (route->ns.len == 0 && route->kind != NULL && kind_namespaced(route->kind) && route->verb != VERB_LIST)
		route->bad_method = true;
	if (route->bad_method || route->kind == NULL)
		return;
	if (sub) {
		const struct subresource *subresource = kind_subresource(route->kind, route->subresource);

		route->bad_method = (subresource->verbs & 1U << route->verb) == 0;
	} else {
		route->bad_method = (kind_verbs(route->kind) & 1U << route->verb) == 0;
	}
}

void route_parse(struct arena *arena, struct str method, struct str path, struct route *out)
{
	struct str rest = path, first;

	(void)arena;
	*out = (struct route){ .what = ROUTE_DOCUMENT };
	if (!next_segment(&rest, &first))
		return;
	if (str_is(first, "api")) {
		if (!next_segment(&rest, &out->version))
			return;
	} else if (str_is(first, "apis")) {
		if (!next_segment(&rest, &out->group) || !next_segment(&rest, &out->version))
			return;
	} else {
		return;
	}
	if (!group_version_exists(out->group, out->version)) {
		out->what = group_exists(out->group) ? ROUTE_NO_RESOURCE : ROUTE_NONE;
		return;
	}
	parse_resource(rest, out);
	if (str_contains(path, STR("//")) && !str_is(out->subresource, "proxy")) {
		out->what = ROUTE_NO_RESOURCE;
		return;
	}
	if (out->what == ROUTE_DOCUMENT)
		return;
	find_kind(out);
	if (out->what == ROUTE_RESOURCE)
		find_verb(method, out);
}

const char *route_verb_name(const struct route *route)
{
	return verb_name(route->verb);
}
