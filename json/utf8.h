/* UTF-8, as strict as Go's unicode/utf8. Private to json. Pure. */
#ifndef JSON_UTF8_H
#define JSON_UTF8_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* Length of the valid sequence at the start of text, or 0. */
size_t utf8_decode(struct str text, uint32_t *point);
/* Bytes written, 1 to 4; surrogates and what is too large become U+FFFD. */
size_t utf8_encode(char out[4], uint32_t point);
/* The text itself when it is valid, else a copy with U+FFFD for each wrong byte. */
struct str utf8_sane(struct arena *arena, struct str text);

#endif
