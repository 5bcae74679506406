#include "api/names.h"
#include "api/selector.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

TEST(selectors_parse_and_match)
{
	static const char labels[] = "{\"app\":\"a\",\"n\":\"5\",\"empty\":\"\"}";
	static const struct {
		const char *text, *again;
		bool matches;
	} trials[] = {
		{ "", "", true },
		{ "app=a", "app=a", true },
		{ "app==a", "app==a", true },
		{ "app!=a", "app!=a", false },
		{ "app in (b, a)", "app in (a,b)", true },
		{ "app notin (a)", "app notin (a)", false },
		{ "x notin (a)", "x notin (a)", true },
		{ "app", "app", true },
		{ "!app", "!app", false },
		{ "!x", "!x", true },
		{ "n>4", "n>4", true },
		{ "n<5", "n<5", false },
		{ "app>1", "app>1", false },
		{ "empty=", "empty=", true },
		{ "empty in ()", "empty in ()", true },
		{ "app in (,a)", "app in (,a)", true },
		{ "n=5,app=a", "app=a,n=5", true },
		{ "n=5,app=b", "app=b,n=5", false },
		{ "in=in", "in=in", false },
		{ "example.com/x", "example.com/x", false },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct selector s;
		CHECK_OK(selector_parse(arena, str_from(trials[i].text), &s));
		CHECK_STR(selector_text(arena, &s), trials[i].again);
		CHECK_EQ(selector_matches(&s, from(arena, labels)), trials[i].matches);
	}
	arena_free(arena);
}

TEST(selectors_say_what_is_wrong)
{
	static const struct {
		const char *text, *want;
	} trials[] = {
		{ "a=b=c", "found '=', expected: ',' or 'end of string'" },
		{ "a in b", "unable to parse requirement: found 'b' expected: '('" },
		{ "a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt" },
		{ "!", "unable to parse requirement: found '', expected: identifier" },
		{ "a>>b", "unable to parse requirement: found '>', expected: identifier" },
		{ "a in (b", "unable to parse requirement: found '', expected: ',' or ')'" },
		{ "a,", "found '', expected: identifier after ','" },
		{ ")", "found ')', expected: !, identifier, or 'end of string'" },
		{ "-a",
		  "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters, '-', '_' "
		  "or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
		  "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')" },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct selector s;
		AUTO_ERROR err = selector_parse(arena, str_from(trials[i].text), &s);
		CHECK(err != NULL);
		CHECK_STR(err->text, trials[i].want);
	}
	arena_free(arena);
}

TEST(selectors_from_objects)
{
	struct arena *arena = arena_new();
	const struct json *labels = from(arena, "{\"app\":\"a\",\"tier\":\"x\"}");
	struct selector s;

	CHECK_OK(selector_from_object(arena, NULL, &s));
	CHECK(!selector_matches(&s, labels));
	CHECK_OK(selector_from_object(arena, &json_empty_object, &s));
	CHECK(selector_matches(&s, NULL) && selector_everything(&s));
	CHECK_OK(selector_from_object(
		arena,
		from(arena, "{\"matchLabels\":{\"app\":\"a\"},\"matchExpressions\":[{\"key\":\"tier\","
			    "\"operator\":\"In\",\"values\":[\"y\",\"x\"]},{\"key\":\"old\",\"operator\":\"DoesNotExist\"}]}"),
		&s));
	CHECK(selector_matches(&s, labels));
	CHECK_STR(selector_text(arena, &s), "app=a,!old,tier in (x,y)");
	CHECK(!selector_matches(&s, from(arena, "{\"app\":\"a\",\"tier\":\"x\",\"old\":\"\"}")));
	CHECK_ERR(selector_from_object(arena, from(arena, "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Is\"}]}"), &s),
		  ERR_BAD_REQUEST);
	CHECK_ERR(selector_from_object(arena, from(arena, "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}"), &s),
		  ERR_BAD_REQUEST);
	selector_from_map(arena, labels, &s);
	CHECK(selector_matches(&s, labels));
	arena_free(arena);
}

