/* Pieces of the OpenAPI documents. Private to api. Pure. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "api/schema.h"
#include "json/json.h"

enum openapi { OPENAPI_V2, OPENAPI_V3 };

/* {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"}, or what stands for it. */
const struct json *openapi_ref(struct arena *arena, enum openapi version, struct str full_name);
struct str openapi_name(struct arena *arena, const struct type *type);
/* The definition of a type; what it refers to is added to used (type ids), unless that is NULL. */
const struct json *openapi_schema(struct arena *arena, enum openapi version, const struct type *type, bool *used);

/* The whole of version 2, as a tree. */
const struct json *openapi_v2(struct arena *arena);

/* A kind that is described at run time, and its list. */
const struct json *openapi_custom(struct arena *arena, enum openapi version, const struct kind *kind);
const struct json *openapi_custom_list(struct arena *arena, enum openapi version, const struct kind *kind);

#endif
