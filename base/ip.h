/* IP addresses and prefixes, v4 and v6, by value. Pure. Parsing is as strict as Go's net/netip for what it accepts
 * here: no leading zeros, no zones. Formatting is canonical (RFC 5952). */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "base/str.h"

struct ip {
	uint8_t bytes[16]; /* v4: the first four */
	uint8_t family;    /* 4, 6, or 0 for "none" */
};

struct cidr {
	struct ip ip;
	uint8_t bits;
};

#define IP_TEXT 64

bool ip_parse(struct str text, struct ip *out);
bool cidr_parse(struct str text, struct cidr *out); /* host bits may be set */
struct str ip_format(char text[IP_TEXT], struct ip ip);
struct str cidr_format(char text[IP_TEXT], struct cidr cidr);
bool ip_eq(struct ip a, struct ip b);
int ip_cmp(struct ip a, struct ip b);
struct ip ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
struct ip ip_add(struct ip ip, uint64_t n); /* wraps */
uint64_t ip_sub(struct ip a, struct ip b);  /* low 64 bits of a - b */
struct ip cidr_first(struct cidr cidr);     /* network address */
struct ip cidr_last(struct cidr cidr);
bool cidr_contains(struct cidr cidr, struct ip ip);

#endif
