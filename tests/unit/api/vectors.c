#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/vec.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

struct str vector_read(struct arena *arena, const char *name)
{
	AUTO_FILE FILE *file = fopen(arena_printf(arena, "%s/%s", TEST_DATA, name), "r");

	if (file == NULL)
		tap_fail(__FILE__, __LINE__, "no file %s/%s", TEST_DATA, name);
	fseek(file, 0, SEEK_END);
	size_t len = (size_t)ftell(file);
	rewind(file);
	char *text = arena_raw(arena, len + 1);
	CHECK_EQ(fread(text, 1, len, file), len);
	text[len] = 0;
	return str_of(text, len);
}

const struct json *vector_json(struct arena *arena, const char *name)
{
	const struct json *value = NULL;

	CHECK_OK(json_read(arena, vector_read(arena, name), NULL, &value));
	return value;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **vector_list(struct arena *arena, const char *folder, const char *suffix)
{
	AUTO_DIR DIR *dir = opendir(arena_printf(arena, "%s/%s", TEST_DATA, folder));
	VEC(const char *) names = { 0 };
	struct dirent *entry;

	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		if (str_has_suffix(str_from(entry->d_name), str_from(suffix)))
			vec_push(&names, arena_strdup(arena, entry->d_name));
	qsort(names.ptr, names.len, sizeof(*names.ptr), by_name);
	const char **list = ARENA_ARRAY(arena, const char *, names.len + 1);
	if (names.len != 0)
		memcpy(list, names.ptr, names.len * sizeof(*list));
	vec_fini(&names);
	return list;
}

const struct json *from(struct arena *arena, const char *text)
{
	const struct json *value = NULL;

	CHECK_OK(json_read(arena, str_from(text), NULL, &value));
	return value;
}
