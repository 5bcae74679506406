/* What the files of json share. */
#ifndef JSON_PRIVATE_H
#define JSON_PRIVATE_H

#include "base/error.h"
#include "base/str.h"

/* What Go's scanner would say about a text that is not JSON; NULL when it finds nothing wrong. */
struct error *json_explain(struct str text);

#endif
