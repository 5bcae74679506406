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
#include "cmd/join.h"
#include "cmd/life.h"
#include "cmd/node_conn.h"
#include "cmd/topology.h"
#include "dns/dns.h"
#include "image/image.h"
#include "client/remote.h"
#include "kubelet/kubelet.h"
#include "netns/netns.h"
#include "proxy/proxy.h"

/* One node process, or the hub. */
struct machine {
	struct nodes *nodes;
	int index;        /* HUB_INDEX, or the number of the node */
	const char *name; /* "demo", "demo-m02" */
	const char *dir, *socket;
	struct node_conn *conn;
	int exit_status; /* of the command that started the process */
	int netns, rtnl, nfnl, nfnl_ear;
	int proxy_rtnl; /* that of the proxy, which asks on the loop while ours is with a job */
	int dns_udp, dns_tcp, api;
	struct http_listener *api_listener;
	struct dns_listener *dns_listener;
	struct kubelet *kubelet;
	struct proxy *proxy;
	struct http_client *client; /* to the kubelet's server */
	struct loop_timer retry;    /* while the process is gone */
	struct task *rejoining;
	bool found; /* it ran when this server started */
};

struct nodes {
	struct cluster *cluster;
	struct arena *arena;
	struct profile profile; /* for the names of things; only name, dir and images are set */
	const char *tag;        /* of the profile on this machine */
	struct machine hub;
	struct machine *machines;
	size_t n;
	int host_rtnl;
	struct informer *informer; /* Nodes: for routes to each other's pods */
	struct dns *dns;
	/* With MONOKUBE_KUBELETS=https the kubelets come in as an agent on another machine would; else NULL. */
	struct http_tls *agent_tls;
	struct http_client *agent_http;
	struct remote *agent;
	struct client *agent_client;
	struct loop_lane lane; /* of what uses our netlink sockets */
	size_t routing;        /* jobs of it that no task waits for */
	size_t open;           /* kubelets and jobs that still stop */
	struct task *stopping;
};

static task_fn find_processes, forget_processes, start_processes, open_processes, take_handles, join_network, open_listeners,
	start_components;

static const struct task_step start_steps[] = {
	{ "find processes", find_processes, forget_processes },
	{ "start processes, fill image store", start_processes, NULL },
	{ "connect", open_processes, NULL },
	{ "take handles", take_handles, NULL },
	{ "join network", join_network, NULL },
	{ "listen in nodes", open_listeners, NULL },
	{ "kubelet, proxy, dns", start_components, NULL },
	{ NULL, NULL, NULL },
};

#define EACH_MACHINE(nodes, m)                                                                                                     \
	for (struct machine *m = &(nodes)->hub; m != NULL; m = m->index == HUB_INDEX                                               \
								       ? ((nodes)->n != 0 ? (nodes)->machines : NULL)              \
								       : ((size_t)m->index + 1 < (nodes)->n ? m + 1 : NULL))

static void one_stopped(void *arg);
static void process_gone(void *arg);
static void await_process(struct machine *m);
static void look_for_process(void *arg);

static void machine_init(struct machine *m, struct nodes *nodes, int index)
{
	*m = (struct machine){ .nodes = nodes,
			       .index = index,
			       .name = life_node_name(nodes->arena, &nodes->profile, index),
			       .dir = life_node_dir(nodes->arena, &nodes->profile, index),
			       .socket = life_node_socket(nodes->arena, &nodes->profile, index),
			       .netns = -1,
			       .rtnl = -1,
			       .nfnl = -1,
			       .nfnl_ear = -1,
			       .proxy_rtnl = -1,
			       .dns_udp = -1,
			       .dns_tcp = -1,
			       .api = -1,
			       .retry.weak = true };
}

enum task_result nodes_start(struct task *task, struct cluster *cluster)
{
	struct nodes *nodes = ARENA_NEW(cluster->arena, struct nodes);

