/*
 * Watches. A watcher is in a state for long: it pulls events from its place in the store's window, keeps what its
 * selector matches, and writes them in the form the client asked for, as fast as the client reads. Objects are shared;
 * an event costs its encoding once per form that is not kept with the object.
 *
 * An object that leaves the selector is told as DELETED with its old state at the new revision; one that enters as ADDED.
 */
#include "apiserver/server.h"

#define BOOKMARK_EVERY (60 * NS_PER_S)
#define TIMEOUT_LEAST  INT64_C(1800) /* seconds, when the client names none: upstream's minimum, up to twice that */

struct watcher {
	struct list link;
	struct request *req;    /* of HTTP; NULL in process */
	struct api_watch local; /* in process; copied */
	struct apiserver *server;
	struct arena *arena; /* in process: own; else the request's */
	const struct kind *kind;
	struct match *match;
	struct store_watch *pull;
	struct store_version *initial; /* what is told first; NULL when done */
	struct store_iter it;
	bool it_valid;
	bool synced; /* the end of the initial events was told */
	bool closed;
	bool bookmarks;
	bool columns_told; /* of tables: only the first event describes them */
	struct loop_call again;
	struct loop_timer deadline, bookmark;
	uint64_t told; /* revision of the last event or bookmark */
	struct str prefix;
};

static void pump(void *arg);

static void kick(void *arg)
{
	struct watcher *w = arg;

	if (!w->closed)
		loop_call_behind(&w->again, pump, w);
}

static void watcher_free(struct watcher *w)
{
	struct request *req = w->req;

	list_remove(&w->link);
	loop_call_cancel(&w->again);
	loop_timer_stop(&w->deadline);
	loop_timer_stop(&w->bookmark);
	store_watch_close(w->pull);
	store_version_unref(w->initial);
	if (req != NULL) {
		request_end(req);
		return;
	}
	kind_unref(w->kind);
	arena_free(w->arena);
}

/* --- one event in the client's form --- */

static const char *const type_names[] = {
	[API_ADDED] = "ADDED", [API_MODIFIED] = "MODIFIED", [API_DELETED] = "DELETED", [API_BOOKMARK] = "BOOKMARK", [API_SYNCED] = "BOOKMARK"
};

static void put_varint(struct buf *out, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_putc(out, (char)(n | 0x80));
	buf_putc(out, (char)n);
}

static void put_bytes(struct buf *out, char tag, struct str bytes)
{
	buf_putc(out, tag);
	put_varint(out, bytes.len);
	buf_add(out, bytes);
}

/* WatchEvent { type = 1; object = 2: RawExtension { raw = 1 } }: bare, only the object inside has the envelope. */
static void write_watch_event(struct buf *out, struct str type, struct str object)
{
	AUTO_BUF struct buf raw = { 0 };

	put_bytes(&raw, 0x0a, object);
	put_bytes(out, 0x0a, type);
	put_bytes(out, 0x12, buf_str(&raw));
}

/* Protobuf watches are frames: a length of four bytes, then a WatchEvent whose object is a whole encoded object. */
static void write_frame(struct buf *out, const char *type, struct str object)
{
	AUTO_BUF struct buf event = { 0 };
	uint8_t head[4];
	uint32_t len;

	write_watch_event(&event, str_from(type), object);
	len = (uint32_t)event.len;
	head[0] = (uint8_t)(len >> 24);
	head[1] = (uint8_t)(len >> 16);
	head[2] = (uint8_t)(len >> 8);
	head[3] = (uint8_t)len;
	buf_append(out, head, 4);
	buf_add(out, buf_str(&event));
}

static void write_tree_event(struct buf *out, const struct accept *accept, const char *type, const struct type *of,
			     const struct json *tree)
{
	AUTO_BUF struct buf body = { 0 };

	if (accept->media == API_PROTOBUF) {
		api_write_proto(&body, of, tree);
		write_frame(out, type, buf_str(&body));
		return;
	}
	buf_printf(out, "{\"type\":\"%s\",\"object\":", type);
	json_write(out, tree);
	buf_add(out, STR("}\n"));
}

static void write_object_event(struct buf *out, const struct accept *accept, const char *type, struct object *object)
{
	struct str parts[3];

	if (accept->media == API_PROTOBUF) {
		write_frame(out, type, bytes_str(object_proto(object)));
		return;
	}
	object_json_parts(object, parts);
	buf_printf(out, "{\"type\":\"%s\",\"object\":", type);
	for (int i = 0; i < 3; i++)
		buf_add(out, parts[i]);
	buf_add(out, STR("}\n"));
}

