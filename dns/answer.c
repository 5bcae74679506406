#include "dns/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "dns/wire.h"

#define TTL         5 /* as upstream's default configuration */
#define BADVERS     16
#define CHASE_DEPTH 8

struct address {
	struct ip ip;
	struct dns_name name; /* of an endpoint: what an SRV record points to */
	uint16_t port;        /* of SRV */
};

/* What one name stands for. */
struct found {
	bool exists;
	VEC(struct address) addresses;
	VEC(struct address) targets; /* SRV */
	struct str external;         /* ExternalName */
};

struct asking {
	const struct dns_view *view;
	struct arena *arena;
	struct dns_question question;
	struct dns_writer writer;
	struct str labels[DNS_LABELS];
	size_t n; /* labels in front of the domain */
};

/* --- what exists --- */

static bool is_ready(const struct json *endpoint)
{
	const struct json *ready = json_get(json_get(endpoint, "conditions"), "ready");

	return json_absent(ready) || json_bool(ready);
}

/* "_http" stands for the port of that name, "_tcp" for its protocol; empty: any. */
static bool port_fits(const struct json *port, struct str name, struct str protocol)
{
	struct str is = json_get_str(port, "protocol");

	if (name.len == 0)
		return true;
	if (!str_eq(json_get_str(port, "name"), name) || is.len + (is.len == 0 ? 3 : 0) != protocol.len)
		return false;
	for (size_t i = 0; i < is.len; i++)
		if ((is.ptr[i] | 0x20) != protocol.ptr[i])
			return false;
	return is.len != 0 || str_is(protocol, "tcp");
}

/* hostname, else the address with dashes: 10-244-0-7, fd00--7. */
static struct str endpoint_name(struct arena *arena, const struct json *endpoint, struct str address)
{
	struct str hostname = json_get_str(endpoint, "hostname");
	char *text;

	if (hostname.len != 0)
		return hostname;
	text = arena_copy(arena, address.ptr, address.len);
	for (char *c = text; *c != '\0'; c++)
		if (*c == '.' || *c == ':')
			*c = '-';
	return str_of(text, address.len);
}

struct search {
	const struct asking *asking;
	struct found *found;
	struct str ns, service;
	struct str endpoint;       /* only that one; empty: all */
	struct str port, protocol; /* only that one; empty: all */
};

static void name_under(const struct asking *asking, struct dns_name *name, struct str first, struct str service, struct str ns)
{
	struct str text = str_format(asking->arena, "%.*s%s%.*s.%.*s.svc.%.*s", STR_ARG(first), first.len != 0 ? "." : "",
				     STR_ARG(service), STR_ARG(ns), STR_ARG(asking->view->domain));

	if (!dns_name_parse(name, text))
		*name = (struct dns_name){ .len = 1 };
}

static void add_endpoint(const struct search *search, const struct json *slice, const struct json *endpoint)
{
	struct arena *arena = search->asking->arena;
	const struct json *ports = json_get(slice, "ports");
	bool any = json_len(ports) == 0 && search->port.len == 0;

	JSON_EACH (json_get(endpoint, "addresses"), it) {
		struct address address = { .port = 0 };
		struct str name = endpoint_name(arena, endpoint, json_str(it.value));

		if (!ip_parse(json_str(it.value), &address.ip) ||
		    (search->endpoint.len != 0 && !str_eq(str_lower(arena, name), search->endpoint)))
			continue;
		name_under(search->asking, &address.name, name, search->service, search->ns);
		JSON_EACH (ports, port) {
			if (!port_fits(port.value, search->port, search->protocol))
				continue;
			any = true;
			address.port = (uint16_t)json_int(json_get(port.value, "port"), 0);
			vec_push(&search->found->targets, address);
		}
		if (any) {
			search->found->exists = true;
			vec_push(&search->found->addresses, address);
		}
	}
}

static void search_slice(void *to, const struct json *slice)
{
	JSON_EACH (json_get(slice, "endpoints"), it)
		if (is_ready(it.value))
			add_endpoint(to, slice, it.value);
}

