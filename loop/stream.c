#include "loop/private.h"

void stream_start(struct stream *stream, const struct stream_events *events, void *arg)
{
	ASSERT_ON_LOOP();
	ASSERT(stream->events == NULL && events != NULL);
	stream->events = events;
	stream->arg = arg;
	stream->paused = false;
	stream->ops->reading(stream, true);
}

void stream_hand_over(struct stream *stream, const struct stream_events *events, void *arg)
{
	ASSERT_ON_LOOP();
	stream->events = events;
	stream->arg = arg;
}

void stream_pause(struct stream *stream)
{
	ASSERT_ON_LOOP();
	if (stream->paused)
		return;
	stream->paused = true;
	stream->ops->reading(stream, false);
}

void stream_resume(struct stream *stream)
{
	ASSERT_ON_LOOP();
	if (!stream->paused)
		return;
	stream->paused = false;
	stream->ops->reading(stream, true);
}

void stream_write(struct stream *stream, struct str data)
{
	ASSERT_ON_LOOP();
	if (data.len > 0)
		stream->ops->write(stream, data, NULL);
}

void stream_write_bytes(struct stream *stream, struct bytes *bytes)
{
	stream_write_part(stream, bytes, bytes_str(bytes));
}

void stream_write_part(struct stream *stream, struct bytes *bytes, struct str part)
{
	ASSERT_ON_LOOP();
	if (part.len > 0)
		stream->ops->write(stream, part, bytes);
}

size_t stream_pending(const struct stream *stream)
{
	return stream->ops->pending(stream);
}

void stream_end(struct stream *stream)
{
	ASSERT_ON_LOOP();
	stream->ops->end(stream);
}

static void close_with(struct stream *stream, bool finish)
{
	ASSERT_ON_LOOP();
	stream->events = NULL;
	stream->ops->close(stream, finish);
}

void stream_close(struct stream *stream)
{
	if (stream != NULL)
		close_with(stream, false);
}

void stream_finish(struct stream *stream)
{
	close_with(stream, true);
}

const char *stream_peer(const struct stream *stream)
{
	return stream->ops->peer(stream);
}

void stream_emit_read(struct stream *stream, struct str data)
{
	if (stream->events != NULL && data.len > 0)
		stream->events->read(stream->arg, data);
}

void stream_emit_ended(struct stream *stream)
{
	if (stream->events != NULL)
		stream->events->ended(stream->arg);
}

void stream_emit_failed(struct stream *stream, struct error *err)
{
	if (stream->events != NULL)
		stream->events->failed(stream->arg, err);
	else
		error_free(err);
}

void stream_emit_drained(struct stream *stream)
{
	if (stream->events != NULL && stream->events->drained != NULL)
		stream->events->drained(stream->arg);
}
