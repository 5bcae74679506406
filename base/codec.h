/* Text forms of bytes: base64 (RFC 4648, standard and URL alphabets) and hexadecimal. Pure. */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buf.h"

void base64_encode(struct buf *out, struct str bytes);    /* padded */
void base64url_encode(struct buf *out, struct str bytes); /* not padded: JWT */
bool base64_decode(struct buf *out, struct str text);     /* strict, as Go's StdEncoding: \r and \n are skipped */
bool base64url_decode(struct buf *out, struct str text);
void hex_encode(struct buf *out, struct str bytes);

#endif
