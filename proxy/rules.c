/*
 * The table:
 *
 *	nat prerouting, output:  jump dispatch;  dispatch: @targets, and on own addresses @nodeports, lead to a chain each
 *	nat postrouting:         what is marked, and a pod that meets itself, gets the node's address; pods that leave, too
 *	filter in, forward, out: @refused, @refused-nodeports, @addresses: what nothing redirected is refused
 */
#include "proxy/rules.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define MARK 0x4000 /* masquerade; upstream's bit */

/* One element of one set, counted. */
struct entry {
	struct list changed;
	struct plan_element element; /* chain owned */
	unsigned wanted;
	bool in_force;
	char *chain; /* wanted */
	char *had;   /* in force */
};

struct pair {
	const struct plan *old, *now;
};

struct rules {
	const struct plan_options *options;
	struct map entries;
	struct list changed;
	VEC(struct pair) pairs;
	bool anew;
};

static const struct {
	const char *name[2]; /* v4, v6 */
	enum nft_key key;
	bool verdicts;
} set_rows[PLAN_SETS] = {
	[PLAN_TARGETS] = { { "targets4", "targets6" }, NFT_KEY_ADDR_PROTO_PORT, true },
	[PLAN_NODEPORTS] = { { "nodeports4", "nodeports6" }, NFT_KEY_PROTO_PORT, true },
	[PLAN_REFUSED] = { { "refused4", "refused6" }, NFT_KEY_ADDR_PROTO_PORT, true },
	[PLAN_REFUSED_NODEPORTS] = { { "refused-nodeports4", "refused-nodeports6" }, NFT_KEY_PROTO_PORT, true },
	[PLAN_ADDRESSES] = { { "addresses4", "addresses6" }, NFT_KEY_ADDR, true },
	[PLAN_HAIRPINS] = { { "hairpins4", "hairpins6" }, NFT_KEY_ADDR_ADDR, false },
};

static struct nft_set set_of(enum plan_set set, int family)
{
	return (struct nft_set){
		PROXY_TABLE, set_rows[set].name[family == 6], set_rows[set].key, family, set_rows[set].verdicts, 0
	};
}

static void entry_free(struct entry *entry)
{
	list_remove(&entry->changed);
	free(entry->chain);
	free(entry->had);
	free(entry);
}

static void forget_entries(struct rules *rules)
{
	MAP_EACH (&rules->entries, it)
		entry_free(it->value);
	map_fini(&rules->entries);
}

struct rules *rules_new(const struct plan_options *options)
{
	struct rules *rules = xcalloc(1, sizeof(*rules));

	rules->options = options;
	list_init(&rules->changed);
	return rules;
}

void rules_free(struct rules *rules)
{
	if (rules == NULL)
		return;
	forget_entries(rules);
	vec_fini(&rules->pairs);
	free(rules);
}

/* --- the frame that every node has --- */

static void jump_rule(struct nft_batch *batch, const char *from, const char *to)
{
	nft_rule_begin(batch, PROXY_TABLE, from);
	nft_jump(batch, to);
	nft_rule_end(batch);
}

static void lookup_rule(struct nft_batch *batch, const char *chain, enum plan_set which, int family, bool local)
{
	struct nft_set set = set_of(which, family);

	nft_rule_begin(batch, PROXY_TABLE, chain);
	nft_match_family(batch, family);
	if (local)
		nft_match_local(batch, false);
	nft_lookup(batch, &set, false);
	nft_rule_end(batch);
}

/* The address that others shall see instead of the client's. */
static void hide_source(struct nft_batch *batch, const struct plan_options *options, int family)
{
	if (options->node_ip.family == family)
		nft_snat(batch, options->node_ip);
	else
		nft_masquerade(batch);
}

static void postrouting(struct nft_batch *batch, const struct plan_options *options)
{
	for (int family = 4; family <= 6; family += 2) {
		struct nft_set hairpins = set_of(PLAN_HAIRPINS, family);

		nft_rule_begin(batch, PROXY_TABLE, "postrouting");
		nft_match_family(batch, family);
		nft_match_mark(batch, MARK);
		hide_source(batch, options, family);
		nft_rule_end(batch);
		nft_rule_begin(batch, PROXY_TABLE, "postrouting");
		nft_match_dnat(batch);
		nft_lookup(batch, &hairpins, false);
		hide_source(batch, options, family);
		nft_rule_end(batch);
	}
	/* Nobody else can answer to 127.0.0.1. */
	nft_rule_begin(batch, PROXY_TABLE, "postrouting");
	nft_match_dnat(batch);
	nft_match_addr(batch, NFT_SRC, (struct cidr){ ip_v4(127, 0, 0, 0), 8 }, false);
	hide_source(batch, options, 4);
	nft_rule_end(batch);
	if (options->pod_cidr.ip.family == 0 || options->uplink == NULL)
		return;
	nft_rule_begin(batch, PROXY_TABLE, "postrouting");
	nft_match_oif(batch, options->uplink, false);
	nft_match_addr(batch, NFT_SRC, options->pod_cidr, false);
	nft_match_addr(batch, NFT_DST, options->pod_cidr, true);
	nft_masquerade(batch);
	nft_rule_end(batch);
}

