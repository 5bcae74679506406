/*
 * nf_tables by netlink: a batch is the bytes of one transaction, written as the calls come in. Registers: the key of a
 * lookup stands in consecutive 32-bit registers from KEY_REG on, a looked-up endpoint from DATA_REG on.
 */
#include "netns/netns.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "netns/message.h"

#define KEY_REG              NFT_REG32_00
#define DATA_REG             NFT_REG32_08
#define REG_BYTES            4
#define ELEMENTS_PER_MESSAGE 100
#define MAX_NEST             8
#define REMEMBERED           65535 /* elements of a set that rules fill */

/* What nft(8) calls the types, so that it can print the sets: a concatenation has six bits for each. */
enum { TYPE_INTEGER = 4, TYPE_IPV4 = 7, TYPE_IPV6 = 8, TYPE_PROTOCOL = 12, TYPE_PORT = 13, TYPE_BITS = 6 };

struct nft_batch {
	struct buf bytes;
	size_t message; /* where the open message begins */
	size_t nest[MAX_NEST];
	int depth;
	uint32_t sequence;
	uint32_t next_set_id; /* for anonymous maps */
};

/* --- messages and attributes --- */

static void align(struct nft_batch *batch)
{
	while (batch->bytes.len % 4 != 0)
		buf_putc(&batch->bytes, '\0');
}

static void message_begin(struct nft_batch *batch, int type, int flags, uint8_t family, uint16_t res_id)
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

static void message_end(struct nft_batch *batch)
{
	uint32_t len;

	ASSERT(batch->depth == 0);
	len = (uint32_t)(batch->bytes.len - batch->message);
	memcpy(batch->bytes.ptr + batch->message + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	align(batch);
}

static void request_begin(struct nft_batch *batch, int type, int flags)
{
	message_begin(batch, NFNL_SUBSYS_NFTABLES << 8 | type, flags, NFPROTO_INET, 0);
}

static void put(struct nft_batch *batch, int type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = (uint16_t)type };

	buf_append(&batch->bytes, &attr, sizeof(attr));
	buf_append(&batch->bytes, data, len);
	align(batch);
}

static void put_text(struct nft_batch *batch, int type, const char *text)
{
	put(batch, type, text, strlen(text) + 1);
}

static void put_u32(struct nft_batch *batch, int type, uint32_t value)
{
	value = htonl(value);
	put(batch, type, &value, sizeof(value));
}

static void nest_begin(struct nft_batch *batch, int type)
{
	struct nlattr attr = { .nla_type = (uint16_t)(type | NLA_F_NESTED) };

	ASSERT(batch->depth < MAX_NEST);
	batch->nest[batch->depth++] = batch->bytes.len;
	buf_append(&batch->bytes, &attr, sizeof(attr));
}

