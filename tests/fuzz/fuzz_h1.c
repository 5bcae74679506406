/* HTTP/1.1 as it comes: however it is cut into pieces, handlers see the same requests. */
#include "tests/fuzz/talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct talk whole = { .input = fuzz_str(data, size) }, pieces = { .input = fuzz_str(data, size) };

	pieces.piece = 1 + size / 64;
	talk_run(&whole);
	talk_run(&pieces);
	FUZZ_SAME(buf_str(&pieces.seen), buf_str(&whole.seen));
	/* Also with the second HTTP version's preface as the first bytes, which then is no HTTP/1. */
	FUZZ_CHECK(whole.answer.len < 20 * size + 4096);
	talk_fini(&whole);
	talk_fini(&pieces);
	return 0;
}