static void frame(struct nft_batch *batch, const struct plan_options *options)
{
	static const char *const plain[] = { "dispatch", "unanswered", CHAIN_REFUSE, CHAIN_DROP };
	static const struct {
		const char *name;
		enum nft_type type;
		enum nft_hook hook;
		int priority; /* those that nft(8) calls dstnat, srcnat and filter */
		const char *jump;
	} hooks[] = {
		{ "prerouting", NFT_NAT, NFT_PREROUTING, -100, "dispatch" },
		{ "output", NFT_NAT, NFT_OUTPUT, -100, "dispatch" },
		{ "postrouting", NFT_NAT, NFT_POSTROUTING, 100, NULL },
		{ "filter-input", NFT_FILTER, NFT_INPUT, 0, "unanswered" },
		{ "filter-forward", NFT_FILTER, NFT_FORWARD, 0, "unanswered" },
		{ "filter-output", NFT_FILTER, NFT_OUTPUT, 0, "unanswered" },
	};

	nft_table_reset(batch, PROXY_TABLE);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		nft_chain(batch, PROXY_TABLE, plain[i]);
	for (int set = 0; set < PLAN_SETS; set++)
		for (int family = 4; family <= 6; family += 2) {
			struct nft_set row = set_of((enum plan_set)set, family);

			nft_set(batch, &row);
		}
	for (int family = 4; family <= 6; family += 2) {
		lookup_rule(batch, "dispatch", PLAN_TARGETS, family, false);
		lookup_rule(batch, "unanswered", PLAN_REFUSED, family, false);
		lookup_rule(batch, "unanswered", PLAN_ADDRESSES, family, false);
	}
	for (int family = 4; family <= 6; family += 2) {
		lookup_rule(batch, "dispatch", PLAN_NODEPORTS, family, true);
		lookup_rule(batch, "unanswered", PLAN_REFUSED_NODEPORTS, family, true);
	}
	nft_rule_begin(batch, PROXY_TABLE, CHAIN_REFUSE);
	nft_match_protocol(batch, IPPROTO_TCP);
	nft_reset(batch);
	nft_rule_end(batch);
	nft_rule_begin(batch, PROXY_TABLE, CHAIN_REFUSE);
	nft_reject(batch);
	nft_rule_end(batch);
	nft_rule_begin(batch, PROXY_TABLE, CHAIN_DROP);
	nft_drop(batch);
	nft_rule_end(batch);
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		nft_base_chain(batch, PROXY_TABLE, hooks[i].name, hooks[i].type, hooks[i].hook, hooks[i].priority);
		if (hooks[i].jump != NULL)
			jump_rule(batch, hooks[i].name, hooks[i].jump);
	}
	postrouting(batch, options);
}

/* --- elements --- */

static char *entry_key(const struct plan_element *element)
{
	char ip[IP_TEXT];

	return xasprintf("%d %d %s %u %u", element->set, element->ip.family, ip_format(ip, element->ip).ptr, element->protocol,
			 element->port);
}

static struct entry *entry_of(struct rules *rules, const struct plan_element *element)
{
	AUTO_FREE char *key = entry_key(element);
	struct entry *entry = map_find(&rules->entries, str_from(key));

	if (entry == NULL) {
		entry = xcalloc(1, sizeof(*entry));
		entry->element = *element;
		entry->element.chain = NULL;
		list_init(&entry->changed);
		map_set(&rules->entries, str_from(key), entry);
	}
	if (list_empty(&entry->changed))
		list_push(&rules->changed, &entry->changed);
	return entry;
}

static void unwant(struct rules *rules, const struct plan *plan)
{
	for (size_t i = 0; plan != NULL && i < plan->elements.len; i++) {
		struct entry *entry = entry_of(rules, &plan->elements.ptr[i]);

		if (entry->wanted > 0)
			entry->wanted--;
	}
}

/* When two Services want the same address, the first keeps it. */
static void want(struct rules *rules, const struct plan *plan)
{
	for (size_t i = 0; plan != NULL && i < plan->elements.len; i++) {
		const struct plan_element *element = &plan->elements.ptr[i];
		struct entry *entry = entry_of(rules, element);

		if (entry->wanted++ != 0 || element->chain == NULL)
			continue;
		free(entry->chain);
		entry->chain = xstrdup(element->chain);
	}
}

