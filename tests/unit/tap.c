#include "tests/unit/tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tap_test *first, **last = &first;
static jmp_buf escape;
static char message[4096];
enum outcome { PASSED, FAILED, SKIPPED };

void tap_register(struct tap_test *test)
{
	*last = test;
	last = &test->next;
}

void tap_fail(const char *file, int line, const char *format, ...)
{
	va_list args;
	int n = snprintf(message, sizeof(message), "%s:%d: ", file, line);

	va_start(args, format);
	vsnprintf(message + n, sizeof(message) - (size_t)n, format, args);
	va_end(args);
	longjmp(escape, FAILED);
}

void tap_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	longjmp(escape, SKIPPED);
}

void tap_check_str(const char *file, int line, const char *what, struct str got, struct str want)
{
	if (!str_eq(got, want))
		tap_fail(file, line, "%s is\n#   %.*s\n# not\n#   %.*s", what, STR_ARG(got), STR_ARG(want));
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";
	volatile int n = 0, failed = 0; /* across longjmp */

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct tap_test *test = first; test != NULL; test = test->next)
		n = n + (strstr(test->name, only) != NULL);
	printf("1..%d\n", n);
	n = 0;
	for (struct tap_test *volatile test = first; test != NULL; test = test->next) {
		if (strstr(test->name, only) == NULL)
			continue;
		n = n + 1;
		switch ((enum outcome)setjmp(escape)) {
		case PASSED:
			test->run();
			printf("ok %d - %s\n", n, test->name);
			break;
		case FAILED:
			failed = failed + 1;
			printf("not ok %d - %s\n# %s\n", n, test->name, message);
			break;
		case SKIPPED:
			printf("ok %d - %s # SKIP %s\n", n, test->name, message);
			break;
		}
	}
	return failed != 0;
}
