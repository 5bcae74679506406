/*
 * Tables: the cells of a row.
 *
 * Most cells are said in the catalogue, behind a column's priority: [how:].path[+.path][/otherwise]. Without "how" the
 * value at the path is the cell; "otherwise" is what stands there when it is absent (a number or true/false becomes one).
 *	age: time since then        count: entries, summed        share: "ready/wanted"       text: number as text
 *	truth: "True" or "False"    names: images: of containers  labels: "a=b,c=d"           selector: query: a LabelSelector
 *	join: items with commas     modes: access modes, short
 * The rest is below, one function per kind that needs one. Logic and texts: pkg/printers/internalversion.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/hooks.h"
#include "api/jsonpath.h"
#include "api/selector.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/vec.h"

static cells_hook *const hooks[] = { NULL,
#define X(name) name,
				     CATALOG_CELLS(X)
#undef X
};

/* ---- small pieces ---- */

static void add_text(struct json_builder *row, struct str text)
{
	json_builder_item(row, json_string_copy(row->arena, text));
}

static struct str otherwise(struct str text, const char *fallback)
{
	return text.len != 0 ? text : str_from(fallback);
}

struct str api_age(struct arena *arena, const struct json *time, int64_t now, const char *absent)
{
	char text[TIME_TEXT];
	int64_t then;

	if (json_str(time).len == 0 || !time_parse(json_str(time), &then))
		return str_from(absent);
	return str_dup(arena, time_human(text, now - then));
}

static struct str labels_text(struct arena *arena, const struct json *map)
{
	AUTO_BUF struct buf out = { 0 };

	JSON_EACH (map, it)
		buf_printf(&out, "%s%.*s=%.*s", it.index == 0 ? "" : ",", STR_ARG(it.key), STR_ARG(json_str(it.value)));
	return out.len == 0 ? STR("<none>") : str_dup(arena, buf_str(&out));
}

static struct str selector_cell(struct arena *arena, const struct json *value, const char *wrong, const char *empty)
{
	struct selector selector;
	AUTO_ERROR err = selector_from_object(arena, value, &selector);

	if (err != NULL)
		return str_from(wrong);
	return otherwise(selector_text(arena, &selector), empty);
}

static struct str joined(struct arena *arena, const struct json *list, const char *key, const char *between)
{
	AUTO_BUF struct buf out = { 0 };

	JSON_EACH (list, it)
		buf_printf(&out, "%s%.*s", it.index == 0 ? "" : between,
			   STR_ARG(key == NULL ? json_str(it.value) : json_get_str(it.value, key)));
	return str_dup(arena, buf_str(&out));
}

static bool holds(const struct json *list, const char *text)
{
	JSON_EACH (list, it)
		if (str_is(json_str(it.value), text))
			return true;
	return false;
}

static struct str modes_text(struct arena *arena, const struct json *modes)
{
	static const char *const names[][2] = {
		{ "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" }, { "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" }
	};
	AUTO_BUF struct buf out = { 0 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (holds(modes, names[i][0]))
			buf_printf(&out, "%s%s", out.len == 0 ? "" : ",", names[i][1]);
	return str_dup(arena, buf_str(&out));
}

/* "… + 2 more..." behind the first ones. */
struct cut_list {
	struct buf text;
	size_t shown, count, most;
};

static void cut_list_add(struct cut_list *list, struct str item)
{
	if (list->count++ >= list->most)
		return;
	buf_printf(&list->text, "%s%.*s", list->shown++ == 0 ? "" : ",", STR_ARG(item));
}

static struct str cut_list_text(struct arena *arena, struct cut_list *list, const char *empty)
{
	if (list->count > list->most)
		buf_printf(&list->text, " + %zu more...", list->count - list->most);
	struct str text = list->count == 0 ? str_from(empty) : str_dup(arena, buf_str(&list->text));
	buf_fini(&list->text);
	return text;
}

static const struct json *condition(const struct json *tree, const char *type)
{
	JSON_EACH (json_path(tree, "status.conditions"), it)
		if (str_is(json_get_str(it.value, "type"), type))
			return it.value;
	return NULL;
}

static bool condition_true(const struct json *tree, const char *type)
{
	return str_is(json_get_str(condition(tree, type), "status"), "True");
}

/* ---- cells by path ---- */

struct recipe {
	struct str how, path, more, otherwise;
	bool has_otherwise;
};

static struct recipe parse_recipe(struct str text)
{
	struct recipe r = { 0 };
	ptrdiff_t colon = str_find(text, ':'), slash = str_find(text, '/');

