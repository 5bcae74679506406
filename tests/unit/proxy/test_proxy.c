/*
 * The whole proxy over a pretended API server, in three fresh network namespaces wired as a node is:
 *
 *	outside 192.168.9.1 ── eth0 192.168.9.10 node ── pod1 10.244.0.5/32
 *	                                              └── pod2 10.244.0.6/32
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "netns/netns.h"
#include "proxy/proxy.h"
#include "tests/unit/fake_api.h"
#include "tests/unit/tap.h"

struct world {
	int home, outside, node, pod[2];
	int rtnl, nfnl, ear;
	struct fake_api *api;
	struct client *client;
	struct proxy *proxy;
};

static int new_namespace(void)
{
	if (unshare(CLONE_NEWNET) != 0)
		tap_skip("network namespaces: %s", strerror(errno));
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void enter(int ns)
{
	CHECK(setns(ns, CLONE_NEWNET) == 0);
}

static int netlink_in(int ns, int protocol)
{
	int fd;

	enter(ns);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	CHECK(fd >= 0);
	return fd;
}

static struct cidr cidr(const char *text)
{
	struct cidr c;

	CHECK(cidr_parse(str_from(text), &c));
	return c;
}

static struct ip ip(const char *text)
{
	struct ip parsed;

	CHECK(ip_parse(str_from(text), &parsed));
	return parsed;
}

static void apply_in(int ns, struct net_plan *plan)
{
	int rtnl = netlink_in(ns, NETLINK_ROUTE);

	CHECK_OK(net_apply(rtnl, plan));
	close(rtnl);
}

static void wire_outside(const struct world *w)
{
	struct arena *arena = arena_new();
	struct net_plan *node = net_plan_new(arena), *outside = net_plan_new(arena);

	*net_plan_link(node) = (struct net_link){ .kind = NET_EXISTING, .name = "lo", .peer_ns = -1, .route_localnet = true };
	*net_plan_link(node) = (struct net_link){
		.kind = NET_VETH, .name = "eth0", .peer = "link", .peer_ns = w->outside, .forward = true, .no_rp_filter = true
	};
	*net_plan_addr(node) = (struct net_addr){ "eth0", cidr("192.168.9.10/24") };
	*net_plan_addr(node) = (struct net_addr){ "lo", cidr("10.96.0.1/32") };
	*net_plan_route(node) = (struct net_route){ .to = cidr("0.0.0.0/0"), .via = ip("192.168.9.1"), .link = "eth0" };
	apply_in(w->node, node);
	*net_plan_link(outside) = (struct net_link){ .kind = NET_EXISTING, .name = "lo", .peer_ns = -1 };
	*net_plan_link(outside) = (struct net_link){ .kind = NET_EXISTING, .name = "link", .peer_ns = -1 };
	*net_plan_addr(outside) = (struct net_addr){ "link", cidr("192.168.9.1/24") };
	*net_plan_route(outside) = (struct net_route){ .to = cidr("10.96.0.0/12"), .via = ip("192.168.9.10"), .link = "link" };
	apply_in(w->outside, outside);
	arena_free(arena);
}

static void wire_pod(const struct world *w, int pod, const char *link, const char *address)
{
	struct arena *arena = arena_new();
	struct net_plan *node = net_plan_new(arena), *inside = net_plan_new(arena);
	struct net_link *veth = net_plan_link(node);
	struct net_neigh *neigh;
	struct cidr whole = { ip(address), 32 };

	*veth = (struct net_link){ .kind = NET_VETH,
				   .name = link,
				   .peer = "eth0",
				   .peer_ns = pod,
				   .forward = true,
				   .route_localnet = true,
				   .no_rp_filter = true };
	net_mac(veth->mac, str_from(link));
	net_mac(veth->peer_mac, str_from(address));
	*net_plan_route(node) = (struct net_route){ .to = whole, .link = link };
	neigh = net_plan_neigh(node);
	*neigh = (struct net_neigh){ .link = link, .ip = whole.ip };
	net_mac(neigh->mac, str_from(address));
	apply_in(w->node, node);
	*net_plan_link(inside) = (struct net_link){ .kind = NET_EXISTING, .name = "lo", .peer_ns = -1 };
	*net_plan_link(inside) = (struct net_link){ .kind = NET_EXISTING, .name = "eth0", .peer_ns = -1 };
	*net_plan_addr(inside) = (struct net_addr){ "eth0", whole };
	*net_plan_route(inside) =
		(struct net_route){ .to = cidr("0.0.0.0/0"), .via = ip("169.254.1.1"), .link = "eth0", .onlink = true };
	neigh = net_plan_neigh(inside);
	*neigh = (struct net_neigh){ .link = "eth0", .ip = ip("169.254.1.1") };
	net_mac(neigh->mac, str_from(link));
	apply_in(pod, inside);
	arena_free(arena);
}

static struct world open_world(void)
{
	struct world w = { .home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC) };

	w.outside = new_namespace();
	w.pod[0] = new_namespace();
	w.pod[1] = new_namespace();
	w.node = new_namespace();
	wire_outside(&w);
	wire_pod(&w, w.pod[0], "veth1", "10.244.0.5");
	wire_pod(&w, w.pod[1], "veth2", "10.244.0.6");
	w.rtnl = netlink_in(w.node, NETLINK_ROUTE);
	w.nfnl = netlink_in(w.node, NETLINK_NETFILTER);
	w.ear = netlink_in(w.node, NETLINK_NETFILTER);
	enter(w.home);
	loop_init();
	w.api = fake_api_new();
	w.client = client_new(fake_api_transport(w.api), "test");
	return w;
}

static void start(struct world *w)
{
	w->proxy = proxy_start(&(struct proxy_options){ .client = w->client,
							.node_name = "a",
							.node_ip = ip("192.168.9.10"),
							.uplink = "eth0",
							.nfnl_fd = w->nfnl,
							.ear_fd = w->ear,
							.rtnl_fd = w->rtnl,
							.pod_cidr = cidr("10.244.0.0/16"),
							.own = { ip("10.96.0.1") },
							.n_own = 1,
							.announce = true });
	loop_run_for(20 * NS_PER_MS);
}

static void settle(void)
{
	loop_run_for(20 * NS_PER_MS);
}

static void close_world(struct world *w)
{
	proxy_stop(w->proxy);
	client_free(w->client);
	fake_api_free(w->api);
	loop_fini();
	close(w->rtnl);
	close(w->nfnl);
	close(w->ear);
	close(w->pod[0]);
	close(w->pod[1]);
	close(w->node);
	close(w->outside);
	enter(w->home);
	close(w->home);
}

/* --- servers and clients --- */

