/* What the files of api share and nobody else sees. */
#ifndef API_PRIVATE_H
#define API_PRIVATE_H

#include "api/schema.h"
#include "json/json.h"

/* The compiled catalogue: a struct catalog and all it refers to. */
extern const uint32_t catalog_block[];
extern const struct api_group catalog_groups[];
extern const size_t catalog_groups_len;

/* Differs whenever the catalogue does. */
uint64_t catalog_hash(void);

/* HorizontalPodAutoscaler from autoscaling/v1 to v2 or back; not normalised. */
const struct json *convert_autoscaler(struct arena *arena, const struct json *tree, bool to_v2);

#endif
