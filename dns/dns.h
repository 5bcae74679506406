/*
 * Cluster DNS: one question in, one answer out (answer.h, pure), from Services, EndpointSlices and Pods; everything else is
 * forwarded to the machine's resolvers. Source: kubernetes/dns, "Kubernetes DNS-Based Service Discovery".
 *
 * It serves any number of sockets that node processes handed out. Knows a client; loop thread only.
 *
 *	dns = dns_start(&(struct dns_options){ .client = client, .domain = "cluster.local" });
 *	err = dns_serve(dns, udp_fd, tcp_fd, NULL);
 */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include "client/client.h"

struct dns_options {
	struct client *client;
	const char *domain;      /* "cluster.local" */
	struct ip dns_ip;        /* its own cluster address, for loop detection */
	const char *resolv_conf; /* where the machine's resolvers stand; NULL: forward nothing */
};

struct dns;
struct dns_listener;

struct dns *dns_start(const struct dns_options *options);
/* Bound, not yet listening sockets; takes both, also on error. The DNS owns the listener; out may be NULL. */
struct error *dns_serve(struct dns *dns, int udp_fd, int tcp_fd, struct dns_listener **out) MUST_CHECK;
/* Closes both sockets and every connection that came over them; what was asked gets no answer. NULL is fine. */
void dns_listener_close(struct dns_listener *listener);
void dns_stop(struct dns *dns); /* NULL is fine */

#endif
