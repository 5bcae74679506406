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

const char *http_status_text(int status)
{
	switch (status) {
	case 100:
		return "Continue";
	case 101:
		return "Switching Protocols";
	case 200:
		return "OK";
	case 201:
		return "Created";
	case 202:
		return "Accepted";
	case 204:
		return "No Content";
	case 206:
		return "Partial Content";
	case 301:
		return "Moved Permanently";
	case 302:
		return "Found";
	case 303:
		return "See Other";
	case 304:
		return "Not Modified";
	case 307:
		return "Temporary Redirect";
	case 308:
		return "Permanent Redirect";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 406:
		return "Not Acceptable";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 411:
		return "Length Required";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Request Entity Too Large";
	case 414:
		return "URI Too Long";
	case 415:
		return "Unsupported Media Type";
	case 416:
		return "Requested Range Not Satisfiable";
	case 417:
		return "Expectation Failed";
	case 422:
		return "Unprocessable Entity";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	case 505:
		return "HTTP Version Not Supported";
	case 507:
		return "Insufficient Storage";
	default:
		return "Status";
	}
}