static int serve_in(int ns, int type, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd, on = 1;

	enter(ns);
	fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	CHECK(type != SOCK_STREAM || listen(fd, 64) == 0);
	return fd;
}

/* 0 or errno of a connect from that namespace, which never waits longer than half a second. */
static int connect_from(int ns, const char *address, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval limit = { .tv_usec = 500000 };
	int fd, rc;

	enter(ns);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(inet_pton(AF_INET, address, &addr.sin_addr) == 1);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : errno;
	close(fd);
	return rc;
}

/* Who the server sees; "" when nobody came. */
static const char *peer_of(int listener)
{
	static char text[INET_ADDRSTRLEN];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int fd = accept(listener, (struct sockaddr *)&from, &len);

	if (fd < 0)
		return "";
	close(fd);
	return inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text));
}

#define SERVICE(spec, status)                                                                                                      \
	"{'kind':'Service','apiVersion':'v1','metadata':{'namespace':'d','name':'web'},'spec':{" spec "},'status':{" status "}}"
#define SLICE(protocol, endpoints)                                                                                                 \
	"{'kind':'EndpointSlice','apiVersion':'discovery.k8s.io/v1','metadata':{'namespace':'d','name':'web-x','labels':{"         \
	"'kubernetes.io/service-name':'web'}},'addressType':'IPv4','ports':[{'name':'','protocol':'" protocol                      \
	"','port':8080}],'endpoints':[" endpoints "]}"
#define EP(ip, node) "{'addresses':['" ip "'],'nodeName':'" node "','conditions':{'ready':true}}"
#define CLUSTER      "'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7']"
#define TCP80        "'ports':[{'protocol':'TCP','port':80,'nodePort':30080}]"

