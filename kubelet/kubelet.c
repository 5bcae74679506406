/* The whole: what is started and stopped, and how news reach pods. */
#include "kubelet/kubelet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kubelet/private.h"

/* --- may pods be looked at? --- */

bool kubelet_may_work(const struct kubelet *kubelet)
{
	return kubelet->informed && kubelet->link.up && kubelet->images_ready && kubelet->matched;
}

char *replace_text(char **place, const char *text)
{
	char *old = *place;

	*place = text != NULL ? xstrdup(text) : NULL;
	free(old);
	return *place;
}

void kubelet_poke_all(struct kubelet *kubelet)
{
	MAP_EACH (&kubelet->by_uid, it)
		pod_poke(it->value);
}

static struct pod *pod_of(struct kubelet *kubelet, const char *uid)
{
	return uid != NULL ? map_find(&kubelet->by_uid, str_from(uid)) : NULL;
}

static void orphan_gone(void *arg, struct error *err)
{
	struct kubelet *kubelet = arg;

	log_consume(LOG_WARN, err, "remove files of a pod that is no more");
	closegroup_leave(&kubelet->tasks);
}

static void remove_orphan(struct kubelet *kubelet, const char *dir, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);

	closegroup_add(&kubelet->tasks);
	root_remove(kubelet, path, orphan_gone, kubelet);
}

static void look_at_files(struct kubelet *kubelet, const char *uid)
{
	if (pod_of(kubelet, uid) == NULL)
		remove_orphan(kubelet, PODS_DIR, uid);
}

/* "NS_NAME_UID" */
static void look_at_logs(struct kubelet *kubelet, const char *name)
{
	const char *uid = strrchr(name, '_');

	if (uid != NULL && pod_of(kubelet, uid + 1) == NULL)
		remove_orphan(kubelet, LOGS_DIR, name);
}

/* What a server that was killed did not get to. */
static void sweep(struct kubelet *kubelet)
{
	root_list(kubelet, PODS_DIR, look_at_files);
	root_list(kubelet, LOGS_DIR, look_at_logs);
	network_sweep(kubelet);
}

/* What the node has and what the API wants meet here, once both are known. */
static void match(struct kubelet *kubelet, const struct node_list_reply *list)
{
	for (size_t i = 0; i < list->n_sandboxes; i++) {
		const struct node_sandbox *sandbox = &list->sandboxes[i];
		const char *uid = label_of(sandbox->labels, sandbox->n_labels, "uid");
		struct pod *pod = pod_of(kubelet, uid);

		if (pod == NULL && uid != NULL)
			pod = pod_new_orphan(kubelet, uid, sandbox);
		if (pod != NULL)
			pod_found_sandbox(pod, sandbox);
	}
	for (size_t i = 0; i < list->n_containers; i++) {
		const char *uid = label_of(list->containers[i].labels, list->containers[i].n_labels, "uid");
		struct pod *pod = pod_of(kubelet, uid);

		if (pod == NULL && uid != NULL)
			pod = pod_new_orphan(kubelet, uid, NULL);
		if (pod != NULL)
			pod_found_container(pod, &list->containers[i]);
	}
	MAP_EACH (&kubelet->by_uid, it)
		pod_found_all(it->value);
	if (!kubelet->matched)
		sweep(kubelet);
	kubelet->matched = true;
	serve_run_ended(kubelet); /* some may have ended meanwhile */
}

static void relist(void *arg, struct node_reply *reply)
{
	struct kubelet *kubelet = arg;

	if (reply->err == NULL && kubelet->informed && !kubelet->stopping)
		match(kubelet, reply->body);
}

static void ask_list(struct kubelet *kubelet)
{
	if (kubelet->link.up && kubelet->informed)
		node_list(kubelet->link.client, &(struct node_nothing){ 0 }, relist, kubelet);
}

void kubelet_found(struct kubelet *kubelet, const struct node_list_reply *list)
{
	if (kubelet->informed)
		match(kubelet, list);
	node_post_soon(kubelet);
}

void kubelet_lost(struct kubelet *kubelet)
{
	kubelet->matched = false;
	sessions_node_lost(kubelet);
	actions_node_lost(kubelet);
	MAP_EACH (&kubelet->by_uid, it)
		pod_node_lost(it->value);
}

/* --- informers --- */

