/* Starting: a sandbox with its volumes and network, and a container in it. Each is a task whose undo leaves nothing. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>

#include "kubelet/private.h"

#define START_TIMEOUT (120 * NS_PER_S)

/* --- sandbox --- */

struct start {
	struct pod *pod;
	struct arena *arena;     /* moved to jobs and back */
	const struct json *tree; /* while the files are written */
	char id[65];
	struct ip ip;
	int netns, rtnl;
	bool made;
	void (*done)(void *arg, struct error *err);
};

static enum task_result fetch_volumes(struct task *task, void *arg)
{
	return volumes_fetch(task, ((struct start *)arg)->pod);
}

static enum task_result make_volumes(struct task *task, void *arg)
{
	return volumes_make(task, ((struct start *)arg)->pod);
}

static enum task_result mount_volumes(struct task *task, void *arg)
{
	return volumes_mount(task, ((struct start *)arg)->pod);
}

static enum task_result unmount_volumes(struct task *task, void *arg)
{
	return volumes_unmount(task, ((struct start *)arg)->pod);
}

static enum task_result fill_volumes(struct task *task, void *arg)
{
	return volumes_fill(task, ((struct start *)arg)->pod);
}

static enum task_result take_address(struct task *task, void *arg)
{
	struct start *start = arg;
	struct pod *pod = start->pod;
	struct error *err = pod_host_network(pod) ? NULL : pool_take(pod);

	start->ip = pod_host_network(pod) ? pod->kubelet->options.node_ip : pod->address;
	return err != NULL ? task_fail(task, err) : TASK_NEXT;
}

static enum task_result give_address(struct task *task, void *arg)
{
	struct start *start = arg;

	(void)task;
	start->pod->address = (struct ip){ 0 };
	return TASK_NEXT;
}

/* The one before, whose containers are dead or must be. */
static enum task_result remove_old_sandbox(struct task *task, void *arg)
{
	struct start *start = arg;
	struct pod *pod = start->pod;
	struct node_client *client = link_client(pod->kubelet);

	if (pod->sandbox == NULL)
		return TASK_NEXT;
	if (client == NULL)
		return task_fail(task, link_absent_error(pod->kubelet));
	task_hold(task);
	node_sandbox_remove(client, &(struct node_ref){ .id = pod->sandbox }, link_woken_absent, task);
	return TASK_WAIT;
}

static void sandbox_created(void *arg, struct node_reply *reply)
{
	struct task *task = arg;
	struct start *start = task_arg(task);

	start->netns = node_reply_fd(reply);
	link_woken(task, reply);
}

static enum task_result create_sandbox(struct task *task, void *arg)
{
	struct start *start = arg;
	struct pod *pod = start->pod;
	struct node_client *client = link_client(pod->kubelet);
	struct node_sandbox_create request = { 0 };

	if (client == NULL)
		return task_fail(task, link_absent_error(pod->kubelet));
	random_id(start->id);
	sandbox_request(start->arena, pod, start->id, start->ip, &request);
	task_hold(task);
	node_sandbox_create(client, &request, sandbox_created, task);
	return TASK_WAIT;
}

static enum task_result remove_sandbox(struct task *task, void *arg)
{
	struct start *start = arg;
	struct node_client *client = link_client(start->pod->kubelet);

	if (client == NULL)
		return TASK_NEXT; /* it will be found, and removed then */
	task_hold(task);
	node_sandbox_remove(client, &(struct node_ref){ .id = start->id }, link_woken_absent, task);
	return TASK_WAIT;
}

static void got_socket(void *arg, struct node_reply *reply)
{
	struct task *task = arg;
	struct start *start = task_arg(task);

	start->rtnl = node_reply_fd(reply);
	link_woken(task, reply);
}

static enum task_result open_network(struct task *task, void *arg)
{
	struct start *start = arg;
	struct node_client *client = link_client(start->pod->kubelet);

	if (pod_host_network(start->pod))
		return TASK_NEXT;
	if (client == NULL)
		return task_fail(task, link_absent_error(start->pod->kubelet));
	task_hold(task);
	node_socket(
		client,
		&(struct node_socket){ .sandbox = start->id, .domain = AF_NETLINK, .type = SOCK_RAW, .protocol = NETLINK_ROUTE },
		got_socket, task);
	return TASK_WAIT;
}

static enum task_result plug_network(struct task *task, void *arg)
{
	struct start *start = arg;
	struct pod *pod = start->pod;

