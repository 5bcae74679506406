/* Answers: objects, lists, Tables, metadata only, Status; as JSON, YAML or protobuf. */
#include "apiserver/server.h"

static const struct type *meta_type(const char *name)
{
	return type_find_named(STR("meta.k8s.io"), STR("v1"), str_from(name)) != NULL
		       ? type_find_named(STR("meta.k8s.io"), STR("v1"), str_from(name))
		       : type_find_named(STR(""), STR("v1"), str_from(name));
}

/* --- errors --- */

static const struct json *causes_of(struct arena *arena, const struct error *err)
{
	struct json_builder causes = { .arena = arena };

	for (size_t i = 0; i < err->n_causes; i++) {
		const struct error_cause *cause = &err->causes[i];

		json_builder_item(
			&causes,
			JSON_OBJECT_OF(
				arena,
				{ "reason", cause->reason[0] != '\0' ? json_string_copy(arena, str_from(cause->reason)) : NULL },
				{ "message", json_string_copy(arena, str_from(cause->message)) },
				{ "field", cause->field[0] != '\0' ? json_string_copy(arena, str_from(cause->field)) : NULL }));
	}
	return causes.len != 0 ? json_builder_array(&causes) : NULL;
}

static const struct json *text_or_null(struct arena *arena, struct str s)
{
	return s.len != 0 ? json_string_copy(arena, s) : NULL;
}

/* Which kinds of error say what they are about. Upstream: k8s.io/apimachinery/pkg/api/errors. */
static bool has_details(enum error_kind kind)
{
	return kind == ERR_NOT_FOUND || kind == ERR_EXISTS || kind == ERR_CONFLICT || kind == ERR_INVALID ||
	       kind == ERR_FORBIDDEN || kind == ERR_METHOD;
}

static const struct json *details_of(struct arena *arena, const struct request *req, const struct error *err)
{
	struct str group = STR(""), kind = STR(""), name = STR("");
	const struct json *details;

	if (err->about[1] != NULL) {
		group = str_from(err->about[0]);
		kind = str_from(err->about[1]);
		name = str_from(err->about[2]);
	} else if (req != NULL && has_details(err->kind)) {
		group = req->route.group;
		kind = req->route.resource;
		name = req->route.name;
		if (err->kind == ERR_INVALID && req->route.kind != NULL)
			kind = kind_name(req->route.kind);
		if (name.len == 0)
			name = meta_str(req->tree != NULL ? req->tree : req->input, "name");
	}
	details = JSON_OBJECT_OF(arena, { "name", text_or_null(arena, name) }, { "group", text_or_null(arena, group) },
				 { "kind", text_or_null(arena, kind) }, { "causes", causes_of(arena, err) },
				 { "retryAfterSeconds", err->retry_after != 0 ? json_number(arena, err->retry_after) : NULL });
	if (json_len(details) == 0 && !has_details(err->kind) && err->about[1] == NULL)
		return NULL;
	return details;
}

const struct json *status_of_error(struct arena *arena, const struct request *req, const struct error *err)
{
	const char *reason = error_reason(err->kind);
	const char *text = err->text;

	if (strcmp(reason, "InternalError") == 0 && strncmp(text, "Internal error occurred: ", 25) != 0)
		text = arena_printf(arena, "Internal error occurred: %s", text);
	return JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Status") }, { "apiVersion", json_text(arena, "v1") },
			      { "metadata", err->kind == ERR_EXPIRED && req != NULL && req->continue_token.len != 0
						    ? JSON_OBJECT_OF(arena, { "continue", json_string(arena, req->continue_token) })
						    : &json_empty_object },
			      { "status", json_text(arena, "Failure") }, { "message", json_string_copy(arena, str_from(text)) },
			      { "reason", reason[0] != '\0' ? json_text(arena, reason) : NULL },
			      { "details", details_of(arena, req, err) },
			      { "code", json_number(arena, error_http_status(err->kind)) });
}

/* --- bodies --- */

static void write_tree(struct buf *out, const struct accept *accept, const struct type *type, const struct json *tree)
{
	switch (accept->media) {
	case API_PROTOBUF:
		api_write_proto(out, type, tree);
		return;
	case API_YAML:
		json_write_yaml(out, tree);
		return;
	case API_JSON:
		if (accept->pretty)
			json_write_indented(out, tree, 2);
		else
			json_write(out, tree);
		buf_putc(out, '\n');
		return;
	}
}

