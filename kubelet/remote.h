/*
 * The channels of a remote command to its client, over WebSocket or SPDY; who uses them sees no difference. Private to kubelet.
 * Source of the protocols: k8s.io/kubelet/pkg/cri/streaming/remotecommand.
 *
 *	WebSocket  messages whose first byte names a channel; 255, N: the client will send no more on channel N (v5)
 *	SPDY       a stream for each channel, named by its header "streamtype"; a half that ends is what it says
 *
 * remote_accept() → ready() → data(), ended() … → remote_close(), or closed(), after which it is gone. No callback comes from
 * inside a call.
 */
#ifndef KUBELET_REMOTE_H
#define KUBELET_REMOTE_H

#include "http/http.h"

enum channel { CHANNEL_IN, CHANNEL_OUT, CHANNEL_ERR, CHANNEL_STATUS, CHANNEL_RESIZE, N_CHANNELS };

struct remote;

struct remote_events {
	void (*ready)(void *arg); /* all channels are there */
	void (*data)(void *arg, enum channel channel, struct str data);
	void (*ended)(void *arg, enum channel channel); /* the client will send no more on it */
	void (*drained)(void *arg);
	void (*closed)(void *arg); /* the client is gone, and so is the remote */
};

struct remote_options {
	bool wants[N_CHANNELS]; /* which channels there are */
	const struct remote_events *events;
	void *arg;
};

/* Answers the request: with 101 and *out, or with a refusal that lets the client try what else it knows, and NULL. */
void remote_accept(struct http_request *request, const struct remote_options *options, struct remote **out);
void remote_send(struct remote *remote, enum channel channel, struct str data);
bool remote_full(const struct remote *remote); /* stop sending until drained() */
void remote_pause(struct remote *remote);      /* nothing from the client until remote_resume() */
void remote_resume(struct remote *remote);
bool remote_wants_status(const struct remote *remote); /* a Status in JSON at the end; else text, when it failed */
void remote_close(struct remote *remote);              /* after what is pending */

#endif
