/*
 * Volumes: where they are, how they come to be and go. Those on disk are directories below the pod's; secret and memory
 * ones are tmpfs mounts inside the node, written through descriptors that the node process opens.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubelet/private.h"

#define TOKEN_SECONDS 3600

static bool has(const struct json *volume, const char *kind)
{
	return json_get(volume, kind) != NULL;
}

static bool is_memory(const struct json *volume)
{
	return str_is(json_path_str(volume, "emptyDir.medium"), "Memory");
}

bool volume_is_payload(const struct json *volume)
{
	return has(volume, "configMap") || has(volume, "secret") || has(volume, "downwardAPI") || has(volume, "projected");
}

bool volume_is_tmpfs(const struct json *volume)
{
	return is_memory(volume) || has(volume, "secret") || has(volume, "downwardAPI") || has(volume, "projected");
}

static const char *plugin_of(const struct json *volume)
{
	return has(volume, "configMap")     ? "kubernetes.io~configmap"
	       : has(volume, "secret")      ? "kubernetes.io~secret"
	       : has(volume, "downwardAPI") ? "kubernetes.io~downward-api"
	       : has(volume, "projected")   ? "kubernetes.io~projected"
					    : "kubernetes.io~empty-dir";
}

const char *volume_path(struct arena *arena, const struct pod *pod, const struct json *volume)
{
	struct str host = json_path_str(volume, "hostPath.path");

	if (has(volume, "hostPath"))
		return str_cstr(arena, host);
	return arena_printf(arena, PODS_DIR "/%s/volumes/%s/%.*s", pod->uid, plugin_of(volume),
			    STR_ARG(json_get_str(volume, "name")));
}

static const struct json *volumes_of(const struct pod *pod)
{
	return json_path(pod_tree(pod), "spec.volumes");
}

static struct error *set_up_failed(const struct json *volume, struct error *err)
{
	return error_context(err, "MountVolume.SetUp failed for volume \"%.*s\" ", STR_ARG(json_get_str(volume, "name")));
}

/* --- facts --- */

static const struct json *find_object(void *arg, const char *kind, struct str name)
{
	struct pod *pod = arg;
	struct informer *informer = strcmp(kind, "Secret") == 0 ? pod->kubelet->secrets : pod->kubelet->config_maps;
	struct object *object = informer_find(informer, str_from(pod->ns), name);

	return object != NULL ? object_tree(object) : NULL;
}

void facts_of(struct arena *arena, struct pod *pod, struct facts *out)
{
	struct kubelet *kubelet = pod->kubelet;
	const struct json **services = ARENA_ARRAY(arena, const struct json *, informer_len(kubelet->services) + 1);
	char ip[IP_TEXT];

	*out = (struct facts){ .pod = pod_tree(pod),
			       .find = find_object,
			       .arg = pod,
			       .node_cpu_milli = kubelet->post.cpu_milli,
			       .node_memory = kubelet->post.memory,
			       .node_storage = kubelet->post.storage };
	INFORMER_EACH (kubelet->services, service) {
		bool is_api = str_is(object_namespace(service), "default") && str_is(object_name(service), "kubernetes");

		if (is_api || str_is(object_namespace(service), pod->ns))
			services[out->n_services++] = object_tree(service);
	}
	out->services = services;
	if (pod->ip.family != 0)
		out->pod_ip = str_dup(arena, ip_format(ip, pod->ip));
	out->host_ip = str_dup(arena, ip_format(ip, kubelet->options.node_ip));
}

/* --- tokens of service accounts --- */

struct token_wait {
	struct task *task;
	struct pod *pod;
	char *key;
	int64_t asked_at, seconds;
};

static void got_token(void *arg, struct api_reply *reply)
{
	struct token_wait *wait = arg;
	struct str text = json_path_str(reply->tree != NULL     ? reply->tree
					: reply->object != NULL ? object_tree(reply->object)
								: NULL,
					"status.token");
	struct token *token = map_find(&wait->pod->tokens, str_from(wait->key));
	struct error *err = reply->err;

	reply->err = NULL;
	if (err == NULL && text.len == 0)
		err = error_new(ERR_INTERNAL, "the answer holds no token");
	if (err == NULL) {
		if (token == NULL) {
			token = xcalloc(1, sizeof(*token));
			map_set(&wait->pod->tokens, str_from(wait->key), token);
		}
		free(token->text);
		token->text = xmemdup(text.ptr, text.len);
		token->refresh_at = wait->asked_at + wait->seconds * NS_PER_S * 8 / 10; /* kubelet/token: at 80 % of its life */
	}
	task_wake(wait->task, err != NULL ? error_context(err, "failed to fetch token") : NULL);
	free(wait->key);
	free(wait);
}

