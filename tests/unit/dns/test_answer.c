/* Questions and answers as text: "name type" in; header and one line per record out. */
#include <stdio.h>
#include <stdlib.h>

#include "dns/answer.h"
#include "dns/forward.h"
#include "dns/wire.h"
#include "tests/unit/tap.h"

/* --- a small cluster --- */

static const char services[] =
	"[{'metadata':{'namespace':'default','name':'web'},'spec':{'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7','fd00:96::7'],"
	"'ports':[{'name':'http','protocol':'TCP','port':80},{'name':'dns','protocol':'UDP','port':53}]}},"
	"{'metadata':{'namespace':'default','name':'one'},'spec':{'clusterIP':'10.96.0.8','ports':[{'port':80}]}},"
	"{'metadata':{'namespace':'default','name':'db'},'spec':{'clusterIP':'None','ports':[{'name':'pg','port':5432}]}},"
	"{'metadata':{'namespace':'default','name':'idle'},'spec':{'clusterIP':'None'}},"
	"{'metadata':{'namespace':'default','name':'ext'},'spec':{'type':'ExternalName','externalName':'www.example.org'}},"
	"{'metadata':{'namespace':'default','name':'alias'},'spec':{'type':'ExternalName','externalName':"
	"'web.default.svc.cluster.local'}},"
	"{'metadata':{'namespace':'default','name':'loop'},'spec':{'type':'ExternalName','externalName':"
	"'loop.default.svc.cluster.local'}}]";
static const char slices[] =
	"[{'metadata':{'namespace':'default','labels':{'kubernetes.io/service-name':'db'}},'addressType':'IPv4',"
	"'ports':[{'name':'pg','protocol':'TCP','port':5432}],'endpoints':["
	"{'addresses':['10.244.0.5'],'hostname':'db-0','conditions':{'ready':true}},"
	"{'addresses':['10.244.1.6']},"
	"{'addresses':['10.244.1.7'],'conditions':{'ready':false}}]},"
	"{'metadata':{'namespace':'default','labels':{'kubernetes.io/service-name':'db'}},'addressType':'IPv6',"
	"'ports':[{'name':'pg','protocol':'TCP','port':5432}],'endpoints':["
	"{'addresses':['fd00::5'],'hostname':'db-0','conditions':{'ready':true}}]},"
	"{'metadata':{'namespace':'default','labels':{'kubernetes.io/service-name':'web'}},'addressType':'IPv4',"
	"'ports':[{'name':'http','protocol':'TCP','port':8080}],'endpoints':[{'addresses':['10.244.0.9']}]}]";

struct cluster {
	struct arena *arena;
	const struct json *services, *slices;
};

