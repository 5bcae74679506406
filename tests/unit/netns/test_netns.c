/* Each test runs in a fresh network namespace; without the right to make one it is skipped. */
#include "netns/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"

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

static int netlink_socket(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

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

/* Two namespaces joined by a veth: 10.9.0.1 here, 10.9.0.2 there. */
struct pair {
	int here, there;
	int rtnl_here, rtnl_there;
};

static struct pair join(void)
{
	struct arena *arena = arena_new();
	struct net_plan *near = net_plan_new(arena), *far = net_plan_new(arena);
	struct pair pair;

	pair.there = new_namespace();
	pair.rtnl_there = netlink_socket(NETLINK_ROUTE);
	pair.here = new_namespace();
	pair.rtnl_here = netlink_socket(NETLINK_ROUTE);
	*net_plan_link(near) = (struct net_link){ .kind = NET_EXISTING, .name = "lo" };
	*net_plan_link(near) =
		(struct net_link){ .kind = NET_VETH, .name = "near", .peer = "far", .peer_ns = pair.there, .forward = true };
	*net_plan_addr(near) = (struct net_addr){ "near", cidr("10.9.0.1/24") };
	*net_plan_addr(near) = (struct net_addr){ "near", cidr("fd09::1/64") };
	*net_plan_route(near) = (struct net_route){ .to = cidr("10.96.0.0/12"), .via = ip("10.9.0.2"), .link = "near" };
	*net_plan_link(far) = (struct net_link){ .kind = NET_EXISTING, .name = "lo" };
	*net_plan_link(far) = (struct net_link){ .kind = NET_EXISTING, .name = "far", .forward = true };
	*net_plan_addr(far) = (struct net_addr){ "far", cidr("10.9.0.2/24") };
	*net_plan_addr(far) = (struct net_addr){ "far", cidr("fd09::2/64") };
	CHECK_OK(net_apply(pair.rtnl_here, near));
	CHECK_OK(net_apply(pair.rtnl_there, far));
	/* Applying again changes nothing and is no error. */
	CHECK_OK(net_apply(pair.rtnl_here, near));
	CHECK_OK(net_apply(pair.rtnl_there, far));
	arena_free(arena);
	return pair;
}

static void part(struct pair *pair)
{
	close(pair->rtnl_here);
	close(pair->rtnl_there);
	close(pair->here);
	close(pair->there);
}

static int serve(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 8) == 0);
	return fd;
}

