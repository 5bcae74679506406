/*
 * The validation keywords of OpenAPI v3 schemas, one row each, in upstream's words.
 * k8s.io/kube-openapi/pkg/validation/validate, k8s.io/apiextensions-apiserver/pkg/apiserver/validation.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/check.h"
#include "api/custom.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/limits.h"

struct place {
	struct api_findings *f;
	const struct json *schema;
	const struct json *value;
	const struct json *old; /* NULL: none, or of another schema */
	const char *path;       /* "" at the root */
};

static void check(const struct place *at);

static const char *name_of(const struct place *at)
{
	return at->path[0] == '.' ? at->path + 1 : at->path;
}

#define BODY(at, format, ...) arena_printf((at)->f->arena, "%s in body " format, (at)->path, __VA_ARGS__)

static void wrong(const struct place *at, const struct json *value, const char *text)
{
	finding_invalid(at->f, name_of(at), value, text);
}

static const struct json *word(const struct place *at, const char *name)
{
	return json_get(at->schema, name);
}

static bool is_whole(const struct json *value)
{
	double number = json_double(value, 0.5);

	return json_is_int(value, NULL) || (floor(number) >= number && floor(number) <= number);
}

/* ---- type and format ---- */

static const char *type_word(const struct json *value)
{
	switch (value->type) {
	case JSON_NULL:
		return "null";
	case JSON_BOOL:
		return "boolean";
	case JSON_NUMBER:
		return json_is_int(value, NULL) ? "integer" : "number";
	case JSON_STRING:
		return "string";
	case JSON_ARRAY:
		return "array";
	case JSON_OBJECT:
		break;
	}
	return "object";
}

static bool has_type(const struct json *value, struct str type)
{
	if (str_is(type, "number"))
		return value->type == JSON_NUMBER;
	if (str_is(type, "integer"))
		return value->type == JSON_NUMBER && is_whole(value);
	return str_is(type, type_word(value));
}

static bool right_type(const struct place *at)
{
	bool either = json_bool(word(at, "x-kubernetes-int-or-string"));
	struct str type = json_str(word(at, "type"));

	if (at->value->type == JSON_NULL && (json_bool(word(at, "nullable")) || (type.len == 0 && !either)))
		return true;
	if (either)
		return has_type(at->value, STR("integer")) || has_type(at->value, STR("string"));
	return type.len == 0 || has_type(at->value, type);
}

static void check_type(const struct place *at)
{
	const char *is = type_word(at->value);
	bool either = json_bool(word(at, "x-kubernetes-int-or-string"));
	const char *wanted = either ? "integer,string" : str_cstr(at->f->arena, json_str(word(at, "type")));

	finding_type_invalid(at->f, name_of(at), json_text(at->f->arena, is), BODY(at, "must be of type %s: \"%s\"", wanted, is));
}

static bool is_uuid(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text.ptr[i] != '-' : strchr("0123456789abcdefABCDEF", text.ptr[i]) == NULL)
			return false;
	}
	return text.len == 36;
}

static bool is_date_time(struct str text)
{
	int64_t ns;

	return time_parse(text, &ns);
}

static bool is_date(struct str text)
{
	char full[32];
	int64_t ns;

	if (text.len != 10)
		return false;
	snprintf(full, sizeof(full), "%.*sT00:00:00Z", STR_ARG(text));
	return time_parse(str_from(full), &ns);
}

static bool is_ip4(struct str text)
{
	struct ip ip;

	return ip_parse(text, &ip) && ip.family == 4;
}

static bool is_ip6(struct str text)
{
	struct ip ip;

	return ip_parse(text, &ip) && ip.family == 6;
}

static bool is_cidr(struct str text)
{
	struct cidr cidr;

	return cidr_parse(text, &cidr);
}

static void check_format(const struct place *at)
{
	static const struct {
		const char *name;
		bool (*is)(struct str text);
	} formats[] = { { "date-time", is_date_time }, { "date", is_date }, { "ipv4", is_ip4 }, { "ipv6", is_ip6 },
			{ "cidr", is_cidr },           { "uuid", is_uuid } };
	struct str format = json_str(word(at, "format"));

	for (size_t i = 0; i < N_OF(formats); i++)
		if (str_is(format, formats[i].name) && !formats[i].is(json_str(at->value)))
			finding_type_invalid(at->f, name_of(at), at->value,
					     BODY(at, "must be of type %s: %s", formats[i].name,
						  json_format(at->f->arena, at->value).ptr));
}

