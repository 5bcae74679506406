#include "dns/wire.h"

#define POINTER      0xc0
#define MAX_POINTERS 32 /* of one name: more is a loop, or made to cost time */
#define LABEL_BYTES  63
#define UDP_BYTES    512
#define TCP_BYTES    65535
#define OPT_BYTES    11

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static uint8_t byte_at(struct str message, size_t at)
{
	return (uint8_t)message.ptr[at];
}

uint16_t dns_u16(struct str message, size_t at)
{
	return (uint16_t)(byte_at(message, at) << 8 | byte_at(message, at + 1));
}

/* --- names --- */

static bool add_label(struct dns_name *name, const char *ptr, size_t len)
{
	if (len == 0 || len > LABEL_BYTES || name->len + 1 + len + 1 > DNS_NAME_BYTES)
		return false;
	name->bytes[name->len++] = (uint8_t)len;
	memcpy(name->bytes + name->len, ptr, len);
	name->len += len;
	return true;
}

bool dns_name_parse(struct dns_name *name, struct str text)
{
	struct str label;

	name->len = 0;
	if (str_has_suffix(text, STR(".")))
		text.len--;
	while (str_cut(&text, '.', &label))
		if (!add_label(name, label.ptr, label.len))
			return false;
	name->bytes[name->len++] = 0;
	return true;
}

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (lower(a->bytes[i]) != lower(b->bytes[i])) /* lengths are below 'A' */
			return false;
	return true;
}

size_t dns_name_labels(struct arena *arena, const struct dns_name *name, struct str labels[DNS_LABELS])
{
	size_t n = 0;

	for (size_t at = 0; name->bytes[at] != 0 && n < DNS_LABELS; at += 1U + name->bytes[at])
		labels[n++] = str_lower(arena, str_of((const char *)name->bytes + at + 1, name->bytes[at]));
	return n;
}

bool dns_name_read(struct str message, size_t *at, bool compressed, struct dns_name *name)
{
	size_t from = *at;
	int jumps = 0;

	name->len = 0;
	for (;;) {
		uint8_t len;

		if (from >= message.len)
			return false;
		len = byte_at(message, from);
		if (len == 0)
			break;
		if ((len & POINTER) == POINTER) {
			if (!compressed || from + 1 >= message.len || ++jumps > MAX_POINTERS)
				return false;
			if (jumps == 1)
				*at = from + 2;
			from = dns_u16(message, from) & 0x3fff;
			continue;
		}
		if (len > LABEL_BYTES || from + 1 + len > message.len || !add_label(name, message.ptr + from + 1, len))
			return false;
		from += 1U + len;
	}
	if (jumps == 0)
		*at = from + 1;
	name->bytes[name->len++] = 0;
	return true;
}

/* --- reading --- */

bool dns_rr_read(struct str message, size_t *at, struct dns_rr *rr)
{
	if (!dns_name_read(message, at, true, &rr->name) || message.len - *at < 10)
		return false;
	rr->type = dns_u16(message, *at);
	rr->class_ = dns_u16(message, *at + 2);
	rr->ttl = (uint32_t)dns_u16(message, *at + 4) << 16 | dns_u16(message, *at + 6);
	rr->len = dns_u16(message, *at + 8);
	rr->data = *at + 10;
	if (message.len - rr->data < rr->len)
		return false;
	*at = rr->data + rr->len;
	return true;
}

/* RFC 6891: at most one OPT record, in the additional section, at the root. */
static bool read_edns(struct str message, struct dns_question *question)
{
	unsigned before = dns_u16(message, 6) + dns_u16(message, 8), all = before + dns_u16(message, 10);
	size_t at = question->end;

	for (unsigned i = 0; i < all; i++) {
		struct dns_rr rr;

		if (!dns_rr_read(message, &at, &rr))
			return false;
		if (i < before || rr.type != DNS_OPT)
			continue;
		if (question->edns || rr.name.len != 1)
			return false;
		question->edns = true;
		question->edns_size = rr.class_;
		question->edns_version = (uint8_t)(rr.ttl >> 16);
	}
	return true;
}

int dns_question_read(struct str message, struct dns_question *question)
{
	size_t at = DNS_HEADER;

	memset(question, 0, sizeof(*question));
	if (message.len < DNS_HEADER)
		return -1;
	question->id = dns_u16(message, 0);
	question->flags = dns_u16(message, 2);
	question->end = DNS_HEADER;
	if ((question->flags & DNS_FLAG_QR) != 0)
		return -1;
	if ((question->flags >> 11 & 15) != 0)
		return 4; /* only queries */
	if (dns_u16(message, 4) != 1 || !dns_name_read(message, &at, false, &question->name) || message.len - at < 4)
		return 1;
	question->type = dns_u16(message, at);
	question->class_ = dns_u16(message, at + 2);
	question->end = at + 4;
	return read_edns(message, question) ? 0 : 1;
}

