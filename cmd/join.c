#include "cmd/join.h"

#include <fcntl.h>

#include "cmd/life.h"

static struct error *apply(int rtnl, void (*plan_it)(struct net_plan *plan, const struct topology *topology, int node),
			   const struct topology *topology, int node)
{
	struct arena *arena = arena_new();
	struct net_plan *plan = net_plan_new(arena);
	struct error *err;

	plan_it(plan, topology, node);
	err = net_apply(rtnl, plan);
	arena_free(arena);
	return err;
}

/* One end of these links may hang on in a namespace that is dying: both are made anew then. */
static struct error *cut_host(const struct joining *joining)
{
	char link[16];

	topology_host_link(link, joining->topology.tag);
	return net_link_delete(joining->host, link);
}

static struct error *cut_node(const struct joining *joining, const struct join_node *node)
{
	struct error *err = net_link_delete(joining->hub, topology_port_name(node->index));

	return err != NULL ? err : net_link_delete(node->rtnl, "eth0");
}

static struct error *join_host(const struct joining *joining)
{
	const struct topology *topology = &joining->topology;
	struct error *err = joining->cut_host ? cut_host(joining) : NULL;

	if (err == NULL)
		err = apply(joining->hub, topology_hub, topology, 0);
	if (err == NULL)
		err = apply(joining->host, topology_host, topology, 0);
	return err != NULL ? err : apply(joining->hub, topology_port, topology, HUB_INDEX);
}

static struct error *join_node(const struct joining *joining, const struct join_node *node)
{
	struct error *err = node->cut ? cut_node(joining, node) : NULL;

	if (err == NULL)
		err = apply(node->rtnl, topology_node, &joining->topology, node->index);
	return err != NULL ? err : apply(joining->hub, topology_port, &joining->topology, node->index);
}

struct error *join(void *in)
{
	const struct joining *joining = in;
	struct error *err = joining->with_host ? join_host(joining) : NULL;

	for (size_t i = 0; err == NULL && i < joining->n; i++)
		err = join_node(joining, &joining->nodes[i]);
	return err != NULL ? error_context(err, "network of the profile") : NULL;
}

int join_dup(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void joining_close(void *arg)
{
	struct joining *joining = arg;

	fd_close(&joining->topology.hub_netns);
	fd_close(&joining->hub);
	fd_close(&joining->host);
	for (size_t i = 0; i < joining->n; i++)
		fd_close(&joining->nodes[i].rtnl);
}
