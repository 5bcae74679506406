/* The applier: rows of a plan become rtnetlink requests, in the order links, addresses, routes, neighbours. */
#include "netns/netns.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include "netns/message.h"

struct net_plan {
	VEC(struct net_link) links;
	VEC(struct net_addr) addrs;
	VEC(struct net_route) routes;
	VEC(struct net_neigh) neighs;
};

static void plan_fini(void *arg)
{
	struct net_plan *plan = arg;

	vec_fini(&plan->links);
	vec_fini(&plan->addrs);
	vec_fini(&plan->routes);
	vec_fini(&plan->neighs);
}

struct net_plan *net_plan_new(struct arena *arena)
{
	struct net_plan *plan = ARENA_NEW(arena, struct net_plan);

	arena_defer(arena, plan_fini, plan);
	return plan;
}

struct net_link *net_plan_link(struct net_plan *plan)
{
	struct net_link *link = vec_add(&plan->links);

	link->peer_ns = -1;
	return link;
}

struct net_addr *net_plan_addr(struct net_plan *plan)
{
	return vec_add(&plan->addrs);
}

struct net_route *net_plan_route(struct net_plan *plan)
{
	return vec_add(&plan->routes);
}

struct net_neigh *net_plan_neigh(struct net_plan *plan)
{
	return vec_add(&plan->neighs);
}

static size_t ip_len(struct ip ip)
{
	return ip.family == 6 ? 16 : 4;
}

static uint8_t ip_af(struct ip ip)
{
	return ip.family == 6 ? AF_INET6 : AF_INET;
}

static bool has_mac(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return memcmp(mac, none, 6) != 0;
}

static void put(struct nl_msg *msg, int type, const void *data, size_t len)
{
	ASSERT(nla_put(msg, type, (int)len, data) == 0);
}

static void put_text(struct nl_msg *msg, int type, const char *text)
{
	put(msg, type, text, strlen(text) + 1);
}

static void put_u32(struct nl_msg *msg, int type, uint32_t value)
{
	put(msg, type, &value, sizeof(value));
}

static void put_ip(struct nl_msg *msg, int type, struct ip ip)
{
	put(msg, type, ip.bytes, ip_len(ip));
}

static struct nl_msg *link_message(int type, int flags, const char *name)
{
	void *header;
	struct nl_msg *msg = message_new(type, flags, sizeof(struct ifinfomsg), &header);

	put_text(msg, IFLA_IFNAME, name);
	return msg;
}

/* Keeps the index of a link that a dump or a lookup answered with. */
static void note_index(void *arg, const struct nlmsghdr *answer)
{
	*(int *)arg = ((const struct ifinfomsg *)nlmsg_data(answer))->ifi_index;
}

struct error *net_link_index(int rtnl, const char *name, int *index)
{
	struct error *err;
	int code = 0;

	*index = 0;
	err = message_ask(rtnl, link_message(RTM_GETLINK, 0, name), &code, note_index, index);
	if (err == NULL && code != 0 && code != ENODEV)
		err = error_errno(code, "look for link %s", name);
	return err;
}

static struct error *create_link(int rtnl, const struct net_link *link, int *code)
{
	struct nl_msg *msg = link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link->name);
	struct nlattr *info, *data, *peer;

	if (has_mac(link->mac))
		put(msg, IFLA_ADDRESS, link->mac, 6);
	info = nla_nest_start(msg, IFLA_LINKINFO);
	put_text(msg, IFLA_INFO_KIND, link->kind == NET_BRIDGE ? "bridge" : "veth");
	if (link->kind == NET_VETH) {
		data = nla_nest_start(msg, IFLA_INFO_DATA);
		peer = nla_nest_start(msg, VETH_INFO_PEER);
		memset(nlmsg_reserve(msg, sizeof(struct ifinfomsg), NLMSG_ALIGNTO), 0, sizeof(struct ifinfomsg));
		put_text(msg, IFLA_IFNAME, link->peer);
		if (has_mac(link->peer_mac))
			put(msg, IFLA_ADDRESS, link->peer_mac, 6);
		if (link->peer_ns >= 0)
			put_u32(msg, IFLA_NET_NS_FD, (uint32_t)link->peer_ns);
		nla_nest_end(msg, peer);
		nla_nest_end(msg, data);
	}
	nla_nest_end(msg, info);
	return message_request(rtnl, msg, code);
}

