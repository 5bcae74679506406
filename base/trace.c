#include "base/trace.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define RING 1024 /* power of two */

static struct event {
	int64_t when;
	const char *file;
	const char *text;
	int64_t a, b;
	int line;
} ring[RING];
static unsigned next_event;

void trace_event(const char *file, int line, const char *text, int64_t a, int64_t b)
{
	ring[next_event++ % RING] = (struct event){ clock_mono(), file, text, a, b, line };
}

/* No printf here: this runs inside signal handlers. */
static char *put_text(char *out, const char *end, const char *text)
{
	while (text != NULL && *text != '\0' && out < end)
		*out++ = *text++;
	return out;
}

static char *put_number(char *out, const char *end, int64_t n)
{
	char digits[24];
	int i = 0;
	uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

	if (n < 0 && out < end)
		*out++ = '-';
	do
		digits[i++] = (char)('0' + u % 10);
	while ((u /= 10) != 0);
	while (i > 0 && out < end)
		*out++ = digits[--i];
	return out;
}

static void put_line(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		return;
}

void trace_dump(int fd)
{
	for (unsigned i = 0; i < RING; i++) {
		const struct event *event = &ring[(next_event + i) % RING];
		char line[512], *out = line;
		const char *end = line + sizeof(line) - 2;

		if (event->text == NULL)
			continue;
		out = put_number(out, end, event->when / 1000);
		out = put_text(out, end, "us ");
		out = put_text(out, end, event->file);
		out = put_text(out, end, ":");
		out = put_number(out, end, event->line);
		out = put_text(out, end, " ");
		out = put_text(out, end, event->text);
		out = put_text(out, end, " ");
		out = put_number(out, end, event->a);
		out = put_text(out, end, " ");
		out = put_number(out, end, event->b);
		*out++ = '\n';
		if (write(fd, line, (size_t)(out - line)) < 0)
			return;
	}
}

static void on_signal(int signal_number)
{
	put_line(STDERR_FILENO, "monokube: signal, last events:\n");
	trace_dump(STDERR_FILENO);
	if (signal_number != SIGQUIT) {
		signal(signal_number, SIG_DFL);
		raise(signal_number);
	}
}

void trace_install_handlers(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

void assert_failed(const char *file, int line, const char *condition)
{
	char text[512], *out = text;
	const char *end = text + sizeof(text) - 2;

	out = put_text(out, end, "monokube: broken invariant at ");
	out = put_text(out, end, file);
	out = put_text(out, end, ":");
	out = put_number(out, end, line);
	out = put_text(out, end, ": ");
	out = put_text(out, end, condition);
	*out++ = '\n';
	*out = '\0';
	put_line(STDERR_FILENO, text);
	abort();
}