static const struct json *read_json(struct arena *arena, const char *text)
{
	char *copy = arena_strdup(arena, text);
	const struct json *tree;

	for (char *c = copy; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	CHECK_OK(json_read(arena, str_from(copy), NULL, &tree));
	return tree;
}

static bool has_namespace(void *arg, struct str ns)
{
	(void)arg;
	return str_is(ns, "default");
}

static const struct json *find_service(void *arg, struct str ns, struct str name)
{
	const struct cluster *cluster = arg;

	JSON_EACH (cluster->services, it)
		if (str_eq(json_path_str(it.value, "metadata.namespace"), ns) &&
		    str_eq(json_path_str(it.value, "metadata.name"), name))
			return it.value;
	return NULL;
}

static void find_slices(void *arg, struct str ns, struct str service, dns_each *fn, void *to)
{
	const struct cluster *cluster = arg;

	JSON_EACH (cluster->slices, it)
		if (str_eq(json_path_str(it.value, "metadata.namespace"), ns) &&
		    str_eq(json_get_str(json_path(it.value, "metadata.labels"), "kubernetes.io/service-name"), service))
			fn(to, it.value);
}

static void find_services_of_ip(void *arg, struct ip ip, dns_each *fn, void *to)
{
	const struct cluster *cluster = arg;
	char text[IP_TEXT];

	ip_format(text, ip);
	JSON_EACH (cluster->services, it)
		if (str_is(json_path_str(it.value, "spec.clusterIP"), text) ||
		    str_is(json_path_str(it.value, "spec.clusterIPs.1"), text))
			fn(to, it.value);
}

static void find_slices_of_ip(void *arg, struct ip ip, dns_each *fn, void *to)
{
	const struct cluster *cluster = arg;
	char text[IP_TEXT];

	ip_format(text, ip);
	JSON_EACH (cluster->slices, slice)
		JSON_EACH (json_get(slice.value, "endpoints"), it)
			if (str_is(json_str(json_path(it.value, "addresses.0")), text))
				fn(to, slice.value);
}

static struct cluster cluster_open(void)
{
	struct cluster cluster = { .arena = arena_new() };

	cluster.services = read_json(cluster.arena, services);
	cluster.slices = read_json(cluster.arena, slices);
	return cluster;
}

static struct dns_view view_of(struct cluster *cluster)
{
	return (struct dns_view){ .domain = STR("cluster.local"),
				  .dns_ip = ip_v4(10, 96, 0, 10),
				  .serial = 7,
				  .arg = cluster,
				  .has_namespace = has_namespace,
				  .service = find_service,
				  .slices = find_slices,
				  .services_of_ip = find_services_of_ip,
				  .slices_of_ip = find_slices_of_ip };
}

/* --- messages as text --- */

static const struct {
	const char *name;
	uint16_t type;
} types[] = { { "A", 1 },    { "NS", 2 },    { "CNAME", 5 }, { "SOA", 6 },  { "PTR", 12 }, { "MX", 15 },
	      { "TXT", 16 }, { "AAAA", 28 }, { "SRV", 33 },  { "OPT", 41 }, { "ANY", 255 } };

static uint16_t type_of(struct str name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (str_is(name, types[i].name))
			return types[i].type;
	return 0;
}

static const char *type_name(uint16_t type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (type == types[i].type)
			return types[i].name;
	return "?";
}

static void put_u16(struct buf *out, unsigned value)
{
	buf_putc(out, (char)(value >> 8));
	buf_putc(out, (char)value);
}

/* edns: UDP size, 0 for none. */
static void make_query(struct buf *out, const char *question, unsigned edns)
{
	struct str rest = str_from(question), name;
	struct dns_name wire;

	str_cut(&rest, ' ', &name);
	CHECK(dns_name_parse(&wire, name));
	put_u16(out, 0);      /* id: also where answers begin */
	put_u16(out, 0x0100); /* recursion desired */
	put_u16(out, 1);
	put_u16(out, 0);
	put_u16(out, 0);
	put_u16(out, edns != 0);
	buf_append(out, wire.bytes, wire.len);
	put_u16(out, type_of(rest));
	put_u16(out, 1);
	if (edns == 0)
		return;
	buf_putc(out, 0);
	put_u16(out, DNS_OPT);
	put_u16(out, edns);
	put_u16(out, 0);
	put_u16(out, 0);
	put_u16(out, 0);
}

static void show_name(struct buf *out, const struct dns_name *name)
{
	for (size_t at = 0; name->bytes[at] != 0; at += 1U + name->bytes[at])
		buf_printf(out, "%.*s.", name->bytes[at], (const char *)name->bytes + at + 1);
}

static void show_data(struct buf *out, struct str message, const struct dns_rr *rr)
{
	struct ip ip = { .family = rr->len == 16 ? 6 : 4 };
	size_t at = rr->data;
	char text[IP_TEXT];
	struct dns_name name;

	switch (rr->type) {
	case DNS_A:
	case DNS_AAAA:
		memcpy(ip.bytes, message.ptr + rr->data, rr->len);
		buf_printf(out, " %s", ip_format(text, ip).ptr);
		break;
	case DNS_SRV:
		buf_printf(out, " %u %u %u", dns_u16(message, at), dns_u16(message, at + 2), dns_u16(message, at + 4));
		at += 6; /* fall through */
		__attribute__((fallthrough));
	case DNS_CNAME:
	case DNS_NS:
	case DNS_PTR:
	case DNS_SOA:
		CHECK(dns_name_read(message, &at, true, &name));
		buf_putc(out, ' ');
		show_name(out, &name);
		break;
	case DNS_TXT:
		buf_printf(out, " %.*s", (int)rr->len - 1, message.ptr + rr->data + 1);
		break;
	default:
		break;
	}
}

static void show_message(struct buf *out, struct str message)
{
	static const char *const rcodes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };
	static const char *const sections[] = { "", "; ", "+ " };
	size_t at = DNS_HEADER;
	struct dns_name name;
	unsigned flags;

	CHECK(message.len >= DNS_HEADER);
	flags = dns_u16(message, 2);
	buf_printf(out, "%s%s%s\n", rcodes[flags & 15], (flags & DNS_FLAG_TC) != 0 ? " cut" : "",
		   (flags & DNS_FLAG_AA) != 0 ? "" : " not-ours");
	CHECK((flags & DNS_FLAG_QR) != 0);
	if (dns_u16(message, 4) != 0) {
		CHECK(dns_name_read(message, &at, false, &name));
		at += 4;
	}
	for (size_t section = 0; section < 3; section++)
		for (unsigned n = dns_u16(message, 6 + 2 * section); n > 0; n--) {
			struct dns_rr rr;

			CHECK(dns_rr_read(message, &at, &rr));
			buf_printf(out, "%s", sections[section]);
			show_name(out, &rr.name);
			buf_printf(out, " %s", type_name(rr.type));
			show_data(out, message, &rr);
			buf_putc(out, '\n');
		}
	CHECK_EQ(at, message.len);
}

