#include "apiserver/docs/docs.h"

#include <stdio.h>

#include "apiserver/auth/auth.h"

/* Documents that do not change while the server runs are made on first use and kept. */
enum { DOC_CORE, DOC_GROUPS, DOC_OPENAPI_V2, DOC_OPENAPI_V2_PROTO, DOC_OPENAPI_V3, DOC_COUNT };

/* What nobody but the client itself may keep, unless the headers say otherwise. */
static void reply(struct http_request *http, int status, struct http_headers given, struct bytes *kept, struct str body)
{
	struct http_header *headers = ARENA_ARRAY(http->arena, struct http_header, given.n + 1);
	size_t n = given.n;

	memcpy(headers, given.ptr, n * sizeof(headers[0]));
	if (http_header(&given, "cache-control").len == 0)
		headers[n++] = (struct http_header){ STR("cache-control"), STR("no-cache, private") };
	if (kept != NULL)
		http_reply_bytes(http, status, (struct http_headers){ headers, n }, kept);
	else
		http_reply(http, status, (struct http_headers){ headers, n }, body);
}

static void reply_text(struct http_request *http, int status, struct str text)
{
	static const struct http_header headers[] = { { STR_INIT("content-type"), STR_INIT("text/plain; charset=utf-8") },
						      { STR_INIT("x-content-type-options"), STR_INIT("nosniff") } };

	reply(http, status, (struct http_headers){ headers, 2 }, NULL, text);
}

#define AGGREGATED "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

static void write_core_aggregated(struct buf *out)
{
	api_write_aggregated(out, true);
}

static void write_groups_aggregated(struct buf *out)
{
	api_write_aggregated(out, false);
}

/* A document that is kept, and how it is sent. */
static const struct kept {
	const char *media;
	const char *cache; /* NULL: as everything */
	const char *vary;  /* NULL: not at all */
	void (*write)(struct buf *out);
} kept[DOC_COUNT] = {
	[DOC_CORE] = { AGGREGATED, "public", "Accept", write_core_aggregated },
	[DOC_GROUPS] = { AGGREGATED, "public", "Accept", write_groups_aggregated },
	[DOC_OPENAPI_V2] = { "application/json", NULL, "Accept-Encoding, Accept", api_write_openapi_v2 },
	[DOC_OPENAPI_V2_PROTO] = { "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", NULL, "Accept-Encoding, Accept",
				   api_write_openapi_v2_proto },
	[DOC_OPENAPI_V3] = { "text/plain; charset=utf-8", NULL, NULL, api_write_openapi_v3_index },
};

static void forget_documents(struct apiserver *server)
{
	for (int i = 0; i < DOC_COUNT; i++) {
		bytes_unref(server->documents[i]);
		server->documents[i] = NULL;
	}
	server->documents_of = kinds_generation();
}

static void reply_kept(struct apiserver *server, struct http_request *http, int which)
{
	const struct kept *how = &kept[which];
	struct bytes **slot = &server->documents[which];
	char digest[2 * SHA256_BYTES + 1];
	struct http_header headers[4];
	struct str quoted;
	size_t n = 0;

	if (server->documents_of != kinds_generation())
		forget_documents(server);
	if (*slot == NULL) {
		AUTO_BUF struct buf out = { 0 };

		how->write(&out);
		*slot = bytes_new(buf_str(&out));
	}
	pki_sha256_hex(bytes_str(*slot), digest);
	quoted = str_format(http->arena, "\"%s\"", digest);
	headers[n++] = (struct http_header){ STR("etag"), quoted };
	if (how->vary != NULL)
		headers[n++] = (struct http_header){ STR("vary"), str_from(how->vary) };
	if (how->cache != NULL)
		headers[n++] = (struct http_header){ STR("cache-control"), str_from(how->cache) };
	if (str_eq(http_header(&http->headers, "if-none-match"), quoted)) {
		reply(http, 304, (struct http_headers){ headers, n }, NULL, STR(""));
		return;
	}
	headers[n++] = (struct http_header){ STR("content-type"), str_from(how->media) };
	if (how->vary != NULL && str_contains(str_from(how->vary), STR("Accept-Encoding")))
		http_reply_compress(http);
	reply(http, 200, (struct http_headers){ headers, n }, *slot, STR(""));
}

static void reply_buf(struct http_request *http, const char *media, struct buf *out)
{
	struct http_header type = { STR("content-type"), str_from(media) };

	reply(http, 200, (struct http_headers){ &type, 1 }, NULL, buf_str(out));
}