struct http_headers answer_headers(struct request *req, struct str media)
{
	struct http_header *headers = ARENA_ARRAY(req->arena, struct http_header, 3 + req->warnings.len);
	size_t n = 0;

	headers[n++] = (struct http_header){ STR("cache-control"), STR("no-cache, private") };
	headers[n++] = (struct http_header){ STR("content-type"), media };
	if (req->retry_after != 0)
		headers[n++] = (struct http_header){ STR("retry-after"), str_format(req->arena, "%d", req->retry_after) };
	return (struct http_headers){ headers, n + warning_headers(req, headers + n) };
}

static void count_answer(struct request *req, int status)
{
	if (status >= 0 && status < 600)
		req->server->n_requests[status]++;
}

static void reply_buf(struct request *req, int status, struct str media, struct buf *body)
{
	count_answer(req, status);
	http_reply_compress(req->http);
	http_reply(req->http, status, answer_headers(req, media), buf_str(body));
	req->http = NULL;
}

static void reply_tree(struct request *req, int status, const struct type *type, const struct json *tree)
{
	AUTO_BUF struct buf body = { 0 };

	write_tree(&body, &req->accept, type, tree);
	reply_buf(req, status, str_from(media_name(req->accept.media)), &body);
}

/* --- answers that take longer than a turn of the loop may: a thread makes and writes them --- */

struct late {
	struct request *req;
	int status;
	struct error *err; /* it is that one's Status; else… */
	const struct type *type;
	const struct json *(*make)(struct late *late);
	struct object **objects; /* of a list, with trees that are there */
	size_t n;                /* of them */
	const struct json *meta; /* of a list */
	struct loop_call again;
	struct buf body;
};

static struct late *late_new(struct request *req, int status, const struct type *type)
{
	struct late *late = ARENA_NEW(req->arena, struct late);

	late->req = req;
	late->status = status;
	late->type = type;
	return late;
}

static void late_work(void *in)
{
	struct late *late = in;

	write_tree(&late->body, &late->req->accept, late->type, late->make(late));
}

static void late_done(void *in, bool canceled)
{
	struct late *late = in;
	struct request *req = late->req;

	if (canceled)
		late_work(late);
	error_free(late->err);
	reply_buf(req, late->status, str_from(media_name(req->accept.media)), &late->body);
	buf_fini(&late->body);
	request_end(req);
}

static void late_start(struct late *late)
{
	loop_job_start(late_work, late_done, late);
}

static const struct json *late_status(struct late *late)
{
	return status_of_error(late->req->arena, late->req, late->err);
}

static const struct json *late_object(struct late *late)
{
	const struct type *type;

	return present(late->req->arena, &late->req->accept, late->req->route.kind, &late->req->object, 1, &type);
}

static void reply_object(struct request *req)
{
	const struct type *type = kind_type(req->route.kind);
	AUTO_BUF struct buf body = { 0 };
	const struct json *tree;
	struct bytes *proto;

	if (req->accept.as == AS_ITSELF && req->accept.media == API_PROTOBUF) {
		proto = object_proto(req->object);
		if (proto != NULL) {
			count_answer(req, req->status);
			http_reply_compress(req->http);
			http_reply_bytes(req->http, req->status, answer_headers(req, str_from(media_name(API_PROTOBUF))), proto);
			req->http = NULL;
			return;
		}
	}
	if (req->accept.as == AS_ITSELF && req->accept.media == API_JSON && !req->accept.pretty) {
		object_write_json(&body, req->object);
		buf_putc(&body, '\n');
		reply_buf(req, req->status, STR("application/json"), &body);
		return;
	}
	tree = present(req->arena, &req->accept, req->route.kind, &req->object, 1, &type);
	reply_tree(req, req->status, type, tree);
}

/* Its own bytes are copied, however many they are; every other form is made anew. */
static bool is_long_work(struct request *req)
{
	return (req->accept.as != AS_ITSELF || req->accept.media != API_JSON || req->accept.pretty) &&
	       object_stored(req->object)->len > LIMIT_AT_ONCE;
}

static void reply_large_object(struct request *req)
{
	struct late *late = late_new(req, req->status, kind_type(req->route.kind));

	late->make = late_object;
	present(req->arena, &req->accept, req->route.kind, &req->object, 1, &late->type); /* its tree is there then */
	late_start(late);
}

/* --- Tables and metadata --- */

static const struct json *meta_version(struct arena *arena, const struct accept *accept)
{
	return json_printf(arena, "meta.k8s.io/%.*s", STR_ARG(accept->as_version));
}