static char *token_key(struct str volume, struct str path)
{
	return xasprintf("%.*s/%.*s", STR_ARG(volume), STR_ARG(path));
}

static void ask_token(struct task *task, struct pod *pod, const struct json *volume, const struct json *source)
{
	struct arena *arena = task_arena(task);
	struct token_wait *wait;
	AUTO_FREE char *key = token_key(json_get_str(volume, "name"), json_get_str(source, "path"));
	const struct token *have = map_find(&pod->tokens, str_from(key));
	struct str audience = json_get_str(source, "audience");
	const struct json *seconds = json_get(source, "expirationSeconds");

	if (have != NULL && have->refresh_at > clock_now())
		return;
	wait = xcalloc(1, sizeof(*wait));
	wait->task = task;
	wait->pod = pod;
	wait->key = xstrdup(key);
	wait->asked_at = clock_now();
	wait->seconds = json_int(seconds, TOKEN_SECONDS);
	task_hold(task);
	client_call(
		pod->kubelet->client,
		&(struct api_call){
			.verb = VERB_CREATE,
			.kind = kind_must("v1", "ServiceAccount"),
			.ns = str_from(pod->ns),
			.name = json_path_str(pod_tree(pod), "spec.serviceAccountName"),
			.subresource = STR("token"),
			.body = JSON_OBJECT_OF(
				arena, { "kind", json_text(arena, "TokenRequest") },
				{ "apiVersion", json_text(arena, "authentication.k8s.io/v1") },
				{ "spec",
				  JSON_OBJECT_OF(arena,
						 { "audiences",
						   audience.len != 0 ? JSON_ARRAY_OF(arena, json_string(arena, audience)) : NULL },
						 { "expirationSeconds", json_number(arena, wait->seconds) },
						 { "boundObjectRef", JSON_OBJECT_OF(arena, { "kind", json_text(arena, "Pod") },
										    { "apiVersion", json_text(arena, "v1") },
										    { "name", json_text(arena, pod->name) },
										    { "uid", json_text(arena, pod->uid) }) }) }),
			.done = got_token,
			.arg = wait });
}

static struct str token_text(void *arg, struct str volume, struct str path)
{
	struct pod *pod = arg;
	AUTO_FREE char *key = token_key(volume, path);
	const struct token *token = map_find(&pod->tokens, str_from(key));

	return token != NULL ? str_from(token->text) : (struct str){ NULL, 0 };
}

/* Asks for what must be asked for, and sees that all is there, before anything is made. */
enum task_result volumes_fetch(struct task *task, struct pod *pod)
{
	bool asked = false;

	JSON_EACH (volumes_of(pod), volume)
		JSON_EACH (json_path(volume.value, "projected.sources"), it) {
			const struct json *source = json_get(it.value, "serviceAccountToken");
			AUTO_FREE char *key = token_key(json_get_str(volume.value, "name"), json_get_str(source, "path"));
			const struct token *have = map_find(&pod->tokens, str_from(key));

			if (source == NULL || (have != NULL && have->refresh_at > clock_now()))
				continue;
			asked = true;
			ask_token(task, pod, volume.value, source);
		}
	return asked ? TASK_WAIT : TASK_NEXT;
}

/* --- making --- */

static struct error *make_host_path(struct kubelet *kubelet, const struct json *volume)
{
	AUTO_FREE char *path = xmemdup(json_path_str(volume, "hostPath.path").ptr, json_path_str(volume, "hostPath.path").len);
	struct str type = json_path_str(volume, "hostPath.type");
	AUTO_FD int fd = -1;
	struct stat st = { 0 };
	struct error *err = root_open(kubelet, path, O_PATH, &fd);
	static const struct {
		const char *type;
		mode_t mode;
		const char *what;
	} checks[] = { { "Directory", S_IFDIR, "a directory" },
		       { "DirectoryOrCreate", S_IFDIR, "a directory" },
		       { "File", S_IFREG, "a file" },
		       { "FileOrCreate", S_IFREG, "a file" },
		       { "Socket", S_IFSOCK, "a socket file" },
		       { "CharDevice", S_IFCHR, "a character device" },
		       { "BlockDevice", S_IFBLK, "a block device" } };

	if (err != NULL && err->kind == ERR_NOT_FOUND) {
		if (type.len == 0 || str_is(type, "DirectoryOrCreate")) {
			error_free(err);
			return root_mkdir(kubelet, path, 0755);
		}
		if (str_is(type, "FileOrCreate")) {
			error_free(err);
			return root_write(kubelet, path, STR(""), 0644);
		}
	}
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (!str_is(type, checks[i].type))
			continue;
		if (err == NULL && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == checks[i].mode)
			return NULL;
		error_free(err);
		return error_new(ERR_INVALID, "hostPath type check failed: %s is not %s", path, checks[i].what);
	}
	return err;
}