static void tell_http(struct watcher *w, enum api_event_type type, struct object *object)
{
	const struct accept *accept = &w->req->accept;
	AUTO_BUF struct buf out = { 0 };

	if (accept->as == AS_ITSELF && accept->media != API_YAML) {
		write_object_event(&out, accept, type_names[type], object);
	} else {
		struct arena *arena = arena_new();
		const struct type *of;
		const struct json *tree = present(arena, accept, w->kind, &object, 1, &of);

		if (accept->as == AS_TABLE && w->columns_told)
			tree = json_with(arena, tree, "columnDefinitions", &json_null);
		w->columns_told = true;
		write_tree_event(&out, accept, type_names[type], of, tree);
		arena_free(arena);
	}
	http_reply_write(w->req->http, buf_str(&out));
}

static void tell(struct watcher *w, enum api_event_type type, struct store_value *value, uint64_t revision)
{
	struct object *object = object_ref(value_object(w->kind, value));

	if (kind_stored_as(w->kind) != w->kind) {
		struct object *served = object_convert(object, w->kind);

		object_unref(object);
		object = served;
	}
	/* A deletion shows the last state at the revision of the deletion. */
	if (object_revision(object) != revision) {
		struct object *moved = object_with_revision(object, revision);

		object_unref(object);
		object = moved;
	}
	if (w->req != NULL)
		tell_http(w, type, object);
	else
		w->local.event(w->local.arg, &(struct api_event){ type, object, revision });
	object_unref(object);
	w->told = revision;
}

/* As a table it is a row of an object of which nothing but its metadata is known. */
static const struct json *table_bookmark(struct arena *arena, struct watcher *w, const struct json *meta)
{
	const struct json *empty = NULL, *row, *object;

	error_free(api_normalize(arena, kind_type(w->kind), &json_empty_object, NULL, &empty));
	object = JSON_OBJECT_OF(arena, { "kind", json_text(arena, "PartialObjectMetadata") },
				{ "apiVersion", json_text(arena, "meta.k8s.io/v1") }, { "metadata", meta });
	row = JSON_OBJECT_OF(arena, { "cells", api_cells(arena, w->kind, empty, clock_now()) },
			     { "object", w->req->accept.include == INCLUDE_NONE ? &json_null : object });
	return JSON_OBJECT_OF(arena,
			      { "metadata", JSON_OBJECT_OF(arena, { "resourceVersion", json_get(meta, "resourceVersion") }) },
			      { "columnDefinitions", w->columns_told ? &json_null : api_columns(arena, w->kind) },
			      { "rows", JSON_ARRAY_OF(arena, row) });
}

/* A bookmark has kind, apiVersion and resourceVersion, nothing else; the one that ends the initial events is marked. */
static void tell_bookmark(struct watcher *w, uint64_t revision, bool end)
{
	struct arena *arena;
	const struct json *meta, *tree;
	AUTO_BUF struct buf out = { 0 };
	const struct type *of = kind_type(w->kind);
	struct str kind = kind_name(w->kind), version = kind_api_version(w->kind);

	w->told = revision;
	if (w->req == NULL) {
		w->local.event(w->local.arg, &(struct api_event){ end ? API_SYNCED : API_BOOKMARK, NULL, revision });
		return;
	}
	arena = arena_new();
	meta = JSON_OBJECT_OF(arena, { "resourceVersion", json_printf(arena, "%llu", (unsigned long long)revision) },
			      { "annotations",
				end ? JSON_OBJECT_OF(arena, { "k8s.io/initial-events-end", json_text(arena, "true") }) : NULL });
	if (w->req->accept.as == AS_TABLE) {
		kind = STR("Table");
		version = STR("meta.k8s.io/v1");
		tree = table_bookmark(arena, w, meta);
	} else if (w->req->accept.as == AS_PARTIAL) {
		kind = STR("PartialObjectMetadata");
		version = STR("meta.k8s.io/v1");
		of = type_find_named(STR("meta.k8s.io"), STR("v1"), STR("PartialObjectMetadata"));
		tree = JSON_OBJECT_OF(arena, { "metadata", meta });
	} else {
		tree = JSON_OBJECT_OF(arena, { "metadata", meta });
		/* What Go writes of an otherwise empty object. */
		error_free(api_normalize(arena, of, tree, NULL, &tree));
	}
	tree = api_with_type(arena, tree, version, kind);
	write_tree_event(&out, &w->req->accept, "BOOKMARK", of, tree);
	http_reply_write(w->req->http, buf_str(&out));
	arena_free(arena);
}

