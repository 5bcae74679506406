/*
 * nf_tables: rules. A rule is a list of expressions that load, compare and act on registers: the key of a lookup stands in
 * consecutive 32-bit registers from KEY_REG on, a looked-up endpoint from DATA_REG on.
 */
#include "netns/nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>

#define KEY_REG  NFT_REG32_00
#define DATA_REG NFT_REG32_08

void nft_rule_begin(struct nft_batch *batch, const char *table, const char *chain)
{
	batch_request(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	batch_put_text(batch, NFTA_RULE_TABLE, table);
	batch_put_text(batch, NFTA_RULE_CHAIN, chain);
	batch_nest(batch, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft_batch *batch)
{
	batch_nest_end(batch);
	batch_message_end(batch);
}

static void expr_begin(struct nft_batch *batch, const char *name)
{
	batch_nest(batch, NFTA_LIST_ELEM);
	batch_put_text(batch, NFTA_EXPR_NAME, name);
	batch_nest(batch, NFTA_EXPR_DATA);
}

static void expr_end(struct nft_batch *batch)
{
	batch_nest_end(batch);
	batch_nest_end(batch);
}

static void load_meta(struct nft_batch *batch, uint32_t key, uint32_t reg)
{
	expr_begin(batch, "meta");
	batch_put_u32(batch, NFTA_META_KEY, key);
	batch_put_u32(batch, NFTA_META_DREG, reg);
	expr_end(batch);
}

static void load_ct(struct nft_batch *batch, uint32_t key, uint32_t reg)
{
	expr_begin(batch, "ct");
	batch_put_u32(batch, NFTA_CT_DREG, reg);
	batch_put_u32(batch, NFTA_CT_KEY, key);
	expr_end(batch);
}

static void load_payload(struct nft_batch *batch, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	expr_begin(batch, "payload");
	batch_put_u32(batch, NFTA_PAYLOAD_DREG, reg);
	batch_put_u32(batch, NFTA_PAYLOAD_BASE, base);
	batch_put_u32(batch, NFTA_PAYLOAD_OFFSET, offset);
	batch_put_u32(batch, NFTA_PAYLOAD_LEN, len);
	expr_end(batch);
}

static void load_addr(struct nft_batch *batch, enum nft_match_dir dir, int family, uint32_t reg)
{
	uint32_t offset = family == 6 ? (dir == NFT_SRC ? 8 : 24) : (dir == NFT_SRC ? 12 : 16);

	load_payload(batch, NFT_PAYLOAD_NETWORK_HEADER, offset, nft_addr_bytes(family), reg);
}

static void load_port(struct nft_batch *batch, uint32_t reg)
{
	load_payload(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
}

static void compare(struct nft_batch *batch, const void *data, size_t len, bool negate)
{
	expr_begin(batch, "cmp");
	batch_put_u32(batch, NFTA_CMP_SREG, KEY_REG);
	batch_put_u32(batch, NFTA_CMP_OP, negate ? NFT_CMP_NEQ : NFT_CMP_EQ);
	batch_put_value(batch, NFTA_CMP_DATA, data, len);
	expr_end(batch);
}

static void mask(struct nft_batch *batch, const void *bits, size_t len)
{
	static const uint8_t zero[16];

	expr_begin(batch, "bitwise");
	batch_put_u32(batch, NFTA_BITWISE_SREG, KEY_REG);
	batch_put_u32(batch, NFTA_BITWISE_DREG, KEY_REG);
	batch_put_u32(batch, NFTA_BITWISE_LEN, (uint32_t)len);
	batch_put_value(batch, NFTA_BITWISE_MASK, bits, len);
	batch_put_value(batch, NFTA_BITWISE_XOR, zero, len);
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
	size_t len = nft_addr_bytes(cidr.ip.family);

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
	batch_put_u32(batch, NFTA_FIB_DREG, KEY_REG);
	batch_put_u32(batch, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	batch_put_u32(batch, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
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
		reg += nft_addr_bytes(set->family) / REG_BYTES;
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
	batch_put_text(batch, NFTA_LOOKUP_SET, set->name);
	batch_put_u32(batch, NFTA_LOOKUP_SREG, KEY_REG);
	if (set->verdicts)
		batch_put_u32(batch, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
	if (negate)
		batch_put_u32(batch, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	expr_end(batch);
}

void nft_remember(struct nft_batch *batch, const struct nft_set *set)
{
	load_key(batch, set);
	expr_begin(batch, "dynset");
	batch_put_text(batch, NFTA_DYNSET_SET_NAME, set->name);
	batch_put_u32(batch, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	batch_put_u32(batch, NFTA_DYNSET_SREG_KEY, KEY_REG);
	expr_end(batch);
}

static void load_random(struct nft_batch *batch, uint32_t below)
{
	expr_begin(batch, "numgen");
	batch_put_u32(batch, NFTA_NG_DREG, KEY_REG);
	batch_put_u32(batch, NFTA_NG_MODULUS, below);
	batch_put_u32(batch, NFTA_NG_TYPE, NFT_NG_RANDOM);
	batch_put_u32(batch, NFTA_NG_OFFSET, 0);
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
	batch_put_u32(batch, NFTA_IMMEDIATE_DREG, KEY_REG);
	batch_put_value(batch, NFTA_IMMEDIATE_DATA, &mark, sizeof(mark));
	expr_end(batch);
	expr_begin(batch, "meta");
	batch_put_u32(batch, NFTA_META_KEY, NFT_META_MARK);
	batch_put_u32(batch, NFTA_META_SREG, KEY_REG);
	expr_end(batch);
}

static void verdict(struct nft_batch *batch, int code, const char *chain)
{
	expr_begin(batch, "immediate");
	batch_put_u32(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	batch_put_verdict(batch, NFTA_IMMEDIATE_DATA, code, chain);
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
	batch_put_u32(batch, NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	batch_put(batch, NFTA_REJECT_ICMP_CODE, &code, 1);
	expr_end(batch);
}

/* A local client hears a reset at once; an ICMP error would find its socket busy connecting and be lost. */
void nft_reset(struct nft_batch *batch)
{
	uint8_t code = 0;

	expr_begin(batch, "reject");
	batch_put_u32(batch, NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
	batch_put(batch, NFTA_REJECT_ICMP_CODE, &code, 1);
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
	batch_put_u32(batch, NFTA_IMMEDIATE_DREG, reg);
	batch_put_value(batch, NFTA_IMMEDIATE_DATA, data, len);
	expr_end(batch);
}

void nft_snat(struct nft_batch *batch, struct ip source)
{
	load_value(batch, DATA_REG, source.bytes, nft_addr_bytes(source.family));
	expr_begin(batch, "nat");
	batch_put_u32(batch, NFTA_NAT_TYPE, NFT_NAT_SNAT);
	batch_put_u32(batch, NFTA_NAT_FAMILY, source.family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	batch_put_u32(batch, NFTA_NAT_REG_ADDR_MIN, DATA_REG);
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

	batch_request(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	batch_put_text(batch, NFTA_SET_TABLE, table);
	batch_put_text(batch, NFTA_SET_NAME, "__map%d");
	batch_put_u32(batch, NFTA_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_MAP);
	batch_put_u32(batch, NFTA_SET_KEY_TYPE, TYPE_INTEGER);
	batch_put_u32(batch, NFTA_SET_KEY_LEN, sizeof(uint32_t));
	batch_put_u32(batch, NFTA_SET_DATA_TYPE, (uint32_t)(family == 6 ? TYPE_IPV6 : TYPE_IPV4) << TYPE_BITS | TYPE_PORT);
	batch_put_u32(batch, NFTA_SET_DATA_LEN, nft_addr_bytes(family) + REG_BYTES);
	batch_put_u32(batch, NFTA_SET_ID, id);
	batch_message_end(batch);
	for (size_t i = 0; i < n; i++) {
		struct nft_concat data = { .len = 0 };
		uint32_t number = (uint32_t)i;
		uint16_t port = htons(endpoints[i].port);

		if (i % ELEMENTS_PER_MESSAGE == 0) {
			batch_request(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
			batch_put_text(batch, NFTA_SET_ELEM_LIST_TABLE, table);
			batch_put_text(batch, NFTA_SET_ELEM_LIST_SET, "__map%d");
			batch_put_u32(batch, NFTA_SET_ELEM_LIST_SET_ID, id);
			batch_nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		}
		nft_concat_add(&data, endpoints[i].ip.bytes, nft_addr_bytes(family));
		nft_concat_add(&data, &port, 2);
		batch_nest(batch, NFTA_LIST_ELEM);
		batch_put_value(batch, NFTA_SET_ELEM_KEY, &number, sizeof(number));
		batch_put_value(batch, NFTA_SET_ELEM_DATA, data.bytes, data.len);
		batch_nest_end(batch);
		if (i % ELEMENTS_PER_MESSAGE == ELEMENTS_PER_MESSAGE - 1 || i + 1 == n) {
			batch_nest_end(batch);
			batch_message_end(batch);
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
	batch_put_text(batch, NFTA_LOOKUP_SET, "__map%d");
	batch_put_u32(batch, NFTA_LOOKUP_SREG, KEY_REG);
	batch_put_u32(batch, NFTA_LOOKUP_DREG, DATA_REG);
	batch_put_u32(batch, NFTA_LOOKUP_SET_ID, id);
	expr_end(batch);
}

void nft_dnat(struct nft_batch *batch, const char *table, const struct nft_endpoint *endpoints, size_t n)
{
	int family = endpoints[0].ip.family;
	uint32_t port_reg = DATA_REG + nft_addr_bytes(family) / REG_BYTES;

	if (n == 1) {
		uint16_t port = htons(endpoints[0].port);

		load_value(batch, DATA_REG, endpoints[0].ip.bytes, nft_addr_bytes(family));
		load_value(batch, port_reg, &port, sizeof(port));
	} else {
		choose_endpoint(batch, table, endpoints, n);
	}
	expr_begin(batch, "nat");
	batch_put_u32(batch, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	batch_put_u32(batch, NFTA_NAT_FAMILY, family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	batch_put_u32(batch, NFTA_NAT_REG_ADDR_MIN, DATA_REG);
	batch_put_u32(batch, NFTA_NAT_REG_PROTO_MIN, port_reg);
	expr_end(batch);
}