static void check_range(const struct place *at)
{
	struct str format = json_str(word(at, "format"));
	int64_t n = json_int(at->value, 0);

	if (str_is(format, "int32") && (n < INT32_MIN || n > INT32_MAX))
		wrong(at, at->value, BODY(at, "must be of type int32: \"int64\"%s", ""));
}

/* ---- text ---- */

static int64_t characters(struct str text)
{
	int64_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	return n;
}

static void check_pattern(const struct place *at)
{
	struct str pattern = json_str(word(at, "pattern"));

	if (!api_pattern_matches(at->f->arena, pattern, json_str(at->value)))
		wrong(at, at->value, BODY(at, "should match '%.*s'", STR_ARG(pattern)));
}

static void check_max_length(const struct place *at)
{
	int64_t most = json_int(word(at, "maxLength"), 0);

	if (characters(json_str(at->value)) > most)
		finding_too_long(at->f, name_of(at), most);
}

static void check_min_length(const struct place *at)
{
	int64_t least = json_int(word(at, "minLength"), 0);

	if (characters(json_str(at->value)) < least)
		wrong(at, at->value, BODY(at, "should be at least %lld chars long", (long long)least));
}

/* ---- numbers ---- */

static const char *number_text(const struct place *at, const char *name)
{
	return json_format(at->f->arena, json_real(at->f->arena, json_double(word(at, name), 0))).ptr;
}

static void check_maximum(const struct place *at)
{
	double most = json_double(word(at, "maximum"), 0), is = json_double(at->value, 0);
	bool exclusive = json_bool(word(at, "exclusiveMaximum"));

	if (exclusive ? is >= most : is > most)
		wrong(at, at->value,
		      BODY(at, "should be less than %s%s", exclusive ? "" : "or equal to ", number_text(at, "maximum")));
}

static void check_minimum(const struct place *at)
{
	double least = json_double(word(at, "minimum"), 0), is = json_double(at->value, 0);
	bool exclusive = json_bool(word(at, "exclusiveMinimum"));

	if (exclusive ? is <= least : is < least)
		wrong(at, at->value,
		      BODY(at, "should be greater than %s%s", exclusive ? "" : "or equal to ", number_text(at, "minimum")));
}

static void check_multiple(const struct place *at)
{
	double factor = json_double(word(at, "multipleOf"), 1), times = json_double(at->value, 0) / factor;

	if (fabs(times - nearbyint(times)) > 1e-9)
		wrong(at, at->value, BODY(at, "should be a multiple of %s", number_text(at, "multipleOf")));
}

/* ---- lists ---- */

static void check_max_items(const struct place *at)
{
	int64_t most = json_int(word(at, "maxItems"), 0);

	if ((int64_t)json_len(at->value) > most)
		finding_too_many(at->f, name_of(at), json_len(at->value), (size_t)most);
}

static void check_min_items(const struct place *at)
{
	int64_t least = json_int(word(at, "minItems"), 0);

	if ((int64_t)json_len(at->value) < least)
		wrong(at, json_number(at->f->arena, (int64_t)json_len(at->value)),
		      BODY(at, "should have at least %lld items", (long long)least));
}

/* The keys of an item as upstream shows them. */
static const struct json *keys_shown(struct arena *arena, const struct json *keys, const struct json *item)
{
	struct json_builder b = { .arena = arena };

	JSON_EACH (keys, it)
		json_builder_member(&b, json_str(it.value), json_find(item, json_str(it.value)));
	json_builder_sort(&b);
	return json_builder_object(&b);
}

static void check_list_type(const struct place *at)
{
	struct str type = json_str(word(at, "x-kubernetes-list-type"));
	const struct json *keys = word(at, "x-kubernetes-list-map-keys");
	bool map = str_is(type, "map");

	if (!map && !str_is(type, "set"))
		return;
	struct places seen = { .arena = at->f->arena };
	JSON_EACH (at->value, it) {
		const struct json *shown = map ? keys_shown(at->f->arena, keys, it.value) : it.value;
		if ((!map || json_len(keys) != 0) && places_add(&seen, json_key(at->f->arena, shown), it.index) != it.index)
			finding_duplicate(at->f, AT(at->f, "%s[%zu]", name_of(at), it.index), shown);
	}
}

