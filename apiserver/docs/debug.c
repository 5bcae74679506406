/* Who wrote each revision because of which: the log itself, asked (architecture.md §2); and where the loop's time went. */
#include "apiserver/docs/docs.h"

struct asking {
	struct http_request *http;
	bool closed;
};

static void reply_json(struct http_request *http, struct buf *out)
{
	struct http_header headers[] = { { STR("content-type"), STR("application/json") } };

	buf_putc(out, '\n');
	http_reply(http, 200, (struct http_headers){ headers, 1 }, buf_str(out));
}

static void answer(void *arg, struct error *err, const struct store_record *records, size_t n)
{
	struct asking *asking = arg;
	struct http_request *http = asking->http;
	struct arena *arena = http->arena;
	struct json_builder items = { .arena = arena };
	AUTO_BUF struct buf out = { 0 };

	if (err != NULL) {
		http_reply_text(http, 500, str_from(err->text));
		error_free(err);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char time[TIME_TEXT];

		json_builder_item(
			&items,
			JSON_OBJECT_OF(arena, { "revision", json_number(arena, (int64_t)records[i].revision) },
				       { "time", json_string_copy(arena, time_format_micro(time, records[i].time)) },
				       { "key", json_string_copy(arena, records[i].key) },
				       { "actor", json_string_copy(arena, records[i].actor) },
				       { "cause", records[i].cause != 0 ? json_number(arena, (int64_t)records[i].cause) : NULL },
				       { "created", records[i].created == records[i].revision ? &json_true : NULL },
				       { "deleted", records[i].deleted ? &json_true : NULL }));
	}
	json_write(&out, JSON_OBJECT_OF(arena, { "revisions", json_builder_array(&items) }));
	reply_json(http, &out);
}

void debug_revisions(struct apiserver *server, struct http_request *http)
{
	struct asking *asking = ARENA_NEW(http->arena, struct asking);
	struct str resource = http_param(http, "resource", NULL), ns = http_param(http, "namespace", NULL);
	struct str name = http_param(http, "name", NULL);
	struct store_query query = { .done = answer, .arg = asking, .newest = true };
	uint64_t limit = 0;

	asking->http = http;
	str_to_u64(http_param(http, "from", NULL), &query.from);
	str_to_u64(http_param(http, "to", NULL), &query.to);
	if (str_to_u64(http_param(http, "limit", NULL), &limit))
		query.limit = limit;
	if (resource.len != 0 && name.len != 0)
		query.key = ns.len != 0 ? str_format(http->arena, "%.*s/%.*s/%.*s", STR_ARG(resource), STR_ARG(ns), STR_ARG(name))
					: str_format(http->arena, "%.*s/%.*s", STR_ARG(resource), STR_ARG(name));
	else if (resource.len != 0)
		query.prefix = ns.len != 0 ? str_format(http->arena, "%.*s/%.*s/", STR_ARG(resource), STR_ARG(ns))
					   : str_format(http->arena, "%.*s/", STR_ARG(resource));
	store_history(server->options.store, &query);
}

static const struct json *microseconds(struct arena *arena, int64_t ns)
{
	return json_number(arena, ns / 1000);
}

static const struct json *turn_json(struct arena *arena, const struct loop_turn *turn)
{
	char time[TIME_TEXT];

	return JSON_OBJECT_OF(
		arena, { "time", json_string_copy(arena, time_format_micro(time, turn->at)) },
		{ "heldMicroseconds", microseconds(arena, turn->held) }, { "wallMicroseconds", microseconds(arena, turn->wall) },
		{ "cpuMicroseconds", microseconds(arena, turn->cpu) }, { "blocked", json_number(arena, turn->blocked) },
		{ "preempted", json_number(arena, turn->preempted) }, { "callbacks", json_number(arena, turn->pieces) },
		{ "longest", json_text(arena, turn->piece) }, { "longestMicroseconds", microseconds(arena, turn->piece_took) },
		{ "part", turn->part[0] != '\0' ? json_string_copy(arena, str_from(turn->part)) : NULL },
		{ "partMicroseconds", turn->part[0] != '\0' ? microseconds(arena, turn->part_took) : NULL });
}

void debug_turns(struct apiserver *server, struct http_request *http)
{
	struct json_builder items = { .arena = http->arena };
	const struct loop_turn *turns;
	size_t n = loop_turns(&turns);
	AUTO_BUF struct buf out = { 0 };

	(void)server;
	for (size_t i = 0; i < n; i++)
		json_builder_item(&items, turn_json(http->arena, &turns[i]));
	json_write_indented(&out, JSON_OBJECT_OF(http->arena, { "turns", json_builder_array(&items) }), 2);
	reply_json(http, &out);
}