static bool is_supported(const struct json *volume)
{
	return volume_is_payload(volume) || has(volume, "emptyDir") || has(volume, "hostPath");
}

/* fsGroup: the group owns it and passes itself on. */
static struct error *own_directory(struct kubelet *kubelet, const struct json *tree, const char *path)
{
	const struct json *group = json_path(tree, "spec.securityContext.fsGroup");
	AUTO_FD int fd = -1;
	struct error *err;

	if (group == NULL)
		return NULL;
	err = root_open(kubelet, path, O_RDONLY | O_DIRECTORY, &fd);
	if (err == NULL && (fchown(fd, (uid_t)-1, (gid_t)json_int(group, 0)) != 0 || fchmod(fd, 02777) != 0))
		err = error_errno(errno, "change the owner of %s", path);
	return err;
}

/* The job that makes directories. */
struct making {
	struct kubelet *kubelet; /* only its root is looked at */
	const struct json *tree; /* of the pod */
	const char *dir;
	const char **paths; /* of each volume */
};

static struct error *make_directory(const struct making *making, const struct json *volume, const char *path)
{
	struct error *err;

	if (!is_supported(volume))
		return error_new(ERR_UNSUPPORTED, "no volume plugin matched");
	if (has(volume, "hostPath"))
		return make_host_path(making->kubelet, volume);
	err = root_mkdir(making->kubelet, path, has(volume, "emptyDir") ? 0777 : 0755);
	if (err == NULL && has(volume, "emptyDir") && !is_memory(volume))
		err = own_directory(making->kubelet, making->tree, path);
	return err;
}

static struct error *make_directories(void *in)
{
	const struct making *making = in;
	struct error *err = root_mkdir(making->kubelet, making->dir, 0750);

	JSON_EACH (json_path(making->tree, "spec.volumes"), it) {
		if (err != NULL)
			return err;
		err = make_directory(making, it.value, making->paths[it.index]);
		if (err != NULL)
			err = set_up_failed(it.value, err);
	}
	return err;
}

static const char *tmpfs_options(struct arena *arena, struct pod *pod, const struct json *volume)
{
	struct quantity limit = quantity_of(json_path(volume, "emptyDir.sizeLimit"));
	int64_t group = json_int(json_path(pod_tree(pod), "spec.securityContext.fsGroup"), -1);
	const char *mode = !is_memory(volume) ? "mode=755"
			   : group >= 0       ? arena_printf(arena, "mode=2777,gid=%lld", (long long)group)
					      : "mode=777";

	return quantity_sign(&limit) > 0 ? arena_printf(arena, "%s,size=%lld", mode, (long long)quantity_value(&limit)) : mode;
}

struct mounting {
	struct task *task;
	struct pod *pod;
	const struct json *volume; /* of the pod's object, which the task holds */
};

static void mounted(void *arg, struct node_reply *reply)
{
	struct mounting *mounting = arg;
	struct error *err = reply->err;

	reply->err = NULL;
	task_wake(mounting->task, err != NULL ? set_up_failed(mounting->volume, err) : NULL);
}

static struct mounting *mounting_new(struct task *task, struct pod *pod, const struct json *volume)
{
	struct mounting *mounting = ARENA_NEW(task_arena(task), struct mounting);

	object_keep(task_arena(task), pod->object);
	*mounting = (struct mounting){ task, pod, volume };
	return mounting;
}

enum task_result volumes_make(struct task *task, struct pod *pod)
{
	struct arena *arena = task_arena(task);
	const struct json *volumes = volumes_of(pod);
	struct making *making = ARENA_NEW(arena, struct making);
	struct facts facts;

	*making = (struct making){ .kubelet = pod->kubelet,
				   .tree = pod_tree(pod),
				   .dir = arena_printf(arena, "%s/volumes", pod_dir(arena, pod)),
				   .paths = ARENA_ARRAY(arena, const char *, json_len(volumes)) };
	object_keep(arena, pod->object);
	facts_of(arena, pod, &facts);
	JSON_EACH (volumes, it) {
		struct payload payload = { 0 };
		struct error *err = NULL;

		making->paths[it.index] = volume_path(arena, pod, it.value);
		if (volume_is_payload(it.value)) /* before anything is made */
			err = payload_build(arena, &facts, it.value, token_text, pod, &payload);
		vec_fini(&payload.files);
		if (err != NULL)
			return task_fail(task, set_up_failed(it.value, err));
	}
	return task_job(task, NULL, make_directories, making);
}

enum task_result volumes_mount(struct task *task, struct pod *pod)
{
	struct arena *arena = task_arena(task);
	struct node_client *client = link_client(pod->kubelet);

