/* Files that volumes and sandboxes show: their content, and the writer that changes all of a volume at once. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kubelet/private.h"

/* --- content --- */

static void add_file(struct payload *out, struct str path, struct str data, unsigned mode)
{
	vec_push(&out->files, (struct payload_file){ path, data, mode, -1 });
}

static struct str decode(struct arena *arena, struct str text)
{
	struct buf raw = { 0 };
	struct str result;

	base64_decode(&raw, text);
	result = str_dup(arena, buf_str(&raw));
	buf_fini(&raw);
	return result;
}

/* All keys, or those of items under their names. */
static struct error *add_object(struct payload *out, const struct facts *facts, const char *kind, const struct json *source,
				struct str name, unsigned mode)
{
	const struct json *object = facts->find(facts->arg, kind, name), *items = json_get(source, "items");
	bool optional = json_bool(json_get(source, "optional")), secret = strcmp(kind, "Secret") == 0;

	if (object == NULL)
		return optional ? NULL
				: error_new(ERR_NOT_FOUND, "%s \"%.*s\" not found", secret ? "secret" : "configmap", STR_ARG(name));
	if (items == NULL) {
		JSON_EACH (json_get(object, "data"), it)
			add_file(out, it.key, secret ? decode(out->arena, json_str(it.value)) : json_str(it.value), mode);
		JSON_EACH (json_get(object, "binaryData"), it)
			add_file(out, it.key, decode(out->arena, json_str(it.value)), mode);
		return NULL;
	}
	JSON_EACH (items, it) {
		struct str key = json_get_str(it.value, "key");
		const struct json *text = json_find(json_get(object, "data"), key);
		const struct json *binary = json_find(json_get(object, "binaryData"), key);

		if (text == NULL && binary == NULL) {
			if (optional)
				continue;
			return error_new(ERR_NOT_FOUND, "references non-existent %s key: %.*s", secret ? "secret" : "config",
					 STR_ARG(key));
		}
		add_file(out, json_get_str(it.value, "path"),
			 text != NULL && !secret ? json_str(text) : decode(out->arena, json_str(text != NULL ? text : binary)),
			 (unsigned)json_int(json_get(it.value, "mode"), mode));
	}
	return NULL;
}

static struct error *add_downward(struct payload *out, const struct facts *facts, const struct json *source, unsigned mode)
{
	JSON_EACH (json_get(source, "items"), it) {
		const struct json *field = json_get(it.value, "fieldRef"), *resource = json_get(it.value, "resourceFieldRef");
		struct str value = { NULL, 0 };
		struct error *err = NULL;

		if (field != NULL)
			err = facts_field(out->arena, facts, json_get_str(field, "fieldPath"), &value);
		else if (resource != NULL)
			err = facts_resource(out->arena, facts, resource, (struct str){ NULL, 0 }, &value);
		if (err != NULL)
			return err;
		add_file(out, json_get_str(it.value, "path"), value, (unsigned)json_int(json_get(it.value, "mode"), mode));
	}
	return NULL;
}

static struct error *add_projected(struct payload *out, const struct facts *facts, const struct json *volume,
				   struct str (*token)(void *arg, struct str volume, struct str path), void *arg)
{
	const struct json *projected = json_get(volume, "projected");
	unsigned mode = (unsigned)json_int(json_get(projected, "defaultMode"), 0644);
	struct error *err = NULL;

	JSON_EACH (json_get(projected, "sources"), it) {
		const struct json *source;

		if (err != NULL)
			break;
		if ((source = json_get(it.value, "configMap")) != NULL)
			err = add_object(out, facts, "ConfigMap", source, json_get_str(source, "name"), mode);
		else if ((source = json_get(it.value, "secret")) != NULL)
			err = add_object(out, facts, "Secret", source, json_get_str(source, "name"), mode);
		else if ((source = json_get(it.value, "downwardAPI")) != NULL)
			err = add_downward(out, facts, source, mode);
		else if ((source = json_get(it.value, "serviceAccountToken")) != NULL)
			add_file(out, json_get_str(source, "path"),
				 token(arg, json_get_str(volume, "name"), json_get_str(source, "path")), mode);
		else
			err = error_new(ERR_UNSUPPORTED, "this source of a projected volume is not supported");
	}
	return err;
}

struct error *payload_build(struct arena *arena, const struct facts *facts, const struct json *volume,
			    struct str (*token)(void *arg, struct str volume, struct str path), void *arg, struct payload *out)
{
	const struct json *source;

	*out = (struct payload){ .arena = arena };
	if ((source = json_get(volume, "configMap")) != NULL)
		return add_object(out, facts, "ConfigMap", source, json_get_str(source, "name"),
				  (unsigned)json_int(json_get(source, "defaultMode"), 0644));
	if ((source = json_get(volume, "secret")) != NULL)
		return add_object(out, facts, "Secret", source, json_get_str(source, "secretName"),
				  (unsigned)json_int(json_get(source, "defaultMode"), 0644));
	if ((source = json_get(volume, "downwardAPI")) != NULL)
		return add_downward(out, facts, source, (unsigned)json_int(json_get(source, "defaultMode"), 0644));
	return add_projected(out, facts, volume, token, arg);
}