static void find_cluster_ips(const struct search *search, const struct json *service)
{
	struct found *found = search->found;
	const struct json *ips = json_path(service, "spec.clusterIPs");
	bool any = search->port.len == 0;
	struct address address = { .port = 0 };

	name_under(search->asking, &address.name, STR(""), search->service, search->ns);
	JSON_EACH (json_path(service, "spec.ports"), it) {
		if (!port_fits(it.value, search->port, search->protocol))
			continue;
		any = true;
		address.port = (uint16_t)json_int(json_get(it.value, "port"), 0);
		vec_push(&found->targets, address);
	}
	if (!any)
		return;
	found->exists = true;
	address.port = 0;
	JSON_EACH (ips, it)
		if (ip_parse(json_str(it.value), &address.ip))
			vec_push(&found->addresses, address);
	if (json_len(ips) == 0 && ip_parse(json_path_str(service, "spec.clusterIP"), &address.ip))
		vec_push(&found->addresses, address);
}

static void find_service(const struct search *search)
{
	const struct dns_view *view = search->asking->view;
	const struct json *service = view->service(view->arg, search->ns, search->service);
	bool headless = str_is(json_path_str(service, "spec.clusterIP"), "None");

	if (service == NULL)
		return;
	if (str_is(json_path_str(service, "spec.type"), "ExternalName")) {
		search->found->exists = search->port.len == 0 && search->endpoint.len == 0;
		search->found->external = json_path_str(service, "spec.externalName");
		return;
	}
	if (!headless && search->endpoint.len == 0) {
		find_cluster_ips(search, service);
		return;
	}
	view->slices(view->arg, search->ns, search->service, search_slice, (void *)search);
	if (search->endpoint.len == 0 && search->port.len == 0)
		search->found->exists = true; /* also while nobody is ready */
}

/* 10-244-0-7.default.pod: the address is in the name; v6 has eight groups or "--". */
static void find_pod(const struct asking *asking, struct str dashed, struct found *found)
{
	char *text = arena_copy(asking->arena, dashed.ptr, dashed.len);
	struct address address = { .port = 0 };
	int dashes = 0;

	for (char *c = text; *c != '\0'; c++)
		dashes += *c == '-';
	for (char *c = text; *c != '\0'; c++)
		if (*c == '-')
			*c = dashes == 3 && !str_contains(dashed, STR("--")) ? '.' : ':';
	if (ip_parse(str_from(text), &address.ip)) {
		found->exists = true;
		vec_push(&found->addresses, address);
	}
}

static bool is_underscored(struct str label)
{
	return label.len > 1 && label.ptr[0] == '_';
}

/* The labels in front of the domain, "…, ns, svc" or "…, ns, pod". */
static void find_name(const struct asking *asking, struct found *found)
{
	const struct dns_view *view = asking->view;
	const struct str *labels = asking->labels;
	size_t n = asking->n;
	bool svc = n > 0 && str_is(labels[n - 1], "svc"), pod = n > 0 && str_is(labels[n - 1], "pod");
	struct search search = { .asking = asking, .found = found };

	if (n == 2 && str_is(labels[0], "ns") && str_is(labels[1], "dns")) {
		found->exists = true;
		vec_push(&found->addresses, (struct address){ .ip = view->dns_ip });
		return;
	}
	if (!svc && !pod)
		return;
	if (n == 1 || !view->has_namespace(view->arg, labels[n - 2])) {
		found->exists = n == 1;
		return;
	}
	if (n == 2) {
		found->exists = true;
		return;
	}
	if (pod) {
		if (n == 3)
			find_pod(asking, labels[0], found);
		return;
	}
	search.ns = labels[n - 2];
	search.service = labels[n - 3];
	if (n == 4 && is_underscored(labels[0]) &&
	    (str_is(labels[0], "_tcp") || str_is(labels[0], "_udp") || str_is(labels[0], "_sctp"))) {
		/* between a Service and its ports nothing has records, but something is below */
		found->exists = view->service(view->arg, search.ns, search.service) != NULL;
		return;
	}
	if (n == 4)
		search.endpoint = labels[0];
	else if (n == 5 && is_underscored(labels[0]) && is_underscored(labels[1]))
		search.port = str_skip(labels[0], 1), search.protocol = str_skip(labels[1], 1);
	else if (n != 3)
		return;
	find_service(&search);
}

