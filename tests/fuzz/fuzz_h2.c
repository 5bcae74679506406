/* HTTP/2 frame by frame. Input: for each frame a byte of type, flags, stream and length, then its payload. Preface and SETTINGS
 * come before it. */
#include "tests/fuzz/talk.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void frame(struct buf *out, unsigned type, unsigned flags, unsigned stream, struct str payload)
{
	char head[9] = { (char)(payload.len >> 16),
			 (char)(payload.len >> 8),
			 (char)payload.len,
			 (char)type,
			 (char)flags,
			 0,
			 0,
			 0,
			 (char)stream };

	buf_append(out, head, sizeof(head));
	buf_add(out, payload);
}

static void frames(struct buf *out, struct str in)
{
	buf_add(out, STR(PREFACE));
	frame(out, 4, 0, 0, STR(""));
	while (in.len >= 4) {
		const unsigned char *head = (const unsigned char *)in.ptr;
		struct str payload = str_head(str_skip(in, 4), head[3]);

		frame(out, head[0] % 12, head[1], head[2] % 16, payload);
		in = str_skip(in, 4 + payload.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf bytes = { 0 };
	struct talk whole = { 0 }, pieces = { 0 };

	frames(&bytes, fuzz_str(data, size));
	whole.input = pieces.input = buf_str(&bytes);
	pieces.piece = 1 + bytes.len / 32;
	talk_run(&whole);
	talk_run(&pieces);
	FUZZ_CHECK(whole.answer.len < 100 * bytes.len + 4096 && pieces.answer.len < 100 * bytes.len + 4096);
	talk_fini(&whole);
	talk_fini(&pieces);
	return 0;
}
