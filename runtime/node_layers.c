/* Layers in use: whoever would remove one of the image store finds it locked (a shared flock on its directory). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "runtime/node_private.h"

static void unlock_layer(struct node *node, const char *path)
{
	struct node_layer_lock *lock = map_find(&node->layers, str_from(path));

	if (lock == NULL || --lock->users != 0)
		return;
	close(lock->fd);
	map_take(&node->layers, str_from(path));
	free(lock);
}

void layers_unlock(struct node *node, const char *const *layers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		unlock_layer(node, layers[i]);
}

static struct error *lock_layer(struct node *node, const char *path)
{
	struct node_layer_lock *lock = map_find(&node->layers, str_from(path));
	AUTO_FD int fd = -1;
	struct stat st;

	if (lock != NULL) {
		lock->users++;
		return NULL;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "open layer %s", path);
	/* whoever removes one holds it exclusively; after that it has no name any more */
	if (flock(fd, LOCK_SH | LOCK_NB) != 0 || fstat(fd, &st) != 0 || st.st_nlink == 0)
		return error_new(ERR_NOT_FOUND, "layer %s is being removed", path);
	lock = xcalloc(1, sizeof(*lock));
	lock->fd = fd_take(&fd);
	lock->users = 1;
	map_set(&node->layers, str_from(path), lock);
	return NULL;
}

struct error *layers_lock(struct node *node, const char *const *layers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct error *err = lock_layer(node, layers[i]);

		if (err != NULL) {
			layers_unlock(node, layers, i);
			return err;
		}
	}
	return NULL;
}
