/* A list and a watch in one, kept as a map; objects are shared with the API server. */
#include <stdio.h>
#include <stdlib.h>

#include "api/custom.h"
#include "client/private.h"

#define RETRY      (NS_PER_S)
#define RETRY_GONE (10 * NS_PER_S)

struct listener {
	struct list link;
	struct informer_events events;
	void *arg;
};

struct index {
	informer_keys *keys;
	struct map lists; /* key to struct object_list */
};

struct informer {
	struct list link;
	struct client *client;
	struct informer_options options;
	void *watch;
	struct map objects; /* "ns/name" to struct object */
	struct map fresh;   /* while a new list comes in: what it named */
	bool relisting;
	bool synced;
	uint64_t revision;
	struct list listeners;
	struct list waits;
	VEC(struct index) indices;
	struct loop_timer retry;
	char *text[3]; /* owned copies of the options' text */
};

static void start_watch(struct informer *informer);

static struct str key_of(char **owned, struct object *object)
{
	struct str ns = object_namespace(object), name = object_name(object);

	if (ns.len == 0) {
		*owned = NULL;
		return name;
	}
	*owned = xasprintf("%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
	return str_from(*owned);
}

/* --- indices --- */

static void emit_add(void *to, struct str key);
static void emit_remove(void *to, struct str key);

struct emit {
	struct index *index;
	struct object *object;
};

static void emit_add(void *to, struct str key)
{
	struct emit *emit = to;
	struct object_list *list = map_find(&emit->index->lists, key);

	if (list == NULL) {
		list = xcalloc(1, sizeof(*list));
		map_set(&emit->index->lists, key, list);
	}
	list->ptr = xrealloc(list->ptr, (list->len + 1) * sizeof(struct object *));
	list->ptr[list->len++] = emit->object;
}

static void emit_remove(void *to, struct str key)
{
	struct emit *emit = to;
	struct object_list *list = map_find(&emit->index->lists, key);

	for (size_t i = 0; list != NULL && i < list->len; i++) {
		if (list->ptr[i] != emit->object)
			continue;
		memmove(&list->ptr[i], &list->ptr[i + 1], (list->len - i - 1) * sizeof(struct object *));
		list->len--;
		break;
	}
	if (list != NULL && list->len == 0) {
		map_take(&emit->index->lists, key);
		free(list->ptr);
		free(list);
	}
}

static void index_object(struct informer *informer, struct object *object, void (*emit)(void *to, struct str key))
{
	for (size_t i = 0; i < informer->indices.len; i++) {
		struct emit to = { &informer->indices.ptr[i], object };

		informer->indices.ptr[i].keys(object, emit, &to);
	}
}

int informer_add_index(struct informer *informer, informer_keys *keys)
{
	struct index *index;

	for (size_t i = 0; i < informer->indices.len; i++)
		if (informer->indices.ptr[i].keys == keys)
			return (int)i;
	index = vec_add(&informer->indices);
	index->keys = keys;
	INFORMER_EACH (informer, object) {
		struct emit to = { index, object };

		keys(object, emit_add, &to);
	}
	return (int)informer->indices.len - 1;
}

struct object_list informer_lookup(const struct informer *informer, int index, struct str key)
{
	struct object_list *list = map_find(&informer->indices.ptr[index].lists, key);

