#include "cmd/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmd/files.h"
#include "cmd/kubeconfig.h"
#include "cmd/nodes.h"
#include "cmd/topology.h"
#include "scheduler/scheduler.h"

#define SERVICE_CIDR  "10.96.0.0/12"
#define POD_CIDR      "10.244.0.0/16"
#define ISSUER        "https://kubernetes.default.svc.cluster.local"
#define START_TIMEOUT (60 * NS_PER_S)
#define STOP_GRACE    (2 * NS_PER_S)

static task_fn lock_data, unlock_data, open_pki, close_pki, open_store, close_store, start_apiserver, stop_apiserver,
	start_bootstrap, start_listening, stop_listening, start_client, stop_client, start_controllers, stop_controllers,
	start_scheduler, stop_scheduler, start_nodes, stop_nodes, write_kubeconfigs, start_announcing, start_tidying, stop_tidying;

/* Started from top to bottom, stopped from bottom to top. A stop is the undo of its start. */
static const struct task_step components[] = {
	{ "lock", lock_data, unlock_data },
	{ "keys", open_pki, close_pki },
	{ "store", open_store, close_store },
	{ "api server", start_apiserver, stop_apiserver },
	{ "first objects", start_bootstrap, NULL },
	{ "listeners", start_listening, stop_listening },
	{ "client", start_client, stop_client },
	{ "controllers", start_controllers, stop_controllers },
	{ "scheduler", start_scheduler, stop_scheduler },
	{ "nodes", start_nodes, stop_nodes },
	{ "write kubeconfigs", write_kubeconfigs, NULL },
	{ "announce", start_announcing, NULL },
	{ "give memory back", start_tidying, stop_tidying },
	{ NULL, NULL, NULL },
};
#define N_COMPONENTS (sizeof(components) / sizeof(components[0]) - 1)

/* --- addresses --- */

struct ip cluster_host_ip(int slot)
{
	return ip_v4(192, 168, (uint8_t)(49 + slot), 1);
}

struct ip cluster_node_ip(int slot, int node)
{
	return ip_v4(192, 168, (uint8_t)(49 + slot), (uint8_t)(10 + node));
}

struct cidr cluster_subnet(int slot)
{
	return (struct cidr){ cluster_host_ip(slot), 24 };
}

struct cidr cluster_load_balancers(int slot)
{
	return (struct cidr){ ip_v4(192, 168, (uint8_t)(49 + slot), 128), 25 };
}

static struct cidr must_cidr(const char *text)
{
	struct cidr cidr;

	ASSERT(cidr_parse(str_from(text), &cidr));
	return cidr;
}

/* --- components --- */

static enum task_result lock_data(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	char path[4096], text[32];
	struct error *err = files_mkdir(cluster->options.dir, 0700);

	snprintf(path, sizeof(path), "%s/server.pid", cluster->options.dir);
	if (err != NULL)
		return task_fail(task, err);
	cluster->pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (cluster->pid_fd < 0)
		return task_fail(task, error_errno(errno, "open %s", path));
	if (flock(cluster->pid_fd, LOCK_EX | LOCK_NB) != 0)
		return task_fail(task, error_advise(error_new(ERR_BUSY, "another server runs on %s", cluster->options.dir),
						    "Stop it with 'monokube stop -p %s'.", cluster->options.name));
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(cluster->pid_fd, 0) != 0 || pwrite(cluster->pid_fd, text, strlen(text), 0) < 0)
		return task_fail(task, error_errno(errno, "write %s", path));
	(void)prctl(PR_SET_PDEATHSIG, 0); /* from now on every command sees us; until now we ended with the one that started us */
	return TASK_NEXT;
}

static enum task_result unlock_data(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	close(cluster->pid_fd);
	cluster->pid_fd = -1;
	return TASK_NEXT;
}

static enum task_result open_pki(struct task *task, void *arg)
{
	static const char *const dns[] = {
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
		NULL
	};
	struct cluster *cluster = arg;
	char host[IP_TEXT];
	const char *ips[] = { "127.0.0.1", "10.96.0.1", "::1", NULL, NULL, NULL };
	struct ip ip;
	size_t n = 3;
	struct error *err;

