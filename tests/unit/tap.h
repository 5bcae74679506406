/*
 * The harness of the unit tests: a test is a function that registers itself; the program prints TAP.
 *
 *	TEST(tree_keeps_versions)
 *	{
 *		CHECK_EQ(tree_len(&tree), 3);
 *		CHECK_STR(name, "web");
 *	}
 *
 * A failed check prints both values and the line and ends the test, not the program. Run with a word as argument, only
 * the tests whose name contains it run.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct tap_test {
	const char *name;
	const char *file;
	void (*run)(void);
	struct tap_test *next;
};

void tap_register(struct tap_test *test);
_Noreturn void tap_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void tap_skip(const char *format, ...) __attribute__((format(printf, 1, 2))); /* says why */
void tap_check_str(const char *file, int line, const char *what, struct str got, struct str want);

#define TEST(name)                                                                                                                 \
	static void test_##name(void);                                                                                             \
	static struct tap_test tap_##name = { #name, __FILE__, test_##name, NULL };                                                \
	__attribute__((constructor)) static void tap_register_##name(void)                                                         \
	{                                                                                                                          \
		tap_register(&tap_##name);                                                                                         \
	}                                                                                                                          \
	static void test_##name(void)

#define CHECK(condition) ((condition) ? (void)0 : tap_fail(__FILE__, __LINE__, "%s", #condition))
#define CHECK_EQ(got, want)                                                                                                        \
	do {                                                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                                                      \
		if (got_ != want_)                                                                                                 \
			tap_fail(__FILE__, __LINE__, "%s is %lld, not %lld", #got, got_, want_);                                   \
	} while (0)
/* got and want: struct str or const char *. */
#define TAP_TO_STR(x) _Generic((x), struct str : tap_str, char * : str_from, const char * : str_from)(x)
static inline struct str tap_str(struct str s)
{
	return s;
}
#define CHECK_STR(got, want) tap_check_str(__FILE__, __LINE__, #got, TAP_TO_STR(got), TAP_TO_STR(want))
/* Fails with the text of the error, if there is one. */
#define CHECK_OK(expr)                                                                                                             \
	do {                                                                                                                       \
		struct error *err_ = (expr);                                                                                       \
		if (err_ != NULL)                                                                                                  \
			tap_fail(__FILE__, __LINE__, "%s: %s", #expr, err_->text);                                                 \
	} while (0)
/* The expression must give an error of this kind; frees it. */
#define CHECK_ERR(expr, want_kind)                                                                                                 \
	do {                                                                                                                       \
		struct error *err_ = (expr);                                                                                       \
		if (err_ == NULL)                                                                                                  \
			tap_fail(__FILE__, __LINE__, "%s: no error", #expr);                                                       \
		if (err_->kind != (want_kind))                                                                                     \
			tap_fail(__FILE__, __LINE__, "%s: %s, not %s: %s", #expr, error_kind_name(err_->kind),                     \
				 error_kind_name(want_kind), err_->text);                                                          \
		error_free(err_);                                                                                                  \
	} while (0)

#endif
