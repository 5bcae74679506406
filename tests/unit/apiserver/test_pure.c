/* The pure parts: routes and negotiation. */
#include "apiserver/negotiate.h"
#include "apiserver/route.h"
#include "apiserver/streams/rewrite.h"
#include "tests/unit/tap.h"

TEST(routes)
{
	static const struct {
		const char *method, *path;
		enum route_what what;
		const char *resource, *ns, *name, *subresource;
		enum verb verb;
		bool bad_method;
	} rows[] = {
		{ "GET", "/api/v1/pods", ROUTE_RESOURCE, "pods", "", "", "", VERB_LIST, false },
		{ "GET", "/api/v1/pods/", ROUTE_RESOURCE, "pods", "", "", "", VERB_LIST, false },
		{ "GET", "/api/v1/namespaces/a/pods/p", ROUTE_RESOURCE, "pods", "a", "p", "", VERB_GET, false },
		{ "GET", "/api/v1/namespaces/a/pods/p/log", ROUTE_RESOURCE, "pods", "a", "p", "log", VERB_GET, false },
		{ "GET", "/api/v1/namespaces/a", ROUTE_RESOURCE, "namespaces", "", "a", "", VERB_GET, false },
		{ "PUT", "/api/v1/namespaces/a/finalize", ROUTE_RESOURCE, "namespaces", "", "a", "finalize", VERB_UPDATE, false },
		{ "POST", "/apis/apps/v1/namespaces/a/deployments", ROUTE_RESOURCE, "deployments", "a", "", "", VERB_CREATE,
		  false },
		{ "POST", "/api/v1/namespaces/a/pods/p", ROUTE_RESOURCE, "pods", "a", "p", "", VERB_CREATE, true },
		{ "POST", "/api/v1/namespaces/a/pods/p/binding", ROUTE_RESOURCE, "pods", "a", "p", "binding", VERB_CREATE, false },
		{ "PUT", "/api/v1/namespaces/a/pods", ROUTE_RESOURCE, "pods", "a", "", "", VERB_UPDATE, true },
		{ "DELETE", "/api/v1/namespaces/a/pods/p/status", ROUTE_RESOURCE, "pods", "a", "p", "status", VERB_DELETE, true },
		{ "DELETE", "/api/v1/namespaces/a/pods", ROUTE_RESOURCE, "pods", "a", "", "", VERB_DELETECOLLECTION, false },
		{ "FOO", "/api/v1/pods", ROUTE_RESOURCE, "pods", "", "", "", VERB_LIST, true },
		{ "GET", "/api/v1/watch/pods", ROUTE_RESOURCE, "pods", "", "", "", VERB_LIST, false },
		{ "GET", "/api/v1/nothing", ROUTE_NO_RESOURCE, "nothing", "", "", "", VERB_LIST, false },
		{ "GET", "/api/v1/namespaces/a/nodes", ROUTE_NO_RESOURCE, "nodes", "a", "", "", VERB_LIST, false },
		{ "GET", "/apis/none/v1/pods", ROUTE_NONE, "", "", "", "", VERB_LIST, false },
		{ "GET", "/apis/apps/v9/deployments", ROUTE_NO_RESOURCE, "", "", "", "", VERB_LIST, false },
		{ "GET", "/api/v1/pods/p", ROUTE_NO_RESOURCE, "pods", "", "p", "", VERB_LIST, false },
		{ "DELETE", "/api/v1/pods", ROUTE_RESOURCE, "pods", "", "", "", VERB_DELETECOLLECTION, true },
		{ "GET", "/apis/apps/v1", ROUTE_DOCUMENT, "", "", "", "", VERB_LIST, false },
		{ "GET", "/version", ROUTE_DOCUMENT, "", "", "", "", VERB_LIST, false },
		{ "GET", "/", ROUTE_DOCUMENT, "", "", "", "", VERB_LIST, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *arena = arena_new();
		struct route route;

		route_parse(arena, str_from(rows[i].method), str_from(rows[i].path), &route);
		if (route.what != rows[i].what || (route.what == ROUTE_RESOURCE && route.bad_method != rows[i].bad_method))
			tap_fail(__FILE__, __LINE__, "%s %s: what %d, bad method %d", rows[i].method, rows[i].path, route.what,
				 route.bad_method);
		if (route.what == ROUTE_RESOURCE || route.what == ROUTE_NO_RESOURCE) {
			CHECK_STR(route.resource, rows[i].resource);
			CHECK_STR(route.ns, rows[i].ns);
			CHECK_STR(route.name, rows[i].name);
			CHECK_STR(route.subresource, rows[i].subresource);
		}
		if (route.what == ROUTE_RESOURCE && !route.bad_method)
			CHECK_EQ(route.verb, rows[i].verb);
		arena_free(arena);
	}
}

TEST(accept_headers)
{
	static const struct {
		const char *header;
		bool table;
		int media, as; /* media -1: not acceptable */
	} rows[] = {
		{ "", true, API_JSON, AS_ITSELF },
		{ "*/*", true, API_JSON, AS_ITSELF },
		{ "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", true, API_JSON, AS_TABLE },
		{ "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", false, API_JSON, AS_ITSELF },
		{ "application/json;as=Table;v=v1;g=meta.k8s.io", false, -1, 0 },
		{ "application/vnd.kubernetes.protobuf", true, API_PROTOBUF, AS_ITSELF },
		{ "application/vnd.kubernetes.protobuf,application/json", true, API_PROTOBUF, AS_ITSELF },
		{ "application/json;q=0.5, application/yaml", true, API_YAML, AS_ITSELF },
		{ "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", true, API_JSON, AS_PARTIAL },
		{ "text/html", true, -1, 0 },
		{ "text/html,*/*;q=0.1", true, API_JSON, AS_ITSELF },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct accept accept;
		struct error *err = accept_parse(str_from(rows[i].header), rows[i].table, true, &accept);

		if (rows[i].media < 0) {
			CHECK_ERR(err, ERR_NOT_ACCEPTABLE);
			continue;
		}
		CHECK_OK(err);
		if ((int)accept.media != rows[i].media || (int)accept.as != rows[i].as)
			tap_fail(__FILE__, __LINE__, "%s: media %d as %d", rows[i].header, accept.media, accept.as);
	}
}

TEST(aggregated_discovery_is_asked_for_by_name)
{
	struct str version;

	CHECK(accept_aggregated(STR("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"),
				&version));
	CHECK_STR(version, "v2");
	CHECK(!accept_aggregated(STR("application/json"), &version));
	CHECK(!accept_aggregated(STR("application/json;as=Other;g=apidiscovery.k8s.io;v=v2"), &version));
}

/* --- what a proxy subresource changes in answers --- */

static const struct rewrite proxied = { .prefix = STR_INIT("/p/proxy"),
					.hosts = { STR_INIT("10.0.0.3:80"), STR_INIT("api:6443") } };

TEST(addresses_get_the_path_of_the_proxy)
{
	static const struct {
		const char *url, *want;
	} table[] = {
		{ "/a/b?x=1#y", "/p/proxy/a/b?x=1#y" },
		{ "/", "/p/proxy/" },
		{ "a/b", "a/b" },
		{ "?x", "?x" },
		{ "", "" },
		{ "#top", "#top" },
		{ "mailto:me@here", "mailto:me@here" },
		{ "http://elsewhere/a", "http://elsewhere/a" },
		{ "//elsewhere/a", "//elsewhere/a" },
		{ "http://10.0.0.3:80/a", "http://10.0.0.3:80/p/proxy/a" },
		{ "https://api:6443/a?b", "/p/proxy/a?b" },
		{ "http://10.0.0.3:80", "http://10.0.0.3:80" },
		{ "/p/proxy/a", "/p/proxy/a" },
		{ "https://api:6443/p/proxy/a", "/p/proxy/a" },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		CHECK_STR(rewrite_url(arena, &proxied, str_from(table[i].url)), table[i].want);
	arena_free(arena);
}

TEST(html_gets_it_however_it_is_cut)
{
	static const char text[] =
		"<!DOCTYPE html><html><HEAD><link rel=x href=/s.css><script src = '/x.js'></script></HEAD>"
		"<body><a href=\"/rewriteme\" title=\"/stays > here\">a < b</a> <img src=\"/i.png\"/><p href=\"/no\">"
		"<a href>x</a><form action=/f method=post></form> 3 < 4 and <a HREF=\"/here\">";
	static const char want[] =
		"<!DOCTYPE html><html><HEAD><link rel=x href=/p/proxy/s.css><script src = '/p/proxy/x.js'></script>"
		"</HEAD><body><a href=\"/p/proxy/rewriteme\" title=\"/stays > here\">a < b</a> "
		"<img src=\"/p/proxy/i.png\"/><p href=\"/no\"><a href>x</a><form action=/p/proxy/f method=post></form>"
		" 3 < 4 and <a HREF=\"/p/proxy/here\">";

	for (size_t step = 1; step < sizeof(text) + 5; step += step < 20 ? 1 : 17) {
		AUTO_BUF struct buf rest = { 0 }, out = { 0 };

		for (size_t at = 0; at < sizeof(text) - 1; at += step) {
			size_t n = sizeof(text) - 1 - at < step ? sizeof(text) - 1 - at : step;

			buf_add(&rest, str_of(text + at, n));
			rewrite_html(&proxied, &rest, false, &out);
		}
		rewrite_html(&proxied, &rest, true, &out);
		CHECK_STR(buf_str(&out), want);
		CHECK_EQ(rest.len, 0);
	}
}

TEST(half_a_tag_is_bounded_and_passes)
{
	AUTO_BUF struct buf rest = { 0 }, out = { 0 };

	buf_add(&rest, STR("<a href=\"/x"));
	for (int i = 0; i < 10000; i++) {
		buf_add(&rest, STR("0123456789"));
		rewrite_html(&proxied, &rest, false, &out);
		CHECK(rest.len <= 64 * 1024 + 10);
	}
	rewrite_html(&proxied, &rest, true, &out);
	CHECK_EQ(rest.len, 0);
	CHECK_EQ(out.len, 11 + 100000);
}