static void reply_error(struct http_request *http, struct error *err)
{
	AUTO_BUF struct buf out = { 0 };
	bool yaml = str_has_prefix(http_header(&http->headers, "accept"), STR("application/yaml"));
	struct http_header headers[] = { { STR("content-type"), yaml ? STR("application/yaml") : STR("application/json") } };
	const struct json *status = status_of_error(http->arena, NULL, err);

	if (yaml) {
		json_write_yaml(&out, status);
	} else {
		json_write(&out, status);
		buf_putc(&out, '\n');
	}
	reply(http, error_http_status(err->kind), (struct http_headers){ headers, 1 }, NULL, buf_str(&out));
	error_free(err);
}

/* Discovery as the client wants it: the kind that it says it is, as JSON, YAML or protobuf. */
static void reply_discovery(struct http_request *http, struct buf *text)
{
	struct str header = http_header(&http->headers, "accept"), kind;
	struct accept accept;
	const struct json *tree = NULL;
	AUTO_BUF struct buf out = { 0 };
	struct error *err = json_read(http->arena, str_trim(buf_str(text)), NULL, &tree);
	bool routed;

	kind = json_get_str(tree, "kind");
	/* Groups and their list are served by handlers of their own upstream, which no router stands before. */
	routed = !str_is(kind, "APIGroupList") && !str_is(kind, "APIGroup");
	if (err == NULL && routed && !str_is(http->method, "GET"))
		err = error_about(error_new(ERR_METHOD, "the server does not allow this method on the requested resource"), STR(""),
				  STR(""), STR(""));
	if (err == NULL && routed)
		err = accept_routed(header, false);
	if (err == NULL)
		err = accept_parse(header, false, true, &accept);
	if (err != NULL) {
		reply_error(http, err);
		return;
	}
	if (accept.media == API_JSON) {
		reply_buf(http, "application/json", text);
		return;
	}
	if (accept.media == API_YAML)
		json_write_yaml(&out, tree);
	else
		api_write_proto(&out, type_find_named(STR(""), STR("v1"), kind), tree);
	reply_buf(http, media_name(accept.media), &out);
}

static void discovery(struct apiserver *server, struct http_request *http, bool core)
{
	struct str version;
	AUTO_BUF struct buf out = { 0 };

	if (accept_aggregated(http_header(&http->headers, "accept"), &version) && str_is(version, "v2")) {
		reply_kept(server, http, core ? DOC_CORE : DOC_GROUPS);
		return;
	}
	if (core) {
		char ip[IP_TEXT], address[IP_TEXT + 8];

		snprintf(address, sizeof(address), "%s:%u", ip_format(ip, server->options.endpoint).ptr,
			 server->options.endpoint_port);
		api_write_api_versions(&out, str_from(address));
	} else {
		api_write_group_list(&out);
	}
	buf_putc(&out, '\n');
	reply_discovery(http, &out);
}

static void serve_api(struct apiserver *server, struct http_request *http)
{
	discovery(server, http, true);
}

static void serve_apis(struct apiserver *server, struct http_request *http)
{
	discovery(server, http, false);
}

static void serve_openapi_v2(struct apiserver *server, struct http_request *http)
{
	struct str accept = http_header(&http->headers, "accept");

	reply_kept(server, http,
		   str_contains(accept, STR("com.github.proto-openapi.spec.v2")) ? DOC_OPENAPI_V2_PROTO : DOC_OPENAPI_V2);
}

static void serve_openapi_v3(struct apiserver *server, struct http_request *http)
{
	reply_kept(server, http, DOC_OPENAPI_V3);
}