static bool stays(const struct entry *entry)
{
	return entry->wanted != 0 && (entry->chain == entry->had ||
				      (entry->chain != NULL && entry->had != NULL && strcmp(entry->chain, entry->had) == 0));
}

static void change_element(struct nft_batch *batch, const struct entry *entry, bool add)
{
	const struct plan_element *element = &entry->element;
	struct nft_set set = set_of(element->set, element->ip.family);
	struct nft_element row = {
		.ip = element->ip, .ip2 = element->ip, .protocol = element->protocol, .port = element->port, .chain = entry->chain
	};

	if (add)
		nft_set_add(batch, &set, &row, 1);
	else
		nft_set_remove(batch, &set, &row, 1);
}

/* --- chains --- */

/* Where the clients of an endpoint are remembered; names live until the end of the transaction. */
static struct nft_set memory_of(char name[256], const struct plan_chain *chain, size_t i)
{
	char ip[IP_TEXT];

	snprintf(name, 256, "%s@%s:%u", chain->name, ip_format(ip, chain->endpoints[i].ip).ptr, chain->endpoints[i].port);
	return (struct nft_set){ PROXY_TABLE, name, NFT_KEY_SOURCE, chain->family, false, chain->affinity_ms };
}

static bool remembers(const struct plan_chain *chain, const struct nft_endpoint *endpoint, int64_t affinity_ms)
{
	if (chain == NULL || chain->affinity_ms != affinity_ms)
		return false;
	for (size_t i = 0; i < chain->n; i++)
		if (ip_eq(chain->endpoints[i].ip, endpoint->ip) && chain->endpoints[i].port == endpoint->port)
			return true;
	return false;
}

/* The memories that one has and the other has not: made, or deleted. */
static void change_memories(struct nft_batch *batch, const struct plan_chain *has, const struct plan_chain *other, bool make)
{
	char name[256];

	for (size_t i = 0; has != NULL && has->affinity_ms != 0 && i < has->n; i++) {
		struct nft_set set = memory_of(name, has, i);

		if (remembers(other, &has->endpoints[i], has->affinity_ms))
			continue;
		if (make)
			nft_set(batch, &set);
		else
			nft_set_delete(batch, &set);
	}
}

static void goto_rule(struct nft_batch *batch, const struct plan_chain *chain, struct cidr from, const char *to)
{
	nft_rule_begin(batch, PROXY_TABLE, chain->name);
	nft_match_addr(batch, NFT_SRC, from, false);
	nft_goto(batch, to);
	nft_rule_end(batch);
}

static void guard_rules(struct nft_batch *batch, const struct plan_chain *chain)
{
	for (size_t i = 0; i < chain->n_allowed; i++)
		goto_rule(batch, chain, chain->allowed[i], chain->then);
	nft_rule_begin(batch, PROXY_TABLE, chain->name);
	nft_drop(batch);
	nft_rule_end(batch);
}

static void sender_rules(struct nft_batch *batch, const struct plan_chain *chain, const struct plan_options *options)
{
	bool known = options->pod_cidr.ip.family == chain->family; /* pods can be told from others */

	if (chain->pods != NULL) {
		if (known)
			goto_rule(batch, chain, options->pod_cidr, chain->pods);
		nft_rule_begin(batch, PROXY_TABLE, chain->name);
		nft_match_iif(batch, "", false); /* from the node itself */
		nft_set_mark(batch, MARK);
		nft_goto(batch, chain->pods);
		nft_rule_end(batch);
	}
	/* Answers must come back the same way, which only pods' routes make sure of. */
	if (chain->keep_source || (!known && !chain->outside))
		return;
	nft_rule_begin(batch, PROXY_TABLE, chain->name);
	if (known)
		nft_match_addr(batch, NFT_SRC, options->pod_cidr, true);
	nft_set_mark(batch, MARK);
	nft_rule_end(batch);
}

static void affinity_rules(struct nft_batch *batch, const struct plan_chain *chain)
{
	char name[256];

	for (int known = 1; known >= 0; known--)
		for (size_t i = 0; i < chain->n; i++) {
			struct nft_set set = memory_of(name, chain, i);

			nft_rule_begin(batch, PROXY_TABLE, chain->name);
			nft_match_protocol(batch, chain->protocol);
			if (known)
				nft_lookup(batch, &set, false);
			else if (i + 1 < chain->n)
				nft_match_chance(batch, (uint32_t)(chain->n - i));
			nft_remember(batch, &set);
			nft_dnat(batch, PROXY_TABLE, &chain->endpoints[i], 1);
			nft_rule_end(batch);
		}
}

