/* SPDY/3.1, against bytes that another implementation made (zlib with the dictionary of the specification, by Python). */
#include "http/spdy.h"

#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "tests/unit/tap.h"

#define BYTES(text) str_of(text, sizeof(text) - 1)

/* streamtype: error, port: 80; the client ends its half at once. Then streamtype: data, port: 80, requestid: 0. */
#define OPEN_1                                                                                                                     \
	BYTES("\x80\x03\x00\x01\x01\x00\x00\x30\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x78\xbb\xe3\xc6\xa7\xc2\x02\xe5\x0e\x70"   \
	      "\x3a\x2b\x29\x4a\x4d\xcc\x85\x16\x25\xac\xa9\xa0\x80\x86\x14\xcb\x45\xa0\x24\xcc\x64\x61\x00\x00\x00\x00\xff\xff")
#define OPEN_3                                                                                                                     \
	BYTES("\x80\x03\x00\x01\x00\x00\x00\x24\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x02\xa5\x4e\x0c\x85\xa0\x32\x27\x11\x43"   \
	      "\x1d\x67\x11\x24\xb2\x33\x41\x99\x80\xd1\x00\x00\x00\x00\xff\xff")
#define DATA_3     BYTES("\x00\x00\x00\x03\x00\x00\x00\x05hello")
#define DATA_3_FIN BYTES("\x00\x00\x00\x03\x01\x00\x00\x04 you")
#define RESET_3    BYTES("\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x03\x00\x00\x00\x05")
#define PING_7     BYTES("\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07")
#define EVEN       BYTES("\x80\x03\x00\x01\x00\x00\x00\x0a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00")
#define VERSION_2  BYTES("\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07")
#define NO_ZLIB    BYTES("\x80\x03\x00\x01\x00\x00\x00\x0e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00oops")
#define TOO_LONG   BYTES("\x80\x03\x00\x08\x00\xff\xff\xff")

struct talk {
	struct spdy *spdy;
	struct stream *client;
	struct buf heard; /* by the client */
	struct buf told;  /* what happened here */
	struct stream *streams[4];
	size_t n;
	bool echo, client_over, hold;
};

static void on_read(void *arg, struct str data)
{
	struct talk *talk = arg;

	buf_printf(&talk->told, "<%.*s>", STR_ARG(data));
	if (talk->echo)
		stream_write(talk->streams[talk->n - 1], data);
}

static void on_ended(void *arg)
{
	struct talk *talk = arg;

	buf_printf(&talk->told, "ended ");
}

static void on_failed(void *arg, struct error *err)
{
	struct talk *talk = arg;

	error_free(err);
	buf_printf(&talk->told, "failed ");
}

static const struct stream_events stream_events = { on_read, on_ended, on_failed, NULL };

static void opened(void *arg, struct stream *stream, const struct http_headers *headers)
{
	struct talk *talk = arg;

	for (size_t i = 0; i < headers->n; i++)
		buf_printf(&talk->told, "%.*s=%.*s ", STR_ARG(headers->ptr[i].name), STR_ARG(headers->ptr[i].value));
	CHECK(talk->n < 4);
	talk->streams[talk->n++] = stream;
	stream_start(stream, &stream_events, talk);
	if (talk->hold)
		stream_pause(stream);
}

static void closed(void *arg)
{
	struct talk *talk = arg;

	talk->spdy = NULL;
	buf_printf(&talk->told, "closed ");
}

static const struct spdy_events spdy_events = { opened, closed };

static void client_read(void *arg, struct str data)
{
	struct talk *talk = arg;

	buf_add(&talk->heard, data);
}

static void client_ended(void *arg)
{
	struct talk *talk = arg;

	talk->client_over = true;
}

static void client_failed(void *arg, struct error *err)
{
	error_free(err);
	client_ended(arg);
}

static const struct stream_events client_events = { client_read, client_ended, client_failed, NULL };

static void talk_open(struct talk *talk)
{
	struct stream *ours;

	loop_init();
	loop_sim(1, INT64_C(1767225600) * NS_PER_S);
	stream_pair(&ours, &talk->client);
	talk->spdy = spdy_over(ours);
	spdy_start(talk->spdy, &spdy_events, talk);
	stream_start(talk->client, &client_events, talk);
}

static void send(struct talk *talk, struct str bytes)
{
	stream_write(talk->client, bytes);
	loop_run_for(NS_PER_MS);
}

static void talk_close(struct talk *talk)
{
	for (size_t i = 0; i < talk->n; i++)
		stream_close(talk->streams[i]);
	if (talk->spdy != NULL)
		spdy_close(talk->spdy);
	loop_run_for(NS_PER_MS);
	stream_close(talk->client);
	loop_run_for(NS_PER_MS);
	buf_fini(&talk->heard);
	buf_fini(&talk->told);
	loop_fini();
}