static void look_informed(struct kubelet *kubelet)
{
	if (kubelet->informed || !informer_synced(kubelet->pods) || !informer_synced(kubelet->services) ||
	    !informer_synced(kubelet->config_maps) || !informer_synced(kubelet->secrets) || !informer_synced(kubelet->nodes))
		return;
	kubelet->informed = true;
	ask_list(kubelet);
}

static void synced(void *arg)
{
	look_informed(arg);
}

static void pod_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct kubelet *kubelet = arg;
	struct pod *pod = map_find(&kubelet->by_uid, object_uid(now != NULL ? now : old));
	struct pod *before = NULL;

	/* deleted and made again under the same name between two looks */
	if (now != NULL && old != NULL && !str_eq(object_uid(old), object_uid(now)))
		before = map_find(&kubelet->by_uid, object_uid(old));
	if (before != NULL)
		pod_set_object(before, NULL, revision);
	if (pod != NULL && pod->no_object)
		return;
	if (pod != NULL) {
		pod_set_object(pod, now, revision);
	} else if (now != NULL) {
		pod = pod_new(kubelet, now);
		pod->cause = revision;
		pod_poke(pod);
	}
}

static void node_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	struct kubelet *kubelet = arg;
	struct str text;

	(void)revision;
	if (!str_is(object_name(now != NULL ? now : old), kubelet->options.node_name))
		return;
	if (now == NULL) { /* somebody deleted it: register again */
		node_post_soon(kubelet);
		return;
	}
	text = json_path_str(object_tree(now), "spec.podCIDR");
	if (!kubelet->has_cidr && cidr_parse(text, &kubelet->pod_cidr)) {
		kubelet->has_cidr = true;
		node_post_soon(kubelet);
		kubelet_poke_all(kubelet);
	}
}

static void files_changed(struct kubelet *kubelet, const char *kind, struct object *object)
{
	MAP_EACH (&kubelet->by_uid, it) {
		struct pod *pod = it->value;

		if (!str_is(object_namespace(object), pod->ns) || !volumes_show(pod, kind, object_name(object)))
			continue;
		pod->volumes_stale = true;
		pod->sandbox_not_before = 0; /* it may be what the pod waits for */
		pod_poke(pod);
	}
}

static void config_map_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	(void)revision;
	files_changed(arg, "ConfigMap", now != NULL ? now : old);
}

static void secret_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	(void)revision;
	files_changed(arg, "Secret", now != NULL ? now : old);
}

static void service_changed(void *arg, struct object *old, struct object *now, uint64_t revision)
{
	(void)arg; /* read when a container starts */
	(void)old;
	(void)now;
	(void)revision;
}

static void listen_to(struct kubelet *kubelet)
{
	static const struct informer_events pods = { pod_changed, synced }, nodes = { node_changed, synced },
					    services = { service_changed, synced }, config_maps = { config_map_changed, synced },
					    secrets = { secret_changed, synced };

	kubelet->nodes = client_informer(kubelet->client, kind_must("v1", "Node"));
	kubelet->services = client_informer(kubelet->client, kind_must("v1", "Service"));
	kubelet->config_maps = client_informer(kubelet->client, kind_must("v1", "ConfigMap"));
	kubelet->secrets = client_informer(kubelet->client, kind_must("v1", "Secret"));
	kubelet->pods = client_informer_of(
		kubelet->client, &(struct informer_options){ .kind = kind_must("v1", "Pod"),
							     .fields = str_from(arena_printf(kubelet->arena, "spec.nodeName=%s",
											     kubelet->options.node_name)) });
	informer_listen(kubelet->nodes, &nodes, kubelet);
	informer_listen(kubelet->services, &services, kubelet);
	informer_listen(kubelet->config_maps, &config_maps, kubelet);
	informer_listen(kubelet->secrets, &secrets, kubelet);
	informer_listen(kubelet->pods, &pods, kubelet);
	look_informed(kubelet);
}

static void unlisten(struct kubelet *kubelet)
{
	struct informer *const all[] = { kubelet->pods, kubelet->services, kubelet->config_maps, kubelet->secrets, kubelet->nodes };

	for (size_t i = 0; i < 5; i++)
		informer_unlisten(all[i], kubelet);
}

/* --- images --- */

struct open_images {
	struct kubelet *kubelet;
	const char *dir;
	struct image_store *store;
	struct error *err;
};

