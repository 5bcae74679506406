#include "client/private.h"

#include <stdlib.h>

struct client *client_new(const struct api_transport *transport, const char *actor)
{
	struct shared *shared = xcalloc(1, sizeof(*shared));
	struct client *client = xcalloc(1, sizeof(*client));

	shared->transport = transport;
	list_init(&shared->informers);
	list_init(&shared->clients);
	list_init(&shared->held);
	client->shared = shared;
	client->actor = xstrdup(actor);
	client->origin = true;
	list_push(&shared->clients, &client->link);
	return client;
}

struct client *client_as(struct client *client, const char *actor)
{
	struct client *other = xcalloc(1, sizeof(*other));

	other->shared = client->shared;
	other->actor = xstrdup(actor);
	list_push(&client->shared->clients, &other->link);
	return other;
}

void client_free(struct client *client)
{
	struct shared *shared;

	if (client == NULL || !client->origin)
		return;
	shared = client->shared;
	informers_free(shared);
	events_free(shared);
	LIST_EACH (&shared->clients, struct client, link, each) {
		free(each->actor);
		free(each);
	}
	free(shared);
}

static void only_log(void *arg, struct api_reply *reply)
{
	(void)arg;
	log_consume(LOG_WARN, reply->err, "call failed");
	reply->err = NULL;
}

void *client_call(struct client *client, const struct api_call *call)
{
	struct api_call named = *call;

	if (named.actor.len == 0)
		named.actor = str_from(client->actor);
	if (named.done == NULL)
		named.done = only_log;
	return client->shared->transport->call(client->shared->transport->arg, &named);
}

void client_cancel(struct client *client, void *call)
{
	client->shared->transport->cancel(client->shared->transport->arg, call);
}
