/*
 * The profile's network, as it is wired here (docs/cmd.md has the picture):
 *
 *	host: mk-XXXXXXXX 192.168.S.1 ── hub: host ─ br0 ─ node0 ── node 0: eth0 192.168.S.10, routes to the pods of the others
 *	                                              └─── node1 ── node 1: eth0 192.168.S.11
 *
 * What exists is found again: applying a plan twice changes nothing, and a process that answers is not started again.
 */
#include "cmd/machine.h"

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
#include "cmd/topology.h"
#include "dns/dns.h"
#include "image/image.h"
#include "client/remote.h"
#include "kubelet/kubelet.h"
#include "netns/netns.h"
#include "proxy/proxy.h"

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
			err = node_conn_open(m->socket, machine_gone, m, &m->conn);
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
	spawning->machine->starting = false;
	if (spawning->task != NULL)
		task_wake(spawning->task, NULL);
	free(spawning);
}

struct error *machine_start_process(struct machine *m, struct task *task)
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
	m->starting = err == NULL;
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

/* Each has a turn of the loop to itself, for a fork takes long. The last one wakes the step. */
static void start_next(void *arg)
{
	struct task *task = arg;
	struct nodes *nodes = task_arg(task);
	struct machine *next = NULL;
	struct error *err = NULL;

	EACH_MACHINE(nodes, m)
	if (next == NULL && m->conn == NULL && !m->started)
		next = m;
	if (next != NULL) {
		next->started = true;
		err = machine_start_process(next, task);
	}
	if (next == NULL || err != NULL)
		task_wake(task, err);
	else
		loop_call_behind(&nodes->start, start_next, task);
}

static enum task_result start_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	task_hold(task);
	start_next(task);
	return task_job(task, NULL, fill_images, &nodes->profile.images);
}

static enum task_result open_processes(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	EACH_MACHINE(nodes, m)
	{
		struct error *err = m->conn == NULL ? node_conn_open(m->socket, machine_gone, m, &m->conn) : NULL;

		if (err != NULL)
			return task_fail(task, error_advise(error_context(err, "node process %s (start ended with status %d)",
									  m->name, m->exit_status),
							    "Its log, %s/%s.log, says why.", m->dir,
							    m->index == HUB_INDEX ? "hub" : "node"));
	}
	return TASK_NEXT;
}

struct error *machine_take_handles(struct machine *m, struct task *task)
{
	if (m->conn == NULL)
		return error_new(ERR_UNAVAILABLE, "node process %s is gone", m->name);
	node_conn_instance(m->conn, task, m->instance);
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

void machine_drop_handles(struct machine *m)
{
	int *const fds[] = { &m->netns, &m->rtnl, &m->proxy_rtnl, &m->nfnl, &m->nfnl_ear, &m->dns_udp, &m->dns_tcp, &m->api };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		fd_close(fds[i]);
	m->instance[0] = '\0';
}

static enum task_result take_handles(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	EACH_MACHINE(nodes, m)
	{
		struct error *err = machine_take_handles(m, task);

		if (err != NULL)
			return task_fail(task, err);
	}
	return TASK_WAIT;
}

/* --- network --- */

/* The hub with the host, and these nodes with the hub. */
enum task_result machine_join(struct task *task, struct nodes *nodes, bool with_host, struct machine *machines, size_t n)
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
	for (size_t i = 0; i < n; i++) {
		joining->nodes[i] = (struct join_node){ machines[i].index, join_dup(machines[i].rtnl),
							!machines[i].found || !nodes->hub.found };
		memcpy(machines[i].hub, nodes->hub.instance, sizeof(machines[i].hub));
	}
	arena_defer(task_arena(task), joining_close, joining);
	return task_job(task, &nodes->lane, join, joining);
}

static enum task_result join_network(struct task *task, void *arg)
{
	struct nodes *nodes = arg;

	return machine_join(task, nodes, true, nodes->machines, nodes->n);
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

struct error *machine_listen(struct machine *m)
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
		err = machine_listen(&nodes->machines[i]);
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
	fd_close(&routing->rtnl);
	arena_free(routing->arena);
	nodes->routing--;
	if (nodes->stopping != NULL)
		nodes_let_go(nodes);
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

void nodes_route(struct nodes *nodes)
{
	INFORMER_EACH (nodes->informer, node)
		node_changed(nodes, NULL, node, 0);
}

struct error *machine_start_components(struct machine *m)
{
	struct nodes *nodes = m->nodes;
	struct cluster *cluster = nodes->cluster;
	int slot = cluster->options.slot;
	struct error *err;

	m->kubelet = kubelet_start(&(struct kubelet_options){
		.client = nodes->agent_client != NULL ? nodes->agent_client : cluster->client,
		.node_name = m->name,
		.control_plane = m->index == 0,
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
	if (err == NULL && nodes->informer != NULL) /* else it tells them when it is there */
		nodes_route(nodes);
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
		err = machine_start_components(&nodes->machines[i]);
	if (err != NULL)
		return task_fail(task, err);
	nodes->informer = client_informer(nodes->cluster->client, kind_must("v1", "Node"));
	informer_listen(nodes->informer, &events, nodes);
	EACH_MACHINE(nodes, m)
	if (m->conn == NULL) /* it died while we started */
		machine_await(m);
	return TASK_DONE;
}

/* --- stop: what lives in this process only --- */

void machine_stop_components(struct machine *m)
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

static void machine_fini(struct machine *m)
{
	loop_timer_stop(&m->retry);
	node_conn_close(m->conn);
	machine_drop_handles(m);
}

void nodes_let_go(void *arg)
{
	struct nodes *nodes = arg;
	struct cluster *cluster = nodes->cluster;
	struct task *task = nodes->stopping;

	if (--nodes->open != 0)
		return;
	stop_agent(nodes);
	EACH_MACHINE(nodes, m)
	machine_fini(m);
	fd_close(&nodes->host_rtnl);
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
		machine_stop_components(m);
		machine_forsake(m);
		if (m->kubelet == NULL)
			continue;
		nodes->open++;
		kubelet_stop(m->kubelet, nodes_let_go, nodes);
	}
	dns_stop(nodes->dns);
	nodes_let_go(nodes);
	return TASK_WAIT;
}

enum task_result nodes_stop(struct task *task, struct cluster *cluster)
{
	return forget_processes(task, cluster->nodes);
}
