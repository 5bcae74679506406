/* Pruning by the tables of a kind that is described at run time. k8s.io/apiextensions-apiserver/pkg/apiserver/schema. */
#include "api/custom.h"
#include "api/walk.h"

struct pruner {
	struct arena *arena;
	const struct custom_notes *notes;
	struct buf path;
};

static const struct json *prune(struct pruner *p, const struct type *type, const struct json *value);

/* As Go writes what it keeps without knowing it: keys sorted, and no fraction where there is none. */
static const struct json *plain(struct arena *arena, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	switch (value->type) {
	case JSON_NUMBER:
		return json_is_int(value, NULL) ? value : json_real(arena, json_double(value, 0));
	case JSON_ARRAY:
		JSON_EACH (value, it)
			json_builder_item(&b, plain(arena, it.value));
		return json_builder_array(&b);
	case JSON_OBJECT:
		JSON_EACH (value, it)
			json_builder_member(&b, it.key, plain(arena, it.value));
		json_builder_sort(&b);
		return json_builder_object(&b);
	case JSON_NULL:
	case JSON_BOOL:
	case JSON_STRING:
		break;
	}
	return value;
}

static size_t path_key(struct pruner *p, struct str key)
{
	size_t before = p->path.len;

	if (p->notes == NULL)
		return before;
	if (before != 0)
		buf_putc(&p->path, '.');
	buf_add(&p->path, key);
	return before;
}

static void note_unknown(struct pruner *p, struct str key)
{
	size_t before = path_key(p, key);

	if (p->notes != NULL && p->notes->unknown != NULL)
		p->notes->unknown(p->notes->arg, buf_str(&p->path));
	p->path.len = before;
}

/* Null means something only where the schema says so; where there is a default, that comes in its place later. */
static bool means_nothing(const struct field *field, const struct json *value)
{
	return value->type == JSON_NULL && (field->flags & FIELD_NULLABLE) == 0;
}

static const struct json *prune_list(struct pruner *p, const struct field *field, const struct json *value)
{
	struct json_builder b = { .arena = p->arena };

	JSON_EACH (value, it) {
		size_t before = p->path.len;

		if (p->notes != NULL)
			buf_printf(&p->path, "[%zu]", it.index);
		json_builder_item(&b, prune(p, field_type(field), it.value));
		p->path.len = before;
	}
	return json_builder_array(&b);
}

static const struct json *prune_map(struct pruner *p, const struct field *field, const struct json *value)
{
	struct json_builder b = { .arena = p->arena };

	JSON_EACH (value, it) {
		size_t before = path_key(p, it.key);

		json_builder_member(&b, it.key, prune(p, field_type(field), it.value));
		p->path.len = before;
	}
	json_builder_sort(&b);
	return json_builder_object(&b);
}

/* What does not have the form that the schema wants stays: validation says so. */
static const struct json *prune_field(struct pruner *p, const struct field *field, const struct json *value)
{
	switch ((enum field_shape)field->shape) {
	case SHAPE_LIST:
		return value->type == JSON_ARRAY ? prune_list(p, field, value) : plain(p->arena, value);
	case SHAPE_MAP:
		return value->type == JSON_OBJECT ? prune_map(p, field, value) : plain(p->arena, value);
	case SHAPE_ONE:
	case SHAPE_MAP_OF_LISTS:
		break;
	}
	return prune(p, field_type(field), value);
}

/* Of an embedded object: what is no metadata is dropped. */
static const struct json *prune_typed(struct pruner *p, const struct type *type, const struct json *value)
{
	const struct json *out = NULL;
	struct error *err = api_normalize(p->arena, type, value, NULL, &out);

	if (err == NULL)
		return out;
	error_free(err);
	return walk_zero(p->arena, type);
}

static const struct json *prune_struct(struct pruner *p, const struct type *type, const struct json *value)
{
	struct json_builder b = { .arena = p->arena };
	bool preserves = (type->flags & TYPE_PRESERVES) != 0;

	JSON_EACH (value, it) {
		const struct field *field = type_find(type, it.key);
		size_t before;

		if (field == NULL && preserves)
			json_builder_member(&b, it.key, plain(p->arena, it.value));
		else if (field == NULL)
			note_unknown(p, it.key);
		if (field == NULL || means_nothing(field, it.value))
			continue;
		before = path_key(p, it.key);
		json_builder_member(&b, it.key, it.value->type == JSON_NULL ? it.value : prune_field(p, field, it.value));
		p->path.len = before;
	}
	json_builder_sort(&b);
	return json_builder_object(&b);
}

static const struct json *prune(struct pruner *p, const struct type *type, const struct json *value)
{
	if ((type->flags & TYPE_CUSTOM) == 0)
		return prune_typed(p, type, value);
	if (type->form == FORM_NESTED)
		return prune_field(p, type_at(type, 0), value);
	if (type->form == FORM_STRUCT && value->type == JSON_OBJECT)
		return prune_struct(p, type, value);
	return plain(p->arena, value);
}

/* kind, apiVersion and metadata stand in front of a whole object. */
static const struct json *head_first(struct arena *arena, const struct type *type, const struct json *value)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < 3; i++) {
		const struct json *member = json_find(value, field_name(type_at(type, i)));
		json_builder_member(&b, field_name(type_at(type, i)),
				    member != NULL ? member : walk_zero_field(arena, type_at(type, i)));
	}
	JSON_EACH (value, it) {
		const struct field *field = type_find(type, it.key);
		if (field == NULL || field - type_at(type, 0) >= 3)
			json_builder_member(&b, it.key, it.value);
	}
	return json_builder_object(&b);
}

const struct json *custom_prune(struct arena *arena, const struct type *type, const struct json *value,
				const struct custom_notes *notes, struct str path)
{
	struct pruner p = { .arena = arena, .notes = notes };
	const struct json *out;

	if (notes != NULL)
		buf_add(&p.path, path);
	out = prune(&p, type, value);
	buf_fini(&p.path);
	if ((type->flags & TYPE_OBJECT) != 0 && json_is(out, JSON_OBJECT))
		out = head_first(arena, type, out);
	return out;
}
