#include "base/auto.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void out_of_memory(void)
{
	static const char text[] = "monokube: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		abort();
	abort();
}

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void auto_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

void auto_closedir(void *pointer_to_dir)
{
	DIR *dir = *(DIR **)pointer_to_dir;

	if (dir != NULL)
		closedir(dir);
}

void auto_fclose(void *pointer_to_file)
{
	FILE *file = *(FILE **)pointer_to_file;

	if (file != NULL)
		fclose(file);
}

int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

void *xmalloc(size_t size)
{
	void *ptr = malloc(size != 0 ? size : 1);

	if (ptr == NULL)
		out_of_memory();
	return ptr;
}

void *xcalloc(size_t n, size_t size)
{
	void *ptr = calloc(n != 0 ? n : 1, size != 0 ? size : 1);

	if (ptr == NULL)
		out_of_memory();
	return ptr;
}

void *xrealloc(void *ptr, size_t size)
{
	void *grown = realloc(ptr, size != 0 ? size : 1);

	if (grown == NULL)
		out_of_memory();
	return grown;
}

char *xmemdup(const void *ptr, size_t len)
{
	char *copy = xmalloc(len + 1);

	if (len != 0)
		memcpy(copy, ptr, len);
	copy[len] = '\0';
	return copy;
}

char *xstrdup(const char *cstr)
{
	return xmemdup(cstr, strlen(cstr));
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *text = NULL;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		out_of_memory();
	return text;
}
