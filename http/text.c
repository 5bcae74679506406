#include <strings.h>

#include "http/private.h"

struct str http_header(const struct http_headers *headers, const char *name)
{
	for (size_t i = 0; i < headers->n; i++)
		if (str_is(headers->ptr[i].name, name))
			return headers->ptr[i].value;
	return STR("");
}

bool text_same(struct str a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

bool http_header_has(const struct http_headers *headers, const char *name, const char *token)
{
	for (size_t i = 0; i < headers->n; i++) {
		struct str rest = headers->ptr[i].value, one;

		if (!str_is(headers->ptr[i].name, name))
			continue;
		while (str_cut(&rest, ',', &one))
			if (text_same(str_trim(one), token))
				return true;
	}
	return false;
}

bool text_is_token(struct str s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr(others, c) != NULL)))
			return false;
	}
	return s.len > 0;
}

bool text_is_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0')
			return false;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_unescape(struct arena *arena, struct str text, bool plus, struct str *out)
{
	char *to;
	size_t n = 0;

	if (str_find(text, '%') < 0 && (!plus || str_find(text, '+') < 0)) {
		*out = text;
		return true;
	}
	to = arena_raw(arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '%') {
			int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		to[n++] = c;
	}
	to[n] = '\0';
	*out = str_of(to, n);
	return true;
}

void http_escape(struct buf *out, struct str text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    (c != '\0' && strchr("-._~", c) != NULL)) {
			buf_putc(out, c);
		} else {
			buf_putc(out, '%');
			buf_putc(out, hex[(unsigned char)c >> 4]);
			buf_putc(out, hex[(unsigned char)c & 15]);
		}
	}
}

/* As Go's url.ParseQuery: a pair with a semicolon or a broken escape is dropped, an empty one skipped. */
void http_parse_query(struct arena *arena, struct str query, const struct http_param **params, size_t *n)
{
	struct str rest = query, pair, name;
	struct http_param *list;
	size_t most = 1;

	for (size_t i = 0; i < query.len; i++)
		most += query.ptr[i] == '&';
	*n = 0;
	list = query.len > 0 ? ARENA_ARRAY(arena, struct http_param, most) : NULL;
	*params = list;
	while (str_cut(&rest, '&', &pair)) {
		struct http_param *param = &list[*n];

		if (pair.len == 0 || str_find(pair, ';') >= 0)
			continue;
		if (!str_cut(&pair, '=', &name))
			name = STR("");
		if (http_unescape(arena, name, true, &param->name) && http_unescape(arena, pair, true, &param->value))
			++*n;
	}
}

static const struct {
	int status;
	const char *text;
} statuses[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Request Entity Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Requested Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Entity" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

const char *http_status_text(int status)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "Status";
}