	return list != NULL ? *list : (struct object_list){ NULL, 0 };
}

void index_by_owner(struct object *object, void (*emit)(void *to, struct str key), void *to)
{
	const struct json *owner = controller_of(object_tree(object));

	if (owner != NULL)
		emit(to, json_get_str(owner, "uid"));
}

void index_by_namespace(struct object *object, void (*emit)(void *to, struct str key), void *to)
{
	emit(to, object_namespace(object));
}

void index_by_node(struct object *object, void (*emit)(void *to, struct str key), void *to)
{
	struct str node = json_path_str(object_tree(object), "spec.nodeName");

	if (node.len != 0)
		emit(to, node);
}

/* --- changes --- */

static void tell(struct informer *informer, struct object *old, struct object *now, uint64_t revision)
{
	LIST_EACH (&informer->listeners, struct listener, link, listener)
		listener->events.changed(listener->arg, old, now, revision);
}

static void put(struct informer *informer, struct object *object, uint64_t revision)
{
	char *owned;
	struct str key = key_of(&owned, object);
	struct object *old;

	object_ref(object);
	old = map_find(&informer->objects, key);
	if (old != NULL)
		index_object(informer, old, emit_remove);
	map_set(&informer->objects, key, object);
	index_object(informer, object, emit_add);
	if (informer->relisting)
		map_set(&informer->fresh, key, informer);
	/* After a new list most are what we had. */
	if (old == NULL || object_revision(old) != object_revision(object))
		tell(informer, old, object, revision);
	object_unref(old);
	free(owned);
}

static void drop(struct informer *informer, struct str key, struct object *last, uint64_t revision)
{
	struct object *old = map_take(&informer->objects, key);

	if (old == NULL)
		return;
	index_object(informer, old, emit_remove);
	tell(informer, last != NULL ? last : old, NULL, revision);
	object_unref(old);
}

static void drop_object(struct informer *informer, struct object *object, uint64_t revision)
{
	char *owned;

	drop(informer, key_of(&owned, object), object, revision);
	free(owned);
}

static void wake_waits(struct informer *informer)
{
	LIST_EACH (&informer->waits, struct informer_wait, link, wait) {
		if (wait->revision > informer->revision)
			continue;
		list_remove(&wait->link);
		wait->fn(wait->arg);
	}
}

/* What the new list did not name is gone. */
static void finish_list(struct informer *informer)
{
	bool first = !informer->synced;

	if (informer->relisting)
		MAP_EACH (&informer->objects, it)
			if (map_find(&informer->fresh, it->key) == NULL)
				drop(informer, it->key, NULL, informer->revision);
	map_fini(&informer->fresh);
	informer->relisting = false;
	informer->synced = true;
	if (first)
		LIST_EACH (&informer->listeners, struct listener, link, listener)
			if (listener->events.synced != NULL)
				listener->events.synced(listener->arg);
}

static void on_event(void *arg, const struct api_event *event)
{
	struct informer *informer = arg;

	/* Initial objects come in the order of their keys, not of their revisions. */
	if (informer->synced && !informer->relisting && event->revision > informer->revision)
		informer->revision = event->revision;
	switch (event->type) {
	case API_ADDED:
	case API_MODIFIED:
		put(informer, event->object, event->revision);
		break;
	case API_DELETED:
		drop_object(informer, event->object, event->revision);
		break;
	case API_SYNCED:
		informer->revision = event->revision;
		finish_list(informer);
		break;
	case API_BOOKMARK:
		break;
	}
	wake_waits(informer);
}

static void on_retry(void *arg)
{
	start_watch(arg);
}

static void on_ended(void *arg, struct error *err)
{
	struct informer *informer = arg;
	const struct api_transport *transport = informer->client->shared->transport;

	log_consume(LOG_INFO, err, "watch ended, listing again");
	transport->watch_close(transport->arg, informer->watch);
	informer->watch = NULL;
	loop_timer_start(&informer->retry, RETRY, on_retry, informer);
}

/* The kind may have been described anew, or be no more: then everything is gone, until it comes back. */
static bool has_kind(struct informer *informer)
{
	const struct kind *next;

	if (!kind_is_gone(informer->options.kind))
		return true;
	next = kind_successor(informer->options.kind);
	if (next != NULL) {
		kind_ref(next);
		kind_unref(informer->options.kind);
		informer->options.kind = next;
		return true;
	}
	informer->relisting = informer->synced;
	finish_list(informer);
	loop_timer_start(&informer->retry, RETRY_GONE, on_retry, informer);
	return false;
}

static void start_watch(struct informer *informer)
{
	const struct api_transport *transport = informer->client->shared->transport;

	/* What an earlier list named before it was cut off says nothing: it may be gone by now. */
	map_fini(&informer->fresh);
	if (!has_kind(informer))
		return;
	informer->relisting = informer->synced || informer->objects.len != 0;
	informer->watch = transport->watch(transport->arg, &(struct api_watch){
								   .kind = informer->options.kind,
								   .ns = informer->options.ns,
								   .labels = informer->options.labels,
								   .fields = informer->options.fields,
								   .actor = str_from(informer->client->actor),
								   .event = on_event,
								   .ended = on_ended,
								   .arg = informer,
							   });
}

/* --- the public face --- */

static struct str own(char **slot, struct str text)
{
	*slot = xmemdup(text.ptr, text.len);
	return str_of(*slot, text.len);
}

struct informer *client_informer_of(struct client *client, const struct informer_options *options)
{
	struct informer *informer;

