/*
 * Label selectors and field selectors: parsing with upstream's words, matching, text. Pure; what is parsed lives on the
 * arena.
 *
 *	struct selector s;
 *	err = selector_parse(arena, STR("app in (a,b),!legacy"), &s);
 *	if (selector_matches(&s, json_path(pod, "metadata.labels")))
 */
#ifndef API_SELECTOR_H
#define API_SELECTOR_H

#include "api/schema.h"
#include "base/arena.h"
#include "base/error.h"
#include "json/json.h"

enum selector_op {
	SELECT_EQUALS,
	SELECT_DOUBLE_EQUALS,
	SELECT_NOT_EQUALS,
	SELECT_IN,
	SELECT_NOT_IN,
	SELECT_EXISTS,
	SELECT_ABSENT,
	SELECT_GREATER,
	SELECT_LESS,
};

struct requirement {
	struct str key;
	enum selector_op op;
	const struct str *values; /* sorted */
	size_t len;
};

struct selector {
	const struct requirement *items; /* by key */
	size_t len;
	bool nothing; /* matches nothing at all */
};

/* The text of a query. Empty matches everything. ERR_BAD_REQUEST. */
struct error *selector_parse(struct arena *arena, struct str text, struct selector *out) MUST_CHECK;
/* A LabelSelector. NULL matches nothing, {} everything. */
struct error *selector_from_object(struct arena *arena, const struct json *object, struct selector *out) MUST_CHECK;
/* A map of labels that must all be there. NULL or {} matches everything. */
void selector_from_map(struct arena *arena, const struct json *map, struct selector *out);
bool selector_matches(const struct selector *selector, const struct json *labels);
bool selector_everything(const struct selector *selector);
struct str selector_text(struct arena *arena, const struct selector *selector);
bool requirement_matches(const struct requirement *r, const struct json *labels);

struct field_term {
	struct str field;
	struct str value;
	bool differs; /* "!=" */
};

struct field_selector {
	const struct field_term *items;
	size_t len;
};

/* Only fields that the kind offers (kinds files: fields=), and metadata.name and metadata.namespace. ERR_BAD_REQUEST. */
struct error *field_selector_parse(struct arena *arena, struct str text, const struct kind *kind,
				   struct field_selector *out) MUST_CHECK;
bool field_selector_matches(const struct field_selector *selector, const struct kind *kind, const struct json *tree);
/* The value that a field must have, for lists of one name or namespace; false when it is not said. */
bool field_selector_exact(const struct field_selector *selector, const char *field, struct str *value);

#endif
