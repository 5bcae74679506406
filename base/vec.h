/*
 * A growing array of any type, on the heap. VEC(struct x) names the type; {0} is an empty one.
 *
 *	VEC(int) numbers = { 0 };
 *	vec_push(&numbers, 3);
 *	for (size_t i = 0; i < numbers.len; i++) …numbers.ptr[i]…
 *	vec_fini(&numbers);
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include <stddef.h>
#include <string.h>

#define VEC(type)                                                                                                                  \
	struct {                                                                                                                   \
		type *ptr;                                                                                                         \
		size_t len;                                                                                                        \
		size_t cap;                                                                                                        \
	}

void *vec_grown(void *ptr, size_t *cap, size_t need, size_t size);

#define vec_reserve(v, n)                                                                                                          \
	((v)->len + (n) > (v)->cap ? (void)((v)->ptr = vec_grown((v)->ptr, &(v)->cap, (v)->len + (n), sizeof(*(v)->ptr))) : (void)0)
#define vec_push(v, ...) (vec_reserve((v), 1), (void)((v)->ptr[(v)->len++] = (__VA_ARGS__)))
/* Zeroed room at the end; gives a pointer to it. */
#define vec_add(v)       (vec_reserve((v), 1), (typeof((v)->ptr))memset(&(v)->ptr[(v)->len++], 0, sizeof(*(v)->ptr)))
#define vec_pop(v)       ((v)->ptr[--(v)->len])
#define vec_last(v)      (&(v)->ptr[(v)->len - 1])
#define vec_clear(v)     ((void)((v)->len = 0))
#define vec_remove(v, i) (memmove(&(v)->ptr[(i)], &(v)->ptr[(i) + 1], sizeof(*(v)->ptr) * ((v)->len - (i)-1)), (void)(v)->len--)
#define vec_fini(v)      (vec_release((v)->ptr), (void)((v)->ptr = NULL, (v)->len = (v)->cap = 0))
void vec_release(void *ptr);

#endif
