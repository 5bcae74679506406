#include <stdlib.h>

#include "store/private.h"

struct store_version {
	unsigned refs;
	struct store *store;
	uint64_t revision;
	struct tree_root *root;
};

static struct store_version *version_new(struct store *store, uint64_t revision, struct tree_root *root)
{
	struct store_version *version = xmalloc(sizeof(*version));

	*version = (struct store_version){ 1, store, revision, root };
	return version;
}

struct store_version *store_hold(struct store *store)
{
	ASSERT_ON_LOOP();
	if (store->current != NULL && store->current->revision == store->revision)
		return store_version_ref(store->current);
	store->current = version_new(store, store->revision, tree_hold(&store->index));
	return store->current;
}

/* The published state with the events since then taken back. */
struct error *store_hold_at(struct store *store, uint64_t revision, struct store_version **out)
{
	const struct window *window = &store->window;
	struct tree tree;

	ASSERT_ON_LOOP();
	if (revision > store->revision)
		return error_new(ERR_TIMEOUT, "Too large resource version: %llu, current: %llu", (unsigned long long)revision,
				 (unsigned long long)store->revision);
	if (revision < window->floor)
		return error_new(ERR_EXPIRED, "The resourceVersion for the provided list is too old.");
	if (revision == store->revision) {
		*out = store_hold(store);
		return NULL;
	}
	tree_resume(&tree, store->index.ops, tree_hold(&store->index));
	for (uint64_t number = window_end(window); number > window->base; number--) {
		const struct change *change = &window_at(window, number - 1)->change;

		if (change->record->revision <= revision)
			break;
		if (change->old != NULL)
			tree_set(&tree, change->record->key, change->old);
		else
			tree_remove(&tree, change->record->key);
	}
	*out = version_new(store, revision, tree_hold(&tree));
	tree_fini(&tree);
	return NULL;
}

struct store_version *store_version_ref(struct store_version *version)
{
	version->refs++;
	return version;
}

void store_version_unref(struct store_version *version)
{
	ASSERT_ON_LOOP();
	if (version == NULL || --version->refs > 0)
		return;
	if (version->store->current == version)
		version->store->current = NULL;
	tree_drop(&version->store->index, version->root);
	free(version);
}

uint64_t store_version_revision(const struct store_version *version)
{
	return version->revision;
}

struct store_value *store_version_find(const struct store_version *version, struct str key)
{
	return tree_root_find(version->root, key);
}

static bool show(struct store_iter *it, bool ok)
{
	it->value = ok && str_has_prefix(it->tree.key, it->prefix) ? it->tree.value : NULL;
	return it->value != NULL;
}

bool store_seek(struct store_iter *it, const struct store_version *version, struct str prefix, struct str from)
{
	it->prefix = prefix;
	return show(it, tree_seek(&it->tree, version->root, str_cmp(from, prefix) > 0 ? from : prefix));
}

bool store_next(struct store_iter *it)
{
	return show(it, tree_next(&it->tree));
}

struct str prefix_end(struct arena *arena, struct str prefix)
{
	char *end = arena_copy(arena, prefix.ptr, prefix.len);
	size_t len = prefix.len;

	while (len > 0 && (unsigned char)end[len - 1] == 0xff)
		len--;
	if (len > 0)
		end[len - 1] = (char)(end[len - 1] + 1);
	return str_of(end, len);
}

size_t store_count(const struct store_version *version, struct str prefix, struct str from)
{
	struct arena *arena = arena_new();
	struct str end = prefix_end(arena, prefix);
	struct tree tree;
	size_t n;

	if (str_cmp(from, prefix) < 0)
		from = prefix;
	if (end.len > 0) {
		n = tree_count(version->root, from, end);
	} else {
		/* No key is beyond: everything but what stands before. */
		tree_resume(&tree, NULL, version->root);
		n = tree_len(&tree) - tree_count(version->root, STR(""), from);
	}
	arena_free(arena);
	return n;
}