	if (client == NULL)
		return task_fail(task, link_absent_error(pod->kubelet));
	JSON_EACH (volumes_of(pod), it) {
		const char *path = volume_path(arena, pod, it.value);

		if (!volume_is_tmpfs(it.value))
			continue;
		task_hold(task);
		node_mount(client,
			   &(struct node_mount){ .kind = "tmpfs", .path = path, .data = tmpfs_options(arena, pod, it.value) },
			   mounted, mounting_new(task, pod, it.value));
	}
	task_hold(task);
	task_wake(task, NULL);
	return TASK_WAIT;
}

/* --- filling --- */

/* The job that writes one volume's files. */
struct filling {
	const struct json *volume;
	struct payload payload;
	int dir;
	int64_t group;
};

static void filling_fini(void *arg)
{
	struct filling *filling = arg;

	vec_fini(&filling->payload.files);
	fd_close(&filling->dir);
}

static struct error *write_payload(void *in)
{
	const struct filling *filling = in;
	struct error *err = payload_write(filling->dir, &filling->payload, filling->group);

	return err != NULL ? set_up_failed(filling->volume, err) : NULL;
}

static void opened(void *arg, struct node_reply *reply)
{
	struct mounting *mounting = arg;
	struct task *task = mounting->task;
	struct arena *arena = task_arena(task);
	struct filling *filling = ARENA_NEW(arena, struct filling);
	struct error *err = reply->err;
	struct facts facts;

	reply->err = NULL;
	*filling = (struct filling){ .volume = mounting->volume,
				     .dir = -1,
				     .group = json_int(json_path(pod_tree(mounting->pod), "spec.securityContext.fsGroup"), -1) };
	arena_defer(arena, filling_fini, filling);
	facts_of(arena, mounting->pod, &facts);
	if (err == NULL)
		err = payload_build(arena, &facts, mounting->volume, token_text, mounting->pod, &filling->payload);
	if (err == NULL) {
		filling->dir = fd_take(&reply->fds[0]);
		task_work(task, NULL, write_payload, filling);
	}
	task_wake(task, err != NULL ? set_up_failed(mounting->volume, err) : NULL);
}

enum task_result volumes_fill(struct task *task, struct pod *pod)
{
	struct node_client *client = link_client(pod->kubelet);
	bool any = false;

	if (client == NULL)
		return task_fail(task, link_absent_error(pod->kubelet));
	JSON_EACH (volumes_of(pod), it) {
		if (!volume_is_payload(it.value))
			continue;
		any = true;
		task_hold(task);
		node_open(client,
			  &(struct node_open){ .path = volume_path(task_arena(task), pod, it.value),
					       .flags = O_RDONLY | O_DIRECTORY },
			  opened, mounting_new(task, pod, it.value));
	}
	return any ? TASK_WAIT : TASK_NEXT;
}

/* --- changing --- */

static enum task_result refetch(struct task *task, void *arg)
{
	return volumes_fetch(task, arg);
}

static enum task_result refill(struct task *task, void *arg)
{
	return volumes_fill(task, arg);
}

static const struct task_step refresh_steps[] = {
	{ "read volumes", refetch, NULL },
	{ "fill volumes", refill, NULL },
	{ NULL, NULL, NULL },
};

struct task *volumes_refresh(struct pod *pod, void (*done)(void *arg, struct error *err))
{
	return task_start(&(struct task_options){ .name = "refresh volumes",
						  .subject = pod->name,
						  .steps = refresh_steps,
						  .arg = pod,
						  .timeout = CALL_TIMEOUT,
						  .done = done });
}

static bool names(const struct json *source, const char *field, struct str name)
{
	return source != NULL && str_eq(json_get_str(source, field), name);
}

bool volumes_show(const struct pod *pod, const char *kind, struct str name)
{
	bool secret = strcmp(kind, "Secret") == 0;

	JSON_EACH (volumes_of(pod), it) {
		if (secret ? names(json_get(it.value, "secret"), "secretName", name)
			   : names(json_get(it.value, "configMap"), "name", name))
			return true;
		JSON_EACH (json_path(it.value, "projected.sources"), source)
			if (names(json_get(source.value, secret ? "secret" : "configMap"), "name", name))
				return true;
	}
	return false;
}

/* --- going --- */

enum task_result volumes_unmount(struct task *task, struct pod *pod)
{
	struct node_client *client = link_client(pod->kubelet);
	bool any = false;

	if (client == NULL)
		return TASK_NEXT; /* they went with the node */
	JSON_EACH (volumes_of(pod), it) {
		const char *path;

		if (!volume_is_tmpfs(it.value))
			continue;
		path = volume_path(task_arena(task), pod, it.value);
		any = true;
		task_hold(task);
		node_unmount(client, &(struct node_ref){ .id = path }, link_woken_absent, task);
	}
	return any ? TASK_WAIT : TASK_NEXT;
}