static void end_with(struct watcher *w, struct error *err)
{
	AUTO_BUF struct buf out = { 0 };

	if (w->req == NULL) {
		void (*ended)(void *, struct error *) = w->local.ended;
		void *arg = w->local.arg;

		w->closed = true;
		store_watch_close(w->pull);
		w->pull = NULL;
		ended(arg, err);
		return;
	}
	if (err != NULL) {
		struct arena *arena = arena_new();

		write_tree_event(&out, &w->req->accept, "ERROR", type_find_named(STR(""), STR("v1"), STR("Status")),
				 status_of_error(arena, NULL, err));
		http_reply_write(w->req->http, buf_str(&out));
		arena_free(arena);
		error_free(err);
	}
	http_reply_end(w->req->http);
	watcher_free(w);
}

/* --- what happened, through the selector --- */

static bool matches(struct watcher *w, struct store_value *value)
{
	return value != NULL && match_value(w->match, value);
}

static void tell_event(struct watcher *w, const struct store_event *event)
{
	bool was = matches(w, event->old), is = matches(w, event->value);

	if (is)
		tell(w, was ? API_MODIFIED : API_ADDED, event->value, event->revision);
	else if (was)
		tell(w, API_DELETED, event->old, event->revision);
}

static bool full(const struct watcher *w)
{
	return w->req != NULL && http_reply_full(w->req->http);
}

/* The initial objects; false when the client must read first. */
static bool pump_initial(struct watcher *w)
{
	if (!w->it_valid) {
		w->it_valid = true;
		if (!store_seek(&w->it, w->initial, w->prefix, STR("")))
			goto done;
	} else if (!store_next(&w->it)) {
		goto done;
	}
	for (;;) {
		if (matches(w, w->it.value))
			tell(w, API_ADDED, w->it.value, w->it.value->revision);
		if (w->closed)
			return false;
		if (full(w))
			return false;
		if (loop_over_budget()) {
			loop_call_behind(&w->again, pump, w);
			return false;
		}
		if (!store_next(&w->it))
			break;
	}
done:
	if (!w->synced) {
		w->synced = true;
		tell_bookmark(w, store_version_revision(w->initial), true);
	}
	store_version_unref(w->initial);
	w->initial = NULL;
	return !w->closed;
}

static void pump(void *arg)
{
	struct watcher *w = arg;
	struct store_event event;

	if (w->closed) {
		watcher_free(w);
		return;
	}
	if (w->initial != NULL && !pump_initial(w))
		return;
	while (!w->closed && !full(w)) {
		switch (store_watch_pull(w->pull, &event)) {
		case STORE_WATCH_EVENT:
			tell_event(w, &event);
			break;
		case STORE_WATCH_IDLE:
			return;
		case STORE_WATCH_EXPIRED:
			end_with(w, error_new(ERR_EXPIRED, "The resourceVersion for the provided watch is too old."));
			return;
		}
		if (!w->closed && loop_over_budget()) {
			loop_call_behind(&w->again, pump, w);
			return;
		}
	}
}

/* --- start --- */

static void http_closed(void *arg)
{
	struct watcher *w = arg;

	/* Nothing is being told now: closed() comes on its own stack. */
	http_reply_end(w->req->http);
	watcher_free(w);
}

static const struct http_request_events events = { .closed = http_closed, .drained = kick };

static void time_over(void *arg)
{
	end_with(arg, NULL);
}

static void bookmark_due(void *arg)
{
	struct watcher *w = arg;
	uint64_t revision = store_watch_revision(w->pull);

	if (w->initial == NULL && revision > w->told && !full(w))
		tell_bookmark(w, revision, false);
}

/* Where a watch begins: with the objects there are, or after a revision. */
static struct error *choose_start(struct watcher *w, struct str version, bool send_initial, uint64_t *after)
{
	struct store *store = w->server->options.store;
	uint64_t asked = 0;

	if (version.len != 0 && !str_to_u64(version, &asked))
		return error_new(ERR_PLAIN, "resourceVersion: Invalid value: \"%.*s\": strconv.ParseUint: parsing \"%.*s\": %s",
				 STR_ARG(version), STR_ARG(version), number_complaint(version));
	if (asked == 0 || send_initial) {
		w->initial = store_hold(store);
		*after = store_version_revision(w->initial);
	} else {
		*after = asked;
	}
	return NULL;
}

static struct error *open_watch(struct watcher *w, uint64_t after)
{
	struct error *err;

