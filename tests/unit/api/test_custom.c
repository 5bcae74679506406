/* Schemas that come at run time: validation keyword by keyword, patterns, paths of columns, and what cannot be described. */
#include "api/custom.h"
#include "api/jsonpath.h"
#include "tests/unit/tap.h"

/* Findings as "field: message" lines. */
static struct str findings_text(struct arena *arena, const char *schema, const char *value, const char *old)
{
	struct api_findings f = { .arena = arena };
	const struct json *s, *v, *o = NULL;
	AUTO_BUF struct buf out = { 0 };

	CHECK_OK(json_read(arena, str_from(schema), NULL, &s));
	CHECK_OK(json_read(arena, str_from(value), NULL, &v));
	if (old != NULL)
		CHECK_OK(json_read(arena, str_from(old), NULL, &o));
	api_check_schema(&f, s, v, o);
	for (size_t i = 0; i < f.len; i++)
		buf_printf(&out, "%s%s: %s", i == 0 ? "" : "\n", f.items[i].field, f.items[i].message);
	return str_dup(arena, buf_str(&out));
}

#define OF(schema) "{\"type\":\"object\",\"properties\":{\"a\":" schema "}}"

TEST(schema_keywords)
{
	static const struct {
		const char *schema, *value, *findings;
	} rows[] = {
		{ OF("{\"type\":\"string\"}"), "{\"a\":\"x\"}", "" },
		{ OF("{\"type\":\"string\"}"), "{\"a\":null}",
		  "a: Invalid value: \"null\": a in body must be of type string: \"null\"" },
		{ OF("{\"type\":\"string\",\"nullable\":true,\"minLength\":1}"), "{\"a\":null}", "" },
		{ OF("{\"type\":\"integer\"}"), "{\"a\":1.5}",
		  "a: Invalid value: \"number\": a in body must be of type integer: \"number\"" },
		{ OF("{\"type\":\"number\"}"), "{\"a\":1}", "" },
		{ OF("{\"type\":\"boolean\"}"), "{\"a\":[]}",
		  "a: Invalid value: \"array\": a in body must be of type boolean: \"array\"" },
		{ OF("{\"x-kubernetes-int-or-string\":true}"), "{\"a\":\"5%\"}", "" },
		{ OF("{\"x-kubernetes-int-or-string\":true}"), "{\"a\":true}",
		  "a: Invalid value: \"boolean\": a in body must be of type integer,string: \"boolean\"" },
		{ OF("{\"type\":\"integer\",\"minimum\":3}"), "{\"a\":2}",
		  "a: Invalid value: 2: a in body should be greater than or equal to 3" },
		{ OF("{\"type\":\"integer\",\"minimum\":3,\"exclusiveMinimum\":true}"), "{\"a\":3}",
		  "a: Invalid value: 3: a in body should be greater than 3" },
		{ OF("{\"type\":\"integer\",\"maximum\":3}"), "{\"a\":4}",
		  "a: Invalid value: 4: a in body should be less than or equal to 3" },
		{ OF("{\"type\":\"integer\",\"maximum\":3,\"exclusiveMaximum\":true}"), "{\"a\":3}",
		  "a: Invalid value: 3: a in body should be less than 3" },
		{ OF("{\"type\":\"integer\",\"multipleOf\":4}"), "{\"a\":6}",
		  "a: Invalid value: 6: a in body should be a multiple of 4" },
		{ OF("{\"type\":\"number\",\"multipleOf\":0.1}"), "{\"a\":0.3}", "" },
		{ OF("{\"type\":\"string\",\"maxLength\":2}"), "{\"a\":\"\\u00e4\\u00f6\"}", "" },
		{ OF("{\"type\":\"string\",\"maxLength\":2}"), "{\"a\":\"abc\"}", "a: Too long: may not be more than 2 bytes" },
		{ OF("{\"type\":\"string\",\"minLength\":2}"), "{\"a\":\"a\"}",
		  "a: Invalid value: \"a\": a in body should be at least 2 chars long" },
		{ OF("{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":1}"), "{\"a\":[\"x\",\"y\"]}",
		  "a: Too many: 2: must have at most 1 item" },
		{ OF("{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1}"), "{\"a\":[]}",
		  "a: Invalid value: 0: a in body should have at least 1 items" },
		{ OF("{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"x-kubernetes-list-type\":\"set\"}"),
		  "{\"a\":[\"x\",\"y\",\"x\"]}", "a[2]: Duplicate value: \"x\"" },
		{ OF("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},\"maxProperties\":1}"),
		  "{\"a\":{\"x\":1,\"y\":\"z\"}}",
		  "a: Too many: 2: must have at most 1 item\n"
		  "a.y: Invalid value: \"string\": a.y in body must be of type integer: \"string\"" },
		{ OF("{\"type\":\"object\",\"minProperties\":1}"), "{\"a\":{}}",
		  "a: Invalid value: 0: a in body should have at least 1 properties" },
		{ OF("{\"type\":\"object\",\"required\":[\"b\"]}"), "{\"a\":{}}", "a.b: Required value" },
		{ OF("{\"enum\":[1,\"two\"]}"), "{\"a\":3}", "a: Unsupported value: 3: supported values: \"1\", \"two\"" },
		{ OF("{\"type\":\"string\",\"format\":\"date-time\"}"), "{\"a\":\"monday\"}",
		  "a: Invalid value: \"monday\": a in body must be of type date-time: \"monday\"" },
		{ OF("{\"type\":\"string\",\"format\":\"ipv4\"}"), "{\"a\":\"10.0.0.1\"}", "" },
		{ OF("{\"type\":\"string\",\"format\":\"whatever\"}"), "{\"a\":\"x\"}", "" },
		{ OF("{\"anyOf\":[{\"required\":[\"x\"]},{\"required\":[\"y\"]}]}"), "{\"a\":{\"y\":1}}", "" },
		{ OF("{\"anyOf\":[{\"required\":[\"x\"]},{\"required\":[\"y\"]}]}"), "{\"a\":{}}",
		  "<nil>: Invalid value: \"\": \"a\" must validate at least one schema (anyOf)\na.x: Required value" },
		{ OF("{\"oneOf\":[{\"required\":[\"x\"]},{\"required\":[\"y\"]}]}"), "{\"a\":{\"y\":1,\"x\":1}}",
		  "<nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found 2 valid alternatives" },
		{ OF("{\"oneOf\":[{\"required\":[\"x\"]},{\"required\":[\"y\"]}]}"), "{\"a\":{}}",
		  "<nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found none valid\na.x: Required value" },
		{ OF("{\"allOf\":[{\"minimum\":3},{\"multipleOf\":2}]}"), "{\"a\":2}",
		  "a: Invalid value: 2: a in body should be greater than or equal to 3\n"
		  "<nil>: Invalid value: \"\": \"a\" must validate all the schemas (allOf)" },
		{ OF("{\"not\":{\"enum\":[1]}}"), "{\"a\":1}",
		  "<nil>: Invalid value: \"\": \"a\" must not validate the schema (not)" },
		{ OF("{\"not\":{\"enum\":[1]}}"), "{\"a\":2}", "" },
		{ "{\"type\":\"object\",\"required\":[\"spec\"]}", "{}", "spec: Required value" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *arena = arena_new();
		struct str got = findings_text(arena, rows[i].schema, rows[i].value, NULL);
		if (!str_is(got, rows[i].findings))
			tap_fail(__FILE__, __LINE__, "%s of %s:\n# %.*s\n# not\n# %s", rows[i].value, rows[i].schema, STR_ARG(got),
				 rows[i].findings);
		arena_free(arena);
	}
}

TEST(schema_forgives_what_did_not_change)
{
	static const char schema[] =
		OF("{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\"],"
		   "\"items\":{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"},"
		   "\"n\":{\"type\":\"integer\",\"minimum\":5}}}}");
	static const char old[] = "{\"a\":[{\"k\":\"x\",\"n\":1},{\"k\":\"y\",\"n\":2}]}";
	struct arena *arena = arena_new();

	CHECK_STR(findings_text(arena, schema, "{\"a\":[{\"k\":\"y\",\"n\":2},{\"k\":\"x\",\"n\":7}]}", old), "");
	CHECK_STR(findings_text(arena, schema, "{\"a\":[{\"k\":\"y\",\"n\":1}]}", old),
		  "a[0].n: Invalid value: 1: a[0].n in body should be greater than or equal to 5");
	arena_free(arena);
}

TEST(schema_patterns)
{
	static const struct {
		const char *pattern, *yes, *no;
	} rows[] = {
		{ "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "web-1", "-web" },
		{ "^\\\\d+$", "123", "12a" },
		{ "^(?:a|b)+?$", "abab", "abc" },
		{ "^[\\\\w.-]+$", "a_b.c-d", "a b" },
		{ "^[\\\\d\\\\-]{2,3}$", "1-2", "1234" },
		{ "^[^\\\\s]+$", "ab", "a b" },
		{ "^\\\\S+\\\\.\\\\S+$", "a.b", "ab" },
		{ "(?i)^yes$", "YES", "no" },
		{ "^a\\\\/b$", "a/b", "a\\\\/b" },
		{ "b", "abc", "ac" },
		{ "^[\\\\]x]+$", "x]x", "y" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *arena = arena_new();
		const char *schema = arena_printf(arena, "{\"type\":\"string\",\"pattern\":\"%s\"}", rows[i].pattern);
		if (findings_text(arena, schema, arena_printf(arena, "\"%s\"", rows[i].yes), NULL).len != 0)
			tap_fail(__FILE__, __LINE__, "%s does not match %s", rows[i].pattern, rows[i].yes);
		if (findings_text(arena, schema, arena_printf(arena, "\"%s\"", rows[i].no), NULL).len == 0)
			tap_fail(__FILE__, __LINE__, "%s matches %s", rows[i].pattern, rows[i].no);
		arena_free(arena);
	}
	CHECK(!api_pattern_valid(STR("a(b")));
	CHECK(!api_pattern_valid(STR("a[b")));
	CHECK(!api_pattern_valid(STR("a\\")));
	/* What would fill the memory is refused, what is merely long is not. */
	CHECK(!api_pattern_valid(STR("((a{1,999}){1,999}){1,999}")));
	CHECK(!api_pattern_valid(STR("a{1,1001}")));
	CHECK(api_pattern_valid(STR(
		"^(([0-9a-fA-F]{1,4}:){7,7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-f]{1,4})$")));
	CHECK(api_pattern_valid(STR("^([a-z]([-a-z0-9]{0,61}[a-z0-9])?\\.){1,20}[a-z]{2,63}$")));
}

TEST(column_paths)
{
	static const char text[] =
		"{\"spec\":{\"list\":[{\"t\":\"a\",\"n\":1},{\"t\":\"b\",\"n\":2}],\"x.y\":3,\"m\":{\"k\":true}}}";
	static const struct {
		const char *path, *value;
	} rows[] = {
		{ ".spec.list[0].n", "1" },
		{ "{.spec.list[-1].n}", "2" },
		{ "$.spec.list[*].t", "\"a\"" },
		{ ".spec.list[?(@.t==\"b\")].n", "2" },
		{ ".spec.list[?(@.t!='a')].n", "2" },
		{ ".spec.list[?(@.n==2)].t", "\"b\"" },
		{ ".spec.x\\.y", "3" },
		{ ".spec['x.y']", "3" },
		{ ".spec.m.*", "true" },
		{ ".spec.list[7].n", "" },
		{ ".spec.no.way", "" },
	};
	struct arena *arena = arena_new();
	const struct json *tree;

	CHECK_OK(json_read(arena, str_from(text), NULL, &tree));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct json *value = jsonpath_first(arena, str_from(rows[i].path), tree);
		CHECK(jsonpath_valid(arena, str_from(rows[i].path)));
		CHECK_STR(value == NULL ? STR("") : json_format(arena, value), rows[i].value);
	}
	CHECK(!jsonpath_valid(arena, STR(".spec.list[")));
	CHECK(!jsonpath_valid(arena, STR("..spec")));
	CHECK(!jsonpath_valid(arena, STR(".a[x]")));
	arena_free(arena);
}

TEST(descriptions_that_cannot_be_served)
{
	static const char *const specs[] = {
		"{\"group\":\"g\",\"names\":{\"kind\":\"K\",\"plural\":\"ks\"},\"versions\":[]}",
		"{\"group\":\"g\",\"names\":{\"kind\":\"K\",\"plural\":\"ks\"},\"versions\":[{\"name\":\"v1\",\"storage\":true},"
		"{\"name\":\"v2\",\"storage\":true}]}",
		"{\"group\":\"g\",\"names\":{\"kind\":\"K\"},\"versions\":[{\"name\":\"v1\",\"storage\":true}]}",
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		const struct json *spec;
		struct custom *custom = NULL;

		CHECK_OK(json_read(arena, str_from(specs[i]), NULL, &spec));
		CHECK_ERR(custom_new(spec, STR(""), &custom), ERR_INVALID);
		CHECK(custom == NULL);
	}
	arena_free(arena);
}

TEST(schemas_have_a_bound)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf text = { 0 };
	const struct json *schema;

	for (int i = 0; i < 60; i++)
		buf_add(&text, STR("{\"type\":\"array\",\"items\":"));
	buf_add(&text, STR("{\"type\":\"string\"}"));
	for (int i = 0; i < 60; i++)
		buf_putc(&text, '}');
	CHECK_OK(json_read(arena, buf_str(&text), NULL, &schema));
	CHECK(!api_schema_too_deep(schema));
	for (int i = 0; i < 9000; i++)
		schema = JSON_OBJECT_OF(arena, { "items", schema });
	CHECK(api_schema_too_deep(schema));
	arena_free(arena);
}

/* Objects keep their kind: it may be forgotten while they are held. */
TEST(an_object_outlives_its_kind)
{
	static const char spec_text[] =
		"{\"group\":\"example.com\",\"scope\":\"Cluster\",\"names\":{\"kind\":\"Thing\",\"plural\":\"things\"},"
		"\"versions\":[{\"name\":\"v1beta1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":"
		"{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"default\":4}}}}}]}";
	struct arena *arena = arena_new();
	struct custom *custom = NULL;
	const struct json *spec;
	struct object *object;
	struct bytes *bytes =
		bytes_new(STR("{\"kind\":\"Thing\",\"apiVersion\":\"example.com/v1beta1\",\"metadata\":{\"name\":\"t\"},\"x\":1}"));
	size_t before = kinds_len();
	uint64_t generation = kinds_generation();

	CHECK_OK(json_read(arena, str_from(spec_text), NULL, &spec));
	CHECK_OK(custom_new(spec, STR(""), &custom));
	arena_free(arena);
	CHECK_EQ(kinds_len(), before);
	custom_register(custom);
	CHECK_EQ(kinds_len(), before + 1);
	CHECK(kinds_generation() != generation);
	CHECK_STR(kind_singular(kind_must("example.com/v1beta1", "Thing")), "thing");
	CHECK(type_find_named(STR("example.com"), STR("v1beta1"), STR("ThingList")) != NULL);
	object = object_from_bytes(custom_at(custom, 0), bytes, 7);
	custom_unregister(custom);
	custom_unref(custom);
	CHECK_EQ(kinds_len(), before);
	CHECK(kind_is_gone(object_kind(object)));
	CHECK_EQ(json_int(json_get(object_tree(object), "n"), 0), 4);
	CHECK(json_get(object_tree(object), "x") == NULL);
	CHECK(object_proto(object) == NULL);
	CHECK_STR(kind_name(object_kind(object)), "Thing");
	object_unref(object);
	bytes_unref(bytes);
}
