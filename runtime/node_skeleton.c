/*
 * Mount points, made once: a directory with nothing in it but what the mounts of a container stand on, laid under the
 * layers of its image. Containers with the same mounts share one, and none has to make these in its own writable layer,
 * which costs a journal entry each. What an image has by itself is in front of it, and what is missing all the same (a
 * link in the image leads elsewhere, or the power failed half-way) is made where the mount is: nothing depends on it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/limits.h"
#include "base/log.h"
#include "runtime/files.h"
#include "runtime/node_private.h"

#define HOME "/var/lib/monokube/skeletons"
#define MOST 64 /* kinds of containers on a node; more of them make their own mount points */

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Below these is what is mounted there, and no name may lead anywhere. */
static bool is_wanted(const char *path)
{
	size_t n = path != NULL ? strlen(path) : 0;

	return n > 1 && n < PATH_MAX / 4 && path[0] == '/' && path[n - 1] != '/' && strstr(path, "//") == NULL &&
	       strstr(path, "/.") == NULL && strchr(path, '\n') == NULL && !has_prefix(path, "/dev/") &&
	       !has_prefix(path, "/proc/") && !has_prefix(path, "/sys/");
}

/* Where most images have a link to /run. */
static bool links_run(const struct runtime_spec *spec)
{
	for (size_t i = 0; i < spec->n_layers; i++) {
		char path[PATH_MAX];
		struct stat st;

		snprintf(path, sizeof(path), "%s/var/run", spec->layers[i]);
		if (lstat(path, &st) == 0)
			return S_ISLNK(st.st_mode);
	}
	return false;
}

/* "d/proc\nf/etc/hosts\n…": what there is to be made, and the name of it. */
static void describe(const struct runtime_spec *spec, struct buf *out)
{
	bool run = links_run(spec);

	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct runtime_mount *m = &spec->mounts[i];
		const char *path = m->destination;
		bool bind = m->flags & MS_BIND || (m->type != NULL && strcmp(m->type, "bind") == 0);
		struct stat st = { .st_mode = S_IFDIR };

		if (!is_wanted(path) || m->below != NULL || (bind && (m->source == NULL || stat(m->source, &st) != 0)))
			continue;
		if (run && has_prefix(path, "/var/run/"))
			path += strlen("/var");
		buf_printf(out, "%c%s\n", S_ISDIR(st.st_mode) ? 'd' : 'f', path);
	}
}

static struct error *make_one(const char *base, char kind, struct str path)
{
	char full[PATH_MAX];
	struct error *err;
	int fd;

	snprintf(full, sizeof(full), "%s%.*s", base, STR_ARG(path));
	if (kind == 'd')
		return dir_make(AT_FDCWD, full, 0755);
	*strrchr(full, '/') = '\0';
	err = dir_make(AT_FDCWD, full, 0755);
	if (err != NULL)
		return err;
	snprintf(full, sizeof(full), "%s%.*s", base, STR_ARG(path));
	fd = open(full, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static struct error *make(const char *base, struct str what)
{
	struct error *err = dir_make(AT_FDCWD, base, 0755);
	struct str line;

	while (err == NULL && str_cut(&what, '\n', &line))
		if (line.len != 0)
			err = make_one(base, line.ptr[0], str_skip(line, 1));
	return err;
}

static const char good, bad;

void skeleton_add(struct node *node, struct arena *arena, struct runtime_spec *spec)
{
	AUTO_BUF struct buf what = { 0 };
	const char *base, **layers;

	if (spec->n_layers == 0 || spec->n_layers >= LIMIT_LAYERS)
		return;
	describe(spec, &what);
	base = arena_printf(arena, HOME "/%016llx", (unsigned long long)str_hash(buf_str(&what)));
	if (map_find(&node->skeletons, str_from(base)) == NULL && node->skeletons.len < MOST) {
		struct error *err = make(base, buf_str(&what));

		map_set(&node->skeletons, str_from(base), err == NULL ? (void *)&good : (void *)&bad);
		log_consume(LOG_WARN, err, "make mount points");
	}
	if (map_find(&node->skeletons, str_from(base)) != &good)
		return;
	layers = ARENA_ARRAY(arena, const char *, spec->n_layers + 1);
	memcpy(layers, spec->layers, spec->n_layers * sizeof(*layers));
	layers[spec->n_layers++] = base;
	spec->layers = layers;
}

struct error *skeletons_load(void)
{
	return dir_remove(AT_FDCWD, HOME); /* what a node before left may be half of what it was to be */
}
