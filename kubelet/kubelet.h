/*
 * The kubelet: makes one node match the pods that are bound to it, and tells the API server what it sees.
 *
 * It knows a client (the API, in process or not) and a node process (runtime/node.h), which it reaches by a socket of
 * its own; it survives the death of either. It keeps nothing on disk: labels on sandboxes and containers are its
 * memory, so a kubelet that starts finds the same pods and restarts nothing. Pods go on without it.
 *
 * What it is not: it pulls no images (what is in the store is there), it makes no routes between nodes and no rules for
 * Services (cmd, proxy), and it decides nothing about where pods run.
 *
 * Loop thread only; files are read and written on the loop where they are small, in jobs where they are not.
 *
 *	kubelet = kubelet_start(&(struct kubelet_options){ .client = client, .node_name = "demo", … });
 *	kubelet_accept(kubelet, stream);               // somebody wants GET /containerLogs/…
 *	kubelet_stop(kubelet, stopped, me);            // pods go on; kubelet is gone when stopped is called
 */
#ifndef KUBELET_KUBELET_H
#define KUBELET_KUBELET_H

#include "base/base.h"
#include "client/client.h"
#include "loop/loop.h"

struct kubelet;

struct kubelet_options {
	struct client *client; /* the kubelet acts as system:node:NAME */
	const char *node_name;
	bool control_plane;      /* its Node says so, by the label that kubeadm gives */
	const char *node_socket; /* of its node process; it is waited for, and again when it died */
	const char *node_root;   /* directory of the node on this machine */
	const char *image_dir;   /* image store */
	struct ip node_ip;
	struct ip dns_ip;           /* 10.96.0.10 */
	const char *cluster_domain; /* "cluster.local" */
	int netns_fd;               /* network namespace of the node, borrowed */
	int rtnl_fd;                /* NETLINK_ROUTE socket inside it, borrowed */
};

/* The options' text is copied. */
struct kubelet *kubelet_start(const struct kubelet_options *options);
/* Ends what is under way, undoing half-made things; pods go on. stopped comes later, once. */
void kubelet_stop(struct kubelet *kubelet, void (*stopped)(void *arg), void *arg);
/* A connection to its HTTP server, which it takes: GET /containerLogs/NS/POD/CONTAINER?follow&previous&tailLines&
 * limitBytes&timestamps&sinceSeconds&sinceTime, /pods, /healthz. */
void kubelet_accept(struct kubelet *kubelet, struct stream *stream);
/* The node's uplink is another link now, and what had an address of it as source went with the old one. */
void kubelet_uplink_anew(struct kubelet *kubelet);
/* A TCP connection that starts in the node, where the addresses of pods and Services are reachable. connected comes once,
 * later; err reads as Go's, for users. */
void kubelet_dial(struct kubelet *kubelet, struct ip ip, uint16_t port,
		  void (*connected)(void *to, struct error *err, struct stream *stream), void *to);
bool kubelet_ready(const struct kubelet *kubelet); /* the Node was posted Ready */

#endif
