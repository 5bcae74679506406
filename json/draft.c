/* Containers of which many values change at once. */
#include "json/json.h"

void json_builder_put(struct json_builder *b, const struct json_iter *it, const struct json *value)
{
	if (it->in->type == JSON_ARRAY)
		json_builder_item(b, value);
	else
		json_builder_member(b, it->key, value);
}

const struct json *json_builder_like(const struct json_builder *b, const struct json *container)
{
	bool array = json_is(container, JSON_ARRAY), same = json_len(container) == b->len;

	for (uint32_t i = 0; i < b->len && same; i++)
		same = array ? container->items[i] == b->items[i] : container->members[i].value == b->members[i].value;
	if (same)
		return container;
	return array ? json_builder_array(b) : json_builder_object(b);
}

struct json_draft json_draft_of(struct arena *arena, const struct json *object)
{
	struct json_draft draft = { .members = { .arena = arena }, .places = { .arena = arena } };

	JSON_EACH (object, it) {
		places_add(&draft.places, it.key, it.index);
		json_builder_member(&draft.members, it.key, it.value);
	}
	return draft;
}

const struct json *json_draft_get(const struct json_draft *draft, struct str key)
{
	size_t place = places_find(&draft->places, key);

	return place == PLACES_NONE ? NULL : draft->members.members[place].value;
}

void json_draft_set(struct json_draft *draft, struct str key, const struct json *value)
{
	size_t place = places_find(&draft->places, key);

	if (place != PLACES_NONE) {
		draft->members.members[place].value = value;
	} else if (value != NULL) {
		places_add(&draft->places, key, draft->members.len);
		json_builder_member(&draft->members, key, value);
	}
}

const struct json *json_draft_object(const struct json_draft *draft)
{
	struct json_builder b = { .arena = draft->members.arena };

	for (uint32_t i = 0; i < draft->members.len; i++)
		json_builder_member(&b, draft->members.members[i].key, draft->members.members[i].value);
	return json_builder_object(&b);
}
