/* Image configurations (OCI image-spec config.md; Docker's are the same where it matters). */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "image/private.h"

static struct str *strings(struct arena *arena, const struct json *array, size_t *n)
{
	struct str *out = ARENA_ARRAY(arena, struct str, json_len(array) + 1);

	*n = 0;
	if (json_is(array, JSON_ARRAY)) {
		JSON_EACH (array, it)
			out[(*n)++] = json_str(it.value);
	}
	return out;
}

static struct str *keys(struct arena *arena, const struct json *object, size_t *n)
{
	struct str *out = ARENA_ARRAY(arena, struct str, json_len(object) + 1);

	*n = 0;
	if (json_is(object, JSON_OBJECT)) {
		JSON_EACH (object, it)
			out[(*n)++] = it.key;
	}
	return out;
}

static struct error *read_layers(struct arena *arena, const struct json *ids, struct image *out)
{
	if (json_len(ids) > LIMIT_LAYERS)
		return error_new(ERR_INVALID, "image has %zu layers; at most %d", json_len(ids), LIMIT_LAYERS);
	out->layers = ARENA_ARRAY(arena, struct str, json_len(ids) + 1);
	JSON_EACH (ids, it) {
		if (!digest_valid(json_str(it.value)))
			return error_new(ERR_INVALID, "image configuration: \"%.*s\" is not a sha256 digest",
					 STR_ARG(json_str(it.value)));
		out->layers[out->n_layers++] = str_format(arena, "layers/sha256/%.*s", STR_ARG(digest_hex(json_str(it.value))));
	}
	return NULL;
}

struct error *image_from_config(struct arena *arena, struct str text, struct image *out)
{
	const struct json *json, *config, *labels;
	char id[DIGEST_TEXT];
	struct error *err = json_read(arena, text, NULL, &json);

	memset(out, 0, sizeof(*out));
	if (err == NULL && !json_is(json, JSON_OBJECT))
		err = error_new(ERR_INVALID, "not an object");
	if (err != NULL) {
		err->kind = ERR_INVALID;
		return error_context(err, "image configuration");
	}
	digest_of(text, id);
	config = json_get(json, "config");
	labels = json_get(config, "Labels");
	out->id = str_dup(arena, str_from(id));
	out->os = json_get_str(json, "os");
	out->architecture = json_get_str(json, "architecture");
	time_parse(json_get_str(json, "created"), &out->created);
	out->entrypoint = strings(arena, json_get(config, "Entrypoint"), &out->n_entrypoint);
	out->cmd = strings(arena, json_get(config, "Cmd"), &out->n_cmd);
	out->env = strings(arena, json_get(config, "Env"), &out->n_env);
	out->user = json_get_str(config, "User");
	out->workdir = json_get_str(config, "WorkingDir");
	out->stop_signal = json_get_str(config, "StopSignal");
	out->volumes = keys(arena, json_get(config, "Volumes"), &out->n_volumes);
	out->labels = ARENA_ARRAY(arena, struct image_label, json_len(labels) + 1);
	JSON_EACH (labels, it)
		out->labels[out->n_labels++] = (struct image_label){ it.key, json_str(it.value) };
	return read_layers(arena, json_path(json, "rootfs.diff_ids"), out);
}

const char **image_layer_paths(struct arena *arena, const struct image *image, const char *prefix, size_t *n)
{
	const char **out = ARENA_ARRAY(arena, const char *, image->n_layers + 1);

	*n = 0;
	for (size_t i = image->n_layers; i-- > 0;) {
		bool twice = false;

		/* overlay takes a directory only once: the topmost counts */
		for (size_t k = image->n_layers; --k > i;)
			twice |= str_eq(image->layers[k], image->layers[i]);
		if (!twice)
			out[(*n)++] = arena_printf(arena, "%s/%.*s", prefix, STR_ARG(image->layers[i]));
	}
	return out;
}

bool image_user_number(const struct image *image, int64_t *uid)
{
	struct str rest = image->user, user;

	*uid = 0;
	return str_cut(&rest, ':', &user) && user.len != 0 && user.ptr[0] != '-' && str_to_i64(user, uid);
}