static void serve_version(struct apiserver *server, struct http_request *http)
{
	static const struct http_header headers[] = { { STR_INIT("content-type"), STR_INIT("application/json") } };

	struct str accept = http_header(&http->headers, "accept");
	struct error *err = NULL;

	(void)server;
	if (!str_is(http->method, "GET"))
		err = error_new(ERR_METHOD, "the server does not allow this method on the requested resource");
	else if (accept.len != 0 && !str_contains(accept, STR("application/json")) && !str_contains(accept, STR("*/*")))
		err = error_new(ERR_NOT_ACCEPTABLE, "406: Not Acceptable\n\nAvailable representations: application/json");
	if (err != NULL) {
		reply_error(http, error_about(err, STR(""), STR(""), STR("")));
		return;
	}
	reply(http, 200, (struct http_headers){ headers, 1 }, NULL,
	      STR("{\n  \"major\": \"1\",\n  \"minor\": \"36\",\n  \"emulationMajor\": \"1\",\n  \"emulationMinor\": \"36\",\n"
		  "  \"minCompatibilityMajor\": \"1\",\n  \"minCompatibilityMinor\": \"35\",\n"
		  "  \"gitVersion\": \"v1.36.3+monokube\",\n  \"gitCommit\": \"" MONOKUBE_VERSION "\",\n"
		  "  \"gitTreeState\": \"clean\",\n  \"buildDate\": \"2026-01-01T00:00:00Z\",\n"
		  "  \"goVersion\": \"none\",\n  \"compiler\": \"gcc\",\n  \"platform\": \"linux/amd64\"\n}"));
}

/* --- health: one row a line, each with what it asks --- */

static bool probe_always(struct apiserver *server)
{
	(void)server;
	return true;
}

static bool probe_store(struct apiserver *server)
{
	struct store_stats stats = store_stats(server->options.store);

	return stats.failures == 0 && store_revision(server->options.store) != 0;
}

/* The namespace that everything of the system lives in is there. */
static bool probe_first_objects(struct apiserver *server)
{
	struct store_version *version = store_hold(server->options.store);
	struct store_iter it;
	bool there = store_seek(&it, version, STR("namespaces/kube-system"), STR(""));

	store_version_unref(version);
	return there;
}

static bool probe_not_shutting_down(struct apiserver *server)
{
	return !server->ending;
}

static const struct probe {
	const char *name;
	bool (*ask)(struct apiserver *server);
	bool ready_only; /* of /readyz, not of /livez and /healthz */
} probes[] = {
	{ "ping", probe_always, false },
	{ "log", probe_always, false },
	{ "etcd", probe_store, false },
	{ "poststarthook/bootstrap-objects", probe_first_objects, false },
	{ "shutdown", probe_not_shutting_down, true },
};

static bool excluded(const struct http_request *http, const char *name)
{
	for (size_t i = 0; i < http->n_params; i++)
		if (str_is(http->params[i].name, "exclude") && str_is(http->params[i].value, name))
			return true;
	return false;
}

static void serve_health(struct apiserver *server, struct http_request *http)
{
	struct str which = str_skip(http->path, 1);
	AUTO_BUF struct buf out = { 0 };
	bool verbose, good = true;

	http_param(http, "verbose", &verbose);
	while (which.len != 0 && which.ptr[which.len - 1] == '/')
		which.len--;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		bool ok;

		if (probes[i].ready_only && !str_is(which, "readyz"))
			continue;
		if (excluded(http, probes[i].name)) {
			buf_printf(&out, "[+]%s excluded: ok\n", probes[i].name);
			continue;
		}
		ok = probes[i].ask(server);
		good = good && ok;
		buf_printf(&out, ok ? "[+]%s ok\n" : "[-]%s failed: reason withheld\n", probes[i].name);
	}
	buf_printf(&out, "%.*s check %s\n", STR_ARG(which), good ? "passed" : "failed");
	reply_text(http, good ? 200 : 500, verbose || !good ? buf_str(&out) : STR("ok"));
}

/* /readyz/etcd: one of them alone. False: there is no such one. */
static bool serve_probe(struct apiserver *server, struct http_request *http, struct str path)
{
	struct str which, name = str_skip(path, 1);

	if (!str_cut(&name, '/', &which) || (!str_is(which, "livez") && !str_is(which, "readyz") && !str_is(which, "healthz")))
		return false;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (!str_is(name, probes[i].name) || (probes[i].ready_only && !str_is(which, "readyz")))
			continue;
		if (probes[i].ask(server))
			reply_text(http, 200, STR("ok"));
		else
			reply_text(http, 500, str_format(http->arena, "internal server error: %.*s failed\n", STR_ARG(name)));
		return true;
	}
	return false;
}

