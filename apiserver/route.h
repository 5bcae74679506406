/* From method and path to what is asked for. Pure. */
#ifndef APISERVER_ROUTE_H
#define APISERVER_ROUTE_H

#include "api/schema.h"
#include "base/base.h"

enum route_what {
	ROUTE_NONE,     /* no such path: plain 404 */
	ROUTE_DOCUMENT, /* discovery, OpenAPI, version, health, metrics, debug: by path */
	ROUTE_RESOURCE,
	ROUTE_NO_RESOURCE, /* known group and version, unknown resource: a NotFound Status */
};

struct route {
	enum route_what what;
	const struct kind *kind;
	struct str group, version, resource; /* as in the path */
	struct str ns;
	struct str name;
	struct str subresource;
	struct str rest; /* behind the subresource: the path of a proxy request */
	bool old_watch;  /* /watch/ prefix */
	enum verb verb;  /* of resources */
	bool bad_method; /* nothing of the resource answers this method */
};

void route_parse(struct arena *arena, struct str method, struct str path, struct route *out);
/* "get", "list", … as authorization and errors name it; subresource-aware verbs are upstream's. */
const char *route_verb_name(const struct route *route);

#endif
