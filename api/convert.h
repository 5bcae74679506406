/*
 * One stored thing, served in several groups or versions: pure conversions between their trees.
 *
 *	struct object *served = object_convert(stored, kind);   // a new reference at the same revision
 */
#ifndef API_CONVERT_H
#define API_CONVERT_H

#include "api/object.h"

/* A new reference, at the same revision, in that kind's form. The same kind: the object itself. */
struct object *object_convert(struct object *object, const struct kind *to);

#endif
