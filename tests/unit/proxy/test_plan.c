/* What a Service wants, as text: one line per chain and per element. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/plan.h"
#include "tests/unit/tap.h"

static struct plan_options node_a(void)
{
	return (struct plan_options){ .node_name = STR("a"),
				      .node_ip = ip_v4(192, 168, 9, 10),
				      .uplink = "eth0",
				      .pod_cidr = { ip_v4(10, 244, 0, 0), 16 },
				      .own = { ip_v4(10, 96, 0, 1) },
				      .n_own = 1 };
}

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

static void show_chain(struct buf *out, const struct plan_chain *chain)
{
	char text[IP_TEXT];

	buf_printf(out, "chain %s", chain->name);
	if (chain->pods != NULL)
		buf_printf(out, " pods:%s", chain->pods);
	if (chain->then != NULL)
		buf_printf(out, " then:%s", chain->then);
	for (size_t i = 0; i < chain->n_allowed; i++)
		buf_printf(out, " allow:%s", cidr_format(text, chain->allowed[i]).ptr);
	if (chain->outside)
		buf_printf(out, " outside");
	if (chain->keep_source)
		buf_printf(out, " keep");
	if (chain->affinity_ms != 0)
		buf_printf(out, " affinity:%lld", (long long)chain->affinity_ms);
	for (size_t i = 0; i < chain->n; i++)
		buf_printf(out, " %s:%u", ip_format(text, chain->endpoints[i].ip).ptr, chain->endpoints[i].port);
	buf_putc(out, '\n');
}

static void show_element(struct buf *out, const struct plan_element *element)
{
	static const char *const names[] = { "target", "nodeport", "refused", "refused-nodeport", "address", "hairpin" };
	char text[IP_TEXT];

	buf_printf(out, "%s %s", names[element->set], ip_format(text, element->ip).ptr);
	if (element->port != 0)
		buf_printf(out, " %s %u", element->protocol == IPPROTO_UDP ? "udp" : "tcp", element->port);
	if (element->chain != NULL && element->set != PLAN_ADDRESSES)
		buf_printf(out, " > %s", element->chain);
	buf_putc(out, '\n');
}

static void check_plan_of(const struct plan_options *options, const char *service, const char *slices, const char *want)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf got = { 0 };
	const struct json *list = read_json(arena, slices);
	struct plan *plan = plan_service(read_json(arena, service), list->items, json_len(list), options);
	char text[IP_TEXT];

	for (size_t i = 0; plan != NULL && i < plan->chains.len; i++)
		show_chain(&got, &plan->chains.ptr[i]);
	for (size_t i = 0; plan != NULL && i < plan->elements.len; i++)
		show_element(&got, &plan->elements.ptr[i]);
	for (size_t i = 0; plan != NULL && i < plan->announced.len; i++)
		buf_printf(&got, "announced %s\n", ip_format(text, plan->announced.ptr[i]).ptr);
	plan_free(plan);
	arena_free(arena);
	CHECK_STR(buf_str(&got), want);
}

static void check_plan(const char *service, const char *slices, const char *want)
{
	struct plan_options options = node_a();

	check_plan_of(&options, service, slices, want);
}

#define META "'metadata':{'namespace':'d','name':'web'}"
#define SLICE4(endpoints)                                                                                                          \
	"{'addressType':'IPv4','ports':[{'name':'http','protocol':'TCP','port':8080}],'endpoints':[" endpoints "]}"
#define ON(ip, node) "{'addresses':['" ip "'],'nodeName':'" node "','conditions':{'ready':true}}"
#define LEAVING(ip, node)                                                                                                          \
	"{'addresses':['" ip "'],'nodeName':'" node "','conditions':{'ready':false,'serving':true,'terminating':true}}"
#define DEAD(ip, node) "{'addresses':['" ip "'],'nodeName':'" node "','conditions':{'ready':false}}"
#define PORT           "'ports':[{'name':'http','protocol':'TCP','port':80}]"
#define NODEPORT       "'ports':[{'name':'http','protocol':'TCP','port':80,'nodePort':30080}]"

TEST(plan_cluster_ip)
{
	check_plan("{" META ",'spec':{'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7']," PORT "}}",
		   "[" SLICE4(ON("10.244.1.2", "b") "," ON("10.244.0.5", "a") "," DEAD("10.244.0.6", "a")) "]",
		   "chain d/web/80/tcp/4 10.244.0.5:8080 10.244.1.2:8080\n"
		   "address 10.96.0.7\n"
		   "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n"
		   "hairpin 10.244.0.5\n");
}

TEST(plan_of_no_endpoint_refuses)
{
	check_plan("{" META ",'spec':{'type':'NodePort','clusterIP':'10.96.0.7'," NODEPORT "}}", "[]",
		   "address 10.96.0.7\n"
		   "refused 10.96.0.7 tcp 80 > refuse\n"
		   "refused-nodeport 0.0.0.0 tcp 30080 > refuse\n");
}

TEST(plan_headless_and_alias_want_nothing)
{
	check_plan("{" META ",'spec':{'clusterIP':'None'," PORT "}}", "[" SLICE4(ON("10.244.1.2", "b")) "]", "");
	check_plan("{" META ",'spec':{'type':'ExternalName','externalName':'x.org'}}", "[]", "");
}

TEST(plan_terminating_endpoints_are_the_last_resort)
{
	check_plan("{" META ",'spec':{'clusterIP':'10.96.0.7'," PORT "}}",
		   "[" SLICE4(LEAVING("10.244.1.2", "b") "," DEAD("10.244.1.3", "b")) "]",
		   "chain d/web/80/tcp/4 10.244.1.2:8080\n"
		   "address 10.96.0.7\n"
		   "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n");
	check_plan("{" META ",'spec':{'clusterIP':'10.96.0.7'," PORT "}}",
		   "[" SLICE4(LEAVING("10.244.1.2", "b") "," ON("10.244.1.3", "b")) "]",
		   "chain d/web/80/tcp/4 10.244.1.3:8080\n"
		   "address 10.96.0.7\n"
		   "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n");
}

TEST(plan_own_address_gets_no_rules)
{
	check_plan("{" META ",'spec':{'clusterIP':'10.96.0.1'," PORT "}}", "[" SLICE4(ON("192.168.9.1", "x")) "]",
		   "chain d/web/80/tcp/4 192.168.9.1:8080\n");
}

TEST(plan_load_balancer)
{
	struct plan_options options = node_a();

	options.announce = true;
	check_plan_of(&options,
		      "{" META ",'spec':{'type':'LoadBalancer','clusterIP':'10.96.0.7','externalIPs':['1.2.3.4'],"
		      "'loadBalancerSourceRanges':['192.168.9.0/24']," NODEPORT "},"
		      "'status':{'loadBalancer':{'ingress':[{'ip':'192.168.9.200'},{'hostname':'h'}]}}}",
		      "[" SLICE4(ON("10.244.1.2", "b")) "]",
		      "chain d/web/80/tcp/4 10.244.1.2:8080\n"
		      "chain d/web/80/tcp/4/ext outside 10.244.1.2:8080\n"
		      "chain d/web/80/tcp/4/lb then:d/web/80/tcp/4/ext allow:192.168.9.0/24 outside\n"
		      "address 10.96.0.7\n"
		      "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n"
		      "nodeport 0.0.0.0 tcp 30080 > d/web/80/tcp/4/ext\n"
		      "target 1.2.3.4 tcp 80 > d/web/80/tcp/4/ext\n"
		      "target 192.168.9.200 tcp 80 > d/web/80/tcp/4/lb\n"
		      "announced 192.168.9.200\n");
}

TEST(plan_external_policy_local)
{
	struct plan_options options = node_a();
	const char *service = "{" META
			      ",'spec':{'type':'LoadBalancer','externalTrafficPolicy':'Local','clusterIP':'10.96.0.7'," NODEPORT
			      "},'status':{'loadBalancer':{'ingress':[{'ip':'192.168.9.200'}]}}}";
	const char *slices = "[" SLICE4(ON("10.244.1.2", "b")) "]";

	options.announce = true;
	check_plan_of(&options, service, slices,
		      "chain d/web/80/tcp/4 10.244.1.2:8080\n"
		      "chain d/web/80/tcp/4/ext pods:d/web/80/tcp/4 outside keep\n"
		      "address 10.96.0.7\n"
		      "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n"
		      "nodeport 0.0.0.0 tcp 30080 > d/web/80/tcp/4/ext\n"
		      "refused-nodeport 0.0.0.0 tcp 30080 > drop\n"
		      "target 192.168.9.200 tcp 80 > d/web/80/tcp/4/ext\n"
		      "refused 192.168.9.200 tcp 80 > drop\n");
	options.node_name = STR("b"); /* where the endpoint is, the address is held too */
	options.announce = false;
	check_plan_of(&options, service, slices,
		      "chain d/web/80/tcp/4 10.244.1.2:8080\n"
		      "chain d/web/80/tcp/4/ext pods:d/web/80/tcp/4 outside keep 10.244.1.2:8080\n"
		      "address 10.96.0.7\n"
		      "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n"
		      "nodeport 0.0.0.0 tcp 30080 > d/web/80/tcp/4/ext\n"
		      "target 192.168.9.200 tcp 80 > d/web/80/tcp/4/ext\n"
		      "hairpin 10.244.1.2\n"
		      "announced 192.168.9.200\n");
}

