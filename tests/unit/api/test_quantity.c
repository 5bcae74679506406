#include "api/quantity.h"
#include "tests/unit/tap.h"

TEST(quantity_canonical_forms)
{
	static const struct {
		const char *text, *want; /* want NULL: refused */
	} trials[] = {
		{ "0", "0" },
		{ "-0", "0" },
		{ "1", "1" },
		{ "1.5", "1500m" },
		{ "0.5", "500m" },
		{ "100m", "100m" },
		{ "1000m", "1" },
		{ "1e3", "1e3" },
		{ "1E3", "1e3" },
		{ "12e6", "12e6" },
		{ "1024Mi", "1Gi" },
		{ "1536Mi", "1536Mi" },
		{ "2048Ki", "2Mi" },
		{ "1Ki", "1Ki" },
		{ "0.5Ki", "512" },
		{ "1.5Gi", "1536Mi" },
		{ "500Mi", "500Mi" },
		{ "1000k", "1M" },
		{ "1M", "1M" },
		{ "1500M", "1500M" },
		{ "12345678", "12345678" },
		{ "1000000", "1M" },
		{ "-5", "-5" },
		{ "+5", "5" },
		{ "1n", "1n" },
		{ "0.1n", "1n" },
		{ "1.0000000001", "1000000001n" },
		{ "100E", "100E" },
		{ "1.", "1" },
		{ ".5", "500m" },
		{ "1x", NULL },
		{ "", NULL },
		{ "1 GB", NULL },
		{ "abc", NULL },
		{ "1ee", NULL },
		{ "-", NULL },
		{ "1e", NULL },
		{ "1.1.1", NULL },
		{ "0x1", NULL },
		{ "1Zi", NULL },
		{ "9999E", "9999E" },
		{ "9e27", "9e27" },
		{ "-222.222222222222222222222222222222222222202E", "-222222222222222222222222222223n" },
		{ "222222222222222222222.222222222222222222", "222222222222222222222222222223n" },
		{ "123456789012345678901234567n", "123456789012345678901234567n" },
		{ "0.000000000000000000000000000000000001Ki", "1n" },
		{ "0.00000000000000000000000000000000001E", "1n" },
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct quantity q;
		const char *why = NULL;
		bool good = quantity_parse(str_from(trials[i].text), &q, &why);
		CHECK_EQ(good, trials[i].want != NULL);
		if (good)
			CHECK_STR(quantity_text(arena, &q), trials[i].want);
		else
			CHECK(why != NULL);
	}
	arena_free(arena);
}

TEST(quantity_arithmetic)
{
	struct arena *arena = arena_new();
	struct quantity sum = { 0 }, q;

	CHECK(quantity_parse(STR("250m"), &q, NULL));
	quantity_add(&sum, &q);
	quantity_add(&sum, &q);
	CHECK_EQ(quantity_milli(&sum), 500);
	CHECK_EQ(quantity_value(&sum), 1);
	CHECK(!quantity_whole(&sum));
	quantity_sub(&sum, &(struct quantity){ quantity_from(1, QUANTITY_DECIMAL).nano, QUANTITY_DECIMAL });
	CHECK_STR(quantity_text(arena, &sum), "-500m");
	CHECK_EQ(quantity_value(&sum), -1);
	CHECK_EQ(quantity_sign(&sum), -1);
	CHECK(quantity_cmp(&sum, &q) < 0);
	q = quantity_of(NULL);
	CHECK_EQ(quantity_sign(&q), 0);
	arena_free(arena);
}