static void check_answer_of(const char *question, unsigned edns, bool tcp, const char *want)
{
	struct cluster cluster = cluster_open();
	struct dns_view view = view_of(&cluster);
	AUTO_BUF struct buf query = { 0 }, answer = { 0 }, chase = { 0 }, text = { 0 };

	make_query(&query, question, edns);
	switch (dns_answer(&view, buf_str(&query), tcp, &answer, &chase)) {
	case DNS_FORWARD:
		CHECK_EQ(answer.len, 0);
		buf_add(&text, STR("forward\n"));
		break;
	case DNS_IGNORE:
		buf_add(&text, STR("ignore\n"));
		break;
	case DNS_CHASE:
		buf_add(&text, STR("chase ")); /* fall through */
		__attribute__((fallthrough));
	case DNS_ANSWERED:
		show_message(&text, buf_str(&answer));
		break;
	}
	arena_free(cluster.arena);
	CHECK_STR(buf_str(&text), want);
}

#define SOA "; cluster.local. SOA ns.dns.cluster.local.\n"

static const struct {
	const char *question, *want;
} rows[] = {
	{ "web.default.svc.cluster.local A", "NOERROR\nweb.default.svc.cluster.local. A 10.96.0.7\n" },
	{ "web.default.svc.cluster.local AAAA", "NOERROR\nweb.default.svc.cluster.local. AAAA fd00:96::7\n" },
	{ "WEB.Default.svc.Cluster.local A", "NOERROR\nWEB.Default.svc.Cluster.local. A 10.96.0.7\n" },
	{ "one.default.svc.cluster.local A", "NOERROR\none.default.svc.cluster.local. A 10.96.0.8\n" },
	{ "one.default.svc.cluster.local AAAA", "NOERROR\n" SOA },
	{ "one.default.svc.cluster.local MX", "NOERROR\n" SOA },
	{ "none.default.svc.cluster.local A", "NXDOMAIN\n" SOA },
	{ "web.other.svc.cluster.local A", "NXDOMAIN\n" SOA },
	{ "other.svc.cluster.local A", "NXDOMAIN\n" SOA },
	{ "default.svc.cluster.local A", "NOERROR\n" SOA },
	{ "svc.cluster.local A", "NOERROR\n" SOA },
	{ "web.default.cluster.local A", "NXDOMAIN\n" SOA },
	{ "a.b.web.default.svc.cluster.local A", "NXDOMAIN\n" SOA },
	{ "cluster.local SOA", "NOERROR\ncluster.local. SOA ns.dns.cluster.local.\n" },
	{ "cluster.local A", "NOERROR\n" SOA },
	{ "cluster.local NS", "NOERROR\ncluster.local. NS ns.dns.cluster.local.\n+ ns.dns.cluster.local. A 10.96.0.10\n" },
	{ "ns.dns.cluster.local A", "NOERROR\nns.dns.cluster.local. A 10.96.0.10\n" },
	{ "dns-version.cluster.local TXT", "NOERROR\ndns-version.cluster.local. TXT 1.1.0\n" },
	{ "dns-version.cluster.local A", "NOERROR\n" SOA },
	/* headless */
	{ "db.default.svc.cluster.local A",
	  "NOERROR\ndb.default.svc.cluster.local. A 10.244.0.5\ndb.default.svc.cluster.local. A 10.244.1.6\n" },
	{ "db.default.svc.cluster.local AAAA", "NOERROR\ndb.default.svc.cluster.local. AAAA fd00::5\n" },
	{ "db-0.db.default.svc.cluster.local A", "NOERROR\ndb-0.db.default.svc.cluster.local. A 10.244.0.5\n" },
	{ "10-244-1-6.db.default.svc.cluster.local A", "NOERROR\n10-244-1-6.db.default.svc.cluster.local. A 10.244.1.6\n" },
	{ "10-244-1-7.db.default.svc.cluster.local A", "NXDOMAIN\n" SOA },
	{ "db-1.db.default.svc.cluster.local A", "NXDOMAIN\n" SOA },
	{ "idle.default.svc.cluster.local A", "NOERROR\n" SOA },
	/* ports */
	{ "_http._tcp.web.default.svc.cluster.local SRV",
	  "NOERROR\n_http._tcp.web.default.svc.cluster.local. SRV 0 100 80 web.default.svc.cluster.local.\n"
	  "+ web.default.svc.cluster.local. A 10.96.0.7\n+ web.default.svc.cluster.local. AAAA fd00:96::7\n" },
	{ "_dns._udp.web.default.svc.cluster.local SRV",
	  "NOERROR\n_dns._udp.web.default.svc.cluster.local. SRV 0 100 53 web.default.svc.cluster.local.\n"
	  "+ web.default.svc.cluster.local. A 10.96.0.7\n+ web.default.svc.cluster.local. AAAA fd00:96::7\n" },
	{ "_http._udp.web.default.svc.cluster.local SRV", "NXDOMAIN\n" SOA },
	{ "_x._tcp.web.default.svc.cluster.local SRV", "NXDOMAIN\n" SOA },
	{ "_tcp.web.default.svc.cluster.local SRV", "NOERROR\n" SOA },
	{ "_pg._tcp.db.default.svc.cluster.local SRV",
	  "NOERROR\n_pg._tcp.db.default.svc.cluster.local. SRV 0 33 5432 db-0.db.default.svc.cluster.local.\n"
	  "_pg._tcp.db.default.svc.cluster.local. SRV 0 33 5432 10-244-1-6.db.default.svc.cluster.local.\n"
	  "_pg._tcp.db.default.svc.cluster.local. SRV 0 33 5432 db-0.db.default.svc.cluster.local.\n"
	  "+ db-0.db.default.svc.cluster.local. A 10.244.0.5\n+ 10-244-1-6.db.default.svc.cluster.local. A 10.244.1.6\n"
	  "+ db-0.db.default.svc.cluster.local. AAAA fd00::5\n" },
	{ "web.default.svc.cluster.local SRV",
	  "NOERROR\nweb.default.svc.cluster.local. SRV 0 50 80 web.default.svc.cluster.local.\n"
	  "web.default.svc.cluster.local. SRV 0 50 53 web.default.svc.cluster.local.\n"
	  "+ web.default.svc.cluster.local. A 10.96.0.7\n+ web.default.svc.cluster.local. AAAA fd00:96::7\n" },
	/* reverse */
	{ "7.0.96.10.in-addr.arpa PTR", "NOERROR\n7.0.96.10.in-addr.arpa. PTR web.default.svc.cluster.local.\n" },
	{ "5.0.244.10.in-addr.arpa PTR", "NOERROR\n5.0.244.10.in-addr.arpa. PTR db-0.db.default.svc.cluster.local.\n" },
	{ "6.1.244.10.in-addr.arpa PTR", "NOERROR\n6.1.244.10.in-addr.arpa. PTR 10-244-1-6.db.default.svc.cluster.local.\n" },
	{ "7.1.244.10.in-addr.arpa PTR", "forward\n" },
	{ "0.7.0.96.10.in-addr.arpa PTR", "forward\n" },
	{ "1.1.1.1.in-addr.arpa PTR", "forward\n" },
	{ "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa PTR",
	  "NOERROR\n5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR "
	  "db-0.db.default.svc.cluster.local.\n" },
	/* pods */
	{ "10-244-0-5.default.pod.cluster.local A", "NOERROR\n10-244-0-5.default.pod.cluster.local. A 10.244.0.5\n" },
	{ "fd00--5.default.pod.cluster.local AAAA", "NOERROR\nfd00--5.default.pod.cluster.local. AAAA fd00::5\n" },
	{ "10-244-0-5.default.pod.cluster.local AAAA", "NOERROR\n" SOA },
	{ "10-244-0.default.pod.cluster.local A", "NXDOMAIN\n" SOA },
	{ "10-244-0-5.other.pod.cluster.local A", "NXDOMAIN\n" SOA },
	/* aliases */
	{ "ext.default.svc.cluster.local CNAME", "NOERROR\next.default.svc.cluster.local. CNAME www.example.org.\n" },
	{ "ext.default.svc.cluster.local A", "chase NOERROR\next.default.svc.cluster.local. CNAME www.example.org.\n" },
	{ "alias.default.svc.cluster.local A", "NOERROR\nalias.default.svc.cluster.local. CNAME web.default.svc.cluster.local.\n"
					       "web.default.svc.cluster.local. A 10.96.0.7\n" },
	/* others' */
	{ "www.example.org A", "forward\n" },
	{ "local A", "forward\n" },
	{ "xcluster.local A", "forward\n" },
	{ ". NS", "forward\n" },
};

