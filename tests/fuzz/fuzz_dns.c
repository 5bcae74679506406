/* Questions to the cluster's DNS, and answers of resolvers outside. Input: a question; or after a line "%" also what a resolver
 * says about an ExternalName. */
#include "dns/answer.h"
#include "dns/wire.h"
#include "tests/fuzz/fuzz.h"

static const char service_text[] =
	"{\"metadata\":{\"namespace\":\"default\",\"name\":\"web\"},\"spec\":{\"clusterIP\":\"10.96.0.7\",\"clusterIPs\":[\"10.96.0.7\","
	"\"fd00:96::7\"],\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80}]}}";
static const char headless_text[] =
	"{\"metadata\":{\"namespace\":\"default\",\"name\":\"db\"},\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"name\":\"pg\",\"port\":5432}]}}";
static const char external_text[] =
	"{\"metadata\":{\"namespace\":\"default\",\"name\":\"ext\"},\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"www.example.org\"}}";
static const char slice_text[] =
	"{\"metadata\":{\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":\"db\"}},\"addressType\":\"IPv4\","
	"\"ports\":[{\"name\":\"pg\",\"protocol\":\"TCP\",\"port\":5432}],\"endpoints\":[{\"addresses\":[\"10.244.0.5\"],\"hostname\":\"db-0\"},"
	"{\"addresses\":[\"10.244.1.6\"]}]}";

struct cluster {
	struct arena *arena;
};

static const struct json *tree_of(struct cluster *cluster, const char *text)
{
	const struct json *tree;

	FUZZ_OK(json_read(cluster->arena, str_from(text), NULL, &tree));
	return tree;
}

static bool has_namespace(void *arg, struct str ns)
{
	(void)arg;
	return str_is(ns, "default");
}

static const struct json *find_service(void *arg, struct str ns, struct str name)
{
	if (!str_is(ns, "default"))
		return NULL;
	return str_is(name, "web")   ? tree_of(arg, service_text)
	       : str_is(name, "db")  ? tree_of(arg, headless_text)
	       : str_is(name, "ext") ? tree_of(arg, external_text)
				     : NULL;
}

static void find_slices(void *arg, struct str ns, struct str service, dns_each *fn, void *to)
{
	if (str_is(ns, "default") && str_is(service, "db"))
		fn(to, tree_of(arg, slice_text));
}

static void services_of_ip(void *arg, struct ip ip, dns_each *fn, void *to)
{
	if (ip_eq(ip, ip_v4(10, 96, 0, 7)))
		fn(to, tree_of(arg, service_text));
}

static void slices_of_ip(void *arg, struct ip ip, dns_each *fn, void *to)
{
	if (ip_eq(ip, ip_v4(10, 244, 0, 5)))
		fn(to, tree_of(arg, slice_text));
}

/* A message that others can read: every record of its counts, and nothing behind them. */
static void check_message(struct str message, struct str query, size_t limit)
{
	size_t at = DNS_HEADER, records;
	struct dns_name name;
	struct dns_rr rr;

	FUZZ_CHECK(message.len >= DNS_HEADER && message.len <= limit);
	FUZZ_CHECK(dns_u16(message, 0) == dns_u16(query, 0));
	FUZZ_CHECK((dns_u16(message, 2) & DNS_FLAG_QR) != 0);
	FUZZ_CHECK(dns_u16(message, 4) <= 1);
	records = (size_t)dns_u16(message, 6) + dns_u16(message, 8) + dns_u16(message, 10);
	if (dns_u16(message, 4) == 1) {
		FUZZ_CHECK(dns_name_read(message, &at, true, &name));
		at += 4;
	}
	for (; records > 0; records--)
		FUZZ_CHECK(dns_rr_read(message, &at, &rr));
	FUZZ_CHECK(at == message.len);
}

static void check_question(struct cluster *cluster, struct str query, struct str outside, bool tcp)
{
	struct dns_view view = { STR("cluster.local"), ip_v4(10, 96, 0, 10), 7,           cluster, has_namespace, find_service,
				 find_slices,          services_of_ip,       slices_of_ip };
	AUTO_BUF struct buf out = { 0 }, chase = { 0 }, refused = { 0 };
	enum dns_verdict verdict = dns_answer(&view, query, tcp, &out, &chase);
	struct dns_question question;
	size_t limit = 512;

	if (dns_question_read(query, &question) == 0)
		limit = dns_answer_limit(&question, tcp);
	FUZZ_CHECK((out.len != 0) == (verdict == DNS_ANSWERED || verdict == DNS_CHASE));
	if (out.len != 0)
		check_message(buf_str(&out), query, limit);
	if (verdict == DNS_CHASE && dns_belongs(buf_str(&chase), outside) && dns_add_chased(&out, query, tcp, outside))
		check_message(buf_str(&out), query, limit);
	dns_refuse(query, DNS_SERVFAIL, &refused);
	if (refused.len != 0)
		check_message(buf_str(&refused), query, limit);
	dns_belongs(query, outside);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size), query = fuzz_part(&in);
	struct cluster cluster = { arena_new() };

	check_question(&cluster, query, in, false);
	check_question(&cluster, query, in, true);
	arena_free(cluster.arena);
	return 0;
}
