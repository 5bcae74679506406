/* Requests that are carried on to a kubelet: logs now; exec, attach, port-forward and proxy come on the same road. */
#ifndef APISERVER_STREAMS_STREAMS_H
#define APISERVER_STREAMS_STREAMS_H

#include "apiserver/server.h"

bool streams_wants(const struct request *req);
void streams_start(struct request *req); /* takes the request */

#endif
