#include <stdlib.h>

#include "store/private.h"

/* The struct, key and actor are one allocation. The counts may be touched on the loop thread only. */
struct store_value *value_new(struct str key, struct bytes *bytes, struct str actor)
{
	struct store_value *value = xmalloc(sizeof(*value) + key.len + actor.len + 1);
	char *at = (char *)(value + 1);

	memset(value, 0, sizeof(*value));
	value->refs = 1;
	value->key = str_of(at, key.len);
	if (key.len > 0)
		memcpy(at, key.ptr, key.len);
	at += key.len;
	*at++ = '\0';
	value->actor = str_of(at, actor.len);
	if (actor.len > 0)
		memcpy(at, actor.ptr, actor.len);
	value->bytes = bytes;
	value->data = bytes != NULL ? bytes_str(bytes) : STR("");
	return value;
}

struct store_value *store_value_ref(struct store_value *value)
{
	value->refs++;
	return value;
}

void store_value_unref(struct store_value *value)
{
	if (value == NULL)
		return;
	ASSERT(value->refs > 0);
	if (--value->refs > 0)
		return;
	store_value_attach(value, NULL, NULL);
	bytes_unref(value->bytes);
	free(value);
}

void store_value_attach(struct store_value *value, void *attachment, void (*release)(void *attachment))
{
	if (value->attachment != NULL && value->attachment_free != NULL)
		value->attachment_free(value->attachment);
	value->attachment = attachment;
	value->attachment_free = release;
}

void store_value_release(void *value)
{
	store_value_unref(value);
}