	if (pod_host_network(pod))
		return TASK_NEXT;
	return network_plug(task, pod->kubelet, &(struct network_plug){ str_from(pod->uid), start->ip, start->netns, start->rtnl });
}

static enum task_result unplug_network(struct task *task, void *arg)
{
	struct start *start = arg;

	return pod_host_network(start->pod) ? TASK_NEXT : network_unplug(task, start->pod->kubelet, str_from(start->pod->uid));
}

/* Files that show the address. */
static struct error *write_them(void *in)
{
	struct start *start = in;
	struct kubelet *kubelet = start->pod->kubelet;
	const char *dir = pod_dir(start->arena, start->pod);
	char ip[IP_TEXT], dns[IP_TEXT];
	struct str domain = str_from(kubelet->options.cluster_domain);
	struct str node_conf = root_read(start->arena, kubelet, "/etc/resolv.conf", 4096, false);
	struct str host = pod_hostname(start->arena, start->tree);
	struct error *err;

	ip_format(ip, start->ip);
	ip_format(dns, kubelet->options.dns_ip);
	err = root_write(kubelet, arena_printf(start->arena, "%s/etc-hosts", dir),
			 hosts_file(start->arena, start->tree, str_from(ip), domain), 0644);
	if (err == NULL)
		err = root_write(kubelet, arena_printf(start->arena, "%s/resolv.conf", dir),
				 resolv_conf(start->arena, start->tree, str_from(dns), domain, node_conf), 0644);
	if (err == NULL)
		err = root_write(kubelet, arena_printf(start->arena, "%s/hostname", dir),
				 str_format(start->arena, "%.*s\n", STR_ARG(host)), 0644);
	return err;
}

static enum task_result write_files(struct task *task, void *arg)
{
	struct start *start = arg;

	start->tree = pod_tree(start->pod);
	object_keep(start->arena, start->pod->object);
	return task_job(task, NULL, write_them, start);
}

const struct task_step start_sandbox_steps[] = {
	{ "read volumes", fetch_volumes, NULL },
	{ "remove old sandbox", remove_old_sandbox, NULL },
	{ "make volumes", make_volumes, NULL },
	{ "mount volumes", mount_volumes, unmount_volumes },
	{ "fill volumes", fill_volumes, NULL },
	{ "take address", take_address, give_address },
	{ "write files", write_files, NULL },
	{ "create sandbox", create_sandbox, remove_sandbox },
	{ "open network", open_network, NULL },
	{ "plug network", plug_network, unplug_network },
	{ NULL, NULL, NULL },
};

/* What ran in the sandbox before counts as not made. */
static void adopt_sandbox(struct start *start)
{
	struct pod *pod = start->pod;

	replace_text(&pod->sandbox, start->id);
	pod->sandbox_attempt++;
	pod->sandbox_ready = true;
	pod->ip = start->ip;
	for (size_t i = 0; i < pod->containers.len; i++) {
		struct container *c = pod->containers.ptr[i];

		c->again = c->now != NULL;
		c->started = c->ready = false;
	}
}