TEST(proxy_cluster_ip_node_port_and_hairpin)
{
	struct world w = open_world();
	int server = serve_in(w.pod[0], SOCK_STREAM, 8080);

	enter(w.home);
	fake_api_put(w.api, SERVICE("'type':'NodePort'," CLUSTER "," TCP80, ""));
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a")));
	start(&w);
	/* Another pod is seen as it is. */
	CHECK_EQ(connect_from(w.pod[1], "10.96.0.7", 80), 0);
	CHECK_STR(peer_of(server), "10.244.0.6");
	/* The pod itself and clients of the outside come as the node. */
	CHECK_EQ(connect_from(w.pod[0], "10.96.0.7", 80), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.outside, "192.168.9.10", 30080), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.node, "127.0.0.1", 30080), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.node, "10.96.0.7", 80), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.pod[1], "192.168.9.10", 30080), 0);
	CHECK_STR(peer_of(server), "10.244.0.6");
	/* Ports that the address does not have are refused, not lost. */
	CHECK_EQ(connect_from(w.pod[1], "10.96.0.7", 81), ECONNREFUSED);
	CHECK_EQ(connect_from(w.node, "10.96.0.7", 81), ECONNREFUSED);
	close(server);
	close_world(&w);
}

TEST(proxy_follows_endpoints)
{
	struct world w = open_world();
	int one = serve_in(w.pod[0], SOCK_STREAM, 8080), two = serve_in(w.pod[1], SOCK_STREAM, 8080), seen[2] = { 0 };

	enter(w.home);
	fake_api_put(w.api, SERVICE("'type':'NodePort'," CLUSTER "," TCP80, ""));
	start(&w);
	CHECK_EQ(connect_from(w.node, "10.96.0.7", 80), ECONNREFUSED);
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), ECONNREFUSED);
	CHECK_EQ(connect_from(w.outside, "192.168.9.10", 30080), ECONNREFUSED);
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a") "," EP("10.244.0.6", "a")));
	settle();
	for (int i = 0; i < 40; i++)
		CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	while (peer_of(one)[0] != '\0')
		seen[0]++;
	while (peer_of(two)[0] != '\0')
		seen[1]++;
	CHECK_EQ(seen[0] + seen[1], 40);
	CHECK(seen[0] > 0 && seen[1] > 0);
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.6", "a")));
	settle();
	for (int i = 0; i < 20; i++)
		CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	CHECK_STR(peer_of(one), "");
	fake_api_delete(w.api, "EndpointSlice", "d", "web-x");
	settle();
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), ECONNREFUSED);
	fake_api_delete(w.api, "Service", "d", "web");
	settle();
	CHECK(connect_from(w.node, "10.96.0.7", 80) != 0);
	CHECK_EQ(connect_from(w.node, "127.0.0.1", 30080), ECONNREFUSED);
	close(one);
	close(two);
	close_world(&w);
}

