/* WebSocket frames of a client, after the handshake: however they are cut, the same messages come. */
#include "tests/fuzz/talk.h"

#define HANDSHAKE                                                                                                                  \
	"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct talk whole = { .websockets = true }, pieces = { .websockets = true };
	AUTO_BUF struct buf bytes = { 0 };

	buf_add(&bytes, STR(HANDSHAKE));
	buf_append(&bytes, data, size);
	whole.input = pieces.input = buf_str(&bytes);
	pieces.piece = 1 + bytes.len / 64;
	talk_run(&whole);
	talk_run(&pieces);
	FUZZ_CHECK(str_contains(buf_str(&whole.seen), STR("GET /ws")));
	FUZZ_SAME(buf_str(&pieces.seen), buf_str(&whole.seen));
	talk_fini(&whole);
	talk_fini(&pieces);
	return 0;
}
