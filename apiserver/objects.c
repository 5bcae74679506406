/* The store seen as objects: keys, and the decoded form that is kept with each value. */
#include "apiserver/server.h"

/* "pods/default/web", "deployments.apps/default/web", "nodes/n1". The trailing slash keeps "pods" apart from "podsx". */
struct str list_prefix(struct arena *arena, const struct kind *kind, struct str ns)
{
	struct str text = resource_text(arena, kind_stored_as(kind));

	if (ns.len == 0)
		return str_format(arena, "%.*s/", STR_ARG(text));
	return str_format(arena, "%.*s/%.*s/", STR_ARG(text), STR_ARG(ns));
}

struct str object_key(struct arena *arena, const struct kind *kind, struct str ns, struct str name)
{
	struct str prefix = list_prefix(arena, kind, ns);

	return str_format(arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(name));
}

struct object *value_object(const struct kind *kind, struct store_value *value)
{
	struct object *object = value->attachment;

	if (object != NULL && object_kind(object) != kind_stored_as(kind))
		object = NULL; /* its kind was described anew since */
	/* Committed with the writer's own object, whose revision was not known then; or loaded from disk. */
	if (object == NULL) {
		object = object_from_bytes(kind_stored_as(kind), value->bytes, value->revision);
		store_value_attach(value, object, object_release);
	} else if (object_revision(object) != value->revision) {
		object = object_with_revision(object, value->revision);
		store_value_attach(value, object, object_release);
	}
	return object;
}

void apiserver_cool(struct store_value *value)
{
	object_cool(value->attachment);
}

struct object *object_owned(struct arena *arena, struct object *object)
{
	arena_defer(arena, object_release, object);
	return object;
}

struct object *value_served(struct arena *arena, const struct kind *kind, struct store_value *value)
{
	struct object *object = object_keep(arena, value_object(kind, value));

	if (kind_stored_as(kind) == kind)
		return object;
	return object_owned(arena, object_convert(object, kind));
}

const struct json *lookup(struct request *req, const struct kind *kind, struct str ns, struct str name)
{
	struct store_value *value = store_latest(req->server->options.store, object_key(req->arena, kind, ns, name));

	if (value == NULL)
		return NULL;
	arena_defer(req->arena, store_value_release, store_value_ref(value));
	return object_tree(value_object(kind, value));
}

struct error *error_not_found(const struct kind *kind, struct str name)
{
	struct arena *arena = arena_new();
	struct str text = resource_text(arena, kind);
	struct error *err = error_new(ERR_NOT_FOUND, "%.*s \"%.*s\" not found", STR_ARG(text), STR_ARG(name));

	err = error_about(err, kind_group(kind), kind_resource(kind), name);
	arena_free(arena);
	return err;
}

struct str meta_str(const struct json *tree, const char *field)
{
	return json_get_str(json_get(tree, "metadata"), field);
}

const struct json *with(struct request *req, const struct json *tree, const char *path, const struct json *value)
{
	return api_with(req->arena, kind_type(req->route.kind), tree, path, value);
}
