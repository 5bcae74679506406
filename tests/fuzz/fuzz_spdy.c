/* Frames of a SPDY client, after the handshake: however they are cut, the same streams open, hear the same and end. */
#include "http/spdy.h"

#include "loop/loop.h"
#include "tests/fuzz/talk.h"

#define STREAMS_MOST 300
#define TALK_SECONDS 60 /* of virtual time */

struct heard {
	struct visit *visit;
	struct stream *stream;
	struct buf seen;
};

struct visit {
	struct str input;
	size_t piece;
	struct spdy *spdy;
	struct heard streams[STREAMS_MOST];
	size_t n;
	bool closed;
	struct buf result;
};

static void on_read(void *arg, struct str data)
{
	struct heard *heard = arg;

	buf_add(&heard->seen, data);
	stream_write(heard->stream, data);
}

/* A reset right behind an end is seen only by who has not heard of the end yet, so how it ends is not compared. */
static void over(struct heard *heard)
{
	buf_add(&heard->seen, STR(" over"));
	stream_finish(heard->stream);
	heard->stream = NULL;
}

static void on_ended(void *arg)
{
	over(arg);
}

static void on_failed(void *arg, struct error *err)
{
	error_free(err);
	over(arg);
}

static const struct stream_events stream_events = { on_read, on_ended, on_failed, NULL };

static void opened(void *arg, struct stream *stream, const struct http_headers *headers)
{
	struct visit *visit = arg;
	struct heard *heard = &visit->streams[visit->n];

	if (visit->n == STREAMS_MOST) {
		stream_close(stream);
		return;
	}
	visit->n++;
	*heard = (struct heard){ .visit = visit, .stream = stream };
	FUZZ_CHECK(headers->n <= LIMIT_HEADER_COUNT);
	for (size_t i = 0; i < headers->n; i++) {
		buf_add(&heard->seen, headers->ptr[i].name);
		buf_add(&heard->seen, headers->ptr[i].value);
	}
	stream_start(stream, &stream_events, heard);
}

static void closed(void *arg)
{
	((struct visit *)arg)->closed = true;
}

static const struct spdy_events spdy_events = { opened, closed };

static bool is_closed(void *arg)
{
	return ((struct visit *)arg)->closed;
}

static void run(struct visit *visit)
{
	struct speaker speaker = { .rest = visit->input, .piece = visit->piece };
	struct stream *ours, *theirs;

	loop_init();
	loop_sim(1, INT64_C(1767225600) * NS_PER_S);
	stream_pair(&ours, &theirs);
	visit->spdy = spdy_over(ours);
	spdy_start(visit->spdy, &spdy_events, visit);
	speaker_start(&speaker, theirs);
	loop_run_until(is_closed, visit, TALK_SECONDS * NS_PER_S);
	FUZZ_CHECK(visit->closed); /* what speaks no more is gone */
	loop_run_for(NS_PER_S);
	for (size_t i = 0; i < visit->n; i++) {
		FUZZ_CHECK(visit->streams[i].stream == NULL); /* each hears how it ends */
		buf_printf(&visit->result, "stream %zu: ", i);
		buf_add(&visit->result, buf_str(&visit->streams[i].seen));
		buf_fini(&visit->streams[i].seen);
	}
	loop_call_cancel(&speaker.say);
	stream_close(theirs);
	loop_fini();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct visit whole, pieces;

	whole = (struct visit){ .input = fuzz_str(data, size) };
	pieces = (struct visit){ .input = fuzz_str(data, size), .piece = 1 + size / 64 };
	run(&whole);
	run(&pieces);
	if (whole.n < LIMIT_STREAMS) /* when one too many comes depends on whether another has gone by then */
		FUZZ_SAME(buf_str(&pieces.result), buf_str(&whole.result));
	buf_fini(&whole.result);
	buf_fini(&pieces.result);
	return 0;
}
