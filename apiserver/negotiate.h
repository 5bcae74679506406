/* Media types: what the client accepts, what it sends. Pure. */
#ifndef APISERVER_NEGOTIATE_H
#define APISERVER_NEGOTIATE_H

#include "api/api.h"
#include "base/base.h"

enum accept_as { AS_ITSELF, AS_TABLE, AS_PARTIAL };

struct accept {
	enum api_media media;
	enum accept_as as;
	struct str as_version; /* "v1" or "v1beta1" of meta.k8s.io */
	bool list;             /* PartialObjectMetadataList was named */
	bool pretty;
	enum { INCLUDE_METADATA, INCLUDE_NONE, INCLUDE_OBJECT } include; /* includeObject of a Table */
};

/* The first clause we can serve, in the client's order of preference. table: whether Tables and metadata are on offer;
 * proto: whether protobuf is. ERR_NOT_ACCEPTABLE when there is none. */
struct error *accept_parse(struct str header, bool table, bool proto, struct accept *out) MUST_CHECK;
/* Whether any clause names a type that is served at all; list: also streams are told of. */
struct error *accept_routed(struct str header, bool list) MUST_CHECK;
/* ERR_NOT_ACCEPTABLE when metadata of one object is asked of a list, or the other way round. */
struct error *accept_fits(const struct accept *accept, bool list, const struct kind *kind) MUST_CHECK;
/* ERR_MEDIA_TYPE unless that is one of the four kinds of patches. */
struct error *patch_media_routed(struct str content_type) MUST_CHECK;
bool media_is(struct str type, const char *name); /* whatever the case */
const char *media_name(enum api_media media);

/* Discovery asks with g, v and as: true when aggregated discovery v2 (or v2beta1) is preferred. */
bool accept_aggregated(struct str header, struct str *version);

/* Of a body: the media type without parameters, lower case. */
struct str content_type(struct str header);

#endif