/* IPv4 switches of one link, as /proc/sys/net/ipv4/conf/LINK has them, without needing that file system. */
static void put_conf(struct nl_msg *msg, const struct net_link *link)
{
	struct nlattr *spec, *inet, *conf;

	if (!link->forward && !link->route_localnet && !link->no_rp_filter)
		return;
	spec = nla_nest_start(msg, IFLA_AF_SPEC);
	inet = nla_nest_start(msg, AF_INET);
	conf = nla_nest_start(msg, IFLA_INET_CONF);
	if (link->forward)
		put_u32(msg, IPV4_DEVCONF_FORWARDING, 1);
	if (link->route_localnet)
		put_u32(msg, IPV4_DEVCONF_ROUTE_LOCALNET, 1);
	if (link->no_rp_filter)
		put_u32(msg, IPV4_DEVCONF_RP_FILTER, 0);
	nla_nest_end(msg, conf);
	nla_nest_end(msg, inet);
	nla_nest_end(msg, spec);
}

static struct error *configure_link(int rtnl, const struct net_link *link)
{
	struct nl_msg *msg = link_message(RTM_NEWLINK, 0, link->name);
	struct ifinfomsg *header = nlmsg_data(nlmsg_hdr(msg));
	struct error *err;
	int master = 0, code = 0;

	header->ifi_flags = IFF_UP;
	header->ifi_change = IFF_UP;
	if (link->master != NULL) {
		err = net_link_index(rtnl, link->master, &master);
		if (err == NULL && master == 0)
			err = error_new(ERR_NOT_FOUND, "bridge %s does not exist", link->master);
		if (err != NULL) {
			nlmsg_free(msg);
			return err;
		}
		put_u32(msg, IFLA_MASTER, (uint32_t)master);
	}
	put_conf(msg, link);
	err = message_request(rtnl, msg, &code);
	if (err == NULL && code != 0)
		err = error_errno(code, "set link up");
	return err;
}

static struct error *apply_link(int rtnl, const struct net_link *link)
{
	struct error *err = NULL;
	int code = 0;

	if (link->kind != NET_EXISTING) {
		err = create_link(rtnl, link, &code);
		if (err == NULL && code != 0 && code != EEXIST)
			err = error_errno(code, "create link");
	}
	if (err == NULL)
		err = configure_link(rtnl, link);
	return err != NULL ? error_context(err, "link %s", link->name) : NULL;
}

static struct error *need_index(int rtnl, const char *name, int *index)
{
	struct error *err = net_link_index(rtnl, name, index);

	if (err == NULL && *index == 0)
		err = error_new(ERR_NOT_FOUND, "link %s does not exist", name);
	return err;
}

static struct error *change_addr(int rtnl, int type, const struct net_addr *addr, int absent)
{
	struct ifaddrmsg *header;
	struct nl_msg *msg;
	struct error *err;
	char text[IP_TEXT];
	void *raw;
	int index, code = 0;

	err = need_index(rtnl, addr->link, &index);
	if (err != NULL)
		return err;
	msg = message_new(type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0, sizeof(*header), &raw);
	header = raw;
	header->ifa_family = ip_af(addr->addr.ip);
	header->ifa_prefixlen = addr->addr.bits;
	header->ifa_index = (unsigned)index;
	if (addr->addr.ip.family == 6)
		header->ifa_flags = IFA_F_NODAD;
	put_ip(msg, IFA_LOCAL, addr->addr.ip);
	put_ip(msg, IFA_ADDRESS, addr->addr.ip);
	err = message_request(rtnl, msg, &code);
	if (err == NULL && code != 0 && code != absent)
		err = error_errno(code, "change address");
	return err != NULL ? error_context(err, "address %s on %s", cidr_format(text, addr->addr).ptr, addr->link) : NULL;
}

