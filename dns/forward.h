/*
 * Questions that others must answer: each is sent to the machine's resolvers, one after the other, over the transport that
 * the client chose. Every question over UDP has a socket of its own, so its port cannot be guessed. Private to dns.
 */
#ifndef DNS_FORWARD_H
#define DNS_FORWARD_H

#include "loop/loop.h"

#define FORWARD_MAX       512            /* outstanding at a time */
#define FORWARD_WAIT      (2 * NS_PER_S) /* for one resolver */
#define FORWARD_RESOLVERS 3              /* resolv.conf(5): MAXNS */

struct forwarder;

struct forwarder_options {
	const char *resolv_conf; /* NULL: there are no resolvers; read again when it changes */
	struct ip own;           /* our own address: never asked */
	uint16_t port;           /* 53 */
};

struct forwarder *forwarder_new(const struct forwarder_options *options);
void forwarder_free(struct forwarder *forwarder); /* what is outstanding is canceled */

struct forward;

/* done comes later, once: with the answer (its id is that of the query), or empty when nobody answered. NULL: there is
 * nobody to ask, or too much is outstanding; done does not come. */
struct forward *forward_ask(struct forwarder *forwarder, struct str query, bool tcp, void (*done)(void *arg, struct str answer),
			    void *arg);
void forward_cancel(struct forward *forward); /* NULL is fine */

/* "nameserver" lines; returns how many. Addresses equal to own are left out. */
size_t resolv_conf_read(struct str text, struct ip own, struct ip out[FORWARD_RESOLVERS]);

#endif
