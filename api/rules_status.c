/* What a status may say, of kinds beside the path's: a row a kind. Sources: the Validate…StatusUpdate functions of
 * k8s.io/kubernetes/pkg/apis, k8s.io/apimachinery/pkg/apis/meta/v1/validation. */
#include "api/check_pod.h"
#include "api/quantity.h"
#include "base/codec.h"
#include "base/ip.h"

/* --- conditions --- */

#define REASON                                                                                                                     \
	"a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or "  \
	"'_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or "             \
	"'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_reason(struct str text)
{
	char last = text.len == 0 ? 0 : text.ptr[text.len - 1];

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != ',' && c != ':')
			return false;
	}
	return text.len != 0 && is_letter(text.ptr[0]) && last != ',' && last != ':';
}

void check_condition(struct api_findings *f, const char *path, const struct json *condition)
{
	static const char *const statuses[] = { "False", "True", "Unknown" };
	struct str type = json_get_str(condition, "type"), status = json_get_str(condition, "status");
	struct str reason = json_get_str(condition, "reason");

	check_complaints(f, AT(f, "%s.type", path), type, name_label_key(type));
	if (!str_is(status, "True") && !str_is(status, "False") && !str_is(status, "Unknown"))
		finding_unsupported(f, AT(f, "%s.status", path), status, statuses, 3);
	if (json_int(json_get(condition, "observedGeneration"), 0) < 0)
		finding_invalid(f, AT(f, "%s.observedGeneration", path), json_get(condition, "observedGeneration"),
				"must be greater than or equal to zero");
	if (json_absent(json_get(condition, "lastTransitionTime")))
		finding_required(f, AT(f, "%s.lastTransitionTime", path), "");
	if (reason.len == 0)
		finding_required(f, AT(f, "%s.reason", path), "");
	else if (!is_reason(reason))
		finding_invalid_text(f, AT(f, "%s.reason", path), reason, REASON);
	if (reason.len > 1024)
		finding_too_long(f, AT(f, "%s.reason", path), 1024);
	if (json_get_str(condition, "message").len > 32768)
		finding_too_long(f, AT(f, "%s.message", path), 32768);
}

