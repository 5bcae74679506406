/*
 * The profile's network, as it is wired here (docs/cmd.md has the picture):
 *
 *	host: mk-XXXXXXXX 192.168.S.1 ── hub: host ─ br0 ─ node0 ── node 0: eth0 192.168.S.10, routes to the pods of the others
 *	                                              └─── node1 ── node 1: eth0 192.168.S.11
 *
 * What exists is found again: applying a plan twice changes nothing, and a process that answers is not started again.
 */
#include "cmd/nodes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/files.h"
#include "cmd/node_conn.h"
#include "cmd/topology.h"
#include "dns/dns.h"
#include "image/image.h"
#include "kubelet/kubelet.h"
#include "netns/netns.h"
#include "proxy/proxy.h"

#define HUB -1 /* as the index of a machine */

/* One node process, or the hub. */
struct machine {
	struct nodes *nodes;
	int index;  /* HUB, or the number of the node */
	char *name; /* "demo", "demo-m02" */
	char *dir, *socket;
	struct node_conn *conn;
	int netns, rtnl, nfnl, nfnl_ear;
	int dns_udp, dns_tcp, api;
	struct kubelet *kubelet;
	struct proxy *proxy;
	struct http_client *client; /* to the kubelet's server */
	struct loop_timer retry;    /* while the process is gone */
	struct task *rejoining;
	bool found; /* it ran when this server started */
	struct loop_timer respawn;
};

struct nodes {
	struct cluster *cluster;
	struct arena *arena;
	struct machine hub;
	struct machine *machines;
	size_t n;
	int host_rtnl;
	struct informer *informer; /* Nodes: for routes to each other's pods */
	struct dns *dns;
	const char *image_dir;
	size_t open;        /* kubelets that still stop */
	int64_t started_at; /* mono */
	struct task *stopping;
};

static task_fn find_processes, start_processes, open_processes, take_handles, join_network, open_listeners, start_components;

static const struct task_step start_steps[] = {
	{ "find processes", find_processes, NULL },
	{ "start processes", start_processes, NULL },
	{ "connect", open_processes, NULL },
	{ "take handles", take_handles, NULL },
	{ "join network", join_network, NULL },
	{ "listen in nodes", open_listeners, NULL },
	{ "kubelet, proxy, dns", start_components, NULL },
	{ NULL, NULL, NULL },
};

#define EACH_MACHINE(nodes, m)                                                                                                     \
	for (struct machine *m = &(nodes)->hub; m != NULL; m = m->index == HUB                                                     \
								       ? ((nodes)->n != 0 ? (nodes)->machines : NULL)              \
								       : ((size_t)m->index + 1 < (nodes)->n ? m + 1 : NULL))

static void process_gone(void *arg);
static void look_for_process(void *arg);

/* --- names --- */

static char *node_name(const struct cluster *cluster, int index)
{
	/* As minikube names them: the profile, then the profile with m02, m03, … */
	return index == 0 ? xstrdup(cluster->options.name) : xasprintf("%s-m%02d", cluster->options.name, index + 1);
}

static void machine_init(struct machine *m, struct nodes *nodes, int index)
{
	const char *dir = nodes->cluster->options.dir;

	*m = (struct machine){ .nodes = nodes,
			       .index = index,
			       .netns = -1,
			       .rtnl = -1,
			       .nfnl = -1,
			       .nfnl_ear = -1,
			       .dns_udp = -1,
			       .dns_tcp = -1,
			       .api = -1 };
	if (index == HUB) {
		m->name = xstrdup("hub");
		m->dir = xstrdup(dir);
		m->socket = xasprintf("%s/hub.sock", dir);
	} else {
		m->name = node_name(nodes->cluster, index);
		m->dir = xasprintf("%s/nodes/%s", dir, m->name);
		m->socket = xasprintf("%s/node.sock", m->dir);
	}
}

enum task_result nodes_start(struct task *task, struct cluster *cluster)
{
	struct nodes *nodes = ARENA_NEW(cluster->arena, struct nodes);

	nodes->cluster = cluster;
	nodes->started_at = clock_mono();
	nodes->arena = cluster->arena;
	nodes->host_rtnl = -1;
	nodes->n = (size_t)cluster->options.nodes;
	nodes->image_dir = cluster->options.image_dir;
	nodes->machines = ARENA_ARRAY(cluster->arena, struct machine, nodes->n);
	machine_init(&nodes->hub, nodes, HUB);
	for (size_t i = 0; i < nodes->n; i++)
		machine_init(&nodes->machines[i], nodes, (int)i);
	cluster->nodes = nodes;
	task_start_child(task,
			 &(struct task_child_options){ .task = { .name = "start nodes", .steps = start_steps, .arg = nodes } });
	return TASK_WAIT;
}

