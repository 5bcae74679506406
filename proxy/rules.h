/*
 * Plans to nf_tables: what is in force, and the one transaction that leads from there to what is wanted.
 *
 * The table stays; a change touches only the chains and elements of the Services that changed. What several Services want
 * (a hairpin, an address) is counted. Private to proxy.
 *
 *	rules_begin(rules, false);
 *	rules_change(rules, old, now);         // once per Service; either may be NULL
 *	batch = rules_end(rules);              // NULL: nothing to do
 */
#ifndef PROXY_RULES_H
#define PROXY_RULES_H

#include "proxy/plan.h"

#define PROXY_TABLE "monokube"

struct rules;

struct rules *rules_new(const struct plan_options *options); /* borrowed */
void rules_free(struct rules *rules);

void rules_begin(struct rules *rules, bool anew); /* anew: nothing is there yet, or nobody knows what */
void rules_change(struct rules *rules, const struct plan *old, const struct plan *now); /* both live until the end */
struct nft_batch *rules_end(struct rules *rules);

#endif