	nodes->cluster = cluster;
	nodes->arena = cluster->arena;
	nodes->profile = (struct profile){ .name = cluster->options.name,
					   .dir = cluster->options.dir,
					   .images = cluster->options.image_dir };
	nodes->tag = profile_tag(cluster->arena, &nodes->profile);
	nodes->host_rtnl = -1;
	nodes->n = (size_t)cluster->options.nodes;
	nodes->machines = ARENA_ARRAY(cluster->arena, struct machine, nodes->n);
	machine_init(&nodes->hub, nodes, HUB_INDEX);
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
	struct error *err;

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

/* The command that starts a process ends when that listens. Another start, whose server was killed, may have been first:
 * whether it failed is seen when we connect. */
struct spawning {
	struct machine *machine;
	struct task *task; /* NULL: nobody waits */
};

static void process_started(void *arg, int status, int signal)
{
	struct spawning *spawning = arg;

	spawning->machine->exit_status = signal != 0 ? 128 + signal : status;
	if (spawning->task != NULL)
		task_wake(spawning->task, NULL);
	free(spawning);
}

static struct error *start_process(struct machine *m, struct task *task)
{
	struct nodes *nodes = m->nodes;
	struct arena *arena = arena_new();
	struct spawning *spawning = xmalloc(sizeof(*spawning));
	int fds[3] = { -1, -1, STDERR_FILENO };
	struct loop_process *process;
	const char *argv[24];
	struct error *err;

	*spawning = (struct spawning){ m, task };
	life_node_argv(arena, &nodes->profile, m->index, nodes->cluster->options.program, argv);
	err = loop_spawn(
		&(struct loop_spawn){
			.file = argv[0], .argv = argv, .fds = fds, .n_fds = 3, .exited = process_started, .arg = spawning },
		&process);
	if (err != NULL)
		free(spawning);
	else if (task != NULL)
		task_hold(task);
	arena_free(arena);
	return err != NULL ? error_context(err, "start node process %s", m->name) : NULL;
}

/* The first time a copy of the program is written, which takes longer than a turn may. */
static struct error *fill_images(void *in)
{
	const char *const *dir = in;
	struct image_store *images = NULL;
	struct error *err = image_store_open(*dir, &images);

	if (err == NULL)
		err = image_store_add_hello(images);
	image_store_close(images);
	return err != NULL ? error_context(err, "image store") : NULL;
}

static enum task_result start_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	EACH_MACHINE(nodes, m)
	{
		struct error *err = m->conn == NULL ? start_process(m, task) : NULL;

		if (err != NULL)
			return task_fail(task, err);
	}
	return task_job(task, NULL, fill_images, &nodes->profile.images);
}

static enum task_result open_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	EACH_MACHINE(nodes, m)
	{
		struct error *err = m->conn == NULL ? node_conn_open(m->socket, process_gone, m, &m->conn) : NULL;

		if (err != NULL)
			return task_fail(task, error_advise(error_context(err, "node process %s (start ended with status %d)",
									  m->name, m->exit_status),
							    "Its log, %s/%s.log, says why.", m->dir,
							    m->index == HUB_INDEX ? "hub" : "node"));
	}
	return TASK_NEXT;
}

static struct error *take_handles_of(struct machine *m, struct task *task)
{
	if (m->conn == NULL)
		return error_new(ERR_UNAVAILABLE, "node process %s is gone", m->name);
	node_conn_netns(m->conn, task, &m->netns);
	node_conn_socket(m->conn, task, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &m->rtnl);
	if (m->index == HUB_INDEX)
		return NULL;
	node_conn_socket(m->conn, task, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &m->proxy_rtnl);
	node_conn_socket(m->conn, task, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, &m->nfnl);
	node_conn_socket(m->conn, task, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, &m->nfnl_ear);
	node_conn_socket(m->conn, task, AF_INET, SOCK_STREAM, 0, &m->api);
	node_conn_socket(m->conn, task, AF_INET, SOCK_STREAM, 0, &m->dns_tcp);
	node_conn_socket(m->conn, task, AF_INET, SOCK_DGRAM, 0, &m->dns_udp);
	return NULL;
}

static void drop_handles_of(struct machine *m)
{
	int *const fds[] = { &m->netns, &m->rtnl, &m->proxy_rtnl, &m->nfnl, &m->nfnl_ear, &m->dns_udp, &m->dns_tcp, &m->api };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		auto_close(fds[i]);
}