/* --- processes --- */

static enum task_result find_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;
	struct image_store *images = NULL;
	struct error *err;

	err = image_store_open(nodes->image_dir, &images);
	if (err == NULL)
		err = image_store_add_hello(images);
	image_store_close(images);
	if (err != NULL)
		return task_fail(task, error_context(err, "image store"));
	nodes->host_rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (nodes->host_rtnl < 0)
		return task_fail(task, error_errno(errno, "open a netlink socket"));
	EACH_MACHINE(nodes, m)
	{
		err = files_mkdir(m->dir, 0700);
		if (err == NULL)
			err = node_conn_open(m->socket, process_gone, m, &m->conn);
		m->found = m->conn != NULL;
		if (err != NULL && m->conn == NULL)
			error_free(err); /* it does not run: it is started next */
	}
	return TASK_NEXT;
}

static void process_ended(void *arg, int status, int signal)
{
	struct task *task = arg;
	struct error *err = NULL;

	if (status != 0 || signal != 0)
		err = error_advise(error_new(ERR_INTERNAL, "a node process ended with status %d, signal %d", status, signal),
				   "Its log is nodes/NAME/node.log in the profile's directory.");
	task_wake(task, err);
}

/* The command ends when the process it left behind listens. */
static struct error *spawn_process(struct machine *m, void (*exited)(void *arg, int status, int signal), void *arg)
{
	struct nodes *nodes = m->nodes;
	struct arena *arena = nodes->arena;
	const char *log = m->index == HUB ? arena_printf(arena, "%s/hub.log", m->dir) : arena_printf(arena, "%s/node.log", m->dir);
	const char *argv[20] = { nodes->cluster->options.program, "node", "--name", m->name, "--socket", m->socket, "--log", log };
	int fds[3] = { -1, -1, STDERR_FILENO };
	struct loop_process *process;
	size_t n = 8;

	if (m->index == HUB) {
		argv[n++] = "--hub";
	} else {
		argv[n++] = "--root";
		argv[n++] = arena_printf(arena, "%s/root", m->dir);
		argv[n++] = "--images";
		argv[n++] = nodes->image_dir;
		argv[n++] = "--cgroup";
		argv[n++] = arena_printf(arena, "monokube/%s/%s", nodes->cluster->options.name, m->name);
	}
	argv[n] = NULL;
	return loop_spawn(
		&(struct loop_spawn){ .file = argv[0], .argv = argv, .fds = fds, .n_fds = 3, .exited = exited, .arg = arg },
		&process);
}

static void start_process(struct task *task, struct machine *m)
{
	struct error *err;

	task_hold(task);
	err = spawn_process(m, process_ended, task);
	if (err != NULL)
		task_wake(task, error_context(err, "start node process %s", m->name));
}

static enum task_result start_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;
	bool any = false;

	EACH_MACHINE(nodes, m)
	{
		if (m->conn != NULL)
			continue;
		any = true;
		start_process(task, m);
	}
	return any ? TASK_WAIT : TASK_NEXT;
}

static enum task_result open_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	EACH_MACHINE(nodes, m)
	{
		struct error *err = m->conn == NULL ? node_conn_open(m->socket, process_gone, m, &m->conn) : NULL;

		if (err != NULL)
			return task_fail(task, error_context(err, "connect to node process %s", m->name));
	}
	return TASK_NEXT;
}

static void take_handles_of(struct machine *m, struct task *task)
{
	node_conn_netns(m->conn, task, &m->netns);
	node_conn_socket(m->conn, task, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &m->rtnl);
	if (m->index == HUB)
		return;
	node_conn_socket(m->conn, task, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, &m->nfnl);
	node_conn_socket(m->conn, task, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, &m->nfnl_ear);
	node_conn_socket(m->conn, task, AF_INET, SOCK_STREAM, 0, &m->api);
	node_conn_socket(m->conn, task, AF_INET, SOCK_STREAM, 0, &m->dns_tcp);
	node_conn_socket(m->conn, task, AF_INET, SOCK_DGRAM, 0, &m->dns_udp);
}

