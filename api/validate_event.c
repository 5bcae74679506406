/* Events: what both versions ask, and what only events.k8s.io/v1 does. Source: k8s.io/kubernetes/pkg/apis/core/validation/events.go.
 * Fields are named as in the core version, also when the other one was spoken. */
#include "api/check.h"
#include "api/hooks.h"

struct event {
	const struct json *tree;
	bool core;
};

static struct event event_of(const struct json *tree)
{
	return (struct event){ tree, str_is(json_get_str(tree, "apiVersion"), "v1") };
}

/* core name, name in events.k8s.io */
static const struct json *of(const struct event *event, const char *core, const char *other)
{
	return json_path(event->tree, event->core ? core : other);
}

static void check_length(struct api_findings *f, const char *path, struct str value, size_t most)
{
	if (value.len > most)
		finding_invalid_text(f, path, STR(""), AT(f, "can have at most %zu characters", most));
}

static void check_new_form(struct api_findings *f, const struct event *event)
{
	const char *reporter = event->core ? "reportingComponent" : "reportingController";
	struct str controller = json_str(of(event, "reportingComponent", "reportingController"));
	struct str about = json_str(of(event, "involvedObject.namespace", "regarding.namespace"));
	struct str own = json_path_str(event->tree, "metadata.namespace");
	static const char *const texts[] = { "reportingInstance", "action", "reason" };

	if (about.len == 0 && !str_is(own, "default") && !str_is(own, "kube-system"))
		finding_invalid_text(f, "involvedObject.namespace", about, "does not match event.namespace");
	if (controller.len == 0)
		finding_required(f, reporter, "");
	check_complaints(f, reporter, controller, name_label_key(controller));
	for (size_t i = 0; i < N_OF(texts); i++) {
		struct str text = json_get_str(event->tree, texts[i]);

		if (text.len == 0)
			finding_required(f, texts[i], "");
		check_length(f, texts[i], text, 128);
	}
	check_length(f, "message", json_str(of(event, "message", "note")), 1024);
}

static void check_series(struct api_findings *f, const struct json *tree)
{
	const struct json *series = json_get(tree, "series");

	if (series == NULL)
		return;
	if (json_int(json_get(series, "count"), 0) < 2)
		finding_invalid_text(f, "series.count", STR(""), "should be at least 2");
	if (json_absent(json_get(series, "lastObservedTime")))
		finding_required(f, "series.lastObservedTime", "");
}

/* What the old fields of an event in the new form must not hold. */
static void check_deprecated(struct api_findings *f, const struct json *tree)
{
	static const char *const fields[][2] = { { "deprecatedFirstTimestamp", "firstTimestamp" },
						 { "deprecatedLastTimestamp", "lastTimestamp" },
						 { "deprecatedCount", "count" } };

	for (size_t i = 0; i < N_OF(fields); i++)
		if (!json_absent(json_get(tree, fields[i][0])) && json_int(json_get(tree, fields[i][0]), 1) != 0)
			finding_invalid_text(f, fields[i][1], STR(""), "needs to be unset");
	if (json_len(json_get(tree, "deprecatedSource")) != 0)
		finding_invalid_text(f, "source", STR(""), "needs to be unset");
}

void validate_event(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	struct event event = event_of(tree);
	struct str about = json_str(of(&event, "involvedObject.namespace", "regarding.namespace"));
	struct str own = json_path_str(tree, "metadata.namespace");

	(void)type;
	(void)path;
	if (!json_absent(json_get(tree, "eventTime")))
		check_new_form(f, &event);
	else if (about.len == 0 ? own.len != 0 && !str_is(own, "default") : !str_eq(about, own))
		finding_invalid_text(f, "involvedObject.namespace", about, "does not match event.namespace");
	check_complaints(f, "namespace", own, name_dns_subdomain(own));
}

void create_event(struct api_findings *f, const struct json *tree)
{
	struct str type = json_get_str(tree, "type");

	if (event_of(tree).core)
		return;
	check_series(f, tree);
	if (json_absent(json_get(tree, "eventTime")))
		finding_required(f, "eventTime", "");
	if (!str_is(type, "Normal") && !str_is(type, "Warning"))
		finding_invalid_text(f, "type", STR(""), AT(f, "has invalid value: %.*s", STR_ARG(type)));
	check_deprecated(f, tree);
}

/* References and sources are told by the names of their fields in Go. */
static void check_unchanged(struct api_findings *f, const char *field, const struct json *new, const struct json *old)
{
	static const struct shown_field reference[] = {
		{ "Kind", "kind", "\"\"" },
		{ "Namespace", "namespace", "\"\"" },
		{ "Name", "name", "\"\"" },
		{ "UID", "uid", "\"\"" },
		{ "APIVersion", "apiVersion", "\"\"" },
		{ "ResourceVersion", "resourceVersion", "\"\"" },
		{ "FieldPath", "fieldPath", "\"\"" },
	};
	static const struct shown_field source[] = { { "Component", "component", "\"\"" }, { "Host", "host", "\"\"" } };

	if (json_equal(new, old))
		return;
	if (json_is(new, JSON_OBJECT) && str_is(str_from(field), "source"))
		new = shown_struct(f->arena, new, source, N_OF(source));
	else if (json_is(new, JSON_OBJECT))
		new = shown_struct(f->arena, new, reference, N_OF(reference));
	else if (new == NULL && json_is(old, JSON_STRING) && !str_has_suffix(str_from(field), STR("Timestamp")))
		new = &json_empty_string;
	check_immutable(f, field, new, old);
}

void update_event(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const fixed[][2] = {
		{ "regarding", "involvedObject" },
		{ "reason", "reason" },
		{ "note", "message" },
		{ "deprecatedSource", "source" },
		{ "deprecatedFirstTimestamp", "firstTimestamp" },
		{ "deprecatedLastTimestamp", "lastTimestamp" },
		{ "deprecatedCount", "count" },
		{ "reason", "reason" },
		{ "type", "type" },
		{ "eventTime", "eventTime" },
		{ "action", "action" },
		{ "related", "related" },
		{ "reportingController", "reportingController" },
		{ "reportingInstance", "reportingInstance" },
	};

	if (event_of(tree).core)
		return;
	if (!json_equal(json_get(tree, "series"), json_get(old, "series")))
		check_series(f, tree);
	for (size_t i = 0; i < N_OF(fixed); i++)
		check_unchanged(f, fixed[i][1], json_get(tree, fixed[i][0]), json_get(old, fixed[i][0]));
}
