/*
 * The controllers: each is one file and one row of the registry. A controller knows a client, keeps no state but its
 * informers and queue, and writes nothing but API objects; so it may be killed between any two writes. Loop thread only.
 *
 * What each does is upstream's controller of the same name (k8s.io/kubernetes/pkg/controller), and so are its events,
 * reasons and messages.
 *
 *	controllers = controllers_start(&(struct controllers_options){ .client = client, .ca = pem, … });
 *	controllers_stop(controllers);
 */
#ifndef CONTROLLERS_CONTROLLERS_H
#define CONTROLLERS_CONTROLLERS_H

#include "base/base.h"
#include "client/client.h"

struct controllers_options {
	struct client *client;
	struct str ca;              /* PEM that pods shall trust: ConfigMap kube-root-ca.crt */
	struct cidr pod_cidr;       /* of all nodes together; each gets a /24 (v6: /64) of it */
	struct cidr load_balancers; /* addresses for Services of that type; bits 0 and family 0: none */
	int64_t node_grace;         /* ns without a lease renewal until a node counts as lost; 0: 40 s */
};

struct controllers;

struct controllers *controllers_start(const struct controllers_options *options);
void controllers_stop(struct controllers *controllers);

#endif
