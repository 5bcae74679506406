#include <string.h>

#include "json/utf8.h"

size_t utf8_decode(struct str text, uint32_t *point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)text.ptr;
	size_t n;

	if (text.len == 0)
		return 0;
	if (s[0] < 0x80) {
		*point = s[0];
		return 1;
	}
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || text.len < n)
		return 0;
	*point = s[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (s[i] & 0x3f);
	}
	if (*point < least[n] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000))
		return 0;
	return n;
}

size_t utf8_encode(char out[4], uint32_t point)
{
	if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		point = 0xfffd;
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)((0xf00u >> n & 0xf0u) | point);
	return n;
}

static size_t valid_prefix(struct str text)
{
	size_t at = 0;
	uint32_t point;

	while (at < text.len) {
		size_t n = (unsigned char)text.ptr[at] < 0x80 ? 1 : utf8_decode(str_skip(text, at), &point);
		if (n == 0)
			break;
		at += n;
	}
	return at;
}

struct str utf8_sane(struct arena *arena, struct str text)
{
	size_t good = valid_prefix(text), len = 0;

	if (good == text.len)
		return text;
	char *copy = arena_raw(arena, text.len * 3 + 1);
	for (;;) {
		memcpy(copy + len, text.ptr, good);
		len += good;
		text = str_skip(text, good);
		if (text.len == 0)
			break;
		len += utf8_encode(copy + len, 0xfffd);
		text = str_skip(text, 1);
		good = valid_prefix(text);
	}
	copy[len] = 0;
	return str_of(copy, len);
}
