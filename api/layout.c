#include "api/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

static bool mark_owner(struct layout *l, struct source_type *type)
{
	uint32_t before = type->flags;

	if (type->defaults != 0)
		type->flags |= TYPE_HAS_DEFAULTS;
	if (type->validate != 0 || type->rules != 0)
		type->flags |= TYPE_HAS_RULES;
	for (size_t i = 0; i < type->fields.len; i++) {
		const struct source_field *field = &type->fields.ptr[i];
		const struct source_type *below = &l->types.ptr[field->below - 1];
		if (field->sets.len != 0 || field->declared.len != 0 || (field->shape == SHAPE_MAP && below->form == FORM_QUANTITY))
			type->flags |= TYPE_HAS_DEFAULTS;
		if (field->one_of.len != 0 || (field->flags & FIELD_REQUIRED) != 0)
			type->flags |= TYPE_HAS_RULES;
		if ((field->flags & FIELD_CLOSED) != 0)
			type->flags |= TYPE_HAS_CLOSED;
		if (field->shape == SHAPE_LIST && (field->flags & FIELD_OMIT_EMPTY) == 0)
			type->flags |= TYPE_HAS_LISTS;
		type->flags |= below->flags & (TYPE_HAS_DEFAULTS | TYPE_HAS_RULES | TYPE_HAS_LISTS | TYPE_HAS_CLOSED);
	}
	return type->flags != before;
}

void layout_mark(struct layout *l)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < l->types.len; i++)
			again = mark_owner(l, &l->types.ptr[i]) || again;
	}
}

/* ---- the block ---- */

static size_t place_of(struct layout *l, struct str text)
{
	size_t place = (size_t)(uintptr_t)map_find(&l->places, text);

	if (place != 0)
		return place - 1;
	place = l->pool.len;
	buf_add(&l->pool, text);
	buf_putc(&l->pool, 0);
	map_set(&l->places, text, (void *)(uintptr_t)(place + 1));
	return place;
}

/* First call of each text only fills the pool; the second knows where the pool lies. */
static void put_text(struct layout *l, struct catalog_text *at, struct str text)
{
	size_t place = place_of(l, text);

	at->to = (int32_t)((ptrdiff_t)(l->at_pool + place) - ((char *)at - l->block));
	at->len = (uint32_t)text.len;
}

static void put_ref(struct layout *l, struct catalog_ref *at, size_t offset, size_t n)
{
	at->to = n == 0 ? 0 : (int32_t)((ptrdiff_t)offset - ((char *)at - l->block));
	at->n = (uint32_t)n;
}

static void put_texts(struct layout *l, struct catalog_ref *at, const struct strings *list)
{
	put_ref(l, at, l->at_texts + l->n_texts * sizeof(struct catalog_text), list->len);
	for (size_t i = 0; i < list->len; i++)
		put_text(l, (struct catalog_text *)(void *)(l->block + l->at_texts) + l->n_texts++, list->ptr[i]);
}

static void put_field(struct layout *l, struct field *to, const struct source_field *from)
{
	put_text(l, &to->name, from->name);
	put_text(l, &to->wire, from->wire);
	put_text(l, &to->patch_key, from->patch_key);
	put_text(l, &to->declared, from->declared);
	put_text(l, &to->sets, from->sets);
	put_text(l, &to->doc, from->doc);
	put_texts(l, &to->list_keys, &from->list_keys);
	put_texts(l, &to->one_of, &from->one_of);
	put_ref(l, &to->type, l->at_types + (from->below - 1) * sizeof(struct type), 1);
	to->shape = from->shape;
	to->list_type = from->list_type;
	to->flags = from->flags;
	to->number = from->number;
	memcpy(to->inlined, from->inlined, sizeof(to->inlined));
}

static void put_type(struct layout *l, struct type *to, const struct source_type *from, size_t id)
{
	put_text(l, &to->name, from->name);
	put_text(l, &to->package, from->package);
	put_text(l, &to->group, from->group);
	put_text(l, &to->version, from->version);
	put_text(l, &to->doc, from->doc);
	put_text(l, &to->unions, from->unions);
	put_ref(l, &to->fields, l->at_fields + l->n_fields * sizeof(struct field), from->fields.len);
	to->form = from->form;
	to->flags = from->flags;
	to->defaults = from->defaults;
	to->validate = from->validate;
	to->rules = from->rules;
	to->id = (uint32_t)id;
	for (size_t i = 0; i < from->fields.len; i++)
		put_field(l, (struct field *)(void *)(l->block + l->at_fields) + l->n_fields++, &from->fields.ptr[i]);
}

static void put_subresource(struct layout *l, struct subresource *to, const struct source_subresource *from)
{
	put_text(l, &to->name, from->name);
	put_text(l, &to->group, from->group);
	put_text(l, &to->version, from->version);
	put_text(l, &to->kind, from->kind);
	to->verbs = from->verbs;
}

static void put_column(struct layout *l, struct column *to, const struct source_column *from)
{
	put_text(l, &to->name, from->name);
	put_text(l, &to->type, from->type);
	put_text(l, &to->format, from->format);
	put_text(l, &to->path, from->path);
	put_text(l, &to->doc, from->doc);
	to->priority = from->priority;
}

