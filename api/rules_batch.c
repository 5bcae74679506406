/* Rules of jobs and autoscalers. Sources: pkg/apis/{batch,autoscaling}/validation. */
#include <string.h>

#include "api/hooks.h"
#include "api/quantity.h"
#include "api/rules.h"
#include "api/selector.h"
#include "base/auto.h"

/* ---- jobs ---- */

static void on_exit_codes(struct api_findings *f, const char *path, const struct json *codes, const struct json *pod)
{
	static const char *const operators[] = { "In", "NotIn" }, *const lists[] = { "containers", "initContainers" };
	const struct json *name = json_get(codes, "containerName"), *values = json_get(codes, "values");
	struct places seen = { .arena = f->arena };
	struct str op = json_get_str(codes, "operator");
	bool known = name == NULL, ordered = true;

	if (op.len == 0)
		finding_required(f, rules_at(f, path, "operator"), "valid values: [\"In\" \"NotIn\"]");
	check_one_of(f, rules_at(f, path, "operator"), op, false, operators, 2);
	for (int i = 0; i < 2 && !known; i++)
		JSON_EACH (json_get(pod, lists[i]), it)
			known = known || json_equal(json_get(it.value, "name"), name);
	if (!known)
		finding_invalid(f, rules_at(f, path, "containerName"), name,
				"must be one of the container or initContainer names in the pod template");
	path = rules_at(f, path, "values");
	if (json_len(values) == 0)
		finding_invalid(f, path, values == NULL ? &json_null : values, "at least one value is required");
	else if (json_len(values) > 255)
		finding_too_many(f, path, json_len(values), 255);
	JSON_EACH (values, it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		if (str_is(op, "In") && json_int(it.value, 1) == 0)
			finding_invalid(f, at, it.value, "must not be 0 for the In operator");
		if (places_add(&seen, json_key(f->arena, it.value), it.index) != it.index)
			finding_duplicate(f, at, it.value);
		ordered = ordered && (it.index == 0 || json_int(json_at(values, it.index - 1), 0) <= json_int(it.value, 0));
	}
	if (!ordered)
		finding_invalid(f, path, values, "must be ordered");
}

/* "Invalid value: x" without the x. */
static void of_whole(struct api_findings *f, const char *path, const char *say)
{
	struct api_finding one = { "FieldValueInvalid", path, AT(f, "Invalid value: %s", say) };

	finding_copy(f, &one);
}