	if (cluster->options.slot >= 0)
		ips[n++] = ip_format(host, cluster_host_ip(cluster->options.slot)).ptr;
	if (ip_parse(str_from(cluster->options.listen), &ip) && strcmp(cluster->options.listen, "127.0.0.1") != 0)
		ips[n++] = cluster->options.listen;
	err = cluster_pki_open(&(struct cluster_pki_options){ .dir = arena_printf(cluster->arena, "%s/pki", cluster->options.dir),
							      .dns = dns,
							      .ips = ips },
			       &cluster->pki);
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

static enum task_result close_pki(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	cluster_pki_fini(&cluster->pki);
	return TASK_NEXT;
}

static enum task_result open_store(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	struct error *err =
		store_open(&(struct store_options){ .path = arena_printf(cluster->arena, "%s/state.db", cluster->options.dir),
						    .cool = apiserver_cool },
			   &cluster->store);

	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

static void woken(void *arg)
{
	task_wake(arg, NULL);
}

static enum task_result close_store(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	task_hold(task);
	store_close(cluster->store, woken, task);
	return TASK_WAIT;
}

static struct http_client *kubelet_of(void *arg, struct str node)
{
	struct cluster *cluster = arg;

	return cluster->nodes != NULL ? nodes_kubelet(cluster->nodes, node) : NULL;
}

static bool dial_pod(void *arg, struct ip ip, uint16_t port, void (*connected)(void *to, struct error *err, struct stream *stream),
		     void *to)
{
	struct cluster *cluster = arg;

	return cluster->nodes != NULL && nodes_dial(cluster->nodes, ip, port, connected, to);
}

static enum task_result start_apiserver(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	const struct cluster_options *options = &cluster->options;
	const struct ip none = { .family = 0 }, dns = options->nodes > 0 ? topology_dns_ip() : none;
	struct error *err = apiserver_new(
		&(struct apiserver_options){
			.store = cluster->store,
			.token_key = cluster->pki.token_key,
			.issuer = ISSUER,
			.service_cidrs = { must_cidr(SERVICE_CIDR) },
			.n_service_cidrs = 1,
			.endpoint = options->slot >= 0 ? cluster_host_ip(options->slot) : ip_v4(192, 168, 49, 1),
			.endpoint_port = 6443,
			.dns = dns,
			.kubelet = kubelet_of,
			.kubelet_arg = cluster,
			.dial = dial_pod,
			.dial_arg = cluster,
		},
		&cluster->apiserver);

	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

struct drain {
	struct cluster *cluster;
	struct task *task;
	struct loop_timer timer;
	int64_t until;
};

/* Requests under way end first; watches were told. */
static void look_drained(void *arg)
{
	struct drain *drain = arg;

	if (apiserver_running(drain->cluster->apiserver) != 0 && clock_mono() < drain->until) {
		loop_timer_start(&drain->timer, 5 * NS_PER_MS, look_drained, drain);
		return;
	}
	if (apiserver_running(drain->cluster->apiserver) == 0)
		apiserver_free(drain->cluster->apiserver);
	drain->cluster->apiserver = NULL;
	task_wake(drain->task, NULL);
}

static enum task_result stop_apiserver(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	struct drain *drain = ARENA_NEW(cluster->arena, struct drain);

	*drain = (struct drain){ .cluster = cluster, .task = task, .until = clock_mono() + STOP_GRACE };
	task_hold(task);
	look_drained(drain);
	return TASK_WAIT;
}

static void bootstrapped(void *arg, struct error *err)
{
	task_wake(arg, err);
}

static enum task_result start_bootstrap(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	task_hold(task);
	apiserver_bootstrap(cluster->apiserver, bootstrapped, task);
	return TASK_WAIT;
}

static enum task_result start_listening(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	const struct cluster_pki *pki = &cluster->pki;
	struct http_listener *listener = NULL;
	struct error *err = http_tls_server(&(struct http_tls_options){ .cert = buf_str(&pki->server_pem),
									.key = buf_str(&pki->server_key_pem),
									.ca = buf_str(&pki->ca_pem) },
					    &cluster->tls);

	if (err != NULL)
		return task_fail(task, err);
	cluster->http = http_server_new(
		&(struct http_server_options){ .tls = cluster->tls, .handle = apiserver_handle, .arg = cluster->apiserver });
	err = http_server_listen(cluster->http,
				 &(struct stream_address){ .host = cluster->options.listen, .port = cluster->options.port },
				 &listener);
	if (err != NULL)
		return task_fail(task,
				 error_advise(error_context(err, "listen on %s:%u", cluster->options.listen, cluster->options.port),
					      "Another program uses this port; choose another one: "
					      "--apiserver-port of 'start', --listen of 'server'."));
	cluster->port = http_listener_port(listener);
	return TASK_NEXT;
}

static enum task_result stop_listening(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	apiserver_end_watches(cluster->apiserver);
	task_hold(task);
	http_server_close(cluster->http, STOP_GRACE, woken, task);
	http_tls_unref(cluster->tls);
	cluster->http = NULL;
	return TASK_WAIT;
}

static enum task_result start_client(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	cluster->client = client_new(apiserver_transport(cluster->apiserver), "system:monokube");
	return TASK_NEXT;
}

static enum task_result stop_client(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	client_free(cluster->client);
	cluster->client = NULL;
	return TASK_NEXT;
}

static enum task_result start_controllers(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	struct cidr none = { 0 };

	(void)task;
	if (cluster->options.api_only)
		return TASK_NEXT;
	cluster->controllers = controllers_start(&(struct controllers_options){
		.client = cluster->client,
		.ca = buf_str(&cluster->pki.ca_pem),
		.pod_cidr = must_cidr(POD_CIDR),
		.load_balancers = cluster->options.slot >= 0 ? cluster_load_balancers(cluster->options.slot) : none,
	});
	return TASK_NEXT;
}

static enum task_result stop_controllers(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	if (cluster->controllers != NULL)
		controllers_stop(cluster->controllers);
	return TASK_NEXT;
}

static enum task_result start_scheduler(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	if (cluster->options.api_only)
		return TASK_NEXT;
	cluster->scheduler = scheduler_start(&(struct scheduler_options){ .client = cluster->client });
	return TASK_NEXT;
}

static enum task_result stop_scheduler(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	if (cluster->scheduler != NULL)
		scheduler_stop(cluster->scheduler);
	return TASK_NEXT;
}

static enum task_result start_nodes(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	if (cluster->options.nodes == 0)
		return TASK_NEXT;
	return nodes_start(task, cluster);
}

static enum task_result stop_nodes(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	if (cluster->nodes == NULL)
		return TASK_NEXT;
	return nodes_stop(task, cluster);
}

struct kubeconfigs {
	struct str text;
	const char *paths[2];
	size_t n;
};

static struct error *write_them(void *in)
{
	const struct kubeconfigs *files = in;
	struct error *err = NULL;

	for (size_t i = 0; err == NULL && i < files->n; i++)
		err = files_write(files->paths[i], files->text, 0600);
	return err;
}

static const char *server_url(struct cluster *cluster)
{
	const char *host = cluster->options.listen;

	return arena_printf(cluster->arena, "https://%s:%u", strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host, cluster->port);
}

static enum task_result write_kubeconfigs(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	struct kubeconfigs *files = ARENA_NEW(task_arena(task), struct kubeconfigs);
	AUTO_BUF struct buf text = { 0 };

	kubeconfig_format(cluster->arena, cluster->options.name, server_url(cluster), &cluster->pki, &text);
	files->text = str_dup(task_arena(task), buf_str(&text));
	files->paths[files->n++] = arena_printf(task_arena(task), "%s/admin.conf", cluster->options.dir);
	if (cluster->options.write_kubeconfig != NULL)
		files->paths[files->n++] = cluster->options.write_kubeconfig;
	return task_job(task, NULL, write_them, files);
}

/* The cluster answers, and whoever waits is told. */
static enum task_result start_announcing(struct task *task, void *arg)
{
	struct cluster *cluster = arg;
	const struct cluster_options *options = &cluster->options;

	(void)task;
	log_info("cluster answers", "profile=%s server=%s", options->name, server_url(cluster));
	if (options->ready_fd >= 0) {
		AUTO_FREE char *line = xasprintf("ready %u\n", cluster->port);

		if (write(options->ready_fd, line, strlen(line)) < 0)
			log_warn("nobody waits for the start", "errno=%d", errno);
		if (options->nodes == 0)
			cluster_nodes_ready(cluster);
	}
	return TASK_NEXT;
}

/* After a burst the heap is full of holes: what is free goes back to the machine once it is quiet again. */
#define TIDY_EVERY (20 * NS_PER_S)
#define TIDY_BUSY  500 /* turns in that time */

static void tidy(void *arg)
{
	struct cluster *cluster = arg;
	uint64_t turns = loop_stats().turns;
	bool busy = turns - cluster->turns > TIDY_BUSY;

	if (cluster->was_busy && !busy)
		malloc_trim(0);
	cluster->was_busy = busy;
	cluster->turns = turns;
}

static enum task_result start_tidying(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	cluster->was_busy = true; /* a start is a burst */
	cluster->tidying.weak = true;
	loop_timer_every(&cluster->tidying, TIDY_EVERY, tidy, cluster);
	return TASK_DONE;
}

static enum task_result stop_tidying(struct task *task, void *arg)
{
	struct cluster *cluster = arg;

	(void)task;
	loop_timer_stop(&cluster->tidying);
	return TASK_NEXT;
}

void cluster_nodes_ready(struct cluster *cluster)
{
	static const char line[] = "nodes\n";

	if (cluster->options.ready_fd < 0)
		return;
	/* For a second `start`, when the one that holds the pipe was interrupted. */
	log_consume(LOG_ERROR,
		    files_write(arena_printf(cluster->arena, "%s/server.ready", cluster->options.dir),
				str_from(arena_printf(cluster->arena, "%d\n", (int)getpid())), 0600),
		    "note readiness");
	if (write(cluster->options.ready_fd, line, sizeof(line) - 1) < 0)
		log_warn("nobody waits for the nodes", "errno=%d", errno);
	fd_close(&cluster->options.ready_fd);
}

/* --- stop: the undo column, from bottom to top, as a task of its own --- */

static struct task_step stop_steps[N_COMPONENTS + 1];

static void stopped(void *arg, struct error *err)
{
	(void)arg;
	log_consume(LOG_ERROR, err, "stop");
	loop_stop();
}

static void stop_cluster(struct cluster *cluster)
{
	size_t n = 0;

	if (cluster->stopping)
		return;
	cluster->stopping = true;
	for (size_t i = N_COMPONENTS; i-- > 0;)
		if (components[i].undo != NULL)
			stop_steps[n++] = (struct task_step){ components[i].name, components[i].undo, NULL };
	stop_steps[n] = (struct task_step){ NULL, NULL, NULL };
	log_info("stopping", "profile=%s", cluster->options.name);
	task_start(&(struct task_options){
		.name = "stop cluster", .steps = stop_steps, .arg = cluster, .timeout = START_TIMEOUT, .done = stopped });
}

static void started(void *arg, struct error *err)
{
	struct cluster *cluster = arg;

	cluster->starting = NULL;
	if (err == NULL)
		return;
	cluster->failure = err;
	loop_stop();
}

static void on_signal(void *arg, int signal)
{
	struct cluster *cluster = arg;

	(void)signal;
	/* From now on a `start` waits for our end instead of joining us. */
	unlink(arena_printf(cluster->arena, "%s/server.ready", cluster->options.dir));
	if (cluster->starting != NULL)
		task_cancel(cluster->starting, error_new(ERR_CANCELED, "the start was interrupted"));
	else
		stop_cluster(cluster);
}

static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct error *cluster_run(const struct cluster_options *options)
{
	struct arena *arena = arena_new();
	struct cluster *cluster = ARENA_NEW(arena, struct cluster);
	struct loop_signal *term, *interrupt;
	struct error *failure;
	struct task *task;

	cluster->options = *options;
	cluster->arena = arena;
	cluster->pid_fd = -1;
	raise_limits();
	if (options->ready_fd >= 0)
		(void)fcntl(options->ready_fd, F_SETFD, FD_CLOEXEC); /* who waits must see it close when we die */
	trace_install_handlers();
	signal(SIGPIPE, SIG_IGN);
	loop_init();
	term = loop_signal(SIGTERM, on_signal, cluster);
	interrupt = loop_signal(SIGINT, on_signal, cluster);
	loop_ref(); /* until stopped */
	task = task_start(&(struct task_options){ .name = "start cluster",
						  .subject = options->name,
						  .steps = components,
						  .arg = cluster,
						  .timeout = START_TIMEOUT,
						  .done = started });
	cluster->starting = cluster->failure == NULL ? task : NULL;
	if (cluster->failure == NULL)
		loop_run();
	loop_unref();
	loop_signal_close(term);
	loop_signal_close(interrupt);
	loop_fini();
	failure = cluster->failure;
	arena_free(arena);
	return failure;
}