static void found_fini(struct found *found)
{
	vec_fini(&found->addresses);
	vec_fini(&found->targets);
}

/* --- records --- */

static void put_address(struct asking *asking, const struct dns_name *name, struct ip ip, enum dns_section section)
{
	dns_rr_begin(&asking->writer, name, ip.family == 6 ? DNS_AAAA : DNS_A, TTL);
	dns_put(&asking->writer, ip.bytes, ip.family == 6 ? 16 : 4);
	dns_rr_end(&asking->writer, section);
}

static void put_soa(struct asking *asking, enum dns_section section)
{
	struct dns_name domain, server, person;
	struct str text = asking->view->domain;

	if (!dns_name_parse(&domain, text) || !dns_name_parse(&server, str_format(asking->arena, "ns.dns.%.*s", STR_ARG(text))) ||
	    !dns_name_parse(&person, str_format(asking->arena, "hostmaster.%.*s", STR_ARG(text))))
		return;
	dns_rr_begin(&asking->writer, &domain, DNS_SOA, TTL);
	dns_put_name(&asking->writer, &server, true);
	dns_put_name(&asking->writer, &person, true);
	dns_put_u32(&asking->writer, asking->view->serial);
	dns_put_u32(&asking->writer, 7200);
	dns_put_u32(&asking->writer, 1800);
	dns_put_u32(&asking->writer, 86400);
	dns_put_u32(&asking->writer, TTL);
	dns_rr_end(&asking->writer, section);
}

static bool wants(const struct asking *asking, uint16_t type)
{
	return asking->question.type == type || asking->question.type == DNS_ANY;
}

/* Beginning somewhere else each time spreads clients that take the first. */
static size_t turned(const struct asking *asking, size_t i, size_t n)
{
	return (i + asking->question.id) % n;
}

static void put_addresses(struct asking *asking, const struct found *found)
{
	for (size_t i = 0; i < found->addresses.len; i++) {
		struct ip ip = found->addresses.ptr[turned(asking, i, found->addresses.len)].ip;

		if (wants(asking, ip.family == 6 ? DNS_AAAA : DNS_A))
			put_address(asking, &asking->question.name, ip, DNS_ANSWER_SECTION);
	}
}

static void put_targets(struct asking *asking, const struct found *found)
{
	size_t n = found->targets.len;

	for (size_t i = 0; i < n; i++) {
		const struct address *target = &found->targets.ptr[turned(asking, i, n)];

		dns_rr_begin(&asking->writer, &asking->question.name, DNS_SRV, TTL);
		dns_put_u16(&asking->writer, 0);
		dns_put_u16(&asking->writer, (uint16_t)(n < 100 ? 100 / n : 1)); /* weights as upstream's */
		dns_put_u16(&asking->writer, target->port);
		dns_put_name(&asking->writer, &target->name, false); /* RFC 2782: not compressed */
		dns_rr_end(&asking->writer, DNS_ANSWER_SECTION);
	}
	for (size_t i = 0; i < found->addresses.len; i++)
		put_address(asking, &found->addresses.ptr[i].name, found->addresses.ptr[i].ip, DNS_ADDITIONAL);
}

static void put_name_record(struct asking *asking, const struct dns_name *owner, uint16_t type, const struct dns_name *to)
{
	dns_rr_begin(&asking->writer, owner, type, TTL);
	dns_put_name(&asking->writer, to, true);
	dns_rr_end(&asking->writer, DNS_ANSWER_SECTION);
}

