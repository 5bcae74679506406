/* Services of type LoadBalancer get an address of the profile's own network, at once and without an extra process. */
#include <stdlib.h>

#include "controllers/private.h"

struct balancer {
	struct client *client;
	struct workqueue *queue;
	struct informer *services;
	struct cidr pool;
};

static struct str address_of(const struct json *service)
{
	return json_get_str(json_at(json_path(service, "status.loadBalancer.ingress"), 0), "ip");
}

static bool is_taken(const struct balancer *self, struct str ip, struct object *but)
{
	INFORMER_EACH (self->services, service)
		if (service != but && str_eq(address_of(object_tree(service)), ip))
			return true;
	return false;
}

/* What the Service asks for, when it is free and ours; else the first free one. */
static struct str choose(const struct balancer *self, struct arena *arena, struct object *service)
{
	struct str asked = json_path_str(object_tree(service), "spec.loadBalancerIP");
	struct ip last = cidr_last(self->pool), ip;
	char text[IP_TEXT];

	if (ip_parse(asked, &ip) && cidr_contains(self->pool, ip) && !is_taken(self, asked, service))
		return asked;
	for (ip = ip_add(cidr_first(self->pool), 1); ip_cmp(ip, last) < 0; ip = ip_add(ip, 1))
		if (!is_taken(self, ip_format(text, ip), service))
			return str_dup(arena, str_from(text));
	return STR("");
}

static void write_status(struct work *work, struct object *service, const struct json *balancer)
{
	const struct json *tree = object_tree(service);

	if (json_equal(json_path(tree, "status.loadBalancer"), balancer))
		return;
	work_call(work, &(struct api_call){ .verb = VERB_UPDATE,
					    .kind = kind_must("v1", "Service"),
					    .ns = object_namespace(service),
					    .name = object_name(service),
					    .subresource = STR("status"),
					    .body = json_with_path(work->arena, tree, "status.loadBalancer", balancer) });
}

static struct error *sync_service(void *arg, struct work *work)
{
	struct balancer *self = arg;
	struct object *service = informer_find_key(self->services, work->key);
	struct arena *arena = work->arena;
	const struct json *tree;
	struct str ip;

	if (service == NULL)
		return NULL;
	if (!informer_synced(self->services)) {
		work_again(work, 10 * NS_PER_MS);
		return NULL;
	}
	object_keep(arena, service);
	tree = object_tree(service);
	if (!str_is(json_path_str(tree, "spec.type"), "LoadBalancer") || is_deleting(tree)) {
		if (address_of(tree).len != 0 && !is_deleting(tree))
			write_status(work, service, &json_empty_object);
		return NULL;
	}
	/* Another class of load balancer is somebody else's. */
	if (json_path(tree, "spec.loadBalancerClass") != NULL || address_of(tree).len != 0)
		return NULL;
	ip = choose(self, arena, service);
	if (ip.len == 0)
		return error_new(ERR_UNAVAILABLE, "no load balancer address is left");
	client_event(self->client,
		     &(struct client_event){ .about = service,
					     .type = "Normal",
					     .reason = "EnsuredLoadBalancer",
					     .component = "service-controller",
					     .cause = work->cause },
		     "Ensured load balancer");
	write_status(work, service,
		     JSON_OBJECT_OF(arena,
				    { "ingress", JSON_ARRAY_OF(arena, JSON_OBJECT_OF(arena, { "ip", json_string(arena, ip) },
										     { "ipMode", json_text(arena, "VIP") })) }));
	return NULL;
}

static void *start(const struct controllers_options *options, struct client *client)
{
	struct balancer *self = xcalloc(1, sizeof(*self));
	struct informer_events changes = queue_changes();

	self->client = client;
	self->pool = options->load_balancers;
	/* One at a time: a choice must see the choice before it. */
	self->queue = workqueue_new(&(struct workqueue_options){
		.client = client, .name = "service-controller", .reconcile = sync_service, .arg = self, .workers = 1 });
	self->services = client_informer(client, kind_must("v1", "Service"));
	if (self->pool.ip.family != 0)
		informer_listen(self->services, &changes, self->queue);
	return self;
}

static void stop(void *arg)
{
	struct balancer *self = arg;

	informer_unlisten(self->services, self->queue);
	workqueue_free(self->queue);
	free(self);
}

const struct controller load_balancer_controller = { "service-controller", start, stop };
