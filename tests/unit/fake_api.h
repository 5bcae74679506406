/*
 * An API server for tests of components: it only serves watches, from objects that the test puts in. Calls are refused.
 *
 *	struct fake_api *api = fake_api_new();
 *	fake_api_put(api, "{\"kind\":\"Service\",\"apiVersion\":\"v1\",…}");
 *	client = client_new(fake_api_transport(api), "test");
 */
#ifndef TESTS_UNIT_FAKE_API_H
#define TESTS_UNIT_FAKE_API_H

#include "api/call.h"

struct fake_api;

struct fake_api *fake_api_new(void);
void fake_api_free(struct fake_api *api); /* after the client */
const struct api_transport *fake_api_transport(struct fake_api *api);
void fake_api_put(struct fake_api *api, const char *text); /* JSON; single quotes stand for double ones */
void fake_api_delete(struct fake_api *api, const char *kind, const char *ns, const char *name);

#endif
