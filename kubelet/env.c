/* What a container finds in its environment. Pure. */
#include <ctype.h>
#include <string.h>

#include "kubelet/private.h"

struct env {
	struct arena *arena;
	VEC(struct env_var {
		struct str name;
		struct str value;
		bool from_image; /* not seen by $(NAME) */
	})
	vars;
};

static void set(struct env *env, struct str name, struct str value)
{
	for (size_t i = 0; i < env->vars.len; i++) {
		if (str_eq(env->vars.ptr[i].name, name)) {
			env->vars.ptr[i].value = value;
			env->vars.ptr[i].from_image = false;
			return;
		}
	}
	vec_push(&env->vars, (struct env_var){ name, value, false });
}

static const struct str *get(const struct env *env, struct str name)
{
	for (size_t i = 0; i < env->vars.len; i++)
		if (str_eq(env->vars.ptr[i].name, name) && !env->vars.ptr[i].from_image)
			return &env->vars.ptr[i].value;
	return NULL;
}

/* --- $(NAME) --- */

static struct str expand(struct arena *arena, struct str text, const struct str *(*find)(const void *arg, struct str name),
			 const void *arg)
{
	struct buf out = { 0 };
	struct str result;

	if (str_find(text, '$') < 0)
		return text;
	for (size_t i = 0; i < text.len; i++) {
		struct str rest = str_skip(text, i);
		ptrdiff_t end;
		const struct str *value;

		if (rest.ptr[0] != '$' || rest.len == 1) {
			buf_putc(&out, rest.ptr[0]);
			continue;
		}
		if (rest.ptr[1] == '$') {
			buf_putc(&out, '$');
			i++;
			continue;
		}
		end = rest.ptr[1] == '(' ? str_find(rest, ')') : -1;
		if (end < 0) { /* left as it is */
			buf_putc(&out, '$');
			continue;
		}
		value = find(arg, str_head(str_skip(rest, 2), (size_t)end - 2));
		buf_add(&out, value != NULL ? *value : str_head(rest, (size_t)end + 1));
		i += (size_t)end;
	}
	result = str_dup(arena, buf_str(&out));
	buf_fini(&out);
	return result;
}

static const struct str *find_in_env(const void *arg, struct str name)
{
	return get(arg, name);
}

struct flat {
	const char *const *env;
	size_t n;
	struct str found;
};

static const struct str *find_in_flat(const void *arg, struct str name)
{
	struct flat *flat = (struct flat *)(uintptr_t)arg;

	for (size_t i = 0; i < flat->n; i++) {
		struct str rest = str_from(flat->env[i]), key;

		if (str_cut(&rest, '=', &key) && str_eq(key, name)) {
			flat->found = rest;
			return &flat->found;
		}
	}
	return NULL;
}

struct str env_expand(struct arena *arena, struct str text, const char *const *env, size_t n)
{
	struct flat flat = { .env = env, .n = n };

	return expand(arena, text, find_in_flat, &flat);
}

/* --- Services (kubelet/envvars) --- */

static struct str variable_name(struct arena *arena, struct str name)
{
	char *text = arena_copy(arena, name.ptr, name.len);

	for (size_t i = 0; i < name.len; i++)
		text[i] = (char)(text[i] == '-' ? '_' : toupper((unsigned char)text[i]));
	return str_of(text, name.len);
}

