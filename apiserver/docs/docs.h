/* Everything served that is no resource: discovery, OpenAPI, version, health, metrics, debug. Private to apiserver. */
#ifndef APISERVER_DOCS_DOCS_H
#define APISERVER_DOCS_DOCS_H

#include "apiserver/server.h"

void docs_handle(struct apiserver *server, struct http_request *http);

/* GET /debug/monokube/revisions?resource=pods&namespace=default&name=web: who wrote each revision, because of which. */
void debug_revisions(struct apiserver *server, struct http_request *http);

/* GET /debug/monokube/turns: the turns of the loop that took longest, and in what. */
void debug_turns(struct apiserver *server, struct http_request *http);

#endif
