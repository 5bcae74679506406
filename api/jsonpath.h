/* The JSONPath of printer columns: .a.b, ['a'], [0], [-1], [*], .*, [?(@.type=="Ready")]. Private to api. Pure. */
#ifndef API_JSONPATH_H
#define API_JSONPATH_H

#include "json/json.h"

/* The first value that the path finds; NULL when there is none, or when it is no path. */
const struct json *jsonpath_first(struct arena *arena, struct str path, const struct json *tree);
/* False when it is no path that this understands. */
bool jsonpath_valid(struct arena *arena, struct str path);

#endif