static struct error *apply_route(int rtnl, const struct net_route *route)
{
	struct rtmsg *header;
	struct nl_msg *msg;
	struct error *err;
	char text[IP_TEXT];
	void *raw;
	int index = 0, code = 0;

	err = need_index(rtnl, route->link, &index);
	if (err != NULL)
		return err;
	msg = message_new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*header), &raw);
	header = raw;
	header->rtm_family = ip_af(route->to.ip);
	header->rtm_dst_len = route->to.bits;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = RTPROT_STATIC;
	header->rtm_scope = route->via.family != 0 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	header->rtm_type = RTN_UNICAST;
	header->rtm_flags = route->onlink ? RTNH_F_ONLINK : 0;
	if (route->to.bits != 0)
		put_ip(msg, RTA_DST, cidr_first(route->to));
	if (route->via.family != 0)
		put_ip(msg, RTA_GATEWAY, route->via);
	if (route->source.family != 0)
		put_ip(msg, RTA_PREFSRC, route->source);
	put_u32(msg, RTA_OIF, (uint32_t)index);
	err = message_request(rtnl, msg, &code);
	if (err == NULL && code != 0)
		err = error_errno(code, "add route");
	return err != NULL ? error_context(err, "route to %s by %s", cidr_format(text, route->to).ptr, route->link) : NULL;
}

static struct error *apply_neigh(int rtnl, const struct net_neigh *neigh)
{
	struct ndmsg *header;
	struct nl_msg *msg;
	struct error *err;
	char text[IP_TEXT];
	void *raw;
	int index = 0, code = 0;

	err = need_index(rtnl, neigh->link, &index);
	if (err != NULL)
		return err;
	msg = message_new(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*header), &raw);
	header = raw;
	header->ndm_family = ip_af(neigh->ip);
	header->ndm_ifindex = index;
	header->ndm_state = NUD_PERMANENT;
	put_ip(msg, NDA_DST, neigh->ip);
	put(msg, NDA_LLADDR, neigh->mac, 6);
	err = message_request(rtnl, msg, &code);
	if (err == NULL && code != 0)
		err = error_errno(code, "add neighbour");
	return err != NULL ? error_context(err, "neighbour %s on %s", ip_format(text, neigh->ip).ptr, neigh->link) : NULL;
}

struct error *net_apply(int rtnl, const struct net_plan *plan)
{
	struct error *err = NULL;

	for (size_t i = 0; err == NULL && i < plan->links.len; i++)
		err = apply_link(rtnl, &plan->links.ptr[i]);
	for (size_t i = 0; err == NULL && i < plan->addrs.len; i++)
		err = change_addr(rtnl, RTM_NEWADDR, &plan->addrs.ptr[i], 0);
	for (size_t i = 0; err == NULL && i < plan->routes.len; i++)
		err = apply_route(rtnl, &plan->routes.ptr[i]);
	for (size_t i = 0; err == NULL && i < plan->neighs.len; i++)
		err = apply_neigh(rtnl, &plan->neighs.ptr[i]);
	return err;
}

struct error *net_link_delete(int rtnl, const char *name)
{
	int code = 0;
	struct error *err = message_request(rtnl, link_message(RTM_DELLINK, 0, name), &code);

	if (err == NULL && code != 0 && code != ENODEV)
		err = error_errno(code, "delete link %s", name);
	return err;
}

struct error *net_addr_delete(int rtnl, const char *link, struct cidr addr)
{
	struct net_addr row = { link, addr };

