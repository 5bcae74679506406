/* The Node and its Lease: registered, renewed, and changed only when something changed. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kubelet/private.h"

#define LOOK_EVERY      (10 * NS_PER_S)  /* nodeStatusUpdateFrequency */
#define POST_EVERY      (300 * NS_PER_S) /* nodeStatusReportFrequency */
#define LEASE_EVERY     (10 * NS_PER_S)
#define LEASE_SECONDS   40
#define RESERVED_MEMORY (100LL << 20) /* evictionHard: memory.available<100Mi */

static void post(void *arg);
static void renew(void *arg);

/* --- what the machine is --- */

static struct str machine_file(struct arena *arena, const char *path)
{
	AUTO_FILE FILE *file = fopen(path, "re");
	char *text = arena_alloc(arena, 4096);
	size_t n = file != NULL ? fread(text, 1, 4095, file) : 0;

	return str_trim(str_of(text, n));
}

static struct str os_name(struct arena *arena)
{
	struct str rest = machine_file(arena, "/etc/os-release"), line;

	while (str_cut(&rest, '\n', &line)) {
		if (!str_has_prefix(line, STR("PRETTY_NAME=")))
			continue;
		line = str_skip(line, 12);
		return line.len >= 2 && line.ptr[0] == '"' ? str_of(line.ptr + 1, line.len - 2) : line;
	}
	return STR("Linux");
}

static const char *architecture(void)
{
#if defined(__aarch64__)
	return "arm64";
#else
	return "amd64";
#endif
}

static void measure(struct kubelet *kubelet)
{
	struct node_post *post = &kubelet->post;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct statvfs fs;
	struct sysinfo info;

	post->cpu_milli = (cpus > 0 ? cpus : 1) * 1000;
	if (sysinfo(&info) == 0)
		post->memory = (int64_t)info.totalram * info.mem_unit;
	if (statvfs(kubelet->options.node_root, &fs) == 0)
		post->storage = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
}

/* In Ki, as upstream says it. */
static const struct json *kibi(struct arena *arena, int64_t bytes)
{
	return json_printf(arena, "%lldKi", (long long)(bytes / 1024));
}

static const struct json *amounts(struct arena *arena, const struct node_post *post, bool allocatable)
{
	int64_t memory = allocatable && post->memory > 2 * RESERVED_MEMORY ? post->memory - RESERVED_MEMORY : post->memory;

	return JSON_OBJECT_OF(arena, { "cpu", json_printf(arena, "%lld", (long long)(post->cpu_milli / 1000)) },
			      { "ephemeral-storage", allocatable ? json_printf(arena, "%lld", (long long)(post->storage / 10 * 9))
								 : kibi(arena, post->storage) },
			      { "hugepages-1Gi", json_text(arena, "0") }, { "hugepages-2Mi", json_text(arena, "0") },
			      { "memory", kibi(arena, memory) }, { "pods", json_printf(arena, "%d", LIMIT_PODS_PER_NODE) });
}

static const struct json *node_info(struct arena *arena)
{
	struct str machine = machine_file(arena, "/etc/machine-id");
	struct utsname *name = ARENA_NEW(arena, struct utsname);

	uname(name);
	return JSON_OBJECT_OF(arena, { "machineID", json_string(arena, machine) }, { "systemUUID", json_string(arena, machine) },
			      { "bootID", json_string(arena, machine_file(arena, "/proc/sys/kernel/random/boot_id")) },
			      { "kernelVersion", json_text(arena, name->release) },
			      { "osImage", json_string(arena, os_name(arena)) },
			      { "containerRuntimeVersion", json_text(arena, "monokube://" MONOKUBE_VERSION) },
			      { "kubeletVersion", json_text(arena, KUBELET_VERSION) }, { "kubeProxyVersion", json_text(arena, "") },
			      { "operatingSystem", json_text(arena, "linux") },
			      { "architecture", json_text(arena, architecture()) });
}

static const struct json *addresses(struct arena *arena, const struct kubelet *kubelet)
{
	char ip[IP_TEXT];

	ip_format(ip, kubelet->options.node_ip);
	return JSON_ARRAY_OF(arena,
			     JSON_OBJECT_OF(arena, { "type", json_text(arena, "InternalIP") },
					    { "address", json_string_copy(arena, str_from(ip)) }),
			     JSON_OBJECT_OF(arena, { "type", json_text(arena, "Hostname") },
					    { "address", json_text(arena, kubelet->options.node_name) }));
}