static enum task_result take_handles(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	EACH_MACHINE(nodes, m)
	{
		struct error *err = take_handles_of(m, task);

		if (err != NULL)
			return task_fail(task, err);
	}
	return TASK_WAIT;
}

/* --- network --- */

/* The hub with the host, and these nodes with the hub. */
static enum task_result start_joining(struct task *task, struct nodes *nodes, bool with_host, const struct machine *machines,
				      size_t n)
{
	struct joining *joining = arena_alloc(task_arena(task), sizeof(*joining) + n * sizeof(joining->nodes[0]));

	*joining = (struct joining){
		.topology = { .tag = nodes->tag, .slot = nodes->cluster->options.slot, .hub_netns = join_dup(nodes->hub.netns) },
		.hub = join_dup(nodes->hub.rtnl),
		.host = join_dup(nodes->host_rtnl),
		.with_host = with_host,
		.cut_host = !nodes->hub.found,
		.n = n
	};
	for (size_t i = 0; i < n; i++)
		joining->nodes[i] = (struct join_node){ machines[i].index, join_dup(machines[i].rtnl),
							!machines[i].found || !nodes->hub.found };
	arena_defer(task_arena(task), joining_close, joining);
	return task_job(task, &nodes->lane, join, joining);
}

static enum task_result join_network(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	return start_joining(task, nodes, true, nodes->machines, nodes->n);
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
					 &(struct stream_address){ .fd = fd_take(&m->api), .has_fd = true }, &m->api_listener);
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

bool nodes_dial(struct nodes *nodes, struct ip ip, uint16_t port,
		void (*connected)(void *to, struct error *err, struct stream *stream), void *to)
{
	for (size_t i = 0; i < nodes->n; i++)
		if (nodes->machines[i].kubelet != NULL && kubelet_ready(nodes->machines[i].kubelet)) {
			kubelet_dial(nodes->machines[i].kubelet, ip, port, connected, to);
			return true;
		}
	return false;
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

struct routing {
	struct nodes *nodes;
	struct arena *arena;
	struct net_plan *plan;
	int rtnl;
	struct error *err;
};

static void routing_work(void *in)
{
	struct routing *routing = in;

	routing->err = net_apply(routing->rtnl, routing->plan);
}

static void routing_done(void *in)
{
	struct routing *routing = in;
	struct nodes *nodes = routing->nodes;

	log_consume(LOG_ERROR, routing->err, "route to pods of another node");
	auto_close(&routing->rtnl);
	arena_free(routing->arena);
	nodes->routing--;
	if (nodes->stopping != NULL)
		one_stopped(nodes);
}

static void start_routing(struct machine *m, struct cidr pods, const struct machine *owner)
{
	struct arena *arena = arena_new();
	struct routing *routing = ARENA_NEW(arena, struct routing);

	*routing = (struct routing){ m->nodes, arena, net_plan_new(arena), join_dup(m->rtnl), NULL };
	*net_plan_route(routing->plan) = (struct net_route){
		.to = pods, .link = "eth0", .via = cluster_node_ip(m->nodes->cluster->options.slot, owner->index)
	};
	m->nodes->routing++;
	loop_lane_job(&m->nodes->lane, routing_work, routing_done, routing);
}

/* Each node gets a route to the pods of each other one. */
static void node_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct nodes *nodes = arg;
	struct machine *owner = now != NULL ? machine_named(nodes, object_name(now)) : NULL;
	struct cidr pods, before;

	(void)revision;
	if (nodes->cluster->options.ready_fd >= 0 && all_ready(nodes))
		cluster_nodes_ready(nodes->cluster);
	if (owner == NULL || !cidr_parse(json_path_str(object_tree(now), "spec.podCIDR"), &pods))
		return;
	if (old != NULL && cidr_parse(json_path_str(object_tree(old), "spec.podCIDR"), &before))
		return; /* it never changes */
	for (size_t i = 0; i < nodes->n; i++)
		if (&nodes->machines[i] != owner && nodes->machines[i].rtnl >= 0) /* one that comes back asks again */
			start_routing(&nodes->machines[i], pods, owner);
}

static struct error *start_machine(struct machine *m)
{
	struct nodes *nodes = m->nodes;
	struct cluster *cluster = nodes->cluster;
	int slot = cluster->options.slot;
	struct error *err;

