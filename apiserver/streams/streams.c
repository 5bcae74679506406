/* What goes on to a kubelet or into the pods' network, by a table; and which container is meant. */
#include "apiserver/streams/streams.h"

static const struct row {
	const char *resource, *subresource;
	const char *path; /* of the kubelet's server; NULL: relay.c */
	bool container;   /* one is meant; port-forward speaks to the pod */
	bool upgrade;     /* only by an upgrade */
} rows[] = {
	{ "pods", "log", "containerLogs", true, false }, { "pods", "exec", "exec", true, true },
	{ "pods", "attach", "attach", true, true },      { "pods", "portforward", "portForward", false, true },
	{ "pods", "proxy", NULL, false, false },         { "services", "proxy", NULL, false, false },
	{ "nodes", "proxy", NULL, false, false },
};

static const struct row *row_of(const struct request *req)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (str_is(req->route.subresource, rows[i].subresource) && str_is(req->route.resource, rows[i].resource))
			return &rows[i];
	return NULL;
}

bool streams_wants(const struct request *req)
{
	return req->route.what == ROUTE_RESOURCE && !req->route.bad_method && row_of(req) != NULL;
}

static const char *const container_lists[] = { "spec.initContainers", "spec.containers", "spec.ephemeralContainers" };

static bool has_container(const struct json *tree, struct str name)
{
	for (int i = 0; i < 3; i++)
		JSON_EACH (json_path(tree, container_lists[i]), it)
			if (str_eq(json_get_str(it.value, "name"), name))
				return true;
	return false;
}

/* The container that is meant; without a name the only one there is. k8s.io/kubernetes/pkg/registry/core/pod/strategy. */
static struct error *choose_container(struct request *req, const struct json *tree, struct str *container)
{
	const struct json *containers = json_path(tree, "spec.containers");
	AUTO_BUF struct buf names = { 0 };

	*container = http_param(req->http, "container", NULL);
	if (container->len != 0 && has_container(tree, *container))
		return NULL;
	if (container->len != 0)
		return error_new(ERR_BAD_REQUEST, "container %.*s is not valid for pod %.*s", STR_ARG(*container),
				 STR_ARG(req->route.name));
	if (json_len(containers) == 1) {
		*container = json_get_str(json_at(containers, 0), "name");
		return NULL;
	}
	for (int i = 0; i < 3; i++)
		JSON_EACH (json_path(tree, container_lists[i]), it)
			buf_printf(&names, "%s%.*s", names.len != 0 ? " " : "", STR_ARG(json_get_str(it.value, "name")));
	return error_new(ERR_BAD_REQUEST, "a container name must be specified for pod %.*s, choose one of: [%s]",
			 STR_ARG(req->route.name), buf_cstr(&names));
}

static void upgrade_over(struct request *req, void *arg, struct error *err)
{
	(void)arg;
	if (err != NULL)
		respond_error(req, err);
	else
		request_end(req);
}

static void kubelet_start(struct request *req, const struct row *row)
{
	const struct json *tree = lookup(req, req->route.kind, req->route.ns, req->route.name);
	struct http_client *client;
	struct str container = STR(""), node, target;
	struct error *err = str_is(req->route.subresource, "log") ? options_check_logs(req) : NULL;

	if (err == NULL && tree == NULL)
		err = error_not_found(req->route.kind, req->route.name);
	if (err == NULL && row->container)
		err = choose_container(req, tree, &container);
	if (err == NULL && row->upgrade && json_path_str(tree, "spec.nodeName").len == 0)
		err = error_new(ERR_BAD_REQUEST, "pod %.*s does not have a host assigned", STR_ARG(req->route.name));
	if (err == NULL && row->upgrade && !req->http->wants_upgrade)
		err = error_new(ERR_BAD_REQUEST, "Upgrade request required");
	if (err != NULL) {
		respond_error(req, err);
		return;
	}
	node = json_path_str(tree, "spec.nodeName");
	if (node.len == 0) {
		/* Nothing runs, so there is nothing to read, and that is no error. */
		http_reply(req->http, 204, (struct http_headers){ NULL, 0 }, STR(""));
		request_end(req);
		return;
	}
	client = req->server->options.kubelet != NULL ? req->server->options.kubelet(req->server->options.kubelet_arg, node) : NULL;
	if (client == NULL) {
		respond_error(req, error_new(ERR_INTERNAL, "node %.*s is not reachable", STR_ARG(node)));
		return;
	}
	target = str_format(req->arena, "/%s/%.*s/%.*s%s%.*s%s%.*s", row->path, STR_ARG(req->route.ns), STR_ARG(req->route.name),
			    container.len != 0 ? "/" : "", STR_ARG(container), req->http->query.len != 0 ? "?" : "",
			    STR_ARG(req->http->query));
	if (req->http->wants_upgrade) {
		upgrade_start(req, client,
			      &(struct http_call_options){
				      .method = str_cstr(req->arena, req->http->method),
				      .target = target,
				      .headers = upgrade_headers(req->arena, &req->http->headers),
			      },
			      upgrade_over, NULL);
		return;
	}
	relay_log(req, client, target);
}

void streams_start(struct request *req)
{
	const struct row *row = row_of(req);

	if (row->path != NULL)
		kubelet_start(req, row);
	else
		relay_start(req);
}
