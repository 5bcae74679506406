/*
 * Quantities: numbers with a suffix, as in resources. Exact in steps of 1e-9, which is all that upstream keeps.
 *
 * Parsing and formatting give upstream's canonical form: "0.5" → "500m", "1024Mi" → "1Gi", "1e3" → "1e3". Pure.
 *
 *	struct quantity q;
 *	if (quantity_parse(STR("100m"), &q, NULL))
 *		cpu += quantity_milli(&q);
 */
#ifndef API_QUANTITY_H
#define API_QUANTITY_H

#include "base/arena.h"
#include "base/str.h"
#include "json/json.h"

enum quantity_format { QUANTITY_DECIMAL, QUANTITY_BINARY, QUANTITY_EXPONENT };

struct quantity {
	__int128 nano;
	enum quantity_format format;
};

/* False for what is no quantity; *why (may be NULL) is upstream's text. */
bool quantity_parse(struct str text, struct quantity *out, const char **why);
/* Of a JSON value in normal form; zero for anything else, absence included. */
struct quantity quantity_of(const struct json *value);
struct quantity quantity_from(int64_t value, enum quantity_format format);
struct quantity quantity_from_milli(int64_t milli);
struct str quantity_text(struct arena *arena, const struct quantity *q);
const struct json *quantity_json(struct arena *arena, const struct quantity *q);

int quantity_cmp(const struct quantity *a, const struct quantity *b);
int quantity_sign(const struct quantity *q);                         /* -1, 0, 1 */
void quantity_add(struct quantity *to, const struct quantity *more); /* keeps the format; a zero takes the other's */
void quantity_sub(struct quantity *from, const struct quantity *less);
int64_t quantity_value(const struct quantity *q); /* rounded away from zero */
int64_t quantity_milli(const struct quantity *q); /* thousandths, rounded the same way */
bool quantity_whole(const struct quantity *q);    /* no fraction */

#endif
