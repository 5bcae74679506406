/*
 * OpenAPI version 2 in protobuf, as gnostic's openapi.v2.Document: what older kubectl asks for.
 *
 * Each message is a table from member to field; maps are lists of named entries; what begins with "x-" is written as
 * YAML. Only members that our documents have are in the tables.
 */
#include <string.h>

#include "api/api.h"
#include "api/openapi.h"
#include "proto/proto.h"

enum form { TEXT, FLAG, TEXTS, MESSAGE, MESSAGES, NAMED, ANY, ANYS };

struct part {
	const char *member;
	uint32_t number;
	enum form form;
	void (*write)(struct buf *out, const struct json *value); /* of messages, or of named entries' values */
};

static void write_parts(struct buf *out, const struct json *value, const struct part *parts, size_t n, uint32_t extensions);
#define PARTS(out, value, list, extensions) write_parts((out), (value), (list), sizeof(list) / sizeof((list)[0]), (extensions))

static void write_any(struct buf *out, const struct json *value)
{
	AUTO_BUF struct buf yaml = { 0 };

	json_write_yaml(&yaml, value);
	proto_string(out, 2, buf_str(&yaml));
}

static void write_in(struct buf *out, uint32_t number, void (*write)(struct buf *, const struct json *), const struct json *value)
{
	size_t mark = proto_open(out, number);

	write(out, value);
	proto_close(out, mark);
}

/* NamedX: name and value. */
static void write_named(struct buf *out, uint32_t number, struct str name, void (*write)(struct buf *, const struct json *),
			const struct json *value)
{
	size_t mark = proto_open(out, number);

	proto_string(out, 1, name);
	write_in(out, 2, write, value);
	proto_close(out, mark);
}

static void write_part(struct buf *out, const struct part *part, const struct json *value)
{
	size_t mark;

	switch (part->form) {
	case TEXT:
		proto_string(out, part->number, json_str(value));
		return;
	case FLAG:
		proto_uint(out, part->number, json_bool(value));
		return;
	case TEXTS:
		JSON_EACH (value, it)
			proto_string(out, part->number, json_str(it.value));
		return;
	case MESSAGE:
		write_in(out, part->number, part->write, value);
		return;
	case MESSAGES:
		JSON_EACH (value, it)
			write_in(out, part->number, part->write, it.value);
		return;
	case ANY:
		write_in(out, part->number, write_any, value);
		return;
	case ANYS:
		JSON_EACH (value, it)
			write_in(out, part->number, write_any, it.value);
		return;
	case NAMED:
		break;
	}
	mark = proto_open(out, part->number);
	JSON_EACH (value, it)
		write_named(out, 1, it.key, part->write, it.value);
	proto_close(out, mark);
}

static void write_parts(struct buf *out, const struct json *value, const struct part *parts, size_t n, uint32_t extensions)
{
	for (size_t i = 0; i < n; i++) {
		const struct json *member = json_get(value, parts[i].member);
		if (member != NULL)
			write_part(out, &parts[i], member);
	}
	JSON_EACH (extensions != 0 ? value : NULL, it)
		if (str_has_prefix(it.key, STR("x-")))
			write_named(out, extensions, it.key, write_any, it.value);
}

/* ---- schemas ---- */

static void write_schema(struct buf *out, const struct json *value);

static void write_items(struct buf *out, const struct json *value)
{
	write_in(out, 1, write_schema, value);
}

static void write_type_item(struct buf *out, const struct json *value)
{
	proto_string(out, 1, json_str(value));
}

static void write_schema(struct buf *out, const struct json *value)
{
	static const struct part parts[] = {
		{ "$ref", 1, TEXT, NULL },
		{ "format", 2, TEXT, NULL },
		{ "description", 4, TEXT, NULL },
		{ "default", 5, ANY, NULL },
		{ "required", 19, TEXTS, NULL },
		{ "enum", 20, ANYS, NULL },
		{ "additionalProperties", 21, MESSAGE, write_items },
		{ "type", 22, MESSAGE, write_type_item },
		{ "items", 23, MESSAGE, write_items },
		{ "properties", 25, NAMED, write_schema },
	};

	PARTS(out, value, parts, 31);
}

/* ---- parameters ---- */

static void write_body_parameter(struct buf *out, const struct json *value)
{
	static const struct part parts[] = { { "description", 1, TEXT, NULL },
					     { "name", 2, TEXT, NULL },
					     { "in", 3, TEXT, NULL },
					     { "required", 4, FLAG, NULL },
					     { "schema", 5, MESSAGE, write_schema } };

	PARTS(out, value, parts, 0);
}

static void write_query_parameter(struct buf *out, const struct json *value)
{
	static const struct part parts[] = { { "required", 1, FLAG, NULL },    { "in", 2, TEXT, NULL },
					     { "description", 3, TEXT, NULL }, { "name", 4, TEXT, NULL },
					     { "type", 6, TEXT, NULL },        { "uniqueItems", 20, FLAG, NULL } };

	PARTS(out, value, parts, 0);
}

