/* The test of the test: two defects on purpose, one that a sanitizer sees and one that only a law sees. `make fuzz` must find
 * one within a minute, and the driver must be red on each file of corpus/planted/. */
#include "tests/fuzz/fuzz.h"

/* One letter, then a length and that many digits; the length is believed. */
static uint64_t sum_of(const uint8_t *data, size_t size)
{
	uint64_t sum = 0;

	if (size < 2 || data[0] != 'n')
		return 0;
	for (size_t i = 0; i < (size_t)(data[1] - '0'); i++)
		sum = sum * 10 + data[2 + i];
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t sum = sum_of(data, size);

	FUZZ_CHECK(size < 3 || data[0] != 'm' || data[1] != '1' || sum != 0);
	return 0;
}
