/* Requests that are carried on: to a kubelet (logs, exec, attach, port-forward) or into the pods' network (proxy). */
#ifndef APISERVER_STREAMS_STREAMS_H
#define APISERVER_STREAMS_STREAMS_H

#include "apiserver/server.h"

bool streams_wants(const struct request *req);
void streams_start(struct request *req); /* takes the request */
/* Joins the client to whom the client speaks for by an upgrade: method, target and headers are given. over() comes once,
 * maybe from inside a call of the client, and ends the request; with an err that it takes nothing was answered yet. */
void upgrade_start(struct request *req, struct http_client *client, const struct http_call_options *what,
		   void (*over)(struct request *req, void *arg, struct error *err), void *arg);
struct http_headers upgrade_headers(struct arena *arena, const struct http_headers *from); /* those that an upgrade needs */
/* pods/proxy, services/proxy, nodes/proxy; takes the request. */
void relay_start(struct request *req);
/* An answer of a kubelet as plain text, at the client's pace; takes the request. */
void relay_log(struct request *req, struct http_client *client, struct str target);

#endif
