#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "tests/unit/tap.h"

static long live; /* references to values */

static void count_ref(void *value)
{
	(void)value;
	live++;
}

static void count_unref(void *value)
{
	(void)value;
	live--;
}

static const struct tree_ops counting = { count_ref, count_unref };

static struct str key_of(char text[16], uint64_t i)
{
	snprintf(text, 16, "%06llu", (unsigned long long)i);
	return str_from(text);
}

TEST(tree_agrees_with_an_array_over_random_changes)
{
	struct tree tree = { .ops = &counting };
	char present[500] = { 0 }, text[16];
	size_t n = 0;

	rand_seed(1);
	for (int step = 0; step < 20000; step++) {
		uint64_t i = rand_below(500);

		if (rand_below(2) == 0) {
			tree_set(&tree, key_of(text, i), present);
			n += !present[i];
			present[i] = 1;
		} else {
			CHECK_EQ(tree_remove(&tree, key_of(text, i)), present[i]);
			n -= present[i] != 0;
			present[i] = 0;
		}
		CHECK_EQ(tree_len(&tree), n);
	}
	struct tree_root *root = tree_hold(&tree);
	struct tree_iter it;
	size_t seen = 0, i = 100;
	for (bool ok = tree_seek(&it, root, key_of(text, 100)); ok; ok = tree_next(&it), seen++) {
		while (!present[i])
			i++;
		CHECK_STR(it.key, key_of(text, i++));
	}
	struct str from = STR("000100");
	CHECK_EQ(tree_count(root, from, STR("1")), seen);
	tree_drop(&tree, root);
	tree_fini(&tree);
	CHECK_EQ(live, 0);
}

TEST(tree_versions_do_not_see_later_changes)
{
	struct tree tree = { .ops = &counting };
	int a, b;
	char text[16];

	for (uint64_t i = 0; i < 100; i++)
		tree_set(&tree, key_of(text, i), &a);
	struct tree_root *then = tree_hold(&tree);
	for (uint64_t i = 0; i < 100; i += 2)
		tree_remove(&tree, key_of(text, i));
	for (uint64_t i = 1; i < 100; i += 2)
		tree_set(&tree, key_of(text, i), &b);
	CHECK_EQ(tree_len(&tree), 50);
	CHECK_EQ(tree_count(then, STR(""), STR("~")), 100);
	for (uint64_t i = 0; i < 100; i++)
		CHECK(tree_root_find(then, key_of(text, i)) == &a);
	CHECK(tree_find(&tree, STR("000001")) == &b);
	CHECK(tree_find(&tree, STR("000000")) == NULL);
	tree_fini(&tree);
	CHECK(tree_root_find(then, STR("000000")) == &a);
	tree_drop(&tree, then);
	CHECK_EQ(live, 0);
}

TEST(tree_empty_has_nothing)
{
	struct tree tree = { 0 };
	struct tree_iter it;

	CHECK(!tree_seek(&it, NULL, STR("")));
	CHECK(tree_find(&tree, STR("x")) == NULL);
	CHECK(!tree_remove(&tree, STR("x")));
	CHECK_EQ(tree_count(NULL, STR(""), STR("~")), 0);
	tree_drop(&tree, tree_hold(&tree));
}

TEST(places_are_of_the_first)
{
	struct arena *arena = arena_new();
	struct places places = { .arena = arena };

	CHECK(places_find(&places, STR("")) == PLACES_NONE);
	for (size_t i = 0; i < 1000; i++) { /* beyond where an index begins */
		struct str key = str_format(arena, "%zu", i);

		CHECK(places_find(&places, key) == PLACES_NONE);
		CHECK_EQ(places_add(&places, key, 2 * i), 2 * i);
		CHECK_EQ(places_add(&places, str_format(arena, "%zu", i / 2), 5000), 2 * (i / 2));
	}
	for (size_t i = 0; i < 1000; i++)
		CHECK_EQ(places_find(&places, str_format(arena, "%zu", i)), 2 * i);
	CHECK(places_find(&places, STR("1000")) == PLACES_NONE);
	CHECK_EQ(places_add(&places, STR(""), 7), 7);
	CHECK_EQ(places_find(&places, STR("")), 7);
	arena_free(arena);
}