/* Metadata without the annotations that upstream makes of fields for its clients: inside it has the fields. */
static const struct json *inner_meta(struct arena *arena, struct object *object)
{
	static const char *const made[] = { "deprecated.daemonset.template.generation", "autoscaling.alpha.kubernetes.io/metrics",
					    "autoscaling.alpha.kubernetes.io/current-metrics",
					    "autoscaling.alpha.kubernetes.io/behavior",
					    "autoscaling.alpha.kubernetes.io/conditions" };
	const struct json *meta = json_get(object_tree(object), "metadata"), *all = json_get(meta, "annotations"), *kept = all;

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]) && all != NULL; i++)
		kept = json_with(arena, kept, made[i], NULL);
	return kept == all ? meta : json_with(arena, meta, "annotations", json_len(kept) != 0 ? kept : NULL);
}

static const struct json *partial(struct arena *arena, const struct accept *accept, struct object *object)
{
	return JSON_OBJECT_OF(arena, { "kind", json_text(arena, "PartialObjectMetadata") },
			      { "apiVersion", meta_version(arena, accept) }, { "metadata", inner_meta(arena, object) });
}

static const struct json *row_object(struct arena *arena, const struct accept *accept, struct object *object)
{
	switch (accept->include) {
	case INCLUDE_NONE:
		return &json_null;
	case INCLUDE_OBJECT:
		return object_tree(object);
	case INCLUDE_METADATA:
		break;
	}
	return partial(arena, accept, object);
}

static const struct json *table_of(struct arena *arena, const struct accept *accept, const struct kind *kind,
				   struct object *const *objects, size_t n, const struct json *list_meta)
{
	struct json_builder rows = { .arena = arena };

	for (size_t i = 0; i < n; i++)
		json_builder_item(&rows,
				  JSON_OBJECT_OF(arena, { "cells", api_cells(arena, kind, object_tree(objects[i]), clock_now()) },
						 { "object", row_object(arena, accept, objects[i]) }));
	return JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Table") },
			      { "apiVersion", json_printf(arena, "meta.k8s.io/%.*s", STR_ARG(accept->as_version)) },
			      { "metadata", list_meta }, { "columnDefinitions", api_columns(arena, kind) },
			      { "rows", json_builder_array(&rows) });
}

const struct json *present(struct arena *arena, const struct accept *accept, const struct kind *kind, struct object *const *objects,
			   size_t n, const struct type **type)
{
	const struct json *meta;

	switch (accept->as) {
	case AS_TABLE:
		meta = JSON_OBJECT_OF(arena, { "resourceVersion", json_path(object_tree(objects[0]), "metadata.resourceVersion") });
		*type = meta_type("Table");
		return table_of(arena, accept, kind, objects, n, meta);
	case AS_PARTIAL:
		*type = meta_type("PartialObjectMetadata");
		return partial(arena, accept, objects[0]);
	case AS_ITSELF:
		break;
	}
	*type = kind_type(kind);
	return object_tree(objects[0]);
}

/* --- lists --- */

static const struct json *list_meta(struct request *req)
{
	struct arena *arena = req->arena;

	return JSON_OBJECT_OF(
		arena, { "resourceVersion", json_printf(arena, "%llu", (unsigned long long)store_version_revision(req->version)) },
		{ "continue", custom_of(req->route.kind) != NULL && req->accept.as == AS_ITSELF
				      ? json_string(arena, req->continue_token)
				      : text_or_null(arena, req->continue_token) },
		{ "remainingItemCount", req->remaining >= 0 ? json_number(arena, req->remaining) : NULL });
}

static const struct json *late_list(struct late *late)
{
	struct request *req = late->req;
	struct arena *arena = req->arena;
	struct json_builder items = { .arena = arena };
	bool partly = req->accept.as == AS_PARTIAL;

	if (req->accept.as == AS_TABLE)
		return table_of(arena, &req->accept, req->route.kind, late->objects, late->n, late->meta);
	for (size_t i = 0; i < late->n; i++)
		json_builder_item(&items, partly ? partial(arena, &req->accept, late->objects[i])
					  : custom_of(req->route.kind) != NULL
						  ? object_tree(late->objects[i])
						  : api_without_kind(arena, object_tree(late->objects[i])));
	return JSON_OBJECT_OF(
		arena,
		{ "kind", partly ? json_text(arena, "PartialObjectMetadataList") : json_string(arena, type_name(late->type)) },
		{ "apiVersion",
		  partly ? meta_version(arena, &req->accept) : json_string(arena, kind_api_version(req->route.kind)) },
		{ "metadata", late->meta }, { "items", partly && items.len == 0 ? &json_null : json_builder_array(&items) });
}