static void drop_handles_of(struct machine *m)
{
	int *const fds[] = { &m->netns, &m->rtnl, &m->nfnl, &m->nfnl_ear, &m->dns_udp, &m->dns_tcp, &m->api };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		auto_close(fds[i]);
}

static enum task_result take_handles(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	EACH_MACHINE(nodes, m)
	take_handles_of(m, task);
	return TASK_WAIT;
}

/* --- network --- */

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

static enum task_result join_network(struct task *task, void *arg)
{
	struct nodes *nodes = arg;
	struct topology topology = { .profile = nodes->cluster->options.name,
				     .slot = nodes->cluster->options.slot,
				     .hub_netns = nodes->hub.netns };
	struct error *err = apply(nodes->hub.rtnl, topology_hub, &topology, 0);

	if (err == NULL)
		err = apply(nodes->host_rtnl, topology_host, &topology, 0);
	for (size_t i = 0; err == NULL && i < nodes->n; i++)
		err = apply(nodes->machines[i].rtnl, topology_node, &topology, (int)i);
	for (int i = HUB; err == NULL && i < (int)nodes->n; i++)
		err = apply(nodes->hub.rtnl, topology_port, &topology, i);
	return err != NULL ? task_fail(task, error_context(err, "network of the profile")) : TASK_NEXT;
}

/* --- listeners inside the nodes --- */

static struct error *bind_to(int fd, struct ip ip, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	char text[IP_TEXT];
	int on = 1;

	memcpy(&addr.sin_addr, ip.bytes, 4);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return error_errno(errno, "listen on %s:%u in the node", ip_format(text, ip).ptr, port);
	return NULL;
}

static struct error *listen_in(struct machine *m)
{
	struct error *err = bind_to(m->api, topology_api_ip(), 443);

	if (err == NULL)
		err = bind_to(m->dns_udp, topology_dns_ip(), 53);
	if (err == NULL)
		err = bind_to(m->dns_tcp, topology_dns_ip(), 53);
	if (err == NULL)
		err = http_server_listen(m->nodes->cluster->http,
					 &(struct stream_address){ .fd = fd_take(&m->api), .has_fd = true }, NULL);
	return err;
}

static enum task_result open_listeners(struct task *task, void *arg)
{
	struct nodes *nodes = arg;
	struct cluster *cluster = nodes->cluster;
	char host[IP_TEXT];
	struct error *err;

	err = http_server_listen(cluster->http,
				 &(struct stream_address){ .host = ip_format(host, cluster_host_ip(cluster->options.slot)).ptr,
							   .port = 6443 },
				 NULL);
	for (size_t i = 0; err == NULL && i < nodes->n; i++)
		err = listen_in(&nodes->machines[i]);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

/* --- components --- */

/* The API server reaches a kubelet over a stream in memory. */
static void dial_kubelet(void *arg, void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	struct machine *m = arg;
	struct stream *mine, *theirs;

	stream_pair(&mine, &theirs);
	kubelet_accept(m->kubelet, theirs);
	connected(to, NULL, mine);
}

static struct machine *machine_named(struct nodes *nodes, struct str name)
{
	for (size_t i = 0; i < nodes->n; i++)
		if (str_is(name, nodes->machines[i].name))
			return &nodes->machines[i];
	return NULL;
}

struct http_client *nodes_kubelet(struct nodes *nodes, struct str name)
{
	struct machine *m = machine_named(nodes, name);

	return m != NULL ? m->client : NULL;
}

static bool all_ready(struct nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		struct object *node = informer_find(nodes->informer, STR(""), str_from(nodes->machines[i].name));

		if (node == NULL || !condition_true(object_tree(node), "Ready"))
			return false;
	}
	return true;
}

/* Each node gets a route to the pods of each other one. */
static void node_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct nodes *nodes = arg;
	struct machine *owner = now != NULL ? machine_named(nodes, object_name(now)) : NULL;
	struct cidr pods;

	(void)old;
	(void)revision;
	if (nodes->cluster->options.ready_fd >= 0 && all_ready(nodes))
		cluster_nodes_ready(nodes->cluster);
	if (owner == NULL || !cidr_parse(json_path_str(object_tree(now), "spec.podCIDR"), &pods))
		return;
	for (size_t i = 0; i < nodes->n; i++) {
		struct arena *arena;
		struct net_plan *plan;

		if (&nodes->machines[i] == owner)
			continue;
		arena = arena_new();
		plan = net_plan_new(arena);
		*net_plan_route(plan) = (struct net_route){ .to = pods,
							    .link = "eth0",
							    .via = cluster_node_ip(nodes->cluster->options.slot, owner->index) };
		log_consume(LOG_ERROR, net_apply(nodes->machines[i].rtnl, plan), "route to pods of another node");
		arena_free(arena);
	}
}

