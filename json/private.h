/* What the files of json share. */
#ifndef JSON_PRIVATE_H
#define JSON_PRIVATE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "json/json.h"

/* What Go's scanner would say about a text that is not JSON; NULL when it finds nothing wrong. */
struct error *json_explain(struct str text);
/* Gives an object its members, and an index when they are many: nobody may make us search a large object again and again. */
void json_set_members(struct arena *arena, struct json *object, const struct json_member *members, size_t len);

/* The first token of an RFC 6901 pointer as it stands; the pointer moves on. */
struct str pointer_cut(struct str *pointer);
/* A token without its ~0 and ~1; room is for as many bytes as it has. */
struct str pointer_unescape(struct str token, char *room);

#endif