	if (colon >= 0 && (slash < 0 || colon < slash))
		str_cut(&text, ':', &r.how);
	r.has_otherwise = str_find(text, '/') >= 0;
	str_cut(&text, '/', &r.path);
	r.otherwise = text;
	r.more = r.path;
	str_cut(&r.more, '+', &r.path);
	r.path = str_skip(r.path, 1);
	r.more = r.more.len != 0 ? str_skip(r.more, 1) : r.more;
	return r;
}

static const struct json *literal(struct arena *arena, struct str text)
{
	if (str_is(text, "null"))
		return &json_null;
	if (str_is(text, "true") || str_is(text, "false"))
		return json_boolean(str_is(text, "true"));
	if (text.len != 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9')
		return json_number_text(arena, text);
	if (text.len >= 2 && text.ptr[0] == '"')
		text = str_head(str_skip(text, 1), text.len - 2);
	return json_string(arena, text);
}

static const struct json *at(struct arena *arena, const struct json *tree, struct str path)
{
	return path.len == 0 ? NULL : json_path(tree, str_cstr(arena, path));
}

static const struct json *cell(struct arena *arena, struct str text, const struct json *tree, int64_t now)
{
	struct recipe r = parse_recipe(text);
	const struct json *value = at(arena, tree, r.path);

	if (str_is(r.how, "age"))
		return json_string(arena, api_age(arena, value, now, r.has_otherwise ? str_cstr(arena, r.otherwise) : "<unknown>"));
	if (str_is(r.how, "count"))
		return json_number(arena, (int64_t)(json_len(value) + json_len(at(arena, tree, r.more))));
	if (str_is(r.how, "share"))
		return json_printf(arena, "%lld/%lld", (long long)json_int(value, 0),
				   (long long)json_int(at(arena, tree, r.more), 0));
	if (str_is(r.how, "labels"))
		return json_string(arena, labels_text(arena, value));
	if (str_is(r.how, "selector"))
		return json_string(arena, selector_cell(arena, value, "<error>", "<none>"));
	if (str_is(r.how, "query"))
		return json_string(arena, selector_cell(arena, value, "<invalid>", ""));
	if (str_is(r.how, "names"))
		return json_string(arena, joined(arena, value, "name", ","));
	if (str_is(r.how, "images"))
		return json_string(arena, joined(arena, value, "image", ","));
	if (str_is(r.how, "modes"))
		return json_string(arena, modes_text(arena, value));
	if (str_is(r.how, "join") && json_len(value) != 0)
		return json_string(arena, joined(arena, value, NULL, ","));
	if (json_absent(value) || json_is(value, JSON_ARRAY) || json_is(value, JSON_OBJECT) ||
	    (r.has_otherwise && json_is(value, JSON_STRING) && value->text.len == 0))
		return literal(arena, r.otherwise);
	if (str_is(r.how, "text") && value->type == JSON_NUMBER)
		return json_string(arena, value->text);
	if (str_is(r.how, "truth"))
		return json_text(arena, json_bool(value) ? "True" : "False");
	return value;
}

/* Of a kind that is described at run time: what the path finds, when it has the type that was announced. */
static const struct json *custom_cell(struct arena *arena, const struct column *column, const struct json *tree, int64_t now)
{
	const struct json *value = jsonpath_first(arena, str_skip(column_path(column), 1), tree);
	struct str type = column_type(column);
	int64_t then;

	if (json_absent(value))
		return &json_null;
	if (str_is(type, "string"))
		return value->type == JSON_STRING ? value : json_string(arena, json_format(arena, value));
	if (str_is(type, "date") && value->type == JSON_STRING)
		return json_string(arena, time_parse(json_str(value), &then) ? api_age(arena, value, now, "") : STR("<invalid>"));
	if (str_is(type, "boolean") && value->type == JSON_BOOL)
		return value;
	if (str_is(type, "integer") && value->type == JSON_NUMBER)
		return json_number(arena, json_is_int(value, &then) ? then : (int64_t)json_double(value, 0));
	return str_is(type, "number") && value->type == JSON_NUMBER ? value : &json_null;
}

const struct json *api_cells(struct arena *arena, const struct kind *kind, const struct json *tree, int64_t now)
{
	struct json_builder own = { .arena = arena }, row = { .arena = arena };
	uint32_t next = 0;

	if (kind->cells != 0)
		hooks[kind->cells](&own, tree, now);
	for (size_t i = 0; i < kind->columns.n; i++) {
		struct str path = column_path(kind_column_at(kind, i));
		if (path.len != 0 && path.ptr[0] == '$')
			json_builder_item(&row, custom_cell(arena, kind_column_at(kind, i), tree, now));
		else if (path.len != 0)
			json_builder_item(&row, cell(arena, path, tree, now));
		else
			json_builder_item(&row, next < own.len ? own.items[next++] : &json_empty_string);
	}
	while (next < own.len)
		json_builder_item(&row, own.items[next++]);
	return json_builder_array(&row);
}

const struct json *api_columns(struct arena *arena, const struct kind *kind)
{
	struct json_builder b = { .arena = arena };

	for (size_t i = 0; i < kind->columns.n; i++) {
		const struct column *c = kind_column_at(kind, i);
		json_builder_item(&b, JSON_OBJECT_OF(arena, { "name", json_string(arena, column_name(c)) },
						     { "type", json_string(arena, column_type(c)) },
						     { "format", json_string(arena, column_format(c)) },
						     { "description", json_string(arena, column_doc(c)) },
						     { "priority", json_number(arena, c->priority) }));
	}
	return json_builder_array(&b);
}

/* ---- Pod ---- */

struct pod_state {
	int64_t restarts, sidecar_restarts;
	int64_t ready, total;
	struct str last, last_sidecar; /* when it restarted */
	struct str reason;
	bool initializing;
};

static bool is_sidecar(const struct json *pod, struct str name)
{
	JSON_EACH (json_path(pod, "spec.initContainers"), it)
		if (str_eq(json_get_str(it.value, "name"), name))
			return str_is(json_get_str(it.value, "restartPolicy"), "Always");
	return false;
}

/* Times in normal form compare as text. */
static void keep_latest(struct str *last, const struct json *status)
{
	struct str finished = json_path_str(status, "lastState.terminated.finishedAt");

	if (str_cmp(*last, finished) < 0)
		*last = finished;
}

static struct str terminated_reason(struct arena *arena, const struct json *terminated, const char *prefix)
{
	struct str reason = json_get_str(terminated, "reason");
	int64_t sig = json_int(json_get(terminated, "signal"), 0);

	if (reason.len != 0)
		return str_format(arena, "%s%.*s", prefix, STR_ARG(reason));
	if (sig != 0)
		return str_format(arena, "%sSignal:%lld", prefix, (long long)sig);
	return str_format(arena, "%sExitCode:%lld", prefix, (long long)json_int(json_get(terminated, "exitCode"), 0));
}

/* False when the containers after it are not worth a look: initialization stands here. */
static bool init_container(struct arena *arena, struct pod_state *s, const struct json *pod, const struct json *status, size_t i)
{
	const struct json *terminated = json_path(status, "state.terminated");
	struct str waiting = json_path_str(status, "state.waiting.reason");
	bool sidecar = is_sidecar(pod, json_get_str(status, "name"));
	int64_t restarts = json_int(json_get(status, "restartCount"), 0);

	s->restarts += restarts;
	keep_latest(&s->last, status);
	if (sidecar) {
		s->sidecar_restarts += restarts;
		keep_latest(&s->last_sidecar, status);
	}
	if (terminated != NULL && json_int(json_get(terminated, "exitCode"), 0) == 0)
		return true;
	if (sidecar && json_bool(json_get(status, "started"))) {
		s->ready += json_bool(json_get(status, "ready"));
		return true;
	}
	s->initializing = true;
	if (terminated != NULL)
		s->reason = terminated_reason(arena, terminated, "Init:");
	else if (waiting.len != 0 && !str_is(waiting, "PodInitializing"))
		s->reason = str_format(arena, "Init:%.*s", STR_ARG(waiting));
	else
		s->reason = str_format(arena, "Init:%zu/%zu", i, json_len(json_path(pod, "spec.initContainers")));
	return false;
}

static void main_containers(struct arena *arena, struct pod_state *s, const struct json *pod)
{
	const struct json *statuses = json_path(pod, "status.containerStatuses");
	struct str failure = { 0 };
	bool running = false;

	s->restarts = s->sidecar_restarts;
	s->last = s->last_sidecar;
	for (size_t i = json_len(statuses); i-- > 0;) {
		const struct json *status = json_at(statuses, i), *terminated = json_path(status, "state.terminated");
		struct str waiting = json_path_str(status, "state.waiting.reason");
		s->restarts += json_int(json_get(status, "restartCount"), 0);
		keep_latest(&s->last, status);
		if (waiting.len != 0) {
			s->reason = waiting;
		} else if (terminated != NULL) {
			s->reason = terminated_reason(arena, terminated, "");
			if (json_int(json_get(terminated, "exitCode"), 0) != 0)
				failure = s->reason;
		} else if (json_bool(json_get(status, "ready")) && json_path(status, "state.running") != NULL) {
			running = true;
			s->ready++;
		}
	}
	if (!str_is(s->reason, "Completed"))
		return;
	if (running && condition_true(pod, "Ready"))
		s->reason = STR("Running");
	else if (failure.len != 0)
		s->reason = failure;
	else if (running)
		s->reason = STR("NotReady");
}

static struct str readiness_gates(struct arena *arena, const struct json *pod)
{
	const struct json *gates = json_path(pod, "spec.readinessGates");
	size_t met = 0;

	if (json_len(gates) == 0)
		return STR("<none>");
	JSON_EACH (gates, it)
		met += condition_true(pod, str_cstr(arena, json_get_str(it.value, "conditionType")));
	return str_format(arena, "%zu/%zu", met, json_len(gates));
}

static void pod_state(struct arena *arena, struct pod_state *s, const struct json *pod)
{
	struct str phase = json_path_str(pod, "status.phase"), why = json_path_str(pod, "status.reason");

	s->reason = why.len != 0 ? why : phase;
	s->total = (int64_t)json_len(json_path(pod, "spec.containers"));
	if (str_is(json_get_str(condition(pod, "PodScheduled"), "reason"), "SchedulingGated"))
		s->reason = STR("SchedulingGated");
	JSON_EACH (json_path(pod, "spec.initContainers"), it)
		s->total += str_is(json_get_str(it.value, "restartPolicy"), "Always");
	JSON_EACH (json_path(pod, "status.initContainerStatuses"), it)
		if (!init_container(arena, s, pod, it.value, it.index))
			break;
	if (!s->initializing || condition_true(pod, "Initialized"))
		main_containers(arena, s, pod);
	if (json_path(pod, "metadata.deletionTimestamp") == NULL)
		return;
	if (str_is(why, "NodeLost"))
		s->reason = STR("Unknown");
	else if (!str_is(phase, "Succeeded") && !str_is(phase, "Failed"))
		s->reason = STR("Terminating");
}

void pod_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	struct arena *arena = row->arena;
	struct pod_state s = { 0 };
	int64_t then;

	pod_state(arena, &s, tree);
	json_builder_item(row, json_printf(arena, "%lld/%lld", (long long)s.ready, (long long)s.total));
	add_text(row, s.reason);
	if (s.restarts != 0 && s.last.len != 0 && time_parse(s.last, &then)) {
		char text[TIME_TEXT];
		json_builder_item(row, json_printf(arena, "%lld (%.*s ago)", (long long)s.restarts,
						   STR_ARG(time_human(text, now - then))));
	} else {
		json_builder_item(row, json_printf(arena, "%lld", (long long)s.restarts));
	}
	add_text(row, readiness_gates(arena, tree));
}

/* ---- Service, Endpoints, EndpointSlice ---- */

static int by_text(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Addresses of a load balancer, sorted, each once. */
static struct str balancer_text(struct arena *arena, const struct json *ingress)
{
	struct str *list = ARENA_ARRAY(arena, struct str, json_len(ingress));
	AUTO_BUF struct buf out = { 0 };
	size_t n = 0;

	JSON_EACH (ingress, it) {
		struct str ip = json_get_str(it.value, "ip");
		struct str name = ip.len != 0 ? ip : json_get_str(it.value, "hostname");
		if (name.len != 0)
			list[n++] = name;
	}
	qsort(list, n, sizeof(*list), by_text);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !str_eq(list[i], list[i - 1]))
			buf_printf(&out, "%s%.*s", out.len == 0 ? "" : ",", STR_ARG(list[i]));
	return str_dup(arena, buf_str(&out));
}

static struct str external_ip(struct arena *arena, const struct json *service)
{
	struct str type = json_path_str(service, "spec.type");
	struct str own = joined(arena, json_path(service, "spec.externalIPs"), NULL, ",");
	struct str balancer;

