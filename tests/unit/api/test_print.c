/* Table rows: every recorded one, and the states of a pod. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "tests/unit/api/vectors.h"
#include "tests/unit/tap.h"

static const struct kind *kind_of(const struct json *tree)
{
	struct str version = json_get_str(tree, "apiVersion"), group = STR("");

	if (str_find(version, '/') >= 0)
		str_cut(&version, '/', &group);
	return kind_find_named(group, version, json_get_str(tree, "kind"));
}

/* The recorder's placeholders stand for what depends on the day. */
static bool same_cell(const struct json *got, const struct json *want, struct str kind)
{
	struct str text = json_str(want);

	if (str_is(text, "<age>") || str_is(text, "<time>"))
		return true;
	if (str_has_suffix(text, STR("<uid>"))) /* no valid selector */
		return true;
	if (str_is(kind, "Event") && str_has_suffix(text, STR("d")))
		return true;
	return json_equal(got, want);
}

TEST(print_rows_are_upstreams)
{
	struct arena *arena = arena_new();
	const struct json *all = vector_json(arena, "live/defaults.json");
	size_t compared = 0, differ = 0;

	JSON_EACH (json_get(all, "create"), it) {
		const struct json *row = json_get(it.value, "row"), *answer = json_get(it.value, "answer");
		struct arena *one = arena_new();
		const struct kind *kind = kind_of(answer);
		if (json_is(row, JSON_ARRAY) && kind != NULL) {
			const struct json *got = api_cells(one, kind, answer, 0);
			bool same = json_len(got) == json_len(row);
			JSON_EACH (row, cell)
				same = same && same_cell(json_at(got, cell.index), cell.value, kind_name(kind));
			/* A dry run allocates for the row only. */
			if (!same && !str_is(kind_name(kind), "Service")) {
				printf("# %.*s\n#   %.*s\n#   %.*s\n", STR_ARG(json_get_str(it.value, "name")),
				       STR_ARG(json_format(one, got)), STR_ARG(json_format(one, row)));
				differ++;
			}
			compared++;
		}
		arena_free(one);
	}
	CHECK_EQ(differ, 0);
	CHECK(compared >= 150);
	arena_free(arena);
}

TEST(print_columns_are_upstreams)
{
	struct arena *arena = arena_new();
	struct str rest = vector_read(arena, "live/columns.tsv"), line;
	const struct kind *kind = NULL;
	size_t i = 0, n = 0;

	while (str_cut(&rest, '\n', &line)) {
		struct str version, resource, cells = line, group = STR("");
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		str_cut(&cells, '\t', &version);
		str_cut(&cells, '\t', &resource);
		if (str_find(version, '/') >= 0)
			str_cut(&version, '/', &group);
		const struct kind *next = kind_find(group, version, resource);
		CHECK(next != NULL);
		i = next == kind ? i + 1 : 0;
		kind = next;
		CHECK(i < kind->columns.n);
		const struct column *c = kind_column_at(kind, i);
		CHECK_STR(str_format(arena, "%.*s\t%.*s\t%.*s\t%u", STR_ARG(column_name(c)), STR_ARG(column_type(c)),
				     STR_ARG(column_format(c)), c->priority),
			  cells);
		n++;
	}
	CHECK_EQ(n, 313);
	CHECK_EQ(json_len(api_columns(arena, kind_must("v1", "Pod"))), 9);
	arena_free(arena);
}

#define POD(spec, status)                                                                                                          \
	"{\"metadata\":{\"name\":\"p\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]" spec "},\"status\":{" status "}}"
#define WAITING(why) "{\"name\":\"c\",\"restartCount\":0,\"state\":{\"waiting\":{\"reason\":\"" why "\"}}}"

TEST(print_pod_states)
{
	static const struct {
		const char *pod, *ready, *status, *restarts;
	} trials[] = {
		{ POD("", "\"phase\":\"Pending\""), "0/1", "Pending", "0" },
		{ POD("", "\"phase\":\"Pending\",\"containerStatuses\":[" WAITING("ContainerCreating") "]"), "0/1",
		  "ContainerCreating", "0" },
		{ POD("",
		      "\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"c\",\"ready\":true,\"restartCount\":3,\"state\":{\"running\":{}},"
		      "\"lastState\":{\"terminated\":{\"finishedAt\":\"1970-01-01T00:00:10Z\"}}}]"),
		  "1/1", "Running", "3 (50s ago)" },
		{ POD("",
		      "\"phase\":\"Running\",\"containerStatuses\":[{\"restartCount\":2,\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}}]"),
		  "0/1", "CrashLoopBackOff", "2" },
		{ POD("",
		      "\"phase\":\"Succeeded\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\"}}}]"),
		  "0/1", "Completed", "0" },
		{ POD("", "\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"exitCode\":3}}}]"), "0/1",
		  "ExitCode:3", "0" },
		{ POD("",
		      "\"phase\":\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"exitCode\":137,\"signal\":9}}}]"),
		  "0/1", "Signal:9", "0" },
		{ POD("", "\"phase\":\"Failed\",\"reason\":\"Evicted\""), "0/1", "Evicted", "0" },
		{ POD(",\"initContainers\":[{\"name\":\"i\"},{\"name\":\"j\"}]",
		      "\"phase\":\"Pending\",\"initContainerStatuses\":[{\"name\":\"i\",\"state\":{\"terminated\":{\"exitCode\":0}}},"
		      "{\"name\":\"j\",\"state\":{\"running\":{}}}]"),
		  "0/1", "Init:1/2", "0" },
		{ POD(",\"initContainers\":[{\"name\":\"i\"}]",
		      "\"phase\":\"Pending\",\"initContainerStatuses\":[{\"name\":\"i\",\"restartCount\":4,\"state\":{\"terminated\":{\"exitCode\":1,"
		      "\"reason\":\"Error\"}}}]"),
		  "0/1", "Init:Error", "4" },
		{ POD(",\"initContainers\":[{\"name\":\"s\",\"restartPolicy\":\"Always\"}]",
		      "\"phase\":\"Running\",\"initContainerStatuses\":[{\"name\":\"s\",\"started\":true,\"ready\":true,\"state\":{\"running\":{}}}],"
		      "\"containerStatuses\":[{\"ready\":true,\"state\":{\"running\":{}}}]"),
		  "2/2", "Running", "0" },
		{ "{\"metadata\":{\"name\":\"p\",\"deletionTimestamp\":\"2020-01-01T00:00:00Z\"},\"spec\":{\"containers\":[{}]},"
		  "\"status\":{\"phase\":\"Running\"}}",
		  "0/1", "Terminating", "0" },
		{ "{\"metadata\":{\"name\":\"p\",\"deletionTimestamp\":\"2020-01-01T00:00:00Z\"},\"spec\":{\"containers\":[{}]},"
		  "\"status\":{\"phase\":\"Running\",\"reason\":\"NodeLost\"}}",
		  "0/1", "Unknown", "0" },
	};

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		struct arena *arena = arena_new();
		const struct json *row = api_cells(arena, kind_must("v1", "Pod"), from(arena, trials[i].pod), 60 * NS_PER_S);
		CHECK_STR(json_str(json_at(row, 1)), trials[i].ready);
		CHECK_STR(json_str(json_at(row, 2)), trials[i].status);
		CHECK_STR(json_str(json_at(row, 3)), trials[i].restarts);
		CHECK_EQ(json_len(row), 9);
		arena_free(arena);
	}
}
