/* The built-in application: a page that says which pod, node and version answered. Runs as the image monokube/hello. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "http/http.h"
#include "loop/loop.h"

static char host[256];

static void handle(void *arg, struct http_request *request)
{
	static const struct http_header headers[] = { { STR_INIT("content-type"), STR_INIT("text/plain; charset=utf-8") } };
	const char *node = getenv("NODE_NAME"), *version = getenv("VERSION");
	AUTO_BUF struct buf out = { 0 };

	(void)arg;
	if (str_is(request->path, "/healthz")) {
		http_reply_text(request, 200, STR("ok\n"));
		return;
	}
	buf_printf(&out, "Hello from pod %s", host);
	if (node != NULL)
		buf_printf(&out, " on node %s", node);
	buf_printf(&out, ", monokube %s%s%s\n", MONOKUBE_VERSION, version != NULL ? ", version " : "",
		   version != NULL ? version : "");
	http_reply(request, 200, (struct http_headers){ headers, 1 }, buf_str(&out));
	printf("%s %.*s from %s\n", "GET", STR_ARG(request->path), request->peer->address);
	fflush(stdout);
}

static void stopped(void *arg)
{
	(void)arg;
	loop_stop();
}

/* Asked to end, it goes on answering for a moment: proxies may still send somebody here who has not heard of it. */
#define LAME_DUCK (NS_PER_S)

static void close_server(void *arg)
{
	http_server_close(arg, 5 * NS_PER_S, stopped, NULL);
}

static void on_term(void *arg, int signal)
{
	static struct loop_timer timer;

	(void)signal;
	loop_timer_start(&timer, LAME_DUCK, close_server, arg);
}

static struct error *run(struct args *args)
{
	struct http_server *server;
	struct error *err;
	const char *port = getenv("PORT");
	int64_t number = flag_number(args, "port");

	if (port != NULL)
		str_to_i64(str_from(port), &number);
	gethostname(host, sizeof(host) - 1);
	signal(SIGPIPE, SIG_IGN);
	loop_init();
	server = http_server_new(&(struct http_server_options){ .handle = handle });
	err = http_server_listen(server, &(struct stream_address){ .host = "0.0.0.0", .port = (uint16_t)number }, NULL);
	if (err != NULL)
		return err;
	printf("listening on port %lld\n", (long long)number);
	fflush(stdout);
	loop_signal(SIGTERM, on_term, server);
	loop_signal(SIGINT, on_term, server);
	loop_run();
	return NULL;
}

const struct command hello_command = { .name = "hello",
				       .operands = "",
				       .summary = "The built-in application",
				       .run = run,
				       .hidden = true,
				       .flags = { { "port", 0, FLAG_NUMBER, "8080", "port to listen on" },
						  { NULL, 0, FLAG_TEXT, NULL, NULL } } };
