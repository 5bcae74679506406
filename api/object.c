#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/custom.h"
#include "api/object.h"
#include "base/auto.h"
#include "base/trace.h"

/* What is made on first use and shared by all revisions of the same content. */
struct object {
	unsigned refs;
	const struct kind *kind;
	uint64_t revision;
	struct object *content; /* of object_with_revision(): where the tree and the bytes are; else NULL */
	struct arena *arena;    /* of the tree; NULL while there is none */
	const struct json *tree;
	struct bytes *stored;
	struct bytes *proto;
	char version[48];   /* `"resourceVersion":"7",` */
	struct arena *seen; /* of the tree with this revision in it */
	const struct json *seen_tree;
	size_t head;   /* in stored: where metadata's content begins to follow `{"kind":…,"apiVersion":…,` */
	size_t splice; /* in stored: where resourceVersion belongs */
	bool comma;    /* something precedes the splice within metadata, and nothing follows */
};

static struct object *content_of(struct object *object)
{
	return object->content != NULL ? object->content : object;
}

static struct object *make(const struct kind *kind, uint64_t revision)
{
	struct object *object = xcalloc(1, sizeof(*object));

	object->refs = 1;
	object->kind = kind_ref(kind);
	object->revision = revision;
	return object;
}

struct object *object_new(const struct kind *kind, struct arena *arena, const struct json *tree, uint64_t revision)
{
	struct object *object = make(kind, revision);

	object->arena = arena;
	object->tree = api_with_kind(arena, tree, kind);
	if (json_path(object->tree, "metadata.resourceVersion") != NULL)
		object->tree = json_with_path(arena, object->tree, "metadata.resourceVersion", NULL);
	return object;
}

struct object *object_from_bytes(const struct kind *kind, struct bytes *stored, uint64_t revision)
{
	struct object *object;

	if ((kind->flags & KIND_CUSTOM) != 0)
		return custom_load(kind, stored, revision);
	object = make(kind, revision);
	object->stored = bytes_ref(stored);
	return object;
}

struct object *object_with_revision(struct object *object, uint64_t revision)
{
	struct object *view = make(object->kind, revision);

	view->content = object_ref(content_of(object));
	return view;
}

struct object *object_ref(struct object *object)
{
	object->refs++;
	return object;
}

void object_unref(struct object *object)
{
	if (object == NULL || --object->refs != 0)
		return;
	object_unref(object->content);
	arena_free(object->arena);
	arena_free(object->seen);
	bytes_unref(object->stored);
	bytes_unref(object->proto);
	kind_unref(object->kind);
	free(object);
}

void object_release(void *object)
{
	object_unref(object);
}

struct object *object_keep(struct arena *arena, struct object *object)
{
	arena_defer(arena, object_release, object_ref(object));
	return object;
}

const struct kind *object_kind(const struct object *object)
{
	return object->kind;
}

uint64_t object_revision(const struct object *object)
{
	return object->revision;
}

/* The tree without resourceVersion. What we stored ourselves must be readable: anything else is a broken invariant. */
static const struct json *bare_tree(struct object *object)
{
	struct object *content = content_of(object);

	if (content->tree == NULL) {
		struct json_options options = { .borrow = true };
		content->arena = arena_new();
		struct error *err = json_read(content->arena, bytes_str(content->stored), &options, &content->tree);
		ASSERT(err == NULL);
	}
	return content->tree;
}

struct str object_namespace(struct object *object)
{
	return json_path_str(bare_tree(object), "metadata.namespace");
}

struct str object_name(struct object *object)
{
	return json_path_str(bare_tree(object), "metadata.name");
}

struct str object_uid(struct object *object)
{
	return json_path_str(bare_tree(object), "metadata.uid");
}

const struct json *object_tree(struct object *object)
{
	const struct json *bare = bare_tree(object);

	if (object->revision == 0)
		return bare;
	if (object->seen_tree == NULL) {
		object->seen = arena_new();
		object->seen_tree = api_with(object->seen, kind_type(object->kind), bare, "metadata.resourceVersion",
					     json_printf(object->seen, "%llu", (unsigned long long)object->revision));
	}
	return object->seen_tree;
}

