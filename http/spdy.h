/*
 * The server's side of SPDY/3.1 over a connection that was upgraded, as kubectl's and client-go's remote commands and
 * port-forwards use it: the client opens streams, each of which is a struct stream here. Not the protocol of browsers: there
 * are no windows (clients of Kubernetes keep none), so one slow stream makes the others of its connection wait.
 *
 * spdy_accept() gives a connection that is the caller's until it calls spdy_close(), or until closed() came. Streams are their
 * takers' and may outlive it; they fail when the connection is gone. Loop thread only; no callback comes from inside a call.
 *
 *	err = spdy_accept(request, "v4.channel.k8s.io", &spdy);     // ends the request
 *	spdy_start(spdy, &events, self);
 *	static void opened(void *arg, struct stream *stream, const struct http_headers *headers)
 *	{
 *		if (str_is(http_header(headers, "streamtype"), "stdin"))
 *			stream_start(stream, &stdin_events, self);
 *		else
 *			stream_close(stream);                       // the client hears that it is not wanted
 *	}
 */
#ifndef HTTP_SPDY_H
#define HTTP_SPDY_H

#include "http/http.h"

struct spdy;

bool spdy_wanted(const struct http_request *request);
/* The first of the client's X-Stream-Protocol-Version that is in the list (NULL-terminated); NULL when none is. */
const char *spdy_choose(const struct http_request *request, const char *const *ours);
/* Answers 101 and names the protocol. On error the request is not ended. */
struct error *spdy_accept(struct http_request *request, const char *protocol, struct spdy **out) MUST_CHECK;
/* The same over a stream of the caller's, which it takes: a tunnel. */
struct spdy *spdy_over(struct stream *stream);

struct spdy_events {
	/* The handler takes the stream, or closes it; headers have lower-case names and are borrowed for the call. */
	void (*opened)(void *arg, struct stream *stream, const struct http_headers *headers);
	void (*closed)(void *arg); /* the client is gone */
};

void spdy_start(struct spdy *spdy, const struct spdy_events *events, void *arg);
/* Sends what is pending, then ends the connection; closed() does not come. */
void spdy_close(struct spdy *spdy);

#endif