static struct error *start_machine(struct machine *m)
{
	struct nodes *nodes = m->nodes;
	struct cluster *cluster = nodes->cluster;
	int slot = cluster->options.slot;
	struct error *err;

	m->kubelet = kubelet_start(&(struct kubelet_options){
		.client = cluster->client,
		.node_name = m->name,
		.node_socket = m->socket,
		.node_root = arena_printf(nodes->arena, "%s/root", m->dir),
		.image_dir = nodes->image_dir,
		.node_ip = cluster_node_ip(slot, m->index),
		.dns_ip = topology_dns_ip(),
		.cluster_domain = "cluster.local",
		.netns_fd = m->netns,
		.rtnl_fd = m->rtnl,
	});
	m->client = http_client_new(
		&(struct http_client_options){ .dial = dial_kubelet, .dial_arg = m, .server_name = m->name, .no_reuse = true });
	m->proxy = proxy_start(&(struct proxy_options){
		.client = cluster->client,
		.node_name = m->name,
		.node_ip = cluster_node_ip(slot, m->index),
		.uplink = "eth0",
		.nfnl_fd = m->nfnl,
		.ear_fd = m->nfnl_ear,
		.rtnl_fd = m->rtnl,
		.pod_cidr = topology_pod_cidr(),
		.own = { topology_api_ip(), topology_dns_ip() },
		.n_own = 2,
		.announce = m->index == 0,
	});
	err = dns_serve(nodes->dns, fd_take(&m->dns_udp), fd_take(&m->dns_tcp));
	return err != NULL ? error_context(err, "DNS of node %s", m->name) : NULL;
}

static enum task_result start_components(struct task *task, void *arg)
{
	static const struct informer_events events = { .changed = node_changed };
	struct nodes *nodes = arg;
	struct error *err = NULL;

	nodes->dns = dns_start(&(struct dns_options){ .client = nodes->cluster->client,
						      .domain = "cluster.local",
						      .dns_ip = topology_dns_ip(),
						      .resolv_conf = "/etc/resolv.conf" });
	for (size_t i = 0; err == NULL && i < nodes->n; i++)
		err = start_machine(&nodes->machines[i]);
	if (err != NULL)
		return task_fail(task, err);
	nodes->informer = client_informer(nodes->cluster->client, kind_must("v1", "Node"));
	informer_listen(nodes->informer, &events, nodes);
	return TASK_DONE;
}

/* --- a node process that died, and comes back ---
 *
 * Its kubelet says NotReady by itself. When a new process answers, everything that held a handle into the old namespaces
 * starts anew with handles into the new ones. */

#define RETRY (200 * NS_PER_MS)

static task_fn stop_old, take_new, join_new, start_new;

static const struct task_step rejoin_steps[] = {
	{ "stop what held the old node", stop_old, NULL },
	{ "take handles", take_new, NULL },
	{ "join network", join_new, NULL },
	{ "kubelet, proxy, dns", start_new, NULL },
	{ NULL, NULL, NULL },
};

static void kubelet_let_go(void *arg)
{
	task_wake(arg, NULL);
}

static enum task_result stop_old(struct task *task, void *arg)
{
	struct machine *m = arg;
	struct kubelet *kubelet = m->kubelet;

	proxy_stop(m->proxy);
	m->proxy = NULL;
	if (m->client != NULL)
		http_client_free(m->client);
	m->client = NULL;
	m->kubelet = NULL;
	if (kubelet == NULL)
		return TASK_NEXT;
	task_hold(task);
	kubelet_stop(kubelet, kubelet_let_go, task);
	return TASK_WAIT;
}

static enum task_result take_new(struct task *task, void *arg)
{
	drop_handles_of(arg);
	take_handles_of(arg, task);
	return TASK_WAIT;
}

static enum task_result join_new(struct task *task, void *arg)
{
	struct machine *m = arg;
	struct nodes *nodes = m->nodes;
	struct topology topology = { .profile = nodes->cluster->options.name,
				     .slot = nodes->cluster->options.slot,
				     .hub_netns = nodes->hub.netns };
	/* Whoever still holds the dead namespace keeps its link alive, and with it the name of the port. */
	struct error *err = net_link_delete(nodes->hub.rtnl, topology_port_name(m->index));

