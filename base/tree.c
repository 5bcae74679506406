/*
 * An AVL tree with shared nodes. A node with one reference belongs to one version only and is changed in place; any
 * other is copied first (own()). So a burst of changes without a held version costs no copies.
 */
#include "base/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/trace.h"

struct tree_node {
	unsigned refs;
	int height;
	size_t size; /* nodes in this subtree */
	struct tree_node *left;
	struct tree_node *right;
	struct bytes *key;
	void *value;
};

/* A version is its top node; the type only keeps callers from looking in. */
static const struct tree_node *node_of(const struct tree_root *root)
{
	return (const struct tree_node *)(const void *)root;
}

static struct tree_node *node_ref(struct tree_node *node)
{
	if (node != NULL)
		node->refs++;
	return node;
}

static void value_ref(const struct tree_ops *ops, void *value)
{
	if (ops != NULL && ops->ref != NULL)
		ops->ref(value);
}

static void value_unref(const struct tree_ops *ops, void *value)
{
	if (ops != NULL && ops->unref != NULL)
		ops->unref(value);
}

static void node_unref(const struct tree_ops *ops, struct tree_node *node)
{
	if (node == NULL || --node->refs != 0)
		return;
	node_unref(ops, node->left);
	node_unref(ops, node->right);
	bytes_unref(node->key);
	value_unref(ops, node->value);
	free(node);
}

/* Turns the caller's reference into one to a node that only the caller holds. */
static struct tree_node *own(const struct tree_ops *ops, struct tree_node *node)
{
	struct tree_node *copy;

	if (node->refs == 1)
		return node;
	copy = xmalloc(sizeof(*copy));
	*copy = *node;
	copy->refs = 1;
	node_ref(copy->left);
	node_ref(copy->right);
	bytes_ref(copy->key);
	value_ref(ops, copy->value);
	node->refs--;
	return copy;
}

static int height(const struct tree_node *node)
{
	return node != NULL ? node->height : 0;
}

static size_t size(const struct tree_node *node)
{
	return node != NULL ? node->size : 0;
}

static struct tree_node *update(struct tree_node *node)
{
	int l = height(node->left), r = height(node->right);

	node->height = (l > r ? l : r) + 1;
	node->size = size(node->left) + size(node->right) + 1;
	return node;
}

/* Both rotations take and give an owned node. */
static struct tree_node *rotate_right(const struct tree_ops *ops, struct tree_node *node)
{
	struct tree_node *top = own(ops, node->left);

	node->left = top->right;
	top->right = update(node);
	return update(top);
}

static struct tree_node *rotate_left(const struct tree_ops *ops, struct tree_node *node)
{
	struct tree_node *top = own(ops, node->right);

	node->right = top->left;
	top->left = update(node);
	return update(top);
}

static struct tree_node *balance(const struct tree_ops *ops, struct tree_node *node)
{
	int lean = height(node->left) - height(node->right);

	if (lean > 1) {
		if (height(node->left->left) < height(node->left->right)) {
			node->left = own(ops, node->left);
			node->left = rotate_left(ops, node->left);
		}
		return rotate_right(ops, node);
	}
	if (lean < -1) {
		if (height(node->right->right) < height(node->right->left)) {
			node->right = own(ops, node->right);
			node->right = rotate_right(ops, node->right);
		}
		return rotate_left(ops, node);
	}
	return update(node);
}

static struct tree_node *insert(const struct tree_ops *ops, struct tree_node *node, struct str key, void *value)
{
	int order;

	if (node == NULL) {
		node = xcalloc(1, sizeof(*node));
		node->refs = 1;
		node->key = bytes_new(key);
		node->value = value;
		value_ref(ops, value);
		return update(node);
	}
	node = own(ops, node);
	order = str_cmp(key, bytes_str(node->key));
	if (order == 0) {
		value_ref(ops, value);
		value_unref(ops, node->value);
		node->value = value;
		return node;
	}
	if (order < 0)
		node->left = insert(ops, node->left, key, value);
	else
		node->right = insert(ops, node->right, key, value);
	return balance(ops, node);
}