	return change_addr(rtnl, RTM_DELADDR, &row, EADDRNOTAVAIL);
}

struct error *net_route_delete(int rtnl, struct cidr to)
{
	void *raw;
	struct nl_msg *msg = message_new(RTM_DELROUTE, 0, sizeof(struct rtmsg), &raw);
	struct rtmsg *header = raw;
	char text[IP_TEXT];
	struct error *err;
	int code = 0;

	header->rtm_family = ip_af(to.ip);
	header->rtm_dst_len = to.bits;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_scope = RT_SCOPE_NOWHERE;
	if (to.bits != 0)
		put_ip(msg, RTA_DST, cidr_first(to));
	err = message_request(rtnl, msg, &code);
	if (err == NULL && code != 0 && code != ESRCH)
		err = error_errno(code, "delete route to %s", cidr_format(text, to).ptr);
	return err;
}

struct link_walk {
	void (*fn)(void *arg, const char *name);
	void *arg;
};

static void tell_link(void *arg, const struct nlmsghdr *answer)
{
	struct link_walk *walk = arg;
	struct nlattr *name = nlmsg_find_attr((struct nlmsghdr *)answer, sizeof(struct ifinfomsg), IFLA_IFNAME);

	if (answer->nlmsg_type == RTM_NEWLINK && name != NULL)
		walk->fn(walk->arg, nla_data(name));
}

struct error *net_links(int rtnl, void (*fn)(void *arg, const char *name), void *arg)
{
	struct link_walk walk = { fn, arg };
	void *raw;

	return message_dump(rtnl, message_new(RTM_GETLINK, 0, sizeof(struct ifinfomsg), &raw), tell_link, &walk);
}

struct prefix_walk {
	void (*fn)(void *arg, struct cidr prefix);
	void *arg;
};

static bool read_ip(const struct nlattr *attr, uint8_t af, struct ip *ip)
{
	*ip = (struct ip){ .family = af == AF_INET6 ? 6 : 4 };
	if (attr == NULL || nla_len(attr) < (int)ip_len(*ip))
		return false;
	memcpy(ip->bytes, nla_data(attr), ip_len(*ip));
	return true;
}

static void tell_prefix(void *arg, const struct nlmsghdr *answer)
{
	struct nlmsghdr *header = (struct nlmsghdr *)answer;
	struct prefix_walk *walk = arg;
	struct cidr prefix;

	if (answer->nlmsg_type == RTM_NEWADDR) {
		const struct ifaddrmsg *addr = nlmsg_data(answer);

		prefix.bits = addr->ifa_prefixlen;
		if (read_ip(nlmsg_find_attr(header, sizeof(*addr), IFA_ADDRESS), addr->ifa_family, &prefix.ip))
			walk->fn(walk->arg, prefix);
	} else if (answer->nlmsg_type == RTM_NEWROUTE) {
		const struct rtmsg *route = nlmsg_data(answer);

		prefix.bits = route->rtm_dst_len;
		if (read_ip(nlmsg_find_attr(header, sizeof(*route), RTA_DST), route->rtm_family, &prefix.ip))
			walk->fn(walk->arg, prefix);
	}
}

struct error *net_prefixes(int rtnl, void (*fn)(void *arg, struct cidr prefix), void *arg)
{
	struct prefix_walk walk = { fn, arg };
	struct error *err;
	void *raw;

	err = message_dump(rtnl, message_new(RTM_GETADDR, 0, sizeof(struct ifaddrmsg), &raw), tell_prefix, &walk);
	if (err == NULL)
		err = message_dump(rtnl, message_new(RTM_GETROUTE, 0, sizeof(struct rtmsg), &raw), tell_prefix, &walk);
	return err;
}

void net_mac(uint8_t mac[6], struct str name)
{
	uint64_t hash = str_hash(name);

	memcpy(mac, &hash, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02); /* locally administered, unicast */
}