	LIST_EACH (&client->shared->informers, struct informer, link, known)
		if (known->options.kind == options->kind && str_eq(known->options.ns, options->ns) &&
		    str_eq(known->options.labels, options->labels) && str_eq(known->options.fields, options->fields))
			return known;
	informer = xcalloc(1, sizeof(*informer));
	informer->client = client;
	informer->options.kind = kind_ref(options->kind);
	informer->options.ns = own(&informer->text[0], options->ns);
	informer->options.labels = own(&informer->text[1], options->labels);
	informer->options.fields = own(&informer->text[2], options->fields);
	informer->retry.weak = true;
	list_init(&informer->listeners);
	list_init(&informer->waits);
	list_push(&client->shared->informers, &informer->link);
	start_watch(informer);
	return informer;
}

struct informer *client_informer(struct client *client, const struct kind *kind)
{
	return client_informer_of(client, &(struct informer_options){ .kind = kind });
}

void informer_listen(struct informer *informer, const struct informer_events *events, void *arg)
{
	struct listener *listener = xcalloc(1, sizeof(*listener));

	listener->events = *events;
	listener->arg = arg;
	list_push(&informer->listeners, &listener->link);
	INFORMER_EACH (informer, object)
		events->changed(arg, NULL, object, object_revision(object));
	if (informer->synced && events->synced != NULL)
		events->synced(arg);
}

void informer_unlisten(struct informer *informer, void *arg)
{
	LIST_EACH (&informer->listeners, struct listener, link, listener) {
		if (listener->arg != arg)
			continue;
		list_remove(&listener->link);
		free(listener);
	}
}

const struct kind *informer_kind(const struct informer *informer)
{
	return informer->options.kind;
}

bool informer_synced(const struct informer *informer)
{
	return informer->synced;
}

uint64_t informer_revision(const struct informer *informer)
{
	return informer->revision;
}

struct object *informer_find(struct informer *informer, struct str ns, struct str name)
{
	char text[600];
	int n = ns.len != 0 ? snprintf(text, sizeof(text), "%.*s/%.*s", STR_ARG(ns), STR_ARG(name))
			    : snprintf(text, sizeof(text), "%.*s", STR_ARG(name));

	return n > 0 && (size_t)n < sizeof(text) ? map_find(&informer->objects, str_from(text)) : NULL;
}

struct object *informer_find_key(struct informer *informer, struct str key)
{
	return map_find(&informer->objects, key);
}

size_t informer_len(const struct informer *informer)
{
	return informer->objects.len;
}

struct map_item *informer_first(const struct informer *informer)
{
	return map_first(&informer->objects);
}

struct map_item *informer_next(const struct informer *informer, const struct map_item *item)
{
	return map_next(&informer->objects, item);
}

bool informer_wait_for(struct client *client, const struct kind *kind, uint64_t revision, struct informer_wait *wait)
{
	LIST_EACH (&client->shared->informers, struct informer, link, informer) {
		const struct informer_options *options = &informer->options;

		if (options->kind != kind || options->ns.len != 0 || options->labels.len != 0 || options->fields.len != 0)
			continue;
		if (informer->revision >= revision)
			return false;
		wait->revision = revision;
		list_push(&informer->waits, &wait->link);
		return true;
	}
	return false;
}

static void index_fini(struct index *index)
{
	MAP_EACH (&index->lists, it) {
		struct object_list *list = it->value;

		free(list->ptr);
		free(list);
	}
	map_fini(&index->lists);
}

void informers_free(struct shared *shared)
{
	LIST_EACH (&shared->informers, struct informer, link, informer) {
		loop_timer_stop(&informer->retry);
		if (informer->watch != NULL)
			shared->transport->watch_close(shared->transport->arg, informer->watch);
		LIST_EACH (&informer->listeners, struct listener, link, listener)
			free(listener);
		MAP_EACH (&informer->objects, it)
			object_unref(it->value);
		map_fini(&informer->objects);
		map_fini(&informer->fresh);
		for (size_t i = 0; i < informer->indices.len; i++)
			index_fini(&informer->indices.ptr[i]);
		vec_fini(&informer->indices);
		for (int i = 0; i < 3; i++)
			free(informer->text[i]);
		kind_unref(informer->options.kind);
		free(informer);
	}
	list_init(&shared->informers);
}
