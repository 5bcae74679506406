#include "cmd/ui.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "json/json.h"

static struct {
	const char *command;
	bool json, quiet, open_step;
	int step, total;
	int64_t began;
	char text[512];
} ui = { .command = "" };

void ui_open(const char *command, bool json, bool quiet, int total_steps)
{
	ui.command = command;
	ui.json = json;
	ui.quiet = quiet;
	ui.total = total_steps;
}

/* One line, as minikube writes them: https://cloudevents.io, type io.k8s.sigs.minikube.TYPE. */
static void event(const char *type, const struct json_pair *pairs, size_t n)
{
	struct arena *arena = arena_new();
	AUTO_BUF struct buf out = { 0 };
	char uuid[37];

	rand_uuid(uuid);
	json_write(&out, JSON_OBJECT_OF(arena, { "specversion", json_text(arena, "1.0") }, { "id", json_text(arena, uuid) },
					{ "source", json_text(arena, "https://monokube.dev/") },
					{ "type", json_printf(arena, "io.k8s.sigs.minikube.%s", type) },
					{ "datacontenttype", json_text(arena, "application/json") },
					{ "data", json_object_of(arena, pairs, n) }));
	buf_putc(&out, '\n');
	fwrite(out.ptr, 1, out.len, stdout);
	fflush(stdout);
	arena_free(arena);
}

void ui_done(void)
{
	if (!ui.open_step)
		return;
	ui.open_step = false;
	if (ui.json || ui.quiet)
		return;
	fprintf(stderr, "✓ %s (%lld ms)\n", ui.text, (long long)((clock_mono() - ui.began) / NS_PER_MS));
}

void ui_step(const char *name, const char *format, ...)
{
	va_list args;

	ui_done();
	va_start(args, format);
	vsnprintf(ui.text, sizeof(ui.text), format, args);
	va_end(args);
	ui.open_step = true;
	ui.began = clock_mono();
	if (ui.json) {
		struct arena *arena = arena_new();
		struct json_pair pairs[] = { { "currentstep", json_printf(arena, "%d", ui.step++) },
					     { "message", json_text(arena, ui.text) },
					     { "name", json_text(arena, name) },
					     { "totalsteps", json_printf(arena, "%d", ui.total) } };

		event("step", pairs, 4);
		arena_free(arena);
	}
}

static void say(const char *type, const char *mark, const char *format, va_list args)
{
	char text[1024];

	ui_done();
	vsnprintf(text, sizeof(text), format, args);
	if (ui.json) {
		struct arena *arena = arena_new();
		struct json_pair pairs[] = { { "message", json_text(arena, text) } };

		event(type, pairs, 1);
		arena_free(arena);
	} else if (!ui.quiet || mark[0] == '!') {
		fprintf(stderr, "%s%s\n", mark, text);
	}
}

void ui_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("info", "", format, args);
	va_end(args);
}

void ui_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("warning", "! ", format, args);
	va_end(args);
}

int ui_fail(struct error *err)
{
	int code = error_exit_code(err->kind);
	const char *advice = error_advice(err);

	if (ui.open_step && !ui.json)
		fprintf(stderr, "✗ %s\n", ui.text);
	ui.open_step = false;
	if (ui.json) {
		struct arena *arena = arena_new();
		struct json_pair pairs[] = { { "advice", json_text(arena, advice) },
					     { "exitcode", json_printf(arena, "%d", code) },
					     { "issues", json_text(arena, "") },
					     { "message", json_text(arena, err->text) },
					     { "name", json_text(arena, error_kind_name(err->kind)) },
					     { "url", json_text(arena, "") } };

		event("error", pairs, 6);
		arena_free(arena);
	} else {
		fprintf(stderr, "monokube%s%s: %s\n", ui.command[0] != '\0' ? " " : "", ui.command, err->text);
		if (advice[0] != '\0')
			fprintf(stderr, UI_ADVICE "%s\n", advice);
	}
	error_free(err);
	return code;
}