static void failure_rule(struct api_findings *f, const char *path, const struct json *rule, const struct json *spec)
{
	static const char *const actions[] = { "Count", "FailIndex", "FailJob", "Ignore" };
	static const char *const statuses[] = { "False", "True", "Unknown" };
	const struct json *codes = json_get(rule, "onExitCodes"), *conditions = json_get(rule, "onPodConditions");
	struct str action = json_get_str(rule, "action");

	if (action.len == 0)
		finding_required(f, rules_at(f, path, "action"), "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
	else if (str_is(action, "FailIndex") && json_get(spec, "backoffLimitPerIndex") == NULL)
		finding_invalid_text(f, rules_at(f, path, "action"), action, "requires the backoffLimitPerIndex to be set");
	check_one_of(f, rules_at(f, path, "action"), action, false, actions, N_OF(actions));
	if (codes != NULL)
		on_exit_codes(f, rules_at(f, path, "onExitCodes"), codes, json_path(spec, "template.spec"));
	JSON_EACH (conditions, it) {
		const char *at = AT(f, "%s.onPodConditions[%zu]", path, it.index);
		struct str status = json_get_str(it.value, "status");
		check_complaints(f, rules_at(f, at, "type"), json_get_str(it.value, "type"),
				 name_label_key(json_get_str(it.value, "type")));
		if (status.len == 0)
			finding_required(f, rules_at(f, at, "status"), "valid values: [\"False\" \"True\" \"Unknown\"]");
		check_one_of(f, rules_at(f, at, "status"), status, false, statuses, N_OF(statuses));
	}
	if (codes != NULL && json_len(conditions) != 0)
		of_whole(f, path, "specifying both OnExitCodes and OnPodConditions is not supported");
	if (codes == NULL && json_len(conditions) == 0)
		of_whole(f, path, "specifying one of OnExitCodes and OnPodConditions is required");
}

static void success_rules(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *rules = json_path(spec, "successPolicy.rules"), *completions = json_get(spec, "completions");

	path = rules_at(f, path, "rules");
	if (json_len(rules) == 0)
		finding_required(f, path, "at least one rules must be specified when the successPolicy is specified");
	if (json_len(rules) > 20)
		finding_too_many(f, path, json_len(rules), 20);
	JSON_EACH (rules, it) {
		const char *at = AT(f, "%s[%zu]", path, it.index);
		const struct json *count = json_get(it.value, "succeededCount");
		if (count == NULL && json_get(it.value, "succeededIndexes") == NULL)
			finding_required(f, at, "at least one of succeededCount or succeededIndexes must be specified");
		check_not_negative(f, rules_at(f, at, "succeededCount"), count);
		if (json_int(count, 0) > json_int(completions, 0))
			finding_invalid(f, rules_at(f, at, "succeededCount"), count,
					AT(f, "must be less than or equal to %lld (the number of specified completions)",
					   (long long)json_int(completions, 0)));
	}
}

static void job_indexes(struct api_findings *f, const char *path, const struct json *spec)
{
	const struct json *failed = json_get(spec, "maxFailedIndexes"), *limit = json_get(spec, "backoffLimitPerIndex");
	const struct json *completions = json_get(spec, "completions"), *parallel = json_get(spec, "parallelism");
	bool indexed = str_is(json_get_str(spec, "completionMode"), "Indexed");
	bool plain = json_get(spec, "completionMode") == NULL || str_is(json_get_str(spec, "completionMode"), "NonIndexed");

	if (failed != NULL && limit == NULL)
		finding_required(f, rules_at(f, path, "backoffLimitPerIndex"), "when maxFailedIndexes is specified");
	if (indexed && completions == NULL)
		finding_required(f, rules_at(f, path, "completions"), "when completion mode is Indexed");
	if (indexed && json_int(parallel, 0) > 100000)
		finding_invalid(f, rules_at(f, path, "parallelism"), parallel,
				"must be less than or equal to 100000 when completion mode is Indexed");
	if (indexed && completions != NULL && json_int(failed, 0) > json_int(completions, 0))
		finding_invalid(f, rules_at(f, path, "maxFailedIndexes"), failed, "must be less than or equal to completions");
	if (indexed && json_int(failed, 0) > 100000)
		finding_invalid(f, rules_at(f, path, "maxFailedIndexes"), failed, "must be less than or equal to 100000");
	if (plain && limit != NULL)
		finding_invalid(f, rules_at(f, path, "backoffLimitPerIndex"), limit, "requires indexed completion mode");
	if (plain && failed != NULL)
		finding_invalid(f, rules_at(f, path, "maxFailedIndexes"), failed, "requires indexed completion mode");
	if (json_get(spec, "successPolicy") != NULL && !indexed)
		finding_invalid(f, rules_at(f, path, "successPolicy"),
				JSON_OBJECT_OF(f->arena, { "Rules", json_path(spec, "successPolicy.rules") }),
				"requires indexed completion mode");
	else if (json_get(spec, "successPolicy") != NULL)
		success_rules(f, rules_at(f, path, "successPolicy"), spec);
}

static void job_policies(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const replacements[] = { "Failed", "TerminatingOrFailed" };
	const struct json *policy = json_get(spec, "podFailurePolicy"), *manager = json_get(spec, "managedBy");

	if (manager != NULL) {
		check_domain_path(f, rules_at(f, path, "managedBy"), json_str(manager));
		if (json_str(manager).len > 63)
			finding_too_long(f, rules_at(f, path, "managedBy"), 63);
	}
	check_if_one_of(f, rules_at(f, path, "podReplacementPolicy"), json_get(spec, "podReplacementPolicy"), replacements,
			policy != NULL ? 1 : 2);
	if (json_len(json_get(policy, "rules")) > 20)
		finding_too_many(f, rules_at(f, path, "podFailurePolicy.rules"), json_len(json_get(policy, "rules")), 20);
	JSON_EACH (json_get(policy, "rules"), it)
		failure_rule(f, AT(f, "%s.podFailurePolicy.rules[%zu]", path, it.index), it.value, spec);
}

static void job_template(struct api_findings *f, const char *path, const struct json *spec)
{
	static const char *const restarts[] = { "OnFailure", "Never" };
	struct str restart = json_path_str(spec, "template.spec.restartPolicy");
	const char *at = rules_at(f, path, "template.spec.restartPolicy");

	check_pod_template(f, rules_at(f, path, "template"), json_get(spec, "template"));
	if (restart.len == 0 || str_is(restart, "Always"))
		finding_required(f, at, "valid values: \"OnFailure\", \"Never\"");
	else if (!str_is(restart, "OnFailure") && !str_is(restart, "Never"))
		finding_unsupported(f, at, restart, restarts, 2);
	else if (json_get(spec, "podFailurePolicy") != NULL && !str_is(restart, "Never"))
		finding_invalid_text(f, at, restart, "only \"Never\" is supported when podFailurePolicy is specified");
}

static const struct rule job_rules[] = {
	NOT_NEGATIVE("parallelism"),
	NOT_NEGATIVE("completions"),
	NOT_NEGATIVE("activeDeadlineSeconds"),
	NOT_NEGATIVE("backoffLimit"),
	NOT_NEGATIVE("ttlSecondsAfterFinished"),
	NOT_NEGATIVE("backoffLimitPerIndex"),
	NOT_NEGATIVE("maxFailedIndexes"),
	ONE_OF("completionMode", "NonIndexed", "Indexed"),
	CALL(job_indexes),
	CALL(job_policies),
	CALL(job_template),
	RULES_END,
};

/* A selector that was made for this job: its pods bear the job's uid and name. */
static void check_generated(struct api_findings *f, const struct json *tree)
{
	static const char *const keys[][2] = { { "controller-uid", "uid" },
					       { "job-name", "name" },
					       { "batch.kubernetes.io/controller-uid", "uid" },
					       { "batch.kubernetes.io/job-name", "name" } };
	const struct json *labels = json_path(tree, "spec.template.metadata.labels"), *said = json_path(tree, "spec.selector");
	struct json_builder expected = { .arena = f->arena };
	struct selector selector;

	if (json_bool(json_path(tree, "spec.manualSelector")) || said == NULL)
		return;
	for (int i = 0; i < 4; i++) {
		const struct json *want = json_get(json_get(tree, "metadata"), keys[i][1]), *is = json_get(labels, keys[i][0]);
		const char *path = AT(f, "spec.template.metadata.labels[%s]", keys[i][0]);
		const char *why = AT(f, "must be '%.*s'", STR_ARG(json_str(want)));

		json_builder_member(&expected, str_from(keys[i][0]), want);
		if (is == NULL)
			finding_required(f, path, why);
		else if (!json_equal(is, want))
			finding_invalid(f, path, is, why);
	}
	AUTO_ERROR err = selector_from_object(f->arena, said, &selector);
	if (err == NULL && !selector_matches(&selector, json_builder_object(&expected)))
		finding_invalid(f, "spec.selector", said, "`selector` not auto-generated");
}

void validate_job(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *spec = json_get(tree, "spec"), *said = json_get(spec, "selector");
	const struct json *labels = json_path(spec, "template.metadata.labels");
	int64_t completions = json_int(json_get(spec, "completions"), 0);
	struct str name = json_path_str(tree, "metadata.name");
	struct selector selector;

	(void)type;
	(void)path;
	check_generated(f, tree);
	rules_find(f, job_rules, spec, "spec");
	if (said == NULL)
		finding_required(f, "spec.selector", "");
	else
		check_label_selector(f, "spec.selector", said);
	AUTO_ERROR err = selector_from_object(f->arena, said, &selector);
	if (err == NULL && !selector_matches(&selector, labels))
		finding_invalid(f, "spec.template.metadata.labels", labels == NULL ? &json_null : labels,
				"`selector` does not match template `labels`");
	if (str_is(json_get_str(spec, "completionMode"), "Indexed") && completions > 0) {
		struct str host = str_format(f->arena, "%.*s-%lld", STR_ARG(name), (long long)completions - 1);
		if (name_dns_label(host).n != 0)
			finding_invalid_text(f, "metadata.name", name,
					     AT(f, "will not able to create pod with invalid DNS label: %.*s", STR_ARG(host)));
	}
}

/* ---- schedules: "minute hour day month weekday", or a word ---- */

static const char *const months = "jan feb mar apr may jun jul aug sep oct nov dec";
static const char *const days = "sun mon tue wed thu fri sat";

static const struct {
	int64_t least, most;
	const char *const *names;
} columns[] = { { 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, &months }, { 0, 6, &days } };

static bool number_of(struct str word, size_t column, int64_t *out)
{
	struct str names = STR(""), name;

	if (columns[column].names != NULL)
		names = str_from(*columns[column].names);
	for (int64_t i = columns[column].least; str_cut(&names, ' ', &name); i++)
		if (word.len == 3 && strncasecmp(word.ptr, name.ptr, 3) == 0) {
			*out = i;
			return true;
		}
	return str_to_i64(word, out) && *out >= 0;
}

static const char *number_fault(struct api_findings *f, struct str word)
{
	int64_t n;

	if (str_to_i64(word, &n))
		return AT(f, "negative number (%lld) not allowed: %.*s", (long long)n, STR_ARG(word));
	return AT(f, "failed to parse int from %.*s: strconv.Atoi: parsing %s: invalid syntax", STR_ARG(word),
		  api_quoted(f->arena, word));
}

static struct str take_digits(struct str *from)
{
	size_t n = 0;

	while (n < from->len && from->ptr[n] >= '0' && from->ptr[n] <= '9')
		n++;
	*from = str_skip(*from, n);
	return str_of(from->ptr - n, n);
}

/* Go's time.ParseDuration. */
static const char *duration_fault(struct api_findings *f, struct str text)
{
	static const char *const units[] = { "ns", "us", "\xc2\xb5s", "\xce\xbcs", "ms", "s", "m", "h" };
	struct str rest = text.len != 0 && (text.ptr[0] == '-' || text.ptr[0] == '+') ? str_skip(text, 1) : text, unit;
	const char *quoted = api_quoted(f->arena, text);
	bool known = true;

	if (str_is(rest, "0"))
		return NULL;
	if (rest.len == 0)
		return AT(f, "time: invalid duration %s", quoted);
	while (rest.len != 0) {
		size_t digits = take_digits(&rest).len, n = 0;

		if (rest.len != 0 && rest.ptr[0] == '.') {
			rest = str_skip(rest, 1);
			digits += take_digits(&rest).len;
		}
		if (digits == 0)
			return AT(f, "time: invalid duration %s", quoted);
		while (n < rest.len && rest.ptr[n] != '.' && (rest.ptr[n] < '0' || rest.ptr[n] > '9'))
			n++;
		unit = str_head(rest, n);
		rest = str_skip(rest, n);
		known = false;
		for (size_t i = 0; i < N_OF(units); i++)
			known = known || str_is(unit, units[i]);
		if (unit.len == 0)
			return AT(f, "time: missing unit in duration %s", quoted);
		if (!known)
			return AT(f, "time: unknown unit %s in duration %s", api_quoted(f->arena, unit), quoted);
	}
	return NULL;
}

/* One of the ranges of a column; what is wrong in the words of upstream's parser, or NULL. */
static const char *range_fault(struct api_findings *f, struct str text, size_t column)
{
	struct str rest = text, range, low_word, high_word;
	int64_t low = 0, high = 0, step = 1;
	bool stepped = str_find(text, '/') >= 0;

	str_cut(&rest, '/', &range);
	if (str_find(rest, '/') >= 0)
		return AT(f, "too many slashes: %.*s", STR_ARG(text));
	high_word = range;
	str_cut(&high_word, '-', &low_word);
	if (str_is(low_word, "*") || str_is(low_word, "?")) {
		low = columns[column].least;
		high = columns[column].most;
	} else {
		if (!number_of(low_word, column, &low))
			return number_fault(f, low_word);
		high = stepped ? columns[column].most : low;
		if (str_find(high_word, '-') >= 0)
			return AT(f, "too many hyphens: %.*s", STR_ARG(text));
		if (str_find(range, '-') >= 0 && !number_of(high_word, column, &high))
			return number_fault(f, high_word);
	}
	if (stepped && (!str_to_i64(rest, &step) || step < 0))
		return number_fault(f, rest);
	if (low < columns[column].least)
		return AT(f, "beginning of range (%lld) below minimum (%lld): %.*s", (long long)low,
			  (long long)columns[column].least, STR_ARG(text));
	if (high > columns[column].most)
		return AT(f, "end of range (%lld) above maximum (%lld): %.*s", (long long)high, (long long)columns[column].most,
			  STR_ARG(text));
	if (low > high)
		return AT(f, "beginning of range (%lld) beyond end of range (%lld): %.*s", (long long)low, (long long)high,
			  STR_ARG(text));
	return step == 0 ? AT(f, "step of range should be a positive number: %.*s", STR_ARG(text)) : NULL;
}

static const char *schedule_fault(struct api_findings *f, struct str text)
{
	static const char *const words[] = { "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly" };
	AUTO_BUF struct buf shown = { 0 };
	struct str rest = text, piece, fields[8], range;
	size_t n = 0;
	const char *fault = NULL;

	for (size_t i = 0; i < N_OF(words); i++)
		if (str_is(text, words[i]))
			return NULL;
	if (str_has_prefix(text, STR("@every "))) {
		fault = duration_fault(f, str_skip(text, 7));
		return fault == NULL ? NULL : AT(f, "failed to parse duration %.*s: %s", STR_ARG(text), fault);
	}
	if (str_has_prefix(text, STR("@")))
		return AT(f, "unrecognized descriptor: %.*s", STR_ARG(text));
	while (str_cut(&rest, ' ', &piece)) {
		if (piece.len == 0)
			continue;
		buf_printf(&shown, "%s%.*s", n == 0 ? "" : " ", STR_ARG(piece));
		if (n < N_OF(fields))
			fields[n] = piece;
		n++;
	}
	if (n != 5)
		return AT(f, "expected exactly 5 fields, found %zu: [%s]", n, buf_cstr(&shown));
	for (size_t i = 0; i < 5 && fault == NULL; i++)
		while (fault == NULL && str_cut(&fields[i], ',', &range))
			fault = range.len == 0 ? NULL : range_fault(f, range, i);
	return fault;
}

static void cron_times(struct api_findings *f, const char *path, const struct json *spec)
{
	struct str schedule = json_get_str(spec, "schedule");
	const struct json *zone = json_get(spec, "timeZone"), *job = json_path(spec, "jobTemplate.spec");
	static const char *const manual[] = { "nil", "false" };
	const char *fault = schedule.len == 0 ? NULL : schedule_fault(f, schedule), *at = rules_at(f, path, "schedule");

	if (fault != NULL)
		finding_invalid_text(f, at, schedule, fault);
	if (str_contains(schedule, STR("TZ")))
		finding_invalid_text(f, at, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
	if (zone != NULL && json_str(zone).len == 0)
		finding_invalid(f, rules_at(f, path, "timeZone"), zone, "timeZone must be nil or non-empty string");
	rules_find(f, job_rules, job, rules_at(f, path, "jobTemplate.spec"));
	if (json_get(job, "selector") != NULL)
		finding_invalid(f, rules_at(f, path, "jobTemplate.spec.selector"), json_get(job, "selector"),
				"`selector` will be auto-generated");
	if (json_bool(json_get(job, "manualSelector")))
		finding_unsupported_value(f, rules_at(f, path, "jobTemplate.spec.manualSelector"), json_get(job, "manualSelector"),
					  manual, 2);
}

void validate_cron_job(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	static const struct rule rows[] = {
		NEEDED("schedule", ""),
		NOT_NEGATIVE("startingDeadlineSeconds"),
		NAMED("concurrencyPolicy", "Allow", "Forbid", "Replace"),
		CALL(cron_times),
		NOT_NEGATIVE("successfulJobsHistoryLimit"),
		NOT_NEGATIVE("failedJobsHistoryLimit"),
		RULES_END,
	};
	struct str name = json_path_str(tree, "metadata.name");

	(void)type;
	(void)path;
	rules_find(f, rows, json_get(tree, "spec"), "spec");
	if (name.len > 52)
		finding_invalid_text(f, "metadata.name", name, "must be no more than 52 characters");
}

/* ---- autoscalers ---- */

static void positive(struct api_findings *f, const char *path, const struct json *value)
{
	struct quantity q = quantity_of(value);

	if (value != NULL && quantity_sign(&q) <= 0)
		finding_invalid(f, path, value, "must be positive");
}

static void scale_reference(struct api_findings *f, const char *path, const struct json *ref, bool group_needed)
{
	static const struct rule rows[] = { NEEDED("kind", ""), NAME("kind", name_path_segment), NEEDED("name", ""),
					    NAME("name", name_path_segment), RULES_END };
	struct str version = json_get_str(ref, "apiVersion"), group = STR(""), rest = version;

	rules_find(f, rows, ref, path);
	if (str_find(version, '/') >= 0)
		str_cut(&rest, '/', &group);
	if (str_find(rest, '/') >= 0)
		finding_invalid_text(f, rules_at(f, path, "apiVersion"), version,
				     AT(f, "unexpected GroupVersion string: %.*s", STR_ARG(version)));
	else if (group_needed && group.len == 0)
		finding_invalid_text(f, rules_at(f, path, "apiVersion"), version, "apiVersion must specify API group");
}

static void metric_target(struct api_findings *f, const char *path, const struct json *target)
{
	static const char *const types[] = { "Utilization", "Value", "AverageValue" };
	const struct json *share = json_get(target, "averageUtilization");
	struct str type = json_get_str(target, "type");

	if (type.len == 0)
		finding_required(f, rules_at(f, path, "type"), "must specify a metric target type");
	if (!str_is(type, types[0]) && !str_is(type, types[1]) && !str_is(type, types[2]))
		finding_invalid_text(f, rules_at(f, path, "type"), type, "must be either Utilization, Value, or AverageValue");
	positive(f, rules_at(f, path, "value"), json_get(target, "value"));
	if (share != NULL && json_int(share, 0) < 1)
		finding_invalid(f, rules_at(f, path, "averageUtilization"), share, "must be greater than 0");
	positive(f, rules_at(f, path, "averageValue"), json_get(target, "averageValue"));
}

static void metric_name(struct api_findings *f, const char *path, const struct json *metric)
{
	static const struct rule rows[] = { NEEDED("name", "must specify a metric name"), NAME("name", name_path_segment),
					    RULES_END };

	rules_find(f, rows, json_get(metric, "metric"), rules_at(f, path, "metric"));
}

static void value_or_share(struct api_findings *f, const char *path, const struct json *target)
{
	bool share = json_get(target, "averageUtilization") != NULL, value = json_get(target, "averageValue") != NULL;

	if (!share && !value)
		finding_required(f, rules_at(f, path, "averageUtilization"),
				 "must set either a target raw value or a target utilization");
	if (share && value)
		finding_forbidden(f, rules_at(f, path, "averageValue"),
				  "may not set both a target raw value and a target utilization");
}

static void of_object(struct api_findings *f, const char *path, const struct json *metric)
{
	const struct json *target = json_get(metric, "target");

	scale_reference(f, rules_at(f, path, "describedObject"), json_get(metric, "describedObject"), false);
	metric_name(f, path, metric);
	metric_target(f, rules_at(f, path, "target"), target);
	if (json_get(target, "value") == NULL && json_get(target, "averageValue") == NULL)
		finding_required(f, rules_at(f, path, "target.averageValue"), "must set either a target value or averageValue");
}

static void of_external(struct api_findings *f, const char *path, const struct json *metric)
{
	const struct json *target = json_get(metric, "target");
	bool value = json_get(target, "value") != NULL, average = json_get(target, "averageValue") != NULL;

	metric_name(f, path, metric);
	metric_target(f, rules_at(f, path, "target"), target);
	if (!value && !average)
		finding_required(f, rules_at(f, path, "target.averageValue"),
				 "must set either a target value for metric or a per-pod target");
	if (value && average)
		finding_forbidden(f, rules_at(f, path, "target.value"),
				  "may not set both a target value for metric and a per-pod target");
}

static void of_pods(struct api_findings *f, const char *path, const struct json *metric)
{
	metric_name(f, path, metric);
	metric_target(f, rules_at(f, path, "target"), json_get(metric, "target"));
	if (json_path(metric, "target.averageValue") == NULL)
		finding_required(f, rules_at(f, path, "target.averageValue"), "must specify a positive target averageValue");
}

static void of_resource(struct api_findings *f, const char *path, const struct json *metric)
{
	if (json_get_str(metric, "name").len == 0)
		finding_required(f, rules_at(f, path, "name"), "must specify a resource name");
	metric_target(f, rules_at(f, path, "target"), json_get(metric, "target"));
	value_or_share(f, rules_at(f, path, "target"), json_get(metric, "target"));
}

static void of_container(struct api_findings *f, const char *path, const struct json *metric)
{
	struct str container = json_get_str(metric, "container");

	of_resource(f, path, metric);
	if (container.len == 0)
		finding_required(f, rules_at(f, path, "container"), "must specify a container");
	else
		check_complaints(f, rules_at(f, path, "container"), container, name_dns_label(container));
}

static const struct {
	const char *type, *field;
	void (*check)(struct api_findings *f, const char *path, const struct json *metric);
} metric_types[] = {
	{ "Object", "object", of_object },
	{ "External", "external", of_external },
	{ "Pods", "pods", of_pods },
	{ "Resource", "resource", of_resource },
	{ "ContainerResource", "containerResource", of_container },
};

static void metric(struct api_findings *f, const char *path, const struct json *one)
{
	static const char *const types[] = { "ContainerResource", "External", "Object", "Pods", "Resource" };
	struct str type = json_get_str(one, "type");
	bool known = false;
	size_t n = 0;

	for (size_t i = 0; i < N_OF(metric_types); i++)
		known = known || str_is(type, metric_types[i].type);
	if (type.len == 0)
		finding_required(f, rules_at(f, path, "type"), "must specify a metric source type");
	for (int i = 0; i < 2 && !known; i++)
		finding_unsupported(f, rules_at(f, path, "type"), type, types, N_OF(types));
	for (size_t i = 0; i < N_OF(metric_types); i++) {
		const struct json *source = json_get(one, metric_types[i].field);
		if (source != NULL && n++ == 0)
			metric_types[i].check(f, rules_at(f, path, metric_types[i].field), source);
		else if (source == NULL && str_is(type, metric_types[i].type))
			finding_required(f, rules_at(f, path, metric_types[i].field),
					 "must populate information for the given metric source");
	}
	for (size_t i = 0; i < N_OF(metric_types) && n > 1; i++)
		if (json_get(one, metric_types[i].field) != NULL && !str_is(type, metric_types[i].type))
			finding_forbidden(f, rules_at(f, path, metric_types[i].field),
					  "must populate the given metric source only");
}

static void scaling_rules(struct api_findings *f, const char *path, const struct json *rules)
{
	static const struct rule rows[] = {
		BETWEEN("stabilizationWindowSeconds", 0, INT64_MAX, "must be greater than or equal to zero"),
		BETWEEN("stabilizationWindowSeconds", INT64_MIN, 3600, "must be less than or equal to 3600"),
		ONE_OF("selectPolicy", "Disabled", "Max", "Min"),
		NEEDED("policies", "must specify at least one Policy"),
		RULES_END,
	};
	static const struct rule policy[] = {
		ONE_OF("type", "Percent", "Pods"),
		BETWEEN("value", 1, INT64_MAX, "must be greater than zero"),
		BETWEEN("periodSeconds", 1, INT64_MAX, "must be greater than zero"),
		BETWEEN("periodSeconds", INT64_MIN, 1800, "must be less than or equal to 1800"),
		RULES_END,
	};
	struct quantity q = quantity_of(json_get(rules, "tolerance"));

	if (rules == NULL)
		return;
	rules_find(f, rows, rules, path);
	JSON_EACH (json_get(rules, "policies"), it)
		rules_find(f, policy, it.value, AT(f, "%s.policies[%zu]", path, it.index));
	if (json_get(rules, "tolerance") != NULL && quantity_sign(&q) < 0)
		finding_invalid(f, rules_at(f, path, "tolerance"), json_get(rules, "tolerance"),
				"must be greater than or equal to 0");
}

void validate_autoscaler_spec(struct api_findings *f, const struct type *type, const struct json *tree, const char *path)
{
	const struct json *least = json_get(tree, "minReplicas"), *most = json_get(tree, "maxReplicas");
	bool elsewhere = false;

	(void)type;
	if (least != NULL && json_int(least, 1) < 1)
		finding_invalid(f, rules_at(f, path, "minReplicas"), least, "must be greater than or equal to 1");
	if (json_int(most, 0) == 0)
		finding_required(f, rules_at(f, path, "maxReplicas"), "must be set and greater than 0");
	else if (json_int(most, 0) < 0)
		finding_invalid(f, rules_at(f, path, "maxReplicas"), most, "must be greater than or equal to 1");
	if (least != NULL && json_int(most, 0) < json_int(least, 0))
		finding_invalid(f, rules_at(f, path, "maxReplicas"), most, "must be greater than or equal to `minReplicas`");
	scale_reference(f, rules_at(f, path, "scaleTargetRef"), json_get(tree, "scaleTargetRef"), true);
	JSON_EACH (json_get(tree, "metrics"), it) {
		struct str kind = json_get_str(it.value, "type");
		metric(f, AT(f, "%s.metrics[%zu]", path, it.index), it.value);
		elsewhere = elsewhere || str_is(kind, "Object") || str_is(kind, "External");
	}
	if (least != NULL && json_int(least, 1) == 0 && !elsewhere)
		finding_forbidden(f, rules_at(f, path, "metrics"),
				  "must specify at least one Object or External metric to support scaling to zero replicas");
	scaling_rules(f, rules_at(f, path, "behavior.scaleUp"), json_path(tree, "behavior.scaleUp"));
	scaling_rules(f, rules_at(f, path, "behavior.scaleDown"), json_path(tree, "behavior.scaleDown"));
}