	if (str_is(type, "ClusterIP") || str_is(type, "NodePort"))
		return otherwise(own, "<none>");
	if (str_is(type, "ExternalName"))
		return json_path_str(service, "spec.externalName");
	if (!str_is(type, "LoadBalancer"))
		return STR("<unknown>");
	balancer = balancer_text(arena, json_path(service, "status.loadBalancer.ingress"));
	if (own.len != 0 && balancer.len != 0)
		return str_format(arena, "%.*s,%.*s", STR_ARG(balancer), STR_ARG(own));
	return own.len != 0 ? own : otherwise(balancer, "<pending>");
}

void service_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	AUTO_BUF struct buf ports = { 0 };

	(void)now;
	add_text(row, external_ip(row->arena, tree));
	JSON_EACH (json_path(tree, "spec.ports"), it) {
		int64_t node_port = json_int(json_get(it.value, "nodePort"), 0);
		buf_printf(&ports, "%s%lld", it.index == 0 ? "" : ",", (long long)json_int(json_get(it.value, "port"), 0));
		if (node_port > 0)
			buf_printf(&ports, ":%lld", (long long)node_port);
		buf_printf(&ports, "/%.*s", STR_ARG(json_get_str(it.value, "protocol")));
	}
	add_text(row, otherwise(buf_str(&ports), "<none>"));
}

