/*
 * Networks of the kernel as wanted state: a net_plan says which links, addresses, routes and neighbours a network
 * namespace shall have, net_apply() makes it so over one netlink socket. An nft_batch says which tables, chains, sets
 * and rules it shall have; nft_apply() puts them in force as one transaction, all or none.
 *
 * Not here: who wants what (proxy, kubelet, cmd) and entering namespaces. The caller brings a netlink socket that was
 * made inside the namespace; nothing here opens one, so the caller's own network is never touched by mistake.
 * Everything is synchronous, needs no loop and no external program, and takes microseconds (docs/linux.md).
 * Plans live on an arena. Applying twice changes nothing.
 *
 *	struct net_plan *plan = net_plan_new(arena);
 *	*net_plan_link(plan) = (struct net_link){ .kind = NET_VETH, .name = "eth0", .peer = "node0", .peer_ns = hub };
 *	*net_plan_addr(plan) = (struct net_addr){ .link = "eth0", .addr = address };
 *	struct error *err = net_apply(rtnetlink_fd, plan);
 *
 * Sources: rtnetlink(7), linux/netfilter/nf_tables.h, nft(8).
 */
#ifndef NETNS_NETNS_H
#define NETNS_NETNS_H

#include "base/base.h"

enum net_kind {
	NET_EXISTING, /* made by someone else (lo, or the other plan's peer): only configured */
	NET_VETH,
	NET_BRIDGE,
};

struct net_link {
	enum net_kind kind;
	const char *name; /* at most 15 characters */
	const char *peer; /* veth: name of the other end */
	int peer_ns;      /* veth: namespace descriptor of the other end; -1: the same namespace */
	uint8_t mac[6];   /* all zero: the kernel chooses */
	uint8_t peer_mac[6];
	const char *master;  /* bridge to be a port of; NULL for none */
	bool forward;        /* forward IPv4 packets that arrive here */
	bool route_localnet; /* accept 127.0.0.0/8 from here: NodePort on localhost */
	bool no_rp_filter;
};

struct net_addr {
	const char *link;
	struct cidr addr;
};

struct net_route {
	struct cidr to; /* bits 0: the default route */
	struct ip via;  /* family 0: directly on the link */
	const char *link;
	bool onlink;      /* via is reachable on the link though no address says so */
	struct ip source; /* preferred source; family 0: none */
};

struct net_neigh {
	const char *link;
	struct ip ip;
	uint8_t mac[6]; /* permanent: never asked for by ARP */
};

struct net_plan;

struct net_plan *net_plan_new(struct arena *arena);
/* Zeroed rows to fill in; order within a kind is the order of application: links, addresses, routes, neighbours. */
struct net_link *net_plan_link(struct net_plan *plan);
struct net_addr *net_plan_addr(struct net_plan *plan);
struct net_route *net_plan_route(struct net_plan *plan);
struct net_neigh *net_plan_neigh(struct net_plan *plan);

struct error *net_apply(int rtnl, const struct net_plan *plan) MUST_CHECK;

/* Deletes a link and with it its peer, addresses and routes. Absent is success. */
struct error *net_link_delete(int rtnl, const char *name) MUST_CHECK;
struct error *net_addr_delete(int rtnl, const char *link, struct cidr addr) MUST_CHECK;
struct error *net_route_delete(int rtnl, struct cidr to) MUST_CHECK;
/* Index of a link, 0 when absent. */
struct error *net_link_index(int rtnl, const char *name, int *index) MUST_CHECK;
/* Calls fn with each link's name; fn must not change links. */
struct error *net_links(int rtnl, void (*fn)(void *arg, const char *name), void *arg) MUST_CHECK;
/* Calls fn with each prefix that has an address or a route in the namespace, to choose a free one. */
struct error *net_prefixes(int rtnl, void (*fn)(void *arg, struct cidr prefix), void *arg) MUST_CHECK;

/* A locally administered MAC address made of a name: equal names, equal addresses. */
void net_mac(uint8_t mac[6], struct str name);

/* --- nftables --------------------------------------------------------------------------------------------------- */

enum nft_hook { NFT_HOOK_NONE, NFT_PREROUTING, NFT_INPUT, NFT_FORWARD, NFT_OUTPUT, NFT_POSTROUTING };
enum nft_type { NFT_FILTER, NFT_NAT };
enum nft_match_dir { NFT_SRC, NFT_DST };

/* Kinds of set keys and map values; a set's key is what nft_lookup() puts together of a packet. */
enum nft_key {
	NFT_KEY_ADDR_PROTO_PORT, /* destination address . protocol . destination port */
	NFT_KEY_PROTO_PORT,      /* protocol . destination port */
	NFT_KEY_ADDR_ADDR,       /* source address . destination address */
	NFT_KEY_ADDR_PREFIX,     /* an address, matched against prefixes (interval set) */
	NFT_KEY_ADDR,            /* destination address */
	NFT_KEY_SOURCE,          /* source address */
};

struct nft_endpoint {
	struct ip ip;
	uint16_t port;
};

struct nft_batch;

struct nft_batch *nft_batch_new(void);
void nft_batch_free(struct nft_batch *batch);