TEST(plan_internal_policy_local)
{
	const char *service = "{" META ",'spec':{'internalTrafficPolicy':'Local','clusterIP':'10.96.0.7'," PORT "}}";

	check_plan(service, "[" SLICE4(ON("10.244.1.2", "b")) "]",
		   "address 10.96.0.7\n"
		   "refused 10.96.0.7 tcp 80 > drop\n");
	check_plan(service, "[" SLICE4(ON("10.244.1.2", "b") "," ON("10.244.0.2", "a")) "]",
		   "chain d/web/80/tcp/4 10.244.0.2:8080\n"
		   "address 10.96.0.7\n"
		   "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n"
		   "hairpin 10.244.0.2\n");
}

TEST(plan_affinity)
{
	check_plan("{" META ",'spec':{'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':7}},"
		   "'clusterIP':'10.96.0.7'," PORT "}}",
		   "[" SLICE4(ON("10.244.1.2", "b")) "]",
		   "chain d/web/80/tcp/4 affinity:7000 10.244.1.2:8080\n"
		   "address 10.96.0.7\n"
		   "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n");
}

TEST(plan_both_families_and_protocols)
{
	check_plan("{" META ",'spec':{'clusterIP':'10.96.0.7','clusterIPs':['10.96.0.7','fd00:96::7'],'ports':["
		   "{'name':'http','protocol':'TCP','port':80},{'name':'dns','protocol':'UDP','port':53}]}}",
		   "[" SLICE4(ON("10.244.1.2", "b")) ",{'addressType':'IPv6','ports':[{'name':'dns','protocol':'UDP','port':5353},"
						     "{'name':'http','protocol':'TCP','port':8080}],'endpoints':[" ON("fd00::5",
														      "a") "]}]",
		   "chain d/web/80/tcp/4 10.244.1.2:8080\n"
		   "chain d/web/80/tcp/6 fd00::5:8080\n"
		   "chain d/web/53/udp/6 fd00::5:5353\n"
		   "address 10.96.0.7\n"
		   "target 10.96.0.7 tcp 80 > d/web/80/tcp/4\n"
		   "address 10.96.0.7\n"
		   "refused 10.96.0.7 udp 53 > refuse\n"
		   "address fd00:96::7\n"
		   "target fd00:96::7 tcp 80 > d/web/80/tcp/6\n"
		   "hairpin fd00::5\n"
		   "address fd00:96::7\n"
		   "target fd00:96::7 udp 53 > d/web/53/udp/6\n"
		   "hairpin fd00::5\n");
}

