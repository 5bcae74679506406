/* A batch: netlink messages with nested attributes, written as the calls come in. */
#include "netns/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>

static void align(struct nft_batch *batch)
{
	while (batch->bytes.len % 4 != 0)
		buf_putc(&batch->bytes, '\0');
}

void batch_message(struct nft_batch *batch, int type, int flags, uint8_t family, uint16_t res_id)
{
	struct nlmsghdr header = {
		.nlmsg_type = (uint16_t)type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
		.nlmsg_seq = batch->sequence++,
	};
	struct nfgenmsg generic = { .nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(res_id) };

	batch->message = batch->bytes.len;
	buf_append(&batch->bytes, &header, sizeof(header));
	buf_append(&batch->bytes, &generic, sizeof(generic));
}

void batch_message_end(struct nft_batch *batch)
{
	uint32_t len;

	ASSERT(batch->depth == 0);
	len = (uint32_t)(batch->bytes.len - batch->message);
	memcpy(batch->bytes.ptr + batch->message + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	align(batch);
}

void batch_request(struct nft_batch *batch, int type, int flags)
{
	batch_message(batch, NFNL_SUBSYS_NFTABLES << 8 | type, flags, NFPROTO_INET, 0);
}

void batch_put(struct nft_batch *batch, int type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = (uint16_t)type };

	buf_append(&batch->bytes, &attr, sizeof(attr));
	buf_append(&batch->bytes, data, len);
	align(batch);
}

void batch_put_text(struct nft_batch *batch, int type, const char *text)
{
	batch_put(batch, type, text, strlen(text) + 1);
}

void batch_put_u32(struct nft_batch *batch, int type, uint32_t value)
{
	value = htonl(value);
	batch_put(batch, type, &value, sizeof(value));
}

void batch_nest(struct nft_batch *batch, int type)
{
	struct nlattr attr = { .nla_type = (uint16_t)(type | NLA_F_NESTED) };

	ASSERT(batch->depth < MAX_NEST);
	batch->nest[batch->depth++] = batch->bytes.len;
	buf_append(&batch->bytes, &attr, sizeof(attr));
}

void batch_nest_end(struct nft_batch *batch)
{
	size_t start = batch->nest[--batch->depth];
	uint16_t len = (uint16_t)(batch->bytes.len - start);

	ASSERT(batch->bytes.len - start <= UINT16_MAX);
	memcpy(batch->bytes.ptr + start + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

void batch_put_value(struct nft_batch *batch, int type, const void *data, size_t len)
{
	batch_nest(batch, type);
	batch_put(batch, NFTA_DATA_VALUE, data, len);
	batch_nest_end(batch);
}

void batch_put_verdict(struct nft_batch *batch, int type, int code, const char *chain)
{
	batch_nest(batch, type);
	batch_nest(batch, NFTA_DATA_VERDICT);
	batch_put_u32(batch, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain != NULL)
		batch_put_text(batch, NFTA_VERDICT_CHAIN, chain);
	batch_nest_end(batch);
	batch_nest_end(batch);
}

struct nft_batch *nft_batch_new(void)
{
	struct nft_batch *batch = xcalloc(1, sizeof(*batch));

	batch_message(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	batch_message_end(batch);
	return batch;
}

void nft_batch_free(struct nft_batch *batch)
{
	if (batch == NULL)
		return;
	buf_fini(&batch->bytes);
	free(batch);
}

size_t nft_batch_size(const struct nft_batch *batch)
{
	return batch->bytes.len;
}
