/* The node protocol: bodies of all requests, replies and records by their tables, and frames with their headers. Input: a
 * byte that chooses the table, then a body; the whole is also read as what came on a connection. */
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/conn.h"
#include "runtime/node.h"
#include "tests/fuzz/fuzz.h"

static const struct wire_struct *const tables[] = {
#define NODE_OP(number, id, name, request, reply, fds) &wire_##request, &wire_##reply,
#include "runtime/node_ops.def"
#undef NODE_OP
	&wire_node_exec_exit,
	&wire_node_error,
	&wire_node_container_record,
	&wire_node_sandbox_record,
};

static void check_body(struct arena *arena, const struct wire_struct *type, struct str body)
{
	void *first = arena_alloc(arena, type->size), *second = arena_alloc(arena, type->size),
	     *copy = arena_alloc(arena, type->size);
	AUTO_BUF struct buf out = { 0 }, again = { 0 }, copied = { 0 };
	AUTO_ERROR err = wire_decode(arena, type, body, first);

	if (err != NULL) {
		FUZZ_CHECK(err->kind == ERR_BAD_REQUEST);
		return;
	}
	wire_encode(&out, type, first);
	FUZZ_OK(wire_decode(arena, type, buf_str(&out), second));
	wire_encode(&again, type, second);
	FUZZ_SAME(buf_str(&again), buf_str(&out));
	wire_copy(arena, type, first, copy);
	wire_encode(&copied, type, copy);
	FUZZ_SAME(buf_str(&copied), buf_str(&out));
}

/* All that arrives, as frames, until it ends or makes no sense. */
static void check_frames(struct str in)
{
	struct conn_frame frame = { 0 };
	struct error *err = NULL;
	bool open = true, got = true;
	int fds[2];
	struct conn conn;

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	wire_conn_init(&conn, fds[0]);
	FUZZ_CHECK(write(fds[1], in.ptr, in.len) == (ssize_t)in.len);
	close(fds[1]);
	while (err == NULL && open) {
		err = wire_conn_read(&conn, &open);
		got = true;
		while (err == NULL && got) {
			err = wire_conn_next(&conn, &frame, &got);
			FUZZ_CHECK(err != NULL || !got || (frame.header.length == frame.body.len && frame.header.n_fds == 0));
		}
	}
	error_free(err);
	wire_conn_fini(&conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	struct arena *arena = arena_new();
	unsigned choice;

	if (size > 0 && size < 60000)
		check_frames(in);
	choice = fuzz_choice(&in, sizeof(tables) / sizeof(tables[0]));
	check_body(arena, tables[choice], in);
	FUZZ_CHECK(arena_size(arena) < 1000000 + 1000 * size);
	arena_free(arena);
	return 0;
}