#define FEW 10 /* items that are written at once */

/* Decodes what is not decoded, in slices. */
static void gather_items(void *arg)
{
	struct late *late = arg;
	struct request *req = late->req;

	while (late->n < req->n_items) {
		struct object *object = value_served(req->arena, req->route.kind, req->items[late->n]);

		object_tree(object);
		late->objects[late->n++] = object;
		if (loop_over_budget() && late->n < req->n_items) {
			loop_call_behind(&late->again, gather_items, late);
			return;
		}
	}
	if (late->n > FEW) {
		late_start(late);
		return;
	}
	late_work(late);
	late_done(late, false);
}

/* A list of objects in memory, for the forms that are not sent as they are stored. */
static void reply_built_list(struct request *req)
{
	struct late *late = late_new(req, 200, kind_list_type(req->route.kind));

	if (req->accept.as != AS_ITSELF)
		late->type = meta_type(req->accept.as == AS_TABLE ? "Table" : "PartialObjectMetadataList");
	late->objects = ARENA_ARRAY(req->arena, struct object *, req->n_items + 1);
	late->meta = list_meta(req);
	late->make = late_list;
	gather_items(late);
}

#define LIST_PIECE (32 * 1024)

/* A JSON list flows: the objects' own bytes, as fast as the client takes them. */
struct list_stream {
	struct request *req;
	size_t next;
	struct loop_call again;
	bool closed;
};

static void stream_items(void *arg);

static void list_closed(void *arg)
{
	struct list_stream *stream = arg;

	stream->closed = true;
	loop_call_behind(&stream->again, stream_items, stream);
}

static void list_drained(void *arg)
{
	struct list_stream *stream = arg;

	loop_call_behind(&stream->again, stream_items, stream);
}

static void write_item(struct buf *out, struct request *req, struct store_value *value)
{
	struct object *object = value_object(req->route.kind, value);
	struct str parts[3];

	if (kind_stored_as(req->route.kind) != req->route.kind)
		object = value_served(req->arena, req->route.kind, value);
	/* Items of typed lists go without kind and apiVersion; custom resources keep them. */
	if (custom_of(req->route.kind) != NULL) {
		object_json_parts(object, parts);
	} else {
		object_json_item_parts(object, parts);
		buf_putc(out, '{');
	}
	for (int i = 0; i < 3; i++)
		buf_add(out, parts[i]);
}

static void stream_items(void *arg)
{
	struct list_stream *stream = arg;
	struct request *req = stream->req;
	AUTO_BUF struct buf out = { 0 };

	while (!stream->closed && stream->next < req->n_items && !http_reply_full(req->http)) {
		buf_clear(&out);
		while (stream->next < req->n_items && out.len < LIST_PIECE) {
			if (stream->next != 0)
				buf_putc(&out, ',');
			write_item(&out, req, req->items[stream->next++]);
		}
		http_reply_write(req->http, buf_str(&out));
		if (loop_over_budget() && stream->next < req->n_items) {
			loop_call_behind(&stream->again, stream_items, stream);
			return;
		}
	}
	if (!stream->closed && stream->next < req->n_items)
		return; /* list_drained() goes on */
	loop_call_cancel(&stream->again);
	http_reply_write(req->http, STR("]}\n"));
	http_reply_end(req->http);
	request_end(req);
}

static const struct http_request_events list_events = { list_closed, list_drained };

static void write_list_head(struct buf *out, struct request *req)
{
	buf_add(out, STR("{\"kind\":"));
	json_write_string(out, type_name(kind_list_type(req->route.kind)));
	buf_add(out, STR(",\"apiVersion\":"));
	json_write_string(out, kind_api_version(req->route.kind));
	buf_add(out, STR(",\"metadata\":"));
	json_write(out, list_meta(req));
	buf_add(out, STR(",\"items\":["));
}

/* Takes the request: a long list goes on after its task ended. */
static void reply_json_list(struct request *req)
{
	AUTO_BUF struct buf out = { 0 };
	struct list_stream *stream;
	size_t n = 0;

	write_list_head(&out, req);
	for (; n < req->n_items && out.len <= LIMIT_PLAIN_REPLY; n++) {
		if (n != 0)
			buf_putc(&out, ',');
		write_item(&out, req, req->items[n]);
	}
	if (n == req->n_items) {
		buf_add(&out, STR("]}\n"));
		reply_buf(req, 200, STR("application/json"), &out);
		request_end(req);
		return;
	}
	stream = ARENA_NEW(req->arena, struct list_stream);
	stream->req = req;
	stream->next = n;
	count_answer(req, 200);
	http_request_listen(req->http, &list_events, stream);
	http_reply_compress(req->http);
	http_reply_start(req->http, 200, answer_headers(req, STR("application/json")));
	http_reply_write(req->http, buf_str(&out));
	loop_call_behind(&stream->again, stream_items, stream);
}

