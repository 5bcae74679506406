/*
 * Clients for benches, over TLS as any other client:
 *
 *	load KUBECONFIG get PATH EVERY_US SECONDS    reads it at a steady rate, until SIGTERM at the latest; a reading that is late
 *	                                             counts from when it was due
 *	load KUBECONFIG list PATH TIMES              one after the other
 *	load KUBECONFIG watch PATH N SECONDS         so many watchers, a connection each, begun at once
 *	load KUBECONFIG nodes N PODS                 scripted kubelets: makes Nodes with Leases, says Running of what is bound to
 *	                                             them, and ends when so many pods run
 *	load KUBECONFIG make FILE N                  POSTs the object N times, %d its number, 16 at a time
 *
 * FILE's first line is the path. Prints one line of figures.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client.h"
#include "client/remote.h"

static struct http_tls *tls;
static struct stream_address server;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

static void must(struct error *err)
{
	if (err != NULL)
		die(err->text);
}

static struct str slurp(struct arena *arena, const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	text = arena_raw(arena, (size_t)st.st_size + 1);
	if (read(fd, text, (size_t)st.st_size) != st.st_size)
		die(path);
	text[st.st_size] = '\0';
	return str_of(text, (size_t)st.st_size);
}

/* --- the kubeconfig that a server wrote: one cluster, one user --- */

static const char *value_of(struct arena *arena, struct str config, const char *name)
{
	struct str line;

	while (str_cut(&config, '\n', &line)) {
		line = str_trim(line);
		if (str_has_prefix(line, str_from(name)) && line.ptr[strlen(name)] == ':')
			return str_cstr(arena, str_trim(str_skip(line, strlen(name) + 1)));
	}
	die(name);
}

static struct str pem_of(struct arena *arena, struct str config, const char *name)
{
	struct buf out = { 0 };
	struct str pem;

	if (!base64_decode(&out, str_from(value_of(arena, config, name))))
		die(name);
	pem = str_dup(arena, buf_str(&out));
	buf_fini(&out);
	return pem;
}

static void read_config(struct arena *arena, const char *path)
{
	struct str config = slurp(arena, path);
	char *host = (char *)(uintptr_t)value_of(arena, config, "server") + strlen("https://"), *colon = strchr(host, ':');

	if (colon == NULL)
		die("the kubeconfig's server has no port");
	*colon = '\0';
	server = (struct stream_address){ .host = host, .port = (uint16_t)atoi(colon + 1) };
	must(http_tls_client(&(struct http_tls_options){ .ca = pem_of(arena, config, "certificate-authority-data"),
							 .cert = pem_of(arena, config, "client-certificate-data"),
							 .key = pem_of(arena, config, "client-key-data") },
			     &tls));
}

static struct http_client *new_http(unsigned connections)
{
	return http_client_new(&(struct http_client_options){ .address = server, .tls = tls, .connections = connections });
}

/* --- figures --- */

static VEC(int64_t) times;

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static double ms_at(double part)
{
	return (double)times.ptr[(size_t)(part * (double)(times.len - 1))] / 1e6;
}

static void print_times(void)
{
	if (times.len == 0)
		die("nothing was read");
	qsort(times.ptr, times.len, sizeof(int64_t), by_time);
	printf("%zu times: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, most %.2f ms\n", times.len, ms_at(0.5), ms_at(0.99),
	       ms_at(0.999), ms_at(1));
}

/* --- get, list --- */

static struct {
	struct http_client *http;
	struct str path;
	int64_t every, due, end;
	struct loop_timer timer;
	bool ended;
	size_t left; /* list */
} reads;

static void read_once(void *arg);

static void was_read(void *arg, struct error *err, const struct http_response *response, struct str body)
{
	int64_t now = clock_mono();

	(void)arg;
	(void)body;
	if (reads.ended) {
		error_free(err);
		return;
	}
	must(err);
	if (response->status != 200)
		die("the answer is not 200");
	vec_push(&times, now - reads.due);
	reads.due = reads.every != 0 ? reads.due + reads.every : now;
	if (reads.every != 0 ? reads.due >= reads.end : --reads.left == 0)
		loop_stop();
	else
		loop_timer_start(&reads.timer, reads.due > now ? reads.due - now : 0, read_once, NULL);
}

static void read_once(void *arg)
{
	(void)arg;
	http_fetch(reads.http, &(struct http_fetch_options){ .call = { .target = reads.path, .timeout = 60 * NS_PER_S },
							     .limit = 1 << 30,
							     .fetched = was_read });
}

static void on_term(void *arg, int number)
{
	(void)arg;
	(void)number;
	reads.ended = true;
	loop_stop();
}