void endpoints_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	struct cut_list list = { .most = 3 };
	const struct json *subsets = json_get(tree, "subsets");

	(void)now;
	JSON_EACH (subsets, subset) {
		const struct json *ports = json_get(subset.value, "ports"), *addresses = json_get(subset.value, "addresses");
		if (json_len(ports) == 0)
			JSON_EACH (addresses, it)
				cut_list_add(&list, json_get_str(it.value, "ip"));
		JSON_EACH (ports, port) {
			JSON_EACH (addresses, it) {
				struct str ip = json_get_str(it.value, "ip");
				bool v6 = str_find(ip, ':') >= 0;
				cut_list_add(&list,
					     str_format(row->arena, "%s%.*s%s:%lld", v6 ? "[" : "", STR_ARG(ip), v6 ? "]" : "",
							(long long)json_int(json_get(port.value, "port"), 0)));
			}
		}
	}
	add_text(row, cut_list_text(row->arena, &list, json_len(subsets) == 0 ? "<none>" : ""));
}

void endpoint_slice_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	struct cut_list ports = { .most = 3 }, addresses = { .most = 3 };

	(void)now;
	JSON_EACH (json_get(tree, "ports"), it) {
		const struct json *number = json_get(it.value, "port"), *name = json_get(it.value, "name");
		cut_list_add(&ports, number != NULL ? number->text : name != NULL ? json_str(name) : STR("*"));
	}
	JSON_EACH (json_get(tree, "endpoints"), endpoint)
		JSON_EACH (json_get(endpoint.value, "addresses"), it)
			cut_list_add(&addresses, json_str(it.value));
	add_text(row, cut_list_text(row->arena, &ports, "<unset>"));
	add_text(row, cut_list_text(row->arena, &addresses, "<unset>"));
}

