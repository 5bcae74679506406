/* What is valid and yet not wise, told a sentence at a time. Private to api's warnings*.c. Pure. */
#ifndef API_TELLING_H
#define API_TELLING_H

#include "api/api.h"

struct telling {
	struct arena *arena;
	void (*tell)(void *arg, struct str text);
	void *arg;
};

#define TELL(t, ...) (t)->tell((t)->arg, str_format((t)->arena, __VA_ARGS__))

/* Why a label of nodes should not be used any more; NULL: it is none of those. */
const char *telling_old_label(struct str key);
/* Requirements of a selector of nodes. values: also those are judged, as of what is only preferred. */
void telling_of_term(struct telling *t, const char *path, const struct json *term, bool values);
/* A quantity of bytes under that key of a list. */
void telling_of_fraction(struct telling *t, const char *path, const struct json *list, const char *key);
/* What a claim asks for. */
void telling_of_claim(struct telling *t, const char *path, const struct json *spec);
/* An address that others write otherwise. */
void telling_of_ip(struct telling *t, const char *path, struct str ip);
/* A pod, or a template of pods at path (""): metadata and spec. */
void telling_of_pod(struct telling *t, const char *path, const struct json *pod);

#endif