	w->prefix = list_prefix(w->arena, w->kind, w->req != NULL ? w->req->route.ns : w->local.ns);
	if (w->req != NULL && w->req->route.name.len != 0)
		w->prefix = object_key(w->arena, w->kind, w->req->route.ns, w->req->route.name);
	w->told = after;
	err = store_watch(w->server->options.store,
			  &(struct store_watch_options){ .prefix = w->prefix, .after = after, .ready = kick, .arg = w }, &w->pull);
	if (err != NULL && err->kind == ERR_EXPIRED) {
		error_free(err);
		err = error_new(ERR_EXPIRED, "too old resource version: %llu (%llu)", (unsigned long long)after,
				(unsigned long long)store_oldest(w->server->options.store));
	}
	return err;
}

static void send_head(struct request *req)
{
	bool proto = req->accept.media == API_PROTOBUF;

	http_reply_start(req->http, 200,
			 answer_headers(req,
					proto ? STR("application/vnd.kubernetes.protobuf;stream=watch") : STR("application/json")));
}

static void start_timers(struct watcher *w)
{
	int64_t seconds = w->req->query.timeout_seconds;

	if (seconds <= 0)
		seconds = TIMEOUT_LEAST + (int64_t)rand_below((uint64_t)TIMEOUT_LEAST);
	w->deadline.weak = true;
	loop_timer_start(&w->deadline, seconds * NS_PER_S, time_over, w);
	if (w->bookmarks) {
		w->bookmark.weak = true;
		loop_timer_every(&w->bookmark, BOOKMARK_EVERY, bookmark_due, w);
	}
}

void watch_start(struct request *req)
{
	struct watcher *w = ARENA_NEW(req->arena, struct watcher);
	uint64_t after = 0;
	struct error *err;

	list_init(&w->link);
	*w = (struct watcher){ .req = req, .server = req->server, .arena = req->arena, .kind = req->route.kind };
	list_init(&w->link);
	w->bookmarks = req->query.bookmarks;
	w->synced = !req->query.send_initial; /* only then is the end of the initial events told */
	err = match_parse(req->arena, w->kind, req->query.labels, req->query.fields, &w->match);
	if (err == NULL)
		err = options_include(req);
	if (err == NULL)
		err = choose_start(w, req->query.resource_version, req->query.send_initial, &after);
	if (err == NULL)
		err = open_watch(w, after);
	if (err != NULL && err->kind != ERR_EXPIRED) {
		store_version_unref(w->initial);
		respond_error(req, err);
		return;
	}
	list_push(&req->server->watches, &w->link);
	http_request_listen(req->http, &events, w);
	send_head(req);
	if (err != NULL) {
		end_with(w, err); /* a 410 event after a 200 */
		return;
	}
	start_timers(w);
	kick(w);
}

/* --- in process --- */

void *transport_watch(void *transport, const struct api_watch *watch);
void transport_watch_close(void *transport, void *watch);

static void fail_local(void *arg)
{
	struct watcher *w = arg;

	end_with(w, error_new(ERR_EXPIRED, "too old resource version"));
}

void *transport_watch(void *transport, const struct api_watch *watch)
{
	struct arena *arena = arena_new();
	struct watcher *w = ARENA_NEW(arena, struct watcher);
	uint64_t after = watch->after;
	struct error *err;

	*w = (struct watcher){ .local = *watch, .server = transport, .arena = arena, .kind = kind_ref(watch->kind) };
	w->local.ns = str_dup(arena, watch->ns);
	list_init(&w->link);
	list_push(&w->server->watches, &w->link);
	err = match_parse(arena, w->kind, str_dup(arena, watch->labels), str_dup(arena, watch->fields), &w->match);
	ASSERT(err == NULL); /* our own components' selectors are right */
	if (after == 0)
		error_free(choose_start(w, STR(""), true, &after));
	else
		w->synced = true;
	err = open_watch(w, after);
	if (err != NULL) {
		error_free(err);
		loop_call_soon(&w->again, fail_local, w);
	} else {
		kick(w);
	}
	return w;
}

static void free_later(void *arg)
{
	watcher_free(arg);
}

/* May be called from inside its own event. */
void transport_watch_close(void *transport, void *watch)
{
	struct watcher *w = watch;

	(void)transport;
	w->closed = true;
	loop_call_soon(&w->again, free_later, w);
}

void watch_end_of(struct apiserver *server, const struct custom *custom)
{
	LIST_EACH (&server->watches, struct watcher, link, w)
		if (custom_of(w->kind) == custom && !w->closed)
			end_with(w, w->req != NULL ? NULL : error_new(ERR_EXPIRED, "the kind is not served any more"));
}

void apiserver_end_watches(struct apiserver *server)
{
	server->ending = true;
	definitions_stop(server);
	LIST_EACH (&server->watches, struct watcher, link, w)
		if (w->req != NULL)
			end_with(w, NULL);
}
