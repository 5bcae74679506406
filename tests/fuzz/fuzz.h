/*
 * What the fuzz targets share. A target is one file fuzz_<name>.c with LLVMFuzzerTestOneInput(), and one word in
 * FUZZ_TARGETS of tests/local.mk. `make fuzz` links it with libFuzzer; every other build links it with driver.c, which
 * replays corpus/<name>/.
 *
 * A target does not only see to it that nothing crashes: it checks the laws of what it calls, with FUZZ_CHECK.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                                                      \
	do {                                                                                                                       \
		if (!(condition)) {                                                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
			abort();                                                                                                   \
		}                                                                                                                  \
	} while (0)
/* Two texts that must be equal; shows both from a little before the place where they differ. */
#define FUZZ_SAME(got, want) fuzz_same(__FILE__, __LINE__, (got), (want))
/* This must not fail. */
#define FUZZ_OK(expression) fuzz_ok(__FILE__, __LINE__, (expression))

static inline void fuzz_same(const char *file, int line, struct str got, struct str want)
{
	size_t at = 0;

	if (str_eq(got, want))
		return;
	while (at < got.len && at < want.len && got.ptr[at] == want.ptr[at])
		at++;
	at = at > 100 ? at - 100 : 0;
	got = str_skip(got, at);
	want = str_skip(want, at);
	fprintf(stderr, "%s:%d: got  %.*s\n     want %.*s\n", file, line, STR_ARG(got), STR_ARG(want));
	abort();
}

static inline void fuzz_ok(const char *file, int line, struct error *err)
{
	if (err == NULL)
		return;
	fprintf(stderr, "%s:%d: fails: %s\n", file, line, err->text);
	abort();
}

static inline struct str fuzz_str(const uint8_t *data, size_t size)
{
	return str_of((const char *)data, size);
}

/* The first byte, which chooses; 0 when there is none. */
static inline unsigned fuzz_choice(struct str *in, unsigned n)
{
	unsigned byte = in->len > 0 ? (unsigned char)in->ptr[0] : 0;

	*in = str_skip(*in, in->len > 0 ? 1 : 0);
	return byte % n;
}

/* What stands before the first line "%"; in moves behind it. */
static inline struct str fuzz_part(struct str *in)
{
	struct str part = *in;

	for (size_t i = 0; i + 3 <= in->len; i++) {
		if (memcmp(in->ptr + i, "\n%\n", 3) == 0) {
			part = str_head(*in, i);
			*in = str_skip(*in, i + 3);
			return part;
		}
	}
	*in = STR("");
	return part;
}

/* The kinds that targets of api choose from by a byte: fuzz_kinds.c. */
struct kind;
const struct kind *fuzz_kind(struct str *in);

#endif
