/*
 * An ordered copy-on-write tree from text to refcounted values: a balanced tree whose nodes are shared between
 * versions. A version is one pointer (a root); holding it keeps everything it shows, however the tree goes on.
 * Taking a version costs nothing, a change copies O(log n) nodes. Loop thread only.
 *
 *	struct tree tree = { .ops = &ops };
 *	tree_set(&tree, key, value);                       // refs value
 *	struct tree_root *then = tree_hold(&tree);         // a version
 *	struct tree_iter it;
 *	for (bool ok = tree_seek(&it, then, STR("/pods/")); ok; ok = tree_next(&it))
 *		use(it.key, it.value);
 *	tree_drop(&tree, then);
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include "base/str.h"

struct tree_node;
struct tree_root;

/* How values are shared. Both may be NULL when values need no counting. */
struct tree_ops {
	void (*ref)(void *value);
	void (*unref)(void *value);
};

struct tree {
	const struct tree_ops *ops;
	struct tree_node *node; /* current version, NULL when empty */
};

#define TREE_DEPTH 64

struct tree_iter {
	struct str key; /* valid while the version is held */
	void *value;
	int depth;
	const struct tree_node *path[TREE_DEPTH];
};

void tree_fini(struct tree *tree);
void *tree_find(const struct tree *tree, struct str key);
void tree_set(struct tree *tree, struct str key, void *value); /* copies the key, refs the value */
bool tree_remove(struct tree *tree, struct str key);
size_t tree_len(const struct tree *tree);

/* A version; NULL stands for an empty one and is fine everywhere. */
struct tree_root *tree_hold(const struct tree *tree);
void tree_drop(const struct tree *tree, struct tree_root *root);
/* A tree that goes on from a version; takes the version's reference. */
void tree_resume(struct tree *tree, const struct tree_ops *ops, struct tree_root *root);
void *tree_root_find(const struct tree_root *root, struct str key);

/* First key that is >= from; false when there is none. */
bool tree_seek(struct tree_iter *it, const struct tree_root *root, struct str from);
bool tree_next(struct tree_iter *it);
/* Number of keys in [from, to): O(log n). */
size_t tree_count(const struct tree_root *root, struct str from, struct str to);

#endif
