#include "apiserver/negotiate.h"

#include <stdlib.h>
#include <strings.h>

#define MEDIA_TYPES  "application/json, application/yaml, application/vnd.kubernetes.protobuf"
#define STREAM_TYPES ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"

struct clause {
	struct str type;
	struct str as, group, version;
	double q;
	size_t order;
};

bool media_is(struct str type, const char *name)
{
	return type.len == strlen(name) && strncasecmp(type.ptr, name, type.len) == 0;
}

static struct str unquote(struct str s)
{
	if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
		return str_of(s.ptr + 1, s.len - 2);
	return s;
}

static struct clause parse_clause(struct str text, size_t order)
{
	struct clause clause = { .q = 1, .order = order };
	struct str part;

	if (str_cut(&text, ';', &part))
		clause.type = str_trim(part);
	while (str_cut(&text, ';', &part)) {
		struct str key, value = str_trim(part);

		if (!str_cut(&value, '=', &key))
			continue;
		key = str_trim(key);
		value = unquote(str_trim(value));
		if (media_is(key, "as"))
			clause.as = value;
		else if (media_is(key, "g"))
			clause.group = value;
		else if (media_is(key, "v"))
			clause.version = value;
		else if (media_is(key, "q")) {
			char number[16] = { 0 };

			memcpy(number, value.ptr, value.len < 15 ? value.len : 15);
			clause.q = strtod(number, NULL);
		}
	}
	return clause;
}

#define MAX_CLAUSES 16

static int by_preference(const void *a, const void *b)
{
	const struct clause *x = a, *y = b;

	if (x->q != y->q)
		return x->q > y->q ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static size_t parse_clauses(struct str header, struct clause clauses[MAX_CLAUSES])
{
	struct str text;
	size_t n = 0;

	while (n < MAX_CLAUSES && str_cut(&header, ',', &text)) {
		clauses[n] = parse_clause(text, n);
		n++;
	}
	qsort(clauses, n, sizeof(clauses[0]), by_preference);
	return n;
}

static bool serve_media(struct str type, enum api_media *media)
{
	if (type.len == 0 || media_is(type, "application/json") || media_is(type, "*/*") || media_is(type, "application/*"))
		*media = API_JSON;
	else if (media_is(type, "application/yaml"))
		*media = API_YAML;
	else if (media_is(type, "application/vnd.kubernetes.protobuf"))
		*media = API_PROTOBUF;
	else
		return false;
	return true;
}

static bool serve_as(const struct clause *clause, bool table, struct accept *out)
{
	bool version = str_is(clause->version, "v1") || str_is(clause->version, "v1beta1");

	out->as = AS_ITSELF;
	out->list = false;
	if (clause->as.len == 0)
		return true;
	if (!table || !str_is(clause->group, "meta.k8s.io") || !version)
		return false;
	out->as_version = clause->version;
	if (media_is(clause->as, "Table")) {
		out->as = AS_TABLE;
		return out->media != API_PROTOBUF;
	}
	out->list = media_is(clause->as, "PartialObjectMetadataList");
	out->as = AS_PARTIAL;
	return out->list || media_is(clause->as, "PartialObjectMetadata");
}

struct error *accept_parse(struct str header, bool table, bool proto, struct accept *out)
{
	struct clause clauses[MAX_CLAUSES];
	size_t n = parse_clauses(header, clauses);

	*out = (struct accept){ .media = API_JSON };
	if (n == 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (serve_media(clauses[i].type, &out->media) && (proto || out->media != API_PROTOBUF) &&
		    serve_as(&clauses[i], table, out))
			return NULL;
	*out = (struct accept){ .media = API_JSON };
	return error_new(ERR_NOT_ACCEPTABLE, "only the following media types are accepted: " MEDIA_TYPES);
}

struct error *accept_routed(struct str header, bool list)
{
	struct str clause, type = STR("");
	struct error *err;

	header = str_trim(header);
	if (header.len == 0)
		return NULL;
	while (str_cut(&header, ',', &clause)) {
		str_cut(&clause, ';', &type);
		type = str_trim(type);
		if (str_is(type, "*/*") || str_is(type, "application/json") || str_is(type, "application/yaml") ||
		    str_is(type, "application/vnd.kubernetes.protobuf"))
			return NULL;
	}
	err = error_new(ERR_NOT_ACCEPTABLE, "406: Not Acceptable\n\nAvailable representations: " MEDIA_TYPES "%s",
			list ? STREAM_TYPES : "");
	return error_about(err, STR(""), STR(""), STR(""));
}

struct error *accept_fits(const struct accept *accept, bool list, const struct kind *kind)
{
	struct str package = kind == NULL || kind_group(kind).len == 0 ? STR("core") : kind_group(kind), head;
	bool custom = kind != NULL && (kind->flags & KIND_CUSTOM) != 0;

	if (accept->as != AS_PARTIAL || accept->list == list)
		return NULL;
	str_cut(&package, '.', &head);
	return error_new(ERR_NOT_ACCEPTABLE,
			 "you requested PartialObjectMetadata%s, but the requested object is %sa list (*%.*s.%.*s%s)",
			 accept->list ? "List" : "", list ? "" : "not ", STR_ARG(custom ? STR("unstructured") : head),
			 STR_ARG(custom ? STR("Unstructured") : kind_name(kind)), list ? "List" : "");
}

struct error *patch_media_routed(struct str content)
{
	static const char *const types[] = { "application/json-patch+json", "application/merge-patch+json",
					     "application/strategic-merge-patch+json", "application/apply-patch+yaml",
					     "application/apply-patch+cbor" };
	struct str type = content_type(content);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (str_is(type, types[i]))
			return NULL;
	return error_about(error_new(ERR_MEDIA_TYPE, "415: Unsupported Media Type"), STR(""), STR(""), STR(""));
}

const char *media_name(enum api_media media)
{
	switch (media) {
	case API_YAML:
		return "application/yaml";
	case API_PROTOBUF:
		return "application/vnd.kubernetes.protobuf";
	case API_JSON:
		break;
	}
	return "application/json";
}

bool accept_aggregated(struct str header, struct str *version)
{
	struct clause clauses[MAX_CLAUSES];
	size_t n = parse_clauses(header, clauses);

	for (size_t i = 0; i < n; i++) {
		if (!media_is(clauses[i].type, "application/json"))
			continue;
		if (clauses[i].as.len == 0)
			return false;
		if (str_is(clauses[i].as, "APIGroupDiscoveryList") && str_is(clauses[i].group, "apidiscovery.k8s.io") &&
		    (str_is(clauses[i].version, "v2") || str_is(clauses[i].version, "v2beta1"))) {
			*version = clauses[i].version;
			return true;
		}
	}
	return false;
}

struct str content_type(struct str header)
{
	struct str type = STR("");

	str_cut(&header, ';', &type);
	return str_trim(type);
}
