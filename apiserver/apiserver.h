/*
 * The API server: one request task for every verb of every kind, over the store (architecture.md §2).
 *
 * It is asked in two ways, and both run the same steps: by HTTP (apiserver_handle() is a handler for http_server) and in
 * process (apiserver_transport(), for the components of this program). It owns no socket and no thread; loop thread only.
 *
 * Not here: what makes things happen (controllers), who listens where (cmd). Objects and bytes handed out are shared and
 * immutable.
 *
 *	err = apiserver_new(&(struct apiserver_options){ .store = store, .token_key = key, … }, &server);
 *	http_server_new(&(struct http_server_options){ .tls = tls, .handle = apiserver_handle, .arg = server });
 *	client = client_new(apiserver_transport(server));
 */
#ifndef APISERVER_APISERVER_H
#define APISERVER_APISERVER_H

#include "api/call.h"
#include "api/custom.h"
#include "base/base.h"
#include "http/http.h"
#include "store/store.h"

struct apiserver;

struct apiserver_options {
	struct store *store;             /* borrowed */
	const struct pki_key *token_key; /* signs and verifies service account tokens; borrowed */
	const char *issuer;              /* of tokens: "https://kubernetes.default.svc.cluster.local" */
	struct cidr service_cidrs[2];    /* of the ServiceCIDR "kubernetes", made at first start */
	size_t n_service_cidrs;
	struct ip endpoint; /* where pods find this server: the Endpoints of Service "kubernetes" */
	uint16_t endpoint_port;
	struct ip dns; /* of the Service kube-dns, for which the nodes answer; family 0: there is none */
	/* A client to the kubelet of a node, borrowed; NULL when that node is not known. */
	struct http_client *(*kubelet)(void *arg, struct str node);
	void *kubelet_arg;
	/* A TCP connection into the pods' network: connected comes once, later. False: there is no way, it does not come. */
	bool (*dial)(void *arg, struct ip ip, uint16_t port, void (*connected)(void *to, struct error *err, struct stream *stream),
		     void *to);
	void *dial_arg;
};

struct error *apiserver_new(const struct apiserver_options *options, struct apiserver **out) MUST_CHECK;
/* Makes what a fresh cluster has (namespaces, the ServiceCIDR, the Service "kubernetes", …); ready(arg, err) once. */
void apiserver_bootstrap(struct apiserver *server, void (*ready)(void *arg, struct error *err), void *arg);
void apiserver_free(struct apiserver *server); /* no request may be running */

/* For store_options.cool: drops the decoded form of what nobody uses. */
void apiserver_cool(struct store_value *value);
void apiserver_handle(void *server, struct http_request *request);
/* Valid as long as the server. Calls made here are trusted; each names its actor. */
const struct api_transport *apiserver_transport(struct apiserver *server);

/* A kind that is described at run time (api/custom.h) is served from here on; from there on it is not: its watches end, its
 * objects cannot be reached. Takes no reference but the registry's. */
void apiserver_register(struct apiserver *server, struct custom *custom);
void apiserver_unregister(struct apiserver *server, struct custom *custom);

/* Requests and watches under way, for a graceful end. */
size_t apiserver_running(const struct apiserver *server);
/* Ends all watches, with the event clients expect, so that they come back to the next server. */
void apiserver_end_watches(struct apiserver *server);

#endif
