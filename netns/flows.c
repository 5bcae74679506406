/* Connections that the kernel tracks: listed, and forgotten by their original tuple. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "netns/message.h"
#include "netns/netns.h"

struct walk {
	uint8_t protocol;
	bool (*fn)(void *arg, const struct net_flow *flow);
	void *arg;
	VEC(struct nl_msg *) deletions;
};

static struct nl_msg *flow_message(int type, int flags, uint8_t family)
{
	void *header;
	struct nl_msg *msg = message_new(NFNL_SUBSYS_CTNETLINK << 8 | type, flags, sizeof(struct nfgenmsg), &header);

	((struct nfgenmsg *)header)->nfgen_family = family;
	return msg;
}

/* ENOMEM and short attributes cannot be told apart from absence, which is what they come to. */
static struct nlattr *inside(struct nlattr *nest, int type)
{
	return nest != NULL ? nla_find(nla_data(nest), nla_len(nest), type) : NULL;
}

static bool read_addr(struct nlattr *tuple, bool source, struct ip *ip)
{
	struct nlattr *addrs = inside(tuple, CTA_TUPLE_IP);
	struct nlattr *v4 = inside(addrs, source ? CTA_IP_V4_SRC : CTA_IP_V4_DST);
	struct nlattr *v6 = inside(addrs, source ? CTA_IP_V6_SRC : CTA_IP_V6_DST);

	*ip = (struct ip){ .family = v6 != NULL ? 6 : 4 };
	if (v6 != NULL && nla_len(v6) >= 16)
		memcpy(ip->bytes, nla_data(v6), 16);
	else if (v4 != NULL && nla_len(v4) >= 4)
		memcpy(ip->bytes, nla_data(v4), 4);
	else
		return false;
	return true;
}

static bool read_tuple(struct nlattr *tuple, uint8_t *protocol, int port_type, uint16_t *port)
{
	struct nlattr *part = inside(tuple, CTA_TUPLE_PROTO);
	struct nlattr *number = inside(part, CTA_PROTO_NUM), *value = inside(part, port_type);

	if (number == NULL || nla_len(number) < 1 || value == NULL || nla_len(value) < 2)
		return false;
	*protocol = nla_get_u8(number);
	*port = ntohs(nla_get_u16(value));
	return true;
}

static void look_at(void *arg, const struct nlmsghdr *answer)
{
	struct walk *walk = arg;
	struct nlmsghdr *message = (struct nlmsghdr *)answer;
	struct nlattr *sent = nlmsg_find_attr(message, sizeof(struct nfgenmsg), CTA_TUPLE_ORIG);
	struct nlattr *reply = nlmsg_find_attr(message, sizeof(struct nfgenmsg), CTA_TUPLE_REPLY);
	struct net_flow flow = { 0 };
	struct nl_msg *deletion;

	if (!read_tuple(sent, &flow.protocol, CTA_PROTO_DST_PORT, &flow.to_port) || flow.protocol != walk->protocol ||
	    !read_tuple(reply, &flow.protocol, CTA_PROTO_SRC_PORT, &flow.answers_port) || !read_addr(sent, true, &flow.from) ||
	    !read_addr(sent, false, &flow.to) || !read_addr(reply, true, &flow.answers) || !walk->fn(walk->arg, &flow))
		return;
	deletion = flow_message(IPCTNL_MSG_CT_DELETE, 0, flow.to.family == 6 ? AF_INET6 : AF_INET);
	nla_put(deletion, CTA_TUPLE_ORIG | NLA_F_NESTED, nla_len(sent), nla_data(sent));
	vec_push(&walk->deletions, deletion);
}

struct error *net_flows_forget(int nfnl, uint8_t protocol, bool (*fn)(void *arg, const struct net_flow *flow), void *arg)
{
	struct walk walk = { .protocol = protocol, .fn = fn, .arg = arg };
	struct error *err = message_dump(nfnl, flow_message(IPCTNL_MSG_CT_GET, 0, AF_UNSPEC), look_at, &walk);

	for (size_t i = 0; i < walk.deletions.len; i++) {
		int code = 0;

		if (err != NULL) {
			nlmsg_free(walk.deletions.ptr[i]);
			continue;
		}
		err = message_request(nfnl, walk.deletions.ptr[i], &code);
		if (err == NULL && code != 0 && code != ENOENT)
			err = error_errno(code, "forget a connection");
	}
	vec_fini(&walk.deletions);
	return err;
}