static enum dns_verdict finish(struct asking *asking, int rcode)
{
	if (asking->writer.counts[DNS_ANSWER_SECTION] == 0 && !asking->writer.full &&
	    (rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN))
		put_soa(asking, DNS_AUTHORITY);
	dns_write_end(&asking->writer, &asking->question, rcode);
	return DNS_ANSWERED;
}

/* --- names of the domain --- */

static bool split_domain(struct asking *asking, const struct dns_name *name)
{
	struct str rest = asking->view->domain, label, domain[DNS_LABELS];
	size_t n_domain = 0;

	while (n_domain < DNS_LABELS && str_cut(&rest, '.', &label))
		domain[n_domain++] = label;
	asking->n = dns_name_labels(asking->arena, name, asking->labels);
	if (asking->n < n_domain)
		return false;
	asking->n -= n_domain;
	for (size_t i = 0; i < n_domain; i++)
		if (!str_eq(asking->labels[asking->n + i], domain[i]))
			return false;
	return true;
}

static enum dns_verdict answer_apex(struct asking *asking)
{
	struct dns_name server;

	if (wants(asking, DNS_SOA))
		put_soa(asking, DNS_ANSWER_SECTION);
	if (wants(asking, DNS_NS) &&
	    dns_name_parse(&server, str_format(asking->arena, "ns.dns.%.*s", STR_ARG(asking->view->domain)))) {
		put_name_record(asking, &asking->question.name, DNS_NS, &server);
		put_address(asking, &server, asking->view->dns_ip, DNS_ADDITIONAL);
	}
	return finish(asking, DNS_NOERROR);
}

static void write_chase(const struct asking *asking, const struct dns_name *target, struct buf *chase)
{
	static const uint8_t header[DNS_HEADER] = { [2] = DNS_FLAG_RD >> 8, [5] = 1 };
	uint8_t tail[4] = { (uint8_t)(asking->question.type >> 8), (uint8_t)asking->question.type, 0, 1 };

	buf_append(chase, header, sizeof(header));
	buf_append(chase, target->bytes, target->len);
	buf_append(chase, tail, sizeof(tail));
}

/* An alias. Where it leads inside the domain is answered here and now; what is outside others must say. */
static enum dns_verdict answer_external(struct asking *asking, struct found *found, struct buf *chase)
{
	struct dns_name owner = asking->question.name, target;
	uint16_t type = asking->question.type;

	for (int depth = 0; depth < CHASE_DEPTH; depth++) {
		if (!dns_name_parse(&target, found->external))
			return finish(asking, DNS_SERVFAIL);
		put_name_record(asking, &owner, DNS_CNAME, &target);
		if (type != DNS_A && type != DNS_AAAA)
			return finish(asking, DNS_NOERROR);
		if (!split_domain(asking, &target)) {
			write_chase(asking, &target, chase);
			finish(asking, DNS_NOERROR);
			return DNS_CHASE;
		}
		found->external = STR("");
		found->exists = false;
		find_name(asking, found);
		if (found->external.len == 0)
			break;
		owner = target;
	}
	for (size_t i = 0; i < found->addresses.len; i++)
		if (found->addresses.ptr[i].ip.family == (type == DNS_A ? 4 : 6))
			put_address(asking, &target, found->addresses.ptr[i].ip, DNS_ANSWER_SECTION);
	return finish(asking, found->exists ? DNS_NOERROR : DNS_NXDOMAIN);
}

static enum dns_verdict answer_domain(struct asking *asking, struct buf *chase)
{
	struct found found = { .exists = false };
	enum dns_verdict verdict;

	if (asking->n == 0)
		return answer_apex(asking);
	if (asking->n == 1 && str_is(asking->labels[0], "dns-version")) {
		if (wants(asking, DNS_TXT)) {
			dns_rr_begin(&asking->writer, &asking->question.name, DNS_TXT, TTL);
			dns_put(&asking->writer,
				"\x05"
				"1.1.0",
				6);
			dns_rr_end(&asking->writer, DNS_ANSWER_SECTION);
		}
		return finish(asking, DNS_NOERROR);
	}
	find_name(asking, &found);
	if (found.exists && found.external.len != 0) {
		verdict = answer_external(asking, &found, chase);
	} else {
		put_addresses(asking, &found);
		if (wants(asking, DNS_SRV))
			put_targets(asking, &found);
		verdict = finish(asking, found.exists ? DNS_NOERROR : DNS_NXDOMAIN);
	}
	found_fini(&found);
	return verdict;
}