/* 0 or errno of a connect, which never waits longer than a second. */
static int try_connect(const char *address, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval limit = { .tv_sec = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	CHECK(inet_pton(AF_INET, address, &addr.sin_addr) == 1);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : errno;
	close(fd);
	return rc;
}

TEST(net_links_join_two_namespaces)
{
	struct pair pair = join();
	int listener, index = 0;

	enter(pair.there);
	listener = serve(8080);
	enter(pair.here);
	CHECK_EQ(try_connect("10.9.0.2", 8080), 0);
	CHECK_EQ(try_connect("10.9.0.2", 8081), ECONNREFUSED);
	CHECK_OK(net_link_index(pair.rtnl_here, "near", &index));
	CHECK(index != 0);
	CHECK_OK(net_link_delete(pair.rtnl_here, "near"));
	CHECK_OK(net_link_delete(pair.rtnl_here, "near"));
	CHECK_OK(net_link_index(pair.rtnl_here, "near", &index));
	CHECK_EQ(index, 0);
	close(listener);
	part(&pair);
}

static int n_links, n_prefixes;

static void count_link(void *arg, const char *name)
{
	n_links += strcmp(name, arg) == 0;
}

static void count_prefix(void *arg, struct cidr prefix)
{
	char text[IP_TEXT];

	n_prefixes += str_is(cidr_format(text, prefix), arg);
}

TEST(net_lists_links_and_prefixes)
{
	struct pair pair = join();

	n_links = n_prefixes = 0;
	CHECK_OK(net_links(pair.rtnl_here, count_link, (char[]){ "near" }));
	CHECK_EQ(n_links, 1);
	CHECK_OK(net_prefixes(pair.rtnl_here, count_prefix, (char[]){ "10.96.0.0/12" }));
	CHECK_EQ(n_prefixes, 1);
	CHECK_OK(net_route_delete(pair.rtnl_here, cidr("10.96.0.0/12")));
	CHECK_OK(net_route_delete(pair.rtnl_here, cidr("10.96.0.0/12")));
	n_prefixes = 0;
	CHECK_OK(net_prefixes(pair.rtnl_here, count_prefix, (char[]){ "10.96.0.0/12" }));
	CHECK_EQ(n_prefixes, 0);
	part(&pair);
}

TEST(net_refuses_what_does_not_exist)
{
	struct arena *arena = arena_new();
	struct net_plan *plan = net_plan_new(arena);
	int ns = new_namespace(), rtnl = netlink_socket(NETLINK_ROUTE);

	*net_plan_addr(plan) = (struct net_addr){ "nothing", cidr("10.9.0.1/24") };
	CHECK_ERR(net_apply(rtnl, plan), ERR_NOT_FOUND);
	arena_free(arena);
	close(rtnl);
	close(ns);
}

#define TABLE "monokube"

static const struct nft_set services = {
	.table = TABLE, .name = "services", .key = NFT_KEY_ADDR_PROTO_PORT, .family = 4, .verdicts = true
};
static const struct nft_set nodeports = {
	.table = TABLE, .name = "nodeports", .key = NFT_KEY_PROTO_PORT, .family = 4, .verdicts = true
};
static const struct nft_set hairpins = {
	.table = TABLE, .name = "hairpins", .key = NFT_KEY_ADDR_ADDR, .family = 4, .verdicts = false
};
static const struct nft_set blocked = {
	.table = TABLE, .name = "blocked", .key = NFT_KEY_ADDR_PREFIX, .family = 4, .verdicts = false
};

/* The shape that the service proxy uses: a verdict map to a chain per Service, one dnat among its endpoints. */
static struct nft_batch *service_rules(const struct nft_endpoint *endpoints, size_t n)
{
	struct nft_batch *batch = nft_batch_new();

	nft_table_reset(batch, TABLE);
	nft_chain(batch, TABLE, "svc");
	nft_rule_begin(batch, TABLE, "svc");
	if (n != 0)
		nft_match_protocol(batch, IPPROTO_TCP), nft_dnat(batch, TABLE, endpoints, n);
	else
		nft_return(batch);
	nft_rule_end(batch);
	nft_set(batch, &services);
	nft_set(batch, &nodeports);
	nft_set(batch, &hairpins);
	nft_set(batch, &blocked);
	nft_set_add(batch, &services,
		    &(struct nft_element){ .ip = ip("10.96.0.7"), .protocol = IPPROTO_TCP, .port = 80, .chain = "svc" }, 1);
	nft_set_add(batch, &nodeports, &(struct nft_element){ .protocol = IPPROTO_TCP, .port = 30080, .chain = "svc" }, 1);
	nft_set_add(batch, &hairpins, &(struct nft_element){ .ip = ip("10.9.0.1"), .ip2 = ip("10.9.0.1") }, 1);
	nft_set_add(batch, &blocked, &(struct nft_element){ .prefix = cidr("10.96.9.0/24") }, 1);
	nft_base_chain(batch, TABLE, "output", NFT_NAT, NFT_OUTPUT, -100);
	nft_rule_begin(batch, TABLE, "output");
	nft_lookup(batch, &services, false);
	nft_rule_end(batch);
	nft_rule_begin(batch, TABLE, "output");
	nft_match_local(batch, false);
	nft_lookup(batch, &nodeports, false);
	nft_rule_end(batch);
	nft_base_chain(batch, TABLE, "post", NFT_NAT, NFT_POSTROUTING, 100);
	nft_rule_begin(batch, TABLE, "post");
	nft_match_dnat(batch);
	nft_lookup(batch, &hairpins, false);
	nft_masquerade(batch);
	nft_rule_end(batch);
	nft_base_chain(batch, TABLE, "filter", NFT_FILTER, NFT_OUTPUT, 0);
	nft_rule_begin(batch, TABLE, "filter");
	nft_match_protocol(batch, IPPROTO_TCP);
	nft_lookup(batch, &blocked, false);
	nft_reset(batch);
	nft_rule_end(batch);
	return batch;
}

TEST(nft_sends_a_service_address_to_its_endpoint)
{
	struct pair pair = join();
	struct nft_endpoint endpoint = { ip("10.9.0.2"), 8080 };
	struct nft_batch *batch;
	int listener, nfnl;

	enter(pair.there);
	listener = serve(8080);
	enter(pair.here);
	nfnl = netlink_socket(NETLINK_NETFILTER);
	batch = service_rules(&endpoint, 1);
	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	CHECK_EQ(try_connect("10.96.0.7", 80), 0);
	CHECK_EQ(try_connect("127.0.0.1", 30080) == 0, false); /* no masquerade for localhost in these rules */
	CHECK_EQ(try_connect("10.9.0.1", 30080), 0);
	CHECK_EQ(try_connect("10.96.9.1", 80), ECONNREFUSED);

	/* The next transaction replaces all of it. */
	batch = service_rules(NULL, 0);
	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	CHECK(try_connect("10.96.0.7", 80) != 0);
	close(nfnl);
	close(listener);
	part(&pair);
}

TEST(nft_spreads_over_all_endpoints)
{
	struct pair pair = join();
	struct nft_endpoint endpoints[] = { { ip("10.9.0.2"), 8080 }, { ip("10.9.0.2"), 8081 }, { ip("10.9.0.2"), 8082 } };
	int listeners[3], seen[3] = { 0 }, nfnl;
	struct nft_batch *batch = service_rules(endpoints, 3);

	enter(pair.there);
	for (uint16_t i = 0; i < 3; i++) {
		listeners[i] = serve((uint16_t)(8080 + i));
		CHECK(fcntl(listeners[i], F_SETFL, O_NONBLOCK) == 0);
	}
	enter(pair.here);
	nfnl = netlink_socket(NETLINK_NETFILTER);
	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	for (int i = 0; i < 60; i++) {
		CHECK_EQ(try_connect("10.96.0.7", 80), 0);
		for (int j = 0; j < 3; j++) {
			int accepted = accept(listeners[j], NULL, NULL);

			if (accepted >= 0) {
				seen[j]++;
				close(accepted);
				break;
			}
		}
	}
	for (int j = 0; j < 3; j++) {
		CHECK(seen[j] > 0);
		close(listeners[j]);
	}
	close(nfnl);
	part(&pair);
}

TEST(nft_refused_batch_changes_nothing)
{
	int ns = new_namespace(), nfnl = netlink_socket(NETLINK_NETFILTER);
	struct nft_batch *batch = nft_batch_new();

	nft_table_reset(batch, TABLE);
	nft_rule_begin(batch, TABLE, "no-such-chain");
	nft_accept(batch);
	nft_rule_end(batch);
	CHECK_ERR(nft_apply(nfnl, batch), ERR_NOT_FOUND);
	nft_batch_free(batch);
	close(nfnl);
	close(ns);
}

TEST(nft_tells_when_someone_deletes_the_table)
{
	int ns = new_namespace(), nfnl = netlink_socket(NETLINK_NETFILTER), ear = netlink_socket(NETLINK_NETFILTER);
	struct nft_batch *batch = service_rules(NULL, 0);
	bool gone = false;

	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	CHECK_OK(nft_subscribe(ear));
	CHECK_OK(nft_read_changes(ear, TABLE, &gone));
	CHECK(!gone);
	batch = nft_batch_new();
	nft_table_delete(batch, TABLE);
	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	CHECK_OK(nft_read_changes(ear, "other", &gone));
	CHECK(!gone);
	batch = service_rules(NULL, 0);
	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	batch = nft_batch_new();
	nft_table_delete(batch, TABLE);
	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	CHECK_OK(nft_read_changes(ear, TABLE, &gone));
	CHECK(gone);
	close(nfnl);
	close(ear);
	close(ns);
}

TEST(nft_two_thousand_services_in_one_transaction)
{
	int ns = new_namespace(), nfnl = netlink_socket(NETLINK_NETFILTER);
	struct nft_batch *batch = nft_batch_new();
	struct nft_endpoint endpoints[3] = { { ip("10.9.0.2"), 1 }, { ip("10.9.0.2"), 2 }, { ip("10.9.0.2"), 3 } };
	struct nft_element element = { .protocol = IPPROTO_TCP, .port = 80 };

	nft_table_reset(batch, TABLE);
	nft_set(batch, &services);
	for (unsigned i = 0; i < 2000; i++) {
		char chain[32];

		snprintf(chain, sizeof(chain), "svc%u", i);
		nft_chain(batch, TABLE, chain);
		nft_rule_begin(batch, TABLE, chain);
		nft_match_protocol(batch, IPPROTO_TCP);
		nft_dnat(batch, TABLE, endpoints, 3);
		nft_rule_end(batch);
		element.ip = ip_add(ip("10.96.0.0"), i);
		element.chain = chain;
		nft_set_add(batch, &services, &element, 1);
	}
	CHECK_OK(nft_apply(nfnl, batch));
	nft_batch_free(batch);
	close(nfnl);
	close(ns);
}
