/* Scope-bound ownership for blocking code: the variable's end releases what it holds.
 *
 *	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
 *	…
 *	return fd_take(&fd);   // hands over; the variable now holds -1
 */
#ifndef BASE_AUTO_H
#define BASE_AUTO_H

#include <stddef.h>

void auto_free(void *pointer_to_pointer);
void auto_closedir(void *pointer_to_dir);
void auto_fclose(void *pointer_to_file);

#define AUTO_FD   __attribute__((cleanup(fd_close)))
#define AUTO_FREE __attribute__((cleanup(auto_free)))
#define AUTO_DIR  __attribute__((cleanup(auto_closedir)))
#define AUTO_FILE __attribute__((cleanup(auto_fclose)))

int fd_take(int *fd);   /* the descriptor; *fd becomes -1 */
void fd_close(int *fd); /* *fd becomes -1; what is none is left alone */

/* malloc and friends that abort when there is no memory. */
void *xmalloc(size_t size) __attribute__((returns_nonnull, malloc));
void *xcalloc(size_t n, size_t size) __attribute__((returns_nonnull, malloc));
void *xrealloc(void *ptr, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *cstr) __attribute__((returns_nonnull, malloc));
char *xmemdup(const void *ptr, size_t len) __attribute__((returns_nonnull, malloc)); /* NUL-terminated copy */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull, malloc));

#endif