/* --- writing --- */

static struct error *write_file(int dir, const struct payload_file *file, int64_t group)
{
	AUTO_FREE char *path = xmemdup(file->path.ptr, file->path.len);
	AUTO_FD int fd = -1;
	unsigned mode = file->mode | (group >= 0 ? 0440 : 0);
	struct error *err;

	for (char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdirat(dir, path, 0755) != 0 && errno != EEXIST)
			return error_errno(errno, "make directory %s", path);
		*at = '/';
	}
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(errno, "write %s", path);
	err = fd_write_all(fd, file->data);
	if (err != NULL)
		return error_context(err, "%s", path);
	if ((group >= 0 || file->owner >= 0) &&
	    fchown(fd, file->owner >= 0 ? (uid_t)file->owner : (uid_t)-1, group >= 0 ? (gid_t)group : (gid_t)-1) != 0)
		return error_errno(errno, "change the owner of %s", path);
	return fchmod(fd, (mode_t)mode) == 0 ? NULL : error_errno(errno, "change the mode of %s", path);
}

static void dir_each(int dir, void (*fn)(int dir, const char *name, const void *arg), const void *arg)
{
	AUTO_DIR DIR *list = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;

	while (list != NULL && (entry = readdir(list)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fn(dir, entry->d_name, arg);
}

static bool is_shown(const struct payload *payload, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < payload->files.len; i++) {
		struct str path = payload->files.ptr[i].path;

		if (path.len >= len && memcmp(path.ptr, name, len) == 0 && (path.len == len || path.ptr[len] == '/'))
			return true;
	}
	return false;
}

/* A name that was there before and is no more. */
static void drop_stale(int dir, const char *name, const void *arg)
{
	if (strncmp(name, "..", 2) != 0 && !is_shown(arg, name))
		unlinkat(dir, name, 0);
}

static struct error *link_names(int dir, const struct payload *payload)
{
	for (size_t i = 0; i < payload->files.len; i++) {
		struct str rest = payload->files.ptr[i].path, first;
		char name[256], target[280];

		str_cut(&rest, '/', &first);
		if (first.len >= sizeof(name))
			return error_errno(ENAMETOOLONG, "show %.*s", STR_ARG(first));
		snprintf(name, sizeof(name), "%.*s", STR_ARG(first));
		snprintf(target, sizeof(target), "..data/%s", name);
		if (symlinkat(target, dir, name) != 0 && errno != EEXIST)
			return error_errno(errno, "show %s", name);
	}
	return NULL;
}

struct error *payload_write(int dir, const struct payload *payload, int64_t group)
{
	char name[64], stamp[TIME_TEXT], old[64] = "";
	int64_t now = clock_now();
	AUTO_FD int to = -1;
	struct error *err = NULL;
	ssize_t n = readlinkat(dir, "..data", old, sizeof(old) - 1);

	old[n > 0 ? n : 0] = '\0';
	time_format(stamp, now);
	snprintf(name, sizeof(name), "..%.10s_%.2s_%.2s_%.2s.%09lld", stamp, stamp + 11, stamp + 14, stamp + 17,
		 (long long)(now % NS_PER_S));
	for (char *at = name; *at != '\0'; at++)
		*at = (char)(*at == '-' ? '_' : *at);
	if (mkdirat(dir, name, 0755) != 0)
		return error_errno(errno, "make directory %s", name);
	to = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0 || fchmod(to, 0755) != 0)
		return error_errno(errno, "open %s", name);
	for (size_t i = 0; i < payload->files.len && err == NULL; i++)
		err = write_file(to, &payload->files.ptr[i], group);
	if (err == NULL) {
		unlinkat(dir, "..data_tmp", 0);
		if (symlinkat(name, dir, "..data_tmp") != 0 || renameat(dir, "..data_tmp", dir, "..data") != 0)
			err = error_errno(errno, "switch to %s", name);
	}
	if (err == NULL)
		err = link_names(dir, payload);
	if (err == NULL) {
		dir_each(dir, drop_stale, payload);
		if (old[0] != '\0')
			error_free(dir_remove(dir, old)); /* else it is in nobody's way */
	}
	return err;
}

/* --- files of the sandbox --- */

struct str pod_hostname(struct arena *arena, const struct json *pod)
{
	struct str name = json_path_str(pod, "spec.hostnameOverride");

	if (name.len == 0)
		name = json_path_str(pod, "spec.hostname");
	if (name.len == 0)
		name = json_path_str(pod, "metadata.name");
	name = str_head(name, name.len < 63 ? name.len : 63);
	while (name.len != 0 && (name.ptr[name.len - 1] == '-' || name.ptr[name.len - 1] == '.'))
		name.len--;
	return str_dup(arena, name);
}