/* What the old list has for an item: by its keys, else by its place. */
static void check_items(const struct place *at)
{
	const struct json *keys = word(at, "x-kubernetes-list-map-keys");
	bool map = str_is(json_str(word(at, "x-kubernetes-list-type")), "map") && json_len(keys) != 0;
	struct places old = { .arena = at->f->arena };

	JSON_EACH (map ? at->old : NULL, it)
		places_add(&old, json_key(old.arena, keys_shown(old.arena, keys, it.value)), it.index);
	JSON_EACH (at->value, it) {
		size_t place = map ? places_find(&old, json_key(old.arena, keys_shown(old.arena, keys, it.value))) : it.index;
		check(&(struct place){ at->f, word(at, "items"), it.value, json_at(at->old, place),
				       AT(at->f, "%s[%zu]", at->path, it.index) });
	}
}

/* ---- objects ---- */

static void check_max_properties(const struct place *at)
{
	int64_t most = json_int(word(at, "maxProperties"), 0);

	if ((int64_t)json_len(at->value) > most)
		finding_too_many(at->f, name_of(at), json_len(at->value), (size_t)most);
}

static void check_min_properties(const struct place *at)
{
	int64_t least = json_int(word(at, "minProperties"), 0);

	if ((int64_t)json_len(at->value) < least)
		wrong(at, json_number(at->f->arena, (int64_t)json_len(at->value)),
		      BODY(at, "should have at least %lld properties", (long long)least));
}

static void check_member(const struct place *at, const struct json *schema, struct str key, const struct json *value)
{
	const char *path = at->path[0] == 0 ? str_cstr(at->f->arena, key) : AT(at->f, "%s.%.*s", at->path, STR_ARG(key));

	check(&(struct place){ at->f, schema, value, json_find(at->old, key), path });
}

static void check_properties(const struct place *at)
{
	JSON_EACH (word(at, "properties"), it)
		if (json_find(at->value, it.key) != NULL)
			check_member(at, it.value, it.key, json_find(at->value, it.key));
}

static void check_additional(const struct place *at)
{
	const struct json *schema = word(at, "additionalProperties"), *known = word(at, "properties");

	JSON_EACH (json_is(schema, JSON_OBJECT) ? at->value : NULL, it)
		if (json_find(known, it.key) == NULL)
			check_member(at, schema, it.key, it.value);
}

static void check_required(const struct place *at)
{
	JSON_EACH (word(at, "required"), it)
		if (json_find(at->value, json_str(it.value)) == NULL)
			finding_required(at->f,
					 at->path[0] == 0 ? str_cstr(at->f->arena, json_str(it.value))
							  : AT(at->f, "%s.%.*s", name_of(at), STR_ARG(json_str(it.value))),
					 "");
}

/* ---- any value ---- */

static void check_enum(const struct place *at)
{
	const struct json *list = word(at, "enum");
	const char **words = ARENA_ARRAY(at->f->arena, const char *, json_len(list) + 1);

	JSON_EACH (list, it) {
		if (json_equal(it.value, at->value))
			return;
		words[it.index] = json_is(it.value, JSON_STRING) ? str_cstr(at->f->arena, json_str(it.value))
								 : json_format(at->f->arena, it.value).ptr;
	}
	finding_unsupported_value(at->f, name_of(at), at->value, words, json_len(list));
}

/* Findings of one alternative alone. */
static struct api_findings try(const struct place *at, const struct json *schema)
{
	struct api_findings alone = { .arena = at->f->arena };

	check(&(struct place){ &alone, schema, at->value, NULL, at->path });
	return alone;
}

static void take_over(const struct place *at, const struct api_findings *from)
{
	for (size_t i = 0; i < from->len; i++)
		finding_copy(at->f, &from->items[i]);
}

static void say_of_whole(const struct place *at, const char *text)
{
	finding_invalid_text(at->f, "<nil>", STR(""), text);
}

static void check_all_of(const struct place *at)
{
	size_t good = 0, all = json_len(word(at, "allOf"));

	JSON_EACH (word(at, "allOf"), it) {
		struct api_findings alone = try(at, it.value);
		good += alone.len == 0;
		take_over(at, &alone);
	}
	if (good != all)
		say_of_whole(at, AT(at->f, "\"%s\" must validate all the schemas (allOf)%s", at->path,
				    good == 0 ? ". None validated" : ""));
}