	m->kubelet = kubelet_start(&(struct kubelet_options){
		.client = nodes->agent_client != NULL ? nodes->agent_client : cluster->client,
		.node_name = m->name,
		.node_socket = m->socket,
		.node_root = arena_printf(nodes->arena, "%s/root", m->dir),
		.image_dir = nodes->profile.images,
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
		.rtnl_fd = m->proxy_rtnl,
		.pod_cidr = topology_pod_cidr(),
		.own = { topology_api_ip(), topology_dns_ip() },
		.n_own = 2,
		.announce = m->index == 0,
	});
	err = dns_serve(nodes->dns, fd_take(&m->dns_udp), fd_take(&m->dns_tcp), &m->dns_listener);
	return err != NULL ? error_context(err, "DNS of node %s", m->name) : NULL;
}

/* The same kubelet behind another transport: HTTPS to this server's own port, with a client certificate. */
static struct error *start_agent(struct nodes *nodes)
{
	const struct cluster *cluster = nodes->cluster;
	const struct cluster_pki *pki = &cluster->pki;
	const char *how = getenv("MONOKUBE_KUBELETS");
	struct error *err;

	if (how == NULL || strcmp(how, "https") != 0)
		return NULL;
	err = http_tls_client(&(struct http_tls_options){ .cert = buf_str(&pki->admin_pem),
							  .key = buf_str(&pki->admin_key_pem),
							  .ca = buf_str(&pki->ca_pem) },
			      &nodes->agent_tls);
	if (err != NULL)
		return err;
	nodes->agent_http = http_client_new(&(struct http_client_options){
		.address = { .host = cluster->options.listen, .port = cluster->port }, .tls = nodes->agent_tls });
	nodes->agent = remote_new(nodes->agent_http);
	nodes->agent_client = client_new(remote_transport(nodes->agent), "system:nodes");
	return NULL;
}

static void stop_agent(struct nodes *nodes)
{
	if (nodes->agent_client == NULL)
		return;
	client_free(nodes->agent_client);
	nodes->agent_client = NULL;
	remote_free(nodes->agent);
	http_client_free(nodes->agent_http);
	http_tls_unref(nodes->agent_tls);
}

static enum task_result start_components(struct task *task, void *arg)
{
	static const struct informer_events events = { .changed = node_changed };
	struct nodes *nodes = arg;
	struct error *err = start_agent(nodes);

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
	EACH_MACHINE(nodes, m)
	if (m->conn == NULL) /* it died while we started */
		await_process(m);
	return TASK_DONE;
}

/* --- a process that died, and comes back ---
 *
 * Its kubelet says NotReady by itself. When a new process answers, everything that held a handle into the old namespaces
 * starts anew with handles into the new ones. A node stays away until `node start`, as a machine would; the hub, which
 * nobody sees, is started again, and all nodes are joined to it. */

#define RETRY (200 * NS_PER_MS)

static task_fn stop_old, take_new, join_new, listen_new, start_new, join_new_hub, rejoin_all;

static const struct task_step node_steps[] = {
	{ "stop what held the old node", stop_old, NULL },
	{ "take handles", take_new, NULL },
	{ "join network", join_new, NULL },
	{ "listen in the node", listen_new, NULL },
	{ "kubelet, proxy, dns", start_new, NULL },
	{ NULL, NULL, NULL },
};

static const struct task_step hub_steps[] = {
	{ "take handles", take_new, NULL },
	{ "join host", join_new_hub, NULL },
	{ "join nodes", rejoin_all, NULL },
	{ NULL, NULL, NULL },
};

static void kubelet_let_go(void *arg)
{
	task_wake(arg, NULL);
}

static void machine_close(struct machine *m)
{
	proxy_stop(m->proxy);
	m->proxy = NULL;
	if (m->client != NULL)
		http_client_free(m->client);
	m->client = NULL;
	http_listener_close(m->api_listener);
	m->api_listener = NULL;
	dns_listener_close(m->dns_listener);
	m->dns_listener = NULL;
}

static enum task_result stop_old(struct task *task, void *arg)
{
	struct machine *m = arg;
	struct kubelet *kubelet = m->kubelet;

