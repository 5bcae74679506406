/* Rules and words: k8s.io/apimachinery/pkg/api/validate/content and pkg/util/validation. */
#include <string.h>

#include "api/names.h"
#include "base/arena.h"
#include "base/ip.h"

static void complain(struct complaints *c, const char *text)
{
	if (c->n < (int)(sizeof(c->text) / sizeof(c->text[0])))
		c->text[c->n++] = text;
}

#define LABEL     "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define SUBDOMAIN LABEL "(\\." LABEL ")*"
#define KEY       "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define KEY_RULE                                                                                                                   \
	"must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "         \
	"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '" KEY "')"

static const char not_label[] =
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
	"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '" LABEL "')";
static const char not_subdomain[] =
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
	"with an alphanumeric character (e.g. 'example.com', regex used for validation is '" SUBDOMAIN "')";
static const char not_search_domain[] =
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and "
	"end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
	"'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
static const char prefix_not_subdomain[] =
	"prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
	"start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '" SUBDOMAIN "')";
static const char prefix_not_caseless_subdomain[] =
	"prefix part an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an "
	"alphanumeric character (e.g. 'example.com', regex used for validation is '" SUBDOMAIN "')";

static bool lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool alphanumeric(char c)
{
	return lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* Edges alphanumeric, inside also one of extra. */
static bool shaped(struct str s, bool (*edge)(char), const char *extra)
{
	if (s.len == 0 || !edge(s.ptr[0]) || !edge(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!edge(s.ptr[i]) && (s.ptr[i] == 0 || strchr(extra, s.ptr[i]) == NULL))
			return false;
	return true;
}

static bool is_subdomain(struct str s, bool (*edge)(char))
{
	struct str piece, rest = s;

	if (s.len == 0 || s.ptr[s.len - 1] == '.')
		return false;
	while (str_cut(&rest, '.', &piece))
		if (!shaped(piece, edge, "-"))
			return false;
	return true;
}

struct complaints name_dns_label(struct str s)
{
	struct complaints c = { 0 };

	if (s.len > 63)
		complain(&c, "must be no more than 63 characters");
	if (!shaped(s, lower_or_digit, "-"))
		complain(&c, is_subdomain(s, lower_or_digit) ? "must not contain dots" : not_label);
	return c;
}

struct complaints name_dns_subdomain(struct str s)
{
	struct complaints c = { 0 };

	if (s.len > 253)
		complain(&c, "must be no more than 253 characters");
	if (!is_subdomain(s, lower_or_digit))
		complain(&c, not_subdomain);
	return c;
}

struct complaints name_search_domain(struct str s)
{
	struct str piece, rest = s;
	struct complaints c = { 0 };
	bool good = s.len != 0 && s.ptr[s.len - 1] != '.';

	while (good && str_cut(&rest, '.', &piece)) {
		if (piece.len != 0 && piece.ptr[0] == '_')
			piece = str_skip(piece, 1);
		good = shaped(piece, lower_or_digit, "-_");
	}
	if (s.len > 253)
		complain(&c, "must be no more than 253 characters");
	if (!good)
		complain(&c, not_search_domain);
	return c;
}

struct complaints name_dns1035_label(struct str s)
{
	struct complaints c = { 0 };

	if (s.len > 63)
		complain(&c, "must be no more than 63 characters");
	if (!shaped(s, lower_or_digit, "-") || (s.ptr[0] >= '0' && s.ptr[0] <= '9'))
		complain(&c, "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
			     "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
			     "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')");
	return c;
}

struct complaints name_wildcard_subdomain(struct str s)
{
	struct complaints c = { 0 };

	if (s.len > 253)
		complain(&c, "must be no more than 253 characters");
	if (!str_has_prefix(s, STR("*.")) || !is_subdomain(str_skip(s, 2), lower_or_digit))
		complain(
			&c,
			"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
			"of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. "
			"'*.example.com', regex used for validation is '\\*\\." SUBDOMAIN "')");
	return c;
}

static struct complaints key(struct str s, bool caseless)
{
	struct complaints c = { 0 };
	ptrdiff_t slash = str_find(s, '/');
	struct str prefix = slash < 0 ? STR("") : str_head(s, (size_t)slash), name = str_skip(s, (size_t)(slash + 1));

	if (slash != str_rfind(s, '/')) {
		complain(&c, "a valid label key " KEY_RULE
			     " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
		return c;
	}
	if (slash == 0) {
		complain(&c, "prefix part must be non-empty");
	} else if (slash > 0) {
		if (prefix.len > 253)
			complain(&c, "prefix part must be no more than 253 bytes");
		if (!is_subdomain(prefix, caseless ? alphanumeric : lower_or_digit))
			complain(&c, caseless ? prefix_not_caseless_subdomain : prefix_not_subdomain);
	}
	if (name.len == 0)
		complain(&c, "name part must be non-empty");
	else if (name.len > 63)
		complain(&c, "name part must be no more than 63 bytes");
	if (!shaped(name, alphanumeric, "-_."))
		complain(&c, "name part " KEY_RULE);
	return c;
}

struct complaints name_label_key(struct str s)
{
	return key(s, false);
}

/* Upstream lowers the key before it judges it. */
struct complaints name_annotation_key(struct str s)
{
	struct arena *arena = arena_new();
	struct complaints c = key(str_lower(arena, s), false);

	arena_free(arena);
	return c;
}

struct complaints name_label_value(struct str s)
{
	struct complaints c = { 0 };

	if (s.len > 63)
		complain(&c, "must be no more than 63 bytes");
	if (s.len != 0 && !shaped(s, alphanumeric, "-_."))
		complain(
			&c,
			"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
			"start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
			"validation is '(" KEY ")?')");
	return c;
}

struct complaints name_path_segment(struct str s)
{
	struct complaints c = { 0 };

	if (str_is(s, "."))
		complain(&c, "may not be '.'");
	else if (str_is(s, ".."))
		complain(&c, "may not be '..'");
	if (c.n != 0)
		return c;
	if (str_find(s, '/') >= 0)
		complain(&c, "may not contain '/'");
	if (str_find(s, '%') >= 0)
		complain(&c, "may not contain '%'");
	return c;
}

struct complaints name_ip(struct str s)
{
	struct complaints c = { .n = 0 };
	struct ip ip;

	if (!ip_parse(s, &ip))
		complain(&c, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
	return c;
}

struct complaints name_port(struct str s)
{
	struct complaints c = { 0 };
	bool letter = false, charset = s.len != 0;

	for (size_t i = 0; i < s.len; i++) {
		letter = letter || (s.ptr[i] >= 'a' && s.ptr[i] <= 'z');
		charset = charset && (lower_or_digit(s.ptr[i]) || s.ptr[i] == '-');
	}
	if (s.len > 15)
		complain(&c, "must be no more than 15 characters");
	if (!charset)
		complain(&c, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
	if (!letter)
		complain(&c, "must contain at least one letter (a-z)");
	if (str_contains(s, STR("--")))
		complain(&c, "must not contain consecutive hyphens");
	if (s.len != 0 && (s.ptr[0] == '-' || s.ptr[s.len - 1] == '-'))
		complain(&c, "must not begin or end with a hyphen");
	return c;
}

struct complaints name_port_number(int64_t n)
{
	struct complaints c = { 0 };

	if (n < 1 || n > 65535)
		complain(&c, "must be between 1 and 65535, inclusive");
	return c;
}

struct complaints name_config_key(struct str s)
{
	struct complaints c = { 0 };
	bool good = s.len != 0;

	for (size_t i = 0; i < s.len; i++)
		good = good && (alphanumeric(s.ptr[i]) || s.ptr[i] == '-' || s.ptr[i] == '.' || s.ptr[i] == '_');
	if (s.len > 253)
		complain(&c, "must be no more than 253 characters");
	if (!good)
		complain(&c, "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
			     "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
	if (str_is(s, "."))
		complain(&c, "must not be '.'");
	else if (str_is(s, ".."))
		complain(&c, "must not be '..'");
	else if (str_has_prefix(s, STR("..")))
		complain(&c, "must not start with '..'");
	return c;
}

struct complaints name_env_var(struct str s)
{
	struct complaints c = { 0 };

	if (s.len == 0)
		complain(&c, "environment variable name must be non-empty");
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f && s.ptr[i] != '=')
			continue;
		complain(&c, "a valid environment variable name must consist only of printable ASCII characters other than '='");
		break;
	}
	return c;
}

struct complaints name_c_identifier(struct str s)
{
	struct complaints c = { 0 };
	bool good = s.len != 0 && !(s.ptr[0] >= '0' && s.ptr[0] <= '9');

	for (size_t i = 0; i < s.len; i++)
		good = good && (alphanumeric(s.ptr[i]) || s.ptr[i] == '_');
	if (!good)
		complain(&c,
			 "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
			 "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
			 "'[A-Za-z_][A-Za-z0-9_]*')");
	return c;
}

struct complaints name_http_header(struct str s)
{
	struct complaints c = { 0 };
	bool good = s.len != 0;

	for (size_t i = 0; i < s.len; i++)
		good = good && (alphanumeric(s.ptr[i]) || s.ptr[i] == '-');
	if (!good)
		complain(&c,
			 "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
			 "validation is '[-A-Za-z0-9]+')");
	return c;
}

struct complaints name_percent(struct str s)
{
	struct complaints c = { 0 };
	bool good = s.len > 1 && s.ptr[s.len - 1] == '%';

	for (size_t i = 0; i + 1 < s.len; i++)
		good = good && s.ptr[i] >= '0' && s.ptr[i] <= '9';
	if (!good)
		complain(
			&c,
			"a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used "
			"for validation is '[0-9]+%')");
	return c;
}

/* Upstream's maskTrailingDash: a trailing dash will be followed by the suffix, so it is judged as a letter. */
struct complaints name_prefix(struct complaints (*rule)(struct str), struct str s)
{
	if (s.len <= 1 || s.ptr[s.len - 1] != '-')
		return rule(s);
	struct arena *arena = arena_new();
	struct complaints c = rule(str_format(arena, "%.*sa", STR_ARG(str_head(s, s.len - 2))));
	arena_free(arena);
	return c;
}

bool intstr_scaled(const struct json *value, int64_t total, bool round_up, int64_t *out)
{
	struct str text = json_str(value);
	int64_t percent;

	if (json_is_int(value, out))
		return true;
	if (text.len < 2 || text.ptr[text.len - 1] != '%' || !str_to_i64(str_head(text, text.len - 1), &percent))
		return false;
	*out = (percent * total + (round_up ? 99 : 0)) / 100;
	return true;
}