TEST(proxy_connections_outlive_changes)
{
	struct world w = open_world();
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(80) };
	int server = serve_in(w.pod[0], SOCK_STREAM, 8080), client, accepted;
	char byte;

	enter(w.home);
	fake_api_put(w.api, SERVICE(CLUSTER "," TCP80, ""));
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a")));
	start(&w);
	enter(w.outside);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(inet_pton(AF_INET, "10.96.0.7", &addr.sin_addr) == 1);
	CHECK(connect(client, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	accepted = accept(server, NULL, NULL);
	CHECK(accepted >= 0);
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.6", "a")));
	settle();
	CHECK(send(client, "x", 1, 0) == 1);
	CHECK(poll(&(struct pollfd){ .fd = accepted, .events = POLLIN }, 1, 500) == 1);
	CHECK(recv(accepted, &byte, 1, 0) == 1);
	fake_api_delete(w.api, "EndpointSlice", "d", "web-x");
	settle();
	CHECK(send(accepted, "y", 1, 0) == 1);
	CHECK(poll(&(struct pollfd){ .fd = client, .events = POLLIN }, 1, 500) == 1);
	CHECK(recv(client, &byte, 1, 0) == 1);
	close(accepted);
	close(client);
	close(server);
	close_world(&w);
}

TEST(proxy_load_balancer_addresses_come_and_go)
{
	struct world w = open_world();
	int server = serve_in(w.pod[0], SOCK_STREAM, 8080);
	struct arena *arena = arena_new();
	struct net_plan *left = net_plan_new(arena);

	/* A process before this one left an address. */
	*net_plan_addr(left) = (struct net_addr){ "eth0", cidr("192.168.9.201/32") };
	apply_in(w.node, left);
	arena_free(arena);
	enter(w.home);
	fake_api_put(w.api,
		     SERVICE("'type':'LoadBalancer'," CLUSTER "," TCP80, "'loadBalancer':{'ingress':[{'ip':'192.168.9.200'}]}"));
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a")));
	start(&w);
	CHECK_EQ(connect_from(w.outside, "192.168.9.200", 80), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.pod[1], "192.168.9.200", 80), 0);
	CHECK_STR(peer_of(server), "10.244.0.6");
	CHECK(connect_from(w.outside, "192.168.9.201", 80) != ECONNREFUSED);
	/* With policy Local the client is seen. */
	fake_api_put(w.api, SERVICE("'type':'LoadBalancer','externalTrafficPolicy':'Local'," CLUSTER "," TCP80,
				    "'loadBalancer':{'ingress':[{'ip':'192.168.9.200'}]}"));
	settle();
	CHECK_EQ(connect_from(w.outside, "192.168.9.200", 80), 0);
	CHECK_STR(peer_of(server), "192.168.9.1");
	CHECK_EQ(connect_from(w.node, "192.168.9.200", 80), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	/* A list of sources that the client is not on. */
	fake_api_put(w.api, SERVICE("'type':'LoadBalancer','loadBalancerSourceRanges':['172.16.0.0/12']," CLUSTER "," TCP80,
				    "'loadBalancer':{'ingress':[{'ip':'192.168.9.200'}]}"));
	settle();
	CHECK(connect_from(w.outside, "192.168.9.200", 80) != 0);
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	fake_api_delete(w.api, "Service", "d", "web");
	settle();
	CHECK(connect_from(w.outside, "192.168.9.200", 80) != 0);
	CHECK(connect_from(w.outside, "192.168.9.200", 80) != ECONNREFUSED); /* nobody has it */
	close(server);
	close_world(&w);
}

TEST(proxy_affinity_brings_clients_back)
{
	struct world w = open_world();
	int servers[2] = { serve_in(w.pod[0], SOCK_STREAM, 8080), serve_in(w.pod[1], SOCK_STREAM, 8080) }, first = -1;

	enter(w.home);
	fake_api_put(w.api, SERVICE("'sessionAffinity':'ClientIP'," CLUSTER "," TCP80, ""));
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a") "," EP("10.244.0.6", "a")));
	start(&w);
	for (int i = 0; i < 40; i++) {
		int which;

		if (i == 20) { /* a change of another Service, and of this one's other parts */
			fake_api_put(w.api, "{'kind':'Service','apiVersion':'v1','metadata':{'namespace':'d','name':'other'},"
					    "'spec':{'clusterIP':'10.96.0.8','ports':[{'port':80}]}}");
			fake_api_put(w.api,
				     SLICE("TCP", EP("10.244.0.5", "a") "," EP("10.244.0.6", "a") "," EP("10.244.7.7", "b")));
			settle();
		}
		CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
		which = peer_of(servers[0])[0] != '\0' ? 0 : 1;
		if (which == 1)
			CHECK(peer_of(servers[1])[0] != '\0');
		if (first < 0)
			first = which;
		CHECK_EQ(which, first);
	}
	close(servers[0]);
	close(servers[1]);
	close_world(&w);
}

static bool hears(int server)
{
	char byte;

	return poll(&(struct pollfd){ .fd = server, .events = POLLIN }, 1, 200) == 1 && recv(server, &byte, 1, 0) == 1;
}

TEST(proxy_udp_flows_follow_their_service)
{
	struct world w = open_world();
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(53) };
	int one = serve_in(w.pod[0], SOCK_DGRAM, 8080), two = serve_in(w.pod[1], SOCK_DGRAM, 8080), client;

	enter(w.home);
	fake_api_put(w.api, SERVICE(CLUSTER ",'ports':[{'protocol':'UDP','port':53}]", ""));
	fake_api_put(w.api, SLICE("UDP", EP("10.244.0.5", "a")));
	start(&w);
	enter(w.outside);
	client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(inet_pton(AF_INET, "10.96.0.7", &addr.sin_addr) == 1);
	CHECK(connect(client, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	CHECK(send(client, "a", 1, 0) == 1);
	CHECK(hears(one));
	fake_api_put(w.api, SLICE("UDP", EP("10.244.0.6", "a")));
	settle();
	CHECK(send(client, "b", 1, 0) == 1);
	CHECK(hears(two));
	CHECK(!hears(one));
	close(client);
	close(one);
	close(two);
	close_world(&w);
}

TEST(proxy_puts_back_what_others_delete)
{
	struct world w = open_world();
	int server = serve_in(w.pod[0], SOCK_STREAM, 8080), other;
	struct nft_batch *batch = nft_batch_new();

	enter(w.home);
	fake_api_put(w.api, SERVICE(CLUSTER "," TCP80, ""));
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a")));
	start(&w);
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	other = netlink_in(w.node, NETLINK_NETFILTER);
	nft_table_delete(batch, "monokube");
	CHECK_OK(nft_apply(other, batch));
	nft_batch_free(batch);
	close(other);
	CHECK(connect_from(w.outside, "10.96.0.7", 80) != 0);
	settle();
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	close(server);
	close_world(&w);
}

TEST(proxy_hides_pods_outside)
{
	struct world w = open_world();
	int server = serve_in(w.outside, SOCK_STREAM, 9090);

	enter(w.home);
	start(&w);
	CHECK_EQ(connect_from(w.pod[0], "192.168.9.1", 9090), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	close(server);
	close_world(&w);
}

/* Two Services that want one address: the first keeps it, and when it goes the other one has it. */
TEST(proxy_survives_conflicts)
{
	struct world w = open_world();
	int one = serve_in(w.pod[0], SOCK_STREAM, 8080), two = serve_in(w.pod[1], SOCK_STREAM, 8080);

	enter(w.home);
	fake_api_put(w.api, SERVICE(CLUSTER ",'externalIPs':['192.168.9.77']," TCP80, ""));
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a")));
	fake_api_put(w.api, "{'kind':'Service','apiVersion':'v1','metadata':{'namespace':'d','name':'zwei'},'spec':{"
			    "'clusterIP':'10.96.0.8','externalIPs':['192.168.9.77'],'ports':[{'port':80}]}}");
	fake_api_put(w.api, "{'kind':'EndpointSlice','apiVersion':'discovery.k8s.io/v1','metadata':{'namespace':'d','name':'z',"
			    "'labels':{'kubernetes.io/service-name':'zwei'}},'addressType':'IPv4','ports':[{'port':8080}],"
			    "'endpoints':[" EP("10.244.0.6", "a") "]}");
	start(&w);
	CHECK_EQ(connect_from(w.pod[1], "192.168.9.77", 80), 0);
	CHECK(peer_of(one)[0] != '\0');
	fake_api_delete(w.api, "Service", "d", "web");
	settle(); /* the kernel refuses, which takes it a while; then all is written again */
	loop_run_for(200 * NS_PER_MS);
	CHECK_EQ(connect_from(w.pod[0], "192.168.9.77", 80), 0);
	CHECK(peer_of(two)[0] != '\0');
	close(one);
	close(two);
	close_world(&w);
}

#define POD(spec, phase)                                                                                                               \
	"{'kind':'Pod','apiVersion':'v1','metadata':{'namespace':'d','name':'p'},'spec':{'nodeName':'a','containers':[{'ports':[" spec \
	"]}]},'status':{'phase':'" phase "','podIP':'10.244.0.5','podIPs':[{'ip':'10.244.0.5'}]}}"

TEST(proxy_host_ports)
{
	struct world w = open_world();
	int server = serve_in(w.pod[0], SOCK_STREAM, 8080);

	enter(w.home);
	start(&w);
	CHECK_EQ(connect_from(w.outside, "192.168.9.10", 8888), ECONNREFUSED);
	fake_api_put(w.api,
		     POD("{'containerPort':8080,'hostPort':8888},{'containerPort':8080,'hostPort':8889,'hostIP':'127.0.0.1'}",
			 "Running"));
	settle();
	CHECK_EQ(connect_from(w.outside, "192.168.9.10", 8888), 0);
	CHECK_STR(peer_of(server), "192.168.9.1");
	CHECK_EQ(connect_from(w.node, "127.0.0.1", 8888), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.pod[0], "192.168.9.10", 8888), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.node, "127.0.0.1", 8889), 0);
	CHECK_STR(peer_of(server), "192.168.9.10");
	CHECK_EQ(connect_from(w.outside, "192.168.9.10", 8889), ECONNREFUSED);
	fake_api_put(w.api, POD("{'containerPort':8080,'hostPort':8888}", "Succeeded"));
	settle();
	CHECK_EQ(connect_from(w.outside, "192.168.9.10", 8888), ECONNREFUSED);
	close(server);
	close_world(&w);
}

static int connect6_from(int ns, const char *address, uint16_t port)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct timeval limit = { .tv_usec = 500000 };
	int fd, rc;

	enter(ns);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(inet_pton(AF_INET6, address, &addr.sin6_addr) == 1);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : errno;
	close(fd);
	return rc;
}