/* All tables are of family inet. Reset: afterwards the table exists and is empty. */
void nft_table_reset(struct nft_batch *batch, const char *table);
void nft_table_delete(struct nft_batch *batch, const char *table); /* harmless when absent */
void nft_chain(struct nft_batch *batch, const char *table, const char *chain);
void nft_chain_flush(struct nft_batch *batch, const char *table, const char *chain);  /* its rules go */
void nft_chain_delete(struct nft_batch *batch, const char *table, const char *chain); /* empty, and nothing leads to it */
void nft_base_chain(struct nft_batch *batch, const char *table, const char *chain, enum nft_type type, enum nft_hook hook,
		    int priority);

/* A named set; verdicts: a map from keys to chains. family is 4 or 6. */
struct nft_set {
	const char *table;
	const char *name;
	enum nft_key key;
	int family;
	bool verdicts;
	int64_t timeout_ms; /* not 0: rules put elements in (nft_remember), which go after that time without use */
};

void nft_set(struct nft_batch *batch, const struct nft_set *set);
void nft_set_delete(struct nft_batch *batch, const struct nft_set *set); /* no rule may use it any more */
struct nft_element {
	struct ip ip;       /* ADDR…: the (source) address */
	struct ip ip2;      /* ADDR_ADDR: the destination */
	struct cidr prefix; /* ADDR_PREFIX */
	uint8_t protocol;   /* IPPROTO_… */
	uint16_t port;
	const char *chain; /* of a map: where to go */
};
void nft_set_add(struct nft_batch *batch, const struct nft_set *set, const struct nft_element *elements, size_t n);
void nft_set_remove(struct nft_batch *batch, const struct nft_set *set, const struct nft_element *elements, size_t n);

/* One rule: begin, matches, one action, end. */
void nft_rule_begin(struct nft_batch *batch, const char *table, const char *chain);
void nft_rule_end(struct nft_batch *batch);
void nft_match_family(struct nft_batch *batch, int family);
void nft_match_protocol(struct nft_batch *batch, uint8_t protocol);
void nft_match_addr(struct nft_batch *batch, enum nft_match_dir dir, struct cidr cidr, bool negate);
void nft_match_port(struct nft_batch *batch, uint16_t port); /* destination; after nft_match_protocol */
void nft_match_iif(struct nft_batch *batch, const char *link, bool negate);
void nft_match_oif(struct nft_batch *batch, const char *link, bool negate);
void nft_match_local(struct nft_batch *batch, bool negate); /* destination is an address of this namespace */
void nft_match_mark(struct nft_batch *batch, uint32_t mark);
void nft_match_dnat(struct nft_batch *batch);                                     /* the connection was redirected */
void nft_match_established(struct nft_batch *batch);                              /* established or related */
void nft_lookup(struct nft_batch *batch, const struct nft_set *set, bool negate); /* goes on, or goes to the map's chain */
void nft_match_chance(struct nft_batch *batch, uint32_t n);                       /* one packet in n, at random */
void nft_remember(struct nft_batch *batch, const struct nft_set *set); /* puts the packet's key into a set with a timeout */
void nft_set_mark(struct nft_batch *batch, uint32_t mark);
void nft_jump(struct nft_batch *batch, const char *chain);
void nft_goto(struct nft_batch *batch, const char *chain);
void nft_accept(struct nft_batch *batch);
void nft_drop(struct nft_batch *batch);
void nft_return(struct nft_batch *batch);
void nft_reject(struct nft_batch *batch); /* answers with ICMP port unreachable */
void nft_reset(struct nft_batch *batch);  /* answers with a TCP reset; after nft_match_protocol(IPPROTO_TCP) */
void nft_masquerade(struct nft_batch *batch);
void nft_snat(struct nft_batch *batch, struct ip source);
/* To one of n endpoints by chance, all of one family. */
void nft_dnat(struct nft_batch *batch, const char *table, const struct nft_endpoint *endpoints, size_t n);

size_t nft_batch_size(const struct nft_batch *batch); /* bytes */
/* One transaction. nfnl: a NETLINK_NETFILTER socket of the namespace, non-blocking or not. */
struct error *nft_apply(int nfnl, struct nft_batch *batch) MUST_CHECK;

/* Asks the socket to tell of changes to rules; afterwards it becomes readable on each. */
struct error *nft_subscribe(int nfnl) MUST_CHECK;
/* Reads what a subscribed socket tells; *gone is set when someone deleted the table. */
struct error *nft_read_changes(int nfnl, const char *table, bool *gone) MUST_CHECK;
struct error *nft_table_exists(int nfnl, const char *table, bool *exists) MUST_CHECK;

/* --- connections that the kernel tracks --------------------------------------------------------------------------- */

struct net_flow {
	uint8_t protocol;
	struct ip from, to; /* as it was sent */
	uint16_t to_port;
	struct ip answers; /* who answers: after redirection */
	uint16_t answers_port;
};

/* Forgets the flows of a protocol that fn chooses: their next packet is a new one. nfnl as above, not subscribed. */
struct error *net_flows_forget(int nfnl, uint8_t protocol, bool (*fn)(void *arg, const struct net_flow *flow),
			       void *arg) MUST_CHECK;

#endif