TEST(dns_answers)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_answer_of(rows[i].question, 0, false, rows[i].want);
}

TEST(dns_alias_to_itself_ends)
{
	struct cluster cluster = cluster_open();
	struct dns_view view = view_of(&cluster);
	AUTO_BUF struct buf query = { 0 }, answer = { 0 }, chase = { 0 };

	make_query(&query, "loop.default.svc.cluster.local A", 0);
	CHECK_EQ(dns_answer(&view, buf_str(&query), false, &answer, &chase), DNS_ANSWERED);
	arena_free(cluster.arena);
}

TEST(dns_edns)
{
	check_answer_of("one.default.svc.cluster.local A", 4096, false,
			"NOERROR\none.default.svc.cluster.local. A 10.96.0.8\n+  OPT\n");
	check_answer_of("one.default.svc.cluster.local MX", 512, false, "NOERROR\n" SOA "+  OPT\n");
}

/* A headless Service with so many endpoints does not fit into a datagram. */
TEST(dns_cuts_what_is_too_long)
{
	struct cluster cluster = cluster_open();
	struct dns_view view = view_of(&cluster);
	AUTO_BUF struct buf text = { 0 };
	static const struct {
		unsigned edns;
		bool tcp, cut;
		size_t most;
	} sizes[] = {
		{ 0, false, true, 512 }, { 4096, false, true, LIMIT_DNS_UDP }, { 800, false, true, 800 }, { 0, true, false, 65535 }
	};

	buf_add(&text, STR("[{'metadata':{'namespace':'default','labels':{'kubernetes.io/service-name':'db'}},'endpoints':["));
	for (int i = 0; i < 200; i++)
		buf_printf(&text, "%s{'addresses':['10.244.2.%d']}", i != 0 ? "," : "", i);
	buf_add(&text, STR("]}]"));
	cluster.slices = read_json(cluster.arena, buf_cstr(&text));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		AUTO_BUF struct buf query = { 0 }, answer = { 0 }, chase = { 0 };
		struct str got;

		make_query(&query, "db.default.svc.cluster.local A", sizes[i].edns);
		CHECK_EQ(dns_answer(&view, buf_str(&query), sizes[i].tcp, &answer, &chase), DNS_ANSWERED);
		got = buf_str(&answer);
		CHECK(got.len <= sizes[i].most);
		CHECK_EQ((dns_u16(got, 2) & DNS_FLAG_TC) != 0, sizes[i].cut);
		CHECK(dns_u16(got, 6) > 10);
		CHECK_EQ(dns_u16(got, 10), sizes[i].edns != 0);
		/* Names are pointers: a record takes 16 bytes. */
		if (sizes[i].tcp) {
			CHECK_EQ(dns_u16(got, 6), 200);
			CHECK_EQ(got.len, query.len + 200 * 16);
		}
	}
	arena_free(cluster.arena);
}

