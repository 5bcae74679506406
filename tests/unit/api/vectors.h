/* Files of tests/data/api-v1.36, for the tests of api. */
#ifndef TESTS_UNIT_API_VECTORS_H
#define TESTS_UNIT_API_VECTORS_H

#include "base/arena.h"
#include "base/str.h"
#include "json/json.h"

/* The whole file; ends the test when there is none. name is relative to the folder. */
struct str vector_read(struct arena *arena, const char *name);
const struct json *vector_json(struct arena *arena, const char *name);
/* Names of the files in a folder that end in suffix, sorted; NULL-terminated. */
const char **vector_list(struct arena *arena, const char *folder, const char *suffix);
/* Parses text that must be JSON. */
const struct json *from(struct arena *arena, const char *text);

#endif
