/* monokube image load, ls, rm: the content store that all profiles share. */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/life.h"
#include "cmd/ui.h"
#include "json/json.h"

static struct error *open_store(struct args *args, struct image_store **store)
{
	struct error *err = life_need_root();

	if (err == NULL)
		err = image_store_open(arena_printf(args->arena, "%s/images", profile_home(args->arena)), store);
	return err;
}

static struct error *load_one(struct args *args, struct image_store *store, const char *path)
{
	bool from_stdin = strcmp(path, "-") == 0;
	AUTO_FD int fd = from_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	struct str *loaded;
	size_t n;
	struct error *err;

	if (fd < 0)
		return error_advise(error_errno(errno, "open %s", path),
				    "Save an image to a file first: docker save IMAGE -o image.tar");
	err = image_store_load(args->arena, store, fd, &loaded, &n);
	for (size_t i = 0; err == NULL && i < n; i++)
		printf("%.*s\n", STR_ARG(loaded[i]));
	return err != NULL ? error_context(err, "load %s", from_stdin ? "standard input" : path) : NULL;
}

static struct error *run_load(struct args *args)
{
	struct image_store *store = NULL;
	struct error *err = open_store(args, &store);

	for (size_t i = 0; err == NULL && i < args->n_operands; i++)
		err = load_one(args, store, args->operands[i]);
	image_store_close(store);
	return err;
}

static struct error *run_ls(struct args *args)
{
	struct image_store *store = NULL;
	const struct image **images;
	struct json_builder all = { .arena = args->arena };
	AUTO_BUF struct buf out = { 0 };
	size_t n = 0;
	struct error *err = open_store(args, &store);

	if (err == NULL)
		err = image_store_add_hello(store);
	if (err == NULL)
		err = image_store_list(args->arena, store, &images, &n);
	for (size_t i = 0; err == NULL && i < n; i++) {
		for (size_t j = 0; !args->json && j < images[i]->n_refs; j++)
			printf("%.*s\n", STR_ARG(images[i]->refs[j]));
		for (size_t j = 0; j < images[i]->n_refs; j++)
			json_builder_item(&all, JSON_OBJECT_OF(args->arena, { "id", json_string(args->arena, images[i]->id) },
							       { "name", json_string(args->arena, images[i]->refs[j]) },
							       { "size", json_number(args->arena, (int64_t)images[i]->size) }));
	}
	if (err == NULL && args->json) {
		json_write(&out, json_builder_array(&all));
		printf("%s\n", buf_cstr(&out));
	}
	image_store_close(store);
	return err;
}

static struct error *run_rm(struct args *args)
{
	struct image_store *store = NULL;
	struct error *err = open_store(args, &store);

	for (size_t i = 0; err == NULL && i < args->n_operands; i++)
		err = image_store_remove(store, str_from(args->operands[i]));
	if (err != NULL && err->kind == ERR_NOT_FOUND)
		err = error_advise(err, "'monokube image ls' lists the images there are.");
	image_store_close(store);
	return err;
}

const struct command image_load_command = { .name = "image load",
					    .operands = "FILE…|-",
					    .summary = "Loads images from archives "
						       "(docker save) or standard input",
					    .run = run_load,
					    .min_operands = 1,
					    .max_operands = 1000 };
const struct command image_ls_command = {
	.name = "image ls", .operands = "", .summary = "Lists the images there are", .run = run_ls
};
const struct command image_rm_command = {
	.name = "image rm", .operands = "IMAGE…", .summary = "Removes images", .run = run_rm, .min_operands = 1, .max_operands = 1000
};