#define SERVICE6(more)                                                                                                             \
	SERVICE(more "'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7','fd00:96::7'],'ports':[{'protocol':'TCP','port':80}]", "")
#define SLICE6                                                                                                                     \
	"{'kind':'EndpointSlice','apiVersion':'discovery.k8s.io/v1','metadata':{'namespace':'d','name':'web-6','labels':{"         \
	"'kubernetes.io/service-name':'web'}},'addressType':'IPv6','ports':[{'name':'','protocol':'TCP','port':8080}],"            \
	"'endpoints':[" EP("fd09::1", "b") "," EP("fd09::2", "b") "]}"

TEST(proxy_both_families)
{
	struct world w = open_world();
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(8080) };
	struct arena *arena = arena_new();
	struct net_plan *plan = net_plan_new(arena);
	int server;

	enter(w.node);
	server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server < 0)
		tap_skip("IPv6: %s", strerror(errno));
	*net_plan_addr(plan) = (struct net_addr){ "lo", cidr("fd09::1/128") };
	*net_plan_addr(plan) = (struct net_addr){ "lo", cidr("fd09::2/128") };
	*net_plan_route(plan) = (struct net_route){ .to = cidr("fd00:96::/64"), .link = "lo" };
	apply_in(w.node, plan);
	arena_free(arena);
	CHECK(bind(server, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(server, 8) == 0);
	enter(w.home);
	fake_api_put(w.api, SERVICE6(""));
	start(&w);
	CHECK_EQ(connect6_from(w.node, "fd00:96::7", 80), ECONNREFUSED);
	fake_api_put(w.api, SLICE6);
	settle();
	CHECK_EQ(connect6_from(w.node, "fd00:96::7", 80), 0);
	CHECK_EQ(connect6_from(w.node, "fd00:96::7", 81), ECONNREFUSED);
	CHECK_EQ(connect_from(w.node, "10.96.0.7", 80), ECONNREFUSED); /* no endpoint in that family */
	fake_api_put(w.api, SERVICE6("'sessionAffinity':'ClientIP',"));
	settle();
	CHECK_EQ(connect6_from(w.node, "fd00:96::7", 80), 0);
	CHECK_EQ(connect6_from(w.node, "fd00:96::7", 80), 0);
	close(server);
	close_world(&w);
}