static void serve_metrics(struct apiserver *server, struct http_request *http)
{
	struct store_stats stats = store_stats(server->options.store);
	struct loop_stats turns = loop_stats();
	AUTO_BUF struct buf out = { 0 };

	buf_add(&out, STR("# TYPE apiserver_request_total counter\n"));
	for (int i = 0; i < 600; i++)
		if (server->n_requests[i] != 0)
			buf_printf(&out, "apiserver_request_total{code=\"%d\"} %llu\n", i,
				   (unsigned long long)server->n_requests[i]);
	buf_printf(&out, "# TYPE apiserver_current_inflight_requests gauge\napiserver_current_inflight_requests %zu\n",
		   server->n_running);
	buf_printf(&out, "# TYPE monokube_store_keys gauge\nmonokube_store_keys %llu\n", (unsigned long long)stats.keys);
	buf_printf(&out, "# TYPE monokube_store_commits_total counter\nmonokube_store_commits_total %llu\n",
		   (unsigned long long)stats.commits);
	buf_printf(&out, "# TYPE monokube_store_transactions_total counter\nmonokube_store_transactions_total %llu\n",
		   (unsigned long long)stats.transactions);
	buf_printf(&out, "# TYPE monokube_store_watches gauge\nmonokube_store_watches %u\n", stats.watches);
	buf_printf(&out, "# TYPE monokube_loop_turns_total counter\nmonokube_loop_turns_total %llu\n",
		   (unsigned long long)turns.turns);
	buf_printf(&out, "# TYPE monokube_loop_turns_over_budget_total counter\nmonokube_loop_turns_over_budget_total %llu\n",
		   (unsigned long long)turns.over_budget);
	buf_printf(&out, "# TYPE monokube_loop_turns_preempted_total counter\nmonokube_loop_turns_preempted_total %llu\n",
		   (unsigned long long)turns.preempted);
	buf_printf(&out, "# TYPE monokube_loop_turn_longest_seconds gauge\nmonokube_loop_turn_longest_seconds %.6f\n",
		   (double)turns.longest / (double)NS_PER_S);
	reply_buf(http, "text/plain; version=0.0.4; charset=utf-8", &out);
}

static void serve_issuer(struct apiserver *server, struct http_request *http)
{
	struct arena *arena = http->arena;
	const char *issuer = server->options.issuer;
	AUTO_BUF struct buf out = { 0 };

	json_write(&out,
		   JSON_OBJECT_OF(arena, { "issuer", json_text(arena, issuer) },
				  { "jwks_uri", json_printf(arena, "%s/openid/v1/jwks", issuer) },
				  { "response_types_supported", JSON_ARRAY_OF(arena, json_text(arena, "id_token")) },
				  { "subject_types_supported", JSON_ARRAY_OF(arena, json_text(arena, "public")) },
				  { "id_token_signing_alg_values_supported", JSON_ARRAY_OF(arena, json_text(arena, "ES256")) }));
	reply_buf(http, "application/json", &out);
}

static void serve_keys(struct apiserver *server, struct http_request *http)
{
	struct arena *arena = http->arena;
	AUTO_BUF struct buf out = { 0 }, id = { 0 }, xs = { 0 }, ys = { 0 };
	uint8_t x[32], y[32];

	if (!pki_key_point(server->options.token_key, x, y)) {
		reply_text(http, 404, STR("404 page not found\n"));
		return;
	}
	pki_key_id(server->options.token_key, &id);
	base64url_encode(&xs, str_of((char *)x, 32));
	base64url_encode(&ys, str_of((char *)y, 32));
	json_write(&out,
		   JSON_OBJECT_OF(arena,
				  { "keys", JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "use", json_text(arena, "sig") },
										{ "kty", json_text(arena, "EC") },
										{ "kid", json_string(arena, buf_str(&id)) },
										{ "crv", json_text(arena, "P-256") },
										{ "alg", json_text(arena, "ES256") },
										{ "x", json_string(arena, buf_str(&xs)) },
										{ "y", json_string(arena, buf_str(&ys)) })) }));
	reply_buf(http, "application/jwk-set+json", &out);
}

static void serve_paths(struct apiserver *server, struct http_request *http);

static const struct document {
	const char *path;
	void (*serve)(struct apiserver *server, struct http_request *http);
} documents[] = {
	{ "/", serve_paths },
	{ "/.well-known/openid-configuration", serve_issuer },
	{ "/api", serve_api },
	{ "/apis", serve_apis },
	{ "/debug/monokube/revisions", debug_revisions },
	{ "/debug/monokube/turns", debug_turns },
	{ "/healthz", serve_health },
	{ "/livez", serve_health },
	{ "/metrics", serve_metrics },
	{ "/openapi/v2", serve_openapi_v2 },
	{ "/openapi/v3", serve_openapi_v3 },
	{ "/openid/v1/jwks", serve_keys },
	{ "/readyz", serve_health },
	{ "/version", serve_version },
};