	if (err == NULL)
		err = apply(m->rtnl, topology_node, &topology, m->index);
	if (err == NULL)
		err = apply(nodes->hub.rtnl, topology_port, &topology, m->index);
	if (err == NULL)
		err = listen_in(m);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

static enum task_result start_new(struct task *task, void *arg)
{
	struct machine *m = arg;
	struct error *err = start_machine(m);

	if (err != NULL)
		return task_fail(task, err);
	INFORMER_EACH (m->nodes->informer, node)
		node_changed(m->nodes, NULL, node, 0);
	return TASK_DONE;
}

static void rejoined(void *arg, struct error *err)
{
	struct machine *m = arg;

	m->rejoining = NULL;
	if (err == NULL) {
		log_info("node is back", "node=%s", m->name);
		return;
	}
	log_consume(LOG_ERROR, err, "join a node that came back");
	node_conn_close(m->conn);
	m->conn = NULL;
	loop_timer_start(&m->retry, RETRY, look_for_process, m);
}

static void look_for_process(void *arg)
{
	struct machine *m = arg;
	struct error *err = node_conn_open(m->socket, process_gone, m, &m->conn);

	if (err != NULL) {
		error_free(err);
		loop_timer_start(&m->retry, RETRY, look_for_process, m);
		return;
	}
	m->rejoining = task_start(&(struct task_options){ .name = "rejoin node",
							  .subject = m->name,
							  .steps = rejoin_steps,
							  .arg = m,
							  .timeout = 30 * NS_PER_S,
							  .done = rejoined });
}

/* One that was found running and ends at once was on its way out: an interrupted stop had told it so. It is started
 * again. One that dies later stays dead until `node start`, as a machine would. */
#define FOUND_DYING (15 * NS_PER_S)

static void start_again(void *arg);

static void started_again(void *arg, int status, int signal)
{
	struct machine *m = arg;

	/* The old one may still hold its lock. */
	if ((status != 0 || signal != 0) && clock_mono() - m->nodes->started_at < FOUND_DYING)
		loop_timer_start(&m->respawn, RETRY, start_again, m);
}

static void start_again(void *arg)
{
	struct machine *m = arg;

	m->respawn.weak = true;
	log_consume(LOG_WARN, spawn_process(m, started_again, m), "start node process again");
}

static void process_gone(void *arg)
{
	struct machine *m = arg;

	log_warn("node process ended", "node=%s", m->name);
	node_conn_close(m->conn);
	m->conn = NULL;
	if (m->rejoining != NULL || m->nodes->stopping != NULL || m->index == HUB)
		return;
	m->retry.weak = true;
	loop_timer_start(&m->retry, RETRY, look_for_process, m);
	if (m->found && clock_mono() - m->nodes->started_at < FOUND_DYING) {
		m->found = false;
		start_again(m);
	}
}

/* --- stop: what lives in this process only --- */

static void machine_fini(struct machine *m)
{
	if (m->client != NULL)
		http_client_free(m->client);
	loop_timer_stop(&m->retry);
	loop_timer_stop(&m->respawn);
	node_conn_close(m->conn);
	drop_handles_of(m);
	free(m->name);
	free(m->dir);
	free(m->socket);
}

static void kubelet_stopped(void *arg)
{
	struct nodes *nodes = arg;
	struct cluster *cluster = nodes->cluster;
	struct task *task = nodes->stopping;

	if (--nodes->open != 0)
		return;
	EACH_MACHINE(nodes, m)
	machine_fini(m);
	auto_close(&nodes->host_rtnl);
	cluster->nodes = NULL;
	task_wake(task, NULL);
}

enum task_result nodes_stop(struct task *task, struct cluster *cluster)
{
	struct nodes *nodes = cluster->nodes;

	if (nodes->informer != NULL)
		informer_unlisten(nodes->informer, nodes);
	dns_stop(nodes->dns);
	nodes->stopping = task;
	nodes->open = 1;
	task_hold(task);
	for (size_t i = 0; i < nodes->n; i++) {
		proxy_stop(nodes->machines[i].proxy);
		if (nodes->machines[i].kubelet == NULL)
			continue;
		nodes->open++;
		kubelet_stop(nodes->machines[i].kubelet, kubelet_stopped, nodes);
	}
	kubelet_stopped(nodes);
	return TASK_WAIT;
}