void object_drop_tree(struct object *object)
{
	struct object *content = content_of(object);

	arena_free(object->seen);
	object->seen = NULL;
	object->seen_tree = NULL;
	object_stored(object);
	arena_free(content->arena);
	content->arena = NULL;
	content->tree = NULL;
}

void object_cool(struct object *object)
{
	struct object *content = content_of(object);

	if (object->refs != 1 || content->refs != 1)
		return;
	object_drop_tree(object);
	bytes_unref(object->proto);
	object->proto = NULL;
}

size_t object_size(const struct object *object)
{
	size_t size = sizeof(*object);

	size += object->arena != NULL ? arena_size(object->arena) : 0;
	size += object->seen != NULL ? arena_size(object->seen) : 0;
	size += object->stored != NULL ? object->stored->len : 0;
	size += object->proto != NULL ? object->proto->len : 0;
	return size;
}

struct bytes *object_stored(struct object *object)
{
	struct object *content = content_of(object);

	if (content->stored == NULL) {
		AUTO_BUF struct buf text = { 0 };
		json_write(&text, content->tree);
		content->stored = bytes_new(buf_str(&text));
	}
	return content->stored;
}

/* Text length of a string member as it is written. */
static void write_member(struct buf *out, struct str key, const struct json *value)
{
	json_write_string(out, key);
	buf_putc(out, ':');
	json_write(out, value);
}

/* metadata is the third member and resourceVersion comes behind uid; both texts are ours, so their lengths are known by
 * writing what stands before. */
static void find_splice(struct object *content)
{
	static const char *const before[] = { "name", "generateName", "namespace", "selfLink", "uid" };
	AUTO_BUF struct buf head = { 0 };
	const struct json *tree = bare_tree(content), *metadata = json_get(tree, "metadata");
	bool any = false;

	if (content->splice != 0)
		return;
	buf_putc(&head, '{');
	write_member(&head, STR("kind"), json_get(tree, "kind"));
	buf_putc(&head, ',');
	write_member(&head, STR("apiVersion"), json_get(tree, "apiVersion"));
	buf_putc(&head, ',');
	content->head = head.len;
	buf_add(&head, STR("\"metadata\":{"));
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		const struct json *value = json_get(metadata, before[i]);
		if (value == NULL)
			continue;
		if (any)
			buf_putc(&head, ',');
		write_member(&head, str_from(before[i]), value);
		any = true;
	}
	content->splice = head.len;
	content->comma = any;
	ASSERT(str_has_prefix(bytes_str(content->stored), buf_str(&head)));
}

static void parts_from(struct object *object, size_t start, struct str parts[3])
{
	struct object *content = content_of(object);
	struct str text = bytes_str(content->stored);

	parts[0] = str_skip(str_head(text, content->splice), start);
	parts[2] = str_skip(text, content->splice);
	parts[1] = STR("");
	if (object->revision == 0)
		return;
	if (object->version[0] == 0) {
		/* Something before: the comma goes in front. Nothing before, something behind: it goes behind. */
		bool more = parts[2].ptr[0] != '}';
		snprintf(object->version, sizeof(object->version), "%s\"resourceVersion\":\"%llu\"%s", content->comma ? "," : "",
			 (unsigned long long)object->revision, !content->comma && more ? "," : "");
	}
	parts[1] = str_from(object->version);
}

void object_json_parts(struct object *object, struct str parts[3])
{
	object_stored(object);
	find_splice(content_of(object));
	parts_from(object, 0, parts);
}

void object_json_item_parts(struct object *object, struct str parts[3])
{
	object_stored(object);
	find_splice(content_of(object));
	parts_from(object, content_of(object)->head, parts);
}

void object_write_json(struct buf *out, struct object *object)
{
	struct str parts[3];

	object_json_parts(object, parts);
	for (int i = 0; i < 3; i++)
		buf_add(out, parts[i]);
}

struct bytes *object_proto(struct object *object)
{
	AUTO_BUF struct buf out = { 0 };

	if ((object->kind->flags & KIND_CUSTOM) != 0)
		return NULL;
	if (object->proto == NULL) {
		api_write_proto(&out, kind_type(object->kind), object_tree(object));
		object->proto = bytes_new(buf_str(&out));
	}
	return object->proto;
}
