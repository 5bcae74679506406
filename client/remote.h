/*
 * The transport of client.h to an API server somewhere else: HTTP over whatever the http_client was made with (TLS and a
 * client certificate, for an agent). Who asks is who the certificate names; an actor becomes the user agent, so that
 * managedFields tell who wrote. Loop thread only.
 *
 *	remote = remote_new(http);                        // borrows it
 *	client = client_new(remote_transport(remote), "system:node:n1");
 *	…
 *	client_free(client);
 *	remote_free(remote);                              // ends what is under way: no callback comes
 */
#ifndef CLIENT_REMOTE_H
#define CLIENT_REMOTE_H

#include "api/call.h"
#include "http/http.h"

struct remote;

struct remote *remote_new(struct http_client *http);
void remote_free(struct remote *remote); /* NULL is fine */
const struct api_transport *remote_transport(struct remote *remote);

#endif