/* ---- Node, Event, the rest of core ---- */

static struct str node_address(const struct json *node, const char *type)
{
	JSON_EACH (json_path(node, "status.addresses"), it)
		if (str_is(json_get_str(it.value, "type"), type))
			return json_get_str(it.value, "address");
	return STR("<none>");
}

static struct str node_roles(struct arena *arena, const struct json *node)
{
	static const char prefix[] = "node-role.kubernetes.io/";
	const struct json *labels = json_path(node, "metadata.labels");
	struct str *roles = ARENA_ARRAY(arena, struct str, json_len(labels));
	AUTO_BUF struct buf out = { 0 };
	size_t n = 0;

	JSON_EACH (labels, it) {
		if (str_has_prefix(it.key, str_from(prefix)) && it.key.len > sizeof(prefix) - 1)
			roles[n++] = str_skip(it.key, sizeof(prefix) - 1);
		else if (str_is(it.key, "kubernetes.io/role") && json_str(it.value).len != 0)
			roles[n++] = json_str(it.value);
	}
	qsort(roles, n, sizeof(*roles), by_text);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !str_eq(roles[i], roles[i - 1]))
			buf_printf(&out, "%s%.*s", out.len == 0 ? "" : ",", STR_ARG(roles[i]));
	return out.len == 0 ? STR("<none>") : str_dup(arena, buf_str(&out));
}

void node_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *ready = condition(tree, "Ready");
	struct str kernel = otherwise(json_path_str(tree, "status.nodeInfo.kernelVersion"), "<unknown>");
	struct str machine = json_path_str(tree, "status.nodeInfo.architecture");
	bool cordoned = json_bool(json_path(tree, "spec.unschedulable"));

	(void)now;
	json_builder_item(row, json_printf(row->arena, "%s%s",
					   ready == NULL                   ? "Unknown"
					   : condition_true(tree, "Ready") ? "Ready"
									   : "NotReady",
					   cordoned ? ",SchedulingDisabled" : ""));
	add_text(row, node_roles(row->arena, tree));
	add_text(row, node_address(tree, "InternalIP"));
	add_text(row, node_address(tree, "ExternalIP"));
	if (machine.len != 0)
		kernel = str_format(row->arena, "%.*s (%.*s)", STR_ARG(kernel), STR_ARG(machine));
	add_text(row, kernel);
}

/* Of either group: events.k8s.io names the same things differently. */
static const struct json *event_part(const struct json *event, const char *core, const char *newer)
{
	const struct json *value = json_path(event, core);

	return value != NULL ? value : json_path(event, newer);
}

void event_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	struct arena *arena = row->arena;
	const struct json *about = event_part(tree, "involvedObject", "regarding"), *series = json_get(tree, "series");
	const struct json *first = event_part(tree, "firstTimestamp", "deprecatedFirstTimestamp");
	const struct json *last = event_part(tree, "lastTimestamp", "deprecatedLastTimestamp");
	const struct json *source = event_part(tree, "source", "deprecatedSource");
	struct str since_first = api_age(arena, json_absent(first) ? json_get(tree, "eventTime") : first, now, "<unknown>");
	struct str since_last = json_absent(last) ? since_first : api_age(arena, last, now, "<unknown>");
	int64_t count = json_int(event_part(tree, "count", "deprecatedCount"), 0);
	struct str component = json_get_str(source, "component"), host = json_get_str(source, "host");
	struct str name = json_get_str(about, "name"), kind = str_lower(arena, json_get_str(about, "kind"));

	if (component.len == 0)
		component = json_str(event_part(tree, "reportingComponent", "reportingController"));
	if (host.len == 0)
		host = json_get_str(tree, "reportingInstance");
	if (series != NULL) {
		since_last = api_age(arena, json_get(series, "lastObservedTime"), now, "<unknown>");
		count = json_int(json_get(series, "count"), 0);
	} else if (count == 0) {
		count = 1;
	}
	add_text(row, since_last);
	add_text(row, json_get_str(tree, "type"));
	add_text(row, json_get_str(tree, "reason"));
	add_text(row, name.len != 0 ? str_format(arena, "%.*s/%.*s", STR_ARG(kind), STR_ARG(name)) : kind);
	add_text(row, json_get_str(about, "fieldPath"));
	add_text(row, host.len != 0 ? str_format(arena, "%.*s, %.*s", STR_ARG(component), STR_ARG(host)) : component);
	add_text(row, str_trim(json_str(event_part(tree, "message", "note"))));
	add_text(row, since_first);
	json_builder_item(row, json_number(arena, count));
	add_text(row, json_path_str(tree, "metadata.name"));
}

void component_status_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const char *status = "Unknown";
	struct str message = { 0 }, error = { 0 };

	(void)now;
	JSON_EACH (json_get(tree, "conditions"), it) {
		if (!str_is(json_get_str(it.value, "type"), "Healthy"))
			continue;
		status = str_is(json_get_str(it.value, "status"), "True") ? "Healthy" : "Unhealthy";
		message = json_get_str(it.value, "message");
		error = json_get_str(it.value, "error");
		break;
	}
	add_text(row, str_from(status));
	add_text(row, message);
	add_text(row, error);
}

