/* monokube server: the cluster in the foreground. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cluster.h"
#include "cmd/cmd.h"
#include "cmd/ui.h"

static struct error *parse_listen(struct arena *arena, const char *text, const char **host, uint16_t *port)
{
	struct str whole = str_from(text);
	ptrdiff_t colon = str_rfind(whole, ':');
	struct ip ip;
	uint64_t n;

	if (colon < 0 || !str_to_u64(str_skip(whole, (size_t)colon + 1), &n) || n > 65535 ||
	    !ip_parse(str_head(whole, (size_t)colon), &ip))
		return error_advise(error_new(ERR_USAGE, "--listen takes ADDRESS:PORT, not '%s'", text),
				    "For example: --listen 127.0.0.1:6443");
	*host = str_cstr(arena, str_head(whole, (size_t)colon));
	*port = (uint16_t)n;
	return NULL;
}

static struct error *program_path(struct arena *arena, const char **out)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return error_errno(errno, "find our own program");
	*out = arena_copy(arena, path, (size_t)n);
	return NULL;
}

static struct error *run(struct args *args)
{
	struct cluster_options options = { .dir = flag_text(args, "data"), .name = args->profile, .slot = -1 };
	struct error *err;
	int64_t nodes = flag_number(args, "nodes");

	ui_open("server", args->json, args->quiet, 0);
	if (options.dir == NULL)
		return error_advise(error_new(ERR_USAGE, "--data is missing"),
				    "Name a directory for the cluster's state: --data DIR");
	if (nodes > LIMIT_NODES)
		return error_advise(error_new(ERR_USAGE, "--nodes is %lld, the most is %d", (long long)nodes, LIMIT_NODES),
				    "Use fewer nodes.");
	err = parse_listen(args->arena, flag_text(args, "listen"), &options.listen, &options.port);
	if (err == NULL)
		err = program_path(args->arena, &options.program);
	if (err != NULL)
		return err;
	options.api_only = flag_switch(args, "api-only");
	options.nodes = options.api_only ? 0 : (int)nodes;
	if (options.nodes != 0 || flag_text(args, "slot") != NULL)
		options.slot = (int)flag_number(args, "slot");
	options.write_kubeconfig = flag_text(args, "write-kubeconfig");
	options.image_dir = flag_text(args, "images");
	if (options.image_dir == NULL)
		options.image_dir = arena_printf(args->arena, "%s/images", options.dir);
	options.ready_fd = flag_text(args, "ready-fd") != NULL ? (int)flag_number(args, "ready-fd") : -1;
	log_open(STDERR_FILENO, args->verbose ? LOG_DEBUG : LOG_INFO);
	return cluster_run(&options);
}

const struct command server_command = {
	.name = "server",
	.operands = "",
	.summary = "Runs a cluster in the foreground",
	.run = run,
	.flags = {
		{ "data", 0, FLAG_TEXT, NULL, "directory of the cluster's state" },
		{ "listen", 0, FLAG_TEXT, "127.0.0.1:6443", "address and port of the API server" },
		{ "nodes", 'n', FLAG_NUMBER, "1", "local nodes; 0: API server and controllers only" },
		{ "api-only", 0, FLAG_SWITCH, NULL, "nothing but the API server, for tests of other people's controllers" },
		{ "slot", 0, FLAG_NUMBER, NULL, "which network: 192.168.(49+N).0/24" },
		{ "write-kubeconfig", 0, FLAG_TEXT, NULL, "where to put a kubeconfig" },
		{ "images", 0, FLAG_TEXT, NULL, "image store (default: DATA/images)" },
		{ "ready-fd", 0, FLAG_NUMBER, NULL, "descriptor that gets a line when the cluster answers" },
		{ NULL, 0, FLAG_TEXT, NULL, NULL },
	},
};
