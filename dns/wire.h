/*
 * The wire format of RFC 1035: names, the question of a query, and a writer of messages that compresses names and keeps
 * within a size. Private to dns.
 */
#ifndef DNS_WIRE_H
#define DNS_WIRE_H

#include "base/base.h"

#define DNS_HEADER     12
#define DNS_NAME_BYTES 255
#define DNS_LABELS     128
#define DNS_FLAG_QR    0x8000
#define DNS_FLAG_AA    0x0400
#define DNS_FLAG_TC    0x0200
#define DNS_FLAG_RD    0x0100
#define DNS_FLAG_RA    0x0080
#define DNS_FLAG_CD    0x0010

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_OPT = 41,
	DNS_ANY = 255,
};

/* A name as on the wire, uncompressed, with the zero at its end. */
struct dns_name {
	uint8_t bytes[DNS_NAME_BYTES];
	size_t len;
};

bool dns_name_parse(struct dns_name *name, struct str text);          /* "a.b" or "a.b."; false: no name */
bool dns_name_eq(const struct dns_name *a, const struct dns_name *b); /* case does not matter */
/* Labels in lower case from left to right, on the arena; at most DNS_LABELS. */
size_t dns_name_labels(struct arena *arena, const struct dns_name *name, struct str labels[DNS_LABELS]);
/* Reads a name at *at, following compression when allowed; *at moves behind it. */
bool dns_name_read(struct str message, size_t *at, bool compressed, struct dns_name *name);

uint16_t dns_u16(struct str message, size_t at); /* the caller knows that they are there */

struct dns_question {
	uint16_t id, flags;
	struct dns_name name;
	uint16_t type, class_;
	size_t end; /* of the question in the message */
	bool edns;
	uint8_t edns_version;
	uint16_t edns_size;
};

/* 0: well formed; else the rcode to answer with; -1: nothing to answer to. */
int dns_question_read(struct str message, struct dns_question *question);
/* What an answer may be long. */
size_t dns_answer_limit(const struct dns_question *question, bool tcp);

struct dns_rr {
	struct dns_name name;
	uint16_t type, class_;
	uint32_t ttl;
	size_t data, len; /* in the message */
};
bool dns_rr_read(struct str message, size_t *at, struct dns_rr *rr);

enum dns_section { DNS_ANSWER_SECTION, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_writer {
	struct buf *out;
	size_t start; /* of the message in out */
	size_t limit;
	size_t reserve; /* for the OPT record at the end */
	bool full;
	uint16_t counts[3];
	struct {
		uint16_t at;
		struct dns_name name;
	} known[24]; /* suffixes to point to */
	size_t n_known;
	size_t rr;        /* where the open record begins */
	size_t length_at; /* of its data length */
};

/* Header and the question of the query, as it was written. */
void dns_write_begin(struct dns_writer *w, struct buf *out, struct str query, const struct dns_question *question, bool tcp);
void dns_rr_begin(struct dns_writer *w, const struct dns_name *name, uint16_t type, uint32_t ttl);
void dns_put(struct dns_writer *w, const void *data, size_t len);
void dns_put_u16(struct dns_writer *w, uint16_t value);
void dns_put_u32(struct dns_writer *w, uint32_t value);
void dns_put_name(struct dns_writer *w, const struct dns_name *name, bool compress);
/* A record that does not fit is taken back; in the answer section that cuts the message short. */
void dns_rr_end(struct dns_writer *w, enum dns_section section);
void dns_write_end(struct dns_writer *w, const struct dns_question *question, int rcode);

#endif