static struct str phase_or_terminating(const struct json *tree)
{
	return json_path(tree, "metadata.deletionTimestamp") != NULL ? STR("Terminating") : json_path_str(tree, "status.phase");
}

/* The old annotation still wins over the field. */
static struct str storage_class(const struct json *tree)
{
	const struct json *old = json_get(json_path(tree, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class");

	return old != NULL ? json_str(old) : json_path_str(tree, "spec.storageClassName");
}

void claim_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	bool bound = json_path_str(tree, "spec.volumeName").len != 0;

	(void)now;
	add_text(row, phase_or_terminating(tree));
	add_text(row, bound ? otherwise(json_path_str(tree, "status.capacity.storage"), "0") : STR(""));
	add_text(row, bound ? modes_text(row->arena, json_path(tree, "status.accessModes")) : STR(""));
	add_text(row, storage_class(tree));
}

void volume_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *claim = json_path(tree, "spec.claimRef");

	(void)now;
	add_text(row, phase_or_terminating(tree));
	add_text(row, claim == NULL ? STR("")
				    : str_format(row->arena, "%.*s/%.*s", STR_ARG(json_get_str(claim, "namespace")),
						 STR_ARG(json_get_str(claim, "name"))));
	add_text(row, storage_class(tree));
}

void quota_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	AUTO_BUF struct buf requests = { 0 }, limits = { 0 };

	(void)now;
	JSON_EACH (json_path(tree, "status.hard"), it) {
		struct buf *to = str_has_prefix(it.key, STR("limits.")) ? &limits : &requests;
		struct str used = json_str(json_find(json_path(tree, "status.used"), it.key));
		buf_printf(to, "%s%.*s: %.*s/%.*s", to->len == 0 ? "" : ", ", STR_ARG(it.key), STR_ARG(otherwise(used, "0")),
			   STR_ARG(json_str(it.value)));
	}
	add_text(row, buf_str(&requests));
	add_text(row, buf_str(&limits));
}

/* ---- the other groups ---- */

void api_service_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *service = json_path(tree, "spec.service"), *available = condition(tree, "Available");

	(void)now;
	add_text(row, service == NULL ? STR("Local")
				      : str_format(row->arena, "%.*s/%.*s", STR_ARG(json_get_str(service, "namespace")),
						   STR_ARG(json_get_str(service, "name"))));
	if (available == NULL)
		add_text(row, STR("Unknown"));
	else if (condition_true(tree, "Available"))
		add_text(row, STR("True"));
	else
		json_builder_item(row, json_printf(row->arena, "%.*s (%.*s)", STR_ARG(json_get_str(available, "status")),
						   STR_ARG(json_get_str(available, "reason"))));
}

void revision_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	(void)now;
	JSON_EACH (json_path(tree, "metadata.ownerReferences"), it) {
		if (!json_bool(json_get(it.value, "controller")))
			continue;
		struct str group = json_get_str(it.value, "apiVersion"), head = { 0 };
		if (str_find(group, '/') >= 0)
			str_cut(&group, '/', &head);
		struct str kind = str_lower(row->arena, json_get_str(it.value, "kind"));
		json_builder_item(row, json_printf(row->arena, "%.*s%s%.*s/%.*s", STR_ARG(kind), head.len != 0 ? "." : "",
						   STR_ARG(head), STR_ARG(json_get_str(it.value, "name"))));
		return;
	}
	add_text(row, STR("<none>"));
}

static struct str duration_text(struct arena *arena, const struct json *from, const struct json *to, int64_t now)
{
	char text[TIME_TEXT];
	int64_t start, end = now;

	if (json_absent(from) || !time_parse(json_str(from), &start))
		return STR("");
	if (!json_absent(to) && !time_parse(json_str(to), &end))
		return STR("");
	return str_dup(arena, time_human(text, end - start));
}

void job_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	static const char *const states[][2] = { { "Complete", "Complete" },
						 { "Failed", "Failed" },
						 { NULL, "Terminating" },
						 { "Suspended", "Suspended" },
						 { "FailureTarget", "FailureTarget" },
						 { "SuccessCriteriaMet", "SuccessCriteriaMet" } };
	long long succeeded = json_int(json_path(tree, "status.succeeded"), 0);
	const struct json *completions = json_path(tree, "spec.completions");
	long long parallelism = json_int(json_path(tree, "spec.parallelism"), 0);
	size_t i = 0, n = sizeof(states) / sizeof(states[0]);

	while (i < n &&
	       !(states[i][0] == NULL ? json_path(tree, "metadata.deletionTimestamp") != NULL : condition_true(tree, states[i][0])))
		i++;
	add_text(row, i < n ? str_from(states[i][1]) : STR("Running"));
	if (completions != NULL)
		json_builder_item(row, json_printf(row->arena, "%lld/%lld", succeeded, (long long)json_int(completions, 0)));
	else if (parallelism > 1)
		json_builder_item(row, json_printf(row->arena, "%lld/1 of %lld", succeeded, parallelism));
	else
		json_builder_item(row, json_printf(row->arena, "%lld/1", succeeded));
	add_text(row,
		 duration_text(row->arena, json_path(tree, "status.startTime"), json_path(tree, "status.completionTime"), now));
}