TEST(dns_answers_start_elsewhere_each_time)
{
	struct cluster cluster = cluster_open();
	struct dns_view view = view_of(&cluster);
	bool first[256] = { false };

	for (char id = 0; id < 4; id++) {
		AUTO_BUF struct buf query = { 0 }, answer = { 0 }, chase = { 0 };

		make_query(&query, "db.default.svc.cluster.local A", 0);
		query.ptr[1] = id;
		CHECK_EQ(dns_answer(&view, buf_str(&query), false, &answer, &chase), DNS_ANSWERED);
		first[(uint8_t)answer.ptr[query.len + 15]] = true;
	}
	CHECK(first[5] && first[6]);
	arena_free(cluster.arena);
}

static enum dns_verdict answer_bytes(struct str query, struct buf *text)
{
	struct cluster cluster = cluster_open();
	struct dns_view view = view_of(&cluster);
	AUTO_BUF struct buf answer = { 0 }, chase = { 0 };
	enum dns_verdict verdict = dns_answer(&view, query, false, &answer, &chase);

	if (verdict == DNS_ANSWERED)
		show_message(text, buf_str(&answer));
	arena_free(cluster.arena);
	return verdict;
}

static void check_bytes(struct str query, const char *want)
{
	AUTO_BUF struct buf text = { 0 };

	CHECK_EQ(answer_bytes(query, &text), DNS_ANSWERED);
	CHECK_STR(buf_str(&text), want);
}