TEST(spdy_streams_open_talk_and_end)
{
	struct talk talk = { .echo = true };

	talk_open(&talk);
	send(&talk, OPEN_1);
	CHECK_STR(buf_str(&talk.told), "streamtype=error port=80 ended ");
	buf_clear(&talk.told);
	send(&talk, OPEN_3);
	CHECK_STR(buf_str(&talk.told), "streamtype=data port=80 requestid=0 ");
	/* Each was answered: SYN_REPLY of stream 1, whose block names the dictionary. */
	CHECK(str_has_prefix(buf_str(&talk.heard), BYTES("\x80\x03\x00\x02\x00\x00\x00")));
	CHECK(str_contains(buf_str(&talk.heard), BYTES("\xe3\xc6\xa7\xc2")));
	buf_clear(&talk.heard);
	buf_clear(&talk.told);
	send(&talk, DATA_3);
	CHECK_STR(buf_str(&talk.told), "<hello>");
	CHECK_STR(buf_str(&talk.heard), DATA_3);
	send(&talk, DATA_3_FIN);
	CHECK_STR(buf_str(&talk.told), "<hello>< you>ended ");
	buf_clear(&talk.heard);
	stream_finish(talk.streams[1]);
	talk.n = 1;
	loop_run_for(NS_PER_MS);
	CHECK_STR(buf_str(&talk.heard), BYTES("\x00\x00\x00\x03\x01\x00\x00\x00"));
	talk_close(&talk);
}

TEST(spdy_frames_may_be_cut_anywhere)
{
	struct talk talk = { .hold = true };
	const struct str all[] = { OPEN_1, OPEN_3, DATA_3, PING_7, DATA_3_FIN };

	talk_open(&talk);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (size_t at = 0; at < all[i].len; at++)
			send(&talk, str_of(all[i].ptr + at, 1));
	CHECK_STR(buf_str(&talk.told), "streamtype=error port=80 streamtype=data port=80 requestid=0 ");
	CHECK(str_has_suffix(buf_str(&talk.heard), PING_7)); /* a ping comes back as it is */
	buf_clear(&talk.told);
	stream_resume(talk.streams[1]);
	loop_run_for(NS_PER_MS);
	CHECK_STR(buf_str(&talk.told), "<hello you>ended ");
	talk_close(&talk);
}

TEST(spdy_a_stream_that_does_not_read_costs_a_bounded_buffer)
{
	struct talk talk = { .hold = true };
	char frame[8 + 32768] = "\x00\x00\x00\x03\x00\x00\x80";
	size_t sent = 0;

	memset(frame + 8, 'x', sizeof(frame) - 8);
	talk_open(&talk);
	send(&talk, OPEN_1);
	send(&talk, OPEN_3);
	while (stream_pending(talk.client) < STREAM_HIGH && sent < 100 * sizeof(frame)) {
		send(&talk, str_of(frame, sizeof(frame)));
		sent += sizeof(frame);
	}
	CHECK(sent < LIMIT_STREAM_BUFFER + STREAM_HIGH * 4);
	buf_clear(&talk.told);
	stream_resume(talk.streams[1]);
	loop_run_for(NS_PER_MS);
	CHECK_EQ(stream_pending(talk.client), 0);
	CHECK(talk.told.len > sent - sent / sizeof(frame) * 8);
	talk_close(&talk);
}

TEST(spdy_a_reset_fails_the_stream_and_no_other)
{
	struct talk talk = { 0 };

	talk_open(&talk);
	send(&talk, OPEN_1);
	send(&talk, OPEN_3);
	buf_clear(&talk.told);
	send(&talk, RESET_3);
	CHECK_STR(buf_str(&talk.told), "failed ");
	CHECK(talk.spdy != NULL);
	talk_close(&talk);
}

TEST(spdy_a_client_that_leaves_fails_its_streams)
{
	struct talk talk = { 0 };

	talk_open(&talk);
	send(&talk, OPEN_1);
	send(&talk, OPEN_3);
	buf_clear(&talk.told);
	stream_end(talk.client);
	loop_run_for(NS_PER_MS);
	CHECK_STR(buf_str(&talk.told), "closed failed "); /* the first had ended already */
	stream_write(talk.streams[1], STR("nobody hears"));
	talk_close(&talk);
}

TEST(spdy_what_is_broken_ends_the_connection)
{
	const struct str broken[] = { EVEN, VERSION_2, NO_ZLIB, TOO_LONG, OPEN_3 };

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct talk talk = { 0 };

		talk_open(&talk);
		send(&talk, broken[i]); /* the last one needs what the first stream told the unpacker */
		CHECK_STR(buf_str(&talk.told), "closed ");
		CHECK(talk.client_over);
		talk_close(&talk);
	}
}