/* One metric: what it is now, and what it should be. which: the member of spec and status that the type names. */
static struct str metric_text(struct arena *arena, const struct json *spec, const struct json *status, const char *which,
			      bool named)
{
	const struct json *target = json_get(json_get(spec, which), "target"), *is = json_get(json_get(status, which), "current");
	const struct json *average = json_get(target, "averageValue");
	struct str name = named ? json_get_str(json_get(spec, which), "name") : STR(""), now = STR("<unknown>"), goal;
	bool share = named && average == NULL, plain = !named && average == NULL;

	if (share) {
		const struct json *percent = json_get(is, "averageUtilization"), *wanted = json_get(target, "averageUtilization");
		if (percent != NULL)
			now = str_format(arena, "%.*s%%", STR_ARG(percent->text));
		goal = wanted != NULL ? str_format(arena, "%.*s%%", STR_ARG(wanted->text)) : STR("<auto>");
	} else {
		if (is != NULL && json_get(is, plain ? "value" : "averageValue") != NULL)
			now = json_get_str(is, plain ? "value" : "averageValue");
		goal = plain ? json_get_str(target, "value") : json_str(average);
	}
	bool averaged = average != NULL && !named && strcmp(which, "pods") != 0;
	return str_format(arena, "%.*s%s%.*s/%.*s%s", STR_ARG(name), named ? ": " : "", STR_ARG(now), STR_ARG(goal),
			  averaged ? " (avg)" : "");
}

static struct str metrics_text(struct arena *arena, const struct json *tree)
{
	static const struct {
		const char *type, *member;
		bool named;
	} kinds[] = { { "External", "external", false },
		      { "Pods", "pods", false },
		      { "Object", "object", false },
		      { "Resource", "resource", true },
		      { "ContainerResource", "containerResource", true } };
	const struct json *metrics = json_path(tree, "spec.metrics");
	AUTO_BUF struct buf out = { 0 };
	size_t n = json_len(metrics);

	JSON_EACH (metrics, it) {
		struct str text = STR("<unknown type>");
		if (it.index == 2)
			break;
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (str_is(json_get_str(it.value, "type"), kinds[i].type))
				text = metric_text(arena, it.value, json_at(json_path(tree, "status.currentMetrics"), it.index),
						   kinds[i].member, kinds[i].named);
		buf_printf(&out, "%s%.*s", it.index == 0 ? "" : ", ", STR_ARG(text));
	}
	if (n > 2)
		buf_printf(&out, " + %zu more...", n - 2);
	return n == 0 ? STR("<none>") : str_dup(arena, buf_str(&out));
}

void autoscaler_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *percent = json_path(tree, "spec.targetCPUUtilizationPercentage");
	const struct json *is = json_path(tree, "status.currentCPUUtilizationPercentage");

	(void)now;
	json_builder_item(row, json_printf(row->arena, "%.*s/%.*s", STR_ARG(json_path_str(tree, "spec.scaleTargetRef.kind")),
					   STR_ARG(json_path_str(tree, "spec.scaleTargetRef.name"))));
	if (percent == NULL) {
		add_text(row, metrics_text(row->arena, tree));
		return;
	}
	struct str current = is == NULL ? STR("<unknown>") : str_format(row->arena, "%.*s%%", STR_ARG(is->text));
	json_builder_item(row, json_printf(row->arena, "cpu: %.*s/%.*s%%", STR_ARG(current), STR_ARG(percent->text)));
}

void signing_request_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *seconds = json_path(tree, "spec.expirationSeconds");
	char text[TIME_TEXT];

	(void)now;
	add_text(row, seconds == NULL ? STR("<none>") : str_dup(row->arena, time_human(text, json_int(seconds, 0) * NS_PER_S)));
	json_builder_item(row, json_printf(row->arena, "%s%s%s",
					   condition(tree, "Denied") != NULL     ? "Denied"
					   : condition(tree, "Approved") != NULL ? "Approved"
										 : "Pending",
					   condition(tree, "Failed") != NULL ? ",Failed" : "",
					   json_path_str(tree, "status.certificate").len != 0 ? ",Issued" : ""));
}

static bool annotated_default(const struct json *tree, const char *key)
{
	return str_is(json_get_str(json_path(tree, "metadata.annotations"), key), "true");
}

static void add_name(struct json_builder *row, const struct json *tree, bool is_default)
{
	json_builder_item(row, json_printf(row->arena, "%.*s%s", STR_ARG(json_path_str(tree, "metadata.name")),
					   is_default ? " (default)" : ""));
}