TEST(dns_malformed)
{
	AUTO_BUF struct buf query = { 0 }, text = { 0 };

	CHECK_EQ(answer_bytes(STR(""), &text), DNS_IGNORE);
	CHECK_EQ(answer_bytes(STR("\0\1\0\0\0\1\0\0\0\0\0"), &text), DNS_IGNORE);               /* 11 bytes */
	CHECK_EQ(answer_bytes(STR("\0\1\x80\0\0\1\0\0\0\0\0\0\0\0\1\0\1"), &text), DNS_IGNORE); /* an answer */
	check_bytes(STR("\0\1\0\0\0\1\0\0\0\0\0\0"), "FORMERR\n");                              /* no question */
	check_bytes(STR("\0\1\0\0\0\0\0\0\0\0\0\0"), "FORMERR\n");                              /* none announced */
	check_bytes(STR("\0\1\0\0\0\2\0\0\0\0\0\0\0\0\1\0\1"), "FORMERR\n");                    /* two */
	check_bytes(STR("\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"), "FORMERR\n");              /* points to itself */
	check_bytes(STR("\0\1\0\0\0\1\0\0\0\0\0\0\x40"
			"a\0\0\1\0\1"),
		    "FORMERR\n");                                             /* a label type that is none */
	check_bytes(STR("\0\1\0\0\0\1\0\0\0\0\0\0\5ab\0\0\1"), "FORMERR\n");  /* beyond the end */
	check_bytes(STR("\0\1\x28\0\0\1\0\0\0\0\0\0\0\0\1\0\1"), "NOTIMP\n"); /* an update */
	check_bytes(STR("\0\1\0\0\0\1\0\0\0\0\0\0\0\0\1\0\3"), "REFUSED\n");  /* class CHAOS */
	check_bytes(STR("\0\1\0\0\0\1\0\0\0\0\0\1\0\0\1\0\1"), "FORMERR\n");  /* no additional record there */
	/* EDNS of a version that is to come: BADVERS has its upper bits in the OPT record. */
	make_query(&query, "one.default.svc.cluster.local A", 4096);
	query.ptr[query.len - 5] = 1;
	check_bytes(buf_str(&query), "NOERROR\n+  OPT\n");
	/* two OPT records */
	buf_clear(&query);
	make_query(&query, "one.default.svc.cluster.local A", 4096);
	buf_reserve(&query, 11);
	buf_append(&query, query.ptr + query.len - 11, 11);
	query.ptr[11] = 2;
	check_bytes(buf_str(&query), "FORMERR\n+  OPT\n");
}

