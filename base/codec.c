#include "base/codec.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct buf *out, struct str bytes, const char *alphabet, bool pad)
{
	const unsigned char *in = (const unsigned char *)bytes.ptr;

	buf_reserve(out, (bytes.len + 2) / 3 * 4);
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (n > 2 ? in[i + 2] : 0);

		buf_putc(out, alphabet[v >> 18]);
		buf_putc(out, alphabet[v >> 12 & 63]);
		if (n > 1)
			buf_putc(out, alphabet[v >> 6 & 63]);
		else if (pad)
			buf_putc(out, '=');
		if (n > 2)
			buf_putc(out, alphabet[v & 63]);
		else if (pad)
			buf_putc(out, '=');
	}
}

static int value_of(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	if (c == (url ? '_' : '/'))
		return 63;
	return -1;
}

static bool decode(struct buf *out, struct str text, bool url)
{
	uint32_t v = 0;
	unsigned n = 0, pad = 0; /* characters in the current group of four; padding seen */

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		int value = value_of(c, url);

		if (c == '\r' || c == '\n')
			continue;
		if (c == '=' && !url && n >= 2 && n + pad < 4) {
			pad++;
			continue;
		}
		if (value < 0 || pad != 0)
			return false;
		v = v << 6 | (uint32_t)value;
		if (++n == 4) {
			char group[3] = { (char)(v >> 16), (char)(v >> 8), (char)v };

			buf_append(out, group, 3);
			n = 0;
			v = 0;
		}
	}
	if (n == 1 || (!url && n != 0 && n + pad != 4) || (n == 0 && pad != 0))
		return false;
	if (n == 2)
		buf_putc(out, (char)(v >> 4));
	if (n == 3) {
		buf_putc(out, (char)(v >> 10));
		buf_putc(out, (char)(v >> 2));
	}
	return true;
}

void base64_encode(struct buf *out, struct str bytes)
{
	encode(out, bytes, standard, true);
}

void base64url_encode(struct buf *out, struct str bytes)
{
	encode(out, bytes, url_safe, false);
}

bool base64_decode(struct buf *out, struct str text)
{
	return decode(out, text, false);
}

bool base64url_decode(struct buf *out, struct str text)
{
	return decode(out, text, true);
}

void hex_encode(struct buf *out, struct str bytes)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.len; i++) {
		buf_putc(out, hex[(unsigned char)bytes.ptr[i] >> 4]);
		buf_putc(out, hex[bytes.ptr[i] & 15]);
	}
}