static void run_reads(const char *path, int64_t every, int64_t seconds, size_t n)
{
	struct loop_signal *stop;

	reads.http = new_http(1);
	reads.path = str_from(path);
	reads.every = every;
	reads.left = n;
	reads.due = clock_mono();
	reads.end = reads.due + seconds * NS_PER_S;
	read_once(NULL);
	stop = loop_signal(SIGTERM, on_term, NULL);
	loop_run();
	loop_signal_close(stop);
	loop_timer_stop(&reads.timer);
	reads.ended = true;
	print_times();
	http_client_free(reads.http);
}

/* --- watch --- */

static size_t got_bytes, n_begun;

static void watch_responded(void *arg, struct http_call *call, const struct http_response *response)
{
	(void)arg;
	(void)call;
	n_begun += response->status == 200;
}

static void watch_data(void *arg, struct str data)
{
	(void)arg;
	got_bytes += data.len;
}

static void watch_done(void *arg, struct error *err)
{
	(void)arg;
	error_free(err);
}

static void run_watches(const char *path, size_t n, int64_t seconds)
{
	struct http_client **all = xcalloc(n, sizeof(struct http_client *));

	for (size_t i = 0; i < n; i++) {
		all[i] = new_http(1);
		http_call(all[i], &(struct http_call_options){ .target = str_from(path),
							       .timeout = 60 * NS_PER_S,
							       .responded = watch_responded,
							       .data = watch_data,
							       .done = watch_done });
	}
	loop_run_for(seconds * NS_PER_S);
	printf("%zu of %zu watches, %zu bytes\n", n_begun, n, got_bytes);
	for (size_t i = 0; i < n; i++)
		http_client_free(all[i]);
	free(all);
}

/* --- scripted kubelets --- */

static struct {
	struct client *client;
	size_t n_nodes, n_pods, running;
	struct loop_timer renew;
	bool synced;
} fake;

static void written(void *arg, struct api_reply *reply)
{
	(void)arg;
	if (reply->err != NULL && reply->err->kind != ERR_CONFLICT && reply->err->kind != ERR_NOT_FOUND)
		die(reply->err->text);
}

static const struct json *read_json(struct arena *arena, const char *text)
{
	const struct json *tree = NULL;

	must(json_read(arena, str_from(text), NULL, &tree));
	return tree;
}

static void write_object(enum verb verb, const char *version, const char *kind, const char *ns, const char *name,
			 const char *subresource, const char *text)
{
	struct arena *arena = arena_new();

	client_call(fake.client, &(struct api_call){ .verb = verb,
						     .kind = kind_must(version, kind),
						     .ns = str_from(ns),
						     .name = str_from(name),
						     .subresource = str_from(subresource),
						     .patch = API_PATCH_STRATEGIC,
						     .body = read_json(arena, text),
						     .timeout = 60 * NS_PER_S,
						     .done = written });
	arena_free(arena);
}

static void make_node(size_t i)
{
	char time[TIME_TEXT];
	AUTO_FREE char *name = xasprintf("node-%zu", i);
	AUTO_FREE char *node = NULL, *lease = NULL;

	time_format(time, clock_now());
	node = xasprintf("{\"metadata\":{\"name\":\"%s\",\"labels\":{\"kubernetes.io/hostname\":\"%s\"}},"
			 "\"status\":{\"allocatable\":{\"cpu\":\"8\",\"memory\":\"16Gi\",\"pods\":\"110\"},"
			 "\"capacity\":{\"cpu\":\"8\",\"memory\":\"16Gi\",\"pods\":\"110\"},\"conditions\":[{\"type\":\"Ready\","
			 "\"status\":\"True\",\"lastHeartbeatTime\":\"%s\",\"lastTransitionTime\":\"%s\"}]}}",
			 name, name, time, time);
	lease = xasprintf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"kube-node-lease\"},\"spec\":{\"holderIdentity\":\"%s\","
			  "\"leaseDurationSeconds\":40,\"renewTime\":\"%.19s.000000Z\"}}",
			  name, name, time);
	write_object(VERB_CREATE, "v1", "Node", "", "", "", node);
	write_object(VERB_CREATE, "coordination.k8s.io/v1", "Lease", "kube-node-lease", "", "", lease);
}

static void renew_all(void *arg)
{
	char time[TIME_TEXT];

	(void)arg;
	time_format(time, clock_now());
	for (size_t i = 0; i < fake.n_nodes; i++) {
		AUTO_FREE char *name = xasprintf("node-%zu", i);
		AUTO_FREE char *patch = xasprintf("{\"spec\":{\"renewTime\":\"%.19s.000000Z\"}}", time);

		write_object(VERB_PATCH, "coordination.k8s.io/v1", "Lease", "kube-node-lease", name, "", patch);
	}
}