static void write_path_parameter(struct buf *out, const struct json *value)
{
	static const struct part parts[] = { { "required", 1, FLAG, NULL },    { "in", 2, TEXT, NULL },
					     { "description", 3, TEXT, NULL }, { "name", 4, TEXT, NULL },
					     { "type", 5, TEXT, NULL },        { "uniqueItems", 19, FLAG, NULL } };

	PARTS(out, value, parts, 0);
}

static void write_parameter(struct buf *out, const struct json *value)
{
	struct str in = json_get_str(value, "in");
	size_t mark;

	if (str_is(in, "body")) {
		write_in(out, 1, write_body_parameter, value);
		return;
	}
	mark = proto_open(out, 2);
	if (str_is(in, "path"))
		write_in(out, 4, write_path_parameter, value);
	else
		write_in(out, 3, write_query_parameter, value);
	proto_close(out, mark);
}

static void write_reference(struct buf *out, const struct json *value)
{
	proto_string(out, 1, json_get_str(value, "$ref"));
}

static void write_parameter_item(struct buf *out, const struct json *value)
{
	if (json_get(value, "$ref") != NULL)
		write_in(out, 2, write_reference, value);
	else
		write_in(out, 1, write_parameter, value);
}

/* ---- paths ---- */

static void write_response(struct buf *out, const struct json *value)
{
	static const struct part parts[] = { { "description", 1, TEXT, NULL }, { "schema", 2, MESSAGE, write_items } };

	PARTS(out, value, parts, 0);
}

static void write_response_value(struct buf *out, const struct json *value)
{
	write_in(out, 1, write_response, value);
}

static void write_responses(struct buf *out, const struct json *value)
{
	JSON_EACH (value, it)
		write_named(out, 1, it.key, write_response_value, it.value);
}

static void write_operation(struct buf *out, const struct json *value)
{
	static const struct part parts[] = {
		{ "tags", 1, TEXTS, NULL },
		{ "description", 3, TEXT, NULL },
		{ "operationId", 5, TEXT, NULL },
		{ "produces", 6, TEXTS, NULL },
		{ "consumes", 7, TEXTS, NULL },
		{ "parameters", 8, MESSAGES, write_parameter_item },
		{ "responses", 9, MESSAGE, write_responses },
		{ "schemes", 10, TEXTS, NULL },
	};

	PARTS(out, value, parts, 13);
}

static void write_path_item(struct buf *out, const struct json *value)
{
	static const struct part parts[] = {
		{ "get", 2, MESSAGE, write_operation },     { "put", 3, MESSAGE, write_operation },
		{ "post", 4, MESSAGE, write_operation },    { "delete", 5, MESSAGE, write_operation },
		{ "options", 6, MESSAGE, write_operation }, { "head", 7, MESSAGE, write_operation },
		{ "patch", 8, MESSAGE, write_operation },   { "parameters", 9, MESSAGES, write_parameter_item },
	};

	PARTS(out, value, parts, 0);
}

static void write_paths(struct buf *out, const struct json *value)
{
	JSON_EACH (value, it)
		write_named(out, 2, it.key, write_path_item, it.value);
}

/* ---- the document ---- */

static void write_info(struct buf *out, const struct json *value)
{
	static const struct part parts[] = { { "title", 1, TEXT, NULL }, { "version", 2, TEXT, NULL } };

	PARTS(out, value, parts, 0);
}

static void write_api_key(struct buf *out, const struct json *value)
{
	static const struct part parts[] = {
		{ "type", 1, TEXT, NULL }, { "name", 2, TEXT, NULL }, { "in", 3, TEXT, NULL }, { "description", 4, TEXT, NULL }
	};

	PARTS(out, value, parts, 0);
}

static void write_security_item(struct buf *out, const struct json *value)
{
	write_in(out, 2, write_api_key, value);
}

static void write_texts(struct buf *out, const struct json *value)
{
	JSON_EACH (value, it)
		proto_string(out, 1, json_str(it.value));
}

static void write_requirement(struct buf *out, const struct json *value)
{
	JSON_EACH (value, it)
		write_named(out, 1, it.key, write_texts, it.value);
}

void api_write_openapi_v2_proto(struct buf *out)
{
	static const struct part parts[] = {
		{ "swagger", 1, TEXT, NULL },
		{ "info", 2, MESSAGE, write_info },
		{ "paths", 8, MESSAGE, write_paths },
		{ "definitions", 9, NAMED, write_schema },
		{ "parameters", 10, NAMED, write_parameter },
		{ "security", 12, MESSAGES, write_requirement },
		{ "securityDefinitions", 13, NAMED, write_security_item },
	};
	struct arena *arena = arena_new();

	PARTS(out, openapi_v2(arena), parts, 16);
	arena_free(arena);
}
