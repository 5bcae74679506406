#include <string.h>

#include "scheduler/plan.h"
#include "tests/unit/tap.h"

struct stage {
	struct arena *arena;
	struct plan_node nodes[8];
	struct plan_node *list[8];
	size_t n;
};

static const struct json *read_yaml(struct arena *arena, const char *yaml)
{
	const struct json *tree;

	CHECK_OK(json_read_yaml(arena, str_from(yaml), NULL, &tree));
	return tree;
}

static struct plan_node *add_node(struct stage *stage, const char *yaml)
{
	struct plan_node *node = &stage->nodes[stage->n];

	*node = (struct plan_node){ .tree = read_yaml(stage->arena, yaml) };
	node->name = json_path_str(node->tree, "metadata.name");
	node->max_pods = 3;
	amounts_of_list(&node->allocatable, json_path(node->tree, "status.allocatable"));
	stage->list[stage->n++] = node;
	return node;
}

static void put_pod(struct stage *stage, struct plan_node *node, const char *yaml)
{
	struct amounts amounts = { 0 };
	const struct json *pod = read_yaml(stage->arena, yaml);

	amounts_of_pod(&amounts, pod);
	amounts_add(&node->used, &amounts, 1);
	amounts_fini(&amounts);
	vec_push(&node->pods, (struct plan_pod){ pod, json_path_str(pod, "metadata.namespace") });
}

static struct plan choose(struct stage *stage, const char *yaml)
{
	struct plan plan = {
		.pod = read_yaml(stage->arena, yaml), .nodes = stage->list, .n_nodes = stage->n, .arena = stage->arena
	};

	plan_choose(&plan);
	return plan;
}

static void close_stage(struct stage *stage)
{
	for (size_t i = 0; i < stage->n; i++) {
		amounts_fini(&stage->nodes[i].allocatable);
		amounts_fini(&stage->nodes[i].used);
		vec_fini(&stage->nodes[i].pods);
	}
	arena_free(stage->arena);
}

#define ALLOC     "status: {allocatable: {cpu: '2', memory: 4Gi}}"
#define POD(spec) "{metadata: {name: p, namespace: default, labels: {app: a}}, spec: {" spec "}}"

TEST(plan_takes_the_emptier_node)
{
	struct stage stage = { .arena = arena_new() };

	put_pod(&stage, add_node(&stage, "{metadata: {name: n1}, " ALLOC "}"),
		POD("containers: [{resources: {requests: {cpu: '1'}}}]"));
	add_node(&stage, "{metadata: {name: n2}, " ALLOC "}");
	CHECK_STR(choose(&stage, POD("containers: [{}]")).chosen->name, "n2");
	close_stage(&stage);
}

TEST(plan_says_why_each_node_does_not_fit)
{
	static const struct {
		const char *node, *pod, *message;
	} rows[] = {
		{ "{metadata: {name: n1}, " ALLOC "}", POD("containers: [{resources: {requests: {cpu: '3'}}}]"),
		  "0/1 nodes are available: 1 Insufficient cpu." },
		{ "{metadata: {name: n1}, " ALLOC "}", POD("containers: [{resources: {requests: {example.com/gpu: 1}}}]"),
		  "0/1 nodes are available: 1 Insufficient example.com/gpu." },
		{ "{metadata: {name: n1}, spec: {unschedulable: true}, " ALLOC "}", POD("containers: [{}]"),
		  "0/1 nodes are available: 1 node(s) were unschedulable." },
		{ "{metadata: {name: n1}, spec: {taints: [{key: k, value: v, effect: NoSchedule}]}, " ALLOC "}",
		  POD("containers: [{}]"), "0/1 nodes are available: 1 node(s) had untolerated taint {k: v}." },
		{ "{metadata: {name: n1}, " ALLOC "}", POD("nodeSelector: {disk: ssd}, containers: [{}]"),
		  "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stage stage = { .arena = arena_new() };
		struct plan plan;

		add_node(&stage, rows[i].node);
		plan = choose(&stage, rows[i].pod);
		CHECK(plan.chosen == NULL);
		CHECK_STR(str_head(str_from(plan_message(&plan)), strlen(rows[i].message)), rows[i].message);
		close_stage(&stage);
	}
}

TEST(plan_counts_reasons_over_nodes)
{
	struct stage stage = { .arena = arena_new() };
	struct plan plan;

	for (int i = 0; i < 3; i++)
		add_node(&stage, "{metadata: {name: n}, " ALLOC "}");
	plan = choose(&stage, POD("containers: [{resources: {requests: {cpu: '3', memory: 8Gi}}}]"));
	CHECK(str_has_prefix(str_from(plan_message(&plan)),
			     STR("0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient memory.")));
	close_stage(&stage);
}

TEST(plan_honours_tolerations_ports_and_the_pod_limit)
{
	struct stage stage = { .arena = arena_new() };
	struct plan_node *node =
		add_node(&stage, "{metadata: {name: n1}, spec: {taints: [{key: k, effect: NoExecute}]}, " ALLOC "}");
	static const char port[] = POD("tolerations: [{operator: Exists}], containers: [{ports: [{hostPort: 80, protocol: TCP}]}]");

	CHECK(choose(&stage, port).chosen == node);
	put_pod(&stage, node, port);
	CHECK(choose(&stage, port).chosen == NULL);
	put_pod(&stage, node, POD("containers: [{}]"));
	put_pod(&stage, node, POD("containers: [{}]"));
	CHECK(choose(&stage, POD("tolerations: [{key: k, operator: Exists}], containers: [{}]")).chosen == NULL);
	close_stage(&stage);
}

TEST(plan_spreads_over_zones)
{
	struct stage stage = { .arena = arena_new() };
	static const char spread[] = POD(
		"containers: [{}], topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, "
		"labelSelector: {matchLabels: {app: a}}}]");

	put_pod(&stage, add_node(&stage, "{metadata: {name: n1, labels: {zone: a}}, " ALLOC "}"), POD("containers: [{}]"));
	add_node(&stage, "{metadata: {name: n2, labels: {zone: b}}, " ALLOC "}");
	CHECK_STR(choose(&stage, spread).chosen->name, "n2");
	close_stage(&stage);
}

TEST(plan_requests_are_the_larger_of_init_and_containers)
{
	struct arena *arena = arena_new();
	struct amounts amounts = { 0 };

	amounts_of_pod(
		&amounts,
		read_yaml(
			arena,
			POD("initContainers: [{resources: {requests: {cpu: '3'}}}, {restartPolicy: Always, "
			    "resources: {requests: {cpu: 500m}}}], containers: [{resources: {requests: {cpu: '1', memory: 1Gi}}}], "
			    "overhead: {cpu: 100m}")));
	CHECK_EQ(amounts.fixed[RESOURCE_CPU], 3100);
	CHECK_EQ(amounts.fixed[RESOURCE_MEMORY], 1 << 30);
	amounts_fini(&amounts);
	arena_free(arena);
}