static void put_kind(struct layout *l, struct kind *to, const struct source_kind *from, size_t id)
{
	put_text(l, &to->name, from->name);
	put_text(l, &to->group, from->group);
	put_text(l, &to->version, from->version);
	put_text(l, &to->api_version, from->api_version);
	put_text(l, &to->resource, from->resource);
	put_text(l, &to->singular, from->singular);
	put_text(l, &to->hash, from->hash);
	put_text(l, &to->names, from->names);
	put_text(l, &to->store_group, from->store_version.len != 0 ? from->store_group : from->group);
	put_text(l, &to->store_version, from->store_version.len != 0 ? from->store_version : from->version);
	put_text(l, &to->scale_spec, from->scale_spec);
	put_text(l, &to->scale_status, from->scale_status);
	put_text(l, &to->scale_selector, from->scale_selector);
	put_texts(l, &to->short_names, &from->short_names);
	put_texts(l, &to->categories, &from->categories);
	put_texts(l, &to->fields, &from->fields);
	put_ref(l, &to->subresources, l->at_subresources + l->n_subresources * sizeof(struct subresource), from->subresources.len);
	for (size_t i = 0; i < from->subresources.len; i++)
		put_subresource(l, (struct subresource *)(void *)(l->block + l->at_subresources) + l->n_subresources++,
				&from->subresources.ptr[i]);
	put_ref(l, &to->columns, l->at_columns + l->n_columns * sizeof(struct column), from->columns.len);
	for (size_t i = 0; i < from->columns.len; i++)
		put_column(l, (struct column *)(void *)(l->block + l->at_columns) + l->n_columns++, &from->columns.ptr[i]);
	put_ref(l, &to->type, l->at_types + (from->type - 1) * sizeof(struct type), 1);
	put_ref(l, &to->list_type, l->at_types + (from->list_type == 0 ? 0 : from->list_type - 1) * sizeof(struct type),
		from->list_type == 0 ? 0 : 1);
	to->verbs = from->verbs;
	to->flags = from->flags;
	to->cells = from->cells;
	to->id = (uint32_t)id;
	to->place = (uint32_t)((char *)to - l->block);
}

static void count_records(struct layout *l)
{
	for (size_t i = 0; i < l->types.len; i++) {
		const struct source_type *type = &l->types.ptr[i];
		l->n_fields += type->fields.len;
		for (size_t k = 0; k < type->fields.len; k++)
			l->n_texts += type->fields.ptr[k].list_keys.len + type->fields.ptr[k].one_of.len;
	}
	for (size_t i = 0; i < l->kinds.len; i++) {
		const struct source_kind *kind = &l->kinds.ptr[i];
		l->n_subresources += kind->subresources.len;
		l->n_columns += kind->columns.len;
		l->n_texts += kind->short_names.len + kind->categories.len + kind->fields.len;
	}
}

static void fill(struct layout *l)
{
	struct catalog *head = (struct catalog *)(void *)l->block;

	l->n_fields = l->n_subresources = l->n_columns = l->n_texts = 0;
	for (size_t i = 0; i < l->types.len; i++)
		put_type(l, (struct type *)(void *)(l->block + l->at_types) + i, &l->types.ptr[i], i);
	for (size_t i = 0; i < l->kinds.len; i++)
		put_kind(l, (struct kind *)(void *)(l->block + l->at_kinds) + i, &l->kinds.ptr[i], i);
	head->magic = CATALOG_MAGIC;
	put_ref(l, &head->types, l->at_types, l->types.len);
	put_ref(l, &head->kinds, l->at_kinds, l->kinds.len);
}

/* Twice: the first run collects the texts, so that the size of the block is known. */
void *layout_block(struct layout *l, size_t *out)
{
	count_records(l);
	l->at_types = sizeof(struct catalog);
	l->at_fields = l->at_types + l->types.len * sizeof(struct type);
	l->at_kinds = l->at_fields + l->n_fields * sizeof(struct field);
	l->at_subresources = l->at_kinds + l->kinds.len * sizeof(struct kind);
	l->at_columns = l->at_subresources + l->n_subresources * sizeof(struct subresource);
	l->at_texts = l->at_columns + l->n_columns * sizeof(struct column);
	l->at_pool = l->at_texts + l->n_texts * sizeof(struct catalog_text);
	l->block = xcalloc(1, l->at_pool);
	fill(l);
	size_t size = (l->at_pool + l->pool.len + 3) & ~(size_t)3;
	free(l->block);
	l->block = xcalloc(1, size);
	fill(l);
	((struct catalog *)(void *)l->block)->size = (uint32_t)size;
	memcpy(l->block + l->at_pool, l->pool.ptr, l->pool.len);
	*out = size;
	return l->block;
}

void layout_fini(struct layout *l)
{
	for (size_t i = 0; i < l->types.len; i++)
		vec_fini(&l->types.ptr[i].fields);
	for (size_t i = 0; i < l->kinds.len; i++) {
		vec_fini(&l->kinds.ptr[i].subresources);
		vec_fini(&l->kinds.ptr[i].columns);
	}
	vec_fini(&l->types);
	vec_fini(&l->kinds);
	buf_fini(&l->pool);
	map_fini(&l->places);
}