TEST(field_selectors)
{
	static const struct {
		const char *kind, *text;
		bool matches;
		const char *error;
	} trials[] = {
		{ "Pod", "metadata.name=p", true, NULL },
		{ "Pod", "spec.nodeName=", false, NULL },
		{ "Pod", "spec.host==n1,status.phase!=Failed", true, NULL },
		{ "Pod", "spec.hostNetwork=false", true, NULL },
		{ "Pod", "metadata.name=a\\,b", false, NULL },
		{ "Pod", "spec.containers=a", false, "field label not supported: spec.containers" },
		{ "ConfigMap", "spec.foo=a", false,
		  "\"spec.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"" },
		{ "ConfigMap", "metadata.name", false, "invalid selector: 'metadata.name'; can't understand 'metadata.name'" },
		{ "ConfigMap", "metadata.name>a", false,
		  "invalid selector: 'metadata.name>a'; can't understand 'metadata.name>a'" },
		{ "ConfigMap", "metadata.name=a\\x", false, "invalid field selector: invalid escape sequence: \\x" },
	};
	struct arena *arena = arena_new();
	const struct json *tree =
		from(arena, "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\"}}");

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		const struct kind *kind = kind_must("v1", trials[i].kind);
		struct field_selector s;
		AUTO_ERROR err = field_selector_parse(arena, str_from(trials[i].text), kind, &s);
		if (trials[i].error != NULL) {
			CHECK(err != NULL);
			CHECK_STR(err->text, trials[i].error);
			continue;
		}
		CHECK(err == NULL);
		CHECK_EQ(field_selector_matches(&s, kind, tree), trials[i].matches);
	}
	struct field_selector s;
	struct str name;
	CHECK_OK(field_selector_parse(arena, STR("metadata.name=x"), kind_must("v1", "Pod"), &s));
	CHECK(field_selector_exact(&s, "metadata.name", &name));
	CHECK_STR(name, "x");
	CHECK(!field_selector_exact(&s, "metadata.namespace", &name));
	arena_free(arena);
}

TEST(names_follow_upstreams_rules)
{
	static const struct {
		struct complaints (*rule)(struct str);
		const char *name;
		int complaints;
	} trials[] = {
		{ name_dns_label, "a-1", 0 },
		{ name_dns_label, "a.b", 1 },
		{ name_dns_label, "A", 1 },
		{ name_dns_label, "", 1 },
		{ name_dns_label, "-a", 1 },
		{ name_dns_subdomain, "a.b-c.d", 0 },
		{ name_dns_subdomain, "a..b", 1 },
		{ name_dns_subdomain, "a.", 1 },
		{ name_dns1035_label, "1a", 1 },
		{ name_label_key, "a/b", 0 },
		{ name_label_key, "a/b/c", 1 },
		{ name_label_key, "/b", 1 },
		{ name_label_key, "a/", 2 },
		{ name_label_key, "A.com/b", 1 },
		{ name_annotation_key, "A.com/b", 0 },
		{ name_label_value, "", 0 },
		{ name_label_value, "a_", 1 },
		{ name_path_segment, "..", 1 },
		{ name_path_segment, "a/b%", 2 },
		{ name_port, "http", 0 },
		{ name_port, "a--b", 1 },
		{ name_port, "80", 1 },
		{ name_port, "-toolong-toolong", 2 },
		{ name_config_key, "..a", 1 },
		{ name_config_key, "a b", 1 },
		{ name_env_var, "A=B", 1 },
		{ name_env_var, "a b", 0 },
		{ name_c_identifier, "_a1", 0 },
		{ name_c_identifier, "1a", 1 },
		{ name_percent, "5%", 0 },
		{ name_percent, "%", 1 },
		{ name_http_header, "X-A", 0 },
		{ name_http_header, "X A", 1 },
		{ name_wildcard_subdomain, "*.a.b", 0 },
		{ name_wildcard_subdomain, "a.b", 1 },
	};
	int64_t n;
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		if (trials[i].rule(str_from(trials[i].name)).n != trials[i].complaints)
			tap_fail(__FILE__, __LINE__, "\"%s\" has %d complaints, not %d", trials[i].name,
				 trials[i].rule(str_from(trials[i].name)).n, trials[i].complaints);
	CHECK_EQ(name_prefix(name_dns_label, STR("a-")).n, 0);
	CHECK_EQ(name_prefix(name_dns_label, STR("-")).n, 1);
	CHECK(intstr_scaled(json_text(arena, "25%"), 10, true, &n));
	CHECK_EQ(n, 3);
	CHECK(intstr_scaled(json_text(arena, "25%"), 10, false, &n));
	CHECK_EQ(n, 2);
	CHECK(intstr_scaled(json_number(arena, 7), 10, false, &n));
	CHECK_EQ(n, 7);
	CHECK(!intstr_scaled(json_text(arena, "x%"), 10, false, &n));
	arena_free(arena);
}