/* Takes the leftmost node out of an owned subtree; *least is owned and alone. */
static struct tree_node *take_least(const struct tree_ops *ops, struct tree_node *node, struct tree_node **least)
{
	node = own(ops, node);
	if (node->left == NULL) {
		struct tree_node *rest = node->right;

		node->right = NULL;
		*least = node;
		return rest;
	}
	node->left = take_least(ops, node->left, least);
	return balance(ops, node);
}

/* The key is known to be there. */
static struct tree_node *removed(const struct tree_ops *ops, struct tree_node *node, struct str key)
{
	struct tree_node *rest;
	int order;

	node = own(ops, node);
	order = str_cmp(key, bytes_str(node->key));
	if (order < 0) {
		node->left = removed(ops, node->left, key);
		return balance(ops, node);
	}
	if (order > 0) {
		node->right = removed(ops, node->right, key);
		return balance(ops, node);
	}
	if (node->left == NULL || node->right == NULL) {
		rest = node->left != NULL ? node->left : node->right;
	} else {
		struct tree_node *right = take_least(ops, node->right, &rest);

		rest->left = node->left;
		rest->right = right;
		rest = balance(ops, rest);
	}
	node->left = node->right = NULL;
	node_unref(ops, node);
	return rest;
}

static const struct tree_node *find(const struct tree_node *node, struct str key)
{
	while (node != NULL) {
		int order = str_cmp(key, bytes_str(node->key));

		if (order == 0)
			break;
		node = order < 0 ? node->left : node->right;
	}
	return node;
}

void tree_fini(struct tree *tree)
{
	node_unref(tree->ops, tree->node);
	tree->node = NULL;
}

void *tree_find(const struct tree *tree, struct str key)
{
	const struct tree_node *node = find(tree->node, key);

	return node != NULL ? node->value : NULL;
}

void tree_set(struct tree *tree, struct str key, void *value)
{
	tree->node = insert(tree->ops, tree->node, key, value);
}

bool tree_remove(struct tree *tree, struct str key)
{
	if (find(tree->node, key) == NULL)
		return false;
	tree->node = removed(tree->ops, tree->node, key);
	return true;
}

size_t tree_len(const struct tree *tree)
{
	return size(tree->node);
}

struct tree_root *tree_hold(const struct tree *tree)
{
	return (struct tree_root *)(void *)node_ref(tree->node);
}

void tree_drop(const struct tree *tree, struct tree_root *root)
{
	node_unref(tree->ops, (struct tree_node *)(void *)root);
}

void tree_resume(struct tree *tree, const struct tree_ops *ops, struct tree_root *root)
{
	tree->ops = ops;
	tree->node = (struct tree_node *)(void *)root;
}

void *tree_root_find(const struct tree_root *root, struct str key)
{
	const struct tree_node *node = find(node_of(root), key);

	return node != NULL ? node->value : NULL;
}

static bool show(struct tree_iter *it)
{
	const struct tree_node *node;

	if (it->depth == 0)
		return false;
	node = it->path[it->depth - 1];
	it->key = bytes_str(node->key);
	it->value = node->value;
	return true;
}

/* The path holds the nodes whose key is still to come: the current one last. */
bool tree_seek(struct tree_iter *it, const struct tree_root *root, struct str from)
{
	const struct tree_node *node = node_of(root);

	it->depth = 0;
	while (node != NULL) {
		if (str_cmp(bytes_str(node->key), from) >= 0) {
			ASSERT(it->depth < TREE_DEPTH);
			it->path[it->depth++] = node;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return show(it);
}

bool tree_next(struct tree_iter *it)
{
	const struct tree_node *node = it->path[--it->depth]->right;

	for (; node != NULL; node = node->left) {
		ASSERT(it->depth < TREE_DEPTH);
		it->path[it->depth++] = node;
	}
	return show(it);
}

/* Number of keys < key. */
static size_t rank_of(const struct tree_node *node, struct str key)
{
	size_t n = 0;

	while (node != NULL) {
		if (str_cmp(bytes_str(node->key), key) < 0) {
			n += size(node->left) + 1;
			node = node->right;
		} else {
			node = node->left;
		}
	}
	return n;
}

size_t tree_count(const struct tree_root *root, struct str from, struct str to)
{
	size_t first = rank_of(node_of(root), from), last = rank_of(node_of(root), to);

	return last > first ? last - first : 0;
}
