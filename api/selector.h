/* Label selectors: stand-in header, replaced by the api folder's own. */
#ifndef API_SELECTOR_H
#define API_SELECTOR_H
#include "base/base.h"
#include "json/json.h"
struct selector;
struct error *selector_parse(struct arena *arena, struct str text, struct selector **out) MUST_CHECK;
struct error *selector_of_object(struct arena *arena, const struct json *label_selector, struct selector **out) MUST_CHECK;
bool selector_matches(const struct selector *selector, const struct json *labels);
struct str selector_format_object(struct arena *arena, const struct json *label_selector);
#endif
