#include "tests/unit/fake_api.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "loop/loop.h"
#include "tests/unit/tap.h"

struct watch {
	struct list link;
	struct fake_api *api;
	struct api_watch watch;
	struct loop_call call;
};

struct fake_api {
	struct api_transport transport;
	struct map objects; /* "Kind ns/name" to struct object */
	struct list watches;
	uint64_t revision;
};

static void tell(struct watch *watch, enum api_event_type type, struct object *object)
{
	if (object == NULL || object_kind(object) == watch->watch.kind)
		watch->watch.event(watch->watch.arg, &(struct api_event){ type, object, watch->api->revision });
}

static void begin(void *arg)
{
	struct watch *watch = arg;

	MAP_EACH (&watch->api->objects, it)
		tell(watch, API_ADDED, it->value);
	tell(watch, API_SYNCED, NULL);
}

static void *start_watch(void *transport, const struct api_watch *options)
{
	struct fake_api *api = transport;
	struct watch *watch = xcalloc(1, sizeof(*watch));

	watch->api = api;
	watch->watch = *options;
	list_push(&api->watches, &watch->link);
	loop_call_soon(&watch->call, begin, watch);
	return watch;
}

static void close_watch(void *transport, void *handle)
{
	struct watch *watch = handle;

	(void)transport;
	loop_call_cancel(&watch->call);
	list_remove(&watch->link);
	free(watch);
}

static void *refuse_call(void *transport, const struct api_call *call)
{
	(void)transport;
	(void)call;
	tap_fail(__FILE__, __LINE__, "a call that nobody expects");
}

static void cancel_call(void *transport, void *call)
{
	(void)transport;
	(void)call;
}

struct fake_api *fake_api_new(void)
{
	struct fake_api *api = xcalloc(1, sizeof(*api));

	api->transport = (struct api_transport){ refuse_call, cancel_call, start_watch, close_watch, api };
	list_init(&api->watches);
	api->revision = 1;
	return api;
}

void fake_api_free(struct fake_api *api)
{
	MAP_EACH (&api->objects, it)
		object_unref(it->value);
	map_fini(&api->objects);
	free(api);
}

const struct api_transport *fake_api_transport(struct fake_api *api)
{
	return &api->transport;
}

static void tell_all(struct fake_api *api, enum api_event_type type, struct object *object)
{
	LIST_EACH (&api->watches, struct watch, link, watch)
		if (!watch->call.queued)
			tell(watch, type, object);
}

void fake_api_put(struct fake_api *api, const char *text)
{
	struct arena *arena = arena_new();
	char *copy = arena_strdup(arena, text), key[700];
	const struct json *tree;
	struct object *object, *old;

	for (char *c = copy; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	CHECK_OK(json_read(arena, str_from(copy), NULL, &tree));
	object = object_new(kind_must(str_cstr(arena, json_get_str(tree, "apiVersion")),
				      str_cstr(arena, json_get_str(tree, "kind"))),
			    arena, tree, ++api->revision);
	snprintf(key, sizeof(key), "%.*s %.*s/%.*s", STR_ARG(json_get_str(tree, "kind")), STR_ARG(object_namespace(object)),
		 STR_ARG(object_name(object)));
	old = map_set(&api->objects, str_from(key), object);
	tell_all(api, old != NULL ? API_MODIFIED : API_ADDED, object);
	object_unref(old);
}

void fake_api_delete(struct fake_api *api, const char *kind, const char *ns, const char *name)
{
	char key[700];
	struct object *object;

	snprintf(key, sizeof(key), "%s %s/%s", kind, ns, name);
	object = map_take(&api->objects, str_from(key));
	CHECK(object != NULL);
	api->revision++;
	tell_all(api, API_DELETED, object);
	object_unref(object);
}
