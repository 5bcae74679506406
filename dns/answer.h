/*
 * One DNS question in, one answer out: the records of Kubernetes' specification 1.1.0, made from Services and EndpointSlices
 * at the time of asking. Pure; what exists is seen through a struct dns_view, and nothing is remembered. Private to dns.
 *
 * Any bytes may come in: what is no query gets no answer, what is malformed an answer that says so.
 */
#ifndef DNS_ANSWER_H
#define DNS_ANSWER_H

#include "base/base.h"
#include "json/json.h"

typedef void dns_each(void *to, const struct json *tree);

struct dns_view {
	struct str domain; /* "cluster.local", lower case */
	struct ip dns_ip;
	uint32_t serial;
	void *arg;
	bool (*has_namespace)(void *arg, struct str ns);
	const struct json *(*service)(void *arg, struct str ns, struct str name);
	void (*slices)(void *arg, struct str ns, struct str service, dns_each *fn, void *to);
	void (*services_of_ip)(void *arg, struct ip ip, dns_each *fn, void *to);
	void (*slices_of_ip)(void *arg, struct ip ip, dns_each *fn, void *to);
};

enum dns_verdict {
	DNS_ANSWERED,
	DNS_FORWARD, /* not ours: others may know; out is untouched */
	DNS_CHASE,   /* out leads to a name outside (ExternalName), which *chase asks for */
	DNS_IGNORE,  /* no query: no answer */
};

enum dns_rcode { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };

/* Appends one message to out. chase: a query of our own, id 0, appended on DNS_CHASE. */
enum dns_verdict dns_answer(const struct dns_view *view, struct str query, bool tcp, struct buf *out, struct buf *chase);

/* Adds what others answered about the name outside to a message that dns_answer() made. False: it makes no sense. */
bool dns_add_chased(struct buf *message, struct str query, bool tcp, struct str answer);
/* An answer without records that only says why; nothing when the query is none. */
void dns_refuse(struct str query, enum dns_rcode rcode, struct buf *out);
/* The answer is about what the query asks; ids are not looked at. */
bool dns_belongs(struct str query, struct str answer);

#endif
