#include "apiserver/streams/rewrite.h"

#include <ctype.h>

#define MOST_TAG (64 * 1024)

/* --- one address --- */

static bool is_other_host(const struct rewrite *rewrite, struct str host)
{
	return host.len != 0 && !str_eq(host, rewrite->hosts[0]) && !str_eq(host, rewrite->hosts[1]);
}

struct str rewrite_url(struct arena *arena, const struct rewrite *rewrite, struct str url)
{
	struct str host = STR(""), path = url, before = STR("");
	ptrdiff_t scheme = str_find(url, ':');
	bool absolute = scheme > 0 && str_has_prefix(str_skip(url, (size_t)scheme), STR("://"));

	if (absolute || str_has_prefix(url, STR("//"))) {
		size_t start = absolute ? (size_t)scheme + 3 : 2, end = start;

		while (end < url.len && url.ptr[end] != '/' && url.ptr[end] != '?' && url.ptr[end] != '#')
			end++;
		host = str_head(str_skip(url, start), end - start);
		path = str_skip(url, end);
		/* The address of the server behind keeps its host; one of ours loses it. */
		if (str_eq(host, rewrite->hosts[0]))
			before = str_head(url, end);
	}
	if (is_other_host(rewrite, host) || path.len == 0 || path.ptr[0] != '/')
		return url;
	if (str_has_prefix(path, rewrite->prefix))
		return str_format(arena, "%.*s%.*s", STR_ARG(before), STR_ARG(path));
	return str_format(arena, "%.*s%.*s%.*s", STR_ARG(before), STR_ARG(rewrite->prefix), STR_ARG(path));
}

/* --- HTML --- */

/* Which attributes of which elements hold addresses. */
static const struct {
	const char *element;
	const char *attributes[4];
} rows[] = {
	{ "a", { "href" } },
	{ "applet", { "codebase" } },
	{ "area", { "href" } },
	{ "audio", { "src" } },
	{ "base", { "href" } },
	{ "blockquote", { "cite" } },
	{ "body", { "background" } },
	{ "button", { "formaction" } },
	{ "command", { "icon" } },
	{ "del", { "cite" } },
	{ "embed", { "src" } },
	{ "form", { "action" } },
	{ "frame", { "longdesc", "src" } },
	{ "head", { "profile" } },
	{ "html", { "manifest" } },
	{ "iframe", { "longdesc", "src" } },
	{ "img", { "longdesc", "src", "usemap" } },
	{ "input", { "src", "usemap", "formaction" } },
	{ "ins", { "cite" } },
	{ "link", { "href" } },
	{ "object", { "classid", "codebase", "data", "usemap" } },
	{ "q", { "cite" } },
	{ "script", { "src" } },
	{ "source", { "src" } },
	{ "track", { "src" } },
	{ "video", { "poster", "src" } },
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool holds_address(struct arena *arena, struct str element, struct str attribute)
{
	element = str_lower(arena, element);
	attribute = str_lower(arena, attribute);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int k = 0; k < 4 && rows[i].attributes[k] != NULL; k++)
			if (str_is(element, rows[i].element) && str_is(attribute, rows[i].attributes[k]))
				return true;
	return false;
}

static struct str take_until(struct str *text, const char *stop)
{
	size_t n = 0;

	while (n < text->len && !is_space(text->ptr[n]) && strchr(stop, text->ptr[n]) == NULL)
		n++;
	struct str taken = str_head(*text, n);
	*text = str_skip(*text, n);
	return taken;
}

static void skip_space(struct str *text)
{
	while (text->len != 0 && is_space(text->ptr[0]))
		*text = str_skip(*text, 1);
}

/* The value behind the equals sign, without its quotes. */
static struct str take_value(struct str *text)
{
	char quote = text->len != 0 ? text->ptr[0] : ' ';
	struct str value;
	ptrdiff_t end;

	if (quote != '"' && quote != '\'')
		return take_until(text, ">");
	*text = str_skip(*text, 1);
	end = str_find(*text, quote);
	value = end >= 0 ? str_head(*text, (size_t)end) : *text;
	*text = str_skip(*text, value.len + (end >= 0));
	return value;
}

/* A whole tag, from < to >. */
static void rewrite_tag(struct arena *arena, const struct rewrite *rewrite, struct str tag, struct buf *out)
{
	struct str rest = str_skip(tag, 1), element = take_until(&rest, "/>"), name, value;
	const char *copied = tag.ptr;

	while (rest.len != 0) {
		skip_space(&rest);
		name = take_until(&rest, "=/>");
		skip_space(&rest);
		if (rest.len == 0 || rest.ptr[0] != '=') {
			if (name.len == 0)
				rest = str_skip(rest, rest.len != 0);
			continue;
		}
		rest = str_skip(rest, 1);
		skip_space(&rest);
		value = take_value(&rest);
		if (!holds_address(arena, element, name))
			continue;
		buf_add(out, str_of(copied, (size_t)(value.ptr - copied)));
		buf_add(out, rewrite_url(arena, rewrite, value));
		copied = value.ptr + value.len;
	}
	buf_add(out, str_of(copied, (size_t)(tag.ptr + tag.len - copied)));
}

/* The length of the tag that text begins with; 0: its end is not there. */
static size_t tag_length(struct str text)
{
	char quote = 0;

	for (size_t i = 1; i < text.len; i++) {
		char c = text.ptr[i];

		if (quote != 0)
			quote = c == quote ? 0 : quote;
		else if ((c == '"' || c == '\'') && text.ptr[i - 1] == '=')
			quote = c;
		else if (c == '>')
			return i + 1;
	}
	return 0;
}

void rewrite_html(const struct rewrite *rewrite, struct buf *rest, bool end, struct buf *out)
{
	struct arena *arena = arena_new();
	struct str text = buf_str(rest);
	struct buf left = { 0 };

	while (text.len != 0) {
		ptrdiff_t start = str_find(text, '<');
		size_t length;

		buf_add(out, start < 0 ? text : str_head(text, (size_t)start));
		text = start < 0 ? STR("") : str_skip(text, (size_t)start);
		if (text.len > 1 && !isalpha((unsigned char)text.ptr[1])) { /* an end tag, a comment, or no tag at all */
			buf_putc(out, '<');
			text = str_skip(text, 1);
			continue;
		}
		length = tag_length(text);
		if (length == 0 && !end && text.len < MOST_TAG)
			break;
		if (length == 0) {
			buf_add(out, text);
			text = STR("");
			break;
		}
		rewrite_tag(arena, rewrite, str_head(text, length), out);
		text = str_skip(text, length);
	}
	buf_add(&left, text);
	buf_fini(rest);
	*rest = left;
	arena_free(arena);
}