/* own: only a type is asked for. */
static void check_conditions(struct api_findings *f, const struct json *tree, bool own)
{
	struct places seen = { .arena = f->arena };

	JSON_EACH (json_path(tree, "status.conditions"), it) {
		const char *path = AT(f, "status.conditions[%zu]", it.index);
		struct str type = json_get_str(it.value, "type");

		if (places_add(&seen, type, it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.type", path), json_string(f->arena, type));
		if (!own)
			check_condition(f, path, it.value);
		else if (type.len == 0)
			finding_required(f, AT(f, "%s.type", path), "");
	}
}

static void flow(struct api_findings *f, const struct json *tree, const struct json *old)
{
	(void)old;
	check_conditions(f, tree, true);
}

static void policy(struct api_findings *f, const struct json *tree, const struct json *old)
{
	(void)old;
	check_conditions(f, tree, false);
}

static void check_counts(struct api_findings *f, const struct json *tree, const char *const *fields, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_not_negative(f, AT(f, "status.%s", fields[i]), json_get(json_get(tree, "status"), fields[i]));
}

static void budget(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const counts[] = { "disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods" };

	policy(f, tree, old);
	check_counts(f, tree, counts, N_OF(counts));
}

static void autoscaler(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const counts[] = { "currentReplicas", "desiredReplicas" };

	(void)old;
	check_counts(f, tree, counts, N_OF(counts));
}

/* --- amounts --- */

static void quota(struct api_findings *f, const struct json *tree, const struct json *old)
{
	(void)old;
	check_quota_list(f, "status.hard", json_path(tree, "status.hard"));
	check_quota_list(f, "status.used", json_path(tree, "status.used"));
}

/* What a claim may have of: storage, and what others call their own. */
static bool check_claimed(struct api_findings *f, const char *path, struct str name)
{
	static const char *const storage[] = { "storage" };
	struct complaints c = name_label_key(name);

	check_complaints(f, path, name, c);
	if (c.n != 0)
		return false;
	if ((str_find(name, '/') >= 0 && !str_contains(name, STR("kubernetes.io/"))) || str_is(name, "storage"))
		return true;
	finding_unsupported(f, path, name, storage, 1);
	return false;
}

static void check_basic(struct api_findings *f, const char *path, const struct json *value)
{
	struct quantity q = quantity_of(value);

	if (quantity_sign(&q) < 0)
		finding_invalid(f, path, json_number(f->arena, quantity_value(&q)), "must be a valid resource quantity");
}

static void claim(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const states[] = { "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress",
					      "NodeResizeInfeasible", "NodeResizePending" };
	static const char *const sorted[] = { "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress",
					      "NodeResizeInfeasible", "NodeResizePending" };
	const struct json *status = json_get(tree, "status");

	(void)old;
	JSON_EACH (json_get(status, "capacity"), it)
		check_basic(f, AT(f, "status.capacity[%.*s]", STR_ARG(it.key)), it.value);
	JSON_EACH (json_get(status, "allocatedResourceStatuses"), it) {
		bool known = false;

		check_claimed(f, "status.allocatedResourceStatuses", it.key);
		for (size_t i = 0; i < N_OF(states); i++)
			known = known || str_is(json_str(it.value), states[i]);
		if (!known)
			finding_unsupported(f, "status.allocatedResourceStatuses", it.key, sorted, N_OF(sorted));
	}
	JSON_EACH (json_get(status, "allocatedResources"), it)
		if (check_claimed(f, "status.allocatedResources", it.key))
			check_basic(f, AT(f, "status.allocatedResources[%.*s]", STR_ARG(it.key)), it.value);
}

static void ingress(struct api_findings *f, const struct json *tree, const struct json *old)
{
	(void)old;
	JSON_EACH (json_path(tree, "status.loadBalancer.ingress"), it) {
		const char *path = AT(f, "status.loadBalancer.ingress[%zu]", it.index);
		struct str ip = json_get_str(it.value, "ip"), host = json_get_str(it.value, "hostname");
		struct ip parsed;

		if (ip.len != 0)
			check_ip(f, AT(f, "%s.ip", path), ip);
		if (host.len != 0)
			check_complaints(f, AT(f, "%s.hostname", path), host, name_dns_subdomain(host));
		if (host.len != 0 && ip_parse(host, &parsed))
			finding_invalid_text(f, AT(f, "%s.hostname", path), host, "must be a DNS name, not an IP address");
	}
}

static void signing(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const statuses[] = { "False", "True", "Unknown" }, *const yes[] = { "True" };
	struct places seen = { .arena = f->arena };
	AUTO_BUF struct buf text = { 0 };
	struct str certificate = json_path_str(tree, "status.certificate");

	(void)old;
	JSON_EACH (json_path(tree, "status.conditions"), it) {
		const char *path = AT(f, "status.conditions[%zu]", it.index);
		struct str type = json_get_str(it.value, "type"), status = json_get_str(it.value, "status");
		bool only = str_is(type, "Approved") || str_is(type, "Denied") || str_is(type, "Failed");

		if (type.len == 0)
			finding_required(f, AT(f, "%s.type", path), "");
		check_one_of(f, AT(f, "%s.status", path), status, true, only ? yes : statuses, only ? 1 : 3);
		if (places_add(&seen, type, it.index) != it.index)
			finding_duplicate(f, AT(f, "%s.type", path), json_string(f->arena, type));
	}
	if (certificate.len != 0 && (!base64_decode(&text, certificate) || !str_contains(buf_str(&text), STR("-----BEGIN "))))
		finding_invalid_text(f, "status.certificate", STR("<certificate data>"),
				     "must contain at least one CERTIFICATE PEM block");
}

/* --- jobs --- */

static bool is_true(const struct json *tree, const char *type)
{
	JSON_EACH (json_path(tree, "status.conditions"), it)
		if (str_is(json_get_str(it.value, "type"), type))
			return str_is(json_get_str(it.value, "status"), "True");
	return false;
}

struct job {
	struct api_findings *f;
	const struct json *tree, *old, *now, *was;
	bool complete, failed, finished;
	bool complete_changed, failed_changed, finished_changed;
};

static bool changed(const struct job *j, const char *field)
{
	return !json_equal(json_get(j->now, field), json_get(j->was, field));
}

/* A finding about a value that is not shown. */
static void about_conditions(const struct job *j, const char *why)
{
	finding_wrong(j->f, "status.conditions", why);
}

static void check_uncounted(const struct job *j)
{
	static const char *const lists[] = { "succeeded", "failed" };
	struct places seen = { .arena = j->f->arena };
	size_t n = 0;

	for (int i = 0; i < 2; i++)
		JSON_EACH (json_get(json_get(j->now, "uncountedTerminatedPods"), lists[i]), it) {
			const char *path = AT(j->f, "status.uncountedTerminatedPods.%s[%zu]", lists[i], it.index);

			if (json_str(it.value).len == 0)
				finding_invalid(j->f, path, it.value, "must not be empty");
			else if (places_find(&seen, json_str(it.value)) != PLACES_NONE)
				finding_duplicate(j->f, path, it.value);
			else
				places_add(&seen, json_str(it.value), n++);
		}
}

/* A number of a list of indexes; what is wrong with it, or NULL. */
static const char *index_of(const struct job *j, struct str text, int64_t completions, int64_t *out)
{
	const char *shown = api_quoted(j->f->arena, text);

	if (!str_to_i64(text, out))
		return AT(j->f, "cannot convert string to integer for index: %s", shown);
	return *out >= completions ? AT(j->f, "too large index: %s", shown) : NULL;
}

#define ORDER "non-increasing order, previous: %lld, current: %lld"

static const char *indexes_wrong(const struct job *j, struct str text, int64_t completions)
{
	struct str part, rest = text;
	int64_t last = -1, x, y;

	while (text.len != 0 && str_cut(&rest, ',', &part)) {
		struct str one, more = part;
		const char *why;

		str_cut(&more, '-', &one);
		if (more.len != 0 && str_find(more, '-') >= 0)
			return AT(j->f,
				  "the fragment %s violates the requirement that an index interval can have at most two parts "
				  "separated by '-'",
				  api_quoted(j->f->arena, part));
		why = index_of(j, one, completions, &x);
		y = x;
		if (why == NULL && str_find(part, '-') >= 0)
			why = index_of(j, more, completions, &y);
		if (why != NULL)
			return why;
		if (str_find(part, '-') >= 0 && x >= y)
			return AT(j->f, ORDER, (long long)x, (long long)y);
		if (last >= x)
			return AT(j->f, ORDER, (long long)last, (long long)x);
		last = y;
	}
	return NULL;
}

static void check_indexes(const struct job *j)
{
	const struct json *spec = json_get(j->tree, "spec"), *failed = json_get(j->now, "failedIndexes");
	const struct json *completions = json_get(spec, "completions");
	struct str done = json_get_str(j->now, "completedIndexes");
	bool indexed = str_is(json_get_str(spec, "completionMode"), "Indexed");
	const char *why = NULL;

	if (changed(j, "completedIndexes") && completions != NULL)
		why = indexes_wrong(j, done, json_int(completions, 0));
	if (why != NULL)
		finding_invalid_text(j->f, "status.completedIndexes", done, AT(j->f, "error parsing completedIndexes: %s", why));
	why = NULL;
	if (changed(j, "failedIndexes") && completions != NULL && json_get(spec, "backoffLimitPerIndex") != NULL && failed != NULL)
		why = indexes_wrong(j, json_str(failed), json_int(completions, 0));
	if (why != NULL)
		finding_invalid(j->f, "status.failedIndexes", failed, AT(j->f, "error parsing failedIndexes: %s", why));
	if (changed(j, "completedIndexes") && done.len != 0 && !indexed)
		finding_invalid_text(j->f, "status.completedIndexes", done,
				     "cannot set non-empty completedIndexes when non-indexed completion mode");
	if (changed(j, "failedIndexes") && failed != NULL && json_get(spec, "backoffLimitPerIndex") == NULL)
		finding_invalid(j->f, "status.failedIndexes", failed,
				"cannot set non-null failedIndexes when backoffLimitPerIndex is null");
}

static void check_completion(const struct job *j)
{
	const struct json *time = json_get(j->now, "completionTime"), *start = json_get(j->now, "startTime");
	bool looked = j->complete_changed || changed(j, "completionTime");

	if (looked && !json_absent(time) && !j->complete)
		finding_invalid(j->f, "status.completionTime", time,
				"cannot set completionTime when there is no Complete=True condition");
	if (looked && json_absent(time) && j->complete)
		finding_required(j->f, "status.completionTime", "completionTime is required for Complete jobs");
	if ((changed(j, "startTime") || changed(j, "completionTime")) && !json_absent(time) && !json_absent(start) &&
	    str_cmp(json_str(time), json_str(start)) < 0)
		finding_invalid(j->f, "status.completionTime", time, "must be equal to or after `startTime`");
}

static void check_end(const struct job *j)
{
	const struct json *active = json_get(j->now, "active"), *uncounted = json_get(j->now, "uncountedTerminatedPods");
	bool met = is_true(j->tree, "SuccessCriteriaMet"), target = is_true(j->tree, "FailureTarget");
	bool target_changed = target != is_true(j->old, "FailureTarget");
	size_t n = json_len(json_get(uncounted, "failed")) + json_len(json_get(uncounted, "succeeded"));

	if ((j->complete_changed || j->failed_changed) && j->complete && j->failed)
		about_conditions(j, "cannot set Complete=True and Failed=true conditions");
	if ((j->complete_changed || target_changed) && j->complete && target)
		about_conditions(j, "cannot set Complete=True and FailureTarget=true conditions");
	check_completion(j);
	if ((j->failed_changed || changed(j, "failedIndexes")) && j->failed && !target)
		about_conditions(j, "cannot set Failed=True condition without the FailureTarget=true condition");
	if ((j->complete_changed || met != is_true(j->old, "SuccessCriteriaMet")) && j->complete && !met)
		about_conditions(j, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
	if ((j->finished_changed || changed(j, "active")) && json_int(active, 0) > 0 && j->finished)
		finding_invalid(j->f, "status.active", active, "active>0 is invalid for finished job");
	if ((j->finished_changed || changed(j, "startTime")) && json_absent(json_get(j->now, "startTime")) && j->finished &&
	    !(json_bool(json_path(j->tree, "spec.suspend")) && json_int(json_path(j->tree, "spec.completions"), 1) == 0))
		finding_required(j->f, "status.startTime", "startTime is required for finished job");
	if ((j->finished_changed || changed(j, "uncountedTerminatedPods")) && j->finished && n != 0)
		finding_invalid(j->f, "status.uncountedTerminatedPods", uncounted, "must be empty for finished job");
}

static void check_counters(const struct job *j)
{
	static const char *const ends[] = { "Failed", "Complete", "FailureTarget" };
	bool indexed = str_is(json_path_str(j->tree, "spec.completionMode"), "Indexed");
	bool resized = indexed && json_equal(json_path(j->tree, "spec.completions"), json_path(j->tree, "spec.parallelism"));
	const struct json *start = json_get(j->was, "startTime"), *now = json_get(j->now, "startTime");

	for (int i = 0; i < 3; i++)
		if (is_true(j->old, ends[i]) && !is_true(j->tree, ends[i]))
			about_conditions(j, AT(j->f, "cannot disable the terminal %s=True condition", ends[i]));
	if (json_int(json_get(j->now, "failed"), 0) < json_int(json_get(j->was, "failed"), 0))
		finding_invalid(j->f, "status.failed", json_number(j->f->arena, json_int(json_get(j->now, "failed"), 0)),
				"cannot decrease the failed counter");
	if (!resized && json_int(json_get(j->now, "succeeded"), 0) < json_int(json_get(j->was, "succeeded"), 0))
		finding_invalid(j->f, "status.succeeded", json_number(j->f->arena, json_int(json_get(j->now, "succeeded"), 0)),
				"cannot decrease the succeeded counter");
	if (!json_absent(json_get(j->now, "completionTime")) && !json_absent(json_get(j->was, "completionTime")) &&
	    changed(j, "completionTime"))
		finding_invalid(j->f, "status.completionTime", json_get(j->now, "completionTime"), "field is immutable");
	if (!json_absent(start) && changed(j, "startTime") && !json_bool(json_path(j->tree, "spec.suspend")))
		finding_invalid(j->f, "status.startTime", now == NULL ? &json_null : now,
				"field is immutable for unsuspended job once set");
	if (is_true(j->old, "SuccessCriteriaMet") && !is_true(j->tree, "SuccessCriteriaMet"))
		about_conditions(j, "cannot disable the SuccessCriteriaMet=True condition");
}

static void job(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const counts[] = { "active", "succeeded", "failed", "ready", "terminating" };
	struct job j = { f, tree, old, json_get(tree, "status"), json_get(old, "status"), .complete = is_true(tree, "Complete") };
	const struct json *going = json_get(j.now, "terminating"), *ready = json_get(j.now, "ready");

	j.failed = is_true(tree, "Failed");
	j.finished = j.complete || j.failed;
	j.complete_changed = j.complete != is_true(old, "Complete");
	j.failed_changed = j.failed != is_true(old, "Failed");
	j.finished_changed = j.finished != (is_true(old, "Complete") || is_true(old, "Failed"));
	check_counts(f, tree, counts, N_OF(counts));
	check_uncounted(&j);
	check_end(&j);
	check_indexes(&j);
	if ((j.finished_changed || changed(&j, "terminating")) && json_int(going, 0) > 0 && j.finished)
		finding_invalid(f, "status.terminating", going, "terminating>0 is invalid for finished job");
	if ((changed(&j, "ready") || changed(&j, "active")) && ready != NULL &&
	    json_int(ready, 0) > json_int(json_get(j.now, "active"), 0))
		finding_invalid(f, "status.ready", ready, "cannot set more ready pods than active");
	check_counters(&j);
}

static void attachment(struct api_findings *f, const struct json *tree, const struct json *old)
{
	static const char *const errors[] = { "attachError", "detachError" };

	(void)old;
	for (int i = 0; i < 2; i++) {
		const struct json *error = json_get(json_get(tree, "status"), errors[i]), *code = json_get(error, "errorCode");

		/* More than 1024 bytes is what it means. */
		if (json_get_str(error, "message").len > 1024)
			finding_too_long(f, AT(f, "status.%s.message", errors[i]), 262144);
		if (json_int(code, 0) < 0)
			finding_invalid(f, AT(f, "status.%s.errorCode", errors[i]), code,
					"must be between 0 and 2147483647, inclusive");
	}
}

/* --- the table --- */

static const struct {
	const char *group, *kind;
	void (*check)(struct api_findings *f, const struct json *tree, const struct json *old);
} rows[] = {
	{ "", "ResourceQuota", quota },
	{ "", "PersistentVolumeClaim", claim },
	{ "admissionregistration.k8s.io", "ValidatingAdmissionPolicy", policy },
	{ "autoscaling", "HorizontalPodAutoscaler", autoscaler },
	{ "batch", "Job", job },
	{ "flowcontrol.apiserver.k8s.io", "FlowSchema", flow },
	{ "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", flow },
	{ "networking.k8s.io", "Ingress", ingress },
	{ "policy", "PodDisruptionBudget", budget },
	{ "resource.k8s.io", "ResourceClaim", check_claim_status },
	{ "storage.k8s.io", "VolumeAttachment", attachment },
	{ "certificates.k8s.io", "CertificateSigningRequest", signing },
};

void check_other_status(struct api_findings *f, const struct kind *kind, const struct json *tree, const struct json *old)
{
	for (size_t i = 0; i < N_OF(rows); i++)
		if (str_is(kind_group(kind), rows[i].group) && str_is(kind_name(kind), rows[i].kind))
			rows[i].check(f, tree, old);
}
