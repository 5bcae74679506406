/* Events: what happened to an object, told once and then counted. */
#include <stdio.h>
#include <stdlib.h>

#include "client/private.h"

#define REMEMBERED   4096
#define FORGET_AFTER (600 * NS_PER_S) /* client-go: aggregation window */

#define MOMENT (20 * NS_PER_MS)

struct held {
	struct list link;
	struct client *client;
	struct arena *arena; /* of the call */
	struct api_call call;
};

struct told {
	char *ns, *name; /* of the Event */
	int64_t count;
	int64_t last; /* mono */
};

static void told_free(struct told *told)
{
	free(told->ns);
	free(told->name);
	free(told);
}

static void held_free(struct held *held)
{
	list_remove(&held->link);
	arena_free(held->arena);
	free(held);
}

void events_free(struct shared *shared)
{
	loop_timer_stop(&shared->tell);
	LIST_EACH (&shared->held, struct held, link, held)
		held_free(held);
	MAP_EACH (&shared->events, it)
		told_free(it->value);
	map_fini(&shared->events);
}

static void forget_old(struct shared *shared)
{
	int64_t now = clock_mono();

	MAP_EACH (&shared->events, it) {
		struct told *told = it->value;

		if (now - told->last <= FORGET_AFTER && shared->events.len < REMEMBERED)
			break; /* in order of first telling */
		map_take(&shared->events, it->key);
		told_free(told);
	}
}

static const struct json *text_of(struct arena *arena, const char *text)
{
	return text != NULL ? json_string_copy(arena, str_from(text)) : NULL;
}

static const struct json *reference(struct arena *arena, const struct client_event *event)
{
	const struct json *tree;

	if (event->ref != NULL)
		return json_copy(arena, event->ref);
	object_keep(arena, event->about);
	tree = object_tree(event->about);
	return JSON_OBJECT_OF(arena, { "kind", json_get(tree, "kind") }, { "namespace", json_path(tree, "metadata.namespace") },
			      { "name", json_path(tree, "metadata.name") }, { "uid", json_path(tree, "metadata.uid") },
			      { "apiVersion", json_get(tree, "apiVersion") },
			      { "resourceVersion", json_path(tree, "metadata.resourceVersion") },
			      { "fieldPath", text_of(arena, event->field_path) });
}

static void tell(void *arg)
{
	struct shared *shared = arg;

	LIST_EACH (&shared->held, struct held, link, held) {
		client_call(held->client, &held->call);
		held_free(held);
	}
}

/* Takes the arena, which has everything that the call needs. */
static void hold(struct client *client, struct arena *arena, const struct api_call *call)
{
	struct held *held = xcalloc(1, sizeof(*held));

	*held = (struct held){ .client = client, .arena = arena, .call = *call };
	list_push(&client->shared->held, &held->link);
	if (!loop_timer_running(&client->shared->tell))
		loop_timer_start(&client->shared->tell, MOMENT, tell, client->shared);
}

/* The count went up: only that is written. */
static void count_up(struct client *client, struct arena *arena, struct told *told, uint64_t cause)
{
	told->count++;
	told->last = clock_mono();
	hold(client, arena,
	     &(struct api_call){
		     .verb = VERB_PATCH,
		     .patch = API_PATCH_MERGE,
		     .kind = kind_must("v1", "Event"),
		     .ns = str_dup(arena, str_from(told->ns)),
		     .name = str_dup(arena, str_from(told->name)),
		     .body = JSON_OBJECT_OF(arena, { "count", json_number(arena, told->count) },
					    { "lastTimestamp", time_json(arena, clock_now()) }),
		     .cause = cause,
	     });
}

void client_event(struct client *client, const struct client_event *event, const char *format, ...)
{
	struct arena *arena = arena_new();
	const struct json *ref = reference(arena, event);
	struct str ns = json_get_str(ref, "namespace"), name = json_get_str(ref, "name"), key;
	struct told *told;
	va_list args;
	char *text;

	va_start(args, format);
	text = arena_vprintf(arena, format, args);
	va_end(args);
	if (ns.len == 0)
		ns = STR("default");
	key = str_format(arena, "%.*s|%s|%s|%s|%s|%s", STR_ARG(json_get_str(ref, "uid")), event->type, event->reason, text,
			 event->component, event->field_path != NULL ? event->field_path : "");
	told = map_find(&client->shared->events, key);
	if (told != NULL) {
		count_up(client, arena, told, event->cause);
		return;
	}
	forget_old(client->shared);
	told = xcalloc(1, sizeof(*told));
	told->ns = xmemdup(ns.ptr, ns.len);
	told->name = xasprintf("%.*s.%llx", STR_ARG(name), (unsigned long long)(clock_now() + (int64_t)rand_below(1000)));
	told->count = 1;
	told->last = clock_mono();
	map_set(&client->shared->events, key, told);
	hold(client, arena,
	     &(struct api_call){
		     .verb = VERB_CREATE,
		     .kind = kind_must("v1", "Event"),
		     .ns = ns,
		     .body = JSON_OBJECT_OF(arena,
					    { "metadata", JSON_OBJECT_OF(arena, { "name", text_of(arena, told->name) },
									 { "namespace", json_string(arena, ns) }) },
					    { "involvedObject", ref }, { "reason", text_of(arena, event->reason) },
					    { "message", json_text(arena, text) },
					    { "source", JSON_OBJECT_OF(arena, { "component", text_of(arena, event->component) },
								       { "host", text_of(arena, event->host) }) },
					    { "firstTimestamp", time_json(arena, clock_now()) },
					    { "lastTimestamp", time_json(arena, clock_now()) }, { "count", json_number(arena, 1) },
					    { "type", text_of(arena, event->type) },
					    { "reportingComponent", text_of(arena, event->component) },
					    { "reportingInstance", text_of(arena, event->host != NULL ? event->host : "") }),
		     .cause = event->cause,
	     });
}