	machine_close(m);
	m->kubelet = NULL;
	if (kubelet == NULL)
		return TASK_NEXT;
	task_hold(task);
	kubelet_stop(kubelet, kubelet_let_go, task);
	return TASK_WAIT;
}

static enum task_result take_new(struct task *task, void *arg)
{
	struct machine *m = arg;
	struct error *err;

	drop_handles_of(m);
	err = take_handles_of(m, task);
	return err != NULL ? task_fail(task, err) : TASK_WAIT;
}

static enum task_result join_new(struct task *task, void *arg)
{
	struct machine *m = arg;

	return start_joining(task, m->nodes, false, m, 1);
}

static enum task_result listen_new(struct task *task, void *arg)
{
	struct error *err = listen_in(arg);

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

static enum task_result join_new_hub(struct task *task, void *arg)
{
	struct machine *m = arg;

	return start_joining(task, m->nodes, true, NULL, 0);
}

static void rejoin(struct machine *m);

static enum task_result rejoin_all(struct task *task, void *arg)
{
	struct nodes *nodes = ((struct machine *)arg)->nodes;

	(void)task;
	for (size_t i = 0; i < nodes->n; i++)
		if (nodes->machines[i].conn != NULL && nodes->machines[i].rejoining == NULL)
			rejoin(&nodes->machines[i]);
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

static void rejoin(struct machine *m)
{
	m->found = false;
	m->rejoining = task_start(&(struct task_options){ .name = "rejoin node",
							  .subject = m->name,
							  .steps = m->index == HUB_INDEX ? hub_steps : node_steps,
							  .arg = m,
							  .timeout = 30 * NS_PER_S,
							  .done = rejoined });
}

static void look_for_process(void *arg)
{
	struct machine *m = arg;
	struct error *err = node_conn_open(m->socket, process_gone, m, &m->conn);

	if (err == NULL) {
		rejoin(m);
		return;
	}
	error_free(err);
	loop_timer_start(&m->retry, RETRY, look_for_process, m);
}

static void await_process(struct machine *m)
{
	if (m->index == HUB_INDEX) {
		drop_handles_of(m); /* they would keep its namespace, and nodes would join that */
		log_consume(LOG_ERROR, start_process(m, NULL), "start the hub again");
	}
	if (m->rejoining == NULL) /* else that fails and looks again */
		loop_timer_start(&m->retry, m->index == HUB_INDEX ? RETRY / 10 : RETRY, look_for_process, m);
}

static void process_gone(void *arg)
{
	struct machine *m = arg;

	log_warn("node process ended", "node=%s", m->name);
	node_conn_close(m->conn);
	m->conn = NULL;
	if (m->nodes->stopping == NULL && m->nodes->informer != NULL)
		await_process(m);
}

/* --- stop: what lives in this process only --- */

static void machine_fini(struct machine *m)
{
	loop_timer_stop(&m->retry);
	node_conn_close(m->conn);
	drop_handles_of(m);
}

static void one_stopped(void *arg)
{
	struct nodes *nodes = arg;
	struct cluster *cluster = nodes->cluster;
	struct task *task = nodes->stopping;

	if (--nodes->open != 0)
		return;
	stop_agent(nodes);
	EACH_MACHINE(nodes, m)
	machine_fini(m);
	auto_close(&nodes->host_rtnl);
	cluster->nodes = NULL;
	task_wake(task, NULL);
}

/* Also the undo of a start that failed: as much as there is of them. */
static enum task_result forget_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	if (nodes->informer != NULL)
		informer_unlisten(nodes->informer, nodes);
	nodes->stopping = task;
	nodes->open = 1 + nodes->routing;
	task_hold(task);
	EACH_MACHINE(nodes, m)
	{
		machine_close(m);
		if (m->kubelet == NULL)
			continue;
		nodes->open++;
		kubelet_stop(m->kubelet, one_stopped, nodes);
	}
	dns_stop(nodes->dns);
	one_stopped(nodes);
	return TASK_WAIT;
}

enum task_result nodes_stop(struct task *task, struct cluster *cluster)
{
	return forget_processes(task, cluster->nodes);
}