static void set_port(struct env *env, struct str prefix, struct str ip, const struct json *port, bool is_first)
{
	struct arena *arena = env->arena;
	struct str protocol = json_get_str(port, "protocol"), lower, url, base;
	long long number = json_int(json_get(port, "port"), 0);

	if (protocol.len == 0)
		protocol = STR("TCP");
	lower = str_lower(arena, protocol);
	url = str_format(arena, str_find(ip, ':') >= 0 ? "%.*s://[%.*s]:%lld" : "%.*s://%.*s:%lld", STR_ARG(lower), STR_ARG(ip),
			 number);
	base = str_format(arena, "%.*s_PORT_%lld_%.*s", STR_ARG(prefix), number, STR_ARG(protocol));
	if (is_first)
		set(env, str_format(arena, "%.*s_PORT", STR_ARG(prefix)), url);
	set(env, base, url);
	set(env, str_format(arena, "%.*s_PROTO", STR_ARG(base)), lower);
	set(env, str_format(arena, "%.*s_PORT", STR_ARG(base)), str_format(arena, "%lld", number));
	set(env, str_format(arena, "%.*s_ADDR", STR_ARG(base)), ip);
}

static void set_service(struct env *env, const struct json *service)
{
	struct arena *arena = env->arena;
	struct str prefix = variable_name(arena, json_path_str(service, "metadata.name"));
	struct str ip = json_path_str(service, "spec.clusterIP");
	const struct json *ports = json_path(service, "spec.ports");
	struct str port_name = str_format(arena, "%.*s_SERVICE_PORT", STR_ARG(prefix));

	if (ip.len == 0 || str_is(ip, "None") || json_len(ports) == 0)
		return;
	set(env, str_format(arena, "%.*s_SERVICE_HOST", STR_ARG(prefix)), ip);
	set(env, port_name, str_format(arena, "%lld", (long long)json_int(json_get(json_at(ports, 0), "port"), 0)));
	JSON_EACH (ports, it) {
		struct str name = json_get_str(it.value, "name");

		if (name.len != 0)
			set(env, str_format(arena, "%.*s_%.*s", STR_ARG(port_name), STR_ARG(variable_name(arena, name))),
			    str_format(arena, "%lld", (long long)json_int(json_get(it.value, "port"), 0)));
	}
	JSON_EACH (ports, it)
		set_port(env, prefix, ip, it.value, it.index == 0);
}

static void set_services(struct env *env, const struct facts *facts)
{
	const struct json *links = json_path(facts->pod, "spec.enableServiceLinks");
	bool all = links == NULL || json_bool(links);
	struct str ns = json_path_str(facts->pod, "metadata.namespace");

	for (size_t i = 0; i < facts->n_services; i++) {
		const struct json *service = facts->services[i];
		bool is_api = str_is(json_path_str(service, "metadata.namespace"), "default") &&
			      str_is(json_path_str(service, "metadata.name"), "kubernetes");

		if (is_api || (all && str_eq(json_path_str(service, "metadata.namespace"), ns)))
			set_service(env, service);
	}
}

/* --- facts about the pod --- */

static struct str map_key(struct str path, const char *prefix)
{
	/* metadata.labels['x'] */
	struct str inner = str_skip(path, strlen(prefix));

	if (!str_has_prefix(inner, STR("['")) || !str_has_suffix(inner, STR("']")))
		return (struct str){ NULL, 0 };
	return str_head(str_skip(inner, 2), inner.len - 4);
}

/* Lines key="value" in order of keys, as downwardAPI volumes show maps. */
static struct str map_lines(struct arena *arena, const struct json *map)
{
	struct json_builder sorted = { .arena = arena };
	struct buf out = { 0 };
	struct str result;
	bool first = true;

	JSON_EACH (map, it)
		json_builder_member(&sorted, it.key, it.value);
	json_builder_sort(&sorted);
	JSON_EACH (json_builder_object(&sorted), it) {
		buf_printf(&out, "%s%.*s=", first ? "" : "\n", STR_ARG(it.key));
		json_write_string(&out, json_str(it.value));
		first = false;
	}
	result = str_dup(arena, buf_str(&out));
	buf_fini(&out);
	return result;
}