TEST(plan_v6_alone)
{
	check_plan(
		"{" META ",'spec':{'type':'NodePort','clusterIP':'fd00:96::7','clusterIPs':['fd00:96::7']," NODEPORT "}}",
		"[" SLICE4(ON("10.244.1.2", "b")) ",{'addressType':'IPv6','ports':[{'name':'http','protocol':'TCP','port':8080}],"
						  "'endpoints':[" ON("fd00::5", "b") "]}]",
		"chain d/web/80/tcp/6 fd00::5:8080\n"
		"chain d/web/80/tcp/6/ext outside fd00::5:8080\n"
		"address fd00:96::7\n"
		"target fd00:96::7 tcp 80 > d/web/80/tcp/6\n"
		"nodeport :: tcp 30080 > d/web/80/tcp/6/ext\n");
}

TEST(plan_bad_values_are_passed_over)
{
	check_plan("{" META ",'spec':{'clusterIP':'10.96.0.7','clusterIPs':['x'],'ports':[{'port':0},{'port':70000},{}]}}",
		   "[{},{'addressType':'IPv4'}]", "");
	check_plan(
		"{" META ",'spec':{'clusterIP':'10.96.0.7'," PORT "}}",
		"[{'addressType':'IPv4','ports':[{'name':'http','protocol':'TCP'}],'endpoints':[{'addresses':['10.244.0.1']}]}," SLICE4(
			"{'addresses':[]},{'addresses':['fd00::1']},{}") "]",
		"address 10.96.0.7\n"
		"refused 10.96.0.7 tcp 80 > refuse\n");
}

TEST(plan_chains_compare_by_content)
{
	struct nft_endpoint one[] = { { ip_v4(10, 0, 0, 1), 80 } }, two[] = { { ip_v4(10, 0, 0, 2), 80 } };
	struct plan_chain a = { .name = "x", .family = 4, .endpoints = one, .n = 1 }, b = a;

	CHECK(plan_chain_equal(&a, &b));
	b.endpoints = two;
	CHECK(!plan_chain_equal(&a, &b));
	b = a;
	b.pods = "y";
	CHECK(!plan_chain_equal(&a, &b));
	b = a;
	b.affinity_ms = 1;
	CHECK(!plan_chain_equal(&a, &b));
}