struct str hosts_file(struct arena *arena, const struct json *pod, struct str pod_ip, struct str domain)
{
	struct str host = pod_hostname(arena, pod), sub = json_path_str(pod, "spec.subdomain"), result;
	const struct json *aliases = json_path(pod, "spec.hostAliases");
	struct buf out = { 0 };

	buf_add(&out, json_bool(json_path(pod, "spec.hostNetwork")) ? STR("# Kubernetes-managed hosts file (host network).\n")
								    : STR("# Kubernetes-managed hosts file.\n"));
	buf_add(&out, STR("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
			  "fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"));
	if (sub.len != 0)
		buf_printf(&out, "%.*s\t%.*s.%.*s.%.*s.svc.%.*s\t%.*s\n", STR_ARG(pod_ip), STR_ARG(host), STR_ARG(sub),
			   STR_ARG(json_path_str(pod, "metadata.namespace")), STR_ARG(domain), STR_ARG(host));
	else
		buf_printf(&out, "%.*s\t%.*s\n", STR_ARG(pod_ip), STR_ARG(host));
	if (json_len(aliases) != 0)
		buf_add(&out, STR("\n# Entries added by HostAliases.\n"));
	JSON_EACH (aliases, it) {
		buf_add(&out, json_get_str(it.value, "ip"));
		JSON_EACH (json_get(it.value, "hostnames"), name)
			buf_printf(&out, "\t%.*s", STR_ARG(json_str(name.value)));
		buf_putc(&out, '\n');
	}
	result = str_dup(arena, buf_str(&out));
	buf_fini(&out);
	return result;
}

static void add_options(struct buf *line, const struct json *options, bool with_ndots)
{
	bool own_ndots = false;

	JSON_EACH (options, it)
		own_ndots = own_ndots || str_is(json_get_str(it.value, "name"), "ndots");
	if (with_ndots && !own_ndots)
		buf_add(line, STR(" ndots:5"));
	JSON_EACH (options, it) {
		struct str value = json_get_str(it.value, "value");

		buf_printf(line, " %.*s", STR_ARG(json_get_str(it.value, "name")));
		if (value.len != 0)
			buf_printf(line, ":%.*s", STR_ARG(value));
	}
}

/* kubelet/network/dns: the cluster's for ClusterFirst, the node's for Default, the pod's own for None; dnsConfig is
 * added. */
struct str resolv_conf(struct arena *arena, const struct json *pod, struct str dns_ip, struct str domain, struct str node_conf)
{
	struct str policy = json_path_str(pod, "spec.dnsPolicy"), ns = json_path_str(pod, "metadata.namespace"), line, result;
	const struct json *config = json_path(pod, "spec.dnsConfig");
	bool host = json_bool(json_path(pod, "spec.hostNetwork"));
	bool cluster = str_is(policy, "ClusterFirstWithHostNet") || (!host && (policy.len == 0 || str_is(policy, "ClusterFirst")));
	struct buf search = { 0 }, servers = { 0 }, options = { 0 };

	if (cluster) {
		buf_printf(&servers, "nameserver %.*s\n", STR_ARG(dns_ip));
		buf_printf(&search, " %.*s.svc.%.*s svc.%.*s %.*s", STR_ARG(ns), STR_ARG(domain), STR_ARG(domain), STR_ARG(domain));
	}
	while (!str_is(policy, "None") && str_cut(&node_conf, '\n', &line)) {
		if (!cluster && str_has_prefix(line, STR("nameserver ")))
			buf_printf(&servers, "%.*s\n", STR_ARG(line));
		else if (!cluster && str_has_prefix(line, STR("search ")))
			buf_printf(&search, " %.*s", STR_ARG(str_trim(str_skip(line, 7))));
		else if (!cluster && str_has_prefix(line, STR("options ")))
			buf_printf(&options, " %.*s", STR_ARG(str_trim(str_skip(line, 8))));
	}
	JSON_EACH (json_get(config, "nameservers"), it)
		buf_printf(&servers, "nameserver %.*s\n", STR_ARG(json_str(it.value)));
	JSON_EACH (json_get(config, "searches"), it)
		buf_printf(&search, " %.*s", STR_ARG(json_str(it.value)));
	add_options(&options, json_get(config, "options"), cluster);
	if (search.len != 0) {
		AUTO_BUF struct buf text = { 0 };

		buf_printf(&text, "search%s\n", buf_cstr(&search));
		buf_add(&text, buf_str(&servers));
		buf_fini(&servers);
		servers = text;
		text = (struct buf){ 0 };
	}
	if (options.len != 0)
		buf_printf(&servers, "options%s\n", buf_cstr(&options));
	result = str_dup(arena, buf_str(&servers));
	buf_fini(&servers);
	buf_fini(&search);
	buf_fini(&options);
	return result;
}
