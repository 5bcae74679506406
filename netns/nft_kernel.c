/* nf_tables: what the kernel is told and says: a batch is applied, changes by others are heard, a table is looked for. */
#include "netns/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "netns/message.h"

/* After a send, errors are already queued, one for each message that is refused; the first tells why. An empty queue means
 * that the transaction is in force. */
static struct error *read_verdict(int nfnl)
{
	struct error *first = NULL;
	char buffer[8192];

	for (;;) {
		ssize_t n = recv(nfnl, buffer, sizeof(buffer), MSG_DONTWAIT);
		struct nlmsghdr *answer = (struct nlmsghdr *)(void *)buffer;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && first == NULL && errno != EAGAIN)
			first = error_errno(errno, "read answer of nf_tables");
		if (n < 0)
			return first;
		for (int left = (int)n; NLMSG_OK(answer, left); answer = NLMSG_NEXT(answer, left)) {
			const struct nlmsgerr *error = NLMSG_DATA(answer);

			if (first == NULL && answer->nlmsg_type == NLMSG_ERROR && error->error != 0)
				first = error_errno(-error->error, "nf_tables refuses message %u of the batch",
						    error->msg.nlmsg_seq);
		}
	}
}

struct error *nft_apply(int nfnl, struct nft_batch *batch)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int size = (int)batch->bytes.len + 4096;

	batch_message(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	batch_message_end(batch);
	/* Without the right to go over the system's bound the smaller one may still do. */
	if (setsockopt(nfnl, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(nfnl, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (sendto(nfnl, batch->bytes.ptr, batch->bytes.len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return error_errno(errno, "send %zu bytes to nf_tables", batch->bytes.len);
	return read_verdict(nfnl);
}

struct error *nft_subscribe(int nfnl)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int group = NFNLGRP_NFTABLES;

	/* Only a bound socket hears anything. */
	if (bind(nfnl, (struct sockaddr *)&any, sizeof(any)) != 0)
		return error_errno(errno, "bind netlink socket");
	if (setsockopt(nfnl, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
		return error_errno(errno, "listen for changes of nf_tables");
	return NULL;
}

static bool names_table(const struct nlmsghdr *message, const char *table)
{
	const char *at = (const char *)message + NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const char *end = (const char *)message + message->nlmsg_len;

	while ((size_t)(end - at) >= sizeof(struct nlattr)) {
		const struct nlattr *attr = (const struct nlattr *)(const void *)at;

		if (attr->nla_len < sizeof(*attr) || attr->nla_len > (size_t)(end - at))
			return false;
		if ((attr->nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME)
			return strncmp(at + NLA_HDRLEN, table, attr->nla_len - NLA_HDRLEN) == 0;
		at += NLA_ALIGN(attr->nla_len);
	}
	return false;
}

/* A transaction that replaces the table tells of a deletion and then of a creation. */
static void note_change(const struct nlmsghdr *message, const char *table, bool *gone)
{
	bool deleted = message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE);
	bool created = message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE);

	if ((deleted || created) && names_table(message, table))
		*gone = deleted;
}

struct error *nft_read_changes(int nfnl, const char *table, bool *gone)
{
	char buffer[32 * 1024];

	for (;;) {
		ssize_t n = recv(nfnl, buffer, sizeof(buffer), MSG_DONTWAIT);
		struct nlmsghdr *message = (struct nlmsghdr *)(void *)buffer;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			*gone = true; /* too many changes to be told: look as if it were ours */
			continue;
		}
		if (n < 0)
			return errno == EAGAIN ? NULL : error_errno(errno, "read changes of nf_tables");
		for (int left = (int)n; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
			note_change(message, table, gone);
	}
}

struct error *nft_table_exists(int nfnl, const char *table, bool *exists)
{
	struct error *err;
	void *header;
	struct nl_msg *msg = message_new(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, sizeof(struct nfgenmsg), &header);
	int code = 0;

	((struct nfgenmsg *)header)->nfgen_family = NFPROTO_INET;
	nla_put_string(msg, NFTA_TABLE_NAME, table);
	err = message_ask(nfnl, msg, &code, NULL, NULL);
	if (err == NULL && code != 0 && code != ENOENT)
		err = error_errno(code, "look for table %s", table);
	*exists = code == 0;
	return err;
}
