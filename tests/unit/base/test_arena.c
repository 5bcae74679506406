#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "tests/unit/tap.h"

static int order[3], n_order;

static void note(void *arg)
{
	order[n_order++] = (int)(intptr_t)arg;
}

TEST(arena_defers_run_backwards)
{
	struct arena *arena = arena_new();

	n_order = 0;
	for (intptr_t i = 1; i <= 3; i++)
		arena_defer(arena, note, (void *)i);
	arena_free(arena);
	CHECK_EQ(n_order, 3);
	CHECK_EQ(order[0], 3);
	CHECK_EQ(order[2], 1);
}

TEST(arena_large_and_small_blocks_keep_their_content)
{
	struct arena *arena = arena_new();
	char *small = arena_strdup(arena, "small");
	char *large = arena_alloc(arena, 1 << 20);

	memset(large, 7, 1 << 20);
	CHECK_STR(arena_printf(arena, "%0400d|%s", 1, small) + 400, "|small");
	CHECK_STR(small, "small");
	CHECK_EQ(large[(1 << 20) - 1], 7);
	CHECK(arena_size(arena) >= 1 << 20);
	arena_free(arena);
}

TEST(error_carries_context_advice_and_causes)
{
	struct error *err = error_errno(2, "open %s", "/x");

	CHECK_EQ(err->kind, ERR_NOT_FOUND);
	err = error_context(err, "load image %s", "web");
	CHECK_STR(err->text, "load image web: open /x: No such file or directory");
	err = error_advise(err, "Run %s.", "ls");
	CHECK_STR(error_advice(err), "Run ls.");
	error_add_cause(err, "FieldValueInvalid", "spec.x", "too long");
	CHECK_EQ(err->n_causes, 1);
	CHECK_STR(err->causes[0].field, "spec.x");
	CHECK_EQ(error_http_status(ERR_INVALID), 422);
	CHECK_STR(error_reason(ERR_EXISTS), "AlreadyExists");
	error_free(err);
}

TEST(vec_grows_and_removes)
{
	VEC(int) v = { 0 };

	for (int i = 0; i < 100; i++)
		vec_push(&v, i);
	vec_remove(&v, 10);
	CHECK_EQ(v.len, 99);
	CHECK_EQ(v.ptr[10], 11);
	CHECK_EQ(*vec_add(&v), 0);
	CHECK_EQ(vec_pop(&v), 0);
	vec_fini(&v);
	CHECK(v.ptr == NULL);
}

TEST(map_keeps_insertion_order_and_survives_removal_while_walking)
{
	struct map map = { 0 };
	char key[16];
	int next = 0;

	for (intptr_t i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%d", (int)i);
		CHECK(map_set(&map, str_from(key), (void *)(i + 1)) == NULL);
	}
	CHECK_EQ((intptr_t)map_set(&map, STR("k5"), (void *)6), 6);
	MAP_EACH (&map, it) {
		CHECK_EQ((intptr_t)it->value, ++next);
		if (next % 2 == 0)
			map_take(&map, it->key);
	}
	CHECK_EQ(map.len, 500);
	CHECK(map_find(&map, STR("k1")) == NULL);
	CHECK_EQ((intptr_t)map_find(&map, STR("k2")), 3);
	CHECK(map_take(&map, STR("absent")) == NULL);
	map_fini(&map);
}

TEST(bytes_are_shared)
{
	struct bytes *bytes = bytes_new(STR("abc"));

	bytes_ref(bytes);
	bytes_unref(bytes);
	CHECK_STR(bytes_str(bytes), "abc");
	bytes_unref(bytes);
}

TEST(buf_formats_and_consumes)
{
	AUTO_BUF struct buf buf = { 0 };

	buf_printf(&buf, "%0300d", 7);
	buf_consume(&buf, 299);
	buf_add(&buf, STR("x"));
	CHECK_STR(buf_cstr(&buf), "7x");
	buf_consume(&buf, 10);
	CHECK_EQ(buf.len, 0);
}