static void open_images(void *in)
{
	struct open_images *job = in;

	job->err = image_store_open(job->dir, &job->store);
	if (job->err == NULL)
		job->err = image_store_add_hello(job->store);
}

static void images_opened(void *in, bool canceled)
{
	struct open_images *job = in;
	struct kubelet *kubelet = job->kubelet;

	(void)canceled;
	kubelet->images = job->store;
	kubelet->images_ready = job->store != NULL;
	log_consume(LOG_ERROR, job->err, "open the image store");
	free(job);
	closegroup_leave(&kubelet->tasks);
	if (!kubelet->stopping)
		kubelet_poke_all(kubelet);
}

/* --- start and stop --- */

struct kubelet *kubelet_start(const struct kubelet_options *options)
{
	struct kubelet *kubelet = xcalloc(1, sizeof(*kubelet));
	struct open_images *job = xcalloc(1, sizeof(*job));
	struct arena *arena = arena_new();

	kubelet->arena = arena;
	kubelet->options = *options;
	kubelet->options.node_name = arena_strdup(arena, options->node_name);
	kubelet->options.node_socket = arena_strdup(arena, options->node_socket);
	kubelet->options.node_root = arena_strdup(arena, options->node_root);
	kubelet->options.image_dir = arena_strdup(arena, options->image_dir);
	kubelet->options.cluster_domain = arena_strdup(arena, options->cluster_domain);
	kubelet->client = client_as(options->client, arena_printf(arena, "system:node:%s", options->node_name));
	kubelet->root = open(options->node_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (kubelet->root < 0)
		log_error("the node's directory cannot be opened", "path=%s errno=%d", options->node_root, errno);
	list_init(&kubelet->followers);
	list_init(&kubelet->sessions);
	list_init(&kubelet->actions);
	list_init(&kubelet->forwardings);
	list_init(&kubelet->dialings);
	kubelet->http = serve_new(kubelet);
	job->kubelet = kubelet;
	job->dir = kubelet->options.image_dir;
	closegroup_add(&kubelet->tasks);
	loop_job_start(open_images, images_opened, job);
	listen_to(kubelet);
	node_post_start(kubelet);
	link_start(kubelet);
	return kubelet;
}

static void all_ended(void *arg)
{
	struct kubelet *kubelet = arg;
	void (*stopped)(void *) = kubelet->stopped;
	void *stopped_arg = kubelet->stopped_arg;

	link_stop(kubelet);
	MAP_EACH (&kubelet->by_uid, it)
		pod_free(it->value);
	map_fini(&kubelet->by_uid);
	image_store_close(kubelet->images);
	if (kubelet->root >= 0)
		close(kubelet->root);
	arena_free(kubelet->arena);
	free(kubelet);
	stopped(stopped_arg);
}

static void http_closed(void *arg)
{
	struct kubelet *kubelet = arg;

	closegroup_leave(&kubelet->tasks);
}

void kubelet_stop(struct kubelet *kubelet, void (*stopped)(void *arg), void *arg)
{
	kubelet->stopping = true;
	kubelet->stopped = stopped;
	kubelet->stopped_arg = arg;
	unlisten(kubelet);
	node_post_stop(kubelet);
	serve_stop(kubelet);
	closegroup_add(&kubelet->tasks);
	http_server_close(kubelet->http, 0, http_closed, kubelet);
	MAP_EACH (&kubelet->by_uid, it) {
		struct pod *pod = it->value;

		pod_status_cancel(pod);
		for (size_t i = 0; i < pod->containers.len; i++) {
			struct container *c = pod->containers.ptr[i];

			probes_stop(c);
			if (c->stopping != NULL)
				task_cancel(c->stopping, error_new(ERR_CANCELED, "the kubelet is stopping"));
		}
		if (pod->task != NULL)
			task_cancel(pod->task, error_new(ERR_CANCELED, "the kubelet is stopping"));
	}
	dials_stop(kubelet);
	closegroup_wait(&kubelet->tasks, all_ended, kubelet);
}

void kubelet_uplink_anew(struct kubelet *kubelet)
{
	if (kubelet_may_work(kubelet)) /* else it comes with the first look at the node */
		network_sweep(kubelet);
}

void kubelet_accept(struct kubelet *kubelet, struct stream *stream)
{
	http_server_accept(kubelet->http, stream);
}

bool kubelet_ready(const struct kubelet *kubelet)
{
	return kubelet->post.posted_ready;
}
