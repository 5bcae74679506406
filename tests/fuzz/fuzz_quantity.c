/* Quantities: the canonical form stays what it is, means what was written, and sorts and adds as numbers do. Input: one
 * quantity, or two with a space between. */
#include "api/quantity.h"
#include "tests/fuzz/fuzz.h"

static bool check_one(struct arena *arena, struct str text, struct quantity *q)
{
	struct quantity again;
	struct str written, twice;

	if (!quantity_parse(text, q, NULL))
		return false;
	written = quantity_text(arena, q);
	FUZZ_CHECK(quantity_parse(written, &again, NULL));
	FUZZ_CHECK(quantity_cmp(q, &again) == 0);
	twice = quantity_text(arena, &again);
	FUZZ_SAME(twice, written);
	(void)quantity_value(q);
	(void)quantity_milli(q);
	FUZZ_CHECK(!quantity_whole(q) || quantity_cmp(q, &(struct quantity){ .nano = q->nano }) == 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct str rest = fuzz_str(data, size), first = rest;
	struct quantity a, b, sum;

	if (str_find(rest, ' ') >= 0)
		str_cut(&rest, ' ', &first);
	if (check_one(arena, first, &a) && check_one(arena, rest, &b)) {
		FUZZ_CHECK(quantity_cmp(&a, &b) == -quantity_cmp(&b, &a));
		sum = a;
		quantity_add(&sum, &b);
		FUZZ_CHECK(quantity_sign(&b) == 0 || quantity_cmp(&sum, &a) == quantity_sign(&b));
		quantity_sub(&sum, &b);
		FUZZ_CHECK(quantity_cmp(&sum, &a) == 0);
		quantity_text(arena, &sum);
	}
	arena_free(arena);
	return 0;
}