/* So many rules that the socket which hears of them overflows: a deletion is heard all the same. */
TEST(proxy_hears_after_many_changes)
{
	struct world w = open_world();
	struct nft_batch *batch = nft_batch_new();
	int other = netlink_in(w.node, NETLINK_NETFILTER), server = serve_in(w.pod[0], SOCK_STREAM, 8080);
	char text[700];

	enter(w.home);
	for (int i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text),
			 "{'kind':'Service','apiVersion':'v1','metadata':{'namespace':'d','name':'s%d'},"
			 "'spec':{'clusterIP':'10.97.%d.%d','ports':[{'port':80}]}}",
			 i, i / 250, i % 250);
		fake_api_put(w.api, text);
	}
	fake_api_put(w.api, SERVICE(CLUSTER "," TCP80, ""));
	fake_api_put(w.api, SLICE("TCP", EP("10.244.0.5", "a")));
	start(&w);
	loop_run_for(100 * NS_PER_MS);
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	nft_table_delete(batch, "monokube");
	CHECK_OK(nft_apply(other, batch));
	nft_batch_free(batch);
	CHECK(connect_from(w.outside, "10.96.0.7", 80) != 0);
	loop_run_for(1500 * NS_PER_MS);
	CHECK_EQ(connect_from(w.outside, "10.96.0.7", 80), 0);
	close(server);
	close(other);
	close_world(&w);
}