struct error *facts_field(struct arena *arena, const struct facts *facts, struct str path, struct str *out)
{
	static const char *const plain[] = { "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
					     "spec.serviceAccountName" };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (str_is(path, plain[i])) {
			*out = json_path_str(facts->pod, plain[i]);
			return NULL;
		}
	}
	if (str_is(path, "status.podIP") || str_is(path, "status.podIPs"))
		*out = facts->pod_ip;
	else if (str_is(path, "status.hostIP") || str_is(path, "status.hostIPs"))
		*out = facts->host_ip;
	else if (str_is(path, "metadata.labels"))
		*out = map_lines(arena, json_path(facts->pod, "metadata.labels"));
	else if (str_is(path, "metadata.annotations"))
		*out = map_lines(arena, json_path(facts->pod, "metadata.annotations"));
	else if (str_has_prefix(path, STR("metadata.labels[")))
		*out = json_str(json_find(json_path(facts->pod, "metadata.labels"), map_key(path, "metadata.labels")));
	else if (str_has_prefix(path, STR("metadata.annotations[")))
		*out = json_str(json_find(json_path(facts->pod, "metadata.annotations"), map_key(path, "metadata.annotations")));
	else
		return error_new(ERR_INVALID, "unsupported fieldPath: %.*s", STR_ARG(path));
	return NULL;
}

static const struct json *container_named(const struct json *pod, struct str name)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };

	for (size_t i = 0; i < 2; i++)
		JSON_EACH (json_path(pod, lists[i]), it)
			if (str_eq(json_get_str(it.value, "name"), name))
				return it.value;
	return NULL;
}

struct error *facts_resource(struct arena *arena, const struct facts *facts, const struct json *ref, struct str container,
			     struct str *out)
{
	struct str name = json_get_str(ref, "containerName"), what = json_get_str(ref, "resource"), kind, rest = what;
	const struct json *c = container_named(facts->pod, name.len != 0 ? name : container), *value;
	struct quantity divisor = quantity_of(json_get(ref, "divisor")), q;
	bool is_cpu;
	__int128 count;

	if (c == NULL)
		return error_new(ERR_INVALID, "container %.*s not found", STR_ARG(name));
	str_cut(&rest, '.', &kind);
	is_cpu = str_is(rest, "cpu");
	value = json_find(json_path(c, str_is(kind, "limits") ? "resources.limits" : "resources.requests"), rest);
	q = quantity_of(value);
	if (value == NULL && str_is(kind, "limits")) { /* what the node has */
		if (is_cpu)
			q = quantity_from_milli(facts->node_cpu_milli);
		else
			q = quantity_from(str_is(rest, "memory")              ? facts->node_memory
					  : str_is(rest, "ephemeral-storage") ? facts->node_storage
									      : 0,
					  QUANTITY_BINARY);
	}
	if (quantity_sign(&divisor) == 0)
		divisor = quantity_from(1, QUANTITY_DECIMAL);
	count = (q.nano + divisor.nano - 1) / divisor.nano;
	*out = str_format(arena, "%lld", (long long)count);
	return NULL;
}

/* --- values from elsewhere --- */

static struct str decoded(struct arena *arena, const struct json *object, const char *kind, struct str key, bool *found)
{
	const struct json *value = json_find(json_get(object, "data"), key);
	struct buf out = { 0 };
	struct str result;

	*found = value != NULL;
	if (strcmp(kind, "Secret") != 0)
		return json_str(value);
	base64_decode(&out, json_str(value));
	result = str_dup(arena, buf_str(&out));
	buf_fini(&out);
	return result;
}

static struct error *missing(const char *kind, struct str name)
{
	return error_new(ERR_NOT_FOUND, "%s \"%.*s\" not found", strcmp(kind, "Secret") == 0 ? "secret" : "configmap",
			 STR_ARG(name));
}

static struct error *value_from_key(struct arena *arena, const struct facts *facts, const char *kind, const struct json *ref,
				    struct str *value, bool *absent)
{
	struct str name = json_get_str(ref, "name"), key = json_get_str(ref, "key");
	const struct json *object = facts->find(facts->arg, kind, name);
	bool found = false;