void ingress_class_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *p = json_path(tree, "spec.parameters");
	struct str group = json_get_str(p, "apiGroup");

	(void)now;
	add_name(row, tree, annotated_default(tree, "ingressclass.kubernetes.io/is-default-class"));
	add_text(row, p == NULL ? STR("<none>")
				: str_format(row->arena, "%.*s%s%.*s/%.*s", STR_ARG(json_get_str(p, "kind")),
					     json_get(p, "apiGroup") != NULL ? "." : "", STR_ARG(group),
					     STR_ARG(json_get_str(p, "name"))));
}

void ingress_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *rules = json_path(tree, "spec.rules");
	AUTO_BUF struct buf hosts = { 0 };
	size_t shown = 0;
	bool more = false;

	(void)now;
	JSON_EACH (rules, it) {
		struct str host = json_get_str(it.value, "host");
		more = more || shown == 3;
		if (!more && host.len != 0)
			buf_printf(&hosts, "%s%.*s", shown++ == 0 ? "" : ",", STR_ARG(host));
	}
	if (more)
		buf_printf(&hosts, " + %zu more...", json_len(rules) - 3);
	add_text(row, shown == 0 ? STR("*") : buf_str(&hosts));
	add_text(row, balancer_text(row->arena, json_path(tree, "status.loadBalancer.ingress")));
	add_text(row, json_len(json_path(tree, "spec.tls")) != 0 ? STR("80, 443") : STR("80"));
}

void ip_address_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *parent = json_path(tree, "spec.parentRef");
	struct str group = json_get_str(parent, "group"), ns = json_get_str(parent, "namespace");
	struct str name = str_format(row->arena, "%.*s%s%.*s", STR_ARG(json_get_str(parent, "resource")), group.len != 0 ? "." : "",
				     STR_ARG(group));

	if (parent == NULL)
		add_text(row, STR("<none>"));
	else
		json_builder_item(row, json_printf(row->arena, "%.*s%s%.*s/%.*s", STR_ARG(str_lower(row->arena, name)),
						   ns.len != 0 ? "/" : "", STR_ARG(ns), STR_ARG(json_get_str(parent, "name"))));
	/* Upstream sends the age although no column is announced for it. */
	add_text(row, api_age(row->arena, json_path(tree, "metadata.creationTimestamp"), now, "<unknown>"));
}

void role_binding_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	static const char *const kinds[] = { "User", "Group", "ServiceAccount" };

	(void)now;
	json_builder_item(row, json_printf(row->arena, "%.*s/%.*s", STR_ARG(json_path_str(tree, "roleRef.kind")),
					   STR_ARG(json_path_str(tree, "roleRef.name"))));
	for (int i = 0; i < 3; i++) {
		AUTO_BUF struct buf out = { 0 };
		JSON_EACH (json_get(tree, "subjects"), it) {
			if (!str_is(json_get_str(it.value, "kind"), kinds[i]))
				continue;
			if (out.len != 0)
				buf_add(&out, STR(", "));
			if (i == 2)
				buf_printf(&out, "%.*s/", STR_ARG(json_get_str(it.value, "namespace")));
			buf_add(&out, json_get_str(it.value, "name"));
		}
		add_text(row, buf_str(&out));
	}
}

void csi_driver_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *requests = json_path(tree, "spec.tokenRequests");

	(void)now;
	add_text(row, requests == NULL ? STR("<unset>") : joined(row->arena, requests, "audience", ","));
}

void storage_class_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	(void)now;
	add_name(row, tree,
		 annotated_default(tree, "storageclass.kubernetes.io/is-default-class") ||
			 annotated_default(tree, "storageclass.beta.kubernetes.io/is-default-class"));
}

void admission_policy_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *kind = json_path(tree, "spec.paramKind");

	(void)now;
	add_text(row, kind == NULL ? STR("<unset>")
				   : str_format(row->arena, "%.*s/%.*s", STR_ARG(json_get_str(kind, "apiVersion")),
						STR_ARG(json_get_str(kind, "kind"))));
}

void admission_binding_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *ref = json_path(tree, "spec.paramRef");
	struct str name = json_get_str(ref, "name"), ns = json_get_str(ref, "namespace");

	(void)now;
	if (name.len != 0)
		json_builder_item(row, json_printf(row->arena, "%.*s/%.*s", STR_ARG(otherwise(ns, "*")), STR_ARG(name)));
	else if (json_get(ref, "selector") != NULL)
		add_text(row, selector_cell(row->arena, json_get(ref, "selector"), "<error>", ""));
	else
		add_text(row, STR("<unset>"));
}

void resource_claim_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	bool deleted = json_path(tree, "metadata.deletionTimestamp") != NULL;
	bool allocated = json_path(tree, "status.allocation") != NULL;
	bool reserved = allocated && json_len(json_path(tree, "status.reservedFor")) != 0;

	(void)now;
	json_builder_item(row, json_printf(row->arena, "%s%s%s%s", deleted ? "deleted" : "", deleted && allocated ? "," : "",
					   allocated ? "allocated"
					   : deleted ? ""
						     : "pending",
					   reserved ? ",reserved" : ""));
}

void flow_schema_cells(struct json_builder *row, const struct json *tree, int64_t now)
{
	const struct json *dangling = condition(tree, "Dangling");

	(void)now;
	add_text(row, dangling == NULL ? STR("?") : json_get_str(dangling, "status"));
}
