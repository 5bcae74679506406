/* Warning headers. Source: k8s.io/apiserver/pkg/endpoints/filters/warning.go. */
#include "apiserver/server.h"

#define ALL_AT_MOST  4096 /* characters of all texts together; beyond it each is cut */
#define EACH_AT_MOST 256

/* C0, DEL and C1, as Go's unicode.IsControl. */
static bool has_control(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = (uint8_t)text.ptr[i];

		if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < text.len && (uint8_t)text.ptr[i + 1] < 0xa0))
			return true;
	}
	return false;
}

void warn(struct request *req, struct str text)
{
	const char *copy = str_cstr(req->arena, text);

	if (req->warnings.len >= ALL_AT_MOST / 4)
		return; /* no room for more */
	for (size_t i = 0; i < req->warnings.len; i++)
		if (strcmp(req->warnings.ptr[i], copy) == 0)
			return;
	if (text.len != 0 && !has_control(text))
		vec_push(&req->warnings, copy);
}

static struct str cut(struct str text, size_t runes)
{
	size_t n = 0, at = 0;

	while (at < text.len && n < runes) {
		at++;
		while (at < text.len && ((uint8_t)text.ptr[at] & 0xc0) == 0x80)
			at++;
		n++;
	}
	return str_head(text, at);
}

static size_t count_runes(struct str text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += ((uint8_t)text.ptr[i] & 0xc0) != 0x80;
	return n;
}

static struct str quoted(struct arena *arena, struct str text)
{
	AUTO_BUF struct buf out = { 0 };

	buf_add(&out, STR("299 - \""));
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			buf_putc(&out, '\\');
		buf_putc(&out, text.ptr[i]);
	}
	buf_putc(&out, '"');
	return str_dup(arena, buf_str(&out));
}

size_t warning_headers(struct request *req, struct http_header *out)
{
	size_t total = 0, n = 0;
	bool all;

	for (size_t i = 0; i < req->warnings.len; i++)
		total += count_runes(str_from(req->warnings.ptr[i]));
	all = total <= ALL_AT_MOST;
	total = 0;
	for (size_t i = 0; i < req->warnings.len && (all || total < ALL_AT_MOST); i++) {
		struct str text = str_from(req->warnings.ptr[i]);

		text = all ? text : cut(text, EACH_AT_MOST);
		total += count_runes(text);
		out[n++] = (struct http_header){ STR("warning"), quoted(req->arena, text) };
	}
	return n;
}
