#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static size_t size_of(struct ip ip)
{
	return ip.family == 6 ? 16 : 4;
}

bool ip_parse(struct str text, struct ip *out)
{
	char copy[INET6_ADDRSTRLEN];

	*out = (struct ip){ 0 };
	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	if (memchr(text.ptr, '\0', text.len) != NULL)
		return false;
	/* inet_pton refuses leading zeros in v4, and zones. */
	if (inet_pton(AF_INET, copy, out->bytes) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, copy, out->bytes) == 1)
		out->family = 6;
	return out->family != 0;
}

bool cidr_parse(struct str text, struct cidr *out)
{
	ptrdiff_t slash = str_find(text, '/');
	struct str bits = str_skip(text, (size_t)slash + 1);
	uint64_t n;

	if (slash < 0 || !ip_parse(str_head(text, (size_t)slash), &out->ip) || !str_to_u64(bits, &n) || n > size_of(out->ip) * 8 ||
	    (bits.len > 1 && bits.ptr[0] == '0'))
		return false;
	out->bits = (uint8_t)n;
	return true;
}

struct str ip_format(char text[IP_TEXT], struct ip ip)
{
	if (ip.family == 0 || inet_ntop(ip.family == 6 ? AF_INET6 : AF_INET, ip.bytes, text, IP_TEXT) == NULL)
		text[0] = '\0';
	return str_from(text);
}

struct str cidr_format(char text[IP_TEXT], struct cidr cidr)
{
	struct str s = ip_format(text, cidr.ip);

	snprintf(text + s.len, IP_TEXT - s.len, "/%u", cidr.bits);
	return str_from(text);
}

int ip_cmp(struct ip a, struct ip b)
{
	if (a.family != b.family)
		return a.family < b.family ? -1 : 1;
	return memcmp(a.bytes, b.bytes, size_of(a));
}

bool ip_eq(struct ip a, struct ip b)
{
	return ip_cmp(a, b) == 0;
}

struct ip ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct ip){ .bytes = { a, b, c, d }, .family = 4 };
}

struct ip ip_add(struct ip ip, uint64_t n)
{
	for (size_t i = size_of(ip); i-- > 0 && n != 0;) {
		uint64_t sum = ip.bytes[i] + (n & 255);

		ip.bytes[i] = (uint8_t)sum;
		n = (n >> 8) + (sum >> 8);
	}
	return ip;
}

static uint64_t low(struct ip ip)
{
	uint64_t v = 0;
	size_t n = size_of(ip);

	for (size_t i = n > 8 ? n - 8 : 0; i < n; i++)
		v = v << 8 | ip.bytes[i];
	return v;
}

uint64_t ip_sub(struct ip a, struct ip b)
{
	return low(a) - low(b);
}

static struct ip masked(struct cidr cidr, bool ones)
{
	for (size_t i = 0; i < size_of(cidr.ip); i++) {
		int kept = cidr.bits - (int)i * 8;
		int mask = kept >= 8 ? 0xff : kept <= 0 ? 0 : (0xff << (8 - kept)) & 0xff;

		cidr.ip.bytes[i] = (uint8_t)((cidr.ip.bytes[i] & mask) | (ones ? (~mask & 0xff) : 0));
	}
	return cidr.ip;
}

struct ip cidr_first(struct cidr cidr)
{
	return masked(cidr, false);
}

struct ip cidr_last(struct cidr cidr)
{
	return masked(cidr, true);
}

bool cidr_contains(struct cidr cidr, struct ip ip)
{
	return ip.family == cidr.ip.family && ip_eq(cidr_first(cidr), cidr_first((struct cidr){ ip, cidr.bits }));
}
