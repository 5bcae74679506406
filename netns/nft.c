/* nf_tables: tables, chains, sets and their elements. */
#include "netns/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#define REMEMBERED 65535 /* elements of a set that rules fill */

static void table_message(struct nft_batch *batch, int type, int flags, const char *table)
{
	batch_request(batch, type, flags);
	batch_put_text(batch, NFTA_TABLE_NAME, table);
	batch_message_end(batch);
}

/* Created first, so that deleting one that is absent is no error. */
void nft_table_delete(struct nft_batch *batch, const char *table)
{
	table_message(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, table);
	table_message(batch, NFT_MSG_DELTABLE, 0, table);
}

void nft_table_reset(struct nft_batch *batch, const char *table)
{
	nft_table_delete(batch, table);
	table_message(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, table);
}

void nft_base_chain(struct nft_batch *batch, const char *table, const char *chain, enum nft_type type, enum nft_hook hook,
		    int priority)
{
	static const uint32_t numbers[] = {
		[NFT_PREROUTING] = NF_INET_PRE_ROUTING, [NFT_INPUT] = NF_INET_LOCAL_IN,           [NFT_FORWARD] = NF_INET_FORWARD,
		[NFT_OUTPUT] = NF_INET_LOCAL_OUT,       [NFT_POSTROUTING] = NF_INET_POST_ROUTING,
	};

	batch_request(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	batch_put_text(batch, NFTA_CHAIN_TABLE, table);
	batch_put_text(batch, NFTA_CHAIN_NAME, chain);
	if (hook != NFT_HOOK_NONE) {
		batch_nest(batch, NFTA_CHAIN_HOOK);
		batch_put_u32(batch, NFTA_HOOK_HOOKNUM, numbers[hook]);
		batch_put_u32(batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
		batch_nest_end(batch);
		batch_put_text(batch, NFTA_CHAIN_TYPE, type == NFT_NAT ? "nat" : "filter");
		batch_put_u32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
	}
	batch_message_end(batch);
}

void nft_chain(struct nft_batch *batch, const char *table, const char *chain)
{
	nft_base_chain(batch, table, chain, NFT_FILTER, NFT_HOOK_NONE, 0);
}

void nft_chain_flush(struct nft_batch *batch, const char *table, const char *chain)
{
	batch_request(batch, NFT_MSG_DELRULE, 0);
	batch_put_text(batch, NFTA_RULE_TABLE, table);
	batch_put_text(batch, NFTA_RULE_CHAIN, chain);
	batch_message_end(batch);
}

void nft_chain_delete(struct nft_batch *batch, const char *table, const char *chain)
{
	batch_request(batch, NFT_MSG_DELCHAIN, 0);
	batch_put_text(batch, NFTA_CHAIN_TABLE, table);
	batch_put_text(batch, NFTA_CHAIN_NAME, chain);
	batch_message_end(batch);
}

uint32_t nft_addr_bytes(int family)
{
	return family == 6 ? 16 : 4;
}

static uint32_t key_bytes(const struct nft_set *set)
{
	switch (set->key) {
	case NFT_KEY_ADDR_PROTO_PORT:
		return nft_addr_bytes(set->family) + 2 * REG_BYTES;
	case NFT_KEY_PROTO_PORT:
		return 2 * REG_BYTES;
	case NFT_KEY_ADDR_ADDR:
		return 2 * nft_addr_bytes(set->family);
	case NFT_KEY_ADDR_PREFIX:
	case NFT_KEY_ADDR:
	case NFT_KEY_SOURCE:
		return nft_addr_bytes(set->family);
	}
	return 0;
}

static uint32_t key_type(const struct nft_set *set)
{
	uint32_t addr = set->family == 6 ? TYPE_IPV6 : TYPE_IPV4;

	switch (set->key) {
	case NFT_KEY_ADDR_PROTO_PORT:
		return (addr << TYPE_BITS | TYPE_PROTOCOL) << TYPE_BITS | TYPE_PORT;
	case NFT_KEY_PROTO_PORT:
		return TYPE_PROTOCOL << TYPE_BITS | TYPE_PORT;
	case NFT_KEY_ADDR_ADDR:
		return addr << TYPE_BITS | addr;
	case NFT_KEY_ADDR_PREFIX:
	case NFT_KEY_ADDR:
	case NFT_KEY_SOURCE:
		return addr;
	}
	return 0;
}

void nft_set(struct nft_batch *batch, const struct nft_set *set)
{
	uint32_t flags = (set->verdicts ? NFT_SET_MAP : 0) | (set->key == NFT_KEY_ADDR_PREFIX ? NFT_SET_INTERVAL : 0) |
			 (set->timeout_ms != 0 ? NFT_SET_TIMEOUT | NFT_SET_EVAL : 0);

	batch_request(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	batch_put_text(batch, NFTA_SET_TABLE, set->table);
	batch_put_text(batch, NFTA_SET_NAME, set->name);
	batch_put_u32(batch, NFTA_SET_FLAGS, flags);
	batch_put_u32(batch, NFTA_SET_KEY_TYPE, key_type(set));
	batch_put_u32(batch, NFTA_SET_KEY_LEN, key_bytes(set));
	if (set->verdicts)
		batch_put_u32(batch, NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
	batch_put_u32(batch, NFTA_SET_ID, ++batch->next_set_id);
	if (set->timeout_ms != 0) {
		uint64_t timeout = htobe64((uint64_t)set->timeout_ms);

		batch_put(batch, NFTA_SET_TIMEOUT, &timeout, sizeof(timeout));
		batch_nest(batch, NFTA_SET_DESC);
		batch_put_u32(batch, NFTA_SET_DESC_SIZE, REMEMBERED);
		batch_nest_end(batch);
	}
	batch_message_end(batch);
}

void nft_set_delete(struct nft_batch *batch, const struct nft_set *set)
{
	batch_request(batch, NFT_MSG_DELSET, 0);
	batch_put_text(batch, NFTA_SET_TABLE, set->table);
	batch_put_text(batch, NFTA_SET_NAME, set->name);
	batch_message_end(batch);
}

void nft_concat_add(struct nft_concat *key, const void *data, size_t len)
{
	memcpy(key->bytes + key->len, data, len);
	key->len += (len + REG_BYTES - 1) / REG_BYTES * REG_BYTES;
}

static struct nft_concat key_of(const struct nft_set *set, const struct nft_element *element)
{
	struct nft_concat key = { .len = 0 };
	uint16_t port = htons(element->port);

	if (set->key != NFT_KEY_PROTO_PORT)
		nft_concat_add(&key, element->ip.bytes, nft_addr_bytes(set->family));
	if (set->key == NFT_KEY_ADDR_ADDR)
		nft_concat_add(&key, element->ip2.bytes, nft_addr_bytes(set->family));
	if (set->key == NFT_KEY_ADDR_PROTO_PORT || set->key == NFT_KEY_PROTO_PORT) {
		nft_concat_add(&key, &element->protocol, 1);
		nft_concat_add(&key, &port, 2);
	}
	return key;
}

static void put_element(struct nft_batch *batch, const void *key, size_t len, uint32_t flags, const char *chain)
{
	batch_nest(batch, NFTA_LIST_ELEM);
	batch_put_value(batch, NFTA_SET_ELEM_KEY, key, len);
	if (flags != 0)
		batch_put_u32(batch, NFTA_SET_ELEM_FLAGS, flags);
	if (chain != NULL)
		batch_put_verdict(batch, NFTA_SET_ELEM_DATA, NFT_GOTO, chain);
	batch_nest_end(batch);
}

/* An interval is two elements: its first address, and the one after its last as an end mark. */
static void put_prefix(struct nft_batch *batch, const struct nft_element *element)
{
	struct ip first = cidr_first(element->prefix), last = cidr_last(element->prefix);
	struct ip after = ip_add(last, 1);
	size_t len = nft_addr_bytes(first.family);

	put_element(batch, first.bytes, len, 0, element->chain);
	if (ip_cmp(after, last) > 0)
		put_element(batch, after.bytes, len, NFT_SET_ELEM_INTERVAL_END, NULL);
}

static void elements_message(struct nft_batch *batch, int type, const struct nft_set *set, const struct nft_element *elements,
			     size_t n)
{
	bool add = type == NFT_MSG_NEWSETELEM;

	for (size_t i = 0; i < n; i++) {
		if (i % ELEMENTS_PER_MESSAGE == 0) {
			batch_request(batch, type, add ? NLM_F_CREATE : 0);
			batch_put_text(batch, NFTA_SET_ELEM_LIST_TABLE, set->table);
			batch_put_text(batch, NFTA_SET_ELEM_LIST_SET, set->name);
			batch_nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		}
		if (set->key == NFT_KEY_ADDR_PREFIX) {
			put_prefix(batch, &elements[i]);
		} else {
			struct nft_concat key = key_of(set, &elements[i]);

			put_element(batch, key.bytes, key.len, 0, add && set->verdicts ? elements[i].chain : NULL);
		}
		if (i % ELEMENTS_PER_MESSAGE == ELEMENTS_PER_MESSAGE - 1 || i + 1 == n) {
			batch_nest_end(batch);
			batch_message_end(batch);
		}
	}
}

void nft_set_add(struct nft_batch *batch, const struct nft_set *set, const struct nft_element *elements, size_t n)
{
	elements_message(batch, NFT_MSG_NEWSETELEM, set, elements, n);
}

void nft_set_remove(struct nft_batch *batch, const struct nft_set *set, const struct nft_element *elements, size_t n)
{
	elements_message(batch, NFT_MSG_DELSETELEM, set, elements, n);
}