	if (object != NULL)
		*value = decoded(arena, object, kind, key, &found);
	*absent = !found;
	if (found || json_bool(json_get(ref, "optional")))
		return NULL;
	if (object == NULL)
		return missing(kind, name);
	return error_new(ERR_NOT_FOUND, "couldn't find key %.*s in %s %.*s/%.*s", STR_ARG(key), kind,
			 STR_ARG(json_path_str(facts->pod, "metadata.namespace")), STR_ARG(name));
}

static struct error *set_one(struct env *env, const struct facts *facts, const struct json *container, const struct json *var)
{
	const struct json *from = json_get(var, "valueFrom"), *ref;
	struct str value = { NULL, 0 };
	struct error *err = NULL;
	bool absent = false;

	if (from == NULL)
		value = expand(env->arena, json_get_str(var, "value"), find_in_env, env);
	else if ((ref = json_get(from, "fieldRef")) != NULL)
		err = facts_field(env->arena, facts, json_get_str(ref, "fieldPath"), &value);
	else if ((ref = json_get(from, "resourceFieldRef")) != NULL)
		err = facts_resource(env->arena, facts, ref, json_get_str(container, "name"), &value);
	else if ((ref = json_get(from, "configMapKeyRef")) != NULL)
		err = value_from_key(env->arena, facts, "ConfigMap", ref, &value, &absent);
	else if ((ref = json_get(from, "secretKeyRef")) != NULL)
		err = value_from_key(env->arena, facts, "Secret", ref, &value, &absent);
	if (err == NULL && !absent)
		set(env, json_get_str(var, "name"), value);
	return err;
}

static struct error *set_all_of(struct env *env, const struct facts *facts, const struct json *source)
{
	static const char *const kinds[][2] = { { "configMapRef", "ConfigMap" }, { "secretRef", "Secret" } };
	struct str prefix = json_get_str(source, "prefix");

	for (size_t i = 0; i < 2; i++) {
		const struct json *ref = json_get(source, kinds[i][0]), *object;

		if (ref == NULL)
			continue;
		object = facts->find(facts->arg, kinds[i][1], json_get_str(ref, "name"));
		if (object == NULL && !json_bool(json_get(ref, "optional")))
			return missing(kinds[i][1], json_get_str(ref, "name"));
		JSON_EACH (json_get(object, "data"), it) {
			bool found;
			struct str value = decoded(env->arena, object, kinds[i][1], it.key, &found);

			set(env, str_format(env->arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(it.key)), value);
		}
	}
	return NULL;
}

struct error *env_build(struct arena *arena, const struct facts *facts, const struct json *container, const struct str *image_env,
			size_t n_image_env, const char ***out, size_t *n, size_t *own)
{
	struct env env = { .arena = arena };
	struct error *err = NULL;

	for (size_t i = 0; i < n_image_env; i++) {
		struct str rest = image_env[i], name;

		if (str_cut(&rest, '=', &name)) {
			set(&env, name, rest);
			vec_last(&env.vars)->from_image = true;
		}
	}
	set_services(&env, facts);
	JSON_EACH (json_get(container, "envFrom"), it)
		if (err == NULL)
			err = set_all_of(&env, facts, it.value);
	JSON_EACH (json_get(container, "env"), it)
		if (err == NULL)
			err = set_one(&env, facts, container, it.value);
	*n = 0;
	*out = ARENA_ARRAY(arena, const char *, env.vars.len + 3);
	for (int image = 0; image < 2; image++) {
		for (size_t i = 0; i < env.vars.len; i++) {
			const struct env_var *var = &env.vars.ptr[i];

			if (var->from_image == (image == 1))
				(*out)[(*n)++] = arena_printf(arena, "%.*s=%.*s", STR_ARG(var->name), STR_ARG(var->value));
		}
		if (image == 0)
			*own = *n;
	}
	vec_fini(&env.vars);
	return err;
}
