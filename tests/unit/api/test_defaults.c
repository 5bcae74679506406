/*
 * The defaults of the running upstream server: every object of live/defaults.json that was created from a body, decoded
 * and defaulted by us, compared with the answer where the answer is a matter of defaults. What other parts of a server
 * add (identity, admission, allocation, status on creation) is taken out of both sides.
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static const struct json *without(struct arena *arena, const struct json *tree, const char *const *paths)
{
	for (; *paths != NULL; paths++)
		tree = json_with_path(arena, tree, *paths, NULL);
	return tree;
}

/* The service account's volume and mounts, added by admission. */
static const struct json *without_token(struct arena *arena, const struct json *spec)
{
	static const char prefix[] = "kube-api-access-";
	struct json_builder volumes = { .arena = arena };

	JSON_EACH (json_get(spec, "volumes"), it)
		if (!str_has_prefix(json_get_str(it.value, "name"), str_from(prefix)))
			json_builder_item(&volumes, it.value);
	spec = json_with(arena, spec, "volumes", volumes.len == 0 ? NULL : json_builder_array(&volumes));
	for (int round = 0; round < 3; round++) {
		const char *list = round == 0 ? "containers" : round == 1 ? "initContainers" : "ephemeralContainers";
		JSON_EACH (json_get(spec, list), c) {
			struct json_builder mounts = { .arena = arena };
			JSON_EACH (json_get(c.value, "volumeMounts"), it)
				if (!str_has_prefix(json_get_str(it.value, "name"), str_from(prefix)))
					json_builder_item(&mounts, it.value);
			spec = json_with_path(arena, spec, arena_printf(arena, "%s.%zu.volumeMounts", list, c.index),
					      mounts.len == 0 ? NULL : json_builder_array(&mounts));
		}
	}
	return spec;
}

static const struct json *bare(struct arena *arena, const struct json *tree, struct str kind)
{
	static const char *const always[] = { "metadata.uid",
					      "metadata.resourceVersion",
					      "metadata.generation",
					      "metadata.creationTimestamp",
					      "metadata.managedFields",
					      "metadata.namespace",
					      "metadata.name",
					      "metadata.generateName",
					      "status",
					      NULL };
	static const char *const pod[] = { "spec.serviceAccountName",
					   "spec.serviceAccount",
					   "spec.tolerations",
					   "spec.priority",
					   "spec.preemptionPolicy",
					   "spec.overhead",
					   NULL };
	static const char *const service[] = { "spec.clusterIP",      "spec.clusterIPs",          "spec.ipFamilies",
					       "spec.ipFamilyPolicy", "spec.healthCheckNodePort", NULL };

	tree = without(arena, tree, always);
	if (str_is(kind, "Pod")) {
		tree = without(arena, tree, pod);
		tree = json_with(arena, tree, "spec", without_token(arena, json_get(tree, "spec")));
	}
	if (str_is(kind, "Service")) {
		tree = without(arena, tree, service);
		JSON_EACH (json_path(tree, "spec.ports"), it)
			tree = json_with_path(arena, tree, arena_printf(arena, "spec.ports.%zu.nodePort", it.index), NULL);
	}
	/* Protection, taints and labels that strategies and admission put there. */
	if (str_has_prefix(kind, STR("PersistentVolume")))
		tree = json_with_path(arena, tree, "metadata.finalizers", NULL);
	if (str_is(kind, "Node"))
		tree = json_with_path(arena, tree, "spec.taints", NULL);
	if (str_is(kind, "DaemonSet"))
		tree = json_with_path(arena, tree, "metadata.annotations", NULL);
	if (str_is(kind, "Job")) {
		tree = json_with_path(arena, tree, "metadata.labels", NULL);
		tree = json_with_path(arena, tree, "spec.selector", NULL);
		tree = json_with_path(arena, tree, "spec.template.metadata.labels", NULL);
	}
	if (str_is(kind, "Namespace"))
		tree = json_with_path(arena, json_with_path(arena, tree, "metadata.labels", NULL), "spec", NULL);
	return tree;
}

static const struct kind *kind_of(const struct json *tree)
{
	struct str version = json_get_str(tree, "apiVersion"), group = STR("");

	if (str_find(version, '/') >= 0)
		str_cut(&version, '/', &group);
	return kind_find_named(group, version, json_get_str(tree, "kind"));
}

/* Objects whose answer is changed by more than defaults, by name. */
static bool beyond_defaults(const struct json *one)
{
	static const char *const names[] = {
		"Pod volume projected",              /* a field behind a closed feature gate is dropped */
		"PersistentVolumeClaim data source", /* the strategy copies dataSource to dataSourceRef */
		"VolumeAttributesClass",             /* protection */
		"CertificateSigningRequest",         /* who asks */
		"Lease held",                        /* the recorder put a placeholder for the time */
		"Event events.k8s.io",               /* the same */
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_is(json_get_str(one, "name"), names[i]))
			return true;
	return false;
}

TEST(defaults_are_upstreams)
{
	struct arena *arena = arena_new();
	const struct json *all = vector_json(arena, "live/defaults.json");
	size_t compared = 0, differ = 0;

	JSON_EACH (json_get(all, "create"), it) {
		const struct json *object = json_get(it.value, "object"), *answer = json_get(it.value, "answer"), *tree;
		struct arena *one = arena_new();
		const struct kind *kind = kind_of(object);
		int64_t code = json_int(json_get(it.value, "code"), 0);
		struct api_body body = { .kind = kind, .media = API_JSON, .text = json_format(one, object) };
		struct api_notes notes = { 0 };

		if (kind != NULL && (code == 201 || code == 200) && (kind_verbs(kind) & VERB(LIST)) != 0 &&
		    kind_of(answer) == kind && !beyond_defaults(it.value)) {
			CHECK_OK(api_decode(one, &body, &notes, &tree));
			tree = api_default(one, kind, tree);
			struct str got = json_format(one, bare(one, tree, kind_name(kind)));
			struct str want = json_format(one, bare(one, answer, kind_name(kind)));
			compared++;
			if (!str_eq(got, want)) {
				printf("# %.*s\n#   %.*s\n#   %.*s\n", STR_ARG(json_get_str(it.value, "name")), STR_ARG(got),
				       STR_ARG(want));
				differ++;
			}
		}
		arena_free(one);
	}
	CHECK_EQ(differ, 0);
	CHECK(compared >= 120);
	arena_free(arena);
}

TEST(defaults_twice_change_nothing)
{
	struct arena *arena = arena_new();
	const struct json *all = vector_json(arena, "live/defaults.json");

	JSON_EACH (json_get(all, "create"), it) {
		const struct json *object = json_get(it.value, "object"), *tree;
		struct arena *one = arena_new();
		const struct kind *kind = kind_of(object);

		if (kind != NULL) {
			CHECK_OK(api_normalize(one, kind_type(kind), object, NULL, &tree));
			tree = api_default(one, kind, tree);
			CHECK(api_default(one, kind, tree) == tree);
			const struct json *again;
			CHECK_OK(api_normalize(one, kind_type(kind), tree, NULL, &again));
			CHECK_STR(json_format(one, again), json_format(one, tree));
		}
		arena_free(one);
	}
	arena_free(arena);
}
