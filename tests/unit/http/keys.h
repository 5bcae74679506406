#ifndef TESTS_UNIT_HTTP_KEYS_H
#define TESTS_UNIT_HTTP_KEYS_H

#include <stdbool.h>

struct foreign_key {
	const char *name;
	const char *pem;
	bool certificates_only; /* TLS has no such curve */
};

extern const struct foreign_key foreign_keys[]; /* ends with a name of NULL */
extern const char foreign_key_of_ed448[];       /* of a kind that is not in the program */

#endif
