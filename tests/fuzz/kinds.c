#include "api/schema.h"
#include "tests/fuzz/fuzz.h"

/* One of each shape; corpora begin with the letter. */
static const struct {
	char letter;
	const char *group, *resource;
} rows[] = {
	{ 'p', "", "pods" },
	{ 's', "", "services" },
	{ 'n', "", "nodes" },
	{ 'c', "", "configmaps" },
	{ 'x', "", "secrets" },
	{ 'e', "", "events" },
	{ 'v', "", "persistentvolumes" },
	{ 'd', "apps", "deployments" },
	{ 'b', "batch", "cronjobs" },
	{ 'h', "autoscaling", "horizontalpodautoscalers" },
	{ 'l', "discovery.k8s.io", "endpointslices" },
	{ 'k', "apiextensions.k8s.io", "customresourcedefinitions" },
	{ 'i', "networking.k8s.io", "ingresses" },
	{ 'r', "rbac.authorization.k8s.io", "clusterroles" },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

const struct kind *fuzz_kind(struct str *in)
{
	char letter = (char)fuzz_choice(in, 256);
	size_t row = (unsigned char)letter % N_ROWS;
	const struct kind *kind;

	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].letter == letter)
			row = i;
	kind = kind_find(str_from(rows[row].group), STR("v1"), str_from(rows[row].resource));
	FUZZ_CHECK(kind != NULL);
	return kind;
}