static void serve_paths(struct apiserver *server, struct http_request *http)
{
	struct json_builder paths = { .arena = http->arena };
	AUTO_BUF struct buf out = { 0 };

	(void)server;
	for (size_t i = 1; i < sizeof(documents) / sizeof(documents[0]); i++)
		json_builder_item(&paths, json_text(http->arena, documents[i].path));
	json_write_indented(&out, JSON_OBJECT_OF(http->arena, { "paths", json_builder_array(&paths) }), 2);
	reply_buf(http, "application/json", &out);
}

/* /openapi/v3/…: made on request. With the hash that the index names a client may keep it; another hash leads to that one.
 * Source: kube-openapi's handler3. */
static void serve_openapi_v3_version(struct http_request *http, struct str path)
{
	struct str group = STR(""), version, hash = http_param(http, "hash", NULL), now;
	struct str accept = http_header(&http->headers, "accept");
	bool core = str_has_prefix(path, STR("api/"));
	AUTO_BUF struct buf out = { 0 };
	struct http_header headers[5];
	size_t n = 0;

	version = str_skip(path, core ? 4 : 5);
	headers[n++] = (struct http_header){ STR("vary"), STR("Accept") };
	if ((!core && (!str_has_prefix(path, STR("apis/")) || !str_cut(&version, '/', &group))) ||
	    !api_write_openapi_v3(&out, group, version)) {
		reply(http, 404, (struct http_headers){ headers, n }, NULL, STR(""));
		return;
	}
	if (accept.len != 0 && !str_contains(accept, STR("application/json")) && !str_contains(accept, STR("*/*"))) {
		reply(http, 406, (struct http_headers){ headers, n }, NULL, STR(""));
		return;
	}
	now = str_format(http->arena, "%016llX", (unsigned long long)api_openapi_v3_hash(group, version));
	headers[n++] = (struct http_header){ STR("etag"), str_format(http->arena, "\"%.*s\"", STR_ARG(now)) };
	if (hash.len != 0 && !str_eq(hash, now)) {
		headers[n++] = (struct http_header){ STR("location"), str_format(http->arena, "/openapi/v3/%.*s?hash=%.*s",
										 STR_ARG(path), STR_ARG(now)) };
		reply(http, 301, (struct http_headers){ headers, n }, NULL, STR(""));
		return;
	}
	if (hash.len != 0)
		headers[n++] = (struct http_header){ STR("cache-control"), STR("public, immutable") };
	if (str_eq(http_header(&http->headers, "if-none-match"), headers[1].value)) {
		reply(http, 304, (struct http_headers){ headers, n }, NULL, STR(""));
		return;
	}
	headers[n++] = (struct http_header){ STR("content-type"), STR("application/json") };
	reply(http, 200, (struct http_headers){ headers, n }, NULL, buf_str(&out));
}

/* /api/v1, /apis/G, /apis/G/V: made on request. */
static bool write_made(struct str path, struct buf *out)
{
	struct str head, group = STR("");

	path = str_skip(path, 1);
	if (!str_cut(&path, '/', &head))
		return false;
	if (str_is(head, "apis") && !str_cut(&path, '/', &group))
		return false;
	if (!str_is(head, "api") && !str_is(head, "apis"))
		return false;
	if (path.len == 0)
		return group.len != 0 && api_write_group(out, group);
	return api_write_resource_list(out, group, path);
}

static struct str without_slash(struct str path)
{
	while (path.len > 1 && path.ptr[path.len - 1] == '/')
		path.len--;
	return path;
}

void docs_handle(struct apiserver *server, struct http_request *http)
{
	struct str path = without_slash(http->path);
	struct user user = { 0 };
	AUTO_BUF struct buf out = { 0 };
	struct error *err = authenticate_http(server, http->arena, http, &user);

	if (err == NULL)
		err = authorize_path(&user, http->method, path);
	if (err != NULL) {
		reply_error(http, err);
		return;
	}
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		if (str_is(path, documents[i].path)) {
			documents[i].serve(server, http);
			return;
		}
	if (serve_probe(server, http, path))
		return;
	if (str_has_prefix(path, STR("/openapi/v3/")))
		serve_openapi_v3_version(http, str_skip(path, 12));
	else if (write_made(path, &out))
		reply_discovery(http, &out);
	else
		reply_text(http, 404, STR("404 page not found\n"));
}