/* What is bound and not running yet, runs now; counts what runs. */
static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	const struct json *tree = now != NULL ? object_tree(now) : NULL;
	bool was = old != NULL && str_is(json_path_str(object_tree(old), "status.phase"), "Running");
	bool is = tree != NULL && str_is(json_path_str(tree, "status.phase"), "Running");
	struct arena *arena;
	char time[TIME_TEXT];
	AUTO_FREE char *patch = NULL;

	(void)arg;
	fake.running += (size_t)is - (size_t)was;
	if (fake.running == fake.n_pods)
		loop_stop();
	if (tree == NULL || is || json_path_str(tree, "spec.nodeName").len == 0 ||
	    (old != NULL && json_path_str(object_tree(old), "spec.nodeName").len != 0))
		return;
	time_format(time, clock_now());
	patch = xasprintf("{\"status\":{\"phase\":\"Running\",\"podIP\":\"10.244.%u.%u\",\"startTime\":\"%s\",\"conditions\":["
			  "{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"%s\"},"
			  "{\"type\":\"ContainersReady\",\"status\":\"True\",\"lastTransitionTime\":\"%s\"}]}}",
			  (unsigned)(revision >> 8) & 255, (unsigned)revision & 255, time, time, time);
	arena = arena_new();
	write_object(VERB_PATCH, "v1", "Pod", str_cstr(arena, object_namespace(now)), str_cstr(arena, object_name(now)), "status",
		     patch);
	arena_free(arena);
}

static void run_nodes(size_t nodes, size_t pods)
{
	static const struct informer_events events = { .changed = pod_changed };
	struct http_client *http = new_http(4);
	struct remote *remote = remote_new(http);
	int64_t before;

	fake.client = client_new(remote_transport(remote), "load");
	fake.n_nodes = nodes;
	fake.n_pods = pods;
	for (size_t i = 0; i < nodes; i++)
		make_node(i);
	loop_timer_every(&fake.renew, 10 * NS_PER_S, renew_all, NULL);
	informer_listen(client_informer(fake.client, kind_must("v1", "Pod")), &events, NULL);
	loop_run_for(NS_PER_S);
	printf("ready\n");
	fflush(stdout);
	before = clock_mono();
	loop_run();
	loop_timer_stop(&fake.renew);
	printf("%zu pods run on %zu nodes after %.2f s\n", pods, nodes, (double)(clock_mono() - before) / 1e9);
	client_free(fake.client);
	remote_free(remote);
	http_client_free(http);
}

/* --- make --- */

static struct {
	struct http_client *http;
	struct str path, format;
	size_t next, n, done;
} making;

static void make_next(void);

static void was_made(void *arg, struct error *err, const struct http_response *response, struct str body)
{
	(void)arg;
	must(err);
	if (response->status >= 300 && response->status != 409)
		die(str_cstr(arena_new(), body));
	if (++making.done == making.n)
		loop_stop();
	else if (making.next < making.n)
		make_next();
}

static void make_next(void)
{
	static const struct http_header headers[] = { { { "content-type", 12 }, { "application/json", 16 } } };
	struct str rest = making.format, part;
	AUTO_BUF struct buf body = { 0 };

	while (str_cut(&rest, '%', &part)) {
		buf_add(&body, part);
		if (rest.len != 0 && rest.ptr[0] == 'd') {
			buf_printf(&body, "%zu", making.next);
			rest = str_skip(rest, 1);
		}
	}
	making.next++;
	http_fetch(making.http, &(struct http_fetch_options){ .call = { .method = "POST",
									.target = making.path,
									.headers = { (struct http_header *)(uintptr_t)headers, 1 },
									.body = buf_str(&body),
									.timeout = 60 * NS_PER_S },
							      .limit = 1 << 26,
							      .fetched = was_made });
}

static void run_making(struct arena *arena, const char *file, size_t n)
{
	making.format = slurp(arena, file);
	if (!str_cut(&making.format, '\n', &making.path))
		die("the first line is the path");
	making.n = n;
	making.http = new_http(4);
	for (int i = 0; i < 16 && making.next < n; i++)
		make_next();
	loop_run();
	printf("made %zu\n", n);
	http_client_free(making.http);
}

int main(int argc, char **argv)
{
	struct arena *arena = arena_new();
	const char *what = argc > 2 ? argv[2] : "";

	if (argc < 5)
		die("KUBECONFIG get|list|watch|nodes|make …");
	loop_init();
	read_config(arena, argv[1]);
	if (strcmp(what, "get") == 0 && argc == 6)
		run_reads(argv[3], atoi(argv[4]) * INT64_C(1000), atoi(argv[5]), 0);
	else if (strcmp(what, "list") == 0)
		run_reads(argv[3], 0, 0, (size_t)atoi(argv[4]));
	else if (strcmp(what, "watch") == 0 && argc == 6)
		run_watches(argv[3], (size_t)atoi(argv[4]), atoi(argv[5]));
	else if (strcmp(what, "nodes") == 0)
		run_nodes((size_t)atoi(argv[3]), (size_t)atoi(argv[4]));
	else if (strcmp(what, "make") == 0)
		run_making(arena, argv[3], (size_t)atoi(argv[4]));
	else
		die("get, list, watch, nodes or make");
	http_tls_unref(tls);
	arena_free(arena);
	loop_fini();
	return 0;
}
