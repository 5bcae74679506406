/*
 * What the files of nf_tables share; private to the folder.
 *
 *	nft.c  nft_rule.c ──▶ nft_batch.c: bytes of one transaction ──▶ nft_kernel.c
 *
 * Each message is begun and ended; attributes go into the message that is open, nested ones into the nest that is.
 */
#ifndef NETNS_NFT_H
#define NETNS_NFT_H

#include "netns/netns.h"

#define REG_BYTES            4
#define ELEMENTS_PER_MESSAGE 100
#define MAX_NEST             8

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

/* --- nft_batch.c --- */

void batch_message(struct nft_batch *batch, int type, int flags, uint8_t family, uint16_t res_id);
void batch_request(struct nft_batch *batch, int type, int flags); /* a message to nf_tables; type NFT_MSG_… */
void batch_message_end(struct nft_batch *batch);

void batch_put(struct nft_batch *batch, int type, const void *data, size_t len);
void batch_put_text(struct nft_batch *batch, int type, const char *text);
void batch_put_u32(struct nft_batch *batch, int type, uint32_t value); /* host order */
void batch_put_value(struct nft_batch *batch, int type, const void *data, size_t len);
void batch_put_verdict(struct nft_batch *batch, int type, int code, const char *chain); /* chain NULL: none */
void batch_nest(struct nft_batch *batch, int type);
void batch_nest_end(struct nft_batch *batch);

/* --- nft.c --- */

uint32_t nft_addr_bytes(int family);

/* Of addresses and ports, as a set keys it: each part fills whole registers. */
struct nft_concat {
	uint8_t bytes[40];
	size_t len;
};

void nft_concat_add(struct nft_concat *key, const void *data, size_t len);

#endif
