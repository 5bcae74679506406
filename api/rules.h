/*
 * Rules of fields as rows, one table per type, named in the catalogue: "type CSIDriverSpec rules=csi_driver_rules". Private to
 * api. Pure. They stand beside what the catalogue says itself (required, one-of); what no row can say is a hook (validate=).
 *
 *	const struct rule webhook_rules[] = {
 *		NEEDED("admissionReviewVersions", "must specify one of v1, v1beta1"),
 *		BETWEEN("timeoutSeconds", 1, 30, "the timeout value must be between 1 and 30 seconds"),
 *		CALL(check_client_config),
 *		RULES_END,
 *	};
 */
#ifndef API_RULES_H
#define API_RULES_H

#include "api/check.h"

enum rule_what {
	RULE_NEEDED = 1,
	RULE_FILLED,
	RULE_FILLED_TEXT,
	RULE_NAME,
	RULE_NAMES,
	RULE_BETWEEN,
	RULE_ONE_OF,
	RULE_NAMED,
	RULE_SELECTOR,
	RULE_CALL,
	RULE_ELSEWHERE
};

struct rule {
	const char *field;
	enum rule_what what;
	bool pointer;    /* an empty text is judged too */
	const char *say; /* behind "Invalid value: x: " */
	int64_t least, most;
	struct complaints (*name)(struct str);
	const char *list[12];
	void (*call)(struct api_findings *f, const char *path, const struct json *tree);
};

/* There, and neither an empty text nor an empty list or map. */
#define NEEDED(name_, say_)                                                                                                        \
	{                                                                                                                          \
		.field = (name_), .what = RULE_NEEDED, .say = (say_)                                                               \
	}
/* A text that is there says something: "Invalid value", "Required value". */
#define FILLED(name_, say_)                                                                                                        \
	{                                                                                                                          \
		.field = (name_), .what = RULE_FILLED, .say = (say_)                                                               \
	}
#define FILLED_TEXT(name_, say_)                                                                                                   \
	{                                                                                                                          \
		.field = (name_), .what = RULE_FILLED_TEXT, .say = (say_)                                                          \
	}
/* A text is a name of that sort: when it is not empty; whenever it is there; each item of a list. */
#define NAME(name_, sort)                                                                                                          \
	{                                                                                                                          \
		.field = (name_), .what = RULE_NAME, .name = (sort)                                                                \
	}
#define NAME_IF(name_, sort)                                                                                                       \
	{                                                                                                                          \
		.field = (name_), .what = RULE_NAME, .name = (sort), .pointer = true                                               \
	}
#define NAMES(name_, sort)                                                                                                         \
	{                                                                                                                          \
		.field = (name_), .what = RULE_NAMES, .name = (sort)                                                               \
	}
/* A number that is there. */
#define BETWEEN(name_, least_, most_, say_)                                                                                        \
	{                                                                                                                          \
		.field = (name_), .what = RULE_BETWEEN, .least = (least_), .most = (most_), .say = (say_)                          \
	}
#define NOT_NEGATIVE(name_) BETWEEN(name_, 0, INT64_MAX, "must be greater than or equal to 0")
/* A text that is there, empty or not, is one of these, in upstream's order. */
#define ONE_OF(name_, ...)                                                                                                         \
	{                                                                                                                          \
		.field = (name_), .what = RULE_ONE_OF, .list = { __VA_ARGS__ }                                                     \
	}
/* The same, but an empty text is fine here. */
#define NAMED(name_, ...)                                                                                                          \
	{                                                                                                                          \
		.field = (name_), .what = RULE_NAMED, .list = { __VA_ARGS__ }                                                      \
	}
#define SELECTOR(name_)                                                                                                            \
	{                                                                                                                          \
		.field = (name_), .what = RULE_SELECTOR                                                                            \
	}
/* A function of the struct, which speaks of that field too. */
#define CALL_OF(name_, function)                                                                                                   \
	{                                                                                                                          \
		.field = (name_), .what = RULE_CALL, .call = (function)                                                            \
	}
/* A field that the struct around this one speaks of: the catalogue's own rules of it do not hold. */
#define ELSEWHERE(name_)                                                                                                           \
	{                                                                                                                          \
		.field = (name_), .what = RULE_ELSEWHERE                                                                           \
	}
/* A function of the struct: what stands between fields. */
#define CALL(function)                                                                                                             \
	{                                                                                                                          \
		.field = "", .what = RULE_CALL, .call = (function)                                                                 \
	}
#define RULES_END                                                                                                                  \
	{                                                                                                                          \
		.field = NULL                                                                                                      \
	}

/* Some row speaks of that field: the catalogue's own rules of it do not hold then. */
bool rules_name(const struct rule *rows, struct str field);
/* tree is a struct at path. */
void rules_find(struct api_findings *f, const struct rule *rows, const struct json *tree, const char *path);
/* path and a field of it; path may be empty. */
const char *rules_at(struct api_findings *f, const char *path, const char *field);

#endif
