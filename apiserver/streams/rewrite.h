/*
 * Answers that pass through a proxy subresource name addresses as the server behind it sees them. These put the proxy's own
 * path before them: in a Location header, and in the attributes of HTML that hold URLs. Pure. Behaviour:
 * k8s.io/apimachinery/pkg/util/proxy/transport.go.
 */
#ifndef APISERVER_STREAMS_REWRITE_H
#define APISERVER_STREAMS_REWRITE_H

#include "base/base.h"

struct rewrite {
	struct str prefix;   /* "/api/v1/namespaces/x/pods/y/proxy" */
	struct str hosts[2]; /* of the server behind, and of the request: an address with another one stays */
};

struct str rewrite_url(struct arena *arena, const struct rewrite *rewrite, struct str url);
/* A document that comes in pieces. What cannot be decided yet (half a tag) is left in `rest`, which the caller keeps and fills;
 * at the end it gets what there is. Tags of more than 64 kB pass as they are. */
void rewrite_html(const struct rewrite *rewrite, struct buf *rest, bool end, struct buf *out);

#endif