/* --- addresses to names --- */

/* 7.0.244.10.in-addr.arpa, or 32 nibbles and ip6.arpa. */
static bool reverse_ip(const struct str *labels, size_t n, struct ip *ip)
{
	char text[IP_TEXT];
	size_t at = 0;

	if (n == 6 && str_is(labels[4], "in-addr") && str_is(labels[5], "arpa")) {
		snprintf(text, sizeof(text), "%.*s.%.*s.%.*s.%.*s", STR_ARG(str_head(labels[3], 3)),
			 STR_ARG(str_head(labels[2], 3)), STR_ARG(str_head(labels[1], 3)), STR_ARG(str_head(labels[0], 3)));
		for (size_t i = 0; i < 4; i++)
			if (labels[i].len > 3)
				return false;
		return ip_parse(str_from(text), ip);
	}
	if (n != 34 || !str_is(labels[32], "ip6") || !str_is(labels[33], "arpa"))
		return false;
	for (size_t i = 0; i < 32; i++) {
		if (labels[31 - i].len != 1)
			return false;
		text[at++] = labels[31 - i].ptr[0];
		if (i % 4 == 3 && i != 31)
			text[at++] = ':';
	}
	text[at] = '\0';
	return ip_parse(str_from(text), ip);
}

struct reverse {
	struct asking *asking;
	struct ip ip;
	bool any;
};

static void put_pointer(struct reverse *reverse, struct str first, struct str service, struct str ns)
{
	struct dns_name name;

	name_under(reverse->asking, &name, first, service, ns);
	reverse->any = true;
	if (wants(reverse->asking, DNS_PTR))
		put_name_record(reverse->asking, &reverse->asking->question.name, DNS_PTR, &name);
}

static void service_pointer(void *to, const struct json *service)
{
	put_pointer(to, STR(""), json_path_str(service, "metadata.name"), json_path_str(service, "metadata.namespace"));
}

static void slice_pointers(void *to, const struct json *slice)
{
	struct reverse *reverse = to;
	struct str service = json_get_str(json_path(slice, "metadata.labels"), "kubernetes.io/service-name");

	JSON_EACH (json_get(slice, "endpoints"), endpoint)
		JSON_EACH (json_get(endpoint.value, "addresses"), it) {
			struct ip ip;

			if (ip_parse(json_str(it.value), &ip) && ip_eq(ip, reverse->ip) && is_ready(endpoint.value))
				put_pointer(reverse, endpoint_name(reverse->asking->arena, endpoint.value, json_str(it.value)),
					    service, json_path_str(slice, "metadata.namespace"));
		}
}

static bool answer_reverse(struct asking *asking)
{
	const struct dns_view *view = asking->view;
	struct reverse reverse = { .asking = asking };

	asking->n = dns_name_labels(asking->arena, &asking->question.name, asking->labels);
	if (!reverse_ip(asking->labels, asking->n, &reverse.ip))
		return false;
	view->services_of_ip(view->arg, reverse.ip, service_pointer, &reverse);
	if (!reverse.any)
		view->slices_of_ip(view->arg, reverse.ip, slice_pointers, &reverse);
	return reverse.any;
}

/* --- the whole --- */