static void tell_sandbox_failure(struct pod *pod, const struct error *err)
{
	if (err->kind == ERR_CANCELED || err->kind == ERR_UNAVAILABLE)
		return;
	if (strstr(err->text, "MountVolume.SetUp failed") != NULL || strstr(err->text, "hostPath type check") != NULL) {
		const char *at = strstr(err->text, "MountVolume.SetUp failed");

		pod_event(pod, NULL, "Warning", "FailedMount", "%s", at != NULL ? at : err->text);
		return;
	}
	pod_event(pod, NULL, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", err->text);
}

static void sandbox_done(void *arg, struct error *err)
{
	struct start *start = arg;
	struct pod *pod = start->pod;
	void (*done)(void *, struct error *) = start->done;

	if (start->netns >= 0)
		close(start->netns);
	if (start->rtnl >= 0)
		close(start->rtnl);
	if (err == NULL)
		adopt_sandbox(start);
	else
		tell_sandbox_failure(pod, err);
	arena_free(start->arena);
	free(start);
	done(pod, err);
}

struct task *pod_start_sandbox(struct pod *pod, void (*done)(void *arg, struct error *err))
{
	struct start *start = xcalloc(1, sizeof(*start));
	AUTO_FREE char *subject = xasprintf("%s/%s", pod->ns, pod->name);

	start->pod = pod;
	start->arena = arena_new();
	start->netns = start->rtnl = -1;
	start->done = done;
	if (pod->sandbox != NULL && pod->sandbox_ready == false && pod->state.state == POD_STARTING && pod->containers.len != 0 &&
	    pod->containers.ptr[0]->now != NULL)
		pod_event(pod, NULL, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
	return task_start(&(struct task_options){ .name = "start sandbox",
						  .subject = subject,
						  .steps = start_sandbox_steps,
						  .arg = start,
						  .timeout = START_TIMEOUT,
						  .done = sandbox_done });
}

/* --- container --- */

struct making {
	struct container *container;
	struct kubelet *kubelet;
	struct arena *arena; /* moved to the job and back */
	char id[65];
	unsigned attempt;
	const char *image_name;
	const char *image_ref; /* with host and tag: docker.io/library/nginx:1 */
	const struct image *image;
	const char *message, *message_dir; /* for its last words */
	struct node_container_create request;
	struct task *task; /* while the job runs */
	struct error *err; /* of the job */
	struct image_store *store;
	bool created, ran, started, hook_failed;
	struct action *hook;
	void (*done)(void *arg, struct error *err);
};

static void find_work(void *in)
{
	struct making *making = in;

	making->err = image_store_find(making->arena, making->store, str_from(making->image_name), &making->image);
}

static void find_done(void *in, bool canceled)
{
	struct making *making = in;
	struct error *err = canceled ? error_new(ERR_CANCELED, "canceled") : making->err;

	making->err = NULL;
	task_wake(making->task, err);
}

static enum task_result find_image(struct task *task, void *arg)
{
	struct making *making = arg;

	making->task = task;
	making->image_name = str_cstr(making->arena, json_get_str(container_spec(making->container), "image"));
	task_hold(task);
	loop_job_start(find_work, find_done, making);
	return TASK_WAIT;
}

static void wait_for(struct container *c, const char *reason, const char *message, int64_t until)
{
	replace_text(&c->wait_reason, reason);
	replace_text(&c->wait_message, message);
	c->not_before = until;
}

/* There is no puller: an image that is not in the store will not come by itself. */
static enum task_result refuse_image(struct task *task, struct container *c, const char *image, bool never)
{
	struct pod *pod = c->pod;
	int64_t now = clock_now();
	char *why;

	if (never) {
		why = arena_printf(task_arena(task), "Container image \"%s\" is not present with pull policy of Never", image);
		wait_for(c, "ErrImageNeverPull", why, now + 10 * NS_PER_S);
		pod_event(pod, c, "Warning", "ErrImageNeverPull", "%s", why);
		pod_event(pod, c, "Warning", "Failed", "Error: ErrImageNeverPull");
		return task_fail(task, error_new(ERR_NOT_FOUND, "%s", why));
	}
	why = arena_printf(task_arena(task),
			   "%s is not in the image store of this machine, and this version pulls nothing; "
			   "load it with 'monokube image load'",
			   image);
	pod_event(pod, c, "Normal", "Pulling", "Pulling image \"%s\"", image);
	pod_event(pod, c, "Warning", "Failed", "Failed to pull image \"%s\": %s", image, why);
	pod_event(pod, c, "Warning", "Failed", "Error: ErrImagePull");
	backoff_grow(&c->image_backoff, now, now);
	wait_for(c, "ImagePullBackOff",
		 arena_printf(task_arena(task), "Back-off pulling image \"%s\": ErrImagePull: %s", image, why),
		 now + c->image_backoff.delay);
	pod_event(pod, c, "Normal", "BackOff", "Back-off pulling image \"%s\"", image);
	pod_event(pod, c, "Warning", "Failed", "Error: ImagePullBackOff");
	return task_fail(task, error_new(ERR_NOT_FOUND, "%s", why));
}

static enum task_result judge_image(struct task *task, void *arg)
{
	struct making *making = arg;
	struct container *c = making->container;
	struct str policy = json_get_str(container_spec(c), "imagePullPolicy");
	struct image_ref ref;
	struct error *err;

	if (making->image == NULL)
		return refuse_image(task, c, making->image_name, str_is(policy, "Never"));
	c->image_backoff = (struct backoff){ 0 };
	making->image_ref = making->image_name;
	err = image_ref_parse(making->arena, str_from(making->image_name), &ref);
	if (err == NULL && (ref.tag.len != 0 || ref.digest.len != 0))
		making->image_ref = str_cstr(making->arena, image_ref_format(making->arena, &ref));
	error_free(err);
	pod_event(c->pod, c, "Normal", "Pulled", "Container image \"%s\" already present on machine and can be accessed by the pod",
		  making->image_name);
	return TASK_NEXT;
}

/* A run that left nothing on the node is still counted in the API. */
static unsigned next_attempt(const struct container *c)
{
	const struct json *tree = pod_tree(c->pod);

	if (c->now != NULL)
		return c->now->attempt + 1;
	JSON_EACH (json_path(tree, c->kind == PLAN_MAIN ? "status.containerStatuses" : "status.initContainerStatuses"), it)
		if (str_is(json_get_str(it.value, "name"), c->name) && json_get(it.value, "containerID") != NULL)
			return (unsigned)json_int(json_get(it.value, "restartCount"), 0) + 1;
	return 0;
}

static enum task_result configure(struct task *task, void *arg)
{
	struct making *making = arg;
	struct container *c = making->container;
	struct error *err;

	making->attempt = next_attempt(c);
	random_id(making->id);
	err = container_request(making->arena, c, making->image, making->image_ref, making->id, making->attempt, &making->request);
	if (err == NULL)
		return TASK_NEXT;
	wait_for(c, "CreateContainerConfigError", err->text, clock_now() + 10 * NS_PER_S);
	pod_event(c->pod, c, "Warning", "Failed", "Error: %s", err->text);
	return task_fail(task, err);
}

/* The file for its last words, which is mounted into it. */
static struct error *make_message(void *in)
{
	const struct making *making = in;
	struct error *err = root_mkdir(making->kubelet, making->message_dir, 0755);

	return err != NULL ? err : root_write(making->kubelet, making->message, STR(""), 0666);
}

static enum task_result make_files(struct task *task, void *arg)
{
	struct making *making = arg;
	struct container *c = making->container;

	if (json_get_str(container_spec(c), "terminationMessagePath").len == 0)
		return TASK_NEXT;
	making->message_dir = arena_printf(making->arena, "%s/containers/%s", pod_dir(making->arena, c->pod), c->name);
	making->message = termination_path(making->arena, c, making->attempt);
	return task_job(task, NULL, make_message, making);
}

static void tell_created(struct making *making)
{
	struct container *c = making->container;

	making->created = true;
	pod_event(c->pod, c, "Normal", "Created", "Container created");
	if (c->now != NULL && !c->again && c->now->exited)
		backoff_grow(&c->backoff, c->now->finished_at, clock_now());
}

/* Our node looks at the program already now; for people who know other runtimes that is part of the start. */
static void container_created(void *arg, struct node_reply *reply)
{
	struct task *task = arg;
	struct making *making = task_arg(task);

	if (reply->err != NULL && reply->step != NODE_STEP_NONE && reply->step != NODE_STEP_REQUEST)
		tell_created(making);
	link_woken(task, reply);
}

static enum task_result create(struct task *task, void *arg)
{
	struct making *making = arg;
	struct node_client *client = link_client(making->kubelet);

	if (client == NULL)
		return task_fail(task, link_absent_error(making->kubelet));
	task_hold(task);
	node_container_create(client, &making->request, container_created, task);
	return TASK_WAIT;
}

static void removed(void *arg, struct node_reply *reply)
{
	(void)reply; /* what would not go is found again and removed then */
	task_wake(arg, NULL);
}

static enum task_result uncreate(struct task *task, void *arg)
{
	struct making *making = arg;
	struct node_client *client = link_client(making->kubelet);

	if (client == NULL || making->ran) /* how that ended must not be forgotten, or it would be run again */
		return TASK_NEXT;
	task_hold(task);
	node_container_remove(client, &(struct node_ref){ .id = making->id }, removed, task);
	return TASK_WAIT;
}

static struct run *new_run(struct making *making)
{
	struct container *c = making->container;
	struct run *run = run_new(making->id, making->attempt);

	if (c->last != NULL)
		vec_push(&c->pod->rubbish, xstrdup(c->last->id));
	run_free(c->last);
	c->last = c->now;
	c->now = run;
	c->again = false;
	replace_text(&run->image, making->image_ref);
	replace_text(&run->image_id, str_cstr(making->arena, making->image->id));
	run->stop_signal = signal_number(str_cstr(making->arena, making->image->stop_signal));
	run->created_at = clock_now();
	wait_for(c, NULL, NULL, 0);
	return run;
}

static enum task_result note_created(struct task *task, void *arg)
{
	(void)task;
	tell_created(arg);
	return TASK_NEXT;
}

static void started(void *arg, struct node_reply *reply)
{
	struct task *task = arg;
	struct making *making = task_arg(task);
	const struct node_container *body = reply->body;

	if (reply->err == NULL && body != NULL) {
		/* it may have ended already: its exit event names a container that must be known by then */
		struct run *run = new_run(making);

		making->ran = run->running = true;
		run->started_at = body->started_at;
		run->created_at = body->created_at;
	}
	link_woken(task, reply);
}

static enum task_result start(struct task *task, void *arg)
{
	struct making *making = arg;
	struct node_client *client = link_client(making->kubelet);

	if (client == NULL)
		return task_fail(task, link_absent_error(making->kubelet));
	task_hold(task);
	node_container_start(client, &(struct node_ref){ .id = making->id }, started, task);
	return TASK_WAIT;
}

/* --- the hook; the container runs meanwhile, but is not started before it is over --- */

static void hook_over(void *arg, enum action_end end, const char *text)
{
	struct making *making = arg;

	making->hook = NULL;
	making->hook_failed = end == ACTION_FAILED; /* when nobody knows, the container lives, as when a server dies in it */
	if (making->hook_failed)
		pod_event(making->container->pod, making->container, "Warning", "FailedPostStartHook", "PostStartHook failed: %s",
			  text);
	task_wake(making->task, NULL);
}

static void cancel_hook(void *arg)
{
	struct making *making = arg;

	if (making->hook == NULL)
		return;
	action_cancel(making->hook);
	making->hook = NULL;
	task_wake(making->task, NULL);
}

static enum task_result run_hook(struct task *task, void *arg)
{
	struct making *making = arg;
	struct container *c = making->container;
	const struct json *hook = json_path(container_spec(c), "lifecycle.postStart");

	pod_event(c->pod, c, "Normal", "Started", "Container started");
	making->started = true;
	if (hook == NULL || c->now == NULL || !c->now->running)
		return TASK_NEXT;
	task_hold(task);
	task_on_cancel(task, cancel_hook, making);
	making->hook = action_start(c, hook, START_TIMEOUT, hook_over, making);
	return TASK_WAIT;
}

const struct task_step start_container_steps[] = {
	{ "find image", find_image, NULL }, { "judge image", judge_image, NULL },  { "configure", configure, NULL },
	{ "make files", make_files, NULL }, { "create", create, uncreate },        { "created", note_created, NULL },
	{ "start", start, NULL },           { "post-start hook", run_hook, NULL }, { NULL, NULL, NULL },
};

/* Nothing runs: as upstream, an end with 128 and the words of the runtime. */
static void failed_to_start(struct making *making, const struct error *err)
{
	struct container *c = making->container;
	struct run *run;

	if (err->kind == ERR_CANCELED || err->kind == ERR_UNAVAILABLE)
		return;
	if (making->created) {
		run = new_run(making);
		run->exited = true;
		run->exit_code = 128;
		run->started_at = run->created_at;
		run->finished_at = clock_now();
		replace_text(&run->reason, "StartError");
		replace_text(&run->message, err->text);
		pod_event(c->pod, c, "Warning", "Failed", "Error: %s", err->text);
	} else if (c->wait_reason == NULL || c->not_before <= clock_now()) {
		wait_for(c, "CreateContainerError", err->text, clock_now() + 10 * NS_PER_S);
		pod_event(c->pod, c, "Warning", "Failed", "Error: %s", err->text);
	}
}

static void container_done(void *arg, struct error *err)
{
	struct making *making = arg;
	struct container *c = making->container;
	struct pod *pod = c->pod;
	void (*done)(void *, struct error *) = making->done;

	c->busy = false;
	if (err == NULL && making->hook_failed)
		container_kill(c, "FailedPostStartHook");
	else if (err == NULL || making->started) {
		if (c->now != NULL && c->now->running)
			probes_start(c);
	} else {
		failed_to_start(making, err);
	}
	arena_free(making->arena);
	free(making);
	done(pod, err);
}

struct task *pod_start_container(struct container *container, void (*done)(void *arg, struct error *err))
{
	struct pod *pod = container->pod;
	struct making *making = xcalloc(1, sizeof(*making));
	AUTO_FREE char *subject = xasprintf("%s/%s %s", pod->ns, pod->name, container->name);

	making->container = container;
	making->kubelet = pod->kubelet;
	making->store = pod->kubelet->images;
	making->arena = arena_new();
	making->done = done;
	container->busy = true;
	container->started = container->ready = false;
	return task_start(&(struct task_options){ .name = "start container",
						  .subject = subject,
						  .steps = start_container_steps,
						  .arg = making,
						  .timeout = START_TIMEOUT,
						  .done = container_done });
}
