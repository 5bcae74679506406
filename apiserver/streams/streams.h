/* Requests that are carried on to a kubelet: logs, exec, attach, port-forward. */
#ifndef APISERVER_STREAMS_STREAMS_H
#define APISERVER_STREAMS_STREAMS_H

#include "apiserver/server.h"

bool streams_wants(const struct request *req);
void streams_start(struct request *req); /* takes the request */
/* Joins the client to the kubelet by an upgrade; takes the request. */
void upgrade_start(struct request *req, struct http_client *client, struct str target);

#endif