/* --- in process --- */

static void tell_caller(struct request *req, struct api_reply *reply)
{
	if (!req->canceled)
		req->call.done(req->call.arg, reply);
	error_free(reply->err);
}

static void reply_call(struct request *req)
{
	struct api_reply reply = { .object = req->object, .tree = req->answer };

	if (req->n_items != 0) {
		struct object **items = ARENA_ARRAY(req->arena, struct object *, req->n_items);

		for (size_t i = 0; i < req->n_items; i++)
			items[i] = value_served(req->arena, req->route.kind, req->items[i]);
		reply.items = items;
		reply.n_items = req->n_items;
	}
	if (req->version != NULL)
		reply.revision = store_version_revision(req->version);
	tell_caller(req, &reply);
}

/* --- the ends --- */

static bool is_status_answer(const struct request *req)
{
	return req->answer != NULL && (req->answer_type == NULL || req->answer_type == meta_type("Status"));
}

/* What is asked for in another form, as upstream only when it is there. A Status stays what it is. */
static struct error *form_fits(struct request *req)
{
	struct error *err;

	if (is_status_answer(req))
		return NULL;
	err = options_include(req);
	return err != NULL ? err : accept_fits(&req->accept, req->version != NULL, req->route.kind);
}

void respond(struct request *req)
{
	struct error *err;

	if (req->http == NULL) {
		reply_call(req);
		request_end(req);
		return;
	}
	err = form_fits(req);
	if (err != NULL) {
		respond_error(req, err);
		return;
	}
	if (req->version != NULL && req->accept.as == AS_ITSELF && req->accept.media == API_JSON && !req->accept.pretty) {
		reply_json_list(req);
		return;
	}
	if (req->version != NULL) {
		reply_built_list(req);
		return;
	}
	if (req->answer == NULL && is_long_work(req)) {
		reply_large_object(req);
		return;
	}
	if (req->answer != NULL && req->accept.as == AS_PARTIAL && !is_status_answer(req) &&
	    json_get(req->answer, "metadata") != NULL)
		reply_tree(req, req->status, meta_type("PartialObjectMetadata"),
			   JSON_OBJECT_OF(req->arena, { "kind", json_text(req->arena, "PartialObjectMetadata") },
					  { "apiVersion", meta_version(req->arena, &req->accept) },
					  { "metadata", json_get(req->answer, "metadata") }));
	else if (req->answer != NULL)
		reply_tree(req, req->status, req->answer_type != NULL ? req->answer_type : meta_type("Status"), req->answer);
	else
		reply_object(req);
	request_end(req);
}

/* An error has no other form than its own: the first clause without one names its media type. */
static void accept_for_error(struct request *req)
{
	bool pretty = req->accept.pretty;

	if (req->accept.as == AS_ITSELF)
		return;
	error_free(accept_parse(http_header(&req->http->headers, "accept"), false, true, &req->accept));
	req->accept.pretty = pretty;
}

void respond_error(struct request *req, struct error *err)
{
	if (req->http == NULL) {
		struct api_reply reply = { .err = err };

		tell_caller(req, &reply);
		request_end(req);
		return;
	}
	if (http_reply_started(req->http)) {
		http_reply_abort(req->http);
	} else {
		accept_for_error(req);
		req->retry_after = err->retry_after;
		if (strlen(err->text) > LIMIT_AT_ONCE) {
			struct late *late = late_new(req, error_http_status(err->kind), meta_type("Status"));

			late->err = err;
			late->make = late_status;
			late_start(late);
			return;
		}
		reply_tree(req, error_http_status(err->kind), meta_type("Status"), status_of_error(req->arena, req, err));
	}
	error_free(err);
	request_end(req);
}

void respond_document(struct http_request *http, int status, const char *media, struct bytes *body)
{
	struct http_header headers[] = { { STR("cache-control"), STR("no-cache, private") },
					 { STR("content-type"), str_from(media) } };

	http_reply_bytes(http, status, (struct http_headers){ headers, 2 }, body);
}
