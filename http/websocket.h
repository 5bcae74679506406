/*
 * The server's side of a WebSocket (RFC 6455): messages over a stream that was upgraded, with backpressure.
 *
 * A handler chooses a subprotocol, accepts, and starts; from then on the websocket is the caller's until it calls
 * websocket_close(), or until closed() came, after which it is gone. Pings are answered, fragments joined, frames larger than
 * WEBSOCKET_MESSAGE refused. Loop thread only; no callback comes from inside a call.
 *
 *	const char *protocol = websocket_choose(request, ours);
 *	if (protocol == NULL) …                                 // answer 400 or 403: clients then fall back
 *	err = websocket_accept(request, protocol, &ws);         // ends the request
 *	websocket_start(ws, &events, self);
 *	websocket_send(ws, STR("\x01"), data);                  // one binary message made of two parts
 */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "http/http.h"

#define WEBSOCKET_MESSAGE (1024 * 1024)

struct websocket;

bool websocket_wanted(const struct http_request *request);
/* The first subprotocol that the client offers and that is in the list (NULL-terminated); NULL when none is. */
const char *websocket_choose(const struct http_request *request, const char *const *ours);
/* Answers 101. protocol NULL or "": none is named. On error the request is not ended. */
struct error *websocket_accept(struct http_request *request, const char *protocol, struct websocket **out) MUST_CHECK;

struct websocket_events {
	void (*message)(void *arg, struct str data, bool binary); /* whole; borrowed */
	void (*closed)(void *arg);                                /* the other side is gone; the websocket is freed after it */
	void (*drained)(void *arg);                               /* no longer full; may be NULL */
};

void websocket_start(struct websocket *ws, const struct websocket_events *events, void *arg);
void websocket_send(struct websocket *ws, struct str head, struct str data); /* binary */
void websocket_send_text(struct websocket *ws, struct str data);
bool websocket_full(const struct websocket *ws); /* stop sending until drained() */
void websocket_pause(struct websocket *ws);      /* no messages for now */
void websocket_resume(struct websocket *ws);
/* Sends what is pending and a close frame (1000: done), then ends the connection; closed() does not come. */
void websocket_close(struct websocket *ws, uint16_t code, struct str reason);

#endif