/* The failures that are told are those of the alternative that came closest. */
static size_t count_good(const struct place *at, const char *name, struct api_findings *best)
{
	size_t good = 0;

	JSON_EACH (word(at, name), it) {
		struct api_findings alone = try(at, it.value);
		good += alone.len == 0;
		if (it.index == 0 || alone.len < best->len)
			*best = alone;
	}
	return good;
}

static void check_any_of(const struct place *at)
{
	struct api_findings best = { 0 };

	if (count_good(at, "anyOf", &best) != 0)
		return;
	say_of_whole(at, AT(at->f, "\"%s\" must validate at least one schema (anyOf)", at->path));
	take_over(at, &best);
}

static void check_one_of_schemas(const struct place *at)
{
	struct api_findings best = { 0 };
	size_t good = count_good(at, "oneOf", &best);

	if (good == 1)
		return;
	if (good > 1) {
		say_of_whole(at, AT(at->f, "\"%s\" must validate one and only one schema (oneOf). Found %zu valid alternatives",
				    at->path, good));
		return;
	}
	say_of_whole(at, AT(at->f, "\"%s\" must validate one and only one schema (oneOf). Found none valid", at->path));
	take_over(at, &best);
}

static void check_not(const struct place *at)
{
	if (try(at, word(at, "not")).len == 0)
		say_of_whole(at, AT(at->f, "\"%s\" must not validate the schema (not)", at->path));
}

#define OF(type) (1u << (type))
#define ANY      UINT32_MAX

static const struct {
	const char *word;
	unsigned types; /* of values it speaks of */
	void (*check)(const struct place *at);
} keywords[] = {
	{ "anyOf", ANY, check_any_of },
	{ "oneOf", ANY, check_one_of_schemas },
	{ "allOf", ANY, check_all_of },
	{ "not", ANY, check_not },
	{ "maxLength", OF(JSON_STRING), check_max_length },
	{ "minLength", OF(JSON_STRING), check_min_length },
	{ "pattern", OF(JSON_STRING), check_pattern },
	{ "format", OF(JSON_STRING), check_format },
	{ "format", OF(JSON_NUMBER), check_range },
	{ "multipleOf", OF(JSON_NUMBER), check_multiple },
	{ "maximum", OF(JSON_NUMBER), check_maximum },
	{ "minimum", OF(JSON_NUMBER), check_minimum },
	{ "minItems", OF(JSON_ARRAY), check_min_items },
	{ "maxItems", OF(JSON_ARRAY), check_max_items },
	{ "items", OF(JSON_ARRAY), check_items },
	{ "x-kubernetes-list-type", OF(JSON_ARRAY), check_list_type },
	{ "enum", ANY, check_enum },
	{ "minProperties", OF(JSON_OBJECT), check_min_properties },
	{ "maxProperties", OF(JSON_OBJECT), check_max_properties },
	{ "additionalProperties", OF(JSON_OBJECT), check_additional },
	{ "properties", OF(JSON_OBJECT), check_properties },
	{ "required", OF(JSON_OBJECT), check_required },
};

static void check(const struct place *at)
{
	/* Faults that were there before are forgiven while nobody touches them. */
	if (at->old != NULL && json_equal(at->old, at->value))
		return;
	if (!right_type(at)) {
		check_type(at);
		return;
	}
	if (at->value->type == JSON_NULL)
		return; /* the schema allows it */
	for (size_t i = 0; i < N_OF(keywords); i++)
		if ((keywords[i].types & OF(at->value->type)) != 0 && word(at, keywords[i].word) != NULL)
			keywords[i].check(at);
}

/* At most so many levels are looked into. */
static size_t depth_of(const struct json *value, size_t most)
{
	size_t deepest = 0;

	JSON_EACH (most != 0 ? value : NULL, it) {
		size_t below = depth_of(it.value, most - 1);
		deepest = below > deepest ? below : deepest;
	}
	return deepest + 1;
}

bool api_schema_too_deep(const struct json *schema)
{
	return depth_of(schema, LIMIT_SCHEMA_DEPTH + 1) > LIMIT_SCHEMA_DEPTH;
}

void api_check_schema(struct api_findings *f, const struct json *schema, const struct json *value, const struct json *old)
{
	if (schema != NULL)
		check(&(struct place){ f, schema, value, old, "" });
}