static const struct json *labels(struct arena *arena, const struct kubelet *kubelet)
{
	return JSON_OBJECT_OF(
		arena, { "beta.kubernetes.io/arch", json_text(arena, architecture()) },
		{ "beta.kubernetes.io/os", json_text(arena, "linux") }, { "kubernetes.io/arch", json_text(arena, architecture()) },
		{ "kubernetes.io/hostname", json_text(arena, kubelet->options.node_name) },
		{ "kubernetes.io/os", json_text(arena, "linux") },
		{ "node-role.kubernetes.io/control-plane", kubelet->options.control_plane ? &json_empty_string : NULL });
}

/* --- conditions --- */

static const struct json *condition(struct arena *arena, const struct json *node, const char *type, bool status, const char *reason,
				    const char *message, bool beat)
{
	const struct json *old = condition_of(node, type);
	const char *text = status ? "True" : "False";
	bool same = str_is(json_get_str(old, "status"), text);
	const struct json *now = time_json(arena, clock_now());

	return JSON_OBJECT_OF(arena, { "type", json_text(arena, type) }, { "status", json_text(arena, text) },
			      { "lastHeartbeatTime", beat || old == NULL ? now : json_get(old, "lastHeartbeatTime") },
			      { "lastTransitionTime", same ? json_get(old, "lastTransitionTime") : now },
			      { "reason", json_text(arena, reason) }, { "message", json_text(arena, message) });
}