static void chain_rules(struct nft_batch *batch, const struct plan_chain *chain, const struct plan_options *options)
{
	if (chain->then != NULL) {
		guard_rules(batch, chain);
		return;
	}
	sender_rules(batch, chain, options);
	if (chain->affinity_ms != 0) {
		affinity_rules(batch, chain);
	} else if (chain->n != 0) {
		nft_rule_begin(batch, PROXY_TABLE, chain->name);
		nft_match_protocol(batch, chain->protocol);
		nft_dnat(batch, PROXY_TABLE, chain->endpoints, chain->n);
		nft_rule_end(batch);
	}
}

/* --- transactions --- */

void rules_begin(struct rules *rules, bool anew)
{
	vec_clear(&rules->pairs);
	rules->anew = anew;
	if (anew)
		forget_entries(rules);
}

void rules_change(struct rules *rules, const struct plan *old, const struct plan *now)
{
	vec_push(&rules->pairs, (struct pair){ rules->anew ? NULL : old, now });
}

static void each_pair(struct rules *rules, struct nft_batch *batch,
		      void (*fn)(struct rules *rules, struct nft_batch *batch, const struct plan *old, const struct plan *now))
{
	for (size_t i = 0; i < rules->pairs.len; i++)
		fn(rules, batch, rules->pairs.ptr[i].old, rules->pairs.ptr[i].now);
}

static void make_chains(struct rules *rules, struct nft_batch *batch, const struct plan *old, const struct plan *now)
{
	(void)rules;
	for (size_t i = 0; now != NULL && i < now->chains.len; i++)
		if (plan_find(old, now->chains.ptr[i].name) == NULL)
			nft_chain(batch, PROXY_TABLE, now->chains.ptr[i].name);
}

/* Old rules go before anything that they lead to. */
static void empty_chains(struct rules *rules, struct nft_batch *batch, const struct plan *old, const struct plan *now)
{
	(void)rules;
	for (size_t i = 0; old != NULL && i < old->chains.len; i++) {
		const struct plan_chain *chain = plan_find(now, old->chains.ptr[i].name);

		if (chain == NULL || !plan_chain_equal(chain, &old->chains.ptr[i]))
			nft_chain_flush(batch, PROXY_TABLE, old->chains.ptr[i].name);
	}
}

static void delete_chains(struct rules *rules, struct nft_batch *batch, const struct plan *old, const struct plan *now)
{
	(void)rules;
	for (size_t i = 0; old != NULL && i < old->chains.len; i++) {
		const struct plan_chain *chain = plan_find(now, old->chains.ptr[i].name);

		if (chain == NULL)
			nft_chain_delete(batch, PROXY_TABLE, old->chains.ptr[i].name);
		if (chain == NULL || !plan_chain_equal(chain, &old->chains.ptr[i]))
			change_memories(batch, &old->chains.ptr[i], chain, false);
	}
}

static void fill_chains(struct rules *rules, struct nft_batch *batch, const struct plan *old, const struct plan *now)
{
	for (size_t i = 0; now != NULL && i < now->chains.len; i++) {
		const struct plan_chain *chain = &now->chains.ptr[i], *before = plan_find(old, chain->name);

		if (before != NULL && plan_chain_equal(before, chain))
			continue;
		change_memories(batch, chain, before, true);
		chain_rules(batch, chain, rules->options);
	}
}

/* The last word on one element: it is added, stays, or is forgotten. */
static void settle(struct rules *rules, struct nft_batch *batch, struct entry *entry)
{
	list_remove(&entry->changed);
	if (entry->wanted == 0) {
		AUTO_FREE char *key = entry_key(&entry->element);

		map_take(&rules->entries, str_from(key));
		entry_free(entry);
		return;
	}
	if (!(entry->in_force && stays(entry)))
		change_element(batch, entry, true);
	entry->in_force = true;
	free(entry->had);
	entry->had = entry->chain != NULL ? xstrdup(entry->chain) : NULL;
}

struct nft_batch *rules_end(struct rules *rules)
{
	struct nft_batch *batch = nft_batch_new();
	size_t empty = nft_batch_size(batch);

	if (rules->anew)
		frame(batch, rules->options);
	for (size_t i = 0; i < rules->pairs.len; i++)
		unwant(rules, rules->pairs.ptr[i].old);
	for (size_t i = 0; i < rules->pairs.len; i++)
		want(rules, rules->pairs.ptr[i].now);
	LIST_EACH (&rules->changed, struct entry, changed, entry)
		if (entry->in_force && !stays(entry))
			change_element(batch, entry, false);
	each_pair(rules, batch, make_chains);
	each_pair(rules, batch, empty_chains);
	each_pair(rules, batch, delete_chains);
	each_pair(rules, batch, fill_chains);
	while (!list_empty(&rules->changed))
		settle(rules, batch, LIST_FIRST(&rules->changed, struct entry, changed));
	if (nft_batch_size(batch) != empty)
		return batch;
	nft_batch_free(batch);
	return NULL;
}