static enum dns_verdict answer_question(struct asking *asking, int rcode, struct buf *out, size_t start, struct buf *chase)
{
	if (rcode == 0 && asking->question.edns && asking->question.edns_version != 0)
		rcode = BADVERS;
	else if (rcode == 0 && asking->question.class_ != 1 && asking->question.class_ != DNS_ANY)
		rcode = DNS_REFUSED;
	if (rcode != 0) {
		dns_write_end(&asking->writer, &asking->question, rcode);
		return DNS_ANSWERED;
	}
	if (split_domain(asking, &asking->question.name))
		return answer_domain(asking, chase);
	if (answer_reverse(asking))
		return finish(asking, DNS_NOERROR);
	out->len = start;
	return DNS_FORWARD;
}

enum dns_verdict dns_answer(const struct dns_view *view, struct str query, bool tcp, struct buf *out, struct buf *chase)
{
	struct asking asking = { .view = view };
	int rcode = dns_question_read(query, &asking.question);
	size_t start = out->len;
	enum dns_verdict verdict;

	if (rcode < 0)
		return DNS_IGNORE;
	asking.arena = arena_new();
	dns_write_begin(&asking.writer, out, query, &asking.question, tcp);
	verdict = answer_question(&asking, rcode, out, start, chase);
	arena_free(asking.arena);
	return verdict;
}

void dns_refuse(struct str query, enum dns_rcode rcode, struct buf *out)
{
	struct dns_question question;
	struct dns_writer writer;

	if (dns_question_read(query, &question) < 0)
		return;
	dns_write_begin(&writer, out, query, &question, false);
	dns_write_end(&writer, &question, (int)rcode);
	out->ptr[writer.start + 2] &= (char)~(DNS_FLAG_AA >> 8);
}

bool dns_belongs(struct str query, struct str answer)
{
	struct dns_name asked, answered;
	size_t at = DNS_HEADER, answer_at = DNS_HEADER;

	return query.len >= DNS_HEADER && answer.len >= DNS_HEADER && (dns_u16(answer, 2) & DNS_FLAG_QR) != 0 &&
	       dns_u16(answer, 4) == 1 && dns_name_read(query, &at, false, &asked) &&
	       dns_name_read(answer, &answer_at, false, &answered) && dns_name_eq(&asked, &answered) && query.len - at >= 4 &&
	       answer.len - answer_at >= 4 && memcmp(query.ptr + at, answer.ptr + answer_at, 4) == 0;
}

static void copy_record(struct dns_writer *w, struct str from, const struct dns_rr *rr)
{
	struct dns_name name;
	size_t at = rr->data;

	if (rr->type == DNS_CNAME && !dns_name_read(from, &at, true, &name))
		return;
	if (rr->class_ != 1 || (rr->type != DNS_CNAME && rr->type != DNS_A && rr->type != DNS_AAAA))
		return;
	dns_rr_begin(w, &rr->name, rr->type, rr->ttl < TTL ? rr->ttl : TTL);
	if (rr->type == DNS_CNAME)
		dns_put_name(w, &name, true);
	else
		dns_put(w, from.ptr + rr->data, rr->len);
	dns_rr_end(w, DNS_ANSWER_SECTION);
}

/* The message is written anew: what it had, then what came. */
bool dns_add_chased(struct buf *message, struct str query, bool tcp, struct str answer)
{
	AUTO_BUF struct buf fresh = { 0 };
	struct str parts[2] = { buf_str(message), answer };
	struct dns_question question;
	struct dns_writer w;

	if (dns_question_read(query, &question) != 0 || answer.len < DNS_HEADER)
		return false;
	dns_write_begin(&w, &fresh, query, &question, tcp);
	for (int i = 0; i < 2; i++) {
		struct dns_name name;
		size_t at = DNS_HEADER;

		if (!dns_name_read(parts[i], &at, true, &name) || parts[i].len - at < 4)
			return false;
		at += 4;
		for (unsigned n = dns_u16(parts[i], 6); n > 0; n--) {
			struct dns_rr rr;

			if (!dns_rr_read(parts[i], &at, &rr))
				return false;
			copy_record(&w, parts[i], &rr);
		}
	}
	dns_write_end(&w, &question, dns_u16(answer, 2) & 15);
	buf_clear(message);
	buf_add(message, buf_str(&fresh));
	return true;
}
