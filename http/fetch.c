/* A call whose answer is wanted as a whole. */
#include <stdlib.h>

#include "http/http.h"

struct http_fetch {
	struct http_call *call;
	struct buf body;
	size_t limit;
	struct http_response response; /* headers lie in the call's arena, which lives until after done */
	void (*fetched)(void *arg, struct error *err, const struct http_response *response, struct str body);
	void *arg;
};

static void fetch_done(void *arg, struct error *err)
{
	struct http_fetch *fetch = arg;

	fetch->fetched(fetch->arg, err, err == NULL ? &fetch->response : NULL, buf_str(&fetch->body));
	buf_fini(&fetch->body);
	free(fetch);
}

static void fetch_responded(void *arg, struct http_call *call, const struct http_response *response)
{
	struct http_fetch *fetch = arg;

	(void)call;
	fetch->response = *response;
}

static void fetch_data(void *arg, struct str data)
{
	struct http_fetch *fetch = arg;

	buf_add(&fetch->body, data);
	if (fetch->body.len > fetch->limit) {
		http_call_cancel(fetch->call);
		fetch_done(fetch, error_new(ERR_TOO_LARGE, "the answer is longer than %zu bytes", fetch->limit));
	}
}

struct http_fetch *http_fetch(struct http_client *client, const struct http_fetch_options *options)
{
	struct http_fetch *fetch = xcalloc(1, sizeof(*fetch));
	struct http_call_options call = options->call;

	fetch->limit = options->limit != 0 ? options->limit : LIMIT_BODY;
	fetch->fetched = options->fetched;
	fetch->arg = options->arg;
	call.responded = fetch_responded;
	call.data = fetch_data;
	call.drained = NULL;
	call.upgraded = NULL;
	call.done = fetch_done;
	call.arg = fetch;
	fetch->call = http_call(client, &call);
	return fetch;
}

void http_fetch_cancel(struct http_fetch *fetch)
{
	http_call_cancel(fetch->call);
	buf_fini(&fetch->body);
	free(fetch);
}