static void nest_end(struct nft_batch *batch)
{
	size_t start = batch->nest[--batch->depth];
	uint16_t len = (uint16_t)(batch->bytes.len - start);

	ASSERT(batch->bytes.len - start <= UINT16_MAX);
	memcpy(batch->bytes.ptr + start + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

static void put_value(struct nft_batch *batch, int type, const void *data, size_t len)
{
	nest_begin(batch, type);
	put(batch, NFTA_DATA_VALUE, data, len);
	nest_end(batch);
}

static void put_verdict(struct nft_batch *batch, int type, int code, const char *chain)
{
	nest_begin(batch, type);
	nest_begin(batch, NFTA_DATA_VERDICT);
	put_u32(batch, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain != NULL)
		put_text(batch, NFTA_VERDICT_CHAIN, chain);
	nest_end(batch);
	nest_end(batch);
}

struct nft_batch *nft_batch_new(void)
{
	struct nft_batch *batch = xcalloc(1, sizeof(*batch));

	message_begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_end(batch);
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

/* --- tables, chains, sets --- */

static void table_message(struct nft_batch *batch, int type, int flags, const char *table)
{
	request_begin(batch, type, flags);
	put_text(batch, NFTA_TABLE_NAME, table);
	message_end(batch);
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

	request_begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	put_text(batch, NFTA_CHAIN_TABLE, table);
	put_text(batch, NFTA_CHAIN_NAME, chain);
	if (hook != NFT_HOOK_NONE) {
		nest_begin(batch, NFTA_CHAIN_HOOK);
		put_u32(batch, NFTA_HOOK_HOOKNUM, numbers[hook]);
		put_u32(batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
		nest_end(batch);
		put_text(batch, NFTA_CHAIN_TYPE, type == NFT_NAT ? "nat" : "filter");
		put_u32(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
	}
	message_end(batch);
}

void nft_chain(struct nft_batch *batch, const char *table, const char *chain)
{
	nft_base_chain(batch, table, chain, NFT_FILTER, NFT_HOOK_NONE, 0);
}

void nft_chain_flush(struct nft_batch *batch, const char *table, const char *chain)
{
	request_begin(batch, NFT_MSG_DELRULE, 0);
	put_text(batch, NFTA_RULE_TABLE, table);
	put_text(batch, NFTA_RULE_CHAIN, chain);
	message_end(batch);
}

void nft_chain_delete(struct nft_batch *batch, const char *table, const char *chain)
{
	request_begin(batch, NFT_MSG_DELCHAIN, 0);
	put_text(batch, NFTA_CHAIN_TABLE, table);
	put_text(batch, NFTA_CHAIN_NAME, chain);
	message_end(batch);
}

static uint32_t addr_bytes(int family)
{
	return family == 6 ? 16 : 4;
}

static uint32_t key_bytes(const struct nft_set *set)
{
	switch (set->key) {
	case NFT_KEY_ADDR_PROTO_PORT:
		return addr_bytes(set->family) + 2 * REG_BYTES;
	case NFT_KEY_PROTO_PORT:
		return 2 * REG_BYTES;
	case NFT_KEY_ADDR_ADDR:
		return 2 * addr_bytes(set->family);
	case NFT_KEY_ADDR_PREFIX:
	case NFT_KEY_ADDR:
	case NFT_KEY_SOURCE:
		return addr_bytes(set->family);
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

	request_begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	put_text(batch, NFTA_SET_TABLE, set->table);
	put_text(batch, NFTA_SET_NAME, set->name);
	put_u32(batch, NFTA_SET_FLAGS, flags);
	put_u32(batch, NFTA_SET_KEY_TYPE, key_type(set));
	put_u32(batch, NFTA_SET_KEY_LEN, key_bytes(set));
	if (set->verdicts)
		put_u32(batch, NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
	put_u32(batch, NFTA_SET_ID, ++batch->next_set_id);
	if (set->timeout_ms != 0) {
		uint64_t timeout = htobe64((uint64_t)set->timeout_ms);

		put(batch, NFTA_SET_TIMEOUT, &timeout, sizeof(timeout));
		nest_begin(batch, NFTA_SET_DESC);
		put_u32(batch, NFTA_SET_DESC_SIZE, REMEMBERED);
		nest_end(batch);
	}
	message_end(batch);
}

void nft_set_delete(struct nft_batch *batch, const struct nft_set *set)
{
	request_begin(batch, NFT_MSG_DELSET, 0);
	put_text(batch, NFTA_SET_TABLE, set->table);
	put_text(batch, NFTA_SET_NAME, set->name);
	message_end(batch);
}

struct key {
	uint8_t bytes[40];
	size_t len;
};

static void key_add(struct key *key, const void *data, size_t len)
{
	memcpy(key->bytes + key->len, data, len);
	key->len += (len + REG_BYTES - 1) / REG_BYTES * REG_BYTES; /* each part fills whole registers */
}

static struct key key_of(const struct nft_set *set, const struct nft_element *element)
{
	struct key key = { .len = 0 };
	uint16_t port = htons(element->port);

	if (set->key != NFT_KEY_PROTO_PORT)
		key_add(&key, element->ip.bytes, addr_bytes(set->family));
	if (set->key == NFT_KEY_ADDR_ADDR)
		key_add(&key, element->ip2.bytes, addr_bytes(set->family));
	if (set->key == NFT_KEY_ADDR_PROTO_PORT || set->key == NFT_KEY_PROTO_PORT) {
		key_add(&key, &element->protocol, 1);
		key_add(&key, &port, 2);
	}
	return key;
}

static void put_element(struct nft_batch *batch, const void *key, size_t len, uint32_t flags, const char *chain)
{
	nest_begin(batch, NFTA_LIST_ELEM);
	put_value(batch, NFTA_SET_ELEM_KEY, key, len);
	if (flags != 0)
		put_u32(batch, NFTA_SET_ELEM_FLAGS, flags);
	if (chain != NULL)
		put_verdict(batch, NFTA_SET_ELEM_DATA, NFT_GOTO, chain);
	nest_end(batch);
}

/* An interval is two elements: its first address, and the one after its last as an end mark. */
static void put_prefix(struct nft_batch *batch, const struct nft_element *element)
{
	struct ip first = cidr_first(element->prefix), last = cidr_last(element->prefix);
	struct ip after = ip_add(last, 1);
	size_t len = addr_bytes(first.family);

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
			request_begin(batch, type, add ? NLM_F_CREATE : 0);
			put_text(batch, NFTA_SET_ELEM_LIST_TABLE, set->table);
			put_text(batch, NFTA_SET_ELEM_LIST_SET, set->name);
			nest_begin(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		}
		if (set->key == NFT_KEY_ADDR_PREFIX) {
			put_prefix(batch, &elements[i]);
		} else {
			struct key key = key_of(set, &elements[i]);

			put_element(batch, key.bytes, key.len, 0, add && set->verdicts ? elements[i].chain : NULL);
		}
		if (i % ELEMENTS_PER_MESSAGE == ELEMENTS_PER_MESSAGE - 1 || i + 1 == n) {
			nest_end(batch);
			message_end(batch);
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

/* --- rules: a list of expressions --- */

void nft_rule_begin(struct nft_batch *batch, const char *table, const char *chain)
{
	request_begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	put_text(batch, NFTA_RULE_TABLE, table);
	put_text(batch, NFTA_RULE_CHAIN, chain);
	nest_begin(batch, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft_batch *batch)
{
	nest_end(batch);
	message_end(batch);
}

static void expr_begin(struct nft_batch *batch, const char *name)
{
	nest_begin(batch, NFTA_LIST_ELEM);
	put_text(batch, NFTA_EXPR_NAME, name);
	nest_begin(batch, NFTA_EXPR_DATA);
}

static void expr_end(struct nft_batch *batch)
{
	nest_end(batch);
	nest_end(batch);
}

static void load_meta(struct nft_batch *batch, uint32_t key, uint32_t reg)
{
	expr_begin(batch, "meta");
	put_u32(batch, NFTA_META_KEY, key);
	put_u32(batch, NFTA_META_DREG, reg);
	expr_end(batch);
}

static void load_ct(struct nft_batch *batch, uint32_t key, uint32_t reg)
{
	expr_begin(batch, "ct");
	put_u32(batch, NFTA_CT_DREG, reg);
	put_u32(batch, NFTA_CT_KEY, key);
	expr_end(batch);
}

static void load_payload(struct nft_batch *batch, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	expr_begin(batch, "payload");
	put_u32(batch, NFTA_PAYLOAD_DREG, reg);
	put_u32(batch, NFTA_PAYLOAD_BASE, base);
	put_u32(batch, NFTA_PAYLOAD_OFFSET, offset);
	put_u32(batch, NFTA_PAYLOAD_LEN, len);
	expr_end(batch);
}

static void load_addr(struct nft_batch *batch, enum nft_match_dir dir, int family, uint32_t reg)
{
	uint32_t offset = family == 6 ? (dir == NFT_SRC ? 8 : 24) : (dir == NFT_SRC ? 12 : 16);

	load_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, offset, addr_bytes(family), reg);
}

static void load_port(struct nft_batch *batch, uint32_t reg)
{
	load_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
}

static void compare(struct nft_batch *batch, const void *data, size_t len, bool negate)
{
	expr_begin(batch, "cmp");
	put_u32(batch, NFTA_CMP_SREG, KEY_REG);
	put_u32(batch, NFTA_CMP_OP, negate ? NFT_CMP_NEQ : NFT_CMP_EQ);
	put_value(batch, NFTA_CMP_DATA, data, len);
	expr_end(batch);
}

static void mask(struct nft_batch *batch, const void *bits, size_t len)
{
	static const uint8_t zero[16];

	expr_begin(batch, "bitwise");
	put_u32(batch, NFTA_BITWISE_SREG, KEY_REG);
	put_u32(batch, NFTA_BITWISE_DREG, KEY_REG);
	put_u32(batch, NFTA_BITWISE_LEN, (uint32_t)len);
	put_value(batch, NFTA_BITWISE_MASK, bits, len);
	put_value(batch, NFTA_BITWISE_XOR, zero, len);
	expr_end(batch);
}

void nft_match_family(struct nft_batch *batch, int family)
{
	uint8_t value = family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4;

	load_meta(batch, NFT_META_NFPROTO, KEY_REG);
	compare(batch, &value, 1, false);
}

void nft_match_protocol(struct nft_batch *batch, uint8_t protocol)
{
	load_meta(batch, NFT_META_L4PROTO, KEY_REG);
	compare(batch, &protocol, 1, false);
}

void nft_match_addr(struct nft_batch *batch, enum nft_match_dir dir, struct cidr cidr, bool negate)
{
	struct ip first = cidr_first(cidr), ones = { .family = cidr.ip.family };
	size_t len = addr_bytes(cidr.ip.family);

	memset(ones.bytes, 0xff, sizeof(ones.bytes));
	ones = cidr_first((struct cidr){ ones, cidr.bits });
	nft_match_family(batch, cidr.ip.family);
	load_addr(batch, dir, cidr.ip.family, KEY_REG);
	if (cidr.bits < len * 8)
		mask(batch, ones.bytes, len);
	compare(batch, first.bytes, len, negate);
}

void nft_match_port(struct nft_batch *batch, uint16_t port)
{
	port = htons(port);
	load_port(batch, KEY_REG);
	compare(batch, &port, 2, false);
}

static void match_link(struct nft_batch *batch, uint32_t key, const char *link, bool negate)
{
	char name[IFNAMSIZ] = { 0 };

	snprintf(name, sizeof(name), "%s", link);
	load_meta(batch, key, KEY_REG);
	compare(batch, name, sizeof(name), negate);
}

void nft_match_iif(struct nft_batch *batch, const char *link, bool negate)
{
	match_link(batch, NFT_META_IIFNAME, link, negate);
}

void nft_match_oif(struct nft_batch *batch, const char *link, bool negate)
{
	match_link(batch, NFT_META_OIFNAME, link, negate);
}

void nft_match_local(struct nft_batch *batch, bool negate)
{
	uint32_t local = RTN_LOCAL;

	expr_begin(batch, "fib");
	put_u32(batch, NFTA_FIB_DREG, KEY_REG);
	put_u32(batch, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	put_u32(batch, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	expr_end(batch);
	compare(batch, &local, sizeof(local), negate);
}

void nft_match_mark(struct nft_batch *batch, uint32_t mark)
{
	load_meta(batch, NFT_META_MARK, KEY_REG);
	compare(batch, &mark, sizeof(mark), false);
}

static void match_ct_bits(struct nft_batch *batch, uint32_t key, uint32_t bits)
{
	uint32_t zero = 0;

	load_ct(batch, key, KEY_REG);
	mask(batch, &bits, sizeof(bits));
	compare(batch, &zero, sizeof(zero), true);
}

void nft_match_dnat(struct nft_batch *batch)
{
	match_ct_bits(batch, NFT_CT_STATUS, 1U << 5); /* IPS_DST_NAT */
}

void nft_match_established(struct nft_batch *batch)
{
	match_ct_bits(batch, NFT_CT_STATE, 1U << 1 | 1U << 2); /* established, related */
}

/* The key that a set looks for, into consecutive registers. */
static void load_key(struct nft_batch *batch, const struct nft_set *set)
{
	bool source = set->key == NFT_KEY_ADDR_ADDR || set->key == NFT_KEY_SOURCE;
	uint32_t reg = KEY_REG;

	if (set->key != NFT_KEY_PROTO_PORT) {
		nft_match_family(batch, set->family);
		load_addr(batch, source ? NFT_SRC : NFT_DST, set->family, reg);
		reg += addr_bytes(set->family) / REG_BYTES;
	}
	if (set->key == NFT_KEY_ADDR_ADDR)
		load_addr(batch, NFT_DST, set->family, reg);
	if (set->key == NFT_KEY_ADDR_PROTO_PORT || set->key == NFT_KEY_PROTO_PORT) {
		load_meta(batch, NFT_META_L4PROTO, reg);
		load_port(batch, reg + 1);
	}
}

void nft_lookup(struct nft_batch *batch, const struct nft_set *set, bool negate)
{
	load_key(batch, set);
	expr_begin(batch, "lookup");
	put_text(batch, NFTA_LOOKUP_SET, set->name);
	put_u32(batch, NFTA_LOOKUP_SREG, KEY_REG);
	if (set->verdicts)
		put_u32(batch, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
	if (negate)
		put_u32(batch, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	expr_end(batch);
}

void nft_remember(struct nft_batch *batch, const struct nft_set *set)
{
	load_key(batch, set);
	expr_begin(batch, "dynset");
	put_text(batch, NFTA_DYNSET_SET_NAME, set->name);
	put_u32(batch, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	put_u32(batch, NFTA_DYNSET_SREG_KEY, KEY_REG);
	expr_end(batch);
}

static void load_random(struct nft_batch *batch, uint32_t below)
{
	expr_begin(batch, "numgen");
	put_u32(batch, NFTA_NG_DREG, KEY_REG);
	put_u32(batch, NFTA_NG_MODULUS, below);
	put_u32(batch, NFTA_NG_TYPE, NFT_NG_RANDOM);
	put_u32(batch, NFTA_NG_OFFSET, 0);
	expr_end(batch);
}

void nft_match_chance(struct nft_batch *batch, uint32_t n)
{
	uint32_t zero = 0;

	load_random(batch, n);
	compare(batch, &zero, sizeof(zero), false);
}

void nft_set_mark(struct nft_batch *batch, uint32_t mark)
{
	expr_begin(batch, "immediate");
	put_u32(batch, NFTA_IMMEDIATE_DREG, KEY_REG);
	put_value(batch, NFTA_IMMEDIATE_DATA, &mark, sizeof(mark));
	expr_end(batch);
	expr_begin(batch, "meta");
	put_u32(batch, NFTA_META_KEY, NFT_META_MARK);
	put_u32(batch, NFTA_META_SREG, KEY_REG);
	expr_end(batch);
}

static void verdict(struct nft_batch *batch, int code, const char *chain)
{
	expr_begin(batch, "immediate");
	put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	put_verdict(batch, NFTA_IMMEDIATE_DATA, code, chain);
	expr_end(batch);
}

void nft_jump(struct nft_batch *batch, const char *chain)
{
	verdict(batch, NFT_JUMP, chain);
}

void nft_goto(struct nft_batch *batch, const char *chain)
{
	verdict(batch, NFT_GOTO, chain);
}

void nft_accept(struct nft_batch *batch)
{
	verdict(batch, NF_ACCEPT, NULL);
}

void nft_drop(struct nft_batch *batch)
{
	verdict(batch, NF_DROP, NULL);
}

void nft_return(struct nft_batch *batch)
{
	verdict(batch, NFT_RETURN, NULL);
}

void nft_reject(struct nft_batch *batch)
{
	uint8_t code = NFT_REJECT_ICMPX_PORT_UNREACH;

	expr_begin(batch, "reject");
	put_u32(batch, NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	put(batch, NFTA_REJECT_ICMP_CODE, &code, 1);
	expr_end(batch);
}

/* A local client hears a reset at once; an ICMP error would find its socket busy connecting and be lost. */
void nft_reset(struct nft_batch *batch)
{
	uint8_t code = 0;

	expr_begin(batch, "reject");
	put_u32(batch, NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
	put(batch, NFTA_REJECT_ICMP_CODE, &code, 1);
	expr_end(batch);
}

void nft_masquerade(struct nft_batch *batch)
{
	expr_begin(batch, "masq");
	expr_end(batch);
}

static void load_value(struct nft_batch *batch, uint32_t reg, const void *data, size_t len)
{
	expr_begin(batch, "immediate");
	put_u32(batch, NFTA_IMMEDIATE_DREG, reg);
	put_value(batch, NFTA_IMMEDIATE_DATA, data, len);
	expr_end(batch);
}

void nft_snat(struct nft_batch *batch, struct ip source)
{
	load_value(batch, DATA_REG, source.bytes, addr_bytes(source.family));
	expr_begin(batch, "nat");
	put_u32(batch, NFTA_NAT_TYPE, NFT_NAT_SNAT);
	put_u32(batch, NFTA_NAT_FAMILY, source.family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	put_u32(batch, NFTA_NAT_REG_ADDR_MIN, DATA_REG);
	expr_end(batch);
}

/* An anonymous map from 0…n-1 to address . port. Its message must stand before the rule's, so the batch is cut open
 * at the rule and sewn together again. */
static uint32_t endpoint_map(struct nft_batch *batch, const char *table, const struct nft_endpoint *endpoints, size_t n)
{
	struct buf rule = { 0 };
	size_t message = batch->message;
	size_t nest[MAX_NEST];
	int depth = batch->depth, family = endpoints[0].ip.family;
	uint32_t id = ++batch->next_set_id;
	size_t moved;

	buf_append(&rule, batch->bytes.ptr + message, batch->bytes.len - message);
	memcpy(nest, batch->nest, sizeof(nest));
	batch->bytes.len = message;
	batch->depth = 0;

	request_begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	put_text(batch, NFTA_SET_TABLE, table);
	put_text(batch, NFTA_SET_NAME, "__map%d");
	put_u32(batch, NFTA_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_MAP);
	put_u32(batch, NFTA_SET_KEY_TYPE, TYPE_INTEGER);
	put_u32(batch, NFTA_SET_KEY_LEN, sizeof(uint32_t));
	put_u32(batch, NFTA_SET_DATA_TYPE, (uint32_t)(family == 6 ? TYPE_IPV6 : TYPE_IPV4) << TYPE_BITS | TYPE_PORT);
	put_u32(batch, NFTA_SET_DATA_LEN, addr_bytes(family) + REG_BYTES);
	put_u32(batch, NFTA_SET_ID, id);
	message_end(batch);
	for (size_t i = 0; i < n; i++) {
		struct key data = { .len = 0 };
		uint32_t number = (uint32_t)i;
		uint16_t port = htons(endpoints[i].port);

		if (i % ELEMENTS_PER_MESSAGE == 0) {
			request_begin(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
			put_text(batch, NFTA_SET_ELEM_LIST_TABLE, table);
			put_text(batch, NFTA_SET_ELEM_LIST_SET, "__map%d");
			put_u32(batch, NFTA_SET_ELEM_LIST_SET_ID, id);
			nest_begin(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		}
		key_add(&data, endpoints[i].ip.bytes, addr_bytes(family));
		key_add(&data, &port, 2);
		nest_begin(batch, NFTA_LIST_ELEM);
		put_value(batch, NFTA_SET_ELEM_KEY, &number, sizeof(number));
		put_value(batch, NFTA_SET_ELEM_DATA, data.bytes, data.len);
		nest_end(batch);
		if (i % ELEMENTS_PER_MESSAGE == ELEMENTS_PER_MESSAGE - 1 || i + 1 == n) {
			nest_end(batch);
			message_end(batch);
		}
	}

	moved = batch->bytes.len - message;
	batch->message = batch->bytes.len;
	batch->depth = depth;
	for (int i = 0; i < depth; i++)
		batch->nest[i] = nest[i] + moved;
	buf_append(&batch->bytes, rule.ptr, rule.len);
	buf_fini(&rule);
	return id;
}

static void choose_endpoint(struct nft_batch *batch, const char *table, const struct nft_endpoint *endpoints, size_t n)
{
	uint32_t id = endpoint_map(batch, table, endpoints, n);

	load_random(batch, (uint32_t)n);
	expr_begin(batch, "lookup");
	put_text(batch, NFTA_LOOKUP_SET, "__map%d");
	put_u32(batch, NFTA_LOOKUP_SREG, KEY_REG);
	put_u32(batch, NFTA_LOOKUP_DREG, DATA_REG);
	put_u32(batch, NFTA_LOOKUP_SET_ID, id);
	expr_end(batch);
}

void nft_dnat(struct nft_batch *batch, const char *table, const struct nft_endpoint *endpoints, size_t n)
{
	int family = endpoints[0].ip.family;
	uint32_t port_reg = DATA_REG + addr_bytes(family) / REG_BYTES;

	if (n == 1) {
		uint16_t port = htons(endpoints[0].port);

		load_value(batch, DATA_REG, endpoints[0].ip.bytes, addr_bytes(family));
		load_value(batch, port_reg, &port, sizeof(port));
	} else {
		choose_endpoint(batch, table, endpoints, n);
	}
	expr_begin(batch, "nat");
	put_u32(batch, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	put_u32(batch, NFTA_NAT_FAMILY, family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	put_u32(batch, NFTA_NAT_REG_ADDR_MIN, DATA_REG);
	put_u32(batch, NFTA_NAT_REG_PROTO_MIN, port_reg);
	expr_end(batch);
}

/* --- the kernel --- */

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

	message_begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_end(batch);
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