size_t dns_answer_limit(const struct dns_question *question, bool tcp)
{
	if (tcp)
		return TCP_BYTES;
	if (!question->edns || question->edns_size < UDP_BYTES)
		return UDP_BYTES;
	return question->edns_size < LIMIT_DNS_UDP ? question->edns_size : LIMIT_DNS_UDP;
}

/* --- writing --- */

static void set_u16(struct dns_writer *w, size_t at, uint16_t value)
{
	w->out->ptr[w->start + at] = (char)(value >> 8);
	w->out->ptr[w->start + at + 1] = (char)value;
}

static size_t position(const struct dns_writer *w)
{
	return w->out->len - w->start;
}

void dns_put(struct dns_writer *w, const void *data, size_t len)
{
	buf_append(w->out, data, len);
}

void dns_put_u16(struct dns_writer *w, uint16_t value)
{
	buf_putc(w->out, (char)(value >> 8));
	buf_putc(w->out, (char)value);
}

void dns_put_u32(struct dns_writer *w, uint32_t value)
{
	dns_put_u16(w, (uint16_t)(value >> 16));
	dns_put_u16(w, (uint16_t)value);
}

static void learn(struct dns_writer *w, size_t at, const uint8_t *bytes, size_t len)
{
	if (w->n_known == sizeof(w->known) / sizeof(w->known[0]) || at >= 0x3fff || len <= 1)
		return;
	w->known[w->n_known].at = (uint16_t)at;
	memcpy(w->known[w->n_known].name.bytes, bytes, len);
	w->known[w->n_known++].name.len = len;
}

static void learn_all(struct dns_writer *w, size_t at, const struct dns_name *name)
{
	for (size_t i = 0; name->bytes[i] != 0; i += 1U + name->bytes[i])
		learn(w, at + i, name->bytes + i, name->len - i);
}

static bool find(const struct dns_writer *w, const uint8_t *bytes, size_t len, uint16_t *at)
{
	struct dns_name suffix = { .len = len };

	memcpy(suffix.bytes, bytes, len);
	for (size_t i = 0; i < w->n_known; i++)
		if (dns_name_eq(&w->known[i].name, &suffix)) {
			*at = w->known[i].at;
			return true;
		}
	return false;
}

void dns_put_name(struct dns_writer *w, const struct dns_name *name, bool compress)
{
	for (size_t i = 0; name->bytes[i] != 0; i += 1U + name->bytes[i]) {
		uint16_t at;

		if (compress && find(w, name->bytes + i, name->len - i, &at)) {
			dns_put_u16(w, (uint16_t)(POINTER << 8 | at));
			return;
		}
		learn(w, position(w), name->bytes + i, name->len - i);
		dns_put(w, name->bytes + i, 1U + name->bytes[i]);
	}
	buf_putc(w->out, 0);
}

void dns_write_begin(struct dns_writer *w, struct buf *out, struct str query, const struct dns_question *question, bool tcp)
{
	memset(w, 0, sizeof(*w));
	w->out = out;
	w->start = out->len;
	w->limit = dns_answer_limit(question, tcp);
	w->reserve = question->edns ? OPT_BYTES : 0;
	buf_append(out, query.ptr, question->end);
	set_u16(w, 4, question->end > DNS_HEADER);
	for (size_t at = 6; at < DNS_HEADER; at += 2)
		set_u16(w, at, 0);
	if (question->end > DNS_HEADER)
		learn_all(w, DNS_HEADER, &question->name);
}

void dns_rr_begin(struct dns_writer *w, const struct dns_name *name, uint16_t type, uint32_t ttl)
{
	w->rr = position(w);
	dns_put_name(w, name, true);
	dns_put_u16(w, type);
	dns_put_u16(w, 1); /* IN */
	dns_put_u32(w, ttl);
	w->length_at = position(w);
	dns_put_u16(w, 0);
}

void dns_rr_end(struct dns_writer *w, enum dns_section section)
{
	if (w->full || position(w) + w->reserve > w->limit) {
		w->out->len = w->start + w->rr;
		while (w->n_known > 0 && w->known[w->n_known - 1].at >= w->rr)
			w->n_known--;
		if (section == DNS_ANSWER_SECTION)
			w->full = true;
		return;
	}
	set_u16(w, w->length_at, (uint16_t)(position(w) - w->length_at - 2));
	w->counts[section]++;
}

void dns_write_end(struct dns_writer *w, const struct dns_question *question, int rcode)
{
	uint16_t kept = question->flags & (DNS_FLAG_RD | DNS_FLAG_CD);

	if (question->edns) {
		buf_putc(w->out, 0);
		dns_put_u16(w, DNS_OPT);
		dns_put_u16(w, LIMIT_DNS_UDP);
		dns_put_u32(w, (uint32_t)(rcode >> 4) << 24); /* upper bits of the rcode; version 0 */
		dns_put_u16(w, 0);
		w->counts[DNS_ADDITIONAL]++;
	}
	set_u16(w, 2, (uint16_t)(DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RA | kept | (w->full ? DNS_FLAG_TC : 0) | (rcode & 15)));
	for (size_t i = 0; i < 3; i++)
		set_u16(w, 6 + 2 * i, w->counts[i]);
}
