#include "base/vec.h"

#include <stdlib.h>

#include "base/auto.h"

void *vec_grown(void *ptr, size_t *cap, size_t need, size_t size)
{
	size_t n = *cap != 0 ? *cap : 4;

	while (n < need)
		n *= 2;
	*cap = n;
	return xrealloc(ptr, n * size);
}

void vec_release(void *ptr)
{
	free(ptr);
}