/* Whatever comes: no crash, and what goes out can be read. */
TEST(dns_any_bytes)
{
	struct cluster cluster = cluster_open();
	struct dns_view view = view_of(&cluster);

	rand_seed(4);
	for (int round = 0; round < 20000; round++) {
		const char *question = rows[rand_below(sizeof(rows) / sizeof(rows[0]))].question;
		AUTO_BUF struct buf query = { 0 }, answer = { 0 }, chase = { 0 }, text = { 0 };
		bool tcp = rand_below(2) != 0;

		make_query(&query, question, rand_below(2) != 0 ? 1232 : 0);
		for (uint64_t n = rand_below(6); n > 0; n--)
			query.ptr[rand_below(query.len)] = (char)rand_below(256);
		query.len -= rand_below(10) == 0 ? rand_below(query.len) : 0;
		switch (dns_answer(&view, buf_str(&query), tcp, &answer, &chase)) {
		case DNS_ANSWERED:
		case DNS_CHASE:
			CHECK(answer.len >= DNS_HEADER && answer.len <= 65535);
			break;
		case DNS_FORWARD:
		case DNS_IGNORE:
			CHECK_EQ(answer.len, 0);
			break;
		}
		/* the same bytes as what others answer */
		if (answer.len != 0)
			(void)dns_add_chased(&answer, buf_str(&query), tcp, buf_str(&query));
		dns_refuse(buf_str(&query), DNS_SERVFAIL, &text);
	}
	arena_free(cluster.arena);
}

TEST(dns_chased_answers_are_added)
{
	struct cluster cluster = cluster_open();
	struct dns_view view = view_of(&cluster);
	AUTO_BUF struct buf query = { 0 }, answer = { 0 }, chase = { 0 }, theirs = { 0 }, text = { 0 };

	make_query(&query, "ext.default.svc.cluster.local A", 1232);
	CHECK_EQ(dns_answer(&view, buf_str(&query), false, &answer, &chase), DNS_CHASE);
	arena_free(cluster.arena);
	/* www.example.org CNAME edge.example.org (compressed), edge A 1.2.3.4 */
	buf_add(&theirs, buf_str(&chase));
	theirs.ptr[2] = (char)0x81;
	theirs.ptr[7] = 2;
	buf_append(&theirs, "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\7\4edge\xc0\x10", 19);
	buf_append(&theirs, "\4edge\xc0\x10\0\1\0\1\0\0\0\2\0\4\1\2\3\4", 21);
	CHECK(dns_belongs(buf_str(&chase), buf_str(&theirs)));
	CHECK(!dns_belongs(buf_str(&query), buf_str(&theirs)));
	CHECK(dns_add_chased(&answer, buf_str(&query), false, buf_str(&theirs)));
	show_message(&text, buf_str(&answer));
	CHECK_STR(buf_str(&text), "NOERROR\next.default.svc.cluster.local. CNAME www.example.org.\n"
				  "www.example.org. CNAME edge.example.org.\nedge.example.org. A 1.2.3.4\n+  OPT\n");
	CHECK(!dns_add_chased(&answer, buf_str(&query), false, STR("abc")));
}

TEST(resolv_conf_is_read)
{
	struct ip out[FORWARD_RESOLVERS], own = ip_v4(10, 96, 0, 10);
	char text[IP_TEXT];

	CHECK_EQ(resolv_conf_read(STR(""), own, out), 0);
	CHECK_EQ(resolv_conf_read(STR("# nameserver 1.1.1.1\nsearch x\noptions ndots:5\n"), own, out), 0);
	CHECK_EQ(resolv_conf_read(
			 STR("nameserver 10.96.0.10\n\tnameserver\t9.9.9.9 # x\nnameservers 1.1.1.1\nnameserver fe80::1%eth0"), own,
			 out),
		 2);
	CHECK_STR(ip_format(text, out[0]), "9.9.9.9");
	CHECK_STR(ip_format(text, out[1]), "fe80::1");
	CHECK_EQ(resolv_conf_read(STR("nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n"), own,
				  out),
		 3);
}
