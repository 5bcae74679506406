/* Label and field selectors of a list, a watch or a deletion. Which fields can be selected is a table. */
#include "api/selector.h"
#include "apiserver/server.h"

/* Beside metadata.name and metadata.namespace, which every kind has. k8s.io/kubernetes/pkg/apis, conversion of field labels. */
static const struct {
	const char *group, *resource;
	const char *field; /* as asked */
	const char *path;  /* where it stands; NULL: the same */
	const char *zero;  /* what an absent one compares as */
} fields[] = {
	{ "", "pods", "spec.nodeName", NULL, "" },
	{ "", "pods", "spec.restartPolicy", NULL, "" },
	{ "", "pods", "spec.schedulerName", NULL, "" },
	{ "", "pods", "spec.serviceAccountName", NULL, "" },
	{ "", "pods", "spec.hostNetwork", NULL, "false" },
	{ "", "pods", "status.phase", NULL, "" },
	{ "", "pods", "status.podIP", NULL, "" },
	{ "", "pods", "status.podIPs", "status.podIP", "" },
	{ "", "pods", "status.nominatedNodeName", NULL, "" },
	{ "", "nodes", "spec.unschedulable", NULL, "false" },
	{ "", "namespaces", "status.phase", NULL, "" },
	{ "", "secrets", "type", NULL, "" },
	{ "", "services", "spec.clusterIP", NULL, "" },
	{ "", "services", "spec.type", NULL, "" },
	{ "", "replicationcontrollers", "status.replicas", NULL, "0" },
	{ "apps", "replicasets", "status.replicas", NULL, "0" },
	{ "batch", "jobs", "status.successful", "status.succeeded", "0" },
	{ "certificates.k8s.io", "certificatesigningrequests", "spec.signerName", NULL, "" },
	{ "", "events", "involvedObject.kind", NULL, "" },
	{ "", "events", "involvedObject.namespace", NULL, "" },
	{ "", "events", "involvedObject.name", NULL, "" },
	{ "", "events", "involvedObject.uid", NULL, "" },
	{ "", "events", "involvedObject.apiVersion", NULL, "" },
	{ "", "events", "involvedObject.resourceVersion", NULL, "" },
	{ "", "events", "involvedObject.fieldPath", NULL, "" },
	{ "", "events", "reason", NULL, "" },
	{ "", "events", "reportingComponent", NULL, "" },
	{ "", "events", "source", "source.component", "" },
	{ "", "events", "type", NULL, "" },
	{ "events.k8s.io", "events", "regarding.kind", NULL, "" },
	{ "events.k8s.io", "events", "regarding.namespace", NULL, "" },
	{ "events.k8s.io", "events", "regarding.name", NULL, "" },
	{ "events.k8s.io", "events", "regarding.uid", NULL, "" },
	{ "events.k8s.io", "events", "regarding.apiVersion", NULL, "" },
	{ "events.k8s.io", "events", "reason", NULL, "" },
	{ "events.k8s.io", "events", "reportingController", NULL, "" },
	{ "events.k8s.io", "events", "type", NULL, "" },
};

struct requirement {
	const char *path;
	const char *zero;
	struct str value;
	bool differs;
};

struct match {
	struct selector *labels; /* NULL: all */
	struct requirement *fields;
	size_t n_fields;
	struct str name;
};

static struct error *find_field(const struct kind *kind, struct arena *arena, struct str name,
				struct requirement *requirement)
{
	requirement->zero = "";
	if (str_is(name, "metadata.name") || (str_is(name, "metadata.namespace") && kind_namespaced(kind))) {
		requirement->path = str_cstr(arena, name);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!str_is(kind_group(kind), fields[i].group) || !str_is(kind_resource(kind), fields[i].resource) ||
		    !str_is(name, fields[i].field))
			continue;
		requirement->path = fields[i].path != NULL ? fields[i].path : fields[i].field;
		requirement->zero = fields[i].zero;
		return NULL;
	}
	return error_new(ERR_BAD_REQUEST, "field label not supported: %.*s", STR_ARG(name));
}

/* Cuts at the first comma that no backslash hides, and undoes the escapes. */
static bool next_term(struct arena *arena, struct str *text, struct str *term)
{
	char *out = arena_raw(arena, text->len + 1);
	size_t n = 0, i;

	if (text->len == 0)
		return false;
	for (i = 0; i < text->len && text->ptr[i] != ','; i++) {
		if (text->ptr[i] == '\\' && i + 1 < text->len)
			i++;
		out[n++] = text->ptr[i];
	}
	*text = str_skip(*text, i + 1);
	*term = str_of(out, n);
	return true;
}

static struct error *parse_fields(struct arena *arena, const struct kind *kind, struct str text, struct match *match)
{
	struct str term, whole = text;

	match->fields = ARENA_ARRAY(arena, struct requirement, text.len / 2 + 1);
	while (next_term(arena, &text, &term)) {
		struct requirement *requirement = &match->fields[match->n_fields];
		ptrdiff_t at = str_find(term, '=');
		struct error *err;
		struct str name;

		if (term.len == 0)
			continue;
		if (at <= 0)
			return error_new(ERR_BAD_REQUEST, "invalid selector: '%.*s'; can't understand '%.*s'",
					 STR_ARG(whole), STR_ARG(term));
		requirement->differs = term.ptr[at - 1] == '!';
		name = str_head(term, (size_t)at - requirement->differs);
		requirement->value = str_skip(term, (size_t)at + 1);
		if (!requirement->differs && requirement->value.len != 0 && requirement->value.ptr[0] == '=')
			requirement->value = str_skip(requirement->value, 1);
		err = find_field(kind, arena, name, requirement);
		if (err != NULL)
			return err;
		if (str_is(name, "metadata.name") && !requirement->differs)
			match->name = requirement->value;
		match->n_fields++;
	}
	return NULL;
}

struct error *match_parse(struct arena *arena, const struct kind *kind, struct str labels, struct str field_text,
			  struct match **out)
{
	struct match *match = ARENA_NEW(arena, struct match);
	struct error *err = NULL;

	if (str_trim(labels).len != 0)
		err = selector_parse(arena, labels, &match->labels);
	if (err == NULL)
		err = parse_fields(arena, kind, str_trim(field_text), match);
	*out = match;
	return err;
}

/* Selectable fields are text, numbers or booleans; all compare as text. */
static struct str field_text(const struct json *tree, const struct requirement *requirement)
{
	const struct json *value = json_path(tree, requirement->path);

	if (json_is(value, JSON_STRING) || json_is(value, JSON_NUMBER))
		return value->text;
	if (json_is(value, JSON_BOOL))
		return json_bool(value) ? STR("true") : STR("false");
	return str_from(requirement->zero);
}

bool match_tree(const struct match *match, const struct json *tree)
{
	for (size_t i = 0; i < match->n_fields; i++)
		if (str_eq(field_text(tree, &match->fields[i]), match->fields[i].value) == match->fields[i].differs)
			return false;
	return match->labels == NULL || selector_matches(match->labels, json_path(tree, "metadata.labels"));
}

bool match_all(const struct match *match)
{
	return match->labels == NULL && match->n_fields == 0;
}

struct str match_name(const struct match *match)
{
	return match->name;
}
