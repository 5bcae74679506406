/*
 * A WebSocket as byte streams: all its messages are one stream (a tunnel), or the first byte of each names one of several. For
 * those there is no half close: who ends one side ends both. The WebSocket closes when the last of the streams does; when the
 * client leaves they fail. What one does not read is kept up to LIMIT_STREAM_BUFFER, then all wait.
 *
 *	err = websocket_accept(request, protocol, &ws);
 *	websocket_streams(ws, 2, streams);          // takes the WebSocket; not started before
 */
#ifndef HTTP_WEBSOCKET_STREAMS_H
#define HTTP_WEBSOCKET_STREAMS_H

#include "http/websocket.h"

/* n 0: one stream of all messages, in out[0]. Else at most 255. */
void websocket_streams(struct websocket *ws, size_t n, struct stream **out);

#endif