static const struct json *conditions(struct arena *arena, const struct kubelet *kubelet, const struct json *node, bool beat)
{
	bool up = !kubelet->link.away, ready = up && (kubelet->has_cidr || json_path(node, "spec.podCIDR") != NULL);
	struct json_builder list = { .arena = arena };
	const char *message = !up      ? kubelet->link.trouble
			      : !ready ? "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
					 "message:Network plugin returns error: the node has no pod range yet"
				       : "kubelet is posting ready status";
	const char *const own[] = { "MemoryPressure", "DiskPressure", "PIDPressure", "Ready" };

	JSON_EACH (json_path(node, "status.conditions"), it) {
		bool is_own = false;

		for (size_t i = 0; i < 4; i++)
			is_own = is_own || str_is(json_get_str(it.value, "type"), own[i]);
		if (!is_own)
			json_builder_item(&list, it.value);
	}
	json_builder_item(&list, condition(arena, node, own[0], false, "KubeletHasSufficientMemory",
					   "kubelet has sufficient memory available", beat));
	json_builder_item(&list,
			  condition(arena, node, own[1], false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure", beat));
	json_builder_item(&list, condition(arena, node, own[2], false, "KubeletHasSufficientPID",
					   "kubelet has sufficient PID available", beat));
	json_builder_item(&list, condition(arena, node, own[3], ready, ready ? "KubeletReady" : "KubeletNotReady", message, beat));
	return json_builder_array(&list);
}

static const struct json *status(struct arena *arena, const struct kubelet *kubelet, const struct json *node, bool beat)
{
	const struct json *old = json_get(node, "status");

	old = json_with(arena, old, "capacity", amounts(arena, &kubelet->post, false));
	old = json_with(arena, old, "allocatable", amounts(arena, &kubelet->post, true));
	old = json_with(arena, old, "conditions", conditions(arena, kubelet, node, beat));
	old = json_with(arena, old, "addresses", addresses(arena, kubelet));
	old = json_with_path(arena, old, "daemonEndpoints.kubeletEndpoint.Port", json_number(arena, 10250));
	return json_with(arena, old, "nodeInfo", node_info(arena));
}

/* --- registration --- */

static void again(struct kubelet *kubelet, int64_t wait)
{
	loop_timer_start(&kubelet->post.timer, wait, post, kubelet);
}

static void registered(void *arg, struct api_reply *reply)
{
	struct kubelet *kubelet = arg;

	kubelet->post.call = NULL;
	if (reply->err != NULL && reply->err->kind != ERR_EXISTS) {
		log_warn("node was not registered", "node=%s error=%s", kubelet->options.node_name, reply->err->text);
		again(kubelet, NS_PER_S);
		return;
	}
	again(kubelet, 10 * NS_PER_MS); /* the informer brings it */
}

static void create(struct kubelet *kubelet)
{
	struct arena *arena = arena_new();

	kubelet->post.call = client_call(
		kubelet->client,
		&(struct api_call){
			.verb = VERB_CREATE,
			.kind = kind_must("v1", "Node"),
			.body = JSON_OBJECT_OF(
				arena, { "kind", json_text(arena, "Node") }, { "apiVersion", json_text(arena, "v1") },
				{ "metadata",
				  JSON_OBJECT_OF(arena, { "name", json_text(arena, kubelet->options.node_name) },
						 { "labels", labels(arena, kubelet) },
						 { "annotations",
						   JSON_OBJECT_OF(arena, { "volumes.kubernetes.io/controller-managed-attach-detach",
									   json_text(arena, "true") }) }) },
				{ "spec", &json_empty_object }, { "status", status(arena, kubelet, NULL, true) }),
			.done = registered,
			.arg = kubelet });
	arena_free(arena);
}

/* --- status --- */

static void tell_ready(struct kubelet *kubelet, struct object *node, bool ready)
{
	struct node_post *post = &kubelet->post;

	if (post->posted_ready == ready)
		return;
	post->posted_ready = ready;
	if (!post->was_ready || !ready)
		client_event(kubelet->client,
			     &(struct client_event){ .about = node,
						     .type = "Normal",
						     .reason = ready ? "NodeReady" : "NodeNotReady",
						     .component = "kubelet",
						     .host = kubelet->options.node_name },
			     "Node %s status is now: %s", kubelet->options.node_name, ready ? "NodeReady" : "NodeNotReady");
	post->was_ready = ready;
	log_info(ready ? "node is ready" : "node is not ready", "node=%s", kubelet->options.node_name);
	if (ready)
		kubelet_poke_all(kubelet);
}

static void posted(void *arg, struct api_reply *reply)
{
	struct kubelet *kubelet = arg;
	struct node_post *post = &kubelet->post;

	post->call = NULL;
	if (reply->err != NULL) {
		if (reply->err->kind != ERR_CONFLICT)
			log_warn("node status was not written", "node=%s error=%s", kubelet->options.node_name, reply->err->text);
		post->dirty = true;
		again(kubelet, (reply->err->kind == ERR_CONFLICT ? 20 : 200) * NS_PER_MS);
		return;
	}
	post->posted_at = clock_mono();
	object_unref(post->written);
	post->written = reply->object != NULL ? object_ref(reply->object) : NULL;
	if (reply->object != NULL)
		tell_ready(kubelet, reply->object, condition_true(object_tree(reply->object), "Ready"));
	again(kubelet, post->dirty ? NS_PER_MS : LOOK_EVERY);
}

static void update(struct kubelet *kubelet, struct object *node)
{
	struct node_post *post = &kubelet->post;
	struct arena *arena = arena_new();
	const struct json *tree = object_tree(node), *now, *normal = NULL;
	bool beat = post->posted_at == 0 || clock_mono() - post->posted_at >= POST_EVERY;
	const struct type *type = field_type(type_find(kind_type(object_kind(node)), STR("status")));
	struct error *err = api_normalize(arena, type, status(arena, kubelet, tree, beat), NULL, &now);

	if (err == NULL && !beat && !json_equal(now, json_get(tree, "status"))) {
		beat = true;
		err = api_normalize(arena, type, status(arena, kubelet, tree, true), NULL, &normal);
	} else {
		normal = now;
	}
	post->dirty = false;
	if (post->posted_at == 0) /* as the server before us left it */
		post->was_ready = condition_true(tree, "Ready");
	if (err != NULL || !beat) {
		log_consume(LOG_ERROR, err, "node status");
		again(kubelet, LOOK_EVERY);
	} else {
		post->call = client_call(kubelet->client, &(struct api_call){ .verb = VERB_UPDATE,
									      .kind = object_kind(node),
									      .name = object_name(node),
									      .subresource = STR("status"),
									      .body = json_with(arena, tree, "status", normal),
									      .done = posted,
									      .arg = kubelet });
	}
	arena_free(arena);
}

static void post(void *arg)
{
	struct kubelet *kubelet = arg;
	struct object *node;

	if (kubelet->post.call != NULL) {
		kubelet->post.dirty = true;
		return;
	}
	if (!informer_synced(kubelet->nodes)) {
		again(kubelet, 10 * NS_PER_MS);
		return;
	}
	measure(kubelet);
	node = informer_find(kubelet->nodes, (struct str){ NULL, 0 }, str_from(kubelet->options.node_name));
	if (node == NULL)
		create(kubelet);
	else if (!kubelet->link.settled)
		again(kubelet, 5 * NS_PER_MS);
	else if (kubelet->post.written != NULL && object_revision(kubelet->post.written) > object_revision(node))
		update(kubelet, kubelet->post.written); /* what we wrote has not come back yet */
	else
		update(kubelet, node);
}

void node_post_soon(struct kubelet *kubelet)
{
	kubelet->post.dirty = true;
	if (kubelet->post.call == NULL)
		again(kubelet, 0);
}

/* --- the lease --- */

static void renewed(void *arg, struct api_reply *reply)
{
	struct kubelet *kubelet = arg;
	bool failed = reply->err != NULL && reply->err->kind != ERR_EXISTS && reply->err->kind != ERR_CONFLICT;

	kubelet->post.lease_call = NULL;
	kubelet->post.has_lease = reply->err == NULL || reply->err->kind != ERR_NOT_FOUND;
	if (failed && reply->err->kind != ERR_NOT_FOUND)
		log_warn("lease was not renewed", "node=%s error=%s", kubelet->options.node_name, reply->err->text);
	loop_timer_start(&kubelet->post.lease_timer, failed ? NS_PER_S / 5 : LEASE_EVERY, renew, kubelet);
}

static void renew(void *arg)
{
	struct kubelet *kubelet = arg;
	struct object *node = informer_find(kubelet->nodes, (struct str){ NULL, 0 }, str_from(kubelet->options.node_name));
	struct arena *arena;
	const struct json *spec, *owner;
	char now[TIME_TEXT];
	bool exists = kubelet->post.has_lease;

	if (node == NULL) {
		loop_timer_start(&kubelet->post.lease_timer, NS_PER_S / 5, renew, kubelet);
		return;
	}
	arena = arena_new();
	spec = JSON_OBJECT_OF(arena, { "holderIdentity", json_text(arena, kubelet->options.node_name) },
			      { "leaseDurationSeconds", json_number(arena, LEASE_SECONDS) },
			      { "renewTime", json_string_copy(arena, time_format_micro(now, clock_now())) });
	owner = JSON_OBJECT_OF(arena, { "apiVersion", json_text(arena, "v1") }, { "kind", json_text(arena, "Node") },
			       { "name", json_text(arena, kubelet->options.node_name) },
			       { "uid", json_string(arena, object_uid(node)) });
	/* the first write finds out whether it is there: a patch without the owner does not make one */
	kubelet->post.lease_call = client_call(
		kubelet->client,
		&(struct api_call){
			.verb = exists ? VERB_PATCH : VERB_CREATE,
			.patch = API_PATCH_MERGE,
			.kind = kind_must("coordination.k8s.io/v1", "Lease"),
			.ns = STR("kube-node-lease"),
			.name = exists ? str_from(kubelet->options.node_name) : (struct str){ NULL, 0 },
			.body = exists ? JSON_OBJECT_OF(arena, { "spec", spec })
				       : JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Lease") },
							{ "apiVersion", json_text(arena, "coordination.k8s.io/v1") },
							{ "metadata",
							  JSON_OBJECT_OF(arena,
									 { "name", json_text(arena, kubelet->options.node_name) },
									 { "namespace", json_text(arena, "kube-node-lease") },
									 { "ownerReferences", JSON_ARRAY_OF(arena, owner) }) },
							{ "spec", spec }),
			.done = renewed,
			.arg = kubelet });
	arena_free(arena);
}

void node_post_start(struct kubelet *kubelet)
{
	measure(kubelet);
	again(kubelet, 0);
	loop_timer_start(&kubelet->post.lease_timer, 100 * NS_PER_MS, renew, kubelet);
}

void node_post_stop(struct kubelet *kubelet)
{
	struct node_post *post = &kubelet->post;

	loop_timer_stop(&post->timer);
	loop_timer_stop(&post->lease_timer);
	if (post->call != NULL)
		client_cancel(kubelet->client, post->call);
	if (post->lease_call != NULL)
		client_cancel(kubelet->client, post->lease_call);
	post->call = post->lease_call = NULL;
	object_unref(post->written);
	post->written = NULL;
}
